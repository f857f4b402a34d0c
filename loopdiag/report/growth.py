"""What every report says about the code that the loop's time goes to: shares by class, top rows, what the profile is, calls."""

from loopdiag.model.diagnosis import Overhead
from loopdiag.model.document import Document
from loopdiag.model.flame import CLASSES, Flame, Kind
from loopdiag.model.profile import Calls
from loopdiag.report import content
from loopdiag.report import format as fmt
from loopdiag.report.addresses import source

UNITS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "us": 1e-6, "ns": 1e-9}
NAMED = 0.02  # of the whole: smaller classes are summed up in the sentence


def factor(flame: Flame) -> float:
    """Seconds in one unit of the flame's values: its unit begins with the unit of time."""
    return UNITS.get(flame.unit.split(" ", 1)[0], 1.0)


def measured(flame: Flame) -> str:
    """What the values are, without their unit of time: ``of CPU a request``."""
    return fmt.clean(flame.unit.partition(" ")[2]) or "by the clock"


def of_kind(document: Document, kind: Kind) -> list[Flame]:
    """The document's flame graphs of one kind that have a frame in them, in the order of the arms, then of N."""
    order = {arm.arm: k for k, arm in enumerate(document.diagnosis.arms)}
    shown = [flame for flame in document.flames if flame.kind == kind and len(flame.parent) > 1]
    return sorted(shown, key=lambda flame: (order.get(flame.arm, len(order)), flame.n or 0))


def main_flames(document: Document) -> dict[str, Flame]:
    """Arm → the graph that speaks for it: its slope graph, else its trial's at the largest N."""
    trials = {flame.arm: flame for flame in of_kind(document, "trial")}
    slopes = {flame.arm: flame for flame in of_kind(document, "slope")}
    arms = dict.fromkeys((*(arm.arm for arm in document.diagnosis.arms), *slopes, *trials))
    return {arm: slopes.get(arm) or trials[arm] for arm in arms if arm in slopes or arm in trials}


def class_sums(flame: Flame) -> dict[str, float]:
    """Class of code → the sum of its frames' own values, the largest first; classes that do not occur are left out."""
    sums: dict[str, float] = {}
    for code, value in zip(flame.code, flame.self_value, strict=True):
        sums[code] = sums.get(code, 0.0) + value
    return {code: value for code, value in sorted(sums.items(), key=lambda item: -item[1]) if value}


def sentence(flame: Flame) -> str:
    """The classes with their sums: ``Of 930 µs of CPU a request: 410 µs client-library, …, other 2 %``."""
    sums = class_sums(flame)
    total = sum(sums.values())
    large = {code for code, value in sums.items() if abs(value) >= NAMED * abs(total)}
    small = [code for code in sums if code not in large and code != "other"]
    named = [(code, value) for code, value in sums.items() if code != "other" and (code in large or len(small) == 1)]
    rest = [sums[code] for code in small] if len(small) > 1 else []
    said = [f"{fmt.seconds(value * factor(flame))} {code}" for code, value in named]
    if rest:
        said.append(f"{fmt.seconds(sum(rest) * factor(flame))} in {len(rest)} smaller")
    share = flame.other_share if flame.other_share is not None else (sums.get("other", 0.0) / total if total else None)
    said.append(f"other {fmt.percent(share)}")
    return f"Of {fmt.seconds(total * factor(flame))} {measured(flame)}: {', '.join(said)}."


def meaning(code: str) -> str:
    """What a class of code is."""
    return CLASSES.get(code, "a class that this version does not know")


def facts(document: Document, flame: Flame) -> list[tuple[str, str]]:
    """What the profile is: samples, rate, what was lost, what the tier costs, what was rescaled, what is left."""
    rate = f", {fmt.significant(flame.rate_hz)} a second" if flame.rate_hz else ""
    rows = [("Samples", f"{flame.samples}{rate}; lost {flame.lost}")]
    rows += [("Profiler's cost", cost(row)) for row in document.diagnosis.overhead if (row.tier, row.arm) == ("profile", flame.arm)]
    if flame.residual is not None:
        rows.append(
            ("Residual", f"{fmt.seconds(flame.residual * factor(flame))} {measured(flame)} measured without the profiler and in no frame")
        )
    return [*rows, *(("Note", fmt.clean(note)) for note in flame.notes)]


def cost(row: Overhead) -> str:
    """What the profiler did to its trials."""
    return f"over bare trials: {content.overhead_row(row)[2]}" if row.ratio is not None else content.overhead_row(row)[2]


def calls_n(document: Document, arm: str) -> int | None:
    """The largest N of the arm's `calls` trials that ended well."""
    counted = (trial.spec for trial in document.recording.trials if trial.status == "ok" and trial.spec.tier == "calls")
    return max((spec.n for spec in counted if spec.arm.name == arm), default=None)


def most_called(document: Document, arm: str, most: int) -> list[Calls]:
    """The functions that were called most often, those first."""
    return sorted(document.calls.get(arm, ()), key=lambda row: (-row.calls, row.function, row.file))[:most]


def place(file: str, line: int | None = None) -> str:
    """A frame's file as it is shown, with the line of its definition where it is known."""
    shown = one_line(source(file))
    return f"{shown}:{line}" if shown and line is not None else shown


def exponent(value: float | None) -> str:
    """``N^2.0``, or nothing where the frame is not super-linear."""
    return "" if value is None else f"N^{fmt.fixed(value, 1)}"


def top_lines(document: Document, most: int, width: int) -> dict[str, list[str]]:
    """Arm → its first top rows as lines of at most `width` characters: own slope, exponent, class, function, file; without those that may as well not grow."""
    made = {}
    for arm, found in document.top.items():
        rows = [row for row in found if row.self_low is None or row.self_low > 0]
        cells = [
            (fmt.between(r.self_us, r.self_low, r.self_high), exponent(r.exponent), one_line(r.code), one_line(r.function))
            for r in rows[:most]
        ]
        wide = [max((len(row[k]) for row in cells), default=0) for k in range(3)]
        lines = [f"{own:>{wide[0]}}  {power:<{wide[1]}}  {code:<{wide[2]}}  {name}" for own, power, code, name in cells]
        made[arm] = [cut(line, row.file, width) for line, row in zip(lines, rows, strict=False)]
    return {arm: lines for arm, lines in made.items() if lines}


def bare_name(function: str) -> str:
    """``Pool._assign`` → ``_assign``, ``install.<locals>.make`` → ``make``; what has no name of its own keeps its owner's."""
    words = one_line(function).split(".")
    first = len(words) - 1
    while first > 0 and words[first].startswith("<"):
        first -= 1
    return ".".join(words[first:])


def one_line(text: str) -> str:
    """Text without control characters and line ends."""
    return " ".join(fmt.clean(text).split())


def cut(line: str, file: str, width: int) -> str:
    """The line with its file as far as there is room: a path loses its folders first, then all of it; a longer line is shortened."""
    path = one_line(source(file))
    for shown in (path, path.rsplit("/", 1)[-1]):
        if shown and len(line) + 2 + len(shown) <= width:
            return f"{line}  {shown}"
    return line if len(line) <= width else f"{line[: width - 1]}…"


def why_not(document: Document) -> str:
    """Why the document has no flame graph, in one line."""
    said = [text for text in document.diagnosis.not_observed if "profil" in text.lower() or "py-spy" in text.lower()]
    trials = [trial for trial in document.recording.trials if trial.spec.tier == "profile"]
    said += [f"{name}: {why}" for trial in trials for name, why in trial.not_observed.items()]
    said += [f"{trial.status}: {trial.why}" for trial in trials if trial.status != "ok" and trial.why]
    skipped = (*document.diagnosis.not_measured, *document.recording.skipped)
    said += [f"{cell.arm}, N = {cell.n}: {content.reason(cell)}" for cell in skipped if cell.tier == "profile"]
    said += [note for flame in document.flames for note in flame.notes]
    reasons = list(dict.fromkeys(map(one_line, said)))
    if not reasons:
        reasons = ["no sample was taken in the run's profile trials" if trials else "the run has no profile trial"]
    more = f" (and {fmt.count(len(reasons) - 3, 'further reason')})" if len(reasons) > 3 else ""
    return f"Not observed: {'; '.join(reasons[:3])}{more}."
