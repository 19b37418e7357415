"""Feature rows in; verdicts, states, cases and events out."""

import os
import time
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from telltale.adapters.aws import client
from telltale.adapters.cases import Cases
from telltale.adapters.detection import Detection
from telltale.adapters.events import Events
from telltale.adapters.examiner import Examiner
from telltale.adapters.kinesis import by_shard, failures, stream_name
from telltale.adapters.monitron_stream import MonitronStream, account_of
from telltale.adapters.pictures import Pictures
from telltale.adapters.receipts import BatchLog, Receipt
from telltale.adapters.registry import Cached, Registry
from telltale.adapters.settings import DetectSettings
from telltale.adapters.states import States
from telltale.adapters.waveforms import Waveforms

PLANT_S = 60.0  # how long a change of the plant may go unnoticed
# What a case may wait for its waveforms, about: a file of a megabyte takes some 50 ms.
IMPATIENT = Config(connect_timeout=2, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 2})

log = Logger(service="detect_anomalies")
metrics = Metrics(namespace="Telltale", service="detect_anomalies")


@log.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    metrics.add_metric("RecordsDelivered", MetricUnit.Count, len(event["Records"]))
    batches, judging = batch_log(stream_name(event)), detection()
    runs = [
        batches.run(shard, records, judging.decide, judging.carry_out) for shard, records in by_shard(event).items()
    ]
    for receipt in (receipt for ran in runs for receipt in ran.receipts):
        _count(receipt)
    return failures(*(ran.retry_from for ran in runs if ran.retry_from is not None))


def _count(receipt: Receipt) -> None:
    metrics.add_metric("RowsJudged", MetricUnit.Count, receipt.stored)
    metrics.add_metric("RowsRepeated", MetricUnit.Count, receipt.duplicate)
    metrics.add_metric("RowsQuarantined", MetricUnit.Count, receipt.quarantined)
    for effect in receipt.effects["cases"]:
        change = effect["change"]
        metrics.add_metric(f"Cases{change['change'].capitalize()}", MetricUnit.Count, 1)
        log.info("case %s", change["change"], extra={"case_id": change["case_id"], "position": effect["position"]})
        if "diagnosis" in change["evidence"]:
            made = "verdict" in change["evidence"]["diagnosis"]
            metrics.add_metric("CasesDiagnosed" if made else "CasesNotDiagnosed", MetricUnit.Count, 1)


@cache
def batch_log(stream: str) -> BatchLog:
    settings = DetectSettings.from_env(os.environ)
    return BatchLog(
        client("s3"),
        client("dynamodb"),
        bucket=settings.lake_bucket,
        table=settings.progress_table,
        stream=stream,
        function="detect_anomalies",
        now_ms=now_ms,
    )


@cache
def detection() -> Detection:
    settings, dynamodb = DetectSettings.from_env(os.environ), client("dynamodb")
    waveforms = Waveforms(client("s3", config=IMPATIENT), settings.lake_bucket)
    return Detection(
        states=States(dynamodb, settings.states_table),
        cases=Cases(dynamodb, settings.cases_table),
        events=Events(client("events"), settings.bus_name),
        registry=Cached(Registry(dynamodb, settings.registry_table), PLANT_S),
        examiner=Examiner(waveforms),
        pictures=Pictures(client("s3"), settings.lake_bucket, waveforms),
        now_ms=now_ms,
        monitron=_monitron(settings),
    )


def _monitron(settings: DetectSettings) -> MonitronStream | None:
    """The stream in Monitron's format, where the stage has one."""
    if not settings.monitron_stream:
        return None
    account = account_of(settings.topic_arn)
    return MonitronStream(
        client("kinesis", config=IMPATIENT), settings.monitron_stream, account, undelivered=_undelivered
    )


def _undelivered(count: int, code: str, error: str) -> None:
    metrics.add_metric("MonitronEventsUndelivered", MetricUnit.Count, count)
    log.error("the Monitron stream did not take %d events", count, extra={"errorCode": code, "errorMessage": error})


def now_ms() -> int:
    return time.time_ns() // 1_000_000
