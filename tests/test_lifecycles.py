"""Lives of attempts drawn from the transition table: the bookkeeping of the instruments keeps them apart, and `legal` knows the others."""

from collections.abc import Iterator
from itertools import count, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from loopdiag.analysis.timelines import resolve
from loopdiag.instruments import context, marks, recorder
from loopdiag.instruments.context import A, Rows
from loopdiag.instruments.schema import ATTEMPT_STAMPS, FLAGS, MASK, TICK_SHIFT
from loopdiag.lab import columns
from loopdiag.model.events import MAY_FOLLOW, diagram, legal
from loopdiag.model.recording import TrialResult, TrialSpec
from loopdiag.model.scenario import Arm

DOCS = Path(__file__).parent.parent / "docs" / "how-it-works.md"
STEP_NS = 1000  # of the machine's clock between two stamps
#: stamped by the bookkeeping itself, not by an instrument at a seam
OWN = {"due", "created", "first_run", "enqueued", "done"}
ENDED = {"cancelled", "error", "timed_out"}
SENT_ON = {"redirected": 301, "retried": 401}


def following(order: list[str]) -> frozenset[str]:
    """What may come next: by the table, but that `released`, which may come anywhere, opens no way that was closed before it."""
    last = order[-1] if order else ""
    before = next((stamp for stamp in reversed(order) if stamp != "released"), "")
    return MAY_FOLLOW[last] & MAY_FOLLOW[before] if last == "released" else MAY_FOLLOW[last]


class Task:
    """Stands for an asyncio task: all that the bookkeeping asks of one is its identity."""


class Asked:
    """What is known of one request: its number where a driver gave it one, and its attempts."""

    def __init__(self, number: int | None, *, entered: bool = False) -> None:
        self.number, self.entered = number, entered
        self.attempts: list[dict[str, Any]] = []

    @property
    def now(self) -> dict[str, Any]:
        return self.attempts[-1]


class Lives(RuleBasedStateMachine):
    """Several tasks make requests over shared connections, each stamp at the next tick; what is read back is what was done."""

    capacity = 1 << 12

    @initialize()
    def start(self) -> None:
        """Open tables, on a clock and a current task of the machine's own."""
        self.folder = TemporaryDirectory()
        self.clock = count(10**12, STEP_NS)
        self.patch = pytest.MonkeyPatch()
        self.task: Task | None = None
        self.patch.setattr(recorder, "now", lambda: next(self.clock))
        self.patch.setattr(context, "now", lambda: next(self.clock))
        self.patch.setattr(context, "_task_of", lambda _loop: self.task)
        rows_of_tasks: dict[int, int] = {}
        self.patch.setattr(context, "_rows_of_tasks", rows_of_tasks)
        self.patch.setattr(context, "_row_of", rows_of_tasks.get)
        self.patch.setitem(recorder.CAPACITY_ROWS, "attempts", self.capacity)
        self.patch.setattr(recorder, "BLOCK_ROWS", min(self.capacity, 16))
        self.rows = Rows(self.folder.name)
        self.patch.setattr(marks, "_rows", self.rows)
        self.patch.setattr(marks, "_now", lambda: next(self.clock))
        self.tasks = [Task() for _ in range(4)]
        self.below = Task()  # uses a pool without its client
        self.numbers = count(1_000_000)
        self.running: dict[Task, Asked] = {}
        self.asked: list[Asked] = []
        self.links: list[dict[str, Any]] = []  # handle, served, and the row and the record of the attempt on it

    def teardown(self) -> None:
        """Read everything back."""
        try:
            if hasattr(self, "rows"):
                self.read_back()
        finally:
            if hasattr(self, "patch"):
                self.patch.undo()
                self.folder.cleanup()

    def turn(self, data: st.DataObject, tasks: list[Task]) -> Asked | None:
        """One of `tasks` runs; its request, if it has one."""
        self.task = data.draw(st.sampled_from(tasks))
        return self.running.get(self.task)

    @precondition(lambda self: len(self.running) < len(self.tasks))
    @rule(data=st.data(), marked=st.booleans())
    def ask(self, data: st.DataObject, marked: bool) -> None:
        """A task asks for something new: a driver marks it, or the client's entry is all there is."""
        self.turn(data, [task for task in self.tasks if task not in self.running])
        number = next(self.numbers) if marked else None
        if number is not None:
            at = next(self.clock)
            marks.begin(number, at, at)
        row = self.rows.begin_request()
        assert row == context.current()
        asked = Asked(number, entered=True)
        begun = ["due", "created", "first_run"] if marked else ["first_run"]
        asked.attempts.append({"row": row, "order": begun, "flags": set(), "status": 0, "bytes": 0})
        assert self.task is not None
        self.running[self.task] = asked
        self.asked.append(asked)

    @precondition(lambda self: self.below not in self.running)
    @rule()
    def ask_below_the_entry(self) -> None:
        """A pool is used without its client: each time is a request of its own."""
        self.task = self.below
        row = self.rows.begin_attempt()
        asked = self.running[self.below] = Asked(None)
        asked.attempts.append({"row": row, "order": ["first_run", "enqueued"], "flags": set(), "status": 0, "bytes": 0})
        self.asked.append(asked)

    @staticmethod
    def may_enqueue(asked: Asked) -> bool:
        """It has not been, or it failed, or was sent on, or its driver asks again whatever the answer was: there may be another attempt."""
        attempt = asked.now
        if "enqueued" not in attempt["order"]:
            return True
        if attempt["status"] == 200:
            return asked.number is not None
        return asked.entered and ("error" in attempt["flags"] or attempt["status"] in SENT_ON.values())

    @precondition(lambda self: any(self.may_enqueue(asked) for asked in self.running.values()))
    @rule(data=st.data())
    def reach_the_pool(self, data: st.DataObject) -> None:
        """The request reaches its pool: for the first time, or once more after a failure or an answer that sends it on."""
        asked = self.turn(data, [task for task, asked in self.running.items() if self.may_enqueue(asked)])
        assert asked is not None
        last = asked.now
        if "enqueued" in last["order"]:
            if last["status"] == 200:
                assert self.rows.begin_request() == last["row"]
            kind = "redirected" if last["status"] == SENT_ON["redirected"] and not last["flags"] & ENDED else "retried"
            last["flags"].add(kind)
            self.let_go(last)
            asked.attempts.append({"order": [], "flags": set(), "status": 0, "bytes": 0})
        asked.now["row"] = self.rows.begin_attempt()
        asked.now["order"].append("enqueued")
        assert asked.now["row"] == context.current()

    def legal_next(self, attempt: dict[str, Any]) -> list[str]:
        """What an instrument may stamp next; what was stamped before would be overwritten, as the last one stands."""
        order = attempt["order"]
        return sorted(following(order) - OWN - set(order)) if "enqueued" in order and order[-1] != "done" else []

    @precondition(lambda self: any(self.legal_next(asked.now) for asked in self.running.values()))
    @rule(data=st.data())
    def stamp(self, data: st.DataObject) -> None:
        """An instrument stamps what may come next: through the running task up to the connection, through the connection's owner from there on."""
        asked = self.turn(data, [task for task, asked in self.running.items() if self.legal_next(asked.now)])
        assert asked is not None
        attempt, runner = asked.now, self.task
        name = data.draw(st.sampled_from(self.legal_next(attempt)))
        if name == "resumed":
            self.take_a_connection(data, attempt)
        words = self.rows.attempts.words
        link = attempt.get("link")
        row = link["row"] if link is not None else context.current()
        if link is not None:
            self.task = None  # a protocol's callback runs in no task
        words[row + A[name]] = next(self.clock) >> TICK_SHIFT & MASK
        attempt["order"].append(name)
        if name == "headers":
            attempt["status"] = words[row + A["status"]] = data.draw(st.sampled_from([200, *SENT_ON.values()]))
            if attempt["status"] == 200:
                self.task = runner
                self.rows.end_attempts(row)
        if name in {"first_byte", "last_byte"}:
            words[row + A["wire_bytes"]] += 10
            attempt["bytes"] += 10

    def take_a_connection(self, data: st.DataObject, attempt: dict[str, Any]) -> None:
        """An idle connection, or a new one."""
        idle = [link for link in self.links if link["row"] is None]
        link = data.draw(st.sampled_from([*idle, None]))
        row = context.current()
        if link is None:
            link = {"handle": self.rows.begin_connection(row), "served": 0, "row": None}
            self.links.append(link)
        elif link["served"]:
            attempt["flags"].add("reused")
        self.rows.use_connection(row, link["handle"])
        link["served"] += 1
        link["row"], attempt["link"] = row, link

    def let_go(self, attempt: dict[str, Any]) -> None:
        """The attempt gives its connection back."""
        link = attempt.pop("link", None)
        if link is not None:
            link["row"] = None

    @staticmethod
    def under_way(attempt: dict[str, Any]) -> bool:
        return "enqueued" in attempt["order"] and "done" not in attempt["order"]

    @precondition(lambda self: any(self.under_way(asked.now) for asked in self.running.values()))
    @rule(data=st.data(), error=st.sampled_from([OSError(), TimeoutError()]))
    def fail(self, data: st.DataObject, error: Exception) -> None:
        """The attempt fails; the library may try once more after an error."""
        asked = self.turn(data, [task for task, asked in self.running.items() if self.under_way(asked.now)])
        assert asked is not None
        attempt = asked.now
        self.rows.fail(attempt["row"], error)
        attempt["flags"].add("timed_out" if isinstance(error, TimeoutError) else "error")
        attempt["order"].append("done")
        self.let_go(attempt)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """The request is over, by its driver's word or because its task goes on; the task's identity is used again by the next one."""
        asked = self.turn(data, list(self.running))
        assert asked is not None
        if asked.number is not None:
            marks.end()
            if "done" in asked.now["order"]:
                asked.now["order"].remove("done")
            asked.now["order"].append("done")
        elif data.draw(st.booleans()):
            self.rows.end_attempts(context.current())
        self.let_go(asked.now)
        assert self.task is not None
        del self.running[self.task]

    @invariant()
    def tasks_have_rows_of_their_own(self) -> None:
        """No two running requests share a row."""
        rows = [asked.now["row"] for asked in getattr(self, "running", {}).values()]
        rows = [row for row in rows if row]
        assert len(rows) == len(set(rows))

    def read_back(self) -> None:
        """Compare the recorded tables with what was done."""
        columns.cut(Path(self.folder.name))
        tables = columns.load(Path(self.folder.name))
        table, width = tables["attempts"], self.rows.attempts.row_words
        kept = [(asked, number, attempt) for asked in self.asked for number, attempt in enumerate(asked.attempts) if attempt["row"]]
        assert sorted(attempt["row"] // width for *_, attempt in kept) == list(range(1, len(table)))
        assert self.rows.attempts.lost >= sum(len(asked.attempts) for asked in self.asked) - len(kept)
        names: dict[Asked, int] = {}
        for asked, number, attempt in kept:
            row = table[attempt["row"] // width]
            assert row["flags"] >> 16 & 0xFF == number or self.rows.attempts.lost
            assert {name for name, bit in FLAGS.items() if row["flags"] & bit} == attempt["flags"] or self.rows.attempts.lost
            assert (row["status"], row["wire_bytes"]) == (attempt["status"], attempt["bytes"])
            stamped = sorted((int(row[name]), name) for name in ATTEMPT_STAMPS if row[name])
            assert [name for _, name in stamped if name != "due"] == [name for name in attempt["order"] if name != "due"]
            if not self.rows.attempts.lost:
                assert names.setdefault(asked, int(row["request"])) == row["request"]
                assert asked.number in {None, row["request"]}
        assert len(set(names.values())) == len(names)
        self.resolved(tables)

    def resolved(self, tables: dict[str, np.ndarray]) -> None:
        """What analysis makes of it: every row but the sink once, its phases without overlap or gap."""
        spec = TrialSpec(id="t", arm=Arm(client="fake", loop="virtual"), n=1, tier="timeline", repetition=0, seed=1)
        line = resolve(tables, TrialResult(spec=spec, status="ok", t0_ns=1))
        assert len(line.attempts) == len(tables["attempts"]) - 1
        for attempt in line.attempts:
            assert all(one.end_ns == two.start_ns for one, two in pairwise(attempt.phases))


class LivesWithoutRoom(Lives):
    """The same where only seven rows have room: what is lost is counted, and spoils nothing."""

    capacity = 8


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestLivesWithoutRoom = LivesWithoutRoom.TestCase
TestLivesWithoutRoom.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)


ENDS = {"done", "released"}


@st.composite
def walks(draw: st.DrawFn) -> list[str]:
    """A life by a random walk over the table, none of its stamps but `assigned` twice."""
    order: list[str] = []
    while followers := following(order) - (set(order) - {"assigned"}):
        onward, last = sorted(followers - ENDS), sorted(followers & ENDS)
        go_on = onward and (not last or draw(st.integers(0, 7)))
        order.append(draw(st.sampled_from(onward if go_on else last)))
        if order.count("assigned") > 3 or not draw(st.integers(0, 30)):
            break
    return order


@given(walks())
def test_a_walk_over_the_table_is_legal(order: list[str]) -> None:
    # Whatever the table generates is legal, and so is every beginning of it: a killed process leaves one.
    assert all(legal(order[:end]) is None for end in range(len(order) + 1))


@given(walks(), st.data())
def test_a_stamp_out_of_place_is_recognised(order: list[str], data: st.DataObject) -> None:
    # One stamp put where it may not follow, a legal life becomes an illegal one, and the fault is named.
    at = data.draw(st.integers(0, len(order)))
    before = order[at - 1] if at else ""
    wrong = data.draw(st.sampled_from(sorted(MAY_FOLLOW.keys() - {""} - MAY_FOLLOW[before])))
    assert legal([*order[:at], wrong, *order[at:]]) == f"{wrong!r} may not follow {before or 'the start'!r}"


#: what cannot be before what must have happened first, whatever a table says
CAUSES = (
    ("enqueued", "assigned"), ("enqueued", "resumed"), ("resumed", "send_start"), ("send_start", "first_byte"), ("send_start", "rx_kernel"),
    ("first_byte", "last_byte"), ("headers", "body"), ("last_byte", "body"), ("body", "decoded"), ("created", "first_run"),
)  # fmt: skip


@given(walks(), st.data())
def test_no_effect_comes_before_its_cause(order: list[str], data: st.DataObject) -> None:
    # In no legal life does an effect stand before its cause; exchanging the two makes it illegal.
    pairs = [pair for pair in CAUSES if set(pair) <= set(order)]
    assume(pairs)
    cause, effect = data.draw(st.sampled_from(pairs))
    first, second = order.index(cause), order.index(effect)
    assert first < second
    order[first], order[second] = effect, cause
    assert legal(order) is not None


def test_every_stamp_has_its_place_in_the_table() -> None:
    # The table knows every stamp that an attempt has, each can be reached, and from each a life can end.
    assert set(MAY_FOLLOW) - {""} == set(ATTEMPT_STAMPS)
    reached = {""}
    while more := {name for state in reached for name in MAY_FOLLOW[state]} - reached:
        reached |= more
    assert reached == set(MAY_FOLLOW)
    assert all("done" in MAY_FOLLOW[name] | {name} for name in MAY_FOLLOW if name not in {"", "due"})


def edges() -> Iterator[tuple[str, str]]:
    for state, followers in MAY_FOLLOW.items():
        yield from ((state, name) for name in followers)


def test_the_docs_hold_the_table() -> None:
    # The diagram in the docs is the table, edge by edge; to renew it: python -c "from loopdiag.model.events import diagram; print(diagram())"
    text = diagram()
    for state, name in edges():
        if name not in {"done", "released"}:
            assert (f"    {state or '[*]'} --> {name}\n" in text) == (state != "done")
    assert text in DOCS.read_text(encoding="utf-8")
