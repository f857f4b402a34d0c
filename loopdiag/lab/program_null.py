"""The null server of a program's trials: one run of the program that fills it, before the first trial that it answers in."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from msgspec.structs import replace

from loopdiag.errors import LoopdiagError
from loopdiag.lab import program_processes as left
from loopdiag.lab.job import Job
from loopdiag.lab.program_run import ProgramRun
from loopdiag.lab.program_start import command, environment
from loopdiag.lab.servers.null import FILE, NullServer

VARIABLE = "LOOPDIAG_NULL_SERVER"
FOLDER = "null-server"


def filled(job: Job, folder: Path, held: Callable[[], AbstractContextManager[None]] = nullcontext) -> NullServer:
    """A null server that knows the answers of all requests that the program makes at its largest N.

    Args:
        job: a trial that needs it.
        folder: of that trial; the answers go into its run's.
        held: inside it no signal interrupts.

    Raises:
        LoopdiagError: the program cannot be answered so.
    """
    server = NullServer()
    limit_s = job.scenario.sweep.trial_timeout_s
    try:
        place = folder.parent.parent / FOLDER
        place.mkdir(exist_ok=True)
        _run(job, place, server, held)
        server.replay(place / FILE)
    except BaseException as error:
        server.stop()
        if isinstance(error, TimeoutError):
            raise LoopdiagError(f"the null server: behind it the program does not end within {limit_s:g} s") from error
        if isinstance(error, OSError):
            raise LoopdiagError(f"the null server: {error}") from error
        raise
    return server


def _run(job: Job, place: Path, server: NullServer, held: Callable[[], AbstractContextManager[None]]) -> None:
    program = job.scenario.program
    assert program is not None
    largest = replace(job, spec=replace(job.spec, n=max(job.scenario.sweep.n), tier="bare"))
    env = environment(largest, place, None) | {VARIABLE: str(server.port)}
    run = None
    try:
        with held():  # a program that was started is always known here
            run = ProgramRun(command(program, largest.spec.n), env, program.cwd, place)
        run.wait(job.scenario.sweep.trial_timeout_s)
    finally:
        if run is not None:
            run.kill()
        left.gather(place, None)  # what was observed of it is no part of any trial
    if run.exit_code:
        fault = server.faults[0] if server.faults else run.last_words()
        raise LoopdiagError(f"the null server: behind it the program ends with {run.exit_code}: {fault}")
