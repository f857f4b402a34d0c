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
from hypothesis import given
from hypothesis import strategies as st

from loopdiag.model.timeline import Attempt, Iterations, Timeline
from loopdiag.report.html import SCRIPTS, asset, render
from loopdiag.report.page_data import BINS, MOST_ATTEMPTS, busy, choose, embedded, timeline_columns

ORDER = [
    "arms", "not-measured", "warnings", "scaling", "waterfall", "phases", "overhead", "witness", "noise", "lost", "not-observed",
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
    # the answer first, then arms, what was not measured, warnings, plots, and how it was measured
    elements = Page(render(documents.small())).elements
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


def unpacked(columns: dict[str, Any], names: list[str]) -> list[tuple[list[tuple[str, int, int]], dict[str, int]]]:
    """Rows of phases and stamps in microseconds, as the page's scripts read them."""
    times, stamps = iter(columns["times"]), iter(columns["stamps"])
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
        for name in columns["stampShapes"][at(columns["stampShape"], row)]:
            now += next(stamps)
            seen[columns["stampNames"][name]] = now
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
    # a long run's page stays under 6 MB and holds all its timelines
    page = render(documents.many(40))
    assert len(page.encode()) < 6_000_000
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
    bins = busy(loop, 1_000_000)
    assert len(bins) == BINS
    assert sum(bins) / BINS == pytest.approx(share, abs=1)


def test_an_idle_stretch_is_seen_where_it_is() -> None:
    # a long poll in the middle leaves exactly its bins empty
    loop = Iterations(start_ns=(0, 400_000, 800_000), poll_ns=(0, 400_000, 0), run_ns=(400_000, 0, 200_000), ready=(1, 0, 1))
    bins = busy(loop, 1_000_000)
    assert set(bins[:400]) == {100}
    assert set(bins[400:800]) == {0}
    assert set(bins[800:]) == {100}
