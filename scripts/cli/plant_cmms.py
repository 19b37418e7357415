"""Reads `cmms:` of a site in the plant file: which maintenance system, and the settings that its adapter declares."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import yaml
from telltale.adapters.cmms.adapter import Adapter, Setting
from telltale.adapters.cmms.http import allowed
from telltale.adapters.cmms.systems import CALLS, EVERY, adapter, adapters
from telltale.core import order_text

DEFAULT = "logbook"
FASTEST = 6000  # calls a minute; above it no limit is meant


class Reader(Protocol):
    """What the plant file's reader offers."""

    def problem(self, node: yaml.Node, message: str) -> None: ...

    def entries(self, node: yaml.Node | None, what: str) -> list[tuple[yaml.Node, str, yaml.Node]]: ...

    def keys(self, node: yaml.Node | None, known: Iterable[str], what: str) -> dict[str, yaml.Node]: ...

    def text(self, node: yaml.Node | None) -> str | None: ...

    def choice(self, node: yaml.Node, known: Iterable[str], what: str) -> str | None: ...

    def number(self, node: yaml.Node, unit: str, bounds: tuple[float, float]) -> float | None: ...


def maintenance_system(file: Reader, node: yaml.Node | None) -> tuple[str, dict[str, Any]]:
    """The adapter's name, and the settings written below it, checked; what is wrong is noted in `file`."""
    if node is None:
        return DEFAULT, {}
    name_node: yaml.Node = node
    settings_node: yaml.Node | None = None
    if not isinstance(node, yaml.ScalarNode):
        entries = file.entries(node, f"a maintenance system, such as {DEFAULT}")
        if len(entries) != 1:
            file.problem(node, f"found {len(entries)} maintenance systems, wanted one of {', '.join(adapters())}")
            return DEFAULT, {}
        [(name_node, _, settings_node)] = entries
    written = file.text(name_node)
    found = adapter(written) if written is not None else None
    if written is None or found is None:
        file.choice(name_node, adapters(), "a maintenance system")
        return DEFAULT, {}
    given = file.keys(settings_node, (*found.settings, *EVERY), f"the settings of {written}")
    for name, setting in found.settings.items():
        if setting.required and name not in given:
            file.problem(name_node, f"{written} needs its {name}: {setting.says}")
    return written, _values(file, found, given)


def _values(file: Reader, found: Adapter, given: Mapping[str, yaml.Node]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, node in given.items():
        value = _of_every(file, name, node) if name in EVERY else _value(file, node, found.settings[name])
        if value is not None:
            values[name] = value
    return values


def _of_every(file: Reader, name: str, node: yaml.Node) -> Any:
    """A setting that every system has."""
    if name == CALLS:
        calls = file.number(node, "calls a minute", (1, FASTEST))
        return None if calls is None else int(calls)
    return _fields(file, node) if name == "fields" else _template(file, node)


def _fields(file: Reader, node: yaml.Node) -> dict[str, Any]:
    """The system's own fields → a template, or a constant of any kind that YAML has."""
    fields = {}
    for _, name, value in file.entries(node, "fields of the maintenance system, each with its value"):
        fields[name] = _template(file, value) if _is_text(value) else _constant(file, value)
    return fields


def _template(file: Reader, node: yaml.Node) -> str | None:
    template = file.text(node)
    wrong = order_text.check(template) if template is not None else []
    if wrong:
        file.problem(node, f"found {wrong[0]}, wanted one of {', '.join(order_text.NAMES)}, in braces")
    return template


def _value(file: Reader, node: yaml.Node, setting: Setting) -> Any:
    if setting.kind is dict:
        return {name: _constant(file, value) for _, name, value in file.entries(node, setting.says)}
    if setting.kind is bool:
        truth = file.choice(node, ("true", "false"), f"true or false: {setting.says}")
        return None if truth is None else truth == "true"
    if setting.kind in (int, float):
        number = file.number(node, setting.says, (-1e12, 1e12))
        return int(number) if setting.kind is int and number is not None else number
    text = file.choice(node, setting.choices, setting.says) if setting.choices else file.text(node)
    if setting.kind == "url" and text is not None and not allowed(text):
        file.problem(node, f'found "{text}", wanted an address that starts with https://')
    return text


def _constant(file: Reader, node: yaml.Node) -> Any:
    """What YAML takes it for, as far as JSON has it; a date, or a number that is none, is the text it is written as."""
    value = yaml.SafeLoader("").construct_object(node, True)
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return file.text(node)
    return value


def _is_text(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:str"
