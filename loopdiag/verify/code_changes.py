"""What was injected into a program → the change of its code that does the same, as a line for its author."""

from collections.abc import Mapping, Sequence

from msgspec.structs import asdict

from loopdiag.model.program import Place
from loopdiag.model.scenario import Knobs, Scenario
from loopdiag.verify.outcomes import Outcome

#: knob → what to write instead: for a limit that is taken away, and for another value
LIMITS = {
    "pool_limit": (
        "take the limit of the connection pool away: aiohttp.TCPConnector(limit=0), httpx.Limits(max_connections=None), HTTPAdapter(pool_maxsize=…)",
        "give the connection pool a limit of {value}: aiohttp.TCPConnector(limit={value}), httpx.Limits(max_connections={value}), HTTPAdapter(pool_maxsize={value})",
    ),
    "pool_limit_per_host": (
        "take the limit per host away: aiohttp.TCPConnector(limit_per_host=0)",
        "allow {value} connections to a host: aiohttp.TCPConnector(limit_per_host={value})",
    ),
    "keepalive": (
        "keep connections: no `Connection: close`, no force_close, a keepalive time above the gaps, httpx.Limits(max_keepalive_connections=None)",
        "keep {value} idle connections: httpx.Limits(max_keepalive_connections={value}), no `Connection: close`, no force_close",
    ),
    "semaphore": ("take the semaphore away, or give it a value above all that may wait", "give the semaphore a value of {value}"),
    "sleep": ("take the sleep away", "shorten the sleep to {value:g} of its time"),
    "blocking_sleep": (
        "take time.sleep out of the event loop: await asyncio.sleep",
        "sleep for {value:g} of the time, and not on the loop's thread",
    ),
}
ADVICE = {
    "lock": "do not hold the lock while a request is under way",
    "executor": "give the thread pool {value} threads: loop.set_default_executor(ThreadPoolExecutor({value})), anyio's limiter's total_tokens",
    "shared_tls": "make one ssl.SSLContext and give it to all clients",
    "shared_session": "make one session (client) and use it for all requests",
    "cached_dns": "keep answers of name look-ups: TCPConnector(ttl_dns_cache=…), or a caching resolver",
    "ipv4_only": "ask for IPv4 addresses alone, TCPConnector(family=socket.AF_INET), or mend the host's IPv6",
    "nodelay": "set TCP_NODELAY on the socket",
    "debug_off": "switch asyncio's debug mode off: debug=False, no PYTHONASYNCIODEBUG, no -X dev",
    "gc_frozen": "call gc.freeze() after the start, and raise the threshold of the oldest generation: gc.set_threshold(700, 10, 1000)",
    "fast_json": "decode JSON with orjson or msgspec",
    "uvloop": "run on uvloop: uvloop.run(main())",
    "switch_interval_ms": "sys.setswitchinterval({seconds:g})",
}  # fmt: skip


def code_changes(before: Scenario, adopted: Sequence[Outcome], places: Mapping[str, Place]) -> tuple[str, ...]:
    """A line a change that was adopted, in the order in which they were.

    Args:
        before: of the run.
        adopted: what was confirmed and is a remedy.
        places: cause → the line of the program that it is about.
    """
    known, lines = before.knobs, []
    for made in adopted:
        if made.scenario is not None:
            place = places.get(made.attempt.cause)
            where = "" if place is None else f"in {place.name}" + (f" `{place.text}`" if place.text else "") + ": "
            lines += [f"{where}{line}" for line in _lines(known, made.scenario.knobs)]
            known = made.scenario.knobs
    return tuple(dict.fromkeys(lines))


def _lines(before: Knobs, after: Knobs) -> list[str]:
    old, lines = asdict(before), []
    for name, value in asdict(after).items():
        if value == old[name]:
            continue
        if name in LIMITS:
            without, other = LIMITS[name]
            said = other.format(value=value) if value else without
        elif name in ADVICE:
            said = ADVICE[name].format(value=value, seconds=value / 1000 if isinstance(value, float) else value)
        else:
            continue  # where another one acts, or an experiment's
        lines.append(f"{said} (injected here: knobs.{name} = {str(value).lower() if isinstance(value, bool) else value})")
    return lines
