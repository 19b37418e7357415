"""Writes settings of positions into a plant file, and leaves everything else as a person wrote it, comments too.

The file is edited as text, at the places where the YAML parser found the values; whoever uses this reads the result
back and compares (`edited` promises nothing about files it does not understand).
"""

from collections.abc import Mapping
from typing import Any

import yaml

Wanted = Mapping[str, Any]  # key of a position → value, or a mapping of names to values


def edited(text: str, positions: Mapping[str, Wanted]) -> str:
    """The text with these values at these positions (paths). ValueError where a position is not written out in it."""
    for path, wanted in positions.items():
        for key, value in wanted.items():
            values = value.items() if isinstance(value, Mapping) else [(None, value)]
            for name, one in values:
                text = _set(text, path, [key] if name is None else [key, name], one)
    return text


def snippet(positions: Mapping[str, Wanted]) -> str:
    """What to write, for a person to put into the file: each position's keys below its path."""
    lines = []
    for path, wanted in positions.items():
        lines.append(f"{path}:")
        for key, value in wanted.items():
            lines.append(f"  {key}: {_flow(value) if isinstance(value, Mapping) else _scalar(value)}")
    return "\n".join(lines)


def _set(text: str, path: str, keys: list[str], value: Any) -> str:
    """The text with one value; `keys` are below the position."""
    node = _position(yaml.compose(text, Loader=yaml.SafeLoader), path)
    for depth, key in enumerate(keys):
        found = _below(node, key)
        if found is None or (depth < len(keys) - 1 and not isinstance(found, yaml.MappingNode)):
            if found is not None:
                raise ValueError(f"{path}: {key} is empty or no mapping in the file")
            rest = keys[depth + 1 :]
            made = _scalar(value) if not rest else _flow({rest[0]: value})
            return _inserted(text, node, f"{key}: {made}", path)
        node = found
    low, high = node.start_mark.index, node.end_mark.index
    return text[:low] + _scalar(value) + text[high:]


def _position(root: yaml.Node | None, path: str) -> yaml.Node:
    site, area, asset, position = path.split("/")
    node = root
    for key in ("sites", site, "areas", area, "assets", asset, "positions", position):
        node = None if node is None else _below(node, key)
    if not isinstance(node, yaml.MappingNode) or not node.value:
        raise ValueError(f"{path} is not written out in the file")
    return node


def _below(node: yaml.Node, key: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if isinstance(name, yaml.ScalarNode) and name.value == key), None)


def _inserted(text: str, node: yaml.Node, entry: str, path: str) -> str:
    """The text with one more entry at the beginning of a mapping."""
    if not isinstance(node, yaml.MappingNode) or not node.value:
        raise ValueError(f"{path} has an empty mapping in the file")
    first = node.value[0][0].start_mark
    between = ", " if node.flow_style else "\n" + " " * first.column
    return text[: first.index] + entry + between + text[first.index :]


def _flow(values: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{name}: {_scalar(value)}" for name, value in values.items()) + "}"


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    return f"{value:.12g}" if isinstance(value, float) else str(value)
