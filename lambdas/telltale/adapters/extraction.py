"""From messages to rows: decodes and places a stretch of the stream, computes features, then makes them known.

`decide` reads the registry and the marks in batches and writes nothing; `carry_out` does what was decided.
Between them adapters/receipts.py makes sure that each record counts once.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from telltale.adapters import kinesis, parquet, wire
from telltale.adapters.events import Event, Events, capture_rejected
from telltale.adapters.kinesis import Record
from telltale.adapters.marks import SEEN_S, Marks, Seen
from telltale.adapters.receipts import Decision, NewFile, Receipt
from telltale.adapters.registry import Cached, Registry
from telltale.core import evidence, schema, validate
from telltale.core.bearings import fault_orders
from telltale.core.capture import AXES, Capture, Waveform
from telltale.core.errors import Reason, Rejected
from telltale.core.features import MEASURED_SPEED_TOLERANCE, NOMINAL_SPEED_TOLERANCE, axes_features
from telltale.core.plant import Machine, Position

Features = Mapping[str, float | None]
Known = dict[tuple[str, str], frozenset[str]]  # parts stored so far, by sensor and capture id

TABLES = (schema.CAPTURES, schema.WAVEFORMS, schema.FEATURES_TABLE, schema.READINGS, schema.QUARANTINE)
VERSION = 1  # of the records on the stream `features`


@dataclass(frozen=True)
class Message:
    """A record as far as it could be read: its envelope, then also its capture, then also its position."""

    record: Record
    envelope: wire.Envelope | None = None
    capture: Capture | None = None
    position: Position | None = None
    rejected: Rejected | None = None


@dataclass(frozen=True)
class New:
    """What a message brings that was not stored before: `capture` holds only that. All of it has a place."""

    record: Record
    envelope: wire.Envelope
    capture: Capture
    position: Position

    @cached_property
    def ids(self) -> dict[str, Any]:
        """The columns that every row of a capture starts with."""
        return {
            "capture_id": self.capture.capture_id,
            "position": self.position.id,
            "site": self.position.site,
            "sensor": self.capture.sensor,
            "t": self.capture.t_ms,
        }

    @property
    def speed_rpm(self) -> float | None:
        """The shaft's speed: measured, or else the machine's nominal one."""
        return self.position.speed_rpm if self.capture.speed_rpm is None else self.capture.speed_rpm


class Extraction:
    """Turns records into rows and makes them known."""

    def __init__(
        self,
        *,
        registry: Registry | Cached,
        marks: Marks,
        events: Events,
        kinesis_client: Any,
        features_stream: str,
    ) -> None:
        self._registry, self._marks, self._events = registry, marks, events
        self._kinesis, self._features_stream = kinesis_client, features_stream

    def decide(self, batch_id: str, records: Sequence[Record]) -> Decision:
        """What becomes of the records. Reads only."""
        messages = self._place([_read(record) for record in records])
        placed = [(m.capture.sensor, m.capture.capture_id) for m in messages if m.capture and not m.rejected]
        news, outcomes = _sort_out(messages, self._marks.seen(placed))
        axes = _axes(news)
        rows = [_rows(new, of_new) for new, of_new in zip(news, axes, strict=True)]
        rejected = [(message, message.rejected) for message in messages if message.rejected]
        count = Counter(outcomes)
        return Decision(
            stored=count["stored"],
            duplicate=count["duplicate"],
            quarantined=count["quarantined"],
            files=_files(rows, rejected),
            effects={
                "features": [_feature_record(*of_new) for of_new in zip(news, axes, rows, strict=True)],
                "seen": [dict(vars(mark)) for mark in _seen(news)],
                "replayed": _replayed(messages, outcomes),
                "rejected": [event.as_dict() for event in _events(rejected)],
                "reasons": Counter(str(rejection.reason) for _, rejection in rejected),
            },
        )

    def carry_out(self, receipt: Receipt) -> None:
        """Features, then marks, then events; each may be done again, and then changes nothing."""
        effects = receipt.effects
        rows = _with_waveforms(effects["features"], receipt)
        records = [(row["position"], json.dumps(row, separators=(",", ":")).encode()) for row in rows]
        kinesis.put_all(self._kinesis, self._features_stream, records)
        self._marks.mark_seen([Seen(**mark) for mark in effects["seen"]])
        self._marks.mark_replayed(effects["replayed"])
        self._events.put([Event(**event) for event in effects["rejected"]])

    def _place(self, messages: Sequence[Message]) -> list[Message]:
        """The messages with their positions, or the reason for having none."""
        read = [(m.envelope, m.capture) for m in messages if m.envelope and m.capture]
        gateways = self._registry.gateways(envelope.gateway for envelope, _ in read)
        sensors = self._registry.sensors(capture.sensor for _, capture in read)
        paths = {
            (capture.sensor, capture.t_ms): sensors[capture.sensor].position_at(capture.t_ms)
            for _, capture in read
            if capture.sensor in sensors
        }
        positions = self._registry.positions(path for path in paths.values() if path is not None)

        def place(message: Message) -> Message:
            if message.envelope is None or message.capture is None:
                return message
            capture, client = message.capture, message.envelope.client
            path = paths.get((capture.sensor, capture.t_ms))
            try:
                position = validate.placed(
                    capture,
                    gateway=gateways.get(client),
                    sensor=sensors.get(capture.sensor),
                    position=positions.get(path) if path else None,
                    client=client,
                )
                _check_bearing(position)
            except Rejected as rejected:
                return replace(message, rejected=rejected)
            return Message(message.record, message.envelope, message.capture, position)

        return [place(message) for message in messages]


def _read(record: Record) -> Message:
    """The record with its envelope and capture, or as much of them as can be read and why no more."""
    envelope = None
    try:
        envelope = wire.decode_envelope(record.data)
        return Message(record, envelope, wire.decode_capture(envelope))
    except Rejected as rejected:
        return Message(record, envelope, rejected=rejected)


def _check_bearing(position: Position) -> None:
    try:
        if position.bearing is not None:
            fault_orders(position.bearing)
    except ValueError as error:
        raise Rejected(Reason.BAD_SETTINGS, f"position {position.id}: {error}") from error


def _sort_out(messages: Sequence[Message], seen: Known) -> tuple[list[New], list[str]]:
    """What is new, and for each message what becomes of it: stored, duplicate or quarantined."""
    seen, news, outcomes = dict(seen), [], []
    for message in messages:
        if message.envelope is None or message.capture is None or message.position is None:
            outcomes.append("quarantined")
            continue
        key = (message.capture.sensor, message.capture.capture_id)
        stored = seen.get(key, frozenset())
        fresh = "".join(part for part in message.capture.part if part not in stored)
        outcomes.append("stored" if fresh else "duplicate")
        if fresh:
            seen[key] = stored | set(fresh)
            news.append(New(message.record, message.envelope, _only(message.capture, fresh), message.position))
    return news, outcomes


def _only(capture: Capture, part: str) -> Capture:
    """The capture with nothing but these parts of it. Speed stays: the waveforms' features need it."""
    if part == capture.part:
        return capture
    waveforms = tuple(wave for wave in capture.waveforms if wave.axis in part)
    only = replace(capture, part=part, waveforms=waveforms)
    return only if "s" in part else replace(only, temperature_c=None, velocity_rms_mm_s={}, tags={})


def _axes(news: Sequence[New]) -> list[dict[str, Features]]:
    """For each message the indicators of each axis: of its waveform, and where that gives none the device's own."""
    items: list[tuple[Waveform, float | None, Machine]] = []
    tolerances: list[float] = []
    for new in news:
        speed_hz, machine = None if new.speed_rpm is None else new.speed_rpm / 60, new.position.machine
        tolerance = NOMINAL_SPEED_TOLERANCE if new.capture.speed_rpm is None else MEASURED_SPEED_TOLERANCE
        items += [(wave, speed_hz, machine) for wave in new.capture.waveforms]
        tolerances += [tolerance] * len(new.capture.waveforms)
    found = iter(axes_features(items, speed_tolerance=tolerances))
    computed = [{wave.axis: next(found) for wave in new.capture.waveforms} for new in news]
    return [
        _with_device_velocity(axes, new.capture.velocity_rms_mm_s) for new, axes in zip(news, computed, strict=True)
    ]


def _with_device_velocity(axes: Mapping[str, Features], device: Mapping[str, float]) -> dict[str, Features]:
    if not device:
        return dict(axes)
    merged = dict(axes)
    for axis, velocity in device.items():
        computed = merged.get(axis, {})
        if computed.get("velocity_rms_mm_s") is None:
            merged[axis] = {**computed, "velocity_rms_mm_s": velocity}
    return {axis: merged[axis] for axis in AXES if axis in merged}


# --- Rows


class _Rows(NamedTuple):
    """What one message brings into the lake; its digests stand in the row of `captures`."""

    capture: parquet.Row
    waveforms: Sequence[parquet.Row]
    features: Sequence[parquet.Row]
    readings: Sequence[parquet.Row]
    digests: Mapping[str, str]


def _rows(new: New, axes: Mapping[str, Features]) -> _Rows:
    capture, waveforms, features = _capture_row(new), _waveform_rows(new), _feature_rows(new, axes)
    digests = {schema.CAPTURES.name: evidence.digest(schema.CAPTURES.name, capture, new.capture.tags)}
    for table, rows in ((schema.WAVEFORMS.name, waveforms), (schema.FEATURES_TABLE.name, features)):
        digests |= {evidence.part_of(table, row): evidence.digest(table, row) for row in rows}
    capture = {**capture, evidence.DIGESTS: evidence.written(digests)}
    return _Rows(capture, waveforms, features, _reading_rows(new), digests)


def _files(rows: Sequence[_Rows], rejected: Sequence[tuple[Message, Rejected]]) -> list[NewFile]:
    by_table: dict[str, list[parquet.Row]] = {
        schema.CAPTURES.name: [of_new.capture for of_new in rows],
        schema.WAVEFORMS.name: [row for of_new in rows for row in of_new.waveforms],
        schema.FEATURES_TABLE.name: [row for of_new in rows for row in of_new.features],
        schema.READINGS.name: [row for of_new in rows for row in of_new.readings],
        schema.QUARANTINE.name: [_quarantine_row(message, rejection) for message, rejection in rejected],
    }
    return [file for table in TABLES for file in parquet.files(table, by_table[table.name])]


def _capture_row(new: New) -> parquet.Row:
    capture = new.capture
    return {
        **new.ids,
        "part": capture.part,
        "gateway": new.envelope.gateway,
        "received_at": new.envelope.received_ms,
        "temperature_c": capture.temperature_c,
        "speed_rpm": capture.speed_rpm,
        **{f"velocity_rms_{axis}_mm_s": capture.velocity_rms_mm_s.get(axis) for axis in AXES},
        "battery_pct": capture.battery_pct,
        "rssi_dbm": capture.rssi_dbm,
        "record_id": new.record.id,
    }


def _waveform_rows(new: New) -> list[parquet.Row]:
    return [
        {
            **new.ids,
            "axis": wave.axis,
            "fs_hz": wave.fs_hz,
            "unit": wave.unit,
            "scale": wave.scale,
            "samples": wave.samples,
        }
        for wave in new.capture.waveforms
    ]


def _feature_rows(new: New, axes: Mapping[str, Features]) -> list[parquet.Row]:
    waves = {wave.axis: {"fs_hz": wave.fs_hz, "n_samples": wave.samples.size} for wave in new.capture.waveforms}
    return [
        {**new.ids, "axis": axis, "speed_rpm": new.speed_rpm, **waves.get(axis, {}), **features}
        for axis, features in axes.items()
    ]


def _reading_rows(new: New) -> list[parquet.Row]:
    return [{**new.ids, "tag": tag, "value": value} for tag, value in new.capture.tags.items()]


def _quarantine_row(message: Message, rejected: Rejected) -> parquet.Row:
    """The original bytes: the message's where there is an envelope, else the whole record."""
    envelope = message.envelope
    return {
        "quarantine_id": message.record.id,
        "received_at": envelope.received_ms if envelope else message.record.arrival_ms,
        "reason": str(rejected.reason),
        "detail": rejected.detail,
        "topic": envelope.topic if envelope else None,
        "gateway": envelope.client if envelope else None,
        "sensor": envelope.sensor if envelope else None,
        "payload": envelope.payload if envelope else message.record.data,
    }


# --- Effects


def _feature_record(new: New, axes: Mapping[str, Features], rows: _Rows) -> dict[str, Any]:
    """What detection is told. Its speed is only a measured one: the nominal speed does not show that it runs."""
    capture = new.capture
    return {
        "v": VERSION,
        "kind": "features",
        "position": new.position.id,
        "site": new.position.site,
        "sensor": capture.sensor,
        "gateway": new.envelope.gateway,
        "capture_id": capture.capture_id,
        "part": capture.part,
        "t_ms": capture.t_ms,
        "received_ms": new.envelope.received_ms,
        "speed_rpm": capture.speed_rpm,
        "temperature_c": capture.temperature_c,
        "axes": {axis: _known(features) for axis, features in axes.items()},
        "tags": dict(capture.tags),
        "battery_pct": capture.battery_pct,
        "rssi_dbm": capture.rssi_dbm,
        "digests": dict(rows.digests),
    }


def _with_waveforms(rows: Sequence[Mapping[str, Any]], receipt: Receipt) -> list[Mapping[str, Any]]:
    """The feature records with the key of the file that their waveforms are in, where they have any."""
    keys = {file.day: file.key for file in receipt.files if file.table == schema.WAVEFORMS.name}
    has_any = [not set(AXES).isdisjoint(row["part"]) for row in rows]
    return [
        {**row, "waveforms": keys[parquet.day(row["t_ms"])]} if has else row
        for row, has in zip(rows, has_any, strict=True)
    ]


def _known(features: Features) -> dict[str, float]:
    return {name: value for name, value in features.items() if value is not None}


def _seen(news: Sequence[New]) -> list[Seen]:
    """One mark for each capture, also when its parts came in several messages."""
    parts: dict[tuple[str, str], str] = defaultdict(str)
    expires: dict[tuple[str, str], int] = {}
    for new in news:
        key = (new.capture.sensor, new.capture.capture_id)
        parts[key] += new.capture.part
        expires[key] = new.envelope.received_ms // 1000 + SEEN_S
    return [Seen(*key, parts[key], expires[key]) for key in parts]


def _replayed(messages: Sequence[Message], outcomes: Sequence[str]) -> dict[str, str]:
    """Outcomes of the records that were put again from quarantine, by quarantine id."""
    return {
        message.envelope.replay_of: outcome
        for message, outcome in zip(messages, outcomes, strict=True)
        if message.envelope and message.envelope.replay_of is not None
    }


def _events(rejected: Sequence[tuple[Message, Rejected]]) -> list[Event]:
    """One event for each reason, of its first record: a gateway gone mad must not flood the bus."""
    rows: dict[Reason, list[parquet.Row]] = defaultdict(list)
    for message, rejection in rejected:
        rows[rejection.reason].append(_quarantine_row(message, rejection))
    return [_event(of_reason[0], len(of_reason) - 1) for of_reason in rows.values()]


def _event(row: parquet.Row, more: int) -> Event:
    detail = row["detail"] + (f" (and {more} more for this reason in the same batch)" if more else "")
    named = {name: row[name] for name in ("reason", "topic", "gateway", "sensor")}
    return capture_rejected(row["quarantine_id"], detail=detail, received_ms=row["received_at"], **named)
