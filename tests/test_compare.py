"""Two runs beside each other: verdicts, intervals, gates, what is printed, and how faults are told."""

import math
import random
import re
from pathlib import Path

import documents
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from loopdiag import compare as comparing
from loopdiag.analysis.comparison import compare, compare_arms, fieller, slope_change
from loopdiag.cli import main
from loopdiag.errors import InputError
from loopdiag.gate import parse_gate
from loopdiag.model.comparison import ArmComparison
from loopdiag.model.diagnosis import SCHEMA, ArmDiagnosis, CauseFound, Diagnosis, LedgerEntry, Point
from loopdiag.model.law import Estimate, Law
from loopdiag.model.program import Place
from loopdiag.report import comparing as comparing_words
from loopdiag.report.html import render as render_html
from loopdiag.report.json import read, render, written
from loopdiag.report.text import render as render_text
from loopdiag.report.text_compare import render_comparison

NS = (25, 50, 100, 200)


def arm(
    slope_ms: float,
    *,
    noise: float = 0.02,
    seed: int = 0,
    ns: tuple[int, ...] = NS,
    repetitions: int = 4,
    name: str = "program/own",
    causes: tuple[CauseFound, ...] = (),
    ledger: tuple[LedgerEntry, ...] = (),
) -> ArmDiagnosis:
    """A program whose total is 20 ms and so much more for each request, give or take the noise."""
    draw = random.Random(seed)
    points = tuple(
        Point(n=n, total_s=tuple((0.02 + slope_ms / 1e3 * n) * (1 + draw.gauss(0, noise)) for _ in range(repetitions))) for n in ns
    )
    slope = Estimate(value=slope_ms, low=slope_ms * 0.95, high=slope_ms * 1.05)
    client, _, loop = name.partition("/")
    law = Law(form="a + b*N", exponent=Estimate(value=1.0, low=0.9, high=1.1))
    return ArmDiagnosis(
        arm=name, client=client, loop=loop, versions={}, points=points, law=law, slope_ms=slope, causes=causes, ledger=ledger
    )


def run(*arms: ArmDiagnosis, scenario: str = "client") -> Diagnosis:
    return Diagnosis(scenario=scenario, question="?", environment=documents.ENVIRONMENT, arms=arms)


@pytest.mark.parametrize(
    ("before", "after", "noise", "change"),
    [
        (2.0, 3.0, 0.02, "slower"),
        (3.0, 2.0, 0.02, "faster"),
        (2.0, 2.0, 0.02, "no difference seen"),
        (2.0, 2.1, 0.2, "no difference seen"),
    ],
)
def test_the_verdict_follows_the_interval(before: float, after: float, noise: float, change: str) -> None:
    # slower and faster only where the difference's interval leaves 0; else what could have been seen
    made = compare_arms(arm(before, noise=noise, seed=1), arm(after, noise=noise, seed=2))
    assert made.change == change
    assert (made.visible is not None) == (change == "no difference seen")
    assert made.ratio is not None
    assert made.ratio.low is not None
    assert made.ratio.high is not None
    assert made.ratio.low < after / before < made.ratio.high


def test_the_difference_covers_the_truth() -> None:
    # over 150 pairs of runs without a difference, about 5 % are told as one
    wrong = sum(compare_arms(arm(2.0, seed=2 * k), arm(2.0, seed=2 * k + 1)).change != "no difference seen" for k in range(150))
    assert wrong <= 150 * 0.05 + 3 * math.sqrt(150 * 0.05 * 0.95)


@given(old=st.floats(0.5, 50), new=st.floats(-50, 50), relative=st.floats(0.001, 0.4), t=st.floats(1.96, 4))
def test_the_ratio_holds_its_own_value_and_agrees_with_the_difference(old: float, new: float, relative: float, t: float) -> None:
    # Fieller's interval holds the ratio, and it holds 1 exactly where the difference's holds 0
    variances = ((relative * old) ** 2, (relative * new) ** 2)
    made = fieller(old, new, variances, t)
    if made.low is None or made.high is None:
        assert t * relative >= 1
        return
    assert made.low - 1e-9 <= made.value <= made.high + 1e-9
    gap = abs(new - old) - t * math.sqrt(sum(variances))
    if abs(gap) > 1e-6:
        assert (made.low <= 1 <= made.high) == (gap < 0)


def test_without_repetitions_nothing_is_decided() -> None:
    # two totals alone carry no interval, and the reason is told
    made = compare_arms(arm(2.0, ns=(50, 100), repetitions=1), arm(9.0, ns=(50, 100), repetitions=1))
    assert made.change == "not decided"
    assert "repetitions" in made.why
    assert made.ratio is not None
    assert made.ratio.low is None


def test_a_run_without_a_slope_is_not_decided() -> None:
    # one value of N has no slope: the earlier or the later run is named
    assert "later" in compare_arms(arm(2.0), arm(2.0, ns=(50,))).why
    assert "earlier" in compare_arms(arm(2.0, ns=(50,)), arm(2.0)).why


def test_slopes_are_compared_over_the_same_n() -> None:
    # a law that bends has another slope over another sweep: only the N of both count, where there are two
    long = arm(2.0, ns=(*NS, 400, 800))
    bent = replace(long, points=tuple(replace(p, total_s=tuple(t * (5 if p.n > 200 else 1) for t in p.total_s)) for p in long.points))
    made = compare_arms(arm(2.0, seed=3), bent)
    assert made.ns == NS
    assert made.change == "no difference seen"
    assert compare_arms(arm(2.0, ns=(10, 20, 40)), arm(2.0)).ns == ()


def test_slopes_of_a_law_that_bends_are_not_compared_over_other_n() -> None:
    # twice the N of N squared has twice the slope: nothing became slower
    bent = Law(form="a + b*N^2")
    made = compare_arms(replace(arm(2.0, ns=(10, 20, 40)), law=bent), replace(arm(4.0, ns=(50, 80, 160)), law=bent))
    assert (made.change, made.difference_ms, made.ratio) == ("not decided", None, None)
    assert "other N have another slope" in made.why
    assert compare_arms(arm(2.0, ns=(10, 20, 40)), arm(4.0, ns=(50, 80, 160))).change == "slower"


def test_there_is_no_ratio_to_a_slope_of_nothing() -> None:
    # infinity is no number of JSON, which then could not be read again
    nothing, something = {10: [0.0, 0.0], 20: [0.0, 0.0]}, {10: [1.0, 1.1], 20: [2.0, 2.1]}
    difference, ratio = slope_change(nothing, something)
    assert ratio is None
    assert difference.value == pytest.approx(100)


def test_accounts_that_changed_are_named_largest_first() -> None:
    # an account is told where its interval leaves 0 and it is worth a line
    before = (LedgerEntry(account="a", slope_ms=1.0, low=0.9, high=1.1), LedgerEntry(account="b", slope_ms=1.0, low=0.9, high=1.1))
    after = (
        LedgerEntry(account="a", slope_ms=1.05, low=0.9, high=1.2),
        LedgerEntry(account="b", slope_ms=1.6, low=1.5, high=1.7),
        LedgerEntry(account="c", slope_ms=2.0, low=1.9, high=2.1),
    )
    made = compare_arms(arm(2.0, ledger=before), arm(4.65, ledger=after))
    assert [(found.account, found.before_ms) for found in made.accounts] == [("c", 0.0), ("b", 1.0)]


def test_causes_that_came_and_went_are_named() -> None:
    # a cause is known by its name, since lines move; refuted ones and "none" are no causes
    lock, pool = CauseFound(cause="lock_serialization", place=Place(file="a.py", line=3, text="async with lock:")), CauseFound(cause="pool")
    moved = replace(lock, place=Place(file="a.py", line=9, text="async with lock:"))
    refuted, none = CauseFound(cause="gc_pauses", verdict="REFUTED"), CauseFound(cause="none")
    made = compare_arms(arm(2.0, causes=(pool, lock, none)), arm(2.0, causes=(moved, lock, refuted)))
    assert [cause.cause for cause in made.came] == ["lock_serialization"]
    assert [cause.cause for cause in made.went] == ["pool"]


def test_a_line_that_is_not_to_be_had_leaves_no_quotes() -> None:
    # its place alone is told
    made = compare_arms(arm(2.0), arm(2.0, causes=(CauseFound(cause="pool", place=Place(file="a.py", line=3)),)))
    assert [comparing_words.cause(change) for change in made.came] == ["pool, a.py:3"]


def test_arms_are_paired_by_name_or_as_the_only_ones() -> None:
    # the only arms of both runs are compared whatever they are called; of several, those of the same name
    one = compare(run(arm(2.0, name="httpx/asyncio")), run(arm(2.0)))
    assert [(made.before_arm, made.arm) for made in one.arms] == [("httpx/asyncio", "program/own")]
    two = compare(run(arm(2.0, name="a/b"), arm(2.0, name="c/d")), run(arm(2.0, name="c/d"), arm(2.0, name="e/f")))
    assert [made.arm for made in two.arms] == ["c/d"]
    assert (two.only_before, two.only_after) == (("a/b",), ("e/f",))


def test_what_else_changed_is_told() -> None:
    # another machine, another Python, another version: the code is not alone to blame
    old = run(replace(arm(2.0), versions={"aiohttp": "3.14.4"}))
    new = run(replace(arm(2.0), versions={"aiohttp": "3.14.5"}), scenario="other")
    new = replace(new, environment=replace(new.environment, python="CPython 3.12.1"))
    told = "\n".join(compare(old, new).differs)
    assert all(text in told for text in ("3.14.4 → 3.14.5", "CPython 3.12.1", "other"))
    assert compare(old, old).differs == ()


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("ratio > 1.1", True),
        ("program/own.ratio.low > 1.1", True),
        ("ratio.low > 1.9", False),
        ("difference_ms < -1", False),
        ("difference_ms.high < 2", True),
        ("causes_came > 0", True),
        ("slope_ms > 2.5", True),
    ],
)
def test_gates_decide_on_the_comparison(text: str, holds: bool) -> None:
    # the fields of a comparison are gates like the others, with their bounds
    later = arm(3.0, seed=1, causes=(CauseFound(cause="pool"),))
    made = comparing.beside(run(later), comparing.Baseline(place="A", diagnosis=run(arm(2.0))))
    assert bool(parse_gate(text).verdict(made)[0]) is holds


def test_a_gate_on_a_comparison_needs_one() -> None:
    # without a baseline such a gate decides nothing, and says so
    holds, unknown = parse_gate("ratio > 1.1").verdict(run(arm(2.0)))
    assert not holds
    assert "no baseline" in unknown[0]


def kept(folder: Path, diagnosis: Diagnosis) -> Path:
    """A run's folder with nothing but its answer."""
    folder.mkdir()
    (folder / "diagnosis.json").write_text(written(diagnosis), encoding="utf-8")
    return folder


def test_the_verb_prints_writes_and_gates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # folders and files alike; exit 4 where a gate holds; the JSON holds the baseline and the comparison
    before = kept(tmp_path / "A", run(arm(2.0)))
    after = kept(tmp_path / "B", run(arm(3.0, seed=1, causes=(CauseFound(cause="pool", detail="limit 10", share=0.4),))))
    out = tmp_path / "made.json"
    argv = ["compare", str(before), str(after / "diagnosis.json"), "--fail-if", "ratio.low > 1.1", "--json", str(out)]
    assert main(argv) == 4
    shown = capsys.readouterr()
    assert "slower: 1." in shown.out
    assert "came pool (limit 10), 40 % of the slope" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80
    assert "ratio.low > 1.1" in shown.err
    made = read(out.read_bytes())
    assert made.comparison is not None
    assert made.comparison.arms[0].change == "slower"
    assert [found.arm for found in made.baselines] == ["program/own"]
    assert main([*argv[:3], "--fail-if", "ratio > 9"]) == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file"),
        ("{", "holds no diagnosis"),
        ("[]", "holds no diagnosis"),
        ('{"schema": "har"}', "holds no diagnosis"),
        ('{"arms": 5}', "holds no diagnosis"),
        ('{"arms": [{"causes": 5}]}', "holds no diagnosis"),
        pytest.param("[" * 100_000, "holds no diagnosis", id="deep"),
        pytest.param(written(run(arm(2.0))).replace(SCHEMA, "loopdiag/diagnosis/2"), "schema 'loopdiag/diagnosis/2'", id="later"),
        ("\udcff", "holds no diagnosis"),
    ],
)
def test_what_is_no_run_is_told_in_a_line(content: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # a missing or foreign file is the user's mistake: exit 2, one line, its name
    file = tmp_path / "it.json"
    if content is not None:
        file.write_bytes(content.encode("utf-8", "surrogateescape"))
    good = kept(tmp_path / "B", run(arm(2.0)))
    assert main(["compare", str(file), str(good)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert "it.json" in line


def test_a_folder_that_was_only_recorded_says_what_to_do(tmp_path: Path) -> None:
    # record leaves no diagnosis: the line names the verb that writes it
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="loopdiag diagnose"):
        comparing.read(tmp_path)


def test_runs_without_a_common_arm_cannot_be_compared(tmp_path: Path) -> None:
    # several arms and none in common: a fault that lists both
    before = kept(tmp_path / "A", run(arm(1.0, name="a/b"), arm(1.0, name="c/d")))
    after = kept(tmp_path / "B", run(arm(1.0)))
    with pytest.raises(InputError, match="no arm in common: a/b, c/d; program/own"):
        comparing.compare(before, after)


def test_a_kept_baseline_stays_with_its_run(tmp_path: Path) -> None:
    # what is kept in a run's folder is compared with every time the run is diagnosed; a damaged one is told
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    document = documents.EDGES["explained"]()
    earlier = comparing.Baseline(place="A", diagnosis=document.diagnosis)
    assert comparing.with_baseline(document, tmp_path) == document
    comparing.keep(earlier, tmp_path)
    made = comparing.with_baseline(document, tmp_path).diagnosis
    assert made.baselines == document.diagnosis.arms
    assert made.comparison is not None
    assert {found.change for found in made.comparison.arms} <= {"no difference seen", "not decided"}
    (tmp_path / comparing.KEPT).write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="give --baseline again"):
        comparing.with_baseline(document, tmp_path)


def test_nothing_is_kept_in_a_folder_that_is_no_run(tmp_path: Path) -> None:
    # a mistyped folder is left as it was
    comparing.keep(comparing.Baseline(place="A", diagnosis=run(arm(2.0))), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", documents.EDGES)
def test_every_report_shows_the_comparison(name: str) -> None:
    # text and page say the verdict of each arm; the JSON reads back as it was written
    document = documents.EDGES[name]()
    earlier = comparing.Baseline(place="an earlier\x1b one <b>", diagnosis=document.diagnosis)
    document = replace(document, diagnosis=comparing.beside(document.diagnosis, earlier))
    assert document.diagnosis.comparison is not None
    text, page = render_text(document), render_html(document)
    assert "ompared with an earlier" in text
    assert "\x1b" not in text
    assert 'id="comparison"' in page
    assert "one <b>" not in page
    for made in document.diagnosis.comparison.arms:
        said = made.change if made.change != "no difference seen" else "no difference"
        assert said in re.sub(r"\s+", " ", text)
    assert msgspec.to_builtins(read(render(document))) == msgspec.to_builtins(document.diagnosis)


def test_a_ratio_to_a_slope_that_may_be_0_is_not_shown() -> None:
    # every ratio is possible then: the difference is told alone, with the reason
    flat = replace(arm(0.0), points=tuple(Point(n=n, total_s=(0.02 + n * 1e-8, 0.0203, 0.0198)) for n in NS))
    made = comparing.beside(run(arm(3.0, seed=1)), comparing.Baseline(place="A", diagnosis=run(flat)))
    (found,) = made.comparison.arms if made.comparison is not None else ()
    assert found.change == "slower"
    assert comparing_words.ratio(found) == "–"
    said = " ".join(render_comparison(made).split())
    assert "slower: +" in said
    assert " times, " not in said
    assert "no ratio: the former slope may be 0" in said


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_text_keeps_to_its_width(width: int) -> None:
    # no line is longer than the terminal
    made = comparing.beside(documents.EDGES["hostile"]().diagnosis, _earlier())
    assert max(map(len, render_comparison(made, width=width).splitlines())) <= width


def _earlier() -> comparing.Baseline:
    return comparing.Baseline(place="A", diagnosis=run(arm(1.0)))


def test_an_arm_comparison_is_a_value() -> None:
    # what is kept is small and reads back
    made = compare_arms(arm(2.0), arm(3.0))
    assert msgspec.json.decode(msgspec.json.encode(made), type=ArmComparison) == made


FAKE = """
arms = ["fake/virtual"]
[target.service]
mean_ms = 20
[sweep]
n = [5, 10, 20, 40, 80]
repetitions = 3
max_repetitions = 3
budget_s = 20
[verify]
enabled = false
[fake]
cpu_us = 400
noise = 0.01
"""


@pytest.mark.slow
def test_a_run_is_compared_with_its_baseline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # --baseline reads before anything is measured, is printed, gated, kept in diagnosis.json and in the page, and is there when diagnosed again
    (tmp_path / "before.toml").write_text(FAKE, encoding="utf-8")
    (tmp_path / "after.toml").write_text(FAKE.replace("cpu_us = 400", "cpu_us = 900"), encoding="utf-8")
    before, after = tmp_path / "A", tmp_path / "B"
    assert main(["run", "-q", str(tmp_path / "after.toml"), "--out", str(after), "--baseline", str(before)]) == 2
    assert not after.exists()
    assert main(["run", "-q", str(tmp_path / "before.toml"), "--out", str(before)]) == 0
    capsys.readouterr()
    argv = ["run", "-q", str(tmp_path / "after.toml"), "--out", str(after), "--baseline", str(before), "--fail-if", "ratio.low > 1.5"]
    assert main(argv) == 4
    assert "slower: 2." in capsys.readouterr().out
    made = read((after / "diagnosis.json").read_bytes())
    assert made.comparison is not None
    assert made.comparison.before == str(before)
    assert 'id="comparison"' in (after / "report.html").read_text(encoding="utf-8")
    assert main(["diagnose", str(after), "--fail-if", "causes_came > 5"]) == 0
    assert "slower: 2." in capsys.readouterr().out
    assert main(["compare", str(before), str(after), "--fail-if", "ratio.low > 1.5"]) == 4
