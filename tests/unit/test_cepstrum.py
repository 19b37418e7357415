"""Families of lines: a gear's sidebands are found at their spacing, and noise has none."""

from math import log, pi
from typing import Any

import numpy as np
import pytest
from cli.plant_model import Fault, FaultKind, Kind, Machine, capture
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from telltale.core import cepstrum
from telltale.core.cepstrum import Family, sideband_families

Array = NDArray[Any]
FS_HZ = 25600.0
MESH_HZ = 23 * 29.65


def time_s(n: int = 25600) -> Array:
    return np.arange(n) / FS_HZ


def noise(n: int = 25600, *, seed: int = 7) -> Array:
    return np.random.default_rng(seed).normal(size=n)


def gear(*, depth: float, spacing_hz: float = 29.65, seed: int = 7) -> Array:
    """A mesh whose amplitude and phase swing with a shaft: sidebands, under a little noise."""
    swing = depth * np.cos(2 * pi * spacing_hz * time_s())
    return (1 + swing) * np.cos(2 * pi * MESH_HZ * time_s() + 3 * swing) + 0.01 * noise(seed=seed)


def around_the_mesh(x: Array, *, low_hz: float = 10.0, high_hz: float = 100.0) -> tuple[Family, ...]:
    return sideband_families(
        x,
        fs_hz=FS_HZ,
        low_spacing_hz=low_hz,
        high_spacing_hz=high_hz,
        low_hz=MESH_HZ - 5 * 29.65,
        high_hz=MESH_HZ + 5 * 29.65,
    )


@pytest.mark.parametrize("spacing_hz", [14.2, 29.65, 55.0])
def test_sidebands_are_found_at_their_spacing(spacing_hz: float) -> None:
    found = around_the_mesh(gear(depth=0.5, spacing_hz=spacing_hz))

    assert found[0].spacing_hz == pytest.approx(spacing_hz, rel=0.02)
    assert found[0].ratio > 3


def test_a_mesh_without_sidebands_is_no_family() -> None:
    found = [around_the_mesh(gear(depth=0.0, seed=seed)) for seed in range(20)]

    assert sum(map(bool, found)) <= 1


def test_deeper_modulation_is_a_stronger_family() -> None:
    shallow, deep = (around_the_mesh(gear(depth=depth))[0] for depth in (0.1, 0.6))

    assert deep.strength > 1.3 * shallow.strength


def test_harmonics_are_a_family_of_the_whole_spectrum_and_not_named_twice() -> None:
    clicks = np.zeros(25600)
    clicks[np.arange(0, 25600, 640)] = 1  # 40 Hz, and with it 20, 13.3 ... as echoes

    found = sideband_families(0.02 * noise() + clicks, fs_hz=FS_HZ, low_spacing_hz=8, high_spacing_hz=200)

    assert [family.spacing_hz for family in found] == pytest.approx([40], rel=1e-3)


def test_two_families_are_told_apart() -> None:
    clicks = np.zeros(25600)
    clicks[np.arange(0, 25600, 640)] = 1  # 40 Hz
    other = np.zeros(25600)
    other[np.arange(7, 25600, 1000)] = np.where(np.arange(26) >= 0, 1, 0)  # 25.6 Hz

    found = sideband_families(0.02 * noise() + clicks + other, fs_hz=FS_HZ, low_spacing_hz=15, high_spacing_hz=100)

    assert {round(family.spacing_hz, 1) for family in found} >= {40.0, 25.6}


@pytest.mark.parametrize(
    ("n", "low_hz", "high_hz", "spacings_hz"),
    [(4096, 0.0, None, (30, 200)), (4096, 500.0, 1500.0, (30, 200)), (25600, 500.0, 800.0, (10, 70))],
)
def test_noise_shows_a_family_in_hardly_any_record(
    n: int, low_hz: float, high_hz: float | None, spacings_hz: tuple[float, float]
) -> None:
    low, high = spacings_hz

    found = [
        sideband_families(
            noise(n, seed=seed), fs_hz=FS_HZ, low_spacing_hz=low, high_spacing_hz=high, low_hz=low_hz, high_hz=high_hz
        )
        for seed in range(300)
    ]

    assert sum(map(bool, found)) <= 4  # cepstrum.CHANCE is 1 in 100 at most


@pytest.mark.parametrize(("severity", "found_in"), [(0.0, range(0, 2)), (0.5, range(8, 9)), (1.0, range(8, 9))])
def test_the_gear_of_a_simulated_machine_shows_its_shaft(severity: float, found_in: range) -> None:
    right = 0
    for seed in range(8):
        machine = Machine(f"gearbox-{seed}", Kind.GEARBOX, 1500 + 60 * seed, teeth=23)
        sample = capture(
            machine,
            [Fault(FaultKind.GEAR, 0, 1000)] if severity else [],
            t_s=1000 * severity**0.5,
            sensor="s",
            seed=seed,
            fs_hz=FS_HZ,
            n_samples=25600,
        )
        assert sample is not None
        shaft_hz = sample.speed_rpm / 60
        families = sideband_families(
            sample.waveforms[0] * sample.scale,
            fs_hz=FS_HZ,
            low_spacing_hz=10,
            high_spacing_hz=100,
            low_hz=18 * shaft_hz,
            high_hz=28 * shaft_hz,
        )
        right += any(abs(family.spacing_hz / shaft_hz - 1) < 0.03 for family in families)

    assert right in found_in


def test_the_real_cepstrum_of_an_echo_peaks_at_its_delay() -> None:
    x = noise(8192)
    delayed = x.copy()
    delayed[256:] += 0.5 * x[:-256]

    quefrency, found = cepstrum.real(delayed, fs_hz=FS_HZ)

    peak = 50 + int(np.argmax(found[50:4096]))
    assert quefrency[peak] == pytest.approx(256 / FS_HZ)
    assert found[peak] == pytest.approx(0.5 / 2, abs=0.05)  # log|1 + a e^-iw| = a cos w - ..., half of it on each side


def test_a_gain_moves_the_cepstrum_at_zero_only() -> None:
    x = noise(4096)

    _, one = cepstrum.real(x, fs_hz=FS_HZ)
    _, other = cepstrum.real(10 * x, fs_hz=FS_HZ)

    np.testing.assert_allclose(other[1:], one[1:], atol=1e-12)
    assert other[0] - one[0] == pytest.approx(log(10))


@given(st.integers(0, 1000), st.floats(1e-6, 1e6))
@settings(max_examples=20)
def test_a_family_does_not_depend_on_the_gain(seed: int, gain: float) -> None:
    x = gear(depth=0.5, seed=seed)

    one, other = around_the_mesh(x), around_the_mesh(gain * x)

    np.testing.assert_allclose(
        [(f.spacing_hz, f.strength, f.ratio) for f in other],
        [(f.spacing_hz, f.strength, f.ratio) for f in one],
        rtol=1e-6,
    )


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize(
    "x",
    [np.zeros(0), np.ones(1), noise(9), noise(300), np.zeros(25600), np.full(25600, -2.0), np.full(25600, np.nan)],
    ids=["none", "one", "nine", "short", "silent", "constant", "nan"],
)
def test_a_record_of_which_nothing_can_be_said_has_no_families(x: Array) -> None:
    assert sideband_families(x, fs_hz=FS_HZ, low_spacing_hz=10, high_spacing_hz=100) == ()


@pytest.mark.parametrize(("low", "high"), [(100, 50), (0.1, 4.9), (5000, 9000), (np.nan, np.nan)])
def test_spacings_that_record_and_band_cannot_hold_give_none(low: float, high: float) -> None:
    x = gear(depth=0.5)

    assert sideband_families(x, fs_hz=FS_HZ, low_spacing_hz=low, high_spacing_hz=high) == ()


def test_single_precision_agrees_with_double() -> None:
    x = gear(depth=0.5)

    single, double = around_the_mesh(x.astype(np.float32)), around_the_mesh(x)

    assert single[0].spacing_hz == pytest.approx(double[0].spacing_hz, rel=1e-4)
    assert single[0].strength == pytest.approx(double[0].strength, rel=1e-3)


def test_the_input_is_left_alone() -> None:
    x = gear(depth=0.5)
    before = x.copy()
    x.flags.writeable = False

    around_the_mesh(x)
    cepstrum.real(x, fs_hz=FS_HZ)

    np.testing.assert_array_equal(x, before)
