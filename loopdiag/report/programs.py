"""What every report says of a user's own program: its command line, what it was seen to use, what T is of; nothing secret of its arguments."""

import re
from statistics import median

from loopdiag.model.document import Document
from loopdiag.model.program import RUNNER, called
from loopdiag.report import format as fmt
from loopdiag.report.addresses import NAMES, REDACTED, redacted, source

LIVE = "T: first task created to last response ended, bare trials."
NAME = re.compile(rf"(?i){NAMES}")  # of an option
NAMED = re.compile(rf"(?is)({NAMES}\s*[=:]\s*).+")  # and a value with it in one word
USER_OPTIONS = frozenset({"-u", "--user", "--proxy-user"})  # as curl and its like name user and password
UNSEEN = ("program", "own")


def is_program(document: Document) -> bool:
    """Whether a user's own program was measured."""
    return document.recording.scenario.program is not None


def command(document: Document) -> str:
    """Its command line, without credentials, values of queries, and folders of this machine; empty where no program was run."""
    program = document.recording.scenario.program
    if program is None:
        return ""
    argv = program.argv
    at = next((at for at, word in enumerate(argv) if word.endswith(RUNNER)), None)
    if at is not None:  # a test's function: how it is imported is nobody's command, and tells of the machine
        argv = (called(argv), *argv[at + 5 :])
    return fmt.clean(" ".join(_shown(word, before) for before, word in zip((None, *argv), argv, strict=False)))


def _shown(word: str, before: str | None) -> str:
    """One word of a command line; `before`: the one in front of it, None: this one is the program."""
    if before is not None and _hides(before, word):
        return REDACTED
    shown = redacted(word) if "://" in word else NAMED.sub(rf"\1{REDACTED}", redacted(word))
    name, sign, value = shown.partition("=")
    if shown.startswith("/"):
        shown = shown.rsplit("/", 1)[-1] if before is None else source(shown)
    elif value.startswith("/"):
        shown = f"{name}{sign}{source(value)}"
    return repr(shown) if not shown or any(letter.isspace() for letter in shown) else shown


def _hides(option: str, word: str) -> bool:
    """Whether what stands behind an option is secret: ``--token abc``, ``-u me:password``."""
    if option in USER_OPTIONS:
        return ":" in word and "://" not in word
    return option.startswith("-") and "=" not in option and NAME.search(option) is not None


def seen(document: Document) -> str:
    """Library, loop and Python that it was seen to use: ``aiohttp 3.14.1 on asyncio, CPython 3.12.1``; empty where nothing is known."""
    arm = next(iter(document.diagnosis.arms), None)
    if not is_program(document) or arm is None:
        return ""
    version = arm.versions.get(arm.client, "")
    library = "" if arm.client in UNSEEN else f"{arm.client} {version}".rstrip()
    loop = "" if arm.loop in UNSEEN or unlooped(document) else arm.loop
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
    if unlooped(document):
        return "T: the program's first line to its end, bare trials; it runs no event loop."
    return f"T: start of the program's first event loop to the end of its last one, bare trials{_of_process(document)}."


def unlooped(document: Document) -> bool:
    """Whether it is a program that runs no event loop."""
    return is_program(document) and _span(document) == "process"


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
