"""Tables of tags from CSV and Parquet: the times, the tags, and what was left out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cli.problem import Problem
from cli.readers import NoRecording, numbers, seconds, table

TIME_NAMES = ("timestamp", "datetime", "time", "date", "ts", "t", "t_s", "t_ms", "time_s", "date_time")
ENDINGS = (".csv", ".parquet")


@dataclass(frozen=True, eq=False)
class TagFile:
    """timestamps : as the file writes them, one a row.   rows : (rows, tags).

    times_s : (rows,) since 1970, or after the first row where the file has no dates. Of rows, NaN is what is missing,
    infinity what is no number.
    """

    path: Path
    timestamps: Sequence[str]
    times_s: NDArray[np.float64]
    tags: tuple[str, ...]
    rows: NDArray[np.float64]
    timed: bool  # the file has a time column; else times are row numbers

    def of(self, tags: Sequence[str]) -> NDArray[np.float64]:
        """(rows, tags) in this order; Problem if one is not there."""
        absent = [tag for tag in tags if tag not in self.tags]
        if absent:
            raise Problem(f"{self.path.name}: found no column {', '.join(absent[:5])}, wanted the tags of the model")
        return self.rows[:, [self.tags.index(tag) for tag in tags]]


def read(path: Path, *, drop: Sequence[str] = (), time: str | None = None) -> TagFile:
    """Every column of numbers is a tag, but for the time column and those to drop."""
    found = table(path)
    if not found.num_rows:
        raise NoRecording(f"{path.name}: the table has no rows")
    found = found.rename_columns([str(name).strip() for name in found.column_names])
    column = _time_column(path, found, time)
    tags, columns = [], []
    for name in found.column_names:
        if name == column or name in drop:
            continue
        values = numbers(found[name])
        values = _mostly_numbers(found[name]) if values is None else values
        if values is not None:
            tags.append(name)
            columns.append(values)
    if not columns:
        raise NoRecording(f"{path.name}: found no column of numbers beside {column or 'the time'}, wanted tags")
    rows = np.column_stack(columns)
    if column is None:
        count = found.num_rows
        return TagFile(path, [str(place) for place in range(count)], np.arange(count) * 1.0, tuple(tags), rows, False)
    times_s = seconds(found[column], path, column) + _first_s(found[column])
    return TagFile(path, _texts(found[column]), times_s, tuple(tags), rows, True)


def _mostly_numbers(column: pa.ChunkedArray) -> NDArray[np.float64] | None:
    """Text of which most values are numbers, as historians write it ("Bad Input"): infinity where it is something else.

    None where fewer than half of the texts are numbers.
    """
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return None
    texts = [text.strip() if text is not None else "" for text in column.to_pylist()]
    values = np.array([_number(text) for text in texts])
    given = sum(bool(text) for text in texts)
    return values if 2 * int(np.sum(np.isfinite(values))) > given else None


def _number(text: str) -> float:
    try:
        return float(text) if text else np.nan
    except ValueError:
        return np.inf


def _time_column(path: Path, found: pa.Table, chosen: str | None) -> str | None:
    """The named one, else one of a usual name, else the first that holds timestamps or reads as such, or None."""
    if chosen is not None:
        if chosen not in found.column_names:
            raise NoRecording(f"{path.name}: found the columns {', '.join(found.column_names[:12])}, wanted {chosen}")
        return chosen
    for name in found.column_names:
        if name.lower() in TIME_NAMES:
            return str(name)
    return next((str(name) for name in found.column_names if _holds_times(found[name])), None)


def _holds_times(column: pa.ChunkedArray) -> bool:
    if pa.types.is_timestamp(column.type):
        return True
    if not pa.types.is_string(column.type):
        return False
    try:
        datetime.fromisoformat(column[0].as_py() or "")
    except ValueError:
        return False
    return True


def _first_s(column: pa.ChunkedArray) -> float:
    """The first time since 1970, 0 where it is not a date."""
    first = column[0].as_py()
    if isinstance(first, str):
        first = datetime.fromisoformat(first)
    if not isinstance(first, datetime):
        return 0.0
    return (first if first.tzinfo else first.replace(tzinfo=UTC)).timestamp()


def _texts(column: pa.ChunkedArray) -> list[str]:
    return [_text(value) for value in column.to_pylist()]


def _text(value: Any) -> str:
    return value.isoformat(sep=" ") if isinstance(value, datetime) else str(value)


def inputs(given: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """Each file, and where its result goes below the output folder.

    A folder gives all tables in it, however deep, under their paths in it; of several inputs, below its own name.
    """
    for path in given:
        if path.is_dir():
            found = sorted(one for one in path.rglob("*") if one.suffix.lower() in ENDINGS)
            if not found:
                raise Problem(f"there is no {' or '.join(ENDINGS)} file in {path}")
            own = Path(path.resolve().name) if len(given) > 1 else Path()
            yield from ((one, own / one.relative_to(path).with_suffix(".csv")) for one in found)
        elif path.exists():
            yield path, Path(path.name).with_suffix(".csv")
        else:
            raise Problem(f"there is no file {path}")
