"""A capture: what one sensor sends for one instant, decoded and in known units."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

AXES = ("x", "y", "z")


@dataclass(frozen=True, eq=False)
class Waveform:
    """One axis. `samples` are int16 counts, shape (n,); `samples * scale` is in `unit` (g or m/s2).

    Sensors send counts. What is read from a file may be floats: all that computes with samples takes both.
    """

    axis: str
    samples: NDArray[np.int16]
    fs_hz: float
    scale: float
    unit: str


@dataclass(frozen=True, eq=False)
class Capture:
    """One message of a sensor. Several messages may share a `capture_id`: one for each axis, say.

    `part` names what this message carries (axes in order, then "s" if it has scalars), so that
    (`capture_id`, `part`) identifies the message however often it is delivered.
    """

    capture_id: str
    part: str
    sensor: str
    t_ms: int
    waveforms: tuple[Waveform, ...] = ()
    velocity_rms_mm_s: Mapping[str, float] = field(default_factory=dict)  # by axis, computed on the device
    temperature_c: float | None = None
    speed_rpm: float | None = None
    battery_pct: float | None = None
    rssi_dbm: float | None = None
    tags: Mapping[str, float] = field(default_factory=dict)
