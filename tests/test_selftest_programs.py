"""The self-test's programs: that each is what it is said to be, how lines are scored, and that one runs."""

import ast
import subprocess
from pathlib import Path

import documents
import pytest
from msgspec.structs import replace

from loopdiag.causes import CAUSES
from loopdiag.model.diagnosis import CauseFound, Diagnosis
from loopdiag.model.law import Estimate
from loopdiag.model.program import LIBRARIES, Place
from loopdiag.model.scenario import Scenario
from loopdiag.selftest.plants import ROWS, chosen
from loopdiag.selftest.program_rows import PROGRAMS
from loopdiag.selftest.program_run import MARK, SCRIPTS, marked, names_line, path_of, served
from loopdiag.selftest.rates import rates
from loopdiag.selftest.row import Effort, Row, scenario
from loopdiag.selftest.scoring import Score, broken, score
from loopdiag.selftest.steps import Real

LINES = 60
#: causes that no line of a program can be blamed for, or that only its whole says
ELSEWHERE = {
    "library_overhead", "tls_handshake_cpu", "dns_resolution", "ipv6_fallback", "listen_backlog_overflow", "nagle_delayed_ack", "bandwidth",
    "rate_limited", "redirects", "server_concurrency_limit", "server_cpu", "h2_stream_limit", "port_or_fd_exhaustion",
}  # fmt: skip
#: without a program of their own: what honestly remains
REMAINDERS = {"event_loop_saturated"}
SICK = tuple(row for row in PROGRAMS if row.kind == "program")
HEALTHY = tuple(row for row in PROGRAMS if row.kind == "healthy program")


def by_script(script: str) -> Row:
    return next(row for row in PROGRAMS if row.script == script)


# -- the table


@pytest.mark.parametrize("row", PROGRAMS, ids=lambda row: row.script)
def test_every_script_compiles_and_is_small(row: Row) -> None:
    # each is a file of at most 60 lines, says what it is about, and takes its number and its address from the command line
    text = path_of(row.script).read_text(encoding="utf-8")
    tree = ast.parse(text, feature_version=(3, 11))
    compile(tree, row.script, "exec")
    assert ast.get_docstring(tree)
    assert len(text.splitlines()) <= LINES
    assert row.arguments[:2] == ("{n}", "{url}")
    assert ("{ca}" in row.arguments) == any("target.tls" in key for key in row.keys)


def test_every_script_has_its_expectation() -> None:
    # no file lies about that nobody runs, and none is run twice
    assert sorted(row.script for row in PROGRAMS) == sorted(path.stem for path in SCRIPTS.glob("*.py"))


@pytest.mark.parametrize("row", PROGRAMS, ids=lambda row: row.script)
def test_a_line_is_marked_where_one_is_to_blame(row: Row) -> None:
    # a fault of the program's own code has its line, one of the server's or the network's has none, and neither has a healthy program
    assert bool(marked(row.script)) == (row.kind == "program" and row.truth[0] not in ELSEWHERE)


@pytest.mark.parametrize("row", [row for row in PROGRAMS if marked(row.script)], ids=lambda row: row.script)
def test_marks_stand_behind_code(row: Row) -> None:
    # a mark on a line without code would never be named
    lines = path_of(row.script).read_text(encoding="utf-8").splitlines()
    assert all(lines[number - 1].removesuffix(MARK).strip() for number in marked(row.script))


def test_every_cause_has_a_program() -> None:
    # what loopdiag can answer with is asked for, by a program
    assert set(CAUSES) - {row.truth[0] for row in SICK} - REMAINDERS - {"none"} == set()


def test_there_are_enough_of_them() -> None:
    # at least forty-four with a fault, eight without, on both loops and by every library
    assert len(SICK) >= 44
    assert len(HEALTHY) >= 8
    assert {row.arm.partition("/")[2] for row in SICK} == {row.arm.partition("/")[2] for row in HEALTHY} == {"asyncio", "uvloop"}
    assert {row.arm.partition("/")[0] for row in PROGRAMS} >= {
        "aiohttp",
        "httpx",
        "httpx2",
        "httpcore",
        "requests",
        "urllib3",
        "http.client",
    }
    assert {row.arm.partition("/")[0] for row in PROGRAMS} <= set(LIBRARIES)
    sources = [path_of(row.script).read_text(encoding="utf-8") for row in PROGRAMS]
    assert sum("import anyio" in source for source in sources) >= 3


@pytest.mark.parametrize("row", PROGRAMS, ids=lambda row: row.script)
def test_the_loop_is_the_one_that_is_said(row: Row) -> None:
    # a row that says uvloop runs a script that asks for it, and no other does
    assert ("uvloop" in path_of(row.script).read_text(encoding="utf-8").split('"""', 2)[2]) == row.arm.endswith("/uvloop")


def test_a_quick_run_has_some_programs() -> None:
    # the first few of either kind
    kinds = [row.kind for row in chosen(quick=True)]
    assert kinds.count("program") >= 2
    assert kinds.count("healthy program") >= 2


def test_all_programs_are_chosen_by_their_name() -> None:
    # --only 'program*' runs them all, and nothing else
    assert chosen(only="program*") == PROGRAMS


# -- lines


def answered(cause: str, place: Place | None, *, refuted: bool = False) -> Diagnosis:
    made = documents.small().diagnosis
    found = CauseFound(cause=cause, share=0.8, place=place, verdict="REFUTED" if refuted else "NOT_TRIED")
    slope = Estimate(value=4.0, low=3.8, high=4.2)
    return replace(made, arms=(replace(made.arms[0], causes=(found,), slope_ms=slope),))


def place(script: str, line: int) -> Place:
    return Place(file=f"/anywhere/{script}.py", line=line)


MARKED = min(marked("serial_loop"))


@pytest.mark.parametrize(
    ("cause", "where", "line"),
    [
        ("serialized_awaits", place("serial_loop", MARKED), True),
        ("serialized_awaits", place("serial_loop", MARKED + 1), False),
        ("serialized_awaits", place("lock_token", MARKED), False),  # another file's line of the same number
        ("serialized_awaits", None, False),
        ("client_pacing", place("serial_loop", MARKED), False),  # the line is right by chance
    ],
)
def test_lines_are_scored(cause: str, where: Place | None, line: bool) -> None:
    # right is the marked line of the right file beside the right cause
    assert score(by_script("serial_loop"), answered(cause, where)).line is line


def test_a_broken_diagnosis_names_no_line() -> None:
    # it counts among those whose line was missed, and a script without a line stays out of them
    assert broken(by_script("serial_loop"), "KeyError: 'x'").line is False
    assert broken(by_script("server_slots"), "KeyError: 'x'").line is None


def test_a_struck_cause_names_no_line() -> None:
    # what was refuted is no answer
    assert score(by_script("serial_loop"), answered("serialized_awaits", place("serial_loop", MARKED), refuted=True)).line is False


@pytest.mark.parametrize("script", ["server_slots", "healthy_fanout"])
def test_without_a_mark_no_line_is_scored(script: str) -> None:
    # what has no line to be changed cannot miss it
    assert score(by_script(script), answered("server_concurrency_limit", None)).line is None
    assert not names_line(script, place(script, 1))


@pytest.mark.parametrize(
    ("what", "made", "holds"),
    [
        ("program: first answer right", [Score(row=SICK[0], outcome="right")] * 9 + [Score(row=SICK[0], outcome="wrong")], True),
        ("program: first answer right", [Score(row=SICK[0], outcome="right")] * 8 + [Score(row=SICK[0], outcome="abstained")] * 2, False),
        ("program: right line named", [Score(row=SICK[0], outcome="right", line=True)] * 9 + [Score(row=SICK[0], outcome="right", line=False)], True),
        ("program: right line named", [Score(row=SICK[0], outcome="right", line=value) for value in (True, False, None)], False),
        ("healthy program: false alarm", [Score(row=HEALTHY[0], outcome="right")] * 19 + [Score(row=HEALTHY[0], outcome="wrong")], True),
        ("healthy program: false alarm", [Score(row=HEALTHY[0], outcome="right")] * 9 + [Score(row=HEALTHY[0], outcome="wrong")], False),
    ],
)  # fmt: skip
def test_rates_of_programs_are_held_to_what_is_asked(what: str, made: list[Score], holds: bool) -> None:
    # 90 % right, 5 % alarms, 90 % of the lines; what has no line is not counted
    assert next(rate for rate in rates(made) if rate.what == what).holds is holds


def test_a_healthy_program_may_say_what_a_request_honestly_costs() -> None:
    # its loop's work is no alarm, any other cause is
    assert score(by_script("healthy_fanout"), answered("event_loop_saturated", None)).outcome == "right"
    assert score(by_script("healthy_fanout"), answered("client_semaphore", None)).outcome == "wrong"


# -- running


def test_a_script_runs_against_its_server(tmp_path: Path) -> None:
    # the program gets the server's address in place of the row's, and its user's scenario tells nothing of how the server serves
    row = by_script("tls_burst")
    with served(scenario(row, Effort())) as made:
        assert made.program is not None
        assert made.target == type(made.target)()
        assert not any("{url}" in part or "{ca}" in part for part in made.program.argv)
        argv = [part.replace("{n}", "3") for part in made.program.argv]
        ran = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "3\n", "")


def test_the_harness_runs_programs_with_their_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # a scenario of a program is recorded while its server runs
    seen: list[Scenario] = []
    monkeypatch.setattr(Real, "_run", lambda _self, made, _folder: seen.append(made))
    wanted = scenario(by_script("serial_loop"), Effort())
    Real().run(wanted, tmp_path)
    assert seen[0].program is not None
    assert seen[0].program.argv[-1].startswith("http://localhost:")
    assert wanted.target.service.mean_ms > 0 == seen[0].target.service.mean_ms


def test_every_row_belongs_to_the_table() -> None:
    # the campaign runs what stands here
    assert set(PROGRAMS) <= set(ROWS)
