"""The benchmark's rule, on windows one can reckon by hand, and against an independent scorer where there is one."""

import argparse
import csv
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from cli import bench_streams, nab
from cli.problem import Problem
from numpy.typing import NDArray

SHARED = Path(__file__).parents[3] / "shared"
NAB, SCORER = SHARED / "data" / "nab", SHARED / "bench" / "nab_score.py"
ROWS = 1000

HERE = [
    pytest.mark.data,
    pytest.mark.skipif(not NAB.exists(), reason=f"NOT CHECKED on real streams: {NAB} is missing"),
]


def stream(*windows: tuple[int, int]) -> nab.Labelled:
    return nab.Labelled("tag.csv", np.zeros(ROWS), np.linspace(0, 300_000, ROWS), windows)


def at(*rows: int) -> NDArray[np.bool_]:
    return np.isin(np.arange(ROWS), rows)


def test_silence_is_worth_nothing() -> None:
    assert set(nab.scores([(stream((300, 400)), at())]).values()) == {0.0}


def test_an_alarm_at_the_start_of_every_window_is_worth_all() -> None:
    assert set(nab.scores([(stream((300, 400), (600, 700)), at(300, 600))]).values()) == {100.0}


def test_the_first_alarm_of_a_window_counts_and_late_is_worth_less() -> None:
    early = nab.scores([(stream((300, 400)), at(350))])["nab_standard"]
    late = nab.scores([(stream((300, 400)), at(390))])["nab_standard"]

    assert late < early < 100
    assert nab.scores([(stream((300, 400)), at(350, 360, 400))])["nab_standard"] == early


def test_an_alarm_before_any_window_costs_its_full_price() -> None:
    found = nab.scores([(stream((300, 400)), at(200, 300))])

    assert found == {"nab_standard": 94.5, "nab_low_fp": 89.0, "nab_low_fn": 96.3}


def test_an_alarm_just_after_a_window_is_cheaper_than_one_far_from_it() -> None:
    just, far = (nab.scores([(stream((300, 400)), at(300, row))])["nab_standard"] for row in (405, 800))

    assert far < just < 100


def test_the_first_rows_do_not_count() -> None:
    assert set(nab.scores([(stream((300, 400)), at(0, 149, 300))]).values()) == {100.0}


def test_without_windows_there_is_no_score() -> None:
    assert nab.scores([(stream(), at(500))]) == {}


def test_the_ordinary_rule_alarms_beyond_its_sigmas_and_once_an_event() -> None:
    values = np.where(np.arange(ROWS) % 2 == 0, 1.0, -1.0)
    values[[400, 401, 402, 600]] = 4.5
    one = nab.Labelled("tag.csv", values, np.linspace(0, 300_000, ROWS), ())

    assert np.flatnonzero(nab.beyond_sigmas(one, sigmas=4)).tolist() == [400, 600]
    assert not nab.beyond_sigmas(one, sigmas=5).any()


def test_a_folder_that_is_no_benchmark_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="labels"):
        nab.figures(tmp_path)


def test_a_benchmark_is_read_from_its_files(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "data" / "real").mkdir(parents=True)
    times = [f"2026-01-01 {hour:02d}:{minute:02d}:00" for hour in range(10) for minute in range(0, 60, 5)]
    lines = [f"{time},{10 if row == 90 else row % 3}" for row, time in enumerate(times)]
    (tmp_path / "data" / "real" / "tag.csv").write_text("\n".join(["timestamp,value", *lines]) + "\n")
    windows = {"real/tag.csv": [[times[88] + ".000000", times[95] + ".000000"]], "real/elsewhere.csv": []}
    (tmp_path / "labels" / "combined_windows.json").write_text(json.dumps(windows))
    done: list[int] = []

    found = nab.figures(tmp_path, advance=done.append)

    assert nab.labelled(tmp_path, "real/tag.csv").windows == ((88, 95),)
    assert found["nab_standard"] > 80
    assert done == [1]


def test_a_window_without_its_row_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tag.csv").write_text("timestamp,value\n2026-01-01 00:00:00,1\n2026-01-01 00:05:00,2\n")
    windows = {"tag.csv": [["2026-01-01 00:01:00", "2026-01-01 00:05:00"]]}
    (tmp_path / "labels" / "combined_windows.json").write_text(json.dumps(windows))

    with pytest.raises(Problem, match="no row"):
        nab.figures(tmp_path)


def test_quiet_streams_alarm_less_often_than_records_allow() -> None:
    bound = 8 * np.log(bench_streams.QUIET_ROWS / 604)

    assert all(bench_streams.quiet_alarms(kind, streams=4) < bound for kind in bench_streams.QUIET)


def test_a_folder_without_the_benchmark_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="found no nab"):
        bench_streams.figures(argparse.Namespace(data=tmp_path))


class TestRecordings:
    pytestmark = HERE

    def test_what_was_reached_is_still_reached(self) -> None:
        found = nab.figures(NAB)

        assert found["nab_standard"] >= 72
        assert found["nab_low_fp"] >= 66
        assert found["nab_low_fn"] >= 76

    def test_the_scores_are_those_of_the_scorer(self, tmp_path: Path) -> None:
        pytest.importorskip("pandas", reason="NOT CHECKED against the scorer: pandas is missing")
        if not SCORER.exists():
            pytest.skip(f"NOT CHECKED against the scorer: {SCORER} is missing")
        spec = importlib.util.spec_from_file_location("nab_score", SCORER)
        assert spec is not None
        assert spec.loader is not None
        scorer = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(scorer)
        rng = np.random.default_rng(2)
        results = []
        for name in nab.names(NAB):
            one = nab.labelled(NAB, name)
            alarms = rng.random(len(one.values)) < 0.005
            results.append((one, alarms))
            with (NAB / "data" / name).open() as file:
                times = [row["timestamp"] for row in csv.DictReader(file)]
            lines = [f"{time},{int(alarm)}" for time, alarm in zip(times, alarms, strict=True)]
            (tmp_path / Path(name).name).write_text("\n".join(["timestamp,is_anomaly", *lines]) + "\n")

        theirs = scorer.evaluate(scorer.load(str(tmp_path), str(NAB), str(NAB / "subset.txt")), "own")

        assert nab.scores(results) == {
            ours: round(theirs[profile]["score"], 1)
            for ours, profile in zip(nab.PROFILES, scorer.PROFILES, strict=True)
        }
