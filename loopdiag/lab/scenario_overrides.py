"""What the command line changes in a scenario: --n, --arm and --budget."""

import re

from msgspec.structs import replace

from loopdiag.errors import InputError
from loopdiag.lab.scenario_faults import parse_arm, scenario_faults
from loopdiag.lab.strict import LARGEST, Fault, show
from loopdiag.model.scenario import Arm, Scenario

UNIT_S = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def apply_overrides(scenario: Scenario, *, n: str | None, arms: list[str] | None, budget: str | None) -> Scenario:
    """Return the scenario with what the command line says; None and an empty list leave it as it is.

    Args:
        scenario: a right one.
        n: ``50,100,200``.
        arms: names of the scenario's own arms, or ``CLIENT/LOOP``.
        budget: ``120s``, ``2m``, ``1.5h``, or seconds.

    Raises:
        InputError: with all faults, one line each, each beginning with its option.
    """
    faults: list[Fault] = []
    changed: dict[str, str] = {}  # option → key
    sweep = scenario.sweep
    if n is not None:
        changed["--n"] = "sweep.n"
        sweep = replace(sweep, n=_numbers(n, faults))
    if budget is not None:
        changed["--budget"] = "sweep.budget_s"
        sweep = replace(sweep, budget_s=_seconds(budget, faults))
    if arms:
        changed["--arm"] = "arms"
        scenario = replace(scenario, arms=_arms(arms, scenario.arms, faults))
    scenario = replace(scenario, sweep=sweep)
    wrong = {changed[option] for option, _ in faults}
    lines = [f"{option}: {message}" for option, message in faults]
    lines += (f"{_option(fault, changed)}: {_worded(fault)}" for fault in scenario_faults(scenario, wrong))
    if lines:
        raise InputError(*lines)
    return scenario


def budget_seconds(text: str) -> float:
    """Seconds of a --budget: ``120s``, ``2m``, ``1.5h``, or seconds.

    Raises:
        InputError: it is none.
    """
    faults: list[Fault] = []
    seconds = _seconds(text, faults)
    if faults:
        raise InputError(*(f"{option}: {message}" for option, message in faults))
    return seconds


def _numbers(text: str, faults: list[Fault]) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if all(re.fullmatch(r"[0-9]{1,18}", part) and int(part) > 0 for part in parts):
        return tuple(int(part) for part in parts)
    faults.append(Fault("--n", f"expected whole numbers ≥ 1 with commas between them, such as 50,100,200, got {show(text)}"))
    return (1,)


def _seconds(text: str, faults: list[Fault]) -> float:
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*(s|m|min|h|)", text.strip())
    seconds = float(match[1]) * UNIT_S[match[2]] if match else 0.0
    if 0 < seconds < LARGEST:
        return seconds
    faults.append(Fault("--budget", f"expected a time > 0, such as 120s, 2m or 90 (seconds), got {show(text)}"))
    return 1.0


def _arms(texts: list[str], there: tuple[Arm, ...], faults: list[Fault]) -> tuple[Arm, ...]:
    own = {arm.name: arm for arm in there}
    parsed = [(text, own.get(text) or parse_arm(text)) for text in texts]
    labels = ", ".join(arm.label for arm in there if arm.label)
    known = f" (labels here: {labels})" if labels else ""
    faults += (
        Fault("--arm", f"expected CLIENT/LOOP, such as httpx/asyncio, got {show(text)}{known}") for text, arm in parsed if arm is None
    )
    return tuple(arm for _, arm in parsed if arm is not None)


def _option(fault: Fault, changed: dict[str, str]) -> str:
    """Return the option that a fault comes from: the one that set its key, else the first, as the scenario alone was right."""
    return next((option for option, key in changed.items() if fault.key.startswith(key)), next(iter(changed), "scenario"))


def _worded(fault: Fault) -> str:
    """Name the key only where the option does not say it already."""
    own = fault.key.startswith(("arms", "sweep.n", "sweep.budget_s"))
    return fault.message if own else f"{fault.key}: {fault.message}"
