"""Captures in the deployed lake, with what is known of the position they are from: as `diagnose` reads files."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from telltale.adapters.cases import Cases
from telltale.adapters.registry import Registry
from telltale.adapters.states import States
from telltale.core import detect
from telltale.core.capture import Waveform
from telltale.core.plant import Position
from telltale.core.validate import CAPTURE_ID

from cli.cases import find
from cli.deployment import Deployment
from cli.problem import Problem
from cli.tables import Row, committed, pending, rows_of
from cli.waveforms import Record

COLUMNS = ("capture_id", "position", "sensor", "t", "axis", "fs_hz", "unit", "scale", "samples")
SPEED = ("capture_id", "sensor", "speed_rpm")


@dataclass(frozen=True)
class Stored:
    """A capture, the position it is from, and what was learned there: axis → indicator → what is usual."""

    record: Record
    position: Position
    normal: Mapping[str, Mapping[str, float]]


def of_capture(deployment: Deployment, capture_id: str) -> list[Stored]:
    """The captures of this id, one for each sensor that took one so called."""
    if not CAPTURE_ID.fullmatch(capture_id):
        raise Problem(f'found "{capture_id}" as the id of a capture, wanted {CAPTURE_ID.pattern}')
    rows = _rows(deployment, f"capture_id = '{capture_id}'", lambda row: row["capture_id"] == capture_id)
    if not rows:
        raise Problem(f"the lake has no waveforms of a capture {capture_id}", '`telltale query "SELECT …"` finds one.')
    sensors = sorted({row["sensor"] for row in rows})
    return [_stored(deployment, [row for row in rows if row["sensor"] == sensor]) for sensor in sensors]


def of_case(deployment: Deployment, beginning: str) -> list[Stored]:
    """The capture that a case was last diagnosed from; without one, that which opened it."""
    case = find(list(Cases(deployment.client("dynamodb"), deployment.outputs["CasesTable"]).all()), beginning)
    change, place = case.change, case.position
    made = change.evidence.get("diagnosis", {})
    t_ms = made.get("t_ms", change.opened_ms)
    at = datetime.fromtimestamp(t_ms / 1000, UTC)
    where = f"position = '{place}' and t = '{at.isoformat(timespec='milliseconds')}'"
    rows = _rows(deployment, where, lambda row: (row["position"], row["t"]) == (place, at))
    if not rows:
        raise Problem(
            f"the lake has no waveforms of {place} at {at:%Y-%m-%d %H:%M:%S} UTC, which {change.case_id} is about"
        )
    return [_stored(deployment, rows)]


def _rows(deployment: Deployment, where: str, wanted: Any) -> list[Row]:
    """Rows of the table `waveforms`, those on their way to it too; each axis of a capture once."""
    waiting = [row for row in rows_of(deployment, pending(deployment), "waveforms", COLUMNS) if wanted(row)]
    rows = [*committed(deployment, "waveforms", COLUMNS, where), *waiting]
    return list({(row["sensor"], row["capture_id"], row["axis"]): row for row in rows}.values())


def _stored(deployment: Deployment, rows: list[Row]) -> Stored:
    first = rows[0]
    place, dynamodb = first["position"], deployment.client("dynamodb")
    position = Registry(dynamodb, deployment.outputs["RegistryTable"]).positions([place]).get(place, Position(place))
    held = States(dynamodb, deployment.outputs["StatesTable"]).get([place]).get(place)
    speed_rpm = _speed_rpm(deployment, first)
    driven = detect.Row(first["capture_id"], "", 0, 0, first["sensor"], speed_rpm)
    usual = detect.usual(detect.State.unpack(held.core), driven, position) if held else {}
    record = Record(
        file=place,
        part=f"{first['capture_id']}, {first['t']:%Y-%m-%d %H:%M} UTC",
        channels={row["axis"]: _waveform(row) for row in sorted(rows, key=lambda row: row["axis"])},
        speed_rpm=speed_rpm,
    )
    return Stored(record, position, usual)


def _waveform(row: Row) -> Waveform:
    return Waveform(row["axis"], np.array(row["samples"], np.int16), row["fs_hz"], row["scale"], row["unit"])


def _speed_rpm(deployment: Deployment, of: Row) -> float | None:
    """The speed that the device measured with this capture."""
    ids = {name: of[name] for name in ("capture_id", "sensor")}
    where = " and ".join(f"{name} = '{value}'" for name, value in ids.items())
    waiting = rows_of(deployment, pending(deployment), "captures", SPEED)
    rows = [*committed(deployment, "captures", SPEED, where), *waiting]
    speeds = (row["speed_rpm"] for row in rows if ids.items() <= row.items())
    return next((speed for speed in speeds if speed is not None), None)
