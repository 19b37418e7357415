"""Scores the live models of assets: what is new of each in the lake, each interval once.

The lake, and not the stream, is where rows come from: there the values of several positions lie side by side, in the
order of their time, and what was scored can be scored again. An interval is scored when each of the asset's positions
has been heard after its end, or PATIENCE_S later; what comes after that is late, and is never scored. adapters/
receipts.py makes sure that an interval counts once: the end of it is its sequence number, the asset is its shard.
"""

import base64
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from math import floor, nan
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from telltale import VERSION
from telltale.adapters import kinesis, parquet
from telltale.adapters.asset_history import AssetHistory, Heard
from telltale.adapters.events import Event, Events
from telltale.adapters.kinesis import Record
from telltale.adapters.models import Live, Models, Stored
from telltale.adapters.receipts import BatchLog, Decision, Receipt
from telltale.adapters.registry import Registry
from telltale.core import asset_model, model_scores, schema, tag_sources, tags
from telltale.core.asset_model import ANOMALY, OFF, Scores
from telltale.core.training import History

STREAM, FUNCTION = "models", "score_assets"  # the names of these batches among those of the streams
RECORD_VERSION = 1  # of the records on the stream `features`
PATIENCE_S = 900.0  # after an interval's end: a commit every five minutes, three times over. A guess
LATEST_S = 2 * 86_400.0  # what the lake gets later than that is not scored: a gateway that was cut off. A guess
CATCH_UP_ROWS = 1000  # scored silently before a version's first row: five times what the reference remembers
MOST_ROWS = 2000  # in one decision, so that its receipt stays small
TOP = 5  # tags that are named, of those that say most

Array = NDArray[Any]


@dataclass(frozen=True)
class Standing:
    """Where the scoring of an asset stands. `core` : asset_model.State, packed.

    until_s : end of the last interval scored.   off_value : last value of the tag that says whether the machine is off.
    """

    asset: str
    rev: int
    version: str
    core: bytes
    until_s: float
    alarms: bool
    off_value: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "core": base64.b64encode(self.core).decode()}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        return cls(**{**document, "core": base64.b64decode(document["core"])})


class Standings:
    """Where scoring stands, in the table of models: pk = scoring#<asset>. Moved only forward."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb, self._table = dynamodb, table

    def get(self, asset: str) -> Standing | None:
        answer = self._dynamodb.get_item(TableName=self._table, Key=_pk(asset), ConsistentRead=True)
        item = answer.get("Item")
        if item is None:
            return None
        return Standing(
            asset,
            int(item["rev"]["N"]),
            item["version"]["S"],
            bytes(item["core"]["B"]),
            float(item["until_s"]["N"]),
            item["alarms"]["BOOL"],
            float(item["off_value"]["N"]) if "off_value" in item else None,
        )

    def put(self, to: Standing) -> None:
        """A write whose `rev` is not above the stored one changes nothing."""
        item = _pk(to.asset) | {
            "rev": {"N": str(to.rev)},
            "version": {"S": to.version},
            "core": {"B": to.core},
            "until_s": {"N": repr(to.until_s)},
            "alarms": {"BOOL": to.alarms},
        }
        if to.off_value is not None:
            item["off_value"] = {"N": repr(to.off_value)}
        try:
            self._dynamodb.put_item(
                TableName=self._table,
                Item=item,
                ConditionExpression="attribute_not_exists(pk) OR rev < :rev",
                ExpressionAttributeValues={":rev": {"N": str(to.rev)}},
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return


class Scoring:
    """Scores assets of one lake."""

    def __init__(
        self,
        *,
        models: Models,
        history: AssetHistory,
        registry: Registry,
        standings: Standings,
        log: BatchLog,
        events: Events,
        kinesis_client: Any,
        features_stream: str,
        now_ms: Callable[[], int],
    ) -> None:
        self._models, self._history, self._registry = models, history, registry
        self._standings, self._log, self._events = standings, log, events
        self._kinesis, self._features_stream = kinesis_client, features_stream
        self._now_ms = now_ms
        self._loaded: dict[tuple[str, str], Stored] = {}

    def run(self, live: Live) -> int:
        """Scores what is new of one asset; how many rows that was."""
        stored = self._stored(live)
        held = self._standings.get(live.asset)
        new = self._new(stored, held.until_s if held else stored.known_s)  # the rows until then were replayed over
        decide = partial(self._decide, stored, new)
        scored = 0
        for first in range(0, max(len(new.times_s), 1), MOST_ROWS):
            records = [self._record(live.asset, end_s) for end_s in new.times_s[first : first + MOST_ROWS].tolist()]
            ran = self._log.run(live.asset, records, decide, self._carry_out)
            scored += sum(receipt.records for receipt in ran.receipts)
        return scored

    def _stored(self, live: Live) -> Stored:
        key = (live.asset, live.version)
        if key not in self._loaded:
            self._loaded = {of: one for of, one in self._loaded.items() if of[0] != live.asset}
            self._loaded[key] = self._models.get(*key)
        return self._loaded[key]

    def _new(self, stored: Stored, until_s: float) -> History:
        """The intervals that are complete and were not scored when last looked. What was imported is told to nobody."""
        now_s, every_s = self._now_ms() / 1000, stored.every_s
        from_s = max(until_s, every_s * floor((now_s - LATEST_S) / every_s))
        heard = self._history.read(
            stored.asset, stored.tags, every_s=every_s, from_s=from_s, to_s=now_s, imported=False
        )
        return complete(heard, tag_sources.of_positions(stored.tags, stored.asset), now_s=now_s)

    def _record(self, asset: str, end_s: float) -> Record:
        return Record(shard=asset, seq=str(round(end_s * 1000)), key=asset, data=b"", arrival_ms=self._now_ms())

    def _decide(self, stored: Stored, new: History, batch_id: str, fresh: Sequence[Record]) -> Decision:
        """What becomes of these intervals. Reads only."""
        wanted = np.array([int(record.seq) for record in fresh]) / 1000
        places = np.flatnonzero(np.isin(np.round(new.times_s, 3), wanted))
        rows = History(new.tags, new.times_s[places], new.values[places])
        held = self._standings.get(stored.asset)
        if held is None or held.version != stored.version or not _is_readable(held):
            before = self._caught_up(stored, float(rows.times_s[0]) - stored.every_s, held)
        else:
            before = held
        after, scores = scored(stored, before, rows)
        place = self._position(stored)
        said = _said(stored, rows.times_s, scores, position=place, scored_ms=self._now_ms())
        running = [one for one in said if one["prediction_reason"] != OFF]
        return Decision(
            stored=len(fresh),
            files=parquet.files(schema.SCORES, [{**one, "contributions": _listed(one)} for one in said]),
            effects={
                "features": [_feature_record(one) for one in running],
                "events": [event.as_dict() for event in _changes(running, before.alarms)],
                "standing": after.as_dict(),
            },
        )

    def _caught_up(self, stored: Stored, until_s: float, held: Standing | None) -> Standing:
        """Where a version would stand if it had scored the rows before; nothing is told of them."""
        first_s = max(stored.learned_s[1], until_s - CATCH_UP_ROWS * stored.every_s)
        rows = self._history.read(
            stored.asset, stored.tags, every_s=stored.every_s, from_s=first_s, to_s=until_s
        ).history
        start = asset_model.start(stored.model, after_training=True)
        rev, alarms = (held.rev, held.alarms) if held else (0, False)
        begun = Standing(stored.asset, rev, stored.version, asset_model.packed(start), until_s, alarms)
        after, _ = scored(stored, begun, rows)
        return Standing(stored.asset, rev, stored.version, after.core, until_s, alarms, after.off_value)

    def _position(self, stored: Stored) -> str:
        """Where the model opens its cases: as the plant file says, else the first of the positions its tags are of."""
        asset = self._registry.assets([stored.asset]).get(stored.asset)
        if asset is not None and asset.position is not None:
            return f"{stored.asset}/{asset.position}"
        return min(tag_sources.of_positions(stored.model.tags, stored.asset))

    def _carry_out(self, receipt: Receipt) -> None:
        """Rows for detection, then events, then where scoring stands; each may be done again, and changes nothing."""
        effects = receipt.effects
        rows = effects["features"]
        records = [(row["position"], json.dumps(row, separators=(",", ":")).encode()) for row in rows]
        kinesis.put_all(self._kinesis, self._features_stream, records)
        self._events.put([Event(**event) for event in effects["events"]])
        self._standings.put(Standing.from_dict(effects["standing"]))


def _is_readable(held: Standing) -> bool:
    """Packed by code that packs as this one does."""
    try:
        asset_model.unpacked(held.core)
    except ValueError:
        return False
    return True


def complete(heard: Heard, positions: Collection[str], *, now_s: float) -> History:
    """The rows whose intervals can be scored: every position was heard after their end, or PATIENCE_S have passed."""
    rows = heard.history
    slowest_s = min((heard.until_s.get(position, 0.0) for position in positions), default=0.0)
    count = int(np.searchsorted(rows.times_s, max(slowest_s, now_s - PATIENCE_S), side="right"))
    return History(rows.tags, rows.times_s[:count], rows.values[:count])


def scored(stored: Stored, before: Standing, rows: History) -> tuple[Standing, Scores]:
    """Where scoring stands after these rows, and what is said of each."""
    off, off_value = _off(stored, rows, before.off_value)
    state = asset_model.unpacked(before.core)
    state, scores = asset_model.score(stored.model, state, rows.of(stored.model.tags), off=off)
    running = np.flatnonzero(~off)
    alarms = bool(scores.is_anomaly[running[-1]]) if len(running) else before.alarms
    until_s = float(rows.times_s[-1]) if len(rows.times_s) else before.until_s
    core = asset_model.packed(state)
    return Standing(stored.asset, before.rev + 1, stored.version, core, until_s, alarms, off_value), scores


def _off(stored: Stored, rows: History, last: float | None) -> tuple[Array, float | None]:
    """(rows,) bool, the machine is off; and the last value that says so. A missing one says nothing new."""
    rule = stored.off_rule
    if rule is None:
        return np.zeros(len(rows.times_s), bool), None
    column = np.concatenate([[nan if last is None else last], rows.of([rule.tag])[:, 0]])
    known = column[np.isfinite(column)]
    return np.asarray(tags.is_off(column, rule=rule)[1:], bool), float(known[-1]) if len(known) else None


# ---- what is told ----------------------------------------------------------------------------------------------------


def _said(stored: Stored, times_s: Array, scores: Scores, *, position: str, scored_ms: int) -> list[dict[str, Any]]:
    """Rows of the table SCORES, with contributions as a mapping."""
    rows = []
    for place, (end_s, reason) in enumerate(zip(times_s.tolist(), scores.reasons, strict=True)):
        off = reason == OFF
        score = None if off else float(scores.score[place])
        rows.append(
            {
                "asset": stored.asset,
                "site": stored.asset.split("/")[0],
                "position": position,
                "t": round(end_s * 1000),
                "scored_at": scored_ms,
                "model": stored.version,
                "score": score,
                "deviation": None if score is None else score / (1 - score),
                "prediction": int(reason == ANOMALY),
                "prediction_reason": reason,
                "contributions": {} if off else _top(stored.model.tags, scores.contributions[place]),
                "code_version": VERSION,
            }
        )
    return rows


def _top(names: Sequence[str], shares: Array) -> dict[str, float]:
    order = np.argsort(-shares, kind="stable")[:TOP]
    return {names[place]: round(float(shares[place]), 4) for place in order}


def _listed(row: Mapping[str, Any]) -> str | None:
    """Contributions as Lookout for Equipment wrote them: names and values."""
    shares = row["contributions"].items()
    return json.dumps([{"name": tag, "value": share} for tag, share in shares]) if shares else None


def _feature_record(row: Mapping[str, Any]) -> dict[str, Any]:
    """What detection is told: a deviation that has the model's own hysteresis in it."""
    anomaly = row["prediction_reason"] == ANOMALY
    return {
        "v": RECORD_VERSION,
        "kind": "model",
        "position": row["position"],
        "asset": row["asset"],
        "t_ms": row["t"],
        "received_ms": row["scored_at"],
        "model": row["model"],
        "score": model_scores.score(float(row["deviation"]), anomaly=anomaly),
        "reason": _words(row),
        "contributions": row["contributions"],
    }


def _words(row: Mapping[str, Any]) -> str:
    return model_scores.words(
        row["deviation"],
        anomaly=row["prediction_reason"] == ANOMALY,
        model=row["model"],
        contributions=row["contributions"],
    )


def _changes(rows: Sequence[Mapping[str, Any]], alarms: bool) -> list[Event]:
    """Where the model began to alarm, or ended."""
    events = []
    for row in rows:
        anomaly = row["prediction_reason"] == ANOMALY
        if anomaly != alarms:
            events.append(asset_state("Asset Anomalous" if anomaly else "Asset Normal", row))
        alarms = anomaly
    return events


def asset_state(kind: str, row: Mapping[str, Any]) -> Event:
    """Asset Anomalous or Asset Normal, of a row of SCORES."""
    return Event(
        kind,
        {
            "version": "1",
            "id": f"{row['asset']}@{row['t']}:{kind}",
            **{name: row[name] for name in ("asset", "site", "position", "model", "score")},
            "t_ms": row["t"],
            "reason": _words(row),
        },
    )


def _pk(asset: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": f"scoring#{asset}"}}
