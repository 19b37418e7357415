"""Spectra, bands, integration and lines: textbook signals, laws for every signal, and scipy as a second opinion."""

from itertools import pairwise
from math import pi, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import signal
from telltale.core import spectrum
from telltale.core.spectrum import DISCRETE, acceleration_lines, velocity_lines

Array = NDArray[Any]
FS_HZ = 25600.0
MM_S2_PER_G = 9806.65

records = hnp.arrays(
    np.float64, st.integers(16, 700), elements=st.floats(-100, 100, allow_subnormal=False).map(lambda v: round(v, 6))
)


def time_s(n: int = 25600) -> Array:
    return np.arange(n) / FS_HZ


def sine(hz: float, *, peak: float = 1.0, n: int = 25600, phase: float = 0.3) -> Array:
    return peak * np.sin(2 * pi * hz * time_s(n) + phase)


def noise(n: int = 25600, *, seed: int = 7) -> Array:
    return np.random.default_rng(seed).normal(size=n)


# Amplitudes and densities


def test_a_sine_on_a_bin_reads_its_peak_amplitude_and_elsewhere_nothing() -> None:
    hz, peak = spectrum.amplitude(sine(100, peak=2.5) + 7, fs_hz=FS_HZ)

    assert hz[np.argmax(peak)] == 100
    assert peak.max() == pytest.approx(2.5, rel=1e-9)
    assert np.delete(peak, [99, 100, 101]).max() < 1e-9


def test_a_sine_between_two_bins_reads_what_the_hann_window_lets_it() -> None:
    _, peak = spectrum.amplitude(sine(100.5), fs_hz=FS_HZ)

    assert peak.max() == pytest.approx(0.849, abs=0.001)


def test_a_sine_at_half_the_rate_is_not_counted_twice() -> None:
    _, peak = spectrum.amplitude(np.tile([1.0, -1.0], 512), fs_hz=FS_HZ)

    assert peak[-1] == pytest.approx(1.0)


@pytest.mark.parametrize("segment", [256, 255, 1000, 4096])
@pytest.mark.parametrize("n", [4096, 5001])
def test_density_is_scipys_welch(segment: int, n: int) -> None:
    x = noise(n) + sine(1000, n=n) + 3
    hz, expected = signal.welch(x, FS_HZ, nperseg=segment)

    found_hz, found = spectrum.density(x, fs_hz=FS_HZ, segment=segment)

    np.testing.assert_allclose(found_hz, hz)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12 * expected.max())


def test_the_density_of_noise_does_not_depend_on_the_segment_and_adds_up_to_its_variance() -> None:
    for segment in (None, 512, 25600):
        hz, density = spectrum.density(2 * noise(), fs_hz=FS_HZ, segment=segment)

        assert density.sum() * hz[1] == pytest.approx(4, rel=0.03)
        assert np.median(density) == pytest.approx(4 / (FS_HZ / 2), rel=0.1 if segment != 25600 else 0.35)


@given(records)
@settings(max_examples=60)
def test_parseval_holds_for_every_record(x: Array) -> None:
    window = signal.windows.hann(len(x), sym=False)
    moving = x - x.mean() if np.ptp(x) else 0 * x
    centred = (moving - moving.mean()) * window

    hz, density = spectrum.density(x, fs_hz=FS_HZ, segment=len(x))

    assert density.sum() * hz[1] == pytest.approx((centred @ centred) / (window @ window), rel=1e-9, abs=1e-18)


@given(records, st.floats(0.001, 1000))
@settings(max_examples=40)
def test_amplitudes_scale_with_the_signal_and_densities_with_its_square(x: Array, factor: float) -> None:
    _, amplitude = spectrum.amplitude(x, fs_hz=FS_HZ)
    _, density = spectrum.density(x, fs_hz=FS_HZ)

    _, scaled_amplitude = spectrum.amplitude(factor * x, fs_hz=FS_HZ)
    _, scaled_density = spectrum.density(factor * x, fs_hz=FS_HZ)

    np.testing.assert_allclose(scaled_amplitude, factor * amplitude, rtol=1e-6, atol=1e-9 * factor * 100)
    np.testing.assert_allclose(scaled_density, factor**2 * density, rtol=1e-6, atol=1e-9 * factor**2)


def test_bands_that_tile_the_spectrum_keep_all_its_power() -> None:
    x = noise(4096) + sine(300, n=4096)
    edges = [2 * FS_HZ / 4096, 50, 111.1, 1000, 6789, FS_HZ / 2]

    tiles = [spectrum.band_rms(x, fs_hz=FS_HZ, low_hz=a, high_hz=b) ** 2 for a, b in pairwise(edges)]

    whole = spectrum.band_rms(x, fs_hz=FS_HZ, low_hz=edges[0], high_hz=edges[-1]) ** 2
    assert sum(tiles) == pytest.approx(whole, rel=1e-12)
    assert whole == pytest.approx(np.var(x), rel=0.05)


def test_a_tone_is_in_its_band_with_its_rms() -> None:
    x = np.stack([sine(200), 3 * sine(200)])

    inside = spectrum.band_rms(x, fs_hz=FS_HZ, low_hz=100, high_hz=300)
    outside = spectrum.band_rms(x, fs_hz=FS_HZ, low_hz=300, high_hz=1000)

    np.testing.assert_allclose(inside, [1 / sqrt(2), 3 / sqrt(2)], rtol=1e-9)
    assert outside.max() < 1e-9


@pytest.mark.parametrize(("low", "high"), [(0.5, 100), (100, 12801), (200, 100)])
def test_a_band_the_record_cannot_show_is_not_known(low: float, high: float) -> None:
    assert np.isnan(spectrum.band_rms(noise(), fs_hz=FS_HZ, low_hz=low, high_hz=high))
    assert np.isnan(spectrum.velocity(noise(), fs_hz=FS_HZ, low_hz=low, high_hz=high)).all()


# Velocity and displacement


def test_velocity_and_displacement_of_a_sine_are_the_textbooks() -> None:
    x = sine(80, n=51200)
    middle = slice(12800, 38400)
    omega = 2 * pi * 80
    velocity_mm_s = -MM_S2_PER_G / omega * np.cos(omega * time_s(51200) + 0.3)
    displacement_um = -1000 * MM_S2_PER_G / omega**2 * x

    velocity = spectrum.velocity(x, fs_hz=FS_HZ, low_hz=10, high_hz=1000)
    displacement = spectrum.displacement(x, fs_hz=FS_HZ, low_hz=10, high_hz=1000)

    np.testing.assert_allclose(velocity[middle], velocity_mm_s[middle], atol=0.01 * velocity_mm_s.max())
    np.testing.assert_allclose(displacement[middle], displacement_um[middle], atol=0.04 * displacement_um.max())


@pytest.mark.parametrize("n", [4096, 25600])
def test_the_rms_of_a_shafts_velocity_is_right_although_the_record_cuts_its_turns(n: int) -> None:
    for turns in np.linspace(4.0, 6.0, 11):
        hz = turns * FS_HZ / 4096
        expected = MM_S2_PER_G / (2 * pi * hz) / sqrt(2)

        found = spectrum.velocity(sine(hz, n=n), fs_hz=FS_HZ, low_hz=10, high_hz=1000)

        assert np.sqrt(np.mean(found**2)) == pytest.approx(expected, rel=0.12 if n == 4096 else 0.02)


def test_what_lies_outside_the_band_is_not_integrated() -> None:
    x = sine(80) + sine(3, peak=0.5) + sine(5000, peak=10)

    mixed, alone = (spectrum.velocity(y, fs_hz=FS_HZ, low_hz=20, high_hz=1000) for y in (x, sine(80)))

    assert np.std((mixed - alone)[6400:-6400]) < 0.05 * np.std(alone)


# Lines


@given(st.floats(3.0, 300.0), st.floats(0, 2 * pi))
@settings(max_examples=80)
def test_a_line_reads_its_rms_and_frequency_wherever_between_two_bins_it_lies(turns: float, phase: float) -> None:
    hz = turns * FS_HZ / 4096
    x = sine(hz, n=4096, phase=phase)

    acceleration = acceleration_lines(x, fs_hz=FS_HZ).at(hz, tolerance=0.01, name="1×")
    velocity = velocity_lines(x, fs_hz=FS_HZ).at(hz, tolerance=0.01, name="1×")

    assert acceleration is not None
    assert velocity is not None
    near_the_mean = 0.04 if turns < 6 else 0.002  # its mirror image at -hz leaks
    assert acceleration.hz == pytest.approx(hz, abs=near_the_mean * 2 * FS_HZ / 4096)
    assert acceleration.amplitude == pytest.approx(1 / sqrt(2), rel=0.012 + near_the_mean)
    assert velocity.amplitude == pytest.approx(
        MM_S2_PER_G / (2 * pi * hz) / sqrt(2), rel=0.012 + 1.5 * near_the_mean + 0.02 / turns
    )
    assert (velocity.unit, acceleration.unit) == ("mm/s", "g")


def test_the_strongest_line_within_the_tolerance_is_taken_and_no_other() -> None:
    lines = acceleration_lines(sine(1000) + sine(1015, peak=2) + sine(1100, peak=9), fs_hz=FS_HZ)

    near, wide = (lines.at(1000, tolerance=share, name="mesh") for share in (0.005, 0.02))

    assert near is not None
    assert wide is not None
    assert (near.hz, near.amplitude) == pytest.approx((1000, 1 / sqrt(2)), rel=1e-6)
    assert (wide.hz, wide.amplitude) == pytest.approx((1015, 2 / sqrt(2)), rel=1e-6)


def test_the_flank_of_a_strong_line_is_no_line() -> None:
    half_order = velocity_lines(sine(29.7, n=4096), fs_hz=FS_HZ).at(29.7 / 2, tolerance=0.02, name="0.5×")
    beside = acceleration_lines(sine(1000), fs_hz=FS_HZ).at(1002.2, tolerance=0.0, name="beside")

    first = velocity_lines(sine(29.7, n=4096), fs_hz=FS_HZ).at(29.7, tolerance=0.02, name="1×")
    assert half_order is not None
    assert first is not None
    assert beside is not None
    assert half_order.amplitude < 0.12 * first.amplitude
    assert beside.amplitude < 1e-6


def test_in_noise_a_line_is_as_high_as_its_floor_and_a_discrete_one_is_rare() -> None:
    lines = acceleration_lines(noise(), fs_hz=FS_HZ)

    ratios = np.sqrt(lines.power[2:-1] / lines.floor[2:-1])

    assert np.median(ratios) == pytest.approx(1, abs=0.02)
    assert np.count_nonzero(ratios > DISCRETE) <= 1


def test_a_comb_of_lines_far_above_the_noise_hardly_lifts_its_floor() -> None:
    comb = sum((sine(k * 29.7, peak=5) for k in range(1, 40)), start=np.zeros(25600))

    quiet, loud = (acceleration_lines(noise() + y, fs_hz=FS_HZ).floor for y in (0, comb))

    # lines take a sixth of the bins there, so that the median of all is the 60th percentile of the noise
    assert 1 <= np.median(loud[30:1100] / quiet[30:1100]) < 1.6
    assert np.max(loud / quiet) < 2.5


@given(st.integers(1, 400), st.sampled_from([16, 64]))
@settings(max_examples=40)
def test_the_fast_median_lies_between_slow_ones(n: int, width: int) -> None:
    values = np.random.default_rng(n).exponential(size=n)
    usable = values[2:]

    found = spectrum.local_median(values, width)

    assert found.shape == values.shape
    if 2 < n <= width + 2:
        np.testing.assert_allclose(found, np.median(usable))
    for start in range(0, len(usable) - width, width // 2):
        middle = 2 + start + width // 2
        places = (max(0, start - width // 2), start, start + width // 2, len(usable) - width)
        slow = [np.median(usable[place : place + width]) for place in places]
        assert min(slow) - 1e-12 <= found[middle] <= max(slow) + 1e-12


def test_harmonics_share_one_slip() -> None:
    x = sum((sine(k * 107.54 * 1.013, peak=1 / k) for k in (1, 2, 3)), start=0.01 * noise())
    x = x + sine(3 * 107.54 * 0.985, peak=0.3)  # a stranger, near the third

    found = acceleration_lines(x, fs_hz=FS_HZ).harmonics(107.54, 3, tolerance=0.02, name="BPFO")

    assert [line.name for line in found] == ["BPFO", "2×BPFO", "3×BPFO"]
    assert [line.hz / 107.54 for line in found] == pytest.approx([1.013, 2.026, 3.039], rel=5e-4)
    assert found[2].amplitude == pytest.approx(1 / 3 / sqrt(2), rel=0.05)


def test_sidebands_are_read_on_both_sides_and_named() -> None:
    x = (1 + 0.4 * np.cos(2 * pi * 30 * time_s())) * sine(700)

    found = acceleration_lines(x, fs_hz=FS_HZ).sidebands(700, 30, pairs=2, tolerance=0.0, name="mesh")

    assert [line.name for line in found] == ["mesh-1×", "mesh+1×", "mesh-2×", "mesh+2×"]
    assert [line.amplitude for line in found] == pytest.approx([0.2 / sqrt(2)] * 2 + [0, 0], abs=1e-3)


def test_the_strongest_lines_are_discrete_and_in_order() -> None:
    x = 0.01 * noise() + sine(123.4) + sine(1777.7, peak=0.5) + sine(6000.2, peak=1.5)

    found = spectrum.frequency_peaks(x, fs_hz=FS_HZ, count=9)
    low = spectrum.frequency_peaks(x, fs_hz=FS_HZ, high_hz=500)
    velocity = velocity_lines(x, fs_hz=FS_HZ).strongest(3)

    assert [line.hz for line in found[:3]] == pytest.approx([6000.2, 123.4, 1777.7], abs=0.01)
    assert [line.hz for line in low[:1]] == pytest.approx([123.4], abs=0.01)
    assert [round(line.hz) for line in velocity] == [123, 1778, 6000]
    assert all(line.ratio > DISCRETE for line in found)
    assert spectrum.frequency_peaks(noise(8192), fs_hz=FS_HZ) == ()


@pytest.mark.parametrize("hz", [0.0, -5.0, 1e5, 12800.0, float("nan"), float("inf")])
def test_a_line_the_record_cannot_show_is_none(hz: float) -> None:
    lines = velocity_lines(noise(), fs_hz=FS_HZ)

    assert lines.at(hz, tolerance=0.02, name="?") is None
    assert lines.harmonics(hz, 3, tolerance=0.02, name="?") == ()


# One number for the whole


def test_centroid_and_harmonic_content_are_the_textbooks() -> None:
    x = sine(50) + sine(100, peak=2 * 0.3) + sine(150, peak=3 * 0.4)  # velocities 1, 0.3, 0.4

    assert spectrum.centroid_hz(sine(3000), fs_hz=FS_HZ) == pytest.approx(3000)
    assert spectrum.centroid_hz(sine(1000) + sine(3000), fs_hz=FS_HZ) == pytest.approx(2000)
    assert spectrum.harmonic_content(x, fs_hz=FS_HZ, speed_hz=50) == pytest.approx(0.5, rel=1e-3)
    assert spectrum.harmonic_content(sine(50), fs_hz=FS_HZ, speed_hz=50) < 1e-3
    assert np.isnan(spectrum.harmonic_content(x, fs_hz=FS_HZ, speed_hz=0.5))


def test_entropy_is_one_for_flat_noise_and_small_for_a_line() -> None:
    assert spectrum.entropy(noise(), fs_hz=FS_HZ) > 0.985
    assert spectrum.entropy(sine(1000), fs_hz=FS_HZ) < 0.15


@pytest.mark.parametrize("n", [1000, 25600])
def test_the_noise_floor_is_the_density_of_the_noise_whatever_lines_stand_on_it(n: int) -> None:
    x = 0.02 * np.random.default_rng(3).normal(size=(40, n)) + sine(997, n=n) + sine(50, peak=3, n=n)

    found = spectrum.noise_floor(x, fs_hz=FS_HZ)

    assert np.mean(found) == pytest.approx(0.02 / sqrt(FS_HZ / 2), rel=0.04)


def test_the_noise_floor_is_not_biased_by_being_a_median() -> None:
    x = np.random.default_rng(4).normal(size=(200, 4096))

    found = spectrum.noise_floor(x, fs_hz=FS_HZ)

    assert np.mean(found) == pytest.approx(1 / sqrt(FS_HZ / 2), rel=0.004)  # the median itself is low by 2 %


# What every function keeps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [2, 3, 100, 4097])
@pytest.mark.parametrize("level", [0.0, -3.3])
def test_a_record_that_does_not_move_is_zero_everywhere(dtype: type[Any], n: int, level: float) -> None:
    x = np.full(n, level, dtype)

    assert not spectrum.amplitude(x, fs_hz=FS_HZ)[1].any()
    assert not spectrum.density(x, fs_hz=FS_HZ)[1].any()
    assert np.isnan(spectrum.centroid_hz(x, fs_hz=FS_HZ))
    assert np.isnan(spectrum.entropy(x, fs_hz=FS_HZ))
    assert np.isnan(spectrum.harmonic_content(x, fs_hz=FS_HZ, speed_hz=50.0))
    assert spectrum.frequency_peaks(x, fs_hz=FS_HZ) == ()


@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_sample_that_is_no_number_makes_its_own_record_unknown_and_no_other() -> None:
    x = np.stack([noise(4096), noise(4096, seed=8)])
    x[0, 5] = np.nan

    _, amplitude = spectrum.amplitude(x, fs_hz=FS_HZ)
    velocity = spectrum.velocity(x, fs_hz=FS_HZ, low_hz=10, high_hz=1000)

    assert np.isnan(amplitude[0]).all()
    assert np.isnan(velocity[0]).all()
    assert np.isfinite(amplitude[1]).all()
    assert np.isfinite(velocity[1]).all()
    assert acceleration_lines(x[0], fs_hz=FS_HZ).at(100, tolerance=0.1, name="?") is None
    assert spectrum.frequency_peaks(x[0], fs_hz=FS_HZ) == ()


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_samples_have_no_spectrum(n: int) -> None:
    with pytest.raises(ValueError):
        spectrum.amplitude(np.zeros(n), fs_hz=FS_HZ)


@pytest.mark.parametrize("fs_hz", [0.0, -1.0, np.nan, np.inf])
def test_a_rate_that_is_no_rate_is_refused(fs_hz: float) -> None:
    with pytest.raises(ValueError):
        spectrum.density(noise(100), fs_hz=fs_hz)


@pytest.mark.parametrize("segment", [0, 1, 101])
def test_a_segment_that_does_not_fit_is_refused(segment: int) -> None:
    with pytest.raises(ValueError):
        spectrum.density(noise(100), fs_hz=FS_HZ, segment=segment)


def test_every_length_from_two_samples_on_works() -> None:
    for n in [*range(2, 140), 255, 1023]:
        x = noise(n)
        assert spectrum.amplitude(x, fs_hz=FS_HZ)[1].shape == (n // 2 + 1,)
        assert np.isfinite(spectrum.entropy(x, fs_hz=FS_HZ)) or n < 4
        velocity_lines(x, fs_hz=FS_HZ).harmonics(3000, 3, tolerance=0.02, name="?")
        spectrum.frequency_peaks(x, fs_hz=FS_HZ)


def test_single_precision_agrees_with_double() -> None:
    x = noise(4096) + sine(500, n=4096)
    single = x.astype(np.float32)

    for function in (spectrum.amplitude, spectrum.density):
        _, found = function(single, fs_hz=FS_HZ)
        _, expected = function(x, fs_hz=FS_HZ)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6 * expected.max())
    for integrated in (spectrum.velocity, spectrum.displacement):
        found, expected = (integrated(y, fs_hz=FS_HZ, low_hz=10, high_hz=1000) for y in (single, x))
        np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


def test_the_input_is_left_alone() -> None:
    x = noise(4096)
    before = x.copy()
    x.flags.writeable = False

    spectrum.amplitude(x, fs_hz=FS_HZ)
    spectrum.density(x, fs_hz=FS_HZ)
    spectrum.velocity(x, fs_hz=FS_HZ, low_hz=10, high_hz=1000)
    spectrum.frequency_peaks(x, fs_hz=FS_HZ)

    np.testing.assert_array_equal(x, before)
