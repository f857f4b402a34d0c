"""A program that fetches N URLs at once, over and over, each burst under another watcher, and prints the CPU a request of every burst.

One process holds all variants, in an order shuffled anew each round, because processes differ among themselves (memory layout, hash seeds, the machine's mood) by more
than a watcher costs.  It is started with the instruments injected, and takes them out of the way (``patching.undo``) for every variant but ``light``.
"""

import asyncio
import contextlib
import gc
import json
import os
import random
import ssl
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from typing import Any

TRACE_HOOKS = (
    "request_start", "request_end", "request_exception", "request_redirect", "request_chunk_sent", "request_headers_sent",
    "response_chunk_received", "connection_queued_start", "connection_queued_end", "connection_create_start", "connection_create_end",
    "connection_reuseconn", "dns_resolvehost_start", "dns_resolvehost_end", "dns_cache_hit", "dns_cache_miss",
)  # fmt: skip


class Watcher:
    """What watches one burst; `session` are arguments of the client, `request` arguments of each request."""

    def __init__(self, client: str, name: str) -> None:
        self.client, self.name = client, name
        self.stamps: list[tuple[str, int]] = []
        self.session: dict[str, Any] = {}
        self.request: dict[str, Any] = {}
        if name == "TraceConfig":
            self.session["trace_configs"] = [self._trace_config()]
        elif name == "trace extension":
            self.request["extensions"] = {"trace": self._event}

    def _trace_config(self) -> Any:
        import aiohttp

        config = aiohttp.TraceConfig()
        for hook in TRACE_HOOKS:

            async def stamp(_session: object, _context: object, _params: object, hook: str = hook) -> None:
                self.stamps.append((hook, time.perf_counter_ns()))

            getattr(config, f"on_{hook}").append(stamp)
        return config

    async def _event(self, name: str, _info: object) -> None:
        self.stamps.append((name, time.perf_counter_ns()))

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        """Watch, and nothing else."""
        from loopdiag_instruments import patching

        if self.name != "light":
            patching.undo()
        otel = opentelemetry(self.client) if self.name == "OpenTelemetry" else None
        if otel is not None:
            otel.instrument()
        try:
            yield
        finally:
            if otel is not None:
                otel.uninstrument()
            if self.name != "light":
                patching.redo()


def opentelemetry(client: str) -> Any:
    """The client's instrumentation, with a tracer provider of the SDK that exports nowhere: the least that it can cost."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        trace.set_tracer_provider(TracerProvider())
    if client == "aiohttp":
        from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor as Instrumentor
    else:
        from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor as Instrumentor
    return Instrumentor()


async def fetch_all(watcher: Watcher, url: str, n: int, context: ssl.SSLContext, *, in_turn: bool) -> float:
    """CPU microseconds a request of one burst, on a client of its own: all at once, or one after the other on one connection."""
    marks = sys.modules["loopdiag_instruments.marks"] if watcher.name == "light" else None
    if watcher.client == "aiohttp":
        import aiohttp

        session: Any = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context), **watcher.session)

        async def fetch(number: int) -> None:
            async with session.get(url.replace("{i}", str(number)), **watcher.request) as response:
                await response.read()
    else:
        import httpx

        session = httpx.AsyncClient(verify=context, timeout=60, **watcher.session)

        async def fetch(number: int) -> None:
            await session.get(url.replace("{i}", str(number)), **watcher.request)

    async def plain(number: int) -> None:  # as many coroutines as below, and as in a trial's two tiers
        await fetch(number)

    async def marked(number: int, created_ns: int) -> None:
        assert marks is not None
        marks.begin(number, created_ns, created_ns)
        await fetch(number)
        marks.end()

    if in_turn:
        await fetch(1)  # the connection is there, and what is measured is a warm request
    begun = time.process_time_ns()
    if in_turn:
        for i in range(1, n + 1):
            await (plain(i) if marks is None else marked(i, time.perf_counter_ns()))
    else:
        await asyncio.gather(*[plain(i) if marks is None else marked(i, time.perf_counter_ns()) for i in range(1, n + 1)])
    spent = time.process_time_ns() - begun
    await (session.close() if watcher.client == "aiohttp" else session.aclose())
    return spent / n / 1e3


def main(client: str, loop: str, url: str, ca_file: str, n: int, rounds: int, in_turn: bool, names: list[str]) -> None:  # noqa: PLR0913, PLR0917 - the command line
    """Every round runs every variant once; the first round warms up, and is not printed."""
    import uvloop

    import_module(client)  # the instruments come with it, and can only then be taken out of the way
    make = uvloop.new_event_loop if loop == "uvloop" else asyncio.SelectorEventLoop
    context = ssl.create_default_context(cafile=ca_file or None)
    table = []
    for _ in range(rounds + 1):
        row = {}
        for name in random.sample(names, len(names)):
            gc.collect()  # a watcher does not pay for another's garbage
            watcher = Watcher(client, name)
            with watcher.on(), asyncio.Runner(loop_factory=make) as runner:
                row[name] = runner.run(fetch_all(watcher, url, n, context, in_turn=in_turn))
        table.append(row)
    print(json.dumps(table[1:]))


if __name__ == "__main__":
    client, loop, url, ca_file, n, rounds, core, order, *names = sys.argv[1:]
    if core != "any":
        os.sched_setaffinity(0, {int(core)})
    main(client, loop, url, ca_file, int(n), int(rounds), order == "in-turn", names)
