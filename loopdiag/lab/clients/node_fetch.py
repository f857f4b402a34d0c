"""Node's own fetch, which is undici's, over its global pool; the source stands in the folder `node`."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from loopdiag.lab.job import Job
from loopdiag.model.scenario import Scenario

WORKER = Path(__file__).parent / "node" / "worker.mjs"
OLDEST = 18  # the first whose fetch is switched on


@cache
def _version(node: str) -> str:
    try:
        told = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    return told.strip().removeprefix("v")


class NodeFetch:
    """``await fetch(url)`` for all at once."""

    kinds: Mapping[str, str] = MappingProxyType({})
    loops = frozenset({"own"})
    plants: frozenset[str] = frozenset()
    cores = 1

    @staticmethod
    def available() -> str | None:
        """Return None, or that there is no Node whose fetch can be used."""
        node = shutil.which("node")
        if node is None:
            return f"no Node here: install Node {OLDEST} or newer, so that `node` is on the PATH"
        found = _version(node)
        if not found:
            return f"{node} does not run"
        return None if int(found.partition(".")[0]) >= OLDEST else f"Node {OLDEST} or newer is needed, and {node} is {found}"

    @staticmethod
    def versions() -> dict[str, str]:
        """Return Node's version."""
        node = shutil.which("node")
        return {"node": _version(node)} if node else {}

    @staticmethod
    def command(folder: Path) -> tuple[str, ...]:  # noqa: ARG004 - a trial's folder stands in its job
        """Return the command line."""
        return shutil.which("node") or "node", str(WORKER)

    @staticmethod
    def ready() -> bool:
        """Return that there is nothing to compile."""
        return True

    @staticmethod
    def environment(job: Job) -> Mapping[str, str]:
        """Return the authority that is trusted beside Node's own."""
        return {"NODE_EXTRA_CA_CERTS": job.ca_file} if job.ca_file else {}

    @staticmethod
    def refuses(scenario: Scenario) -> Iterator[str]:
        """Yield HTTP/2, and a bound on idle connections: fetch has neither."""
        if scenario.target.http != "1.1":
            yield 'node-fetch speaks HTTP/1.1 only; expected target.http = "1.1", or remove the arm'
        if scenario.pool.keepalive:
            yield "node-fetch cannot bound its idle connections; remove pool.keepalive, or the arm"
