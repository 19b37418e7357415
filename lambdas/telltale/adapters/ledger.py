"""The ledger: which work order belongs to which case, and who is working on it, in DynamoDB.

One item a case. It is the memory that makes one case one order on top of systems that would gladly make two:
a lease keeps workers apart, `ref` says what was made, and a missing `ref` means "perhaps made: look first".

Beside them, under keys of their own: which case leads at an asset or a site (`asset#`, `site#`), and the positions
whose orders wait (`shelf#`).
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from telltale.adapters.cmms.port import CmmsBusy
from telltale.core.grouping import with_opening

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SHELF = "shelf#"
LEASE_MS = 150_000  # longer than the function may run (120 s), so that a lease ends only when its worker has


class NotYet(CmmsBusy):
    """Another worker has the case, or it is not time yet for the next attempt."""


class Stage(StrEnum):
    """How far the order of a case has come."""

    PENDING = "PENDING"  # an order is wanted, and may have been made
    OPEN = "OPEN"  # made, `ref` is known
    CLOSED = "CLOSED"  # nothing left to do
    REFUSED = "REFUSED"  # the maintenance system said no for good; `problem` says why
    SHELVED = "SHELVED"  # none was made, for the case or its position is shelved
    CHILD = "CHILD"  # none was made, for the order of `parent` names the case


@dataclass(frozen=True)
class Entry:
    """What is known of the order of a case.

    revision : of the case, when it was last looked at.   shown : fingerprint of what the order says.
    attempts : failures in a row.   not_before_ms : no attempt before then.   look_again_ms : when to ask the
    maintenance system how the order stands, if nobody tells.   parent : the case whose order names this one.
    told : the order's last change, as JSON, for the lake.   untold : 1 until it is known to be on the stream.
    """

    stage: Stage = Stage.PENDING
    ref: str = ""
    revision: int = 0
    shown: str = ""
    attempts: int = 0
    not_before_ms: int = 0
    look_again_ms: int = 0
    problem: str = ""
    parent: str = ""
    told: str = ""
    untold: int = 0


@dataclass(frozen=True)
class Shelf:
    """No orders of a position until then. `at_ms` : when `by` said so."""

    until_ms: int
    by: str
    why: str
    at_ms: int


class Ledger:
    """The table LEDGER, as one worker (`owner`) sees it."""

    def __init__(self, client: "DynamoDBClient", table: str, *, owner: str, now_ms: Callable[[], int]) -> None:
        self._client = client
        self._table = table
        self._owner = owner
        self._now_ms = now_ms

    def take(self, case_id: str) -> Entry:
        """The entry, leased to this worker; raises NotYet while another has it or it must wait."""
        now = self._now_ms()
        try:
            answer = self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": case_id}},
                UpdateExpression="SET lease_owner = :me, lease_until_ms = :until",
                ConditionExpression="(attribute_not_exists(lease_until_ms) OR lease_until_ms < :now)"
                " AND (attribute_not_exists(not_before_ms) OR not_before_ms <= :now)",
                ExpressionAttributeValues={
                    ":me": {"S": self._owner},
                    ":until": {"N": str(now + LEASE_MS)},
                    ":now": {"N": str(now)},
                },
                ReturnValues="ALL_NEW",
            )
        except ClientError as error:
            _unless_condition_failed(error)
            raise self._busy(case_id, now) from error
        return _entry(answer["Attributes"])

    def keep(self, case_id: str, entry: Entry, *, release: bool = False) -> Entry:
        """Writes and answers the entry, renewing the lease or giving it back; raises NotYet when it was lost."""
        values: dict[str, Any] = {f":{field.name}": _encode(getattr(entry, field.name)) for field in fields(Entry)}
        update = "SET " + ", ".join(f"#{field.name} = :{field.name}" for field in fields(Entry))
        if release:
            update += " REMOVE lease_owner, lease_until_ms"
        else:
            update += ", lease_until_ms = :until"
            values[":until"] = {"N": str(self._now_ms() + LEASE_MS)}
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": case_id}},
                UpdateExpression=update,
                ConditionExpression="lease_owner = :me",
                ExpressionAttributeNames={f"#{field.name}": field.name for field in fields(Entry)},
                ExpressionAttributeValues={":me": {"S": self._owner}, **values},
            )
        except ClientError as error:
            _unless_condition_failed(error)
            raise NotYet(f"case {case_id}: another worker has taken over its order") from error
        return entry

    def get(self, case_id: str) -> Entry | None:
        """The entry, without taking it."""
        item = self._item(case_id)
        return _entry(item) if item else None

    def _item(self, key: str) -> Mapping[str, Any]:
        answer = self._client.get_item(TableName=self._table, Key={"pk": {"S": key}}, ConsistentRead=True)
        return answer.get("Item", {})

    def hurry(self, case_id: str) -> None:
        """Lets the next attempt come at once, for a person who knows that the system is back."""
        self._person(case_id, "SET not_before_ms = :zero, attempts = :zero", "attribute_exists(pk)", {})

    def reopen(self, case_id: str) -> bool:
        """Lets a refused order be tried again; False when it is not refused."""
        update = "SET stage = :pending, not_before_ms = :zero, attempts = :zero"
        stages = {":pending": {"S": Stage.PENDING}, ":refused": {"S": Stage.REFUSED}}
        return self._person(case_id, update, "stage = :refused", stages)

    def _person(self, case_id: str, update: str, condition: str, values: Mapping[str, Any]) -> bool:
        """A change that needs no lease; whether its condition held."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": case_id}},
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeValues={":zero": {"N": "0"}, **values},
            )
        except ClientError as error:
            _unless_condition_failed(error)
            return False
        return True

    def leader(self, scope: str) -> str:
        """The case that leads in a scope (`asset#…`, `site#…`); "" for none."""
        return str(self._item(scope).get("parent", {}).get("S", ""))

    def lead(self, scope: str, case_id: str, *, instead_of: str) -> bool:
        """Makes a case the leader, unless another than `instead_of` is by now."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": scope}},
                UpdateExpression="SET parent = :me",
                ConditionExpression="attribute_not_exists(parent) OR parent = :before",
                ExpressionAttributeValues={":me": {"S": case_id}, ":before": {"S": instead_of}},
            )
        except ClientError as error:
            _unless_condition_failed(error)
            return False
        return True

    def wanted(self, scope: str, case_id: str) -> dict[str, int]:
        """When each case of the scope first wanted an order, this one too, as far as it is remembered."""
        now = self._now_ms()
        key = {"pk": {"S": scope}}
        answer = self._client.update_item(
            TableName=self._table,
            Key=key,
            UpdateExpression="SET openings = if_not_exists(openings, :none)",
            ExpressionAttributeValues={":none": {"M": {}}},
            ReturnValues="ALL_NEW",
        )
        before = _openings(answer["Attributes"])
        after = with_opening(before, case_id, now)
        if before.keys() == after.keys():
            return before
        gone = [one for one in before if one not in after]
        names = {f"#o{number}": one for number, one in enumerate(gone)}
        answer = self._client.update_item(
            TableName=self._table,
            Key=key,
            UpdateExpression="SET openings.#me = if_not_exists(openings.#me, :now)"
            + (" REMOVE " + ", ".join(f"openings.{name}" for name in names) if names else ""),
            ExpressionAttributeNames={**names, "#me": case_id},
            ExpressionAttributeValues={":now": {"N": str(after[case_id])}},
            ReturnValues="ALL_NEW",
        )
        return _openings(answer["Attributes"])

    def adopt(self, parent: str, child: str) -> None:
        """Lists a case with its parent."""
        self._client.update_item(
            TableName=self._table,
            Key={"pk": {"S": parent}},
            UpdateExpression="ADD children :child",
            ExpressionAttributeValues={":child": {"SS": [child]}},
        )

    def children(self, parent: str) -> list[str]:
        """The cases that were ever listed with this one; those that left too."""
        return sorted(self._item(parent).get("children", {}).get("SS", ()))

    def shelve(self, position: str, shelf: Shelf) -> None:
        """Keeps orders of a position waiting; a shelf that ends when it begins takes the one before away."""
        self._client.update_item(
            TableName=self._table,
            Key={"pk": {"S": f"{SHELF}{position}"}},
            UpdateExpression="SET shelf = :shelf, history = list_append(if_not_exists(history, :none), :line)",
            ExpressionAttributeValues={
                ":shelf": {"S": json.dumps(asdict(shelf))},
                ":none": {"L": []},
                ":line": {"L": [{"S": json.dumps(asdict(shelf))}]},
            },
        )

    def shelf(self, position: str) -> Shelf | None:
        """The last shelf of a position, be it over or not."""
        item = self._item(f"{SHELF}{position}")
        return Shelf(**json.loads(item["shelf"]["S"])) if item else None

    def shelves(self) -> Iterator[tuple[str, tuple[Shelf, ...]]]:
        """Positions that were ever shelved, each with its shelves, the last one last; reads the whole table."""
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._table,
            FilterExpression="begins_with(pk, :shelf)",
            ExpressionAttributeValues={":shelf": {"S": SHELF}},
        )
        for page in pages:
            for item in page["Items"]:
                history = tuple(Shelf(**json.loads(line["S"])) for line in item["history"]["L"])
                yield item["pk"]["S"].removeprefix(SHELF), history

    def refused(self) -> Iterator[str]:
        """Cases whose order was refused; reads the whole table."""
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._table,
            FilterExpression="stage = :refused",
            ExpressionAttributeValues={":refused": {"S": Stage.REFUSED}},
        )
        return (item["pk"]["S"] for page in pages for item in page["Items"])

    def _busy(self, case_id: str, now: int) -> NotYet:
        key = {"pk": {"S": case_id}}
        item = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item", {})
        free_ms = max(
            (int(item[name]["N"]) for name in ("lease_until_ms", "not_before_ms") if name in item), default=now
        )
        return NotYet(f"case {case_id}: its order is being worked on, or waits", max(0, free_ms - now) / 1000)


def _openings(item: Mapping[str, Any]) -> dict[str, int]:
    return {case_id: int(t_ms["N"]) for case_id, t_ms in item["openings"]["M"].items()}


def _encode(value: str | int) -> dict[str, str]:
    return {"S": value} if isinstance(value, str) else {"N": str(value)}


def _entry(item: Mapping[str, Any]) -> Entry:
    known = {field.name: item[field.name] for field in fields(Entry) if field.name in item}
    plain: dict[str, Any] = {name: value["S"] if "S" in value else int(value["N"]) for name, value in known.items()}
    return Entry(**{**plain, "stage": Stage(plain.get("stage", Stage.PENDING))})


def _unless_condition_failed(error: ClientError) -> None:
    if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
        raise error
