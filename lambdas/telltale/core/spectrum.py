"""Spectra of one record: amplitude, density, bands, velocity and displacement, and lines against their noise.

Two corrections, never both at once. The Hann window weighs a steady line by its mean (a line's amplitude is divided
by sum w / n) and noise by its mean square (a density is divided by sum w² / n); a line's power is spread over the bins
of its lobe and comes back whole when they are summed and divided by 3/2, the ratio of the two (Harris, Proc. IEEE 66
(1978) 51-83: coherent gain 0.5, equivalent noise bandwidth 1.5 bins). The window is the periodic one, whose sums are
exact. Spectra are one-sided: every bin but 0 Hz and half the rate stands for two.

Every record has its mean removed first: gravity and the sensor's offset are no vibration, and through the window they
would hide the first two bins. Records may be float32 or float64 and are computed in their own precision; integers in
float64. A record with a NaN or infinite sample is NaN throughout; a constant one is 0 everywhere.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import inf, isfinite, nan, pi, sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from telltale.core.capture import STANDARD_GRAVITY_M_S2
from telltale.core.fft import band_bins, fast_length, irfft, rfft, squared
from telltale.core.findings import Line

Array = NDArray[Any]

MM_S2_PER_G = 1000 * STANDARD_GRAVITY_M_S2
UM_S2_PER_G = 1e6 * STANDARD_GRAVITY_M_S2

HANN_LINE_POWER = 1.5  # power of a line summed over its Hann lobe, relative to the square of its amplitude (Harris)
WELCH_SEGMENTS = 8  # half-overlapping: an average of about 8 scatters by 35 %, enough to see a floor; practice
PADDING_PERIODS = 2  # of the lowest frequency: its response has died away by then
LOWEST_BIN = 2  # the first bin that the window's lobe of the (removed) mean, two bins wide, does not touch
FLOOR_BINS = 64  # the noise around a line is the median over this many bins, half on either side; a guess
LINE_REACH = 1  # bins that a line is looked for on either side at least: half a bin of grid, half of leakage
DISCRETE = 4.0  # a line 12 dB above the noise: noise alone reaches it in one bin of 60,000 (exp(-16 ln 2))
HARMONICS = 10  # that the harmonic content takes: rotor faults show in the first ten orders (ISO 13373-3)


# The whole spectrum


def amplitude(x: Array, *, fs_hz: float) -> tuple[Array, Array]:
    """Frequencies in Hz, shape (m,), and one-sided peak amplitudes in the unit of `x`, shape (..., m), m = n // 2 + 1.

    x : shape (..., n), n >= 2, time last; never modified. A sine reads its peak amplitude at its bin, and down to
    0.849 of it halfway between two (scalloping of the Hann window, 1.4 dB): `Lines` reads it true in between too.
    ValueError if `fs_hz` is not a positive number or the record has fewer than two samples.
    """
    n = _length(x, fs_hz)
    window = hann(n)
    spectrum = np.abs(rfft(centred(x) * window.astype(_precision(x))))
    return np.fft.rfftfreq(n, 1 / fs_hz), spectrum * (_sides(n) / window.sum()).astype(spectrum.dtype)


def density(x: Array, *, fs_hz: float, segment: int | None = None) -> tuple[Array, Array]:
    """Frequencies in Hz and one-sided power spectral density in unit²/Hz, by Welch's method.

    x : shape (..., n), n >= 2; never modified.   segment : samples of each half-overlapping Hann-windowed piece, whose
    own mean is removed; not above n. None: as many as give WELCH_SEGMENTS pieces; `segment=n`: one periodogram.
    Equal to scipy.signal.welch(x, fs_hz, nperseg=segment). Its sum times the width of a bin is the mean square of the
    windowed pieces over that of the window (Parseval): the variance of noise, whatever the segment.
    ValueError as `amplitude`, or if `segment` is not 2 to n.
    P. Welch, IEEE Trans. Audio Electroacoust. 15 (1967) 70-73.
    """
    n = _length(x, fs_hz)
    size = max(2, 2 * n // (WELCH_SEGMENTS + 1)) if segment is None else segment
    if not 2 <= size <= n:
        raise ValueError(f"segments of {size} samples, wanted 2 to {n}")
    window = hann(size)
    pieces = np.lib.stride_tricks.sliding_window_view(centred(x), size, axis=-1)[..., :: size - size // 2, :]
    pieces = (pieces - pieces.mean(axis=-1, keepdims=True)) * window.astype(_precision(x))
    power = squared(rfft(pieces)).mean(axis=-2)
    return np.fft.rfftfreq(size, 1 / fs_hz), power * (_sides(size) / (fs_hz * (window @ window))).astype(power.dtype)


def band_rms(x: Array, *, fs_hz: float, low_hz: float, high_hz: float) -> Array:
    """RMS of `x` in [low_hz, high_hz), in its unit, shape (...).

    NaN where the band is not assessable: the record must hold one period of `low_hz`, and `high_hz` must not exceed
    half the rate. Bands that tile the spectrum add up, as powers, to the whole (Parseval).
    """
    n = _length(x, fs_hz)
    bins = band_bins(fs_hz / n, fs_hz, low_hz, high_hz)
    if bins is None:
        return np.full(x.shape[:-1], nan)
    return np.sqrt(_mean_square(x)[..., bins].sum(axis=-1, dtype=np.float64))


# Integration


def velocity(x: Array, *, fs_hz: float, low_hz: float, high_hz: float) -> Array:
    """The velocity of [low_hz, high_hz) as a time signal, in mm/s, for `x` in g; shape of `x`. See `displacement`."""
    return _integrated(x, fs_hz, low_hz, high_hz, times=1) * MM_S2_PER_G


def displacement(x: Array, *, fs_hz: float, low_hz: float, high_hz: float) -> Array:
    """The displacement of [low_hz, high_hz) as a time signal, in µm, for `x` in g; shape of `x`, never modified.

    Each bin of the spectrum is divided by 2 pi i f (twice here, once for velocity): exact, without drift and without
    a shift in time, where summing samples has both. The spectrum takes the record for one turn of an endless loop;
    PADDING_PERIODS of silence keep its end from running into its beginning. What the record cuts off is still missing:
    of a shaft at 30 Hz in [10, 1000) Hz, the middle of a record of 0.16 s is off by 10 % of the velocity's RMS and its
    ends by 35 %; of 1 s by 4 and 16 %; the RMS of the whole by 1 to 2 % (simulated). Lines are exact: `velocity_lines`.
    NaN throughout where the band is not assessable (`band_rms`).
    """
    return _integrated(x, fs_hz, low_hz, high_hz, times=2) * UM_S2_PER_G


def _integrated(x: Array, fs_hz: float, low_hz: float, high_hz: float, *, times: int) -> Array:
    n = _length(x, fs_hz)
    if band_bins(fs_hz / n, fs_hz, low_hz, high_hz) is None:
        return np.full(x.shape, nan, _precision(x))
    padded = fast_length(n + int(PADDING_PERIODS * fs_hz / low_hz))
    spectrum = rfft(_padded(centred(x), padded))
    inside = band_bins(fs_hz / padded, fs_hz, low_hz, high_hz)
    assert inside is not None  # a longer record can show more
    gain = np.zeros(spectrum.shape[-1], spectrum.dtype)
    gain[inside] = 1j**-times * (2 * pi * fs_hz / padded * np.arange(inside.start, inside.stop)) ** -float(times)
    return irfft(spectrum * gain, padded)[..., :n]


# Lines


@dataclass(frozen=True, eq=False)
class Lines:
    """The lines of one record, made once and asked often: `velocity_lines`, `acceleration_lines` and the envelope's.

    power : mean square of the line that would be centred in each bin, in `unit`², before integration.
    floor : local median of it, which lines hardly lift as long as they take much less than half of the bins: 20 % in
    amplitude for a comb in every thirtieth bin.
    integrations : 1 for velocity lines, whose power and floor are in g².
    A line's amplitude is the root of the power of the strongest bin and its two neighbours (`HANN_LINE_POWER`), true to
    1 % wherever between two bins it lies; its frequency is interpolated from the larger neighbour, exact for a steady
    line without noise. Velocity is that amplitude divided by 2 pi times that frequency, not bin by bin: so a shaft line
    in a record of few turns reads true, too. In noise alone the ratio of a fixed bin is 1 in the median; the strongest
    of many is higher (`DISCRETE`).
    """

    spectrum: Literal["velocity", "acceleration", "envelope"]
    axis: str
    unit: str
    bin_hz: float
    bins: Array  # magnitude of each bin: amplitude RMS of a line on it
    power: Array
    floor: Array
    integrations: int = 0
    scale: float = 1.0

    @property
    def top_hz(self) -> float:
        """The highest frequency a line can be read at."""
        return (len(self.power) - 2) * self.bin_hz

    def at(self, hz: float, *, tolerance: float, name: str) -> Line | None:
        """The strongest line within hz * (1 ± tolerance), and at least a bin either way; amplitude RMS in `unit`.

        A line is a bin not below its neighbours. Where there is none in reach, but the flank of a line beyond it, what
        is read is the bin nearest to `hz` alone: the most a line could have there.
        None where this record cannot show it: below two bins, above the spectrum, or not a number.
        """
        found = self._strongest(hz - hz * tolerance, hz + hz * tolerance)
        return None if found is None else self._line(found, name)

    def harmonics(self, hz: float, count: int, *, tolerance: float, name: str) -> tuple[Line, ...]:
        """`count` multiples of `hz` that share one true frequency within the tolerance: those that can be shown.

        The true one is where the powers over their floors, capped at 40 dB so that no single line decides, are largest
        together, looked for in steps of a quarter bin of the highest harmonic. Names: "BPFO", "2×BPFO", "3×BPFO".
        """
        shared = self._shared(hz, count, tolerance)
        found = (
            self.at(k * shared, tolerance=0.0, name=name if k == 1 else f"{k}×{name}") for k in range(1, count + 1)
        )
        return tuple(line for line in found if line is not None)

    def sidebands(
        self, hz: float, spacing_hz: float, *, pairs: int, tolerance: float, name: str, of: str = ""
    ) -> tuple[Line, ...]:
        """The lines at hz ± k * spacing_hz, k up to `pairs`, each within hz * tolerance; those that can be shown.

        Names: "BPFI-1×" and "BPFI+1×", with `of` the name of the spacing where it has one: "2×BSF-1×FTF".
        """
        found = (
            self._near(hz + sign * k * spacing_hz, hz * tolerance, f"{name}{'+' if sign > 0 else '-'}{k}×{of}")
            for k in range(1, pairs + 1)
            for sign in (-1, 1)
        )
        return tuple(line for line in found if line is not None)

    def strongest(
        self, count: int, *, low_hz: float = 0.0, high_hz: float = inf, above: float = DISCRETE
    ) -> tuple[Line, ...]:
        """The `count` largest discrete lines in [low_hz, high_hz], those over `above` times their floor, largest first.

        A discrete line is a bin higher than its neighbours. Each is named by its frequency.
        """
        middle = self.bins[1:-1]
        peak = (middle > self.bins[:-2]) & (middle >= self.bins[2:]) & (self.power[1:-1] > above**2 * self.floor[1:-1])
        at = np.flatnonzero(peak) + 1
        at = at[(at >= LOWEST_BIN) & (at * self.bin_hz >= low_hz) & (at * self.bin_hz <= high_hz)]
        order = np.argsort(self.power[at] / np.maximum(at, 1) ** (2.0 * self.integrations))[::-1]
        lines = [self._line(int(bin_), "") for bin_ in at[order[:count]]]
        return tuple(
            Line(f"{line.hz:.1f} Hz", *(getattr(line, f) for f in _AFTER_NAME)) for line in lines if line is not None
        )

    def _near(self, hz: float, reach_hz: float, name: str) -> Line | None:
        found = self._strongest(hz - reach_hz, hz + reach_hz)
        return None if found is None else self._line(found, name)

    def _strongest(self, low_hz: float, high_hz: float) -> int | None:
        if not (isfinite(low_hz) and isfinite(high_hz)):
            return None
        middle = round((low_hz + high_hz) / 2 / self.bin_hz)
        if not LOWEST_BIN <= middle <= len(self.power) - 2:
            return None
        first = max(LOWEST_BIN, min(round(low_hz / self.bin_hz), middle - LINE_REACH))
        last = min(len(self.power) - 2, max(round(high_hz / self.bin_hz), middle + LINE_REACH))
        around = self.bins[first - 1 : last + 2]
        peaks = np.flatnonzero((around[1:-1] >= around[:-2]) & (around[1:-1] >= around[2:]))
        return middle if len(peaks) == 0 else first + int(peaks[np.argmax(self.power[first + peaks])])

    def _line(self, at: int, name: str) -> Line | None:
        below, middle, above = self.bins[at - 1 : at + 2].tolist()
        own = middle >= below and middle >= above
        power, floor = float(self.power[at]) if own else middle**2, float(self.floor[at])
        if not isfinite(power):
            return None
        hz = (at + (_off_centre(below, middle, above) if own else 0.0)) * self.bin_hz
        gain = self.scale / (2 * pi * hz) ** self.integrations
        return Line(name, self.spectrum, self.axis, hz, sqrt(power) * gain, sqrt(floor) * gain, self.unit)

    def _shared(self, hz: float, count: int, tolerance: float) -> float:
        shown = max(1, min(count, int(self.top_hz / (hz * (1 + tolerance))))) if hz > 0 else 1
        steps = max(1, int(np.ceil(4 * tolerance * hz * shown / self.bin_hz))) if isfinite(hz) else 1
        tries = hz * (1 + tolerance * np.linspace(-1, 1, 2 * steps + 1))
        places = np.rint(np.outer(tries, np.arange(1, shown + 1)) / self.bin_hz)
        if not (np.isfinite(places).all() and places.min() >= LOWEST_BIN and places.max() <= len(self.power) - 2):
            return hz
        at = places.astype(np.intp)
        with np.errstate(divide="ignore", invalid="ignore"):
            over = np.clip(np.nan_to_num(np.log(self.power[at] / self.floor[at])), 0, np.log(1e4)).sum(axis=-1)
        best = np.flatnonzero(over >= over.max() * (1 - 1e-12))
        return float(tries[best[len(best) // 2]])


_AFTER_NAME = ("spectrum", "axis", "hz", "amplitude", "floor", "unit")


def acceleration_lines(x: Array, *, fs_hz: float, axis: str = "") -> Lines:
    """The acceleration lines, in g, of one record in g, shape (n,), n >= 2; never modified. Errors as `amplitude`."""
    return _of_record(x, fs_hz, "acceleration", axis, "g", 0, 1.0)


def velocity_lines(x: Array, *, fs_hz: float, axis: str = "") -> Lines:
    """The velocity lines, in mm/s, of one record in g, shape (n,), n >= 2; never modified. Errors as `amplitude`."""
    return _of_record(x, fs_hz, "velocity", axis, "mm/s", 1, MM_S2_PER_G)


def _of_record(
    x: Array,
    fs_hz: float,
    spectrum: Literal["velocity", "acceleration"],
    axis: str,
    unit: str,
    integrations: int,
    scale: float,
) -> Lines:
    _, peak = amplitude(x, fs_hz=fs_hz)
    return lines_of(
        peak.astype(np.float64) / sqrt(2),
        bin_hz=fs_hz / x.shape[-1],
        spectrum=spectrum,
        axis=axis,
        unit=unit,
        integrations=integrations,
        scale=scale,
    )


def lines_of(
    rms: Array,
    *,
    bin_hz: float,
    spectrum: Literal["velocity", "acceleration", "envelope"],
    axis: str,
    unit: str,
    integrations: int = 0,
    scale: float = 1.0,
) -> Lines:
    """Lines of a Hann-windowed spectrum: `rms`, shape (bins,), is the RMS of a line that lies on each bin."""
    square = rms * rms
    power = square.copy()
    power[1:] += square[:-1]
    power[:-1] += square[1:]
    power /= HANN_LINE_POWER
    return Lines(spectrum, axis, unit, bin_hz, rms, power, local_median(power, FLOOR_BINS), integrations, scale)


def local_median(values: Array, width: int) -> Array:
    """The median of about `width` values around each of `values`, shape (m,): half-overlapping blocks, then straight
    lines between their middles. The bins below LOWEST_BIN, which the removed mean has emptied, take no part.
    """
    usable = values[LOWEST_BIN:]
    if len(usable) <= width:
        return np.full(len(values), np.median(usable) if len(usable) else nan)
    step = width // 2
    starts = np.arange(0, len(usable) - width + 1, step)
    if starts[-1] + width < len(usable):
        starts = np.append(starts, len(usable) - width)
    blocks = np.lib.stride_tricks.sliding_window_view(usable, width)[starts]
    medians = np.partition(blocks, (step - 1, step), axis=-1)[:, step - 1 : step + 1].mean(axis=-1)
    return np.interp(np.arange(len(values)), starts + LOWEST_BIN + (width - 1) / 2, medians)


def frequency_peaks(
    x: Array, *, fs_hz: float, count: int = 10, low_hz: float = 0.0, high_hz: float = inf
) -> tuple[Line, ...]:
    """The largest discrete lines of one record in g, amplitudes RMS in g, frequencies interpolated, largest first."""
    return acceleration_lines(x, fs_hz=fs_hz).strongest(count, low_hz=low_hz, high_hz=high_hz)


# One number for the whole


def centroid_hz(x: Array, *, fs_hz: float) -> Array:
    """Where the power of `x` lies in the mean, in Hz, shape (...); NaN where nothing moves. ISO 13373-2."""
    n = _length(x, fs_hz)
    power = _mean_square(x)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (power @ np.fft.rfftfreq(n, 1 / fs_hz).astype(power.dtype)) / power.sum(axis=-1)


def entropy(x: Array, *, fs_hz: float) -> Array:
    """How evenly the density of `x` is spread, shape (...): 0 for one line, 1 for a flat spectrum; NaN if still.

    Shannon's entropy of the Welch density, whose bins are averages (those of a single record's spectrum scatter so
    much that flat noise would give 0.95), over the logarithm of their number.
    """
    _, power = density(x, fs_hz=fs_hz)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = power / power.sum(axis=-1, keepdims=True)
        terms = np.where(share > 0, share * np.log(np.where(share > 0, share, 1)), np.where(np.isnan(share), nan, 0))
        return -terms.sum(axis=-1) / np.log(power.shape[-1])


def harmonic_content(x: Array, *, fs_hz: float, speed_hz: float, tolerance: float = 0.02) -> float:
    """Harmonics 2 to HARMONICS of the shaft over its 1×, velocity RMS, of one record in g, shape (n,).

    The total harmonic distortion of the shaft's motion: 0 for pure imbalance. Orders that the record cannot show are
    left out; NaN where it cannot show 1×, or that is 0.
    """
    lines = velocity_lines(x, fs_hz=fs_hz)
    first = lines.at(speed_hz, tolerance=tolerance, name="1×")
    if first is None or first.amplitude == 0:
        return nan
    others = (lines.at(k * first.hz, tolerance=0.0, name=f"{k}×") for k in range(2, HARMONICS + 1))
    return sqrt(sum(line.amplitude**2 for line in others if line is not None)) / first.amplitude


def noise_floor(x: Array, *, fs_hz: float) -> Array:
    """The level of the noise under the lines, in unit/√Hz, shape (...): the median of the Welch density, as a root.

    The median of an average of m densities, of which noise alone is chi-squared with 2 m degrees of freedom, is below
    the mean by (1 - 1/(9 m))³ (Wilson and Hilferty 1931); it is divided by that. m is 0.947 of the number of pieces:
    half-overlapping Hann pieces share some of their noise (Welch 1967: 1 / (1 + 2 (1/6)²)).
    """
    size = max(2, 2 * _length(x, fs_hz) // (WELCH_SEGMENTS + 1))
    _, power = density(x, fs_hz=fs_hz, segment=size)
    pieces = 1 + (x.shape[-1] - size) // (size - size // 2)
    averages = 0.947 * pieces
    return np.sqrt(np.median(power, axis=-1) / (1 - 1 / (9 * averages)) ** 3)


# Pieces


@lru_cache(maxsize=16)
def hann(n: int) -> Array:
    """The periodic Hann window of n samples, float64, read-only: sum n / 2, sum of squares 3 n / 8, exactly."""
    window = np.hanning(n + 1)[:-1] if n > 1 else np.ones(n)
    window.flags.writeable = False
    return window


def centred(x: Array) -> Array:
    """`x` without its mean, in its own precision (integers: float64); exactly 0 where a record is constant."""
    work = _precision(x)
    with np.errstate(invalid="ignore", over="ignore"):
        moving: Array = np.subtract(x, x.mean(axis=-1, dtype=np.float64, keepdims=True).astype(work), dtype=work)
    still = x.min(axis=-1) == x.max(axis=-1)
    if np.any(still):
        moving[still] = 0
    return moving


def _padded(x: Array, length: int) -> Array:
    longer = np.zeros((*x.shape[:-1], length), x.dtype)
    longer[..., : x.shape[-1]] = x
    return longer


def _mean_square(x: Array) -> Array:
    """Each bin's part of the mean square of `x`: of the windowed record, over that of the window."""
    n = x.shape[-1]
    window = hann(n)
    power = squared(rfft(centred(x) * window.astype(_precision(x))))
    return power * (_sides(n) / (n * (window @ window))).astype(power.dtype)


def _sides(n: int) -> Array:
    """2 for each bin that stands for two, 1 for 0 Hz and for half the rate."""
    sides = np.full(n // 2 + 1, 2.0)
    sides[0] = 1
    if n % 2 == 0:
        sides[-1] = 1
    return sides


def _off_centre(below: float, middle: float, above: float) -> float:
    """How far from its highest bin a line lies, in bins, from the larger neighbour; exact for a Hann window.

    Off by d it reads sinc(d) / (1 - d²) there, and the same at 1 - d beside it: their ratio r = (1 + d) / (2 - d) gives
    d = (2 r - 1) / (r + 1) (Grandke, IEEE Trans. Instrum. Meas. 32 (1983) 350-355).
    """
    if middle <= 0:
        return 0.0
    side, ratio = (1, above / middle) if above >= below else (-1, below / middle)
    return side * min(0.5, max(-0.5, (2 * ratio - 1) / (ratio + 1)))


def _precision(x: Array) -> np.dtype[Any]:
    return x.dtype if x.dtype in (np.float32, np.float64) else np.dtype(np.float64)


def _length(x: Array, fs_hz: float) -> int:
    if not 0 < fs_hz < inf:
        raise ValueError(f"sampling rate {fs_hz} Hz, wanted a positive number")
    if x.shape[-1] < 2:
        raise ValueError(f"a record of {x.shape[-1]} samples, wanted at least 2")
    return x.shape[-1]
