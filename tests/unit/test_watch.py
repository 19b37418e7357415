"""`telltale watch`: recordings row by row through the very detection of the line."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from cli import run_to_failure, watch, waveforms
from cli.run_to_failure import Options, channels_of
from telltale.core.bearings import CATALOGUE
from telltale.core.capture import Waveform
from telltale.core.detect import Row, State, step
from telltale.core.features import axes_features
from telltale.core.plant import Machine, Position

from tests.command import telltale

ROWS, FAULT, TRAIN = 120, 80, 20
LEVELS = np.random.default_rng(4).uniform(0.95, 1.05, ROWS) * np.where(np.arange(ROWS) < FAULT, 1.0, 8.0)
SAID = Options(waveforms.Options(snapshot=None))


def written(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def tabled(path: Path, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    stamps = pa.array([1_700_000_000_000 + 600_000 * i for i in range(ROWS)], pa.timestamp("ms"))
    made = pa.table({"timestamp": stamps, **columns})
    if path.suffix == ".csv":
        pyarrow.csv.write_csv(made, path)
    else:
        pq.write_table(made, path)
    return path


@pytest.fixture
def bearing(tmp_path: Path) -> Path:
    return tabled(tmp_path / "in" / "rig" / "bearing.parquet", ch1_std=LEVELS, ch1_max=3 * LEVELS)


def rows_of(path: Path) -> list[Any]:
    [run] = run_to_failure.found([path], SAID, note=pytest.fail)
    return list(run.rows())


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_every_row_has_the_score_and_the_state_of_the_line(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tabled(tmp_path / f"run{ending}", x_rms_g=LEVELS)
    status, _, _ = telltale(["watch", path, "--out", tmp_path / "out", "--train", TRAIN], monkeypatch, capsys)

    state, expected = State.new(), []
    where = Position("p", settings={"warmup": TRAIN})
    for place, level in enumerate(LEVELS):
        row = Row("c", "x", 600_000 * place, 0, "s", axes={"x": {"rms_g": float(level)}})
        state, verdicts, _ = step(state, row, where)
        [of_baseline] = [verdict for verdict in verdicts if verdict.rule == "baseline"]
        score = "" if of_baseline.score is None else f"{of_baseline.score:.4f}"
        expected.append((score, str(int(of_baseline.persistent in ("WARNING", "ALARM"))), state.state))

    found = written(tmp_path / "out" / "run.csv")
    assert status == 0
    assert [(row["score"], row["is_anomaly"], row["state"]) for row in found] == expected
    assert [row["idx"] for row in found] == [str(place) for place in range(ROWS)]
    assert found[1]["timestamp"] == "2023-11-14 22:23:20.000"
    assert "rms_g" in found[-1]["reason"]


def test_folders_keep_their_paths_and_what_is_no_recording_is_named(
    bearing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in" / "truth.csv").write_text("run,fails\nbearing,1\n")
    tabled(tmp_path / "in" / "wide.csv", **{f"ch{i}_std": LEVELS for i in range(1, 5)})

    status, out, errors = telltale(["watch", tmp_path / "in", "--out", tmp_path / "out"], monkeypatch, capsys)

    assert status == 0
    assert (tmp_path / "out" / "rig" / "bearing.csv").exists()
    assert "rig/bearing" in out
    assert "truth.csv" in errors
    assert "wide.csv: found the channels ch1, ch2, ch3, ch4, wanted at most 3" in errors


@pytest.mark.parametrize("spikes", [1, 2, 3])
def test_a_spike_of_up_to_three_rows_is_no_alarm(spikes: int, tmp_path: Path) -> None:
    levels = np.ones(ROWS)
    levels[FAULT : FAULT + spikes] = 30.0
    path = tabled(tmp_path / "run.parquet", rms_g=levels)

    assert alarms(path) == []


def test_a_lasting_change_is_an_alarm_at_its_fourth_row(bearing: Path) -> None:
    assert alarms(bearing)[0] == FAULT + 3


def alarms(path: Path) -> list[int]:
    [run] = run_to_failure.found([path], SAID, note=pytest.fail)
    return [row.idx for row in watch.watched(run, watch.training(TRAIN)) if row.is_anomaly]


def test_a_plot_and_a_summary_tell_where_the_alarm_begins(
    bearing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["watch", bearing, "--out", tmp_path, "--train", TRAIN, "--plot", tmp_path, "--json", tmp_path / "s"]
    telltale(arguments, monkeypatch, capsys)

    summary = json.loads((tmp_path / "s").read_text())["bearing"]
    assert (summary["rows"], summary["first_idx"], summary["state"]) == (ROWS, FAULT + 3, "ALARM")
    assert f"row {FAULT + 3}" in (tmp_path / "bearing.svg").read_text()


def test_columns_become_indicators_by_their_endings() -> None:
    names = ["idx", "ch1_rms", "ch1_std", "ch1_max", "ch1_psd_std", "ch1_env_bpfo_energy", "ch1_kurt", "ch2_std"]

    assert channels_of(names) == {
        "ch1": {"rms_g": ("ch1_std", 1.0), "peak_g": ("ch1_max", 1.0), "env_bpfo_g": ("ch1_env_bpfo_energy", 0.5)},
        "ch2": {"rms_g": ("ch2_std", 1.0)},
    }


def test_the_columns_of_the_wire_format_and_of_the_lake_are_known() -> None:
    assert channels_of(["velocity_rms_x_mm_s", "velocity_rms_y_mm_s"]) == {
        axis: {"velocity_rms_mm_s": (f"velocity_rms_{axis}_mm_s", 1.0)} for axis in "xy"
    }
    assert set(channels_of(["t_ms", "rms_g", "env_rms_g", "kurtosis"])[""]) == {"rms_g", "env_rms_g", "kurtosis"}
    assert channels_of(["run", "n", "fails"]) == {}


def test_energies_are_taken_as_amplitudes_and_what_is_missing_as_missing(tmp_path: Path) -> None:
    energy = np.full(ROWS, 9.0)
    energy[1] = np.nan
    path = tabled(tmp_path / "run.parquet", a_std=np.ones(ROWS), a_env_bpfi_energy=energy)

    rows = rows_of(path)

    assert rows[0] == {"x": {"rms_g": 1.0, "env_bpfi_g": 3.0}}
    assert rows[1] == {"x": {"rms_g": 1.0, "env_bpfi_g": None}}


def test_snapshots_of_an_archive_have_the_indicators_of_the_line(tmp_path: Path) -> None:
    counts = np.random.default_rng(1).integers(-2000, 2000, (3, 2560, 2)).astype(np.int32)
    path = tmp_path / "run.npz"
    np.savez(path, acc_mg=counts, t_s=np.arange(3) * 10.0, fs=25_600, rpm=1800, load_N=4000)

    rows = rows_of(path)

    waves = [
        Waveform(axis, counts[k, :, i].astype(np.float32), 25_600.0, 0.001, "g")
        for k in range(3)
        for i, axis in enumerate("xy")
    ]
    expected = axes_features([(wave, 30.0, Machine(bearing=CATALOGUE["PRONOSTIA"])) for wave in waves])
    assert [row[axis] for row in rows for axis in "xy"] == expected


def test_a_folder_of_captures_is_one_run_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    (tmp_path / "rig" / "b1").mkdir(parents=True)
    for number in (1, 2, 10):
        np.savez(tmp_path / "rig" / "b1" / f"{number}.npz", x=number * rng.standard_normal(2560), fs=25_600)

    [run] = run_to_failure.found([tmp_path / "rig"], SAID, note=pytest.fail)

    levels = [row["x"]["rms_g"] for row in run.rows()]
    assert run.path == Path("b1")
    assert run.count == 3
    assert levels == sorted(levels, key=lambda level: level or 0.0)


@pytest.mark.parametrize(
    ("given", "said"),
    [(["nowhere.csv"], "there is no file"), (["--train", "2"], "warmup of 2 rows"), (["empty"], "found no recording")],
)
def test_what_cannot_be_watched_is_one_line(
    given: list[str],
    said: str,
    bearing: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    inputs = [bearing, *given] if given[0].startswith("--") else given
    status, _, errors = telltale(["watch", *inputs, "--out", tmp_path / "out"], monkeypatch, capsys)

    assert status == 1
    assert said in errors
    assert len(errors.splitlines()) == 1


def test_a_table_with_measured_speeds_is_judged_by_operating_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fast = np.arange(ROWS) % 60 >= 30
    healthy = np.random.default_rng(4).uniform(0.95, 1.05, ROWS) * np.where(fast, 4.0, 1.0)
    speeds = np.where(fast, 1480.0, 740.0)
    for name, columns in (("driven", {"speed_rpm": speeds}), ("unknown", {})):
        tabled(tmp_path / "in" / f"{name}.csv", ch1_std=healthy, **columns)

    telltale(["watch", tmp_path / "in", "--out", tmp_path / "out", "--train", TRAIN], monkeypatch, capsys)

    alarms = {
        name: sum(row["is_anomaly"] == "1" for row in written(tmp_path / "out" / f"{name}.csv"))
        for name in ("driven", "unknown")
    }
    assert alarms["driven"] == 0 < alarms["unknown"]
