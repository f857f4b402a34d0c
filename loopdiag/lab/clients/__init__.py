"""HTTP clients: one file each, plain use of the library's public API, as any good program would.

A client's file imports its library where it is opened, so that an absent one makes that one client unavailable, and so that a trial
times the import as part of its set-up.
"""

import errno
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import NamedTuple, Protocol

from loopdiag.model.scenario import Fake, Payload, Pool, Service
from loopdiag.model.value import Value
from loopdiag.registry import Registry


class ClientOptions(Value, frozen=True, kw_only=True):
    """What a client is opened with.  `service`, `payload`, `fake` and `seed` are the fake client's world; real clients ignore them."""

    method: str = "GET"
    http: str = "1.1"
    timeout_s: float = 60.0
    pool: Pool = Pool()
    ca_file: str | None = None  # the only authority trusted; None: the system's
    user_agent: str | None = None  # live targets: who asks; None: the library's own
    service: Service = Service()
    payload: Payload = Payload()
    fake: Fake = Fake()
    seed: int = 0
    look_ups: bool = False  # each connection looks the name up by the loop's `getaddrinfo`; else the library's own way, and its cache


class Answer(NamedTuple):
    """A response that was read whole; `body` is after content decoding."""

    status: int
    body: bytes
    retry_after_s: float = 0.0  # of a refusal (`REFUSALS`): how long to wait before the next try


#: the loops of a client that does not say
ASYNCIO = frozenset({"asyncio", "uvloop"})


class Client(Protocol):
    """A client in the scenario's terms.

    ``loops``, where it has that, names the loops that it runs on (a frozenset; without it: `ASYNCIO`); ``unseen`` says why no instrument sees into its requests.
    """

    #: exception class name → kind, for the library's own exceptions
    kinds: Mapping[str, str]

    @staticmethod
    def available() -> str | None:
        """Return None, or why this client cannot be used here."""

    @staticmethod
    def versions() -> dict[str, str]:
        """Return the versions of the libraries that do the work."""

    async def open(self, options: ClientOptions) -> None:
        """Build the client.

        Raises:
            Unavailable: it cannot do what the options ask.
        """

    async def fetch(self, url: str) -> Answer:
        """Make one request and read its body whole; raises what the library raises."""

    async def close(self) -> None:
        """Close the client and its connections."""


class BlockingClient(Protocol):
    """A client whose calls block their thread; for loops that are none, and for several threads at once."""

    kinds: Mapping[str, str]

    def open(self, options: ClientOptions) -> None:
        """Build the client.

        Raises:
            Unavailable: it cannot do what the options ask.
        """

    def fetch(self, url: str) -> Answer:
        """Make one request and read its body whole; raises what the library raises."""

    def close(self) -> None:
        """Close the client and its connections."""


def loops_of(client_class: type[Client]) -> frozenset[str]:
    """The loops that clients of this class run on."""
    loops: frozenset[str] = getattr(client_class, "loops", ASYNCIO)
    return loops


CLIENTS: Registry[type[Client]] = Registry(
    "client",
    {
        "aiohttp": "loopdiag.lab.clients.aiohttp:AiohttpClient",
        "httpx": "loopdiag.lab.clients.httpx:HttpxClient",
        "httpx2": "loopdiag.lab.clients.httpx2:Httpx2Client",
        "httpx-sync": "loopdiag.lab.clients.httpx_sync:HttpxSyncClient",
        "httpx.get": "loopdiag.lab.clients.httpx_get:HttpxGet",
        "tornado": "loopdiag.lab.clients.tornado:TornadoClient",
        "twisted": "loopdiag.lab.clients.twisted:TwistedClient",
        "curl": "loopdiag.lab.clients.curl:CurlClient",
        "streams": "loopdiag.lab.clients.streams:StreamsClient",
        "protocol": "loopdiag.lab.clients.protocol:ProtocolClient",
        "epoll": "loopdiag.lab.clients.epoll:EpollClient",
        "go": "loopdiag.lab.clients.go:GoClient",
        "go-2": "loopdiag.lab.clients.go:GoTwoCores",
        "go-pooled": "loopdiag.lab.clients.go:GoPooled",
        "go-pooled-2": "loopdiag.lab.clients.go:GoPooledTwoCores",
        "go-h2": "loopdiag.lab.clients.go:GoHttp2",
        "node-fetch": "loopdiag.lab.clients.node_fetch:NodeFetch",
        "fake": "loopdiag.lab.clients.fake:FakeClient",
    },
)


#: statuses that ask to come back later
REFUSALS = frozenset({429, 503})
RETRY_AFTER_S = 1.0


def pause_s(retry_after: str | None) -> float:
    """Read a Retry-After field, a number of seconds or a date (RFC 9110, 10.2.3); 1 s where there is none that can be read."""
    if retry_after is None:
        return RETRY_AFTER_S
    text = retry_after.strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    from email.utils import parsedate_to_datetime  # here: few servers send dates

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return RETRY_AFTER_S


def missing(package: str) -> str | None:
    """Return None where `package` is installed, else one line that says what to do; it is not imported."""
    return None if find_spec(package) else f"{package} is not installed; pip install {package}"


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Return a context that verifies, as ssl makes it; one a client, shared by all its connections."""
    return ssl.create_default_context(cafile=ca_file)


def error_kind(error: BaseException, names: Mapping[str, str]) -> str:
    """Name the kind of a failed request: descriptors, tls, timeout, reset, connect, or the exception's class.

    What the operating system or ssl said, anywhere down the chain of causes, goes before the library's wrapping, which `names`
    (class name → kind) translates.
    """
    chain = list(_chain(error))
    if any(isinstance(link, OSError) and link.errno in (errno.EMFILE, errno.ENFILE) for link in chain):
        return "descriptors"
    for types, kind in _SYSTEM:
        if any(isinstance(link, types) for link in chain):
            return kind
    for base in type(error).__mro__:
        if base.__name__ in names:
            return names[base.__name__]
    return type(error).__name__


_SYSTEM: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((ssl.SSLError, ssl.CertificateError), "tls"),
    ((TimeoutError,), "timeout"),
    ((ConnectionRefusedError, socket.gaierror), "connect"),
    ((ConnectionResetError, BrokenPipeError, ConnectionAbortedError), "reset"),
)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Walk `error` and what it came from, groups included."""
    seen: set[int] = set()
    rest = [error]
    while rest:
        link = rest.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        rest += [link.__cause__, link.__context__, *getattr(link, "exceptions", ())]
