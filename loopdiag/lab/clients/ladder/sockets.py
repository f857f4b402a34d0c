"""Many connections on one ``select.epoll``: what happens to each when its socket has news."""

import select
import socket
import ssl
from abc import ABC, abstractmethod
from types import ModuleType

from loopdiag.lab.clients.ladder.connection import CONNECTING, HANDSHAKING, READY, Connection
from loopdiag.lab.clients.ladder.origins import Address, Origin, address_of
from loopdiag.lab.clients.ladder.replies import Reading, Reply

#: registered once: edges of both directions, and of the other side's end
EVENTS = getattr(select, "EPOLLIN", 0) | getattr(select, "EPOLLOUT", 0) | getattr(select, "EPOLLRDHUP", 0) | getattr(select, "EPOLLET", 0)
ENDING = getattr(select, "EPOLLRDHUP", 0) | getattr(select, "EPOLLHUP", 0) | getattr(select, "EPOLLERR", 0)


class Request:
    """One request of the workload."""

    __slots__ = ("deadline", "hops", "leased", "link", "number", "origin", "over", "row", "text", "url")

    def __init__(self, number: int, url: str, deadline: float) -> None:
        self.number, self.url, self.deadline = number, url, deadline
        self.origin, self.text = Origin(tls=False, host="", port=0), b""
        self.hops = self.row = 0
        self.link: Connection[Request] | None = None
        self.leased = self.over = False


class Sockets(ABC):
    """The connections of one client; what an answer or a failure means, the client itself says."""

    marks: ModuleType | None = None

    def prepare(self, method: str, context: ssl.SSLContext) -> None:
        """Make the poller; every request has this method, every TLS connection this context."""
        self._method, self._context = method, context
        self._poller = select.epoll()
        self._links: dict[int, Connection[Request]] = {}
        self._names: dict[Origin, list[Address]] = {}

    @abstractmethod
    def answered(self, link: Connection[Request], reply: Reply, request: Request) -> None:
        """The request's answer is whole, and its connection free."""

    @abstractmethod
    def failed(self, request: Request, error: Exception) -> None:
        """The request came to an end without an answer, and its connection is closed."""

    def wait(self, seconds: float) -> None:
        """Handle the events that are there or come within so many seconds."""
        for fd, mask in self._poller.poll(seconds):
            link = self._links.get(fd)
            if link is not None:
                self._ready(link, mask)

    def close_all(self) -> None:
        """Close all connections, and the poller."""
        for link in list(self._links.values()):
            link.abort()
        self._poller.close()

    def connect(self, request: Request) -> None:
        """Open a connection for the request, to the host's first address that is not known to fail."""
        marks = self.marks
        handle = marks.connecting(request.row) if marks is not None else 0
        try:
            address = self._look_up(request.origin, handle)[0]
            sock = socket.socket(address[0], socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            self.failed(request, error)
            return
        link = request.link = Connection(sock, request, address, self._links)
        link.handle = handle
        if marks is not None:
            marks.link_at(handle, "tcp_start")
        try:
            link.connect()
            self._poller.register(sock, EVENTS)
        except OSError as error:
            self.broken(link, error)

    def _look_up(self, origin: Origin, handle: int) -> list[Address]:
        """The addresses of a host: as it stands, or looked up once, while everything else waits."""
        found = self._names.get(origin)
        if found is None:
            literal = address_of(origin)
            found = self._names[origin] = self._ask_names(origin, handle) if literal is None else [literal]
        return found

    def _ask_names(self, origin: Origin, handle: int) -> list[Address]:
        if self.marks is not None:
            self.marks.link_at(handle, "dns_start")
        rows = socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
        if self.marks is not None:
            self.marks.link_at(handle, "dns_end")
        return [(family, address) for family, _, _, _, address in rows]

    def _ready(self, link: Connection[Request], mask: int) -> None:
        """Go on with a connection whose socket has news."""
        try:
            if link.stage == CONNECTING:
                if link.connected():
                    self._connected(link)
                return
            link.flush()
            if mask & ~select.EPOLLOUT:
                before = link.stage
                data, ended = link.receive(drain=bool(mask & ENDING))
                if before == HANDSHAKING and link.stage == READY:
                    self._made(link)
                if data:
                    self._read(link, data)
                if ended:
                    self._ended(link)
        except Exception as error:  # noqa: BLE001 - whatever breaks is this connection's end
            self.broken(link, error)

    def _connected(self, link: Connection[Request]) -> None:
        """The TCP connection is there; TLS comes next, or the request."""
        request, marks = link.request, self.marks
        assert request is not None
        if marks is not None:
            marks.link_at(link.handle, "tcp_end")
            marks.local_port(link.handle, link.sock.getsockname()[1])
            marks.handshaking(link.handle)
        if request.origin.tls:
            link.begin_tls(self._context, request.origin.host)
        else:
            link.stage = READY
            self._made(link)

    def _made(self, link: Connection[Request]) -> None:
        """The connection is whole: send what it was opened for."""
        if self.marks is not None:
            self.marks.link_at(link.handle, "made")
        assert link.request is not None
        self.send(link, link.request)

    def send(self, link: Connection[Request], request: Request) -> None:
        """Send the request over a connection that nobody uses."""
        marks = self.marks
        link.request, link.reading = request, Reading(self._method)
        if marks is not None:
            marks.uses(request.row, link.handle)
            for name in ("resumed", "send_start"):
                marks.at(request.row, name)
        link.send(request.text)
        if marks is not None:
            marks.at(request.row, "send_end")

    def _read(self, link: Connection[Request], data: bytes) -> None:
        """A part of an answer came."""
        request, reading, marks = link.request, link.reading, self.marks
        if request is None:
            self.drop(link)  # nobody asked for it
            return
        if marks is not None and not reading.size:
            marks.at(request.row, "first_byte")
        begun = reading.head is None
        whole = reading.feed(data)
        if marks is not None and reading.head is not None:
            marks.reply(request.row, reading.head.status, reading.size)
            if begun:
                marks.at(request.row, "headers")
        if whole:
            self.answered(link, reading.reply(), request)

    def _ended(self, link: Connection[Request]) -> None:
        """The server closed the connection; a body without a length ends so."""
        request = link.request
        if request is None:
            self.drop(link)
        elif link.reading.until_end:
            self.answered(link, link.reading.reply(), request)
        else:
            self.broken(link, ConnectionResetError("the server closed the connection before its answer was whole"))

    def broken(self, link: Connection[Request], error: Exception) -> None:
        """Close a connection that failed; its request tries the host's next address, or has failed."""
        request, stage = link.request, link.stage
        link.request = None
        self.drop(link)
        if request is None:
            return
        request.link = None
        addresses = self._names[request.origin]
        if stage == CONNECTING and len(addresses) > 1 and link.address in addresses:
            addresses.remove(link.address)
        if stage == CONNECTING and link.address not in addresses:
            self.connect(request)
            return
        self.failed(request, error)

    def drop(self, link: Connection[Request]) -> None:
        """Close a connection."""
        if self.marks is not None and link.open:
            self.marks.link_at(link.handle, "closed")
        link.abort()
