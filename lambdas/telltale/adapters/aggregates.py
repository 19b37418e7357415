"""Daily aggregates: the days that changed are computed anew by the lake's engine, and replaced in one transaction.

An aggregate is a `.sql` file of `telltale/aggregates` in Athena's dialect and a table of core.schema with the same
columns. What a day's rows are depends on the rows of that day alone, so a day may be aggregated at any time and any
number of times. Who is killed in between has changed nothing, or has not cleared the mark yet.
"""

import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
from pyiceberg.table import Table as IcebergTable

from telltale.adapters import parquet
from telltale.adapters.answer import Engine
from telltale.adapters.changed_days import Change, ChangedDays
from telltale.adapters.lake import Lake
from telltale.adapters.receipts import NewFile
from telltale.adapters.rewrite import live_files, replace_files
from telltale.core import schema
from telltale.core.errors import RetryLater
from telltale.core.schema import Table

FOLDER = Path(__file__).parents[1] / "aggregates"
WHY, DAYS = "aggregation", "telltale.days"  # in the summary of the snapshot that replaced days
DAYS_AT_ONCE = (
    7  # consecutive ones: a query costs seconds, and ten megabytes at least, however few its days are. A guess
)
ATTEMPTS = 5  # of one replacement, when a compaction gets in between

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Aggregate:
    """One aggregate. `reads`: the tables in it, each of which takes two parameters.

    grows : counts that only grow, summed over `within`, as long as no raw rows are taken away.
    """

    table: Table
    reads: tuple[Table, ...]
    key: tuple[str, ...]
    within: tuple[str, ...]
    grows: tuple[str, ...]

    @property
    def sql(self) -> str:
        return _text(self.table.name)


@cache
def _text(name: str) -> str:
    return (FOLDER / f"{name}.sql").read_text()


POSITIONS = Aggregate(
    schema.POSITION_DAILY,
    reads=(
        schema.CAPTURES,
        schema.FEATURES_TABLE,
        schema.VERDICTS,
        schema.READINGS,
        schema.CASES,
        schema.LABELS,
    ),
    key=("t", "position"),
    within=("t", "position"),
    grows=("captures", "judged", "cases_opened", "cases_resolved", "readings", "sample_bytes"),
)
SITES = Aggregate(
    schema.SITE_DAILY,
    reads=(schema.POSITION_DAILY, schema.CAPTURES, schema.QUARANTINE, schema.WORK_ORDERS),
    key=("t", "site"),
    within=("t",),  # a rejected record may find its site later in the day
    grows=("orders_created", "rejected"),  # all else is counted from positions, and falls when one is erased
)
AGGREGATES = (POSITIONS, SITES)  # in this order: sites are counted from positions
SOURCES = frozenset(table.name for one in AGGREGATES for table in one.reads) - {one.table.name for one in AGGREGATES}


def parameters(aggregate: Aggregate, first: datetime, end: datetime) -> list[datetime]:
    """The values of the `?` in the aggregate's text, for the days from `first` until before `end`."""
    return [first, end] * len(aggregate.reads)


def days_of(files: Mapping[str, Iterable[str]]) -> set[str]:
    """The days that data files (keys `data/<table>/<day>/<name>`, by table) change an aggregate of."""
    return {key.split("/")[2] for name, keys in files.items() if name in SOURCES for key in keys}


@dataclass(frozen=True)
class Aggregated:
    """What a run did: days aggregated, and of them those that changed meanwhile; days left for the next run."""

    days: int
    again: int
    left: int


class Aggregator:
    """Aggregates one lake. `now_ms` tells the time."""

    def __init__(self, engine: Engine, lake: Lake, days: ChangedDays, *, now_ms: Callable[[], int]) -> None:
        self._engine, self._lake, self._days, self._now_ms = engine, lake, days, now_ms

    def run(self, *, enough_time: Callable[[], bool]) -> Aggregated:
        """Aggregate the days that wait, the latest first, while there is time; within `ChangedDays.alone`."""
        waiting = self._days.waiting()
        done = again = 0
        for changes in consecutive(waiting):
            if done and not enough_time():
                break
            started_ms = self._now_ms()
            for aggregate in AGGREGATES:
                self._renew(aggregate, [change.day for change in changes])
            cleared = [self._days.done(change, started_ms=started_ms) for change in changes]
            done += len(cleared)
            again += cleared.count(False)
        return Aggregated(done, again, len(waiting) - done)

    def _renew(self, aggregate: Aggregate, days: Sequence[str]) -> None:
        """Compute the rows of consecutive days, and replace the days that differ from what the table has."""
        first, end = _start(min(days)), _start(max(days)) + timedelta(days=1)
        found = self._engine.run(aggregate.sql, parameters(aggregate, first, end))
        rows = found.select(aggregate.table.names).cast(parquet.arrow_schema(aggregate.table))
        for _ in range(ATTEMPTS):
            if self._replace(aggregate, rows, first, end):
                return
        raise RetryLater(f"{aggregate.table.name}: its files of {days[-1]} to {days[0]} were replaced again and again")

    def _replace(self, aggregate: Aggregate, rows: pa.Table, first: datetime, end: datetime) -> bool:
        """Whether the table now says the same of these days; False: somebody else replaced files of theirs."""
        table = aggregate.table
        iceberg = self._lake.ensure(table)
        before = _read(iceberg, table, first, end)
        had, has = _by_day(aggregate, before), _by_day(aggregate, without_losses(aggregate, before, rows))
        days = sorted(day for day in {*had, *has} if had.get(day) != has.get(day))
        if not days:
            return True
        gone = [file.uri for file in live_files(iceberg) if file.day in days]
        changed = [row for day in days for row in has.get(day, [])]
        files = parquet.columnar_files(table, pa.Table.from_pylist(changed, parquet.arrow_schema(table)))
        new = [_upload(iceberg, file) for file in files]
        return replace_files(self._lake, table, gone, new, why=WHY, summary={DAYS: f"{days[0]}..{days[-1]}"})


def consecutive(changes: Sequence[Change]) -> list[list[Change]]:
    """The changes, latest first, in stretches of days without a gap, of at most `DAYS_AT_ONCE`."""
    stretches: list[list[Change]] = []
    for change in changes:
        last = stretches[-1] if stretches else []
        follows = last and date.fromisoformat(last[-1].day) - date.fromisoformat(change.day) == timedelta(days=1)
        if follows and len(last) < DAYS_AT_ONCE:
            last.append(change)
        else:
            stretches.append([change])
    return stretches


def without_losses(aggregate: Aggregate, before: pa.Table, now: pa.Table) -> pa.Table:
    """`now`, but rows from `before` wherever a count that only grows has fallen.

    Raw rows may be aged before their aggregates are. A late capture of such a day must not make its row forget the
    others; the row stays as it is then, without the late one.
    """
    had, has = _sums(aggregate, before), _sums(aggregate, now)
    fallen = {key for key, sums in had.items() if key not in has or any(map(operator.gt, sums, has[key]))}
    if not fallen:
        return now
    kept = [row for row in before.to_pylist() if _within(aggregate, row) in fallen]
    rows = [row for row in now.to_pylist() if _within(aggregate, row) not in fallen]
    return pa.Table.from_pylist(kept + rows, now.schema)


def _sums(aggregate: Aggregate, rows: pa.Table) -> dict[tuple[Any, ...], list[int]]:
    """The counts that only grow, summed over each of what they only grow within."""
    sums: dict[tuple[Any, ...], list[int]] = {}
    for row in rows.select([*aggregate.within, *aggregate.grows]).to_pylist():
        before = sums.get(_within(aggregate, row), [0] * len(aggregate.grows))
        sums[_within(aggregate, row)] = [a + row[name] for a, name in zip(before, aggregate.grows, strict=True)]
    return sums


def _within(aggregate: Aggregate, row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in aggregate.within)


def _read(iceberg: IcebergTable, table: Table, first: datetime, end: datetime) -> pa.Table:
    """The rows that the table has of these days."""
    of_days = f"{table.day} >= '{first.isoformat()}' and {table.day} < '{end.isoformat()}'"
    rows = iceberg.scan(row_filter=of_days, selected_fields=table.names).to_arrow()
    return rows.select(table.names).cast(parquet.arrow_schema(table))


def _by_day(aggregate: Aggregate, rows: pa.Table) -> dict[str, list[Row]]:
    """The rows of each day, in the order of their key."""
    days: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows.to_pylist(), key=itemgetter(*aggregate.key)):
        days[row[aggregate.table.day].date().isoformat()].append(row)
    return days


def _upload(iceberg: IcebergTable, file: NewFile) -> str:
    """Where the file is now. Under a name of its own: one that was the table's before may be about to be deleted."""
    uri = f"{iceberg.location()}/data/{file.day}/{uuid4().hex}.parquet"
    with iceberg.io.new_output(uri).create() as sink:
        sink.write(file.body)
    return uri


def _start(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), time(), UTC)
