"""A simulated plant, from physics: machines that run, stop, warm up and slowly fail.

Everything is a function of the seed, the names and the time asked for: no state, no clock, so a
capture can be made again, to the byte, in any order. Severity 0 is sound, 1 a developed fault (on a
class II machine: zone C of ISO 10816-1), 2 the end. Levels without another source are chosen to lie in
those zones and to rise in the order that practice knows: envelope first, then velocity, then heat.

Axes: x radial horizontal, y radial vertical (a MEMS sensor feels gravity there), z axial.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from math import ceil, exp, pi, sin, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from telltale.core.bearings import CATALOGUE, fault_orders
from telltale.core.plant import Bearing

Array = NDArray[Any]

SCALE_G = 0.000488  # g per count of a ±16 g sensor (ST IIS3DWB data sheet)
SENSOR_NOISE_G = 75e-6  # g per sqrt(Hz) (same)
GRAVITY_MM_S2 = 9806.65
USABLE = 0.45  # share of the sampling rate up to which the sensor's filter lets signals through
MAINS_HZ = 50.0
DAY_S = 86400.0
HOUR_S = 3600.0
WORST = 2.0  # severity at which a fault stops growing
SLIP_JITTER = 0.01  # of the time between strikes of a bearing defect (Randall and Antoni: 1-2 %)


class Kind(StrEnum):
    """What a machine is."""

    MOTOR = "motor"
    PUMP = "pump"
    FAN = "fan"
    GEARBOX = "gearbox"


class FaultKind(StrEnum):
    """What can be wrong with a machine, or with the sensor on it."""

    IMBALANCE = "imbalance"
    MISALIGNMENT = "misalignment"
    LOOSENESS = "looseness"  # of a rotating part
    STRUCTURAL_LOOSENESS = "structural_looseness"
    OUTER_RACE = "outer_race"
    INNER_RACE = "inner_race"
    BALL = "ball"
    CAGE = "cage"
    GEAR = "gear"
    BLADE_PASS = "blade_pass"
    CAVITATION = "cavitation"
    RESONANCE = "resonance"
    ELECTRICAL = "electrical"
    LUBRICATION = "lubrication"
    LOOSE_SENSOR = "loose_sensor"
    SATURATION = "saturation"
    DROPOUT = "dropout"


@dataclass(frozen=True)
class Machine:
    """A machine. Its name decides its duty and its own character; two sensors on it stop together."""

    name: str
    kind: Kind
    speed_rpm: float  # at full load
    bearing: Bearing = CATALOGUE["6205-2RS"]
    blades: int = 6  # vanes of a pump, blades of a fan
    teeth: int = 23  # of the gear on the measured shaft
    run_s: float = DAY_S  # runs for this long, then stops for stop_s, again and again
    stop_s: float = 0.0
    load_swing: float = 0.25  # the load wanders between 1 and 1 minus this
    speed_swing: float = 0.0  # a variable drive slows down by this share at zero load
    ambient_c: float = 22.0  # mean over the day

    def __post_init__(self) -> None:
        if not (self.speed_rpm > 0 and self.run_s > 0 and self.stop_s >= 0):
            raise ValueError(
                f"machine {self.name}: {self.speed_rpm} r/min, runs {self.run_s} s, stops {self.stop_s} s; "
                "wanted a speed and a run above 0 and a stop not below"
            )


@dataclass(frozen=True)
class Fault:
    """A fault that begins at `onset_s` and is developed `growth_s` later; it grows with the square of its age."""

    kind: FaultKind
    onset_s: float
    growth_s: float

    def __post_init__(self) -> None:
        if not self.growth_s > 0:
            raise ValueError(f"fault {self.kind}: grows in {self.growth_s} s, wanted more than 0")

    def severity(self, t_s: float) -> float:
        return min(WORST, (max(0.0, t_s - self.onset_s) / self.growth_s) ** 2)


@dataclass(frozen=True, eq=False)
class Sample:
    """What a sensor measured. `waveforms` are int16 counts, shape (3, n); times `scale` they are g."""

    waveforms: NDArray[np.int16]
    scale: float
    temperature_c: float
    speed_rpm: float
    running: bool


@dataclass(frozen=True)
class Operation:
    """How a machine runs at one time: load and warmth as shares of full load and of the full temperature rise."""

    running: bool
    load: float
    speed_rpm: float
    warmth: float
    ambient_c: float


Severities = Mapping[FaultKind, float]


def capture(
    machine: Machine,
    faults: Sequence[Fault],
    *,
    t_s: float,
    sensor: str,
    seed: int,
    fs_hz: float,
    n_samples: int,
) -> Sample | None:
    """What `sensor` on `machine` measures at `t_s`; None where a drop-out loses it."""
    severities = severities_at(faults, t_s)
    if _is_lost(severities, seed, sensor, t_s):
        return None
    now = operation(machine, t_s=t_s, seed=seed)
    waveforms = _waveforms(
        machine,
        severities,
        now,
        character=_character(seed, machine.name, sensor),
        rng=_generator(seed, sensor, _ms(t_s)),
        fs_hz=fs_hz,
        n=n_samples,
    )
    return _sample(machine, severities, now, waveforms, _uniform(seed, sensor, _ms(t_s), "temperature"))


@dataclass
class Bank:
    """Captures for very many sensors: waveforms are made once per machine, state and severity step, then reused.

    Machine, faults and temperature follow their own course as in `capture`; load and severity go in steps, and
    the waveform is one of `copies` made for the step, so a bank is as large as the states seen, not as the plant.
    """

    seed: int
    fs_hz: float
    n_samples: int
    copies: int = 8
    made: dict[tuple[Any, ...], NDArray[np.int16]] = field(default_factory=dict)

    LOAD_STEP = 0.25
    SEVERITY_STEP = 0.1

    def capture(self, machine: Machine, faults: Sequence[Fault], *, t_s: float, sensor: str) -> Sample | None:
        """As `capture` of this module, with a waveform from the bank (read-only, shared)."""
        severities = severities_at(faults, t_s)
        if _is_lost(severities, self.seed, sensor, t_s):
            return None
        now = operation(machine, t_s=t_s, seed=self.seed)
        now = _at_load(machine, now, round(now.load / self.LOAD_STEP) * self.LOAD_STEP)
        choice = _uniform(self.seed, sensor, _ms(t_s), "bank")
        waveforms = self._waveforms(machine, severities, now, int(choice * self.copies))
        return _sample(machine, severities, now, waveforms, choice)

    def _waveforms(self, machine: Machine, severities: Severities, now: Operation, copy: int) -> NDArray[np.int16]:
        steps = {kind: round(value / self.SEVERITY_STEP) for kind, value in severities.items()}
        key = (machine, now.running, now.load, copy, tuple(sorted(step for step in steps.items() if step[1])))
        if key not in self.made:
            waveforms = _waveforms(
                machine,
                {kind: step * self.SEVERITY_STEP for kind, step in steps.items() if step},
                now,
                character=_character(self.seed, machine.name, "bank"),
                rng=_generator(self.seed, *key),
                fs_hz=self.fs_hz,
                n=self.n_samples,
            )
            waveforms.flags.writeable = False
            self.made[key] = waveforms
        return self.made[key]


def severities_at(faults: Sequence[Fault], t_s: float) -> dict[FaultKind, float]:
    """Severity of each kind of fault that has begun; of two of a kind, the worse."""
    found: dict[FaultKind, float] = {}
    for fault in faults:
        severity = fault.severity(t_s)
        if severity > found.get(fault.kind, 0.0):
            found[fault.kind] = severity
    return dict(sorted(found.items()))  # whatever order they were named in


# How a machine is used

DAILY_SWING_C = 4.0
TEMPERATURE_SCATTER_C = 0.2
THERMAL_TIME_S = 2 * HOUR_S  # of a machine of tens of kilowatts
SLIP_AT_FULL_LOAD = 0.015  # of an induction motor
# Temperature rise in °C when warm, and what faults add at severity 1 (friction heats, imbalance does not).
RISE_C = {Kind.MOTOR: 30.0, Kind.PUMP: 20.0, Kind.FAN: 15.0, Kind.GEARBOX: 35.0}
FAULT_RISE_C = {
    FaultKind.LUBRICATION: 25.0,
    FaultKind.OUTER_RACE: 10.0,
    FaultKind.INNER_RACE: 10.0,
    FaultKind.BALL: 10.0,
    FaultKind.CAGE: 10.0,
    FaultKind.GEAR: 8.0,
    FaultKind.MISALIGNMENT: 5.0,
}


def operation(machine: Machine, *, t_s: float, seed: int) -> Operation:
    """Duty, load, speed and warmth of `machine` at `t_s`."""
    cycle_s = machine.run_s + machine.stop_s
    phase_s = (t_s + _uniform(seed, machine.name, "duty") * cycle_s) % cycle_s
    running = phase_s < machine.run_s
    # the air is coolest at 4 h and warmest at 16 h of each day
    ambient_c = machine.ambient_c + DAILY_SWING_C * sin(2 * pi * (t_s / DAY_S - 10 / 24))
    resting = Operation(running, 0.0, 0.0, _warmth(machine, phase_s), ambient_c)
    return _at_load(machine, resting, _load(machine, t_s, seed))


def _at_load(machine: Machine, now: Operation, load: float) -> Operation:
    if not now.running:
        return now
    drive = 1 - machine.speed_swing * (1 - load)
    return Operation(
        True, load, machine.speed_rpm * drive * (1 + SLIP_AT_FULL_LOAD * (1 - load)), now.warmth, now.ambient_c
    )


def _load(machine: Machine, t_s: float, seed: int) -> float:
    """A new load every hour, reached in a straight line."""
    hour, share = divmod(t_s / HOUR_S, 1)
    last, coming = (_uniform(seed, machine.name, "load", int(hour) + step) for step in (0, 1))
    return 1 - machine.load_swing * (last + (coming - last) * share)


def _warmth(machine: Machine, phase_s: float) -> float:
    """First-order response to running and stopping for ever, as a share of the rise of endless running."""
    if machine.stop_s == 0:
        return 1.0
    on, off = exp(-machine.run_s / THERMAL_TIME_S), exp(-machine.stop_s / THERMAL_TIME_S)
    when_stopped = (1 - on) / (1 - on * off)
    if phase_s < machine.run_s:
        return 1 - (1 - when_stopped * off) * exp(-phase_s / THERMAL_TIME_S)
    return when_stopped * exp(-(phase_s - machine.run_s) / THERMAL_TIME_S)


def _sample(
    machine: Machine, severities: Severities, now: Operation, waveforms: NDArray[np.int16], chance: float
) -> Sample:
    friction_c = sum(FAULT_RISE_C.get(kind, 0.0) * severity for kind, severity in severities.items())
    scatter_c = TEMPERATURE_SCATTER_C * (2 * chance - 1)
    measured_c = now.ambient_c + now.warmth * (RISE_C[machine.kind] + friction_c) + scatter_c
    return Sample(waveforms, SCALE_G, round(measured_c, 2), round(now.speed_rpm, 1), now.running)


def _is_lost(severities: Severities, seed: int, sensor: str, t_s: float) -> bool:
    """Nine captures of ten are lost at severity 1."""
    chance = min(1.0, 0.9 * severities.get(FaultKind.DROPOUT, 0.0))
    return _uniform(seed, sensor, _ms(t_s), "lost") < chance


# What it does to the sensor

# Broadband noise of a running machine, g per sqrt(Hz).
NOISE_G = {Kind.MOTOR: 2.0e-4, Kind.PUMP: 3.0e-4, Kind.FAN: 2.5e-4, Kind.GEARBOX: 3.5e-4}
SCATTER = 0.06  # of a line's level from capture to capture
LEAD_S = 0.02  # strikes before the record still ring in it
LEAD_DECAYS = 5  # for so many times of their decay, where that is longer
RESONANCE_OFF = 1.04  # how far beside a line of the shaft a structure's resonance lies
RESONANCE_DAMPING = 0.02  # of a machine's frame: 1-5 % (practice)


class Character(NamedTuple):
    """How one position differs from the next of its kind: level, and what the structure rings at."""

    level: float
    resonance_hz: float


class Tone(NamedTuple):
    """A steady line: its frequency and its velocity RMS on each axis."""

    hz: float
    x_mm_s: float
    y_mm_s: float
    z_mm_s: float


class Strikes(NamedTuple):
    """Impacts that make the structure ring: when (s, from the start of the record), how hard (g), on which axes."""

    times_s: Array
    peaks_g: Array
    resonance_hz: float
    decay_s: float
    axes: tuple[float, float, float] = (0.8, 1.0, 0.4)  # radial mostly

    @property
    def lead_s(self) -> float:
        """How long before the record strikes are heard in it."""
        return max(LEAD_S, LEAD_DECAYS * self.decay_s)


def _waveforms(
    machine: Machine,
    severities: Severities,
    now: Operation,
    *,
    character: Character,
    rng: np.random.Generator,
    fs_hz: float,
    n: int,
) -> NDArray[np.int16]:
    """Counts of three axes, shape (3, n)."""
    density = SENSOR_NOISE_G
    g = np.zeros((3, n), np.float32)
    if now.running:
        shaft_hz = now.speed_rpm / 60
        density += NOISE_G[machine.kind] * character.level
        g += _tones(list(_lines(machine, severities, now, shaft_hz, character, rng)), rng, fs_hz, n)
        for strikes in _impacts(machine, severities, shaft_hz, character, rng, n / fs_hz):
            g += np.array(strikes.axes, np.float32)[:, None] * _ringing(strikes, fs_hz, n)
    g += np.float32(density * sqrt(fs_hz / 2)) * rng.standard_normal((3, n), dtype=np.float32)
    return _counts(g, severities)


def _counts(g: Array, severities: Severities) -> NDArray[np.int16]:
    """The sensor's part: gravity, a loose mount that carries less, a range that got too small, and int16."""
    g = g * (1 - 0.4 * min(1.0, severities.get(FaultKind.LOOSE_SENSOR, 0.0)))
    full_scale_g = 32767 * SCALE_G * 0.004 ** min(1.0, severities.get(FaultKind.SATURATION, 0.0))
    g = np.clip(g, -full_scale_g, full_scale_g)
    g[1] += 1
    return np.rint(np.clip(g / SCALE_G, -32768, 32767)).astype(np.int16)


def _lines(
    machine: Machine,
    severities: Severities,
    now: Operation,
    shaft_hz: float,
    character: Character,
    rng: np.random.Generator,
) -> Iterator[Tone]:
    """Every steady line of the machine as it is now."""
    level = character.level * (0.7 + 0.3 * now.load)
    for tone in _sound_lines(machine, shaft_hz, rng):
        yield Tone(tone.hz, *(level * mm_s for mm_s in tone[1:]))
    for kind, severity in severities.items():
        for tone in _fault_lines(kind, machine, shaft_hz, severity, rng):
            yield Tone(tone.hz, *(severity * mm_s for mm_s in tone[1:]))


def _sound_lines(machine: Machine, shaft_hz: float, rng: np.random.Generator) -> Iterator[Tone]:
    """A sound machine: a residue of imbalance and misalignment, and what its kind adds."""
    yield Tone(shaft_hz, 0.60, 0.50, 0.20)
    yield Tone(2 * shaft_hz, 0.20, 0.15, 0.12)
    yield Tone(3 * shaft_hz, 0.08, 0.06, 0.05)
    if machine.kind is Kind.MOTOR:
        yield Tone(2 * MAINS_HZ, 0.15, 0.15, 0.05)  # magnetic pull, twice a mains period
    elif machine.kind is Kind.GEARBOX:
        mesh_hz = machine.teeth * shaft_hz
        yield Tone(mesh_hz, 0.40, 0.35, 0.30)
        yield Tone(2 * mesh_hz, 0.10, 0.08, 0.08)
    else:
        yield Tone(machine.blades * shaft_hz, 0.35, 0.30, 0.25)
        yield from _flow(0.25, rng)


def _flow(mm_s: float, rng: np.random.Generator) -> Iterator[Tone]:
    """Turbulence: lines at frequencies that are others each time, `mm_s` together."""
    for hz in rng.uniform(10, 120, size=6):
        yield Tone(hz, *(mm_s / sqrt(6) * share for share in (1.0, 1.0, 0.6)))


def _fault_lines(
    kind: FaultKind, machine: Machine, shaft_hz: float, severity: float, rng: np.random.Generator
) -> Iterator[Tone]:
    """The lines of a fault at severity 1."""
    match kind:
        case FaultKind.IMBALANCE:
            yield Tone(shaft_hz, 5.5, 5.0, 0.8)
        case FaultKind.MISALIGNMENT:
            yield Tone(shaft_hz, 2.0, 1.8, 3.0)
            yield Tone(2 * shaft_hz, 4.0, 3.5, 3.5)
            yield Tone(3 * shaft_hz, 1.5, 1.2, 1.5)
        case FaultKind.LOOSENESS:
            for half_orders in range(1, 17):
                share = (1.0 if half_orders % 2 == 0 else 0.5) / sqrt(max(1, half_orders / 2))
                yield Tone(half_orders * shaft_hz / 2, 1.6 * share, 3.0 * share, 0.6 * share)
        case FaultKind.STRUCTURAL_LOOSENESS:  # it gives way in one direction, here up and down
            for order, mm_s in ((1, 6.5), (2, 1.5), (3, 0.6)):
                yield Tone(order * shaft_hz, 0.15 * mm_s, mm_s, 0.12 * mm_s)
        case FaultKind.BLADE_PASS:
            for order, mm_s in ((1, 5.0), (2, 1.2)):
                yield Tone(order * machine.blades * shaft_hz, mm_s, 0.9 * mm_s, 0.6 * mm_s)
        case FaultKind.RESONANCE:
            yield Tone(_amplified_hz(machine, shaft_hz), 2.0, 6.0, 0.8)
        case FaultKind.ELECTRICAL:  # the pull of the poles swings with the slip
            yield Tone(2 * MAINS_HZ, 4.0, 4.0, 0.8)
            pole_pass_hz = 2 * MAINS_HZ - round(2 * MAINS_HZ / shaft_hz) * shaft_hz
            for side in (-1, 1):
                yield Tone(2 * MAINS_HZ + side * pole_pass_hz, 1.0, 1.0, 0.2)
        case FaultKind.OUTER_RACE | FaultKind.INNER_RACE | FaultKind.BALL | FaultKind.CAGE:
            # late in its life a defect shakes the whole machine, at its own frequency and at the shaft's
            for harmonic in (1, 2, 3):
                yield Tone(harmonic * _defect_hz(kind, machine, shaft_hz), *_late(severity, 2.6 / harmonic))
            yield Tone(shaft_hz, *_late(severity, 1.5))
        case FaultKind.GEAR:
            mesh_hz = machine.teeth * shaft_hz
            yield Tone(mesh_hz, 2.6, 2.4, 1.9)
            for sideband in (-2, -1, 1, 2):
                yield Tone(mesh_hz + sideband * shaft_hz, *(2.1 / abs(sideband) * share for share in (1, 0.9, 0.7)))
        case FaultKind.CAVITATION:
            yield from _flow(3.6, rng)
        case FaultKind.LOOSE_SENSOR:
            for hz in rng.uniform(1, 15, size=6):
                yield Tone(hz, 2.5, 2.5, 2.5)  # rocking: the "ski slope" at the low end


def _amplified_hz(machine: Machine, shaft_hz: float) -> float:
    """The line next to a resonance: blade pass where there are blades, else 2x."""
    return shaft_hz * (machine.blades if machine.kind in (Kind.PUMP, Kind.FAN) else 2)


def _late(severity: float, mm_s: float) -> tuple[float, float, float]:
    """Grows with the square of severity, so it stays hidden at first."""
    return severity * mm_s * 0.9, severity * mm_s, severity * mm_s * 0.5


def _defect_hz(kind: FaultKind, machine: Machine, shaft_hz: float) -> float:
    """How often a bearing defect strikes: a rolling element touches both races at each of its turns."""
    orders = fault_orders(machine.bearing)
    strikes = {
        FaultKind.OUTER_RACE: orders.bpfo,
        FaultKind.INNER_RACE: orders.bpfi,
        FaultKind.BALL: 2 * orders.bsf,
        FaultKind.CAGE: orders.ftf,
    }
    return strikes[kind] * shaft_hz


def _tones(tones: Sequence[Tone], rng: np.random.Generator, fs_hz: float, n: int) -> Array:
    """Their sum in g, shape (3, n): levels scatter a little, phases are free, and a quarter turn apart on x and y."""
    hz = np.array([tone.hz for tone in tones])
    mm_s = np.array([tone[1:] for tone in tones]).T  # (3, tones)
    phase = rng.uniform(0, 1, size=len(hz))
    level = 1 + SCATTER * rng.standard_normal(len(hz))
    peak_g = mm_s * np.where(hz < USABLE * fs_hz, level * sqrt(2) * 2 * pi * hz / GRAVITY_MM_S2, 0)
    turns = np.outer(hz, np.arange(n) / fs_hz) + phase[:, None]
    angle = (2 * pi * (turns - np.floor(turns))).astype(np.float32)
    ahead = np.array([0, pi / 2, pi / 4])[:, None]
    both: Array = (peak_g * np.cos(ahead)).astype(np.float32) @ np.sin(angle)
    both += (peak_g * np.sin(ahead)).astype(np.float32) @ np.cos(angle)
    return both


def _impacts(
    machine: Machine,
    severities: Severities,
    shaft_hz: float,
    character: Character,
    rng: np.random.Generator,
    seconds: float,
) -> Iterator[Strikes]:
    """Every source of impacts as it is now."""
    for kind, severity in severities.items():
        match kind:
            case FaultKind.OUTER_RACE | FaultKind.INNER_RACE | FaultKind.BALL | FaultKind.CAGE:
                times = _strike_times(_defect_hz(kind, machine, shaft_hz), SLIP_JITTER, rng, seconds)
                peaks = 3.0 * severity * _load_zone(kind, machine, shaft_hz, times, rng)
                yield Strikes(times, peaks, character.resonance_hz, 0.001)
            case FaultKind.GEAR:  # the damaged tooth, once a turn
                times = _strike_times(shaft_hz, 0.002, rng, seconds)
                yield Strikes(times, np.full(len(times), 4.0 * severity), 0.6 * character.resonance_hz, 0.002)
            case FaultKind.CAVITATION:  # bubbles that collapse, at random
                for resonance_hz in (1.1 * character.resonance_hz, 1.7 * character.resonance_hz):
                    yield _random_strikes(800, 2.5 * severity, resonance_hz, 0.0003, rng, seconds)
            case FaultKind.LUBRICATION:  # metal on metal: so many small ones that they are noise
                yield _random_strikes(6000, 0.6 * severity, character.resonance_hz, 0.0005, rng, seconds)
            case FaultKind.RESONANCE:  # whatever shakes the frame makes it answer
                hz = RESONANCE_OFF * _amplified_hz(machine, shaft_hz)
                decay_s = 1 / (2 * pi * hz * RESONANCE_DAMPING)
                lead_s = LEAD_DECAYS * decay_s
                strikes = _random_strikes(300, 0.04 * severity, hz, decay_s, rng, seconds, lead_s=lead_s)
                yield strikes._replace(axes=(0.35, 1.0, 0.15))
            case FaultKind.LOOSE_SENSOR:  # the mount rattles
                yield _random_strikes(25, 2.0 * severity, 700.0, 0.004, rng, seconds)


def _strike_times(hz: float, jitter: float, rng: np.random.Generator, seconds: float) -> Array:
    """Times from -LEAD_S to `seconds`, 1/hz apart but for a random slip."""
    count = ceil((seconds + LEAD_S) * hz * (1 + 5 * jitter)) + 2
    gaps = (1 + jitter * rng.standard_normal(count)) / hz
    times = -LEAD_S - gaps[0] * rng.uniform() + np.cumsum(gaps)
    return times[(times >= -LEAD_S) & (times < seconds)]


def _random_strikes(
    per_s: float,
    peak_g: float,
    resonance_hz: float,
    decay_s: float,
    rng: np.random.Generator,
    seconds: float,
    *,
    lead_s: float = LEAD_S,
) -> Strikes:
    times = rng.uniform(-lead_s, seconds, size=rng.poisson(per_s * (seconds + lead_s)))
    return Strikes(times, peak_g * rng.exponential(0.5, size=len(times)), resonance_hz, decay_s, (1.0, 1.0, 0.7))


def _load_zone(kind: FaultKind, machine: Machine, shaft_hz: float, times_s: Array, rng: np.random.Generator) -> Array:
    """How hard each strike is: an outer-race defect stays in the load zone, others turn through it."""
    if kind in (FaultKind.OUTER_RACE, FaultKind.CAGE):
        return np.ones(len(times_s))
    turns_hz = shaft_hz if kind is FaultKind.INNER_RACE else fault_orders(machine.bearing).ftf * shaft_hz
    return np.clip(0.5 + 0.6 * np.cos(2 * pi * (turns_hz * times_s + rng.uniform())), 0, None)


def _ringing(strikes: Strikes, fs_hz: float, n: int) -> Array:
    """A damped resonance that is struck, in g, shape (n,); nothing where the sensor is too slow to hear it."""
    if strikes.resonance_hz > USABLE * fs_hz:
        return np.zeros(n, np.float32)
    lead = ceil(strikes.lead_s * fs_hz)
    place, share = np.divmod((strikes.times_s + strikes.lead_s) * fs_hz, 1)
    at = place.astype(np.intp)
    grid = np.bincount(at, strikes.peaks_g * (1 - share), n + lead + 2)
    grid += np.bincount(at + 1, strikes.peaks_g * share, n + lead + 2)
    t = np.arange(lead) / fs_hz
    response = np.exp(-t / strikes.decay_s) * np.sin(2 * pi * strikes.resonance_hz * t)
    length = 1 << (len(grid) + lead).bit_length()
    spectrum = np.fft.rfft(grid.astype(np.float32), length) * np.fft.rfft(response.astype(np.float32), length)
    return np.fft.irfft(spectrum, length)[lead : lead + n]


# Chance, from names


def _character(seed: int, *names: str) -> Character:
    return Character(
        level=0.8 + 0.4 * _uniform(seed, *names, "level"),
        resonance_hz=3000 + 1500 * _uniform(seed, *names, "resonance"),
    )


def _ms(t_s: float) -> int:
    return round(t_s * 1000)


def _number(*key: object) -> int:
    return int.from_bytes(blake2b(repr(key).encode(), digest_size=8).digest(), "big")


def _uniform(*key: object) -> float:
    """A number in [0, 1) that belongs to the key."""
    return (_number(*key) >> 11) / 2**53  # what a float can hold, so that 1 is never reached


def _generator(*key: object) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(_number(*key)))
