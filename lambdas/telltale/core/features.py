"""The routine set: a few dozen numbers of each waveform that say how a machine runs, for about the time of its FFT.

What each number means, its unit, formula and source stand in `core.schema.FEATURES`, once. The time
indicators use the whole record with its mean removed. The spectral ones use one Hann-windowed FFT of
the record; powers are divided by the mean square of the window and amplitudes of the envelope by its mean, so that
noise and tones alike read true.

**Bands.** A frequency band is half-open, `[low, high)`, and is assessable when the record holds at least one
period of `low` (fs / n <= low) and `high` does not exceed fs / 2; otherwise its indicator is NaN.
A line next to the edge of a band, or in a record of a few periods, spreads over neighbouring bins: the
velocity of a 25 Hz shaft reads 5-10 % high in a record of 0.1 s, and 0.1 % high in one of 1 s.

**Lines** of the shaft, of blades, teeth and mains are RMS values. A line is the largest power of three neighbouring
bins around a frequency: all of a Hann line's power when it lies on a bin, 98 % between two. Its own frequency is the
centroid of those three, right to 3 % of a bin, and turns its acceleration into velocity. It is looked for

* within `speed_tolerance` of where the speed puts it: MEASURED_SPEED_TOLERANCE when the speed was measured with the
  record, NOMINAL_SPEED_TOLERANCE when it is the machine's nominal one; mains within MAINS_TOLERANCE;
* but never nearer to another line than to its own: whole and half orders lie half an order apart, so they are looked
  for within a quarter of one, blade pass and gear mesh within half an order;
* always as far as the next bin on either side (and of the three bins one lies beyond).

The sidebands of a gear mesh are looked for around the mesh that was found, at the speed it tells. A line is known when
a Hann line there is clear of its neighbours (LINE_PERIODS: at least 4 turns in the record, for half orders 8, for the
mains 4 periods) and all that is looked at lies below fs / 2; otherwise it is NaN.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from telltale.core import fft
from telltale.core.bearings import FaultOrders, fault_orders
from telltale.core.capture import Waveform
from telltale.core.plant import OWN_BANDS, Machine
from telltale.core.schema import FEATURES

Array = NDArray[Any]

STANDARD_GRAVITY_M_S2 = 9.80665  # CGPM 1901

# One indicator of velocity and one of displacement for each
WHOLE_BANDS_HZ = {
    "": (10.0, 1000.0),  # ISO 20816-1: general machines
    "_2": (2.0, 1000.0),  # ISO 20816-3: shafts below 600 r/min
}
VELOCITY_BANDS_HZ = {f"velocity{which}_rms_mm_s": band for which, band in WHOLE_BANDS_HZ.items()}
BAND_EDGES_HZ = (10, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)  # 1-2-5 series
BLOCK_BINS = 16  # of the noise floor and the entropy: narrow beside most bands, wide beside a line

MEASURED_SPEED_TOLERANCE = 0.01  # a guess: a shaft under load keeps its speed this well while a record is taken
NOMINAL_SPEED_TOLERANCE = 0.03  # between no load and full load an induction motor of 1 kW and more slips 1-3 %
MAINS_TOLERANCE = 0.01  # EN 50160: 50 Hz +- 1 % for 99.5 % of a year
WHOLE_ORDERS = tuple(range(1, 11))
HALF_ORDERS = (0.5, 1.5, 2.5)
SIDEBANDS = (-2, -1, 1, 2)  # orders away from the gear mesh

# Where bearing impacts ring and most machine tones have died away. Practice takes 2-20 kHz; common
# MEMS sensors are flat to about 6 kHz and unusable much above 10 kHz. A slow sensor gives its upper half.
ENVELOPE_BAND_HZ = (2000.0, 10000.0)
ENVELOPE_TOP_OF_NYQUIST = 0.8  # anti-alias filters fall off above
ENVELOPE_BINS = 32  # bins the band needs, so that its lowest quarter holds a line and the noise around it
SLIP = 0.02  # a defect line is looked for this far around its kinematic frequency: slip, geometry, speed error
LINE_PERIODS = 4  # Hann lines are clear of each other, and of the DC lobe, when 4 bins apart: each reaches 2 bins
FLOOR_SPAN = 0.5  # the noise floor of a line is the median over its frequency +- this share
FLOOR_POINTS = 64  # taken at this many places (in short records several fall on one bin)
HANN_LINE_POWER = 1.5  # power of a line summed over its Hann lobe, relative to its centre

# Rows are taken together so that what one step leaves in the caches is there for the next (measured: README of ADR 9).
CHUNK_SAMPLES = 200_000  # the passes over samples
BATCH_SAMPLES = 1_300_000  # the steps after them, which are short

_LINES = FaultOrders._fields
_BSF = _LINES.index("bsf")
_NAMES = tuple(column.name for column in FEATURES)
_LEVELS = frozenset(column.name for column in FEATURES if column.unit in ("g", "mm/s", "µm", "g/√Hz"))


class _Known(NamedTuple):
    """What is known beforehand of each row; NaN where it is not. Shapes (rows,), (rows, 4) and (rows, bands, 2)."""

    speed_hz: Array
    speed_tolerance: Array
    defects_hz: Array
    blades: Array
    teeth: Array
    line_hz: Array
    envelope_band_hz: Array
    bands_hz: Array

    def of(self, rows: Any) -> "_Known":
        return _Known(*(values[rows] for values in self))


class _Spectra(NamedTuple):
    """Powers of a batch, squared real and imaginary parts side by side, and what makes them mean squares."""

    parts: Array  # (rows, 2 (n // 2 + 1))
    factor: float
    n: int
    fs_hz: float

    @property
    def bin_hz(self) -> float:
        return self.fs_hz / self.n

    @property
    def top(self) -> int:
        """The first bin that is not below fs / 2."""
        return (self.n + 1) // 2


def features(
    samples: Array,
    *,
    fs_hz: float,
    scale_g: ArrayLike,
    speed_hz: ArrayLike | None = None,
    speed_tolerance: ArrayLike = NOMINAL_SPEED_TOLERANCE,
    bearing_orders: ArrayLike | None = None,
    blades: ArrayLike | None = None,
    teeth: ArrayLike | None = None,
    line_hz: ArrayLike | None = None,
    envelope_band_hz: ArrayLike | None = None,
    bands_hz: ArrayLike | None = None,
) -> dict[str, Array]:
    """Every indicator of `core.schema.FEATURES`, in that order, for a stack of records of one length.

    samples : shape (..., n), time last, int16 counts or floats; never modified.
    fs_hz : sampling rate of all of them.   scale_g : g per count, a number or shape (...).
    speed_hz : shaft speed.   speed_tolerance : how far off it may be, as a share.
    blades, teeth : how many the shaft has.   line_hz : mains frequency.   All these: a number or shape (...), NaN
    where unknown.
    bearing_orders : BPFO, BPFI, BSF, FTF in multiples of the speed, shape (4,) or (..., 4), NaN where unknown.
    envelope_band_hz : low and high, shape (2,) or (..., 2); NaN and None: `envelope_band_hz(fs_hz)`.
    bands_hz : own bands, up to OWN_BANDS, shape (bands, 2) or (..., bands, 2), NaN where there are fewer.

    Each value has shape (...), float64, and does not depend on the other records of the stack. int16 and
    float32 are computed in float32, float64 in float64. NaN means "cannot be known": every indicator of a
    record with fewer than two samples, with a NaN or infinite sample, or too large for its precision;
    quotients of a record that does not move (silent or constant: its levels are 0, it is all clipped and repeated);
    bands that are not assessable; lines without what they depend on, or that the record is too short for.
    ValueError if `fs_hz` is not a positive number, or there are more than OWN_BANDS own bands.
    """
    if not 0 < fs_hz < np.inf:
        raise ValueError(f"sampling rate {fs_hz} Hz, wanted a positive number")
    shape, n = samples.shape[:-1], samples.shape[-1]
    speed = _each(speed_hz, shape)
    known = _Known(
        speed_hz=speed,
        speed_tolerance=_each(speed_tolerance, shape),
        defects_hz=speed[:, None] * _each(bearing_orders, shape, len(_LINES)),
        blades=_each(blades, shape),
        teeth=_each(teeth, shape),
        line_hz=_each(line_hz, shape),
        envelope_band_hz=_envelope_bands(_each(envelope_band_hz, shape, 2), fs_hz),
        bands_hz=_own_bands(bands_hz, shape),
    )
    found = np.full((len(_NAMES), len(speed)), np.nan)
    rows, scale = samples.reshape(len(speed), n), _each(scale_g, shape)
    for part in _parts(len(rows), BATCH_SAMPLES // n) if n >= 2 else ():
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):  # these give NaN, as promised
            indicators = _indicators(rows[part], fs_hz, known.of(part))
        for values, name in zip(found, _NAMES, strict=True):
            values[part] = indicators[name] * scale[part] if name in _LEVELS else indicators[name]
        found[:, part][:, ~np.isfinite(indicators["rms_g"])] = np.nan
    found[~np.isfinite(found)] = np.nan
    return {name: values.reshape(shape) for name, values in zip(_NAMES, found, strict=True)}


def axes_features(
    items: Sequence[tuple[Waveform, float | None, Machine]],
    *,
    speed_tolerance: float | Sequence[float] = NOMINAL_SPEED_TOLERANCE,
) -> list[dict[str, float | None]]:
    """The indicators of each (waveform, shaft speed in Hz, machine), in the order given; None where unknown.

    speed_tolerance : how far off the speeds may be, as a share: of all, or of each.
    Records of the same length and rate are computed together. ValueError as `features` and
    `fault_orders`, or if a unit is neither g nor m/s2.
    """
    tolerances = np.broadcast_to(np.asarray(speed_tolerance, np.float64), len(items))
    groups: dict[tuple[int, float], list[int]] = defaultdict(list)
    for place, (waveform, _, _) in enumerate(items):
        groups[len(waveform.samples), waveform.fs_hz].append(place)
    rows: dict[int, dict[str, float | None]] = {}
    for (_, fs_hz), places in groups.items():
        rows.update(zip(places, _group([items[place] for place in places], fs_hz, tolerances[places]), strict=True))
    return [rows[place] for place in range(len(items))]


def _group(
    items: Sequence[tuple[Waveform, float | None, Machine]], fs_hz: float, tolerances: Array
) -> list[dict[str, float | None]]:
    machines = [machine for _, _, machine in items]
    found = features(
        np.stack([waveform.samples for waveform, _, _ in items]),
        fs_hz=fs_hz,
        scale_g=[_scale_g(waveform) for waveform, _, _ in items],
        speed_hz=_or_nan([speed for _, speed, _ in items]),
        speed_tolerance=tolerances,
        bearing_orders=[_orders(machine) for machine in machines],
        blades=_or_nan([machine.blades for machine in machines]),
        teeth=_or_nan([machine.teeth for machine in machines]),
        line_hz=_or_nan([machine.line_hz for machine in machines]),
        envelope_band_hz=[machine.envelope_band_hz or _NO_BAND for machine in machines],
        bands_hz=[(*machine.bands_hz, *[_NO_BAND] * (OWN_BANDS - len(machine.bands_hz))) for machine in machines],
    )
    columns = [[value if isfinite(value) else None for value in column.tolist()] for column in found.values()]
    return [dict(zip(found, row, strict=True)) for row in zip(*columns, strict=True)]


_NO_BAND = (np.nan, np.nan)
_NO_ORDERS = FaultOrders(np.nan, np.nan, np.nan, np.nan)


def _orders(machine: Machine) -> FaultOrders:
    return _NO_ORDERS if machine.bearing is None else fault_orders(machine.bearing)


def _or_nan(values: Sequence[float | None]) -> list[float]:
    return [np.nan if value is None else value for value in values]


def _scale_g(waveform: Waveform) -> float:
    if waveform.unit == "g":
        return waveform.scale
    if waveform.unit == "m/s2":
        return waveform.scale / STANDARD_GRAVITY_M_S2
    raise ValueError(f"unit {waveform.unit!r} of axis {waveform.axis}, wanted g or m/s2")


def _each(values: ArrayLike | None, shape: tuple[int, ...], *last: int) -> Array:
    """The values for each of the rows, shape (rows, *last), float64; NaN for None."""
    given = np.asarray(np.nan if values is None else values, np.float64)
    return np.broadcast_to(given, (*shape, *last)).reshape(-1, *last)


def _own_bands(bands_hz: ArrayLike | None, shape: tuple[int, ...]) -> Array:
    given = np.full((OWN_BANDS, 2), np.nan) if bands_hz is None else np.asarray(bands_hz, np.float64)
    if given.ndim < 2 or given.shape[-1] != 2 or given.shape[-2] > OWN_BANDS:
        raise ValueError(f"own bands of shape {given.shape}, wanted (..., bands, 2) with at most {OWN_BANDS} bands")
    return _each(given, shape, *given.shape[-2:])


def _parts(rows: int, step: int) -> Iterator[slice]:
    step = max(1, step)
    return (slice(first, min(first + step, rows)) for first in range(0, rows, step))


# --- One batch, in counts


def _indicators(rows: Array, fs_hz: float, known: _Known) -> dict[str, Array]:
    """Every indicator of (rows, n) samples, each of shape (rows,), levels in counts."""
    sums, spectra, envelope = _passes(rows, fs_hz, known)
    bands = _band_indicators(spectra, known)
    return (
        _time_indicators(sums, rows.shape[-1], fs_hz)
        | bands
        | _shape_indicators(spectra)
        | _order_indicators(spectra, known, bands["velocity_rms_mm_s"])
        | envelope
        | {"count_g": np.full(len(rows), 1.0 if rows.dtype.kind in "iu" else np.nan)}
    )


def _passes(rows: Array, fs_hz: float, known: _Known) -> tuple[dict[str, Array], _Spectra, dict[str, Array]]:
    """What takes the time: the passes over all samples, the FFT, and the envelope of its band."""
    n = rows.shape[-1]
    work = np.result_type(rows.dtype, np.float32)
    window, spectrum = _hann(n, work), np.empty((len(rows), n // 2 + 1), np.result_type(work, np.complex64))
    sums = []
    for part in _parts(len(rows), CHUNK_SAMPLES // n):
        x, of_part = _sums(rows[part], work)
        sums.append(of_part)
        x *= window
        fft.rfft(x, out=spectrum[part])
    envelope = _envelope_indicators(spectrum, n, fs_hz, known)
    spectra = _Spectra(_squared(spectrum), 2 / (n * float(window @ window)), n, fs_hz)
    return {name: np.concatenate([of_part[name] for of_part in sums]) for name in sums[0]}, spectra, envelope


def _squared(values: Array) -> Array:
    """Real and imaginary parts side by side, squared, in the place of the complex values."""
    parts: Array = values.view(values.real.dtype)
    parts *= parts
    return parts


@lru_cache(maxsize=16)
def _hann(n: int, work: np.dtype[Any]) -> Array:
    return _fixed(np.hanning(n + 1)[:-1].astype(work))  # periodic


@lru_cache(maxsize=16)
def _ones(n: int, work: np.dtype[Any]) -> Array:
    return _fixed(np.ones(n, work))


def _fixed(values: Array) -> Array:
    values.flags.writeable = False
    return values


def _wide(values: Array) -> Array:
    return values.astype(np.float64)


# --- Time domain


def _sums(rows: Array, work: np.dtype[Any]) -> tuple[Array, dict[str, Array]]:
    """The rows without their mean, exactly 0 where a row is constant, and what the time indicators are made of.

    The mean of a float32 row is right to 1e-7 of its offset only. What it leaves is found in a second sum, where the
    offset is gone, and `_time_indicators` accounts for it.
    """
    n = rows.shape[-1]
    ones, quarter = _ones(n, work), n // 4
    low, high = rows.min(axis=-1), rows.max(axis=-1)
    still = low == high
    x = rows.astype(work)
    mean = np.vecdot(x, ones) / work.type(n)
    x -= mean[:, None]
    x[still] = 0
    left = _wide(np.vecdot(x, ones)) / n
    powers = x * x
    sums = {
        "still": still,
        "low": _wide(low),
        "high": _wide(high),
        "mean": np.where(still, low, _wide(mean) + left),
        "left": left,
        "m2": _wide(np.vecdot(x, x)) / n,
        "m3": _wide(np.vecdot(powers, x)) / n,
        "m4": _wide(np.vecdot(powers, powers)) / n,
        "first": _wide(np.vecdot(x[:, :quarter], ones[:quarter])) / quarter if quarter else np.full(len(x), np.nan),
        "last": _wide(np.vecdot(x[:, n - quarter :], ones[:quarter])) / quarter if quarter else np.full(len(x), np.nan),
    }
    np.abs(x, out=powers)
    sums["abs"] = _wide(np.vecdot(powers, ones)) / n
    np.sqrt(powers, out=powers)
    sums["root"] = _wide(np.vecdot(powers, ones)) / n
    above = x > 0
    sums["crossings"] = _count(above[:, 1:] != above[:, :-1])
    sums["repeated"] = _count(rows[:, 1:] == rows[:, :-1])
    sums["extreme"] = np.where(still, n, _count(rows == low[:, None]) + _count(rows == high[:, None]))
    return x, sums


def _count(true: Array) -> Array:
    """How many are true in each row, float64. Eight to a byte and eight bytes to a word: six times faster than sum."""
    packed = np.packbits(true, axis=-1)
    words = packed.view(np.uint64) if packed.shape[-1] % 8 == 0 else packed
    return _wide(np.bitwise_count(words).sum(axis=-1))


def _time_indicators(sums: dict[str, Array], n: int, fs_hz: float) -> dict[str, Array]:
    left = sums["left"]
    m2 = np.maximum(sums["m2"] - left**2, 0)
    m3 = sums["m3"] - 3 * left * sums["m2"] + 2 * left**3
    m4 = sums["m4"] - 4 * left * sums["m3"] + 6 * left**2 * sums["m2"] - 3 * left**4
    rms = np.sqrt(m2)
    peak = np.where(sums["still"], 0, np.maximum(sums["high"] - sums["mean"], sums["mean"] - sums["low"]))
    return {
        "mean_g": sums["mean"],
        "rms_g": rms,
        "peak_g": peak,
        "peak_to_peak_g": sums["high"] - sums["low"],
        "crest": peak / rms,
        "kurtosis": m4 / m2**2,
        "skewness": m3 / m2**1.5,
        "shape_factor": rms / sums["abs"],
        "impulse_factor": peak / sums["abs"],
        "clearance_factor": peak / sums["root"] ** 2,
        "zero_crossings_hz": sums["crossings"] * (fs_hz / (n - 1)),
        "clipped_share": sums["extreme"] / n,
        "repeated_share": sums["repeated"] / (n - 1),
        "drift_g": sums["last"] - sums["first"],
    }


# --- Bands and shape of the spectrum


def _band_indicators(spectra: _Spectra, known: _Known) -> dict[str, Array]:
    found = {}
    for which, (low, high) in WHOLE_BANDS_HZ.items():
        for name, weights in ((f"velocity{which}_rms_mm_s", _velocity), (f"displacement{which}_rms_um", _displacement)):
            found[name] = _level(spectra, low, high, weights)
    for low, high in pairwise(BAND_EDGES_HZ):
        found[f"band_{low}_{high}_g"] = _level(spectra, low, high, _acceleration)
    for number in range(OWN_BANDS):
        values = np.full(len(spectra.parts), np.nan)
        if number < known.bands_hz.shape[1]:
            for low, high, rows in _groups(known.bands_hz[:, number]):
                values[rows] = _level(spectra, low, high, _acceleration, rows)
        found[f"band_own_{number + 1}_g"] = values
    return found


def _level(spectra: _Spectra, low: float, high: float, weights: Any, rows: Any = slice(None)) -> Array:
    """Root of the weighted power of the bins in [low, high) Hz; NaN where the band is not assessable."""
    bins = _bins(spectra.bin_hz, spectra.fs_hz, low, high)
    parts = spectra.parts[rows]
    if bins is None:
        return np.full(len(parts), np.nan)
    weight = weights(bins.start, bins.stop, spectra.bin_hz, parts.dtype)
    return np.sqrt(_wide(np.vecdot(parts[:, 2 * bins.start : 2 * bins.stop], weight)) * spectra.factor)


def _acceleration(start: int, stop: int, bin_hz: float, work: np.dtype[Any]) -> Array:
    return _ones(2 * (stop - start), work)


@lru_cache(maxsize=16)
def _velocity(start: int, stop: int, bin_hz: float, work: np.dtype[Any]) -> Array:
    """Squares of mm/s in each bin per g: its acceleration divided by 2 pi f."""
    omega = 2 * np.pi * bin_hz * np.arange(start, stop).repeat(2)
    return _fixed(((1e3 * STANDARD_GRAVITY_M_S2 / omega) ** 2).astype(work))


@lru_cache(maxsize=16)
def _displacement(start: int, stop: int, bin_hz: float, work: np.dtype[Any]) -> Array:
    """Squares of µm in each bin per g: its acceleration divided by (2 pi f)^2."""
    omega = 2 * np.pi * bin_hz * np.arange(start, stop).repeat(2)
    return _fixed(((1e6 * STANDARD_GRAVITY_M_S2 / omega**2) ** 2).astype(work))


def _bins(bin_hz: float, fs_hz: float, low: float, high: float) -> slice | None:
    """The bins in [low, high) Hz; None if the band is not assessable."""
    rounding = 1e-9  # so that an edge that is a bin's frequency, but for rounding, is that bin
    if not low < high or bin_hz > low * (1 + rounding) or high > fs_hz / 2 * (1 + rounding):
        return None
    return slice(*(int(np.ceil(edge / bin_hz * (1 - rounding))) for edge in (low, high)))


def _groups(bands_hz: Array) -> Iterator[tuple[float, float, Any]]:
    """Each band among (rows, 2) with the rows that have it; no band where either edge is NaN."""
    if len(bands_hz) and (bands_hz == bands_hz[0]).all():
        yield float(bands_hz[0, 0]), float(bands_hz[0, 1]), slice(None)
        return
    places = defaultdict(list)
    for place in np.flatnonzero(~np.isnan(bands_hz).any(axis=-1)).tolist():
        places[tuple(bands_hz[place].tolist())].append(place)
    for (low, high), rows in places.items():
        yield low, high, np.array(rows)


def _shape_indicators(spectra: _Spectra) -> dict[str, Array]:
    """Where the power lies and how it is spread, over all bins between 0 and fs / 2, or whole blocks of them."""
    parts, top = spectra.parts, spectra.top
    blocks = (top - 1) // BLOCK_BINS
    between = parts[:, 2 : 2 * top]
    total = _wide(np.vecdot(between, _ones(between.shape[-1], parts.dtype)))
    found = {"spectral_centroid_hz": _wide(np.vecdot(between, _numbers(top, parts.dtype))) / total * spectra.bin_hz}
    if blocks < 2:
        return found | dict.fromkeys(("spectral_entropy", "noise_floor_g_rthz"), np.full(len(parts), np.nan))
    width = 2 * BLOCK_BINS
    power = between[:, : blocks * width].reshape(len(parts), blocks, width) @ _ones(width, parts.dtype)
    share = power / np.vecdot(power, _ones(blocks, parts.dtype))[:, None]
    logarithm = np.log(np.maximum(share, np.finfo(parts.dtype).tiny))  # 0 ln 0 is 0
    power.sort(axis=-1)
    middle = (_wide(power[:, (blocks - 1) // 2]) + _wide(power[:, blocks // 2])) / 2
    return found | {
        "spectral_entropy": -_wide(np.vecdot(share, logarithm)) / np.log(blocks),
        "noise_floor_g_rthz": np.sqrt(middle / BLOCK_BINS * spectra.factor / spectra.bin_hz),
    }


@lru_cache(maxsize=16)
def _numbers(top: int, work: np.dtype[Any]) -> Array:
    return _fixed(np.arange(1, top).repeat(2).astype(work))


# --- Lines of shaft, blades, teeth and mains

_ORDERS = np.array([*WHOLE_ORDERS, *HALF_ORDERS])
_HALVES = slice(len(WHOLE_ORDERS), len(_ORDERS))
_BLADE, _MAINS, _MESH = len(_ORDERS), slice(len(_ORDERS) + 1, len(_ORDERS) + 3), len(_ORDERS) + 3


def _order_indicators(spectra: _Spectra, known: _Known, velocity: Array) -> dict[str, Array]:
    power, bins = _shaft_lines(spectra, known)
    hz = bins * spectra.bin_hz
    level = np.sqrt(power) * (1e3 * STANDARD_GRAVITY_M_S2) / (2 * np.pi * hz)  # mm/s
    whole = level[:, : len(WHOLE_ORDERS)]
    low, high = WHOLE_BANDS_HZ[""]
    inside = np.where((hz >= low) & (hz < high), level, 0)[:, : len(WHOLE_ORDERS)] + 0 * whole  # NaN stays
    first, half = whole[:, 0], np.sqrt(_sum_of_squares(level[:, _HALVES]))
    mesh = np.sqrt(power[:, _MESH])
    return {
        "order_1_mm_s": first,
        "order_2_mm_s": whole[:, 1],
        "order_3_mm_s": whole[:, 2],
        "order_half_mm_s": half,
        "order_4_10_mm_s": np.sqrt(_sum_of_squares(whole[:, 3:])),
        "order_2_ratio": whole[:, 1] / first,
        "order_3_ratio": whole[:, 2] / first,
        "order_half_ratio": half / first,
        "harmonic_share": np.minimum(_sum_of_squares(inside) / velocity**2, 1),
        "blade_pass_mm_s": level[:, _BLADE],
        "line_1_mm_s": level[:, _MAINS][:, 0],
        "line_2_mm_s": level[:, _MAINS][:, 1],
        "gear_mesh_g": mesh,
        "gear_sideband_ratio": np.sqrt(_sidebands(spectra, bins[:, _MESH], known.teeth)) / mesh,
    }


def _shaft_lines(spectra: _Spectra, known: _Known) -> tuple[Array, Array]:
    """Mean square and place, in bins, of the lines at _ORDERS, blades, mains twice and teeth: shapes (rows, lines)."""
    turns, mains = known.speed_hz / spectra.bin_hz, known.line_hz / spectra.bin_hz
    centre = np.column_stack([turns[:, None] * _ORDERS, turns * known.blades, mains, 2 * mains, turns * known.teeth])
    clear = np.repeat(turns[:, None], centre.shape[1], axis=1)  # how many bins away the next line is
    clear[:, _HALVES] /= 2
    clear[:, _MAINS] = mains[:, None]
    nearest = np.full(centre.shape[1], 0.5)
    nearest[: len(_ORDERS)] = 0.25
    reach = np.minimum(known.speed_tolerance[:, None] * centre, nearest * turns[:, None])
    reach[:, _MAINS] = MAINS_TOLERANCE * centre[:, _MAINS]
    return _found(spectra, centre, reach, clear >= LINE_PERIODS)


def _sidebands(spectra: _Spectra, mesh: Array, teeth: Array) -> Array:
    """Mean square of the lines around the mesh at `mesh`, in bins: at the speed that it tells, to the next bin."""
    centre = mesh[:, None] * (1 + np.array(SIDEBANDS) / teeth[:, None])
    power, _ = _found(spectra, centre, np.zeros_like(centre), centre >= LINE_PERIODS)
    return power.sum(axis=-1)


def _found(spectra: _Spectra, centre: Array, reach: Array, clear: Array) -> tuple[Array, Array]:
    """Mean square and place, in bins, of the strongest line within `reach` of `centre`; NaN unless `clear`."""
    known = clear & (np.ceil(centre + reach) + 1 < spectra.top)
    pairs = spectra.parts.view(np.result_type(spectra.parts.dtype, np.complex64))
    power, place = _strongest(pairs, np.where(known, centre, 0), np.where(known, reach, 0))
    return np.where(known, power * spectra.factor, np.nan), np.where(known, place, np.nan)


def _strongest(pairs: Array, centre: Array, reach: Array) -> tuple[Array, Array]:
    """Power and centroid of the three neighbouring bins, their middle within `reach`, that have the most power.

    pairs : (rows, bins), squares of real and imaginary part as one complex number.
    centre, reach : (rows, lines), in bins.
    """
    first, last = np.floor(centre - reach), np.ceil(centre + reach)
    steps = np.arange(int((last - first).max(initial=0)) + 3)
    power = _powers(pairs, first[..., None] + (steps - 1))
    lobe = power[..., :-2] + power[..., 1:-1] + power[..., 2:]
    lobe[steps[:-2] > (last - first)[..., None]] = -1
    best = lobe.argmax(axis=-1)[..., None]
    most, below, above = (
        _wide(np.take_along_axis(values, best, axis=-1)[..., 0]) for values in (lobe, power[..., :-2], power[..., 2:])
    )
    middle = first + best[..., 0]
    return most, np.where(most > 0, middle + (above - below) / most, centre)


def _powers(pairs: Array, at: Array) -> Array:
    """Powers of (rows, bins) at `at` (rows, lines, k), which may lie outside: there it is the outermost bin's."""
    rows, bins = pairs.shape
    places = np.clip(at, 0, bins - 1).astype(np.intp) + (np.arange(rows) * bins)[:, None, None]
    values = pairs.reshape(-1).take(places)
    return values.real + values.imag


def _sum_of_squares(values: Array) -> Array:
    return np.vecdot(values, values)


# --- Envelope


def envelope_band_hz(fs_hz: float) -> tuple[float, float]:
    """The band whose envelope is taken at this sampling rate, in Hz, unless another is set."""
    high = min(ENVELOPE_BAND_HZ[1], ENVELOPE_TOP_OF_NYQUIST * fs_hz / 2)
    return min(ENVELOPE_BAND_HZ[0], high / 2), high


def _envelope_bands(given: Array, fs_hz: float) -> Array:
    """The band of each row: the given one, or the rate's."""
    return np.where(np.isnan(given).any(axis=-1, keepdims=True), envelope_band_hz(fs_hz), given)


_ENVELOPE_NAMES = tuple(column.name for column in FEATURES if column.name.startswith("env_"))


def _envelope_indicators(spectrum: Array, n: int, fs_hz: float, known: _Known) -> dict[str, Array]:
    found = {name: np.full(len(spectrum), np.nan) for name in _ENVELOPE_NAMES}
    for low, high, rows in _groups(known.envelope_band_hz):
        bins = _bins(fs_hz / n, fs_hz, low, high)
        if bins is None or bins.stop - bins.start < ENVELOPE_BINS:
            continue
        of_rows = _envelope(spectrum[rows], bins, n, known.defects_hz[rows] * (n / fs_hz))
        for name, values in zip(_ENVELOPE_NAMES, (low, high, *of_rows), strict=True):
            found[name][rows] = values
    return found


def _envelope(spectrum: Array, bins: slice, n: int, defects: Array) -> tuple[Array, ...]:
    """Standard deviation, kurtosis, lines at `defects` (rows, 4) in bins, and their ratios, of the band's envelope.

    A band of b bins has a squared envelope of 2 b - 1 bins; with 5/4 b points the lowest quarter stays clean.
    """
    width = bins.stop - bins.start
    points = fft.fast_length(width * 5 // 4)
    work = spectrum.real.dtype
    taper, ones = _hann(points, work), _ones(points, work)  # the window, as it lies on the envelope
    lines = np.empty((len(spectrum), points // 2 + 1), spectrum.dtype)
    sums = np.empty((3, len(spectrum)))
    for part in _parts(len(spectrum), CHUNK_SAMPLES // points):
        squares = _squared(fft.ifft(spectrum[part, bins], points))
        square = squares[:, ::2] + squares[:, 1::2]
        sums[0, part], sums[1, part] = np.vecdot(square, ones), np.vecdot(square, square)
        envelope = np.sqrt(square, out=square)
        sums[2, part] = np.vecdot(envelope, taper)
        fft.rfft(envelope, out=lines[part])
    gain = 2 * points / n  # of the analytic signal over the inverse FFT
    weight = float(taper @ taper)
    mean, mean_square = sums[2] * gain / weight, sums[0] * gain**2 / weight
    fourth = sums[1] * gain**4 / float(np.sum(taper**4))
    line, ratio = _defect_lines(_squared(lines), points - width, defects)
    amplitude = gain * 2 / float(taper.sum())
    return (
        np.sqrt(np.maximum(mean_square - mean**2, 0)),
        fourth / mean_square**2,
        *(line * amplitude).T,
        *ratio.T,
    )


def _defect_lines(parts: Array, clean: int, at: Array) -> tuple[Array, Array]:
    """Amplitudes at the defect frequencies `at` (rows, 4) in bins, and their ratios to the noise around them.

    A rolling element strikes at its spin frequency or at twice it: the larger counts. `clean` bins can be looked at.
    """
    pairs = parts.view(np.result_type(parts.dtype, np.complex64))
    centre = np.column_stack([at, 2 * at[:, _BSF]])
    known = (centre >= LINE_PERIODS) & (np.ceil(centre * (1 + FLOOR_SPAN)) <= clean - 2)
    centre = np.where(known, centre, LINE_PERIODS)
    power, _ = _strongest(pairs, centre, SLIP * centre)
    around = np.rint(centre[..., None] * np.linspace(1 - FLOOR_SPAN, 1 + FLOOR_SPAN, FLOOR_POINTS))
    noise = np.sort(_powers(pairs, around), axis=-1)
    floor = np.sqrt((_wide(noise[..., FLOOR_POINTS // 2 - 1]) + _wide(noise[..., FLOOR_POINTS // 2])) / 2)
    line = np.sqrt(power / HANN_LINE_POWER)
    return _larger_bsf(np.where(known, line, np.nan)), _larger_bsf(np.where(known, line / floor, np.nan))


def _larger_bsf(lines: Array) -> Array:
    lines[:, _BSF] = np.fmax(lines[:, _BSF], lines[:, -1])
    return lines[:, : len(_LINES)]
