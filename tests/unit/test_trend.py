"""The rows that are kept for a forecast, and the forecast in a case."""

from math import inf, isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from telltale.core import prognosis, trend
from telltale.core.judgement import Row
from telltale.core.plant import Limits, Position
from telltale.core.trend import MOST, SLOT_MS, Trend, outlook

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
START_MS = 1_780_000_000_000 // SLOT_MS * SLOT_MS


PUMP = Position("s/a/pump/drive")


def row(t_ms: int, level: float | None = 0.5, *, axis: str = "x", name: str = "rms_g") -> Row:
    return Row(f"c@{t_ms}", "x", t_ms, t_ms, "s-1", axes={axis: {name: level}})


def kept(times_ms: list[int]) -> Trend:
    after = Trend.new()
    for t_ms in times_ms:
        after = after.with_row(row(t_ms))
    return after


def test_one_row_is_kept_of_each_slot() -> None:
    hourly = kept([START_MS + hour * HOUR_MS for hour in range(24)])

    t_s, _ = hourly.series("x", "rms_g")
    assert t_s.tolist() == [(START_MS + hour * HOUR_MS) / 1000 for hour in range(0, 24, 2)]


def test_a_row_that_comes_again_or_late_changes_nothing() -> None:
    once = kept([START_MS, START_MS + DAY_MS])

    assert once.with_row(row(START_MS + DAY_MS, 9.0)).pack() == once.pack()
    assert once.with_row(row(START_MS + HOUR_MS, 9.0)) is once


def test_axes_that_come_apart_are_one_row() -> None:
    apart = kept([START_MS]).with_row(row(START_MS, 0.7, axis="z"))

    assert [apart.series(axis, "rms_g")[1].tolist() for axis in "xz"] == [[0.5], [pytest.approx(0.7, rel=1e-3)]]


@pytest.mark.parametrize(
    ("t_ms", "last_ms", "due"),
    [
        (START_MS, None, True),
        (START_MS + SLOT_MS, START_MS + SLOT_MS - 1, True),
        (START_MS + SLOT_MS - 1, START_MS, False),
        (START_MS, START_MS, True),  # a sibling axis of the slot's first row
        (START_MS + HOUR_MS, START_MS + HOUR_MS, False),  # of its second
    ],
)
def test_the_first_row_of_a_slot_is_due(t_ms: int, last_ms: int | None, due: bool) -> None:
    assert trend.is_due(t_ms, last_ms, interval_s=3600) == due


def test_what_is_kept_reaches_from_the_last_hours_to_the_first_year() -> None:
    year = kept([START_MS + slot * SLOT_MS for slot in range(365 * 12)])

    t_s, _ = year.series("x", "rms_g")
    ages = t_s[-1] - t_s
    assert len(t_s) == MOST
    assert ages[0] == 365 * 86_400 - SLOT_MS / 1000
    assert np.diff(t_s)[-8:].max() == SLOT_MS / 1000  # the last two days are all there
    old = ages[:-1] > 2 * 86_400
    assert (np.diff(t_s)[old] / ages[:-1][old]).max() < 0.1  # and no gap is wide beside its age


@given(st.lists(st.integers(0, 400 * 24), min_size=1, max_size=200))
def test_what_is_packed_is_read_as_it_was(hours: list[int]) -> None:
    before = kept([START_MS + hour * HOUR_MS for hour in sorted(hours)])

    after = Trend.unpack(before.pack())

    assert after.rows.tobytes() == before.rows.tobytes()
    assert len(before.pack()) <= MOST * 52


def test_bytes_that_are_no_trend_are_refused() -> None:
    with pytest.raises(ValueError, match="53 bytes, wanted a multiple of 52"):
        Trend.unpack(b"\0" * 53)


@pytest.mark.parametrize(("value", "read"), [(None, None), (0.123456, 0.1235), (1e9, inf)])
def test_a_level_keeps_three_digits(value: float | None, read: float | None) -> None:
    [level] = Trend.new().with_row(row(START_MS, value)).series("x", "rms_g")[1]

    assert isnan(level) if read is None else level == pytest.approx(read, rel=1e-3)


def grown(days: int = 20) -> Trend:
    after = Trend.new()
    rng = np.random.default_rng(0)
    for slot in range(days * 12):
        level = 1.0 + 1.2 * slot / (days * 12) + rng.normal(0, 0.02)
        after = after.with_row(row(START_MS + slot * SLOT_MS, level))
    return after


WARNED = {
    "channel": "x",
    "rule": "baseline",
    "feature": "rms_g",
    "value": 2.2,
    "normal": 1.0,
    "limit": 2.0,
    "score": 1.1,
}
NOW_MS = START_MS + 20 * DAY_MS


def test_a_warning_of_the_baseline_says_when_it_goes_on_to_the_alarm() -> None:
    found = outlook(grown(), row(NOW_MS, 2.2), WARNED, position=PUMP)

    assert found is not None
    assert found["limit"] == pytest.approx(4.0)  # 2 is 2 times normal, the alarm twice as far in logarithms
    assert found["says"].startswith("x rms_g")
    assert "its alarm limit, 4 g" in found["says"]
    assert found["verdict"] == prognosis.NOT_WITHIN or found["low_s"] > 10 * 86_400  # 30 days, straight on


def test_a_zone_says_when_the_next_boundary_is_reached() -> None:
    rows = grown()
    rows = Trend(rows.rows.copy())
    verdict = {
        **{"channel": "x", "rule": "zone", "feature": "rms_g", "value": 2.2, "score": 1.1, "limit": 2.0},
        **{"next_boundary": "C/D", "margin_to_next_boundary": 0.3},
    }

    found = outlook(rows, row(NOW_MS, 2.2), verdict, position=PUMP)

    assert found is not None
    assert "zone D, 2.5 g" in found["says"]
    assert found["verdict"] == prognosis.REACHES
    assert found["low_s"] < 5 * 86_400 < 20 * 86_400  # 5 days, straight on


def test_an_alarm_limit_that_a_person_set_is_the_next_one() -> None:
    pump = Position("s/a/pump/drive", limits=Limits(velocity_alarm_mm_s=2.6))
    verdict = {"channel": "x", "rule": "zone", "feature": "rms_g", "value": 2.2, "score": 1.1, "limit": 2.0}

    found = outlook(grown(), row(NOW_MS, 2.2), verdict, position=pump)
    beyond = outlook(grown(), row(NOW_MS, 2.7), {**verdict, "value": 2.7}, position=pump)

    assert found is not None
    assert found["limit"] == 2.6
    assert beyond is None


@pytest.mark.parametrize(
    "verdict",
    [
        {**WARNED, "score": 2.0},  # in alarm
        {**WARNED, "rule": "temperature", "channel": "temperature"},
        {**WARNED, "feature": "order_1_mm_s"},
        {"channel": "x", "rule": "zone", "feature": "velocity_rms_mm_s", "value": 20.0, "score": 2.0, "limit": 7.1},
    ],
)
def test_where_no_limit_is_ahead_nothing_is_said(verdict: dict[str, object]) -> None:
    assert outlook(grown(), row(NOW_MS, 2.2), verdict, position=PUMP) is None


def test_rows_after_the_one_that_is_judged_are_not_looked_at() -> None:
    found = outlook(grown(10), row(START_MS + 5 * DAY_MS, 1.6), WARNED, position=PUMP)

    assert found is not None
    assert found["rows"] == 5 * 12 + 1
