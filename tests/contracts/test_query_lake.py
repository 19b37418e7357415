"""`telltale query` on one computer: DuckDB over what the committer added, through the Glue and S3 of MiniStack."""

import time
from datetime import timedelta
from uuid import uuid4

import numpy as np
import pytest
from cli import sql
from cli.choices import choose
from cli.deployment import Deployment
from cli.queries import named_queries
from telltale.adapters import parquet
from telltale.adapters.lake import Lake, glue_catalog
from telltale.core import schema

from tests.contracts.conftest import REGION, client

HOUR_MS = 3_600_000


@pytest.fixture
def deployment(ministack: str, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """A deployment on MiniStack, reached by its environment alone, with two captures of one axis in its lake."""
    environment = {"AWS_ENDPOINT_URL": ministack, "AWS_REGION": REGION, sql.ENGINE: "duckdb"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    database, bucket = f"telltale_{uuid4().hex}", f"lake-{uuid4().hex}"
    client("s3", ministack).create_bucket(Bucket=bucket)
    client("glue", ministack).create_database(DatabaseInput={"Name": database})
    files = {"s3.endpoint": ministack, "s3.region": REGION}
    lake = Lake(glue_catalog(client("glue", ministack), files), database=database, location=f"s3://{bucket}/lake")
    now_ms = int(time.time() * 1000)
    for number, sampled_ms in enumerate((now_ms - 2 * HOUR_MS, now_ms - HOUR_MS), start=1):
        row = {"capture_id": f"c-{number}", "axis": "x", "position": "p/1", "site": "p", "sensor": "s", "t": sampled_ms}
        wave = {"fs_hz": 4.0, "unit": "g", "scale": 0.5, "samples": np.array([number, -4], np.int16)}
        [file] = parquet.files(schema.WAVEFORMS, [row | wave])
        client("s3", ministack).put_object(Bucket=bucket, Key=f"data/{number}.parquet", Body=file.body)
        lake.add(schema.WAVEFORMS, [f"s3://{bucket}/data/{number}.parquet"], number=number)
    return Deployment(outputs={"GlueDatabase": database}, environment=environment)


def test_the_waveform_of_the_latest_capture_is_read_from_the_lake(deployment: Deployment) -> None:
    answer = sql.run(deployment, named_queries()["waveform"].sql)

    rows = answer.table.select(["capture_id", "seconds", "value"]).to_pylist()
    assert rows == [
        {"capture_id": "c-2", "seconds": 0.0, "value": 1.0},
        {"capture_id": "c-2", "seconds": 0.25, "value": -2.0},
    ]


def test_tables_that_hold_nothing_yet_answer_with_no_rows(deployment: Deployment) -> None:
    assert sql.run(deployment, named_queries()["open_cases"].sql).table.num_rows == 0


def test_the_lake_is_asked_of_a_time_between_two_commits(deployment: Deployment) -> None:
    [first, second] = (
        sql.run(deployment, 'SELECT committed_at FROM "waveforms$snapshots" ORDER BY 1').table[0].to_pylist()
    )

    answers = [
        sql.run(deployment, "SELECT count(*) AS n FROM waveforms", at=at).table["n"].to_pylist()
        for at in (first - timedelta(seconds=1), first, second)
    ]

    assert answers == [[0], [1], [2]]


def test_one_capture_reads_less_than_all(deployment: Deployment) -> None:
    text = named_queries()["waveform"].sql

    chosen = sql.run(deployment, choose(text, {"capture_id": "c-1", "days": "2"}))
    files = sql.run(deployment, named_queries()["files_by_table"].sql)

    assert chosen.table["value"].to_pylist() == [0.5, -2.0]
    assert chosen.scanned_bytes
    assert files.table.select(["table_name", "files", "records"]).to_pylist() == [
        {"table_name": "waveforms", "files": 2, "records": 2}
    ]
