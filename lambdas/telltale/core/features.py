"""Condition indicators of waveforms: a few numbers that say how a machine runs.

What each number means, its unit, formula and source stand in `core.schema.FEATURES`, once. The time
indicators use the whole record with its mean removed. The spectral ones use one Hann-windowed FFT of
the record; powers are divided by the mean square of the window and amplitudes by its mean, so that
noise and tones alike read true.

A frequency band is half-open, `[low, high)`, and is assessable when the record holds at least one
period of `low` (fs / n <= low) and `high` does not exceed fs / 2; otherwise its indicator is NaN.
A line next to the edge of a band, or in a record of a few periods, spreads over neighbouring bins: the
velocity of a 25 Hz shaft reads 5-10 % high in a record of 0.1 s, and 0.1 % high in one of 1 s.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from telltale.core.bearings import FaultOrders, fault_orders
from telltale.core.capture import Waveform
from telltale.core.plant import Machine
from telltale.core.schema import FEATURES

Array = NDArray[Any]

STANDARD_GRAVITY_M_S2 = 9.80665  # CGPM 1901

VELOCITY_BANDS_HZ = {
    "velocity_rms_mm_s": (10.0, 1000.0),  # ISO 20816-1: general machines
    "velocity_2_rms_mm_s": (2.0, 1000.0),  # ISO 20816-3: shafts below 600 r/min
}
BAND_EDGES_HZ = (10, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)  # 1-2-5 series

# Where bearing impacts ring and most machine tones have died away. Practice takes 2-20 kHz; common
# MEMS sensors are flat to about 6 kHz and unusable much above 10 kHz. A slow sensor gives its upper half.
ENVELOPE_BAND_HZ = (2000.0, 10000.0)
ENVELOPE_TOP_OF_NYQUIST = 0.8  # anti-alias filters fall off above
ENVELOPE_BINS = 32  # bins the band needs, so that its lowest quarter holds a line and the noise around it
SLIP = 0.02  # a defect line is looked for this far around its kinematic frequency: slip, geometry, speed error
LINE_PERIODS = 4  # periods of a line the record must hold, for the line to stand clear of the window's DC lobe
FLOOR_SPAN = 0.5  # the noise floor of a line is the median over its frequency +- this share
FLOOR_POINTS = 64  # taken at this many places (in short records several fall on one bin)
HANN_LINE_POWER = 1.5  # power of a line summed over its Hann lobe, relative to its centre

BLOCK_SAMPLES = 400_000  # computed at once: their spectra still fit the caches (measured: 1.3 times faster than 1.2 M)

_LINES = FaultOrders._fields
_BSF = _LINES.index("bsf")
_ENVELOPE_NAMES = tuple(
    column.name for column in FEATURES if column.name.startswith("env_") and not column.name.endswith("_hz")
)


def features(
    samples: Array,
    *,
    fs_hz: float,
    scale_g: ArrayLike,
    speed_hz: ArrayLike | None = None,
    bearing_orders: ArrayLike | None = None,
) -> dict[str, Array]:
    """Every indicator of `core.schema.FEATURES`, in that order, for a stack of records of one length.

    samples : shape (..., n), time last, int16 counts or floats; never modified.
    fs_hz : sampling rate of all of them.   scale_g : g per count, a number or shape (...).
    speed_hz : shaft speed, a number or shape (...), NaN where unknown.
    bearing_orders : BPFO, BPFI, BSF, FTF in multiples of the speed, shape (4,) or (..., 4), NaN where unknown.

    Each value has shape (...), float64, and does not depend on the other records of the stack. int16 and
    float32 are computed in float32, float64 in float64. NaN means "cannot be known": every indicator of a
    record with fewer than two samples, with a NaN or infinite sample, or too large for its precision;
    crest, skewness and kurtosis of a record that does not move (silent or constant: its levels are 0);
    bands that are not assessable; lines without a speed or a bearing.
    ValueError if `fs_hz` is not a positive number.
    """
    if not 0 < fs_hz < np.inf:
        raise ValueError(f"sampling rate {fs_hz} Hz, wanted a positive number")
    shape, n = samples.shape[:-1], samples.shape[-1]
    if n < 2:
        return {column.name: np.full(shape, np.nan) for column in FEATURES}
    rows = samples.reshape(-1, n)
    scale = np.broadcast_to(np.asarray(scale_g, np.float64), shape).reshape(-1)
    lines_hz = _lines_hz(shape, speed_hz, bearing_orders)
    step = max(1, BLOCK_SAMPLES // n)
    blocks = [
        _block(rows[i : i + step], scale[i : i + step], fs_hz, lines_hz[i : i + step])
        for i in range(0, max(1, len(rows)), step)
    ]
    return {name: np.concatenate([block[name] for block in blocks]).reshape(shape) for name in blocks[0]}


def axes_features(items: Sequence[tuple[Waveform, float | None, Machine]]) -> list[dict[str, float | None]]:
    """The indicators of each (waveform, shaft speed in Hz, machine), in the order given; None where unknown.

    Records of the same length and rate are computed together. ValueError as `features` and
    `fault_orders`, or if a unit is neither g nor m/s2.
    """
    groups: dict[tuple[int, float], list[int]] = defaultdict(list)
    for place, (waveform, _, _) in enumerate(items):
        groups[len(waveform.samples), waveform.fs_hz].append(place)
    rows: dict[int, dict[str, float | None]] = {}
    for (_, fs_hz), places in groups.items():
        rows.update(zip(places, _group([items[place] for place in places], fs_hz), strict=True))
    return [rows[place] for place in range(len(items))]


def _group(items: Sequence[tuple[Waveform, float | None, Machine]], fs_hz: float) -> list[dict[str, float | None]]:
    unknown = FaultOrders(np.nan, np.nan, np.nan, np.nan)
    found = features(
        np.stack([waveform.samples for waveform, _, _ in items]),
        fs_hz=fs_hz,
        scale_g=[_scale_g(waveform) for waveform, _, _ in items],
        speed_hz=[np.nan if speed is None else speed for _, speed, _ in items],
        bearing_orders=[
            unknown if machine.bearing is None else fault_orders(machine.bearing) for _, _, machine in items
        ],
    )
    columns = [[value if isfinite(value) else None for value in column.tolist()] for column in found.values()]
    return [dict(zip(found, row, strict=True)) for row in zip(*columns, strict=True)]


def _scale_g(waveform: Waveform) -> float:
    if waveform.unit == "g":
        return waveform.scale
    if waveform.unit == "m/s2":
        return waveform.scale / STANDARD_GRAVITY_M_S2
    raise ValueError(f"unit {waveform.unit!r} of axis {waveform.axis}, wanted g or m/s2")


def _block(rows: Array, scale: Array, fs_hz: float, lines_hz: Array) -> dict[str, Array]:
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):  # NaN and inf samples give NaN, as promised
        x = _centred(rows)
        found = _time_indicators(x, scale) | _spectral_indicators(x, scale, fs_hz, lines_hz)
        unknown = ~np.isfinite(found["rms_g"])
    missing = np.full(len(rows), np.nan)  # columns that are declared and not computed yet
    return {c.name: np.where(unknown, np.nan, found.get(c.name, missing)) for c in FEATURES}


def _centred(rows: Array) -> Array:
    """Rows without their mean, in float32 or float64; exactly 0 where a row is constant."""
    work = np.result_type(rows.dtype, np.float32)
    moving: Array = np.subtract(rows, rows.mean(axis=-1, dtype=np.float64, keepdims=True).astype(work), dtype=work)
    moving[rows.min(axis=-1) == rows.max(axis=-1)] = 0
    return moving


def _time_indicators(x: Array, scale: Array) -> dict[str, Array]:
    square = x * x
    m2, m3, m4 = _mean_product(x, x), _mean_product(square, x), _mean_product(square, square)
    rms, low, high = np.sqrt(m2), _wide(x.min(axis=-1)), _wide(x.max(axis=-1))
    peak = np.maximum(high, -low)
    return {
        "rms_g": rms * scale,
        "peak_g": peak * scale,
        "peak_to_peak_g": (high - low) * scale,
        "crest": peak / rms,
        "kurtosis": m4 / m2**2,
        "skewness": m3 / m2**1.5,
    }


def _spectral_indicators(x: Array, scale: Array, fs_hz: float, lines_hz: Array) -> dict[str, Array]:
    n = x.shape[-1]
    window = np.hanning(n + 1)[:-1].astype(x.dtype)  # periodic
    spectrum = np.fft.rfft(x * window, axis=-1)
    power = _power(spectrum) * (2 / (n * float(window @ window)))  # each bin: its part of the mean square, in counts²
    bin_hz = fs_hz / n
    found = {}
    for name, (low, high) in VELOCITY_BANDS_HZ.items():
        found[name] = _velocity_rms(power, bin_hz, fs_hz, low, high) * scale
    for low, high in pairwise(BAND_EDGES_HZ):
        found[f"band_{low}_{high}_g"] = _band_rms(power, bin_hz, fs_hz, low, high) * scale
    return found | _envelope_indicators(spectrum, window, scale, fs_hz, lines_hz)


def _velocity_rms(power: Array, bin_hz: float, fs_hz: float, low: float, high: float) -> Array:
    """RMS velocity of a band, in mm/s per g: each bin's acceleration divided by 2 pi f."""
    bins = _bins(bin_hz, fs_hz, low, high)
    if bins is None:
        return np.full(len(power), np.nan)
    omega = 2 * np.pi * bin_hz * np.arange(bins.start, bins.stop)
    weight = ((1000 * STANDARD_GRAVITY_M_S2 / omega) ** 2).astype(power.dtype)
    return np.sqrt(_wide(np.vecdot(power[:, bins], weight)))


def _band_rms(power: Array, bin_hz: float, fs_hz: float, low: float, high: float) -> Array:
    bins = _bins(bin_hz, fs_hz, low, high)
    return np.full(len(power), np.nan) if bins is None else np.sqrt(_wide(power[:, bins].sum(axis=-1)))


def _bins(bin_hz: float, fs_hz: float, low: float, high: float) -> slice | None:
    """The bins in [low, high) Hz; None if the band is not assessable."""
    rounding = 1e-9  # so that an edge that is a bin's frequency, but for rounding, is that bin
    if bin_hz > low * (1 + rounding) or high > fs_hz / 2 * (1 + rounding):
        return None
    return slice(*(int(np.ceil(edge / bin_hz * (1 - rounding))) for edge in (low, high)))


def envelope_band_hz(fs_hz: float) -> tuple[float, float]:
    """The band whose envelope is taken at this sampling rate, in Hz."""
    high = min(ENVELOPE_BAND_HZ[1], ENVELOPE_TOP_OF_NYQUIST * fs_hz / 2)
    return min(ENVELOPE_BAND_HZ[0], high / 2), high


def _envelope_indicators(
    spectrum: Array, window: Array, scale: Array, fs_hz: float, lines_hz: Array
) -> dict[str, Array]:
    n = len(window)
    bins = _bins(fs_hz / n, fs_hz, *envelope_band_hz(fs_hz))
    if bins is None or bins.stop - bins.start < ENVELOPE_BINS:
        return {name: np.full(len(spectrum), np.nan) for name in _ENVELOPE_NAMES}
    square, reach = _squared_envelope(spectrum[:, bins], n)
    taper = np.hanning(square.shape[-1] + 1)[:-1].astype(square.dtype)  # the window, as it lies on the envelope
    envelope = np.sqrt(square)
    mean, mean_square = (
        _wide(sums) / float(taper @ taper) for sums in (np.vecdot(envelope, taper), square.sum(axis=-1))
    )
    power = _power(np.fft.rfft(envelope, axis=-1)[:, :reach]) * (2 / float(taper.sum())) ** 2
    line, ratio = _defect_lines(power, lines_hz * (n / fs_hz))
    return dict(
        zip(
            _ENVELOPE_NAMES,
            (
                np.sqrt(np.maximum(mean_square - mean**2, 0)) * scale,
                _mean_product(square, square) / float(np.mean(taper**4)) / mean_square**2,
                *(line * scale[:, None]).T,
                *ratio.T,
            ),
            strict=True,
        )
    )


def _squared_envelope(band: Array, n: int) -> tuple[Array, int]:
    """|analytic signal|² of some bins of a record of n samples, and how many bins of its spectrum are free of aliases.

    A band of b bins has a squared envelope of 2 b - 1 bins; with 5/4 b points the lowest quarter stays clean.
    """
    points = _fast_length(band.shape[-1] * 5 // 4)
    return _power(np.fft.ifft(band, points, axis=-1)) * (2 * points / n) ** 2, points - band.shape[-1]


def _defect_lines(power: Array, at: Array) -> tuple[Array, Array]:
    """Amplitudes at the defect frequencies `at` (rows, 4) in bins, and their ratios to the noise around them.

    A rolling element strikes at its spin frequency or at twice it: the larger counts.
    """
    found = _lines(power, np.column_stack([at, 2 * at[:, _BSF]]))
    for values in found:
        values[:, _BSF] = np.fmax(values[:, _BSF], values[:, -1])
    amplitude, ratio = (values[:, : len(_LINES)] for values in found)
    return amplitude, ratio


def _lines(power: Array, centre: Array) -> tuple[Array, Array]:
    """Amplitude of the strongest line within SLIP of each centre (rows, lines) in bins, and its ratio to the floor."""
    top = power.shape[-1] - 2  # the last bin with a neighbour
    known = (centre >= LINE_PERIODS) & (np.ceil(centre * (1 + FLOOR_SPAN)) <= top)
    centre = np.where(known, centre, LINE_PERIODS)
    first, last = np.floor(centre * (1 - SLIP)), np.ceil(centre * (1 + SLIP))
    width = np.arange(int((last - first).max(initial=0)) + 1)
    at = np.minimum(first[..., None] + width, last[..., None]).astype(np.intp)
    lobe = sum(_at(power, at + step) for step in (-1, 0, 1))
    line = np.sqrt(np.max(lobe, axis=-1) / HANN_LINE_POWER)
    around = np.rint(centre[..., None] * np.linspace(1 - FLOOR_SPAN, 1 + FLOOR_SPAN, FLOOR_POINTS)).astype(np.intp)
    floor = np.sqrt(np.median(_at(power, around), axis=-1))
    return np.where(known, line, np.nan), np.where(known, line / floor, np.nan)


def _at(power: Array, bins: Array) -> Array:
    """power (rows, bins) at bins (rows, lines, k): shape (rows, lines, k)."""
    return _wide(np.take_along_axis(power[:, None, :], bins, axis=-1))


def _lines_hz(shape: tuple[int, ...], speed_hz: ArrayLike | None, bearing_orders: ArrayLike | None) -> Array:
    """Defect frequencies, shape (rows, 4), NaN where speed or bearing is unknown."""
    speed = np.nan if speed_hz is None else np.asarray(speed_hz, np.float64)
    orders = np.nan if bearing_orders is None else np.asarray(bearing_orders, np.float64)
    speeds = np.broadcast_to(speed, shape).reshape(-1, 1)
    return speeds * np.broadcast_to(orders, (*shape, len(_LINES))).reshape(-1, len(_LINES))


def _power(spectrum: Array) -> Array:
    return spectrum.real**2 + spectrum.imag**2


def _mean_product(a: Array, b: Array) -> Array:
    return _wide(np.vecdot(a, b)) / a.shape[-1]


def _wide(values: Array) -> Array:
    return values.astype(np.float64)


def _fast_length(n: int) -> int:
    """The smallest 2^a, 3 * 2^a or 5 * 2^a that is not below n: the FFT is fast at these."""
    return min(factor << max(0, (-(-n // factor) - 1).bit_length()) for factor in (1, 3, 5))
