"""Keeping the tables fit to read: few files, few manifests, few snapshots, and nothing stored that nobody needs.

For each table, one after the other, the one that has waited longest first:

  age         rows past their time leave the table (retention.py, where a plant asks for it)
  compact     many small files of a day become one, sorted (compaction.py, rewrite.py)
  merge       many small manifests become one
  thin        snapshots: all of the last hours, one an hour, one a day (snapshots.py)
  delete      files that only expired snapshots read, and orphans (unneeded.py)

Each step is one transaction on the table, or deletes what no snapshot names; so it may be killed anywhere, and the next
run goes on. Readers and the committer are not held up. A lease keeps two from doing the same work; nothing depends on
it.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table as IcebergTable

from telltale.adapters import snapshots
from telltale.adapters.compaction import GROUP_BYTES, groups
from telltale.adapters.lake import Lake
from telltale.adapters.lease import Lease
from telltale.adapters.parquet import day
from telltale.adapters.rewrite import (
    LiveFile,
    has_deletes,
    live_files,
    merge_manifests,
    replace_files,
    rewrite_rows,
)
from telltale.adapters.unneeded import Unneeded
from telltale.core.schema import Table

log = logging.getLogger(__name__)
LEASE, LEASE_MS = "maintain", 16 * 60_000  # longer than the function may run (15 min)
STATUS = "maintenance#"  # in the progress table, with the name of a table: how its last maintenance went
ATTEMPTS = 5  # to expire snapshots, when the committer gets in between

Group = Sequence[LiveFile]
Age = Callable[[Lake, Table], int]  # rows that are past their time leave the table: how many
Expire = Callable[[IcebergTable], Sequence[int]]  # ids of the snapshots to expire


class Failed(Exception):
    """Some tables could not be maintained; the message says which, and why."""


@dataclass(frozen=True)
class Maintained:
    """What was done to one table. `aged` in rows; `removed` and `orphans` are files that were deleted."""

    table: str
    files_before: int = 0
    files: int = 0
    bytes: int = 0
    rewritten: int = 0  # files, that became fewer
    aged: int = 0
    manifests_merged: bool = False
    expired: int = 0  # snapshots
    removed: int = 0
    orphans: int = 0
    problem: str = ""


@dataclass(frozen=True)
class LastMaintained:
    """When a table's last maintenance ended, and what it says of itself."""

    ended_ms: int
    problem: str


class Maintenance:
    """Maintains the tables of one lake. `owner` names this invocation; without `compact` an engine does that part."""

    def __init__(
        self,
        s3: Any,
        dynamodb: Any,
        lake: Lake,
        *,
        bucket: str,
        table: str,
        owner: str,
        now_ms: Callable[[], int],
        compact: bool = True,
        age: Age = lambda lake, table: 0,
    ) -> None:
        self._lake, self._now_ms = lake, now_ms
        self._unneeded = Unneeded(s3, bucket=bucket, now_ms=now_ms)
        self._lease = Lease(dynamodb, table=table, name=LEASE, owner=owner, lasts_ms=LEASE_MS, now_ms=now_ms)
        self._status = Status(dynamodb, table)
        self._compact, self._age = compact, age

    def run(self, tables: Iterable[Table], *, until_ms: int, spare_ms: int) -> list[Maintained]:
        """Maintain the tables, beginning no rewrite in the last `spare_ms` before `until_ms`: the next run goes on.

        Raises Busy when another one is at it, and Failed at the end if a table failed; the others are done then.
        """
        with self._lease:
            last = {table.name: self._status.of(table.name) for table in tables}
            waiting = sorted(tables, key=lambda table: known.ended_ms if (known := last[table.name]) else 0)
            begin_ms = until_ms - spare_ms
            done = [self._maintain(table, begin_ms) for table in waiting if self._now_ms() < begin_ms]
        problems = [f"{one.table}: {one.problem}" for one in done if one.problem]
        if problems:
            raise Failed("; ".join(problems))
        return [one for one in done if one.files_before or one.expired]

    def _maintain(self, table: Table, until_ms: int) -> Maintained:
        done = Maintained(table.name)
        try:
            for step in (self._rows, self._files, self._history):
                done = step(table, done, until_ms)
        except Exception as error:  # whatever it is, the other tables go on; it is raised when they are done
            log.exception("%s was not maintained", table.name)
            done = replace(done, problem=f"{type(error).__name__}: {error}"[:500])
        self._status.put(done, ended_ms=self._now_ms())
        return done

    def _rows(self, table: Table, done: Maintained, until_ms: int) -> Maintained:
        return replace(done, aged=self._age(self._lake, table)) if self._lake.find(table) else done

    def _files(self, table: Table, done: Maintained, until_ms: int) -> Maintained:
        iceberg = self._lake.find(table)
        if iceberg is None:
            return done
        files = live_files(iceberg)
        done = replace(done, files_before=len(files))
        if self._compact:
            rewritten = self._compacted(table, groups(files, today=day(self._now_ms())), until_ms)
            merged = merge_manifests(self._lake, table)
            files = live_files(self._lake.load(table))
            done = replace(done, rewritten=rewritten, manifests_merged=merged)
        return replace(done, files=len(files), bytes=sum(file.bytes for file in files))

    def _compacted(self, table: Table, wanted: Iterable[Group], until_ms: int) -> int:
        """Number of files that became fewer. Many small groups are swapped together: each swap is a snapshot."""
        gone = 0
        ready: list[tuple[Group, tuple[str, ...]]] = []
        for group in wanted:
            if self._now_ms() >= until_ms:
                break
            ready.append((group, self._rewritten(table, group)))
            if sum(file.bytes for of_one, _ in ready for file in of_one) >= GROUP_BYTES:
                gone += self._swap(table, ready)
                ready = []
        return gone + self._swap(table, ready)

    def _rewritten(self, table: Table, group: Group) -> tuple[str, ...]:
        """URIs of files that have the group's rows."""
        self._lease.hold()
        iceberg = self._lake.load(table)
        known = set(table.names)
        foreign = [field.name for field in iceberg.schema().fields if field.name not in known]
        if foreign:
            raise RuntimeError(f"columns {foreign} are not in this version's schema, and a rewrite would lose them")
        rewritten = rewrite_rows(self._lake, table, group)
        expected = sum(file.rows for file in group)
        if rewritten.rows != expected and not has_deletes(iceberg):
            raise RuntimeError(
                f"{len(group)} files have {expected} rows, {rewritten.rows} were written: left as they are"
            )
        return rewritten.uris

    def _swap(self, table: Table, ready: Sequence[tuple[Group, tuple[str, ...]]]) -> int:
        """Number of files that went; none of a group of which one was no longer there."""
        if not ready:
            return 0
        gone = [file.uri for group, _ in ready for file in group]
        new = [uri for _, uris in ready for uri in uris]
        if replace_files(self._lake, table, gone, new, why="compaction"):
            return len(gone)
        if len(ready) > 1:
            return sum(self._swap(table, [one]) for one in ready)
        self._unneeded.delete(new)
        return 0

    def _history(self, table: Table, done: Maintained, until_ms: int) -> Maintained:
        iceberg = self._lake.find(table)
        if iceberg is None:
            return done
        reach = snapshots.Reach()
        expired, removed = expire(self._lake, self._unneeded, table, self._thin, reach)
        removed += self._unneeded.delete_versions(table.name, lambda: snapshots.versions(self._lake.load(table)))
        last, orphans = self._status.of(table.name), 0
        if last is None or day(last.ended_ms) != day(self._now_ms()):  # once a day: it lists all files there are
            orphans = self._unneeded.delete_orphans(table.name, lambda: reach.of(self._lake.load(table)))
        return replace(done, expired=expired, removed=removed, orphans=orphans)

    def _thin(self, iceberg: IcebergTable) -> list[int]:
        named = {ref.snapshot_id for ref in iceberg.metadata.refs.values()}
        made_ms = {snapshot.snapshot_id: snapshot.timestamp_ms for snapshot in iceberg.snapshots()}
        return snapshots.to_expire(made_ms, named=named, now_ms=self._now_ms())


def expire(
    lake: Lake, unneeded: Unneeded, table: Table, choose: Expire, reach: snapshots.Reach | None = None
) -> tuple[int, int]:
    """Expire the snapshots that `choose` names and delete the files that only they read; how many of each.

    Killed in between, the files are orphans, which go when they are old enough.
    """
    reach = reach or snapshots.Reach()
    for attempt in range(1, ATTEMPTS + 1):
        iceberg = lake.load(table)
        ids = list(choose(iceberg))
        if not ids:
            return 0, 0
        needed = reach.of(iceberg)
        try:
            iceberg.maintenance.expire_snapshots().by_ids(ids).commit()
        except CommitFailedException:
            if attempt == ATTEMPTS:
                raise
        else:
            return len(ids), unneeded.delete(needed - reach.of(lake.load(table)))
    raise AssertionError("unreachable: the last attempt raises")


def all_but_current(iceberg: IcebergTable) -> list[int]:
    """Snapshots other than those that a branch or tag names: after an erase nothing may show what was erased."""
    named = {ref.snapshot_id for ref in iceberg.metadata.refs.values()}
    return [snapshot.snapshot_id for snapshot in iceberg.snapshots() if snapshot.snapshot_id not in named]


class Status:
    """How the last maintenance of each table went, in the progress table."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb, self._table = dynamodb, table

    def put(self, done: Maintained, *, ended_ms: int) -> None:
        values: Mapping[str, Any] = {
            "pk": {"S": f"{STATUS}{done.table}"},
            "ended_ms": {"N": str(ended_ms)},
            "problem": {"S": done.problem},
            **{
                name: {"N": str(int(value))} for name, value in asdict(done).items() if name not in {"table", "problem"}
            },
        }
        self._dynamodb.put_item(TableName=self._table, Item=values)

    def of(self, table: str) -> LastMaintained | None:
        """None: it never was maintained."""
        answer = self._dynamodb.get_item(TableName=self._table, Key={"pk": {"S": f"{STATUS}{table}"}})
        item = answer.get("Item")
        return LastMaintained(int(item["ended_ms"]["N"]), item["problem"]["S"]) if item else None
