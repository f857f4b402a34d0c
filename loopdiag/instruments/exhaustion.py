"""What ran out when a socket was made or connected: descriptors or ports, counted by the error that says so, whoever catches it."""

import errno
from collections.abc import Callable
from types import ModuleType
from typing import Any

from .context import Rows
from .patching import original, replace

#: error number → the counter
RAN_OUT = {errno.EMFILE: "exhausted.descriptors", errno.ENFILE: "exhausted.descriptors", errno.EADDRNOTAVAIL: "exhausted.ports"}


def install(rows: Rows, module: ModuleType) -> None:
    """Count them for the sockets of `module`.

    Raises:
        Missing: it has no such class.
    """
    owner = original(module, "socket")
    for name in ("__init__", "connect"):
        replace(owner, name, lambda before: _counting(rows.counters, before))


def _counting(counters: "dict[str, int]", before: "Callable[..., Any]") -> "Callable[..., Any]":
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return before(self, *args, **kwargs)
        except OSError as error:
            what = RAN_OUT.get(error.errno or 0)
            if what:
                counters[what] = counters.get(what, 0) + 1
            raise

    return call
