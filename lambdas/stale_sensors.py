"""By the clock: sensors and gateways that have fallen silent, and those that are back."""

import os
import time
from collections import Counter
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from telltale.adapters.aws import client
from telltale.adapters.events import Events
from telltale.adapters.monitron_stream import MonitronStream, account_of
from telltale.adapters.presence import PresenceTable, watch
from telltale.adapters.registry import Registry
from telltale.adapters.settings import StaleSettings
from telltale.core.presence import KINDS, News

log = Logger(service="stale_sensors")
metrics = Metrics(namespace="Telltale", service="stale_sensors")


@log.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    news = look()
    for one in news:
        log.info(one.kind, extra={"id": one.id, "heard_ms": one.heard_ms})
    told = Counter(one.kind for one in news)
    for kind in KINDS:
        metrics.add_metric(kind.replace(" ", ""), MetricUnit.Count, told[kind])
    return dict(told)


def look() -> list[News]:
    registry, table, events, monitron = parts()
    return watch(registry, table, events, now_ms=lambda: time.time_ns() // 1_000_000, monitron=monitron)


@cache
def parts() -> tuple[Registry, PresenceTable, Events, MonitronStream | None]:
    settings, dynamodb = StaleSettings.from_env(os.environ), client("dynamodb")
    return (
        Registry(dynamodb, settings.registry_table),
        PresenceTable(dynamodb, settings.states_table),
        Events(client("events"), settings.bus_name),
        _monitron(settings),
    )


def _monitron(settings: StaleSettings) -> MonitronStream | None:
    """The stream in Monitron's format, where the stage has one."""
    if not settings.monitron_stream:
        return None
    account = account_of(settings.topic_arn)
    return MonitronStream(client("kinesis"), settings.monitron_stream, account, undelivered=_undelivered)


def _undelivered(count: int, code: str, error: str) -> None:
    metrics.add_metric("MonitronEventsUndelivered", MetricUnit.Count, count)
    log.error("the Monitron stream did not take %d events", count, extra={"errorCode": code, "errorMessage": error})
