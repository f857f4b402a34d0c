"""What of a scenario the baselines' clients have no means for: a table."""

from collections.abc import Callable
from typing import Final

from loopdiag.lab.rules import Rule
from loopdiag.lab.scenario_no_effect import clients
from loopdiag.model.scenario import Scenario

#: clients without HTTP/2
HTTP1: Final = ("httpx.get", "tornado", "twisted")
#: client → the keys of the pool that it cannot keep, and why; 0, which removes a limit, is no limit
POOLS: Final = {
    "httpx.get": (("limit", "limit_per_host", "keepalive", "keepalive_s"), "httpx.get has no pool"),
    "tornado": (("keepalive", "keepalive_s"), "tornado keeps no connections"),
    "twisted": (("limit", "limit_per_host"), "twisted bounds its idle connections only"),
}


def _http2(client: str) -> Callable[[Scenario], bool]:
    return lambda s: client in clients(s) and s.target.http == "2"


def _pool(client: str, name: str) -> Callable[[Scenario], bool]:
    return lambda s: client in clients(s) and bool(getattr(s.pool, name))


BASELINES: Final = (
    *(
        Rule("target.http", "arms", _http2(client), f'{client} cannot speak HTTP/2; set http = "1.1", or remove the {client} arms')
        for client in HTTP1
    ),
    *(
        Rule(f"pool.{name}", "arms", _pool(client, name), f"{why}; remove the key, or the {client} arms")
        for client, (names, why) in POOLS.items()
        for name in names
    ),
)
