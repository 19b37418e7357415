"""What recordings say of a machine: the fault, what speaks for it and against it, and what could not be looked for.

  telltale diagnose bearing.npz --channel DE --bearing 6205
  telltale diagnose motor.wav --scale-g 5 --rpm 1480 --line-hz 50 --reference healthy.wav
  telltale diagnose pump.csv --position riverside/pump-hall/pump-1/pump-inboard --picture pump.svg

The same code as in the line, on the whole of each recording. Files are .npz, .wav, .csv or .parquet: docs/files.md.
Channels that are not axes of one sensor are diagnosed one by one. The more is said of the machine, the more faults
can be looked for; a healthy recording of the same machine (--reference) says what is normal there.

  telltale diagnose --case CASE         the capture that the case was diagnosed from, out of the lake
  telltale diagnose --capture ID        any other; with the position's machine, and what was learned there
"""

import argparse
import csv
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from telltale.core import picture, rolling, svg
from telltale.core.bearings import fault_orders
from telltale.core.diagnosis import diagnose
from telltale.core.features import axes_features
from telltale.core.findings import CANNOT_TELL, FAULTS, NO_FAULT_FOUND, SENSOR_FAULT, Diagnosis, Finding
from telltale.core.plant import Machine
from telltale.core.schema import FEATURES

from cli import machine, waveforms
from cli.deployment import current
from cli.features import heading, title
from cli.problem import Problem
from cli.waveforms import Record

if TYPE_CHECKING:
    from cli import captures

FORMATS = ("table", "json", "csv")
COLUMNS = ("file", "record", "channels", "verdict", "confidence", "axis", "speed_rpm", "speed_source", "reason")
PICTURES = (".svg", ".png")
SOURCES = {"given": "nominal", "in the file": "measured", "of the position": "nominal", "unknown": "unknown"}
VERDICTS = {
    CANNOT_TELL: ("cannot tell", "yellow"),
    NO_FAULT_FOUND: ("no fault found", "green"),
    SENSOR_FAULT: ("sensor fault", "magenta"),
}
# Forces of inertia, and acceleration with them, grow with the square of the speed, as core.rolling takes its reference;
# velocity is acceleration over speed, displacement that over speed again.
GROWTH: Mapping[str | None, int] = {"g": 2, "g/√Hz": 2, "mm/s": 1}
STILL = {"mean_g", "drift_g", "count_g"}  # of the sensor, whatever the speed
UNITS = {column.name: column.unit for column in FEATURES if column.name not in STILL}
NO_LEVELS = "no scale is known (--scale-g): nothing was judged by limits in mm/s"


@dataclass(frozen=True)
class Healthy:
    """What a healthy recording of the machine says is normal there, by axis, and the speed that is for, if for one."""

    normal: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    reference: Mapping[str, rolling.Reference] = field(default_factory=dict)
    rpm: float | None = None

    def normal_at(self, rpm: float | None) -> Mapping[str, Mapping[str, float]]:
        """What is normal at another speed: levels grow with it as in GROWTH, ratios do not."""
        faster = 1.0 if rpm is None or self.rpm is None else rpm / self.rpm
        return {
            axis: {name: value * faster ** GROWTH.get(UNITS.get(name), 0) for name, value in row.items()}
            for axis, row in self.normal.items()
        }


@dataclass(frozen=True)
class Diagnosed:
    """A record with its diagnosis. `speed` : r/min and who said it."""

    record: Record
    machine: Machine
    speed: tuple[float | None, str]
    diagnosis: Diagnosis


def add_arguments(parser: argparse.ArgumentParser) -> None:
    waveforms.add_arguments(parser)
    stored = parser.add_mutually_exclusive_group()
    stored.add_argument("--capture", metavar="ID", help="a capture in the lake instead of files")
    stored.add_argument("--case", metavar="ID", help="the capture of a case; its first characters are enough")
    parser.add_argument("--reference", type=Path, metavar="FILE", help="a recording of the same machine when healthy")
    parser.add_argument("--format", choices=FORMATS, default="table", help="json: one object a line (default: table)")
    parser.add_argument(
        "--picture", type=Path, metavar="FILE|DIR", help="draw the evidence: .svg, .png, or a folder for several"
    )
    machine.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    write, draw = WRITERS[args.format](), _drawer(args.picture)

    def tell(record: Record, known: machine.Known, healthy: Healthy) -> None:
        of = known.of(record)
        for sensor in record.sensors:
            found = diagnosed(sensor, of, known.speed_rpm(sensor), healthy)
            write(found)
            draw(found)

    said = waveforms.options(args)
    known = machine.known(args)
    healthy = _healthy(waveforms.read(args.reference, said), known) if args.reference else None
    if args.capture is None and args.case is None:
        return waveforms.each(args.files, said, lambda record: tell(record, known, healthy or Healthy()))
    if args.files:
        raise Problem("found files and a capture of the lake, wanted one of them")
    for stored in _stored(args):
        record = waveforms.chosen(stored.record, said)
        tell(record, machine.known(args, at=stored.position), healthy or Healthy(stored.normal))
    return 0


def _stored(args: argparse.Namespace) -> list["captures.Stored"]:
    from cli import captures  # brings the lake's libraries, which files do without

    deployment = current()
    return captures.of_case(deployment, args.case) if args.case else captures.of_capture(deployment, args.capture)


def diagnosed(record: Record, of: Machine, speed: tuple[float | None, str], healthy: Healthy) -> Diagnosed:
    """The diagnosis of one sensor's record, as the line makes it. `speed` : r/min and who said it."""
    rpm, who = speed
    waves = list(record.channels.values())
    missing = sorted({wave.axis for wave in waves} - set(healthy.reference)) if healthy.reference else []
    if missing:
        there = ", ".join(healthy.reference)
        raise Problem(f"{record.name}: --reference: found {there}, wanted also {', '.join(missing)}")
    found = diagnose(
        waves,
        machine=of,
        speed_hz=None if rpm is None else rpm / 60,
        speed_source=SOURCES[who],
        normal=healthy.normal_at(rpm) or None,
        reference=healthy.reference or None,
        calibrated=record.calibrated,
    )
    return Diagnosed(record, of, speed, found)


def _healthy(records: list[Record], known: machine.Known) -> Healthy:
    """What is normal, from the first record of a healthy recording, at the speed that the recording says."""
    record = records[0]
    rpm = record.speed_rpm or known.speed_rpm(record)[0]
    speed_hz = None if rpm is None else rpm / 60
    waves = list(record.channels.values())
    rows = axes_features([(wave, speed_hz, known.machine) for wave in waves])
    try:
        references = {wave.axis: rolling.reference(wave.g(), fs_hz=wave.fs_hz, speed_hz=speed_hz) for wave in waves}
    except ValueError as error:
        raise Problem(f"{record.name}: --reference: found {error}") from error
    normal = {
        wave.axis: {name: value for name, value in row.items() if value is not None}
        for wave, row in zip(waves, rows, strict=True)
    }
    return Healthy(normal, references, rpm)


# ---- for programs --------------------------------------------------------------------------------


def as_json(found: Diagnosed) -> dict[str, Any]:
    """Plain values: one diagnosis."""
    bearing = found.machine.bearing
    return {
        **heading(found.record),
        "channels": {name: wave.axis for name, wave in found.record.channels.items()},
        "speed_rpm": found.speed[0],
        "speed_source": found.speed[1],
        "bearing": None if bearing is None else asdict(bearing),
        "diagnosis": finite(found.diagnosis.as_dict()),
    }


def finite(value: Any) -> Any:
    """The value with null for each number that JSON cannot hold."""
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _json_lines() -> Callable[[Diagnosed], None]:
    return lambda found: print(json.dumps(as_json(found), ensure_ascii=False))


def _csv_lines() -> Callable[[Diagnosed], None]:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)

    def write(found: Diagnosed) -> None:
        record, said = found.record, found.diagnosis
        head = (record.file, record.part, " ".join(record.channels), said.verdict, said.confidence)
        writer.writerow([*head, _axis(said), found.speed[0], found.speed[1], said.reason])

    return write


def _axis(said: Diagnosis) -> str | None:
    return next((finding.axis for finding in said.findings if finding.fault == said.verdict), None)


# ---- for the eye ---------------------------------------------------------------------------------


def _tables() -> Callable[[Diagnosed], None]:
    console = Console()
    return lambda found: console.print(Group(*_shown(found)), Text())


def _shown(found: Diagnosed) -> Iterator[RenderableType]:
    record, said = found.record, found.diagnosis
    yield title(record, machine.facts(record, found.machine, found.speed))
    words, colour = VERDICTS.get(said.verdict) or (FAULTS[said.verdict][0], "red")
    yield Text.assemble(("  " + words, f"bold {colour}"), f"  confidence {said.confidence:.2f}")
    if said.fault is None:
        yield Padding(Text(said.reason), (0, 0, 0, 2))
    for finding in said.findings:
        yield Padding(_finding(finding, named=finding.fault == said.verdict), (0, 0, 0, 2))
    if facts := list(_how(found)):
        yield Padding(_pairs(facts), (1, 0, 0, 2))
    if said.untested:
        yield Text("\n  not looked for", style="bold")
        yield Padding(_pairs([(FAULTS[fault][0], why) for fault, why in said.untested.items()]), (0, 0, 0, 4))


def _finding(finding: Finding, *, named: bool) -> RenderableType:
    """One fault: what speaks for it with +, what against it with −."""
    head = [] if named else [Text.assemble("\n", (FAULTS[finding.fault][0], "bold"), f"  {finding.confidence:.2f}")]
    evidence = [("+", "green", text) for text in finding.supports] + [
        ("−", "red", text) for text in finding.contradicts
    ]
    grid = Table.grid(padding=(0, 1))
    for sign, colour, text in evidence:
        grid.add_row(Text(sign, style=colour), Text(text))
    return Group(*head, grid)


def _how(found: Diagnosed) -> Iterator[tuple[str, str]]:
    said = found.diagnosis
    if said.speed_hz is not None:
        yield "speed", f"{said.speed_hz:.2f} Hz, {60 * said.speed_hz:,.0f} r/min, {said.speed_source}"
        if found.machine.bearing is not None:
            orders = fault_orders(found.machine.bearing)._asdict()
            yield "bearing", " · ".join(f"{line.upper()} {o * said.speed_hz:.1f}" for line, o in orders.items()) + " Hz"
    for axis, (low, high) in said.bands_hz.items():
        yield f"envelope {axis}", f"{low:,.0f}-{high:,.0f} Hz"
    yield from (("note", note) for note in said.notes)
    if not found.record.calibrated:
        yield "note", NO_LEVELS


def _pairs(rows: list[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for name, text in rows:
        grid.add_row(Text(name, style="dim"), Text(text, style="dim"))
    return grid


WRITERS: Mapping[str, Callable[[], Callable[[Diagnosed], None]]] = {
    "table": _tables,
    "json": _json_lines,
    "csv": _csv_lines,
}


# ---- pictures ------------------------------------------------------------------------------------


def _drawer(where: Path | None) -> Callable[[Diagnosed], None]:
    """What draws a diagnosis into the file, or into a file of its own in the folder."""
    drawn: list[str] = []

    def draw(found: Diagnosed) -> None:
        if where is None:
            return
        name = found.record.name
        if where.suffix.lower() in PICTURES and drawn:
            raise Problem(f"--picture {where}: found {drawn[0]} and {name}, wanted a folder for several")
        drawn.append(name)
        file = where
        if where.suffix.lower() not in PICTURES:
            where.mkdir(parents=True, exist_ok=True)
            file = where / (re.sub(r"[^A-Za-z0-9_.-]+", "-", name) + ".svg")
        file.write_bytes(rendered(found, file.suffix.lower()))
        print(f"{name}: drawn in {file}", file=sys.stderr)

    return draw


def rendered(found: Diagnosed, kind: str) -> bytes:
    """The evidence picture as .svg or .png."""
    wave = picture.deciding(list(found.record.channels.values()), found.diagnosis)
    drawing = picture.evidence(wave, diagnosis=found.diagnosis, machine=found.machine, title=found.record.name)
    if kind == ".svg":
        return svg.render(drawing).encode()
    from telltale.adapters import png  # an image library, which only this needs

    return png.render(drawing)
