"""Makes the committed example of a run: `python docs/example.py RUN FOLDER` copies what people look at, and refuses what would tell where it was made."""

import re
import shutil
import socket
import sys
from pathlib import Path

from loopdiag import pipeline
from loopdiag.errors import InputError

FIGURES = ("reference.png", "scaling.png", "ledger.png")
LARGEST = 1_500_000  # bytes, of the whole folder
PATHS = re.compile(r"(?<![\w.:/<])/(?:home|root|tmp|work|usr|opt|var|mnt|srv|Users|private)/[\w./-]*")


def telling(text: str, host: str) -> list[str]:
    """What in `text` tells where it was made: absolute paths, the machine's name."""
    found = PATHS.findall(text)
    return sorted({*found, *([host] if len(host) > 3 and re.search(rf"\b{re.escape(host)}\b", text) else [])})


def made(run: Path, folder: Path) -> None:
    """Copy the answer as text and JSON and the figures that the run has.

    Raises:
        InputError: they would tell where the run was made, or are too large; nothing was copied then.
    """
    document = pipeline.diagnose(run)
    texts = {name: str(pipeline.rendered(document, form)) for name, form in (("diagnosis.json", "json"), ("answer.txt", "text"))}
    pictures = [run / "figures" / name for name in FIGURES if (run / "figures" / name).is_file()]
    faults = [
        f"{name}: {what} tells where the run was made" for name, text in texts.items() for what in telling(text, socket.gethostname())
    ]
    size = sum(len(text.encode()) for text in texts.values()) + sum(path.stat().st_size for path in pictures)
    if size > LARGEST:
        faults.append(f"{run}: its example would have {size} bytes; at most {LARGEST} are committed")
    if faults:
        raise InputError(*faults)
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "figures").mkdir(parents=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    for path in pictures:
        shutil.copyfile(path, folder / "figures" / path.name)


if __name__ == "__main__":
    try:
        made(Path(sys.argv[1]), Path(sys.argv[2]))
    except InputError as error:
        sys.exit("\n".join(error.faults))
