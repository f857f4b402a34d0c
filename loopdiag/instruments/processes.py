"""A user's own program, from inside one of its processes: what is watched in it, where that goes, and that it is kept however the process ends.

Each process has a folder of its own in the trial's, ``<process id>-<k>``, where k counts the programs that the process has become (``os.exec``).  A child that
was forked and goes on in Python is left alone, and leaves ``forked-<process id>`` where it runs a loop or connects; the instruments that it inherits write nowhere.
"""

import atexit
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .hold import Hold
from .patching import replace
from .span import Span

#: libraries whose versions are told
LIBRARIES = (
    "aiohttp", "httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3", "anyio", "uvloop", "yarl", "multidict", "h11", "h2", "aiodns",
)  # fmt: skip

#: the standard library's own process, in which no program runs
SERVING = "from multiprocessing.resource_tracker"


class Process:
    """This process, as far as it is watched.

    Args:
        trial: the trial's folder, shared with the program's other processes.
        tier: what is watched: "bare", "timeline", "profile".

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(self, trial: str, tier: str) -> None:
        self._trial, self.folder = trial, _folder(trial)
        self._pid, self._finished = os.getpid(), False
        self._state: Any = None
        prefix = os.environ.get("LOOPDIAG_HOLD") if tier == "profile" else None
        self._hold = Hold(prefix) if prefix else None
        self.span = Span(self.folder, self._hold.here if self._hold else _go_on)
        self._write('{"python": "' + sys.version.split()[0] + '"}')  # by hand: a process that is not about anything is not to import json

    def watch(self, tier: str) -> None:
        """Put the instruments in; what fails is told, and the others stay."""
        atexit.register(self.finish)  # runs after all that the program registers
        os.register_at_fork(after_in_child=self._forked)
        self._patch_ends()
        if os.environ.get("LOOPDIAG_KNOBS"):
            from . import knobs

            knobs.start(self.folder)
        self.span.watch()  # before the timeline's instruments, so that these lie outside its time
        if tier == "timeline":
            from . import bootstrap

            self._state = bootstrap.start(self.folder, program=True)
        if self._hold:
            self._hold.at_first_connection(self.span.again)
        self.span.again()

    def finish(self) -> None:
        """Leave everything that is known at the end; a second time does nothing, nor in a forked child."""
        if self._finished or os.getpid() != self._pid:
            return
        self._finished = True
        # the process ends as it would; where the program may no longer write, as it gave up its rights, that there is no account is told
        with suppress(Exception):
            self._leave()

    def _leave(self) -> None:
        self.span.finish()
        if self._hold:
            self._hold.done()
        if self._state is not None:
            self._state.write()
        import json

        versions = {name: str(getattr(sys.modules[name], "__version__", "")) for name in LIBRARIES if name in sys.modules}
        account = {"python": sys.version.split()[0], "versions": versions, "rss_peak_kib": _rss_peak_kib(), "ended": True}
        self._write(json.dumps(account))

    def _write(self, text: str) -> None:
        """Leave what the process says of itself, whole."""
        path = os.path.join(self.folder, "process.json")
        with open(path + ".tmp", "w") as file:
            file.write(text)
        os.replace(path + ".tmp", path)

    def _patch_ends(self) -> None:
        """Finish where a process ends, or becomes another program, without its interpreter's end."""
        for name in ("_exit", "execv", "execve"):
            replace(os, name, self._make_end)

    def _make_end(self, before: "Callable[..., Any]") -> "Callable[..., Any]":
        def end(*args: Any, **kwargs: Any) -> Any:
            self.finish()
            try:
                return before(*args, **kwargs)
            finally:
                self._finished = False  # it did not end

        return end

    def _forked(self) -> None:
        """In a forked child: leave a sign if it runs a loop or connects, and does not merely become another program."""
        self.span.in_child(self._sign)

        def heard(event: str, _arguments: Any) -> None:
            if event == "socket.connect":
                self._sign()

        sys.addaudithook(heard)

    def _sign(self) -> None:
        try:
            os.mkdir(os.path.join(self._trial, f"forked-{os.getpid()}"))
        except OSError:
            return  # it stands there already


def _go_on() -> None:
    """Nobody is waited for."""


def _folder(trial: str) -> str:
    """A new folder for this process.

    Raises:
        OSError: it cannot be made.
    """
    k = 1
    while True:
        folder = os.path.join(trial, f"{os.getpid()}-{k}")
        try:
            os.mkdir(folder)
        except FileExistsError:
            k += 1
        else:
            return folder


def _rss_peak_kib() -> int:
    """The most memory that this program held; 0: not known."""
    try:
        with open("/proc/self/status", "rb") as file:
            for line in file:
                if line.startswith(b"VmHWM:"):
                    return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return 0


def start(trial: str) -> None:
    """Watch this process of a user's program, unless it is one of the standard library's own.

    Raises:
        OSError: the trial's folder cannot be written.
    """
    if any(argument.startswith(SERVING) for argument in sys.orig_argv[1:]):
        return
    tier = os.environ.get("LOOPDIAG_TIER", "timeline")
    Process(trial, tier).watch(tier)
