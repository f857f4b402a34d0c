"""Chrome trace events: what viewers need of them."""

import json
from collections import defaultdict
from itertools import pairwise
from typing import Any

import documents
import pytest
from msgspec.structs import replace

from loopdiag.report.trace_event import render, trial_events


def events(name: str = "small") -> list[dict[str, Any]]:
    """All events of one document."""
    made: list[dict[str, Any]] = json.loads(render(documents.EDGES[name]()))["traceEvents"]
    return made


@pytest.mark.parametrize("name", documents.EDGES)
def test_every_event_has_what_its_kind_needs(name: str) -> None:
    # complete events have a start and a length of at least 0; all have a process
    for event in events(name):
        assert event["ph"] in {"X", "M", "C", "i"}
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
        if event["ph"] == "X" and event["cat"] in {"request", "wait", "work"}:
            spent[event["pid"], event.get("cat") == "request"] += event["dur"]
    for process in {key[0] for key in spent}:
        assert spent[process, True] == pytest.approx(spent[process, False])


def test_each_trial_is_a_process_with_its_loop() -> None:
    # the loop's iterations stand on a thread of their own, named
    names = {(e["name"], e["pid"], e["args"]["name"]) for e in events() if e["ph"] == "M"}
    assert {("process_name", 1, "httpx/asyncio N=25 repetition 0"), ("thread_name", 1, "event loop")} <= names
    assert any(e["name"] == "ready queue" and e["args"]["callbacks"] > 0 for e in events() if e["ph"] == "C")


@pytest.mark.parametrize("name", ["small", "shared"])
def test_threads_of_connections_carry_what_they_carried(name: str) -> None:
    # every attempt with a connection stands once on that connection's threads, and nothing overlaps on a thread, not even streams
    threads = defaultdict(list)
    for event in events(name):
        if event.get("cat") == "connection" and event["ph"] == "X":
            threads[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"], event["name"]))
    line = documents.EDGES[name]().timelines[0]
    carried = [span[2] for (process, _), spans in threads.items() for span in spans if process == 1 and span[2].startswith("request")]
    assert sorted(carried) == sorted(f"request {attempt.request}" for attempt in line.attempts)
    assert all(a[1] <= b[0] + 1e-6 for spans in threads.values() for a, b in pairwise(sorted(spans)))


def test_closed_connections_say_when() -> None:
    # a connection that was closed in the trial has an instant that says so
    closed = [e for e in events() if e["ph"] == "i"]
    assert len([e for e in closed if e["pid"] == 1]) == 25
    assert {(e["name"], e["s"]) for e in closed} == {("closed", "t")}


def test_counters_follow_requests_and_jobs() -> None:
    # in flight, pool queue and executors rise from the first and end at 0
    last: dict[tuple[int, str], int] = {}
    most: defaultdict[str, int] = defaultdict(int)
    for event in events("shared"):
        if event["ph"] == "C":
            (value,) = event["args"].values()
            last[event["pid"], event["name"]] = value
            most[event["name"]] = max(most[event["name"]], value)
    assert {"in flight", "pool queue", "executor queue", "executor threads at work"} <= set(most)
    assert most["in flight"] == 40
    assert all(value == 0 for (_, name), value in last.items() if name != "ready queue")


def test_the_collectors_pauses_have_a_thread() -> None:
    # each pause is a slice named by its generation
    found = {e["name"] for e in events() if e.get("cat") == "collector"}
    assert found == {"generation 0", "generation 1", "generation 2"}


def test_a_loop_that_hides_its_ready_queue_has_no_counter_for_it() -> None:
    # what was not observed is not drawn as 0
    line = documents.small().timelines[0]
    hidden = replace(line, not_observed={"iterations.ready": "uvloop does not show its ready queue"})
    assert any(e["name"] == "ready queue" for e in trial_events(1, line, 0))
    assert not any(e["name"] == "ready queue" for e in trial_events(1, hidden, 0))
