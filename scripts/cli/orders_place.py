"""Work orders for measurements: tables of the line in a local AWS, a maintenance system, and the function's queue."""

import heapq
import json
import random
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from telltale.adapters.cases import PENDING, Cases
from telltale.adapters.cmms.logbook import Logbook
from telltale.adapters.registry import Registry
from telltale.adapters.settings import WorkOrdersSettings
from telltale.core.detect import CaseChange
from telltale.core.plant import Position, Site

from cli.bench_place import KEY, REGION
from cli.orders_function import Clock, Faults, Function
from cli.peers import odoo

SITE = "plant"
TABLES = ("registry", "states", "cases", "ledger", "logbook")
APART_S = 120  # between two openings: never more than five in ten minutes, so that no flood of them shares an order
WORKERS = 2  # functions at once, each in a process of its own
BATCH = 10  # messages that the function gets at once (infra/triggers.py)
VISIBLE_AGAIN_S = 720  # a message whose function died or failed by itself (infra/messages.py)
DELIVERIES = 8  # of a message, then it is a dead letter (infra/messages.py)
SWEEP_S = 60  # `sweep_minutes` of the stage
AT_ONCE = 16


@dataclass(frozen=True)
class System:
    """A maintenance system as it is set up for the site: what stands in the plant file, the site's secrets, and the
    cases that have an order in it, each once for every order, as itself says.
    """

    name: str
    settings: Mapping[str, Any]
    secrets: Mapping[str, str]
    orders: "Callable[[Place], Counter[str]]"
    asset: str | None = None


def real_odoo(server: odoo.Odoo, **settings: Any) -> System:
    """The orders are counted by what stands in their text, not by the external id that Telltale gave them."""

    def orders(_: Place) -> Counter[str]:
        mine = [["create_uid.login", "=", "telltale"]]
        found = server.ask("admin", "maintenance.request", "search_read", domain=mine, fields=["description"])
        return Counter(_case_in(one["description"] or "") for one in found)

    given = {"url": server.url, "database": server.database, "team": odoo.TEAM, **settings}
    return System("odoo", given, {"api_key": server.keys["telltale"], "hint_password": "hinted"}, orders, odoo.ASSET)


def logbook() -> System:
    def orders(place: Place) -> Counter[str]:
        book = Logbook(place.dynamodb, place.table("logbook"), place.clock)
        return Counter(entry.request.case_id for entry in book.entries())

    return System("logbook", {}, {}, orders)


def _case_in(text: str) -> str:
    at = text.find("case-")
    return text[at : at + 25] if at >= 0 else ""


@dataclass
class Place:
    """Tables, stream, topic and secrets of their own in the AWS at `url`, and a site with that maintenance system."""

    url: str
    system: System
    clock: Clock
    folder: Path
    name: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    def __post_init__(self) -> None:
        self.dynamodb, kinesis, sns, self.secrets = (
            self._client(one) for one in ("dynamodb", "kinesis", "sns", "secretsmanager")
        )
        for table in TABLES:
            self._make(table)
        kinesis.create_stream(StreamName=self.name, ShardCount=1)
        own = {SITE: dict(self.system.secrets)}
        given = {f"{table}_table": self.table(table) for table in TABLES} | {
            "features_stream": self.name,
            "topic_arn": sns.create_topic(Name=self.name)["TopicArn"],
            "webhook_secret_arn": self.secrets.create_secret(Name=f"{self.name}-webhook", SecretString="shared")["ARN"],
            "cmms_secrets_arn": self.secrets.create_secret(Name=self.name, SecretString=json.dumps(own))["ARN"],
        }
        self.environment = {one.upper(): given.get(one, "") for one in WorkOrdersSettings.__annotations__}
        self.environment |= {"AWS_ENDPOINT_URL": self.url, "AWS_DEFAULT_REGION": REGION, "AWS_ACCESS_KEY_ID": KEY}
        self.environment |= {"AWS_SECRET_ACCESS_KEY": KEY, "POWERTOOLS_METRICS_DISABLED": "true"}
        self.environment |= {"POWERTOOLS_LOG_LEVEL": "CRITICAL", "POWERTOOLS_METRICS_NAMESPACE": "Bench"}
        self.cases = Cases(self.dynamodb, self.table("cases"))
        self.registry = Registry(self.dynamodb, self.table("registry"))
        self.registry.put(Site(SITE, cmms=self.system.name, cmms_settings=self.system.settings))
        self._threads = ThreadPoolExecutor(AT_ONCE)

    def table(self, name: str) -> str:
        return f"{self.name}-{name}"

    def _client(self, service: str) -> Any:
        session = boto3.Session(region_name=REGION, aws_access_key_id=KEY, aws_secret_access_key=KEY)
        config = Config(max_pool_connections=AT_ONCE)
        return session.client(service, endpoint_url=self.url, config=config)  # type: ignore[call-overload] # any service

    def _make(self, table: str) -> None:
        """As infra/tables.py makes it; cases have the index on their outbox."""
        keys = [("outbox", "HASH"), ("changed_at", "RANGE")]
        index = {
            "IndexName": "outbox",
            "KeySchema": [{"AttributeName": name, "KeyType": kind} for name, kind in keys],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
        kinds = {"pk": "S"} | ({"outbox": "S", "changed_at": "N"} if table == "cases" else {})
        self.dynamodb.create_table(
            TableName=self.table(table),
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in kinds.items()],
            BillingMode="PAY_PER_REQUEST",
            **({"GlobalSecondaryIndexes": [index]} if table == "cases" else {}),
        )

    def open(self, numbers: Sequence[int], *, of: int) -> list[str]:
        """Stores the cases of an asset each, the last of which opens now; answers their ids."""
        return list(self._threads.map(lambda number: self._open(number, of), numbers))

    def _open(self, number: int, of: int) -> str:
        now = self.clock()
        position = f"{SITE}/hall/pump-{number}/drive-end"
        opened_ms = now - (of - number) * APART_S * 1000
        case_id = "case-" + "".join(random.choices("abcdefghijklmnopqrstuvwxyz234567", k=20))
        change = CaseChange(
            case_id=case_id,
            revision=1,
            change="opened",
            t_ms=opened_ms,
            opened_ms=opened_ms,
            severity="ALARM",
            state="ALARM",
            rule="zone",
            channel="x",
            reason="x: 7.4 mm/s is above 7.1",
        )
        if self.system.asset:
            self.registry.put(Position(position, cmms_asset=self.system.asset, action="Grease the bearing"))
        self.cases.put(position, change, changed_at=now)
        return case_id

    def behind(self) -> int:
        """Cases whose order has not caught up with them."""
        return sum(1 for _ in self.cases.waiting(PENDING, before_ms=self.clock() + 1))

    def count(self, case_ids: Sequence[str]) -> dict[str, int]:
        """In the maintenance system itself."""
        found = self.system.orders(self)
        return {
            "cases": len(case_ids),
            "orders": sum(found.values()),
            "doubled": sum(max(0, found[case_id] - 1) for case_id in case_ids),
            "lost": sum(not found[case_id] for case_id in case_ids),
        }

    @contextmanager
    def functions(self, faults: Faults, number: int = WORKERS) -> Iterator[list[Function]]:
        with ExitStack() as until:
            made = [Function(self.environment, self.clock, faults) for _ in range(number)]
            for one in made:
                until.callback(one.close)
            yield made


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="telltale-orders-") as name:
        yield Path(name)


@dataclass(order=True)
class Message:
    """A message that names a case; seen again at `visible_ms`."""

    visible_ms: int
    id: int
    body: str = field(compare=False)
    deliveries: int = field(default=0, compare=False)

    def record(self) -> dict[str, Any]:
        return {
            "messageId": str(self.id),
            "receiptHandle": str(self.id),
            "body": self.body,
            "attributes": {"ApproximateReceiveCount": str(self.deliveries)},
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:{REGION}:000000000000:orders",
        }


class Line:
    """The queue before the functions and the clock that has them sweep: at least once, in batches, what fails again."""

    def __init__(self, place: Place, functions: Sequence[Function], *, sweep_s: float = SWEEP_S) -> None:
        self._place, self._functions, self._sweep_ms = place, functions, sweep_s * 1000
        self._queue: list[Message] = []
        self._number = 0
        self._next_sweep_ms = place.clock() + self._sweep_ms
        self._idle = list(functions)
        self._busy: dict[Function, list[Message]] = {}
        self.dead_letters = 0

    @property
    def waiting(self) -> int:
        """Messages that are there, in hand too."""
        return len(self._queue) + sum(map(len, self._busy.values()))

    @property
    def ready(self) -> int:
        """Messages that could be handed out now."""
        now = self._place.clock()
        return sum(message.visible_ms <= now for message in self._queue)

    def send(self, case_ids: Sequence[str]) -> None:
        self._put([json.dumps({"detail": {"case_id": case_id}}) for case_id in case_ids])

    def _put(self, bodies: Sequence[str]) -> None:
        for body in bodies:
            self._number += 1
            heapq.heappush(self._queue, Message(self._place.clock(), self._number, body))

    def work(self, *, within_s: float = 0.05) -> None:
        """Hands out what there is, and takes back what is done."""
        now = self._place.clock()
        while self._idle and now >= self._next_sweep_ms:
            self._next_sweep_ms = now + self._sweep_ms
            self._hand(self._idle.pop(), {"source": "aws.events"}, [])
        while self._idle and self._queue and self._queue[0].visible_ms <= now:
            batch: list[Message] = []
            while self._queue and len(batch) < BATCH and self._queue[0].visible_ms <= now:
                batch.append(heapq.heappop(self._queue))
            for message in batch:
                message.deliveries += 1
            self._hand(self._idle.pop(), {"Records": [message.record() for message in batch]}, batch)
        pipes = {one.pipe: one for one in self._busy}
        if not pipes:
            time.sleep(min(within_s, 0.01))
            return
        for pipe in wait(list(pipes), timeout=within_s):
            self._take(pipes[pipe])  # type: ignore[index]  # it answers what it was asked for

    def _hand(self, function: Function, event: Mapping[str, Any], batch: list[Message]) -> None:
        function.tell(event)
        self._busy[function] = batch

    def _take(self, function: Function) -> None:
        reply, batch = function.answer(), self._busy.pop(function)
        self._idle.append(function)
        now = self._place.clock()
        failed, again_s = {message.id for message in batch}, {}
        if reply is not None:
            self._put(reply.sent)
            again_s = dict(reply.again_s)
            if isinstance(reply.result, dict) and "batchItemFailures" in reply.result:
                failed = {int(one["itemIdentifier"]) for one in reply.result["batchItemFailures"]}
        for message in batch:
            if message.id not in failed:
                continue
            if message.deliveries >= DELIVERIES:
                self.dead_letters += 1
                continue
            message.visible_ms = now + again_s.get(str(message.id), VISIBLE_AGAIN_S) * 1000
            heapq.heappush(self._queue, message)

    def every(self, sweep_s: float) -> None:
        """From now on it sweeps so often, first when that time is over."""
        self._sweep_ms = sweep_s * 1000
        self._next_sweep_ms = self._place.clock() + self._sweep_ms

    def rest(self) -> None:
        """Until the functions have answered."""
        while self._busy:
            self.work()
