"""Rows of a table as Parquet files that can be added to its Iceberg table as they are.

A row is a mapping of column names; what is absent or None is null. Timestamps are whole milliseconds since 1970,
lists of int are arrays of shape (n,).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

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


def write(table: Table, rows: Sequence[Row]) -> bytes:
    """The rows, sorted, as one Parquet file; the same bytes for the same rows."""
    unknown = set().union(*rows) - set(table.names)
    if unknown:
        raise ValueError(f"rows of {table.name} have {sorted(unknown)}, wanted only its columns")
    ordered = sorted(rows, key=itemgetter(*table.sort))
    schema = arrow_schema(table)
    arrays = [_array(column, _values(column.name, ordered)) for column in table.columns]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), sink, **_layout(table))
    return bytes(sink.getvalue())


def _values(name: str, rows: Sequence[Row]) -> list[Any]:
    try:
        return list(map(itemgetter(name), rows))
    except KeyError:
        return [row.get(name) for row in rows]


def _array(column: Column, values: list[Any]) -> pa.Array:
    kind = ARROW[column.type]
    if column.type == "timestamp":
        return pa.array(values, pa.timestamp("ms", tz="UTC")).cast(kind)
    if column.type == "list<int>":
        lengths = [0] + [len(value) for value in values]
        flat = np.concatenate([np.empty(0, np.int32), *values], dtype=np.int32)
        return pa.ListArray.from_arrays(pa.array(np.cumsum(lengths), pa.int32()), pa.array(flat), type=kind)
    return pa.array(values, kind)


def _layout(table: Table) -> dict[str, Any]:
    """Compression, encodings and statistics: none on samples and payloads, which nobody filters by."""
    heavy = {"list<int>", "binary"}
    return {
        "compression": "zstd",
        "compression_level": ZSTD_LEVEL,
        "use_dictionary": [column.name for column in table.columns if column.type == "string"],
        "column_encoding": {c.name + DELTA[c.type]: "DELTA_BINARY_PACKED" for c in table.columns if c.type in DELTA},
        "write_statistics": [column.name for column in table.columns if column.type not in heavy],
    }


def day(t_ms: int) -> str:
    """The day, `YYYY-MM-DD`, that an instant is filed under."""
    return datetime.fromtimestamp(t_ms // 1000, UTC).date().isoformat()
