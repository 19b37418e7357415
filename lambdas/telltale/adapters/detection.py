"""From feature rows to verdicts, states and cases: judges a stretch of the stream, then makes it known.

`decide` reads states and positions in batches, lets core.detect judge record by record, and writes nothing;
`carry_out` does what was decided. Between them adapters/receipts.py makes sure that each record counts once.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from telltale import VERSION
from telltale.adapters import parquet
from telltale.adapters.cases import Cases
from telltale.adapters.events import Event, Events, capture_rejected, case_changed, state_changed
from telltale.adapters.feature_stream import Message, decode
from telltale.adapters.kinesis import Record
from telltale.adapters.receipts import Decision, Receipt
from telltale.adapters.registry import Cached, Registry
from telltale.adapters.states import Held, States, StateWrite
from telltale.core import detect, schema
from telltale.core.closure import closure_from
from telltale.core.detect import CaseChange, Control, Row, State, Verdict
from telltale.core.errors import Reason, Rejected
from telltale.core.plant import Position

TABLES = (schema.VERDICTS, schema.CASES, schema.LABELS, schema.QUARANTINE)


class Detection:
    """Judges records and makes the outcome known."""

    def __init__(
        self,
        *,
        states: States,
        cases: Cases,
        events: Events,
        registry: Registry | Cached,
        now_ms: Callable[[], int],
    ) -> None:
        self._states = states
        self._cases = cases
        self._events = events
        self._registry = registry
        self._now_ms = now_ms

    def decide(self, batch_id: str, records: Sequence[Record]) -> Decision:
        """What becomes of the records. Reads only."""
        decoded = [(record, _decoded(record.data)) for record in records]
        named = {message.position for _, message in decoded if isinstance(message, Message)}
        positions = self._registry.positions(named)
        held = self._states.get(positions)
        bench = Bench(positions, {name: Known.of(held[name]) if name in held else Known() for name in positions})
        for record, message in decoded:
            bench.judge(record, message)
        revs = {name: held[name].rev + 1 if name in held else 1 for name in positions}
        return bench.decision([_write(name, known, revs[name], batch_id) for name, known in bench.moved()])

    def carry_out(self, receipt: Receipt) -> None:
        """Cases, then events, then states; each may be done again, and then changes nothing."""
        for effect in receipt.effects["cases"]:
            change = CaseChange(**effect["change"])
            received_ms = effect["received_ms"]
            self._cases.put(effect["position"], change, changed_at=self._now_ms(), received_ms=received_ms)
        self._events.put([Event(**event) for event in receipt.effects["events"]])
        self._states.put([StateWrite.from_dict(write) for write in receipt.effects["states"]], judged_at=self._now_ms())


@dataclass(frozen=True)
class Known:
    """What is known of a position: its state, and by whom and when it was last heard."""

    state: State = field(default_factory=State.new)
    last_t_ms: int = 0
    last_received_ms: int = 0
    sensor: str | None = None
    gateway: str | None = None

    @classmethod
    def of(cls, held: Held) -> Self:
        return cls(State.unpack(held.core), held.last_t_ms, held.last_received_ms, held.sensor, held.gateway)

    def heard(self, row: Row, gateway: str | None) -> Self:
        """With this row as the last one heard, if none was received later."""
        if row.received_ms <= self.last_received_ms:
            return self
        last_t_ms = max(row.t_ms, self.last_t_ms)
        return replace(self, last_t_ms=last_t_ms, last_received_ms=row.received_ms, sensor=row.sensor, gateway=gateway)


class Bench:
    """One stretch of records being judged: takes them one after the other, gathers what comes of them."""

    def __init__(self, positions: Mapping[str, Position], known: Mapping[str, Known]) -> None:
        self._positions = positions
        self._before = known
        self._known = dict(known)
        self._count = {"stored": 0, "duplicate": 0, "quarantined": 0}
        self._rows: dict[str, list[parquet.Row]] = {table.name: [] for table in TABLES}
        self._cases: list[dict[str, Any]] = []
        self._events: list[Event] = []

    def judge(self, record: Record, message: Message | Rejected) -> None:
        """One record: judged, or set aside with its bytes."""
        try:
            if isinstance(message, Rejected):
                raise message
            outcome = self._judge(message)
        except Rejected as rejected:
            self._set_aside(record, message, rejected)
            outcome = "quarantined"
        self._count[outcome] += 1

    def moved(self) -> list[tuple[str, Known]]:
        """Positions of which more is known than before."""
        return [(name, known) for name, known in self._known.items() if known != self._before[name]]

    def decision(self, writes: Sequence[StateWrite]) -> Decision:
        return Decision(
            **self._count,
            files=[file for table in TABLES for file in parquet.files(table, self._rows[table.name])],
            effects={
                "cases": self._cases,
                "events": [event.as_dict() for event in self._events],
                "states": [write.as_dict() for write in writes],
            },
        )

    def _judge(self, message: Message) -> str:
        position = self._positions.get(message.position)
        if position is None:
            raise Rejected(Reason.UNKNOWN_POSITION, f"position {message.position!r} is not in the registry")
        before = self._known[position.id]
        try:
            state, verdicts, changes = detect.step(before.state, message.item, position)
        except ValueError as error:
            raise Rejected(Reason.BAD_SETTINGS, f"position {position.id}: {error}") from error
        known = replace(before, state=state)
        if isinstance(message.item, Row):
            known = known.heard(message.item, message.gateway)
            self._keep_verdicts(message.item, position, verdicts)
        self._known[position.id] = known
        self._keep_changes(position, changes, message.item)
        if state.state != before.state.state:
            self._events.append(_state_changed(position, before.state, state, message.item.t_ms))
        return "stored" if verdicts or changes or _carries_nothing(message) else "duplicate"

    def _keep_verdicts(self, row: Row, position: Position, verdicts: Sequence[Verdict]) -> None:
        ids = {"capture_id": row.capture_id, "position": position.id, "site": position.site, "t": row.t_ms}
        for verdict in verdicts:
            self._rows[schema.VERDICTS.name].append({**ids, **asdict(verdict), "code_version": VERSION})

    def _keep_changes(self, position: Position, changes: Sequence[CaseChange], item: Row | Control) -> None:
        received_ms = item.received_ms if isinstance(item, Row) else None
        for change in changes:
            effect = {"position": position.id, "change": asdict(change), "received_ms": received_ms}
            self._cases.append(effect)
            self._events.append(case_changed(position.id, change))
            self._rows[schema.CASES.name].append(_case_row(position, change))
            if change.change == "resolved":
                self._rows[schema.LABELS.name].append(_label_row(position, change))

    def _set_aside(self, record: Record, message: Message | Rejected, rejected: Rejected) -> None:
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


def _decoded(data: bytes) -> Message | Rejected:
    try:
        return decode(data)
    except Rejected as rejected:
        return rejected


def _carries_nothing(message: Message) -> bool:
    """A row with neither axes nor temperature says only that the sensor lives."""
    return isinstance(message.item, Row) and not message.item.axes and message.item.temperature_c is None


def _state_changed(position: Position, before: State, after: State, t_ms: int) -> Event:
    case = after.open_case or before.open_case
    return state_changed(position.id, before.state, after.state, t_ms=t_ms, case_id=case.case_id if case else None)


def _write(position: str, known: Known, rev: int, batch_id: str) -> StateWrite:
    return StateWrite(
        position=position,
        rev=rev,
        core=known.state.pack(),
        state=known.state.state,
        last_t_ms=known.last_t_ms,
        last_received_ms=known.last_received_ms,
        sensor=known.sensor,
        gateway=known.gateway,
        batch=batch_id,
    )


def _case_row(position: Position, change: CaseChange) -> parquet.Row:
    codes = {name: code for name, code in (change.closure or {}).items() if name in schema.CASES.names}
    plain = {name: value for name, value in asdict(change).items() if name in schema.CASES.names}
    times = {"t": change.t_ms, "opened_at": change.opened_ms}
    evidence = json.dumps(change.evidence, separators=(",", ":"))
    return {**plain, **codes, **times, "evidence": evidence, "position": position.id, "site": position.site}


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
