"""A seeded load for the line: valid captures, and what a bad day adds: repeats, disorder, garbage, strangers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from telltale.adapters import wire
from telltale.core.capture import Capture, Waveform
from telltale.core.plant import Assignment, Gateway, Plant, Position, Sensor, Site

from cli.publish import Message

GATEWAYS = ("bench-gw-1", "bench-gw-2")
SITE = "bench"
STEP_MS = 600_000
SAMPLES = 1024
FS_HZ = 6_400.0
SCALE_G = 0.0005
DISORDER = 20  # places that a message may be late by: fewer than there are sensors, so each sensor's stay in order
BAD_SPEED = 9.5  # mm/s RMS: beyond C/D of ISO 10816-1 class II (7.1)


@dataclass(frozen=True)
class Load:
    """What to publish, in order, and what must come of it: `expected` is (sensor, capture_id, part) of what is well."""

    messages: tuple[Message, ...]
    expected: frozenset[tuple[str, str, str]]
    duplicates: int
    bad: int


def plant(sensors: int) -> Plant:
    """`sensors` sensors, each on its own position of a class II machine, heard through two gateways in turn."""
    names = [f"b-{i:04d}" for i in range(sensors)]
    positions = [Position(id=_position(name), machine_class="iso10816-1/II", speed_rpm=1480.0) for name in names]
    return Plant(
        sites={SITE: Site(id=SITE)},
        positions={position.id: position for position in positions},
        sensors={name: Sensor(name, (Assignment(_position(name)),), gateway_of(name)) for name in names},
        gateways={name: Gateway(id=name, site=SITE) for name in GATEWAYS},
    )


def gateway_of(sensor: str) -> str:
    return GATEWAYS[int(sensor.rsplit("-", 1)[1]) % len(GATEWAYS)]


def _position(sensor: str) -> str:
    return f"{SITE}/hall/machine-{sensor}/bearing"


def bad_day(count: int, *, sensors: Sequence[str], now_ms: int, seed: int, share: float = 0.05) -> Load:
    """`count` valid messages plus `share` repeats and `share` bad ones, out of order by up to twenty places."""
    rng = np.random.default_rng(seed)
    rounds = -(-count // len(sensors))
    valid: list[tuple[Message, tuple[str, str, str]]] = []
    for i in range(count):
        sensor, t_ms = sensors[i % len(sensors)], now_ms - (rounds - i // len(sensors)) * STEP_MS
        capture = _capture(sensor, t_ms, rng)
        form = "cbor" if capture.waveforms else "json"
        valid.append((message(capture, form), (sensor, capture.capture_id, capture.part)))
    repeated = rng.integers(0, count, int(count * share))
    repeats = [valid[i][0] for i in repeated]
    bad = [_bad(i, valid[int(rng.integers(0, count))][0], rng) for i in range(int(count * share))]
    everything = [m for m, _ in valid] + repeats + bad
    jitter = rng.uniform(0, DISORDER, count)
    again = rng.uniform(repeated + DISORDER, count + DISORDER)  # a gateway repeats what it has sent before
    places = np.concatenate([np.arange(count) + jitter, again, rng.uniform(0, count, len(bad))])
    order = np.argsort(places, kind="stable")
    return Load(
        messages=tuple(everything[i] for i in order),
        expected=frozenset(identity for _, identity in valid),
        duplicates=len(repeats),
        bad=len(bad),
    )


def alarming(sensors: Sequence[str], *, captures: int, now_ms: int) -> list[Message]:
    """Scalar captures that exceed the zone limit from the first on, sensor by sensor in turn."""
    return [
        message(
            Capture(
                capture_id=f"{sensor}@{now_ms - (captures - i) * STEP_MS}",
                part="s",
                sensor=sensor,
                t_ms=now_ms - (captures - i) * STEP_MS,
                velocity_rms_mm_s={"x": BAD_SPEED},
                speed_rpm=1480.0,
            ),
            "json",
        )
        for i in range(captures)
        for sensor in sensors
    ]


def message(capture: Capture, form: str) -> Message:
    kind = {"json": "capture", "cbor": "wave"}[form]
    body = {"json": wire.encode_json, "cbor": wire.encode_cbor}[form](capture)
    return Message(f"dt/telltale/{gateway_of(capture.sensor)}/{capture.sensor}/{kind}", body)


def _capture(sensor: str, t_ms: int, rng: np.random.Generator) -> Capture:
    """Every third capture has three waveforms, every other only scalars; all healthy."""
    waves: tuple[Waveform, ...] = ()
    if rng.integers(0, 3) == 0:
        counts = rng.normal(0, 400, (3, SAMPLES)).astype(np.int16)
        waves = tuple(Waveform(axis, counts[i], FS_HZ, SCALE_G, "g") for i, axis in enumerate("xyz"))
    return Capture(
        capture_id=f"{sensor}@{t_ms}",
        part="".join(w.axis for w in waves) + "s",
        sensor=sensor,
        t_ms=t_ms,
        waveforms=waves,
        temperature_c=float(np.round(rng.normal(45, 2), 2)),
        velocity_rms_mm_s={} if waves else {"x": float(np.round(rng.uniform(0.5, 1.0), 3))},
        speed_rpm=1480.0,
    )


def _bad(number: int, good: Message, rng: np.random.Generator) -> Message:
    """A truncated payload, bytes that are nothing, an unknown sensor, a wrong type in turn."""
    kinds = number % 4
    if kinds == 0:
        return Message(good.topic, good.payload[: len(good.payload) // 2])
    if kinds == 1:
        return Message(good.topic, rng.bytes(64))
    gateway = good.topic.split("/")[2]
    if kinds == 2:
        body = b'{"v":1,"sensor":"stranger-%d","t":1790000000000,"temperature_c":20}' % number
        return Message(f"dt/telltale/{gateway}/stranger-{number}/capture", body)
    sensor = good.topic.split("/")[3]
    body = b'{"v":1,"sensor":"%s","t":1790000000000,"temperature_c":"warm-%d"}' % (sensor.encode(), number)
    return Message(f"dt/telltale/{gateway}/{sensor}/capture", body)
