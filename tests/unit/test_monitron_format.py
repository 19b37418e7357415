"""Events as Monitron's consumers read them: field for field, from our own rows."""

import json
from dataclasses import replace
from typing import Any
from uuid import RFC_4122, UUID

import pytest
from telltale.core import monitron_format
from telltale.core.detect import CaseChange, Row, Verdict
from telltale.core.monitron_format import CONNECTIONS, Account, Judged, Levels, Place
from telltale.core.plant import Position

ACCOUNT = Account("111122223333", "plant-a", "p-0001")
POSITION = Position("site-1/hall/pump-07/motor-de", asset_name="pump-07", machine_class="iso10816-1/II")
PLACE = Place.of(POSITION, "site-1")
BANDS = ("band_10_50_g", "band_50_100_g", "band_100_200_g", "band_200_500_g", "band_500_1000_g")
ROW = Row(
    "c-1",
    "xyzs",
    1_790_000_000_000,
    1_790_000_001_234,
    "aabbccddeeff",
    temperature_c=41.5,
    axes={
        axis: {"velocity_rms_mm_s": velocity, "rms_g": 0.2, **dict.fromkeys(BANDS, 0.1)}
        for axis, velocity in {"x": 3, "y": 4, "z": 12}.items()
    },
    rssi_dbm=-61.0,
)
CHANGE = CaseChange("case-1", 1, "opened", ROW.t_ms, ROW.t_ms, "WARNING", "WARNING", "zone", "x", "x: above 4.5")
# From the reference of the format, version 2.0, with values of our own.
MEASURED: dict[str, Any] = {
    "timestamp": "2026-05-04 06:00:12.345", "eventId": "3f0c9c1e-0000-4000-8000-000000000001", "version": "2.0",
    "accountId": "111122223333", "projectName": "plant-a", "projectId": "p-0001", "eventType": "measurement",
    "eventPayload": {
        "siteName": "site-1", "assetName": "pump-07", "positionName": "motor-de", "companyName": "Example Co",
        "geoLocation": {"latitude": 50.1, "longitude": 8.6}, "address": "Hall 1", "serialNumber": "77", "make": "M",
        "model": "X", "assetPositionURL": "https://example.com", "sensor": {"physicalId": "aabbccddeeff", "rssi": -61},
        "gateway": {"physicalId": "112233445566"}, "sequenceNo": 4711,
        "features": {
            "acceleration": {
                "band0To6000Hz": {"xAxis": {"rms": 1.1}, "yAxis": {"rms": 1.2}, "zAxis": {"rms": 0.9}},
                "band10To1000Hz": {
                    "totalVibration": {"absMax": 3.9, "absMin": 0.02, "crestFactor": 3.1, "rms": 1.25},
                    "xAxis": {"rms": 0.7}, "yAxis": {"rms": 0.8}, "zAxis": {"rms": 0.66},
                },
            },
            "velocity": {
                "band10To1000Hz": {
                    "totalVibration": {"absMax": 4.8, "absMin": 0.01, "crestFactor": 2.9, "rms": 1.65},
                    "xAxis": {"rms": 0.9}, "yAxis": {"rms": 1.1}, "zAxis": {"rms": 0.84},
                },
            },
            "temperature": 41.5,
        },
        "models": {
            name: {
                **({"isoClass": "CLASS2", "mutedThreshold": "WARNING"} if name == "vibrationISO" else {}),
                "previousPersistentClassificationOutput": "HEALTHY",
                "persistentClassificationOutput": "WARNING",
                "pointwiseClassificationOutput": "MUTED_WARNING",
            }
            for name in ("temperatureML", "vibrationISO", "vibrationML")
        },
        "assetPositionId": "ap-1",
    },
}  # fmt: skip


def verdict(rule: str, said: str, persistent: str = "HEALTHY", channel: str = "x") -> Verdict:
    return Verdict(channel, rule, said, persistent, reason=f"{rule} says {said}")


def measured(row: Row = ROW, *verdicts: Verdict, before: Levels | None = None) -> dict[str, Any]:
    judged = Judged(verdicts, before or {})
    return monitron_format.measurement(ACCOUNT, PLACE, row, gateway="gw-1", judged=judged)


def test_the_envelope_has_monitrons_keys_in_monitrons_order() -> None:
    event = measured()

    assert list(event) == list(MEASURED)
    assert json.dumps(event) == json.dumps(monitron_format.ordered(event))  # at every level
    assert event["timestamp"] == "2026-09-21 14:13:21.234"  # of receipt; the sampling time is beside it
    assert event["eventPayload"]["x"]["sampledAt"] == "2026-09-21 14:13:20.000"


def test_a_measurement_of_ours_has_the_fields_of_the_format_and_one_of_its_own() -> None:
    payload = measured()["eventPayload"]

    assert set(payload) - set(MEASURED["eventPayload"]) == {"x"}
    assert list(payload["features"]) == list(MEASURED["eventPayload"]["features"])
    assert payload["sensor"] == {"physicalId": "aabbccddeeff", "rssi": -61}
    assert payload["gateway"] == {"physicalId": "gw-1"}
    assert payload["assetPositionId"] == POSITION.id


def test_accelerations_are_in_metres_per_second_squared_and_totals_are_of_all_axes() -> None:
    features = measured()["eventPayload"]["features"]

    assert features["acceleration"]["band0To6000Hz"]["xAxis"]["rms"] == pytest.approx(0.2 * 9.80665)
    band = features["acceleration"]["band10To1000Hz"]
    assert band["yAxis"]["rms"] == pytest.approx(0.1 * 5**0.5 * 9.80665)
    assert band["totalVibration"] == {"rms": pytest.approx(0.1 * 15**0.5 * 9.80665)}
    assert features["velocity"]["band10To1000Hz"]["totalVibration"]["rms"] == 13.0


def test_what_lies_above_what_monitron_heard_is_not_in_its_widest_band() -> None:
    values = {"rms_g": 5.0, "band_1000_2000_g": 0.3, "band_2000_5000_g": 0.4, "band_5000_10000_g": 4.9}
    row = replace(ROW, axes={"x": {**dict.fromkeys(BANDS, 0.0), **values}})

    assert measured(row)["eventPayload"]["features"]["acceleration"]["band0To6000Hz"] == {
        "xAxis": {"rms": pytest.approx(0.5 * 9.80665)}
    }


def test_an_axis_that_did_not_come_is_absent_and_makes_no_total() -> None:
    features = measured(replace(ROW, axes={"y": ROW.axes["y"]}, temperature_c=None))["eventPayload"]["features"]

    assert features["velocity"] == {"band10To1000Hz": {"yAxis": {"rms": 4}}}
    assert "temperature" not in features


def test_each_model_says_the_worst_of_its_channels() -> None:
    said = (
        verdict("zone", "WARNING", "HEALTHY", "x"),
        verdict("zone", "HEALTHY", "WARNING", "y"),
        verdict("baseline", "UNKNOWN", "UNKNOWN"),
        verdict("temperature", "NOT_ASSESSABLE", "UNKNOWN", "temperature"),
        verdict("sensor", "SENSOR_FAULT", "SENSOR_FAULT"),
    )

    models = measured(ROW, *said, before={("x", "zone"): "HEALTHY", ("z", "zone"): "UNKNOWN"})["eventPayload"]["models"]

    assert models["vibrationISO"] == {
        "isoClass": "CLASS2",
        "previousPersistentClassificationOutput": "HEALTHY",
        "persistentClassificationOutput": "WARNING",
        "pointwiseClassificationOutput": "WARNING",
    }
    assert models["vibrationML"]["pointwiseClassificationOutput"] == "INITIALIZING"
    assert models["temperatureML"]["pointwiseClassificationOutput"] == "UNKNOWN"


def test_a_channel_that_did_not_come_stands_as_it_did() -> None:
    event = measured(ROW, verdict("zone", "HEALTHY", "HEALTHY", "x"), before={("y", "zone"): "ALARM"})

    said = event["eventPayload"]["models"]["vibrationISO"]
    assert said["previousPersistentClassificationOutput"] == said["persistentClassificationOutput"] == "ALARM"
    assert said["pointwiseClassificationOutput"] == "HEALTHY"


@pytest.mark.parametrize(("action", "after"), [("REPLACE", "UNKNOWN"), ("NO_ACTION", "HEALTHY")])
def test_what_stands_after_a_case_is_closed_hangs_on_what_was_done(action: str, after: str) -> None:
    codes = {"failure_mode": "IMBALANCE", "action_taken": action}

    assert monitron_format.closed({("x", "zone"): "ALARM", ("y", "zone"): "UNKNOWN"}, codes) == {
        ("x", "zone"): after,
        ("y", "zone"): "UNKNOWN",
    }


def test_a_class_that_monitron_did_not_have_stands_beside() -> None:
    place = replace(PLACE, machine_class="iso20816-3/1-rigid")
    event = monitron_format.measurement(ACCOUNT, place, ROW, gateway=None, judged=Judged())

    assert "isoClass" not in event["eventPayload"]["models"]["vibrationISO"]
    assert event["eventPayload"]["x"]["limitProfile"] == "iso20816-3/1-rigid"
    assert "gateway" not in event["eventPayload"]


def test_keys_are_put_in_monitrons_order_whatever_order_they_come_in() -> None:
    def turned(part: Any) -> Any:
        return {name: turned(part[name]) for name in reversed(part)} if isinstance(part, dict) else part

    assert json.dumps(monitron_format.ordered(turned(MEASURED))) == json.dumps(MEASURED)


def test_the_same_message_has_the_same_id_and_another_another() -> None:
    assert measured()["eventId"] == measured()["eventId"]
    assert (UUID(measured()["eventId"]).version, UUID(measured()["eventId"]).variant) == (8, RFC_4122)
    assert measured()["eventId"] != measured(replace(ROW, part="x"))["eventId"]
    assert measured()["eventId"] != measured(replace(ROW, sensor="s-2"))["eventId"]


def test_a_case_that_opens_is_a_transition_by_measurement() -> None:
    event = monitron_format.transition(
        ACCOUNT, PLACE, CHANGE, previous="HEALTHY", received_ms=ROW.received_ms, sensor="s"
    )

    assert event is not None
    assert event["eventType"] == "assetStateTransition"
    assert event["eventPayload"]["assetTransitionType"] == "measurement"
    assert event["eventPayload"]["assetState"] == {"newState": "WARNING", "previousState": "HEALTHY"}
    assert "closureCode" not in event["eventPayload"]


def test_a_case_that_is_closed_says_with_which_codes() -> None:
    codes = {"failure_mode": "IMBALANCE", "failure_cause": "WEAR", "action_taken": "ADJUST"}
    closed = replace(
        CHANGE, revision=3, change="resolved", state="HEALTHY", closure=codes, by="mia",
        evidence={"joined": ["x baseline", "y zone", "model model"]},
    )  # fmt: skip

    event = monitron_format.transition(ACCOUNT, PLACE, closed, previous="WARNING", received_ms=1, sensor=None)

    assert event is not None
    assert event["eventPayload"]["assetTransitionType"] == "userInput"
    assert event["eventPayload"]["closureCode"] == {
        "failureMode": "IMBALANCE",
        "failureCause": "WEAR",
        "actionTaken": "ADJUST",
        "resolvedModels": ["vibrationISO", "vibrationML"],
    }


def test_a_change_that_leaves_the_state_is_no_transition() -> None:
    shelved = replace(CHANGE, change="shelved")

    assert monitron_format.transition(ACCOUNT, PLACE, shelved, previous="WARNING", received_ms=1, sensor=None) is None


def test_states_before_follow_from_the_changes_of_a_case() -> None:
    worse = replace(CHANGE, revision=2, change="updated", state="ALARM")
    seen = replace(CHANGE, revision=3, change="acknowledged", state="NEEDS_MAINTENANCE")

    states = [before for _, before in monitron_format.previous_states([CHANGE, worse, seen])]

    assert states == ["HEALTHY", "WARNING", "ALARM"]


@pytest.mark.parametrize("kind", CONNECTIONS)
def test_silence_is_told_as_monitron_calls_it(kind: str) -> None:
    if kind.startswith("Sensor"):
        event = monitron_format.sensor_connection(ACCOUNT, kind, PLACE, "s-1", heard_ms=5)
    else:
        event = monitron_format.gateway_connection(ACCOUNT, kind, "gw-1", name="", site_name="site-1", heard_ms=5)

    assert event["eventType"] in ("sensorConnected", "sensorDisconnected", "gatewayConnected", "gatewayDisconnected")
    assert event["eventType"].startswith(kind.split()[0].lower())
    assert list(event) == list(MEASURED)
