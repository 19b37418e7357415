"""From feature rows to states, cases and lake rows: each record counts once, and none holds up the others."""

import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from telltale.adapters.detection import Detection
from telltale.adapters.examiner import Examiner
from telltale.adapters.feature_stream import Message, OrderTold, decode, encode_control, encode_order, read
from telltale.adapters.kinesis import by_shard
from telltale.adapters.monitron_stream import MonitronStream, account_of
from telltale.adapters.pictures import Pictures
from telltale.adapters.receipts import BatchLog, Receipt
from telltale.adapters.waveforms import Waveforms
from telltale.core.detect import Control, Row, State
from telltale.core.errors import Reason, Rejected
from telltale.core.orders import OrderChange, OrderSeen
from telltale.core.plant import Limits, Position

from tests.aws_line import POSITION, START_MS, Aws, Clock, adapters, aws, plant, records, stream_records

HOUR = 3_600_000
CLOSURE = {"failure_mode": "LUBRICATION", "failure_cause": "WEAR", "action_taken": "LUBRICATE", "note": "dry"}


def row(n: int, mm_s: float, *, position: str = POSITION, **fields: Any) -> bytes:
    """The feature record of the n-th hour."""
    t_ms = START_MS + n * HOUR
    document = {
        "v": 1,
        "kind": "features",
        "position": position,
        "site": position.split("/")[0],
        "sensor": "s-1",
        "gateway": "g-1",
        "capture_id": f"s-1@{t_ms}",
        "part": "x",
        "t_ms": t_ms,
        "received_ms": t_ms + 500,
        "speed_rpm": None,
        "temperature_c": None,
        "axes": {"x": {"velocity_rms_mm_s": mm_s}},
    }
    return json.dumps({**document, **fields}).encode()


HEALTHY_THEN_BAD = [row(n, 1.0) for n in range(5)] + [row(n, 9.0) for n in range(5, 12)]


class Line:
    """Detection on moto, fed with Lambda events."""

    def __init__(self, made: Aws, monitron: MonitronStream | None = None) -> None:
        self.aws = made
        states, cases, events, registry = adapters(made)
        for item in plant():
            registry.put(item)
        self.registry, self.cases, self.states = registry, cases, states
        self.clock = Clock()
        waveforms = Waveforms(made.s3, "lake")
        self.detection = Detection(
            states=states,
            cases=cases,
            events=events,
            registry=registry,
            examiner=Examiner(waveforms),
            pictures=Pictures(made.s3, "lake", waveforms),
            now_ms=self.clock,
            monitron=monitron,
        )
        self.receipts: list[Receipt] = []

    def feed(self, rows: Sequence[bytes], *, first: int = 1) -> None:
        """One invocation: these rows, numbered from `first`."""
        log = BatchLog(
            self.aws.s3,
            self.aws.dynamodb,
            bucket="lake",
            table="progress",
            stream="features",
            function="detect_anomalies",
            now_ms=self.clock,
        )
        for shard, batch in by_shard({"Records": records(rows, first=first)}).items():
            ran = log.run(shard, batch, self.detection.decide, self.detection.carry_out)
            self.receipts += ran.receipts
            assert ran.retry_from is None

    def table(self, name: str) -> list[dict[str, Any]]:
        """The table's rows: of the files that receipts name."""
        keys = [file.key for receipt in self.receipts for file in receipt.files if file.table == name]
        bodies = [self.aws.s3.get_object(Bucket="lake", Key=key)["Body"].read() for key in keys]
        rows = [row for body in bodies for row in pq.read_table(io.BytesIO(body)).to_pylist()]
        return sorted(rows, key=lambda row: json.dumps(row, default=str, sort_keys=True))

    def case_id(self) -> str:
        [case] = self.cases.all()
        return case.change.case_id


@pytest.fixture
def line() -> Iterator[Line]:
    with aws() as made:
        yield Line(made)


def test_a_lasting_alarm_becomes_one_case_an_event_and_a_state(line: Line) -> None:
    line.feed(HEALTHY_THEN_BAD)

    [case] = line.cases.all()
    assert (case.position, case.outbox, case.change.revision >= 1) == (POSITION, "pending", True)
    assert "9" in case.change.reason
    held = line.states.get([POSITION])[POSITION]
    assert (held.rev, held.sensor, held.gateway) == (1, "s-1", "g-1")
    assert held.last_t_ms == START_MS + 11 * HOUR
    assert held.state == State.unpack(held.core).state == case.change.state
    kinds = [event["kind"] for event in line.aws.heard()]
    assert kinds.count("Case Opened") == 1
    assert "State Changed" in kinds


def test_a_faulty_sensor_is_told_once_and_again_when_it_is_sound(line: Line) -> None:
    def felt(n: int, clipped_share: float) -> bytes:
        health = {"rms_g": 1.0, "crest": 3.0, "repeated_share": 0.0, "clipped_share": clipped_share}
        return row(n, 9.0, axes={"x": {**health, "velocity_rms_mm_s": 9.0}})

    bad, good = [felt(n, 0.4) for n in range(6)], [felt(n, 0.0) for n in range(6, 9)]
    line.feed(bad)
    state = line.aws.dynamodb.get_item(TableName="states", Key={"pk": {"S": POSITION}})["Item"]
    line.feed([*bad, *good], first=7)

    assert list(line.cases.all()) == []
    assert state["sensor_fault"]["S"] == "saturation on x"
    told = sorted((one for one in line.aws.heard() if one["kind"].startswith("Sensor ")), key=lambda one: one["t_ms"])
    assert [event["kind"] for event in told] == ["Sensor Faulty", "Sensor Recovered"]
    [fault] = told[0]["faults"]
    assert (told[0]["sensor"], fault["axis"], fault["kind"]) == ("s-1", "x", "SATURATION")
    assert "40.0% of the samples" in fault["reason"]


def test_every_row_leaves_verdicts_that_name_their_limit_or_why_there_is_none(line: Line) -> None:
    line.feed(HEALTHY_THEN_BAD)

    verdicts = line.table("verdicts")
    assert len({verdict["capture_id"] for verdict in verdicts}) == len(HEALTHY_THEN_BAD)
    for verdict in verdicts:
        assert verdict["reason"] or verdict["limit"] is not None
        assert verdict["limit"] is None or verdict["limit_source"]
        assert verdict["code_version"]


def test_a_delivered_stretch_may_come_again_in_any_cut_and_counts_once(line: Line) -> None:
    line.feed(HEALTHY_THEN_BAD[:7])
    line.feed(HEALTHY_THEN_BAD[:7])
    line.feed(HEALTHY_THEN_BAD[3:], first=4)
    line.feed(HEALTHY_THEN_BAD)

    assert sum(receipt.records for receipt in line.receipts) == len(HEALTHY_THEN_BAD)
    assert len(list(line.cases.all())) == 1
    assert len(line.table("verdicts")) == len({(v["capture_id"], v["rule"]) for v in line.table("verdicts")})


def test_a_row_that_the_gateway_sent_twice_is_counted_as_duplicate(line: Line) -> None:
    line.feed([row(1, 1.0), row(1, 1.0, received_ms=START_MS + 2 * HOUR), row(2, 1.0)])

    [receipt] = line.receipts
    assert (receipt.records, receipt.stored, receipt.duplicate, receipt.quarantined) == (3, 2, 1, 0)


def test_a_heartbeat_without_measurements_is_no_duplicate_and_keeps_the_sensor_present(line: Line) -> None:
    line.feed([row(1, 1.0, axes={})])

    assert (line.receipts[0].stored, line.receipts[0].duplicate) == (1, 0)
    assert line.states.get([POSITION])[POSITION].last_received_ms == START_MS + HOUR + 500


def test_what_was_received_last_says_when_and_through_whom_a_position_was_heard(line: Line) -> None:
    line.feed([row(2, 1.0, gateway="g-2"), row(3, 1.0, received_ms=START_MS, gateway="g-1")])

    held = line.states.get([POSITION])[POSITION]
    assert (held.gateway, held.last_received_ms) == ("g-2", START_MS + 2 * HOUR + 500)


def test_an_event_about_a_case_comes_after_the_case_and_before_the_state(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: Any) -> None:
        raise Dies

    monkeypatch.setattr(line.detection._events, "put", dies)
    with pytest.raises(Dies):
        line.feed(HEALTHY_THEN_BAD)

    assert len(list(line.cases.all())) == 1
    assert line.states.get([POSITION]) == {}


def test_a_case_says_when_the_capture_that_opened_it_was_received(line: Line) -> None:
    line.feed(HEALTHY_THEN_BAD)
    [opened] = line.aws.dynamodb.scan(TableName="cases")["Items"]
    line.clock.go(s=60)
    line.feed([encode_control(POSITION, Control("acknowledged", line.case_id(), START_MS, "mia"))], first=100)

    items = line.aws.dynamodb.scan(TableName="cases")["Items"]
    assert [int(item["changed_at"]["N"]) for item in items] == [line.clock.now_ms]
    assert "received_ms" not in items[0]  # a person's act was received from no sensor
    lag_ms = int(opened["changed_at"]["N"]) - int(opened["received_ms"]["N"])
    assert [int(item["lag_ms"]["N"]) for item in (opened, *items)] == [lag_ms, lag_ms]


BAD = {
    "not json": (b"\x00\xff", Reason.BAD_PAYLOAD),
    "a list": (b"[]", Reason.BAD_PAYLOAD),
    "another version": (row(1, 1.0, v=2), Reason.BAD_PAYLOAD),
    "not a number": (row(1, float("nan")), Reason.BAD_PAYLOAD),
    "another kind": (row(1, 1.0, kind="shelved"), Reason.BAD_FIELD),
    "a missing time": (row(1, 1.0, t_ms=None), Reason.BAD_FIELD),
    "a text for a number": (row(1, 1.0, temperature_c="warm"), Reason.BAD_FIELD),
    "a truth for a number": (row(1, 1.0, axes={"x": {"velocity_rms_mm_s": True}}), Reason.BAD_FIELD),
    "an axis of nothing": (row(1, 1.0, axes={"x": 3}), Reason.BAD_FIELD),
    "an unknown position": (row(1, 1.0, position="plant/hall/ghost/de"), Reason.UNKNOWN_POSITION),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_record_is_set_aside_with_its_bytes_and_the_shard_goes_on(line: Line, name: str) -> None:
    data, reason = BAD[name]

    line.feed([row(0, 1.0), data, row(2, 1.0)])

    [receipt] = line.receipts
    assert (receipt.stored, receipt.duplicate, receipt.quarantined) == (2, 0, 1)
    [kept] = line.table("quarantine")
    assert (kept["payload"], kept["reason"], kept["quarantine_id"]) == (data, reason, "shardId-000000000000:2")
    [rejected] = [event for event in line.aws.heard() if event["kind"] == "Capture Rejected"]
    assert (rejected["reason"], rejected["quarantine_id"]) == (reason, kept["quarantine_id"])


def test_a_position_with_settings_that_make_no_sense_does_not_hold_up_the_others(line: Line) -> None:
    line.registry.put(Position("plant/hall/fan/de", settings={"warning_n": 99}))

    line.feed([row(0, 1.0, position="plant/hall/fan/de"), row(0, 1.0)])

    [kept] = line.table("quarantine")
    assert kept["reason"] == Reason.BAD_SETTINGS
    assert "plant/hall/fan/de" in kept["detail"]
    assert line.receipts[0].stored == 1


def test_positions_that_are_judged_together_are_decided_on_as_one_by_one(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"plant/hall/pump-{n}/de" for n in range(3)]
    for name in names:
        line.registry.put(Position(name, limits=Limits(velocity_warning_mm_s=4.5), settings={"warmup": 3}))
    values = [1.0, 1.1, 0.9, 1.0, 9.0, 9.0, 9.0, 9.0, 1.0]
    rows = [
        row(n, mm_s * (1 + place), position=name) for n, mm_s in enumerate(values) for place, name in enumerate(names)
    ]
    [stretch] = by_shard({"Records": records([*rows, *rows[:4], b"{"])}).values()

    together = line.detection.decide("b-1", stretch)
    monkeypatch.setattr("telltale.core.batch.FEWEST", 99)

    assert together == line.detection.decide("b-1", stretch)
    assert together.duplicate == 4
    assert len(together.effects["cases"]) >= 3


def test_what_a_technician_did_ends_the_case_and_leaves_a_label(line: Line) -> None:
    line.feed(HEALTHY_THEN_BAD)
    at_ms = START_MS + 20 * HOUR
    acts = [
        Control("acknowledged", line.case_id(), at_ms, "mia"),
        Control("resolved", line.case_id(), at_ms + HOUR, "mia", CLOSURE),
        Control("resolved", line.case_id(), at_ms + HOUR, "mia", CLOSURE),
    ]

    line.feed([encode_control(POSITION, act) for act in acts], first=100)

    [label] = line.table("labels")
    assert (label["failure_mode"], label["action_taken"], label["by"], label["note"]) == (
        "LUBRICATION",
        "LUBRICATE",
        "mia",
        "dry",
    )
    case = line.cases.get(line.case_id())
    assert case is not None
    assert (case.change.change, case.change.state, case.outbox) == ("resolved", "HEALTHY", "pending")
    assert "9" in case.change.reason  # still why it was opened
    acted = [row for row in line.table("cases") if row["by"] == "mia"]
    assert {row["change"] for row in acted} == {"acknowledged", "resolved"}
    assert {row["heard_at"].timestamp() * 1000 for row in acted} == {START_MS}
    assert {row["after"].timestamp() * 1000 for row in acted} == {START_MS + 11 * HOUR + 500}
    assert (line.receipts[-1].stored, line.receipts[-1].duplicate) == (2, 1)


def test_a_case_that_is_shelved_and_joins_another_says_so_in_the_lake_and_on_the_bus(line: Line) -> None:
    line.feed(HEALTHY_THEN_BAD)
    case_id, until_ms = line.case_id(), START_MS + 100 * HOUR
    shelved = Control("shelved", case_id, START_MS + 20 * HOUR, "mia", until_ms=until_ms, why="overhaul")
    grouped = Control("grouped", case_id, START_MS + 21 * HOUR, "telltale", parent="case-b", why="the same machine")

    line.feed([encode_control(POSITION, act) for act in (shelved, grouped, shelved)], first=100)

    rows = {row["change"]: row for row in line.table("cases")}
    assert (rows["shelved"]["shelved_until"].timestamp() * 1000, rows["shelved"]["by"]) == (until_ms, "mia")
    assert rows["shelved"]["reason"].endswith("by mia: overhaul")
    assert (rows["grouped"]["parent"], rows["grouped"]["revision"]) == ("case-b", rows["shelved"]["revision"] + 1)
    case = line.cases.get(case_id)
    assert case is not None
    assert (case.change.until_ms, case.change.parent, case.change.state) == (until_ms, "case-b", "ALARM")
    assert [one["change"] for one in case.history][-2:] == ["shelved", "grouped"]
    told = {event["kind"]: event for event in line.aws.heard()}
    assert (told["Case Shelved"]["until_ms"], told["Case Grouped"]["parent"]) == (until_ms, "case-b")


def test_rows_that_contradict_a_repair_open_the_case_again_with_why_and_what_was_known(line: Line) -> None:
    line.feed(HEALTHY_THEN_BAD)
    closing = Control("resolved", line.case_id(), START_MS, "mia", CLOSURE)

    line.feed([encode_control(POSITION, closing), *(row(n, 9.0) for n in range(12, 19))], first=100)

    [case] = line.cases.all()
    assert (case.change.change, case.is_over, case.outbox) == ("reopened", False, "pending")
    assert case.change.reason.startswith("still ")
    assert case.change.closure is None
    assert case.change.evidence["repair"]["outcome"] == "reopened"
    assert case.history[-1]["repair"]["monitors"][0]["samples"] == 6
    assert [event["change"] for event in line.aws.heard() if event["kind"] == "Case Reopened"] == ["reopened"]
    rows = {one["change"]: one for one in line.table("cases")}
    assert "after closing" in rows["reopened"]["reason"]
    assert rows["reopened"]["state"] == "ALARM"


def test_rows_that_confirm_a_repair_leave_the_case_closed_as_it_was(line: Line) -> None:
    line.feed(HEALTHY_THEN_BAD)
    [opened] = line.cases.all()
    closing = Control("resolved", line.case_id(), START_MS, "mia", CLOSURE)

    line.feed([encode_control(POSITION, closing), *(row(n, 1.0) for n in range(12, 19))], first=100)

    [case] = line.cases.all()
    assert (case.change.change, case.is_over, case.closed_ms) == ("confirmed", True, START_MS)
    assert (case.change.closure, case.change.by) == (CLOSURE, "mia")
    assert case.change.reason == opened.change.reason
    assert "confirmed below" in case.history[-1]["reason"]
    assert [event["kind"] for event in line.aws.heard() if event["kind"] == "Case Confirmed"] == ["Case Confirmed"]


def test_a_label_is_corrected_and_the_lake_has_both(line: Line) -> None:
    line.feed(HEALTHY_THEN_BAD)
    at_ms = START_MS
    false = {"failure_mode": "NO_ISSUE", "failure_cause": "OTHER", "action_taken": "NO_ACTION", "note": ""}
    acts = [Control("resolved", line.case_id(), at_ms, "mia", false)]
    acts += [Control("labelled", line.case_id(), at_ms, "kim", CLOSURE, why="it was dry after all")] * 2

    line.feed([encode_control(POSITION, act) for act in acts], first=100)

    [case] = line.cases.all()
    assert (case.change.change, case.change.closure, case.change.by) == ("labelled", CLOSURE, "kim")
    assert sorted(label["failure_mode"] for label in line.table("labels")) == ["LUBRICATION", "NO_ISSUE"]
    assert line.receipts[-1].duplicate == 1


def test_what_is_said_of_a_case_that_another_one_followed_stands_in_its_history_once(line: Line) -> None:
    line.feed(HEALTHY_THEN_BAD)
    first = line.case_id()
    no_issue = {"failure_mode": "NO_ISSUE", "failure_cause": "OTHER", "action_taken": "NO_ACTION", "note": ""}
    line.feed([encode_control(POSITION, Control("resolved", first, START_MS, "mia", no_issue))], first=100)
    line.feed([row(n, 30.0) for n in range(12, 20)], first=200)
    again = encode_control(POSITION, Control("reopened", first, START_MS, "kim", why="it was no false alarm"))
    label = encode_control(POSITION, Control("labelled", first, START_MS, "kim", CLOSURE))

    line.feed([again, label, label], first=300)
    line.feed([label, again], first=400)

    [case] = [one for one in line.cases.all() if one.change.case_id == first]
    [second] = [one for one in line.cases.all() if one.change.case_id != first]
    assert (case.is_over, case.change.closure) == (True, CLOSURE)
    assert [one["change"] for one in case.history][-2:] == ["noted", "labelled"]
    assert case.history[-2]["reason"] == (
        f"not reopened, by kim: it was no false alarm; {second.change.case_id} was opened at this position since"
    )
    assert not second.is_over


def test_nothing_is_done_later_than_it_was_heard_whatever_a_clock_says(line: Line) -> None:
    line.feed(HEALTHY_THEN_BAD)
    closing = Control("resolved", line.case_id(), START_MS + 10**12, "mia", CLOSURE)

    line.feed([encode_control(POSITION, closing), *(row(n, 1.0) for n in range(12, 19))], first=100)

    [case] = line.cases.all()
    assert (case.change.change, case.closed_ms) == ("confirmed", START_MS)


def ordered(case_id: str, revision: int, status: str, **seen: Any) -> bytes:
    """The record of a change of an order."""
    change = "created" if revision == 1 else "status"
    found = OrderSeen(case_id, "webhook", "WO-1", status, status.lower(), START_MS, "ALARM: Pump 7", "ALARM", **seen)
    return encode_order(POSITION, OrderChange(revision, change, START_MS + revision, found))


def test_a_change_of_a_work_order_is_kept_once_however_often_it_is_told(line: Line) -> None:
    line.feed(HEALTHY_THEN_BAD)
    case_id = line.case_id()
    made, done = ordered(case_id, 1, "OPEN"), ordered(case_id, 2, "DONE", by="mia", closure=CLOSURE)

    line.feed([made, made], first=20)
    line.feed([made, done], first=22)
    line.feed([done, made], first=24)

    rows = sorted(line.table("work_orders"), key=lambda row: row["revision"])
    assert [(row["change"], row["status"], row["ref"], row["failure_mode"]) for row in rows] == [
        ("created", "OPEN", "WO-1", None),
        ("status", "DONE", "WO-1", "LUBRICATION"),
    ]
    assert (rows[1]["by"], rows[1]["note"], rows[1]["position"], rows[1]["cmms"]) == ("mia", "dry", POSITION, "webhook")
    assert [(one.stored, one.duplicate) for one in line.receipts[-3:]] == [(1, 1), (1, 1), (0, 2)]


def test_an_order_with_a_clock_of_its_own_and_of_a_lost_position_is_kept(line: Line) -> None:
    line.feed(HEALTHY_THEN_BAD)
    found = OrderSeen(line.case_id(), "webhook", "WO-1", "OPEN", "new", changed_ms=10**17)

    line.feed([encode_order("plant/gone/pump/de", OrderChange(1, "created", START_MS, found))], first=20)

    [row] = line.table("work_orders")
    assert (row["position"], row["site"], row["changed_at"]) == ("plant/gone/pump/de", "plant", None)


def test_a_change_of_an_order_survives_the_stream() -> None:
    seen = OrderSeen("case-1", "logbook", "A", "DONE", "DONE", 5, "t", "ALARM", "asset", "mia", CLOSURE, "no")
    change = OrderChange(3, "status", START_MS, seen)

    assert read(encode_order(POSITION, change)) == OrderTold(POSITION, change)


def test_a_label_without_codes_says_undetermined(line: Line) -> None:
    line.feed(HEALTHY_THEN_BAD)

    line.feed([encode_control(POSITION, Control("resolved", line.case_id(), START_MS, "mia", {}))], first=100)

    [label] = line.table("labels")
    assert (label["failure_mode"], label["failure_cause"]) == ("UNDETERMINED", "UNDETERMINED")


class Dies(Exception):
    """The function dies here."""


@pytest.mark.parametrize("part", ["cases", "events", "states"])
@pytest.mark.parametrize("after", [False, True])
def test_a_crash_while_it_is_made_known_is_made_good_by_the_next_invocation(
    line: Line, monkeypatch: pytest.MonkeyPatch, part: str, after: bool
) -> None:
    whole = line.states if part == "states" else getattr(line.detection, f"_{part}")
    put = whole.put

    def dying(*args: Any, **named: Any) -> None:
        if after:
            put(*args, **named)
        raise Dies

    monkeypatch.setattr(whole, "put", dying)
    with pytest.raises(Dies):
        line.feed(HEALTHY_THEN_BAD)
    monkeypatch.setattr(whole, "put", put)
    line.feed(HEALTHY_THEN_BAD[2:4], first=3)

    assert [receipt.records for receipt in line.receipts] == [len(HEALTHY_THEN_BAD)]
    assert len(list(line.cases.all())) == 1
    assert line.states.get([POSITION])[POSITION].rev == 1
    ids = [event["id"] for event in line.aws.heard() if event["kind"] == "Case Opened"]
    assert len(ids) >= 1
    assert len(set(ids)) == 1


class Dead:
    """A stream that takes nothing."""

    def put_records(self, **call: Any) -> dict[str, Any]:
        raise ClientError({"Error": {"Code": "KMSDisabledException", "Message": "no"}}, "PutRecords")


def monitron(client: Any, lost: list[str]) -> MonitronStream:
    account = account_of("arn:aws:sns:us-east-1:111122223333:notices")
    return MonitronStream(client, "monitron", account, undelivered=lambda count, code, error: lost.append(code))


def test_a_stage_with_monitrons_stream_is_told_each_row_and_each_state_once() -> None:
    with aws() as made:
        made.kinesis.create_stream(StreamName="monitron", ShardCount=1)
        line = Line(made, monitron(made.kinesis, []))
        line.feed(HEALTHY_THEN_BAD)
        line.feed(HEALTHY_THEN_BAD, first=len(HEALTHY_THEN_BAD) + 1)
        line.feed([encode_control(POSITION, Control("resolved", line.case_id(), START_MS, "mia", CLOSURE))], first=99)
        told = [json.loads(body) for body in stream_records(made, "monitron")]

    kinds = [event["eventType"] for event in told]
    states = [
        event["eventPayload"]["assetState"]["newState"]
        for event in told
        if event["eventType"] == "assetStateTransition"
    ]
    assert kinds.count("measurement") == len(HEALTHY_THEN_BAD)
    assert states in (["WARNING", "ALARM", "HEALTHY"], ["ALARM", "HEALTHY"])
    assert told[-1]["eventPayload"]["closureCode"]["actionTaken"] == "LUBRICATE"
    assert len({event["eventId"] for event in told}) == len(told)


def test_a_stream_that_takes_nothing_delays_no_case() -> None:
    lost: list[str] = []
    with aws() as made:
        line = Line(made, monitron(Dead(), lost))
        line.feed(HEALTHY_THEN_BAD)

        assert line.case_id()
    assert set(lost) == {"KMS_DISABLED"}


values = st.lists(st.tuples(st.floats(0, 20), st.booleans()), min_size=1, max_size=25)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(values=values, cuts=st.lists(st.integers(1, 25), max_size=4), seed=st.randoms(use_true_random=False))
def test_the_outcome_does_not_depend_on_how_the_stream_is_cut_into_batches(
    values: list[tuple[float, bool]], cuts: list[int], seed: Any
) -> None:
    """Nor on stretches delivered again in between: verdicts, cases and the final state are the same to the bit."""
    rows = []
    for n, (mm_s, again) in enumerate(values):
        rows += [row(n, mm_s, temperature_c=mm_s * 4)] * (2 if again else 1)

    with aws() as made:
        whole = Line(made)
        whole.feed(rows)
        expected = (whole.table("verdicts"), whole.table("cases"), whole.states.get([POSITION])[POSITION].core)
    with aws() as made:
        cut = Line(made)
        for end in sorted({min(cut_at, len(rows)) for cut_at in cuts} | {len(rows)}):
            start = seed.randint(0, end - 1)
            cut.feed(rows[:end])
            cut.feed(rows[start:end], first=start + 1)
        found = (cut.table("verdicts"), cut.table("cases"), cut.states.get([POSITION])[POSITION].core)

    assert found == expected


def test_tags_travel_and_a_record_of_a_version_without_them_has_none() -> None:
    tagged, before = decode(row(1, 1.0, tags={"load_kw": 41, "flow": 0.5})).item, decode(row(1, 1.0)).item

    assert isinstance(tagged, Row)
    assert isinstance(before, Row)
    assert (tagged.tags, before.tags) == ({"load_kw": 41.0, "flow": 0.5}, {})


@pytest.mark.parametrize("value", ['"41"', "true", "null", "1e999", "-1e999", f"1{0:0400}", "NaN", "[1]"])
def test_a_tag_that_is_no_finite_number_is_rejected(value: str) -> None:
    record = row(1, 1.0, tags={"load_kw": 41}).replace(b"41", value.encode())

    with pytest.raises(Rejected):
        decode(record)


@given(st.binary(max_size=60))
def test_no_bytes_do_more_than_be_rejected(data: bytes) -> None:
    with pytest.raises(Rejected):
        decode(data)


documents = st.dictionaries(
    st.sampled_from(
        ["position", "capture_id", "part", "t_ms", "sensor", "axes", "tags", "kind", "case_id", "closure", "by"]
    ),
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=1)
    | st.dictionaries(st.text(max_size=2), st.none() | st.integers() | st.text(max_size=2), max_size=2),
)  # fmt: skip


@given(documents, st.sampled_from(["features", "acknowledged", "resolved"]))
def test_no_document_does_more_than_be_decoded_or_rejected(document: dict[str, Any], kind: str) -> None:
    whole = {**json.loads(row(1, 1.0)), "case_id": "c", "by": "mia", "kind": kind, **document}

    try:
        message = decode(json.dumps(whole).encode())
    except Rejected:
        return
    assert isinstance(message, Message)


def test_an_act_survives_the_stream() -> None:
    act = Control("resolved", "case-a", 1, "mia", CLOSURE)

    assert decode(encode_control(POSITION, act)) == Message(POSITION, act)
