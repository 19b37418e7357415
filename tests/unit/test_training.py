"""How a model is made from history, and when it may take the place of the live one."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from telltale.core import asset_model, training
from telltale.core.training import GOOD, POOR, UNKNOWN, Gate, History, Quality, Replay, Wish

pytestmark = pytest.mark.long

TAGS = ("process/flow", "process/pressure", "de/temperature_c")
HOUR = 3600.0


def history(rows: int = 1200, *, seed: int = 1, fault: slice | None = None) -> History:
    """Three tags that go together."""
    random = np.random.default_rng(seed)
    load = random.normal(size=rows)
    values = np.column_stack([load, 0.8 * load, -0.5 * load]) + 0.3 * random.normal(size=(rows, 3))
    values = values * [3.0, 0.5, 2.0] + [40.0, 6.0, 55.0]
    if fault is not None:
        values[fault, 2] += 15.0
    return History(TAGS, 1_790_000_000.0 + HOUR * np.arange(1, rows + 1), values)


def span(of: History, rows: slice) -> tuple[float, float]:
    return float(of.times_s[rows][0]), float(of.times_s[rows][-1])


def made(of: History, wish: Wish | None = None, live: Any = None) -> training.Made:
    return training.make(of, wish or Wish(), live=live)


def test_the_newest_quarter_is_replayed_and_not_learned_from() -> None:
    of = history()

    model = made(of)

    assert model.model.rows == 900
    assert model.learned_s == span(of, slice(0, 900))
    assert model.report["gate"]["candidate"]["healthy_rows"] == 300
    assert model.report["model_quality"] == GOOD


def test_what_is_labelled_or_left_out_is_not_learned_from() -> None:
    of = history(fault=slice(200, 260))
    labelled, case = span(of, slice(200, 260)), span(of, slice(300, 350))

    model = made(of, Wish(labelled=(labelled,), left_out=(case,)))

    assert model.report["abnormal_rows"] == 110
    assert model.model.mean[2] == pytest.approx(55.0, abs=0.5)
    assert model.report["gate"]["candidate"] | {"healthy_rows": 0, "alarms": 0, "rows_in_alarm": 0} == {
        "healthy_rows": 0,
        "rows_in_alarm": 0,
        "alarms": 0,
        "found": 1,
        "ranges": 1,
    }


def test_rows_with_the_machine_off_are_not_learned_from() -> None:
    of = history()
    of.values[100:200, 0] = 0.0

    model = made(of, Wish(off="process/flow<1", tags=TAGS[1:]))

    assert model.report["off_rows"] == 100
    assert model.model.tags == TAGS[1:]


def test_a_change_long_ago_is_left_behind_and_the_report_says_so() -> None:
    of = history(1600)
    of.values[:100] += [30.0, 4.0, -20.0]

    model = made(of)

    assert model.learned_s[0] == of.times_s[600]
    assert model.report["range"].startswith("the newest 600 of 1200 healthy rows")


def test_a_given_range_is_taken_as_it_is() -> None:
    of = history(1600)
    of.values[:100] += [30.0, 4.0, -20.0]

    model = made(of, Wish(learn_s=span(of, slice(0, 1000))))

    assert (model.model.rows, model.report["range"]) == (1000, "the range that was given")
    assert model.report["gate"]["candidate"]["healthy_rows"] == 600


def test_the_same_history_gives_the_same_model_to_the_last_bit() -> None:
    assert asset_model.as_json(made(history()).model) == asset_model.as_json(made(history()).model)


@pytest.mark.parametrize("rows", [0, 1, 99])
def test_too_little_history_is_refused_with_both_numbers(rows: int) -> None:
    with pytest.raises(ValueError, match=f"found {rows} healthy rows, wanted 100"):
        made(history(rows))


def test_a_tag_that_is_not_in_the_history_counts_as_missing() -> None:
    of = History(TAGS[:1], np.arange(3.0), np.ones((3, 1)))

    np.testing.assert_array_equal(of.of(TAGS[:2]), [[1.0, np.nan]] * 3)
    assert of.of(()).shape == (3, 0)


def test_the_live_model_is_replayed_over_the_same_rows() -> None:
    of = history(2000, fault=slice(1700, 1760))
    live = made(history(seed=2)).model

    model = made(of, Wish(labelled=(span(of, slice(1700, 1760)),)), live)

    assert model.gate.passed
    assert model.gate.live is not None
    assert model.gate.candidate is not None
    assert model.gate.live.healthy_rows == model.gate.candidate.healthy_rows
    assert model.gate.live.found == model.gate.candidate.found == 1


def test_a_live_model_that_cannot_be_read_any_more_is_replaced_by_one_that_is_good_by_itself() -> None:
    model = training.make(history(), Wish(), live=None, silent=True)

    assert model.gate.passed
    assert "live 0" in model.gate.reason


# ---- the gate --------------------------------------------------------------------------------------------------------

FINE = Replay(1000, 2, 1, 2, 2)


def judge(candidate: Replay = FINE, live: Replay | None = FINE, quality: Quality | None = None) -> Gate:
    return training.gate(quality or Quality(GOOD, 0.001), candidate, live, false_alarm_rows=3000.0)


def test_a_candidate_as_good_as_the_live_model_goes_live_and_says_why() -> None:
    assert judge() == Gate(
        True,
        "it alarms on 0.20% of 1000 healthy rows (live 0.20%) and finds 2 of 2 labelled ranges (live 2)",
        FINE,
        FINE,
    )


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"live": None}, "the first one of an asset is promoted by a person"),
        ({"quality": Quality(POOR, 0.3)}, "POOR_QUALITY_DETECTED: 30.00%"),
        ({"quality": Quality(UNKNOWN)}, "CANNOT_DETERMINE_QUALITY"),
        ({"candidate": replace(FINE, healthy_rows=99)}, "99 healthy rows to replay, wanted 100"),
        ({"candidate": replace(FINE, rows_in_alarm=81)}, "it alarms on 8.10% of 1000 healthy rows"),
        ({"candidate": replace(FINE, found=1)}, "it finds 1 of 2 labelled ranges, the live model 2"),
    ],
)
def test_a_candidate_that_is_held_back_says_why(given: dict[str, Any], why: str) -> None:
    found = judge(**given)

    assert not found.passed
    assert why in found.reason


def test_a_candidate_that_alarms_less_than_a_noisy_live_model_may_replace_it() -> None:
    assert judge(replace(FINE, rows_in_alarm=200), replace(FINE, rows_in_alarm=300)).passed


def test_what_noise_gives_is_held_against_nobody() -> None:
    assert [training.by_chance(rows, false_alarm_rows=3000.0) for rows in (0, 10, 1000, 30_000)] == [0, 0, 2, 18]
    assert judge(replace(FINE, rows_in_alarm=80)).passed


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 3), st.integers(0, 3))
def test_what_goes_live_is_never_worse_on_either_count(noise: int, usual: int, found: int, known: int) -> None:
    candidate = replace(FINE, rows_in_alarm=noise, found=found)
    live = replace(FINE, rows_in_alarm=usual, found=known)

    if judge(candidate, live).passed:
        assert candidate.alert_rate <= max(live.alert_rate, training.most_alerts(1000, false_alarm_rows=3000.0))
        assert candidate.found >= live.found


def test_training_costs_more_the_more_it_is_given() -> None:
    small, large = training.cost(1000, 10), training.cost(100_000, 100)

    assert small.memory < large.memory
    assert small.seconds < large.seconds
    assert large.memory == pytest.approx(2.1e9, rel=0.1)
