"""From feature rows to verdicts, states and cases: judges a stretch of the stream, then makes it known.

`decide` reads states and positions in batches, lets core.detect judge record by record, has the waveforms looked at
where a case opened or worsened, and writes nothing; `carry_out` does what was decided. Between them
adapters/receipts.py makes sure that each record counts once.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from telltale.adapters import parquet, pictures
from telltale.adapters.basis import basis, code_version
from telltale.adapters.cases import Cases
from telltale.adapters.events import (
    Event,
    Events,
    capture_rejected,
    case_changed,
    sensor_health,
    state_changed,
    tag_told,
)
from telltale.adapters.examiner import Examined, Examiner
from telltale.adapters.feature_stream import Message, OrderTold, read
from telltale.adapters.judging import Judging, Shown, glances
from telltale.adapters.kinesis import Record
from telltale.adapters.monitron_stream import MonitronStream, Retelling
from telltale.adapters.pictures import Pictures
from telltale.adapters.receipts import Decision, Receipt
from telltale.adapters.registry import Cached, Registry
from telltale.adapters.states import Held, HeldTags, States, StateWrite, TagsWrite, TrendWrite, Write
from telltale.adapters.trends import Trends
from telltale.core import detect, missed, repair, rota, schema, tag_streams, trend
from telltale.core.cases import by_whom, is_repair
from telltale.core.closure import closure_from
from telltale.core.detect import CaseChange, Control, Row, State, Verdict
from telltale.core.errors import Reason, Rejected
from telltale.core.findings import Diagnosis
from telltale.core.judgement import SENSOR
from telltale.core.orders import OrderChange
from telltale.core.plant import Position
from telltale.core.sensor import KINDS
from telltale.core.tag_streams import Alarm

TABLES = (
    *(schema.VERDICTS, schema.TAG_ALARMS, schema.DIAGNOSES, schema.CASES),
    *(schema.WORK_ORDERS, schema.LABELS, schema.ACTS, schema.QUARANTINE),
)
# Captures that are looked at in one decision; the records after them are left to the next one. With their pictures they
# take some seconds, so that a whole plant that shakes at once does not run into the function's timeout for ever.
MOST_EXAMINED = 20

YEAR_10000_MS = 253_402_300_800_000  # a maintenance system's clock may say anything; from here on no engine reads it

NEW = State.new().pack()
CLOSINGS = ("resolved", "labelled")  # changes that bring closure codes

Explanation = tuple[str | None, Mapping[str, Any]]  # the fault that is named, and the evidence
UNEXPLAINED: Explanation = (None, {})


class Detection:
    """Judges records and makes the outcome known."""

    def __init__(
        self,
        *,
        states: States,
        cases: Cases,
        events: Events,
        registry: Registry | Cached,
        examiner: Examiner,
        pictures: Pictures,
        now_ms: Callable[[], int],
        monitron: MonitronStream | None = None,
    ) -> None:
        self._states = states
        self._cases = cases
        self._events = events
        self._registry = registry
        self._examiner = examiner
        self._pictures = pictures
        self._now_ms = now_ms
        self._monitron = monitron

    def decide(self, batch_id: str, records: Sequence[Record]) -> Decision:
        """What becomes of the records. Reads only."""
        decoded = [(record, _decoded(record)) for record in records]
        named = {message.position for _, message in decoded if isinstance(message, Message)}
        positions = self._registry.positions(named)
        held = self._states.get(positions)
        cores = {name: held[name].core if name in held else NEW for name in positions}
        shown = glances(cores)
        known = {name: Known.of(held.get(name), shown[name]) for name in positions}
        tags = self._states.tags([name for name, position in positions.items() if position.streams])
        trends = Trends(self._states)
        trends.read({one.position for _, one in decoded if isinstance(one, Message) and _grows(one, positions, known)})
        retelling = None
        if self._monitron is not None:
            retelling = Retelling(self._monitron.account, positions, cores, self._registry)
        bench = Bench(positions, known, examiner=self._examiner, cases=self._cases, trends=trends, retelling=retelling)
        said = [message if isinstance(message, Message) else None for _, message in decoded]
        judging = Judging(said, positions, cores, by_hand=_is_due)
        taken = 0
        for record, message in decoded:
            if bench.examined >= MOST_EXAMINED:
                break
            bench.judge(record, message, judging, taken)
            taken += 1
        revs = {name: held[name].rev + 1 if name in held else 1 for name in positions}
        bench.watch_tags(tags, batch_id)
        after = judging.cores_after(taken)
        moved = bench.moved(name for name in positions if after[name] != cores[name])
        writes = [_write(name, known, after[name], revs[name], batch_id) for name, known in moved]
        return bench.decision(writes, trends.writes(batch_id))

    def carry_out(self, receipt: Receipt) -> None:
        """Cases, then events, then states, then pictures; each may be done again, and then changes nothing.

        The stream in Monitron's format comes last: its consumers drop what they have seen by its id.
        """
        for effect in receipt.effects["cases"]:
            change = CaseChange(**effect["change"])
            received_ms = effect["received_ms"]
            self._cases.put(effect["position"], change, changed_at=self._now_ms(), received_ms=received_ms)
        for case_id, revision in receipt.effects.get("orders", {}).items():  # none before orders
            self._cases.kept_order(case_id, revision)
        self._events.put([Event(**event) for event in receipt.effects["events"]])
        writes: list[Write] = [StateWrite.from_dict(write) for write in receipt.effects["states"]]
        writes += [TagsWrite.from_dict(write) for write in receipt.effects.get("tags", ())]  # none before tags
        writes += [TrendWrite.from_dict(write) for write in receipt.effects.get("trends", ())]  # likewise
        self._states.put(writes, judged_at=self._now_ms())
        for picture in receipt.effects.get("pictures", ()):  # none in what a version before pictures decided
            self._pictures.draw(picture)
        if self._monitron is not None and (retold := receipt.effects.get("monitron")):
            self._monitron.put(retold)


@dataclass(frozen=True)
class Known:
    """What is known of a position: what it shows, and by whom and when it was last heard."""

    shown: Shown
    last_t_ms: int = 0
    last_received_ms: int = 0
    sensor: str | None = None
    gateway: str | None = None

    @classmethod
    def of(cls, held: Held | None, shown: Shown) -> Self:
        if held is None:
            return cls(shown)
        return cls(shown, held.last_t_ms, held.last_received_ms, held.sensor, held.gateway)

    def heard(self, row: Row, gateway: str | None) -> Self:
        """With this row as the last one heard, if none was received later."""
        if row.received_ms <= self.last_received_ms:
            return self
        last_t_ms = max(row.t_ms, self.last_t_ms)
        return replace(self, last_t_ms=last_t_ms, last_received_ms=row.received_ms, sensor=row.sensor, gateway=gateway)


@dataclass(frozen=True)
class Seen:
    """A row, the message it came in, and the position with what it showed before."""

    message: Message
    row: Row
    position: Position
    shown: Shown

    @property
    def before(self) -> State:
        """The state before. Only rows that went by hand have it: those that changed a case, and those that are due."""
        if not isinstance(self.shown, State):
            raise TypeError(f"capture {self.row.capture_id} was judged among others, wanted by hand")
        return self.shown


class Bench:
    """One stretch of records being judged: takes them one after the other, gathers what comes of them.

    examined : captures whose waveforms were looked at.
    """

    def __init__(
        self,
        positions: Mapping[str, Position],
        known: Mapping[str, Known],
        *,
        examiner: Examiner,
        cases: Cases,
        trends: Trends,
        retelling: Retelling | None = None,
    ) -> None:
        self.examined = 0
        self._retelling = retelling
        self._trends = trends
        self._positions = positions
        self._examiner = examiner
        self._stored = cases
        self._before = known
        self._known = dict(known)
        self._count = {"stored": 0, "duplicate": 0, "quarantined": 0}
        self._rows: dict[str, list[parquet.Row]] = {table.name: [] for table in TABLES}
        self._explanations: dict[str, Explanation] = {}  # of the cases that changed
        self._cases: list[dict[str, Any]] = []
        self._orders: dict[str, int] = {}  # case → the last change of its order that the lake has
        self._kept_orders: dict[str, int] = {}  # likewise, of those with a new one
        self._changes: dict[str, CaseChange] = {}  # the last one of each case
        self._events: list[Event] = []
        self._pictures: list[dict[str, Any]] = []
        self._heard: dict[str, list[Row]] = {}  # at positions whose tags are watched
        self._tags: list[TagsWrite] = []

    def judge(self, record: Record, message: Message | OrderTold | Rejected, judging: Judging, place: int) -> None:
        """One record: judged, or set aside with its bytes. place : of the message, in the judging."""
        try:
            if isinstance(message, Rejected):
                raise message
            if isinstance(message, OrderTold):
                outcome = self._keep_order(message.position, message.change)
            else:
                outcome = self._judge(message, record.arrival_ms, judging, place)
        except Rejected as rejected:
            self._set_aside(record, message, rejected)
            outcome = "quarantined"
        self._count[outcome] += 1

    def watch_tags(self, held: Mapping[str, HeldTags], batch_id: str) -> None:
        """The tags of what was judged, each as a stream of its own: all its rows at once, for that is far cheaper."""
        for name, rows in self._heard.items():
            position, before = self._positions[name], held.get(name, HeldTags({}, 0))
            tags, alarms = tag_streams.watch(before.tags, rows, wanted=position.streams)
            self._rows[schema.TAG_ALARMS.name] += [_alarm_row(position, alarm) for alarm in alarms]
            self._events += [event for alarm in alarms for event in tag_told(name, alarm)]
            if tags != before.tags:
                self._tags.append(TagsWrite(name, before.rev + 1, tags, batch_id))

    def moved(self, judged: Iterable[str]) -> list[tuple[str, Known]]:
        """Positions of which more is known than before. judged : those whose state is another one."""
        found = set(judged)
        return [(name, one) for name, one in self._known.items() if name in found or one != self._before[name]]

    def decision(self, writes: Sequence[StateWrite], trends: Sequence[TrendWrite]) -> Decision:
        return Decision(
            **self._count,
            files=[file for table in TABLES for file in parquet.files(table, self._rows[table.name])],
            effects={
                "cases": self._cases,
                "orders": self._kept_orders,
                "events": [event.as_dict() for event in self._events],
                "states": [write.as_dict() for write in writes],
                "pictures": self._pictures,
                "tags": [write.as_dict() for write in self._tags],
                "trends": [write.as_dict() for write in trends],
                **({"monitron": self._retelling.events} if self._retelling else {}),
            },
        )

    def _keep_order(self, position: str, change: OrderChange) -> str:
        """A change of a work order: kept once, however often it is told, and of a position that left the plant too."""
        case_id = change.seen.case_id
        if case_id not in self._orders:
            self._orders[case_id] = self._stored.order_revision(case_id)
        if change.revision <= self._orders[case_id]:
            return "duplicate"
        self._orders[case_id] = self._kept_orders[case_id] = change.revision
        self._rows[schema.WORK_ORDERS.name].append(_order_row(position, change))
        return "stored"

    def _judge(self, message: Message, heard_ms: int, judging: Judging, place: int) -> str:
        position = self._positions.get(message.position)
        if position is None:
            raise Rejected(Reason.UNKNOWN_POSITION, f"position {message.position!r} is not in the registry")
        before = self._known[position.id]
        try:
            made = judging.of(place, position.id, before.shown)
        except ValueError as error:
            raise Rejected(Reason.BAD_SETTINGS, f"position {position.id}: {error}") from error
        if isinstance(message.item, Control) and message.item.kind == missed.KIND:
            self._keep_missed(position, message.item)
            return "stored"
        verdicts, changes = made.verdicts, list(made.changes)
        known, taken_up = replace(before, shown=made.after), False
        if isinstance(message.item, Row):
            if message.item.model is None:  # else no sensor was heard
                known = known.heard(message.item, message.gateway)
            if position.streams and message.item.model is None:
                self._heard.setdefault(position.id, []).append(message.item)
            self._keep_verdicts(message.item, position, verdicts)
            self._events += _sensor_health(position, made.before, made.after, message.item, verdicts)
            seen = Seen(message, message.item, position, made.before)
            if _grows(message, self._positions, self._known) and _runs_and_is_heard(verdicts):
                self._trends.grow(position.id, message.item)
            if changes:
                changes = [self._made_known(change, seen) for change in changes]
            elif _is_due(message, position) and any(verdict.verdict != "MACHINE_OFF" for verdict in verdicts):
                self._examine(seen, trigger="rota", case_id=_case_id(made.after))
        else:
            after_ms = before.last_received_ms or None
            changes = changes or self._of_another_case(message.item, position, made.after)
            changes = [
                replace(change, fault=self._said(change.case_id)[0], heard_ms=heard_ms, after_ms=after_ms)
                for change in changes
            ]
            taken_up = _relearned_ms(made.after) != _relearned_ms(made.before)
            if taken_up:
                self._keep_act(position, message.item, before)
            if taken_up or any(is_repair(change.closure or {}) for change in changes if change.change in CLOSINGS):
                self._trends.begin_anew(position.id)
        self._known[position.id] = known
        self._keep_changes(position, changes, message.item)
        if self._retelling is not None:
            self._retell(message, verdicts, changes, heard_ms, previous=made.before.state, sensor=known.sensor)
        if made.after.state != made.before.state:
            self._events.append(_state_changed(position, made.before, made.after, message.item.t_ms))
        return "stored" if verdicts or changes or taken_up or _carries_nothing(message) else "duplicate"

    def _retell(
        self,
        message: Message,
        verdicts: Sequence[Verdict],
        changes: Sequence[CaseChange],
        heard_ms: int,
        *,
        previous: str,
        sensor: str | None,
    ) -> None:
        """The same in Monitron's format. previous, sensor : of the position."""
        item, retelling = message.item, self._retelling
        if retelling is None:
            return
        received_ms = heard_ms
        retelling.settled(message.position, changes)
        if isinstance(item, Row):
            retelling.row(message.position, item, message.gateway, verdicts)
            received_ms = item.received_ms
        retelling.changes(message.position, changes, previous=previous, received_ms=received_ms, sensor=sensor)

    def _keep_verdicts(self, row: Row, position: Position, verdicts: Sequence[Verdict]) -> None:
        ids = {"capture_id": row.capture_id, "position": position.id, "site": position.site, "t": row.t_ms}
        for verdict in verdicts:
            self._rows[schema.VERDICTS.name].append({**ids, **vars(verdict), "code_version": code_version()})

    def _keep_missed(self, position: Position, told: Control) -> None:
        """A fault that nobody was warned of, or that it was none after all: a label of a case that never was."""
        where = {"case_id": told.case_id, "position": position.id, "site": position.site}
        when = {"t": told.t_ms, "opened_at": told.t_ms if told.until_ms is None else told.until_ms}
        codes = closure_from(told.closure).as_dict()
        self._rows[schema.LABELS.name].append({**where, **when, "by": told.by, **codes})

    def _keep_act(self, position: Position, act: Control, before: Known) -> None:
        said = {"t": act.t_ms, "kind": act.kind, "by": act.by, "why": act.why, "after": before.last_received_ms or None}
        self._rows[schema.ACTS.name].append({"position": position.id, "site": position.site, **said})

    def _of_another_case(self, act: Control, position: Position, after: Shown) -> list[CaseChange]:
        """What is said of a case that detection remembers no more, for another one was opened since. A label is kept
        with it; it is not opened again, and its history says why. Told twice is told once.
        """
        if act.kind not in ("reopened", "labelled") or not isinstance(after, State):
            return []
        mine = after.open_case or after.past
        if mine is not None and mine.case_id == act.case_id:
            return []
        known = self._changes.get(act.case_id)
        stored = self._stored.get(act.case_id) if known is None else None
        before = known or (stored.change if stored is not None and stored.position == position.id else None)
        if before is None:
            return []
        history = stored.history if stored else ()
        if act.kind == "labelled":
            if dict(before.closure or {}) == dict(act.closure or {}):
                return []
            reason = by_whom(act)
        else:
            if any(one["change"] == repair.NOTED and one["t_ms"] == act.t_ms for one in history):
                return []
            later = f"{mine.case_id} was opened at this position since" if mine else "it was not the last case here"
            reason = f"not {by_whom(act)}; {later}"
        return [
            replace(
                before,
                revision=before.revision + 1,
                change=act.kind if act.kind == "labelled" else repair.NOTED,
                t_ms=act.t_ms,
                state=after.state,
                reason=reason,
                evidence={"joined": before.evidence.get("joined", [])},
                closure=act.closure if act.kind == "labelled" else None,
                by=act.by,
                until_ms=None,
                parent=None,
            )
        ]

    def _made_known(self, change: CaseChange, seen: Seen) -> CaseChange:
        """A change that a row made. Of one that closes the trial of a repair no waveform is looked at."""
        if change.change not in (repair.CONFIRMED, repair.NOTED):
            return self._explained(change, seen)
        judged = basis(seen.message, seen.before, seen.position)
        return replace(change, fault=self._said(change.case_id)[0], evidence={**change.evidence, "judged": judged})

    def _explained(self, change: CaseChange, seen: Seen) -> CaseChange:
        """A change that a row made, with what its waveforms say."""
        made = self._examine(seen, trigger="case", case_id=change.case_id)
        earlier = UNEXPLAINED if change.change == "opened" else self._said(change.case_id)
        judged = basis(seen.message, seen.before, seen.position)
        change = replace(change, evidence={**change.evidence, "judged": judged, **self._ahead(change, seen)})
        fault, evidence = self._explanations[change.case_id] = _with_diagnosis(change, made, earlier)
        change = replace(change, fault=fault, evidence=evidence)
        if evidence.get("picture") == pictures.picture_key(change):
            self._pictures.append(pictures.order(change, seen.message, seen.row, seen.position))
        return change

    def _ahead(self, change: CaseChange, seen: Seen) -> Mapping[str, Any]:
        """When what the case warns of reaches its next limit."""
        worst = next((one for one in change.evidence["verdicts"] if _is_of(one, change)), None)
        if worst is None:
            return {}
        found = trend.outlook(self._trends.of(seen.position.id), seen.row, worst, position=seen.position)
        return {} if found is None else {"prognosis": found}

    def _examine(self, seen: Seen, *, trigger: str, case_id: str | None) -> Examined:
        normal = detect.usual(seen.before, seen.row, seen.position)
        made = self._examiner.examine(seen.message, seen.row, seen.position, normal=normal)
        self.examined += seen.message.waveforms is not None
        if made.diagnosis is not None:
            diagnosis = _diagnosis_row(seen.position, seen.row, made.diagnosis, made.evidence)
            self._rows[schema.DIAGNOSES.name].append({**diagnosis, "trigger": trigger, "case_id": case_id})
        return made

    def _said(self, case_id: str) -> Explanation:
        """The fault and the evidence that the case shows until now."""
        if case_id not in self._explanations:
            stored = self._stored.get(case_id)
            self._explanations[case_id] = (stored.change.fault, stored.change.evidence) if stored else UNEXPLAINED
        return self._explanations[case_id]

    def _keep_changes(self, position: Position, changes: Sequence[CaseChange], item: Row | Control) -> None:
        received_ms = item.received_ms if isinstance(item, Row) else None
        for change in changes:
            effect = {"position": position.id, "change": asdict(change), "received_ms": received_ms}
            self._cases.append(effect)
            self._changes[change.case_id] = change
            self._events.append(case_changed(position.id, change))
            self._rows[schema.CASES.name].append(_case_row(position, change))
            if change.change in CLOSINGS:
                self._rows[schema.LABELS.name].append(_label_row(position, change))

    def _set_aside(self, record: Record, message: Message | OrderTold | Rejected, rejected: Rejected) -> None:
        item = message.item if isinstance(message, Message) else None
        sensor = item.sensor if isinstance(item, Row) else None
        gateway = message.gateway if isinstance(message, Message) else None
        row = {
            "quarantine_id": record.id,
            "received_at": record.arrival_ms,
            "reason": str(rejected.reason),
            "detail": rejected.detail,
            "gateway": gateway,
            "sensor": sensor,
            "payload": record.data,
        }
        self._rows[schema.QUARANTINE.name].append(row)
        self._events.append(
            capture_rejected(
                record.id,
                reason=rejected.reason,
                detail=rejected.detail,
                received_ms=record.arrival_ms,
                gateway=gateway,
                sensor=sensor,
            )
        )


def _decoded(record: Record) -> Message | OrderTold | Rejected:
    """What the record says. Nothing can have been done later than it was heard, whatever a clock says."""
    try:
        message = read(record.data)
    except Rejected as rejected:
        return rejected
    if isinstance(message, Message) and isinstance(message.item, Control) and message.item.t_ms > record.arrival_ms:
        return replace(message, item=replace(message.item, t_ms=record.arrival_ms))
    return message


def _carries_nothing(message: Message) -> bool:
    """A row with neither axes nor temperature says only that the sensor lives."""
    row = message.item
    return isinstance(row, Row) and not row.axes and row.temperature_c is None and row.model is None


def _state_changed(position: Position, before: Shown, after: Shown, t_ms: int) -> Event:
    case_id = _case_id(after) or _case_id(before)
    return state_changed(position.id, before.state, after.state, t_ms=t_ms, case_id=case_id)


def _case_id(shown: Shown) -> str | None:
    return shown.open_case.case_id if isinstance(shown, State) and shown.open_case is not None else None


def _relearned_ms(shown: Shown) -> int | None:
    return shown.relearned_ms if isinstance(shown, State) else None


def _sensor_health(
    position: Position, before: Shown, after: Shown, row: Row, verdicts: Sequence[Verdict]
) -> list[Event]:
    """The event of a sensor that became faulty, or is sound again on all axes; mostly none."""
    if bool(before.sensor_faults) == bool(after.sensor_faults):
        return []
    reasons = {verdict.channel: verdict.reason or "" for verdict in verdicts if verdict.rule == SENSOR}
    faults = [
        {"axis": axis, "kind": kind, "reason": reasons[axis]}
        for axis, kind in after.sensor_faults.items()
        if axis in reasons
    ]
    kind = "Sensor Faulty" if after.sensor_faults else "Sensor Recovered"
    return [sensor_health(kind, row.sensor, position=position.id, t_ms=row.t_ms, faults=faults)]


def _write(position: str, known: Known, core: bytes, rev: int, batch_id: str) -> StateWrite:
    return StateWrite(
        position=position,
        rev=rev,
        core=core,
        state=known.shown.state,
        last_t_ms=known.last_t_ms,
        last_received_ms=known.last_received_ms,
        sensor=known.sensor,
        gateway=known.gateway,
        batch=batch_id,
        sensor_fault=", ".join(f"{KINDS[kind]} on {axis}" for axis, kind in known.shown.sensor_faults.items()) or None,
    )


def _grows(message: Message, positions: Mapping[str, Position], known: Mapping[str, Known]) -> bool:
    """Whether the trend of its position takes up this message."""
    position = positions.get(message.position)
    if position is None or not isinstance(message.item, Row) or not message.item.axes:
        return False
    before = known[position.id]
    last_ms = before.last_t_ms if before.last_received_ms else None
    return trend.is_due(message.item.t_ms, last_ms, interval_s=position.interval_s)


def _runs_and_is_heard(verdicts: Sequence[Verdict]) -> bool:
    told = {verdict.verdict for verdict in verdicts}
    return bool(told) and not told & {"MACHINE_OFF", "SENSOR_FAULT"}


def _is_of(verdict: Mapping[str, Any], change: CaseChange) -> bool:
    return (verdict["channel"], verdict["rule"]) == (change.channel, change.rule)


def _is_due(message: Message, position: Position) -> bool:
    """Whether it is this message's turn to be looked at though nothing happened."""
    if message.waveforms is None:
        return False
    return rota.is_due(position.id, message.item.t_ms, interval_s=position.interval_s)


def _with_diagnosis(change: CaseChange, made: Examined, earlier: Explanation) -> Explanation:
    """What the case says after this change. A fault that was named stays until another is named: late in the life of
    a bearing its lines drown in noise, and the waveforms say less while the machine gets worse.
    """
    fault, before = earlier
    if made.diagnosis is not None and (made.diagnosis.fault is not None or fault is None):
        pictured = {"diagnosis": made.evidence, "picture": pictures.picture_key(change)}
        return made.diagnosis.fault, {**change.evidence, **pictured}
    if "verdict" not in before.get("diagnosis", {}):
        return None, {**change.evidence, "diagnosis": made.evidence}
    kept = {name: before[name] for name in ("diagnosis", "picture") if name in before}
    if made.diagnosis is not None:
        later = {name: made.evidence[name] for name in ("verdict", "confidence", "reason", "capture_id", "t_ms")}
        kept["diagnosis"] = {**kept["diagnosis"], "later": later}
    return fault, {**change.evidence, **kept}


def _diagnosis_row(position: Position, row: Row, found: Diagnosis, told: Mapping[str, Any]) -> parquet.Row:
    """The columns that are the same whatever it was made for. `told` is the diagnosis as plain values."""
    axis = found.findings[0].axis if found.findings else max(found.kurtosis, key=found.kurtosis.__getitem__, default="")
    low_hz, high_hz = found.bands_hz.get(axis, (None, None))
    return {
        "capture_id": row.capture_id,
        "position": position.id,
        "site": position.site,
        "sensor": row.sensor,
        "t": row.t_ms,
        "axes": told["axes"],
        "verdict": found.verdict,
        "confidence": found.confidence,
        "fault": found.fault,
        "axis": axis or None,
        "reason": found.reason,
        "speed_rpm": None if found.speed_hz is None else found.speed_hz * 60,
        "speed_source": found.speed_source,
        "speed_confidence": found.speed_confidence,
        "band_low_hz": low_hz,
        "band_high_hz": high_hz,
        "band_kurtosis": found.kurtosis.get(axis),
        "findings": json.dumps(told["findings"], separators=(",", ":")),
        "untested": json.dumps(told["untested"], separators=(",", ":")),
        "code_version": code_version(),
    }


def _alarm_row(position: Position, alarm: Alarm) -> parquet.Row:
    return {
        "capture_id": alarm.row.capture_id,
        "position": position.id,
        "site": position.site,
        "sensor": alarm.row.sensor,
        "t": alarm.told.t_ms,
        "tag": alarm.tag,
        "value": alarm.told.value,
        "score": alarm.told.score,
        "reason": alarm.told.reason,
        "words": alarm.told.words,
        "is_anomaly": alarm.is_anomaly,
        "is_changepoint": alarm.is_changepoint,
        "rows_before": alarm.rows_before,
        "code_version": code_version(),
    }


def _case_row(position: Position, change: CaseChange) -> parquet.Row:
    codes = {name: code for name, code in (change.closure or {}).items() if name in schema.CASES.names}
    plain = {name: value for name, value in asdict(change).items() if name in schema.CASES.names}
    times = {"t": change.t_ms, "opened_at": change.opened_ms, "shelved_until": change.until_ms}
    times |= {"heard_at": change.heard_ms, "after": change.after_ms}
    evidence = json.dumps(change.evidence, separators=(",", ":"))
    return {**plain, **codes, **times, "evidence": evidence, "position": position.id, "site": position.site}


def _order_row(position: str, change: OrderChange) -> parquet.Row:
    seen = change.seen
    said = {name: value or None for name, value in vars(seen).items() if name in schema.WORK_ORDERS.names}
    codes = {name: code for name, code in seen.closure.items() if name in schema.WORK_ORDERS.names}
    when = {"revision": change.revision, "change": change.change, "t": change.t_ms}
    known_ms = seen.changed_ms if seen.changed_ms is not None and 0 < seen.changed_ms < YEAR_10000_MS else None
    where = {"position": position, "site": position.split("/")[0]}
    return {**where, **said, **codes, **when, "changed_at": known_ms}


def _label_row(position: Position, change: CaseChange) -> parquet.Row:
    return {
        "case_id": change.case_id,
        "position": position.id,
        "site": position.site,
        "t": change.t_ms,
        "opened_at": change.opened_ms,
        "by": change.by,
        **closure_from(change.closure).as_dict(),
    }
