"""Samples that are packed by value come back as they were, by every reader, and smaller than by difference."""

import io
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telltale.adapters import packed, parquet, thrift
from telltale.core.schema import WAVEFORMS

LISTS = parquet.ARROW["list<int>"]
NOISE = np.random.default_rng(1).normal(0, 300, (200, 1024)).astype(np.int32)  # a vibration, in counts


def waveforms(lists: list[Any]) -> pa.Table:
    times = np.arange(len(lists)) + 1_790_000_000_000
    same = {
        "axis": "x",
        "position": "a/b/c/d",
        "site": "a",
        "sensor": "s",
        "fs_hz": 25_600.0,
        "unit": "g",
        "scale": 1.0,
    }
    columns = {name: pa.array([value] * len(lists)) for name, value in same.items()}
    columns["capture_id"] = pa.array([f"c-{n}" for n in range(len(lists))], pa.string())
    columns["t"] = pa.array(times, pa.timestamp("ms", "UTC"))
    return pa.table({**columns, "samples": pa.array(lists, LISTS)})


def written(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    parquet.write_rows(WAVEFORMS, table, sink)
    return sink.getvalue()


def encodings(body: bytes) -> list[str]:
    metadata = pq.read_metadata(io.BytesIO(body))
    place = WAVEFORMS.names.index("samples")
    return [metadata.row_group(i).column(place).encodings[-1] for i in range(metadata.num_row_groups)]


def test_vibration_takes_three_quarters_of_int16_and_comes_back_as_it_was() -> None:
    body = written(waveforms(list(NOISE)))

    assert pq.read_table(io.BytesIO(body))["samples"].to_pylist() == NOISE.tolist()
    assert encodings(body) == ["RLE_DICTIONARY"]
    assert len(body) < 0.75 * 2 * NOISE.size


def test_a_slow_signal_is_packed_by_difference() -> None:
    slow = [np.cumsum(np.sign(row)).astype(np.int32) for row in NOISE]

    body = written(waveforms(slow))

    assert pq.read_table(io.BytesIO(body))["samples"].to_pylist() == [row.tolist() for row in slow]
    assert encodings(body) == ["DELTA_BINARY_PACKED"]


def test_row_groups_packed_either_way_stand_in_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROW_GROUP_SAMPLES", 50_000)
    slow = [np.cumsum(np.sign(row)).astype(np.int32) for row in NOISE[:60]]
    lists = [*NOISE[:60], *slow, *NOISE[60:120]]

    body = written(waveforms(lists))

    assert set(encodings(body)) == {"RLE_DICTIONARY", "DELTA_BINARY_PACKED"}
    read = pq.read_table(io.BytesIO(body))
    assert read["samples"].to_pylist() == [row.tolist() for row in lists]
    assert read["capture_id"].to_pylist() == [f"c-{n}" for n in range(len(lists))]


def test_duckdb_reads_them_and_finds_rows_by_their_statistics(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROW_GROUP_SAMPLES", 50_000)
    parquet.write_rows(WAVEFORMS, waveforms(list(NOISE)), tmp_path / "w.parquet")

    with duckdb.connect() as connection:
        asked = f"SELECT samples FROM '{tmp_path}/w.parquet' WHERE capture_id = 'c-150'"
        [(samples,)] = connection.sql(asked).fetchall()

    assert samples == NOISE[150].tolist()


def test_a_file_written_in_parts_is_the_file_written_at_once() -> None:
    rows = parquet._declared(WAVEFORMS, waveforms(list(NOISE)))
    sink = io.BytesIO()
    writer = parquet.Writer(WAVEFORMS, sink)

    for start in range(0, len(rows), 7):
        writer.write(rows.slice(start, 7))
    writer.close()

    assert sink.getvalue() == written(rows)


counts = st.one_of(st.integers(-32768, 32767), st.integers(-3, 3))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(counts, max_size=70), min_size=1, max_size=9), st.integers(1, 100))
def test_whatever_the_lists_are_a_chunk_of_them_is_read_back(lists: list[list[int]], page: int) -> None:
    before = packed.PAGE, packed._by_difference
    packed.PAGE, packed._by_difference = page, lambda samples: np.inf  # packed by value, be it worth it or not
    try:
        body = written(waveforms(lists))
    finally:
        packed.PAGE, packed._by_difference = before

    assert pq.read_table(io.BytesIO(body))["samples"].to_pylist() == lists


def test_values_too_many_or_too_far_apart_are_left_to_packing_by_difference() -> None:
    far = pa.array([[0, packed.WIDEST]], LISTS)
    many = pa.array([np.arange(packed.PLACES + 1)], LISTS)

    assert packed.pack(far) is None
    assert packed.pack(many) is None
    assert packed.pack(pa.array([[]], LISTS)) is None


def test_a_footer_that_is_parsed_and_put_together_again_is_the_same_bytes() -> None:
    body = parquet.write(WAVEFORMS, [])
    size = int.from_bytes(body[-8:-4], "little")
    footer = body[-8 - size : -8]

    assert thrift.struct(thrift.parse(footer)) == footer


@pytest.mark.parametrize(
    "fields",
    [
        {1: (thrift.TRUE, True), 2: (thrift.FALSE, False), 30: (thrift.I64, -(1 << 62))},
        {1: (thrift.DOUBLE, 0.1), 2: (thrift.BINARY, b"\x00abc"), 3: (thrift.BYTE, 7), 20: (thrift.I16, -3)},
        {5: (thrift.LIST, (thrift.I32, list(range(-20, 20)))), 6: (thrift.SET, (thrift.TRUE, [True, False]))},
        {1: (thrift.STRUCT, {1: (thrift.LIST, (thrift.STRUCT, [{}, {9: (thrift.I32, 1)}]))})},
    ],
)
def test_fields_of_each_type_come_back(fields: thrift.Struct) -> None:
    assert thrift.parse(thrift.struct(fields)) == fields
