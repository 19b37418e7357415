"""Silence is told once, of the one who is silent, and taken back once."""

import json
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telltale.adapters.events import Events
from telltale.adapters.monitron_stream import MonitronStream, account_of
from telltale.adapters.presence import Heard, PresenceTable, ears_of, watch
from telltale.adapters.registry import Registry
from telltale.adapters.states import States, StateWrite
from telltale.core.plant import Assignment, Plant, Position, Sensor
from telltale.core.presence import Ear, News, Presence, sweep

from tests.aws_line import POSITION, START_MS, Aws, Clock, aws, plant, stream_records

HOUR = 3_600_000
MINUTE = 60_000


def ear(sensor: str, heard_ms: int, *, gateway: str | None = "g-1", interval_s: float = 3600) -> Ear:
    return Ear(sensor, f"plant/hall/pump/{sensor}", gateway, heard_ms, interval_s)


def told(news: Iterable[News]) -> list[str]:
    return [f"{one.kind}: {one.id}" for one in news]


def test_a_sensor_is_stale_after_three_missed_captures_and_not_before() -> None:
    now = 10 * HOUR
    ears = [ear("s-1", now - 3 * HOUR - 1), ear("s-2", now - 3 * HOUR), ear("s-3", now)]

    _, news = sweep(ears, Presence(), now_ms=now)

    assert told(news) == ["Sensor Stale: s-1"]


def test_a_sensor_that_speaks_every_second_has_a_quarter_of_an_hour() -> None:
    ears = [ear("s-1", 0, interval_s=1), ear("s-2", 20 * MINUTE, interval_s=1)]

    _, before = sweep(ears, Presence(), now_ms=15 * MINUTE)
    _, after = sweep(ears, Presence(), now_ms=15 * MINUTE + 1)

    assert (told(before), told(after)) == ([], ["Sensor Stale: s-1"])


def test_the_twenty_sensors_of_a_dead_gateway_are_one_piece_of_news() -> None:
    """They speak at different minutes: by 3:01 the first is silent, by 3:58 all are."""
    ears = [ear(f"s-{n}", n * 3 * MINUTE) for n in range(20)]
    presence, news = Presence(), list[News]()

    for minute in range(60, 360):
        presence, more = sweep(ears, presence, now_ms=minute * MINUTE)
        news += more

    assert told(news) == ["Gateway Disconnected: g-1"]


def test_a_gateway_that_is_back_gives_its_sensors_time_to_speak_before_they_are_stale() -> None:
    dead = [ear("s-1", 0), ear("s-2", 0)]
    presence, _ = sweep(dead, Presence(), now_ms=10 * HOUR)
    first_back = [ear("s-1", 0), ear("s-2", 11 * HOUR)]

    presence, at_once = sweep(first_back, presence, now_ms=11 * HOUR)
    later_ears = [ear("s-1", 0), ear("s-2", 14 * HOUR)]
    presence, later = sweep(later_ears, presence, now_ms=14 * HOUR + 1)

    assert told(at_once) == ["Gateway Connected: g-1"]
    assert told(later) == ["Sensor Stale: s-1"]


def test_a_gateway_that_is_back_is_not_gone_again_because_the_sensor_that_showed_it_moved_on() -> None:
    back = Presence(back={"g-1": 11 * HOUR})
    ears = [ear("s-1", 0), ear("s-2", 12 * HOUR, gateway="g-2")]

    _, soon = sweep(ears, back, now_ms=13 * HOUR)
    _, later = sweep(ears, back, now_ms=14 * HOUR + 1)

    assert (told(soon), told(later)) == ([], ["Gateway Disconnected: g-1"])


def test_a_sensor_heard_through_no_gateway_is_judged_alone() -> None:
    _, news = sweep([ear("s-1", 0, gateway=None)], Presence(), now_ms=4 * HOUR)

    assert told(news) == ["Sensor Stale: s-1"]


hours = st.integers(0, 40)


@settings(deadline=None)
@given(
    heard=st.dictionaries(st.sampled_from(["s-1", "s-2", "s-3", "s-4"]), st.lists(hours, min_size=1), min_size=1),
    through=st.dictionaries(st.sampled_from(["s-1", "s-2", "s-3", "s-4"]), st.sampled_from(["g-1", "g-2", None])),
)
def test_stale_and_back_alternate_and_a_second_look_finds_nothing_new(
    heard: dict[str, list[int]], through: dict[str, str | None]
) -> None:
    presence, news = Presence(), list[News]()
    for hour in range(41):
        ears = [
            ear(sensor, max([h for h in times if h <= hour], default=0) * HOUR, gateway=through.get(sensor, "g-1"))
            for sensor, times in heard.items()
        ]
        presence, more = sweep(ears, presence, now_ms=hour * HOUR)
        again, nothing = sweep(ears, presence, now_ms=hour * HOUR)
        news += more

        assert (again, nothing) == (presence, [])

    for id_ in {one.id for one in news}:
        kinds = [one.kind.split()[1] for one in news if one.id == id_]
        gone, back = ("Stale", "Back") if id_.startswith("s") else ("Disconnected", "Connected")
        assert kinds == [gone if place % 2 == 0 else back for place in range(len(kinds))]


# On AWS


@pytest.fixture
def clock() -> Clock:
    return Clock()


def hears(made: Aws, at_ms: int, *, sensor: str = "s-1", rev: int = 1) -> None:
    """Detection writes that the position was heard."""
    write = StateWrite(POSITION, rev, b"core", "HEALTHY", at_ms, at_ms, sensor, "g-1", "batch")
    States(made.dynamodb, "states").put([write], judged_at=at_ms)


def look(made: Aws, clock: Clock) -> list[str]:
    table = PresenceTable(made.dynamodb, "states")
    registry = Registry(made.dynamodb, "registry")
    return told(watch(registry, table, Events(made.events, "bus"), now_ms=clock))


def test_silence_is_told_once_and_its_end_once_however_often_the_clock_ticks(clock: Clock) -> None:
    with aws() as made:
        for item in plant():
            Registry(made.dynamodb, "registry").put(item)
        hears(made, START_MS)
        news = []
        for hour in range(1, 13):
            clock.now_ms = START_MS + hour * HOUR
            if hour >= 9:
                hears(made, clock.now_ms, rev=hour)
            news += look(made, clock) + look(made, clock)

        events = made.heard()

    assert news == ["Gateway Disconnected: g-1", "Gateway Connected: g-1"]
    assert [(event["kind"], event["sensors"], event["last_received_ms"]) for event in events] == [
        ("Gateway Disconnected", ["s-1"], START_MS),
        ("Gateway Connected", ["s-1"], START_MS + 9 * HOUR),
    ]


def test_news_told_twice_after_a_crash_has_the_same_id(clock: Clock) -> None:
    with aws() as made:
        for item in plant():
            Registry(made.dynamodb, "registry").put(item)
        hears(made, START_MS)
        clock.go(s=4 * 3600)

        class Forgetful(PresenceTable):
            def remember(self, before: Presence, after: Presence) -> None:
                raise ConnectionError

        forgetful = Forgetful(made.dynamodb, "states")
        with pytest.raises(ConnectionError):
            watch(Registry(made.dynamodb, "registry"), forgetful, Events(made.events, "bus"), now_ms=clock)
        look(made, clock)

        ids = [event["id"] for event in made.heard()]

    assert len(ids) == 2
    assert len(set(ids)) == 1


def test_where_there_is_a_stream_in_monitrons_format_it_is_told_too(clock: Clock) -> None:
    with aws() as made:
        made.kinesis.create_stream(StreamName="monitron", ShardCount=1)
        registry = Registry(made.dynamodb, "registry")
        for item in plant():
            registry.put(item)
        hears(made, START_MS)
        clock.go(s=4 * 3600)
        account = account_of("arn:aws:sns:us-east-1:111122223333:notices")
        stream = MonitronStream(made.kinesis, "monitron", account, undelivered=lambda *what: pytest.fail(str(what)))

        table, events = PresenceTable(made.dynamodb, "states"), Events(made.events, "bus")
        watch(registry, table, events, now_ms=clock, monitron=stream)
        told = [json.loads(body) for body in stream_records(made, "monitron")]

    assert [(one["eventType"], one["eventPayload"]["gateway"]) for one in told] == [
        ("gatewayDisconnected", {"physicalId": "g-1"})
    ]


def test_what_was_told_is_remembered_as_it_was(clock: Clock) -> None:
    with aws() as made:
        table = PresenceTable(made.dynamodb, "states")
        first = Presence({"s-1": 1, "s-2": 2}, {"g-1": 3}, {"g-2": 4})
        second = Presence({"s-2": 2}, {}, {"g-1": 9, "g-2": 4})

        table.remember(Presence(), first)
        _, as_first = table.read()
        table.remember(first, second)
        _, as_second = table.read()

    assert (as_first, as_second) == (first, second)


def plant_with(sensor: Sensor) -> Plant:
    position = Position(POSITION)
    return Plant(sites={}, positions={POSITION: position}, sensors={sensor.id: sensor}, gateways={})


def test_a_replaced_sensor_is_waited_for_from_the_day_it_was_fitted() -> None:
    new = Sensor("s-2", (Assignment(POSITION, from_ms=5 * HOUR),), gateway="g-1")
    heard = {POSITION: Heard("s-1", "g-1", 2 * HOUR)}

    [found] = ears_of(plant_with(new), heard, 6 * HOUR)

    assert (found.sensor, found.heard_ms) == ("s-2", 5 * HOUR)


@pytest.mark.parametrize("heard", [{}, {POSITION: Heard(None, None, 0)}])
def test_a_position_that_was_never_heard_is_not_waited_for(heard: dict[str, Heard]) -> None:
    sensor = Sensor("s-1", (Assignment(POSITION),))

    assert list(ears_of(plant_with(sensor), heard, HOUR)) == []


def test_a_sensor_that_was_taken_off_is_not_waited_for() -> None:
    gone = Sensor("s-1", (Assignment(POSITION, to_ms=HOUR),))

    assert list(ears_of(plant_with(gone), {POSITION: Heard("s-1", "g-1", 1)}, 2 * HOUR)) == []


def test_a_sensor_with_its_own_interval_is_judged_by_it() -> None:
    sensor = Sensor("s-1", (Assignment(POSITION),))
    slow = plant_with(sensor)
    slow = replace(slow, positions={POSITION: replace(slow.positions[POSITION], interval_s=86_400.0)})

    [found] = ears_of(slow, {POSITION: Heard("s-1", None, HOUR)}, 2 * HOUR)

    assert found.interval_s == 86_400.0
