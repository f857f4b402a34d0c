"""What the processes of a user's program left in a trial's folder: which one made the requests, what it measured, and what is told of the others."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loopdiag.instruments.span import MOMENTS, READINGS
from loopdiag.lab import columns, program_knobs
from loopdiag.lab.injection import ACCOUNT, PROCESS

SPAN = "span.bin"


@dataclass(frozen=True)
class Reading:
    """The clocks at one moment; times in nanoseconds."""

    at_ns: int
    cpu_ns: int
    run_queue_ns: int | None
    collections: int


@dataclass(frozen=True)
class Process:
    """One Python process of a program.

    Attributes:
        folder: its own, in the trial's.
        moments: name of `instruments.span.MOMENTS` → reading; those that were reached.
        attempts: requests and their repetitions that it made; 0 where none were watched.
        account: what it said of itself; of one that was killed, the less.
    """

    folder: Path
    pid: int
    moments: dict[str, Reading]
    attempts: int
    account: dict[str, Any] = field(default_factory=dict)

    @property
    def loop_ns(self) -> int:
        """How long its loops ran; 0 where it had none."""
        start, end = self.moments.get("loop_start"), self.moments.get("loop_end")
        return end.at_ns - start.at_ns if start and end else 0

    @property
    def begun_ns(self) -> int:
        """When its own code began."""
        begun = self.moments.get("begun")
        return begun.at_ns if begun else 0

    def between(self) -> tuple[Reading, Reading] | None:
        """The readings around its loops' runs, or around the whole process where it had none; None where they are not there.

        A loop whose process ended within it, by ``os._exit``, ended then.
        """
        first = self.moments.get("loop_start") or self.moments.get("begun")
        last = (self.moments.get("loop_end") if "loop_start" in self.moments else None) or self.moments.get("ended")
        return (first, last) if first and last else None


def processes(folder: Path) -> list[Process]:
    """The Python processes that were watched, in the order of their begins."""
    return sorted(filter(None, map(_process, _folders(folder))), key=lambda process: process.begun_ns)


def chosen(found: list[Process], root: int) -> Process | None:
    """The process that the trial is about: the one with the most requests; else whose loops ran longest; else the program's own first one; None where there is none.

    Args:
        found: in the order of their begins.
        root: the process that was started.
    """

    def rank(process: Process) -> tuple[int, int, bool, int]:
        return process.attempts, process.loop_ns, process.pid == root, -found.index(process)

    return max(found, key=rank, default=None)


def others(found: list[Process], main: Process, forked: int) -> tuple[str, ...]:
    """What is to be told of the processes that the trial is not about."""
    lines = []
    rest = [process for process in found if process is not main and process.attempts]
    if rest:
        made = sum(process.attempts for process in rest)
        who = "another Python process" if len(rest) == 1 else f"{len(rest)} other Python processes"
        lines.append(f"{who} of the program made {made} requests: they are not in this ledger")
    loops = [process for process in found if process is not main and process.loop_ns and not process.attempts]
    if loops:
        lines.append(
            f"{_several(len(loops), 'other Python process', 'other Python processes')} of the program ran an event loop, too; it is not in T"
        )
    if forked:
        lines.append(
            f"the program forked {_several(forked, 'child', 'children')} that connected or ran a loop: what came of it is not observed"
        )
    return tuple(lines)


def forked(folder: Path, found: list[Process]) -> int:
    """How many forked children left a sign and did not become another program that was watched."""
    known = {process.pid for process in found}
    return sum(int(path.name.partition("-")[2]) not in known for path in folder.glob("forked-*"))


def gather(folder: Path, main: Process | None) -> None:
    """Move what the main process left up into the trial's folder, cut its tables, and remove what the others left."""
    if main is not None:
        for path in main.folder.iterdir():
            if path.suffix == ".npy" or path.name in {ACCOUNT, program_knobs.FILE}:
                path.rename(folder / path.name)
        columns.cut(folder)
    for path in (*_folders(folder), *folder.glob("forked-*"), *folder.glob("failed-*")):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def failures(folder: Path) -> list[str]:
    """Why Python processes of the program could not be watched."""
    return list(dict.fromkeys(path.read_text(encoding="utf-8", errors="replace") for path in sorted(folder.glob("failed-*"))))


def _several(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"


def _folders(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        pid, _, k = path.name.partition("-")
        if pid.isdecimal() and k.isdecimal():
            yield path


def _process(folder: Path) -> Process | None:
    try:
        account = json.loads((folder / PROCESS).read_text(encoding="utf-8"))
        words = memoryview((folder / SPAN).read_bytes()[: 8 * len(MOMENTS) * len(READINGS)]).cast("Q")
    except (OSError, ValueError):
        return None  # it was killed before it had begun
    moments = {}
    for index, name in enumerate(MOMENTS):
        at, cpu, queue, collections = words[len(READINGS) * index : len(READINGS) * (index + 1)]
        if at:
            moments[name] = Reading(at, cpu, queue - 1 if queue else None, collections)
    return Process(folder, int(folder.name.partition("-")[0]), moments, columns.opened(folder / "attempts.npy"), account)
