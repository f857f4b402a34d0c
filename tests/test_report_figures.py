"""Figures by matplotlib: the same bytes each time, whatever the document."""

from pathlib import Path
from xml.etree import ElementTree as ET

import documents
import pytest

from loopdiag.report.content import largest
from loopdiag.report.figures import apart, file_name, render, write_figures
from loopdiag.report.static_waterfall import bars

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("name", ["no_arms", "not_enough", "no_timelines", "troubled", "answers_hostile"])
def test_every_document_can_be_drawn(name: str, tmp_path: Path) -> None:
    # each figure is written as well-formed SVG and as PNG, with nothing else beside them
    document = documents.EDGES[name]()
    written = write_figures(document, tmp_path / "figures")
    assert sorted(written) == sorted((tmp_path / "figures").iterdir())
    ledger = {"ledger"} if any(arm.ledger for arm in document.diagnosis.arms) else set()
    assert {path.stem for path in written} == {"scaling", *ledger, *(f"waterfall-{file_name(line.arm)}" for line in largest(document))}
    for path in written:
        if path.suffix == ".png":
            assert path.read_bytes().startswith(PNG)
        else:
            assert ET.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_the_same_document_makes_the_same_bytes(tmp_path: Path) -> None:
    # neither dates, nor versions, nor random identifiers are in the files
    one, two = (write_figures(documents.no_timelines(), tmp_path / name) for name in ("one", "two"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    assert "<dc:date>" not in one[0].read_text(encoding="utf-8")


def test_the_largest_n_of_each_arm_is_shown() -> None:
    # one waterfall an arm, of its largest N, its first repetition
    chosen = largest(documents.full(timeline_ns=(25, 50)))
    assert [(line.arm, line.n) for line in chosen] == [(arm.name, 50) for arm in documents.ARMS]


def test_eight_hundred_rows_are_all_there() -> None:
    # every attempt has its row, and only phases too narrow for print are left out
    line = documents.timeline(documents.ARMS[2], 800)
    drawn = bars(line)
    assert {row for _, _, row in drawn["wait"]} == set(range(800))
    finest = line.total_ns / 1e6 / 2500
    assert min(width for boxes in drawn.values() for _, width, _ in boxes) >= finest


def test_the_svg_format_is_the_scaling_plot() -> None:
    # `--format svg` prints one picture as text, readable by any viewer
    root = ET.fromstring(render(documents.small()))
    assert root.tag.endswith("svg")
    assert len(list(root.iter())) > 200


@pytest.mark.parametrize(
    ("arm", "name"), [("aiohttp/uvloop", "aiohttp-uvloop"), ("../../etc/passwd", "..-..-etc-passwd"), ("a\x00b\nc", "a-b-c")]
)
def test_arm_names_cannot_leave_the_folder(arm: str, name: str) -> None:
    # whatever the arm is called, its file stays in the folder
    assert file_name(arm) == name


def test_every_arm_has_a_file_of_its_own() -> None:
    # names that become one get numbers, and no name is longer than a file's may be
    assert apart(["a-b", "a-b", "a-b-2", "a-b"]) == ["a-b", "a-b-2", "a-b-2-2", "a-b-3"]
    assert len(file_name("\U00020000" * 300).encode()) <= 200
