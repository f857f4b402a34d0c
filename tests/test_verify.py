"""Verification: what is tried in which order, what stays, when it ends, and that the folder alone tells it all again."""

from pathlib import Path
from typing import Any

import pytest
from lab_parts import FAKE
from msgspec.structs import replace
from verify_parts import NS, Planted, Time, Truth, evidence, less, of_cpu, points_of, recorded, start, verified

from loopdiag.analysis.slope import slope
from loopdiag.errors import InputError
from loopdiag.lab.campaign import World
from loopdiag.lab.targets import Targets
from loopdiag.lab.watching import Silent
from loopdiag.model.attribution import Attribution
from loopdiag.model.diagnosis import ArmDiagnosis, CauseFound, Point
from loopdiag.model.law import Estimate, Law
from loopdiag.model.scenario import Arm, Live, Pool, Scenario, Target, Workload
from loopdiag.verify import record
from loopdiag.verify.bench import Bench, costs, heavier, values
from loopdiag.verify.told import times_less, toml_diff, with_verdicts


def told(folder: Path, made: Scenario, causes: list[Planted], *, truth: Truth = of_cpu) -> ArmDiagnosis:
    """The arm with its verdicts, read from the folder."""
    points = points_of(truth(made), NS, 4)
    seen = evidence(made, points)
    claims = [claim for cause in causes if isinstance(claim := cause.attribute(seen), Attribution)]
    arm = ArmDiagnosis(
        arm=FAKE.name,
        client="fake",
        loop="virtual",
        versions={},
        points=tuple(Point(n=n, total_s=tuple(t)) for n, t in points.items()),
        law=Law(form="a + b*N"),
        slope_ms=slope(points),
    )
    return with_verdicts(arm, sorted(claims, key=lambda claim: -claim.share.value), made, record.load(folder), folder)


def by_name(arm: ArmDiagnosis) -> dict[str, CauseFound]:
    """Cause by name."""
    return {cause.cause: cause for cause in arm.causes}


def test_the_largest_is_tried_first_and_what_helps_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # two real causes: the second is tried on top of the first; together they are the prescription, with the law that it measured
    causes = [Planted("small", 0.3, less(0.7)), Planted("large", 0.6, less(0.4))]
    verified(tmp_path, start(), causes, monkeypatch=monkeypatch)
    tried = record.load(tmp_path)
    assert tried is not None
    assert [(attempt.cause, attempt.upon) for attempt in tried.attempts] == [("large", ()), ("small", ("large",))]
    arm = told(tmp_path, start(), causes)
    found = by_name(arm)
    assert {cause.verdict for cause in arm.causes} == {"CONFIRMED"}
    large, small = found["large"], found["small"]
    assert large.base is not None
    assert large.effect is not None
    assert large.predicted is not None
    assert (large.base.value, large.effect.value) == (pytest.approx(2.0, rel=0.05), pytest.approx(0.8, rel=0.05))
    assert large.predicted.value == pytest.approx(0.4 * large.base.value)
    assert "with the change for large in place" in small.why
    assert arm.prescription is not None
    assert arm.prescription.changes == ("large: removed", "small: removed")
    assert arm.prescription.slope_ms.value == pytest.approx(0.56, rel=0.05)
    assert arm.prescription.speedup == pytest.approx(2 / 0.56, rel=0.05)
    assert arm.prescription.toml_diff == " [fake]\n-cpu_us = 2000\n+cpu_us = 560"


def test_a_cause_that_does_nothing_is_refuted_and_leaves_no_prescription(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # the change changes nothing: struck, with the reason, and nothing is prescribed
    causes = [Planted("boaster", 0.8, less(1.0))]
    verified(tmp_path, start(), causes, monkeypatch=monkeypatch)
    arm = told(tmp_path, start(), causes)
    (cause,) = arm.causes
    assert cause.verdict == "REFUTED"
    assert "was predicted" in cause.why
    assert arm.prescription is None


def test_what_wakes_up_after_a_refutation_is_tried_again_on_top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # alone the first does nothing, because the second binds; upon the second it helps: confirmed, and both attempts are told
    def truth(made: Scenario) -> float:
        limited = made.workload.concurrency is None
        return 2.0 if limited else (1.0 if made.fake.cpu_us > 1000 else 0.2)

    hidden = Planted("hidden", 0.7, less(0.2))
    opener = Planted("opener", 0.5, lambda made: replace(made, workload=Workload(concurrency=50)))
    verified(tmp_path, start(), [hidden, opener], truth=truth, monkeypatch=monkeypatch)
    tried = record.load(tmp_path)
    assert tried is not None
    assert [(attempt.cause, attempt.upon) for attempt in tried.attempts] == [("hidden", ()), ("opener", ()), ("hidden", ("opener",))]
    arm = told(tmp_path, start(), [hidden, opener], truth=truth)
    assert by_name(arm)["hidden"].verdict == "CONFIRMED"
    assert "alone it was REFUTED" in by_name(arm)["hidden"].why


def test_two_that_only_help_together_are_tried_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # each alone is refuted; both at once make the total fall: confirmed together, told as such
    def truth(made: Scenario) -> float:
        return 0.2 if made.fake.cpu_us < 2000 and made.workload.concurrency else 2.0

    causes = [Planted("one", 0.7, less(0.2)), Planted("two", 0.6, lambda made: replace(made, workload=Workload(concurrency=50)))]
    verified(tmp_path, start(), causes, truth=truth, monkeypatch=monkeypatch)
    arm = told(tmp_path, start(), causes, truth=truth)
    assert {cause.verdict for cause in arm.causes} == {"CONFIRMED"}
    assert "together with the change for two" in by_name(arm)["one"].why
    assert arm.prescription is not None
    assert arm.prescription.changes == ("one: removed", "two: removed")


def test_what_alone_does_nothing_by_prediction_waits_for_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # the replay says that one remedy alone makes it no better: it is not tried alone, but on top of the one that opens the way for it
    class Waiting(Planted):
        def attribute(self, seen: Any) -> Any:
            made = super().attribute(seen)
            alone = seen.scenario.workload.concurrency is None
            return replace(made, predicted=Estimate(value=1.2 * seen.slope.value)) if alone else made

    def truth(made: Scenario) -> float:
        return 2.0 if made.workload.concurrency is None else 1.0 * made.fake.cpu_us / 2000

    waiting = Waiting("waiting", 0.5, less(0.5))
    opener = Planted("opener", 0.45, lambda made: replace(made, workload=Workload(concurrency=50)))
    verified(tmp_path, start(), [waiting, opener], truth=truth, monkeypatch=monkeypatch)
    tried = record.load(tmp_path)
    assert tried is not None
    assert [(attempt.cause, attempt.upon) for attempt in tried.attempts] == [("opener", ()), ("waiting", ("opener",))]
    assert {cause.verdict for cause in told(tmp_path, start(), [waiting, opener], truth=truth).causes} == {"CONFIRMED"}
    alone = [Waiting("waiting", 0.5, less(0.5))]
    _, bench = verified(tmp_path / "alone", start(), alone, truth=truth, monkeypatch=monkeypatch)
    assert bench.ran == []
    assert "alone takes nothing" in told(tmp_path / "alone", start(), alone, truth=truth).causes[0].why


def test_an_experiment_is_confirmed_alone_and_prescribed_by_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # what nobody would ship proves its cause; the next cause is tried without it
    causes = [Planted("server", 0.6, less(0.4), remedy=False), Planted("mine", 0.3, less(0.7))]
    verified(tmp_path, start(), causes, monkeypatch=monkeypatch)
    tried = record.load(tmp_path)
    assert tried is not None
    assert [(attempt.cause, attempt.upon) for attempt in tried.attempts] == [("server", ()), ("mine", ())]
    arm = told(tmp_path, start(), causes)
    assert {cause.verdict for cause in arm.causes} == {"CONFIRMED"}
    assert arm.prescription is not None
    assert arm.prescription.changes == ("mine: removed",)


def test_what_cannot_be_changed_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # no intervention, a broken one, and one whose scenario is wrong: each with its verdict and reason, and none costs the others theirs
    def broken(_made: Scenario) -> Scenario:
        raise ValueError("no such knob")

    causes = [
        Planted("theirs", 0.9, None),
        Planted("broken", 0.8, broken),
        Planted("wrong", 0.7, lambda made: replace(made, arms=(Arm(client="curl"),))),
        Planted("right", 0.5, less(0.5)),
    ]
    verified(tmp_path, start(), causes, monkeypatch=monkeypatch)
    found = by_name(told(tmp_path, start(), causes))
    assert {name: cause.verdict for name, cause in found.items()} == {
        "theirs": "NOT_APPLICABLE",
        "broken": "NOT_TRIED",
        "wrong": "NOT_TRIED",
        "right": "CONFIRMED",
    }
    assert "nothing can be changed from this side" in found["theirs"].why
    assert "ValueError: no such knob" in found["broken"].why
    assert "curl" in found["wrong"].why


def test_what_the_time_does_not_bear_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # with no time nothing is tried; when it runs out on the way, the rest is told as not tried
    none = [Planted("large", 0.6, less(0.4))]
    _, bench = verified(tmp_path / "none", start(), none, monkeypatch=monkeypatch, budget_s=0.5)
    assert bench.ran == []
    (cause,) = told(tmp_path / "none", start(), none).causes
    assert (cause.verdict, "take longer than" in cause.why) == ("NOT_TRIED", True)
    two = [*none, Planted("small", 0.3, less(0.7))]
    _, bench = verified(tmp_path / "two", start(), two, monkeypatch=monkeypatch, budget_s=40, takes_s=39)
    assert len(bench.ran) == 1
    found = by_name(told(tmp_path / "two", start(), two))
    assert (found["large"].verdict, found["small"].verdict) == ("CONFIRMED", "NOT_TRIED")


def test_an_interruption_keeps_the_verdicts_that_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # after the first attempt somebody asks for the end: its verdict stays, the other says why it has none
    causes = [Planted("large", 0.6, less(0.4)), Planted("small", 0.3, less(0.7))]
    made, _ = verified(tmp_path, start(), causes, monkeypatch=monkeypatch, stop_after=1)
    assert made.interrupted
    found = by_name(told(tmp_path, start(), causes))
    assert (found["large"].verdict, found["small"].verdict, found["small"].why) == ("CONFIRMED", "NOT_TRIED", "interrupted")


def test_little_left_to_gain_ends_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # a confirmed change that takes less than 5 % of the slope is the last one
    causes = [Planted("tiny", 0.06, less(0.955)), Planted("next", 0.055, less(0.9))]
    _, bench = verified(tmp_path, start(), causes, monkeypatch=monkeypatch, noise=0.0005)
    assert [attempt.cause for attempt in bench.ran] == ["tiny"]
    assert "too little to gain" in by_name(told(tmp_path, start(), causes))["next"].why


def test_a_noisy_machine_leaves_it_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # where trials scatter by half of themselves, a small claim is neither confirmed nor struck, and stands with its reason
    causes = [Planted("small", 0.2, less(0.8))]
    verified(tmp_path, start(), causes, monkeypatch=monkeypatch, noise=0.5)
    (cause,) = told(tmp_path, start(), causes).causes
    assert cause.verdict == "INCONCLUSIVE"
    assert "too wide" in cause.why


def test_a_limit_that_the_affordable_n_do_not_reach_is_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # a cause that shows no sign at the N that are left to compare is not run, so that it is not struck for what it does not do there
    class Late(Planted):
        def attribute(self, seen: Any) -> Any:
            return super().attribute(seen) if max(seen.points) >= NS[-1] else None

    late = Late("late", 0.6, less(0.4))
    made = start()
    slow = replace(made, fake=replace(made.fake, cpu_us=200_000))  # 16 s at the largest N
    _, bench = verified(tmp_path, slow, [late], monkeypatch=monkeypatch, budget_s=60)
    assert bench.ran == []
    (cause,) = told(tmp_path, slow, [late]).causes
    assert (cause.verdict, "up to N = " in cause.why) == ("NOT_TRIED", True)


def test_the_prescription_is_measured_at_the_other_n_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # compared at three N, the composed scenario then runs at the rest, so that its law stands beside the run's
    made = start()
    causes = [Planted("large", 0.6, less(0.4))]
    verified(tmp_path, replace(made, verify=replace(made.verify, values=3)), causes, monkeypatch=monkeypatch)
    arm = told(tmp_path, made, causes)
    assert arm.prescription is not None
    assert [point.n for point in arm.prescription.points] == list(NS)
    assert len(record.load(tmp_path).sweeps) == 1  # type: ignore[union-attr] # it was just written


def test_a_step_is_confirmed_by_the_total(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # a cause of 40 ms at every N leaves the slope alone: the totals decide, and the sentence says so; no slope stands as its effect
    def quick(made: Scenario) -> Scenario:
        return replace(made, target=replace(made.target, service=replace(made.target.service, mean_ms=10)))

    causes = [Planted("step", 0.01, quick, remedy=False, offset_ms=42)]
    verified(tmp_path, start(), causes, monkeypatch=monkeypatch)
    (cause,) = told(tmp_path, start(), causes).causes
    assert (cause.verdict, cause.effect) == ("CONFIRMED", None)
    assert "the total at N = 80 changed by -" in cause.why
    assert "-42 ms was predicted" in cause.why


#: cause without an intervention, how much of an added ms shows in the slope
DOSED = [("event_loop_saturated", 1.0), ("server_concurrency_limit", 0.1)]


@pytest.mark.parametrize(("name", "share"), DOSED)
def test_what_cannot_be_removed_is_made_longer(name: str, share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # a known time added to the mechanism: the slope that comes with each ms of it is a figure of the cause, which stays NOT APPLICABLE
    def truth(made: Scenario) -> float:
        return made.fake.cpu_us / 1000 + 0.1 * made.target.service.mean_ms

    causes = [Planted(name, 0.6, None)]
    made, _ = verified(tmp_path, start(), causes, truth=truth, monkeypatch=monkeypatch)
    (dose,) = made.doses
    assert len(dose.doses_ms) == 2
    (cause,) = told(tmp_path, start(), causes, truth=truth).causes
    assert cause.verdict == "NOT_APPLICABLE"
    assert cause.evidence[-1].value == pytest.approx(share, rel=0.1)
    assert cause.evidence[-1].what == f"slope that comes with each ms added to {dose.mechanism}"
    assert "of slope per ms" in cause.why


def test_without_verification_causes_say_why(tmp_path: Path) -> None:
    # nothing was run: not tried, and whether that was asked for
    made, causes = start(), [Planted("large", 0.6, less(0.4))]
    recorded(tmp_path, made, points_of(2.0, NS, 2))
    assert told(tmp_path, made, causes).causes[0].why == "its intervention was not run"
    off = replace(made, verify=replace(made.verify, enabled=False))
    (cause,) = told(tmp_path, off, causes).causes
    assert (cause.verdict, "--no-verify" in cause.why) == ("NOT_TRIED", True)


def test_a_damaged_account_is_told(tmp_path: Path) -> None:
    # verify.json that is no such thing: one line with its name; a missing side: no verdict, and the reason
    (tmp_path / "verify").mkdir()
    (tmp_path / "verify" / "verify.json").write_text("{")
    with pytest.raises(InputError, match=r"verify\.json: damaged"):
        record.load(tmp_path)
    attempt = record.Attempt(arm=FAKE.name, cause="large", changes=(), ns=NS, folder="verify/01")
    record.save(tmp_path, record.Verified(attempts=(attempt,)))
    (cause,) = told(tmp_path, start(), [Planted("large", 0.6, less(0.4))]).causes
    assert (cause.verdict, "is not a run's folder" in cause.why) == ("INCONCLUSIVE", True)


def test_n_are_chosen_from_what_the_budget_bears() -> None:
    # spread from the smallest to the largest affordable one; fewer before smaller; none where not even two fit
    points = {10: [0.1], 20: [0.2], 40: [0.4], 80: [0.8], 160: [10.0]}

    def chosen(budget_s: float, wanted: int = 4) -> tuple[int, ...]:
        return values(sorted(points), wanted, costs(points, 0.5, 0.5, budget_s))

    assert chosen(1000) == (10, 20, 80, 160) or chosen(1000) == (10, 40, 80, 160)
    assert chosen(1000, 5) == tuple(points)
    assert chosen(1000, 2) == (10, 160)
    assert chosen(30)[-1] == 80
    assert chosen(3) == ()


#: base, treated → whether the changed one may put more on a live server
HEAVIER = [
    (Pool(), Pool(limit=0), True),
    (Pool(limit=10), Pool(limit=5), False),
    (Pool(keepalive=5), Pool(keepalive=20), True),
    (Pool(), Pool(), False),
]


@pytest.mark.parametrize(("before", "after", "more"), HEAVIER)
def test_a_live_server_bears_no_more_than_before(before: Pool, after: Pool, *, more: bool) -> None:
    # raised limits are more load; lowered ones are not
    assert heavier(start(pool=before), start(pool=after)) is more


def test_live_targets_need_leave(tmp_path: Path) -> None:
    # without --live nothing is sent to somebody's server; with it, no heavier load
    real = start(pool=Pool(limit=5), target=Target(url="http://127.0.0.1:9"), live=Live())
    real = replace(real, arms=(Arm(client="aiohttp"),))
    recording = recorded(tmp_path, real, points_of(2.0, NS, 2))

    def why(treated: Scenario, *, live: bool) -> str | None:
        bench = Bench(tmp_path, recording, 10.0, Targets(World().start), live=live, progress=Silent(), world=World(clock=Time()))
        return bench.why_not(real, treated)

    fewer = replace(real, pool=Pool(limit=2))
    assert "without --live" in (why(fewer, live=False) or "")
    assert why(fewer, live=True) is None
    assert "more load" in (why(replace(real, pool=Pool(limit=50)), live=True) or "")


def test_an_arm_stays_in_its_environment(tmp_path: Path) -> None:
    # an intervention that swaps the client or the loop of an arm with an environment of its own would swap that, too: it is not run
    own = replace(start(), arms=(Arm(client="aiohttp", requirements=("aiohttp==3.8.1",), label="old"),))
    bench = Bench(
        tmp_path, recorded(tmp_path, own, points_of(2.0, NS, 2)), 10.0, Targets(World().start), progress=Silent(), world=World(clock=Time())
    )
    assert bench.why_not(own, replace(own, pool=Pool(limit=2))) is None
    assert (
        bench.why_not(own, replace(own, arms=(Arm(client="aiohttp", loop="uvloop"),)))
        == "it would take the arm out of the environment of its own"
    )


def test_a_difference_names_its_tables() -> None:
    # each changed key stands under its table's header; sweep and verification are no part of it
    before = start(pool=Pool(limit=5))
    after = replace(before, pool=Pool(limit=0, keepalive=100), workload=Workload(concurrency=50), sweep=replace(before.sweep, n=(1, 2)))
    assert toml_diff(before, after) == "+[workload]\n+concurrency = 50\n [pool]\n-limit = 5\n+limit = 0\n+keepalive = 100"


def test_a_slope_that_may_be_nothing_has_a_least_gain() -> None:
    # a ratio over a slope whose interval includes 0 has no upper end
    before = Estimate(value=10.0, low=9.0, high=11.0)
    assert times_less(before, Estimate(value=1.0, low=0.9, high=1.1)) == (
        pytest.approx(10),
        pytest.approx(8.68, rel=0.01),
        pytest.approx(11.5, rel=0.01),
    )
    assert times_less(before, Estimate(value=0.1, low=-0.3, high=0.5)) == (pytest.approx(100), pytest.approx(18), None)
    assert times_less(before, Estimate(value=-0.1, low=-0.5, high=0.3)) == (pytest.approx(30), pytest.approx(30), None)
    assert times_less(Estimate(value=18, low=-2, high=34), Estimate(value=-4, low=-10, high=6)) == (1, 1, None)
