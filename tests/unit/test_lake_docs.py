"""What docs/lake.md shows works: its Python runs on a real catalog, its SQL reads the tables there are."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from cli.deployment import ROOT
from cli.queries import named_queries
from moto import mock_aws
from telltale.adapters import parquet
from telltale.adapters.lake import Lake, glue_catalog
from telltale.adapters.trino import parse_query, unknown_names, within
from telltale.core import schema

PAGE = (ROOT / "docs" / "lake.md").read_text()
COLUMNS = {table.name: table.names for table in schema.TABLES}


@pytest.fixture
def features(tmp_path: Path) -> Iterator[None]:
    """The table `features` with two rows: one that the page asks for, one before its time."""
    with mock_aws():
        glue = boto3.client("glue")
        glue.create_database(DatabaseInput={"Name": "telltale"})
        lake = Lake(glue_catalog(glue, {}), database="telltale", location=f"file://{tmp_path}")
        ids = {"capture_id": "c", "axis": "x", "site": "riverside", "sensor": "s"}
        row = ids | {"position": "riverside/pump-hall/pump-1/pump-inboard", "velocity_rms_mm_s": 2.5}
        for number, t_ms in enumerate((1_793_000_000_000, 1_795_000_000_000), start=1):
            path = tmp_path / f"{number}.parquet"
            path.write_bytes(parquet.write(schema.FEATURES_TABLE, [row | {"t": t_ms}]))
            lake.add(schema.FEATURES_TABLE, [f"file://{path}"], number=number)
        yield


def test_the_python_of_the_page_reads_the_lake(features: None) -> None:
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}

    exec(code, names)

    assert names["table"].select(["axis", "velocity_rms_mm_s"]).to_pylist() == [{"axis": "x", "velocity_rms_mm_s": 2.5}]


def test_the_page_lists_every_table_and_every_named_query() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)

    assert listed == [*COLUMNS, *(name for name in listed if name in named_queries())]
    assert sorted(listed[len(COLUMNS) :]) == list(named_queries())


def test_the_sql_of_the_page_names_what_there_is() -> None:
    commands = re.findall(r'telltale query "(SELECT .*?)"\n', PAGE)

    assert commands
    assert [unknown_names(within(parse_query(sql), "telltale"), COLUMNS) for sql in commands] == [[]]
