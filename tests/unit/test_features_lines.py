"""Lines of shaft, blades, teeth and mains: sums of sines read back, and how far from its place a line is looked for."""

from math import pi, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from telltale.core.capture import Waveform
from telltale.core.features import (
    LINE_PERIODS,
    MEASURED_SPEED_TOLERANCE,
    NOMINAL_SPEED_TOLERANCE,
    axes_features,
    features,
)
from telltale.core.plant import Machine
from telltale.core.schema import FEATURES

Array = NDArray[Any]
FS_HZ = 25600.0
SPEED_HZ = 29.7
IN_MM_S = 1000 * 9.80665 / (2 * pi)  # of 1 g, times f
OF_THE_SHAFT = [
    *(column.name for column in FEATURES if column.name.startswith("order_")),
    "harmonic_share", "blade_pass_mm_s", "gear_mesh_g", "gear_sideband_ratio",
]  # fmt: skip


def vibration(velocities_mm_s: dict[float, float], *, seconds: float = 1.0) -> Array:
    """Sines of the given RMS velocities by frequency, as acceleration in g."""
    t = np.arange(round(seconds * FS_HZ)) / FS_HZ
    return np.sum(
        [sqrt(2) * v * hz / IN_MM_S * np.sin(2 * pi * hz * t + hz) for hz, v in velocities_mm_s.items()], axis=0
    )


def one(x: Array, *, speed_hz: float | None = SPEED_HZ, **known: Any) -> dict[str, float]:
    found = features(x, fs_hz=FS_HZ, scale_g=1.0, speed_hz=speed_hz, **known)
    return {name: float(value) for name, value in found.items()}


# Read back


def test_orders_read_the_velocities_they_were_made_of() -> None:
    orders = {0.5: 0.3, 1: 2.0, 1.5: 0.4, 2: 1.2, 2.5: 1.2, 3: 0.6, 4: 0.3, 7: 0.4, 10: 1.2}

    found = one(vibration({order * SPEED_HZ: v for order, v in orders.items()}))

    assert found["order_1_mm_s"] == pytest.approx(2.0, rel=0.015)
    assert found["order_2_mm_s"] == pytest.approx(1.2, rel=0.015)
    assert found["order_3_mm_s"] == pytest.approx(0.6, rel=0.015)
    assert found["order_half_mm_s"] == pytest.approx(1.3, rel=0.015)  # 0.3, 0.4 and 1.2
    assert found["order_4_10_mm_s"] == pytest.approx(1.3, rel=0.015)
    assert found["order_2_ratio"] == pytest.approx(0.6, rel=0.02)
    assert found["order_3_ratio"] == pytest.approx(0.3, rel=0.02)
    assert found["order_half_ratio"] == pytest.approx(0.65, rel=0.02)


@pytest.mark.parametrize("hz", [29.0, 29.25, 29.5, 29.75])
def test_a_line_between_two_bins_reads_at_most_two_per_cent_low(hz: float) -> None:
    found = one(vibration({hz: 1.0}), speed_hz=hz)

    assert 0.98 < found["order_1_mm_s"] < 1.002


def test_a_record_of_four_turns_reads_its_shaft_within_three_per_cent() -> None:
    for turns in (4.0, 4.3, 4.5, 4.8):
        x = vibration({SPEED_HZ: 1.0}, seconds=turns / SPEED_HZ)

        assert one(x)["order_1_mm_s"] == pytest.approx(1, abs=0.03)


def test_a_shaft_alone_is_all_harmonic_and_half_of_the_power_elsewhere_is_half() -> None:
    shaft = {SPEED_HZ: 2.0, 2 * SPEED_HZ: 1.0}

    assert one(vibration(shaft))["harmonic_share"] == pytest.approx(1, abs=0.03)
    assert one(vibration({**shaft, 71.0: sqrt(5)}))["harmonic_share"] == pytest.approx(0.5, abs=0.02)


def test_a_slow_shafts_harmonics_count_from_10_hz_on_as_the_velocity_does() -> None:
    found = one(vibration({4.0: 5.0, 12.0: 1.0, 71.0: 1.0}, seconds=4.0), speed_hz=4.0)

    assert found["order_1_mm_s"] == pytest.approx(5.0, rel=0.02)
    assert found["harmonic_share"] == pytest.approx(0.5, abs=0.02)


def test_blades_pass_as_often_as_there_are_blades() -> None:
    found = one(vibration({SPEED_HZ: 1.0, 11 * SPEED_HZ: 0.7}), blades=11)

    assert found["blade_pass_mm_s"] == pytest.approx(0.7, rel=0.02)


def test_the_mains_are_looked_for_whether_or_not_the_speed_is_known() -> None:
    x = vibration({49.6: 0.4, 99.2: 1.1})

    for speed_hz in (None, SPEED_HZ):
        found = one(x, speed_hz=speed_hz, line_hz=50.0)
        assert found["line_1_mm_s"] == pytest.approx(0.4, rel=0.02)
        assert found["line_2_mm_s"] == pytest.approx(1.1, rel=0.02)


def test_the_mains_of_another_country_are_not_these() -> None:
    assert one(vibration({60.0: 1.0, 120.0: 1.0}), line_hz=50.0)["line_2_mm_s"] < 0.01


def test_a_modulated_gear_mesh_reads_its_level_and_its_sidebands() -> None:
    """Modulation of depth m at 1x and of depth k at 2x puts m / 2 on each side at 1x and k / 2 at 2x."""
    t = np.arange(25600) / FS_HZ
    m, k = 0.4, 0.2
    depth = 1 + m * np.cos(2 * pi * SPEED_HZ * t) + k * np.cos(4 * pi * SPEED_HZ * t)
    x = 0.5 * sqrt(2) * depth * np.sin(2 * pi * 23 * SPEED_HZ * t)

    found = one(x, teeth=23)

    assert found["gear_mesh_g"] == pytest.approx(0.5, rel=0.015)
    assert found["gear_sideband_ratio"] == pytest.approx(sqrt(2 * (m / 2) ** 2 + 2 * (k / 2) ** 2), rel=0.03)


def test_a_mesh_without_sidebands_has_none() -> None:
    found = one(vibration({23 * SPEED_HZ: 5.0}), teeth=23)

    assert found["gear_sideband_ratio"] < 0.001


# How far a line is looked for


def orders(speed_hz: float) -> Array:
    return vibration({order * speed_hz: 1.0 for order in (0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9, 10)}, seconds=4.0)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("tolerance", [MEASURED_SPEED_TOLERANCE, NOMINAL_SPEED_TOLERANCE])
def test_orders_are_found_although_the_speed_is_off_by_its_tolerance(tolerance: float, sign: int) -> None:
    # The 10th order lies 0.3 orders away when the speed is 3 % off: a quarter of an order is the end.
    off = 0.99 * min(tolerance, 0.25 / 10)

    found = one(orders(SPEED_HZ * (1 + sign * off)), speed_tolerance=tolerance)

    for name in ("order_1_mm_s", "order_2_mm_s", "order_3_mm_s"):
        assert found[name] == pytest.approx(1, rel=0.02)
    assert found["order_half_mm_s"] == pytest.approx(sqrt(3), rel=0.02)
    assert found["order_4_10_mm_s"] == pytest.approx(sqrt(7), rel=0.02)


def test_a_measured_speed_is_taken_more_literally_than_a_nominal_one() -> None:
    x = vibration({SPEED_HZ * 1.029: 1.0}, seconds=8.0)

    measured = one(x, speed_tolerance=MEASURED_SPEED_TOLERANCE)
    nominal = one(x, speed_tolerance=NOMINAL_SPEED_TOLERANCE)

    assert measured["order_1_mm_s"] < 0.01
    assert nominal["order_1_mm_s"] == pytest.approx(1, rel=0.02)


def test_without_a_word_the_speed_counts_as_nominal() -> None:
    x = vibration({SPEED_HZ * 1.029: 1.0}, seconds=8.0)

    assert one(x) == pytest.approx(one(x, speed_tolerance=NOMINAL_SPEED_TOLERANCE), nan_ok=True)


@pytest.mark.parametrize("tolerance", [MEASURED_SPEED_TOLERANCE, NOMINAL_SPEED_TOLERANCE, 0.5])
def test_a_strong_neighbour_is_never_taken_for_the_line(tolerance: float) -> None:
    for order, names in {
        2: ("order_1_mm_s", "order_half_mm_s", "order_3_mm_s", "order_4_10_mm_s", "blade_pass_mm_s"),
        1: ("order_half_mm_s", "order_2_mm_s"),
        12: ("order_4_10_mm_s", "blade_pass_mm_s"),
    }.items():
        found = one(vibration({order * SPEED_HZ: 100.0}), speed_tolerance=tolerance, blades=11)

        assert all(found[name] < 0.3 for name in names)


def test_a_side_band_stronger_than_its_mesh_is_not_the_mesh() -> None:
    found = one(vibration({60 * SPEED_HZ: 0.1, 61 * SPEED_HZ: 1.0}), teeth=60)  # 3 % of 60 are nearly two orders

    mesh_g = 0.1 * 60 * SPEED_HZ / IN_MM_S
    assert found["gear_mesh_g"] == pytest.approx(mesh_g, rel=0.02)


def test_sidebands_follow_the_mesh_that_was_found() -> None:
    actual = SPEED_HZ * 1.01
    x = vibration({23 * actual: 5.0, 22 * actual: 1.0, 24 * actual: 1.0}, seconds=4.0)

    found = one(x, teeth=23)

    one_g, mesh_g = (22**2 + 24**2) ** 0.5, 23 * 5.0
    assert found["gear_sideband_ratio"] == pytest.approx(one_g / mesh_g, rel=0.03)


def test_the_tolerance_belongs_to_the_speed_of_each_row() -> None:
    samples = (1e4 * vibration({SPEED_HZ * 1.029: 1.0}, seconds=8.0)).astype(np.int16)
    item = (Waveform("x", samples, FS_HZ, 1e-4, "g"), SPEED_HZ, Machine())

    found = axes_features([item, item], speed_tolerance=[MEASURED_SPEED_TOLERANCE, NOMINAL_SPEED_TOLERANCE])

    assert found[0]["order_1_mm_s"] == pytest.approx(0, abs=0.01)
    assert found[1]["order_1_mm_s"] == pytest.approx(1, rel=0.02)
    assert axes_features([item])[0] == found[1]


# What cannot be known


KNOWN = {"blades": 7, "teeth": 23, "line_hz": 50.0}


@pytest.mark.parametrize("speed_hz", [None, np.nan, 0.0, -30.0, 1e6])
def test_without_a_usable_speed_there_are_no_lines_of_the_shaft(speed_hz: float | None) -> None:
    found = one(vibration({SPEED_HZ: 1.0}), speed_hz=speed_hz, **KNOWN)

    assert {name for name in OF_THE_SHAFT if not np.isnan(found[name])} == set()
    assert np.isfinite([found["line_1_mm_s"], found["line_2_mm_s"]]).all()


def test_what_the_machine_does_not_have_has_no_line() -> None:
    found = one(vibration({SPEED_HZ: 1.0}))

    unknown = ("blade_pass_mm_s", "gear_mesh_g", "gear_sideband_ratio", "line_1_mm_s", "line_2_mm_s")
    assert all(np.isnan(found[name]) for name in unknown)


@pytest.mark.parametrize(
    ("turns", "whole", "half"), [(3.95, False, False), (4.05, True, False), (7.95, True, False), (8.05, True, True)]
)
def test_a_record_too_short_for_an_order_does_not_tell_it(turns: float, whole: bool, half: bool) -> None:
    x = np.random.default_rng(1).normal(size=round(turns / SPEED_HZ * FS_HZ))

    found = one(x, **KNOWN)

    halves = {"order_half_mm_s", "order_half_ratio"}
    assert {np.isfinite(found[name]) for name in OF_THE_SHAFT if name not in halves} == {whole}
    assert {np.isfinite(found[name]) for name in halves} == {half}


@pytest.mark.parametrize(("periods", "known"), [(3.95, False), (4.05, True)])
def test_four_periods_of_the_mains_tell_them(periods: float, known: bool) -> None:
    x = np.random.default_rng(1).normal(size=round(periods / 50 * FS_HZ))

    found = one(x, line_hz=50.0)

    assert np.isfinite([found["line_1_mm_s"], found["line_2_mm_s"]]).tolist() == [known, known]


def test_a_line_beyond_half_the_rate_is_unknown_and_takes_no_other_with_it() -> None:
    x = np.random.default_rng(1).normal(size=(2, 4096))

    found = features(x, fs_hz=1000.0, scale_g=1.0, speed_hz=[30.0, 60.0], teeth=[16.0, 3.0], blades=[17.0, 3.0])

    assert np.isfinite(found["gear_mesh_g"]).tolist() == [True, True]
    assert np.isfinite(found["gear_sideband_ratio"]).tolist() == [False, True]
    assert np.isfinite(found["blade_pass_mm_s"]).tolist() == [False, True]
    assert np.isfinite(found["order_4_10_mm_s"]).tolist() == [True, False]
    assert np.isfinite(found["order_3_mm_s"]).tolist() == [True, True]


def test_a_machine_that_stands_still_has_lines_of_nothing_and_no_ratios() -> None:
    found = one(np.full(25600, 3, np.int16), **KNOWN)

    levels = [name for name in OF_THE_SHAFT if name.endswith(("_mm_s", "mesh_g"))]
    assert {found[name] for name in levels} == {0.0}
    assert all(np.isnan(found[name]) for name in OF_THE_SHAFT if name not in levels)


# Laws


@given(
    st.integers(0, 2**32 - 1),
    st.floats(10.0, 60.0),
    st.sampled_from([MEASURED_SPEED_TOLERANCE, NOMINAL_SPEED_TOLERANCE]),
)
@settings(max_examples=40, deadline=None)
def test_lines_hold_no_more_than_their_band(seed: int, speed_hz: float, tolerance: float) -> None:
    x = np.random.default_rng(seed).normal(size=25600)

    found = one(x, speed_hz=speed_hz, speed_tolerance=tolerance, line_hz=50.0)

    assert 0 < found["harmonic_share"] <= 1
    for name in ("order_1_mm_s", "order_2_mm_s", "line_1_mm_s"):
        assert 0 < found[name] <= found["velocity_2_rms_mm_s"]


def test_four_bins_apart_is_clear_of_a_hann_line() -> None:
    """The reason for LINE_PERIODS: three bins around one line hold nothing of another that many bins away."""
    n, at = 256, 40
    line = np.cos(2 * pi * at * np.arange(n) / n) * (0.5 - 0.5 * np.cos(2 * pi * np.arange(n) / n))
    power = np.abs(np.fft.rfft(line)) ** 2

    other = at + LINE_PERIODS
    assert power[other - 1 : other + 2].max() < 1e-20 * power[at]
