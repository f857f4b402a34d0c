"""What the tests of a user's own program share: small programs, and one trial of one of them."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loopdiag.lab.job import Job
from loopdiag.lab.program_start import ARM
from loopdiag.lab.program_trial import ProgramBench
from loopdiag.lab.servers.process import TargetServer
from loopdiag.model.recording import Tier, TrialResult, TrialSpec
from loopdiag.model.scenario import Program, Scenario, Service, Sweep, Target

AIOHTTP = """
    import asyncio, sys
    import aiohttp

    async def main(n, url):
        async with aiohttp.ClientSession() as session:
            async def one(i):
                async with session.get(f"{url}/{i}") as answer:
                    return len(await answer.read())
            print(sum(await asyncio.gather(*(one(i) for i in range(n)))))

    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
"""
#: needs nothing but a Python: one line of HTTP over streams
_GATED = """
    import asyncio, sys
    import aiohttp

    async def main(n, url):
        gate = asyncio.Semaphore(PLACES)
        async with aiohttp.ClientSession() as session:
            async def one(i):
                async with gate:
                    async with session.get(f"{url}/{i}") as answer:
                        return len(await answer.read())
            print(sum(await asyncio.gather(*(one(i) for i in range(n)))))

    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
"""
STREAMS = """
    import asyncio, sys

    async def one(i, host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(f"GET /{i} HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n".encode())
        answer = await reader.read()
        writer.close()
        return len(answer.partition(b"\\r\\n\\r\\n")[2])

    async def main(n, host, port):
        print(sum(await asyncio.gather(*(one(i, host, port) for i in range(n)))))

    asyncio.run(main(int(sys.argv[1]), *sys.argv[2].removeprefix("http://").split(":")))
"""
HTTP_CLIENT = """
    import http.client, sys
    connection = http.client.HTTPConnection(*sys.argv[2].removeprefix("http://").split(":"))
    total = 0
    for i in range(int(sys.argv[1])):
        connection.request("GET", f"/{i}")
        total += len(connection.getresponse().read())
    print(total)
"""


@contextmanager
def target(**service: Any) -> Iterator[TargetServer]:
    """An embedded target that answers at once, unless told otherwise."""
    service.setdefault("mean_ms", 1)
    scenario = Scenario(name="test", arms=(ARM,), target=Target(service=Service(**service)), sweep=Sweep(n=(100,)))
    with TargetServer.start(scenario) as server:
        yield server


def script(folder: Path, text: str, name: str = "client.py") -> Path:
    """A program of this text."""
    path = folder / name
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def job(folder: Path, argv: list[str], *, n: int = 7, tier: Tier = "timeline", **parts: Any) -> Job:
    """One trial of a command line."""
    sweep = Sweep(n=(n,), trial_timeout_s=parts.pop("timeout_s", 60))
    scenario = Scenario(name="test", arms=(ARM,), program=Program(argv=tuple(argv), cwd=parts.pop("cwd", None)), sweep=sweep, **parts)
    spec = TrialSpec(id=f"{tier}-{n}", arm=ARM, n=n, tier=tier, repetition=0, seed=1)
    return Job(scenario=scenario, spec=spec, url="", folder=str(folder))


def tried(folder: Path, argv: list[str], *, bench: ProgramBench | None = None, **parts: Any) -> TrialResult:
    """One trial of a command line, in a folder of its own under `folder`."""
    place = folder / f"trial-{len(list(folder.iterdir()))}"
    place.mkdir()
    return (bench or ProgramBench()).run(job(place, argv, **parts), place)


def python(*words: object) -> list[str]:
    """A command line of this Python."""
    return [sys.executable, *map(str, words)]


def typed(*words: str, cwd: Path) -> "subprocess.CompletedProcess[bytes]":
    """`loopdiag exec` with these words, in a process of its own."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("LOOPDIAG_")}
    return subprocess.run(
        [sys.executable, "-m", "loopdiag", "exec", *words], cwd=cwd, env=env, capture_output=True, timeout=200, check=False
    )


def gated(places: int) -> str:
    """A program whose semaphore lets so many requests through at a time."""
    return _GATED.replace("PLACES", str(places))
