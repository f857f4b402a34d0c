"""Progress of long work, on standard error: a bar with time left on a terminal, a line now and then elsewhere."""

from typing import TYPE_CHECKING, TextIO

from loopdiag.model.recording import TrialResult, TrialSpec

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

EVERY = 20  # trials between lines where there is no terminal


class TerminalProgress:
    """What the lab tells while it measures, shown to a person."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        self._console = Console(file=stream, highlight=False, soft_wrap=True)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._done = 0
        self._total_s, self._what = 0.0, "measuring"

    def begin(self, total_estimate_s: float, what: str = "measuring") -> None:
        """The lab begins to do `what`; it will take at most about so long."""
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._total_s, self._what = total_estimate_s, what
        if not self._console.is_terminal:
            self._console.print(f"{what}, up to {total_estimate_s:.0f} s")
            return
        columns = (TextColumn("{task.description:<50}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[left]}"))
        self._bar = Progress(*columns, console=self._console, transient=True)
        self._task = self._bar.add_task(f"{what}: starting", total=total_estimate_s, left="")
        self._bar.start()

    def trial_started(self, spec: TrialSpec, eta_s: float) -> None:
        """A trial starts; `eta_s` is the time left for all of them."""
        if self._bar is not None and self._task is not None:
            what = f"{self._what}: {_cell(spec)}"
            done = max(0.0, self._total_s - eta_s)
            self._bar.update(self._task, description=what, completed=done, left=f"about {eta_s:.0f} s left")

    def trial_ended(self, result: TrialResult, eta_s: float) -> None:
        """A trial ended; what went wrong is said at once."""
        self._done += 1
        if result.status != "ok":
            spec = result.spec
            self.note(f"{_cell(spec)}: {result.status}: {result.why}")
        elif self._bar is None and self._done % EVERY == 0:
            self._console.print(f"{self._what}: {self._done} trials done, about {eta_s:.0f} s left")

    def note(self, line: str) -> None:
        """Something a person should know now."""
        self._console.print(line, markup=False)

    def end(self) -> None:
        """The lab is done."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _cell(spec: TrialSpec) -> str:
    """A trial's cell; a user's program is its run's only arm, and needs no name."""
    return f"{'' if spec.arm.client == 'program' else f'{spec.arm.name} '}N = {spec.n} {spec.tier}"
