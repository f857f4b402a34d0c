"""What the parent and the target's process say to each other: one JSON line each over the child's stdin and stdout."""

from loopdiag.model.scenario import Scenario
from loopdiag.model.value import Value


class Account(Value, frozen=True, kw_only=True):
    """What the target saw since the last collection, summed up."""

    requests: int  # received whole, refused ones among them
    answered: int  # of these; the others' clients went away
    connections_opened: int  # accepted; with HTTP/2: those that carried a request
    connections_closed: int
    body_bytes: int  # sent, after compression
    errors_by_status: dict[int, int] = {}  # HTTP status ≥ 400 → answers


class Start(Value, frozen=True, kw_only=True, tag="start"):
    """The first line to the child."""

    scenario: Scenario
    front: str  # one of SERVERS
    port: int  # 0: any free one
    folder: str  # private; the child leaves the CA's certificate here
    cores: tuple[int, ...] = ()


class Collect(Value, frozen=True, kw_only=True, tag="collect"):
    """Asks for the account; the tables go into `folder`."""

    folder: str | None = None


class Stop(Value, frozen=True, kw_only=True, tag="stop"):
    """Asks the child to end."""


class Ready(Value, frozen=True, kw_only=True, tag="ready"):
    """The child listens and answers."""

    port: int


class Collected(Value, frozen=True, kw_only=True, tag="collected"):
    """The answer to `Collect`."""

    account: Account


class Refused(Value, frozen=True, kw_only=True, tag="refused"):
    """The user's input is wrong; one line a fault."""

    faults: tuple[str, ...]


class Unwritable(Value, frozen=True, kw_only=True, tag="unwritable"):
    """The account's tables could not be written."""

    number: int  # errno
    reason: str
    path: str


Reply = Ready | Collected | Refused | Unwritable
