"""The program's locks, and its semaphores of 1, let everyone through: an experiment, which may break what they protect.

A lock that is held counts who came in besides, so that it is released as often as it was acquired, and stays locked until the last one leaves.
"""

from collections.abc import Callable
from typing import Any

from .knob_semaphores import ENOUGH, opened
from .knobs import Told, of_program
from .patching import original, replace

Method = Callable[..., Any]


def install(told: Told, values: "dict[str, Any]") -> None:
    """Patch asyncio's and AnyIO's; a thread's lock is made in C, and stays."""
    if values["lock"]:
        return
    told.seam("asyncio.locks", ("lock",), lambda module: _patch(told, original(module, "Lock"), "_locked"))
    told.seam("asyncio.locks", ("lock",), lambda module: _single(told, module))
    told.seam("anyio._backends._asyncio", ("lock",), lambda module: _patch(told, opened(module, "Lock"), "_owner_task"))


def _patch(told: Told, lock: Any, held: str) -> None:
    """Patch a lock's class, whose attribute `held` is true while somebody holds it."""
    lock._loopdiag_besides = None

    def make_init(before: Method) -> Method:
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
            before(self, *args, **kwargs)
            if of_program():
                self._loopdiag_besides = 0

        return __init__

    def passes(self: Any) -> bool:
        if self._loopdiag_besides is None or not getattr(self, held):
            return False
        self._loopdiag_besides += 1
        told.acted("lock")
        return True

    def make_acquire(before: Method) -> Method:
        async def acquire(self: Any) -> Any:
            return passes(self) or await before(self)

        return acquire

    def make_release(before: Method) -> Method:
        def release(self: Any) -> Any:
            if self._loopdiag_besides:
                self._loopdiag_besides -= 1
                return None
            if held == "_owner_task" and self._loopdiag_besides is not None:  # whoever leaves last need not be who came first
                from asyncio import current_task

                self._owner_task = current_task()
            return before(self)

        return release

    replace(lock, "__init__", make_init)
    replace(lock, "acquire", make_acquire)
    replace(lock, "release", make_release)


def _single(told: Told, module: Any) -> None:
    def make(before: Method) -> Method:
        def __init__(self: Any, value: int = 1, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
            if value == 1 and of_program():
                told.acted("lock")
                value = ENOUGH
            before(self, value, **kwargs)

        return __init__

    for name in ("Semaphore", "BoundedSemaphore"):
        owner = original(module, name)
        if "__init__" in vars(owner):
            replace(owner, "__init__", make)
