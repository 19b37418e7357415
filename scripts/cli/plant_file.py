"""Reads `plant.yaml` into a `Plant`, and says everything that is wrong with it at once, by line and column.

The file is described in docs/plant.md. Values given on an asset hold for each of its positions unless
the position gives its own.
"""

import dataclasses
import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import yaml
from telltale.core import bearings, limits, tag_streams, tags
from telltale.core.capture import AXES
from telltale.core.modes import MOST_MODES, checksum
from telltale.core.plant import (
    OWN_BANDS,
    Asset,
    Assignment,
    Bearing,
    Gateway,
    Limits,
    OperatingMode,
    Plant,
    Position,
    Sensor,
    Site,
)
from telltale.core.retention import CLASSES, FOREVER, LEAST_DAYS
from telltale.core.settings import Settings
from telltale.core.streams import LEAST_PROBATION
from telltale.core.tag_streams import EVERY_TAG, INDICATORS, PROBATION_ROWS
from telltale.core.validate import ID, SPEED_RPM, TEMPERATURE_C, VELOCITY_MM_S

from cli.plant_cmms import maintenance_system
from cli.plant_notices import places_of, recipients

TYPES = ("Bearing", "Compressor", "Fan", "Gearbox", "Motor", "Pump", "Other")
DIRECTIONS = ("horizontal", "vertical", "axial")

THING = re.compile(r"[A-Za-z0-9_:-]{1,64}")  # AWS IoT thing names have no dots
ID_WANTED = "1 to 64 letters, digits or _ . : -"
THING_WANTED = "1 to 64 letters, digits or _ : - (it is the name of an IoT thing)"

SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
LONG_SECONDS = {"d": 86400.0, "w": 7 * 86400.0, "y": 365 * 86400.0}  # that data is kept
DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)")

PLANT_KEYS = ("sites", "retention")
SITE_KEYS = ("name", "time_zone", "cmms", "notices", "retention", "areas", "gateways")
AREA_KEYS = ("assets",)
GATEWAY_KEYS = ("name",)
SENSOR_KEYS = ("id", "from", "to")
INHERITED_KEYS = (
    "type",
    "machine_class",
    "limits",
    "speed_rpm",
    "running_above_rpm",
    "running_above_g",
    "bearing",
    "blades",
    "teeth",
    "line_hz",
    "poles",
    "envelope_band_hz",
    "bands_hz",
    "directions",
    "load_tag",
    "modes",
    "interval",
    "settings",
    "streams",
    "action",
    "spare_part",
    "manual",
    "cmms_asset",
    "gateway",
)
STREAM_KEYS = ("probation_rows",)
EVERY = "all"  # in streams: each tag that is not named
ASSET_KEYS = ("name", *INHERITED_KEYS, "model", "positions")
MODEL_KEYS = ("tags", "every", "off", "position", "history", "retrain", "false_alarm_rows")
POSITION_KEYS = ("name", *INHERITED_KEYS, "sensor")

# These bounds, unlike those of the wire format, only keep out slips of the keyboard.
RUNNING_G = (0.0, 100.0)
BLADES = (1.0, 500.0)
FALSE_ALARM_ROWS = (10.0, 1e9)
TEETH = (3.0, 2000.0)
LINE_HZ = (10.0, 500.0)
POLES = (2.0, 100.0)
BAND_HZ = (0.0, 100_000.0)
PROBATION = (float(LEAST_PROBATION), 100_000.0)
LOAD = (-1e9, 1e9)  # in whatever unit its tag has
LIMIT_BOUNDS = {
    "velocity_warning_mm_s": ("mm/s", VELOCITY_MM_S),
    "velocity_alarm_mm_s": ("mm/s", VELOCITY_MM_S),
    "temperature_warning_c": ("degrees Celsius", TEMPERATURE_C),
    "temperature_alarm_c": ("degrees Celsius", TEMPERATURE_C),
}
EDGES = {"speed_rpm": ("r/min", SPEED_RPM), "load": ("the load's unit", LOAD)}
BEARING_BOUNDS = {
    "elements": ("balls or rollers", (3.0, 200.0)),
    "element_diameter_mm": ("mm", (0.1, 1000.0)),
    "pitch_diameter_mm": ("mm", (1.0, 10_000.0)),
    "contact_angle_deg": ("degrees", (0.0, 89.0)),
}
# Values that must rise: (the key they are below, the lower one, the upper one).
ORDERED = (
    ("limits", "velocity_warning_mm_s", "velocity_alarm_mm_s"),
    ("limits", "temperature_warning_c", "temperature_alarm_c"),
    (None, "running_above_rpm", "speed_rpm"),
)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and where: line and column count from 1."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class PlantFileError(Exception):
    """The file does not describe a plant; `problems` has everything that was found, in the file's order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.line, p.column)))
        super().__init__("\n".join(map(str, self.problems)))


def read(path: Path) -> Plant:
    """The plant in the file at `path`; raises PlantFileError with all its problems, OSError when unreadable."""
    return parse(path.read_bytes(), file=str(path))


def parse(text: str | bytes, *, file: str) -> Plant:
    """The plant in `text`; `file` is only named in problems."""
    reader = _Reader(file)
    plant = reader.plant(reader.compose(text))
    if reader.problems:
        raise PlantFileError(reader.problems)
    return plant


def duration_s(text: str) -> float | None:
    """Seconds in a duration such as `1h`, `10min` or `30s`; None when it is none."""
    match = DURATION.fullmatch(text.strip())
    if match is None or match[2] not in SECONDS:
        return None
    return float(match[1]) * SECONDS[match[2]]


def did_you_mean(found: str, known: Iterable[str]) -> str:
    """` (did you mean ...?)` with the known name nearest to `found`, or nothing."""
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(found.lower(), by_lower, n=3, cutoff=0.6)
    if not close:
        return ""
    same_start = [name for name in close if name[0] == found[0].lower()]  # "moter" is a motor, not "other"
    return f' (did you mean "{by_lower[(same_start or close)[0]]}"?)'


@dataclass
class _Seat:
    """One entry of a position's `sensor`, and the node to blame when it clashes with another."""

    sensor: str
    assignment: Assignment
    gateway: str | None
    node: yaml.Node

    def overlaps(self, other: "_Seat") -> bool:
        mine, theirs = self.assignment, other.assignment
        return (mine.to_ms is None or theirs.from_ms < mine.to_ms) and (
            theirs.to_ms is None or mine.from_ms < theirs.to_ms
        )


@dataclass
class _Reader:
    """Walks the nodes of one file, noting problems as it goes instead of stopping at the first."""

    file: str
    problems: list[Problem] = field(default_factory=list)
    seats: list[_Seat] = field(default_factory=list)
    sites: dict[str, Site] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    gateways: dict[str, Gateway] = field(default_factory=dict)
    assets: dict[str, Asset] = field(default_factory=dict)

    def problem(self, node: yaml.Node, message: str) -> None:
        mark = node.start_mark
        self.problems.append(Problem(self.file, mark.line + 1, mark.column + 1, message))

    def compose(self, text: str | bytes) -> yaml.Node | None:
        try:
            return yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            said = " ".join(part for part in (error.context, error.problem) if part)
            raise PlantFileError([Problem(self.file, line, column, f"this is not YAML: {said}")]) from error
        except yaml.YAMLError as error:  # bytes that are no text
            raise PlantFileError([Problem(self.file, 1, 1, f"this is not YAML: {error}")]) from error

    # ---- nodes to plain values -------------------------------------------------------------------

    def entries(self, node: yaml.Node | None, what: str) -> list[tuple[yaml.Node, str, yaml.Node]]:
        """The (key node, key, value node) of a mapping with free keys; an empty value is an empty mapping."""
        if node is None or _is_null(node):
            return []
        if not isinstance(node, yaml.MappingNode):
            self.problem(node, f"found {_kind(node)}, wanted {what}")
            return []
        seen: dict[str, int] = {}
        entries: list[tuple[yaml.Node, str, yaml.Node]] = []
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.problem(key, f"found {_kind(key)} as a key, wanted a name")
            elif key.value == "<<":
                self.problem(key, "merge keys (<<) are not read: put what positions share on their asset")
            elif key.value in seen:
                self.problem(key, f'"{key.value}" is given twice, first on line {seen[key.value]}')
            else:
                seen[key.value] = key.start_mark.line + 1
                entries.append((key, str(key.value), value))
        return entries

    def keys(self, node: yaml.Node | None, known: Iterable[str], what: str) -> dict[str, yaml.Node]:
        """The values of a mapping whose keys are `known`, without the empty ones."""
        known = tuple(known)
        values = {}
        for key_node, key, value in self.entries(node, what):
            if key not in known:
                wanted = f"one of {', '.join(known)}{did_you_mean(key, known)}"
                self.problem(key_node, f'found the key "{key}", wanted {wanted}')
            elif not _is_null(value):
                values[key] = value
        return values

    def ids(
        self, node: yaml.Node | None, what: str, pattern: re.Pattern[str] = ID, wanted: str = ID_WANTED
    ) -> list[tuple[yaml.Node, str, yaml.Node]]:
        """The entries of a mapping by id; entries whose id is malformed are reported and left out."""
        good = []
        for key_node, key, value in self.entries(node, f"{what} by id"):
            if pattern.fullmatch(key):
                good.append((key_node, key, value))
            else:
                self.problem(key_node, f'found "{key}" as the id of {what}, wanted {wanted}')
        return good

    def text(self, node: yaml.Node | None) -> str | None:
        if node is None:
            return None
        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        self.problem(node, f"found {_kind(node)}, wanted a text")
        return None

    def choice(self, node: yaml.Node, known: Iterable[str], what: str) -> str | None:
        """The one of `known` that is written here, whatever its case."""
        known = tuple(known)
        found = self.text(node)
        if found is None:
            return None
        by_lower = {name.lower(): name for name in known}
        if found.lower() in by_lower:
            return by_lower[found.lower()]
        listed = f": {', '.join(known)}" if len(known) <= 30 else ""  # a screen's worth
        self.problem(node, f'found "{found}", wanted {what}{did_you_mean(found, known)}{listed}')
        return None

    def number(self, node: yaml.Node, unit: str, bounds: tuple[float, float]) -> float | None:
        """A finite number within `bounds`, without a unit: the key names it."""
        low, high = bounds
        wanted = f"a number of {unit} from {low:g} to {high:g}"
        found = str(node.value) if isinstance(node, yaml.ScalarNode) else _kind(node)
        try:
            value = float(found)
        except ValueError:
            hint = ", with a point and without its unit" if re.match(r"[-+]?[0-9]", found) else ""
            self.problem(node, f'found "{found}", wanted {wanted}{hint}')
            return None
        if math.isfinite(value) and low <= value <= high:
            return value
        self.problem(node, f"found {found}, wanted {wanted}")
        return None

    def count(self, node: yaml.Node, what: str, bounds: tuple[float, float]) -> int | None:
        """A whole number of things."""
        value = self.number(node, what, bounds)
        if value is not None and value % 1:
            self.problem(node, f"found {value:g}, wanted a whole number of {what}")
            return None
        return None if value is None else int(value)

    def duration(self, node: yaml.Node) -> float | None:
        found = self.text(node)
        seconds = None if found is None else duration_s(found)
        if found is not None and not seconds:
            self.problem(node, f'found "{found}", wanted a duration with its unit, such as 30s, 10min, 1h or 1d')
            return None
        return seconds

    def instant_ms(self, node: yaml.Node, zone: tzinfo) -> int | None:
        """Epoch ms of a date or date-time; without an offset it is in the site's time zone."""
        found = self.text(node)
        if found is None:
            return None
        try:
            at = datetime.fromisoformat(found)
        except ValueError:
            self.problem(node, f'found "{found}", wanted a date such as 2026-03-01 or 2026-03-01T14:30:00+01:00')
            return None
        return round((at if at.tzinfo else at.replace(tzinfo=zone)).timestamp() * 1000)

    # ---- the plant, from the top -----------------------------------------------------------------

    def plant(self, root: yaml.Node | None) -> Plant:
        given = self.keys(root, PLANT_KEYS, "the keys sites and retention")
        kept = self.retention(given.get("retention"))
        for _, site, node in self.ids(given.get("sites"), "a site"):
            self.site(site, node, kept)
        if not self.sites and not self.problems:
            self.problems.append(Problem(self.file, 1, 1, "found no sites, wanted at least one under the key sites"))
        return Plant(
            sites=self.sites,
            positions=self.positions,
            sensors=self.sensors(),
            gateways=self.gateways,
            assets=self.assets,
        )

    def site(self, site: str, node: yaml.Node, kept: Mapping[str, int | None]) -> None:
        """kept : how long data is kept at sites that do not say otherwise."""
        given = self.keys(node, SITE_KEYS, "a site's keys")
        cmms, cmms_settings = maintenance_system(self, given.get("cmms"))
        zone_name, zone = self.time_zone(given.get("time_zone"))
        self.sites[site] = Site(
            id=site,
            name=self.text(given.get("name")) or site,
            time_zone=zone_name,
            cmms=cmms,
            cmms_settings=cmms_settings,
            retention={
                name: days
                for name, days in {**kept, **self.retention(given.get("retention"))}.items()
                if days is not None
            },
        )
        self.site_gateways(site, given.get("gateways"))
        for _, area, area_node in self.ids(given.get("areas"), "an area"):
            assets = self.keys(area_node, AREA_KEYS, "the key assets").get("assets")
            for _, asset, asset_node in self.ids(assets, "an asset"):
                self.asset(f"{site}/{area}/{asset}", asset_node, zone)
        told = recipients(self, site, given.get("notices"), places_of(site, self.positions))
        self.sites[site] = dataclasses.replace(self.sites[site], notices=told)

    def site_gateways(self, site: str, node: yaml.Node | None) -> None:
        for key_node, gateway, value in self.ids(node, "a gateway", THING, THING_WANTED):
            given = self.keys(value, GATEWAY_KEYS, "a gateway's keys")
            if gateway in self.gateways:
                there = self.gateways[gateway].site
                self.problem(key_node, f'gateway "{gateway}" is already at site "{there}": a gateway has one site')
                continue
            self.gateways[gateway] = Gateway(gateway, site, self.text(given.get("name")) or gateway)

    def time_zone(self, node: yaml.Node | None) -> tuple[str, tzinfo]:
        found = self.text(node)
        if node is None or found is None or found == "UTC":
            return "UTC", UTC
        zones = available_timezones()
        if found in zones:
            return found, ZoneInfo(found)
        if not zones:
            self.problem(node, f'cannot look up "{found}": this computer has no time zone database (package tzdata)')
        else:
            self.problem(node, f'found "{found}", wanted a time zone such as Europe/Berlin{did_you_mean(found, zones)}')
        return "UTC", UTC

    def retention(self, node: yaml.Node | None) -> dict[str, int | None]:
        """Class of data → days that it is kept; None: for good."""
        given = self.keys(node, CLASSES, "classes of data")
        read = {name: self.days_kept(value) for name, value in given.items()}
        return {name: days or None for name, days in read.items() if days is not None}

    def days_kept(self, node: yaml.Node) -> int | None:
        """Whole days; 0 for ever."""
        found = self.text(node)
        if found is None:
            return None
        if found.strip().lower() == FOREVER:
            return 0
        match = DURATION.fullmatch(found.strip())
        days = float(match[1]) * LONG_SECONDS[match[2]] / SECONDS["d"] if match and match[2] in LONG_SECONDS else 0.0
        if days >= LEAST_DAYS and not days % 1:
            return int(days)
        self.problem(
            node, f'found "{found}", wanted {FOREVER} or whole days, {LEAST_DAYS} at least, such as 90d, 26w or 2y'
        )
        return None

    def asset(self, path: str, node: yaml.Node, zone: tzinfo) -> None:
        given = self.keys(node, ASSET_KEYS, "an asset's keys")
        name = self.text(given.pop("name", None)) or path.rsplit("/", 1)[1]
        positions = self.ids(given.pop("positions", None), "a position")
        if "model" in given:
            self.model(path, name, given.pop("model"), [position for _, position, _ in positions])
        shared = self.shared(given, path.split("/")[0])
        self.check_together(node, shared, shared)
        for key_node, position, position_node in positions:
            self.position(f"{path}/{position}", key_node, position_node, name, shared, zone)

    def position(
        self, path: str, key_node: yaml.Node, node: yaml.Node, asset_name: str, shared: dict[str, Any], zone: tzinfo
    ) -> None:
        given = self.keys(node, POSITION_KEYS, "a position's keys")
        name = self.text(given.pop("name", None)) or path.rsplit("/", 1)[1]
        sensor = given.pop("sensor", None)
        own = self.shared(given, path.split("/")[0])
        merged = {**shared, **own}
        for by_name in ("limits", "settings"):
            merged[by_name] = {**shared[by_name], **own[by_name]}
        self.check_together(key_node, merged, own)
        gateway = merged.pop("gateway", None)
        merged["limits"] = Limits(**merged["limits"])
        self.positions[path] = Position(id=path, name=name, asset_name=asset_name, **merged)
        self.seats_of(path, sensor, gateway, zone)

    def model(self, path: str, name: str, node: yaml.Node, positions: Sequence[str]) -> None:
        """The model of an asset whose tags are judged together."""
        given = self.keys(node, MODEL_KEYS, "the keys of a model")
        read: Mapping[str, Callable[[yaml.Node], Any]] = {
            "tags": lambda node: self.patterns(node, positions),
            "every": self.duration,
            "off": self.off_rule,
            "position": lambda node: self.choice(node, positions, "a position of this asset"),
            "history": self.duration,
            "retrain": self.duration,
            "false_alarm_rows": lambda node: self.number(node, "rows", FALSE_ALARM_ROWS),
        }
        values = {key: value for key, one in given.items() if (value := read[key](one)) is not None}
        if "every" in values:
            values["every_s"] = values.pop("every")
        for key, field_ in (("history", "days"), ("retrain", "retrain_days")):
            if key in values:
                values[field_] = values.pop(key) / SECONDS["d"]
        self.assets[path] = Asset(id=path, name=name, **values)

    def patterns(self, node: yaml.Node, positions: Sequence[str]) -> tuple[str, ...] | None:
        """Names or patterns of tags: `position/tag`, `position/temperature_c` or `position/axis/indicator`."""
        if not isinstance(node, yaml.SequenceNode):
            self.problem(node, f"found {_kind(node)}, wanted a list of tags, such as [process/*, motor-de/x/rms_g]")
            return None
        found = [(one, self.text(one)) for one in node.value]
        for one, pattern in found:
            own = (pattern or "").split("/")[0]
            if pattern is not None and not any(fnmatchcase(position, own) for position in positions):
                self.problem(one, f'found "{pattern}", wanted a tag that begins with a position of this asset and /')
        return tuple(pattern for _, pattern in found if pattern is not None)

    def off_rule(self, node: yaml.Node) -> str | None:
        found = self.text(node)
        try:
            return None if found is None else str(tags.off_rule(found) and found)
        except ValueError as error:
            self.problem(node, str(error))
            return None

    def shared(self, given: Mapping[str, yaml.Node], site: str) -> dict[str, Any]:
        """What an asset hands down to its positions, or a position says itself, by field of Position."""
        read: Mapping[str, Callable[[yaml.Node], Any]] = {
            "type": lambda node: self.choice(node, TYPES, "a type"),
            "machine_class": lambda node: self.choice(node, limits.PROFILES, "a machine class"),
            "limits": self.limits,
            "speed_rpm": lambda node: self.number(node, "r/min", SPEED_RPM),
            "running_above_rpm": lambda node: self.number(node, "r/min", SPEED_RPM),
            "running_above_g": lambda node: self.number(node, "g", RUNNING_G),
            "bearing": self.bearing,
            "blades": lambda node: self.count(node, "blades, vanes or lobes", BLADES),
            "teeth": lambda node: self.count(node, "teeth", TEETH),
            "line_hz": lambda node: self.number(node, "Hz", LINE_HZ),
            "poles": self.poles,
            "envelope_band_hz": self.band,
            "bands_hz": self.bands,
            "directions": self.directions,
            "load_tag": self.load_tag,
            "modes": self.modes,
            "interval": self.duration,
            "settings": self.settings,
            "streams": self.streams,
            "action": self.text,
            "spare_part": self.text,
            "manual": self.text,
            "cmms_asset": self.text,
            "gateway": lambda node: self.gateway(node, site),
        }
        values = {key: read[key](node) for key, node in given.items()}
        if "interval" in values:
            values["interval_s"] = values.pop("interval")
        return {"limits": {}, "settings": {}} | {key: value for key, value in values.items() if value is not None}

    def gateway(self, node: yaml.Node, site: str) -> str | None:
        here = [gateway.id for gateway in self.gateways.values() if gateway.site == site]
        if not here:
            self.problem(node, f'site "{site}" has no gateways: list them under its key gateways')
            return None
        return self.choice(node, here, f'a gateway of site "{site}"')

    def limits(self, node: yaml.Node) -> dict[str, float]:
        given = self.keys(node, LIMIT_BOUNDS, "limits by name")
        read = {key: self.number(value, *LIMIT_BOUNDS[key]) for key, value in given.items()}
        return {key: value for key, value in read.items() if value is not None}

    def settings(self, node: yaml.Node) -> dict[str, float]:
        known = [field.name for field in dataclasses.fields(Settings)]
        given = self.keys(node, known, "detection settings by name")
        read = {key: self.number(value, key, (0.0, 1e9)) for key, value in given.items()}
        return {key: value for key, value in read.items() if value is not None}

    def streams(self, node: yaml.Node) -> dict[str, int] | None:
        """Tag → rows that its stream learns from."""
        if isinstance(node, yaml.ScalarNode):
            every = self.choice(node, (EVERY,), "all, or the tags to watch, such as {flow: {probation_rows: 600}}")
            return None if every is None else {EVERY_TAG: PROBATION_ROWS}
        wanted: dict[str, int] = {}
        before = len(self.problems)
        for key_node, name, value in self.entries(node, "all, or the tags to watch"):
            if not (ID.fullmatch(name) or name in INDICATORS):
                said = f"a tag's name, or an axis and an indicator such as x/rms_g{did_you_mean(name, INDICATORS)}"
                self.problem(key_node, f'found "{name}", wanted {said}')
                continue
            given = {} if _is_null(value) else self.keys(value, STREAM_KEYS, "how a tag is watched")
            rows = [self.count(one, "rows", PROBATION) for one in given.values()] or [PROBATION_ROWS]
            wanted |= {EVERY_TAG if name == EVERY else name: row for row in rows if row is not None}
        if len(self.problems) == before:
            try:
                tag_streams.check(wanted)
            except ValueError as error:
                self.problem(node, str(error))
        return wanted

    def bearing(self, node: yaml.Node) -> Bearing | None:
        """A bearing by its designation, or by its geometry."""
        if isinstance(node, yaml.ScalarNode):
            designation = self.text(node)
            try:
                return None if designation is None else bearings.find(designation)
            except LookupError as error:
                self.problem(node, f'found "{designation}", wanted a bearing by designation or geometry: {error}')
                return None
        given = self.keys(node, (*BEARING_BOUNDS, "name"), "a bearing's name or its geometry")
        name = self.text(given.pop("name", None))
        missing = [key for key in ("elements", "element_diameter_mm", "pitch_diameter_mm") if key not in given]
        if missing:
            self.problem(node, f"the bearing needs its {', '.join(missing)}")
        read = {key: self.number(value, *BEARING_BOUNDS[key]) for key, value in given.items()}
        if missing or None in read.values():
            return None
        numbers = {key: value for key, value in read.items() if value is not None}
        if numbers["element_diameter_mm"] >= numbers["pitch_diameter_mm"]:
            self.problem(node, "the bearing's element_diameter_mm must be below its pitch_diameter_mm")
        if numbers["elements"] % 1:
            self.problem(given["elements"], f"found {numbers['elements']:g}, wanted a whole number of elements")
        return Bearing(
            elements=int(numbers["elements"]),
            element_diameter_mm=numbers["element_diameter_mm"],
            pitch_diameter_mm=numbers["pitch_diameter_mm"],
            contact_angle_deg=numbers.get("contact_angle_deg", 0.0),
            name=name,
        )

    def poles(self, node: yaml.Node) -> int | None:
        """The poles of a motor, not its pole pairs: always even."""
        poles = self.count(node, "poles", POLES)
        if poles is not None and poles % 2:
            self.problem(node, f"found {poles} poles, wanted an even number: a 4-pole motor runs just below 1500 r/min")
            return None
        return poles

    def bands(self, node: yaml.Node) -> tuple[tuple[float, float], ...] | None:
        """The position's own bands, in the order of their columns."""
        wanted = f"a list of up to {OWN_BANDS} bands, such as [[500, 1000], [2000, 4000]]"
        if not isinstance(node, yaml.SequenceNode) or not all(
            isinstance(band, yaml.SequenceNode) for band in node.value
        ):
            self.problem(node, f"found {_kind(node)}, wanted {wanted}")
            return None
        if len(node.value) > OWN_BANDS:
            self.problem(node, f"found {len(node.value)} bands, wanted {wanted}")
        bands = [self.band(band) for band in node.value]
        return None if None in bands else tuple(band for band in bands if band is not None)

    def band(self, node: yaml.Node) -> tuple[float, float] | None:
        """A band of frequencies as its two ends."""
        if not isinstance(node, yaml.SequenceNode) or len(node.value) != 2:
            self.problem(node, f"found {_kind(node)}, wanted the two ends of a band in Hz, such as [2000, 4000]")
            return None
        low, high = (self.number(end, "Hz", BAND_HZ) for end in node.value)
        if low is None or high is None:
            return None
        if low >= high:
            self.problem(node, f"found a band from {low:g} to {high:g} Hz, wanted one that ends above where it begins")
            return None
        return low, high

    def load_tag(self, node: yaml.Node) -> str | None:
        """The tag of the captures that says how hard the machine works."""
        found = self.text(node)
        if found is not None and not ID.fullmatch(found):
            self.problem(node, f'found "{found}", wanted the name of a tag: {ID_WANTED}')
            return None
        return found

    def modes(self, node: yaml.Node) -> tuple[OperatingMode, ...] | None:
        """Operating modes by name, each by the edges of speed, load or both; no two of them hold the same row."""
        given = self.ids(node, "an operating mode")
        if len(given) > MOST_MODES:
            self.problem(node, f"found {len(given)} operating modes, wanted {MOST_MODES} at most")
        found: list[OperatingMode] = []
        for key_node, name, value in given:
            mode = self.mode(key_node, name, value)
            if mode is None:
                continue
            other = next((one for one in found if one.overlaps(mode)), None)
            if other is not None:
                self.problem(key_node, f'modes "{other.name}" and "{name}" overlap: a row would be of both')
            if any(checksum(one.name) == checksum(name) for one in found):
                self.problem(key_node, f'"{name}" is kept like the name of another mode: call it otherwise')
            found.append(mode)
        return tuple(found)

    def mode(self, key_node: yaml.Node, name: str, node: yaml.Node) -> OperatingMode | None:
        given = self.keys(node, EDGES, "the edges of a mode, such as {speed_rpm: [900, 1600]}")
        edges = {key: self.edges(value, *EDGES[key]) for key, value in given.items()}
        if not edges:
            self.problem(key_node, f'mode "{name}" needs the edges of speed_rpm, of load, or both')
        return OperatingMode(name, **edges) if edges and None not in edges.values() else None

    def edges(self, node: yaml.Node, unit: str, bounds: tuple[float, float]) -> tuple[float, float] | None:
        """From where, which belongs to it, to where, which does not."""
        if not isinstance(node, yaml.SequenceNode) or len(node.value) != 2:
            self.problem(node, f"found {_kind(node)}, wanted two edges in {unit}, such as [900, 1600]")
            return None
        low, high = (self.number(end, unit, bounds) for end in node.value)
        if low is None or high is None:
            return None
        if low >= high:
            self.problem(node, f"found edges from {low:g} to {high:g}, wanted the second above the first")
            return None
        return low, high

    def directions(self, node: yaml.Node) -> dict[str, str] | None:
        """How the sensor's axes lie on the machine."""
        given = self.keys(node, AXES, "the sensor's axes, such as {x: horizontal, y: vertical, z: axial}")
        read = {axis: self.choice(value, DIRECTIONS, "a direction") for axis, value in given.items()}
        known = {axis: direction for axis, direction in read.items() if direction is not None}
        for axis, direction in known.items():
            first = next(other for other, same in known.items() if same == direction)
            if first != axis and direction != "horizontal":  # a vertical machine has two horizontal ones
                self.problem(given[axis], f"axes {first} and {axis} are both {direction}: they are at right angles")
        return known or None

    def check_together(self, node: yaml.Node, merged: Mapping[str, Any], own: Mapping[str, Any]) -> None:
        """What only shows once values are side by side; reported where one of them is given (`own`)."""
        for below, lower, upper in ORDERED:
            values, given = (merged[below], own[below]) if below else (merged, own)
            if lower in values and upper in values and {lower, upper} & set(given) and values[lower] >= values[upper]:
                self.problem(node, f"{lower} ({values[lower]:g}) must be below {upper} ({values[upper]:g})")
        by_load = [mode.name for mode in merged.get("modes", ()) if mode.load is not None]
        if by_load and "load_tag" not in merged and "modes" in own:
            self.problem(node, f'mode "{by_load[0]}" goes by the load: say which tag that is (load_tag)')
        if own["settings"]:
            try:
                Settings.of(merged["settings"])
            except ValueError as error:
                self.problem(node, f"these detection settings do not go together: {error}")

    # ---- sensors ---------------------------------------------------------------------------------

    def seats_of(self, position: str, node: yaml.Node | None, gateway: str | None, zone: tzinfo) -> None:
        """Notes who sat on a position, and says so when two sat there at once."""
        if node is None:
            return
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        mine: list[_Seat] = []
        for item in items:
            seat = self.seat(position, item, gateway, zone)
            if seat is None:
                continue
            other = next((one for one in mine if one.overlaps(seat)), None)
            if other is not None:
                line = other.node.start_mark.line + 1
                self.problem(
                    item, f'sensors "{other.sensor}" (line {line}) and "{seat.sensor}" sit on {position} at one time'
                )
            mine.append(seat)
        self.seats += mine

    def seat(self, position: str, node: yaml.Node, gateway: str | None, zone: tzinfo) -> _Seat | None:
        if isinstance(node, yaml.MappingNode):
            given = self.keys(node, SENSOR_KEYS, "a sensor's keys")
            if "id" not in given:
                self.problem(node, "the sensor needs its id")
                return None
            id_node = given["id"]
        else:
            given, id_node = {}, node
        sensor = self.text(id_node)
        if sensor is None:
            return None
        if not ID.fullmatch(sensor):
            self.problem(id_node, f'found "{sensor}" as the id of a sensor, wanted {ID_WANTED}')
            return None
        start = self.instant_ms(given["from"], zone) if "from" in given else 0
        end = self.instant_ms(given["to"], zone) if "to" in given else None
        if start is None or ("to" in given and end is None):
            return None
        if end is not None and end <= start:
            self.problem(given["to"], f'sensor "{sensor}" leaves before it comes: "to" must be later than "from"')
        return _Seat(sensor, Assignment(position, start, end), gateway, id_node)

    def sensors(self) -> dict[str, Sensor]:
        """The sensors of all seats; one that has sat below several gateways may be heard through any of its site."""
        by_sensor: dict[str, list[_Seat]] = {}
        for seat in self.seats:
            before = by_sensor.setdefault(seat.sensor, [])
            other = next((one for one in before if one.overlaps(seat)), None)
            if other is not None and other.assignment.position != seat.assignment.position:
                line = other.node.start_mark.line + 1
                self.problem(
                    seat.node,
                    f'sensor "{seat.sensor}" sits on {other.assignment.position} (line {line}) at the same time: '
                    'give both a "from" or "to"',
                )
            before.append(seat)
        return {sensor: _sensor(sensor, seats) for sensor, seats in by_sensor.items()}


def _sensor(sensor: str, seats: list[_Seat]) -> Sensor:
    assignments = tuple(sorted((seat.assignment for seat in seats), key=lambda a: a.from_ms))
    gateways = {seat.gateway for seat in seats}
    return Sensor(sensor, assignments, gateways.pop() if len(gateways) == 1 else None)


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _kind(node: yaml.Node) -> str:
    """What a node is, in words, for a message."""
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return f'"{node.value}"'
