"""Healthy machines by the thousand: how many cases would detection open where nothing is wrong?

Feature rows, not waveforms, one an hour, all machines at once. In logarithms a row is what is normal, plus the load
that all indicators of a machine share, plus noise of each of its own, and now and then a wild row. The rule is that of
core.baseline and core.persistence, written for arrays; a test holds it to the core, row by row.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import log, pi

import numpy as np
from numpy.typing import NDArray
from telltale.core.baseline import (
    HUBER,
    INDICATORS,
    MAD_TO_SIGMA,
    MEAN_DEVIATION_TO_SIGMA,
    SMALLEST_SPREAD,
    WINSOR,
)
from telltale.core.judgement import AXES
from telltale.core.settings import DEFAULTS, Settings

Array = NDArray[np.float32]

DAY, WEEK, YEAR = 24, 168, 8766  # rows
# What machines do, in ln units: each draws its own between these. Guesses of a plant that is neither calm nor wild.
WANDER = 0.02, 0.15  # standard deviation of the load's slow course
WANDER_ROWS = 6.0, 240.0  # over which that forgets itself
DAILY, WEEKLY, YEARLY = (0.0, 0.2), (0.0, 0.15), (0.0, 0.1)  # amplitudes of swings
NOISE = 0.03, 0.2  # of an indicator, row by row
ANSWER = 0.5, 1.5  # of an indicator to the load
WILD_SHARE, WILD_LN = 0.01, log(4.5)  # rows in which a whole axis is so much too high
UPSET_SHARE, UPSET_ROWS = 0.001, 3  # times at which it stays so for as many rows as persistence is to bear


@dataclass(frozen=True)
class Quiet:
    """What came of it. A machine whose case was opened starts anew, as after a repair."""

    cases: int
    machine_years: float

    @property
    def per_machine_year(self) -> float:
        return self.cases / self.machine_years


def healthy_rows(machines: int, *, seed: int, upset_share: float = 0.0) -> Iterator[Array]:
    """Without end, one an hour: ln of each indicator over what is normal, shape (machines, axes, indicators).

    upset_share : of the times at which an axis begins to be too high for UPSET_ROWS rows.
    """
    rng = np.random.default_rng(seed)
    shape = machines, len(AXES), len(INDICATORS)

    def drawn(between: tuple[float, float], *size: int) -> Array:
        return rng.uniform(*between, (machines, *size)).astype(np.float32)

    wander, daily, weekly, yearly = (drawn(one) for one in (WANDER, DAILY, WEEKLY, YEARLY))
    keep = np.exp(-1 / np.exp(drawn((log(WANDER_ROWS[0]), log(WANDER_ROWS[1])))))
    fresh = np.sqrt(1 - keep**2)
    noise, answer = drawn(NOISE, *shape[1:]), drawn(ANSWER, *shape[1:])
    phases = rng.uniform(0, 2 * pi, (3, machines)).astype(np.float32)
    course = rng.standard_normal(machines, dtype=np.float32)
    upset = np.zeros(shape[:2], np.int64)
    hour = 0
    while True:
        load = wander * course
        for amplitude, period, phase in zip((daily, weekly, yearly), (DAY, WEEK, YEAR), phases, strict=True):
            load = load + amplitude * np.sin(2 * pi * hour / period + phase)
        upset = np.where(rng.random(shape[:2]) < upset_share, UPSET_ROWS, np.maximum(upset - 1, 0))
        wild = (upset > 0) | (rng.random(shape[:2]) < WILD_SHARE)
        rows = noise * rng.standard_normal(shape, dtype=np.float32) + answer * load[:, None, None]
        yield (rows + WILD_LN * wild[..., None]).astype(np.float32)
        course = keep * course + fresh * rng.standard_normal(machines, dtype=np.float32)
        hour += 1


def quiet_cases(
    *, machines: int, rows: int, seed: int, upset_share: float = 0.0, settings: Settings = DEFAULTS
) -> Quiet:
    """How many cases the baseline opens on so many healthy machines in so many hours."""
    judge = Judge(machines, settings)
    cases = 0
    for _, row in zip(range(rows), healthy_rows(machines, seed=seed, upset_share=upset_share), strict=False):
        cases += int(judge.step(row).sum())
    return Quiet(cases, machines * rows / YEAR)


class Judge:
    """The baselines and monitors of many machines, as arrays of shape (machines, axes, indicators)."""

    def __init__(self, machines: int, settings: Settings) -> None:
        shape = machines, len(AXES), len(INDICATORS)
        self.settings = settings
        self.location, self.spread, self.anchor = (np.zeros(shape, np.float32) for _ in range(3))
        self.rows = np.zeros(shape[:2], np.int64)
        self.above = np.zeros((settings.warning_m, *shape[:2]), bool)  # the last rows, at a place that goes round
        self.at = 0

    def step(self, row: Array) -> NDArray[np.bool_]:
        """Whether a case opens, for each machine; those learn anew from the next row on."""
        calm = self._scores(row) < 1
        self.above[self.at] = ~calm
        self.at = (self.at + 1) % len(self.above)
        alerts = self.above.sum(axis=0) >= self.settings.warning_n
        opened = alerts.any(axis=1)
        self._learn(row, calm & ~alerts)
        self.rows[opened] = 0
        self.above[:, opened] = False
        return opened

    def _scores(self, row: Array) -> Array:
        """The highest of each axis; minus infinity while it learns."""
        limit = np.maximum(
            self.settings.sigmas * np.maximum(self.spread, SMALLEST_SPREAD), np.float32(log(self.settings.growth))
        )
        scores = ((row - self.location) / limit).max(axis=-1)
        return np.where(self.rows >= self.settings.warmup, scores, -np.inf).astype(np.float32)

    def _learn(self, row: Array, may: NDArray[np.bool_]) -> None:
        unit, off = np.maximum(self.spread, SMALLEST_SPREAD), row - self.location
        pull = np.clip(off, -HUBER * unit, HUBER * unit)
        warming = may & (self.rows >= 3) & (self.rows < self.settings.warmup)
        if warming.any():
            share = (warming / (self.rows + 1)).astype(np.float32)[..., None]
            self.location = self.location + share * pull
            off = np.minimum(np.abs(off), WINSOR * unit)
            self.spread = self.spread + share * (np.float32(MEAN_DEVIATION_TO_SIGMA) * off - self.spread)
            self.anchor = np.where(warming[..., None], self.location, self.anchor)
        settled = may & (self.rows >= self.settings.warmup)
        if settled.any():
            drift = log(1 + self.settings.significant)
            followed = self.location + pull / np.float32(self.settings.memory)
            followed = np.clip(followed, self.anchor - np.float32(drift), self.anchor + np.float32(drift))
            self.location = np.where(settled[..., None], followed, self.location)
        if (self.rows < 3).any():
            self._begin(row, may & (self.rows < 3))
        self.rows += may

    def _begin(self, row: Array, may: NDArray[np.bool_]) -> None:
        """The first two rows wait in the slots of location and spread; the third makes a median of them."""
        first, second, third = (may & (self.rows == place) for place in range(3))
        self.location[first], self.spread[first], self.anchor[first] = row[first], 0.0, 0.0
        self.spread[second] = row[second]
        three = np.stack([self.location[third], self.spread[third], row[third]])
        middle = np.median(three, axis=0)
        self.location[third] = self.anchor[third] = middle
        self.spread[third] = MAD_TO_SIGMA * np.median(np.abs(three - middle), axis=0)
