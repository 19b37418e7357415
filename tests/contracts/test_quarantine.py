"""What could not be stored is found, shown and sent round again, and the books add up; on MiniStack."""

import argparse
import base64
import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from cli import quarantine, reconcile
from cli.deployment import Deployment
from cli.set_aside import entries, put_again, with_bytes
from telltale.adapters.commit import Committer
from telltale.adapters.kinesis import Record
from telltale.adapters.lake import Lake, glue_catalog
from telltale.adapters.registry import Registry
from telltale.core.plant import Assignment, Sensor

from tests.contracts.conftest import REGION, client
from tests.contracts.ingest import NOW, PUMP, SHARD, Ingest, lambda_event, record, scalars
from tests.contracts.test_lake import file_access


class Plant:
    """A deployment of its own, whose functions run when told to."""

    def __init__(self, endpoint: str) -> None:
        self.ingest = Ingest(endpoint)
        self.endpoint, self.database, self._taken = endpoint, f"telltale_{uuid4().hex}", 0
        client("glue", endpoint).create_database(DatabaseInput={"Name": self.database})
        outputs = {
            "LakeBucket": self.ingest.bucket,
            "GlueDatabase": self.database,
            "ProgressTable": self.ingest.progress_table,
            "CapturesStream": self.ingest.captures_stream,
            "FeaturesStream": self.ingest.features_stream,
        }
        self.deployment = Deployment(outputs, {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": REGION})

    def commit(self) -> None:
        lake = Lake(
            glue_catalog(client("glue", self.endpoint), file_access(self.endpoint)),
            database=self.database,
            location=f"s3://{self.ingest.bucket}/lake",
        )
        tables = {"bucket": self.ingest.bucket, "table": self.ingest.progress_table}
        Committer(self.ingest.s3, self.ingest.dynamodb, lake, owner="test", now_ms=lambda: NOW, **tables).run(
            until_ms=NOW + 300_000, spare_ms=1000
        )

    def take_replayed(self) -> None:
        """The function gets what was put on the stream since it was last asked."""
        items = self.ingest.on_stream(self.ingest.captures_stream)[self._taken :]
        self._taken += len(items)
        first = 10**6 + self._taken
        self.ingest.run([Record(SHARD, str(first + n), i["PartitionKey"], i["Data"], NOW) for n, i in enumerate(items)])

    def outcomes(self) -> dict[str, str | None]:
        return {entry.id: entry.outcome for entry in entries(self.deployment)}


@pytest.fixture
def plant(ministack: str, monkeypatch: pytest.MonkeyPatch) -> Plant:
    monkeypatch.setenv("AWS_ENDPOINT_URL", ministack)  # a deployment's client sets them for the whole process:
    monkeypatch.setenv("AWS_REGION", REGION)  # this takes them back at the end
    return Plant(ministack)


def stranger(n: int) -> Record:
    """A good capture of a sensor that nobody registered."""
    return record(n, scalars(n, sensor="s-9"))


def test_what_was_set_aside_is_listed_once_before_and_after_its_commit(plant: Plant) -> None:
    plant.ingest.run([record(1, b"garbage"), stranger(2)])
    before = entries(plant.deployment)
    plant.commit()
    plant.ingest.run([record(3, b"\x00")])

    after = entries(plant.deployment)

    assert sorted(entry.reason for entry in before) == ["bad_payload", "unknown_sensor"]
    assert sorted(entry.id for entry in after) == [f"{SHARD}:{n}" for n in (1, 2, 3)]
    assert [entry.payload for entry in with_bytes(plant.deployment, sorted(after, key=lambda e: e.id))][::2] == [
        b"garbage",
        b"\x00",
    ]


@pytest.mark.parametrize("is_committed", [True, False])
def test_once_its_cause_is_gone_a_record_is_replayed_and_stored(plant: Plant, is_committed: bool) -> None:
    plant.ingest.run([stranger(1), record(2, b"garbage")])
    if is_committed:
        plant.commit()
    Registry(plant.ingest.dynamodb, plant.ingest.registry_table).put(Sensor("s-9", (Assignment(PUMP.id),)))

    found = quarantine.chosen(entries(plant.deployment), [], "unknown_sensor")
    put_again(plant.deployment, with_bytes(plant.deployment, found))
    plant.take_replayed()
    plant.commit()

    assert plant.outcomes() == {f"{SHARD}:1": "stored", f"{SHARD}:2": None}
    assert reconcile.reconcile(plant.deployment).problems == ()


def test_a_record_that_is_still_bad_is_quarantined_anew(plant: Plant) -> None:
    plant.ingest.run([record(1, b"garbage")])

    put_again(plant.deployment, with_bytes(plant.deployment, entries(plant.deployment)))
    plant.take_replayed()

    outcomes = plant.outcomes()
    assert outcomes.pop(f"{SHARD}:1") == "quarantined"
    assert list(outcomes.values()) == [None]


def test_what_is_no_envelope_goes_round_as_it_is(plant: Plant) -> None:
    plant.ingest.run([replace(record(1, scalars(1)), data=b"no envelope")])

    put_again(plant.deployment, with_bytes(plant.deployment, entries(plant.deployment)))

    assert [item["Data"] for item in plant.ingest.on_stream(plant.ingest.captures_stream)] == [b"no envelope"]
    assert plant.outcomes() == {f"{SHARD}:1": "put again"}


def test_a_message_that_a_rule_could_not_deliver_is_replayed_under_its_own_topic(plant: Plant) -> None:
    document = {
        "ruleName": "captures",
        "topic": "$aws/rules/captures/dt/telltale/gw-1/s-1/capture",
        "clientId": "gw-1",
        "base64OriginalPayload": base64.b64encode(b'{"v":1}').decode(),
        "failures": [{"failedAction": "KinesisAction", "failedResource": "s", "errorMessage": "throttled"}],
    }
    key = "rule-errors/capture/2026/09/21/1.json"
    plant.ingest.s3.put_object(Bucket=plant.ingest.bucket, Key=key, Body=json.dumps(document).encode())

    [entry] = entries(plant.deployment)
    put_again(plant.deployment, [entry])

    [item] = plant.ingest.on_stream(plant.ingest.captures_stream)
    envelope = json.loads(item["Data"])
    assert (entry.reason, entry.sensor, entry.payload) == ("undelivered", "s-1", b'{"v":1}')
    assert "KinesisAction: throttled" in entry.detail
    assert (envelope["topic"], envelope["client"]) == ("dt/telltale/gw-1/s-1/capture", "gw-1")
    assert (envelope["replay_of"], item["PartitionKey"]) == (key, "s-1")


def test_a_batch_that_a_stream_gave_up_is_replayed_record_by_record(plant: Plant) -> None:
    event = lambda_event(plant.ingest.captures_stream, [record(n, scalars(n)) for n in (1, 2)])
    document = {"requestContext": {"condition": "RetryAttemptsExhausted"}, "payload": json.dumps(event)}
    mapping, given_up = "5f1b2c3d-0a1b-4c2d-8e3f-0123456789ab", "2026-09-21T14.13.20-8a7b6c5d"  # as Lambda names them
    key = f"aws/lambda/{mapping}/{SHARD}/2026/09/21/{given_up}"
    plant.ingest.s3.put_object(Bucket=plant.ingest.bucket, Key=key, Body=json.dumps(document).encode())

    [entry] = entries(plant.deployment)
    put_again(plant.deployment, [entry])
    plant.take_replayed()

    assert entry.detail == "2 records given up: RetryAttemptsExhausted"
    assert plant.outcomes() == {key: "put again"}
    assert plant.ingest.count() == (2, 2, 0, 0)


def test_an_object_of_another_kind_is_listed_and_left_alone(plant: Plant) -> None:
    plant.ingest.s3.put_object(Bucket=plant.ingest.bucket, Key="rule-errors/x", Body=b"?")

    [entry] = entries(plant.deployment)

    assert (entry.replayable, entry.payload) == (False, b"?")


# --- Reconcile


def test_the_books_add_up_with_receipts_still_pending(plant: Plant) -> None:
    plant.ingest.run([record(1, scalars(1)), record(2, scalars(1)), record(3, b"garbage")])
    plant.commit()
    plant.ingest.run([record(4, scalars(4))])

    found = reconcile.reconcile(plant.deployment)

    assert (found.records, found.stored, found.duplicate, found.quarantined) == (3, 1, 1, 1)
    assert (found.capture_rows, found.quarantine_rows) == (1, 1)
    assert (found.lost, found.doubled, found.problems) == (0, 0, ())
    assert (found.pending_receipts, found.pending_records) == (1, 1)


def test_an_empty_lake_adds_up(plant: Plant) -> None:
    assert reconcile.reconcile(plant.deployment).problems == ()


@pytest.mark.parametrize(("twice", "lost", "doubled"), [(True, 0, 2), (False, 2, 0)], ids=["doubled", "lost"])
def test_rows_that_are_missing_or_there_twice_are_found(plant: Plant, twice: bool, lost: int, doubled: int) -> None:
    plant.ingest.run([record(1, scalars(1)), record(2, scalars(2))])
    catalog = glue_catalog(client("glue", plant.endpoint), file_access(plant.endpoint))
    plant.commit()
    table = catalog.load_table((plant.database, "captures"))
    if twice:
        [task] = table.scan().plan_files()
        table.add_files([task.file.file_path], check_duplicate_files=False)
    else:
        table.delete()

    found = reconcile.reconcile(plant.deployment)

    assert (found.lost, found.doubled) == (lost, doubled)
    assert found.problems


# --- The commands


def run(command: Any, plant: Plant, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(command, "current", lambda: plant.deployment)
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return int(command.run(parser.parse_args(words)))


def test_the_commands_list_show_replay_and_reconcile(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    plant.ingest.run([record(1, b'{"v": 2}'), stranger(2), record(3, scalars(3))])
    plant.commit()

    codes = [
        run(quarantine, plant, monkeypatch, "list", "--reason", "bad_field"),
        run(quarantine, plant, monkeypatch, "show", ":1"),
        run(quarantine, plant, monkeypatch, "replay", ":2"),
        run(reconcile, plant, monkeypatch),
        run(reconcile, plant, monkeypatch, "--json"),
    ]

    out = capsys.readouterr().out
    assert codes == [0, 0, 0, 0, 0]
    assert f"{SHARD}:1" in out
    assert "v is 2, wanted 1" in out
    assert '{"v": 2}' in out
    assert "1 records of 1 entries put on their streams again" in out
    assert "adds up" in out
    assert json.loads(out.splitlines()[-1])["quarantined"] == 2
