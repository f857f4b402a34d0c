"""A server on loopback that does nothing: it passes a program's requests on once, keeps the answers, and from then on gives them by itself.

It is in front of every server that the program asks, and knows them by the requests' Host; plain HTTP/1.1 alone.  The answers are kept as they came, with whatever they hold.
"""

import asyncio
import json
import threading
from pathlib import Path
from time import monotonic, sleep

from loopdiag.errors import LoopdiagError
from loopdiag.lab.servers import null_answers
from loopdiag.lab.servers.null_answers import Answers, Known, Replay
from loopdiag.lab.servers.null_lines import Passing, Replaying

START_S = 10.0
SETTLE_S = 5.0  # for connections of a program that is gone
SETTLE_STEP_S = 0.005
FILE = "answers.json"


class NullServer:
    """The server, in a thread of its own.

    Attributes:
        answers: what came while it is filled.
        known: what it answers with, once it replays.
        replays: whether it answers by itself, and passes nothing on.
        trial: how far each request's answers were given in the trial that runs.
        faults: what it could not pass on.
        open: connections that are there.
    """

    def __init__(self) -> None:
        self.answers = Answers()
        self.known: Known = {}
        self.trial = Replay(self.known)
        self.replays = False
        self.faults: list[str] = []
        self.open: set[asyncio.Transport] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.port = 0
        self._thread = threading.Thread(target=self._run, daemon=True, name="null-server")
        self._thread.start()
        if not self._ready.wait(START_S) or not self.port:
            raise LoopdiagError("the null server does not come up")

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            server = self._loop.run_until_complete(self._loop.create_server(self._line, "127.0.0.1", 0, backlog=1024))
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            self._loop.run_forever()
            server.close()
            self._leave()
        finally:
            self._ready.set()
            self._loop.close()

    def _leave(self) -> None:
        """End what is under way, so that nothing is left open."""
        for task in (tasks := asyncio.all_tasks(self._loop)):
            task.cancel()
        self._loop.run_until_complete(asyncio.wait(tasks) if tasks else asyncio.sleep(0))
        for transport in list(self.open):
            transport.abort()
        ends = monotonic() + SETTLE_S
        while self.open and monotonic() < ends:
            self._loop.run_until_complete(asyncio.sleep(0))

    def _line(self) -> asyncio.Protocol:
        return Replaying(self) if self.replays else Passing(self)

    @property
    def missed(self) -> int:
        """How many requests of the trial that runs it had no answer to."""
        return self.trial.missed

    def begin(self) -> None:
        """A trial begins: every request's answers come from the first one on again."""
        self.trial = Replay(self.known)

    def fault(self, why: str) -> None:
        """Something cannot be passed on."""
        if why not in self.faults:
            self.faults.append(why)

    def full(self) -> None:
        """There is no room for an answer."""
        self.fault(f"the answers have more than {null_answers.MOST_BYTES >> 20} MiB")

    def replay(self, file: Path) -> None:
        """Answer by itself from now on, and leave the answers in `file`.

        Raises:
            LoopdiagError: not everything could be passed on, so the program would not see the same.
        """
        ends = monotonic() + SETTLE_S
        while self.open and monotonic() < ends:  # the program is gone: when its connections are, too, all that came on them is known
            sleep(SETTLE_STEP_S)
        if self.faults:
            raise LoopdiagError(f"the null server: {self.faults[0]}")
        try:
            self.known = self.answers.known()
        except ValueError as error:
            raise LoopdiagError(f"the null server: {error}") from error
        file.write_text(json.dumps(null_answers.listed(self.known)), encoding="utf-8")
        self.begin()
        self.replays = True

    def stop(self) -> None:
        """End it."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(START_S)
