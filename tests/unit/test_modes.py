"""Operating modes: each has a normal of its own, and how the machine vibrates never makes one."""

from collections.abc import Iterable
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from telltale.core import modes
from telltale.core.baseline import INDICATORS, REFERENCES
from telltale.core.detect import CaseChange, Control, Row, Settings, State, Verdict, normals, step, usual
from telltale.core.plant import OperatingMode, Position
from telltale.core.state import MODE_BYTES, Mode

HOUR_MS = 3_600_000
SHORT = {"warmup": 10}  # so that few rows are enough
PUMP = Position("plant/hall/pump-1/motor-de")
QUICK = Position(PUMP.id, settings=SHORT)
SPEEDS = (740.0, 1000.0, 1480.0)
NO_ISSUE = {"failure_mode": "NO_ISSUE", "failure_cause": "UNDETERMINED", "action_taken": "NO_ACTION"}


class Machine:
    """A position that is fed rows of axis x and remembers what detection said."""

    def __init__(self, position: Position = QUICK, sensor: str = "s-1") -> None:
        self.position = position
        self.sensor = sensor
        self.state = State.new()
        self.hour = 0
        self.verdicts: list[Verdict] = []
        self.changes: list[CaseChange] = []

    def hears(
        self, rows: int = 1, *, rpm: float | None = None, load: float | None = None, **axis: float | None
    ) -> "Machine":
        """So many captures of these indicators, at a speed in r/min and a load in percent."""
        for _ in range(rows):
            self.hour += 1
            tags = {} if load is None else {"load_pct": load}
            axes = {"x": axis} if axis else {}
            self.takes(Row(f"c{self.hour}", "xs", self.hour * HOUR_MS, 0, self.sensor, rpm, None, axes, tags))
        return self

    def takes(self, item: Row | Control) -> "Machine":
        self.state, verdicts, changes = step(self.state, item, self.position)
        self.verdicts += verdicts
        self.changes += changes
        return self

    def closed_without_repair(self) -> "Machine":
        assert self.state.open_case is not None
        return self.takes(Control("resolved", self.state.open_case.case_id, self.hour * HOUR_MS, "mia", NO_ISSUE))

    @property
    def acts(self) -> list[str]:
        return [change.change for change in self.changes]

    @property
    def said(self) -> Verdict:
        """What the baseline said last."""
        return next(one for one in reversed(self.verdicts) if one.rule == "baseline")

    @property
    def modes(self) -> dict[str, int]:
        """Mode → rows it was learned from."""
        channel = self.state.channels["x"]
        return {modes.label(one.mode, self.position): modes.rows(one.baseline) for one in modes.each(channel)}


def a_year(seed: int, *, fault_from: int | None = None, fault_at: float = 1480.0, growth: float = 2.5) -> Iterable[Row]:
    """A fan on an inverter: hourly rows, some hours or days at each of three speeds, vibration as the square of it.
    From row `fault_from` on it grows at one speed.
    """
    rng = np.random.default_rng(seed)
    hour = 0
    while hour < 8760:
        speed = float(rng.choice(SPEEDS))
        for _ in range(int(rng.integers(2, 48))):
            rpm = speed * float(np.exp(rng.normal(0, 0.005)))
            level = (rpm / 1480) ** 2 * float(np.exp(rng.normal(0, 0.1)))
            level *= growth if fault_from is not None and hour >= fault_from and speed == fault_at else 1.0
            axes = {"x": {"rms_g": 0.3 * level, "peak_g": 1.2 * level, "velocity_rms_mm_s": 2.0 * level}}
            yield Row(f"c{hour}", "xs", hour * HOUR_MS, 0, "s-1", rpm, None, axes)
            hour += 1


def opened(rows: Iterable[Row], position: Position = PUMP) -> list[CaseChange]:
    state, found = State.new(), []
    for row in rows:
        state, _, changes = step(state, row, position)
        found += [change for change in changes if change.change == "opened"]
    return found


def without_speed(rows: Iterable[Row]) -> Iterable[Row]:
    return (Row(row.capture_id, row.part, row.t_ms, 0, row.sensor, None, None, row.axes) for row in rows)


def test_a_year_at_three_speeds_opens_no_case() -> None:
    assert opened(a_year(1)) == []


def test_a_fault_at_one_speed_is_found_and_named_by_its_mode_and_without_modes_it_is_missed() -> None:
    rows = list(islice(a_year(2, fault_from=1500, fault_at=740.0), 3000))

    [found] = opened(rows)

    mode = found.evidence["verdicts"][0]["mode"]
    assert float(mode.removesuffix(" r/min")) == pytest.approx(740, rel=0.03)
    assert f"in mode {mode}" in found.reason
    assert 1500 <= found.opened_ms / HOUR_MS < 1700
    assert opened(without_speed(rows)) == []


def test_a_mode_is_learned_by_itself_and_says_so() -> None:
    machine = Machine().hears(10, rpm=1480, rms_g=1.0).hears(4, rpm=740, rms_g=0.25)

    assert machine.said.reason == "learning what is normal: 3 of 10 captures, in mode 740 r/min"
    assert machine.modes == {"740 r/min": 4, "1480 r/min": 10}

    machine.hears(1, rpm=1500, rms_g=1.0)

    assert machine.said.verdict == "HEALTHY"
    assert "in mode 1480 r/min" in (machine.said.reason or "")


def test_a_position_with_one_mode_does_not_speak_of_it() -> None:
    machine = Machine().hears(9, rpm=1480, rms_g=1.0)
    assert machine.said.reason == "learning what is normal: 8 of 10 captures"

    machine.hears(4, rpm=1500, rms_g=1.0).hears(4, rpm=1480, rms_g=3.0)

    assert "mode" not in (machine.said.reason or "")
    assert "mode" not in machine.changes[0].evidence["verdicts"][0]


def test_a_fault_never_makes_a_mode() -> None:
    machine = Machine().hears(10, rpm=1480, rms_g=1.0).hears(50, rpm=1480, rms_g=9.0)

    assert machine.modes == {"1480 r/min": 10}
    assert machine.acts == ["opened"]


def test_a_machine_that_changes_its_speed_with_each_row_is_found_faulty_at_one_of_them() -> None:
    machine = Machine()
    for hour in range(60):
        machine.hears(rpm=SPEEDS[hour % 3], rms_g=1.0)
    assert machine.changes == []

    for hour in range(15):
        machine.hears(rpm=SPEEDS[hour % 3], rms_g=3.0 if hour % 3 == 1 else 1.0)

    assert machine.acts == ["opened"]


def test_nothing_is_learned_in_one_mode_while_another_alerts() -> None:
    machine = Machine().hears(10, rpm=1480, rms_g=1.0).hears(5, rpm=740, rms_g=0.2).hears(9, rpm=1480, rms_g=3.0)
    machine.hears(20, rpm=740, rms_g=0.6)

    assert machine.modes["740 r/min"] == 5


def test_closed_without_repair_the_other_modes_are_quiet_where_they_stand_too() -> None:
    machine = Machine().hears(10, rpm=1480, rms_g=1.0).hears(10, rpm=740, rms_g=1.0)
    machine.hears(6, rpm=740, rms_g=3.0).hears(6, rpm=1480, rms_g=3.0).closed_without_repair()

    machine.hears(20, rpm=740, rms_g=3.0).hears(20, rpm=1480, rms_g=3.0)

    assert machine.acts == ["opened", "resolved"]


def test_a_case_is_not_quiet_because_the_machine_left_the_mode_that_shows_the_fault() -> None:
    machine = Machine().hears(10, rpm=1480, rms_g=1.0).hears(10, rpm=740, rms_g=1.0).hears(6, rpm=740, rms_g=3.0)

    machine.hears(20, rpm=1480, rms_g=1.0)

    assert machine.state.open_case is not None
    assert machine.state.open_case.quiet_since_ms is None
    machine.hears(6, rpm=740, rms_g=1.0)
    assert machine.state.open_case.quiet_since_ms is not None


def test_load_is_a_mode_where_the_position_says_which_tag_it_is() -> None:
    position = Position(PUMP.id, settings=SHORT, load_tag="load_pct")
    machine = Machine(position).hears(10, rpm=1480, load=100.0, rms_g=1.0).hears(10, rpm=1480, load=40.0, rms_g=0.3)

    assert machine.modes == {"1480 r/min, load_pct 40": 10, "1480 r/min, load_pct 100": 10}
    assert machine.hears(5, rpm=1480, load=40.0, rms_g=0.9).acts == ["opened"]


def test_a_load_of_nothing_is_one_mode_whatever_its_noise() -> None:
    position = Position(PUMP.id, settings=SHORT, load_tag="load_pct")
    machine = Machine(position).hears(1, load=100.0, rms_g=1.0)
    for load in (0.0, -0.3, 2.0, 0.01, 5.0):
        machine.hears(load=load, rms_g=0.1)

    assert machine.modes == {"load_pct 0": 5, "load_pct 100": 1}


def test_without_a_speed_a_row_is_of_no_mode_where_there_are_several() -> None:
    machine = Machine().hears(10, rpm=1480, rms_g=1.0)
    assert machine.hears(rms_g=1.0).said.verdict == "HEALTHY"  # there is but one

    machine.hears(10, rpm=740, rms_g=0.25).hears(10, rms_g=9.0)

    assert machine.said.verdict == "NOT_ASSESSABLE"
    assert machine.said.reason == (
        "neither speed nor load in this capture, and 2 modes are known: it is not known which it is"
    )
    assert machine.modes == {"740 r/min": 10, "1480 r/min": 11}
    assert machine.changes == []


def test_a_row_in_reach_of_two_modes_is_of_the_nearer_one() -> None:
    machine = Machine().hears(10, rpm=1000, rms_g=1.0).hears(10, rpm=1190, rms_g=1.4).hears(2, rpm=1085, rms_g=1.2)

    assert machine.modes == {"1000 r/min": 12, "1190 r/min": 10}


def test_where_modes_differ_by_the_load_a_row_needs_one() -> None:
    machine = Machine(Position(PUMP.id, settings=SHORT, load_tag="load_pct"))
    machine.hears(10, rpm=1480, load=100.0, rms_g=1.0).hears(10, rpm=1480, load=40.0, rms_g=0.3).hears(
        1, rpm=1480, rms_g=1
    )

    assert machine.said.reason == (
        "no load_pct in this capture: it may be in mode 1480 r/min, load_pct 40 and 1480 r/min, load_pct 100"
    )


def test_what_was_learned_before_a_speed_was_known_belongs_to_the_first_one() -> None:
    machine = Machine().hears(10, rms_g=1.0).hears(1, rpm=1480, rms_g=1.0)

    assert machine.said.verdict == "HEALTHY"
    assert machine.modes == {"1480 r/min": 11}


def test_speeds_that_a_machine_passes_through_are_not_learned_in_its_modes_and_make_room() -> None:
    machine = Machine()
    for rpm in np.geomspace(100, 1480, 12):
        machine.hears(rpm=float(rpm), rms_g=0.5)
    assert len(machine.modes) == modes.MOST_MODES

    machine.hears(20, rpm=1480, rms_g=1.0).hears(20, rpm=740, rms_g=0.25)

    for rpm, level in ((1480, 1.0), (740, 0.25)):
        said = machine.hears(1, rpm=rpm, rms_g=level).said
        assert (said.verdict, f"in mode {rpm} r/min" in (said.reason or "")) == ("HEALTHY", True)


def test_where_as_many_modes_are_learned_as_there_is_room_for_all_else_is_one_more() -> None:
    machine = Machine()
    for rpm in (200, 300, 450, 700, 1000):
        machine.hears(10, rpm=rpm, rms_g=1.0)

    for rpm in (1500, 2000, 3000, 4000, 6000) * 3:
        machine.hears(rpm=rpm, rms_g=2.0)
    assert machine.said.verdict == "HEALTHY"
    assert "in mode all else" in (machine.said.reason or "")
    assert len(machine.modes) == modes.MOST_MODES
    assert State.unpack(machine.state.pack()) == machine.state

    assert machine.hears(5, rpm=5000, rms_g=9.0).acts == ["opened"]
    assert machine.hears(1, rpm=450, rms_g=1.0).said.verdict == "HEALTHY"


def test_a_mode_by_speed_reaches_as_far_as_the_square_of_the_speed_changes_by_a_quarter() -> None:
    for rpm, known in ((1000 * 1.25**0.49, 1), (1000 * 1.25**0.51, 2), (1000 / 1.25**0.49, 1), (1000 / 1.25**0.51, 2)):
        machine = Machine().hears(1, rpm=1000, rms_g=1.0).hears(1, rpm=rpm, rms_g=1.0)

        assert len(machine.modes) == known


NAMED = Position(
    PUMP.id,
    settings=SHORT,
    modes=(OperatingMode("slow", (300.0, 900.0)), OperatingMode("full", (1200.0, 1600.0))),
)


def test_modes_of_the_plant_file_win_and_what_lies_between_them_is_neither_judged_nor_learned() -> None:
    machine = Machine(NAMED).hears(10, rpm=1250, rms_g=1.0).hears(1, rpm=1550, rms_g=1.0)
    assert "in mode full" in (machine.said.reason or "")

    machine.hears(3, rpm=1000, rms_g=9.0)

    assert machine.said.reason == "1000 r/min is in none of the modes slow, full"
    assert machine.modes == {"full": 11}
    assert (
        machine.hears(rms_g=1.0).said.reason == "no speed in this capture: it is not known whether it is in mode slow"
    )


def test_what_was_learned_is_kept_when_a_mode_gets_a_name_and_when_it_loses_it() -> None:
    machine = Machine().hears(10, rpm=1480, rms_g=1.0).hears(12, rpm=740, rms_g=0.25)

    machine.position = NAMED
    machine.hears(1, rpm=1400, rms_g=1.0).hears(1, rpm=400, rms_g=0.25)
    assert machine.modes == {"slow": 13, "full": 11}
    assert State.unpack(machine.state.pack()) == machine.state

    machine.position = QUICK
    machine.hears(1, rpm=1480, rms_g=1.0)
    assert machine.modes == {"1480 r/min": 12, "740 r/min": 13}


def test_what_is_usual_is_told_for_the_mode_of_a_row() -> None:
    machine = Machine().hears(10, rpm=1480, rms_g=1.0).hears(10, rpm=740, rms_g=0.25)
    row = Row("c", "x", 0, 0, "s-1", 1480.0)

    assert normals(machine.state, settings=Settings(warmup=10))["x"]["rms_g"] == pytest.approx(0.25)
    assert usual(machine.state, row, QUICK)["x"]["rms_g"] == pytest.approx(1.0)


def test_a_full_state_has_a_kilobyte_and_so_much_for_each_further_mode() -> None:
    indicators = dict.fromkeys([*INDICATORS, *REFERENCES], 1.0)
    state = State.new()
    for t in range(1, 25):
        axes = dict.fromkeys("xyz", indicators)
        state, _, _ = step(state, Row(f"c{t}", "xyzs", t, t, "s", 100.0 * 2 ** (t % 6), 50.0, axes), QUICK)

    packed = state.pack()

    assert State.unpack(packed) == state
    assert len(packed) <= 1024 + 3 * (modes.MOST_MODES - 1) * MODE_BYTES
    assert 3 * MODE_BYTES == 702


@given(st.lists(st.tuples(st.sampled_from([None, 0.0, 3.0, 740.0, 900.0, 1480.0]), st.sampled_from([None, 0.0, 50.0]))))
def test_a_row_is_of_the_mode_that_a_search_through_all_of_them_finds(drives: list[tuple[float, float]]) -> None:
    position = Position(PUMP.id, load_tag="load_pct", settings=SHORT)
    machine = Machine(position)
    for rpm, load in drives:
        before = machine.state.channels.get("x")
        machine.hears(1, rpm=rpm, load=load, rms_g=1.0)
        now = machine.state.channels["x"].operation.mode

        assert fits(now, rpm, load) or machine.said.verdict == "NOT_ASSESSABLE"
        if machine.said.verdict == "NOT_ASSESSABLE" and before is not None:
            assert now == before.operation.mode
            assert None in (rpm, load)


def fits(mode: Mode, rpm: float | None, load: float | None) -> bool:
    """Within a quarter by the square of the speed, and by the highest load; or it is all else."""
    square = None not in (mode.speed_rpm, rpm) and max(mode.speed_rpm or 0, 1) / max(rpm or 0, 1)
    speed = square is False or 1 / 1.26 <= square**2 <= 1.26
    return speed and (mode.load is None or load is None or abs(mode.load - load) <= 0.25 * 50)
