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
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from telltale.core import fft
from telltale.core.bearings import FaultOrders, fault_orders
from telltale.core.capture import STANDARD_GRAVITY_M_S2, Waveform
from telltale.core.plant import OWN_BANDS, Machine
from telltale.core.schema import FEATURES

Array = NDArray[Any]

# One indicator of velocity and one of displacement for each
WHOLE_BANDS_HZ = {
    "": (10.0, 1000.0),  # ISO 20816-1: general machines
    "_2": (2.0, 1000.0),  # ISO 20816-3: shafts below 600 r/min
}
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

# Rows are taken together so that what one step leaves in the caches is there for the next (sizes: measured).
REGISTER = 8  # float32 that a vector register of 256 bits holds: the FFT takes that many records at once, or half
CACHE_LINE = 64  # bytes
BYTE = 255  # the largest number in a byte
CHUNK_SAMPLES = 300_000  # the passes over samples
BATCH_SAMPLES = 1_300_000  # the steps after them, which are short

_LINES = FaultOrders._fields
_BSF = _LINES.index("bsf")
_NAMES = tuple(column.name for column in FEATURES)
_LEVELS = [place for place, column in enumerate(FEATURES) if column.unit in ("g", "mm/s", "µm", "g/√Hz")]


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
    """Power spectra of a batch, shape (rows, n // 2 + 1), and the factor that makes their sums mean squares."""

    power: Array
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
    for part in _parts(len(rows), _rows(BATCH_SAMPLES, n)) if n >= 2 else ():
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):  # these give NaN, as promised
            indicators = _indicators(rows[part], fs_hz, known.of(part))
        table = np.array([indicators[name] for name in _NAMES])
        table[_LEVELS] *= scale[part]
        table[:, ~np.isfinite(indicators["rms_g"])] = np.nan
        found[:, part] = table
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
    machines = {id(machine): machine for _, _, machine in items}  # often one for three axes, and not hashable
    place = {key: number for number, key in enumerate(machines)}
    which = np.array([place[id(machine)] for _, _, machine in items])
    known = list(machines.values())
    found = features(
        np.stack([waveform.samples for waveform, _, _ in items]),
        fs_hz=fs_hz,
        scale_g=[waveform.scale_g for waveform, _, _ in items],
        speed_hz=_or_nan([speed for _, speed, _ in items]),
        speed_tolerance=tolerances,
        bearing_orders=np.array([_orders(machine) for machine in known])[which],
        blades=_or_nan([machine.blades for machine in known])[which],
        teeth=_or_nan([machine.teeth for machine in known])[which],
        line_hz=_or_nan([machine.line_hz for machine in known])[which],
        envelope_band_hz=np.array([machine.envelope_band_hz or _NO_BAND for machine in known])[which],
        bands_hz=np.array([_padded(machine.bands_hz) for machine in known])[which],
    )
    values = np.array(list(found.values())).T
    plain = values.astype(object)
    plain[np.isnan(values)] = None
    return [dict(zip(found, row, strict=True)) for row in plain.tolist()]


_NO_BAND = (np.nan, np.nan)
_NO_ORDERS = FaultOrders(np.nan, np.nan, np.nan, np.nan)


def _orders(machine: Machine) -> FaultOrders:
    return _NO_ORDERS if machine.bearing is None else fault_orders(machine.bearing)


def _padded(bands_hz: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [*bands_hz, *[_NO_BAND] * (OWN_BANDS - len(bands_hz))]


def _or_nan(values: Sequence[float | None]) -> Array:
    return np.array([np.nan if value is None else value for value in values])


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
    count, n = rows.shape
    room = _take_room(count, n, np.result_type(rows.dtype, np.float32))
    spectra, envelope = _passes(rows, fs_hz, known, room)
    bands = _band_indicators(spectra, known)
    found = (
        _time_indicators(dict(zip(_SUMS, room.sums[:, :count], strict=True)), n, fs_hz)
        | bands
        | _shape_indicators(spectra)
        | _order_indicators(spectra, known, bands["velocity_rms_mm_s"])
        | envelope
        | {"count_g": np.full(count, 1.0 if rows.dtype.kind in "iu" else np.nan)}
    )
    _free[:] = [room] if n <= BATCH_SAMPLES else []
    return found


def _passes(rows: Array, fs_hz: float, known: _Known, room: "_Room") -> tuple[_Spectra, dict[str, Array]]:
    """What takes the time: the passes over all samples, the FFT, and the envelope of its band. Sums are in `room`."""
    count, n = rows.shape
    work = room.x.dtype
    window, envelopes = _hann(n, work), list(_envelopes(known.envelope_band_hz, n, fs_hz, work))
    for part in _parts(count, len(room.x)):
        here = slice(part.stop - part.start)
        x = room.x[here]
        _sum(room.sums[:, part], rows[part], x, room.scratch[here], room.masks[:, here])
        x *= window
        spectrum = fft.rfft(x, out=room.spectrum[here])
        for envelope in envelopes:
            envelope.take(spectrum, part)
        _power(spectrum, room.power[part])
    spectra = _Spectra(room.power[:count], 2 / (n * float(window @ window)), n, fs_hz)
    return spectra, _envelope_indicators(envelopes, known.defects_hz * (n / fs_hz))


class _Room(NamedTuple):
    """Working memory of one batch of up to so many records of one length: nothing in it outlives the batch.

    `scratch`, `masks` and `spectrum` are the same memory, which is used for one after the other: what is small stays in
    the caches.
    """

    x: Array  # (chunk, n)
    scratch: Array  # (chunk, n)
    masks: Array  # (4, chunk, _tallied(n)), bools
    spectrum: Array  # (chunk, n // 2 + 1)
    power: Array  # (batch, n // 2 + 1)
    sums: Array  # (len(_SUMS), batch)

    @staticmethod
    def of(count: int, n: int, work: np.dtype[Any]) -> "_Room":
        chunk, batch, half = min(count, _rows(CHUNK_SAMPLES, n)), count, n // 2 + 1
        # Rows a power of two apart would fall on the same lines of a cache: the pitch is an odd number of lines.
        pitch = (-(-n * work.itemsize // CACHE_LINE) | 1) * CACHE_LINE // work.itemsize
        masks = (4, chunk, _tallied(n))
        shared = np.empty(max(chunk * (pitch + 2) * work.itemsize, int(np.prod(masks))), np.uint8)
        return _Room(
            x=np.empty((chunk, pitch), work)[:, :n],
            scratch=_carved(shared, (chunk, pitch), work)[:, :n],
            masks=_carved(shared, masks, np.dtype(np.bool_)),
            spectrum=_carved(shared, (chunk, half), np.result_type(work, np.complex64)),
            power=np.empty((batch, half), work),
            sums=np.empty((len(_SUMS), batch)),
        )


def _carved(memory: Array, shape: tuple[int, ...], kind: np.dtype[Any]) -> Array:
    """An array in the first bytes of `memory`."""
    return memory[: int(np.prod(shape)) * kind.itemsize].view(kind).reshape(shape)


# The memory of the last batch, if nobody uses it: fresh memory would cost as many page faults as the FFT takes time.
# Whoever takes it empties the list, which one thread can do at a time.
_free: list[_Room] = []


def _take_room(count: int, n: int, work: np.dtype[Any]) -> _Room:
    try:
        room = _free.pop()
    except IndexError:
        return _Room.of(count, n, work)
    fits = room.x.dtype == work and room.x.shape[1] == n and len(room.power) >= count
    return room if fits else _Room.of(count, n, work)


def _rows(samples: int, n: int) -> int:
    """How many records of n samples make at most so many samples, at least one; full vector registers if it can be."""
    count = samples // n
    return max(1, count if count < REGISTER else count // REGISTER * REGISTER)


def _power(values: Array, out: Array) -> None:
    """Puts the squares of the magnitudes into `out`, and spoils the values."""
    parts = values.view(out.dtype)
    parts *= parts
    np.add(parts[:, ::2], parts[:, 1::2], out=out)


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


_SUMS = (
    "low", "high", "mean", "left", "m2", "m3", "m4", "abs", "root", "first", "last", "crossings", "repeated", "extreme",
)  # fmt: skip


def _sum(sums: Array, rows: Array, x: Array, scratch: Array, masks: Array) -> None:
    """Puts the rows without their mean into `x`, exactly 0 where a row is constant, and what they add up to in `sums`.

    sums : (len(_SUMS), rows).   scratch : of the shape of x.
    masks : four of (rows, _tallied(n)) bools, may be where scratch is.
    The mean of a float32 row is right to 1e-7 of its offset only. What it leaves is found in a second sum, where the
    offset is gone, and `_time_indicators` accounts for it.
    """
    n = rows.shape[-1]
    ones, quarter = _ones(n, x.dtype), n // 4
    low, high, mean, left, m2, m3, m4, rectified, root, first, last = sums[:-3]
    counts = sums[-3:]
    low[:], high[:] = rows.min(axis=-1), rows.max(axis=-1)
    np.copyto(x, rows)
    middle = np.vecdot(x, ones) / x.dtype.type(n)
    x -= middle[:, None]
    still = low == high
    if still.any():
        x[still] = 0
    first[:] = np.vecdot(x[:, :quarter], ones[:quarter])
    last[:] = np.vecdot(x[:, n - quarter :], ones[:quarter])
    left[:] = np.vecdot(x[:, quarter : n - quarter], ones[2 * quarter :])
    left += first
    left += last
    left /= n
    np.add(middle, left, out=mean)
    mean[still] = low[still]
    m2[:] = np.vecdot(x, x)
    np.multiply(x, x, out=scratch)
    m3[:] = np.vecdot(scratch, x)
    m4[:] = np.vecdot(scratch, scratch)
    np.abs(x, out=scratch)
    rectified[:] = np.vecdot(scratch, ones)
    np.sqrt(scratch, out=scratch)
    root[:] = np.vecdot(scratch, ones)
    masks[:, :, n:], masks[:2, :, 0] = False, False
    crossing, repeated, extreme, above = masks[:, :, :n]
    np.equal(rows, low[:, None].astype(rows.dtype), out=extreme)
    np.equal(rows, high[:, None].astype(rows.dtype), out=above)
    extreme |= above
    np.equal(rows[:, 1:], rows[:, :-1], out=repeated[:, 1:])
    np.greater(x, 0, out=above)
    np.not_equal(above[:, 1:], above[:, :-1], out=crossing[:, 1:])
    counts[:] = _tally(masks[:3])


def _tallied(n: int) -> int:
    """The least number of bools from `n` on that `_tally` can count."""
    words = -(-n // 8)
    stretches = -(-words // BYTE)
    return 8 * stretches * -(-words // stretches)


def _tally(true: Array) -> Array:
    """How many are true along the last axis, of length `_tallied(n)`.

    Eight bools are added at once, as the bytes of a word, in stretches short enough for none to carry over: four times
    as fast as adding bools.
    """
    words = true.view(np.uint64)
    stretches = -(-words.shape[-1] // BYTE)
    sums = np.add.reduce(words.reshape(*words.shape[:-1], stretches, -1), axis=-1)
    return sums.view(np.uint8).sum(axis=-1)


def _time_indicators(sums: dict[str, Array], n: int, fs_hz: float) -> dict[str, Array]:
    left, rectified = sums["left"], sums["abs"] / n
    s2, s3, s4 = sums["m2"] / n, sums["m3"] / n, sums["m4"] / n
    m2 = np.maximum(s2 - left**2, 0)
    m3 = s3 - 3 * left * s2 + 2 * left**3
    m4 = s4 - 4 * left * s3 + 6 * left**2 * s2 - 3 * left**4
    rms, peak = np.sqrt(m2), np.maximum(sums["high"] - sums["mean"], sums["mean"] - sums["low"])
    quarter = n // 4
    return {
        "mean_g": sums["mean"],
        "rms_g": rms,
        "peak_g": peak,
        "peak_to_peak_g": sums["high"] - sums["low"],
        "crest": peak / rms,
        "kurtosis": m4 / m2**2,
        "skewness": m3 / m2**1.5,
        "shape_factor": rms / rectified,
        "impulse_factor": peak / rectified,
        "clearance_factor": peak / (sums["root"] / n) ** 2,
        "zero_crossings_hz": sums["crossings"] * (fs_hz / (n - 1)),
        "clipped_share": sums["extreme"] / n,
        "repeated_share": sums["repeated"] / (n - 1),
        "drift_g": (sums["last"] - sums["first"]) / (quarter if quarter else np.nan),
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
        values = np.full(len(spectra.power), np.nan)
        if number < known.bands_hz.shape[1]:
            for low, high, rows in _groups(known.bands_hz[:, number]):
                values[rows] = _level(spectra, low, high, _acceleration, rows)
        found[f"band_own_{number + 1}_g"] = values
    return found


def _level(spectra: _Spectra, low: float, high: float, weights: Any, rows: Any = slice(None)) -> Array:
    """Root of the weighted power of the bins in [low, high) Hz; NaN where the band is not assessable."""
    bins = fft.band_bins(spectra.bin_hz, spectra.fs_hz, low, high)
    power = spectra.power[rows]
    if bins is None:
        return np.full(len(power), np.nan)
    weight = weights(bins.start, bins.stop, spectra.bin_hz, power.dtype)
    return np.sqrt(_wide(np.vecdot(power[:, bins], weight)) * spectra.factor)


def _acceleration(start: int, stop: int, bin_hz: float, work: np.dtype[Any]) -> Array:
    return _ones(stop - start, work)


@lru_cache(maxsize=16)
def _velocity(start: int, stop: int, bin_hz: float, work: np.dtype[Any]) -> Array:
    """Squares of mm/s in each bin per g: its acceleration divided by 2 pi f."""
    omega = 2 * np.pi * bin_hz * np.arange(start, stop)
    return _fixed(((1e3 * STANDARD_GRAVITY_M_S2 / omega) ** 2).astype(work))


@lru_cache(maxsize=16)
def _displacement(start: int, stop: int, bin_hz: float, work: np.dtype[Any]) -> Array:
    """Squares of µm in each bin per g: its acceleration divided by (2 pi f)^2."""
    omega = 2 * np.pi * bin_hz * np.arange(start, stop)
    return _fixed(((1e6 * STANDARD_GRAVITY_M_S2 / omega**2) ** 2).astype(work))


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
    power = spectra.power[:, 1 : spectra.top]
    count, work = len(power), power.dtype
    blocks = (spectra.top - 1) // BLOCK_BINS
    total, moment = (np.vecdot(power, weight) for weight in (_ones(power.shape[1], work), _numbers(spectra.top, work)))
    found = {"spectral_centroid_hz": _wide(moment) / total * spectra.bin_hz}
    if blocks < 2:
        return found | dict.fromkeys(("spectral_entropy", "noise_floor_g_rthz"), np.full(count, np.nan))
    block = power[:, : blocks * BLOCK_BINS].reshape(count, blocks, BLOCK_BINS) @ _ones(BLOCK_BINS, work)
    share = block / np.vecdot(block, _ones(blocks, work))[:, None]
    logarithm = np.log(np.maximum(share, np.finfo(work).tiny))  # 0 ln 0 is 0
    block.sort(axis=-1)
    middle = (_wide(block[:, (blocks - 1) // 2]) + block[:, blocks // 2]) / 2
    return found | {
        "spectral_entropy": -_wide(np.vecdot(share, logarithm)) / np.log(blocks),
        "noise_floor_g_rthz": np.sqrt(middle / BLOCK_BINS * spectra.factor / spectra.bin_hz),
    }


@lru_cache(maxsize=16)
def _numbers(top: int, work: np.dtype[Any]) -> Array:
    return _fixed(np.arange(1, top).astype(work))


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
    power, place = _strongest(spectra.power, np.where(known, centre, 0), np.where(known, reach, 0))
    return np.where(known, power * spectra.factor, np.nan), np.where(known, place, np.nan)


def _strongest(spectrum: Array, centre: Array, reach: Array) -> tuple[Array, Array]:
    """Power and centroid of the three neighbouring bins, their middle within `reach`, that have the most power.

    spectrum : powers, shape (rows, bins).   centre, reach : (rows, lines), in bins.
    """
    rows, width = spectrum.shape
    first, last = np.floor(centre - reach), np.ceil(centre + reach)
    start, span = (first - 1 + np.arange(rows)[:, None] * width).astype(np.intp), last - first
    steps = np.arange(int(span.max(initial=0)) + 3)[:, None, None]
    power = spectrum.reshape(-1).take(
        start + steps, mode="clip"
    )  # beyond its last, a line has powers that do not count
    lobe = power[:-2] + power[1:-1]
    lobe += power[2:]
    np.copyto(lobe, -1, where=steps[:-2] > span)
    best = lobe.argmax(axis=0)
    place = best * best.size + np.arange(best.size).reshape(best.shape)
    most, below, above = (_wide(values.reshape(-1).take(place)) for values in (lobe, power, power[2:]))
    return most, np.where(most > 0, first + best + (above - below) / most, centre)


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


class _Envelope:
    """The envelope of one band of the rows that have it: filled in from their spectra, chunk after chunk.

    A band of b bins has a squared envelope of 2 b - 1 bins; with 5/4 b points the lowest quarter stays clean.
    """

    def __init__(self, low: float, high: float, rows: Any, count: int, *, bins: slice, n: int, work: Any) -> None:
        self.low, self.high, self.rows, self.bins, self.n = low, high, rows, bins, n
        self.width = bins.stop - bins.start
        self.points = fft.fast_length(self.width * 5 // 4)
        self.power = np.empty((count, self.points - self.width), work)
        self.sums = np.empty((3, count))

    def take(self, spectrum: Array, part: slice) -> None:
        """Fills in the rows of `part`, whose spectra these are."""
        if isinstance(self.rows, slice):
            self._take(spectrum[:, self.bins], part)
            return
        first, last = np.searchsorted(self.rows, (part.start, part.stop)).tolist()
        if first < last:
            self._take(spectrum[self.rows[first:last] - part.start, self.bins], slice(first, last))

    def _take(self, band: Array, part: slice) -> None:
        work, points = self.power.dtype, self.points
        envelope = np.empty((len(band), points), work)
        _power(fft.ifft(band, points), envelope)
        self.sums[0, part] = np.vecdot(envelope, _ones(points, work))
        self.sums[1, part] = np.vecdot(envelope, envelope)
        np.sqrt(envelope, out=envelope)
        self.sums[2, part] = np.vecdot(envelope, _hann(points, work))
        _power(fft.rfft(envelope)[:, : self.power.shape[1]], self.power[part])

    def indicators(self, defects: Array) -> tuple[Array | float, ...]:
        """Values of _ENVELOPE_NAMES; lines at `defects` (rows, 4), in bins."""
        taper = _hann(self.points, self.power.dtype)  # the window, as it lies on the envelope
        gain = 2 * self.points / self.n  # of the analytic signal over the inverse FFT
        weight = float(taper @ taper)
        mean, square = self.sums[2] * gain / weight, self.sums[0] * gain**2 / weight
        fourth = self.sums[1] * gain**4 / float(np.sum(taper**4))
        line, ratio = _defect_lines(self.power, defects)
        rms, amplitude = np.sqrt(np.maximum(square - mean**2, 0)), gain * 2 / float(taper.sum())
        return self.low, self.high, rms, fourth / square**2, *(line * amplitude).T, *ratio.T


_ENVELOPE_NAMES = tuple(column.name for column in FEATURES if column.name.startswith("env_"))


def _envelopes(bands_hz: Array, n: int, fs_hz: float, work: np.dtype[Any]) -> Iterator[_Envelope]:
    """One for each band that the record can show."""
    for low, high, rows in _groups(bands_hz):
        bins = fft.band_bins(fs_hz / n, fs_hz, low, high)
        if bins is not None and bins.stop - bins.start >= ENVELOPE_BINS:
            yield _Envelope(low, high, rows, len(bands_hz[rows]), bins=bins, n=n, work=work)


def _envelope_indicators(envelopes: Sequence[_Envelope], defects: Array) -> dict[str, Array]:
    found = {name: np.full(len(defects), np.nan) for name in _ENVELOPE_NAMES}
    for envelope in envelopes:
        for name, values in zip(_ENVELOPE_NAMES, envelope.indicators(defects[envelope.rows]), strict=True):
            found[name][envelope.rows] = values
    return found


def _defect_lines(spectrum: Array, at: Array) -> tuple[Array, Array]:
    """Amplitudes at the defect frequencies `at` (rows, 4) in bins, and their ratios to the noise around them.

    A rolling element strikes at its spin frequency or at twice it: the larger counts.
    """
    centre = np.column_stack([at, 2 * at[:, _BSF]])
    known = (centre >= LINE_PERIODS) & (np.ceil(centre * (1 + FLOOR_SPAN)) <= spectrum.shape[1] - 2)
    centre = np.where(known, centre, LINE_PERIODS)
    power, _ = _strongest(spectrum, centre, SLIP * centre)
    around = np.rint(centre[..., None] * _AROUND) + np.arange(len(spectrum))[:, None, None] * spectrum.shape[1]
    noise = np.sort(spectrum.reshape(-1).take(around.astype(np.intp), mode="clip"), axis=-1)
    floor = np.sqrt((_wide(noise[..., FLOOR_POINTS // 2 - 1]) + noise[..., FLOOR_POINTS // 2]) / 2)
    line = np.sqrt(power / HANN_LINE_POWER)
    return _larger_bsf(np.where(known, line, np.nan)), _larger_bsf(np.where(known, line / floor, np.nan))


_AROUND = np.linspace(1 - FLOOR_SPAN, 1 + FLOOR_SPAN, FLOOR_POINTS)


def _larger_bsf(lines: Array) -> Array:
    lines[:, _BSF] = np.fmax(lines[:, _BSF], lines[:, -1])
    return lines[:, : len(_LINES)]
