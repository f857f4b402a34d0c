"""AnyIO's own primitives on asyncio: its semaphore, lock, limiter and worker threads; its events, sleeps and task groups wait as asyncio's do.

Seams: the coroutines that wait.  A task in one of them may wait, on a future that asks no loop; if it does, its wake-up tells (`waits`).
"""

import sys
from collections.abc import Callable, Coroutine
from types import ModuleType
from typing import Any

from . import context, primitives_made
from .context import Rows
from .dropping import Drop
from .patching import Missing, original, put, replace
from .places import PLACES
from .primitives import OUTER, code_of
from .primitives_made import bound_of, number_of
from .program_tasks import tasks_of
from .waits import Waiting, waiting_of

Method = Callable[..., Coroutine[Any, Any, Any]]

#: (class, method, kind)
MAY_WAIT = (("Semaphore", "acquire", "semaphore"), ("Lock", "acquire", "lock"), ("AsyncIOBackend", "run_sync_in_worker_thread", "executor"))


def install(rows: Rows, module: ModuleType) -> "dict[str, str]":
    """Watch them; returns what cannot be."""
    missing: dict[str, str] = {}
    waiting, give_up = waiting_of(rows, tasks_of(rows)), Drop(rows, "waits.anyio")
    for owner, name, kind in MAY_WAIT:
        try:
            _watch(waiting, original(module, owner), name, kind, give_up)
        except Missing as error:
            missing[f"waits.anyio.{kind}"] = str(error)
    for owner, name, kind in (("CapacityLimiter", "acquire_on_behalf_of", "limiter"), ("TaskGroup", "__aexit__", "gather")):
        try:
            OUTER[id(code_of(original(original(module, owner), name)))] = kind
        except Missing as error:
            missing[f"waits.anyio.{kind}"] = str(error)
    return missing | primitives_made.install(rows, module)


def _watch(waiting: Waiting, owner: Any, name: str, kind: str, give_up: Drop) -> None:
    def make(before: Method) -> Method:
        async def wait(self_: Any, *args: Any, **kwargs: Any) -> Any:
            task = context.current_task()
            if task is None or give_up.done:  # without a task, whoever drives the coroutine waits
                return await before(self_, *args, **kwargs)
            try:
                number, value = (number_of(self_, kind), bound_of(self_)) if kind != "executor" else (0, 0)
                waiting.maybe(kind, task, number, value, PLACES.of_own(sys._getframe(1)))
            except Exception as error:  # noqa: BLE001 - a failing probe is dropped, the program runs on
                give_up(error)
            try:
                return await before(self_, *args, **kwargs)
            finally:
                waiting.surely_not(task)

        return wait

    method = vars(owner).get(name)
    if not isinstance(method, classmethod):
        replace(owner, name, make)
        return
    watched = make(method.__func__)
    watched.__name__ = name
    put(owner, name, classmethod(watched))
