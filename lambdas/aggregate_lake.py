"""By the clock: the days whose rows changed are aggregated anew, by Athena in AWS and by DuckDB on one computer."""

import os
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from telltale.adapters.aggregates import Aggregator
from telltale.adapters.answer import Engine
from telltale.adapters.athena import Athena
from telltale.adapters.aws import client
from telltale.adapters.changed_days import ChangedDays, oldest_ms
from telltale.adapters.lake import Lake, file_access, glue_catalog
from telltale.adapters.lease import Busy
from telltale.adapters.settings import AggregateSettings

SPARE_MS = 180_000  # seven days of two aggregates take less. A guess: queries of Athena on a week take tens of seconds

log = Logger(service="aggregate_lake")
metrics = Metrics(namespace="Telltale", service="aggregate_lake")


@log.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    aggregator, days = _parts()
    try:
        with days.alone(context.aws_request_id):
            done = aggregator.run(enough_time=lambda: context.get_remaining_time_in_millis() > SPARE_MS)
            days.succeeded()
    except Busy as busy:
        log.info("nothing aggregated: %s", busy)
        return {"days": 0, "left": 0}
    except Exception as error:  # whatever it is: `telltale status` shows it, and Lambda tries again
        days.failed(f"{type(error).__name__}: {error}")
        raise
    finally:
        oldest = oldest_ms(days.waiting())
        metrics.add_metric("AggregatesBehind", MetricUnit.Seconds, 0 if oldest is None else (_now_ms() - oldest) / 1000)
    log.info("aggregated", extra=vars(done))
    metrics.add_metric("DaysAggregated", MetricUnit.Count, done.days)
    return {"days": done.days, "left": done.left}


@cache
def _parts() -> tuple[Aggregator, ChangedDays]:
    settings = AggregateSettings.from_env(os.environ)
    catalog = glue_catalog(client("glue"), file_access(os.environ))
    lake = Lake(catalog, database=settings.glue_database, location=f"s3://{settings.lake_bucket}/lake")
    days = ChangedDays(client("dynamodb"), settings.progress_table, now_ms=_now_ms)
    engine = ENGINES[settings.query_engine](settings, catalog)
    return Aggregator(engine, lake, days, now_ms=_now_ms), days


def _athena(settings: AggregateSettings, catalog: Any) -> Engine:
    return Athena(client("athena"), settings.glue_database, settings.workgroup)


def _duckdb(settings: AggregateSettings, catalog: Any) -> Engine:
    from telltale.adapters.duck import Duck  # in no layer: only where there is no Athena

    return Duck(catalog, settings.glue_database)


ENGINES: dict[str, Callable[[AggregateSettings, Any], Engine]] = {"athena": _athena, "duckdb": _duckdb}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
