"""What is taken out of the lake is what the line told and keeps, to the last byte of it."""

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import detect_anomalies
import extract_features
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import work_orders
from cli import export
from cli.deployment import Deployment
from cli.export_lookout import line as lookout_line
from cli.lake_rows import LakeRows
from pyiceberg.catalog import Catalog
from telltale.adapters import lake as adapter
from telltale.adapters import parquet
from telltale.core import schema
from telltale.core.monitron_rows import COLUMNS

from tests.aws_line import START_MS, aws, stream_records
from tests.command import telltale
from tests.unit.test_backtest_command import Lived, scalars, waves
from tests.unit.test_from_rows_to_label import ENVIRONMENT, HOUR, PUMP, Plant

ARN = "arn:aws:sns:us-east-1:123456789012:notices"
DATABASE = "telltale"
LATE_MS = START_MS + 3 * HOUR + HOUR // 2
SCORED = {
    "asset": PUMP.asset, "site": "plant", "position": PUMP.id, "scored_at": START_MS, "model": "m", "score": 0.72,
    "deviation": 1.4, "prediction": 1, "prediction_reason": "ANOMALY_DETECTED", "code_version": "0",
    "contributions": json.dumps([{"name": "motor-de/x/rms_g", "value": 0.63}, {"name": "process/flow", "value": 0.2}]),
}  # fmt: skip
OFF = (
    SCORED
    | {"t": START_MS + HOUR}
    | {"score": None, "deviation": None, "prediction": 0, "prediction_reason": "MACHINE_OFF"}
)
SCORES = [SCORED | {"t": START_MS}, OFF]
# An event of Monitron, as an import keeps it.
IMPORTED: dict[str, Any] = {
    **dict.fromkeys(COLUMNS), "event_id": "3f0c9c1e", "event_type": "measurement", "position": "old/line/fan/de",
    "site": "old", "t": START_MS, "sensor": "aabb", "velocity_x_mm_s": 0.9, "temperature_c": 41.5,
    "iso_class": "CLASS2", "context": json.dumps({"siteName": "site-1", "assetPositionId": "ap-1"}),
}  # fmt: skip


@dataclass(frozen=True)
class Lake:
    """What a plant's life left: in S3 and DynamoDB, in the tables, and on Monitron's stream while it happened."""

    line: Lived
    catalog: Catalog
    told: Sequence[dict[str, Any]]
    rows: Mapping[str, pa.Table]


class Person:
    """At the command line."""

    def __init__(self, lake: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.line, self.told, self.rows = lake.line, lake.told, lake.rows
        self._monkeypatch, self._capsys = monkeypatch, capsys
        outputs = {"GlueDatabase": DATABASE, "LakeBucket": "lake", "TopicArn": ARN, "MonitronStream": "monitron"}
        tables = ("Registry", "States", "Cases", "Ledger", "Logbook", "Progress")
        outputs |= {f"{name}Table": name.lower() for name in tables}
        monkeypatch.setattr(export, "current", lambda: Deployment(outputs, {}))
        monkeypatch.setattr(LakeRows, "of", classmethod(lambda cls, deployment: cls(lake.catalog, DATABASE)))

    def run(self, *arguments: Any) -> tuple[int, str, str]:
        self._capsys.readouterr()
        return telltale(["export", *arguments], self._monkeypatch, self._capsys)

    def events(self, *arguments: Any) -> list[dict[str, Any]]:
        status, out, _ = self.run("monitron", *arguments)
        assert status == 0
        return [json.loads(text) for text in out.splitlines()]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """Scalars and waveforms; a case that is acknowledged, repaired and opened again, and a late message. An event was
    imported from Monitron, and a model has judged.
    """
    folder = tmp_path_factory.mktemp("lake")
    with pytest.MonkeyPatch.context() as patch, aws() as made:
        outside = {"MONITRON_STREAM": "monitron", "TOPIC_ARN": ARN, "WEBHOOK_SECRET_ARN": made.secret}
        outside |= {"CMMS_SECRETS_ARN": made.cmms_secrets, "ORDERS_QUEUE_URL": made.queue}
        for name, value in (ENVIRONMENT | outside).items():
            patch.setenv(name, value)
        forget()
        made.kinesis.create_stream(StreamName="monitron", ShardCount=1)
        line = Lived(Plant(made), patch)
        line.capture(scalars(0, 0.2), scalars(1, 0.3, y=0.2))
        line.capture(*(waves(n) for n in (2, 3, 4, 5)))
        line.close()
        line.capture(scalars(6, 0.2), scalars(6, 0.2), {**scalars(3, 0.9), "t": LATE_MS})
        line.capture(*(scalars(n, 0.8) for n in (8, 9, 10, 11, 12, 13, 14)))
        told = [json.loads(body) for body in stream_records(made, "monitron")]
        glue: Any = boto3.client("glue")
        glue.create_database(DatabaseInput={"Name": DATABASE})
        catalog = adapter.glue_catalog(glue, {})
        tables = adapter.Lake(catalog, database=DATABASE, location=f"file://{folder}/lake")
        rows: dict[str, pa.Table] = {table.name: line.table(table.name) for table in schema.TABLES}
        for table, added in ((schema.MONITRON_EVENTS, [IMPORTED]), (schema.SCORES, SCORES)):
            [file] = parquet.files(table, added)
            rows[table.name] = pq.read_table(pa.BufferReader(file.body))
        for number, table in enumerate(schema.TABLES, start=1):
            files = parquet.columnar_files(table, rows[table.name])
            for file in files:
                (folder / f"{table.name}-{file.day}.parquet").write_bytes(file.body)
            if files:
                uris = [f"file://{folder}/{table.name}-{file.day}.parquet" for file in files]
                tables.add(table, uris, number=number)
        yield Lake(line, catalog, told, rows)
    forget()


def forget() -> None:
    """What warm functions remember."""
    for module in (extract_features, detect_anomalies, work_orders):
        for remembered in vars(module).values():
            if hasattr(remembered, "cache_clear"):
                remembered.cache_clear()


@pytest.fixture
def out(lake: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Person:
    return Person(lake, monkeypatch, capsys)


def by_id(events: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {event["eventId"]: event for event in events}


def test_history_has_the_events_of_the_stream_word_for_word_and_what_came_too_late_for_it(out: Person) -> None:
    told, exported = by_id(out.told), by_id(out.events("--position", "plant"))

    late = [event for id_, event in exported.items() if id_ not in told]
    assert {id_: exported[id_] for id_ in told} == told
    assert [event["eventPayload"]["x"]["sampledAt"] for event in late] == ["2026-09-21 17:43:20.000"]
    states = [event for event in told.values() if event["eventType"] == "assetStateTransition"]
    assert [event["eventPayload"]["assetState"]["newState"] for event in states][1:3] == [
        "NEEDS_MAINTENANCE",
        "HEALTHY",
    ]
    assert len(told) > 12


def test_a_part_of_history_knows_what_stood_before_it(out: Person) -> None:
    part, whole = by_id(out.events("--from", "2026-09-21T23:13:20Z")), by_id(out.events())

    assert part == {id_: whole[id_] for id_ in part}
    assert 0 < len(part) < len(whole)


def test_only_what_lies_below_a_path_is_taken(out: Person) -> None:
    assert len(out.events("--position", "plant/hall", "--position", "old")) == len(out.events())
    assert out.events("--position", "plant/hal") == []


def test_what_was_imported_from_monitron_comes_back(out: Person) -> None:
    [event] = out.events("--position", "old")

    assert event["eventPayload"] == {
        "siteName": "site-1",
        "sensor": {"physicalId": "aabb"},
        "features": {"velocity": {"band10To1000Hz": {"xAxis": {"rms": 0.9}}}, "temperature": 41.5},
        "models": {"vibrationISO": {"isoClass": "CLASS2"}},
        "assetPositionId": "ap-1",
    }


def test_history_can_be_put_on_the_stream_to_fill_a_gap(out: Person) -> None:
    status, _, err = out.run("monitron", "--stream")

    again = [json.loads(body) for body in stream_records(out.line.works.aws, "monitron")][len(out.told) :]
    assert status == 0
    assert f"{len(again)} events" in err
    assert by_id(out.told).keys() < by_id(again).keys()


def test_a_file_that_ends_in_gz_is_compressed(out: Person, tmp_path: Path) -> None:
    out.run("monitron", "--out", tmp_path / "events.jsonl.gz")

    with gzip.open(tmp_path / "events.jsonl.gz", "rt") as stream:
        assert [json.loads(text) for text in stream] == out.events()


def test_what_a_model_said_is_a_line_of_lookouts_results(out: Person, tmp_path: Path) -> None:
    status, _, _ = out.run("lookout", PUMP.asset, "--out", tmp_path / "results")

    written = (tmp_path / "results" / PUMP.asset / "results.jsonl").read_text().splitlines()
    component = PUMP.asset.rsplit("/", 1)[1]
    assert status == 0
    assert [json.loads(text) for text in written] == [
        {
            "timestamp": "2026-09-21T14:13:20.000000",
            "prediction": 1,
            "prediction_reason": "ANOMALY_DETECTED",
            "anomaly_score": 0.72,
            "diagnostics": [
                {"name": f"{component}\\motor-de.x.rms_g", "value": 0.63},
                {"name": f"{component}\\process.flow", "value": 0.2},
            ],
        },
        {"timestamp": "2026-09-21T15:13:20.000000", "prediction": 0, "prediction_reason": "MACHINE_OFF"},
    ]


def test_a_sensor_that_has_lookouts_name_keeps_it() -> None:
    said = [{"name": "pump_1\\sensor0", "value": 1.0}]

    line = lookout_line(SCORED | {"t": 0, "contributions": json.dumps(said)})

    assert line["diagnostics"] == said


def test_everything_is_there_and_is_what_the_manifest_says(out: Person, tmp_path: Path) -> None:
    status, _, err = out.run("all", "--out", tmp_path / "all")

    manifest = json.loads((tmp_path / "all" / "manifest.json").read_text())
    for name, table in manifest["tables"].items():
        rows = out.rows[name].num_rows
        parts = [pq.read_table(path) for path in (tmp_path / "all" / "tables" / name).glob("*.parquet")]
        assert (table["rows"], sum(part.num_rows for part in parts)) == (rows, rows), name
    read = pq.read_table(tmp_path / "all" / "tables" / "captures" / "00000.parquet")
    assert sorted(read["capture_id"].to_pylist()) == sorted(out.rows["captures"]["capture_id"].to_pylist())
    assert PUMP.id in json.loads((tmp_path / "all" / "plant.json").read_text())["positions"]
    cases = (tmp_path / "all" / "dynamodb" / "cases.jsonl").read_text().splitlines()
    assert len(cases) == len(list(out.line.works.cases.all()))
    assert list((tmp_path / "all" / "objects" / "receipts" / "pending").rglob("*.json"))
    assert "not in the tables yet" in err  # nobody moved the receipts here
    assert status == 0
    assert out.run("verify", tmp_path / "all")[0] == 0


def test_a_table_can_stay_where_it_is(out: Person, tmp_path: Path) -> None:
    out.run("all", "--out", tmp_path / "all", "--without", "waveforms")

    manifest = json.loads((tmp_path / "all" / "manifest.json").read_text())
    assert manifest["without"] == ["waveforms"]
    assert "waveforms" not in manifest["tables"]
    assert out.run("verify", tmp_path / "all")[0] == 0


def test_what_was_changed_removed_or_added_is_named(out: Person, tmp_path: Path) -> None:
    folder = tmp_path / "all"
    out.run("all", "--out", folder)
    states = folder / "dynamodb" / "states.jsonl"
    states.write_bytes(bytes([states.read_bytes()[0] ^ 1]) + states.read_bytes()[1:])
    (folder / "tables" / "verdicts" / "00000.parquet").unlink()
    (folder / "plant.json").write_text("{}")
    (folder / "more.txt").write_text("")

    status, said, _ = out.run("verify", folder)

    assert status == 1
    assert "dynamodb/states.jsonl: its SHA-256 is not that of the manifest" in said
    assert "tables/verdicts/00000.parquet: missing" in said
    assert "plant.json: 2 bytes, wanted" in said
    assert "more.txt: not in the manifest" in said


def test_a_folder_that_has_something_in_it_is_left_alone(out: Person, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")

    status, _, err = out.run("all", "--out", tmp_path / "full")

    assert status == 1
    assert "is not empty" in err
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]


def test_an_export_that_did_not_come_to_its_end_is_not_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = telltale(["export", "verify", tmp_path], monkeypatch, capsys)

    assert status == 1
    assert "manifest.json" in err
