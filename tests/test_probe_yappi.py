"""yappi inside the worker: calls are counted as often as they were made, and whatever goes wrong costs the counts only."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from lab_parts import scenario, serving, spec
from test_trial import job

from loopdiag.errors import InputError
from loopdiag.lab import store
from loopdiag.lab.probes import Notes, yappi
from loopdiag.lab.probes.yappi import CALLS, Yappi
from loopdiag.lab.trial import Bench
from loopdiag.model.profile import Calls
from loopdiag.model.scenario import Arm, Target

ARMS = [Arm(client="aiohttp"), Arm(client="httpx", loop="uvloop")]
PROGRAM = """
import asyncio, os, sys
from pathlib import Path
from loopdiag.lab.probes.yappi import Yappi
async def asked(k):
    for _ in range(3):
        await asyncio.sleep(0)
        step(k)
def step(k):
    return oct(k)
async def main():
    await asyncio.gather(*[asked(k) for k in range(20)])
running = Yappi().start(None, os.getpid(), Path(sys.argv[1]))
running.settle(1)
asyncio.run(main())
assert running.stop() is running.stop()
running.kill()
"""


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)
def test_a_trial_counts_its_calls(tmp_path: Path, arm: Arm) -> None:
    # One call of the client's fetch a request, on both loops; files without a path of this machine; the trial is as usable as any.
    place = tmp_path / "trials" / "0001"
    place.mkdir(parents=True)
    with serving() as server:
        made = scenario(arm, target=Target(path="/x/{i}"))
        result = Bench(None).run(job(place, made, spec=spec(arm, 8, tier="calls"), url=server.url), place)
    assert (result.status, result.not_observed.get("calls")) == ("ok", None)
    found = store.calls(tmp_path, "0001")
    fetches = [one for one in found if one.file == f"loopdiag/lab/clients/{arm.client}.py" and one.function.endswith(".fetch")]
    assert [one.calls for one in fetches] == [8]
    assert not [one.file for one in found if one.file.startswith("/")]
    assert [one.calls for one in found] == sorted((one.calls for one in found), reverse=True)


def test_a_coroutine_counts_once_however_often_it_waits(tmp_path: Path) -> None:
    # Twenty coroutines that wait three times each are twenty calls; what they call sixty times is sixty; our own frames are not in the list.
    subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], check=True, timeout=60)
    counts = {one.function: one for one in yappi.read(tmp_path)}
    assert (counts["asked"].calls, counts["step"].calls, counts["oct"].calls) == (20, 60, 60)
    assert (counts["oct"].file, counts["oct"].line) == ("", None)
    assert counts["step"].line == PROGRAM.splitlines().index("def step(k):") + 1
    assert 0 <= counts["step"].self_ns <= counts["step"].total_ns
    assert "Counting.stop" not in counts


def test_yappi_counts_in_its_own_process_only(tmp_path: Path) -> None:
    # Another process cannot be counted from here; that is said.
    running = Yappi().start(job(tmp_path), os.getppid(), tmp_path)
    running.settle(1)
    running.kill()
    assert running.stop() == Notes(not_observed={"calls": "yappi counts in its own process only"})


def test_without_yappi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A library that cannot be imported costs the counts.
    monkeypatch.setitem(sys.modules, "yappi", None)
    notes = Yappi().start(job(tmp_path), os.getpid(), tmp_path).stop()
    assert notes.not_observed["calls"].startswith("yappi cannot be used: ")
    monkeypatch.setattr(yappi, "find_spec", lambda _: None)
    assert Yappi.available() == "yappi is not installed"


def test_counts_that_cannot_be_kept(tmp_path: Path) -> None:
    # A trial whose folder takes no file of counts is measured all the same, and says so.
    (tmp_path / CALLS).mkdir()
    result = Bench(None).run(job(tmp_path, spec=spec(tier="calls")), tmp_path)
    assert result.status == "ok"
    assert result.not_observed["calls"] == "yappi's counts cannot be kept: Is a directory"


def test_what_is_on_disk_is_read_as_it_was(tmp_path: Path) -> None:
    # Nothing for a trial without counts, the values as written, one line for a damaged file.
    place = tmp_path / "trials" / "0001"
    place.mkdir(parents=True)
    assert store.calls(tmp_path, "0001") == ()
    one = Calls(function="f", file="m.py", line=3, calls=7, self_ns=1, total_ns=2)
    (place / CALLS).write_bytes(msgspec.json.encode([one]))
    assert store.calls(tmp_path, "0001") == (one,)
    (place / CALLS).write_text("[{")
    with pytest.raises(InputError, match=r"calls\.json: damaged"):
        store.calls(tmp_path, "0001")
