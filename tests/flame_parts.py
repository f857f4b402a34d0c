"""Hand-made profiles and flame graphs for the report tests: planted stacks whose truth is known, and a very large graph."""

import random
from collections.abc import Callable, Iterable
from itertools import accumulate

from loopdiag.model.flame import Flame, TopRow
from loopdiag.model.profile import Calls, Frame, Profile

Path = tuple[Frame, ...]

POOL, RECORDS = "httpcore/_async/connection_pool.py", "ssl.py"
LOOP = (
    ("main", "worker.py", 12),
    ("run", "asyncio/runners.py", 160),
    ("run_forever", "asyncio/base_events.py", 590),
    ("_run_once", "asyncio/base_events.py", 1845),
)
CODES = {
    "main": "user", "fetch": "user", "summarise": "user", "run": "task-and-callback", "run_forever": "task-and-callback",
    "_run_once": "task-and-callback", "select": "task-and-callback", "send": "client-library", "_send_single_request": "client-library",
    "handle_async_request": "client-library", "_assign_requests_to_connections": "pool", "is_available": "pool", "_close_connections": "pool",
    "do_handshake": "tls-handshake", "read": "tls-record", "write": "tls-record", "next_event": "http-parse", "loads": "decode-json",
    "decompress": "decode-content", "decode": "decode-text", "collect": "gc", "stamp": "instruments", "getaddrinfo": "dns", "import_module": "import",
}  # fmt: skip
#: frames above the loop, own µs a request, own µs a request for each further request
PLANTED: tuple[tuple[tuple[str, ...], float, float], ...] = (
    ((), 60.0, 0.0),
    (("select",), 45.0, 0.0),
    (("fetch",), 12.0, 0.0),
    (("fetch", "summarise"), 18.0, 0.0),
    (("fetch", "summarise", "loads"), 40.0, 0.0),
    (("fetch", "send"), 55.0, 0.0),
    (("fetch", "send", "_send_single_request"), 95.0, 0.0),
    (("fetch", "send", "_send_single_request", "handle_async_request"), 70.0, 0.0),
    (("fetch", "send", "_send_single_request", "handle_async_request", "_assign_requests_to_connections"), 8.0, 0.45),
    (("fetch", "send", "_send_single_request", "handle_async_request", "_assign_requests_to_connections", "is_available"), 3.0, 0.22),
    (("fetch", "send", "_send_single_request", "handle_async_request", "_close_connections"), 9.0, 0.0),
    (("fetch", "send", "_send_single_request", "handle_async_request", "do_handshake"), 410.0, 0.0),
    (("fetch", "send", "_send_single_request", "handle_async_request", "read"), 48.0, 0.0),
    (("fetch", "send", "_send_single_request", "handle_async_request", "write"), 31.0, 0.0),
    (("fetch", "send", "_send_single_request", "next_event"), 66.0, 0.0),
    (("fetch", "send", "decompress"), 22.0, 0.0),
    (("fetch", "send", "decode"), 6.0, 0.0),
    (("fetch", "send", "collect"), 15.0, 0.0),
    (("fetch", "stamp"), 7.0, 0.0),
    (("getaddrinfo",), 2.0, 0.0),
    (("import_module",), 1.5, 0.0),
    (("unknown_extension",), 14.0, 0.0),
)
FILES = {
    "fetch": "worker.py", "summarise": "worker.py", "select": "selectors.py", "send": "httpx/_client.py", "_send_single_request": "httpx/_client.py",
    "handle_async_request": POOL, "_assign_requests_to_connections": POOL, "is_available": "httpcore/_async/http11.py", "_close_connections": POOL,
    "do_handshake": RECORDS, "read": RECORDS, "write": RECORDS, "next_event": "h11/_connection.py", "loads": "json/__init__.py",
    "decompress": "zlib", "decode": "codecs.py", "stamp": "loopdiag_instruments/marks.py", "getaddrinfo": "socket.py",
}  # fmt: skip
QUADRATIC = {"_assign_requests_to_connections", "is_available"}


def stack(names: Iterable[str]) -> Path:
    """The loop's frames, and `names` above them."""
    trunk = tuple(Frame(function=name, file=file, line=line) for name, file, line in LOOP)
    return trunk + tuple(Frame(function=name, file=FILES.get(name, ""), line=10 + len(name)) for name in names)


def planted(scale: float = 1.0) -> dict[Path, tuple[float, float]]:
    """Stack → own µs a request, own µs a request for each further one."""
    return {stack(names): (linear * scale, square * scale) for names, linear, square in PLANTED}


def profile(arm: str, n: int, repetition: int = 0, *, thread: str = "main", scale: float = 1.0) -> Profile:
    """What a sampler at 500 Hz would see of the planted code: every weight exact, samples in an order that mixes the stacks."""
    rng = random.Random(n * 31 + repetition)
    stacks = list(planted(scale))
    weights = [round(n * (a + b * n) * 1000) for a, b in planted(scale).values()]
    taken = [(k, part) for k, weight in enumerate(weights) for part in parts(weight, 2_000_000)]
    rng.shuffle(taken)
    frames = list(dict.fromkeys(frame for path in stacks for frame in path))
    return Profile(
        trial=f"{arm.replace('/', '-')}-n{n}-profile-r{repetition}",
        arm=arm,
        n=n,
        repetition=repetition,
        thread=thread,
        rate_hz=500.0,
        frames=tuple(frames),
        stacks=tuple(tuple(map(frames.index, path)) for path in stacks),
        at_ns=tuple(accumulate((part for _, part in taken), initial=0))[: len(taken)],
        stack=tuple(k for k, _ in taken),
        weight_ns=tuple(part for _, part in taken),
        lost=3,
        cpu_ns=sum(weights) + 4_000_000,
    )


def parts(weight: int, most: int) -> list[int]:
    """A weight as samples of `most` each and a rest."""
    return [most] * (weight // most) + ([weight % most] if weight % most else [])


def tree(weights: dict[Path, float], *, code: Callable[[Frame], str] | None = None, **facts: object) -> Flame:
    """Own weights of stacks as a graph: values are sums, every frame below the root in the order in which it is first met."""
    classify = code or (lambda frame: CODES.get(frame.function, "other"))
    frames: dict[Frame, int] = {}
    nodes: dict[Path, int] = {(): 0}
    parent, numbers, own, codes = [-1], [-1], [0.0], ["other"]
    for path, weight in weights.items():
        for deep in range(1, len(path) + 1):
            if path[:deep] not in nodes:
                nodes[path[:deep]] = len(parent)
                parent.append(nodes[path[: deep - 1]])
                numbers.append(frames.setdefault(path[deep - 1], len(frames)))
                own.append(0.0)
                codes.append(classify(path[deep - 1]))
        own[nodes[path]] += weight
    value = list(own)
    for node in range(len(value) - 1, 0, -1):
        value[parent[node]] += value[node]
    columns = {"parent": tuple(parent), "frame": tuple(numbers), "value": tuple(value), "self_value": tuple(own), "code": tuple(codes)}
    return Flame(**{"unit": "µs of CPU a request", "frames": tuple(frames), **columns, **facts})  # type: ignore[arg-type] # facts of a test


def slope(arm: str, n: int = 800, scale: float = 1.0) -> Flame:
    """The planted slope graph over 0 … `n`, intervals of 8 %, the quadratic frames marked; 12 µs a request lie in no frame."""
    made = tree(
        {path: a + b * n for path, (a, b) in planted(scale).items()}, kind="slope", title=f"{arm}: CPU that each request adds", arm=arm
    )
    functions = ["" if k < 0 else made.frames[k].function for k in made.frame]
    return Flame(
        **{name: getattr(made, name) for name in made.__struct_fields__}
        | {
            "low": tuple(v * 0.92 for v in made.value),
            "high": tuple(v * 1.08 for v in made.value),
            "exponent": tuple(2.04 if name in QUADRATIC else None for name in functions),
            "samples": 4210,
            "rate_hz": 500.0,
            "lost": 3,
            "other_share": 0.012,
            "residual": 12.0,
            "notes": ("widths were rescaled by 0.962, the CPU of bare trials over that of profile trials",),
        }
    )


def of_trial(seen: Profile, unit: float = 1e6) -> Flame:
    """The ordinary graph of one profile, in milliseconds."""
    paths = [tuple(seen.frames[k] for k in path) for path in seen.stacks]
    sums: dict[Path, float] = {}
    for k, weight in zip(seen.stack, seen.weight_ns, strict=True):
        sums[paths[k]] = sums.get(paths[k], 0.0) + weight / unit
    more = {
        "arm": seen.arm,
        "n": seen.n,
        "trial": seen.trial,
        "unit": "ms of CPU",
        "samples": len(seen.stack),
        "rate_hz": seen.rate_hz,
        "lost": seen.lost,
    }
    return tree(sums, kind="trial", title=f"{seen.arm}, N = {seen.n}", **more)


def over_time(seen: Profile, code: Callable[[Frame], str] | None = None, gap_ns: int = 5_000_000) -> Flame:
    """The profile as it ran: samples that follow each other and share frames are one node; a longer gap parts them."""
    classify = code or (lambda frame: CODES.get(frame.function, "other"))
    parent, numbers, begin, end, codes, own = [-1], [-1], [0], [0], ["other"], [0]
    open_: list[tuple[int, int]] = []  # frame, node
    last = 0
    for at, k, weight in zip(seen.at_ns, seen.stack, seen.weight_ns, strict=True):
        path = seen.stacks[k]
        same = 0
        while at - last <= gap_ns and same < min(len(open_), len(path)) and open_[same][0] == path[same]:
            same += 1
        del open_[same:]
        for frame in path[same:]:
            open_.append((frame, len(parent)))
            parent.append(open_[-2][1] if len(open_) > 1 else 0)
            numbers.append(frame)
            begin.append(at)
            end.append(at)
            codes.append(classify(seen.frames[frame]))
            own.append(0)
        last = at + weight
        end[0] = max(end[0], last)
        for _, node in open_:
            end[node] = last
        own[open_[-1][1] if open_ else 0] += weight
    return Flame(
        kind="time", title=f"{seen.arm}, N = {seen.n}, as it ran", arm=seen.arm, n=seen.n, trial=seen.trial, unit="ms of CPU", frames=seen.frames,
        parent=tuple(parent), frame=tuple(numbers), start_ns=tuple(begin), code=tuple(codes), samples=len(seen.stack), rate_hz=seen.rate_hz,
        value=tuple((b - a) / 1e6 for a, b in zip(begin, end, strict=True)), self_value=tuple(weight / 1e6 for weight in own),
    )  # fmt: skip


def difference(arm: str, other: str) -> Flame:
    """What `other` needs more than `arm`: no pool scan, twice the parsing."""
    changed = {
        path: -(a + b * 800) if path[-1].function in QUADRATIC else a if path[-1].function == "next_event" else 0.0
        for path, (a, b) in planted().items()
    }
    return tree(
        {path: weight for path, weight in changed.items() if weight}, kind="difference", title=f"{other} − {arm}", arm=f"{other} − {arm}"
    )


def large(nodes: int = 50_000) -> Flame:
    """A random graph of so many nodes, thirty deep, whose own values add up to 1000 µs a request; one frame is called `needle_in_the_stack`."""
    rng = random.Random(4)
    names = [Frame(function=f"function_{k}", file=f"package/module_{k % 90}.py", line=k) for k in range(4000)]
    names[17] = Frame(function="needle_in_the_stack", file="package/haystack.py", line=17)
    parent, depth, numbers = [-1], [0], [-1]
    open_ = [0]
    while len(parent) < nodes:
        above = open_[rng.randrange(len(open_))]
        parent.append(above)
        depth.append(depth[above] + 1)
        numbers.append(17 if len(parent) == 300 else rng.randrange(18, 4000))
        if depth[-1] < 30:
            open_.append(len(parent) - 1)
            if len(open_) > 400:
                open_.pop(rng.randrange(200))
    own = [rng.paretovariate(1.1) for _ in parent]
    own[0] = 0.0
    share = 1000.0 / sum(own)
    own = [weight * share for weight in own]
    value = list(own)
    for node in range(nodes - 1, 0, -1):
        value[parent[node]] += value[node]
    codes = tuple(list(CODES.values())[k % len(CODES)] for k in numbers)
    exponents = tuple(1.8 if k % 97 == 5 else None for k in numbers)
    bounds = {"low": tuple(v * 0.9 for v in value), "high": tuple(v * 1.1 for v in value)}
    return Flame(
        kind="slope", title="large", arm="httpx/asyncio", unit="µs of CPU a request", frames=tuple(names), parent=tuple(parent), frame=tuple(numbers),
        value=tuple(value), self_value=tuple(own), code=codes, exponent=exponents, samples=90_000, rate_hz=1000.0, **bounds,
    )  # fmt: skip


def top(arm_scale: float = 1.0) -> tuple[TopRow, ...]:
    """The planted functions, those that add most first."""
    rows = []
    for path, (a, b) in planted(arm_scale).items():
        own, power = a + b * 800, 2.04 if path[-1].function in QUADRATIC else None
        code = CODES.get(path[-1].function, "other")
        rows.append(
            TopRow(
                function=path[-1].function, file=path[-1].file, code=code, self_us=own, self_low=own * 0.92, self_high=own * 1.08, total_us=own * 1.3,
                exponent=power,
            )
        )  # fmt: skip
    return tuple(sorted(rows, key=lambda row: -row.self_us))


def counted(n: int) -> tuple[Calls, ...]:
    """Calls at `n` requests: the pool is scanned for every request that waits."""
    table = (
        ("is_available", "httpcore/_async/http11.py", 101, n * n // 2),
        ("send", "httpx/_client.py", 1592, n),
        ("loads", "json/__init__.py", 299, n),
    )
    return tuple(
        Calls(function=f, file=where, line=line, calls=calls, self_ns=calls * 900, total_ns=calls * 1500) for f, where, line, calls in table
    )
