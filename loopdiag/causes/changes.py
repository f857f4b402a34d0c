"""Pure changes of a scenario, named as its TOML names them, with lines for readers.

A user's program has no scenario of its own: what is changed in it are its knobs, which are injected.  Where a change is named by what was seen of it
("pool.limit"), the knob that does the same is set with it.
"""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

from msgspec.structs import replace

from loopdiag.analysis.known_limits import at_once
from loopdiag.model.attribution import Intervention
from loopdiag.model.scenario import Arm, Delay, Scenario
from loopdiag.model.value import Value

#: what None, and 0, mean under a key
ABSENT = {"pool.": "default", "workload.concurrency": "all at once", "target.service.": "none", "workload.rate_per_s": "none"}
NO_LIMIT = (
    "pool.limit",
    "pool.limit_per_host",
    "pool.keepalive",
    "pool.keepalive_s",
    "knobs.pool_limit",
    "knobs.pool_limit_per_host",
    "knobs.keepalive",
)
KNOBS = "knobs."
INJECTED = "injected"

#: what a key is called where a program is changed, whose author has no scenario
CALLED = {
    "pool.limit": "connections in the pool",
    "pool.limit_per_host": "connections to a host",
    "pool.keepalive": "idle connections that are kept",
    "pool.keepalive_s": "how long idle connections are kept, in seconds",
    "workload.concurrency": "requests under way at a time",
    "workload.rate_per_s": "requests a second, by the program's sleeps",
}
#: knob → what it does, in the words of a program's author: where it takes something away (or is on), and with another value
DOES = {
    "semaphore": ("nobody waits at a semaphore", "semaphores let {value} through at a time"),
    "lock": ("everyone passes locks at once", ""),
    "executor": ("", "thread pools have {value} threads"),
    "pool_limit": ("no limit of the connection pool", "the connection pool has a limit of {value}"),
    "pool_limit_per_host": ("no limit of connections to a host", "at most {value} connections to a host"),
    "keepalive": ("idle connections are kept", "{value} idle connections are kept"),
    "shared_tls": ("TLS contexts that are made alike are one", ""),
    "shared_session": ("sessions that are made alike share their connections", ""),
    "cached_dns": ("each name is looked up once", ""),
    "ipv4_only": ("only IPv4 addresses are used", ""),
    "nodelay": ("TCP_NODELAY stays on", ""),
    "debug_off": ("asyncio's debug mode is off", ""),
    "gc_frozen": ("no collections of the oldest generation", ""),
    "fast_json": ("a faster JSON decoder", ""),
    "uvloop": ("the loop is uvloop's", ""),
    "sleep": ("sleeps take no time", "sleeps take {value:g} of their time"),
    "blocking_sleep": ("blocking sleeps take no time", "blocking sleeps take {value:g} of their time"),
    "switch_interval_ms": ("", "the GIL changes hands every {value:g} ms"),
    "null_server": ("a server that does nothing else gives the same answers", ""),
}

Settings = Mapping[str, object]


def _count(name: str) -> Callable[[Any], Settings | None]:
    return lambda value: None if value is None else {name: value}


def _when(name: str, wanted: object, knob: object) -> Callable[[Any], Settings | None]:
    return lambda value: {name: knob} if value == wanted else None


def _loop(arms: tuple[Arm, ...]) -> Settings | None:
    return {"uvloop": True} if [(arm.client, arm.loop) for arm in arms] == [("program", "uvloop")] else None


#: key of what was seen of a program → the knobs that make it so; None: there is none for this value
KNOB_OF: dict[str, Callable[[Any], Settings | None]] = {
    "pool.limit": _count("pool_limit"),
    "pool.limit_per_host": _count("pool_limit_per_host"),
    "pool.keepalive": _count("keepalive"),
    "pool.keepalive_s": _when("keepalive", None, 0),
    "workload.concurrency": lambda value: {"semaphore": value or 0},
    "workload.kind": lambda _: {},  # goes with the rate
    "workload.arrivals": lambda _: {},
    "workload.rate_per_s": _when("sleep", None, 0.0),
    "workload.plant.debug": _when("debug_off", wanted=False, knob=True),
    "workload.plant.block_ms": _when("blocking_sleep", 0.0, 0.0),
    "workload.plant.garbage": _when("gc_frozen", 0, knob=True),
    "workload.plant.dns_ms": _when("cached_dns", 0.0, knob=True),
    "arms": _loop,
}


def change(scenario: Scenario, settings: Mapping[str, object], *, remedy: bool = True) -> Intervention | None:
    """The scenario with other settings; None where that changes nothing, or nothing can be changed so in a program.

    Args:
        scenario: as it was run; with `program`: as it was seen.
        settings: key, as in the scenario's TOML ("pool.limit"; of a program also "knobs.shared_tls") → value.
        remedy: False: an experiment only.
    """
    after, lines = scenario, []
    for key, value in settings.items():
        before = setting(scenario, key)
        if before == value:
            continue
        line = f"{key}: {_before(scenario, key)} → {_shown(key, value)}"
        if scenario.program is not None and not key.startswith(KNOBS):
            knobs = KNOB_OF.get(key, lambda _: None)(value)
            if knobs is None:
                return None
            for name, knob in knobs.items():
                after = _put(after, ["knobs", name], knob)
            line = _told(scenario, key, value, knobs)
        elif key.startswith(KNOBS):
            line = _does(key.removeprefix(KNOBS), value) or f"{line}, {INJECTED}"
        if key != "arms" or scenario.program is None:  # a program stays its own arm
            after = _put(after, key.split("."), value)
        lines.append(line)
    return Intervention(scenario=after, changes=tuple(lines), remedy=remedy) if lines else None


def _told(scenario: Scenario, key: str, value: object, knobs: Settings) -> str:
    """A change of what was seen of a program, in its author's words, with the knobs that make it."""
    loop = "event loop: as the program has it → uvloop"
    said = loop if key == "arms" else f"{CALLED.get(key, key)}: {_shown(key, setting(scenario, key))} → {_shown(key, value)}"
    return said + "".join(f" ({INJECTED}: {KNOBS}{name} = {_plain(knob)})" for name, knob in knobs.items())


def _does(knob: str, value: object) -> str:
    """What a knob does, in its author's words; empty for one that has none."""
    plain, other = DOES.get(knob, ("", ""))
    said = plain if isinstance(value, bool) or not value else other.format(value=value)
    return f"{said} ({INJECTED}: {KNOBS}{knob} = {_plain(value)})" if said else ""


def _before(scenario: Scenario, key: str) -> str:
    """The value of a key, or what it is where the scenario does not say: a pool of threads or processes has its own number of workers."""
    value = setting(scenario, key)
    if key == "workload.concurrency" and len(own := {at_once(arm.loop, None) for arm in scenario.arms}) == 1:
        value = value or own.pop()
    return _shown(key, value)


def setting(scenario: Scenario, key: str) -> object:
    """The value of a key."""
    value: object = attrgetter(key)(scenario)
    return value


def _put(value: Value, path: list[str], new: object) -> Scenario:
    first, *rest = path
    inner = _put(getattr(value, first), rest, new) if rest else new
    return replace(value, **{first: inner})  # type: ignore[return-value] # the outermost call is given a scenario


def _shown(key: str, value: object) -> str:
    if key.startswith(KNOBS) and (value is None or (value is False and key != "knobs.lock")):
        return "as the program has it"
    if value is None:
        return next((text for start, text in ABSENT.items() if key.startswith(start)), "none")
    if isinstance(value, tuple):
        return ", ".join(arm.name for arm in value if isinstance(arm, Arm))
    if key == "knobs.semaphore" and value == 0:
        return "0 (everyone at once)"
    if value == 0 and not isinstance(value, bool) and key in NO_LIMIT:
        return "0 (no limit)"
    return _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Delay):
        return f"{value.ms:g} ms at each {value.place or value.seam}"
    return f"{value:g}" if isinstance(value, float) else str(value)
