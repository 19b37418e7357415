"""State detection: one pure step from (state, row) to (state, verdicts, case changes).

Causal and idempotent. Each channel keeps the time of its last row and skips what is not later, so a row that is
delivered again, or late, changes nothing; and a channel learns and judges by itself, so the axes of a capture may
come together or apart, in any order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from telltale.core import baseline, cases, fleet, limits, missed, modes, relearn, repair, sensor, wording
from telltale.core.baseline import Deviation, Learning
from telltale.core.cases import Finding
from telltale.core.judgement import AXES, CHANNELS, MODEL, RULES, SENSOR
from telltale.core.judgement import CaseChange as CaseChange
from telltale.core.judgement import Control as Control
from telltale.core.judgement import Row as Row
from telltale.core.judgement import Verdict as Verdict
from telltale.core.limits import Judgement, NotAssessable
from telltale.core.modes import Drive
from telltale.core.persistence import Monitor, stored, watch
from telltale.core.plant import Position
from telltale.core.sensor import SensorFault
from telltale.core.settings import DEFAULTS, settings_of
from telltale.core.settings import Settings as Settings
from telltale.core.state import Channel
from telltale.core.state import OpenCase as OpenCase
from telltale.core.state import State as State
from telltale.core.wording import why_quiet


def step(state: State, row: Row | Control, position: Position) -> tuple[State, list[Verdict], list[CaseChange]]:
    """The next state, this row's verdicts, and what changed in the position's case.

    ValueError for settings of the position that make no sense, or a machine class that is not on the list.
    """
    settings = settings_of(position.settings)
    if isinstance(row, Control):
        return _acted(state, row, settings)
    told: list[CaseChange] = []
    if state.past is not None and state.past.trial is not None:
        state, told = repair.settled(state, row, position=position, settings=settings)
    frame = _Frame(
        row=row,
        position=position,
        settings=settings,
        off=wording.why_off(row, position),
        axis_map=sensor.axis_map_faults(row.axes, directions=position.directions),
        drive=modes.drive_of(row, position),
    )
    channels, findings = dict(state.channels), []
    for name in _heard(row):
        channel = channels.get(name) or Channel.new(name)
        if channel.last_ms is None or row.t_ms > channel.last_ms:
            channels[name], found = _judge(name, _heard_at(channel, row.t_ms), state, frame)
            findings += found
    judged = state.judged or any(one.verdict.score is not None for one in findings)
    state = State(channels, judged, state.open_case, state.last_opened_ms, state.relearned_ms, state.past)
    state, changes = cases.follow(state, row, findings, position=position.id, settings=settings)
    return state, [one.verdict for one in findings], [*told, *changes]


def usual(state: State, row: Row, position: Position) -> dict[str, dict[str, float]]:
    """Axis → indicator → what is usual for it in the mode of this row, in its unit; only what has been learned."""
    settings, drive = settings_of(position.settings), modes.drive_of(row, position)
    axes = {name: channel for name, channel in state.channels.items() if name in AXES}
    entered = {name: modes.entered(one, drive, position=position, settings=settings) for name, one in axes.items()}
    known = {name: channel for name, (channel, no_mode) in entered.items() if no_mode is None}
    return {name: found for name, channel in known.items() if (found := _normals(channel, settings))}


def normals(state: State, *, settings: Settings = DEFAULTS) -> dict[str, dict[str, float]]:
    """The same, of the mode that the machine is in."""
    axes = {name: channel for name, channel in state.channels.items() if name in AXES}
    return {name: found for name, channel in axes.items() if (found := _normals(channel, settings))}


def _acted(state: State, control: Control, settings: Settings) -> tuple[State, list[Verdict], list[CaseChange]]:
    if control.kind == missed.KIND:
        return state, [], []
    if control.kind == relearn.KIND:
        after = relearn.asked(state, control)
        told: list[CaseChange] = []
        if after is not state:
            after, told = repair.not_judged(after, f"{control.by} had what is normal learned anew", control.t_ms)
        return after, [], told
    had_case = state.open_case is not None
    state, changes = cases.act(state, control, settings=settings)
    if had_case and state.open_case is None and not repair_on_trial(state):
        hushed = {
            name: relearn.hushed_elsewhere(channel, settings=settings) if channel.operation.others else channel
            for name, channel in state.channels.items()
        }
        state = replace(state, channels=hushed)
    return state, [], changes


def repair_on_trial(state: State) -> bool:
    """Whether a repair has yet to be confirmed: nothing is learned meanwhile."""
    return state.past is not None and state.past.trial is not None


@dataclass(frozen=True)
class _Frame:
    """What is the same for all channels of a row. `off` : why the machine counts as off; None: it runs.

    axis_map : faults that only the axes together show.
    """

    row: Row
    position: Position
    settings: Settings
    off: str | None
    axis_map: tuple[SensorFault, ...]
    drive: Drive

    @property
    def speed_rpm(self) -> float | None:
        return self.row.speed_rpm if self.row.speed_rpm is not None else self.position.speed_rpm

    def axis(self, name: str) -> Mapping[str, float | None]:
        return self.row.axes.get(name, {})


def _heard(row: Row) -> list[str]:
    heard = {*row.axes, *(["temperature"] if row.temperature_c is not None else [])}
    heard |= {MODEL} if row.model is not None else set()
    return [name for name in CHANNELS if name in heard]


def _judge(name: str, channel: Channel, state: State, frame: _Frame) -> tuple[Channel, list[Finding]]:
    """One channel after this row, and what its rules found."""
    if name not in AXES:
        return _judge_machine(name, channel, state, frame, None)
    channel = _for_this_band(channel, frame.axis(name))
    if repair_on_trial(state):
        channel = repair.swapped(channel, name, modes.checksum(frame.row.sensor) if frame.row.sensor else 0)
    case_open = _case_was_open(state, frame.row)
    channel = relearn.heard_by(channel, frame.row.sensor, case_open=case_open, settings=frame.settings)
    no_mode = None
    if frame.off is None:
        channel, no_mode = modes.entered(channel, frame.drive, position=frame.position, settings=frame.settings)
    fault = _sensor_fault(name, channel, no_mode, frame)
    channel, health = _judge_sensor(name, channel, fault, frame)
    if fault is not None:
        why = f"sensor fault: {fault.words}"
        return channel, [*(_unjudged(name, rule, "NOT_ASSESSABLE", channel, why) for rule in RULES[name]), health]
    channel, findings = _judge_machine(name, channel, state, frame, no_mode)
    return channel, [*findings, health]


def _judge_machine(
    name: str, channel: Channel, state: State, frame: _Frame, no_mode: str | None
) -> tuple[Channel, list[Finding]]:
    """no_mode : why the row is of no operating mode; None: it is of the one that the channel is in."""
    trial = state.past.trial if state.past is not None else None
    if trial is not None and frame.row.t_ms <= trial.since_ms:
        return channel, [_unjudged(name, rule, "NOT_ASSESSABLE", channel, repair.NOT_YET) for rule in RULES[name]]
    if frame.off is not None:
        channel = relearn.stopped(channel, settings=frame.settings) if name in AXES else channel
        return channel, [_unjudged(name, rule, "MACHINE_OFF", channel, frame.off) for rule in RULES[name]]
    if name not in AXES:
        monitor, finding = (_by_model if name == MODEL else _by_temperature)(name, channel, frame)
        return Channel(channel.last_ms, {name: monitor}), [finding]
    channel, deviation = _compared_with_normal(name, channel, no_mode, frame)
    judged = {
        "zone": _by_zone(name, channel, no_mode, frame),
        "baseline": _by_baseline(name, channel, deviation, frame),
    }
    monitors = {rule: monitor for rule, (monitor, _) in judged.items()}
    findings = [finding for _, finding in judged.values()]
    known, usual = channel.baseline, channel.references
    if no_mode is None and _may_learn(findings, channel, monitors, state, frame):
        known = baseline.learn(known, frame.axis(name), settings=frame.settings)
        usual = baseline.refer(usual, frame.axis(name), settings=frame.settings)
        if frame.position.fleet and modes.rows(channel.baseline) < frame.settings.warmup <= modes.rows(known):
            monitors["baseline"] = Monitor()  # what was counted until now was beside machines alike
    operation = relearn.running(channel.operation)
    after = Channel(channel.last_ms, monitors, known, usual, channel.envelope_hz, channel.sensor, operation)
    return after, findings


def _heard_at(channel: Channel, t_ms: int) -> Channel:
    """The channel, heard at this time; by hand, for `replace` takes three times as long."""
    return Channel(
        t_ms,
        channel.monitors,
        channel.baseline,
        channel.references,
        channel.envelope_hz,
        channel.sensor,
        channel.operation,
    )


def _for_this_band(channel: Channel, axis: Mapping[str, float | None]) -> Channel:
    """The channel, ready for an envelope of this row's band: of another band, what was normal says nothing."""
    low_hz, high_hz = axis.get("env_low_hz"), axis.get("env_high_hz")
    if low_hz is None or high_hz is None or not (isfinite(low_hz) and isfinite(high_hz)):
        return channel
    band = stored(low_hz), stored(high_hz)
    if band == channel.envelope_hz:
        return channel
    if channel.envelope_hz is None:
        return replace(channel, envelope_hz=band)
    return replace(modes.anew(channel, baseline.ENVELOPE_INDICATORS), envelope_hz=band)


def _sensor_fault(name: str, channel: Channel, no_mode: str | None, frame: _Frame) -> SensorFault | None:
    """What is wrong with the sensor of one axis; the plainest if there are several.

    It is compared with what is usual in this mode, of a sensor that sits like this one.
    """
    comparable = frame.settings.sensor_normal and no_mode is None and not channel.operation.compared
    names = sensor.COMPARED if comparable else ()
    usual = baseline.normals(channel.baseline, channel.references, settings=frame.settings, names=names)
    speed_hz = None if frame.speed_rpm is None else frame.speed_rpm / 60
    found = sensor.axis_faults(name, frame.axis(name), normal=usual, speed_hz=speed_hz)
    found += tuple(fault for fault in frame.axis_map if fault.axis == name)
    if frame.off is not None:
        found = tuple(fault for fault in found if fault.kind in sensor.AT_STANDSTILL)
    return found[0] if found else None


def _judge_sensor(name: str, channel: Channel, fault: SensorFault | None, frame: _Frame) -> tuple[Channel, Finding]:
    if fault is not None:
        verdict, reason = "SENSOR_FAULT", fault.words
    elif frame.off is not None:
        verdict, reason = "MACHINE_OFF", frame.off
    elif not sensor.assessable(frame.axis(name)):
        verdict, reason = "NOT_ASSESSABLE", wording.NO_WAVEFORM
    else:
        verdict, reason = "HEALTHY", wording.SOUND
    watch = channel.sensor
    if verdict in ("SENSOR_FAULT", "HEALTHY"):
        watch = sensor.watched(watch, fault.kind if fault else None, settings=frame.settings)
        channel = channel if watch == channel.sensor else replace(channel, sensor=watch)
    return channel, Finding(
        Verdict(name, SENSOR, verdict, watch.level, reason=reason, samples=len(watch.faulty) or None)
    )


def _normals(channel: Channel, settings: Settings) -> dict[str, float]:
    return baseline.normals(channel.baseline, channel.references, settings=settings)


def _may_learn(
    findings: list[Finding], channel: Channel, monitors: Mapping[str, Monitor], state: State, frame: _Frame
) -> bool:
    """Only what is healthy is learned: by this row, by the rows before it in any mode, no case is open and the sensor
    is sound. And only at a time to learn.
    """
    if _case_was_open(state, frame.row) or channel.sensor.fault is not None or repair_on_trial(state):
        return False
    calm = all(one.verdict.verdict not in ("WARNING", "ALARM") or _is_known_to_be_so(one, monitors) for one in findings)
    alerts = any(monitor.alerts for monitor in (*monitors.values(), *(one.monitor for one in channel.operation.others)))
    return calm and not alerts and relearn.may_learn(channel, settings=frame.settings)


def _is_known_to_be_so(finding: Finding, monitors: Mapping[str, Monitor]) -> bool:
    """It is much beside machines alike, and a person who looked has repaired nothing: so this machine is."""
    verdict = finding.verdict
    quiet = monitors[verdict.rule].quiet_below if verdict.limit_source == "fleet" else 0.0
    return verdict.score is not None and verdict.score < quiet


def _case_was_open(state: State, row: Row) -> bool:
    """A case that this very instant opened does not count: otherwise it would matter which axis came first."""
    return state.open_case is not None and state.open_case.opened_ms < row.t_ms


@dataclass(frozen=True)
class _Compared:
    """A row against its normal. `counts` : towards what may alert.   note : what else a person should know."""

    found: Deviation | Learning | NotAssessable
    counts: bool = True
    note: str = ""


def _compared_with_normal(name: str, channel: Channel, no_mode: str | None, frame: _Frame) -> tuple[Channel, _Compared]:
    """The row against what is normal in this mode; and the channel, which a new sensor may have to learn anew."""
    if no_mode is not None:
        return channel, _Compared(NotAssessable(no_mode))
    axis, settings = frame.axis(name), frame.settings
    found = baseline.judge(channel.baseline, axis, settings=settings)
    operation = channel.operation
    if operation.settling:
        note = wording.since_off(settings.warning_n - operation.settling)
        return channel, _Compared(found, note=note)
    if not operation.compared or not isinstance(found, Deviation):
        return channel, _Compared(found)
    after, unlike = relearn.compared(channel, found, settings=settings)
    if after.baseline is not channel.baseline:
        note = "; a new sensor reads otherwise and its velocity does not: what its mounting decides is learned anew"
        return after, _Compared(baseline.judge(after.baseline, axis, settings=settings), note=note)
    note = f"; capture {settings.warning_m - after.operation.compared} of {settings.warning_m} of a new sensor"
    return after, _Compared(found, not unlike, note + (", not counted: its velocity is as ever" if unlike else ""))


def _by_zone(name: str, channel: Channel, no_mode: str | None, frame: _Frame) -> tuple[Monitor, Finding]:
    """Velocity against its limits; what is usual of it is that of this mode."""
    known = baseline.steadiness(channel.baseline, limits.VELOCITY, settings=frame.settings)
    usual = limits.Usual(*known) if known and no_mode is None else None
    found = limits.judge_velocity(frame.axis(name), position=frame.position, speed_rpm=frame.speed_rpm, usual=usual)
    mode = modes.words(channel, frame.position) if no_mode is None else None
    return _by_limit(name, "zone", channel, found, mode, frame)


def _by_temperature(name: str, channel: Channel, frame: _Frame) -> tuple[Monitor, Finding]:
    found = limits.judge_temperature(frame.row.temperature_c, position=frame.position)
    return _by_limit(name, "temperature", channel, found, None, frame)


def _by_model(name: str, channel: Channel, frame: _Frame) -> tuple[Monitor, Finding]:
    """What the model of the asset says of all its tags together."""
    before, found, alarm_score = channel.monitors[MODEL], frame.row.model, frame.settings.alarm_score
    if found is None or not isfinite(found.score):
        return before, _unjudged(name, MODEL, "NOT_ASSESSABLE", channel, "the model gave no score")
    monitor = watch(before, found.score, alarm_score=alarm_score, t_ms=frame.row.t_ms, settings=frame.settings)
    level = wording.level_of(found.score, alarm_score)
    limit = alarm_score if level == "ALARM" else 1.0
    verdict = Verdict(
        channel=name,
        rule=MODEL,
        verdict=level,
        persistent=monitor.level,
        feature=max(found.contributions, key=lambda tag: found.contributions[tag], default=None),
        value=found.score,
        limit=limit,
        margin=limit - found.score,
        score=found.score,
        limit_source=f"model {found.version}",
        reason=found.reason + why_quiet(monitor.quiet_below),
        samples=len(monitor.scores),
    )
    return monitor, Finding(verdict, {"contributions": dict(found.contributions)})


def _by_limit(
    name: str, rule: str, channel: Channel, found: Judgement | NotAssessable, mode: str | None, frame: _Frame
) -> tuple[Monitor, Finding]:
    """mode : the operating mode in words, where there are several."""
    before = channel.monitors[rule]
    if isinstance(found, NotAssessable):
        return before, _unjudged(name, rule, "NOT_ASSESSABLE", channel, found.reason)
    monitor = watch(before, found.score, alarm_score=found.alarm_score, t_ms=frame.row.t_ms, settings=frame.settings)
    note = (_in(mode) if found.usual is not None else "") + why_quiet(monitor.quiet_below)
    samples = len(monitor.scores)
    verdict = wording.by_limit(name, rule, found, persistent=monitor.level, note=note, samples=samples)
    return monitor, Finding(verdict, {**found.detail(), **({"mode": mode} if mode else {})} if monitor.alerts else {})


def _by_baseline(name: str, channel: Channel, compared: _Compared, frame: _Frame) -> tuple[Monitor, Finding]:
    found, before = compared.found, channel.monitors["baseline"]
    mode = modes.words(channel, frame.position)
    if isinstance(found, NotAssessable):
        return before, _unjudged(name, "baseline", "NOT_ASSESSABLE", channel, found.reason)
    source, note = "baseline", _in(mode) + compared.note
    if isinstance(found, Learning):
        learning = wording.learning(found) + note
        stranger = fleet.judge(frame.position.fleet, frame.axis(name), settings=frame.settings)
        if stranger is None:
            return before, _unjudged(name, "baseline", "UNKNOWN", channel, learning, samples=found.rows)
        source, note, found = "fleet", f"; {learning}", stranger
    alarm_score = frame.settings.alarm_score
    monitor = before
    if compared.counts:
        monitor = watch(before, found.score, alarm_score=alarm_score, t_ms=frame.row.t_ms, settings=frame.settings)
    note += why_quiet(monitor.quiet_below)
    verdict = wording.by_baseline(
        name, found, persistent=monitor.level, note=note, alarm_score=alarm_score, source=source
    )
    return monitor, Finding(verdict, {**_detail(found), **({"mode": mode} if mode else {})})


def _detail(found: Deviation) -> dict[str, Any]:
    return {"normal": found.usual, "scores": dict(found.scores), "contributions": found.contributions()}


def _in(mode: str | None) -> str:
    return f", in mode {mode}" if mode else ""


def _unjudged(
    name: str, rule: str, verdict: str, channel: Channel, reason: str, *, samples: int | None = None
) -> Finding:
    return Finding(Verdict(name, rule, verdict, channel.monitors[rule].level, reason=reason, samples=samples))
