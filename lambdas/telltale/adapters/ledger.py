"""The ledger: which work order belongs to which case, and who is working on it, in DynamoDB.

One item a case. It is the memory that makes one case one order on top of systems that would gladly make two:
a lease keeps workers apart, `ref` says what was made, and a missing `ref` means "perhaps made: look first".

Beside them, under keys of their own: which case leads at an asset or a site (`asset#`, `site#`), when cases of a site
opened (`opened#`), the positions whose orders wait (`shelf#`), whose an order is (`ref#`), what happens once (`once#`),
and how the maintenance systems are (outages.py).
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from telltale.adapters.cmms.port import CmmsBusy
from telltale.adapters.many_items import many_items
from telltale.adapters.outages import Outages
from telltale.core.grouping import REMEMBERED_MS, Opening
from telltale.core.replies import Reply

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
    attempts : failures in a row, from `failing_ms` to `failed_ms`.   not_before_ms : no attempt before then.
    look_again_ms : when to ask the maintenance system how the order stands, if nobody tells; 0 for never.
    parent : the case whose order names this one.   told : the order's last change, as JSON, for the lake.
    untold : 1 until it is known to be on the stream.   begun : 1 once an order may have been made.
    wrote : field → digest of what it showed after Telltale wrote it, as JSON.   writing : 1 while that is being done.
    held : fields that are a person's since, separated by spaces.   updated_ms : when fields were last written anew.
    named : how many other cases the order named then.
    pictured : the severity whose picture is there.   no_asset : the asset that the system does not know.
    merged : 1 once `ref` is an order that this one was merged into.   opening : how many orders the case had before.
    earlier : reference of the one before.   codes : closure codes that somebody replied, as JSON.
    asked_ms : when codes were asked for.   closed_ms : when the case was found over.
    replies : what came from the evidence page and was not acted on yet.
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
    begun: int = 0
    failing_ms: int = 0
    failed_ms: int = 0
    wrote: str = ""
    writing: int = 0
    held: str = ""
    updated_ms: int = 0
    named: int = 0
    pictured: str = ""
    no_asset: str = ""
    merged: int = 0
    opening: int = 0
    earlier: str = ""
    codes: str = ""
    asked_ms: int = 0
    closed_ms: int = 0
    replies: tuple[Reply, ...] = ()


KEPT = tuple(field.name for field in fields(Entry) if field.name != "replies")  # what a worker writes


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
        self.outages = Outages(client, table, now_ms)

    def take(self, case_id: str, *, hurry: bool = False) -> Entry:
        """The entry, leased to this worker; raises NotYet while another has it, or it must wait and nobody hurries."""
        now = self._now_ms()
        free = "(attribute_not_exists(lease_until_ms) OR lease_until_ms < :now)"
        ripe = "(attribute_not_exists(not_before_ms) OR not_before_ms <= :now)"
        try:
            answer = self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": case_id}},
                UpdateExpression="SET lease_owner = :me, lease_until_ms = :until",
                ConditionExpression=free if hurry else f"{free} AND {ripe}",
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

    def keep(self, case_id: str, entry: Entry, *, release: bool = False, answered: Collection[Reply] = ()) -> Entry:
        """Writes and answers the entry, renewing the lease or giving it back; raises NotYet when it was lost.

        answered : replies that were acted on, which are taken off.
        """
        names = {f"#{name}": name for name in KEPT}
        values: dict[str, Any] = {f":{name}": _encode(getattr(entry, name)) for name in KEPT}
        update = "SET " + ", ".join(f"#{name} = :{name}" for name in KEPT)
        if release:
            update += " REMOVE lease_owner, lease_until_ms"
        else:
            update += ", lease_until_ms = :until"
            values[":until"] = {"N": str(self._now_ms() + LEASE_MS)}
        if answered:
            update += " DELETE replies :answered"
            values[":answered"] = {"SS": [reply.as_text() for reply in answered]}
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": case_id}},
                UpdateExpression=update,
                ConditionExpression="lease_owner = :me",
                ExpressionAttributeNames=names,
                ExpressionAttributeValues={":me": {"S": self._owner}, **values},
            )
        except ClientError as error:
            _unless_condition_failed(error)
            raise NotYet(f"case {case_id}: another worker has taken over its order") from error
        return replace(entry, replies=tuple(one for one in entry.replies if one not in answered))

    def get(self, case_id: str) -> Entry | None:
        """The entry, without taking it."""
        item = self._item(case_id)
        return _entry(item) if item else None

    def entries(self, case_ids: Sequence[str]) -> dict[str, Entry]:
        """The entries of these cases; one that nobody has looked at is left out."""
        found = many_items(self._client, self._table, case_ids, ConsistentRead=True)
        return {item["pk"]["S"]: _entry(item) for item in found}

    def replied(self, case_id: str, reply: Reply) -> bool:
        """Keeps what somebody answered, for the worker that has the case next; False when it was kept before."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": case_id}},
                UpdateExpression="ADD replies :reply, reply_ids :id",
                ConditionExpression="attribute_not_exists(reply_ids) OR NOT contains(reply_ids, :one)",
                ExpressionAttributeValues={
                    ":reply": {"SS": [reply.as_text()]},
                    ":id": {"SS": [reply.id]},
                    ":one": {"S": reply.id},
                },
            )
        except ClientError as error:
            _unless_condition_failed(error)
            return False
        return True

    def belongs(self, site: str, ref: str, case_id: str) -> None:
        """Remembers whose order this is; merged orders belong to several cases."""
        self._client.update_item(
            TableName=self._table,
            Key={"pk": {"S": f"ref#{site}#{ref}"}},
            UpdateExpression="ADD cases :case",
            ExpressionAttributeValues={":case": {"SS": [case_id]}},
        )

    def owners(self, site: str, ref: str) -> list[str]:
        """The cases whose order this is; none for an order that is not Telltale's."""
        return sorted(self._item(f"ref#{site}#{ref}").get("cases", {}).get("SS", ()))

    def first(self, what: str, *, within_ms: int) -> bool:
        """Whether nobody asked for the same thing within that time."""
        now = self._now_ms()
        try:
            self._client.put_item(
                TableName=self._table,
                Item={
                    "pk": {"S": f"once#{what}"},
                    "until_ms": {"N": str(now + within_ms)},
                    "expires": {"N": str((now + within_ms) // 1000)},
                },
                ConditionExpression="attribute_not_exists(pk) OR until_ms < :now",
                ExpressionAttributeValues={":now": {"N": str(now)}},
            )
        except ClientError as error:
            _unless_condition_failed(error)
            return False
        return True

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

    def wanted(self, site: str, number: int, case_id: str, opened_ms: int) -> dict[str, Opening]:
        """The openings known in that window of a site, this case's too, as it was when it was first asked for."""
        now = self._now_ms()
        answer = self._client.update_item(
            TableName=self._table,
            Key={"pk": {"S": f"opened#{site}#{number}"}},
            UpdateExpression="SET #case = if_not_exists(#case, :opening), expires = :expires",
            ExpressionAttributeNames={"#case": case_id},
            ExpressionAttributeValues={
                ":opening": {"S": json.dumps([opened_ms, now])},
                ":expires": {"N": str((now + REMEMBERED_MS) // 1000)},
            },
            ReturnValues="ALL_NEW",
        )
        return _openings(answer["Attributes"])

    def openings(self, site: str, number: int) -> dict[str, Opening]:
        """The openings known in a window of a site."""
        return _openings(self._item(f"opened#{site}#{number}"))

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


def _openings(item: Mapping[str, Any]) -> dict[str, Opening]:
    return {name: Opening(*json.loads(value["S"])) for name, value in item.items() if name not in ("pk", "expires")}


def _encode(value: str | int) -> dict[str, str]:
    return {"S": value} if isinstance(value, str) else {"N": str(value)}


def _entry(item: Mapping[str, Any]) -> Entry:
    known = {name: item[name] for name in KEPT if name in item}
    plain: dict[str, Any] = {name: value["S"] if "S" in value else int(value["N"]) for name, value in known.items()}
    replies = sorted(map(Reply.from_text, item.get("replies", {}).get("SS", ())), key=lambda reply: reply.at_ms)
    return Entry(**{**plain, "stage": Stage(plain.get("stage", Stage.PENDING))}, replies=tuple(replies))


def _unless_condition_failed(error: ClientError) -> None:
    if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
        raise error
