"""Holding a program before it begins to fetch, until its profiler watches it: at its first loop's start or, without a loop, at its first connection.

Two FIFOs that the parent made: ``<prefix>.tell``, by which the process says its id and, at its end, that it is done, and ``<prefix>.go``, by which
the parent answers.  The first of a program's processes that comes here takes the profiler; none waits for long.
"""

import os
import select
import sys
from collections.abc import Callable
from typing import Any

LIMIT_S = 10.0


class Hold:
    """The process's side.

    Args:
        prefix: of the FIFOs' paths.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._asked = self._mine = False
        self._process = os.getpid()

    def here(self) -> None:
        """Wait for the profiler, the first time in the first process."""
        if self._asked or os.getpid() != self._process:
            return
        self._asked = True
        try:
            os.mkdir(self._prefix + ".taken")
        except OSError:
            return  # another process has it, or the trial is over
        self._mine = True
        self._exchange(b"%d\n" % self._process)

    def at_first_connection(self, then: "Callable[[], None]") -> None:
        """Wait at the first connection, and call `then`, where no loop was started before."""

        def heard(event: str, _arguments: Any) -> None:
            if event == "socket.connect" and not self._asked:
                self.here()
                then()

        sys.addaudithook(heard)

    def done(self) -> None:
        """The process is about to end: the profiler is let go first."""
        if self._mine and os.getpid() == self._process:
            self._mine = False
            self._exchange(b"done\n")

    def _exchange(self, said: bytes) -> None:
        """Say it, and wait for a line; whatever goes wrong, the program runs on."""
        try:
            tell = os.open(self._prefix + ".tell", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            go = os.open(self._prefix + ".go", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.write(tell, said)
                watched = select.poll()  # select has a limit on descriptors
                watched.register(go, select.POLLIN)
                if watched.poll(LIMIT_S * 1000):
                    os.read(go, 1)
            finally:
                os.close(tell)
                os.close(go)
        except OSError:
            return
