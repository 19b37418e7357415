"""Athena on AWS: start the query in the lake's workgroup, wait, read the rows in their own types."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import chain, islice
from typing import Any

import pyarrow as pa

from telltale.adapters.answer import Answer, Unanswered, literal

FIRST_PAUSE_S = 0.2  # between two looks at a running query; most end within a few seconds
LONGEST_PAUSE_S = 2.0
RUNNING = ("QUEUED", "RUNNING")


class AthenaSaid(Unanswered):
    """A query that Athena refused or gave up, in its own words."""

    def __init__(self, words: str) -> None:
        super().__init__(f"Athena: {words}")


@dataclass(frozen=True)
class Athena:
    """Athena in one workgroup, with one database for names that stand alone."""

    client: Any
    database: str
    workgroup: str

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        return self.answer(sql, parameters).table

    def answer(self, sql: str, parameters: Sequence[Any] = (), *, limit: int | None = None) -> Answer:
        """The answer to one statement; Athena stops working on it when this is interrupted."""
        query_id = self._start(sql, [literal(value) for value in parameters])
        try:
            execution = _finished(self.client, query_id)
        except BaseException:
            self.client.stop_query_execution(QueryExecutionId=query_id)
            raise
        if execution["Status"]["State"] != "SUCCEEDED":
            raise AthenaSaid(execution["Status"].get("StateChangeReason", "it gave no reason"))
        has_header = execution.get("StatementType") == "DML"
        table, more = _rows(self.client, query_id, limit, has_header=has_header)
        return Answer(table, more, "athena", scanned_bytes=execution.get("Statistics", {}).get("DataScannedInBytes"))

    def _start(self, sql: str, literals: Sequence[str]) -> str:
        given = {"ExecutionParameters": list(literals)} if literals else {}
        context = {"Database": self.database}
        try:
            started = self.client.start_query_execution(
                QueryString=sql, WorkGroup=self.workgroup, QueryExecutionContext=context, **given
            )
        except self.client.exceptions.InvalidRequestException as error:
            raise AthenaSaid(error.response["Error"]["Message"]) from error
        return str(started["QueryExecutionId"])


def _finished(client: Any, query_id: str) -> Mapping[str, Any]:
    pause = FIRST_PAUSE_S
    while True:
        execution = client.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
        if execution["Status"]["State"] not in RUNNING:
            return dict(execution)
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE_S)


def _rows(client: Any, query_id: str, limit: int | None, *, has_header: bool) -> tuple[pa.Table, bool]:
    """At most `limit` rows, and whether there were more; pages beyond them are not asked for."""
    pages = iter(client.get_paginator("get_query_results").paginate(QueryExecutionId=query_id))
    first = next(pages)
    columns = first["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
    rows = islice(_cells(chain([first], pages)), int(has_header), None)
    taken = list(rows if limit is None else islice(rows, limit + 1))
    return _table(columns, taken[:limit]), limit is not None and len(taken) > limit


def _cells(pages: Iterable[Any]) -> Iterator[list[str | None]]:
    for page in pages:
        for row in page["ResultSet"]["Rows"]:
            yield [cell.get("VarCharValue") for cell in row["Data"]]


def _table(columns: Sequence[Mapping[str, Any]], rows: Sequence[Sequence[str | None]]) -> pa.Table:
    """Athena sends text; the column's type says what it stands for. Arrays, maps and rows stay text."""
    arrays, fields = [], []
    for number, column in enumerate(columns):
        arrow, value_of = _type(column)
        cells = [row[number] for row in rows]
        arrays.append(pa.array([None if cell is None else value_of(cell) for cell in cells], arrow))
        fields.append(pa.field(column["Name"], arrow))
    return pa.table(arrays, schema=pa.schema(fields))


def _type(column: Mapping[str, Any]) -> tuple[pa.DataType, Callable[[str], Any]]:
    if column["Type"] == "decimal":
        return pa.decimal128(column["Precision"], column["Scale"]), Decimal
    return TYPES.get(column["Type"], (pa.string(), str))


def _instant(text: str) -> datetime:
    """`2026-11-20 08:00:00.000000 UTC` or the same without a zone: the lake's times are UTC."""
    return datetime.fromisoformat(text.removesuffix(" UTC")).replace(tzinfo=UTC)


TYPES: Mapping[str, tuple[pa.DataType, Callable[[str], Any]]] = {
    "boolean": (pa.bool_(), lambda text: text == "true"),
    "tinyint": (pa.int32(), int),
    "smallint": (pa.int32(), int),
    "integer": (pa.int32(), int),
    "bigint": (pa.int64(), int),
    "float": (pa.float32(), float),
    "real": (pa.float32(), float),
    "double": (pa.float64(), float),
    "date": (pa.date32(), date.fromisoformat),
    "timestamp": (pa.timestamp("us", "UTC"), _instant),
    "timestamp with time zone": (pa.timestamp("us", "UTC"), _instant),
    "varbinary": (pa.binary(), lambda text: bytes.fromhex(text.replace(" ", ""))),
}
