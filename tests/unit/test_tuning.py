"""The rate of false cases that is asked for: counted in a history as detection would count, said with its doubt."""

from dataclasses import replace
from math import inf, nan
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli import quiet_plant, tune
from cli.__main__ import parser_for
from cli.problem import Problem
from hypothesis import given
from hypothesis import strategies as st
from telltale.core.backtest import YEAR_MS, History, Opening
from telltale.core.baseline import INDICATORS
from telltale.core.judgement import Control, Row
from telltale.core.persistence import Monitor, watch
from telltale.core.plant import Position
from telltale.core.settings import DEFAULTS, Settings
from telltale.core.tuning import FACTORS, Trace, counts, debounced, false_cases, interval, rates, replayed, tuned

HOUR = 3_600_000
QUICK = {"warmup": 12}


def trace(scores: list[float], *, ill: range = range(0)) -> Trace:
    """One axis, hourly."""
    rows = len(scores)
    healthy = np.array([place not in ill for place in range(rows)])
    return Trace("p", np.arange(rows) * HOUR, np.array(scores, np.float64)[:, None], healthy)


def cases(one: Trace, factor: float = 1.0) -> int:
    return false_cases(one, debounced(one.scores, n=4, m=6), factor=factor, clear=0.9)


# ---- counting ------------------------------------------------------------------------------------


@given(st.lists(st.one_of(st.floats(0, 3), st.just(nan)), min_size=1, max_size=40))
def test_a_case_is_counted_where_the_monitor_begins_to_alert(scores: list[float]) -> None:
    rows = [(place * 30 * HOUR, score) for place, score in enumerate(scores)]  # so far apart that each may open one
    monitor, opened = Monitor(), 0
    for t_ms, score in ((t_ms, score) for t_ms, score in rows if score == score):
        after = watch(monitor, score, alarm_score=inf, settings=DEFAULTS, t_ms=t_ms)
        opened += after.alerts and not monitor.alerts
        monitor = after
    one = replace(trace(scores), t_ms=np.array([t_ms for t_ms, _ in rows], np.int64))

    # the monitor keeps float32's digits
    single = replace(one, scores=one.scores.astype(np.float32).astype(np.float64))

    assert cases(single) == opened


def test_what_comes_again_within_a_day_is_the_same_case() -> None:
    burst, pause = [1.5] * 5, [0.1] * 8

    assert cases(trace([*burst, *pause, *burst])) == 1
    assert cases(trace([*burst, *pause * 4, *burst])) == 2


def test_a_limit_twice_as_far_opens_fewer() -> None:
    one = trace([0.1] * 50 + [1.5] * 6 + [0.1] * 50 + [3.0] * 6 + [0.1] * 50)

    assert (cases(one), cases(one, 2.0), cases(one, 4.0)) == (2, 1, 0)


def test_what_alerted_until_a_true_case_opened_was_seen_earlier_and_is_not_false() -> None:
    scores = [0.1] * 50 + [1.5] * 30

    assert cases(trace(scores)) == 1
    assert cases(trace(scores, ill=range(70, 80))) == 0
    assert cases(trace([*scores, *[0.1] * 30], ill=range(90, 100))) == 1


def test_time_that_is_ill_or_not_judged_is_not_watched() -> None:
    rows = [0.1] * 240

    assert trace(rows).years == pytest.approx(239 * HOUR / YEAR_MS)
    assert trace(rows, ill=range(120, 240)).years == pytest.approx(119 * HOUR / YEAR_MS)
    assert trace([nan] * 120 + rows[:120]).years == pytest.approx(120 * HOUR / YEAR_MS)


# ---- the history ---------------------------------------------------------------------------------


def row(place: int, level: float) -> Row:
    axes = {"x": dict.fromkeys(INDICATORS, level)}
    return Row(f"c{place}", "x", place * HOUR, place * HOUR, "s", axes=axes)


def history(*parts: Row | Control | Opening) -> History:
    return History(Position("p", settings=QUICK), parts)


def closed(place: int, mode: str, action: str) -> Control:
    codes = {"failure_mode": mode, "failure_cause": "UNDETERMINED", "action_taken": action}
    return Control("resolved", "case-1", place * HOUR, "mia", codes)


def shaken(*, mode: str, action: str) -> History:
    """Quiet for 40 rows, five times as much for 20, when a person closes the case; quiet again."""
    rows = [row(place, 5.0 if 40 <= place < 60 else 1.0) for place in range(140)]
    opened = Opening("case-1", 43 * HOUR)
    return history(*rows[:43], opened, *rows[43:60], closed(60, mode, action), *rows[60:])


def test_a_case_that_was_no_issue_is_false_and_one_that_was_true_is_left_out() -> None:
    false, true = (
        replayed(shaken(mode="NO_ISSUE", action="NO_ACTION")),
        replayed(shaken(mode="IMBALANCE", action="NO_ACTION")),
    )

    assert sum(map(cases, false.traces)) == 1
    assert sum(map(cases, true.traces)) == 0
    assert true.traces[0].years < false.traces[0].years


def test_after_a_repair_it_is_another_machine() -> None:
    found = replayed(shaken(mode="IMBALANCE", action="ADJUST"))

    before, after = found.traces
    assert len(before.t_ms) == 60
    assert np.isnan(after.scores[: QUICK["warmup"], 0]).all()
    assert np.isfinite(after.scores[QUICK["warmup"], 0])


def test_a_false_case_ends_a_day_later_so_that_the_next_one_counts() -> None:
    levels = [1.0] * 40 + [5.0] * 6 + [1.0] * 60 + [5.0] * 6 + [1.0] * 20
    found = replayed(history(*(row(place, level) for place, level in enumerate(levels))))

    assert sum(map(cases, found.traces)) == 2


def test_simulated_machines_are_heard_as_the_core_hears_them() -> None:
    rows = 160
    many = quiet_plant.traces(machines=2, rows=rows, seed=4, settings=Settings.of(QUICK))
    made = [levels for _, levels in zip(range(rows), quiet_plant.healthy_rows(2, seed=4), strict=False)]

    def heard(machine: int) -> Trace:
        items = []
        for place, levels in enumerate(made):
            values = np.exp(levels[machine].astype(np.float64)).tolist()
            axes = {axis: dict(zip(INDICATORS, of, strict=True)) for axis, of in zip("xyz", values, strict=True)}
            items.append(Row(f"c{place}", "xyz", place * HOUR, place * HOUR, "s", axes=axes))
        return replayed(History(Position("p", settings=QUICK), tuple(items))).traces[0]

    for machine in range(2):
        np.testing.assert_allclose(heard(machine).scores, many[machine].scores, atol=1e-3)


# ---- the rate ------------------------------------------------------------------------------------


def exponential_tail(years: float, *, scale: float = 0.1) -> np.ndarray:
    return np.round(1000 * years * np.exp(-(FACTORS - FACTORS[0]) / scale)).astype(np.int64)


def test_a_rate_that_is_seen_often_is_counted() -> None:
    found, how = rates(np.array([40, 30, 20, 5, 0]), 20.0, asked=1.0)

    assert how == "counted"
    assert found.tolist() == [2.0, 1.5, 1.0, 0.25, 0.0]


def test_a_rare_rate_follows_the_tail_of_what_is_less_rare() -> None:
    years = 5.0
    found, how = rates(exponential_tail(years), years, asked=0.3)

    truth = 1000 * np.exp(-(FACTORS - FACTORS[0]) / 0.1)
    rare = (truth < 1) & (truth > 0.3)
    assert how == "extrapolated"
    assert np.all((found[rare] / truth[rare] > 0.5) & (found[rare] / truth[rare] < 2.5))


def test_nothing_is_known_of_what_never_came_near() -> None:
    found, how = rates(np.zeros(len(FACTORS), np.int64), 1.0, asked=0.1)

    assert how == "too short"
    assert np.isinf(found).all()
    assert tuned([trace([0.01] * 300)], [0.1], clear=0.9) == [None]


def test_an_interval_holds_the_exact_limits_of_a_count() -> None:
    low, high = interval(np.array([10]), np.array([1.0]))  # Garwood 1936: 4.795 and 18.39

    assert (low, high) == pytest.approx((4.795, 18.39), rel=0.005)
    low, high = interval(np.array([0]), np.array([1.0]))
    assert (low, high) == pytest.approx((0.0, 3.689), rel=0.01)


def test_an_interval_is_wider_where_all_cases_are_of_one_machine() -> None:
    years = np.ones(20)
    alike, unlike = np.ones(20, np.int64), np.zeros(20, np.int64)
    unlike[3] = 20

    (low, high), (lower, higher) = interval(alike, years), interval(unlike, years)

    assert lower < low < 1 < high < higher


def test_of_a_plant_with_upsets_one_more_row_is_asked_for_and_the_rate_comes() -> None:
    plant = quiet_plant.PLANTS["upset_26"]
    traces = quiet_plant.traces(machines=40, rows=1000, seed=1, plant=plant)

    [found] = tuned(traces, [1.0], clear=0.9)

    assert found is not None
    assert (found.n, found.m) != (4, 6)
    settings = Settings.of(found.settings(DEFAULTS))
    came = quiet_plant.quiet_cases(machines=150, rows=600, seed=2, plant=plant, settings=settings, repaired=False)
    assert 0.3 < came.per_machine_year < 3


def test_only_as_many_limits_are_counted_as_are_needed() -> None:
    found = counts([trace([0.1, 0.2, 5.0] * 100)], n=4, m=6, clear=0.9, most=0)

    assert found[-1, 0] == 0
    assert found[0, 0] == -1 or found[1:, 0].sum() <= 0


# ---- the command ---------------------------------------------------------------------------------


def written(file: Path, rows: int) -> Path:
    """Every fifty rows it is too high for six, now more, now less."""
    chance = np.random.default_rng(3)
    bursts = np.repeat(chance.exponential(0.4, rows), 50)[:rows] * (np.arange(rows) % 50 >= 44)
    levels = np.exp(chance.normal(0, 0.05, rows) + bursts).tolist()
    table = pa.table({"t": pa.array([n * HOUR for n in range(rows)], pa.timestamp("ms", "UTC")), "rms_g": levels})
    pq.write_table(table, file)
    return file


def test_the_command_says_what_it_found_and_what_to_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path / "pump.parquet", 600)
    words = ["tune", "--files", str(file), "--cases-per-year", "3", "20", "--json", str(tmp_path / "found.json")]

    assert tune.run(parser_for("tune").parse_args(words)) == 0

    said = capsys.readouterr().out
    assert "1 position" in said
    assert "extrapolated: " in said
    assert "not found: " in said
    assert "settings: {growth:" in said


def test_the_command_refuses_a_history_in_which_nothing_was_judged(tmp_path: Path) -> None:
    words = ["tune", "--files", str(written(tmp_path / "pump.parquet", 20)), "--cases-per-year", "1"]

    with pytest.raises(Problem, match="nothing was judged"):
        tune.run(parser_for("tune").parse_args(words))
