"""What a historian's columns and tags become: the mapping file, read and checked, or proposed from what a file shows.

docs/import-historian.md describes the file.
"""

import difflib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import yaml
from telltale.core.tag_streams import INDICATORS
from telltale.core.validate import (
    BATTERY_PCT,
    ID,
    RSSI_DBM,
    SPEED_RPM,
    TEMPERATURE_C,
    VELOCITY_MM_S,
)

from cli import time_columns, units
from cli.problem import Problem
from cli.text_blocks import cells_of
from cli.time_columns import EXCEL, ISO_IN_UTC, OFFSET, REPEATED, TimeFormat
from cli.units import SAME, Conversion

# Values that are columns of the lake's captures and not tags: their unit, and what is physically possible.
SCALARS: Mapping[str, tuple[str, tuple[float, float]]] = {
    "temperature_c": ("degC", TEMPERATURE_C),
    "speed_rpm": ("rpm", SPEED_RPM),
    **{f"velocity_rms_{axis}_mm_s": ("mm/s", VELOCITY_MM_S) for axis in "xyz"},
    "battery_pct": ("%", BATTERY_PCT),
    "rssi_dbm": ("dBm", RSSI_DBM),
}
MISSING = ("", "-", "NaN", "nan", "NAN", "NULL", "null", "None", "N/A", "n/a", "NA", "#N/A")
LAYOUTS = ("wide", "long")
GOOD = ("good", "ok", "0", "192", "true")  # 192: OPC's quality "good"; 0 is PI's status of a good value
PATH = re.compile(r"[A-Za-z0-9_.:-]{1,64}(/[A-Za-z0-9_.:-]{1,64}){3}")
KEYS = {
    "": ("layout", "text", "time", "tag", "value", "quality", "missing", "states", "sensor", "tags", "ignore"),
    "text": ("encoding", "delimiter", "decimal", "thousands", "header"),
    "time": ("column", "format", "zone", "repeated"),
    "quality": ("column", "good"),
    "tags": ("position", "tag", "unit", "to", "factor", "offset"),
}
TIME_WORDS = ("timestamp", "datetime", "date_time", "time", "date", "ts", "t", "zeit", "zeitstempel", "datum")
TAG_WORDS = ("tagname", "tag", "name", "point", "pointname", "item", "variable", "signal", "channel", "sensor", "id")
VALUE_WORDS = ("value", "val", "wert", "reading", "measurement", "average", "avg")
QUALITY_WORDS = ("quality", "status", "state", "opcquality", "good", "quality_code", "qualitycode")
UNIT_IN_NAME = re.compile(r"[\s_]*[(\[]([^)\]]{1,10})[)\]]\s*$")
TODO = "TODO"


@dataclass(frozen=True)
class Target:
    """Where values go: a tag of a position, or a column of its captures (SCALARS)."""

    position: str
    tag: str
    conversion: Conversion = SAME

    @property
    def scalar(self) -> bool:
        return self.tag in SCALARS


@dataclass(frozen=True)
class HistorianMapping:
    """tags : what the file calls it → where it goes.   delimiter, decimal, encoding None: as the file shows."""

    layout: str
    time: str
    tags: Mapping[str, Target]
    times: TimeFormat = ISO_IN_UTC
    tag: str = ""  # of a long table: the columns
    value: str = ""
    quality: str | None = None
    good: tuple[str, ...] = GOOD
    encoding: str | None = None
    delimiter: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    header: bool = True
    missing: tuple[str, ...] = MISSING
    states: Mapping[str, float] = field(default_factory=dict)
    sensor: str = "historian"
    ignore: frozenset[str] = frozenset()

    @cached_property
    def digest(self) -> str:
        """All that decides what becomes of a file."""
        plain = {**asdict(self), "ignore": sorted(self.ignore)}
        return json.dumps(plain, sort_keys=True, default=str)


# ---- reading -------------------------------------------------------------------------------------


def read(path: Path) -> HistorianMapping:
    """The mapping in the file; Problem with everything that is wrong in it, by line."""
    try:
        root = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Problem(f"{path}: this is not YAML: {' '.join(str(error).split())}") from error
    return _Reader(path).mapping(root)


@dataclass
class _Reader:
    """Notes every problem with its line instead of stopping at the first."""

    path: Path
    problems: list[str] = field(default_factory=list)

    def problem(self, node: yaml.Node | None, words: str) -> None:
        line = 1 if node is None else node.start_mark.line + 1
        self.problems.append(f"{self.path}:{line}: {words}")

    def entries(self, node: yaml.Node | None, known: Sequence[str] | None, what: str) -> dict[str, yaml.Node]:
        if node is None or (isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null")):
            return {}
        if not isinstance(node, yaml.MappingNode):
            self.problem(node, f"found no mapping, wanted {what}")
            return {}
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = str(key.value)
            if name in found:
                self.problem(key, f'"{name}" is given twice')
            elif known is not None and name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f' (did you mean "{near[0]}"?)' if near else ""
                self.problem(key, f'found the key "{name}", wanted one of {", ".join(known)}{hint}')
            else:
                found[name] = value
        return found

    def text(self, given: Mapping[str, yaml.Node], name: str, default: str = "") -> str:
        node = given.get(name)
        if node is None:
            return default
        if not isinstance(node, yaml.ScalarNode):
            self.problem(node, f"found a list or mapping as {name}, wanted a text")
            return default
        return str(node.value)

    def number(self, given: Mapping[str, yaml.Node], name: str, default: float) -> float:
        text = self.text(given, name, str(default))
        try:
            return float(text)
        except ValueError:
            self.problem(given[name], f'found "{text}" as {name}, wanted a number')
            return default

    def texts(self, node: yaml.Node | None) -> tuple[str, ...]:
        if node is None:
            return ()
        if not isinstance(node, yaml.SequenceNode):
            self.problem(node, "found no list, wanted one: [a, b]")
            return ()
        return tuple(str(one.value) for one in node.value)

    def choice(self, given: Mapping[str, yaml.Node], name: str, known: Sequence[str], default: str) -> str:
        text = self.text(given, name, default)
        if text not in known:
            self.problem(given.get(name), f'found {name} "{text}", wanted {" or ".join(known)}')
            return default
        return text

    def mapping(self, root: yaml.Node | None) -> HistorianMapping:
        given = self.entries(root, KEYS[""], "the keys of docs/import-historian.md")
        layout = self.choice(given, "layout", LAYOUTS, "wide")
        text = self.entries(given.get("text"), KEYS["text"], "encoding, delimiter, decimal")
        time = self.entries(given.get("time"), KEYS["time"], "column, format and zone")
        quality = self.entries(given.get("quality"), KEYS["quality"], "column and good")
        for name in ("time", *(("tag", "value") if layout == "long" else ())):
            if name not in given:
                self.problem(root, f"found no {name}, wanted the column of it")
        targets = self.targets(given.get("tags"), root)
        states = {
            name: self.number({name: node}, name, 0.0)
            for name, node in self.entries(given.get("states"), None, "text: number").items()
        }
        encoding = self.text(text, "encoding") or None
        if encoding is not None:
            try:
                "".encode(encoding)
            except LookupError:
                self.problem(text["encoding"], f'found the encoding "{encoding}", wanted utf-8, cp1252, utf-16 …')
        found = HistorianMapping(
            layout=layout,
            time=self.text(time, "column"),
            tags=targets,
            times=self.times(time, given.get("time")),
            tag=self.text(given, "tag"),
            value=self.text(given, "value"),
            quality=self.text(quality, "column") or None,
            good=self.texts(quality.get("good")) or GOOD,
            encoding=encoding,
            delimiter={"tab": "\t", "\\t": "\t", "": None}.get(d := self.text(text, "delimiter"), d),
            decimal=self.text(text, "decimal") or None,
            thousands=self.text(text, "thousands") or None,
            header=self.choice(text, "header", ("true", "false"), "true") == "true",
            missing=tuple(dict.fromkeys((*MISSING, *self.texts(given.get("missing"))))),
            states=states,
            sensor=self.sensor(given),
            ignore=frozenset(self.texts(given.get("ignore"))),
        )
        if self.problems:
            raise Problem("\n  ".join(("the mapping cannot be used:", *self.problems)))
        return found

    def sensor(self, given: Mapping[str, yaml.Node]) -> str:
        name = self.text(given, "sensor", "historian")
        if not ID.fullmatch(name):
            self.problem(given.get("sensor"), f'found the sensor "{name}", wanted 1 to 64 letters, digits or _ . : -')
        return name

    def times(self, given: Mapping[str, yaml.Node], node: yaml.Node | None) -> TimeFormat:
        if node is not None and not self.text(given, "column"):
            self.problem(node, "found no column of the time")
        zone = self.text(given, "zone")
        if node is not None and not zone and self.text(given, "format", "iso") not in time_columns.EPOCHS_US:
            self.problem(node, f"found no zone, wanted the name of one such as Europe/Berlin, UTC, or {OFFSET}")
        try:
            return TimeFormat(
                self.text(given, "format", "iso"),
                zone or "UTC",
                self.text(given, "repeated", REPEATED[0]),
            )
        except ValueError as error:
            self.problem(node, str(error))
            return ISO_IN_UTC

    def targets(self, node: yaml.Node | None, root: yaml.Node | None) -> dict[str, Target]:
        found: dict[str, Target] = {}
        places: dict[tuple[str, str], str] = {}
        for name, one in self.entries(node, None, "tags by the name that the file gives them").items():
            target = self.target(name, one)
            if target is None:
                continue
            other = places.setdefault((target.position, target.tag), name)
            if other != name:
                self.problem(one, f"{name} and {other} both become {target.position} {target.tag}")
            found[name] = target
        if not found and not self.problems:
            self.problem(root, "found no tags, wanted at least one")
        return found

    def target(self, name: str, node: yaml.Node) -> Target | None:
        given = self.entries(node, KEYS["tags"], "position, tag, unit and to")
        position = self.text(given, "position")
        if not PATH.fullmatch(position):
            self.problem(node, f'found the position "{position}" of {name}, wanted site/area/asset/position')
            return None
        tag = self.text(given, "tag") or plain_tag(name)
        if not ID.fullmatch(tag):
            self.problem(node, f'found the tag "{tag}", wanted 1 to 64 letters, digits or _ . : -')
            return None
        if tag in INDICATORS:
            self.problem(node, f"{tag} is an indicator that Telltale computes, wanted another name for the tag")
        conversion = Conversion(self.number(given, "factor", 1.0), self.number(given, "offset", 0.0))
        unit = self.text(given, "unit")
        want = SCALARS[tag][0] if tag in SCALARS else self.text(given, "to", unit)
        if unit and want != unit:
            try:
                conversion = units.conversion(unit, want)
            except ValueError as error:
                self.problem(node, f"{name}: {error}")
            if "factor" in given or "offset" in given:
                self.problem(node, f"{name}: found a unit to convert and a factor, wanted one of them")
        return Target(position, tag, conversion)


def plain_tag(name: str) -> str:
    """A name as tags may be called."""
    return re.sub(r"[^A-Za-z0-9_.:-]+", "_", UNIT_IN_NAME.sub("", name).strip()).strip("_")[:64]


# ---- proposing -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """The first rows of a table as texts. delimiter None: no text file."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    encoding: str | None = None
    delimiter: str | None = None
    header: bool = True
    kinds: Mapping[str, str] = field(default_factory=dict)  # of Parquet: column → type
    known_tags: Sequence[str] = ()


@dataclass(frozen=True)
class Proposal:
    """A mapping file to be looked at, and what it could not tell."""

    text: str
    open: Sequence[str]


def sample_of(text: str, *, encoding: str | None = None, delimiter: str | None = None) -> Sample:
    """The first lines of a CSV file: its columns and rows, what stands above the header skipped."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise Problem("the file is empty, wanted a table")
    mark = delimiter or delimiter_of(lines)
    rows = [cells_of(line, mark) for line in lines]
    width = Counter(len(row) for row in rows[len(rows) // 2 :]).most_common(1)[0][0]
    whole = [row for row in rows if len(row) == width]
    values = [place for place, row in enumerate(whole) if any(map(_is_value, row))]
    first = values[0] if values else 1
    if first == 0:
        return Sample([str(number) for number in range(1, width + 1)], whole, encoding, mark, header=False)
    return Sample(named([cell.strip() for cell in whole[first - 1]]), whole[first:], encoding, mark)


def delimiter_of(lines: Sequence[str]) -> str:
    """The mark that splits most lines into the same number of cells, and more than one."""
    tail = lines[len(lines) // 3 :]

    def worth(mark: str) -> tuple[float, int]:
        widths = Counter(len(cells_of(line, mark)) for line in tail)
        width, count = widths.most_common(1)[0]
        return (count / len(tail) if width > 1 else 0.0), -"; \t|,".index(mark)

    return max((";", "\t", "|", ","), key=worth)


def named(names: Sequence[str]) -> list[str]:
    """Names of columns: a second one called `flow` is `flow#2`, one without a name is its place."""
    seen: Counter[str] = Counter()
    found = []
    for place, name in enumerate(names, start=1):
        plain = name or str(place)
        seen[plain] += 1
        found.append(plain if seen[plain] == 1 else f"{plain}#{seen[plain]}")
    return found


def _is_value(cell: str) -> bool:
    bare = cell.strip()
    return bool(
        re.fullmatch(r"[+-]?[\d.,]*\d[\d.,]*([eE][+-]?\d+)?", bare) or re.match(r"\d{1,4}[-/.]\d\d?[-/.]\d", bare)
    )


def propose(sample: Sample, *, latest_us: int, name: str = "the file") -> Proposal:
    """The mapping that the first rows show; what they leave open is marked TODO."""
    columns = {column: [row[place] for row in sample.rows] for place, column in enumerate(sample.columns)}
    unknown: list[str] = []
    time = _time_column(columns, latest_us)
    if time is None:
        raise Problem(f"{name}: found no column of times among {', '.join(list(columns)[:12])}")
    tag, value = _column(columns, TAG_WORDS, time), _column(columns, VALUE_WORDS, time)
    long = tag is not None and value is not None and tag != value
    texts = columns[time]
    patterns = time_columns.fitting(texts, latest_us=latest_us) or [_typed_pattern(sample.kinds.get(time, ""))]
    lines = [
        f"# What {name} shows. Check it, fill in what is marked {TODO}; docs/import-historian.md describes it.",
        "",
    ]
    lines += [f"layout: {'long' if long else 'wide'}"]
    if sample.delimiter is not None:
        numbers = (
            columns[value] if long and value else [cell for c, cells in columns.items() if c != time for cell in cells]
        )
        decimal = _decimal(numbers, sample.delimiter)
        lines += ["text:", f"  encoding: {sample.encoding}", f"  delimiter: {_quoted(sample.delimiter)}"]
        lines += [f'  decimal: "{decimal}"'] + ([] if sample.header else ["  header: false"])
    lines += ["time:", f"  column: {_quoted(time)}"]
    if len(patterns) > 1:
        unknown.append(f"day or month first: {' or '.join(patterns)}")
        lines.append(f"  format: {TODO}  # {' or '.join(map(_quoted, patterns))}: the first rows do not tell")
    else:
        lines.append(f"  format: {_quoted(patterns[0])}")
    if patterns[0] in time_columns.EPOCHS_US:
        lines.append("  zone: UTC")
    elif time_columns.has_offsets(texts) or "tz=" in sample.kinds.get(time, ""):
        lines.append(f"  zone: {OFFSET}")
    else:
        unknown.append("the time zone of the times")
        lines.append(f"  zone: {TODO}  # such as Europe/Berlin or UTC: the times do not say it")
    if long:
        lines += [f"tag: {_quoted(str(tag))}", f"value: {_quoted(str(value))}"]
        quality = _column(columns, QUALITY_WORDS, time)
        if quality is not None and quality not in (tag, value):
            seen = Counter(columns[quality])
            good = [text for text in seen if text.strip().lower() in GOOD] or [TODO]
            lines += ["quality:", f"  column: {_quoted(quality)}"]
            lines += [f"  good: [{', '.join(map(_quoted, good))}]  # found: {', '.join(list(seen)[:8])}"]
            unknown += ["which quality is good"] if good == [TODO] else []
    names = _names(sample, columns, str(tag)) if long else [c for c in columns if c != time and _is_tag(columns[c])]
    lines += ["sensor: historian", "tags:"]
    for source in names:
        found = UNIT_IN_NAME.search(source)
        unit = found[1] if found and units.is_known(found[1]) else None
        asks = f", unit: {_quoted(unit)}" if unit else ""
        lines.append(f"  {_quoted(source)}: {{position: {TODO}, tag: {_quoted(plain_tag(source) or 'tag')}{asks}}}")
    unknown.append("the position of each tag: site/area/asset/position")
    return Proposal("\n".join(lines) + "\n", unknown)


def tag_column(sample: Sample) -> str | None:
    """Of a long table the column that names tags."""
    columns = dict.fromkeys(sample.columns, ())
    tag, value = _column(columns, TAG_WORDS, ""), _column(columns, VALUE_WORDS, "")
    return tag if value is not None and value != tag else None


def _time_column(columns: Mapping[str, Sequence[str]], latest_us: int) -> str | None:
    named_so = [name for name in columns if _plain(name) in TIME_WORDS]
    reading = [name for name in columns if time_columns.fitting(columns[name], latest_us=latest_us)]
    numeric = time_columns.EPOCHS_US.keys() | {EXCEL}
    dated = [name for name in reading if not set(time_columns.fitting(columns[name], latest_us=latest_us)) & numeric]
    return next(iter([*(name for name in named_so if name in reading), *dated, *named_so]), None)


def _plain(name: str) -> str:
    return re.sub(r"[\s_]+", "", UNIT_IN_NAME.sub("", name)).lower() if name else ""


def _column(columns: Mapping[str, Sequence[str]], words: Sequence[str], time: str) -> str | None:
    plain = {_plain(name): name for name in columns if name != time}
    return next((plain[word.replace("_", "")] for word in words if word.replace("_", "") in plain), None)


def _typed_pattern(kind: str) -> str:
    return "ms" if "int" in kind else "iso"


def _decimal(cells: Iterable[str], delimiter: str) -> str:
    counts = Counter(
        "," if re.fullmatch(r"\s*[+-]?[\d.]*\d,\d+\s*", cell) else "." for cell in cells if "," in cell or "." in cell
    )
    return "," if counts and counts.most_common(1)[0][0] == "," else "."


def _is_tag(cells: Sequence[str]) -> bool:
    """Half of what is there are numbers."""
    given = [cell.strip() for cell in cells if cell.strip() and cell.strip() not in MISSING]
    return not given or 2 * sum(bool(re.fullmatch(r"[+-]?[\d.,]+([eE][+-]?\d+)?", cell)) for cell in given) >= len(
        given
    )


def _names(sample: Sample, columns: Mapping[str, Sequence[str]], tag: str) -> list[str]:
    return list(dict.fromkeys((*columns[tag], *sample.known_tags)))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
