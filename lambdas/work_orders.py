"""Cases into work orders, and what technicians do back into cases: by message, by the clock, by a signed hint."""

import base64
import json
import math
import os
import time
import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from telltale.adapters.aws import client
from telltale.adapters.cases import Cases
from telltale.adapters.cmms.logbook import Logbook
from telltale.adapters.cmms.port import CmmsBusy, Forged
from telltale.adapters.cmms.systems import Systems
from telltale.adapters.feature_stream import encode_control, encode_order
from telltale.adapters.kinesis import failures, put_all
from telltale.adapters.ledger import Ledger
from telltale.adapters.orders import Worker
from telltale.adapters.registry import Registry
from telltale.adapters.settings import WorkOrdersSettings
from telltale.adapters.states import States
from telltale.core.detect import Control, State
from telltale.core.errors import RetryLater
from telltale.core.orders import OrderChange

ONE_CASE_MS = 40_000  # three calls to a maintenance system that takes all the time it is given
# Deliveries of a message whose maintenance system says "later": eight minutes of them (30 s, 60 s, 120 s, 240 s apart).
# Then the sweep alone goes on, so that a system that is down for a day makes no dead letters.
TRIES = 5
SUBJECT = 99  # characters of a notice's subject, ASCII (SNS Publish, API reference)

log = Logger(service="work_orders")
metrics = Metrics(namespace="Telltale", service="work_orders")


@log.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    if "Records" in event:
        return failures(*(record["messageId"] for record in event["Records"] if not _settled(record, context)))
    if "http" in event.get("requestContext", {}):
        return {"statusCode": _hinted(event)}
    swept = worker().sweep(enough_time=lambda: _enough_time(context))
    metrics.add_metric("OrdersSwept", MetricUnit.Count, swept.settled)
    metrics.add_metric("OrdersWaiting", MetricUnit.Count, swept.waiting)
    return {"settled": swept.settled, "waiting": swept.waiting}


def _settled(record: Mapping[str, Any], context: LambdaContext) -> bool:
    """Whether the message is done with. One that is not comes again, when the maintenance system may be ready."""
    try:
        if not _enough_time(context):
            raise CmmsBusy("no time left in this invocation", 0.0)
        worker().settle(json.loads(record["body"])["detail"]["case_id"])
    except CmmsBusy as busy:
        log.warning("order has to wait", extra={"why": str(busy), "after_s": busy.after_s})
        metrics.add_metric("OrdersWaiting", MetricUnit.Count, 1)
        if int(record["attributes"]["ApproximateReceiveCount"]) >= TRIES:
            return True  # the case stays in the outbox, where the sweep finds it
        _again(record, busy.after_s or 0.0)
        return False
    except Exception:
        log.exception("message failed", extra={"message_id": record["messageId"], "body": record["body"]})
        metrics.add_metric("OrdersFailed", MetricUnit.Count, 1)
        return False
    metrics.add_metric("OrdersSettled", MetricUnit.Count, 1)
    return True


def _again(record: Mapping[str, Any], after_s: float) -> None:
    _, _, _, _, account, name = record["eventSourceARN"].split(":")
    sqs = kept("sqs")
    url = sqs.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
    sqs.change_message_visibility(
        QueueUrl=url, ReceiptHandle=record["receiptHandle"], VisibilityTimeout=math.ceil(after_s)
    )


def _hinted(event: Mapping[str, Any]) -> int:
    """HTTP status for a message of a maintenance system, `POST /<site>`: 202 looked at, 401 not believed."""
    body = event.get("body") or ""
    raw = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
    try:
        worker().hinted(event["rawPath"].strip("/"), event["headers"], raw)
    except Forged as forged:
        log.warning("hint refused", extra={"why": str(forged), "path": event["rawPath"]})
        metrics.add_metric("HintsRefused", MetricUnit.Count, 1)
        return 401
    except RetryLater as later:
        log.warning("order has to wait", extra={"why": str(later)})
        metrics.add_metric("OrdersWaiting", MetricUnit.Count, 1)
        return 503
    metrics.add_metric("HintsTaken", MetricUnit.Count, 1)
    return 202


def _enough_time(context: LambdaContext) -> bool:
    return context.get_remaining_time_in_millis() > ONE_CASE_MS


def worker() -> Worker:
    """One for each message: its id is what keeps it apart from others at the same case."""
    settings, dynamodb = WorkOrdersSettings.from_env(os.environ), kept("dynamodb")
    logbook = Logbook(dynamodb, settings.logbook_table, now_ms)

    def control(position: str, what: Control) -> None:
        put_all(kept("kinesis"), settings.features_stream, [(position, encode_control(position, what))])

    def keep(position: str, change: OrderChange) -> None:
        put_all(kept("kinesis"), settings.features_stream, [(position, encode_order(position, change))])

    def quiet(position: str) -> bool:
        held = States(dynamodb, settings.states_table).get([position]).get(position)
        case = State.unpack(held.core).open_case if held else None
        return case is None or case.quiet_since_ms is not None

    def notify(subject: str, text: str) -> None:
        metrics.add_metric("OrdersRefused", MetricUnit.Count, 1)
        plain = subject.encode("ascii", "replace").decode()[:SUBJECT]
        kept("sns").publish(TopicArn=settings.topic_arn, Subject=plain, Message=text)

    return Worker(
        cases=Cases(dynamodb, settings.cases_table),
        ledger=Ledger(dynamodb, settings.ledger_table, owner=str(uuid.uuid4()), now_ms=now_ms),
        registry=Registry(dynamodb, settings.registry_table),
        system=Systems(
            logbook,
            kept("secretsmanager"),
            secrets_arn=settings.cmms_secrets_arn,
            webhook_arn=settings.webhook_secret_arn,
            now_ms=now_ms,
        ).of,
        quiet=quiet,
        control=control,
        keep=keep,
        notify=notify,
        now_ms=now_ms,
    )


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@cache
def kept(service: str) -> Any:
    return client(service)
