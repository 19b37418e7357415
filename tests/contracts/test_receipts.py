"""Each record counts exactly once: whatever is delivered again, in whatever batches, after whatever crash or race."""

import io
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from telltale.adapters.kinesis import Record
from telltale.adapters.marks import Marks
from telltale.adapters.receipts import DECIDED, BatchLog, Decision
from telltale.core.capture import Capture, Waveform
from telltale.core.errors import RetryLater

from tests.contracts.conftest import client
from tests.contracts.ingest import NOW, SHARD, Ingest, record, scalars
from tests.contracts.killing import CALLS, Interrupted, Killed, killed_at, once_at

CALLS_OF_A_RUN = 15  # at least; of the clients that are interrupted, for RECORDS


def wave(n: int, axes: str) -> Capture:
    samples = np.arange(64, dtype=np.int16)
    waveforms = tuple(Waveform(axis, samples, 1000.0, 0.001, "g") for axis in axes)
    return replace(scalars(n), part=axes, temperature_c=None, waveforms=waveforms)


RECORDS = [
    record(1, scalars(1)),
    record(2, wave(2, "x")),
    record(3, b"garbage"),
    record(4, scalars(1)),  # sent again
    record(5, wave(2, "xy")),  # partly sent again
    record(6, scalars(6)),
    record(7, wave(2, "y")),  # sent again
]
EXPECTED = (7, 4, 2, 1)  # records, stored, duplicate, quarantined


def seen_by_all(ingest: Ingest) -> dict[str, Any]:
    """All that is to be the same, however it came about."""
    told = {(row["capture_id"], row["part"]): _with_waveforms_found(ingest, row) for row in ingest.feature_records()}
    captures = [(f"s-1@{NOW + 1000 * n}") for n in range(1, 20)]
    marks = Marks(ingest.dynamodb, ingest.progress_table).seen(("s-1", capture) for capture in captures)
    events = {detail["id"]: detail["reason"] for detail in ingest.heard()}
    rows = {name: sorted(map(repr, rows)) for name, rows in ingest.tables().items()}
    return {"count": ingest.count(), "rows": rows, "told": told, "marks": marks, "events": events}


def _with_waveforms_found(ingest: Ingest, row: dict[str, Any]) -> dict[str, Any]:
    """Files are cut as batches are: what counts is that the one that is named has the row's waveforms."""
    if "waveforms" not in row:
        return row
    body = ingest.s3.get_object(Bucket=ingest.bucket, Key=row["waveforms"])["Body"].read()
    there = {(found["capture_id"], found["axis"]) for found in pq.read_table(io.BytesIO(body)).to_pylist()}
    wanted = {(row["capture_id"], axis) for axis in row["part"].removesuffix("s")}
    return {**row, "waveforms": wanted <= there}


@pytest.fixture
def ingest(moto_aws: None) -> Ingest:
    return Ingest()


@pytest.fixture
def clean(moto_aws: None) -> dict[str, Any]:
    """What an undisturbed run in one batch ends with."""
    undisturbed = Ingest()
    undisturbed.run(RECORDS)
    return seen_by_all(undisturbed)


def test_an_undisturbed_run_counts_every_record(clean: dict[str, Any]) -> None:
    assert clean["count"] == EXPECTED


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_batches_make_no_difference(ingest: Ingest, clean: dict[str, Any], size: int) -> None:
    for start in range(0, len(RECORDS), size):
        ingest.run(RECORDS[start : start + size])

    assert seen_by_all(ingest) == clean


def test_what_is_delivered_again_changes_nothing(ingest: Ingest, clean: dict[str, Any]) -> None:
    for batch in (RECORDS[:5], RECORDS[:5], RECORDS[2:], RECORDS, RECORDS[:1]):
        ingest.run(batch)

    assert seen_by_all(ingest) == clean


def test_records_out_of_order_within_a_batch_are_put_in_order(ingest: Ingest, clean: dict[str, Any]) -> None:
    ingest.run([*reversed(RECORDS), RECORDS[0]])

    assert seen_by_all(ingest) == clean


@pytest.mark.parametrize("again", [1, 7], ids=lambda size: f"in-batches-of-{size}")
def test_killed_at_any_step_and_delivered_again_it_ends_as_if_undisturbed(
    moto_aws: None, clean: dict[str, Any], again: int
) -> None:
    moment, killed = 0, True
    while killed:
        ingest, interrupt = Ingest(), killed_at(moment)
        try:
            ingest.run(RECORDS[:5], wrap=lambda real: Interrupted(real, interrupt))  # noqa: B023 - used at once
            killed = False
        except Killed:
            pass
        for start in range(0, len(RECORDS), again):
            ingest.run(RECORDS[start : start + again])

        assert seen_by_all(ingest) == clean, f"killed at {moment}"
        moment += 1

    assert moment > CALLS_OF_A_RUN


@pytest.mark.parametrize("other", [RECORDS[:2], RECORDS], ids=["shorter", "longer"])
def test_two_invocations_at_once_end_as_one(moto_aws: None, clean: dict[str, Any], other: Sequence[Record]) -> None:
    """At each call of the one, the other does all its work; then the first goes on with what it knew."""
    moment, met = 0, True
    while met:
        ingest, meetings = Ingest(), []

        def meet() -> None:
            ingest.run(other)  # noqa: B023 - used at once
            meetings.append(True)  # noqa: B023

        interrupt = once_at(moment, meet)
        with suppress(RetryLater):  # it found that the other one had finished its receipt
            ingest.run(RECORDS[:5], wrap=lambda real: Interrupted(real, interrupt, CALLS))  # noqa: B023
        ingest.run(RECORDS)
        met = bool(meetings)

        assert seen_by_all(ingest) == clean, f"met at {moment}"
        moment += 1

    assert moment > CALLS_OF_A_RUN


def messages(chance: random.Random) -> list[Record]:
    """A stretch of stream: captures in parts and whole, sent again, reordered, some bad."""
    sent: list[Capture | bytes] = []
    for n in range(1, 7):
        some: list[Capture | bytes] = [wave(n, chance.choice(["x", "y", "xy", "xyz"])), scalars(n), b"garbage"]
        sent += some[: chance.randint(1, 3)]
    sent += chance.choices(sent, k=4)
    chance.shuffle(sent)
    return [record(10 * seq, message) for seq, message in enumerate(sent, start=1)]


def deliver(ingest: Ingest, records: Sequence[Record], chance: random.Random) -> None:
    """As Kinesis may: in any batches, from a record not yet acknowledged or earlier, killing it now and then."""
    acknowledged = 0
    while acknowledged < len(records):
        start = max(0, acknowledged - chance.choice([0, 0, 0, 1, 5]))
        end = min(len(records), acknowledged + chance.randint(1, 6))
        interrupt = killed_at(chance.choice([chance.randint(0, 40), 10**5]))
        with suppress(Killed):
            ingest.run(records[start:end], wrap=lambda real: Interrupted(real, interrupt, CALLS))  # noqa: B023
            acknowledged = end


@pytest.mark.parametrize("seed", range(10))
def test_the_lake_has_the_distinct_valid_messages_and_nothing_else(ingest: Ingest, seed: int) -> None:
    chance = random.Random(seed)
    records = messages(chance)
    undisturbed = Ingest()
    undisturbed.run(records)

    deliver(ingest, records, chance)

    stored = {(row["capture_id"], part) for row in ingest.rows("captures") for part in row["part"]}
    sent = {(r["capture_id"], part) for r in undisturbed.rows("captures") for part in r["part"]}
    assert sum(len(row["part"]) for row in ingest.rows("captures")) == len(stored)
    assert stored == sent
    # Only the events are another number: there is one for each reason in a batch, and the batches differ.
    assert seen_by_all(ingest) | {"events": None} == seen_by_all(undisturbed) | {"events": None}


# --- The log itself, with a decision made to measure


def plain(seq: int) -> Record:
    return Record(SHARD, str(seq), "key", b"", NOW)


@pytest.fixture
def log(ingest: Ingest) -> BatchLog:
    return BatchLog(
        client("s3"),
        client("dynamodb"),
        bucket=ingest.bucket,
        table=ingest.progress_table,
        stream="captures",
        function="f",
        now_ms=lambda: NOW,
    )


def test_what_cannot_be_decided_yet_is_asked_for_again_and_what_came_before_is_done(log: BatchLog) -> None:
    taken: list[str] = []

    def decide(batch_id: str, records: Sequence[Record]) -> Decision:
        if records[0].seq == "3":
            raise RetryLater("not yet")
        return Decision(stored=2)

    ran = log.run(SHARD, [plain(n) for n in (1, 2, 3, 4)], decide, lambda receipt: taken.append(receipt.last))

    assert ran.retry_from == "3"
    assert [(receipt.first, receipt.last) for receipt in ran.receipts] == [("1", "2")]
    assert taken == ["2"]


def test_sequence_numbers_are_compared_as_numbers(log: BatchLog) -> None:
    def all_of_it(batch_id: str, records: Sequence[Record]) -> Decision:
        return Decision(stored=len(records))

    counts = [
        sum(receipt.stored for receipt in log.run(SHARD, [plain(seq)], all_of_it, lambda receipt: None).receipts)
        for seq in (9, 10, 9, 10**55, 99, 10**55 + 1)
    ]

    assert counts == [1, 1, 0, 1, 0, 1]


def test_nothing_is_left_behind_when_a_batch_is_done(ingest: Ingest) -> None:
    ingest.run(RECORDS)

    assert "Contents" not in ingest.s3.list_objects_v2(Bucket=ingest.bucket, Prefix=DECIDED)


def test_shards_go_on_independently(log: BatchLog) -> None:
    def all_of_it(batch_id: str, records: Sequence[Record]) -> Decision:
        return Decision(stored=len(records))

    first = log.run("shard-a", [plain(10)], all_of_it, lambda receipt: None)
    second = log.run("shard-b", [plain(5)], all_of_it, lambda receipt: None)

    assert [receipt.batch_id for receipt in first.receipts + second.receipts] == [
        "captures/shard-a/10",
        "captures/shard-b/5",
    ]
