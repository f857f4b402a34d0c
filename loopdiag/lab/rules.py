"""Rules between the keys of a scenario: their forms, and how they are held against one.

Only values that differ from their default are judged to have no effect: to state a default is always allowed.
"""

import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from functools import cache
from operator import attrgetter
from typing import NamedTuple

from loopdiag.lab.strict import Fault, leaves
from loopdiag.model.scenario import Scenario

Test = Callable[[Scenario], bool]


class NoEffect(NamedTuple):
    """`keys` (a pattern) do nothing while `test` holds, which reads the keys `reads`."""

    keys: str
    reads: str
    test: Test
    because: str


class Rule(NamedTuple):
    """The key is wrong while `test` holds, which reads the keys `reads`; ``{s.…}`` in the message is the scenario's value."""

    key: str
    reads: str
    test: Test
    message: str


class Range(NamedTuple):
    """Keys (a pattern) whose numbers lie between two bounds, so that no wait, allocation or sum goes out of hand."""

    keys: str
    low: float
    high: float
    why: str


@cache
def defaults() -> dict[str, object]:
    """Return every key's default; keys that must be given have none."""
    return {leaf.key: leaf.default for leaf in leaves(Scenario)}


class Rules(NamedTuple):
    """The tables that a scenario is held against."""

    no_effect: tuple[NoEffect, ...]
    rules: tuple[Rule, ...]
    ranges: tuple[Range, ...]  # the first that matches a key counts


def judge(tables: Rules, scenario: Scenario, wrong: Iterable[str] = ()) -> list[Fault]:
    """Return what the tables have against the scenario.

    Args:
        tables: what to hold it against.
        scenario: as far as it could be read.
        wrong: keys that are known to be wrong; a rule that reads one of them, or a table around it, is left out.
    """
    tainted = [re.split(r"[.\[]", key) for key in wrong]

    def clean(*keys: str) -> bool:
        paths = [key.split(".") for key in keys]
        return not any(path[: len(bad)] == bad[: len(path)] for path in paths for bad in tainted)

    idle: dict[str, Fault] = {}
    for row in tables.no_effect:
        for key in (key for key in changed(scenario) if fnmatchcase(key, row.keys)):
            if key not in idle and clean(key, *row.reads.split()) and row.test(scenario):
                idle[key] = Fault(key, "has no effect, because " + row.because.format(s=scenario))
    broken = [
        Fault(rule.key, rule.message.format(s=scenario))
        for rule in tables.rules
        if rule.key not in idle and clean(rule.key, *rule.reads.split()) and rule.test(scenario)
    ]
    return [*idle.values(), *broken, *(fault for fault in _range_faults(tables.ranges, scenario) if clean(fault.key))]


def changed(scenario: Scenario) -> list[str]:
    """Return the keys whose value is not the default, in the order of the fields."""
    return [key for key, default in defaults().items() if attrgetter(key)(scenario) != default]


def _range_faults(ranges: tuple[Range, ...], scenario: Scenario) -> Iterable[Fault]:
    for key in changed(scenario):
        value = attrgetter(key)(scenario)
        numbers = [n for n in (value if isinstance(value, tuple) else (value,)) if isinstance(n, int | float)]
        span = next(span for span in ranges if fnmatchcase(key, span.keys))
        if numbers and not (span.low <= min(numbers) and max(numbers) <= span.high):
            got = next(n for n in numbers if not span.low <= n <= span.high)
            low = f"at least {span.low:g} and " if got < span.low else ""
            yield Fault(key, f"expected {low}at most {span.high:.16g}{' ' + span.why if span.why else ''}, got {got:.15g}")
