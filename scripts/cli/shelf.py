"""Rows of the lake read file by file, so that a file that was changed is named, and what it held is still looked at.

The functions name a data file after the SHA-256 of its bytes (adapters/receipts.py), so that any changed byte of it is
found for as long as nobody rewrites it; of a file that another engine wrote, a compaction say, only its rows can be
checked, by their digests (core.evidence).
"""

import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table as IcebergTable
from telltale.adapters.lake import file_access, glue_catalog
from telltale.adapters.parquet import ARROW
from telltale.adapters.receipts import Receipt
from telltale.core.schema import TABLES, Table

from cli.deployment import Deployment
from cli.tables import pending

NAMED = re.compile(r"-([0-9a-f]{16})\.parquet$")
DAMAGED = (pa.ArrowException, OSError, ValueError, MemoryError)  # what reading changed bytes ends in
OURS = "/data/"  # below the bucket; the committer's own files of `batches` are elsewhere, and not read here

Row = dict[str, Any]


@dataclass(frozen=True)
class File:
    """A data file. recorded, found : the first digits of the SHA-256 of its bytes; recorded is None where its name has
    none. problem : why its rows could not be read.
    """

    table: str
    path: str
    recorded: str | None
    found: str | None
    problem: str | None = None

    @property
    def is_changed(self) -> bool:
        return self.problem is not None or (self.recorded is not None and self.recorded != self.found)

    def __str__(self) -> str:
        digests = f"SHA-256 recorded {self.recorded}…, found {self.found}…"
        return f"{self.path} is not as it was written: {digests if self.found else 'it is gone'}" + (
            f"; it cannot be read ({self.problem})" if self.problem and self.found else ""
        )


@dataclass
class Shelf:
    """The lake's rows of a few captures, with every file that was opened for them."""

    deployment: Deployment
    files: dict[str, File] = field(default_factory=dict)
    _bodies: dict[str, pa.Table] = field(default_factory=dict)
    _pending: list[Receipt] | None = None

    def rows(self, table: Table, where: str, wanted: Mapping[str, Any], *, day: str | None = None) -> list[Row]:
        """Rows with these values, those on their way to the table too, times in ms since 1970, samples as arrays.

        where : which of the table's files can have them, as PyIceberg reads a filter.
        day : likewise of files on their way; None: any.
        """
        return [row for body in self._tables(table, where, day) for row in plain(_with(body, wanted))]

    def _tables(self, table: Table, where: str, day: str | None) -> Iterator[pa.Table]:
        waiting = self._waiting(table, day)  # first: a commit in between moves them to where is looked next
        opened = set()
        iceberg = self._load(table)
        if iceberg is not None:
            tasks = list(iceberg.scan(row_filter=where).plan_files())
            if any(task.delete_files for task in tasks):
                yield iceberg.scan(row_filter=where).to_arrow()  # rows were deleted one by one: the files have more
            else:
                for task in tasks:
                    opened.add(task.file.file_path)
                    yield from self._read(table, task.file.file_path, iceberg)
        for path in waiting:
            if path not in opened:
                yield from self._read(table, path, iceberg)

    def waiting_rows(self, name: str, positions: Sequence[str], columns: Sequence[str]) -> pa.Table | None:
        """Rows of these positions on their way to a table; None if there are none. For whole histories."""
        [table] = (one for one in TABLES if one.name == name)
        found = [body for path in self._waiting(table, None) for body in self._read(table, path, None)]
        found = [
            body.select([column for column in columns if column in body.schema.names]).filter(
                pc.is_in(body["position"], pa.array(positions))
            )
            for body in found
        ]
        return pa.concat_tables(found, promote_options="permissive") if found else None

    def _load(self, table: Table) -> IcebergTable | None:
        try:
            return self._catalog.load_table((self.deployment.outputs["GlueDatabase"], table.name))
        except NoSuchTableError:
            return None

    @property
    def _catalog(self) -> Catalog:
        return glue_catalog(self.deployment.client("glue"), file_access(self.deployment.environment))

    def _waiting(self, table: Table, day: str | None) -> list[str]:
        if self._pending is None:
            self._pending = pending(self.deployment)
        bucket = self.deployment.outputs["LakeBucket"]
        files = [file for receipt in self._pending for file in receipt.files]
        wanted = [file for file in files if file.table == table.name and day in (None, file.day)]
        return [f"s3://{bucket}/{file.key}" for file in wanted]

    def _read(self, table: Table, path: str, iceberg: IcebergTable | None) -> Iterator[pa.Table]:
        if path not in self.files:
            self._open(table, path, iceberg)
        if path in self._bodies:
            yield self._bodies[path]

    def _open(self, table: Table, path: str, iceberg: IcebergTable | None) -> None:
        named = NAMED.search(path)
        recorded = named[1] if named and OURS in path else None
        try:
            body = self._bytes(path, iceberg)
        except (OSError, self.deployment.client("s3").exceptions.ClientError) as error:
            self.files[path] = File(table.name, path, recorded, None, _told(error))
            return
        found = hashlib.sha256(body).hexdigest()[:16]
        rows, problem = _rows(table, body)
        if rows is not None:
            self._bodies[path] = rows
        self.files[path] = File(table.name, path, recorded, found, problem)

    def _bytes(self, path: str, iceberg: IcebergTable | None) -> bytes:
        bucket = f"s3://{self.deployment.outputs['LakeBucket']}/"
        if path.startswith(bucket):
            answer = self.deployment.client("s3").get_object(Bucket=bucket[5:-1], Key=path.removeprefix(bucket))
            return bytes(answer["Body"].read())
        if iceberg is None:
            raise OSError(f"{path} is outside the lake's bucket")
        with iceberg.io.new_input(path).open() as stream:
            return bytes(stream.read())


def _rows(table: Table, body: bytes) -> tuple[pa.Table | None, str | None]:
    """What can be read of a file, and why no more; None where a column is missing that each row has to have."""
    rows: pa.Table | None
    problem: str | None = None
    try:
        rows = pq.read_table(io.BytesIO(body))
    except DAMAGED as error:
        rows, problem = _readable(table, body, _told(error))
    unlike = None if rows is None else _unlike(table, rows)
    return (None, problem or unlike) if unlike else (rows, problem)


def _readable(table: Table, body: bytes, problem: str) -> tuple[pa.Table | None, str]:
    """The columns that can be read each by itself, and the names of those that cannot."""
    good, bad = [], []
    for name in table.names:
        try:
            part = pq.read_table(io.BytesIO(body), columns=[name])
        except DAMAGED:
            bad.append(name)
        else:
            good += [part] if part.num_columns else []
    if not good or len({part.num_rows for part in good}) > 1:
        return None, problem
    rows = pa.table({part.schema.names[0]: part.column(0) for part in good})
    return rows, f"columns {', '.join(bad)}: {problem}" if bad else problem


def _unlike(table: Table, rows: pa.Table) -> str | None:
    """Why these cannot be rows of the table; None where they can. Columns that came later may be missing."""
    wanted = {column.name: column for column in table.columns}
    for name, column in wanted.items():
        if name not in rows.schema.names:
            if column.required:
                return f"it has no column {name}"
            continue
        kind = rows.schema.field(name).type
        if _plainly(kind) != _plainly(ARROW[column.type]) or (column.required and rows[name].null_count):
            return f"its column {name} is not as it was"
    return None


def _plainly(kind: pa.DataType) -> str:
    return "list" if pa.types.is_list(kind) or pa.types.is_large_list(kind) else str(kind).removeprefix("large_")


def at(position: str, t_ms: float) -> str:
    """The filter for rows of a position at one time."""
    when = datetime.fromtimestamp(t_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return f"position = '{position}' and t = '{when}'"


def _with(table: pa.Table, wanted: Mapping[str, Any]) -> pa.Table:
    for name, value in wanted.items():
        table = table.filter(pc.equal(table[name], value))
    return table


def plain(table: pa.Table) -> list[Row]:
    """Rows of a table, times in ms since 1970, samples as arrays; texts that are none any more with a mark in them."""
    columns: dict[str, list[Any]] = {}
    for name in table.schema.names:
        column, kind = table[name], table.schema.field(name).type
        if pa.types.is_timestamp(kind):
            columns[name] = [None if us is None else _ms(us) for us in column.cast(pa.int64()).to_pylist()]
        elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
            columns[name] = [value.values.to_numpy(zero_copy_only=False) for value in column]
        elif pa.types.is_string(kind):  # a changed byte may leave none that can be decoded
            columns[name] = [_text(value) for value in column.cast(pa.binary()).to_pylist()]
        else:
            columns[name] = column.to_pylist()
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")


def _ms(us: int) -> float:
    """Whole, unless a microsecond was changed."""
    return us // 1000 if us % 1000 == 0 else us / 1000


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
