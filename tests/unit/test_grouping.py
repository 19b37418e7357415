"""Which cases share an order: floods, and what becomes of children."""

from hypothesis import given
from hypothesis import strategies as st
from telltale.core.closure import FAILURE_MODES, closure
from telltale.core.grouping import (
    FLOOD,
    FLOOD_MS,
    REMEMBERED_MS,
    closure_of_child,
    in_flood,
    time_to_clear_ms,
    together,
    why_together,
    with_opening,
)

HOUR_MS = 3_600_000
times = st.lists(st.integers(0, 3 * FLOOD_MS), min_size=1, max_size=40)


def remembered(when: list[int]) -> dict[str, int]:
    """Cases that wanted an order at these times, in their order."""
    openings: dict[str, int] = {}
    for number, t_ms in enumerate(sorted(when)):
        openings = with_opening(openings, f"case-{number:02}", t_ms)
    return openings


@given(times)
def test_never_more_than_ten_cases_within_ten_minutes_are_no_flood(when: list[int]) -> None:
    openings = remembered(when)

    alone = sorted(t_ms for case_id, t_ms in openings.items() if not in_flood(openings, case_id))

    assert all(later - earlier >= FLOOD_MS for earlier, later in zip(alone, alone[FLOOD:], strict=False))


@given(times, times)
def test_what_comes_later_does_not_change_what_was_decided(when: list[int], later: list[int]) -> None:
    openings = remembered(when)
    decided = {case_id: in_flood(openings, case_id) for case_id in openings}

    after = openings
    for number, t_ms in enumerate(sorted(later)):
        after = with_opening(after, f"later-{number:02}", max(when) + 1 + t_ms)

    assert {case_id: in_flood(after, case_id) for case_id in decided if case_id in after} == {
        case_id: flood for case_id, flood in decided.items() if case_id in after
    }


@given(times)
def test_a_case_that_asks_again_is_counted_once_and_keeps_its_time(when: list[int]) -> None:
    openings = remembered(when)

    for case_id in openings:
        again = with_opening(openings, case_id, max(when) + 1000)
        assert again == openings or openings[case_id] <= max(when) + 1000 - REMEMBERED_MS


def test_what_is_long_ago_is_forgotten() -> None:
    assert with_opening({"case-a": 0}, "case-b", REMEMBERED_MS) == {"case-b": REMEMBERED_MS}


def test_ten_alarms_in_ten_minutes_are_bearable_and_the_eleventh_is_a_flood() -> None:
    ten = {f"case-{number}": number for number in range(10)}

    assert not any(in_flood(ten, case_id) for case_id in ten)
    assert in_flood({**ten, "case-x": 10}, "case-x")
    assert not in_flood({**ten, "case-x": FLOOD_MS + 9}, "case-x")


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
