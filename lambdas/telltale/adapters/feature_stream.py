"""What travels on the stream `features`: rows to judge, what models of assets say, what people did to cases, and what
became of their work orders, in one order a position.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

from telltale.core import missed, model_scores, orders, relearn
from telltale.core.cases import ACTS
from telltale.core.detect import Control, Row
from telltale.core.errors import Reason, Rejected
from telltale.core.judgement import MODEL, ModelScore
from telltale.core.orders import OrderChange, OrderSeen

VERSION = 1
NUMBER = (int, float)


@dataclass(frozen=True)
class Message:
    """One record: what to judge, where, the gateway a row came through, and the key of the file with its waveforms.

    digests : of all that the row's message brought, see core.evidence; None in what a version before them sent.
    """

    position: str
    item: Row | Control
    gateway: str | None = None
    waveforms: str | None = None
    digests: Mapping[str, str] | None = None


@dataclass(frozen=True)
class OrderTold:
    """One record that is only kept: what became of the work order of a case at a position."""

    position: str
    change: OrderChange


def encode_control(position: str, control: Control) -> bytes:
    """The record that tells detection what a person did; its partition key is the position."""
    acted = {name: value for name, value in asdict(control).items() if value is not None}
    return json.dumps({"v": VERSION, "position": position, **acted}).encode()


def encode_order(position: str, change: OrderChange) -> bytes:
    """The record that has detection keep what became of a work order; its partition key is the position."""
    return json.dumps({"v": VERSION, "kind": orders.KIND, "position": position, **orders.as_document(change)}).encode()


def decode(data: bytes) -> Message:
    """A record that is to be judged. Raises Rejected for any other."""
    record = read(data)
    if isinstance(record, OrderTold):
        raise Rejected(Reason.BAD_FIELD, f"kind is {orders.KIND!r}, wanted what can be judged")
    return record


def read(data: bytes) -> Message | OrderTold:
    """The record. Raises Rejected, for bytes that are none can never be judged, nor kept."""
    try:
        document = json.loads(data, parse_constant=_not_finite)
    except ValueError as error:
        raise Rejected(Reason.BAD_PAYLOAD, f"not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("v") != VERSION:
        raise Rejected(Reason.BAD_PAYLOAD, f"wanted an object with v {VERSION}")
    position, kind = _field(document, "position", str), _field(document, "kind", str)
    if kind == "features":
        gateway, waveforms = (_optional(document, name, str) for name in ("gateway", "waveforms"))
        return Message(position, _row(document), gateway, waveforms, _optional(document, "digests", dict))
    if kind == MODEL:
        return Message(position, _model_row(document))
    if kind in (*ACTS, relearn.KIND, missed.KIND):
        return Message(position, _control(kind, document))
    if kind == orders.KIND:
        return OrderTold(position, _order(document))
    wanted = ("features", MODEL, *ACTS, relearn.KIND, missed.KIND, orders.KIND)
    raise Rejected(Reason.BAD_FIELD, f"kind is {kind!r}, wanted {', '.join(wanted)}")


def _row(document: Mapping[str, Any]) -> Row:
    axes = _optional(document, "axes", dict) or {}
    return Row(
        capture_id=_field(document, "capture_id", str),
        part=_field(document, "part", str),
        t_ms=_field(document, "t_ms", int),
        received_ms=_field(document, "received_ms", int),
        sensor=_field(document, "sensor", str),
        speed_rpm=_optional(document, "speed_rpm", NUMBER),
        temperature_c=_optional(document, "temperature_c", NUMBER),
        axes={axis: _indicators(axis, values) for axis, values in axes.items()},
        tags=_tags(_optional(document, "tags", dict) or {}),  # none in what a version before tags sent
        battery_pct=_optional(document, "battery_pct", NUMBER),
        rssi_dbm=_optional(document, "rssi_dbm", NUMBER),
    )


def _model_row(document: Mapping[str, Any]) -> Row:
    """What the model of the position's asset says of one interval; nothing of it comes from a sensor."""
    t_ms, version = _field(document, "t_ms", int), _field(document, "model", str)
    shares = _optional(document, "contributions", dict) or {}
    said = ModelScore(
        score=float(_field(document, "score", NUMBER)),
        reason=_field(document, "reason", str),
        version=version,
        contributions={tag: float(_field(shares, tag, NUMBER)) for tag in shares},
    )
    return model_scores.row(_field(document, "asset", str), t_ms, _field(document, "received_ms", int), said)


def _indicators(axis: str, values: Any) -> dict[str, float | None]:
    if not isinstance(values, dict):
        raise Rejected(Reason.BAD_FIELD, f"axis {axis} is {values!r}, wanted an object of indicators")
    return {name: _optional(values, name, NUMBER) for name in values}


def _tags(values: Mapping[str, Any]) -> dict[str, float]:
    tags = {name: _field(values, name, NUMBER) for name in values}
    infinite = sorted(name for name, value in tags.items() if abs(value) > sys.float_info.max)
    if infinite:
        raise Rejected(Reason.BAD_FIELD, f"tags {', '.join(infinite)} are infinite, wanted finite numbers")
    return {name: float(value) for name, value in tags.items()}


def _control(kind: str, document: Mapping[str, Any]) -> Control:
    closure = _optional(document, "closure", dict)
    return Control(
        kind=kind,
        case_id=_field(document, "case_id", str),
        t_ms=_field(document, "t_ms", int),
        by=_field(document, "by", str),
        closure={name: _field(closure, name, str) for name in closure} if closure is not None else None,
        until_ms=_optional(document, "until_ms", int),
        parent=_optional(document, "parent", str),
        why=_optional(document, "why", str),
    )


def _order(document: Mapping[str, Any]) -> OrderChange:
    closure = _optional(document, "closure", dict) or {}
    texts = ("ref", "status", "raw_status", "title", "severity", "asset", "problem")
    seen = OrderSeen(
        case_id=_field(document, "case_id", str),
        cmms=_field(document, "cmms", str),
        changed_ms=_optional(document, "changed_ms", int),
        by=_optional(document, "by", str),
        closure={name: _field(closure, name, str) for name in closure},
        **{name: _optional(document, name, str) or "" for name in texts},
    )
    change = _field(document, "change", str)
    if change not in orders.CHANGES:
        raise Rejected(Reason.BAD_FIELD, f"change is {change!r}, wanted one of {', '.join(orders.CHANGES)}")
    return OrderChange(_field(document, "revision", int), change, _field(document, "t_ms", int), seen)


def _field(document: Mapping[str, Any], name: str, kind: type | tuple[type, ...]) -> Any:
    value = _optional(document, name, kind)
    if value is None:
        raise Rejected(Reason.BAD_FIELD, f"{name} is missing, wanted {kind}")
    return value


def _optional(document: Mapping[str, Any], name: str, kind: type | tuple[type, ...]) -> Any:
    value = document.get(name)
    # bool is an int to isinstance, and never what is meant
    if value is not None and (isinstance(value, bool) or not isinstance(value, kind)):
        raise Rejected(Reason.BAD_FIELD, f"{name} is {value!r}, wanted {kind}")
    return value


def _not_finite(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")
