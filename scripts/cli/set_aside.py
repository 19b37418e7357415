"""What was set aside, wherever it lies: the table `quarantine`, receipts to be committed, failed rules and batches."""

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from telltale.adapters import kinesis, wire
from telltale.adapters.marks import Marks
from telltale.core.errors import Reason

from cli.deployment import Deployment
from cli.importing import PREFIX
from cli.tables import Row, committed, objects_below, pending, read_all, rows_of

RULE_ERRORS = "rule-errors/"  # messages that an IoT rule could not deliver
FAILED_BATCHES = "aws/lambda/"  # batches that a stream gave up on; Lambda chooses the key: <mapping>/<shard>/<day>/…
COLUMNS = ("quarantine_id", "received_at", "reason", "detail", "topic", "gateway", "sensor")
BASIC_INGEST = re.compile(r"^\$aws/rules/[^/]+/")  # what gateways put before the topic to save the broker's charge
PUT_AGAIN = "put again"  # outcome of what carries no mark that a function could report back on

Put = tuple[str, str, bytes]  # name of a stream, partition key, data


@dataclass(frozen=True)
class Entry:
    """One thing set aside. `outcome`: what became of its replay, None if it was not replayed.

    Not `replayable` is an object that is not what should be there, of which its payload is all that is known, and what
    was imported, which came from no stream.
    """

    id: str
    received_ms: int
    reason: str
    detail: str
    topic: str | None = None
    gateway: str | None = None
    sensor: str | None = None
    payload: bytes | None = None  # None: not read yet
    outcome: str | None = None
    replayable: bool = True


def entries(deployment: Deployment) -> list[Entry]:
    """All of them, each once. Those of the table come without their payload: see `with_bytes`."""
    waiting = rows_of(deployment, pending(deployment), "quarantine", COLUMNS)
    rows = [*waiting, *committed(deployment, "quarantine", COLUMNS)]
    objects = [
        *_objects(deployment, RULE_ERRORS, _of_rule_error),
        *_objects(deployment, FAILED_BATCHES, _of_failed_batch),
    ]
    found = {entry.id: entry for entry in [*map(_of_row, rows), *objects]}
    outcomes = _marks(deployment).replayed(found)
    return [replace(entry, outcome=outcomes.get(entry.id)) for entry in found.values()]


def with_bytes(deployment: Deployment, found: Sequence[Entry]) -> list[Entry]:
    """The entries with their payloads."""
    ids = {entry.id for entry in found if entry.payload is None}
    if not ids:
        return list(found)
    columns = ("quarantine_id", "payload")
    listed = ", ".join(f"'{id_}'" for id_ in sorted(ids))
    rows = [
        *rows_of(deployment, pending(deployment), "quarantine", columns),
        *committed(deployment, "quarantine", columns, f"quarantine_id in ({listed})"),
    ]
    payloads = {row["quarantine_id"]: row["payload"] for row in rows}
    return [entry if entry.payload is not None else replace(entry, payload=payloads[entry.id]) for entry in found]


def put_again(deployment: Deployment, found: Iterable[Entry]) -> int:
    """Put the entries' records on their streams again; how many records. Wants entries with their bytes."""
    captures, features = deployment.outputs["CapturesStream"], deployment.outputs["FeaturesStream"]
    puts: dict[str, list[tuple[str, bytes]]] = {captures: [], features: []}
    unmarked = {}
    for entry in found:
        for stream, key, data in _puts(entry, captures=captures, features=features):
            puts[stream].append((key, data))
        if entry.topic is None:
            unmarked[entry.id] = PUT_AGAIN
    for stream, records in puts.items():
        kinesis.put_all(deployment.client("kinesis"), stream, records)
    _marks(deployment).mark_replayed(unmarked)
    return sum(map(len, puts.values()))


def _puts(entry: Entry, *, captures: str, features: str) -> list[Put]:
    """What has to be put where. With a topic it is a sensor's message, which comes under its id in quarantine."""
    payload = entry.payload or b""
    if entry.topic is not None:
        envelope = wire.encode_envelope(
            payload, topic=entry.topic, client=entry.gateway or "", received_ms=entry.received_ms, replay_of=entry.id
        )
        return [(captures, entry.sensor or entry.id, envelope)]
    if entry.id.startswith(FAILED_BATCHES):
        return _records_of(payload)
    if entry.reason == Reason.BAD_ENVELOPE:
        return [(captures, entry.id, payload)]
    return [(features, _position(payload) or entry.id, payload)]


def _position(payload: bytes) -> str | None:
    """What a record of the stream `features` is keyed by."""
    try:
        document = json.loads(payload)
    except ValueError:
        return None
    position = document.get("position") if isinstance(document, dict) else None
    return position if isinstance(position, str) else None


def _records_of(batch: bytes) -> list[Put]:
    """The records in the document that Lambda writes of a failed batch."""
    event = _event_of(json.loads(batch))
    return [
        (kinesis.stream_name({"Records": [item]}), item["kinesis"]["partitionKey"], _data(item))
        for item in event["Records"]
    ]


def _data(item: Mapping[str, Any]) -> bytes:
    return base64.b64decode(item["kinesis"]["data"])


def _event_of(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event that the function failed on; Lambda writes it as JSON within JSON."""
    payload = document["payload"]
    event: Mapping[str, Any] = json.loads(payload) if isinstance(payload, str) else payload
    return event


def _objects(deployment: Deployment, prefix: str, read: Callable[[str, int, bytes], Entry]) -> list[Entry]:
    """`read(key, written_ms, body)` of every object; one that is not what it should be is an entry all the same."""
    found = objects_below(deployment, prefix)
    bodies = read_all(deployment, found)
    return [_object(key, found[key], body, read) for key, body in bodies.items()]


def _object(key: str, written_ms: int, body: bytes, read: Callable[[str, int, bytes], Entry]) -> Entry:
    try:
        return read(key, written_ms, body)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        detail = f"not the document that was expected here: {type(error).__name__}: {error}"
        return Entry(key, written_ms, str(Reason.UNDELIVERED), detail, payload=body, replayable=False)


def _of_row(row: Row) -> Entry:
    named = {name: row[name] for name in ("reason", "detail", "topic", "gateway", "sensor")}
    received_ms = round(row["received_at"].timestamp() * 1000)
    return Entry(
        id=row["quarantine_id"],
        received_ms=received_ms,
        replayable=not row["quarantine_id"].startswith(PREFIX),
        **named,
    )


def _of_rule_error(key: str, written_ms: int, body: bytes) -> Entry:
    """What a rule's error action is told: the message, and which action failed why (AWS IoT Core developer guide)."""
    document = json.loads(body)
    topic = BASIC_INGEST.sub("", document["topic"])
    why = "; ".join(f"{failure['failedAction']}: {failure['errorMessage']}" for failure in document["failures"])
    return Entry(
        id=key,
        received_ms=written_ms,
        reason=str(Reason.UNDELIVERED),
        detail=f"rule {document['ruleName']} could not deliver it: {why}",
        topic=topic,
        gateway=document["clientId"],
        sensor=topic.split("/")[3],
        payload=base64.b64decode(document["base64OriginalPayload"]),
    )


def _of_failed_batch(key: str, written_ms: int, body: bytes) -> Entry:
    """What Lambda writes of a batch that it gave up (AWS Lambda developer guide)."""
    condition, records = json.loads(body)["requestContext"]["condition"], len(_records_of(body))
    detail = f"{records} records given up: {condition}"
    return Entry(key, written_ms, str(Reason.UNDELIVERED), detail, payload=body)


def _marks(deployment: Deployment) -> Marks:
    return Marks(deployment.client("dynamodb"), deployment.outputs["ProgressTable"])
