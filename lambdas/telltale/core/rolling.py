"""Evidence for a defect of a rolling bearing in one record: how deeply its strikes modulate the vibration.

A defect is struck at a rate the geometry gives, and each strike makes the structure ring. So the squared envelope of
a band in which it rings carries lines at that rate (R. B. Randall, J. Antoni, "Rolling element bearing diagnostics: a
tutorial", MSSP 25 (2011)). What is judged is the depth of the modulation: the RMS of the lines, relative to the mean
of the squared envelope. It depends on no gain, no unit and no length of the record. The ratio of a line to the noise
around it grows with the length instead, until the faintest line of a sound machine is "significant".

Races are named by their depth. Nothing marks most defects of rolling elements so clearly: a machine that has become
abnormal without a race's lines is called "B", "rolling element or not localised", and `positive` says whether there
is a line for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import ceil, log, log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from telltale.core.bearings import FaultOrders
from telltale.core.findings import Line

Array = NDArray[Any]

CLASSES = ("OR", "IR", "B", "C")  # outer race, inner race, rolling element, cage
CLASS_NAMES = {"OR": "outer race", "IR": "inner race", "B": "rolling element", "C": "cage"}
CALLS = ("N", "IR", "OR", "B")  # no defect, inner race, outer race, rolling element or not localised

BANDS = 15  # of an eighth of the Nyquist frequency each, half overlapping
BAND_ORDERS = 12.0  # a band must be wider than this many turns of the shaft a second: two strikes of a race, and more
LOWEST_ORDER = 2.0  # bands begin above the shaft's own strongest lines
HARMONICS = 3  # of a defect's line that are counted; practice asks for two or three
SLIP_REFINED = 0.008  # how far a line may lie from where geometry and a refined speed put it (measured: up to 0.4 %)
SLIP_NOMINAL = 0.015  # and with a speed that was only stated (Randall and Antoni: 1-2 %)
ELEMENT_SLIP = 1.5  # of that for a rolling element, whose contact angle wanders
DEPTH = 0.5  # of a race's lines, from which it is named
NEAR_SHAFT_LINE = 0.02  # orders: a line of an element this near to a multiple of the speed says nothing about it
ABNORMAL_DB = 6.0  # growth of a band over the healthy reference: twice the amplitude
KURTOSIS_EXCESS = 3.0  # without a reference: of the analytic envelope of a band
REFINE_TURNS = 100.0  # a record must hold for its speed to be refined
REFINE_WITHIN = 0.03
SCORE_SLOPE = 8.0


@dataclass(frozen=True)
class Reference:
    """What a healthy record of this machine looks like: power (g²) of bands, and the speed it was taken at.

    edges_hz : low and high edge of each band.   speed_hz : None where it was not known; levels are not scaled then.
    """

    edges_hz: tuple[tuple[float, float], ...]
    power: tuple[float, ...]
    speed_hz: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Reference":
        """What `as_dict` made."""
        edges = tuple((float(low), float(high)) for low, high in stored["edges_hz"])
        return cls(edges, tuple(float(power) for power in stored["power"]), stored["speed_hz"])


@dataclass(frozen=True)
class Comb:
    """The lines of one class where they modulate deepest.

    depth : RMS of the lines over the mean of the squared envelope.   hz : the fundamental as it was found.
    slip : how far that is from where geometry and speed put it.   band_hz, whitened : where.
    unresolved : why depth says nothing here; empty where it does.
    """

    fault: str
    depth: float
    hz: float
    slip: float
    band_hz: tuple[float, float]
    whitened: bool
    lines: tuple[Line, ...] = ()
    unresolved: str = ""


@dataclass(frozen=True)
class RollingEvidence:
    """What one record says about its rolling bearing.

    call : one of CALLS; None where the record cannot be judged.   positive : there are lines for the call of B.
    reason : the sentence for the call.   combs : class of CLASSES → its lines; empty without speed or geometry.
    abnormality : 1 at the limit; growth over the reference in dB / 6, or by the absolute rule. None: not judged.
    scores : one for each of CALLS, larger is likelier, on a logarithmic scale.
    """

    call: str | None
    positive: bool
    reason: str
    combs: Mapping[str, Comb] = field(default_factory=dict)
    abnormality: float | None = None
    abnormal_because: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    speed_hz: float | None = None
    speed_refined: bool = False
    notes: tuple[str, ...] = ()


def reference(x: Array, *, fs_hz: float, speed_hz: float | None) -> Reference:
    """What a healthy record looks like: its power in bands of an eighth of the sampling rate.

    x : shape (n,), in g.   speed_hz : of the shaft.
    ValueError if the record is too short, silent, constant or holds a NaN: it would make everything abnormal.
    """
    spectrum = _spectrum(x)
    if spectrum is None:
        raise ValueError(f"{x.shape[-1]} samples, wanted a finite record that moves")
    bands = _wide_bands(spectrum, fs_hz)
    return Reference(bands.edges_hz, tuple(bands.power.tolist()), speed_hz)


def evidence(
    x: Array,
    *,
    fs_hz: float,
    speed_hz: float | None,
    orders: FaultOrders | None,
    reference: Reference | None = None,
    axis: str = "",
) -> RollingEvidence:
    """Whether a record shows a defect of its rolling bearing, and of which part.

    x : shape (n,), in g; never modified.   speed_hz : nominal or measured; None: only abnormality is judged.
    orders : of the bearing, None where its geometry is not known.   reference : a healthy record of this machine.
    axis : for the names of the lines.

    The call is None, with the reason, for a record that is too short, silent, constant or holds a NaN.
    ValueError if `fs_hz` or `speed_hz` is not a positive number.
    """
    for name, value in (("sampling rate", fs_hz), ("speed", speed_hz)):
        if value is not None and not 0 < value < np.inf:
            raise ValueError(f"{name} {value} Hz, wanted a positive number")
    spectrum = _spectrum(x)
    if spectrum is None:
        return RollingEvidence(None, False, f"cannot be judged: {x.shape[-1]} samples, wanted a record that moves")
    wide = _wide_bands(spectrum, fs_hz)
    abnormality, because = _abnormality(wide, speed_hz, reference)
    speed, refined, combs = speed_hz, False, {}
    if speed_hz is not None and orders is not None:
        speed, refined = _speed(spectrum, fs_hz, speed_hz)
        slip = SLIP_REFINED if refined else SLIP_NOMINAL
        combs = _combs(spectrum, fs_hz, speed, orders, slip, axis)
    return _judged(combs, abnormality, because, speed, refined)


@dataclass(frozen=True, eq=False)
class _Spectrum:
    bins: Array  # rfft of the record without its mean, shape (n // 2 + 1,)
    n: int

    def hz(self, fs_hz: float) -> float:
        return fs_hz / self.n


SHORTEST = 64  # samples below which there are no bands


def _spectrum(x: Array) -> _Spectrum | None:
    """Of the longest part whose length an FFT likes; None if nothing can be said of the record."""
    if x.shape[-1] < SHORTEST:
        return None
    n = _smooth(x.shape[-1])
    part = np.asarray(x[:n], np.float32 if x.dtype != np.float64 else np.float64)
    low, high = part.min(), part.max()
    if not (np.isfinite(low) and np.isfinite(high)) or low == high:
        return None
    return _Spectrum(np.fft.rfft(part - part.mean(dtype=np.float64).astype(part.dtype)), n)


def _smooth(n: int) -> int:
    """The largest even 2^a 3^b 5^c that is not above n."""
    odd = (3**b * 5**c for b in range(0, 12) for c in range(0, 8))
    return max(o << int(log2(n // o)) for o in odd if 2 * o <= n)


@dataclass(frozen=True, eq=False)
class _Bands:
    edges_hz: tuple[tuple[float, float], ...]
    power: Array
    kurtosis_excess: Array


def _wide_bands(spectrum: _Spectrum, fs_hz: float) -> _Bands:
    """Power and envelope of seven bands of a quarter of the Nyquist frequency, half overlapping."""
    eighth = (spectrum.n // 2) // 8
    starts = eighth * np.arange(7)
    z = spectrum.bins[starts[:, None] + np.arange(2 * eighth)]
    z[0, 0] = 0
    power = 2 * _power(z).sum(axis=-1, dtype=np.float64) / spectrum.n**2
    square = _power(np.fft.ifft(z, _fast(4 * eighth), axis=-1))
    mean = square.mean(axis=-1, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        excess = np.square(square).mean(axis=-1, dtype=np.float64) / mean**2 - 2
    hz = spectrum.hz(fs_hz)
    edges = tuple((float(s * hz), float((s + 2 * eighth) * hz)) for s in starts)
    return _Bands(edges, power, excess)


def _abnormality(bands: _Bands, speed_hz: float | None, reference: Reference | None) -> tuple[float, str]:
    if reference is None:
        place = int(np.nanargmax(bands.kurtosis_excess))
        value = float(bands.kurtosis_excess[place])
        low, high = bands.edges_hz[place]
        return value / KURTOSIS_EXCESS, f"excess kurtosis {value:.1f} of the envelope from {low:.0f} to {high:.0f} Hz"
    scale = 1.0
    if speed_hz is not None and reference.speed_hz is not None:
        scale = (speed_hz / reference.speed_hz) ** 4
    grown = []
    for (low, high), power in zip(bands.edges_hz, bands.power, strict=True):
        normal = scale * _reference_power(reference, low, high)
        if normal > 0:
            grown.append((10 * float(np.log10(max(power, 1e-30) / normal)), low, high))
    db, low, high = max(grown)
    return db / ABNORMAL_DB, f"{db:+.1f} dB over the healthy reference from {low:.0f} to {high:.0f} Hz"


def _reference_power(reference: Reference, low: float, high: float) -> float:
    """Of the band there that is most alike, by its density."""
    best = min(
        zip(reference.edges_hz, reference.power, strict=True), key=lambda e: abs(e[0][0] - low) + abs(e[0][1] - high)
    )
    (bottom, top), power = best
    return power / (top - bottom) * (high - low)


def _speed(spectrum: _Spectrum, fs_hz: float, speed_hz: float) -> tuple[float, bool]:
    """The shaft's speed from the harmonics it leaves in the spectrum, where the record is long enough."""
    hz = spectrum.hz(fs_hz)
    if spectrum.n / fs_hz * speed_hz < REFINE_TURNS:
        return speed_hz, False
    z = _whitened(spectrum.bins, max(8, round(speed_hz / hz)))
    eighth = (spectrum.n // 2) // 8
    starts = eighth * np.arange(7)
    square = _power(np.fft.ifft(z[starts[:, None] + np.arange(2 * eighth)], _fast(4 * eighth), axis=-1))
    top = ceil(9.5 * speed_hz / hz)
    power = _power(np.fft.rfft(square - square.mean(axis=-1, keepdims=True), axis=-1))[:, :top]
    block = max(8, round(2 * speed_hz / hz))
    gain = np.minimum(np.log(np.maximum(power / _floor(power, block), 1e-9)), 6.0).sum(axis=0)
    grid = speed_hz * (1 + np.linspace(-REFINE_WITHIN, REFINE_WITHIN, 1201))
    at = np.rint(np.arange(1, 9)[:, None] * grid / hz).astype(np.intp)
    return float(grid[np.argmax(gain[np.minimum(at, top - 1)].sum(axis=0))]), True


def _floor(power: Array, block: int) -> Array:
    """Median of blocks of bins, joined by lines, shape as `power` (..., bins)."""
    bins = power.shape[-1]
    count = max(1, bins // block)
    medians = np.median(power[..., : count * block].reshape(*power.shape[:-1], count, -1), axis=-1)
    centres = (np.arange(count) + 0.5) * (medians.size and block)
    at = np.clip((np.arange(bins) - centres[0]) / block, 0, count - 1)
    low = np.minimum(at.astype(np.intp), max(0, count - 2))
    share = np.minimum(at - low, 1.0).astype(power.dtype)
    high = np.minimum(low + 1, count - 1)
    return medians[..., low] * (1 - share) + medians[..., high] * share


def _whitened(z: Array, block: int) -> Array:
    floor = _floor(np.sqrt(_power(z)), block)
    return z / np.maximum(floor, np.finfo(floor.dtype).tiny)


def _combs(
    spectrum: _Spectrum, fs_hz: float, speed: float, orders: FaultOrders, slip: float, axis: str
) -> dict[str, Comb]:
    hz = spectrum.hz(fs_hz)
    fundamentals = {"OR": orders.bpfo, "IR": orders.bpfi, "B": 2 * orders.bsf, "C": orders.ftf}
    top = ceil(HARMONICS * 1.35 * max(fundamentals.values()) * speed / hz) + 3
    width = (spectrum.n // 2) // 8
    first = ceil(LOWEST_ORDER * speed / hz)
    edges = [(max(start, first), start + width) for start in range(0, BANDS * (width // 2), width // 2)]
    kept = [(low, high) for low, high in edges if (high - low) * hz > BAND_ORDERS * speed]
    if not kept:
        return {}
    white = _whitened(spectrum.bins, max(8, round(speed / hz)))
    z = np.zeros((2, len(kept), width), spectrum.bins.dtype)
    for i, (a, b) in enumerate(kept):
        z[0, i, : b - a], z[1, i, : b - a] = spectrum.bins[a:b], white[a:b]
    length = _fast(min(2 * width, width + top))
    square = _power(np.fft.ifft(z.reshape(-1, width), length, axis=-1))
    mean = square.mean(axis=-1, keepdims=True)
    power = 2 * _power(np.fft.rfft(square / mean - 1, axis=-1)[:, : min(top, length // 2)]) / length**2
    found = {}
    for name, order in fundamentals.items():
        within = slip * (ELEMENT_SLIP if name == "B" else 1)
        found[name] = _comb(name, power, order * speed / hz, within, hz, kept, axis)
    return found


def _comb(
    name: str, power: Array, centre: float, slip: float, hz: float, bands: Sequence[tuple[int, int]], axis: str
) -> Comb:
    """The deepest comb over bands and slips, one slip for all harmonics. `centre` : bin of the fundamental."""
    reach = max(1, ceil(slip * centre * HARMONICS))
    slips = np.linspace(-slip, slip, 2 * reach + 1)
    total = np.zeros((len(power), len(slips)))
    floors, parts = [], []
    for harmonic in range(1, HARMONICS + 1):
        at = np.rint(harmonic * centre * (1 + slips)).astype(np.intp)
        half = max(2, int(0.3 * centre))
        middle = round(harmonic * centre)
        around = power[:, max(1, middle - half) : middle + half + 1]
        if around.shape[-1] < 3 or at[-1] + 1 >= power.shape[-1] or at[0] < 2:
            continue
        floor = np.median(around, axis=-1) / log(2)
        part = np.maximum(sum(power[:, at + step] for step in (-1, 0, 1)) - 3 * floor[:, None], 0)
        total += part
        floors.append(floor)
        parts.append(part)
    row, column = (int(place) for place in np.unravel_index(int(np.argmax(total)), total.shape))
    a, b = bands[row % len(bands)]
    frequency = centre * (1 + slips[column]) * hz
    lines = tuple(
        Line(
            f"{CLASS_NAMES[name]} {h}×",
            "envelope",
            axis,
            h * frequency,
            float(np.sqrt(part[row, column])),
            float(np.sqrt(floor[row])),
            "depth",
        )
        for h, (part, floor) in enumerate(zip(parts, floors, strict=True), 1)
    )
    return Comb(
        name,
        float(np.sqrt(total[row, column])),
        frequency,
        float(slips[column]),
        (a * hz, b * hz),
        bool(row >= len(bands)),
        lines,
    )


def _judged(
    combs: Mapping[str, Comb], abnormality: float, because: str, speed: float | None, refined: bool
) -> RollingEvidence:
    depth = {name: comb.depth for name, comb in combs.items()}
    race = max(("OR", "IR"), key=lambda c: depth.get(c, 0.0))
    element = depth.get("B", 0.0)
    if combs and speed:
        order = combs["B"].hz / (1 + combs["B"].slip) / speed
        if abs(order - round(order)) < NEAR_SHAFT_LINE:
            element = 0.0
    abnormal = abnormality >= 1
    best = depth.get(race, 0.0)
    if best >= DEPTH or element >= DEPTH:
        call = "B" if element > best else race
        positive, reason = True, f"{CLASS_NAMES[call]}: its lines modulate by {depth[call]:.2f}, wanted {DEPTH}"
    else:
        call, positive = ("B", False) if abnormal else ("N", False)
        reason = f"{'abnormal' if abnormal else 'normal'}: {because}, and no race's lines modulate by {DEPTH}"
    scores = _scores(depth, element, abnormality)
    return RollingEvidence(call, positive, reason, combs, abnormality, because, scores, speed, refined)


def _scores(depth: Mapping[str, float], element: float, abnormality: float) -> dict[str, float]:
    score = {name: SCORE_SLOPE * log(max(depth.get(name, 0.0), 1e-3) / DEPTH) for name in ("IR", "OR")}
    score["B"] = max(0.0, SCORE_SLOPE * log(max(element, 1e-3) / DEPTH))
    score["N"] = min(8.0, max(-8.0, -4 * (abnormality - 1)))
    if max(score["IR"], score["OR"]) > 0:
        score["N"] = min(score["N"], -1.0)
    low = max(score.values())
    total = sum(np.exp(v - low) for v in score.values())
    return {name: float(np.exp(score[name] - low) / total) for name in CALLS}


def _power(z: Array) -> Array:
    return z.real**2 + z.imag**2


def _fast(n: int) -> int:
    """The smallest 2^a, 3 * 2^a or 5 * 2^a that is not below n: the FFT is fast at these."""
    return min(factor << max(0, (-(-n // factor) - 1).bit_length()) for factor in (1, 3, 5))
