"""How a process comes to be observed: the environment that injects the instruments, and what they left behind."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from loopdiag import instruments
from loopdiag.model.program import Made
from loopdiag.model.scenario import Instruments
from loopdiag.model.value import Value

LIGHT = Instruments()
SITE = Path(instruments.__file__).parent / "site"
ACCOUNT = "instruments.json"  # what the instruments of one process say of themselves
PROCESS = "process.json"  # what one process of a program says of itself


class Observed(Value, frozen=True, kw_only=True):
    """What the instruments of one process say about themselves."""

    python: str = ""
    installed: dict[str, str] = {}  # instrument → version of its library
    not_observed: dict[str, str] = {}  # instrument or column → why
    lost: dict[str, int] = {}  # table → rows that found no room
    counters: dict[str, int] = {}
    histograms: dict[str, tuple[int, ...]] = {}
    costs_ns: dict[str, int] = {}
    warnings: tuple[str, ...] = ()
    #: of a program: each place as file, line, function, text, block, block_text, as far as they are known
    places: tuple[tuple[str | int, ...], ...] = ()
    made: tuple[Made, ...] = ()  # of a program
    peers: tuple[str, ...] = ()  # of a program


def injected_environment(env: Mapping[str, str], folder: Path, options: Instruments = LIGHT) -> dict[str, str]:
    """The environment with which a Python process records into `folder` (an existing directory)."""
    paths = [str(SITE), *filter(None, [env.get("PYTHONPATH")])]
    asked = {"LOOPDIAG_RECORD": str(folder.resolve()), "LOOPDIAG_LEVEL": options.level}
    if options.verify:
        asked["LOOPDIAG_VERIFY"] = "1"
    return {**env, "PYTHONPATH": os.pathsep.join(paths), **asked}


def observed(folder: Path) -> Observed:
    """Read what the instruments left in `folder`; a process that was killed, or was not Python, left a reason at most."""
    failed = folder / "instruments.failed"
    if failed.exists():
        return Observed(not_observed={"everything": failed.read_text(encoding="utf-8", errors="replace")})
    try:
        content = json.loads((folder / ACCOUNT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Observed(not_observed={"instruments": "the process ended without leaving its account (killed, or not a Python process)"})
    return msgspec.convert({name: content[name] for name in Observed.__struct_fields__ if name in content}, Observed)
