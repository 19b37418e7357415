"""The measure of the diagnosis: its figures against values by hand, its folders, and what it reaches on recordings."""

import argparse
import csv
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli import bench_diagnosis
from cli.bench_diagnosis import Judged, Record
from cli.problem import Problem
from numpy.typing import NDArray
from telltale.core.bearings import CATALOGUE
from telltale.core.rolling import RollingEvidence

SHARED = Path(__file__).parents[3] / "shared"
DATA, SCORER = SHARED / "data", SHARED / "bench" / "fault_diag_score.py"
FS_HZ = 20_000


def judged(label: str, call: str | None, *, dataset: str = "CWRU", name: str = "r", **scores: float) -> Judged:
    x = np.zeros(100, np.float32)
    record = Record(name, dataset, "folder", label, {"x": x}, "x", True, 1000.0, 25.0, None)
    return Judged(record, RollingEvidence(call, False, "", scores=scores), "")


# Measures


def test_macro_f1_is_the_mean_over_the_classes_that_are_there() -> None:
    """IR: 2 right, 1 missed, 1 too many, 4 / 6. OR: 1 right, 1 missed, 1 too many, 2 / 4. B is no label here."""
    labels, calls = ["IR", "IR", "IR", "OR", "OR"], ["IR", "IR", "OR", "IR", "OR"]

    assert bench_diagnosis.macro_f1(labels, calls) == pytest.approx((4 / 6 + 2 / 4) / 2)


def test_a_call_of_a_class_without_labels_is_a_miss_of_the_label_only() -> None:
    assert bench_diagnosis.macro_f1(["IR", "IR"], ["IR", "B"]) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("scores", "chance"),
    [([0.9, 0.8, 0.1], 1.0), ([0.1, 0.5, 0.9], 0.0), ([0.5, 0.5, 0.5], 0.5), ([0.9, 0.1, 0.1], 0.75)],
)
def test_auroc_is_the_chance_that_a_member_scores_higher(scores: list[float], chance: float) -> None:
    assert bench_diagnosis.auroc([True, True, False], scores) == chance


def test_auroc_of_one_class_alone_is_not_known() -> None:
    assert np.isnan(bench_diagnosis.auroc([True, True], [0.1, 0.2]))


def test_figures_are_those_of_the_data_sets_that_are_there() -> None:
    found = bench_diagnosis.measured([judged("IR", "IR", dataset="MFPT"), judged("OR", "IR", dataset="MFPT")])

    assert found == {"mfpt_accuracy": 0.5}


def test_precision_of_races_counts_calls_of_a_race_only() -> None:
    cwru = [judged("IR", "IR"), judged("OR", "IR"), judged("B", "OR"), judged("OR", "B"), judged("OR", "OR")]

    assert bench_diagnosis.measured(cwru)["cwru_race_precision"] == 0.5


def test_a_healthy_record_that_cannot_be_told_is_no_false_alarm_and_any_fault_is_one() -> None:
    healthy = [judged("N", call, dataset="UESTC") for call in (None, "N", "B", "IR")]

    assert bench_diagnosis.measured(healthy)["healthy_false_alarms"] == 2


def test_healthy_records_of_the_other_rig_take_no_part_in_its_accuracy() -> None:
    rig = [judged("N", "B", dataset="HITSM_x"), judged("IR", "IR", dataset="HITSM_x")]

    assert bench_diagnosis.measured(rig) == {"hitsm_accuracy": 1.0}


@pytest.mark.skipif(
    not SCORER.exists() or importlib.util.find_spec("pandas") is None,
    reason=f"NOT CHECKED against the scorer: {SCORER} or pandas is missing",
)
def test_the_measures_are_the_scorer_s(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    names = ("N", "IR", "OR", "B")
    found = [
        judged(
            str(rng.choice(names)), str(rng.choice(names)), name=f"r{i}", **dict(zip(names, rng.random(4), strict=True))
        )
        for i in range(40)
    ]
    meta = [("record", "dataset", "label", "bearing_id")]
    meta += [(one.record.name, "CWRU", one.record.label, one.record.name) for one in found]
    with (tmp_path / "meta.csv").open("w", newline="") as file:
        csv.writer(file).writerows(meta)
    bench_diagnosis.write_results(tmp_path / "r.csv", found)

    [out, _, missing] = _scorer().evaluate(str(tmp_path / "r.csv"), str(tmp_path))

    assert missing == []
    ours = bench_diagnosis.measured(found)
    assert ours["cwru_macro_f1"] == pytest.approx(out["unseen/CWRU"]["record_macro_f1"], abs=1e-4)
    assert ours["cwru_auroc"] == pytest.approx(out["unseen/CWRU"]["macro_auroc"], abs=1e-4)


def _scorer() -> Any:
    spec = importlib.util.spec_from_file_location("fault_diag_score", SCORER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


# Folders


def struck(order: float, *, seed: int, level: float = 1.0) -> NDArray[np.float32]:
    """Two seconds at 1800 r/min: a resonance struck at `order` times the speed (0: not at all), in noise."""
    rng = np.random.default_rng(seed)
    n = 2 * FS_HZ
    x = level * rng.standard_normal(n)
    if order:
        times = np.cumsum((1 + 0.01 * rng.standard_normal(int(70 * order))) / (30 * order))
        grid = np.bincount((times[times < 2] * FS_HZ).astype(int), minlength=n)[:n]
        t = np.arange(200) / FS_HZ
        x += 5 * level * np.convolve(grid, np.exp(-t / 0.001) * np.sin(2 * np.pi * 4000 * t))[:n]
    return x.astype(np.float32)


def write(folder: Path, rows: Sequence[Mapping[str, str]], arrays: Sequence[Mapping[str, Any]]) -> None:
    """A data set in the layout of the recordings."""
    folder.mkdir(exist_ok=True)
    names = ["record", "dataset", "label", "location", "rpm", "fs", "bearing_id", "channels", "bearing"]
    with (folder / "meta.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows({"rpm": "1800", "fs": str(FS_HZ), **row} for row in rows)
    for row, content in zip(rows, arrays, strict=True):
        np.savez(folder / f"{row['record']}.npz", **content)


@pytest.fixture
def rig(tmp_path: Path) -> Path:
    """A rig with sensors at two ends: the defects are at DE; FE hears nothing of them."""
    rows = [
        {"record": name, "dataset": "CWRU", "label": label, "location": "DE", "bearing": "6205-2RS JEM"}
        for name, label in (("n1", "N"), ("n2", "N"), ("i1", "IR"), ("o1", "OR"), ("b1", "B"))
    ]
    signals = [
        struck(0, seed=1),
        struck(0, seed=2),
        struck(5.415, seed=3),
        struck(3.585, seed=4),
        struck(0, seed=5, level=3),
    ]
    arrays = [
        {"FE": struck(0, seed=9 + i), "DE": signal / 0.001, "DE_scale": 0.001} for i, signal in enumerate(signals)
    ]
    write(tmp_path / "rig", rows, arrays)
    return tmp_path / "rig"


def arguments(data: Path, **more: Any) -> argparse.Namespace:
    return argparse.Namespace(**{"data": data, "results": None, "verbose": False, **more})


def test_a_folder_of_recordings_gives_its_figures(rig: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = bench_diagnosis.figures(arguments(rig, verbose=True))

    assert figures == {
        "cwru_macro_f1": 1.0, "cwru_auroc": 1.0, "cwru_race_precision": 1.0, "healthy_false_alarms": 0,
    }  # fmt: skip
    assert "DE (5)" in capsys.readouterr().out


def test_the_sensor_at_the_bearing_s_own_end_is_judged_and_another_is_said(tmp_path: Path) -> None:
    row = {"record": "r", "dataset": "CWRU", "label": "IR", "location": "DE", "channels": "FE,BA"}
    write(tmp_path, [row], [{"BA": struck(0, seed=1), "FE": struck(0, seed=2)}])

    [record] = bench_diagnosis.records(tmp_path)

    assert (record.channel, record.own_end) == ("FE", False)


def test_a_sensor_is_known_by_a_word_of_its_name(tmp_path: Path) -> None:
    row = {"record": "r", "dataset": "CWRU", "label": "IR", "location": "DE"}
    write(tmp_path, [row], [{"X105_FE_time": struck(0, seed=1), "X105_DE_time": struck(0, seed=2)}])

    [record] = bench_diagnosis.records(tmp_path)

    assert (record.channel, record.own_end) == ("X105_DE_time", True)


def test_a_healthy_record_is_never_its_own_reference(rig: Path) -> None:
    found = bench_diagnosis.judge(list(bench_diagnosis.records(rig)))

    assert {one.record.name: one.against for one in found if one.record.label == "N"} == {"n1": "n2", "n2": "n1"}


def test_the_only_healthy_record_is_judged_against_its_first_part(tmp_path: Path) -> None:
    louder_later = np.concatenate([struck(0, seed=1), struck(0, seed=2, level=4), struck(0, seed=3, level=4)])
    write(tmp_path, [{"record": "n", "dataset": "UESTC", "label": "N"}], [{"x": louder_later}])

    [found] = bench_diagnosis.judge(list(bench_diagnosis.records(tmp_path)))

    assert found.against == "its own first third"
    assert found.call == "B"


def test_files_in_units_of_their_own_have_no_reference(tmp_path: Path) -> None:
    rows = [{"record": name, "dataset": "HITSM_rig", "label": "N"} for name in "ab"]
    write(tmp_path, rows, [{"x": struck(0, seed=1)}, {"x": struck(0, seed=2, level=100)}])

    found = bench_diagnosis.judge(list(bench_diagnosis.records(tmp_path)))

    assert [(one.against, one.call) for one in found] == [("no reference", "N")] * 2


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("6205-2RS JEM", "6205-2RS"),
        ("6203-2RS", "6203-2RS"),
        ("6205", "6205-2RS"),
        ("ASAHI UCPH 20x", None),
        ("", None),
    ],
)
def test_a_bearing_is_known_by_its_designation(text: str, name: str | None) -> None:
    found = bench_diagnosis.bearing_of(text)

    assert (found is None) == (name is None)
    if found is not None and name is not None:
        assert (found.elements, found.element_diameter_mm) == (
            CATALOGUE[name].elements,
            CATALOGUE[name].element_diameter_mm,
        )


def test_a_bearing_is_known_by_its_geometry() -> None:
    found = bench_diagnosis.bearing_of("XY (8 rollers, d 0.235, D 1.245)")

    assert found is not None
    assert (found.elements, found.element_diameter_mm, found.pitch_diameter_mm) == (8, 0.235, 1.245)


def test_results_of_several_folders_are_written_together_and_one_by_one(rig: Path) -> None:
    write(rig.parent / "other", [{"record": "m", "dataset": "MFPT", "label": "OR"}], [{"x": struck(0, seed=1)}])

    bench_diagnosis.figures(arguments(rig.parent, results=rig.parent / "r.csv"))

    rows = {
        path.name: [row["record"] for row in csv.DictReader(path.read_text().splitlines())]
        for path in rig.parent.glob("*.csv")
    }
    assert rows == {
        "r.csv": ["m", "n1", "n2", "i1", "o1", "b1"],
        "r-other.csv": ["m"],
        "r-rig.csv": ["n1", "n2", "i1", "o1", "b1"],
    }


def test_a_record_without_its_file_is_left_out_and_said(rig: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (rig / "i1.npz").unlink()

    names = [record.name for record in bench_diagnosis.records(rig)]

    assert names == ["n1", "n2", "o1", "b1"]
    assert "left out: " in capsys.readouterr().out


def test_a_folder_without_a_table_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"there is no meta\.csv"):
        bench_diagnosis.folders(tmp_path)


# The recordings that the constants were chosen with


@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason=f"NOT CHECKED on real recordings: {DATA} is missing")
def test_the_development_recordings_reach_what_the_documents_say(capsys: pytest.CaptureFixture[str]) -> None:
    found = {}
    for name in ("cwru", "mfpt", "hitsm", "uestc"):
        found[name] = bench_diagnosis.figures(arguments(DATA / name))

    assert found["cwru"]["cwru_macro_f1"] >= 0.91
    assert found["cwru"]["cwru_auroc"] >= 0.96
    assert found["cwru"]["cwru_race_precision"] == 1
    assert found["cwru"]["healthy_false_alarms"] == 0
    assert found["mfpt"] == {"mfpt_accuracy": 1.0}
    assert found["hitsm"] == {"hitsm_accuracy": 1.0}
    assert found["uestc"] == {"healthy_false_alarms": 0}
