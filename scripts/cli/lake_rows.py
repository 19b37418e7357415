"""Rows of the deployed lake, a day at a time: what an export reads, times as milliseconds since 1970."""

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import ALWAYS_TRUE
from pyiceberg.table import Table as IcebergTable
from telltale.adapters.lake import file_access, glue_catalog
from telltale.core import schema

from cli.deployment import Deployment

Row = dict[str, Any]
DAY_MS = 86_400_000
EPOCH = date(1970, 1, 1)


class LakeRows:
    """The tables as they are when each is first read: what is committed during an export is not half in it."""

    def __init__(self, catalog: Catalog, database: str) -> None:
        self._catalog, self._database = catalog, database
        self._tables: dict[str, IcebergTable | None] = {}

    @classmethod
    def of(cls, deployment: Deployment) -> "LakeRows":
        catalog = glue_catalog(deployment.client("glue"), file_access(deployment.environment))
        return cls(catalog, deployment.outputs["GlueDatabase"])

    def table(self, name: str) -> IcebergTable | None:
        """None where there was never anything to keep in it."""
        if name not in self._tables:
            try:
                self._tables[name] = self._catalog.load_table((self._database, name))
            except NoSuchTableError:
                self._tables[name] = None
        return self._tables[name]

    def days(self, tables: Collection[schema.Table], *, from_ms: float, to_ms: float) -> list[date]:
        """The days in that time of which any of them has rows, in order."""
        found: set[date] = set()
        for table in tables:
            iceberg = self.table(table.name)
            for task in iceberg.scan().plan_files() if iceberg is not None else ():
                day = task.file.partition[0]
                found.add(EPOCH + timedelta(days=day) if isinstance(day, int) else day)
        return sorted(day for day in found if from_ms < start_ms(day) + DAY_MS and start_ms(day) < to_ms)

    def read(self, table: schema.Table, columns: Sequence[str], *, from_ms: float, to_ms: float) -> list[Row]:
        """Rows of a time: `from_ms` is in it, `to_ms` is not."""
        iceberg = self.table(table.name)
        if iceberg is None or from_ms >= to_ms:
            return []
        bounds = [f"{table.day} >= '{_instant(from_ms)}'"] if from_ms > 0 else []
        bounds += [f"{table.day} < '{_instant(to_ms)}'"] if to_ms < float("inf") else []
        have = [name for name in columns if name in iceberg.schema().column_names]  # none gained since then
        scan = iceberg.scan(" and ".join(bounds) or ALWAYS_TRUE, selected_fields=tuple(have))
        rows: list[Row] = in_milliseconds(scan.to_arrow()).to_pylist()
        missing = dict.fromkeys(set(columns) - set(have))
        return [row | missing for row in rows] if missing else rows


def in_milliseconds(table: pa.Table) -> pa.Table:
    """The same with times as numbers."""
    columns = [
        pc.cast(column, pa.timestamp("ms", column.type.tz), safe=False).cast(pa.int64())
        if pa.types.is_timestamp(column.type)
        else column
        for column in table.columns
    ]
    return pa.table(columns, names=table.column_names)


def start_ms(day: date) -> int:
    return (day - EPOCH).days * DAY_MS


def _instant(t_ms: float) -> str:
    return datetime.fromtimestamp(t_ms / 1000, UTC).isoformat(timespec="milliseconds")
