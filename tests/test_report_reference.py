"""Published measurements beside a run's own: read, fitted, drawn on the page and for print."""

from pathlib import Path
from xml.etree import ElementTree as ET

import documents
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from loopdiag.lab.clients import CLIENTS
from loopdiag.lab.loops import LOOPS
from loopdiag.lab.scenario_file import load_scenario
from loopdiag.model.document import Document
from loopdiag.model.scenario import Reference
from loopdiag.report import reference
from loopdiag.report.figures import picture, write_figures
from loopdiag.report.html import render
from loopdiag.report.page_reference import drawing, key, posted
from loopdiag.report.ticks import nice_ticks

PROJECT = Path(__file__).parent.parent


def held_against(document: Document) -> Document:
    """The document of a run whose scenario names the post's table."""
    scenario = replace(document.recording.scenario, reference=Reference(table="blog"))
    return replace(document, recording=replace(document.recording, scenario=scenario))


def section(document: Document) -> ET.Element:
    """The page's section, as a tree."""
    made = posted(document)
    assert made is not None
    return ET.fromstring(made)


@pytest.mark.parametrize(
    ("name", "count", "last", "slope_ms"),
    [
        ("sync_2021-12-05", 40, 790, 46.74),
        ("threads8_2021-12-08", 40, 790, 7.841),
        ("asyncio_2021-12-05", 40, 790, 2.223),
        ("asyncio_2021-12-08", 40, 790, 3.114),
        ("golang_2021-12-06", 80, 1590, 0.09857),
    ],
)
def test_the_posts_measurements_ship_whole(name: str, count: int, last: int, slope_ms: float) -> None:
    # each file has all the rows that the author published, in seconds, and its robust slope is the known one
    found = {series.name: series for panel in reference.panels("blog") for series in panel.series}[name]
    assert [n for n, _ in found.points] == list(range(10, last + 1, 20))
    assert len(found.points) == count
    assert found.slope_s * 1e3 == pytest.approx(slope_ms, rel=1e-3)


def test_the_post_has_four_figures() -> None:
    # asyncio's two series share a panel, and each panel knows its programs here
    panels = reference.panels("blog")
    assert [(panel.title, len(panel.series)) for panel in panels] == [("sync", 1), ("8 threads", 1), ("asyncio", 2), ("Go", 1)]
    assert all(panel.arms and panel.says for panel in panels)


@pytest.mark.parametrize("arm", [arm for panel in reference.panels("blog") for arm in panel.arms])
def test_the_panels_programs_exist(arm: str) -> None:
    # each is an arm that a scenario may name, and one of blog.toml
    client, loop = arm.split("/")
    assert client in CLIENTS
    assert loop in LOOPS
    assert arm in {each.name for each in load_scenario(PROJECT / "scenarios/blog.toml").arms}


@given(
    slope=st.floats(1e-4, 10),
    offset=st.floats(-5, 5),
    strays=st.dictionaries(st.integers(0, 19), st.floats(-1e3, 1e3), max_size=4),
)
def test_strays_do_not_move_the_line(slope: float, offset: float, strays: dict[int, float]) -> None:
    # a fifth of the points may lie anywhere: the line through the others stands
    points = [(10 + 20 * k, offset + slope * (10 + 20 * k) + strays.get(k, 0.0)) for k in range(20)]
    found = reference.fitted("x", tuple(points))
    assert found.slope_s == pytest.approx(slope, rel=1e-6, abs=1e-9 * (abs(offset) + 1))
    assert found.at(100) == pytest.approx(offset + slope * 100, abs=1e-6)


def test_a_run_that_is_held_against_nothing_has_no_section() -> None:
    # the page and the figures are what they were
    assert posted(documents.small()) is None
    assert 'id="reference"' not in render(documents.small())


def test_the_section_stands_below_the_scaling_plot() -> None:
    # the page has it right after its own plot
    page = render(held_against(documents.small()))
    assert page.index('id="scaling"') < page.index('id="reference"') < page.index('id="waterfall"')


def test_every_published_run_and_every_trial_is_drawn() -> None:
    # a mark each, and none more: what was published, and the trials of the arm that ran the same program
    document = held_against(documents.small())
    panels = {panel.title: panel for panel in reference.panels("blog")}
    (httpx,) = (arm for arm in document.diagnosis.arms if arm.arm == "httpx/asyncio")
    (aiohttp,) = (arm for arm in document.diagnosis.arms if arm.arm == "aiohttp/uvloop")
    own = {"asyncio": sum(len(point.total_s) for arm in (httpx, aiohttp) for point in arm.points)}
    figures = section(document).findall(".//figure")
    assert len(figures) == len(panels)
    for figure, (title, panel) in zip(figures, panels.items(), strict=True):
        drawing = figure.find("svg")
        assert drawing is not None
        assert len(drawing.findall(".//circle")) == sum(len(series.points) for series in panel.series) + own.get(title, 0)
        for circle in drawing.iter("circle"):
            assert 0 <= float(circle.attrib["cx"]) <= 520
            assert 0 <= float(circle.attrib["cy"]) <= 320


def test_a_prescription_is_drawn_beside_its_program() -> None:
    # its trials and its slope stand in the same panel, and the key tells them apart
    document = held_against(documents.explained())
    with_it = next((arm for arm in document.diagnosis.arms if arm.prescription and arm.prescription.points), None)
    assert with_it is not None
    panel = replace(reference.panels("blog")[2], arms=(f"{with_it.client}/{with_it.loop}",))
    drawn = reference.Drawn(panel=panel, arms=tuple(reference.belonging(panel, document.diagnosis.arms)))
    found = reference.Beside(panels=(drawn,), arms=document.diagnosis.arms)
    assert 'class="prescribed"' in drawing(drawn, found)
    assert f"{with_it.arm}, prescribed" in key(drawn, document.diagnosis.arms)


def test_a_panel_without_an_arm_says_so() -> None:
    # what was published is shown, and that this run does not have the program
    captions = ["".join(each.itertext()) for each in section(held_against(documents.small())).iter("figcaption")]
    assert ["not in this run" in said for said in captions] == [True, True, False, True]


@pytest.mark.parametrize("name", ["no_arms", "not_enough", "explained"])
def test_any_run_can_be_held_against_the_post(name: str) -> None:
    # the section and the figure are well-formed whatever the run has, and the figure has the same bytes each time
    document = held_against(documents.EDGES[name]())
    assert section(document).attrib["id"] == "reference"
    drawn = reference.beside(document)
    assert drawn is not None
    one, two = picture(drawn, "svg"), picture(drawn, "svg")
    assert one == two
    assert ET.fromstring(one).tag == "{http://www.w3.org/2000/svg}svg"


def test_the_figure_is_written_beside_the_others(tmp_path: Path) -> None:
    # as SVG and as PNG, called reference
    written = write_figures(held_against(documents.no_arms()), tmp_path)
    assert [path.name for path in written] == ["scaling.svg", "scaling.png", "reference.svg", "reference.png"]


@given(st.floats(1e-6, 1e9), st.integers(1, 12))
def test_ticks_are_round_and_not_too_many(end: float, most: int) -> None:
    # from 0 in equal steps of 1, 2 or 5 times a power of ten, up to the axis' end, with at most so many steps
    ticks = nice_ticks(end, most)
    assert ticks[0] == 0
    assert len(ticks) <= most + 1
    assert ticks[-1] <= end * (1 + 1e-6)
    if len(ticks) > 1:
        assert f"{ticks[1]:e}"[0] in "125"
        assert end - ticks[-1] <= ticks[1] * (1 + 1e-6)
