"""What every registry promises."""

from typing import Any
from uuid import uuid4

import pytest
from telltale.adapters import registry as registry_module
from telltale.adapters.registry import Cached, Registry, decode, encode, kind_of
from telltale.core.plant import (
    Alike,
    Asset,
    Assignment,
    Bearing,
    Gateway,
    Limits,
    OperatingMode,
    Position,
    Sensor,
    Site,
)

from tests.contracts.conftest import client

SITE = Site("hall", "Hall 1", "Europe/Berlin", "webhook", {"url": "https://cmms.example/orders", "retries": 3})
POSITION = Position(
    "hall/line/pump/drive",
    limits=Limits(velocity_alarm_mm_s=7.1),
    speed_rpm=1480.0,
    bearing=Bearing(9, 7.94, 39.04, name="6205"),
    blades=6,
    teeth=23,
    line_hz=50.0,
    poles=4,
    envelope_band_hz=(2000.0, 4000.0),
    bands_hz=((10.0, 100.0), (500.0, 1000.0)),
    directions={"x": "horizontal", "y": "vertical", "z": "axial"},
    settings={"warmup": 50.0},
    load_tag="load_pct",
    modes=(OperatingMode("slow", (300.0, 900.0)), OperatingMode("full", (900.0, 1600.0), (20.0, 101.0))),
    streams={"flow": 300, "*": 600},
    fleet={"rms_g": Alike(-2.0, 1.5, 12)},
)
SENSOR = Sensor("s-1", (Assignment(POSITION.id, 0, 10), Assignment("hall/line/fan/drive", 10)), gateway="gw-1")
GATEWAY = Gateway("gw-1", "hall", "by the door")
ASSET = Asset("hall/line/pump", "Pump", ("process/*", "drive/x/rms_g"), 600.0, "process/flow<1", "drive", 60.0, 7.0)
ITEMS = (SITE, ASSET, POSITION, SENSOR, GATEWAY)


def table(dynamodb: Any) -> str:
    name = f"registry-{uuid4().hex}"
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
    )
    return name


@pytest.fixture
def registry(endpoint: str | None) -> Registry:
    dynamodb = client("dynamodb", endpoint)
    return Registry(dynamodb, table(dynamodb))


@pytest.mark.parametrize("item", ITEMS, ids=kind_of)
def test_an_item_is_read_as_it_was_written(item: Site | Position | Sensor | Gateway) -> None:
    assert decode(kind_of(item), encode(item)) == item


def test_what_is_put_is_found_by_kind_and_id(registry: Registry) -> None:
    for item in ITEMS:
        registry.put(item)

    assert registry.sites(["hall", "gw-1", "hall"]) == {"hall": SITE}
    assert registry.positions([POSITION.id, "nowhere"]) == {POSITION.id: POSITION}
    assert registry.sensors(["s-1"]) == {"s-1": SENSOR}
    assert registry.gateways(["gw-1"]) == {"gw-1": GATEWAY}
    assert registry.sensors([]) == {}


def test_the_plant_is_all_that_was_put(registry: Registry) -> None:
    for item in ITEMS:
        registry.put(item)

    plant = registry.plant()

    assert [*plant.sites.values(), *plant.positions.values()] == [SITE, POSITION]
    assert [*plant.sensors.values(), *plant.gateways.values()] == [SENSOR, GATEWAY]


def test_the_last_put_counts_and_what_is_deleted_is_gone(registry: Registry) -> None:
    registry.put(GATEWAY)
    registry.put(Gateway("gw-1", "elsewhere"))
    registry.put(SENSOR)

    registry.delete("sensor", "s-1")
    registry.delete("sensor", "s-1")

    assert registry.gateways(["gw-1"])["gw-1"].site == "elsewhere"
    assert registry.sensors(["s-1"]) == {}


def test_more_items_than_one_call_takes_are_all_read(registry: Registry) -> None:
    ids = [f"s-{n}" for n in range(230)]
    for id_ in ids:
        registry.put(Sensor(id_, ()))

    assert set(registry.sensors(ids)) == set(ids)


class Overloaded:
    """DynamoDB that answers at most 40 keys a call and leaves the rest unprocessed."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def batch_get_item(self, RequestItems: dict[str, Any]) -> Any:  # noqa: N803 - boto3's name
        [(name, request)] = RequestItems.items()
        answer = self._client.batch_get_item(RequestItems={name: request | {"Keys": request["Keys"][:40]}})
        left = request["Keys"][40:]
        return answer | {"UnprocessedKeys": {name: {"Keys": left}} if left else {}}


def test_keys_left_out_for_load_are_asked_for_again(moto_aws: None) -> None:
    dynamodb = client("dynamodb")
    name = table(dynamodb)
    for n in range(100):
        Registry(dynamodb, name).put(Sensor(f"s-{n}", ()))

    found = Registry(Overloaded(dynamodb), name, sleep=lambda seconds: None).sensors(f"s-{n}" for n in range(100))

    assert len(found) == 100


def test_a_cached_answer_is_kept_for_its_time_and_a_missing_one_for_a_tenth(moto_aws: None) -> None:
    dynamodb = client("dynamodb")
    registry, now = Registry(dynamodb, table(dynamodb)), [0.0]
    cached = Cached(registry, seconds=60, clock=lambda: now[0])
    registry.put(GATEWAY)
    first = cached.gateways(["gw-1", "gw-2"])
    registry.put(Gateway("gw-1", "elsewhere"))
    registry.put(Gateway("gw-2", "hall"))

    seen = {}
    for second in (0, 5, 7, 59, 61):
        now[0] = second
        seen[second] = {id_: gateway.site for id_, gateway in cached.gateways(["gw-1", "gw-2"]).items()}

    assert first == {"gw-1": GATEWAY}
    assert seen[0] == seen[5] == {"gw-1": "hall"}
    assert seen[7] == seen[59] == {"gw-1": "hall", "gw-2": "hall"}
    assert seen[61] == {"gw-1": "elsewhere", "gw-2": "hall"}


def test_a_cache_does_not_grow_with_every_sensor_somebody_makes_up(
    moto_aws: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_module, "REMEMBERED", 10)
    dynamodb = client("dynamodb")
    registry = Registry(dynamodb, table(dynamodb))
    registry.put(SENSOR)
    cached = Cached(registry, seconds=60)

    answers = [cached.sensors(["s-1", *(f"made-up-{n}-{i}" for i in range(4))]) for n in range(10)]

    assert answers == [{"s-1": SENSOR}] * 10
    assert len(cached._known) <= 10
