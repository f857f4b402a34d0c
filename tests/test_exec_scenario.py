"""A program as a scenario: what its command line and its TOML may say, what starts it, and which N it is run at."""

import json
from pathlib import Path

import pytest
from exec_parts import job, python
from hypothesis import given
from hypothesis import strategies as st

from loopdiag import asked
from loopdiag.errors import InputError
from loopdiag.lab.program_start import ARM, changed, command, environment, faults, program_scenario
from loopdiag.lab.program_unseen import why_unseen
from loopdiag.lab.scenario_file import parse_scenario, to_toml
from loopdiag.model.scenario import Delay, Knobs, Program, Scenario

PROGRAM = '[program]\nargv = ["python", "client.py", "{n}"]\n'


def parse(text: str) -> Scenario:
    return parse_scenario(text, source="x.toml", folder=Path(), default_name="x")


def test_a_program_is_read_from_toml_and_written_back() -> None:
    # its only arm is implied, and may be said
    made = parse(PROGRAM + "[knobs]\nsemaphore = 0\n")
    assert made.arms == (ARM,)
    assert made.program == Program(argv=("python", "client.py", "{n}"))
    assert made.knobs == Knobs(semaphore=0)
    assert parse(to_toml(made)) == made


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (PROGRAM + "[target]\ntls = 'ecdsa-p256'\n", ["x.toml:4: target.tls: has no effect, because [program] is run instead, and fetches as it likes"]),
        (PROGRAM + "[workload]\nconcurrency = 3\n", ["x.toml:4: workload.concurrency: has no effect, because [program] is run instead, and fetches as it likes"]),
        (PROGRAM + "[pool]\nlimit = 3\n", ["x.toml:4: pool.limit: has no effect, because [program] is run instead, and fetches as it likes"]),
        ('arms = ["httpx/asyncio"]\n' + PROGRAM, ["x.toml:1: arms: has no effect, because [program] is the only arm; remove the key"]),
        ('arms = ["httpx/asyncio"]\n[knobs]\nsemaphore = 3\n', ["x.toml:3: knobs.semaphore: has no effect, because there is no [program] that could be changed from inside"]),
        ("[program]\nargv = []\n", ['x.toml:1: program: expected argv with {n} where the number of requests goes, such as argv = ["python", "client.py", "{n}"]']),
        ('[program]\nargv = ["x"]\n', ['x.toml:1: program: expected argv with {n} where the number of requests goes, such as argv = ["python", "client.py", "{n}"]']),
        ("[program]\ncwd = '.'\n", ["x.toml:1: program.argv: missing; expected a list of text in quotes"]),
    ],
)  # fmt: skip
def test_what_does_not_go_with_a_program_is_told(text: str, lines: list[str]) -> None:
    # one line a fault, and none for what follows from it
    with pytest.raises(InputError) as caught:
        parse(text)
    assert list(caught.value.faults) == lines


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=8), min_size=1), st.integers(1, 10**6))
def test_the_number_of_requests_goes_wherever_it_has_a_place(argv: list[str], n: int) -> None:
    # every {n} in every argument is the number, and nothing else changes
    made = command(Program(argv=tuple(argv)), n)
    assert made == [str(n).join(argument.split("{n}")) for argument in argv]


@pytest.mark.parametrize(
    ("argv", "told"),
    [([], "no program: give its command line after --"), (["python", "client.py"], "{n} stands nowhere in the program's command line")],
)
def test_a_command_line_without_a_place_for_n_is_the_users_mistake(argv: list[str], told: str) -> None:
    # the line says what would be right
    with pytest.raises(InputError) as caught:
        program_scenario(argv)
    (line,) = caught.value.faults
    assert line.startswith(told)
    assert "loopdiag exec -- " in line


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["nowhere-at-all", "{n}"], "nowhere-at-all: no such program on the PATH"),
        (["client.py", "{n}"], "client.py: no such program on the PATH; run it with its interpreter: python client.py …"),
        (["./client.py", "{n}"], "./client.py: may not be executed; run it with its interpreter: python ./client.py …"),
        (["./nothing", "{n}"], "./nothing: no such file; expected a program, as in: loopdiag exec -- python client.py {n} URL"),
        (["./", "{n}"], "./: is a folder; expected a program"),
    ],
)
def test_a_program_that_is_not_there_is_the_users_mistake(tmp_path: Path, argv: list[str], told: str) -> None:
    # before anything is started
    (tmp_path / "client.py").write_text("print()")
    assert faults(Program(argv=tuple(argv), cwd=str(tmp_path))) == [told]


def test_a_folder_that_is_not_there_is_the_users_mistake() -> None:
    # the key is named
    assert faults(Program(argv=("python",), cwd="/no/such/folder")) == ["program.cwd: /no/such/folder: no such folder"]


def test_only_knobs_that_are_turned_reach_the_program(tmp_path: Path) -> None:
    # as JSON; of none there is no variable, and nothing of an outer observation is passed on
    base = {"LOOPDIAG_KNOBS": "{}", "LOOPDIAG_RECORD": "/outer", "HOME": "/home/x", "LOOPDIAG_HOLD": "/outer/hold"}
    plain = environment(job(tmp_path, ["x"]), tmp_path, None, base)
    assert {"LOOPDIAG_KNOBS", "LOOPDIAG_HOLD"}.isdisjoint(plain)
    assert (plain["LOOPDIAG_RECORD"], plain["HOME"], plain["LOOPDIAG_TIER"], plain["LOOPDIAG_N"]) == (
        str(tmp_path),
        "/home/x",
        "timeline",
        "7",
    )
    turned = Knobs(semaphore=0, lock=False, delay=Delay(ms=3))
    env = environment(job(tmp_path, ["x"], knobs=turned), tmp_path, tmp_path / "hold", base)
    assert json.loads(env["LOOPDIAG_KNOBS"]) == {"semaphore": 0, "lock": False, "delay": {"seam": "request", "ms": 3, "place": None}}
    assert env["LOOPDIAG_HOLD"] == str(tmp_path / "hold")
    assert changed(Knobs()) == {}


@pytest.mark.parametrize(
    ("n", "run"),
    [
        ("25,50,100,200", (25, 35, 50, 100, 200)),
        ("10,20", (10, 20)),
        ("7", (7,)),
        ("1,2,3,4,5,6", (1, 2, 3, 4, 5, 6)),
        ("1,2,3", (1, 2, 3)),
    ],
)
def test_a_law_gets_enough_values_of_n(n: str, run: tuple[int, ...]) -> None:
    # of three or four values there is one more in the widest gap; who asks for fewer, or for more, gets these
    assert asked.of_program(["python", "{n}"], n=n, budget="2m").sweep.n == run


def test_the_budget_is_of_measuring_and_verifying_together() -> None:
    # two minutes are shared; without verification all of them are for measuring
    both, alone = (asked.of_program(["python", "{n}"], n="1,2", budget="2m", verified=verified) for verified in (True, False))
    assert both.sweep.budget_s + both.verify.budget_s == pytest.approx(120)
    assert (alone.sweep.budget_s, alone.verify.enabled) == (120, False)


@pytest.mark.parametrize(
    ("argv", "name"), [(["python", "a/my client.py", "{n}"], "my-client"), (["/usr/bin/fetch", "{n}"], "fetch"), (["…", "{n}"], "program")]
)
def test_a_programs_run_is_called_after_it(argv: list[str], name: str) -> None:
    # its script, else its command
    assert program_scenario(argv).name == name


@pytest.mark.parametrize(
    ("line", "flag"),
    [
        (["python", "-I", "x.py"], "-I"),
        (["python3.12", "-BE", "-m", "x"], "-E"),
        (["python", "-X", "dev", "-S", "x.py"], "-S"),
        (["/opt/python3.13t", "-I"], "-I"),
        (["python", "x.py", "-I"], None),
        (["python", "-m", "x", "-I"], None),
        (["python", "-c", "x", "-I"], None),
        (["python", "-cI"], None),
        (["python", "-W", "E", "x.py"], None),
        (["grep", "-I"], None),
        (["env", "-u", "HOME", "A=1", "python", "-I"], "-I"),
        (["/usr/bin/env", "-S", "python", "-E", "x.py"], "-E"),
        (["env", "-i", "python", "x.py"], None),
    ],
)
def test_the_flag_that_keeps_the_instruments_out_is_found(line: list[str], flag: str | None) -> None:
    # among the interpreter's own options, not the program's
    assert (f"started with {flag}," in why_unseen(["wrapper"], {}, [line])) == (flag is not None)


def test_a_python_behind_env_is_one() -> None:
    # where it can be instrumented, it is the environment that is asked about
    assert "clear its environment?" in why_unseen(["env", "-i", "python", "x.py"], {"PATH": "/usr/bin:/bin"})
    assert "ran no Python" in why_unseen(["env", "-i", "sleep", "1"], {"PATH": "/usr/bin:/bin"})


def test_a_scenario_file_may_be_run_with_python(tmp_path: Path) -> None:
    # its program's arguments are as they stand
    text = f"[program]\nargv = {json.dumps(python('client.py', '{n}'))}\ncwd = {json.dumps(str(tmp_path))}\n"
    made = parse(text)
    assert made.program is not None
    assert faults(made.program) == []
