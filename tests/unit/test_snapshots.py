"""Snapshots that are kept: all of the last hours, then the last of each hour, then the last of each day."""

from telltale.adapters.snapshots import ALL_MS, DAILY_MS, DAY_MS, HOUR_MS, HOURLY_MS, to_expire

NOW = 1_795_000_000_000 // DAY_MS * DAY_MS  # midnight


def kept(*ages_ms: int, named: tuple[int, ...] = ()) -> list[int]:
    expired = {*to_expire({n: NOW - age for n, age in enumerate(ages_ms)}, named=named, now_ms=NOW)}
    return [age for n, age in enumerate(ages_ms) if n not in expired]


def test_all_of_the_last_hours_are_kept() -> None:
    ages = list(range(0, ALL_MS + 1, 60_000))

    assert kept(*ages) == ages


def test_then_the_last_of_each_hour() -> None:
    hour = ALL_MS + 2 * HOUR_MS

    assert kept(hour, hour - 60_000, hour - 2, hour + 5) == [hour - 60_000, hour + 5]


def test_then_the_last_of_each_day() -> None:
    day = HOURLY_MS + 2 * DAY_MS

    assert kept(day, day - HOUR_MS, day - 5 * HOUR_MS, day + HOUR_MS) == [day - 5 * HOUR_MS, day + HOUR_MS]


def test_then_none() -> None:
    assert kept(0, DAILY_MS, DAILY_MS + 1, 2 * DAILY_MS) == [0, DAILY_MS]


def test_what_a_branch_or_tag_names_is_kept_for_good() -> None:
    assert kept(2 * DAILY_MS, 3 * DAILY_MS, named=(1,)) == [3 * DAILY_MS]


def test_a_commit_a_minute_leaves_some_hundred_snapshots() -> None:
    """So that metadata that every commit writes anew stays small."""
    ages = range(0, 100 * DAY_MS, 300_000)

    assert len(kept(*ages)) < 72 + 24 * 7 + 90
