"""How a user's program is started: its command line at one N, its environment, and whether it can be started at all."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import asdict, replace

from loopdiag.errors import InputError
from loopdiag.lab.cells import more_values
from loopdiag.lab.injection import injected_environment
from loopdiag.lab.job import Job
from loopdiag.lab.program_unseen import found_program, interpreter_line
from loopdiag.model.program import called
from loopdiag.model.scenario import Arm, Delay, Knobs, Program, Scenario

VALUES = 5  # what a law needs
FEW = 3  # who asks for fewer wants these alone
ARM = Arm(client="program", loop="own")
NO_PROGRAM = "no program: give its command line after --, as in: loopdiag exec -- python client.py {n} URL"
QUESTION = "Why does the program's total time grow with its number of requests N?"
N = (25, 50, 100, 200)
PLACE, VARIABLE = "{n}", "LOOPDIAG_N"
OWN = (
    "LOOPDIAG_RECORD",
    "LOOPDIAG_LEVEL",
    "LOOPDIAG_VERIFY",
    "LOOPDIAG_TIER",
    "LOOPDIAG_KNOBS",
    "LOOPDIAG_HOLD",
    "LOOPDIAG_ONLY",
    "LOOPDIAG_NULL_SERVER",
)


def command(program: Program, n: int) -> list[str]:
    """Its command line at `n` requests."""
    return [argument.replace(PLACE, str(n)) for argument in program.argv]


def environment(job: Job, folder: Path, hold: Path | None, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The user's own environment, with what injects the instruments into every Python process.

    Args:
        job: the trial.
        folder: the trial's.
        hold: prefix of the FIFOs at which the program waits for its profiler; None: it does not wait.
        base: the user's environment.
    """
    env = {name: value for name, value in base.items() if name not in OWN}
    env = injected_environment(env, folder, job.scenario.instruments)
    env |= {"LOOPDIAG_PROGRAM": "1", "LOOPDIAG_TIER": job.spec.tier, VARIABLE: str(job.spec.n)}
    if knobs := changed(job.scenario.knobs):
        env["LOOPDIAG_KNOBS"] = json.dumps(knobs)
    if hold is not None:
        env["LOOPDIAG_HOLD"] = str(hold.resolve())
    return env


def changed(knobs: Knobs) -> dict[str, object]:
    """The knobs that differ from their defaults, as JSON holds them."""
    values, defaults = asdict(knobs), asdict(Knobs())
    found = {name: value for name, value in values.items() if value != defaults[name]}
    return {name: asdict(value) if isinstance(value, Delay) else value for name, value in found.items()}


def faults(program: Program, env: Mapping[str, str] = os.environ) -> list[str]:
    """Why the program cannot be started; one line each, none where it can."""
    if any("\0" in word for word in (*program.argv, program.cwd or "")):
        return ["program: a word of its command line, or its folder, holds a NUL character, which no program can be given"]
    folder = Path(program.cwd) if program.cwd is not None else Path()
    if not os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises where a name is too long
        return [f"program.cwd: {program.cwd}: no such folder"]
    if not program.argv or not program.argv[0]:
        return [NO_PROGRAM]
    name, hint = program.argv[0], ""
    if name.endswith(".py"):
        hint = f"; run it with its interpreter: python {name} …"
    path = found_program(name, env, folder)
    if path is None:
        return [f"{name}: no such program on the PATH{hint}"]
    fault = _fault(path, folder, hint)
    return [f"{name}: {fault}"] if fault else []


def _fault(path: Path, folder: Path, hint: str) -> str | None:
    """Why the kernel would not run this file in that folder."""
    if not os.access(path, os.F_OK):
        return f"no such file; expected a program, as in: loopdiag exec -- python client.py {PLACE} URL"
    if path.is_dir():
        return "is a folder; expected a program"
    if not os.access(path, os.X_OK):
        return f"may not be executed{hint}"
    interpreter = re.split(r"[ \t]", interpreter_line(path))[0]  # as the kernel cuts it
    if interpreter and not os.access(folder / interpreter, os.X_OK):
        return f"its first line names the interpreter {interpreter!r}, and there is no such program"
    return None


def program_scenario(argv: list[str], *, cwd: str | None = None) -> Scenario:
    """The scenario of a program's command line, with what `exec` takes where nothing is asked.

    Raises:
        InputError: there is none, or the number of requests has no place in it.
    """
    if not argv:
        raise InputError(NO_PROGRAM)
    if not any(PLACE in argument for argument in argv):
        raise InputError(
            f"{PLACE} stands nowhere in the program's command line: put it where the number of requests goes, as in: loopdiag exec -- python client.py {PLACE} URL; "
            f"a program that reads it from a variable: loopdiag exec -- env REQUESTS={PLACE} python client.py"
        )
    name = re.sub(r"[^\w.-]+", "-", called(argv).removesuffix(".py")).lstrip("-._")[:80] or "program"
    scenario = Scenario(name=name, question=QUESTION, arms=(ARM,), program=Program(argv=tuple(argv), cwd=cwd))
    return replace(scenario, sweep=replace(scenario.sweep, n=N))


def with_enough_values(scenario: Scenario) -> Scenario:
    """The scenario with as many values of N as a law needs, where three or four were asked for: more of them, between those."""
    asked = list(scenario.sweep.n)
    if not FEW <= len(asked) < VALUES:
        return scenario
    more = more_values(asked, VALUES, 1.0)
    return replace(scenario, sweep=replace(scenario.sweep, n=tuple(sorted({*asked, *more}))))
