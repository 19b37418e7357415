"""Events for everybody else, on the EventBridge bus. docs/events/ has the JSON Schema of each detail.

Every detail carries `version` and an `id` that is the same however often the event is sent: buses deliver at
least once, and a consumer drops what it has seen. A field that is not known is absent.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from telltale.core.detect import CaseChange
from telltale.core.errors import RetryLater
from telltale.core.tag_streams import Alarm

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

SOURCE = "telltale"
VERSION = "1"
ENTRIES_PER_CALL = 10  # PutEvents, API reference
BYTES_PER_CALL = 200_000  # PutEvents takes 256 KB; the rest is room for what surrounds a detail
ATTEMPTS = 4
PAUSE_S = 0.2  # before the second attempt, doubled for each further one


@dataclass(frozen=True)
class Event:
    """One event: its detail-type and its detail (JSON-able)."""

    kind: str
    detail: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "detail": dict(self.detail)}


class Events:
    """The bus."""

    def __init__(self, client: "EventBridgeClient", bus: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._bus = bus
        self._sleep = sleep

    def put(self, events: Sequence[Event]) -> None:
        """Sends all of them. Raises RetryLater when some are still refused after a few attempts."""
        for batch in _batches([self._entry(event) for event in events]):
            self._put(batch)

    def _put(self, entries: "list[PutEventsRequestEntryTypeDef]") -> None:
        for attempt in range(ATTEMPTS):
            answer = self._client.put_events(Entries=entries)
            if not answer["FailedEntryCount"]:
                return
            failed = [index for index, entry in enumerate(answer["Entries"]) if entry.get("ErrorCode")]
            code = answer["Entries"][failed[0]].get("ErrorCode")
            entries = [entries[index] for index in failed]
            if attempt < ATTEMPTS - 1:
                self._sleep(PAUSE_S * 2**attempt)
        raise RetryLater(f"event bus {self._bus} refused {len(entries)} events {ATTEMPTS} times, last with {code}")

    def _entry(self, event: Event) -> "PutEventsRequestEntryTypeDef":
        return {
            "Source": SOURCE,
            "DetailType": event.kind,
            "Detail": json.dumps(event.detail, separators=(",", ":"), allow_nan=False),
            "EventBusName": self._bus,
        }


def _batches(entries: "list[PutEventsRequestEntryTypeDef]") -> "Iterator[list[PutEventsRequestEntryTypeDef]]":
    batch: list[PutEventsRequestEntryTypeDef] = []
    size = 0
    for entry in entries:
        weight = len(entry["Detail"].encode())
        if batch and (len(batch) == ENTRIES_PER_CALL or size + weight > BYTES_PER_CALL):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += weight
    if batch:
        yield batch


def case_changed(position: str, change: CaseChange) -> Event:
    """Case Opened, Updated, Acknowledged, Resolved, Shelved, Unshelved, Grouped, Reopened, Confirmed, Labelled or
    Noted, with the diagnosis in short.

    The evidence stays with the case: look it up by `case_id`.
    """
    return _event(
        f"Case {change.change.capitalize()}",
        f"{change.case_id}#{change.revision}",
        case_id=change.case_id,
        revision=change.revision,
        change=change.change,
        position=position,
        site=position.split("/")[0],
        t_ms=change.t_ms,
        opened_ms=change.opened_ms,
        severity=change.severity,
        state=change.state,
        rule=change.rule,
        channel=change.channel,
        reason=change.reason,
        fault=change.fault,
        diagnosis=_in_short(change.evidence.get("diagnosis", {})),
        closure=dict(change.closure) if change.closure else None,
        by=change.by,
        until_ms=change.until_ms,
        parent=change.parent,
    )


def state_changed(position: str, previous: str, state: str, *, t_ms: int, case_id: str | None) -> Event:
    """The state of a position is another than before; `t_ms` is of the row or act that changed it."""
    return _event(
        "State Changed",
        f"{position}@{t_ms}:{previous}-{state}",
        position=position,
        site=position.split("/")[0],
        t_ms=t_ms,
        previous=previous,
        state=state,
        case_id=case_id,
    )


def sensor_health(
    kind: str, sensor: str, *, position: str, t_ms: int, faults: Sequence[Mapping[str, str]] = ()
) -> Event:
    """Sensor Faulty, with the `axis`, `kind` and `reason` of each fault, or Sensor Recovered; of the row at `t_ms`."""
    return _event(
        kind,
        f"{sensor}@{t_ms}:{kind}",
        sensor=sensor,
        position=position,
        site=position.split("/")[0],
        t_ms=t_ms,
        faults=[dict(fault) for fault in faults] or None,
    )


def tag_told(position: str, alarm: Alarm) -> list[Event]:
    """Tag Anomalous and Tag Level Changed, whichever the row of the tag is."""
    row, told = alarm.row, alarm.told
    kinds = {"Tag Anomalous": alarm.is_anomaly, "Tag Level Changed": alarm.is_changepoint}
    return [
        _event(
            kind,
            f"{position}/{alarm.tag}@{told.t_ms}:{kind}",
            position=position,
            site=position.split("/")[0],
            sensor=row.sensor,
            capture_id=row.capture_id,
            t_ms=told.t_ms,
            tag=alarm.tag,
            value=told.value,
            score=told.score,
            statistic=told.reason,
            reason=told.words,
        )
        for kind, is_so in kinds.items()
        if is_so
    ]


def capture_rejected(
    quarantine_id: str,
    *,
    reason: str,
    detail: str,
    received_ms: int,
    topic: str | None = None,
    gateway: str | None = None,
    sensor: str | None = None,
) -> Event:
    """A record was quarantined; its bytes are kept under `quarantine_id`."""
    return _event(
        "Capture Rejected",
        quarantine_id,
        quarantine_id=quarantine_id,
        reason=reason,
        detail=detail,
        received_ms=received_ms,
        topic=topic,
        gateway=gateway,
        sensor=sensor,
    )


def sensor_presence(
    kind: str, sensor: str, *, position: str, gateway: str | None, last_received_ms: int, interval_s: float
) -> Event:
    """Sensor Stale (`last_received_ms`: the last there was) or Sensor Back (the first after the silence)."""
    return _event(
        kind,
        f"{sensor}@{last_received_ms}:{kind}",
        sensor=sensor,
        position=position,
        site=position.split("/")[0],
        gateway=gateway,
        last_received_ms=last_received_ms,
        interval_s=interval_s,
    )


def gateway_presence(kind: str, gateway: str, *, site: str, sensors: Sequence[str], last_received_ms: int) -> Event:
    """Gateway Disconnected or Gateway Connected, with the sensors that are heard through it."""
    return _event(
        kind,
        f"{gateway}@{last_received_ms}:{kind}",
        gateway=gateway,
        site=site,
        sensors=list(sensors),
        last_received_ms=last_received_ms,
    )


def _in_short(diagnosis: Mapping[str, Any]) -> dict[str, Any] | None:
    """Verdict, confidence, reason, and what supports it; None where no diagnosis was made."""
    if "verdict" not in diagnosis:
        return None
    found: Sequence[Mapping[str, Any]] = diagnosis["findings"]
    best = next((one for one in found if one["fault"] == diagnosis["verdict"]), {})
    short = {name: diagnosis[name] for name in ("verdict", "confidence", "reason", "capture_id", "t_ms")}
    return {**short, **{name: list(best[name]) for name in ("supports", "contradicts") if best.get(name)}}


def _event(kind: str, id_: str, **fields: Any) -> Event:
    known = {name: value for name, value in fields.items() if value is not None}
    return Event(kind, {"version": VERSION, "id": id_, **known})
