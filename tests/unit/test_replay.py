"""Recordings become captures without invention, and a replay keeps its intervals, its place and its count."""

import wave
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from cli import replay
from cli.plant_file import parse
from cli.problem import Problem
from cli.publish import Message
from cli.readers import NoRecording
from cli.recordings import Options, Recording, fit_int16, open_recording
from cli.replay import Pace, Seat, begin, in_time_order, seat_in, send_capture
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from telltale.adapters import wire
from telltale.core.bearings import CATALOGUE
from telltale.core.plant import Assignment, Gateway, Plant, Position, Sensor, Site

NOW_MS = 1_790_000_000_000
PLACE = Seat("replay/femto/B/housing", "femto-B", "replay")


def femto(folder: Path, *, snapshots: int = 5, peak_mg: int = 900, more: dict[str, Any] | None = None) -> Path:
    """A small recording as the FEMTO set has them."""
    acc = np.random.default_rng(1).integers(-500, 500, (snapshots, 64, 2)).astype(np.int32)
    acc[1, 7, 0] = peak_mg
    arrays = {
        "acc_mg": acc,
        "t_s": np.arange(snapshots, dtype=np.float32) * 10,
        "fs": np.array(25600),
        "rpm": np.array(1800),
        "load_N": np.array(4000),
    }
    path = folder / "Bearing1_4.npz"
    np.savez(path, **(arrays | (more or {})))
    return path


def table(folder: Path, name: str, columns: dict[str, list[Any]]) -> Path:
    path = folder / name
    if path.suffix == ".csv":
        pa.csv.write_csv(pa.table(columns), path)
    else:
        pa.parquet.write_table(pa.table(columns), path)
    return path


def sound(folder: Path, samples: np.ndarray[Any, Any], *, fs: int = 1000, width: int = 2) -> Path:
    path = folder / "motor.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(width)
        file.setframerate(fs)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def opened(path: Path, **said: Any) -> Recording:
    return open_recording(path, Options(**said))


# ---- waveforms -----------------------------------------------------------------------------------


@given(hnp.arrays(np.int32, st.integers(1, 50), elements=st.integers(-200_000, 200_000)))
def test_counts_fit_int16_within_half_a_step_and_exactly_where_it_says_so(counts: np.ndarray[Any, Any]) -> None:
    samples, step, exact = fit_int16(counts)

    error = np.abs(samples.astype(np.int64) * step - counts)
    assert error.max() <= step / 2
    assert error.max() == 0 or not exact


def test_counts_that_fit_are_left_alone() -> None:
    assert fit_int16(np.array([-32767, 32767], np.int32))[1:] == (1, True)


def test_large_counts_with_a_common_divisor_lose_nothing() -> None:
    samples, step, exact = fit_int16(np.array([-40_000, 20, 0], np.int32))

    assert exact
    assert (samples.astype(int) * step).tolist() == [-40_000, 20, 0]


def test_a_run_to_failure_snapshot_is_sent_as_it_was_recorded(tmp_path: Path) -> None:
    recording = opened(femto(tmp_path))
    acc_mg = np.load(tmp_path / "Bearing1_4.npz")["acc_mg"]

    capture = recording.capture(1, sensor="s", t_ms=NOW_MS)

    assert [one.axis for one in capture.waveforms] == ["x", "y"]
    for axis, one in enumerate(capture.waveforms):
        np.testing.assert_allclose(one.samples * one.scale, acc_mg[1, :, axis] / 1000)
        assert (one.fs_hz, one.unit) == (25600, "g")
    assert (capture.speed_rpm, capture.temperature_c, capture.tags) == (1800, None, {"load_n": 4000})
    assert recording.meta.notes == ()


def test_what_it_sends_is_what_the_line_reads(tmp_path: Path) -> None:
    capture = opened(femto(tmp_path)).capture(0, sensor="s", t_ms=NOW_MS)

    read = wire.decode_cbor(wire.encode_cbor(capture), received_ms=NOW_MS)

    assert (read.capture_id, read.part) == (capture.capture_id, capture.part) == (f"s@{NOW_MS}", "xys")


def test_peaks_beyond_int16_are_rounded_and_said(tmp_path: Path) -> None:
    recording = opened(femto(tmp_path, peak_mg=48_149))

    x, y = recording.capture(1, sensor="s", t_ms=NOW_MS).waveforms

    assert (x.scale, y.scale) == (0.002, 0.001)
    assert x.samples[7] * x.scale == pytest.approx(48.149, abs=0.001)
    assert "1 of 5 snapshots" in recording.meta.notes[0]


def test_the_test_rig_has_its_bearing_and_no_machine_class(tmp_path: Path) -> None:
    position = opened(femto(tmp_path)).meta.position

    assert position.id == "replay/femto/Bearing1_4/housing"
    assert (position.bearing, position.speed_rpm, position.interval_s) == (CATALOGUE["PRONOSTIA"], 1800, 10)
    assert position.machine_class is None


def test_a_snapshot_takes_the_temperature_measured_nearest_to_it(tmp_path: Path) -> None:
    measured = {"temp_t_s": np.array([0.5, 9.0, 11.5, 60.0]), "temp_C": np.array([20.0, 21.0, 22.0, 30.0])}

    recording = opened(femto(tmp_path, more=measured))

    temperatures = [recording.capture(i, sensor="s", t_ms=NOW_MS).temperature_c for i in range(5)]
    assert temperatures == [20.0, 21.0, 22.0, None, None]  # at 20 s the nearest was 8.5 s ago


@pytest.mark.parametrize(
    "wrong", [{"acc_mg": np.zeros((5, 64))}, {"acc_mg": np.zeros((4, 64, 2))}, {"acc_mg": np.zeros((5, 64, 3))}]
)
def test_arrays_of_another_shape_are_no_recording(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(NoRecording):
        opened(femto(tmp_path, more=wrong))


def test_an_npz_of_something_else_says_what_was_wanted(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", signal=np.zeros(3))

    with pytest.raises(NoRecording) as caught:
        opened(tmp_path / "x.npz")

    assert "acc_mg" in str(caught.value)


# ---- tables --------------------------------------------------------------------------------------

TIMES = ["2026-03-01T00:00:00Z", "2026-03-01T00:10:00Z", "2026-03-01T00:30:00Z"]


@pytest.mark.parametrize("name", ["log.csv", "log.parquet"])
def test_columns_of_the_wire_format_are_fields_and_the_others_tags(tmp_path: Path, name: str) -> None:
    columns: dict[str, list[Any]] = {
        "timestamp": TIMES,
        "temperature_c": [40.0, 41.0, None],
        "velocity_rms_x_mm_s": [1.0, 1.5, 2.0],
        "oil pressure": [3.0, 3.1, 3.2],
        "remark": ["ok", "ok", "loud"],
    }

    recording = opened(table(tmp_path, name, columns))

    first, last = (recording.capture(i, sensor="s", t_ms=NOW_MS) for i in (0, 2))
    assert recording.offsets_ms.tolist() == [0, 600_000, 1_800_000]
    assert (first.temperature_c, first.velocity_rms_mm_s, first.tags) == (40.0, {"x": 1.0}, {"oil_pressure": 3.0})
    assert (last.temperature_c, last.part) == (None, "s")
    assert any("remark" in note for note in recording.meta.notes)
    assert any("not judged" in note for note in recording.meta.notes)


def test_a_column_can_be_sent_as_a_field_that_the_user_names(tmp_path: Path) -> None:
    path = table(tmp_path, "log.csv", {"when": TIMES, "T1": [40.0, 41.0, 42.0]})

    recording = opened(path, columns={"T1": "temperature_c"}, time="when")

    assert recording.capture(0, sensor="s", t_ms=NOW_MS).temperature_c == 40.0


def test_ims_features_go_as_tags_that_carry_their_unit(tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {
        "timestamp": TIMES,
        "idx": [0, 1, 2],
        "ch1_std": [0.07, 0.08, 0.09],
        "ch1_kurt": [0.5, 0.6, 0.7],
    }
    columns |= {"ch1_env_bpfo_energy": [1e-6, 2e-6, 3e-6], "ch1_energy": [100.0, 101.0, 102.0]}

    recording = opened(table(tmp_path, "T2_B1.parquet", columns))

    capture = recording.capture(0, sensor="s", t_ms=NOW_MS)
    assert capture.tags == {
        "ch1_std_g": 0.07,
        "ch1_kurt": 0.5,
        "ch1_env_bpfo_energy_g2_hz": 1e-6,
        "ch1_energy_g2": 100.0,
    }
    assert recording.meta.position.bearing == CATALOGUE["ZA-2115"]


@pytest.mark.parametrize(
    ("times", "offsets"),
    [
        ([NOW_MS, NOW_MS + 5, NOW_MS + 9], [0, 5, 9]),
        ([0.0, 0.5, 2.0], [0, 500, 2000]),
        ([1_790_000_000, 1_790_000_001, 1_790_000_003], [0, 1000, 3000]),
        (["2026-03-01 00:00", "2026-03-01 00:01", "2026-03-01 00:02"], [0, 60_000, 120_000]),
    ],
)
def test_times_may_be_epoch_milliseconds_seconds_or_text(tmp_path: Path, times: list[Any], offsets: list[int]) -> None:
    recording = opened(table(tmp_path, "log.parquet", {"t": times, "a": [1, 2, 3]}))

    assert recording.offsets_ms.tolist() == offsets


def test_rows_out_of_order_are_put_in_order(tmp_path: Path) -> None:
    recording = opened(table(tmp_path, "log.parquet", {"t": [20.0, 0.0, 10.0], "a": [3.0, 1.0, 2.0]}))

    assert [recording.capture(i, sensor="s", t_ms=0).tags["a"] for i in range(3)] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"t": [1.0, 1.0], "a": [1, 2]}, "the same time"),
        ({"t": [1.0, None], "a": [1, 2]}, "have no t"),
        ({"t": ["soon", "later"], "a": [1, 2]}, '"soon"'),
        ({"x": [1.0, 2.0], "a": [1, 2]}, "sample times"),
        ({"t": [1.0, 2.0], "a": ["u", "v"]}, "no column of numbers"),
        ({"t": [1.0, 2.0]} | {f"c{i}": [1.0, 2.0] for i in range(65)}, "65 columns"),
    ],
)
def test_a_table_that_cannot_be_sent_says_why(tmp_path: Path, columns: dict[str, list[Any]], said: str) -> None:
    with pytest.raises(Problem) as caught:
        opened(table(tmp_path, "log.parquet", columns))

    assert said in str(caught.value)


# ---- sound files ---------------------------------------------------------------------------------


def test_a_sound_file_is_cut_into_captures_that_follow_one_another(tmp_path: Path) -> None:
    samples = np.arange(-1250, 1250).reshape(-1, 1)

    recording = opened(sound(tmp_path, samples), scale_g=16.0, seconds=1.0)

    assert recording.offsets_ms.tolist() == [0, 1000]
    [second] = recording.capture(1, sensor="s", t_ms=NOW_MS).waveforms
    np.testing.assert_allclose(second.samples * second.scale, samples[1000:2000, 0] * 16.0 / 32768)
    assert "the last 500 samples" in recording.meta.notes[0]


def test_channels_are_axes(tmp_path: Path) -> None:
    recording = opened(sound(tmp_path, np.zeros((100, 3))), scale_g=16.0)

    assert recording.capture(0, sensor="s", t_ms=NOW_MS).part == "xyz"


def test_a_sound_file_needs_to_be_told_its_scale(tmp_path: Path) -> None:
    with pytest.raises(Problem) as caught:
        opened(sound(tmp_path, np.zeros((100, 1))))

    assert "--scale" in str(caught.value)


@pytest.mark.parametrize(("channels", "width"), [(4, 2), (1, 1), (2, 4)])
def test_other_sound_files_are_refused(tmp_path: Path, channels: int, width: int) -> None:
    with pytest.raises(NoRecording):
        opened(sound(tmp_path, np.zeros((100, channels)), width=width), scale_g=1.0)


@pytest.mark.parametrize("name", ["x.wav", "x.parquet", "x.csv", "x.doc", "missing.npz"])
def test_garbage_is_no_recording(tmp_path: Path, name: str) -> None:
    if name != "missing.npz":
        (tmp_path / name).write_bytes(b"\x00garbage\xff" * 10)

    with pytest.raises(NoRecording):
        opened(tmp_path / name, scale_g=1.0)


def test_a_folder_gives_its_recordings_and_names_what_it_leaves_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    femto(tmp_path)
    table(tmp_path, "truth.csv", {"run": ["Bearing1_4"], "failure": [1427]})
    (tmp_path / "README.md").write_text("about")

    found = replay.find([tmp_path], Options())

    assert [one.meta.file.name for one in found] == ["Bearing1_4.npz"]
    assert "left out truth.csv" in capsys.readouterr().out


# ---- where it belongs ----------------------------------------------------------------------------

EMPTY = Plant({}, {}, {}, {})


def test_an_unknown_recording_brings_its_own_site_gateway_position_and_sensor() -> None:
    position = Position("replay/femto/B/housing")

    place, missing = seat_in(EMPTY, position, "femto-B")

    assert place == PLACE
    assert missing == [
        Site("replay", name="Recordings"),
        Gateway("replay", "replay", name="telltale replay"),
        position,
        Sensor("femto-B", (Assignment(position.id),), "replay"),
    ]


def test_a_registered_position_is_used_with_the_sensor_that_sits_there() -> None:
    plant = parse(
        "sites: {s: {gateways: {g: }, areas: {a: {assets: {m: {positions: {p: {sensor: x, gateway: g}}}}}}}}", file="f"
    )

    assert seat_in(plant, Position("s/a/m/p"), "femto-B") == (Seat("s/a/m/p", "x", "g"), [])


def test_a_registered_position_without_a_sensor_gets_one() -> None:
    plant = parse("sites: {s: {gateways: {g: }, areas: {a: {assets: {m: {positions: {p: }}}}}}}", file="f")

    place, missing = seat_in(plant, Position("s/a/m/p"), "femto-B")

    assert place == Seat("s/a/m/p", "femto-B", "g")
    assert missing == [Sensor("femto-B", (Assignment("s/a/m/p"),), "g")]


# ---- time, place and pace ------------------------------------------------------------------------


def test_intervals_are_kept_and_the_last_sample_is_now(tmp_path: Path) -> None:
    run = begin(opened(femto(tmp_path)), PLACE, resume=False, now_ms=NOW_MS, home=tmp_path)

    assert [run.t_ms(i) for i in range(run.total)] == [NOW_MS - 10_000 * i for i in (4, 3, 2, 1, 0)]


def test_several_recordings_are_published_in_time_order(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    recordings = [opened(femto(tmp_path, snapshots=4)), opened(femto(tmp_path / "other", snapshots=3))]
    runs = [begin(one, PLACE, resume=False, now_ms=NOW_MS, home=tmp_path) for one in recordings]

    order = [(runs.index(run), index) for _, run, index in in_time_order(runs)]

    assert order == [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (0, 3), (1, 2)]


def test_the_pace_is_a_rate_or_a_multiple_of_the_recorded_one() -> None:
    assert Pace(rate=20).due_s(40, 400_000) == 2.0
    assert Pace(rate=20, speed=100).due_s(40, 400_000) == 4.0


class Recorder:
    """A connection that keeps the promise of one: settled means acknowledged. It can break after so many messages."""

    def __init__(self, breaks_after: int | None = None) -> None:
        self.sent: list[Message] = []
        self.breaks_after = breaks_after

    def publish(self, message: Message) -> None:
        if len(self.sent) == self.breaks_after:
            raise ConnectionError
        self.sent.append(message)

    def settle(self) -> None: ...


def published(run: replay.Run, connection: Any) -> None:
    for _, one, index in in_time_order([run]):
        send_capture(one, index, connection, form="cbor")


@pytest.mark.parametrize("breaks_after", range(5))
def test_a_stopped_replay_goes_on_with_the_next_message_and_the_same_times(tmp_path: Path, breaks_after: int) -> None:
    recording = opened(femto(tmp_path))
    whole, first, second = Recorder(), Recorder(breaks_after), Recorder()
    published(begin(recording, PLACE, resume=False, now_ms=NOW_MS, home=tmp_path / "elsewhere"), whole)

    with pytest.raises(ConnectionError):
        published(begin(recording, PLACE, resume=False, now_ms=NOW_MS, home=tmp_path), first)
    published(begin(recording, PLACE, resume=True, now_ms=NOW_MS + 77_000, home=tmp_path), second)

    shift = 77_000 if breaks_after == 0 else 0  # nothing was out yet
    assert len(first.sent + second.sent) == len(whole.sent)
    assert (first.sent + second.sent == whole.sent) == (shift == 0)


def test_a_capture_in_several_messages_goes_on_in_its_middle(tmp_path: Path) -> None:
    long = np.random.default_rng(2).integers(-9000, 9000, (60_000, 3))
    recording = opened(sound(tmp_path, long, fs=60_000), scale_g=16.0)
    first, second = Recorder(breaks_after=2), Recorder()

    with pytest.raises(ConnectionError):
        published(begin(recording, PLACE, resume=False, now_ms=NOW_MS, home=tmp_path), first)
    published(begin(recording, PLACE, resume=True, now_ms=NOW_MS, home=tmp_path), second)

    axes = [wire.decode_cbor(message.payload, received_ms=NOW_MS).part for message in first.sent + second.sent]
    assert axes == ["x", "y", "z"]


def test_a_whole_replay_has_nothing_to_go_on_with(tmp_path: Path) -> None:
    recording, again = opened(femto(tmp_path)), Recorder()
    published(begin(recording, PLACE, resume=False, now_ms=NOW_MS, home=tmp_path), Recorder())

    published(begin(recording, PLACE, resume=True, now_ms=NOW_MS, home=tmp_path), again)

    assert again.sent == []


def test_a_file_that_has_changed_is_not_gone_on_with(tmp_path: Path) -> None:
    published(begin(opened(femto(tmp_path)), PLACE, resume=False, now_ms=NOW_MS, home=tmp_path), Recorder())

    run = begin(opened(femto(tmp_path, snapshots=6)), PLACE, resume=True, now_ms=NOW_MS, home=tmp_path)

    assert run.captures == 0


def test_a_recording_longer_than_the_line_takes_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path, "log.parquet", {"t": [0.0, 401 * 86_400.0], "a": [1.0, 2.0]})

    with pytest.raises(Problem) as caught:
        begin(opened(path), PLACE, resume=False, now_ms=NOW_MS, home=tmp_path)

    assert "400 days" in str(caught.value)
