"""Backtest: unchanged settings give the live log, and what people did counts as the module says."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telltale.core.backtest import (
    HOUR_MS,
    READ,
    Comparison,
    History,
    Item,
    Opening,
    Window,
    backtest,
    backtest_sent,
    backtests,
    facts,
    figures,
    placed,
    recorded,
    replay,
    truth_of,
)
from telltale.core.detect import CaseChange, Control, Row, State, Verdict, step
from telltale.core.plant import Limits, Position
from telltale.core.schema import FEATURES

from tests.unit.test_detect_laws import POSITION, control, histories

pytestmark = pytest.mark.long

Log = tuple[list[Verdict], list[CaseChange]]

PUMP = Position("plant/hall/pump-7/motor-de", limits=Limits(velocity_warning_mm_s=4.0, velocity_alarm_mm_s=8.0))
FOUND = {"failure_mode": "LUBRICATION", "failure_cause": "WEAR", "action_taken": "LUBRICATE"}
NOTHING = {"failure_mode": "NO_ISSUE", "failure_cause": "UNDETERMINED", "action_taken": "NO_ACTION"}
UNCLEAR = {"failure_mode": "UNDETERMINED", "failure_cause": "UNDETERMINED", "action_taken": "NO_ACTION"}


# ---- unchanged settings --------------------------------------------------------------------------


@st.composite
def sent(draw: st.DrawFn) -> list[Row | Control]:
    """What reached the line: rows, some twice, some late, and acts, some twice, some of no case."""
    items: list[Row | Control] = []
    state = State.new()
    for said in draw(histories()):
        arriving = [control(state, said) if isinstance(said, str) else said]
        arriving += draw(st.lists(st.sampled_from(items), max_size=2)) if items else []
        for item in arriving:
            items.append(_received(item, len(items)))
            state, _, _ = step(state, items[-1], POSITION)
    return items


def _received(item: Row | Control, place: int) -> Row | Control:
    """Rows arrive at even milliseconds, and people act at odd ones between them."""
    return replace(item, received_ms=2 * place) if isinstance(item, Row) else replace(item, t_ms=2 * place - 1)


def live(items: Sequence[Row | Control], position: Position = POSITION) -> tuple[State, Log]:
    state = State.new()
    verdicts: list[Verdict] = []
    changes: list[CaseChange] = []
    for item in items:
        state, said, changed = step(state, item, position)
        verdicts += said
        changes += changed
    return state, (verdicts, changes)


def log_of(items: Sequence[Item], position: Position = POSITION) -> Log:
    replayed = list(replay(items, position))
    return [one for _, _, verdicts, _ in replayed for one in verdicts], [one for *_, made in replayed for one in made]


@given(sent())
def test_replaying_the_live_settings_gives_the_live_log(items: list[Row | Control]) -> None:
    assert log_of(recorded(items, POSITION)) == live(items)[1]


@given(sent())
def test_rows_and_the_log_of_cases_are_enough_to_replay_the_live_log(items: list[Row | Control]) -> None:
    _, log = live(items)

    kept = placed([item for item in items if isinstance(item, Row)], log[1], asked(items))

    assert log_of(kept) == log


def asked(items: Sequence[Row | Control]) -> list[tuple[Control, int]]:
    """What was asked of the position itself, and the last row that was received before."""
    found, received_ms = [], -1
    for item in items:
        received_ms = item.received_ms if isinstance(item, Row) else received_ms
        found += [(item, received_ms)] if isinstance(item, Control) and item.kind == "relearn" else []
    return found


@given(sent())
def test_unchanged_settings_change_no_case(items: list[Row | Control]) -> None:
    history = History(POSITION, recorded(items, POSITION))

    found = backtest(history, replace(POSITION, name="the same by another name"))

    assert found.changes == ()
    assert found.before == found.after
    assert [(case.case_id, case.live) for case in found.after.cases] == [
        (fact.case_id, fact.case_id) for fact in facts(history.items)
    ]


@given(sent())
def test_without_a_log_of_cases_the_live_settings_are_the_log(items: list[Row | Control]) -> None:
    candidate = replace(POSITION, settings={**POSITION.settings, "warning_n": 2})

    found = backtest_sent(items, POSITION, candidate)

    assert found == backtest(History(POSITION, recorded(items, POSITION)), candidate)


@given(sent(), sent(), st.sampled_from([{}, {"warmup": 3}, {"growth": 5.0, "warning_n": 1}]))
@settings(max_examples=15)
def test_many_histories_at_once_are_compared_as_one_by_one(
    items: list[Row | Control], others: list[Row | Control], own: Mapping[str, float]
) -> None:
    positions = [POSITION, replace(POSITION, id="plant/hall/pump-2/motor-de", load_tag=None)]
    histories = [History(one, recorded(said, one)) for one, said in zip(positions, (items, others), strict=True)]
    rows = [replace(one, items=tuple(item for item in one.items if isinstance(item, Row))) for one in histories]
    candidates = [replace(one, settings={**one.settings, **own}) for one in positions]

    logged = backtests(histories, candidates, trace=True)
    unlogged = backtests(rows, candidates, logged=False)

    assert logged == [backtest(one, two, trace=True) for one, two in zip(histories, candidates, strict=True)]
    assert unlogged == [
        backtest_sent([item for item in one.items if isinstance(item, Row)], one.position, two)
        for one, two in zip(rows, candidates, strict=True)
    ]


@given(sent(), st.sampled_from([{"warmup": 3}, {"warning_n": 1, "warning_m": 1}, {"growth": 5.0}]))
def test_a_candidate_has_one_case_at_a_time_and_at_most_one_for_each_live_case(
    items: list[Row | Control], overrides: Mapping[str, float]
) -> None:
    candidate = replace(POSITION, settings={**POSITION.settings, **overrides})

    found = backtest(History(POSITION, recorded(items, POSITION)), candidate)

    seen = [case.live for case in found.after.cases if case.live is not None]
    assert len(seen) == len(set(seen))
    open_still = [case for case in found.after.cases if case.closed_ms is None and case.set_aside_ms is None]
    assert len(open_still) <= 1
    before, after = figures([found])
    for one in (before, after):
        assert one.true + one.false + one.undetermined + one.unknown == one.cases


class Noting(dict[str, float | None]):
    """An axis that notes which of its indicators are looked at."""

    def __init__(self, axis: Mapping[str, float | None], names: set[str]) -> None:
        super().__init__(axis)
        self._names = names

    def get(self, name: str, default: Any = None) -> Any:
        self._names.add(name)
        return super().get(name, default)


def test_detection_looks_at_no_indicator_that_a_backtest_does_not_read() -> None:
    looked_at: set[str] = set()
    chance = Random(1)
    state = State.new()
    for t_ms in range(400):
        values = {one.name: chance.choice([None, 0.001, 0.02, 0.3, 1.0, 1.2, 8.0]) for one in FEATURES}
        axes = {axis: Noting(values, looked_at) for axis in "xyz"}
        speed_rpm = chance.choice([None, 0.0, 500.0, 1480.0])
        state, _, _ = step(state, Row(f"c{t_ms}", "xyz", t_ms, t_ms, "s-1", speed_rpm, axes=axes), POSITION)

    assert looked_at <= set(READ)
    assert len(looked_at) > 30


# ---- what people did, where the candidate has other cases ----------------------------------------


def hours(levels: Sequence[float], *, first: int = 0) -> list[Row | Control]:
    """Hourly rows of one axis."""
    at = [(first + n) * HOUR_MS for n in range(len(levels))]
    return [
        Row(f"c{t // HOUR_MS}", "x", t, t, "s-1", axes={"x": {"velocity_rms_mm_s": level}})
        for t, level in zip(at, levels, strict=True)
    ]


def resolved(closure: Mapping[str, str], items: Sequence[Row | Control], *, at: int) -> Control:
    """Somebody closes the case that is open after these items."""
    state, _ = live(items, PUMP)
    assert state.open_case is not None
    return Control("resolved", state.open_case.case_id, at * HOUR_MS, "mia", closure)


def closed(levels: Sequence[float], closure: Mapping[str, str], later: Sequence[float] = ()) -> History:
    """A history whose case is closed after these levels, and some levels after that."""
    items = hours(levels)
    items += [resolved(closure, items, at=len(levels))]
    return History(PUMP, recorded([*items, *hours(later, first=len(levels))], PUMP))


def tried(history: History, **changed: Any) -> Comparison:
    limits = replace(PUMP.limits, **{name: value for name, value in changed.items() if name.startswith("velocity")})
    own = {name: value for name, value in changed.items() if not name.startswith("velocity")}
    return backtest(history, replace(PUMP, limits=limits, settings=own))


SLOW_FAULT = [1.0] * 10 + [3.0] * 10 + [6.0] * 10  # reaches 2 mm/s in hour 10, 4 mm/s in hour 20


def test_a_lower_limit_opens_the_case_earlier_and_is_credited_with_the_longer_lead() -> None:
    found = tried(closed(SLOW_FAULT, FOUND), velocity_warning_mm_s=2.0)

    [change] = found.changes
    assert change.what == "earlier"
    assert change.before is not None
    assert change.after is not None
    assert (change.before.opened_ms, change.after.opened_ms) == (23 * HOUR_MS, 13 * HOUR_MS)
    assert (change.before.lead_ms, change.after.lead_ms) == (7 * HOUR_MS, 17 * HOUR_MS)
    assert (change.before.capture_ids[0], change.after.capture_ids[0]) == ("c23", "c13")
    assert change.after.closure == FOUND
    assert "at or above the warning limit 2" in change.why


def test_a_higher_limit_misses_a_true_case_and_spares_a_false_one_and_says_why() -> None:
    missed = tried(closed(SLOW_FAULT, FOUND), velocity_warning_mm_s=7.0)
    spared = tried(closed(SLOW_FAULT, NOTHING), velocity_warning_mm_s=7.0)

    for found in (missed, spared):
        [change] = found.changes
        assert (change.what, change.after) == ("gone", None)
        assert change.why == "0 of 7 rows reached a limit meanwhile, at most 0.86 (x zone)"
    (before, after), (before_2, after_2) = figures([missed]), figures([spared])
    assert (before.true, before.missed, after.true, after.missed) == (1, 0, 0, 1)
    assert (before_2.false, before_2.missed, after_2.false, after_2.missed) == (1, 0, 0, 0)
    assert (before.orders, after.orders) == (1, 0)


def test_what_nobody_found_out_is_neither_true_nor_false() -> None:
    before, _ = figures([tried(closed(SLOW_FAULT, UNCLEAR))])

    assert (before.cases, before.true, before.false, before.undetermined) == (1, 0, 0, 1)
    assert before.lead_h is None
    assert [truth_of(one) for one in (FOUND, NOTHING, UNCLEAR, {})] == ["true", "false", "undetermined", "undetermined"]


def test_a_repair_makes_the_machine_another_one_though_the_candidate_had_no_case() -> None:
    """Else it would compare the repaired machine with what was normal before."""
    levels = [1.0] * 20 + [6.0] * 6
    items = hours(levels)
    items += [resolved(FOUND, items, at=len(levels))]
    history = History(PUMP, recorded([*items, *hours([3.0] * 12, first=len(levels))], PUMP))

    found = tried(history, velocity_warning_mm_s=50.0, velocity_alarm_mm_s=60.0, warmup=10, growth=10.0)
    learned = tried(history, velocity_warning_mm_s=50.0, velocity_alarm_mm_s=60.0, warmup=10, growth=2.5)

    assert found.after.cases == ()
    assert [case.opened_ms for case in learned.after.cases] == [23 * HOUR_MS]  # by growth, and none of the new machine


def test_a_closure_without_repair_is_of_nothing_where_the_candidate_has_no_case() -> None:
    """Nobody was asked, so nothing is quiet: what lasts alerts when it is loud enough, at the candidate's limit."""
    found = tried(closed([1.0] * 10 + [5.0] * 6, NOTHING, [9.0] * 6), velocity_warning_mm_s=7.0)

    assert [(change.what, change.t_ms) for change in found.changes] == [("gone", 13 * HOUR_MS)]
    assert [case.opened_ms for case in found.after.cases] == [19 * HOUR_MS]


def test_a_case_that_nobody_was_asked_about_is_set_aside_once_quiet_when_the_line_opens_one() -> None:
    blip = [1.0] * 10 + [3.0] * 5 + [1.0] * 10 + [6.0] * 6

    found = tried(closed(blip, FOUND), velocity_warning_mm_s=2.0)

    first, second = found.after.cases
    assert (first.truth, first.live, first.set_aside_ms) == ("unknown", None, 28 * HOUR_MS)
    assert (second.truth, second.opened_ms, second.live) == ("true", 28 * HOUR_MS, found.facts[0].case_id)
    assert [change.what for change in found.changes] == ["new"]


def test_an_acknowledgement_is_of_the_case_that_the_candidate_has_open() -> None:
    items = hours(SLOW_FAULT)
    state, _ = live(items, PUMP)
    assert state.open_case is not None
    act = Control("acknowledged", state.open_case.case_id, 30 * HOUR_MS, "mia")
    history = History(PUMP, recorded([*items, act], PUMP))

    changes = log_of(history.items, replace(PUMP, limits=Limits(velocity_warning_mm_s=2.0)))[1]

    assert [change.change for change in changes] == ["opened", "acknowledged"]
    assert changes[0].case_id == changes[1].case_id != state.open_case.case_id


def test_a_failure_is_warned_of_by_the_case_that_is_open_then() -> None:
    history = History(PUMP, recorded(hours(SLOW_FAULT), PUMP), failed_ms=30 * HOUR_MS)

    warned, missed = figures([tried(history)])[1], figures([tried(history, velocity_warning_mm_s=7.0)])[1]

    assert (warned.true, warned.lead_h, warned.missed) == (1, 7.0, 0)
    assert (missed.true, missed.lead_h, missed.missed) == (0, None, 1)


# ---- what is counted -----------------------------------------------------------------------------


def test_rows_before_the_window_are_replayed_and_not_counted() -> None:
    history = closed(SLOW_FAULT, FOUND)
    window = Window(20 * HOUR_MS, 25 * HOUR_MS)

    inside = backtest(history, replace(PUMP, limits=Limits(velocity_warning_mm_s=2.0)), window=window)
    outside = backtest(history, PUMP, window=Window(0, 20 * HOUR_MS))

    assert (inside.rows, inside.first_ms, inside.last_ms) == (5, 20 * HOUR_MS, 24 * HOUR_MS)
    assert [change.what for change in inside.changes] == ["earlier"]  # counted with the live case it is of
    assert (outside.rows, outside.before.cases, outside.facts) == (20, (), ())


def test_orders_are_counted_for_each_year_of_a_machine_not_of_its_positions() -> None:
    year = [1.0] * 8 + [6.0] * 4
    rows = [replace(row, t_ms=row.t_ms * 730) for row in hours(year) if isinstance(row, Row)]  # a month apart
    one = backtest(History(PUMP, recorded(rows, PUMP)), PUMP)
    other = replace(one, position="plant/hall/pump-7/motor-nde")
    another = replace(one, position="plant/hall/pump-8/motor-de")

    alone, twice, apart = (figures(list(group))[0] for group in ((one,), (one, other), (one, another)))

    assert alone.machine_years == pytest.approx(twice.machine_years) == pytest.approx(11 * 730 / 24 / 365.25)
    assert apart.machine_years == pytest.approx(2 * alone.machine_years)
    assert twice.orders_per_machine_year == pytest.approx(2 / alone.machine_years)


def test_alarms_name_the_capture_that_raised_them() -> None:
    found = tried(closed(SLOW_FAULT, FOUND), velocity_warning_mm_s=2.0, velocity_alarm_mm_s=5.0)

    assert [(one.capture_id, one.level) for one in found.before.alarms] == [("c23", "WARNING")]
    assert [(one.capture_id, one.level) for one in found.after.alarms] == [("c13", "WARNING"), ("c23", "ALARM")]
    assert found.after.cases[0].capture_ids == ("c13", "c23")


def test_an_empty_history_is_no_error() -> None:
    found = backtest(History(PUMP, ()), replace(PUMP, machine_class="iso10816-1/II"))

    before, after = figures([found])
    assert (found.rows, found.changes, before.cases, after.orders_per_machine_year) == (0, (), 0, None)


def test_settings_that_make_no_sense_are_refused_by_name_among_many() -> None:
    histories = [History(PUMP, tuple(hours([1.0]))), History(PUMP, tuple(hours([1.0])))]
    odd = replace(PUMP, id="plant/hall/pump-8/de", settings={"warning_n": 9, "warning_m": 3})

    with pytest.raises(ValueError, match="pump-8/de: 9 of 3 rows"):
        backtests(histories, [PUMP, odd])


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError):
        tried(closed(SLOW_FAULT, FOUND), grwoth=3.0)


def test_an_act_stands_between_the_changes_before_and_after_it_whatever_its_clock_says() -> None:
    items = hours(SLOW_FAULT)
    act = resolved(NOTHING, items[:25], at=3)  # by a clock that is far behind
    _, log = live([*items[:25], act, *items[25:]], PUMP)

    kept = placed([item for item in items if isinstance(item, Row)], log[1])

    assert [type(item) for item in kept[23:26]] == [Opening, Row, Control]


def test_an_act_stands_after_the_last_row_that_was_judged_when_the_line_heard_of_it() -> None:
    items = hours(SLOW_FAULT)
    act = resolved(NOTHING, items[:26], at=24)  # heard two rows later
    _, log = live([*items[:28], act, *items[28:]], PUMP)
    rows = [item for item in items if isinstance(item, Row)]
    told = [replace(one, after_ms=rows[27].received_ms) if one.change == "resolved" else one for one in log[1]]

    known, guessed = placed(rows, told), placed(rows, log[1])

    assert known == recorded([*items[:28], act, *items[28:]], PUMP)
    assert guessed != known
