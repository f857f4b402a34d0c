"""What causes may read about one arm: its totals, ledger, profile, and the replay model that was fitted to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from loopdiag.analysis.cells import Points
from loopdiag.analysis.machine import Machine
from loopdiag.analysis.occupancy import Occupancy
from loopdiag.model.flame import TopRow
from loopdiag.model.law import Estimate, Law
from loopdiag.model.ledger import ArmLedger
from loopdiag.model.recording import TrialResult
from loopdiag.model.scenario import Arm, Scenario
from loopdiag.model.timeline import Timeline


@dataclass(frozen=True)
class Evidence:
    """One arm's.  A part that is None (or empty) was not observed; `missing` says why.

    Attributes:
        arm, scenario: the arm, and the scenario with that arm alone.
        points: N → bare totals in seconds.
        law, slope: as in the diagnosis; the slope in ms per request.
        bare: usable bare trials.
        timelines: resolved timeline trials, ascending N.
        ledger: accounts of the slope.
        occupancy: N → in flight, queues, connections, of a timeline trial.
        class_cpu: class of code → N → seconds of CPU of the loop's thread (of all threads where it is not the one that computes), scaled to the bare trials (from profiles).
        top: functions whose CPU grows most.
        machine: the replay model, fitted; None where it does not reproduce the run.
        counters: what the instruments counted, at most over the arm's usable trials.
        missing: part → why it is absent.
        architecture: of the machine on which it ran, as its kernel calls it ("x86_64", "aarch64"); None: not known.
        failed: trials of the arm that did not end well, or in which requests failed; warm-ups left out.
        seen: of a user's program, the client library and the loop that it was seen to use; `scenario` then holds the workload and the pool that were seen.
    """

    arm: Arm
    scenario: Scenario
    points: Points
    law: Law
    slope: Estimate
    bare: tuple[TrialResult, ...] = ()
    timelines: tuple[Timeline, ...] = ()
    ledger: ArmLedger | None = None
    occupancy: Mapping[int, Occupancy] = field(default_factory=dict)
    class_cpu: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    top: tuple[TopRow, ...] = ()
    machine: Machine | None = None
    counters: Mapping[str, int] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    seen: Arm | None = None
    failed: tuple[TrialResult, ...] = ()
    architecture: str | None = None

    @property
    def client(self) -> str:
        """The library that the requests go through: the arm's client, or what was seen in a user's program."""
        return (self.seen or self.arm).client

    @property
    def loop(self) -> str:
        """The event loop that they run on, likewise."""
        return (self.seen or self.arm).loop

    def has(self, part: str) -> bool:
        """Whether a part was observed."""
        return bool(getattr(self, part))
