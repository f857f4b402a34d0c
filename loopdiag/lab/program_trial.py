"""A trial of a user's own program: started at one N, observed from inside, and its account taken."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from errno import ENOEXEC
from pathlib import Path
from typing import Any

import msgspec

from loopdiag.errors import InputError, LoopdiagError
from loopdiag.lab import columns, program_knobs
from loopdiag.lab import program_processes as left
from loopdiag.lab.injection import Observed, observed
from loopdiag.lab.job import Job
from loopdiag.lab.probes import Notes
from loopdiag.lab.probes.beside import Beside
from loopdiag.lab.program_null import VARIABLE as VARIABLE_OF_NULL
from loopdiag.lab.program_null import filled
from loopdiag.lab.program_run import ERR, OUT, PIECE, Holding, ProgramRun
from loopdiag.lab.program_start import changed, command, environment
from loopdiag.lab.program_unseen import why_unseen
from loopdiag.lab.servers.null import NullServer
from loopdiag.lab.trial import Target, signal_name
from loopdiag.model.program import Place
from loopdiag.model.recording import Status, TrialResult

NOT_STARTED = frozenset({126, 127})  # what env, shells and their like end with
NOT_A_PROGRAM = "it is neither a binary of this machine nor a script whose first line names an interpreter, as in: #!/usr/bin/env python3"
ROOM = 1 << 16  # bytes that must be left when a program has ended, or its own output may be cut
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PLACE = ("file", "line", "function", "text", "block", "block_text")  # as the account lists one
#: who hears what a program writes: 1 or 2, and a piece of it
Heard = Callable[[int, bytes], None]


class ProgramBench:
    """Where trials of a program run; `trial.Bench` for programs.

    Args:
        heard: gets what the first run at each N wrote; None: nobody does.
        profiler: of py-spy; empty: the real one.
        held: inside it no signal interrupts.
    """

    def __init__(
        self,
        *,
        heard: Heard | None = None,
        profiler: tuple[str, ...] = (),
        held: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.target: Target | None = None
        self._heard, self._profiler, self._held = heard, profiler, held
        self._told: set[int] = set()  # N whose output was heard
        self._known = False  # whether a Python process of it was ever watched
        self._null: NullServer | None = None  # answers in the place of all servers, where that is asked for

    def run(self, job: Job, folder: Path) -> TrialResult:
        """Run the program once; `folder` exists and gets its output and the instruments' tables.

        It is gone when this returns or raises, with everything that it started.

        Raises:
            InputError: it cannot be started.
            LoopdiagError: nothing of it can be observed.
        """
        if job.scenario.knobs.null_server and self._null is None:
            self._null = filled(job, folder, self._held)
        beside, notes = Beside(job, folder, self._held, self._profiler), Notes()
        hold, run = None, None
        prefix = folder / "hold" if job.spec.tier == "profile" else None
        try:
            if prefix is not None:
                hold = Holding(prefix, beside.start, beside.stop)
            with self._held():  # a program that was started is always known here
                run = self._start(job, folder, prefix)
            status, why = self._wait(job, run, hold)
            _require_room(folder)
            notes = beside.stop()
        except BaseException:
            if run is not None:
                run.kill()
            left.gather(folder, None)  # of a run that was cut short nothing is kept but its output
            raise
        finally:
            beside.kill()
            if hold is not None:
                hold.close()
        self._pass_on(job.spec.n, folder)
        if hold is not None and not hold.attached:
            notes = Notes(not_observed={"profile": "the program neither ran an event loop nor made a connection, so nothing was profiled"})
        return self._told_by(job, folder, run, status, why, notes)

    def close(self) -> None:
        """End what trials share."""
        if self._null is not None:
            self._null.stop()
            self._null = None

    def _start(self, job: Job, folder: Path, hold: Path | None) -> ProgramRun:
        program = job.scenario.program
        assert program is not None
        argv = command(program, job.spec.n)
        try:
            env = environment(job, folder, hold)
            if self._null is not None:
                env[VARIABLE_OF_NULL] = str(self._null.port)
                self._null.begin()
            return ProgramRun(argv, env, program.cwd, folder)
        except OSError as error:
            if error.filename is not None and Path(error.filename).parent == folder:
                raise  # it is the trial's folder that cannot be written
            hint = f"; {NOT_A_PROGRAM}" if error.errno == ENOEXEC else ""
            raise InputError(f"{argv[0]}: cannot be run: {error.strerror or error}{hint}") from error

    def _wait(self, job: Job, run: ProgramRun, hold: Holding | None) -> tuple[Status, str | None]:
        limit_s = job.scenario.sweep.trial_timeout_s
        try:
            run.wait(limit_s, hold, look=not self._known)
        except TimeoutError:
            return "timeout", f"killed after {limit_s:g} s"
        finally:
            run.kill()
        said = run.last_words()
        if run.exit_code < 0:
            return "crashed", f"killed by {signal_name(-run.exit_code)}" + (f": {said}" if said else "")
        if run.exit_code:
            return "failed", f"exit code {run.exit_code}: {said or 'without a word on stderr'}"
        if self._null is not None and self._null.missed:
            return "failed", f"the null server had no answer to {self._null.missed} of the program's requests"
        return "ok", None

    def _pass_on(self, n: int, folder: Path) -> None:
        """Let the first output at each N be heard, byte by byte."""
        if self._heard is None or n in self._told:
            return
        self._told.add(n)
        for number, name in ((1, OUT), (2, ERR)):
            try:
                with (folder / name).open("rb") as file:
                    while piece := file.read(PIECE):
                        self._heard(number, piece)
            except FileNotFoundError:
                continue  # it wrote nothing

    def _told_by(self, job: Job, folder: Path, run: ProgramRun, status: Status, why: str | None, notes: Notes) -> TrialResult:  # noqa: PLR0913, PLR0917 - all that is known of one run
        """Put together what the program's processes left, what its parent saw and what the profiler says."""
        found = left.processes(folder)
        main = left.chosen(found, run.pid)
        failures, forked = left.failures(folder), left.forked(folder, found)
        acted, idle = program_knobs.told(folder, changed(job.scenario.knobs))
        left.gather(folder, main)
        result = TrialResult(
            spec=job.spec,
            status=status,
            why=why,
            process_s=(run.ended_ns - run.began_ns) / 1e9 if run.ended_ns else None,
            exit_code=run.exit_code if status != "timeout" else None,
            knobs_acted=acted,
            knobs_idle=idle,
        )
        if main is None:
            return self._unseen(job, result, run, failures)
        self._known = True
        told = left.others(found, main, forked)
        told += tuple(f"a Python process of the program is not in this ledger: {failure}" for failure in failures)
        result = msgspec.structs.replace(result, warnings=told, **_spent(main, run))
        return _watched(_lived(result, main), main, folder, notes)

    def _unseen(self, job: Job, result: TrialResult, run: ProgramRun, failures: list[str]) -> TrialResult:
        """A run of which nothing was observed.

        Raises:
            LoopdiagError: nor was anything of an earlier one, so no further one would be.
        """
        program = job.scenario.program
        assert program is not None
        argv = command(program, job.spec.n)
        if not self._known and result.exit_code in NOT_STARTED:
            raise InputError(
                f"{argv[0]}: {result.why}; this code says that a program, such as an interpreter, is not there or cannot be run"
            )
        reason = "; ".join(failures) or why_unseen(argv, environment(job, Path(job.folder), None), run.seen, Path(program.cwd or "."))
        if not self._known and result.status != "timeout":
            ended = f" (it ended with {result.why})" if result.why else ""
            raise LoopdiagError(f"cannot instrument {argv[0]}: {reason}{ended}")
        return msgspec.structs.replace(result, status="failed", why=result.why or f"cannot instrument: {reason}")


def _require_room(folder: Path) -> None:
    """Hold that the program could write what it said, and the instruments what they saw.

    Raises:
        OSError: there is no room, and neither tells what the program does.
    """
    probe = folder / "room"
    try:
        probe.write_bytes(bytes(ROOM))
    finally:
        with suppress(OSError):
            probe.unlink()


def _spent(main: left.Process, run: ProgramRun) -> dict[str, Any]:
    """T, and what it took, from the main process's readings; without a loop, and without its own end, up to the one that its parent saw."""
    pair = main.between()
    span = "loop" if "loop_start" in main.moments else "process"
    if pair is None:
        first = main.moments.get("loop_start") or main.moments.get("begun")
        if first is None or not run.ended_ns:
            return {"span": span}
        return {"span": span, "t0_ns": first.at_ns, "t1_ns": run.ended_ns, "total_s": (run.ended_ns - first.at_ns) / 1e9}
    first, last = pair
    waited = None if first.run_queue_ns is None or last.run_queue_ns is None else (last.run_queue_ns - first.run_queue_ns) / 1e9
    return {
        "span": span,
        "t0_ns": first.at_ns,
        "t1_ns": last.at_ns,
        "total_s": (last.at_ns - first.at_ns) / 1e9,
        "cpu_s": (last.cpu_ns - first.cpu_ns) / 1e9,
        "run_queue_s": waited,
        "gc_collections": last.collections - first.collections,
    }


def _lived(result: TrialResult, main: left.Process) -> TrialResult:
    """With what the main process said of itself at its end; of one that was killed that is little."""
    versions = {name: version for name, version in main.account.get("versions", {}).items() if version}
    peak = main.account.get("rss_peak_kib") or None
    not_observed = {} if result.run_queue_s is not None else {"run_queue_s": "the kernel keeps no schedstat, or no loop ran"}
    if not main.account.get("ended"):
        not_observed["end"] = "the process ended without leaving its account: it was killed, or became another program"
    python = {"python": main.account.get("python", "")}
    return msgspec.structs.replace(result, versions=python | versions, rss_peak_kib=peak, not_observed=not_observed)


def _watched(result: TrialResult, main: left.Process, folder: Path, notes: Notes) -> TrialResult:
    """With what the instruments and the profiler say."""
    seen = Observed()
    warnings = (*result.warnings, *notes.warnings)
    if result.spec.tier == "timeline":
        seen = observed(folder)
        if not main.attempts:
            warnings += ("the program made no HTTP request that the instruments know (aiohttp, httpx, requests, urllib3, http.client)",)
        result = msgspec.structs.replace(result, succeeded=_answered(folder) if main.attempts else 0)
    return msgspec.structs.replace(
        result,
        lost=seen.lost,
        counters=seen.counters,
        histograms=seen.histograms,
        costs_ns=seen.costs_ns,
        not_observed=result.not_observed | seen.not_observed | notes.not_observed,
        warnings=(*warnings, *seen.warnings),
        places=tuple(msgspec.convert(dict(zip(PLACE, place, strict=False)), Place) for place in seen.places),
        made=seen.made,
        peers=seen.peers,
    )


def _answered(folder: Path) -> int:
    """How many attempts were answered, and not sent on to somewhere else; what a program makes of a 404 is its own affair."""
    status = columns.load(folder)["attempts"]["status"][1:]
    return sum(0 < each not in REDIRECTS for each in status.tolist())
