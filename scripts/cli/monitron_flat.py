"""Events of Monitron as a flat Arrow table: one row an event, a column for each field, of both versions and spellings.

A block whose events are all plain JSON is read by Arrow as a whole, by a schema of the fields that its version has. One
that Arrow refuses is halved until what is wrong stands nearly alone; that is read event by event, and leniently: a
number may be text, an id a number. What neither version has ends up in the column `extra`, as JSON at its place.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
from telltale.core.errors import Reason
from telltale.core.monitron_rows import CONTEXT, NUMBERS, RESOLVED, WORDS, Path, spellings, version_1_paths

from cli.importing import Bad
from cli.monitron_text import Block, pieces, scan

ENVELOPE: Mapping[str, Path] = {"event_id": ("eventId",), "timestamp": ("timestamp",), "event_type": ("eventType",)}
VERSION: Path = ("version",)  # read and not kept: an export is always of version 2.0
SAMPLED: Path = ("eventPayload", "x", "sampledAt")  # of events that Telltale exported; Arrow would take it for a time
NAMES: Mapping[str, Path] = {**ENVELOPE, **CONTEXT, **WORDS, **NUMBERS, "resolved_models": RESOLVED}
SECOND: Mapping[Path, str] = {path: name for name, path in NAMES.items()}
FIRST: Mapping[Path, str] = {
    **{path: name for name, path in ENVELOPE.items()},
    **{there: SECOND[path] for there, path in version_1_paths().items()},
}
WRAPPINGS = ("Records", "records", "kinesis", "data", "Data")  # what is not an event but has some in it
ALONE = 16  # events that are not worth halving
AROUND = b" \t\r\n,[]\x1e\xef\xbb\xbf"  # what may stand between events
STRETCH = 6 << 10  # bytes in which an eventId stands: two without one are at most 12,000 deep
LOOKED_AT = 1 << 14  # bytes of a block by which its version is told
LONGEST_SHOWN = 60  # characters of a value in a message

FLOATS = frozenset({*NUMBERS, "latitude", "longitude"})
FLAT = pa.schema(
    [
        *(pa.field(name, pa.float64() if name in FLOATS else pa.string()) for name in NAMES),
        pa.field("extra", pa.string()),
    ]
)


@dataclass(frozen=True)
class Piece:
    """Rows of a stretch of a file, and how to come by the bytes that a row was made of."""

    file: str
    line: int
    body: bytes
    rows: pa.Table
    origins: Sequence[tuple[int, bytes]] | None = None  # line and bytes of each row; None: found when asked for

    def origin(self, row: int) -> tuple[int, bytes]:
        """Line and bytes."""
        if self.origins is not None:
            return self.origins[row]
        found = pieces(self.body)
        if len(found) == self.rows.num_rows:
            low, high = found[row]
            return self.line + self.body.count(b"\n", 0, low), self.body[low:high].strip()
        items = list(scan(self.body, self.line))
        return items[row].line, items[row].raw


@dataclass
class Read:
    """What was read of blocks."""

    pieces: list[Piece] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)

    @property
    def rows(self) -> pa.Table:
        return pa.concat_tables([piece.rows for piece in self.pieces] or [FLAT.empty_table()])

    def origin(self, row: int) -> tuple[str, int, bytes]:
        """File, line and bytes of a row of `rows`."""
        for piece in self.pieces:
            if row < piece.rows.num_rows:
                return (piece.file, *piece.origin(row))
            row -= piece.rows.num_rows
        raise IndexError(row)

    def add(self, block: Block) -> None:
        """Read a block."""
        self._add(block.file, block.line, block.body)

    def _add(self, file: str, line: int, body: bytes) -> None:
        starts: list[tuple[int, int]] = []
        rows = fast(body)
        if rows is None:
            starts = pieces(body)
            bare = b"\n".join(body[low:high].rstrip(AROUND) for low, high in starts)  # of an array, say
            rows = fast(bare) if starts and not body[: starts[0][0]].strip(AROUND) else None
        if rows is not None:
            if rows.num_rows:
                self.pieces.append(Piece(file, line, body, rows))
            return
        if len(starts) <= ALONE:
            self._add_slowly(file, line, body)
            return
        middle = starts[len(starts) // 2][0]
        self._add(file, line, body[:middle])
        self._add(file, line + body.count(b"\n", 0, middle), body[middle:])

    def _add_slowly(self, file: str, line: int, body: bytes) -> None:
        rows, origins = [], []
        for item in scan(body, line):
            wrong, reason = item.wrong, Reason.BAD_PAYLOAD
            if item.event is not None:
                try:
                    rows.append(flat(item.event))
                    origins.append((item.line, item.raw))
                    continue
                except ValueError as error:
                    wrong, reason = str(error), Reason.BAD_FIELD
            self.bad.append(Bad(file, item.line, reason, wrong, item.raw))
        if rows:
            self.pieces.append(Piece(file, line, body, pa.Table.from_pylist(rows, FLAT), origins))


# ---- A block at once ------------------------------------------------------------------------------


def fast(body: bytes) -> pa.Table | None:
    """The events of a block that is plain JSON throughout; None for any other."""
    if not _shallow(body):
        return None
    start = body[:LOOKED_AT]  # what its first events have, all have as a rule; if not, it is read again
    named = _named(
        first=b'DisplayName"' in start,
        second=b'"eventPayload"' in start,
        variants=b"resultantVector" in start or b'physicalID"' in start,
        own=b'"x"' in start,
    )
    try:
        read, strange = _read(body, named)
        if any(path in _EVERY or path in _INNER or path == SAMPLED[:2] for path, _ in strange):
            named = _named(first=True, second=True, variants=True, own=True)
            read, strange = _read(body, named)
    except (pa.ArrowInvalid, RecursionError):
        return None
    try:
        if any(path[0] in WRAPPINGS or _has_times(kind) for path, kind in strange):
            return None
    except RecursionError:
        return None
    columns = {name: _coalesced(read, paths, FLAT.field(name).type) for name, paths in named.columns.items()}
    unknown = [path for path, _ in strange] + ([SAMPLED] if named.own else [])
    columns["extra"] = _extra(read, unknown)
    nulls = {kind: pa.nulls(len(read), kind) for kind in (pa.float64(), pa.string())}
    return pa.table([columns.get(one.name, nulls[one.type]) for one in FLAT], schema=FLAT)


def _shallow(body: bytes) -> bool:
    """Whether events follow each other closely. Arrow's reader dies of objects 20,000 deep, which need room."""
    return all(body.find(b'"eventId"', at, at + STRETCH) >= 0 for at in range(0, len(body) - STRETCH, STRETCH))


def _read(body: bytes, named: "_Named") -> tuple[pa.StructArray, list[tuple[Path, pa.DataType]]]:
    """What Arrow makes of it, and the fields that nobody named."""
    read = pj.read_json(
        pa.BufferReader(body),
        read_options=pj.ReadOptions(use_threads=False, block_size=len(body) + 1),
        parse_options=pj.ParseOptions(explicit_schema=named.schema),
    )
    columns = [
        pa.concat_arrays(column.chunks) if column.num_chunks != 1 else column.chunk(0) for column in read.columns
    ]
    rows = pa.StructArray.from_arrays(columns, fields=list(read.schema))
    return rows, list(_strange(read.schema, named.schema, ()))


@dataclass(frozen=True)
class _Named:
    """What Arrow is told of the fields there are, and which columns they become."""

    schema: pa.Schema
    columns: Mapping[str, Sequence[Path]]
    own: bool


@cache
def _named(*, first: bool, second: bool, variants: bool, own: bool) -> _Named:
    at = {**(SECOND if second or not first else {}), **(FIRST if first else {})}
    if variants:
        at = {other: name for path, name in at.items() for other in spellings(path)}
    columns: dict[str, list[Path]] = {}
    for path, name in at.items():
        columns.setdefault(name, []).append(path)
    kinds = {path: pa.list_(pa.string()) if path == RESOLVED else FLAT.field(name).type for path, name in at.items()}
    kinds |= {VERSION: pa.string()} | ({SAMPLED: pa.string()} if own else {})
    return _Named(pa.schema(_fields(kinds)), columns, own)


def _fields(kinds: Mapping[Path, pa.DataType]) -> list[pa.Field]:
    below: dict[str, dict[Path, pa.DataType]] = {}
    for path, kind in kinds.items():
        below.setdefault(path[0], {})[path[1:]] = kind
    return [pa.field(name, inner[()] if () in inner else pa.struct(_fields(inner))) for name, inner in below.items()]


def _strange(found: Iterable[pa.Field], known: Any, path: Path) -> Iterator[tuple[Path, pa.DataType]]:
    """The fields that nobody named."""
    for one in found:
        index = known.get_field_index(one.name)
        here = (*path, one.name)
        if index < 0:
            yield here, one.type
        elif pa.types.is_struct(one.type):
            yield from _strange(one.type, known.field(index).type, here)


def _has_times(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(_has_times(one.type) for one in kind)
    return pa.types.is_timestamp(kind) or (pa.types.is_list(kind) and _has_times(kind.value_type))


def _coalesced(read: pa.StructArray, paths: Sequence[Path], kind: pa.DataType) -> pa.Array:
    found = [_at(read, path) for path in paths]
    column = found[0] if len(found) == 1 else pc.coalesce(*found)
    if not pa.types.is_list(column.type):
        return column
    return pa.array([None if value is None else _json(value) for value in column.to_pylist()], kind)


def _at(read: pa.StructArray, path: Path) -> pa.Array:
    """Without asking the objects around it: Arrow's reader leaves null in what a null has in it."""
    for name in path:
        read = read.field(name)
    return read


def _extra(read: pa.StructArray, paths: Sequence[Path]) -> pa.Array:
    """JSON of what nobody named, at its place."""
    if not paths:
        return pa.nulls(len(read), pa.string())
    rows: list[dict[str, Any]] = [{} for _ in range(len(read))]
    for path in paths:
        for row, value in zip(rows, map(_known, _at(read, path).to_pylist()), strict=True):
            if value is not None:
                put(row, path, value)
    return pa.array([_json(row) if row else None for row in rows], pa.string())


def _known(value: Any) -> Any:
    """Without nulls, which Arrow puts where other rows have something."""
    if isinstance(value, dict):
        return {name: _known(inner) for name, inner in value.items() if inner is not None} or None
    return value


# ---- One event --------------------------------------------------------------------------------------

_EVERY = {other: name for path, name in {**SECOND, **FIRST}.items() for other in spellings(path)}
_INNER = {path[:depth] for path in (*_EVERY, VERSION) for depth in range(1, len(path))}


def flat(event: Mapping[str, Any]) -> dict[str, Any]:
    """A row of FLAT; a ValueError says which field cannot be one."""
    row: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    _walk(event, (), row, extra)
    row["extra"] = _json(extra) if extra else None
    return row


def _walk(event: Mapping[str, Any], path: Path, row: dict[str, Any], extra: dict[str, Any]) -> None:
    for name, value in event.items():
        here = (*path, str(name))
        if value is None or here == VERSION:
            continue
        column = _EVERY.get(here)
        if column is not None:
            row[column] = _value(column, here, value)
        elif here in _INNER:
            inner = json.loads(value) if here == ("eventPayload",) and isinstance(value, str) else value
            if not isinstance(inner, Mapping):
                raise ValueError(f"{_dotted(here)}: found {_short(value)}, wanted an object")
            _walk(inner, here, row, extra)
        else:
            put(extra, here, value)


def _value(column: str, path: Path, value: Any) -> Any:
    if column == "resolved_models":
        if not isinstance(value, list):
            raise ValueError(f"{_dotted(path)}: found {_short(value)}, wanted a list")
        return _json(value)
    if column in FLOATS:
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
        raise ValueError(f"{_dotted(path)}: found {_short(value)}, wanted a number")
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"{_dotted(path)}: found {_short(value)}, wanted text")


def put(into: dict[str, Any], path: Path, value: Any) -> None:
    for name in path[:-1]:
        into = into.setdefault(name, {})
    into[path[-1]] = value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _dotted(path: Path) -> str:
    return ".".join(path)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else _json(value)
    return f'"{text[:LONGEST_SHOWN]}…"' if len(text) > LONGEST_SHOWN else f'"{text}"'
