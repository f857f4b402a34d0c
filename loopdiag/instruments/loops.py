"""Event loops from their making to their closing, for whatever watches one: its number, its runs, and what leaves it alone.

A loop's record hangs on the loop itself and goes with it.  Whatever a probe raises here drops that probe, and never reaches the program.
"""

import itertools
from collections.abc import Callable
from typing import Any

from .context import Rows
from .patching import original, replace

#: called when a loop on virtual time is made: what records real time then has nothing to tell
when_virtual: "list[Callable[[], None]]" = []

_numbers = itertools.count(1)  # next() is atomic: loops in several threads need no lock

#: tables and histograms that mean nothing where time is virtual
REAL_TIME = ("iterations", "samples", "pauses", "executor", "scheduled_to_run_ns", "task_start_ns", "callback_ns")


class Never:
    """Stands where nothing samples: no time is due."""

    __slots__ = ()
    due = 1 << 63

    def take(self) -> None:
        """Never called."""


def _nobody(_began: int, _ended: int) -> None:
    """Wants to know of a long iteration."""


class Watched:
    """One loop's record.

    Attributes:
        number: counted from 1 in the order of the loops' first runs; 0 before.
        sampler: its ``due`` (nanoseconds) is compared once an iteration, its ``take()`` called then.
        schedule: the loop's `scheduling.Schedule`, where there is one.
        busy: of a time, in nanoseconds: how long by then the loop has run callbacks since it last waited; None where nobody knows.
        long_ns, stalled: an iteration that ran for longer than `long_ns` is told to ``stalled(began, ended)`` when it is over.
        begin, end, close: called, each with its probe's name, before and after a run, and before the loop closes.
    """

    __slots__ = ("begin", "busy", "close", "end", "long_ns", "number", "sampler", "schedule", "stalled")

    def __init__(self) -> None:
        self.number = 0
        self.sampler: Any = Never()
        self.schedule: Any = None
        self.busy: Callable[[int], int] | None = None
        self.long_ns = Never.due
        self.stalled: Callable[[int, int], None] = _nobody
        self.begin: list[tuple[str, Callable[[], None]]] = []
        self.end: list[tuple[str, Callable[[], None]]] = []
        self.close: list[tuple[str, Callable[[], None]]] = []


Attach = Callable[[Any, Watched], None]


class Loops:
    """All loops of one class; `made` and `first_run` hold (probe's name, ``attach(loop, watched)``), called once for each loop."""

    def __init__(self, rows: Rows, loop_class: Any) -> None:
        """Patch `loop_class`.

        Raises:
            Missing: it is no event loop that we know.
        """
        self._rows = rows
        self.made: list[tuple[str, Attach]] = []
        self.first_run: list[tuple[str, Attach]] = []
        for name in ("__init__", "run_forever", "close"):
            original(loop_class, name)
        replace(loop_class, "__init__", self._make_init)
        replace(loop_class, "run_forever", self._make_run)
        replace(loop_class, "close", self._make_close)

    def _each(self, calls: "list[tuple[str, Any]]", *args: Any) -> None:
        """Call them all; who raises is dropped."""
        for name, call in calls:
            try:
                call(*args)
            except Exception as error:  # noqa: BLE001 - a failing probe is dropped, the program runs on
                self._rows.drop(name, error)

    def _begin(self, loop: Any) -> None:
        """Begin the record of `loop`, unless its time is virtual."""
        if hasattr(loop, "now_ns"):
            self._rows.dropped.update(dict.fromkeys(REAL_TIME, "virtual time"))
            for switch_off in when_virtual:
                switch_off()
            return
        loop._loopdiag = watched = Watched()
        self._each(self.made, loop, watched)

    def _make_init(self, before: "Callable[..., None]") -> "Callable[..., None]":
        def __init__(self_: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
            before(self_, *args, **kwargs)
            self._each([("loops", self._begin)], self_)

        return __init__

    def _make_run(self, before: "Callable[..., Any]") -> "Callable[..., Any]":
        def run_forever(self_: Any) -> Any:
            watched = getattr(self_, "_loopdiag", None)
            if watched is None or self_.is_running() or self_.is_closed():
                return before(self_)  # it says itself what is wrong
            if not watched.number:
                watched.number = next(_numbers)
                if self._rows.program:
                    self._rows.counters["program.loop." + type(self_).__module__.partition(".")[0]] = 1
                self._each(self.first_run, self_, watched)
            self._notice_debug(self_)
            self._each(watched.begin)
            try:
                return before(self_)
            finally:
                self._each(watched.end)
                self._notice_debug(self_)

        return run_forever

    def _make_close(self, before: "Callable[..., Any]") -> "Callable[..., Any]":
        def close(self_: Any) -> None:
            watched = getattr(self_, "_loopdiag", None)
            if watched is not None and not self_.is_running() and not self_.is_closed():
                calls, watched.close = watched.close, []
                self._each(calls)
                watched.begin, watched.end = [], []
            before(self_)

        return close

    def _notice_debug(self, loop: Any) -> None:
        if loop.get_debug() and not self._rows.counters.get("asyncio_debug"):
            self._rows.counters["asyncio_debug"] = 1
            self._rows.warnings.append("asyncio's debug mode is on: it costs 15 µs and more a callback, and so changes what is measured")


_known: "dict[Any, Loops]" = {}


def loops_of(rows: Rows, module: Any) -> Loops:
    """The loops that `module` (``asyncio.selector_events`` or ``uvloop``) makes.

    Raises:
        Missing: it has no loop class that we know.
    """
    loop_class = getattr(module, "BaseSelectorEventLoop", None) or original(module, "Loop")
    if loop_class not in _known:
        _known[loop_class] = Loops(rows, loop_class)
    return _known[loop_class]
