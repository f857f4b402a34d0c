"""All TCP connections of the program go to a server on loopback, whose port ``LOOPDIAG_NULL_SERVER`` tells; what it asked for stands in its requests."""

import os
import socket
from collections.abc import Callable
from typing import Any

from .knobs import Told
from .patching import original, replace

Method = Callable[..., Any]

KNOB = "null_server"


def install(told: Told, values: "dict[str, Any]") -> None:
    """Patch the sockets' connecting and, on uvloop, the loop's."""
    port = os.environ.get("LOOPDIAG_NULL_SERVER", "")
    if not values.get(KNOB):
        return
    if not port.isdecimal():
        told.cannot(KNOB, "there is no such server")
        return
    there = {socket.AF_INET: ("127.0.0.1", int(port)), socket.AF_INET6: ("::ffff:127.0.0.1", int(port))}

    def make_connect(before: Method) -> Method:
        def connect(self: Any, address: Any) -> Any:
            if self.type == socket.SOCK_STREAM and self.family in there:
                told.acted(KNOB)
                address = there[self.family]
            return before(self, address)

        return connect

    def make_connection(before: Method) -> Method:
        async def create_connection(self: Any, protocol_factory: Any, host: Any = None, port: Any = None, **kwargs: Any) -> Any:
            if host is not None and kwargs.get("sock") is None:
                told.acted(KNOB)
                if kwargs.get("ssl"):
                    kwargs["server_hostname"] = kwargs.get("server_hostname") or host
                kwargs.pop("family", None)
                kwargs.pop("local_addr", None)
                host, port = there[socket.AF_INET]
            return await before(self, protocol_factory, host, port, **kwargs)

        return create_connection

    replace(original(socket, "socket"), "connect", make_connect)
    replace(original(socket, "socket"), "connect_ex", make_connect)
    told.seam("uvloop", (KNOB,), lambda module: replace(original(module, "Loop"), "create_connection", make_connection))
