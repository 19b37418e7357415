"""Every table and column of the lake, declared once: code, Parquet, Iceberg, docs and SQL read this list.

`Table.columns` are in the order they are written. A column that is not `required` may be null, and
null always means "not known", never zero. Times are UTC.
"""

from dataclasses import dataclass
from typing import Literal

Type = Literal[
    "string", "int", "long", "float", "double", "boolean", "timestamp", "binary", "list<int>", "list<string>"
]


@dataclass(frozen=True)
class Column:
    """One column: its type, its unit where it has one, and what it means."""

    name: str
    type: Type
    meaning: str
    unit: str | None = None
    required: bool = False
    formula: str | None = None  # for features: how it is computed
    source: str | None = None  # for features: the standard or text the formula is from


@dataclass(frozen=True)
class Table:
    """One Iceberg table. `day` is the timestamp column whose day partitions it; `sort` orders a file's rows."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    day: str
    sort: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


def _id(name: str, meaning: str) -> Column:
    return Column(name, "string", meaning, required=True)


CAPTURE_ID = _id("capture_id", "the capture; given by the device or made from sensor and sample time")
POSITION = _id("position", "path of the measuring point: site/area/asset/position")
SITE = _id("site", "the site the position belongs to")
SENSOR = _id("sensor", "the sensor that took it")
T = Column("t", "timestamp", "when it was sampled", required=True)
AXIS = _id("axis", "x, y or z, as the sensor is mounted")


def _feature(name: str, unit: str | None, meaning: str, formula: str, source: str) -> Column:
    return Column(name, "double", meaning, unit, formula=formula, source=source)


def _band(low: int, high: int) -> Column:
    return _feature(
        f"band_{low}_{high}_g",
        "g",
        f"acceleration RMS from {low} to {high} Hz; null where the record is too short or too slowly sampled for it",
        f"sqrt(sum of the power of the bins in [{low}, {high}) Hz), Hann window, divided by its mean square",
        "1-2-5 series of band edges; Parseval",
    )


def _line(name: str, order: str, defect: str) -> Column:
    return _feature(
        f"env_{name}_g",
        "g",
        f"amplitude of the envelope at {order}, {defect}; null without a speed and a bearing",
        f"strongest line of the envelope spectrum within 2 % of {order}, power summed over its Hann lobe",
        _RANDALL,
    )


def _line_ratio(name: str, order: str) -> Column:
    return _feature(
        f"env_{name}_ratio",
        None,
        f"how far the envelope's line at {order} stands above the noise around it; noise alone gives about 2",
        f"env_{name}_g / median of the envelope spectrum within 50 % of {order}",
        _RANDALL,
    )


_MOMENTS = "ISO 13373-2; moments of the whole record with its mean m removed, divided by n"
_RANDALL = "R. B. Randall, J. Antoni, MSSP 25 (2011) 485-520"
_VELOCITY = (
    "sqrt(sum of the power of the bins / (2 pi f)^2) over [{} Hz, 1000 Hz), Hann window, divided by its mean square"
)

# The condition indicators of one axis of one capture; core.features computes them, in this order.
FEATURES: tuple[Column, ...] = (
    _feature("rms_g", "g", "acceleration RMS", "sqrt(mean((x - m)^2))", _MOMENTS),
    _feature("peak_g", "g", "largest excursion from the mean", "max|x - m|", _MOMENTS),
    _feature("peak_to_peak_g", "g", "span of the record", "max x - min x", _MOMENTS),
    _feature("crest", None, "peakedness; a sine has 1.414; null where nothing moves", "peak / rms", _MOMENTS),
    _feature(
        "kurtosis",
        None,
        "impulsiveness; Gaussian noise has 3, a sine 1.5; null where nothing moves",
        "mean((x - m)^4) / mean((x - m)^2)^2",
        _MOMENTS,
    ),
    _feature(
        "skewness",
        None,
        "asymmetry; 0 for symmetric; null where nothing moves",
        "mean((x - m)^3) / mean((x - m)^2)^1.5",
        _MOMENTS,
    ),
    _feature(
        "velocity_rms_mm_s",
        "mm/s",
        "velocity RMS from 10 to 1000 Hz; null below 0.1 s or below 2000 Hz sampling",
        _VELOCITY.format(10),
        "ISO 20816-1, ISO 10816-1",
    ),
    _feature(
        "velocity_2_rms_mm_s",
        "mm/s",
        "velocity RMS from 2 to 1000 Hz, for shafts below 600 r/min; null below 0.5 s or below 2000 Hz sampling",
        _VELOCITY.format(2),
        "ISO 20816-3, ISO 10816-3",
    ),
    *(
        _band(low, high)
        for low, high in (
            (10, 50),
            (50, 100),
            (100, 200),
            (200, 500),
            (500, 1000),
            (1000, 2000),
            (2000, 5000),
            (5000, 10000),
            (10000, 20000),
        )
    ),
    _feature(
        "env_rms_g",
        "g",
        "how much the envelope of the high band fluctuates",
        "standard deviation of the magnitude of the analytic signal of 2-10 kHz (slower sensors: 0.4-0.8 of fs / 2)",
        _RANDALL,
    ),
    _feature(
        "env_kurtosis",
        None,
        "impulsiveness of the high band; a tone has 1, Gaussian noise 2, impacts more",
        "mean(a^4) / mean(a^2)^2 of the envelope a",
        "J. Antoni, MSSP 20 (2006) 282-307: spectral kurtosis, plus 2",
    ),
    _line("bpfo", "BPFO", "where a defect of the outer race strikes"),
    _line("bpfi", "BPFI", "where a defect of the inner race strikes"),
    _line("bsf", "BSF or 2 BSF (the larger)", "where a defect of a rolling element strikes"),
    _line("ftf", "FTF", "the turns of the cage"),
    _line_ratio("bpfo", "BPFO"),
    _line_ratio("bpfi", "BPFI"),
    _line_ratio("bsf", "BSF or 2 BSF (the larger)"),
    _line_ratio("ftf", "FTF"),
)

CAPTURES = Table(
    "captures",
    "one row per stored message of a sensor: who, when, and its scalars",
    (
        CAPTURE_ID,
        _id("part", "what this message carried: its axes, then s if it had scalars; unique with sensor and capture_id"),
        POSITION,
        SITE,
        SENSOR,
        _id("gateway", "the gateway it came through, from the certificate"),
        T,
        Column("received_at", "timestamp", "when AWS IoT Core received it", required=True),
        Column("temperature_c", "double", "surface temperature", "°C"),
        Column("speed_rpm", "double", "shaft speed measured by the device", "r/min"),
        Column("velocity_rms_x_mm_s", "double", "velocity RMS of axis x, computed on the device", "mm/s"),
        Column("velocity_rms_y_mm_s", "double", "velocity RMS of axis y, computed on the device", "mm/s"),
        Column("velocity_rms_z_mm_s", "double", "velocity RMS of axis z, computed on the device", "mm/s"),
        Column("battery_pct", "double", "battery charge", "%"),
        Column("rssi_dbm", "double", "radio signal strength at the gateway", "dBm"),
        _id("record_id", "the stream record it came in: shard and sequence number"),
    ),
    day="t",
    sort=("position", "t"),
)

WAVEFORMS = Table(
    "waveforms",
    "one row per axis of a capture: the raw samples",
    (
        CAPTURE_ID,
        AXIS,
        POSITION,
        SITE,
        SENSOR,
        T,
        Column("fs_hz", "double", "sampling rate", "Hz", required=True),
        Column("unit", "string", "unit of samples times scale: g or m/s2", required=True),
        Column("scale", "double", "multiply a sample by this to get unit", required=True),
        Column("samples", "list<int>", "the counts as the sensor sent them (int16)", required=True),
    ),
    day="t",
    sort=("position", "t", "axis"),
)

READINGS = Table(
    "readings",
    "one row per value of one tag at one instant (historian style)",
    (
        CAPTURE_ID,
        POSITION,
        SITE,
        SENSOR,
        T,
        _id("tag", "name of the tag"),
        Column("value", "double", "its value", required=True),
    ),
    day="t",
    sort=("position", "tag", "t"),
)

VERDICTS = Table(
    "verdicts",
    "one row per judgement of one rule on one axis (or on the temperature) of one capture",
    (
        CAPTURE_ID,
        POSITION,
        SITE,
        T,
        _id("channel", "x, y, z or temperature"),
        _id("rule", "zone, temperature or baseline"),
        _id("verdict", "HEALTHY, WARNING, ALARM, UNKNOWN, NOT_ASSESSABLE or MACHINE_OFF; this row alone"),
        _id("persistent", "HEALTHY, WARNING, ALARM or UNKNOWN; debounced, the one that may alert"),
        Column("feature", "string", "the indicator that decided"),
        Column("value", "double", "its value, in unit"),
        Column("limit", "double", "the limit it was compared with, in unit"),
        Column("unit", "string", "unit of value and limit"),
        Column("margin", "double", "limit minus value, in unit; negative means beyond the limit"),
        Column("score", "double", "deviation as a share of the limit; 1 is on the limit"),
        Column("limit_source", "string", "where the limit comes from: standard and edition, user, or baseline"),
        Column("zone", "string", "ISO zone A, B, C or D that the value falls in, where a class is set"),
        Column("reason", "string", "in words: why this verdict, or why none"),
        Column("samples", "int", "how many captures the limit was learned from, or judged so far"),
        Column("code_version", "string", "Telltale's version that judged", required=True),
    ),
    day="t",
    sort=("position", "t"),
)

CASES = Table(
    "cases",
    "one row per change of a case; the latest revision is the case",
    (
        _id("case_id", "the case"),
        Column("revision", "int", "counts up with each change", required=True),
        _id("change", "opened, updated, acknowledged or resolved"),
        POSITION,
        SITE,
        Column("t", "timestamp", "sample time of the capture, or time of the act, that changed it", required=True),
        Column("opened_at", "timestamp", "sample time of the capture that opened it", required=True),
        _id("severity", "WARNING or ALARM: the worst so far"),
        _id("state", "state of the position after the change"),
        Column("rule", "string", "the rule that decided"),
        Column("channel", "string", "the axis, or temperature"),
        Column("reason", "string", "in words: why"),
        Column("fault", "string", "the fault named by diagnosis, if any"),
        Column("evidence", "string", "JSON: verdicts, limits, margins and capture ids behind the change"),
        Column("failure_mode", "string", "closure code: what was found"),
        Column("failure_cause", "string", "closure code: why it happened"),
        Column("action_taken", "string", "closure code: what was done"),
        Column("by", "string", "who acted, for acknowledged and resolved"),
    ),
    day="t",
    sort=("position", "t"),
)

LABELS = Table(
    "labels",
    "one row per resolved case: what the technician found; the truth that detection is measured by",
    (
        _id("case_id", "the case"),
        POSITION,
        SITE,
        Column("t", "timestamp", "when the case was resolved", required=True),
        Column("opened_at", "timestamp", "when the case was opened", required=True),
        _id("failure_mode", "Monitron's failure mode, NO_ISSUE for a false alarm"),
        _id("failure_cause", "Monitron's failure cause"),
        _id("action_taken", "Monitron's action taken"),
        Column("by", "string", "who closed it"),
        Column("note", "string", "free text"),
    ),
    day="t",
    sort=("position", "t"),
)

QUARANTINE = Table(
    "quarantine",
    "one row per record that could not be stored, with its original bytes",
    (
        _id("quarantine_id", "the stream record: shard and sequence number"),
        Column("received_at", "timestamp", "when AWS IoT Core, or else the stream, received it", required=True),
        _id("reason", "one of core.errors.Reason"),
        _id("detail", "what was found and what was wanted"),
        Column("topic", "string", "MQTT topic it was published on"),
        Column("gateway", "string", "client id from the certificate"),
        Column("sensor", "string", "sensor named by the topic"),
        Column("payload", "binary", "the bytes as received", required=True),
    ),
    day="received_at",
    sort=("received_at",),
)

BATCHES = Table(
    "batches",
    "one row per processed stretch of a stream shard: records in = stored + duplicate + quarantined",
    (
        _id("batch_id", "stream/shard/first sequence number"),
        Column("t", "timestamp", "when it was processed", required=True),
        _id("function", "extract_features or detect_anomalies"),
        _id("stream", "name of the stream"),
        _id("shard", "shard of the stream"),
        _id("first", "first sequence number"),
        _id("last", "last sequence number"),
        Column("records", "int", "records in the stretch", required=True),
        Column("stored", "int", "of them stored", required=True),
        Column("duplicate", "int", "of them delivered before by the gateway", required=True),
        Column("quarantined", "int", "of them quarantined", required=True),
        Column("code_version", "string", "Telltale's version that processed it", required=True),
    ),
    day="t",
    sort=("t",),
)


def _features_table() -> Table:
    return Table(
        "features",
        "one row of condition indicators per axis of a capture",
        (
            CAPTURE_ID,
            AXIS,
            POSITION,
            SITE,
            SENSOR,
            T,
            Column("fs_hz", "double", "sampling rate; null where the device computed the value", "Hz"),
            Column("n_samples", "int", "samples the features were computed from; null likewise"),
            Column("speed_rpm", "double", "shaft speed used for orders and bearing frequencies", "r/min"),
            *FEATURES,
        ),
        day="t",
        sort=("position", "t", "axis"),
    )


FEATURES_TABLE = _features_table()

TABLES: tuple[Table, ...] = (
    CAPTURES,
    WAVEFORMS,
    FEATURES_TABLE,
    READINGS,
    VERDICTS,
    CASES,
    LABELS,
    QUARANTINE,
    BATCHES,
)
