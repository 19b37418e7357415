"""When normal is learned anew or not at all: another sensor, a restart, a person who asks."""

import pytest
from telltale.core import backtest, modes
from telltale.core.detect import Control, Row, State, step
from telltale.core.plant import Position

from tests.unit.test_modes import HOUR_MS, PUMP, SHORT, Machine


def settled(position: Position | None = None) -> Machine:
    """A machine whose normal is known, by sensor s-1."""
    machine = Machine(position or Position(PUMP.id, settings=SHORT))
    return machine.hears(12, rms_g=1.0, env_rms_g=0.1, velocity_rms_mm_s=2.0)


def swapped(machine: Machine) -> Machine:
    machine.sensor = "s-2"
    return machine


def test_a_new_sensor_that_reads_alike_goes_on_with_the_old_normal() -> None:
    machine = swapped(settled())
    learned = machine.state.channels["x"].baseline

    machine.hears(5, rms_g=1.3, env_rms_g=0.13, velocity_rms_mm_s=2.1)
    assert machine.state.channels["x"].baseline == learned  # judged, and not yet learned from
    assert "capture 5 of 6 of a new sensor" in (machine.said.reason or "")

    machine.hears(2, rms_g=1.3, env_rms_g=0.13, velocity_rms_mm_s=2.1)
    assert machine.modes == {"unknown": 14}
    assert "new sensor" not in (machine.said.reason or "")


@pytest.mark.parametrize("factor", [0.2, 4.0])
def test_a_new_sensor_that_sits_otherwise_is_learned_anew_and_opens_no_case(factor: float) -> None:
    machine = swapped(settled()).hears(4, rms_g=factor, env_rms_g=0.1 * factor, velocity_rms_mm_s=2.0)

    assert "a new sensor reads otherwise and its velocity does not" in (machine.said.reason or "")
    assert machine.said.feature == "velocity_rms_mm_s"  # is judged as before

    machine.hears(12, rms_g=factor, env_rms_g=0.1 * factor, velocity_rms_mm_s=2.0)
    assert machine.changes == []
    machine.hears(6, rms_g=3 * factor, env_rms_g=0.1 * factor, velocity_rms_mm_s=2.0)
    assert machine.acts == ["opened"]


def test_a_fault_that_is_there_when_the_sensor_is_changed_is_found_if_the_velocity_shows_it() -> None:
    machine = swapped(settled()).hears(6, rms_g=4.0, env_rms_g=0.4, velocity_rms_mm_s=5.0)

    assert machine.acts == ["opened"]


def test_a_slow_fault_is_measured_from_the_old_normal_through_a_change_of_the_sensor() -> None:
    machine = settled().hears(8, rms_g=1.8, env_rms_g=0.1, velocity_rms_mm_s=2.0)

    swapped(machine).hears(6, rms_g=1.9, env_rms_g=0.1, velocity_rms_mm_s=2.0)

    assert machine.changes == []
    assert machine.hears(6, rms_g=2.2, env_rms_g=0.1, velocity_rms_mm_s=2.0).acts == ["opened"]


def test_an_open_case_stays_and_nothing_is_compared_when_the_sensor_is_changed() -> None:
    machine = settled().hears(6, rms_g=4.0, env_rms_g=0.4, velocity_rms_mm_s=2.0)
    learned = machine.state.channels["x"].baseline

    swapped(machine).hears(20, rms_g=8.0, env_rms_g=0.8, velocity_rms_mm_s=2.0)

    assert machine.acts[0] == "opened"
    assert machine.state.open_case is not None
    assert machine.state.channels["x"].baseline == learned
    assert machine.said.verdict == "ALARM"


def test_a_new_sensor_is_healthy_until_it_shows_otherwise_and_what_is_usual_of_it_is_learned_anew() -> None:
    sound = {"crest": 4.0, "clipped_share": 0.001, "repeated_share": 0.001}
    machine = Machine(Position(PUMP.id, settings=SHORT)).hears(12, rms_g=1.0, mean_g=1.0, **sound)
    machine.hears(4, rms_g=1.0, mean_g=0.2, **sound)
    assert machine.state.sensor_faults == {"x": "DC_DRIFT"}

    swapped(machine).hears(6, rms_g=1.0, mean_g=0.2, **sound)

    assert machine.state.sensor_faults == {}


def test_a_normal_that_is_still_learned_starts_over_with_a_new_sensor() -> None:
    machine = Machine(Position(PUMP.id, settings=SHORT)).hears(9, rms_g=1.0)

    swapped(machine).hears(2, rms_g=5.0)

    assert machine.said.reason == "learning what is normal: 1 of 10 captures"


def test_what_the_mounting_decides_is_learned_anew_in_every_mode() -> None:
    machine = Machine(Position(PUMP.id, settings=SHORT)).hears(10, rpm=740, rms_g=1.0).hears(10, rpm=1480, rms_g=1.0)

    swapped(machine).hears(5, rpm=1480, rms_g=4.0)

    assert machine.modes == {"1480 r/min": 2, "740 r/min": 0}


# ---- restarts --------------------------------------------------------------------------------------

STOPS = Position(PUMP.id, settings=SHORT, running_above_g=0.05)


def test_the_first_captures_after_a_stop_are_judged_and_teach_nothing() -> None:
    machine = Machine(STOPS).hears(12, rms_g=1.0).hears(2, rms_g=0.01)
    learned = machine.state.channels["x"].baseline

    machine.hears(3, rms_g=1.5)

    assert machine.state.channels["x"].baseline == learned
    assert "capture 3 since the machine was off" in (machine.said.reason or "")
    assert machine.hears(1, rms_g=1.5).state.channels["x"].baseline != learned


def test_a_fault_that_is_there_at_the_restart_is_found_with_the_fourth_capture() -> None:
    machine = Machine(STOPS).hears(12, rms_g=1.0).hears(2, rms_g=0.01).hears(3, rms_g=3.0)
    assert machine.changes == []

    assert machine.hears(1, rms_g=3.0).acts == ["opened"]


def test_a_machine_that_runs_for_two_captures_at_a_time_is_learned_all_the_same() -> None:
    machine = Machine(STOPS)
    for _ in range(6):
        machine.hears(1, rms_g=0.01).hears(2, rms_g=1.0)

    assert machine.said.verdict == "HEALTHY"


# ---- a person who asks -----------------------------------------------------------------------------


def asked(machine: Machine) -> Machine:
    return machine.takes(Control("relearn", "", machine.hour * HOUR_MS, "mia", why="new impeller"))


def test_a_person_may_have_normal_learned_anew_without_a_case() -> None:
    machine = settled().hears(3, rpm=740, rms_g=1.0)

    asked(machine).hears(2, rms_g=5.0)

    assert machine.changes == []
    assert machine.said.reason == "learning what is normal: 1 of 10 captures"
    assert machine.modes == {"unknown": 2}


def test_asked_twice_is_asked_once_and_an_earlier_request_that_comes_late_changes_nothing() -> None:
    machine = asked(settled())
    again = Control("relearn", "", machine.hour * HOUR_MS, "mia", why="new impeller")
    machine.hears(3, rms_g=1.0)
    before = machine.state

    machine.takes(again).takes(Control("relearn", "", 1, "mia"))

    assert machine.state == before


def test_an_open_case_stays_when_normal_is_learned_anew() -> None:
    machine = settled().hears(6, rms_g=4.0)

    asked(machine).hears(20, rms_g=4.0)

    assert machine.state.open_case is not None
    assert machine.acts == ["opened"]
    assert machine.modes == {"unknown": 0}  # nothing is learned while it is open


def test_run_in_is_followed_and_a_person_who_asks_makes_what_is_left_the_normal() -> None:
    """A machine that falls to half its level in its first weeks: what is learned first is too high for it."""
    machine = Machine(Position(PUMP.id, settings=SHORT))
    for hour in range(300):
        machine.hears(rms_g=0.5 + 0.5 * 2 ** (-hour / 50))
    assert machine.changes == []

    asked(machine).hears(12, rms_g=0.5).hears(6, rms_g=1.1)

    assert machine.acts == ["opened"]


def test_what_was_asked_comes_back_from_storage() -> None:
    machine = asked(settled())

    assert State.unpack(machine.state.pack()) == machine.state
    assert machine.state.relearned_ms == machine.hour * HOUR_MS


def test_a_row_without_a_sensor_is_of_the_last_one() -> None:
    machine = settled()
    row = Row("c", "x", (machine.hour + 1) * HOUR_MS, 0, "", axes={"x": {"rms_g": 1.0}})

    state, _, _ = step(machine.state, row, machine.position)

    assert state.channels["x"].operation == machine.state.channels["x"].operation


def test_a_load_beyond_all_bounds_is_a_load() -> None:
    row = Row("c", "x", 1, 0, "s", float("nan"), tags={"load_pct": 1e300})

    drive = modes.drive_of(row, Position(PUMP.id, load_tag="load_pct"))

    assert drive.speed_rpm is None
    assert drive.load == pytest.approx(1e30)


def test_a_backtest_learns_anew_where_the_line_did() -> None:
    levels = [1.0] * 12 + [3.0] * 15 + [9.0] * 5
    rows = [
        Row(f"c{n}", "x", n * HOUR_MS, n * HOUR_MS, "s-1", axes={"x": {"rms_g": one}}) for n, one in enumerate(levels)
    ]
    act = Control("relearn", "", 12 * HOUR_MS + 5, "mia", why="new impeller")
    sent: list[Row | Control] = [*rows[:12], act, *rows[12:]]
    position = Position(PUMP.id, settings=SHORT)

    items = backtest.recorded([*sent[:13], act, *sent[13:]], position)
    changes = [change for *_, made in backtest.replay(items, position) for change in made]

    assert [item for item in items if not isinstance(item, backtest.Opening)] == sent
    assert backtest.placed(rows, changes, [(act, 11 * HOUR_MS)]) == items
    assert [(change.change, change.t_ms) for change in changes] == [("opened", 30 * HOUR_MS)]
