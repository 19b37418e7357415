"""The whole cycle through the real handlers: feature rows → case → event → order → closed → label."""

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import detect_anomalies
import extract_features
import pyarrow.parquet as pq
import pytest
import stale_sensors
import work_orders
from telltale.adapters import wire
from telltale.adapters.cases import Cases
from telltale.adapters.cmms.logbook import Logbook
from telltale.adapters.cmms.port import Status
from telltale.adapters.ledger import Ledger, Stage
from telltale.adapters.registry import Registry
from telltale.core.capture import Capture
from telltale.core.closure import closure
from telltale.core.plant import Limits

from tests.aws_line import POSITION, START_MS, Aws, aws, plant, records
from tests.contracts.cmms_server import Cmms as Server
from tests.contracts.cmms_server import serving
from tests.unit.test_cases_are_diagnosed import PUMP as DIAGNOSED
from tests.unit.test_cases_are_diagnosed import shaking
from tests.unit.test_detection import HEALTHY_THEN_BAD, row

HOUR = 3_600_000
PUMP = replace(DIAGNOSED, limits=Limits(velocity_warning_mm_s=0.5, velocity_alarm_mm_s=1.0))
FOUND = closure(failure_mode="imbalance", failure_cause="wear", action_taken="adjust", note="fan blade")
ENVIRONMENT = {
    "LAKE_BUCKET": "lake",
    "REGISTRY_TABLE": "registry",
    "STATES_TABLE": "states",
    "CASES_TABLE": "cases",
    "LEDGER_TABLE": "ledger",
    "LOGBOOK_TABLE": "logbook",
    "PROGRESS_TABLE": "progress",
    "FEATURES_STREAM": "features",
    "MONITRON_STREAM": "",
    "BUS_NAME": "bus",
    "LINK_KEY_ARN": "",
    "PAGES_URL": "",
}


def b64(payload: dict[str, Any]) -> str:
    return base64.b64encode(json.dumps(payload).encode()).decode()


@dataclass
class Context:
    """What Lambda tells a function of its invocation."""

    left_ms: int = 60_000
    function_name: str = "function"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:function"
    aws_request_id: str = "request"

    def get_remaining_time_in_millis(self) -> int:
        return self.left_ms


class Plant:
    """The functions on moto, each given what its trigger would give it."""

    def __init__(self, made: Aws) -> None:
        self.aws = made
        self.fed = 0
        self.logbook = Logbook(made.dynamodb, "logbook", work_orders.now_ms)
        self.cases = Cases(made.dynamodb, "cases")
        for item in plant():
            Registry(made.dynamodb, "registry").put(item)

    def rows(self, rows: list[bytes], *, arrival_ms: int = START_MS) -> None:
        """The mapping of the stream delivers these rows."""
        event = {"Records": records(rows, first=self.fed + 1, arrival_ms=arrival_ms)}
        self.fed += len(rows)
        assert detect_anomalies.handler(event, Context()) == {"batchItemFailures": []}

    def captures(self, payloads: list[dict[str, Any]]) -> None:
        """The mapping of the stream of captures delivers what the IoT rule made of these messages."""
        topic = "dt/telltale/g-1/s-1/capture"
        envelopes = [
            {"payload": b64(payload), "topic": topic, "client": "g-1", "received_ms": payload["t"] + 500}
            for payload in payloads
        ]
        batch = records([json.dumps(envelope).encode() for envelope in envelopes])
        for record in batch:
            record["eventSourceARN"] = record["eventSourceARN"].replace("/features", "/captures")
        assert extract_features.handler({"Records": batch}, Context()) == {"batchItemFailures": []}

    def queue(self, context: Context | None = None, *, delivery: int = 1) -> list[str]:
        """The queue's mapping delivers what is visible, for the nth time; answers the ids of messages that failed."""
        batch = self.aws.sqs.receive_message(QueueUrl=self.aws.queue, MaxNumberOfMessages=10).get("Messages", [])
        if not batch:
            return []
        arn = self.aws.sqs.get_queue_attributes(QueueUrl=self.aws.queue, AttributeNames=["QueueArn"])["Attributes"]
        event = {
            "Records": [
                {
                    "messageId": message["MessageId"],
                    "receiptHandle": message["ReceiptHandle"],
                    "body": message["Body"],
                    "attributes": {"ApproximateReceiveCount": str(delivery)},
                    "eventSource": "aws:sqs",
                    "eventSourceARN": arn["QueueArn"],
                }
                for message in batch
            ]
        }
        answer = work_orders.handler(event, context or Context())
        failed = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
        for message in batch:
            if message["MessageId"] not in failed:
                self.aws.sqs.delete_message(QueueUrl=self.aws.queue, ReceiptHandle=message["ReceiptHandle"])
        return failed

    def say(self, case_id: str) -> None:
        """What `telltale orders close` sends after it changed the order."""
        body = json.dumps({"detail": {"case_id": case_id}, "look": True})
        self.aws.sqs.send_message(QueueUrl=self.aws.queue, MessageBody=body)

    def acts(self) -> list[bytes]:
        """What work_orders put on the stream of features."""
        [shard] = self.aws.kinesis.list_shards(StreamName="features")["Shards"]
        iterator = self.aws.kinesis.get_shard_iterator(
            StreamName="features", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        return [record["Data"] for record in self.aws.kinesis.get_records(ShardIterator=iterator)["Records"]]

    def labels(self) -> list[dict[str, Any]]:
        return self.table("labels")

    def table(self, name: str) -> list[dict[str, Any]]:
        """The rows of the data files for this table."""
        listed = self.aws.s3.list_objects_v2(Bucket="lake", Prefix=f"data/{name}/").get("Contents", [])
        bodies = [self.aws.s3.get_object(Bucket="lake", Key=item["Key"])["Body"].read() for item in listed]
        return [row for body in bodies for row in pq.read_table(io.BytesIO(body)).to_pylist()]


@pytest.fixture
def works(monkeypatch: pytest.MonkeyPatch) -> Iterator[Plant]:
    with aws() as made:
        for name, value in ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("TOPIC_ARN", made.topic)
        monkeypatch.setenv("WEBHOOK_SECRET_ARN", made.secret)
        monkeypatch.setenv("CMMS_SECRETS_ARN", made.cmms_secrets)
        monkeypatch.setenv("ORDERS_QUEUE_URL", made.queue)
        for module in (extract_features, detect_anomalies, work_orders, stale_sensors):
            for remembered in vars(module).values():
                if hasattr(remembered, "cache_clear"):
                    remembered.cache_clear()
        yield Plant(made)


def test_a_fault_becomes_one_order_and_its_closure_a_label(works: Plant) -> None:
    works.rows(HEALTHY_THEN_BAD)
    failed = works.queue()
    [entry] = works.logbook.entries()
    works.logbook.set_status(entry.order.ref, Status.IN_PROGRESS, by="mia")
    works.say(entry.request.case_id)
    failed += works.queue()
    works.rows(works.acts())
    works.logbook.set_status(entry.order.ref, Status.DONE, by="mia", closure=FOUND)
    works.say(entry.request.case_id)
    failed += works.queue()
    works.rows(works.acts()[1:])
    failed += works.queue()

    [case] = works.cases.all()
    assert failed == []
    assert (case.change.change, case.change.state, case.outbox) == ("resolved", "HEALTHY", "watching")
    assert case.order is not None
    assert case.order.state == Stage.CLOSED
    [label] = works.labels()
    assert (label["failure_mode"], label["note"], label["by"]) == ("IMBALANCE", "fan blade", "mia")
    seen = sorted(works.table("work_orders"), key=lambda row: row["revision"])
    assert [row["status"] for row in seen] == ["OPEN", "IN_PROGRESS", "DONE"]
    assert (seen[-1]["ref"], seen[-1]["failure_mode"]) == (entry.order.ref, "IMBALANCE")
    kinds = [event["kind"] for event in works.aws.heard() if event["kind"].startswith("Case")]
    assert kinds[0] == "Case Opened"
    assert kinds[-2:] == ["Case Acknowledged", "Case Resolved"]
    assert len(list(works.logbook.entries())) == 1


def test_two_places_of_a_machine_are_one_order_and_the_one_that_goes_quiet_ends_with_the_other(
    works: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(plant()[1], id=f"{POSITION.rsplit('/', 1)[0]}/motor-nde")
    Registry(works.aws.dynamodb, "registry").put(other)
    levels = [1.0] * 5 + [9.0] * 7 + [1.0] * 8
    works.rows([row(n, mm_s, position=name) for n, mm_s in enumerate(levels[:12]) for name in (POSITION, other.id)])
    works.queue()
    [entry] = works.logbook.entries()
    works.rows(works.acts())
    works.rows([row(n, levels[n], position=name) for n in range(12, 20) for name in (POSITION, other.id)])
    works.logbook.set_status(entry.order.ref, Status.DONE, by="mia", closure=FOUND)
    works.say(entry.request.case_id)
    works.queue()
    works.rows(works.acts()[1:])
    works.queue()
    tomorrow = work_orders.now_ms() + 24 * HOUR
    monkeypatch.setattr(work_orders, "now_ms", lambda: tomorrow)

    work_orders.handler({"source": "aws.events", "detail-type": "Scheduled Event"}, Context())
    works.queue()
    works.rows(works.acts()[2:])

    assert len(list(works.logbook.entries())) == 1
    assert {json.loads(act)["kind"] for act in works.acts()} == {"grouped", "resolved", "order"}
    assert {label["case_id"]: label["failure_mode"] for label in works.labels()} == {
        case.change.case_id: "IMBALANCE" if case.change.case_id == entry.request.case_id else "TRANSMITTED_FAULT"
        for case in works.cases.all()
    }


def test_what_a_sensor_sends_is_what_detection_judges(works: Plant) -> None:
    """The seam between the two functions: the extractor's feature records are detection's rows."""
    sent = [{"v": 1, "sensor": "s-1", "t": START_MS + n * HOUR, "velocity_rms_mm_s": {"x": 9.0}} for n in range(8)]

    works.captures(sent)
    works.rows(works.acts())
    works.queue()

    [entry] = works.logbook.entries()
    assert entry.request.position == POSITION
    assert "9" in entry.request.title


def test_a_failing_bearing_is_named_from_its_waveforms_in_the_order_with_a_picture(
    works: Plant, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the sensor's samples to what the technician reads, through every function."""
    Registry(works.aws.dynamodb, "registry").put(PUMP)

    works.captures([json.loads(wire.encode_json(shaken(n))) for n in range(4)])
    works.rows(works.acts())
    works.queue()

    [case] = works.cases.all()
    assert (case.change.change, case.change.fault) == ("opened", "BEARING_OUTER_RACE")
    [entry] = works.logbook.entries()
    assert "bearing, outer race" in entry.request.title
    assert "Diagnosis: bearing, outer race on " in entry.request.description
    assert "Check next: lubrication" in entry.request.description
    drawn = works.aws.s3.get_object(Bucket="lake", Key=case.change.evidence["picture"])["Body"].read()
    assert b"BPFO" in drawn
    assert '"CasesDiagnosed"' in capsys.readouterr().out


def shaken(n: int) -> Capture:
    """What the pump's sensor measures in the n-th hour."""
    t_ms = START_MS + n * HOUR
    waves = tuple(shaking(axis) for axis in "xyz")
    return Capture(f"s-1@{t_ms}", "xyzs", "s-1", t_ms, waveforms=waves, velocity_rms_mm_s={}, speed_rpm=1480.0)


def test_a_lost_event_loses_nothing(works: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    works.rows(HEALTHY_THEN_BAD)
    works.aws.received(works.aws.queue)
    later = work_orders.now_ms() + 120_000
    monkeypatch.setattr(work_orders, "now_ms", lambda: later)

    swept = work_orders.handler({"source": "aws.events", "detail-type": "Scheduled Event"}, Context())
    works.queue()

    assert swept == {"settled": 0, "sent": 1, "waiting": 0}
    assert len(list(works.logbook.entries())) == 1


def test_a_broken_message_fails_alone(works: Plant) -> None:
    works.rows(HEALTHY_THEN_BAD)
    works.aws.sqs.send_message(QueueUrl=works.aws.queue, MessageBody="{}")
    works.say("case-nowhere")

    failed = works.queue()

    assert len(failed) == 2
    assert len(list(works.logbook.entries())) == 1


def test_a_message_that_must_wait_is_hidden_until_its_time(works: Plant) -> None:
    with serving(Server(b"shared")) as server:
        for item in plant("webhook", url=server.url):
            Registry(works.aws.dynamodb, "registry").put(item)
        works.rows(HEALTHY_THEN_BAD)
        server.fail(times=99, status=503, Retry_After="600")

        failed = works.queue()
        hidden = works.queue()

    assert len(failed) >= 1
    assert hidden == []
    assert server.seen == ["find"]


def test_a_system_that_is_down_for_long_is_left_to_the_sweep_which_makes_the_order(
    works: Plant, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(Server(b"shared")) as server:
        for item in plant("webhook", url=server.url):
            Registry(works.aws.dynamodb, "registry").put(item)
        works.rows(HEALTHY_THEN_BAD)
        server.fail(times=2, status=503)

        last_but_one = works.queue(delivery=work_orders.TRIES - 1)
        [case] = works.cases.all()
        works.say(case.change.case_id)
        last = works.queue(delivery=work_orders.TRIES)
        in_two_minutes = work_orders.now_ms() + 120_000
        monkeypatch.setattr(work_orders, "now_ms", lambda: in_two_minutes)
        swept = work_orders.handler({"source": "aws.events", "detail-type": "Scheduled Event"}, Context())
        works.queue()

    assert len(last_but_one) >= 1
    assert last == []
    assert swept == {"settled": 0, "sent": 1, "waiting": 0}
    assert len(server.orders) == 1
    assert '"service":"work_orders","OrdersWaiting":[' in capsys.readouterr().out  # what the alarm looks at


def test_a_function_short_of_time_hands_its_messages_back(works: Plant) -> None:
    works.rows(HEALTHY_THEN_BAD)

    failed = works.queue(Context(left_ms=1_000))
    again = works.queue()

    assert len(failed) >= 1
    assert again == []
    assert len(list(works.logbook.entries())) == 1


def test_a_refused_order_is_told_to_a_person_once(works: Plant) -> None:
    for item in plant("telex"):
        Registry(works.aws.dynamodb, "registry").put(item)
    works.rows(HEALTHY_THEN_BAD)

    works.queue()
    [case] = works.cases.all()
    works.say(case.change.case_id)
    works.queue()

    assert works.aws.notices() == [f"Work order refused: {POSITION}"]
    [case] = works.cases.all()
    assert case.order is not None
    assert case.order.state == "REFUSED"
    assert "cmms 'telex' is not one of " in str(case.order.problem)


def test_a_refused_order_can_be_let_through_once_the_plant_file_is_right(works: Plant) -> None:
    for item in plant("telex"):
        Registry(works.aws.dynamodb, "registry").put(item)
    works.rows(HEALTHY_THEN_BAD)
    works.queue()
    for item in plant():
        Registry(works.aws.dynamodb, "registry").put(item)
    ledger = Ledger(works.aws.dynamodb, "ledger", owner="cli", now_ms=work_orders.now_ms)
    [case_id] = ledger.refused()

    assert ledger.reopen(case_id)
    works.say(case_id)
    works.queue()

    assert [entry.request.case_id for entry in works.logbook.entries()] == [case_id]
    assert not ledger.reopen(case_id)


def test_a_signed_hint_is_taken_over_http_and_a_forged_one_refused(works: Plant) -> None:
    with serving(Server(b"shared")) as server:
        for item in plant("webhook", url=server.url, pushes=True):
            Registry(works.aws.dynamodb, "registry").put(item)
        works.rows(HEALTHY_THEN_BAD)
        works.queue()
        server.orders["WO-1"] |= {"status": "IN_PROGRESS", "by": "mia"}

        def post(headers: dict[str, str], body: bytes) -> int:
            event = {"requestContext": {"http": {}}, "rawPath": "/plant", "headers": headers, "body": body.decode()}
            return int(work_orders.handler(event, Context())["statusCode"])

        good = post(*server.hint("WO-1"))
        forged = post(*server.hint("WO-1", secret=b"guess"))
        unsigned = post({}, b'{"ref":"WO-1"}')
        works.queue()

    assert (good, forged, unsigned) == (202, 401, 401)
    assert {json.loads(act)["kind"] for act in works.acts()} == {"order", "acknowledged"}


def test_the_clock_finds_a_silent_sensor(works: Plant) -> None:
    works.rows(HEALTHY_THEN_BAD)  # received in 2026, days ago

    first = stale_sensors.handler({}, Context())
    second = stale_sensors.handler({}, Context())

    assert (first, second) == ({"Gateway Disconnected": 1}, {})
