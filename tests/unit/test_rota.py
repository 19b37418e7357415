"""The rota: about one capture a day of each position, at all times of the day, without remembering anything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telltale.core.rota import DAY_MS, is_due

START_MS = 1_790_000_000_000
HOUR_S = 3600.0


@given(st.text(min_size=1, max_size=20), st.integers(0, DAY_MS), st.sampled_from([60, 600, 3600, 14_400, 86_400]))
def test_of_captures_that_divide_the_day_exactly_one_a_day_is_due(name: str, offset_ms: int, interval_s: int) -> None:
    times = range(START_MS + offset_ms, START_MS + offset_ms + 7 * DAY_MS, interval_s * 1000)

    assert sum(is_due(name, t_ms, interval_s=interval_s) for t_ms in times) == 7


@given(st.text(min_size=1, max_size=20), st.integers(0, DAY_MS), st.integers(60, 86_400))
def test_of_any_regular_captures_about_one_a_day_is_due(name: str, offset_ms: int, interval_s: int) -> None:
    times = range(START_MS + offset_ms, START_MS + offset_ms + 7 * DAY_MS, interval_s * 1000)

    assert abs(sum(is_due(name, t_ms, interval_s=interval_s) for t_ms in times) - 7) <= 1


def test_of_captures_further_apart_than_a_day_each_one_is_due() -> None:
    assert all(is_due("p", START_MS + n * 12_345_678, interval_s=90_000) for n in range(20))


def test_positions_come_at_all_times_of_the_day() -> None:
    """A Poisson count of 2000 / 24, within four of its standard deviations each hour."""
    for hour in range(24):
        due = sum(is_due(f"s/a/m/{n}", START_MS + hour * 3_600_000, interval_s=HOUR_S) for n in range(2000))

        assert due == pytest.approx(2000 / 24, abs=4 * (2000 / 24) ** 0.5)
