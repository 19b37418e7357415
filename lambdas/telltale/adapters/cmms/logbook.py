"""The built-in maintenance system: one DynamoDB item an order. Enough for a plant that has no other."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from telltale.adapters.cmms.adapter import Adapter
from telltale.adapters.cmms.port import FIELDS, Capabilities, Order, OrderRequest, Plain, Status, Stays
from telltale.core.closure import Closure
from telltale.core.errors import CmmsRefused

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TEXTS = (
    "case_id",
    "title",
    "description",
    "severity",
    "position",
    "asset",
    "link",
)  # of an OrderRequest, beside its key


@dataclass(frozen=True)
class Line:
    """One line of an order's history: when, and what was done or said."""

    t_ms: int
    text: str


@dataclass(frozen=True)
class Entry:
    """All the logbook holds of one order; `history` in order of time."""

    request: OrderRequest
    order: Order
    history: tuple[Line, ...]


class Logbook(Plain):
    """The table LOGBOOK; an order's reference is its key."""

    name = "logbook"
    capabilities = Capabilities(upsert=True, pushes=False, reopens=True, codes=True)

    def __init__(self, client: "DynamoDBClient", table: str, now_ms: Callable[[], int]) -> None:
        self._client = client
        self._table = table
        self._now_ms = now_ms

    def find(self, key: str) -> Order | None:
        return self.get(key)

    def create(self, request: OrderRequest) -> Order:
        now = self._now_ms()
        item: dict[str, Any] = {
            "pk": {"S": request.key},
            "status": {"S": Status.OPEN},
            "changed_ms": {"N": str(now)},
            "opened_ms": {"N": str(request.opened_ms)},
            "history": {"M": {"created": _line(now, f"opened: {request.title}")}},
            **{name: {"S": getattr(request, name)} for name in TEXTS},
        }
        try:
            self._client.put_item(TableName=self._table, Item=item, ConditionExpression="attribute_not_exists(pk)")
        except ClientError as error:
            _unless_condition_failed(error)
        return self._order(request.key)

    def get(self, ref: str) -> Order | None:
        entry = self.entry(ref)
        return entry.order if entry else None

    def update(self, ref: str, request: OrderRequest, fields: Collection[str] = FIELDS) -> Order:
        values = {f":{name}": {"S": getattr(request, name)} for name in FIELDS if name in fields}
        values |= {":done": {"S": Status.DONE}, ":cancelled": {"S": Status.CANCELLED}}
        self._change(
            ref,
            "SET " + ", ".join(f"{name} = :{name}" for name in FIELDS if name in fields),
            "attribute_exists(pk) AND NOT #status IN (:done, :cancelled)",
            {"#status": "status"},
            values,
        )
        return self._order(ref)

    def comment(self, ref: str, text: str, *, key: str) -> None:
        self._change(
            ref,
            "SET history.#key = :line",
            "attribute_exists(pk) AND attribute_not_exists(history.#key)",
            {"#key": key},
            {":line": _line(self._now_ms(), text)},
        )

    def set_status(self, ref: str, status: Status, *, by: str, closure: Closure | None = None) -> Order:
        now = self._now_ms()
        words = f"{status} by {by}" + (f": {_in_words(closure)}" if closure else "")
        names = {"#status": "status", "#by": "by", "#key": f"{status}@{now}"}
        values: dict[str, Any] = {
            ":status": {"S": status},
            ":by": {"S": by},
            ":now": {"N": str(now)},
            ":line": _line(now, words),
        }
        update = "SET #status = :status, #by = :by, changed_ms = :now, history.#key = :line"
        may = "attribute_exists(pk) AND #status <> :status"
        if status is Status.OPEN:
            update += " REMOVE closure"
        else:  # what is final can only be opened again
            may += " AND NOT #status IN (:done, :cancelled)"
            values |= {":done": {"S": Status.DONE}, ":cancelled": {"S": Status.CANCELLED}}
            if closure:
                update += ", closure = :closure"
                values[":closure"] = {"S": json.dumps(closure.as_dict())}
        moved = self._change(ref, update, may, names, values)
        order = self._order(ref)
        if not moved and order.status != status:
            raise Stays(order, status)
        return order

    def entry(self, key: str) -> Entry | None:
        """The order with all its history."""
        item = self._client.get_item(TableName=self._table, Key={"pk": {"S": key}}, ConsistentRead=True).get("Item")
        return _entry(item) if item else None

    def entries(self) -> Iterator[Entry]:
        """Every order; reads the whole table."""
        pages = self._client.get_paginator("scan").paginate(TableName=self._table)
        return (_entry(item) for page in pages for item in page["Items"])

    def _order(self, ref: str) -> Order:
        order = self.get(ref)
        if order is None:
            raise CmmsRefused(f"order {ref} is not in the logbook")
        return order

    def _change(
        self, ref: str, update: str, condition: str, names: Mapping[str, str], values: Mapping[str, Any]
    ) -> bool:
        """Whether the condition held, so that the change was made."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": ref}},
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
            )
        except ClientError as error:
            _unless_condition_failed(error)
            return False
        return True


def _unless_condition_failed(error: ClientError) -> None:
    if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
        raise error


def _line(t_ms: int, text: str) -> dict[str, Any]:
    return {"M": {"t_ms": {"N": str(t_ms)}, "text": {"S": text}}}


def _in_words(closure: Closure) -> str:
    codes = f"{closure.failure_mode}, {closure.failure_cause}, {closure.action_taken}"
    return f"{codes} ({closure.note})" if closure.note else codes


def _entry(item: Mapping[str, Any]) -> Entry:
    key = item["pk"]["S"]
    history = [Line(int(line["M"]["t_ms"]["N"]), line["M"]["text"]["S"]) for line in item["history"]["M"].values()]
    status = Status(item["status"]["S"])
    return Entry(
        request=OrderRequest(
            key=key, opened_ms=int(item["opened_ms"]["N"]), **{name: item[name]["S"] for name in TEXTS if name in item}
        ),
        order=Order(
            ref=key,
            key=key,
            status=status,
            raw_status=status,
            changed_ms=int(item["changed_ms"]["N"]),
            by=item["by"]["S"] if "by" in item else None,
            closure=json.loads(item["closure"]["S"]) if "closure" in item else None,
            shows={name: item[name]["S"] for name in FIELDS},
        ),
        history=tuple(sorted(history, key=lambda line: line.t_ms)),
    )


def matching(entries: Sequence[Entry], beginning: str) -> list[Entry]:
    """The orders whose key begins so: people type the first few characters."""
    return [entry for entry in entries if entry.request.key.startswith(beginning.upper())]


ADAPTER = Adapter(title="Logbook, built in", make=lambda given: given.logbook)
