"""libcurl through pycurl: one CurlMulti, whose transfers a socket loop of our own drives (``loops/curl.py``), as libcurl's documentation shows it."""

from collections.abc import Mapping
from errno import EMFILE, ENFILE
from importlib.metadata import version
from importlib.util import find_spec
from types import MappingProxyType, ModuleType
from typing import Any

from loopdiag.errors import Unavailable
from loopdiag.lab.clients import REFUSALS, RETRY_AFTER_S, Answer, ClientOptions
from loopdiag.model.scenario import Pool

REDIRECTS = 20  # as httpx
FOREVER_S = 86400

#: libcurl's error numbers → kinds
KINDS = (
    dict.fromkeys((5, 6, 7), "connect")
    | dict.fromkeys((35, 51, 53, 54, 58, 59, 60, 66, 77, 80, 82, 83, 90, 91, 98), "tls")
    | dict.fromkeys((16, 18, 52, 55, 56, 92), "reset")
    | {28: "timeout"}
)


class Transfer:
    """One easy handle and what it brings; used again and again."""

    def __init__(self, easy: Any) -> None:
        self.easy = easy
        self.parts: list[bytes] = []
        self.number = self.tries = self.row = 0
        self.first_ns = self.headers_ns = self.last_ns = 0  # in the timeline tier


class CurlClient:
    """pycurl.CurlMulti, and the handles that it works on."""

    kinds: Mapping[str, str] = MappingProxyType({})
    loops = frozenset({"curl"})

    def __init__(self) -> None:
        self.multi: Any = None
        self._options = ClientOptions()
        self._free: list[Transfer] = []
        self._running: dict[Any, Transfer] = {}

    @staticmethod
    def available() -> str | None:
        """Return None, or that the optional part is not installed."""
        return None if find_spec("pycurl") else 'pycurl is not installed; pip install "loopdiag[clients]"'

    @staticmethod
    def versions() -> dict[str, str]:
        """Return the versions of pycurl and of the library below it."""
        import pycurl

        return {"pycurl": version("pycurl"), "libcurl": pycurl.version_info()[1]}

    def open(self, options: ClientOptions) -> None:
        """Build the multi handle.

        Raises:
            Unavailable: HTTP/2, and this libcurl was built without it.
        """
        import pycurl

        if options.http == "2" and not pycurl.version_info()[4] & pycurl.VERSION_HTTP2:
            raise Unavailable("this libcurl was built without HTTP/2")
        self._options, self.multi = options, pycurl.CurlMulti()
        for option, value in _limits(pycurl, options.pool):
            self.multi.setopt(option, value)

    def start(self, url: str, number: int, *, stamps: bool = False) -> Transfer:
        """Begin one request; `stamps`: note when what it brings comes."""
        transfer = self._free.pop() if self._free else self._made(secure=url.startswith("https:"), stamps=stamps)
        transfer.number, transfer.first_ns, transfer.headers_ns, transfer.last_ns = number, 0, 0, 0
        transfer.easy.setopt(transfer.easy.URL, url)
        self._running[transfer.easy] = transfer
        self.multi.add_handle(transfer.easy)
        return transfer

    def ended(self) -> list[tuple[Transfer, Answer | str]]:
        """What has ended since the last call: the answer, or the kind of its failure."""
        found: list[tuple[Transfer, Answer | str]] = []
        while True:
            more, done, failed = self.multi.info_read()
            found += [(transfer, self._answer(transfer)) for transfer in map(self._running.pop, done)]
            found += [(self._running.pop(easy), _kind(easy, number)) for easy, number, _ in failed]
            if not more:
                return found

    def free(self, transfer: Transfer) -> None:
        """What it brought has been taken: it may be used again."""
        self.multi.remove_handle(transfer.easy)
        transfer.parts.clear()
        self._free.append(transfer)

    def close(self) -> None:
        """Close all handles, and with them their connections."""
        for transfer in self._free:
            transfer.easy.close()
        for easy in self._running:
            self.multi.remove_handle(easy)
            easy.close()
        if self.multi is not None:
            self.multi.close()

    def _made(self, *, secure: bool, stamps: bool) -> Transfer:
        import pycurl

        easy, options = pycurl.Curl(), self._options
        transfer = Transfer(easy)
        for option, value in _settings(pycurl, options, secure=secure):
            easy.setopt(option, value)
        if stamps:
            _stamped(pycurl, transfer)
        else:
            easy.setopt(pycurl.WRITEFUNCTION, transfer.parts.append)
        return transfer

    def _answer(self, transfer: Transfer) -> Answer:
        easy = transfer.easy
        status, body = easy.getinfo(easy.RESPONSE_CODE), b"".join(transfer.parts)
        if status in REFUSALS:
            return Answer(status, body, easy.getinfo(easy.RETRY_AFTER) or RETRY_AFTER_S)
        return Answer(status, body)


def _settings(pycurl: ModuleType, options: ClientOptions, *, secure: bool) -> list[tuple[int, Any]]:
    """The options of every handle; `secure`: for addresses with TLS."""
    speaks = pycurl.CURL_HTTP_VERSION_2TLS if secure else pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE
    settings: list[tuple[int, Any]] = [
        (pycurl.HTTP_VERSION, speaks if options.http == "2" else pycurl.CURL_HTTP_VERSION_1_1),
        (pycurl.PIPEWAIT, options.http == "2"),  # wait for a connection that can carry one more stream
        (pycurl.ACCEPT_ENCODING, "gzip, deflate"),
        (pycurl.FOLLOWLOCATION, True),
        (pycurl.MAXREDIRS, REDIRECTS),
        (pycurl.TIMEOUT_MS, max(1, round(options.timeout_s * 1000))),
        (pycurl.NOSIGNAL, True),
        (pycurl.PROXY, ""),  # none, whatever the environment says
    ]
    if options.method == "HEAD":
        settings.append((pycurl.NOBODY, True))
    elif options.method != "GET":
        settings.append((pycurl.CUSTOMREQUEST, options.method))
    if options.ca_file:
        settings.append((pycurl.CAINFO, options.ca_file))
    if options.user_agent:
        settings.append((pycurl.USERAGENT, options.user_agent))
    if options.pool.keepalive_s is not None:
        settings.append((pycurl.MAXAGE_CONN, max(1, round(options.pool.keepalive_s)) if options.pool.keepalive_s else FOREVER_S))
    return settings


def _limits(pycurl: ModuleType, pool: Pool) -> list[tuple[int, int]]:
    """Translate the scenario's pool; libcurl has no limit of its own, and keeps four idle connections a running transfer."""
    limits: list[tuple[int, int]] = []
    if pool.limit:
        limits.append((pycurl.M_MAX_TOTAL_CONNECTIONS, pool.limit))
    if pool.limit_per_host:
        limits.append((pycurl.M_MAX_HOST_CONNECTIONS, pool.limit_per_host))
    if pool.keepalive:
        limits.append((pycurl.M_MAXCONNECTS, pool.keepalive))
    return limits


def _stamped(pycurl: ModuleType, transfer: Transfer) -> None:
    """Have the handle note when its answer's first and last parts came."""
    from time import perf_counter_ns as now

    def header(line: bytes) -> None:
        at = now()
        transfer.first_ns = transfer.first_ns or at
        if line == b"\r\n":
            transfer.headers_ns = transfer.last_ns = at

    def body(part: bytes) -> None:
        transfer.last_ns = now()
        transfer.parts.append(part)

    transfer.easy.setopt(pycurl.HEADERFUNCTION, header)
    transfer.easy.setopt(pycurl.WRITEFUNCTION, body)


def _kind(easy: Any, number: int) -> str:
    """The kind of a failure that libcurl has a number for."""
    if easy.getinfo(easy.OS_ERRNO) in {EMFILE, ENFILE}:
        return "descriptors"
    return KINDS.get(number, f"curl-{number}")
