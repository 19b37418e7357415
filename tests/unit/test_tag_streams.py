"""The tags of a position: which are watched, what is kept of them, and what is told; cut anywhere, the same."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telltale.core import streams, tag_streams
from telltale.core.judgement import Row
from telltale.core.tag_streams import EVERY_TAG, MOST_TAGS, Alarm, Tag, values, watch

HOUR_MS = 3_600_000
ALL = {EVERY_TAG: 32}


def row(hour: int, **tags: float) -> Row:
    return Row(f"c{hour}", "xs", hour * HOUR_MS, hour * HOUR_MS, "s-1", tags=tags)


def flow(*levels: float) -> list[Row]:
    """Levels with a little to and fro."""
    return [row(hour, flow=level + 0.1 * (hour % 2)) for hour, level in enumerate(levels)]


JUMP = flow(*[10.0] * 40, *[30.0] * 6)


def test_a_jump_after_learning_is_told_once_and_once_more_when_it_has_stayed() -> None:
    kept, alarms = watch({}, JUMP, wanted=ALL)

    [alarm, change] = alarms
    assert (alarm.tag, alarm.row.capture_id, alarm.is_anomaly, alarm.is_changepoint) == ("flow", "c40", True, False)
    assert alarm.rows_before == 40
    assert alarm.told.words.startswith("flow 30: ")
    assert (change.is_anomaly, change.is_changepoint, change.row.t_ms > alarm.row.t_ms) == (False, True, True)
    assert (kept["flow"].alarm, kept["flow"].change) == (alarm.told, change.told)
    assert (kept["flow"].state, kept["flow"].value) == ("watched", JUMP[-1].tags["flow"])
    assert (kept["flow"].since_ms, kept["flow"].t_ms) == (0, 45 * HOUR_MS)


def test_what_is_said_is_what_the_stream_says_of_its_values() -> None:
    rng = np.random.default_rng(3)
    series = [*rng.normal(0, 1, 150).tolist(), *rng.normal(4, 1, 50).tolist(), *[4.0] * 60]
    rows = [row(hour, flow=value) for hour, value in enumerate(series)]

    _, alarms = watch({}, rows, wanted={"flow": 64})

    said = streams.watch(series, [hour * 3600.0 for hour in range(len(series))], probation_rows=64)
    assert [one.row.t_ms // HOUR_MS for one in alarms if one.is_anomaly] == np.flatnonzero(said.is_anomaly).tolist()
    assert [one.row.t_ms // HOUR_MS for one in alarms if one.is_changepoint] == (
        np.flatnonzero(said.is_changepoint).tolist()
    )
    assert len({one.told.reason for one in alarms}) >= 2
    for one in alarms:
        assert one.told.reason == streams.Reason(int(said.reason[one.row.t_ms // HOUR_MS])).name
        assert "{" not in one.told.words


@settings(max_examples=30)
@given(cuts=st.lists(st.integers(0, 45), max_size=4), back=st.integers(0, 8))
def test_batches_that_overlap_say_what_one_batch_says(cuts: Sequence[int], back: int) -> None:
    whole, told = watch({}, JUMP, wanted=ALL)

    kept: dict[str, Tag] = {}
    alarms: list[Alarm] = []
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(JUMP)], strict=True):
        kept, some = watch(kept, JUMP[max(0, start - back) : end], wanted=ALL)
        alarms += some

    assert (kept, alarms) == (whole, told)


def test_named_tags_and_all_tags_and_columns_of_the_row_are_watched_when_asked_for() -> None:
    heard = Row(
        "c1", "xs", 1, 1, "s-1", 1480.0, 41.5, {"x": {"rms_g": 0.2, "crest": None}},
        tags={"flow": 3.0, "load": 7.0, "rssi_dbm": 1.0}, battery_pct=87.0,
    )  # fmt: skip

    assert values(heard, {}) == {}
    assert values(heard, {"flow": 32, "absent": 32}) == {"flow": 3.0}
    assert values(heard, ALL) == {"flow": 3.0, "load": 7.0}
    named = {"temperature_c": 32, "battery_pct": 32, "rssi_dbm": 32, "x/rms_g": 32, "x/crest": 32, "y/rms_g": 32}
    assert values(heard, named) == {"temperature_c": 41.5, "battery_pct": 87.0, "x/rms_g": 0.2}
    assert values(heard, {**ALL, "speed_rpm": 32}) == {"flow": 3.0, "load": 7.0, "speed_rpm": 1480.0}


def test_nothing_known_is_nothing_heard() -> None:
    axes: list[dict[str, dict[str, float | None]]] = [{"x": {"rms_g": nan}}, {"x": {"rms_g": None}}, {"x": {}}, {}]
    rows = [replace(row(hour), axes=one) for hour, one in enumerate(axes)]

    assert watch({}, rows, wanted={"x/rms_g": 32}) == ({}, [])


def test_a_probation_of_its_own_wins_over_that_of_all_and_a_changed_one_begins_anew() -> None:
    kept, _ = watch({}, flow(*[10.0] * 20), wanted={**ALL, "flow": 40})
    again, _ = watch(kept, flow(*[10.0] * 25)[20:], wanted=ALL)

    assert kept["flow"].state == "learning 20 of 40"
    assert (again["flow"].state, again["flow"].since_ms) == ("learning 5 of 32", 20 * HOUR_MS)


def test_a_tag_that_nobody_asks_for_any_more_is_forgotten() -> None:
    kept, _ = watch({}, [row(0, flow=1.0, load=2.0)], wanted=ALL)

    assert sorted(kept) == ["flow", "load"]
    assert sorted(watch(kept, [], wanted={"load": 32})[0]) == ["load"]


def test_no_sender_makes_more_streams_than_a_position_may_have() -> None:
    rows = [row(hour, **{f"t{hour}": 1.0}) for hour in range(MOST_TAGS + 5)]

    kept, _ = watch({}, rows, wanted=ALL)

    assert sorted(kept) == sorted(f"t{hour}" for hour in range(MOST_TAGS))


def test_a_tag_that_is_named_has_its_place_whoever_came_first() -> None:
    rows = [row(hour, **{f"t{hour}": 1.0}) for hour in range(MOST_TAGS)]

    kept, _ = watch({}, [*rows, row(MOST_TAGS, flow=1.0)], wanted={**ALL, "flow": 32})

    assert len(kept) == MOST_TAGS
    assert "flow" in kept
    assert f"t{MOST_TAGS - 1}" not in kept
    assert list(watch(watch({}, rows, wanted=ALL)[0], [], wanted={**ALL, "flow": 32})[0]) == list(kept)[:-1]


@settings(max_examples=25)
@given(st.lists(st.sampled_from([0.0, 1.0, 1.1, -3.0, 40.0, 1e-300, 1e99, -1e100, 1e101]), min_size=33, max_size=120))
def test_whatever_comes_has_words_and_numbers_that_json_can_hold(series: Sequence[float]) -> None:
    kept, alarms = watch({}, [row(hour, flow=value) for hour, value in enumerate(series)], wanted=ALL)

    for alarm in alarms:
        assert alarm.told.words
        assert 0.5 < alarm.told.score <= 1
    json.dumps([tag.summary() for tag in kept.values()], allow_nan=False)


def test_what_is_kept_survives_its_packing() -> None:
    kept, _ = watch({}, JUMP, wanted=ALL)
    tag = kept["flow"]

    assert Tag.of(tag.stream.pack(), json.loads(json.dumps(tag.summary()))) == tag


@pytest.mark.parametrize(
    "wanted", [{}, ALL, {EVERY_TAG: 750}, {"flow": 20_000}, dict.fromkeys(map(str, range(64)), 600)]
)
def test_what_fits_into_an_item_is_accepted(wanted: Mapping[str, int]) -> None:
    tag_streams.check(wanted)


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"flow": 31}, "31 rows"),
        ({EVERY_TAG: 2000}, "kB"),
        ({"flow": 500_000}, "kB"),
        (dict.fromkeys(map(str, range(65)), 32), "65 tags"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(wanted: Mapping[str, int], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        tag_streams.check(wanted)
