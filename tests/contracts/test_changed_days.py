"""A day that changed waits until it is aggregated as it is now: not forgotten, and not aggregated for nothing."""

import pytest
from telltale.adapters.changed_days import LEASE_MS, Change, ChangedDays, LastRun, day_of, end_ms, oldest_ms
from telltale.adapters.lease import Busy

from tests.contracts.conftest import client
from tests.contracts.test_registry import table

NOON = 1_790_000_000_000 // 86_400_000 * 86_400_000 + 43_200_000  # of 2026-09-21
DAY_MS = 86_400_000


class Clock:
    def __init__(self) -> None:
        self.now_ms = NOON

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def days(endpoint: str | None, clock: Clock) -> ChangedDays:
    dynamodb = client("dynamodb", endpoint)
    return ChangedDays(dynamodb, table(dynamodb), now_ms=clock)


def test_days_wait_the_latest_first_with_the_last_commit_and_the_first_time(days: ChangedDays, clock: Clock) -> None:
    days.mark(["2026-09-20", "2025-01-02"], 7)
    clock.now_ms += 1000
    days.mark(["2026-09-20", "2026-09-21"], 8)

    assert days.waiting() == [
        Change("2026-09-21", 8, NOON + 1000),
        Change("2026-09-20", 8, NOON),
        Change("2025-01-02", 7, NOON),
    ]
    assert oldest_ms(days.waiting()) == NOON


def test_nothing_waits_at_first(days: ChangedDays) -> None:
    days.mark([], 1)

    assert days.waiting() == []
    assert oldest_ms([]) is None


def test_a_day_that_is_done_waits_no_longer(days: ChangedDays, clock: Clock) -> None:
    days.mark(["2026-09-20", "2026-09-19"], 7)
    [late, early] = days.waiting()

    assert days.done(late, started_ms=clock.now_ms)
    assert days.waiting() == [early]


def test_a_day_that_changed_while_it_was_aggregated_waits_on_since_then(days: ChangedDays, clock: Clock) -> None:
    days.mark(["2026-09-20"], 7)
    [change] = days.waiting()
    clock.now_ms += 5000
    days.mark(["2026-09-20"], 8)

    assert not days.done(change, started_ms=NOON + 1000)
    assert days.waiting() == [Change("2026-09-20", 8, NOON + 1000)]


def test_a_mark_that_is_set_again_after_it_was_cleared_is_set(days: ChangedDays, clock: Clock) -> None:
    """A commit that was killed is carried out again under its number."""
    days.mark(["2026-09-20"], 7)
    [change] = days.waiting()
    days.done(change, started_ms=NOON)
    days.mark(["2026-09-20"], 7)

    assert [change.day for change in days.waiting()] == ["2026-09-20"]


def test_a_day_aggregated_before_it_is_over_waits_once_more_when_it_is(days: ChangedDays, clock: Clock) -> None:
    days.mark(["2026-09-21"], 7)
    [today] = days.waiting()
    days.done(today, started_ms=clock.now_ms)
    waiting_today = days.waiting()
    clock.now_ms += DAY_MS
    [yesterday] = days.waiting()
    days.done(yesterday, started_ms=clock.now_ms)

    assert waiting_today == []
    assert yesterday == Change("2026-09-21", None, NOON + DAY_MS // 2)
    assert days.waiting() == []


def test_more_days_than_one_expression_takes_are_marked(days: ChangedDays) -> None:
    all_days = [day_of(n * DAY_MS) for n in range(-400, 800)]  # an import, from before 1970 on
    days.mark(all_days, 7)

    assert [change.day for change in reversed(days.waiting())] == all_days


def test_only_one_aggregates_until_it_is_done_or_must_be_dead(days: ChangedDays, clock: Clock) -> None:
    with days.alone("one"), pytest.raises(Busy), days.alone("two"):
        pass
    with days.alone("two"):
        clock.now_ms += LEASE_MS + 1
        with days.alone("three"):
            pass
    with days.alone("four"):
        pass


def test_the_last_run_is_remembered_until_the_next(days: ChangedDays, clock: Clock) -> None:
    before = days.last_run()
    days.succeeded()
    clock.now_ms += 1000
    days.failed("Athena: the table is gone")
    failed = days.last_run()
    clock.now_ms += 1000
    days.succeeded()

    assert before == LastRun()
    assert failed == LastRun(NOON, NOON + 1000, "Athena: the table is gone")
    assert days.last_run() == LastRun(NOON + 2000)


def test_a_day_and_its_end_are_those_of_utc() -> None:
    assert (day_of(NOON), day_of(-1), day_of(0)) == ("2026-09-21", "1969-12-31", "1970-01-01")
    assert end_ms("1970-01-01") == DAY_MS
