"""The score of runs to failure, and how often healthy machines open a case: rules that a figure hangs on."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from cli import bench_rtf
from cli.bench_rtf import Outcome, Truth, events, scored
from cli.quiet_plant import YEAR, Judge, Plant, healthy_rows, quiet_cases
from hypothesis import given
from hypothesis import strategies as st
from telltale.core.baseline import INDICATORS
from telltale.core.detect import Row, State, step
from telltale.core.plant import Position
from telltale.core.settings import Settings

SCORER = Path(__file__).parents[3] / "shared" / "bench" / "rtf_score.py"
TRUTH = Truth("b", 200, 20, (range(20, 100),), onset=120, failure=180, fails=True, interval_s=3600.0)
QUICK = {"warmup": 12, "growth": 1.2, "sigmas": 2.0}  # that learns and alarms within a test


def flags(*on: int, rows: int = 200) -> np.ndarray:
    made = np.zeros(rows, bool)
    made[list(on)] = True
    return made


def test_alarms_with_fewer_than_six_quiet_rows_between_are_one_event() -> None:
    assert events(flags(10, 16, 23)) == [(10, 17), (23, 24)]
    assert events(flags()) == []


def test_a_warning_after_the_last_healthy_row_earns_the_time_it_leaves() -> None:
    assert scored(TRUTH, flags(150)) == Outcome(0, 150, 30.0, 0.5)
    assert scored(TRUTH, flags(110)).credit == 1.0


def test_each_false_alarm_halves_the_credit() -> None:
    assert scored(TRUTH, flags(30, 60, 150)).credit == 0.125


def test_an_alarm_that_is_on_since_the_healthy_rows_has_warned_nobody() -> None:
    assert scored(TRUTH, flags(*range(95, 180))) == Outcome(1)


def test_alarms_while_it_learns_do_not_count() -> None:
    assert scored(TRUTH, flags(5, 150)) == scored(TRUTH, flags(150))


def test_leads_are_by_the_clock_where_times_are_known() -> None:
    assert scored(TRUTH, flags(150), [60.0 * place for place in range(200)]).lead_h == 0.5


def scorer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rtf_score", SCORER)
    if not SCORER.exists() or importlib.util.find_spec("pandas") is None or spec is None or spec.loader is None:
        pytest.skip(f"NOT CHECKED against the scorer: {SCORER} or pandas is missing")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@given(st.sets(st.integers(0, 199), max_size=40), st.booleans())
def test_the_score_is_that_of_the_scorer(on: set[int], fails: bool) -> None:
    truth = Truth("b", 200, 20, (range(20, 60), range(80, 100)), 120, 180, fails, 600.0)
    given_truth = SimpleNamespace(
        **{"run": "b", "dataset": "d", "n": 200, "interval_s": 600, "train_n": 20, "healthy": "20-60;80-100"},
        **{"onset_early": 120, "onset_late": 130, "failure": 180, "fails": int(fails)},
    )

    expected = scorer().score_run(given_truth, flags(*on).astype(int), None, bench_rtf.MERGE, 0.0)

    found = scored(truth, flags(*on))
    assert found.false_alarms == expected["false_alarms"]
    if fails:
        assert (found.warned is not None) == expected["warned"]
        assert (found.lead_h, found.credit) == pytest.approx((expected["lead_h"], expected["credit"]))


def opened_by_the_core(rows: Sequence[np.ndarray], machine: int) -> list[int]:
    """The rows at which a case opens on one machine, which then starts anew."""
    position = Position("p", settings=QUICK)
    state, opened = State.new(), []
    for place, row in enumerate(rows):
        levels = np.exp(row[machine].astype(np.float64))
        axes = {
            axis: dict(zip(INDICATORS, values, strict=True))
            for axis, values in zip("xyz", levels.tolist(), strict=True)
        }
        state, _, changes = step(state, Row("c", "xyz", place, place, "s", axes=axes), position)
        if changes:
            opened.append(place)
            state = State.new()
    return opened


def test_many_machines_at_once_are_judged_as_the_core_judges_each() -> None:
    machines, count = 3, 250
    rows = [
        row for _, row in zip(range(count), healthy_rows(machines, seed=5, plant=Plant(upset_share=0.01)), strict=False)
    ]
    judge = Judge(machines, Settings.of(QUICK))

    opened = []
    for row in rows:
        opened.append(judge.step(row))
        judge.start_anew(opened[-1])

    found = [[place for place in range(count) if opened[place][machine]] for machine in range(machines)]
    assert found == [opened_by_the_core(rows, machine) for machine in range(machines)]
    assert sum(map(len, found)) > 3


def test_healthy_machines_are_the_same_for_the_same_seed() -> None:
    one, other = (next(healthy_rows(4, seed=7)) for _ in range(2))

    assert np.array_equal(one, other)


def test_healthy_machines_open_less_than_a_case_in_ten_years() -> None:
    found = quiet_cases(machines=300, rows=YEAR // 6, seed=3)

    assert found.machine_years == pytest.approx(50, rel=0.01)
    assert found.cases <= 5
