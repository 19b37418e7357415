"""Kinesis, both ways: what a Lambda event delivers, and putting records without losing any."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pybase64

from telltale.core.errors import RetryLater

# Limits of one PutRecords call (Kinesis Data Streams API reference).
MAX_RECORDS = 500
MAX_BYTES = 5 * 1024 * 1024
ATTEMPTS = 6
FIRST_PAUSE_S = 0.05  # doubled with each attempt: 1.6 s in all, a shard's limits are per second


@dataclass(frozen=True)
class Record:
    """One stream record. `seq` is a decimal number of up to 56 digits: compare it as a number."""

    shard: str
    seq: str
    key: str
    data: bytes
    arrival_ms: int

    @property
    def id(self) -> str:
        """Shard and sequence number: names the record for as long as the stream lives."""
        return f"{self.shard}:{self.seq}"


def by_shard(event: Mapping[str, Any]) -> dict[str, list[Record]]:
    """The records of a Lambda event, by shard, in the order they were delivered."""
    shards: dict[str, list[Record]] = defaultdict(list)
    for item in event["Records"]:
        record = _record(item)
        shards[record.shard].append(record)
    return dict(shards)


def stream_name(event: Mapping[str, Any]) -> str:
    """Name of the stream that the event's records came from."""
    return str(event["Records"][0]["eventSourceARN"].split("stream/")[1].split("/")[0])


def failures(*sequence_numbers: str) -> dict[str, list[dict[str, str]]]:
    """The answer that makes Lambda deliver again from these records on; without any, all were processed."""
    return {"batchItemFailures": [{"itemIdentifier": seq} for seq in sequence_numbers]}


def put_all(
    client: Any,
    stream: str,
    records: Sequence[tuple[str, bytes]],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Put every (partition key, data); raises RetryLater when some still fail after several attempts.

    Only the failed ones are put again, so when a shard throttles, a record may arrive after later ones of
    its key. Raised, all may be put again: consumers drop repeats.
    """
    for call in _calls(records):
        _put(client, stream, call, sleep)


def _put(client: Any, stream: str, records: list[tuple[str, bytes]], sleep: Callable[[float], None]) -> None:
    for attempt in range(ATTEMPTS):
        if attempt:
            sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))
        answer = client.put_records(
            StreamName=stream, Records=[{"PartitionKey": key, "Data": data} for key, data in records]
        )
        results = zip(records, answer["Records"], strict=True)
        records = [record for record, result in results if "ErrorCode" in result]
        if not records:
            return
    raise RetryLater(f"{len(records)} records were not accepted by stream {stream} in {ATTEMPTS} attempts")


def _calls(records: Sequence[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    call: list[tuple[str, bytes]] = []
    size = 0
    for key, data in records:
        length = len(key.encode()) + len(data)
        if call and (len(call) == MAX_RECORDS or size + length > MAX_BYTES):
            yield call
            call, size = [], 0
        call.append((key, data))
        size += length
    if call:
        yield call


def _record(item: Mapping[str, Any]) -> Record:
    kinesis = item["kinesis"]
    return Record(
        shard=item["eventID"].rsplit(":", 1)[0],
        seq=kinesis["sequenceNumber"],
        key=kinesis["partitionKey"],
        data=pybase64.b64decode(kinesis["data"]),
        arrival_ms=round(kinesis["approximateArrivalTimestamp"] * 1000),
    )
