"""Committed exactly once: whatever is killed in between, whoever else commits, each batch's rows are there once."""

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from telltale.adapters import parquet
from telltale.adapters.commit import LEASE_MS, PLAN, Committer
from telltale.adapters.lake import Lake, glue_catalog
from telltale.adapters.lease import Busy
from telltale.adapters.receipts import COMMITTED, PENDING, DataFile, Receipt
from telltale.core import schema
from telltale.core.errors import RetryLater
from telltale.core.schema import Table

from tests.contracts.conftest import client
from tests.contracts.killing import Interrupt, Interrupted, Killed, killed_at, once_at
from tests.contracts.test_lake import file_access, reading
from tests.contracts.test_registry import table as progress_table

NOW = 1_790_000_000_000
LONG_MS = 300_000
CHANGES = 10  # that one commit of one receipt makes: lease, batches, plan, two tables with the lease, move, plan, …


class Place:
    """A lake of its own, with committers that may be killed."""

    def __init__(self, endpoint: str) -> None:
        self.s3, self.dynamodb = client("s3", endpoint), client("dynamodb", endpoint)
        self.bucket = f"lake-{uuid4().hex}"
        self.s3.create_bucket(Bucket=self.bucket)
        self.table = progress_table(self.dynamodb)
        self.database = f"telltale_{uuid4().hex}"
        client("glue", endpoint).create_database(DatabaseInput={"Name": self.database})
        self.catalog: Catalog = glue_catalog(client("glue", endpoint), file_access(endpoint))
        self.now_ms = NOW

    def committer(self, owner: str = "one", interrupt: Interrupt = lambda when, call: None) -> Committer:
        return Committer(
            Interrupted(self.s3, interrupt),
            Interrupted(self.dynamodb, interrupt),
            InterruptedLake(self.catalog, self.database, f"s3://{self.bucket}/lake", interrupt),
            bucket=self.bucket,
            table=self.table,
            owner=owner,
            now_ms=self._tick,
        )

    def commit(self, **how: Any) -> int:
        """Number of receipts committed."""
        until_ms = self.now_ms + LONG_MS
        return sum(done.receipts for done in self.committer(**how).run(until_ms=until_ms, spare_ms=1000))

    def _tick(self) -> int:
        self.now_ms += 1
        return self.now_ms

    def publish(self, n: int) -> Receipt:
        """A pending receipt with one reading of value n."""
        return self.publish_row(n, schema.READINGS, reading(n))

    def publish_row(self, n: int, table: Table, row: Mapping[str, Any]) -> Receipt:
        """A pending receipt of record n, with a file that holds this row."""
        [file] = parquet.files(table, [row])
        data = DataFile(table.name, f"data/{table.name}/{file.day}/{n}.parquet", file.rows, len(file.body))
        self.s3.put_object(Bucket=self.bucket, Key=data.key, Body=file.body)
        batch_id = f"captures/shard-0/{n}"
        receipt = Receipt(batch_id, "f", "captures", "shard-0", str(n), str(n), NOW, "0", 1, 1, 0, 0, (data,), {})
        self.republish(receipt)
        return receipt

    def republish(self, receipt: Receipt) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=f"{PENDING}{receipt.batch_id}.json", Body=receipt.to_json())

    def values(self) -> list[float]:
        """The readings in the lake."""
        return sorted(row["value"] for row in self.rows("readings"))

    def rows(self, name: str) -> list[dict[str, Any]]:
        try:
            rows: list[dict[str, Any]] = self.catalog.load_table((self.database, name)).scan().to_arrow().to_pylist()
        except NoSuchTableError:
            return []
        return rows

    def keys(self, prefix: str) -> list[str]:
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for item in found.get("Contents", [])]


class InterruptedLake(Lake):
    def __init__(self, catalog: Catalog, database: str, location: str, interrupt: Interrupt) -> None:
        super().__init__(catalog, database=database, location=location)
        self._interrupt = interrupt

    def add(self, *args: Any, **named: Any) -> bool:
        self._interrupt("before", "add")
        added = super().add(*args, **named)
        self._interrupt("after", "add")
        return added


@pytest.fixture
def place(ministack: str) -> Place:
    return Place(ministack)


def test_what_is_pending_becomes_rows_and_one_row_for_each_batch(place: Place) -> None:
    for n in (1, 2, 3):
        place.publish(n)

    committed = place.commit()

    assert committed == 3
    assert place.values() == [1.0, 2.0, 3.0]
    assert sorted(row["batch_id"] for row in place.rows("batches")) == [f"captures/shard-0/{n}" for n in (1, 2, 3)]
    assert (place.keys(PENDING), len(place.keys(COMMITTED))) == ([], 3)


def test_with_nothing_pending_nothing_happens(place: Place) -> None:
    assert place.commit() == 0
    assert place.keys("") == []


def test_later_receipts_go_into_a_later_commit(place: Place) -> None:
    place.publish(1)
    place.commit()
    place.publish(2)
    place.commit()

    snapshots = place.catalog.load_table((place.database, "readings")).snapshots()
    numbers = {snapshot.summary["telltale.commit"] for snapshot in snapshots if snapshot.summary}
    assert place.values() == [1.0, 2.0]
    assert len(numbers) == 2


def test_a_commit_goes_on_after_the_memory_of_the_last_one_was_lost(place: Place) -> None:
    place.publish(1)
    place.commit()
    place.s3.delete_object(Bucket=place.bucket, Key=PLAN)
    place.publish(2)
    place.commit()

    assert place.values() == [1.0, 2.0]


def test_a_plan_that_an_earlier_version_left_unfinished_is_carried_out(place: Place) -> None:
    receipt = place.publish(1)
    plan = {"number": 1, "receipts": [receipt.batch_id], "files": {"readings": [receipt.files[0].key]}, "done": False}
    place.s3.put_object(Bucket=place.bucket, Key=PLAN, Body=json.dumps(plan).encode())

    place.commit()

    assert (place.values(), place.keys(PENDING)) == ([1.0], [])


def test_receipts_that_cannot_be_cleared_away_stop_the_commit_and_the_next_one_clears_them(place: Place) -> None:
    place.publish(1)
    refused = {"Errors": [{"Key": "k", "Code": "SlowDown", "Message": "Please reduce your request rate."}]}
    committer = place.committer()
    real, place.s3.delete_objects = place.s3.delete_objects, lambda **_: refused

    try:
        with pytest.raises(RetryLater):
            committer.run(until_ms=NOW + LONG_MS, spare_ms=1000)
    finally:
        place.s3.delete_objects = real
    place.commit()

    assert (place.values(), place.keys(PENDING)) == ([1.0], [])
    assert len(place.rows("batches")) == 1


def test_a_receipt_published_again_after_its_commit_is_cleared_away(place: Place) -> None:
    receipt = place.publish(1)
    place.commit()
    place.republish(receipt)

    committed = place.commit()

    assert committed == 0
    assert (place.values(), place.keys(PENDING)) == ([1.0], [])


def test_receipts_published_again_are_told_from_new_ones_whatever_lies_between(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [place.publish(n) for n in range(1, 8)]
    place.commit()
    real = place.s3.list_objects_v2
    monkeypatch.setattr(place.s3, "list_objects_v2", lambda **how: real(**{"MaxKeys": 2} | how))  # pages of two
    for receipt in (old[0], old[3], old[6]):
        place.republish(receipt)
    place.publish(8)
    place.publish(30)

    committed = place.commit()

    assert committed == 2
    assert place.values() == [float(n) for n in (*range(1, 9), 30)]
    assert place.keys(PENDING) == []


def test_a_commit_killed_at_any_step_is_finished_by_the_next_one_exactly_once(place: Place) -> None:
    """One lake lives through a kill at the first step, then at the second, … until a commit gets through."""
    published, moment, killed = 0, 0, True
    while killed:
        published += 1
        place.publish(published)
        try:
            place.commit(owner="killed", interrupt=killed_at(moment))
            killed = False
        except Killed:
            place.now_ms += LEASE_MS + 1  # its lease runs out: nobody is held up for longer
        place.commit(owner="next")

        assert place.values() == [float(n) for n in range(1, published + 1)], f"killed at {moment}"
        assert place.keys(PENDING) == []
        moment += 1

    assert moment > CHANGES
    assert set(Counter(row["batch_id"] for row in place.rows("batches")).values()) == {1}
    assert len(place.rows("batches")) == published


def test_while_one_commits_another_is_turned_away(place: Place) -> None:
    place.publish(1)
    turned_away: list[bool] = []

    def second() -> None:
        with pytest.raises(Busy):
            place.commit(owner="two")
        turned_away.append(True)

    place.commit(interrupt=once_at(CHANGES, second))

    assert turned_away
    assert place.values() == [1.0]


@pytest.mark.parametrize("overtaken", range(2 * CHANGES))
def test_one_that_wakes_up_after_its_lease_adds_nothing_twice(place: Place, overtaken: int) -> None:
    place.publish(1)

    def sleep() -> None:
        place.now_ms += LONG_MS + 1000
        place.commit(owner="two")
        place.publish(2)
        place.commit(owner="three")

    with suppress(Busy):
        place.commit(interrupt=once_at(overtaken, sleep))
    place.commit(owner="four")

    assert place.values() == [1.0, 2.0]
    assert set(Counter(row["batch_id"] for row in place.rows("batches")).values()) == {1}
