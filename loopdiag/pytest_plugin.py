"""The pytest plugin: the fixture `scaling`, its marker and options, and the report of what failed.

Nothing of loopdiag but this file is imported before a test asks for the fixture.
"""

import re
from collections.abc import Generator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from loopdiag.model.diagnosis import Diagnosis
    from loopdiag.testing import Measured, Target

MARKER = (
    "scaling(n=…, max_slope_ms=…, max_exponent=…, max_ratio=…, baseline=…, budget=…, verify=…, inconclusive=…): "
    "what the fixture `scaling` takes in this test where its call does not say"
)
MEASURED: pytest.StashKey[list["Measured"]] = pytest.StashKey()


class Scaling:
    """What the fixture `scaling` gives: call it as `loopdiag.testing.assert_scaling`.

    Args:
        item: the test.
        folder: of its runs.
        defaults: what the marker and the command line say.
    """

    def __init__(self, item: pytest.Item, folder: Path, defaults: dict[str, Any]) -> None:
        self._item, self._folder, self._defaults = item, folder, defaults

    def __call__(self, target: "Target", **options: Any) -> "Diagnosis":
        """Run the target and hold it to its bounds; arguments, result and errors are those of `assert_scaling`.

        The run is kept under ``--loopdiag-out``, or in pytest's own temporary folder.
        """
        __tracebackhide__ = True
        from loopdiag import testing

        asked = {**self._defaults, **options}
        bounds = {name: asked.pop(name, None) for name in testing.BOUNDS}
        inconclusive = asked.pop("inconclusive", "pass")
        testing.require_bounds(bounds, asked.get("baseline"))
        made = self._item.stash.setdefault(MEASURED, [])
        asked.setdefault("out", self._free())
        found = testing.measure(target, **asked)
        made.append(found)
        testing.judge(found, bounds, inconclusive=inconclusive)
        return found.diagnosis

    def _free(self) -> Path:
        """Where the next run goes: beside those of an earlier pytest, of a call that failed, of a test whose name reads alike."""
        return next(place for number in count(1) if not (place := self._folder / str(number)).exists())


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("loopdiag", "how the total time grows with N (loopdiag)")
    group.addoption(
        "--loopdiag-out",
        metavar="DIR",
        help="keep the runs of `scaling` tests there, one folder a test; default: pytest's temporary folder",
    )
    group.addoption("--loopdiag-budget", metavar="TIME", help="of each call of `scaling` that names none, e.g. 1m; default: 30s")
    group.addoption("--no-loopdiag", action="store_true", help="skip tests that use the fixture `scaling`")


def pytest_configure(config: pytest.Config) -> None:
    """Tell of the marker."""
    config.addinivalue_line("markers", MARKER)


@pytest.fixture
def scaling(request: pytest.FixtureRequest) -> Scaling:
    """`loopdiag.testing.assert_scaling` with this test's marker, the command line's options, and its report where the test fails."""
    config, item = request.config, request.node
    if config.getoption("--no-loopdiag"):
        pytest.skip("--no-loopdiag")
    out = config.getoption("--loopdiag-out")
    name = re.sub(r"[^\w.-]+", "-", item.nodeid).strip("-")[-120:]
    if out is None:
        folder = request.getfixturevalue("tmp_path_factory").mktemp("loopdiag") / name
    else:
        folder = Path(config.invocation_params.dir, out, name)
    marker = item.get_closest_marker("scaling")
    defaults = dict(marker.kwargs) if marker is not None else {}
    budget = config.getoption("--loopdiag-budget")
    return Scaling(item, folder, {**({"budget": budget} if budget else {}), **defaults})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put what was measured into the report of a test that failed, and the page's path into everybody's."""
    report = yield
    if call.when == "call":
        for found in item.stash.get(MEASURED, []):
            if report.failed:
                report.sections.append((f"loopdiag: {_page(found)}", found.text()))
            item.user_properties.append(("loopdiag", str(found.folder)))
            report.user_properties = list(item.user_properties)
    return report


def _page(found: "Measured") -> str:
    """Where its page is; on a full disk, and where the run was removed, there is none, which must not end the whole session."""
    try:
        return str(found.page())
    except OSError as error:
        return f"no page: {error}"
