"""Pure functions from a Document to text, pictures and interchange formats; one file a format."""

from collections.abc import Callable
from pathlib import Path

from loopdiag.errors import InputError
from loopdiag.model.document import Document
from loopdiag.registry import Registry

Render = Callable[[Document], str | bytes]

#: format → "module:render"; each `render(document)` returns the whole file
FORMATS: Registry[Render] = Registry(
    "format",
    {
        "html": "loopdiag.report.html:render",
        "text": "loopdiag.report.text:render",
        "json": "loopdiag.report.json:render",
        "har": "loopdiag.report.har:render",
        "trace-event": "loopdiag.report.trace_event:render",
        "svg": "loopdiag.report.figures:render",
        "folded": "loopdiag.report.folded:render",
        "speedscope": "loopdiag.report.speedscope:render",
        "flamegraph": "loopdiag.report.flamegraph:render",
    },
)

#: ending of a file's name → the format that it asks for
ENDINGS = {
    ".html": "html", ".htm": "html", ".txt": "text", ".json": "json", ".har": "har", ".trace": "trace-event", ".svg": "svg", ".folded": "folded",
    ".speedscope": "speedscope", ".speedscope.json": "speedscope", ".flamegraph.svg": "flamegraph",
}  # fmt: skip


def format_of(path: Path) -> str:
    """The format that a file's name asks for.

    Raises:
        InputError: its ending names none.
    """
    endings = ["".join(path.suffixes[-count:]).lower() for count in (2, 1)]  # `run.speedscope.json` is more than JSON
    name = next((ENDINGS[ending] for ending in endings if ending in ENDINGS), None)
    if name is None:
        raise InputError(f"-o {path}: its ending names no format; give --format ({', '.join(FORMATS)}) or end it in {', '.join(ENDINGS)}")
    return name
