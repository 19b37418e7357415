"""Envelopes of a band: where a record is impulsive (the kurtogram), and how often something strikes (their spectrum).

The analytic signal of a band is the inverse FFT of the band's own bins alone ("zoom"): complex, and sampled at the
band's width instead of the record's rate, so that a narrow band costs little.
R. B. Randall, J. Antoni, "Rolling element bearing diagnostics: a tutorial", MSSP 25 (2011) 485-520.
"""

from dataclasses import dataclass
from math import nan, sqrt

import numpy as np

from telltale.core.fft import fast_length, ifft, rfft, squared
from telltale.core.findings import Line
from telltale.core.spectrum import Array, Lines, centred, hann, lines_of

SLIP = 0.02  # a defect line is looked for this far around its kinematic frequency: slip, geometry, speed error

LEAST_BAND_SAMPLES = 64  # of a band's envelope: its kurtosis then scatters by 0.25 in noise; a guess
LEAST_BAND_HZ = 500.0  # a resonance that is struck is 0.5 to 2 kHz wide (practice): narrower bands cut its ringing off
MOST_BANDS = 64  # of a level; deeper ones find single tones and single shocks
TAPER = 0.05  # of the record at either end: without it the jump from its end to its beginning rings in every band
SIGNIFICANT = 6.0  # standard deviations: the most impulsive band of noise gets there in 1 record of 100 (simulated)


@dataclass(frozen=True)
class Band:
    """One band of a kurtogram. `kurtosis` : excess of its complex envelope, 0 for noise, -1 for a steady tone.

    sigma : what the kurtosis of Gaussian noise scatters by in a band of this width and a record of this length.
    """

    low_hz: float
    high_hz: float
    kurtosis: float
    sigma: float

    @property
    def significance(self) -> float:
        """How many standard deviations of noise it stands above noise."""
        return self.kurtosis / self.sigma


@dataclass(frozen=True)
class Kurtogram:
    """The kurtosis of every band of a record, level by level from one band to many; none if it cannot be computed."""

    bands: tuple[Band, ...]
    choice: Band | None

    @property
    def best(self) -> tuple[float, float] | None:
        """The band to take the envelope of, (low_hz, high_hz)."""
        return None if self.choice is None else (self.choice.low_hz, self.choice.high_hz)

    @property
    def kurtosis(self) -> float:
        """Of the best band; NaN without one."""
        return nan if self.choice is None else self.choice.kurtosis

    @property
    def significant(self) -> bool:
        """Whether the best band is more impulsive than noise gets by chance."""
        return self.choice is not None and self.choice.significance >= SIGNIFICANT


def kurtogram(x: Array, *, fs_hz: float, low_hz: float = 0.0, high_hz: float | None = None) -> Kurtogram:
    """Where a record is impulsive. The band with the largest kurtosis that noise would not have is chosen.

    x : shape (n,), any unit; never modified.   low_hz, high_hz : bands that reach outside are not chosen (nor are
    bands whose kurtosis is not known); the default is everything up to half the rate.
    The bands halve and third as in the fast kurtogram: 1, 2, 3, 4, 6, 8, ... of equal width. The kurtosis of M
    envelope samples p = |a|² is (M + 1) / (M - 1) (mean p² / mean(p)² - 1) - 1: 0 in the mean for Gaussian noise
    however short the band, where the plain mean p² / mean(p)² - 2 is low by 2 / (M + 1). It scatters by
    sqrt(4 M² / ((M - 1) (M + 2) (M + 3))) then. Chosen is the largest kurtosis minus SIGNIFICANT scatters, so that
    narrow bands do not win by chance.
    Empty for a record that is too short (fewer than 4 LEAST_BAND_SAMPLES), does not move, or holds a NaN.
    J. Antoni, MSSP 21 (2007) 108-124; G. M. Nita, D. E. Gary, PASP 122 (2010) 595-607.
    """
    n = x.shape[-1] // 2 * 2
    if n < 4 * LEAST_BAND_SAMPLES:
        return Kurtogram((), None)
    moving = centred(x[:n])
    spectrum = rfft(moving * _taper(n).astype(moving.dtype))[: n // 2]
    if not np.isfinite(spectrum).all() or not spectrum.any():
        return Kurtogram((), None)
    bands = tuple(band for count in _levels(n, fs_hz) for band in _level(spectrum, count, fs_hz / n))
    top = fs_hz / 2 if high_hz is None else high_hz
    inside = [band for band in bands if band.low_hz >= low_hz and band.high_hz <= top * (1 + 1e-9)]
    usable = [band for band in inside if band.kurtosis == band.kurtosis]
    return Kurtogram(bands, max(usable, key=lambda band: band.kurtosis - SIGNIFICANT * band.sigma, default=None))


def _levels(n: int, fs_hz: float) -> list[int]:
    """1, 2, 3, 4, 6, 8, ... bands, as many as leave each long and wide enough."""
    counts = sorted({1} | {factor << k for factor in (2, 3) for k in range(MOST_BANDS.bit_length())})
    most = min(MOST_BANDS, n // 2 // LEAST_BAND_SAMPLES, int(fs_hz / 2 / LEAST_BAND_HZ))
    return [count for count in counts if count <= max(1, most)]


def _level(spectrum: Array, count: int, bin_hz: float) -> list[Band]:
    """The bands of one level; the few bins that do not divide are left over at the top."""
    size = len(spectrum) // count
    envelope = ifft(spectrum[: size * count].reshape(count, size))
    square = squared(envelope)
    edge = -(-size * TAPER // 1)
    square = square[:, int(edge) : size - int(edge)].astype(np.float64)
    kept = square.shape[-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.vecdot(square, square) / kept / square.mean(axis=-1) ** 2
    kurtosis = (kept + 1) / (kept - 1) * (ratio - 1) - 1
    sigma = sqrt(4 * kept**2 / ((kept - 1) * (kept + 2) * (kept + 3)))
    width = size * bin_hz
    return [Band(i * width, (i + 1) * width, value, sigma) for i, value in enumerate(kurtosis.tolist())]


def _taper(n: int) -> Array:
    """Ones with raised-cosine ends (Tukey)."""
    edge = max(1, int(n * TAPER))
    rise = 0.5 - 0.5 * np.cos(np.pi * np.arange(edge) / edge)
    return np.concatenate([rise, np.ones(n - 2 * edge), rise[::-1]])


# The envelope and its spectrum


def analytic(x: Array, *, fs_hz: float, low_hz: float, high_hz: float) -> tuple[Array, float]:
    """The analytic signal of the band, complex, shape (..., m), in the unit of `x`; and its sampling rate in Hz.

    x : shape (..., n), time last; never modified. Its magnitude is the envelope: the amplitude of what rings in the
    band, peak. It is sampled at twice the band's width or a little more, so that its square has no aliases, and shifted
    down in frequency, which leaves the magnitude as it is. Equal to scipy.signal.hilbert of the record whose bins
    outside the band are 0 (0 Hz itself always is). ValueError if the band is not inside [0, fs_hz / 2] or narrower than
    two bins.
    """
    n = x.shape[-1]
    if not (0 <= low_hz < high_hz <= fs_hz / 2 * (1 + 1e-9)):
        raise ValueError(f"band {low_hz}-{high_hz} Hz at {fs_hz} Hz, wanted it between 0 and half the rate")
    first, last = max(1, round(low_hz * n / fs_hz)), min(round(high_hz * n / fs_hz), (n + 1) // 2)
    if last - first < 2:
        raise ValueError(f"band {low_hz}-{high_hz} Hz of {n} samples at {fs_hz} Hz, wanted two bins of it or more")
    points = fast_length(2 * (last - first))
    band = rfft(centred(x))[..., first:last]
    return ifft(band, points) * (2 * points / n), fs_hz * points / n


@dataclass(frozen=True, eq=False)
class EnvelopeSpectrum:
    """The spectrum of the squared envelope of one band.

    lines : its lines in g RMS.   mean : mean square of the envelope, g².   kurtosis : of it, 2 for noise.
    A line of the squared envelope, in g², is divided by twice the RMS of the envelope: for a carrier of amplitude A
    whose amplitude swings by a share m it reads A m / √2, the RMS of the swing, and for small m that is what the plain
    envelope's spectrum shows.
    """

    band_hz: tuple[float, float]
    lines: Lines
    mean: float
    kurtosis: float

    @property
    def hz(self) -> Array:
        """The frequency of each of `amplitude`, in Hz."""
        return np.arange(len(self.lines.bins)) * self.lines.bin_hz

    @property
    def amplitude(self) -> Array:
        """For a picture: RMS in g of a line on each bin."""
        return self.lines.bins

    def line(self, hz: float, *, slip: float = SLIP, name: str) -> Line | None:
        """The strongest line within hz * (1 ± slip); None where the record cannot show it."""
        return self.lines.at(hz, tolerance=slip, name=name)

    def harmonics(self, hz: float, count: int, *, slip: float = SLIP, name: str) -> tuple[Line, ...]:
        """`count` multiples of `hz` with one slip between them: those that can be shown."""
        return self.lines.harmonics(hz, count, tolerance=slip, name=name)

    def sidebands(
        self, hz: float, spacing_hz: float, *, pairs: int = 1, name: str, of: str = "", slip: float = 0.0
    ) -> tuple[Line, ...]:
        """The lines at hz ± k * spacing_hz; `hz` the line as found, so that it needs no slip of its own."""
        return self.lines.sidebands(hz, spacing_hz, pairs=pairs, tolerance=slip, name=name, of=of)

    def depth(self, line: Line) -> float:
        """The amplitude of a line as a share of the envelope's RMS: 0 for none, m / √2 for a carrier that swings by m.

        Of no unit, and the same whatever the gain of the sensor and the length of the record.
        """
        return line.amplitude / sqrt(self.mean) if self.mean > 0 else nan


def spectrum(x: Array, *, fs_hz: float, low_hz: float, high_hz: float, axis: str = "") -> EnvelopeSpectrum:
    """The squared envelope spectrum of [low_hz, high_hz) of one record in g, shape (n,); never modified.

    Its mean is removed and a Hann window laid over it, which also hides the seam between the record's end and its
    beginning; it reaches from 0 to the band's width. ValueError as `analytic`.
    """
    signal, rate_hz = analytic(x, fs_hz=fs_hz, low_hz=low_hz, high_hz=high_hz)
    square = signal.real.astype(np.float64) ** 2 + signal.imag.astype(np.float64) ** 2
    mean = float(square.mean())
    window = hann(len(square))
    reach = int((high_hz - low_hz) / rate_hz * len(square)) + 1
    line = np.abs(rfft((square - mean) * window))[:reach] * (sqrt(2) / window.sum())
    in_g = line / (2 * sqrt(mean)) if mean > 0 else line
    return EnvelopeSpectrum(
        (low_hz, high_hz),
        lines_of(in_g, bin_hz=rate_hz / len(square), spectrum="envelope", axis=axis, unit="g"),
        mean,
        float(np.mean(square**2)) / mean**2 if mean > 0 else nan,
    )
