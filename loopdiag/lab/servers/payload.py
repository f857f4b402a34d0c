"""Response bodies: JSON text of an exact size, and its gzip form of about a given size; made at start-up, never in a trial."""

import gzip as gzip_format
from functools import cached_property
from typing import Protocol

from loopdiag.errors import InputError
from loopdiag.lab.servers.document import DEFAULT_HARD_SHARE, HARD_BYTES, SOFT_RATIO, document

GZIP_LEVEL = 6
TOLERANCE = 0.15  # of the asked gzip size; what misses it is the table's fault
AIM = 0.05  # what calibration tries to reach
ROUNDS = 6
TOTAL_BYTES = 1 << 30


class Body(Protocol):
    """One response body."""

    @property
    def gzip(self) -> bytes | None:
        """Its gzip form; None where the scenario does not compress."""
        ...

    @property
    def identity(self) -> bytes:
        """The JSON text."""
        ...


class Plain:
    """A body of a scenario without compression."""

    gzip: bytes | None = None

    def __init__(self, text: bytes) -> None:
        self.identity = text


class Packed:
    """A compressed body; its text is only unpacked (and then kept) for a client that does not accept gzip."""

    def __init__(self, packed: bytes) -> None:
        self.gzip = packed

    @cached_property
    def identity(self) -> bytes:
        """The JSON text."""
        return gzip_format.decompress(self.gzip)


class Bodies:
    """The bodies of requests 1 … `count`; the sizes wrap round, and so do requests beyond.  Equal sizes share one body.

    Args:
        sizes: (bytes before compression, bytes after it or None for "as it comes") in the order of the requests.
        count: how many requests to prepare for.
        gzip: whether to compress.

    Raises:
        InputError: the bodies would take more than 1 GiB, or no JSON text of the asked size compresses to the asked size.
    """

    def __init__(self, sizes: list[tuple[int, int | None]], count: int, *, gzip: bool) -> None:
        wanted = sizes[:count]
        if not gzip:
            wanted = [(size, None) for size, _ in wanted]
        total = sum(size for size, _ in set(wanted))
        if total > TOTAL_BYTES:
            raise InputError(
                f"target.payload: {total / TOTAL_BYTES:.1f} GiB of bodies for N = {count}; at most 1 GiB is prepared: "
                'smaller bodies, a smaller N or law = "constant" would be right'
            )
        made: dict[tuple[int, int | None], Body] = {}
        self._bodies = []
        for number, (size, packed) in enumerate(wanted, start=1):
            if (size, packed) not in made:
                made[size, packed] = Packed(_packed(number, size, packed)) if gzip else Plain(document(number, size))
            self._bodies.append(made[size, packed])

    def __len__(self) -> int:
        return len(self._bodies)

    def __getitem__(self, request: int) -> Body:
        return self._bodies[(request - 1) % len(self._bodies)]


def _packed(number: int, size: int, asked: int | None) -> bytes:
    """Compress a document of `size` bytes to about `asked` bytes, by the share of its characters that do not compress."""
    if asked is None:
        return _compress(document(number, size, int(size * DEFAULT_HARD_SHARE)))
    best = _calibrated(number, size, asked, flat=False)
    if len(best) > asked * (1 + TOLERANCE):  # the Pokémon's own words take more than that
        best = _calibrated(number, size, asked, flat=True)
    if abs(len(best) - asked) > TOLERANCE * asked:
        raise InputError(
            f"target.payload.table, row {number}: gzip_bytes {asked} of json_bytes {size} cannot be reached; {len(best)} would be right"
        )
    return best


def _calibrated(number: int, size: int, asked: int, *, flat: bool) -> bytes:
    hard = max(0, int((asked - size / SOFT_RATIO) / HARD_BYTES))
    best = b""
    for _ in range(ROUNDS):
        packed = _compress(document(number, size, hard, flat=flat))
        if not best or abs(len(packed) - asked) < abs(len(best) - asked):
            best = packed
        if abs(len(best) - asked) <= AIM * asked:
            break
        hard = min(size, max(0, hard + int((asked - len(packed)) / HARD_BYTES)))
    return best


def _compress(text: bytes) -> bytes:
    return gzip_format.compress(text, GZIP_LEVEL, mtime=0)
