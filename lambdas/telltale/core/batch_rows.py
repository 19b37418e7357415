"""Rows and positions as numbers, for core.batch: what rows say by themselves, before any state is asked.

A row is plain as long as nothing in it needs words or judgement that core.batch has not: see `Facts.by_hand`. Where
numpy's logarithm could differ from Python's the doubtful row is not plain.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import chain
from math import inf, log, nan

import numpy as np
from numpy.typing import NDArray

from telltale.core import baseline, limits, modes, sensor
from telltale.core.baseline import INDICATORS, REFERENCES
from telltale.core.judgement import AXES, Row
from telltale.core.limits import SLOW_VELOCITY, VELOCITY
from telltale.core.plant import Limits, Position
from telltale.core.settings import DEFAULTS, Settings, settings_of
from telltale.core.sheet import Line

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

NAMES = (
    *(*INDICATORS, *REFERENCES, SLOW_VELOCITY, "env_low_hz", "env_high_hz"),
    *("crest", "clipped_share", "drift_g", "count_g"),
)
AT = {name: place for place, name in enumerate(NAMES)}
LARGEST = 1e30  # float32 overflows beyond 3e38, which is for `detect` to refuse
NEAR = 1e-9  # in ln: far more than numpy's logarithm and Python's differ by
A_CHUNK = 768  # axes that are read in one go: their lists stay in the processor's cache

_AXES = frozenset(AXES)
_BLANK = [None] * len(NAMES)
# What a plain row may have besides: `detect` does not look at it, or looks at it here too.
_ROW = frozenset({"capture_id", "part", "t_ms", "received_ms", "sensor", "speed_rpm", "temperature_c", "axes"})
_ROW |= {"tags", "battery_pct", "rssi_dbm"}
_OTHERS = tuple((one.name, one.default) for one in fields(Row) if one.name not in _ROW)
_SETTINGS = frozenset({"warmup", "sigmas", "growth", "alarm_score", "significant", "memory", "clear", "sensor_normal"})
_SETTINGS |= {f"{name}_{letter}" for name in ("warning", "alarm", "sensor") for letter in "nm"}
_OTHER_SETTINGS = tuple(one.name for one in fields(Settings) if one.name not in _SETTINGS)


# ---- positions -----------------------------------------------------------------------------------

_OF_POSITION = ("speed_rpm", "running_above_rpm", "running_above_g", "declared", "fleet")
CONSTANTS = (
    *("warmup", "wanted", "sigmas", "growth_ln", "alarm_score", "drift_ln", "memory", "clear"),
    *("warning_n", "warning_m", "alarm_n", "alarm_m", "sensor_n", "sensor_m", "sensor_normal"),
    *("own_warning", "own_alarm", "b_c", "c_d", "hot_warning", "hot_alarm", "zoned", "speed_decides"),
    *("reach_ln", "reach"),
    *_OF_POSITION,
)


def constants(position: Position) -> tuple[float, ...] | None:
    """The position as numbers, in the order of CONSTANTS; NaN is "not set". None: it is for `detect` alone.

    hot_warning, hot_alarm : of the temperature, as they count.   zoned : its velocity is judged.   speed_decides : were
    the shaft slow, another velocity would count.   declared : the directions of its axes are.   reach_ln, reach : of an
    operating mode, in speed and as a share of the load.   fleet : machines alike are known.
    """
    if position.modes:
        return None
    judged = _judged_by(position.limits, position.machine_class, tuple(position.settings.items()))
    own = position.speed_rpm, position.running_above_rpm, position.running_above_g
    return judged and (*judged, *_set(*own), float(bool(position.directions)), float(bool(position.fleet)))


@lru_cache(maxsize=1024)
def _judged_by(
    own: Limits, machine_class: str | None, overrides: tuple[tuple[str, float], ...]
) -> tuple[float, ...] | None:
    """The first of them. Many positions share them, and few change from batch to batch."""
    try:
        settings = settings_of(dict(overrides))
        iso = limits.profile(machine_class) if machine_class is not None else None
    except ValueError:
        return None
    velocity = _set(own.velocity_warning_mm_s, own.velocity_alarm_mm_s)
    hot = _set(own.temperature_warning_c, own.temperature_alarm_c)
    plain = all(getattr(settings, name) == getattr(DEFAULTS, name) for name in _OTHER_SETTINGS)
    if not plain or not all(one != one or 1e-6 < one < 1e6 for one in (*velocity, *hot)):
        return None
    limited = any(one == one for one in velocity)
    hot_warning = min((one for one in hot if one == one), default=nan)
    hot_alarm = max(hot_warning, hot[1]) if hot[1] == hot[1] else hot_warning + inf
    found = {
        **{name: getattr(settings, name) for name in _SETTINGS},
        "wanted": min(settings.warmup, baseline.MOST_REFERENCE_ROWS),
        "growth_ln": log(settings.growth),
        "drift_ln": log(1 + settings.significant),
        "own_warning": velocity[0],
        "own_alarm": velocity[1],
        "b_c": iso.b_c if iso else nan,
        "c_d": iso.c_d if iso else nan,
        "hot_warning": hot_warning,
        "hot_alarm": hot_alarm,
        "zoned": limited or iso is not None,
        "speed_decides": iso is not None and not limited and iso.slow_band,
        "reach_ln": max(log(1 + settings.significant) / 2, modes.SMALLEST_REACH) - NEAR,
        "reach": settings.significant - NEAR,
    }
    return tuple(float(found[name]) for name in CONSTANTS[: -len(_OF_POSITION)])


def _set(*given: float | None) -> tuple[float, ...]:
    return tuple(nan if one is None else one for one in given)


# ---- rows ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows as arrays with the row as last axis; what is missing is NaN.

    heard : (4, m), the axes and the temperature.   heard_by : the sensor, as modes.checksum.   values : (NAMES, 3, m).
    logarithms : (3, 8, m), of the baseline's indicators.   strange : has values that are not finite, or are beyond
    LARGEST, or something unknown.
    """

    t_ms: Ints
    heard: Bools
    heard_by: Ints
    speed_rpm: Floats
    temperature_c: Floats
    values: Floats
    logarithms: Floats
    strange: Bools

    def value(self, name: str) -> Floats:
        """Of shape (3, m)."""
        return np.asarray(self.values[AT[name]])


def rows_of(given: Sequence[Row]) -> Rows:
    """The rows as numbers."""
    axes = [row.axes.get(axis) for row in given for axis in AXES]
    parts = [_values(axes[at : at + A_CHUNK]) for at in range(0, max(len(axes), 1), A_CHUNK)]
    values = np.concatenate([part for part, _ in parts]).reshape(len(given), len(AXES), len(NAMES))
    odd = np.concatenate([part for _, part in parts]).reshape(len(given), len(AXES)).any(axis=1)
    scalars = list(chain.from_iterable((row.speed_rpm, row.temperature_c) for row in given))
    outer, odd_outside = _table(scalars, 2)
    strange = odd | odd_outside | np.array([_has_more(row) for row in given], np.bool_)
    heard = [*(axis is not None for axis in axes)]
    channels = np.array([*heard, *(row.temperature_c is not None for row in given)], np.bool_)
    by_axis, by_temperature = channels[: len(heard)].reshape(-1, len(AXES)).T, channels[len(heard) :]
    t_ms = np.array([row.t_ms for row in given], np.int64)
    heard_by = np.array([modes.checksum(row.sensor) if row.sensor else 0 for row in given], np.int64)
    speed, celsius = outer.T
    last = np.ascontiguousarray(values.transpose(2, 1, 0))
    return Rows(t_ms, np.vstack([by_axis, by_temperature]), heard_by, speed, celsius, last, _logarithms(last), strange)


def _values(axes: Sequence[Mapping[str, float | None] | None]) -> tuple[Floats, Bools]:
    """Of shape (axes, NAMES), NaN where a value is missing; and which axes have some that no plain row has."""
    if all(axis is None or isinstance(axis, Line) for axis in axes):
        return _of_sheets(axes)
    flat: list[float | None] = []
    for axis in axes:
        flat += _BLANK if axis is None else map(axis.get, NAMES)
    return _table(flat, len(NAMES))


def _of_sheets(axes: Sequence[object]) -> tuple[Floats, Bools]:
    """The same of lines of sheets; what is none is missing."""
    lines = {place: axis for place, axis in enumerate(axes) if isinstance(axis, Line)}
    of_sheet: dict[int, list[int]] = {}
    for place, line in lines.items():
        of_sheet.setdefault(id(line.sheet), []).append(place)
    values = np.full((len(axes), len(NAMES)), nan)
    for places in of_sheet.values():
        values[places] = lines[places[0]].sheet.columns(NAMES)[[lines[place].at for place in places]]
    return values, np.asarray((np.abs(values) > LARGEST).any(axis=1))


def _table(given: Sequence[float | None], columns: int) -> tuple[Floats, Bools]:
    """The values, NaN for None, and which rows have some that are not finite or too large."""
    table = np.array(given, np.float64)
    odd = np.asarray(np.abs(table) > LARGEST)
    odd[[place for place in np.flatnonzero(np.isnan(table)).tolist() if given[place] is not None]] = True
    return table.reshape(-1, columns), np.asarray(odd.reshape(-1, columns).any(axis=1))


def _has_more(row: Row) -> bool:
    return not row.axes.keys() <= _AXES or any(getattr(row, name) is not default for name, default in _OTHERS)


def _logarithms(values: Floats) -> Floats:
    judged = values[: len(INDICATORS)].transpose(1, 0, 2)
    found = np.full(judged.shape, nan)
    usable = (judged > 0) & (judged < inf)
    found[usable] = list(map(log, judged[usable].tolist()))
    return found


# ---- what they say by themselves -----------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Facts:
    """What rows say, given their positions; the row is the last axis, the axis of the sensor the first.

    load : by the tag that says it; NaN: not known.   band : Hz with float32's digits, low and high; NaN: not known.
    high : ln of the envelope's level and of the band from 5 kHz, -inf at or below zero.   rocks : velocity below 10 Hz
    is that of a loose mount.   slow_mm_s : velocity that would count if the shaft were slow, which nobody knows; else
    NaN.   by_hand : the row is not plain.
    """

    off: Bools
    load: Floats
    assessable: Bools
    band: Floats
    high: Floats
    rocks: Bools
    slow_mm_s: Floats
    by_hand: Bools


def facts(rows: Rows, own: Mapping[str, Floats], given: Sequence[Row], positions: Sequence[Position]) -> Facts:
    """own : constants of each row's position.   given, positions : the rows and their positions as values."""
    rms, velocity, wide = (rows.value(name) for name in ("rms_g", VELOCITY, SLOW_VELOCITY))
    speed = np.where(np.isnan(rows.speed_rpm), own["speed_rpm"], rows.speed_rpm)
    off = (rows.speed_rpm < own["running_above_rpm"]) | (np.fmax.reduce(rms, axis=0) < own["running_above_g"])
    low = np.sqrt(np.maximum((wide - velocity) * (wide + velocity), 0.0))  # sensor: velocity below 10 Hz
    low[:, ~(speed / 60 >= sensor.SLOW_HZ)] = nan
    sloped = low >= np.maximum(sensor.SLOPE_RATIO * velocity, sensor.SLOPE_MM_S)
    drifts = (np.abs(rows.value("drift_g")) >= sensor.DRIFT_RMS * rms) & (rms != 0)
    flat = (rms <= 0) & ~(rows.value("count_g") > sensor.FLAT_UP_TO_COUNT_G)
    faulty = (_dropped(rows) | _saturated(rows) | sloped | drifts).any(axis=0) | _turned(rows, own, given, positions)
    too_slow = (speed < limits.SLOW_RPM) & (own["zoned"] == 1)
    band = np.stack([rows.value("env_low_hz"), rows.value("env_high_hz")], axis=1)
    band = np.where(np.isnan(band).any(axis=1, keepdims=True), nan, band)
    levels = np.stack([rows.value("env_rms_g"), rows.value("band_5000_10000_g")], axis=1)
    load = _loads(given, positions)
    strange = rows.strange | (np.abs(load) > LARGEST) | flat.any(axis=0) | (band == 0).any(axis=(0, 1))
    return Facts(
        off=off,
        load=load,
        assessable=~np.isnan(rows.value("repeated_share")) & ~np.isnan(rms),
        band=band.astype(np.float32).astype(np.float64),
        high=np.log(np.maximum(levels, 0.0)),
        rocks=low >= np.maximum(velocity, sensor.ROCKING_MM_S),
        slow_mm_s=np.where((own["speed_decides"] == 1) & np.isnan(speed), wide, nan),
        by_hand=strange | (~off & (faulty | too_slow)),
    )


def _loads(given: Sequence[Row], positions: Sequence[Position]) -> Floats:
    tags = [one.load_tag for one in positions]
    if not any(tags):
        return np.full(len(tags), nan)
    loads = [nan if tag is None else row.tags.get(tag) for row, tag in zip(given, tags, strict=True)]
    return np.array(loads, np.float64)


def _dropped(rows: Rows) -> Bools:
    """Samples may have been dropped: more repeat than any that is usual makes a fault of."""
    repeated, crest = rows.value("repeated_share"), rows.value("crest")
    clipped = np.nan_to_num(rows.value("clipped_share"))
    cut_off = (clipped >= sensor.CUT_OFF * repeated) | ((crest < sensor.SINE_CREST) & (clipped >= repeated))
    return np.asarray((repeated >= sensor.REPEATED_SHARE_BY_NORMAL) & (rows.value("rms_g") != 0) & ~cut_off)


def _saturated(rows: Rows) -> Bools:
    crest, clipped, count = (rows.value(name) for name in ("crest", "clipped_share", "count_g"))
    counts = np.where(np.isnan(count) | (count == 0), inf, np.nan_to_num(rows.value("rms_g")) / count)
    limit = np.where(crest < sensor.SINE_CREST, sensor.CLIPPED_SHARE_OF_A_SINE, sensor.CLIPPED_SHARE)
    return np.asarray((clipped >= limit) & ~np.isnan(crest) & (counts >= sensor.CLIPPED_FROM_COUNTS))


def _turned(rows: Rows, own: Mapping[str, Floats], given: Sequence[Row], positions: Sequence[Position]) -> Bools:
    """The axes together show that the sensor is mounted otherwise than declared."""
    means = rows.value("mean_g")
    length = np.sqrt((means * means).sum(axis=0))
    low, high = sensor.GRAVITY_G
    found = (own["declared"] == 1) & (length > low - NEAR) & (length < high + NEAR)
    for at in np.flatnonzero(found).tolist():
        found[at] = bool(sensor.axis_map_faults(given[at].axes, directions=positions[at].directions))
    return np.asarray(found)
