"""The terminal report: answer first, 80 columns, readable in a pipe."""

import re

import documents
import pytest

from loopdiag.report import FORMATS
from loopdiag.report.text import render, render_terminal


@pytest.mark.parametrize("name", documents.EDGES)
def test_every_document_fits_80_columns(name: str) -> None:
    # no line is longer than 80 columns or ends in blanks, and nothing but text is written
    lines = render(documents.EDGES[name]()).splitlines()
    assert max(map(len, lines)) <= 80
    assert all(line == line.rstrip() for line in lines)
    assert not any(re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", line) for line in lines)


def test_the_answer_comes_first() -> None:
    # the first words of the report are the answer
    document = documents.small()
    assert " ".join(render(document).split()).startswith(document.diagnosis.answer)


def test_the_table_has_a_line_for_each_arm() -> None:
    # law, slope with interval, exponent, errors, connections per request and the server's use stand in the arm's line
    lines = render(documents.small()).splitlines()
    (line,) = [line for line in lines if line.startswith("aiohttp/uvloop ")]
    assert line.split() == ["aiohttp/uvloop", "a", "+", "b*N", "0.90", "±0.04", "0.94", "±0.05", "0", "0.127", "74", "%"]


def test_what_was_not_measured_is_said_with_its_reason() -> None:
    # skipped cells share a line where they share arm and reason
    text = " ".join(render(documents.small()).split())
    assert (
        "httpx/asyncio, N = 800, bare and timeline: does not fit the arm's share of the budget (60 s) (predicted: 26.5 s a trial)" in text
    )
    assert "timeline CPU × 1.012 ±0.017 on httpx/asyncio" in text
    assert "iterations: 12 rows" in text
    assert "agree with the server's own account for 3296 of 3300 requests" in text


def test_a_cells_own_name_and_prediction_are_not_repeated() -> None:
    # reasons that name their cell are shortened to what the cells share
    text = " ".join(render(documents.wordy()).split())
    assert "httpx/asyncio, N = 400, 800, bare: 0.1 s of its share were left (predicted: 6.30 s, 32.0 s a trial)" in text


def test_a_partial_run_says_so() -> None:
    # an interrupted run, its failed trials and failed requests are named
    text = " ".join(render(documents.partial()).split())
    assert "Partial: the run was interrupted or stopped by a fault. This report rests on the 1 trial that had ended." in text
    assert "httpx/asyncio, N = 25, bare, repetition 0: timeout: killed after 60 s" in text
    assert "requests that failed: 3 TimeoutError, 1 HTTP 503" in text


def test_abstention_gives_its_reason() -> None:
    # an arm without a law has dashes, never zeros, and a note
    text = render(documents.not_enough())
    assert re.search(r"httpx/uvloop +not enough +– +–", text)
    assert "needs at least 5 values of N" in text


def test_colour_only_where_it_is_asked_for() -> None:
    # escape codes appear with colour, and the words are the same with and without it
    document = documents.small()
    coloured, bare = (render_terminal(document, width=100, colour=colour) for colour in (True, False))
    assert "\x1b[" in coloured
    assert "\x1b" not in bare
    assert [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", coloured).splitlines()] == bare.splitlines()


@pytest.mark.parametrize("width", [40, 60, 75])
def test_a_narrow_terminal_loses_no_number(width: int) -> None:
    # below the table's width the arms become lines of text, uncut
    text = render_terminal(documents.small(), width=width, colour=False)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert "24.5 [23.5, 26.7] ms/request" in " ".join(text.split())


def test_every_format_renders_every_document() -> None:
    # no format fails on an awkward document
    made = {(form, name): FORMATS[form](build()) for form in FORMATS if form != "svg" for name, build in documents.EDGES.items()}
    assert all(made.values())


def test_each_arm_says_what_its_loop_did() -> None:
    # lag, the kernel's account or its bounds, and the unattributed share stand in a line of each arm, and nothing where they were not observed
    text = " ".join(render(documents.small()).split())
    loop = "loop ran 81 %, longest 24.0 ms, lag 730 µs"
    assert f"aiohttp/asyncio, N = 800: {loop}, first byte 340 µs in the kernel, unattributed 0.4 % (95th percentile 1.3 %)" in text
    assert f"httpx/uvloop, N = 800: {loop}, first byte readable 12.0 µs to 310 µs before it was read, unattributed 0.4 %" in text
    assert "Event loop" not in render(documents.not_enough())
