"""Trains again what is due, and lets a candidate go live that passes the gate.

pk = trained#<asset> in the table of models says when an asset was last trained here and what came of it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from telltale.adapters.events import Events
from telltale.adapters.models import Models, Moved, model_promoted
from telltale.adapters.trainer import Nothing, Room, TooBig, Trainer
from telltale.core.plant import Asset

BY = "train_models"  # who promotes, in the history of promotions
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Outcome:
    """What came of training one asset. `kind` : promoted, candidate (held back), unchanged, nothing or too big."""

    asset: str
    kind: str
    reason: str
    version: str | None = None


class Retraining:
    """Trains assets by the clock."""

    def __init__(
        self,
        *,
        trainer: Trainer,
        models: Models,
        events: Events,
        dynamodb: Any,
        table: str,
        now_ms: Callable[[], int],
    ) -> None:
        self._trainer, self._models, self._events = trainer, models, events
        self._dynamodb, self._table, self._now_ms = dynamodb, table, now_ms

    def due(self, assets: Iterable[Asset]) -> list[Asset]:
        """Those that ask for it and were not trained here for as long as they say; the longest not trained first."""
        asking = [(asset, self._last_ms(asset.id)) for asset in assets if asset.retrain_days is not None]
        now_ms = self._now_ms()
        return [
            asset
            for asset, last_ms in sorted(asking, key=lambda one: (one[1] or 0, one[0].id))
            if last_ms is None or now_ms - last_ms >= (asset.retrain_days or 0.0) * DAY_MS
        ]

    def train(self, asset: Asset, *, room: Room) -> Outcome:
        """Trains it, promotes what passes, and notes what came of it."""
        outcome = self._trained(asset, room)
        self._note(outcome)
        return outcome

    def _trained(self, asset: Asset, room: Room) -> Outcome:
        try:
            candidate = self._trainer.train(asset, by=BY, room=room)
        except TooBig as error:
            return Outcome(asset.id, "too big", str(error))
        except Nothing as error:
            return Outcome(asset.id, "nothing", str(error))
        version, gate = candidate.stored.version, candidate.made.gate
        if not gate.passed:
            return Outcome(asset.id, "candidate", gate.reason, version)
        before = self._models.live(asset.id)
        try:
            live = self._models.promote(asset.id, version, by=BY, why=gate.reason)
        except Moved as error:
            return Outcome(asset.id, "candidate", str(error), version)
        if before is not None and live.revision == before.revision:
            return Outcome(asset.id, "unchanged", "the same model is live already", version)
        self._events.put([model_promoted(live)])
        return Outcome(asset.id, "promoted", gate.reason, version)

    def _last_ms(self, asset: str) -> int | None:
        answer = self._dynamodb.get_item(TableName=self._table, Key=_pk(asset), ConsistentRead=True)
        return int(answer["Item"]["t_ms"]["N"]) if "Item" in answer else None

    def _note(self, outcome: Outcome) -> None:
        item = _pk(outcome.asset) | {
            "t_ms": {"N": str(self._now_ms())},
            "outcome": {"S": outcome.kind},
            "reason": {"S": outcome.reason},
        }
        if outcome.version is not None:
            item["version"] = {"S": outcome.version}
        self._dynamodb.put_item(TableName=self._table, Item=item)


def _pk(asset: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": f"trained#{asset}"}}
