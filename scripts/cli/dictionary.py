"""Writes docs/data-dictionary.md anew from core.schema: every table, column, type, unit and meaning."""

import argparse
from collections.abc import Iterable

from telltale.core.schema import FEATURES, TABLES, Column, Table

from cli.deployment import ROOT

DOCUMENT = ROOT / "docs" / "data-dictionary.md"

HEAD = """# Data dictionary

Every table and column of the lake. This page is made from `lambdas/telltale/core/schema.py` by
`scripts/telltale dictionary`, and a test compares the two.

All times are UTC. A column that is not marked as required may be null, and null means "not known", never
zero. Each table is partitioned by the day of the column named with it: a condition on that column keeps a
query from reading other days. [lake.md](lake.md) shows how to read the tables.
"""

# What the schema's types are called by those who read the lake.
TYPES = {
    "list<int>": "array of int",
    "list<string>": "array of string",
    "timestamp": "timestamp with time zone",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none."""


def run(args: argparse.Namespace) -> int:
    DOCUMENT.write_text(markdown())
    print(DOCUMENT.relative_to(ROOT))
    return 0


def markdown() -> str:
    """The whole page."""
    return "\n".join([HEAD, _contents(), *(_section(table) for table in TABLES), _features()])


def _contents() -> str:
    lines = [f"* [`{table.name}`](#{table.name}): {table.meaning}" for table in TABLES]
    return "\n".join([*lines, "* [How the features are computed](#how-the-features-are-computed)", ""])


def _section(table: Table) -> str:
    columns = ((f"`{c.name}`", _type(c), c.unit or "", c.meaning) for c in table.columns)
    rows = _grid(("column", "type", "unit", "meaning"), columns)
    order = ", ".join(f"`{name}`" for name in table.sort)
    return f"## {table.name}\n\n{_sentence(table.meaning)} Days of `{table.day}`; sorted by {order}.\n\n{rows}\n"


def _type(column: Column) -> str:
    name = TYPES.get(column.type, column.type)
    return f"{name}, required" if column.required else name


def _features() -> str:
    features = ((f"`{c.name}`", c.unit or "", c.band or "", c.formula or "", c.source or "") for c in FEATURES)
    rows = _grid(("feature", "unit", "band", "formula", "source"), features)
    return f"## How the features are computed\n\nOf one axis of one capture, x, with n samples.\n\n{rows}\n"


def _grid(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
