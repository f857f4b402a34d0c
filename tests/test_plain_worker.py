"""The worker of arms with an environment of their own, under every Python that is here, with a stand-in for its client's library."""

import ast
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from lab_parts import ca_file, scenario, serving, spec

from loopdiag.lab import columns, interpreters, own_environments, plain
from loopdiag.lab.clients import CLIENTS
from loopdiag.lab.interpreters import Interpreter
from loopdiag.lab.job import Job
from loopdiag.lab.plain.clients import CLASSES
from loopdiag.lab.trial import Bench
from loopdiag.model.recording import TrialResult
from loopdiag.model.scenario import Arm, Pool, Sweep, Target, Workload

FOLDER = Path(plain.__file__).parent
STAND_IN = Path(__file__).parent / "stand_in_httpx.py"
HTTPX = Arm(client="httpx")


@pytest.fixture(params=[f"3.{minor}" for minor in range(8, 15)])
def python(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Interpreter]:
    """An interpreter, and the stand-in where it finds it; the name of the arm says that it is loopdiag's own, so that the path is kept."""
    found = interpreters.find(request.param)
    if found is None:
        pytest.skip(f"no Python {request.param} on this machine")
    (tmp_path / "packages").mkdir()
    shutil.copy(STAND_IN, tmp_path / "packages" / "httpx.py")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "packages"))
    return found


def ran(python: Interpreter, folder: Path, url: str, path: str = "/{i}", n: int = 8, **parts: Any) -> TrialResult:
    """One trial in a folder of its own; a key of Job, TrialSpec or Scenario each."""
    there = folder / f"trial-{len(list(folder.glob('trial-*')))}"
    there.mkdir()
    asked = spec(HTTPX, n, tier=parts.pop("tier", "bare"))
    own = {name: parts.pop(name) for name in ("ca_file", "warm_up") if name in parts}
    made = scenario(HTTPX, target=Target(path=path), sweep=Sweep(n=(1,), trial_timeout_s=60), **parts)
    worker = (python.path, "-c", own_environments.START, str(FOLDER.parent))
    return Bench(None, command=worker).run(Job(scenario=made, spec=asked, url=url, folder=str(there), **own), there)


def test_a_trial_measures(tmp_path: Path, python: Interpreter) -> None:
    # Every field that a report needs, over TLS, with a warm-up and workers.
    with serving(tls=True) as server:
        trusted = ca_file(server, tmp_path)
        result = ran(
            python,
            tmp_path,
            server.url,
            ca_file=trusted,
            warm_up=True,
            workload=Workload(concurrency=2, decode="json", decode_when="inside"),
        )
        assert server.paths == {"/1": 2} | {f"/{i}": 1 for i in range(2, 9)}
        assert server.open_at_most <= 3  # a worker's next connection may be seen before its last one's end
    assert (result.status, result.why, result.errors, result.succeeded) == ("ok", None, {}, 8)
    assert result.usable
    assert result.t0_ns is not None
    assert result.t1_ns is not None
    assert result.total_s == (result.t1_ns - result.t0_ns) / 1e9 > 0
    assert result.versions["python"] == python.version
    assert not {name.lower() for name in result.versions} & plain.TOOLS
    for value in (result.setup_s, result.cpu_s, result.rss_peak_kib, result.body_bytes):
        assert value is not None
        assert value > 0
    assert result.run_queue_s is not None or "run_queue_s" in result.not_observed
    assert result.gc_collections is not None


def test_failures_are_counted_by_kind(tmp_path: Path, python: Interpreter) -> None:
    # A failed request is counted by its kind, on every Python by the same name, as the other worker does.
    inside = Workload(decode="json", decode_when="inside", timeout_s=0.3)
    with serving() as server, serving(tls=True) as secure, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{bound.getsockname()[1]}"
        wrong = tmp_path / "wrong.pem"
        trustme.CA().cert_pem.write_to_path(wrong)
        trials = {
            "timeout": ran(python, tmp_path, server.url, "/slow", 2, workload=inside),
            "reset": ran(python, tmp_path, server.url, "/reset", 2),
            "status-5xx": ran(python, tmp_path, server.url, "/503", 2),
            "decode": ran(python, tmp_path, server.url, "/text", 2, workload=Workload(decode="json", decode_when="inside")),
            "connect": ran(python, tmp_path, nobody, "/", 2),
            "tls": ran(python, tmp_path, secure.url, "/", 2, ca_file=str(wrong)),
        }
    assert {kind: (result.status, result.errors) for kind, result in trials.items()} == {kind: ("failed", {kind: 2}) for kind in trials}


def test_all_at_once_within_the_pool(tmp_path: Path, python: Interpreter) -> None:
    # Without workers all requests are made at once, and the scenario's limit reaches a library that knows fewer arguments than today's.
    with serving() as server:
        assert ran(python, tmp_path, server.url, "/together/8").succeeded == 8
        assert server.open_at_most == 8
    with serving() as server:
        assert ran(python, tmp_path, server.url, pool=Pool(limit=3)).succeeded == 8
        assert server.open_at_most <= 4


def test_a_timeline_is_recorded_or_explained(tmp_path: Path, python: Interpreter) -> None:
    # From 3.10 on each request is marked from its creation to its end; before, the trial ends well and says why nothing was seen.
    with serving() as server:
        result = ran(python, tmp_path, server.url, tier="timeline", workload=Workload(decode="json"))
    assert (result.status, result.succeeded) == ("ok", 8)
    assert result.decode_s is not None
    if interpreters.numbers(python.version)[:2] < own_environments.OBSERVED:
        assert result.not_observed["everything"].endswith("the instruments need Python 3.10 or newer")
        return
    rows = columns.load(tmp_path / "trial-0")["attempts"][1:]
    assert sorted(int(row["request"]) for row in rows) == list(range(1, 9))
    assert all(row["created"] and row["first_run"] and row["done"] for row in rows)


def test_it_needs_the_standard_library_alone() -> None:
    # It runs where nothing of loopdiag's is installed: every import is Python's, its own folder's, or the library that is measured.
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))):
            if isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= sys.stdlib_module_names
            elif isinstance(node, ast.ImportFrom) and not node.level:
                assert (node.module or "").split(".")[0] in sys.stdlib_module_names


@pytest.mark.parametrize("name", plain.CLIENTS)
def test_its_clients_are_those_of_the_registry(name: str) -> None:
    # It has a class for each client that an arm may ask for, which names failures as the registry's client does.
    assert set(plain.CLIENTS) == set(CLASSES)
    assert CLASSES[name].kinds == dict(CLIENTS[name].kinds)
