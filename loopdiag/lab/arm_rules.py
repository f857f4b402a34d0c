"""What an arm with a label, or with an environment of its own, may say."""

import re
from collections.abc import Iterator

from loopdiag.lab.interpreters import numbers
from loopdiag.lab.own_environments import OLDEST
from loopdiag.lab.plain import CLIENTS, LOOPS
from loopdiag.lab.strict import Fault, show
from loopdiag.model.scenario import Arm, Plant, Scenario

LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,39}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,39})?")
VERSION = re.compile(r"3\.\d{1,2}(\.\d{1,2})?")
LONGEST = 300


def own_faults(arm: Arm, key: str, *, exact: bool) -> Iterator[Fault]:
    """Yield what is wrong with an arm's label, requirements and interpreter.

    Args:
        arm: whose client and loop are judged elsewhere.
        key: of the arm.
        exact: whether that key is the arm's own, so that its keys can be named.
    """

    def fault(name: str, message: str) -> Fault:
        return Fault(f"{key}.{name}" if exact else key, message)

    if arm.label is not None and not LABEL.fullmatch(arm.label):
        yield fault(
            "label", f"expected at most 40 letters, digits, '-', '_' and '.', perhaps twice with a '/' between, got {show(arm.label)}"
        )
    if not arm.apart:
        return
    if not arm.requirements:
        yield fault(
            "requirements", f'missing; Python {arm.python} has no {arm.client} of its own: say which, such as ["{arm.client}==1.2.3"]'
        )
    for requirement in arm.requirements:
        if not requirement.strip() or requirement.lstrip().startswith("-") or not requirement.isprintable() or len(requirement) > LONGEST:
            yield fault("requirements", f'expected requirements as pip reads them, such as "httpx==0.21.1", got {show(requirement)}')
    if arm.python is not None and (not VERSION.fullmatch(arm.python) or numbers(arm.python)[:2] < OLDEST):
        yield fault("python", f'expected a version from {".".join(map(str, OLDEST))} on, such as "3.9", got {show(arm.python)}')
    if arm.client not in CLIENTS:
        yield fault("client", f"with requirements of its own an arm's client is one of {', '.join(CLIENTS)}, got {show(arm.client)}")
    if arm.loop not in LOOPS:
        yield fault("loop", f"with requirements of its own an arm's loop is one of {', '.join(LOOPS)}, got {show(arm.loop)}")


def name_faults(arm: Arm, before: tuple[Arm, ...]) -> Iterator[str]:
    """Say where one of the arms before has the same name."""
    if arm in before:
        yield f"{show(arm.name)} stands in the list twice"
    elif arm.name in {other.name for other in before}:
        yield f"another arm is called {show(arm.name)}, too; give one of them a label of its own"


def pair_faults(arm: Arm, scenario: Scenario) -> Iterator[str]:
    """Say where the arm's client does not run on its loop, or its loop cannot play what the scenario plants; both are known."""
    from loopdiag.lab.clients import CLIENTS as ALL
    from loopdiag.lab.clients import loops_of
    from loopdiag.lab.loops import LOOPS as EVERY
    from loopdiag.lab.loops import runner_of

    loops = [loop for loop in EVERY if loop in loops_of(ALL[arm.client])]
    if arm.loop not in loops:
        right = " or ".join(show(f"{arm.client}/{loop}") for loop in loops)
        yield f"the client {arm.client} does not run on the loop {arm.loop}; expected {right}, got {show(arm.name)}"
    elif arm.loop != "own" and runner_of(EVERY[arm.loop]) is not None and scenario.workload.plant != Plant():
        yield f"workload.plant is played on asyncio, uvloop and virtual only, not on the loop {arm.loop}; remove the table, or {show(arm.name)}"
