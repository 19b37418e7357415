"""Files have the columns the schema declares, sorted and small, and the same bytes for the same rows."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from telltale.adapters import parquet
from telltale.core.schema import BATCHES, READINGS, TABLES, WAVEFORMS, Table

T = 1_790_000_000_000
DAY = 86_400_000


def reading(n: int, t_ms: int = T, **fields: Any) -> dict[str, Any]:
    row = {"capture_id": f"c-{n}", "position": "p", "site": "a", "sensor": "s", "t": t_ms, "tag": "flow", "value": n}
    return row | fields


def waves(count: int, n: int = 4096) -> list[dict[str, Any]]:
    rng = np.random.default_rng(1)
    ids = {
        "position": "a/b/c/d",
        "site": "a",
        "sensor": "s",
        "axis": "x",
        "fs_hz": 25_600.0,
        "unit": "g",
        "scale": 1e-3,
    }
    return [
        {**ids, "capture_id": f"c-{i}", "t": T + i, "samples": np.int16(rng.normal(0, 300, n))} for i in range(count)
    ]


def read(body: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(body))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_can_be_written_and_has_its_columns(table: Table) -> None:
    body = parquet.write(table, [])

    assert read(body).schema.equals(parquet.arrow_schema(table))


def test_rows_are_sorted_and_times_are_utc_microseconds() -> None:
    body = parquet.write(READINGS, [reading(1, T + 5), reading(2, T), reading(3, T, position="o")])

    assert read(body)["capture_id"].to_pylist() == ["c-3", "c-2", "c-1"]
    assert read(body)["t"].cast(pa.int64()).to_pylist() == [T * 1000, T * 1000, (T + 5) * 1000]
    assert read(body).schema.field("t").type == pa.timestamp("us", "UTC")


def test_samples_come_back_as_they_were_and_take_less_room_than_int16() -> None:
    rows = waves(20)

    body = parquet.write(WAVEFORMS, rows)

    stored = read(body)["samples"].to_pylist()
    assert stored == [row["samples"].tolist() for row in rows]
    assert len(body) < sum(row["samples"].nbytes for row in rows)


def test_no_sample_may_be_missing() -> None:
    assert not parquet.arrow_schema(WAVEFORMS).field("samples").type.value_field.nullable


def test_a_file_holds_one_day() -> None:
    files = parquet.files(READINGS, [reading(1, T), reading(2, T - DAY), reading(3, T)])

    assert [(file.table, file.day, file.rows) for file in files] == [
        ("readings", "2026-09-20", 1),
        ("readings", "2026-09-21", 2),
    ]
    assert parquet.files(READINGS, []) == []


def test_the_same_rows_in_any_order_are_the_same_bytes() -> None:
    rows = [reading(n, T + n) for n in range(10)]

    assert parquet.write(READINGS, rows) == parquet.write(READINGS, rows[::-1])


def test_a_column_that_is_not_declared_is_refused() -> None:
    with pytest.raises(ValueError):
        parquet.write(READINGS, [reading(1, valve=3.0)])


def test_a_required_value_that_is_missing_is_refused() -> None:
    with pytest.raises(pa.ArrowInvalid):
        parquet.write(READINGS, [reading(1, value=None)])


def columns(rows: list[dict[str, Any]]) -> pa.Table:
    times = pa.array([row["t"] for row in rows], pa.timestamp("ms", "UTC"))
    table = pa.Table.from_pylist([{k: v for k, v in row.items() if k != "t"} for row in rows])
    return table.append_column("t", times)


def test_rows_in_arrow_give_the_same_files_as_rows_one_by_one() -> None:
    rows = [reading(n, T + n * DAY // 4) for n in range(9)]

    assert parquet.columnar_files(READINGS, columns(rows[::-1])) == parquet.files(READINGS, rows)


def test_samples_in_arrow_give_the_same_file_as_well() -> None:
    rows = waves(3, n=16)
    table = columns([row | {"samples": row["samples"].tolist()} for row in rows])

    assert parquet.columnar_files(WAVEFORMS, table) == parquet.files(WAVEFORMS, rows)


def test_columns_that_arrow_rows_leave_out_are_null_unless_each_row_needs_them() -> None:
    few = columns([reading(1)])
    sink = io.BytesIO()

    parquet.write_rows(READINGS, few, sink)

    assert read(sink.getvalue())["value"].to_pylist() == [1.0]
    with pytest.raises(ValueError):
        parquet.write_rows(READINGS, few.drop_columns(["value"]), io.BytesIO())
    with pytest.raises(ValueError):
        parquet.write_rows(READINGS, few.append_column("valve", pa.array([3.0])), io.BytesIO())


def test_readers_can_skip_by_statistics_of_all_that_rows_are_found_by() -> None:
    metadata = pq.read_metadata(io.BytesIO(parquet.write(WAVEFORMS, waves(2)))).row_group(0)

    columns = [metadata.column(i) for i in range(metadata.num_columns)]
    without = {column.path_in_schema for column in columns if not column.is_stats_set}
    assert without == {"samples.list.element", "fs_hz", "scale"}
    assert {column.compression for column in columns} == {"ZSTD"}


def test_the_trend_of_one_position_needs_few_row_groups_of_a_day() -> None:
    names = [f"hall/pump-{n:04d}" for n in range(1000)]
    rows = pa.table(
        {
            "position": np.repeat(names, 12),
            "tag": ["flow"] * 12_000,
            "t": pa.array(np.tile(T + np.arange(12) * 1000, 1000), pa.timestamp("ms", "UTC")),
            **{name: ["x"] * 12_000 for name in ("capture_id", "site", "sensor")},
            "value": np.arange(12_000.0),
        }
    )
    sink = io.BytesIO()

    parquet.write_rows(READINGS, rows, sink)

    metadata = pq.read_metadata(sink)
    place = READINGS.names.index("position")
    bounds = [metadata.row_group(i).column(place).statistics for i in range(metadata.num_row_groups)]
    assert sum(found.min <= names[400] <= found.max for found in bounds) == 1
    assert len(bounds) == -(-12_000 // parquet.ROW_GROUP_ROWS)


def test_a_file_carries_no_field_ids_for_a_table_that_adds_it() -> None:
    schema = pq.read_schema(io.BytesIO(parquet.write(BATCHES, [])))

    assert not any(b"PARQUET:field_id" in (field.metadata or {}) for field in schema)
