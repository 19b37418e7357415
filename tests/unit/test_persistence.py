"""From single rows to a verdict that may alert."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telltale.core.limits import PROFILES
from telltale.core.persistence import Monitor, debounced, hushed, watch
from telltale.core.settings import Settings

DEFAULTS = Settings()


def watched(scores: list[float], monitor: Monitor | None = None, alarm_score: float = 2.0) -> Monitor:
    monitor = monitor or Monitor()
    for score in scores:
        monitor = watch(monitor, score, alarm_score=alarm_score, settings=DEFAULTS)
    return monitor


def levels(scores: list[float]) -> list[str]:
    return [watched(scores[: end + 1]).level for end in range(len(scores))]


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=40))
def test_debouncing_counts_rows(scores: list[float]) -> None:
    reached = debounced(scores, n=4, m=6)

    for limit in (0.5, 1.0, 2.0):
        counted = sum(score >= limit for score in scores[-6:]) >= 4
        assert (reached >= limit) == counted


def test_the_fourth_of_six_rows_alerts() -> None:
    assert levels([1.5, 0, 1.5, 0, 1.5, 1.5]) == ["HEALTHY"] * 5 + ["WARNING"]


@pytest.mark.parametrize("spike", [1, 2, 3])
def test_a_spike_of_up_to_three_rows_never_alerts(spike: int) -> None:
    assert set(levels([0.2] * 10 + [1e9] * spike + [0.2] * 10)) == {"HEALTHY"}


def test_an_alarm_needs_its_own_rows() -> None:
    assert levels([1.5, 1.5, 1.5, 3, 3, 3, 3])[3:] == ["WARNING", "WARNING", "WARNING", "ALARM"]


def test_a_level_on_the_limit_does_not_flicker() -> None:
    monitor = watched([1.0] * 6)

    seen = {watched([0.95, 1.01] * n, monitor).level for n in range(1, 20)}

    assert seen == {"WARNING"}
    assert watched([0.89] * 3, monitor).level == "HEALTHY"


def test_an_alarm_on_its_limit_does_not_flicker_either() -> None:
    monitor = watched([2.0] * 6)

    seen = {watched([1.85, 2.05] * n, monitor).level for n in range(1, 20)}

    assert seen == {"ALARM"}
    assert watched([1.5] * 6, monitor).level == "WARNING"


@pytest.mark.parametrize("name", PROFILES)
def test_a_value_exactly_on_the_alarm_limit_counts_whatever_its_digits(name: str) -> None:
    limit = PROFILES[name].c_d / PROFILES[name].b_c

    assert watched([limit] * 4, alarm_score=limit).level == "ALARM"


def test_a_rule_without_an_alarm_never_alarms() -> None:
    assert watched([1e300] * 8, alarm_score=float("inf")).level == "WARNING"


def test_closed_without_repair_it_is_quiet_where_it_stands_and_speaks_when_it_grows_by_a_quarter() -> None:
    quiet = hushed(watched([1.4] * 6), settings=DEFAULTS)

    assert watched([1.4, 1.5, 1.6] * 10, quiet).level == "HEALTHY"
    assert watched([1.7] * 4, quiet).level == "WARNING"
    assert watched([2.1] * 4, quiet).level == "ALARM"


def test_an_alarm_closed_without_repair_is_quiet_too() -> None:
    quiet = hushed(watched([3.0] * 6), settings=DEFAULTS)

    assert watched([3.0, 3.1, 3.2] * 10, quiet).level == "HEALTHY"
    assert watched([3.3] * 4, quiet).level == "ALARM"


def test_once_it_cleared_the_quiet_is_over() -> None:
    quiet = hushed(watched([1.4] * 6), settings=DEFAULTS)

    cleared = watched([0.5] * 6, quiet)

    assert cleared.quiet_below == 0
    assert watched([1.1] * 4, cleared).level == "WARNING"
