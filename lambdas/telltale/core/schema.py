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
    band: str | None = None  # for features: of which frequencies
    source: str | None = None  # for features: the standard or text the formula is from
    was: tuple[str, ...] = ()  # earlier names, for good: files written under them are read as this column


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


def _feature(name: str, unit: str | None, meaning: str, formula: str, source: str, band: str = "all") -> Column:
    return Column(name, "double", meaning, unit, formula=formula, band=band, source=source)


def _band(low: int, high: int) -> Column:
    return _feature(
        f"band_{low}_{high}_g",
        "g",
        "acceleration RMS of the band; null where the record is too short or too slowly sampled for it",
        _BAND_RMS,
        "1-2-5 series of band edges; Parseval",
        f"{low}-{high} Hz",
    )


def _own_band(number: int) -> Column:
    return _feature(
        f"band_own_{number}_g",
        "g",
        f"acceleration RMS of the position's own band {number}; null where none is set",
        _BAND_RMS,
        "set for the position (bands_hz); Parseval",
        "own",
    )


def _order(name: str, meaning: str, formula: str, band: str) -> Column:
    return _feature(f"{name}_mm_s", "mm/s", f"{meaning}; {_TURNS}", formula, _ORDERS, band)


def _line(name: str, order: str, defect: str) -> Column:
    return _feature(
        f"env_{name}_g",
        "g",
        f"amplitude of the envelope at {order}, {defect}; null without a speed and a bearing",
        f"strongest line of the envelope spectrum within 2 % of {order}, power summed over its Hann lobe",
        _RANDALL,
        _ENVELOPE,
    )


def _line_ratio(name: str, order: str) -> Column:
    return _feature(
        f"env_{name}_ratio",
        None,
        f"how far the envelope's line at {order} stands above the noise around it; noise alone gives about 2",
        f"env_{name}_g / median of the envelope spectrum within 50 % of {order}",
        _RANDALL,
        _ENVELOPE,
    )


_MOMENTS = "ISO 13373-2; moments of the whole record with its mean m removed, divided by n"
_RANDALL = "R. B. Randall, J. Antoni, MSSP 25 (2011) 485-520"
_ORDERS = "ISO 13373-3: lines of rotor faults; RMS of the line, so that lines and bands add as powers"
_TURNS = "null without a speed or in a record of fewer than 4 turns"
_STRONGEST = "sqrt of the largest power of 3 bins within 1 % (measured speed) or 3 % (nominal speed)"
_HEALTH = "sensor health; the limits are in core.sensor"
_ENVELOPE = "env_low_hz-env_high_hz"
_BAND_RMS = "sqrt(sum of the power of the bins in [low, high)), Hann window, divided by its mean square"
_VELOCITY = "sqrt(sum of the power of the bins / (2 pi f)^2), Hann window, divided by its mean square"
_DISPLACEMENT = "sqrt(sum of the power of the bins / (2 pi f)^4), Hann window, divided by its mean square"

# The routine set: the condition indicators of one axis of one capture. core.features computes them, in this order.
FEATURES: tuple[Column, ...] = (
    # Time domain
    _feature("mean_g", "g", "mean of the record: the sensor's offset, and gravity where it measures it", "m", _MOMENTS),
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
    _feature("shape_factor", None, "a sine has 1.111; null where nothing moves", "rms / mean|x - m|", _MOMENTS),
    _feature("impulse_factor", None, "a sine has 1.571; null where nothing moves", "peak / mean|x - m|", _MOMENTS),
    _feature(
        "clearance_factor",
        None,
        "a sine has 1.719; null where nothing moves",
        "peak / mean(sqrt|x - m|)^2",
        _MOMENTS,
    ),
    _feature(
        "zero_crossings_hz",
        "1/s",
        "how often the record passes its mean; a sine of f has 2 f",
        "sign changes of x - m / (n - 1) * fs",
        "S. O. Rice, BSTJ 23 (1944) 282-332",
    ),
    # Velocity and displacement
    _feature(
        "velocity_rms_mm_s",
        "mm/s",
        "velocity RMS; null below 0.1 s or below 2000 Hz sampling",
        _VELOCITY,
        "ISO 20816-1, ISO 10816-1",
        "10-1000 Hz",
    ),
    _feature(
        "velocity_2_rms_mm_s",
        "mm/s",
        "velocity RMS for shafts below 600 r/min; null below 0.5 s or below 2000 Hz sampling",
        _VELOCITY,
        "ISO 20816-3, ISO 10816-3",
        "2-1000 Hz",
    ),
    _feature(
        "displacement_rms_um",
        "µm",
        "displacement RMS; null below 0.1 s or below 2000 Hz sampling",
        _DISPLACEMENT,
        "ISO 20816-1",
        "10-1000 Hz",
    ),
    _feature(
        "displacement_2_rms_um",
        "µm",
        "displacement RMS for shafts below 600 r/min; null below 0.5 s or below 2000 Hz sampling",
        _DISPLACEMENT,
        "ISO 20816-1",
        "2-1000 Hz",
    ),
    # Spectrum
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
    *(_own_band(number) for number in (1, 2, 3, 4)),
    _feature(
        "spectral_centroid_hz",
        "Hz",
        "where the power lies on average; null where nothing moves",
        "sum of f P / sum of P, over the bins of the Hann spectrum between 0 and fs / 2",
        "ISO 13373-2",
    ),
    _feature(
        "spectral_entropy",
        None,
        "0 where all power lies together, 1 where it is spread evenly; null where nothing moves or below 65 samples",
        "-sum of p ln p / ln(blocks); p: share of the power in each block of 16 bins, from the first bin on",
        "C. E. Shannon, BSTJ 27 (1948) 379-423",
    ),
    _feature(
        "noise_floor_g_rthz",
        "g/√Hz",
        "the level that half of the spectrum stays below, in white noise 2 % under its density; null below 65 samples",
        "sqrt(median over the blocks of 16 bins of their mean power density)",
        "ISO 13373-2",
    ),
    # Orders
    _order("order_1", "the shaft's own line, 1×", f"{_STRONGEST} of 1×, / 2 pi f of the line", "1×"),
    _order("order_2", "the line at 2×", "likewise at 2×", "2×"),
    _order("order_3", "the line at 3×", "likewise at 3×", "3×"),
    _feature(
        "order_half_mm_s",
        "mm/s",
        "the lines at 0.5×, 1.5× and 2.5×; null without a speed or in a record of fewer than 8 turns",
        "likewise, root of the sum of squares",
        _ORDERS,
        "0.5×, 1.5×, 2.5×",
    ),
    _order("order_4_10", "the harmonics from 4× to 10×", "likewise, root of the sum of squares", "4×-10×"),
    _feature("order_2_ratio", None, f"2× over 1×; {_TURNS}", "order_2 / order_1", _ORDERS, "1×, 2×"),
    _feature("order_3_ratio", None, f"3× over 1×; {_TURNS}", "order_3 / order_1", _ORDERS, "1×, 3×"),
    _feature(
        "order_half_ratio",
        None,
        "half orders over 1×; null as order_half",
        "order_half / order_1",
        _ORDERS,
        "0.5×-2.5×",
    ),
    _feature(
        "harmonic_share",
        None,
        f"share of the velocity's power that lies on 1× to 10×; {_TURNS}",
        "sum of squares of the lines at 1× to 10× between 10 and 1000 Hz / velocity_rms^2, at most 1",
        _ORDERS,
        "1×-10×",
    ),
    _order(
        "blade_pass",
        "the line at blades × speed; null where the plant file has no number of blades",
        "as order_1, at blades ×",
        "blades ×",
    ),
    _feature(
        "line_1_mm_s",
        "mm/s",
        "the line at mains frequency; null where it is not set, or below 4 periods",
        "as order_1, within 1 % of mains frequency",
        _ORDERS,
        "mains",
    ),
    _feature(
        "line_2_mm_s",
        "mm/s",
        "the line at twice mains frequency; null likewise",
        "as order_1, within 1 % of twice mains frequency",
        _ORDERS,
        "2 × mains",
    ),
    _feature(
        "gear_mesh_g",
        "g",
        f"acceleration RMS of the line at teeth × speed; null where the plant file has no number of teeth; {_TURNS}",
        f"{_STRONGEST} of teeth ×, at most half an order away",
        _ORDERS,
        "teeth ×",
    ),
    _feature(
        "gear_sideband_ratio",
        None,
        "sidebands of the gear mesh over the mesh; null likewise",
        "root of the sum of squares of the lines at ± 1× and ± 2× from the mesh that was found / gear_mesh_g",
        _ORDERS,
        "teeth × ± 2×",
    ),
    # Envelope
    _feature("env_low_hz", "Hz", "where the band begins whose envelope was taken", "set or default", _RANDALL),
    _feature("env_high_hz", "Hz", "where it ends", "set or default", _RANDALL),
    _feature(
        "env_rms_g",
        "g",
        "how much the envelope of the band fluctuates",
        "standard deviation of the magnitude of the band's analytic signal",
        _RANDALL,
        _ENVELOPE,
    ),
    _feature(
        "env_kurtosis",
        None,
        "impulsiveness of the band; a tone has 1, Gaussian noise 2, impacts more",
        "mean(a^4) / mean(a^2)^2 of the envelope a",
        "J. Antoni, MSSP 20 (2006) 282-307: spectral kurtosis, plus 2",
        _ENVELOPE,
    ),
    _line("bpfo", "BPFO", "where a defect of the outer race strikes"),
    _line("bpfi", "BPFI", "where a defect of the inner race strikes"),
    _line("bsf", "BSF or 2 BSF (the larger)", "where a defect of a rolling element strikes"),
    _line("ftf", "FTF", "the turns of the cage"),
    _line_ratio("bpfo", "BPFO"),
    _line_ratio("bpfi", "BPFI"),
    _line_ratio("bsf", "BSF or 2 BSF (the larger)"),
    _line_ratio("ftf", "FTF"),
    # Sensor health
    _feature(
        "clipped_share",
        None,
        "share of samples that lie on the record's own extremes; a smooth record has 2 / n, a flat line 1",
        "samples equal to max x or to min x / n",
        _HEALTH,
    ),
    _feature(
        "repeated_share",
        None,
        "share of samples that equal the one before; 1 for a flat line",
        "equal neighbours / (n - 1)",
        _HEALTH,
    ),
    _feature(
        "drift_g",
        "g",
        "how far the mean wanders within the record; null below 4 samples",
        "mean of the last quarter - mean of the first quarter",
        _HEALTH,
    ),
    _feature(
        "count_g",
        "g",
        "what one count is worth: how coarse the record is; null where its samples are no whole numbers",
        "scale",
        _HEALTH,
    ),
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
        Column("digests", "string", "JSON: digests of all that this message brought, by table and axis; core.evidence"),
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
        _id("channel", "x, y, z, temperature or model"),
        _id("rule", "zone, temperature, baseline or model; sensor: of the axis's sensor, not of the machine"),
        _id(
            "verdict",
            "HEALTHY, WARNING, ALARM, UNKNOWN, NOT_ASSESSABLE or MACHINE_OFF; of rule sensor also SENSOR_FAULT; "
            "this row alone",
        ),
        _id("persistent", "HEALTHY, WARNING, ALARM, UNKNOWN or SENSOR_FAULT; debounced, the one that may alert"),
        Column("feature", "string", "the indicator that decided"),
        Column("value", "double", "its value, in unit"),
        Column("limit", "double", "the limit it was compared with, in unit"),
        Column("unit", "string", "unit of value and limit"),
        Column("margin", "double", "limit minus value, in unit; negative means beyond the limit"),
        Column("score", "double", "deviation as a share of the limit; 1 is on the limit"),
        Column(
            "limit_source",
            "string",
            "where the limit comes from: standard, edition and boundary or rule; user; or baseline",
        ),
        Column("zone", "string", "ISO zone A, B, C or D that the value falls in, where a class is set"),
        Column("reason", "string", "in words: why this verdict, or why none"),
        Column("samples", "int", "how many captures the limit was learned from, or judged so far"),
        Column("code_version", "string", "Telltale's version that judged", required=True),
    ),
    day="t",
    sort=("position", "t"),
)

TAG_ALARMS = Table(
    "tag_alarms",
    "one row per alarm or changepoint of a tag that is watched as a stream; nothing of rows on which nothing happens",
    (
        CAPTURE_ID,
        POSITION,
        SITE,
        SENSOR,
        T,
        _id(
            "tag", "name of the tag; temperature_c, battery_pct and so on, and x/rms_g, for what is no tag of the wire"
        ),
        Column("value", "double", "its value", required=True),
        Column("score", "double", "0.5 on the bar, above 0.55 far beyond it (docs/streams.md)", required=True),
        _id(
            "reason",
            "the statistic furthest beyond its record: HIGH, LOW, DRIFT, STEP, LEVEL, SPREAD, HOUR, DAY or STUCK",
        ),
        _id("words", "the same in words, with the value"),
        Column("is_anomaly", "boolean", "an alarm", required=True),
        Column("is_changepoint", "boolean", "the level moved and stayed", required=True),
        Column("rows_before", "int", "rows of the tag before this one, which its records are of", required=True),
        Column("code_version", "string", "Telltale's version that judged", required=True),
    ),
    day="t",
    sort=("position", "tag", "t"),
)

SCORES = Table(
    "scores",
    "one row per interval that the live model of an asset judged",
    (
        _id("asset", "path of the asset: site/area/asset"),
        SITE,
        _id("position", "the position at which the model opens cases"),
        Column("t", "timestamp", "end of the interval that the row is the mean of", required=True),
        Column("scored_at", "timestamp", "when it was judged", required=True),
        _id("model", "the version that judged"),
        Column("score", "double", "0 to 1, 0.5 is on the limit; null with the machine off"),
        Column(
            "deviation", "double", "the largest deviation as a share of its limit; 1 is on the limit; null likewise"
        ),
        Column("prediction", "int", "1: an anomaly, 0: none", required=True),
        _id("prediction_reason", "ANOMALY_DETECTED, NO_ANOMALY_DETECTED or MACHINE_OFF"),
        Column(
            "contributions",
            "string",
            "JSON: the five tags that say most, each with its share; those of all tags sum to 1",
        ),
        Column("code_version", "string", "Telltale's version that judged", required=True),
    ),
    day="t",
    sort=("asset", "t"),
)

DIAGNOSES = Table(
    "diagnoses",
    "one row per diagnosis: of the capture that opened or worsened a case, and once a day of one of each position",
    (
        CAPTURE_ID,
        POSITION,
        SITE,
        SENSOR,
        T,
        _id("trigger", "case, or rota: the daily one"),
        Column("case_id", "string", "the case it was made for, or that was open"),
        _id("axes", "the axes whose waveforms there were"),
        _id("verdict", "a fault of core.findings, CANNOT_TELL, NO_FAULT_FOUND or SENSOR_FAULT"),
        Column("confidence", "double", "how sure, 0 to 1; docs/diagnosis.md says what it means"),
        Column("fault", "string", "the fault that is named, if one is"),
        Column("axis", "string", "the axis that shows it best"),
        Column("reason", "string", "in words: why this verdict"),
        Column("speed_rpm", "double", "shaft speed it was made with", "r/min"),
        Column("speed_source", "string", "measured, nominal, refined, estimated or unknown"),
        Column("speed_confidence", "double", "how sure the estimate of the speed is, 0 to 1; null where it was given"),
        Column("band_low_hz", "double", "where the band begins whose envelope was taken, on that axis", "Hz"),
        Column("band_high_hz", "double", "where it ends", "Hz"),
        Column("band_kurtosis", "double", "excess kurtosis of its envelope; 0 for noise"),
        Column("findings", "string", "JSON: the faults with any support, with lines, what supports and contradicts"),
        Column("untested", "string", "JSON: the faults that could not be looked for, and why"),
        Column("code_version", "string", "Telltale's version that made it", required=True),
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
        _id(
            "change",
            "opened, updated, acknowledged, resolved, shelved, unshelved, grouped or reopened; of one that is over "
            "confirmed (the rows after a repair say so), labelled (other closure codes) or noted",
        ),
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
        Column("evidence", "string", "JSON: verdicts, limits, margins, capture ids and diagnosis behind the change"),
        Column("failure_mode", "string", "closure code: what was found"),
        Column("failure_cause", "string", "closure code: why it happened"),
        Column("action_taken", "string", "closure code: what was done"),
        Column("by", "string", "who acted; telltale, where nobody did"),
        Column("shelved_until", "timestamp", "its work order waits until then"),
        Column("parent", "string", "for grouped: the case whose work order names it from now on; empty: none does"),
        Column("heard_at", "timestamp", "for what was done to it: when the line heard of that"),
        Column("after", "timestamp", "likewise: receipt of the last capture that had been judged by then"),
    ),
    day="t",
    sort=("position", "t"),
)

WORK_ORDERS = Table(
    "work_orders",
    "one row per change of a work order; the latest revision is the order as it was last seen",
    (
        _id("case_id", "the case that the order was made for"),
        Column("revision", "int", "counts up with each change of this order", required=True),
        _id("change", "created (a further one, too), status, reopened, updated (title, severity or asset) or refused"),
        POSITION,
        SITE,
        Column("t", "timestamp", "when Telltale saw the change", required=True),
        Column("changed_at", "timestamp", "when the status last changed, as the maintenance system says"),
        _id("cmms", "the maintenance system, by the name of its adapter"),
        Column("ref", "string", "the order in that system; null where it refused to make one"),
        Column("status", "string", "OPEN, IN_PROGRESS, ON_HOLD, DONE or CANCELLED; null likewise"),
        Column("raw_status", "string", "what the system itself says"),
        Column("severity", "string", "WARNING or ALARM: what the order shows, the worst of its cases"),
        Column("title", "string", "the title that the order shows"),
        Column("asset", "string", "the asset's key in the maintenance system, else its path"),
        Column("by", "string", "who changed the status, where the system says"),
        Column("failure_mode", "string", "closure code as the system gave it: what was found"),
        Column("failure_cause", "string", "closure code as the system gave it: why it happened"),
        Column("action_taken", "string", "closure code as the system gave it: what was done"),
        Column("note", "string", "the technician's own words"),
        Column("problem", "string", "why the system refused what it was asked for; null if it did not"),
    ),
    day="t",
    sort=("position", "t"),
)

LABELS = Table(
    "labels",
    "one row per closing or correction of a case: what the technician found; the latest row of a case is the truth "
    "that detection is measured by",
    (
        _id("case_id", "the case; missed-… of a fault that no case was opened for"),
        POSITION,
        SITE,
        Column("t", "timestamp", "when the case was resolved, or its label corrected", required=True),
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

ACTS = Table(
    "acts",
    "one row per act of a person on a position, not on a case; and each erase of a site, a position or a sensor",
    (
        _id("position", "path of the measuring point; of an erase of a site the site, of a sensor empty"),
        _id("site", "the site; empty for an erase of a sensor"),
        Column("t", "timestamp", "when it was asked for", required=True),
        _id("kind", "relearn: what is normal is learned anew; erase: rows were taken out of the lake for good"),
        Column("by", "string", "who asked"),
        Column("why", "string", "in their words"),
        Column("after", "timestamp", "receipt of the last capture that was judged before; null if there was none"),
        Column("detail", "string", "JSON, of an erase: of what, before when, and the rows that were found, by table"),
    ),
    day="t",
    sort=("position", "t"),
)

QUARANTINE = Table(
    "quarantine",
    "one row per record that could not be stored, with its original bytes",
    (
        _id("quarantine_id", "the stream record: shard and sequence number; import/… of what was imported"),
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
        _id("batch_id", "stream/shard/first sequence number; import/digest/number of what was imported"),
        Column("t", "timestamp", "when it was processed", required=True),
        _id("function", "extract_features, detect_anomalies or score_assets; import, of what was imported"),
        _id("stream", "name of the stream; models, of score_assets"),
        _id("shard", "shard of the stream; the asset, of score_assets"),
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


def _count(name: str, meaning: str) -> Column:
    return Column(name, "long", meaning, required=True)


AGGREGATED_DAY = Column("t", "timestamp", "the day: its first instant, 00:00 UTC", required=True)
OFF = _count("machine_off", "of the judged ones, captures with the machine off")
RUNNING_SHARE = Column("running_share", "double", "share of the judged captures in which the machine was not off")
NOT_ASSESSABLE = _count(
    "not_assessable", "of the judged ones, captures of a running machine of which no rule could say anything yet"
)
SENSOR_FAULTS = _count("sensor_faults", "captures with a sensor fault on some axis")
WARNINGS = _count("warnings", "captures after which the worst debounced verdict was WARNING")
ALARMS = _count("alarms", "captures after which the worst debounced verdict was ALARM")
CASES_OPENED = _count("cases_opened", "cases that opened")
CASES_RESOLVED = _count("cases_resolved", "cases that were resolved")
FALSE_ALARMS = _count("false_alarms", "cases that were closed with NO_ISSUE")
AGGREGATED_READINGS = _count("readings", "values of historian tags")
SAMPLE_BYTES = Column("sample_bytes", "long", "waveforms as the sensors sent them, 2 a sample", "bytes", required=True)

POSITION_DAILY = Table(
    "position_daily",
    "one row per position and day on which anything was heard of it or a case of it changed; telltale.aggregates",
    (
        AGGREGATED_DAY,
        POSITION,
        SITE,
        Column("sensor", "string", "the sensor of the last capture"),
        _count("captures", "captures, each once, however many messages brought it"),
        Column("last_capture_at", "timestamp", "when the last of them was sampled"),
        Column("interval_s", "double", "the day's usual time between two captures: the median", "s"),
        Column("expected", "long", "captures that fit into the day, or into what is over of it, at that interval"),
        Column("missing_share", "double", "share of those that is missing; null with fewer than two captures"),
        _count("judged", "captures that were judged"),
        OFF,
        RUNNING_SHARE,
        NOT_ASSESSABLE,
        SENSOR_FAULTS,
        Column(
            "velocity_mean_mm_s",
            "double",
            "mean over the captures of the running machine of the velocity RMS on the worst axis with a sound sensor",
            "mm/s",
        ),
        Column("velocity_max_mm_s", "double", "the largest of these", "mm/s"),
        Column("velocity_axis", "string", "the axis that had it"),
        Column("temperature_mean_c", "double", "mean surface temperature", "°C"),
        Column("temperature_max_c", "double", "the highest", "°C"),
        Column("worst", "string", "the worst debounced verdict of the machine: ALARM, WARNING, HEALTHY or UNKNOWN"),
        Column("score_max", "double", "the largest deviation as a share of its limit; 1 is on the limit"),
        WARNINGS,
        ALARMS,
        *(_count(f"zone_{zone.lower()}", f"captures whose worst axis was in ISO zone {zone}") for zone in "ABCD"),
        *(
            Column(
                f"zone_{zone.lower()}_min",
                "double",
                f"time in ISO zone {zone}: a capture stands until the next, at most for the usual interval",
                "min",
            )
            for zone in "ABCD"
        ),
        CASES_OPENED,
        CASES_RESOLVED,
        FALSE_ALARMS,
        AGGREGATED_READINGS,
        SAMPLE_BYTES,
        # added later: null on days that were not computed since
        Column("messages", "long", "messages of captures that came over the line, not by an import"),
        Column("gateway", "string", "the gateway of the last capture that had one"),
        Column("battery_pct", "double", "the last battery charge", "%"),
        Column("rssi_dbm", "double", "the last radio signal strength", "dBm"),
    ),
    day="t",
    sort=("position", "t"),
)

SITE_DAILY = Table(
    "site_daily",
    "one row per site and day on which anything was heard of it; telltale.aggregates",
    (
        AGGREGATED_DAY,
        _id("site", "the site; (unknown) for rejected records of a gateway that sent nothing else that day"),
        _count("positions_heard", "positions with a capture or a reading"),
        _count("positions_warning", "positions whose worst debounced verdict was WARNING"),
        _count("positions_alarm", "positions whose worst debounced verdict was ALARM"),
        _count("captures", "captures of all positions"),
        Column("expected", "long", "captures that fit into the day at the usual interval of each position"),
        Column("missing_share", "double", "share of those that is missing"),
        _count("judged", "captures that were judged"),
        OFF,
        RUNNING_SHARE,
        NOT_ASSESSABLE,
        SENSOR_FAULTS,
        Column("velocity_max_mm_s", "double", "the largest velocity RMS of a running machine", "mm/s"),
        Column("temperature_max_c", "double", "the highest surface temperature", "°C"),
        WARNINGS,
        ALARMS,
        CASES_OPENED,
        CASES_RESOLVED,
        FALSE_ALARMS,
        _count("orders_created", "work orders that were made"),
        _count("orders_done", "work orders that the technician was done with"),
        _count("rejected", "records that were quarantined, by the site of their gateway"),
        AGGREGATED_READINGS,
        SAMPLE_BYTES,
    ),
    day="t",
    sort=("site", "t"),
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


def _monitron_model(name: str, words: str) -> tuple[Column, ...]:
    """The three outputs of one of Monitron's models."""
    return (
        Column(f"{name}_previous", "string", f"{words}: the debounced output before"),
        Column(f"{name}_persistent", "string", f"{words}: the debounced output"),
        Column(f"{name}_pointwise", "string", f"{words}: of this measurement alone"),
    )


def _monitron_total(name: str, words: str, unit: str) -> tuple[Column, ...]:
    """Monitron's summary of all three axes together, 10-1000 Hz."""
    return (
        Column(f"{name}_abs_max_{unit.replace('/', '_')}", "double", f"{words}, 10-1000 Hz: largest value", unit),
        Column(f"{name}_abs_min_{unit.replace('/', '_')}", "double", f"{words}, 10-1000 Hz: smallest value", unit),
        Column(f"{name}_crest", "double", f"{words}, 10-1000 Hz: crest factor; null above 50, which no signal has"),
        Column(f"{name}_rms_{unit.replace('/', '_')}", "double", f"{words}, 10-1000 Hz: RMS", unit),
    )


def _monitron_axes(name: str, words: str, unit: str) -> tuple[Column, ...]:
    return tuple(
        Column(f"{name}_{axis}_{unit.replace('/', '_')}", "double", f"{words}, axis {axis}: RMS", unit)
        for axis in ("x", "y", "z")
    )


MONITRON_EVENTS = Table(
    "monitron_events",
    "one row per event of Amazon Monitron that was imported, whole: what it said comes back out of `telltale export`",
    (
        _id("event_id", "Monitron's eventId; made of sensor and time where it had none"),
        _id("event_type", "eventType; measurement or assetStateTransition for exports of version 1, which has none"),
        _id("position", "path of the measuring point; of events of gateways the site alone"),
        SITE,
        Column("t", "timestamp", "when Monitron received it, which is not when it was sampled", required=True),
        Column("sensor", "string", "physicalId of the sensor"),
        Column("gateway", "string", "physicalId of the gateway"),
        Column("rssi_dbm", "double", "radio signal strength", "dBm"),
        Column("sequence_no", "long", "sequenceNo"),
        Column("temperature_c", "double", "surface temperature", "°C"),
        *_monitron_axes("acceleration_wide", "acceleration, 0-6000 Hz", "m/s2"),
        *_monitron_axes("acceleration", "acceleration, 10-1000 Hz", "m/s2"),
        *_monitron_total("acceleration_total", "acceleration of all axes", "m/s2"),
        *_monitron_axes("velocity", "velocity, 10-1000 Hz", "mm/s"),
        *_monitron_total("velocity_total", "velocity of all axes", "mm/s"),
        Column("iso_class", "string", "CLASS1 to CLASS4: the machine class vibrationISO judged by"),
        Column("iso_muted", "string", "the threshold that was muted: WARNING or ALARM"),
        *_monitron_model("iso", "vibrationISO"),
        *_monitron_model("ml", "vibrationML"),
        *_monitron_model("temperature", "temperatureML"),
        Column("transition", "string", "what changed the state: measurement or userInput"),
        Column("new_state", "string", "state of the position after it"),
        Column("previous_state", "string", "state before it"),
        Column("failure_mode", "string", "closure code as it was given"),
        Column("failure_cause", "string", "closure code as it was given"),
        Column("action_taken", "string", "closure code as it was given"),
        Column("resolved_models", "string", "JSON: the models whose alarm was resolved"),
        Column("context", "string", "JSON: names, numbers and addresses of project, site, asset, position and gateway"),
        Column("extra", "string", "JSON: fields that Monitron's documents do not have, at their place in the event"),
    ),
    day="t",
    sort=("position", "t"),
)

LOOKOUT_FINDINGS = Table(
    "lookout_findings",
    "one row per figure or range that Lookout for Equipment told of a model, as it was imported",
    (
        _id("asset", "path of the asset: site/area/asset"),
        SITE,
        _id("model", "the model, as Lookout or the import calls it"),
        _id("kind", "metric: a figure of its evaluation; labelled, predicted: a range of it; event: one told live"),
        _id("name", "of a metric what it is, as a path in Lookout's JSON; of a range its beginning"),
        Column("t", "timestamp", "of a range its end; of a metric the end of the evaluation", required=True),
        Column("start", "timestamp", "of a range its beginning"),
        Column("value", "double", "of a metric"),
        Column("diagnostics", "string", "of a range, JSON: the sensors that say most, as Lookout names them"),
        Column("extra", "string", "JSON: what else Lookout said of it"),
    ),
    day="t",
    sort=("asset", "t"),
)

FEATURES_TABLE = _features_table()

TABLES: tuple[Table, ...] = (
    CAPTURES,
    WAVEFORMS,
    FEATURES_TABLE,
    READINGS,
    VERDICTS,
    TAG_ALARMS,
    SCORES,
    DIAGNOSES,
    CASES,
    WORK_ORDERS,
    LABELS,
    ACTS,
    QUARANTINE,
    BATCHES,
    MONITRON_EVENTS,
    LOOKOUT_FINDINGS,
    POSITION_DAILY,
    SITE_DAILY,
)
