"""Pure changes of a scenario, named as its TOML names them, with lines for readers."""

from collections.abc import Mapping
from operator import attrgetter

from msgspec.structs import replace

from loopdiag.model.attribution import Intervention
from loopdiag.model.scenario import Arm, Scenario
from loopdiag.model.value import Value

#: what None, and 0, mean under a key
ABSENT = {"pool.": "default", "workload.concurrency": "all at once", "target.service.": "none", "workload.rate_per_s": "none"}
NO_LIMIT = ("pool.limit", "pool.limit_per_host", "pool.keepalive", "pool.keepalive_s")


def change(scenario: Scenario, settings: Mapping[str, object], *, remedy: bool = True) -> Intervention | None:
    """The scenario with other settings; None where that changes nothing.

    Args:
        scenario: as it was run.
        settings: key, as in the scenario's TOML ("pool.limit") → value.
        remedy: False: an experiment only.
    """
    after, lines = scenario, []
    for key, value in settings.items():
        before = setting(scenario, key)
        if before != value:
            after = _put(after, key.split("."), value)
            lines.append(f"{key}: {_shown(key, before)} → {_shown(key, value)}")
    return Intervention(scenario=after, changes=tuple(lines), remedy=remedy) if lines else None


def setting(scenario: Scenario, key: str) -> object:
    """The value of a key."""
    value: object = attrgetter(key)(scenario)
    return value


def _put(value: Value, path: list[str], new: object) -> Scenario:
    first, *rest = path
    inner = _put(getattr(value, first), rest, new) if rest else new
    return replace(value, **{first: inner})  # type: ignore[return-value] # the outermost call is given a scenario


def _shown(key: str, value: object) -> str:
    if value is None:
        return next((text for start, text in ABSENT.items() if key.startswith(start)), "none")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(arm.name for arm in value if isinstance(arm, Arm))
    if value == 0 and key in NO_LIMIT:
        return "0 (no limit)"
    return f"{value:g}" if isinstance(value, float) else str(value)
