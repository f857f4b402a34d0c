"""AnyIO's own primitives on asyncio: its semaphore, lock, limiter and worker threads; its events, sleeps and task groups wait as asyncio's do.

Seams: the coroutines that wait.  A task in one of them may wait, on a future that asks no loop; if it does, its wake-up tells (`waits`).
"""

import sys
from collections.abc import Callable, Coroutine
from types import ModuleType
from typing import Any

from . import context, primitives_made
from .context import Rows
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
    waiting = waiting_of(rows, tasks_of(rows))
    for owner, name, kind in MAY_WAIT:
        try:
            _watch(waiting, original(module, owner), name, kind)
        except Missing as error:
            missing[f"waits.anyio.{kind}"] = str(error)
    for owner, name, kind in (("CapacityLimiter", "acquire_on_behalf_of", "limiter"), ("TaskGroup", "__aexit__", "gather")):
        try:
            OUTER[id(code_of(original(original(module, owner), name)))] = kind
        except Missing as error:
            missing[f"waits.anyio.{kind}"] = str(error)
    return missing | primitives_made.install(rows, module)


def _watch(waiting: Waiting, owner: Any, name: str, kind: str) -> None:
    def make(before: Method) -> Method:
        async def wait(self_: Any, *args: Any, **kwargs: Any) -> Any:
            task = context.current_task()
            named = kind != "executor"
            number, value = (number_of(self_, kind), bound_of(self_)) if named else (0, 0)
            waiting.maybe(kind, task, number, value, PLACES.of_own(sys._getframe(1)))
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
