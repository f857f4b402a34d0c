"""`diagnosis.json`: the answer for programs, and its published JSON Schema."""

from importlib.resources import files
from typing import Any

import msgspec

from loopdiag.model.diagnosis import SCHEMA, Diagnosis
from loopdiag.model.document import Document

SCHEMA_FILE = files("loopdiag.report") / "assets" / "diagnosis.schema.json"


def render(document: Document) -> str:
    """The diagnosis as indented JSON (schema ``loopdiag/diagnosis/1``)."""
    return msgspec.json.format(msgspec.json.encode(document.diagnosis), indent=2).decode() + "\n"


def schema() -> dict[str, Any]:
    """The JSON Schema of `diagnosis.json`, made from the type that is written."""
    made = msgspec.json.schema(Diagnosis)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": SCHEMA, **made}


def schema_text() -> str:
    """The schema as the package publishes it, in ``loopdiag/report/assets/diagnosis.schema.json``."""
    return msgspec.json.format(msgspec.json.encode(schema(), order="sorted"), indent=2).decode() + "\n"
