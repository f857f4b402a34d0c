"""Accepting late: a connection lies in the kernel's listening queue, and its TLS handshake waits, as long as the scenario says.

The client's connect ends long before: the kernel completes it on its own.
"""

import asyncio
import errno
import select
import socket
import struct
from collections.abc import Callable, Coroutine
from functools import partial
from time import perf_counter_ns as clock
from typing import Any

from loopdiag.lab.servers.deadlines import Deadlines

Connect = Callable[[], Coroutine[Any, Any, object]]

RETRY_NS = 100_000_000  # after an accept for which the system had no room
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
TCP_INFO_BYTES, QUEUED_AT = 104, 24  # tcpi_unacked; of a listening socket, how many connections wait to be accepted


class LateAcceptor:
    """Accepts each connection of one listening socket a set time after it arrived, and has it connected a set time after that.

    Connections wait side by side: a hundred that arrive at once are accepted together.

    Args:
        listening: a socket that listens and does not block; `stop` closes it.
        deadlines: the front's.
        accepted: called with each socket as soon as it is accepted; what it returns gives the connection to the loop, and makes its handshake.
        accept_ns: from a connection's arrival to its accept.
        handshake_ns: from there to the beginning of its handshake.
    """

    def __init__(
        self,
        listening: socket.socket,
        deadlines: Deadlines,
        accepted: Callable[[socket.socket], Connect],
        *,
        accept_ns: int,
        handshake_ns: int,
    ) -> None:
        self._listening, self._deadlines, self._note = listening, deadlines, accepted
        self._accept_ns, self._handshake_ns = accept_ns, handshake_ns
        self._awaited = 0  # connections in the queue whose time is set already
        self._accepted: set[socket.socket] = set()  # not yet the loop's
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        # a listening socket stays readable as long as anything is queued; edge-triggered, it tells of each arrival
        self._arrivals = select.epoll()
        self._arrivals.register(listening, select.EPOLLIN | select.EPOLLET)
        self._loop.add_reader(self._arrivals.fileno(), self._arrived)

    def stop(self) -> None:
        """Stop listening; connections whose handshake has not begun are cut."""
        self._loop.remove_reader(self._arrivals.fileno())
        self._arrivals.close()
        for task in self._tasks:
            task.cancel()
        for sock in (self._listening, *self._accepted):
            sock.close()

    def _arrived(self) -> None:
        now_ns = clock()
        self._arrivals.poll(0)  # before counting: whoever comes in between is counted, and rings in vain
        (queued,) = struct.unpack_from("I", self._listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES), QUEUED_AT)
        for _ in range(queued - self._awaited):
            self._awaited += 1
            self._at(now_ns + self._accept_ns, self._accept)

    def _at(self, due_ns: int, call: Callable[[], None]) -> None:
        if due_ns <= clock():
            call()
        else:
            self._deadlines.at(due_ns, call)

    def _accept(self) -> None:
        """Accept the one that waits longest; all wait equally long, so that it is the one whose time has come."""
        try:
            sock, _ = self._listening.accept()
        except OSError as error:
            if error.errno in EXHAUSTED:
                self._deadlines.at(clock() + RETRY_NS, self._accept)
            else:  # it is not there any more
                self._awaited -= 1
            return
        connect = self._note(sock)
        now_ns = clock()
        self._awaited -= 1
        sock.setblocking(False)
        self._accepted.add(sock)
        self._at(now_ns + self._handshake_ns, partial(self._begin, sock, connect))

    def _begin(self, sock: socket.socket, connect: Connect) -> None:
        task = self._loop.create_task(self._hand_over(sock, connect))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _hand_over(self, sock: socket.socket, connect: Connect) -> None:
        self._accepted.discard(sock)
        try:
            await connect()
        except (OSError, asyncio.CancelledError):  # ssl.SSLError is an OSError; a client may leave in its handshake, or make none
            sock.close()
