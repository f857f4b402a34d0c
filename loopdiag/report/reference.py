"""Published measurements that a scenario is held against: what ships under loopdiag/tables/, and which arms belong beside it."""

import csv
from collections.abc import Iterator
from importlib.resources import files
from itertools import combinations
from statistics import median

from loopdiag.model.diagnosis import ArmDiagnosis
from loopdiag.model.document import Document
from loopdiag.model.value import Value
from loopdiag.report import format as fmt

TABLES = files("loopdiag") / "tables"


class Series(Value, frozen=True, kw_only=True):
    """One published file: a total a run, and the straight line through it that outliers do not move (Theil and Sen)."""

    name: str  # of the file, without its ending
    points: tuple[tuple[int, float], ...]  # (N, seconds)
    slope_s: float  # per request
    offset_s: float

    def at(self, n: float) -> float:
        """The line at N, in seconds."""
        return self.offset_s + self.slope_s * n


class Panel(Value, frozen=True, kw_only=True):
    """One figure of the publication, and the arms that ran its program here."""

    title: str
    says: str  # what its program did
    series: tuple[Series, ...]
    arms: tuple[str, ...]  # ``client/loop`` each


class Drawn(Value, frozen=True, kw_only=True):
    """A panel with the run's own arms that belong into it, those that it has."""

    panel: Panel
    arms: tuple[ArmDiagnosis, ...]


class Beside(Value, frozen=True, kw_only=True):
    """All panels of a document, and all of its arms, whose colours they keep."""

    panels: tuple[Drawn, ...]
    arms: tuple[ArmDiagnosis, ...]


def beside(document: Document) -> Beside | None:
    """What the document's scenario is held against; None where it names no table."""
    table, arms = document.recording.scenario.reference.table, document.diagnosis.arms
    if table is None:
        return None
    return Beside(panels=tuple(Drawn(panel=panel, arms=tuple(belonging(panel, arms))) for panel in panels(table)), arms=arms)


def belonging(panel: Panel, arms: tuple[ArmDiagnosis, ...]) -> Iterator[ArmDiagnosis]:
    """The arms of the run that ran the panel's program, in the panel's order."""
    for wanted in panel.arms:
        yield from (arm for arm in arms if f"{arm.client}/{arm.loop}" == wanted and arm.points)


def panels(table: str) -> tuple[Panel, ...]:
    """The figures of a shipped table, in their order; files of the same panel are drawn into one."""
    folder = TABLES / table
    rows = list(csv.DictReader((folder / "panels.csv").read_text(encoding="utf-8").splitlines()))
    made = {}
    for title in dict.fromkeys(row["panel"] for row in rows):
        mine = [row for row in rows if row["panel"] == title]
        found = tuple(series(table, row["file"], float(row["seconds"])) for row in mine)
        made[title] = Panel(title=title, says=mine[0]["says"], series=found, arms=tuple(mine[0]["arms"].split()))
    return tuple(made.values())


def called(series: Series) -> str:
    """The series as a key says it: ``published 2021-12-05: 46.7 ms/request``."""
    return f"published {series.name.rpartition('_')[2]}: {fmt.significant(series.slope_s * 1e3)} ms/request"


def series(table: str, file: str, unit_s: float) -> Series:
    """One file: a header line, then N and the total in units of `unit_s` seconds."""
    _, *rows = csv.reader((TABLES / table / file).read_text(encoding="utf-8").splitlines())
    return fitted(file.removesuffix(".csv"), tuple((int(n), float(total) * unit_s) for n, total in rows))


def fitted(name: str, points: tuple[tuple[int, float], ...]) -> Series:
    """The points with their line: the median of the slopes of all pairs, through the median of what is left."""
    slope = median((b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(points, 2))
    return Series(name=name, points=points, slope_s=slope, offset_s=median(y - slope * n for n, y in points))
