"""Shape of the record and of its spectrum, displacement, own bands and sensor health: signals with textbook answers."""

from math import log, pi, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import integrate
from telltale.core.capture import Waveform
from telltale.core.features import BLOCK_BINS, axes_features, features
from telltale.core.plant import Machine

Array = NDArray[Any]
FS_HZ = 25600.0
T = np.arange(25600) / FS_HZ  # one second: bins of 1 Hz

counts = hnp.arrays(
    np.int16,
    st.tuples(st.integers(1, 3), st.integers(2, 600)),
    elements=st.integers(-32768, 32767) | st.integers(-2, 2),
)


def sine(hz: float, *, peak: float = 1.0) -> Array:
    return peak * np.sin(2 * pi * hz * T + 0.3)


def noise(n: int = 25600, *, seed: int = 11) -> Array:
    return np.random.default_rng(seed).normal(size=n)


def one(x: Array, *, fs_hz: float = FS_HZ, **known: Any) -> dict[str, float]:
    return {name: float(value) for name, value in features(x, fs_hz=fs_hz, scale_g=1.0, **known).items()}


# Time domain


@pytest.mark.parametrize(
    ("x", "shape", "impulse", "clearance"),
    [
        (sine(100), pi / (2 * sqrt(2)), pi / 2, 1.7188),  # mean of sqrt|sin| is 0.76276
        (np.sign(sine(100)), 1, 1, 1),
        (np.linspace(-1, 1, 25601), 2 / sqrt(3), 2, 9 / 4),
    ],
    ids=["sine", "square", "saw tooth"],
)
def test_known_shapes_have_their_textbook_factors(x: Array, shape: float, impulse: float, clearance: float) -> None:
    found = one(x)

    assert found["shape_factor"] == pytest.approx(shape, rel=2e-4)
    assert found["impulse_factor"] == pytest.approx(impulse, rel=2e-4)
    assert found["clearance_factor"] == pytest.approx(clearance, rel=2e-4)


def test_gaussian_noise_has_the_shape_of_a_gaussian() -> None:
    assert one(noise(256000))["shape_factor"] == pytest.approx(sqrt(pi / 2), rel=0.003)


@pytest.mark.parametrize("hz", [50, 123.4, 4000])
def test_a_sine_passes_its_mean_twice_a_period_wherever_the_mean_lies(hz: float) -> None:
    assert one(sine(hz) + 3)["zero_crossings_hz"] == pytest.approx(2 * hz, abs=1.5)


def test_white_noise_passes_its_mean_at_every_second_sample() -> None:
    assert one(noise(256000))["zero_crossings_hz"] == pytest.approx(FS_HZ / 2, rel=0.01)


def test_the_mean_is_the_offset() -> None:
    assert one(noise() + 0.981)["mean_g"] == pytest.approx(0.981, abs=0.02)
    assert one(np.full(100, 16384, np.int16))["mean_g"] == 16384


@pytest.mark.parametrize("offset", [-20000, 0, 20000])
def test_an_offset_of_a_thousand_times_the_vibration_costs_no_digit_that_counts(offset: int) -> None:
    x = (20 * noise(4096) + offset).astype(np.int16)

    single, double = one(x), one(x.astype(float))

    for name in ("mean_g", "rms_g", "peak_g", "crest", "shape_factor", "clearance_factor"):
        assert single[name] == pytest.approx(double[name], rel=1e-5)
    assert single["kurtosis"] == pytest.approx(double["kurtosis"], rel=1e-4)
    assert single["skewness"] == pytest.approx(double["skewness"], abs=1e-4)


# Displacement


@pytest.mark.parametrize("hz", [20, 25, 29.5, 159.155, 990])
def test_the_displacement_of_a_sine_is_its_acceleration_over_the_square_of_two_pi_f(hz: float) -> None:
    found = one(sine(hz, peak=0.5))

    assert found["displacement_rms_um"] == pytest.approx(0.5 / sqrt(2) * 9.80665e6 / (2 * pi * hz) ** 2, rel=0.01)


def test_a_millimetre_per_second_at_160_hz_is_a_micrometre() -> None:
    """At 2 pi f = 1000/s one g RMS is 9.80665 mm/s and 9.80665 µm."""
    found = one(sine(1000 / (2 * pi), peak=sqrt(2)))

    assert found["velocity_rms_mm_s"] == pytest.approx(9.80665, rel=0.001)
    assert found["displacement_rms_um"] == pytest.approx(9.80665, rel=0.001)


def test_displacement_agrees_with_integrating_twice_in_time() -> None:
    x = sine(25) + sine(118, peak=4.0)
    velocity = integrate.cumulative_simpson(x, dx=1 / FS_HZ, initial=0) * 9.80665e6
    moved = integrate.cumulative_simpson(velocity - velocity.mean(), dx=1 / FS_HZ, initial=0)

    assert one(x)["displacement_rms_um"] == pytest.approx(np.std(moved), rel=0.005)


def test_a_slow_shaft_moves_in_the_band_from_2_hz_only() -> None:
    found = one(np.tile(sine(5), 2))

    assert found["displacement_2_rms_um"] == pytest.approx(9.80665e6 / sqrt(2) / (2 * pi * 5) ** 2, rel=0.02)
    assert found["displacement_rms_um"] < 0.001 * found["displacement_2_rms_um"]


# Own bands


def test_own_bands_hold_what_lies_in_them_and_may_overlap() -> None:
    found = one(sine(300) + sine(1500, peak=2.0), bands_hz=[(250, 350), (1000, 2000), (200, 2000)])

    assert found["band_own_1_g"] == pytest.approx(1 / sqrt(2), rel=1e-4)
    assert found["band_own_2_g"] == pytest.approx(2 / sqrt(2), rel=1e-4)
    assert found["band_own_3_g"] == pytest.approx(sqrt(5 / 2), rel=1e-4)
    assert np.isnan(found["band_own_4_g"])


@pytest.mark.parametrize("band", [(0.5, 100.0), (100.0, 13000.0), (-5.0, 100.0), (300.0, 200.0), (np.nan, 100.0)])
def test_an_own_band_that_the_record_cannot_show_is_unknown(band: tuple[float, float]) -> None:
    assert np.isnan(one(noise(), bands_hz=[band])["band_own_1_g"])


def test_more_own_bands_than_there_are_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 4"):
        one(noise(), bands_hz=[(100, 200)] * 5)


def test_own_bands_and_envelope_bands_belong_to_the_machine_of_each_row() -> None:
    samples = (1000 * (sine(300) + 3 * sine(3000))).astype(np.int16)
    wave = Waveform("x", samples, FS_HZ, 0.001, "g")
    machines = [Machine(bands_hz=((250, 350),)), Machine(bands_hz=((2900, 3100), (250, 350))), Machine()]

    found = axes_features([(wave, None, machine) for machine in machines])

    assert [row["band_own_1_g"] for row in found] == [
        pytest.approx(0.707, rel=1e-3),
        pytest.approx(2.121, rel=1e-3),
        None,
    ]
    assert [row["band_own_2_g"] for row in found] == [None, pytest.approx(0.707, rel=1e-3), None]


# The envelope's band


def test_the_envelope_is_taken_of_the_band_that_is_set_and_the_row_says_which() -> None:
    quiet, struck = sine(7000), (1 + 0.5 * np.cos(2 * pi * 40 * T)) * sine(1500)
    wave = Waveform("x", (1000 * (quiet + struck)).astype(np.int16), FS_HZ, 0.001, "g")

    default, chosen = axes_features([(wave, None, Machine()), (wave, None, Machine(envelope_band_hz=(1000.0, 2000.0)))])

    assert (default["env_low_hz"], default["env_high_hz"]) == (2000, 10000)
    assert default["env_rms_g"] == pytest.approx(0, abs=0.01)
    assert (chosen["env_low_hz"], chosen["env_high_hz"]) == (1000, 2000)
    assert chosen["env_rms_g"] == pytest.approx(0.5 / sqrt(2), rel=0.01)


@pytest.mark.parametrize("band", [(5000.0, 20000.0), (1000.0, 1010.0), (2000.0, 1000.0), (0.0, 500.0)])
def test_no_envelope_is_taken_of_a_band_that_the_record_cannot_show(band: tuple[float, float]) -> None:
    found = one(noise(), envelope_band_hz=band, speed_hz=30.0, bearing_orders=(3.58, 5.42, 2.36, 0.4))

    assert {name for name, value in found.items() if name.startswith("env_") and not np.isnan(value)} == set()


# Spectrum


def test_the_centroid_of_a_tone_is_its_frequency_and_of_two_the_mean_by_power() -> None:
    assert one(sine(1234.5))["spectral_centroid_hz"] == pytest.approx(1234.5, abs=0.1)
    assert one(sine(1000) + sine(4000))["spectral_centroid_hz"] == pytest.approx(2500, rel=1e-5)
    assert one(sine(1000) + 2 * sine(4000))["spectral_centroid_hz"] == pytest.approx(3400, rel=1e-5)


def test_the_centroid_of_white_noise_is_in_the_middle() -> None:
    assert one(noise(256000))["spectral_centroid_hz"] == pytest.approx(FS_HZ / 4, rel=0.01)


def in_block(number: int) -> float:
    """A frequency in the middle of a block, in Hz: bins are 1 Hz wide and the first block begins with the first."""
    return 1 + BLOCK_BINS * number + BLOCK_BINS / 2


def test_the_entropy_tells_a_tone_from_noise() -> None:
    blocks = (25600 // 2 - 1) // BLOCK_BINS

    tone, two, white = one(sine(in_block(7))), one(sine(in_block(7)) + sine(in_block(300))), one(noise())

    assert tone["spectral_entropy"] == pytest.approx(0, abs=1e-5)
    assert two["spectral_entropy"] == pytest.approx(log(2) / log(blocks), rel=1e-4)
    assert 0.98 < white["spectral_entropy"] < 1


def test_the_noise_floor_is_the_density_of_the_noise_whatever_tones_stand_in_it() -> None:
    """The median of means of 16 bins, of which Hann's window makes 8 independent ones, is 4 % under their mean."""
    white = 0.01 * noise(256000)
    tones = np.tile(sine(100) + sine(5000), 10)
    density = 0.01 / sqrt(FS_HZ / 2)

    assert one(white)["noise_floor_g_rthz"] == pytest.approx(0.98 * density, rel=0.01)
    assert one(white + tones)["noise_floor_g_rthz"] == pytest.approx(0.98 * density, rel=0.01)


@pytest.mark.parametrize(("n", "known"), [(65, True), (64, False)])
def test_two_blocks_make_an_entropy_and_a_floor(n: int, known: bool) -> None:
    found = one(noise(n))

    assert np.isfinite([found["spectral_entropy"], found["noise_floor_g_rthz"]]).tolist() == [known, known]
    assert np.isfinite(found["spectral_centroid_hz"])


# Sensor health


def test_a_clipped_sine_lies_on_its_extremes_for_as_long_as_it_is_clipped() -> None:
    x = np.clip(40000 * np.sin(2 * pi * 50.003 * T), -32768, 32767).astype(np.int16)

    assert one(x)["clipped_share"] == pytest.approx(1 - 2 / pi * np.arcsin(32768 / 40000), abs=0.005)


def test_a_smooth_record_touches_each_extreme_once() -> None:
    assert one(noise(1000))["clipped_share"] == pytest.approx(2 / 1000)


def test_a_sample_that_is_held_is_counted_as_repeated() -> None:
    assert one(np.repeat(noise(1000), 4))["repeated_share"] == pytest.approx(3000 / 3999)
    assert one(noise(1000))["repeated_share"] == 0


@pytest.mark.parametrize("n", [2, 64, 4097])
def test_a_flat_line_is_all_clipped_and_all_repeated_and_does_not_drift(n: int) -> None:
    found = one(np.full(n, 77, np.int16))

    assert (found["clipped_share"], found["repeated_share"], found["zero_crossings_hz"]) == (1, 1, 0)
    assert found["drift_g"] == 0 if n >= 4 else np.isnan(found["drift_g"])


def test_a_ramp_drifts_by_three_quarters_of_its_height() -> None:
    assert one(np.linspace(0, 1, 4096))["drift_g"] == pytest.approx(0.75, rel=1e-3)
    assert one(sine(100))["drift_g"] == pytest.approx(0, abs=1e-3)


@given(counts)
@settings(max_examples=60, deadline=None)
def test_counting_is_exact_whatever_the_length(samples: Array) -> None:
    found = features(samples, fs_hz=3200.0, scale_g=1.0)

    for i, row in enumerate(samples):
        n = len(row)
        ends = sum(int(value) in (int(row.min()), int(row.max())) for value in row)
        held = sum(int(a) == int(b) for a, b in zip(row[1:], row[:-1], strict=True))
        assert found["clipped_share"][i] == ends / n
        assert found["repeated_share"][i] == held / (n - 1)


@given(counts)
@settings(max_examples=60, deadline=None)
def test_shapes_keep_within_their_bounds(samples: Array) -> None:
    found = features(samples, fs_hz=3200.0, scale_g=1.0)

    moves = found["rms_g"] > 0
    slack = 1 + 1e-5
    for lower, upper in (("shape_factor", "impulse_factor"), ("impulse_factor", "clearance_factor")):
        assert np.all((found[lower] <= found[upper] * slack)[moves])
    assert np.all((found["shape_factor"] * slack >= 1)[moves])
    assert np.all((found["zero_crossings_hz"] >= 0) & (found["zero_crossings_hz"] <= 3200))
    for name in ("spectral_entropy", "clipped_share", "repeated_share"):
        assert not np.any((found[name] < -1e-6) | (found[name] > slack))
    assert not np.any((found["spectral_centroid_hz"] < 0) | (found["spectral_centroid_hz"] > 1600))
