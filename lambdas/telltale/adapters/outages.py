"""How the maintenance system of each site is: while it does not answer, one case asks for all.

An item `system#<site>` of the ledger's table. Without it a system that is down for a day is asked by each case on its
own, less and less often, and is back for up to an hour before the last one notices. With it the sweep tries one case a
time, and the first that gets through lets all others go.

An outage begins when credentials or rights are refused, when MOST_FAILING cases have failed and none has got through,
or when one has failed TRIES times and nobody got through meanwhile. A case that alone fails again and again, for a
reason of its own, waits on its own. A system that says when to come back is left alone until then: that is no outage.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from telltale.adapters.cmms.port import CmmsBusy, CmmsDenied
from telltale.core.errors import RetryLater

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MOST_FAILING = 5  # cases (guess: with one error in twenty, five in a row are one in three million)
TRIES = 3
DENIED_MS = 5 * 60_000  # between tries with credentials that were refused, lest the account is locked (guess)
LONGEST_WAIT_MS = 6 * 3_600_000  # what a system may ask for with Retry-After
HEARD_MS = 60_000  # how exactly it is known when a system last answered
SAID = 500  # characters of what it said that are kept
PATIENCE_S = 10.0  # that one message waits for tokens before it comes again later (guess)
RACED_S = 0.01  # another took the token that was seen


@dataclass(frozen=True)
class Outage:
    """What is known of a site's maintenance system.

    since_ms : when it stopped answering; 0 while it answers.   until_ms : nobody asks before then, outage or not.
    why : what it said.   denied : it refuses our credentials or rights.   told : a person knows that.
    failing : the cases that failed since one got through.   heard_ms : when one last did, to HEARD_MS.
    back_ms : when the last outage ended.
    """

    since_ms: int = 0
    until_ms: int = 0
    why: str = ""
    denied: bool = False
    told: bool = False
    failing: frozenset[str] = frozenset()
    heard_ms: int = 0
    back_ms: int = 0

    @property
    def lasts(self) -> bool:
        return self.since_ms > 0

    def holds(self, now_ms: int) -> bool:
        """Nobody asks the system but the sweep, or nobody at all before until_ms."""
        return self.lasts or now_ms < self.until_ms

    def wait_s(self, now_ms: int) -> float:
        return max(0, self.until_ms - now_ms) / 1000


class NoCallsLeft(CmmsBusy):
    """The site's calls of this minute are used up. It says nothing of the system."""


class Outages:
    """The items of all sites."""

    def __init__(self, client: "DynamoDBClient", table: str, now_ms: Callable[[], int]) -> None:
        self._client, self._table, self._now_ms = client, table, now_ms

    def of(self, site: str) -> Outage:
        key = {"pk": {"S": _key(site)}}
        return _outage(self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item", {}))

    def failed(self, site: str, case_id: str, later: RetryLater, *, tries: int, failing_ms: int) -> Outage:
        """A case did not get through, for the tries-th time since failing_ms. How the system is thought to be now.

        Only CmmsBusy and CmmsDenied tell of the system; what else may pass is that one order's own.
        """
        denied, after_s = isinstance(later, CmmsDenied), later.after_s if isinstance(later, CmmsBusy) else None
        if isinstance(later, NoCallsLeft) or not (denied or isinstance(later, CmmsBusy)):
            return Outage()
        known = _outage(self._update(site, "ADD failing :case", {":case": {"SS": [case_id]}}))
        alone = tries >= TRIES and failing_ms > known.heard_ms + HEARD_MS
        begins = known.lasts or denied or alone or len(known.failing) >= MOST_FAILING
        if not begins and not after_s:
            return known
        now = self._now_ms()
        wait_ms = min(round((after_s or 0) * 1000), LONGEST_WAIT_MS)
        update = "SET until_ms = :until, why = :why, denied = :denied"
        values: dict[str, Any] = {
            ":until": {"N": str(now + max(wait_ms, DENIED_MS if denied else 0))},
            ":why": {"S": str(later)[:SAID]},
            ":denied": {"BOOL": denied},
        }
        if begins:
            update += ", since_ms = if_not_exists(since_ms, :now)"
            values[":now"] = {"N": str(now)}
        return _outage(self._update(site, update, values))

    def told(self, site: str) -> None:
        """A person knows of the outage, and need not be told again while it lasts."""
        self._update(site, "SET told = :yes", {":yes": {"BOOL": True}})

    def hurry(self, site: str) -> None:
        """Lets the next sweep try, for a person who knows that the system is back."""
        self._update(site, "SET until_ms = :zero", {":zero": {"N": "0"}})

    def got_through(self, site: str, before: Outage) -> None:
        """A case got through. `before` : how the system was when it set out; what that tells already is not written."""
        now = self._now_ms()
        if not before.lasts and not before.failing and now - before.heard_ms < HEARD_MS:
            return
        update = "SET heard_ms = :now" + (", back_ms = :now" if before.lasts else "")
        self._update(site, f"{update} REMOVE since_ms, until_ms, why, denied, told, failing", {":now": {"N": str(now)}})

    def _update(self, site: str, update: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = self._client.update_item(
            TableName=self._table,
            Key={"pk": {"S": _key(site)}},
            UpdateExpression=update,
            ExpressionAttributeValues=values,
            ReturnValues="ALL_NEW",
        )
        return answer["Attributes"]


def _key(site: str) -> str:
    return f"system#{site}"


def _outage(item: Mapping[str, Any]) -> Outage:
    since_ms, until_ms, heard_ms, back_ms = (
        int(item.get(name, {}).get("N", 0)) for name in ("since_ms", "until_ms", "heard_ms", "back_ms")
    )
    denied, told = (bool(item.get(name, {}).get("BOOL")) for name in ("denied", "told"))
    why, failing = str(item.get("why", {}).get("S", "")), frozenset(item.get("failing", {}).get("SS", ()))
    return Outage(since_ms, until_ms, why, denied, told, failing, heard_ms, back_ms)


class Calls:
    """Calls to each site's maintenance system, no more than it allows a minute: a bucket of tokens in the ledger.

    A fifth of a minute's calls may come at once, the others evenly spread, so that no minute, wherever it begins, has
    more than are allowed.
    """

    def __init__(
        self, client: "DynamoDBClient", table: str, now_ms: Callable[[], int], sleep: Callable[[float], None]
    ) -> None:
        self._client, self._table, self._now_ms, self._sleep = client, table, now_ms, sleep
        self._slept_s = 0.0

    def spend(self, site: str, calls_per_minute: int) -> None:
        """Waits for a token. Raises NoCallsLeft when that would take too long."""
        at_once = max(1, calls_per_minute // 5)
        step_ms = 60_000 / max(1, calls_per_minute - at_once)
        while True:
            wait_s = self._take(site, step_ms, at_once)
            if wait_s <= 0:
                return
            if self._slept_s + wait_s > PATIENCE_S:
                raise NoCallsLeft(f"site {site}: its {calls_per_minute} calls a minute are used up", max(wait_s, 1.0))
            self._slept_s += wait_s
            self._sleep(wait_s)

    def _take(self, site: str, step_ms: float, at_once: int) -> float:
        """0 with a token, else how many seconds it is until there is one.

        `full_ms` is when the bucket will be full again: each call moves it a step on from then, or from now.
        """
        now, key = self._now_ms(), {"pk": {"S": f"calls#{site}"}}
        item = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item", {})
        full_ms = int(item["full_ms"]["N"]) if "full_ms" in item else 0
        wait_ms = full_ms - now - step_ms * (at_once - 1)
        if wait_ms > 0:
            return wait_ms / 1000
        try:
            self._client.update_item(
                TableName=self._table,
                Key=key,
                UpdateExpression="SET full_ms = :next",
                ConditionExpression="attribute_not_exists(full_ms) OR full_ms = :seen",
                ExpressionAttributeValues={
                    ":next": {"N": str(round(max(full_ms, now) + step_ms))},
                    ":seen": {"N": str(full_ms)},
                },
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return RACED_S
        return 0.0
