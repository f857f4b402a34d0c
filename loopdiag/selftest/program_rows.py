"""Small programs of users, each with a known fault or none: what is run, against which server, and what is to be said of it.

The scripts lie in ``programs/``, one file each; the comment ``# <- here`` marks the lines that have to be changed.
"""

from loopdiag.selftest.row import EIGHTS, FEW, FLAT, MANY, SMALL, Row

MEAN, SERVICE, BYTES = "target.service.mean_ms", "target.service", "target.payload.mean_bytes"
TLS, CLOSING = 'target.tls = "ecdsa-p256"', "target.service.keep_alive = false"
LOOP = ("event_loop_saturated",)
HONEST = ("none", "event_loop_saturated", "library_overhead", "gc_pauses")  # what each request costs, whoever makes it
ONE_AT_A_TIME = ("server_concurrency_limit",)  # what a server of one core is, to whom cannot look inside
PLAIN, TRUSTING = ("{n}", "{url}"), ("{n}", "{url}", "{ca}")
PROGRAM_S = 30.0  # of measuring: each trial is a fresh interpreter
VERIFY_S = 25.0  # of those that are verified, too
#: one script a cause that a knob takes away
VERIFIED = frozenset({
    "pool_inventory", "sem_crawler", "threads_requests", "lock_token", "pacing_sleep", "polling_result", "block_sleep", "cpu_json", "gc_tree", "debug_run",
    "reuse_session_each", "context_httpx_each", "dns_uncached", "ipv6_first", "gap_events", "server_slots",
})  # fmt: skip
SERIAL = (4, 8, 16, 24, 32)
HUNDREDS = (20, 40, 80, 120, 200)
WIDE = (20, 40, 80, 140, 200)


def _program(  # noqa: PLR0913, PLR0917 - the columns of a table
    cause: str,
    script: str,
    seen: str,
    n: tuple[int, ...],
    keys: tuple[str, ...],
    accept: tuple[str, ...] = (),
    arguments: tuple[str, ...] = PLAIN,
) -> Row:
    return Row(
        name=f"program-{script.replace('_', '-')}", kind="program", truth=(cause,), arm=seen, n=n, keys=keys, accept=accept, script=script,
        arguments=arguments, why=f"{script}.py says it.", budget_s=PROGRAM_S, verified=script in VERIFIED, verify_s=VERIFY_S,
    )  # fmt: skip


def _healthy(script: str, seen: str, n: tuple[int, ...], keys: tuple[str, ...], truth: str = "none") -> Row:
    return Row(
        name=f"program-{script.replace('_', '-')}", kind="healthy program", truth=(truth,), arm=seen, n=n, keys=keys, accept=HONEST,
        script=script, arguments=PLAIN, why=f"{script}.py says it.", budget_s=PROGRAM_S, verified=False,
    )  # fmt: skip


#: cause, script, the client and loop that it is seen to use, N, keys of the target, what else is right
PROGRAMS: tuple[Row, ...] = (
    _program("client_pool_limit", "pool_inventory", "aiohttp/asyncio", EIGHTS, (f"{MEAN} = 25",)),
    _program("client_pool_limit", "pool_weather", "httpx/uvloop", FEW, (f"{MEAN} = 100",)),
    _program("client_pool_limit", "pool_mirror", "aiohttp/uvloop", EIGHTS, (f"{MEAN} = 40",)),
    _program("client_pool_limit", "pool_httpx2_export", "httpx2/asyncio", FEW, (f"{MEAN} = 80",)),
    _program("client_semaphore", "sem_crawler", "aiohttp/asyncio", EIGHTS, (f"{MEAN} = 25",)),
    _program("client_semaphore", "sem_profiles", "httpx/uvloop", FEW, (f"{MEAN} = 150",)),
    _program("client_semaphore", "sem_queue_workers", "aiohttp/asyncio", EIGHTS, (f"{MEAN} = 30",)),
    _program("client_semaphore", "sem_anyio_limiter", "httpx/asyncio", FEW, (f"{MEAN} = 100",)),
    _program(
        "connection_leak", "leak_headers_only", "aiohttp/asyncio", (5, 10, 20, 40, 60), (f"{MEAN} = 5", f"{BYTES} = 4000000"), ("client_pool_limit",)
    ),
    _program(
        "connection_leak", "leak_stream", "httpx/asyncio", (5, 10, 20, 30, 48), (f"{MEAN} = 5", f"{BYTES} = 1000000"), ("client_pool_limit",)
    ),
    _program("executor_saturated", "threads_requests", "requests/asyncio", EIGHTS, (f"{MEAN} = 40",)),
    _program("executor_saturated", "threads_urllib", "http.client/asyncio", EIGHTS, (f"{MEAN} = 30",)),
    _program("executor_saturated", "threads_anyio", "http.client/uvloop", EIGHTS, (f"{MEAN} = 50",)),
    _program("executor_saturated", "threads_urllib3", "urllib3/asyncio", EIGHTS, (f"{MEAN} = 50",)),
    _program("serialized_awaits", "serial_loop", "aiohttp/asyncio", SERIAL, (f"{MEAN} = 25",)),
    _program("serialized_awaits", "serial_pages", "httpx/uvloop", SERIAL, (f"{MEAN} = 30",)),
    _program("serialized_awaits", "serial_tasks", "httpx2/asyncio", SERIAL, (f"{MEAN} = 30",)),
    _program("lock_serialization", "lock_token", "aiohttp/uvloop", SERIAL, (f"{MEAN} = 25",)),
    _program("lock_serialization", "lock_cache", "httpx/asyncio", SERIAL, (f"{MEAN} = 30",)),
    _program(
        "batch_barrier", "batch_import", "aiohttp/asyncio", EIGHTS, (f"{MEAN} = 40", f'{SERVICE}.law = "lognormal"', f"{SERVICE}.sd_ms = 30")
    ),
    _program(
        "batch_barrier", "batch_taskgroup", "httpx/uvloop", (6, 12, 24, 36, 60), (f"{MEAN} = 80", f'{SERVICE}.law = "lognormal"', f"{SERVICE}.sd_ms = 60")
    ),
    _program("client_pacing", "pacing_sleep", "aiohttp/asyncio", SMALL, (f"{MEAN} = 30",)),
    _program("client_pacing", "pacing_limiter", "httpx/uvloop", FEW, (f"{MEAN} = 30",)),
    _program("polling_interval", "polling_result", "aiohttp/asyncio", SERIAL, (f"{MEAN} = 6",)),
    _program("polling_interval", "polling_slots", "httpx/uvloop", FEW, (f"{MEAN} = 6",)),
    _program("blocking_call", "block_sleep", "aiohttp/asyncio", SMALL, (f"{MEAN} = 20",)),
    _program("blocking_call", "block_requests", "requests/asyncio", SERIAL, (f"{MEAN} = 25",)),
    _program("blocking_call", "block_urlopen", "http.client/uvloop", SERIAL, (f"{MEAN} = 20",)),
    _program("blocking_call", "block_subprocess", "aiohttp/uvloop", SMALL, (f"{MEAN} = 20",)),
    _program("blocking_call", "block_socket", "aiohttp/asyncio", EIGHTS, (f"{MEAN} = 20",)),
    _program("cpu_in_loop", "cpu_json", "aiohttp/asyncio", SMALL, (f"{MEAN} = 10", f"{BYTES} = 300000")),
    _program("cpu_in_loop", "cpu_html", "aiohttp/uvloop", EIGHTS, (f"{MEAN} = 20", f"{BYTES} = 12000")),
    _program("cpu_in_loop", "cpu_words", "httpx/asyncio", FEW, (f"{MEAN} = 20", f"{BYTES} = 80000")),
    _program("cpu_in_loop", "cpu_signature", "aiohttp/uvloop", SMALL, (f"{MEAN} = 20",)),
    _program("cpu_in_loop", "cpu_logging", "aiohttp/asyncio", EIGHTS, (f"{MEAN} = 20", f"{BYTES} = 20000")),
    _program("cpu_in_loop", "cpu_concat", "aiohttp/asyncio", EIGHTS, (f"{MEAN} = 20", f"{BYTES} = 400000")),
    _program("cpu_in_loop", "cpu_archive", "httpcore/asyncio", FEW, (f"{MEAN} = 20", f"{BYTES} = 60000")),
    _program("gc_pauses", "gc_tree", "aiohttp/asyncio", SMALL, (f"{MEAN} = 20",)),
    _program("gc_pauses", "gc_collect", "aiohttp/uvloop", SMALL, (f"{MEAN} = 20",)),
    _program("library_overhead", "overhead_httpx", "httpx/asyncio", WIDE, (f"{MEAN} = 20",)),
    _program("library_overhead", "overhead_httpx_uvloop", "httpx/uvloop", WIDE, (f"{MEAN} = 40",)),
    _program("quadratic_scan", "scan_wait", "aiohttp/asyncio", (100, 200, 400, 700, 1000), (f"{MEAN} = 5",)),
    _program("quadratic_scan", "scan_duplicates", "aiohttp/uvloop", SMALL, (f"{MEAN} = 20",)),
    _program("asyncio_debug", "debug_run", "aiohttp/asyncio", SMALL, (f"{MEAN} = 10",)),
    _program("asyncio_debug", "debug_loop", "aiohttp/uvloop", SMALL, (f"{MEAN} = 20",)),
    _program("gil_contention", "gil_progress", "aiohttp/asyncio", SMALL, (f"{MEAN} = 20",)),
    _program("gil_contention", "gil_indexer", "aiohttp/uvloop", EIGHTS, (f"{MEAN} = 10",)),
    _program("thread_hop_overhead", "hops_fields", "aiohttp/asyncio", EIGHTS, (f"{MEAN} = 20", f"{BYTES} = 8000")),
    _program("thread_hop_overhead", "hops_executor", "httpx/uvloop", FEW, (f"{MEAN} = 20", f"{BYTES} = 20000")),
    _program("no_connection_reuse", "reuse_session_each", "aiohttp/asyncio", HUNDREDS, (TLS, f"{MEAN} = 4"), arguments=TRUSTING),
    _program("no_connection_reuse", "reuse_client_each", "httpx/uvloop", HUNDREDS, (TLS, f"{MEAN} = 4"), arguments=(*PLAIN, "--ca", "{ca}")),
    _program("no_connection_reuse", "reuse_close_header", "aiohttp/uvloop", HUNDREDS, (TLS, f"{MEAN} = 6"), arguments=TRUSTING),
    _program("no_connection_reuse", "reuse_force_close", "aiohttp/asyncio", HUNDREDS, (TLS, f"{MEAN} = 4"), arguments=TRUSTING),
    _program("ssl_context_per_request", "context_httpx_each", "httpx/asyncio", FEW, (f"{MEAN} = 20",)),
    _program("ssl_context_per_request", "context_bundle", "aiohttp/uvloop", FEW, (TLS, f"{MEAN} = 20"), arguments=TRUSTING),
    _program("tls_handshake_cpu", "tls_burst", "aiohttp/uvloop", SMALL, (TLS, f"{MEAN} = 10"), arguments=TRUSTING),
    _program("tls_handshake_cpu", "tls_heavy_key", "aiohttp/asyncio", SMALL, ('target.tls = "rsa-4096"', f"{MEAN} = 20"), arguments=TRUSTING),
    _program("dns_resolution", "dns_uncached", "aiohttp/asyncio", EIGHTS, (f"{MEAN} = 20",)),
    _program("dns_resolution", "dns_httpx", "httpx/asyncio", FEW, (f"{MEAN} = 20",)),
    _program(
        "ipv6_fallback", "ipv6_first", "aiohttp/asyncio", EIGHTS, (CLOSING, f'{SERVICE}.ipv6 = "silent"', f"{MEAN} = 10"),
        ("client_pool_limit", "no_connection_reuse"),
    ),
    _program("listen_backlog_overflow", "backlog_burst", "aiohttp/asyncio", (5, 10, 20, 30, 40), (f"{SERVICE}.backlog = 8", f"{SERVICE}.accept_ms = 60")),
    _program("nagle_delayed_ack", "gap_events", "aiohttp/asyncio", EIGHTS, (f"{SERVICE}.gap_ms = 40", f"{MEAN} = 4"), ("client_semaphore",)),
    _program("bandwidth", "big_downloads", "aiohttp/asyncio", SMALL, (f"{SERVICE}.bytes_per_s = 4000000", f"{BYTES} = 20000", f"{MEAN} = 20")),
    _program("bandwidth", "big_images", "httpx/uvloop", FEW, (f"{SERVICE}.bytes_per_s = 500000", f"{BYTES} = 12000", f"{MEAN} = 20")),
    _program("rate_limited", "retry_after", "aiohttp/asyncio", (25, 50, 100, 150, 200), (f"{SERVICE}.rate_per_s = 50", f"{MEAN} = 10")),
    _program("rate_limited", "retry_httpx", "httpx/uvloop", (6, 12, 24, 36, 48), (f"{SERVICE}.rate_per_s = 12", f"{MEAN} = 10")),
    _program("redirects", "redirects_old_links", "aiohttp/asyncio", EIGHTS, (f"{SERVICE}.redirects = 4", f"{MEAN} = 10"), ("client_semaphore",)),
    _program("redirects", "redirects_httpx", "httpx/uvloop", FEW, (f"{SERVICE}.redirects = 5", f"{MEAN} = 10"), ("client_pool_limit",)),
    _program("server_concurrency_limit", "server_slots", "aiohttp/asyncio", EIGHTS, (f"{SERVICE}.concurrency = 4", f"{MEAN} = 25")),
    _program("server_concurrency_limit", "server_slots_httpx2", "httpx2/uvloop", FEW, (f"{SERVICE}.concurrency = 4", f"{MEAN} = 50")),
    _program("server_cpu", "server_busy", "aiohttp/uvloop", EIGHTS, (f"{SERVICE}.cpu_us = 6000", f"{MEAN} = 10"), ONE_AT_A_TIME),
    _program("server_cpu", "server_busy_httpcore", "httpcore/asyncio", FEW, (f"{SERVICE}.cpu_us = 12000", f"{MEAN} = 10"), ONE_AT_A_TIME),
    _program(
        "h2_stream_limit", "h2_streams", "httpx/asyncio", FEW, ('target.http = "2"', TLS, f"{SERVICE}.max_streams = 3", f"{MEAN} = 60"), arguments=TRUSTING
    ),
    _program("port_or_fd_exhaustion", "fd_limit", "aiohttp/asyncio", (10, 20, 40, 80, 120), (CLOSING, f"{MEAN} = 100")),
    _healthy("healthy_fanout", "aiohttp/asyncio", FLAT, (f"{MEAN} = 400",)),
    _healthy("healthy_httpx", "httpx/asyncio", FLAT, (f"{MEAN} = 1000",)),
    _healthy("healthy_uvloop_many", "aiohttp/uvloop", MANY, (f"{MEAN} = 10",), *LOOP),
    _healthy("healthy_semaphore", "aiohttp/uvloop", SMALL, (f"{MEAN} = 40",), *LOOP),
    _healthy("healthy_threads", "requests/asyncio", FLAT, (f"{MEAN} = 1000",)),
    _healthy("healthy_anyio", "httpx2/asyncio", FLAT, (f"{MEAN} = 1000",)),
    _healthy("healthy_as_completed", "aiohttp/asyncio", FLAT, (f"{MEAN} = 400",)),
    _healthy("healthy_httpcore", "httpcore/uvloop", FLAT, (f"{MEAN} = 1000",)),
    _healthy("healthy_lock_narrow", "aiohttp/asyncio", SMALL, (f"{MEAN} = 40",), *LOOP),
    _healthy("healthy_urllib3", "urllib3/asyncio", FLAT, (f"{MEAN} = 1000",)),
)  # fmt: skip
