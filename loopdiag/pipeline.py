"""record → diagnose → report: the stages of a run, over a folder that keeps everything between them."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from loopdiag.errors import NothingMeasured
from loopdiag.model.document import Document
from loopdiag.model.scenario import Scenario

if TYPE_CHECKING:
    from loopdiag.lab.campaign import Progress

Render = Callable[[Document], str | bytes]


def record(scenario: Scenario, out: Path | None = None, *, progress: "Progress | None" = None, live: bool = False) -> Path:
    """Run the scenario's trials and return the folder that holds them, every finished trial, even after a fault or Ctrl-C.

    Raises:
        InputError: the scenario cannot run here, or the folder cannot be written.
    """
    from datetime import UTC, datetime

    from loopdiag.analysis.scaling import predict_total, repeatability
    from loopdiag.lab import campaign, store
    from loopdiag.lab.environment import environment

    campaign.check(scenario, live_allowed=live)  # before a folder is made
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
    )
    return folder


def diagnose(folder: Path) -> Document:
    """What the recording in `folder` says; writes `diagnosis.json` there.

    Raises:
        InputError: `folder` holds no recording.
    """
    from loopdiag.analysis.diagnose import diagnose as analyse
    from loopdiag.lab import store

    recording = store.load(folder)
    document = analyse(
        recording,
        lambda trial: store.columns(folder, trial),
        profiles=lambda trial: store.profile(folder, trial),
        calls=lambda trial: store.calls(folder, trial),
    )
    store.write(folder / "diagnosis.json", rendered(document, "json"))
    return document


def require_usable(document: Document, folder: Path) -> None:
    """Hold that anything was measured.

    Raises:
        NothingMeasured: no trial can be used; the reasons, and where the recording is kept.
    """
    if not any(trial.usable for trial in document.recording.trials):
        raise NothingMeasured(*_why_nothing(document, folder))


def report(document: Document, folder: Path) -> Path:
    """Write `report.html`, the figures and the profiles into `folder`, and return the page's path."""
    from loopdiag.lab import store
    from loopdiag.report.figures import write_figures

    write_figures(document, folder / "figures")
    if document.profiles:
        (folder / "profiles").mkdir(exist_ok=True)
        for name, file in (("folded", "largest.folded"), ("speedscope", "trials.speedscope.json")):
            store.write(folder / "profiles" / file, rendered(document, name))
    page = folder / "report.html"
    store.write(page, rendered(document, "html"))
    return page


def rendered(document: Document, name: str) -> str | bytes:
    """The document in the format called `name`.

    Raises:
        InputError: there is no such format.
    """
    from loopdiag.report import FORMATS

    render: Render = FORMATS[name]
    return render(document)


def _why_nothing(document: Document, folder: Path) -> list[str]:
    trials = document.recording.trials
    reasons = dict.fromkeys(f"{trial.spec.arm.name} N = {trial.spec.n}: {trial.status}: {_reason(trial)}" for trial in trials)
    skipped = dict.fromkeys(f"{cell.arm} N = {cell.n}: not run: {cell.why}" for cell in document.recording.skipped)
    return [f"nothing usable was measured; what was recorded is in {folder}", *list(reasons)[:5], *list(skipped)[:5]]


def _reason(trial: object) -> str:
    why, errors = getattr(trial, "why", None), getattr(trial, "errors", {})
    return why or ", ".join(f"{count} × {kind}" for kind, count in errors.items()) or "a warm-up"
