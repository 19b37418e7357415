"""How probable a failure is within a time, from how long others of the same kind lived: a Weibull life, a life table.

Lives that have not ended, or that a replacement ended before a failure could, count as far as they went (censored).
docs/prognosis.md says when each is to be trusted.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, inf, isfinite, log

import numpy as np
from numpy.typing import NDArray

FEWEST_FAILURES = 5  # below which nothing is said (a guess: at five the shape is uncertain by a factor of two)
_SHAPES = (0.01, 100.0)  # between which the shape is sought
_HALVINGS = 60
_Z = 1.2815515655446004  # of the normal distribution: 80 % lie within so many standard deviations
_STEP = 1e-4  # of a numerical derivative


@dataclass(frozen=True)
class Life:
    """How long something lived, and whether it failed then, or is only known to have lived so long."""

    age: float
    failed: bool


@dataclass(frozen=True)
class Chance:
    """A probability, and between which two it lies with 80 %, as far as the number of lives tells."""

    probability: float
    low: float
    high: float


@dataclass(frozen=True)
class Weibull:
    """Of age t, a share exp(-(t / scale)^shape) is alive. Shape above 1: it wears out; 1: age does not matter.

    covariance : of the logarithms of shape and scale.
    """

    shape: float
    scale: float
    failures: int
    covariance: tuple[tuple[float, float], tuple[float, float]]

    def failure_within(self, time: float, *, age: float) -> Chance:
        """Of failing within `time` after having reached `age`. ValueError if either is negative or not finite."""
        _check(time, age)

        def log_hazard(parameters: tuple[float, float]) -> float:
            shape, scale = exp(parameters[0]), exp(parameters[1])
            return log(max(((age + time) / scale) ** shape - (age / scale) ** shape, 1e-300))

        if time == 0:
            return Chance(0.0, 0.0, 0.0)
        at = (log(self.shape), log(self.scale))
        slope = np.array(_gradient(log_hazard, at))
        spread = _Z * float(slope @ np.array(self.covariance) @ slope) ** 0.5
        value = log_hazard(at)
        middle, low, high = (1 - exp(-exp(min(value + shift, 700.0))) for shift in (0.0, -spread, spread))
        return Chance(middle, low, high)

    def quantile(self, probability: float, *, age: float) -> float:
        """The further time within which a share `probability`, in (0, 1), of those that reached `age` fail."""
        hazard = (age / self.scale) ** self.shape - log(1 - probability)
        return self.scale * hazard ** (1 / self.shape) - age


@dataclass(frozen=True)
class LifeTable:
    """The share alive after each age at which one failed (Kaplan and Meier 1958).

    variance : of the logarithm of each share (Greenwood 1926).   oldest : to which age anything is known.
    """

    ages: tuple[float, ...]
    alive: tuple[float, ...]
    variance: tuple[float, ...]
    oldest: float

    def failure_within(self, time: float, *, age: float) -> Chance | None:
        """Of failing within `time` after `age`; None where none has lived so long, or none that did outlived `age`."""
        _check(time, age)
        if age + time > self.oldest:
            return None
        before, after = (bisect_right(self.ages, moment) - 1 for moment in (age, age + time))
        alive, variance = self._at(before)
        alive_after, variance_after = self._at(after)
        if not alive_after > 0:
            return Chance(1.0, 1.0, 1.0) if alive > 0 else None
        share = alive_after / alive
        if share == 1:
            return Chance(0.0, 0.0, 0.0)
        hazard = -log(share)
        spread = _Z * (variance_after - variance) ** 0.5 / hazard
        return Chance(1 - share, *(1 - exp(-hazard * exp(shift)) for shift in (-spread, spread)))

    def _at(self, place: int) -> tuple[float, float]:
        return (1.0, 0.0) if place < 0 else (self.alive[place], self.variance[place])


def weibull(lives: Sequence[Life]) -> Weibull | None:
    """The likeliest Weibull distribution of these lives; None with fewer than FEWEST_FAILURES different failures.

    Lives of no length are left out. ValueError if an age is negative or not finite.
    """
    ages, failed = _columns(lives)
    if len(np.unique(ages[failed])) < FEWEST_FAILURES:
        return None
    unit = float(ages.max())
    logs = np.log(ages / unit)
    target = float(logs[failed].mean())

    def excess(shape: float) -> float:
        weights = np.exp(shape * logs)
        return float(weights @ logs / weights.sum()) - 1 / shape - target

    shape = _root(excess, *_SHAPES)
    failures = int(failed.sum())
    scale = unit * (float(np.exp(shape * logs).sum()) / failures) ** (1 / shape)
    deviations = shape * (logs - log(scale / unit))  # z; the likelihood of a life is failed * (ln shape + z) - exp(z)
    hazards = np.exp(deviations)
    by_shape = float((hazards * deviations * (deviations + 1)).sum() - deviations[failed].sum())
    across = -shape * float((hazards * (deviations + 1)).sum() - failures)
    information = np.array([[by_shape, across], [across, shape**2 * float(hazards.sum())]])
    (a, b), (c, d) = np.linalg.inv(information).tolist()
    return Weibull(shape, scale, failures, ((a, b), (c, d)))


def life_table(lives: Sequence[Life]) -> LifeTable | None:
    """The life table of these lives; None with fewer than FEWEST_FAILURES failures. Errors as of `weibull`."""
    ages, failed = _columns(lives)
    if int(failed.sum()) < FEWEST_FAILURES:
        return None
    alive, variance, rows = 1.0, 0.0, []
    for age in np.unique(ages[failed]):
        reached, deaths = int((ages >= age).sum()), int((ages[failed] == age).sum())
        alive *= 1 - deaths / reached
        variance += deaths / (reached * (reached - deaths)) if deaths < reached else inf
        rows.append((float(age), alive, variance))
    columns = tuple(zip(*rows, strict=True))
    return LifeTable(columns[0], columns[1], columns[2], float(ages.max()))


def _columns(lives: Sequence[Life]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    for life in lives:
        if not (isfinite(life.age) and life.age >= 0):
            raise ValueError(f"found a life of {life.age}, wanted a finite one from 0")
    kept = [life for life in lives if life.age > 0]
    return np.array([life.age for life in kept], np.float64), np.array([life.failed for life in kept], bool)


def _check(time: float, age: float) -> None:
    if not (isfinite(time) and isfinite(age) and time >= 0 and age >= 0):
        raise ValueError(f"found a time of {time} after an age of {age}, wanted finite ones from 0")


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low * high) ** 0.5


def _gradient(of: Callable[[tuple[float, float]], float], at: tuple[float, float]) -> tuple[float, float]:
    a, b = at
    return (
        (of((a + _STEP, b)) - of((a - _STEP, b))) / (2 * _STEP),
        (of((a, b + _STEP)) - of((a, b - _STEP))) / (2 * _STEP),
    )
