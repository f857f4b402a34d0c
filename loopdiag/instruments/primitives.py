"""What asyncio's own primitives let a task wait on: locks, queues, sleeps, task groups, executors, and the program's own futures.

All of them ask the loop for a future, and most await it at once; the one seam is the loop's ``create_future``, as an attribute of the loop, which looks at the code
that asks.  The primitive itself was noted a moment before, when it asked for its loop (``_LoopBoundMixin._get_loop``).  Futures that may be awaited
later are of a subclass that tells who awaits them, as tasks are (`program_tasks`) and what ``gather`` returns.
"""

import asyncio
import sys
from _thread import get_ident
from asyncio import futures, locks, queues, tasks
from collections.abc import Callable
from types import CodeType, FrameType, ModuleType
from typing import Any

from . import context
from .calibration import each_ns, ignore, opened, priced, scratch_table
from .context import Rows
from .dropping import Drop
from .loops import Watched, loops_of
from .patching import Missing, original, put, replace
from .places import PLACES
from .primitives_made import bound_of, following, number_of, whole
from .program_tasks import tasks_of
from .schema import EXECUTOR as EXECUTOR_FIELDS
from .schema import row_words
from .waits import KINDS, Waiting, add_by, waiter, waiting_of

NAME = "primitives"
JOB_WORDS = row_words(EXECUTOR_FIELDS)

#: kind → of what the thing waited on is one; the others are of their own
WHAT = {"queue-get": "queue", "queue-put": "queue"}

#: who stands outside of a primitive that waits → what it is then
OUTER: "dict[int, str]" = {}


def code_of(function: Any) -> CodeType:
    """The code that runs as `function`, under whatever replaced it.

    Raises:
        Missing: it is not written in Python.
    """
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        raise Missing(f"{function!r} has no code")
    return code


def inner(function: Any, name: str) -> CodeType:
    """The code of the function called `name` that is made in `function`.

    Raises:
        Missing: there is none.
    """
    for part in code_of(function).co_consts:
        if isinstance(part, CodeType) and part.co_name == name:
            return part
    raise Missing(f"{function.__qualname__} has no {name}")


#: code → what it waits on, or is about to
AT_ONCE = (
    (locks.Semaphore, "acquire", "semaphore"),
    (locks.Lock, "acquire", "lock"),
    (locks.Event, "wait", "event"),
    (locks.Condition, "wait", "condition"),
    (queues.Queue, "get", "queue-get"),
    (queues.Queue, "put", "queue-put"),
    (tasks, "_wait", "wait"),
    (tasks, "sleep", "sleep"),
)
#: waits on nothing that has a name
NAMELESS = frozenset({"sleep", "wait", "timeout", "gather"})
FUTURE, SHIELD, JOB = "future", "shield", "job"


def _codes(missing: "dict[str, str]") -> "dict[int, str]":
    """What each code waits on when it asks for a future; what is not there is `missing`."""
    found = {id(code_of(futures.wrap_future)): JOB, id(code_of(tasks.shield)): SHIELD}
    known: list[tuple[Any, str, str]] = list(AT_ONCE)
    if sys.version_info < (3, 12):
        known.append((tasks, "wait_for", "timeout"))
    if sys.version_info >= (3, 11):  # noqa: UP036 - the instruments run on 3.10, too
        from asyncio import taskgroups

        waits_in = "_aexit" if hasattr(taskgroups.TaskGroup, "_aexit") else "__aexit__"  # from 3.14 on, and late releases of 3.12 and 3.13
        known.append((taskgroups.TaskGroup, waits_in, "gather"))
        OUTER[id(code_of(locks.Barrier.wait))] = "barrier"
    for owner, name, kind in known:
        try:
            found[id(code_of(original(owner, name)))] = kind
        except Missing as error:
            missing[f"waits.{kind}"] = str(error)
    iterator = getattr(tasks, "_AsCompletedIterator", None)
    one = inner(tasks.as_completed, "_wait_for_one") if iterator is None else code_of(original(iterator, "_wait_for_one"))
    OUTER[id(one)] = "as-completed"
    return found


class Awaited(asyncio.Future):  # type: ignore[type-arg] # on 3.10 it takes none at run time
    """A future that tells who awaits it."""

    __slots__ = ("_loopdiag_kind", "_loopdiag_number", "_loopdiag_waiting")
    _loopdiag_kind: str
    _loopdiag_number: int
    _loopdiag_waiting: Waiting

    def add_done_callback(self, fn: "Callable[..., Any]", /, *, context: Any = None) -> None:
        """As ever."""
        task = waiter(fn)
        if task is not None:
            self._loopdiag_waiting.begin_at(self._loopdiag_kind, task, self._loopdiag_number)
        add_by(asyncio.Future.add_done_callback, self, fn, context)


Awaited.__name__ = Awaited.__qualname__ = "Future"
Awaited.__module__ = asyncio.Future.__module__


class Probe:
    """What is waited on in every loop.

    Attributes:
        asked: thread → the primitive that has just asked for its loop.
    """

    def __init__(
        self, waiting: Waiting, known: "Callable[[Any], int]", kinds: "dict[int, str]", give_up: "Callable[[Exception], None]"
    ) -> None:
        self._waiting, self._known, self._kinds, self._give_up = waiting, known, kinds, give_up
        self.asked: dict[int, Any] = {}
        self.on = True

    def make_create_future(self, before: "Callable[[], Any]", loop: Any) -> "Callable[[], Any]":
        """For the loop's ``create_future``."""
        kind_of, frame_of = self._kinds.get, sys._getframe

        def create_future() -> Any:
            frame = frame_of(1)
            kind = kind_of(id(frame.f_code))
            if kind == "" or not self.on:
                return before()
            try:
                future = self._future(loop, frame) if kind is None else self._begin(kind, loop, frame)
            except Exception as error:  # noqa: BLE001 - a failing probe is dropped, the program runs on
                self.on = False
                self._give_up(error)
                return before()
            return before() if future is None else future

        return create_future

    def _future(self, loop: Any, frame: FrameType) -> "Awaited | None":
        """For code that asks the first time: the program's own futures are told from those of libraries."""
        PLACES.is_program(frame)  # keeps the code, and so its identity
        self._kinds[id(frame.f_code)] = kind = FUTURE if PLACES.is_program(frame) else ""
        return self._begin(kind, loop, frame) if kind else None

    def _begin(self, kind: str, loop: Any, frame: FrameType) -> "Awaited | None":
        if kind in (FUTURE, SHIELD, JOB):
            return self._later(kind, loop, frame)
        task = context.current_task()
        primitive = None if kind in NAMELESS else self.asked.pop(get_ident(), None)
        place = PLACES.of_own(frame)
        if task is None or place < 0:
            return None
        if primitive is None:
            number, value = following(WHAT.get(kind, kind)), size(kind, frame)
        else:
            kind, primitive = outermost(kind, primitive, frame)
            number, value = number_of(primitive, WHAT.get(kind, kind)), bound_of(primitive)
        self._waiting.begin(KINDS[kind], task, number, value, place)
        return None

    def _later(self, kind: str, loop: Any, frame: FrameType) -> Awaited:
        """A future that may be awaited, and by whom is told then."""
        future = Awaited(loop=loop)
        future._loopdiag_waiting = self._waiting
        if kind == JOB:
            submitted = frame.f_locals.get("future")
            future._loopdiag_kind, future._loopdiag_number = "executor", getattr(submitted, "_loopdiag_row", 0) // JOB_WORDS
        elif kind == SHIELD:
            future._loopdiag_kind, future._loopdiag_number = "task", self._known(frame.f_locals.get("inner"))
        else:
            future._loopdiag_kind, future._loopdiag_number = "future", following("future")
        return future

    def make_get_loop(self, before: "Callable[[Any], Any]") -> "Callable[[Any], Any]":
        """For ``_LoopBoundMixin._get_loop``."""
        asked = self.asked

        def _get_loop(self_: Any) -> Any:
            asked[get_ident()] = self_
            return before(self_)

        return _get_loop


def size(kind: str, frame: FrameType) -> int:
    """How long a sleep is, in µs; how many are waited for together."""
    if kind == "sleep":
        return whole(frame.f_locals["delay"] * 1e6)
    if kind == "wait":
        return len(frame.f_locals["fs"])
    return len(frame.f_locals["self"]._tasks) if kind == "gather" else 0


def outermost(kind: str, primitive: Any, frame: "FrameType | None") -> "tuple[str, Any]":
    """A primitive that is made of others is what is waited on."""
    if kind in ("queue-get", "condition", "event"):
        for _ in range(3):
            frame = frame.f_back if frame is not None else None
            if frame is None:
                break
            outer = OUTER.get(id(frame.f_code))
            if outer is not None:
                return outer, frame.f_locals.get("self", primitive)
    return kind, primitive


def install(rows: Rows, module: ModuleType) -> "dict[str, str]":
    """Watch what is waited on in every loop that `module` makes.

    Raises:
        Missing: asyncio's primitives are not those that we know.
    """
    probe, missing = _probe_of(rows)

    def attach(loop: Any, watched: Watched) -> None:
        if not probe.on:
            return
        loop.create_future = probe.make_create_future(loop.create_future, loop)
        watched.close.append((NAME, lambda: vars(loop).pop("create_future", None)))

    loops_of(rows, module).made.append((NAME, attach))
    return missing


_probes: "dict[int, tuple[Probe, dict[str, str]]]" = {}


def _probe_of(rows: Rows) -> "tuple[Probe, dict[str, str]]":
    """The process's own, made once: its patches are of modules."""
    if id(rows) not in _probes:
        from asyncio import mixins

        missing: dict[str, str] = {}
        numbers = tasks_of(rows)
        waiting = waiting_of(rows, numbers)
        probe = Probe(waiting, numbers.known, _codes(missing), Drop(rows, NAME))
        replace(original(mixins, "_LoopBoundMixin"), "_get_loop", probe.make_get_loop)
        _watch_gathers(waiting)
        rows.costs["waits"] = lambda: priced(opened(rows.waits), _cost)
        _probes[id(rows)] = probe, missing
    return _probes[id(rows)]


def _watch_gathers(waiting: Waiting) -> None:
    gathering = original(tasks, "_GatheringFuture")
    add = original(gathering, "add_done_callback")

    def add_done_callback(self: Any, fn: "Callable[..., Any]", *, context: Any = None) -> None:
        task = waiter(fn)
        if task is not None:
            waiting.begin_at("gather", task, following("gather"), len(self._children))
        add_by(add, self, fn, context)

    put(gathering, "add_done_callback", add_done_callback)


def _cost() -> float:
    """Nanoseconds a wait: it begins, is ended, and its task runs on."""
    waiting = Waiting(scratch_table(), _Known(), ignore)
    woken = _Woken()

    def wait() -> None:
        frame = sys._getframe()
        waiting.begin(0, woken, 0, 0, max(0, PLACES.of_own(frame)))
        waiting.woken(woken, waiting.rows.pop(id(woken), 0), frame)
        waiting.resume(0, ignore, None)

    return each_ns(wait)


class _Known:
    """Tasks, as far as `_cost` needs them."""

    def number(self, _task: Any) -> int:
        return 0

    known = place = number


class _Woken:
    """A task, as far as `_cost` needs it."""
