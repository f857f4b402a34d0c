"""A self-test's summary as text of at most 100 columns; pure."""

from collections.abc import Iterator
from string import ascii_letters

from loopdiag.selftest.plants import ROWS
from loopdiag.selftest.rates import Rate, Summary, wilson
from loopdiag.selftest.scoring import HEALTHY, HEALTHY_KINDS, Score

WIDTH = 100
LETTERS = ascii_letters
NAME = 26  # columns of a cause's name
WIDE = 26  # columns that find room with a space between them
PLANTED = ("single", "program")  # kinds with one true cause


def render(made: Summary) -> str:
    """The confusion matrix, the rates, what missed, and what was not run."""
    lines = [*(_matrix(made) if made.matrix else ()), *_rates(made), *_misses(made), *_not_run(made)]
    if made.partial:
        lines += ["", "interrupted: only the rows above were run"]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _matrix(made: Summary) -> Iterator[str]:
    """True cause down, first answer across, as letters; a dot is a zero, and a plus ten or more where columns are narrow."""
    kinds = {score.row.kind for score in made.scores}
    known = dict.fromkeys(row.truth[0] for row in ROWS if row.kind in PLANTED and row.kind in kinds)
    answers = [name for name in dict.fromkeys((*known, *(first for row in made.matrix.values() for first in row))) if name != HEALTHY]
    columns = [*answers, HEALTHY]
    marks = dict(zip(columns, (*LETTERS[: len(answers)], "-"), strict=True))
    wide = 2 if len(columns) <= WIDE else 1
    title = "planted, and what was named first" if wide == 2 else "planted, and named first"
    yield f"{title:<{NAME + 2}}" + "".join(f"{marks[name]:>{wide}}" for name in columns) + "   right, 95 %"
    for truth, found in made.matrix.items():
        cells = "".join(f"{_count(found.get(name, 0), wide):>{wide}}" for name in columns)
        yield f"{marks.get(truth, ' ')} {_short(truth, NAME):<{NAME}}{cells}   {_right(truth, made)}".rstrip()
    beside = [name for name in answers if name not in made.matrix and any(name in found for found in made.matrix.values())]
    if beside:
        yield "  " + ", ".join(f"{marks[name]} {name}" for name in beside)
    yield ""


def _count(rows: int, wide: int) -> str:
    return "." if not rows else "+" if rows > 9 and wide == 1 else str(rows)


def _right(truth: str, made: Summary) -> str:
    ran = [score for score in made.scores if score.outcome != "not run"]
    mine = [s for s in ran if f"({s.row.kind})" == truth or (s.row.kind in PLANTED and s.row.truth[0] == truth)]
    hits = sum(score.outcome == "right" for score in mine)
    low, high = wilson(hits, len(mine))
    return f"{hits}/{len(mine)} {low:.0%}–{high:.0%}"


def _rates(made: Summary) -> Iterator[str]:
    signs = {True: "holds", False: "FAILS", None: ""}
    for rate in made.rates:
        yield f"{rate.what:<49}{_value(rate):<30}{rate.asked:<15}{signs[rate.holds]}".rstrip()


def _value(rate: Rate) -> str:
    if rate.value is None:
        return "not measured"
    if rate.hits is None:
        return f"{rate.value:.1%} of {rate.of}"
    return f"{rate.hits}/{rate.of} = {rate.value:.1%} [{rate.low or 0:.0%}–{rate.high or 0:.0%}]"


def _misses(made: Summary) -> Iterator[str]:
    missed = [score for score in made.scores if score.outcome in {"wrong", "abstained"} or score.line is False]
    if missed:
        yield ""
        yield "missed:"
    for score in missed:
        yield from _wrapped(f"  {score.row.name}: {told(score)}", f"    {score.folder}")


def told(score: Score) -> str:
    """How a row came out, in a few words."""
    if score.outcome == "not run":
        return f"not run: {score.why}"
    if score.why:
        return f"broken: {score.why}"
    if score.row.kind == "same":
        return f"A/A: {score.verdict}"
    if score.row.kind in HEALTHY_KINDS:
        return f"false alarm: {', '.join(score.alarms)}" if score.alarms else f"right: {score.first or HEALTHY}"
    named = ", ".join(score.named) or score.first or "nothing"
    line = "" if score.line is None else f", {'right' if score.line else 'wrong'} line"
    return f"{score.outcome}: planted {' + '.join(score.row.truth)}, named {named}{line}"


def _not_run(made: Summary) -> Iterator[str]:
    left = [score for score in made.scores if score.outcome == "not run"]
    if left:
        yield ""
        yield "not run:"
    for score in left:
        yield from _wrapped(f"  {score.row.name}: {score.why}")


def _wrapped(*lines: str) -> Iterator[str]:
    """Long lines go on, indented; a folder's name is never broken."""
    from textwrap import wrap

    for line in lines:
        yield from wrap(line, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False, initial_indent="") or [""]


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
