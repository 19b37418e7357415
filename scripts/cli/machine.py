"""What the user says of the machine a recording is from: its speed, its bearing, what passes and turns in it."""

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from telltale.core.bearings import fault_orders, find
from telltale.core.plant import OWN_BANDS, UNKNOWN_MACHINE, Bearing, Machine, Position

from cli.arguments import at_least_one, positive
from cli.deployment import ROOT
from cli.plant import read_or_explain
from cli.plant_file import DIRECTIONS, TYPES, did_you_mean
from cli.problem import Problem
from cli.waveforms import Record

Band = tuple[float, float]
GEOMETRY = "ELEMENTS,ELEMENT_MM,PITCH_MM[,ANGLE]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is known of the machine; what is not given comes from the file or the position, or is not known."""
    machine = parser.add_argument_group("the machine")
    machine.add_argument(
        "--rpm", type=positive, metavar="R/MIN", help="speed of the shaft; it wins over what the file says"
    )
    machine.add_argument("--type", choices=TYPES, help="what it is")
    machine.add_argument(
        "--bearing", type=bearing, metavar="NAME", help=f"of the catalogue, such as 6205, or {GEOMETRY}"
    )
    machine.add_argument(
        "--blades", type=at_least_one, metavar="N", help="blades, vanes or lobes of the shaft measured"
    )
    machine.add_argument("--teeth", type=at_least_one, metavar="N", help="of the gear on it")
    machine.add_argument("--line-hz", type=positive, metavar="HZ", help="mains frequency of its electric motor")
    machine.add_argument("--poles", type=at_least_one, metavar="N", help="of that motor")
    machine.add_argument(
        "--direction",
        type=direction,
        action="append",
        default=[],
        metavar="AXIS=WORD",
        help=f"how an axis or channel lies: {', '.join(DIRECTIONS)}",
    )
    machine.add_argument("--envelope-band", type=band, metavar="LOW-HIGH", help="take the envelope of this band, in Hz")
    machine.add_argument("--position", metavar="PATH", help="take all this from a position of the plant file")
    machine.add_argument(
        "--plant", type=Path, default=ROOT / "plant.yaml", metavar="FILE", help="the plant file (plant.yaml)"
    )


def bearing(text: str) -> Bearing:
    """A bearing by its designation ("6205", "SKF 6205-2RS/C3") or by its geometry ("9,7.94,39.04")."""
    if "," in text:
        return _geometry(text)
    try:
        return find(text)
    except LookupError as error:
        raise argparse.ArgumentTypeError(f"{error}: {GEOMETRY}") from error


def _geometry(text: str) -> Bearing:
    try:
        parts = [float(part) for part in text.split(",")]
        elements, element_mm, pitch_mm, angle_deg = parts if len(parts) > 3 else (*parts, 0.0)
        if elements % 1:
            raise ValueError("the elements are not a whole number")
        found = Bearing(int(elements), element_mm, pitch_mm, angle_deg)
        fault_orders(found)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'found "{text}" ({error}), wanted {GEOMETRY}') from error
    return found


def band(text: str) -> Band:
    """The two ends of a band in Hz: "2000-8000"."""
    match = re.fullmatch(r"\s*([0-9.]+)\s*-\s*([0-9.]+)\s*", text)
    try:
        low, high = (float(end) for end in match.groups()) if match else (1.0, 0.0)
    except ValueError:
        low, high = 1.0, 0.0
    if low >= high:
        raise argparse.ArgumentTypeError(f'found "{text}", wanted two frequencies in Hz such as 2000-8000')
    return low, high


def direction(text: str) -> tuple[str, str]:
    """An axis or channel, and how it lies: "x=vertical"."""
    axis, _, word = text.partition("=")
    if not axis or word not in DIRECTIONS:
        near = did_you_mean(word, DIRECTIONS) if word else ""
        raise argparse.ArgumentTypeError(f'found "{text}"{near}, wanted AXIS={"|".join(DIRECTIONS)}')
    return axis, word


@dataclass(frozen=True)
class Known:
    """The machine as far as it is known. `rpm` : given for every file.   nominal_rpm : of the position.

    directions : by axis or channel, as given for every file.
    """

    machine: Machine
    rpm: float | None = None
    nominal_rpm: float | None = None
    directions: Mapping[str, str] = field(default_factory=dict)

    def of(self, record: Record) -> Machine:
        """The machine with the directions of the record's axes. Problem where one is given that it does not have."""
        axes = {wave.axis: wave.axis for wave in record.channels.values()}
        axes |= {name: wave.axis for name, wave in record.channels.items()}
        missing = sorted(set(self.directions) - set(axes))
        if missing:
            raise Problem(f'{record.name}: --direction: found no axis "{missing[0]}"; there are {", ".join(axes)}')
        said = {axes[name]: word for name, word in self.directions.items()}
        return replace(self.machine, directions={**self.machine.directions, **said})

    def speed_rpm(self, record: Record) -> tuple[float | None, str]:
        """The speed and who said it: the command, the file, the plant file."""
        said = ((self.rpm, "given"), (record.speed_rpm, "in the file"), (self.nominal_rpm, "of the position"))
        return next(((rpm, who) for rpm, who in said if rpm is not None and rpm > 0), (None, "unknown"))


def known(args: argparse.Namespace, *, bands: tuple[Band, ...] = (), at: Position | None = None) -> Known:
    """The machine at a position, that of --position where none is given, with what the arguments say instead."""
    position = _position(args.plant, args.position) if args.position else at
    machine, nominal = (UNKNOWN_MACHINE, None) if position is None else (position.machine, position.speed_rpm)
    if len(bands) > OWN_BANDS:
        raise Problem(f"--band: found {len(bands)} bands, wanted at most {OWN_BANDS}")
    given: Mapping[str, Any] = {
        "type": args.type,
        "bearing": args.bearing,
        "blades": args.blades,
        "teeth": args.teeth,
        "line_hz": args.line_hz,
        "poles": args.poles,
        "envelope_band_hz": args.envelope_band,
        "bands_hz": bands or None,
    }
    said = {name: value for name, value in given.items() if value is not None}
    return Known(replace(machine, **said), args.rpm, nominal, dict(args.direction))


def _position(file: Path, path: str) -> Position:
    positions = read_or_explain(file).positions
    if path not in positions:
        near = did_you_mean(path, positions)
        raise Problem(f'{file}: found no position "{path}"{near}', f"There are {', '.join(sorted(positions))}.")
    return positions[path]


def facts(record: Record, machine: Machine, speed: tuple[float | None, str]) -> list[str]:
    """How it was measured and of what, each fact a few words."""
    rates = sorted({wave.fs_hz for wave in record.channels.values()})
    longest_s = max(len(wave.samples) / wave.fs_hz for wave in record.channels.values())
    rpm, who = speed
    return [
        f"{' and '.join(f'{rate:,g}' for rate in rates)} Hz",
        f"{longest_s:.3g} s",
        "speed unknown" if rpm is None else f"{rpm:,g} r/min ({who})",
        *([f"bearing {machine.bearing.name or 'by its geometry'}"] if machine.bearing else []),
    ]
