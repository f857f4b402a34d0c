"""record → diagnose → verify → report: the stages of a run, over a folder that keeps everything between them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from loopdiag.errors import InputError, NothingMeasured, goes_on
from loopdiag.model.diagnosis import Diagnosis
from loopdiag.model.document import Document
from loopdiag.model.scenario import Scenario

if TYPE_CHECKING:
    from loopdiag.lab.campaign import Progress, World
    from loopdiag.verify.judged import Analysed

Render = Callable[[Document], str | bytes]


#: of a whole budget, what measuring gets at least
MEASURING = 0.4


def shared(scenario: Scenario, asked: Scenario) -> Scenario:
    """The scenario whose sweep's budget is a whole one, for measuring and verifying together.

    It is shared in the proportion of the scenario's own; measuring gets two fifths at least, since without it there is nothing to verify.

    Args:
        scenario: with the command line's values.
        asked: as its file says.
    """
    if not scenario.verify.enabled:
        return scenario
    part = max(MEASURING, asked.sweep.budget_s / (asked.sweep.budget_s + asked.verify.budget_s))
    whole = scenario.sweep.budget_s
    return structs.replace(
        scenario,
        sweep=structs.replace(scenario.sweep, budget_s=part * whole),
        verify=structs.replace(scenario.verify, budget_s=(1 - part) * whole),
    )


def record(
    scenario: Scenario,
    out: Path | None = None,
    *,
    progress: "Progress | None" = None,
    live: bool = False,
    heard: Callable[[int, bytes], None] | None = None,
) -> Path:
    """Run the scenario's trials and return the folder that holds them, every finished trial, even after a fault or Ctrl-C.

    Args:
        scenario: what to run.
        out: the folder; None: a new one under reports/.
        progress: who watches.
        live: whether requests may go to a live target.
        heard: gets what a program writes in its first run at each N: 1 or 2, and a piece of it.

    Raises:
        InputError: the scenario cannot run here, or the folder cannot be written.
    """
    from dataclasses import replace
    from datetime import UTC, datetime

    from loopdiag.analysis.scaling import predict_total, repeatability
    from loopdiag.lab import campaign, store
    from loopdiag.lab.environment import environment
    from loopdiag.lab.watching import Silent

    campaign.check(scenario, live_allowed=live)  # before a folder is made
    campaign.prepare(scenario, (progress or Silent()).note)
    now = datetime.now(UTC)
    folder = out if out is not None else store.default_folder(scenario.name, now)
    here = environment(scenario)
    opened = store.Store.create(folder, campaign.blank(scenario, here, now))
    campaign.record(
        scenario,
        opened,
        environment=here,
        predict=predict_total,
        half_width=repeatability,
        progress=progress,
        live_allowed=live,
        world=replace(campaign.WORLD, heard=heard),
    )
    return folder


def diagnose(folder: Path) -> Document:
    """What the recording in `folder` says, with the verdicts of the interventions that were run; runs nothing, and writes `diagnosis.json` there.

    Raises:
        InputError: `folder` holds no recording, cannot be written, or what was verified is damaged.
    """
    from loopdiag.verify import record as verified

    return _kept(_analysed(folder).told(verified.load(folder)), folder)


def verify(  # noqa: PLR0913 - all but the folder have defaults
    folder: Path,
    document: Document | None = None,
    *,
    budget_s: float | None = None,
    progress: "Progress | None" = None,
    live: bool = False,
    world: "World | None" = None,
) -> Document:
    """Run the interventions of the causes that the recording shows, and diagnose with what they did; what was verified before is not run again.

    Args:
        folder: of a run.
        document: what `diagnose` said of it; None: it is diagnosed first.
        budget_s: of verifying; None: the scenario's.
        progress: who watches.
        live: whether requests may go to a live target.
        world: for tests.

    Raises:
        InputError: `folder` holds no recording, or cannot be written.
    """
    from loopdiag.lab.campaign import WORLD
    from loopdiag.verify import record as verified
    from loopdiag.verify import verify as run

    made = _analysed(folder, document)
    tried = verified.load(folder)
    recording = made.document.recording
    if tried is None and recording.scenario.verify.enabled and not recording.interrupted:
        _kept(made.told(None), folder)  # whatever happens from here on
        tried = run(
            folder,
            recording,
            made.evidence,
            made.judged,
            made.hypotheses,
            budget_s=recording.scenario.verify.budget_s if budget_s is None else budget_s,
            live=live,
            progress=progress,
            world=world or WORLD,
        )
    return _kept(made.told(tried), folder)


def interrupted(document: Document, folder: Path) -> bool:
    """Whether the run, or its verification, was ended by Ctrl-C or SIGTERM."""
    from loopdiag.verify import record as verified

    tried = verified.load(folder)
    return document.recording.interrupted or (tried is not None and tried.interrupted)


def _analysed(folder: Path, document: Document | None = None) -> "Analysed":
    from loopdiag.verify.judged import analysed

    return analysed(folder, document)


def _kept(document: Document, folder: Path) -> Document:
    from loopdiag.compare import with_baseline
    from loopdiag.lab import store

    document = with_baseline(document, folder)
    with _writing(folder):
        store.write(folder / "diagnosis.json", rendered(document, "json"))
    return document


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """What cannot be written into a run's folder is told in a line."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{error.filename2 or error.filename or folder}: cannot be written: {error.strerror or error}; {goes_on(folder)} when it can be"
        ) from error


def compare(before: Path, after: Path) -> Diagnosis:
    """The later run's diagnosis with the earlier one beside it; both are folders of runs, or files.

    Raises:
        InputError: one of them holds no diagnosis, or they have no arm in common.
    """
    from loopdiag import compare as comparing

    return comparing.compare(before, after)


def keeper(baseline: Path | None) -> Callable[[Path], None]:
    """What keeps the earlier run at `baseline` in a run's folder; nothing where there is none.

    Raises:
        InputError: `baseline` holds no diagnosis; told before anything is measured.
    """
    if baseline is None:
        return lambda _folder: None
    from loopdiag import compare as comparing

    try:
        earlier = comparing.read(baseline)
    except InputError as error:
        raise InputError(*(f"--baseline: {fault}" for fault in error.faults)) from error
    return lambda folder: comparing.keep(earlier, folder)


def write_diagnosis(diagnosis: Diagnosis, file: Path) -> None:
    """Write a diagnosis where the user asked for it.

    Raises:
        InputError: it cannot be written there.
    """
    from loopdiag.report.json import written

    write_asked("--json", file, written(diagnosis))


def write_asked(option: str, file: Path, content: str | bytes) -> None:
    """Write what the user asked for by an option into the file that he named.

    Raises:
        InputError: it cannot be written there.
    """
    from loopdiag.lab import store

    try:
        store.write(file, content)
    except OSError as error:
        raise InputError(f"{option} {file}: cannot be written: {error.strerror}") from error


def require_usable(document: Document, folder: Path) -> None:
    """Hold that anything was measured.

    Raises:
        NothingMeasured: no trial can be used; the reasons, and where the recording is kept.
    """
    if not any(trial.usable for trial in document.recording.trials):
        raise NothingMeasured(*_why_nothing(document, folder))


def report(document: Document, folder: Path) -> Path:
    """Write `report.html`, the figures and the profiles into `folder`, and return the page's path.

    Raises:
        InputError: `folder` cannot be written.
    """
    from loopdiag.lab import store
    from loopdiag.report.figures import write_figures

    page = folder / "report.html"
    with _writing(folder):
        write_figures(document, folder / "figures")
        if document.profiles:
            (folder / "profiles").mkdir(exist_ok=True)
            for name, file in (("folded", "largest.folded"), ("speedscope", "trials.speedscope.json")):
                store.write(folder / "profiles" / file, rendered(document, name))
        store.write(page, rendered(document, "html"))
    return page


def rendered(document: Document, name: str) -> str | bytes:
    """The document in the format called `name`.

    Raises:
        InputError: there is no such format.
    """
    from loopdiag.report import FORMATS
    from loopdiag.report.naming import named

    render: Render = FORMATS[name]
    return render(document if name == "json" else named(document))


def _why_nothing(document: Document, folder: Path) -> list[str]:
    from loopdiag.report.content import reason, trial_arm
    from loopdiag.report.format import clean
    from loopdiag.report.naming import named

    document = named(document)
    trials = document.recording.trials
    reasons = dict.fromkeys(
        f"{trial_arm(document, trial.spec.arm.name)} N = {trial.spec.n}: {trial.status}: {clean(_reason(trial))}" for trial in trials
    )
    skipped = dict.fromkeys(f"{cell.arm} N = {cell.n}: not run: {reason(cell)}" for cell in document.recording.skipped)
    return [f"nothing usable was measured; what was recorded is in {folder}", *list(reasons)[:5], *list(skipped)[:5]]


def _reason(trial: object) -> str:
    why, errors = getattr(trial, "why", None), getattr(trial, "errors", {})
    return why or ", ".join(f"{count} × {kind}" for kind, count in errors.items()) or "a warm-up"
