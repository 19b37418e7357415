"""What can be done to a case beside ending it: shelved, and back; named by another's order, and alone again."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telltale.core.cases import ACTS, MOST_SHELVED_MS
from telltale.core.detect import CaseChange, Control, Row, State, Verdict, step
from telltale.core.plant import Position

POSITION = Position("plant/hall/pump-1/motor-de", machine_class="iso10816-1/II")
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
PARENT = "case-" + "p" * 20
Told = tuple[State, list[Verdict], list[CaseChange]]


def rows(mm_s: float, *, first: int, count: int = 6) -> list[Row]:
    hours = range(first, first + count)
    return [Row(f"c{n}", "x", n * HOUR_MS, n * HOUR_MS, "s", axes={"x": {"velocity_rms_mm_s": mm_s}}) for n in hours]


def after(items: list[Row | Control], state: State | None = None) -> Told:
    state = state or State.new()
    verdicts: list[Verdict] = []
    changes: list[CaseChange] = []
    for item in items:
        state, said, changed = step(state, item, POSITION)
        assert State.unpack(state.pack()) == state
        verdicts += said
        changes += changed
    return state, verdicts, changes


WARNED, _, [OPENED] = after([*rows(4.0, first=1)])
NOW = 10 * HOUR_MS


def act(kind: str, **fields: object) -> Control:
    return replace(Control(kind, OPENED.case_id, NOW, "mia"), **fields)  # type: ignore[arg-type]  # Control's own


SHELVED = act("shelved", until_ms=NOW + 7 * DAY_MS, why="the part comes on Monday")


def test_shelving_says_who_until_when_and_why() -> None:
    _, _, [change] = after([SHELVED], WARNED)

    assert (change.change, change.revision, change.by, change.until_ms) == ("shelved", 2, "mia", NOW + 7 * DAY_MS)
    assert change.reason == "shelved until 1970-01-08 10:00 UTC, by mia: the part comes on Monday"
    assert change.severity == "WARNING"


def test_a_shelved_case_is_judged_like_any_other() -> None:
    later: list[Row | Control] = [*rows(4.0, first=11, count=20)]

    plain, shelved = after(later, WARNED), after([SHELVED, *later], WARNED)

    assert shelved[1] == plain[1]
    assert shelved[0].state == plain[0].state == "WARNING"
    assert [change.change for change in shelved[2]] == ["shelved"]


def test_a_rise_to_alarm_breaks_through_and_says_so() -> None:
    state, _, changes = after([SHELVED, *rows(9.0, first=11)], WARNED)

    assert [(change.change, change.until_ms) for change in changes] == [
        ("shelved", SHELVED.until_ms),
        ("updated", None),
    ]
    assert changes[1].evidence["unshelved"] == "its severity rose to ALARM"
    assert state.open_case is not None
    assert state.open_case.shelved_until_s == 0


def test_a_case_that_is_in_alarm_may_be_shelved_and_stays_so() -> None:
    alarmed, _, _ = after([*rows(9.0, first=1)])
    shelf = replace(SHELVED, case_id=OPENED.case_id)

    state, _, changes = after([shelf, *rows(9.0, first=11, count=20)], alarmed)

    assert [change.change for change in changes] == ["shelved"]
    assert state.open_case is not None
    assert state.open_case.shelved_until_s * 1000 == SHELVED.until_ms


def test_nothing_is_shelved_for_longer_than_a_month_or_into_the_past() -> None:
    _, _, [change] = after([act("shelved", until_ms=NOW + 365 * DAY_MS)], WARNED)
    _, _, past = after([act("shelved", until_ms=NOW)], WARNED)

    assert change.until_ms == NOW + MOST_SHELVED_MS
    assert past == []


def test_the_end_of_one_shelf_does_not_end_another() -> None:
    longer = act("shelved", until_ms=NOW + 9 * DAY_MS)
    expiry = act("unshelved", until_ms=SHELVED.until_ms, by="telltale")

    _, _, changes = after([SHELVED, longer, expiry, act("unshelved")], WARNED)

    assert [(change.change, change.by) for change in changes] == [
        ("shelved", "mia"),
        ("shelved", "mia"),
        ("unshelved", "mia"),
    ]


def test_a_case_joins_another_and_stands_alone_again() -> None:
    joins = act("grouped", parent=PARENT, why="another place of the same machine")

    state, _, changes = after([joins, joins, *rows(4.0, first=11), act("grouped", parent="")], WARNED)

    assert [change.change for change in changes] == ["grouped", "grouped"]
    assert changes[0].reason == f"joins {PARENT}, by mia: another place of the same machine"
    assert (changes[0].parent, changes[1].reason) == (PARENT, "stands alone by mia")
    assert state.open_case is not None
    assert state.open_case.parent == 0


def test_an_act_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="wanted one of acknowledged, resolved, shelved"):
        after([act("burnt")], WARNED)


acts = st.builds(
    act,
    st.sampled_from(ACTS),
    until_ms=st.none() | st.integers(NOW - DAY_MS, NOW + 90 * DAY_MS),
    parent=st.sampled_from([None, "", PARENT, OPENED.case_id]),
)


@given(st.lists(acts, max_size=8))
def test_an_act_delivered_twice_is_one(done: list[Control]) -> None:
    twice: list[Row | Control] = [item for item in done for _ in range(2)]

    assert after(twice, WARNED) == after([*done], WARNED)


@given(st.lists(acts, max_size=8))
def test_revisions_count_up_and_say_how_the_case_is_shelved_then(done: list[Control]) -> None:
    state = WARNED
    for number, item in enumerate(done):
        state, _, changes = after([item, *rows(4.0, first=20 + number, count=1)], state)
        for change in changes:
            known = state.open_case.shelved_until_s * 1000 or None if state.open_case else None
            assert change.until_ms == known
            assert change.revision > 1
