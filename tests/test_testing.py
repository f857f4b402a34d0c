"""loopdiag.testing without programs: what is judged how, what is refused, and what a failure says."""

import functools
import importlib
import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import documents
import pytest
from msgspec.structs import replace

from loopdiag import testing
from loopdiag.errors import InputError
from loopdiag.model.diagnosis import CauseFound
from loopdiag.model.law import Estimate
from loopdiag.model.program import Place


def measured(folder: Path, *, slope: Estimate | None = None, exponent: Estimate | None = None) -> testing.Measured:
    """A run of one arm with these figures, and a cause that stands in a line."""
    document = documents.EDGES["explained"]()
    cause = CauseFound(
        cause="client_semaphore",
        detail="2 at a time",
        share=0.9,
        remedy="raise it",
        place=Place(file="/x/client.py", line=12, text="async with gate:"),
    )
    arm = document.diagnosis.arms[0]
    arm = replace(arm, slope_ms=slope, law=replace(arm.law, exponent=exponent), causes=(cause,))
    return testing.Measured(replace(document, diagnosis=replace(document.diagnosis, arms=(arm,))), folder)


def within(low: float | None, high: float | None) -> Estimate:
    return Estimate(value=3.0, low=low, high=high, why=None if low is not None else "too little")


@pytest.mark.parametrize(
    ("seen", "bound", "outcome"),
    [
        (within(2.5, 3.5), 4.0, "holds"),
        (within(2.5, 3.5), 3.5, "holds"),
        (within(2.5, 3.5), 3.2, "open"),
        (within(2.5, 3.5), 2.6, "open"),
        (within(2.5, 3.5), 2.4, "broken"),
        (within(None, None), 9.0, "open"),
        (within(None, None), 1.0, "open"),
        (None, 1.0, "open"),
    ],
)
@pytest.mark.parametrize("bound_name", ["max_slope_ms", "max_exponent"])
def test_a_bound_is_broken_only_by_the_whole_interval(
    bound_name: str, seen: Estimate | None, bound: float, outcome: str, tmp_path: Path
) -> None:
    # above the interval it holds, inside it warns, or fails where that is asked for, below it fails
    found = measured(tmp_path, **{"slope" if bound_name == "max_slope_ms" else "exponent": seen})
    bounds = dict.fromkeys(testing.BOUNDS) | {bound_name: bound}
    if outcome == "broken":
        with pytest.raises(testing.ScalingFailed, match=bound_name):
            testing.judge(found, bounds)
        return
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        testing.judge(found, bounds)
    assert [each.category for each in told] == ([testing.Inconclusive] if outcome == "open" else [])
    if outcome == "open":
        with pytest.raises(testing.ScalingFailed, match="not surely within"):
            testing.judge(found, bounds, inconclusive="fail")


def test_a_failure_says_what_to_do(tmp_path: Path) -> None:
    # law, slope, first cause, its line, its remedy and the page, which is there
    with pytest.raises(testing.ScalingFailed) as caught:
        testing.judge(measured(tmp_path, slope=within(2.9, 3.1)), {"max_slope_ms": 1.0})
    said = str(caught.value)
    assert all(
        text in said
        for text in ("3.00 ±0.10", "max_slope_ms=1", "law of T(N)", "client_semaphore", "client.py:12 `async with gate:`", "raise it")
    )
    assert str(caught.value.report) in said
    assert caught.value.report.read_text(encoding="utf-8").startswith("<!")
    assert caught.value.diagnosis.arms[0].causes[0].cause == "client_semaphore"
    assert isinstance(caught.value, AssertionError)


def test_what_cannot_be_run_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # a program that is not there is a fault of the input, and of its run nothing is kept
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(InputError, match="no such program"):
        testing.assert_scaling("not-there-at-all {n}", max_slope_ms=1)
    assert not list(tmp_path.iterdir())


async def fetch(n: int, url: str = "") -> None:
    """A target."""
    del n, url


def plain(n: int) -> None:
    """No target."""
    del n


class Client:
    """With a method."""

    async def fetch(self, n: int) -> None:
        """No target: it belongs to an object."""


def made_inside() -> Any:
    """A function that nobody can import."""

    async def inner(n: int) -> None:
        del n

    return inner


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (plain, "async function"),
        (made_inside(), "top of its module"),
        (lambda n: n, "async function"),
        (Client().fetch, "belongs to an object"),
        (functools.partial(fetch, url="x"), "top of its module"),
        (3, "expected a command line or an async function"),
    ],
)
def test_what_no_program_could_import_is_refused(target: Any, said: str) -> None:
    # one line names the target and what would be right
    with pytest.raises(InputError, match=said):
        testing.command(target)


@pytest.mark.parametrize(
    ("target", "words"),
    [("python 'my client.py' {n}", ["python", "my client.py", "{n}"]), (["python", Path("c.py"), "{n}"], ["python", "c.py", "{n}"])],
)
def test_command_lines_are_read_as_a_shell_does(target: Any, words: list[str]) -> None:
    # a string is split, a list is taken as it is
    assert testing.command(target) == words
    with pytest.raises(InputError, match="args"):
        testing.command(target, ["x"])


def test_a_command_line_needs_a_place_for_n(tmp_path: Path) -> None:
    # the same fault as of exec
    with pytest.raises(InputError, match=r"\{n\}"):
        testing.assert_scaling("python client.py", max_slope_ms=1, out=tmp_path / "run")


@pytest.mark.parametrize(
    ("options", "said"), [({}, "nothing is bounded"), ({"max_ratio": 1.1}, "belong together"), ({"baseline": "x"}, "nothing")]
)
def test_bounds_are_asked_for_before_anything_runs(options: dict[str, Any], said: str) -> None:
    # a test that can never fail is a fault
    with pytest.raises(InputError, match=said):
        testing.assert_scaling("python client.py {n}", **options)


def test_a_decorated_function_is_imported_from_its_own_file() -> None:
    # and not from the decorator's
    made: dict[str, Any] = {}
    text = "import functools\ndef traced(f):\n    @functools.wraps(f)\n    async def run(*a):\n        await f(*a)\n    return run\n"
    exec(compile(text, "/elsewhere/tracing.py", "exec"), made)  # a decorator of another file
    words = testing.command(made["traced"](fetch))
    assert words[4:6] == [str(Path(__file__).resolve()), "fetch"]


MODULE = """
import asyncio, json, sys

import beside

class Kept:
    @staticmethod
    async def fetch(n, *args):
        await asyncio.sleep(0)
        print(json.dumps([n, args, beside.NAME, sys.path[0]]))
"""


@pytest.mark.parametrize("name", ["target_module", "package.that.is.not.there", "__main__"])
def test_the_runner_runs_the_function_from_its_module_or_its_file(name: str, tmp_path: Path) -> None:
    # the module is imported by name, by its file where the name leads nowhere, with the test's own search path
    (tmp_path / "target_module.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "beside.py").write_text("NAME = 'beside'\n", encoding="utf-8")
    command = [
        sys.executable,
        str(testing.RUNNER),
        json.dumps([str(tmp_path)]),
        name,
        str(tmp_path / "target_module.py"),
        "Kept.fetch",
        "7",
        "x",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout) == [7, ["x"], "beside", str(tmp_path)]


def test_the_runner_passes_on_what_is_wrong_inside_the_module(tmp_path: Path) -> None:
    # a module that misses another one is not silently imported a second time
    (tmp_path / "broken_module.py").write_text("import not_there_at_all\n", encoding="utf-8")
    command = [
        sys.executable,
        str(testing.RUNNER),
        json.dumps([str(tmp_path)]),
        "broken_module",
        str(tmp_path / "broken_module.py"),
        "f",
        "1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "not_there_at_all" in done.stderr


@pytest.mark.parametrize("module", ["loopdiag.testing", "loopdiag.pytest_plugin"])
def test_nothing_heavy_is_imported_at_the_start(module: str) -> None:
    # every pytest run in the environment imports the plugin: it may cost nothing
    heavy = "{'numpy', 'matplotlib', 'msgspec', 'rich', 'aiohttp', 'httpx', 'uvloop', 'asyncio'}"
    code = f"import sys, pytest; before = set(sys.modules); import {module}; print(sorted(({heavy} & set(sys.modules)) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_there() -> None:
    # what the documentation names can be imported
    module = importlib.import_module("loopdiag.testing")
    assert all(hasattr(module, name) for name in module.__all__)
