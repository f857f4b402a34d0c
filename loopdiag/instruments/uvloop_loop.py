"""uvloop's iterations, seen through the libuv symbols that its wheel exports: a prepare callback and the idle-time metric.

libuv's order is idle (uvloop's ready batch), prepare, poll with the I/O callbacks, check.  So prepare to check is not waiting; the wait is the growth of
``uv_metrics_idle_time``.  A row lasts from one prepare to the next, the first one from the run's beginning.  Handle memory is ours, the handle is
unreferenced, and it is stopped and closed before the loop closes.

The callback is a CFUNCTYPE, because libuv runs without the GIL; it declares no argument, because converting one costs more than all the rest of the
way in.  libuv itself is called with the GIL held (PyDLL): the metrics take nanoseconds.
"""

import ctypes
from array import array
from collections.abc import Callable
from types import ModuleType
from typing import Any

from . import dns
from .calibration import each_ns, ignore, opened, priced, scratch_table
from .context import Rows
from .dropping import Drop
from .loops import Watched, loops_of
from .patching import Missing, original
from .recorder import now
from .schema import ITERATION, MASK, TICK_SHIFT, words

W = words(ITERATION)
POLL, RUN, EVENTS, THREAD = W["poll"], W["run"], W["events"], W["thread"]

UV_METRICS_IDLE_TIME = 1  # uv_loop_option of libuv >= 1.39
HANDLE_BYTES = 512  # more than uv_handle_size of a prepare handle in any libuv 1.x
METRICS_WORDS = 16  # uv_metrics_t: loop_count, events, events_waiting, and 13 in reserve
METRICS_EVENTS = 1

CALLBACK = ctypes.CFUNCTYPE(None)


def install(rows: Rows, module: ModuleType) -> "dict[str, str]":
    """Watch every uvloop loop from its first run on, and its name look-ups."""
    dns.watch(rows, original(module, "Loop"))
    loops = loops_of(rows, module)
    not_observed = {
        "iterations.ready": "uvloop does not show its ready queue",
        "executor.libuv": "uvloop looks names up in libuv's own threads, and they show no queue",
    }
    try:
        uv, pointer_of = _library()
    except (OSError, AttributeError, Missing, ImportError) as error:
        not_observed["iterations"] = f"this uvloop does not export libuv: {error}"
        return not_observed
    info = getattr(uv, "uv_metrics_info", None)
    if info is None:
        not_observed["iterations.events"] = "this libuv does not count its events (before 1.45)"
    elif not rows.level:
        info = None
        not_observed["iterations.events"] = "watched from level 'detailed' on"

    drop = Drop(rows, "iterations")

    def attach(loop: Any, watched: Watched) -> None:
        if drop.done:
            return
        probe = _Probe(uv, pointer_of(loop), info, loop, watched, rows.iterations, drop)
        watched.begin.append(("iterations", probe.begin))
        watched.end.append(("iterations", probe.end))
        watched.close.append(("iterations", probe.close))
        rows.costs["iterations"] = lambda: priced(opened(rows.iterations), lambda: _cost(uv, info))

    loops.first_run.append(("iterations", attach))
    return not_observed


def _library() -> "tuple[Any, Callable[[Any], int]]":
    """The libuv inside uvloop's extension module, with its argument types declared, and the way to a loop's address.

    Raises:
        OSError, AttributeError, Missing: the symbols are not exported.
    """
    from uvloop import loop

    uv = ctypes.PyDLL(loop.__file__)
    pointer = ctypes.c_void_p
    uv.uv_metrics_idle_time.restype = ctypes.c_uint64
    uv.uv_metrics_idle_time.argtypes = [pointer]
    uv.uv_loop_configure.argtypes = [pointer, ctypes.c_int]
    uv.uv_prepare_init.argtypes = [pointer, pointer]
    uv.uv_prepare_start.argtypes = [pointer, CALLBACK]
    uv.uv_prepare_stop.argtypes = [pointer]
    uv.uv_unref.argtypes = [pointer]
    uv.uv_unref.restype = None
    uv.uv_close.argtypes = [pointer, pointer]
    uv.uv_close.restype = None
    uv.uv_loop_size.restype = ctypes.c_size_t
    if hasattr(uv, "uv_metrics_info"):
        uv.uv_metrics_info.argtypes = [pointer, pointer]
    capsule_of = original(loop, "libuv_get_loop_t_ptr")
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = pointer, [ctypes.py_object, ctypes.c_char_p]
    return uv, lambda loop: get(capsule_of(loop), None)


class _Probe:
    """The prepare handle of one loop."""

    def __init__(self, uv: Any, pointer: int, info: Any, loop: Any, watched: Watched, table: Any, drop: Drop) -> None:  # noqa: PLR0913, PLR0917 - what a handle ties together
        def give_up(error: Exception) -> None:
            uv.uv_prepare_stop(self._handle)
            drop(error)

        def interrupted(error: BaseException) -> None:
            loop.call_soon(_raise, error)  # nothing may leave a C callback: the loop itself raises it, as it would have

        self._uv = uv
        uv.uv_loop_configure(pointer, UV_METRICS_IDLE_TIME)
        self._memory = ctypes.create_string_buffer(HANDLE_BYTES)
        self._handle = ctypes.cast(self._memory, ctypes.c_void_p)
        prepared, self.begin, self.end = recorder(uv, pointer, info, table, watched, give_up, interrupted)
        self._callback = CALLBACK(prepared)  # kept alive here as long as libuv may call it
        uv.uv_prepare_init(pointer, self._handle)
        uv.uv_prepare_start(self._handle, self._callback)
        uv.uv_unref(self._handle)

    def close(self) -> None:
        """Stop and close the handle; the loop's own closing then frees it."""
        self._uv.uv_prepare_stop(self._handle)
        self._uv.uv_close(self._handle, None)


def _raise(error: BaseException) -> None:
    raise error


def recorder(  # noqa: PLR0913, PLR0915, PLR0917 - what an iteration's row is made of
    uv: Any,
    pointer: int,
    info: Any,
    table: Any,
    watched: Watched,
    give_up: "Callable[[Exception], None]",
    interrupted: "Callable[[BaseException], None]",
) -> "tuple[Callable[[], None], Callable[[], None], Callable[[], None]]":
    """What to call at every prepare, when a run begins, and when it ends."""
    words_, quads, open_row, number, sampler = table.words, table.quads, table.open, watched.number, watched.sampler
    idle_time = uv.uv_metrics_idle_time
    metrics = array("Q", bytes(8 * METRICS_WORDS))
    address = metrics.buffer_info()[0]
    last = begun = idle = events = 0  # the open row, its start, the idle time and the events then
    broken = False

    def prepared() -> None:
        nonlocal last, begun, idle, events, broken
        try:
            row = open_row()
            at = quads[row >> 1]
            before, idle = idle, idle_time(pointer)
            if last:
                waited = idle - before
                ran = at - begun - waited
                if waited:
                    words_[last + POLL] = waited >> TICK_SHIFT & MASK
                if ran > 0:
                    words_[last + RUN] = ran >> TICK_SHIFT & MASK
                    if ran > watched.long_ns:
                        watched.stalled(begun + waited, at)
            if info is not None:
                info(pointer, address)
                if last:
                    words_[last + EVENTS] = metrics[METRICS_EVENTS] - events & MASK
                events = metrics[METRICS_EVENTS]
            words_[row + THREAD] = number
            last, begun = row, at
            if at >= sampler.due:
                sampler.take()
        except Exception as error:  # noqa: BLE001 - a failing probe is dropped, the program runs on
            broken, last = True, 0
            give_up(error)
        except BaseException as error:  # noqa: BLE001 - a KeyboardInterrupt, which is the program's
            interrupted(error)

    def begin() -> None:
        if not broken:
            prepared()

    def end() -> None:
        nonlocal last
        if last:
            waited, at = idle_time(pointer) - idle, now()
            words_[last + POLL] = waited >> TICK_SHIFT & MASK
            words_[last + RUN] = max(0, at - begun - waited) >> TICK_SHIFT & MASK
            if at - begun - waited > watched.long_ns:
                watched.stalled(begun + waited, at)
        last = 0

    def busy(at: int) -> int:
        return at - begun - idle_time(pointer) + idle if last else 0  # libuv counts its idle time on while it waits

    watched.busy = busy
    return prepared, begin, end


def _cost(uv: Any, info: Any) -> float:
    """Nanoseconds an iteration: the callback as C calls it, over a C function that does nothing."""
    memory = ctypes.create_string_buffer(uv.uv_loop_size())
    pointer = ctypes.addressof(memory)
    uv.uv_loop_init.argtypes = uv.uv_loop_close.argtypes = [ctypes.c_void_p]
    if uv.uv_loop_init(pointer):
        raise OSError("no loop to calibrate on")
    try:
        prepared, *_ = recorder(uv, pointer, info, scratch_table(), Watched(), ignore, ignore)
        return each_ns(CALLBACK(prepared)) - each_ns(uv.uv_version)
    finally:
        uv.uv_loop_close(pointer)
