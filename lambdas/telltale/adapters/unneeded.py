"""Deleting files that no table needs any more: the only place in Telltale that deletes data files.

Two kinds. Those that a table needed until its snapshots were expired are known by name, and go at once. Orphans, left
by functions that died between uploading and deciding, are found by listing: they go when they are so old that nobody
can still be about to name them, and when nothing that is under way names them.

What is under way moves in one direction: from a decided receipt to a pending one, into the plan, into the table. It is
looked at in that order, so that a file which moves on meanwhile is met further down.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from telltale.adapters.commit import PLAN
from telltale.adapters.receipts import DECIDED, PENDING, Receipt

HOUR_MS = 3_600_000
# A stream forgets a record after 168 hours at the most; until then a function that died may come back and decide on
# files that it uploaded before. A day more for clocks and for the longest run.
ORPHAN_MS = (168 + 24) * HOUR_MS
METADATA_MS = 6 * HOUR_MS  # a version of the metadata is in the catalog within seconds; a query may hold it for longer
METADATA = ".metadata.json"
AT_ONCE = 16
KEYS_A_DELETE = 1000  # S3's limit


@dataclass(frozen=True)
class Stored:
    """An object of the bucket."""

    key: str
    changed_ms: int
    bytes: int


class Unneeded:
    """Deletes from the lake's bucket, and nowhere else than below `data/` and `lake/`."""

    def __init__(self, s3: Any, *, bucket: str, now_ms: Callable[[], int]) -> None:
        self._s3, self._bucket, self._now_ms = s3, bucket, now_ms

    def delete(self, uris: Iterable[str]) -> int:
        """Delete files that the table needs no more, as who calls knows; how many."""
        own = f"s3://{self._bucket}/"
        return self._delete(uri.removeprefix(own) for uri in uris if uri.startswith(own))

    def delete_orphans(self, table: str, needed: Callable[[], Collection[str]]) -> int:
        """Delete old files of the table that nothing names. `needed` : the URIs that its snapshots need, as of now."""
        old = self._older(table, ORPHAN_MS)
        suspects = self._without(old, needed()) if old else []
        if not suspects:
            return 0
        under_way = self._under_way()
        suspects = self._without([file for file in suspects if file.key not in under_way], needed())
        return self._delete(file.key for file in suspects if self._unchanged(file))

    def stored(self, table: str) -> list[Stored]:
        """All files of the table, needed or not."""
        return [*self._listed(f"data/{table}/"), *self._listed(f"lake/{table}/")]

    def delete_versions(self, table: str, listed: Callable[[], Collection[str]]) -> int:
        """Delete old versions of the table's metadata. `listed` : the URIs of those that it lists, as of now."""
        old = [file for file in self._older(f"{table}/metadata", METADATA_MS) if file.key.endswith(METADATA)]
        return self._delete(file.key for file in self._without(old, listed())) if old else 0

    def _older(self, table: str, age_ms: int) -> list[Stored]:
        now_ms = self._now_ms()
        return [file for file in self.stored(table) if now_ms - file.changed_ms > age_ms]

    def _without(self, files: Iterable[Stored], uris: Collection[str]) -> list[Stored]:
        return [file for file in files if f"s3://{self._bucket}/{file.key}" not in uris]

    def _listed(self, prefix: str) -> Iterator[Stored]:
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
            for item in page.get("Contents", []):
                yield Stored(item["Key"], int(item["LastModified"].timestamp() * 1000), item["Size"])

    def _under_way(self) -> set[str]:
        """Keys of the files that a decided or a pending receipt or the plan names."""
        keys: set[str] = set()
        for prefix in (DECIDED, PENDING):
            names = [file.key for file in self._listed(prefix)]
            with ThreadPoolExecutor(AT_ONCE) as threads:
                for body in threads.map(self._read, names):
                    keys |= {file.key for file in Receipt.from_json(body).files} if body else set()
        plan = self._read(PLAN)
        if plan:
            keys |= {key for of_table in json.loads(plan)["files"].values() for key in of_table}
        return keys

    def _read(self, key: str) -> bytes | None:
        """None: it has moved on."""
        try:
            return bytes(self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read())
        except self._s3.exceptions.NoSuchKey:
            return None

    def _unchanged(self, file: Stored) -> bool:
        """Whether it is as it was listed: a function that came back uploads its files again before it decides."""
        try:
            answer = self._s3.head_object(Bucket=self._bucket, Key=file.key)
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
                return False
            raise
        return int(answer["LastModified"].timestamp()) == file.changed_ms // 1000  # S3 says no more of it here

    def _delete(self, keys: Iterable[str]) -> int:
        ours = sorted(key for key in keys if key.startswith(("data/", "lake/")))
        for start in range(0, len(ours), KEYS_A_DELETE):
            wanted = {"Objects": [{"Key": key} for key in ours[start : start + KEYS_A_DELETE]], "Quiet": True}
            errors = self._s3.delete_objects(Bucket=self._bucket, Delete=wanted).get("Errors", [])
            if errors:
                raise RuntimeError(f"{len(errors)} files were not deleted, the first: {errors[0]}")
        return len(ours)
