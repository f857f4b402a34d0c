"""Plants of two causes, healthy controls, and pairs of arms between which nothing differs."""

from loopdiag.selftest.row import BUDGET_S, CODE_BUDGET_S, EIGHTS, FEW, FLAT, MANY, SMALL, Row
from loopdiag.selftest.singles import ALL, AU, MEAN, PLANT, SINGLES, TLS, A, X

CODE = frozenset(row.truth[0] for row in SINGLES if row.budget_s == CODE_BUDGET_S)
LOOP = ("event_loop_saturated",)  # what honestly remains where nothing is wrong: the work of each request
PARTS = ("library_overhead", "gc_pauses")  # of which that work is made: a request allocates, and most of its code is the client's


def _pair(name: str, truth: tuple[str, str], arm: str, n: tuple[int, ...], keys: tuple[str, ...], why: str) -> Row:  # noqa: PLR0913, PLR0917 - the columns of a table
    budget_s = CODE_BUDGET_S if any(cause in CODE for cause in truth) else BUDGET_S
    return Row(name=f"pair-{name}", kind="pair", truth=truth, arm=arm, n=n, keys=keys, why=why, budget_s=budget_s)


#: each of the two causes is a quarter of the slope at least
PAIRS: tuple[Row, ...] = (
    _pair(
        "cpu-and-block", ("cpu_in_loop", "blocking_call"), A, SMALL, (f"{PLANT}.cpu_us = 2500", f"{PLANT}.block_ms = 2.5", f"{MEAN} = 20"),
        "The loop computes 2.5 ms and sleeps 2.5 ms for each request, one after the other.",
    ),
    _pair(
        "semaphore-and-gap", ("client_semaphore", "nagle_delayed_ack"), A, EIGHTS,
        ("workload.concurrency = 8", f"{MEAN} = 10", "target.service.gap_ms = 40"),
        "Waves of 8, of 50 ms; 40 of them between header and body. Without the limit nothing grows, without the gap a fifth is left.",
    ),
    _pair(
        "pool-scan-and-reuse", ("library_overhead", "no_connection_reuse"), X, (25, 50, 100, 150, 200), (TLS, f"{MEAN} = 20"),
        "httpx as it is: the pool's scan, and from N = 100 on connections that are closed though they could be kept.",
    ),
    _pair(
        "block-and-scan", ("blocking_call", "quadratic_scan"), AU, EIGHTS, (f"{PLANT}.block_ms = 4", f"{PLANT}.scan_us = 30", f"{MEAN} = 20"),
        "4 ms of sleep a request, and 30 µs for each other: 3.8 ms at N = 128, a slope of about as much.",
    ),
    _pair(
        "cpu-and-reuse", ("cpu_in_loop", "no_connection_reuse"), A, (20, 40, 80, 120, 200),
        (TLS, "target.service.keep_alive = false", "workload.concurrency = 10", f"{PLANT}.cpu_us = 2000", f"{MEAN} = 4"),
        "2 ms of computing and 2 ms of handshake and set-up for each request; the loop is full.",
    ),
    _pair(
        "pool-limit-and-gap", ("client_pool_limit", "nagle_delayed_ack"), X, FEW, ("pool.limit = 4", f"{MEAN} = 10", "target.service.gap_ms = 40"),
        "Waves of 4, of 50 ms; 40 of them between header and body.",
    ),
    _pair(
        "serialized-and-gap", ("serialized_awaits", "nagle_delayed_ack"), AU, (3, 6, 12, 18, 24),
        ("workload.concurrency = 1", f"{MEAN} = 5", "target.service.gap_ms = 40"),
        "One after the other, 45 ms each; 40 of them between header and body.",
    ),
    _pair(
        "serialized-and-block", ("serialized_awaits", "blocking_call"), AU, EIGHTS, ("workload.concurrency = 1", f"{PLANT}.block_ms = 5", f"{MEAN} = 6"),
        "6 ms of waiting and 5 ms of sleeping on the loop; all at once would leave the sleeping.",
    ),
    _pair(
        "serialized-and-cpu", ("serialized_awaits", "cpu_in_loop"), X, FEW, ("workload.concurrency = 1", f"{PLANT}.cpu_us = 7000", f"{MEAN} = 8"),
        "8 ms of waiting and 7 ms of computing; all at once would leave the computing.",
    ),
    _pair(
        "debug-and-block", ("asyncio_debug", "blocking_call"), A, SMALL, (f"{PLANT}.debug = true", f"{PLANT}.block_ms = 1", f"{MEAN} = 10"),
        "Debug mode costs about 0.8 ms a request, the sleep 1.1.",
    ),
    _pair(
        "gc-and-block", ("gc_pauses", "blocking_call"), A, SMALL, (f"{PLANT}.garbage = 16000", f"{PLANT}.block_ms = 4", f"{MEAN} = 10"),
        "Collecting 3 ms, sleeping 4, and as long as the collecting to make what is collected.",
    ),
    _pair(
        "handshake-and-cpu", ("tls_handshake_cpu", "cpu_in_loop"), A, SMALL, (TLS, ALL, f"{PLANT}.cpu_us = 1600", f"{MEAN} = 10"),
        "All at once, so that each request needs its handshake: about 1.5 ms, beside 1.6 of computing.",
    ),
    _pair(
        "scan-and-cpu", ("quadratic_scan", "cpu_in_loop"), A, SMALL, (f"{PLANT}.scan_us = 20", f"{PLANT}.cpu_us = 3000", f"{MEAN} = 10"),
        "Two functions of the program: one costs 3 ms, the other 20 µs for each request of the trial.",
    ),
)  # fmt: skip


def _control(  # noqa: PLR0913, PLR0917 - the columns of a table
    name: str, truth: tuple[str, ...], arm: str, n: tuple[int, ...], keys: tuple[str, ...], why: str, *,
    accept: tuple[str, ...] = (), busy: bool = False,
) -> Row:  # fmt: skip
    return Row(name=f"control-{name}", kind="control", truth=truth, accept=accept, arm=arm, n=n, keys=keys, why=why, busy=busy)


#: a control's truth is what honestly makes it grow; anything else that is named is a false alarm
CONTROLS: tuple[Row, ...] = (
    _control(
        "overlapped-cpu", ("server_concurrency_limit",), A, SMALL,
        ("target.service.concurrency = 10", f"{MEAN} = 50", f"{PLANT}.cpu_us = 1200", ALL),
        "The loop computes a third of the time while the server makes it wait: without the computing, the total would be the same.",
    ),
    _control(
        "limit-above-n", LOOP, A, (10, 20, 40, 60, 80), ("pool.limit = 100", f"{MEAN} = 60"), "No more than 80 requests: a limit of 100 never binds.",
        accept=("none", *PARTS),
    ),
    _control(
        "noisy-machine", LOOP, A, SMALL, (ALL, f"{MEAN} = 30"),
        "Another process takes half of the client's core: every request costs its CPU, and waits for it. The machine is no cause.",
        accept=("none", *PARTS), busy=True,
    ),
    _control(
        "waiting", ("none",), A, FLAT, (ALL, f"{MEAN} = 400"), "400 ms of waiting, all at once: the CPU of 40 requests adds 4 %.", accept=(*LOOP, *PARTS),
    ),
    _control(
        "semaphore-above-n", LOOP, AU, SMALL, ("workload.concurrency = 200", ALL, f"{MEAN} = 40"), "200 workers for 160 requests: nobody waits for one.",
        accept=("none", *PARTS),
    ),
    _control(
        "server-limit-above-n", LOOP, A, SMALL, ("target.service.concurrency = 300", ALL, f"{MEAN} = 40"), "The server could serve 300 at a time.",
        accept=("none", *PARTS),
    ),
    _control(
        "overlapped-cpu-in-workers", ("client_semaphore",), AU, EIGHTS, ("workload.concurrency = 4", f"{MEAN} = 30", f"{PLANT}.cpu_us = 400"),
        "4 workers, each 30 ms waiting and 0.4 ms computing: the computing is 1.3 % of the slope.",
    ),
    _control(
        "limit-behind-cpu", LOOP, A, MANY, (f"{MEAN} = 10",),
        "aiohttp's own limit of 100 with an answer after 10 ms: the loop is full long before, so more connections would not help.",
        accept=PARTS,
    ),
    _control(
        "rate-not-reached", LOOP, A, SMALL, ("target.service.rate_per_s = 5000", "workload.retries = 3", ALL, f"{MEAN} = 40"),
        "The server's rate is 5000 a second: nothing is refused.", accept=("none", *PARTS),
    ),
    _control(
        "noisy-machine-waiting", ("none",), AU, FLAT, (ALL, f"{MEAN} = 300"), "Another process on the client's core, and little to compute.",
        accept=(*LOOP, *PARTS), busy=True,
    ),
)  # fmt: skip


def _same(name: str, arm: str, n: tuple[int, ...], *keys: str) -> Row:
    why = "The treated arm is the base arm once more: whatever differs is chance."
    return Row(name=f"same-{name}", kind="same", truth=(), arm=arm, n=n, keys=keys, why=why, verified=False)


SAME: tuple[Row, ...] = (
    _same("pool-limit", A, EIGHTS, "pool.limit = 8", f"{MEAN} = 20"),
    _same("cpu", AU, SMALL, f"{PLANT}.cpu_us = 1500", f"{MEAN} = 20"),
    _same("httpx", X, FEW, f"{MEAN} = 20"),
    _same("block", A, SMALL, f"{PLANT}.block_ms = 2", f"{MEAN} = 20"),
    _same("loop", A, MANY, ALL, f"{MEAN} = 10"),
    _same("workers", AU, SMALL, "workload.concurrency = 10", f"{MEAN} = 20"),
    _same("handshakes", A, SMALL, TLS, ALL, f"{MEAN} = 20"),
    _same("httpx-scan", X, (20, 40, 80, 120, 160), f"{MEAN} = 20"),
)  # fmt: skip
