"""What every report says of a user's own program: its command line, what it was seen to use, what T is of; nothing secret of its arguments."""

import re
from statistics import median
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from loopdiag.model.document import Document
from loopdiag.report import format as fmt
from loopdiag.report.addresses import REDACTED, source

LIVE = "T: first task created to last response ended, bare trials."
SECRET = re.compile(r"(?i)(token|key|secret|passw|auth|credential|cookie)")
UNSEEN = ("program", "own")


def is_program(document: Document) -> bool:
    """Whether a user's own program was measured."""
    return document.recording.scenario.program is not None


def command(document: Document) -> str:
    """Its command line, without credentials, values of queries, and folders of this machine; empty where no program was run."""
    program = document.recording.scenario.program
    if program is None:
        return ""
    words: list[str] = []
    for word in program.argv:
        hidden = bool(words) and words[-1].startswith("-") and SECRET.search(words[-1]) is not None
        words.append(REDACTED if hidden else _shown(word, first=not words))
    return fmt.clean(" ".join(words))


def _shown(word: str, *, first: bool) -> str:
    """One word of a command line."""
    if "://" in word:
        return _address(word)
    name, sign, _ = word.partition("=")
    if sign and SECRET.search(name):
        return f"{name}={REDACTED}"
    if word.startswith("/"):
        return word.rsplit("/", 1)[-1] if first else source(word)
    return repr(word) if not word or any(letter.isspace() for letter in word) else word


def _address(word: str) -> str:
    try:
        parts = urlsplit(word)
    except ValueError:
        return word
    query = urlencode([(key, REDACTED) for key, _ in parse_qsl(parts.query, keep_blank_values=True)])
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))


def seen(document: Document) -> str:
    """Library, loop and Python that it was seen to use: ``aiohttp 3.14.1 on asyncio, CPython 3.12.1``; empty where nothing is known."""
    arm = next(iter(document.diagnosis.arms), None)
    if not is_program(document) or arm is None:
        return ""
    version = arm.versions.get(arm.client, "")
    library = "" if arm.client in UNSEEN else f"{arm.client} {version}".rstrip()
    loop = "" if arm.loop in UNSEEN or _span(document) == "process" else arm.loop
    python = f"CPython {arm.versions['python']}" if arm.versions.get("python") else ""
    return fmt.clean(", ".join(filter(None, (" on ".join(filter(None, (library, loop))), python))))


def peers(document: Document) -> str:
    """Whom it connected to."""
    found = dict.fromkeys(peer for trial in document.recording.trials for peer in trial.peers)
    return fmt.clean(", ".join(list(found)[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else ""))


def timed(document: Document) -> str:
    """What T is of."""
    if not is_program(document):
        return LIVE
    if _span(document) == "process":
        return "T: the program's first line to its end, bare trials; it runs no event loop."
    return f"T: start of the program's first event loop to the end of its last one, bare trials{_of_process(document)}."


def _span(document: Document) -> str:
    return next((trial.span for trial in reversed(document.recording.trials) if trial.usable and trial.span), "loop")


def _of_process(document: Document) -> str:
    """How much of the process's time T is at the largest N."""
    bare = [
        t for t in document.recording.trials if t.usable and t.spec.tier == "bare" and t.process_s is not None and t.total_s is not None
    ]
    if not bare:
        return ""
    n = max(trial.spec.n for trial in bare)
    whole = median(t.process_s for t in bare if t.spec.n == n and t.process_s is not None)
    part = median(t.total_s for t in bare if t.spec.n == n and t.total_s is not None)
    return f"; at N = {n} that is {fmt.seconds(part)} of the process's {fmt.seconds(whole)}"
