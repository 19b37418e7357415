"""Publishes recordings as a sensor would: run-to-failure waveforms, tables and sound files.

  telltale replay FILE|DIR ...          at 20 captures a second
  telltale replay FILE --speed 100      at 100 times the pace it was recorded
  telltale replay FILE --resume         goes on where a stopped replay was

The recorded intervals are kept and shifted so that the last sample is now; only the pace of publishing
differs. .npz as in the FEMTO/PRONOSTIA set (acc_mg, t_s, fs, rpm, load_N), .parquet and .csv with a
column of times, .wav with --scale. A recording that belongs to no registered position gets one of its
own below the site "replay", with no machine class, so that no ISO zone judges a test rig.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from telltale.adapters.registry import Item, Registry, kind_of
from telltale.core.plant import Assignment, Gateway, Plant, Position, Sensor, Site
from telltale.core.validate import OLDEST_MS

from cli import progress, publish
from cli.arguments import positive
from cli.deployment import HOME
from cli.plant import any_gateway, open_registry
from cli.plant_file import did_you_mean
from cli.problem import Problem
from cli.readers import NoRecording
from cli.recordings import FIELDS, SITE, Options, Recording, open_recording

GATEWAY = "replay"
POSITION_LEVELS = 4  # site/area/asset/position
RATE = 20.0  # captures a second, the load the line's lag is specified at
ONE_AT_A_TIME = 1  # in flight, so that at most one message is published twice when the replay is killed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE|DIR", help="recordings, or folders of them")
    parser.add_argument(
        "--position",
        nargs="+",
        default=[],
        metavar="P",
        help="site/area/asset/position of each recording, in their order",
    )
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("--speed", type=positive, metavar="X", help="times the recorded pace")
    pace.add_argument(
        "--rate", type=positive, default=RATE, metavar="N", help="captures a second (default: %(default)g)"
    )
    parser.add_argument("--resume", action="store_true", help="go on where a stopped replay of the same files was")
    parser.add_argument("--format", choices=("cbor", "json"), default="cbor", help="wire format (default: %(default)s)")
    parser.add_argument("--scale", type=positive, metavar="G", help="WAV: acceleration in g at full scale")
    parser.add_argument("--seconds", type=positive, default=1.0, help="WAV: length of a capture (default: %(default)g)")
    parser.add_argument("--time", metavar="COLUMN", help="table: the column of sample times")
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="COLUMN=FIELD",
        help=f"table: send a column as {', '.join(FIELDS)}",
    )
    publish.add_endpoint_arguments(parser)


def run(args: argparse.Namespace) -> int:
    recordings = find(args.files, _options(args))
    seats = seat(args, recordings)
    now_ms = time.time_ns() // 1_000_000
    runs = [begin(one, place, resume=args.resume, now_ms=now_ms) for one, place in zip(recordings, seats, strict=True)]
    for one in runs:
        for note in one.recording.meta.notes:
            print(f"{one.recording.meta.file.name}: {note}")
    with ExitStack() as stack:
        gateways = sorted({place.gateway for place in seats})
        own = [name for name in gateways if name == GATEWAY or name.startswith(f"{GATEWAY}-")]
        connections = publish.connect(args, gateways, stack, own=own, window=ONE_AT_A_TIME)
        send(runs, connections, form=args.format, pace=Pace(args.rate, args.speed))
    return 0


def _options(args: argparse.Namespace) -> Options:
    columns = {}
    for pair in args.map:
        column, _, name = pair.partition("=")
        if name not in FIELDS:
            raise Problem(
                f'--map {pair}: found "{name}", wanted one of {", ".join(FIELDS)}{did_you_mean(name, FIELDS)}'
            )
        columns[column] = name
    return Options(scale_g=args.scale, seconds=args.seconds, columns=columns, time=args.time)


def find(paths: list[Path], options: Options) -> list[Recording]:
    """The recordings in files and folders, by name; a file in a folder that is none is named and left out."""
    recordings = []
    for path in paths:
        if not path.is_dir():
            recordings.append(open_recording(path, options))
            continue
        for file in sorted(file for file in path.iterdir() if file.is_file()):
            try:
                recordings.append(open_recording(file, options))
            except NoRecording as reason:
                print(f"left out {reason}")
    if not recordings:
        raise Problem(f"no recording in {', '.join(map(str, paths))}", "Wanted .npz, .parquet, .csv or .wav files.")
    return recordings


# ---- where a recording belongs -------------------------------------------------------------------


@dataclass(frozen=True)
class Seat:
    """The position a recording is published for, its sensor, and the gateway that speaks."""

    position: str
    sensor: str
    gateway: str


def seat(args: argparse.Namespace, recordings: list[Recording]) -> list[Seat]:
    """A seat for each recording; registers what the registry lacks, after saying so."""
    for given in args.position:
        if given.count("/") != POSITION_LEVELS - 1:
            raise Problem(f'--position: found "{given}", wanted site/area/asset/position')
    if args.position and len(args.position) != len(recordings):
        raise Problem(f"found {len(args.position)} positions for {len(recordings)} recordings, wanted one for each")
    wanted = [
        replace(one.meta.position, id=path) for one, path in zip(recordings, args.position, strict=True)
    ] if args.position else [one.meta.position for one in recordings]  # fmt: skip
    twice = {one.id for one in wanted if [other.id for other in wanted].count(one.id) > 1}
    if twice:
        raise Problem(f"several recordings for {', '.join(sorted(twice))}", "Give each its own --position.")
    if args.endpoint is not None:  # somebody else's registry: it must know these sensors already
        gateway = args.gateway or GATEWAY
        seats = [Seat(one.id, rec.meta.sensor, gateway) for one, rec in zip(wanted, recordings, strict=True)]
        for one in seats:
            print(f"publishing as sensor {one.sensor} through gateway {gateway}: {one.position} must know it")
        return seats
    registry = open_registry()
    plant = registry.plant()
    found = [seat_in(plant, one, rec.meta.sensor) for one, rec in zip(wanted, recordings, strict=True)]
    register(registry, [item for _, items in found for item in items])
    return [one for one, _ in found]


def seat_in(plant: Plant, position: Position, sensor: str) -> tuple[Seat, list[Item]]:
    """The seat at `position`, and what has to be registered for it first.

    A registered position with a sensor that sits there is used as it is; its gateway too.
    """
    sitting = [one for one in plant.sensors.values() if any(_still(a, position.id) for a in one.assignments)]
    if position.id in plant.positions and sitting:
        gateway = sitting[0].gateway or any_gateway(plant, position.site)
        if gateway is not None:
            return Seat(position.id, sitting[0].id, gateway), []
    gateway = any_gateway(plant, position.site)
    missing: list[Item] = []
    if position.site not in plant.sites:
        missing.append(Site(position.site, name="Recordings" if position.site == SITE else position.site))
    if gateway is None:
        gateway = GATEWAY if position.site == SITE else f"{GATEWAY}-{position.site}"
        missing.append(Gateway(gateway, position.site, name="telltale replay"))
    if position.id not in plant.positions:
        missing.append(position)
    if not sitting:
        missing.append(Sensor(sensor, (Assignment(position.id),), gateway))
    return Seat(position.id, sitting[0].id if sitting else sensor, gateway), missing


def register(registry: Registry, items: list[Item]) -> None:
    """Writes each item once, naming it."""
    for item in {(type(item), item.id): item for item in items}.values():
        print(f"registering {kind_of(item)} {item.id}")
        registry.put(item)


def _still(assignment: Assignment, position: str) -> bool:
    return assignment.position == position and assignment.to_ms is None


# ---- how far it is -------------------------------------------------------------------------------


@dataclass
class Run:
    """One recording being replayed: what is shifted where, and what has been acknowledged."""

    recording: Recording
    seat: Seat
    path: Path
    shift_ms: int  # added to the recording's offsets to get sample times
    captures: int = 0  # acknowledged whole
    parts: int = 0  # messages of the next capture that are acknowledged too
    total: int = field(init=False)

    def __post_init__(self) -> None:
        self.total = len(self.recording.offsets_ms)

    def t_ms(self, index: int) -> int:
        return self.shift_ms + int(self.recording.offsets_ms[index])

    def save(self, captures: int, parts: int) -> None:
        """Notes, in one step that a kill cannot halve, that this much is acknowledged."""
        self.captures, self.parts = captures, parts
        document = {"of": identity(self.recording, self.seat), "shift_ms": self.shift_ms} | {
            "captures": captures,
            "parts": parts,
            "total": self.total,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".new")
        beside.write_text(json.dumps(document))
        beside.replace(self.path)


def identity(recording: Recording, place: Seat) -> dict[str, object]:
    """What must be the same for a replay to go on: the file as it is, and where it goes."""
    status = recording.meta.file.stat()
    return {"file": str(recording.meta.file.resolve()), "bytes": status.st_size, **asdict(place)}


def begin(recording: Recording, place: Seat, *, resume: bool, now_ms: int, home: Path = HOME) -> Run:
    """The run of a recording: from the start, its last sample at `now_ms`, or where the last one stopped."""
    of = identity(recording, place)
    digest = hashlib.sha256(json.dumps([of["file"], place.position]).encode()).hexdigest()[:8]
    path = home / f"replay-{recording.meta.file.stem}-{digest}.json"
    offsets = recording.offsets_ms
    fresh = Run(recording, place, path, shift_ms=now_ms - int(offsets[-1]))
    if now_ms - fresh.t_ms(0) > OLDEST_MS:
        raise Problem(f"{recording.meta.file.name} spans more than 400 days, the longest that is taken at once")
    name = recording.meta.file.name
    if not path.exists():
        if resume:
            print(f"{name}: no stopped replay, starting from its first capture")
        return fresh
    saved = json.loads(path.read_text())
    where = f"{saved['captures']} of {saved['total']} captures are out"
    if saved["of"] != of:
        print(f"{name}: the file or its position is not that of the earlier replay, starting from its first capture")
        return fresh
    if resume:
        print(f"{name}: {where}, going on from there")
        return replace(fresh, shift_ms=saved["shift_ms"], captures=saved["captures"], parts=saved["parts"])
    if saved["captures"] < saved["total"]:
        print(f"{name}: starting anew; an earlier replay was stopped when {where} (--resume goes on with it)")
    return fresh


# ---- publishing ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pace:
    """Captures a second or, where `speed` is given, times the recorded pace."""

    rate: float
    speed: float | None = None

    def due_s(self, count: int, elapsed_ms: int) -> float:
        """Seconds after the start when the capture number `count` from 0, sampled `elapsed_ms` after it, is due."""
        return count / self.rate if self.speed is None else elapsed_ms / 1000 / self.speed


def in_time_order(runs: list[Run]) -> list[tuple[int, Run, int]]:
    """(sample time, run, capture index) of all that is left to publish, in time order."""
    left = [(run.t_ms(index), run, index) for run in runs for index in range(run.captures, run.total)]
    return sorted(left, key=lambda one: one[0])


def send(runs: list[Run], connections: Mapping[str, publish.Connection], *, form: str, pace: Pace) -> None:
    """Publishes what is left of the runs, one message at a time, noting each PUBACK."""
    left = in_time_order(runs)
    done = sum(run.captures for run in runs)
    started = time.monotonic()
    with progress.shown("captures", total=sum(run.total for run in runs), done=done) as advance:
        for count, (t_ms, run, index) in enumerate(left):
            _wait_until(started + pace.due_s(count, t_ms - left[0][0]))
            send_capture(run, index, connections[run.seat.gateway], form=form)
            advance(1)
    took = time.monotonic() - started
    print(f"{len(left)} captures published and acknowledged in {took:.1f} s")


def send_capture(run: Run, index: int, connection: publish.Connection, *, form: str) -> None:
    """Publishes one capture's messages that are not yet acknowledged."""
    capture = run.recording.capture(index, sensor=run.seat.sensor, t_ms=run.t_ms(index))
    parts = publish.messages(capture, gateway=run.seat.gateway, form=form)
    for part, message in list(enumerate(parts))[run.parts :]:
        connection.publish(message)
        connection.settle()
        run.save(*((index + 1, 0) if part + 1 == len(parts) else (index, part + 1)))


def _wait_until(instant: float) -> None:
    time.sleep(max(0.0, instant - time.monotonic()))
