"""The critical path of a trial: from the request that finished last back to t0, through whoever each request waited for.

A stretch is charged to the outside, to the loop, or to nothing that evidence shows (`analysis/path_phases.py`, `analysis/outside.py`); where a request waited
for a slot, a connection, a stream or its turn, the path goes on with the request that held it (`analysis/walk.py`); in a user's program it goes through that
program's own tasks and what they waited for, too (`analysis/program_path.py`).
"""

from loopdiag.analysis.program_path import ProgramWalk
from loopdiag.analysis.walk import Walk
from loopdiag.model.ledger import Step
from loopdiag.model.scenario import Workload
from loopdiag.model.timeline import Timeline


def path(timeline: Timeline, workload: Workload | None = None) -> tuple[Step, ...]:
    """The steps of the critical path in order of time; they cover [0, total_ns] without gap or overlap.

    Args:
        timeline: one trial.
        workload: how its requests were made; None: as the stamps tell (they cannot tell a schedule from a loop that slept).
    """
    walk = ProgramWalk if timeline.activity is not None and timeline.activity.requests.request else Walk
    return walk(timeline, workload or Workload()).steps()
