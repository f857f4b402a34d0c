"""A million recorded requests: the fake client on virtual time in a real timeline trial, what it leaves on disk and takes in memory, and that it is sound."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from lab_parts import FAKE, scenario, spec

from loopdiag.analysis import timelines
from loopdiag.analysis.invariants import check
from loopdiag.analysis.timelines import resolve
from loopdiag.lab import columns
from loopdiag.lab.job import Job
from loopdiag.lab.measuring import Urls
from loopdiag.lab.trial import Bench
from loopdiag.model.recording import TrialResult
from loopdiag.model.scenario import Sweep, Target, Workload

N = 1_000_000
DISK_BYTES = 110  # a request, at most
GROWTH_KIB = 150 * 1024  # above a trial of a few requests, at most

pytestmark = pytest.mark.slow


def observe(folder: Path, n: int) -> TrialResult:
    """A timeline trial of `n` requests, a thousand in flight."""
    folder.mkdir()
    made = scenario(target=Target(path="/item/{i}"), workload=Workload(concurrency=1000), sweep=Sweep(trial_timeout_s=280))
    return Bench(None).run(Job(scenario=made, spec=spec(FAKE, n, tier="timeline"), url="fake:", folder=str(folder)), folder)


@pytest.fixture(scope="module")
def million(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, TrialResult]]:
    """The trial's folder, and its result."""
    folder = tmp_path_factory.mktemp("million") / "trial"
    yield folder, observe(folder, N)
    shutil.rmtree(folder)


def test_a_million_requests_take_little_room(million: tuple[Path, TrialResult], tmp_path: Path) -> None:
    # every request is recorded, in a bounded number of bytes on disk; memory stays flat
    folder, result = million
    assert (result.status, result.succeeded, result.lost) == ("ok", N, {})
    assert sum(path.stat().st_size for path in folder.iterdir()) <= DISK_BYTES * N
    few = observe(tmp_path / "few", 100)
    assert result.rss_peak_kib is not None
    assert few.rss_peak_kib is not None
    assert result.rss_peak_kib - few.rss_peak_kib <= GROWTH_KIB


def test_a_million_requests_are_sound(million: tuple[Path, TrialResult]) -> None:
    # read back: each request once, all of its life, and no invariant broken
    folder, result = million
    tables = columns.load(folder)
    assert result.t0_ns is not None
    rows = tables["attempts"][1:]
    assert np.array_equal(np.sort(rows["request"]), np.arange(1, N + 1))
    assert np.all(rows["done"] != 0)
    assert np.all(rows["status"] == 200)
    assert check(tables, result.t0_ns) == ()


def test_a_million_requests_make_a_timeline_of_bounded_size(million: tuple[Path, TrialResult]) -> None:
    # objects are made of evenly chosen requests only; what is left out is said, and the residual is that of all
    folder, result = million
    line = resolve(columns.load(folder), result)
    assert len(line.attempts) <= timelines.MOST
    assert len(line.attempts) + line.left_out["attempts"] == N
    assert line.unattributed_p95 == 0
    assert line.faults == ()


def test_addresses_are_those_of_a_list() -> None:
    # made when asked for, and otherwise as a list of them would be
    lazy, listed = Urls("http://h", "/{i}/x/{i}", 5), [f"http://h/{i}/x/{i}" for i in range(1, 6)]
    assert list(lazy) == listed
    assert (len(lazy), lazy[-1], lazy[1:4], lazy[::-2]) == (5, listed[-1], listed[1:4], listed[::-2])
    assert list(Urls("http://h", "/same", 2)) == ["http://h/same"] * 2
    with pytest.raises(IndexError):
        lazy[5]
