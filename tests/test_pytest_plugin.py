"""The pytest plugin: options, marker and reports without programs, and the documented example with them."""

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from loopdiag.lab.servers.process import TargetServer
from loopdiag.model.scenario import Arm, Scenario, Service, Sweep, Target

DOCS = Path(__file__).parent.parent / "docs" / "testing.md"
BLOCK = re.compile(r"```python\n# (?P<name>\w+\.py)\n(?P<code>.*?)```", re.DOTALL)

#: the heavy parts replaced: `measure` returns what was measured of a program that costs 3.0 ± 0.1 ms a request
CONFTEST = f"""
    import sys
    sys.path.insert(0, {str(Path(__file__).parent)!r})
    import pytest
    from test_testing import measured, within
    from loopdiag import testing

    ASKED = []

    @pytest.fixture(autouse=True)
    def quick(monkeypatch, tmp_path):
        def measure(target, **options):
            ASKED.append(options)
            options["out"].mkdir(parents=True, exist_ok=True)
            return measured(options["out"], slope=within(2.9, 3.1))
        monkeypatch.setattr(testing, "measure", measure)
"""


@pytest.fixture
def run(tmp_path: Path) -> "Run":
    """A folder of tests, and pytest on it."""
    return Run(tmp_path / "suite")


class Run:
    """Tests in a folder of their own, run by a pytest of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "pytest.ini").write_text("[pytest]\naddopts = -ra --strict-markers\n", encoding="utf-8")

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.folder / f"{name}.py").write_text(textwrap.dedent(text), encoding="utf-8")

    def __call__(self, *options: str, timeout_s: float = 60, plugin: bool = True, **env: str) -> "subprocess.CompletedProcess[str]":
        given = ["-p", "loopdiag.pytest_plugin"] if plugin else []  # also where it is not installed
        command = [sys.executable, "-m", "pytest", "-p", "no:loopdiag", "-p", "no:cacheprovider", *given, *options]
        return subprocess.run(
            command, cwd=self.folder, env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=timeout_s
        )


def test_a_failure_shows_the_report(run: Run, tmp_path: Path) -> None:
    # the message, the report's text as a section, and the page's path; the run is kept where --loopdiag-out says; our own frames are hidden
    run.write(conftest=CONFTEST, test_it="def test_it(scaling):\n    scaling('python x.py {n}', max_slope_ms=1)\n")
    done = run("--loopdiag-out", str(tmp_path / "kept"), "--junit-xml", str(tmp_path / "junit.xml"))
    page = tmp_path / "kept" / "test_it.py-test_it" / "1" / "report.html"
    assert done.returncode == 1, done.stdout + done.stderr
    assert "above max_slope_ms=1" in done.stdout
    assert "client.py:12" in done.stdout
    assert f"loopdiag: {page}" in done.stdout
    assert "law of T(N)" in done.stdout
    assert "judge(" not in done.stdout
    assert page.is_file()
    assert str(page.parent) in (tmp_path / "junit.xml").read_text(encoding="utf-8")


def test_the_marker_and_the_options_give_defaults(run: Run) -> None:
    # the call's own words come first, then the marker's, then the command line's
    run.write(
        conftest=CONFTEST,
        test_it="""
            import conftest, pytest
            pytestmark = pytest.mark.scaling(n=(1, 2), max_slope_ms=9)

            def test_marker(scaling):
                scaling("x {n}")
                assert conftest.ASKED[-1]["n"] == (1, 2)
                assert conftest.ASKED[-1]["budget"] == "7s"

            @pytest.mark.scaling(n=(3, 4), budget="8s", max_slope_ms=9)
            def test_nearest(scaling):
                scaling("x {n}", n=(5, 6))
                scaling("x {n}")
                assert [asked["n"] for asked in conftest.ASKED[-2:]] == [(5, 6), (3, 4)]
                assert conftest.ASKED[-1]["budget"] == "8s"
                assert [asked["out"].name for asked in conftest.ASKED[-2:]] == ["1", "2"]

            def test_another_failure_shows_the_report_too(scaling):
                diagnosis = scaling("x {n}")
                assert diagnosis.arms[0].arm == "nothing"
        """,
    )
    done = run("--loopdiag-budget", "7s")
    assert "2 passed, 1 failed" in done.stdout or "1 failed, 2 passed" in done.stdout, done.stdout + done.stderr
    assert "report.html" in done.stdout


def test_earlier_runs_are_kept_and_a_lost_one_ends_no_session(run: Run) -> None:
    # a second pytest, and another test whose name reads alike, keep their runs beside the first; where the run's folder is gone, the next test runs all the same
    run.write(
        conftest=CONFTEST,
        test_it="""
            import conftest, pytest, shutil

            @pytest.mark.parametrize("name", ["a/b", "a-b"])
            def test_it(scaling, name):
                scaling("x {n}", max_slope_ms=9)

            def test_lost(scaling):
                scaling("x {n}", max_slope_ms=9)
                shutil.rmtree(conftest.ASKED[-1]["out"])
                raise AssertionError

            def test_next():
                pass
        """,
    )
    for first in (1, 3):
        done = run("--loopdiag-out", "kept")
        assert "1 failed, 3 passed" in done.stdout, done.stdout + done.stderr
        assert "no page: " in done.stdout
        assert {path.name for path in run.folder.glob("kept/test_it.py-test_it-a-b/*")} == {str(number) for number in range(1, first + 2)}


def test_a_call_without_a_bound_is_a_fault(run: Run) -> None:
    # a test that cannot fail says so before anything is run
    run.write(conftest=CONFTEST, test_it="def test_it(scaling):\n    scaling('python x.py {n}')\n")
    done = run()
    assert done.returncode == 1
    assert "nothing is bounded" in done.stdout


def test_scaling_tests_can_be_skipped(run: Run) -> None:
    # --no-loopdiag skips with its own name, and the others run
    run.write(test_it="def test_it(scaling):\n    raise AssertionError\n\ndef test_other():\n    pass\n")
    done = run("--no-loopdiag")
    assert done.returncode == 0, done.stdout
    assert "1 passed, 1 skipped" in done.stdout
    assert "--no-loopdiag" in done.stdout


def test_without_the_plugin_the_fixture_is_unknown(run: Run) -> None:
    # -p no:loopdiag leaves pytest as it was
    run.write(test_it="def test_it(scaling):\n    pass\n\ndef test_other():\n    pass\n")
    done = run(plugin=False)
    assert "fixture 'scaling' not found" in done.stdout
    assert "1 passed, 1 error" in done.stdout


def test_the_plugin_is_registered_under_its_name() -> None:
    # installed, it is loaded by itself, and -p no:loopdiag names it
    from importlib.metadata import entry_points

    (found,) = entry_points(group="pytest11", name="loopdiag")
    assert found.load().__name__ == "loopdiag.pytest_plugin"


@pytest.fixture
def url() -> Iterator[str]:
    """The embedded target, which answers after 20 ms."""
    scenario = Scenario(
        name="docs", arms=(Arm(client="aiohttp"),), target=Target(path="/files/{i}.json", service=Service(mean_ms=20)), sweep=Sweep(n=(10,))
    )
    with TargetServer.start(scenario) as server:
        yield f"{server.url}{scenario.target.path}"


@pytest.mark.slow
def test_the_documented_example_runs(run: Run, url: str) -> None:
    # the example of docs/testing.md, as it stands there, passes on a client without a fault
    files = {match["name"].removesuffix(".py"): match["code"] for match in BLOCK.finditer(DOCS.read_text(encoding="utf-8"))}
    assert set(files) == {"client", "test_client"}
    run.write(**files)
    done = run("--loopdiag-budget", "20s", "--loopdiag-out", "runs", CLIENT_URL=url, timeout_s=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    assert sorted(path.parent.parent.name for path in run.folder.glob("runs/*/1/diagnosis.json")) == [
        "test_client.py-test_one_more_request_costs_little",
        "test_client.py-test_the_program_grows_linearly_at_most",
    ]


@pytest.mark.slow
def test_a_client_that_grows_too_fast_fails(run: Run, url: str) -> None:
    # the documented client with a semaphore of 2 costs at least 10 ms a request of 20 ms: a bound of 3 is surely broken
    files = {match["name"].removesuffix(".py"): match["code"] for match in BLOCK.finditer(DOCS.read_text(encoding="utf-8"))}
    client = files["client"].replace(
        "        async def one(i):\n", "        gate = asyncio.Semaphore(2)\n\n        async def one(i):\n          async with gate:\n"
    )
    run.write(
        client=client,
        test_it="import os\nfrom client import fetch\n\ndef test_it(scaling):\n    scaling(fetch, args=[os.environ['CLIENT_URL']], n=(10, 20, 40), max_slope_ms=3, budget='12s')\n",
    )
    done = run("--loopdiag-out", "runs", CLIENT_URL=url, timeout_s=200)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "above max_slope_ms=3" in done.stdout
    assert (run.folder / "runs" / "test_it.py-test_it" / "1" / "report.html").is_file()
