"""Digests of what a message brought, made when it was received: one changed bit is found, and where it is.

A message is a row of `captures` with its readings, and for each axis a row of `waveforms` and one of `features`. Each
is a *part* and has the first half of the SHA-256 of its values: names, numbers as doubles, texts. Of a waveform it is
half a digest of the samples, as the int16 that the sensor sent, and half one of the rest. A column without a value does
not count, and neither does the order of columns, so that a digest holds when the schema grows.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from struct import Struct, pack, unpack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from telltale.core import schema

Row = Mapping[str, Any]

CAPTURE, WAVEFORM, FEATURES = schema.CAPTURES.name, schema.WAVEFORMS.name, schema.FEATURES_TABLE.name
DIGESTS = "digests"  # the column of captures
DIGITS = 32  # hexadecimal, of 64: 128 bits
HALF = DIGITS // 2
SLIP = 2  # digits that one changed byte can alter in a digest's text; two digests differ in thirty
READING = "reading of "  # in front of a tag, where it stands among columns

_SEALED = (schema.CAPTURES, schema.WAVEFORMS, schema.FEATURES_TABLE)
_TEXTS = {
    table.name: tuple(column.name for column in table.columns if column.type == "string" and column.name != DIGESTS)
    for table in _SEALED
}
_NO_NUMBERS = {name: frozenset((*texts, "samples", DIGESTS)) for name, texts in _TEXTS.items()}
_NONE: Row = {}


@dataclass(frozen=True)
class Changed:
    """A part that is not what was received. recorded, found : its digests.

    column : where it differs. was : what was received there, where one byte put back gives the recorded digest.
    """

    part: str
    recorded: str
    found: str
    column: str | None = None
    now: Any = None
    was: Any = None

    def __str__(self) -> str:
        where = f"{self.part}, column {self.column}" if self.column else f"{self.part}, in more than one byte"
        values = "" if self.was is None else f" is {self.now!r}, and was received as {self.was!r}"
        return f"{where}{values} (digest recorded {self.recorded}, found {self.found})"


def part_of(table: str, row: Row) -> str:
    """`captures`, `waveforms x`, `features x`."""
    return f"{table} {row['axis']}" if "axis" in row else table


def digest(table: str, row: Row, readings: Row = _NONE) -> str:
    """The digest of a row of `captures` (with its readings, tag → value), `waveforms` or `features`.

    Times in ms since 1970, samples whole numbers of shape (n,).
    """
    no_numbers = _NO_NUMBERS[table]
    known = [item for item in row.items() if item[1] is not None and item[0] not in no_numbers]
    if readings:
        known += [(READING + tag, value) for tag, value in readings.items()]
    ordered, head, doubles = _plan(tuple([name for name, _ in known]))
    values = [value for _, value in known]
    numbers = doubles.pack(*(ordered(values) if len(values) > 1 else values))
    texts = "\0".join([row.get(name) or "" for name in _TEXTS[table]])
    found = _sha(head, numbers, texts.encode())
    samples = row.get("samples")
    return found[:DIGITS] if samples is None else _sha(_narrow(samples).tobytes())[:HALF] + found[:HALF]


def written(digests: Mapping[str, str]) -> str:
    """What the column `digests` holds."""
    return json.dumps(digests, separators=(",", ":"))


def read(text: str | None) -> dict[str, str] | None:
    """The digests by part; None where there is nothing to be read."""
    try:
        found = json.loads(text or "")
    except ValueError:
        return None
    is_right = isinstance(found, dict) and all(isinstance(value, str) for value in found.values())
    return found if is_right else None


def changed(table: str, row: Row, recorded: str, readings: Row = _NONE, *, like: Iterable[Row] = ()) -> Changed | None:
    """How the row differs from the one that this digest is of; None where it does not.

    The column is named where it is the samples alone, where one changed byte explains it, or a value of the rows `like`
    put in its place: rows that may have what this one had.
    """
    part, found = part_of(table, row), digest(table, row, readings)
    if found == recorded:
        return None
    if len(recorded) != len(found) or sum(a != b for a, b in zip(recorded, found, strict=True)) <= SLIP:
        return Changed(part, recorded, found, DIGESTS)
    if "samples" in row:
        return _changed_waveform(part, row, recorded, found, like)
    return _searched(table, row, recorded, found, readings, like)


def _changed_waveform(part: str, row: Row, recorded: str, found: str, like: Iterable[Row]) -> Changed:
    samples, rest = (recorded[part] == found[part] for part in (slice(HALF), slice(HALF, None)))
    if rest:
        return Changed(part, recorded, found, "samples")
    if not samples:
        return Changed(part, recorded, found)
    few = {**row, "samples": np.zeros(1, np.int16)}  # so that a try costs nothing
    head = digest(WAVEFORM, few)[:HALF]
    made = _searched(WAVEFORM, few, head + recorded[HALF:], head + found[HALF:], _NONE, like)
    return replace(made, recorded=recorded, found=found)


def _searched(table: str, row: Row, recorded: str, found: str, readings: Row, like: Iterable[Row]) -> Changed:
    part = part_of(table, row)
    for name, value in chain(_swapped(row, like), _neighbours(table, row)):
        if digest(table, {**row, name: value}, readings) == recorded:
            return Changed(part, recorded, found, name, row.get(name), value)
    for tag in readings:
        for value in _near(readings[tag]):
            if digest(table, row, {**readings, tag: value}) == recorded:
                return Changed(part, recorded, found, READING + tag, readings[tag], value)
    return Changed(part, recorded, found)


# ---- a row as bytes ------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _plan(names: tuple[str, ...]) -> tuple[Callable[[list[float]], tuple[float, ...]], bytes, Struct]:
    """How numbers of these names are put in order, their names as bytes, and how they are packed."""
    places = sorted(range(len(names)), key=names.__getitem__)
    ordered = itemgetter(*places) if len(names) > 1 else tuple
    return ordered, "\0".join(sorted(names)).encode(), Struct(f"<{len(names)}d")


def _narrow(samples: Any) -> NDArray[Any]:
    """As int16; where one is none, which no sensor sends, as int32."""
    counts = np.asarray(samples)
    if counts.dtype == np.int16:
        return counts.astype("<i2", copy=False)
    narrow = counts.astype("<i2")
    return narrow if np.array_equal(narrow, counts) else counts.astype("<i4")


def _sha(*parts: bytes) -> str:
    """Each part with its length, so that none can borrow from the next."""
    sizes = pack(f"<{len(parts)}Q", *map(len, parts))
    return hashlib.sha256(b"".join((sizes, *parts))).hexdigest()


# ---- what one byte can have been -----------------------------------------------------------------


def _swapped(row: Row, like: Iterable[Row]) -> Iterator[tuple[str, Any]]:
    """Each column with what the other rows have in it."""
    for other in like:
        yield from ((name, value) for name, value in other.items() if name != "samples" and value != row.get(name))


def _neighbours(table: str, row: Row) -> Iterator[tuple[str, Any]]:
    """Each column but the samples with each value that differs from its own in one byte."""
    for name, value in row.items():
        if value is None or name in ("samples", DIGESTS):
            continue
        yield from ((name, one) for one in (_spelt(value) if name in _TEXTS[table] else _near(value)))


def _near(value: float) -> Iterator[float]:
    """The numbers whose double differs in one byte."""
    own = pack("<d", value)
    for place, byte in enumerate(own):
        for other in range(256):
            if other != byte:
                yield unpack("<d", own[:place] + bytes((other,)) + own[place + 1 :])[0]


def _spelt(text: str) -> Iterator[str]:
    """The texts that differ in one byte; of those that are no texts, none."""
    own = text.encode()
    for place, byte in enumerate(own):
        for other in range(256):
            made = own[:place] + bytes((other,)) + own[place + 1 :]
            try:
                if other != byte:
                    yield made.decode()
            except UnicodeDecodeError:
                continue
