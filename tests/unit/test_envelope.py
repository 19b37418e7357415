"""Envelopes: where a record is impulsive, and how often something strikes, against textbooks and scipy."""

from math import pi, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal, stats
from telltale.core import envelope
from telltale.core.bearings import CATALOGUE, fault_orders

Array = NDArray[Any]
FS_HZ = 25600.0
SPEED_HZ = 30.0
ORDERS = fault_orders(CATALOGUE["6205-2RS"])
BPFO_HZ, BPFI_HZ, BSF_HZ, FTF_HZ = (order * SPEED_HZ for order in ORDERS)


def time_s(n: int = 25600) -> Array:
    return np.arange(n) / FS_HZ


def sine(hz: float, *, peak: float = 1.0, n: int = 25600) -> Array:
    return peak * np.sin(2 * pi * hz * time_s(n) + 0.3)


def noise(n: int = 25600, *, seed: int = 7) -> Array:
    return np.random.default_rng(seed).normal(size=n)


def impacts(hz: float, *, ring_hz: float = 4000.0, swing_hz: float = 0.0, slip: float = 0.0, n: int = 25600) -> Array:
    """A damped resonance struck `hz` times a second, with a random share `slip` of the gap, in a load that swings."""
    x = np.zeros(n + 600)
    t = np.arange(600) / FS_HZ
    response = np.exp(-t / 0.001) * np.sin(2 * pi * ring_hz * t)
    gaps = (1 + slip * np.random.default_rng(1).normal(size=int(n / FS_HZ * hz * 1.1) + 2)) / hz
    for strike_s in np.cumsum(gaps):
        at = round(strike_s * FS_HZ)
        if at < n:
            load = 1 if swing_hz == 0 else max(0.0, 0.5 + 0.6 * np.cos(2 * pi * swing_hz * strike_s))
            x[at : at + 600] += load * response
    return x[:n]


# Where a record is impulsive


@pytest.mark.parametrize("n", [1024, 4096, 26700])
def test_noise_has_no_kurtosis_in_any_band_however_short(n: int) -> None:
    bands = [
        band
        for seed in range(30)
        for band in envelope.kurtogram(noise(n, seed=seed), fs_hz=FS_HZ).bands
        if band.high_hz < FS_HZ / 2 * 0.99
    ]

    kurtosis, scores = np.array([band.kurtosis for band in bands]), np.array([band.significance for band in bands])

    assert kurtosis.mean() == pytest.approx(0, abs=0.03)
    assert scores.std() == pytest.approx(1, abs=0.1)


def test_the_narrowest_bands_of_a_short_record_of_noise_have_none_either() -> None:
    narrow = [
        band.kurtosis
        for seed in range(150)
        for band in envelope.kurtogram(noise(4096, seed=seed), fs_hz=FS_HZ).bands[-24:]
    ]

    assert np.mean(narrow) == pytest.approx(0, abs=0.012)  # mean p² / mean(p)² - 2 of their 70 samples is low by 0.03


def test_noise_is_called_impulsive_less_than_once_in_fifty_records() -> None:
    found = [envelope.kurtogram(noise(4096, seed=seed), fs_hz=FS_HZ).significant for seed in range(300)]

    assert sum(found) <= 6


def test_a_steady_tone_has_a_kurtosis_of_minus_one() -> None:
    bands = envelope.kurtogram(sine(5000.3), fs_hz=FS_HZ).bands

    assert bands[0].kurtosis == pytest.approx(-1, abs=0.001)


@pytest.mark.parametrize("ring_hz", [2200.0, 4000.0, 9300.0])
def test_the_band_that_is_struck_is_chosen(ring_hz: float) -> None:
    x = 0.3 * noise() + impacts(BPFO_HZ, ring_hz=ring_hz)

    found = envelope.kurtogram(x, fs_hz=FS_HZ)

    assert found.best is not None
    assert found.best[0] < ring_hz < found.best[1]
    assert found.best[1] - found.best[0] <= 3200
    assert found.significant
    assert found.kurtosis > 1


def test_strong_tones_and_a_record_that_ends_where_it_does_not_begin_are_not_impulsive() -> None:
    x = 0.001 * noise() + sine(29.7, peak=5) + sine(683.1)

    found = envelope.kurtogram(x, fs_hz=FS_HZ, low_hz=1000)

    assert not found.significant


def test_only_bands_inside_the_limits_are_chosen() -> None:
    x = 0.1 * noise() + impacts(BPFO_HZ, ring_hz=2200) + 3 * impacts(FTF_HZ, ring_hz=9300)

    found = envelope.kurtogram(x, fs_hz=FS_HZ, low_hz=1000, high_hz=6400)

    assert found.best is not None
    assert 1000 <= found.best[0] < 2200 < found.best[1] <= 6400


def test_kurtosis_is_scipys_but_for_the_bias_of_a_short_record() -> None:
    x = 0.3 * noise() + impacts(BPFO_HZ)
    band = next(b for b in envelope.kurtogram(x, fs_hz=FS_HZ).bands if (b.low_hz, b.high_hz) == (3200, 6400))
    bandpass = signal.firwin(2001, [3200, 6400], fs=FS_HZ, pass_zero=False)
    filtered = signal.hilbert(signal.fftconvolve(x, bandpass, mode="same"))[1280:-1280]

    complex_kurtosis = np.mean(np.abs(filtered) ** 4) / np.mean(np.abs(filtered) ** 2) ** 2 - 2

    assert band.kurtosis == pytest.approx(complex_kurtosis, rel=0.05)
    assert band.kurtosis == pytest.approx(2 / 3 * stats.kurtosis(filtered.real), rel=0.1)  # of any phase: 2/3 of it


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
@settings(max_examples=25)
def test_a_kurtogram_does_not_depend_on_the_gain(seed: int, gain: float) -> None:
    x = noise(2048, seed=seed) + impacts(500, n=2048)

    one, other = (envelope.kurtogram(y, fs_hz=FS_HZ) for y in (x, gain * x))

    np.testing.assert_allclose([b.kurtosis for b in one.bands], [b.kurtosis for b in other.bands], rtol=1e-6, atol=1e-9)
    assert one.best == other.best


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize(
    "x",
    [
        np.zeros(0),
        np.ones(1),
        noise(255),
        np.zeros(4096),
        np.full(4096, 3.3),
        np.where(np.arange(4096) == 9, np.nan, 1),
    ],
    ids=["none", "one", "short", "silent", "constant", "nan"],
)
def test_a_record_of_which_nothing_can_be_said_has_no_bands(x: Array) -> None:
    found = envelope.kurtogram(x, fs_hz=FS_HZ)

    assert found == envelope.Kurtogram((), None)
    assert found.best is None
    assert np.isnan(found.kurtosis)
    assert not found.significant


# The analytic signal


@given(st.integers(200, 5000), st.floats(0.05, 0.3), st.floats(0.05, 0.15))
@settings(max_examples=40)
def test_the_zoomed_envelope_is_hilberts_of_the_band(n: int, low: float, width: float) -> None:
    x = noise(n, seed=n)
    first, last = round(low * n), round((low + width) * n)
    bins = np.fft.rfft(x)
    bins[:first] = bins[last:] = 0
    expected = np.abs(signal.hilbert(np.fft.irfft(bins, n)))

    found, rate_hz = envelope.analytic(x, fs_hz=FS_HZ, low_hz=first * FS_HZ / n, high_hz=last * FS_HZ / n)

    places = np.arange(found.shape[-1]) / rate_hz * FS_HZ
    on_grid = np.flatnonzero(np.abs(places - np.rint(places)) < 1e-9)
    np.testing.assert_allclose(np.abs(found)[on_grid], expected[np.rint(places[on_grid]).astype(int)], atol=1e-9)
    assert np.mean(np.abs(found) ** 2) == pytest.approx(np.mean(expected**2), rel=1e-9)
    assert rate_hz >= 2 * (last - first) * FS_HZ / n * (1 - 1e-9)


def test_axes_are_transformed_together() -> None:
    x = np.stack([noise(4096), noise(4096, seed=8)])

    found, _ = envelope.analytic(x, fs_hz=FS_HZ, low_hz=2000, high_hz=4000)

    np.testing.assert_allclose(found[1], envelope.analytic(x[1], fs_hz=FS_HZ, low_hz=2000, high_hz=4000)[0], rtol=1e-9)


@pytest.mark.parametrize(
    ("low", "high"), [(-1, 100), (4000, 2000), (2000, 12900), (100, 100.5), (np.nan, 100), (0, np.nan)]
)
def test_a_band_that_is_none_is_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError):
        envelope.analytic(noise(), fs_hz=FS_HZ, low_hz=low, high_hz=high)


# Its spectrum


@pytest.mark.parametrize("hz", [107.54, 162.46, 70.70, 11.95])
def test_a_carrier_that_swings_by_a_share_shows_it(hz: float) -> None:
    x = 0.8 * (1 + 0.1 * np.cos(2 * pi * hz * time_s())) * sine(5000.3)

    found = envelope.spectrum(x, fs_hz=FS_HZ, low_hz=4000, high_hz=6000)

    line = found.line(hz, name="line")
    assert line is not None
    assert line.hz == pytest.approx(hz, abs=0.02)
    assert line.amplitude == pytest.approx(0.8 * 0.1 / sqrt(2), rel=0.015)
    assert found.depth(line) == pytest.approx(0.1 / sqrt(2), rel=0.015)
    assert (line.spectrum, line.unit) == ("envelope", "g")
    assert found.mean == pytest.approx(0.64, rel=0.02)


def test_the_bearing_of_the_textbook_at_1800_rpm() -> None:
    found = [BPFO_HZ, BPFI_HZ, BSF_HZ, FTF_HZ]

    assert found == pytest.approx([107.54, 162.46, 70.70, 11.95], abs=0.01)


@pytest.mark.parametrize("hz", [BPFO_HZ, BPFI_HZ, 2 * BSF_HZ])
@pytest.mark.parametrize("slip", [-0.018, 0.0, 0.018])
def test_strikes_show_with_their_harmonics_although_the_bearing_slips(hz: float, slip: float) -> None:
    x = 0.3 * noise() + impacts(hz * (1 + slip), slip=0.005)

    found = envelope.spectrum(x, fs_hz=FS_HZ, low_hz=3200, high_hz=4800).harmonics(hz, 3, name="strike")

    assert [line.ratio > 4 for line in found[:2]] == [True, True]
    assert found[0].hz == pytest.approx(hz * (1 + slip), rel=0.004)
    assert [line.hz / found[0].hz for line in found] == pytest.approx([1, 2, 3], rel=0.01)


@pytest.mark.parametrize(
    ("hz", "swing_hz", "of"), [(BPFI_HZ, SPEED_HZ, ""), (2 * BSF_HZ, FTF_HZ, "FTF")], ids=["inner race", "element"]
)
def test_a_defect_that_turns_through_the_load_has_sidebands_and_one_that_does_not_has_none(
    hz: float, swing_hz: float, of: str
) -> None:
    turning, still = (
        envelope.spectrum(0.1 * noise() + impacts(hz, swing_hz=swing), fs_hz=FS_HZ, low_hz=3200, high_hz=4800)
        for swing in (swing_hz, 0.0)
    )

    with_load, without = (
        found.sidebands(line.hz, swing_hz, name="defect", of=of)
        for found in (turning, still)
        if (line := found.line(hz, name="defect")) is not None
    )

    assert [line.name for line in with_load] == [f"defect-1×{of}", f"defect+1×{of}"]
    assert min(line.ratio for line in with_load) > 8
    assert max(line.ratio for line in without) < 4


def test_noise_has_no_lines() -> None:
    found = envelope.spectrum(noise(), fs_hz=FS_HZ, low_hz=2000, high_hz=6000)

    lines = [found.line(hz, name="?") for hz in (BPFO_HZ, BPFI_HZ, BSF_HZ, FTF_HZ)]

    assert max(line.ratio for line in lines if line is not None) < 4
    assert found.kurtosis == pytest.approx(2, abs=0.1)


def test_the_spectrum_is_that_of_scipys_squared_envelope() -> None:
    x = 0.3 * noise() + impacts(BPFO_HZ)
    bandpass = signal.firwin(1201, [3200, 4800], fs=FS_HZ, pass_zero=False)
    square = np.abs(signal.hilbert(signal.fftconvolve(x, bandpass, mode="same"))) ** 2
    hann = signal.windows.hann(len(x), sym=False)
    rms = np.abs(np.fft.rfft((square - square.mean()) * hann)) * sqrt(2) / hann.sum() / 2 / sqrt(square.mean())

    found = envelope.spectrum(x, fs_hz=FS_HZ, low_hz=3200, high_hz=4800)

    np.testing.assert_allclose(found.hz[:1500], np.arange(1500), atol=1e-9)
    np.testing.assert_allclose(found.amplitude[:1000], rms[:1000], atol=0.03 * rms.max())
    assert found.mean == pytest.approx(square.mean(), rel=0.03)


@pytest.mark.parametrize("n", [64, 101, 1024])
def test_a_silent_or_short_record_has_no_lines_and_raises_nothing(n: int) -> None:
    silent = envelope.spectrum(np.zeros(n), fs_hz=FS_HZ, low_hz=2000, high_hz=6000)
    short = envelope.spectrum(noise(n), fs_hz=FS_HZ, low_hz=2000, high_hz=6000)

    assert silent.mean == 0
    assert not silent.amplitude.any()
    assert np.isnan(silent.kurtosis)
    assert short.line(FTF_HZ, name="FTF") is None
    assert np.isfinite(short.amplitude).all()


@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_nan_makes_every_line_unknown() -> None:
    x = noise()
    x[100] = np.nan

    found = envelope.spectrum(x, fs_hz=FS_HZ, low_hz=2000, high_hz=6000)

    assert found.line(BPFO_HZ, name="BPFO") is None
    assert found.harmonics(BPFO_HZ, 3, name="BPFO") == ()


def test_single_precision_agrees_with_double() -> None:
    x = 0.3 * noise() + impacts(BPFO_HZ)

    single, double = (envelope.spectrum(y, fs_hz=FS_HZ, low_hz=3200, high_hz=4800) for y in (x.astype(np.float32), x))
    found, expected = (
        np.array([band.kurtosis for band in envelope.kurtogram(y, fs_hz=FS_HZ).bands])
        for y in (x.astype(np.float32), x)
    )

    np.testing.assert_allclose(single.amplitude, double.amplitude, atol=1e-6 * double.amplitude.max())
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_the_input_is_left_alone() -> None:
    x = noise(4096)
    before = x.copy()
    x.flags.writeable = False

    envelope.kurtogram(x, fs_hz=FS_HZ)
    envelope.spectrum(x, fs_hz=FS_HZ, low_hz=2000, high_hz=6000)

    np.testing.assert_array_equal(x, before)
