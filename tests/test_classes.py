"""Every stack gets one class of code: held against stacks that py-spy recorded; each row of the table was read and agreed to."""

import pytest
from stack_files import STACKS, as_profile, recorded

from loopdiag.analysis import class_rules
from loopdiag.analysis.classes import classify
from loopdiag.analysis.flames import prepared, trial_flame
from loopdiag.model.flame import CLASSES
from loopdiag.model.profile import Frame

SCAN = "AsyncConnectionPool._assign_requests_to_connections"

#: recording, innermost frame, the frame that called it, class
TABLE = [
    # TLS: the handshake and what belongs to it, under every loop and client
    ("pokeapi-aiohttp-asyncio", "SSLObject.do_handshake", "SSLProtocol._do_handshake", "tls-handshake"),
    ("pokeapi-aiohttp-uvloop", "SSLObject.do_handshake", "Runner.run", "tls-handshake"),
    ("pokeapi-httpx-asyncio", "SSLObject.do_handshake", "TLSStream._call_sslobject_method", "tls-handshake"),
    ("pokeapi-httpx-uvloop", "SSLObject.do_handshake", "TLSStream._call_sslobject_method", "tls-handshake"),
    ("pokeapi-httpx2-asyncio", "SSLObject.do_handshake", "TLSStream._call_sslobject_method", "tls-handshake"),
    ("pokeapi-aiohttp-uvloop", "SSLObject.getpeercert", "Runner.run", "tls-handshake"),
    ("inside-aiohttp-asyncio", "SSLProtocol.__init__", "BaseSelectorEventLoop._make_ssl_transport", "tls-handshake"),
    ("native-aiohttp-asyncio", "?", "EC_POINT_mul", "tls-handshake"),
    ("native-aiohttp-uvloop", "?", "EVP_DigestVerifyFinal", "tls-handshake"),
    ("native-aiohttp-uvloop", "_decode_certificate", "_ssl__SSLSocket_getpeercert_impl", "tls-handshake"),
    ("inject-httpx-asyncio", "timed_handshake.<locals>.do_handshake", "TLSStream._call_sslobject_method", "tls-handshake"),
    # TLS: records
    ("pokeapi-aiohttp-asyncio", "SSLObject.read", "SSLProtocol._do_read__copied", "tls-record"),
    ("pokeapi-aiohttp-uvloop", "SSLObject.read", "Runner.run", "tls-record"),
    ("pokeapi-aiohttp-uvloop", "SSLObject.write", "StreamWriter._write", "tls-record"),
    ("pokeapi-httpx-uvloop", "SSLObject.read", "TLSStream._call_sslobject_method", "tls-record"),
    ("pokeapi-httpx2-asyncio", "TLSStream._flush_write_bio", "TLSStream._call_sslobject_method", "tls-record"),
    ("native-aiohttp-asyncio", "SSLProtocol._do_read__copied", "SSLProtocol._do_read", "tls-record"),
    # HTTP
    ("pokeapi-aiohttp-asyncio", "ResponseHandler.data_received", "SSLProtocol._do_read__copied", "http-parse"),
    ("plain-aiohttp-uvloop", "ResponseHandler.data_received", "Runner.run", "http-parse"),
    ("pool-aiohttp-uvloop", "StreamWriter.write_headers", "ClientRequest.send", "http-parse"),
    ("pokeapi-httpx2-uvloop", "Connection.next_event", "AsyncHTTP11Connection._receive_event", "http-parse"),
    ("pokeapi-httpx2-asyncio", "normalize_and_validate", "_ResponseBase.__init__", "http-parse"),
    ("slow-httpx-asyncio", "get_comma_header", "_body_framing", "http-parse"),
    ("slow-httpx2-uvloop", "_obsolete_line_fold", "_decode_header_lines", "http-parse"),
    ("h2-httpx-asyncio", "H2Connection.send_headers", "AsyncHTTP2Connection._send_request_headers", "http-parse"),
    ("h2-httpx2-uvloop", "HuffmanEncoder.encode", "Encoder._encode_indexed_literal", "http-parse"),
    ("h2-httpx2-uvloop", "Frame.parse_frame_header", "FrameBuffer.__next__", "http-parse"),
    # the client library
    ("pokeapi-aiohttp-asyncio", "StreamReader.__init__", "ResponseHandler.data_received", "client-library"),
    ("pokeapi-aiohttp-uvloop", "ClientRequest.send", "ClientSession._request.<locals>._connect_and_send_request", "client-library"),
    ("plain-aiohttp-asyncio", "encode_url", "URL.__new__", "client-library"),
    ("plain-aiohttp-uvloop", "_connect_sock", "staggered_race.<locals>.run_one_coro", "client-library"),
    ("pokeapi-httpx-uvloop", "AsyncHTTPTransport.handle_async_request", "AsyncClient._send_single_request", "client-library"),
    ("pokeapi-httpx2-asyncio", "urlparse.<locals>.<genexpr>", "urlparse", "client-library"),
    ("pokeapi-httpx2-asyncio", "Logger.isEnabledFor", "Logger.info", "client-library"),
    ("pokeapi-httpx2-asyncio", "AsyncHTTPConnection.handle_async_request", "AsyncConnectionPool.handle_async_request", "client-library"),
    ("h2-httpx-asyncio", "CookieJar.make_cookies", "CookieJar.extract_cookies", "client-library"),
    ("inside-httpx-uvloop", "_SpecialGenericAlias.__subclasscheck__", "_BaseGenericAlias.__instancecheck__", "client-library"),
    ("native-aiohttp-asyncio", "?", "StreamReader._read_nowait", "client-library"),
    # the pool
    ("pokeapi-httpx-asyncio", f"{SCAN}.<locals>.<listcomp>", SCAN, "pool"),
    ("pokeapi-httpx-uvloop", "Origin.__eq__", "AsyncHTTPConnection.can_handle_request", "pool"),
    ("pokeapi-httpx-uvloop", "AsyncHTTP11Connection.is_available", "AsyncHTTPConnection.is_available", "pool"),
    ("pokeapi-httpx-asyncio", "URL.origin", SCAN, "pool"),
    ("pokeapi-httpx2-asyncio", "AsyncHTTP11Connection.has_expired", "AsyncHTTPConnection.has_expired", "pool"),
    ("pokeapi-httpx2-uvloop", f"{SCAN}.<locals>.<setcomp>", SCAN, "pool"),
    ("inside-httpx2-uvloop", "is_socket_readable", "AnyIOStream.get_extra_info", "pool"),
    ("pokeapi-aiohttp-asyncio", "BaseConnector._release", "Connection.release", "pool"),
    ("pool-aiohttp-uvloop", "BaseConnector.connect", "ClientSession._request.<locals>._connect_and_send_request", "pool"),
    ("pool-aiohttp-asyncio", "Random.shuffle", "BaseConnector._release_waiter", "pool"),
    # the loop
    ("plain-aiohttp-asyncio", "BaseEventLoop._run_once", "BaseEventLoop.run_forever", "task-and-callback"),
    ("pool-aiohttp-asyncio", "EpollSelector.select", "BaseEventLoop._run_once", "task-and-callback"),
    ("plain-aiohttp-asyncio", "_SelectorSocketTransport._read_ready__data_received", "_SelectorSocketTransport._read_ready", "task-and-callback"),
    ("pokeapi-aiohttp-asyncio", "_SelectorSocketTransport.write", "SSLProtocol._process_outgoing", "task-and-callback"),
    ("pool-aiohttp-uvloop", "StreamWriter._write", "StreamWriter.set_eof", "task-and-callback"),
    ("pokeapi-httpx-uvloop", "SocketStream.send", "TLSStream._flush_write_bio", "task-and-callback"),
    ("pokeapi-httpx2-asyncio", "CancelScope.__enter__", "AsyncShieldCancellation.__enter__", "task-and-callback"),
    ("pool-httpx-uvloop", "WeakKeyDictionary.__setitem__", "TaskGroup._spawn", "task-and-callback"),
    ("slow-httpx-asyncio", "socket._real_close", "socket.close", "task-and-callback"),
    ("native-aiohttp-asyncio", "send", "sock_call_ex", "task-and-callback"),
    ("native-aiohttp-uvloop", "write", "UVStream__try_write", "task-and-callback"),
    # bodies
    ("pokeapi-aiohttp-asyncio", "ZLibDecompressor.decompress_sync", "DeflateBuffer.feed_data", "decode-content"),
    ("plain-aiohttp-uvloop", "ZLibDecompressor.decompress_sync", "DeflateBuffer.feed_data", "decode-content"),
    ("pokeapi-httpx-asyncio", "GZipDecoder.decode", "Response.aiter_bytes", "decode-content"),
    ("pokeapi-httpx2-uvloop", "ZlibDecompressor.decompress", "GZipDecoder.decode", "decode-content"),
    ("native-aiohttp-uvloop", "crc32_z", "inflate", "decode-content"),
    ("inside-aiohttp-asyncio", "JSONDecoder.raw_decode", "JSONDecoder.decode", "decode-json"),
    ("inside-httpx-uvloop", "JSONDecoder.raw_decode", "JSONDecoder.decode", "decode-json"),
    ("inside-httpx2-uvloop", "loads", "Work._request", "decode-json"),
    # the program
    ("inside-httpx2-uvloop", "Work._request", "Runner.run", "user"),
    ("inside-aiohttp-asyncio", "Work._request", "Handle._run", "user"),
    ("plain-aiohttp-uvloop", "AiohttpClient.fetch", "Work._request", "user"),
    ("slow-httpx2-uvloop", "Urls.__getitem__", "Work._request", "user"),
    # and the rest
    ("slow-httpx2-uvloop", "AsyncIOBackend.getaddrinfo", "getaddrinfo", "dns"),
    ("inside-aiohttp-asyncio", "TCPConnector._resolve_host", "TCPConnector._create_direct_connection", "dns"),
    ("pokeapi-httpx-uvloop", "FileFinder.find_spec", "PathFinder._get_spec", "import"),
    ("pokeapi-httpx-uvloop", "DistutilsMetaFinder.find_spec", "_find_spec", "import"),
    ("native-httpx-asyncio", "fstatat64", "os_stat", "import"),
    ("native-httpx-asyncio", "gc_collect_main", "Semaphore.acquire", "gc"),
    ("native-aiohttp-asyncio", "gc_collect_main", "EpollSelector.select", "gc"),
    ("inject-httpx-asyncio", "recorder.<locals>.hook", "JSONDecoder.raw_decode", "instruments"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "innermost", "caller", "code"), TABLE)
def test_recorded_stacks_have_their_class(name: str, innermost: str, caller: str, code: str) -> None:
    # every recorded stack that ends so has the class that a reader gives it
    found = [stack for stack in recorded(name) if [frame.function for frame in stack[-2:]] == [caller, innermost]]
    assert found
    assert {classify(stack) for stack in found} == {code}


def other_share(names: list[str]) -> float:
    """Share of these recordings' samples that no rule classifies."""
    graphs = [trial_flame(prepared(as_profile(recorded(name)))) for name in names]
    unknown = sum((flame.other_share or 0) * flame.samples for flame in graphs)
    return unknown / sum(flame.samples for flame in graphs)


@pytest.mark.parametrize("scenario", ["pokeapi", "plain", "pool", "slow"])
@pytest.mark.parametrize("client", ["aiohttp", "httpx", "httpx2"])
def test_hardly_anything_of_a_shipped_scenario_is_other(scenario: str, client: str) -> None:
    # at most 5 % of a client's samples in a scenario, both loops together, are of no class
    assert other_share([f"{scenario}-{client}-{loop}" for loop in ("asyncio", "uvloop")]) <= 0.05


@pytest.mark.parametrize("name", [name for name in STACKS if sum(recorded(name).values()) >= 50])
def test_hardly_anything_of_a_recording_is_other(name: str) -> None:
    # nor of any one recording that has samples enough to speak of 5 %
    assert other_share([name]) <= 0.05


def frames(*names: str) -> list[Frame]:
    """Frames written as ``function file``, outermost first."""
    return [Frame(function=name.split(" ")[0], file=name.partition(" ")[2]) for name in names]


LOOP = ("Runner.run asyncio/runners.py", "Handle._run asyncio/events.py")


@pytest.mark.parametrize(
    ("stack", "code"),
    [
        ((), "other"),
        (("f contextlib.py",), "other"),
        (("? libc.so",), "other"),
        ((*LOOP, "f contextlib.py"), "task-and-callback"),
        ((*LOOP, "main fetch.py"), "user"),
        ((*LOOP, "main shop/prices.py", "parse bs4/element.py"), "user"),  # of a library that is no part of fetching
        ((*LOOP, "main fetch.py", "f re/_parser.py", "? libc.so"), "user"),
        ((*LOOP, "main fetch.py", "Response.text httpx/_models.py"), "decode-text"),
        ((*LOOP, "main fetch.py", "IncrementalDecoder.decode encodings/utf_8.py"), "decode-text"),
        ((*LOOP, "main fetch.py", "detect charset_normalizer/api.py", "f charset_normalizer/md.py"), "decode-text"),
        ((*LOOP, "f httpx/_client.py", "TextDecoder.decode httpx/_decoders.py"), "decode-text"),
        ((*LOOP, "f httpx/_client.py", "BrotliDecoder.decode httpx/_decoders.py"), "decode-content"),
        ((*LOOP, "f app.py", "loads orjson/__init__.py"), "decode-json"),
        ((*LOOP, "f app.py", "create_default_context ssl.py"), "tls-context"),
        ((*LOOP, "f app.py", "getaddrinfo socket.py"), "dns"),
        # a program that runs while it is imported is no import
        (("_find_and_load <frozen importlib._bootstrap>", "<module> app.py"), "import"),
        (("_find_and_load <frozen importlib._bootstrap>", "<module> app.py", *LOOP, "main app.py"), "user"),
        # what runs inside the collector is the collector's, and an import inside the pool an import
        ((*LOOP, "gc_collect_main gcmodule.c", "Finalizer.__del__ app.py"), "gc"),
        ((*LOOP, "f httpcore/_async/connection_pool.py", "_find_and_load <frozen importlib._bootstrap>", "f app.py"), "import"),
        # C files by their last names only, as some profilers give them
        ((*LOOP, "run_forever loop.c", "uv__io_poll linux.c"), "task-and-callback"),
        ((*LOOP, "run_forever loop.c", "SSLProtocol__do_read loop.c", "? libcrypto.so"), "tls-record"),
        ((*LOOP, "SSLProtocol__do_handshake loop.c", "_ssl__SSLSocket_do_handshake_impl _ssl.c"), "tls-handshake"),
        ((*LOOP, "data_received aiohttp/client_proto.py", "feed_data _http_parser.c", "? libc.so"), "http-parse"),
        # programs under the instruments
        ((*LOOP, "stamp loopdiag/instruments/tasks.py"), "instruments"),
        ((*LOOP, "run_forever loopdiag/instruments/loops.py"), "task-and-callback"),
    ],
)  # fmt: skip
def test_rules_of_place(stack: tuple[str, ...], code: str) -> None:
    # the innermost frame that a rule knows decides, but for what runs beneath the collector, an import or a look-up
    assert classify(frames(*stack)) == code


def test_rules_name_known_classes() -> None:
    # each rule's class is of the model, and each class but "other" has a rule or is the default
    assert {rule.code for rule in class_rules.RULES} | {"other"} == set(CLASSES)


@pytest.mark.parametrize("number", range(len(class_rules.RULES)))
def test_every_row_says_why(number: int) -> None:
    # a row without a reason is no row
    assert class_rules.RULES[number].why
