"""Scenario files: strict TOML → Scenario, with every fault at once, and back."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from loopdiag.errors import InputError
from loopdiag.lab.program_start import ARM
from loopdiag.lab.scenario_faults import parse_arm, resolve_tables, scenario_faults
from loopdiag.lab.scenario_overrides import apply_overrides
from loopdiag.lab.scenario_text import to_toml
from loopdiag.lab.strict import Fault, Reader, show
from loopdiag.lab.toml_lines import KeyLines
from loopdiag.model.scenario import Scenario

__all__ = ["apply_overrides", "load_scenario", "parse_scenario", "to_toml"]

FILE_BYTES = 2**20
STAND_IN = {"name": "unnamed", "arms": ()}  # for required keys that could not be read, so that the rest can be judged
EXAMPLE = 'such as arms = ["aiohttp/asyncio", "httpx/asyncio"]'


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file.

    Raises:
        InputError: the file cannot be read or is not a right scenario; one line a fault: ``FILE:LINE: KEY: what would be right``.
    """
    source = str(path)
    try:
        if path.is_dir():
            raise InputError(f"{source}: is a folder; expected a scenario file (TOML)")
        if path.exists() and not path.is_file():
            raise InputError(f"{source}: is not a regular file; expected a scenario file (TOML)")
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES + 1)
        if len(raw) > FILE_BYTES:
            raise InputError(f"{source}: is larger than 1 MiB; expected a scenario file (TOML)")
        text = raw.decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{source}: no such file{_nearby(path)}") from None
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError(f"{source}:{line}: is not UTF-8 text; expected a scenario file (TOML)") from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "not a file name"
        raise InputError(f"{source}: cannot be read: {reason.lower()}") from None
    return parse_scenario(text, source=source, folder=path.absolute().parent, default_name=path.stem)


def parse_scenario(text: str, *, source: str, folder: Path, default_name: str) -> Scenario:
    """Read a scenario's TOML.

    Args:
        text: the TOML.
        source: what the fault lines begin with, such as the file's name.
        folder: where relative paths of tables count from; the result's are absolute.
        default_name: the scenario's name where the text gives none.

    Raises:
        InputError: with all faults, one line each, in the order of their lines.
    """
    if not text.strip():
        raise InputError(f"{source}: is empty; expected a scenario (TOML), with arms at least: {EXAMPLE}")
    plain = _toml(text, source)
    reader = Reader(Scenario)
    faults = _name_faults(default_name) if "name" not in plain else []
    scenario = reader.read(_with_arms({"name": default_name, **plain}), STAND_IN)
    faults += map(_worded, reader.faults)
    wrong = {fault.key for fault in faults} | reader.meant
    scenario, table_faults = resolve_tables(scenario, folder, wrong)
    faults += table_faults
    faults += scenario_faults(scenario, wrong)
    if faults:
        raise InputError(*_lines(faults, text, source))
    return scenario


def _toml(text: str, source: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise InputError(f"{source}: not valid TOML: lists or tables are nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, and Python's own limit on digits
        message = str(error)
        if not isinstance(error, tomllib.TOMLDecodeError):
            raise InputError(f"{source}: not valid TOML: a number has too many digits") from None
        place = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
        line, column = (place[1], place[2]) if place and place[1] else (text.count("\n") + 1, None)
        what = "".join(c if c.isprintable() else "�" for c in message[: place.start()] if place) if place else show(message)
        at = f" (column {column})" if column else " (at the end of the file)"
        raise InputError(f"{source}:{line}: not valid TOML: {what[:1].lower()}{what[1:]}{at}") from None


def _with_arms(plain: dict[str, object]) -> Mapping[str, object]:
    """Replace arms written as ``"CLIENT/LOOP"`` by tables, and give a program the only one that it has; what has another form stays, for the reader to refuse."""
    arms = plain.get("arms")
    if arms is None and "program" in plain:
        return {**plain, "arms": [{"client": ARM.client, "loop": ARM.loop}]}
    if not isinstance(arms, list):
        return plain
    parsed = [(arm, parse_arm(arm) if isinstance(arm, str) else None) for arm in arms]
    return {**plain, "arms": [{"client": arm.client, "loop": arm.loop} if arm else other for other, arm in parsed]}


def _worded(fault: Fault) -> Fault:
    """Speak of arms as they are mostly written: as text."""
    message = fault.message
    if fault.key == "arms":
        message = message.replace("expected a list of tables", f"expected a list of arms, {EXAMPLE}")
    if re.fullmatch(r"arms\[\d+\]", fault.key):
        message = message.replace("expected a table", 'expected "CLIENT/LOOP", such as "httpx/asyncio"')
    return Fault(fault.key, message)


def _name_faults(stem: str) -> list[Fault]:
    """Judge the file's name as the run's folder's, where the scenario has none of its own."""
    if re.fullmatch(r"\w[\w.-]{0,79}", stem):
        return []
    safe = re.sub(r"[^\w.-]+", "-", stem).strip("-._")[:80] or "my-scenario"
    return [Fault("name", f"missing; the file's name {show(stem)} cannot name the run's folder; add name = {show(safe)}")]


def _lines(faults: list[Fault], text: str, source: str) -> list[str]:
    """Return the fault lines, in the order of their lines in the text; those without one come last."""
    places = KeyLines(text)
    found = [(places.of(fault.key), fault) for fault in dict.fromkeys(faults)]
    found.sort(key=lambda pair: pair[0] or len(text))
    return [f"{source}{f':{line}' if line else ''}: {fault.key}: {fault.message}" for line, fault in found]


def _nearby(path: Path) -> str:
    """Return what may be meant where there is no such file, as the end of a fault line."""
    try:
        there = sorted(other.name for other in path.parent.glob("*.toml"))
    except (OSError, ValueError):
        there = []
    return f"; in that folder: {', '.join(there[:8])}" if there else "; expected a scenario file (TOML)"
