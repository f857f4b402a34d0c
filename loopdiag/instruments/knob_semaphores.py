"""Another value for the program's semaphores of 2 and more: asyncio's, the threads', AnyIO's, and AnyIO's limiters.

With a place, only those that are made there, or from their first use there those that are entered there.
"""

from collections.abc import Callable
from typing import Any

from .knobs import Told, comes_from, of_program
from .patching import original, replace

Method = Callable[..., Any]

ENOUGH = 1 << 30  # nobody waits


def install(told: Told, values: "dict[str, Any]") -> None:
    """Patch the semaphores' making and, where a place is asked for, their use."""
    if "semaphore" not in values:
        told.cannot("semaphore_place", "no value is given")
        return
    knob = _Knob(told, values["semaphore"] or ENOUGH, values.get("semaphore_place"))
    told.seam("asyncio.locks", ("semaphore",), lambda module: knob.patch(module, "value"))
    told.seam("threading", ("semaphore",), lambda module: knob.patch(module, "value"))
    told.seam("anyio._backends._asyncio", ("semaphore",), knob.patch_anyio)


def opened(module: Any, name: str) -> Any:
    """Put in the place of a module's class, whose objects hold nothing but its slots, one whose objects can be noted on."""
    slotted = original(module, name)
    made = type(name, (slotted,), {"__doc__": slotted.__doc__, "__module__": slotted.__module__, "__qualname__": slotted.__qualname__})
    setattr(module, name, made)
    return made


class _Knob:
    """The knob, turned.

    Args:
        told: who hears of it.
        value: of the semaphores.
        place: None: of all.
    """

    def __init__(self, told: Told, value: int, place: "str | None") -> None:
        self._told, self._value, self._place = told, value, place

    def patch(self, module: Any, parameter: str) -> None:
        """Patch a module's ``Semaphore`` and ``BoundedSemaphore``."""
        for name in ("Semaphore", "BoundedSemaphore"):
            owner = original(module, name)
            if "__init__" in vars(owner):
                replace(owner, "__init__", lambda before: self._make_init(before, parameter))
        owner = original(module, "Semaphore")
        if self._place is not None and module.__name__ == "asyncio.locks":
            replace(owner, "acquire", self._make_acquire)

    def patch_anyio(self, module: Any) -> None:
        """Patch the classes behind AnyIO's."""
        semaphore = opened(module, "Semaphore")
        replace(semaphore, "__init__", lambda before: self._make_init(before, "initial_value"))
        replace(opened(module, "CapacityLimiter"), "__init__", lambda before: self._make_init(before, "total_tokens"))
        if self._place is not None:
            replace(semaphore, "acquire", self._make_acquire)

    def _make_init(self, before: Method, parameter: str) -> Method:
        def __init__(self_: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
            was = args[0] if args else kwargs.get(parameter, 1)
            known = getattr(self_, "_loopdiag_was", None)  # a class calls the one that it inherits from, and AnyIO makes its own twice
            if known is None and _limits(was) and of_program():
                known = was if self._place is not None and not comes_from(self._place) else self._value
                _note(self_, known)
                if known == self._value:
                    self._told.acted("semaphore")
            if known != self._value:
                before(self_, *args, **kwargs)
                return
            if kwargs.get("max_value") is not None:
                kwargs["max_value"] = max(self._value, kwargs["max_value"])
            rest = {name: each for name, each in kwargs.items() if name != parameter}
            before(self_, self._value, *args[1:], **rest)

        return __init__

    def _make_acquire(self, before: Method) -> Method:
        async def acquire(self_: Any, *args: Any, **kwargs: Any) -> Any:
            was = getattr(self_, "_loopdiag_was", None)
            if was is not None and was != self._value and self._place is not None and comes_from(self._place):
                _note(self_, self._value)
                self_._value += self._value - was
                for name in ("_bound_value", "_max_value"):
                    if getattr(self_, name, None) is not None:
                        setattr(self_, name, self._value)
                self._told.acted("semaphore")
            return await before(self_, *args, **kwargs)

        return acquire


def _limits(value: Any) -> bool:
    return isinstance(value, int) and value > 1


def _note(semaphore: Any, value: int) -> None:
    """Its value, of which the classes that it inherits from then hear nothing new."""
    semaphore._loopdiag_was = value
