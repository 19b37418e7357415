"""Healthy machines by the thousand: how many cases would detection open where nothing is wrong?

Feature rows, not waveforms, one an hour, all machines at once. In logarithms a row is what is normal, plus the load
that all indicators of a machine share, plus noise of each of its own, and now and then a wild row. The rule is that of
core.baseline and core.persistence, written for arrays; a test holds it to the core, row by row.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import log, pi, sqrt

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
from telltale.core.tuning import LOOKED_AT_MS, Trace

Array = NDArray[np.float32]

DAY, WEEK, YEAR = 24, 168, 8766  # rows
ROW_MS = 3_600_000
WILD_LN = log(4.5)  # by which a whole axis is too high in a wild row
UPSET_SHARE, UPSET_ROWS = 0.001, 3  # times at which it stays so for as many rows as persistence is to bear

Between = tuple[float, float]


@dataclass(frozen=True)
class Plant:
    """What machines do, in ln units: each draws its own between two values. Guesses of a plant neither calm nor wild.

    wander, wander_rows : standard deviation of the load's slow course, and rows over which that forgets itself.
    daily, weekly, yearly : amplitudes of swings.   noise : of an indicator, row by row.   answer : of an indicator to
    the load.   wild_share : of rows that are wild.   upset_share : of times at which an upset of UPSET_ROWS begins.
    tails : degrees of freedom of the noise, a Student's t of the same variance; 0: normal.
    """

    wander: Between = (0.02, 0.15)
    wander_rows: Between = (6.0, 240.0)
    daily: Between = (0.0, 0.2)
    weekly: Between = (0.0, 0.15)
    yearly: Between = (0.0, 0.1)
    noise: Between = (0.03, 0.2)
    answer: Between = (0.5, 1.5)
    wild_share: float = 0.01
    upset_share: float = 0.0
    tails: float = 0.0


USUAL = Plant()
PLANTS: Mapping[str, Plant] = {
    "usual": USUAL,
    "tame": Plant(wild_share=0.0),
    "upset_9": Plant(upset_share=UPSET_SHARE / 3),
    "upset_26": Plant(upset_share=UPSET_SHARE),
    "wander_to_25": Plant(wander=(0.02, 0.25)),
    "wander_25": Plant(wander=(0.25, 0.25)),
    "swings": Plant(daily=(0.1, 0.3), weekly=(0.1, 0.25), yearly=(0.0, 0.2)),
    "heavy_tails": Plant(tails=3.0),
    "all_at_once": Plant(tails=4.0, wander=(0.02, 0.25), upset_share=UPSET_SHARE / 3),
}


@dataclass(frozen=True)
class Quiet:
    """What came of it. A machine whose case was opened starts anew, as after a repair."""

    cases: int
    machine_years: float

    @property
    def per_machine_year(self) -> float:
        return self.cases / self.machine_years


def healthy_rows(machines: int, *, seed: int, plant: Plant = USUAL) -> Iterator[Array]:
    """Without end, one an hour: ln of each indicator over what is normal, shape (machines, axes, indicators)."""
    rng = np.random.default_rng(seed)
    shape = machines, len(AXES), len(INDICATORS)

    def drawn(between: Between, *size: int) -> Array:
        return rng.uniform(*between, (machines, *size)).astype(np.float32)

    wander, daily, weekly, yearly = (drawn(one) for one in (plant.wander, plant.daily, plant.weekly, plant.yearly))
    shortest, longest = plant.wander_rows
    keep = np.exp(-1 / np.exp(drawn((log(shortest), log(longest)))))
    fresh = np.sqrt(1 - keep**2)
    noise, answer = drawn(plant.noise, *shape[1:]), drawn(plant.answer, *shape[1:])
    phases = rng.uniform(0, 2 * pi, (3, machines)).astype(np.float32)
    course = rng.standard_normal(machines, dtype=np.float32)
    upset = np.zeros(shape[:2], np.int64)
    hour = 0
    while True:
        load = wander * course
        for amplitude, period, phase in zip((daily, weekly, yearly), (DAY, WEEK, YEAR), phases, strict=True):
            load = load + amplitude * np.sin(2 * pi * hour / period + phase)
        upset = np.where(rng.random(shape[:2]) < plant.upset_share, UPSET_ROWS, np.maximum(upset - 1, 0))
        wild = (upset > 0) | (rng.random(shape[:2]) < plant.wild_share)
        rows = noise * _noise(rng, shape, plant.tails) + answer * load[:, None, None]
        yield (rows + WILD_LN * wild[..., None]).astype(np.float32)
        course = keep * course + fresh * rng.standard_normal(machines, dtype=np.float32)
        hour += 1


def _noise(rng: np.random.Generator, shape: tuple[int, int, int], tails: float) -> Array:
    """Of variance 1."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    if not tails:
        return noise
    chance = rng.standard_gamma(tails / 2, shape) * 2 / tails
    return (noise * sqrt((tails - 2) / tails) / np.sqrt(chance)).astype(np.float32)


def quiet_cases(
    *, machines: int, rows: int, seed: int, plant: Plant = USUAL, settings: Settings = DEFAULTS, repaired: bool = True
) -> Quiet:
    """How many cases the baseline opens on so many healthy machines in so many hours.

    repaired : a case starts a machine anew; otherwise it is closed without repair, a day later, and goes on.
    """
    judge = Judge(machines, settings)
    cases, until = 0, np.zeros(machines, np.int64)
    for hour, row in zip(range(rows), healthy_rows(machines, seed=seed, plant=plant), strict=False):
        opened = judge.step(row) & (hour >= until)
        cases += int(opened.sum())
        if repaired:
            judge.start_anew(opened)
        else:
            until = np.where(opened, hour + LOOKED_AT_MS // ROW_MS, until)
    return Quiet(cases, machines * rows / YEAR)


def traces(*, machines: int, rows: int, seed: int, plant: Plant = USUAL, settings: Settings = DEFAULTS) -> list[Trace]:
    """What the baseline makes of so many healthy machines, none of which is ever repaired."""
    judge, scores = Judge(machines, settings), np.full((rows, machines, len(AXES)), np.nan, np.float32)
    for hour, row in zip(range(rows), healthy_rows(machines, seed=seed, plant=plant), strict=False):
        judge.step(row)
        scores[hour] = np.where(np.isfinite(judge.scores), judge.scores, np.nan)
    times, healthy = np.arange(rows) * ROW_MS, np.ones(rows, bool)
    return [Trace(str(place), times, scores[:, place].astype(np.float64), healthy) for place in range(machines)]


class Judge:
    """The baselines and monitors of many machines, as arrays of shape (machines, axes, indicators)."""

    def __init__(self, machines: int, settings: Settings) -> None:
        shape = machines, len(AXES), len(INDICATORS)
        self.settings = settings
        self.location, self.spread, self.anchor = (np.zeros(shape, np.float32) for _ in range(3))
        self.rows = np.zeros(shape[:2], np.int64)
        self.scores = np.full(shape[:2], -np.inf, np.float32)  # of the last row
        self.last = np.full((settings.warning_m, *shape[:2]), -np.inf, np.float32)  # those, at a place that goes round
        self.at = 0
        self.alerts = np.zeros(shape[:2], bool)

    def step(self, row: Array) -> NDArray[np.bool_]:
        """Whether a machine begins to alert, for each of them."""
        before = self.alerts.any(axis=1)
        self.scores = self._scores(row)
        self.last[self.at] = self.scores
        self.at = (self.at + 1) % len(self.last)
        n, clear = self.settings.warning_n, np.float32(self.settings.clear)
        stays = self.alerts & ((self.last >= clear).sum(axis=0) >= n)
        self.alerts = stays | ((self.last >= 1).sum(axis=0) >= n)
        self._learn(row, (self.scores < 1) & ~self.alerts)
        return np.asarray(self.alerts.any(axis=1) & ~before)

    def start_anew(self, machines: NDArray[np.bool_]) -> None:
        """As after a repair."""
        self.rows[machines] = 0
        self.last[:, machines] = -np.inf
        self.alerts[machines] = False

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
