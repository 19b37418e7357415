"""Families of equally spaced lines, from the cepstrum: sidebands and harmonics gathered into one number each.

A family of lines spaced by f ripples the logarithm of the spectrum with period f. The cepstrum is the spectrum of that
logarithm: the ripple is a peak ("rahmonic") at the quefrency 1 / f, with echoes at 2 / f, 3 / f, whatever path the
vibration took to the sensor, for a path only adds something smooth.
R. B. Randall, "A history of cepstrum analysis and its application to mechanical problems", MSSP 97 (2017) 3-19.
"""

from dataclasses import dataclass
from math import log, pi, sqrt

import numpy as np

from telltale.core.fft import fast_length, irfft, rfft
from telltale.core.spectrum import LOWEST_BIN, Array, centred, hann

LEAST_PERIODS = 5.0  # of the spacing a record must hold: below, the 4 bins of a line's Hann lobe fill the gaps
LEAST_SPACINGS = 4.0  # the band must hold: fewer lines are no family
LEAST_MAGNITUDE = 1e-6  # of the largest: float32 knows nothing below, and a logarithm would make much of it
LOG_VARIANCE = pi**2 / 24  # of the logarithm of the magnitude of Gaussian noise: that of its power is pi² / 6
HANN_SHARES = 1.65  # neighbouring bins share noise (Li2(4/9) and Li2(1/36) over pi² / 6, twice each, and 1)
CHANCE = 0.01  # for noise to show a family
PAD = 2  # places looked at in each step of quefrency
SAME = 0.02  # how near to a multiple of a quefrency an echo lies
ECHO = 2.0  # an echo may be so much stronger than the first: of two peaks like that the second is its own family
MOST = 5


@dataclass(frozen=True)
class Family:
    """Lines spaced by `spacing_hz`.

    strength : the ripple of the logarithm of the magnitude, peak, in nepers (1 Np = 8.7 dB).
    ratio : strength over the RMS of the ripple that noise has there.
    """

    spacing_hz: float
    strength: float
    ratio: float


def real(x: Array, *, fs_hz: float) -> tuple[Array, Array]:
    """Quefrencies in seconds, shape (n,), and the real cepstrum in nepers, shape (..., n); n is made even.

    x : shape (..., n), n >= 2; never modified; Hann-windowed, without its mean. The value at 0 s is the mean of the
    logarithm: a gain changes that and nothing else. NaN for a record that does not move or holds a NaN.
    ValueError for fewer than two samples.
    """
    n = x.shape[-1] // 2 * 2
    if n < 2:
        raise ValueError(f"a record of {x.shape[-1]} samples, wanted at least 2")
    return np.arange(n) / fs_hz, irfft(_log_magnitude(x[..., :n]).astype(np.complex128), n)


def sideband_families(
    x: Array,
    *,
    fs_hz: float,
    low_spacing_hz: float,
    high_spacing_hz: float,
    low_hz: float = 0.0,
    high_hz: float | None = None,
) -> tuple[Family, ...]:
    """Families of lines with spacings in [low_spacing_hz, high_spacing_hz], the strongest first, at most MOST.

    x : one record, shape (n,), any unit; never modified.   low_hz, high_hz : where the lines are looked for, the whole
    spectrum unless said. A gear's sidebands ripple the spectrum around its mesh only: look there.
    The cepstrum is that of this band alone, in magnitude, so that the lines need not be multiples of their spacing.
    Its noise is known: m bins of noise have a ripple of RMS sqrt(4 / m * 1.5 * LOG_VARIANCE * HANN_SHARES), with the
    1.5 for the Hann window laid over them; where the median of what is found says more, that is taken. A family is a
    peak that noise would have among the quefrencies looked at with a chance of CHANCE at most. Its echoes, at a half,
    a third, ... of its spacing, are not named again.
    Empty where record and band hold no such spacing (LEAST_PERIODS, LEAST_SPACINGS), nothing moves, or it holds a NaN.
    """
    n = x.shape[-1] // 2 * 2
    if n < 2 * LEAST_PERIODS:
        return ()
    bin_hz = fs_hz / n
    first = max(LOWEST_BIN, round(low_hz / bin_hz))
    last = round((fs_hz / 2 if high_hz is None else min(high_hz, fs_hz / 2)) / bin_hz)
    lowest = max(low_spacing_hz, LEAST_PERIODS * bin_hz)
    highest = min(high_spacing_hz, (last - first) * bin_hz / LEAST_SPACINGS)
    if not 0 < lowest < highest:
        return ()
    logarithm = _log_magnitude(x[:n])[first:last]
    if not np.isfinite(logarithm).all():
        return ()
    ripple, step_s = _ripple(logarithm, bin_hz)
    return _families(ripple, step_s, (last - first) * bin_hz, last - first, lowest, highest)


def _log_magnitude(x: Array) -> Array:
    magnitude = np.abs(rfft(centred(x) * hann(x.shape[-1]))).astype(np.float64)
    largest = magnitude.max(axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(np.where(largest > 0, np.maximum(magnitude, LEAST_MAGNITUDE * largest), np.nan))


def _ripple(logarithm: Array, bin_hz: float) -> tuple[Array, float]:
    """Peak of the ripple at each quefrency, and the step of these in seconds."""
    window = hann(len(logarithm))
    padded = np.zeros(fast_length(PAD * len(logarithm)))
    padded[: len(logarithm)] = (logarithm - logarithm.mean()) * window
    return np.abs(rfft(padded)) * (2 / window.sum()), 1 / (len(padded) * bin_hz)


def _families(
    ripple: Array, step_s: float, width_hz: float, bins: int, lowest: float, highest: float
) -> tuple[Family, ...]:
    first = max(1, int(np.ceil(1 / highest / step_s)))
    last = min(len(ripple) - 2, int(1 / lowest / step_s))
    if last < first:
        return ()
    looked_at = ripple[first : last + 1]
    noise = max(sqrt(4 / bins * 1.5 * LOG_VARIANCE * HANN_SHARES), float(np.median(looked_at)) / sqrt(log(2)))
    independent = max(1.0, (1 / lowest - 1 / highest) * width_hz)
    enough = noise * sqrt(log(independent / CHANCE))  # noise: |ripple|² / noise² is exponential
    peak = (looked_at > ripple[first - 1 : last]) & (looked_at >= ripple[first + 1 : last + 2]) & (looked_at > enough)
    found: list[tuple[float, float]] = []
    for at in (np.flatnonzero(peak) + first).tolist():
        quefrency, strength = _interpolated(ripple, at)
        if not any(_is_echo(quefrency / other, strength / theirs) for other, theirs in found):
            found.append((quefrency, strength))
    found.sort(key=lambda one: -one[1])
    return tuple(Family(1 / (quefrency * step_s), strength, strength / noise) for quefrency, strength in found[:MOST])


def _is_echo(times: float, strength: float) -> bool:
    return abs(times - round(times)) < SAME * times and strength < ECHO


def _interpolated(ripple: Array, at: int) -> tuple[float, float]:
    """Place and height of a peak, by a parabola through it and its neighbours."""
    below, middle, above = ripple[at - 1 : at + 2].tolist()
    curve = below - 2 * middle + above
    off = 0.0 if curve == 0 else (below - above) / (2 * curve)
    return at + off, middle - (below - above) * off / 4
