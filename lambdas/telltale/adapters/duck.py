"""DuckDB on the Iceberg tables of the deployed lake.

A table is handed to DuckDB as an Arrow dataset over its live data files, so DuckDB reads only the
columns and row groups it needs, and only files whose values can match: Iceberg's bounds of a file's
times and names go along as a guarantee.
For one computer: DuckDB is in no Lambda layer, so a function imports this module only where it runs without one.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyiceberg.catalog import Catalog
from pyiceberg.conversions import from_bytes
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.io.pyarrow import PyArrowFileIO, schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.table import DataScan, FileScanTask, Table
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.types import StringType, TimestamptzType
from sqlglot import exp

from telltale.adapters.about import ABOUT
from telltale.adapters.answer import Answer, Unanswered, literal
from telltale.adapters.parquet import ARROW, arrow_schema
from telltale.adapters.translation import to_duckdb
from telltale.adapters.trino import filled, parse_query, tables_of, tables_read, times_as_text, unknown_names, within
from telltale.core import schema

AT_ONCE = 16  # footers read from S3, each nearly all waiting
FIRST = 1  # of a table's snapshots; where it is gone, so is what the table was before the oldest that is kept
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')  # text within an expression of Arrow's
BOUNDED = (StringType, TimestamptzType)  # what people ask by: when, and of what
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
        """The answer to a query in Athena's dialect, and the bytes that its plan reads."""
        query = within(parse_query(filled(sql, [literal(value) for value in parameters])), self.database)
        relations = read(self.catalog, self.database, wanted(query))
        table, more = _execute(query, relations, limit)
        return Answer(table, more, "duckdb", scanned_bytes=sum(planned(relation) for relation in relations.values()))


def planned_bytes(catalog: Catalog, sql: str, *, database: str) -> int:
    """What running this query reads of the tables' files: the chunks of the columns it names in the row groups that its
    conditions leave. Footers and metadata are not counted."""
    return Duck(catalog, database).answer(sql).scanned_bytes or 0


@dataclass(frozen=True)
class Wanted:
    """A table as a query asks for it: with all its rows or about itself ("$files"), now, at a time or by snapshot."""

    table: str
    about: str | None = None
    at: datetime | int | None = None


def wanted(query: exp.Query) -> dict[str, Wanted]:
    """The tables that a query reads, by the names that it then has for them: a time of its own makes one of its own."""
    found: dict[str, Wanted] = {}
    for node in tables_of(query):
        name, _, about = node.name.partition("$")
        version = node.args.get("version")
        key = ".".join(part.name for part in node.parts)
        if version is None:
            found[key] = Wanted(name if key == node.name else key, about or None)
            continue
        at = _moment(version)
        if not node.alias:
            node.set("alias", exp.TableAlias(this=exp.to_identifier(node.name)))
        node.set("this", exp.to_identifier(f"{node.name}@{at}", quoted=True))
        node.set("version", None)
        found[f"{key}@{at}"] = Wanted(name, about or None, at)
    return found


def _moment(version: exp.Expression) -> datetime | int:
    """The time, or the number of the snapshot, that stands behind AS OF."""
    timely = version.name == "TIMESTAMP"
    said = exp.func("epoch_ms", exp.cast(version.expression, "timestamptz")) if timely else version.expression
    table, _ = _execute(exp.select(said), {}, None)
    [value] = table.columns[0].to_pylist()
    return datetime.fromtimestamp(value / 1000, UTC) if timely else int(value)


def read(catalog: Catalog, database: str, names: Mapping[str, Wanted]) -> Relations:
    """These tables. A table of the schema that has no data yet is empty; others that are not there are left out."""
    relations: dict[str, pa.Table | ds.Dataset] = {}
    empty = {table.name: arrow_schema(table).empty_table() for table in schema.TABLES}
    for key, want in names.items():
        if want.about not in (None, *ABOUT):
            continue
        try:
            table = catalog.load_table((database, want.table))
        except NoSuchTableError:
            if want.table in empty:
                relations[key] = empty[want.table] if want.about is None else ABOUT[want.about](None)
            continue
        relations[key] = _rows(table, want) if want.about is None else ABOUT[want.about](table)
    return relations


def _rows(table: Table, want: Wanted) -> pa.Table | ds.Dataset:
    if want.at is None:
        return _files(table, table.scan())
    snapshot = snapshot_of(table, want.at)
    if snapshot is None:
        return schema_to_pyarrow(table.schema(), include_field_ids=False).empty_table()
    return _files(table, table.scan(snapshot_id=snapshot.snapshot_id))


def snapshot_of(table: Table, at: datetime | int) -> Snapshot | None:
    """The snapshot of this number, or the last kept of those up to a time; None if the table was empty then."""
    name, kept = table.name()[-1], sorted(table.snapshots(), key=lambda snapshot: snapshot.timestamp_ms)
    if isinstance(at, int):
        named = next((snapshot for snapshot in kept if snapshot.snapshot_id == at), None)
        if named is None:
            raise Unanswered(f"{name} has no snapshot {at}", f'SELECT snapshot_id FROM "{name}$snapshots" lists them')
        return named
    before = [snapshot for snapshot in kept if snapshot.timestamp_ms <= at.timestamp() * 1000]
    if before or not kept or kept[0].sequence_number == FIRST:
        return before[-1] if before else None
    oldest = datetime.fromtimestamp(kept[0].timestamp_ms / 1000, UTC)
    raise Unanswered(f"{name} as it was at {at:%Y-%m-%d %H:%M:%S} is no longer kept", f"the oldest is of {oldest}")


class Files(ds.FileSystemDataset):  # type: ignore[misc]  # Arrow publishes no types
    """Data files that remember what was asked of them. `renamed`: earlier names of columns, by their names of today."""

    def __init__(
        self, fragments: Sequence[ds.Fragment], arrow: pa.Schema, renamed: Mapping[str, Sequence[str]]
    ) -> None:
        super().__init__(fragments, arrow, ds.ParquetFileFormat())
        self.scans: list[tuple[Sequence[str] | None, pc.Expression | None]] = []
        self.renamed = renamed

    def scanner(self, columns: Sequence[str] | None = None, filter: Any = None, **rest: Any) -> ds.Scanner:  # noqa: A002
        self.scans.append((columns, filter))
        return super().scanner(columns=columns, filter=filter, **rest)


def planned(relation: pa.Table | ds.Dataset) -> int:
    """Bytes of the column chunks that the scans of a table so far had to read."""
    if not isinstance(relation, Files):
        return 0
    return sum(_chunks(relation, columns, condition) for columns, condition in relation.scans)


def _chunks(files: Files, columns: Sequence[str] | None, condition: pc.Expression | None) -> int:
    """Compressed bytes of these columns in the row groups that may hold what the condition asks for."""
    left = list(files.get_fragments(filter=condition))
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(lambda fragment: fragment.ensure_complete_metadata(), left))
    read_columns = set(files.schema.names if columns is None else columns) | _named(condition, files.schema.names)
    return sum(_chunks_of(fragment, files.schema, read_columns, condition) for fragment in left)


def _named(condition: pc.Expression | None, names: Iterable[str]) -> set[str]:
    """The columns that a condition looks at: Arrow tells only in words."""
    words = set(re.findall(r"\w+", QUOTED.sub("", str(condition))))
    return set() if condition is None else words & set(names)


def _chunks_of(
    fragment: ds.Fragment, arrow: pa.Schema, columns: Collection[str], condition: pc.Expression | None
) -> int:
    footer = fragment.metadata
    groups = (fragment if condition is None else fragment.subset(filter=condition, schema=arrow)).row_groups
    leaves = [footer.schema.column(leaf).path.split(".")[0] for leaf in range(footer.num_columns)]
    read_leaves = [leaf for leaf, root in enumerate(leaves) if columns is None or root in columns]
    return sum(
        footer.row_group(group.id).column(leaf).total_compressed_size for group in groups for leaf in read_leaves
    )


def _files(table: Table, scan: DataScan) -> pa.Table | ds.Dataset:
    tasks = list(scan.plan_files())
    now = scan.projection()
    renamed = earlier_names(table, now)
    if any(task.delete_files for task in tasks) or renamed is None or not isinstance(table.io, PyArrowFileIO):
        return scan.to_arrow()
    arrow = schema_to_pyarrow(now, include_field_ids=False)
    if not tasks:
        return arrow.empty_table()
    file_format = ds.ParquetFileFormat()
    fragments = [
        file_format.make_fragment(*_path(table.io, task), partition_expression=_bounds(now, task)) for task in tasks
    ]
    for name, earlier in renamed.items():
        for old in earlier:
            arrow = arrow.append(pa.field(old, arrow.field(name).type))
    return Files(fragments, arrow, renamed)


def earlier_names(table: Table, now: Schema) -> dict[str, list[str]] | None:
    """Other names that columns of today had, or have in other files; None if one is now the name of another column."""
    names = {field.field_id: field.name for field in now.fields}
    found: dict[str, set[str]] = {}
    for field in (field for other in table.schemas().values() for field in other.fields):
        if names.get(field.field_id, field.name) != field.name:
            found.setdefault(names[field.field_id], set()).add(field.name)
    taken = [name for earlier in found.values() for name in earlier]
    if set(taken) & set(names.values()) or len(taken) != len(set(taken)):
        return None
    return {name: sorted(earlier) for name, earlier in found.items()}


def _path(files: PyArrowFileIO, task: FileScanTask) -> tuple[str, Any]:
    """The data file's path, and the Arrow file system it is on."""
    scheme, netloc, path = files.parse_location(task.file.file_path, files.properties)
    return path, files.fs_by_scheme(scheme, netloc)


def _bounds(now: Schema, task: FileScanTask) -> pc.Expression:
    """What Iceberg knows of the file's values in the columns that are in every row: lowest <= value <= highest.

    Bounds of text may be cut short; they are bounds all the same.
    """
    known = pc.scalar(True)
    for field in now.fields:
        low, high = ((bounds or {}).get(field.field_id) for bounds in (task.file.lower_bounds, task.file.upper_bounds))
        if field.required and isinstance(field.field_type, BOUNDED) and low is not None and high is not None:
            lowest, highest = (_scalar(field.field_type, bound) for bound in (low, high))
            known = known & (pc.field(field.name) >= lowest) & (pc.field(field.name) <= highest)
    return known


def _scalar(kind: Any, bound: bytes) -> pa.Scalar:
    return pa.scalar(from_bytes(kind, bound), ARROW["timestamp"] if isinstance(kind, TimestamptzType) else pa.string())


def execute(sql: str, relations: Relations, *, database: str, limit: int | None = None) -> tuple[pa.Table, bool]:
    """Run a query in Athena's dialect on these tables: at most `limit` rows, and whether there were more."""
    return _execute(within(parse_query(sql), database), relations, limit)


def _execute(query: exp.Query, relations: Relations, limit: int | None) -> tuple[pa.Table, bool]:
    for comparison in times_as_text(query, {name: _times(relation) for name, relation in relations.items()}):
        raise Unanswered(
            f"Athena compares no time with a text: {comparison}", "write TIMESTAMP '2026-11-20 08:00:00 UTC'"
        )
    try:
        with duckdb.connect(config=CONFINED) as connection:
            connection.execute("SET TimeZone = 'UTC'").complete()
            connection.execute("SET integer_division = true").complete()
            for name, relation in relations.items():
                _register(connection, name, relation)
            return _first(connection.sql(to_duckdb(query)), limit)
    except duckdb.Error as error:
        unknown = unknown_names(query, _known(relations, tables_read(query)))
        raise Unanswered("\n".join(unknown) or f"DuckDB cannot run this: {error}") from error


def _times(relation: pa.Table | ds.Dataset) -> list[str]:
    return [field.name for field in relation.schema if pa.types.is_timestamp(field.type)]


def _register(connection: Any, name: str, relation: pa.Table | ds.Dataset) -> None:
    if not isinstance(relation, Files) or not relation.renamed:
        connection.register(name, relation)
        return
    connection.register(f"{name} in files", relation)
    earlier = _earlier(relation)
    columns = [
        f"coalesce({', '.join(map(_quoted, [column, *relation.renamed.get(column, ())]))}) AS {_quoted(column)}"
        for column in relation.schema.names
        if column not in earlier
    ]
    view = f"CREATE TEMP VIEW {_quoted(name)} AS SELECT {', '.join(columns)} FROM {_quoted(name + ' in files')}"
    connection.execute(view).complete()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _known(relations: Relations, names: Iterable[str]) -> dict[str, Sequence[str]]:
    """Columns by table, for advice; what Iceberg says about the tables is only offered where it was asked for."""
    tables = [table.name for table in schema.TABLES]
    about = [f"{table}${kind}" for table in tables for kind in ABOUT] if any("$" in name for name in names) else []
    hidden = {name for relation in relations.values() if isinstance(relation, Files) for name in _earlier(relation)}
    columns = {name: [n for n in relation.schema.names if n not in hidden] for name, relation in relations.items()}
    return {**{name: [] for name in [*tables, *about]}, **columns}


def _earlier(files: Files) -> list[str]:
    return [old for names in files.renamed.values() for old in names]


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
