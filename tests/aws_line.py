"""The parts of the line around a case, on moto, with a clock that tests turn."""

import base64
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import boto3
from moto import mock_aws
from telltale.adapters.cases import Cases
from telltale.adapters.cmms.logbook import Logbook
from telltale.adapters.cmms.port import Cmms
from telltale.adapters.events import Events
from telltale.adapters.ledger import Ledger
from telltale.adapters.orders import Worker
from telltale.adapters.registry import Registry
from telltale.adapters.states import States
from telltale.core.detect import CaseChange, Control
from telltale.core.orders import OrderChange
from telltale.core.plant import Assignment, Gateway, Limits, Position, Sensor, Site

START_MS = 1_790_000_000_000
POSITION = "plant/hall/pump-7/motor-de"
TABLES = ("registry", "states", "cases", "ledger", "logbook", "progress")


@dataclass
class Clock:
    """Milliseconds, turned by hand."""

    now_ms: int = START_MS

    def __call__(self) -> int:
        return self.now_ms

    def s(self) -> float:
        return self.now_ms / 1000

    def go(self, *, s: float) -> None:
        self.now_ms += round(s * 1000)


@dataclass
class Aws:
    """Clients, and what arrives where people and other systems would see it."""

    dynamodb: Any
    s3: Any
    kinesis: Any
    sqs: Any
    events: Any
    sns: Any
    secrets: Any
    queue: str = ""
    dead_letters: str = ""
    bus_queue: str = ""
    topic: str = ""
    notices_queue: str = ""
    secret: str = ""
    cmms_secrets: str = ""

    def notices(self) -> list[str]:
        """Subjects of the notices that a person got since the last look."""
        return [json.loads(body)["Subject"] for body in self.received(self.notices_queue)]

    def heard(self) -> list[dict[str, Any]]:
        """Events on the bus since the last look: detail with its `kind`."""
        events = [json.loads(body) for body in self.received(self.bus_queue)]
        return [{"kind": event["detail-type"], **event["detail"]} for event in events]

    def received(self, url: str) -> list[str]:
        bodies = []
        while batch := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in batch:
                bodies.append(message["Body"])
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return bodies


@cache
def client(service: str) -> Any:
    """Made once, for it takes longer than a test; what it reaches is whatever moto is active."""
    return boto3.client(service)  # type: ignore[call-overload]  # any service


@contextmanager
def tables() -> Iterator[Aws]:
    """An account with the stack's tables, and nothing else yet."""
    with mock_aws():
        names = ("dynamodb", "s3", "kinesis", "sqs", "events", "sns", "secretsmanager")
        made = Aws(*(client(name) for name in names))
        for table in TABLES:
            make_table(made.dynamodb, table)
        yield made


@contextmanager
def aws() -> Iterator[Aws]:
    """An account with the stack's tables, streams, queues, bus and topic."""
    with tables() as made:
        made.s3.create_bucket(Bucket="lake")
        for stream in ("captures", "features"):
            made.kinesis.create_stream(StreamName=stream, ShardCount=1)
        made.queue, made.dead_letters, made.bus_queue, made.notices_queue = (
            made.sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("orders", "dead", "bus-queue", "notices")
        )
        made.events.create_event_bus(Name="bus")
        _rule(made, "all", {"source": ["telltale"]}, made.bus_queue)
        _rule(made, "cases", {"source": ["telltale"], "detail-type": [{"prefix": "Case "}]}, made.queue)
        made.topic = made.sns.create_topic(Name="notices")["TopicArn"]
        made.sns.subscribe(TopicArn=made.topic, Protocol="sqs", Endpoint=_arn(made, made.notices_queue))
        made.secret = made.secrets.create_secret(Name="webhook", SecretString="shared")["ARN"]
        made.cmms_secrets = made.secrets.create_secret(Name="cmms", SecretString="{}")["ARN"]
        yield made


def make_table(dynamodb: Any, name: str, kind: str | None = None) -> None:
    """A table as the stack makes it; cases have the index on their outbox."""
    index = {
        "IndexName": "outbox",
        "KeySchema": [
            {"AttributeName": "outbox", "KeyType": "HASH"},
            {"AttributeName": "changed_at", "KeyType": "RANGE"},
        ],
        "Projection": {"ProjectionType": "KEYS_ONLY"},
    }
    attributes = {"pk": "S"} | ({"outbox": "S", "changed_at": "N"} if (kind or name) == "cases" else {})
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in attributes.items()],
        BillingMode="PAY_PER_REQUEST",
        **({"GlobalSecondaryIndexes": [index]} if (kind or name) == "cases" else {}),
    )


def plant(cmms: str = "logbook", **settings: Any) -> list[Site | Position | Sensor | Gateway]:
    """One site with one pump, its sensor and its gateway."""
    limits = Limits(velocity_warning_mm_s=4.5, velocity_alarm_mm_s=7.1)
    return [
        Site("plant", cmms=cmms, cmms_settings=settings),
        Position(POSITION, name="motor DE", asset_name="Pump 7", limits=limits, action="Grease the bearing"),
        Sensor("s-1", (Assignment(POSITION),), gateway="g-1"),
        Gateway("g-1", "plant"),
    ]


def change(revision: int = 1, what: str = "opened", **fields: Any) -> CaseChange:
    """A change of the case at POSITION."""
    values: dict[str, Any] = {
        "case_id": "case-" + "a" * 20,
        "revision": revision,
        "change": what,
        "t_ms": START_MS,
        "opened_ms": START_MS,
        "severity": "WARNING",
        "state": "WARNING",
        "rule": "zone",
        "channel": "x",
        "reason": "x: 4.8 mm/s is above 4.5",
        "evidence": {"capture_ids": ["s-1@1"], "verdicts": []},
    }
    return CaseChange(**{**values, **fields})


@dataclass
class Office:
    """Cases, the ledger and a maintenance system; `worker()` is another function instance each time."""

    aws: Aws
    clock: Clock
    cmms: Cmms
    cases: Cases
    controls: list[tuple[str, Control]] = field(default_factory=list)
    quiet: set[str] = field(default_factory=set)  # positions whose case alerts no more
    told: list[tuple[str, OrderChange]] = field(default_factory=list)  # of orders, for the lake
    notices: list[str] = field(default_factory=list)
    workers: int = 0

    def open(self, change: CaseChange, position: str = POSITION) -> str:
        """Detection stores a change of the case."""
        self.cases.put(position, change, changed_at=self.clock.now_ms)
        return change.case_id

    def worker(
        self, *, dynamodb: Any = None, cmms: Cmms | None = None, control: Any = None, keep: Any = None
    ) -> Worker:
        self.workers += 1
        client = dynamodb or self.aws.dynamodb
        return Worker(
            cases=Cases(client, "cases"),
            ledger=Ledger(client, "ledger", owner=f"worker-{self.workers}", now_ms=self.clock),
            registry=Registry(self.aws.dynamodb, "registry"),
            system=lambda _: cmms or self.cmms,
            quiet=lambda position: position in self.quiet,
            control=control or (lambda position, what: self.controls.append((position, what))),
            keep=keep or (lambda position, change: self.told.append((position, change))),
            notify=lambda subject, _: self.notices.append(subject),
            now_ms=self.clock,
        )


def office(made: Aws, clock: Clock, cmms: Cmms | None = None) -> Office:
    for item in plant():
        Registry(made.dynamodb, "registry").put(item)
    logbook = Logbook(made.dynamodb, "logbook", clock)
    return Office(made, clock, cmms or logbook, Cases(made.dynamodb, "cases"))


def adapters(made: Aws) -> tuple[States, Cases, Events, Registry]:
    return (
        States(made.dynamodb, "states"),
        Cases(made.dynamodb, "cases"),
        Events(made.events, "bus"),
        Registry(made.dynamodb, "registry"),
    )


def records(
    rows: Sequence[bytes], *, first: int = 1, shard: str = "shardId-000000000000", arrival_ms: int = START_MS
) -> list[dict[str, Any]]:
    """The Lambda event's records for these bytes, numbered from `first`."""
    return [
        {
            "eventID": f"{shard}:{number}",
            "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/features",
            "kinesis": {
                "sequenceNumber": str(number),
                "partitionKey": POSITION,
                "data": base64.b64encode(data).decode(),
                "approximateArrivalTimestamp": arrival_ms / 1000,
            },
        }
        for number, data in enumerate(rows, start=first)
    ]


def _rule(made: Aws, name: str, pattern: dict[str, Any], queue: str) -> None:
    made.events.put_rule(Name=name, EventBusName="bus", EventPattern=json.dumps(pattern))
    made.events.put_targets(Rule=name, EventBusName="bus", Targets=[{"Id": "q", "Arn": _arn(made, queue)}])


def _arn(made: Aws, url: str) -> str:
    answer = made.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return str(answer["Attributes"]["QueueArn"])


def stream_records(made: Aws, name: str) -> list[bytes]:
    """What is on a stream of one shard."""
    [shard] = made.kinesis.list_shards(StreamName=name)["Shards"]
    found = made.kinesis.get_shard_iterator(StreamName=name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")
    return [record["Data"] for record in made.kinesis.get_records(ShardIterator=found["ShardIterator"])["Records"]]
