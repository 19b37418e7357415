"""Erasing what belongs to a site, a position or a sensor: out of every table, its history and its files.

Unlike ageing (retention.py), nothing is left that shows it: once its rows are out of a table, all snapshots but the
current one are expired if any of them showed it, and the files that only they read are deleted. A record of who erased
what, and why, is put into `acts` before anything goes. Killed anywhere, it is started again and does what is left.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.table import Table as IcebergTable

from telltale.adapters import clearing, parquet
from telltale.adapters.clearing import Bounded, Cleared, Doomed, Fate, all_begin, may_begin
from telltale.adapters.lake import Lake
from telltale.adapters.maintenance import all_but_current, expire
from telltale.adapters.rewrite import replace_files
from telltale.adapters.unneeded import Unneeded
from telltale.core import schema
from telltale.core.plant import Plant
from telltale.core.retention import DAY_MS, day_number
from telltale.core.schema import Table

KIND = "erase"  # of the act
SITE, POSITION, SENSOR = "site", "position", "sensor"
PATHS = ("position", "asset", "site")
ROUNDS = 5  # of one table, when others rewrite its files meanwhile
MS = pa.timestamp("ms", tz="UTC")


class NotDone(Exception):
    """Another writer kept replacing the files of a table; the message says which."""


@dataclass(frozen=True)
class Subject:
    """What is erased: all rows of `kind` `name` whose time is before `before_ms`.

    gateways, seats : of the plant, to tell whose the rejected records are, which name no position. A seat is a sensor
    that sat at the position, from when until when (ms).
    """

    kind: str
    name: str
    before_ms: int
    gateways: frozenset[str] = frozenset()
    seats: tuple[tuple[str, int, int | None], ...] = ()

    @classmethod
    def of(cls, kind: str, name: str, plant: Plant, *, before_ms: int) -> "Subject":
        gateways = {gateway.id for gateway in plant.gateways.values() if kind == SITE and gateway.site == name}
        seats = [
            (sensor.id, seat.from_ms, seat.to_ms)
            for sensor in plant.sensors.values()
            for seat in sensor.assignments
            if kind == POSITION and seat.position == name
        ]
        return cls(kind, name, before_ms, frozenset(gateways), tuple(seats))

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Erased:
    """What was taken out of one table, or would be. snapshots : earlier ones that go with it; files : deleted."""

    rows: Cleared
    shown: bool  # by an earlier snapshot, or now
    snapshots: int = 0
    files: int = 0


@dataclass
class Eraser:
    """Erases one subject from one lake. `alive` is called often, to hold a lease for longer."""

    s3: Any
    bucket: str
    lake: Lake
    subject: Subject
    now_ms: Callable[[], int]
    alive: Callable[[], None] = lambda: None
    _captures: frozenset[str] | None = field(default=None, init=False)

    def plan(self) -> Iterator[Erased]:
        """What would go, of each table that has or had any of it; changes nothing."""
        for table, iceberg, doomed in self._tables():
            self.alive()
            rows = clearing.plan(table, iceberg, doomed)
            shown = bool(rows) or clearing.was_shown(iceberg, doomed)
            if shown:
                yield Erased(rows, shown, snapshots=len(all_but_current(iceberg)))

    def erase(self) -> Iterator[Erased]:
        """Takes it out of one table after the other, and tells of each."""
        unneeded = Unneeded(self.s3, bucket=self.bucket, now_ms=self.now_ms)
        for table, iceberg, doomed in self._tables():
            shown = clearing.was_shown(iceberg, doomed)
            rows = self._clear(table, doomed)
            if not rows and not shown:
                continue
            snapshots, files = expire(self.lake, unneeded, table, all_but_current)
            yield Erased(rows, True, snapshots, files)

    def _clear(self, table: Table, doomed: Doomed) -> Cleared:
        done = Cleared(table.name)
        for _ in range(ROUNDS):
            iceberg = self.lake.load(table)
            now = clearing.clear(self.lake, table, iceberg, doomed, why=KIND, enough_time=self._enough_time)
            done = _together(done, now)
            if now.complete:
                return done
        raise NotDone(f"{table.name}: others replaced its files {ROUNDS} times meanwhile")

    def _enough_time(self) -> bool:
        self.alive()
        return True

    def _tables(self) -> Iterator[tuple[Table, IcebergTable, Doomed]]:
        """Those that can have any of it. Verdicts first: what tells them from others goes later."""
        first = [schema.VERDICTS, *(table for table in schema.TABLES if table.name != schema.VERDICTS.name)]
        for table in first:
            iceberg = self.lake.find(table)
            doomed = None if iceberg is None else self._doomed(table)
            if iceberg is not None and doomed is not None:
                yield table, iceberg, doomed

    def _doomed(self, table: Table) -> Doomed | None:
        """None: no row of the table can be told to be of the subject."""
        subject, names = self.subject, table.names
        if subject.kind == SENSOR and table.name == schema.VERDICTS.name:
            return self._rows(table, ("position", "capture_id"), self._of_captures)
        if subject.kind in names:
            return self._rows(table, (subject.kind,), lambda rows: pc.equal(rows[subject.kind], subject.name))
        if subject.kind == SITE and "gateway" in names:
            here = pa.array(sorted(subject.gateways), pa.string())
            return self._rows(table, ("gateway",), lambda rows: pc.is_in(rows["gateway"], here))
        if subject.kind == POSITION and table.name == schema.QUARANTINE.name and subject.seats:
            return self._rows(table, ("sensor",), partial(_of_seats, subject.seats, table.day))
        return None

    def _rows(self, table: Table, columns: Sequence[str], of_it: Callable[[pa.Table], Any]) -> Doomed:
        more = ("kind",) if table.name == schema.ACTS.name else ()
        before = pa.scalar(self.subject.before_ms, MS)

        def of_rows(day: str, rows: pa.Table) -> pa.Array:
            goes = pc.and_(of_it(rows), pc.less(rows[table.day], before))
            if more:  # the record of an erase outlives the next one
                goes = pc.and_(goes, pc.not_equal(rows["kind"], KIND))
            return pc.fill_null(goes, False).combine_chunks()

        return Doomed((table.day, *columns, *more), partial(self._fate, table, bool(more)), of_rows)

    def _fate(self, table: Table, some_stay: bool, file: Bounded) -> Fate:
        subject = self.subject
        first_ms = day_number(file.day) * DAY_MS
        if first_ms >= subject.before_ms:
            return Fate.STAYS
        path = next((name for name in PATHS if name in table.sort and name in file.bounds), None)
        if path is None or subject.kind == SENSOR or subject.kind not in table.names:
            return Fate.PERHAPS
        ends, name = file.bounds[path], subject.name
        if path == "position" and subject.kind == POSITION:
            maybe, surely = ends[0] <= name <= ends[1], ends == (name, name)
        elif subject.kind == SITE:
            maybe, surely = may_begin(ends, name), ends == (name, name) or all_begin(ends, f"{name}/")
        else:
            return Fate.PERHAPS
        over = first_ms + DAY_MS <= subject.before_ms
        return Fate.GOES if surely and over and not some_stay else Fate.PERHAPS if maybe else Fate.STAYS

    # --- Verdicts name no sensor, but the captures that it took

    def _of_captures(self, rows: pa.Table) -> Any:
        known = pa.array(sorted(self._taken()), pa.string())
        return pc.is_in(_capture_keys(rows, schema.VERDICTS.day), known)

    def _taken(self) -> frozenset[str]:
        """The captures of the sensor, as keys; read once, before their rows go."""
        if self._captures is None:
            self._captures = frozenset(key for table in schema.TABLES for key in self._taken_by(table))
        return self._captures

    def _taken_by(self, table: Table) -> Iterator[str]:
        wanted = ("position", "capture_id", "sensor", table.day)
        iceberg = self.lake.find(table) if set(wanted) <= set(table.names) else None
        if iceberg is not None:
            where = f"sensor == '{self.subject.name}'"
            for batch in iceberg.scan(where, selected_fields=wanted).to_arrow_batch_reader():
                yield from _capture_keys(pa.Table.from_batches([batch]), table.day).to_pylist()


def _capture_keys(rows: pa.Table, day: str) -> Any:
    """Position, capture and time, which together name one capture: ids that sensors give may be the same."""
    parts = [rows["position"], rows["capture_id"], rows[day].cast(pa.timestamp("us")).cast(pa.int64())]
    return pc.binary_join_element_wise(*(part.cast(pa.string()) for part in parts), "\n")


def _of_seats(seats: Sequence[tuple[str, int, int | None]], day: str, rows: pa.Table) -> Any:
    goes = pa.array([False] * len(rows))
    for sensor, from_ms, to_ms in seats:
        here = pc.and_(pc.equal(rows["sensor"], sensor), pc.greater_equal(rows[day], pa.scalar(from_ms, MS)))
        if to_ms is not None:
            here = pc.and_(here, pc.less(rows[day], pa.scalar(to_ms, MS)))
        goes = pc.or_(goes, pc.fill_null(here, False))
    return goes


def _together(one: Cleared, other: Cleared) -> Cleared:
    days = sorted(day for day in (one.first_day, other.first_day, one.last_day, other.last_day) if day)
    return Cleared(
        one.table,
        rows=one.rows + other.rows,
        files=one.files + other.files,
        bytes=one.bytes + other.bytes,
        rewritten=one.rewritten + other.rewritten,
        first_day=days[0] if days else None,
        last_day=days[-1] if days else None,
        complete=other.complete,
    )


def record(
    s3: Any, bucket: str, lake: Lake, subject: Subject, plan: Iterable[Erased], *, t_ms: int, by: str, why: str
) -> None:
    """Puts the erase into `acts`, with what was found to go."""
    found = {one.rows.table: one.rows.rows for one in plan}
    detail = {"what": subject.kind, "name": subject.name, "before_ms": subject.before_ms, "rows": found}
    row: Mapping[str, Any] = {
        "position": "" if subject.kind == SENSOR else subject.name,
        "site": "" if subject.kind == SENSOR else subject.name.split("/")[0],
        "t": t_ms,
        "kind": KIND,
        "by": by,
        "why": why,
        "detail": json.dumps(detail, separators=(",", ":")),
    }
    [file] = parquet.files(schema.ACTS, [row])
    key = f"lake/{file.table}/data/{file.day}/erase-{t_ms}-{hashlib.sha256(file.body).hexdigest()[:16]}.parquet"
    s3.put_object(Bucket=bucket, Key=key, Body=file.body)
    replace_files(lake, schema.ACTS, [], [f"s3://{bucket}/{key}"], why=KIND, summary={"telltale.by": by})


def as_dict(erased: Erased) -> Mapping[str, Any]:
    """As plain values, for JSON."""
    return {**asdict(erased.rows), "snapshots": erased.snapshots, "deleted_files": erased.files}
