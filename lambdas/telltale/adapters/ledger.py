"""The ledger: which work order belongs to which case, and who is working on it, in DynamoDB.

One item a case. It is the memory that makes one case one order on top of systems that would gladly make two:
a lease keeps workers apart, `ref` says what was made, and a missing `ref` means "perhaps made: look first".
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from telltale.adapters.cmms.port import CmmsBusy

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LEASE_MS = 150_000  # longer than the function may run (120 s), so that a lease ends only when its worker has


class NotYet(CmmsBusy):
    """Another worker has the case, or it is not time yet for the next attempt."""


class Stage(StrEnum):
    """How far the order of a case has come."""

    PENDING = "PENDING"  # an order is wanted, and may have been made
    OPEN = "OPEN"  # made, `ref` is known
    CLOSED = "CLOSED"  # nothing left to do
    REFUSED = "REFUSED"  # the maintenance system said no for good; `problem` says why


@dataclass(frozen=True)
class Entry:
    """What is known of the order of a case.

    revision : of the case, when it was last looked at.   shown : fingerprint of what the order says.
    attempts : failures in a row.   not_before_ms : no attempt before then.   look_again_ms : when to ask the
    maintenance system how the order stands, if nobody tells.
    """

    stage: Stage = Stage.PENDING
    ref: str = ""
    revision: int = 0
    shown: str = ""
    attempts: int = 0
    not_before_ms: int = 0
    look_again_ms: int = 0
    problem: str = ""


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
        item = self._client.get_item(TableName=self._table, Key={"pk": {"S": case_id}}, ConsistentRead=True).get("Item")
        return _entry(item) if item else None

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


def _encode(value: str | int) -> dict[str, str]:
    return {"S": value} if isinstance(value, str) else {"N": str(value)}


def _entry(item: Mapping[str, Any]) -> Entry:
    known = {field.name: item[field.name] for field in fields(Entry) if field.name in item}
    plain: dict[str, Any] = {name: value["S"] if "S" in value else int(value["N"]) for name, value in known.items()}
    return Entry(**{**plain, "stage": Stage(plain.get("stage", Stage.PENDING))})


def _unless_condition_failed(error: ClientError) -> None:
    if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
        raise error
