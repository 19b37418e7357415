"""The registry of the plant in DynamoDB: one item a site, asset, position, sensor or gateway, as JSON of its dataclass.

Only assets with a model are items; the others are known by their positions.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any, cast

from telltale.core import recipients
from telltale.core.errors import RetryLater
from telltale.core.plant import (
    Alike,
    Asset,
    Assignment,
    Bearing,
    Gateway,
    Limits,
    OperatingMode,
    Plant,
    Position,
    Sensor,
    Site,
)

Item = Site | Asset | Position | Sensor | Gateway
KINDS: Mapping[str, type[Item]] = {
    "site": Site,
    "asset": Asset,
    "position": Position,
    "sensor": Sensor,
    "gateway": Gateway,
}

KEYS_A_CALL = 100  # DynamoDB BatchGetItem, API reference
ATTEMPTS = 5
FIRST_PAUSE_S = 0.05  # doubled with each attempt
REMEMBERED = 50_000  # answers; anybody may ask for sensors that do not exist


def kind_of(item: Item) -> str:
    """site, asset, position, sensor or gateway."""
    return next(kind for kind, cls in KINDS.items() if isinstance(item, cls))


def encode(item: Item) -> str:
    """The item as JSON, the same for equal items."""
    return json.dumps(asdict(item), sort_keys=True, separators=(",", ":"), allow_nan=False)


def decode(kind: str, doc: str) -> Item:
    """The item that `encode` wrote."""
    values = json.loads(doc)
    if kind == "position":
        values["limits"] = Limits(**values["limits"])
        values["bearing"] = Bearing(**values["bearing"]) if values["bearing"] else None
        values["bands_hz"] = tuple(tuple(band) for band in values.get("bands_hz", ()))
        values["envelope_band_hz"] = tuple(values["envelope_band_hz"]) if values.get("envelope_band_hz") else None
        values["modes"] = tuple(_mode(mode) for mode in values.get("modes", ()))
        values["fleet"] = {name: Alike(*usual) for name, usual in values.get("fleet", {}).items()}
    if kind == "site":
        values["notices"] = tuple(recipients.decoded(one) for one in values.get("notices", ()))
    if kind == "asset":
        values["tags"] = tuple(values["tags"])
    if kind == "sensor":
        values["assignments"] = tuple(Assignment(**assignment) for assignment in values["assignments"])
    return KINDS[kind](**values)


def _mode(values: Mapping[str, Any]) -> OperatingMode:
    edges = {name: tuple(values[name]) if values[name] else None for name in ("speed_rpm", "load")}
    return OperatingMode(values["name"], **edges)


class Registry:
    """The registry as it is now. Reads are consistent; ids it does not know are missing from the answers."""

    def __init__(self, client: Any, table: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client, self._table, self._sleep = client, table, sleep

    def put(self, item: Item) -> None:
        doc = {"S": encode(item)}
        self._client.put_item(TableName=self._table, Item=_pk(kind_of(item), item.id) | {"doc": doc})

    def delete(self, kind: str, id_: str) -> None:
        self._client.delete_item(TableName=self._table, Key=_pk(kind, id_))

    def sites(self, ids: Iterable[str]) -> dict[str, Site]:
        return cast(dict[str, Site], self.get("site", ids))

    def positions(self, ids: Iterable[str]) -> dict[str, Position]:
        return cast(dict[str, Position], self.get("position", ids))

    def sensors(self, ids: Iterable[str]) -> dict[str, Sensor]:
        return cast(dict[str, Sensor], self.get("sensor", ids))

    def gateways(self, ids: Iterable[str]) -> dict[str, Gateway]:
        return cast(dict[str, Gateway], self.get("gateway", ids))

    def assets(self, ids: Iterable[str]) -> dict[str, Asset]:
        return cast(dict[str, Asset], self.get("asset", ids))

    def get(self, kind: str, ids: Iterable[str]) -> dict[str, Item]:
        """The items of one kind, by id."""
        keys = iter([_pk(kind, id_) for id_ in dict.fromkeys(ids)])
        found: dict[str, Item] = {}
        while call := list(islice(keys, KEYS_A_CALL)):
            found |= {item.id: item for item in map(_item, self._read(call))}
        return found

    def plant(self) -> Plant:
        """All of it. What else has items in the table, such as shadows, is no part of the plant."""
        pages = self._client.get_paginator("scan").paginate(TableName=self._table, ConsistentRead=True)
        items = [_item(raw) for page in pages for raw in page["Items"] if raw["pk"]["S"].split("#", 1)[0] in KINDS]
        return Plant(
            sites={item.id: item for item in items if isinstance(item, Site)},
            positions={item.id: item for item in items if isinstance(item, Position)},
            sensors={item.id: item for item in items if isinstance(item, Sensor)},
            gateways={item.id: item for item in items if isinstance(item, Gateway)},
            assets={item.id: item for item in items if isinstance(item, Asset)},
        )

    def _read(self, keys: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """The raw items of up to 100 keys; those that DynamoDB left out for load are asked for again."""
        for attempt in range(ATTEMPTS):
            if attempt:
                self._sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))
            answer = self._client.batch_get_item(RequestItems={self._table: {"Keys": keys, "ConsistentRead": True}})
            yield from answer["Responses"].get(self._table, [])
            keys = answer["UnprocessedKeys"].get(self._table, {}).get("Keys", [])
            if not keys:
                return
        raise RetryLater(f"registry {self._table} left {len(keys)} items unread in {ATTEMPTS} attempts")


class Cached:
    """A registry that remembers its answers for warm containers: `seconds` for what is known, a tenth for what is not.

    A change of the plant is seen that much later.
    """

    def __init__(self, registry: Registry, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry, self._seconds, self._clock = registry, seconds, clock
        self._known: dict[tuple[str, str], tuple[Item | None, float]] = {}  # item (None: there is none), good until

    def sites(self, ids: Iterable[str]) -> dict[str, Site]:
        return cast(dict[str, Site], self.get("site", ids))

    def positions(self, ids: Iterable[str]) -> dict[str, Position]:
        return cast(dict[str, Position], self.get("position", ids))

    def sensors(self, ids: Iterable[str]) -> dict[str, Sensor]:
        return cast(dict[str, Sensor], self.get("sensor", ids))

    def gateways(self, ids: Iterable[str]) -> dict[str, Gateway]:
        return cast(dict[str, Gateway], self.get("gateway", ids))

    def get(self, kind: str, ids: Iterable[str]) -> dict[str, Item]:
        """The items of one kind, by id."""
        wanted = list(dict.fromkeys(ids))
        self._refresh(kind, wanted)
        answers = {id_: self._known[kind, id_][0] for id_ in wanted}
        return {id_: item for id_, item in answers.items() if item is not None}

    def _refresh(self, kind: str, ids: list[str]) -> None:
        now = self._clock()
        due = [id_ for id_ in ids if (kind, id_) not in self._known or self._known[kind, id_][1] <= now]
        found = self._registry.get(kind, due)
        if len(self._known) + len(due) > REMEMBERED:
            self._known = {(kind, id_): self._known[kind, id_] for id_ in ids if id_ not in due}
        for id_ in due:
            lifetime = self._seconds if id_ in found else self._seconds / 10
            self._known[kind, id_] = (found.get(id_), now + lifetime)


def _pk(kind: str, id_: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": f"{kind}#{id_}"}}


def _item(raw: Mapping[str, Any]) -> Item:
    return decode(raw["pk"]["S"].split("#", 1)[0], raw["doc"]["S"])
