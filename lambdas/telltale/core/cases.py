"""Cases: one developing fault at one position, from its first persistent warning until a person resolves it.

A position has at most one open case. It opens with the first monitor that alerts, changes only when another
joins in or its severity rises, and never ends because the signal went quiet: faults go quiet too, and a machine
that is run gently hides them. Since when it is quiet is noted, and stands in the evidence of what people do next.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from telltale.core.judgement import CaseChange, Control, Row, Verdict
from telltale.core.persistence import LEVELS, Monitor, hushed
from telltale.core.settings import Settings
from telltale.core.state import ID_PREFIX, MONITORS, Channel, MonitorId, OpenCase, State

# After these the machine is another one, and what was normal is learned anew (Monitron's list of actions).
REPAIRS = frozenset({"ADJUST", "CLEAN", "LUBRICATE", "MODIFY", "OVERHAUL", "REPLACE"})


@dataclass(frozen=True)
class Finding:
    """A verdict, and what else a person would ask about it."""

    verdict: Verdict
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def monitor(self) -> MonitorId:
        return MonitorId(self.verdict.channel, self.verdict.rule)

    @property
    def alerts(self) -> bool:
        """This row was judged, and it and the ones before it ask for attention."""
        return self.verdict.score is not None and self.verdict.persistent in ("WARNING", "ALARM")


def case_id(position: str, opened_ms: int) -> str:
    """The same for the same opening, however often it is computed and whichever axis came first."""
    digest = hashlib.sha256(f"{position}|{opened_ms}".encode()).digest()
    return ID_PREFIX + base64.b32encode(digest)[:20].decode().lower()


def follow(
    state: State, row: Row, findings: Sequence[Finding], *, position: str, settings: Settings
) -> tuple[State, list[CaseChange]]:
    """Opens the position's case, or updates it, as this row's findings say."""
    loud = [one for one in findings if one.alerts]
    case = state.open_case
    if case is None and loud and _may_open(state, row):
        case = OpenCase(case_id(position, row.t_ms), row.t_ms, 0, "HEALTHY", ())
        state = replace(state, last_opened_ms=row.t_ms)
    if case is None:
        return state, []
    severity = max((case.severity, *(one.verdict.persistent for one in loud)), key=LEVELS.index)
    joined = tuple(monitor for monitor in MONITORS if monitor in {*case.joined, *(one.monitor for one in loud)})
    changed = (severity, joined) != (case.severity, case.joined)
    quiet_ms = None if _any_alerts(state, joined) else case.quiet_since_ms or row.t_ms
    case = replace(case, severity=severity, joined=joined, revision=case.revision + changed, quiet_since_ms=quiet_ms)
    state = replace(state, open_case=case)
    return state, [_change(case, state, row, loud, settings)] if changed else []


def act(state: State, control: Control, *, settings: Settings) -> tuple[State, list[CaseChange]]:
    """What a person did to the open case. Nothing, if the case is not open or was acknowledged before."""
    case = state.open_case
    if case is None or case.case_id != control.case_id or (control.kind == "acknowledged" and case.acknowledged):
        return state, []
    after = replace(case, revision=case.revision + 1, acknowledged=True)
    if control.kind == "acknowledged":
        state = replace(state, open_case=after)
    elif control.kind == "resolved":
        state = _resolved(state, control.closure or {}, settings)
    else:
        raise ValueError(f"control {control.kind!r}, wanted acknowledged or resolved")
    change = CaseChange(
        case_id=case.case_id,
        revision=after.revision,
        change=control.kind,
        t_ms=control.t_ms,
        opened_ms=case.opened_ms,
        severity=case.severity,
        state=state.state,
        rule=case.joined[0].rule,
        channel=case.joined[0].channel,
        reason=f"{control.kind} by {control.by}",
        evidence={"quiet_since_ms": case.quiet_since_ms, "joined": _names(case.joined)},
        closure=control.closure,
        by=control.by,
    )
    return state, [change]


def _may_open(state: State, row: Row) -> bool:
    """A case's id is made from its opening: a sibling axis of the row that opened the last one waits a row."""
    return state.last_opened_ms is None or row.t_ms > state.last_opened_ms


def _change(case: OpenCase, state: State, row: Row, loud: Sequence[Finding], settings: Settings) -> CaseChange:
    worst = max(loud, key=lambda one: (LEVELS.index(one.verdict.persistent), one.verdict.score or 0.0)).verdict
    return CaseChange(
        case_id=case.case_id,
        revision=case.revision,
        change="opened" if case.revision == 1 else "updated",
        t_ms=row.t_ms,
        opened_ms=case.opened_ms,
        severity=case.severity,
        state=state.state,
        rule=worst.rule,
        channel=worst.channel,
        reason=f"{worst.channel}: {worst.reason}",
        evidence={
            "capture_ids": [row.capture_id],
            "verdicts": [{**asdict(one.verdict), **one.detail} for one in loud],
            "joined": _names(case.joined),
            "last_scores": {_name(one): list(_monitor(state, one).scores) for one in case.joined},
            "settings": asdict(settings),
        },
    )


def is_repair(closure: Mapping[str, str]) -> bool:
    """The closure says that something was done to the machine, which is another one since."""
    return closure.get("action_taken") in REPAIRS and closure.get("failure_mode") != "NO_ISSUE"


def repaired(state: State) -> State:
    """The state after a repair: no case is open, and everything is learned and counted anew."""
    channels = {name: _anew(name, channel) for name, channel in state.channels.items()}
    return replace(state, channels=channels, open_case=None, judged=True)


def _resolved(state: State, closure: Mapping[str, str], settings: Settings) -> State:
    """After a repair all is new. Otherwise what is known stays, and is quiet where it stands."""
    if is_repair(closure):
        return repaired(state)
    channels = {name: _as_it_stands(channel, settings) for name, channel in state.channels.items()}
    return replace(state, channels=channels, open_case=None, judged=True)


def _anew(name: str, channel: Channel) -> Channel:
    return replace(Channel.new(name), last_ms=channel.last_ms, sensor=channel.sensor)


def _as_it_stands(channel: Channel, settings: Settings) -> Channel:
    quiet = {rule: hushed(monitor, settings=settings) for rule, monitor in channel.monitors.items()}
    return replace(channel, monitors=quiet)


def _monitor(state: State, monitor: MonitorId) -> Monitor:
    return state.channels[monitor.channel].monitors[monitor.rule]


def _any_alerts(state: State, monitors: Sequence[MonitorId]) -> bool:
    return any(_monitor(state, monitor).alerts for monitor in monitors)


def _name(monitor: MonitorId) -> str:
    return f"{monitor.channel} {monitor.rule}"


def _names(monitors: Sequence[MonitorId]) -> list[str]:
    return [_name(monitor) for monitor in monitors]
