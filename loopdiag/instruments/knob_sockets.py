"""TCP_NODELAY on every connection, whatever the program sets."""

import socket
from collections.abc import Callable
from typing import Any

from .knobs import Told
from .patching import original, replace

Method = Callable[..., Any]

OPTION = (socket.IPPROTO_TCP, socket.TCP_NODELAY)


def install(told: Told, values: "dict[str, Any]") -> None:
    """Patch the sockets' connecting and their options; uvloop's own transports have it set by themselves."""
    if not values.get("nodelay"):
        return
    owner = original(socket, "socket")

    def make_connect(before: Method) -> Method:
        def connect(self: Any, address: Any) -> Any:
            if self.family in {socket.AF_INET, socket.AF_INET6} and self.type == socket.SOCK_STREAM:
                self.setsockopt(*OPTION, 1)
                told.acted("nodelay")
            return before(self, address)

        return connect

    def make_option(before: Method) -> Method:
        def setsockopt(self: Any, *args: Any) -> Any:
            if args[:2] == OPTION and args[2:] == (0,):
                told.acted("nodelay")
                args = (*OPTION, 1)
            return before(self, *args)

        return setsockopt

    replace(owner, "setsockopt", make_option)
    replace(owner, "connect", make_connect)
    replace(owner, "connect_ex", make_connect)
