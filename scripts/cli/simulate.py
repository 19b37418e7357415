"""Publishes captures of a simulated plant, as its gateways would.

  telltale simulate                                 the demo plant, one machine failing
  telltale simulate --plant my.yaml --faults site/area/asset/position=inner_race@2d+5d
  telltale simulate --sensors 1000 --rate 100       generated sensors, registered under the site "sim"
  telltale simulate --endpoint HOST --ca F --cert F --key F --gateway THING     to any endpoint

Simulated time starts in the past (--history) and runs at --speed until it reaches now; then it goes on
with the clock. A simulation that is stopped goes on from there the next time. A fault is written
WHERE=KIND@ONSET+GROWTH: it begins ONSET after the simulation's start and is developed GROWTH later; WHERE
is a position, or a share of all of them such as 5%.
"""

import argparse
import json
import re
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
from telltale.core.plant import Assignment, Gateway, Plant, Position, Sensor, Site

from cli import demo, plant, progress, publish, simulation
from cli.arguments import at_least_one, positive
from cli.deployment import HOME, ROOT
from cli.plant_file import TYPES, did_you_mean, duration_s
from cli.plant_model import Fault, FaultKind, Kind
from cli.problem import Problem
from cli.simulation import Counts, Injection, Plan, Station, Timeline

GENERATED_SITE = "sim"
GENERATED_GATEWAY = "simulator"
GENERATED_MACHINES = 40  # shared by all generated sensors, so that a bank of waveforms stays small
GENERATED_INTERVAL_S = 3600.0
BANK_FROM = 200  # sensors; below it every waveform is made anew
DEFAULT_ONSET, DEFAULT_GROWTH = "1d", "7d"
SAVE_EVERY_S = 1.0
FAULT = re.compile(r"(?P<where>[^=]+)=(?P<kind>[^@+]+)(@(?P<onset>[^+]+))?(\+(?P<growth>.+))?")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plant", type=Path, default=ROOT / "plant.yaml", metavar="FILE", help="the plant file")
    parser.add_argument("--sensors", type=int, metavar="N", help="generate this many sensors instead (1 to 100000)")
    parser.add_argument("--speed", type=positive, default=demo.SPEED, help="of simulated time (default: %(default)g)")
    parser.add_argument("--rate", type=positive, metavar="N", help="captures a second, by choosing --speed to fit")
    parser.add_argument(
        "--history", default=f"{demo.HISTORY_S / 3600:g}h", help="start this long ago (default: %(default)s)"
    )
    parser.add_argument("--faults", nargs="+", metavar="WHERE=KIND", help="what fails, or `none` (default: the demo's)")
    parser.add_argument("--seed", type=int, default=demo.SEED, help="of all chance (default: %(default)s)")
    parser.add_argument("--duration", metavar="TIME", help="stop after so long, such as 10min")
    parser.add_argument("--captures", type=at_least_one, metavar="N", help="stop after so many captures")
    parser.add_argument("--format", choices=("cbor", "json"), default="cbor", help="wire format (default: %(default)s)")
    parser.add_argument(
        "--fs", type=positive, default=simulation.FS_HZ, help="sampling rate in Hz (default: %(default)g)"
    )
    parser.add_argument(
        "--samples", type=at_least_one, default=simulation.SAMPLES, help="of each axis (default: %(default)s)"
    )
    parser.add_argument("--inject", default="", metavar="WHAT=SHARE,…", help="duplicates, reorder, corrupt, dropouts")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    publish.add_endpoint_arguments(parser)


def run(args: argparse.Namespace) -> int:
    now_ms = time.time_ns() // 1_000_000
    stations = _stations(args, now_ms)
    memory = Memory.of(stations, start_ms=now_ms - round(_seconds(args.history, "--history") * 1000), args=args)
    speed = args.speed if args.rate is None else speed_for(stations, args.rate)
    measure = simulation.measure_each if len(stations) < BANK_FROM else simulation.measure_from_bank
    plan = Plan(
        timeline=Timeline(start_ms=min(now_ms, memory.reached_ms), clock_ms=now_ms, speed=speed),
        origin_ms=memory.origin_ms,
        measure=measure(args.seed, fs_hz=args.fs, n_samples=args.samples),
        fs_hz=args.fs,
        form=args.format,
        seed=args.seed,
        injection=injection(args.inject),
        captures=args.captures,
        duration_s=None if args.duration is None else _seconds(args.duration, "--duration"),
    )
    heard = plant.counted(len({station.gateway for station in stations}), "gateway")
    print(f"{plant.counted(len(stations), 'sensor')} through {heard}, {speed:g} times as fast as time")
    with ExitStack() as stack:
        gateways = sorted({station.gateway for station in stations})
        connections = publish.connect(args, gateways, stack, own=[GENERATED_GATEWAY])
        advance = stack.enter_context(_shown(args))
        counts = _until_stopped(stations, connections, plan, memory, advance)
    print(said(counts))
    return 0


def said(counts: Counts) -> str:
    """What came of it, in one line."""
    return (
        f"{counts.captures} captures in {counts.messages} messages, {counts.acknowledged} acknowledged; of these "
        f"{counts.duplicates} repeated, {counts.reordered} late, {counts.corrupted} cut short; "
        f"{counts.dropouts} never sent; {counts.stored} to be stored"
    )


class Stopped(Exception):
    """Somebody wants the simulation to end."""


def _until_stopped(
    stations: Sequence[Station],
    connections: Mapping[str, publish.Connection],
    plan: Plan,
    memory: "Memory",
    advance: progress.Advance,
) -> Counts:
    """Runs the plan; a signal ends it in good order, with everything acknowledged and remembered."""
    stopped = _stopping()
    latest = Counts(t_ms=plan.timeline.start_ms)
    saved_at, shown = time.monotonic(), 0

    def note(counts: Counts) -> None:
        nonlocal latest, saved_at, shown
        latest = counts
        advance(counts.captures - shown)
        shown = counts.captures
        if time.monotonic() - saved_at >= SAVE_EVERY_S:
            saved_at = time.monotonic()
            memory.save(counts.t_ms)
        if stopped:
            raise Stopped

    try:
        simulation.run(stations, connections, plan, note)
    except Stopped:
        print("stopped")
    memory.save(latest.t_ms)
    return latest


def _stopping() -> list[int]:
    """A list that gets an item when a signal asks to stop; an exception might come amid a publish."""
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, frame: signals.append(received))
    return signals


@contextmanager
def _shown(args: argparse.Namespace) -> Iterator[progress.Advance]:
    if args.quiet:
        yield lambda count: None
        return
    with progress.shown("captures", total=args.captures) as advance:
        yield advance


# ---- what is simulated ---------------------------------------------------------------------------


def _stations(args: argparse.Namespace, now_ms: int) -> list[Station]:
    """The sensors to simulate, those of the given gateway only where one is given; Problem when there are none."""
    described = plant.read_or_explain(args.plant) if args.sensors is None else generated(
        args.sensors, gateway=args.gateway or GENERATED_GATEWAY, interval_s=_generated_interval_s(args)
    )  # fmt: skip
    if args.sensors is not None and args.endpoint is None:
        register(described)
    chosen = faults(args.faults, sorted(described.positions), seed=args.seed)
    found = simulation.stations(described, faults=chosen, duty=demo.DUTY, now_ms=now_ms)
    if args.gateway is not None:
        found = [station for station in found if station.gateway == args.gateway]
    if not found:
        raise Problem("no sensor to simulate", "It must sit on a position now and be heard through a gateway.")
    return found


def generated(count: int, *, gateway: str, interval_s: float) -> Plant:
    """A plant of `count` sensors, each on its own position of one of a few machines."""
    if not 1 <= count <= 100_000:
        raise Problem(f"{count} sensors, wanted 1 to 100000")
    types = [name for name in TYPES if name.lower() in {kind.value for kind in Kind}]
    positions = [
        Position(
            id=f"{GENERATED_SITE}/hall/machine-{i % GENERATED_MACHINES:02d}/p-{i:05d}",
            type=types[i % GENERATED_MACHINES % len(types)],
            machine_class="iso10816-1/II",
            speed_rpm=simulation.NOMINAL_RPM,
            interval_s=interval_s,
        )
        for i in range(count)
    ]
    sensors = [Sensor(f"sim-{i:05d}", (Assignment(at.id),), gateway) for i, at in enumerate(positions)]
    return Plant(
        sites={GENERATED_SITE: Site(GENERATED_SITE, name="Simulated")},
        positions={position.id: position for position in positions},
        sensors={sensor.id: sensor for sensor in sensors},
        gateways={gateway: Gateway(gateway, GENERATED_SITE, name="telltale simulate")},
    )


def _generated_interval_s(args: argparse.Namespace) -> float:
    """So that, at the given speed, the sensors together make --rate captures a second."""
    return GENERATED_INTERVAL_S if args.rate is None else max(0.001, args.sensors * args.speed / args.rate)


def register(described: Plant) -> None:
    """Writes what the current deployment's registry lacks of a plant."""
    registry = plant.open_registry()
    changes = [change for change in plant.diff(registry.plant(), described) if change.new is not None]
    if changes:
        print(f"registering {plant.in_words(described)} under the site {GENERATED_SITE}")
        plant.write(registry, changes)


def speed_for(stations: Sequence[Station], rate: float) -> float:
    """How fast time must run for `rate` captures a second."""
    return rate / sum(1 / station.interval_s for station in stations)


def faults(given: Sequence[str] | None, positions: Sequence[str], *, seed: int) -> Mapping[str, Sequence[Fault]]:
    """What fails where; the demo's faults where nothing is given."""
    if given is None:
        return demo.FAULTS
    chosen: dict[str, list[Fault]] = {}
    for text in given:
        if text == "none":
            continue
        for position, fault in _fault(text, positions, seed):
            chosen.setdefault(position, []).append(fault)
    return chosen


def _fault(text: str, positions: Sequence[str], seed: int) -> Iterator[tuple[str, Fault]]:
    match = FAULT.fullmatch(text)
    if match is None:
        raise Problem(f'--faults: found "{text}", wanted WHERE=KIND, such as {positions[0]}=inner_race@1d+7d')
    kinds = [kind.value for kind in FaultKind]
    if match["kind"] not in kinds:
        hint = did_you_mean(match["kind"], kinds)
        raise Problem(f'--faults {text}: found "{match["kind"]}", wanted one of {", ".join(kinds)}{hint}')
    fault = Fault(
        FaultKind(match["kind"]),
        onset_s=_seconds(match["onset"] or DEFAULT_ONSET, f"--faults {text}"),
        growth_s=_seconds(match["growth"] or DEFAULT_GROWTH, f"--faults {text}"),
    )
    for position in _where(match["where"], positions, seed):
        yield position, fault


def _where(text: str, positions: Sequence[str], seed: int) -> list[str]:
    """The positions that a selector names: one of them, or a share of them drawn from the seed."""
    if text.endswith("%"):
        try:
            share = float(text[:-1]) / 100
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            raise Problem(f'--faults: found "{text}", wanted a share from 0% to 100%')
        count = round(share * len(positions))
        return [positions[i] for i in np.random.default_rng(seed).permutation(len(positions))[:count]]
    if text not in positions:
        raise Problem(f'--faults: the plant has no position "{text}"{did_you_mean(text, positions)}')
    return [text]


def injection(text: str) -> Injection:
    """`duplicates=0.01,corrupt=0.001` as shares."""
    known = [field.name for field in fields(Injection)]
    shares = {}
    for pair in filter(None, text.split(",")):
        name, _, share = pair.partition("=")
        if name not in known:
            raise Problem(f'--inject: found "{name}", wanted one of {", ".join(known)}{did_you_mean(name, known)}')
        try:
            shares[name] = float(share)
        except ValueError as error:
            raise Problem(f'--inject {name}: found "{share}", wanted a share from 0 to 1') from error
    try:
        return Injection(**shares)
    except ValueError as error:
        raise Problem(f"--inject: {error}") from error


def _seconds(text: str, what: str) -> float:
    seconds = duration_s(text)
    if seconds is None:
        raise Problem(f'{what}: found "{text}", wanted a time such as 30s, 10min, 18h or 7d')
    return seconds


# ---- where it has got to -------------------------------------------------------------------------


@dataclass(frozen=True)
class Memory:
    """Simulated time zero, and how far the simulation of a plant has come; one file for each set of sites."""

    path: Path | None  # None: not remembered
    origin_ms: int
    reached_ms: int

    @classmethod
    def of(cls, stations: Sequence[Station], *, start_ms: int, args: argparse.Namespace) -> Self:
        """What is remembered of these stations' sites; nothing is for other endpoints: a start at `start_ms`."""
        if args.endpoint is not None:
            return cls(None, start_ms, start_ms)
        sites = "+".join(sorted({station.position.split("/")[0] for station in stations}))
        path = HOME / f"simulation-{sites}.json"
        if not path.exists():
            return cls(path, start_ms, start_ms)
        saved = json.loads(path.read_text())
        print(f"going on from {time.strftime('%Y-%m-%d %H:%M', time.gmtime(saved['reached_ms'] / 1000))} UTC")
        return cls(path, saved["origin_ms"], saved["reached_ms"])

    def save(self, reached_ms: int) -> None:
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".new")
        beside.write_text(json.dumps({"origin_ms": self.origin_ms, "reached_ms": reached_ms}))
        beside.replace(self.path)
