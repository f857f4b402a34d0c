"""The program under the instruments that drives fates: reads a plan on stdin, tells on stdout when it began and what became of each request.

A plan is ``{"client", "loop", "server", "groups": [{"options", "marked", "sequential", "requests": [{"number", "url", ...}]}]}``.  A request may be
cancelled as soon as its instruments show a state (``"cancel": "wait"``), later than another one's end (``"after": 7``), or be given up after a time
(``"within_s"``); it may wait until the connection that served another one is closed (``"closed": 7``).
"""

import asyncio
import contextlib
import json
import sys
import time
from typing import Any

from loopdiag.lab.clients import CLIENTS, Client, ClientOptions
from loopdiag.lab.loops import LOOPS
from loopdiag.model.scenario import Pool

MOST_S = 10.0  # to reach a state; the test then tells what is missing


class Driver:
    """Drives one group of requests on one client."""

    def __init__(self, client: Client, server: str, *, marked: bool) -> None:
        package = sys.modules["loopdiag_instruments"]
        self._context: Any = sys.modules["loopdiag_instruments.context"]
        self._marks: Any = package.marks
        self._client, self._server, self._marked = client, server, marked
        self._ended: dict[int, asyncio.Event] = {}
        self.outcomes: dict[int, str] = {}

    async def run(self, requests: list[dict[str, Any]], *, sequential: bool) -> None:
        """Drive all of them, one after the other in this task, or each in its own at once."""
        self._ended = {one["number"]: asyncio.Event() for one in requests}
        if sequential:
            for one in requests:
                await self._request(one)
            return
        tasks = [(one, asyncio.create_task(self._request(one))) for one in requests]
        watchers = [asyncio.create_task(self._cancel(one, task)) for one, task in tasks if "cancel" in one]
        await asyncio.gather(*(task for _, task in tasks), *watchers, return_exceptions=True)

    async def _request(self, one: dict[str, Any]) -> None:
        if "closed" in one:
            await self._until_closed(one["closed"])
        number = one["number"]
        if self._marked:
            at = time.perf_counter_ns()
            self._marks.begin(number, at, at)
        self.outcomes[number] = "CancelledError"
        try:
            async with asyncio.timeout(one.get("within_s")):
                answer = await self._client.fetch(one["url"])
            self.outcomes[number] = f"{answer.status} {len(answer.body)}"
        except Exception as error:  # noqa: BLE001 - every failure is an outcome
            self.outcomes[number] = type(error).__name__
            if self._marked:
                self._marks.failed()
        finally:
            if self._marked:
                self._marks.end()
            self._ended[number].set()

    async def _cancel(self, one: dict[str, Any], task: "asyncio.Task[None]") -> None:
        until, row = time.monotonic() + MOST_S, 0
        while time.monotonic() < until and not task.done():
            row = self._context._rows_of_tasks.get(id(task), row)
            if row and self._reached(one["cancel"], row):
                break
            await asyncio.sleep(0)
        if "after" in one:
            await self._ended[one["after"]].wait()
        task.cancel()

    def _reached(self, state: str, row: int) -> bool:
        """Whether the instruments show that the attempt in `row` is in `state`."""
        rows, attempt, connection = self._marks._rows, self._context.A, self._context.C
        words = rows.attempts.words
        link = words[row + attempt["connection"]] * rows.connections.row_words
        links = rows.connections.words
        if state == "pool":
            return bool(words[row + attempt["enqueued"]] and not words[row + attempt["assigned"]])
        if state == "connect":
            return bool(link and links[link + connection["tcp_start"]])
        if state == "ssl":
            return bool(link and links[link + connection["tls_start"]])
        if state == "wait":
            return bool(words[row + attempt["send_end"]])
        return bool(words[row + attempt["first_byte"]] and words[row + attempt["headers"]])

    async def _until_closed(self, number: int) -> None:
        """Wait until the server has closed the connection that served request `number`, and this loop has seen it."""
        host, _, port = self._server.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET /ended/{number} HTTP/1.1\r\n\r\n".encode())
        await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        for _ in range(3):
            await asyncio.sleep(0)


async def main(plan: dict[str, Any]) -> dict[int, str]:
    """Drive every group on a client of its own."""
    outcomes: dict[int, str] = {}
    for group in plan["groups"]:
        client = CLIENTS[plan["client"]]()
        options = dict(group["options"])
        pool = Pool(**options.pop("pool", {}))
        await client.open(ClientOptions(pool=pool, **options))
        driver = Driver(client, plan["server"], marked=group["marked"])
        await driver.run(group["requests"], sequential=group["sequential"])
        await client.close()
        outcomes |= driver.outcomes
    return outcomes


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    began = time.perf_counter_ns()
    with asyncio.Runner(loop_factory=LOOPS[asked["loop"]].loop_factory) as runner:
        ended = runner.run(main(asked))
    json.dump({"began_ns": began, "outcomes": ended}, sys.stdout)
