"""The data dictionary is the schema, in words."""

import pytest
from cli import dictionary
from telltale.core.schema import FEATURES, TABLES, Column, Table


def test_the_data_dictionary_is_up_to_date() -> None:
    assert dictionary.DOCUMENT.read_text() == dictionary.markdown(), "run `scripts/telltale dictionary`"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_column_stands_in_its_tables_section_with_unit_and_meaning(table: Table) -> None:
    section = dictionary.markdown().split(f"\n## {table.name}\n")[1].split("\n## ")[0]

    rows = [line for line in section.splitlines() if line.startswith("| `")]

    assert len(rows) == len(table.columns)
    for column, row in zip(table.columns, rows, strict=True):
        cells = [cell.strip() for cell in row.replace("\\|", "\0").strip("|").split(" | ")]
        assert cells[0] == f"`{column.name}`"
        assert cells[2:] == [column.unit or "", column.meaning.replace("|", "\0")]


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_a_feature_has_a_formula_and_a_source(feature: Column) -> None:
    assert feature.formula
    assert feature.source
