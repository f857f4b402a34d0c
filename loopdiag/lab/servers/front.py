"""What a front is: the part of the embedded target that speaks one version of HTTP."""

import socket
from typing import Protocol

from loopdiag.lab.servers.behaviour import Behaviour
from loopdiag.lab.servers.limits import Limits
from loopdiag.lab.servers.tls import Identity
from loopdiag.lab.servers.witness import Witness


class Front(Protocol):
    """Serves `behaviour` within `limits` on listening sockets inside a running loop and enters every request into `witness`.

    Raises:
        InputError: from the constructor, where the scenario asks for what this version of HTTP cannot do.
    """

    def __init__(self, behaviour: Behaviour, limits: Limits, witness: Witness) -> None: ...

    async def start(self, sockets: list[socket.socket], identity: Identity | None) -> None:
        """Serve on `sockets`, which listen already; with TLS where there is an `identity`."""
        ...

    async def stop(self) -> None:
        """Stop serving; open connections are cut."""
        ...
