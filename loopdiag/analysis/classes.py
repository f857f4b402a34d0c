"""Every stack to one class of code, by the rules of `analysis/class_rules.py`, from its innermost frame outward.

A profiler that reads Python frames alone (py-spy without --native) sees C code as the Python function that called it: what OpenSSL does is
`ssl.py`'s ``do_handshake``, what uvloop does is ``Runner.run``, and what the garbage collector does is whatever function allocated.
"""

import re
import sys
from collections.abc import Iterable
from fnmatch import translate
from functools import lru_cache
from typing import NamedTuple

from loopdiag.analysis.class_rules import GENERIC_C, GENERIC_PARTS, LOOPS, RULES, RULES_VERSION, Rule
from loopdiag.model.profile import Frame

__all__ = ["RULES", "RULES_VERSION", "START", "State", "classify", "step"]

OTHER = "other"


class State(NamedTuple):
    """What the frames so far, from the outermost inward, say about samples that end here."""

    nearest: str = OTHER  # by the innermost frame that a rule knows
    beneath: str | None = None  # by a frame that decides for all that it calls
    within: int = 0  # bit i: the i-th of `WITHIN` stood outside

    @property
    def code(self) -> str:
        """The class of samples whose stack ends here."""
        return self.beneath or self.nearest


class _Reading(NamedTuple):
    """What the table says of one frame, wherever it stands."""

    loop: bool
    beneath: str | None
    nearest: tuple[tuple[int, str], ...]  # (bit that must be set, class), to be tried in order
    alone: str | None
    within: int  # bits that it sets


START = State()


def step(state: State, frame: Frame) -> State:
    """The state one frame further in."""
    read = _read(frame.file, frame.function)
    if read.loop:
        return State(nearest="task-and-callback")
    nearest = next((code for bit, code in read.nearest if state.within & bit == bit), state.nearest)
    if read.alone and nearest == OTHER:
        nearest = read.alone
    if not (read.beneath or read.within or nearest != state.nearest):
        return state
    return State(nearest, read.beneath or state.beneath, state.within | read.within)


def classify(stack: Iterable[Frame]) -> str:
    """The class of a stack, outermost frame first; "other" where no rule knows any of its frames."""
    state = START
    for frame in stack:
        state = step(state, frame)
    return state.code


def _pattern(globs: str) -> re.Pattern[str]:
    return re.compile("|".join(translate(glob) for glob in globs.split("|")))


class _Compiled(NamedTuple):
    rule: Rule
    file: re.Pattern[str]
    function: re.Pattern[str]
    bit: int


WITHIN = tuple(dict.fromkeys(rule.within for rule in RULES if rule.within))
_WITHIN = tuple(_pattern(globs) for globs in WITHIN)
_LOOPS = tuple((_pattern(file), _pattern(function)) for file, function in LOOPS)
_RULES = tuple(
    _Compiled(rule, _pattern(rule.file), _pattern(rule.function), 1 << WITHIN.index(rule.within) if rule.within else 0) for rule in RULES
)
_GENERIC = _pattern(GENERIC_C + "|" + GENERIC_PARTS)


@lru_cache(maxsize=65536)
def _read(file: str, function: str) -> _Reading:
    names = (function, function.rpartition(".")[2])
    found = [each for each in _RULES if each.file.match(file) and any(map(each.function.match, names))]
    beneath = next((each.rule.code for each in found if each.rule.where == "beneath"), None)
    nearest = [(each.bit, each.rule.code) for each in found if each.rule.where == "nearest"]
    if not found and not _generic(file):
        nearest = [(0, "user")]
    return _Reading(
        loop=any(of_file.match(file) and any(map(of_function.match, names)) for of_file, of_function in _LOOPS),
        beneath=beneath,
        nearest=tuple(nearest),
        alone=next((each.rule.code for each in found if each.rule.where == "alone"), None),
        within=sum(1 << i for i, pattern in enumerate(_WITHIN) if any(map(pattern.match, names))),
    )


def _generic(file: str) -> bool:
    """Whether code of this file says nothing by itself: C code, parts that serve everyone, the standard library."""
    module = file.partition("/")[0].removesuffix(".py")
    return bool(_GENERIC.match(file)) or module in sys.stdlib_module_names
