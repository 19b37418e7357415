"""Columns that are added, renamed and widened: what was written before is read as it was, by every engine."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from pyiceberg.types import DoubleType, LongType
from telltale.adapters.duck import Duck
from telltale.adapters.rewrite import live_files, replace_files, rewrite_rows
from telltale.core.schema import READINGS, Column, Table

from tests.contracts.test_lake import T, reading, upload
from tests.contracts.test_rewrite import Readings


def with_columns(*columns: Column) -> Table:
    return replace(READINGS, columns=(*READINGS.columns, *columns))


BEFORE = with_columns(
    Column("turns", "int", "counted"), Column("heat", "float", "felt"), Column("old", "list<int>", "x")
)
AFTER = with_columns(
    Column("turns", "long", "counted"),
    Column("warmth", "double", "felt", was=("heat",)),
    Column("samples", "list<int>", "counts", was=("old",)),
    Column("quality", "string", "good or bad"),
)
OLD = {"turns": 7, "heat": 1.5, "old": [1, 2]}
NEW = {"turns": 5_000_000_000, "warmth": 2.1, "samples": [3], "quality": "good"}
WANTED = {1.0: (7, 1.5, [1, 2], None), 2.0: (5_000_000_000, 2.1, [3], "good")}


class Place(Readings):
    def put(self, table: Table, n: int, more: Mapping[str, Any]) -> None:
        self.commits += 1
        uris = upload(self.endpoint, self.bucket, table, [reading(n, T + n, **more)])
        self.lake.add(AFTER if self.commits > 1 else table, uris, number=self.commits)

    def found(self) -> dict[float, tuple[Any, ...]]:
        return {row["value"]: seen(row) for row in self.iceberg().scan().to_arrow().to_pylist()}

    def found_by_duckdb(self) -> dict[float, tuple[Any, ...]]:
        rows = Duck(self.catalog, self.database).run("SELECT * FROM readings")
        return {row["value"]: seen(row) for row in rows.to_pylist()}


def seen(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("turns", "warmth", "samples", "quality"))


@pytest.fixture
def place(ministack: str) -> Place:
    return Place(ministack)


def test_what_was_written_before_is_read_under_the_new_names_and_types(place: Place) -> None:
    place.put(BEFORE, 1, OLD)
    place.put(AFTER, 2, NEW)

    types = {field.name: field.field_type for field in place.iceberg().schema().fields}
    assert (types["turns"], types["warmth"]) == (LongType(), DoubleType())
    assert "heat" not in types
    assert place.found() == WANTED
    assert place.found_by_duckdb() == WANTED


def test_a_file_that_waited_under_an_old_name_while_the_column_was_renamed_is_taken(place: Place) -> None:
    place.put(BEFORE, 1, OLD)
    place.put(AFTER, 2, NEW)
    place.put(BEFORE, 3, OLD)

    assert place.found() == WANTED | {3.0: WANTED[1.0]}
    assert place.found_by_duckdb() == WANTED | {3.0: WANTED[1.0]}


def test_files_of_before_and_after_are_compacted_into_one_with_the_columns_of_now(place: Place) -> None:
    place.put(BEFORE, 1, OLD)
    place.put(AFTER, 2, NEW)
    files = live_files(place.iceberg())

    rewritten = rewrite_rows(place.lake, AFTER, files)
    replace_files(place.lake, AFTER, [file.uri for file in files], rewritten.uris, why="compaction")

    assert len(live_files(place.iceberg())) == 1
    assert place.found() == WANTED
    assert place.found_by_duckdb() == WANTED


def test_a_snapshot_of_before_shows_what_there_was(place: Place) -> None:
    place.put(BEFORE, 1, OLD)
    before = place.iceberg().current_snapshot().snapshot_id
    place.put(AFTER, 2, NEW)

    rows = place.iceberg().scan(snapshot_id=before).to_arrow().to_pylist()

    assert [(row["value"], row["heat"]) for row in rows] == [(1.0, 1.5)]


def test_a_table_without_rows_yet_is_renamed_too_and_takes_files_of_before(place: Place) -> None:
    place.lake.ensure(BEFORE)
    place.commits = 1
    place.put(BEFORE, 1, OLD)

    assert place.found() == {1.0: WANTED[1.0]}
