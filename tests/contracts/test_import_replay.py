"""What was imported is replayed by detector, streams and models like what the line heard, and alerts nobody."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from cli import backtest, importing, plant_file, sql, tags, train_lake
from cli.deployment import Deployment
from telltale.adapters.commit import Committer
from telltale.adapters.lake import Lake, glue_catalog
from telltale.adapters.registry import Registry
from telltale.core import schema
from telltale.core.plant import Asset, Limits, Position, Site

from tests.aws_line import make_table
from tests.command import telltale
from tests.contracts.conftest import REGION, client

HOUR_S = 3600
HOURS = 400
ASSET = "r/h/pump"
PROCESS, MOTOR = f"{ASSET}/process", f"{ASSET}/motor"
TABLES = ("registry", "states", "cases", "models", "progress")
MAPPING = f"""
layout: wide
time: {{column: Time, zone: UTC}}
tags:
  Flow: {{position: {PROCESS}, tag: flow}}
  Pressure: {{position: {PROCESS}, tag: pressure}}
  Bearing: {{position: {MOTOR}, tag: temperature_c, unit: degF}}
"""

Run = Callable[..., str]


class Works:
    """A deployment on MiniStack without functions: what is imported can only lie there."""

    def __init__(self, endpoint: str) -> None:
        unique = uuid4().hex
        self.s3, self.dynamodb = client("s3", endpoint), client("dynamodb", endpoint)
        self.bucket, self.database = f"lake-{unique}", f"telltale_{unique}"
        self.tables = {name: f"{name}-{unique}" for name in TABLES}
        self.s3.create_bucket(Bucket=self.bucket)
        client("glue", endpoint).create_database(DatabaseInput={"Name": self.database})
        for kind, name in self.tables.items():
            make_table(self.dynamodb, name, kind)
        environment = {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": REGION, sql.ENGINE: "duckdb"}
        outputs = {"GlueDatabase": self.database, "LakeBucket": self.bucket}
        outputs |= {f"{kind.title()}Table": name for kind, name in self.tables.items()}
        self.deployment = Deployment(outputs, environment)
        self.catalog = glue_catalog(client("glue", endpoint), {"s3.endpoint": endpoint, "s3.region": REGION})

    def commit(self) -> int:
        committer = Committer(
            self.s3,
            self.dynamodb,
            Lake(self.catalog, database=self.database, location=f"s3://{self.bucket}/lake"),
            bucket=self.bucket,
            table=self.tables["progress"],
            owner="test",
            now_ms=lambda: time.time_ns() // 1_000_000,
        )
        until_ms = time.time_ns() // 1_000_000 + 300_000
        return sum(done.receipts for done in committer.run(until_ms=until_ms, spare_ms=1000))

    def items(self, table: str) -> int:
        return int(self.dynamodb.scan(TableName=self.tables[table])["Count"])

    def rows(self, table: str) -> int:
        found = [name for _, name in self.catalog.list_tables(self.database)]
        loaded = self.catalog.load_table((self.database, table)) if table in found else None
        return 0 if loaded is None else len(loaded.scan().to_arrow())


@pytest.fixture
def works(ministack: str, monkeypatch: pytest.MonkeyPatch) -> Works:
    works = Works(ministack)
    for name, value in works.deployment.environment.items():
        monkeypatch.setenv(name, value)
    for module in (importing, backtest, tags, train_lake):
        monkeypatch.setattr(module, "current", lambda: works.deployment)
    registry = Registry(works.dynamodb, works.tables["registry"])
    limits = Limits(temperature_warning_c=70.0, temperature_alarm_c=90.0)
    for item in (
        Site("r", name="r"),
        Asset(ASSET, every_s=HOUR_S),
        Position(PROCESS, interval_s=HOUR_S, streams={"flow": 100}),
        Position(MOTOR, interval_s=HOUR_S, limits=limits),
    ):
        registry.put(item)
    return works


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> str:
        status, out, err = telltale(arguments, monkeypatch, capsys, columns=200)
        assert status == 0, err
        return out

    return run


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Hours in which the bearing becomes hot and the flow jumps at the end."""
    rng, start = np.random.default_rng(3), int(time.time()) // HOUR_S * HOUR_S - (HOURS + 10) * HOUR_S
    lines = ["Time,Flow,Pressure,Bearing"]
    for hour in range(HOURS):
        late = hour >= HOURS - 12
        at = datetime.fromtimestamp(start + hour * HOUR_S, UTC)
        flow, bar = 50 + rng.normal() + 40 * late, 3 + 0.1 * rng.normal()
        lines.append(f"{at:%Y-%m-%d %H:%M:%S},{flow:.3f},{bar:.3f},{185 if late else 104 + rng.normal():.2f}")
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    path = tmp_path / "export.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_imported_history_is_replayed_and_alerts_nobody(works: Works, run: Run, export: Path, tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.yaml"
    dry = json.loads(run("import", "historian", export, "--mapping", mapping, "--dry-run", "--json"))
    assert (dry["stored"], works.s3.list_objects_v2(Bucket=works.bucket)["KeyCount"]) == (3 * HOURS, 0)
    told = json.loads(run("import", "historian", export, "--mapping", mapping, "--json"))
    assert (told["records"], told["stored"], told["adds_up"]) == (3 * HOURS, 3 * HOURS, True)
    assert json.loads(run("import", "historian", export, "--mapping", mapping, "--json"))["earlier"] == 3 * HOURS
    assert works.commit() == told["chunks"]

    assert (works.rows("readings"), works.rows("captures")) == (2 * HOURS, HOURS)
    run("backtest", "--all", "--limit", "temperature_warning_c=86", "--jobs", 1, "--json", tmp_path / "b.json")
    tried = json.loads((tmp_path / "b.json").read_text())
    assert (tried["before"]["cases"], tried["after"]["cases"]) == (1, 0)
    assert {one["position"]: one["rows"] for one in tried["positions"]} == {PROCESS: HOURS, MOTOR: HOURS}
    [flow] = json.loads(run("tags", PROCESS, "--replay", "--probation", 100, "--json"))
    assert flow["rows"] == HOURS
    assert "HIGH" in [one["reason"] for one in flow["alarms"]]
    asked = ("--asset", ASSET, "--by", "mia", "--json", tmp_path / "t.json")
    assert "to let it be live" in run("train", *asked)

    assert json.loads((tmp_path / "t.json").read_text())["version"]
    for table in (schema.CASES, schema.VERDICTS, schema.TAG_ALARMS, schema.SCORES):
        assert works.rows(table.name) == 0
    assert (works.items("cases"), works.items("states")) == (0, 0)


def test_the_same_values_after_their_commit_are_known(works: Works, run: Run, export: Path, tmp_path: Path) -> None:
    mapping, short = tmp_path / "mapping.yaml", tmp_path / "short.csv"
    short.write_text("\n".join(export.read_text().splitlines()[:40]) + "\n")
    run("import", "historian", short, "--mapping", mapping, "--json")
    works.commit()

    again = json.loads(run("import", "historian", export, "--mapping", mapping, "--json"))

    assert (again["records"], again["duplicate"], again["adds_up"]) == (3 * HOURS, 3 * 39, True)
    works.commit()
    assert (works.rows("readings"), works.rows("captures")) == (2 * HOURS, HOURS)


def test_what_lookout_left_trains_the_model_that_takes_its_place(works: Works, run: Run, tmp_path: Path) -> None:
    rng, start = np.random.default_rng(5), int(time.time()) // HOUR_S * HOUR_S - (HOURS + 10) * HOUR_S
    stamps = [f"{datetime.fromtimestamp(start + hour * HOUR_S, UTC):%Y-%m-%dT%H:%M:%S}" for hour in range(HOURS)]
    folder = tmp_path / "lookout"
    (folder / "pump_1").mkdir(parents=True)
    data = [f"{at},{1500 + rng.normal():.3f},{3 + 0.1 * rng.normal():.3f}" for at in stamps]
    (folder / "pump_1" / "a.csv").write_text("\n".join(["Timestamp,Speed,Pressure", *data]) + "\n")
    said = {"prediction": 1, "prediction_reason": "ANOMALY_DETECTED", "anomaly_score": 0.9}
    shares = [{"name": "pump_1\\Speed", "value": 0.7}, {"name": "pump_1\\Pressure", "value": 0.3}]
    results = [said | {"timestamp": f"{at}.000000", "diagnostics": shares} for at in stamps[-20:]]
    (folder / "results.jsonl").write_text("".join(json.dumps(one) + "\n" for one in results))
    (folder / "labels.csv").write_text(f"{stamps[-20]},{stamps[-1]}\n")
    plant = tmp_path / "plant.yaml"

    told = json.loads(
        run("import", "lookout", folder, "--asset", "r/h/fan", "--off", "pump_1\\Speed<100", "--plant", plant, "--json")
    )
    assert (told["records"], told["stored"], told["adds_up"]) == (2 * HOURS + 21, 2 * HOURS + 21, True)
    works.commit()
    registry = Registry(works.dynamodb, works.tables["registry"])
    described = plant_file.read(plant)
    for position in described.positions.values():
        registry.put(position)
    registry.put(described.assets["r/h/fan"])
    run("train", "--asset", "r/h/fan", "--by", "mia", "--labels", folder / "labels.csv", "--json", tmp_path / "t.json")

    report = json.loads((tmp_path / "t.json").read_text())
    assert report["abnormal_rows"] >= 19
    assert (works.rows("scores"), works.rows("labels"), works.rows("cases")) == (20, 1, 0)
    run("backtest", "r/h/fan", "--set", "growth=3", "--jobs", 1, "--json", tmp_path / "b.json")
    tried = json.loads((tmp_path / "b.json").read_text())
    assert (tried["before"]["cases"], [one["rows"] for one in tried["positions"]]) == (0, [HOURS])
