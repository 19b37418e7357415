"""States of the positions, in DynamoDB: one small item each, one for its tags, one for its trend; moved only forward.

`rev` counts up with each batch that touched the position. The table takes a write only over a lower `rev`, so
that a repeated write changes nothing and a late one cannot undo a newer.
"""

import base64
import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import ClientError

from telltale.core.errors import RetryLater
from telltale.core.tag_streams import Tag

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TAGS = "tags#"  # before the position: the item of its tags
TREND = "trend#"  # likewise of its trend
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


@dataclass(frozen=True)
class HeldTags:
    """What the table holds of the tags of one position that are watched as streams."""

    tags: Mapping[str, Tag]
    rev: int


@dataclass(frozen=True)
class TagsWrite:
    """The next item of the tags of one position, made by batch `batch`."""

    position: str
    rev: int
    tags: Mapping[str, Tag]
    batch: str

    def as_dict(self) -> dict[str, Any]:
        tags = {
            name: {"core": base64.b64encode(tag.stream.pack()).decode(), "told": tag.summary()}
            for name, tag in self.tags.items()
        }
        return {"position": self.position, "rev": self.rev, "tags": tags, "batch": self.batch}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        tags = {name: Tag.of(base64.b64decode(one["core"]), one["told"]) for name, one in document["tags"].items()}
        return cls(**{**document, "tags": tags})


@dataclass(frozen=True)
class HeldTrend:
    """What the table holds of a position's levels over time. `core` is core.trend.Trend, packed."""

    core: bytes = b""
    rev: int = 0


@dataclass(frozen=True)
class TrendWrite:
    """The next item of a position's trend, made by batch `batch`."""

    position: str
    rev: int
    core: bytes
    batch: str

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "core": base64.b64encode(self.core).decode()}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        return cls(**{**document, "core": base64.b64decode(document["core"])})


Write = StateWrite | TagsWrite | TrendWrite


class States:
    """The table STATES. Positions are its keys; `tags#` and `trend#` before a position are those of its tags and its
    trend; `presence#…` items belong to adapters/presence.py.
    """

    def __init__(self, client: "DynamoDBClient", table: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._table = table
        self._sleep = sleep

    def get(self, positions: Collection[str]) -> dict[str, Held]:
        """The held states of those positions that have one; consistent reads, 100 keys a call."""
        return {item["pk"]["S"]: _held(item) for item in self._items(positions)}

    def tags(self, positions: Collection[str]) -> dict[str, HeldTags]:
        """The held tags of those positions that have any; likewise."""
        items = self._items([f"{TAGS}{position}" for position in positions])
        return {item["pk"]["S"].removeprefix(TAGS): _held_tags(item) for item in items}

    def trends(self, positions: Collection[str]) -> dict[str, HeldTrend]:
        """The held trends of those positions that have one; likewise."""
        items = self._items([f"{TREND}{position}" for position in positions])
        return {
            item["pk"]["S"].removeprefix(TREND): HeldTrend(bytes(item["core"]["B"]), int(item["rev"]["N"]))
            for item in items
        }

    def _items(self, keys: Collection[str]) -> Iterator[Mapping[str, Any]]:
        for some in _chunks(sorted(set(keys)), KEYS_PER_CALL):
            yield from self._get(some)

    def _get(self, keys: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        request: Any = {self._table: {"Keys": [{"pk": {"S": key}} for key in keys], "ConsistentRead": True}}
        for attempt in range(ATTEMPTS):
            answer = self._client.batch_get_item(RequestItems=request)
            yield from answer["Responses"].get(self._table, [])
            request = answer.get("UnprocessedKeys")
            if not request:
                return
            self._sleep(PAUSE_S * 2**attempt)
        raise RetryLater(f"table {self._table} left keys unread after {ATTEMPTS} attempts")

    def put(self, writes: Sequence[Write], *, judged_at: int) -> None:
        """Makes the writes; one whose `rev` is not above the stored one changes nothing. `judged_at` : now, in ms."""
        if not writes:
            return
        with ThreadPoolExecutor(min(WRITERS, len(writes))) as pool:
            list(pool.map(lambda write: self._put(write, judged_at), writes))

    def _put(self, write: Write, judged_at: int) -> None:
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


def _item(write: Write) -> Any:
    if isinstance(write, StateWrite):
        return _state_item(write)
    return _tags_item(write) if isinstance(write, TagsWrite) else _trend_item(write)


def _state_item(write: StateWrite) -> Any:
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


def _tags_item(write: TagsWrite) -> Any:
    told = {name: tag.summary() for name, tag in write.tags.items()}
    return {
        "pk": {"S": f"{TAGS}{write.position}"},
        "rev": {"N": str(write.rev)},
        "batch": {"S": write.batch},
        "cores": {"M": {name: {"B": tag.stream.pack()} for name, tag in write.tags.items()}},
        "told": {"S": json.dumps(told, separators=(",", ":"), allow_nan=False)},
    }


def _trend_item(write: TrendWrite) -> Any:
    return {
        "pk": {"S": f"{TREND}{write.position}"},
        "rev": {"N": str(write.rev)},
        "batch": {"S": write.batch},
        "core": {"B": write.core},
    }


def _held_tags(item: Mapping[str, Any]) -> HeldTags:
    told, cores = json.loads(item["told"]["S"]), item["cores"]["M"]
    return HeldTags({name: Tag.of(bytes(cores[name]["B"]), told[name]) for name in told}, int(item["rev"]["N"]))


def _chunks(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (keys[start : start + size] for start in range(0, len(keys), size))
