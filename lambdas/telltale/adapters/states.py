"""States of the positions, in DynamoDB: one small item each, moved only forward.

`rev` counts up with each batch that touched the position. The table takes a write only over a lower `rev`, so
that a repeated write changes nothing and a late one cannot undo a newer.
"""

import base64
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import ClientError

from telltale.core.errors import RetryLater

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEYS_PER_CALL = 100  # BatchGetItem, API reference
ATTEMPTS = 6
PAUSE_S = 0.05  # before the second attempt, doubled for each further one
WRITERS = 8  # conditional writes have no batch call; a put takes about 5 ms, nearly all of it waiting


@dataclass(frozen=True)
class Held:
    """What the table holds of one position. `core` is core.detect.State, packed."""

    core: bytes
    rev: int
    state: str
    last_t_ms: int
    last_received_ms: int
    sensor: str | None
    gateway: str | None


@dataclass(frozen=True)
class StateWrite:
    """The next item of one position, made by batch `batch`. `sensor_fault` : in words; None: its sensor is sound."""

    position: str
    rev: int
    core: bytes
    state: str
    last_t_ms: int
    last_received_ms: int
    sensor: str | None
    gateway: str | None
    batch: str
    sensor_fault: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "core": base64.b64encode(self.core).decode()}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        return cls(**{**document, "core": base64.b64decode(document["core"])})


class States:
    """The table STATES. Positions are its keys; `presence#…` items belong to adapters/presence.py."""

    def __init__(self, client: "DynamoDBClient", table: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._table = table
        self._sleep = sleep

    def get(self, positions: Collection[str]) -> dict[str, Held]:
        """The held states of those positions that have one; consistent reads, 100 keys a call."""
        held: dict[str, Held] = {}
        for keys in _chunks(sorted(set(positions)), KEYS_PER_CALL):
            held.update(self._get(keys))
        return held

    def _get(self, positions: Sequence[str]) -> Iterator[tuple[str, Held]]:
        request: Any = {self._table: {"Keys": [{"pk": {"S": p}} for p in positions], "ConsistentRead": True}}
        for attempt in range(ATTEMPTS):
            answer = self._client.batch_get_item(RequestItems=request)
            for item in answer["Responses"].get(self._table, []):
                yield item["pk"]["S"], _held(item)
            request = answer.get("UnprocessedKeys")
            if not request:
                return
            self._sleep(PAUSE_S * 2**attempt)
        raise RetryLater(f"table {self._table} left keys unread after {ATTEMPTS} attempts")

    def put(self, writes: Sequence[StateWrite], *, judged_at: int) -> None:
        """Makes the writes; one whose `rev` is not above the stored one changes nothing. `judged_at` : now, in ms."""
        if not writes:
            return
        with ThreadPoolExecutor(min(WRITERS, len(writes))) as pool:
            list(pool.map(lambda write: self._put(write, judged_at), writes))

    def _put(self, write: StateWrite, judged_at: int) -> None:
        try:
            self._client.put_item(
                TableName=self._table,
                Item={**_item(write), "judged_at": {"N": str(judged_at)}},
                ConditionExpression="attribute_not_exists(pk) OR rev < :rev",
                ExpressionAttributeValues={":rev": {"N": str(write.rev)}},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise


def _item(write: StateWrite) -> Any:
    texts = {
        "pk": write.position,
        "state": write.state,
        "sensor": write.sensor,
        "gateway": write.gateway,
        "batch": write.batch,
        "sensor_fault": write.sensor_fault,
    }
    numbers = {"rev": write.rev, "last_t_ms": write.last_t_ms, "last_received_ms": write.last_received_ms}
    return {
        "core": {"B": write.core},
        **{name: {"S": text} for name, text in texts.items() if text is not None},
        **{name: {"N": str(number)} for name, number in numbers.items()},
    }


def _held(item: Mapping[str, Any]) -> Held:
    return Held(
        core=bytes(item["core"]["B"]),
        rev=int(item["rev"]["N"]),
        state=item["state"]["S"],
        last_t_ms=int(item["last_t_ms"]["N"]),
        last_received_ms=int(item["last_received_ms"]["N"]),
        sensor=item["sensor"]["S"] if "sensor" in item else None,
        gateway=item["gateway"]["S"] if "gateway" in item else None,
    )


def _chunks(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (keys[start : start + size] for start in range(0, len(keys), size))
