"""Forecasts: an interval that holds the truth as often as it says, or nothing."""

from math import inf, isfinite, log

import numpy as np
import pytest
from cli.bench_prognosis import correlated, reached_after, simulated
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from telltale.core import outlook, prognosis, svg
from telltale.core.prognosis import (
    NO_TREND,
    NOT_WITHIN,
    REACHED,
    REACHES,
    TOO_FEW,
    duration,
    forecast,
    groups,
    sentence,
)

pytestmark = pytest.mark.long

HOUR_S = 3600.0
ROWS = 240
T_S = np.arange(ROWS) * HOUR_S


def noise(seed: int = 1, size: float = 0.1, rows: int = ROWS) -> NDArray[np.float64]:
    return size * np.random.default_rng(seed).standard_normal(rows)


def line(rise: float = 2.0, seed: int = 1) -> NDArray[np.float64]:
    return 1 + rise * T_S / T_S[-1] + noise(seed)


def growth(rate: float = 4.0) -> NDArray[np.float64]:
    return 1 + 2 * np.exp(rate * (T_S / T_S[-1] - 1)) + noise()


MEDIAN_S = forecast(T_S, line(), limit=4.0).quantile(0.5) or 0.0


def test_a_straight_line_is_followed_to_its_limit() -> None:
    found = forecast(T_S, line(), limit=4.0)

    low, high = found.interval_s or (inf, inf)
    assert found.verdict == REACHES
    assert low < T_S[-1] / 2 < high < T_S[-1]
    assert found.change_per_s == pytest.approx(2 / T_S[-1], rel=0.3)


def test_growth_above_a_base_is_followed_to_its_limit() -> None:
    found = forecast(T_S, growth(), limit=6.0)

    low, high = found.interval_s or (inf, inf)
    assert low < T_S[-1] * log(2.5) / 4 < high
    assert (found.exponential or 0) > 0.9


def test_a_falling_indicator_is_the_mirror_of_a_rising_one() -> None:
    rising, falling = forecast(T_S, line(), limit=4.0), forecast(T_S, -line(), limit=-4.0, falling=True)

    assert falling.percentiles == pytest.approx(rising.percentiles)
    assert falling.level == pytest.approx(-(rising.level or 0))
    assert [one.low for one in falling.fan] == pytest.approx([-one.high for one in rising.fan])


@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.9])
def test_nothing_is_said_of_noise(correlation: float) -> None:
    values = 1 + 0.1 * correlated(ROWS, correlation, np.random.default_rng(2))

    found = forecast(T_S, values, limit=2.0)

    assert found.verdict == NO_TREND
    assert (found.interval_s, found.percentiles, found.fan) == (None, (), ())


def test_nothing_is_said_of_a_rise_that_has_ended() -> None:
    values = 1 + np.minimum(T_S / T_S[-1], 0.5) + noise(size=0.02)

    assert forecast(T_S, values, limit=2.0).verdict == NO_TREND


def test_a_limit_that_is_far_off_is_not_reached_within_the_horizon() -> None:
    found = forecast(T_S, line(), limit=40.0)

    assert (found.verdict, found.interval_s) == (NOT_WITHIN, None)
    assert found.quantile(0.1) == inf


def test_a_limit_below_the_level_is_reached() -> None:
    assert forecast(T_S, line(), limit=2.0).verdict == REACHED


@pytest.mark.parametrize(("level", "verdict"), [(1.0, NO_TREND), (2.0, REACHED), (3.0, REACHED)])
def test_a_constant_has_no_trend(level: float, verdict: str) -> None:
    assert forecast(T_S, np.full(ROWS, level), limit=2.0).verdict == verdict


@pytest.mark.parametrize("rows", [0, 1, 11])
def test_too_few_rows_say_nothing(rows: int) -> None:
    assert forecast(T_S[:rows], line()[:rows], limit=4.0).verdict == TOO_FEW


def test_rows_at_one_time_say_nothing() -> None:
    assert forecast(np.zeros(ROWS), line(), limit=4.0).verdict == TOO_FEW


def test_a_perfect_line_is_forecast_almost_exactly() -> None:
    found = forecast(T_S, T_S, limit=1.5 * T_S[-1])

    low, high = found.interval_s or (0.0, inf)
    assert low < 0.5 * T_S[-1] < high
    assert high - low < 0.05 * T_S[-1]


def test_rows_that_are_not_finite_do_not_count_and_order_does_not_matter() -> None:
    values = line()
    mixed = np.random.default_rng(4).permutation(ROWS + 2)
    times = np.append(T_S, [np.nan, 5.0])[mixed]
    holed = np.append(values, [9.0, np.inf])[mixed]
    before = times.copy(), holed.copy()

    found = forecast(times, holed, limit=4.0)

    assert found == forecast(T_S, values, limit=4.0)
    assert np.array_equal(times, before[0], equal_nan=True)
    assert np.array_equal(holed, before[1], equal_nan=True)


def test_two_rows_out_of_line_make_no_trend() -> None:
    values = 1 + noise()
    values[-2:] += 5

    assert forecast(T_S, values, limit=4.0).verdict == NO_TREND


@pytest.mark.parametrize(
    ("t", "values", "limit", "horizon"),
    [
        (T_S, line()[1:], 4.0, None),
        (T_S, line(), inf, None),
        (T_S, line(), 4.0, 0.0),
        (T_S[None], line()[None], 4, None),
    ],
)
def test_what_cannot_be_forecast_is_refused(
    t: NDArray[np.float64], values: NDArray[np.float64], limit: float, horizon: float | None
) -> None:
    with pytest.raises(ValueError, match="found"):
        forecast(t, values, limit=limit, horizon_s=horizon)


def test_it_is_never_looked_farther_ahead_than_the_rows_go_back() -> None:
    found = forecast(T_S, line(), limit=4.0, horizon_s=1e12)

    assert found.horizon_s <= T_S[-1]
    assert all(one <= found.horizon_s or one == inf for one in found.percentiles)


@settings(max_examples=10)
@given(scale=st.floats(0.01, 100), shift=st.floats(-1000, 1000), hours=st.floats(0.01, 100))
def test_units_of_time_and_value_do_not_matter(scale: float, shift: float, hours: float) -> None:
    other = forecast(hours * T_S + shift, scale * line() + shift, limit=scale * 4 + shift)

    assert other.quantile(0.5) == pytest.approx(hours * MEDIAN_S, rel=0.02)


@given(rows=st.integers(0, 20_000))
def test_every_row_is_in_one_group_and_newer_groups_are_not_larger(rows: int) -> None:
    parts = groups(rows)

    assert [begin for begin, _ in parts] == [0, *(end for _, end in parts)][: len(parts)]
    assert not parts or parts[-1][1] == rows
    sizes = [end - begin for begin, end in parts]
    assert sizes[1:] == sorted(sizes[1:], reverse=True)


def test_the_probability_grows_with_time_and_agrees_with_the_quantiles() -> None:
    found = forecast(T_S, line(), limit=4.0)
    chances = [found.probability_within(share * found.horizon_s) or 0.0 for share in np.linspace(0, 1, 21)]

    assert chances == sorted(chances)
    assert found.probability_within(found.quantile(0.5) or 0) == pytest.approx(0.5, abs=0.02)
    assert found.probability_within(2 * found.horizon_s) is None
    with pytest.raises(ValueError, match=r"0\.01"):
        found.quantile(0.0)


def test_the_levels_ahead_widen() -> None:
    fan = forecast(T_S, line(), limit=4.0).fan

    assert fan[-1].high - fan[-1].low > 2 * (fan[0].high - fan[0].low)
    assert all(one.low <= one.median <= one.high for one in fan)


@pytest.mark.parametrize("name", ["linear", "exponential"])
def test_intervals_hold_the_truth_about_as_often_as_they_say(name: str) -> None:
    outcomes = [simulated(name, 60, 0.0, np.random.default_rng([5, seed])) for seed in range(24)]
    said = [one for one in outcomes if one.interval]

    assert len(said) >= 12
    assert sum(one.right for one in said) / len(said) >= 0.7  # 0.8, less what two dozen forecasts are uncertain by


def test_few_trends_are_seen_in_random_walks() -> None:
    outcomes = [simulated("random_walk", 60, 0.0, np.random.default_rng([6, seed])) for seed in range(24)]

    assert sum(one.interval is not None for one in outcomes) <= 3


def test_the_truth_of_a_recording_is_when_the_median_of_five_rows_is_there() -> None:
    t = np.arange(20.0)
    values = np.where(t >= 12, 3.0, 1.0)
    values[7] = 9.0

    assert reached_after(t, values, 2.0, 4) == 12 - 4
    assert reached_after(t, values, 4.0, 4) == inf


def test_theil_and_sens_slope_is_the_median_of_all_slopes() -> None:
    t, y = T_S[:30], line()[:30]
    slow = [(y[b] - y[a]) / (t[b] - t[a]) for a in range(30) for b in range(a + 1, 30)]

    assert prognosis.theil_sen(t, y) == pytest.approx(float(np.median(slow)))
    assert prognosis.theil_sen(t[:1], y[:1]) == 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1.0, "1 second"),
        (90, "90 seconds"),
        (7200, "2 hours"),
        (36 * 3600, "36 hours"),
        (86_400 * 19.2, "19 days"),
        (0, "0 seconds"),
    ],
)
def test_durations_have_two_digits(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_every_verdict_has_a_sentence() -> None:
    said = {
        limit: sentence(forecast(T_S, line(), limit=limit), name="y velocity", unit="mm/s", limit_name="zone D")
        for limit in (2.0, 4.0, 40.0)
    }

    assert said[2.0] == "y velocity has reached zone D, 2 mm/s"
    assert said[4.0].startswith("y velocity reaches zone D, 4 mm/s, in ")
    assert said[4.0].endswith(" days (80 %)")
    assert said[40.0] == "y velocity does not reach zone D, 40 mm/s within 9.6 days (90 %)"
    assert (
        sentence(forecast(T_S, noise(), limit=4.0), name="y") == "y: no trend, so it cannot be said when it reaches 4"
    )
    assert prognosis.span(6 * 86_400, 19 * 86_400) == "in 6 to 19 days"
    assert prognosis.span(6 * 3600, 19 * 86_400) == "in 6 hours to 19 days"
    assert prognosis.span(6 * 86_400, inf) == "in 6 days at the earliest"


@pytest.mark.parametrize("limit", [2.0, 4.0, 40.0])
def test_a_picture_shows_every_verdict(limit: float) -> None:
    found = forecast(T_S, line(), limit=limit)

    drawing = outlook.picture(T_S, line(), found=found, title="pump", said="words", label="velocity, mm/s")

    text = svg.render(drawing)
    assert "words" in text
    assert "limit" in text
    assert "nan" not in text
    assert all(isfinite(value) for value in (drawing.width, drawing.height))
