"""Which code belongs to which class: the table that `analysis/classes.py` reads.

A row knows a frame by its file and its function (shell patterns, alternatives divided by "|"; a function is matched by its last name or by its
qualified one).  Rows are tried from top to bottom, the first that matches counts.  Three kinds of rows:

- ``nearest``: decides for its own samples and for those of inner frames that no row knows (C code, generic parts of the standard library);
- ``beneath``: decides for everything that it calls, whatever rows know about that, up to the next loop inside;
- ``alone``: code that serves several parts of its library; decides only where no frame outside is known.

`within` restricts a row to stacks in which a frame further out (inside the same callback of the loop) has such a function.
A file of an unknown package is the program's own; the standard library and C code that no row knows go to the nearest frame outside that one does.
"""

from typing import Final, Literal, NamedTuple

Where = Literal["nearest", "beneath", "alone"]

#: raised whenever a row changes, so that two reports can be compared
RULES_VERSION: Final = 3


class Rule(NamedTuple):
    """One row."""

    code: str  # of model.flame.CLASSES
    where: Where
    file: str
    function: str
    why: str
    within: str = ""


#: a loop runs its callbacks below these: what stands outside of them says nothing about a callback
LOOPS: Final = (
    ("asyncio/runners.py|asyncio/base_events.py", "run|run_until_complete|run_forever|_run_once"),
    ("asyncio/events.py", "_run"),
    ("uvloop/*|loop.c", "*run*"),
    ("loopdiag/instruments/loops.py|loopdiag_instruments/loops.py", "run_forever"),
    ("loopdiag/instruments/span.py|loopdiag_instruments/span.py", "*run_forever"),
)

#: shared libraries and sources whose code serves everyone
GENERIC_C: Final = "*.c|*.h|*.so|*.pyx|*.pxd|[[]vdso]|"

CHECKS = "is_available|is_idle|is_closed|is_connecting|is_connected|has_expired|can_handle_request|info"
HANDSHAKES = "do_handshake|_do_handshake|_start_handshake|_on_handshake_complete|*_do_handshake|*_start_handshake|*_on_handshake_complete"

RULES: Final = (
    # --- whatever runs beneath these is theirs
    Rule("gc", "beneath", "*gcmodule.c|*/gc.c|*/gc_free_threading.c|libpython*", "gc_collect*|*_PyGC_Collect*|PyGC_Collect", "finalizers run beneath the collector"),
    Rule("gc", "beneath", "*", "gc_collect_main|gc_collect_generations|gc_collect_with_callback|_PyGC_Collect*", "with debug symbols elsewhere"),
    Rule("import", "beneath", "<frozen importlib*|importlib/*|zipimport.py", "*", "finding, compiling and running modules; also a failed import, tried again at each call"),
    Rule("dns", "beneath", "socket.py|asyncio/*|anyio/*|trio/*|uvloop/*|libc.so", "getaddrinfo|getnameinfo|gethostbyname|_getaddrinfo*", "looking a name up, handing it to an executor included"),
    Rule("dns", "beneath", "aiohttp/resolver.py|aiodns/*|pycares/*|dns/*", "*", "resolvers"),
    Rule("dns", "beneath", "aiohttp/connector.py", "_resolve_host|_resolve_host_with_throttle", "aiohttp's cache of names"),
    Rule("decode-text", "beneath", "charset_normalizer/*|chardet/*|cchardet/*|faust_cchardet/*", "*", "guessing a character set"),
    Rule("pool", "beneath", "httpcore*/_async/*|httpcore*/_sync/*", CHECKS, "what the pool asks of every connection, looking at its socket included"),
    # --- loopdiag itself
    Rule("tls-handshake", "nearest", "loopdiag/instruments/tls.py|loopdiag_instruments/tls.py", "do_handshake", "the instrument's wrapper; the handshake is C inside of it"),
    Rule("task-and-callback", "nearest", "loopdiag/instruments/loops.py|loopdiag_instruments/loops.py", "run_forever", "the instrument's wrapper; uvloop runs in C inside of it"),
    Rule("task-and-callback", "nearest", "loopdiag/instruments/span.py|loopdiag_instruments/span.py", "*run_forever", "the same, in a user's program"),
    Rule("instruments", "nearest", "loopdiag/instruments/*|loopdiag_instruments/*|sitecustomize.py", "*", "the observer"),
    Rule("client-library", "nearest", "loopdiag/lab/loops/curl.py", "*", "what libcurl computes in C, below its own loop"),
    Rule("user", "nearest", "loopdiag/lab/*", "*", "the scenario's program"),
    # --- TLS
    Rule("tls-handshake", "nearest", "ssl.py|*_ssl.c", "do_handshake|*do_handshake*|getpeercert|_create|wrap_*|*_set_server_hostname", "the handshake, and what is asked right after it"),
    Rule("tls-context", "nearest", "ssl.py|*_ssl.c", "create_default_context|_create_*context|load_*|set_default_verify_paths|*load_verify_locations*|__new__|SSLContext.*", "making ready for handshakes"),
    Rule("tls-handshake", "nearest", "*_ssl.c", "*", "what these call in C", within="do_handshake|getpeercert|*_do_handshake_impl|*_getpeercert_impl"),
    Rule("tls-record", "nearest", "ssl.py|*_ssl.c", "*", "read, write, pending, close_notify"),
    Rule("tls-handshake", "nearest", "asyncio/sslproto.py", "__init__|connection_made|" + HANDSHAKES, "a new connection's TLS"),
    Rule("tls-handshake", "nearest", "asyncio/sslproto.py", "*", "what a handshake calls", within=HANDSHAKES),
    Rule("tls-record", "nearest", "asyncio/sslproto.py", "*", "records between transport and protocol"),
    Rule("tls-handshake", "nearest", "uvloop/*|loop.c", "*SSLProtocol*handshake*", "the same, in C"),
    Rule("tls-record", "nearest", "uvloop/*|loop.c", "*SSLProtocol*", "the same, in C"),
    Rule("tls-handshake", "nearest", "anyio/streams/tls.py", "wrap|TLSConnectable.connect", "AnyIO's handshake"),
    Rule("tls-handshake", "nearest", "anyio/streams/tls.py", "_call_sslobject_method", "what AnyIO's handshake calls", within="TLSStream.wrap|wrap"),
    Rule("tls-record", "nearest", "anyio/streams/tls.py", "*", "AnyIO's records"),
    Rule("tls-context", "nearest", "truststore/*|certifi/*", "*", "certificates"),
    # --- bodies
    Rule("user", "nearest", "gzip.py|bz2.py|lzma.py|*zlibmodule.c|*_bz2module.c|*_lzmamodule.c", "compress|*File.write|*File.close|_create_simple_gzip_header|zlib_compress*|*Compress_compress*|*Compressor_compress*", "clients decompress answers; who compresses is the program"),
    Rule("decode-content", "nearest", "aiohttp/compression_utils.py|gzip.py|zlib.py|*zlibmodule.c*|libz.so|libbrotli*|brotli*|*/brotli*|zstandard/*|backports/zstd/*|compression/*|bz2.py|lzma.py", "*", "decompressors"),
    Rule("decode-content", "nearest", "aiohttp/http_parser.py", "DeflateBuffer.*", "aiohttp's decompressing buffer"),
    Rule("decode-text", "nearest", "httpx*/_decoders.py", "TextDecoder.*|LineDecoder.*|TextChunker.*", "bytes to text"),
    Rule("client-library", "nearest", "httpx*/_decoders.py", "ByteChunker.*|IdentityDecoder.*", "no decoding"),
    Rule("decode-content", "nearest", "httpx*/_decoders.py", "*", "gzip, deflate, Brotli, Zstandard"),
    Rule("decode-json", "nearest", "json/*|*_json.c|orjson/*|ujson/*|simplejson/*|rapidjson/*|ijson/*|msgspec/json.py", "*", "JSON libraries"),
    Rule("decode-text", "nearest", "encodings/*|codecs.py|<frozen codecs>|*unicodeobject.c|*/codecs.c", "*decode*", "codecs"),
    Rule("decode-text", "nearest", "httpx*/_models.py", "Response.text|Response.encoding|Response.charset_encoding|Response.aiter_text|Response.iter_text", "the text of a response: str's decoder is C inside of it"),
    Rule("decode-text", "nearest", "aiohttp/client_reqrep.py", "ClientResponse.text|ClientResponse.get_encoding", "the same"),
    # --- HTTP itself
    Rule("http-parse", "nearest", "h11/*|httptools/*|h2/*|hpack/*|hyperframe/*|wsproto/*|*llhttp*", "*", "protocol libraries"),
    Rule("http-parse", "nearest", "aiohttp/http_parser.py|*_http_parser*", "*", "aiohttp's parser"),
    Rule("http-parse", "nearest", "aiohttp/client_proto.py", "data_received|feed_data|_switch_to_parser", "the C parser is inside of it"),
    Rule("task-and-callback", "nearest", "aiohttp/http_writer.py", "_write|_writelines", "the transport's write, in C under uvloop"),
    Rule("http-parse", "nearest", "aiohttp/http_writer.py|*_http_writer*", "*", "writing requests"),
    # --- the pool
    Rule("pool", "nearest", "aiohttp/connector.py", "*", "aiohttp's connector"),
    Rule("pool", "nearest", "httpcore*/_async/connection_pool.py|httpcore*/_sync/connection_pool.py", "*", "httpcore's pool"),
    # --- the client library
    Rule("client-library", "nearest", "httpcore*/_async/*|httpcore*/_sync/*|httpcore*/_backends/*|httpcore*/_api.py", "*", "one connection of httpcore"),
    Rule("client-library", "nearest", "aiohttp/*|httpx/*|httpx2/*|aiohappyeyeballs/*|yarl/*|multidict/*|requests/*|urllib3/*|niquests/*|aiosonic/*", "*", "HTTP clients"),
    Rule("client-library", "alone", "httpcore*/_models.py|httpcore*/_utils.py|httpcore*/_synchronization.py|httpcore*/_trace.py|httpcore*/_exceptions.py|propcache/*|frozenlist/*|aiosignal/*|attr/*|attrs/*|idna/*", "*", "the pool uses them, and so does each connection"),
    # --- the loop
    Rule("task-and-callback", "nearest", "asyncio/*|selectors.py|socket.py|signal.py|concurrent/futures/*|async_timeout/*", "*", "asyncio and what it stands on"),
    Rule("task-and-callback", "nearest", "uvloop/*|loop.c|*_asynciomodule.c|*selectmodule.c|*socketmodule.c", "*", "uvloop and C parts of asyncio"),
    Rule("task-and-callback", "nearest", "*.c", "uv_*|uv__*", "libuv"),
    Rule("task-and-callback", "nearest", "anyio/*|sniffio/*|trio/*|outcome/*", "*", "AnyIO's tasks, locks, time-outs and sockets"),
)  # fmt: skip

#: modules without a say, beside the standard library's
GENERIC_PARTS: Final = "typing_extensions.py|wrapt/*|<string>|<attrs *|<frozen *|_distutils_hack/*"
