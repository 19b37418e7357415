"""What the lake knows, as events of Amazon Monitron's Kinesis export, version 2.0; docs/export.md has every field.

The live stream and `telltale export monitron` call these same functions, so an event has the same `eventId` in both.

What came from Monitron itself is not made anew: core.monitron_rows gives it back as it was.

All values are plain: what these functions return is JSON.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from telltale.core import repair
from telltale.core.cases import is_by_row, is_repair
from telltale.core.closure import closure_from
from telltale.core.judgement import AXES, CaseChange, Row, Verdict
from telltale.core.plant import Position

VERSION = "2.0"
STANDARD_GRAVITY = 9.80665  # m/s2 in a g: Monitron speaks m/s2, the lake g
DIGITS = 12  # significant ones: a product of 1.1 is not told as 1.1000000000000003

MEASUREMENT, TRANSITION = "measurement", "assetStateTransition"
CONNECTIONS = {  # what core.presence tells, as Monitron calls it
    "Sensor Stale": "sensorDisconnected",
    "Sensor Back": "sensorConnected",
    "Gateway Disconnected": "gatewayDisconnected",
    "Gateway Connected": "gatewayConnected",
}
EVENT_TYPES = (MEASUREMENT, TRANSITION, *CONNECTIONS.values())
MODELS = {"temperatureML": "temperature", "vibrationISO": "zone", "vibrationML": "baseline"}  # → our rule
PERSISTENT = ("UNKNOWN", "HEALTHY", "WARNING", "ALARM")
POINTWISE = ("UNKNOWN", "INITIALIZING", "HEALTHY", "WARNING", "ALARM")
ISO_CLASSES = {f"iso10816-1/{roman}": f"CLASS{n}" for n, roman in enumerate(("I", "II", "III", "IV"), start=1)}

Levels = Mapping[tuple[str, str], str]  # channel and rule → the debounced verdict
_WIDE, _BAND, _TOTAL = "band0To6000Hz", "band10To1000Hz", "totalVibration"
_SUMMARIES = ("absMax", "absMin", "crestFactor", "rms")
_OUTPUT = "ClassificationOutput"

_BANDS = ("band_10_50_g", "band_50_100_g", "band_100_200_g", "band_200_500_g", "band_500_1000_g")
_TO_5_KHZ = (*_BANDS, "band_1000_2000_g", "band_2000_5000_g")
_BEYOND_6_KHZ = "band_5000_10000_g"  # of records that reach beyond what Monitron's sensor heard

# The order in which Monitron writes keys; what is not named keeps its own, behind them.
_ORDER = {
    "": ("timestamp", "eventId", "version", "accountId", "projectName", "projectId", "eventType", "eventPayload"),
    "eventPayload": (
        *("siteName", "assetName", "positionName", "gatewayName", "gatewayListURL", "companyName", "geoLocation"),
        *("address", "serialNumber", "make", "model", "assetPositionURL", "sensor", "gateway", "sequenceNo"),
        *("features", "models", "assetTransitionType", "assetState", "closureCode", "assetPositionId", "x"),
    ),
    "geoLocation": ("latitude", "longitude"),
    "sensor": ("physicalId", "rssi"),
    "features": ("acceleration", "velocity", "temperature"),
    "acceleration": (_WIDE, _BAND),
    _BAND: (_TOTAL, "xAxis", "yAxis", "zAxis"),
    _WIDE: ("xAxis", "yAxis", "zAxis"),
    _TOTAL: _SUMMARIES,
    "models": tuple(MODELS),
    **dict.fromkeys(
        MODELS,
        (
            *("isoClass", "mutedThreshold", f"previousPersistent{_OUTPUT}"),
            *(f"persistent{_OUTPUT}", f"pointwise{_OUTPUT}"),
        ),
    ),
    "assetState": ("newState", "previousState"),
    "closureCode": ("failureMode", "failureCause", "actionTaken", "resolvedModels"),
}


@dataclass(frozen=True)
class Account:
    """What every event says of who sends it."""

    account_id: str
    project_name: str
    project_id: str


@dataclass(frozen=True)
class Place:
    """A position as events call it. `id` is its path, which stays; the names may change."""

    id: str
    site_name: str
    asset_name: str
    position_name: str
    machine_class: str | None = None

    @classmethod
    def of(cls, position: Position, site_name: str) -> "Place":
        own, asset = position.id.rsplit("/", 1)[1], position.asset.rsplit("/", 1)[1]
        name = position.asset_name or asset
        return cls(position.id, site_name or position.site, name, position.name or own, position.machine_class)


@dataclass(frozen=True)
class Judged:
    """What was said of a row, and what stood at its position before."""

    verdicts: Sequence[Verdict] = ()
    before: Levels = field(default_factory=dict)

    @property
    def after(self) -> Levels:
        """What stands since. Channels that did not come with this row stand as they did."""
        return {**self.before, **{(one.channel, one.rule): one.persistent for one in self.verdicts}}


def measurement(
    account: Account,
    place: Place,
    row: Row,
    *,
    gateway: str | None,
    judged: Judged,
) -> dict[str, Any]:
    """The event of one message: features of the axes that came with it, and what was said of them."""
    payload: dict[str, Any] = {
        **_names(place),
        "sensor": {"physicalId": row.sensor, **_known(rssi=_whole(row.rssi_dbm))},
        **_known(gateway={"physicalId": gateway} if gateway else None),
        "features": _features(row),
        "models": _models(place, judged),
        "assetPositionId": place.id,
        "x": _beside(place, row, judged),
    }
    id_ = f"{MEASUREMENT}|{row.sensor}|{row.capture_id}|{row.part}"
    return _event(account, MEASUREMENT, id_, row.received_ms, payload)


def transition(
    account: Account,
    place: Place,
    change: CaseChange,
    *,
    previous: str,
    received_ms: int,
    sensor: str | None,
) -> dict[str, Any] | None:
    """The event of a change of a case, None where the position's state is the one before, or the case is over: what is
    said of it then has no place among transitions.

    previous : the state before; HEALTHY where the change opened the case.
    """
    if change.state == previous or change.change in ("labelled", repair.CONFIRMED, repair.NOTED):
        return None
    by_row, resolved = is_by_row(change), change.change == "resolved"
    payload = {
        **_names(place),
        **_known(sensor={"physicalId": sensor} if sensor else None),
        "assetTransitionType": "measurement" if by_row else "userInput",
        "assetState": {"newState": change.state, "previousState": previous},
        **_known(closureCode=_closure(change) if resolved else None),
        "assetPositionId": place.id,
        "x": _known(
            **{"sampledAt" if by_row else "actedAt": moment(change.t_ms)},
            caseId=change.case_id,
            change=change.change,
            reason=change.reason or None,
            fault=change.fault,
            by=change.by,
        ),
    }
    return _event(account, TRANSITION, f"{TRANSITION}|{change.case_id}|{change.revision}", received_ms, payload)


def sensor_connection(account: Account, kind: str, place: Place, sensor: str, *, heard_ms: int) -> dict[str, Any]:
    """The event of a sensor that fell silent or is back. kind : of CONNECTIONS.   heard_ms : last or first heard."""
    payload = {**_names(place), "sensor": {"physicalId": sensor}, "assetPositionId": place.id}
    return _event(account, CONNECTIONS[kind], f"{kind}|{sensor}|{heard_ms}", heard_ms, payload)


def gateway_connection(
    account: Account, kind: str, gateway: str, *, name: str, site_name: str, heard_ms: int
) -> dict[str, Any]:
    """The same of a gateway."""
    payload = {"siteName": site_name, "gatewayName": name or gateway, "gateway": {"physicalId": gateway}}
    return _event(account, CONNECTIONS[kind], f"{kind}|{gateway}|{heard_ms}", heard_ms, payload)


def ordered(event: Mapping[str, Any], name: str = "") -> dict[str, Any]:
    """The same with keys in Monitron's order, at every level."""
    first = _ORDER.get(name, ())
    keys = [key for key in first if key in event] + [key for key in event if key not in first]
    return {key: ordered(event[key], key) if isinstance(event[key], Mapping) else event[key] for key in keys}


def previous_states(changes: Iterable[CaseChange]) -> Iterable[tuple[CaseChange, str]]:
    """Changes of cases with the state before each. changes : of each case in the order of its revisions."""
    shown: dict[str, str] = {}
    for change in changes:
        yield change, "HEALTHY" if change.change == "opened" else shown.get(change.case_id, change.state)
        shown[change.case_id] = change.state


def moment(t_ms: int) -> str:
    """An instant as Monitron writes it: UTC, `yyyy-mm-dd hh:mm:ss.SSS`."""
    at = datetime.fromtimestamp(t_ms // 1000, UTC).isoformat(" ")
    return f"{at[:19]}.{t_ms % 1000:03d}"


# Changes that `settled` may say something of.
SETTLES = ("resolved", "labelled", repair.CONFIRMED, repair.NOTED)


def closed(standing: Levels, closure: Mapping[str, str]) -> Levels:
    """What stands after a case was closed: all is new after a repair, and otherwise quiet as it is (core.cases)."""
    unknown = standing if not is_repair(closure) else {}
    return {name: "UNKNOWN" if unknown.get(name, "UNKNOWN") == "UNKNOWN" else "HEALTHY" for name in standing}


def settled(standing: Levels, change: CaseChange) -> Levels:
    """What stands after a change of a case: the same, unless rules start anew or are quiet with it (core.repair)."""
    if change.change == "resolved":
        return closed(standing, change.closure or {})
    trial = change.evidence.get("trial")
    if trial == "begun" or (change.change in (repair.CONFIRMED, repair.NOTED) and "repair" in change.evidence):
        return dict.fromkeys(standing, "UNKNOWN")
    return closed(standing, {}) if trial == "ended" else standing


# --- Parts of a measurement


def _features(row: Row) -> dict[str, Any]:
    axes = {f"{axis}Axis": row.axes[axis] for axis in AXES if axis in row.axes}
    wide = {name: _m_s2(_wide_g(values)) for name, values in axes.items()}
    band = {name: _m_s2(_together([values.get(one) for one in _BANDS])) for name, values in axes.items()}
    velocity = {name: values.get("velocity_rms_mm_s") for name, values in axes.items()}
    acceleration = _filled({_WIDE: _rms(wide), _BAND: _with_total(band)})
    return _filled(
        {
            "acceleration": acceleration,
            "velocity": _filled({_BAND: _with_total(velocity)}),
            "temperature": row.temperature_c,
        }
    )


def _rms(axes: Mapping[str, float | None]) -> dict[str, Any]:
    return {name: {"rms": rms} for name, rms in axes.items() if rms is not None}


def _with_total(axes: Mapping[str, float | None]) -> dict[str, Any]:
    """The axes, and before them all three together where all are known."""
    total = _together(list(axes.values())) if len(axes) == len(AXES) else None
    return {**({} if total is None else {_TOTAL: {"rms": _rounded(total)}}), **_rms(axes)}


def _filled(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is not known, or has nothing in it."""
    return {name: part for name, part in parts.items() if part is not None and part != {}}


def _wide_g(values: Mapping[str, float | None]) -> float | None:
    """Acceleration up to about 6 kHz: the whole record's, or up to 5 kHz where the record reaches far beyond."""
    if values.get(_BEYOND_6_KHZ) is not None:
        together = _together([values.get(name) for name in _TO_5_KHZ])
        if together is not None:
            return together
    return values.get("rms_g")


def _together(rms: Sequence[float | None]) -> float | None:
    """RMS of all of them together; None if one is not known."""
    known = [one for one in rms if one is not None]
    return sum(one * one for one in known) ** 0.5 if len(known) == len(rms) else None


def _models(place: Place, judged: Judged) -> dict[str, Any]:
    before, now = _worst(judged.before), _worst(judged.after)
    return {
        name: {
            **(_known(isoClass=ISO_CLASSES.get(place.machine_class or "")) if name == "vibrationISO" else {}),
            f"previousPersistent{_OUTPUT}": before.get(rule, "UNKNOWN"),
            f"persistent{_OUTPUT}": now.get(rule, "UNKNOWN"),
            f"pointwise{_OUTPUT}": _pointwise(rule, judged.verdicts),
        }
        for name, rule in MODELS.items()
    }


def _worst(standing: Levels) -> dict[str, str]:
    """By rule, of the rules that Monitron has too."""
    found: dict[str, list[str]] = {}
    for (_, rule), level in standing.items():
        if level in PERSISTENT:
            found.setdefault(rule, []).append(level)
    return {rule: max(levels, key=PERSISTENT.index) for rule, levels in found.items()}


def _pointwise(rule: str, verdicts: Iterable[Verdict]) -> str:
    """The worst of the rule's channels. What is still being learned is INITIALIZING, what was not judged UNKNOWN."""
    said = [verdict.verdict for verdict in verdicts if verdict.rule == rule]
    if rule == "baseline":
        said = ["INITIALIZING" if one == "UNKNOWN" else one for one in said]
    return max((one for one in said if one in POINTWISE), key=POINTWISE.index, default="UNKNOWN")


def _beside(place: Place, row: Row, judged: Judged) -> dict[str, Any]:
    """What Monitron has no field for."""
    off = any(verdict.verdict == "MACHINE_OFF" for verdict in judged.verdicts)
    loud = {f"{one.channel} {one.rule}": one.reason for one in judged.verdicts if one.verdict in ("WARNING", "ALARM")}
    custom = place.machine_class if place.machine_class not in ISO_CLASSES else None
    return _known(
        sampledAt=moment(row.t_ms),
        captureId=row.capture_id,
        part=row.part,
        speedRpm=row.speed_rpm,
        machineOff=off or None,
        limitProfile=custom,
        reasons=loud or None,
    )


def _closure(change: CaseChange) -> dict[str, Any]:
    codes = closure_from(change.closure)
    rules = {joined.rsplit(" ", 1)[-1] for joined in change.evidence.get("joined", ())}
    resolved = [name for name, rule in MODELS.items() if rule in rules]
    return {
        "failureMode": codes.failure_mode,
        "failureCause": codes.failure_cause,
        "actionTaken": codes.action_taken,
        "resolvedModels": sorted(resolved, key=("vibrationISO", "vibrationML", "temperatureML").index),
    }


# --- Events


def _event(account: Account, kind: str, id_: str, received_ms: int, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Its keys, and those of its parts, are in Monitron's order as they are given."""
    return {
        "timestamp": moment(received_ms),
        "eventId": _uuid(id_),
        "version": VERSION,
        "accountId": account.account_id,
        "projectName": account.project_name,
        "projectId": account.project_id,
        "eventType": kind,
        "eventPayload": payload,
    }


def _uuid(id_: str) -> str:
    """A UUID made of what happened: version 8 of RFC 9562, SHA-256."""
    digest = hashlib.sha256(id_.encode()).hexdigest()
    variant = "89ab"[int(digest[16], 16) % 4]
    return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def _names(place: Place) -> dict[str, str]:
    return {"siteName": place.site_name, "assetName": place.asset_name, "positionName": place.position_name}


def _known(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _m_s2(value_g: float | None) -> float | None:
    return None if value_g is None else _rounded(value_g * STANDARD_GRAVITY)


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _whole(value: float | None) -> int | float | None:
    """A number that is whole without its zero fraction, as Monitron writes rssi."""
    return int(value) if value is not None and float(value).is_integer() else value
