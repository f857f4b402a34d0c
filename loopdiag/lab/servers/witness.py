"""The target's own account: one row a request and one a connection, in packed integers, on the machine's monotonic clock.

On disk as ``server_requests.npy`` and ``server_connections.npy`` (``np.load`` gives structured arrays with the columns of REQUEST and
CONNECTION; times are ``perf_counter_ns`` = CLOCK_MONOTONIC; 0 = not observed).
"""

import contextlib
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from loopdiag.lab.servers.messages import Account

if TYPE_CHECKING:
    import numpy as np

    Rows = np.ndarray[tuple[int], np.dtype[np.void]]

#: column → struct format, packed little-endian
REQUEST = {
    "received_ns": "Q",  # the request was complete
    "begun_ns": "Q",  # the answer is about to be handed to the transport; 0: never answered
    "ended_ns": "Q",  # the answer's last byte has been handed to the transport; 0: the client left before
    "status": "H",
    "body_bytes": "I",  # as sent: after compression, without chunk framing
    "request": "I",  # number of the request, from 1; 0: the path is not the scenario's, or the request cannot be parsed
    "connection": "I",  # row of server_connections.npy, from 1
}
CONNECTION = {
    "accepted_ns": "Q",
    "handshaken_ns": "Q",
    "peer_port": "H",
    "closed_ns": "Q",
    "requests": "I",  # counted when they are collected
}
FILES = {"server_requests.npy": REQUEST, "server_connections.npy": CONNECTION}
FIRST_ERROR = 400

_REQUEST_ROW, _CONNECTION_ROW = (struct.Struct("<" + "".join(columns.values())) for columns in (REQUEST, CONNECTION))
_ANSWERED, _ANSWERED_AT = struct.Struct("<QQHI"), 8
_ESTABLISHED, _ESTABLISHED_AT = struct.Struct("<QH"), 8
_CLOSED, _CLOSED_AT = struct.Struct("<Q"), 18


class Witness:
    """Appends rows and fills them in; rows have numbers that are never used twice, so that a late stamp cannot hit another row.

    Times are passed in: the witness has no clock of its own.
    """

    def __init__(self) -> None:
        self._requests, self._connections = bytearray(), bytearray()
        self._request_base = self._connection_base = self._accepted = 0

    @property
    def arrived(self) -> int:
        """Requests since the last collection."""
        return len(self._requests) // _REQUEST_ROW.size

    @property
    def requests(self) -> "Rows":
        """A copy of the rows since the last collection, as a structured array."""
        return _rows(self._requests, REQUEST)

    @property
    def connections(self) -> "Rows":
        """A copy of the rows since the last collection, as a structured array."""
        return _rows(self._connections, CONNECTION)

    def connected(self, accepted_ns: int, *, peer_port: int = 0, new: bool = True) -> int:
        """Open a connection's row; return its number.  `new` is False for one that outlives a collection."""
        row = self._connection_base + len(self._connections) // _CONNECTION_ROW.size
        self._connections += _CONNECTION_ROW.pack(accepted_ns, 0, peer_port, 0, 0)
        self._accepted += new
        return row

    def established(self, connection: int, handshaken_ns: int, peer_port: int) -> None:
        """Enter the end of the handshake (0: none) and the peer's port."""
        if (row := connection - self._connection_base) >= 0:
            _ESTABLISHED.pack_into(self._connections, row * _CONNECTION_ROW.size + _ESTABLISHED_AT, handshaken_ns, peer_port)

    def closed(self, connection: int, closed_ns: int) -> None:
        """Enter a connection's end."""
        if (row := connection - self._connection_base) >= 0:
            _CLOSED.pack_into(self._connections, row * _CONNECTION_ROW.size + _CLOSED_AT, closed_ns)

    def known(self, connection: int) -> bool:
        """Whether the connection's row is still here; it is not after a collection."""
        return connection >= self._connection_base

    def received(self, connection: int, request: int, received_ns: int) -> int:
        """Open a request's row on a known connection; return its number."""
        row = self._request_base + len(self._requests) // _REQUEST_ROW.size
        self._requests += _REQUEST_ROW.pack(received_ns, 0, 0, 0, 0, request, connection - self._connection_base + 1)
        return row

    def answered(self, request: int, begun_ns: int, ended_ns: int, status: int, body_bytes: int) -> None:
        """Enter the answer; `ended_ns` is 0 as long as a part of it has not been handed over."""
        if (row := request - self._request_base) >= 0:
            _ANSWERED.pack_into(self._requests, row * _REQUEST_ROW.size + _ANSWERED_AT, begun_ns, ended_ns, status, body_bytes)

    def collect(self, folder: Path | None) -> Account:
        """Sum up, write both tables into `folder` if there is one, and forget the rows.

        Raises:
            OSError: the folder cannot be written; the rows are kept.
        """
        import numpy as np  # here: the parent imports this module and needs no numpy

        requests, connections = self.requests, self.connections
        connections["requests"] = np.bincount(requests["connection"], minlength=len(connections) + 1)[1:]
        statuses, counts = np.unique(requests["status"], return_counts=True)
        account = Account(
            requests=len(requests),
            answered=int(np.count_nonzero(requests["begun_ns"])),
            connections_opened=self._accepted,
            connections_closed=int(np.count_nonzero(connections["closed_ns"])),
            body_bytes=int(requests["body_bytes"].sum(dtype=np.uint64)),
            errors_by_status={int(status): int(count) for status, count in zip(statuses, counts, strict=True) if status >= FIRST_ERROR},
        )
        if folder is not None:
            for name, rows in zip(FILES, (requests, connections), strict=True):
                _save(folder / name, rows)
        self._request_base += len(requests)
        self._connection_base += len(connections)
        self._accepted = 0
        self._requests, self._connections = bytearray(), bytearray()
        return account


def _rows(packed: bytearray, columns: dict[str, str]) -> "Rows":
    import numpy as np

    return np.frombuffer(bytes(packed), dtype=[(name, f"<u{struct.calcsize(code)}") for name, code in columns.items()]).copy()


def _save(path: Path, rows: "Rows") -> None:
    """Write a table at once or not at all."""
    import numpy as np

    partial = path.with_name(f"{path.name}.part")
    try:
        with partial.open("wb") as file:
            np.save(file, rows)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
