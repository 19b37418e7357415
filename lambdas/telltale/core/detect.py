"""Detection: one pure step from (state, row) to (state, verdicts, case changes).

Causal and idempotent: each channel keeps the time of its last row and skips what is not later, so a
row that is delivered again, or late, changes nothing, and the axes of a capture may come in any order.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from telltale.core.plant import Position

AXES = ("x", "y", "z")
CHANNELS = (*AXES, "temperature")


@dataclass(frozen=True)
class Settings:
    """How rows are judged; `Position.settings` overrides by name."""

    warmup: int = 100
    warning_n: int = 4
    warning_m: int = 6

    @classmethod
    def of(cls, position: Position) -> Self:
        return cls(**{name: int(value) for name, value in position.settings.items()})


@dataclass(frozen=True)
class Row:
    """One message's condition indicators: by axis, by feature column; None is "not known"."""

    capture_id: str
    part: str
    t_ms: int
    received_ms: int
    sensor: str
    speed_rpm: float | None = None
    temperature_c: float | None = None
    axes: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class Control:
    """What a person did to a case: kind is "acknowledged" or "resolved"; closure only when resolved."""

    kind: str
    case_id: str
    t_ms: int
    by: str
    closure: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Verdict:
    """One rule's judgement of one channel of one row: the columns of schema.VERDICTS that are not ids."""

    channel: str
    rule: str
    verdict: str
    persistent: str
    feature: str | None = None
    value: float | None = None
    limit: float | None = None
    unit: str | None = None
    margin: float | None = None
    score: float | None = None
    limit_source: str | None = None
    zone: str | None = None
    reason: str | None = None
    samples: int | None = None


@dataclass(frozen=True)
class CaseChange:
    """One change of a case: opened, updated, acknowledged or resolved."""

    case_id: str
    revision: int
    change: str
    t_ms: int
    opened_ms: int
    severity: str
    state: str
    rule: str
    channel: str
    reason: str
    fault: str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    closure: Mapping[str, str] | None = None
    by: str | None = None


@dataclass(frozen=True)
class OpenCase:
    """The one case that is open at a position."""

    case_id: str
    opened_ms: int
    revision: int
    severity: str
    rule: str
    channel: str
    acknowledged: bool = False


@dataclass(frozen=True)
class State:
    """All that is remembered of one position, at most 1,024 bytes packed."""

    state: str = "UNKNOWN"
    last_ms: Mapping[str, int] = field(default_factory=dict)
    bits: Mapping[str, int] = field(default_factory=dict)
    open_case: OpenCase | None = None

    @classmethod
    def new(cls) -> Self:
        return cls()

    def pack(self) -> bytes:
        case = self.open_case.__dict__ if self.open_case else None
        return json.dumps([self.state, dict(self.last_ms), dict(self.bits), case]).encode()

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        state, last_ms, bits, case = json.loads(packed)
        return cls(state, last_ms, bits, OpenCase(**case) if case else None)


def case_id(position: str, opened_ms: int) -> str:
    digest = hashlib.sha256(f"{position}|{opened_ms}".encode()).digest()
    return "case-" + base64.b32encode(digest)[:20].decode().lower()


def step(state: State, row: Row | Control, position: Position) -> tuple[State, list[Verdict], list[CaseChange]]:
    """The next state, this row's verdicts, and what changed in the position's case."""
    if isinstance(row, Control):
        state, changes = _act(state, row)
        return state, [], changes
    return _judge(state, row, position)


def _act(state: State, control: Control) -> tuple[State, list[CaseChange]]:
    case = state.open_case
    if case is None or case.case_id != control.case_id or (control.kind == "acknowledged" and case.acknowledged):
        return state, []
    case = replace(case, revision=case.revision + 1, acknowledged=True)
    done = control.kind == "resolved"
    after = "HEALTHY" if done else "NEEDS_MAINTENANCE"
    change = CaseChange(
        case.case_id,
        case.revision,
        control.kind,
        control.t_ms,
        case.opened_ms,
        case.severity,
        after,
        case.rule,
        case.channel,
        f"{control.kind} by {control.by}",
        closure=control.closure,
        by=control.by,
    )
    return replace(state, state=after, open_case=None if done else case, bits={} if done else state.bits), [change]


def _judge(state: State, row: Row, position: Position) -> tuple[State, list[Verdict], list[CaseChange]]:
    settings = Settings.of(position)
    verdicts: list[Verdict] = []
    changes: list[CaseChange] = []
    values = {axis: row.axes[axis].get("velocity_rms_mm_s") for axis in AXES if axis in row.axes}
    if row.temperature_c is not None:
        values["temperature"] = row.temperature_c
    limits = position.limits
    for channel, value in values.items():
        if row.t_ms <= state.last_ms.get(channel, -1):
            continue
        state = replace(state, last_ms={**state.last_ms, channel: row.t_ms})
        rule, unit = ("temperature", "°C") if channel == "temperature" else ("zone", "mm/s")
        limit = limits.temperature_alarm_c if rule == "temperature" else limits.velocity_alarm_mm_s
        if limit is None or value is None:
            verdicts.append(Verdict(channel, rule, "NOT_ASSESSABLE", "UNKNOWN", reason="no limit or no value"))
            continue
        bits = (state.bits.get(channel, 0) << 1 | (value >= limit)) & (2**settings.warning_m - 1)
        state = replace(state, bits={**state.bits, channel: bits})
        persistent = "ALARM" if bits.bit_count() >= settings.warning_n else "HEALTHY"
        pointwise = "ALARM" if value >= limit else "HEALTHY"
        verdict = Verdict(
            channel, rule, pointwise, persistent, rule, value, limit, unit, limit - value, value / limit, "user"
        )
        verdicts.append(verdict)
        if persistent == "ALARM" and state.open_case is None:
            case = OpenCase(case_id(position.id, row.t_ms), row.t_ms, 1, "ALARM", rule, channel)
            state = replace(state, state="ALARM", open_case=case)
            evidence = {"verdicts": [verdict.__dict__], "capture_ids": [row.capture_id]}
            changes.append(
                CaseChange(
                    case.case_id,
                    1,
                    "opened",
                    row.t_ms,
                    row.t_ms,
                    "ALARM",
                    "ALARM",
                    rule,
                    channel,
                    f"{value:g} {unit} is above {limit:g}",
                    evidence=evidence,
                )
            )
        elif state.state == "UNKNOWN":
            state = replace(state, state="HEALTHY")
    return state, verdicts, changes
