"""What a capture may say, checked value by value. Every failed check raises Rejected: what was found, what was wanted.

`capture` makes a Capture of a decoded payload; `placed` checks who sent it against the registry.
"""

import math
import re
import reprlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from telltale.core.capture import AXES, UNITS, Capture, Waveform
from telltale.core.errors import Reason, Rejected
from telltale.core.plant import Gateway, Position, Sensor

VERSION = 1
PAYLOAD_BYTES = 128 * 1024  # AWS IoT Core: largest MQTT message
SAMPLES = 65_536  # int16 samples of one axis that fill such a message
TAGS = 64
ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
CAPTURE_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}(@\d+)?")  # the gateway's own, or made of the sensor's and the time

# Bounds of the possible, not of the healthy: wider than any sensor's range, narrow enough to catch a wrong unit.
FS_HZ = (0.0, 1e6)  # above zero
SCALE = (0.0, 1e3)  # above zero; full scale 3e7, beyond any accelerometer (guess)
TEMPERATURE_C = (-60.0, 300.0)
VELOCITY_MM_S = (0.0, 1000.0)
SPEED_RPM = (0.0, 120_000.0)
BATTERY_PCT = (0.0, 100.0)
RSSI_DBM = (-150.0, 0.0)

AHEAD_MS = 300_000  # clock skew of an unsynchronised gateway: 5 minutes
OLDEST_MS = 400 * 86_400_000  # a gateway may have been offline for a year

_SCALARS = ("temperature_c", "velocity_rms_mm_s", "speed_rpm", "tags")
_HOUSEKEEPING = ("battery_pct", "rssi_dbm")
_FIELDS = frozenset(("v", "sensor", "t", "capture_id", "waveforms", *_SCALARS, *_HOUSEKEEPING))
_WAVEFORM_FIELDS = frozenset(("fs_hz", "unit", "scale", "samples"))
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_LARGEST = sys.float_info.max
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Samples = Callable[[Any], NDArray[np.int16]]


def capture(document: object, *, received_ms: int, samples: Samples) -> Capture:
    """The capture that a decoded payload describes.

    `samples` turns the payload's own form of an axis into int16 counts, shape (n,), or raises Rejected.
    """
    fields = mapping(document, "payload")
    _known(fields, _FIELDS, "payload")
    _version(fields.get("v"))
    sensor = identifier(fields.get("sensor"), "sensor")
    t_ms = instant_ms(fields.get("t"), "t")
    in_time(t_ms, received_ms)
    given_id = fields.get("capture_id")
    taken = Capture(
        capture_id=f"{sensor}@{t_ms}" if given_id is None else identifier(given_id, "capture_id"),
        part="",
        sensor=sensor,
        t_ms=t_ms,
        waveforms=_waveforms(fields.get("waveforms"), samples),
        velocity_rms_mm_s=_velocity(fields.get("velocity_rms_mm_s")),
        temperature_c=_optional(fields, "temperature_c", TEMPERATURE_C),
        speed_rpm=_optional(fields, "speed_rpm", SPEED_RPM),
        battery_pct=_optional(fields, "battery_pct", BATTERY_PCT),
        rssi_dbm=_optional(fields, "rssi_dbm", RSSI_DBM),
        tags=_tags(fields.get("tags")),
    )
    return replace(taken, part=_part(taken))


def placed(
    taken: Capture, *, gateway: Gateway | None, sensor: Sensor | None, position: Position | None, client: str
) -> Position:
    """The position a capture is from; who sent it must be who the registry says may send it.

    `gateway`, `sensor` and `position` are what the registry knows of them, None where it knows nothing.
    """
    if gateway is None:
        raise Rejected(Reason.FOREIGN_GATEWAY, f"gateway {shown(client)} is not registered")
    if sensor is None:
        raise Rejected(Reason.UNKNOWN_SENSOR, f"sensor {taken.sensor} is not registered")
    if position is None:
        raise Rejected(Reason.UNKNOWN_SENSOR, f"sensor {taken.sensor} has no registered position at t = {taken.t_ms}")
    if sensor.gateway is not None and sensor.gateway != gateway.id:
        raise Rejected(
            Reason.FOREIGN_GATEWAY, f"sensor {sensor.id} came through {gateway.id}, is heard through {sensor.gateway}"
        )
    if sensor.gateway is None and gateway.site != position.site:
        raise Rejected(
            Reason.FOREIGN_GATEWAY,
            f"sensor {sensor.id} of site {position.site} came through {gateway.id} of site {gateway.site}",
        )
    return position


def mapping(value: object, what: str) -> Mapping[str, Any]:
    """A mapping with text keys."""
    if not isinstance(value, Mapping) or not {type(key) for key in value} <= {str}:
        raise Rejected(Reason.BAD_FIELD, f"{what} is {shown(value)}, wanted a map with text keys")
    return value


def identifier(value: object, what: str, reason: Reason = Reason.BAD_FIELD) -> str:
    """A name that may stand in topics, keys and paths."""
    if not isinstance(value, str) or not ID.fullmatch(value):
        raise Rejected(reason, f"{what} is {shown(value)}, wanted {ID.pattern}")
    return value


def number(value: object, what: str, bounds: tuple[float, float] | None = None) -> float:
    """A finite number, within bounds (inclusive) where some are given."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Rejected(Reason.BAD_FIELD, f"{what} is {shown(value)}, wanted a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise Rejected(Reason.BAD_FIELD, f"{what} is {value}, wanted a finite number")
    low, high = bounds or (-_LARGEST, _LARGEST)
    if not low <= value <= high:
        raise Rejected(Reason.BAD_RANGE, f"{what} is {shown(value)}, wanted {low:g} to {high:g}")
    return float(value)


def instant_ms(value: object, what: str) -> int:
    """Milliseconds since 1970 of an RFC 3339 text or of a whole number of them."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        if isinstance(value, str) and _RFC3339.fullmatch(value):
            return round((datetime.fromisoformat(value.upper()) - _EPOCH).total_seconds() * 1000)
    except (ValueError, OverflowError):
        pass  # the right form, but no such day or hour
    raise Rejected(Reason.BAD_FIELD, f"{what} is {shown(value)}, wanted RFC 3339 with a zone or whole milliseconds")


def in_time(t_ms: int, received_ms: int) -> None:
    """Sampled not after it was received, and not too long before."""
    ahead_ms = t_ms - received_ms
    if ahead_ms > AHEAD_MS:
        found = f"t is {shown(t_ms)}, {shown(ahead_ms)} ms after it was received"
        raise Rejected(Reason.CLOCK_AHEAD, f"{found}, wanted at most {AHEAD_MS} ms")
    if -ahead_ms > OLDEST_MS:
        found = f"t is {shown(t_ms)}, {shown(-ahead_ms)} ms before it was received"
        raise Rejected(Reason.TOO_OLD, f"{found}, wanted at most {OLDEST_MS} ms")


def shown(value: object) -> str:
    """A value as it may stand in a message: short, whatever it is."""
    try:
        return _SHORT.repr(value)
    except (ValueError, RecursionError):  # a whole number of thousands of digits; lists in lists
        return f"a {type(value).__name__} too long to show"


_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxdict, _SHORT.maxlist = 2, 70, 70, 3, 3


def _waveforms(value: object, samples: Samples) -> tuple[Waveform, ...]:
    if value is None:
        return ()
    axes = mapping(value, "waveforms")
    _known(axes, frozenset(AXES), "waveforms")
    return tuple(_waveform(axis, axes[axis], samples) for axis in AXES if axis in axes)


def _waveform(axis: str, value: object, samples: Samples) -> Waveform:
    what = f"waveforms.{axis}"
    fields = mapping(value, what)
    _known(fields, _WAVEFORM_FIELDS, what)
    unit = fields.get("unit")
    if not isinstance(unit, str) or unit not in UNITS:
        raise Rejected(Reason.BAD_UNIT, f"{what}.unit is {shown(unit)}, wanted one of {', '.join(UNITS)}")
    fs_hz = number(fields.get("fs_hz"), f"{what}.fs_hz")
    if not FS_HZ[0] < fs_hz <= FS_HZ[1]:
        raise Rejected(Reason.BAD_RATE, f"{what}.fs_hz is {fs_hz:g}, wanted above 0 and at most {FS_HZ[1]:g}")
    scale = number(fields.get("scale"), f"{what}.scale", SCALE)
    if scale == 0.0:
        raise Rejected(Reason.BAD_RANGE, f"{what}.scale is 0, wanted above 0")
    counts = samples(fields.get("samples"))
    if not 0 < counts.size <= SAMPLES:
        reason = Reason.TOO_LARGE if counts.size else Reason.BAD_FIELD
        raise Rejected(reason, f"{what} has {counts.size} samples, wanted 1 to {SAMPLES}")
    return Waveform(axis=axis, samples=counts, fs_hz=fs_hz, scale=scale, unit=unit)


def _velocity(value: object) -> dict[str, float]:
    if value is None:
        return {}
    axes = mapping(value, "velocity_rms_mm_s")
    _known(axes, frozenset(AXES), "velocity_rms_mm_s")
    present = {axis: axes[axis] for axis in AXES if axes.get(axis) is not None}
    return {axis: number(value, f"velocity_rms_mm_s.{axis}", VELOCITY_MM_S) for axis, value in present.items()}


def _tags(value: object) -> dict[str, float]:
    if value is None:
        return {}
    tags = mapping(value, "tags")
    if len(tags) > TAGS:
        raise Rejected(Reason.TOO_LARGE, f"tags has {len(tags)} entries, wanted at most {TAGS}")
    return {identifier(name, "name of a tag"): number(value, f"tags.{name}") for name, value in tags.items()}


def _optional(fields: Mapping[str, Any], name: str, bounds: tuple[float, float]) -> float | None:
    value = fields.get(name)
    return None if value is None else number(value, name, bounds)


def _known(fields: Mapping[str, Any], names: frozenset[str], what: str) -> None:
    """A misspelt field would be lost in silence."""
    unknown = sorted(fields.keys() - names)
    if unknown:
        raise Rejected(Reason.BAD_FIELD, f"{what} has {shown(unknown)}, wanted only {', '.join(sorted(names))}")


def _version(value: object) -> None:
    if type(value) is not int or value != VERSION:
        raise Rejected(Reason.BAD_FIELD, f"v is {shown(value)}, wanted {VERSION}")


def _part(taken: Capture) -> str:
    """Axes present in order, then s; battery and signal strength count when there is nothing else."""
    axes = "".join(waveform.axis for waveform in taken.waveforms)
    if _any(taken, _SCALARS) or (not axes and _any(taken, _HOUSEKEEPING)):
        return f"{axes}s"
    if not axes:
        raise Rejected(Reason.BAD_FIELD, "payload carries no waveform and no value, wanted at least one")
    return axes


def _any(taken: Capture, names: tuple[str, ...]) -> bool:
    return any(getattr(taken, name) not in (None, {}) for name in names)
