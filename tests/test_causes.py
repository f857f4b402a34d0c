"""Every registered cause: its page, its claim, its intervention, and the confusion matrix over the registry."""

from collections.abc import Callable
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest
from evidence_parts import ALSO_TRUE, HEALTHY, NOT_FIRST, PLANTED, Truth, evidence, scenario
from program_truths import PROGRAMS

from loopdiag.analysis.evidence import Evidence
from loopdiag.causes import CAUSES
from loopdiag.causes.judging import Judgement, judge
from loopdiag.causes.pages import PARTS, markdown, page, title
from loopdiag.lab.scenario_faults import scenario_faults
from loopdiag.model.law import NotEnough
from loopdiag.parts import parts

PROJECT = Path(__file__).parent.parent
NAMES = [name for name in PLANTED if name != "none"]


@cache
def planted(name: str) -> Evidence:
    return evidence(PLANTED[name])


@cache
def judged(name: str) -> Judgement:
    return judge(planted(name))


def test_each_cause_is_planted() -> None:
    # no cause is registered without a truth that it must find, in a scenario or in a program, and the registry's names are the causes' own
    assert set(PLANTED) | set(PROGRAMS) == set(CAUSES)
    assert [CAUSES[name].name for name in CAUSES] == list(CAUSES)


@pytest.mark.parametrize("name", list(CAUSES))
def test_page_is_whole(name: str) -> None:
    # the docstring of each cause has a title and every part
    of = page(CAUSES[name])
    assert of.title
    assert "\n" not in of.title
    assert all(getattr(of, part.lower()) for part in PARTS)
    assert title(name) == of.title


def test_causes_are_listed() -> None:
    # `loopdiag list causes` names every cause, all of them available
    assert dict(parts("causes")) == dict.fromkeys(CAUSES)


def test_docs_are_in_step(generated: Callable[[Path, str], None]) -> None:
    # docs/causes.md is made of the pages
    generated(PROJECT / "docs/causes.md", markdown(CAUSES[name] for name in CAUSES))


@pytest.mark.parametrize("name", list(CAUSES))
def test_needs_are_parts_of_the_evidence(name: str) -> None:
    # a cause asks only for evidence that there is a name for
    assert CAUSES[name].needs <= {field.name for field in fields(Evidence)}


def test_clean_evidence_is_healthy() -> None:
    # where nothing grows, every cause is silent but the one that says so
    assert [each.cause for each in judge(evidence(HEALTHY)).found] == ["none"]


@pytest.mark.parametrize("name", NAMES)
def test_finds_what_is_planted(name: str) -> None:
    # each cause is named first where it was planted, with an interval that holds at least half of the slope
    found = judged(name).found
    assert name in [each.cause for each in found], judged(name)
    assert name in NOT_FIRST or found[0].cause == name
    mine = next(each for each in found if each.cause == name)
    assert mine.share.low is not None
    assert mine.share.high is not None
    assert mine.share.low <= mine.share.value <= mine.share.high <= 1
    assert mine.share.value >= 0.5
    assert mine.slope_ms.value == pytest.approx(mine.share.value * planted(name).slope.value)


@pytest.mark.parametrize("name", NAMES)
def test_names_nothing_else(name: str) -> None:
    # no other cause is named but those that are true there, too
    others = {each.cause for each in judged(name).found} - {name}
    assert others <= ALSO_TRUE.get(name, set()), judged(name).found


@pytest.mark.parametrize("name", NAMES)
def test_no_cause_breaks(name: str) -> None:
    # hand-made evidence is whole: no cause raises over it
    assert not judged(name).broken


@pytest.mark.parametrize("name", NAMES)
def test_claim_rests_on_figures(name: str) -> None:
    # a claim shows two figures at least, six at most, each with its unit, and one line of remedy
    mine = next(each for each in judged(name).found if each.cause == name)
    assert 2 <= len(mine.evidence) <= 6
    assert all(figure.what and figure.unit for figure in mine.evidence)
    assert mine.remedy
    assert "\n" not in mine.remedy


@pytest.mark.parametrize("name", NAMES)
def test_intervention_is_a_valid_scenario(name: str) -> None:
    # the changed scenario is one that could have been written by hand, differs, and says how; the original is left alone
    of = planted(name)
    before = of.scenario
    assert not scenario_faults(before, set()), "the plant itself"
    changed = CAUSES[name].intervene(before, of)
    assert changed is not None
    assert changed.scenario != before
    assert changed.changes
    assert all(" → " in line for line in changed.changes)
    assert not scenario_faults(changed.scenario, set())
    assert before == PLANTED[name].scenario


@pytest.mark.parametrize("name", NAMES)
def test_predicts_its_intervention(name: str) -> None:
    # what is predicted is a smaller slope, with an interval
    mine = next(each for each in judged(name).found if each.cause == name)
    assert mine.predicted is not None
    assert mine.predicted.value < planted(name).slope.value
    assert mine.predicted.low is not None
    assert mine.predicted.high is not None
    assert mine.predicted.low <= mine.predicted.value <= mine.predicted.high


@pytest.mark.parametrize("name", NAMES)
def test_live_server_is_not_changed(name: str) -> None:
    # nobody else's server is changed: an intervention on a live target touches the client alone
    live = scenario("aiohttp", target__url="https://example.org")
    changed = CAUSES[name].intervene(live, planted(name))
    assert changed is None or changed.scenario.target == live.target


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", ["machine", "class_cpu", "timelines", "occupancy", "ledger", "bare", "top"])
def test_survives_missing_evidence(name: str, part: str) -> None:
    # without a part of the evidence a cause answers less, and never raises
    from dataclasses import replace

    whole = planted(name)
    lacking = replace(whole, **{part: None if part in {"machine", "ledger"} else type(getattr(whole, part))()})
    answer = judge(lacking)
    assert not answer.broken


def test_ledger_stands_in_for_the_replay() -> None:
    # without a machine a limit's share is that of the waits that it makes follow one another, with a wide interval
    truth = PLANTED["client_pool_limit"]
    lacking = Truth(
        machine=truth.machine, scenario=truth.scenario, phases=truth.phases, fitted=False, accounts={"server": 0.9, "loop/other": 0.1}
    )
    answer = CAUSES["client_pool_limit"].attribute(evidence(lacking))
    assert answer is not None
    assert not isinstance(answer, NotEnough)
    assert answer.share.value == pytest.approx(0.9)
    assert answer.share.low is not None
    assert answer.share.low < 0.7
