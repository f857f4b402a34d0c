"""What the reports lead with: the ledger in parts and words, causes with their verdicts, prescriptions, on the page and in the terminal."""

import json
import re
from collections.abc import Callable
from html import unescape

import answer_parts
import documents
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from loopdiag.model.diagnosis import ArmDiagnosis, CauseFound, Evidence, LedgerEntry
from loopdiag.model.document import Document
from loopdiag.model.flame import CLASSES
from loopdiag.model.law import Estimate
from loopdiag.model.ledger import ACCOUNTS, Account, ArmLedger, Step, TrialLedger
from loopdiag.model.program import Place
from loopdiag.report import accounts, findings
from loopdiag.report.account_style import PAGES, account_colours, account_ground
from loopdiag.report.html import render
from loopdiag.report.page_bar import MOST_LANES, Lanes, value
from loopdiag.report.page_data import embedded
from loopdiag.report.page_path import MOST_STEPS, path_columns, paths
from loopdiag.report.palette import luminance, text_on
from loopdiag.report.text import render_terminal


def arm_of(document: Document, name: str) -> ArmDiagnosis:
    """One arm by name."""
    return next(arm for arm in document.diagnosis.arms if arm.arm == name)


def with_ledger(*entries: tuple[str, float], slope: float = 2.22, hops: dict[str, tuple[tuple[int, float], ...]] | None = None) -> Document:
    """A run whose first arm has these accounts."""
    base = documents.small()
    arm = replace(
        base.diagnosis.arms[0],
        slope_ms=Estimate(value=slope, low=slope - 0.05, high=slope + 0.05),
        ledger=tuple(LedgerEntry(account=name, slope_ms=value) for name, value in entries),
    )
    ledgers = (ArmLedger(arm=arm.arm, hops=hops),) if hops is not None else ()
    return replace(base, diagnosis=replace(base.diagnosis, arms=(arm,)), ledgers=ledgers)


def equation(document: Document) -> str:
    """The first arm's."""
    return accounts.equation(document, document.diagnosis.arms[0])


def text_of(document: Document, width: int = 80) -> str:
    """The terminal's words without their line ends."""
    return " ".join(render_terminal(document, width=width, colour=False).split())


def lead_of(document: Document) -> str:
    """The page's section `why`, without tags."""
    found = re.search(r'<section id="why">(.*?)</section>', render(document), re.DOTALL)
    assert found is not None
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", found[1])).split())


# --- the ledger


def test_the_slope_reads_as_a_sum() -> None:
    # loop first, then outside, then unexplained, each group by size, with the waves of the limit at the server's part
    made = with_ledger(
        ("server", 0.35), ("loop/client-library", 0.70), ("loop/tls-handshake", 0.91), ("unexplained", 0.07), ("ssl", 0.19), hops={"pool": ((100, 1.0), (800, 7.0))}
    )  # fmt: skip
    assert (
        equation(made)
        == "2.22 ±0.05 ms/request = 0.91 tls-handshake + 0.70 client-library + 0.35 server in 8 waves + 0.19 ssl + 0.07 unexplained"
    )


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([("loop/pool", 2.2), ("unexplained", 0.02)], "2.20 pool + 0.02 unexplained"),
        ([("loop/pool", 2.3), ("server", -0.08)], "2.30 pool − 0.08 server"),
        ([("loop/dns", 1.0), ("dns", 1.22)], "1.00 dns (client) + 1.22 dns"),
        ([("loop/pool", 2.19), ("loop/gc", 0.015), ("send", 0.015)], "2.19 pool + 0.03 in 2 smaller"),
        ([("loop/pool", 2.204), ("loop/gc", 0.016)], "2.20 pool + 0.02 gc"),
        ([("loop/pool", 2.219), ("loop/gc", 0.001), ("unexplained", 0.0)], "2.22 pool + 0.00 unexplained"),
        ([("loop/pool", 2.0)], "2.00 pool (the parts add up to 2.00)"),
        ([], ""),
    ],
)
def test_parts_are_named_rounded_and_signed(entries: list[tuple[str, float]], said: str) -> None:
    # what would vanish is summed up, what shrinks has a minus, what does not add up says so, and no ledger has no sentence
    assert equation(with_ledger(*entries)).partition(" = ")[2] == said


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=12), st.integers(0, 4))
def test_rounded_parts_add_up(values: list[float], decimals: int) -> None:
    # the rounded values sum to the rounded sum, and each is less than a unit away from its value
    made = accounts.rounded(values, decimals)
    unit = 10.0**-decimals
    assert sum(made) == pytest.approx(round(sum(values) / unit) * unit, abs=1e-6)
    assert all(abs(a - b) <= unit * 1.0001 for a, b in zip(made, values, strict=True))


def test_accounts_come_from_the_ledger_where_the_diagnosis_has_none() -> None:
    # the arm's own entries first, else its ledger's accounts, with shares of the slope
    base = documents.small()
    arm = replace(base.diagnosis.arms[0], slope_ms=Estimate(value=4.0))
    ledger = ArmLedger(arm=arm.arm, accounts=(Account(account="loop/pool", slope_ms=Estimate(value=3.0, low=2.0, high=4.0)),))
    (part,) = accounts.parts(replace(base, ledgers=(ledger,)), arm)
    assert (part.name, part.share, part.low, part.high, part.group) == ("pool", 0.75, 2.0, 4.0, "loop")


@pytest.mark.parametrize(
    ("loop", "said"),
    [("asyncio", "loop"), ("uvloop", "loop"), ("trio", "loop"), *((name, "client") for name in ("sync", "threads", "processes", "own"))],
)
def test_what_ran_is_the_loops_only_where_there_is_one(loop: str, said: str) -> None:
    # over the bar, and beside the critical path of each trial, which are one page's for arms with a loop and for those without
    base = with_ledger(("loop/user", 1.8), ("server", 0.42))
    arm = replace(base.diagnosis.arms[0], loop=loop)
    line = next(each for each in base.timelines if each.arm == arm.arm)
    ledger = ArmLedger(arm=arm.arm, trials=(answer_parts.trial_ledger(line),))
    document = replace(base, diagnosis=replace(base.diagnosis, arms=(arm,)), ledgers=(ledger,))
    assert lead_of(document).count(f"{said} 81 %") == 2  # on a wide page and on a narrow one
    assert lead_of(document).count({"loop": "client", "client": "loop"}[said] + " 81 %") == 0
    drawn = next(each for each in json.loads(embedded(document))["timelines"] if each["trial"] == line.trial)
    assert drawn["path"]["inside"] == said


def test_hops_are_told() -> None:
    # through what, how often, how many waves; one request alone; nothing where nothing is known
    made = with_ledger(("server", 1.0), hops={"pool": ((800, 7.0),), "schedule": ((800, 2.0),), "worker": ((50, 3.0),)})
    assert (
        accounts.hops_line(made, made.diagnosis.arms[0])
        == "At N = 800 the critical path goes 7 times through the pool, 2 times through the schedule: the total is made of 8 waves."
    )
    alone = with_ledger(("server", 1.0), hops={"pool": ((800, 0.0),)})
    assert accounts.hops_line(alone, alone.diagnosis.arms[0]) == "At N = 800 the critical path stays with one request."
    assert accounts.hops_line(documents.small(), documents.small().diagnosis.arms[0]) == ""


def test_every_account_has_a_colour_of_its_own_and_legible_text() -> None:
    # no two accounts of one kind share a colour, and text stands out on each ground by 4.5 to 1, on both pages
    for page in range(len(PAGES)):
        solid = [account_colours(name)[page] for name in ACCOUNTS if not accounts.waits(name)]
        hatched = [account_colours(name)[page] for name in ACCOUNTS if accounts.waits(name)]
        assert len(set(solid)) == len(solid) == len(CLASSES)
        assert len(set(hatched)) == len(hatched)
        for name in ACCOUNTS:
            ground = account_ground(name, page)
            light, dark = sorted((luminance(ground), luminance(text_on(ground))), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, name


# --- causes


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (CauseFound(cause="a", share=0.82, low=0.78, high=0.85), "82 ±4 %"),
        (CauseFound(cause="a", share=0.034), "3.4 %"),
        (CauseFound(cause="a", share=0.5, low=0.2, high=0.55), "50.0 [20.0, 55.0] %"),
        (CauseFound(cause="a"), ""),
    ],
)
def test_shares_are_percentages_with_intervals(cause: CauseFound, said: str) -> None:
    # an interval where there is one, and nothing where the share is not known
    assert findings.share(cause) == said


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (100, "requests", "100 requests"),
        (1234567, "B", "1234567 B"),
        (0.123456, "ms", "0.123 ms"),
        (0.81, "share", "81 %"),
        (1.94, "1", "1.94"),
        (2.0, "", "2"),
        (float("inf"), "", "–"),
    ],
)
def test_figures_are_short(value: float, unit: str, said: str) -> None:
    # whole numbers whole, others with three digits, shares in percent
    assert findings.figure(Evidence(what="x", value=value, unit=unit)) == said


def test_a_cause_is_compared_with_its_own_base() -> None:
    # before is the interleaved base where there is one, else the arm's slope; without prediction and effect nothing is compared
    arm = arm_of(documents.explained(), "httpx/asyncio")
    first, second = arm.causes
    assert findings.slopes_line(arm, second) == "4.51 ±0.14 → 1.27 ±0.06 ms/request; predicted 1.47 ±0.18"
    alone = replace(first, base=None, effect=None)
    assert findings.slopes_line(arm, alone) == "24.5 [23.5, 26.7] → 4.2 ±0.4 ms/request predicted"
    assert findings.slopes(arm, replace(alone, predicted=None)) == []


def test_refuted_causes_stand_last_and_never_lead() -> None:
    # the sentence names the first confirmed cause, else the first that stands, else says that none is left
    base = documents.unproved()
    struck, none, open_arm = base.diagnosis.arms[:3]
    assert findings.sentence(struck).endswith("no cause is left: client_pool_limit did not hold.")
    assert findings.sentence(none).endswith("no cause was found.")
    assert "gc_pauses, not verified" in findings.sentence(open_arm)
    assert [cause.verdict for cause in findings.standing(open_arm)] == ["NOT_TRIED", "REFUTED"]
    told = arm_of(documents.explained(), "aiohttp/uvloop")
    later = replace(told, causes=(told.causes[1], told.causes[0]))
    assert "tls_handshake_cpu (handshakes of the first wave), confirmed by changing it" in findings.sentence(later)


def test_the_steepest_arm_comes_first() -> None:
    # arms by slope, those without one last
    base = documents.explained()
    arms = (replace(base.diagnosis.arms[0], slope_ms=None), *base.diagnosis.arms[1:])
    shown = findings.worst_first(replace(base, diagnosis=replace(base.diagnosis, arms=arms)))
    assert [arm.arm for arm in shown] == ["httpx/uvloop", "aiohttp/asyncio", "aiohttp/uvloop", "httpx/asyncio"]
    assert "Its growth is not known" in findings.sentence(shown[-1])


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("", []),
        ("--- a\n+++ b\n@@ -1 +1 @@\n x = 1\n-y = 2\n+y = 3\n", ["file", "file", "hunk", "same", "removed", "added"]),
        ("-x\r\n", ["removed"]),
    ],
)
def test_diff_lines_have_kinds(text: str, kinds: list[str]) -> None:
    # each line of a unified diff is told apart
    assert [kind for kind, _ in findings.diff_lines(text)] == kinds


# --- the page and the terminal


@pytest.mark.parametrize("show", [lead_of, text_of])
def test_the_answer_leads(show: Callable[[Document], str]) -> None:
    # sentence, sum, verdicts in words, prediction and effect, change, remedy, interaction and prescription, in both reports
    said = show(documents.explained())
    for text in (
        "One more request costs 24.5 [23.5, 26.7] ms; 82 ±4 % of it goes with library_overhead (httpcore pool scan), confirmed by changing it: 24.5 ±0.7 → 4.51 ±0.14 ms/request.",
        "24.5 [23.5, 26.7] ms/request = 20.0 pool + 1.7 client-library",
        "CONFIRMED",
        "REFUTED",
        "INCONCLUSIVE",
        "NOT APPLICABLE",
        "NOT TRIED",
        "workload.concurrency: none → 100",
        "alone it does not help, since it wakes the pool's scan",
        "The budget for verification (100 s) was over",
        "Keep as many connections alive as the pool may have",
        "19.2 ±1.7 × less per request: 24.5 ±0.7 → 1.27 ±0.06 ms/request, T(N) = a + b·N",
        "+concurrency = 100",
    ):
        assert text in said
    assert said.index("library_overhead") < said.index("no_connection_reuse") < said.index("Prescription") < said.index("tls_handshake_cpu")


@pytest.mark.parametrize("show", [lead_of, text_of])
def test_what_is_not_there_is_said_once(show: Callable[[Document], str]) -> None:
    # no ledger (why), no cause, `none`, and a run that was not examined at all: a line each
    healthy = show(documents.healthy())
    assert "No ledger: its timeline trials lack the column body_ns." in healthy
    assert "Nothing that grows was found" in healthy
    assert "The slope's interval includes 0" in healthy
    assert "No cause was named." in show(documents.unproved())
    assert show(documents.small()).count(findings.NOT_EXAMINED) == 1


def test_struck_causes_are_struck_in_the_open() -> None:
    # a refuted cause is crossed out, with its figures beside it, and its verdict is a word
    page = render(documents.unproved())
    assert page.count('<s class="law name">client_pool_limit</s>') == 3
    card = page[page.index('<li class="cause refuted">') :]
    assert "0.96 ±0.03" in card[: card.index("</li>")]


def test_dots_stand_on_one_scale_from_zero() -> None:
    # before, predicted and measured lie where their values are between 0 and a little more than the largest
    page = render(documents.explained())
    figure = page[page.index('<figure class="dots">') :]
    places = [float(x) for x in re.findall(r'circle cx="([0-9.]+)%"', figure[: figure.index("</figure>")])]
    values = [24.5, 24.5 * 0.17, 24.5 * 0.184]
    assert [place / places[0] for place in places] == pytest.approx([value / values[0] for value in values], abs=1e-3)
    assert 80 < places[0] < 100


def test_a_bar_is_as_wide_as_its_accounts() -> None:
    # the segments' widths are in proportion to the accounts that grow, and stand side by side
    page = render(with_ledger(("loop/pool", 1.5), ("server", 0.5), ("ssl", -0.2)))
    bar = page[page.index('<svg class="ledger"') :]
    found = re.findall(r'class="account account-\d+" x="([0-9.]+)%" y="\d+" width="([0-9.]+)%"', bar)
    (first, second) = [(float(x), float(wide)) for x, wide in found]
    assert first[1] / second[1] == pytest.approx(3, rel=0.01)
    assert second[0] == pytest.approx(first[0] + first[1], abs=0.1)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_terminals_bar_fits_and_shows_waits_apart(width: int) -> None:
    # one line as wide as the paragraph, `=` where the loop ran and `.` where it waited
    made = with_ledger(("loop/pool", 1.1), ("server", 0.82), ("unexplained", 0.3))
    (line,) = [line for line in render_terminal(made, width=width, colour=False).splitlines() if line.startswith("  |")]
    assert len(line) <= width
    assert re.fullmatch(r"  \|=[^|]*\|\.[^|]*\|\?[^|]*\|", line)
    assert "pool" in line


def test_a_terminal_colours_verdicts_and_diffs() -> None:
    # verdict and diff have colours of their own, and the struck name is struck
    text = render_terminal(documents.explained(), width=100, colour=True)
    assert "\x1b[1;32mCONFIRMED" in text
    assert "\x1b[32m+concurrency = 100" in text
    assert re.search(r"\x1b\[9mclient_pool_limit", text)


# --- what the page's scripts draw from


def test_a_prescription_is_a_line_of_its_own() -> None:
    # beside its arm, in the same colour, marked as prescribed, with its own points and curve
    arms = json.loads(embedded(documents.explained()))["arms"]
    assert [(arm["name"], arm["prescribed"]) for arm in arms[:2]] == [("httpx/asyncio", False), ("httpx/asyncio, prescribed", True)]
    assert arms[0]["hue"] == arms[1]["hue"]
    assert arms[0]["points"] != arms[1]["points"]
    assert [arm["name"] for arm in arms if arm["prescribed"]] == ["httpx/asyncio, prescribed", "httpx/uvloop, prescribed"]


def test_accounts_over_n_add_up_to_their_points() -> None:
    # every account that is ever more than 0 is there, in ms at each N
    document = documents.explained()
    made = {row["arm"]: row for row in json.loads(embedded(document))["ledgers"]}
    for ledger in document.ledgers:
        columns = made[ledger.arm]
        for k, n in enumerate(columns["n"]):
            whole = sum(dict(account.points).get(n, 0.0) for account in ledger.accounts)
            assert sum(row["ms"][k] for row in columns["rows"]) == pytest.approx(whole, rel=1e-3)


steps = st.lists(
    st.tuples(
        st.integers(0, 10**7),
        st.sampled_from(["loop", "server", "ssl", "what?"]),
        st.one_of(st.none(), st.integers(0, 50)),
        st.sampled_from(["", "pool"]),
    ),
    min_size=1,
    max_size=30,
)


@given(steps)
def test_the_path_keeps_its_ends(life: list[tuple[int, str, int | None, str]]) -> None:
    # its steps' lengths add up to the trial in microseconds, and columns have one element a step
    made, at = [], 0
    for length, account, request, via in life:
        made.append(Step(start_ns=at, end_ns=at + length, account=account, request=request, via=via))
        at += length
    columns = path_columns(TrialLedger(trial="t", arm="a/b", n=1, total_ns=at, charges={}, steps=tuple(made)))
    if columns is None:
        assert at < 1000
        return
    lengths = documents.unpacked_numbers(columns["lengths"])
    assert sum(lengths) == (at + 500) // 1000
    assert len(documents.unpacked_numbers(columns["request"])) == len(lengths) - 1


def test_a_path_that_is_too_long_for_the_page_is_left_out() -> None:
    # no page grows without bound, and a trial without steps has no path
    line = documents.small().timelines[0]
    step = Step(start_ns=0, end_ns=1, account="loop")
    long = replace(answer_parts.trial_ledger(line), steps=(step,) * (MOST_STEPS + 1))
    document = replace(documents.small(), ledgers=(ArmLedger(arm=line.arm, trials=(long, replace(long, trial="other", steps=()))),))
    assert paths(document) == {}
    assert path_columns(None) is None


def test_intervals_do_not_lie_on_each_other() -> None:
    # intervals that overlap take lanes of their own, that of the whole the last one; where too many overlap the rest stands in the list only
    lanes = Lanes()
    for low, high, kind in ((-0.2, 0.05, "d"), (0.1, 0.5, "a"), (0.4, 0.6, "b"), (0.55, 0.7, "c"), (0.9, 1.4, "total")):
        lanes.add(low, high, kind)
    found = [re.match(r'<g class="whisker (\w+)"><line [^>]*y1="(\d+)"', drawn) for drawn in lanes.drawn]
    heights = {match[1]: match[2] for match in found if match}
    assert len(lanes.used) == 3
    assert heights["a"] == heights["c"] != heights["b"]
    assert heights["total"] not in {heights["a"], heights["b"]}
    crowded = Lanes()
    for _ in range(9):
        crowded.add(0.0, 1.0, "a")
    assert len(crowded.drawn) == MOST_LANES


@pytest.mark.parametrize(
    ("slope", "half", "said"),
    [
        (20.0, 1.6, "20.0 ±1.6"),
        (8.5, 4.0, "8.5 ±4"),
        (0.0581, 0.08, "0.058 ±0.08"),
        (1.234, 0.02, "1.23 ±0.02"),
        (-0.0511, 1.6, "-0.051 ±1.6"),
    ],
)
def test_an_accounts_slope_keeps_two_digits(slope: float, half: float, said: str) -> None:
    # however wide its interval is, so that the parts can be compared
    document = with_ledger(("server", slope))
    (part,) = accounts.parts(document, document.diagnosis.arms[0])
    assert value(replace(part, low=slope - half, high=slope + half)) == said


def test_the_line_of_the_program_stands_beside_the_cause() -> None:
    # every report prints file, line and code of what is to be changed, as the program has it
    document = documents.explained()
    place = Place(file="/home/me/client.py", line=14, text="async with sem:  # <b>")
    arms = tuple(replace(arm, causes=tuple(replace(cause, place=place) for cause in arm.causes)) for arm in document.diagnosis.arms)
    placed = replace(document, diagnosis=replace(document.diagnosis, arms=arms))
    assert "client.py:14 `async with sem: # <b>`" in text_of(placed, width=200)
    assert "client.py:14 `async with sem: # <b>`" in unescape(lead_of(placed))
    assert findings.placed(replace(arms[0].causes[0], place=None)) == ""
    assert findings.placed(replace(arms[0].causes[0], place=Place(file="a.py", line=3))) == "a.py:3"
