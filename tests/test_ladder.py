"""What each layer adds: the arithmetic of ladders, how they are chosen, and how every report shows them."""

from pathlib import Path

import documents
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from loopdiag.analysis.ladders import ladders
from loopdiag.lab.scenario_file import load_scenario
from loopdiag.model.diagnosis import ArmDiagnosis, LadderFound, Point
from loopdiag.model.document import Document
from loopdiag.model.law import Law
from loopdiag.model.scenario import Arm, Ladder, Scenario
from loopdiag.report import figures, html, rungs, text

SCENARIOS = Path(__file__).parent.parent / "scenarios"
CLIENTS = ("epoll", "protocol", "streams", "aiohttp", "httpx")
BOTH = (
    Arm(client="epoll", loop="own"),
    *(Arm(client=client, loop=loop) for loop in ("asyncio", "uvloop") for client in CLIENTS[1:]),
)
NS = (50, 100, 200, 400)


def scenario(*arms: Arm, rungs: tuple[str, ...] = CLIENTS) -> Scenario:
    return Scenario(name="ladder", arms=arms, ladder=Ladder(rungs=rungs))


def measured(name: str, ms: float, *, ns: tuple[int, ...] = NS, noise: tuple[float, ...] = (0.99, 1.0, 1.01)) -> ArmDiagnosis:
    """An arm of `ms` per request, and 50 ms beside them."""
    points = tuple(Point(n=n, total_s=tuple((0.05 + n * ms / 1e3) * factor for factor in noise)) for n in ns)
    client, _, loop = name.partition("/")
    return ArmDiagnosis(arm=name, client=client, loop=loop, versions={}, points=points, law=Law(form="a + b*N"), slope_ms=None)


def climbed(found: LadderFound) -> dict[str, tuple[float, float]]:
    return {rung.arm: (round(rung.slope_ms.value, 6), round(rung.step_ms.value, 6)) for rung in found.rungs}


def test_steps_are_the_differences_of_the_slopes() -> None:
    # On computed totals each step is what the layer was given, and the lowest rung's is its slope.
    arms = tuple(
        measured(f"{client}/{loop}", ms)
        for client, loop, ms in zip(CLIENTS, ("own", *["asyncio"] * 4), (0.1, 0.15, 0.3, 0.25, 2), strict=True)
    )
    (found,) = ladders(scenario(*BOTH[:5]), arms)
    assert (found.loop, found.ns, found.why) == ("asyncio", NS, "")
    assert climbed(found) == {
        "epoll/own": (0.1, 0.1),
        "protocol/asyncio": (0.15, 0.05),
        "streams/asyncio": (0.3, 0.15),
        "aiohttp/asyncio": (0.25, -0.05),
        "httpx/asyncio": (2, 1.75),
    }
    assert sum(rung.share or 0 for rung in found.rungs) == pytest.approx(1)
    for rung in found.rungs:
        assert rung.step_ms.low is not None
        assert rung.step_ms.high is not None
        assert rung.step_ms.low < rung.step_ms.value < rung.step_ms.high


totals = st.dictionaries(st.integers(1, 2000), st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=4), min_size=1, max_size=6)


@given(st.lists(totals, min_size=5, max_size=5))
def test_the_steps_add_up_to_the_top_rungs_slope(found: list[dict[int, list[float]]]) -> None:
    # Whatever was measured, at whichever N: the sum of the steps is the top rung's slope, or it is said why there is none.
    names = [arm.name for arm in BOTH[:5]]
    arms = tuple(
        replace(measured(name, 1), points=tuple(Point(n=n, total_s=tuple(seconds)) for n, seconds in points.items()))
        for name, points in zip(names, found, strict=True)
    )
    (made,) = ladders(scenario(*BOTH[:5]), arms)
    if made.rungs:
        steps, top = sum(rung.step_ms.value for rung in made.rungs), made.rungs[-1].slope_ms.value
        assert steps == pytest.approx(top, rel=1e-6, abs=1e-6 * max(abs(rung.slope_ms.value) for rung in made.rungs))
    else:
        assert made.why


def test_there_is_a_ladder_for_each_loop() -> None:
    # A client with one arm alone stands in each; the order is that of the rungs, not of the arms.
    arms = tuple(measured(arm.name, 1) for arm in BOTH)
    found = ladders(scenario(*reversed(BOTH)), arms)
    assert {ladder.loop: [rung.arm for rung in ladder.rungs] for ladder in found} == {
        loop: ["epoll/own", *(f"{client}/{loop}" for client in CLIENTS[1:])] for loop in ("uvloop", "asyncio")
    }


def test_no_rungs_no_ladder() -> None:
    # Only a scenario that asks for one has one.
    assert ladders(scenario(*BOTH, rungs=()), tuple(measured(arm.name, 1) for arm in BOTH)) == ()


def test_slopes_are_compared_over_the_same_n() -> None:
    # Where a rung was not measured at an N, that N counts for none; where a rung was hardly measured, the others stand and it is said.
    arms = (measured("epoll/own", 1), measured("protocol/asyncio", 2, ns=NS[:3]), measured("streams/asyncio", 3, ns=NS[:1]))
    (found,) = ladders(scenario(*BOTH[:3], rungs=CLIENTS[:3]), arms)
    assert found.ns == NS[:3]
    assert [rung.arm for rung in found.rungs] == ["epoll/own", "protocol/asyncio"]
    assert found.why == "too little was measured of streams/asyncio"
    (without,) = ladders(scenario(*BOTH[:2], rungs=CLIENTS[:3]), arms[:2])
    assert (len(without.rungs), without.why) == (2, "no arm has the client streams")
    (none,) = ladders(scenario(*BOTH[:3], rungs=CLIENTS[:3]), arms[2:])
    assert none.rungs == ()
    assert none.why


@pytest.mark.parametrize("name", ["ladder", "ladder-unlimited", "ladder-plain", "ladder-plain-unlimited"])
def test_the_shipped_ladders_stand_on_both_loops(name: str) -> None:
    # Each climbs from epoll to httpx, on asyncio's loop and on uvloop, and asks for what its name says.
    loaded = load_scenario(SCENARIOS / f"{name}.toml")
    found = ladders(loaded, tuple(measured(arm.name, 1) for arm in loaded.arms))
    assert [(ladder.loop, len(ladder.rungs)) for ladder in found] == [("asyncio", 5), ("uvloop", 5)]
    assert (loaded.target.tls == "off") is ("plain" in name)
    assert loaded.pool.limit == (0 if "unlimited" in name else 100)


def shown() -> Document:
    """A document with two ladders, one of which could not be measured."""
    arms = tuple(measured(arm.name, ms) for arm, ms in zip(BOTH[:5], (0.1, 0.15, 0.3, 0.25, 2), strict=True))
    (found,) = ladders(scenario(*BOTH[:5]), arms)
    document = documents.small()
    return replace(document, diagnosis=replace(document.diagnosis, ladders=(found, LadderFound(loop="<uvloop>", why="nothing ran"))))


def test_every_report_shows_the_rungs_and_their_sum() -> None:
    # Text and page name each rung with slope, step and share, and what they add up to; what was not measured is said, and escaped.
    page, plain = html.render(shown()), text.render(shown())
    for said in ("protocol/asyncio", "0.150 ", "+0.050", "The steps add up to 2.00 ms/request, the slope of httpx/asyncio."):
        assert said in " ".join(page.split())
        assert said in " ".join(plain.split())
    assert "nothing ran" in plain
    assert "&lt;uvloop&gt;" in page
    assert max(map(len, plain.splitlines())) <= 80
    assert "What each layer adds" not in text.render(documents.small())


def test_the_figure_is_drawn_and_always_the_same(tmp_path: Path) -> None:
    # A ladder is a figure of its own, byte for byte reproducible; without one there is none.
    first = [path for path in figures.write_figures(shown(), tmp_path / "a") if path.stem == "ladder"]
    assert [path.suffix for path in first] == [".svg", ".png"]
    steps = figures.Steps(ladders=shown().diagnosis.ladders[:1])
    assert figures.picture(steps, "svg") == first[0].read_bytes()


def test_a_step_that_saves_has_no_plus() -> None:
    # Only what a layer adds is signed; the lowest rung adds to nothing.
    found = shown().diagnosis.ladders[0]
    steps = [row[2][0] for row in rungs.rows(found)]
    assert steps == ["0", "+", "+", "-", "+"]


def test_a_number_without_an_interval_says_why() -> None:
    # one trial at each N has no scatter: the notes name the rungs
    once = tuple(measured(arm.name, ms, ns=NS[:2], noise=(1.0,)) for arm, ms in zip(BOTH[:3], (1, 2, 3), strict=True))
    (found,) = ladders(scenario(*BOTH[:3], rungs=CLIENTS[:3]), once)
    bare = [rung.arm for rung in found.rungs if rung.slope_ms.low is None or rung.step_ms.low is None]
    assert bare
    assert all(any(note.startswith(f"{name}: no interval: ") for note in rungs.notes(found)) for name in bare)
