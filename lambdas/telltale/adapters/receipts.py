"""Each stream record counts exactly once, whatever is delivered again, in whatever batches, after whatever crash.

Per shard one item of the progress table holds all that must be agreed on, and moves in two steps:

      done = 17                      records up to 17 are finished
        │  decide: only if `done` still is 17 and no receipt is set
        ▼
      done = 17, receipt = K         object K says what became of records 18…42
        │  carry out K (idempotent), then finish: only if `receipt` still is K
        ▼
      done = 42

Why that is enough. A decision covers only records after the `done` it was made under, and both steps are
conditional writes of one item, so decisions of a shard follow one another and no record is in two of
them, even when two invocations race or one wakes up long after it was given up. Before the decision
nothing is visible: uploaded files that no decided receipt names are orphans, read by nobody. After it
nothing is computed again: whoever comes next finds `receipt` set and carries out the same object.

It relies on Kinesis delivering a shard in order, one batch at a time: keep the event source mapping's
parallelisation factor at 1.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from telltale import VERSION
from telltale.adapters.kinesis import Record
from telltale.core.errors import RetryLater

DECIDED = "receipts/decided/"  # redo logs of batches that are being carried out
PENDING = "receipts/pending/"  # decided, not yet in the Iceberg tables
COMMITTED = "receipts/committed/"
COUNTED = ("records", "stored", "duplicate", "quarantined")  # summed up beside `done`, as n_records and so on


@dataclass(frozen=True)
class NewFile:
    """A Parquet file to be uploaded: rows of one table, all of one day (`YYYY-MM-DD`)."""

    table: str
    day: str
    rows: int
    body: bytes


@dataclass(frozen=True)
class DataFile:
    """A Parquet file in the lake bucket, at data/<table>/<day>/<name>. `size` in bytes."""

    table: str
    key: str
    rows: int
    size: int

    @property
    def day(self) -> str:
        return self.key.split("/")[2]


@dataclass(frozen=True)
class Decision:
    """What becomes of the first records given, as many as `records`: each is stored, a duplicate or quarantined.

    `effects` is JSON: all that has to happen outside the lake, written so that doing it twice does nothing more.
    """

    stored: int = 0
    duplicate: int = 0
    quarantined: int = 0
    files: Sequence[NewFile] = ()
    effects: Mapping[str, Any] = field(default_factory=dict)

    @property
    def records(self) -> int:
        return self.stored + self.duplicate + self.quarantined


@dataclass(frozen=True)
class Receipt:
    """A decision that stands. `first` and `last` are sequence numbers, `t_ms` when it was made."""

    batch_id: str
    function: str
    stream: str
    shard: str
    first: str
    last: str
    t_ms: int
    code_version: str
    records: int
    stored: int
    duplicate: int
    quarantined: int
    files: tuple[DataFile, ...]
    effects: Mapping[str, Any]

    def to_json(self) -> bytes:
        document = vars(self) | {"files": [asdict(file) for file in self.files]}
        return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()

    @classmethod
    def from_json(cls, body: bytes) -> "Receipt":
        document = json.loads(body)
        files = tuple(DataFile(**item) for item in document.pop("files"))
        return cls(files=files, **document)


@dataclass(frozen=True)
class Ran:
    """What one run finished, and the sequence number to deliver again from (None: all is done)."""

    receipts: tuple[Receipt, ...]
    retry_from: str | None


Decide = Callable[[str, Sequence[Record]], Decision]
CarryOut = Callable[[Receipt], None]


class BatchLog:
    """The progress of one function along one stream."""

    def __init__(
        self,
        s3: Any,
        dynamodb: Any,
        *,
        bucket: str,
        table: str,
        stream: str,
        function: str,
        now_ms: Callable[[], int],
    ) -> None:
        self._s3, self._dynamodb = s3, dynamodb
        self._bucket, self._table = bucket, table
        self._stream, self._function = stream, function
        self._now_ms = now_ms

    def run(self, shard: str, records: Sequence[Record], decide: Decide, carry_out: CarryOut) -> Ran:
        """Bring the shard past `records`, or as far as it gets.

        `decide(batch_id, fresh_records)` says what becomes of the records, or of as many from the first on
        as it can; it raises RetryLater when it can say nothing yet of the first. It must not change anything.
        `carry_out(receipt)` does the receipt's effects; it may be called again with the same receipt.
        """
        finished: list[Receipt] = []
        while True:
            done, receipt_key = self._progress(shard)
            if receipt_key is not None:
                finished += self._finish(shard, receipt_key, carry_out)
                continue
            fresh = _after(done, records)
            if not fresh:
                return Ran(tuple(finished), None)
            try:
                decision = decide(f"{self._stream}/{shard}/{fresh[0].seq}", fresh)
            except RetryLater:
                return Ran(tuple(finished), fresh[0].seq)
            self._decide(shard, done, self._receipt(shard, fresh, decision))

    def _progress(self, shard: str) -> tuple[str | None, str | None]:
        """The shard's `done` and `receipt`, each None when not set."""
        answer = self._dynamodb.get_item(TableName=self._table, Key=self._pk(shard), ConsistentRead=True)
        item = answer.get("Item", {})
        return item.get("done", {}).get("S"), item.get("receipt", {}).get("S")

    def _receipt(self, shard: str, fresh: Sequence[Record], decision: Decision) -> Receipt:
        """The decision with its files uploaded: worth nothing until it is decided."""
        batch_id = f"{self._stream}/{shard}/{fresh[0].seq}"
        return Receipt(
            batch_id=batch_id,
            function=self._function,
            stream=self._stream,
            shard=shard,
            first=fresh[0].seq,
            last=fresh[decision.records - 1].seq,
            t_ms=self._now_ms(),
            code_version=VERSION,
            records=decision.records,
            stored=decision.stored,
            duplicate=decision.duplicate,
            quarantined=decision.quarantined,
            files=tuple(self._upload(batch_id, file) for file in decision.files),
            effects=decision.effects,
        )

    def _upload(self, batch_id: str, file: NewFile) -> DataFile:
        name = f"{batch_id.replace('/', '-')}-{_digest(file.body)}.parquet"
        key = f"data/{file.table}/{file.day}/{name}"
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=file.body)
        return DataFile(table=file.table, key=key, rows=file.rows, size=len(file.body))

    def _decide(self, shard: str, done: str | None, receipt: Receipt) -> None:
        """Let this receipt stand, unless another invocation moved the shard since `done` was read."""
        body = receipt.to_json()
        key = f"{DECIDED}{receipt.batch_id}-{_digest(body)}.json"
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=body)
        unmoved = "attribute_not_exists(done)" if done is None else "done = :done"
        values = {":receipt": {"S": key}} | ({} if done is None else {":done": {"S": done}})
        self._move(shard, "SET receipt = :receipt", f"attribute_not_exists(receipt) AND {unmoved}", values)

    def _finish(self, shard: str, key: str, carry_out: CarryOut) -> list[Receipt]:
        """Carry out the receipt that stands; a list of it, or of nothing if another invocation was faster."""
        receipt = self._read(key)
        published = replace(receipt, effects={}).to_json()
        self._s3.put_object(Bucket=self._bucket, Key=f"{PENDING}{receipt.batch_id}.json", Body=published)
        carry_out(receipt)
        values = {":receipt": {"S": key}, ":last": {"S": receipt.last}}
        update = "SET done = :last REMOVE receipt ADD " + ", ".join(f"n_{name} :{name}" for name in COUNTED)
        values |= {f":{name}": {"N": str(getattr(receipt, name))} for name in COUNTED}
        moved = self._move(shard, update, "receipt = :receipt", values)
        if moved:
            self._s3.delete_object(Bucket=self._bucket, Key=key)
        return [receipt] if moved else []

    def _read(self, key: str) -> Receipt:
        try:
            return Receipt.from_json(self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read())
        except self._s3.exceptions.NoSuchKey as missing:
            raise RetryLater(f"receipt {key} is gone: another invocation has just carried it out") from missing

    def _move(self, shard: str, update: str, condition: str, values: Mapping[str, Any]) -> bool:
        """Change the shard's item if the condition holds; whether it did."""
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key=self._pk(shard),
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeValues=values,
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _pk(self, shard: str) -> dict[str, dict[str, str]]:
        return {"pk": {"S": f"batch#{self._stream}#{shard}"}}


def _after(done: str | None, records: Sequence[Record]) -> list[Record]:
    """The records later than `done`, each once, in the shard's order."""
    by_seq = {int(record.seq): record for record in records}
    return [by_seq[seq] for seq in sorted(by_seq) if done is None or seq > int(done)]


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]
