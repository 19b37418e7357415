"""What Iceberg knows about a table, in the columns that Athena gives it: "captures$files", "captures$snapshots" …

Without `data` in `$partitions`, the least and greatest values of each column, which a table's files have too.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pyarrow as pa
from pyiceberg.conversions import from_bytes
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import DayTransform
from pyiceberg.types import PrimitiveType

INSTANT = pa.timestamp("ms", "UTC")
COUNTS = pa.map_(pa.int32(), pa.int64())
BOUNDS = pa.map_(pa.int32(), pa.string())

SNAPSHOTS = pa.schema(
    {
        "committed_at": INSTANT,
        "snapshot_id": pa.int64(),
        "parent_id": pa.int64(),
        "operation": pa.string(),
        "manifest_list": pa.string(),
        "summary": pa.map_(pa.string(), pa.string()),
    }
)
HISTORY = pa.schema(
    {
        "made_current_at": INSTANT,
        "snapshot_id": pa.int64(),
        "parent_id": pa.int64(),
        "is_current_ancestor": pa.bool_(),
    }
)
FILES = pa.schema(
    {
        "content": pa.int32(),
        "file_path": pa.string(),
        "file_format": pa.string(),
        "record_count": pa.int64(),
        "file_size_in_bytes": pa.int64(),
        "column_sizes": COUNTS,
        "value_counts": COUNTS,
        "null_value_counts": COUNTS,
        "nan_value_counts": COUNTS,
        "lower_bounds": BOUNDS,
        "upper_bounds": BOUNDS,
        "key_metadata": pa.binary(),
        "split_offsets": pa.list_(pa.int64()),
        "equality_ids": pa.list_(pa.int32()),
    }
)
MANIFESTS = pa.schema(
    {
        "path": pa.string(),
        "length": pa.int64(),
        "partition_spec_id": pa.int32(),
        "added_snapshot_id": pa.int64(),
        "added_data_files_count": pa.int32(),
        "added_rows_count": pa.int64(),
        "existing_data_files_count": pa.int32(),
        "existing_rows_count": pa.int64(),
        "deleted_data_files_count": pa.int32(),
        "deleted_rows_count": pa.int64(),
    }
)
PARTITION_COUNTS = {"record_count": pa.int64(), "file_count": pa.int64(), "total_size": pa.int64()}


def snapshots(table: Table | None) -> pa.Table:
    """One row per snapshot that is kept."""
    return _table(
        SNAPSHOTS,
        (
            {
                "committed_at": snapshot.timestamp_ms,
                "snapshot_id": snapshot.snapshot_id,
                "parent_id": snapshot.parent_snapshot_id,
                "operation": snapshot.summary.operation.value if snapshot.summary else None,
                "manifest_list": snapshot.manifest_list,
                "summary": list(snapshot.summary.additional_properties.items()) if snapshot.summary else None,
            }
            for snapshot in (table.snapshots() if table else ())
        ),
    )


def history(table: Table | None) -> pa.Table:
    """One row per time at which a snapshot became the table."""
    kept = {snapshot.snapshot_id: snapshot for snapshot in (table.snapshots() if table else ())}
    ancestors, at = set(), table.metadata.current_snapshot_id if table else None
    while at in kept:
        ancestors.add(at)
        at = kept[at].parent_snapshot_id
    return _table(
        HISTORY,
        (
            {
                "made_current_at": entry.timestamp_ms,
                "snapshot_id": entry.snapshot_id,
                "parent_id": kept[entry.snapshot_id].parent_snapshot_id if entry.snapshot_id in kept else None,
                "is_current_ancestor": entry.snapshot_id in ancestors,
            }
            for entry in (table.history() if table else ())
        ),
    )


def files(table: Table | None) -> pa.Table:
    """One row per live file, of data or of deletes."""
    if table is None:
        return FILES.empty_table()
    return _table(FILES, (_file(file, table.schema()) for file in _live(table)))


def partitions(table: Table | None) -> pa.Table:
    """One row per day."""
    if table is None or not table.spec().fields:
        return pa.schema({"partition": pa.struct({"day": pa.date32()}), **PARTITION_COUNTS}).empty_table()
    field = table.spec().fields[0]
    kind = pa.date32() if isinstance(field.transform, DayTransform) else pa.string()
    days: dict[Any, list[DataFile]] = defaultdict(list)
    for file in _live(table):
        if not file.content.value:
            days[file.partition[0] if kind == pa.date32() else str(file.partition[0])].append(file)
    arrow = pa.schema({"partition": pa.struct({field.name: kind}), **PARTITION_COUNTS})
    return _table(
        arrow,
        (
            {
                "partition": {field.name: day},
                "record_count": sum(file.record_count for file in of_day),
                "file_count": len(of_day),
                "total_size": sum(file.file_size_in_bytes for file in of_day),
            }
            for day, of_day in days.items()
        ),
    )


def manifests(table: Table | None) -> pa.Table:
    """One row per manifest of the current snapshot."""
    snapshot = table.current_snapshot() if table else None
    if table is None or snapshot is None:
        return MANIFESTS.empty_table()
    return _table(
        MANIFESTS,
        (
            {
                "path": manifest.manifest_path,
                "length": manifest.manifest_length,
                "partition_spec_id": manifest.partition_spec_id,
                "added_snapshot_id": manifest.added_snapshot_id,
                "added_data_files_count": manifest.added_files_count,
                "added_rows_count": manifest.added_rows_count,
                "existing_data_files_count": manifest.existing_files_count,
                "existing_rows_count": manifest.existing_rows_count,
                "deleted_data_files_count": manifest.deleted_files_count,
                "deleted_rows_count": manifest.deleted_rows_count,
            }
            for manifest in snapshot.manifests(table.io)
        ),
    )


ABOUT: Mapping[str, Callable[[Table | None], pa.Table]] = {
    "files": files,
    "snapshots": snapshots,
    "partitions": partitions,
    "history": history,
    "manifests": manifests,
}


def _table(arrow: pa.Schema, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), arrow)


def _live(table: Table) -> list[DataFile]:
    """Data files, and after them the files of deletes."""
    tasks = list(table.scan().plan_files())
    deletes = {file.file_path: file for task in tasks for file in task.delete_files}
    return [*(task.file for task in tasks), *deletes.values()]


def _file(file: DataFile, now: Schema) -> dict[str, Any]:
    return {
        "content": file.content.value,
        "file_path": file.file_path,
        "file_format": file.file_format.value,
        "record_count": file.record_count,
        "file_size_in_bytes": file.file_size_in_bytes,
        "column_sizes": _pairs(file.column_sizes),
        "value_counts": _pairs(file.value_counts),
        "null_value_counts": _pairs(file.null_value_counts),
        "nan_value_counts": _pairs(file.nan_value_counts),
        "lower_bounds": _bounds(file.lower_bounds, now),
        "upper_bounds": _bounds(file.upper_bounds, now),
        "key_metadata": file.key_metadata,
        "split_offsets": file.split_offsets,
        "equality_ids": file.equality_ids,
    }


def _pairs(counts: Mapping[int, int] | None) -> list[tuple[int, int]] | None:
    return None if counts is None else list(counts.items())


def _bounds(bounds: Mapping[int, bytes] | None, now: Schema) -> list[tuple[int, str]] | None:
    if bounds is None:
        return None
    kinds = {field.field_id: field.field_type for field in now.fields if isinstance(field.field_type, PrimitiveType)}
    return [(number, str(from_bytes(kinds[number], bound))) for number, bound in bounds.items() if number in kinds]
