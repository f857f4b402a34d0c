"""The client epoll under the instruments: reads ``{"groups": [{"options", "urls"}]}`` on stdin, drives each group on a client of its own, tells the outcomes."""

import json
import sys
import time
from typing import Any, cast

from loopdiag.lab.clients import ClientOptions
from loopdiag.lab.clients.epoll import EpollClient
from loopdiag.lab.measuring import Urls
from loopdiag.lab.workload import instruments
from loopdiag.model.scenario import Pool, Workload


def drive(group: dict[str, Any]) -> dict[str, int]:
    """Make the requests of one group; how many failed in which way."""
    options = dict(group["options"])
    client = EpollClient()
    client.begin(ClientOptions(pool=Pool(**options.pop("pool", {})), **options))
    workload = Workload(timeout_s=options.get("timeout_s", 60.0), concurrency=group.get("concurrency"))
    outcome = client.run(cast("Urls", group["urls"]), workload, marks=instruments())
    client.end()
    return outcome.errors


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    began = time.perf_counter_ns()
    json.dump({"began_ns": began, "errors": [drive(group) for group in asked["groups"]]}, sys.stdout)
