"""`telltale bench detection`: its measures are those of the scorers, on textbook cases and on the recordings."""

import argparse
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from cli import bench_detection
from cli.bench_detection import Interval, Run, batadal_score, skab_measures
from cli.problem import Problem

SHARED = Path(__file__).parents[3] / "shared"


def run(alarm: list[int], *, told: list[int], changes: tuple[int, ...] = (100, 200)) -> Run:
    """300 seconds, abnormal from 100 to 200."""
    rows = np.arange(300)
    on = (rows >= alarm[0]) & (rows < alarm[1]) if alarm else np.zeros(300, bool)
    abnormal = (rows >= 100) & (rows < 200)
    return Run("1.csv", rows.astype(np.float64), abnormal, np.isin(rows, changes), on, np.isin(rows, told))


def test_what_is_told_at_once_and_only_then_is_perfect() -> None:
    f1, far, per_h, nab = skab_measures([run([100, 200], told=[100, 200])])

    assert (f1, far, per_h, round(nab, 6)) == (1.0, 0.0, 0.0, 100.0)


def test_silence_earns_nothing() -> None:
    f1, _, _, nab = skab_measures([run([], told=[])])

    assert (f1, nab) == (0.0, 0.0)


def test_a_false_alarm_costs_rows_events_and_credit() -> None:
    f1, far, per_h, nab = skab_measures([run([50, 100], told=[50, 90])])

    assert (f1, far) == (0.0, 25.0)
    assert per_h == pytest.approx(1 / (200 / 3600))
    assert nab == pytest.approx(100 * -2 * 0.11 / 4)


def test_the_blind_rules_of_batadal_score_what_is_known_of_them() -> None:
    faults = [Interval("a", 10, 20, "1"), Interval("a", 40, 50, "2")]

    assert batadal_score({"a": np.ones(60, bool)}, faults) == 0.75
    assert batadal_score({"a": np.zeros(60, bool)}, faults) == 0.25


def test_every_figure_has_what_was_wanted_beside_it_and_runs_stand_apart(capsys: pytest.CaptureFixture[str]) -> None:
    bench_detection.show({"ims_lead_h": {"T1_B3": 79.9}, "skab_f1": 0.82, "new_figure": 7})

    said = capsys.readouterr().out
    assert "ims_lead_h T1_B3" in said
    assert "79.5" in said
    assert "new_figure" in said


def test_a_scorer_that_cannot_run_is_said_and_no_failure(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "rtf_score.py").touch()
    given = argparse.Namespace(scorers=tmp_path, scorer_python="false", data=tmp_path)

    bench_detection._compare(given, tmp_path, {})

    assert "NOT CHECKED" in capsys.readouterr().out


def test_a_folder_without_any_set_is_refused(tmp_path: Path) -> None:
    parts = ["rtf", "skab", "tep", "batadal", "nab"]
    given = argparse.Namespace(data=tmp_path, train_data=None, scorers=None, results=tmp_path, only=parts)

    with pytest.raises(Problem, match="there is no ims_features"):
        bench_detection.figures(given)


@pytest.mark.data
@pytest.mark.skipif(not (SHARED / "data").exists(), reason=f"NOT CHECKED on real recordings: {SHARED} is missing")
def test_the_measures_are_those_of_the_scorers(tmp_path: Path) -> None:
    scorers = SHARED / "bench" if importlib.util.find_spec("pandas") else None
    given = argparse.Namespace(
        data=SHARED / "data",
        train_data=None,
        scorers=scorers,
        scorer_python="python",
        results=tmp_path,
        river_python="no",
    )

    skab = bench_detection._skab(given, tmp_path)
    tep = bench_detection._tep(given, tmp_path)

    assert skab["skab_f1"] > 0.8
    assert skab["skab_far"] < 20
    assert tep["tep_far"] <= 1
    assert tep["tep_detection_rate"] > 78
    if scorers is not None:
        bench_detection._compare(given, tmp_path, {**skab, **tep})
