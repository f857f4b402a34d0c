"""Plants of one cause: at least three variants of each, over client, loop, latency and N.

The plant outweighs the rest of the slope several times: aiohttp takes about 0.4 ms of the loop per request over plain HTTP, httpx about 1 ms
and 0.04 ms more for each connection that its pool holds, a TLS handshake 1 to 2 ms.
"""

from loopdiag.selftest.row import BUDGET_S, CODE_BUDGET_S, EIGHTS, FEW, MANY, SMALL, VERIFY_S, Row

A, AU, X, XU = "aiohttp/asyncio", "aiohttp/uvloop", "httpx/asyncio", "httpx/uvloop"
MEAN, PLANT, SERVICE = "target.service.mean_ms", "workload.plant", "target.service"
TLS, ALL = 'target.tls = "ecdsa-p256"', "pool.limit = 0"

VERIFIED = 2  # variants of a cause of which the interventions are run, too


def _rows(  # noqa: PLR0913 - the columns of a table
    cause: str,
    why: str,
    *variants: tuple[str, tuple[int, ...], tuple[str, ...]],
    accept: tuple[str, ...] = (),
    planted_ms: tuple[float | None, ...] = (),
    budget_s: float = BUDGET_S,
    verify_s: float = VERIFY_S,
) -> tuple[Row, ...]:
    return tuple(
        Row(
            name=f"{cause}-{i}", kind="single", truth=(cause,), arm=arm, n=n, keys=keys, why=why, accept=accept,
            planted_ms=planted_ms[i - 1] if planted_ms else None, budget_s=budget_s, verify_s=verify_s, verified=i <= VERIFIED,
        )
        for i, (arm, n, keys) in enumerate(variants, 1)
    )  # fmt: skip


#: (arm, values of N, keys) of each variant
SINGLES: tuple[Row, ...] = (
    *_rows(
        "client_pool_limit", "Few connections: waves of them, while the loop has little to do.",
        (A, EIGHTS, ("pool.limit = 4", f"{MEAN} = 20")),
        (AU, SMALL, ("pool.limit_per_host = 10", f"{MEAN} = 50")),
        (X, EIGHTS, ("pool.limit = 5", f"{MEAN} = 30")),
    ),
    *_rows(
        "client_semaphore", "So many workers make the requests, one after the other: they wait before the client is asked.",
        (A, EIGHTS, ("workload.concurrency = 4", f"{MEAN} = 20")),
        (XU, EIGHTS, ("workload.concurrency = 8", f"{MEAN} = 50")),
        (AU, SMALL, ("workload.concurrency = 10", f"{MEAN} = 40", 'target.service.law = "lognormal"', "target.service.sd_ms = 10")),
    ),
    *_rows(
        "serialized_awaits", "One request is made after the other has ended.",
        (A, EIGHTS, ("workload.concurrency = 1", f"{MEAN} = 6")),
        (X, (5, 10, 20, 30, 48), ("workload.concurrency = 1", f"{MEAN} = 15")),
        (AU, (4, 8, 16, 24, 32), ("workload.concurrency = 1", f"{MEAN} = 25", 'target.service.law = "normal"', "target.service.sd_ms = 4")),
    ),
    *_rows(
        "client_pacing", "Requests are made at a rate, far below what client and server can do.",
        (A, SMALL, ('workload.kind = "open"', "workload.rate_per_s = 200", f"{MEAN} = 10")),
        (X, (5, 10, 20, 30, 48), ('workload.kind = "open"', "workload.rate_per_s = 60", f"{MEAN} = 20")),
        (AU, SMALL, ('workload.kind = "open"', "workload.rate_per_s = 150", 'workload.arrivals = "poisson"', f"{MEAN} = 30")),
    ),
    *_rows(
        "h2_stream_limit", "One HTTP/2 connection carries so many requests at once as the server's setting allows.",
        (X, EIGHTS, ('target.http = "2"', TLS, "target.service.max_streams = 4", f"{MEAN} = 30")),
        (XU, EIGHTS, ('target.http = "2"', TLS, "target.service.max_streams = 8", f"{MEAN} = 60")),
        (X, FEW, ('target.http = "2"', TLS, "target.service.max_streams = 2", f"{MEAN} = 20")),
    ),
    *_rows(
        "executor_saturated", "Each request waits for a call in the default executor, which has min(32, cores + 4) threads.",
        (A, EIGHTS, (f"{PLANT}.thread_ms = 40", f"{MEAN} = 10")),
        (X, FEW, (f"{PLANT}.thread_ms = 80", f"{MEAN} = 10")),
        (AU, EIGHTS, (f"{PLANT}.thread_ms = 60", f"{MEAN} = 40")),
    ),
    *_rows(
        "blocking_call", "Each request sleeps on the loop's thread: nobody else gets on.",
        (A, SMALL, (f"{PLANT}.block_ms = 3", f"{MEAN} = 20")),
        (X, FEW, (f"{PLANT}.block_ms = 10", f"{MEAN} = 20")),
        (AU, EIGHTS, (f"{PLANT}.block_ms = 6", f"{MEAN} = 60")),
    ),
    *_rows(
        "cpu_in_loop", "Each request computes in the program's own code, or decodes a large body, on the loop.",
        (A, SMALL, (f"{PLANT}.cpu_us = 2500", f"{MEAN} = 20")),
        (X, FEW, (f"{PLANT}.cpu_us = 9000", f"{MEAN} = 20")),
        (AU, EIGHTS, (f"{PLANT}.cpu_us = 5000", f"{MEAN} = 60")),
        (A, SMALL, ('workload.decode = "json"', 'workload.decode_when = "inside"', "target.payload.mean_bytes = 300000", f"{MEAN} = 10")),
        planted_ms=(2.5, 9.0, 5.0, None),  # the thread's own CPU; a sleep ends late by as much as the machine likes
        budget_s=CODE_BUDGET_S,
    ),
    *_rows(
        "quadratic_scan", "Each request looks at every other one, in the program's own code.",
        (A, SMALL, (f"{PLANT}.scan_us = 30", f"{MEAN} = 20")),
        (AU, EIGHTS, (f"{PLANT}.scan_us = 60", f"{MEAN} = 40")),
        (X, FEW, (f"{PLANT}.scan_us = 400", f"{MEAN} = 20")),
        budget_s=CODE_BUDGET_S,
    ),
    *_rows(
        "gc_pauses", "Each request leaves objects in cycles behind: the collector goes through them again and again, and takes as long as making them.",
        (A, SMALL, (f"{PLANT}.garbage = 8000", f"{MEAN} = 20")),
        (AU, SMALL, (f"{PLANT}.garbage = 10000", f"{MEAN} = 40")),
        (X, FEW, (f"{PLANT}.garbage = 30000", f"{MEAN} = 20")),
        budget_s=CODE_BUDGET_S,
    ),
    *_rows(
        "library_overhead", "httpx as it is: its pool goes through all requests and connections at each start and end.",
        (X, (20, 40, 80, 140, 200), (f"{MEAN} = 20",)),
        (XU, (20, 40, 80, 140, 200), (f"{MEAN} = 40",)),
        (X, (15, 30, 60, 90, 120), (f"{MEAN} = 10", "pool.limit = 0")),
        budget_s=CODE_BUDGET_S,
    ),
    *_rows(
        "asyncio_debug", "asyncio's debug mode: every callback keeps the stack that made it.",
        (A, SMALL, (f"{PLANT}.debug = true", f"{MEAN} = 10")),
        (AU, SMALL, (f"{PLANT}.debug = true", f"{MEAN} = 30")),
        (A, (20, 40, 80, 160, 240), (f"{PLANT}.debug = true", "workload.concurrency = 60", f"{MEAN} = 5")),
        budget_s=CODE_BUDGET_S,
    ),
    *_rows(
        "event_loop_saturated", "Nothing but the work of a lean client, which fills the loop: every request costs the same.",
        (A, MANY, (ALL, f"{MEAN} = 10")),
        (AU, MANY, (ALL, f"{MEAN} = 10", "target.payload.mean_bytes = 20000")),
        (A, MANY, ("workload.concurrency = 50", f"{MEAN} = 4")),
        budget_s=CODE_BUDGET_S,
    ),
    *_rows(
        "no_connection_reuse", "Few requests at once, so that connections could be used again; each gets a new one, with its handshake.",
        (A, (20, 40, 80, 120, 200), (TLS, "target.service.keep_alive = false", "workload.concurrency = 10", f"{MEAN} = 4")),
        (AU, (20, 40, 80, 120, 200), (TLS, "target.service.requests_per_connection = 1", "workload.concurrency = 12", f"{MEAN} = 8")),
        (X, (20, 40, 80, 120, 200), (TLS, "pool.limit = 20", "pool.keepalive = 1", "workload.concurrency = 20", f"{MEAN} = 10")),
        budget_s=CODE_BUDGET_S,
    ),
    *_rows(
        "tls_handshake_cpu", "All at once, so that every request needs a connection; with RSA-4096 its signature costs the server 4 to 6 ms.",
        (A, SMALL, ('target.tls = "rsa-4096"', ALL, f"{MEAN} = 20")),
        (X, FEW, ('target.tls = "rsa-4096"', f"{MEAN} = 20")),
        (AU, SMALL, (TLS, ALL, f"{MEAN} = 10")),
        budget_s=CODE_BUDGET_S,
    ),
    *_rows(
        "dns_resolution", "Each new connection looks the name up, in the few threads of the default executor.",
        (A, EIGHTS, (f"{PLANT}.dns_ms = 40", f"{MEAN} = 20")),
        (X, FEW, (f"{PLANT}.dns_ms = 80", f"{MEAN} = 20")),
        (A, FEW, (f"{PLANT}.dns_ms = 100", f"{MEAN} = 80")),
    ),
    *_rows(
        "bandwidth", "All bodies together come no faster than the link lets them.",
        (A, SMALL, ("target.service.bytes_per_s = 4000000", "target.payload.mean_bytes = 20000", f"{MEAN} = 20", ALL)),
        (X, FEW, ("target.service.bytes_per_s = 1000000", "target.payload.mean_bytes = 12000", f"{MEAN} = 20")),
        (AU, EIGHTS, ("target.service.bytes_per_s = 20000000", "target.payload.mean_bytes = 120000", f"{MEAN} = 40", ALL)),
    ),
    *_rows(
        "server_concurrency_limit", "The server serves so many at a time; the others have sent, and wait for their first byte.",
        (A, EIGHTS, ("target.service.concurrency = 4", f"{MEAN} = 20", ALL)),
        (X, FEW, ("target.service.concurrency = 4", f"{MEAN} = 50")),
        (AU, SMALL, ("target.service.concurrency = 10", f"{MEAN} = 50", ALL)),
    ),
    *_rows(
        "server_cpu", "The server computes for each request, on the one core that it has.",
        (A, SMALL, ("target.service.cpu_us = 4000", f"{MEAN} = 10", ALL)),
        (X, FEW, ("target.service.cpu_us = 12000", f"{MEAN} = 20")),
        (AU, EIGHTS, ("target.service.cpu_us = 6000", f"{MEAN} = 40", ALL)),
    ),
    *_rows(
        "rate_limited", "The server refuses what comes faster than its rate; each refusal costs a second, which is what Retry-After can say.",
        (A, (25, 50, 100, 150, 200), ("target.service.rate_per_s = 50", "workload.retries = 20", f"{MEAN} = 10", ALL)),
        (X, (6, 12, 24, 36, 48), ("target.service.rate_per_s = 12", "workload.retries = 20", f"{MEAN} = 10")),
        (AU, (20, 40, 80, 120, 160), ("target.service.rate_per_s = 40", "workload.retries = 20", f"{MEAN} = 30", ALL)),
        budget_s=30.0, verify_s=26.0,
    ),
)  # fmt: skip
