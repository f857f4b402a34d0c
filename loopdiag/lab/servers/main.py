"""The target's process: ``python -m loopdiag.lab.servers.main``, spoken to by JSON lines over stdin and stdout.

The first line is a `Start`; it answers `Ready` or `Refused`.  It lives as long as its stdin: when the parent is gone, however it went,
so is the target.
"""

import asyncio
import gc
import io
import os
import resource
import shutil
import signal
from pathlib import Path
from typing import Any

import msgspec

from loopdiag.errors import InputError
from loopdiag.lab.servers import SERVERS
from loopdiag.lab.servers.behaviour import Behaviour
from loopdiag.lab.servers.front import Front
from loopdiag.lab.servers.limits import Limits
from loopdiag.lab.servers.listening import open_sockets, silent
from loopdiag.lab.servers.messages import Collect, Collected, Ready, Refused, Reply, Start, Stop, Unwritable
from loopdiag.lab.servers.tls import issue
from loopdiag.lab.servers.witness import Witness

STDIN, STDOUT, STDERR = 0, 1, 2
CA_FILE = "ca.pem"
GC_THRESHOLD = 50_000  # objects that are left over: more than a trial leaves, few enough for a target that runs for days


def main() -> None:
    """Read the first line, serve until told to stop or until stdin ends, and take the private folder away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    replies = os.dup(STDOUT)
    os.dup2(STDERR, STDOUT)  # what a library prints cannot be taken for a reply
    line = io.FileIO(STDIN, closefd=False).readline()  # unbuffered: what follows is read by the loop
    if not line:
        return
    start = msgspec.json.decode(line, type=Start)
    if start.cores:
        os.sched_setaffinity(0, start.cores)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    import uvloop  # only now: threads of imports shall find the affinity set

    try:
        uvloop.run(Target(start, replies).serve())
    except InputError as error:
        _reply(replies, Refused(faults=error.faults))
    finally:
        shutil.rmtree(start.folder, ignore_errors=True)


class Target:
    """The target, from its scenario to its end."""

    def __init__(self, start: Start, replies: int) -> None:
        self._start, self._replies = start, replies
        self._witness = Witness()
        self._limits = Limits(start.scenario.target.service)
        self._ended = asyncio.Event()
        self._input = b""

    async def serve(self) -> None:
        """Prepare everything, say so, and serve until the end.

        Raises:
            InputError: a table, a port or a combination is wrong.
        """
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_note)
        front = self._front()
        identity = issue(self._start.scenario.target.tls)
        if identity is not None:
            (Path(self._start.folder) / CA_FILE).write_bytes(identity.ca)
        service = self._start.scenario.target.service
        sockets = open_sockets(self._start.port, service.backlog, ipv6=service.ipv6 == "serves")
        unheard = silent(sockets[0].getsockname()[1]) if service.ipv6 == "silent" else []
        await front.start(sockets, identity)
        import numpy  # noqa: ICN001, F401 - loaded before the trials and not between them

        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)  # a collection inside a trial could show in its think times; `collect` makes up for it
        loop.add_reader(STDIN, self._read)
        _reply(self._replies, Ready(port=sockets[0].getsockname()[1]))
        await self._ended.wait()
        loop.remove_reader(STDIN)
        await front.stop()
        for queued in unheard:
            queued.close()

    def _front(self) -> Front:
        behaviour = Behaviour(self._start.scenario)
        front = SERVERS[self._start.front](behaviour, self._limits, self._witness)
        assert len(behaviour.bodies)  # made now, and never inside a trial
        return front

    def _read(self) -> None:
        piece = os.read(STDIN, 65536)
        if not piece:
            self._ended.set()
        *lines, self._input = (self._input + piece).split(b"\n")
        for line in lines:
            command = msgspec.json.decode(line, type=Collect | Stop)
            if isinstance(command, Stop):
                self._ended.set()
            else:
                _reply(self._replies, self._collect(command.folder))

    def _collect(self, folder: str | None) -> Reply:
        try:
            account = self._witness.collect(Path(folder) if folder is not None else None)
        except OSError as error:
            return Unwritable(number=error.errno or 0, reason=error.strerror or str(error), path=folder or "")
        self._limits.rate.reset()
        gc.collect()
        return Collected(account=account)


def _note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Pass over what clients do to their connections; report our own faults as asyncio does."""
    if not isinstance(context.get("exception"), OSError | asyncio.CancelledError):  # ssl.SSLError is an OSError
        loop.default_exception_handler(context)


def _reply(descriptor: int, reply: Reply) -> None:
    try:
        os.write(descriptor, msgspec.json.encode(reply) + b"\n")
    except BrokenPipeError:
        return  # the parent is gone; the end of stdin says so too


if __name__ == "__main__":
    main()
