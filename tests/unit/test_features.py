"""Condition indicators: textbook signals, laws that hold for every signal, and scipy as a second opinion."""

from collections.abc import Callable
from itertools import pairwise
from math import pi, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import integrate, signal, stats
from telltale.core.bearings import CATALOGUE, FaultOrders, fault_orders
from telltale.core.capture import STANDARD_GRAVITY_M_S2, Waveform
from telltale.core.features import (
    BAND_EDGES_HZ,
    WHOLE_BANDS_HZ,
    axes_features,
    envelope_band_hz,
    features,
)
from telltale.core.plant import UNKNOWN_MACHINE, Machine
from telltale.core.schema import FEATURES

Array = NDArray[Any]
FS_HZ = 25600.0
NAMES = tuple(column.name for column in FEATURES)
BANDS = [name for name in NAMES if name.startswith("band_") and not name.startswith("band_own")]
LEVELS = tuple(column.name for column in FEATURES if column.unit in ("g", "mm/s", "µm", "g/√Hz"))
ORDERS = fault_orders(CATALOGUE["6205-2RS"])


def time_s(seconds: float = 1.0, fs_hz: float = FS_HZ) -> Array:
    return np.arange(round(seconds * fs_hz)) / fs_hz


def sine(hz: float, *, peak: float = 1.0, seconds: float = 1.0, fs_hz: float = FS_HZ) -> Array:
    return peak * np.sin(2 * pi * hz * time_s(seconds, fs_hz) + 0.3)


def noise(n: int = 25600, *, rows: int = 1, seed: int = 7) -> Array:
    return np.random.default_rng(seed).normal(size=(rows, n))


def one(x: Array, *, fs_hz: float = FS_HZ, scale_g: float = 1.0, speed_hz: float | None = None) -> dict[str, float]:
    found = features(x, fs_hz=fs_hz, scale_g=scale_g, speed_hz=speed_hz, bearing_orders=ORDERS)
    return {name: float(value) for name, value in found.items()}


def impacts(hz: float, *, ring_hz: float = 4000.0, decay_s: float = 0.001, seconds: float = 1.0) -> Array:
    """A damped resonance struck `hz` times a second."""
    t = time_s(seconds)
    since = np.mod(t, 1 / hz)
    return np.exp(-since / decay_s) * np.sin(2 * pi * ring_hz * since)


counts = hnp.arrays(
    np.int16,
    st.tuples(st.integers(1, 3), st.integers(2, 600)),
    elements=st.integers(-32768, 32767),
)


# What is promised to the other modules


def test_features_come_as_declared_and_in_that_order() -> None:
    found = features(noise(), fs_hz=FS_HZ, scale_g=1.0)

    assert tuple(found) == NAMES
    assert {value.dtype for value in found.values()} == {np.dtype(np.float64)}


def test_every_feature_says_what_it_means_how_it_is_computed_and_from_where() -> None:
    assert all(column.meaning and column.formula and column.source for column in FEATURES)
    assert len(set(NAMES)) == len(NAMES)


def test_the_declared_bands_are_the_computed_ones() -> None:
    edges = pairwise(BAND_EDGES_HZ)

    assert [f"band_{low}_{high}_g" for low, high in edges] == list(BANDS)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,)])
def test_time_is_the_last_axis_and_the_other_axes_stay(shape: tuple[int, ...]) -> None:
    found = features(np.zeros((*shape, 4096), np.int16), fs_hz=FS_HZ, scale_g=1.0)

    assert {value.shape for value in found.values()} == {shape}


def test_rows_of_a_stack_do_not_touch_each_other() -> None:
    rows = noise(8192, rows=120)  # more than one block
    speed = np.linspace(20, 40, 120)
    scale = np.linspace(0.1, 2, 120)

    together = features(rows, fs_hz=FS_HZ, scale_g=scale, speed_hz=speed, bearing_orders=ORDERS)

    for i in (0, 57, 119):
        alone = features(rows[i], fs_hz=FS_HZ, scale_g=scale[i], speed_hz=speed[i], bearing_orders=ORDERS)
        for name in NAMES:
            np.testing.assert_array_equal(together[name][i], alone[name])  # to the last bit: replay is exact


# Signals with a textbook answer


def test_a_sine_has_its_textbook_levels() -> None:
    found = one(sine(100, peak=2.0))

    assert found["rms_g"] == pytest.approx(sqrt(2))
    assert found["peak_g"] == pytest.approx(2, rel=1e-4)
    assert found["peak_to_peak_g"] == pytest.approx(4, rel=1e-4)
    assert found["crest"] == pytest.approx(sqrt(2), rel=1e-4)
    assert found["kurtosis"] == pytest.approx(1.5)
    assert found["skewness"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("hz", [20, 25, 29.5, 159.155, 990])
def test_the_velocity_of_a_sine_is_its_acceleration_over_two_pi_f(hz: float) -> None:
    found = one(sine(hz, peak=0.5))

    assert found["velocity_rms_mm_s"] == pytest.approx(0.5 / sqrt(2) * 9806.65 / (2 * pi * hz), rel=0.002)


@pytest.mark.parametrize(("hz", "too_high"), [(25, 0.075), (30, 0.066), (60, 0.015), (500, 0.0)])
def test_a_tenth_of_a_second_reads_slow_shafts_high_by_a_known_share(hz: float, too_high: float) -> None:
    found = one(sine(hz, seconds=0.1))

    true = 1 / sqrt(2) * 9806.65 / (2 * pi * hz)
    assert found["velocity_rms_mm_s"] / true == pytest.approx(1 + too_high, abs=0.025)


def test_a_slow_shaft_shows_in_the_band_from_2_hz_only() -> None:
    found = one(sine(5, seconds=2.0))

    assert found["velocity_2_rms_mm_s"] == pytest.approx(1 / sqrt(2) * 9806.65 / (2 * pi * 5), rel=0.01)
    assert found["velocity_rms_mm_s"] < 0.001 * found["velocity_2_rms_mm_s"]


@pytest.mark.parametrize(("hz", "band"), [(30, "band_10_50_g"), (150, "band_100_200_g"), (7000, "band_5000_10000_g")])
def test_a_tone_is_in_its_own_band_and_in_no_other(hz: float, band: str) -> None:
    found = one(sine(hz))

    assert found[band] == pytest.approx(1 / sqrt(2), rel=1e-4)
    assert all(found[other] < 1e-4 for other in BANDS if other != band and not np.isnan(found[other]))


def test_an_offset_changes_the_mean_and_nothing_else() -> None:
    x = noise()[0]

    shifted, still = one(x + 50), one(x)

    assert shifted.pop("mean_g") == pytest.approx(still.pop("mean_g") + 50)
    assert shifted == pytest.approx(still, rel=1e-6, abs=1e-12, nan_ok=True)


def test_gaussian_noise_is_neither_impulsive_nor_skewed() -> None:
    found = one(noise(256000)[0])

    assert found["kurtosis"] == pytest.approx(3, abs=0.05)
    assert found["env_kurtosis"] == pytest.approx(2, abs=0.05)
    assert found["skewness"] == pytest.approx(0, abs=0.02)


def test_noise_alone_gives_the_line_ratios_their_declared_floor() -> None:
    found = features(noise(rows=40), fs_hz=FS_HZ, scale_g=1.0, speed_hz=30.0, bearing_orders=ORDERS)

    for name in ("env_bpfo_ratio", "env_bpfi_ratio", "env_bsf_ratio", "env_ftf_ratio"):
        assert 1 < np.median(found[name]) < 3


@pytest.mark.parametrize(
    ("line", "order", "hz"),
    [("bpfo", 3.5848, 107.54), ("bpfi", 5.4152, 162.46), ("bsf", 2.3567, 70.70), ("ftf", 0.3983, 11.95)],
)
def test_a_carrier_modulated_at_a_defect_frequency_reads_carrier_times_depth(
    line: str, order: float, hz: float
) -> None:
    assert order * 30 == pytest.approx(hz, abs=0.01)
    x = 0.8 * (1 + 0.3 * np.cos(2 * pi * hz * time_s())) * sine(5000.3)

    found = one(x, speed_hz=30.0)

    assert found[f"env_{line}_g"] == pytest.approx(0.8 * 0.3, rel=0.02)
    assert all(found[f"env_{other}_g"] < 0.02 for other in FaultOrders._fields if other != line)


@pytest.mark.parametrize("slip", [-0.015, 0.015])
def test_a_line_is_found_although_the_bearing_slips(slip: float) -> None:
    x = (1 + 0.3 * np.cos(2 * pi * 162.46 * (1 + slip) * time_s())) * sine(5000.3)

    assert one(x, speed_hz=30.0)["env_bpfi_g"] == pytest.approx(0.3, rel=0.03)


def test_a_ball_that_strikes_twice_a_turn_shows_as_a_ball() -> None:
    x = (1 + 0.3 * np.cos(2 * pi * 141.40 * time_s())) * sine(5000.3)

    assert one(x, speed_hz=30.0)["env_bsf_g"] == pytest.approx(0.3, rel=0.03)


def test_impacts_under_noise_stand_out_in_the_envelope_before_the_rms_moves() -> None:
    quiet = 0.3 * noise()[0]

    healthy, struck = one(quiet, speed_hz=30.0), one(quiet + 0.6 * impacts(107.54), speed_hz=30.0)

    assert struck["rms_g"] < 1.15 * healthy["rms_g"]
    assert struck["env_bpfo_ratio"] > 10 > 5 > healthy["env_bpfo_ratio"]
    assert struck["env_bpfi_ratio"] < 5


def test_a_sensor_in_metres_per_second_squared_reads_the_same_in_g() -> None:
    samples = (1000 * sine(100)).astype(np.int16)
    in_g = Waveform("x", samples, FS_HZ, 0.001, "g")
    in_si = Waveform("x", samples, FS_HZ, 0.001 * STANDARD_GRAVITY_M_S2, "m/s2")

    first, second = axes_features([(in_g, None, UNKNOWN_MACHINE), (in_si, None, UNKNOWN_MACHINE)])

    assert first == pytest.approx(second)


# Laws


@given(counts, st.floats(0.001, 1000))
@settings(max_examples=50, deadline=None)
def test_levels_scale_with_the_scale_and_shapes_do_not(samples: Array, factor: float) -> None:
    base = features(samples, fs_hz=3200.0, scale_g=1e-3, speed_hz=30.0, bearing_orders=ORDERS)

    scaled = features(samples, fs_hz=3200.0, scale_g=1e-3 * factor, speed_hz=30.0, bearing_orders=ORDERS)

    for name in NAMES:
        np.testing.assert_allclose(scaled[name], base[name] * (factor if name in LEVELS else 1), rtol=1e-9)


@given(counts)
@settings(max_examples=50, deadline=None)
def test_the_input_is_left_alone(samples: Array) -> None:
    before = samples.copy()
    samples.flags.writeable = False

    features(samples, fs_hz=3200.0, scale_g=1.0)

    np.testing.assert_array_equal(samples, before)


@given(st.integers(100, 6000), st.integers(0, 2**32 - 1), st.sampled_from([48000.0, 51200.0, 44100.0]))
@settings(max_examples=40, deadline=None)
def test_bands_that_tile_the_spectrum_keep_all_the_energy(n: int, seed: int, fs_hz: float) -> None:
    x = noise(n, seed=seed)[0]
    window = signal.windows.hann(n, sym=False)
    windowed = (x - x.mean()) * window
    outside = np.abs(np.fft.rfft(windowed)) ** 2 * np.where(np.arange(n // 2 + 1) * 2 == n, 1, 2)
    outside[0] /= 2
    hz = np.fft.rfftfreq(n, 1 / fs_hz)

    found = one(x, fs_hz=fs_hz)

    known = [name for name in BANDS if not np.isnan(found[name])]
    low = min(float(name.split("_")[1]) for name in known)
    tiled = sum(found[name] ** 2 for name in known)
    rest = outside[(hz < low * (1 - 1e-9)) | (hz >= 20000 * (1 - 1e-9))].sum() / n / (window @ window)
    assert tiled + rest == pytest.approx(float(windowed @ windowed) / float(window @ window), rel=1e-6)


@given(counts)
@settings(max_examples=50, deadline=None)
def test_levels_keep_their_order(samples: Array) -> None:
    found = features(samples, fs_hz=3200.0, scale_g=1.0)

    assert np.all(found["rms_g"] <= found["peak_g"] * (1 + 1e-6))
    assert np.all(found["peak_g"] <= found["peak_to_peak_g"] * (1 + 1e-6))
    excursion = np.abs(samples - samples.mean(axis=-1, keepdims=True)).max(axis=-1)
    np.testing.assert_allclose(found["peak_g"], excursion, rtol=1e-5)
    np.testing.assert_allclose(found["crest"] * found["rms_g"], np.where(excursion > 0, excursion, np.nan), rtol=1e-5)
    moves = ~np.isnan(found["kurtosis"])
    assert np.all((found["kurtosis"] >= (found["skewness"] ** 2 + 1) * (1 - 1e-4))[moves])


@given(counts)
@settings(max_examples=50, deadline=None)
def test_single_precision_agrees_with_double(samples: Array) -> None:
    single = features(samples, fs_hz=3200.0, scale_g=1.0)

    double = features(samples.astype(np.float64), fs_hz=3200.0, scale_g=1.0)

    for name in ("rms_g", "peak_g", "peak_to_peak_g", "crest", "kurtosis"):
        np.testing.assert_allclose(single[name], double[name], rtol=2e-5)
    np.testing.assert_allclose(single["velocity_rms_mm_s"], double["velocity_rms_mm_s"], rtol=1e-3, atol=1e-3)


# scipy as a second opinion


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64])
def test_moments_agree_with_scipy(dtype: type[np.generic]) -> None:
    x = (1000 * noise(4096)[0] ** 2).astype(dtype)

    found = one(x)

    assert found["kurtosis"] == pytest.approx(stats.kurtosis(x.astype(float), fisher=False), rel=1e-5)
    assert found["skewness"] == pytest.approx(stats.skew(x.astype(float)), rel=1e-5)
    assert found["rms_g"] == pytest.approx(np.std(x.astype(float)), rel=1e-6)


@pytest.mark.parametrize(("name", "band"), [("velocity_rms_mm_s", ""), ("velocity_2_rms_mm_s", "_2")])
def test_velocity_agrees_with_scipys_spectrum(name: str, band: str) -> None:
    x = noise()[0]
    low, high = WHOLE_BANDS_HZ[band]
    hz, density = signal.periodogram(x, FS_HZ, window="hann", detrend="constant")
    inside = (hz >= low) & (hz < high)

    found = one(x)

    expected = sqrt(np.sum(density[inside] * (9806.65 / (2 * pi * hz[inside])) ** 2) * hz[1])
    assert found[name] == pytest.approx(expected, rel=1e-6)


def test_velocity_agrees_with_integrating_in_time() -> None:
    x = sine(25) + sine(118, peak=2.0) + sine(410, peak=0.7)
    velocity = integrate.cumulative_simpson(x, dx=1 / FS_HZ, initial=0) * 9806.65

    assert one(x)["velocity_rms_mm_s"] == pytest.approx(np.std(velocity), rel=0.002)


def test_the_envelope_agrees_with_scipys_hilbert_transform() -> None:
    x = 0.3 * noise()[0] + impacts(107.54)
    low, high = envelope_band_hz(FS_HZ)
    bandpass = signal.firwin(1201, [low, high], fs=FS_HZ, pass_zero=False)
    envelope = np.abs(signal.hilbert(signal.fftconvolve(x, bandpass, mode="same")))
    hann = signal.windows.hann(len(x), sym=False)
    lines = np.abs(np.fft.rfft((envelope - envelope.mean()) * hann)) * 2 / hann.sum()

    found = one(x, speed_hz=30.0)

    assert found["env_rms_g"] == pytest.approx(np.std(envelope), rel=0.03)
    assert found["env_bpfo_g"] == pytest.approx(sqrt(np.sum(lines[106:111] ** 2) / 1.5), rel=0.03)
    assert found["env_kurtosis"] == pytest.approx(np.mean(envelope**4) / np.mean(envelope**2) ** 2, rel=0.05)


# What cannot be known is NaN, never a guess


@pytest.mark.parametrize("level", [0, 1, -32768, 32767])
@pytest.mark.parametrize("n", [2, 100, 4097])
def test_a_record_that_does_not_move_has_no_level_and_no_shape(level: int, n: int) -> None:
    found = one(np.full(n, level, np.int16), speed_hz=30.0)

    assert found["rms_g"] == found["peak_g"] == found["peak_to_peak_g"] == 0
    assert all(np.isnan(found[name]) for name in ("crest", "kurtosis", "skewness", "env_kurtosis", "env_bpfo_ratio"))
    assert {found[name] for name in (*BANDS, "velocity_rms_mm_s", "env_rms_g") if not np.isnan(found[name])} <= {0.0}


@given(st.floats(-1e6, 1e6), st.integers(2, 5000), st.sampled_from([np.float32, np.float64]))
@settings(max_examples=50, deadline=None)
def test_a_constant_does_not_move_whatever_its_mean_rounds_to(level: float, n: int, dtype: type[Any]) -> None:
    found = one(np.full(n, level, dtype))

    assert found["rms_g"] == 0
    assert np.isnan(found["crest"])


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_is_known_from_fewer_than_two_samples(n: int) -> None:
    assert all(np.isnan(value) for value in one(np.zeros(n, np.int16)).values())


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sample_that_is_no_number_makes_its_record_unknown_and_no_other(wrong: float, dtype: type[Any]) -> None:
    rows = noise(4096, rows=2).astype(dtype)
    rows[0, 17] = wrong

    found = features(rows, fs_hz=FS_HZ, scale_g=1.0)

    assert all(np.isnan(value[0]) for value in found.values())
    assert np.isfinite(found["rms_g"][1])
    assert np.isfinite(found["velocity_rms_mm_s"][1])


def test_a_level_too_large_for_its_precision_is_unknown_not_infinite() -> None:
    found = one((1e30 * noise(4096)[0]).astype(np.float32))

    assert all(np.isnan(value) for value in found.values())


@pytest.mark.parametrize(
    ("n", "fs_hz", "known"),
    [
        (2560, 25600.0, {"velocity_rms_mm_s": True, "velocity_2_rms_mm_s": False}),  # 0.1 s
        (2560, 25600.0 * (1 + 1e-12), {"velocity_rms_mm_s": True}),  # a rate from an interval, rounded
        (2559, 25600.0, {"velocity_rms_mm_s": False}),
        (12800, 25600.0, {"velocity_2_rms_mm_s": True}),  # 0.5 s
        (12799, 25600.0, {"velocity_2_rms_mm_s": False}),
        (2000, 2000.0, {"velocity_rms_mm_s": True}),
        (1999, 1999.0, {"velocity_rms_mm_s": False, "band_200_500_g": True, "band_500_1000_g": False}),
        (25600, 25600.0, {"band_5000_10000_g": True, "band_10000_20000_g": False}),
        (40000, 40000.0, {"band_10000_20000_g": True}),
        (100, 25600.0, {"rms_g": True, "kurtosis": True, "band_200_500_g": False, "band_500_1000_g": True}),
        (99, 25600.0, {"env_rms_g": False}),
        (100, 25600.0, {"env_rms_g": True}),  # 32 bins of 256 Hz from 2 to 10 kHz
    ],
)
def test_an_indicator_is_known_exactly_where_rate_and_length_allow(
    n: int, fs_hz: float, known: dict[str, bool]
) -> None:
    found = one(noise(n)[0], fs_hz=fs_hz)

    assert {name: not np.isnan(found[name]) for name in known} == known


def test_any_length_from_nothing_to_long_gives_every_indicator_without_an_error() -> None:
    for n in [*range(0, 200), 255, 1023, 2049]:
        for fs_hz in (10.0, 3200.0, 26667.0):
            assert tuple(one(noise(n)[0], fs_hz=fs_hz, speed_hz=30.0)) == NAMES


@pytest.mark.parametrize("speed_hz", [None, np.nan, 0.0, -30.0, 1e6])
def test_without_a_usable_speed_there_are_no_lines(speed_hz: float | None) -> None:
    found = one(noise()[0], speed_hz=speed_hz)

    assert all(np.isnan(found[f"env_{line}_{what}"]) for line in FaultOrders._fields for what in ("g", "ratio"))
    assert np.isfinite(found["env_rms_g"])


@pytest.mark.parametrize(("turns", "known"), [(3.9, False), (4.1, True)])
def test_a_record_shorter_than_four_turns_of_the_cage_says_nothing_about_it(turns: float, known: bool) -> None:
    seconds = turns / (ORDERS.ftf * 30.0)

    found = one(noise(round(seconds * FS_HZ))[0], speed_hz=30.0)

    assert np.isfinite([found["env_ftf_g"], found["env_ftf_ratio"]]).tolist() == [known, known]
    assert np.isfinite(found["env_bpfo_g"])


@pytest.mark.parametrize("fs_hz", [0.0, -1.0, np.nan, np.inf])
def test_a_rate_that_is_no_rate_is_refused(fs_hz: float) -> None:
    with pytest.raises(ValueError):
        features(noise(), fs_hz=fs_hz, scale_g=1.0)


@pytest.mark.parametrize(("fs_hz", "band"), [(25600, (2000, 10000)), (12800, (2000, 5120)), (3200, (640, 1280))])
def test_the_envelope_band_is_what_the_rate_allows(fs_hz: float, band: tuple[float, float]) -> None:
    assert envelope_band_hz(fs_hz) == pytest.approx(band)


# One call for many waveforms


def waveform(samples: Array, *, fs_hz: float = FS_HZ, unit: str = "g", scale: float = 1e-3) -> Waveform:
    return Waveform("x", (samples / scale).round().astype(np.int16), fs_hz, scale, unit)


def test_waveforms_of_mixed_lengths_rates_and_bearings_keep_their_places() -> None:
    x = noise(8192)[0]
    machine = Machine(bearing=CATALOGUE["6205-2RS"])
    items = [
        (waveform(x), 30.0, machine),
        (waveform(x[:4096]), 30.0, machine),
        (waveform(2 * x), None, machine),
        (waveform(x, fs_hz=12800.0), 30.0, UNKNOWN_MACHINE),
        (waveform(x[:1]), 30.0, machine),
    ]

    together = axes_features(items)

    assert together == [axes_features([item])[0] for item in items]
    assert together[2]["rms_g"] == pytest.approx(2 * (together[0]["rms_g"] or 0), rel=1e-3)
    assert together[0]["env_bpfo_g"] is not None
    assert together[2]["env_bpfo_g"] is together[3]["env_bpfo_g"] is together[4]["rms_g"] is None


def test_no_waveforms_give_no_rows() -> None:
    assert axes_features([]) == []


def test_an_unknown_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="mm/s"):
        axes_features([(waveform(noise(100)[0], unit="mm/s"), None, UNKNOWN_MACHINE)])


def test_rows_are_plain_numbers_or_none_ready_for_json() -> None:
    [row] = axes_features([(waveform(noise(4096)[0]), 30.0, Machine(bearing=CATALOGUE["6205-2RS"]))])

    assert tuple(row) == NAMES
    assert all(value is None or (type(value) is float and np.isfinite(value)) for value in row.values())


@pytest.mark.parametrize("still", [lambda n: np.zeros(n), lambda n: np.full(n, 5.0)], ids=["silence", "a constant"])
def test_silence_reaches_json_as_zeros_and_nones(still: Callable[[int], Array]) -> None:
    [row] = axes_features([(waveform(still(4096)), 30.0, Machine(bearing=CATALOGUE["6205-2RS"]))])

    assert row["rms_g"] == 0
    assert row["crest"] is row["kurtosis"] is row["env_bpfo_ratio"] is None
