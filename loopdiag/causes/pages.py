"""Each cause's page, read from its module's docstring: title, symptom, evidence, remedy, sources."""

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from loopdiag.causes import CAUSES, Cause

PARTS = ("Symptom", "Evidence", "Remedy", "Sources")
INTRODUCTION = """\
# Causes

The names that loopdiag answers with, what each looks like, what it rests on, and what helps. Each has one file under `loopdiag/causes/`, whose first
string is its page; this file is made from them (`make bless`).

From totals alone, a semaphore, a pool limit, an executor, HTTP/2 streams and a server's limit look the same. What tells them apart is *where each
request waits*, and what the total would be without the one or the other: loopdiag replays the run without it, and where it can, runs it.
"""


@dataclass(frozen=True)
class Page:
    """A cause for people who read."""

    name: str
    side: str
    title: str
    symptom: str
    evidence: str
    remedy: str
    sources: str


def page(cause: Cause) -> Page:
    """The page of one cause.

    Raises:
        ValueError: the docstring of its module lacks a part.
    """
    text = sys.modules[type(cause).__module__].__doc__ or ""
    title, *paragraphs = [
        " ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n|\n(?=(?:" + "|".join(PARTS) + "):)", text) if paragraph.strip()
    ]
    found = dict(paragraph.split(": ", 1) for paragraph in paragraphs if paragraph.split(":")[0] in PARTS)
    if missing := [part for part in PARTS if not found.get(part)]:
        raise ValueError(f"the page of {cause.name} has no {', '.join(missing)}")
    return Page(cause.name, cause.side, title.rstrip("."), *(found[part] for part in PARTS))


def title(name: str) -> str:
    """The title of a registered cause; the name itself where it is none of ours."""
    return page(CAUSES[name]).title if name in CAUSES else name


def markdown(causes: Iterable[Cause]) -> str:
    """The pages of several causes as one document."""
    return "\n".join([INTRODUCTION, *(_section(page(cause)) for cause in causes)])


def _section(of: Page) -> str:
    where = "" if of.side == "none" else f"Side: {of.side}.\n\n"
    parts = "".join(f"- **{part}:** {getattr(of, part.lower())}\n" for part in PARTS)
    return f"## `{of.name}`\n\n**{of.title}.** {where}{parts}"
