"""A recording and its tables → the diagnosis: what timelines, probes and instruments say of each arm."""

from typing import Any

import msgspec
import pytest
from lab_parts import ENVIRONMENT, scenario
from raw_tables import table, trial

from loopdiag.analysis.diagnose import diagnose
from loopdiag.model.diagnosis import Diagnosis
from loopdiag.model.recording import Recording, TrialResult
from loopdiag.model.scenario import Arm

ARM = Arm(client="aiohttp")
LIFE = {
    "t0": 1, "request": 1, "created": 0.5, "first_run": 1, "enqueued": 2, "assigned": 5, "resumed": 6, "send_start": 7, "send_end": 8,
    "rx_kernel": 60, "first_byte": 72, "headers": 73, "last_byte": 80, "body": 82, "done": 86,
}  # fmt: skip


def ended(number: int, tier: str, n: int, **more: Any) -> TrialResult:
    """A trial of the arm that ended well."""
    made = trial(100, **({"cpu_s": 0.05} | more))
    spec = msgspec.structs.replace(made.spec, id=str(number), arm=ARM, n=n, tier=tier)
    return msgspec.structs.replace(made, spec=spec)


def diagnosis(*trials: TrialResult, **tables: Any) -> Diagnosis:
    """What is said of these trials; every timeline trial left the same tables."""
    recording = Recording(
        loopdiag="0", started="2026-01-01T00:00:00Z", scenario=scenario(ARM), environment=ENVIRONMENT, plan_seed=1, trials=trials
    )
    return diagnose(recording, lambda _: tables).diagnosis


def test_lag_and_residual_are_those_of_the_largest_n() -> None:
    # smaller N say nothing; of several trials the worst residual, and the medians of the loop's account
    loop = [{"t0": 10, "poll": 40, "run": 20, "thread": 1}, {"t0": 70, "poll": 1, "run": 29, "ready": 1, "events": 1, "thread": 1}]
    tables = {"attempts": table("attempts", [LIFE]), "iterations": table("iterations", loop)}
    (arm,) = diagnosis(ended(1, "timeline", 10), ended(2, "timeline", 100), ended(3, "timeline", 100), **tables).arms
    assert arm.lag is not None
    assert (arm.lag.n, arm.lag.blocked) == (100, 2)
    assert arm.lag.running_share == pytest.approx(0.49, rel=0.01)
    assert arm.lag.longest_ms == pytest.approx(29, rel=0.01)
    assert arm.lag.expected_wait_ms == pytest.approx((20**2 + 29**2) / 200, rel=0.01)
    assert arm.lag.kernel_ms == pytest.approx(12, rel=0.01)
    assert arm.lag.first_byte_low_ms == pytest.approx(1, rel=0.01)
    assert arm.lag.first_byte_high_ms == pytest.approx(22, rel=0.01)
    assert (arm.unattributed_share, arm.unattributed_p95) == (0, 0)


def test_what_was_not_observed_stays_none() -> None:
    # without iterations and kernel stamps there is no lag, and the reasons are listed
    found = diagnosis(ended(1, "timeline", 10, not_observed={"rx_kernel": "uvloop reads by itself"}))
    assert found.arms[0].lag is None
    assert found.arms[0].unattributed_share is None
    assert "aiohttp/asyncio: rx_kernel: uvloop reads by itself" in found.not_observed
    assert any(line.startswith("aiohttp/asyncio: iterations: ") for line in found.not_observed)


def test_the_instruments_say_what_they_cost() -> None:
    # their own account over the client CPU of the same trials, beside the measured ratio
    trials = [ended(1, "bare", 10), ended(2, "timeline", 10, costs_ns={"a": 300_000, "b": 200_000}), ended(3, "timeline", 10, cpu_s=1.0)]
    (overhead,) = diagnosis(*trials).overhead
    assert overhead.own_estimate == pytest.approx(0.0005 / 0.05)
    assert overhead.ratio is not None
    assert diagnosis(ended(1, "bare", 10)).overhead[0].own_estimate is None


def test_a_tier_says_what_it_does_to_the_time() -> None:
    # T of instrumented trials over that of bare ones, paired by N, beside the CPU's ratio
    trials = [
        msgspec.structs.replace(ended(k, tier, n), total_s=n * by)
        for k, (tier, n, by) in enumerate([("bare", 10, 1.0), ("bare", 20, 1.0), ("timeline", 10, 1.1), ("timeline", 20, 1.2)])
    ]
    (overhead,) = diagnosis(*trials).overhead
    assert overhead.wall_ratio == pytest.approx((1.1 * 1.2) ** 0.5)
    assert overhead.wall_low is not None
    assert overhead.wall_low < 1.1
    assert overhead.ratio == pytest.approx(1.0)
    assert diagnosis(trials[0]).overhead[0].wall_ratio is None


def test_warnings_of_trials_reach_the_diagnosis_once() -> None:
    # what an instrument warned of in several trials is one line with their number
    trials = [ended(number, "timeline", 10, warnings=("a probe failed",)) for number in (1, 2)]
    assert "aiohttp/asyncio: a probe failed (in 2 trials)" in diagnosis(*trials).warnings
