"""What Lookout for Equipment worked with and said comes into the lake, and results come out again as they were."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from cli import lookout_plant, plant_file
from cli.export_lookout import line
from cli.import_files import LocalFile, S3File, find
from cli.import_lookout import Lookout
from cli.import_seen import Seen
from cli.importing import Folder, Importer, Summary
from cli.lookout_files import Places, component_of
from telltale.core import schema

ASSET = "r/h/pump-1"
RESULTS = [
    {
        "timestamp": "2026-03-11T22:25:00.000000",
        "prediction": 1,
        "prediction_reason": "ANOMALY_DETECTED",
        "anomaly_score": 0.72,
        "diagnostics": [{"name": "pump_1\\sensor0", "value": 0.63}, {"name": "pump_1\\sensor1", "value": 0.37}],
    },
    {
        "timestamp": "2026-03-11T22:30:00.000000",
        "prediction": 0,
        "prediction_reason": "NO_ANOMALY_DETECTED",
        "anomaly_score": 0.11,
        "diagnostics": [{"name": "pump_1\\sensor0", "value": 0.5}, {"name": "pump_1\\sensor1", "value": 0.5}],
    },
    {"timestamp": "2026-03-11T22:35:00.000000", "prediction": 0, "prediction_reason": "MACHINE_OFF"},
]
MODEL = {
    "ModelName": "pump-model",
    "OffCondition": "pump_1\\Speed<100",
    "DataPreProcessingConfiguration": {"TargetSamplingRate": "PT5M"},
    "TrainingDataStartTime": "2025-06-01T00:00:00+00:00",
    "TrainingDataEndTime": "2025-12-01T00:00:00+00:00",
    "EvaluationDataEndTime": "2026-03-01T00:00:00+00:00",
    "RoleArn": "arn:aws:iam::111122223333:role/l4e",
    "ModelMetrics": json.dumps(
        {
            "labeled_ranges": [{"start": "2026-01-05T00:00:00.000000", "end": "2026-01-06T00:00:00.000000"}],
            "labeled_event_metrics": {"num_labeled": 1, "num_identified": 1, "total_warning_time_in_seconds": 7200.0},
            "predicted_ranges": [
                {
                    "start": "2026-01-04T22:00:00.000000",
                    "end": "2026-01-05T12:00:00.000000",
                    "diagnostics": [{"name": "pump_1\\sensor0", "value": 1.0}],
                }
            ],
            "unknown_event_metrics": {},
        }
    ),
}

Bring = Callable[..., Summary]


@pytest.fixture
def lake(tmp_path: Path) -> Folder:
    (tmp_path / "lake").mkdir()
    return Folder(tmp_path / "lake")


@pytest.fixture
def source() -> list[Lookout]:
    """The last source that was imported from."""
    return []


@pytest.fixture
def bring(tmp_path: Path, lake: Folder, source: list[Lookout]) -> Bring:
    def bring(files: dict[str, str | bytes], *, places: Places | None = None, off: str | None = None) -> Summary:
        folder = tmp_path / "in"
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        found = find([str(folder)], (), s3=dict)
        source[:] = [Lookout(found, places or Places(ASSET, {}), off=off, roots=[str(folder)])]
        seen = tmp_path / "seen"
        seen.mkdir(exist_ok=True)
        return Importer(source[0], lake, seen=Seen(seen), now_ms=lambda: 0).run(source[0].inputs())

    return bring


def lines(rows: list[dict[str, object]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def counts(summary: Summary) -> tuple[int, int, int, int]:
    assert summary.adds_up
    return summary.records, summary.stored, summary.duplicate, summary.quarantined


def tags(lake: Folder) -> set[tuple[str, str, float]]:
    return {(row["position"], row["tag"], row["value"]) for row in lake.rows(schema.READINGS).to_pylist()}


def test_one_file_for_each_asset(bring: Bring, lake: Folder) -> None:
    done = bring({"pump_1/a.csv": "Timestamp,sensor0,sensor1\n2026-03-11 22:20:00,1.5,2.5\n2026-03-11 22:21:00,,3.5\n"})

    assert counts(done) == (3, 3, 0, 0)
    assert tags(lake) == {
        ("r/h/pump-1/pump_1", name, v) for name, v in (("sensor0", 1.5), ("sensor1", 2.5), ("sensor1", 3.5))
    }


def test_one_file_for_each_sensor_and_inference_input(bring: Bring, lake: Folder) -> None:
    done = bring(
        {
            "flow/2026.csv": "time,value\n2026/03/11 22:20:00,1.5\n",
            "flow/2027.csv": "time,value\n2026/03/11 22:21:00,2.5\n2026/03/11 22:20:00,1.5\n",
            "input/pump_1-20260311222500.csv": "time,temp\n1773267900,50\n",
        },
        places=Places(ASSET, {"flow": "r/h/pump-1/process"}),
    )

    assert counts(done) == (4, 3, 1, 0)
    assert tags(lake) == {
        ("r/h/pump-1/process", "flow", 1.5),
        ("r/h/pump-1/process", "flow", 2.5),
        ("r/h/pump-1/pump_1", "temp", 50.0),
    }


def test_dates_that_may_be_either_are_refused_and_the_other_files_go_on(bring: Bring, lake: Folder) -> None:
    done = bring({"a/1.csv": "t,x,y\n03/04/2026 10:00:00,1,2\n", "b/1.csv": "t,x,y\n13/04/2026 10:00:00,1,2\n"})

    assert counts(done) == (3, 2, 0, 1)
    assert "--time-format" in done.bad[0].detail


def test_inference_results_become_scores_and_come_out_as_they_were(bring: Bring, lake: Folder) -> None:
    done = bring({"run-1/results.jsonl": lines(RESULTS[:2]), "run-2/results.jsonl": lines(RESULTS[1:])})

    assert counts(done) == (4, 3, 1, 0)
    rows = lake.rows(schema.SCORES).sort_by("t").to_pylist()
    again = [line(row | {"t": row["t"].timestamp() * 1000}) for row in rows]
    assert again == RESULTS
    assert {row["position"] for row in rows} == {"r/h/pump-1/pump_1"}


def test_a_stream_that_is_cut_in_the_middle_costs_its_last_line(bring: Bring) -> None:
    whole = lines(RESULTS)
    bad = [{"timestamp": "2026-03-11T22:40:00", "prediction": 7}, {"timestamp": "yesterday", "prediction": 0}]

    done = bring({"r.jsonl": lines(bad) + whole[:-30], "diagnostics.json.gz": gzip.compress(whole.encode())[:-20]})

    assert done.adds_up
    assert (done.stored, done.duplicate) == (2, 2)
    assert sorted(one.line or 0 for one in done.bad if "r.jsonl" in one.file) == [1, 2, 5]
    assert any("ends early" in one.detail for one in done.bad)


def test_labels_and_their_ratings(bring: Bring, lake: Folder) -> None:
    listed = {
        "LabelSummaries": [
            {
                "LabelGroupName": "g",
                "StartTime": "2026-02-01T00:00:00+01:00",
                "EndTime": 1770000000.0,
                "Rating": "ANOMALY",
                "FaultCode": "misalignment",
                "Notes": "coupling",
                "Equipment": "pump_1",
            },
            {"StartTime": 1770000000, "EndTime": 1770003600, "Rating": "NO_ANOMALY"},
            {"StartTime": 1770003600, "EndTime": 1770000000, "Rating": "ANOMALY"},
        ]
    }

    done = bring({"labels.csv": "2026-01-05 00:00:00,2026-01-06 00:00:00\nx,y\n", "labels.json": json.dumps(listed)})

    assert counts(done) == (5, 3, 0, 2)
    rows = lake.rows(schema.LABELS).sort_by("t").to_pylist()
    assert [(row["position"], row["failure_mode"], row["by"]) for row in rows] == [
        ("r/h/pump-1/process", "UNDETERMINED", "lookout"),
        ("r/h/pump-1/pump_1", "MISALIGNMENT", "lookout"),
        ("r/h/pump-1/process", "NO_ISSUE", "lookout"),
    ]
    assert rows[1]["opened_at"].isoformat() == "2026-01-31T23:00:00+00:00"


def test_a_model_leaves_its_figures_its_ranges_and_a_plant_file(
    bring: Bring, lake: Folder, source: list[Lookout]
) -> None:
    done = bring({"model.json": json.dumps(MODEL), "pump_1/a.csv": "Timestamp,Speed,x\n2026-03-11 22:20:00,1500,2.5\n"})

    rows = {(row["kind"], row["name"]): row for row in lake.rows(schema.LOOKOUT_FINDINGS).to_pylist()}
    assert rows["metric", "labeled_event_metrics.total_warning_time_in_seconds"]["value"] == 7200.0
    assert rows["predicted", "2026-01-04T22:00:00"]["t"].isoformat() == "2026-01-05T12:00:00+00:00"
    assert done.lost["model: RoleArn", "has no counterpart"] == 1
    text = lookout_plant.fragment(source[0].positions, ASSET, source[0].described)
    asset = plant_file.parse(text, file="plant.yaml").assets[ASSET]
    assert (asset.tags, asset.off, asset.every_s) == (("pump_1/*",), "pump_1/Speed<100", 300.0)
    assert yaml.safe_load(text)["sites"]["r"]["areas"]["h"]["assets"]["pump-1"]["model"]["history"] == "183d"


def test_events_that_were_told_live_are_kept_once(bring: Bring, lake: Folder) -> None:
    event = {
        "InferenceSchedulerName": "pump-live",
        "EventStartTime": "2026-03-11T22:25:00+00:00",
        "EventEndTime": "2026-03-11T22:55:00+00:00",
        "Diagnostics": '{"diagnostics": []}',
    }

    done = bring({"e1.json": json.dumps({"InferenceEventSummaries": [event]}), "e2.json": json.dumps([event])})

    assert counts(done) == (2, 1, 1, 0)
    assert lake.rows(schema.LOOKOUT_FINDINGS).to_pylist()[0]["model"] == "pump-live"


def test_what_is_none_of_lookouts_is_refused_and_the_rest_goes_on(bring: Bring) -> None:
    done = bring({"other.json": '{"a": 1}', "half.json": '{"ModelName": "x", ', "ok.jsonl": lines(RESULTS)})

    assert counts(done) == (5, 3, 0, 2)


def test_again_adds_nothing(bring: Bring, lake: Folder) -> None:
    files: dict[str, str | bytes] = {"r.jsonl": lines(RESULTS), "labels.csv": "2026-01-05,2026-01-06\n"}
    files |= {"p/a.csv": "t,x,y\n2026-03-11,1,2\n", "m.json": json.dumps(MODEL)}
    first = bring(files)

    again = bring(files)
    grown = bring(files | {"r2.jsonl": lines(RESULTS)})

    assert (counts(again), again.earlier) == (counts(first), first.records)
    assert (grown.stored, grown.duplicate) == (first.stored - 3, 6)
    assert len(lake.rows(schema.SCORES)) == 3


@pytest.mark.parametrize(
    ("name", "roots", "component"),
    [
        ("data/pump_1/2026.csv", ["./data/"], "pump_1"),
        ("pump_1/2026.csv", ["."], "pump_1"),
        ("s3://b/l4e/facility/pump_1/2026.csv.gz", ["s3://b/l4e/"], "pump_1"),
        ("data/pump_1.csv", ["data/pump_1.csv"], "pump_1"),
        ("in/x/pump_1_2026-03-11-22-25-00.csv", ["in"], "pump_1"),
        ("in/pump 1773267900.csv", ["in"], "pump"),
    ],
)
def test_the_component_of_a_file(name: str, roots: list[str], component: str) -> None:
    bucket, _, key = name.removeprefix("s3://").partition("/")
    file = S3File(None, bucket, key, 0, "") if name.startswith("s3://") else LocalFile(Path(name))

    assert component_of(file, roots) == component
