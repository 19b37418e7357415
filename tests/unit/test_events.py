"""What goes on the event bus is what docs/events promises, and a bus that refuses some gets them again."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from cfnlint.jsonschema import StandardValidator  # type: ignore[import-untyped]  # no stubs published
from moto import mock_aws
from telltale.adapters import events, models, scoring
from telltale.adapters.events import Event, Events
from telltale.core.closure import ACTIONS_TAKEN, FAILURE_CAUSES, FAILURE_MODES
from telltale.core.detect import CaseChange, Row
from telltale.core.errors import Reason, RetryLater
from telltale.core.findings import FAULTS, VERDICTS
from telltale.core.sensor import KINDS
from telltale.core.streams import Reason as Statistic
from telltale.core.tag_streams import WORDS, Alarm, Told

EVENTS = Path(__file__).resolve().parents[2] / "docs" / "events"
SCHEMAS = [json.loads(path.read_text()) for path in EVENTS.glob("*.schema.json")]
POSITION = "plant/hall/pump-1/motor-de"
CHANGE = CaseChange(
    case_id="case-" + "a" * 20,
    revision=1,
    change="opened",
    t_ms=1_790_000_000_000,
    opened_ms=1_790_000_000_000,
    severity="WARNING",
    state="WARNING",
    rule="zone",
    channel="x",
    reason="4.8 mm/s is above 4.5",
)
DIAGNOSIS = {
    "verdict": "BEARING_OUTER_RACE",
    "confidence": 0.87,
    "reason": "BPFO stands 9 times above the noise",
    "findings": [
        {"fault": "IMBALANCE", "supports": ["1× is high"], "contradicts": []},
        {"fault": "BEARING_OUTER_RACE", "supports": ["BPFO stands 9 times above the noise"], "contradicts": ["no 2×"]},
    ],
    "capture_id": "s-1@1",
    "t_ms": 1_790_000_000_000,
    "axes": "xyz",
}
DIAGNOSED = replace(CHANGE, change="updated", fault="BEARING_OUTER_RACE", evidence={"diagnosis": DIAGNOSIS})
SCORED = {
    "asset": "plant/hall/pump-1",
    "site": "plant",
    "position": POSITION,
    "model": "20260901T000000-0123456789ab",
    "t": 1_790_000_000_000,
    "score": 0.7,
    "deviation": 2.3,
    "prediction_reason": "ANOMALY_DETECTED",
    "contributions": {"process/flow": 0.62, "motor-de/x/rms_g": 0.21},
}
FIRST = models.Promotion("20260901T000000-0123456789ab", 1_790_000_000_000, "mia", "the first")
CLOSURE = {"failure_mode": "LUBRICATION", "failure_cause": "WEAR", "action_taken": "LUBRICATE", "note": "dry"}
RESOLVED = CaseChange(**{**CHANGE.__dict__, "revision": 2, "change": "resolved", "closure": CLOSURE, "by": "mia"})
JUMPED = Alarm(
    "flow", Row("c1", "s", 1, 1, "s-1"), Told(1, 30.0, 0.7, "HIGH", "flow 30: higher than ever before"), True, True, 600
)
EXAMPLES = [
    events.case_changed(POSITION, CHANGE),
    events.case_changed(POSITION, DIAGNOSED),
    events.case_changed(POSITION, CaseChange(**{**CHANGE.__dict__, "change": "acknowledged", "by": "mia"})),
    events.case_changed(POSITION, RESOLVED),
    events.case_changed(POSITION, CaseChange(**{**CHANGE.__dict__, "change": "shelved", "until_ms": 9, "by": "mia"})),
    events.case_changed(POSITION, CaseChange(**{**CHANGE.__dict__, "change": "unshelved", "by": "telltale"})),
    events.case_changed(POSITION, CaseChange(**{**CHANGE.__dict__, "change": "grouped", "parent": "case-b"})),
    events.case_changed(POSITION, CaseChange(**{**CHANGE.__dict__, "change": "reopened", "revision": 3})),
    events.case_changed(POSITION, CaseChange(**{**CHANGE.__dict__, "change": "confirmed", "revision": 3})),
    events.case_changed(POSITION, CaseChange(**{**RESOLVED.__dict__, "change": "labelled", "revision": 3})),
    events.case_changed(POSITION, CaseChange(**{**CHANGE.__dict__, "change": "noted", "revision": 3})),
    events.state_changed(POSITION, "HEALTHY", "ALARM", t_ms=1, case_id=CHANGE.case_id),
    events.capture_rejected("shardId-0:1", reason=Reason.BAD_RATE, detail="fs_hz is 0", received_ms=1, sensor="s-1"),
    events.sensor_presence(
        "Sensor Stale", "s-1", position=POSITION, gateway="g-1", last_received_ms=1, interval_s=3600
    ),
    events.sensor_presence("Sensor Back", "s-1", position=POSITION, gateway=None, last_received_ms=9, interval_s=60),
    events.sensor_health(
        "Sensor Faulty",
        "s-1",
        position=POSITION,
        t_ms=1,
        faults=[{"axis": "x", "kind": "SATURATION", "reason": "saturation: 20 %"}],
    ),
    events.sensor_health("Sensor Recovered", "s-1", position=POSITION, t_ms=9),
    *events.tag_told(POSITION, JUMPED),
    events.gateway_presence("Gateway Disconnected", "g-1", site="plant", sensors=["s-1"], last_received_ms=1),
    events.gateway_presence("Gateway Connected", "g-1", site="plant", sensors=["s-1"], last_received_ms=9),
    scoring.asset_state("Asset Anomalous", SCORED),
    scoring.asset_state("Asset Normal", SCORED | {"prediction_reason": "NO_ANOMALY_DETECTED"}),
    models.model_promoted(models.Live("plant/hall/pump-1", 1, (FIRST,))),
    models.model_promoted(models.Live("plant/hall/pump-1", 2, (FIRST, FIRST))),
]


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.kind)
def test_every_event_has_the_documented_shape_and_no_other_field(event: Event) -> None:
    [schema] = [schema for schema in SCHEMAS if event.kind in schema["x-detail-types"]]

    problems = list(StandardValidator(schema).iter_errors(dict(event.detail)))

    assert problems == []
    assert set(schema["required"]) <= set(event.detail) <= set(schema["properties"])


def test_every_documented_event_is_sent_by_someone() -> None:
    documented = sorted(kind for schema in SCHEMAS for kind in schema["x-detail-types"])

    assert documented == sorted({event.kind for event in EXAMPLES})


def test_an_event_tells_the_diagnosis_in_short_with_what_speaks_for_and_against_the_fault() -> None:
    short = events.case_changed(POSITION, DIAGNOSED).detail["diagnosis"]

    assert short["supports"] == ["BPFO stands 9 times above the noise"]
    assert short["contradicts"] == ["no 2×"]
    assert "findings" not in short


def test_a_diagnosis_that_could_not_be_made_is_not_in_the_event() -> None:
    without = replace(CHANGE, evidence={"diagnosis": {"reason": "the capture came without waveforms"}})

    assert "diagnosis" not in events.case_changed(POSITION, without).detail


def test_the_documented_lists_are_the_ones_the_code_knows() -> None:
    by_title = {schema["title"]: schema["properties"] for schema in SCHEMAS}
    codes = by_title["A case changed"]["closure"]["properties"]

    assert tuple(codes["failure_mode"]["enum"]) == FAILURE_MODES
    assert tuple(codes["failure_cause"]["enum"]) == FAILURE_CAUSES
    assert tuple(codes["action_taken"]["enum"]) == ACTIONS_TAKEN
    assert tuple(by_title["A case changed"]["fault"]["enum"]) == tuple(FAULTS)
    assert tuple(by_title["A case changed"]["diagnosis"]["properties"]["verdict"]["enum"]) == VERDICTS
    [faults] = [one["faults"]["items"]["properties"] for one in by_title.values() if "faults" in one]
    assert tuple(faults["kind"]["enum"]) == tuple(KINDS)
    assert by_title["A record was quarantined"]["reason"]["enum"] == [reason.value for reason in Reason]


class MoodyBus:
    """Refuses every second entry the first `moods` times, as a throttled bus does: with 200 and a count."""

    def __init__(self, client: Any, moods: int) -> None:
        self.client, self.moods = client, moods

    def put_events(self, Entries: list[dict[str, str]]) -> Any:  # noqa: N803 (boto3's own spelling)
        if self.moods == 0:
            return self.client.put_events(Entries=Entries)
        self.moods -= 1
        refused = set(range(0, len(Entries), 2))
        if accepted := [entry for index, entry in enumerate(Entries) if index not in refused]:
            self.client.put_events(Entries=accepted)
        results = [{"ErrorCode": "ThrottlingException"} if i in refused else {} for i in range(len(Entries))]
        return {"FailedEntryCount": len(refused), "Entries": results}


@pytest.fixture
def heard() -> Iterator[tuple[Any, Any]]:
    """A bus, and a function that says which detail ids arrived at a queue behind it."""
    with mock_aws():
        bus = boto3.client("events", region_name="eu-central-1")
        sqs = boto3.client("sqs", region_name="eu-central-1")
        queue = sqs.create_queue(QueueName="heard")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        bus.create_event_bus(Name="bus")
        bus.put_rule(Name="all", EventBusName="bus", EventPattern='{"source":["telltale"]}')
        bus.put_targets(Rule="all", EventBusName="bus", Targets=[{"Id": "q", "Arn": arn}])

        def ids() -> list[str]:
            found: list[str] = []
            while batch := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
                found += [json.loads(message["Body"])["detail"]["id"] for message in batch]
            return sorted(found)

        yield bus, ids


def many(count: int) -> list[Event]:
    return [Event("State Changed", {"version": "1", "id": f"{index:02}"}) for index in range(count)]


def test_more_events_than_fit_in_a_call_all_arrive(heard: tuple[Any, Any]) -> None:
    bus, ids = heard

    Events(bus, "bus").put(many(23))

    assert ids() == [f"{index:02}" for index in range(23)]


def test_what_the_bus_refuses_is_sent_again_and_the_rest_is_not(heard: tuple[Any, Any]) -> None:
    bus, ids = heard

    Events(MoodyBus(bus, moods=2), "bus", sleep=lambda _: None).put(many(8))  # type: ignore[arg-type]  # a fake bus

    assert ids() == [f"{index:02}" for index in range(8)]


def test_a_bus_that_keeps_refusing_is_tried_again_later(heard: tuple[Any, Any]) -> None:
    bus, _ = heard

    with pytest.raises(RetryLater):
        Events(MoodyBus(bus, moods=99), "bus", sleep=lambda _: None).put(many(1))  # type: ignore[arg-type]  # a fake bus


def test_every_statistic_that_may_be_told_is_documented_and_has_words() -> None:
    [schema] = [schema for schema in SCHEMAS if "Tag Anomalous" in schema["x-detail-types"]]

    assert schema["properties"]["statistic"]["enum"] == [one.name for one in WORDS]
    assert list(WORDS) == [one for one in Statistic if one >= Statistic.HIGH]
