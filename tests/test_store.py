"""The run's folder: what is saved can be read again, a killed run loses nothing that was saved, and damage is told in one line."""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest
from lab_parts import ENVIRONMENT, scenario, spec

from loopdiag.errors import InputError, LoopdiagError
from loopdiag.instruments.recorder import BLOCK_ROWS, Table
from loopdiag.lab import columns, store
from loopdiag.lab.campaign import blank
from loopdiag.lab.store import Store
from loopdiag.model.recording import Recording, TrialResult

NOW = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)


def begun() -> Recording:
    return blank(scenario(), ENVIRONMENT, NOW)


def result(number: int) -> TrialResult:
    return TrialResult(spec=spec(id=f"{number:04d}"), status="ok", total_s=number / 10, errors={"tls": 1}, versions={"x": "1"})


def test_a_finished_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    # What finish() wrote is what load() returns, whatever lies beside it under trials/.
    made = Store.create(tmp_path / "run", begun())
    for number in (1, 2):
        made.save_trial(result(number))
    whole = msgspec.structs.replace(begun(), trials=(result(1), result(2)), ended="2026-01-15T09:31:00Z")
    made.finish(whole)
    assert store.load(tmp_path / "run") == whole


def test_a_killed_run_keeps_every_saved_trial(tmp_path: Path) -> None:
    # Without finish() the trials come from their own files, in the order of their ids; the one that was running is lost, and it is partial.
    made = Store.create(tmp_path / "run", begun())
    for number in (2, 1, 3):
        made.save_trial(result(number))
    (made.trial_folder("0004") / "trial.json.tmp").write_text("{half")
    loaded = store.load(tmp_path / "run")
    assert loaded.trials == (result(1), result(2), result(3))
    assert loaded.partial
    assert loaded.ended is None


def test_the_begun_recording_says_what_is_run() -> None:
    # A blank recording carries version, UTC start, scenario and seed.
    made = begun()
    assert (made.started, made.plan_seed, made.trials, made.partial) == ("2026-01-15T09:30:00Z", 1, (), False)
    assert made.loopdiag[0].isdigit()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("run.json", None, "is not a run's folder: it has no run.json"),
        ("run.json", "{", "run.json: damaged"),
        ("run.json", "[]", "run.json: damaged"),
        ("run.json", '{"schema": "loopdiag/run/99"}', 'has schema "loopdiag/run/99"; this version reads'),
        ("run.json", "{}", "has schema null"),
        ("run.json", '{"schema": "loopdiag/run/1"}', "run.json: damaged: Object missing required field"),
        ("trials/0001/trial.json", "{", "trial.json: damaged"),
        ("trials/0001/trial.json", '{"status": 3}', "trial.json: damaged"),
    ],
)
def test_damage_is_told_in_one_line(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    # A folder that cannot be read says which file and what is wrong with it.
    Store.create(tmp_path, begun()).save_trial(result(1))
    (tmp_path / name).unlink()
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as caught:
        store.load(tmp_path)
    assert len(caught.value.faults) == 1
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_is_never_written_over(tmp_path: Path) -> None:
    # Neither a run nor a file is overwritten.
    Store.create(tmp_path / "run", begun())
    with pytest.raises(InputError, match="holds a run already"):
        Store.create(tmp_path / "run", begun())
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        Store.create(tmp_path / "file", begun())
    with pytest.raises(InputError, match="cannot be written"):
        Store.create(tmp_path / "file" / "below", begun())


def test_an_unwritable_folder_is_told_at_once() -> None:
    # A place that takes no files is the user's to change: one line before anything is measured.
    with pytest.raises(InputError, match=r"^/proc/loopdiag: cannot be written: .*--out"):
        Store.create(Path("/proc/loopdiag"), begun())


@contextmanager
def no_room(size: int) -> Iterator[None]:
    """Files can grow to `size` bytes only; Python ignores the signal and gets the error."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_where_there_is_no_room_nothing_saved_is_lost(tmp_path: Path) -> None:
    # A trial that finds no room is one clear line; the trials and the run.json before it stay whole, and no draft is left.
    made = Store.create(tmp_path, begun())
    made.save_trial(result(1))
    with no_room(64):
        with pytest.raises(LoopdiagError, match=r"trial\.json: cannot be written: .*saved before are kept"):
            made.save_trial(result(2))
        with pytest.raises(LoopdiagError, match=r"run\.json: cannot be written"):
            made.finish(begun())
    assert store.load(tmp_path).trials == (result(1),)
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    # On a file system of 64 KiB the store fills up, says so, and what it had saved can be read.
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], capture_output=True, check=False).returncode
    ):
        pytest.skip("mounting a small file system needs root")
    try:
        made = Store.create(tmp_path / "run", begun())
        saved = 0
        with pytest.raises(LoopdiagError, match="No space left on device"):  # noqa: PT012 - which one finds no room is the disk's to say
            for number in range(1, 100):
                made.save_trial(result(number))
                saved = number
        assert store.load(tmp_path / "run").trials == tuple(result(number) for number in range(1, saved + 1))
        assert saved > 2
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_default_folders_are_named_by_scenario_and_time_and_never_taken(tmp_path: Path) -> None:
    # The name is the scenario's and the UTC time's; a second run of the same second gets a number.
    first = store.default_folder("poke api/1", NOW, tmp_path)
    assert first == tmp_path / "poke-api-1-20260115T093000Z"
    first.mkdir()
    assert store.default_folder("poke api/1", NOW, tmp_path).name == "poke-api-1-20260115T093000Z-2"
    assert store.default_folder("x", NOW).parts[0] == "reports"
    assert store.default_folder("..", NOW, tmp_path).parent == tmp_path


@pytest.mark.parametrize("rows", [0, 1, 7, BLOCK_ROWS - 1, BLOCK_ROWS, BLOCK_ROWS + 5])
def test_tables_are_cut_to_what_was_opened(tmp_path: Path, rows: int) -> None:
    # A recorder's table of full capacity becomes a small file with the same rows under the same numbers, row 0 the sink.
    folder = Store.create(tmp_path / "run", begun()).trial_folder("0001")
    table = Table(str(folder), "connections")
    for number in range(1, rows + 1):
        table.words[table.open() + 2] = number
    path = folder / "connections.npy"
    capacity = path.stat().st_size
    before = store.columns(tmp_path / "run", "0001")["connections"]["request"].tolist()
    columns.cut(folder)
    after = store.columns(tmp_path / "run", "0001")["connections"]
    assert before == after["request"].tolist() == list(range(rows + 1))
    assert isinstance(after, np.memmap)
    assert path.stat().st_size == table.base + (rows + 1) * table.row_words * 4 < capacity
    columns.cut(folder)
    assert np.array_equal(np.load(path), after)


def test_missing_tables_are_absent_and_damaged_ones_told(tmp_path: Path) -> None:
    # A trial without tables has none; a table that is no table is named; cutting leaves it alone.
    made = Store.create(tmp_path, begun())
    folder = made.trial_folder("0001")
    assert store.columns(tmp_path, "0001") == {}
    np.save(folder / "server_requests.npy", np.arange(3))
    assert list(store.columns(tmp_path, "0001")) == ["server_requests"]
    for content in (b"no table", b""):  # the latter as a full disk leaves it
        (folder / "attempts.npy").write_bytes(content)
        columns.cut(folder)
        assert columns.opened(folder / "attempts.npy") == 0
        with pytest.raises(InputError, match=r"attempts\.npy: damaged"):
            store.columns(tmp_path, "0001")


def test_files_are_written_whole(tmp_path: Path) -> None:
    # Text and bytes are written at once; what stood there before stays where there is no room.
    store.write(tmp_path / "a", "é")
    store.write(tmp_path / "b", b"1")
    with no_room(8), pytest.raises(OSError, match="too large"):
        store.write(tmp_path / "b", b"x" * 100)
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()) == ("é".encode(), b"1")
