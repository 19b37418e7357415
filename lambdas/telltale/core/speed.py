"""How fast a shaft turns, from the lines it leaves in its vibration, where no tachometer says so.

A shaft leaves lines at 1×, 2×, 3× of its speed and nothing between them. Two things are asked of every speed that could
be: do its harmonics stand above what is half-way between them (which a speed of twice the true one fails, whose
half-ways are lines, and half of it, whose odd harmonics are none); and how much of the displacement do its harmonics
explain (which the combs of a few high lines fail, a bearing's among them: what moves furthest is the shaft).
"""

from dataclasses import dataclass
from math import erfc, exp, log, sqrt

import numpy as np

from telltale.core.fft import fast_length, ifft, irfft, rfft, squared
from telltale.core.spectrum import DISCRETE, Array, acceleration_lines, centred, hann, local_median

LEAST_TURNS = 5.0  # in a record: with fewer, the lobes of neighbouring harmonics leave nothing half-way
HARMONICS = 3  # whose contrast is asked for: imbalance, misalignment and looseness show in these (ISO 13373-3)
EXPLAINING = 6  # harmonics that explain the displacement
CONTRAST_CAP = log(100.0)  # 20 dB: no single line decides
HALF_ORDERS = (
    1.0  # contrast (4 dB) of each harmonic of twice a speed from which that is the shaft: looseness, half orders
)
PAD = 4  # places looked at in each bin; the Hann lobe is 0.1 dB flat over an eighth of a bin
SAME = 0.04  # share by which another candidate must differ to be a rival

# Confidence, a logistic curve fitted to simulated machines: see `estimate`.
OFFSET, PER_MARGIN, PER_SCORE, PER_TURNS = -5.0, 0.15, 1.33, 0.16
MARGIN_CAP, TURNS_CAP = 3.0, 30.0

REFINE_TURNS = 100.0  # in a record: a bin is then 1 % of the speed, and an eighth of it at the eighth harmonic
REFINE_HARMONICS = 8
REFINE_WITHIN = 0.03  # a stated speed is wrong by 1 to 2 % (measured: nameplate and log-book speeds)
REFINE_BANDS = 7  # of a quarter of half the rate each, half overlapping
REFINE_CAP = 6.0  # of the logarithm of a line over the noise (26 dB in power): no single line decides
REFINED_FROM = 0.9  # confidence of a refined speed from which it is used: by noise once in ten (guess)
REFINE_CLEAR = 0.4  # mean logarithm over the noise (1.7 dB): real machines reach 0.5 to 4.6, noise in one band 0.1
FLOOR_ORDERS = 2  # the noise of an envelope's line is the median over this many orders
LEFT_OUT = 2  # harmonics, the strongest: see `refine`
STRONGEST = 2.28  # standard deviations that the two largest of eight normal values lie above the mean, together
SHARED = 1.6  # half-overlapping bands share noise: that the variance of their sum is this much more was simulated
LOG_EXPONENTIAL = (-0.5772, 1.6449)  # mean (less Euler's constant) and variance (pi² / 6) of the log of noise's power


@dataclass(frozen=True)
class SpeedEstimate:
    """A shaft speed. confidence : 0 to 1, as the function that made it says.   harmonics : orders with a line."""

    hz: float
    confidence: float
    harmonics: tuple[int, ...]


def estimate(x: Array, *, fs_hz: float, low_hz: float, high_hz: float) -> SpeedEstimate | None:
    """The most likely shaft speed in [low_hz, high_hz], from all axes of a record together.

    x : shape (..., n), one record or its axes, any unit; never modified. Speeds of which the record holds fewer than
    LEAST_TURNS are not looked for. None if that leaves none, or nothing moves, or no axis is free of NaN.

    confidence : of estimates with this confidence, so large a share is within 2 % of the shaft's speed. The curve was
    fitted to 1,200 simulated machines of every kind and fault, and noise among them, searched from 5 to 100 Hz; of
    1,200 others the share that was right was 0.1 less at the worst, and 0.17 more. It grows with the contrast of the
    harmonics and what they explain, the distance to the next speed that would do, and the turns in the record. Noise
    stays below 0.3. It cannot know of what a record shows nothing: half orders as strong as the orders are taken for
    the shaft, and so are the lines of a bearing in its last days, where they move further than the shaft.
    """
    n = x.shape[-1]
    low_hz = max(low_hz, LEAST_TURNS * fs_hz / n) if n else low_hz
    axes = _moving_axes(x)
    if n < 16 or len(axes) == 0 or not low_hz < high_hz <= fs_hz / 2:
        return None
    slow, slow_fs_hz = _slow(axes, fs_hz, min(fs_hz / 2, (REFINE_HARMONICS + 1) * high_hz))
    comb = _comb(slow, slow_fs_hz, low_hz, high_hz)
    best = int(np.argmax(comb.score))
    chosen = _without_half_orders(comb, best)
    rivals = np.abs(comb.hz / comb.hz[chosen] - 1) > SAME
    if chosen != best:
        rivals &= np.abs(comb.hz / comb.hz[best] - 1) > SAME
    margin = float(comb.score[best] - comb.score[rivals].max(initial=-CONTRAST_CAP))
    hz, harmonics = _interpolated(slow, slow_fs_hz, float(comb.hz[chosen]))
    return SpeedEstimate(hz, _confidence(margin, float(comb.score[best]), n / fs_hz * hz), harmonics)


def refine(x: Array, *, fs_hz: float, near_hz: float, within: float = REFINE_WITHIN) -> SpeedEstimate | None:
    """The shaft speed within near_hz * (1 ± within), from what it modulates, in a record of REFINE_TURNS or more.

    x : shape (..., n), one record or its axes, any unit; never modified. Runs of many turns let the envelope of every
    band show the shaft as lines too faint for the eye: their logarithms over the noise around them are summed over
    bands, axes and all but the two strongest of REFINE_HARMONICS harmonics, and the speed where the sum is highest is
    taken. Two are left out so that no bearing decides: three times a speed that is 2 % off may be an outer race's
    frequency, and six times twice that; races have at least 2.6 lines a turn (7 elements), so no three in eight orders.

    confidence : the chance that noise alone would have made the sum so high at none of the speeds looked at; on the
    safe side (half of the simulated noise gets less than 0.02, 1 in 40 more than 0.8). 0 where the harmonics stand less
    than REFINE_CLEAR over the noise: in many bands traces of other lines are no noise either.
    None for a shorter record (ask `estimate` with a narrow range), if nothing moves, or no axis is free of NaN.
    """
    n = x.shape[-1]
    if not 0 < near_hz < fs_hz / (8 * REFINE_HARMONICS) or n / fs_hz * near_hz < REFINE_TURNS:
        return None
    bin_hz = fs_hz / n
    spectra = [
        _envelope_lines(band, int(np.ceil((REFINE_HARMONICS + 1) * near_hz * (1 + within) / bin_hz)))
        for axis in _moving_axes(x)
        for band in _white_bands(axis, max(8, round(near_hz / bin_hz)))
    ]
    if not spectra:
        return None
    span = max(8, round(FLOOR_ORDERS * near_hz / bin_hz))
    over = np.sum([_over_noise(power, span) for power in spectra], axis=0)
    steps = int(np.ceil(within * near_hz * REFINE_HARMONICS * PAD / bin_hz))
    tries = near_hz * (1 + within * np.linspace(-1, 1, 2 * steps + 1))
    at = np.rint(np.outer(tries, np.arange(1, REFINE_HARMONICS + 1)) / bin_hz).astype(np.intp)
    found = over[at]
    score = np.sort(found, axis=-1)[:, : REFINE_HARMONICS - LEFT_OUT].sum(axis=-1)
    best = np.flatnonzero(score >= score.max() - 1e-9)
    standing = over[at[best[0]]] / len(spectra)
    clear = score.max() >= REFINE_CLEAR * len(spectra) * (REFINE_HARMONICS - LEFT_OUT)
    return SpeedEstimate(
        float(tries[best].mean()),
        _not_noise(float(score.max()), len(spectra), 2 * steps + 1) if clear else 0.0,
        tuple(k for k, value in enumerate(standing.tolist(), 1) if value > 1),
    )


def _white_bands(axis: Array, floor_bins: int) -> list[Array]:
    """REFINE_BANDS bands of the spectrum, each bin over the noise around it: no resonance outweighs the rest."""
    spectrum = rfft(axis)
    power = squared(spectrum)
    white = spectrum / np.sqrt(np.maximum(local_median(power, floor_bins), 1e-12 * power.max()))
    eighth = len(white) // 8
    return [white[i * eighth : (i + 2) * eighth] for i in range(REFINE_BANDS)]


def _envelope_lines(band: Array, bins: int) -> Array:
    """Power of the lines of a band's squared envelope, up to so many bins of the record."""
    envelope = ifft(band, fast_length(len(band) + bins))  # short: what folds back stays above those bins
    square = squared(envelope)
    spectrum = rfft(square - square.mean())[: bins + 1]
    return np.asarray(squared(spectrum), np.float64) + 1e-300


def _over_noise(power: Array, span: int) -> Array:
    """Logarithm of the power over the mean of the noise around it, which is its median over ln 2; capped."""
    return np.minimum(np.log(power * log(2) / local_median(power, span)), REFINE_CAP)


def _not_noise(score: float, spectra: int, tries: int) -> float:
    """The chance that noise reaches the score at none of `tries` speeds; sums of logarithms are taken for normal."""
    mean, variance = LOG_EXPONENTIAL
    scatter = sqrt(spectra * variance * SHARED)  # of the sum of one harmonic
    usual = (REFINE_HARMONICS - LEFT_OUT) * spectra * mean - STRONGEST * scatter
    above = (score - usual) / (scatter * sqrt(REFINE_HARMONICS - LEFT_OUT))
    return (1 - erfc(above / sqrt(2)) / 2) ** tries


@dataclass(frozen=True, eq=False)
class _Comb:
    hz: Array
    contrast: Array  # (EXPLAINING, speeds), mean over axes, capped
    score: Array


def _comb(axes: Array, fs_hz: float, low_hz: float, high_hz: float) -> _Comb:
    n = axes.shape[-1]
    power, step_hz = _power(axes, fs_hz)
    hz = np.arange(low_hz, high_hz, fs_hz / n / (PAD * EXPLAINING))
    at = np.rint(np.outer(np.arange(1, 2 * EXPLAINING + 2) / 2, hz) / step_hz).astype(np.intp)
    known = at < power.shape[-1] - 1
    at[~known] = 0
    found = np.log(power)[:, at]
    contrast = np.clip(found[:, 1::2] - (found[:, 0:-1:2] + found[:, 2::2]) / 2, -CONTRAST_CAP, CONTRAST_CAP)
    contrast = np.where(known[2::2], contrast, 0).mean(axis=0)
    explained = _explained(power, at[1::2], step_hz, fs_hz / n, low_hz)
    return _Comb(hz, contrast, contrast[:HARMONICS].mean(axis=0) + explained)


def _slow(axes: Array, fs_hz: float, top_hz: float) -> tuple[Array, float]:
    """The same seconds in fewer samples, of what lies up to `top_hz`; and their rate."""
    n = axes.shape[-1]
    bins = min(n // 2, int(np.ceil(top_hz * n / fs_hz)) + 1)
    return irfft(rfft(axes)[:, : bins + 1], 2 * bins), fs_hz / n * 2 * bins


def _power(axes: Array, fs_hz: float) -> tuple[Array, float]:
    """Hann-windowed power of each axis on a grid of PAD places a bin, and the grid's step in Hz."""
    n = axes.shape[-1]
    padded = np.zeros((len(axes), fast_length(PAD * n)))
    padded[:, :n] = axes * hann(n)
    spectrum = rfft(padded)
    power = squared(spectrum)
    return power + 1e-12 * power.max(axis=-1, keepdims=True), fs_hz / padded.shape[-1]


def _explained(power: Array, harmonics: Array, step_hz: float, bin_hz: float, low_hz: float) -> Array:
    """Logarithm of the share of the displacement's power that lies in the harmonics of each speed, mean over axes."""
    grid = np.arange(power.shape[-1]) * step_hz
    moved = np.where(grid >= 0.9 * low_hz, power / np.maximum(grid, step_hz) ** 4, 0)
    lobe = 1.5 * bin_hz / step_hz  # a line's power over that of its highest place, in places of the grid
    share = moved[:, harmonics].sum(axis=1) * lobe / moved.sum(axis=-1, keepdims=True)
    return np.log(np.clip(share, 1e-4, 1)).mean(axis=0)


def _without_half_orders(comb: _Comb, best: int) -> int:
    """Twice the best speed, where every harmonic of both stands above its half-ways: the odd ones are half orders."""
    double = int(np.argmin(np.abs(comb.hz - 2 * comb.hz[best])))
    if abs(comb.hz[double] / (2 * comb.hz[best]) - 1) > SAME / 4:
        return best
    all_there = comb.contrast[:, best].min() > HALF_ORDERS and comb.contrast[:HARMONICS, double].min() > HALF_ORDERS
    return double if all_there else best


def _interpolated(axes: Array, fs_hz: float, hz: float) -> tuple[float, tuple[int, ...]]:
    """The speed that fits the discrete lines at its harmonics best, and which those are.

    From the first on: each harmonic says more exactly where the next one must be.
    """
    lines = [acceleration_lines(axis, fs_hz=fs_hz) for axis in axes]
    bin_hz = fs_hz / axes.shape[-1]
    total = weight = 0.0
    orders: list[int] = []
    for k in range(1, REFINE_HARMONICS + 1):
        expected = k * (total / weight if orders else hz)
        near = [spectrum.at(expected, tolerance=0.0, name="") for spectrum in lines]
        own = [line.hz for line in near if line and line.ratio > DISCRETE and abs(line.hz - expected) < bin_hz / 2]
        if own:
            total += k * sum(own)
            weight += k * k * len(own)
            orders.append(k)
    return (total / weight if orders else hz), tuple(orders)


def _confidence(margin: float, score: float, turns: float) -> float:
    seen = PER_MARGIN * min(margin, MARGIN_CAP) + PER_SCORE * score + PER_TURNS * min(turns, TURNS_CAP)
    return 1 / (1 + exp(-(OFFSET + seen)))


def _moving_axes(x: Array) -> Array:
    rows = centred(x.reshape(-1, x.shape[-1])) if x.shape[-1] else np.zeros((0, 0))
    return rows[np.isfinite(rows).all(axis=-1) & rows.any(axis=-1)]
