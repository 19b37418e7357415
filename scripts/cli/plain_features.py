"""The routine set once more, one record after another in double precision with SciPy, as plainly as it can be written.

The signal core is tested against it and timed against it. It shares nothing with `telltale.core.features` but the
definitions in `core.schema`, whose words it follows. Needs SciPy whole, which the development pins have.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, floor, log, nan, pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal, stats

Array = NDArray[Any]

BANDS_HZ = (10, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)
G_M_S2 = 9.80665
NEAR = 1e-9  # an edge that is a bin's frequency, but for rounding, is that bin


def features(
    x: Array,
    *,
    fs_hz: float,
    count_g: float = nan,
    speed_hz: float = nan,
    speed_tolerance: float = 0.03,
    bearing_orders: Sequence[float] = (nan,) * 4,
    blades: float = nan,
    teeth: float = nan,
    line_hz: float = nan,
    envelope_band_hz: tuple[float, float] | None = None,
    bands_hz: Sequence[tuple[float, float]] = (),
    envelope_points: int | None = None,
) -> dict[str, float]:
    """Every indicator of one record in g, shape (n,), n at least 4, of counts of `count_g`.

    envelope_points : how many samples of the envelope are taken; None: as many as the record has.
    Other arguments as in `telltale.core.features`.
    """
    x = x.astype(float)
    n = len(x)
    with np.errstate(invalid="ignore", divide="ignore"):
        hz, density = signal.periodogram(x, fs_hz, window="hann", detrend="constant")
        power = density * fs_hz / n  # of each bin: its part of the mean square
        found = (
            {"count_g": count_g} | time_domain(x, fs_hz) | bands(hz, power, bands_hz, fs_hz) | shape(hz, power, fs_hz)
        )
        found |= orders(power, fs_hz, n, speed_hz, speed_tolerance, blades, teeth, line_hz, found["velocity_rms_mm_s"])
        return found | envelope(
            x, fs_hz, envelope_band_hz, [order * speed_hz for order in bearing_orders], envelope_points
        )


def time_domain(x: Array, fs_hz: float) -> dict[str, float]:
    n, mean = len(x), float(x.mean())
    rms, rectified, peak = float(np.std(x)), float(np.mean(np.abs(x - mean))), float(np.max(np.abs(x - mean)))
    root = float(np.mean(np.sqrt(np.abs(x - mean))))
    extreme = (x == x.max()) | (x == x.min())
    return {
        "mean_g": mean,
        "rms_g": rms,
        "peak_g": peak,
        "peak_to_peak_g": float(np.ptp(x)),
        "crest": peak / rms,
        "kurtosis": float(stats.kurtosis(x, fisher=False)),
        "skewness": float(stats.skew(x)),
        "shape_factor": rms / rectified,
        "impulse_factor": peak / rectified,
        "clearance_factor": peak / root**2,
        "zero_crossings_hz": float(np.sum(np.diff(x > mean))) * fs_hz / (n - 1),
        "clipped_share": float(np.mean(extreme)),
        "repeated_share": float(np.mean(x[1:] == x[:-1])),
        "drift_g": float(x[-(n // 4) :].mean() - x[: n // 4].mean()),
    }


def inside(hz: Array, fs_hz: float, low: float, high: float) -> Array | None:
    """Which bins lie in [low, high); None where the band is not assessable."""
    if hz[1] > low * (1 + NEAR) or high > fs_hz / 2 * (1 + NEAR) or low >= high:
        return None
    return (hz >= low * (1 - NEAR)) & (hz < high * (1 - NEAR))


def root_of_power(hz: Array, power: Array, fs_hz: float, band: tuple[float, float], integrations: int) -> float:
    """RMS of the band, integrated so many times: of m/s2 after one or two, else of g."""
    chosen = inside(hz, fs_hz, *band)
    if chosen is None:
        return nan
    return sqrt(np.sum(power[chosen] / (2 * pi * hz[chosen]) ** (2 * integrations))) * (G_M_S2 if integrations else 1)


def bands(hz: Array, power: Array, own: Sequence[tuple[float, float]], fs_hz: float) -> dict[str, float]:
    found = {}
    for which, low in (("", 10.0), ("_2", 2.0)):
        found[f"velocity{which}_rms_mm_s"] = root_of_power(hz, power, fs_hz, (low, 1000), 1) * 1e3
        found[f"displacement{which}_rms_um"] = root_of_power(hz, power, fs_hz, (low, 1000), 2) * 1e6
    for low, high in pairwise(BANDS_HZ):
        found[f"band_{low}_{high}_g"] = root_of_power(hz, power, fs_hz, (low, high), 0)
    for number in range(4):
        band = own[number] if number < len(own) else (nan, nan)
        found[f"band_own_{number + 1}_g"] = root_of_power(hz, power, fs_hz, band, 0) if band[0] == band[0] else nan
    return found


def shape(hz: Array, power: Array, fs_hz: float) -> dict[str, float]:
    between = (hz > 0) & (hz < fs_hz / 2 * (1 - NEAR))
    hz, power = hz[between], power[between]
    count = len(power) // 16
    found = {"spectral_centroid_hz": float(np.average(hz, weights=power)) if power.any() else nan}
    if count < 2:
        return found | {"spectral_entropy": nan, "noise_floor_g_rthz": nan}
    blocks = power[: 16 * count].reshape(count, 16)
    return found | {
        "spectral_entropy": float(stats.entropy(blocks.sum(axis=1)) / log(count)),
        "noise_floor_g_rthz": sqrt(np.median(blocks.mean(axis=1)) / hz[0]),
    }


def strongest(power: Array, at: float, reach: float, end: float) -> tuple[float, float]:
    """Power of the strongest three bins with their middle within `reach` of `at`, and their centroid; all in bins."""
    if not (at == at and reach == reach and ceil(at + reach) + 1 < end):
        return nan, nan
    middles = range(floor(at - reach), ceil(at + reach) + 1)
    lobes = [float(power[k - 1] + power[k] + power[k + 1]) for k in middles]
    best = int(np.argmax(lobes))
    k = middles[best]
    return lobes[best], k + float(power[k + 1] - power[k - 1]) / lobes[best] if lobes[best] > 0 else at


def orders(
    power: Array,
    fs_hz: float,
    n: int,
    speed_hz: float,
    tolerance: float,
    blades: float,
    teeth: float,
    line_hz: float,
    velocity: float,
) -> dict[str, float]:
    bin_hz, turn = fs_hz / n, speed_hz * n / fs_hz

    def line(at: float, reach: float, clear: float) -> tuple[float, float]:
        """Velocity in mm/s and place in Hz."""
        square, place = strongest(power, at, reach, n / 2) if clear >= 4 else (nan, nan)
        return sqrt(square) * G_M_S2 * 1e3 / (2 * pi * place * bin_hz), place * bin_hz

    whole = [line(k * turn, min(tolerance * k * turn, turn / 4), turn) for k in range(1, 11)]
    half = [line(k * turn, min(tolerance * k * turn, turn / 4), turn / 2)[0] for k in (0.5, 1.5, 2.5)]
    mains = line_hz / bin_hz
    reach = min(tolerance * teeth * turn, turn / 2)
    mesh, place = strongest(power, teeth * turn, reach, n / 2) if turn >= 4 else (nan, nan)
    sides = [strongest(power, place * (1 + k / teeth), 0, n / 2)[0] for k in (-2, -1, 1, 2)]
    first, half_level = whole[0][0], sqrt(sum(v**2 for v in half))
    shared = sum(v**2 if 10 <= hz < 1000 or v != v else 0 for v, hz in whole)
    return {
        "order_1_mm_s": first,
        "order_2_mm_s": whole[1][0],
        "order_3_mm_s": whole[2][0],
        "order_half_mm_s": half_level,
        "order_4_10_mm_s": sqrt(sum(v**2 for v, _ in whole[3:])),
        "order_2_ratio": whole[1][0] / first,
        "order_3_ratio": whole[2][0] / first,
        "order_half_ratio": half_level / first,
        "harmonic_share": float(np.minimum(shared / velocity**2, 1)),
        "blade_pass_mm_s": line(blades * turn, min(tolerance * blades * turn, turn / 2), turn)[0],
        "line_1_mm_s": line(mains, 0.01 * mains, mains)[0],
        "line_2_mm_s": line(2 * mains, 0.02 * mains, mains)[0],
        "gear_mesh_g": sqrt(mesh),
        "gear_sideband_ratio": sqrt(sum(sides) / mesh),
    }


def envelope(
    x: Array,
    fs_hz: float,
    band_hz: tuple[float, float] | None,
    defects_hz: Sequence[float],
    points: int | None,
) -> dict[str, float]:
    """From the magnitude of the band's analytic signal, which is the same wherever in frequency the band is put."""
    names = ("bpfo", "bpfi", "bsf", "ftf")
    top = min(10000.0, 0.4 * fs_hz)
    low, high = (min(2000.0, top / 2), top) if band_hz is None else band_hz
    n, hz = len(x), np.fft.rfftfreq(len(x), 1 / fs_hz)
    chosen = inside(hz, fs_hz, low, high)
    unknown = [f"env_{name}_{what}" for name in names for what in ("g", "ratio")]
    if chosen is None or np.sum(chosen) < 32:
        return dict.fromkeys(("env_low_hz", "env_high_hz", "env_rms_g", "env_kurtosis", *unknown), nan)
    points = n if points is None else points
    band = np.fft.rfft((x - x.mean()) * signal.windows.hann(n, sym=False))[chosen]
    seen = np.abs(np.fft.ifft(2 * band, points)) * points / n  # the envelope, times the window
    window = signal.windows.hann(points, sym=False)
    mean, square = np.sum(seen * window) / np.sum(window**2), np.sum(seen**2) / np.sum(window**2)
    amplitude = np.abs(np.fft.rfft(seen)) * 2 / np.sum(window)
    clean = _clean_bins(len(band))
    found = {
        "env_low_hz": low,
        "env_high_hz": high,
        "env_rms_g": sqrt(max(square - mean**2, 0)),
        "env_kurtosis": float(np.sum(seen**4) / np.sum(window**4) / square**2),
    }
    for name, defect_hz in zip(names, defects_hz, strict=True):
        lines = [_envelope_line(amplitude, defect_hz * n / fs_hz, clean)]
        if name == "bsf":
            lines.append(_envelope_line(amplitude, 2 * defect_hz * n / fs_hz, clean))
        found[f"env_{name}_g"] = float(np.fmax.reduce([line for line, _ in lines]))
        found[f"env_{name}_ratio"] = float(np.fmax.reduce([ratio for _, ratio in lines]))
    return found


def _clean_bins(width: int) -> int:
    """How many bins of the envelope's spectrum are looked at: a quarter of the band, or a little more."""
    points = width * 5 // 4
    while any(points % prime == 0 for prime in _primes_from(13, points)):
        points += 1
    return points - width


def _primes_from(low: int, high: int) -> list[int]:
    return [k for k in range(low, high + 1) if all(k % d for d in range(2, int(sqrt(k)) + 1))]


def _envelope_line(amplitude: Array, at: float, clean: int) -> tuple[float, float]:
    if not (at >= 4 and ceil(at * 1.5) <= clean - 2):
        return nan, nan
    square, _ = strongest(amplitude**2, at, 0.02 * at, len(amplitude))
    around = [amplitude[round(at * share)] ** 2 for share in np.linspace(0.5, 1.5, 64)]
    line = sqrt(square / 1.5)
    return line, float(line / np.sqrt(np.median(around)))
