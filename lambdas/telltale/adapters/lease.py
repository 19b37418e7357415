"""Only one at a time does a piece of work, most of the time: an item of the progress table that runs out by itself.

Nothing may depend on it, for who sleeps longer than the lease wakes up without it. It saves doing work twice.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

OWNER = {"#owner": "owner"}


class Busy(Exception):
    """Another one is at it: it holds the lease, or took the work over."""


class Lease:
    """The lease `name`; `owner` names this invocation. `with` it, or hold and release it."""

    def __init__(
        self, dynamodb: Any, *, table: str, name: str, owner: str, lasts_ms: int, now_ms: Callable[[], int]
    ) -> None:
        self._dynamodb, self._table, self._name = dynamodb, table, name
        self._owner, self._lasts_ms, self._now_ms = owner, lasts_ms, now_ms

    def __enter__(self) -> Self:
        self.hold()
        return self

    def __exit__(self, *raised: object) -> None:
        self.release()

    def hold(self) -> None:
        """Take it, or hold it longer; raises Busy."""
        now_ms = self._now_ms()
        free = "attribute_not_exists(pk) OR expires_ms < :now OR #owner = :owner"
        try:
            self._set(now_ms + self._lasts_ms, only=free, **{":now": {"N": str(now_ms)}})
        except self._dynamodb.exceptions.ConditionalCheckFailedException as held:
            raise Busy(f"another one holds the lease {self._name}") from held

    def release(self) -> None:
        """Only if it still is ours."""
        with suppress(self._dynamodb.exceptions.ConditionalCheckFailedException):
            self._set(0, only="#owner = :owner")

    def _set(self, expires_ms: int, *, only: str, **values: Any) -> None:
        self._dynamodb.update_item(
            TableName=self._table,
            Key={"pk": {"S": f"lease#{self._name}"}},
            UpdateExpression="SET #owner = :owner, expires_ms = :expires",
            ConditionExpression=only,
            ExpressionAttributeNames=OWNER,
            ExpressionAttributeValues={
                ":owner": {"S": self._owner},
                ":expires": {"N": str(expires_ms)},
                **values,
            },
        )
