"""The dump of a support ticket, whose layout AWS never wrote down: read by a mapping file that a person looked over.

The file says which column is which field, in YAML:

    rows: measurements            # or transitions, or positions
    time_zone: Europe/Berlin      # of times without an offset; UTC if left out
    time_format: "%d.%m.%Y %H:%M" # where they are not written as in ISO 8601
    decimal: ","                  # a point if left out
    columns:
      Measured at: timestamp
      Site: siteName
      Velocity X: {field: velocity_x_mm_s, unit: in/s}
    positions:                    # where something lies in the plant, if its names do not say
      site-1/pump-07/motor-de: riverside/pump-hall/pump-1/motor-drive-end

`propose` writes one from the columns it finds.
"""

import csv
import difflib
import io
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import yaml
from telltale.core.errors import Reason

from cli.import_files import File, unpacked
from cli.importing import Bad
from cli.monitron_flat import FLAT, FLOATS, NAMES, Piece, Read
from cli.monitron_plant import LIMITS
from cli.monitron_text import scan
from cli.problem import Problem

KINDS = {"measurements": "measurement", "transitions": "assetStateTransition", "positions": ""}
KEYS = ("rows", "time_zone", "time_format", "decimal", "columns", "positions")
OF_POSITIONS = ("siteName", "assetName", "positionName", "assetPositionId", "sensor", "machine_class", "type", *LIMITS)
FIELDS = tuple(name for name in NAMES if name not in ("resolved_models", "event_type"))
ROWS_A_CHUNK = 50_000
LOOKED_AT = 200  # rows that a proposal is made of
SHOWN = 3  # values that stand beside a column
LIKELY = 0.72  # of difflib's ratio, from which a column is proposed for a field: a guess that a person looks over

# What a number is multiplied by; of temperatures also what is added.
UNITS: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "_mm_s": {"mm/s": (1.0, 0.0), "m/s": (1000.0, 0.0), "in/s": (25.4, 0.0), "ips": (25.4, 0.0)},
    "_m_s2": {"m/s2": (1.0, 0.0), "g": (9.80665, 0.0), "mg": (0.00980665, 0.0)},
    "_c": {"°C": (1.0, 0.0), "C": (1.0, 0.0), "°F": (5 / 9, -160 / 9), "F": (5 / 9, -160 / 9), "K": (1.0, -273.15)},
}
# How fields have been called; the words of a column are compared with them and with the names of the fields.
CALLED: Mapping[str, Sequence[str]] = {
    "timestamp": ("time", "date", "datetime", "measured at", "measurement time", "event time", "created at"),
    "event_id": ("id", "event id", "measurement id"),
    "siteName": ("site", "site name", "plant", "site display name"),
    "assetName": ("asset", "asset name", "machine", "equipment", "asset display name"),
    "positionName": ("position", "position name", "measurement point", "sensor position display name"),
    "assetPositionId": ("position id", "asset position id"),
    "projectName": ("project", "project name"),
    "sensor": ("sensor id", "sensor physical id", "sensor", "physical id"),
    "gateway": ("gateway id", "gateway physical id", "gateway"),
    "rssi_dbm": ("rssi", "signal strength", "signal"),
    "sequence_no": ("sequence number", "sequence no", "seq"),
    "temperature_c": ("temperature", "temp", "surface temperature"),
    "velocity_total_rms_mm_s": ("velocity rms", "total vibration", "velocity", "vibration rms", "total velocity rms"),
    "acceleration_total_rms_m_s2": ("acceleration rms", "acceleration", "total acceleration rms"),
    **{f"velocity_{axis}_mm_s": (f"velocity {axis}", f"velocity rms {axis}", f"{axis} velocity") for axis in "xyz"},
    **{
        f"acceleration_wide_{axis}_m_s2": (f"acceleration {axis}", f"acceleration rms {axis}", f"{axis} acceleration")
        for axis in "xyz"
    },
    "new_state": ("state", "new state", "asset state", "status", "to state"),
    "previous_state": ("previous state", "old state", "from state"),
    "failure_mode": ("failure mode", "mode"),
    "failure_cause": ("failure cause", "cause"),
    "action_taken": ("action taken", "action"),
    "iso_class": ("iso class", "machine class", "class"),
    "machine_class": ("machine class", "iso class", "class"),
    "type": ("position type", "type"),
    "velocity_warning_mm_s": ("warning limit", "warning threshold", "warning"),
    "velocity_alarm_mm_s": ("alarm limit", "alarm threshold", "alarm"),
}
TIME_FORMATS = tuple(
    f"{day} %H:%M{seconds}"
    for day in ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y")
    for seconds in ("", ":%S")
)
UNIT = re.compile(r"[(\[]\s*([^)\]]+?)\s*[)\]]\s*$")


@dataclass(frozen=True)
class Field:
    """What a column is: a field, and what its numbers are multiplied by and added to."""

    name: str
    factor: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class Layout:
    """A mapping file."""

    rows: str = "measurements"
    columns: Mapping[str, Field] = field(default_factory=dict)
    positions: Mapping[str, str] = field(default_factory=dict)
    zone: ZoneInfo | None = None
    time_format: str | None = None
    decimal: str = "."
    text: str = ""  # as it stands in the file


def read_mapping(path: Path) -> Layout:
    """The mapping in a file; Problem where it is none."""
    text = path.read_text(encoding="utf-8-sig")
    try:
        given = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise Problem(f"{path}: not YAML: {error}") from error
    if not isinstance(given, dict) or set(given) - set(KEYS):
        raise Problem(f"{path}: found {_listed(given)}, wanted {', '.join(KEYS)}")
    rows = given.get("rows", "measurements")
    if rows not in KINDS:
        raise Problem(f'{path}: rows: found "{rows}", wanted {", ".join(KINDS)}')
    known = OF_POSITIONS if rows == "positions" else FIELDS
    columns = {str(name): _field(path, name, what, known) for name, what in (given.get("columns") or {}).items()}
    zone = given.get("time_zone")
    try:
        named = ZoneInfo(zone) if zone else None
    except (KeyError, ValueError, OSError) as error:
        raise Problem(f'{path}: time_zone: found "{zone}", wanted a zone such as Europe/Berlin') from error
    return Layout(
        rows=rows,
        columns=columns,
        positions={str(name): str(place) for name, place in (given.get("positions") or {}).items()},
        zone=named,
        time_format=given.get("time_format"),
        decimal=str(given.get("decimal", ".")),
        text=text,
    )


def _listed(given: Any) -> str:
    return ", ".join(map(str, given)) if isinstance(given, dict) else f'"{given}"'


def _field(path: Path, column: Any, what: Any, known: Sequence[str]) -> Field:
    name = str(what.get("field") if isinstance(what, dict) else what)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        advice = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        raise Problem(f'{path}: {column}: found "{name}", wanted a field', advice)
    unit = what.get("unit") if isinstance(what, dict) else None
    if unit is None:
        return Field(name)
    units = _units(name)
    if unit not in units:
        raise Problem(f'{path}: {column}: found the unit "{unit}", wanted {", ".join(units) or "none"}')
    return Field(name, *units[unit])


def _units(name: str) -> Mapping[str, tuple[float, float]]:
    return next((units for ending, units in UNITS.items() if name.endswith(ending)), {})


# ---- Rows -------------------------------------------------------------------------------------------

Cells = Mapping[str, Any]


def rows_of(file: File) -> Generator[tuple[int, Cells | str, bytes], None, None]:
    """The rows of a table in CSV, JSON lines or a JSON array: line, cells by column (or what is wrong), bytes."""
    with file.open() as raw:
        stream = unpacked(raw)
        start = stream.peek(64) if hasattr(stream, "peek") else b""
        if start.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] in (b"{", b"["):
            yield from _json_rows(stream)
            return
        code = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        with io.TextIOWrapper(stream, code, errors="surrogateescape", newline="") as text:
            yield from _csv_rows(text)


def _csv_rows(text: Any) -> Iterator[tuple[int, Cells | str, bytes]]:
    head = text.readline()
    delimiter = max(",;\t|", key=head.count)
    names = next(csv.reader([head], delimiter=delimiter), [])
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise Problem(f"the columns {', '.join(map(repr, twice))} are there twice", "give each its own name")
    reader = csv.reader(text, delimiter=delimiter)
    for cells in reader:
        raw = delimiter.join(cells).encode("utf-8", "surrogateescape")
        if not cells:
            continue
        if len(cells) != len(names):
            yield reader.line_num + 1, f"found {len(cells)} cells, wanted {len(names)}", raw
            continue
        yield reader.line_num + 1, dict(zip(names, cells, strict=True)), raw


def _json_rows(stream: Any) -> Iterator[tuple[int, Cells | str, bytes]]:
    line, rest = 1, b""
    while body := stream.read(1 << 20):
        body = rest + body
        cut = body.rfind(b"\n") + 1
        rest, body = body[cut:], body[:cut]
        for item in scan(body, line):
            yield item.line, _dotted(item.event) if item.event is not None else item.wrong, item.raw
        line += body.count(b"\n")
    for item in scan(rest, line):
        yield item.line, _dotted(item.event) if item.event is not None else item.wrong, item.raw


def _dotted(event: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in event.items():
        found |= _dotted(value, f"{before}{name}.") if isinstance(value, dict) else {f"{before}{name}": value}
    return found


def chunks_of(file: File, layout: Layout, lost: Counter[tuple[str, str]]) -> Iterator[tuple[Read, int, int]]:
    """Rows of the file as flat events, with the first and last line of each chunk; counts columns without a field."""
    rows = rows_of(file)
    while some := list(itertools.islice(rows, ROWS_A_CHUNK)):
        read = Read()
        events, origins = [], []
        for line, cells, raw in some:
            wrong, event = (cells, None) if isinstance(cells, str) else _tried(cells, layout)
            if event is None or isinstance(cells, str):
                read.bad.append(Bad(file.name, line, Reason.BAD_FIELD, wrong, raw))
                continue
            events.append(event)
            origins.append((line, raw))
            for name, value in cells.items():
                if name not in layout.columns and value not in ("", None):
                    lost[f'column "{name}"', "not in the mapping"] += 1
        read.pieces.append(Piece(file.name, some[0][0], b"", pa.Table.from_pylist(events, FLAT), origins))
        yield read, some[0][0], some[-1][0]


def _tried(cells: Cells, layout: Layout) -> tuple[str, dict[str, Any] | None]:
    """The event, or what is wrong."""
    try:
        row = {one.name: _cell(cells.get(name), one, layout) for name, one in layout.columns.items()}
    except ValueError as error:
        return str(error), None
    return "", row | {"event_type": KINDS[layout.rows]}


def _cell(value: Any, what: Field, layout: Layout) -> Any:
    if value is None or value == "":
        return None
    if what.name == "timestamp":
        return _time(value, layout)
    if what.name not in FLOATS and what.name not in LIMITS:
        return str(value)
    text = str(value).strip()
    try:
        number = float(text.replace(".", "").replace(",", ".") if layout.decimal == "," else text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f'{what.name}: found "{text[:60]}", wanted a number')
    return number * what.factor + what.offset


def _time(value: Any, layout: Layout) -> str:
    """As Monitron writes it."""
    text = str(value).strip()
    try:
        if layout.time_format:
            at = datetime.strptime(text, layout.time_format)  # noqa: DTZ007 -- the zone is put to it below
        elif text.replace(".", "", 1).isdecimal():
            at = datetime.fromtimestamp(float(text) / (1000 if float(text) > 1e11 else 1), UTC)
        else:
            at = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError) as error:
        wanted = layout.time_format or "a time such as 2026-05-04T06:00:12Z"
        raise ValueError(f'timestamp: found "{text[:60]}", wanted {wanted}') from error
    known = at if at.tzinfo else at.replace(tzinfo=layout.zone or UTC)
    return known.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")


def described(file: File, layout: Layout) -> Iterator[dict[str, Any]]:
    """The rows of a list of positions, by field."""
    for line, cells, _ in rows_of(file):
        if isinstance(cells, str):
            raise Problem(f"{file.name}:{line}: {cells}")
        try:
            yield {one.name: _cell(cells.get(name), one, layout) for name, one in layout.columns.items()}
        except ValueError as error:
            raise Problem(f"{file.name}:{line}: {error}") from error


# ---- A proposal -------------------------------------------------------------------------------------


def propose(file: File) -> str:
    """A mapping file for this table: what its columns seem to be, with values of each, for a person to look over."""
    with closing(rows_of(file)) as found_rows:
        some = list(itertools.islice(found_rows, LOOKED_AT))
    rows = [cells for _, cells, _ in some if not isinstance(cells, str)]
    if not rows:
        raise Problem(f"{file.name}: found no table in it", "wanted CSV with a header, or JSON objects")
    names = list(dict.fromkeys(name for row in rows for name in row))
    values = {name: [str(row[name]) for row in rows if row.get(name) not in ("", None)] for name in names}
    kind = _kind(names)
    found = _matched(names, OF_POSITIONS if kind == "positions" else FIELDS)
    comma = any(re.fullmatch(r"-?\d+,\d+", value) for of_one in values.values() for value in of_one)
    lines = [
        f"# Proposed from the first {len(rows)} rows of {file.name}: look it over before you import with it.",
        f"rows: {kind}  # or {', '.join(one for one in KINDS if one != kind)}",
        "# time_zone: Europe/Berlin  # of times without an offset; UTC if left out",
        _time_line(next((values[name] for name, what in found.items() if what == "timestamp"), [])),
        *(['decimal: ","'] if comma else []),
        "columns:",
    ]
    for name in names:
        shown = ", ".join(dict.fromkeys(values[name][:SHOWN])) or "always empty"
        key = json.dumps(name, ensure_ascii=False)
        what = found.get(name)
        lines.append(f"  {key}: {what}  # {shown}" if what else f"  # {key}:   # no field like it; {shown}")
    missing = [one for one in ("siteName", "assetName", "positionName") if one not in " ".join(lines)]
    if missing:
        lines.append(f"# Still wanted: a column for {', '.join(missing)}.")
    return "\n".join([*lines, "# positions:", "#   site/asset/position: site/area/asset/position  # in your plant", ""])


def _kind(names: Sequence[str]) -> str:
    def has(*fields: str) -> bool:
        return any(_likeness(name, one) >= LIKELY for name in names for one in fields)

    if not has("timestamp"):
        return "positions"
    return "transitions" if has("new_state", "failure_mode", "failure_cause") else "measurements"


def _time_line(values: Sequence[str]) -> str:
    """How the times are written, as far as they show it."""
    fitting = [one for one in TIME_FORMATS if all(_fits(value, one) for value in values)] if values else []
    if len(fitting) == 1:
        return f'time_format: "{fitting[0]}"'
    if fitting:
        return f'time_format: "{fitting[0]}"  # or {" or ".join(fitting[1:])}: the times do not show which'
    return '# time_format: "%d.%m.%Y %H:%M"  # where they are not written as in ISO 8601'


def _fits(value: str, time_format: str) -> bool:
    try:
        datetime.strptime(value, time_format)  # noqa: DTZ007 -- only whether it can be read
    except ValueError:
        return False
    return True


def _matched(names: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """Column → what stands for it in the file: each field once, the likeliest first."""
    scored = [(_likeness(name, one), name, one) for name in names for one in known]
    found: dict[str, str] = {}
    taken: set[str] = set()
    for score, name, one in sorted(scored, key=lambda item: (-item[0], names.index(item[1]), item[2])):
        if score < LIKELY or name in found or one in taken:
            continue
        taken.add(one)
        unit = UNIT.search(name)
        units = _units(one)
        named = unit.group(1) if unit else None
        own = next(iter(units), None)
        known_unit = named in units and named != own and units[named] != (1.0, 0.0) if named else False
        found[name] = f"{{field: {one}, unit: {json.dumps(named, ensure_ascii=False)}}}" if known_unit else one
    return found


def _likeness(column: str, name: str) -> float:
    words = _words(UNIT.sub("", column))
    last = _words(column.rsplit(".", 1)[-1])
    called = (*CALLED.get(name, ()), _words(name))
    return max(difflib.SequenceMatcher(None, one, other).ratio() for one in (words, last) for other in called)


def _words(name: str) -> str:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return " ".join(re.findall(r"[a-z0-9]+", spaced.lower()))
