"""A program's raw tables as an activity: cut to the trial, robust, and a request's stamps and phases before the client is called."""

import numpy as np
import pytest
from raw_tables import BASE, MS, table, tick, trial

import loopdiag.analysis.activity
from loopdiag.analysis.activity import activity
from loopdiag.analysis.timelines import resolve
from loopdiag.instruments import schema
from loopdiag.model.program import WAITS, Made, Place

PLACES = (Place(file="", line=0), Place(file="client.py", line=14, text="async with sem:"))


def rows(name: str, *made: dict[str, float]) -> "np.ndarray":
    """A raw table with the sink in front; stamps and t0 in ms since BASE."""
    stamps = {"first_run", "done", "woken", "end"} & set(schema.TABLES[name])
    found = table(name, [{field: value for field, value in row.items() if field not in stamps} for row in made])
    for index, row in enumerate(made, 1):
        for field in stamps & set(row):
            found[index][field] = tick(BASE + round(row[field] * MS))
    return found


def attempt(request: int, enqueued: float, done: float) -> dict[str, float]:
    """An attempt that waits for its answer all the time."""
    return {
        "t0": enqueued, "request": request, "status": 200, "enqueued": enqueued, "assigned": enqueued, "resumed": enqueued, "send_start": enqueued,
        "send_end": enqueued, "first_byte": done, "headers": done, "last_byte": done, "body": done, "done": done,
    }  # fmt: skip


def tables() -> "dict[str, np.ndarray]":
    """A task that makes two requests, the first one after 5 ms at a semaphore, the second after a sleep of 10 ms."""
    return {
        "attempts": table("attempts", [attempt(1, 10, 30), attempt(2, 42, 60)]),
        "tasks": rows("tasks", {"t0": -1, "first_run": 0, "done": 100}, {"t0": 1, "first_run": 2, "done": 61, "parent": 1, "place": 1}),
        "waits": rows(
            "waits",
            {"t0": 3, "task": 2, "kind": WAITS.index("semaphore"), "number": 1, "value": 7, "place": 1, "waker": 1, "woken": 8, "end": 8.5},
            {"t0": 31, "task": 2, "kind": WAITS.index("sleep"), "value": 10_000, "woken": 41, "end": 41},
        ),
        "requests": rows("requests", {"t0": 10, "request": 1, "task": 2, "place": 1, "library": 1}, {"t0": 42, "request": 2, "task": 2}),
        "stalls": rows("stalls", {"t0": 20, "length": 6, "looks": 3, "running": 1, "place": 1, "syscall": 36}),
    }


def test_an_activity_says_what_the_tables_say() -> None:
    # times since the trial began, cut to it; numbers, places and system calls as they were recorded
    found = activity(tables(), trial(places=PLACES, made=(Made(what="session", place=1, count=2),), peers=("127.0.0.1",)))
    assert found is not None
    assert [round(at / MS, 1) for at in found.tasks.created_ns] == [0, 1]
    assert (found.tasks.parent, found.tasks.place) == ((0, 1), (0, 1))
    assert [round(at / MS, 1) for at in found.waits.end_ns] == [8.5, 41]
    assert (found.waits.waker, found.waits.value, found.waits.number) == ((1, 0), (7, 10_000), (1, 0))
    assert (found.requests.request, found.requests.task, found.requests.library) == ((1, 2), (2, 2), (1, 0))
    assert (found.stalls.syscall, found.stalls.looks) == ((35,), (3,))
    assert (found.made[0].what, found.peers, found.not_observed) == ("session", ("127.0.0.1",), {})


def test_a_stall_is_cut_to_the_trial() -> None:
    # of 6 ms that began 4 ms before the trial two are in it, and of 9 ms that began 5 ms before its end five
    raw = tables()
    raw["stalls"] = rows("stalls", {"t0": -4, "length": 6}, {"t0": 95, "length": 9})
    found = activity(raw, trial(places=PLACES))
    assert found is not None
    assert [round(at / MS, 1) for at in found.stalls.start_ns] == [0, 95]
    assert [round(length / MS, 1) for length in found.stalls.length_ns] == [2, 5]


def test_what_is_too_much_to_look_at_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # of every table the first rows, and a line that says how many there are
    monkeypatch.setattr(loopdiag.analysis.activity, "MOST", 1)
    raw = tables()
    raw["stalls"] = rows("stalls", {"t0": 20, "length": 6}, {"t0": 40, "length": 6})
    found = activity(raw, trial(places=PLACES))
    assert found is not None
    assert (len(found.requests.request), len(found.stalls.start_ns)) == (1, 1)
    assert found.not_observed["requests.rest"] == "only the first 1 of 2 requests are looked at"
    assert {"tasks.rest", "requests.rest", "stalls.rest"} == set(found.not_observed)


def test_a_wait_that_holds_others_is_told_besides_them() -> None:
    # a wait that began long before, and ends after what is waited for within it, fills what the others leave
    raw = tables()
    raw["waits"] = rows(
        "waits",
        {"t0": 3, "task": 2, "kind": WAITS.index("task"), "end": 9},
        {"t0": 4, "task": 2, "kind": WAITS.index("semaphore"), "end": 6},
        {"t0": 31, "task": 2, "kind": WAITS.index("sleep"), "woken": 41, "end": 41},
    )
    first, second = resolve(raw, trial(places=PLACES)).attempts
    told = [
        (phase.name, round(phase.start_ns / MS), round(phase.end_ns / MS)) for phase in first.phases if phase.name in {"task", "semaphore"}
    ]
    assert told == [("task", 3, 4), ("semaphore", 4, 6)]
    assert [phase.name for phase in second.phases].count("sleep") == 1


def test_a_request_begins_with_its_task_or_with_the_end_of_the_one_before() -> None:
    # the phases before the client's call are what its task waited for, and leave no gap
    first, second = resolve(tables(), trial(places=PLACES)).attempts
    assert {name: round(first.stamps[name] / MS) for name in ("created", "first_run")} == {"created": 1, "first_run": 2}
    assert [phase.name for phase in first.phases] == ["start", "prepare", "semaphore", "prepare", "wait"]
    assert round(second.stamps["created"] / MS) == 30
    assert [phase.name for phase in second.phases] == ["prepare", "sleep", "prepare", "wait"]
    for each in (first, second):
        assert sum(phase.end_ns - phase.start_ns for phase in each.phases) == each.stamps["done"] - each.stamps["created"]


def test_stamps_of_a_program_break_no_invariant() -> None:
    # what is added is a legal life
    assert resolve(tables(), trial(places=PLACES)).faults == ()


def test_a_request_of_a_thread_keeps_its_phases() -> None:
    # no task made it
    raw = tables() | {"requests": rows("requests", {"t0": 10, "request": 1, "thread": 1}, {"t0": 42, "request": 2, "thread": 1})}
    for each in resolve(raw, trial(places=PLACES)).attempts:
        assert "created" not in each.stamps
        assert [phase.name for phase in each.phases] == ["wait"]


def test_a_scenario_has_no_activity() -> None:
    # its recordings have no such table
    assert activity({"attempts": tables()["attempts"]}, trial()) is None


@pytest.mark.parametrize("name", ["tasks", "waits", "requests", "stalls"])
def test_a_table_that_is_missing_costs_only_itself(name: str) -> None:
    # what is absent is told
    raw = tables()
    del raw[name]
    line = resolve(raw, trial(places=PLACES))
    assert line.activity is not None
    assert line.activity.not_observed == {name: "the recording has no such table"}
    assert len(line.attempts) == 2


def test_references_to_what_is_not_there_become_nothing() -> None:
    # a damaged table: tasks, places, kinds and calls that do not exist
    raw = tables()
    for name, field in (
        ("waits", "waker"),
        ("waits", "place"),
        ("waits", "kind"),
        ("requests", "task"),
        ("requests", "job"),
        ("stalls", "leaf"),
    ):
        raw[name][field] = 99
    found = activity(raw, trial(places=PLACES))
    assert found is not None
    assert (found.waits.waker, found.waits.place, found.waits.kind) == ((0, 0), (0, 0), (0, 0))
    assert (found.requests.task, found.requests.job, found.stalls.leaf) == ((0, 0), (0, 0), (0,))
    assert len(resolve(raw, trial(places=PLACES)).attempts) == 2


def test_a_request_that_no_line_made_was_made_where_its_task_was() -> None:
    # gather(client.get(url)): the client's own coroutine is the task's; the line that made the task is the program's
    found = activity(tables(), trial(places=PLACES))
    assert found is not None
    assert found.requests.place == (1, 1)


def test_calls_in_executors_are_numbered_as_the_timeline_has_them() -> None:
    # one call was made before the trial and is not in it
    raw = tables()
    raw["executor"] = table("executor", [{"t0": -5, "started": -4, "ended": -3}, {"t0": 5, "started": 6, "ended": 9, "threads": 1}])
    raw["requests"] = rows("requests", {"t0": 6, "request": 1, "thread": 1, "job": 2}, {"t0": 42, "request": 2, "task": 2, "job": 1})
    line = resolve(raw, trial(places=PLACES))
    assert line.jobs is not None
    assert len(line.jobs.queued_ns) == 1
    assert line.activity is not None
    assert line.activity.requests.job == (1, 0)
