"""Whether a scenario can run on this machine, and may."""

from loopdiag.errors import InputError
from loopdiag.lab import own_environments
from loopdiag.lab.clients import CLIENTS, loops_of
from loopdiag.lab.loops import LOOPS
from loopdiag.lab.program_start import faults as program_faults
from loopdiag.model.scenario import Scenario


def check(scenario: Scenario, *, live_allowed: bool) -> None:
    """Whether every arm can run here, and may.

    Raises:
        InputError: one line a fault.
    """
    faults = program_faults(scenario.program) if scenario.program is not None else _arms(scenario)
    if scenario.target.live and not live_allowed and scenario.program is None:
        faults.append(f"target.url is {scenario.target.url}, somebody's live server: give --live to send requests there")
    if faults:
        raise InputError(*dict.fromkeys(faults))


def _arms(scenario: Scenario) -> list[str]:
    faults: list[str] = []
    for arm in scenario.arms:
        try:
            client, loop = CLIENTS[arm.client], LOOPS[arm.loop]
        except InputError as fault:
            faults += fault.faults
            continue
        here = () if arm.apart else (client.available(), loop.available())  # its own environment has what its requirements install
        faults += [f"arm {arm.name}: {why}" for why in here if why]
        faults += own_environments.faults(arm)
        if not arm.apart and arm.loop not in loops_of(client) and not loop.virtual:
            faults.append(
                f"arm {arm.name}: the client {arm.client} does not run on the loop {arm.loop}; its loops: {', '.join(sorted(loops_of(client)))}"
            )
        if loop.virtual and arm.client != "fake":
            faults.append(f"arm {arm.name}: virtual time is for the fake client only; a real one needs asyncio or uvloop")
    return faults
