"""The plant as values: sites, areas, assets, positions, sensors, gateways.

A position is the identity that history belongs to; a sensor is an assignment with dates, so that
replacing a sensor keeps the history. A position's id is its path `site/area/asset/position`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp
from typing import Any, NamedTuple

from telltale.core.recipients import Recipient


@dataclass(frozen=True)
class Bearing:
    """Geometry of a rolling bearing: element count, diameters in mm, contact angle in degrees."""

    elements: int
    element_diameter_mm: float
    pitch_diameter_mm: float
    contact_angle_deg: float = 0.0
    name: str | None = None


@dataclass(frozen=True)
class Machine:
    """What is known of the machine at a measuring point: where its vibration must show, and what to look for.

    blades : blades, vanes or lobes that pass, of the shaft measured.   teeth : of the gear on it.
    line_hz : mains frequency of its electric motor.   poles : of that motor.
    envelope_band_hz : the band whose envelope is taken; None: the default of core.features.
    bands_hz : up to four own bands whose acceleration RMS is kept.
    directions : axis → horizontal, vertical or axial, as the sensor is mounted.
    """

    type: str = "Other"
    bearing: Bearing | None = None
    blades: int | None = None
    teeth: int | None = None
    line_hz: float | None = None
    poles: int | None = None
    envelope_band_hz: tuple[float, float] | None = None
    bands_hz: tuple[tuple[float, float], ...] = ()
    directions: Mapping[str, str] = field(default_factory=dict)


UNKNOWN_MACHINE = Machine()
OWN_BANDS = 4  # own bands a position may have; each has a column


@dataclass(frozen=True)
class Limits:
    """Limits a person set for one position; None leaves the machine class or the default to decide.

    Velocity in mm/s RMS per axis, temperature in degrees Celsius. Each overrides the class.
    """

    velocity_warning_mm_s: float | None = None
    velocity_alarm_mm_s: float | None = None
    temperature_warning_c: float | None = None
    temperature_alarm_c: float | None = None


@dataclass(frozen=True)
class OperatingMode:
    """A way in which a machine is driven, by the edges of its speed in r/min, its load, or both.

    The lower edge belongs to it, the upper one does not.
    """

    name: str
    speed_rpm: tuple[float, float] | None = None
    load: tuple[float, float] | None = None

    def holds(self, speed_rpm: float | None, load: float | None) -> bool | None:
        """Whether a machine with this speed and load is in it; None: it hangs on one that is not known."""
        edges = (self.speed_rpm, speed_rpm), (self.load, load)
        if any(ends is not None and value is not None and not ends[0] <= value < ends[1] for ends, value in edges):
            return False
        return None if any(ends is not None and value is None for ends, value in edges) else True

    def overlaps(self, other: "OperatingMode") -> bool:
        """A machine could be in both."""
        pairs = (self.speed_rpm, other.speed_rpm), (self.load, other.load)
        return all(one is None or two is None or (one[0] < two[1] and two[0] < one[1]) for one, two in pairs)

    @property
    def edges(self) -> str:
        """In words."""
        speed = f"{self.speed_rpm[0]:g} to {self.speed_rpm[1]:g} r/min" if self.speed_rpm else None
        load = f"load {self.load[0]:g} to {self.load[1]:g}" if self.load else None
        return ", ".join(filter(None, (speed, load)))


class Alike(NamedTuple):
    """One indicator of machines alike, in ln of its unit: where they lie, how far the next one may, how many they are.

    It is written by core.fleet when a position is registered, and then stays: what was judged by it can be replayed.
    """

    location: float
    reach: float
    machines: int

    def __str__(self) -> str:
        return (
            f"{exp(self.location):.3g}, warning from {exp(self.location + self.reach):.3g} ({self.machines} machines)"
        )


@dataclass(frozen=True)
class Position:
    """A measuring point on an asset, with all that is needed to judge a capture from it."""

    id: str
    name: str = ""
    asset_name: str = ""
    type: str = "Other"  # Bearing, Compressor, Fan, Gearbox, Motor, Pump, Other (Monitron's list)
    machine_class: str | None = None  # a profile of core/limits, e.g. "iso10816-1/II"; None: not judged by zone
    limits: Limits = field(default_factory=Limits)
    speed_rpm: float | None = None  # nominal; a capture's own speed wins
    running_above_rpm: float | None = None  # below it the machine counts as off
    running_above_g: float | None = None  # acceleration RMS below which it counts as off, without a speed
    bearing: Bearing | None = None
    blades: int | None = None  # what Machine says of these
    teeth: int | None = None
    line_hz: float | None = None
    poles: int | None = None
    envelope_band_hz: tuple[float, float] | None = None
    bands_hz: tuple[tuple[float, float], ...] = ()
    directions: Mapping[str, str] = field(default_factory=dict)
    load_tag: str | None = None  # the tag of its captures that says how hard the machine works
    modes: tuple[OperatingMode, ...] = ()  # what is normal is learned for each; (): they are learned too
    interval_s: float = 3600.0  # how often captures are expected
    settings: Mapping[str, float] = field(default_factory=dict)  # overrides of core.detect.Settings, by name
    streams: Mapping[str, int] = field(default_factory=dict)  # tag watched, or "*" → rows it learns from (tag_streams)
    action: str | None = None  # what to suggest in a work order
    spare_part: str | None = None
    manual: str | None = None
    cmms_asset: str | None = None  # the asset's key in the maintenance system
    fleet: Mapping[str, Alike] = field(default_factory=dict)  # by indicator; what judges until its own normal is known

    @property
    def site(self) -> str:
        return self.id.split("/")[0]

    @property
    def asset(self) -> str:
        """Path of the asset: `site/area/asset`."""
        return self.id.rsplit("/", 1)[0]

    @property
    def machine(self) -> Machine:
        """What the signal core needs to know of it."""
        return Machine(
            type=self.type,
            bearing=self.bearing,
            blades=self.blades,
            teeth=self.teeth,
            line_hz=self.line_hz,
            poles=self.poles,
            envelope_band_hz=self.envelope_band_hz,
            bands_hz=self.bands_hz,
            directions=self.directions,
        )


@dataclass(frozen=True)
class Asset:
    """A machine whose tags are judged together by a model. Assets without one are known by their positions only.

    tags : patterns of core.tag_sources; none: all readings, and what is trended by default.
    every_s : intervals of the rows; None: the longest interval of its positions.
    off : rule by which it is off, such as "process/flow<1".   position : own name of the position at which the model
    opens cases; None: the first of its tags.   days : history that training looks back on, at most.
    retrain_days : train again after so many days; None: only when somebody does.
    """

    id: str
    name: str = ""
    tags: tuple[str, ...] = ()
    every_s: float | None = None
    off: str | None = None
    position: str | None = None
    days: float = 90.0
    retrain_days: float | None = None
    false_alarm_rows: float | None = None

    @property
    def site(self) -> str:
        return self.id.split("/")[0]


@dataclass(frozen=True)
class Assignment:
    """A sensor sat on this position from `from_ms` (inclusive) until `to_ms` (exclusive, None: still)."""

    position: str
    from_ms: int = 0
    to_ms: int | None = None

    def covers(self, t_ms: int) -> bool:
        return self.from_ms <= t_ms and (self.to_ms is None or t_ms < self.to_ms)


@dataclass(frozen=True)
class Sensor:
    """A physical sensor: where it sat and when, and the gateway it is heard through (None: any of its site)."""

    id: str
    assignments: tuple[Assignment, ...]
    gateway: str | None = None

    def position_at(self, t_ms: int) -> str | None:
        return next((a.position for a in self.assignments if a.covers(t_ms)), None)


@dataclass(frozen=True)
class Gateway:
    """A gateway: its id is its IoT thing name and its MQTT client id."""

    id: str
    site: str
    name: str = ""


@dataclass(frozen=True)
class Site:
    """A site, with the maintenance system its orders go to (adapter name and that adapter's settings).

    retention : class of data (core.retention) → whole days that its rows are kept; for good, if it is not named.
    notices : who is told of its cases.
    """

    id: str
    name: str = ""
    time_zone: str = "UTC"
    cmms: str = "logbook"
    cmms_settings: Mapping[str, Any] = field(default_factory=dict)
    retention: Mapping[str, int] = field(default_factory=dict)
    notices: tuple[Recipient, ...] = ()


@dataclass(frozen=True)
class Plant:
    """All of it, keyed by id."""

    sites: Mapping[str, Site]
    positions: Mapping[str, Position]
    sensors: Mapping[str, Sensor]
    gateways: Mapping[str, Gateway]
    assets: Mapping[str, Asset] = field(default_factory=dict)
