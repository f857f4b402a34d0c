"""A run's profiles → flame graphs, top rows and calls of each arm, in the document."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from lab_parts import ENVIRONMENT, scenario
from planted_profiles import NS, linear, sampled
from raw_tables import trial

from loopdiag.analysis.diagnose import diagnose
from loopdiag.analysis.profiles import profile_flames
from loopdiag.model.document import Document
from loopdiag.model.profile import Calls, Profile
from loopdiag.model.recording import Recording, TrialResult
from loopdiag.model.scenario import Arm

A, B, OTHER = Arm(client="aiohttp"), Arm(client="aiohttp", loop="uvloop"), Arm(client="httpx", loop="uvloop")


def ended(arm: Arm, tier: str, n: int, repetition: int = 0, **more: Any) -> TrialResult:
    """A trial that ended well; its id says what it is."""
    made = trial(100)
    spec = msgspec.structs.replace(made.spec, id=f"{arm.name}-{tier}-{n}-{repetition}", arm=arm, n=n, tier=tier, repetition=repetition)
    return msgspec.structs.replace(made, spec=spec, **more)


def run(*arms: Arm, ns: tuple[int, ...] = NS, **more: Any) -> tuple[Recording, dict[str, Profile]]:
    """A recording of a program with 300 µs of `burn` a request on every arm, and trial id → profile."""
    trials, profiles = [], {}
    for seed, arm in enumerate(arms):
        seen, bare = sampled({("run", "burn"): linear(300), ("run", "rest"): linear(200)}, seed=seed, ns=ns, trials=2)
        trials += [ended(arm, "bare", n, k, cpu_s=cpu_s) for n, all_s in bare.items() for k, cpu_s in enumerate(all_s)]
        for each in seen:
            ran = ended(arm, "profile", each.n, each.repetition, **({"cpu_s": each.total_ns / 1e9} | more))
            trials.append(ran)
            profiles[ran.spec.id] = msgspec.structs.replace(each, arm=arm.name, trial=ran.spec.id, cpu_ns=each.total_ns)
    recording = Recording(
        loopdiag="0", started="2026-01-01T00:00:00Z", scenario=scenario(*arms), environment=ENVIRONMENT, plan_seed=1, trials=tuple(trials)
    )
    return recording, profiles


def document(recording: Recording, profiles: Callable[[str], Profile | None], **more: Any) -> Document:
    return diagnose(recording, lambda _: {}, profiles=profiles, **more)


def test_an_arm_gets_its_graphs_and_rows() -> None:
    # what grows, one trial at the largest N, the same over time, and the largest N less the smallest
    recording, profiles = run(A)
    found = document(recording, profiles.get)
    assert [(flame.kind, flame.n) for flame in found.flames] == [("slope", None), ("trial", 800), ("time", 800), ("difference", 800)]
    assert found.flames[0].value[0] == pytest.approx(500, rel=0.05)
    assert found.flames[3].title == "aiohttp/asyncio N = 50 → aiohttp/asyncio N = 800"
    assert {row.function for row in found.top[A.name]} == {"burn", "rest"}
    assert len(found.profiles) == 2 * len(NS)


def test_arms_that_share_client_or_loop_are_compared() -> None:
    # a difference between arms that differ in both says nothing; at the largest N that both have
    recording, profiles = run(A, B, OTHER)
    del profiles[f"{B.name}-profile-800-0"], profiles[f"{B.name}-profile-800-1"]
    found = [flame.title for flame in document(recording, profiles.get).flames if flame.kind == "difference"]
    assert found[3:] == ["aiohttp/asyncio N = 400 → aiohttp/uvloop N = 400", "aiohttp/uvloop N = 400 → httpx/uvloop N = 400"]


def test_two_values_of_n_give_no_slopes_and_say_so() -> None:
    # the trial's graph stays, and says why there is no other
    recording, profiles = run(A, ns=(100, 800))
    found = document(recording, profiles.get)
    assert [flame.kind for flame in found.flames] == ["trial", "time", "difference"]
    assert any("needs profiles at 3 or more values of N" in note for note in found.flames[0].notes)
    assert not found.top


@pytest.mark.parametrize("why", [{"status": "failed"}, {"errors": {"reset": 1}}])
def test_failed_trials_are_not_shown(why: dict[str, Any]) -> None:
    # a profile of a trial in which requests failed is of other work
    recording, profiles = run(A, **why)
    assert not document(recording, profiles.get).flames


def test_without_profiles_the_document_has_none() -> None:
    # profiles that were not looked for, left nothing, or hold no sample give no graph
    recording, profiles = run(A)
    empty = {name: msgspec.structs.replace(each, stack=(), at_ns=(), weight_ns=()) for name, each in profiles.items()}
    for found in (diagnose(recording, lambda _: {}), document(recording, {}.get), document(recording, empty.get)):
        assert (found.profiles, found.flames, found.top, found.calls) == ((), (), {}, {})
    assert profile_flames(recording, []) == ((), {})


def test_calls_are_those_of_the_largest_n() -> None:
    # of several counted trials of an arm the largest speaks
    counted = Calls(function="f", file="app.py", line=1, calls=8, self_ns=1, total_ns=1)
    recording, _ = run(A)
    trials = (*recording.trials, ended(A, "calls", 100), ended(A, "calls", 50), ended(B, "calls", 50))
    read = {f"{A.name}-calls-100-0": (counted,), f"{A.name}-calls-50-0": (msgspec.structs.replace(counted, calls=4),)}
    found = document(msgspec.structs.replace(recording, trials=trials), {}.get, calls=lambda name: read.get(name, ()))
    assert found.calls == {A.name: (counted,)}


def test_the_profilers_cost_and_failures_are_stated() -> None:
    # the client CPU of profiled trials over that of bare ones, paired by N; why a trial left no profile
    recording, profiles = run(A, not_observed={"profile": "py-spy may not look", "run_queue_s": "no schedstat"})
    diagnosis = document(recording, profiles.get).diagnosis
    (cost,) = [row for row in diagnosis.overhead if row.tier == "profile"]
    assert cost.ratio == pytest.approx(1.5, rel=0.1)  # the planted profiler slows the client so much
    assert "aiohttp/asyncio: profile: py-spy may not look" in diagnosis.not_observed
    assert not any("run_queue_s" in line for line in diagnosis.not_observed)
