"""The page as text: complete without scripts, closed to the network, safe against its data."""

import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from itertools import chain
from typing import Any

import documents
import pytest
from documents import unpacked_numbers
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from loopdiag.model.events import PHASES
from loopdiag.model.timeline import Attempt, Connection, Iterations, Jobs, Pause, Timeline
from loopdiag.report.html import SCRIPTS, asset, render
from loopdiag.report.page_columns import packed
from loopdiag.report.page_data import FLAG_WORDS, MOST_ATTEMPTS, choose, embedded, timeline_columns
from loopdiag.report.page_tracks import BINS, MOST_MARKS, singly
from loopdiag.report.palette import PHASE_COLOURS
from loopdiag.report.steps import busy, in_flight, in_queue, lease, open_count

ORDER = [
    "why", "arms", "not-measured", "warnings", "scaling", "time", "waterfall", "code", "phases", "overhead", "witness", "noise", "lost", "not-observed",
    "environment", "method",
]  # fmt: skip
VOID = {"meta", "link", "br", "input"}


class Page(HTMLParser):
    """Elements with their attributes, the text of some, and whether tags are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the element."""
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Every end has its start."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep the text by its element."""
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)


@pytest.mark.parametrize("name", documents.EDGES)
def test_the_page_is_one_closed_file(name: str) -> None:
    # tags are balanced, nothing is loaded from elsewhere, no element carries a handler or a style
    page = Page(render(documents.EDGES[name]()))
    assert page.open == []
    for tag, attributes in page.elements:
        assert not [key for key in attributes if key.startswith("on") or key in {"src", "style", "srcset", "action"}], tag
        assert attributes.get("href", "data:,") == "data:,"
    assert not {tag for tag, _ in page.elements} & {"img", "iframe", "object", "embed", "form", "base", "a"}


@pytest.mark.parametrize("name", documents.EDGES)
def test_the_policy_names_exactly_this_style_and_script(name: str) -> None:
    # the content security policy allows nothing but the page's own style and script, by their hashes
    text = render(documents.EDGES[name]())
    (policy,) = (a["content"] or "" for tag, a in Page(text).elements if a.get("http-equiv") == "Content-Security-Policy")
    style, script = re.search(r"<style>(.*?)</style>", text, re.DOTALL), re.search(r"<script>(.*?)</script>", text, re.DOTALL)
    assert style is not None
    assert script is not None
    hashes = [f"'sha256-{b64encode(sha256(found[1].encode()).digest()).decode()}'" for found in (style, script)]
    assert policy.startswith("default-src 'none'; ")
    assert f"style-src {hashes[0]}; script-src {hashes[1]};" in policy
    assert "unsafe" not in policy


def test_data_cannot_leave_its_place() -> None:
    # markup in names and messages is shown as text, and the data element cannot be ended from within
    text = render(documents.hostile())
    assert "<img" not in text
    assert "\x1b" not in text
    assert "\\u001b" not in text
    assert text.count("<script") == 2
    assert "&lt;img src=x onerror=alert(1)&gt;" in text
    data = json.loads("".join(Page(text).texts["script"][:1]))
    assert data["timelines"]


def test_sections_come_in_reading_order() -> None:
    # the answer and its causes first, then arms, what was not measured, warnings, plots, and how it was measured
    elements = Page(render(documents.explained())).elements
    assert [a["id"] for tag, a in elements if tag == "section"] == ORDER
    assert elements.index(("h1", {"id": "answer"})) < next(k for k, (tag, _) in enumerate(elements) if tag == "section")


def test_the_answer_needs_no_script() -> None:
    # answer, laws, intervals, reasons and environment are in the page's own text
    text = render(documents.small())
    page = "".join(chain.from_iterable(Page(text).texts.values()))
    for said in (
        documents.small().diagnosis.answer,
        "a + b·N²",
        "24.5 [23.5, 26.7]",
        "does not fit the arm's share",
        "CPython 3.11.7",
        "plan seed 1",
    ):
        assert said in page


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("partial", "Partial: the run was interrupted"),
        ("not_enough", "needs at least 5 values of N"),
        ("no_arms", "No arm has a usable trial."),
        ("no_timelines", "Not observed: the run has no timeline trial"),
    ],
)
def test_what_is_missing_is_said(name: str, said: str) -> None:
    # an edge of the document becomes a sentence, not a hole
    assert said in render(documents.EDGES[name]())


def test_scripts_build_no_markup() -> None:
    # the scripts have no way from text to elements or code, and none to the network
    for name in SCRIPTS:
        code = asset(name)
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(|fetch\(|XMLHttp|WebSocket|import\(|https?://(?!www\.w3\.org/2000/svg)",
            code,
        ), name
        assert code.count("\n") <= 300


@given(st.lists(st.integers(-(10**12), 10**12)))
def test_packed_numbers_are_read_back(given: list[int]) -> None:
    # whatever the integers, the page's scripts find them in the text
    assert unpacked_numbers(packed(given)) == given


def unpacked(columns: dict[str, Any], names: list[str]) -> list[tuple[list[tuple[str, int, int]], dict[str, int]]]:
    """Rows of phases and stamps in microseconds, as the page's scripts read them."""
    marks = columns["stamps"]
    times, stamps = iter(unpacked_numbers(columns["times"])), iter(unpacked_numbers(marks["steps"]))
    at = lambda column, row: column[row] if isinstance(column, list) else column  # noqa: E731 - the script's own function
    rows = []
    for row in range(columns["rows"]):
        phases, seen, now = [], {}, 0
        shape = columns["shapes"][at(columns["shape"], row)]
        begin = next(times) if shape else 0
        for phase in shape:
            end = begin + next(times)
            phases.append((names[phase], begin, end))
            begin = end
        for name in marks["shapes"][at(marks["shape"], row)]:
            now += next(stamps)
            seen[marks["names"][name]] = now
        rows.append((phases, seen))
    assert list(times) == list(stamps) == []
    return rows


lives = st.lists(st.lists(st.tuples(st.sampled_from(["pool", "ssl", "wait", "resume"]), st.integers(0, 10**10)), max_size=6), max_size=6)


@given(lives)
def test_columns_hold_every_phase_and_stamp(lives: list[list[tuple[str, int]]]) -> None:
    # unpacked, each phase and stamp is there, right to the microsecond, rows by start
    attempts = []
    for k, life in enumerate(lives):
        at, ends = k * 1_000_000, []
        for name, length in life:
            at += length
            ends.append((name, at))
        attempts.append(
            Attempt(request=k, phases=documents.chain(k * 1_000_000, ends) if ends else (), stamps={"created": k * 1_000_000, "done": at})
        )
    line = Timeline(trial="t", arm="a/b", n=len(lives), repetition=0, t0_ns=0, total_ns=1, attempts=tuple(reversed(attempts)))
    names = ["pool", "ssl", "wait", "resume"]
    for attempt, (phases, stamps) in zip(attempts, unpacked(timeline_columns(line, names), names), strict=True):
        assert [name for name, _, _ in phases] == [phase.name for phase in attempt.phases]
        for phase, (_, begin, end) in zip(attempt.phases, phases, strict=True):
            assert (begin, end) == (pytest.approx(phase.start_ns / 1e3, abs=0.51), pytest.approx(phase.end_ns / 1e3, abs=0.51))
        assert stamps == {name: pytest.approx(time / 1e3, abs=0.51) for name, time in attempt.stamps.items()}


def test_forty_trials_of_eight_hundred_requests_stay_small() -> None:
    # a long run's page stays under 5 MB and holds all its timelines
    page = render(documents.many(40))
    assert len(page.encode()) < 5_000_000
    assert '"leftOut":0' in page


def test_what_does_not_fit_is_counted() -> None:
    # beyond the limit the page keeps the first repetition of every cell and says how many are left out
    document = documents.many(68)
    shown, left_out = choose(document)
    assert sum(len(line.attempts) for line in shown) <= MOST_ATTEMPTS
    assert (len(shown), left_out) == (60, 8)
    assert {(line.arm, line.repetition) for line in shown} >= {(arm.name, 0) for arm in documents.ARMS}
    assert json.loads(embedded(document))["leftOut"] == 8


def test_timelines_stand_in_the_order_of_the_arms() -> None:
    # the page's first waterfall is the first arm's
    shown, _ = choose(documents.small())
    assert [line.arm for line in shown] == [arm.name for arm in documents.ARMS]


@pytest.mark.parametrize(
    ("poll", "run", "share"),
    [(0, 1000, 100), (1000, 0, 0), (500, 500, 50)],
)
def test_the_loops_strip_shows_its_busy_share(poll: int, run: int, share: int) -> None:
    # the mean over all bins is the share of time in which the loop ran callbacks
    starts = tuple(range(0, 1_000_000, 1000))
    loop = Iterations(start_ns=starts, poll_ns=(poll,) * 1000, run_ns=(run,) * 1000, ready=(0,) * 1000)
    bins = busy(loop, 1_000_000, BINS)
    assert len(bins) == BINS
    assert sum(bins) / BINS == pytest.approx(share, abs=1)


def test_an_idle_stretch_is_seen_where_it_is() -> None:
    # a long poll in the middle leaves exactly its bins empty
    loop = Iterations(start_ns=(0, 400_000, 800_000), poll_ns=(0, 400_000, 0), run_ns=(400_000, 0, 200_000), ready=(1, 0, 1))
    bins = busy(loop, 1_000_000, BINS)
    assert set(bins[:400]) == {100}
    assert set(bins[400:800]) == {0}
    assert set(bins[800:]) == {100}


BLANK = Timeline(trial="t", arm="a/b", n=1, repetition=0, t0_ns=0, total_ns=1_000_000)


def columns(**facts: Any) -> dict[str, Any]:
    """The columns of a timeline that has nothing but `facts`."""
    return timeline_columns(replace(BLANK, **facts), list(PHASES))


@pytest.mark.parametrize(
    ("attempt", "low", "high"),
    [
        (Attempt(request=1), None, None),
        (Attempt(request=1, lag_low_ns=0, lag_high_ns=310_400), 0, 310),
        (Attempt(request=1, lag_low_ns=12_600), 13, None),
        (Attempt(request=1, lag_low_ns=1_000, lag_high_ns=2_000, stamps={"rx_kernel": 5}), None, None),
    ],
)
def test_bounds_of_the_lag_stand_where_the_kernel_does_not_tell(attempt: Attempt, low: int | None, high: int | None) -> None:
    # a bound is shown only where no kernel stamp says the truth; what was not observed is no 0
    made = columns(attempts=(attempt,))
    assert (made["lagLow"], made["lagHigh"]) == (low, high)


def test_flags_are_put_into_words() -> None:
    # every flag of the recording has words, and one that is not known keeps its name
    made = columns(attempts=(Attempt(request=1, flags=("reused", "some_flag")),))
    assert made["flagWords"] == ["reused its connection", "some flag"]
    assert set(FLAG_WORDS) >= {"reused", "shared_connect", "retried", "redirected", "cancelled", "error", "timed_out", "http2"}


def test_a_connection_keeps_its_opening_and_its_end() -> None:
    # stamps of connections, `closed` included, and what the socket said, are in the page to the microsecond
    link = Connection(
        number=4, request=9, requests=3, rtt_us=44, retransmits=2, tls_cpu_ns=410_400, stamps={"tcp_start": 1_000, "closed": 9_000_400}
    )
    made = columns(connections=(link,))["connections"]
    assert (made["number"], made["request"], made["rtt"], made["retransmits"], made["tlsCpu"], made["recordCpu"]) == (
        [4],
        9,
        44,
        2,
        410,
        None,
    )
    assert (made["stamps"]["names"], unpacked_numbers(made["stamps"]["steps"])) == (["tcp_start", "closed"], [1, 8999])


gaps = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**8), st.integers(0, 10**8), st.integers(0, 99)), min_size=1, max_size=20)


@given(gaps)
def test_iterations_are_read_back_to_the_microsecond(life: list[tuple[int, int, int, int]]) -> None:
    # begin, end of the poll and end of the run of every iteration; what the recorder's ticks leave between two is no gap
    starts, at = [], 0
    for gap, poll, run, _ in life:
        at += gap
        starts.append(at)
        at += poll + run
    _, polls, runs, ready = zip(*life, strict=True)
    loop = columns(iterations=Iterations(start_ns=tuple(starts), poll_ns=polls, run_ns=runs, ready=ready))["loop"]
    shown = 0
    for k, (gap, poll, run) in enumerate(zip(*(unpacked_numbers(loop[key]) for key in ("gap", "poll", "run")), strict=True)):
        begin = shown + gap
        shown = begin + poll + run
        assert (begin, begin + poll, shown) == tuple(
            pytest.approx(ns / 1e3, abs=1.6) for ns in (starts[k], starts[k] + polls[k], starts[k] + polls[k] + runs[k])
        )
        assert gap >= 0
    assert unpacked_numbers(loop["ready"]) == list(ready)
    long = [(s + p, r) for s, p, r in zip(starts, polls, runs, strict=True) if r >= 10_000_000]
    assert [row[:2] for row in loop["blocked"]] == [
        [pytest.approx(at / 1e3, abs=0.51), pytest.approx(run / 1e3, abs=0.51)] for at, run in long
    ]


def test_iterations_beyond_the_pages_room_become_bins() -> None:
    # what does not fit is binned, first repetitions and large N keep theirs, and long iterations are always there
    loop = Iterations(start_ns=tuple(range(0, 20_000_000, 1000)), poll_ns=(0,) * 20_000, run_ns=(1000,) * 20_000, ready=(0,) * 20_000)
    lines = [replace(BLANK, n=n, repetition=r, iterations=loop) for r in (0, 1) for n in (1, 2, 3, 4)]
    assert singly(lines) == {0, 1, 2, 3, 6, 7}
    assert singly([replace(BLANK, iterations=Iterations(start_ns=(*loop.start_ns, 1)))]) == set()
    binned = timeline_columns(lines[4], list(PHASES), single=False)["loop"]
    assert set(binned) == {"count", "blocked", "knowsReady", "bins"}
    assert (binned["count"], len(binned["bins"])) == (20_000, BINS)


def test_pauses_and_jobs_are_cut_to_what_can_be_drawn() -> None:
    # of very many pauses the longest stay, by time, and their number is said
    pauses = tuple(Pause(start_ns=k * 1000, length_ns=1000 * (1 + k % 7), generation=k % 3) for k in range(MOST_MARKS + 500))
    made = columns(pauses=pauses)["pauses"]
    assert made["count"] == MOST_MARKS + 500
    assert len(made["length"]) == MOST_MARKS
    assert min(made["length"]) >= 2
    assert min(made["start"]) >= 0
    jobs = columns(jobs=Jobs(queued_ns=(2000, 1000), started_ns=(4000, 1000), ended_ns=(9000, 8000), threads=(2, 1)))["jobs"]
    assert jobs == {"count": 2, "queued": [1, 1], "wait": [0, 2], "length": [7, 5], "threads": [1, 2]}


def test_what_was_not_observed_is_not_in_the_page() -> None:
    # no loop, no jobs, no lag, no process: None, never 0
    made = columns()
    assert [made[key] for key in ("loop", "jobs", "lag", "process", "unattributedP95")] == [None] * 5


@pytest.mark.parametrize(
    ("spans", "steps"),
    [
        ([], []),
        ([(0, 5), (2, 7)], [(0, 1), (2, 2), (5, 1), (7, 0)]),
        ([(0, 5), (5, 9)], [(0, 1), (5, 1), (9, 0)]),
        ([(3, 3)], [(3, 0)]),
    ],
)
def test_open_intervals_are_counted(spans: list[tuple[int, int]], steps: list[tuple[int, int]]) -> None:
    # one that ends as another begins leaves the count as it was, and one without length never counts
    assert open_count(spans) == steps


def test_curves_end_where_a_request_ends_without_its_stamp() -> None:
    # a request that was sent and never answered is in flight until its end; one that was never given a connection waits until then
    life = documents.chain(0, [("pool", 40), ("send", 90)])
    line = replace(BLANK, attempts=(Attempt(request=1, phases=life, stamps={"enqueued": 5, "send_start": 40}),))
    assert (in_queue(line), in_flight(line)) == ([(5, 90)], [(40, 90)])


@pytest.mark.parametrize(
    ("stamps", "made", "begin", "end"),
    [
        ({"assigned": 10, "released": 90}, None, 10, 90),
        ({"assigned": 10, "released": 90}, 30, 30, 90),
        ({"assigned": 10, "stream": 50, "last_byte": 80}, 30, 50, 80),
        ({"created": 1, "done": 20}, None, 1, 20),
        ({"assigned": 10, "released": 20}, 30, 30, 30),
    ],
)
def test_a_lease_runs_from_a_usable_connection_to_its_release(stamps: dict[str, int], made: int | None, begin: int, end: int) -> None:
    # a connection is a request's once it is made and given (over HTTP/2: once there is a stream), until it is given back
    link = None if made is None else Connection(number=1, stamps={"made": made})
    assert lease(Attempt(request=1, stamps=stamps), link) == (begin, end)


def test_every_phase_has_a_colour_of_its_own() -> None:
    # no phase is without colour, and no two share one
    assert set(PHASE_COLOURS) == set(PHASES)
    assert len(set(PHASE_COLOURS.values())) == len(PHASES)
