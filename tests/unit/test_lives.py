"""Lives of a kind: the likeliest Weibull, the life table, and how probable a failure is after an age."""

from math import exp

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from telltale.core.lives import FEWEST_FAILURES, Chance, Life, life_table, weibull


def failures(count: int, *, shape: float = 2.5, scale: float = 100.0, seed: int = 1) -> list[Life]:
    ages = scale * np.random.default_rng(seed).weibull(shape, count)
    return [Life(float(age), True) for age in ages]


def censored(lives: list[Life], seed: int = 2) -> list[Life]:
    ends = np.random.default_rng(seed).uniform(20, 200, len(lives))
    return [Life(min(life.age, float(end)), life.age <= end) for life, end in zip(lives, ends, strict=True)]


def test_the_likeliest_weibull_is_that_of_scipy() -> None:
    lives = censored(failures(80))
    data = scipy.stats.CensoredData(
        uncensored=[life.age for life in lives if life.failed], right=[life.age for life in lives if not life.failed]
    )

    shape, _, scale = scipy.stats.weibull_min.fit(data, floc=0)

    found = weibull(lives)
    assert found is not None
    assert (found.shape, found.scale) == pytest.approx((shape, scale), rel=1e-3)


def test_the_covariance_is_how_far_estimates_scatter() -> None:
    fits = [weibull(censored(failures(60, seed=seed), seed=seed)) for seed in range(300)]
    logs = np.log([(fit.shape, fit.scale) for fit in fits if fit])
    said = np.mean([fit.covariance for fit in fits if fit], axis=0)

    assert np.allclose(np.cov(logs.T), said, atol=0.25 * said.max())


def test_intervals_hold_the_truth_eight_times_of_ten() -> None:
    truth = 1 - exp((50 / 100) ** 2.5 - (70 / 100) ** 2.5)
    right = 0
    for seed in range(200):
        fit = weibull(failures(50, seed=seed))
        chance = fit.failure_within(20, age=50) if fit else Chance(0, 0, 0)
        right += chance.low <= truth <= chance.high

    assert 140 <= right <= 180


def test_a_worn_thing_fails_sooner_than_a_new_one() -> None:
    fit = weibull(failures(50))

    assert fit is not None
    chances = [fit.failure_within(20, age=age).probability for age in (0, 50, 100, 200)]
    assert chances == sorted(chances)
    assert fit.failure_within(0, age=50) == Chance(0, 0, 0)
    assert fit.failure_within(fit.quantile(0.3, age=50), age=50).probability == pytest.approx(0.3)


@given(count=st.integers(0, FEWEST_FAILURES - 1))
def test_few_failures_say_nothing(count: int) -> None:
    lives = [*failures(count), *(Life(50.0, False) for _ in range(50))]

    assert (weibull(lives), life_table(lives)) == (None, None)


def test_failures_at_one_age_have_no_weibull() -> None:
    assert weibull([Life(10.0, True)] * 20) is None


def test_the_life_table_of_ended_lives_is_the_share_that_is_left() -> None:
    lives = failures(40)
    ages = np.array([life.age for life in lives])
    table = life_table(lives)

    chance = table.failure_within(30, age=60) if table else None

    assert chance is not None
    left = int((ages > 60).sum())
    assert chance.probability == pytest.approx(int(((ages > 60) & (ages <= 90)).sum()) / left)
    assert chance.low < chance.probability < chance.high


def test_the_life_table_is_that_of_scipy() -> None:
    lives = censored(failures(60))
    data = scipy.stats.CensoredData(
        uncensored=[life.age for life in lives if life.failed], right=[life.age for life in lives if not life.failed]
    )

    reference = scipy.stats.ecdf(data).sf

    table = life_table(lives)
    assert table is not None
    assert table.alive == pytest.approx([float(reference.evaluate(age)) for age in table.ages])


def test_nothing_is_said_beyond_the_oldest_life() -> None:
    lives = failures(40)
    table = life_table(lives)
    oldest = max(life.age for life in lives)

    assert table is not None
    assert table.failure_within(10, age=oldest) is None
    assert table.failure_within(oldest, age=0) == Chance(1, 1, 1)


@pytest.mark.parametrize("age", [-1.0, float("nan"), float("inf")])
def test_an_impossible_age_is_refused(age: float) -> None:
    with pytest.raises(ValueError, match="found"):
        weibull([*failures(10), Life(age, True)])
    fit = weibull(failures(10))
    assert fit is not None
    with pytest.raises(ValueError, match="found"):
        fit.failure_within(1.0, age=age)
