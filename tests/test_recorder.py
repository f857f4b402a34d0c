"""The recorder: rows that numpy reads, that survive a kill, that cost no garbage, and that a full disk cannot turn against the program."""

import errno
import gc
import os
import signal
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from loopdiag.analysis.columns import MISSING, nanoseconds
from loopdiag.instruments import marks, recorder
from loopdiag.instruments.context import OPENED, A, Rows, current, set_current
from loopdiag.instruments.schema import ATTEMPT, CONNECTION, ITERATION, row_words


def rows_of(folder: Path, name: str) -> np.ndarray:
    """The opened rows of a table, as numpy alone reads them."""
    table = np.load(folder / f"{name}.npy", mmap_mode="r")
    return table[table["t0"] != 0]


@pytest.mark.parametrize(("fields", "limit"), [(ATTEMPT, 104), (CONNECTION, 88), (ITERATION, 32)])
def test_row_sizes(fields: dict[str, str], limit: int) -> None:
    # a row keeps within its size, and 64-bit words stay aligned in every row
    assert row_words(fields) * 4 <= limit
    assert row_words(fields) % 2 == 0


def test_rows_are_read_with_numpy_alone(tmp_path: Path) -> None:
    # a row's fields come back by name, and what was not stamped is 0, "not observed"
    rows = Rows(str(tmp_path))
    row = rows.attempts.open()
    rows.attempts.words[row + A["status"]] = 200
    (read,) = rows_of(tmp_path, "attempts")
    assert read["status"] == 200
    assert read["first_byte"] == 0
    assert nanoseconds(rows_of(tmp_path, "attempts"), "first_byte")[0] == MISSING


@pytest.mark.parametrize("table", OPENED)
def test_the_sink_is_never_read(tmp_path: Path, table: str) -> None:
    # row 0 has no t0, whatever was stamped there
    rows = Rows(str(tmp_path))
    getattr(rows, table).words[3] = 7
    assert len(rows_of(tmp_path, table.removesuffix("_made"))) == 0


@pytest.mark.parametrize("ahead_s", [-200.0, -1.0, 0.0, 1e-6, 1.0, 200.0])
@pytest.mark.parametrize("start_ns", [300_000_000_000, (1 << 39) - 5, (1 << 39) + 205, (3 << 50) + 9999])
def test_stamps_unwrap(ahead_s: float, start_ns: int) -> None:
    # a stamp within 274 s of its row's t0 is recovered to one tick, across any number of wraps
    at = start_ns + round(ahead_s * 1e9)
    row = np.zeros(1, dtype=[("t0", "<u8"), ("done", "<u4")])
    row["t0"], row["done"] = start_ns, (at >> 7) & 0xFFFFFFFF
    assert row["done"][0] != 0
    assert 0 <= at - nanoseconds(row, "done")[0] < 128


def test_stamping_allocates_nothing_that_the_collector_tracks(tmp_path: Path) -> None:
    # a thousand requests' stamps leave the collector's count where it was
    rows = Rows(str(tmp_path))
    marks.attach(rows)
    names = [name for name in list(ATTEMPT)[7:] if name != "done"]
    try:
        gc.collect()
        gc.disable()
        before = gc.get_count()[0]
        for number in range(1000):
            marks.begin(number, 1, 1)
            for name in names:
                marks.stamp(name)
            marks.end()
        grown = gc.get_count()[0] - before
    finally:
        gc.enable()
        marks.attach(None)
    assert grown <= 5
    assert len(rows_of(tmp_path, "attempts")) == 1000


def test_a_full_disk_loses_rows_and_counts_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # where the next block finds no room, rows go to the sink and are counted as lost; nothing is raised
    rows = Rows(str(tmp_path))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(recorder.os, "posix_fallocate", full)
    offsets = [rows.attempts.open() for _ in range(recorder.BLOCK_ROWS + 10)]
    assert offsets.count(0) == rows.attempts.lost == 11  # the sink takes one row of the first block
    assert len(rows_of(tmp_path, "attempts")) == recorder.BLOCK_ROWS - 1


def test_room_that_comes_back_is_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # the rows that were lost have had their numbers: a later row would lie beyond the block that is reserved for it, where a full disk kills the program
    rows = Rows(str(tmp_path))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(recorder.os, "posix_fallocate", full)
        for _ in range(2 * recorder.BLOCK_ROWS):
            rows.attempts.open()
    lost = rows.attempts.lost
    assert [rows.attempts.open() for _ in range(5)] == [0] * 5
    assert rows.attempts.lost == lost + 5 == recorder.BLOCK_ROWS + 6
    assert rows.attempts.reserved == recorder.BLOCK_ROWS


def test_a_file_of_the_programs_is_never_written_to(tmp_path: Path) -> None:
    # a program that closes all its descriptors closes ours, too, and its next file gets our number: rows are lost, and that file stays as it is
    rows = Rows(str(tmp_path))
    theirs = os.open(tmp_path / "theirs", os.O_RDWR | os.O_CREAT)
    ours = os.dup(rows.attempts._file)
    try:
        os.dup2(theirs, rows.attempts._file)
        for _ in range(2 * recorder.BLOCK_ROWS):
            rows.attempts.open()
        assert os.fstat(theirs).st_size == 0
        assert rows.attempts.lost == recorder.BLOCK_ROWS + 1
    finally:
        os.dup2(ours, rows.attempts._file)
        os.close(ours)
        os.close(theirs)


def test_a_forked_child_waits_for_nobody_and_has_no_request(tmp_path: Path) -> None:
    # whoever held a table's lock in the parent is not there; the child's rows are sinks, and the request that its parent was making is not its own
    rows = Rows(str(tmp_path))
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with rows.attempts._lock:
            held.set()
            over.wait(60)

    holding, opened = threading.Thread(target=hold), list[int]()
    holding.start()
    assert held.wait(60)
    set_current(7)
    rows.leave()
    assert current() == 0
    opening = threading.Thread(target=lambda: opened.append(rows.attempts.open()))
    opening.start()
    opening.join(10)
    over.set()
    holding.join()
    assert opened == [0]


def test_a_full_table_loses_rows_and_counts_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # beyond its capacity a table loses rows, and says how many
    monkeypatch.setitem(recorder.CAPACITY_ROWS, "attempts", recorder.BLOCK_ROWS)
    rows = Rows(str(tmp_path))
    for _ in range(recorder.BLOCK_ROWS + 4):
        rows.attempts.open()
    assert rows.attempts.lost == 5


def test_what_was_stamped_survives_a_kill(tmp_path: Path) -> None:
    # SIGKILL takes nothing that was stamped
    code = (
        "import sys, os, signal; sys.path.insert(0, sys.argv[2]);"
        "from loopdiag.instruments.context import Rows, A;"
        "rows = Rows(sys.argv[1]); row = rows.attempts.open(); rows.attempts.words[row + A['status']] = 418;"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = str(Path(__file__).parent.parent)
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path), root], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert rows_of(tmp_path, "attempts")["status"].tolist() == [418]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    # without a folder there is no recorder, and nothing is left behind
    with pytest.raises(OSError, match="No such file"):
        Rows(str(tmp_path / "absent"))
    assert list(tmp_path.iterdir()) == []


def test_a_program_on_a_full_disk_runs_on(tmp_path: Path) -> None:
    # a program's table that cannot be made takes every stamp, keeps none, counts what was lost, and says why
    rows = Rows(str(tmp_path / "absent"), program=True)
    offset = rows.attempts.open()
    rows.attempts.words[offset + 3] = 7
    assert rows.attempts.open_with(struct.Struct("<Q").pack_into, 1) == 0
    assert (offset, rows.attempts.lost) == (0, 2)
    assert "FileNotFoundError" in rows.dropped["attempts"]
