"""Marks in the progress table: which parts of a capture were stored, and what became of a replayed record."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

from telltale.core.errors import RetryLater

SEEN_S = 40 * 86_400  # how long a gateway may go on sending what it sent before: its disk queue holds a month
KEYS_A_CALL = 100  # DynamoDB BatchGetItem, API reference
ATTEMPTS = 5
FIRST_PAUSE_S = 0.05  # doubled with each attempt
WRITERS = 8  # an addition to a set has no batch call; it takes about 5 ms, nearly all of it waiting


@dataclass(frozen=True)
class Seen:
    """These parts (axes, s for scalars) of this capture of this sensor were stored; forgotten at `expires` (s)."""

    sensor: str
    capture_id: str
    parts: str
    expires: int


class Marks:
    """The marks. Making one again changes nothing, in whatever order."""

    def __init__(self, dynamodb: Any, table: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._dynamodb, self._table, self._sleep = dynamodb, table, sleep

    def seen(self, captures: Iterable[tuple[str, str]]) -> dict[tuple[str, str], frozenset[str]]:
        """The parts stored so far of each (sensor, capture id); those of which nothing was are left out."""
        keys = {f"seen#{sensor}#{capture_id}": (sensor, capture_id) for sensor, capture_id in captures}
        return {keys[item["pk"]["S"]]: frozenset(item["parts"]["SS"]) for item in self._read(keys)}

    def replayed(self, quarantine_ids: Iterable[str]) -> dict[str, str]:
        """What became of each record that was replayed: stored, duplicate or quarantined (again)."""
        keys = {f"replayed#{quarantine_id}": quarantine_id for quarantine_id in quarantine_ids}
        return {keys[item["pk"]["S"]]: item["outcome"]["S"] for item in self._read(keys)}

    def mark_seen(self, marks: Sequence[Seen]) -> None:
        self._each(self._add_parts, marks)

    def mark_replayed(self, outcomes: Mapping[str, str]) -> None:
        self._each(self._put_outcome, outcomes.items())

    def _add_parts(self, mark: Seen) -> None:
        """Adding to a set: two invocations that mark the same capture in any order end with the parts of both."""
        self._dynamodb.update_item(
            TableName=self._table,
            Key={"pk": {"S": f"seen#{mark.sensor}#{mark.capture_id}"}},
            UpdateExpression="ADD parts :parts SET expires = :expires",
            ExpressionAttributeValues={":parts": {"SS": list(mark.parts)}, ":expires": {"N": str(mark.expires)}},
        )

    def _put_outcome(self, replayed: tuple[str, str]) -> None:
        quarantine_id, outcome = replayed
        item = {"pk": {"S": f"replayed#{quarantine_id}"}, "outcome": {"S": outcome}}
        self._dynamodb.put_item(TableName=self._table, Item=item)

    def _each(self, action: Callable[[Any], None], values: Iterable[Any]) -> None:
        with ThreadPoolExecutor(WRITERS) as threads:
            list(threads.map(action, values))

    def _read(self, keys: Iterable[str]) -> Iterator[Mapping[str, Any]]:
        wanted = iter(list(keys))
        while call := [{"pk": {"S": key}} for key in islice(wanted, KEYS_A_CALL)]:
            yield from self._read_call(call)

    def _read_call(self, keys: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """The items of up to 100 keys; those that DynamoDB left out for load are asked for again."""
        for attempt in range(ATTEMPTS):
            if attempt:
                self._sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))
            answer = self._dynamodb.batch_get_item(RequestItems={self._table: {"Keys": keys, "ConsistentRead": True}})
            yield from answer["Responses"].get(self._table, [])
            keys = answer["UnprocessedKeys"].get(self._table, {}).get("Keys", [])
            if not keys:
                return
        raise RetryLater(f"table {self._table} left {len(keys)} items unread in {ATTEMPTS} attempts")
