"""By the clock: models of assets that ask for it are trained again; a candidate that passes the gate goes live."""

import os
import time
from collections import Counter
from dataclasses import asdict
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from telltale.adapters.asset_history import AssetHistory
from telltale.adapters.aws import client
from telltale.adapters.cases import Cases
from telltale.adapters.events import Events
from telltale.adapters.lake import file_access, glue_catalog
from telltale.adapters.models import Models
from telltale.adapters.registry import Registry
from telltale.adapters.retraining import Retraining
from telltale.adapters.settings import TrainSettings
from telltale.adapters.trainer import Room, Trainer

SPARE_S = 120.0  # to read the lake and to store the model, beside the training itself. A guess
FULL = 0.8  # share of the memory that training may be estimated to take. A guess

log = Logger(service="train_models")
metrics = Metrics(namespace="Telltale", service="train_models")


class Untrained(Exception):
    """Some models could not be trained; the log says which, and why."""


@log.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    registry, retraining = parts()
    outcomes: Counter[str] = Counter()
    for asset in retraining.due(registry.plant().assets.values()):
        seconds = context.get_remaining_time_in_millis() / 1000 - SPARE_S
        if outcomes and seconds < SPARE_S:
            outcomes["left"] += 1  # for tomorrow: the longest not trained come first
            continue
        room = Room(int(context.memory_limit_in_mb) * 1e6 * FULL, seconds)
        try:
            outcome = retraining.train(asset, room=room)
        except Exception:  # whatever it is, the other assets go on; it is raised when they are done
            log.exception("%s was not trained", asset.id)
            outcomes["failed"] += 1
            continue
        log.info("trained", extra={"outcome": asdict(outcome)})
        outcomes[outcome.kind] += 1
    for kind in ("promoted", "candidate", "too big"):
        metrics.add_metric("Models" + kind.title().replace(" ", ""), MetricUnit.Count, outcomes[kind])
    if outcomes["failed"]:
        raise Untrained(f"{outcomes['failed']} models were not trained")
    return dict(outcomes)


@cache
def parts() -> tuple[Registry, Retraining]:
    settings, dynamodb = TrainSettings.from_env(os.environ), client("dynamodb")
    registry, events = Registry(dynamodb, settings.registry_table), Events(client("events"), settings.bus_name)
    models = Models(client("s3"), dynamodb, bucket=settings.lake_bucket, table=settings.models_table, now_ms=_now_ms)
    catalog = glue_catalog(client("glue"), file_access(os.environ))
    trainer = Trainer(
        models=models,
        history=AssetHistory(catalog, database=settings.glue_database),
        registry=registry,
        cases=Cases(dynamodb, settings.cases_table),
        now_ms=_now_ms,
    )
    retraining = Retraining(
        trainer=trainer,
        models=models,
        events=events,
        dynamodb=dynamodb,
        table=settings.models_table,
        now_ms=_now_ms,
    )
    return registry, retraining


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
