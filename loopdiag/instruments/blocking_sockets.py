"""Blocking look-ups, connects and TLS handshakes, charged to the connection that their thread opens; and whom the program connects to.

Seams: ``socket.getaddrinfo``, ``socket.socket.connect`` and ``connect_ex``, ``ssl.SSLSocket.do_handshake``; of uvloop, whose connects no Python socket sees, ``Loop.create_connection``
and ``sock_connect``.
"""

import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from .blocking_requests import Blocking
from .context import C, Rows
from .patching import original, replace
from .recorder import now
from .schema import MASK, TICK_SHIFT

DNS_START, DNS_END, TCP_START, TCP_END = C["dns_start"], C["dns_end"], C["tcp_start"], C["tcp_end"]
TLS_START, TLS_END, TLS_CPU, TLS_STEPS = C["tls_start"], C["tls_end"], C["tls_cpu_ns"], C["tls_steps"]
TRIED, PORT = C["address_attempts"], C["local_port"]

PEERS = 100

Method = Callable[..., Any]


def install(rows: Rows, module: ModuleType) -> None:
    """Patch ``socket``, ``ssl`` or ``uvloop``.

    Raises:
        Missing: a name is not there.
    """
    if module.__name__ == "ssl":
        _handshakes(rows, module)
    elif module.__name__ == "socket":
        _connects(rows, module)
    else:
        _loop_connects(rows, module)


def peers_of(rows: Rows) -> "set[str]":
    """The hosts and addresses that the program connected to, as the account tells them; at most PEERS."""
    found: set[str] | None = vars(rows).get("peers")
    if found is None:
        found = rows.peers = set()  # type: ignore[attr-defined] # of programs alone
        rows.told["peers"] = lambda: sorted(peers_of(rows))
    return found


def _note(peers: "set[str]", address: Any) -> None:
    if isinstance(address, tuple) and address and isinstance(address[0], str) and len(peers) < PEERS:
        peers.add(address[0])


def _connects(rows: Rows, module: ModuleType) -> None:
    peers, blocking = peers_of(rows), _Lazily(rows)
    base = original(module, "socket")
    stream = original(module, "SOCK_STREAM")

    def make_connect(before: Method) -> Method:
        def connect(self: Any, address: Any) -> Any:
            if self.type == stream:
                _note(peers, address)
            link = blocking.opening()
            if not link:
                return before(self, address)
            words = blocking.links
            words[link + TRIED] += 1
            if not words[link + TCP_START]:
                words[link + TCP_START] = now() >> TICK_SHIFT & MASK
            try:
                return before(self, address)
            finally:
                words[link + TCP_END] = now() >> TICK_SHIFT & MASK
                words[link + PORT] = _port(self)

        return connect

    def make_look_up(before: Method) -> Method:
        def getaddrinfo(*args: Any, **kwargs: Any) -> Any:
            link = blocking.opening()
            words = blocking.links
            if not link or words[link + DNS_START]:
                return before(*args, **kwargs)
            words[link + DNS_START] = now() >> TICK_SHIFT & MASK
            try:
                return before(*args, **kwargs)
            finally:
                words[link + DNS_END] = now() >> TICK_SHIFT & MASK

        return getaddrinfo

    replace(base, "connect", make_connect)
    replace(base, "connect_ex", make_connect)
    replace(module, "getaddrinfo", make_look_up)


class _Lazily:
    """What `shared` gives, asked for only when some client opens a connection: ``socket`` is imported by nearly every program."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._found: Blocking | None = None

    def opening(self) -> int:
        """The row of the connection that the running thread opens."""
        found = self._found
        if found is None:
            found = self._found = vars(self._rows).get("blocking")
            if found is None:
                return 0
        return found.here.opening

    @property
    def links(self) -> Any:
        return self._found.links if self._found is not None else None


def _port(sock: Any) -> int:
    try:
        name = sock.getsockname()
        return int(name[1]) & MASK if isinstance(name, tuple) else 0
    except OSError:
        return 0


def _handshakes(rows: Rows, module: ModuleType) -> None:
    cpu_ns = time.thread_time_ns
    blocking = _Lazily(rows)

    def make(before: Method) -> Method:
        def do_handshake(self: Any, *args: Any, **kwargs: Any) -> Any:
            link = blocking.opening()
            if not link:
                return before(self, *args, **kwargs)
            words = blocking.links
            words[link + TLS_START] = now() >> TICK_SHIFT & MASK
            cpu = cpu_ns()
            try:
                return before(self, *args, **kwargs)
            finally:
                words[link + TLS_CPU] = words[link + TLS_CPU] + cpu_ns() - cpu & MASK
                words[link + TLS_STEPS] += 1
                words[link + TLS_END] = now() >> TICK_SHIFT & MASK

        return do_handshake

    replace(original(module, "SSLSocket"), "do_handshake", make)


def _loop_connects(rows: Rows, module: ModuleType) -> None:
    peers, loop = peers_of(rows), original(module, "Loop")

    def make_create(before: Method) -> Method:
        def create_connection(self: Any, protocol_factory: Any, host: Any = None, *args: Any, **kwargs: Any) -> Any:
            _note(peers, (host,))
            return before(self, protocol_factory, host, *args, **kwargs)

        return create_connection

    def make_connect(before: Method) -> Method:
        def sock_connect(self: Any, sock: Any, address: Any) -> Any:
            _note(peers, address)
            return before(self, sock, address)

        return sock_connect

    replace(loop, "create_connection", make_create)
    replace(loop, "sock_connect", make_connect)
