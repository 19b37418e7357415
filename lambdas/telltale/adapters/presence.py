"""Silence noticed: reads when each position was last heard, tells what core.presence finds, remembers it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from telltale.adapters.events import Event, Events, gateway_presence, sensor_presence
from telltale.adapters.monitron_stream import MonitronStream, connections
from telltale.adapters.registry import Registry
from telltale.core.plant import Plant, Sensor
from telltale.core.presence import Ear, News, Presence, sweep

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PREFIX = "presence#"
SENSOR, GATEWAY = f"{PREFIX}sensor#", f"{PREFIX}gateway#"
STALE, DISCONNECTED, BACK = "stale", "disconnected", "back"  # of a presence item; BACK: a gateway, heard again


@dataclass(frozen=True)
class Heard:
    """One position, as the table STATES has it: through whom it was last heard, and when."""

    sensor: str | None
    gateway: str | None
    last_received_ms: int


class PresenceTable:
    """Of the table STATES: when positions were heard (written by detection), and what was told (written here)."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def read(self) -> tuple[dict[str, Heard], Presence]:
        """All positions, and what has been told. Reads the whole table."""
        positions: dict[str, Heard] = {}
        told: dict[str, dict[str, int]] = {STALE: {}, DISCONNECTED: {}, BACK: {}}
        for item in self._items():
            name = item["pk"]["S"]
            if "#" not in name:
                positions[name] = _heard(item)
            if not name.startswith(PREFIX):
                continue
            kind = SENSOR if name.startswith(SENSOR) else GATEWAY
            told[item["presence"]["S"]][name.removeprefix(kind)] = int(item["heard_ms"]["N"])
        return positions, Presence(told[STALE], told[DISCONNECTED], told[BACK])

    def remember(self, before: Presence, after: Presence) -> None:
        """Makes the items say `after`, touching only those that change."""
        was, now = _as_items(before), _as_items(after)
        for name in was.keys() - now.keys():
            self._client.delete_item(TableName=self._table, Key={"pk": {"S": name}})
        for name, (presence, heard_ms) in now.items():
            if was.get(name) != (presence, heard_ms):
                item: Any = {"pk": {"S": name}, "presence": {"S": presence}, "heard_ms": {"N": str(heard_ms)}}
                self._client.put_item(TableName=self._table, Item=item)

    def _items(self) -> Iterator[Mapping[str, Any]]:
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._table,
            ConsistentRead=True,
            ProjectionExpression="pk, sensor, gateway, last_received_ms, presence, heard_ms",
        )
        return (item for page in pages for item in page["Items"])


def watch(
    registry: Registry,
    table: PresenceTable,
    events: Events,
    *,
    now_ms: Callable[[], int],
    monitron: MonitronStream | None = None,
) -> list[News]:
    """One look at who is silent: tells, then remembers. A crash between tells the same again, under the same ids."""
    plant = registry.plant()
    now = now_ms()
    positions, told = table.read()
    ears = list(ears_of(plant, positions, now))
    after, news = sweep(ears, told, now_ms=now)
    events.put([_event(one, ears, plant) for one in news])
    if monitron is not None:
        monitron.put(connections(monitron.account, news, plant, {ear.sensor: ear.position for ear in ears}))
    table.remember(told, after)
    return news


def ears_of(plant: Plant, positions: Mapping[str, Heard], now_ms: int) -> Iterator[Ear]:
    """The sensors that sit somewhere now and have been heard there.

    A sensor that has just replaced another has not been heard: its position has, and its silence counts from when
    it was fitted. One whose position never was heard is not waited for: it has not been commissioned.
    """
    for sensor in plant.sensors.values():
        position = plant.positions.get(sensor.position_at(now_ms) or "")
        heard = positions.get(position.id) if position else None
        if position is None or heard is None or heard.last_received_ms == 0:
            continue
        own = heard.sensor == sensor.id
        heard_ms = heard.last_received_ms if own else max(heard.last_received_ms, _fitted_ms(sensor, now_ms))
        gateway = (heard.gateway if own else None) or sensor.gateway
        yield Ear(sensor.id, position.id, gateway, heard_ms, position.interval_s)


def _fitted_ms(sensor: Sensor, now_ms: int) -> int:
    return next(assignment.from_ms for assignment in sensor.assignments if assignment.covers(now_ms))


def _event(news: News, ears: list[Ear], plant: Plant) -> Event:
    if news.kind.startswith("Sensor"):
        ear = next(ear for ear in ears if ear.sensor == news.id)
        return sensor_presence(
            news.kind,
            ear.sensor,
            position=ear.position,
            gateway=ear.gateway,
            last_received_ms=news.heard_ms,
            interval_s=ear.interval_s,
        )
    its = [ear for ear in ears if ear.gateway == news.id]
    gateway = plant.gateways.get(news.id)
    site = gateway.site if gateway else its[0].position.split("/")[0]
    sensors = sorted(ear.sensor for ear in its)
    return gateway_presence(news.kind, news.id, site=site, sensors=sensors, last_received_ms=news.heard_ms)


def _heard(item: Mapping[str, Any]) -> Heard:
    return Heard(
        sensor=item["sensor"]["S"] if "sensor" in item else None,
        gateway=item["gateway"]["S"] if "gateway" in item else None,
        last_received_ms=int(item["last_received_ms"]["N"]),
    )


def _as_items(presence: Presence) -> dict[str, tuple[str, int]]:
    return {
        **{f"{SENSOR}{id_}": (STALE, heard_ms) for id_, heard_ms in presence.stale.items()},
        **{f"{GATEWAY}{id_}": (BACK, heard_ms) for id_, heard_ms in presence.back.items()},
        **{f"{GATEWAY}{id_}": (DISCONNECTED, heard_ms) for id_, heard_ms in presence.disconnected.items()},
    }
