"""``asyncio.Task`` while a program is watched: a subclass of C's that tells who awaits it, under the name of its parent.

C asks a task that is exactly its own nothing when another one awaits it, and everything that makes tasks finds the class by its name.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from .patching import put
from .waits import WAKEUP, Numbered, Waiting, add_by, waiter

PLAIN: Any = asyncio.Task  # this is imported before anything is put in its place


def awaited_task(tasks: Numbered, waiting: Waiting) -> type:
    """A class of tasks that tell who awaits them."""
    add = PLAIN.add_done_callback

    class Task(PLAIN):  # type: ignore[misc] # it is whatever is there
        __slots__ = ("_loopdiag",)
        _loopdiag: int

        def add_done_callback(self, fn: "Callable[..., Any]", /, *, context: Any = None) -> None:
            if type(fn) is WAKEUP and (task := waiter(fn)) is not None:
                waiting.begin_at("task", task, tasks.known(self))
            add_by(add, self, fn, context)

    Task.__qualname__ = "Task"
    Task.__module__, Task.__doc__ = PLAIN.__module__, PLAIN.__doc__
    return Task


def put_class(task_class: Any) -> None:
    """Have ``asyncio.Task`` be this class, so that ``type(task) is asyncio.Task`` stays true, as it is in a program that nobody watches."""
    makes_eager = getattr(asyncio.tasks, "create_eager_task_factory", None)
    for module in (asyncio.tasks, asyncio):
        put(module, "Task", task_class)
    if makes_eager is not None:  # asyncio's own factory keeps the class that it was made with
        factory = makes_eager(task_class)
        for module in (asyncio.tasks, asyncio):
            put(module, "eager_task_factory", factory)
