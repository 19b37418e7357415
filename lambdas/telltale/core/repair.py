"""Whether a repair did what its closure codes say: the rows after it confirm or contradict it.

A case that is closed as repaired is on trial. For six running rows and a quarter of an hour no case opens at the
position. All that time rows are judged by what was usual before the fault, and nothing is learned: so a fault that is
still there cannot become normal. Only when the repair is confirmed, or can never be judged, is what is normal learned
anew.

The limit between the two is theory, not experience. Levels of vibration spread by factors, before a fault and with it
alike, so the row that is as likely with the fault as without lies in the geometric middle of the two. What alerted
was at least six spreads from normal (core.settings), so that the middle is three from either. And a rule that would
not have cleared is not satisfied, however much higher the fault once stood. The limit is the lower of the two, and
like everywhere n of the last m rows must reach it. Where nothing is known of what was usual, as of temperature, what
clears decides alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import inf, isfinite, sqrt
from typing import Any

from telltale.core import baseline, limits, modes
from telltale.core.baseline import EMPTY, Deviation
from telltale.core.grouping import LEAST_TO_CLEAR_MS, ROWS_TO_CLEAR
from telltale.core.judgement import AXES, MODEL, CaseChange, Row
from telltale.core.limits import Judgement
from telltale.core.persistence import Monitor, debounced, hushed, stored
from telltale.core.plant import Position
from telltale.core.settings import Settings
from telltale.core.state import UNKNOWN_MODE, Channel, Known, Mode, MonitorId, OpenCase, Past, State, Trial

CONFIRMED, REOPENED, NOTED = "confirmed", "reopened", "noted"
# A repair that cannot be judged by then never is, for people have long moved on. A guess: as long as a case can be
# shelved, and the longest that a machine usually waits for its restart.
LONGEST_MS = 30 * 86_400_000
NOT_YET = "sampled before the case was closed: it says nothing of the repair"
BASELINE = "baseline"


def begun(state: State, past: Past, *, since_ms: int, settings: Settings) -> State:
    """The state with this repair on trial: monitors count anew, what is normal stays and is not learned.

    since_ms : rows sampled later tell of it.
    """
    mode = _mode(state, past.joined)
    heights = tuple(_height(state, one, mode, past.severity, settings) for one in past.joined)
    channels = {name: _counted_anew(channel) for name, channel in state.channels.items()}
    trial = Trial(heights, mode, since_ms)
    return replace(state, channels=channels, open_case=None, past=replace(past, repaired=True, trial=trial))


def over(state: State) -> State:
    """The state with no repair on trial."""
    return state if state.past is None else replace(state, past=replace(state.past, trial=None))


def learned_anew(state: State) -> State:
    """The state of a machine that is another one since: no case is open, all is learned and counted anew."""
    channels = {name: _anew(name, channel) for name, channel in state.channels.items()}
    return over(replace(state, channels=channels, open_case=None, judged=True))


def opened_again(past: Past) -> OpenCase:
    """The case as it was, but that nobody has taken up yet that it is open again."""
    return OpenCase(
        case_id=past.case_id,
        opened_ms=past.opened_ms,
        revision=past.revision + 1,
        severity=past.severity,
        joined=past.joined,
        closed_ms=past.closed_ms,
        reopened_ms=past.reopened_ms,
    )


def swapped(channel: Channel, name: str, now: int) -> Channel:
    """The channel, on trial and heard by this sensor (`modes.checksum`). Of another one what was usual says nothing."""
    if now in (channel.operation.sensor, 0) or channel.operation.sensor == 0:
        return channel
    fresh = _anew(name, channel)
    return replace(fresh, operation=fresh.operation._replace(sensor=now))


def settled(state: State, row: Row, *, position: Position, settings: Settings) -> tuple[State, list[CaseChange]]:
    """The state before this row is judged, and what the rows before it say of the repair that is on trial, if enough.

    It is said with the first row of a later instant, so that the order of a capture's axes does not matter.
    """
    past = state.past
    trial = past.trial if past else None
    heard_ms = max((channel.last_ms or 0 for channel in state.channels.values()), default=0)
    if past is None or trial is None or row.t_ms <= max(heard_ms, trial.since_ms):
        return state, []
    seen = [_seen(state, one, past, trial, row, position, settings) for one in past.joined]
    waited_ms = row.t_ms - trial.since_ms
    wanted = max(ROWS_TO_CLEAR, settings.warning_m)
    enough = [one for one in seen if one.samples >= wanted]
    if waited_ms >= LEAST_TO_CLEAR_MS:
        against = [one for one in enough if one.score >= one.limit]
        if against:
            worst = max(against, key=lambda one: one.score / one.limit)
            return _reopened(state, past, row, worst, seen)
        waiting = [one for one in seen if one.samples < wanted and not one.why]
        if enough and (not waiting or waited_ms > LONGEST_MS):
            return _closed(state, past, row, CONFIRMED, max(enough, key=lambda one: one.score / one.limit), seen)
    if all(one.why for one in seen) or waited_ms > LONGEST_MS:
        return _closed(state, past, row, NOTED, seen[0], seen)
    if trial.cools and waited_ms >= LEAST_TO_CLEAR_MS and _rows(state) >= wanted:
        state = replace(state, past=replace(past, trial=replace(trial, cools=False)))
    return state, []


def not_judged(state: State, why: str, t_ms: int) -> tuple[State, list[CaseChange]]:
    """The state without a trial, and why there is none any more."""
    past = state.past
    if past is None or past.trial is None:
        return state, []
    past = replace(past, revision=past.revision + 1)
    change = _change(past, state, NOTED, t_ms, past.joined[0], f"repair not judged: {why}", {})
    return over(replace(state, past=past)), [change]


def progress(state: State, settings: Settings) -> str | None:
    """How far the trial of a repair has come, in words; None where none is on trial."""
    past = state.past
    if past is None or past.trial is None:
        return None
    trial, wanted = past.trial, max(ROWS_TO_CLEAR, settings.warning_m)
    counted = min((len(_monitor(state, one, trial.mode).scores) for one in past.joined), default=0)
    since = datetime.fromtimestamp(trial.since_ms / 1000, UTC)
    return f"on trial since {since:%Y-%m-%d %H:%M} UTC: {min(counted, wanted)} of {wanted} running captures"


def name_of(monitor: MonitorId) -> str:
    """As evidence calls it."""
    return f"{monitor.channel} {monitor.rule}"


# ---- what stood, and what stands ---------------------------------------------------------------------


@dataclass(frozen=True)
class _Seen:
    """What a monitor of the case has counted since its closing. score : reached by n of the last m rows.

    limit : the score that contradicts the repair.   height : at which the fault stood.   why : why it cannot be judged.
    detail : value, usual and limit in their unit, where the row tells the indicator.
    """

    monitor: MonitorId
    samples: int
    score: float
    limit: float
    height: float
    why: str
    detail: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        said = {
            "channel": self.monitor.channel,
            "rule": self.monitor.rule,
            "samples": self.samples,
            "score": self.score,
            "score_limit": self.limit,
            "score_of_fault": self.height,
            **self.detail,
        }
        return {**said, "why_not": self.why} if self.why else said


def _seen(
    state: State,
    monitor: MonitorId,
    past: Past,
    trial: Trial,
    row: Row,
    position: Position,
    settings: Settings,
) -> _Seen:
    height = trial.heights[past.joined.index(monitor)]
    scores = _monitor(state, monitor, trial.mode).scores
    known = _known(state.channels[monitor.channel], trial.mode)
    score = debounced(scores, n=settings.warning_n, m=settings.warning_m)
    limit, detail, why = settings.clear, {}, ""
    if monitor.rule == BASELINE:
        limit = min(height / 2, limit)
        learned = any(one.rows >= settings.warmup for one in known.baseline)
        if not learned and not position.fleet:
            why = "nothing is known of what was usual: another sensor, or it was never learned"
        elif learned:
            detail = _by_baseline(known, row.axes.get(monitor.channel, {}), score, limit, settings)
    elif monitor.rule == MODEL:
        detail = {"value": score, "limit": limit, "margin": limit - score}
    else:
        found, usual = _judged(monitor, known, row, position, settings)
        if usual is not None:
            limit = min(sqrt(usual * height), limit)
        if isinstance(found, Judgement):
            detail = _by_limit(found, score, limit, usual)
    return _Seen(monitor, len(scores), score, limit, height, why, detail)


def _by_baseline(
    known: Known, axis: Mapping[str, float | None], score: float, limit: float, settings: Settings
) -> dict[str, Any]:
    """In the unit of the indicator that stands highest in this row."""
    found = baseline.judge(known.baseline, axis, settings=settings)
    if not isinstance(found, Deviation):
        return {}
    value, limit_value = found.limit(score), found.limit(limit)
    return {
        "feature": found.feature,
        "unit": found.unit,
        "value": value,
        "usual": found.usual,
        "limit": limit_value,
        "margin": limit_value - value,
    }


def _judged(
    monitor: MonitorId, known: Known, row: Row, position: Position, settings: Settings
) -> tuple[object, float | None]:
    """This row against the limit, and what was usual as a share of it; None where that is not known."""
    if monitor.channel not in AXES:
        return limits.judge_temperature(row.temperature_c, position=position), None
    speed_rpm = row.speed_rpm if row.speed_rpm is not None else position.speed_rpm
    steady = baseline.steadiness(known.baseline, limits.VELOCITY, settings=settings)
    usual = limits.Usual(*steady) if steady else None
    axis = row.axes.get(monitor.channel, {})
    found = limits.judge_velocity(axis, position=position, speed_rpm=speed_rpm, usual=usual)
    if usual is None or not isinstance(found, Judgement) or found.usual is None:
        return found, None
    return found, usual.value / found.warning


def _by_limit(found: Judgement, score: float, limit: float, usual: float | None) -> dict[str, Any]:
    if not isfinite(found.warning):
        return {}
    value, limit_value = score * found.warning, limit * found.warning
    known = {} if usual is None else {"usual": usual * found.warning}
    said = {"feature": found.feature, "unit": found.unit, "value": value, **known}
    return {**said, "warning": found.warning, "limit": limit_value, "margin": limit_value - value}


def _height(state: State, one: MonitorId, mode: Mode, severity: str, settings: Settings) -> float:
    """The score at which the fault stood. One that went quiet before the closing stood on its limit at least."""
    scores = _monitor(state, one, mode).scores
    stands = debounced(scores, n=settings.warning_n, m=settings.warning_m)
    least = settings.alarm_score if one.rule == BASELINE and severity == "ALARM" and stands < 1 else 1.0
    return stored(max(stands, least))


def _mode(state: State, joined: Sequence[MonitorId]) -> Mode:
    """The mode in which the fault stands: one in which it alerts, or else the one that the machine is in."""
    axes = [one.channel for one in joined if one.rule == BASELINE]
    each = [known for name in axes for known in modes.each(state.channels[name])]
    loud = [known.mode for known in each if known.monitor.alerts]
    return (loud or [known.mode for known in each] or [UNKNOWN_MODE])[0]


def _known(channel: Channel, mode: Mode) -> Known:
    """What the channel knows of this mode, or else of the one that it is in."""
    if BASELINE not in channel.monitors:
        return Known(UNKNOWN_MODE, Monitor(), EMPTY, ())
    each = modes.each(channel)
    return next((one for one in each if one.mode == mode), each[0])


def _monitor(state: State, one: MonitorId, mode: Mode) -> Monitor:
    channel = state.channels[one.channel]
    return _known(channel, mode).monitor if one.rule == BASELINE else channel.monitors[one.rule]


def _rows(state: State) -> int:
    """Running rows since the closing, as far as anything was judged: of the channel that has most."""
    return max(
        (
            max(max(len(one.scores) for one in channel.monitors.values()), sum(_of_modes(channel)))
            for channel in state.channels.values()
        ),
        default=0,
    )


def _of_modes(channel: Channel) -> list[int]:
    return [len(one.monitor.scores) for one in modes.each(channel)] if BASELINE in channel.monitors else []


# ---- what follows ------------------------------------------------------------------------------------


def _reopened(
    state: State, past: Past, row: Row, worst: _Seen, seen: Sequence[_Seen]
) -> tuple[State, list[CaseChange]]:
    case = opened_again(past)
    state = replace(state, open_case=case, past=None)
    evidence = _evidence(past, row, REOPENED, seen)
    return state, [_change(case, state, REOPENED, row.t_ms, worst.monitor, _still(worst), evidence)]


def _closed(
    state: State, past: Past, row: Row, outcome: str, worst: _Seen, seen: Sequence[_Seen]
) -> tuple[State, list[CaseChange]]:
    """Confirmed, or given up: either way the machine is another one, and what is normal is learned anew."""
    reason = _as_usual(worst)
    if outcome == NOTED:
        whys = dict.fromkeys(one.why or "too few running captures within thirty days" for one in seen)
        reason = f"repair not judged: {'; '.join(whys)}"
    past = replace(past, revision=past.revision + 1)
    state = learned_anew(replace(state, past=past))
    evidence = _evidence(past, row, outcome, seen)
    return state, [_change(past, state, outcome, row.t_ms, worst.monitor, reason, evidence)]


def _evidence(past: Past, row: Row, outcome: str, seen: Sequence[_Seen]) -> dict[str, Any]:
    told = {"outcome": outcome, "closed_ms": past.closed_ms, "monitors": [one.as_dict() for one in seen]}
    return {
        "capture_ids": [row.capture_id],
        "verdicts": [],
        "joined": [name_of(one) for one in past.joined],
        "repair": told,
    }


def _change(
    case: OpenCase | Past,
    state: State,
    what: str,
    t_ms: int,
    monitor: MonitorId,
    reason: str,
    evidence: Mapping[str, Any],
) -> CaseChange:
    return CaseChange(
        case_id=case.case_id,
        revision=case.revision,
        change=what,
        t_ms=t_ms,
        opened_ms=case.opened_ms,
        severity=case.severity,
        state=state.state,
        rule=monitor.rule,
        channel=monitor.channel,
        reason=reason,
        evidence=evidence,
    )


def _still(worst: _Seen) -> str:
    detail, where = worst.detail, worst.monitor.channel
    counted = f"{worst.samples} captures since"
    if "usual" in detail:
        return f"still {_ratio(worst):.2g} × baseline after closing: {_numbers(worst)}, reopened from {_limit(worst)}"
    if "value" in detail and "unit" in detail:
        ratio = detail["value"] / detail["warning"]
        return f"still {ratio:.2g} × its warning limit after closing: {_numbers(worst)}, reopened from {_limit(worst)}"
    return f"still at {worst.score:.2f} of its warning limit after closing: {where} {worst.monitor.rule}, {counted}"


def _as_usual(worst: _Seen) -> str:
    detail, counted = worst.detail, f"{worst.samples} captures since closing"
    if "usual" in detail:
        what = f"{worst.monitor.channel} {detail['feature']} {_ratio(worst):.2g} × what was usual before the fault"
        return f"{what}: {_value(worst)}, confirmed below {_limit(worst)}, {counted}"
    if "value" in detail and "unit" in detail:
        return f"{_numbers(worst)}, confirmed below {_limit(worst)}, {counted}"
    name = name_of(worst.monitor)
    return f"{name} at {worst.score:.2f} of its warning limit, confirmed below {worst.limit:.2f}, {counted}"


def _ratio(worst: _Seen) -> float:
    value, usual = worst.detail["value"], worst.detail["usual"]
    return value / usual if usual else inf


def _numbers(worst: _Seen) -> str:
    return f"{worst.monitor.channel} {worst.detail['feature']} {_value(worst)}"


def _value(worst: _Seen) -> str:
    return f"{worst.detail['value']:.3g} {worst.detail['unit']}"


def _limit(worst: _Seen) -> str:
    return f"{worst.detail['limit']:.3g} {worst.detail['unit']}"


# ---- channels ----------------------------------------------------------------------------------------


def _counted_anew(channel: Channel) -> Channel:
    monitors = dict.fromkeys(channel.monitors, Monitor())
    others = tuple(one._replace(monitor=Monitor()) for one in channel.operation.others)
    return replace(channel, monitors=monitors, operation=channel.operation._replace(others=others))


def quiet_as_it_stands(channel: Channel, settings: Settings) -> Channel:
    """Its rules are quiet where they stand, in the mode that the machine is in."""
    quiet = {rule: hushed(monitor, settings=settings) for rule, monitor in channel.monitors.items()}
    return replace(channel, monitors=quiet)


def may_speak(channel: Channel) -> Channel:
    """Its rules are quiet no longer, in any mode."""
    monitors = {rule: replace(monitor, quiet_below=0.0) for rule, monitor in channel.monitors.items()}
    others = tuple(one._replace(monitor=replace(one.monitor, quiet_below=0.0)) for one in channel.operation.others)
    return replace(channel, monitors=monitors, operation=channel.operation._replace(others=others))


def _anew(name: str, channel: Channel) -> Channel:
    return replace(Channel.new(name), last_ms=channel.last_ms, sensor=channel.sensor)
