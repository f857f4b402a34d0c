"""Everything that a report may show, as one value: what `report` renders and `loopdiag report DIR` loads."""

from loopdiag.model.diagnosis import Diagnosis
from loopdiag.model.flame import Flame, TopRow
from loopdiag.model.ledger import ArmLedger
from loopdiag.model.profile import Calls, Profile
from loopdiag.model.recording import Recording
from loopdiag.model.timeline import Timeline
from loopdiag.model.value import Value


class Document(Value, frozen=True, kw_only=True):
    """The answer, the run that it rests on, and the resolved timelines of its `timeline` trials."""

    diagnosis: Diagnosis
    recording: Recording
    timelines: tuple[Timeline, ...] = ()
    profiles: tuple[Profile, ...] = ()  # of its `profile` trials
    flames: tuple[Flame, ...] = ()
    top: dict[str, tuple[TopRow, ...]] = {}  # arm → the functions whose CPU grows most with N
    ledgers: tuple[ArmLedger, ...] = ()
    calls: dict[str, tuple[Calls, ...]] = {}  # arm → calls at the largest N of its `calls` trials
