"""What the parent tells a worker, and what the worker tells back: the two values that cross between a trial's processes.

The talk, a line each: parent → Job (JSON) on stdin; worker → ``ready`` (set up, warmed up); parent → ``go``; worker → ``done`` right
after the timed part; then the worker decodes, leaves ``worker.json`` in the job's folder and ends.
"""

from loopdiag.model.recording import TrialSpec
from loopdiag.model.scenario import Scenario
from loopdiag.model.value import Value

READY, GO, DONE = b"ready\n", b"go\n", b"done\n"
REPORT = "worker.json"


class Job(Value, frozen=True, kw_only=True):
    """One trial, as the worker gets it."""

    scenario: Scenario
    spec: TrialSpec
    url: str  # of the server, without the path
    folder: str
    ca_file: str | None = None
    cores: tuple[int, ...] = ()  # to run on; empty: not pinned
    warm_up: bool = False  # make one request on a throw-away client first
    user_agent: str | None = None


class WorkerReport(Value, frozen=True, kw_only=True):
    """What the worker measured; as in `TrialResult`, whose fields of the same names it fills."""

    t0_ns: int
    t1_ns: int
    total_s: float
    setup_s: float
    cpu_s: float
    run_queue_s: float | None
    rss_peak_kib: int
    gc_collections: int
    errors: dict[str, int]
    succeeded: int
    body_bytes: int
    decode_s: float | None = None
    connections_opened: int | None = None  # as the client itself knows; only the fake one does
    versions: dict[str, str] = {}
    not_observed: dict[str, str] = {}
    warnings: tuple[str, ...] = ()
