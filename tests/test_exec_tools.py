"""Real command-line programs from PyPI, unmodified, on the embedded target: they run as before, their requests are seen, and there is a report.

They are pinned in the `tools` extra, which `dev` holds; LOOPDIAG_TOOLS names the folder of programs where they are installed elsewhere.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec.structs import replace
from required import missing

from loopdiag import pipeline
from loopdiag.lab.program_start import program_scenario
from loopdiag.lab.servers.process import TargetServer
from loopdiag.model.scenario import Arm, Scenario, Service, Sweep, Target

pytestmark = pytest.mark.slow
NS = (3, 6, 12)


class Tool(NamedTuple):
    """A program that fetches N addresses.

    Attributes:
        name: of its command.
        given: command line, where `{tool}` stands for the program, `{n}` for N and `{place}` for the target's host and port.
        written: the file that tells it what to fetch, and what stands there for these addresses.
        each: requests that it makes for one address.
        more: and besides.
    """

    name: str
    given: tuple[str, ...]
    written: tuple[str, Callable[[list[str]], str]]
    each: int = 1
    more: int = 0


def lines(urls: list[str]) -> str:
    return "".join(f"{url}\n" for url in urls)


def markdown(urls: list[str]) -> str:
    return "".join(f"- [{number}]({url})\n" for number, url in enumerate(urls))


def versions(urls: list[str]) -> str:
    entries = (f'[item{number}]\nsource = "regex"\nurl = "{url}"\nregex = "([0-9]+)"\n' for number, url in enumerate(urls))
    return '[__config__]\nhttplib = "aiohttp"\n' + "".join(entries)


TOOLS = (
    # asyncio and aiohttp: a queue of downloads, at most 5 at a time
    Tool(
        "parfive", ("sh", "-c", "xargs {tool} --no-progress --overwrite --directory fetched < {n}.txt"), ("txt", lines), each=2
    ),  # HEAD, then GET
    # asyncio and aiohttp: tasks by a limit of 20
    Tool("nvchecker", ("{tool}", "-c", "{n}.toml"), ("toml", versions)),
    # asyncio and aiohttp: one after the other, with a session each
    Tool("linkcheckMarkdown", ("{tool}", "{n}.md", "{place}"), ("md", markdown)),
    # a thread for each address, and http.client
    Tool("webchk", ("{tool}", "-i", "{n}.txt"), ("txt", lines)),
    # ten threads and requests
    Tool("linkchecker", ("sh", "-c", "{tool} -f rc --no-status --no-warnings --stdin < {n}.txt"), ("txt", lines), more=1),  # robots.txt
)


def installed(name: str) -> str:
    """The program's path, or a skipped test."""
    places = os.pathsep.join(filter(None, (os.environ.get("LOOPDIAG_TOOLS"), str(Path(sys.executable).parent))))
    found = shutil.which(name, path=places)
    if found is None:
        missing(f"{name} is not installed; the dev extra brings it")
    return found


@pytest.fixture(scope="module")
def target() -> Iterator[str]:
    """The embedded target's address: each answer takes 10 ms."""
    scenario = Scenario(
        name="tools",
        arms=(Arm(client="aiohttp"),),
        target=Target(path="/files/{i}.json", service=Service(mean_ms=10)),
        sweep=Sweep(n=(10,)),
    )
    with TargetServer.start(scenario) as server:
        yield server.url.replace("localhost", "127.0.0.1")


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_real_program_is_run_seen_and_reported(tool: Tool, target: str, tmp_path: Path) -> None:
    # every trial ends well, each request of the timeline trials is seen, and the report is there; how long it takes does not matter
    program, place = installed(tool.name), target.partition("//")[2]
    ending, write = tool.written
    for n in NS:
        (tmp_path / f"{n}.{ending}").write_text(write([f"{target}/files/{i}.json" for i in range(1, n + 1)]), encoding="utf-8")
    (tmp_path / "rc").write_text(
        "[checking]\nmaxrequestspersecond=1000\n[filtering]\nignorewarnings=url-content-type-unparseable\n", encoding="utf-8"
    )
    scenario = program_scenario([word.replace("{tool}", program).replace("{place}", place) for word in tool.given], cwd=str(tmp_path))
    sweep = Sweep(n=NS, repetitions=1, max_repetitions=1, warmups=0, budget_s=250)
    scenario = replace(
        scenario, sweep=sweep, verify=replace(scenario.verify, enabled=False), profile=replace(scenario.profile, enabled=False)
    )
    folder = pipeline.record(scenario, tmp_path / "run")
    document = pipeline.diagnose(folder)
    assert [(trial.spec.tier, trial.spec.n, trial.status, trial.why) for trial in document.recording.trials if trial.status != "ok"] == []
    assert {(trial.spec.tier, trial.spec.n) for trial in document.recording.trials} == {
        (tier, n) for tier in ("bare", "timeline") for n in NS
    }
    assert {timeline.n: len(timeline.attempts) for timeline in document.timelines} == {n: tool.each * n + tool.more for n in NS}
    (arm,) = document.diagnosis.arms
    assert arm.slope_ms is not None
    assert arm.ledger
    assert arm.name in pipeline.report(document, folder).read_text(encoding="utf-8")
