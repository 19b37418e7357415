"""Verdicts in words: the same whether a row is judged by itself (core.detect) or among many (core.batch)."""

from typing import Any

from telltale.core.baseline import Deviation, Learning
from telltale.core.judgement import Row, Verdict
from telltale.core.limits import Judgement
from telltale.core.plant import Position

NO_WAVEFORM = "no indicator of sensor health in this capture: it had no waveform"
SOUND = "nothing speaks against the sensor"


def by_limit(name: str, rule: str, found: Judgement, *, persistent: str, note: str, samples: int) -> Verdict:
    """A level against its limit. note : what stands behind the reason."""
    limit = found.limit
    return _made(
        channel=name,
        rule=rule,
        verdict=found.verdict,
        persistent=persistent,
        feature=found.feature,
        value=found.value,
        limit=limit,
        unit=found.unit,
        margin=limit - found.value,
        score=found.score,
        limit_source=found.source,
        zone=found.zone,
        reason=found.reason + note,
        samples=samples,
    )


def by_baseline(
    name: str, found: Deviation, *, persistent: str, note: str, alarm_score: float, source: str = "baseline"
) -> Verdict:
    """A row against what is normal. source : whose normal."""
    level = level_of(found.score, alarm_score)
    limit = found.limit(alarm_score if level == "ALARM" else 1.0)
    return _made(
        channel=name,
        rule="baseline",
        verdict=level,
        persistent=persistent,
        feature=found.feature,
        value=found.value,
        limit=limit,
        unit=found.unit,
        margin=limit - found.value,
        score=found.score,
        limit_source=source,
        zone=None,
        reason=found.reason + note,
        samples=found.normal.rows,
    )


def level_of(score: float, alarm_score: float) -> str:
    """What a row says by itself: 1 is on the warning limit."""
    return "ALARM" if score >= alarm_score else "WARNING" if score >= 1 else "HEALTHY"


def learning(found: Learning) -> str:
    """How far the warm-up is."""
    return f"learning what is normal: {found.rows} of {found.wanted} captures"


def since_off(captures: int) -> str:
    """So many captures, this one counted, since the machine was off."""
    return f"; capture {captures} since the machine was off"


def why_off(row: Row, position: Position) -> str | None:
    """Why the machine counts as off: too slow, or every axis of this message too quiet."""
    slowest, quietest = position.running_above_rpm, position.running_above_g
    if slowest is not None and row.speed_rpm is not None and row.speed_rpm < slowest:
        return f"machine off: {row.speed_rpm:.0f} r/min, runs from {slowest:.0f} r/min"
    levels = [level for axis in row.axes.values() if (level := axis.get("rms_g")) is not None]
    if quietest is not None and levels and max(levels) < quietest:
        return f"machine off: {max(levels):.3g} g RMS, runs from {quietest:.3g} g"
    return None


def why_quiet(quiet_below: float) -> str:
    """Why a rule that is beyond its limit does not alert; empty where it may."""
    if quiet_below == 0.0:
        return ""
    return f"; quiet below a score of {quiet_below:.2f}, where a case was closed without repair"


def _made(**values: Any) -> Verdict:
    """A verdict of all its fields; by hand, for setting them one by one, as the class does, takes ten times as long."""
    made = object.__new__(Verdict)
    vars(made).update(values)
    return made
