"""Waveforms in files, as records: the channels of one instant, in g or m/s2, with what the file says beside them.

docs/files.md tells what is read from which kind of file. Every file that cannot be read raises Problem with one line.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from telltale.core.capture import AXES, Waveform
from telltale.core.validate import FS_HZ

from cli.arguments import positive
from cli.plant_file import did_you_mean
from cli.problem import Problem
from cli.readers import NoRecording, arrays, numbers, seconds, sound, table

SHORTEST = 64  # samples; below it the envelope's band has fewer bins than it needs (core.features.ENVELOPE_BINS)
SLOWEST_HZ = 10.0  # guess: a table of values over time, not a vibration
MOST_CHANNELS = 64  # guess: a matrix wider than that is no recording
EVEN = 0.5  # sampling intervals that a sample time may be off a perfectly even clock
JITTER = 0.05  # of a sampling interval, above which it is said

# What stands in brackets or after an underscore at the end of a name → unit of the lake, and how many of it
UNITS: Mapping[str, tuple[str, float]] = {
    **dict.fromkeys(("g", "gn", "g_n"), ("g", 1.0)),
    **dict.fromkeys(("mg", "milli-g"), ("g", 0.001)),
    **dict.fromkeys(("m/s2", "m/s^2", "m/s²", "m/s/s", "ms-2", "m s-2", "m_s2", "ms2", "m/s**2"), ("m/s2", 1.0)),
}
UNIT_WORDS = ("g", "mg", "m/s2")
OTHER_UNITS = ("mm_s", "m_s", "um", "c", "degc", "rpm", "v", "mv", "hz", "bar", "pct", "n", "s", "ms", "a", "w", "kw")
TIMES = ("t", "time", "timestamp", "seconds", "t_s", "time_s", "t_ms", "time_ms", "t_us", "time_us")
RATES = ("fs", "fs_hz", "sampling_rate", "sampling_rate_hz", "sample_rate")
SPEEDS = ("rpm", "speed_rpm")
COUNTERS = ("index", "idx", "sample", "n", "nr")
AXIS_NAME = re.compile(r"(?:.*[_\s.-])?(?:a|acc|accel|acceleration)?[_\s.-]?([xyz])", re.IGNORECASE)
LAKE = {"capture_id", "axis", "samples", "fs_hz", "unit", "scale"}  # columns of the lake's table `waveforms`
ENDINGS = (".npz", ".wav", ".csv", ".parquet")


@dataclass(frozen=True, eq=False)
class Record:
    """What was measured together. `channels` : name in the file → its waveform; counts or floats, shape (n,).

    A waveform's `axis` is x, y or z where the channel is one of a sensor's axes, else the channel's own name.
    part : which of a file's records it is, None for the only one.   speed_rpm : as the file says, None if it does not.
    calibrated : whether levels are in g; where not, full scale is taken as 1 g and only ratios mean something.
    notes : what was taken for granted or left out.
    """

    file: str
    part: str | None
    channels: Mapping[str, Waveform]
    speed_rpm: float | None = None
    calibrated: bool = True
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.file if self.part is None else f"{self.file}, {self.part}"

    @property
    def sensors(self) -> list["Record"]:
        """This record where its channels are axes of one sensor, else each channel as a measuring point of its own."""
        if len(self.channels) == 1 or all(wave.axis in AXES for wave in self.channels.values()):
            return [self]
        parts = {name: name if self.part is None else f"{self.part}, {name}" for name in self.channels}
        return [replace(self, part=parts[name], channels={name: wave}) for name, wave in self.channels.items()]


@dataclass(frozen=True)
class Options:
    """What the user says about a file. `channels` : NAME or AXIS=NAME, none: all of them.

    snapshot : which of a run's snapshots, counted from 0, from the end where negative; None: every one.
    """

    channels: tuple[str, ...] = ()
    axes: bool = False
    fs_hz: float | None = None
    unit: str | None = None
    scale_g: float | None = None
    snapshot: int | None = -1
    time: str | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The files, and what they may not say themselves."""
    parser.add_argument("files", type=Path, nargs="*", metavar="FILE", help="recordings: .npz, .wav, .csv, .parquet")
    files = parser.add_argument_group("what is in the files")
    files.add_argument(
        "--channel",
        action="append",
        default=[],
        metavar="[AXIS=]NAME",
        help="only this channel; as axis x, y or z of one sensor (may be repeated)",
    )
    files.add_argument("--axes", action="store_true", help="the channels are x, y, z of one sensor, in this order")
    files.add_argument(
        "--fs", type=positive, metavar="HZ", help="sampling rate, where the file does not say or is wrong"
    )
    files.add_argument("--unit", choices=UNIT_WORDS, help="unit of the samples, where the file does not say")
    files.add_argument(
        "--scale-g", type=positive, metavar="G", help="acceleration in g at full scale of integers and of sound"
    )
    files.add_argument("--time", metavar="COLUMN", help="table: the column of sample times")
    files.add_argument(
        "--snapshot",
        type=_snapshot,
        default=-1,
        metavar="K",
        help='run to failure: snapshot K, from 0, or "all" (default: the last)',
    )


def options(args: argparse.Namespace) -> Options:
    """What the arguments of `add_arguments` say."""
    return Options(tuple(args.channel), args.axes, args.fs, args.unit, args.scale_g, args.snapshot, args.time)


def _snapshot(text: str) -> int | None:
    if text == "all":
        return None
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'found "{text}", wanted a whole number or "all"') from None


def read(path: Path, said: Options) -> list[Record]:
    """The records of a file, one at least."""
    readers = {".npz": _npz, ".wav": _wav, ".csv": _table, ".parquet": _table}
    if path.suffix.lower() not in readers:
        raise NoRecording(f"{path.name}: found {path.suffix or 'no ending'}, wanted one of {', '.join(ENDINGS)}")
    if not path.is_file():
        raise NoRecording(f"there is no file {path}")
    return [_checked(chosen(one, said)) for one in readers[path.suffix.lower()](path, said)]


def each(files: Sequence[Path], said: Options, do: Callable[[Record], None]) -> int:
    """Does it for each record of each file. A file that fails is named on stderr, the others go on; the exit status."""
    if not files:
        raise Problem("no file is given", "Give recordings: .npz, .wav, .csv or .parquet.")
    failed = 0
    for file in files:
        try:
            for record in read(file, said):
                for note in record.notes:
                    print(f"{record.name}: {note}", file=sys.stderr)
                do(record)
        except Problem as problem:
            failed += 1
            print(f"telltale: {problem}", file=sys.stderr)
    if failed and len(files) > 1:
        print(f"telltale: {failed} of {len(files)} files failed", file=sys.stderr)
    return 1 if failed else 0


def cut(record: Record, seconds_each: float) -> list[Record]:
    """The record in pieces of so many seconds; what does not fill one is left out."""
    shortest_s = min(len(wave.samples) / wave.fs_hz for wave in record.channels.values())
    count = int(shortest_s / seconds_each * (1 + 1e-9))
    if not count:
        raise NoRecording(f"{record.name}: found {shortest_s:g} s, wanted {seconds_each:g} s for one piece")
    return [_piece(record, at, seconds_each) for at in range(count)]


def _piece(record: Record, at: int, seconds_each: float) -> Record:
    def part(wave: Waveform) -> Waveform:
        size = round(wave.fs_hz * seconds_each)
        return replace(wave, samples=wave.samples[at * size : (at + 1) * size])

    said = f"{at * seconds_each:g}-{(at + 1) * seconds_each:g} s"
    channels = {name: part(wave) for name, wave in record.channels.items()}
    return replace(record, part=f"{record.part}, {said}" if record.part else said, channels=channels)


# ---- channels ------------------------------------------------------------------------------------


def chosen(record: Record, said: Options) -> Record:
    """The record with the channels that were asked for, each with its axis."""
    wanted = [_wanted(record, text) for text in said.channels] or [(_axis_said(name), name) for name in record.channels]
    if said.axes and not said.channels:
        wanted = [(axis, name) for axis, (_, name) in zip(AXES, wanted, strict=False)]
        if len(record.channels) > len(AXES):
            raise Problem(f"{record.name}: --axes: found {len(record.channels)} channels, wanted 1 to 3")
    axes = [axis for axis, _ in wanted]
    if not said.channels and not said.axes and (None in axes or len(set(axes)) < len(axes)):
        axes = [None] * len(axes)  # names that say it of some, or of two the same, say nothing
    repeated = {axis for axis in axes if axis is not None and axes.count(axis) > 1}
    if repeated:
        raise Problem(f"{record.name}: --channel: found several channels for {', '.join(sorted(repeated))}, wanted one")
    channels = {
        name: replace(record.channels[name], axis=axis or name) for axis, (_, name) in zip(axes, wanted, strict=True)
    }
    return replace(record, channels=channels)


def _wanted(record: Record, text: str) -> tuple[str | None, str]:
    """The axis and the channel that a --channel names."""
    axis, equals, name = text.partition("=")
    if not equals or axis not in AXES:
        axis, name = "", text
    by_lower = {known.lower(): known for known in record.channels}
    if name.lower() not in by_lower:
        near = did_you_mean(name, record.channels) if name else ""
        raise Problem(f'{record.name}: found no channel "{name}"{near}; there are {", ".join(record.channels)}')
    found = by_lower[name.lower()]
    return axis or _axis_said(found), found


def _asked(said: Options) -> set[str]:
    """The names in --channel, in lower case."""
    return {(text.partition("=")[2] or text).lower() for text in said.channels}


def _axis_said(name: str) -> str | None:
    match = AXIS_NAME.fullmatch(name)
    return match[1].lower() if match else None


def _checked(record: Record) -> Record:
    for name, wave in record.channels.items():
        what = f"{record.name}: channel {name}"
        if not FS_HZ[0] < wave.fs_hz <= FS_HZ[1]:
            raise NoRecording(f"{what}: found {wave.fs_hz:g} Hz as its sampling rate, wanted above 0 and at most 1 MHz")
        if wave.fs_hz < SLOWEST_HZ:
            raise NoRecording(f"{what}: found values {1 / wave.fs_hz:g} s apart, wanted a waveform above 10 Hz")
        if len(wave.samples) < SHORTEST:
            raise NoRecording(f"{what}: found {len(wave.samples)} samples, wanted {SHORTEST} at least")
        bad = np.flatnonzero(~np.isfinite(wave.samples))
        if bad.size:
            raise NoRecording(
                f"{what}: found {bad.size} of {len(wave.samples)} samples missing or infinite, the first at {bad[0]}, "
                "wanted numbers"
            )
    return record


@dataclass(frozen=True)
class _Named:
    """A name without its unit; `unit` and `factor` None and 1 where it has none, `foreign` where it has another."""

    name: str
    unit: str | None = None
    factor: float = 1.0
    foreign: bool = False


def _named(text: str) -> _Named:
    bracketed = re.fullmatch(r"(.*?)\s*[(\[]\s*([^)\]]*?)\s*[)\]]\s*", text)
    if bracketed:
        known = UNITS.get(bracketed[2].lower())
        return _Named(bracketed[1], *known) if known else _Named(bracketed[1], foreign=True)
    for ending, known in UNITS.items():
        if text.lower().endswith(f"_{ending}"):
            return _Named(text[: -len(ending) - 1], *known)
    foreign = any(text.lower().endswith(f"_{ending}") for ending in OTHER_UNITS)
    return _Named(text, foreign=foreign)


def _floats(values: NDArray[Any]) -> NDArray[Any]:
    """int16 and floats as they are; other integers as the smallest float that holds them without rounding."""
    if values.dtype in (np.int16, np.float32, np.float64):
        return np.ascontiguousarray(values)
    if values.dtype.kind in "iu" and np.abs(values.astype(np.float64)).max(initial=0) <= 2**24:
        return values.astype(np.float32)
    return values.astype(np.float64)


def _fs_hz(path: Path, said: Options, found: float | None, how: str) -> float:
    fs_hz = said.fs_hz if found is None or said.fs_hz is not None else found
    if fs_hz is None:
        raise NoRecording(f"{path.name}: does not say how fast it was sampled, wanted {how} (or give --fs)")
    return fs_hz


# ---- arrays --------------------------------------------------------------------------------------


def _npz(path: Path, said: Options) -> list[Record]:
    found = arrays(path)
    scalars = {name: float(a.reshape(())) for name, a in found.items() if a.size == 1 and a.dtype.kind in "iuf"}
    waves = {name: a for name, a in found.items() if a.size > 1 and a.dtype.kind in "iuf" and name.lower() not in TIMES}
    if not waves:
        raise NoRecording(f"{path.name}: found the arrays {_some(found)}, wanted samples")
    deepest = max(a.ndim for a in waves.values())
    if deepest > 3:
        raise NoRecording(f"{path.name}: found arrays of {deepest} dimensions, wanted samples, channels and snapshots")
    kept = {name: a for name, a in waves.items() if a.ndim == deepest}
    longest = max(max(a.shape) for a in kept.values())
    kept = {name: a for name, a in kept.items() if max(a.shape) == longest or name.lower() in _asked(said)}
    stated = _first(scalars, RATES)
    fs_hz = _fs_hz(path, said, _even_times(path, found, longest) if stated is None else stated, f"a scalar {RATES[0]}")
    speed = _first(scalars, SPEEDS)
    notes = [f"left out {_some(set(waves) - set(kept))}: not samples of this length"] if set(waves) - set(kept) else []
    if deepest < 3:
        return [_of_arrays(path, None, kept, scalars, fs_hz, speed, said, notes)]
    counts = {len(a) for a in kept.values()}
    if len(counts) > 1:
        raise NoRecording(f"{path.name}: found {' and '.join(map(str, sorted(counts)))} snapshots, wanted one number")
    records = []
    for place in _places(path, counts.pop(), said.snapshot):
        flat = {name: a[place] for name, a in kept.items()}
        records.append(_of_arrays(path, f"snapshot {place}", flat, scalars, fs_hz, speed, said, notes))
    return records


def _places(path: Path, count: int, snapshot: int | None) -> Sequence[int]:
    if snapshot is None:
        return range(count)
    if not -count <= snapshot < count:
        raise Problem(f"{path.name}: found {count} snapshots, wanted --snapshot from 0 to {count - 1}, or all")
    return [snapshot % count]


def _of_arrays(
    path: Path,
    part: str | None,
    found: Mapping[str, NDArray[Any]],
    scalars: Mapping[str, float],
    fs_hz: float,
    speed: float | None,
    said: Options,
    notes: Sequence[str],
) -> Record:
    channels: dict[str, Waveform] = {}
    uncalibrated = []
    for key, array in found.items():
        named = _named(key)
        unit, scale, known = _scale(key, named, array, scalars, said)
        if not known:
            uncalibrated.append(key)
        for name, samples in _columns(path, named.name, array, alone=len(found) == 1):
            channels[name] = Waveform(name, _floats(samples), fs_hz, scale, unit)
    return Record(path.name, part, channels, speed, not uncalibrated, (*notes, *_uncalibrated(uncalibrated)))


def _columns(path: Path, name: str, array: NDArray[Any], *, alone: bool) -> list[tuple[str, NDArray[Any]]]:
    """A one-dimensional array as one channel; the columns of a matrix, time along its longer side, as several."""
    if array.ndim == 1:
        return [(name, array)]
    rows = array if array.shape[0] < array.shape[1] else array.T
    if len(rows) > MOST_CHANNELS:
        raise NoRecording(f"{path.name}: found {name} of shape {array.shape}, wanted at most {MOST_CHANNELS} channels")
    names = AXES if alone and len(rows) <= len(AXES) else [f"{name}{i}" for i in range(1, len(rows) + 1)]
    return list(zip(names, rows, strict=False))


def _scale(
    key: str, named: _Named, array: NDArray[Any], scalars: Mapping[str, float], said: Options
) -> tuple[str, float, bool]:
    """Unit and scale of an array, and whether anybody knows them: its own scale, its name, the user; floats are g."""
    unit, factor = UNITS[said.unit] if said.unit else (named.unit or "g", named.factor)
    if (own := scalars.get(f"{key}_scale")) is not None:
        return unit, own * factor, True
    if array.dtype.kind == "f" or named.unit or said.unit:
        return unit, factor, True
    return "g", (said.scale_g or 1.0) / (float(np.iinfo(array.dtype).max) + 1), said.scale_g is not None


def _uncalibrated(names: Iterable[str]) -> list[str]:
    of = ", ".join(names)
    if not of:
        return []
    return [f"{of}: no scale is known; full scale is taken as 1 g, so that only ratios mean something (--scale-g)"]


def _first(values: Mapping[str, float], names: Iterable[str]) -> float | None:
    by_lower = {name.lower(): value for name, value in values.items()}
    return next((by_lower[name] for name in names if name in by_lower), None)


def _even_times(path: Path, found: Mapping[str, NDArray[Any]], length: int) -> float | None:
    """The rate that an array of sample times gives, where there is one as long as the samples."""
    for name, array in found.items():
        if name.lower() in TIMES and array.shape == (length,):
            return even_fs_hz(path, name, seconds(pa.chunked_array([array.astype(np.float64)]), path, name))[0]
    return None


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:8]) + (", …" if len(listed) > 8 else "")


# ---- sound ---------------------------------------------------------------------------------------


def _wav(path: Path, said: Options) -> list[Record]:
    heard = sound(path)
    count = heard.samples.shape[1]
    names = AXES if count <= len(AXES) else [f"ch{i}" for i in range(1, count + 1)]
    scale, fs_hz = (said.scale_g or 1.0) / heard.full_scale, said.fs_hz or heard.fs_hz
    unit, factor = UNITS[said.unit] if said.unit and said.scale_g is None else ("g", 1.0)
    channels = {
        name: Waveform(name, np.ascontiguousarray(samples), fs_hz, scale * factor, unit)
        for name, samples in zip(names, heard.samples.T, strict=False)
    }
    known = said.scale_g is not None or (said.unit is not None and heard.full_scale == 1.0)
    return [Record(path.name, None, channels, None, known, tuple(_uncalibrated([] if known else ["sound"])))]


# ---- tables --------------------------------------------------------------------------------------


def _table(path: Path, said: Options) -> list[Record]:
    found = table(path)
    if set(found.column_names) >= LAKE:
        return of_lake(path.name, found, said)
    if not len(found):
        raise NoRecording(f"{path.name}: the table has no rows")
    values = {name: read for name in found.column_names if (read := numbers(found[name])) is not None}
    time = _time_column(path, found.column_names, values, said)
    fs_hz, notes = _rate(path, found, time, said)
    speed_column = next((name for name in values if name.lower() in SPEEDS), None)
    channels: dict[str, Waveform] = {}
    left, unitless = [], []
    asked = _asked(said)
    for name, column in values.items():
        named = _named(name)
        if name in (time, speed_column) or np.isnan(column).all():
            continue
        if not asked & {name.lower(), named.name.lower()} and (named.foreign or _counts(name, column)):
            left.append(name)
            continue
        unit, factor = UNITS[said.unit] if said.unit else (named.unit or "g", named.factor)
        unitless += [] if named.unit or said.unit else [name]
        channels[named.name] = Waveform(named.name, _floats(column), fs_hz or 0.0, factor, unit)
    if not channels:
        raise NoRecording(f"{path.name}: found the columns {_some(found.column_names)}, wanted one of acceleration")
    rate = _fs_hz(path, said, fs_hz, "a column of sample times such as t_s")
    channels = {name: replace(wave, fs_hz=rate) for name, wave in channels.items()}
    notes += [f"no unit is given for {_some(unitless)}: taken as g (--unit)"] if unitless else []
    notes += [f"not acceleration, left out: {_some(left)}"] if left else []
    speed, more = _speed(values.get(speed_column) if speed_column else None)
    return [Record(path.name, None, channels, speed, notes=(*notes, *more))]


def _rate(path: Path, found: pa.Table, time: str | None, said: Options) -> tuple[float | None, list[str]]:
    """The rate that the column of times gives, unless the user says another."""
    if time is None or said.fs_hz is not None:
        return None, []
    return even_fs_hz(path, time, seconds(found[time], path, time))


def _time_column(
    path: Path, columns: Sequence[str], values: Mapping[str, NDArray[np.float64]], said: Options
) -> str | None:
    if said.time is not None:
        if said.time not in columns:
            raise Problem(f'{path.name}: found no column "{said.time}"; there are {", ".join(columns)}')
        return said.time
    named = next((name for name in columns if name.lower() in TIMES or _named(name).name.lower() in TIMES), None)
    if named is not None or list(columns) != [str(i) for i in range(1, len(columns) + 1)]:
        return named
    first = values.get("1")  # of a table without a header
    if first is None or len(values) < 2 or len(first) < 3 or not np.isfinite(first).all():
        return None
    steps = np.diff(first)
    rises_evenly = steps.min() > 0 and np.ptp(steps) < EVEN * steps.mean() and steps.mean() < 1 / SLOWEST_HZ
    return "1" if rises_evenly else None


def _counts(name: str, column: NDArray[np.float64]) -> bool:
    """Whether a column only counts the rows."""
    return name.lower() in COUNTERS and bool((np.diff(column) == 1).all())


def _speed(column: NDArray[np.float64] | None) -> tuple[float | None, list[str]]:
    if column is None or not np.isfinite(column).any():
        return None, []
    speed, low, high = (float(f(column)) for f in (np.nanmean, np.nanmin, np.nanmax))
    varies = high - low > 0.01 * abs(speed)
    return speed, [f"the speed varies from {low:g} to {high:g} r/min: its mean is taken"] if varies else []


def even_fs_hz(path: Path, name: str, t_s: NDArray[np.float64]) -> tuple[float, list[str]]:
    """The sampling rate of evenly spaced times, and a note where they jitter.

    A whole number where the rounding of the times allows it. NoRecording where a time is half an interval or more off
    an even clock.
    """
    span = float(t_s[-1] - t_s[0]) if len(t_s) > 1 else 0.0
    if span <= 0:
        raise NoRecording(f"{path.name}: the times in {name} do not rise, wanted evenly spaced ones")
    fs_hz = (len(t_s) - 1) / span
    off = np.abs((t_s - t_s[0]) * fs_hz - np.arange(len(t_s)))
    worst = int(off.argmax())
    if off[worst] >= EVEN:
        steps = np.diff(t_s)
        at = int(np.abs(steps - np.median(steps)).argmax())
        raise NoRecording(
            f"{path.name}: the times in {name} are not evenly spaced: found {steps[at]:g} s after row {at + 1}, "
            f"{float(np.median(steps)):g} s elsewhere (--fs takes them as even)"
        )
    uncertain = fs_hz * max(1e-9, 2 * float(off[worst]) / len(t_s))
    if abs(fs_hz - round(fs_hz)) <= uncertain:
        fs_hz = float(round(fs_hz))
    jitters = off[worst] > JITTER
    return fs_hz, [f"the times in {name} jitter by {off[worst]:.0%} of an interval"] if jitters else []


def of_lake(file: str, found: pa.Table, said: Options) -> list[Record]:
    """The captures of rows of the lake's table `waveforms`, in the order they come."""
    captures: dict[str, dict[str, Waveform]] = {}
    for row in range(len(found)):
        one = {name: found[name][row] for name in LAKE}
        samples = one.pop("samples")
        axis, scale, unit, fs_hz, capture_id = (
            one[n].as_py() for n in ("axis", "scale", "unit", "fs_hz", "capture_id")
        )
        counts = np.asarray(samples.values.to_numpy(zero_copy_only=False))
        wave = Waveform(axis, counts.astype(np.int16), said.fs_hz or fs_hz, scale, unit)
        captures.setdefault(capture_id, {})[axis] = wave
    if not captures:
        raise NoRecording(f"{file}: found no rows, wanted captures")
    return [Record(file, capture_id, dict(sorted(waves.items()))) for capture_id, waves in captures.items()]
