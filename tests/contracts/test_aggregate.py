"""Aggregates follow the lake: late rows, kills at every step, commits and compactions in between, raw rows that age."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from telltale.adapters import parquet
from telltale.adapters.aggregates import Aggregated, Aggregator
from telltale.adapters.answer import Answer, Engine
from telltale.adapters.changed_days import ChangedDays
from telltale.adapters.duck import Duck
from telltale.adapters.lake import Lake
from telltale.adapters.lease import Busy
from telltale.adapters.rewrite import live_files, replace_files, rewrite_rows
from telltale.core import schema
from telltale.core.schema import Table

from tests.contracts.killing import Interrupt, Interrupted, Killed, killed_at, once_at
from tests.contracts.test_commit import CHANGES, LONG_MS, NOW, Place

DAY_MS = 86_400_000
MIDNIGHT = NOW // DAY_MS * DAY_MS
STEPS = 18  # at least, of the calls that a run of one day makes, before and after each


class Works(Place):
    """A lake whose days are aggregated by DuckDB; the aggregation may be interrupted."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint)
        self.now_ms = MIDNIGHT + 2 * DAY_MS  # what is published below is of days that are over
        self.published = 0

    def lake(self, interrupt: Interrupt = lambda when, call: None) -> Lake:
        return LoadedLake(self.catalog, self.database, f"s3://{self.bucket}/lake", interrupt)

    def days(self, interrupt: Interrupt = lambda when, call: None) -> ChangedDays:
        return ChangedDays(Interrupted(self.dynamodb, interrupt), self.table, now_ms=self._tick)

    def aggregate(self, owner: str = "one", interrupt: Interrupt = lambda when, call: None) -> Aggregated:
        engine, days = Asked(Duck(self.catalog, self.database), interrupt), self.days(interrupt)
        aggregator = Aggregator(engine, self.lake(interrupt), days, now_ms=self._tick)
        with days.alone(owner):
            return aggregator.run(enough_time=lambda: True)

    def capture(self, n: int, *, day: int = 0, position: str = "a/b/c/d", **commit: Any) -> None:
        """Publish the capture number n of a day, and commit it."""
        t_ms = MIDNIGHT + day * DAY_MS + n * 60_000
        row = {"capture_id": f"c-{t_ms}", "part": "s", "position": position, "site": "a", "sensor": "s", "gateway": "g"}
        self.published += 1
        self.publish_row(self.published, schema.CAPTURES, row | {"t": t_ms, "received_at": t_ms, "record_id": str(n)})
        self.commit(**commit)

    def captures(self) -> list[tuple[str, int]]:
        """Position and captures of each row, by day and position."""
        rows = sorted(self.rows("position_daily"), key=lambda row: (row["t"], row["position"]))
        return [(row["position"], row["captures"]) for row in rows]

    def snapshots(self, name: str) -> int:
        return len(self.catalog.load_table((self.database, name)).snapshots())


class LoadedLake(Lake):
    """A lake that may be interrupted whenever it loads a table: before anything is read, and before it is replaced."""

    def __init__(self, catalog: Any, database: str, location: str, interrupt: Interrupt) -> None:
        super().__init__(catalog, database=database, location=location)
        self._interrupt = interrupt

    def ensure(self, table: Table) -> Any:
        self._interrupt("before", "ensure")
        loaded = super().ensure(table)
        self._interrupt("after", "ensure")
        return loaded


class Asked(Engine):
    def __init__(self, engine: Engine, interrupt: Interrupt) -> None:
        self._engine, self._interrupt = engine, interrupt

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        self._interrupt("before", "run")
        found = self._engine.run(sql, parameters)
        self._interrupt("after", "run")
        return found

    def answer(self, sql: str, parameters: Sequence[Any] = (), *, limit: int | None = None) -> Answer:
        raise NotImplementedError("an aggregation wants all rows")


@pytest.fixture
def place(ministack: str) -> Works:
    return Works(ministack)


def test_what_is_committed_shows_in_the_days_of_its_position_and_its_site(place: Works) -> None:
    place.capture(0)
    place.capture(1)
    place.capture(0, position="a/b/c/e")

    done = place.aggregate()

    assert done == Aggregated(days=1, again=0, left=0)
    assert place.captures() == [("a/b/c/d", 2), ("a/b/c/e", 1)]
    assert [(row["site"], row["captures"], row["positions_heard"]) for row in place.rows("site_daily")] == [("a", 3, 2)]


def test_what_has_not_changed_is_not_aggregated_again(place: Works) -> None:
    place.capture(0)
    place.aggregate()

    assert place.aggregate() == Aggregated(days=0, again=0, left=0)


def test_aggregating_a_day_again_that_is_the_same_leaves_no_snapshot(place: Works) -> None:
    place.capture(0)
    place.aggregate()
    place.days().mark(["2026-09-21"], 1)

    assert place.aggregate().days == 1
    assert (place.snapshots("position_daily"), place.snapshots("site_daily")) == (1, 1)


def test_a_late_capture_changes_its_day_and_no_other(place: Works) -> None:
    for day in (0, -1, -3):
        place.capture(0, day=day)
    place.aggregate()
    before = {file.uri: file.day for file in live_files(place.lake().ensure(schema.POSITION_DAILY))}
    place.capture(1, day=-1)

    done = place.aggregate()

    after = {file.uri: file.day for file in live_files(place.lake().ensure(schema.POSITION_DAILY))}
    assert done.days == 1
    assert place.captures() == [("a/b/c/d", 1), ("a/b/c/d", 2), ("a/b/c/d", 1)]
    assert {before[uri] for uri in before.keys() - after.keys()} == {"2026-09-20"}


def test_days_that_time_does_not_reach_are_left_for_the_next_run(place: Works) -> None:
    place.capture(0)
    place.capture(0, day=-9)
    engine = Duck(place.catalog, place.database)
    aggregator = Aggregator(engine, place.lake(), place.days(), now_ms=place.days()._now_ms)

    done = [aggregator.run(enough_time=lambda: False) for _ in range(3)]

    assert [(one.days, one.left) for one in done] == [(1, 1), (1, 0), (0, 0)]
    assert place.captures() == [("a/b/c/d", 1), ("a/b/c/d", 1)]


def test_an_aggregation_killed_at_any_step_is_made_good_by_the_next(place: Works) -> None:
    """One lake lives through a kill before the first step, then before the second, … until a run gets through."""
    captured, moment, killed = 0, 0, True
    while killed:
        place.capture(captured)
        captured += 1
        try:
            place.aggregate("killed", killed_at(moment))
            killed = False
        except Killed:
            place.now_ms += LONG_MS * 4  # its lease runs out
        place.aggregate("next")

        assert place.captures() == [("a/b/c/d", captured)], f"killed at {moment}"
        assert [row["captures"] for row in place.rows("site_daily")] == [captured]
        moment += 2

    assert moment > STEPS


@pytest.mark.parametrize("moment", range(1, STEPS, 4))
def test_a_commit_in_between_is_aggregated_now_or_next_time(place: Works, moment: int) -> None:
    place.capture(0)

    place.aggregate(interrupt=once_at(moment, lambda: place.capture(1)))
    place.aggregate()

    assert place.captures() == [("a/b/c/d", 2)]
    assert place.days().waiting() == []


@pytest.mark.parametrize("moment", range(6, 2 * CHANGES, 4))
def test_an_aggregation_in_the_middle_of_a_commit_does_not_make_its_rows_forgotten(place: Works, moment: int) -> None:
    reached = []

    def aggregate() -> None:
        place.aggregate()
        reached.append(True)

    place.capture(0, interrupt=once_at(moment, aggregate))
    place.aggregate()

    assert reached
    assert place.captures() == [("a/b/c/d", 1)]


@pytest.mark.parametrize("moment", range(5, STEPS, 4))
def test_a_compaction_in_between_leaves_each_row_once(place: Works, moment: int) -> None:
    place.capture(0)
    place.aggregate()
    place.capture(1)

    def compact() -> None:
        lake = place.lake()
        files = live_files(lake.ensure(schema.POSITION_DAILY))
        new = rewrite_rows(lake, schema.POSITION_DAILY, files).uris
        replace_files(lake, schema.POSITION_DAILY, [file.uri for file in files], new, why="compaction")

    place.aggregate(interrupt=once_at(moment, compact))

    assert place.captures() == [("a/b/c/d", 2)]


def test_two_never_aggregate_at_a_time(place: Works) -> None:
    place.capture(0)
    turned_away = []

    def second() -> None:
        with suppress(Busy):
            place.aggregate("two")
            return
        turned_away.append(True)

    place.aggregate(interrupt=once_at(7, second))

    assert turned_away
    assert place.captures() == [("a/b/c/d", 1)]


def test_a_late_capture_of_a_day_whose_raw_rows_were_aged_makes_it_forget_nothing(place: Works) -> None:
    for n in range(3):
        place.capture(n)
    place.capture(0, position="a/b/c/e", day=-1)
    place.aggregate()
    lake = place.lake()
    aged = [file.uri for file in live_files(lake.ensure(schema.CAPTURES)) if file.day == "2026-09-21"]
    replace_files(lake, schema.CAPTURES, aged, [], why="retention")
    place.capture(7)
    place.capture(0, position="a/b/c/f")

    place.aggregate()

    assert place.captures() == [("a/b/c/e", 1), ("a/b/c/d", 3), ("a/b/c/f", 1)]
    assert sorted(row["captures"] for row in place.rows("site_daily")) == [1, 4]


def test_columns_that_came_later_are_added_to_the_table_and_days_of_before_read_null(place: Works) -> None:
    later = ("messages", "gateway", "battery_pct", "rssi_dbm")
    before = replace(
        schema.POSITION_DAILY, columns=tuple(one for one in schema.POSITION_DAILY.columns if one.name not in later)
    )
    place.capture(0)
    place.aggregate()
    [old] = [{name: row[name] for name in before.names} for row in place.rows("position_daily")]
    lake = place.lake()
    place.catalog.drop_table((place.database, "position_daily"))
    iceberg = lake.ensure(before)
    [file] = parquet.columnar_files(before, pa.Table.from_pylist([old | {"judged": 1}], parquet.arrow_schema(before)))
    uri = f"{iceberg.location()}/data/{file.day}/before.parquet"
    with iceberg.io.new_output(uri).create() as sink:
        sink.write(file.body)
    replace_files(lake, before, [], [uri], why="aggregation")
    place.capture(0, day=-1)

    place.aggregate()

    rows = sorted(place.rows("position_daily"), key=lambda row: row["t"])
    assert [tuple(row[name] for name in later) for row in rows] == [(1, "g", None, None), (None, None, None, None)]
    sql = "SELECT sum(captures) AS captures, sum(coalesce(messages, captures)) AS messages FROM position_daily"
    assert Duck(place.catalog, place.database).run(sql).to_pylist() == [{"captures": 2, "messages": 2}]
