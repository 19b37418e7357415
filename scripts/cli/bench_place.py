"""A lake for measurements: S3, DynamoDB and Glue of a MiniStack of its own, on loopback, without users and TLS."""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from uuid import uuid4

import boto3
from botocore.config import Config
from pyiceberg.catalog import Catalog
from telltale.adapters.aggregates import Aggregated, Aggregator
from telltale.adapters.changed_days import ChangedDays
from telltale.adapters.commit import Committed, Committer
from telltale.adapters.duck import Duck
from telltale.adapters.lake import Lake, glue_catalog
from telltale.adapters.maintenance import Maintained, Maintenance
from telltale.adapters.receipts import PENDING, DataFile, NewFile, Receipt
from telltale.adapters.rewrite import LiveFile, live_files
from telltale.core import schema
from telltale.core.schema import Table

from cli.problem import Problem

REGION, KEY = "us-east-1", "testing"
READY_WITHIN_S = 60
PATIENCE_S = "60"  # of Arrow's client: a computer with other work may not answer within the 3 s that it would wait
AT_ONCE = 16  # as many calls as the committer makes at a time
LONG_MS = 3_600_000
SPARE_MS = 1000


@contextmanager
def aws() -> Iterator[str]:
    """URL of a MiniStack that keeps everything in memory and forgets it at the end."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with tempfile.TemporaryDirectory(prefix="telltale-bench-") as folder:
        port = _free_port()
        settings = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "S3_PERSIST": "0", "IOT_MTLS_ENABLED": "0"}
        with Path(folder, "log").open("wb") as log:
            command = [sys.executable, "-m", "ministack"]
            process = subprocess.Popen(command, env=plain | settings, cwd=folder, stdout=log, stderr=log)
        try:
            _wait(f"http://127.0.0.1:{port}", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=60)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/_ministack/health", timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.1)
    raise Problem(f"the local AWS did not answer within {READY_WITHIN_S} s", "see `scripts/telltale doctor`")


@dataclass
class Place:
    """One lake in it. `now_ms` is the clock of the committer and of maintenance."""

    url: str
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    database: str = field(default_factory=lambda: f"telltale_{uuid4().hex}")

    def __post_init__(self) -> None:
        self.s3, self.dynamodb, glue = (self._client(name) for name in ("s3", "dynamodb", "glue"))
        self.bucket = self.database.replace("_", "-")
        self.s3.create_bucket(Bucket=self.bucket)
        self.dynamodb.create_table(
            TableName=self.database,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        )
        glue.create_database(DatabaseInput={"Name": self.database})
        access = {"s3.endpoint": self.url, "s3.region": REGION}
        access |= {"s3.access-key-id": KEY, "s3.secret-access-key": KEY}
        access |= {"s3.connect-timeout": PATIENCE_S, "s3.request-timeout": PATIENCE_S}
        self.catalog: Catalog = glue_catalog(glue, access)
        self.lake = Lake(self.catalog, database=self.database, location=f"s3://{self.bucket}/lake")
        self._threads = ThreadPoolExecutor(AT_ONCE)

    def _client(self, service: str) -> Any:
        config = Config(max_pool_connections=AT_ONCE)
        session = boto3.Session(region_name=REGION, aws_access_key_id=KEY, aws_secret_access_key=KEY)
        return session.client(service, endpoint_url=self.url, config=config)  # type: ignore[call-overload] # any service

    def publish(self, number: int, files: Sequence[NewFile], *, records: int) -> None:
        """Upload the files of a batch and its receipt, as a function does when it has decided."""
        stored = [
            DataFile(file.table, f"data/{file.table}/{file.day}/{number}-{place}.parquet", file.rows, len(file.body))
            for place, file in enumerate(files)
        ]
        bodies = {one.key: file.body for one, file in zip(stored, files, strict=True)}
        list(self._threads.map(lambda item: self.put(*item), bodies.items()))
        name = f"{number:012d}"
        counts = records, records, 0, 0
        receipt = Receipt(
            f"captures/shard-0/{name}", "bench", "captures", "shard-0", name, name, self.now_ms(), "0", *counts,
            tuple(stored), {},
        )  # fmt: skip
        self.put(f"{PENDING}{receipt.batch_id}.json", receipt.to_json())

    def put(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def committer(self, *, s3: Any = None, dynamodb: Any = None, lake: Lake | None = None) -> Committer:
        """One that may have other ways to reach the same things: such as are cut off in the middle."""
        return Committer(
            s3 or self.s3,
            dynamodb or self.dynamodb,
            lake or self.lake,
            bucket=self.bucket,
            table=self.database,
            owner=uuid4().hex,
            now_ms=self.now_ms,
        )

    def commit(self) -> list[Committed]:
        return self.committer().run(until_ms=self.now_ms() + LONG_MS, spare_ms=SPARE_MS)

    def maintenance(self, *, s3: Any = None, dynamodb: Any = None, lake: Lake | None = None) -> Maintenance:
        return Maintenance(
            s3 or self.s3,
            dynamodb or self.dynamodb,
            lake or self.lake,
            bucket=self.bucket,
            table=self.database,
            owner=uuid4().hex,
            now_ms=self.now_ms,
        )

    def maintain(self, tables: Sequence[Table]) -> list[Maintained]:
        return self.maintenance().run(tables, until_ms=self.now_ms() + LONG_MS, spare_ms=SPARE_MS)

    def aggregate(self) -> Aggregated:
        """All days that wait, as the function of the aggregates does, by DuckDB."""
        days = ChangedDays(self.dynamodb, self.database, now_ms=self.now_ms)
        aggregator = Aggregator(Duck(self.catalog, self.database), self.lake, days, now_ms=self.now_ms)
        with days.alone(uuid4().hex):
            return aggregator.run(enough_time=lambda: True)

    def files(self, table: Table) -> list[LiveFile]:
        iceberg = self.lake.find(table)
        return live_files(iceberg) if iceberg else []

    def pending(self) -> int:
        return int(self.s3.list_objects_v2(Bucket=self.bucket, Prefix=PENDING)["KeyCount"])


TABLES = (schema.FEATURES_TABLE, schema.CAPTURES, schema.BATCHES)
