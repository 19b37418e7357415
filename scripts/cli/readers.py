"""What lies in a file, as it lies there: arrays (.npz), a table (.parquet, .csv) or sound (.wav).

Every reader raises NoRecording, one line of what was found and what was wanted, for a file that is something else,
is damaged or is cut off.
"""

import csv
import io
import re
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from cli.problem import Problem


class NoRecording(Problem):
    """The file is none of the recordings that can be read."""


# What numpy and the zip archive below it raise over damaged bytes.
DAMAGED = (
    *(ValueError, EOFError, KeyError, SyntaxError, MemoryError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError),
)


def arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file by name."""
    raw = path.read_bytes()
    try:
        data = np.load(io.BytesIO(raw))
        if not isinstance(data, np.ndarray):
            return {name: data[name] for name in data.files}
    except DAMAGED as error:
        raise NoRecording(f"{path.name}: damaged, or no archive of arrays: {_one_line(error)}") from error
    raise NoRecording(f"{path.name}: found one array without a name (.npy), wanted an archive of them (.npz)")


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:160]


# ---- tables --------------------------------------------------------------------------------------

SAMPLED_LINES = 60  # of a CSV file, from which its layout is read
ENCODINGS = ("utf-8-sig", "cp1252")  # cp1252: what spreadsheets of the West write, with its ² and µ
NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
MISSING = {"", "-", "nan", "n/a", "na", "null", "inf", "-inf", "+inf", "#n/a"}  # a value that is not there, no header
LATE_S = 1e11  # a time beyond it, the year 5138, is in milliseconds
TIME_UNITS_S = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9, "min": 60.0}


@dataclass(frozen=True)
class Layout:
    """How a CSV file is written. `delimiter` None: any white space.   names: () where no header stands."""

    delimiter: str | None
    decimal: str
    names: tuple[str, ...]
    data: int  # index of the first line with values


def table(path: Path) -> pa.Table:
    """The columns of a Parquet or CSV file; of a CSV without a header they are called "1", "2", …"""
    raw = path.read_bytes()
    try:
        if path.suffix.lower() == ".csv":
            return _csv(path, raw)
        return pa.parquet.read_table(_of_arrow(raw))
    except (pa.ArrowException, OSError) as error:  # Arrow calls some of what is wrong with bytes an OSError
        raise NoRecording(f"{path.name}: not a table, or cut off: {_one_line(error)}") from error


def _of_arrow(raw: bytes) -> pa.BufferReader:
    """The bytes in Arrow's own memory: a thread of Arrow that lets go of Python's when Python has ended aborts it."""
    stream = pa.BufferOutputStream()
    stream.write(raw)
    return pa.BufferReader(stream.getvalue())


def _csv(path: Path, raw: bytes) -> pa.Table:
    text = _text(path, raw)
    if not text.strip():
        raise NoRecording(f"{path.name}: the file is empty, wanted a table")
    layout = csv_layout(text.splitlines()[:SAMPLED_LINES])
    body = "\n".join(text.splitlines()[layout.data :])
    if layout.delimiter is None:
        body = re.sub(r"[ \t]+", " ", re.sub(r"(?m)^[ \t]+|[ \t]+$", "", body))
    width = len(_split(body.split("\n", 1)[0], " " if layout.delimiter is None else layout.delimiter))
    named = [*layout.names, *("" for _ in range(width - len(layout.names)))]
    names = [name or str(place) for place, name in enumerate(named, start=1)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise NoRecording(f"{path.name}: several columns are called {', '.join(twice)}, wanted one of each name")
    return pa.csv.read_csv(
        _of_arrow(body.encode()),
        read_options=pa.csv.ReadOptions(column_names=names),
        parse_options=pa.csv.ParseOptions(delimiter=layout.delimiter or " "),
        convert_options=pa.csv.ConvertOptions(decimal_point=layout.decimal),
    )


def _text(path: Path, raw: bytes) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", errors="replace")
    for encoding in ENCODINGS:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise NoRecording(f"{path.name}: not text, wanted a table")


def csv_layout(lines: Sequence[str]) -> Layout:
    """The layout that the first lines of a CSV file show.

    The header is the last line as wide as the data and without a number in it; a line of units below it, as data
    loggers write, is joined to it; what stands above is skipped.
    """
    last = next(line for line in reversed(lines) if line.strip())
    delimiter = next((mark for mark in (";", "\t", "|", ",") if mark in last), None)
    rows = [_split(line, delimiter) for line in lines]
    width = len(_split(last, delimiter))
    texts = [i for i, row in enumerate(rows) if len(row) == width and not any(map(_is_value, row))]
    first = next(i for i, row in enumerate(rows) if len(row) == width)
    data = texts[-1] + 1 if texts else first
    names = [cell.strip() for cell in rows[texts[-1]]] if texts else []
    if len(texts) > 1 and texts[-2] == texts[-1] - 1 and all(map(_is_unit, names)):
        above = [cell.strip() for cell in rows[texts[-2]]]
        names = [f"{name} ({unit.strip('()[]')})" if unit else name for name, unit in zip(above, names, strict=True)]
    values = [cell for row in rows[data:] for cell in row if NUMBER.fullmatch(cell.strip())]
    return Layout(delimiter, "," if any("," in cell for cell in values) else ".", tuple(names), data)


def _split(line: str, delimiter: str | None) -> list[str]:
    if delimiter is None:
        return line.split()
    return next(csv.reader([line], delimiter=delimiter), [])


def _is_value(cell: str) -> bool:
    bare = cell.strip()
    return bare.lower() in MISSING or NUMBER.fullmatch(bare) is not None


def _is_unit(cell: str) -> bool:
    return re.fullmatch(r"[(\[].*[)\]]|g|mg|m/s2|m/s\^2|m/s²|s|ms|us|µs|V|mV|", cell.strip()) is not None


def numbers(column: pa.ChunkedArray) -> NDArray[np.float64] | None:
    """A column as floats, NaN where null; None when it holds something else."""
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        return None
    filled = pa.compute.fill_null(pa.compute.cast(column, pa.float64()), float("nan"))
    return np.asarray(filled.to_numpy(), dtype=np.float64)


def seconds(column: pa.ChunkedArray, path: Path, name: str) -> NDArray[np.float64]:
    """Sample times in seconds after the first row's.

    From timestamps, RFC 3339 text, or numbers in the unit that the name ends in (`t_ms`, `time (µs)`); seconds where it
    names none, or milliseconds since 1970 where they are that large.
    """
    if not len(column):
        raise NoRecording(f"{path.name}: the table has no rows")
    if column.null_count:
        raise Problem(f"{path.name}: {column.null_count} rows have no {name}")
    if pa.types.is_timestamp(column.type):
        ns = np.asarray(pa.compute.cast(column, pa.timestamp("ns"), safe=False).cast(pa.int64()).to_numpy())
        return np.asarray((ns - ns[0]) / 1e9, dtype=np.float64)
    if pa.types.is_string(column.type):
        instants = [_instant(text, path, name) for text in column.to_pylist()]
        return np.array([(instant - instants[0]).total_seconds() for instant in instants])
    values = numbers(column)
    if values is None or not np.isfinite(values).all():
        raise Problem(f"{path.name}: found {column.type} in {name}, wanted times")
    unit = TIME_UNITS_S.get(re.split(r"[\s_(\[]+", name.strip(" )]"))[-1].lower(), 1.0)
    return (values - values[0]) * (1e-3 if np.abs(values).max() > LATE_S else unit)


def _instant(text: str, path: Path, name: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise Problem(f'{path.name}: found "{text}" in {name}, wanted a time such as 2026-03-01T14:30:00Z') from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


# ---- sound files ---------------------------------------------------------------------------------

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE  # WAVE_FORMAT_*: RFC 2361; the last has its true format in its GUID
UNKNOWN_SIZE = 0xFFFFFFFF  # of a recorder that never came back to write it, or of RF64, whose sizes stand in ds64
# (format, bits) → how the bytes are read, and the count at full scale
SOUND: Mapping[tuple[int, int], tuple[str, float]] = {
    (PCM, 8): ("u1", 2.0**7),
    (PCM, 16): ("<i2", 2.0**15),
    (PCM, 24): ("u1", 2.0**23),
    (PCM, 32): ("<i4", 2.0**31),
    (FLOAT, 32): ("<f4", 1.0),
    (FLOAT, 64): ("<f8", 1.0),
}


@dataclass(frozen=True, eq=False)
class Sound:
    """A WAV file. `samples` : shape (frames, channels), exact in their type.   full_scale : the count that is 1."""

    samples: NDArray[Any]
    fs_hz: float
    bits: int
    full_scale: float


def sound(path: Path) -> Sound:
    """The sound of a WAV file: PCM of 8, 16, 24 or 32 bits, or float. (The standard library's reader has no float.)"""
    raw = path.read_bytes()
    if raw[:4] not in (b"RIFF", b"RF64") or raw[8:12] != b"WAVE":
        raise NoRecording(f"{path.name}: found no RIFF header, wanted a WAV file")
    form, data = _chunks(path, raw)
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", form)
    if kind == EXTENSIBLE and len(form) >= 26:
        [kind] = struct.unpack_from("<H", form, 24)
    if (kind, bits) not in SOUND or not channels or not rate:
        raise NoRecording(
            f"{path.name}: found format {kind} with {bits} bits, {channels} channels and {rate} Hz, "
            "wanted PCM of 8, 16, 24 or 32 bits or float"
        )
    dtype, full_scale = SOUND[kind, bits]
    frames = len(data) // (channels * bits // 8)
    values = np.frombuffer(data[: frames * channels * bits // 8], dtype)
    return Sound(_exact(values, kind, bits).reshape(frames, channels), float(rate), bits, full_scale)


def _chunks(path: Path, raw: bytes) -> tuple[bytes, bytes]:
    """The format and the data of a RIFF file."""
    form, at, long_size = None, 12, None
    while at + 8 <= len(raw):
        name, size = struct.unpack_from("<4sI", raw, at)
        body = raw[at + 8 : at + 8 + size]
        if name == b"ds64" and len(body) >= 16:
            [long_size] = struct.unpack_from("<Q", body, 8)
        if name == b"fmt " and len(body) >= 16:
            form = body
        if name == b"data" and form is not None:
            if size == UNKNOWN_SIZE:
                size = len(raw) - at - 8 if long_size is None else long_size
            if at + 8 + size > len(raw):
                raise NoRecording(f"{path.name}: cut off: found {len(raw) - at - 8} bytes of {size} that it announces")
            return form, raw[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    raise NoRecording(f"{path.name}: cut off: found no {'format' if form is None else 'data'} in it")


def _exact(values: NDArray[Any], kind: int, bits: int) -> NDArray[Any]:
    """The samples as int16, float32 or float64: the smallest that holds them without rounding."""
    if (kind, bits) == (PCM, 8):
        return values.astype(np.int16) - np.int16(128)
    if (kind, bits) == (PCM, 24):
        padded = np.zeros((len(values) // 3, 4), np.uint8)
        padded[:, 1:] = values.reshape(-1, 3)
        return (padded.view("<i4").reshape(-1) >> 8).astype(np.float32)
    return values.astype({"i2": np.int16, "i4": np.float64, "f4": np.float32, "f8": np.float64}[values.dtype.str[1:]])
