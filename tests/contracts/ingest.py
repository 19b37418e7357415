"""An ingest of its own, on moto or MiniStack: bucket, tables, streams and bus, messages to put in and what came out."""

import base64
import io
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import pyarrow.parquet as pq
from telltale.adapters import wire
from telltale.adapters.events import Events
from telltale.adapters.extraction import Extraction
from telltale.adapters.kinesis import Record
from telltale.adapters.marks import Marks
from telltale.adapters.receipts import PENDING, BatchLog, Receipt
from telltale.adapters.registry import Registry
from telltale.core.capture import Capture
from telltale.core.plant import Assignment, Gateway, Position, Sensor

from tests.contracts.conftest import client
from tests.contracts.test_registry import table

NOW = 1_790_000_000_000
SHARD = "shardId-000000000000"
PUMP = Position("hall/line/pump/drive", speed_rpm=1500.0)
PLANT = (PUMP, Sensor("s-1", (Assignment(PUMP.id),)), Sensor("s-2", (Assignment(PUMP.id),)), Gateway("gw-1", "hall"))

Wrap = Callable[[Any], Any]


def as_is(real: Any) -> Any:
    return real


class Ingest:
    """`extraction` and `log` are made anew for each use: a function that was killed starts with nothing."""

    def __init__(self, endpoint: str | None = None) -> None:
        self.s3, self.dynamodb = client("s3", endpoint), client("dynamodb", endpoint)
        self.kinesis, self.events = client("kinesis", endpoint), client("events", endpoint)
        self.sqs = client("sqs", endpoint)
        self.bucket = f"lake-{uuid4().hex}"
        self.s3.create_bucket(Bucket=self.bucket)
        self.registry_table, self.progress_table = table(self.dynamodb), table(self.dynamodb)
        self.captures_stream, self.features_stream = f"captures-{uuid4().hex}", f"features-{uuid4().hex}"
        self.bus = f"bus-{uuid4().hex}"
        for stream in (self.captures_stream, self.features_stream):
            self.kinesis.create_stream(StreamName=stream, ShardCount=1)
            self.kinesis.get_waiter("stream_exists").wait(StreamName=stream, WaiterConfig={"Delay": 1})
        self._listen()
        for item in PLANT:
            Registry(self.dynamodb, self.registry_table).put(item)

    def run(self, records: Sequence[Record], wrap: Wrap = as_is) -> str | None:
        """One invocation with these records; where to deliver again from. `wrap` may make its clients fail."""
        log = BatchLog(
            wrap(self.s3),
            wrap(self.dynamodb),
            bucket=self.bucket,
            table=self.progress_table,
            stream="captures",
            function="extract_features",
            now_ms=lambda: NOW,
        )
        extraction = Extraction(
            registry=Registry(self.dynamodb, self.registry_table),
            marks=Marks(wrap(self.dynamodb), self.progress_table),
            events=Events(wrap(self.events), self.bus),
            kinesis_client=wrap(self.kinesis),
            features_stream=self.features_stream,
        )
        return log.run(SHARD, records, extraction.decide, extraction.carry_out).retry_from

    def receipts(self) -> list[Receipt]:
        """What was decided, in order."""
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=PENDING).get("Contents", [])
        bodies = [self.s3.get_object(Bucket=self.bucket, Key=item["Key"])["Body"].read() for item in found]
        return sorted(map(Receipt.from_json, bodies), key=lambda receipt: int(receipt.first))

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Rows of the files that receipts name, by table: what a commit would bring into the lake."""
        rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for file in (file for receipt in self.receipts() for file in receipt.files):
            body = self.s3.get_object(Bucket=self.bucket, Key=file.key)["Body"].read()
            rows[file.table] += pq.read_table(io.BytesIO(body)).to_pylist()
        return rows

    def rows(self, name: str) -> list[dict[str, Any]]:
        return self.tables()[name]

    def count(self) -> tuple[int, int, int, int]:
        """Records, stored, duplicate, quarantined."""
        each = [(r.records, r.stored, r.duplicate, r.quarantined) for r in self.receipts()]
        records, stored, duplicate, quarantined = (sum(column) for column in zip(*each, strict=True))
        return records, stored, duplicate, quarantined

    def feature_records(self) -> list[dict[str, Any]]:
        return [json.loads(item["Data"]) for item in self.on_stream(self.features_stream)]

    def on_stream(self, stream: str) -> list[dict[str, Any]]:
        """All records of a stream, as Kinesis gives them."""
        shard = self.kinesis.list_shards(StreamName=stream)["Shards"][0]["ShardId"]
        iterator = self.kinesis.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")[
            "ShardIterator"
        ]
        records: list[dict[str, Any]] = self.kinesis.get_records(ShardIterator=iterator)["Records"]
        return records

    def heard(self) -> list[dict[str, Any]]:
        """Details of the events on the bus since the last look."""
        details = []
        while messages := self.sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                details.append(json.loads(message["Body"])["detail"])
                self.sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return details

    def _listen(self) -> None:
        self.events.create_event_bus(Name=self.bus)
        self._queue = self.sqs.create_queue(QueueName=self.bus)["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self.events.put_rule(Name="all", EventBusName=self.bus, EventPattern=json.dumps({"source": ["telltale"]}))
        self.events.put_targets(Rule="all", EventBusName=self.bus, Targets=[{"Id": "queue", "Arn": arn}])


def scalars(n: int, **fields: Any) -> Capture:
    """Capture number n of sensor s-1: its temperature is n, and it was taken at second n."""
    sensor, t_ms = fields.pop("sensor", "s-1"), NOW + 1000 * n
    capture = {"capture_id": f"{sensor}@{t_ms}", "part": "s", "sensor": sensor, "t_ms": t_ms, "temperature_c": float(n)}
    return Capture(**(capture | fields))


def record(seq: int, capture: Capture | bytes, **fields: Any) -> Record:
    """The stream record that the IoT rule makes of a message; bytes are a payload as it comes."""
    is_wave = isinstance(capture, Capture) and bool(capture.waveforms)
    payload = capture if isinstance(capture, bytes) else (wire.encode_cbor if is_wave else wire.encode_json)(capture)
    sensor = capture.sensor if isinstance(capture, Capture) else "s-1"
    envelope = {"topic": f"dt/telltale/gw-1/{sensor}/{'wave' if is_wave else 'capture'}", "client": "gw-1"}
    data = wire.encode_envelope(payload, **({"received_ms": NOW + 1000 * 1000} | envelope | fields))
    return Record(SHARD, str(seq), sensor, data, NOW)


def lambda_event(stream: str, records: Sequence[Record]) -> dict[str, Any]:
    """The event that a function gets for these records."""
    return {
        "Records": [
            {
                "eventID": record.id,
                "eventSourceARN": f"arn:aws:kinesis:us-east-1:123456789012:stream/{stream}",
                "kinesis": {
                    "sequenceNumber": record.seq,
                    "partitionKey": record.key,
                    "data": base64.b64encode(record.data).decode(),
                    "approximateArrivalTimestamp": record.arrival_ms / 1000,
                },
            }
            for record in records
        ]
    }
