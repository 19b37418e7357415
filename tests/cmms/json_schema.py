"""As much of JSON Schema (2020-12) as the stand-ins' documents use; a keyword beyond that is an error, not a pass."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

KNOWN = {
    "type", "enum", "required", "properties", "additionalProperties", "items", "oneOf", "format", "minimum", "maximum",
    "maxLength", "minLength",
}  # fmt: skip
TYPES: dict[str, Any] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "null": type(None), "number": (int, float),
    "integer": int,
}  # fmt: skip


def wrong(value: Any, schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Where and why the value is not what the schema wants."""
    assert set(schema) <= KNOWN, f"{sorted(set(schema) - KNOWN)} is not implemented"
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(_is(value, one) for one in types):
        yield path, f"should be {' or '.join(types)}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield path, f"should be equal to one of the allowed values: {', '.join(map(str, schema['enum']))}"
    if "oneOf" in schema and sum(not list(wrong(value, one, path)) for one in schema["oneOf"]) != 1:
        yield path, "should match exactly one schema in oneOf"
    if isinstance(value, str):
        yield from _text(value, schema, path)
    if isinstance(value, int | float):
        if value < schema.get("minimum", value):
            yield path, f"should be >= {schema['minimum']}"
        if value > schema.get("maximum", value):
            yield path, f"should be <= {schema['maximum']}"
    if isinstance(value, dict):
        yield from _object(value, schema, path)
    if isinstance(value, list):
        for number, one in enumerate(value):
            yield from wrong(one, schema.get("items", {}), f"{path}[{number}]")


def _is(value: Any, name: str) -> bool:
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _text(value: str, schema: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    if len(value) > schema.get("maxLength", len(value)) or len(value) < schema.get("minLength", 0):
        yield path, "is too long or too short"
    if schema.get("format") == "date-time":
        try:
            datetime.fromisoformat(value)
        except ValueError:
            yield path, "should be a date-time"


def _object(value: dict[str, Any], schema: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{path}.{name}".strip("."), f"should have required property '{name}'"
    properties, more = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name, one in value.items():
        where = f"{path}.{name}".strip(".")
        if name in properties:
            yield from wrong(one, properties[name], where)
        elif more is False:
            yield where, "is not known"
        elif isinstance(more, dict):
            yield from wrong(one, more, where)
