"""After a repair: the rows that follow confirm it, contradict it, or cannot tell."""

import json
from dataclasses import replace
from typing import Any

import pytest
from telltale.core.cases import codes, is_over
from telltale.core.detect import CaseChange, Control, Row, State, Verdict, step
from telltale.core.plant import Limits, Position
from telltale.core.repair import progress
from telltale.core.settings import DEFAULTS

HOUR_MS = 3_600_000
BARE = Position("plant/hall/pump-1/motor-de")
CLASSED = Position(BARE.id, machine_class="iso10816-1/II")
REPLACED = {"failure_mode": "LUBRICATION", "failure_cause": "WEAR", "action_taken": "REPLACE"}
NO_ISSUE = {"failure_mode": "NO_ISSUE", "failure_cause": "UNDETERMINED", "action_taken": "NO_ACTION"}
UNDETERMINED = {"failure_mode": "UNDETERMINED", "failure_cause": "UNDETERMINED", "action_taken": "OTHER"}


class Machine:
    def __init__(self, position: Position = BARE, pace_ms: int = HOUR_MS) -> None:
        self.position, self.pace_ms = position, pace_ms
        self.state, self.now_ms = State.new(), 0
        self.verdicts: list[Verdict] = []
        self.changes: list[CaseChange] = []

    def hears(self, *, sensor: str = "s-1", speed_rpm: float | None = None, **scalars: float) -> "Machine":
        self.now_ms += self.pace_ms
        celsius = scalars.pop("temperature_c", None)
        axes: dict[str, Any] = {"x": scalars} if scalars else {}
        return self.takes(Row(f"c{self.now_ms}", "xs", self.now_ms, self.now_ms, sensor, speed_rpm, celsius, axes))

    def runs_at(self, level: float, rows: int, *, feature: str = "rms_g", **more: Any) -> "Machine":
        for _ in range(rows):
            self.hears(**{feature: level, **more})
        return self

    def takes(self, item: Row | Control) -> "Machine":
        self.state, verdicts, changes = step(self.state, item, self.position)
        assert State.unpack(self.state.pack()) == self.state
        self.verdicts += verdicts
        self.changes += changes
        return self

    def told(self, kind: str, closure: dict[str, str] | None = None, *, case_id: str | None = None) -> "Machine":
        case = self.state.open_case or self.state.past
        assert case is not None
        return self.takes(Control(kind, case_id or case.case_id, self.now_ms, "mia", closure))

    @property
    def acts(self) -> list[str]:
        return [change.change for change in self.changes]


def faulty(level: float = 3.0, position: Position = BARE) -> Machine:
    """A machine that runs at 1 g, whose fault was closed as repaired."""
    return Machine(position).runs_at(1.0, 100).runs_at(level, 6).told("resolved", REPLACED)


def test_rows_as_before_the_fault_confirm_the_repair_and_normal_is_learned_anew() -> None:
    machine = faulty().runs_at(1.1, 7)

    confirmed = machine.changes[-1]
    assert (confirmed.change, confirmed.revision, confirmed.state) == ("confirmed", 3, "HEALTHY")
    assert confirmed.reason == (
        "x rms_g 1.1 × what was usual before the fault: 1.1 g, confirmed below 1.73 g, 6 captures since closing"
    )
    assert machine.verdicts[-2].reason == "learning what is normal: 0 of 100 captures"
    assert progress(machine.state, DEFAULTS) is None


def test_rows_like_the_fault_open_the_same_case_again_and_what_was_usual_is_not_forgotten() -> None:
    machine = faulty()
    learned = machine.state.channels["x"].baseline

    machine.runs_at(2.1, 7)

    reopened, opened = machine.changes[-1], machine.changes[0]
    assert (reopened.change, reopened.case_id, reopened.revision) == ("reopened", opened.case_id, 3)
    assert (reopened.state, reopened.severity, reopened.opened_ms) == ("WARNING", "WARNING", opened.opened_ms)
    assert reopened.reason == "still 2.1 × baseline after closing: x rms_g 2.1 g, reopened from 1.73 g"
    [said] = json.loads(json.dumps(reopened.evidence))["repair"]["monitors"]
    assert said["samples"] == 6
    assert (said["value"], said["usual"]) == pytest.approx((2.1, 1.0), rel=1e-3)
    assert said["limit"] == pytest.approx(3.0**0.5, rel=1e-3)  # the geometric middle
    assert said["margin"] == pytest.approx(said["limit"] - said["value"])
    assert machine.state.channels["x"].baseline == learned


def test_a_fault_that_is_left_at_its_old_level_is_never_learned() -> None:
    machine = faulty().runs_at(3.0, 300)

    assert machine.acts == ["opened", "resolved", "reopened"]
    assert machine.verdicts[-2].verdict == "WARNING"


def test_a_machine_that_is_better_but_still_beyond_its_limit_is_not_repaired() -> None:
    machine = faulty(20.0).runs_at(2.5, 7)

    assert machine.acts == ["opened", "resolved", "reopened"]
    assert "still 2.5 × baseline after closing" in machine.changes[-1].reason


def test_no_case_opens_while_it_cools_down_and_three_wild_rows_contradict_nothing() -> None:
    machine = faulty()

    for level in (1.0, 5.0, 1.0, 5.0, 5.0, 1.0, 1.0):
        machine.hears(rms_g=level)

    assert machine.acts == ["opened", "resolved", "confirmed"]


def test_six_rows_within_a_minute_are_not_enough_time() -> None:
    machine = Machine(pace_ms=10_000).runs_at(1.0, 100).runs_at(3.0, 6).told("resolved", REPLACED)

    machine.runs_at(1.0, 89)
    assert machine.acts == ["opened", "resolved"]

    machine.runs_at(1.0, 1)
    assert machine.acts == ["opened", "resolved", "confirmed"]


def test_what_was_sampled_before_the_closing_says_nothing_of_it() -> None:
    machine = Machine().runs_at(1.0, 100).runs_at(3.0, 6)
    case = machine.state.open_case
    assert case is not None
    machine.takes(Control("resolved", case.case_id, machine.now_ms + 10 * HOUR_MS, "mia", REPLACED))

    machine.runs_at(3.0, 10)
    assert machine.acts == ["opened", "resolved"]
    assert "sampled before the case was closed" in (machine.verdicts[-2].reason or "")

    machine.runs_at(1.0, 7)
    assert machine.acts == ["opened", "resolved", "confirmed"]


def test_a_machine_that_is_off_is_waited_for() -> None:
    position = Position(BARE.id, running_above_rpm=300)
    machine = Machine(position).runs_at(1.0, 100, speed_rpm=1480).runs_at(3.0, 6, speed_rpm=1480)
    machine.told("resolved", REPLACED).runs_at(0.01, 50, speed_rpm=0)
    assert machine.acts == ["opened", "resolved"]
    assert progress(machine.state, DEFAULTS) == "on trial since 1970-01-05 10:00 UTC: 0 of 6 running captures"

    machine.runs_at(3.0, 7, speed_rpm=1480)

    assert machine.acts == ["opened", "resolved", "reopened"]


def test_after_a_month_without_running_the_repair_is_not_judged_and_normal_is_learned_anew() -> None:
    position = Position(BARE.id, running_above_rpm=300)
    machine = Machine(position).runs_at(1.0, 100, speed_rpm=1480).runs_at(3.0, 6, speed_rpm=1480)

    machine.told("resolved", REPLACED).runs_at(0.01, 30 * 24 + 1, speed_rpm=0)

    assert machine.acts == ["opened", "resolved", "noted"]
    assert machine.changes[-1].reason == "repair not judged: too few running captures within thirty days"
    machine.runs_at(1.0, 1, speed_rpm=1480)
    assert (
        machine.verdicts[-2].reason == "learning what is normal: 0 of 100 captures; capture 1 since the machine was off"
    )


def test_another_sensor_after_the_repair_cannot_be_compared() -> None:
    machine = Machine().runs_at(1.0, 100).runs_at(3.0, 6).told("resolved", REPLACED)

    machine.runs_at(3.0, 2, sensor="s-2")

    assert machine.acts == ["opened", "resolved", "noted"]
    assert "another sensor" in machine.changes[-1].reason


def test_a_zone_is_judged_by_its_own_limit_where_nothing_usual_is_known() -> None:
    machine = Machine(CLASSED).runs_at(3.0, 6, feature="velocity_rms_mm_s").told("resolved", REPLACED)

    machine.runs_at(3.3, 7, feature="velocity_rms_mm_s")

    assert machine.acts == ["opened", "resolved", "reopened"]
    assert machine.changes[-1].reason == (
        "still 1.2 × its warning limit after closing: x velocity_rms_mm_s 3.3 mm/s, reopened from 2.52 mm/s"
    )


def test_a_temperature_is_judged_by_its_limit() -> None:
    machine = Machine(Position(BARE.id, limits=Limits(temperature_warning_c=70)))
    for celsius in [75.0] * 6:
        machine.hears(temperature_c=celsius)
    machine.told("resolved", REPLACED)

    for celsius in [50.0] * 7:
        machine.hears(temperature_c=celsius)

    assert machine.changes[-1].reason == (
        "temperature temperature_c 50 °C, confirmed below 63 °C, 6 captures since closing"
    )


def test_all_rules_that_had_joined_are_waited_for() -> None:
    position = Position(BARE.id, limits=Limits(temperature_warning_c=70))
    machine = Machine(position).runs_at(1.0, 100)
    for _ in range(8):
        machine.hears(rms_g=3.0, temperature_c=75.0)
    machine.told("resolved", REPLACED)

    for _ in range(20):
        machine.hears(temperature_c=50.0)
    assert "confirmed" not in machine.acts

    machine.runs_at(3.0, 7)
    assert machine.acts[-1] == "reopened"


def test_what_alerts_after_the_cooling_down_belongs_to_the_case_that_is_on_trial() -> None:
    position = Position(BARE.id, limits=Limits(temperature_warning_c=70), machine_class="iso10816-1/II")
    machine = Machine(position).runs_at(1.0, 100)
    for _ in range(8):
        machine.hears(rms_g=3.0)
    machine.told("resolved", REPLACED)

    for _ in range(12):
        machine.hears(temperature_c=90.0)

    assert machine.acts == ["opened", "resolved", "reopened"]
    assert len({change.case_id for change in machine.changes}) == 1
    assert machine.changes[2].reason.startswith("after closing, temperature:")


def test_a_person_opens_the_case_again_and_it_can_be_closed_again() -> None:
    machine = Machine().runs_at(1.0, 100).runs_at(3.0, 6).told("resolved", NO_ISSUE)
    machine.hears(rms_g=3.0)
    machine.told("reopened")

    assert machine.acts == ["opened", "resolved", "reopened"]
    assert (machine.changes[-1].by, machine.changes[-1].state) == ("mia", "WARNING")
    machine.hears(rms_g=3.0)
    assert "quiet below" not in (machine.verdicts[-2].reason or "")

    machine.told("resolved", REPLACED).runs_at(1.0, 7)
    assert machine.acts[3:] == ["resolved", "confirmed"]
    assert [change.revision for change in machine.changes] == [1, 2, 3, 4, 5]


def test_a_closing_that_is_delivered_again_does_not_close_what_was_opened_again() -> None:
    machine = Machine().runs_at(1.0, 100).runs_at(3.0, 6)
    case = machine.state.open_case
    assert case is not None
    closing = Control("resolved", case.case_id, machine.now_ms, "mia", NO_ISSUE)
    machine.takes(closing).hears(rms_g=3.0)
    opening = Control("reopened", case.case_id, machine.now_ms, "kim")
    machine.takes(opening)

    before = machine.state
    machine.takes(closing).takes(opening)
    assert machine.state == before

    machine.hears(rms_g=3.0).told("resolved", NO_ISSUE)
    closed = machine.state
    machine.takes(opening)
    assert machine.state == closed


def test_another_case_is_not_opened_again() -> None:
    machine = faulty()
    before = machine.state

    machine.told("reopened", case_id="case-" + "a" * 20).told("labelled", NO_ISSUE, case_id="case-" + "a" * 20)

    assert machine.state == before


def test_a_label_that_says_repair_puts_the_repair_on_trial() -> None:
    machine = Machine().runs_at(1.0, 100).runs_at(3.0, 6).told("resolved", UNDETERMINED).runs_at(1.0, 3)

    machine.told("labelled", REPLACED).told("labelled", REPLACED).runs_at(1.0, 7)

    assert machine.acts == ["opened", "resolved", "labelled", "confirmed"]
    assert machine.changes[2].closure == REPLACED
    assert all(is_over(change) for change in machine.changes[1:])


def test_a_label_that_says_nothing_was_repaired_ends_the_trial_and_keeps_what_is_normal() -> None:
    machine = faulty()
    learned = machine.state.channels["x"].baseline

    machine.runs_at(3.0, 4).told("labelled", NO_ISSUE).runs_at(3.0, 50)

    assert machine.acts == ["opened", "resolved", "labelled"]
    assert machine.state.channels["x"].baseline == learned
    assert "closed without repair" in (machine.verdicts[-2].reason or "")


def test_to_learn_anew_ends_the_trial() -> None:
    machine = faulty()
    machine.takes(Control("relearn", "", machine.now_ms, "mia")).runs_at(3.0, 20)

    assert machine.acts == ["opened", "resolved", "noted"]
    assert machine.changes[-1].reason == "repair not judged: mia had what is normal learned anew"


def test_rows_of_another_mode_do_not_speak_for_the_one_that_the_fault_stands_in() -> None:
    machine = Machine()
    for _ in range(100):
        machine.hears(rms_g=1.0, speed_rpm=1480).hears(rms_g=0.3, speed_rpm=740)
    machine.runs_at(3.0, 6, speed_rpm=1480).told("resolved", REPLACED)

    machine.runs_at(0.3, 30, speed_rpm=740)
    assert machine.acts == ["opened", "resolved"]

    machine.runs_at(3.0, 7, speed_rpm=1480)
    assert machine.acts == ["opened", "resolved", "reopened"]


def test_states_of_before_there_were_trials_are_read() -> None:
    state = Machine(CLASSED).runs_at(3.0, 6, feature="velocity_rms_mm_s").state
    old = bytes([3]) + state.pack()[1:]

    assert State.unpack(old) == state
    assert State.unpack(old).pack() == state.pack()


def test_codes_are_known_again_in_any_order() -> None:
    assert codes(REPLACED) == codes(dict(reversed(REPLACED.items())))
    assert codes(REPLACED) != codes({**REPLACED, "note": "at last"})


@pytest.mark.parametrize("order", [("x", "y"), ("y", "x")])
def test_the_verdict_falls_between_captures_whatever_axis_comes_first(order: tuple[str, str]) -> None:
    state, changes = State.new(), []
    position = replace(CLASSED, settings={"warmup": 4})

    def row(hour: int, axis: str, level: float) -> Row:
        axes: dict[str, Any] = {axis: {"rms_g": level}}
        return Row(f"c{hour}", axis, hour * HOUR_MS, 0, "s", axes=axes)

    for hour, level in enumerate([1.0] * 5 + [3.0] * 5 + [0.0] + [3.0] * 7, 1):
        if not level:
            assert state.open_case is not None
            closing = Control("resolved", state.open_case.case_id, hour * HOUR_MS, "mia", REPLACED)
            state, _, told = step(state, closing, position)
            changes += told
            continue
        for axis in order:
            state, _, told = step(state, row(hour, axis, level), position)
            changes += told

    assert [change.change for change in changes] == ["opened", "updated", "resolved", "reopened"]
    assert state.open_case is not None
