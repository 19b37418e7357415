"""What a file of Lookout for Equipment is: told by what stands in it, whatever it is called."""

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from cli import historian_mapping, text_blocks, time_columns
from cli.historian_mapping import HistorianMapping, Target, plain_tag
from cli.import_files import File, unpacked
from cli.problem import Problem
from cli.text_blocks import cells_of
from cli.time_columns import OFFSET, TimeFormat

SNIFFED = 1 << 18
DOCUMENT_BYTES = 64 << 20  # of a description of a model; what Lookout wrote of one was a few hundred KB
GENERIC = {"value", "values", "reading", "measurement", "val", "data", "sensor"}  # names that say nothing of the sensor
# Inference input: component, a delimiter and the time of the window.
STAMPED = re.compile(r"(.+?)[-_ ](\d{10}|\d{13}|\d{14}|\d{4}(?:-\d\d){5})")
LATER_THAN_ALL = 1 << 62


class Kind(StrEnum):
    """What a file holds."""

    DATA = "data"
    LABELS = "labels"
    RESULTS = "results"
    DOCUMENT = "document"  # JSON of the service: a model, labels, events


@dataclass(frozen=True)
class Places:
    """Where the data goes: a component is a position of the asset, unless it is named. pattern None: as files show."""

    asset: str
    components: Mapping[str, str]
    zone: str = "UTC"
    pattern: str | None = None

    def position(self, component: str) -> str:
        if component in self.components:
            return self.components[component]
        own = plain_tag(component) or "process"
        return f"{self.asset}/{own}"

    def tag(self, name: str) -> str:
        """The model's tag of what Lookout calls `component\\sensor`."""
        component, mark, sensor = name.rpartition("\\")
        position = self.position(component) if mark else ""
        return f"{position.rsplit('/', 1)[-1]}/{plain_tag(sensor)}" if mark else plain_tag(name)

    def times(self, texts: Sequence[str]) -> TimeFormat:
        """How these times are written. Problem where day and month cannot be told."""
        given = [text for text in texts if text.strip()]
        zone = OFFSET if time_columns.has_offsets(given) else self.zone
        if self.pattern is not None:
            return TimeFormat(self.pattern, zone)
        fits = time_columns.fitting(given, latest_us=LATER_THAN_ALL)
        if not fits:
            raise Problem(f'found "{given[0] if given else ""}", wanted a time in the first column')
        if len(fits) > 1:
            raise Problem(f'"{given[0]}" may be {" or ".join(fits)}: say which with --time-format')
        return TimeFormat(fits[0], zone)


def start_of(file: File) -> str:
    """The first text of a file, up to the end of a line."""
    with file.open() as packed:
        raw = unpacked(packed).read(SNIFFED)
    encoding, mark = text_blocks.encoding_of(raw)
    text = raw[mark:].decode(encoding, errors="replace")
    return text if len(raw) < SNIFFED else text[: text.rfind("\n") + 1]


def kind_of(file: File) -> Kind:
    text = start_of(file).lstrip()
    if text.startswith(b"PAR1".decode()):
        return Kind.DATA
    if text[:1] in ("{", "["):
        return Kind.RESULTS if _is_result(text.split("\n", 1)[0]) else Kind.DOCUMENT
    rows = [cells_of(line) for line in text.split("\n")[:20] if line.strip()]
    return Kind.LABELS if rows and len(rows[0]) == 2 and all(map(is_time, rows[0])) else Kind.DATA


def _is_result(line: str) -> bool:
    try:
        said = json.loads(line)
    except ValueError:  # a line that is cut off, or a document over many lines
        return line.startswith('{"timestamp"') and '"prediction' in line
    return isinstance(said, dict) and "timestamp" in said and ("prediction" in said or "anomaly_score" in said)


def is_time(text: str) -> bool:
    numeric = {*time_columns.EPOCHS_US, time_columns.EXCEL}
    found = time_columns.fitting([text], latest_us=LATER_THAN_ALL)
    return bool(found) and (not set(found) & numeric or float(text) > 1e8)


def document(file: File) -> Any:
    """JSON of the service. Problem for what is none."""
    with file.open() as packed:
        body = unpacked(packed).read(DOCUMENT_BYTES)
    try:
        return json.loads(body.decode("utf-8-sig"))
    except (UnicodeDecodeError, ValueError) as error:
        raise Problem(f"found no JSON: {error}") from error


# ---- data ----------------------------------------------------------------------------------------


def component_of(file: File, roots: Sequence[str]) -> str:
    """The component that a file is of: what its name says before a time, else its folder, else its name."""
    below = next((file.name[len(root) :] for root in map(_plain, roots) if file.name.startswith(root)), "").strip("/")
    stem = re.sub(r"(\.csv|\.txt|\.parquet)?(\.gz)?$", "", file.name.rsplit("/", 1)[-1], flags=re.IGNORECASE)
    stamped = STAMPED.fullmatch(stem)
    if stamped:
        return stamped[1]
    folders = below.split("/")[:-1]
    return folders[-1] if folders else stem


def _plain(root: str) -> str:
    """A folder as names of files in it begin."""
    if root.startswith("s3://"):
        return root
    path = str(Path(root))
    return "" if path == "." else path


def mapping_of(file: File, places: Places, component: str) -> HistorianMapping:
    """What the columns of a file with data are: the first is the time, each other one a sensor."""
    with file.open() as packed:
        raw = unpacked(packed).read(SNIFFED)
    if raw.startswith(b"PAR1"):
        raise Problem("found Parquet, wanted CSV: `telltale import historian` reads it, with a mapping")
    encoding, mark = text_blocks.encoding_of(raw)
    text = raw[mark:].decode(encoding, errors="replace")
    whole = text if len(raw) < SNIFFED else text[: text.rfind("\n") + 1]
    lines = [line for line in io.StringIO(whole) if line.strip()]
    if not lines:
        raise Problem("the file is empty, wanted a header and rows")
    delimiter = historian_mapping.delimiter_of(lines[:200])
    rows = [cells_of(line, delimiter) for line in lines[:2000]]
    if any(map(is_time, rows[0][:1])) or len(rows[0]) < 2:
        raise Problem(f'found "{lines[0].strip()[:200]}", wanted a header row: a time and sensors')
    names = historian_mapping.named([cell.strip() for cell in rows[0]])
    times = places.times([row[0] for row in rows[1:] if row])
    position = places.position(component)
    tags: dict[str, Target] = {}
    for name in names[1:]:
        own = component if len(names) == 2 and name.lower() in GENERIC else name
        tag = plain_tag(own.replace("#", "_")) or f"column_{names.index(name) + 1}"
        tags[name] = Target(position, tag)
    return HistorianMapping(
        "wide",
        names[0],
        tags,
        times,
        encoding=encoding,
        delimiter=delimiter,
        sensor=plain_tag(component) or "lookout",
    )
