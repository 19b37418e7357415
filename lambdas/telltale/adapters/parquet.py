"""Rows of a table as Parquet files that can be added to its Iceberg table as they are.

A row is a mapping of column names; what is absent or None is null. Timestamps are whole milliseconds since 1970,
lists of int are arrays of shape (n,).
"""

import contextlib
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from telltale.adapters import packed
from telltale.adapters.receipts import NewFile
from telltale.core.schema import Column, Table, Type

Row = Mapping[str, Any]

ARROW: Mapping[Type, pa.DataType] = {
    "string": pa.string(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),  # Iceberg's timestamptz
    "binary": pa.binary(),
    # Without a null among the samples: a file that has none is as good for the table, and is written in half the time.
    "list<int>": pa.list_(pa.field("element", pa.int32(), nullable=False)),
    "list<string>": pa.list_(pa.string()),
}
# Neighbouring samples and sorted times differ little. Every engine reads this encoding; byte stream split, which
# packs int16 in int32 as well, Athena does not.
DELTA: Mapping[Type, str] = {"timestamp": "", "list<int>": ".list.element"}
# Where 1,000 positions send every hour, a day's file has six row groups of so many rows, and the trend of one position
# reads one of them. With fewer rows footers grow faster than what is read shrinks (docs/lake-figures.md).
ROW_GROUP_ROWS = 4096
ROW_GROUP_SAMPLES = 2_000_000  # 3 MB as they are packed: what one capture costs to read
DAY_MS = 86_400_000
ZSTD_LEVEL = 1  # packed differences hardly shrink further, at any level: files of level 3 are as large, and cost twice


def arrow_schema(table: Table) -> pa.Schema:
    """The table's columns; without Iceberg field ids, which a file to be added must not have."""
    fields = [pa.field(column.name, ARROW[column.type], nullable=not column.required) for column in table.columns]
    return pa.schema(fields)


def files(table: Table, rows: Iterable[Row]) -> list[NewFile]:
    """The rows as one file for each day."""
    days: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        days[day(row[table.day])].append(row)
    return [NewFile(table.name, name, len(days[name]), write(table, days[name])) for name in sorted(days)]


def columnar_files(table: Table, rows: pa.Table) -> list[NewFile]:
    """Rows that are in Arrow already, as one file for each day. Columns that are left out are null."""
    given = _cast(table, rows)
    numbers = given[table.day].cast(pa.int64()).to_numpy() // (DAY_MS * 1000)
    if (numbers[1:] < numbers[:-1]).any():  # one day behind the other needs no copy
        order = np.argsort(numbers, kind="stable")
        given, numbers = given.take(pa.array(order)), numbers[order]
    edges = [*np.flatnonzero(np.diff(numbers, prepend=numbers[:1] - 1)).tolist(), len(numbers)]
    return [
        NewFile(table.name, _day(int(numbers[low])), high - low, _body(table, given.slice(low, high - low)))
        for low, high in pairwise(edges)
    ]


def write(table: Table, rows: Sequence[Row]) -> bytes:
    """The rows, sorted, as one Parquet file; the same bytes for the same rows."""
    values = _columns(table, rows)
    arrays = [_array(column, of_column) for column, of_column in zip(table.columns, values, strict=True)]
    return _body(table, pa.Table.from_arrays(arrays, schema=arrow_schema(table)))


def write_rows(table: Table, rows: pa.Table, sink: Any) -> None:
    """The rows, sorted, as one Parquet file written to `sink`: a path or an open file.

    Columns that are left out are null, others are cast; ValueError if one is not declared, or a required one is null.
    """
    writer = Writer(table, sink)
    given = _cast(table, rows)  # sorted before the columns that are left out are added: of features there are many
    names = [name for name in table.sort if name in given.column_names]
    writer.write(given if _is_sorted(given, names) else given.sort_by([(name, "ascending") for name in names]))
    writer.close()


class Writer:
    """One Parquet file written to `sink` (a path or an open file) a part at a time, from rows that come sorted.

    Parts may be of any length: row groups are as long as the layout has them.
    """

    def __init__(self, table: Table, sink: Any) -> None:
        self._table, self._waiting = table, arrow_schema(table).empty_table()
        self._packed = next((i for i, c in enumerate(table.columns) if c.type == "list<int>" and c.required), None)
        self._opened = pa.OSFile(str(sink), "wb") if isinstance(sink, str | Path) else None
        to = self._opened or sink
        self._sink = None if self._packed is None else _Sink(to)  # in front of it only where it has something to do
        self._writer = pq.ParquetWriter(self._sink or to, self._waiting.schema, **_layout(table))
        self._groups = 0
        self._chunks: dict[int, packed.Chunk] = {}

    def write(self, rows: pa.Table) -> None:
        self._waiting = pa.concat_tables([self._waiting, _declared(self._table, rows)])
        while (count := self._full()) is not None:
            self._group(self._waiting.slice(0, count))
            self._waiting = self._waiting.slice(count)

    def close(self) -> None:
        if len(self._waiting):
            self._group(self._waiting)
        if self._sink is not None:
            self._sink.hold()
        self._writer.close()
        if self._sink is not None:
            self._sink.release(self._patched)
        if self._opened is not None:
            self._opened.close()

    def _full(self) -> int | None:
        """Rows of the next row group, if there are enough of them."""
        rows = self._waiting
        if self._packed is None:
            return ROW_GROUP_ROWS if len(rows) >= ROW_GROUP_ROWS else None
        ends = np.cumsum(pc.list_value_length(rows.column(self._packed)).to_numpy(), dtype=np.int64)
        count = min(int(np.searchsorted(ends, ROW_GROUP_SAMPLES)) + 1, ROW_GROUP_ROWS)
        return count if count <= len(rows) else None

    def _group(self, rows: pa.Table) -> None:
        """One row group. Samples that pack well come after its other columns, and the footer is told so."""
        place, sink = self._packed, self._sink
        chunk = packed.pack(pa.concat_arrays(rows.column(place).chunks)) if place is not None else None
        if place is None or sink is None or chunk is None:
            self._writer.write_table(rows, row_group_size=len(rows))
        else:
            field = rows.schema.field(place)
            ends = pa.array(np.zeros(len(rows) + 1, np.int32))
            empty = pa.ListArray.from_arrays(ends, pa.array([], pa.int32()), type=field.type)
            self._writer.write_table(rows.set_column(place, field, empty), row_group_size=len(rows))
            sink.write(chunk.body)
            self._chunks[self._groups] = chunk
        self._groups += 1

    def _patched(self, end: bytes) -> bytes:
        """The end of the file: footer, its length and the magic."""
        if self._packed is None or not self._chunks:
            return end
        size = int.from_bytes(end[-8:-4], "little")
        footer = packed.patched(end[-8 - size : -8], self._packed, self._chunks)
        return end[: -8 - size] + footer + len(footer).to_bytes(4, "little") + end[-4:]


class _Sink(io.RawIOBase):
    """Passes on what is written, and keeps the end of it back until it was seen."""

    def __init__(self, sink: Any) -> None:
        self._to, self._held = sink, bytearray()
        self._holds = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self._holds:
            self._held += data
        else:
            self._to.write(data)
        return memoryview(data).nbytes

    def hold(self) -> None:
        self._holds = True

    def release(self, change: Callable[[bytes], bytes]) -> None:
        self._to.write(change(bytes(self._held)))


def _body(table: Table, rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    write_rows(table, rows, sink)
    return bytes(sink.getvalue())


def _is_sorted(rows: pa.Table, names: Sequence[str]) -> bool:
    """Whether the rows come sorted by these columns; asking is quicker than sorting them once more."""
    tied: pa.ChunkedArray = pc.is_valid(rows[names[0]].slice(1))
    for name in names:
        column = rows[name]
        before, after = column.slice(0, max(len(column) - 1, 0)), column.slice(1)
        if column.null_count or pc.any(pc.and_(tied, pc.less(after, before))).as_py():
            return False
        tied = pc.and_(tied, pc.equal(after, before))
    return True


def _declared(table: Table, rows: pa.Table) -> pa.Table:
    """The rows with the table's columns, in its order and types."""
    wanted = arrow_schema(table)
    if rows.schema.equals(wanted):
        return rows
    given = _cast(table, rows)
    nulls = {kind: pa.nulls(len(rows), kind) for kind in {field.type for field in wanted}}  # one for all of a type
    columns = [given[field.name] if field.name in given.column_names else nulls[field.type] for field in wanted]
    missing = [f.name for f, column in zip(wanted, columns, strict=True) if column.null_count and not f.nullable]
    if missing:
        raise ValueError(f"rows of {table.name} are without {missing}, which each row needs")
    return pa.Table.from_arrays(columns, schema=wanted)


def _cast(table: Table, rows: pa.Table) -> pa.Table:
    """The columns that the rows have, in the table's types; ValueError if one is not declared."""
    unknown = set(rows.column_names) - set(table.names)
    if unknown:
        raise ValueError(f"rows of {table.name} have {sorted(unknown)}, wanted only its columns")
    fields = [field for field in arrow_schema(table) if field.name in rows.column_names]
    return pa.Table.from_arrays([rows[field.name].cast(field.type) for field in fields], schema=pa.schema(fields))


def _columns(table: Table, rows: Sequence[Row]) -> list[Sequence[Any]]:
    """The values of each column; ValueError if a row has one that is not declared."""
    names = table.names
    if rows and all(len(row) == len(names) for row in rows):
        with contextlib.suppress(KeyError):
            return list(zip(*map(itemgetter(*names), rows), strict=True))
    unknown = set().union(*rows) - set(names)
    if unknown:
        raise ValueError(f"rows of {table.name} have {sorted(unknown)}, wanted only its columns")
    return [[row.get(name) for row in rows] for name in names]


def _array(column: Column, values: Sequence[Any]) -> pa.Array:
    kind = ARROW[column.type]
    if column.type == "timestamp":
        return pa.array(values, pa.timestamp("ms", tz="UTC")).cast(kind)
    if column.type == "list<int>":
        lengths = [0] + [len(value) for value in values]
        flat = np.concatenate([np.empty(0, np.int32), *values], dtype=np.int32)
        return pa.ListArray.from_arrays(pa.array(np.cumsum(lengths), pa.int32()), pa.array(flat), type=kind)
    return pa.array(values, kind)


def _layout(table: Table) -> dict[str, Any]:
    """Compression, encodings and statistics: of what rows are found by.

    None of samples and payloads, nor of measured values: those of every row group spread over the same range, and their
    bounds would be a third of the footers of 80 columns.
    """
    unsought = {"list<int>", "binary", "double", "float"}
    return {
        "compression": "zstd",
        "compression_level": ZSTD_LEVEL,
        "use_dictionary": [column.name for column in table.columns if column.type == "string"],
        "column_encoding": {c.name + DELTA[c.type]: "DELTA_BINARY_PACKED" for c in table.columns if c.type in DELTA},
        "write_statistics": [column.name for column in table.columns if column.type not in unsought],
    }


def day(t_ms: int) -> str:
    """The day, `YYYY-MM-DD`, that an instant is filed under."""
    return _day(t_ms // DAY_MS)


@lru_cache(maxsize=1000)
def _day(number: int) -> str:
    return datetime.fromtimestamp(number * DAY_MS // 1000, UTC).date().isoformat()
