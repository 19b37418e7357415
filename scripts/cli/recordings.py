"""Recordings as captures: run-to-failure waveforms (.npz), tables (.parquet, .csv) and sound files (.wav).

Nothing is invented: a value for which the wire format has no field is sent as a tag under a name that
carries its unit, what cannot be sent is named in `notes`, and a waveform that does not fit int16
without rounding says so.
"""

import re
import wave
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray
from telltale.core.bearings import CATALOGUE
from telltale.core.capture import AXES, Capture, Waveform
from telltale.core.plant import Position
from telltale.core.validate import SAMPLES, TAGS

from cli.problem import Problem

SITE = "replay"
INT16_MAX = 32_767
G_PER_MG = 0.001

FEMTO_KEYS = {"acc_mg", "t_s", "fs", "rpm", "load_N"}
FEMTO_AXES = ("x", "y")  # horizontal, vertical
TEMPERATURE_WITHIN_S = 10.0  # a snapshot takes the temperature measured nearest to it, at most one interval away

IMS_RPM = 2000.0  # readme of the IMS archive
IMS_MARK = "ch1_env_bpfo_energy"  # a column that only those tables have
IMS_UNITS: tuple[tuple[str, str], ...] = (  # ending of a column → what its tag's name gets
    ("_psd_mean", "_g2_hz"),
    ("_psd_std", "_g2_hz"),
    ("_bpfo_energy", "_g2_hz"),
    ("_bpfi_energy", "_g2_hz"),
    ("_bsf_energy", "_g2_hz"),
    ("_energy", "_g2"),
    ("_mean_abs", "_g"),
    ("_rms", "_g"),
    ("_mean", "_g"),
    ("_std", "_g"),
    ("_max", "_g"),
)

TIME_COLUMNS = ("timestamp", "t", "time", "t_ms", "time_s")
VELOCITY = re.compile(r"velocity_rms_([xyz])_mm_s")
SCALARS = ("temperature_c", "speed_rpm", "battery_pct", "rssi_dbm")
FIELDS = (*SCALARS, *(f"velocity_rms_{axis}_mm_s" for axis in AXES))


class NoRecording(Problem):
    """The file is none of the recordings that can be replayed."""


@dataclass(frozen=True)
class Meta:
    """What a recording is called, where it belongs, and what about it is not sent as it was recorded."""

    file: Path
    position: Position
    sensor: str
    notes: tuple[str, ...] = ()


class Recording(Protocol):
    """One sensor's recording: captures in time order, made as they are asked for."""

    @property
    def meta(self) -> Meta: ...

    @property
    def offsets_ms(self) -> NDArray[np.int64]:
        """Time of each capture after the first, shape (n,), rising."""
        ...

    def capture(self, index: int, *, sensor: str, t_ms: int) -> Capture: ...


@dataclass(frozen=True)
class Options:
    """What the user says about a file that does not say it itself."""

    scale_g: float | None = None  # of a WAV file: acceleration in g at full scale
    seconds: float = 1.0  # length of the captures a WAV file is cut into
    columns: Mapping[str, str] | None = None  # of a table: column → field of the wire format
    time: str | None = None  # of a table: the column of sample times


def open_recording(path: Path, options: Options) -> Recording:
    """The recording in a file; NoRecording when it is none, Problem when it is one that cannot be sent."""
    readers = {".npz": _femto, ".parquet": _table, ".csv": _table, ".wav": _wav}
    if path.suffix.lower() not in readers:
        raise NoRecording(f"{path.name}: found {path.suffix or 'no ending'}, wanted one of {', '.join(readers)}")
    if not path.exists():
        raise NoRecording(f"there is no file {path}")
    return readers[path.suffix.lower()](path, options)


def _meta(path: Path, family: str, position: Position, notes: list[str]) -> Meta:
    name = re.sub(r"[^A-Za-z0-9_.:-]", "_", path.stem)[:48]  # of 64, so that the sensor's id fits too
    made = replace(position, id=f"{SITE}/{family}/{name}/housing", name="housing", asset_name=path.stem)
    return Meta(path, made, f"{family}-{name}", tuple(notes))


def _capture(sensor: str, t_ms: int, **given: Any) -> Capture:
    """A capture with its part named: axes in order, then s for scalars."""
    scalars = any(given.get(key) for key in ("velocity_rms_mm_s", "tags")) or any(
        given.get(key) is not None for key in ("temperature_c", "speed_rpm")
    )
    part = "".join(wave.axis for wave in given.get("waveforms", ())) + ("s" if scalars else "")
    return Capture(capture_id=f"{sensor}@{t_ms}", part=part or "s", sensor=sensor, t_ms=t_ms, **given)


# ---- waveforms in npz ----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Femto:
    """A PRONOSTIA run to failure: 0.1 s of two axes every 10 s, in whole 0.001 g."""

    meta: Meta
    offsets_ms: NDArray[np.int64]
    acc_mg: NDArray[Any]  # shape (captures, samples, axes)
    fs_hz: float
    speed_rpm: float
    load_n: float
    temperature_c: NDArray[np.float64]  # shape (captures,), NaN where none was measured

    def capture(self, index: int, *, sensor: str, t_ms: int) -> Capture:
        temperature = float(self.temperature_c[index])
        waves = []
        for axis, counts in zip(FEMTO_AXES, self.acc_mg[index].T, strict=True):
            samples, step, _ = fit_int16(counts)
            waves.append(Waveform(axis, samples, self.fs_hz, step * G_PER_MG, "g"))
        return _capture(
            sensor,
            t_ms,
            waveforms=tuple(waves),
            temperature_c=None if np.isnan(temperature) else round(temperature, 2),
            speed_rpm=self.speed_rpm,
            tags={"load_n": self.load_n},
        )


def fit_int16(counts: NDArray[Any]) -> tuple[NDArray[np.int16], int, bool]:
    """Integers as int16 times a whole step, and whether that is exact; the step is the smallest that fits."""
    peak = int(np.abs(counts.astype(np.int64)).max(initial=0))
    if peak <= INT16_MAX:
        return counts.astype(np.int16), 1, True
    common = int(np.gcd.reduce(counts.astype(np.int64)))
    if peak // common <= INT16_MAX:
        return (counts // common).astype(np.int16), common, True
    step = -(-peak // INT16_MAX)  # rounded up
    return np.rint(counts / step).astype(np.int16), step, False


def _femto(path: Path, _: Options) -> Recording:
    arrays = _arrays(path)
    missing = FEMTO_KEYS - set(arrays)
    if missing:
        raise NoRecording(
            f"{path.name}: found the arrays {', '.join(arrays)}, "
            f"wanted also {', '.join(sorted(missing))} (acc_mg of shape snapshots, samples, axes)"
        )
    acc, t_s, speed = arrays["acc_mg"], arrays["t_s"].astype(np.float64), float(arrays["rpm"])
    if acc.ndim != 3 or acc.shape[2] != len(FEMTO_AXES) or len(acc) != len(t_s) or not len(t_s):
        raise NoRecording(
            f"{path.name}: found acc_mg of shape {acc.shape} and {len(t_s)} times, wanted (n, m, 2) and n"
        )
    fits = [(i, *fit_int16(axis)[1:]) for i, snapshot in enumerate(acc) for axis in snapshot.T]
    rounded = {i: step for i, step, exact in fits if not exact}
    notes = []
    if rounded:
        notes.append(
            f"{len(rounded)} of {len(acc)} snapshots have peaks beyond {INT16_MAX * G_PER_MG:g} g, which int16 "
            f"cannot hold at 0.001 g: there the axis is rounded to {max(rounded.values()) * G_PER_MG:g} g; "
            "all others are exact"
        )
    position = Position(
        id="",
        type="Bearing",
        speed_rpm=speed,
        bearing=CATALOGUE["PRONOSTIA"],
        interval_s=_typical_s(t_s),
        machine_class=None,
    )
    return Femto(
        meta=_meta(path, "femto", position, notes),
        offsets_ms=_offsets_ms(t_s, path),
        acc_mg=acc,
        fs_hz=float(arrays["fs"]),
        speed_rpm=speed,
        load_n=float(arrays["load_N"]),
        temperature_c=_temperature_at(t_s, arrays),
    )


def _arrays(path: Path) -> Mapping[str, NDArray[Any]]:
    try:
        with path.open("rb") as file, np.load(file) as data:
            return {name: data[name] for name in data.files}
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError) as error:
        raise NoRecording(f"{path.name}: damaged, or no archive of arrays: {error}") from error


def _temperature_at(t_s: NDArray[np.float64], arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """The temperature measured nearest to each of `t_s`, NaN where none is near."""
    measured_s = arrays.get("temp_t_s")
    if measured_s is None or not len(measured_s):
        return np.full(len(t_s), np.nan)
    right = np.clip(np.searchsorted(measured_s, t_s), 1, max(1, len(measured_s) - 1))
    right = np.minimum(right, len(measured_s) - 1)
    left = np.maximum(right - 1, 0)
    nearest = np.where(np.abs(measured_s[left] - t_s) <= np.abs(measured_s[right] - t_s), left, right)
    near = np.abs(measured_s[nearest] - t_s) <= TEMPERATURE_WITHIN_S
    return np.where(near, arrays["temp_C"][nearest].astype(np.float64), np.nan)


# ---- tables --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Table:
    """One row is one capture without waveforms; a missing value is left out of its capture."""

    meta: Meta
    offsets_ms: NDArray[np.int64]
    values: Mapping[str, NDArray[np.float64]]  # field or tag → shape (captures,), NaN where missing

    def capture(self, index: int, *, sensor: str, t_ms: int) -> Capture:
        row = {name: float(column[index]) for name, column in self.values.items() if np.isfinite(column[index])}
        scalars = {name: row.pop(name) for name in SCALARS if name in row}
        velocity = {axis: row.pop(name) for axis in AXES if (name := f"velocity_rms_{axis}_mm_s") in row}
        return _capture(sensor, t_ms, **scalars, velocity_rms_mm_s=velocity, tags=row)


def _table(path: Path, options: Options) -> Recording:
    try:
        table = pa.csv.read_csv(path) if path.suffix.lower() == ".csv" else pa.parquet.read_table(path)
    except pa.ArrowInvalid as error:
        raise NoRecording(f"{path.name}: not a table: {error}") from error
    absent = sorted(set(options.columns or {}) - set(table.column_names))
    if absent:
        raise NoRecording(
            f"{path.name}: --map: found the columns {', '.join(table.column_names[:12])}, wanted also "
            f"{', '.join(absent)}"
        )
    time_column = _time_column(path, table.column_names, options.time)
    t_s = _seconds(table[time_column], path, time_column)
    order = np.argsort(t_s, kind="stable")
    ims = IMS_MARK in table.column_names
    values, left_out = {}, []
    for column in table.column_names:
        if column == time_column or (ims and column == "idx"):
            continue
        numbers = _numbers(table[column])
        if numbers is None:
            left_out.append(column)
        else:
            values[_field_of(column, options.columns or {}, ims=ims)] = numbers[order]
    tags = [name for name in values if name not in FIELDS]
    if len(tags) > TAGS:
        raise Problem(f"{path.name}: {len(tags)} columns would go as tags, wanted at most {TAGS}")
    if not values:
        raise NoRecording(f"{path.name}: found no column of numbers beside {time_column}")
    notes = [f"not numbers, left out: {', '.join(left_out)}"] if left_out else []
    if tags:
        notes.append(
            f"the wire format has no field for {len(tags)} columns: they go as tags "
            f"({', '.join(tags[:3])}{', …' if len(tags) > 3 else ''}), stored as readings and not judged by any rule"
        )
    rig = Position(id="", type="Bearing", speed_rpm=IMS_RPM, bearing=CATALOGUE["ZA-2115"]) if ims else Position(id="")
    position = replace(rig, interval_s=_typical_s(t_s[order]))
    return Table(_meta(path, "ims" if ims else "table", position, notes), _offsets_ms(t_s[order], path), values)


def _field_of(column: str, columns: Mapping[str, str], *, ims: bool) -> str:
    """The field or tag that a column is sent as."""
    if column in columns:
        return columns[column]
    if not ims:
        return re.sub(r"[^A-Za-z0-9_.:-]", "_", column)[:64]
    return column + next((unit for ending, unit in IMS_UNITS if column.endswith(ending)), "")


def _time_column(path: Path, columns: list[str], chosen: str | None) -> str:
    candidates = TIME_COLUMNS if chosen is None else (chosen,)
    for candidate in candidates:
        if candidate in columns:
            return candidate
    raise NoRecording(
        f"{path.name}: found the columns {', '.join(columns[:12])}, "
        f"wanted sample times in one of {', '.join(candidates)} (or name it with --time)"
    )


def _seconds(column: pa.ChunkedArray, path: Path, name: str) -> NDArray[np.float64]:
    """Sample times in seconds: from timestamps, RFC 3339 text, epoch ms (`t_ms` or large), or seconds."""
    if column.null_count:
        raise Problem(f"{path.name}: {column.null_count} rows have no {name}")
    if pa.types.is_timestamp(column.type):
        return np.asarray(pa.compute.cast(column, pa.timestamp("ms"), safe=False).to_numpy(), dtype=np.int64) / 1000.0
    if pa.types.is_string(column.type):
        return np.array([_instant_s(text, path, name) for text in column.to_pylist()])
    numbers = _numbers(column)
    if numbers is None:
        raise Problem(f"{path.name}: found {column.type} in {name}, wanted times")
    return numbers / 1000 if name == "t_ms" or np.abs(numbers).max(initial=0) > 1e11 else numbers  # 1e11 s: year 5138


def _instant_s(text: str, path: Path, name: str) -> float:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise Problem(f'{path.name}: found "{text}" in {name}, wanted a time such as 2026-03-01T14:30:00Z') from error
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64] | None:
    """A column as floats, NaN where null; None when it holds something else."""
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        return None
    filled = pa.compute.fill_null(pa.compute.cast(column, pa.float64()), float("nan"))
    return np.asarray(filled.to_numpy(), dtype=np.float64)


# ---- sound files ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Wav:
    """16-bit PCM, up to three channels as x, y, z, cut into captures that follow one another."""

    meta: Meta
    offsets_ms: NDArray[np.int64]
    samples: NDArray[np.int16]  # shape (frames, channels)
    per_capture: int
    fs_hz: float
    scale_g: float  # of one count

    def capture(self, index: int, *, sensor: str, t_ms: int) -> Capture:
        part = self.samples[index * self.per_capture : (index + 1) * self.per_capture]
        waves = tuple(
            Waveform(axis, np.ascontiguousarray(channel), self.fs_hz, self.scale_g, "g")
            for axis, channel in zip(AXES, part.T, strict=False)
        )
        return _capture(sensor, t_ms, waveforms=waves)


def _wav(path: Path, options: Options) -> Recording:
    if options.scale_g is None:
        raise Problem(
            f"{path.name} does not say what its numbers mean", "Give --scale: the acceleration in g at full scale."
        )
    try:
        with wave.open(str(path)) as sound:
            channels, width, fs, frames = (
                sound.getnchannels(),
                sound.getsampwidth(),
                sound.getframerate(),
                sound.getnframes(),
            )
            raw = sound.readframes(frames)
    except (wave.Error, EOFError) as error:
        raise NoRecording(f"{path.name}: not a PCM sound file: {error}") from error
    if width != 2 or channels > len(AXES):
        raise NoRecording(f"{path.name}: found {8 * width} bits and {channels} channels, wanted 16 bits and 1 to 3")
    samples = np.frombuffer(raw, "<i2").reshape(-1, channels)
    per_capture = min(max(1, round(fs * options.seconds)), SAMPLES, max(1, len(samples)))
    count = len(samples) // per_capture
    if not count:
        raise NoRecording(f"{path.name}: the file has no samples")
    left = len(samples) - count * per_capture
    notes = [f"the last {left} samples do not fill a capture and are not sent"] if left else []
    return Wav(
        meta=_meta(path, "wav", Position(id="", interval_s=per_capture / fs), notes),
        offsets_ms=np.arange(count, dtype=np.int64) * per_capture * 1000 // fs,
        samples=samples,
        per_capture=per_capture,
        fs_hz=float(fs),
        scale_g=options.scale_g / -float(np.iinfo(np.int16).min),
    )


# ---- times ---------------------------------------------------------------------------------------


def _offsets_ms(t_s: NDArray[np.float64], path: Path) -> NDArray[np.int64]:
    """Milliseconds after the first; Problem unless every sample is later than the one before."""
    offsets = np.rint((t_s - t_s[0]) * 1000).astype(np.int64)
    same = np.flatnonzero(np.diff(offsets) <= 0)
    if same.size:
        raise Problem(f"{path.name}: samples {same[0]} and {same[0] + 1} have the same time, wanted one row a time")
    return offsets


def _typical_s(t_s: NDArray[np.float64]) -> float:
    """The usual interval between samples; an hour for a single one."""
    return float(np.median(np.diff(t_s))) if len(t_s) > 1 else 3600.0
