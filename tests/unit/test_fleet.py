"""What machines alike say of a position that has learned nothing yet."""

from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from telltale.core import fleet
from telltale.core.baseline import INDICATORS
from telltale.core.detect import CaseChange, Control, Row, State, Verdict, step
from telltale.core.plant import Alike, Position
from telltale.core.settings import DEFAULTS

MACHINES = [{"x": {"rms_g": level}} for level in (0.1, 0.12, 0.15, 0.2, 0.25, 0.3)]


def test_the_limit_is_the_prediction_limit_for_one_further_machine() -> None:
    found = fleet.alike(MACHINES)["rms_g"]

    levels = np.log([machine["x"]["rms_g"] for machine in MACHINES])
    t = stats.t.isf(1 / (fleet.ONE_MACHINE_IN * 24), df=5)
    assert found.location == pytest.approx(levels.mean())
    assert found.reach == pytest.approx(t * levels.std(ddof=1) * (1 + 1 / 6) ** 0.5, rel=1e-6)
    assert found.machines == 6


def test_fewer_than_five_machines_say_nothing() -> None:
    assert fleet.alike(MACHINES[:4]) == {}
    assert fleet.alike(MACHINES[:5]).keys() == {"rms_g"}


def test_axes_of_one_machine_count_once() -> None:
    three_axes = [{axis: {"rms_g": level} for axis in "xyz"} for level in (0.1, 0.2)]

    assert fleet.alike(three_axes) == {}


def test_one_new_machine_in_a_hundred_is_warned_of_by_chance_at_most() -> None:
    rng = np.random.default_rng(1)
    names = list(INDICATORS)
    warned = 0
    for _ in range(400):
        draws = np.exp(rng.normal(-2, 0.5, (31, 3, len(names))))
        machines = [{a: dict(zip(names, row, strict=True)) for a, row in zip("xyz", one, strict=True)} for one in draws]
        known = fleet.alike(machines[:30])
        scores = [fleet.judge(known, axis, settings=DEFAULTS) for axis in machines[30].values()]
        warned += any(found is not None and found.score >= 1 for found in scores)

    assert warned <= 12  # 4 expected; 13 or more in one of ten thousand runs


def test_nothing_is_warned_of_that_is_not_doubled() -> None:
    twins = fleet.alike([{"x": {"rms_g": 0.1 + i * 1e-4}} for i in range(8)])

    doubled = fleet.judge(twins, {"rms_g": 0.1004 * 2.01}, settings=DEFAULTS)
    nearly = fleet.judge(twins, {"rms_g": 0.1004 * 1.9}, settings=DEFAULTS)

    assert doubled is not None
    assert nearly is not None
    assert doubled.score >= 1 > nearly.score


def test_the_reason_tells_the_machines_and_the_limit() -> None:
    found = fleet.judge({"rms_g": Alike(log(0.2), log(4.0), 12)}, {"rms_g": 1.0}, settings=DEFAULTS)

    assert found is not None
    assert found.reason == ("rms_g 1 g is 5 times the 0.2 g that is usual on 12 machines alike, warning from 0.8 g")
    assert found.limit(1.0) == pytest.approx(0.8)


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), 0.0, -1.0])
def test_what_is_no_level_is_not_judged(value: float | None) -> None:
    assert fleet.judge({"rms_g": Alike(0.0, 1.0, 9)}, {"rms_g": value}, settings=DEFAULTS) is None


@given(st.lists(st.floats(1e-6, 1e6), min_size=5, max_size=12), st.floats(1e-3, 1e3))
def test_a_fleet_in_another_unit_judges_the_same(levels: list[float], unit: float) -> None:
    machines = [{"x": {"env_rms_g": level}} for level in levels]
    scaled = [{"x": {"env_rms_g": level * unit}} for level in levels]

    one = fleet.judge(fleet.alike(machines), {"env_rms_g": 3.0}, settings=DEFAULTS)
    other = fleet.judge(fleet.alike(scaled), {"env_rms_g": 3.0 * unit}, settings=DEFAULTS)

    assert one is not None
    assert other is not None
    assert other.score == pytest.approx(one.score, rel=1e-6, abs=1e-6)
    assert exp(other.normal.location) == pytest.approx(exp(one.normal.location) * unit, rel=1e-6)


# ---- in detection --------------------------------------------------------------------------------

HOUR_MS = 3_600_000
KNOWN = {"rms_g": Alike(log(0.2), log(4.0), 12)}
NEWCOMER = Position("s/a/pump-7/drive", fleet=KNOWN, settings={"warmup": 10})


def run(
    levels: list[float], state: State | None = None, *, at: int = 0
) -> tuple[State, list[Verdict], list[CaseChange]]:
    """The state, the last row's verdicts and all changes of the case."""
    state = state or State.new()
    verdicts: list[Verdict] = []
    changes: list[CaseChange] = []
    for hour, level in enumerate(levels, at):
        row = Row(f"c-{hour}", "x", hour * HOUR_MS, hour * HOUR_MS, "s-1", axes={"x": {"rms_g": level}})
        state, verdicts, changed = step(state, row, NEWCOMER)
        changes += changed
    return state, verdicts, changes


def test_a_newcomer_that_shakes_opens_a_case_on_its_first_day() -> None:
    state, verdicts, changes = run([1.0] * 4)

    [verdict] = [one for one in verdicts if one.rule == "baseline"]
    assert [change.change for change in changes] == ["opened"]
    assert (verdict.verdict, verdict.limit_source, verdict.samples) == ("WARNING", "fleet", 12)
    assert verdict.reason is not None
    assert verdict.reason.endswith("; learning what is normal: 0 of 10 captures")
    assert state.state == "WARNING"


def test_a_newcomer_like_the_others_is_healthy_and_says_that_it_learns() -> None:
    state, verdicts, _ = run([0.25] * 4)

    [verdict] = [one for one in verdicts if one.rule == "baseline"]
    assert (verdict.verdict, verdict.limit_source) == ("HEALTHY", "fleet")
    assert verdict.reason is not None
    assert "learning what is normal: 3 of 10 captures" in verdict.reason
    assert state.state == "HEALTHY"


def test_its_own_normal_judges_as_soon_as_it_is_known() -> None:
    _, verdicts, _ = run([0.25] * 11)

    assert [one.limit_source for one in verdicts if one.rule == "baseline"] == ["baseline"]


def test_a_sound_machine_unlike_the_others_is_learned_once_a_person_has_looked() -> None:
    state, _, [opened] = run([1.0] * 6)
    found = {"failure_mode": "NO_ISSUE", "failure_cause": "UNDETERMINED", "action_taken": "NO_ACTION"}
    state, _, _ = step(state, Control("resolved", opened.case_id, 6 * HOUR_MS, "kim", found), NEWCOMER)

    state, verdicts, changes = run([1.0] * 11, state, at=7)

    assert changes == []
    assert [one.limit_source for one in verdicts if one.rule == "baseline"] == ["baseline"]
    assert state.state == "HEALTHY"
    _, _, worse = run([2.5] * 4, state, at=18)
    assert [change.change for change in worse] == ["opened"]
