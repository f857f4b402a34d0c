"""Thread pools: how long a call waited in its executor's queue, how long it ran, how many threads there were and were busy.

Seams: ``ThreadPoolExecutor.submit`` and the work item that it makes.  asyncio's default executor and ``to_thread`` are such executors.  An item knows its row,
and never its executor, whose end is noticed by weak reference.
"""

import itertools
from _thread import get_ident
from collections.abc import Callable
from types import ModuleType
from typing import Any

from .calibration import each_ns, ignore, opened, priced, scratch_table
from .context import Rows
from .dropping import Drop
from .loops import when_virtual
from .patching import original, replace
from .recorder import now
from .schema import EXECUTOR, MASK, TICK_SHIFT, words

W = words(EXECUTOR)
NUMBER, QUEUED, THREADS, BUSY, STARTED, ENDED = (W[name] for name in ("executor", "queued", "threads", "busy", "started", "ended"))

Method = Callable[..., Any]

#: thread → the row of the call that it works on
WORKING: "dict[int, int]" = {}


class Probe:
    """Stamps the calls of all executors into `table`.

    Args:
        table: the rows.
        give_up: called once, when something fails; the probe is out of the way by then.
    """

    def __init__(self, table: Any, give_up: "Callable[[Exception], None]") -> None:
        self._table, self._give_up = table, give_up
        self._numbers = itertools.count(1)
        self._submitting: dict[int, Any] = {}  # thread → the executor into which it is putting a call
        self.on = True

    def _stop(self, error: Exception) -> None:
        if self.on:
            self.on = False
            self._give_up(error)

    def make_submit(self, before: Method) -> Method:
        """For ``ThreadPoolExecutor.submit``."""
        submitting = self._submitting

        def submit(self_: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            if not self.on:
                return before(self_, fn, *args, **kwargs)
            thread = get_ident()
            submitting[thread] = self_
            try:
                return before(self_, fn, *args, **kwargs)
            finally:
                submitting.pop(thread, None)

        return submit

    def make_init(self, before: Method) -> Method:
        """For ``_WorkItem.__init__``: the executor accepts the call."""

        def __init__(self_: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the patched method's own name
            before(self_, *args, **kwargs)
            executor = self._submitting.pop(get_ident(), None)
            if executor is not None:
                try:
                    self.accepted(executor, self_)
                except Exception as error:  # noqa: BLE001 - a failing probe is dropped, the program runs on
                    self._stop(error)

        return __init__

    def accepted(self, executor: Any, item: Any) -> None:
        """Open the row of a call that `executor` will put into its queue."""
        known = vars(executor).get("_loopdiag")
        if known is None:
            # who is at work: thread → its row; one dictionary operation is atomic, so it needs no lock
            known = executor._loopdiag = (next(self._numbers), {})
        number, busy = known
        row, words_ = self._table.open(), self._table.words
        words_[row + NUMBER] = number
        words_[row + QUEUED] = executor._work_queue.qsize() + 1
        words_[row + THREADS] = len(executor._threads)
        item._loopdiag_row, item._loopdiag_busy = row, busy
        item.future._loopdiag_row = row

    def make_run(self, before: Method) -> Method:
        """For ``_WorkItem.run``, in the executor's thread."""
        words_ = self._table.words

        def run(self_: Any, *args: Any) -> Any:
            row, busy, thread = self_._loopdiag_row, self_._loopdiag_busy, get_ident()
            if not row or not self.on or self_.future.cancelled():
                return before(self_, *args)
            try:
                busy[thread] = WORKING[thread] = row
                words_[row + BUSY] = len(busy)
                words_[row + STARTED] = now() >> TICK_SHIFT & MASK
            except Exception as error:  # noqa: BLE001 - a failing probe is dropped, the program runs on
                self._stop(error)
            try:
                return before(self_, *args)
            finally:
                self_ = None  # as the patched method does: the traceback of a call that raised would keep its item alive
                words_[row + ENDED] = now() >> TICK_SHIFT & MASK
                busy.pop(thread, None)
                WORKING.pop(thread, None)

        return run


def install(rows: Rows, module: ModuleType) -> "dict[str, str]":
    """Watch every thread pool."""
    pool, item = original(module, "ThreadPoolExecutor"), original(module, "_WorkItem")
    for owner, name in ((pool, "submit"), (pool, "_adjust_thread_count"), (item, "run")):
        original(owner, name)

    def switch_off() -> None:
        probe.on = False

    probe = Probe(rows.executor, Drop(rows, "executor"))
    when_virtual.append(switch_off)
    item._loopdiag_row, item._loopdiag_busy = 0, {}
    replace(pool, "submit", probe.make_submit)
    replace(item, "__init__", probe.make_init)
    replace(item, "run", probe.make_run)
    rows.costs["executors"] = lambda: priced(opened(rows.executor), _cost)
    return {}


class _Call:
    """Executor, work item and future in one, as far as `_cost` needs them."""

    _threads = ()
    _loopdiag_row = 1

    def __init__(self) -> None:
        self.future = self._work_queue = self
        self._loopdiag_busy: dict[int, int] = {}

    def qsize(self) -> int:
        return 0

    def cancelled(self) -> bool:
        return False


def _cost() -> float:
    """Nanoseconds a call."""
    probe, item = Probe(scratch_table(), ignore), _Call()
    init, run = probe.make_init(ignore), probe.make_run(ignore)
    submit = probe.make_submit(lambda executor, _fn: init(executor))

    def call() -> None:
        submit(item, None)
        item._loopdiag_row = 1
        run(item)

    return each_ns(call)
