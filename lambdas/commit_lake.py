"""By the clock: data files that the other functions wrote become part of the Iceberg tables."""

import logging
import os
import time
from dataclasses import asdict
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from telltale.adapters.aws import client
from telltale.adapters.commit import AT_ONCE, Committer
from telltale.adapters.lake import Lake, file_access, glue_catalog
from telltale.adapters.lease import Busy
from telltale.adapters.settings import CommitSettings
from telltale.core import schema

SPARE_MS = 60_000  # a commit of a full plan takes less: 9 s of processor time for 1,000 files (docs/lake-figures.md)

log = Logger(service="commit_lake")
metrics = Metrics(namespace="Telltale", service="commit_lake")
# Waveforms are written without statistics, for nobody filters by samples, and PyIceberg warns of that for each file at
# each commit. What else it warns of there are regions and types that our tables do not have.
logging.getLogger("pyiceberg.io.pyarrow").setLevel(logging.ERROR)


@log.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    committer = Committer(owner=context.aws_request_id, **_collaborators())
    until_ms = _now_ms() + context.get_remaining_time_in_millis()
    try:
        commits = committer.run(until_ms=until_ms, spare_ms=SPARE_MS)
    except Busy as busy:
        log.info("nothing committed: %s", busy)
        commits = []
    for commit in commits:
        log.info("committed", extra=asdict(commit))
    receipts = sum(commit.receipts for commit in commits)
    metrics.add_metric("ReceiptsCommitted", MetricUnit.Count, receipts)
    metrics.add_metric("FilesCommitted", MetricUnit.Count, sum(commit.files for commit in commits))
    return {"commits": len(commits), "receipts": receipts}


@cache
def _collaborators() -> dict[str, Any]:
    settings = CommitSettings.from_env(os.environ)
    lake = Lake(
        glue_catalog(client("glue"), file_access(os.environ)),
        database=settings.glue_database,
        location=f"s3://{settings.lake_bucket}/lake",
    )
    for table in schema.TABLES:  # from the first run on: a query that names a table that is not there fails
        lake.ensure(table)
    return {
        "s3": client("s3", Config(max_pool_connections=AT_ONCE)),  # of ten, which is the default, six would be dropped
        "dynamodb": client("dynamodb"),
        "lake": lake,
        "bucket": settings.lake_bucket,
        "table": settings.progress_table,
        "now_ms": _now_ms,
    }


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
