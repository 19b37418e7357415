"""By the clock: the tables are kept fit to read, and what nobody needs any more is deleted."""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from telltale.adapters.aws import client
from telltale.adapters.cases import Cases
from telltale.adapters.lake import Lake, file_access, glue_catalog
from telltale.adapters.lease import Busy
from telltale.adapters.maintenance import Failed, Maintenance
from telltale.adapters.registry import Registry
from telltale.adapters.retention import Retention
from telltale.adapters.settings import MaintainSettings
from telltale.core import schema

# What one group of files takes at the most, and what comes after it. A guess: half a gigabyte is read, sorted and
# written in a minute on one CPU, and the files of a few hundred snapshots are listed in another.
SPARE_MS = 240_000

log = Logger(service="maintain_lake")
metrics = Metrics(namespace="Telltale", service="maintain_lake")
logging.getLogger("pyiceberg.io.pyarrow").setLevel(logging.ERROR)  # as in commit_lake


@log.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """`event` may name one table, `{"table": "readings"}`; else it is all of them."""
    settings, lake = _parts()
    retention = _retention(settings, lambda: context.get_remaining_time_in_millis() > SPARE_MS)
    maintenance = Maintenance(
        client("s3"),
        client("dynamodb"),
        lake,
        bucket=settings.lake_bucket,
        table=settings.progress_table,
        owner=context.aws_request_id,
        now_ms=_now_ms,
        compact=settings.lake_engine == "function",
        age=retention.age,
    )
    wanted = [table for table in schema.TABLES if event.get("table") in {None, table.name}]
    until_ms = _now_ms() + context.get_remaining_time_in_millis()
    try:
        done = maintenance.run(wanted, until_ms=until_ms, spare_ms=SPARE_MS)
    except Busy as busy:
        log.info("nothing maintained: %s", busy)
        done = []
    except Failed:
        metrics.add_metric("MaintenanceFailed", MetricUnit.Count, 1)
        raise
    pictures = retention.age_pictures(client("s3"), settings.lake_bucket)
    for one in done:
        log.info("maintained", extra=asdict(one))
    rewritten = sum(one.rewritten for one in done)
    deleted = sum(one.removed + one.orphans for one in done) + pictures
    metrics.add_metric("FilesRewritten", MetricUnit.Count, rewritten)
    metrics.add_metric("FilesDeleted", MetricUnit.Count, deleted)
    return {"tables": len(done), "rewritten": rewritten, "deleted": deleted}


@cache
def _parts() -> tuple[MaintainSettings, Lake]:
    settings = MaintainSettings.from_env(os.environ)
    catalog = glue_catalog(client("glue"), file_access(os.environ))
    return settings, Lake(catalog, database=settings.glue_database, location=f"s3://{settings.lake_bucket}/lake")


def _retention(settings: MaintainSettings, enough_time: Callable[[], bool]) -> Retention:
    """With the rules and the open cases as they are now."""
    dynamodb = client("dynamodb")
    return Retention(
        dynamodb,
        Registry(dynamodb, settings.registry_table),
        Cases(dynamodb, settings.cases_table),
        table=settings.progress_table,
        now_ms=_now_ms,
        enough_time=enough_time,
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
