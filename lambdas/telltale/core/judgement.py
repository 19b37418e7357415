"""What goes into detection and what comes out of it, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

AXES = ("x", "y", "z")
OF_CAPTURES = (*AXES, "temperature")  # the channels of what sensors send
MODEL = "model"  # the channel, and the rule, of what the model of the asset says of all its tags together
CHANNELS = (*OF_CAPTURES, MODEL)
# The rules of the machine, by channel: each has a monitor, and may open a case.
RULES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(AXES, ("zone", "baseline")),
    "temperature": ("temperature",),
    MODEL: (MODEL,),
}
SENSOR = "sensor"  # the rule of an axis's sensor; it opens none


@dataclass(frozen=True)
class ModelScore:
    """What the model of an asset says of one interval. score : as a share of the limit, 1 is on it; the model's own
    hysteresis is in it.   reason : in words.   version : of the model.   contributions : tag → share, of those that
    say most.
    """

    score: float
    reason: str
    version: str
    contributions: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One message's condition indicators: by axis, by feature column of the schema; None is "not known".

    tags : the other values that came with it, by name; finite numbers.   model : of a message of the asset's model,
    which has nothing else.
    """

    capture_id: str
    part: str
    t_ms: int
    received_ms: int
    sensor: str
    speed_rpm: float | None = None
    temperature_c: float | None = None
    axes: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    tags: Mapping[str, float] = field(default_factory=dict)
    battery_pct: float | None = None
    rssi_dbm: float | None = None
    model: ModelScore | None = None


@dataclass(frozen=True)
class Control:
    """What was done to a case by a person, or by the clock for one. `kind` is one of cases.ACTS; or what was asked of a
    position (relearn.KIND) or told of it (missed.KIND).

    closure : of "resolved", "labelled" and "missed".   until_ms : of "shelved", when it ends; of "missed", when the
    fault was found.   parent : of "grouped", the case
    whose work order names it.   why : in words.
    """

    kind: str
    case_id: str
    t_ms: int
    by: str
    closure: Mapping[str, str] | None = None
    until_ms: int | None = None
    parent: str | None = None
    why: str | None = None


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
    """One change of a case: opened, updated, reopened, confirmed or noted by rows (see core.repair), or one of
    cases.ACTS.

    until_ms : it is shelved until then.   parent : of "grouped", the case whose work order names it.
    heard_ms : when the line heard of an act.   after_ms : receipt of the last capture that it had judged by then.
    """

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
    until_ms: int | None = None
    parent: str | None = None
    heard_ms: int | None = None
    after_ms: int | None = None
