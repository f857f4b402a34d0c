"""What the knobs of a program's processes did, and why those did nothing that did nothing."""

import json
from collections import Counter
from collections.abc import Collection
from pathlib import Path

FILE = "knobs.json"
NOT_MET = "nothing that it changes was met"
QUALIFIERS = frozenset({"semaphore_place"})  # these only say where another one acts


def told(folder: Path, asked: Collection[str]) -> tuple[dict[str, int], dict[str, str]]:
    """How often each knob acted, over all processes of a trial that is not yet cleaned up, and why others did not.

    Args:
        folder: the trial's.
        asked: the knobs that were to be turned.
    """
    acted, cannot = Counter[str](), dict[str, str]()
    for path in sorted(folder.rglob(FILE)):
        try:
            read = json.loads(path.read_text(encoding="utf-8"))
            acted.update({str(name): int(count) for name, count in read["acted"].items()})
            cannot |= {str(name): str(why) for name, why in read["cannot"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # of a process that was killed while it wrote
    idle = {name: cannot.get(name) or cannot.get("all") or NOT_MET for name in asked if name not in acted and name not in QUALIFIERS}
    return {name: count for name, count in acted.items() if name in asked}, idle
