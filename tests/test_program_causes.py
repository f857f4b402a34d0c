"""Causes that live in a user's own program: found where they are planted, with the program's line, and nowhere else."""

from dataclasses import replace as narrowed
from functools import cache

import pytest
from program_parts import semaphored
from program_truths import NS, PROGRAMS, SCENARIO, connecting, evidence, gathered, locked_beside

from loopdiag.analysis.evidence import Evidence
from loopdiag.causes import CAUSES
from loopdiag.causes.judging import Judgement, judge
from loopdiag.causes.programs import bound
from loopdiag.causes.special import steep_user
from loopdiag.model.attribution import Attribution
from loopdiag.model.scenario import Knobs

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
    "port_or_fd_exhaustion": Knobs(pool_limit=100, shared_session=True),
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


def _blind(line: object) -> object:
    from msgspec.structs import replace

    return replace(line, activity=None)  # type: ignore[type-var] # any struct may be replaced


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
