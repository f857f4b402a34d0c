"""Chrome trace events: what viewers need of them."""

import json
from collections import defaultdict
from itertools import pairwise
from typing import Any

import documents
import pytest

from loopdiag.report.trace_event import render


def events(name: str = "small") -> list[dict[str, Any]]:
    """All events of one document."""
    made: list[dict[str, Any]] = json.loads(render(documents.EDGES[name]()))["traceEvents"]
    return made


@pytest.mark.parametrize("name", documents.EDGES)
def test_every_event_has_what_its_kind_needs(name: str) -> None:
    # complete events have a start and a length of at least 0; all have a process
    for event in events(name):
        assert event["ph"] in {"X", "M", "C"}
        assert isinstance(event["pid"], int)
        if event["ph"] == "X":
            assert event["ts"] >= 0
            assert event["dur"] >= 0


def test_requests_of_one_lane_do_not_overlap() -> None:
    # a viewer nests what overlaps on a thread, so two requests never share a lane at a time
    lanes = defaultdict(list)
    for event in events():
        if event.get("cat") == "request":
            lanes[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    assert sum(map(len, lanes.values())) == 4 * 25
    assert all(a[1] <= b[0] + 1e-6 for spans in lanes.values() for a, b in pairwise(sorted(spans)))


def test_phases_fill_their_request() -> None:
    # the phases' lengths add up to the request's
    spent = defaultdict(float)
    for event in events():
        if event["ph"] == "X" and event["tid"] > 0:
            spent[event["pid"], event.get("cat") == "request"] += event["dur"]
    for process in {key[0] for key in spent}:
        assert spent[process, True] == pytest.approx(spent[process, False])


def test_each_trial_is_a_process_with_its_loop() -> None:
    # the loop's iterations stand on a thread of their own, named
    names = {(e["name"], e["pid"], e["args"]["name"]) for e in events() if e["ph"] == "M"}
    assert {("process_name", 1, "httpx/asyncio N=25 repetition 0"), ("thread_name", 1, "event loop")} <= names
    assert any(e["name"] == "ready queue" and e["args"]["callbacks"] > 0 for e in events() if e["ph"] == "C")
