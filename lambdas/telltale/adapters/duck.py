"""DuckDB on the Iceberg tables of the deployed lake.

A table is handed to DuckDB as an Arrow dataset over its live data files, so DuckDB reads only the
columns and row groups it needs, and only files whose days can match: Iceberg's bounds of a file's
timestamps go along as a guarantee.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyiceberg.catalog import Catalog
from pyiceberg.conversions import from_bytes
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.io.pyarrow import PyArrowFileIO, schema_to_pyarrow
from pyiceberg.table import FileScanTask, Table
from pyiceberg.types import TimestamptzType

from telltale.adapters.answer import Answer, Unanswered, literal
from telltale.adapters.parquet import ARROW, arrow_schema
from telltale.adapters.trino import filled, parse_query, tables_read, to_duckdb, unknown_names, within
from telltale.core import schema

HUGEINT = pa.decimal128(38, 0)  # what DuckDB's sum of integers arrives as; Trino's is a bigint
# Only the lake's tables are in reach: no file, and no variable of this program, answers for a wrong name.
CONFINED: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "python_enable_replacements": False,
}

Relations = Mapping[str, pa.Table | ds.Dataset]


@dataclass(frozen=True)
class Duck:
    """DuckDB on the tables of one database."""

    catalog: Catalog
    database: str

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        return self.answer(sql, parameters).table

    def answer(self, sql: str, parameters: Sequence[Any] = (), *, limit: int | None = None) -> Answer:
        """The answer to a query in Athena's dialect."""
        text = filled(sql, [literal(value) for value in parameters])
        query = within(parse_query(text), self.database)
        relations = read(self.catalog, self.database, tables_read(query))
        table, more = execute(text, relations, database=self.database, limit=limit)
        return Answer(table, more, "duckdb")


def read(catalog: Catalog, database: str, names: Iterable[str]) -> Relations:
    """The tables of these names. A table of the schema that has no data yet is empty; others are left out."""
    relations: dict[str, pa.Table | ds.Dataset] = {}
    empty = {table.name: arrow_schema(table).empty_table() for table in schema.TABLES}
    for name in names:
        try:
            relations[name] = _files(catalog.load_table((database, name)))
        except NoSuchTableError:
            if name in empty:
                relations[name] = empty[name]
    return relations


def _files(table: Table) -> pa.Table | ds.Dataset:
    tasks = list(table.scan().plan_files())
    files = table.io
    if needs_iceberg(table, tasks) or not isinstance(files, PyArrowFileIO):
        return table.scan().to_arrow()
    arrow = schema_to_pyarrow(table.schema(), include_field_ids=False)
    if not tasks:
        return arrow.empty_table()
    file_format = ds.ParquetFileFormat()
    fragments = [
        file_format.make_fragment(*_path(files, task), partition_expression=_bounds(table, task)) for task in tasks
    ]
    return ds.FileSystemDataset(fragments, arrow, file_format)


def needs_iceberg(table: Table, tasks: Sequence[FileScanTask]) -> bool:
    """Whether the files alone tell less than the table: rows were deleted, or a column was renamed."""
    now = {field.field_id: field.name for field in table.schema().fields}
    earlier = [field for old in table.schemas().values() for field in old.fields]
    renamed = any(now.get(field.field_id, field.name) != field.name for field in earlier)
    return renamed or any(task.delete_files for task in tasks)


def _path(files: PyArrowFileIO, task: FileScanTask) -> tuple[str, Any]:
    """The data file's path, and the Arrow file system it is on."""
    scheme, netloc, path = files.parse_location(task.file.file_path, files.properties)
    return path, files.fs_by_scheme(scheme, netloc)


def _bounds(table: Table, task: FileScanTask) -> pc.Expression:
    """What Iceberg knows of the file's values in the columns that partition the table: lowest <= t <= highest."""
    known = pc.scalar(True)
    for part in table.spec().fields:
        field = table.schema().find_field(part.source_id)
        low = task.file.lower_bounds.get(part.source_id)
        high = task.file.upper_bounds.get(part.source_id)
        if field.required and isinstance(field.field_type, TimestamptzType) and low is not None and high is not None:
            known = known & (pc.field(field.name) >= _instant(low)) & (pc.field(field.name) <= _instant(high))
    return known


def _instant(bound: bytes) -> pa.Scalar:
    return pa.scalar(from_bytes(TimestamptzType(), bound), ARROW["timestamp"])


def execute(sql: str, relations: Relations, *, database: str, limit: int | None = None) -> tuple[pa.Table, bool]:
    """Run a query in Athena's dialect on these tables: at most `limit` rows, and whether there were more."""
    query = within(parse_query(sql), database)
    try:
        with duckdb.connect(config=CONFINED) as connection:
            connection.execute("SET TimeZone = 'UTC'").complete()
            connection.execute("SET integer_division = true").complete()
            for name, relation in relations.items():
                connection.register(name, relation)
            return _first(connection.sql(to_duckdb(query)), limit)
    except duckdb.Error as error:
        lake: dict[str, list[str]] = {table.name: [] for table in schema.TABLES}  # named when a query misses them
        unknown = unknown_names(query, lake | {name: relation.schema.names for name, relation in relations.items()})
        raise Unanswered("\n".join(unknown) or f"DuckDB cannot run this: {error}") from error


def _first(relation: Any, limit: int | None) -> tuple[pa.Table, bool]:
    """The first rows, read no further than needed; sums of integers as 64-bit integers."""
    reader = relation.to_arrow_reader()
    batches: list[pa.RecordBatch] = []
    while limit is None or sum(batch.num_rows for batch in batches) <= limit:
        try:
            batches.append(reader.read_next_batch())
        except StopIteration:
            break
    table = pa.Table.from_batches(batches, reader.schema)
    fields = [field.with_type(pa.int64()) if field.type == HUGEINT else field for field in table.schema]
    return table.slice(0, limit).cast(pa.schema(fields)), limit is not None and table.num_rows > limit
