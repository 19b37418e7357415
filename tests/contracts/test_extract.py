"""Messages become rows, feature records and quarantine; each once, whatever a gateway sends."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import extract_features
import numpy as np
import pyarrow.parquet as pq
import pytest
from telltale.adapters.marks import Marks
from telltale.adapters.registry import Registry
from telltale.core import schema
from telltale.core.capture import Capture, Waveform
from telltale.core.errors import RetryLater
from telltale.core.plant import Bearing, Gateway, Position

from tests.contracts.ingest import NOW, PUMP, SHARD, Ingest, lambda_event, record, scalars

FS = 26_667.0


@pytest.fixture
def ingest(moto_aws: None) -> Ingest:
    return Ingest()


def wave(axis: str, n: int = 8192) -> Waveform:
    """A sine of 1 g amplitude at 100 Hz, in thousandths of a g."""
    samples = np.round(1000 * np.sin(2 * np.pi * 100 * np.arange(n) / FS)).astype(np.int16)
    return Waveform(axis, samples, FS, 0.001, "g")


def vibration(axes: str, **fields: Any) -> Capture:
    capture = replace(scalars(1), part=axes, temperature_c=None, waveforms=tuple(wave(axis) for axis in axes))
    return replace(capture, **fields)


def test_a_capture_becomes_rows_in_every_table_it_has_something_for(ingest: Ingest) -> None:
    capture = vibration("xz", part="xzs", temperature_c=41.5, speed_rpm=1490.0, tags={"flow": 3.0, "head": 2.0})

    ingest.run([record(1, capture)])

    [row] = ingest.rows("captures")
    assert (row["position"], row["site"], row["gateway"], row["part"]) == (PUMP.id, "hall", "gw-1", "xzs")
    assert (row["temperature_c"], row["speed_rpm"], row["record_id"]) == (41.5, 1490.0, f"{SHARD}:1")
    assert [(row["axis"], len(row["samples"])) for row in ingest.rows("waveforms")] == [("x", 8192), ("z", 8192)]
    assert [row["axis"] for row in ingest.rows("features")] == ["x", "z"]
    assert {row["tag"]: row["value"] for row in ingest.rows("readings")} == {"flow": 3.0, "head": 2.0}
    assert ingest.rows("features")[0]["rms_g"] == pytest.approx(2**-0.5, rel=1e-3)
    assert ingest.count() == (1, 1, 0, 0)


def test_a_feature_record_says_what_detection_needs(ingest: Ingest) -> None:
    ingest.run([record(1, vibration("x", part="xs", temperature_c=41.5, tags={"flow": 3.5}))])

    [told] = ingest.feature_records()
    [file] = [file.key for receipt in ingest.receipts() for file in receipt.files if file.table == "waveforms"]
    axes = told.pop("axes")
    assert set(told.pop("digests")) == {"captures", "waveforms x", "features x"}
    assert told == {
        "v": 1,
        "kind": "features",
        "position": PUMP.id,
        "site": "hall",
        "sensor": "s-1",
        "gateway": "gw-1",
        "capture_id": f"s-1@{NOW + 1000}",
        "part": "xs",
        "t_ms": NOW + 1000,
        "received_ms": NOW + 1_000_000,
        "speed_rpm": None,
        "temperature_c": 41.5,
        "tags": {"flow": 3.5},
        "battery_pct": None,
        "rssi_dbm": None,
        "waveforms": file,
    }
    assert axes["x"]["velocity_rms_mm_s"] == pytest.approx(9806.65 / (2 * np.pi * 100) / 2**0.5, rel=0.02)
    assert None not in axes["x"].values()


def test_captures_of_two_days_say_in_which_file_their_own_waveforms_are(ingest: Ingest) -> None:
    captures = [vibration("x", t_ms=t_ms, capture_id=f"c-{t_ms}") for t_ms in (NOW - 86_400_000, NOW)]

    ingest.run([record(n, capture) for n, capture in enumerate(captures, start=1)])

    for told in ingest.feature_records():
        body = ingest.s3.get_object(Bucket=ingest.bucket, Key=told["waveforms"])["Body"].read()
        assert pq.read_table(io.BytesIO(body)).column("capture_id").to_pylist() == [told["capture_id"]]


def test_what_came_without_waveforms_names_no_file(ingest: Ingest) -> None:
    ingest.run([record(1, scalars(1)), record(2, vibration("x"))])

    assert ["waveforms" in told for told in ingest.feature_records()] == [False, True]


def test_velocity_that_the_device_computed_stands_in_where_there_is_no_waveform(ingest: Ingest) -> None:
    capture = vibration("x", part="xs", velocity_rms_mm_s={"x": 99.0, "y": 4.5})

    ingest.run([record(1, capture)])

    [told] = ingest.feature_records()
    assert told["axes"]["x"]["velocity_rms_mm_s"] != 99.0
    assert told["axes"]["y"] == {"velocity_rms_mm_s": 4.5}
    assert [(row["axis"], row["fs_hz"]) for row in ingest.rows("features")] == [("x", FS), ("y", None)]


def test_features_use_the_nominal_speed_but_only_a_measured_one_is_told(ingest: Ingest) -> None:
    ingest.run([record(1, vibration("x")), record(2, replace(vibration("y"), speed_rpm=1490.0, part="ys"))])

    assert [row["speed_rpm"] for row in ingest.rows("features")] == [PUMP.speed_rpm, 1490.0]
    assert [told["speed_rpm"] for told in ingest.feature_records()] == [None, 1490.0]


def test_axes_may_come_one_by_one_in_any_order(ingest: Ingest) -> None:
    ingest.run([record(n, vibration(axis)) for n, axis in enumerate("zxy", start=1)])

    assert ingest.count() == (3, 3, 0, 0)
    assert sorted(row["axis"] for row in ingest.rows("waveforms")) == ["x", "y", "z"]


@pytest.mark.parametrize("batches", [1, 2])
def test_what_a_gateway_sends_again_is_stored_once(ingest: Ingest, batches: int) -> None:
    records = [record(n, scalars(1)) for n in (1, 2, 3)]
    for batch in [records] if batches == 1 else [records[:1], records[1:]]:
        ingest.run(batch)

    assert ingest.count() == (3, 1, 2, 0)
    assert len(ingest.rows("captures")) == len(ingest.feature_records()) == 1


def test_of_a_message_that_is_partly_known_the_rest_is_stored(ingest: Ingest) -> None:
    ingest.run([record(1, vibration("x"))])
    ingest.run([record(2, vibration("xy", part="xys", temperature_c=41.5))])
    ingest.run([record(3, vibration("xy", part="xys", temperature_c=41.5)), record(4, vibration("y"))])

    assert ingest.count() == (4, 2, 2, 0)
    assert [row["part"] for row in ingest.rows("captures")] == ["x", "ys"]
    assert [row["axis"] for row in ingest.rows("waveforms")] == ["x", "y"]
    assert [row["temperature_c"] for row in ingest.rows("captures")] == [None, 41.5]


def test_two_sensors_may_use_the_same_capture_id(ingest: Ingest) -> None:
    captures = [scalars(1, sensor=sensor, capture_id="1") for sensor in ("s-1", "s-2")]

    ingest.run([record(n, capture) for n, capture in enumerate(captures)])

    assert ingest.count() == (2, 2, 0, 0)


def test_a_bad_capture_does_not_hold_up_the_shard(ingest: Ingest) -> None:
    payload = b'{"v": 1, "sensor": "s-1", "t": "yesterday"}'

    retry_from = ingest.run([record(1, scalars(1)), record(2, payload), record(3, scalars(3))])

    assert retry_from is None
    assert ingest.count() == (3, 2, 0, 1)
    assert [row["temperature_c"] for row in ingest.rows("captures")] == [1.0, 3.0]


def test_quarantine_keeps_the_bytes_the_reason_and_the_sender(ingest: Ingest) -> None:
    ingest.run([record(7, b"\x00garbage")])

    [row] = ingest.rows("quarantine")
    assert (row["quarantine_id"], row["reason"]) == (f"{SHARD}:7", "bad_payload")
    assert (row["topic"], row["gateway"], row["sensor"]) == ("dt/telltale/gw-1/s-1/capture", "gw-1", "s-1")
    assert row["payload"] == b"\x00garbage"
    assert row["detail"].startswith("payload of 8 bytes is not JSON")


def test_a_record_that_is_no_envelope_is_kept_whole(ingest: Ingest) -> None:
    broken = replace(record(1, scalars(1)), data=b"no envelope")

    ingest.run([broken])

    [row] = ingest.rows("quarantine")
    assert (row["reason"], row["payload"], row["topic"]) == ("bad_envelope", b"no envelope", None)
    assert row["received_at"].timestamp() * 1000 == NOW


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"client": "gw-2"}, "foreign_gateway"),
        ({"topic": "dt/telltale/gw-2/s-1/capture", "client": "gw-2"}, "foreign_gateway"),
        ({"topic": "dt/telltale/gw-9/s-1/capture", "client": "gw-9"}, "foreign_gateway"),
        ({"topic": "dt/telltale/gw-1/s-2/capture"}, "foreign_gateway"),
        ({"received_ms": NOW - 1_000_000}, "clock_ahead"),
        ({"received_ms": NOW + 500 * 86_400_000}, "too_old"),
    ],
)
def test_who_sent_it_and_when_must_be_right(ingest: Ingest, fields: dict[str, Any], reason: str) -> None:
    Registry(ingest.dynamodb, ingest.registry_table).put(Gateway("gw-2", "elsewhere"))

    ingest.run([record(1, scalars(1), **fields)])

    assert [row["reason"] for row in ingest.rows("quarantine")] == [reason]


def test_an_unknown_sensor_is_quarantined_under_its_name(ingest: Ingest) -> None:
    ingest.run([record(1, scalars(1, sensor="s-9"))])

    [row] = ingest.rows("quarantine")
    assert (row["reason"], row["sensor"]) == ("unknown_sensor", "s-9")


def test_a_position_whose_bearing_cannot_be_is_no_reason_to_stop(ingest: Ingest) -> None:
    impossible = Bearing(elements=9, element_diameter_mm=50.0, pitch_diameter_mm=39.0)
    Registry(ingest.dynamodb, ingest.registry_table).put(Position(PUMP.id, bearing=impossible))

    ingest.run([record(1, vibration("x"))])

    assert [row["reason"] for row in ingest.rows("quarantine")] == ["bad_settings"]


def test_many_rejections_for_one_reason_are_one_event(ingest: Ingest) -> None:
    bad = [record(n, b"garbage") for n in range(1, 41)] + [record(41, scalars(1, sensor="s-9"))]

    ingest.run(bad)

    heard = {detail["reason"]: detail for detail in ingest.heard()}
    assert set(heard) == {"bad_payload", "unknown_sensor"}
    assert heard["bad_payload"]["quarantine_id"] == f"{SHARD}:1"
    assert heard["bad_payload"]["detail"].endswith("(and 39 more for this reason in the same batch)")


def test_what_became_of_a_replayed_record_is_marked(ingest: Ingest) -> None:
    ingest.run([record(1, scalars(1), replay_of="q-1"), record(2, b"garbage", replay_of="q-2")])
    ingest.run([record(3, scalars(1), replay_of="q-3")])

    marks = Marks(ingest.dynamodb, ingest.progress_table)
    assert marks.replayed(["q-1", "q-2", "q-3", "q-4"]) == {
        "q-1": "stored",
        "q-2": "quarantined",
        "q-3": "duplicate",
    }


def test_rows_of_several_days_go_into_a_file_for_each(ingest: Ingest) -> None:
    ingest.run([record(n, scalars(-86_400 * n, temperature_c=20.0)) for n in (1, 2)])

    [receipt] = ingest.receipts()
    captures = [file for file in receipt.files if file.table == "captures"]
    assert [(file.rows, file.key.split("/")[2]) for file in captures] == [(1, "2026-09-19"), (1, "2026-09-20")]


def test_every_column_written_is_one_the_schema_declares(ingest: Ingest) -> None:
    ingest.run([record(1, vibration("xyz", part="xyzs", tags={"flow": 1.0})), record(2, b"garbage")])

    for table in (schema.CAPTURES, schema.WAVEFORMS, schema.FEATURES_TABLE, schema.READINGS, schema.QUARANTINE):
        assert [list(row) for row in ingest.rows(table.name)][:1] == [list(table.names)]


def test_when_the_registry_cannot_be_read_the_batch_comes_again(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overloaded(*_: Any) -> Any:
        raise RetryLater("busy")

    with monkeypatch.context() as patched:
        patched.setattr(Registry, "get", overloaded)
        first = ingest.run([record(5, scalars(1)), record(6, scalars(2))])
    second = ingest.run([record(5, scalars(1)), record(6, scalars(2))])

    assert (first, second) == ("5", None)
    assert ingest.count() == (2, 2, 0, 0)


# --- The handler


@pytest.fixture
def handler(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    environment = {
        "LAKE_BUCKET": ingest.bucket,
        "REGISTRY_TABLE": ingest.registry_table,
        "PROGRESS_TABLE": ingest.progress_table,
        "FEATURES_STREAM": ingest.features_stream,
        "BUS_NAME": ingest.bus,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    extract_features.batch_log.cache_clear()
    extract_features.extraction.cache_clear()
    context = SimpleNamespace(
        function_name="extract", memory_limit_in_mb=512, invoked_function_arn="arn", aws_request_id="r-1"
    )
    yield lambda records: extract_features.handler(lambda_event("captures", records), context)
    extract_features.batch_log.cache_clear()
    extract_features.extraction.cache_clear()


def test_the_function_stores_what_its_event_brings(
    ingest: Ingest, handler: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = handler([record(1, scalars(1)), record(2, b"garbage"), record(3, scalars(1))])

    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    totals = {name: metric[name] for metric in metrics for name in metric if name.startswith("Captures")}
    assert answer == {"batchItemFailures": []}
    assert ingest.count() == (3, 1, 1, 1)
    assert totals == {
        "Captures": [3.0],
        "CapturesStored": [1.0],
        "CapturesDuplicate": [1.0],
        "CapturesQuarantined": [1.0],
        "CapturesQuarantinedFor": [1.0],
    }
