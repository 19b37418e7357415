"""The live stream in Monitron's format tells what detection found, and never holds it up."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from telltale.adapters.monitron_stream import MonitronStream, Retelling, account_of, connections
from telltale.core.detect import CaseChange, Row, State, Verdict, step
from telltale.core.judgement import ModelScore
from telltale.core.monitron_format import Account
from telltale.core.plant import Gateway, Limits, Plant, Position, Site
from telltale.core.presence import News

ACCOUNT = Account("111122223333", "telltale", "telltale-eu-west-1")
POSITION = Position("plant/hall/pump-7/motor-de", limits=Limits(velocity_warning_mm_s=4.0, velocity_alarm_mm_s=7.0))
PLANT = Plant({"plant": Site("plant", "The plant")}, {POSITION.id: POSITION}, {}, {"g-1": Gateway("g-1", "plant")})
VERDICT = Verdict("x", "zone", "WARNING", "WARNING", reason="above")
CHANGE = CaseChange("case-1", 1, "opened", 5, 5, "WARNING", "WARNING", "zone", "x", "x: above")


class Sites:
    """A registry of which only sites are asked."""

    def sites(self, ids: Any) -> dict[str, Site]:
        return {"plant": PLANT.sites["plant"]}


@dataclass
class Kinesis:
    """Takes records, or says why not."""

    error: Exception | None = None
    throttles: bool = False
    taken: list[dict[str, Any]] = field(default_factory=list)

    def put_records(self, *, StreamName: str, Records: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803  # boto3's
        if self.error:
            raise self.error
        if not self.throttles:
            self.taken += [{"key": one["PartitionKey"], **json.loads(one["Data"])} for one in Records]
        return {"Records": [{"ErrorCode": "Throughput"} if self.throttles else {} for _ in Records]}


def stream(kinesis: Kinesis, lost: list[tuple[int, str]]) -> MonitronStream:
    def undelivered(count: int, code: str, error: str) -> None:
        lost.append((count, code))

    return MonitronStream(kinesis, "monitron", ACCOUNT, undelivered=undelivered, sleep=lambda seconds: None)


def retelling(state: State | None = None) -> Retelling:
    packed = (state or State.new()).pack()
    return Retelling(ACCOUNT, {POSITION.id: POSITION}, {POSITION.id: packed}, Sites())  # type: ignore[arg-type]  # a fake


def row(n: int = 0, mm_s: float = 9.0) -> Row:
    return Row(f"c-{n}", "x", 1000 * n, 1000 * n + 5, "s-1", axes={"x": {"velocity_rms_mm_s": mm_s}})


def client_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "PutRecords")


def some_events() -> list[dict[str, Any]]:
    told = retelling()
    told.row(POSITION.id, row(), "g-1", [VERDICT])
    told.changes(POSITION.id, [CHANGE], previous="UNKNOWN", received_ms=7, sensor="s-1")
    return told.events


def test_events_go_to_the_stream_in_order_by_position() -> None:
    kinesis, lost = Kinesis(), list[tuple[int, str]]()

    stream(kinesis, lost).put(some_events())

    assert [one["eventType"] for one in kinesis.taken] == ["measurement", "assetStateTransition"]
    assert {one["key"] for one in kinesis.taken} == {POSITION.id}
    assert lost == []


@pytest.mark.parametrize(
    ("kinesis", "code"),
    [
        (Kinesis(throttles=True), "KINESIS_PROVISIONED_THROUGHPUT_EXCEEDED"),
        (Kinesis(client_error("ResourceNotFoundException")), "KINESIS_RESOURCE_NOT_FOUND"),
        (Kinesis(client_error("KMSDisabledException")), "KMS_DISABLED"),
        (Kinesis(client_error("AccessDeniedException")), "INTERNAL_SEVER_ERROR"),
        (Kinesis(EndpointConnectionError(endpoint_url="x")), "INTERNAL_SEVER_ERROR"),
    ],
)
def test_a_stream_that_takes_nothing_is_told_of_and_holds_up_nobody(kinesis: Kinesis, code: str) -> None:
    lost: list[tuple[int, str]] = []

    stream(kinesis, lost).put(some_events())

    assert lost == [(2, code)]


def test_what_stood_before_a_row_is_told_beside_what_stands_now() -> None:
    state = State.new()
    for n in range(6):
        state, _, _ = step(state, row(n, 1.0), POSITION)
    told = retelling(state)
    for n in range(6, 12):
        state, verdicts, _ = step(state, row(n), POSITION)
        told.row(POSITION.id, row(n), "g-1", verdicts)

    said = [event["eventPayload"]["models"]["vibrationISO"] for event in told.events]
    before = [one["previousPersistentClassificationOutput"] for one in said]
    now = [one["persistentClassificationOutput"] for one in said]
    assert (before[0], now[-1]) == ("HEALTHY", "ALARM")
    assert before[1:] == now[:-1]


def test_what_was_said_before_or_comes_from_a_model_is_no_measurement() -> None:
    told = retelling()

    told.row(POSITION.id, row(), "g-1", [])
    told.row(POSITION.id, Row("m", "", 1, 1, "", model=ModelScore(2.0, "why", "v")), None, [VERDICT])

    assert told.events == []


def test_a_case_that_opens_begins_at_healthy_and_goes_on_from_there() -> None:
    told = retelling()
    seen = CaseChange("case-1", 2, "acknowledged", 6, 5, "WARNING", "NEEDS_MAINTENANCE", "zone", "x", "seen")

    told.changes(POSITION.id, [CHANGE, seen], previous="UNKNOWN", received_ms=7, sensor=None)

    assert [event["eventPayload"]["assetState"] for event in told.events] == [
        {"newState": "WARNING", "previousState": "HEALTHY"},
        {"newState": "NEEDS_MAINTENANCE", "previousState": "WARNING"},
    ]


def test_silence_becomes_connection_events_with_the_plants_names() -> None:
    news = [News("Sensor Stale", "s-1", 5), News("Gateway Disconnected", "g-1", 5), News("Gateway Connected", "g-9", 5)]

    sensor, gateway, stranger = connections(ACCOUNT, news, PLANT, {"s-1": POSITION.id})

    assert (sensor["eventType"], sensor["eventPayload"]["siteName"]) == ("sensorDisconnected", "The plant")
    assert gateway["eventPayload"]["gateway"] == {"physicalId": "g-1"}
    assert stranger["eventPayload"]["gatewayName"] == "g-9"


def test_the_account_is_read_from_what_is_in_it() -> None:
    assert account_of("arn:aws:sns:eu-west-1:111122223333:Notices") == ACCOUNT
