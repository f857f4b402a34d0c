"""What ladders and the clients at their foot ask of a scenario's keys."""

from operator import attrgetter
from typing import Final

from msgspec.structs import fields

from loopdiag.lab.rules import Rule
from loopdiag.lab.scenario_no_effect import clients
from loopdiag.model.scenario import Plant, Scenario

#: clients that read HTTP themselves
OWN_HTTP: Final = frozenset({"epoll", "protocol", "streams"})


def _strangers(scenario: Scenario) -> list[str]:
    from loopdiag.lab.clients import CLIENTS

    return [name for name in scenario.ladder.rungs if name not in CLIENTS]


def _asks(scenario: Scenario, client: str, key: str, default: object) -> bool:
    return client in clients(scenario) and attrgetter(key)(scenario) != default


LADDER: Final = (
    Rule(
        "ladder.rungs",
        "",
        lambda s: bool(_strangers(s)),
        "expected names of clients, got {s.ladder.rungs}; `loopdiag list clients` tells them",
    ),
    Rule(
        "ladder.rungs",
        "",
        lambda s: bool(s.ladder.rungs) and (len(s.ladder.rungs) < 2 or len(set(s.ladder.rungs)) < len(s.ladder.rungs)),
        "expected at least two different clients, from the ground up, got {s.ladder.rungs}",
    ),
    Rule(
        "target.http",
        "arms",
        lambda s: s.target.http == "2" and bool(OWN_HTTP & clients(s)),
        'the clients epoll, protocol and streams speak HTTP/1.1 only; set http = "1.1", or remove their arms',
    ),
    *(
        Rule(
            key,
            "arms",
            lambda s, key=key, default=default: _asks(s, "epoll", key, default),  # type: ignore[misc] # mypy cannot type a lambda's default
            "the client epoll has no loop in which this could happen; remove the key, or the epoll arm",
        )
        for key, default in (
            ("workload.kind", "closed"),
            ("workload.retries", 0),
            *((f"workload.plant.{field.name}", field.default) for field in fields(Plant)),
        )
    ),
)
