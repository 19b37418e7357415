"""The simulated plant behaves as machines do: judged by the same indicators as real ones."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from cli.plant_model import (
    DAY_S,
    HOUR_S,
    SCALE_G,
    Bank,
    Fault,
    FaultKind,
    Kind,
    Machine,
    Sample,
    capture,
    operation,
    severities_at,
)
from numpy.typing import NDArray
from telltale.core.bearings import fault_orders
from telltale.core.features import features

Array = NDArray[Any]
FS_HZ = 26667.0
N = 26667  # one second, so that the cage shows
B_TO_C_MM_S, C_TO_D_MM_S = 2.8, 7.1  # ISO 10816-1, class II
T_S = 1_790_000_000.0
MACHINES = {kind: Machine(kind.value, kind, 1480.0) for kind in Kind}
MOTOR = MACHINES[Kind.MOTOR]
SENSORS = ("a", "b", "c")
RACES = [
    (FaultKind.OUTER_RACE, "env_bpfo_ratio"),
    (FaultKind.INNER_RACE, "env_bpfi_ratio"),
    (FaultKind.BALL, "env_bsf_ratio"),
]


def at(kind: FaultKind, severity: float) -> Fault:
    """A fault that has this severity at T_S."""
    return Fault(kind, 0.0, T_S / severity**0.5)


def where(kind: FaultKind) -> Machine:
    """The machine on which such a fault happens."""
    return MACHINES[{FaultKind.GEAR: Kind.GEARBOX, FaultKind.CAVITATION: Kind.PUMP}.get(kind, Kind.MOTOR)]


def take(machine: Machine, faults: Sequence[Fault] = (), *, sensor: str = "a", t_s: float = T_S, n: int = N) -> Sample:
    sample = capture(machine, faults, t_s=t_s, sensor=sensor, seed=1, fs_hz=FS_HZ, n_samples=n)
    assert sample is not None
    return sample


@cache
def measure(machine: Machine, *faults: Fault) -> dict[str, Array]:
    """Each indicator by axis (3,): the median over several sensors."""
    samples = [take(machine, faults, sensor=sensor) for sensor in SENSORS]
    found = features(
        np.stack([sample.waveforms for sample in samples]),
        fs_hz=FS_HZ,
        scale_g=SCALE_G,
        speed_hz=samples[0].speed_rpm / 60,
        bearing_orders=fault_orders(machine.bearing),
    )
    return {name: np.median(value, axis=0) for name, value in found.items()}


# Healthy machines, stopped machines


@pytest.mark.parametrize("kind", Kind)
def test_a_sound_machine_stays_in_zone_a_or_b_and_shows_no_defect(kind: Kind) -> None:
    machine = MACHINES[kind]

    for hours in range(0, 72, 9):
        sample = take(machine, t_s=T_S + hours * HOUR_S, n=4096)
        found = features(sample.waveforms, fs_hz=FS_HZ, scale_g=SCALE_G)
        assert 0.3 < found["velocity_rms_mm_s"].max() < B_TO_C_MM_S / 2
        assert found["env_kurtosis"].max() < 3
    assert all(measure(machine)[line].max() < 5 for _, line in RACES)


@pytest.mark.parametrize("kind", Kind)
def test_a_stopped_machine_is_told_from_a_running_one_by_its_vibration(kind: Kind) -> None:
    stopped = replace(MACHINES[kind], run_s=1e-3, stop_s=1e9)

    off, on = take(stopped), take(MACHINES[kind])

    assert (off.running, on.running) == (False, True)
    assert (off.speed_rpm, on.speed_rpm) == pytest.approx((0, 1480), rel=0.01)
    rms_off, rms_on = (features(s.waveforms, fs_hz=FS_HZ, scale_g=SCALE_G)["rms_g"] for s in (off, on))
    assert rms_off.max() < 0.012 < 0.02 < rms_on.min()


def test_a_defect_makes_no_sound_while_the_machine_stands() -> None:
    stopped = replace(MOTOR, run_s=1e-3, stop_s=1e9)

    silent, broken = take(stopped), take(stopped, [at(FaultKind.OUTER_RACE, 1.5)])

    np.testing.assert_array_equal(silent.waveforms, broken.waveforms)


# Each fault raises its own indicator


@pytest.mark.parametrize(
    ("kind", "indicator", "factor"),
    [
        (FaultKind.IMBALANCE, "band_10_50_g", 1.5),
        (FaultKind.MISALIGNMENT, "band_10_50_g", 1.5),
        (FaultKind.LOOSENESS, "band_100_200_g", 4),
        (FaultKind.OUTER_RACE, "env_bpfo_g", 10),
        (FaultKind.INNER_RACE, "env_bpfi_g", 10),
        (FaultKind.BALL, "env_bsf_g", 10),
        (FaultKind.GEAR, "env_kurtosis", 3),
        (FaultKind.CAVITATION, "band_5000_10000_g", 2),
        (FaultKind.LUBRICATION, "band_2000_5000_g", 3),
        (FaultKind.LOOSE_SENSOR, "kurtosis", 3),
    ],
)
def test_a_young_fault_raises_its_own_indicator(kind: FaultKind, indicator: str, factor: float) -> None:
    machine = where(kind)

    sound, young = measure(machine), measure(machine, at(kind, 0.3))

    assert young[indicator].max() > factor * sound[indicator].max()


@pytest.mark.parametrize(
    ("kind", "order"),
    [(FaultKind.INNER_RACE, 1.0), (FaultKind.BALL, fault_orders(MOTOR.bearing).ftf)],
)
def test_strikes_swell_as_the_defect_turns_through_the_load_zone(kind: FaultKind, order: float) -> None:
    turning, fixed = (
        features(
            (sample := take(MOTOR, [at(each, 0.5)])).waveforms,
            fs_hz=FS_HZ,
            scale_g=SCALE_G,
            speed_hz=sample.speed_rpm / 60,
            bearing_orders=[order, np.nan, np.nan, np.nan],
        )["env_bpfo_ratio"].max()
        for each in (kind, FaultKind.OUTER_RACE)
    )

    assert turning > 10 > 5 > fixed


def test_a_sensor_feels_gravity_on_its_vertical_axis() -> None:
    assert take(MOTOR).waveforms.mean(axis=-1) * SCALE_G == pytest.approx([0, 1, 0], abs=0.01)


def test_a_misaligned_shaft_shows_at_twice_its_speed_and_along_it() -> None:
    misaligned, unbalanced = measure(MOTOR, at(FaultKind.MISALIGNMENT, 1)), measure(MOTOR, at(FaultKind.IMBALANCE, 1))

    assert misaligned["band_10_50_g"].max() > 5 * measure(MOTOR)["band_10_50_g"].max()
    assert misaligned["velocity_rms_mm_s"][2] > 3 * unbalanced["velocity_rms_mm_s"][2]


@pytest.mark.parametrize(("kind", "line"), RACES)
def test_a_race_or_ball_defect_is_told_by_its_own_line_while_velocity_is_still_calm(kind: FaultKind, line: str) -> None:
    early = measure(MOTOR, at(kind, 0.05))

    assert early[line].max() > 10
    assert all(early[other].max() < 5 for _, other in RACES if other != line)
    assert early["env_kurtosis"].max() > 2.5
    assert early["velocity_rms_mm_s"].max() < 1.1 * measure(MOTOR)["velocity_rms_mm_s"].max()


@pytest.mark.parametrize(
    "kind",
    [
        FaultKind.IMBALANCE,
        FaultKind.MISALIGNMENT,
        FaultKind.LOOSENESS,
        FaultKind.OUTER_RACE,
        FaultKind.INNER_RACE,
        FaultKind.BALL,
        FaultKind.GEAR,
        FaultKind.CAVITATION,
    ],
)
def test_a_developed_fault_is_in_zone_c_and_its_end_is_worse(kind: FaultKind) -> None:
    developed, end = (measure(where(kind), at(kind, severity))["velocity_rms_mm_s"].max() for severity in (1, 2))

    assert B_TO_C_MM_S < developed < C_TO_D_MM_S
    assert end > max(C_TO_D_MM_S, 1.5 * developed)


def test_poor_lubrication_heats_and_hisses_and_hardly_shakes() -> None:
    dry = at(FaultKind.LUBRICATION, 1)

    assert take(MOTOR, [dry]).temperature_c > take(MOTOR).temperature_c + 20
    assert measure(MOTOR, dry)["velocity_rms_mm_s"].max() < B_TO_C_MM_S


def test_a_saturated_sensor_clips() -> None:
    clipped = measure(MOTOR, at(FaultKind.SATURATION, 1))

    assert clipped["kurtosis"].max() < 2.7
    assert clipped["crest"].max() < 2.5 < measure(MOTOR)["crest"].min()


def test_a_range_of_16_g_is_never_left() -> None:
    sample = take(MACHINES[Kind.PUMP], [at(FaultKind.CAVITATION, 2), at(FaultKind.LOOSE_SENSOR, 2)])

    assert sample.waveforms.dtype == np.int16
    assert np.abs(sample.waveforms.astype(int)).max() * sample.scale < 16.1


def test_a_drop_out_loses_captures_more_and_more() -> None:
    kept = [
        sum(
            capture(MOTOR, [at(FaultKind.DROPOUT, severity)], t_s=T_S - i, sensor="a", seed=1, fs_hz=FS_HZ, n_samples=8)
            is not None
            for i in range(200)
        )
        for severity in (0.01, 0.5, 1.0)
    ]

    assert 190 < kept[0] <= 200
    assert 80 < kept[1] < 140
    assert 5 < kept[2] < 40


def test_a_sensor_too_slow_for_the_resonance_hears_the_late_stage_only() -> None:
    early, late = (
        capture(MOTOR, [at(FaultKind.OUTER_RACE, s)], t_s=T_S, sensor="a", seed=1, fs_hz=3200.0, n_samples=3200)
        for s in (0.1, 1)
    )
    assert early is not None
    assert late is not None

    found = [features(sample.waveforms, fs_hz=3200.0, scale_g=SCALE_G) for sample in (early, late)]

    assert found[0]["kurtosis"].max() < 3.5
    assert found[1]["velocity_rms_mm_s"].max() > B_TO_C_MM_S


# Growth, duty, warmth


def test_severity_is_nothing_before_the_onset_one_when_developed_and_has_an_end() -> None:
    fault = Fault(FaultKind.IMBALANCE, 100.0, 50.0)

    assert [fault.severity(t) for t in (0, 100, 125, 150, 1e9)] == [0, 0, 0.25, 1, 2]


def test_of_two_faults_of_a_kind_the_worse_counts_whatever_their_order() -> None:
    faults = [Fault(FaultKind.GEAR, 0, 20), Fault(FaultKind.BALL, 0, 10), Fault(FaultKind.GEAR, 0, 10)]

    found = severities_at(faults, 10)

    assert found == {FaultKind.BALL: 1, FaultKind.GEAR: 1}
    assert list(severities_at(faults[::-1], 10)) == list(found)


def test_a_machine_runs_and_stops_as_its_duty_says() -> None:
    machine = replace(MOTOR, run_s=6 * HOUR_S, stop_s=2 * HOUR_S)

    running = [operation(machine, t_s=T_S + 60 * i, seed=1).running for i in range(8 * 60)]

    assert sum(running) == pytest.approx(6 * 60, abs=1)
    assert sum(a != b for a, b in zip(running, running[1:] + running[:1], strict=True)) == 2


def test_warmth_follows_the_duty_with_inertia_and_never_jumps() -> None:
    machine = replace(MOTOR, run_s=6 * HOUR_S, stop_s=2 * HOUR_S)

    course = [operation(machine, t_s=T_S + 60 * i, seed=1) for i in range(16 * 60)]

    warmth = np.array([now.warmth for now in course])
    rises = np.diff(warmth) > 0
    assert 0.2 < warmth.min() < 0.5 < 0.9 < warmth.max() < 1
    assert np.abs(np.diff(warmth)).max() < 0.01
    assert np.mean(rises == [now.running for now in course[:-1]]) > 0.99


def test_the_air_is_warmest_in_the_afternoon() -> None:
    hours = [operation(MOTOR, t_s=DAY_S * 20000 + hour * HOUR_S, seed=1).ambient_c for hour in range(24)]

    assert (int(np.argmin(hours)), int(np.argmax(hours))) == (4, 16)
    assert max(hours) - min(hours) == pytest.approx(8)


def test_load_wanders_within_its_swing_and_a_variable_drive_follows_it() -> None:
    machine = replace(MACHINES[Kind.FAN], load_swing=0.5, speed_swing=0.4)

    course = [operation(machine, t_s=T_S + 600 * i, seed=1) for i in range(500)]

    loads, speeds = np.array([now.load for now in course]), np.array([now.speed_rpm for now in course])
    assert 0.5 <= loads.min() < 0.6
    assert 0.9 < loads.max() <= 1
    assert np.abs(np.diff(loads)).max() < 0.1
    assert np.corrcoef(loads, speeds)[0, 1] > 0.99
    assert speeds.min() < 0.9 * speeds.max()


def test_two_sensors_on_a_machine_stop_together_and_differ_otherwise() -> None:
    machine = replace(MOTOR, run_s=HOUR_S, stop_s=HOUR_S)

    pairs = [[take(machine, sensor=sensor, t_s=T_S + 600 * i, n=64) for sensor in "ab"] for i in range(24)]

    assert {(a.running, b.running) for a, b in pairs} == {(True, True), (False, False)}
    assert not any(np.array_equal(a.waveforms, b.waveforms) for a, b in pairs)


# The same question, the same answer


def test_the_same_seed_sensor_and_time_give_the_same_bytes_in_any_order() -> None:
    faults = [at(kind, 0.5) for kind in FaultKind if kind is not FaultKind.DROPOUT]
    times = [T_S + i for i in range(3)]

    first = [take(MOTOR, faults, t_s=t_s, n=512) for t_s in times]
    again = [take(MOTOR, faults[::-1], t_s=t_s, n=512) for t_s in reversed(times)][::-1]

    for a, b in zip(first, again, strict=True):
        assert a.waveforms.tobytes() == b.waveforms.tobytes()
        assert (a.temperature_c, a.speed_rpm, a.running) == (b.temperature_c, b.speed_rpm, b.running)


@pytest.mark.parametrize("other", [{"seed": 2}, {"sensor": "b"}, {"t_s": T_S + 1}])
def test_another_seed_sensor_or_time_gives_another_waveform(other: dict[str, Any]) -> None:
    question: dict[str, Any] = {"t_s": T_S, "sensor": "a", "seed": 1, "fs_hz": FS_HZ, "n_samples": 64}

    one, two = (capture(MOTOR, (), **asked) for asked in (question, question | other))

    assert one is not None
    assert two is not None
    assert not np.array_equal(one.waveforms, two.waveforms)


@pytest.mark.parametrize("wrong", [{"speed_rpm": 0.0}, {"run_s": 0.0}, {"stop_s": -1.0}])
def test_an_impossible_machine_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        replace(MOTOR, **wrong)


def test_a_fault_that_takes_no_time_to_grow_is_refused() -> None:
    with pytest.raises(ValueError):
        Fault(FaultKind.BALL, 0.0, 0.0)


# The bank


def bank() -> Bank:
    return Bank(seed=1, fs_hz=FS_HZ, n_samples=4096, copies=4)


def test_a_bank_serves_many_sensors_from_a_few_waveforms() -> None:
    served = bank()

    samples = [
        served.capture(machine, (), t_s=T_S + i, sensor=f"s{i}") for i in range(500) for machine in MACHINES.values()
    ]

    assert None not in samples
    assert len(served.made) <= len(MACHINES) * served.copies * 2  # the load passes two steps at most in this time


def test_a_bank_answers_the_same_whatever_was_asked_before() -> None:
    fault = at(FaultKind.BALL, 0.7)
    used, fresh = bank(), bank()
    for i in range(50):
        used.capture(MOTOR, [fault], t_s=T_S - 1000 * i, sensor="b")

    a, b = (each.capture(MOTOR, [fault], t_s=T_S, sensor="a") for each in (used, fresh))

    assert a is not None
    assert b is not None
    assert a.waveforms.tobytes() == b.waveforms.tobytes()
    assert (a.temperature_c, a.speed_rpm) == (b.temperature_c, b.speed_rpm)


def test_waveforms_of_a_bank_cannot_be_spoilt_by_who_gets_them() -> None:
    sample = bank().capture(MOTOR, (), t_s=T_S, sensor="a")

    assert sample is not None
    assert not sample.waveforms.flags.writeable


def test_a_fault_grows_in_a_bank_as_it_does_outside() -> None:
    served, levels = bank(), []
    for severity in (0.1, 0.5, 1.0, 1.5):
        sample = served.capture(MOTOR, [at(FaultKind.IMBALANCE, severity)], t_s=T_S, sensor="a")
        assert sample is not None
        found = features(sample.waveforms, fs_hz=FS_HZ, scale_g=sample.scale)
        levels.append(float(found["band_10_50_g"].max()))

    assert levels == sorted(levels)
    assert levels[-1] > 5 * levels[0]


def test_a_bank_loses_captures_and_stops_machines_too() -> None:
    served = bank()
    stopping = replace(MOTOR, run_s=HOUR_S, stop_s=HOUR_S)

    lost = [served.capture(MOTOR, [at(FaultKind.DROPOUT, 1)], t_s=T_S - i, sensor="a") for i in range(50)]
    stopped = [served.capture(stopping, (), t_s=T_S + 600 * i, sensor="a") for i in range(12)]

    assert 30 < lost.count(None) < 50
    assert {sample.running for sample in stopped if sample} == {True, False}
