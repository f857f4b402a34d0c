"""uvloop's iterations, seen through the libuv symbols that its wheel exports: a prepare callback and the idle-time metric.

libuv's order is idle (uvloop's ready batch), prepare, poll with the I/O callbacks, check.  So prepare to check is not waiting; the wait is the growth of
``uv_metrics_idle_time``.  An iteration's row is written at the next prepare.  Handle memory is ours, the handle is unreferenced, and it is stopped and closed
before the loop closes.
"""

import ctypes
from collections.abc import Callable
from types import ModuleType
from typing import Any

from . import dns
from .context import Rows
from .patching import Missing, original, replace
from .recorder import now
from .schema import ITERATION, MASK, TICK_SHIFT, words

W = words(ITERATION)
POLL, RUN, THREAD = W["poll"], W["run"], W["thread"]

UV_METRICS_IDLE_TIME = 1  # uv_loop_option of libuv >= 1.39
HANDLE_BYTES = 512  # more than uv_handle_size of a prepare handle in any libuv 1.x

CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def install(rows: Rows, module: ModuleType) -> "dict[str, str]":
    """Watch every uvloop loop from its first run on, and its name look-ups."""
    loop_class = original(module, "Loop")
    dns.watch(rows, loop_class)
    not_observed = {"iterations.ready": "uvloop does not show its ready queue", "iterations.events": "uvloop does not show its events"}
    try:
        uv, handle_of = _library()
    except (OSError, AttributeError, Missing, ImportError) as error:
        not_observed["iterations"] = f"this uvloop does not export libuv: {error}"
        return not_observed
    numbers = [0]
    probes: dict[int, _Probe] = {}

    def make_run(before: "Callable[..., Any]") -> "Callable[..., Any]":
        def run_forever(self: Any) -> Any:
            if id(self) not in probes:
                numbers[0] += 1
                probes[id(self)] = _Probe(uv, handle_of(self), rows.iterations, numbers[0])
            return before(self)

        return run_forever

    def make_close(before: "Callable[..., Any]") -> "Callable[..., Any]":
        def close(self: Any) -> None:
            probe = probes.pop(id(self), None)
            if probe is not None and not self.is_closed() and not self.is_running():
                probe.close()
            before(self)

        return close

    replace(loop_class, "run_forever", make_run)
    replace(loop_class, "close", make_close)
    return not_observed


def _library() -> "tuple[Any, Callable[[Any], Any]]":
    """The libuv inside uvloop's extension module, with its argument types declared, and the way to a loop's handle.

    Raises:
        OSError, AttributeError, Missing: the symbols are not exported.
    """
    from uvloop import loop

    uv = ctypes.CDLL(loop.__file__)
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
    return uv, original(loop, "libuv_get_loop_t_ptr")


class _Probe:
    """The prepare handle of one loop."""

    def __init__(self, uv: Any, capsule: Any, table: Any, number: int) -> None:
        get = ctypes.pythonapi.PyCapsule_GetPointer
        get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
        self._uv = uv
        pointer = get(capsule, None)
        uv.uv_loop_configure(pointer, UV_METRICS_IDLE_TIME)
        self._memory = ctypes.create_string_buffer(HANDLE_BYTES)
        self._callback = CALLBACK(_recorder(uv, pointer, table, number))  # kept alive here as long as libuv may call it
        handle = ctypes.cast(self._memory, ctypes.c_void_p)
        self._handle = handle
        uv.uv_prepare_init(pointer, handle)
        uv.uv_prepare_start(handle, self._callback)
        uv.uv_unref(handle)

    def close(self) -> None:
        """Stop and close the handle; the loop's own closing then frees it."""
        self._uv.uv_prepare_stop(self._handle)
        self._uv.uv_close(self._handle, None)


def _recorder(uv: Any, pointer: int, table: Any, number: int) -> "Callable[[Any], None]":
    words_, quads, open_row = table.words, table.quads, table.open
    idle_time = uv.uv_metrics_idle_time
    last = [0, 0, idle_time(pointer)]  # the open row, its start, the idle time then

    def prepared(_handle: Any) -> None:
        row = open_row()
        at = quads[row >> 1]
        idle = idle_time(pointer)
        previous, begun, before = last
        if previous:
            waited = idle - before
            words_[previous + POLL] = waited >> TICK_SHIFT & MASK
            words_[previous + RUN] = max(0, now() - begun - waited) >> TICK_SHIFT & MASK
        words_[row + THREAD] = number
        last[0], last[1], last[2] = row, at, idle

    return prepared
