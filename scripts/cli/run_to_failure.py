"""Runs to failure in files, as the rows that detection sees: tables of indicators, and waveforms taken again and again.

A table has a row per capture. Its columns are named for what they hold, with the channel in front where there are
several: `rms_g`, `x_rms_g`, `ch1_std`. Waveforms lie as snapshots in one array (`.npz`), or as files of one capture
each in one folder, in the order of their names.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from telltale.core.bearings import CATALOGUE
from telltale.core.capture import AXES
from telltale.core.detect import Row
from telltale.core.features import axes_features
from telltale.core.plant import Bearing, Machine, Position
from telltale.core.schema import FEATURES

from cli import waveforms
from cli.problem import Problem
from cli.readers import NoRecording, arrays, numbers, seconds, table
from cli.recordings import FEMTO_KEYS, TIME_COLUMNS
from cli.waveforms import Record

Axes = Mapping[str, Mapping[str, float | None]]

# Ending of a column's name → the indicator, and the power that makes it one: energies are squares. A deviation comes
# before an RMS, which holds the sensor's offset.
MEANINGS: Mapping[str, tuple[str, float]] = {
    **{column.name: (column.name, 1.0) for column in FEATURES},
    "std": ("rms_g", 1.0),
    "rms": ("rms_g", 1.0),
    "max": ("peak_g", 1.0),
    "peak": ("peak_g", 1.0),
    **{f"env_{line}": (f"env_{line}_g", 1.0) for line in ("rms", "bpfo", "bpfi", "bsf", "ftf")},
    **{f"env_{line}_energy": (f"env_{line}_g", 0.5) for line in ("bpfo", "bpfi", "bsf", "ftf")},
}
ENDINGS = sorted(MEANINGS, key=len, reverse=True)
SPEED = "speed_rpm"  # a column of it makes operating modes
LEVELS = {"rms_g", "peak_g", "velocity_rms_mm_s"}  # one of which a channel has at least
BATCH = 128  # waveforms whose indicators are computed together
NO_DATE = datetime(1970, 1, 1, tzinfo=UTC)  # when a recording begins that does not say it


@dataclass(frozen=True)
class Options:
    """What the user says of the files: as `waveforms.Options`, and of the machine."""

    files: waveforms.Options
    rpm: float | None = None
    bearing: Bearing | None = None


@dataclass(frozen=True)
class Run:
    """One run. `path` : of its results, below the folder they go to, without an ending.

    times : of each row, in seconds after `begin`; () where they are not known.   rows : made as they are asked for.
    speeds : measured with each row, in r/min; () where one, `rpm`, holds for all.
    """

    path: Path
    count: int
    rows: Callable[[], Iterator[Axes]]
    times: tuple[float, ...] = ()
    begin: datetime = NO_DATE
    rpm: float | None = None
    speeds: Sequence[float | None] = ()

    def timestamp(self, place: int) -> str:
        """RFC 3339 without a zone; empty where it is not known."""
        if not self.times:
            return ""
        at = self.begin + timedelta(seconds=self.times[place])
        return at.replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")

    def observed(self) -> Iterator[Row]:
        """The rows of detection, each later than the one before."""
        before = -1
        for place, axes in enumerate(self.rows()):
            t_ms = round(1000 * self.times[place]) if self.times else place
            before = max(t_ms, before + 1)
            speed = self.speeds[place] if self.speeds else self.rpm
            yield Row(f"{self.path.name}@{place}", "".join(axes), before, before, "file", speed, None, axes)


def position(run: Run, *, settings: Mapping[str, float]) -> Position:
    """The measuring point of a run: nothing is known of its machine but what the rows say."""
    return Position(f"files/{run.path.as_posix()}", speed_rpm=run.rpm, settings=settings)


def found(inputs: Sequence[Path], said: Options, *, note: Callable[[str], None]) -> list[Run]:
    """The runs in files and folders. What in a folder cannot be read is noted and left out.

    Problem for a file given by name that cannot be read, when there is no run at all, or for two of the same name.
    """
    runs: list[Run] = []
    snapshots: dict[tuple[Path, Path], list[Path]] = defaultdict(list)
    for file, name, by_name in _files(inputs):
        try:
            run = _run(file, name, said)
        except Problem as problem:
            if by_name:
                raise
            note(f"left out: {problem}")
            continue
        if run is None:
            snapshots[file.parent, name.parent].append(file)
        else:
            runs.append(run)
    runs += [_folder(folder, name, files, said) for (folder, name), files in snapshots.items()]
    if not runs:
        raise NoRecording(f"found no recording in {', '.join(map(str, inputs))}")
    twice = sorted({str(run.path) for run in runs if [one.path for one in runs].count(run.path) > 1})
    if twice:
        raise Problem(f"several recordings would be written as {twice[0]}", "Give their folder instead of the files.")
    return runs


def _files(inputs: Sequence[Path]) -> Iterator[tuple[Path, Path, bool]]:
    """Each file, the name of its results, and whether it was given by name."""
    for given in inputs:
        if not given.is_dir():
            yield given, Path(given.stem), True
            continue
        for file in sorted(given.rglob("*"), key=_natural):
            if file.is_file() and file.suffix.lower() in waveforms.ENDINGS:
                yield file, file.relative_to(given).with_suffix(""), False


def _natural(path: Path) -> list[tuple[int, str]]:
    """So that 10 comes after 9."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", str(path))]


def _run(file: Path, name: Path, said: Options) -> Run | None:
    """The run in a file; None where it is one capture of a run."""
    if file.suffix.lower() in (".csv", ".parquet") and file.is_file():
        columns = table(file)
        channels = channels_of(columns.column_names)
        if channels:
            return _of_table(file, name, columns, channels, said)
    if file.suffix.lower() == ".npz" and file.is_file():
        return _of_arrays(file, name, said)
    waveforms.read(file, said.files)  # raises what is wrong with it
    return None


# ---- tables --------------------------------------------------------------------------------------


def channels_of(names: Sequence[str]) -> dict[str, dict[str, tuple[str, float]]]:
    """Channel → indicator → the column that holds it and the power that makes it one; {} if none is recognised."""
    channels: dict[str, dict[str, tuple[str, float]]] = defaultdict(dict)
    for ending in [*MEANINGS]:
        for name in names:
            if next((one for one in ENDINGS if _channel(name, one) is not None), None) != ending:
                continue
            indicator, power = MEANINGS[ending]
            channels[_channel(name, ending) or ""].setdefault(indicator, (name, power))
    known = {channel for channel, columns in channels.items() if LEVELS & set(columns)}
    parts = {channel for channel in known for whole in known if channel != whole and channel.startswith(f"{whole}_")}
    order = sorted(known - parts, key=lambda channel: _natural(Path(channel)))
    return {channel: channels[channel] for channel in order}


def _channel(name: str, ending: str) -> str | None:
    """What stands before the ending; None where the name ends otherwise."""
    velocity = re.fullmatch(r"velocity_rms_([xyz])_mm_s", name)
    if velocity:  # as the wire format calls it
        return velocity[1] if ending == "velocity_rms_mm_s" else None
    lower = name.lower()
    if lower == ending:
        return ""
    return name[: -len(ending) - 1] if lower.endswith(f"_{ending}") else None


def _of_table(
    file: Path,
    name: Path,
    columns: pa.Table,
    channels: Mapping[str, Mapping[str, tuple[str, float]]],
    said: Options,
) -> Run:
    if len(channels) > len(AXES):
        raise Problem(f"{file.name}: found the channels {', '.join(channels)}, wanted at most {len(AXES)}")
    if not len(columns):
        raise NoRecording(f"{file.name}: the table has no rows")
    time = said.files.time or next((one for one in columns.column_names if one.lower() in TIME_COLUMNS), None)
    if time is not None and time not in columns.column_names:
        raise Problem(f'{file.name}: found no column "{time}"; there are {", ".join(columns.column_names[:12])}')
    times = () if time is None else tuple(seconds(columns[time], file, time).tolist())
    values = {
        axis: {indicator: _levels(columns[column], power) for indicator, (column, power) in found.items()}
        for axis, found in zip(AXES, channels.values(), strict=False)
    }
    if not any(values for axis in values.values() for values in axis.values()):
        raise NoRecording(f"{file.name}: found no numbers in the columns of {', '.join(channels)}")

    def rows() -> Iterator[Axes]:
        for place in range(len(columns)):
            yield {
                axis: {indicator: levels[place] if levels else None for indicator, levels in found.items()}
                for axis, found in values.items()
            }

    speeds = _levels(columns[SPEED], 1) if SPEED in columns.column_names else ()
    return Run(name, len(columns), rows, times, _begin(columns[time]) if time else NO_DATE, said.rpm, speeds)


def _levels(column: pa.ChunkedArray, power: float) -> list[float | None]:
    values = numbers(column)
    if values is None:
        return []
    with np.errstate(invalid="ignore"):
        levels = values**power if power != 1 else values
    return [value if np.isfinite(value) else None for value in levels.tolist()]


def _begin(column: pa.ChunkedArray) -> datetime:
    """The first time of a column that holds dates, in UTC."""
    first = column[0].as_py()
    if isinstance(first, str):
        first = datetime.fromisoformat(first)
    if not isinstance(first, datetime):
        return NO_DATE
    return first.astimezone(UTC) if first.tzinfo else first.replace(tzinfo=UTC)


# ---- waveforms -----------------------------------------------------------------------------------


def _of_arrays(file: Path, name: Path, said: Options) -> Run | None:
    """The run in an archive of snapshots; None where it is a single capture."""
    records = waveforms.read(file, said.files)
    if records[0].part is None:
        return None
    held = arrays(file)
    times = next((a for key, a in held.items() if key.lower() in waveforms.TIMES and a.shape == (len(records),)), None)
    bearing = said.bearing or (CATALOGUE["PRONOSTIA"] if set(held) >= FEMTO_KEYS else None)
    rpm = said.rpm or records[0].speed_rpm
    return Run(name, len(records), lambda: _measured(records, rpm, bearing), _after_first(times), rpm=rpm)


def _after_first(times: NDArray[np.float64] | None) -> tuple[float, ...]:
    return () if times is None else tuple((times.astype(np.float64) - float(times[0])).tolist())


def _folder(folder: Path, name: Path, files: Sequence[Path], said: Options) -> Run:
    """The files of a folder as one run."""
    records = chain.from_iterable(waveforms.read(file, said.files) for file in files)
    path = name if name.name else Path(folder.resolve().name)
    return Run(path, len(files), lambda: _measured(records, said.rpm, said.bearing), rpm=said.rpm)


def _measured(records: Iterable[Record], rpm: float | None, bearing: Bearing | None) -> Iterator[Axes]:
    """The routine set of each record, as the line computes it."""
    of = Machine(bearing=bearing)
    left = iter(records)
    while batch := list(islice(left, BATCH)):
        speeds = [rpm or record.speed_rpm for record in batch]
        items = [
            (wave, speed / 60 if speed else None, of)
            for record, speed in zip(batch, speeds, strict=True)
            for wave in islice(record.channels.values(), len(AXES))
        ]
        measured = iter(axes_features(items))
        for record in batch:
            yield {axis: next(measured) for axis, _ in zip(AXES, record.channels, strict=False)}
