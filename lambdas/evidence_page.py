"""The page that work orders and notices link to: evidence, and what people answer."""

import base64
import json
import os
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from telltale.adapters.aws import client
from telltale.adapters.cases import Cases
from telltale.adapters.links import LinkKeys
from telltale.adapters.pages import HEADERS, Pages, Request, failed
from telltale.adapters.registry import Registry
from telltale.adapters.settings import PageSettings

log = Logger(service="evidence_page")
metrics = Metrics(namespace="Telltale", service="evidence_page")


@log.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    method = event["requestContext"]["http"]["method"]
    try:
        answer = pages().answer(_request(event))
    except Exception:
        log.exception("no page")
        answer = failed()
    # The path is a key to the page, so no log may have it.
    log.info("answered", extra={"method": method, "status": answer.status})
    metrics.add_metric(_counted(answer.status), MetricUnit.Count, 1)
    text = "" if method == "HEAD" else answer.body
    return {"statusCode": answer.status, "headers": {**HEADERS, **answer.headers}, "body": text}


def _request(event: Mapping[str, Any]) -> Request:
    body = event.get("body") or ""
    return Request(
        method=event["requestContext"]["http"]["method"],
        path=event["rawPath"],
        noted=(event.get("queryStringParameters") or {}).get("noted", ""),
        body=base64.b64decode(body) if event.get("isBase64Encoded") else body.encode(),
    )


def _counted(status: int) -> str:
    return "PagesFailed" if status == 500 else "PagesRefused" if status >= 400 else "PagesShown"


@cache
def pages() -> Pages:
    settings = PageSettings.from_env(os.environ)
    dynamodb = client("dynamodb")
    return Pages(
        keys=LinkKeys(client("secretsmanager"), settings.link_key_arn),
        cases=Cases(dynamodb, settings.cases_table),
        registry=Registry(dynamodb, settings.registry_table),
        s3=client("s3"),
        bucket=settings.lake_bucket,
        reply=sender(settings.orders_queue_url),
        unsubscribe=sender(settings.notices_queue_url) if settings.notices_queue_url else None,
        now_ms=lambda: now_ms(),
    )


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def sender(queue_url: str) -> Callable[[Mapping[str, Any]], None]:
    """Puts messages into the queue."""
    sqs = client("sqs")

    def send(message: Mapping[str, Any]) -> None:
        sqs.send_message(QueueUrl=queue_url, MessageBody=json.dumps(message))

    return send
