"""diagnosis.json and its published schema."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import documents
import pytest

from loopdiag.report.json import SCHEMA_FILE, read, render, schema_text


def faults(value: Any, schema: dict[str, Any], root: dict[str, Any], at: str = "$") -> Iterator[str]:
    """Where `value` breaks `schema`, for the keywords that msgspec writes."""
    if "$ref" in schema:
        yield from faults(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, at)
        return
    if "anyOf" in schema:
        tries = [list(faults(value, option, root, at)) for option in schema["anyOf"]]
        yield from () if [] in tries else [f"{at}: fits none of {len(tries)}"]
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is none of {schema['enum']}"
    kinds: dict[str, Any] = {
        "object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool, "null": type(None),
    }  # fmt: skip
    if "type" in schema and not isinstance(value, kinds[schema["type"]]):
        yield f"{at}: {value!r} is no {schema['type']}"
        return
    if isinstance(value, dict):
        yield from inside(value, schema, root, at)
    if isinstance(value, list):
        items = schema.get("prefixItems") or [schema.get("items") or {}] * len(value)
        for k, (item, rule) in enumerate(zip(value, items, strict=True)):
            yield from faults(item, rule, root, f"{at}[{k}]")


def inside(value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any], at: str) -> Iterator[str]:
    """Faults of an object's keys and of their values."""
    known, other = schema.get("properties", {}), schema.get("additionalProperties", True)
    yield from (f"{at}: {key} is missing" for key in schema.get("required", ()) if key not in value)
    for key, item in value.items():
        if key not in known and other is False:
            yield f"{at}: {key} is unknown"
        rule = known.get(key, other if isinstance(other, dict) else {})
        yield from faults(item, rule, root, f"{at}.{key}")


def test_the_published_schema_is_up_to_date(generated: Callable[[Path, str], None]) -> None:
    # the file in the package is what the type makes
    generated(SCHEMA_FILE, schema_text())


@pytest.mark.parametrize("name", documents.EDGES)
def test_every_diagnosis_fits_the_published_schema(name: str) -> None:
    # what is written validates against what is published
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    assert list(faults(json.loads(render(documents.EDGES[name]())), schema, schema)) == []


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        (("arms", 0, "slope_ms"), "fast", "$.arms[0].slope_ms: fits none of 2"),
        (("environment", "cores"), "two", "$.environment.cores: 'two' is no integer"),
        (("surprise",), 1, "$: surprise is unknown"),
        (("arms", 0, "law", "curve"), [[1, 2, 3]], None),
    ],
)
def test_the_schema_rejects_what_is_wrong(path: tuple[str | int, ...], value: object, fault: str | None) -> None:
    # the validator above and the schema do find faults
    document = json.loads(render(documents.small()))
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    schema = json.loads(schema_text())
    if fault is None:
        with pytest.raises(ValueError, match="zip"):
            list(faults(document, schema, schema))
    else:
        assert list(faults(document, schema, schema)) == [fault]


@pytest.mark.parametrize("name", documents.EDGES)
def test_it_reads_back_as_it_was(name: str) -> None:
    # nothing is lost between the value and its file
    document = documents.EDGES[name]()
    assert read(render(document)) == document.diagnosis


def test_the_keys_are_those_of_the_contract() -> None:
    # scripts rely on these names
    made = json.loads(render(documents.small()))
    assert made["schema"] == "loopdiag/diagnosis/1"
    assert {
        "scenario",
        "question",
        "partial",
        "arms",
        "baselines",
        "overhead",
        "noise",
        "lost",
        "errors",
        "not_observed",
        "environment",
    } <= made.keys()
    arm = made["arms"][0]
    assert {"arm", "client", "loop", "versions", "points", "law", "slope_ms", "ledger", "causes", "prescription"} <= arm.keys()
    assert arm["points"][0].keys() == {"n", "total_s"}
    assert {"form", "coefficients", "exponent", "alternatives"} <= arm["law"].keys()
    assert {"value", "low", "high"} <= arm["slope_ms"].keys()
