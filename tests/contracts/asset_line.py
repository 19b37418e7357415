"""An asset with a lake of its own, on moto and in a folder: what its positions sent, its models, a clock to turn."""

import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog
from telltale.adapters import parquet
from telltale.adapters.asset_history import AssetHistory
from telltale.adapters.cases import Cases
from telltale.adapters.events import Events
from telltale.adapters.lake import Lake, glue_catalog
from telltale.adapters.models import Models
from telltale.adapters.receipts import PENDING, BatchLog, Receipt
from telltale.adapters.registry import Registry
from telltale.adapters.retraining import Retraining
from telltale.adapters.scoring import FUNCTION, STREAM, Scoring, Standings
from telltale.adapters.trainer import Trainer
from telltale.core import schema
from telltale.core.plant import Asset, Position
from telltale.core.training import Made, Wish

from tests.aws_line import make_table
from tests.contracts.conftest import client

PUMP = "plant/hall/pump-1"
PROCESS, MOTOR = f"{PUMP}/process", f"{PUMP}/motor-de"
TAGS = ("process/flow", "process/pressure", "motor-de/temperature_c", "motor-de/x/velocity_rms_mm_s")
EVERY_S = 600.0
START_S = 1_790_000_400.0  # a whole number of intervals
OFFSET_S = 100.0  # into an interval, of its one row

Wrap = Callable[[Any], Any]


def as_is(real: Any) -> Any:
    return real


class AssetLine:
    """A new lake, registry, store and stream; `now_s` is the time of all of it."""

    def __init__(self, folder: Path, asset: Asset | None = None) -> None:
        self.folder, self.s3, self.dynamodb = folder, client("s3"), client("dynamodb")
        self.kinesis, self.events, self.sqs = (client(name) for name in ("kinesis", "events", "sqs"))
        unique = uuid4().hex
        self.bucket, self.database, self.bus = f"lake-{unique}", f"telltale_{unique}", f"bus-{unique}"
        self.stream, self.tables = f"features-{unique}", {name: f"{name}-{unique}" for name in _TABLES}
        self.s3.create_bucket(Bucket=self.bucket)
        client("glue").create_database(DatabaseInput={"Name": self.database})
        self.catalog: Catalog = glue_catalog(client("glue"), {})
        self.lake = Lake(self.catalog, database=self.database, location=f"file://{folder}/{unique}")
        for kind, name in self.tables.items():
            make_table(self.dynamodb, name, kind)
        self.kinesis.create_stream(StreamName=self.stream, ShardCount=1)
        self.kinesis.get_waiter("stream_exists").wait(StreamName=self.stream, WaiterConfig={"Delay": 1})
        self._listen()
        self.now_s, self._commits = START_S, iter(range(1, 10**6))
        self._values = self._plant()
        self.registry = Registry(self.dynamodb, self.tables["registry"])
        self.asset = asset or Asset(PUMP, every_s=EVERY_S)
        for item in (Position(PROCESS, interval_s=EVERY_S), Position(MOTOR, interval_s=EVERY_S), self.asset):
            self.registry.put(item)
        self.models = Models(
            self.s3, self.dynamodb, bucket=self.bucket, table=self.tables["models"], now_ms=self._now_ms
        )
        self.history = AssetHistory(self.catalog, database=self.database)
        self.trainer = Trainer(
            models=self.models,
            history=self.history,
            registry=self.registry,
            cases=Cases(self.dynamodb, self.tables["cases"]),
            now_ms=self._now_ms,
        )

    # --- What positions send

    def send(
        self,
        rows: int,
        *,
        moved: float = 0.0,
        at: Sequence[str] = (PROCESS, MOTOR),
        go: bool = True,
        ids: Callable[[str, int], dict[str, Any]] | None = None,
    ) -> None:
        """So many intervals pass, in each of which these positions send; the temperature is higher by `moved`."""
        begun = round((self.now_s - START_S) / EVERY_S)
        captures, features, readings = [], [], []
        for number in range(begun, begun + rows):
            flow, pressure, celsius, velocity = next(self._values)
            for position in at:
                own = (ids or _ids)(position, number)
                if position == PROCESS:
                    tags = {"flow": flow, "pressure": pressure}
                    readings += [{**own, "tag": tag, "value": value} for tag, value in tags.items()]
                    captures.append(_capture(own))
                else:
                    captures.append(_capture(own) | {"temperature_c": celsius + moved})
                    features.append({**own, "axis": "x", "velocity_rms_mm_s": velocity})
        for table, found in (
            (schema.CAPTURES, captures),
            (schema.FEATURES_TABLE, features),
            (schema.READINGS, readings),
        ):
            self._commit(table, found)
        if go:
            self.now_s += rows * EVERY_S

    def _commit(self, table: schema.Table, rows: Sequence[dict[str, Any]]) -> None:
        uris = []
        for file in parquet.files(table, rows):
            path = self.folder / f"{uuid4().hex}.parquet"
            path.write_bytes(file.body)
            uris.append(f"file://{path}")
        if uris:
            self.lake.add(table, uris, number=next(self._commits))

    def _plant(self) -> Iterator[tuple[float, float, float, float]]:
        random = np.random.default_rng(5)
        while True:
            load, *noise = random.normal(size=5)
            values = load * np.array([3.0, 0.4, 1.0, 0.3]) + 0.3 * np.array(noise) + [40.0, 6.0, 55.0, 2.0]
            yield tuple(values.tolist())

    # --- What works on it

    def scoring(self, wrap: Wrap = as_is) -> Scoring:
        dynamodb = wrap(self.dynamodb)
        return Scoring(
            models=self.models,
            history=self.history,
            registry=self.registry,
            standings=Standings(dynamodb, self.tables["models"]),
            log=BatchLog(
                wrap(self.s3),
                dynamodb,
                bucket=self.bucket,
                table=self.tables["progress"],
                stream=STREAM,
                function=FUNCTION,
                now_ms=self._now_ms,
            ),
            events=Events(wrap(self.events), self.bus),
            kinesis_client=wrap(self.kinesis),
            features_stream=self.stream,
            now_ms=self._now_ms,
        )

    def score(self, wrap: Wrap = as_is) -> int:
        """One invocation; rows scored."""
        live = self.models.live(PUMP)
        assert live is not None
        return self.scoring(wrap).run(live)

    def retraining(self) -> Retraining:
        return Retraining(
            trainer=self.trainer,
            models=self.models,
            events=Events(self.events, self.bus),
            dynamodb=self.dynamodb,
            table=self.tables["models"],
            now_ms=self._now_ms,
        )

    def go_live(self) -> str:
        """Trains, once for all lines that are alike, and promotes; the version."""
        if self.asset not in _MADE:
            _MADE[self.asset] = self.trainer.train(self.asset, by="mia").made
        wish = Wish(tags=TAGS, every_s=EVERY_S, off=self.asset.off)
        version = self.models.add(PUMP, _MADE[self.asset], wish, by="mia").version
        self.models.promote(PUMP, version, by="mia", why="the first")
        return version

    def _now_ms(self) -> int:
        return round(self.now_s * 1000)

    # --- What came of it

    def scores(self) -> list[dict[str, Any]]:
        """Rows of the files that receipts name, by time."""
        keys = [item["Key"] for item in self.s3.list_objects_v2(Bucket=self.bucket, Prefix=PENDING).get("Contents", [])]
        receipts = [Receipt.from_json(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()) for key in keys]
        bodies = [
            self.s3.get_object(Bucket=self.bucket, Key=file.key)["Body"].read()
            for receipt in receipts
            for file in receipt.files
        ]
        return sorted(
            (row for body in bodies for row in pq.read_table(io.BytesIO(body)).to_pylist()), key=lambda r: r["t"]
        )

    def told(self) -> list[dict[str, Any]]:
        """What detection was told, each record once."""
        shard = self.kinesis.list_shards(StreamName=self.stream)["Shards"][0]["ShardId"]
        iterator = self.kinesis.get_shard_iterator(
            StreamName=self.stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        records = self.kinesis.get_records(ShardIterator=iterator)["Records"]
        return [json.loads(text) for text in dict.fromkeys(record["Data"].decode() for record in records)]

    def heard(self) -> list[dict[str, Any]]:
        """Events on the bus since the last look: detail with its `kind`."""
        events = []
        while messages := self.sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                event = json.loads(message["Body"])
                events.append({"kind": event["detail-type"], **event["detail"]})
                self.sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return events

    def _listen(self) -> None:
        self.events.create_event_bus(Name=self.bus)
        self._queue = self.sqs.create_queue(QueueName=self.bus)["QueueUrl"]
        answer = self.sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        pattern = json.dumps({"source": ["telltale"]})
        self.events.put_rule(Name="all", EventBusName=self.bus, EventPattern=pattern)
        target = {"Id": "queue", "Arn": answer["Attributes"]["QueueArn"]}
        self.events.put_targets(Rule="all", EventBusName=self.bus, Targets=[target])


_MADE: dict[Asset, Made] = {}  # from the same rows, and so the same
_TABLES = ("registry", "cases", "models", "progress")


def end_s(number: int) -> float:
    """The end of the interval of this row."""
    return START_S + EVERY_S * (number + 1)


def _ids(position: str, number: int) -> dict[str, Any]:
    t_ms = round((START_S + EVERY_S * number + OFFSET_S) * 1000)
    sensor = position.rsplit("/", 1)[1]
    return {"capture_id": f"{sensor}@{t_ms}", "position": position, "site": "plant", "sensor": sensor, "t": t_ms}


def _capture(ids: dict[str, Any]) -> dict[str, Any]:
    return {**ids, "part": "xs", "gateway": "g-1", "received_at": ids["t"] + 500, "record_id": ids["capture_id"]}
