"""By the clock: the live models of assets judge what is new of their tags in the lake."""

import os
import time
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from telltale.adapters.asset_history import AssetHistory
from telltale.adapters.aws import client
from telltale.adapters.events import Events
from telltale.adapters.lake import file_access, glue_catalog
from telltale.adapters.models import Models
from telltale.adapters.receipts import BatchLog
from telltale.adapters.registry import Registry
from telltale.adapters.scoring import FUNCTION, STREAM, Scoring, Standings
from telltale.adapters.settings import ScoreSettings

SPARE_MS = 60_000  # one asset takes a few seconds; those that are left come first the next time. A guess

log = Logger(service="score_assets")
metrics = Metrics(namespace="Telltale", service="score_assets")


class Unscored(Exception):
    """Some assets could not be scored; the log says which, and why."""


@log.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    models, scoring = parts()
    rows, failed, left = 0, 0, 0
    for live in _in_turn(models):
        if context.get_remaining_time_in_millis() < SPARE_MS:
            left += 1
            continue
        try:
            rows += scoring.run(live)
        except Exception:  # whatever it is, the other assets go on; it is raised when they are done
            log.exception("%s was not scored", live.asset, extra={"model": live.version})
            failed += 1
    metrics.add_metric("AssetRowsScored", MetricUnit.Count, rows)
    metrics.add_metric("AssetsLeft", MetricUnit.Count, left)
    if failed:
        raise Unscored(f"{failed} assets were not scored, {rows} rows of others were")
    return {"rows": rows, "left": left}


def _in_turn(models: Models) -> list[Any]:
    """The assets, from another one on each minute: where time is short, the last ones come first in their turn."""
    live = models.all_live()
    first = (_now_ms() // 60_000) % len(live) if live else 0
    return live[first:] + live[:first]


@cache
def parts() -> tuple[Models, Scoring]:
    settings, dynamodb, s3 = ScoreSettings.from_env(os.environ), client("dynamodb"), client("s3")
    models = Models(s3, dynamodb, bucket=settings.lake_bucket, table=settings.models_table, now_ms=_now_ms)
    catalog = glue_catalog(client("glue"), file_access(os.environ))
    scoring = Scoring(
        models=models,
        history=AssetHistory(catalog, database=settings.glue_database),
        registry=Registry(dynamodb, settings.registry_table),
        standings=Standings(dynamodb, settings.models_table),
        log=BatchLog(
            s3,
            dynamodb,
            bucket=settings.lake_bucket,
            table=settings.progress_table,
            stream=STREAM,
            function=FUNCTION,
            now_ms=_now_ms,
        ),
        events=Events(client("events"), settings.bus_name),
        kinesis_client=client("kinesis"),
        features_stream=settings.features_stream,
        now_ms=_now_ms,
    )
    return models, scoring


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
