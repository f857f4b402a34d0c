"""What arms need before their first trial, and what they cannot be asked for: environments of their own, and programs in other languages."""

from loopdiag.lab import external, own_environments
from loopdiag.lab.own_environments import Note
from loopdiag.model.recording import Tier
from loopdiag.model.scenario import Arm, Scenario


def prepare(scenario: Scenario, note: Note) -> None:
    """Build and compile what the scenario's arms need, as far as it is not there yet.

    Args:
        scenario: whose arms.
        note: gets a line where something takes long.

    Raises:
        InputError: an environment cannot be built; one line an arm.
        Unavailable: a program cannot be compiled; likewise.
    """
    own_environments.prepare(scenario, note)
    external.prepare(scenario, note)


def refused(arm: Arm) -> dict[Tier, str]:
    """Return the tiers that an arm cannot be run in, each with why."""
    return own_environments.refused(arm) | external.refused(arm)
