"""Evidence for a defect of a rolling bearing in one record: how deeply its strikes modulate the vibration.

A defect is struck at a rate that geometry and speed give, and each strike makes the structure ring. So the squared
envelope of a band in which it rings carries lines at that rate (R. B. Randall, J. Antoni, "Rolling element bearing
diagnostics: a tutorial", MSSP 25 (2011)). What is judged is the depth of the modulation: the RMS of the lines over
the mean of the squared envelope. It depends on no gain, no unit and no length of record. The ratio of a line to the
noise around it grows with the length, until the faintest line of a sound machine is "significant".

Two things keep other lines from passing for a defect. The lines of strikes fall with their number, so a line counts
no more than the one before it; a single strong line at a harmonic belongs to something else. And strikes slip, so in a
long record their spectrum is smeared, while what is locked to the shaft stands out as sharp lines: the depth must
remain where sharp lines are cut down to what noise reaches.

Races are named by their depth. Most defects of rolling elements are not marked so clearly: a machine that has become
abnormal without a race's lines is called "B", "rolling element or not localised"; `positive` says whether there are
lines for it. docs/diagnosis.md tells how often each is right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import ceil, exp, log, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from telltale.core import speed
from telltale.core.bearings import FaultOrders
from telltale.core.fft import fast_length, ifft, is_fast, rfft, squared
from telltale.core.findings import Line

Array = NDArray[Any]

CALLS = ("N", "IR", "OR", "B")  # no defect, inner race, outer race, rolling element or not localised
CLASS_NAMES = {"OR": "outer race", "IR": "inner race", "B": "rolling element", "C": "cage"}
LINE_NAMES = {"OR": "BPFO", "IR": "BPFI", "B": "2×BSF", "C": "FTF"}
RACES = ("OR", "IR")

SHORTEST = 64  # samples below which there are no bands worth the name

# Bands, and the lines in them
PARTS = (8, 4, 2)  # of the Nyquist frequency that a band is wide, the first that serves; half overlapping
NARROW_BINS = 2000  # a band of the narrowest kind must hold: noise in fewer reaches a depth of 0.1
WIDE = 4  # the same, where the level and the speed are looked for
LOWEST_ORDER = 2.0  # bands begin above the shaft's own strongest lines
BAND_ORDERS = 12.0  # a band is used if it is wider than this times the speed: two strikes of a race and their decay
HARMONICS = 3  # lines that are counted; practice asks for two or three
FLOOR_SPAN = 0.3  # the floor of a line is the median over this part of the fundamental to either side
SHARP = 3.0  # times the floor: what noise exceeds in one bin of 500 (Rayleigh: exp(-ln 2 * 3²)); more is a sharp line
FLOOR_BINS = 8  # the fewest over which a floor is taken

# How far a line may lie from where geometry and speed put it
SLIP_REFINED = 0.008  # with a speed read from the record itself; measured: 0.1 to 0.5 % on 6203 and 6205
SLIP_NOMINAL = 0.015  # with the speed that was stated (Randall and Antoni: 1-2 %)
ELEMENT_SLIP = 1.5  # of that for rolling elements: their contact angle wanders
MOST_TURNS = 320.0  # that are looked at: slip and a wandering speed smear the lines of more (measured up to 305)

# What can be told at all
LINE_TURNS = 4.0  # periods of a line that the record must hold
APART_BINS = 1.5  # that a line must lie from a multiple of the speed: one of resolution, half of the three summed
GEOMETRY = 0.005  # share of its frequency by which a line is not known better (slip measured on refined speeds)

# What is called
DEPTH = 0.45  # of a race's lines, from which it is named; races of the development recordings: 0.50, 0.73 to 2.2
STEADY_DEPTH = 0.35  # of it without sharp lines: between 0.30 (largest of others) and 0.42 (smallest of named races)
NOISE_DEPTH2 = 20.0  # over the bins of a band: depth² that noise reaches in 1 of 100 records (measured on noise)
ABNORMAL_DB = 6.0  # growth of a band over the healthy reference: twice its amplitude
KURTOSIS_EXCESS = 3.0  # without a reference: of the envelope of a band over that of noise; a guess
REFERENCE_SLICES = 64  # equal parts of the frequency range whose power a reference holds

# Scores, on a logarithmic scale; they rank, they decide nothing
RACE_SCORE = 8.0  # a neper of depth; from 2 to 16 the ranking is the same within 0.004 of AUROC
NORMAL_SCORE = 4.0  # a limit's worth of abnormality
NORMAL_SCORE_MOST = 8.0


@dataclass(frozen=True)
class Reference:
    """What a healthy record of this machine looks like: power (g²) of equal slices from 0 to `top_hz`.

    speed_hz : at which it was taken; None where it was not known, levels are not scaled with the speed then.
    """

    top_hz: float
    power: tuple[float, ...]
    speed_hz: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Reference":
        """What `as_dict` made."""
        return cls(float(stored["top_hz"]), tuple(float(power) for power in stored["power"]), stored["speed_hz"])

    def band(self, low_hz: float, high_hz: float) -> float:
        """Power between two frequencies, in g²; NaN where the reference does not reach."""
        if high_hz > self.top_hz * (1 + 1e-6):
            return float("nan")
        edges = np.linspace(0, self.top_hz, len(self.power) + 1)
        below = np.interp([low_hz, high_hz], edges, np.concatenate([[0.0], np.cumsum(self.power)]))
        return float(below[1] - below[0])


@dataclass(frozen=True)
class Comb:
    """The lines of one class, where they modulate deepest.

    depth : RMS of the lines over the mean of the squared envelope.   needed : from which it is more than noise.
    steady_depth : the depth that remains where sharp lines are cut down.
    hz : the fundamental as it was found.   slip : its share above where geometry and speed put it.
    band_hz : in which band.   lines : the harmonics, each line's amplitude and floor as depths.
    unresolved : why the record can say nothing of this class; empty where it can.
    """

    fault: str
    depth: float
    needed: float
    steady_depth: float
    hz: float
    slip: float
    band_hz: tuple[float, float]
    lines: tuple[Line, ...] = ()
    unresolved: str = ""

    @property
    def margin(self) -> float:
        """1 where the lines are just deep enough to name the class; 0 for a class that is not resolved."""
        return 0.0 if self.unresolved else min(self.depth / self.needed, self.steady_depth / STEADY_DEPTH)

    @property
    def of_limit(self) -> str:
        """The margin in words."""
        return f"{self.margin:.1f} times the limit" if self.margin >= 1 else f"{self.margin:.2f} of the limit"

    @property
    def words(self) -> str:
        """Its lines as a sentence: where, in which band, how deep."""
        multiples = [f"{number}×" for number, line in enumerate(self.lines[1:], 2) if line.clear]
        also = f" and {', '.join(multiples)}" if multiples else ""
        band = f"{self.band_hz[0] / 1000:.1f}-{self.band_hz[1] / 1000:.1f} kHz"
        return f"lines at {self.hz:.1f} Hz ({LINE_NAMES[self.fault]}){also} in the envelope of {band}, {self.of_limit}"


@dataclass(frozen=True)
class RollingEvidence:
    """What one record says about its rolling bearing.

    call : one of CALLS; None where nothing can be told.   positive : the call rests on lines of that class.
    reason : the sentence for the call.   combs : class → its lines; empty without speed, geometry or bands.
    abnormality : 1 at the limit: growth over the reference in units of 6 dB, or by the absolute rule; None: not judged.
    scores : of each of CALLS, between 0 and 1, together 1: for ranking records, not a probability.
    notes : what was not looked at, and why.
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
    """What a healthy record of this machine looks like.

    x : shape (n,), in g; never modified.   speed_hz : of the shaft, None where it is not known.
    ValueError if the record is shorter than SHORTEST, constant, or holds a NaN or an infinite sample: with such a
    reference everything or nothing would be abnormal.
    """
    _check(fs_hz, speed_hz)
    spectrum = _spectrum(x, fs_hz)
    if spectrum is None:
        raise ValueError(f"{x.shape[-1]} samples, wanted at least {SHORTEST}, finite, and not constant")
    power = spectrum.power()
    edges = np.arange(REFERENCE_SLICES + 1) * (len(power) - 1) / REFERENCE_SLICES
    below = np.interp(edges, np.arange(len(power)), np.cumsum(power))
    slices = np.diff(below)
    return Reference(fs_hz / 2, tuple(slices.tolist()), speed_hz)


def evidence(
    x: Array,
    *,
    fs_hz: float,
    speed_hz: float | None,
    orders: FaultOrders | None,
    reference: Reference | None = None,
    axis: str = "",
    speed_refined: bool = False,
) -> RollingEvidence:
    """Whether a record shows a defect of its rolling bearing, and of which part.

    x : shape (n,), in g; never modified.   speed_hz : measured or nominal, right within 1.5 % (3 % where the record
    holds 100 turns: it is then refined); None: no lines can be looked for.
    orders : of the bearing, None where its geometry is not known.
    reference : a healthy record of this machine; its levels are scaled with the fourth power of the speed, because
    forces of inertia grow with its square.   axis : for the names of the lines.
    speed_refined : `speed_hz` was read from the record itself already.

    Of a longer record the first MOST_TURNS turns are judged. Without a reference, only very impulsive records count as
    abnormal. The call is None for a record that is shorter than SHORTEST, constant, or holds a NaN or an infinite
    sample, and where no race could be looked for and no reference tells that the record is normal.
    ValueError if `fs_hz` or `speed_hz` is not a positive number.
    """
    _check(fs_hz, speed_hz)
    spectrum = _spectrum(x if speed_hz is None else x[: ceil(MOST_TURNS * fs_hz / speed_hz)], fs_hz)
    if spectrum is None:
        return RollingEvidence(
            None, False, f"{x.shape[-1]} samples, wanted at least {SHORTEST}, finite, and not constant"
        )
    abnormality, because = _abnormality(spectrum, speed_hz, reference)
    shaft_hz, refined, combs = speed_hz, False, {}
    if speed_hz is not None and orders is not None:
        shaft_hz, refined = (speed_hz, True) if speed_refined else _speed(x[: spectrum.n], fs_hz, speed_hz)
        combs = _combs(spectrum, shaft_hz, orders, SLIP_REFINED if refined else SLIP_NOMINAL, axis)
    notes = _notes(speed_hz, orders, combs)
    call, positive, reason = _call(combs, abnormality, because, reference is not None, notes)
    scores = _scores(combs, abnormality)
    return RollingEvidence(call, positive, reason, combs, abnormality, because, scores, shaft_hz, refined, notes)


def _speed(x: Array, fs_hz: float, speed_hz: float) -> tuple[float, bool]:
    """The speed as the record says it, and whether it does; else as it was stated."""
    refined = speed.refine(x, fs_hz=fs_hz, near_hz=speed_hz)
    sure = refined is not None and refined.confidence >= speed.REFINED_FROM
    return (refined.hz, True) if refined is not None and sure else (speed_hz, False)


def _check(fs_hz: float, speed_hz: float | None) -> None:
    for name, value in (("sampling rate", fs_hz), ("speed", speed_hz)):
        if value is not None and not 0 < value < np.inf:
            raise ValueError(f"{name} {value} Hz, wanted a positive number")


# The spectrum of the record


@dataclass(frozen=True, eq=False)
class _Spectrum:
    bins: Array  # of the record without its mean, shape (n // 2 + 1,)
    n: int
    bin_hz: float

    def power(self) -> Array:
        """Each bin's part of the mean square (Parseval: all bins but the first and the last count twice)."""
        power = 2 * squared(self.bins).astype(np.float64) / self.n**2
        power[[0, -1]] /= 2
        return power


def _spectrum(x: Array, fs_hz: float) -> _Spectrum | None:
    """Of the longest part whose length an FFT likes; None if nothing can be said of the record."""
    if x.shape[-1] < SHORTEST:
        return None
    n = _cut(x.shape[-1])
    part = x[:n].astype(np.float64 if x.dtype == np.float64 else np.float32)
    low, high = part.min(), part.max()
    if not (np.isfinite(low) and np.isfinite(high)) or low == high:
        return None
    return _Spectrum(rfft(part - part.mean(dtype=np.float64).astype(part.dtype)), n, fs_hz / n)


def _cut(n: int) -> int:
    """The largest even length up to `n` that an FFT likes: less than 2 % is lost."""
    n -= n % 2
    while not is_fast(n):
        n -= 2
    return n


def _bands(spectrum: _Spectrum, *, parts: int) -> list[tuple[int, int]]:
    """First and last bin (excluded) of half-overlapping bands, `parts` of the Nyquist frequency."""
    half = (spectrum.n // 2) // parts // 2
    return [(half * i, half * (i + 2)) for i in range(2 * parts - 1)]


def _squared_envelopes(bins: Array, bands: Sequence[tuple[int, int]], points: int) -> Array:
    """|analytic signal|² of each band, shape (bands, points), in a scale of its own."""
    width = max(high - low for low, high in bands)
    z = np.zeros((len(bands), width), bins.dtype)
    for row, (low, high) in zip(z, bands, strict=True):
        row[: high - low] = bins[low:high]
    return squared(ifft(z, points))


# Is it abnormal?


def _abnormality(spectrum: _Spectrum, speed_hz: float | None, reference: Reference | None) -> tuple[float, str]:
    """1 at the limit, and the sentence for it."""
    grown = [] if reference is None else _growth(spectrum, speed_hz, reference)
    if grown:
        db, low, high = max(grown)
        return db / ABNORMAL_DB, f"{db:+.1f} dB over the healthy reference at {low / 1000:.1f}-{high / 1000:.1f} kHz"
    excess, low, high = max(_kurtosis(spectrum))
    return excess / KURTOSIS_EXCESS, f"excess kurtosis {excess:.1f} at {low / 1000:.1f}-{high / 1000:.1f} kHz"


def _growth(spectrum: _Spectrum, speed_hz: float | None, reference: Reference) -> list[tuple[float, float, float]]:
    """Growth over the reference in dB, low and high edge in Hz of each band that both cover."""
    scale = 1.0
    if speed_hz is not None and reference.speed_hz is not None:
        scale = (speed_hz / reference.speed_hz) ** 4
    below = np.concatenate([[0.0], np.cumsum(spectrum.power())])
    found = []
    for first, end in _bands(spectrum, parts=WIDE):
        low, high = first * spectrum.bin_hz, end * spectrum.bin_hz
        normal, power = scale * reference.band(low, high), float(below[end] - below[first])
        if normal > 0 and power > 0:
            found.append((10 * float(np.log10(power / normal)), low, high))
    return found


def _kurtosis(spectrum: _Spectrum) -> list[tuple[float, float, float]]:
    """Excess of the kurtosis of the complex envelope over that of noise, low and high edge in Hz of each band."""
    bands = _bands(spectrum, parts=WIDE)
    square = _squared_envelopes(spectrum.bins, bands, fast_length(2 * (bands[0][1] - bands[0][0])))
    mean = square.mean(axis=-1, dtype=np.float64)
    fourth = np.square(square).mean(axis=-1, dtype=np.float64)
    excess = np.where(mean > 0, fourth / np.maximum(mean, np.finfo(float).tiny) ** 2 - 2, 0.0)
    return [
        (value, low * spectrum.bin_hz, high * spectrum.bin_hz)
        for value, (low, high) in zip(excess.tolist(), bands, strict=True)
    ]


def _whitened(bins: Array, shaft: float) -> Array:
    """A spectrum over its floor, the median of |bins| over one order; `shaft` : bin of the speed."""
    floor = _floor(np.sqrt(squared(bins)), max(FLOOR_BINS, round(shaft)))
    return bins / np.maximum(floor, np.finfo(floor.dtype).tiny)


def _floor(values: Array, block: int) -> Array:
    """Median of blocks of bins, joined by straight lines; shape as `values` (..., bins)."""
    count = max(1, values.shape[-1] // block)
    used = values[..., : count * block]
    medians = np.median(used.reshape(*values.shape[:-1], count, -1), axis=-1)
    if count == 1:
        return np.broadcast_to(medians, values.shape)
    at = np.clip((np.arange(values.shape[-1]) - (block - 1) / 2) / block, 0, count - 1)
    low = np.minimum(at.astype(np.intp), count - 2)
    share = (at - low).astype(values.dtype)
    return medians[..., low] * (1 - share) + medians[..., low + 1] * share


# The lines of a defect


def _combs(spectrum: _Spectrum, speed_hz: float, orders: FaultOrders, slip: float, axis: str) -> dict[str, Comb]:
    """The lines of each class; none where no band is wide enough for them."""
    shaft = speed_hz / spectrum.bin_hz
    bands = _bands_for_lines(spectrum, shaft)
    if not bands:
        return {}
    of_class = {"OR": orders.bpfo, "IR": orders.bpfi, "B": 2 * orders.bsf, "C": orders.ftf}
    top = ceil((HARMONICS + 2 * FLOOR_SPAN) * max(of_class.values()) * shaft) + 2
    white = _whitened(spectrum.bins, shaft)
    steady = white * np.minimum(1, SHARP / np.maximum(np.sqrt(squared(white)), SHARP / 2))
    depths = _depths(white, bands, top), _depths(steady, bands, top)
    return {
        name: _comb(name, depths, order, shaft, slip * (ELEMENT_SLIP if name == "B" else 1), bands, spectrum, axis)
        for name, order in of_class.items()
    }


def _bands_for_lines(spectrum: _Spectrum, shaft: float) -> list[tuple[int, int]]:
    """Bands wide enough for the lines of a defect; none if the sampling rate is too low for the speed.

    Narrow bands find a resonance better, wide ones hold more of a short record against its noise.
    """
    lowest = ceil(LOWEST_ORDER * shaft)
    parts_that_serve = PARTS if spectrum.n // 2 >= NARROW_BINS * PARTS[0] else PARTS[1:]
    for parts in parts_that_serve:
        bands = [(max(low, lowest), high) for low, high in _bands(spectrum, parts=parts)]
        wide = [(low, high) for low, high in bands if high - low > BAND_ORDERS * shaft]
        if wide:
            return wide
    return []


def _depths(bins: Array, bands: Sequence[tuple[int, int]], top: int) -> Array:
    """Squared depth of each line of the squared envelope, shape (bands, lines up to `top`).

    A band of b bins has a squared envelope of 2 b - 1 bins; with b + `top` points the lines up to `top` are free of
    aliases. One-sided, each line's mean square: 2 |Y|² / points² of y = e / mean - 1.
    """
    width = max(high - low for low, high in bands)
    square = _squared_envelopes(bins, bands, fast_length(min(2 * width, width + top)))
    points = square.shape[-1]
    mean = np.maximum(square.mean(axis=-1, keepdims=True), np.finfo(square.dtype).tiny)
    return 2 * squared(rfft(square / mean - 1)[:, : min(top, points // 2)]) / points**2


def _comb(
    name: str,
    depths: tuple[Array, Array],
    order: float,
    shaft: float,
    slip: float,
    bands: Sequence[tuple[int, int]],
    spectrum: _Spectrum,
    axis: str,
) -> Comb:
    centre = order * shaft
    slips = np.linspace(-slip, slip, 2 * max(1, ceil(slip * centre * HARMONICS)) + 1)
    (parts, floors), (steady, _) = (_harmonics(power, centre, slips) for power in depths)
    total = parts.sum(axis=0)
    band, place = (int(i) for i in np.unravel_index(int(np.argmax(total)), total.shape))
    low, high = bands[band]
    hz = float(centre * (1 + slips[place]) * spectrum.bin_hz)
    return Comb(
        fault=name,
        depth=float(sqrt(total[band, place])),
        needed=sqrt(DEPTH**2 + NOISE_DEPTH2 / (high - low)),
        steady_depth=float(sqrt(steady.sum(axis=0).max())),
        hz=hz,
        slip=float(slips[place]),
        band_hz=(low * spectrum.bin_hz, high * spectrum.bin_hz),
        lines=tuple(
            Line(f"{CLASS_NAMES[name]} {number}×", "envelope", axis, number * hz, amplitude, floor, "depth")
            for number, (amplitude, floor) in enumerate(
                np.sqrt(np.stack([parts, floors])[:, :, band, place]).T.tolist(), 1
            )
        ),
        unresolved=_unresolved(name, order, shaft, len(parts)),
    )


def _harmonics(power: Array, centre: float, slips: Array) -> tuple[Array, Array]:
    """Squared depth of each line and of its floor, shape (harmonics in reach, bands, slips) each.

    `centre` : bin of the fundamental; one slip holds for all its harmonics. A line is three bins wide, its floor's
    part is taken off, and it counts no more than the line before it.
    """
    parts: list[Array] = []
    floors: list[Array] = []
    for number in range(1, HARMONICS + 1):
        at = np.rint(number * centre * (1 + slips)).astype(np.intp)
        reach = max(2, int(FLOOR_SPAN * centre))
        middle = round(number * centre)
        if at[0] < 2 or at[-1] + 1 >= power.shape[-1]:
            break
        floor = np.median(power[:, max(1, middle - reach) : middle + reach + 1], axis=-1)[:, None] / log(2)
        line = np.maximum(power[:, at - 1] + power[:, at] + power[:, at + 1] - 3 * floor, 0)
        parts.append(np.minimum(line, parts[-1]) if parts else line)
        floors.append(np.broadcast_to(floor, line.shape))
    if not parts:
        nothing = np.zeros((0, len(power), len(slips)))
        return nothing, nothing
    return np.stack(parts), np.stack(floors)


def _unresolved(name: str, order: float, shaft: float, harmonics: int) -> str:
    """Why the record cannot tell the line at `order` from others; `shaft` : turns in the record."""
    what = f"{CLASS_NAMES[name]} ({order:.3f} times the speed)"
    if harmonics == 0:
        return f"{what}: no band of the record is wide enough"
    nearest = max(1, round(order))
    apart = abs(order - nearest)
    if apart < GEOMETRY * order:
        return f"{what}: lies on {nearest} times the speed, within what geometry is known to"
    turns = max(LINE_TURNS / order, APART_BINS / apart)
    if shaft < turns:
        return f"{what}: needs {turns:.0f} turns, the record holds {shaft:.1f}"
    return ""


# The call


def _notes(speed_hz: float | None, orders: FaultOrders | None, combs: Mapping[str, Comb]) -> tuple[str, ...]:
    if speed_hz is None or orders is None:
        missing = "speed" if speed_hz is None else "bearing geometry"
        return (f"no {missing} is known: defect lines were not looked for",)
    if not combs:
        return ("the sampling rate leaves no band wide enough for the defect lines",)
    return tuple(comb.unresolved for comb in combs.values() if comb.unresolved)


def _call(
    combs: Mapping[str, Comb], abnormality: float, because: str, has_reference: bool, notes: tuple[str, ...]
) -> tuple[str | None, bool, str]:
    """The call, whether lines speak for it, and its sentence."""
    deepest = max((combs[name] for name in ("OR", "IR", "B") if name in combs), key=_margin, default=None)
    if deepest is not None and deepest.margin >= 1:
        return deepest.fault, True, f"{CLASS_NAMES[deepest.fault]}: {deepest.words}"
    tested = [name for name in RACES if name in combs and not combs[name].unresolved]
    lines = shallow(combs) if tested else "; ".join(notes)
    if abnormality >= 1:
        return "B", False, f"rolling element or not localised: {because}, and {lines}"
    if tested or has_reference:
        return "N", False, f"{because}, and {lines}"
    return None, False, f"cannot be told: {lines}; and there is no healthy reference"


def shallow(combs: Mapping[str, Comb]) -> str:
    """The sentence for races that could be looked for and are not called: how deep their lines are."""
    found = [combs[name] for name in RACES if name in combs and not combs[name].unresolved]
    if not found:
        return "the record cannot tell the lines of a race"
    margins = ", ".join(f"{CLASS_NAMES[comb.fault]} {comb.margin:.2f}" for comb in found)
    return f"no lines of a race: {margins} of the limit"


def _margin(comb: Comb) -> float:
    return comb.margin


def _scores(combs: Mapping[str, Comb], abnormality: float) -> dict[str, float]:
    """Shares of exp(score): of a race and of an element by the margin of its lines, of N by how normal it is."""
    score = {
        name: RACE_SCORE * log(max(combs[name].margin if name in combs else 0.0, 1e-3)) for name in ("IR", "OR", "B")
    }
    score["B"] = max(0.0, score["B"])  # abnormal and nothing else is a call, too
    score["N"] = float(np.clip(NORMAL_SCORE * (1 - abnormality), -NORMAL_SCORE_MOST, NORMAL_SCORE_MOST))
    if max(score["IR"], score["OR"]) > 0:
        score["N"] = min(score["N"], -1.0)
    most = max(score.values())
    share = {name: exp(score[name] - most) for name in CALLS}
    return {name: value / sum(share.values()) for name, value in share.items()}
