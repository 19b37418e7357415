"""Publishes a simulated plant: who measures when, what reaches the gateway, and what goes wrong on the way.

`run` is the library behind `telltale simulate`. Simulated time starts in the past and runs at a speed
until it meets now, then goes on with the clock: no sample time is ever in the future. The same seed and
origin give the same captures, so a simulation that was stopped goes on as if it never had been.
"""

import heapq
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import count
from typing import Any

import numpy as np
from telltale.core.bearings import CATALOGUE
from telltale.core.capture import AXES, Capture, Waveform
from telltale.core.plant import Plant, Position

from cli import plant_model, publish
from cli.plant import any_gateway
from cli.plant_model import Fault, Kind, Machine, Sample

FS_HZ = 12_800.0  # with 4096 samples a capture is about 24 KB: what a battery sensor can send (guess)
SAMPLES = 4096
NOMINAL_RPM = 1480.0  # of a four-pole motor on 50 Hz, where the plant file says no speed
POLL_EVERY_S = 0.2
LATER_BY = 20  # a delayed or repeated message follows within this many others


# ---- the plant -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Station:
    """One sensor at its position: what it is mounted on, and how often it measures."""

    position: str
    sensor: str
    gateway: str
    machine: Machine
    faults: tuple[Fault, ...]
    interval_s: float


def stations(
    plant: Plant, *, faults: Mapping[str, Sequence[Fault]], duty: Mapping[str, Mapping[str, Any]], now_ms: int
) -> list[Station]:
    """The sensors that sit on a position now and can be heard; `duty` has settings of Machine by asset path."""
    found = []
    for sensor in sorted(plant.sensors.values(), key=lambda sensor: sensor.id):
        position = plant.positions.get(sensor.position_at(now_ms) or "")
        if position is None:
            continue
        gateway = sensor.gateway or any_gateway(plant, position.site)
        if gateway is None:
            continue
        machine = machine_at(position, duty.get(position.asset, {}))
        own = tuple(faults.get(position.id, ()))
        found.append(Station(position.id, sensor.id, gateway, machine, own, position.interval_s))
    return found


def machine_at(position: Position, duty: Mapping[str, Any]) -> Machine:
    """A machine as the plant file describes it; positions of one asset run and stop together."""
    kinds = {kind.value: kind for kind in Kind}
    moving = {"blades": position.blades, "teeth": position.teeth}
    return Machine(
        name=position.asset,
        kind=kinds.get(position.type.lower(), Kind.MOTOR),
        speed_rpm=NOMINAL_RPM if position.speed_rpm is None else position.speed_rpm,
        bearing=CATALOGUE["6205-2RS"] if position.bearing is None else position.bearing,
        **{name: count for name, count in moving.items() if count is not None},
        **duty,
    )


# ---- time ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Timeline:
    """Simulated time: `start_ms` when the clock says `clock_ms`, then `speed` times as fast, until they meet."""

    start_ms: int
    clock_ms: int
    speed: float

    def due_ms(self, t_ms: int) -> float:
        """What the clock says when simulated time reaches `t_ms`; never before `t_ms` itself."""
        return max(float(t_ms), self.clock_ms + (t_ms - self.start_ms) / self.speed)


def schedule(stations: Sequence[Station], *, origin_ms: int, after_ms: int) -> Iterator[tuple[int, Station]]:
    """Every measurement later than `after_ms`, in time order, without end; sensors start staggered after the origin."""
    heap = []
    for i, station in enumerate(stations):
        interval_ms = max(1, round(station.interval_s * 1000))
        first_ms = origin_ms + round(interval_ms * _share(station.sensor))
        done = max(0, (after_ms - first_ms) // interval_ms + 1)
        heap.append((first_ms + done * interval_ms, i, interval_ms))
    heapq.heapify(heap)
    while heap:
        t_ms, i, interval_ms = heap[0]
        heapq.heapreplace(heap, (t_ms + interval_ms, i, interval_ms))
        yield t_ms, stations[i]


def _share(name: str) -> float:
    """A number in [0, 1) that belongs to the name."""
    return int.from_bytes(blake2b(name.encode(), digest_size=6).digest()) / 2**48


# ---- what a sensor sends -------------------------------------------------------------------------

Measure = Callable[[Station, float], Sample | None]


def measure_each(seed: int, *, fs_hz: float, n_samples: int) -> Measure:
    """Every capture from the physics: 2 to 3 ms for 4096 samples of three axes."""
    return lambda station, t_s: plant_model.capture(
        station.machine,
        station.faults,
        t_s=t_s,
        sensor=station.sensor,
        seed=seed,
        fs_hz=fs_hz,
        n_samples=n_samples,
    )


def measure_from_bank(seed: int, *, fs_hz: float, n_samples: int) -> Measure:
    """Waveforms from a bank, for very many sensors."""
    bank = plant_model.Bank(seed=seed, fs_hz=fs_hz, n_samples=n_samples)
    return lambda station, t_s: bank.capture(station.machine, station.faults, t_s=t_s, sensor=station.sensor)


def capture_of(sample: Sample, *, sensor: str, t_ms: int, fs_hz: float) -> Capture:
    """A sample as the wire format has it."""
    waves = (Waveform(axis, row, fs_hz, sample.scale, "g") for axis, row in zip(AXES, sample.waveforms, strict=True))
    return Capture(
        capture_id=f"{sensor}@{t_ms}",
        part="xyzs",
        sensor=sensor,
        t_ms=t_ms,
        waveforms=tuple(waves),
        temperature_c=sample.temperature_c,
        speed_rpm=sample.speed_rpm,
    )


# ---- what goes wrong on the way ------------------------------------------------------------------


@dataclass(frozen=True)
class Injection:
    """Shares of messages, each between 0 and 1, that are sent twice, sent late, cut short, or never sent."""

    duplicates: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    dropouts: float = 0.0

    def __post_init__(self) -> None:
        shares = (self.duplicates, self.reorder, self.corrupt, self.dropouts)
        if min(shares) < 0 or sum(shares) > 1:
            raise ValueError(f"shares of messages {shares}, wanted each at least 0 and together at most 1")


@dataclass
class Counts:
    """What has been published. Each message has one fate, so `stored` is what the line must have kept."""

    captures: int = 0
    messages: int = 0  # published, repeats included
    acknowledged: int = 0
    duplicates: int = 0
    reordered: int = 0
    corrupted: int = 0
    dropouts: int = 0  # never sent
    t_ms: int = 0  # simulated time that has been reached

    @property
    def stored(self) -> int:
        return self.messages - self.duplicates - self.corrupted


@dataclass
class Disturbance:
    """Gives each message its fate, drawn from `seed`; `pass_on` yields what is published next, in order."""

    injection: Injection
    seed: int
    counts: Counts
    held: list[tuple[int, int, publish.Message]] = field(default_factory=list)  # (number it goes out at, tie, message)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)
        self._number = count()
        shares = (self.injection.duplicates, self.injection.reorder, self.injection.corrupt, self.injection.dropouts)
        self._limits = np.cumsum(shares)

    def pass_on(self, message: publish.Message) -> Iterator[publish.Message]:
        number = next(self._number)
        fate = int(np.searchsorted(self._limits, self._rng.random(), side="right"))
        if fate == 0:
            self.counts.duplicates += 1
            self._hold(number, message)
            yield message
        elif fate == 1:
            self.counts.reordered += 1
            self._hold(number, message)
        elif fate == 2:
            self.counts.corrupted += 1
            keep = int(self._rng.integers(1, len(message.payload)))  # cut short: never valid JSON or CBOR
            yield publish.Message(message.topic, message.payload[:keep])
        elif fate == 3:
            self.counts.dropouts += 1
        else:
            yield message
        yield from self._due(number)

    def rest(self) -> Iterator[publish.Message]:
        """What is still held back."""
        while self.held:
            yield heapq.heappop(self.held)[2]

    def _hold(self, number: int, message: publish.Message) -> None:
        heapq.heappush(self.held, (number + int(self._rng.integers(1, LATER_BY + 1)), number, message))

    def _due(self, number: int) -> Iterator[publish.Message]:
        while self.held and self.held[0][0] <= number:
            yield heapq.heappop(self.held)[2]


# ---- the run -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """How to run: simulated time, wire format, what goes wrong, and when to stop (None: never)."""

    timeline: Timeline
    origin_ms: int  # simulated time zero: faults and duty count from here
    measure: Measure
    fs_hz: float
    form: str = "cbor"
    seed: int = 0
    injection: Injection = Injection()
    captures: int | None = None
    duration_s: float | None = None


def run(
    stations: Sequence[Station],
    connections: Mapping[str, publish.Connection],
    plan: Plan,
    on_progress: Callable[[Counts], None] = lambda counts: None,
) -> Counts:
    """Publishes the stations' captures, each through its gateway's connection, until the plan says stop.

    `on_progress` is called after each capture, and now and then while nothing is due; it may raise to
    stop the run: all that was published is acknowledged first.
    """
    counts = Counts(t_ms=plan.timeline.start_ms)
    line = _Line(connections, Disturbance(plan.injection, plan.seed, counts), counts)
    until_ms = None if plan.duration_s is None else plan.timeline.clock_ms + plan.duration_s * 1000
    try:
        for t_ms, station in schedule(stations, origin_ms=plan.origin_ms, after_ms=plan.timeline.start_ms):
            due_ms = plan.timeline.due_ms(t_ms)
            if counts.captures == plan.captures or (until_ms is not None and due_ms >= until_ms):
                break
            _wait(due_ms, line, lambda: on_progress(counts))
            counts.t_ms = t_ms
            line.send(station, t_ms, plan)
            on_progress(counts)
    finally:
        line.settle()
    on_progress(counts)
    return counts


@dataclass
class _Line:
    """The way from the stations to the broker."""

    connections: Mapping[str, publish.Connection]
    disturbance: Disturbance
    counts: Counts

    def send(self, station: Station, t_ms: int, plan: Plan) -> None:
        sample = plan.measure(station, (t_ms - plan.origin_ms) / 1000)
        if sample is None:
            return
        capture = capture_of(sample, sensor=station.sensor, t_ms=t_ms, fs_hz=plan.fs_hz)
        self.counts.captures += 1
        for message in publish.messages(capture, gateway=station.gateway, form=plan.form):
            self._publish(self.disturbance.pass_on(message))

    def poll(self) -> None:
        for connection in self.connections.values():
            connection.poll()
        self._note()

    def settle(self) -> None:
        """Sends what was held back and waits for every PUBACK."""
        self._publish(self.disturbance.rest())
        for connection in self.connections.values():
            connection.settle()
        self._note()

    def _publish(self, messages: Iterable[publish.Message]) -> None:
        for message in messages:
            self.connections[message.topic.split("/")[2]].publish(message)
            self.counts.messages += 1
        self._note()

    def _note(self) -> None:
        self.counts.acknowledged = sum(connection.acknowledged for connection in self.connections.values())


def _wait(due_ms: float, line: _Line, meanwhile: Callable[[], None]) -> None:
    """Waits for the clock, noting PUBACKs."""
    while (left_s := (due_ms - time.time_ns() / 1e6) / 1000) > 0:
        time.sleep(min(left_s, POLL_EVERY_S))
        line.poll()
        meanwhile()
