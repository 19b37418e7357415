"""Is it the sensor? Its health, from the routine indicators of one capture.

A sensor fault is a state of its own: what a faulty sensor says of the machine is neither judged nor learned. A kind
that cannot be judged from what is there (no count size, no normal, no speed, an axis missing) is not found: no guess.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import hypot, isfinite, sqrt

from telltale.core.settings import Settings

Axis = Mapping[str, float | None]

# The kinds of fault, in words
KINDS: Mapping[str, str] = {
    "FLAT_LINE": "flat line",
    "DROPPED_SAMPLES": "dropped samples",
    "SATURATION": "saturation",
    "LOOSE_MOUNTING": "loose mounting",
    "DC_DRIFT": "drift",
    "WRONG_AXIS_MAP": "wrong axis map",
}

AT_STANDSTILL = frozenset({"FLAT_LINE"})  # that show where nothing vibrates; the others need a signal

# Gaussian noise of 2 counts RMS puts at most 0.6 % of 4096 samples on its extremes, of 3 counts in 1024 samples 1.2 %
# (simulated); real records that touch their range late in a bearing's life 0.9 %. Clipped at twice its RMS: 4.6 %.
CLIPPED_SHARE = 0.02
# A sine stays on its extremes longest: 2/pi acos(1 - 1/(2 A)) of the time, 10 % with an amplitude of 40 counts.
CLIPPED_SHARE_OF_A_SINE = 0.1
SINE_CREST = 1.5  # a sine has 1.414; below this a record may be one
CLIPPED_FROM_COUNTS = 4.0  # RMS: low-passed noise of fewer counts reaches 2 % too (simulated, to a 13th of the band)

# Equal neighbours: noise of s counts RMS has 0.28 / s, low-passed to a 13th of the band 22 % at 16 counts (simulated).
# Healthy real records have at most 0.5 %.
REPEATED_SHARE = 0.25
REPEATED_FROM_COUNTS = 16.0
REPEATED_GROWTH = 10.0  # times what is usual here; a guess, far from what a change of level explains (below)
REPEATED_SHARE_BY_NORMAL = 0.05  # a guess: one sample in twenty
CUT_OFF = 1.5  # times as many samples on the extremes as repeat: noise that is cut off seldom stays there for two
SAME_LEVEL = 0.5  # repeats go as 1 / RMS: a record this near its usual level has at most twice the usual repeats

# A noise density of 75 ug/rtHz over 10 kHz is 7.5 mg RMS (ST IIS3DWB data sheet): a living MEMS sensor moves counts
# up to about that size even where nothing vibrates.
FLAT_UP_TO_COUNT_G = 0.01

# A tone with at least one whole turn in the record differs by at most 1.8 RMS between its first and last quarter (at
# 1 or 2 turns); a step by 2, a ramp by 2.6. Real records: at most 0.8.
DRIFT_RMS = 2.0
# A MEMS sensor's offset wanders by about 1 mg/K (data sheets); 0.3 g is no temperature, and a turn by 17 degrees.
OFFSET_G = 0.3

SLOW_HZ = 10.0  # below 600 r/min the shaft itself lies under 10 Hz (ISO 20816-3)
# "Ski slope": integration raises the low end, so an offset that wanders looks like velocity below 10 Hz, where a
# machine from 600 r/min has little. White acceleration has twice its velocity above, by chance four times in a second
# (simulated); 6 is beyond. The level is a guess: C/D of a small machine (ISO 10816-1).
SLOPE_RATIO = 6.0
SLOPE_MM_S = 4.5

# A hand-held or loose accelerometer loses the bands above about 2 kHz by 10 to 20 dB (ISO 5348 on mounting).
LOST_BANDS = 0.25  # of the usual level: 12 dB
# Half the power suffices where the low end shows the mount rocking: more below 10 Hz than above, and a level that
# would concern on the smallest machine (B/C of ISO 10816-1 class I).
LOST_BANDS_ROCKING = 0.7
ROCKING_MM_S = 1.8
VELOCITY_STAYS = 0.8  # of the usual velocity: the machine runs as ever
HIGH_BANDS = ("band_5000_10000_g", "env_rms_g")
COMPARED = ("mean_g", "rms_g", "repeated_share", "velocity_rms_mm_s", *HIGH_BANDS)  # with what is usual here

GRAVITY_G = (0.85, 1.15)  # the length of the offset vector of a sensor that measures DC: 1 g, and offsets of 0.1 g
CARRIES_GRAVITY_G = 0.8  # an axis within 37 degrees of plumb
NOT_PLUMB_G = 0.5  # an axis more than 60 degrees off


@dataclass(frozen=True)
class SensorFault:
    """One fault of a sensor, seen on one axis. `kind` is of KINDS; `reason` has the numbers."""

    kind: str
    axis: str
    reason: str

    @property
    def words(self) -> str:
        """The kind in words, and why."""
        return f"{KINDS[self.kind]}: {self.reason}"


def faults(
    rows: Mapping[str, Axis],
    *,
    directions: Mapping[str, str],
    normal: Mapping[str, Mapping[str, float]] | None = None,
    speed_hz: float | None = None,
) -> tuple[SensorFault, ...]:
    """The sensor faults that one capture shows, by axis, the plainest first; empty for a sound sensor.

    rows : axis → routine indicators (schema.FEATURES); None or NaN is "not known", and judges nothing.
    directions : axis → horizontal, vertical or axial.   normal : axis → indicator → what is usual here.
    speed_hz : of the shaft; without it the low end is not judged, for a slow machine has its own lines there.
    """
    usual = normal or {}
    each = [axis_faults(name, axis, normal=usual.get(name, {}), speed_hz=speed_hz) for name, axis in rows.items()]
    return (*(fault for found in each for fault in found), *axis_map_faults(rows, directions=directions))


def assessable(axis: Axis) -> bool:
    """The row has the indicators of sensor health: they need samples, not values that a device computed."""
    return _value(axis, "repeated_share") is not None and _value(axis, "rms_g") is not None


def axis_faults(
    name: str, axis: Axis, *, normal: Mapping[str, float], speed_hz: float | None
) -> tuple[SensorFault, ...]:
    """What one axis by itself shows; see `faults`."""
    checks = {
        "FLAT_LINE": _flat_line(axis),
        "DROPPED_SAMPLES": _dropped_samples(axis, normal),
        "SATURATION": _saturation(axis),
        "LOOSE_MOUNTING": _loose_mounting(axis, normal, speed_hz),
        "DC_DRIFT": _drift(axis, normal, speed_hz),
    }
    return tuple(SensorFault(kind, name, reason) for kind, reason in checks.items() if reason is not None)


def axis_map_faults(rows: Mapping[str, Axis], *, directions: Mapping[str, str]) -> tuple[SensorFault, ...]:
    """Gravity on an axis that cannot feel it. Needs all three axes, and a sensor that measures DC."""
    return tuple(_wrong_axis_map(rows, directions)) if directions else ()


@dataclass(frozen=True)
class Watch:
    """One axis's sensor over its last captures. `faulty` : whether each showed a fault, newest last.

    fault : the kind that stands; None: sound, or not yet judged.
    """

    faulty: tuple[bool, ...] = ()
    fault: str | None = None

    @property
    def level(self) -> str:
        """UNKNOWN, HEALTHY or SENSOR_FAULT: debounced."""
        return "SENSOR_FAULT" if self.fault else "HEALTHY" if self.faulty else "UNKNOWN"


SOUND = Watch()


def watched(watch: Watch, kind: str | None, *, settings: Settings) -> Watch:
    """The watch after one more capture that showed this kind of fault, or none."""
    faulty = (*watch.faulty, kind is not None)[-settings.sensor_m :]
    if sum(faulty) >= settings.sensor_n:
        return Watch(faulty, kind or watch.fault)
    sound = len(faulty) - sum(faulty) >= settings.sensor_n
    return Watch(faulty, None if sound else watch.fault)


def _flat_line(axis: Axis) -> str | None:
    rms, count = _value(axis, "rms_g"), _value(axis, "count_g")
    if rms is None or rms > 0 or (count is not None and count > FLAT_UP_TO_COUNT_G):
        return None
    return "every sample is the same: no sensor is as quiet as that"


def _dropped_samples(axis: Axis, usual: Mapping[str, float]) -> str | None:
    repeated, rms = _value(axis, "repeated_share"), _value(axis, "rms_g")
    if repeated is None or not rms or _cut_off(axis, repeated):
        return None
    known, level = usual.get("repeated_share"), usual.get("rms_g")
    if known is not None and level is not None and rms >= SAME_LEVEL * level:
        if repeated >= max(REPEATED_GROWTH * known, REPEATED_SHARE_BY_NORMAL):
            return f"{repeated:.1%} of the samples repeat the one before, usual here are {known:.2%}"
    elif repeated >= REPEATED_SHARE and _counts(axis) >= REPEATED_FROM_COUNTS:
        return (
            f"{repeated:.1%} of the samples repeat the one before, a record of this level has "
            f"fewer than {REPEATED_SHARE:.0%}"
        )
    return None


def _cut_off(axis: Axis, repeated: float) -> bool:
    """What repeats lies on the extremes: cut off, not held. Held samples repeat wherever they lie."""
    clipped, crest = _value(axis, "clipped_share") or 0.0, _value(axis, "crest")
    return clipped >= CUT_OFF * repeated or (crest is not None and crest < SINE_CREST and clipped >= repeated)


def _saturation(axis: Axis) -> str | None:
    clipped, crest = _value(axis, "clipped_share"), _value(axis, "crest")
    if clipped is None or crest is None or _counts(axis) < CLIPPED_FROM_COUNTS:
        return None
    limit = CLIPPED_SHARE_OF_A_SINE if crest < SINE_CREST else CLIPPED_SHARE
    if clipped < limit:
        return None
    peak = _value(axis, "peak_g")
    where = "" if peak is None else f", {peak:.3g} g from the mean: vibration beyond the sensor's range, or a range cut"
    return f"{clipped:.1%} of the samples lie on the record's own extremes (limit {limit:.0%}){where}"


def _loose_mounting(axis: Axis, usual: Mapping[str, float], speed_hz: float | None) -> str | None:
    velocity, velocity_usual = _value(axis, "velocity_rms_mm_s"), usual.get("velocity_rms_mm_s")
    shares = [level / usual[name] for name in HIGH_BANDS if name in usual and (level := _value(axis, name)) is not None]
    if velocity is None or not velocity_usual or not shares or velocity < VELOCITY_STAYS * velocity_usual:
        return None
    lost = f"the high bands fell to {max(shares):.0%} of what is usual here, velocity stays at {velocity:.3g} mm/s"
    if max(shares) <= LOST_BANDS:
        return f"{lost} (usual {velocity_usual:.3g})"
    slope = _below_10_hz(axis, speed_hz)
    if max(shares) <= LOST_BANDS_ROCKING and slope is not None and slope >= max(velocity, ROCKING_MM_S):
        return f"{lost}, and {slope:.3g} mm/s lie below 10 Hz: the mount rocks"
    return None


def _drift(axis: Axis, usual: Mapping[str, float], speed_hz: float | None) -> str | None:
    drift, rms, mean = (_value(axis, name) for name in ("drift_g", "rms_g", "mean_g"))
    if drift is not None and rms and abs(drift) >= DRIFT_RMS * rms:
        return f"the mean moved by {drift:.3g} g within the record, {abs(drift) / rms:.2g} times its RMS of {rms:.3g} g"
    if mean is not None and "mean_g" in usual and abs(mean - usual["mean_g"]) >= OFFSET_G:
        return (
            f"the offset is {mean:.2f} g, usual here is {usual['mean_g']:.2f} g: it drifted, or the sensor has turned"
        )
    slope, velocity = _below_10_hz(axis, speed_hz), _value(axis, "velocity_rms_mm_s")
    if slope is not None and velocity is not None and slope >= max(SLOPE_RATIO * velocity, SLOPE_MM_S):
        return f"{slope:.3g} mm/s lie below 10 Hz, {velocity:.3g} mm/s above: a ski slope, of the sensor or its mount"
    return None


def _below_10_hz(axis: Axis, speed_hz: float | None) -> float | None:
    """Velocity RMS from 2 to 10 Hz, in mm/s; None where it is not known, or where the shaft itself may lie."""
    wide, usual = _value(axis, "velocity_2_rms_mm_s"), _value(axis, "velocity_rms_mm_s")
    if wide is None or usual is None or speed_hz is None or speed_hz < SLOW_HZ:
        return None
    return sqrt(max((wide - usual) * (wide + usual), 0.0))


def _wrong_axis_map(rows: Mapping[str, Axis], directions: Mapping[str, str]) -> Iterator[SensorFault]:
    means = {name: mean for name in ("x", "y", "z") if (mean := _value(rows.get(name, {}), "mean_g")) is not None}
    if len(means) < 3 or not GRAVITY_G[0] <= hypot(*means.values()) <= GRAVITY_G[1]:
        return
    [plumb, *_] = sorted(means, key=lambda name: -abs(means[name]))
    named = [name for name in means if directions.get(name) == "vertical"]
    there = directions.get(plumb)
    if abs(means[plumb]) < CARRIES_GRAVITY_G or there in (None, "vertical"):
        return
    level = [name for name in named if abs(means[name]) <= NOT_PLUMB_G]
    if there == "horizontal" or level:
        meant = f", not on {level[0]}, declared vertical" if level else ""
        for name in [plumb, *level]:
            yield SensorFault(
                "WRONG_AXIS_MAP", name, f"gravity ({means[plumb]:.2f} g) lies on {plumb}, declared {there}{meant}"
            )


def _counts(axis: Axis) -> float:
    """RMS in counts; infinite where the samples are no counts."""
    count, rms = _value(axis, "count_g"), _value(axis, "rms_g")
    return (rms or 0.0) / count if count else float("inf")


def _value(axis: Axis, name: str) -> float | None:
    value = axis.get(name)
    return value if value is not None and isfinite(value) else None
