"""`diagnosis.json`: the answer for programs, and its published JSON Schema.

Slopes of causes are written as ``{"slope_ms": …, "low": …, "high": …}``, not as the model's ``value``: the file says what the number is.
"""

from importlib.resources import files
from typing import Any

import msgspec

from loopdiag.model.diagnosis import SCHEMA, Diagnosis
from loopdiag.model.document import Document
from loopdiag.report.addresses import redacted

SCHEMA_FILE = files("loopdiag.report") / "assets" / "diagnosis.schema.json"

SLOPES = ("predicted", "effect", "base")  # fields of a cause that are slopes in ms per request
MODEL, WRITTEN = "value", "slope_ms"  # how such a number is called in the model, and in the file


def render(document: Document) -> str:
    """The diagnosis as indented JSON (schema ``loopdiag/diagnosis/1``)."""
    return written(document.diagnosis)


def written(diagnosis: Diagnosis) -> str:
    """The same, of a diagnosis alone."""
    made = renamed(told(msgspec.to_builtins(diagnosis)), MODEL, WRITTEN)
    return msgspec.json.format(msgspec.json.encode(made), indent=2).decode() + "\n"


def read(text: str | bytes) -> Diagnosis:
    """The diagnosis that `render` wrote.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    made = msgspec.convert(renamed(msgspec.json.decode(text), WRITTEN, MODEL), type=Diagnosis)
    if made.schema != SCHEMA:
        raise msgspec.ValidationError(f"it has the schema {made.schema!r}")
    return made


def told(value: Any) -> Any:
    """The same with its texts as exports may show them: a program's own lines are among them."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {told(key): told(each) for key, each in value.items()}
    return [told(each) for each in value] if isinstance(value, list | tuple) else value


def renamed(diagnosis: Any, old: str, new: str) -> Any:
    """The same, with the slopes of its causes called otherwise; `diagnosis` is changed in place."""
    groups = (diagnosis.get(key) or () for key in ("arms", "baselines")) if isinstance(diagnosis, dict) else ()
    for cause in (cause for arms in groups for arm in arms for cause in arm.get("causes") or ()):
        for key in SLOPES:
            slope = cause.get(key)
            if isinstance(slope, dict) and old in slope:
                cause[key] = {new if name == old else name: value for name, value in slope.items()}
    return diagnosis


def schema() -> dict[str, Any]:
    """The JSON Schema of `diagnosis.json`, made from the type that is written."""
    made = msgspec.json.schema(Diagnosis)
    known = made["$defs"]
    slope = dict(known["Estimate"], title="Slope")
    slope["properties"] = {WRITTEN if name == MODEL else name: rule for name, rule in slope["properties"].items()}
    slope["required"] = [WRITTEN if name == MODEL else name for name in slope["required"]]
    known["Slope"] = slope
    fields = known["CauseFound"]["properties"]
    for key in SLOPES:
        fields[key] = {**fields[key], "anyOf": [{"type": "null"}, {"$ref": "#/$defs/Slope"}]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": SCHEMA, **made}


def schema_text() -> str:
    """The schema as the package publishes it, in ``loopdiag/report/assets/diagnosis.schema.json``."""
    return msgspec.json.format(msgspec.json.encode(schema(), order="sorted"), indent=2).decode() + "\n"
