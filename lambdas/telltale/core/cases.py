"""Cases: one developing fault at one position, from its first persistent warning until a person resolves it.

A position has at most one open case. It opens with the first monitor that alerts, changes only when another
joins in or its severity rises, and never ends because the signal went quiet: faults go quiet too, and a machine
that is run gently hides them. Since when it is quiet is noted, and stands in the evidence of what people do next.

A case that was closed can be opened again: by a person, or by the rows after a repair that contradict it
(core/repair.py). It is the same case, with its next revision.

A case that is shelved is judged like any other; only its work order waits. So does that of a case whose fault another
case's order names (core/grouping.py). Both are acts, so that they stand in the case's history with who, when and why.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

from telltale.core import repair
from telltale.core.judgement import CaseChange, Control, Row, Verdict
from telltale.core.persistence import LEVELS, Monitor
from telltale.core.settings import Settings
from telltale.core.state import ID_PREFIX, MONITORS, Known, MonitorId, OpenCase, Past, State

# After these the machine is another one, and what was normal is learned anew (Monitron's list of actions).
REPAIRS = frozenset({"ADJUST", "CLEAN", "LUBRICATE", "MODIFY", "OVERHAUL", "REPLACE"})

# What can be done to a case: the last two to one that is over.
ACTS = ("acknowledged", "resolved", "shelved", "unshelved", "grouped", "reopened", "labelled")
# Changes after which a case is over; "noted" says something of it and changes nothing.
OVER = frozenset({"resolved", "labelled", repair.CONFIRMED, repair.NOTED})
BY_ROWS = frozenset({"opened", "updated", repair.REOPENED, repair.CONFIRMED, repair.NOTED})
# The longest that a case can be shelved at a time. A guess: between the shift of an operator's alarm (ISA-18.2 leaves
# the length to the site's alarm philosophy) and what nobody remembers.
MOST_SHELVED_MS = 30 * 86_400_000


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


def is_over(change: CaseChange) -> bool:
    """The case is not open after this change of it."""
    return change.change in OVER


def is_by_row(change: CaseChange) -> bool:
    """Rows made the change, and nobody acted."""
    return change.change in BY_ROWS and change.by is None


def follow(
    state: State, row: Row, findings: Sequence[Finding], *, position: str, settings: Settings
) -> tuple[State, list[CaseChange]]:
    """Opens the position's case, or updates it, as this row's findings say."""
    loud = [one for one in findings if one.alerts]
    case, trial = state.open_case, state.past.trial if state.past else None
    again = False
    if case is None and loud and trial is not None and state.past is not None and not trial.cools:
        case, again = repair.opened_again(state.past), True
        state = replace(state, past=None)
    elif case is None and loud and trial is None and _may_open(state, row):
        case = OpenCase(case_id(position, row.t_ms), row.t_ms, 0, "HEALTHY", ())
        state = replace(state, last_opened_ms=row.t_ms, past=None)
    if case is None:
        return state, []
    severity = max((case.severity, *(one.verdict.persistent for one in loud)), key=LEVELS.index)
    joined = tuple(monitor for monitor in MONITORS if monitor in {*case.joined, *(one.monitor for one in loud)})
    changed = (severity, joined) != (case.severity, case.joined)
    quiet_ms = None if _any_alerts(state, joined) else case.quiet_since_ms or row.t_ms
    breaks = bool(case.shelved_until_s) and severity == "ALARM" != case.severity
    case = replace(
        case,
        severity=severity,
        joined=joined,
        revision=case.revision + (changed and not again),
        quiet_since_ms=quiet_ms,
        shelved_until_s=0 if breaks else case.shelved_until_s,
    )
    state = replace(state, open_case=case)
    if not changed and not again:
        return state, []
    return state, [_change(case, state, row, loud, settings, breaks=breaks, again=again)]


def act(state: State, control: Control, *, settings: Settings) -> tuple[State, list[CaseChange]]:
    """What was done to the open case, or to the one that was open last. Nothing, if it is another one or knows it
    already; what is dated before an open case was last closed is of its life before.
    """
    if control.kind not in ACTS:
        raise ValueError(f"control {control.kind!r}, wanted one of {', '.join(ACTS)}")
    if control.kind in ("reopened", "labelled"):
        past = state.past
        if past is None or past.case_id != control.case_id:
            return state, []
        return (
            _opened_again(state, past, control)
            if control.kind == "reopened"
            else _labelled(state, past, control, settings)
        )
    case = state.open_case
    if case is None or case.case_id != control.case_id:
        return state, []
    if case.closed_ms is not None and control.t_ms <= case.closed_ms:
        return state, []
    after = _after(case, control)
    if after == case and control.kind != "resolved":
        return state, []
    after = replace(after, revision=case.revision + 1)
    resolved = control.kind == "resolved"
    state = _resolved(state, after, control, settings) if resolved else replace(state, open_case=after)
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
        reason=_said(control, after),
        evidence={"quiet_since_ms": case.quiet_since_ms, "joined": _names(case.joined)},
        closure=control.closure,
        by=control.by,
        until_ms=None if resolved else _until_ms(after),
        parent=control.parent,
    )
    return state, [change]


def _opened_again(state: State, past: Past, control: Control) -> tuple[State, list[CaseChange]]:
    """A person says that it is not over. What is told twice is told once."""
    if past.reopened_ms is not None and control.t_ms <= past.reopened_ms:
        return state, []
    quiet_ms = None if _any_alerts(state, past.joined) else control.t_ms
    case = replace(repair.opened_again(past), reopened_ms=control.t_ms, quiet_since_ms=quiet_ms)
    channels = {name: repair.may_speak(channel) for name, channel in state.channels.items()}
    state = replace(state, channels=channels, open_case=case, past=None)
    return state, [_told(case, state, control)]


def _labelled(state: State, past: Past, control: Control, settings: Settings) -> tuple[State, list[CaseChange]]:
    """Its closure codes are others. What follows is what would have followed then, as far as it still can."""
    closure = control.closure or {}
    if codes(closure) == past.closure:
        return state, []
    repaired = is_repair(closure)
    past = replace(past, revision=past.revision + 1, closure=codes(closure), repaired=repaired)
    before, state = state.past, replace(state, past=past)
    trial = None
    if repaired and before is not None and not before.repaired:
        state, trial = repair.begun(state, past, since_ms=control.t_ms, settings=settings), "begun"
    elif not repaired and past.trial is not None:
        state, trial = _quiet(repair.over(state), settings), "ended"
    change = _told(past, state, control)
    return state, [replace(change, evidence={**change.evidence, "trial": trial}) if trial else change]


def codes(closure: Mapping[str, str]) -> int:
    """What a state keeps of closure codes, to know them again: their CRC-32, and never 0."""
    return named(repr(sorted(closure.items())))


def _told(case: OpenCase | Past, state: State, control: Control) -> CaseChange:
    return CaseChange(
        case_id=case.case_id,
        revision=case.revision,
        change=control.kind,
        t_ms=control.t_ms,
        opened_ms=case.opened_ms,
        severity=case.severity,
        state=state.state,
        rule=case.joined[0].rule,
        channel=case.joined[0].channel,
        reason=by_whom(control),
        evidence={"joined": _names(case.joined)},
        closure=control.closure,
        by=control.by,
    )


def named(parent: str | None) -> int:
    """What a state keeps of the parent's id, to know it again: its CRC-32; 0 for none."""
    return crc32(parent.encode()) if parent else 0


def _after(case: OpenCase, control: Control) -> OpenCase:
    """The case as the act leaves it; the same, if it says nothing new."""
    if control.kind == "acknowledged":
        return replace(case, acknowledged=True)
    if control.kind == "shelved":
        until_ms = min(control.until_ms or control.t_ms, control.t_ms + MOST_SHELVED_MS)
        return replace(case, shelved_until_s=until_ms // 1000) if until_ms > control.t_ms else case
    if control.kind == "unshelved":
        ends_another = control.until_ms is not None and control.until_ms // 1000 != case.shelved_until_s
        return case if ends_another else replace(case, shelved_until_s=0)
    if control.kind == "grouped":
        return replace(case, parent=named(control.parent))
    return case


def _until_ms(case: OpenCase) -> int | None:
    return case.shelved_until_s * 1000 or None


def _said(control: Control, after: OpenCase) -> str:
    what = control.kind
    if control.kind == "shelved":
        what += f" until {datetime.fromtimestamp(after.shelved_until_s, UTC):%Y-%m-%d %H:%M} UTC"
    if control.kind == "grouped":
        what = f"joins {control.parent}" if control.parent else "stands alone"
    return by_whom(control, what)


def by_whom(control: Control, what: str | None = None) -> str:
    """What was done, in words, by whom and why."""
    what = what or control.kind
    return f"{what}, by {control.by}: {control.why}" if control.why else f"{what} by {control.by}"


def _may_open(state: State, row: Row) -> bool:
    """A case's id is made from its opening: a sibling axis of the row that opened the last one waits a row."""
    return state.last_opened_ms is None or row.t_ms > state.last_opened_ms


def _change(
    case: OpenCase, state: State, row: Row, loud: Sequence[Finding], settings: Settings, *, breaks: bool, again: bool
) -> CaseChange:
    """breaks : it was shelved until this row.   again : it was over until this row."""
    worst = max(loud, key=lambda one: (LEVELS.index(one.verdict.persistent), one.verdict.score or 0.0)).verdict
    return CaseChange(
        case_id=case.case_id,
        revision=case.revision,
        change=repair.REOPENED if again else "opened" if case.revision == 1 else "updated",
        t_ms=row.t_ms,
        opened_ms=case.opened_ms,
        severity=case.severity,
        state=state.state,
        rule=worst.rule,
        channel=worst.channel,
        reason=f"{'after closing, ' if again else ''}{worst.channel}: {worst.reason}",
        evidence={
            "capture_ids": [row.capture_id],
            "verdicts": [{**asdict(one.verdict), **one.detail} for one in loud],
            "joined": _names(case.joined),
            "last_scores": {repair.name_of(one): list(_monitor(state, one).scores) for one in case.joined},
            "settings": asdict(settings),
            **({"unshelved": "its severity rose to ALARM"} if breaks else {}),
        },
        until_ms=_until_ms(case),
    )


def is_repair(closure: Mapping[str, str]) -> bool:
    """The closure says that something was done to the machine, which is another one since."""
    return closure.get("action_taken") in REPAIRS and closure.get("failure_mode") != "NO_ISSUE"


def repaired(state: State) -> State:
    """The state after a repair of which nothing is on trial: everything is learned and counted anew."""
    return repair.learned_anew(state)


def _resolved(state: State, case: OpenCase, control: Control, settings: Settings) -> State:
    """After a repair the next rows tell. Otherwise what is known stays, and is quiet where it stands."""
    closure = control.closure or {}
    past = Past(
        case_id=case.case_id,
        opened_ms=case.opened_ms,
        revision=case.revision,
        severity=case.severity,
        joined=case.joined,
        closed_ms=control.t_ms,
        closure=codes(closure),
        reopened_ms=case.reopened_ms,
    )
    state = replace(state, judged=True)
    if is_repair(closure):
        return repair.begun(state, past, since_ms=control.t_ms, settings=settings)
    return _quiet(replace(state, open_case=None, past=past), settings)


def _quiet(state: State, settings: Settings) -> State:
    channels = {name: repair.quiet_as_it_stands(channel, settings) for name, channel in state.channels.items()}
    return replace(state, channels=channels)


def _monitor(state: State, monitor: MonitorId) -> Monitor:
    return state.channels[monitor.channel].monitors[monitor.rule]


def _any_alerts(state: State, monitors: Sequence[MonitorId]) -> bool:
    """In any operating mode: a fault of one is not over because the machine is in another."""
    elsewhere = (known for channel, rule in monitors if rule == "baseline" for known in _others(state, channel))
    return any(_monitor(state, monitor).alerts for monitor in monitors) or any(one.monitor.alerts for one in elsewhere)


def _others(state: State, channel: str) -> tuple[Known, ...]:
    return state.channels[channel].operation.others


def _names(monitors: Sequence[MonitorId]) -> list[str]:
    return [repair.name_of(monitor) for monitor in monitors]
