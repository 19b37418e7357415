"""Maintained tables have the rows they had, whatever is killed and whoever commits in between."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table.update.snapshot import ExpireSnapshots
from telltale.adapters import maintenance, rewrite
from telltale.adapters.duck import Duck
from telltale.adapters.lake import Lake
from telltale.adapters.lease import Busy
from telltale.adapters.maintenance import LEASE_MS, Failed, Maintained, Maintenance, all_but_current, expire
from telltale.adapters.receipts import DECIDED
from telltale.adapters.snapshots import ALL_MS, DAILY_MS, DAY_MS
from telltale.adapters.unneeded import METADATA_MS, ORPHAN_MS, Unneeded
from telltale.core import schema
from telltale.core.schema import Table

from tests.contracts.killing import Interrupt, Interrupted, Killed, killed_at, once_at
from tests.contracts.test_commit import Place as Commits
from tests.contracts.test_lake import T, reading

READINGS, BATCHES = schema.READINGS, schema.BATCHES
LONG_MS = 900_000
CHANGES = 6  # of one table, at least: lease, lease again, swap, expiry, deletion, status, release


class Place(Commits):
    """A lake of its own whose readings are of one past day, with a clock that can be put forward."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint)
        self.now_ms = int(datetime.now(UTC).timestamp() * 1000)  # of the snapshots and of S3, which have no other clock

    def maintenance(self, owner: str = "m", interrupt: Interrupt = lambda when, call: None) -> Maintenance:
        return Maintenance(
            Interrupted(self.s3, interrupt),
            Interrupted(self.dynamodb, interrupt),
            MaintainedLake(self.catalog, self.database, f"s3://{self.bucket}/lake", interrupt),
            bucket=self.bucket,
            table=self.table,
            owner=owner,
            now_ms=self._tick,
        )

    def maintain(self, *tables: Table, **how: Any) -> list[Maintained]:
        return self.maintenance(**how).run(tables or (READINGS, BATCHES), until_ms=self.now_ms + LONG_MS, spare_ms=1000)

    def commit_each(self, *numbers: int) -> None:
        """A commit for each reading."""
        for n in numbers:
            self.publish(n)
            self.commit(owner=f"c{n}")

    def iceberg(self, table: Table = READINGS) -> Any:
        return self.catalog.load_table((self.database, table.name))

    def files(self) -> list[str]:
        return [file.uri for file in rewrite.live_files(self.iceberg())]

    def at(self, t_ms: int) -> list[float]:
        """The readings that `--at` shows."""
        when = datetime.fromtimestamp(t_ms / 1000, UTC).isoformat(sep=" ", timespec="milliseconds")
        sql = f"SELECT value FROM readings FOR TIMESTAMP AS OF TIMESTAMP '{when[:23]} UTC' ORDER BY value"
        found: list[float] = Duck(self.catalog, self.database).run(sql)["value"].to_pylist()
        return found


class MaintainedLake(Lake):
    """Asks before and after each load of a table, of which every step makes one."""

    def __init__(self, catalog: Catalog, database: str, location: str, interrupt: Interrupt) -> None:
        super().__init__(catalog, database=database, location=location)
        self._interrupt = interrupt

    def load(self, table: Table) -> Any:
        self._interrupt("before", "load")
        return super().load(table)

    def ensure(self, table: Table) -> Any:
        self._interrupt("before", "ensure")
        return super().ensure(table)


@pytest.fixture
def place(ministack: str) -> Place:
    return Place(ministack)


@pytest.fixture
def swaps(monkeypatch: pytest.MonkeyPatch) -> list[Interrupt]:
    """What is asked before and after the transactions that swap files and expire snapshots."""
    asked: list[Interrupt] = []
    swap, let_go = rewrite._replace, ExpireSnapshots.commit

    def interrupted(*args: Any) -> None:
        for interrupt in asked:
            interrupt("before", "replace")
        swap(*args)
        for interrupt in asked:
            interrupt("after", "replace")

    def interrupted_expiry(self: ExpireSnapshots) -> None:
        for interrupt in asked:
            interrupt("before", "expire")
        let_go(self)
        for interrupt in asked:
            interrupt("after", "expire")

    monkeypatch.setattr(ExpireSnapshots, "commit", interrupted_expiry)
    monkeypatch.setattr(rewrite, "_replace", interrupted)
    monkeypatch.setattr(rewrite, "WAIT_S", 0)
    return asked


def test_small_files_become_one_and_the_rows_stay(place: Place) -> None:
    place.commit_each(1, 2, 3)

    done = place.maintain(READINGS)

    assert [(one.table, one.files_before, one.files, one.rewritten) for one in done] == [("readings", 3, 1, 3)]
    assert place.values() == [1.0, 2.0, 3.0]


def on_days(place: Place, *numbers: int) -> None:
    """Two commits for each reading's day: of the reading and of another one ten later."""
    for n in (*numbers, *(n + 10 for n in numbers)):
        place.publish_row(n, READINGS, reading(n, T + n % 10 * DAY_MS))
        place.commit(owner=f"c{n}")


def test_many_days_are_swapped_in_one_transaction(place: Place) -> None:
    on_days(place, 1, 2, 3)

    [done] = place.maintain(READINGS)

    assert (done.files_before, done.files, done.rewritten) == (6, 3, 6)
    assert len(place.iceberg().snapshots()) == 6 + 1
    assert place.values() == [1.0, 2.0, 3.0, 11.0, 12.0, 13.0]


def test_a_day_that_somebody_else_rewrote_meanwhile_is_left_and_the_others_are_done(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_days(place, 1, 2)
    lake = Lake(place.catalog, database=place.database, location=f"s3://{place.bucket}/lake")
    first = [file for file in rewrite.live_files(place.iceberg()) if file.day == "2026-09-22"]
    new = rewrite.rewrite_rows(lake, READINGS, first).uris
    replace_files, meanwhile = rewrite.replace_files, [True]

    def late(*args: Any, **named: Any) -> bool:
        if meanwhile and meanwhile.pop():
            replace_files(lake, READINGS, [file.uri for file in first], new, why="compaction")
        return replace_files(*args, **named)

    monkeypatch.setattr(maintenance, "replace_files", late)
    [done] = place.maintain(READINGS)

    assert (done.rewritten, done.files) == (2, 2)
    assert place.values() == [1.0, 2.0, 11.0, 12.0]


def test_a_table_that_is_not_there_is_left_alone(place: Place) -> None:
    assert place.maintain(READINGS) == []


def test_the_next_maintenance_has_nothing_to_do(place: Place) -> None:
    place.commit_each(1, 2)
    place.maintain(READINGS)
    before = place.iceberg().metadata_location

    [done] = place.maintain(READINGS)

    assert (done.rewritten, done.expired, done.removed, done.orphans) == (0, 0, 0, 0)
    assert place.iceberg().metadata_location == before


def test_commits_go_on_after_a_maintenance_exactly_once(place: Place) -> None:
    place.commit_each(1, 2)
    receipt = place.publish(3)
    place.maintain()
    place.commit()
    place.republish(receipt)
    place.commit()
    place.maintain()

    assert place.values() == [1.0, 2.0, 3.0]


def test_snapshots_are_thinned_and_what_only_they_read_is_deleted(place: Place) -> None:
    place.commit_each(1, 2, 3)
    small = place.files()
    place.maintain(READINGS)
    place.now_ms += 2 * DAILY_MS

    [done] = place.maintain(READINGS)

    assert done.expired >= 3
    assert done.removed > 3
    assert len(place.iceberg().snapshots()) == 1
    assert place.values() == [1.0, 2.0, 3.0]
    kept = {f"s3://{place.bucket}/{key}" for key in place.keys("data/readings/")}
    assert kept.isdisjoint(small)


def test_within_its_hours_every_moment_can_be_read_again(place: Place) -> None:
    moments = []
    for n in (1, 2, 3):
        place.commit_each(n)
        moments.append(place.iceberg().current_snapshot().timestamp_ms)
    place.maintain(READINGS)

    assert [place.at(moment) for moment in moments] == [[1.0], [1.0, 2.0], [1.0, 2.0, 3.0]]


def test_later_the_last_of_the_hour_answers_for_it(place: Place) -> None:
    place.commit_each(1, 2, 3)
    place.maintain(READINGS)
    last = place.iceberg().current_snapshot().timestamp_ms
    place.now_ms += ALL_MS + 3_600_000

    place.maintain(READINGS)

    assert len(place.iceberg().snapshots()) < 3  # of four; the hour may have changed meanwhile
    assert place.at(last) == [1.0, 2.0, 3.0]


def test_an_orphan_goes_when_nobody_can_name_it_any_more(place: Place) -> None:
    place.commit_each(1)
    place.s3.put_object(Bucket=place.bucket, Key="data/readings/2026-09-21/orphan.parquet", Body=b"x")
    [early] = place.maintain(READINGS)
    place.now_ms += ORPHAN_MS + DAY_MS

    [late] = place.maintain(READINGS)

    assert (early.orphans, late.orphans > 0) == (0, True)
    assert "data/readings/2026-09-21/orphan.parquet" not in place.keys("data/")
    assert place.values() == [1.0]


@pytest.mark.parametrize("where", ["decided", "pending", "plan"])
def test_what_is_under_way_is_never_an_orphan_however_old(place: Place, where: str) -> None:
    place.commit_each(1)
    receipt = place.publish(2)
    if where == "decided":
        place.s3.put_object(Bucket=place.bucket, Key=f"{DECIDED}{receipt.batch_id}-x.json", Body=receipt.to_json())
        place.s3.delete_object(Bucket=place.bucket, Key=f"receipts/pending/{receipt.batch_id}.json")
    if where == "plan":
        with suppress(Killed):
            place.commit(owner="killed", interrupt=_killed_before("add"))
    place.now_ms += ORPHAN_MS + DAY_MS

    place.maintain()

    if where == "decided":
        place.republish(receipt)
    place.commit(owner="next")
    assert place.values() == [1.0, 2.0]


def test_a_file_that_is_uploaded_again_at_the_last_moment_stays(place: Place) -> None:
    place.commit_each(1)
    key = "data/readings/2026-09-21/again.parquet"
    place.s3.put_object(Bucket=place.bucket, Key=key, Body=b"x")
    place.now_ms += ORPHAN_MS + DAY_MS
    unneeded = Unneeded(place.s3, bucket=place.bucket, now_ms=lambda: place.now_ms)
    listed = unneeded.stored

    def listed_then_uploaded(table: str) -> Any:
        found = [file for file in listed(table) if file.key != key]
        again = [file for file in listed(table) if file.key == key]
        return [*found, *(type(file)(file.key, file.changed_ms - 60_000, file.bytes) for file in again)]

    unneeded.stored = listed_then_uploaded  # type: ignore[method-assign]
    needed = {f"s3://{place.bucket}/{file}" for file in place.keys("") if file != key}

    assert unneeded.delete_orphans("readings", lambda: needed) == 0
    assert key in place.keys("data/")


def test_versions_of_the_metadata_do_not_pile_up(place: Place) -> None:
    place.commit_each(*range(25))
    place.now_ms += METADATA_MS + 60_000

    place.maintain(READINGS)

    versions = [key for key in place.keys("lake/readings/metadata/") if key.endswith(".metadata.json")]
    assert len(versions) <= 22
    assert place.values() == [float(n) for n in range(25)]


def test_a_maintenance_killed_at_any_step_loses_and_doubles_nothing(place: Place, swaps: list[Interrupt]) -> None:
    """One lake lives through a kill before the first change, the second, … until a maintenance gets through."""
    published, moment, killed = 0, 0, True
    while killed:
        place.commit_each(published + 1, published + 2)
        published += 2
        kill = _killed_before_change(moment)
        swaps[:] = [kill]
        try:
            place.maintain(READINGS, owner="killed", interrupt=kill)
            killed = False
        except Killed:
            place.now_ms += LEASE_MS + 1
        swaps.clear()
        assert place.values() == [float(n) for n in range(1, published + 1)], f"killed at {moment}"
        place.now_ms += ALL_MS + 3_600_000
        moment += 1

    assert moment > CHANGES
    place.maintain(owner="next")
    assert place.values() == [float(n) for n in range(1, published + 1)]
    assert len(place.files()) == 1
    batches = [row["batch_id"] for row in place.rows("batches")]
    assert len(batches) == len(set(batches)) == published


@pytest.mark.parametrize("moment", range(0, 24, 3))
def test_commits_in_the_middle_of_a_maintenance_are_kept(place: Place, swaps: list[Interrupt], moment: int) -> None:
    place.commit_each(1, 2, 3)
    place.now_ms += ALL_MS + 3_600_000
    seen: list[list[float]] = []

    def commit() -> None:
        seen.append(place.values())
        place.commit_each(4)
        seen.append(place.values())

    between = once_at(moment, commit)
    swaps[:] = [between]
    place.maintain(interrupt=between)
    swaps.clear()

    if seen:
        assert seen == [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0]]
    else:
        commit()
    assert place.values() == [1.0, 2.0, 3.0, 4.0]


def test_a_maintenance_in_the_middle_of_a_commit_changes_nothing_of_it(place: Place) -> None:
    def maintain() -> None:
        place.maintain(owner="m")

    place.commit_each(1, 2)
    for moment in range(0, 24, 8):
        place.publish(10 + moment)
        place.commit(owner="c", interrupt=once_at(moment, maintain))
        place.commit(owner="c")

    assert place.values() == [1.0, 2.0, *(float(10 + moment) for moment in range(0, 24, 8))]


def test_while_one_maintains_another_is_turned_away(place: Place, swaps: list[Interrupt]) -> None:
    place.commit_each(1, 2)
    turned_away = []

    def second() -> None:
        with pytest.raises(Busy):
            place.maintain(owner="two")
        turned_away.append(True)

    swaps[:] = [once_at(0, second)]
    place.maintain(owner="one")

    assert turned_away


def test_one_that_wakes_up_after_its_lease_replaces_nothing_twice(place: Place, swaps: list[Interrupt]) -> None:
    place.commit_each(1, 2, 3)

    def sleep() -> None:
        swaps.clear()
        place.now_ms += LEASE_MS + 1000
        place.maintain(READINGS, owner="two")
        place.commit_each(4)

    swaps[:] = [once_at(0, sleep)]
    with suppress(Busy, Failed):
        place.maintain(READINGS, owner="one")

    assert place.values() == [1.0, 2.0, 3.0, 4.0]


def test_a_table_that_fails_does_not_hold_up_the_others_and_is_told(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.commit_each(1, 2)
    find = Lake.find

    def broken(self: Lake, table: Table) -> Any:
        if table is BATCHES:
            raise OSError("no such manifest")
        return find(self, table)

    monkeypatch.setattr(Lake, "find", broken)
    with pytest.raises(Failed, match="batches: OSError: no such manifest"):
        place.maintain(BATCHES, READINGS)

    assert len(place.files()) == 1


def test_rows_with_columns_that_this_version_does_not_know_are_not_rewritten(place: Place) -> None:
    place.commit_each(1, 2)
    place.iceberg().update_schema().add_column("later", schema_type()).commit()

    with pytest.raises(Failed, match=r"columns \['later'\] are not in this version's schema"):
        place.maintain(READINGS)

    assert len(place.files()) == 2


def schema_type() -> Any:
    return Lake.__init__.__globals__["TYPES"]["string"]


def test_short_of_time_it_stops_and_the_next_run_begins_where_it_waited_longest(place: Place) -> None:
    place.commit_each(1, 2)
    maintenance = place.maintenance()

    maintenance.run((READINGS, BATCHES), until_ms=place.now_ms, spare_ms=0)
    nothing = len(place.files())
    place.maintain(BATCHES)
    place.maintain(BATCHES, READINGS)

    assert (nothing, len(place.files())) == (2, 1)


def test_after_an_erase_every_earlier_snapshot_and_its_files_can_be_let_go(place: Place) -> None:
    place.commit_each(1, 2)
    place.maintain(READINGS)
    lake = Lake(place.catalog, database=place.database, location=f"s3://{place.bucket}/lake")

    expired, removed = expire(
        lake, Unneeded(place.s3, bucket=place.bucket, now_ms=lambda: place.now_ms), READINGS, all_but_current
    )

    assert (expired, removed > 2) == (2, True)
    assert len(place.iceberg().snapshots()) == 1
    assert place.values() == [1.0, 2.0]
    assert place.keys("data/readings/") == []


def _killed_before_change(moment: int) -> Interrupt:
    """As killed_at, at changes alone; and after the swap, when it is the table's but nobody has noted it."""
    kill = killed_at(moment)

    def kill_before(when: str, call: str) -> None:
        if call not in {"load", "ensure"} and (when == "before" or call in {"replace", "expire"}):
            kill(when, call)

    return kill_before


def _killed_before(name: str) -> Interrupt:
    def kill(when: str, call: str) -> None:
        if (when, call) == ("before", name):
            raise Killed

    return kill


def test_a_query_that_began_before_a_maintenance_reads_to_its_end(place: Place) -> None:
    place.commit_each(1, 2, 3)
    scan = place.iceberg().scan()
    planned = list(scan.plan_files())

    place.maintain(READINGS)
    place.now_ms += ALL_MS - 60_000
    place.maintain(READINGS)

    assert len(planned) == 3
    assert sorted(scan.to_arrow()["value"].to_pylist()) == [1.0, 2.0, 3.0]
