"""The verdicts of plain rows, in the words of `detect.step`, from the numbers that core.batch keeps of them."""

from collections.abc import Mapping
from functools import lru_cache
from math import exp, log, nan
from typing import Any

from telltale.core import limits, sensor, wording
from telltale.core.baseline import INDICATORS, Deviation, Learning, Normal
from telltale.core.judgement import AXES, OF_CAPTURES, RULES, SENSOR, Row, Verdict
from telltale.core.limits import Judgement, NotAssessable, Usual
from telltale.core.persistence import LEVELS
from telltale.core.plant import Position
from telltale.core.settings import Settings, settings_of
from telltale.core.state_table import ORDER

_NAMES = tuple(INDICATORS)
_PLACES = {(one.channel, one.rule): place for place, one in enumerate(ORDER)}


def verdicts(row: Row, position: Position, told: Mapping[str, Any]) -> list[Verdict]:
    """The verdicts of a plain row, from what core.batch kept of it."""
    found: list[Verdict] = []
    why_off = wording.why_off(row, position) or "" if told["off"] else None
    settings = settings_of(position.settings)
    for channel, name in enumerate(OF_CAPTURES):
        if not told["live"][channel]:
            continue
        found += [_verdict(name, rule, channel, row, position, settings, told, why_off) for rule in RULES[name]]
        if name in AXES:
            found.append(_sensor_verdict(name, channel, row, told, why_off))
    return found


def _verdict(
    name: str,
    rule: str,
    channel: int,
    row: Row,
    position: Position,
    settings: Settings,
    told: Mapping[str, Any],
    why_off: str | None,
) -> Verdict:
    at = _PLACES[name, rule]
    level, held, quiet_below = LEVELS[told["level"][at]], told["held"][at], told["quiet_below"][at]
    if why_off is not None:
        return _unjudged(name, rule, "MACHINE_OFF", level, why_off)
    quiet = wording.why_quiet(quiet_below)
    if rule == "temperature":
        return _by_limit(name, rule, limits.judge_temperature(row.temperature_c, position=position), level, quiet, held)
    if rule == "zone":
        usual_ln = told["usual_ln"][channel]
        usual = None if usual_ln != usual_ln else Usual(exp(usual_ln), exp(told["reach_ln"][channel]))
        speed = row.speed_rpm if row.speed_rpm is not None else position.speed_rpm
        judged = limits.judge_velocity(row.axes[name], position=position, speed_rpm=speed, usual=usual)
        return _by_limit(name, rule, judged, level, quiet, held)
    left = told["settling"][channel]
    note = wording.since_off(settings.warning_n - left) if left else ""
    return _by_baseline(name, _deviation(row.axes[name], channel, settings, told), level, note, quiet, settings)


def _deviation(
    axis: Mapping[str, float | None], channel: int, settings: Settings, told: Mapping[str, Any]
) -> Deviation | Learning | NotAssessable:
    score = told["score"][_PLACES[AXES[channel], "baseline"]]
    if score == score:
        name = _NAMES[told["best"][channel]]
        normal = Normal(told["location"][channel], rows=told["rows"][channel])
        return Deviation({name: score}, name, exp(log(axis[name] or nan)), normal, told["distance"][channel])
    if told["learned"][channel] < 0:
        return NotAssessable("no indicator of the baseline in this capture")
    return Learning(told["learned"][channel], settings.warmup)


def _sensor_verdict(name: str, channel: int, row: Row, told: Mapping[str, Any], why_off: str | None) -> Verdict:
    held, kind = told["sensor_held"][channel], told["sensor_kind"][channel]
    level = "SENSOR_FAULT" if kind else "HEALTHY" if held else "UNKNOWN"
    if why_off is not None:
        verdict, reason = "MACHINE_OFF", why_off
    elif not sensor.assessable(row.axes[name]):
        verdict, reason = "NOT_ASSESSABLE", wording.NO_WAVEFORM
    else:
        verdict, reason = "HEALTHY", wording.SOUND
    return _unjudged(name, SENSOR, verdict, level, reason, held or None)


def _by_limit(
    name: str, rule: str, found: Judgement | NotAssessable, persistent: str, quiet: str, held: int
) -> Verdict:
    if isinstance(found, NotAssessable):
        return _unjudged(name, rule, "NOT_ASSESSABLE", persistent, found.reason)
    return wording.by_limit(name, rule, found, persistent=persistent, note=quiet, samples=held)


def _by_baseline(
    name: str, found: Deviation | Learning | NotAssessable, persistent: str, note: str, quiet: str, settings: Settings
) -> Verdict:
    if isinstance(found, NotAssessable):
        return _unjudged(name, "baseline", "NOT_ASSESSABLE", persistent, found.reason)
    if isinstance(found, Learning):
        reason = wording.learning(found) + note
        return _unjudged(name, "baseline", "UNKNOWN", persistent, reason, found.rows)
    alarm_score = settings.alarm_score
    return wording.by_baseline(name, found, persistent=persistent, note=note + quiet, alarm_score=alarm_score)


@lru_cache(maxsize=1024)
def _unjudged(name: str, rule: str, verdict: str, persistent: str, reason: str, samples: int | None = None) -> Verdict:
    """Without a value; of the sensor, most say the same as the last one."""
    return Verdict(name, rule, verdict, persistent, reason=reason, samples=samples)
