"""Fills docs/why-linear.md with the numbers of runs: `python docs/fill.py RUN…`.

Each RUN is a run's folder.  What the text needs of it goes to docs/figures/SCENARIO.json, which is committed; then docs/why-linear.in.md is filled from all of
those files into docs/why-linear.md, which `python docs/fill.py` alone does, too.  tests/test_docs_numbers.py holds that the text is what the files say.

In the template ``{{blog httpx/asyncio slope}}`` is a number: file, arm, what (see `WORDS`), and perhaps more; ``{{blog arms}}`` is one of the whole run
(`TABLES`); ``{{holds blog httpx/asyncio exponent > 1}}`` leaves nothing behind, and is a fault where it is not so: what the text says in words.
A paragraph about a run that was not made says how to make it.
"""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from runs import Json, Number, extract

from loopdiag.errors import InputError
from loopdiag.report import format as fmt
from loopdiag.report.accounts import name_of, waits
from loopdiag.report.reference import panels

DOCS = Path(__file__).parent
TEMPLATE, TEXT, FIGURES = DOCS / "why-linear.in.md", DOCS / "why-linear.md", DOCS / "figures"
PLACE = re.compile(r"\{\{([^{}]+)\}\}")
PICTURES = ("reference.png", "ladder.png", "scaling.png")  # of a run's figures, the first that it has is shown
BENCHES = {
    "ca-bundle": "python benchmarks/ca_bundle.py --json",
    "poller": "python benchmarks/poller.py --json FILE",
}  # files that are of no run
PER = "ns_per_1000_idle"  # of the poller's: what a call costs more for each thousand idle descriptors
SMALL = 0.02  # of the slope: accounts below it are summed up


class Absent(Exception):
    """The run that a paragraph speaks of was not made."""


class Wrong(Exception):
    """The template asks for what a run does not have, or says what is not so."""


class Asked(NamedTuple):
    """An arm of a run, and the words that follow in the place."""

    run: Json
    arm: Json
    name: str
    more: tuple[str, ...]


def stated(found: Number | None, unit: str = "ms/request") -> str:
    """A number with its interval and unit."""
    if found is None:
        raise Wrong("was not measured")
    return " ".join(filter(None, (fmt.between(found[0] or 0.0, *found[1:]), unit)))


def account(asked: Asked) -> Number:
    """The sum of the accounts that begin so, with the interval of the one, if it is one."""
    values = [value for key, value in asked.arm["accounts"].items() if any(name_of(key).startswith(name) for name in asked.more)]
    if not values:
        raise Wrong(f"has no account {' or '.join(asked.more)}; it has {', '.join(map(name_of, asked.arm['accounts']))}")
    return values[0] if len(values) == 1 else [sum(value[0] for value in values), None, None]


def other(asked: Asked) -> Number:
    """The slope of the arm that is named next, or, with ``prescribed`` behind it, of what is prescribed for that one."""
    name, *how = asked.more
    arm = arm_of(asked.run, name)
    found = prescription(arm)["slope"] if how else arm["slope"]
    if not found:
        raise Wrong(f"{name} has no slope")
    return found


def prescription(arm: Json) -> Json:
    """What was prescribed for the arm, and measured.

    Raises:
        Wrong: nothing was.
    """
    if not arm["prescription"]:
        raise Wrong("has no prescription")
    return arm["prescription"]


def ratio(asked: Asked) -> Number:
    """The arm's slope over the other's; the interval is that of two independent estimates, in logarithms."""
    return quotient(asked.arm["slope"], other(asked))


def quotient(above: Number, below: Number) -> Number:
    """The same of two numbers."""
    value = above[0] / below[0]
    if None in (*above, *below) or min(*above, *below) <= 0:
        return [value, None, None]
    spread = sum(((found[2] - found[1]) / 2 / found[0]) ** 2 for found in (above, below)) ** 0.5
    return [value, value / (1 + spread), value * (1 + spread)]


def less(asked: Asked) -> Number:
    """The arm's slope less the other's, likewise."""
    return difference(asked.arm["slope"], other(asked))


def difference(above: Number, below: Number) -> Number:
    """The same of two numbers."""
    value = above[0] - below[0]
    if None in (*above, *below):
        return [value, None, None]
    half = sum(((found[2] - found[1]) / 2) ** 2 for found in (above, below)) ** 0.5
    return [value, value - half, value + half]


def total(asked: Asked) -> float:
    """The median total at an N, in seconds."""
    if asked.more[0] not in asked.arm["total_s"]:
        raise Wrong(f"was not measured at N = {asked.more[0]}; it was at {', '.join(asked.arm['total_s'])}")
    return asked.arm["total_s"][asked.more[0]]


def scalar(asked: Asked, key: str) -> float:
    """A number without interval."""
    if asked.arm[key] is None:
        raise Wrong(f"{key} was not measured")
    return asked.arm[key]


def cause_of(asked: Asked) -> Json:
    """One of the arm's causes.

    Raises:
        Wrong: it was not found.
    """
    found = next((cause for cause in asked.arm["causes"] if cause["cause"] == asked.more[0]), None)
    if found is None:
        raise Wrong(f"has no cause {asked.more[0]}; it has {', '.join(cause['cause'] for cause in asked.arm['causes']) or 'none'}")
    return found


def growth(asked: Asked) -> str:
    """How the total grows at the upper end, as far as the exponent's interval tells."""
    found = asked.arm["exponent"]
    if not found or None in found:
        raise Wrong("has no exponent with an interval")
    _, low, high = found
    said = "faster than N" if low > 1 else "slower than N" if high < 1 else "in proportion to N, as far as the interval tells"
    return f"{said} (as N to the power of {stated(found, '')})"


def verdict(cause: Json) -> str:
    """What the intervention did."""
    if cause["base"] is None or cause["effect"] is None:
        return cause["verdict"].replace("_", " ").lower()
    return f"{cause['verdict'].replace('_', ' ').lower()}: {stated(cause['base'], '')} → {stated(cause['effect'])}"


def markdown(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table; all columns but the first are numbers."""
    lines = [heads, ("---", *("---:" for _ in heads[1:])), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def ledger(asked: Asked) -> str:
    """An arm's accounts, the largest first; waits are marked, small ones summed up."""
    whole = asked.arm["slope"][0]
    entries = sorted(asked.arm["accounts"].items(), key=lambda item: -(item[1][0] or 0.0))
    large = [(key, value) for key, value in entries if abs(value[0]) >= SMALL * abs(whole)]
    rest = sum(value[0] for key, value in entries if abs(value[0]) < SMALL * abs(whole))
    rows = [
        (f"{name_of(key)}{' (waiting)' if waits(key) else ''}", stated(value, ""), fmt.percent(value[0] / whole)) for key, value in large
    ]
    rows += [("smaller ones", fmt.significant(rest), fmt.percent(rest / whole))] if len(large) < len(entries) else []
    return markdown(("account", "ms/request", "of the slope"), [*rows, ("**the slope**", f"**{stated(asked.arm['slope'], '')}**", "")])


def causes(asked: Asked) -> str:
    """An arm's causes with their verdicts."""
    rows = [
        (cause["title"], fmt.percent(cause["share"]), ", ".join(f"`{change}`" for change in cause["changes"]) or "–", verdict(cause))
        for cause in asked.arm["causes"]
    ]
    return markdown(("cause", "of the slope", "change", "verdict"), rows)


def law(arm: Json) -> str:
    """The law's form as code; why there is none in words."""
    return f"`{arm['law']}`" if "N" in arm["law"] else arm["law"]


def arms(run: Json) -> str:
    """The arms of a run, the steepest first."""
    rows = [
        (
            f"`{name}`",
            stated(arm["slope"], "") if arm["slope"] else "–",
            law(arm),
            stated(arm["exponent"], "") if arm["exponent"] else "–",
            fmt.significant(arm["connections"]) if arm["connections"] is not None else "–",
            fmt.significant(arm["cpu"]) if arm["cpu"] is not None else "–",
        )
        for name, arm in sorted(run["arms"].items(), key=lambda item: -(item[1]["slope"] or [0.0])[0])
    ]
    return markdown(("arm", "ms/request", "T(N)", "exponent", "connections/request", "client CPU, ms/request"), rows)


def ladders(run: Json) -> str:
    """Each ladder of a run: its rungs from the ground up, and what each layer adds to the one below."""
    made = []
    for ladder in run["ladders"]:
        rows = [
            (f"`{rung['arm']}`", stated(rung["slope"], ""), stated(rung["step"], ""), fmt.percent(rung["share"]))
            for rung in ladder["rungs"]
        ]
        made.append(markdown((f"on {ladder['loop']}, from the ground up", "ms/request", "this layer adds", "of the highest rung"), rows))
    if not made:
        raise Wrong("has no ladder")
    return "\n\n".join(made)


def rungs(names: list[str], files: dict[str, Json]) -> str:
    """The rungs of several runs' ladders beside each other, the first run's from the ground up.

    Raises:
        Absent: one of the runs was not made.
    """
    for name in names:
        if name not in files:
            raise Absent(name)
    slopes = [{rung["arm"]: rung["slope"] for ladder in files[name]["ladders"] for rung in ladder["rungs"]} for name in names]
    rows = [(f"`{arm}`", *(stated(of[arm], "") if arm in of else "–" for of in slopes)) for arm in slopes[0]]
    return markdown(("ms/request", *(f"`{name}`" for name in names)), rows)


def post(run: Json) -> str:
    """The post's slopes beside this run's."""
    rows = []
    for panel in panels("blog"):
        theirs = " and ".join(fmt.significant(series.slope_s * 1e3) for series in panel.series)
        mine = [
            f"`{name}` {stated(arm['slope'], '')}"
            for name, arm in run["arms"].items()
            if f"{arm['client']}/{arm['loop']}" in panel.arms and arm["slope"]
        ]
        rows.append((f"{panel.title}: {panel.says}", theirs, "<br>".join(mine) or "–"))
    return markdown(("program", "post, ms/request", "here, ms/request"), rows)


def machine(run: Json) -> str:
    """Where and with what it was measured."""
    here = run["machine"]
    pinned = f", client on {fmt.count(len(here['client_cores']), 'core')}" if here["client_cores"] else ""
    return f"{here['cpu']}, {fmt.count(here['cores'], 'core')}{pinned}; {here['system']}; {here['python']}"


#: what of an arm → how it is written
WORDS: dict[str, Callable[[Asked], str]] = {
    "slope": lambda a: stated(a.arm["slope"]),
    "exponent": lambda a: stated(a.arm["exponent"], ""),
    "growth": growth,
    "law": lambda a: law(a.arm),
    "total": lambda a: fmt.seconds(total(a)),
    "cpu": lambda a: f"{fmt.significant(scalar(a, 'cpu'))} ms/request",
    "connections": lambda a: fmt.significant(scalar(a, "connections")),
    "account": lambda a: stated(account(a)),
    "ratio": lambda a: f"{stated(ratio(a), '')} times",
    "less": lambda a: stated(less(a)),
    "cause": lambda a: verdict(cause_of(a)),
    "prescribed": lambda a: stated(prescription(a.arm)["slope"]),
    "changes": lambda a: ", ".join(f"`{change}`" for change in prescription(a.arm)["changes"]),
    "ledger": ledger,
    "causes": causes,
}

#: the numbers that `holds` may compare
VALUES: dict[str, Callable[[Asked], float | None]] = {
    "slope": lambda a: a.arm["slope"][0],
    "exponent": lambda a: (a.arm["exponent"] or [None])[0],
    "exponent.low": lambda a: (a.arm["exponent"] or [None, None])[1],
    "connections": lambda a: a.arm["connections"],
    "cpu": lambda a: a.arm["cpu"],
    "account": lambda a: account(a)[0],
    "share": lambda a: (account(a)[0] or 0.0) / a.arm["slope"][0],
    "ratio": lambda a: ratio(a)[0],
    "less": lambda a: less(a)[0],
    "less.low": lambda a: less(a)[1],
    "prescribed": lambda a: prescription(a.arm)["slope"][0],
}

#: what of a whole run → how it is written
TABLES: dict[str, Callable[[Json], str]] = {
    "arms": arms,
    "ladders": ladders,
    "post": post,
    "machine": machine,
    "figure": lambda run: (
        f"![{run['scenario']}: {'what each layer adds' if run['ladders'] else 'total time against N'}](figures/{run['scenario']}.png)"
    ),
    "command": lambda run: f"`{run['command']}`",
    "versions": lambda run: ", ".join(f"{name} {version}" for name, version in run["versions"].items()),
    "service": lambda run: run["service"],
    "started": lambda run: run["started"][:10],
}


def published() -> dict[str, float]:
    """File → slope of what the post's author measured, in ms per request."""
    return {series.name: series.slope_s * 1e3 for panel in panels("blog") for series in panel.series}


def arm_of(run: Json, name: str) -> Json:
    """One arm.

    Raises:
        Wrong: the run has none of that name.
    """
    if name not in run["arms"]:
        raise Wrong(f"{run['scenario']} has no arm {name}; it has {', '.join(run['arms'])}")
    return run["arms"][name]


def said(place: str, files: dict[str, Json]) -> str:
    """What stands in the place.

    Raises:
        Absent: its run was not made.
        Wrong: its run does not have it.
    """
    first, *words = place.split()
    if first == "post":
        return f"{fmt.significant(published()[words[0]])} ms/request"
    if first == "holds":
        return held(words, files)
    if first == "rungs":
        return rungs(words, files)
    if first not in files:
        raise Absent(first)
    run = files[first]
    if first in BENCHES:
        return of_bench(first, words, run)
    if len(words) == 1:
        return TABLES[words[0]](run)
    return WORDS[words[1]](Asked(run, arm_of(run, words[0]), words[0], tuple(words[2:])))


def of_bench(name: str, words: list[str], found: Json) -> str:
    """A number of a benchmark's file."""
    if words == ["command"]:
        return f"`{BENCHES[name]}`"
    if name == "poller":
        what, poller = words
        growing = found[PER][poller]
        unit, one = ("µs", 1e3) if abs(growing["value"]) >= 1e3 else ("ns", 1.0)
        scaled = [growing[key] and growing[key] / one for key in ("value", "low", "high")]
        return {"growth": stated(scaled, unit)}[what]
    value = found[words[0]]
    return stated(value, "ms") if isinstance(value, list) else str(value)


def held(words: list[str], files: dict[str, Json]) -> str:
    """Nothing, where ``RUN ARM WHAT [MORE] > BOUND`` is so, or with ``<``; the bound is a number, or a value of the same arm."""
    run, arm, what, *more, sign, bound = words
    if run not in files:
        raise Absent(run)
    if run == "poller":
        return compared(what, files[run][PER][arm]["value"], sign, float(bound))
    asked = Asked(files[run], arm_of(files[run], arm), arm, tuple(more))
    return compared(what, VALUES[what](asked), sign, VALUES[bound](asked) if bound in VALUES else float(bound))


def compared(what: str, value: float | None, sign: str, limit: float | None) -> str:
    """Nothing, where it is so.

    Raises:
        Wrong: it is not.
    """
    if value is None or limit is None or not (value > limit if sign == ">" else value < limit):
        raise Wrong(f"is not so any more ({what} is {value}); say what is")
    return ""


def filled(template: str, files: dict[str, Json]) -> str:
    """The text.

    Raises:
        InputError: the template asks for what a run does not have, or says what is not so; one line a fault.
    """
    faults: list[str] = []
    made: list[str] = []
    for paragraph in template.split("\n\n"):
        try:
            text = PLACE.sub(lambda match: in_place(match[1], files, faults), paragraph)
        except Absent as run:
            text = f"*Not measured yet: `{BENCHES.get(str(run), f'loopdiag run scenarios/{run}.toml')}`.*"
        text = "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")
        if text and text not in made[-1:]:
            made.append(text)
    if faults:
        raise InputError(*faults)
    return "\n\n".join(made) + "\n"


def in_place(place: str, files: dict[str, Json], faults: list[str]) -> str:
    """What stands there; a fault is kept and marked."""
    try:
        return said(place, files)
    except (Wrong, KeyError, IndexError, ValueError) as fault:
        faults.append(f"{TEMPLATE.name}: {{{{{place}}}}}: {fault if isinstance(fault, Wrong) else f'{type(fault).__name__}: {fault}'}")
        return "?"


def committed() -> dict[str, Json]:
    """The small files, by their names."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FIGURES.glob("*.json"))}


def taken(folder: Path) -> Path:
    """Write what the text needs of a run, and its picture where the text shows it; return the small file's path."""
    run = extract(folder)
    FIGURES.mkdir(exist_ok=True)
    path = FIGURES / f"{run['scenario']}.json"
    path.write_text(json.dumps(run, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    if f"{{{{{run['scenario']} figure}}}}" not in TEMPLATE.read_text(encoding="utf-8"):
        return path
    picture = next((folder / "figures" / name for name in PICTURES if (folder / "figures" / name).is_file()), None)
    if picture is None:
        raise InputError(f"{folder}: has no figures; run: loopdiag report {folder}")
    shutil.copyfile(picture, path.with_suffix(".png"))
    return path


def main(folders: list[str]) -> int:
    """Take the runs in, and fill the text."""
    try:
        for folder in map(Path, folders):
            print(f"{folder} → {taken(folder)}")
        TEXT.write_text(filled(TEMPLATE.read_text(encoding="utf-8"), committed()), encoding="utf-8")
    except InputError as error:
        print("\n".join(error.faults), file=sys.stderr)
        return 2
    print(f"filled {TEXT}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
