"""Only one at a time does a piece of work, most of the time: an item of the progress table that runs out by itself.

Nothing may depend on it, for who sleeps longer than the lease wakes up without it. It saves doing work twice.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any


class Busy(Exception):
    """Another one holds the lease."""


class Lease:
    """The lease `name`; `owner` names this invocation."""

    def __init__(
        self, dynamodb: Any, *, table: str, name: str, owner: str, lasts_ms: int, now_ms: Callable[[], int]
    ) -> None:
        self._dynamodb, self._table, self._name = dynamodb, table, name
        self._owner, self._lasts_ms, self._now_ms = owner, lasts_ms, now_ms

    def hold(self) -> None:
        """Take it, or hold it longer; raises Busy."""
        now_ms = self._now_ms()
        try:
            self._dynamodb.put_item(
                TableName=self._table,
                Item={
                    "pk": {"S": f"lease#{self._name}"},
                    "owner": {"S": self._owner},
                    "expires_ms": {"N": str(now_ms + self._lasts_ms)},
                },
                ConditionExpression="attribute_not_exists(pk) OR expires_ms < :now OR #owner = :owner",
                ExpressionAttributeNames={"#owner": "owner"},
                ExpressionAttributeValues={":now": {"N": str(now_ms)}, ":owner": {"S": self._owner}},
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException as held:
            raise Busy(f"another one holds the lease {self._name}") from held

    def release(self) -> None:
        """Only if it still is ours."""
        with suppress(self._dynamodb.exceptions.ConditionalCheckFailedException):
            self._dynamodb.delete_item(
                TableName=self._table,
                Key={"pk": {"S": f"lease#{self._name}"}},
                ConditionExpression="#owner = :owner",
                ExpressionAttributeNames={"#owner": "owner"},
                ExpressionAttributeValues={":owner": {"S": self._owner}},
            )
