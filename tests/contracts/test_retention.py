"""Data that has had its time leaves the tables, by class and site; what an open case may need stays."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from pyiceberg.types import DoubleType
from telltale.adapters import clearing, parquet
from telltale.adapters.cases import Cases
from telltale.adapters.lake import Lake, glue_catalog
from telltale.adapters.registry import Registry
from telltale.adapters.retention import Retention
from telltale.adapters.rewrite import live_files, replace_files, rewrite_rows
from telltale.core import schema
from telltale.core.plant import Gateway, Site
from telltale.core.retention import CLASSES
from telltale.core.schema import Table

from tests.aws_line import START_MS, Aws, Clock, change, tables

DAY = 86_400_000
KEPT_DAYS = 30
A, B = "a/hall/pump/de", "b/hall/pump/de"


def reading(position: str, t_ms: int, value: float = 1.0, **fields: Any) -> dict[str, Any]:
    ids = {"capture_id": f"c-{t_ms}", "position": position, "site": position.split("/")[0], "sensor": "s-1"}
    return {**ids, "t": t_ms, "tag": "flow", "value": value, **fields}


def rejected(n: int, t_ms: int, gateway: str | None) -> dict[str, Any]:
    reason = {"reason": "BAD_PAYLOAD", "detail": "", "payload": b""}
    return {"quarantine_id": f"q-{n}", "received_at": t_ms, "gateway": gateway, **reason}


@dataclass
class Plant:
    """A lake in a folder, the registry and the cases; `b` keeps all, `a` what its rules say."""

    aws: Aws
    lake: Lake
    folder: Path
    clock: Clock = field(default_factory=Clock)
    commits: int = 0

    def rules(self, **sites: dict[str, int]) -> None:
        for site, kept in sites.items():
            Registry(self.aws.dynamodb, "registry").put(Site(site, retention=kept))

    def add(self, table: Table, rows: list[dict[str, Any]]) -> None:
        """One data file a day, as a function writes it."""
        self.commits += 1
        uris = []
        for file in parquet.files(table, rows):
            path = self.folder / f"{self.commits}-{file.day}.parquet"
            path.write_bytes(file.body)
            uris.append(f"file://{path}")
        self.lake.add(table, uris, number=self.commits)

    def retention(self) -> Retention:
        """As in another run."""
        cases, registry = Cases(self.aws.dynamodb, "cases"), Registry(self.aws.dynamodb, "registry")
        return Retention(self.aws.dynamodb, registry, cases, table="progress", now_ms=self.clock)

    def age(self, table: Table = schema.READINGS) -> int:
        return self.retention().age(self.lake, table)

    def rows(self, table: Table = schema.READINGS) -> list[tuple[str, int]]:
        """Position and age in days of what is in the table."""
        found = self.lake.ensure(table).scan().to_arrow().to_pylist()
        return sorted((row["position"], self.days(row["t"])) for row in found)

    def days(self, t: Any) -> int:
        return (self.clock.now_ms - round(t.timestamp() * 1000)) // DAY

    def ago(self, days: int) -> int:
        return self.clock.now_ms - days * DAY

    def files(self, table: Table = schema.READINGS) -> set[str]:
        return {file.uri for file in live_files(self.lake.ensure(table))}


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with tables() as made:
        glue = boto3.client("glue")
        glue.create_database(DatabaseInput={"Name": "telltale"})
        lake = Lake(glue_catalog(glue, {}), database="telltale", location=f"file://{tmp_path}/lake")
        made_plant = Plant(made, lake, tmp_path)
        made_plant.rules(a={"measurements": KEPT_DAYS}, b={})
        yield made_plant


def test_days_that_have_had_their_time_go_and_the_last_one_that_is_kept_stays(plant: Plant) -> None:
    plant.add(schema.READINGS, [reading(A, plant.ago(days)) for days in (0, 29, 30, 31, 400)])

    assert plant.age() == 2
    assert plant.rows() == [(A, 0), (A, 29), (A, 30)]


def test_a_file_of_one_site_goes_unread_and_no_file_is_written(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant.add(schema.READINGS, [reading(A, plant.ago(31)), reading(A, plant.ago(1))])
    before = plant.files()
    monkeypatch.setattr(clearing, "_count", None)

    plant.age()

    assert plant.files() < before


def test_where_sites_differ_the_file_is_written_anew_with_the_rest(plant: Plant) -> None:
    plant.add(schema.READINGS, [reading(A, plant.ago(31)), reading(B, plant.ago(31)), reading(A, plant.ago(1))])

    assert plant.age() == 1
    assert plant.rows() == [(A, 1), (B, 31)]


def test_sites_with_rules_of_their_own_age_in_one_run(plant: Plant) -> None:
    plant.rules(b={"measurements": 90})
    plant.add(schema.READINGS, [reading(at, plant.ago(days)) for at in (A, B) for days in (1, 31, 91)])

    assert plant.age() == 3
    assert plant.rows() == [(A, 1), (B, 1), (B, 31)]


def test_a_site_whose_name_begins_like_another_is_not_taken_for_it(plant: Plant) -> None:
    plant.rules(**{"a-b": {}, "aa": {}})
    others = ["a-b/hall/pump/de", "aa/hall/pump/de"]
    plant.add(schema.READINGS, [reading(at, plant.ago(31)) for at in (*others, A)])

    plant.age()

    assert plant.rows() == [(other, 31) for other in others]


def test_what_an_open_case_may_need_stays_until_the_case_is_over(plant: Plant) -> None:
    neighbour = "a/hall/pump/nde"
    plant.add(schema.READINGS, [reading(at, plant.ago(31)) for at in (A, neighbour)])
    cases = Cases(plant.aws.dynamodb, "cases")
    cases.put(A, change(), changed_at=START_MS)

    first = plant.age()
    held = plant.rows()
    cases.put(A, change(2, "resolved"), changed_at=START_MS)
    second = plant.age()

    assert (first, held, second, plant.rows()) == (1, [(A, 31)], 1, [])


def test_a_case_of_a_model_holds_the_whole_asset(plant: Plant) -> None:
    neighbour, other = "a/hall/pump/nde", "a/hall/fan/de"
    plant.add(schema.READINGS, [reading(at, plant.ago(31)) for at in (A, neighbour, other)])
    Cases(plant.aws.dynamodb, "cases").put(A, change(channel="model", rule="model"), changed_at=START_MS)

    plant.age()

    assert plant.rows() == [(A, 31), (neighbour, 31)]


def test_rejected_records_age_with_the_site_of_their_gateway_and_else_with_the_longest(plant: Plant) -> None:
    plant.rules(a={"quarantine": 10}, b={"quarantine": 20})
    Registry(plant.aws.dynamodb, "registry").put(Gateway("g-a", "a"))
    rows = [(1, 11, "g-a"), (2, 9, "g-a"), (3, 11, None), (4, 11, "stranger"), (5, 21, None)]
    plant.add(schema.QUARANTINE, [rejected(n, plant.ago(days), gateway) for n, days, gateway in rows])

    assert plant.age(schema.QUARANTINE) == 2
    left = plant.lake.ensure(schema.QUARANTINE).scan().to_arrow()["quarantine_id"].to_pylist()
    assert sorted(left) == ["q-2", "q-3", "q-4"]


@pytest.mark.parametrize(
    "table", [table for table in schema.TABLES if table.name != "quarantine"], ids=lambda t: t.name
)
def test_every_class_of_table_ages_and_the_books_never_do(plant: Plant, table: Table) -> None:
    everything = dict.fromkeys(CLASSES, 7)
    plant.rules(a=everything, b={})
    values = {
        "string": "a",
        "timestamp": plant.ago(8),
        "boolean": True,
        "list<int>": np.zeros(3, np.int16),
        "binary": b"",
    }
    row = {column.name: values.get(column.type, 1) for column in table.columns if column.required}
    named = {"position": A, "asset": "a/hall/pump", "site": "a"}
    row |= {name: value for name, value in named.items() if name in table.names}
    plant.add(table, [row])

    assert plant.age(table) == (0 if table.name in ("batches", "acts") else 1)


def test_a_table_is_looked_through_once_a_day_and_when_a_rule_or_a_case_changes(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []

    def looked(iceberg: Any) -> Any:
        looks.append("")
        return live_files(iceberg)

    monkeypatch.setattr(clearing, "live_files", looked)
    plant.add(schema.READINGS, [reading(A, plant.ago(31))])

    counts = []
    for step in ("", "", "rule", "", "case", "day", ""):
        if step == "rule":
            plant.rules(a={"measurements": KEPT_DAYS - 1})
        if step == "case":
            Cases(plant.aws.dynamodb, "cases").put(A, change(), changed_at=START_MS)
        plant.clock.go(s=86_400 if step == "day" else 3_600 / 10)
        plant.age()
        counts.append(len(looks))

    assert counts == [1, 1, 2, 2, 3, 4, 4]


def test_files_that_a_compaction_replaced_meanwhile_are_left_to_the_next_run(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.add(schema.READINGS, [reading(A, plant.ago(31)), reading(B, plant.ago(31))])

    def overtaken(lake: Lake, table: Table, files: Any, **named: Any) -> Any:
        made = rewrite_rows(lake, table, files, **named)
        compacted = rewrite_rows(lake, table, files)
        replace_files(lake, table, [file.uri for file in files], compacted.uris, why="compaction")
        return made

    with monkeypatch.context() as once:
        once.setattr(clearing, "rewrite_rows", overtaken)
        first, between = plant.age(), plant.rows()
    second = plant.age()

    assert (first, between, second, plant.rows()) == (0, [(A, 31), (B, 31)], 1, [(B, 31)])


def test_a_column_that_this_version_does_not_know_is_not_lost(plant: Plant) -> None:
    plant.add(schema.READINGS, [reading(A, plant.ago(31)), reading(B, plant.ago(31)), reading(A, plant.ago(32))])
    with plant.lake.load(schema.READINGS).update_schema() as update:
        update.add_column("own", DoubleType())

    with pytest.raises(RuntimeError, match="own"):
        plant.age()

    assert plant.rows() == [(A, 31), (B, 31)]


def test_without_time_nothing_begins_and_nothing_is_said_to_be_done(plant: Plant) -> None:
    plant.add(schema.READINGS, [reading(A, plant.ago(31))])
    hurried = plant.retention()
    hurried._enough_time = lambda: False

    assert hurried.age(plant.lake, schema.READINGS) == 0
    assert plant.age() == 1


def test_the_plan_says_what_would_go_and_changes_nothing(plant: Plant) -> None:
    plant.add(schema.READINGS, [reading(at, plant.ago(days)) for at in (A, B) for days in (1, 31, 32)])
    before = plant.files()

    planned = plant.retention().plan(plant.lake, schema.READINGS)

    assert (planned.rows, planned.files, planned.rewritten) == (2, 2, 2)
    assert plant.files() == before


def test_a_table_that_nobody_wrote_to_is_not_made_by_ageing_it(plant: Plant) -> None:
    assert plant.age() == 0
    assert plant.lake.find(schema.READINGS) is None


def test_pictures_go_so_long_after_their_case_is_over(plant: Plant) -> None:
    plant.rules(a={"pictures": 30})
    cases, s3 = Cases(plant.aws.dynamodb, "cases"), plant.aws.s3
    s3.create_bucket(Bucket="lake")
    for case_id, what, days in (
        ("case-old", "resolved", 31),
        ("case-new", "resolved", 29),
        ("case-open", "opened", 99),
    ):
        cases.put(A, change(2, what, case_id=case_id, t_ms=plant.ago(days)), changed_at=START_MS)
        for kind in ("svg", "png"):
            s3.put_object(Bucket="lake", Key=f"evidence/{case_id}/1.{kind}", Body=b"")
    s3.put_object(Bucket="lake", Key="evidence/case-nobody-knows/1.svg", Body=b"")

    count = plant.retention().age_pictures(s3, "lake")

    left = {item["Key"].split("/")[1] for item in s3.list_objects_v2(Bucket="lake")["Contents"]}
    assert (count, left) == (2, {"case-new", "case-open", "case-nobody-knows"})
