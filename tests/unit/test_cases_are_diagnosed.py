"""When a case opens or worsens the waveforms behind it are looked at; and nothing about that can hold up the case."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from cli import plant_model
from cli.plant_model import Fault, FaultKind, Kind, Machine
from hypothesis import given, settings
from hypothesis import strategies as st
from telltale.adapters import detection, examiner, parquet
from telltale.adapters.examiner import plain
from telltale.adapters.feature_stream import encode_control
from telltale.adapters.waveforms import Waveforms
from telltale.core import picture, schema
from telltale.core.bearings import CATALOGUE
from telltale.core.capture import Waveform
from telltale.core.detect import Control
from telltale.core.findings import CANNOT_TELL, FAULTS, Diagnosis
from telltale.core.plant import Limits, Position

from tests.aws_line import POSITION, START_MS, aws
from tests.unit.test_detection import HOUR, Dies, Line, row

FS_HZ, SAMPLES, RPM = 12_800.0, 4096, 1480.0
DAY_MS = 86_400_000
PUMP = Position(
    POSITION,
    name="motor DE",
    asset_name="Pump 7",
    limits=Limits(velocity_warning_mm_s=4.5, velocity_alarm_mm_s=7.1),
    speed_rpm=RPM,
    bearing=CATALOGUE["6205-2RS"],
)
CLOSURE = {"failure_mode": "OTHER", "failure_cause": "WEAR", "action_taken": "REPLACE"}


@cache
def measured(axis: str, *faults: Fault) -> Waveform:
    """What a sensor on the pump measures with these faults."""
    machine = Machine("pump-7", Kind.PUMP, RPM, load_swing=0.0)
    sample = plant_model.capture(machine, faults, t_s=7200.0, sensor="s-1", seed=1, fs_hz=FS_HZ, n_samples=SAMPLES)
    assert sample is not None
    return Waveform(axis, sample.waveforms["xyz".index(axis)], FS_HZ, sample.scale, "g")


def shaking(axis: str) -> Waveform:
    """Of a bearing with a developed defect of its outer race."""
    return measured(axis, Fault(FaultKind.OUTER_RACE, onset_s=0.0, growth_s=HOUR / 1000))


def sound(axis: str) -> Waveform:
    """Of a machine that has nothing."""
    return measured(axis)


def file_of(line: Line, n: int, *waves: Waveform, position: str = POSITION) -> str:
    """The data file that the extractor wrote for the n-th hour; its key."""
    t_ms = START_MS + n * HOUR
    ids = {"capture_id": f"s-1@{t_ms}", "position": position, "site": "plant", "sensor": "s-1", "t": t_ms}
    rows = [
        {**ids, "axis": wave.axis, "fs_hz": wave.fs_hz, "unit": wave.unit, "scale": wave.scale, "samples": wave.samples}
        for wave in waves
    ]
    [file] = parquet.files(schema.WAVEFORMS, rows)
    key = f"data/waveforms/{file.day}/{position.replace('/', '-')}-{n}.parquet"
    line.aws.s3.put_object(Bucket="lake", Key=key, Body=file.body)
    return key


def bad(line: Line, hours: range = range(4), position: str = POSITION, **fields: Any) -> list[bytes]:
    """Rows beyond the alarm limit, each with its waveform of axis x; a case opens with the fourth."""
    return [
        row(n, 9.0, position=position, waveforms=file_of(line, n, shaking("x"), position=position), **fields)
        for n in hours
    ]


def case_of(line: Line) -> Any:
    [case] = line.cases.all()
    return case.change


def objects(line: Line, prefix: str) -> dict[str, bytes]:
    listed = line.aws.s3.list_objects_v2(Bucket="lake", Prefix=prefix).get("Contents", [])
    return {item["Key"]: line.aws.s3.get_object(Bucket="lake", Key=item["Key"])["Body"].read() for item in listed}


@pytest.fixture
def line() -> Iterator[Line]:
    with aws() as made:
        ready = Line(made)
        ready.registry.put(PUMP)
        yield ready


# ---- what a case says ----------------------------------------------------------------------------


def test_a_case_that_opens_names_the_fault_that_its_waveforms_show(line: Line) -> None:
    line.feed(bad(line))

    case = case_of(line)
    assert (case.change, case.fault) == ("opened", "BEARING_OUTER_RACE")
    told = case.evidence["diagnosis"]
    assert (told["verdict"], told["capture_id"], told["axes"]) == (case.fault, f"s-1@{START_MS + 3 * HOUR}", "x")
    assert (told["speed_source"], told["speed_hz"]) == ("nominal", pytest.approx(RPM / 60, rel=0.03))
    [in_lake] = line.table("cases")
    assert (in_lake["fault"], json.loads(in_lake["evidence"])) == (case.fault, case.evidence)
    [event] = [event for event in line.aws.heard() if event["kind"] == "Case Opened"]
    assert event["fault"] == case.fault
    assert event["diagnosis"]["verdict"] == case.fault
    assert event["diagnosis"]["supports"] == told["findings"][0]["supports"]


def test_each_diagnosis_is_a_row_of_the_lake(line: Line) -> None:
    line.feed(bad(line))

    [made] = [row for row in line.table("diagnoses") if row["trigger"] == "case"]
    assert (made["case_id"], made["fault"], made["axis"], made["axes"]) == (
        line.case_id(),
        "BEARING_OUTER_RACE",
        "x",
        "x",
    )
    assert made["capture_id"] == f"s-1@{START_MS + 3 * HOUR}"
    assert made["speed_rpm"] == pytest.approx(RPM, rel=0.03)
    assert json.loads(made["findings"])[0]["lines"]
    assert "GEAR_WEAR" in json.loads(made["untested"])


def test_the_speed_of_the_capture_goes_before_the_nominal_one(line: Line) -> None:
    line.feed(bad(line, speed_rpm=RPM))

    assert case_of(line).evidence["diagnosis"]["speed_source"] == "measured"


def test_what_is_usual_here_is_told_to_the_diagnosis(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Learned from the rows before, at this position; the row itself counts as it came on the stream."""
    told: list[dict[str, Any]] = []

    def listens(*_: Any, **named: Any) -> Diagnosis:
        told.append(named)
        return Diagnosis(CANNOT_TELL, 0.0, "only listening")

    line.registry.put(replace(PUMP, settings={"warmup": 3.0}))
    monkeypatch.setattr(examiner, "diagnose", listens)
    line.feed([row(n, 1.0) for n in range(5)] + bad(line, range(5, 9)))

    assert told[-1]["rows"]["x"]["velocity_rms_mm_s"] == 9.0
    assert told[-1]["normal"]["x"]["velocity_rms_mm_s"] == pytest.approx(1.0)
    assert told[-1]["machine"] == PUMP.machine


def test_an_axis_that_came_in_a_message_of_its_own_is_looked_at_too(line: Line) -> None:
    rows = [row(n, 9.0, waveforms=file_of(line, n, shaking("x"), shaking("z"))) for n in range(4)]

    line.feed(rows)

    assert case_of(line).evidence["diagnosis"]["axes"] == "xz"


def test_a_case_without_waveforms_says_so(line: Line) -> None:
    line.feed([row(n, 9.0) for n in range(4)])

    case = case_of(line)
    assert case.fault is None
    assert case.evidence["diagnosis"] == {"reason": "the capture came without waveforms"}
    assert "picture" not in case.evidence
    assert line.table("diagnoses") == []


def test_waveforms_that_are_gone_are_the_reason_for_no_diagnosis(line: Line) -> None:
    rows = bad(line)
    for key in objects(line, "data/waveforms/"):
        line.aws.s3.delete_object(Bucket="lake", Key=key)

    line.feed(rows)

    case = case_of(line)
    assert (case.change, case.fault) == ("opened", None)
    assert "is not there any more" in case.evidence["diagnosis"]["reason"]


def test_a_file_without_the_capture_is_the_reason_for_no_diagnosis(line: Line) -> None:
    elsewhere = file_of(line, 99, shaking("x"))

    line.feed([row(n, 9.0, waveforms=elsewhere) for n in range(4)])

    assert f"has no waveforms of capture s-1@{START_MS + 3 * HOUR}" in case_of(line).evidence["diagnosis"]["reason"]


def test_a_diagnosis_that_fails_does_not_hold_up_the_case(
    line: Line, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("no energy")

    monkeypatch.setattr(examiner, "diagnose", fails)
    with caplog.at_level(logging.ERROR):
        line.feed(bad(line))

    assert case_of(line).evidence["diagnosis"] == {"reason": "it failed: ZeroDivisionError: no energy"}
    assert f"no diagnosis of capture s-1@{START_MS + 3 * HOUR}" in caplog.text


def test_bytes_that_are_no_parquet_do_not_hold_up_the_case(line: Line) -> None:
    rows = bad(line)
    for key in objects(line, "data/waveforms/"):
        line.aws.s3.put_object(Bucket="lake", Key=key, Body=b"PAR1 or not")

    line.feed(rows)

    assert case_of(line).evidence["diagnosis"]["reason"].startswith("it failed: ArrowInvalid")


# ---- what it goes on saying ----------------------------------------------------------------------


def hot(n: int) -> bytes:
    """A message without waveforms, of a machine that got too hot."""
    return row(n, 0.0, part="s", axes={}, temperature_c=120.0)


def test_what_was_named_stays_when_something_without_waveforms_joins(line: Line) -> None:
    line.registry.put(replace(PUMP, limits=replace(PUMP.limits, temperature_alarm_c=95.0)))
    line.feed(bad(line))
    opened = case_of(line)

    line.feed([hot(n) for n in range(4, 8)], first=5)

    case = case_of(line)
    assert (case.change, case.channel, case.fault) == ("updated", "temperature", "BEARING_OUTER_RACE")
    assert case.evidence["diagnosis"] == opened.evidence["diagnosis"]
    assert case.evidence["picture"] == opened.evidence["picture"]


def test_a_later_look_that_names_nothing_is_added_and_takes_nothing_away(line: Line) -> None:
    line.feed(bad(line))
    opened = case_of(line)
    worse = [
        row(n, 9.0, waveforms=file_of(line, n, sound("x")), axes={"y": {"velocity_rms_mm_s": 9.0}}) for n in range(4, 8)
    ]

    line.feed(worse, first=5)

    case = case_of(line)
    assert (case.change, case.fault) == ("updated", "BEARING_OUTER_RACE")
    later = case.evidence["diagnosis"].pop("later")
    assert later["verdict"] not in FAULTS
    assert later["capture_id"] == f"s-1@{START_MS + 7 * HOUR}"
    assert case.evidence["diagnosis"] == opened.evidence["diagnosis"]


def test_a_fault_that_is_named_later_is_the_cases(line: Line) -> None:
    silent = [row(n, 9.0, waveforms=file_of(line, n, sound("x"))) for n in range(4)]
    line.feed(silent)
    assert case_of(line).fault is None
    worse = [
        row(n, 9.0, waveforms=file_of(line, n, shaking("y")), axes={"y": {"velocity_rms_mm_s": 9.0}})
        for n in range(4, 8)
    ]

    line.feed(worse, first=5)

    case = case_of(line)
    assert (case.change, case.fault) == ("updated", "BEARING_OUTER_RACE")
    assert case.evidence["picture"] == f"evidence/{case.case_id}/{case.revision}.svg"


def test_what_people_do_to_a_case_does_not_take_its_fault_away(line: Line) -> None:
    line.feed(bad(line))
    case_id = line.case_id()
    acts = [
        Control("acknowledged", case_id, START_MS + 20 * HOUR, "mia"),
        Control("resolved", case_id, START_MS + 21 * HOUR, "mia", CLOSURE),
    ]

    line.feed([encode_control(POSITION, act) for act in acts], first=100)

    assert case_of(line).evidence["diagnosis"]["verdict"] == "BEARING_OUTER_RACE"
    assert [row["fault"] for row in line.table("cases")] == ["BEARING_OUTER_RACE"] * 3
    [event] = [event for event in line.aws.heard() if event["kind"] == "Case Resolved"]
    assert event["fault"] == "BEARING_OUTER_RACE"


# ---- pictures ------------------------------------------------------------------------------------


def test_a_picture_of_what_was_seen_is_beside_the_case(line: Line) -> None:
    line.feed(bad(line))

    case = case_of(line)
    drawn = objects(line, "evidence/")
    assert case.evidence["picture"] == f"evidence/{case.case_id}/1.svg"
    assert set(drawn) == {f"evidence/{case.case_id}/1.svg", f"evidence/{case.case_id}/1.png"}
    assert POSITION in drawn[case.evidence["picture"]].decode()
    assert drawn[f"evidence/{case.case_id}/1.png"].startswith(b"\x89PNG")


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_while_pictures_are_drawn_is_made_good_and_draws_the_same(
    line: Line, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    rows = bad(line)
    draw = line.detection._pictures.draw

    def dying(ordered: Any) -> None:
        if after:
            draw(ordered)
        raise Dies

    monkeypatch.setattr(line.detection._pictures, "draw", dying)
    with pytest.raises(Dies):
        line.feed(rows)
    before = objects(line, "evidence/")
    monkeypatch.setattr(line.detection._pictures, "draw", draw)
    line.feed(rows)

    assert [receipt.records for receipt in line.receipts] == [4]
    drawn = objects(line, "evidence/")
    assert len(drawn) == 2
    assert before in ({}, drawn)


def test_a_picture_that_cannot_be_drawn_does_not_hold_up_the_shard(
    line: Line, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise ValueError("no room")

    monkeypatch.setattr(picture, "evidence", fails)
    line.feed(bad(line))

    assert case_of(line).fault == "BEARING_OUTER_RACE"
    assert objects(line, "evidence/") == {}
    assert "no picture evidence/case-" in caplog.text


def test_a_receipt_from_before_there_were_pictures_is_carried_out(line: Line) -> None:
    line.feed([row(0, 1.0)])
    [receipt] = line.receipts
    without = {name: effect for name, effect in receipt.effects.items() if name != "pictures"}

    line.detection.carry_out(replace(receipt, effects=without))


# ---- the rota ------------------------------------------------------------------------------------


def test_about_once_a_day_a_healthy_capture_is_looked_at(line: Line) -> None:
    line.feed([row(n, 1.0, waveforms=file_of(line, n, sound("x"))) for n in range(48)])

    looked = line.table("diagnoses")
    assert [(row["trigger"], row["case_id"]) for row in looked] == [("rota", None)] * 2
    first, second = sorted(row["t"].timestamp() * 1000 for row in looked)
    assert second - first == DAY_MS
    assert list(line.cases.all()) == []


def test_a_machine_that_stands_still_is_not_looked_at(line: Line) -> None:
    line.registry.put(replace(PUMP, running_above_rpm=300.0))

    line.feed([row(n, 1.0, waveforms=file_of(line, n, sound("x")), speed_rpm=0.0) for n in range(24)])

    assert line.table("diagnoses") == []


def test_a_capture_that_is_told_twice_is_looked_at_once(line: Line) -> None:
    rows = [row(n, 1.0, waveforms=file_of(line, n, sound("x"))) for n in range(24)]

    line.feed([again for each in rows for again in (each, each)])

    assert len(line.table("diagnoses")) == 1


# ---- laws ----------------------------------------------------------------------------------------


def test_a_plant_that_shakes_all_over_is_diagnosed_in_several_decisions(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detection, "MOST_EXAMINED", 2)
    names = [f"plant/hall/pump-{n}/de" for n in range(5)]
    for name in names:
        line.registry.put(replace(PUMP, id=name))
    by_hour = zip(*(bad(line, position=name) for name in names), strict=True)

    line.feed([each for hour in by_hour for each in hour])

    assert {case.position: case.change.fault for case in line.cases.all()} == dict.fromkeys(names, "BEARING_OUTER_RACE")
    assert len(line.receipts) > 1
    assert sum(receipt.records for receipt in line.receipts) == 20
    assert len(objects(line, "evidence/")) == 10


@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from("-hbsx"), min_size=6, max_size=14), st.lists(st.integers(1, 14), max_size=4), st.data())
def test_what_is_said_does_not_depend_on_how_the_stream_is_cut(kinds: list[str], cuts: list[int], data: Any) -> None:
    """Hours that are healthy, bad with and without a readable waveform, and too hot, in any batches, some twice."""

    def told(line: Line) -> list[bytes]:
        line.registry.put(replace(PUMP, limits=replace(PUMP.limits, temperature_alarm_c=95.0), interval_s=86_400.0))
        made: dict[str, Callable[[int], bytes]] = {
            "-": lambda n: row(n, 1.0, waveforms=file_of(line, n, sound("x"))),
            "h": hot,
            "b": lambda n: bad(line, range(n, n + 1))[0],
            "s": lambda n: row(n, 9.0, waveforms=file_of(line, n, sound("x"))),
            "x": lambda n: row(n, 9.0, waveforms="data/waveforms/2026-01-01/gone.parquet"),
        }
        return [made[kind](n) for n, kind in enumerate(kinds)]

    def outcome(line: Line) -> Any:
        return (
            line.table("cases"),
            line.table("diagnoses"),
            objects(line, "evidence/"),
            [c.change for c in line.cases.all()],
        )

    with aws() as made:
        whole = Line(made)
        whole.feed(told(whole))
        expected = outcome(whole)
    with aws() as made:
        cut = Line(made)
        rows = told(cut)
        for end in sorted({min(one, len(rows)) for one in cuts} | {len(rows)}):
            start = data.draw(st.integers(0, end - 1))
            cut.feed(rows[:end])
            cut.feed(rows[start:end], first=start + 1)
        found = outcome(cut)

    assert found == expected


# ---- parts ---------------------------------------------------------------------------------------


def test_numbers_are_told_to_five_digits_and_what_is_none_as_null() -> None:
    odd = {"a": (107.541234, np.float32(0.5)), "b": float("nan"), "c": [np.int64(3), True, 0.0, -1e-9 / 3], "d": "x"}

    assert json.dumps(plain(odd)) == '{"a": [107.54, 0.5], "b": null, "c": [3, true, 0.0, -3.3333e-10], "d": "x"}'


def test_a_diagnosis_can_be_read_again_from_what_is_told() -> None:
    made = Diagnosis(CANNOT_TELL, 0.0, "no", speed_hz=24.66666666, bands_hz={"x": (2000.0, 4000.0)})

    assert Diagnosis.from_dict(plain(made.as_dict())) == replace(made, speed_hz=24.667)


def test_files_are_read_once_for_the_captures_of_a_batch(line: Line) -> None:
    key = file_of(line, 0, shaking("x"), shaking("y"))
    reads: list[str] = []

    class Counting:
        exceptions = line.aws.s3.exceptions

        def get_object(self, **named: Any) -> Any:
            reads.append(named["Key"])
            return line.aws.s3.get_object(**named)

    waveforms = Waveforms(Counting(), "lake")  # type: ignore[arg-type]  # as much of a client as is asked for
    for _ in range(2):
        found = waveforms.of(key, position=POSITION, sensor="s-1", capture_id=f"s-1@{START_MS}")

    assert reads == [key]
    assert [wave.axis for wave in found] == ["x", "y"]
    assert found[0].samples.dtype == np.int16
    np.testing.assert_array_equal(found[0].samples, shaking("x").samples)
    assert (found[0].fs_hz, found[0].scale, found[0].unit) == (FS_HZ, shaking("x").scale, "g")
    assert pq.read_table(io.BytesIO(objects(line, key)[key])).num_rows == 2
