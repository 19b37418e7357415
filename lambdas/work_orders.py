"""Cases into work orders, and what technicians do back into cases: by message, by the clock, by a signed hint."""

import base64
import json
import math
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError
from telltale.adapters.aws import client
from telltale.adapters.cases import Case, Cases
from telltale.adapters.cmms.logbook import Logbook
from telltale.adapters.cmms.port import CmmsBusy, Forged
from telltale.adapters.cmms.systems import Systems
from telltale.adapters.feature_stream import encode_control, encode_order
from telltale.adapters.kinesis import failures, put_all
from telltale.adapters.ledger import Ledger
from telltale.adapters.links import LinkKeys, Links
from telltale.adapters.orders import Held, NoSuchCase, Worker
from telltale.adapters.outages import Calls
from telltale.adapters.registry import Registry
from telltale.adapters.settings import WorkOrdersSettings
from telltale.adapters.states import States
from telltale.core.detect import Control, State
from telltale.core.errors import RetryLater
from telltale.core.orders import OrderChange
from telltale.core.replies import BadReply, Reply

ONE_CASE_MS = 40_000  # three calls to a maintenance system that takes all the time it is given
# Deliveries of a message whose maintenance system says "later": eight minutes of them (30 s, 60 s, 120 s, 240 s apart).
# Then the sweep alone goes on, so that a system that is down for a day makes no dead letters.
TRIES = 5
SUBJECT = 99  # characters of a notice's subject, ASCII (SNS Publish, API reference)
MESSAGES_A_CALL = 10  # SQS SendMessageBatch, API reference
TOKEN = "telltale-url-token"  # header under which a token at the end of a message's address reaches the adapter
NO_CASE_S = 60  # until a case is looked for again that is not there yet (guess)
NO_PICTURE = ("NoSuchKey", "AccessDenied")  # the second one where a function may read pictures and not list them

log = Logger(service="work_orders")
metrics = Metrics(namespace="Telltale", service="work_orders")


@dataclass(frozen=True)
class Message:
    """What a message asks for; see Worker.settle."""

    case_id: str
    look: bool = False
    hurry: bool = False
    reply: Reply | None = None

    @property
    def asks(self) -> tuple[str, bool, bool, str]:
        """Equal for messages that ask for the same."""
        return self.case_id, self.look, self.hurry, self.reply.id if self.reply else ""


class Poison(Exception):
    """No message of ours: it goes to the dead letters."""


@log.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    if "Records" in event:
        return failures(*_unsettled(event["Records"], context))
    if "http" in event.get("requestContext", {}):
        return {"statusCode": _hinted(event)}
    swept = worker().sweep(enough_time=lambda: _enough_time(context))
    metrics.add_metric("OrdersSwept", MetricUnit.Count, swept.settled + swept.sent)
    metrics.add_metric("OrdersWaiting", MetricUnit.Count, swept.waiting)
    return {"settled": swept.settled, "sent": swept.sent, "waiting": swept.waiting}


def _unsettled(records: Sequence[Mapping[str, Any]], context: LambdaContext) -> list[str]:
    """Ids of the messages that come again. What is asked for twice is done once."""
    done: set[object] = set()
    left = []
    for record in records:
        try:
            message = _message(record["body"])
        except Poison as poison:
            log.error("poison", extra={"message_id": record["messageId"], "body": record["body"], "why": str(poison)})
            metrics.add_metric("OrdersPoisoned", MetricUnit.Count, 1)
            _again(record, 0.0)  # at once, until SQS has counted enough of it
            left.append(record["messageId"])
            continue
        if message.asks in done:
            continue
        if _settled(message, record, context):
            done.add(message.asks)
        else:
            left.append(record["messageId"])
    return left


def _message(body: str) -> Message:
    """Raises Poison for what no later delivery makes better."""
    try:
        said = json.loads(body)
        case_id, reply = said["detail"]["case_id"], said.get("reply")
        if not isinstance(case_id, str):
            raise Poison(f"case_id is {case_id!r}, wanted a text")
        look, hurry = (said.get(name) is True for name in ("look", "hurry"))
        return Message(case_id, look, hurry, Reply.of(reply) if reply is not None else None)
    except (ValueError, KeyError, TypeError, AttributeError, BadReply) as error:
        raise Poison(f"{type(error).__name__}: {error}") from error


def _settled(message: Message, record: Mapping[str, Any], context: LambdaContext) -> bool:
    """Whether the message is done with. One that is not comes again, when the maintenance system may be ready."""
    try:
        if not _enough_time(context):
            raise CmmsBusy("no time left in this invocation", 0.0)
        worker().settle(message.case_id, look=message.look, hurry=message.hurry, reply=message.reply)
    except CmmsBusy as busy:
        log.warning("order has to wait", extra={"why": str(busy), "after_s": busy.after_s})
        metrics.add_metric("OrdersWaiting", MetricUnit.Count, 1)
        if isinstance(busy, Held) or int(record["attributes"]["ApproximateReceiveCount"]) >= TRIES:
            return True  # the case stays in the outbox, where the sweep finds it
        _again(record, busy.after_s or 0.0)
        return False
    except NoSuchCase:
        log.exception("no such case", extra={"message_id": record["messageId"], "body": record["body"]})
        metrics.add_metric("OrdersPoisoned", MetricUnit.Count, 1)
        _again(record, NO_CASE_S)
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
    """HTTP status for a message of a maintenance system, `POST /<site>` or `POST /<site>/<token>`: 202 looked at, 401
    not believed. A token in the address, there or as `?token=`, is given to the adapter as a header named TOKEN.
    """
    try:
        site, headers, body = _received(event)
        worker().hinted(site, headers, body)
    except (Forged, ValueError) as forged:
        log.warning("hint refused", extra={"why": str(forged)})
        metrics.add_metric("HintsRefused", MetricUnit.Count, 1)
        return 401
    except RetryLater as later:
        log.warning("order has to wait", extra={"why": str(later)})
        metrics.add_metric("OrdersWaiting", MetricUnit.Count, 1)
        return 503
    metrics.add_metric("HintsTaken", MetricUnit.Count, 1)
    return 202


def _received(event: Mapping[str, Any]) -> tuple[str, dict[str, str], bytes]:
    """Site, headers and body of a message. Raises ValueError for a body that is not what it says it is."""
    body = event.get("body") or ""
    raw = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
    site, _, in_path = event["rawPath"].strip("/").partition("/")
    token = in_path or (event.get("queryStringParameters") or {}).get("token", "")
    headers = {name: value for name, value in event["headers"].items() if name.lower() != TOKEN}
    return site, {**headers, TOKEN: token} if token else headers, raw


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

    def link(case: Case) -> str:
        made = Links(settings.pages_url, link_keys(settings.link_key_arn).current, now_ms)
        return made.evidence(case.change.case_id, opened_ms=case.change.opened_ms)

    def picture(key: str) -> bytes | None:
        try:
            return bytes(kept("s3").get_object(Bucket=settings.lake_bucket, Key=key)["Body"].read())
        except ClientError as error:
            if error.response["Error"]["Code"] not in NO_PICTURE:
                raise
            return None

    def send(case_ids: Sequence[str], asks: Mapping[str, bool]) -> None:
        bodies = [json.dumps({"detail": {"case_id": case_id}, **asks}) for case_id in case_ids]
        for first in range(0, len(bodies), MESSAGES_A_CALL):
            entries = [
                {"Id": str(number), "MessageBody": body}
                for number, body in enumerate(bodies[first : first + MESSAGES_A_CALL])
            ]
            # One that SQS does not take is found by the next sweep.
            kept("sqs").send_message_batch(QueueUrl=settings.orders_queue_url, Entries=entries)

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
            budget=Calls(dynamodb, settings.ledger_table, now_ms, time.sleep).spend,
        ).of,
        quiet=quiet,
        control=control,
        keep=keep,
        notify=notify,
        now_ms=now_ms,
        link=link,
        picture=picture,
        send=send,
    )


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@cache
def link_keys(arn: str) -> LinkKeys:
    return LinkKeys(kept("secretsmanager"), arn)


@cache
def kept(service: str) -> Any:
    return client(service)
