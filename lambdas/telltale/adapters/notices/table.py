"""What was sent to whom, in DynamoDB.

One item a case (`case#…`): for each recipient and kind of notice the last one, its number, and how it stands. A notice
is claimed before it is sent, by a write that fails if somebody else has it, and marked after: so it is sent once, or
again if whoever claimed it died in between (LEASE_MS later).

`look` and `look_ms` are there while something may become due without the case changing; an index on them lets the clock
find those cases alone. `seen_…` is when the case was first seen as it was since that revision.

One item a recipient (`recipient#site/name`): whether it is muted or has unsubscribed, and its last digest.
"""

import json
import uuid
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from telltale.core.notices import CLAIMED, LEASE_MS, WAITING, Mark, Muted

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CASE, PERSON, TRIAL = "case#", "recipient#", "test#"
LOOK_INDEX, LOOK = "look", "case"
SEEN = "seen_"
DIGEST = "digest"


@dataclass(frozen=True)
class CaseNotices:
    """What was sent of one case. marks : (recipient, Notice.key) → the last.   look_ms : when it is looked at again."""

    case_id: str
    marks: Mapping[tuple[str, str], Mark]
    seen_ms: Mapping[int, int]
    look_ms: int | None = None

    def of(self, recipient: str) -> dict[str, Mark]:
        """The marks of one recipient, by key."""
        return {key: mark for (name, key), mark in self.marks.items() if name == recipient}


@dataclass(frozen=True)
class Person:
    """What is known of a recipient beside the plant file.

    off_by, off_ms : who stopped its notices for good, and when.   confirmed_ms : when its address was first seen
    confirmed.   digest : the last one.
    """

    off_by: str = ""
    off_ms: int = 0
    muted_until_ms: int = 0
    muted_by: str = ""
    confirmed_ms: int = 0
    digest: Mark | None = None

    @property
    def muted(self) -> Muted:
        return Muted(self.off_by, self.muted_until_ms)


class NoticesTable:
    """The table NOTICES."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client, self._table = client, table

    # ---- of cases

    def opened(self, case_id: str, starts: Collection[int], now_ms: int) -> CaseNotices:
        """The item, which is made if there is none; it remembers that the case was seen at these revisions."""
        sets = ["marks = if_not_exists(marks, :none)", *(f"{SEEN}{n} = if_not_exists({SEEN}{n}, :now)" for n in starts)]
        answer = self._client.update_item(
            TableName=self._table,
            Key=_pk(CASE + case_id),
            UpdateExpression=f"SET {', '.join(sets)}",
            ExpressionAttributeValues={":none": {"M": {}}, **({":now": {"N": str(now_ms)}} if starts else {})},
            ReturnValues="ALL_NEW",
        )
        return _case(case_id, answer["Attributes"])

    def case(self, case_id: str) -> CaseNotices | None:
        """The item (consistent read)."""
        item = self._item(CASE + case_id)
        return _case(case_id, item) if item else None

    def cases(self) -> Iterator[CaseNotices]:
        """All of them; reads the whole table."""
        for item in self._scan(CASE):
            yield _case(item["pk"]["S"].removeprefix(CASE), item)

    def look_again(self, case_id: str, revision: int, at_ms: int | None) -> None:
        """When to look at the case though nothing changes; None: no more. Unless a later revision was looked at."""
        values: dict[str, Any] = {":revision": {"N": str(revision)}}
        update = "SET revision = :revision"
        if at_ms is None:
            update += " REMOVE look, look_ms"
        else:
            update += ", look = :look, look_ms = :at"
            values |= {":look": {"S": LOOK}, ":at": {"N": str(at_ms)}}
        self._written(
            CASE + case_id,
            UpdateExpression=update,
            ConditionExpression="attribute_not_exists(revision) OR revision <= :revision",
            ExpressionAttributeValues=values,
        )

    def due(self, now_ms: int) -> Iterator[str]:
        """Ids of the cases to look at by now, oldest first."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            IndexName=LOOK_INDEX,
            KeyConditionExpression="look = :look AND look_ms <= :now",
            ExpressionAttributeValues={":look": {"S": LOOK}, ":now": {"N": str(now_ms)}},
        )
        return (item["pk"]["S"].removeprefix(CASE) for page in pages for item in page["Items"])

    # ---- sending once

    def claim(self, case_id: str, recipient: str, key: str, mark: Mark) -> str | None:
        """The right to send this notice, as a token; None where it was sent, or somebody else is at it."""
        return self._claim(CASE + case_id, f"{recipient}|{key}", mark)

    def settle(self, case_id: str, recipient: str, key: str, mark: Mark, token: str) -> bool:
        """How it went; False where the claim was lost."""
        return self._settle(CASE + case_id, f"{recipient}|{key}", mark, token)

    def claim_digest(self, site: str, recipient: str, mark: Mark) -> str | None:
        """Likewise, of a digest."""
        self._client.update_item(
            TableName=self._table,
            Key=_pk(_person_pk(site, recipient)),
            UpdateExpression="SET marks = if_not_exists(marks, :none)",
            ExpressionAttributeValues={":none": {"M": {}}},
        )
        return self._claim(_person_pk(site, recipient), DIGEST, mark)

    def settle_digest(self, site: str, recipient: str, mark: Mark, token: str) -> bool:
        return self._settle(_person_pk(site, recipient), DIGEST, mark, token)

    def _claim(self, pk: str, name: str, mark: Mark) -> str | None:
        token = str(uuid.uuid4())
        taken = self._written(
            pk,
            UpdateExpression="SET marks.#name = :mark",
            ConditionExpression="attribute_not_exists(marks.#name) OR marks.#name.n < :n OR (marks.#name.n = :n AND "
            "((marks.#name.#state = :waiting AND marks.#name.not_before_ms <= :now) OR "
            "(marks.#name.#state = :claimed AND marks.#name.at_ms <= :dead)))",
            ExpressionAttributeNames={"#name": name, "#state": "state"},
            ExpressionAttributeValues={
                ":mark": _encode(mark, token),
                ":n": {"N": str(mark.n)},
                ":waiting": {"S": WAITING},
                ":claimed": {"S": CLAIMED},
                ":now": {"N": str(mark.at_ms)},
                ":dead": {"N": str(mark.at_ms - LEASE_MS)},
            },
        )
        return token if taken else None

    def _settle(self, pk: str, name: str, mark: Mark, token: str) -> bool:
        return self._written(
            pk,
            UpdateExpression="SET marks.#name = :mark",
            ConditionExpression="marks.#name.#token = :token",
            ExpressionAttributeNames={"#name": name, "#token": "token"},
            ExpressionAttributeValues={":mark": _encode(mark, token), ":token": {"S": token}},
        )

    # ---- of recipients

    def person(self, site: str, recipient: str) -> Person:
        item = self._item(_person_pk(site, recipient))
        text = {name: value["S"] for name, value in item.items() if "S" in value}
        numbers = {name: int(value["N"]) for name, value in item.items() if "N" in value}
        digest = item.get("marks", {}).get("M", {}).get(DIGEST)
        return Person(
            off_by=text.get("off_by", ""),
            off_ms=numbers.get("off_ms", 0),
            muted_until_ms=numbers.get("muted_until_ms", 0),
            muted_by=text.get("muted_by", ""),
            confirmed_ms=numbers.get("confirmed_ms", 0),
            digest=_decode(digest["M"]) if digest else None,
        )

    def unsubscribe(self, site: str, recipient: str, *, by: str, at_ms: int) -> bool:
        """Stops its notices for good; False where it was subscribed anew since, or had stopped them before."""
        return self._written(
            _person_pk(site, recipient),
            UpdateExpression="SET off_by = :by, off_ms = :at",
            ConditionExpression="attribute_not_exists(off_by) AND (attribute_not_exists(on_ms) OR on_ms < :at)",
            ExpressionAttributeValues={":by": {"S": by}, ":at": {"N": str(at_ms)}},
        )

    def subscribe(self, site: str, recipient: str, *, at_ms: int) -> None:
        """Lets it be told again; what it asked for before no longer counts."""
        self._written(
            _person_pk(site, recipient),
            UpdateExpression="SET on_ms = :at REMOVE off_by, off_ms, muted_until_ms, muted_by, confirmed_ms",
            ExpressionAttributeValues={":at": {"N": str(at_ms)}},
        )

    def mute(self, site: str, recipient: str, *, until_ms: int, by: str) -> None:
        """No notices until then; 0: as usual."""
        self._written(
            _person_pk(site, recipient),
            UpdateExpression="SET muted_until_ms = :until, muted_by = :by",
            ExpressionAttributeValues={":until": {"N": str(until_ms)}, ":by": {"S": by}},
        )

    def confirmed(self, site: str, recipient: str, *, at_ms: int) -> None:
        """Its address was seen confirmed."""
        self._written(
            _person_pk(site, recipient),
            UpdateExpression="SET confirmed_ms = if_not_exists(confirmed_ms, :at)",
            ExpressionAttributeValues={":at": {"N": str(at_ms)}},
        )

    # ---- trials

    def trial(self, id_: str) -> str | None:
        """How a trial went: "" for well, why not, None while nobody knows."""
        item = self._item(TRIAL + id_)
        return item["problem"]["S"] if item else None

    def tried(self, id_: str, problem: str) -> None:
        values: Any = {":problem": {"S": problem}}
        self._written(TRIAL + id_, UpdateExpression="SET problem = :problem", ExpressionAttributeValues=values)

    # ---- underneath

    def _item(self, pk: str) -> Mapping[str, Any]:
        return self._client.get_item(TableName=self._table, Key=_pk(pk), ConsistentRead=True).get("Item", {})

    def _scan(self, prefix: str) -> Iterator[Mapping[str, Any]]:
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._table,
            FilterExpression="begins_with(pk, :prefix)",
            ExpressionAttributeValues={":prefix": {"S": prefix}},
        )
        return (item for page in pages for item in page["Items"])

    def _written(self, pk: str, **update: Any) -> bool:
        """Whether the condition held."""
        try:
            self._client.update_item(TableName=self._table, Key=_pk(pk), **update)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True


def _pk(pk: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": pk}}


def _person_pk(site: str, recipient: str) -> str:
    return f"{PERSON}{site}/{recipient}"


def _case(case_id: str, item: Mapping[str, Any]) -> CaseNotices:
    marks = item.get("marks", {}).get("M", {})
    return CaseNotices(
        case_id,
        {_named(name): _decode(mark["M"]) for name, mark in marks.items()},
        {int(name.removeprefix(SEEN)): int(value["N"]) for name, value in item.items() if name.startswith(SEEN)},
        int(item["look_ms"]["N"]) if "look_ms" in item else None,
    )


def _named(name: str) -> tuple[str, str]:
    recipient, key = name.split("|")
    return recipient, key


def _encode(mark: Mark, token: str) -> Any:
    """What conditions look at, and the whole of it as JSON."""
    return {
        "M": {
            "n": {"N": str(mark.n)},
            "state": {"S": mark.state},
            "at_ms": {"N": str(mark.at_ms)},
            "not_before_ms": {"N": str(mark.not_before_ms)},
            "token": {"S": token},
            "doc": {"S": json.dumps(asdict(mark), separators=(",", ":"))},
        }
    }


def _decode(mark: Mapping[str, Any]) -> Mark:
    return Mark(**json.loads(mark["doc"]["S"]))
