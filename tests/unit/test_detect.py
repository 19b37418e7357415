"""Detection, step by step: what a person sees of states, verdicts and cases."""

import base64
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import fields

import numpy as np
import pytest
from telltale.core.baseline import INDICATORS, REFERENCES
from telltale.core.detect import CaseChange, Control, Row, Settings, State, Verdict, normals, step
from telltale.core.plant import Limits, Position
from telltale.core.schema import VERDICTS

HOUR_MS = 3_600_000
BARE = Position("plant/hall/pump-1/motor-de")
CLASSED = Position(BARE.id, machine_class="iso10816-1/II")
NO_ISSUE = {"failure_mode": "NO_ISSUE", "failure_cause": "UNDETERMINED", "action_taken": "NO_ACTION"}
REPLACED = {"failure_mode": "LUBRICATION", "failure_cause": "WEAR", "action_taken": "REPLACE"}


class Machine:
    """A position that is fed rows and remembers what detection said."""

    def __init__(self, position: Position = BARE) -> None:
        self.position = position
        self.state = State.new()
        self.hour = 0
        self.verdicts: list[Verdict] = []
        self.changes: list[CaseChange] = []

    def hears(self, **scalars: float) -> "Machine":
        """One capture of axis x; keywords are features, or temperature_c and speed_rpm."""
        self.hour += 1
        speed_rpm, temperature_c = scalars.pop("speed_rpm", None), scalars.pop("temperature_c", None)
        axes: Mapping[str, Mapping[str, float | None]] = {"x": scalars} if scalars else {}
        return self.takes(Row(f"c{self.hour}", "x", self.hour * HOUR_MS, 0, "s-1", speed_rpm, temperature_c, axes))

    def hears_all(self, feature: str, values: Iterable[float]) -> "Machine":
        for value in values:
            self.hears(**{feature: float(value)})
        return self

    def takes(self, item: Row | Control) -> "Machine":
        self.state, verdicts, changes = step(self.state, item, self.position)
        self.verdicts += verdicts
        self.changes += changes
        return self

    def acknowledged(self) -> "Machine":
        return self.takes(Control("acknowledged", self.case_id, self.hour * HOUR_MS, "mia"))

    def resolved(self, closure: dict[str, str]) -> "Machine":
        return self.takes(Control("resolved", self.case_id, self.hour * HOUR_MS, "mia", closure))

    @property
    def case_id(self) -> str:
        assert self.state.open_case is not None
        return self.state.open_case.case_id

    @property
    def acts(self) -> list[str]:
        return [change.change for change in self.changes]

    def last(self, rule: str) -> Verdict:
        return next(one for one in reversed(self.verdicts) if one.rule == rule)


def warm(position: Position = BARE, level: float = 1.0) -> Machine:
    return Machine(position).hears_all("rms_g", [level] * 100)


def test_a_verdict_has_the_columns_of_the_table() -> None:
    ids = {"capture_id", "position", "site", "t", "code_version"}

    assert [field.name for field in fields(Verdict)] == [name for name in VERDICTS.names if name not in ids]


def test_a_position_is_unknown_until_a_rule_has_judged_it() -> None:
    machine = Machine()
    assert machine.state.state == "UNKNOWN"

    machine.hears_all("rms_g", [1.0] * 100)
    assert machine.state.state == "UNKNOWN"
    assert machine.last("baseline").reason == "learning what is normal: 99 of 100 captures"
    assert "no machine class" in (machine.last("zone").reason or "")

    machine.hears(rms_g=1.0)
    assert machine.state.state == "HEALTHY"


def test_zones_judge_from_the_first_capture() -> None:
    machine = Machine(CLASSED).hears(velocity_rms_mm_s=1.0)

    assert machine.state.state == "HEALTHY"
    assert machine.last("zone").zone == "A"


def test_a_persistent_warning_opens_one_case_with_its_evidence() -> None:
    machine = Machine(CLASSED).hears_all("velocity_rms_mm_s", [1.0, 3.0, 3.1, 3.2])
    assert machine.changes == []

    machine.hears(velocity_rms_mm_s=3.3)

    [opened] = machine.changes
    assert (opened.change, opened.severity, opened.state, opened.revision) == ("opened", "WARNING", "WARNING", 1)
    assert opened.reason == (
        "x: 3.3 mm/s, at or above the warning limit 2.8 (ISO 10816-1:1995 class II, B/C), zone C, 3.8 below C/D"
    )
    assert opened.case_id == machine.case_id
    assert opened.t_ms == opened.opened_ms == machine.hour * HOUR_MS
    evidence = json.loads(json.dumps(opened.evidence))
    assert evidence["capture_ids"] == ["c5"]
    assert evidence["verdicts"][0]["margin"] == pytest.approx(-0.5)
    assert evidence["last_scores"]["x zone"] == pytest.approx([1 / 2.8, 3 / 2.8, 3.1 / 2.8, 3.2 / 2.8, 3.3 / 2.8])


def test_once_its_velocity_is_learned_a_quiet_machine_is_warned_of_within_zone_b() -> None:
    machine = Machine(CLASSED).hears_all("velocity_rms_mm_s", [0.8] * 100 + [1.55] * 6)

    [opened] = machine.changes
    assert opened.rule == "zone"
    assert "(ISO 10816-1:1995 class II, baseline 0.8 + 25 % of B/C), zone B" in opened.reason
    [verdict] = opened.evidence["verdicts"]
    assert (verdict["limit"], verdict["usual"]) == pytest.approx((1.5, 0.8))
    assert verdict["next_boundary"] == "B/C"


def test_a_machine_whose_velocity_wanders_is_not_warned_of_within_zone_b() -> None:
    wandering = 0.8 * np.exp(np.random.default_rng(5).normal(0, 0.3, 100))

    machine = Machine(CLASSED).hears_all("velocity_rms_mm_s", [*wandering, *[1.6] * 6])

    assert machine.changes == []
    assert "its own spread above the baseline" in (machine.last("zone").reason or "")


def test_twenty_repeats_of_an_alarm_are_one_case() -> None:
    machine = Machine(CLASSED).hears_all("velocity_rms_mm_s", [9.0] * 24)

    assert machine.acts == ["opened"]
    assert machine.state.state == "ALARM"


def test_a_severity_rise_updates_the_same_case() -> None:
    machine = Machine(CLASSED).hears_all("velocity_rms_mm_s", [3.0] * 6 + [9.0] * 10)

    assert machine.acts == ["opened", "updated"]
    assert [change.severity for change in machine.changes] == ["WARNING", "ALARM"]
    assert [change.revision for change in machine.changes] == [1, 2]
    assert len({change.case_id for change in machine.changes}) == 1


def test_another_rule_joins_the_case() -> None:
    position = Position(BARE.id, machine_class="iso10816-1/II", limits=Limits(temperature_warning_c=70))
    machine = Machine(position).hears_all("velocity_rms_mm_s", [3.0] * 6)

    for _ in range(10):
        machine.hears(temperature_c=75)

    assert machine.acts == ["opened", "updated"]
    assert (machine.changes[1].rule, machine.changes[1].channel) == ("temperature", "temperature")
    assert machine.changes[1].evidence["joined"] == ["x zone", "temperature temperature"]


def test_a_case_does_not_end_because_the_signal_went_quiet() -> None:
    machine = Machine(CLASSED).hears_all("velocity_rms_mm_s", [3.0] * 6 + [1.0] * 500)
    assert machine.acts == ["opened"]
    assert machine.state.state == "WARNING"
    assert machine.last("zone").persistent == "HEALTHY"

    machine.acknowledged()

    assert machine.changes[-1].evidence["quiet_since_ms"] == 9 * HOUR_MS


def test_acknowledged_means_someone_owns_it() -> None:
    machine = Machine(CLASSED).hears_all("velocity_rms_mm_s", [3.0] * 6).acknowledged().acknowledged()
    assert machine.acts == ["opened", "acknowledged"]
    assert machine.state.state == "NEEDS_MAINTENANCE"

    machine.hears_all("velocity_rms_mm_s", [9.0] * 6)

    assert machine.acts == ["opened", "acknowledged", "updated"]
    assert (machine.changes[-1].severity, machine.changes[-1].state) == ("ALARM", "NEEDS_MAINTENANCE")


def test_a_control_for_another_case_changes_nothing() -> None:
    machine = Machine(CLASSED).hears_all("velocity_rms_mm_s", [3.0] * 6)
    before = machine.state

    machine.takes(Control("resolved", "case-" + "a" * 20, 0, "mia", REPLACED))

    assert machine.state == before
    assert machine.acts == ["opened"]


def test_after_a_repair_normal_is_learned_anew() -> None:
    machine = warm().hears_all("rms_g", [3.0] * 6).resolved(REPLACED)
    assert machine.acts == ["opened", "resolved"]
    assert machine.state.state == "HEALTHY"
    assert machine.changes[-1].closure == REPLACED

    machine.hears_all("rms_g", [1.2] * 106)
    assert machine.acts == ["opened", "resolved", "confirmed"]
    assert machine.last("baseline").reason == "learning what is normal: 99 of 100 captures"

    machine.hears_all("rms_g", [2.2] * 10)
    assert machine.acts == ["opened", "resolved", "confirmed"]


def test_a_fault_that_comes_back_after_a_repair_is_a_new_case() -> None:
    machine = Machine(CLASSED).hears_all("velocity_rms_mm_s", [3.0] * 6).resolved(REPLACED)

    machine.hears_all("velocity_rms_mm_s", [1.0] * 6 + [3.0] * 6)

    assert machine.acts == ["opened", "resolved", "confirmed", "opened"]
    assert machine.changes[0].case_id != machine.changes[3].case_id


@pytest.mark.parametrize(
    "closure", [NO_ISSUE, {**NO_ISSUE, "action_taken": "ADJUST"}, {**REPLACED, "action_taken": "NO_ACTION"}]
)
def test_closed_without_repair_the_baseline_is_kept_and_the_same_level_opens_no_second_case(
    closure: dict[str, str],
) -> None:
    machine = warm().hears_all("rms_g", [3.0] * 6)
    learned = machine.state.channels["x"].baseline

    machine.resolved(closure).hears_all("rms_g", [3.0] * 500)

    assert machine.acts == ["opened", "resolved"]
    assert machine.state.state == "HEALTHY"
    assert machine.state.channels["x"].baseline == learned
    assert machine.last("baseline").verdict == "WARNING"  # the truth is still told
    assert "closed without repair" in (machine.last("baseline").reason or "")


def test_closed_without_repair_a_level_that_grows_further_is_a_new_case() -> None:
    machine = warm().hears_all("rms_g", [3.0] * 6).resolved(NO_ISSUE)

    machine.hears_all("rms_g", [4.0] * 6)

    assert machine.acts == ["opened", "resolved", "opened"]


def test_a_sibling_of_the_row_that_opened_a_closed_case_waits_a_row_so_that_no_two_cases_share_an_id() -> None:
    def axis(name: str, t_ms: int, speed_rpm: float = 1480) -> Row:
        return Row(f"c{t_ms}", name, t_ms, t_ms, "s", speed_rpm, axes={name: {"velocity_rms_mm_s": 3.0}})

    machine = Machine(Position(BARE.id, machine_class="iso10816-1/II", running_above_rpm=300))
    for t_ms in (1, 2, 3):
        machine.takes(axis("x", t_ms)).takes(axis("y", t_ms))
    machine.takes(axis("x", 4)).resolved(NO_ISSUE).takes(axis("y", 4)).takes(axis("y", 5, speed_rpm=0))
    assert machine.acts == ["opened", "resolved"]

    machine.takes(axis("y", 6))

    assert machine.acts == ["opened", "resolved", "opened"]
    assert machine.changes[0].case_id != machine.changes[2].case_id


def test_two_positions_never_share_a_case() -> None:
    here, there = (
        Machine(Position(name, machine_class="iso10816-1/II")).hears_all("velocity_rms_mm_s", [3.0] * 6)
        for name in ("plant/hall/pump-1/motor-de", "plant/hall/pump-1/motor-nde")
    )

    assert here.case_id != there.case_id


def test_nothing_is_learned_from_a_fault() -> None:
    machine = warm()
    learned = machine.state.channels["x"].baseline

    machine.hears_all("rms_g", [3.0] * 3000 + [1.0] * 3000)

    assert machine.state.channels["x"].baseline == learned


def test_what_a_limit_condemns_is_not_learned_as_normal() -> None:
    machine = Machine(CLASSED)

    for _ in range(200):
        machine.hears(velocity_rms_mm_s=8.0, rms_g=1.0)

    assert {normal.rows for normal in machine.state.channels["x"].baseline} == {0}


@pytest.mark.parametrize(
    ("position", "row"),
    [
        (Position(BARE.id, machine_class="iso10816-1/II", running_above_rpm=300), {"speed_rpm": 0.0}),
        (Position(BARE.id, machine_class="iso10816-1/II", running_above_g=0.05), {}),
    ],
)
def test_a_machine_that_is_off_is_neither_judged_nor_learned(position: Position, row: dict[str, float]) -> None:
    machine = Machine(position)

    for _ in range(50):
        machine.hears(rms_g=0.01, velocity_rms_mm_s=9.0, **row)

    assert {one.verdict for one in machine.verdicts} == {"MACHINE_OFF"}
    assert "machine off" in (machine.last("zone").reason or "")
    assert machine.state.state == "UNKNOWN"
    assert {normal.rows for normal in machine.state.channels["x"].baseline} == {0}


def test_stops_between_runs_do_not_interrupt_counting() -> None:
    position = Position(BARE.id, machine_class="iso10816-1/II", running_above_rpm=300)
    machine = Machine(position)

    for _ in range(4):
        machine.hears(velocity_rms_mm_s=3.0, speed_rpm=1480).hears(velocity_rms_mm_s=0.1, speed_rpm=0)

    assert machine.acts == ["opened"]


def test_an_axis_that_runs_keeps_a_quiet_axis_of_the_same_message_running() -> None:
    position = Position(BARE.id, running_above_g=0.05)
    axes: Mapping[str, Mapping[str, float | None]] = {"x": {"rms_g": 0.5}, "y": {"rms_g": 0.01}}

    _, verdicts, _ = step(State.new(), Row("c", "xy", 1, 1, "s", axes=axes), position)

    assert "MACHINE_OFF" not in {one.verdict for one in verdicts}


@pytest.mark.parametrize("rows", [1000, 3000, 10_000, 30_000])
def test_a_slow_ramp_is_caught_before_it_has_grown_fourfold(rows: int) -> None:
    noise = np.random.default_rng(7).normal(0, 0.08, rows)
    machine = Machine().hears_all("rms_g", np.exp(np.random.default_rng(8).normal(0, 0.08, 200)))

    machine.hears_all("rms_g", np.exp(np.linspace(0, np.log(4), rows) + noise))

    assert machine.acts[:1] == ["opened"]


def test_healthy_noise_with_a_daily_swing_opens_no_case() -> None:
    rng = np.random.default_rng(11)
    hour = np.arange(10_000)
    swing = 0.2 * np.sin(2 * np.pi * hour / 24)
    wild = np.where(rng.random(len(hour)) < 0.01, 2.0, 0.0)  # one row in a hundred is seven times too high

    machine = Machine().hears_all("rms_g", np.exp(swing + wild + rng.normal(0, 0.1, len(hour))))

    assert machine.changes == []
    assert machine.state.state == "HEALTHY"


@pytest.mark.parametrize("spike", [2, 3])
def test_spikes_never_alarm(spike: int) -> None:
    machine = warm()

    for _ in range(20):
        machine.hears_all("rms_g", [100.0] * spike + [1.0] * 10)

    assert machine.changes == []


def test_settings_of_the_position_override_by_name() -> None:
    machine = Machine(Position(BARE.id, settings={"warmup": 10, "growth": 1.5}))

    machine.hears_all("rms_g", [1.0] * 10 + [1.6] * 4)

    assert machine.acts == ["opened"]
    assert machine.changes[0].evidence["settings"]["warmup"] == 10


@pytest.mark.parametrize(
    "overrides", [{"warm_up": 10}, {"warmup": 10.5}, {"warning_n": 7}, {"growth": 1.0}, {"clear": 0}, {"warmup": 1}]
)
def test_settings_that_make_no_sense_are_refused(overrides: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        Settings.of(overrides)


SOUND = {"rms_g": 1.0, "peak_g": 4.0, "crest": 4.0, "clipped_share": 0.0005, "repeated_share": 0.001, "drift_g": 0.0}
CLIPPED = {**SOUND, "clipped_share": 0.2}


def test_a_sensor_fault_is_a_state_of_its_own_and_never_a_fault_of_the_machine() -> None:
    machine = Machine(CLASSED)

    for _ in range(12):
        machine.hears(**CLIPPED, velocity_rms_mm_s=9.0)

    assert machine.changes == []
    assert machine.state.state == "UNKNOWN"
    assert machine.state.sensor_faults == {"x": "SATURATION"}
    for rule in ("zone", "baseline"):
        assert machine.last(rule).verdict == "NOT_ASSESSABLE"
        assert (machine.last(rule).reason or "").startswith("sensor fault: saturation: 20.0% of the samples")
    assert machine.last("sensor").verdict == machine.last("sensor").persistent == "SENSOR_FAULT"


def test_nothing_is_learned_from_a_faulty_sensor() -> None:
    machine = Machine()

    for _ in range(50):
        machine.hears(**CLIPPED)
    machine.hears(**SOUND)  # sound again, but the fault stands until some captures say so

    assert {normal.rows for normal in machine.state.channels["x"].baseline} == {0}


def test_one_bad_capture_is_no_sensor_fault_and_one_good_one_no_recovery() -> None:
    machine = Machine()

    def level(*rows: dict[str, float]) -> str:
        for row in rows:
            machine.hears(**row)
        return machine.last("sensor").persistent

    assert level(SOUND, CLIPPED, CLIPPED) == "HEALTHY"
    assert level(CLIPPED) == "SENSOR_FAULT"
    assert level(SOUND, SOUND) == "SENSOR_FAULT"
    assert level(SOUND) == "HEALTHY"
    assert machine.state.sensor_faults == {}


def test_a_case_that_is_open_stays_open_while_the_sensor_is_faulty() -> None:
    machine = Machine(CLASSED).hears_all("velocity_rms_mm_s", [3.0] * 6)

    for _ in range(10):
        machine.hears(**CLIPPED, velocity_rms_mm_s=9.0)

    assert machine.acts == ["opened"]
    assert (machine.state.state, machine.state.sensor_faults) == ("WARNING", {"x": "SATURATION"})


def test_a_repair_of_the_machine_repairs_no_sensor() -> None:
    machine = Machine(CLASSED).hears_all("velocity_rms_mm_s", [3.0] * 6)
    for _ in range(4):
        machine.hears(**CLIPPED)

    machine.resolved(REPLACED)

    assert machine.state.sensor_faults == {"x": "SATURATION"}


def test_a_sound_axis_is_judged_beside_a_faulty_one() -> None:
    axes = {"x": CLIPPED, "y": {**SOUND, "velocity_rms_mm_s": 9.0}}

    _, verdicts, _ = step(State.new(), Row("c", "xy", 1, 1, "s", axes=axes), CLASSED)

    assert {(one.channel, one.verdict) for one in verdicts if one.rule == "zone"} == {
        ("x", "NOT_ASSESSABLE"),
        ("y", "ALARM"),
    }


def test_a_dead_sensor_is_not_taken_for_a_machine_that_is_off() -> None:
    machine = Machine(Position(BARE.id, running_above_g=0.05))

    for _ in range(4):
        machine.hears(rms_g=0.0, peak_g=0.0, clipped_share=1.0, repeated_share=1.0, count_g=0.0005)

    assert machine.state.sensor_faults == {"x": "FLAT_LINE"}


def test_a_sensor_is_compared_with_what_was_usual_of_it_unless_the_position_says_otherwise() -> None:
    for compared in (1, 0):
        machine = Machine(Position(BARE.id, settings={"sensor_normal": compared}))
        for turned in (False, True):
            for _ in range(105):
                machine.hears(**SOUND, mean_g=0.1 if turned else 1.0)

        assert machine.state.sensor_faults == ({"x": "DC_DRIFT"} if compared else {})


def test_gravity_on_the_wrong_axis_stops_the_judgement_of_the_axes_that_are_mixed_up() -> None:
    directions = {"x": "horizontal", "y": "vertical", "z": "axial"}
    axes = {
        axis: {**SOUND, "velocity_rms_mm_s": 1.0, "mean_g": mean}
        for axis, mean in zip("xyz", (1.0, 0.0, 0.0), strict=True)
    }

    _, verdicts, _ = step(
        State.new(),
        Row("c", "xyz", 1, 1, "s", axes=axes),
        Position(BARE.id, machine_class="iso10816-1/II", directions=directions),
    )

    assert [one.verdict for one in verdicts if one.rule == "zone"] == ["NOT_ASSESSABLE", "NOT_ASSESSABLE", "HEALTHY"]


def test_another_envelope_band_does_not_alarm_but_is_learned_anew() -> None:
    machine = Machine()

    def hears(rows: int, low_hz: float, env_rms_g: float) -> str | None:
        for _ in range(rows):
            machine.hears(rms_g=1.0, env_rms_g=env_rms_g, env_bpfo_g=0.01, env_low_hz=low_hz, env_high_hz=10_000.1)
        return machine.last("baseline").feature

    hears(120, 2000.1, 0.01)
    hears(10, 500.0, 0.2)
    assert machine.changes == []
    assert machine.last("baseline").verdict == "HEALTHY"

    hears(110, 500.0, 0.2)
    assert hears(6, 500.0, 1.0) == "env_rms_g"
    assert machine.acts == ["opened"]


def test_what_is_usual_here_is_learned_for_diagnosis_too() -> None:
    machine = Machine()

    for mm_s in np.exp(np.random.default_rng(3).normal(np.log(0.5), 0.2, 99)):
        machine.hears(rms_g=1.0, order_1_mm_s=float(mm_s), mean_g=-0.98)
    assert normals(machine.state) == {}
    machine.hears(rms_g=1.0, order_1_mm_s=50.0, mean_g=-0.98)  # one outlier more or less does not matter

    found = normals(machine.state)["x"]
    assert set(found) == {"rms_g", "order_1_mm_s", "mean_g"}
    assert found["order_1_mm_s"] == pytest.approx(0.5, rel=0.1)
    assert found["mean_g"] == pytest.approx(-0.98)
    assert found["rms_g"] == pytest.approx(1.0)


def test_after_a_repair_what_is_usual_is_learned_anew_too() -> None:
    machine = Machine()
    for _ in range(100):
        machine.hears(rms_g=1.0, order_1_mm_s=0.5)

    machine.hears_all("rms_g", [3.0] * 6).resolved(REPLACED).hears_all("rms_g", [1.0] * 7)

    assert machine.acts == ["opened", "resolved", "confirmed"]
    assert normals(machine.state) == {}


def test_a_full_state_fits_in_a_kilobyte() -> None:
    position = Position(BARE.id, machine_class="iso10816-1/II", limits=Limits(temperature_warning_c=70))
    features = {
        **dict.fromkeys([*INDICATORS, *REFERENCES], 1.0),
        "env_low_hz": 2000.0,
        "env_high_hz": 10_000.0,
        "crest": 4.0,
    }
    features |= {"clipped_share": 0.001, "repeated_share": 0.001}
    machine = Machine(position)

    for t in range(1, 20):
        high = {**features, "velocity_rms_mm_s": 9.0 if t > 10 else 1.0, "clipped_share": 0.5 if t > 16 else 0.001}
        axes: Mapping[str, Mapping[str, float | None]] = dict.fromkeys("xyz", high)
        machine.takes(Row(f"c{t}", "xyzs", t, t, "s", temperature_c=90.0, axes=axes))

    packed = machine.acknowledged().state.pack()
    assert len(packed) <= 1024
    assert machine.state.sensor_faults == dict.fromkeys("xyz", "SATURATION")
    assert State.unpack(packed) == machine.state


# Packed by the version before sensor health: 12 rows of axis x and temperature, a warm-up of 5, an alarm, a case
LAYOUT_1 = (
    "c-mv+WM<Ht%)|f$MyACjsino0iD?B!*#$Yt1!lR4FgZpbW@cu9fCiW-GY5#wyS>d08Q<RK>wt`z"
    "*+Hr-ABq~ouylo_12Sen0~`#v0S7~0tndN7O`S#{8lOr60O|+g004OfDZ&"
)


def test_a_state_of_the_layout_before_is_still_read_and_goes_on() -> None:
    old = State.unpack(zlib.decompress(base64.b85decode(LAYOUT_1)))

    assert (old.state, old.last_opened_ms) == ("ALARM", 12 * HOUR_MS)
    x = old.channels["x"]
    assert [normal.rows for normal in x.baseline] == [8, 0, 8, 8, 0, 0, 0, 0]
    assert (x.sensor.level, x.envelope_hz, old.sensor_faults) == ("UNKNOWN", None, {})
    assert normals(old, settings=Settings(warmup=5))["x"]["env_rms_g"] == pytest.approx(0.1)

    row = Row("c13", "x", 13 * HOUR_MS, 0, "s", axes={"x": {"rms_g": 1.0, "velocity_rms_mm_s": 9.0, "mean_g": 0.5}})
    state, verdicts, _ = step(old, row, CLASSED)
    assert {one.rule for one in verdicts} == {"zone", "baseline", "sensor"}
    assert State.unpack(state.pack()) == state


# Packed by the version before times and shelves: the same with envelope, sensor health, and the case acknowledged
LAYOUT_2 = (
    "c-mv)WN)yKVPXJ+EHk5ABeTNnw6v^@tjvnad?T}5m>h^;W@dnZ1_r&!U{Pic5Se#-o89zjV)h`MnYq#d9W%3oR7ESg8G|tI11|@343h7Q6+WQ1"
    "snZBVvoqiZ>_n@?4_H9NFBb*}88-&XL4!RjEKrC80LtGlsQ"
)


def test_a_state_of_the_second_layout_is_still_read() -> None:
    old = State.unpack(zlib.decompress(base64.b85decode(LAYOUT_2)))

    case = old.open_case
    assert case is not None
    assert (old.state, case.revision, case.shelved_until_s, case.parent) == ("NEEDS_MAINTENANCE", 2, 0, 0)
    assert [(one.level, one.since_s) for one in old.channels["x"].monitors.values()] == [("ALARM", 0), ("ALARM", 0)]
    assert old.channels["x"].envelope_hz == (2000.0, 10_000.0)
    assert State.unpack(old.pack()) == old


@pytest.mark.parametrize(
    "packed", [b"", b"\x04", b"\x03", b"\x02", b"\x01", State.new().pack() + b"x", warm().state.pack()[:-1]]
)
def test_bytes_that_are_no_state_are_refused(packed: bytes) -> None:
    with pytest.raises(ValueError):
        State.unpack(packed)
