"""Causes that live in a user's own program: found where they are planted, with the program's line, and nowhere else."""

from dataclasses import replace as narrowed
from functools import cache, partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from path_parts import life, line, ns
from program_parts import semaphored
from program_truths import (
    NS,
    OWN,
    PROGRAMS,
    SCENARIO,
    connecting,
    contended,
    evidence,
    exhausted,
    gathered,
    locked_beside,
    paced_and_polled,
    resolving,
    starved,
)

from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.slope import slope
from loopdiag.causes import CAUSES, redirects, tls_handshake_cpu
from loopdiag.causes.claims import Effect
from loopdiag.causes.judging import Judgement, judge
from loopdiag.causes.programs import bound, of_growth
from loopdiag.causes.special import steep_user
from loopdiag.model.attribution import Attribution
from loopdiag.model.ledger import Step
from loopdiag.model.program import Made
from loopdiag.model.recording import TrialResult, TrialSpec
from loopdiag.model.scenario import Knobs, Pool
from loopdiag.model.timeline import Timeline

#: what can be changed inside of a program, by cause
KNOBS = {
    "client_semaphore": Knobs(semaphore=0),
    "lock_serialization": Knobs(lock=False),
    "client_pacing": Knobs(sleep=0.0),
    "polling_interval": Knobs(sleep=0.1),
    "executor_saturated": Knobs(executor=64),
    "blocking_call": Knobs(blocking_sleep=0.0),
    "gil_contention": Knobs(switch_interval_ms=0.1),
    "ssl_context_per_request": Knobs(shared_tls=True),
    "ipv6_fallback": Knobs(ipv4_only=True),
    "listen_backlog_overflow": Knobs(pool_limit=10),
    "port_or_fd_exhaustion": Knobs(pool_limit=100),
}
#: others that are as true there
ALSO_TRUE = {
    "redirects": {"client_semaphore"},
    "ipv6_fallback": {"client_semaphore"},
    "listen_backlog_overflow": {"client_semaphore"},
    "port_or_fd_exhaustion": {"client_semaphore"},
    "thread_hop_overhead": {"event_loop_saturated"},
}


@cache
def planted(name: str) -> Evidence:
    return PROGRAMS[name][0]()


@cache
def judged(name: str) -> Judgement:
    return judge(planted(name))


def mine(name: str) -> Attribution:
    return next(each for each in judged(name).found if each.cause == name)


@pytest.mark.parametrize("name", PROGRAMS)
def test_finds_what_is_planted(name: str) -> None:
    # the cause is named, beyond doubt, and nothing else is but what is as true
    answer = judged(name)
    assert not answer.broken
    found = {each.cause for each in answer.found}
    assert name in found, answer
    assert found - {name} <= ALSO_TRUE.get(name, set())


@pytest.mark.parametrize("name", PROGRAMS)
def test_names_the_line(name: str) -> None:
    # the line of the program stands beside the cause
    place, line = mine(name).place, PROGRAMS[name][1]
    assert (place.line if place is not None else None) == line


@pytest.mark.parametrize("name", PROGRAMS)
def test_claim_rests_on_figures(name: str) -> None:
    # a claim shows two figures at least, six at most, each with its unit, and one line of remedy
    figures = mine(name).evidence
    assert 2 <= len(figures) <= 6
    assert all(figure.what and figure.unit for figure in figures)
    assert mine(name).remedy
    assert "\n" not in mine(name).remedy


@pytest.mark.parametrize("name", PROGRAMS)
def test_changes_the_program_by_its_knob(name: str) -> None:
    # what is changed is the knob that undoes the cause; where there is none nothing is, and nothing is predicted
    changed = CAUSES[name].intervene(SCENARIO, planted(name))
    if name not in KNOBS:
        assert changed is None
        assert mine(name).predicted is None
    else:
        assert changed is not None
        assert changed.scenario.knobs == KNOBS[name]
        assert all("injected: knobs." in line for line in changed.changes)


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("part", ["class_cpu", "timelines", "occupancy", "ledger", "bare", "counters"])
def test_survives_missing_evidence(name: str, part: str) -> None:
    # without a part of the evidence a cause answers less, and never raises
    whole = planted(name)
    lacking = narrowed(whole, **{part: None if part == "ledger" else type(getattr(whole, part))()})
    assert not judge(lacking).broken


@pytest.mark.parametrize("name", PROGRAMS)
def test_survives_a_program_of_which_nothing_was_seen(name: str) -> None:
    # timelines without any activity break nothing, and no line is named
    whole = planted(name)
    blind = narrowed(whole, timelines=tuple(_blind(line) for line in whole.timelines))
    answer = judge(blind)
    assert not answer.broken
    assert all(each.place is None for each in answer.found)


def _blind(line: Timeline) -> Timeline:
    return replace(line, activity=None)


def test_a_lock_beside_the_requests_is_found_by_the_idle_time_of_its_waiters() -> None:
    # requests overlap, and yet a lock lets one task through at a time
    answer = judge(evidence(locked_beside))
    assert answer.found
    assert {"lock_serialization", "client_pacing"} >= {each.cause for each in answer.found}


def test_a_semaphore_that_is_never_short_is_no_bound() -> None:
    # more places than requests: nothing holds anyone back
    of = evidence(lambda n: gathered(n, 5.0 + n).timeline())
    assert bound(of) is None
    assert not {"client_semaphore", "serialized_awaits", "lock_serialization", "batch_barrier"} & {each.cause for each in judge(of).found}


@pytest.mark.parametrize("places", [3, 5])
def test_the_bound_is_the_semaphores_value(places: int) -> None:
    # as many at a time as the semaphore has places, whatever N
    found = bound(evidence(lambda n: semaphored(n, places).timeline()))
    assert found is not None
    assert (found.kind, found.at_once) == ("semaphore", places)
    assert max(NS) > places


@pytest.mark.parametrize(("first", "cause"), [(250.0, "ipv6_fallback"), (1.0, "listen_backlog_overflow")])
def test_an_address_that_fails_under_load_alone_is_not_a_family_that_never_answers(first: float, cause: str) -> None:
    # connections that fall back at the largest N say nothing of the address family, if none does where few connect
    found = judge(evidence(lambda n: connecting(first if n == NS[0] else 250.0, 2, 0)(n))).found
    assert [each.cause for each in found if each.cause in {"ipv6_fallback", "listen_backlog_overflow"}] == [cause]


@pytest.mark.parametrize(("per_sample", "steep"), [(1, False), (40, True)])
def test_few_samples_do_not_make_a_power_of_n(per_sample: int, steep: bool) -> None:
    # CPU that quadruples where N doubles is steep where the profile saw it often, and chance where it saw one sample, then four
    seconds = {n: 0.002 * per_sample * (n / 32) ** 2 for n in (16, 32, 64)}
    assert steep_user(evidence(lambda n: semaphored(n, 3).timeline(), class_cpu={"user": {8: 1e-9, **seconds}})) is steep


# -- changes that do what the cause says


def test_a_limit_per_host_is_lifted_with_the_pools() -> None:
    # None means the library's default in a scenario; a program's knob says it as 0
    made = CAUSES["client_pool_limit"].intervene(replace(SCENARIO, pool=Pool(limit_per_host=4)), planted("serialized_awaits"))
    assert made is not None
    assert made.scenario.knobs == Knobs(pool_limit=0, pool_limit_per_host=0)


def test_a_gap_inside_of_answers_is_the_senders() -> None:
    # the program's own TCP_NODELAY changes nothing of what its server sends: a server that answers at once does
    made = CAUSES["nagle_delayed_ack"].intervene(SCENARIO, planted("serialized_awaits"))
    assert made is not None
    assert (made.scenario.knobs, made.remedy) == (Knobs(null_server=True), False)


def test_threads_that_the_program_waits_for_compute_as_long_with_any_switch_interval() -> None:
    # handing the interpreter over sooner is tried only where nobody waits for what the other threads compute
    waiting = evidence(partial(contended, awaited=True), class_cpu={"task-and-callback": {n: 2e-4 * n for n in NS}})
    assert any(each.cause == "gil_contention" for each in judge(waiting).found)
    assert CAUSES["gil_contention"].intervene(SCENARIO, waiting) is None


def test_one_pool_for_all_sessions_is_tried_where_there_are_many() -> None:
    # a knob that changes nothing, because there is one session only, would leave the other one without a verdict
    few = exhausted()
    sessions = [
        replace(line, activity=replace(line.activity, made=(Made(what="session", place=0, count=line.n),)))
        for line in few.timelines
        if line.activity is not None
    ]
    made = CAUSES["port_or_fd_exhaustion"].intervene(SCENARIO, narrowed(few, timelines=tuple(sessions)))
    assert made is not None
    assert made.scenario.knobs == Knobs(pool_limit=100, shared_session=True)


def test_a_poller_that_looks_ten_times_as_often_is_late_by_a_tenth() -> None:
    # what is predicted is what the intervention leaves, and not what no poller would
    found = mine("polling_interval")
    assert found.predicted is not None
    assert found.predicted.value == pytest.approx(planted("polling_interval").slope.value * (1 - 0.9 * found.share.value))


# -- shares and figures of what a cause holds alone


def test_what_runs_out_is_told_of_the_worst_trial() -> None:
    # three trials with forty errors each are forty in the worst of them, not a hundred and twenty
    spec = TrialSpec(id="t", arm=OWN, n=400, tier="bare", repetition=0, seed=1)
    failed = tuple(TrialResult(spec=spec, status="failed", errors={"OSError: [Errno 24] Too many open files": 400}) for _ in range(3))
    found = CAUSES["port_or_fd_exhaustion"].attribute(narrowed(exhausted(), failed=failed))
    assert isinstance(found, Attribution)
    assert [figure.value for figure in found.evidence[:2]] == [400, 1]


@pytest.mark.parametrize("computing_ms", [0.0, 0.5, 2.0])
def test_what_ran_out_holds_the_time_that_was_waited_for_it(computing_ms: float) -> None:
    # the share is that of the sleeps after which attempts are made again, whatever else grows
    found = exhausted(computing_ms)
    without = {n: [10.0 / 1e3 + computing_ms * n / 1e3 for _ in totals] for n, totals in found.points.items()}
    less = slope(without)
    assert less is not None
    true = 1 - less.value / found.slope.value
    share = next(each.share for each in judge(found).found if each.cause == "port_or_fd_exhaustion")
    assert share.value == pytest.approx(true, abs=0.03)
    assert share.low is not None
    assert share.high is not None
    assert share.low < true <= share.high
    assert share.high - share.low < 0.6


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"counters": {}}, "400 attempts found no descriptor (N = 400)"),
        ({"counters": {"exhausted.descriptors": 95}}, "96 attempts failed before they were sent"),
        ({"timelines": tuple(semaphored(n, 2).timeline() for n in NS)}, "0 attempts failed before they were sent"),
        ({"timelines": (starved(64),)}, "one N"),
    ],
    ids=["the trials failed", "others fail too", "no attempt is seen to fail", "one N"],
)
def test_what_ran_out_has_no_size_where_its_waits_are_not_told(parts: dict[str, object], why: str) -> None:
    # what failed for another reason, or was not seen, leaves the share unknown, and a number would be invented
    spec = TrialSpec(id="t", arm=OWN, n=400, tier="bare", repetition=0, seed=1)
    failed = (TrialResult(spec=spec, status="failed", errors={"OSError: [Errno 24] Too many open files": 400}),)
    answer = judge(narrowed(exhausted(), **{"failed": failed, **parts}))
    assert "port_or_fd_exhaustion" not in {each.cause for each in answer.found}
    assert why in answer.not_enough["port_or_fd_exhaustion"]


def _twice() -> Evidence:
    """Two timelines at each N, of equal totals."""
    whole = planted("client_pacing")
    twice = tuple(replace(line, trial=f"{line.trial}-{k}", repetition=k) for line in whole.timelines for k in (0, 1))
    return narrowed(whole, timelines=twice)


@pytest.mark.parametrize("by", [0.0, 0.01, 0.2, 0.4])
def test_a_share_by_growth_is_as_sure_as_its_trials_agree(by: float) -> None:
    # the interval holds the scatter of repeated timelines, and is never narrower than what would take the time's place
    found = of_growth(_twice(), lambda line: 0.5 * line.total_ns / 1e6 * (1 + by * (2 * line.repetition - 1)), 0.2)
    assert isinstance(found, Effect)
    assert found.share.value == pytest.approx(0.5, abs=0.001)
    assert found.share.low is not None
    half = found.share.value - found.share.low
    assert half >= 0.1 - 1e-9
    assert (half > 0.101) == (by >= 0.2)


def test_a_trial_that_takes_longer_does_not_blur_the_share_of_what_makes_it_longer() -> None:
    # totals of one N that differ tenfold, and the part with them, leave the share as sure as it is
    whole = planted("client_pacing")
    late = tuple(replace(line, trial=f"{line.trial}-late", repetition=1, total_ns=10 * line.total_ns) for line in whole.timelines)
    found = of_growth(narrowed(whole, timelines=(*whole.timelines, *late)), lambda line: 0.5 * line.total_ns / 1e6, 0.0)
    assert isinstance(found, Effect)
    assert (found.share.low, found.share.value, found.share.high) == pytest.approx((0.5, 0.5, 0.5))


def test_a_share_by_growth_has_no_interval_where_two_timelines_tell_it() -> None:
    # a line through two points misses neither, whatever they scatter, so the cause is not named
    whole = planted("client_pacing")
    found = of_growth(narrowed(whole, timelines=whole.timelines[-2:]), lambda line: 0.5 * line.total_ns / 1e6, 0.2)
    assert isinstance(found, Effect)
    assert (found.share.low, found.share.high) == (None, None)
    assert "two timelines" in (found.share.why or "")


def test_a_redirect_holds_what_its_answer_takes_and_not_the_wait_for_a_turn() -> None:
    # the first attempt waits for both; each of the two takes half of the time once it is let go
    rows = [life(1, 0, [("pool", 90), ("wait", 95)], hop=0), life(1, 95, [("wait", 100)], number=1, hop=1)]
    assert redirects._part(line(100, rows)) == pytest.approx(0.5)


def test_other_calls_in_an_executor_are_no_look_ups() -> None:
    # names that take 20 ms once do not make calls of the program's own wait for a thread
    assert {each.cause for each in judge(evidence(resolving)).found} == {"executor_saturated"}


def test_a_pollers_sleeps_are_not_counted_as_pacing_too() -> None:
    # half of the time is the program's own pace, and a poller's is no part of it
    found = {each.cause: each.share.value for each in judge(evidence(paced_and_polled)).found}
    assert found["client_pacing"] == pytest.approx(0.5, abs=0.03)
    assert sum(found.values()) <= 1


@given(
    waits=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 5)), max_size=8),
    shakes=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=8),
)
def test_every_moment_behind_others_handshakes_counts_once(waits: list[tuple[int, int]], shakes: list[tuple[int, int]]) -> None:
    # as a look at each millisecond says
    steps, at = [], 0
    for took, gap in waits:
        steps.append(Step(start_ns=ns(at), end_ns=ns(at + took), account="server"))
        at += took + gap
    attempts = tuple(life(k, start, [("ssl", start + took)]) for k, (start, took) in enumerate(shakes, 1))
    covered = {moment for start, took in shakes for moment in range(start, start + took)}
    waited = {moment for step in steps for moment in range(step.start_ns // ns(1), step.end_ns // ns(1))}
    assert tls_handshake_cpu._behind_ms(line(100, attempts), steps) == pytest.approx(len(covered & waited))


def test_trials_of_one_n_that_differ_break_nothing() -> None:
    # of two trials at the largest N, the last one shows no sign of what the other one does
    paced, leaking = planted("client_pacing"), planted("connection_leak")
    refused = replace(paced.timelines[-1], attempts=tuple(replace(each, status=429) for each in paced.timelines[-1].attempts))
    top = leaking.timelines[-1]
    assert top.activity is not None
    made = replace(top.activity, made=(Made(what="leaked-response", place=0, count=top.n),))
    unread = replace(top, activity=made, attempts=tuple(replace(each, stamps={}) for each in top.attempts))
    assert not judge(narrowed(paced, timelines=(*paced.timelines, refused))).broken
    assert not judge(narrowed(leaking, timelines=(*leaking.timelines[:-1], unread))).broken
