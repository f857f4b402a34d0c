"""The target's account: rows that late stamps cannot spoil, and tables that numpy reads."""

import errno
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopdiag.lab.servers.witness import CONNECTION, REQUEST, Witness


def filled() -> Witness:
    witness = Witness()
    connection = witness.connected(100)
    witness.established(connection, 150, 4711)
    for i, status in ((1, 200), (2, 429), (3, 200)):
        row = witness.received(connection, i, 200 * i)
        witness.answered(row, 200 * i + 50, 200 * i + 60, status, 10 * i)
    witness.received(connection, 4, 900)
    witness.closed(connection, 1000)
    return witness


def test_the_tables_hold_what_was_stamped(tmp_path: Path) -> None:
    # structured arrays with the documented columns; an unanswered request has no begin
    account = filled().collect(tmp_path)
    requests = np.load(tmp_path / "server_requests.npy")
    connections = np.load(tmp_path / "server_connections.npy")
    assert requests.dtype.names == tuple(REQUEST)
    assert connections.dtype.names == tuple(CONNECTION)
    assert requests[["received_ns", "begun_ns", "ended_ns", "request", "connection", "status", "body_bytes"]].tolist() == [
        (200, 250, 260, 1, 1, 200, 10),
        (400, 450, 460, 2, 1, 429, 20),
        (600, 650, 660, 3, 1, 200, 30),
        (900, 0, 0, 4, 1, 0, 0),
    ]
    assert connections[["accepted_ns", "handshaken_ns", "closed_ns", "requests", "peer_port"]].tolist() == [(100, 150, 1000, 4, 4711)]
    assert (account.requests, account.answered, account.connections_opened, account.connections_closed) == (4, 3, 1, 1)
    assert account.body_bytes == 60
    assert account.errors_by_status == {429: 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["server_connections.npy", "server_requests.npy"]


def test_a_collection_forgets_and_late_stamps_hit_nobody() -> None:
    # an exchange that began before a collection and ends after it leaves the new rows alone
    witness = Witness()
    connection = witness.connected(1)
    late = witness.received(connection, 1, 2)
    assert witness.collect(None).requests == 1
    assert not witness.known(connection)
    again = witness.connected(1, new=False)
    row = witness.received(again, 2, 10)
    witness.answered(late, 11, 12, 500, 99)
    witness.closed(connection, 13)
    witness.established(connection, 14, 15)
    witness.answered(row, 20, 21, 200, 1)
    account = witness.collect(None)
    assert (account.requests, account.connections_opened, account.connections_closed, account.errors_by_status) == (1, 0, 0, {})
    assert account.body_bytes == 1


@given(st.lists(st.sampled_from(["connect", "request", "answer", "collect"]), max_size=60))
def test_counts_add_up_over_any_life(steps: list[str]) -> None:
    # every request and connection is counted in exactly one collection
    witness, connection, rows = Witness(), None, []
    seen = {"requests": 0, "connections": 0, "answered": 0}
    made = dict(seen)

    def collect() -> None:
        account = witness.collect(None)
        seen["requests"] += account.requests
        seen["connections"] += account.connections_opened
        seen["answered"] += account.answered

    for step in steps:
        if step == "connect":
            connection = witness.connected(1)
            made["connections"] += 1
        elif step == "request" and connection is not None:
            if not witness.known(connection):
                connection = witness.connected(1, new=False)
            rows.append(witness.received(connection, 1, 2))
            made["requests"] += 1
        elif step == "answer" and rows:
            witness.answered(rows.pop(), 3, 4, 200, 4)
            made["answered"] += 1
        elif step == "collect":
            collect()
            made["answered"] += 0
            # what is answered after its collection stays "unanswered" there: it is not counted twice
            rows.clear()
    collect()
    assert seen == made


@pytest.mark.parametrize("empty", [True, False])
def test_a_folder_that_cannot_be_written_keeps_the_rows(tmp_path: Path, empty: bool) -> None:
    # the next collection into a good folder has everything
    witness = Witness() if empty else filled()
    with pytest.raises(OSError, match="No such file") as caught:
        witness.collect(tmp_path / "nowhere")
    assert caught.value.errno == errno.ENOENT
    assert witness.collect(tmp_path).requests == (0 if empty else 4)
    assert len(np.load(tmp_path / "server_requests.npy")) == (0 if empty else 4)
