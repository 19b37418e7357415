"""A capture: what one sensor sends for one instant, decoded and in known units."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

AXES = ("x", "y", "z")
UNITS = ("g", "m/s2")
STANDARD_GRAVITY_M_S2 = 9.80665  # CGPM 1901


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

    @property
    def scale_g(self) -> float:
        """What one count is in g. ValueError for a unit that is neither g nor m/s2."""
        if self.unit not in UNITS:
            raise ValueError(f"unit {self.unit!r} of axis {self.axis}, wanted {' or '.join(UNITS)}")
        return self.scale / STANDARD_GRAVITY_M_S2 if self.unit == "m/s2" else self.scale

    def g(self) -> NDArray[np.float64]:
        """The samples in g, shape (n,), a new array. ValueError as `scale_g`."""
        return np.asarray(self.samples, np.float64) * self.scale_g


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
