"""What is erased is gone: from every table, from time travel, and from the bucket; the rest is as it was."""

import io
import json
from collections import Counter
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pyarrow.parquet as pq
import pytest
from cli.reconcile import _compared
from telltale.adapters import clearing, erase, parquet
from telltale.adapters.erase import POSITION, SENSOR, SITE, Eraser, Subject, record
from telltale.adapters.lake import Lake, glue_catalog
from telltale.adapters.rewrite import live_files, replace_files, rewrite_rows, rows_cleared
from telltale.adapters.unneeded import Unneeded
from telltale.core import schema
from telltale.core.plant import Assignment, Gateway, Plant, Sensor
from telltale.core.schema import Table

from tests.contracts.conftest import client
from tests.contracts.test_lake import DAY, T, file_access

NOW = T + 10 * DAY
A, A2, B = "a/hall/pump/de", "a/hall/pump/nde", "b/hall/pump/de"
PLANT = Plant(
    sites={},
    positions={},
    sensors={
        "s-1": Sensor("s-1", (Assignment(A, 0, T + 2 * DAY), Assignment(B, T + 2 * DAY))),
        "s-2": Sensor("s-2", (Assignment(A, T + 2 * DAY),)),
    },
    gateways={"g-a": Gateway("g-a", "a"), "g-b": Gateway("g-b", "b")},
)


class Place:
    """A lake in an emulated bucket."""

    def __init__(self, endpoint: str) -> None:
        self.database = f"telltale_{uuid4().hex}"
        self.bucket = self.database.replace("_", "-")
        self.s3 = client("s3", endpoint)
        self.s3.create_bucket(Bucket=self.bucket)
        client("glue", endpoint).create_database(DatabaseInput={"Name": self.database})
        catalog = glue_catalog(client("glue", endpoint), file_access(endpoint))
        self.lake = Lake(catalog, database=self.database, location=f"s3://{self.bucket}/lake")
        self.commits = 0

    def add(self, table: Table, *rows: dict[str, Any]) -> None:
        """One commit."""
        self.commits += 1
        uris = []
        for file in parquet.files(table, rows):
            key = f"data/{table.name}/{file.day}/{uuid4().hex}.parquet"
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=file.body)
            uris.append(f"s3://{self.bucket}/{key}")
        self.lake.add(table, uris, number=self.commits)

    def eraser(self, kind: str, name: str, *, before_ms: int = NOW) -> Eraser:
        subject = Subject.of(kind, name, PLANT, before_ms=before_ms)
        return Eraser(self.s3, self.bucket, self.lake, subject, now_ms=lambda: NOW)

    def erase(self, kind: str, name: str, *, before_ms: int = NOW) -> dict[str, int]:
        """Rows that went, by table."""
        return {one.rows.table: one.rows.rows for one in self.eraser(kind, name, before_ms=before_ms).erase()}

    def rows(self, table: Table) -> list[dict[str, Any]]:
        return list(self.lake.load(table).scan().to_arrow().to_pylist())

    def values(self) -> list[float]:
        return sorted(row["value"] for row in self.rows(schema.READINGS))

    def stored(self, prefix: str = "") -> list[str]:
        """Keys in the bucket."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def everywhere(self, table: Table) -> list[dict[str, Any]]:
        """The rows of every Parquet file of the table that is in the bucket, live or not."""
        keys = [*self.stored(f"data/{table.name}/"), *self.stored(f"lake/{table.name}/data/")]
        bodies = [self.s3.get_object(Bucket=self.bucket, Key=key)["Body"] for key in keys]
        return [row for body in bodies for row in pq.read_table(io.BytesIO(body.read())).to_pylist()]


def reading(value: float, position: str = A, *, sensor: str = "s-1", t_ms: int = T, **fields: Any) -> dict[str, Any]:
    ids = {"capture_id": f"c-{t_ms}", "position": position, "site": position.split("/")[0], "sensor": sensor}
    return {**ids, "t": t_ms, "tag": "flow", "value": value, **fields}


def verdict(reason: str, position: str = A, *, capture_id: str = f"c-{T}", t_ms: int = T) -> dict[str, Any]:
    ids = {"capture_id": capture_id, "position": position, "site": position.split("/")[0], "t": t_ms}
    said = {"channel": "x", "rule": "zone", "verdict": "HEALTHY", "persistent": "HEALTHY", "code_version": "1"}
    return {**ids, **said, "reason": reason}


def rejected(name: str, *, t_ms: int = T, **fields: Any) -> dict[str, Any]:
    row = {"quarantine_id": name, "received_at": t_ms, "reason": "BAD_PAYLOAD", "detail": "", "payload": b"secret"}
    return {**row, **fields}


@pytest.fixture
def place(ministack: str) -> Place:
    return Place(ministack)


def test_a_position_is_gone_from_the_rows_from_time_travel_and_from_the_bucket(place: Place) -> None:
    place.add(schema.READINGS, reading(1.0), reading(2.0, B))
    place.add(schema.READINGS, reading(3.0, t_ms=T + DAY), reading(4.0, A2, t_ms=T + DAY))

    went = place.erase(POSITION, A)

    assert went == {"readings": 2}
    assert place.values() == [2.0, 4.0]
    assert len(place.lake.load(schema.READINGS).snapshots()) == 1
    assert {row["position"] for row in place.everywhere(schema.READINGS)} == {A2, B}
    assert rows_cleared(place.lake.load(schema.READINGS)) == 2


def test_rows_that_were_taken_out_are_not_taken_for_lost() -> None:
    batch = {
        "batch_id": "b",
        "function": "extract_features",
        "records": 10,
        "stored": 9,
        "duplicate": 0,
        "quarantined": 1,
    }
    waiting = {"pending_receipts": 0, "pending_records": 0}

    def lost(rows: int, **cleared: int) -> tuple[int, int]:
        found = _compared(
            [batch],
            capture_rows=rows,
            doubled_parts=0,
            quarantined=Counter(["q"] if "quarantine" not in cleared else []),
            waiting=waiting,
            undelivered=0,
            cleared={"captures": 0, "quarantine": 0, **cleared},
        )
        return found.lost, len(found.problems)

    assert [lost(9), lost(6), lost(6, captures=3), lost(5, captures=3)] == [(0, 0), (3, 1), (0, 0), (1, 1)]
    assert lost(9, quarantine=1) == (0, 0)
    assert lost(8, captures=3) == (0, 0)  # two of the three were imported


@pytest.mark.parametrize(
    ("kind", "name", "left"),
    [
        (SITE, "a", [3.0]),
        (SITE, "b", [1.0, 2.0, 4.0]),
        (POSITION, A, [2.0, 3.0, 4.0]),
        (SENSOR, "s-1", [2.0, 4.0]),
    ],
)
def test_what_is_named_goes_and_its_neighbours_stay(place: Place, kind: str, name: str, left: list[float]) -> None:
    rows = (reading(1.0), reading(2.0, A2, sensor="s-9"), reading(3.0, B), reading(4.0, f"{A}-2", sensor="s-10"))
    place.add(schema.READINGS, *rows)

    place.erase(kind, name)

    assert place.values() == left


def test_only_what_is_before_the_time_goes(place: Place) -> None:
    place.add(schema.READINGS, *(reading(float(hours), t_ms=T + hours * 3_600_000) for hours in (0, 1, 2, 30, 60)))

    place.erase(POSITION, A, before_ms=T + 2 * 3_600_000)

    assert place.values() == [2.0, 30.0, 60.0]


def test_the_verdicts_of_a_sensor_are_those_of_its_captures(place: Place) -> None:
    place.add(schema.READINGS, reading(1.0), reading(2.0, B, sensor="s-9"))
    mine, others = verdict("of s-1"), [verdict("of s-9, same id", B), verdict("of another capture", capture_id="c-9")]
    place.add(schema.VERDICTS, mine, *others)

    place.erase(SENSOR, "s-1")

    assert sorted(row["reason"] for row in place.rows(schema.VERDICTS)) == ["of another capture", "of s-9, same id"]


@pytest.mark.parametrize(
    ("kind", "name", "left"),
    [
        (SITE, "a", {"b", "later at b", "nobody"}),
        (SENSOR, "s-1", {"b", "nobody"}),
        (POSITION, A, {"b", "later at b", "nobody"}),
    ],
)
def test_rejected_records_go_with_the_gateway_the_sensor_or_the_seat(
    place: Place, kind: str, name: str, left: Collection[str]
) -> None:
    place.add(
        schema.QUARANTINE,
        rejected("a", sensor="s-1", gateway="g-a"),
        rejected("later at b", sensor="s-1", gateway="g-b", t_ms=T + 3 * DAY),
        rejected("b", sensor="s-9", gateway="g-b"),
        rejected("nobody"),
    )

    place.erase(kind, name)

    assert {row["quarantine_id"] for row in place.rows(schema.QUARANTINE)} == left


def test_what_only_an_earlier_snapshot_still_shows_goes_too(place: Place) -> None:
    place.add(schema.READINGS, reading(1.0))
    place.add(schema.READINGS, reading(2.0, B))
    gone = [file.uri for file in live_files(place.lake.load(schema.READINGS)) if file.rows and "x" not in file.day]
    first = next(file for file in gone if 1.0 in _values(place, file))
    replace_files(place.lake, schema.READINGS, [first], [], why="retention")

    went = place.erase(POSITION, A)

    assert went == {"readings": 0}
    assert [row["value"] for row in place.everywhere(schema.READINGS)] == [2.0]


def _values(place: Place, uri: str) -> list[float]:
    body = place.s3.get_object(Bucket=place.bucket, Key=uri.removeprefix(f"s3://{place.bucket}/"))["Body"].read()
    return [row["value"] for row in pq.read_table(io.BytesIO(body)).to_pylist()]


def test_a_table_without_any_of_it_keeps_its_history(place: Place) -> None:
    place.add(schema.READINGS, reading(1.0, B))
    place.add(schema.READINGS, reading(2.0, B))
    before = place.stored()

    assert place.erase(POSITION, A) == {}
    assert len(place.lake.load(schema.READINGS).snapshots()) == 2
    assert place.stored() == before


def test_the_plan_counts_what_goes_and_changes_nothing(place: Place) -> None:
    place.add(schema.READINGS, reading(1.0), reading(2.0, B))
    place.add(schema.READINGS, reading(3.0, t_ms=T + DAY))
    before = place.stored()

    [planned] = place.eraser(POSITION, A).plan()

    assert (planned.rows.rows, planned.rows.files, planned.rows.rewritten, planned.snapshots) == (2, 2, 1, 1)
    assert place.stored() == before


class Killed(Exception):
    """The process dies here."""


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", ["replace_files", "expire", "delete"])
def test_an_erase_that_is_killed_anywhere_is_done_by_the_next_one(
    place: Place, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    place.add(schema.READINGS, reading(1.0), reading(2.0, B))
    place.add(schema.VERDICTS, verdict("a"), verdict("b", B))
    owner: Any = {"replace_files": clearing, "expire": erase, "delete": Unneeded}[step]

    def dying(whole: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            if after:
                whole(*args, **named)
            raise Killed

        return call

    with monkeypatch.context() as once:
        once.setattr(owner, step, dying(getattr(owner, step)))
        with pytest.raises(Killed):
            place.erase(POSITION, A)
    place.erase(POSITION, A)

    assert place.values() == [2.0]
    assert [row["reason"] for row in place.rows(schema.VERDICTS)] == ["b"]
    for table in (schema.READINGS, schema.VERDICTS):
        assert len(place.lake.load(table).snapshots()) == 1


def test_a_compaction_in_between_keeps_nothing_of_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.add(schema.READINGS, reading(1.0), reading(2.0, B))
    place.add(schema.READINGS, reading(3.0), reading(4.0, B))
    races = [True]

    def overtaken(lake: Lake, table: Table, files: Any, **named: Any) -> Any:
        made = rewrite_rows(lake, table, files, **named)
        if races.pop() if races else False:
            live = live_files(lake.load(table))
            compacted = rewrite_rows(lake, table, live)
            replace_files(lake, table, [file.uri for file in live], compacted.uris, why="compaction")
        return made

    monkeypatch.setattr(clearing, "rewrite_rows", overtaken)

    went = place.erase(POSITION, A)

    assert went == {"readings": 2}
    assert place.values() == [2.0, 4.0]


def test_the_record_of_an_erase_says_what_who_and_why_and_outlives_the_next(place: Place) -> None:
    place.add(schema.READINGS, reading(1.0))
    place.add(schema.ACTS, {"position": A, "site": "a", "t": T, "kind": "relearn", "by": "mia", "why": "new impeller"})
    eraser = place.eraser(POSITION, A)
    record(place.s3, place.bucket, place.lake, eraser.subject, eraser.plan(), t_ms=NOW, by="mia", why="asked to")

    went = place.erase(POSITION, A, before_ms=NOW + DAY)

    [act] = place.rows(schema.ACTS)
    assert went == {"readings": 1, "acts": 1}
    assert (act["kind"], act["position"], act["by"], act["why"]) == ("erase", A, "mia", "asked to")
    assert act["t"] == datetime.fromtimestamp(NOW / 1000, UTC)
    said = json.loads(act["detail"])
    assert (said["what"], said["name"], said["before_ms"]) == ("position", A, NOW)
    assert said["rows"] == {"readings": 1, "acts": 1}
