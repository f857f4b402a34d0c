"""When tasks are created: the loop's ``create_task`` says so to its schedule, which times their first step.

``create_task`` as an attribute of the loop sees the same tasks as a task factory would, and leaves the program's factory, and what
``get_task_factory`` tells (anyio asks it), as they are.  An eager task runs inside its creation: it is counted, with a delay of 0.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from . import context
from .calibration import each_ns, ignore, priced
from .context import A, Rows
from .dropping import Drop
from .loops import Watched, loops_of
from .patching import Missing
from .scheduling import BUCKETS, EAGER_EXISTS, TASKS, Schedule, histogram
from .schema import FLAGS

FLAGS_WORD, EAGER = A["flags"], FLAGS["eager"]


def install(rows: Rows, module: ModuleType) -> "dict[str, str]":
    """Watch the creation of every loop's tasks."""
    counters, tasks = rows.counters, histogram(rows, TASKS)

    give_up = Drop(rows, TASKS)

    def eager(task: Any) -> None:
        tasks[0] += 1
        counters["eager_tasks"] = counters.get("eager_tasks", 0) + 1
        row = context._rows_of_tasks.get(id(task), 0)
        if row:
            rows.attempts.words[row + FLAGS_WORD] |= EAGER

    def attach(loop: Any, watched: Watched) -> None:
        if give_up.done:
            return
        if watched.schedule is None:
            raise Missing("nothing times what the loop schedules")
        loop.create_task = timed_create_task(loop.create_task, watched.schedule, eager, give_up)
        watched.close.append((TASKS, lambda: vars(loop).pop("create_task", None)))

    loops_of(rows, module).made.append((TASKS, attach))
    rows.costs["tasks"] = lambda: priced(sum(tasks), _cost)
    return {}


def timed_create_task(
    before: "Callable[..., Any]", schedule: Schedule, eager: "Callable[[Any], None]", give_up: "Callable[[Exception], None]"
) -> "Callable[..., Any]":
    """`before` (a loop's ``create_task``) with its first step announced to `schedule`."""
    broken = False

    def create_task(coro: Any, **kwargs: Any) -> Any:
        nonlocal broken
        if broken:
            return before(coro, **kwargs)
        try:
            creator, outer = schedule.creator, schedule.expecting
            schedule.creator = context.current_task() if EAGER_EXISTS else None
            schedule.expecting = True
        except Exception as error:  # noqa: BLE001 - a failing probe is dropped, the program runs on
            broken, schedule.expecting = True, False
            give_up(error)
            return before(coro, **kwargs)
        try:
            task = before(coro, **kwargs)
        finally:
            started = not schedule.expecting
            schedule.creator, schedule.expecting = creator, outer
        if EAGER_EXISTS and not started:
            eager(task)
        return task

    return create_task


def _cost() -> float:
    """Nanoseconds a task, beside what its first step costs as a callback."""

    def nothing(coro: Any) -> None:
        schedule.expecting = False

    schedule = Schedule([0] * BUCKETS, [0] * BUCKETS)
    timed = timed_create_task(nothing, schedule, ignore, ignore)
    return each_ns(lambda: timed(None)) - each_ns(lambda: nothing(None))
