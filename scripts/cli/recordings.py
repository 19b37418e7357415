"""Recordings as captures: run-to-failure waveforms (.npz), tables (.parquet, .csv) and sound files (.wav).

Nothing is invented: a value for which the wire format has no field is sent as a tag under a name that
carries its unit, what cannot be sent is named in `notes`, and a waveform that does not fit int16
without rounding says so.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from telltale.core.bearings import CATALOGUE
from telltale.core.capture import AXES, Capture, Waveform
from telltale.core.plant import Position
from telltale.core.validate import SAMPLES, TAGS

from cli.problem import Problem
from cli.readers import NoRecording, arrays, numbers, seconds, sound, table

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
    found = arrays(path)
    missing = FEMTO_KEYS - set(found)
    if missing:
        raise NoRecording(
            f"{path.name}: found the arrays {', '.join(found)}, "
            f"wanted also {', '.join(sorted(missing))} (acc_mg of shape snapshots, samples, axes)"
        )
    acc, t_s, speed = found["acc_mg"], found["t_s"].astype(np.float64), float(found["rpm"])
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
        fs_hz=float(found["fs"]),
        speed_rpm=speed,
        load_n=float(found["load_N"]),
        temperature_c=_temperature_at(t_s, found),
    )


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
    found = table(path)
    absent = sorted(set(options.columns or {}) - set(found.column_names))
    if absent:
        raise NoRecording(
            f"{path.name}: --map: found the columns {', '.join(found.column_names[:12])}, wanted also "
            f"{', '.join(absent)}"
        )
    time_column = _time_column(path, found.column_names, options.time)
    t_s = seconds(found[time_column], path, time_column)
    order = np.argsort(t_s, kind="stable")
    ims = IMS_MARK in found.column_names
    values, left_out = {}, []
    for column in found.column_names:
        if column == time_column or (ims and column == "idx"):
            continue
        read = numbers(found[column])
        if read is None:
            left_out.append(column)
        else:
            values[_field_of(column, options.columns or {}, ims=ims)] = read[order]
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
    heard = sound(path)
    channels, samples = heard.samples.shape[1], heard.samples
    if heard.bits != 16 or channels > len(AXES):
        raise NoRecording(f"{path.name}: found {heard.bits} bits and {channels} channels, wanted 16 bits and 1 to 3")
    per_capture = min(max(1, round(heard.fs_hz * options.seconds)), SAMPLES, max(1, len(samples)))
    count = len(samples) // per_capture
    if not count:
        raise NoRecording(f"{path.name}: the file has no samples")
    left = len(samples) - count * per_capture
    notes = [f"the last {left} samples do not fill a capture and are not sent"] if left else []
    return Wav(
        meta=_meta(path, "wav", Position(id="", interval_s=per_capture / heard.fs_hz), notes),
        offsets_ms=np.arange(count, dtype=np.int64) * per_capture * 1000 // int(heard.fs_hz),
        samples=samples,
        per_capture=per_capture,
        fs_hz=heard.fs_hz,
        scale_g=options.scale_g / heard.full_scale,
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
