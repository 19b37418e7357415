"""The condition indicators of recordings, by the same code as in the line.

  telltale features motor.wav --scale-g 5
  telltale features run.npz --channel DE --bearing 6205 --format json
  telltale features logger.csv --unit m/s2 --position riverside/pump-hall/pump-1/pump-inboard

Files are .npz, .wav, .csv or .parquet; docs/files.md tells what is read from each, and docs/data-dictionary.md what the
indicators mean. A file that cannot be read is named on stderr, and the others go on.
"""

import argparse
import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from telltale.core.features import axes_features
from telltale.core.plant import Machine
from telltale.core.schema import FEATURES, Column

from cli import machine, waveforms
from cli.arguments import positive
from cli.waveforms import Record

FORMATS = ("table", "json", "csv")
COLUMNS = ("file", "record", "channel", "axis", "fs_hz", "n_samples", "speed_rpm")  # of CSV, before the indicators
NAMES = max(len(column.name) for column in FEATURES)
UNITS = max(len(column.unit or "") for column in FEATURES) + len("*")
NARROW = 24  # characters that the meaning needs beside the values; with fewer it goes below
UNCALIBRATED = "*"  # marks units that only hold if full scale is 1 g
LEVELS = ("g", "mm/s", "µm", "g/√Hz")  # units that a wrong scale spoils


@dataclass(frozen=True)
class Measured:
    """A record with its indicators by channel. `speed` : r/min and who said it."""

    record: Record
    machine: Machine
    speed: tuple[float | None, str]
    rows: Mapping[str, Mapping[str, float | None]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    waveforms.add_arguments(parser)
    parser.add_argument("--seconds", type=positive, metavar="S", help="cut each file into captures of so many seconds")
    parser.add_argument("--format", choices=FORMATS, default="table", help="json: one object a line (default: table)")
    machine.add_arguments(parser)
    parser.add_argument(
        "--band",
        type=machine.band,
        action="append",
        default=[],
        metavar="LOW-HIGH",
        help="acceleration RMS of an own band, in Hz (up to four)",
    )


def run(args: argparse.Namespace) -> int:
    known = machine.known(args, bands=tuple(args.band))
    said = waveforms.options(args)
    write = WRITERS[args.format]()

    def one(record: Record) -> None:
        for piece in waveforms.cut(record, args.seconds) if args.seconds else [record]:
            write(measured(piece, known))

    return waveforms.each(args.files, said, one)


def measured(record: Record, known: machine.Known) -> Measured:
    """The record's indicators, as the line computes them."""
    speed = known.speed_rpm(record)
    speed_hz = None if speed[0] is None else speed[0] / 60
    of = known.of(record)
    rows = axes_features([(wave, speed_hz, of) for wave in record.channels.values()])
    return Measured(record, of, speed, dict(zip(record.channels, rows, strict=True)))


# ---- for programs --------------------------------------------------------------------------------


def as_json(found: Measured) -> dict[str, Any]:
    """Plain values: one record."""
    bearing = found.machine.bearing
    return {
        **heading(found.record),
        "speed_rpm": found.speed[0],
        "speed_source": found.speed[1],
        "bearing": None if bearing is None else asdict(bearing),
        "channels": [
            {"channel": name, "axis": wave.axis, "fs_hz": wave.fs_hz, "n_samples": len(wave.samples)}
            | {"features": found.rows[name]}
            for name, wave in found.record.channels.items()
        ],
    }


def heading(record: Record) -> dict[str, Any]:
    """What every object begins with."""
    return {
        "file": record.file,
        "record": record.part,
        "calibrated": record.calibrated,
        "notes": list(record.notes),
    }


def _json_lines() -> Callable[[Measured], None]:
    return lambda found: print(json.dumps(as_json(found), ensure_ascii=False))


def _csv_lines() -> Callable[[Measured], None]:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*COLUMNS, *(column.name for column in FEATURES)])

    def write(found: Measured) -> None:
        for name, wave in found.record.channels.items():
            record = found.record
            head = [record.file, record.part, name, wave.axis, wave.fs_hz, len(wave.samples), found.speed[0]]
            writer.writerow([*head, *(found.rows[name][column.name] for column in FEATURES)])

    return write


# ---- for the eye ---------------------------------------------------------------------------------


def _tables() -> Callable[[Measured], None]:
    console = Console()
    return lambda found: console.print(Group(*_shown(found, console.width)), Text())


def _shown(found: Measured, width: int) -> Iterator[RenderableType]:
    record = found.record
    yield title(record, machine.facts(record, found.machine, found.speed))
    present = [column for column in FEATURES if any(row[column.name] is not None for row in found.rows.values())]
    yield Padding(_grid(found, present, width), (0, 0, 0, 2))
    for why, names in _absent(found, present).items():
        yield Padding(Text(f"{why}: {', '.join(names)}", style="dim"), (0, 0, 0, 2))
    if not record.calibrated:
        yield Text("  * if full scale were 1 g: only ratios mean something", style="yellow")


def title(record: Record, facts: Sequence[str]) -> Text:
    """A record's name and what is known of it."""
    return Text.assemble((record.name, "bold"), ("  " + " · ".join(facts), "dim"))


def _grid(found: Measured, present: Sequence[Column], width: int) -> RenderableType:
    rows = [
        (column, [figure(row[column.name]) for row in found.rows.values()], _unit(column, found.record))
        for column in present
    ]
    widest = max((len(value) for _, values, _ in rows for value in values), default=0)
    wide = [max(widest, len(name)) for name in found.rows]
    if width - NAMES - sum(wide) - 2 * len(wide) - UNITS - 6 < NARROW:
        return Group(*_below(found, rows, wide))
    grid = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    grid.add_column("")
    for name in found.rows:
        grid.add_column(name, justify="right")
    for name in ("unit", "meaning"):
        grid.add_column(name, style="dim")
    for column, values, unit in rows:
        grid.add_row(column.name, *values, unit, meaning(column))
    return grid


def _below(
    found: Measured, rows: Sequence[tuple[Column, list[str], str]], wide: Sequence[int]
) -> Iterator[RenderableType]:
    """The rows of a grid with the meaning below each, for many channels or a narrow terminal."""
    yield Text(" " * NAMES + "".join(f"  {name:>{room}}" for name, room in zip(found.rows, wide, strict=True)), "dim")
    for column, values, unit in rows:
        cells = "".join(f"  {value:>{room}}" for value, room in zip(values, wide, strict=True))
        yield Text.assemble(f"{column.name:<{NAMES}}{cells}  ", (unit, "dim"))
        yield Padding(Text(meaning(column), style="dim"), (0, 0, 0, 2))


def _unit(column: Column, record: Record) -> str:
    spoilt = not record.calibrated and column.unit in LEVELS
    return f"{column.unit or ''}{UNCALIBRATED if spoilt else ''}"


def meaning(column: Column) -> str:
    """What an indicator means, in brief, with its band."""
    words = column.meaning.split("; ")[0]
    return f"{words}, {column.band}" if column.band and column.band.endswith(" Hz") else words


def _absent(found: Measured, present: Sequence[Column]) -> dict[str, list[str]]:
    """The indicators that are not known, by why."""
    why: dict[str, list[str]] = {}
    for column in FEATURES:
        if column not in present:
            reason = next((part for part in column.meaning.split("; ") if part.startswith("null")), "null")
            why.setdefault(reason.replace("null", "not known", 1), []).append(column.name)
    return why


def figure(value: float | None) -> str:
    """A number for the eye: four significant digits, nothing where it is not known."""
    return "" if value is None else f"{float(f'{value:.4g}'):g}"


WRITERS: Mapping[str, Callable[[], Callable[[Measured], None]]] = {
    "table": _tables,
    "json": _json_lines,
    "csv": _csv_lines,
}
