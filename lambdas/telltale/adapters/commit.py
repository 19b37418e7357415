"""From pending receipts to rows in the tables, exactly once, one committer at a time.

  receipts/pending/…      what the functions decided
    │  plan: which receipts, which files, under which number; one object, replaced only by who read the last one
    ▼
  commits/plan.json       from here on only this plan can be carried out, by whoever comes
    │  for each table: add its files, unless the table has this number already (Lake.add); mark the days they are of
    ▼
  receipts/committed/…    then the plan is marked done, and the next one can be made

A lease keeps a second committer from doing the same work at the same time. Nothing depends on it: one that
outlives its lease finds its number in the tables, or loses Iceberg's optimistic lock, or the plan is not its own.
"""

import hashlib
import json
from bisect import bisect
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

from botocore.exceptions import ClientError

from telltale.adapters import parquet
from telltale.adapters.aggregates import days_of
from telltale.adapters.changed_days import ChangedDays
from telltale.adapters.lake import Lake
from telltale.adapters.lease import Busy, Lease
from telltale.adapters.receipts import COMMITTED, PENDING, Receipt
from telltale.core import schema
from telltale.core.errors import RetryLater

PLAN = "commits/plan.json"
RECEIPTS_A_PLAN = 1000  # one listing, and one deletion; about 3,000 files, whose footers are read in seconds
LEASE = "commit"
LEASE_MS = 60_000  # longer than adding the files of one table takes, and short: one that died holds nobody up for long
AT_ONCE = 16  # calls to S3, each nearly all waiting
TABLES = {table.name: table for table in schema.TABLES}


@dataclass(frozen=True)
class Plan:
    """One commit: the batch ids of its receipts, and by table the keys of their files with their sizes in bytes."""

    number: int
    receipts: tuple[str, ...]
    files: Mapping[str, Mapping[str, int | None]]
    done: bool = False


@dataclass(frozen=True)
class Committed:
    """What one commit brought into the tables."""

    number: int
    receipts: int
    files: int


class Committer:
    """Commits for one lake. `owner` names this invocation in the lease."""

    def __init__(
        self,
        s3: Any,
        dynamodb: Any,
        lake: Lake,
        *,
        bucket: str,
        table: str,
        owner: str,
        now_ms: Callable[[], int],
    ) -> None:
        self._s3, self._lake, self._bucket = s3, lake, bucket
        self._owner, self._now_ms = owner, now_ms
        self._lease = Lease(dynamodb, table=table, name=LEASE, owner=owner, lasts_ms=LEASE_MS, now_ms=now_ms)
        self._changed = ChangedDays(dynamodb, table, now_ms=now_ms)

    def run(self, *, until_ms: int, spare_ms: int) -> list[Committed]:
        """Commit what is pending, beginning no further commit in the last `spare_ms` before `until_ms`.

        Raises Busy when another committer is at it.
        """
        with self._lease:
            commits = []
            while self._now_ms() < until_ms - spare_ms and (commit := self._commit()):
                commits.append(commit)
            return commits

    def _commit(self) -> Committed | None:
        """Carry out the plan there is, or else make one; None when nothing is pending."""
        last, tag = self._read_plan()
        if last and not last.done:
            plan = last
        else:
            made = self._make_plan(after=last.number if last else 0)
            if made is None:
                return None
            plan, tag = made, self._write_plan(made, replacing=tag)
        for name, sizes in plan.files.items():
            self._lease.hold()
            uris = {f"s3://{self._bucket}/{key}": size for key, size in sizes.items()}
            self._lake.add(TABLES[name], uris, number=plan.number)
        self._changed.mark(days_of(plan.files), plan.number)  # after the rows are there: who reads the mark sees them
        self._move(plan.receipts)
        self._write_plan(Plan(plan.number, plan.receipts, plan.files, done=True), replacing=tag)
        return Committed(plan.number, len(plan.receipts), sum(map(len, plan.files.values())))

    # --- The plan

    def _make_plan(self, *, after: int) -> Plan | None:
        receipts = self._pending()
        if not receipts:
            return None
        # Greater than any before, even if the object that remembers the last one was lost.
        number = max(after + 1, self._now_ms())
        files: dict[str, dict[str, int | None]] = defaultdict(dict)
        for receipt in receipts:
            for file in receipt.files:
                files[file.table][file.key] = file.size
        files[schema.BATCHES.name] |= self._write_batches(receipts, number)
        return Plan(number, tuple(receipt.batch_id for receipt in receipts), dict(files))

    def _pending(self) -> list[Receipt]:
        """Receipts that wait. One that a late invocation published again after its commit is cleared away."""
        found = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=PENDING, MaxKeys=RECEIPTS_A_PLAN)
        batch_ids = [_batch_id(item["Key"]) for item in found.get("Contents", [])]
        committed = self._committed(batch_ids)
        self._move(committed)
        return self._each(self._read_receipt, sorted({*batch_ids} - {*committed}))

    def _write_batches(self, receipts: Sequence[Receipt], number: int) -> dict[str, int]:
        """The files with the receipts' own rows, in the table `batches`: keys and sizes."""
        sizes = {}
        for file in parquet.files(schema.BATCHES, map(_batch_row, receipts)):
            key = f"lake/{file.table}/data/{number}-{hashlib.sha256(file.body).hexdigest()[:16]}.parquet"
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=file.body)
            sizes[key] = len(file.body)
        return sizes

    def _read_plan(self) -> tuple[Plan | None, str | None]:
        """The last plan and its entity tag, None when there never was one."""
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=PLAN)
        except self._s3.exceptions.NoSuchKey:
            return None, None
        document = json.loads(answer["Body"].read())
        # Plans of before sizes were noted are lists of keys.
        files = {n: f if isinstance(f, dict) else dict.fromkeys(f) for n, f in document["files"].items()}
        return Plan(document["number"], tuple(document["receipts"]), files, document["done"]), answer["ETag"]

    def _write_plan(self, plan: Plan, *, replacing: str | None) -> str:
        """Replace the plan that was read, and no other; the new entity tag."""
        condition = {"IfNoneMatch": "*"} if replacing is None else {"IfMatch": replacing}
        body = json.dumps(asdict(plan), separators=(",", ":")).encode()
        try:
            return str(self._s3.put_object(Bucket=self._bucket, Key=PLAN, Body=body, **condition)["ETag"])
        except ClientError as error:
            if error.response["Error"]["Code"] in {"PreconditionFailed", "ConditionalRequestConflict"}:
                raise Busy(f"another committer took {PLAN} over from {self._owner}") from error
            raise

    # --- Receipts

    def _read_receipt(self, batch_id: str) -> Receipt:
        answer = self._s3.get_object(Bucket=self._bucket, Key=f"{PENDING}{batch_id}.json")
        return Receipt.from_json(answer["Body"].read())

    def _committed(self, batch_ids: Sequence[str]) -> list[str]:
        """Those whose receipt was moved before: asked of each shard's by listing, for as a rule there is none."""
        shards: dict[str, list[str]] = defaultdict(list)
        for batch_id in batch_ids:
            shards[batch_id.rpartition("/")[0]].append(batch_id)
        return list(chain.from_iterable(self._each(self._listed, shards.values())))

    def _listed(self, batch_ids: Sequence[str]) -> list[str]:
        """Those of one shard that are below COMMITTED. Each answer settles the first that is left, at least."""
        left = sorted(f"{COMMITTED}{batch_id}.json" for batch_id in batch_ids)
        found: list[str] = []
        while left:
            answer = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=_folder(left[0]), StartAfter=_before(left[0]))
            keys = [item["Key"] for item in answer.get("Contents", [])]
            settled = bisect(left, keys[-1]) if answer["IsTruncated"] else len(left)
            found += set(left[:settled]) & set(keys)
            left = left[settled:]
        return [key.removeprefix(COMMITTED).removesuffix(".json") for key in found]

    def _move(self, batch_ids: Sequence[str]) -> None:
        """From pending to committed; nothing to do for those that were moved before."""
        self._each(self._copy, batch_ids)
        if batch_ids:
            pending = [{"Key": f"{PENDING}{batch_id}.json"} for batch_id in batch_ids]
            answer = self._s3.delete_objects(Bucket=self._bucket, Delete={"Objects": pending, "Quiet": True})
            if answer.get("Errors"):
                raise RetryLater(f"{len(answer['Errors'])} receipts are still in {PENDING}: {answer['Errors'][0]}")

    def _copy(self, batch_id: str) -> None:
        source = {"Bucket": self._bucket, "Key": f"{PENDING}{batch_id}.json"}
        try:
            self._s3.copy_object(Bucket=self._bucket, Key=f"{COMMITTED}{batch_id}.json", CopySource=source)
        except ClientError as error:
            if not _is_missing(error):
                raise

    def _each(self, action: Callable[[Any], Any], arguments: Iterable[Any]) -> list[Any]:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            return list(threads.map(action, arguments))


def _is_missing(error: ClientError) -> bool:
    return error.response["Error"]["Code"] in {"NoSuchKey", "404"}


def _folder(key: str) -> str:
    return key.rpartition("/")[0] + "/"


def _before(key: str) -> str:
    """A string that sorts before the key, with no other key between them: none ends like that."""
    return key[:-1]


def _batch_id(key: str) -> str:
    return key.removeprefix(PENDING).removesuffix(".json")


def _batch_row(receipt: Receipt) -> dict[str, Any]:
    copied = ("batch_id", "function", "stream", "shard", "first", "last", "records")
    counted = ("stored", "duplicate", "quarantined", "code_version")
    return {"t": receipt.t_ms} | {name: getattr(receipt, name) for name in copied + counted}
