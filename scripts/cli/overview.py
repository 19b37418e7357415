"""One look at a deployment: what came in, what was judged, states, cases, orders, lag."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from boto3.dynamodb.types import TypeDeserializer
from telltale.adapters.changed_days import ChangedDays, oldest_ms
from telltale.adapters.states import TAGS
from telltale.core.cases import OVER

from cli import staleness
from cli.deployment import Deployment

Item = Mapping[str, Any]
SILENT = ("stale", "disconnected")  # of a sensor, of a gateway: adapters/presence.py
_read = TypeDeserializer().deserialize


@dataclass(frozen=True)
class Counts:
    """Records of one stream that are finished: records = stored + duplicate + quarantined."""

    records: int = 0
    stored: int = 0
    duplicate: int = 0
    quarantined: int = 0


@dataclass(frozen=True)
class Aggregates:
    """How the daily aggregates stand: days that wait for theirs and since when the first one does, and the last run."""

    waiting: int
    since_ms: int | None
    ran_ms: int | None
    problem: str | None


@dataclass(frozen=True)
class Overview:
    """A snapshot. `positions` and `cases` are items of their tables; times are epoch milliseconds."""

    t_ms: int
    captures: Counts
    features: Counts
    positions: tuple[Item, ...]
    cases: tuple[Item, ...]
    silent: tuple[str, ...]
    tags: Mapping[str, Item] = field(default_factory=dict)  # by position: what is kept of each tag that is watched
    stale: Mapping[str, int] = field(default_factory=dict)  # position with an open case → when it was last heard
    aggregates: Aggregates | None = None

    @property
    def lags_s(self) -> list[float]:
        """Seconds from the receipt of a capture until its position's state was written, for each position."""
        return [(p["judged_at"] - p["last_received_ms"]) / 1000 for p in self.positions if "judged_at" in p]

    @property
    def case_lags_s(self) -> list[float]:
        """Seconds from the receipt of the capture that changed a case until the case could be seen."""
        return [c["lag_ms"] / 1000 for c in self.cases if "lag_ms" in c]


def percentile(values: list[float], share: float) -> float | None:
    return float(np.percentile(values, share)) if values else None


def look(deployment: Deployment) -> Overview:
    """Reads the tables; costs a scan of states and cases."""
    outputs = deployment.outputs
    states = list(_scan(deployment, outputs["StatesTable"]))
    cases = tuple(sorted(_scan(deployment, outputs["CasesTable"]), key=lambda c: c["opened_ms"]))
    open_at = {case["position"] for case in cases if case["change"] not in OVER}
    heard_ms = {state["pk"]: state.get("last_received_ms", 0) for state in states if state["pk"] in open_at}
    return Overview(
        t_ms=int(time.time() * 1000),
        captures=_counts(deployment, outputs["CapturesStream"]),
        features=_counts(deployment, outputs["FeaturesStream"]),
        positions=tuple(sorted((s for s in states if "#" not in s["pk"]), key=lambda s: s["pk"])),
        cases=cases,
        tags={s["pk"].removeprefix(TAGS): json.loads(s["told"]) for s in states if s["pk"].startswith(TAGS)},
        silent=tuple(sorted(s["pk"].split("#", 1)[1] for s in states if s.get("presence") in SILENT)),
        stale=staleness.among(deployment, heard_ms) if heard_ms else {},
        aggregates=aggregates(deployment),
    )


def _counts(deployment: Deployment, stream: str) -> Counts:
    shards = deployment.client("kinesis").list_shards(StreamName=stream)["Shards"]
    keys = [{"pk": {"S": f"batch#{stream}#{shard['ShardId']}"}} for shard in shards]
    table = deployment.outputs["ProgressTable"]
    answer = deployment.client("dynamodb").batch_get_item(RequestItems={table: {"Keys": keys}})
    items = [_plain(item) for item in answer["Responses"].get(table, [])]
    return Counts(*(sum(int(item.get(f"n_{name}", 0)) for item in items) for name in Counts.__dataclass_fields__))


def aggregates(deployment: Deployment) -> Aggregates:
    """How the daily aggregates stand; two small reads."""
    days = ChangedDays(
        deployment.client("dynamodb"), deployment.outputs["ProgressTable"], now_ms=lambda: round(time.time() * 1000)
    )
    waiting, last = days.waiting(), days.last_run()
    return Aggregates(len(waiting), oldest_ms(waiting), last.ran_ms, last.problem)


def _scan(deployment: Deployment, table: str) -> Iterator[Item]:
    for page in deployment.client("dynamodb").get_paginator("scan").paginate(TableName=table):
        for item in page["Items"]:
            yield _plain(item)


def _plain(item: Mapping[str, Any]) -> Item:
    """The item's values, without the packed states, which are for the detector."""
    return {name: _number(_read(value)) for name, value in item.items() if not {"B", "M"} & value.keys()}


def _number(value: Any) -> Any:
    """DynamoDB answers Decimal; whole ones become int, the others float."""
    if hasattr(value, "as_integer_ratio") and not isinstance(value, int | float):
        return int(value) if value == int(value) else float(value)
    return value
