"""`telltale score` and `telltale train`: one line a row, whatever the table looks like; errors in a line."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli.score import COLUMNS
from telltale.core import streams

from tests.command import telltale

ROWS = 400


def pump(fault: int | None = 300, *, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    speed = 100 + 5 * rng.normal(size=ROWS)
    flow = speed / 10 + 0.05 * rng.normal(size=ROWS)
    if fault is not None:
        flow[fault:] -= 0.5
    return {"speed": speed, "flow": flow, "label": (np.arange(ROWS) >= (fault or ROWS)).astype(float)}


def stamp(row: int) -> str:
    return f"2026-03-01 {row // 60:02d}:{row % 60:02d}:00"


def as_csv(path: Path, columns: dict[str, np.ndarray], *, delimiter: str = ",") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [delimiter.join(["when", *columns])]
    lines += [
        delimiter.join([stamp(row), *(f"{column[row]:.6g}" for column in columns.values())]) for row in range(ROWS)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def written(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_every_row_gets_a_line_and_the_fault_is_named(
    delimiter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    as_csv(tmp_path / "in" / "hall" / "pump.csv", pump(), delimiter=delimiter)

    status, _, errors = telltale(
        ["score", tmp_path / "in", "--out", tmp_path / "out", "--train-rows", 200, "--drop", "label"],
        monkeypatch,
        capsys,
    )

    rows = written(tmp_path / "out" / "hall" / "pump.csv")
    assert (status, errors) == (0, "")
    assert list(rows[0]) == list(COLUMNS)
    assert [row["timestamp"] for row in rows] == [stamp(row) for row in range(ROWS)]
    assert {row["is_anomaly"] for row in rows[:290]} == {"0"}
    assert {row["is_anomaly"] for row in rows[320:]} == {"1"}
    assert "flow=" in rows[350]["contributions"]
    assert "label" not in rows[350]["contributions"]


def test_parquet_with_training_files_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, fault in (("good", None), ("bad", 300)):
        pq.write_table(pa.table(pump(fault, seed=len(name))), tmp_path / f"{name}.parquet")

    status, _, _ = telltale(
        ["score", tmp_path / "bad.parquet", "--out", tmp_path, "--train", tmp_path / "good.parquet", "--drop", "label"],
        monkeypatch,
        capsys,
    )

    rows = written(tmp_path / "bad.csv")
    assert status == 0
    assert [row["timestamp"] for row in rows[:2]] == ["0", "1"]
    assert {row["is_anomaly"] for row in rows[320:]} == {"1"}


def test_results_are_parquet_and_pictures_where_they_are_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    as_csv(tmp_path / "in" / "hall" / "pump.csv", pump())
    arguments = ["score", tmp_path / "in", "--out", tmp_path / "out", "--train-rows", 200, "--drop", "label"]

    status, _, _ = telltale([*arguments, "--parquet", "--plot", tmp_path / "svg"], monkeypatch, capsys)

    rows = pq.read_table(tmp_path / "out" / "hall" / "pump.parquet").to_pylist()
    picture = (tmp_path / "svg" / "hall" / "pump.svg").read_text()
    assert status == 0
    assert list(rows[0]) == list(COLUMNS)
    assert [row["is_anomaly"] for row in rows] == [*[False] * 300, *[True] * 100]
    assert rows[0]["prediction_reason"] == "LEARNING"
    assert "1 alarm in 200 rows" in picture
    assert stamp(300)[-8:] in picture


def test_a_trained_model_scores_as_training_in_place_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = as_csv(tmp_path / "good.csv", pump(None)), as_csv(tmp_path / "bad.csv", pump(seed=1))
    options = ["--drop", "label", "--off", "speed<95"]

    first = telltale(["train", good, "--out", tmp_path / "m.json", *options], monkeypatch, capsys)
    telltale(["score", bad, "--out", tmp_path / "a", "--model", tmp_path / "m.json"], monkeypatch, capsys)
    telltale(["score", bad, "--out", tmp_path / "b", "--train", good, *options], monkeypatch, capsys)

    assert first[0] == 0, first
    assert (tmp_path / "a" / "bad.csv").read_text() == (tmp_path / "b" / "bad.csv").read_text()
    assert "MACHINE_OFF" in (tmp_path / "a" / "bad.csv").read_text()


def test_the_report_tells_quality_steps_and_labelled_ranges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = as_csv(tmp_path / "pump.csv", pump())
    (tmp_path / "labels.csv").write_text(f"{stamp(300)},{stamp(399)}\n")
    arguments = ["train", path, "--out", tmp_path / "m.json", "--drop", "label", "--labels", tmp_path / "labels.csv"]

    status, printed, _ = telltale([*arguments, "--json", tmp_path / "r.json"], monkeypatch, capsys)

    report = json.loads((tmp_path / "r.json").read_text())
    assert status == 0
    assert "flow" in printed
    assert report["rows"] == 300
    assert report["smallest_steps"]["flow"] < 0.2
    assert report["model_quality"] in ("QUALITY_THRESHOLD_MET", "POOR_QUALITY_DETECTED")
    assert [one["tag"] for one in report["data_quality"]] == ["speed", "flow"]
    assert report["labelled_ranges"][0]["rows_in_alarm"] > 80


def test_a_file_in_a_folder_that_is_something_else_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    as_csv(tmp_path / "in" / "pump.csv", pump())
    (tmp_path / "in" / "intervals.csv").write_text("file,start\npump,300\n")
    good = as_csv(tmp_path / "good.csv", pump(None))

    status, _, errors = telltale(
        ["score", tmp_path / "in", "--out", tmp_path / "out", "--train", good], monkeypatch, capsys
    )

    assert status == 0
    assert errors.startswith("telltale: left out: intervals.csv: found no column")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["pump.csv"]


def test_a_text_among_numbers_costs_no_tag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = as_csv(tmp_path / "pump.csv", pump())
    lines = path.read_text().splitlines()
    lines[51] = lines[51].replace(lines[51].split(",")[2], "Bad Input")
    path.write_text("\n".join(lines) + "\n")
    arguments = ["score", path, "--out", tmp_path / "out", "--drop", "label", "--train-rows", 200]

    status, _, _ = telltale([*arguments, "--json", tmp_path / "r.json"], monkeypatch, capsys)

    [told] = json.loads((tmp_path / "r.json").read_text())["files"]
    checks = {one["tag"]: [finding["check"] for finding in one["findings"]] for one in told["quality"]}
    assert status == 0
    assert "flow=" in written(tmp_path / "out" / "pump.csv")[350]["contributions"]
    assert "not numbers" in checks["flow"]
    assert "not numbers" not in checks["speed"]


def test_a_file_with_one_tag_is_judged_as_a_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = as_csv(tmp_path / "one.csv", {"value": np.r_[np.random.default_rng(0).normal(size=350), np.full(50, 40.0)]})

    status, _, _ = telltale(["score", path, "--out", tmp_path / "out", "--probation", 0.15], monkeypatch, capsys)

    rows = written(tmp_path / "out" / "one.csv")
    assert status == 0
    assert len(rows) == ROWS
    assert rows[350]["is_anomaly"] == "1"
    assert rows[350]["prediction_reason"] in {reason.name for reason in streams.RECORDS}
    assert {row["prediction_reason"] for row in rows[:60]} == {"LEARNING"}
    assert "NO_ANOMALY_DETECTED" in {row["prediction_reason"] for row in rows[60:350]}


def test_resampling_gives_a_line_for_each_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = as_csv(tmp_path / "pump.csv", pump())
    arguments = ["score", path, "--out", tmp_path / "out", "--drop", "label", "--every", 120, "--train-rows", 100]

    status, _, _ = telltale(arguments, monkeypatch, capsys)

    assert status == 0
    rows = written(tmp_path / "out" / "pump.csv")
    assert len(rows) == ROWS // 2
    assert rows[1]["timestamp"] == "2026-03-01 00:04:00"


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["score", "pump.csv", "--out", "out", "--train-rows", "20"], "wanted (100 rows or more"),
        (["score", "none.csv", "--out", "out", "--train-rows", "200"], "there is no file"),
        (["score", "pump.csv", "--out", "out", "--probation", "2"], "wanted a share between 0 and 1"),
        (["score", "pump.csv", "--out", "out", "--train-rows", "200", "--off", "speed=3"], "wanted a tag, < or >"),
        (["score", "pump.csv", "--out", "out", "--train-rows", "200", "--off", "depth<3"], "found no column depth"),
        (["score", "pump.csv", "--out", "out", "--model", "pump.csv"], "not a model"),
        (["train", "pump.csv", "--out", "m.json", "--labels", "pump.csv"], "wanted start,end"),
    ],
)
def test_what_cannot_be_done_is_said_without_a_traceback(
    arguments: list[str],
    wanted: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    as_csv(tmp_path / "pump.csv", pump())
    monkeypatch.chdir(tmp_path)

    status, _, errors = telltale(arguments, monkeypatch, capsys)

    assert status in (1, 2)
    assert wanted in errors
    assert "Traceback" not in errors
