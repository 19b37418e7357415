"""Condition indicators of waveforms: a few numbers that say how a machine runs.

What each number means, its unit, formula and source stand in `core.schema.FEATURES`, once. The time
indicators use the whole record with its mean removed. The spectral ones use one Hann-windowed FFT of
the record; powers are divided by the mean square of the window and amplitudes by its mean, so that
noise and tones alike read true.

A frequency band is half-open, `[low, high)`, and is assessable when the record holds at least one
period of `low` (fs / n <= low) and `high` does not exceed fs / 2; otherwise its indicator is NaN.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from telltale.core.bearings import FaultOrders, fault_orders
from telltale.core.capture import Waveform
from telltale.core.plant import Bearing
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
SLIP = 0.02  # a defect line is looked for this far around its kinematic frequency: slip, geometry, speed error
LINE_PERIODS = 4  # periods of a line the record must hold, for the line to stand clear of the window's DC lobe
FLOOR_SPAN = 0.5  # the noise floor of a line is the median over its frequency +- this share
FLOOR_POINTS = 64  # taken at this many places (in short records several fall on one bin)
HANN_LINE_POWER = 1.5  # power of a line summed over its Hann lobe, relative to its centre

_LINES = FaultOrders._fields
_BSF = _LINES.index("bsf")


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

    Each value has shape (...), float64. int16 and float32 are computed in float32, float64 in float64.
    NaN means "cannot be known": every indicator of a record with fewer than two samples or with a NaN
    or infinite sample; crest, skewness and kurtosis of a record that does not move (silent or
    constant: its levels are 0); bands that are not assessable; lines without a speed or a bearing.
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
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):  # NaN and inf samples give NaN, as promised
        moving = _centred(rows)
        found = _time_indicators(moving, scale) | _spectral_indicators(moving, scale, fs_hz, lines_hz)
    found = _unknown_where(~np.isfinite(found["rms_g"]), found)
    return {name: value.reshape(shape) for name, value in found.items()}


def axes_features(items: Sequence[tuple[Waveform, float | None, Bearing | None]]) -> list[dict[str, float | None]]:
    """The indicators of each (waveform, shaft speed in Hz, bearing), in the order given; None where NaN.

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


def _group(
    items: Sequence[tuple[Waveform, float | None, Bearing | None]], fs_hz: float
) -> list[dict[str, float | None]]:
    unknown = FaultOrders(np.nan, np.nan, np.nan, np.nan)
    found = features(
        np.stack([waveform.samples for waveform, _, _ in items]),
        fs_hz=fs_hz,
        scale_g=[_scale_g(waveform) for waveform, _, _ in items],
        speed_hz=[np.nan if speed is None else speed for _, speed, _ in items],
        bearing_orders=[unknown if bearing is None else fault_orders(bearing) for _, _, bearing in items],
    )
    columns = [[None if value != value else value for value in column.tolist()] for column in found.values()]
    return [dict(zip(found, row, strict=True)) for row in zip(*columns, strict=True)]


def _scale_g(waveform: Waveform) -> float:
    if waveform.unit == "g":
        return waveform.scale
    if waveform.unit == "m/s2":
        return waveform.scale / STANDARD_GRAVITY_M_S2
    raise ValueError(f"unit {waveform.unit!r} of axis {waveform.axis}, wanted g or m/s2")


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
    power = spectrum.real**2 + spectrum.imag**2
    power *= 2 / (n * float(window @ window))  # each bin: its part of the mean square, in counts²
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
    return np.sqrt(_wide(power[:, bins] @ weight))


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
    """Envelope of the high band: the magnitude of its analytic signal, made from the windowed spectrum."""
    n = len(window)
    bins = _bins(fs_hz / n, fs_hz, *envelope_band_hz(fs_hz))
    if bins is None or bins.stop - bins.start < 2 * LINE_PERIODS:
        names = ("env_rms_g", "env_kurtosis", *(f"env_{line}_{what}" for what in ("g", "ratio") for line in _LINES))
        return {name: np.full(len(spectrum), np.nan) for name in names}
    band = spectrum[:, bins]
    points = _fast_length(2 * band.shape[-1])
    analytic = np.fft.ifft(band, points, axis=-1)
    analytic *= 2 * points / n
    square = analytic.real**2 + analytic.imag**2
    envelope = np.sqrt(square)
    taper = np.hanning(points + 1)[:-1].astype(square.dtype)  # the window, as it lies on the envelope
    mean_square = _wide(square.sum(axis=-1)) / float(taper @ taper)
    mean = _wide(envelope @ taper) / float(taper @ taper)
    fourth = _mean_product(square, square) / float(np.mean(taper**4))
    found = {
        "env_rms_g": np.sqrt(np.maximum(mean_square - mean**2, 0)) * scale,
        "env_kurtosis": fourth / mean_square**2,
    }
    amplitude = np.abs(np.fft.rfft(envelope, axis=-1))
    amplitude *= 2 / float(taper.sum())
    usable = min(amplitude.shape[-1], band.shape[-1])
    at = lines_hz * (n / fs_hz)
    line, ratio = _lines(amplitude[:, :usable], np.column_stack([at, 2 * at[:, _BSF]]))
    for values in line, ratio:
        values[:, _BSF] = np.fmax(values[:, _BSF], values[:, -1])  # at the spin frequency or twice it
    found |= {f"env_{name}_g": line[:, i] * scale for i, name in enumerate(_LINES)}
    return found | {f"env_{name}_ratio": ratio[:, i] for i, name in enumerate(_LINES)}


def _lines(amplitude: Array, centre: Array) -> tuple[Array, Array]:
    """Amplitude of the strongest line within SLIP of each centre (rows, lines) in bins, and its ratio to the floor."""
    first, last = np.floor(centre * (1 - SLIP)), np.ceil(centre * (1 + SLIP))
    top = amplitude.shape[-1] - 2  # the last bin with a neighbour
    known = (centre >= LINE_PERIODS) & (last <= top) & (np.ceil(centre * (1 + FLOOR_SPAN)) <= top)
    centre, first, last = (np.where(known, value, LINE_PERIODS) for value in (centre, first, last))
    width = np.arange(int((last - first).max(initial=0)) + 1)
    at = np.minimum(first[..., None] + width, last[..., None]).astype(np.intp)
    row = np.arange(len(amplitude))[:, None, None]
    lobe = sum(_wide(amplitude[row, at + step]) ** 2 for step in (-1, 0, 1))
    line = np.sqrt(np.max(lobe, axis=-1) / HANN_LINE_POWER)
    around = np.rint(centre[..., None] * np.linspace(1 - FLOOR_SPAN, 1 + FLOOR_SPAN, FLOOR_POINTS)).astype(np.intp)
    floor = np.median(_wide(amplitude[row, around]), axis=-1)
    return np.where(known, line, np.nan), np.where(known, line / floor, np.nan)


def _lines_hz(shape: tuple[int, ...], speed_hz: ArrayLike | None, bearing_orders: ArrayLike | None) -> Array:
    """Defect frequencies, shape (rows, 4), NaN where speed or bearing is unknown."""
    speed = np.nan if speed_hz is None else np.asarray(speed_hz, np.float64)
    orders = np.nan if bearing_orders is None else np.asarray(bearing_orders, np.float64)
    speeds = np.broadcast_to(speed, shape).reshape(-1, 1)
    return speeds * np.broadcast_to(orders, (*shape, len(_LINES))).reshape(-1, len(_LINES))


def _unknown_where(bad: Array, found: dict[str, Array]) -> dict[str, Array]:
    return {name: np.where(bad, np.nan, value) for name, value in found.items()}


def _mean_product(a: Array, b: Array) -> Array:
    return _wide(np.vecdot(a, b)) / a.shape[-1]


def _wide(values: Array) -> Array:
    return values.astype(np.float64)


def _fast_length(n: int) -> int:
    """The smallest 2^a, 3 * 2^a or 5 * 2^a that is not below n: the FFT is fast at these."""
    return min(factor << max(0, (-(-n // factor) - 1).bit_length()) for factor in (1, 3, 5))
