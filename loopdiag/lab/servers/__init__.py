"""The embedded target: a process of its own on loopback that serves a scenario and keeps its own account of every request."""

from loopdiag.lab.servers.front import Front
from loopdiag.registry import Registry

#: one file a front; all share the behaviour, the payload and the witness
SERVERS: Registry[type[Front]] = Registry(
    "server",
    {
        "http1": "loopdiag.lab.servers.http1:Http1Front",
        "http2": "loopdiag.lab.servers.http2:Http2Front",
    },
)

#: `target.http` of a scenario → name of the front that speaks it
FRONT_OF = {"1.1": "http1", "2": "http2"}
