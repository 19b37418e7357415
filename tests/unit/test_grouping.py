"""Which cases share an order: floods, and what becomes of children."""

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from telltale.core.closure import FAILURE_MODES, closure
from telltale.core.grouping import (
    FLOOD,
    FLOOD_MS,
    Opening,
    closure_of_child,
    in_flood,
    time_to_clear_ms,
    together,
    why_together,
    window,
)

HOUR_MS = 3_600_000
times = st.lists(st.integers(0, 3 * FLOOD_MS), min_size=1, max_size=40)


def looked_at(when: list[int]) -> dict[str, Opening]:
    """Cases that opened at these times, looked at in this order."""
    return {f"case-{number:02}": Opening(opened_ms, number) for number, opened_ms in enumerate(when)}


def floods(cases: dict[str, Opening], case_id: str) -> bool:
    number = window(cases[case_id].opened_ms)
    here, before = ({one: it for one, it in cases.items() if window(it.opened_ms) == n} for n in (number, number - 1))
    return in_flood(case_id, here, before)


@given(times)
def test_never_more_than_ten_cases_within_ten_minutes_are_no_flood(when: list[int]) -> None:
    cases = looked_at(sorted(when))

    alone = sorted(it.opened_ms for case_id, it in cases.items() if not floods(cases, case_id))

    assert all(later - earlier >= FLOOD_MS for earlier, later in zip(alone, alone[FLOOD:], strict=False))


@given(times)
def test_looked_at_in_any_order_at_most_ten_of_each_ten_minutes_are_no_flood(when: list[int]) -> None:
    cases = looked_at(when)

    alone = Counter(window(it.opened_ms) for case_id, it in cases.items() if not floods(cases, case_id))

    assert max(alone.values(), default=0) <= FLOOD


def test_a_thousand_cases_of_a_day_that_are_looked_at_at_once_are_no_flood() -> None:
    when = [number * 86_400 for number in range(1000)]
    random.Random(6).shuffle(when)
    cases = looked_at(when)

    assert not any(floods(cases, case_id) for case_id in cases)


@given(times, times)
def test_what_is_looked_at_later_does_not_change_what_was_decided(when: list[int], later: list[int]) -> None:
    cases = looked_at(when)
    decided = {case_id: floods(cases, case_id) for case_id in cases}

    more = cases | {f"later-{n:02}": Opening(opened_ms, len(when) + n) for n, opened_ms in enumerate(later)}

    assert {case_id: floods(more, case_id) for case_id in decided} == decided


def test_ten_alarms_in_ten_minutes_are_bearable_and_the_eleventh_is_a_flood() -> None:
    ten = looked_at(list(range(10)))

    assert not any(floods(ten, case_id) for case_id in ten)
    assert floods({**ten, "case-x": Opening(10, 10)}, "case-x")
    assert not floods({**ten, "case-x": Opening(FLOOD_MS + 9, 10)}, "case-x")


@given(st.sampled_from(FAILURE_MODES))
def test_the_closure_of_a_child_is_one_that_people_could_have_chosen_and_repairs_nothing(mode: str) -> None:
    codes = closure_of_child("case-p", {"failure_mode": mode, "failure_cause": "WEAR", "action_taken": "REPLACE"})

    closure(**codes)
    assert codes["action_taken"] == "NO_ACTION"
    assert (codes["failure_mode"] == "NO_ISSUE") == (mode == "NO_ISSUE")


def test_a_parent_without_codes_leaves_its_child_undetermined() -> None:
    codes = closure_of_child("case-p", {})

    assert (codes["failure_mode"], codes["failure_cause"]) == ("UNDETERMINED", "UNDETERMINED")


def test_cases_of_one_machine_within_a_day_are_together() -> None:
    assert together(0, 24 * HOUR_MS)
    assert together(24 * HOUR_MS, 0)
    assert not together(0, 24 * HOUR_MS + 1)


def test_a_child_has_six_rows_and_at_least_a_quarter_of_an_hour_to_clear() -> None:
    assert time_to_clear_ms(3600) == 6 * HOUR_MS
    assert time_to_clear_ms(1) == 15 * 60_000


def test_why_cases_are_together_is_said_in_words() -> None:
    assert (
        why_together("s/a/pump/de", 2 * HOUR_MS, "s/a/pump/nde", 0) == "the same machine warned at nde, 2.0 h before it"
    )
    assert why_together("s/a/pump/de", 0, "s/a/pump/nde", HOUR_MS) == "the same machine warned at nde, 1.0 h after it"
    assert (
        why_together("s/a/fan/de", 0, "s/a/pump/nde", 0) == "more than 10 cases of s within 10 minutes share one order"
    )
