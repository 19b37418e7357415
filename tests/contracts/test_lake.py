"""What the lake promises, against the Glue and S3 of MiniStack."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from pyiceberg.catalog import Catalog
from telltale.adapters import lake as lake_module
from telltale.adapters import parquet
from telltale.adapters.lake import Lake, glue_catalog
from telltale.core import schema
from telltale.core.schema import Column, Table

from tests.contracts.conftest import REGION, client

T = 1_790_000_000_000
DAY = 86_400_000


def file_access(endpoint: str) -> dict[str, str]:
    return {
        "s3.endpoint": endpoint,
        "s3.region": REGION,
        "s3.access-key-id": "testing",
        "s3.secret-access-key": "testing",
    }


@pytest.fixture
def catalog(ministack: str) -> Catalog:
    return glue_catalog(client("glue", ministack), file_access(ministack))


@pytest.fixture
def database(ministack: str) -> str:
    name = f"telltale_{uuid4().hex}"
    client("s3", ministack).create_bucket(Bucket=name.replace("_", "-"))
    client("glue", ministack).create_database(DatabaseInput={"Name": name})
    return name


@pytest.fixture
def bucket(database: str) -> str:
    return database.replace("_", "-")


@pytest.fixture
def lake(catalog: Catalog, database: str, bucket: str) -> Lake:
    return Lake(catalog, database=database, location=f"s3://{bucket}/lake")


def reading(n: int, t_ms: int = T, **fields: Any) -> dict[str, Any]:
    row = {"capture_id": f"c-{n}", "position": "a/b/c/d", "site": "a", "sensor": "s", "t": t_ms, "tag": "flow"}
    return row | {"value": float(n)} | fields


def waveform(samples: np.ndarray[Any, Any]) -> dict[str, Any]:
    row = {key: value for key, value in reading(1).items() if key not in {"tag", "value"}}
    return row | {"axis": "x", "fs_hz": 26_667.0, "unit": "g", "scale": 0.001, "samples": samples}


def upload(endpoint: str, bucket: str, table: Table, rows: list[Mapping[str, Any]]) -> list[str]:
    uris = []
    for file in parquet.files(table, rows):
        key = f"data/{table.name}/{file.day}/{uuid4().hex}.parquet"
        client("s3", endpoint).put_object(Bucket=bucket, Key=key, Body=file.body)
        uris.append(f"s3://{bucket}/{key}")
    return uris


def rows_of(catalog: Catalog, database: str, table: Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = catalog.load_table((database, table.name)).scan().to_arrow().to_pylist()
    return rows


def test_rows_added_are_rows_read(ministack: str, catalog: Catalog, database: str, bucket: str, lake: Lake) -> None:
    files = upload(ministack, bucket, schema.READINGS, [reading(1), reading(2, T + DAY), reading(3)])

    lake.add(schema.READINGS, files, number=1)

    rows = rows_of(catalog, database, schema.READINGS)
    assert sorted(row["value"] for row in rows) == [1.0, 2.0, 3.0]
    assert {int(row["t"].timestamp() * 1000) for row in rows} == {T, T + DAY}


def test_samples_come_back_as_they_were(
    ministack: str, catalog: Catalog, database: str, bucket: str, lake: Lake
) -> None:
    samples = np.array([-32768, 0, 32767, 5], np.int16)
    files = upload(ministack, bucket, schema.WAVEFORMS, [waveform(samples)])

    lake.add(schema.WAVEFORMS, files, number=1)

    [stored] = rows_of(catalog, database, schema.WAVEFORMS)
    assert stored["samples"] == samples.tolist()


def test_a_commit_brought_again_adds_nothing(
    ministack: str, catalog: Catalog, database: str, bucket: str, lake: Lake
) -> None:
    files = upload(ministack, bucket, schema.READINGS, [reading(1)])
    later = upload(ministack, bucket, schema.READINGS, [reading(2)])

    added = [
        lake.add(schema.READINGS, files, number=7),
        lake.add(schema.READINGS, files, number=7),
        lake.add(schema.READINGS, later, number=8),
        lake.add(schema.READINGS, files, number=7),
    ]

    assert added == [True, False, True, False]
    assert sorted(row["value"] for row in rows_of(catalog, database, schema.READINGS)) == [1.0, 2.0]


def test_a_commit_that_lost_a_race_looks_again_before_it_adds(
    ministack: str, catalog: Catalog, database: str, bucket: str, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = upload(ministack, bucket, schema.READINGS, [reading(1)])
    lake.ensure(schema.READINGS)
    load, racing = Lake.ensure, [True]

    def ensure_then_lose(self: Lake, table: Table) -> Any:
        iceberg = load(self, table)
        if racing.pop() if racing else False:
            Lake(catalog, database=database, location=f"s3://{bucket}/lake").add(table, files, number=1)
        return iceberg

    monkeypatch.setattr(lake_module.Lake, "ensure", ensure_then_lose)
    added = lake.add(schema.READINGS, files, number=1)

    assert added is False
    assert len(rows_of(catalog, database, schema.READINGS)) == 1


@pytest.mark.parametrize("table", schema.TABLES, ids=lambda table: table.name)
def test_a_table_is_made_as_the_schema_declares_it(catalog: Catalog, database: str, lake: Lake, table: Table) -> None:
    lake.ensure(table)

    made = catalog.load_table((database, table.name))
    assert [field.name for field in made.schema().fields] == list(table.names)
    assert [field.required for field in made.schema().fields] == [column.required for column in table.columns]
    assert all(field.doc for field in made.schema().fields)
    assert made.format_version == 2
    assert [str(field.transform) for field in made.spec().fields] == ["day"]
    assert made.properties["write.parquet.compression-codec"] == "zstd"


@pytest.mark.parametrize("table", [schema.CAPTURES, schema.FEATURES_TABLE], ids=lambda table: table.name)
def test_the_catalog_says_what_the_table_and_each_of_its_columns_is(
    ministack: str, database: str, lake: Lake, table: Table
) -> None:
    lake.ensure(table)

    found = client("glue", ministack).get_table(DatabaseName=database, Name=table.name)["Table"]
    assert found["Description"] == found["Parameters"]["comment"] == table.meaning
    meanings = {column.name: column.meaning for column in table.columns}
    comments = {column["Name"]: column["Comment"] for column in found["StorageDescriptor"]["Columns"]}
    assert list(comments) == list(table.names)
    assert all(comments[name].startswith(meaning) for name, meaning in meanings.items())
    assert all(c.unit in comments[c.name] for c in table.columns if c.unit)


def test_a_column_that_is_described_otherwise_now_is_so_in_the_catalog_too(
    ministack: str, catalog: Catalog, database: str, bucket: str, lake: Lake
) -> None:
    lake.ensure(schema.READINGS)
    reworded = replace(
        schema.READINGS,
        meaning="values",
        columns=tuple(replace(c, meaning="new words") if c.name == "value" else c for c in schema.READINGS.columns),
    )

    lake.add(reworded, upload(ministack, bucket, reworded, [reading(1)]), number=1)

    found = client("glue", ministack).get_table(DatabaseName=database, Name="readings")["Table"]
    comments = {column["Name"]: column["Comment"] for column in found["StorageDescriptor"]["Columns"]}
    assert (comments["value"], comments["tag"]) == ("new words", "name of the tag")
    assert found["Description"] == "values"
    assert [row["value"] for row in rows_of(catalog, database, reworded)] == [1.0]


def test_every_meaning_fits_into_glue() -> None:
    too_long = [c.name for table in schema.TABLES for c in table.columns if len(f"{c.meaning}, in {c.unit}") > 255]

    assert too_long == []  # Glue's limit for a column's comment


def test_a_table_gains_the_columns_that_the_schema_gained(
    ministack: str, catalog: Catalog, database: str, bucket: str, lake: Lake
) -> None:
    grown = replace(
        schema.READINGS,
        columns=(*schema.READINGS.columns, Column("quality", "string", "good or bad"), Column("raw", "list<int>", "r")),
    )
    lake.add(schema.READINGS, upload(ministack, bucket, schema.READINGS, [reading(1)]), number=1)
    row = reading(2, quality="good", raw=[1, 2])

    lake.add(grown, upload(ministack, bucket, grown, [row]), number=2)
    lake.add(grown, upload(ministack, bucket, schema.READINGS, [reading(3)]), number=3)

    rows = rows_of(catalog, database, grown)
    assert {row["value"]: (row["quality"], row["raw"]) for row in rows} == {
        1.0: (None, None),
        2.0: ("good", [1, 2]),
        3.0: (None, None),
    }


def test_a_scan_of_one_position_opens_only_files_that_can_have_it_however_alike_the_paths(
    ministack: str, catalog: Catalog, database: str, bucket: str, lake: Lake
) -> None:
    position = "riverside/pump-hall/pump-1/pump-{}board"
    rows = [reading(n, position=position.format(side)) for n, side in enumerate(["in", "out"])]
    files = [uri for row in rows for uri in upload(ministack, bucket, schema.READINGS, [row])]
    lake.add(schema.READINGS, files, number=1)

    scan = catalog.load_table((database, "readings")).scan(row_filter=f"position = '{position.format('out')}'")

    [task] = scan.plan_files()
    assert task.file.file_path == files[1]
    assert len(task.file.lower_bounds) == len({*schema.READINGS.sort, schema.READINGS.day})


def test_a_file_is_known_by_the_size_that_came_with_it(
    ministack: str, catalog: Catalog, database: str, bucket: str, lake: Lake
) -> None:
    [uri] = upload(ministack, bucket, schema.READINGS, [reading(1)])
    size = client("s3", ministack).head_object(Bucket=bucket, Key=uri.removeprefix(f"s3://{bucket}/"))["ContentLength"]

    lake.add(schema.READINGS, {uri: size}, number=1)
    lake.add(schema.READINGS, upload(ministack, bucket, schema.READINGS, [reading(1)]), number=2)

    tasks = catalog.load_table((database, "readings")).scan().plan_files()
    assert [task.file.file_size_in_bytes for task in tasks] == [size, size]


def test_a_scan_of_one_day_opens_only_that_day(
    ministack: str, catalog: Catalog, database: str, bucket: str, lake: Lake
) -> None:
    files = upload(ministack, bucket, schema.READINGS, [reading(n, T + n * DAY) for n in range(3)])
    lake.add(schema.READINGS, files, number=1)

    scan = catalog.load_table((database, "readings")).scan(row_filter="t < '2026-09-22T00:00:00+00:00'")

    assert len(list(scan.plan_files())) == 1
