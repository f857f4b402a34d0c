"""For test suites: hold a program, or an async function, to a bound on how its total time grows with N.

`assert_scaling` works in any test framework; the pytest plugin (``loopdiag.pytest_plugin``) adds a fixture, options and the report of what failed.
"""

import shlex
import sys
import warnings
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from loopdiag.model.diagnosis import ArmDiagnosis, Diagnosis
    from loopdiag.model.document import Document
    from loopdiag.model.law import Estimate
    from loopdiag.model.scenario import Scenario

__all__ = ["Inconclusive", "Measured", "ScalingFailed", "Target", "assert_scaling", "judge", "measure", "require_bounds"]

Target = str | Sequence[str] | Callable[..., Awaitable[object]]
RUNNER = Path(__file__).with_name("testing_runner.py")
PLACE = "{n}"
#: five values over a factor of 8: what a law needs
NS = (25, 50, 100, 150, 200)
BOUNDS = ("max_slope_ms", "max_exponent", "max_ratio")


class Inconclusive(UserWarning):
    """A bound lies within the interval of what was measured, so that nothing is decided; more budget or larger N would."""


class ScalingFailed(AssertionError):
    """The total grows faster than was allowed.

    Attributes:
        diagnosis: what was measured, and why it grows.
        report: the page that shows it.
    """

    def __init__(self, message: str, measured: "Measured") -> None:
        super().__init__(message)
        self.diagnosis, self.report = measured.diagnosis, measured.page()


class Measured:
    """One target's run, and what it says.

    Attributes:
        document: everything that a report may show.
        folder: where the run is kept.
    """

    def __init__(self, document: "Document", folder: Path) -> None:
        self.document, self.folder = document, folder

    @property
    def diagnosis(self) -> "Diagnosis":
        """The answer."""
        return self.document.diagnosis

    @property
    def arm(self) -> "ArmDiagnosis":
        """The program's one arm."""
        return self.diagnosis.arms[0]

    def text(self) -> str:
        """The report as plain text."""
        from loopdiag.report.text import render

        return render(self.document)

    def forget(self) -> None:
        """Remove the temporary folder that holds it."""
        import shutil

        shutil.rmtree(self.folder.parent, ignore_errors=True)

    def page(self) -> Path:
        """The report as a page, written when it is first asked for."""
        file = self.folder / "report.html"
        if not file.exists():
            from loopdiag import pipeline

            content = pipeline.rendered(self.document, "html")
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file


def assert_scaling(  # noqa: PLR0913 - all but the target have defaults
    target: Target,
    *,
    args: Sequence[str] = (),
    n: Sequence[int] = NS,
    max_slope_ms: float | None = None,
    max_exponent: float | None = None,
    max_ratio: float | None = None,
    baseline: Path | str | None = None,
    budget: str | float = "30s",
    verify: bool = False,
    inconclusive: Literal["pass", "fail"] = "pass",
    out: Path | str | None = None,
    cwd: Path | str | None = None,
) -> "Diagnosis":
    """Run a program at growing N, and fail where its total surely grows faster than a bound allows.

    A bound is broken where the whole 95 % interval lies above it, so that scatter alone fails no test (more often than in 2.5 % of runs).

    Args:
        target: a command line with ``{n}`` where the number of requests goes, or an async function of a module's top level that takes this number first; it is run in
            a process of its own, by ``asyncio.run``.
        args: what the function is given behind the number, as strings.
        n: numbers of requests; a law needs five values over a factor of 8: where three or four are given, more are put between them.
        max_slope_ms: bound on what one more request costs, in ms.
        max_exponent: bound on the power of N with which the total grows at the largest N: 1.1 allows linear growth, and no more.
        max_ratio: bound on the slope over that of `baseline`.
        baseline: an earlier run's folder, or its diagnosis.json.
        budget: of the whole, such as ``"30s"`` or ``"2m"``, or seconds.
        verify: prove the causes by changing the program from inside, within the same budget.
        inconclusive: what becomes of a bound inside the interval: "pass" warns with `Inconclusive`, "fail" fails.
        out: folder that keeps the run; None: one of the system's temporary folders, which is kept where the test fails.
        cwd: where the program runs; None: here.

    Returns:
        The diagnosis: law, slope, ledger, causes.

    Raises:
        ScalingFailed: a bound is broken; its message names the first cause, with the program's line.
        InputError: the target cannot be run, or nothing is bounded.
        NothingMeasured: the program failed at every N.
    """
    __tracebackhide__ = True  # pytest shows the test's own line
    bounds = dict(zip(BOUNDS, (max_slope_ms, max_exponent, max_ratio), strict=True))
    require_bounds(bounds, baseline)
    found = measure(target, args=args, n=n, baseline=baseline, budget=budget, verify=verify, out=out, cwd=cwd)
    judge(found, bounds, inconclusive=inconclusive)
    if out is None:
        found.forget()
    return found.diagnosis


def measure(  # noqa: PLR0913 - all but the target have defaults
    target: Target,
    *,
    args: Sequence[str] = (),
    n: Sequence[int] = NS,
    baseline: Path | str | None = None,
    budget: str | float = "30s",
    verify: bool = False,
    out: Path | str | None = None,
    cwd: Path | str | None = None,
) -> Measured:
    """Run the target and diagnose it, without a bound; arguments and errors as of `assert_scaling`."""
    from loopdiag import pipeline

    keep_baseline = pipeline.keeper(None if baseline is None else Path(baseline))
    scenario = _scenario(command(target, args), n, budget, verify=verify, cwd=cwd)
    folder = _folder(scenario.name, out)
    try:
        pipeline.record(scenario, folder)
    except BaseException:
        if out is None and not folder.exists():  # nothing was run, so nothing is kept
            folder.parent.rmdir()
        raise
    keep_baseline(folder)
    document = pipeline.verify(folder) if verify else pipeline.diagnose(folder)
    pipeline.require_usable(document, folder)
    return Measured(document, folder)


def judge(measured: Measured, bounds: dict[str, float | None], *, inconclusive: Literal["pass", "fail"] = "pass") -> None:
    """Hold what was measured to its bounds.

    Args:
        measured: by `measure`.
        bounds: "max_slope_ms", "max_exponent" or "max_ratio" → the bound, or None.
        inconclusive: as of `assert_scaling`.

    Raises:
        ScalingFailed: a bound is broken.
    """
    __tracebackhide__ = True
    broken: list[str] = []
    open_: list[str] = []
    for name, (what, seen) in _figures(measured).items():
        bound = bounds.get(name)
        if bound is None or (seen is not None and seen.high is not None and seen.high <= bound):
            continue
        surely = seen is not None and seen.low is not None and seen.low > bound
        (broken if surely else open_).append(f"{what} is {_told(seen)}, {'above' if surely else 'not surely within'} {name}={bound:g}")
    if broken or (open_ and inconclusive == "fail"):
        raise ScalingFailed(_message([*broken, *open_], measured), measured)
    for line in open_:
        warnings.warn(f"{line}: give it more budget, or larger N", Inconclusive, stacklevel=3)


def command(target: Target, args: Sequence[str] = ()) -> list[str]:
    """The command line that runs a target.

    Raises:
        InputError: it is none, or a function that a program of its own could not import.
    """
    from loopdiag.errors import InputError

    if isinstance(target, str | Sequence):
        words = shlex.split(target) if isinstance(target, str) else [str(word) for word in target]
        if args:
            raise InputError("args: are given to functions; a command line holds its own")
        return words
    return _function(target, [str(each) for each in args])


def _function(target: Callable[..., object], args: list[str]) -> list[str]:
    import inspect
    import json

    from loopdiag.errors import InputError

    name = getattr(target, "__qualname__", repr(target))
    if not inspect.iscoroutinefunction(target):
        raise InputError(f"{name}: expected a command line or an async function, such as: async def fetch(n): …")
    if "<" in name or inspect.ismethod(target):
        raise InputError(
            f"{name}: is made inside another function, or belongs to an object; move it to the top of its module, so that a program of its own can import it"
        )
    file = inspect.getsourcefile(inspect.unwrap(target))  # not that of a decorator
    if file is None:
        raise InputError(f"{name}: has no file that a program of its own could import")
    places = [place for place in sys.path if place and Path(place).is_dir()]
    return [sys.executable, str(RUNNER), json.dumps(places), target.__module__, str(Path(file).resolve()), name, PLACE, *args]


def _scenario(words: list[str], n: Sequence[int], budget: str | float, *, verify: bool, cwd: Path | str | None) -> "Scenario":
    from msgspec.structs import replace

    from loopdiag import asked

    made = asked.of_program(words, n=",".join(map(str, n)), budget=str(budget), verified=verify)
    assert made.program is not None
    name = words[5].replace(".", "-") if words[1:2] == [str(RUNNER)] else made.name
    return replace(made, name=name, program=replace(made.program, cwd=None if cwd is None else str(cwd)))


def _folder(name: str, out: Path | str | None) -> Path:
    import tempfile

    return Path(tempfile.mkdtemp(prefix=f"loopdiag-{name}-")) / "run" if out is None else Path(out)


def require_bounds(bounds: dict[str, float | None], baseline: Path | str | None) -> None:
    """Hold that there is something to judge.

    Raises:
        InputError: nothing is bounded, or a ratio without a baseline.
    """
    from loopdiag.errors import InputError

    if all(bound is None for bound in bounds.values()):
        raise InputError(f"assert_scaling: nothing is bounded: give {', '.join(bounds)}")
    if (bounds["max_ratio"] is None) != (baseline is None):
        raise InputError("assert_scaling: max_ratio and baseline belong together: the ratio is that to the baseline's slope")


def _figures(measured: Measured) -> "dict[str, tuple[str, Estimate | None]]":
    """Bound → what it bounds, and that figure."""
    arm, made = measured.arm, measured.diagnosis.comparison
    ratio = made.arms[0].ratio if made is not None and made.arms else None
    return {
        "max_slope_ms": ("slope in ms per request", arm.slope_ms),
        "max_exponent": ("exponent", arm.law.exponent),
        "max_ratio": ("slope over the baseline's", ratio),
    }


def _told(seen: "Estimate | None") -> str:
    from loopdiag.report import format as fmt

    if seen is None:
        return "not known"
    return fmt.estimate(seen) if seen.low is not None else f"{fmt.estimate(seen)} ({seen.why or 'without an interval'})"


def _message(lines: list[str], measured: Measured) -> str:
    from loopdiag.report import findings
    from loopdiag.report import format as fmt

    arm = measured.arm
    cause = findings.leading(arm)
    said = [*lines, f"law of T(N): {fmt.formula(fmt.law_form(arm.law))}", findings.sentence(arm)]
    if cause is not None and cause.place is not None:
        said.append(f"line to change: {cause.place.name} `{cause.place.text}`")
    if cause is not None and cause.remedy:
        said.append(f"remedy: {cause.remedy}")
    return "\n".join(map(fmt.clean, [*said, f"report: {measured.page()}"]))
