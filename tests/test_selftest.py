"""The self-test's table, its campaign and its verb; rows are not run for real here."""

import os
import subprocess
from collections import Counter
from pathlib import Path

import documents
import msgspec
import pytest

from loopdiag import cli
from loopdiag.causes import CAUSES
from loopdiag.errors import InputError, LoopdiagError, NothingMeasured
from loopdiag.model.diagnosis import CauseFound, Verdict
from loopdiag.model.document import Document
from loopdiag.model.scenario import Plant, Scenario, Service
from loopdiag.selftest import verb
from loopdiag.selftest.campaign import MATRIX, SUMMARY, Campaign
from loopdiag.selftest.plants import QUICK, ROWS, chosen
from loopdiag.selftest.rates import Summary
from loopdiag.selftest.row import Effort, Row, scenario
from loopdiag.selftest.steps import busy_core, hidden
from loopdiag.selftest.verb import QUICK_VERIFIED

FULL_S, PROGRAMS_S, QUICK_S = 45 * 60, 52 * 60, 6 * 60  # at most; rows that are precise early take less


class Scripted:
    """Runs nothing: says what it is told to, and counts."""

    def __init__(self, answers: dict[str, object]) -> None:
        self.answers = answers
        self.ran: list[str] = []
        self.again_ran: list[str] = []
        self.seen: list[Scenario] = []

    def run(self, made: Scenario, folder: Path) -> Document:
        self.ran.append(made.name)
        self.seen.append(made)
        folder.mkdir()
        answer = self.answers[made.name]
        if isinstance(answer, BaseException):
            raise answer
        assert isinstance(answer, Document)
        (folder / "diagnosis.json").write_bytes(msgspec.json.encode(answer.diagnosis))
        return answer

    def again(self, folder: Path) -> Document:
        self.again_ran.append(folder.name)
        answer = self.answers[folder.name]
        assert isinstance(answer, Document)
        return answer

    def leaks(self, folder: Path, document: Document) -> bool:
        assert self.answers[folder.name] is document
        return f"{folder.name} leaks" in self.answers

    def pair(self, made: Scenario, folder: Path) -> None:
        self.ran.append(made.name)
        folder.mkdir()

    def verdict(self, folder: Path) -> Verdict:
        answer = self.answers[folder.name]
        assert answer in {"CONFIRMED", "REFUTED", "INCONCLUSIVE"}
        return answer  # type: ignore[return-value] # asserted


def naming(*causes: str) -> Document:
    """A document whose first arm names these causes."""
    document = documents.small()
    found = tuple(CauseFound(cause=cause, share=0.5, low=0.4, high=0.6) for cause in causes)
    arm = msgspec.structs.replace(document.diagnosis.arms[0], causes=found)
    return msgspec.structs.replace(document, diagnosis=msgspec.structs.replace(document.diagnosis, arms=(arm,)))


def row(name: str) -> Row:
    return next(row for row in ROWS if row.name == name)


# -- the table


@pytest.mark.parametrize("made", ROWS, ids=lambda made: made.name)
def test_every_row_is_a_right_scenario(made: Row) -> None:
    # what a row asks for is a scenario that runs here, with five values of N that span eight times
    for effort in (Effort(), Effort(quick=True, verify=False)):
        parsed = scenario(made, effort)
        assert [arm.name for arm in parsed.arms] == ["program/own" if made.script else made.arm]
        assert (parsed.program is not None) is bool(made.script)
        assert parsed.verify.enabled is effort.verifies(made)
        assert parsed.sweep.budget_s == effort.budget_s(made)
    assert len(made.n) >= 5
    assert made.n[-1] / made.n[0] >= 8
    assert made.why


def test_names_are_unique() -> None:
    # a row's name is its folder's
    assert [name for name, count in Counter(row.name for row in ROWS).items() if count > 1] == []


def test_the_truth_of_each_kind_is_whole() -> None:
    # one cause of a single or a program, two of a pair, and none of an A/A pair; what is healthy says what honestly makes it grow
    assert {row.kind: {len(other.truth) for other in ROWS if other.kind == row.kind} for row in ROWS} == {
        "single": {1},
        "pair": {2},
        "control": {1},
        "same": {0},
        "program": {1},
        "healthy program": {1},
    }


def test_there_is_enough_of_everything() -> None:
    # at least three variants of each cause that a scenario plants, ten pairs, six controls, and the machine made busy in one of them
    variants = Counter(cause for row in ROWS if row.kind in {"single", "pair"} for cause in row.truth)
    assert {cause: count for cause, count in variants.items() if count < 3} == {}
    kinds = Counter(row.kind for row in ROWS)
    assert kinds["pair"] >= 10
    assert kinds["control"] >= 6
    assert any(row.busy and row.kind == "control" for row in ROWS)


def test_variants_vary() -> None:
    # the rows of one cause differ in client, loop or N, not in a number alone
    for cause in {row.truth[0] for row in ROWS if row.kind == "single"}:
        mine = [row for row in ROWS if row.kind == "single" and row.truth == (cause,)]
        assert len({(row.arm, row.n) for row in mine}) >= 2, cause


def test_all_names_are_those_of_causes() -> None:
    # what a row says is a name that loopdiag can answer with
    known = {*CAUSES, "none"}
    assert {name for row in ROWS for name in row.right} <= known


def test_every_cause_is_planted() -> None:
    # a cause that nobody plants, into a scenario or a program, is never tested
    planted = {cause for row in ROWS for cause in row.truth}
    assert set(CAUSES) - planted == set()


def test_a_full_run_and_a_quick_one_take_as_long_as_they_may() -> None:
    # their budgets add up to less than 45 minutes for scenarios, 52 for programs, and 6 for a quick one
    assert sum(Effort().expected_s(row) for row in ROWS if not row.script) <= FULL_S
    assert sum(Effort().expected_s(row) for row in ROWS if row.script) <= PROGRAMS_S
    assert sum(Effort(quick=True, verified=QUICK_VERIFIED).expected_s(row) for row in chosen(quick=True)) <= QUICK_S


def test_a_quick_run_has_each_single_cause_once() -> None:
    # one variant of each, and some of the rest
    quick = Counter((row.kind, row.truth[0]) for row in chosen(quick=True) if row.kind == "single")
    assert {cause for _, cause in quick} == {row.truth[0] for row in ROWS if row.kind == "single"}
    assert set(quick.values()) == {1}
    assert Counter(row.kind for row in chosen(quick=True))["pair"] == QUICK


@pytest.mark.parametrize(
    ("only", "names"),
    [
        ("client_pool_limit-1", ["client_pool_limit-1"]),
        ("client_pool_limit-?", ["client_pool_limit-1", "client_pool_limit-2", "client_pool_limit-3"]),
        ("nagle", ["pair-semaphore-and-gap", "pair-pool-limit-and-gap", "pair-serialized-and-gap", "program-gap-events"]),
        ("same-c*", ["same-cpu"]),
    ],
)
def test_rows_are_chosen_by_name_or_cause(only: str, names: list[str]) -> None:
    # a pattern, or a part of a row's name or of a planted cause's
    assert [row.name for row in chosen(only=only)] == names


def test_a_pattern_that_fits_nothing_is_told() -> None:
    # nobody waits for a campaign of no rows
    with pytest.raises(InputError, match="--only nobody: no row"):
        chosen(only="nobody")


# -- the campaign


def test_rows_are_scored_and_kept(tmp_path: Path) -> None:
    # each row's answer is held to its truth, and the summary lies in the folder
    rows = [row("client_pool_limit-1"), row("pair-block-and-scan"), row("control-waiting"), row("same-cpu")]
    steps = Scripted(
        {
            "client_pool_limit-1": naming("client_pool_limit"),
            "pair-block-and-scan": naming("blocking_call"),
            "control-waiting": naming("none"),
            "same-cpu": "INCONCLUSIVE",
        }
    )
    lines: list[str] = []
    made = Campaign(tmp_path / "out", Effort(), steps=steps, say=lines.append).through(rows, command="loopdiag selftest")
    assert [score.outcome for score in made.scores] == ["right", "wrong", "right", "right"]
    assert made.scores[1].missing == ("quadratic_scan",)
    assert not made.holds
    assert lines[0].startswith("[1/4] client_pool_limit-1: aiohttp/asyncio, client_pool_limit; at most 2 min left")
    assert msgspec.json.decode((tmp_path / "out" / SUMMARY).read_bytes(), type=Summary) == made


def test_what_is_done_is_not_run_again(tmp_path: Path) -> None:
    # a campaign that is taken up again runs only what is missing, or was asked for differently
    rows = [row("client_pool_limit-1"), row("cpu_in_loop-1"), row("same-cpu")]
    answers = {"client_pool_limit-1": naming("client_pool_limit"), "cpu_in_loop-1": naming("none"), "same-cpu": "CONFIRMED"}
    first = Scripted({**answers, "cpu_in_loop-1": KeyboardInterrupt()})
    broken_off = Campaign(tmp_path, Effort(), steps=first).through(rows)
    assert broken_off.partial
    assert [score.row.name for score in broken_off.scores] == ["client_pool_limit-1"]
    second = Scripted(answers)
    made = Campaign(tmp_path, Effort(), steps=second).through(rows)
    assert second.ran == ["cpu_in_loop-1", "same-cpu"]
    assert [score.outcome for score in made.scores] == ["right", "wrong", "wrong"]
    third, fourth = Scripted(answers), Scripted(answers)
    assert Campaign(tmp_path, Effort(), steps=third).through(rows).scores == made.scores
    assert third.ran == []
    Campaign(tmp_path, Effort(seed=2), steps=fourth).through(rows)
    assert fourth.ran == [row.name for row in rows]


def test_again_runs_nothing(tmp_path: Path) -> None:
    # what is recorded is diagnosed by today's code; what is not is told
    rows = [row("client_pool_limit-1"), row("same-cpu"), row("cpu_in_loop-1")]
    Campaign(tmp_path, Effort(), steps=Scripted({"client_pool_limit-1": naming("none"), "same-cpu": "CONFIRMED"})).through(rows[:2])
    steps = Scripted({"client_pool_limit-1": naming("client_pool_limit"), "same-cpu": "REFUTED"})
    made = Campaign(tmp_path, Effort(seed=9), again=True, steps=steps).through(rows)
    assert (steps.ran, steps.again_ran) == ([], ["client_pool_limit-1"])
    assert [(score.outcome, score.why) for score in made.scores] == [("right", ""), ("right", ""), ("not run", "was not recorded yet")]


def test_what_goes_wrong_in_a_row_ends_no_campaign(tmp_path: Path) -> None:
    # a row that cannot be run is told; one whose diagnosis breaks is a miss; both are tried again the next time
    rows = [row("client_pool_limit-1"), row("cpu_in_loop-1"), row("blocking_call-1")]
    answers: dict[str, object] = {
        "client_pool_limit-1": LoopdiagError("the target did not come up"),
        "cpu_in_loop-1": ZeroDivisionError("division by zero"),
        "blocking_call-1": naming("blocking_call"),
    }
    made = Campaign(tmp_path, Effort(), steps=Scripted(answers)).through(rows)
    assert [(score.outcome, score.why) for score in made.scores] == [
        ("not run", "the target did not come up"),
        ("wrong", "ZeroDivisionError: division by zero"),
        ("right", ""),
    ]
    steps = Scripted(answers)
    Campaign(tmp_path, Effort(), steps=steps).through(rows)
    assert steps.ran == ["client_pool_limit-1", "cpu_in_loop-1"]


def test_causes_that_read_the_plant_are_told(tmp_path: Path) -> None:
    # the answer may be right, and yet found where nobody but us can look; it is remembered with the row
    rows = [row("client_pool_limit-1"), row("cpu_in_loop-1")]
    steps = Scripted(
        {"client_pool_limit-1": naming("client_pool_limit"), "cpu_in_loop-1": naming("cpu_in_loop"), "cpu_in_loop-1 leaks": True}
    )
    for _ in range(2):
        made = Campaign(tmp_path, Effort(), steps=steps).through(rows)
        assert [(score.outcome, score.leaks) for score in made.scores] == [("right", False), ("right", True)]
        assert not made.holds


def test_what_is_planted_can_be_hidden() -> None:
    # of a scenario there remains what its user knows: how requests are made, and the pool
    made = scenario(row("pair-cpu-and-reuse"), Effort())
    known = hidden(made)
    assert known.workload.plant == Plant()
    assert known.target.service == Service()
    assert (known.workload.concurrency, known.target.tls, known.pool) == (10, "ecdsa-p256", made.pool)


def test_nothing_that_ran_is_no_success(tmp_path: Path) -> None:
    # a self-test of which no row could be run says nothing about the diagnosis
    steps = Scripted({"cpu_in_loop-1": LoopdiagError("no core")})
    with pytest.raises(NothingMeasured, match="no row of the self-test could be run"):
        Campaign(tmp_path, Effort(), steps=steps).through([row("cpu_in_loop-1")])


# -- the verb


@pytest.mark.parametrize(("answer", "code"), [("client_pool_limit", 0), ("client_semaphore", 4)])
def test_the_exit_code_says_whether_the_rates_hold(
    answer: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # 0 where they hold, else 4; misses are printed with the run's folder
    monkeypatch.setattr(verb, "STEPS", Scripted({"client_pool_limit-1": naming(answer)}))
    out = tmp_path / "out"
    assert cli.main(["selftest", "--only", "client_pool_limit-1", "--out", str(out), "-q"]) == code
    printed = capsys.readouterr()
    assert (str(out / "client_pool_limit-1") in printed.out.replace("\n", "")) is (code == 4)
    assert printed.err == ""
    assert (out / MATRIX).read_text(encoding="utf-8") in printed.out


def test_ctrl_c_prints_what_was_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    # the matrix of the rows that ran, and the exit code of an interrupt
    answers = {"client_pool_limit-1": naming("client_pool_limit"), "client_pool_limit-2": KeyboardInterrupt()}
    monkeypatch.setattr(verb, "STEPS", Scripted(answers))
    assert cli.main(["selftest", "--only", "client_pool_limit-*", "--out", str(tmp_path)]) == cli.INTERRUPTED
    printed = capsys.readouterr()
    assert "1/1" in printed.out
    assert "interrupted" in printed.out
    assert "[2/3] client_pool_limit-2" in printed.err


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--again"], "--again: --out DIR is missing"),
        (["--budget", "soon"], "--budget: expected a time > 0"),
        (["--seed", "x"], "expected a whole number from 0, got 'x'"),
        (["--only", "nobody"], "--only nobody: no row"),
    ],
)
def test_wrong_options_are_told(arguments: list[str], fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    # one line, and 2
    assert cli.main(["selftest", *arguments]) == 2
    assert fault in capsys.readouterr().err


@pytest.mark.parametrize(("only", "budget", "each"), [
    ("client_pool_limit-[12]", "224s", (56, 48)),
    ("program-sem-crawler", "114s", (60, 50)),
])  # fmt: skip
def test_a_budget_is_shared_among_the_rows(
    only: str, budget: str, each: tuple[float, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # --budget scales every row's, so that all together take as long as is asked; of scenarios as of programs
    names = [row.name for row in chosen(only=only)]
    steps = Scripted({name: naming("client_pool_limit") for name in names})
    monkeypatch.setattr(verb, "STEPS", steps)
    cli.main(["selftest", "--only", only, "--out", str(tmp_path), "--budget", budget, "-q"])
    assert [(made.sweep.budget_s, made.verify.budget_s) for made in steps.seen] == [each] * len(names)


# -- the competing process


def test_the_competing_process_ends_with_the_row() -> None:
    # while the block runs, one more process computes; afterwards it is gone, even if the block raised
    before = children()

    def row_that_raises() -> None:
        with busy_core(wanted=True):
            assert len(children() - before) == 1
            raise ValueError("row")

    with pytest.raises(ValueError, match="row"):
        row_that_raises()
    assert children() == before
    with busy_core(wanted=False):
        assert children() == before


def children() -> set[int]:
    """Processes that this one has started and that still run."""
    listed = subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "pid=,comm="], capture_output=True, text=True, check=False).stdout
    return {int(line.split()[0]) for line in listed.splitlines() if line.split()[1] != "ps"}
