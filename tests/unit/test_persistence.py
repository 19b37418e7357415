"""From single rows to a verdict that may alert."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telltale.core.limits import PROFILES
from telltale.core.persistence import Monitor, debounced, hushed, watch
from telltale.core.settings import Settings
from telltale.core.state import Channel, State

DEFAULTS = Settings()
HOUR_S = 3600


def watched(scores: list[float], monitor: Monitor | None = None, alarm_score: float = 2.0) -> Monitor:
    return timed([(0, score) for score in scores], settings=DEFAULTS, monitor=monitor, alarm_score=alarm_score)


def timed(
    rows: Sequence[tuple[float, float]], *, settings: Settings, monitor: Monitor | None = None, alarm_score: float = 2.0
) -> Monitor:
    """After rows of (second, score)."""
    monitor = monitor or Monitor()
    for t_s, score in rows:
        monitor = watch(monitor, score, alarm_score=alarm_score, t_ms=round(t_s * 1000), settings=settings)
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


# ---- time beside rows ----------------------------------------------------------------------------

HOURLY = [(n * HOUR_S, 1.0) for n in range(1, 40)]
AN_HOUR = Settings(warning_for_s=HOUR_S, clear_for_s=2 * HOUR_S)


def told(rows: Sequence[tuple[float, float]], settings: Settings = AN_HOUR) -> list[str]:
    return [timed(rows[: end + 1], settings=settings).level for end in range(len(rows))]


def test_rows_that_follow_closely_must_also_stand_for_a_time() -> None:
    burst = [(100_000 + 10 * n, 1.5) for n in range(400)]

    levels = told(burst)

    assert told(burst, DEFAULTS).index("WARNING") == 3
    assert levels.index("WARNING") == 360  # the hour after the first
    assert set(levels[360:]) == {"WARNING"}


def test_an_alarm_waits_for_its_time_too_and_then_comes_at_once() -> None:
    levels = told([(100_000 + 600 * n, 5.0) for n in range(8)])

    assert levels == ["HEALTHY"] * 6 + ["ALARM"] * 2


def test_hourly_rows_wait_no_longer_than_their_number_wants() -> None:
    assert told(HOURLY[:6]) == told(HOURLY[:6], DEFAULTS) == ["HEALTHY"] * 3 + ["WARNING"] * 3


def test_a_wild_row_long_before_does_not_start_the_time() -> None:
    rows = [(1.0, 9.0), *((HOUR_S * n, 0.2) for n in range(1, 4)), *((4 * HOUR_S + 10 * n, 1.5) for n in range(6))]

    assert "WARNING" in told(rows, DEFAULTS)
    assert set(told(rows)) == {"HEALTHY"}


def test_two_calm_rows_do_not_start_the_time_again() -> None:
    rows = [(900.0 * n, 0.1 if n in (2, 3) else 1.5) for n in range(1, 8)]

    assert told(rows).index("WARNING") == 5  # at the fourth, 75 minutes after the first


def test_it_clears_only_after_a_time_and_says_until_then_what_it_said() -> None:
    rows = [(n * HOUR_S, 3.0) for n in range(1, 5)] + [(5 * HOUR_S + 600 * n, 0.2) for n in range(15)]

    assert told(rows, DEFAULTS)[4:7] == ["ALARM", "ALARM", "HEALTHY"]
    assert told(rows)[4:] == ["ALARM"] * 12 + ["HEALTHY"] * 3


def test_a_stretch_below_that_is_broken_by_enough_rows_begins_anew() -> None:
    loud = [(n * HOUR_S, 1.5) for n in range(1, 5)]
    calm = [(5 * HOUR_S + 600 * n, 0.2) for n in range(6)]
    again = [(6 * HOUR_S + 600 * n, 1.5) for n in range(4)]
    late = [(7 * HOUR_S + 600 * n, 0.2) for n in range(12)]

    assert set(told([*loud, *calm, *again, *late])[4:]) == {"WARNING"}


times = st.lists(st.tuples(st.integers(1, 4000), st.floats(0, 5)), min_size=1, max_size=40)


@given(times, st.sampled_from([0, 600, 7200]), st.sampled_from([0, 600, 7200]))
def test_a_time_only_ever_delays(gaps: list[tuple[int, float]], warning_for_s: int, clear_for_s: int) -> None:
    """What alerts for the first time has alerted by rows alone; and without times nothing is kept of them."""
    rows = [(float(sum(gap for gap, _ in gaps[: end + 1])), score) for end, (_, score) in enumerate(gaps)]
    settings = Settings(warning_for_s=warning_for_s, clear_for_s=clear_for_s)

    plain, slow = told(rows, DEFAULTS), told(rows, settings)

    first = next((place for place, level in enumerate(slow) if level != "HEALTHY"), len(rows))
    assert first == len(rows) or plain[first] != "HEALTHY"
    if not (warning_for_s or clear_for_s):
        assert slow == plain
        assert timed(rows, settings=settings).since_s == 0
    monitor = timed(rows, settings=settings)
    state = State({"temperature": Channel(1, {"temperature": monitor})}, judged=True)
    assert [one.monitors["temperature"] for one in State.unpack(state.pack()).channels.values()] == [
        Monitor(tuple(map(float, monitor.scores)), monitor.level, monitor.quiet_below, monitor.since_s)
    ]


def test_closing_without_repair_starts_the_time_anew() -> None:
    beyond = timed([(n * 600.0, 1.5) for n in range(1, 5)], settings=AN_HOUR)

    assert beyond.since_s == 600
    assert hushed(beyond, settings=AN_HOUR).since_s == 0
