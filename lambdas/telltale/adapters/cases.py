"""Cases, in DynamoDB: the latest change of each, moved only forward, and how far its work order has come.

`outbox` is "pending" while the work order has not caught up with the case, "watching" while it has and the
maintenance system must be asked how the order stands, and absent when there is nothing left to do. An index on
it lets a schedule find every case that needs a look, whatever became of its events.

`order_revision` is the last change of the work order that detection has put into the lake.

`until_ms` is there while the case is shelved, `parent` while another case's order names it. `history` has a line for
each change that was stored: who did what, when, and why.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from telltale.adapters.many_items import many_items
from telltale.core import repair
from telltale.core.cases import is_by_row, is_over
from telltale.core.detect import CaseChange

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PENDING = "pending"
WATCHING = "watching"
OUTBOX_INDEX = "outbox"

NUMBERS = ("revision", "t_ms", "opened_ms", "until_ms", "heard_ms", "after_ms")
DOCUMENTS = ("evidence", "closure")
WHY = ("rule", "channel", "reason", "fault", "evidence")
HISTORY = ("revision", "change", "t_ms", "severity", "reason", "by", "until_ms", "parent", "heard_ms")  # of each change
SAID_OF_IT = ("labelled", repair.CONFIRMED, repair.NOTED)  # of a case that is over: what was done to it stays
CHANGE = tuple(field.name for field in fields(CaseChange) if field.name != "case_id")


@dataclass(frozen=True)
class OrderNote:
    """What the case shows of its work order. `problem` is why the maintenance system refused it."""

    state: str
    ref: str | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Case:
    """A case: its latest change, where, and its order. `history` : its changes, as far as HISTORY tells them.

    `change.parent` is the case whose order names this one, whatever the latest change was.
    """

    position: str
    change: CaseChange
    changed_at: int
    outbox: str | None
    order: OrderNote | None
    history: tuple[Mapping[str, Any], ...] = ()

    @property
    def site(self) -> str:
        return self.position.split("/")[0]

    @property
    def asset(self) -> str:
        """Path of the asset: `site/area/asset`."""
        return self.position.rsplit("/", 1)[0]

    @property
    def is_over(self) -> bool:
        """It is not open, whatever was said of it since it was closed."""
        return is_over(self.change)

    @property
    def closed_ms(self) -> int | None:
        """When it was closed; None while it is open."""
        if not self.is_over:
            return None
        closings = (int(one["t_ms"]) for one in reversed(self.history) if one["change"] == "resolved")
        return next(closings, self.change.t_ms)


class Cases:
    """The table CASES."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def put(self, position: str, change: CaseChange, *, changed_at: int, received_ms: int | None = None) -> bool:
        """Stores a change over an older one and asks for its work order; False when it is not newer.

        What was done to a case, and what is said of one that is over, leaves in place why it was opened; what is said
        of it by rows also how it was closed; and only "grouped" changes its parent.
        changed_at : now.   received_ms : when the capture that changed it was received, if one did.
        """
        act = not is_by_row(change) or change.change in SAID_OF_IT
        said = change.change in SAID_OF_IT and change.closure is None
        values = {"position": {"S": position}, "outbox": {"S": PENDING}, "changed_at": {"N": str(changed_at)}}
        values |= {name: _encode(name, getattr(change, name)) for name in CHANGE if getattr(change, name) is not None}
        if received_ms is not None:  # the lag stays when a person or a sibling's order changes the case
            values |= {"received_ms": {"N": str(received_ms)}, "lag_ms": {"N": str(changed_at - received_ms)}}
        kept = (*(WHY if act else ()), *(() if change.change in ("grouped", "resolved") else ("parent",)))
        kept = (*kept, "closure", "by") if said else kept
        return self._update(
            change.case_id,
            values,
            remove=[name for name in (*CHANGE, "received_ms") if name not in values and name not in kept],
            unless_there=kept,
            append=_line(change),
            condition="attribute_not_exists(pk) OR #revision < :revision",
        )

    def get(self, case_id: str) -> Case | None:
        """The case now (consistent read)."""
        answer = self._client.get_item(TableName=self._table, Key={"pk": {"S": case_id}}, ConsistentRead=True)
        item = answer.get("Item")
        return _case(item) if item else None

    def settle(self, case_id: str, revision: int, note: OrderNote, *, watch: bool) -> bool:
        """The order has caught up with `revision`; False when the case has moved on meanwhile.

        watch : the maintenance system must be asked how the order stands.
        """
        values: dict[str, Any] = {"order_state": {"S": note.state}}
        values |= {"order_ref": {"S": note.ref}} if note.ref else {}
        values |= {"order_problem": {"S": note.problem}} if note.problem else {}
        values |= {"outbox": {"S": WATCHING}} if watch else {}
        absent = [name for name in ("order_ref", "order_problem", "outbox") if name not in values]
        return self._update(
            case_id, values, remove=absent, condition="#revision = :at", extra={":at": {"N": str(revision)}}
        )

    def order_revision(self, case_id: str) -> int:
        """The last change of the case's work order that the lake has; 0 before the first (consistent read)."""
        answer = self._client.get_item(
            TableName=self._table,
            Key={"pk": {"S": case_id}},
            ConsistentRead=True,
            ProjectionExpression="order_revision",
        )
        return int(answer.get("Item", {}).get("order_revision", {"N": "0"})["N"])

    def kept_order(self, case_id: str, revision: int) -> bool:
        """The lake has this change of the case's work order; False when it has a later one, or there is no case."""
        return self._update(
            case_id,
            {"order_revision": {"N": str(revision)}},
            remove=[],
            condition="attribute_exists(pk) AND (attribute_not_exists(order_revision)"
            " OR order_revision < :order_revision)",
        )

    def trouble(self, case_id: str, note: OrderNote) -> None:
        """Shows why the order of a case waits; it stays where it is in the outbox."""
        values: dict[str, Any] = {"order_state": {"S": note.state}, "order_problem": {"S": note.problem or ""}}
        values |= {"order_ref": {"S": note.ref}} if note.ref else {}
        self._update(case_id, values, remove=[], condition="attribute_exists(pk)")

    def sites(self, case_ids: Sequence[str]) -> dict[str, str]:
        """The site of each case; one that is not there is left out."""
        names = {"#position": "position"}
        options = {"ProjectionExpression": "pk, #position", "ExpressionAttributeNames": names}
        found = many_items(self._client, self._table, case_ids, **options)
        return {item["pk"]["S"]: item["position"]["S"].split("/")[0] for item in found}

    def ask_again(self, case_id: str) -> None:
        """Puts a case back into the outbox, for an order that was refused and may now be accepted."""
        self._update(case_id, {"outbox": {"S": PENDING}}, remove=[], condition="attribute_exists(pk)")

    def waiting(self, outbox: str, *, before_ms: int, since_ms: int = 0) -> Iterator[str]:
        """Ids of the cases in that outbox that changed from `since_ms` until before `before_ms`, oldest first."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            IndexName=OUTBOX_INDEX,
            KeyConditionExpression="outbox = :outbox AND changed_at BETWEEN :since AND :last",
            ExpressionAttributeValues={
                ":outbox": {"S": outbox},
                ":since": {"N": str(since_ms)},
                ":last": {"N": str(before_ms - 1)},
            },
        )
        return (item["pk"]["S"] for page in pages for item in page["Items"])

    def all(self) -> Iterator[Case]:
        """Every case; reads the whole table."""
        pages = self._client.get_paginator("scan").paginate(TableName=self._table)
        return (_case(item) for page in pages for item in page["Items"])

    def _update(
        self,
        case_id: str,
        values: Mapping[str, Any],
        *,
        remove: list[str],
        condition: str,
        unless_there: Collection[str] = (),
        append: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> bool:
        """Whether the condition held, so that the item was changed. `append` : to its history."""
        names = {f"#{name}": name for name in (*values, *remove)} | {"#revision": "revision"}
        given = {name: f"if_not_exists(#{name}, :{name})" if name in unless_there else f":{name}" for name in values}
        expression = "SET " + ", ".join(f"#{name} = {value}" for name, value in given.items())
        if append is not None:
            expression += ", history = list_append(if_not_exists(history, :none), :line)"
            extra = {**(extra or {}), ":none": {"L": []}, ":line": {"L": [{"S": append}]}}
        expression += " REMOVE " + ", ".join(f"#{name}" for name in remove) if remove else ""
        names = {alias: name for alias, name in names.items() if alias in f"{expression} {condition}"}
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": case_id}},
                UpdateExpression=expression,
                ConditionExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues={**{f":{name}": value for name, value in values.items()}, **(extra or {})},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True


def _encode(name: str, value: Any) -> dict[str, str]:
    if name in NUMBERS:
        return {"N": str(value)}
    return {"S": json.dumps(dict(value), separators=(",", ":")) if name in DOCUMENTS else value}


def _line(change: CaseChange) -> str:
    known = {name: value for name in HISTORY if (value := getattr(change, name)) is not None}
    known |= {name: change.evidence[name] for name in ("repair",) if name in change.evidence}
    return json.dumps(known, separators=(",", ":"))


def _decode(name: str, value: Mapping[str, str]) -> Any:
    if name in NUMBERS:
        return int(value["N"])
    return json.loads(value["S"]) if name in DOCUMENTS else value["S"]


def _case(item: Mapping[str, Any]) -> Case:
    known = {name: _decode(name, item[name]) for name in CHANGE if name in item}
    text = {name: value["S"] for name, value in item.items() if "S" in value}
    return Case(
        position=text["position"],
        change=CaseChange(case_id=text["pk"], **known),
        changed_at=int(item["changed_at"]["N"]),
        outbox=text.get("outbox"),
        order=_note(text) if "order_state" in text else None,
        history=tuple(json.loads(line["S"]) for line in item.get("history", {}).get("L", ())),
    )


def _note(text: Mapping[str, str]) -> OrderNote:
    return OrderNote(text["order_state"], text.get("order_ref"), text.get("order_problem"))
