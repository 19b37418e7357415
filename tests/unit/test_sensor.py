"""Sensor health: each fault is found where it is, and sound sensors have none, on simulated and on real machines."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli import plant_model
from cli.plant_model import Fault, FaultKind, Kind, Machine
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from telltale.core.features import features
from telltale.core.sensor import KINDS, SensorFault, assessable, faults

FS_HZ = 26_667.0
SCALE_G = 0.000488
N = 26_667
DATA = Path(__file__).parents[3] / "shared" / "data"
DIRECTIONS = {"x": "horizontal", "y": "vertical", "z": "axial"}
RUNNING_HZ = 24.7

Row = dict[str, float | None]


def rows_of(samples: NDArray[Any], *, fs_hz: float = FS_HZ, scale_g: float = SCALE_G) -> list[Row]:
    """The indicators of records (records, n)."""
    found = features(samples, fs_hz=fs_hz, scale_g=scale_g, speed_hz=RUNNING_HZ)
    return [dict(zip(found, values, strict=True)) for values in zip(*(v.tolist() for v in found.values()), strict=True)]


def row_of(samples: NDArray[Any], **kwargs: float) -> Row:
    return rows_of(samples[None], **kwargs)[0]


def vibration(seed: int = 0, *, rms_g: float = 0.1, n: int = N) -> NDArray[np.int16]:
    """A shaft's tone in broadband noise, as counts."""
    noise = np.random.default_rng(seed).normal(0, 1, n)
    tone = np.sin(2 * np.pi * RUNNING_HZ * np.arange(n) / FS_HZ)
    return np.rint(rms_g * (0.9 * noise + 0.6 * tone) / SCALE_G).astype(np.int16)


def kinds(row: Mapping[str, float | None], **kwargs: Any) -> list[str]:
    return [one.kind for one in faults({"x": row}, directions=DIRECTIONS, speed_hz=RUNNING_HZ, **kwargs)]


def simulated(kind: Kind, *found: Fault, hours: int = 12, n: int = N, rpm: float = 1480) -> Iterator[dict[str, Row]]:
    """Captures of one machine, an hour apart, axis → row; the machine runs all the time."""
    machine = Machine(f"{kind} {rpm}", kind, rpm)
    for hour in range(hours):
        sample = plant_model.capture(machine, found, t_s=hour * 3600.0, sensor="s", seed=5, fs_hz=FS_HZ, n_samples=n)
        if sample is not None:
            yield dict(zip("xyz", rows_of(sample.waveforms, scale_g=sample.scale), strict=True))


def usual(rows: list[dict[str, Row]]) -> dict[str, dict[str, float]]:
    """The median of each indicator of each axis."""
    names = rows[0]["x"]
    return {axis: {name: float(np.median([row[axis][name] for row in rows])) for name in names} for axis in "xyz"}


@cache
def usual_of_a_pump() -> dict[str, dict[str, float]]:
    return usual(list(simulated(Kind.PUMP)))


def developed(kind: FaultKind) -> Fault:
    """A fault that is developed since long ago."""
    return Fault(kind, -1000.0, 1000.0)


# Sound sensors


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("rpm", [450.0, 1480.0, 2960.0])
def test_a_sound_sensor_on_a_sound_machine_has_no_fault(kind: Kind, rpm: float) -> None:
    for n in (2667, N):
        rows = list(simulated(kind, n=n, rpm=rpm, hours=4))

        for row in rows:
            assert faults(row, directions=DIRECTIONS, normal=usual(rows), speed_hz=rpm / 60) == ()


@pytest.mark.parametrize(
    "kind", [kind for kind in FaultKind if kind not in (FaultKind.LOOSE_SENSOR, FaultKind.SATURATION)]
)
@pytest.mark.parametrize("severity", [0.7, 2.0])
def test_a_fault_of_the_machine_is_no_fault_of_its_sensor(kind: FaultKind, severity: float) -> None:
    fault = Fault(kind, -1e9 * severity**0.5, 1e9)

    for row in simulated(Kind.PUMP, fault, hours=2):
        assert faults(row, directions=DIRECTIONS, normal=usual_of_a_pump(), speed_hz=RUNNING_HZ) == ()


@pytest.mark.parametrize("tone_hz", [10.0, 24.7, 100.0, 1000.0])
@pytest.mark.parametrize("counts", [50, 1000, 30_000])
def test_a_pure_sine_is_not_clipped_though_it_stays_long_on_its_extremes(tone_hz: float, counts: float) -> None:
    sine = counts * np.sin(2 * np.pi * tone_hz * np.arange(N) / FS_HZ)

    assert "SATURATION" not in kinds(row_of(np.rint(sine).astype(np.int16)))


@pytest.mark.parametrize("band", [1.0, 0.3, 1 / 13])
@given(counts=st.floats(0.3, 40), seed=st.integers(0, 100))
def test_coarse_counts_are_no_fault(band: float, counts: float, seed: int) -> None:
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(0, 1, 4096))
    spectrum[int(len(spectrum) * band) :] = 0
    noise = np.fft.irfft(spectrum)

    row = row_of(np.rint(noise / noise.std() * counts).astype(np.int16))

    assert set(kinds(row)) <= {"FLAT_LINE"}


@pytest.mark.data
@pytest.mark.parametrize(
    ("folder", "n"),
    [("femto", 2560), *((folder, n) for folder in ("cwru", "hitsm", "mfpt", "uestc") for n in (4096, 25_600))],
)
def test_no_real_recording_is_called_a_sensor_fault(folder: str, n: int) -> None:
    if not (DATA / folder).exists():
        pytest.skip(f"NOT CHECKED on real recordings: {DATA / folder} is missing")
    for path in sorted((DATA / folder).glob("*.npz")):
        for samples, fs_hz, scale_g in recorded(path):
            records = samples[: len(samples) // n * n].reshape(-1, n)[::5]
            found = {kind for row in rows_of(records, fs_hz=fs_hz, scale_g=scale_g) for kind in kinds(row)}
            assert found == set(), path.name


def recorded(path: Path) -> Iterator[tuple[NDArray[Any], float, float]]:
    """Channels of a recording: samples, sampling rate, g per count."""
    with np.load(path) as file:
        fs_hz = float(file["fs"])
        if "acc_mg" in file:
            for channel in np.moveaxis(file["acc_mg"], 2, 0):
                yield channel.reshape(-1), fs_hz, 0.001
        elif "x" in file:
            yield file["x"], fs_hz, 1.0
        else:
            yield from ((file[name], fs_hz, float(file[f"{name}_scale"])) for name in ("DE", "FE") if name in file)


# Each fault


def test_a_constant_record_is_a_flat_line() -> None:
    assert kinds(row_of(np.full(4096, 117, np.int16))) == ["FLAT_LINE"]


def test_a_sensor_of_coarse_counts_may_read_a_constant_where_nothing_moves() -> None:
    assert kinds(row_of(np.zeros(4096, np.int16), scale_g=0.1)) == []


@pytest.mark.parametrize("range_of_rms", [2.2, 1.5, 1.0, 0.3])
def test_a_record_that_is_cut_off_is_saturated(range_of_rms: float) -> None:
    counts = vibration()
    limit = int(range_of_rms * counts.std())

    [fault] = faults({"x": row_of(np.clip(counts, -limit, limit))}, directions={})

    assert (fault.kind, fault.axis) == ("SATURATION", "x")
    assert "% of the samples lie on the record's own extremes" in fault.reason


@pytest.mark.parametrize("kind", list(Kind))
def test_a_simulated_range_that_got_too_small_is_saturation(kind: Kind) -> None:
    for row in simulated(kind, developed(FaultKind.SATURATION), hours=3, n=4096):
        found = faults(row, directions=DIRECTIONS)
        assert {one.kind for one in found} == {"SATURATION"}
        assert {one.kind for one in faults(row, directions=DIRECTIONS, normal=usual_of_a_pump())} == {"SATURATION"}
        assert {one.axis for one in found} >= {"x", "y"}


@pytest.mark.parametrize("value", ["held", "zero"])
@pytest.mark.parametrize("gap", [40, 400])
def test_records_with_gaps_have_dropped_samples(value: str, gap: int) -> None:
    counts = vibration() + 300
    for start in range(0, N, 3 * gap):
        counts[start : start + gap] = counts[start] if value == "held" else 0

    assert "DROPPED_SAMPLES" in kinds(row_of(counts.astype(np.int16)))


def test_a_few_gaps_show_against_what_is_usual_here() -> None:
    sound, counts = row_of(vibration(1)), vibration(2)
    counts[5000:7000] = counts[5000]

    assert kinds(row_of(counts)) == []
    assert kinds(row_of(counts), normal={"x": sound}) == ["DROPPED_SAMPLES"]


def test_repeats_of_a_quieter_record_are_its_counts_not_gaps() -> None:
    sound, quiet = row_of(vibration(rms_g=0.05)), row_of(vibration(rms_g=0.002))

    assert kinds(quiet, normal={"x": sound}) == []


def test_high_bands_that_are_gone_while_velocity_stays_are_a_loose_mounting() -> None:
    def felt(seed: int, high: float) -> Row:
        """A mount that passes `high` of what lies above 1.5 kHz."""
        spectrum = np.fft.rfft(vibration(seed).astype(np.float64))
        spectrum[1500:] *= high
        return row_of(np.rint(np.fft.irfft(spectrum, N)).astype(np.int16))

    normal = {"x": felt(1, 1.0)}

    assert kinds(felt(2, 0.2), normal=normal) == ["LOOSE_MOUNTING"]
    assert kinds(felt(2, 0.5), normal=normal) == []
    assert kinds(felt(2, 0.2)) == []  # what is normal here is not known


def test_a_machine_that_got_quieter_as_a_whole_has_no_loose_sensor() -> None:
    normal = {"x": row_of(vibration(1, rms_g=0.4))}

    assert kinds(row_of(vibration(2, rms_g=0.05)), normal=normal) == []


def test_a_simulated_loose_sensor_that_rocks_is_found_in_most_long_records() -> None:
    found = [
        faults(row, directions=DIRECTIONS, normal=usual_of_a_pump(), speed_hz=RUNNING_HZ)
        for row in simulated(Kind.PUMP, developed(FaultKind.LOOSE_SENSOR), hours=12)
    ]

    assert sum(any(one.kind == "LOOSE_MOUNTING" for one in row) for row in found) >= 7


@pytest.mark.parametrize(
    ("high_share", "below_10_hz", "found"),
    [
        (0.6, 2.0, ["LOOSE_MOUNTING"]),
        (0.8, 2.0, []),  # the high bands are there
        (0.6, 1.2, []),  # what is below 10 Hz would concern nobody
        (0.24, 0.0, ["LOOSE_MOUNTING"]),
        (0.26, 0.0, []),
    ],
)
def test_a_loose_mount_has_lost_the_high_bands_or_half_of_them_and_rocks(
    high_share: float, below_10_hz: float, found: list[str]
) -> None:
    normal = {"velocity_rms_mm_s": 1.0, "env_rms_g": 0.1, "band_5000_10000_g": 0.2}
    row = {"velocity_rms_mm_s": 1.0, "velocity_2_rms_mm_s": float(np.hypot(1.0, below_10_hz))}
    row |= {name: normal[name] * high_share for name in ("env_rms_g", "band_5000_10000_g")}

    assert kinds(row, normal={"x": normal}) == found


@pytest.mark.parametrize(("usual_share", "found"), [(0.005, ["DROPPED_SAMPLES"]), (0.02, [])])
def test_repeats_count_as_gaps_only_far_beyond_the_usual(usual_share: float, found: list[str]) -> None:
    row = {"rms_g": 0.1, "repeated_share": 0.08, "clipped_share": 0.001, "crest": 4.0}

    assert kinds(row, normal={"x": {"rms_g": 0.1, "repeated_share": usual_share}}) == found


def test_a_mean_that_moves_more_than_the_machine_is_drift() -> None:
    ramp = np.linspace(0, 1.0, N) / SCALE_G

    assert kinds(row_of((vibration() + ramp).astype(np.int16))) == ["DC_DRIFT"]
    assert kinds(row_of((vibration() + 0.1 * ramp).astype(np.int16))) == []


@given(turns=st.floats(1.0, 30), phase=st.floats(0, 1))
def test_a_whole_turn_of_a_slow_shaft_is_not_drift(turns: float, phase: float) -> None:
    tone = 3000 * np.sin(2 * np.pi * (turns * np.arange(2667) / 2667 + phase))

    assert kinds(row_of(np.rint(tone).astype(np.int16))) == []


def test_an_offset_that_is_not_the_usual_one_is_drift() -> None:
    normal = {"x": {"mean_g": 0.05}}

    assert kinds({"mean_g": 0.3}, normal=normal) == []
    [fault] = faults({"x": {"mean_g": -0.45}}, directions={}, normal=normal)
    assert fault == SensorFault(
        "DC_DRIFT", "x", "the offset is -0.45 g, usual here is 0.05 g: it drifted, or the sensor has turned"
    )


def test_a_ski_slope_is_drift_but_not_on_a_slow_machine_nor_without_a_speed() -> None:
    row = {"velocity_rms_mm_s": 2.0, "velocity_2_rms_mm_s": 15.0}

    assert kinds(row) == ["DC_DRIFT"]
    assert kinds({**row, "velocity_2_rms_mm_s": 9.0}) == []  # as noise has it
    assert kinds({"velocity_rms_mm_s": 0.1, "velocity_2_rms_mm_s": 1.0}) == []  # a machine that stands still
    assert faults({"x": row}, directions={}, speed_hz=5.0) == ()
    assert faults({"x": row}, directions={}) == ()


def test_gravity_on_a_horizontal_axis_is_a_wrong_axis_map() -> None:
    means = {"x": {"mean_g": -0.99}, "y": {"mean_g": 0.05}, "z": {"mean_g": 0.1}}

    found = faults(means, directions=DIRECTIONS)

    assert [(one.kind, one.axis) for one in found] == [("WRONG_AXIS_MAP", "x"), ("WRONG_AXIS_MAP", "y")]
    assert found[0].reason == "gravity (-0.99 g) lies on x, declared horizontal, not on y, declared vertical"


@pytest.mark.parametrize(
    ("means", "directions"),
    [
        ((0.05, 1.0, 0.02), DIRECTIONS),
        ((0.6, 0.75, 0.0), DIRECTIONS),  # mounted at an angle
        ((0.75, 0.45, 0.45), DIRECTIONS),  # at more of an angle: no axis is plumb
        ((0.05, 0.0, 1.0), {"x": "horizontal", "y": "horizontal", "z": "axial"}),  # a vertical shaft
        ((0.85, 0.05, 0.52), {"x": "axial", "y": "horizontal", "z": "vertical"}),  # as much vertical as not
        ((3.0, 0.0, 0.0), DIRECTIONS),  # an offset, not gravity
        ((0.82, 0.0, 0.0), DIRECTIONS),
        ((1.0, 0.0, 0.0), {}),  # nobody said how it sits
        ((0.01, 0.02, 0.0), DIRECTIONS),  # a sensor that does not measure DC
        ((0.99, 0.05, None), DIRECTIONS),  # one axis is missing
        ((0.99, 0.05, float("nan")), DIRECTIONS),
    ],
)
def test_an_axis_map_that_may_be_right_is_none(means: tuple[float | None, ...], directions: Mapping[str, str]) -> None:
    rows = {axis: {"mean_g": mean} for axis, mean in zip("xyz", means, strict=True)}

    assert faults(rows, directions=directions) == ()


# What is not known


@given(
    st.dictionaries(
        st.sampled_from(["rms_g", "clipped_share", "repeated_share", "crest", "drift_g", "mean_g", "count_g"]),
        st.none() | st.just(float("nan")),
    )
)
def test_nothing_is_found_where_nothing_is_known(row: Row) -> None:
    assert faults({"x": row, "y": {}}, directions=DIRECTIONS, normal={"x": {}}) == ()
    assert not assessable(row)


@given(
    st.dictionaries(
        st.sampled_from(list(row_of(vibration(n=4096)))),
        st.none() | st.floats(allow_nan=True, allow_infinity=True),
    )
)
def test_whatever_the_indicators_every_fault_has_a_known_kind_and_a_reason(row: Row) -> None:
    for fault in faults({"x": row, "y": row, "z": row}, directions=DIRECTIONS, normal={"x": {"rms_g": 0.1}}):
        assert fault.kind in KINDS
        assert fault.axis in ("x", "y", "z")
        assert any(letter.isdigit() for letter in fault.reason) or fault.kind == "FLAT_LINE"


def test_a_velocity_that_cannot_be_is_no_reason_to_stop() -> None:
    row = {"velocity_rms_mm_s": -5.0, "velocity_2_rms_mm_s": 1.0, "rms_g": 1.0}

    assert faults({"x": row}, directions={}, speed_hz=25.0) == ()
