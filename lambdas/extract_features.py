"""Messages of sensors in; rows of the lake, feature records and quarantine out."""

import gc
import os
import time
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from telltale.adapters.aws import client
from telltale.adapters.events import Events
from telltale.adapters.extraction import Extraction
from telltale.adapters.kinesis import by_shard, failures, stream_name
from telltale.adapters.marks import Marks
from telltale.adapters.receipts import BatchLog, Receipt
from telltale.adapters.registry import Cached, Registry
from telltale.adapters.settings import ExtractSettings

PLANT_S = 60.0  # how long a change of the plant may go unnoticed

log = Logger(service="extract_features")
metrics = Metrics(namespace="Telltale", service="extract_features")

gc.freeze()  # what was imported stays: looking through it again with each batch costs as much as its features


@log.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    batches, extracting = batch_log(stream_name(event)), extraction()
    runs = [
        batches.run(shard, records, extracting.decide, extracting.carry_out)
        for shard, records in by_shard(event).items()
    ]
    metrics.add_metric("RecordsDelivered", MetricUnit.Count, len(event["Records"]))
    for receipt in (receipt for ran in runs for receipt in ran.receipts):
        _count(receipt)
    return failures(*(ran.retry_from for ran in runs if ran.retry_from is not None))


def _count(receipt: Receipt) -> None:
    metrics.add_metric("Captures", MetricUnit.Count, receipt.records)
    metrics.add_metric("CapturesStored", MetricUnit.Count, receipt.stored)
    metrics.add_metric("CapturesDuplicate", MetricUnit.Count, receipt.duplicate)
    metrics.add_metric("CapturesQuarantined", MetricUnit.Count, receipt.quarantined)
    for reason, count in receipt.effects["reasons"].items():
        with single_metric("CapturesQuarantinedFor", MetricUnit.Count, count, namespace="Telltale") as metric:
            metric.add_dimension("reason", reason)
        log.warning("quarantined %d for %s", count, reason, extra={"batch_id": receipt.batch_id})


@cache
def batch_log(stream: str) -> BatchLog:
    settings = ExtractSettings.from_env(os.environ)
    return BatchLog(
        client("s3"),
        client("dynamodb"),
        bucket=settings.lake_bucket,
        table=settings.progress_table,
        stream=stream,
        function="extract_features",
        now_ms=lambda: time.time_ns() // 1_000_000,
    )


@cache
def extraction() -> Extraction:
    settings, dynamodb = ExtractSettings.from_env(os.environ), client("dynamodb")
    return Extraction(
        registry=Cached(Registry(dynamodb, settings.registry_table), PLANT_S),
        marks=Marks(dynamodb, settings.progress_table),
        events=Events(client("events"), settings.bus_name),
        kinesis_client=client("kinesis"),
        features_stream=settings.features_stream,
    )
