"""Records come out of a Lambda event as they were put in, and putting loses none."""

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telltale.adapters import kinesis
from telltale.adapters.kinesis import Record
from telltale.core.errors import RetryLater

SEQ = "49590338271490256608559692538361571095921575989136588898"


def item(data: bytes, seq: str = SEQ, shard: str = "shardId-000000000000") -> dict[str, Any]:
    """As in the AWS Lambda developer guide."""
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "s-1",
            "sequenceNumber": seq,
            "data": base64.b64encode(data).decode(),
            "approximateArrivalTimestamp": 1545084650.987,
        },
        "eventSource": "aws:kinesis",
        "eventID": f"{shard}:{seq}",
        "eventSourceARN": "arn:aws:kinesis:us-east-2:123456789012:stream/captures",
    }


def test_an_event_is_read_as_records_by_shard() -> None:
    event = {"Records": [item(b"a", "1"), item(b"b", "2", "shardId-000000000001"), item(b"c", "3")]}

    shards = kinesis.by_shard(event)

    assert shards["shardId-000000000000"][0] == Record("shardId-000000000000", "1", "s-1", b"a", 1545084650987)
    assert [record.data for record in shards["shardId-000000000000"]] == [b"a", b"c"]
    assert [record.id for record in shards["shardId-000000000001"]] == ["shardId-000000000001:2"]
    assert kinesis.stream_name(event) == "captures"


def test_the_answer_names_the_records_to_deliver_again() -> None:
    assert kinesis.failures() == {"batchItemFailures": []}
    assert kinesis.failures("7") == {"batchItemFailures": [{"itemIdentifier": "7"}]}


class Stream:
    """Takes records up to Kinesis's limits for a call; refuses those that `refuse` says, each so many times."""

    def __init__(self, refuse: dict[bytes, int] | None = None) -> None:
        self.refuse, self.calls = dict(refuse or {}), 0
        self.taken: list[tuple[str, bytes]] = []

    def put_records(self, *, StreamName: str, Records: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self.calls += 1
        assert 0 < len(Records) <= 500
        assert sum(len(r["Data"]) + len(r["PartitionKey"]) for r in Records) <= 5 * 1024 * 1024
        return {"Records": [self._answer(record) for record in Records]}

    def _answer(self, record: dict[str, Any]) -> dict[str, str]:
        if self.refuse.get(record["Data"], 0):
            self.refuse[record["Data"]] -= 1
            return {"ErrorCode": "ProvisionedThroughputExceededException"}
        self.taken.append((record["PartitionKey"], record["Data"]))
        return {"SequenceNumber": "1"}


def put(stream: Stream, records: list[tuple[str, bytes]]) -> list[float]:
    """The pauses it made."""
    pauses: list[float] = []
    kinesis.put_all(stream, "features", records, sleep=pauses.append)
    return pauses


@given(st.lists(st.integers(0, 1_000_000), max_size=12), st.integers(0, 1200))
@settings(deadline=None)  # megabytes are copied
def test_every_record_is_put_once_within_the_limits_of_a_call(sizes: list[int], small: int) -> None:
    records = [("key", bytes(size)) for size in sizes] + [("k", b"x")] * small
    stream = Stream()

    put(stream, records)

    assert stream.taken == records


def test_only_what_was_refused_is_put_again_after_a_pause() -> None:
    stream = Stream(refuse={b"2": 2})

    pauses = put(stream, [("a", b"1"), ("a", b"2"), ("a", b"3")])

    assert stream.taken == [("a", b"1"), ("a", b"3"), ("a", b"2")]
    assert pauses == [0.05, 0.1]


def test_what_is_refused_for_good_comes_again_later() -> None:
    with pytest.raises(RetryLater):
        put(Stream(refuse={b"1": 100}), [("a", b"1")])


def test_nothing_to_put_is_no_call() -> None:
    stream = Stream()

    put(stream, [])

    assert stream.calls == 0
