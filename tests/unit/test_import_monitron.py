"""What Monitron exported, in every form that is known of, becomes rows; and comes back out of them as it was."""

import base64
import copy
import gzip
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from cli import importing
from cli.import_files import LocalFile, find
from cli.import_monitron import Monitron, measure_monitron
from cli.importing import Folder, Summary
from telltale.adapters.receipts import Receipt
from telltale.core import monitron_rows, schema

from tests.command import telltale

NOW = 1_900_000_000_000
SAID = {
    "previousPersistentClassificationOutput": "HEALTHY",
    "persistentClassificationOutput": "WARNING",
    "pointwiseClassificationOutput": "ALARM",
}
TOTAL = {"absMax": 3.9, "absMin": 0.02, "crestFactor": 3.1, "rms": 1.25}
MEASUREMENT: dict[str, Any] = {
    "timestamp": "2026-05-04 06:00:12.345",
    "eventId": "3f0c9c1e-0001",
    "version": "2.0",
    "accountId": "111122223333",
    "projectName": "plant-a",
    "projectId": "p-0001",
    "eventType": "measurement",
    "eventPayload": {
        "siteName": "site-1",
        "assetName": "pump-07",
        "positionName": "motor-de",
        "companyName": "Example Co",
        "geoLocation": {"latitude": 50.1, "longitude": 8.6},
        "address": "1 Example Street",
        "serialNumber": "sn-1",
        "make": "Example",
        "model": "E-1",
        "assetPositionURL": "https://app.example.com/positions/1",
        "sensor": {"physicalId": "aabbccddeeff", "rssi": -61},
        "gateway": {"physicalId": "112233445566"},
        "sequenceNo": 4711,
        "features": {
            "acceleration": {
                "band0To6000Hz": {"xAxis": {"rms": 1.1}, "yAxis": {"rms": 1.2}, "zAxis": {"rms": 0.9}},
                "band10To1000Hz": {
                    "totalVibration": TOTAL,
                    "xAxis": {"rms": 0.7},
                    "yAxis": {"rms": 0.8},
                    "zAxis": {"rms": 0.66},
                },
            },
            "velocity": {
                "band10To1000Hz": {
                    "totalVibration": {"absMax": 4.8, "absMin": 0.01, "crestFactor": 2.9, "rms": 1.65},
                    "xAxis": {"rms": 0.9},
                    "yAxis": {"rms": 1.1},
                    "zAxis": {"rms": 0.84},
                }
            },
            "temperature": 41.5,
        },
        "models": {
            "temperatureML": SAID | {"pointwiseClassificationOutput": "INITIALIZING"},
            "vibrationISO": {"isoClass": "CLASS2", "mutedThreshold": "WARNING", **SAID},
            "vibrationML": SAID,
        },
        "assetPositionId": "ap-1",
    },
}
PLACE = {
    name: MEASUREMENT["eventPayload"][name]
    for name in ("siteName", "assetName", "positionName", "companyName", "geoLocation", "address", "serialNumber")
}


def event(kind: str, number: int, payload: Mapping[str, Any], *, minute: int = 0) -> dict[str, Any]:
    envelope = {name: MEASUREMENT[name] for name in ("version", "accountId", "projectName", "projectId")}
    at = f"2026-05-04 07:{minute:02d}:00.000"
    return {
        "timestamp": at,
        "eventId": f"e-{number}",
        **envelope,
        "eventType": kind,
        "eventPayload": {**PLACE, **payload, "assetPositionId": "ap-1"},
    }


def change(number: int, new: str, before: str, *, by: str = "measurement", codes: Any = None) -> dict[str, Any]:
    payload = {"sensor": {"physicalId": "aabbccddeeff"}, "assetTransitionType": by}
    payload["assetState"] = {"newState": new, "previousState": before}
    return event("assetStateTransition", number, payload | ({"closureCode": codes} if codes else {}), minute=number)


CODES = {
    "failureMode": "IMBALANCE",
    "failureCause": "WEAR",
    "actionTaken": "REPLACE",
    "resolvedModels": ["vibrationISO", "vibrationML"],
}
STORY = (
    change(1, "WARNING", "HEALTHY"),
    change(2, "ALARM", "WARNING"),
    change(3, "NEEDS_MAINTENANCE", "ALARM", by="userInput"),
    change(4, "HEALTHY", "NEEDS_MAINTENANCE", by="userInput", codes=CODES),
)
CONNECTED = event("sensorConnected", 20, {"sensor": {"physicalId": "aabbccddeeff"}})
GATEWAY = {
    **event("gatewayDisconnected", 21, {}),
    "eventPayload": {
        "siteName": "site-1",
        "gatewayName": "hall",
        "gatewayListURL": "https://app.example.com/gateways",
        "companyName": "Example Co",
        "gateway": {"physicalId": "112233445566"},
    },
}
EVERY = (MEASUREMENT, *STORY, CONNECTED, GATEWAY)

VERSION_1: dict[str, Any] = {
    "timestamp": "2022-05-04 06:00:12.345",
    "eventId": "v1-1",
    "version": "1.0",
    "projectDisplayName": "plant-a",
    "siteDisplayName": "site-1",
    "assetDisplayName": "pump-07",
    "sensorPositionDisplayName": "motor-de",
    "sensor": {"physicalId": "aabbccddeeff", "rssi": -61},
    "gateway": {"physicalId": "112233445566"},
    "measurement": {
        "features": {
            "acceleration": {"band10To1000Hz": {"resultantVector": TOTAL, "xAxis": {"rms": 0.7}}},
            "temperature": 41.5,
            "velocity": {"band10To1000Hz": {"resultantVector": TOTAL, "xAxis": {"rms": 0.9}, "yAxis": {"rms": 1.1}}},
        },
        "sequenceNo": 12,
    },
    "models": {
        "vibrationISO": {
            "isoClass": "CLASS2",
            "persistentClassificationOutput": "HEALTHY",
            "pointwiseClassificationOutput": "WARNING",
        }
    },
    "assetState": {"newState": "WARNING", "previousState": "HEALTHY"},
}


def numbered(count: int) -> list[dict[str, Any]]:
    """Measurements that differ."""
    return [
        MEASUREMENT | {"eventId": f"m-{n}", "timestamp": f"2026-05-{1 + n % 28:02d} 06:00:00.000"} for n in range(count)
    ]


def text(events: Sequence[Any], between: str = "\n") -> bytes:
    return between.join(json.dumps(one) for one in events).encode()


class Place:
    """A folder that events are imported into."""

    def __init__(self, path: Path) -> None:
        self.path, self.lake = path, Folder(path / "lake")
        self.files = 0

    def file(self, body: bytes, name: str | None = None) -> Path:
        self.files += 1
        path = self.path / (name or f"{self.files}.json")
        path.write_bytes(body)
        return path

    def imported(self, *paths: Path, **how: Any) -> Summary:
        source = Monitron([LocalFile(path) for path in paths], **{"now_ms": lambda: NOW, **how})
        return importing.carried_out(source, self.lake)

    def rows(self, table: schema.Table) -> list[dict[str, Any]]:
        return list(self.lake.rows(table).to_pylist())

    def exported(self) -> list[dict[str, Any]]:
        """The events that come out again."""
        rows = self.rows(schema.MONITRON_EVENTS)
        return [one for row in rows for one in monitron_rows.events(row, round(row["t"].timestamp() * 1000))]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def by_id(events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {one["eventId"]: one for one in events}


def test_every_event_comes_back_as_it_was_with_its_keys_in_the_same_order(place: Place) -> None:
    place.imported(place.file(text(EVERY)))

    came_back = by_id(place.exported())

    assert came_back == by_id(EVERY)
    assert json.dumps(came_back[MEASUREMENT["eventId"]]) == json.dumps(MEASUREMENT)


def test_a_measurement_becomes_a_capture_its_axes_and_what_the_models_said(place: Place) -> None:
    place.imported(place.file(text([MEASUREMENT])))

    [capture] = place.rows(schema.CAPTURES)
    features = {row["axis"]: row for row in place.rows(schema.FEATURES_TABLE)}
    verdicts = {row["rule"]: row for row in place.rows(schema.VERDICTS)}

    assert (capture["position"], capture["sensor"], capture["part"]) == (
        "site-1/main/pump-07/motor-de",
        "aabbccddeeff",
        "s",
    )
    assert (capture["temperature_c"], capture["velocity_rms_y_mm_s"], capture["rssi_dbm"]) == (41.5, 1.1, -61)
    assert capture["t"].isoformat() == "2026-05-04T06:00:12.345000+00:00"
    assert capture["record_id"].startswith("import/")
    assert {axis: row["velocity_rms_mm_s"] for axis, row in features.items()} == {"x": 0.9, "y": 1.1, "z": 0.84}
    assert features["x"]["rms_g"] == pytest.approx(1.1 / 9.80665)
    assert [row["fs_hz"] for row in features.values()] == [None] * 3  # the device computed it
    said = {rule: (row["channel"], row["verdict"], row["persistent"]) for rule, row in verdicts.items()}
    assert said == {
        "monitron_iso": ("total", "ALARM", "WARNING"),
        "monitron_ml": ("total", "ALARM", "WARNING"),
        "monitron_temperature": ("temperature", "UNKNOWN", "WARNING"),
    }
    assert "INITIALIZING" in verdicts["monitron_temperature"]["reason"]
    assert "CLASS2" in verdicts["monitron_iso"]["limit_source"]


def test_changes_of_state_become_a_case_and_its_closure_codes_a_label(place: Place) -> None:
    place.imported(place.file(text(STORY)))

    cases = sorted(place.rows(schema.CASES), key=lambda row: row["revision"])
    [label] = place.rows(schema.LABELS)

    assert [row["change"] for row in cases] == ["opened", "updated", "acknowledged", "resolved"]
    assert [row["severity"] for row in cases] == ["WARNING", "ALARM", "ALARM", "ALARM"]
    assert len({row["case_id"] for row in cases}) == 1
    assert cases[0]["case_id"].startswith("monitron-")
    assert (label["case_id"], label["opened_at"]) == (cases[0]["case_id"], cases[0]["t"])
    codes = ("failure_mode", "failure_cause", "action_taken")
    assert [label[name] for name in codes] == ["IMBALANCE", "WEAR", "REPLACE"] == [cases[-1][name] for name in codes]


def test_a_case_goes_on_where_a_later_import_goes_on(place: Place) -> None:
    place.imported(place.file(text(STORY[:2])))
    place.imported(place.file(text(STORY[1:])))

    changes = sorted((row["revision"], row["change"]) for row in place.rows(schema.CASES))

    assert changes == [(1, "opened"), (2, "updated"), (3, "acknowledged"), (4, "resolved")]
    assert len(place.rows(schema.LABELS)) == 1


def test_history_that_begins_in_the_middle_of_a_case_says_so(place: Place) -> None:
    place.imported(place.file(text(STORY[3:])))

    [case] = place.rows(schema.CASES)

    assert case["change"] == "resolved"
    assert "before what was imported begins" in case["reason"]
    assert len(place.rows(schema.LABELS)) == 1


def test_codes_that_are_on_no_list_become_undetermined_and_stand_in_the_note(place: Place) -> None:
    place.imported(
        place.file(text([*STORY[:3], change(4, "HEALTHY", "ALARM", codes=CODES | {"failureMode": "GREMLINS"})]))
    )

    [label] = place.rows(schema.LABELS)

    assert label["failure_mode"] == "UNDETERMINED"
    assert "GREMLINS" in label["note"]


def test_version_1_means_the_same_and_a_change_of_state_in_it_is_an_event_of_its_own_in_version_2(place: Place) -> None:
    place.imported(place.file(text([VERSION_1])))

    measured, changed = place.exported()

    assert (measured["version"], measured["eventType"], changed["eventType"]) == (
        "2.0",
        "measurement",
        "assetStateTransition",
    )
    assert measured["eventPayload"]["features"]["velocity"]["band10To1000Hz"]["totalVibration"] == TOTAL
    assert measured["eventPayload"]["positionName"] == "motor-de"
    assert measured["eventPayload"]["sequenceNo"] == 12
    assert changed["eventPayload"]["assetState"] == {"newState": "WARNING", "previousState": "HEALTHY"}
    assert changed["eventId"] == "v1-1-state"
    assert [row["change"] for row in place.rows(schema.CASES)] == ["opened"]
    assert len(place.rows(schema.FEATURES_TABLE)) == 2  # axes without a value have no row


def test_both_spellings_are_read_and_the_first_is_written(place: Place) -> None:
    other = copy.deepcopy(MEASUREMENT)
    other["eventPayload"]["sensor"] = {"physicalID": "aabbccddeeff", "rssi": -61}
    band = other["eventPayload"]["features"]["velocity"]["band10To1000Hz"]
    band["resultantVector"] = band.pop("totalVibration")

    place.imported(place.file(text([other])))

    assert place.exported() == [MEASUREMENT]


FORMS = {
    "lines": lambda events: text(events),
    "lines of Windows": lambda events: text(events, "\r\n"),
    "one behind the other": lambda events: text(events, ""),
    "an array": lambda events: json.dumps(events).encode(),
    "an array over many lines": lambda events: json.dumps(events, indent=2).encode(),
    "many lines each": lambda events: "\n".join(json.dumps(one, indent=1) for one in events).encode(),
    "after a byte order mark": lambda events: b"\xef\xbb\xbf" + text(events),
    "gzip": lambda events: gzip.compress(text(events)),
    "gzip behind gzip": lambda events: gzip.compress(text(events[:1])) + gzip.compress(b"\n" + text(events[1:])),
    "base64 lines": lambda events: b"\n".join(base64.b64encode(json.dumps(one).encode()) for one in events),
    "JSON in JSON": lambda events: "\n".join(json.dumps(json.dumps(one)) for one in events).encode(),
    "Kinesis records of a Lambda": lambda events: json.dumps(
        {"Records": [{"kinesis": {"data": base64.b64encode(json.dumps(one).encode()).decode()}} for one in events]}
    ).encode(),
    "records that aws kinesis printed": lambda events: json.dumps(
        {"Records": [{"Data": base64.b64encode(json.dumps(one).encode()).decode()} for one in events]}, indent=2
    ).encode(),
    "what Python prints": lambda events: "\n".join(map(str, events)).encode(),
    "without the comma before models": lambda events: text(events).replace(b', "models"', b' "models"'),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_that_events_come_in_is_read(form: str, place: Place) -> None:
    body = FORMS[form](list(EVERY))

    summary = place.imported(place.file(body))

    assert summary.bad == []
    assert (summary.records, summary.stored) == (len(EVERY), len(EVERY))
    assert by_id(place.exported()) == by_id(EVERY)


def test_what_is_no_event_is_quarantined_by_line_with_its_bytes_and_the_rest_goes_on(place: Place) -> None:
    good = [json.dumps(one).encode() for one in numbered(40)]
    lines = [
        *good[:20],
        b'{"timestamp": "2026-05-04 06:00:00.000", "eventId": "cut',
        *good[20:30],
        b"\xff\xfe nonsense",
        *good[30:],
    ]
    path = place.file(b"\n".join(lines))

    summary = place.imported(path)

    quarantined = place.rows(schema.QUARANTINE)
    assert (summary.stored, summary.quarantined) == (40, 2)
    assert [one.where for one in summary.bad] == [f"{path}:21", f"{path}:32"]
    assert sorted(row["payload"] for row in quarantined) == sorted([lines[20], lines[31]])
    assert all(row["detail"].startswith(str(path)) for row in quarantined)


def altered(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    found = copy.deepcopy(MEASUREMENT) | {"eventId": "altered"}
    inner = found
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return found


VELOCITY = ("eventPayload", "features", "velocity", "band10To1000Hz")
REFUSED = {
    "an unknown kind of event": (altered(("eventType",), "sensorPainted"), "bad_field", "sensorPainted"),
    "no time": (altered(("timestamp",), "yesterday"), "bad_field", "yesterday"),
    "a time to come": (altered(("timestamp",), "2099-01-01 00:00:00.000"), "clock_ahead", "2099"),
    "no position": (altered(("eventPayload", "positionName"), None), "bad_field", "positionName"),
    "text as a number": (altered((*VELOCITY, "xAxis", "rms"), "much"), "bad_field", "much"),
    "an RMS below zero": (altered((*VELOCITY, "xAxis", "rms"), -1.0), "bad_range", "velocity_x_mm_s"),
    "colder than can be": (altered(("eventPayload", "features", "temperature"), -300.0), "bad_range", "temperature"),
    "not a number": (altered((*VELOCITY, "xAxis", "rms"), float("nan")), "bad_range", "nan"),
    "something else": ({"hello": "world"}, "bad_field", "found neither"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_event_that_cannot_be_is_refused_and_says_why(case: str, place: Place) -> None:
    wrong, reason, word = REFUSED[case]
    path = place.file(text([*numbered(3), wrong]))

    summary = place.imported(path)

    [bad] = summary.bad
    assert (summary.stored, str(bad.reason), bad.where) == (3, reason, f"{path}:4")
    assert word in bad.detail


def test_a_crest_factor_that_no_signal_has_is_null_and_counted_and_its_row_is_kept(place: Place) -> None:
    summary = place.imported(place.file(text([altered((*VELOCITY, "totalVibration", "crestFactor"), 2189)])))

    [row] = place.rows(schema.MONITRON_EVENTS)
    assert (row["velocity_total_crest"], row["velocity_total_rms_mm_s"]) == (None, 1.65)
    assert [(what, count) for (what, _), count in summary.lost.items() if "crest" in what] == [
        ("velocity_total_crest", 1)
    ]


def test_records_as_a_sample_of_saps_has_them(place: Place) -> None:
    """Another time, a number as the id, "1" as the version, and a state that Monitron does not have."""
    record = VERSION_1 | {"timestamp": "2022-11-20T22:44:17-08:00", "eventId": 17, "version": "1"}
    record["assetState"] = {"newState": "WORKING", "previousState": "WORKING"}

    summary = place.imported(place.file(text([record])))

    [row] = place.rows(schema.MONITRON_EVENTS)
    assert summary.bad == []
    assert (row["event_id"], row["t"].isoformat()) == ("17", "2022-11-21T06:44:17+00:00")
    assert place.rows(schema.CASES) == []


def test_numbers_as_text_are_read(place: Place) -> None:
    place.imported(place.file(text([altered((*VELOCITY, "xAxis", "rms"), "0.95")])))

    assert place.rows(schema.MONITRON_EVENTS)[0]["velocity_x_mm_s"] == 0.95


def test_fields_that_nobody_documented_are_counted_and_come_back(place: Place) -> None:
    strange = copy.deepcopy(MEASUREMENT)
    strange["eventPayload"]["humidity"] = 0.5
    strange["eventPayload"]["sensor"]["color"] = "red"

    summary = place.imported(place.file(text([strange])))

    lost = {what for what, _ in summary.lost}
    assert {"eventPayload.humidity", "eventPayload.sensor.color"} <= lost
    assert place.exported() == [strange]


def test_what_telltale_itself_exported_is_sampled_when_it_says(place: Place) -> None:
    own = altered(("eventPayload", "x"), {"sampledAt": "2026-05-04 05:59:00.000", "captureId": "c"})

    place.imported(place.file(text([own])))

    [capture] = place.rows(schema.CAPTURES)
    assert capture["t"].isoformat() == "2026-05-04T05:59:00+00:00"
    assert capture["received_at"].isoformat() == "2026-05-04T06:00:12.345000+00:00"
    assert place.exported() == [own]


def test_an_event_that_comes_again_is_a_duplicate_in_this_import_and_in_a_later_one(place: Place) -> None:
    first = place.imported(place.file(text([*EVERY, *EVERY[:2]])))
    later = place.imported(place.file(text([*EVERY, *numbered(2)])))

    assert (first.stored, first.duplicate) == (len(EVERY), 2)
    assert (later.stored, later.duplicate) == (2, len(EVERY))
    assert len(place.rows(schema.CAPTURES)) == 3
    assert len(place.rows(schema.CASES)) == len(STORY)


def test_the_same_import_again_reads_nothing_twice(place: Place) -> None:
    path = place.file(text(EVERY))
    first = place.imported(path)
    again = place.imported(path)

    assert (again.records, again.stored, again.earlier) == (first.records, first.stored, first.records)
    assert len(place.rows(schema.MONITRON_EVENTS)) == len(EVERY)


def test_a_stream_that_is_cut_in_the_middle_gives_all_before_the_cut(place: Place) -> None:
    body = text(numbered(50), "")
    path = place.file(body[: len(body) - 700])

    summary = place.imported(path)

    assert (summary.stored, summary.quarantined) == (49, 1)


def test_a_packed_file_that_is_cut_gives_what_could_be_unpacked_and_says_so(place: Place) -> None:
    path = place.file(gzip.compress(text([altered(("eventId",), f"{n * 7919:x}") for n in range(300)]))[:-20])

    summary = place.imported(path)

    assert summary.stored > 200
    assert summary.adds_up
    assert any(b"cut off" in row["payload"] for row in place.rows(schema.QUARANTINE))


def test_blocks_are_cut_between_events_wherever_the_bytes_end(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.monitron_text.blocks.__kwdefaults__", {"size": 5000})
    events = numbered(15)
    for between in ("", "\n", ",\n "):
        fresh = Place(place.path / between.encode().hex())
        fresh.path.mkdir(exist_ok=True)
        summary = fresh.imported(fresh.file(text(events, between)), chunk_bytes=6000)
        assert (summary.stored, summary.quarantined) == (15, 0)
        assert summary.chunks > 2


def test_two_places_whose_names_become_one_are_told(place: Place) -> None:
    one, two = altered(("eventPayload", "assetName"), "pump 07"), copy.deepcopy(MEASUREMENT)
    source = Monitron([LocalFile(place.file(text([one, two])))], now_ms=lambda: NOW)
    importing.carried_out(source, place.lake)

    assert any("became one position" in note for note in source.notes())


def test_folders_are_read_whole_and_other_files_left(place: Place) -> None:
    place.file(text(numbered(2)), "firehose-2026-05-04-06")
    place.file(gzip.compress(text(numbered(4)[2:])), "more.json.gz")
    place.file(b"not this", "readme.md")

    found = find([str(place.path)], (".json",), s3=lambda: None)

    assert [Path(file.name).name for file in found] == ["firehose-2026-05-04-06", "more.json.gz"]
    assert place.imported(*(Path(file.name) for file in found)).stored == 4


def test_the_measure_stores_what_it_made() -> None:
    assert measure_monitron(200) > 0


@pytest.mark.long
def test_what_was_imported_is_replayed_by_the_detector(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place.imported(place.file(text(numbered(28))))
    files = [place.path / f"{table.name}.parquet" for table in (schema.CAPTURES, schema.FEATURES_TABLE)]
    for table, path in zip((schema.CAPTURES, schema.FEATURES_TABLE), files, strict=True):
        pq.write_table(place.lake.rows(table), path)

    limits = ["--limit", "velocity_warning_mm_s=0.5", "--limit", "velocity_alarm_mm_s=0.6"]
    status, told, _ = telltale(["backtest", "--files", *files, *limits, "--jobs", "1"], monkeypatch, capsys)

    assert status == 0
    assert "1 position, 28 captures" in told
    assert re.search(r"cases +0 +1", told)  # by the limits that it was asked to try


DEEP = {
    "a little": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "much": b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
    "and cut": b"[" * 200_000,
}


@pytest.mark.parametrize("how", DEEP)
def test_objects_within_objects_without_end_stop_nothing(how: str, place: Place) -> None:
    summary = place.imported(place.file(text(numbered(3)) + b"\n" + DEEP[how] + b"\n" + text(EVERY)))

    assert summary.stored == 3 + len(EVERY)
    assert summary.adds_up


class Stopped(Folder):
    """A lake whose importer is stopped before what is made of all events is stored."""

    def publish(self, receipt: Receipt) -> None:
        if receipt.shard.startswith("made of"):
            raise KeyboardInterrupt
        super().publish(receipt)


def test_an_import_that_was_stopped_before_its_cases_were_stored_makes_them_when_it_goes_on(place: Place) -> None:
    path = place.file(text(STORY))
    with pytest.raises(KeyboardInterrupt):
        importing.carried_out(Monitron([LocalFile(path)], now_ms=lambda: NOW), Stopped(place.path / "lake"))

    place.imported(path)
    place.imported(path)

    assert sorted(row["revision"] for row in place.rows(schema.CASES)) == [1, 2, 3, 4]
    assert len(place.rows(schema.LABELS)) == 1
