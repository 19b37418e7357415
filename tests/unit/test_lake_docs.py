"""What docs/lake.md shows works: its Python runs on a real catalog, its SQL reads the tables there are."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from cli.choices import choose, pairs
from cli.deployment import ROOT
from cli.queries import named_queries
from moto import mock_aws
from sqlglot import exp, parse
from telltale.adapters import parquet
from telltale.adapters.about import ABOUT
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
    scan, duck = (ran(code) for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))

    assert scan["table"].select(["axis", "velocity_rms_mm_s"]).to_pylist() == [{"axis": "x", "velocity_rms_mm_s": 2.5}]
    assert duck["worst"] == [("riverside/pump-hall/pump-1/pump-inboard", 2.5)]
    duck["duck"].close()


def ran(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(code, names)
    return names


def test_the_page_lists_every_table_and_every_named_query() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)

    assert listed == [*COLUMNS, *(name for name in listed if name in named_queries())]
    assert sorted(listed[len(COLUMNS) :]) == list(named_queries())


def test_the_sql_of_the_page_names_what_there_is() -> None:
    commands = re.findall(r'telltale query "(SELECT .*?)"\n', PAGE)
    blocks = [block for block in re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL) if "EXTERNAL SCHEMA" not in block]
    statements = [line for block in blocks for line in block.split(";\n")]
    selects = [text for text in statements if text.startswith("SELECT") and "lake." not in text]

    assert len(commands) == 1
    assert len(selects) >= 4
    known = COLUMNS | {f"{name}${about}": of(None).schema.names for name in COLUMNS for about, of in ABOUT.items()}
    assert not [
        line for sql in [*commands, *selects] for line in unknown_names(within(parse_query(sql), "telltale"), known)
    ]


def test_the_sql_for_redshift_is_its_dialect_and_names_what_there_is() -> None:
    [block] = [block for block in re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL) if "EXTERNAL SCHEMA" in block]

    selects = [statement for statement in parse(block.partition("\n\n")[2], read="redshift") if statement]
    tables = {table.name for select in selects for table in select.find_all(exp.Table) if table.db == "telltale"}
    named = {column.name for select in selects for column in select.find_all(exp.Column)}
    assert tables == {"position_daily", "waveforms"}
    assert named <= {name for table in tables for name in COLUMNS[table]} | {"s"}


def test_the_chosen_words_of_the_page_are_those_of_the_queries() -> None:
    lines = re.findall(r"telltale query (\w+) (\w+=.*)\n", PAGE)

    texts = [choose(named_queries()[name].sql, pairs(words.split())) for name, words in lines]
    assert texts
    assert all(parse_query(text) for text in texts)


def test_the_manifest_of_the_page_is_json() -> None:
    [manifest] = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)

    assert json.loads(manifest)["globalUploadSettings"]["format"] == "CSV"
