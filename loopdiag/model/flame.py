"""Flame graphs as values: a tree of frames in columns, ready to be drawn, exported or read.

Node 0 is the root; every other node names its parent, which stands before it.  The width of a node is its `value`; what its children do not fill is its own (`self_value`).
"""

from typing import Literal

from loopdiag.model.profile import Frame
from loopdiag.model.value import Value

Kind = Literal["trial", "slope", "difference", "time"]

#: class of code → what it is; `method.md` of the design and the ledger's `loop/…` accounts use the same names
CLASSES: dict[str, str] = {
    "tls-handshake": "TLS handshakes",
    "tls-context": "making TLS contexts, for each of which the bundle of certificates is parsed",
    "tls-record": "encrypting and decrypting TLS records",
    "http-parse": "parsing and writing HTTP",
    "client-library": "the client library's own code",
    "pool": "the connection pool",
    "task-and-callback": "the event loop itself: tasks, callbacks, selecting, reading and writing sockets",
    "decode-json": "decoding JSON",
    "decode-content": "decompressing bodies",
    "decode-text": "bytes to text: character sets",
    "user": "the program's own code",
    "gc": "the garbage collector",
    "dns": "name look-ups",
    "import": "importing modules",
    "instruments": "loopdiag's own instruments",
    "other": "none of these",
}


class Flame(Value, frozen=True, kw_only=True):
    """One flame graph."""

    kind: Kind
    title: str
    arm: str
    n: int | None = None  # of a trial's graph
    trial: str = ""  # of graphs of one trial and over time: its id; "": several trials, or not known
    unit: str  # of the values: "ms of CPU", "µs of CPU a request"
    frames: tuple[Frame, ...] = ()
    # columns, one element a node
    parent: tuple[int, ...] = ()  # -1 for the root
    frame: tuple[int, ...] = ()  # number in `frames`; -1 for the root
    value: tuple[float, ...] = ()
    self_value: tuple[float, ...] = ()
    code: tuple[str, ...] = ()  # of CLASSES: the class of the node's own samples
    low: tuple[float, ...] = ()  # 95 % interval of the value; empty: none
    high: tuple[float, ...] = ()
    exponent: tuple[
        float | None, ...
    ] = ()  # of slope graphs: local power of N, where the node is super-linear; None: it is not, or not known
    # of time graphs: nodes are laid out by time instead of by weight
    start_ns: tuple[int, ...] = ()
    # what stands beside it
    samples: int = 0
    rate_hz: float | None = None
    lost: int = 0
    other_share: float | None = None  # of the weight, that no rule classifies
    residual: float | None = None  # of slope graphs: measured CPU slope minus the frames' sum, same unit
    notes: tuple[str, ...] = ()


class TopRow(Value, frozen=True, kw_only=True):
    """One row of the table for people who read: a function's own and whole share of the slope."""

    function: str
    file: str
    code: str
    self_us: float
    self_low: float | None = None
    self_high: float | None = None
    total_us: float = 0.0
    exponent: float | None = None
