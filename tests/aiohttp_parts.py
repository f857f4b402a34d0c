"""What the tests of the aiohttp instrument share: an origin server, and programs that run under the instruments and tell what the public hooks said."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from loopdiag.analysis.timelines import resolve
from loopdiag.lab import columns
from loopdiag.lab.injection import Observed, injected_environment, observed
from loopdiag.model.recording import TrialResult, TrialSpec
from loopdiag.model.scenario import Arm, Instruments
from loopdiag.model.timeline import Attempt, Connection, Timeline

LOOPS = ("asyncio", "uvloop")
ORIGIN = Path(__file__).parent / "origin_program.py"

#: what every program begins with: `events(log)` is a TraceConfig that appends [event, time], `main` is the program's own
PREAMBLE = """
import asyncio, json, ssl, sys, time
import aiohttp
from aiohttp.abc import AbstractResolver
now = time.perf_counter_ns
LOOP, URL, CA = sys.argv[1:4]
if LOOP == "uvloop":
    import uvloop

def events(log):
    config = aiohttp.TraceConfig()
    for name in [name for name in dir(config) if name.startswith("on_")]:
        def signal(name):
            async def handler(session, context, parameters):
                log.append([name, now()])
            return handler
        getattr(config, name).append(signal(name))
    return config

def tls():
    return ssl.create_default_context(cafile=CA) if CA else True

async def get(session, url=URL):
    async with session.get(url) as response:
        body = await response.read()
    return {"received": int(response.headers["X-Received"]), "begun": int(response.headers["X-Begun"]), "body": int(body[-20:]), "n": len(body)}
"""
RUN = """
of_loop = globals().get("make_loop") or (uvloop.new_event_loop if LOOP == "uvloop" else asyncio.SelectorEventLoop)
with asyncio.Runner(loop_factory=of_loop) as runner:
    print(json.dumps(runner.run(main())))
"""


@dataclass(frozen=True)
class Origin:
    """A running origin server."""

    url: str
    ca_file: str = ""


@contextmanager
def origin(certificate: tuple[str, str, str] | None = None) -> Iterator[Origin]:
    """An origin server; `certificate` is (chain, key, authority) as file names."""
    files = certificate[:2] if certificate else ()
    process = subprocess.Popen([sys.executable, str(ORIGIN), *files], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield Origin(f"https://localhost:{port}" if certificate else f"http://127.0.0.1:{port}", certificate[2] if certificate else "")
    finally:
        process.kill()
        process.communicate()


@dataclass(frozen=True)
class Seen:
    """What a program said of itself, and what was recorded of it.  All times are nanoseconds of ``perf_counter``."""

    said: Any
    timeline: Timeline
    tables: dict[str, "np.ndarray[Any, Any]"]
    observed: Observed

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """In the order in which they began."""
        return self.timeline.attempts

    def connection(self, attempt: Attempt) -> Connection:
        """The one that the attempt ran on."""
        return next(link for link in self.timeline.connections if link.number == attempt.connection)


Level = Literal["light", "detailed", "deep"]


def observe(
    program: str,
    loop: str,
    target: Origin,
    folder: Path,
    *,
    path: str = "/",
    verify: bool = False,
    before: str = "",
    level: Level = "light",
) -> Seen:
    """Run `program` (an ``async def main()`` that returns what is to be compared) under the instruments; `before` runs before aiohttp is imported."""
    options = Instruments(verify=verify, level=level)
    ended = subprocess.run(
        [sys.executable, "-c", before + PREAMBLE + program + RUN, loop, target.url + path, target.ca_file],
        env=injected_environment(os.environ, folder, options),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ended.returncode == 0, ended.stderr
    tables = columns.load(folder)
    spec = TrialSpec(id="t", arm=Arm(client="aiohttp", loop=loop), n=1, tier="timeline", repetition=0, seed=1)
    trial = TrialResult(spec=spec, status="ok", t0_ns=1, t1_ns=1 << 62, total_s=1.0)
    line = resolve(tables, trial)
    return Seen(json.loads(ended.stdout), line, tables, observed(folder))
