"""One tag is watched by the records of its own statistics: what is found, what is not, and how often it is wrong."""

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime
from math import log
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from telltale.core.streams import LARGEST, MARGIN, RECORDS, Reason, Stream, Verdicts, advance, step, watch

Floats = NDArray[np.float64]

PROBATION, ROWS, EVENT = 600, 3000, 2000
INTERVAL_S = 300.0
NAB = Path(__file__).parents[3] / "shared" / "data" / "nab"


def times(rows: int = ROWS) -> Floats:
    return np.asarray(1.7e9 + INTERVAL_S * np.arange(rows))


def noise(rows: int = ROWS, *, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).standard_normal(rows)


def watched(values: Floats) -> Verdicts:
    return watch(values, times(len(values)), probation_rows=PROBATION)


def alarms(verdicts: Verdicts) -> list[tuple[int, Reason]]:
    return [(int(row), Reason(verdicts.reason[row])) for row in np.flatnonzero(verdicts.is_anomaly)]


def same(one: Verdicts, other: Verdicts) -> bool:
    names = ("score", "is_anomaly", "is_changepoint", "reason")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def joined(parts: list[Verdicts]) -> Verdicts:
    return Verdicts(
        np.concatenate([part.score for part in parts]),
        np.concatenate([part.is_anomaly for part in parts]),
        np.concatenate([part.is_changepoint for part in parts]),
        np.concatenate([part.reason for part in parts]),
    )


# What is the same however it is computed


@given(seed=st.integers(0, 10_000), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_where_the_rows_are_cut_changes_no_bit(seed: int, cuts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    values = rng.choice([0.0, 0.1, 0.1, 0.3, -2.0, 7.7, 1e6, np.nan, np.inf], 200, p=rng.dirichlet(np.ones(9)))
    when = 1e9 + 1800.0 * np.cumsum(rng.choice([1, 1, 1, 0, -3, 50], 200))
    whole_state, whole = advance(Stream.new(probation_rows=32), values, when)

    state, parts = Stream.new(probation_rows=32), []
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), 200], strict=True):
        state, part = advance(Stream.unpack(state.pack()), values[start:end], when[start:end])
        parts.append(part)

    assert same(joined(parts), whole)
    assert state == whole_state


def test_row_by_row_is_the_whole_history_to_the_bit() -> None:
    values = np.concatenate((noise(500), 4 + 3 * noise(300, seed=2), np.full(200, 4.0)))
    state, parts = Stream.new(probation_rows=150), []

    for value, time_s in zip(values, times(1000), strict=True):
        state, part = step(state, float(value), float(time_s))
        parts.append(part)

    assert same(joined(parts), watch(values, times(1000), probation_rows=150))
    assert any(verdicts.is_anomaly.any() for verdicts in parts)


def plainly(values: Floats, when: Floats, *, probation: int) -> tuple[list[int], list[Floats]]:
    """The rule as docs/streams.md tells it, with nothing clever: alarms, and the statistics of each row."""
    long = 2 ** round(np.log2(probation / 5))
    short = long // 4
    fast = slow = values[0]
    profile: dict[int, float] = {}
    residuals: list[float] = []
    found: list[int] = []
    history: list[Floats] = []
    counts = np.zeros(8)
    run, longest, told = 0, 0, 0
    for row, value in enumerate(values):
        fast += 3 / short * (value - fast)
        slow += 1 / (2 * long) * (value - slow)
        hour = int(when[row] // 3600 % 24)
        usual = profile.setdefault(hour, value)
        residuals.append(value - usual)
        profile[hour] += 0.02 * residuals[-1]
        if row and value != values[row - 1]:
            longest, run = max(longest, run), 0
        run += 1

        def shift(width: int, end: int = row + 1) -> float:
            newer, older = values[end - width : end], values[end - 2 * width : end - width]
            return abs(newer.mean() - older.mean()) if end > 2 * width else 0.0

        now = np.array(
            [
                value,
                -value,
                abs(fast - slow),
                shift(short),
                shift(long),
                values[max(0, row + 1 - short) : row + 1].std(),
                abs(np.mean(residuals[-short:])),
                abs(np.mean(residuals[-long:])),
            ]
        )
        if row >= probation:
            usually, record = np.mean(history[:probation], axis=0), np.max(history, axis=0)
            beyond = now - usually > (record - usually) * (1 + MARGIN * (1 + counts))
            stuck = longest > 0 and run > max(2 * max(longest, told), long)
            if (beyond.any() or stuck) and (not found or row - found[-1] >= 0.2 * probation):
                found.append(row)
                counts += beyond
                told = run if stuck else told
        history.append(now)
    return found, history


@pytest.mark.parametrize("seed", range(4))
def test_the_fast_way_decides_as_the_plain_one(seed: int) -> None:
    values = 20 + 3 * np.sin(times(900) * 2 * np.pi / 86_400) + noise(900, seed=seed)
    values[400:] += seed
    values[600:750] = 21.0

    assert [row for row, _ in alarms(watch(values, times(900), probation_rows=200))] == plainly(
        values, times(900), probation=200
    )[0]


def test_a_row_is_judged_by_what_came_up_to_it() -> None:
    values = noise()
    other = np.concatenate((values[:EVENT], 100 * noise(ROWS - EVENT, seed=5)))

    one, another = watched(values), watched(other)

    for name in ("score", "is_anomaly", "is_changepoint", "reason"):
        assert np.array_equal(getattr(one, name)[:EVENT], getattr(another, name)[:EVENT])


@pytest.mark.parametrize(("factor", "offset"), [(2.0**-30, 0.0), (4096.0, 0.0), (1.0, 2.0**20)])
def test_units_do_not_matter(factor: float, offset: float) -> None:
    values = np.round(noise() * 64) / 64

    assert alarms(watched(factor * values + offset)) == alarms(watched(values))


def test_upside_down_high_is_low() -> None:
    swapped = {Reason.HIGH: Reason.LOW, Reason.LOW: Reason.HIGH}

    found = alarms(watched(noise()))

    assert [(row, swapped.get(why, why)) for row, why in found] == alarms(watched(-noise()))


def test_inputs_are_not_modified() -> None:
    values, when = noise(), times()
    values.flags.writeable = when.flags.writeable = False

    watched(values)


def test_a_state_is_small_and_packs() -> None:
    state, _ = advance(Stream.new(probation_rows=PROBATION), noise(), times())

    packed = state.pack()

    assert Stream.unpack(packed) == state
    assert len(packed) < 3_700


@pytest.mark.parametrize("broken", [b"", b"\x02", b"\x01", b"short"])
def test_bytes_that_are_no_state_are_refused(broken: bytes) -> None:
    with pytest.raises(ValueError, match="state"):
        Stream.unpack(broken)


def test_a_state_that_was_cut_is_refused() -> None:
    state, _ = advance(Stream.new(probation_rows=PROBATION), noise(), times())

    with pytest.raises(ValueError, match="wanted"):
        Stream.unpack(state.pack()[:-8])


# How often it is wrong


@pytest.mark.parametrize("draw", ["standard_normal", "random", "standard_exponential", "standard_cauchy"])
def test_false_alarms_stay_below_what_records_allow_whatever_the_distribution(draw: str) -> None:
    rng = np.random.default_rng(7)

    found = [watched(getattr(rng, draw)(ROWS)).is_anomaly.sum() for _ in range(12)]

    assert 1 < np.mean(found) < len(RECORDS) * log(ROWS / PROBATION)


@pytest.mark.parametrize("draw", ["standard_normal", "standard_exponential", "standard_cauchy"])
def test_the_value_breaks_its_record_no_more_often_than_theory_says(draw: str) -> None:
    rng = np.random.default_rng(8)

    found = [watch(getattr(rng, draw)(1000), times(1000), probation_rows=200).reason for _ in range(60)]

    assert 0.1 < np.sum(np.equal(found, Reason.HIGH)) / 60 <= log(1000 / 200)
    assert np.sum(np.equal(found, Reason.LOW)) / 60 <= log(1000 / 200)


def test_alarms_grow_rarer() -> None:
    rng = np.random.default_rng(9)

    found = np.sum([watched(rng.standard_normal(ROWS)).is_anomaly for _ in range(25)], axis=0)

    assert found[PROBATION:1200].sum() > 1.5 * found[ROWS - 600 :].sum()


# What is found


def of_the_event(verdicts: Verdicts) -> list[tuple[int, Reason]]:
    return [(row - EVENT, why) for row, why in alarms(verdicts) if EVENT <= row < EVENT + 150]


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_spike_alarms_once_at_once_and_is_no_change(rows: int) -> None:
    values = noise()
    values[EVENT : EVENT + rows] += 10

    verdicts = watched(values)

    assert of_the_event(verdicts) == [(0, Reason.HIGH)]
    assert not verdicts.is_changepoint[EVENT : EVENT + 150].any()


@pytest.mark.parametrize("seed", range(10))
def test_a_spike_however_high_is_no_change(seed: int) -> None:
    values = noise(seed=seed)
    values[EVENT : EVENT + 3] += 100

    assert not watched(values).is_changepoint[EVENT : EVENT + 256].any()


@pytest.mark.parametrize("height", [-8.0, 8.0])
def test_a_level_step_alarms_at_once_and_is_a_change_within_a_window(height: float) -> None:
    values = noise()
    values[EVENT:] += height

    verdicts = watched(values)

    changes = np.flatnonzero(verdicts.is_changepoint[EVENT:])
    assert of_the_event(verdicts)[0] == (0, Reason.HIGH if height > 0 else Reason.LOW)
    assert 0 < changes[0] <= 32
    assert (np.diff(changes) >= 0.2 * PROBATION).all()


def test_a_small_step_is_found_by_the_means() -> None:
    values = noise()
    values[EVENT:] += 1.5

    found = of_the_event(watched(values))

    assert found[0][0] < 100
    assert found[0][1] not in (Reason.HIGH, Reason.LOW)


def test_a_slow_drift_is_found_before_it_leaves_the_noise() -> None:
    values = noise()
    values[EVENT:] += np.arange(ROWS - EVENT) * 0.005

    found = [(row, why) for row, why in alarms(watched(values)) if row >= EVENT]

    assert found[0][0] < EVENT + 600


def test_wider_spread_is_found() -> None:
    values = noise()
    values[EVENT:] *= 3

    assert of_the_event(watched(values))[0][0] < 20


def test_narrower_spread_is_not_an_event() -> None:
    values = noise()
    calm = values.copy()
    calm[EVENT:] *= 0.3

    before, after = watched(values), watched(calm)

    assert after.is_anomaly[EVENT:].sum() <= before.is_anomaly[EVENT:].sum()


def test_a_stuck_value_is_found_after_a_long_window_and_told_again_when_it_has_lasted_twice_as_long() -> None:
    values = noise()
    values[EVENT : EVENT + 600] = 0.0

    found = [(row - EVENT, why) for row, why in alarms(watched(values)) if why == Reason.STUCK]

    assert found == [(128, Reason.STUCK), (258, Reason.STUCK), (518, Reason.STUCK)]


def test_a_day_that_goes_otherwise_is_found_within_its_usual_range() -> None:
    values = 10 * np.sin(times() * 2 * np.pi / 86_400) + 0.2 * noise()
    values[EVENT : EVENT + 288] = np.roll(values[EVENT : EVENT + 288], 144)

    found = alarms(watched(values))

    assert any(EVENT <= row < EVENT + 288 for row, _ in found)


# What is not a number, not in order, not regular


def test_missing_rows_are_as_if_they_had_not_come() -> None:
    values = noise()
    values[EVENT:] += 5
    holes = np.insert(values, [100, 700, 2500], [np.nan, -np.inf, 10 * LARGEST])
    when = np.insert(times(), [100, 700, 2500], times()[[100, 700, 2500]] - 1)

    found = watch(holes, when, probation_rows=PROBATION)

    lost = [100, 701, 2502]
    assert [Reason(one) for one in found.reason[lost]] == [Reason.MISSING] * 3
    assert not found.score[lost].any()
    assert np.array_equal(np.delete(found.score, lost), watched(values).score)


def test_what_comes_twice_or_late_changes_nothing() -> None:
    values, when = noise(), times()
    order = np.insert(np.arange(ROWS), [900, 1500], [880, 1499])

    found = watch(values[order], when[order], probation_rows=PROBATION)

    assert [Reason(one) for one in found.reason[[900, 1501]]] == [Reason.LATE] * 2
    assert np.array_equal(np.delete(found.score, [900, 1501]), watched(values).score)


def test_delivering_a_batch_twice_changes_nothing() -> None:
    state, _ = advance(Stream.new(probation_rows=PROBATION), noise(), times())

    again, verdicts = advance(state, noise()[-50:], times()[-50:])

    assert again == state
    assert not verdicts.is_anomaly.any()


def test_a_pause_is_no_event() -> None:
    when = times()
    when[EVENT:] += 30 * 86_400

    assert alarms(watch(noise(), when, probation_rows=PROBATION)) == alarms(watched(noise()))


def test_irregular_rows_are_counted_and_their_hours_are_right() -> None:
    rng = np.random.default_rng(3)
    when = 1.7e9 + np.cumsum(rng.exponential(INTERVAL_S, ROWS))
    values = 10 * np.sin(when * 2 * np.pi / 86_400) + 0.3 * noise()
    values[EVENT : EVENT + 3] += 8 * np.sign(values[EVENT])

    found = alarms(watch(values, when, probation_rows=PROBATION))

    assert any(EVENT <= row < EVENT + 3 for row, _ in found)
    assert len(found) < 10


def test_nothing_in_gives_nothing_out() -> None:
    assert len(watch([], []).score) == 0
    assert len(watch([1.0], [0.0]).score) == 1


def test_only_missing_values_leave_the_state_as_it_was() -> None:
    state, verdicts = advance(Stream.new(probation_rows=32), [np.nan] * 3, [1.0, 2.0, 3.0])

    assert state == Stream.new(probation_rows=32)
    assert (verdicts.reason == Reason.MISSING).all()


def test_rows_of_probation_are_not_judged() -> None:
    verdicts = watched(100 * noise(PROBATION))

    assert (verdicts.reason == Reason.LEARNING).all()
    assert not verdicts.score.any()


@pytest.mark.parametrize(
    ("values", "when", "rows"), [([1.0, 2.0], [1.0], 32), ([1.0], [float("nan")], 32), ([1.0], [1.0], 31)]
)
def test_what_cannot_be_watched_is_refused(values: list[float], when: list[float], rows: int) -> None:
    with pytest.raises(ValueError, match=r"wanted|not a number"):
        watch(values, when, probation_rows=rows)


# Any tag


def test_a_tag_that_never_changed_alarms_with_its_first_other_value() -> None:
    values = np.full(ROWS, 0.1)
    values[EVENT] = 0.2

    assert alarms(watched(values))[0] == (EVENT, Reason.HIGH)
    assert alarms(watched(np.full(ROWS, 0.1))) == []


@pytest.mark.parametrize(
    "quiet",
    [
        lambda rng: rng.poisson(0.05, ROWS).astype(float),
        lambda rng: np.repeat(np.arange(ROWS) % 2, rng.geometric(1 / 30, ROWS))[:ROWS].astype(float),
        lambda rng: np.round(20 + 5 * np.sin(times() * 2 * np.pi / 86_400) + rng.standard_normal(ROWS)),
        lambda rng: np.cumsum(rng.exponential(size=ROWS)) % 1000,
    ],
    ids=["count with many zeros", "on and off", "whole degrees", "totaliser that starts again"],
)
def test_ordinary_tags_alarm_seldom(quiet: Callable[[np.random.Generator], Floats]) -> None:
    found = [watched(quiet(np.random.default_rng(seed))).is_anomaly.sum() for seed in range(5)]

    assert np.mean(found) < 5


def test_a_count_that_is_busy_is_found() -> None:
    values = np.random.default_rng(4).poisson(0.05, ROWS).astype(float)
    values[EVENT : EVENT + 200] = np.random.default_rng(5).poisson(2, 200)

    assert of_the_event(watched(values))[0][0] < 20


def test_a_switch_that_rattles_is_found() -> None:
    values = (np.arange(ROWS) // 40 % 2).astype(float)
    values[EVENT : EVENT + 200] = (np.random.default_rng(6).random(200) < 0.9).astype(float)

    assert of_the_event(watched(values))


@pytest.mark.data
@pytest.mark.skipif(not NAB.exists(), reason=f"NOT CHECKED on real streams: {NAB} is missing")
def test_real_streams_alarm_in_their_windows_and_seldom_outside() -> None:
    labels = json.loads((NAB / "labels" / "combined_windows.json").read_text())
    hit = windows = outside = 0
    for name in (NAB / "subset.txt").read_text().split():
        with (NAB / "data" / name).open() as file:
            rows = list(csv.DictReader(file))
        when = [datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC) for row in rows]
        found = watch([float(row["value"]) for row in rows], [one.timestamp() for one in when]).is_anomaly
        at = [when[row] for row in np.flatnonzero(found)]
        spans = [tuple(datetime.fromisoformat(end).replace(tzinfo=UTC) for end in span) for span in labels[name]]
        hit += sum(any(start <= one <= end for one in at) for start, end in spans)
        outside += sum(not any(start <= one <= end for start, end in spans) for one in at)
        windows += len(spans)

    assert windows == 55
    assert hit >= 48
    assert outside <= 73
