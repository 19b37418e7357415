"""Days of the lake whose rows changed since they were last aggregated: marked by the committer, cleared by aggregation.

In the progress table, beside what else is under way:

  aggregates            `years` that ever had a mark, `unfinished` days, and how the last run went
  aggregates#2026       for each marked day of the year the number of the last commit that touched it (`2026-11-20`),
                        and when the first one did that is not aggregated yet (`since 2026-11-20`)

A mark is set once the tables have the rows, so who reads it and then the tables sees them. It is cleared only if it
still has the number that was read: what was committed meanwhile is aggregated again. A day that is aggregated before it
is over is `unfinished`: it is aggregated once more, for on that evening nothing may have come that marks it.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from telltale.adapters.lease import Lease

STATUS = "aggregates"
LEASE = "aggregate"
LEASE_MS = 16 * 60_000  # longer than the function may run (15 min), so that two never replace the same day
MARKS_AN_UPDATE = 50  # of days: the expression stays below DynamoDB's 4 KB
KEYS_A_BATCH = 100  # DynamoDB's limit
EPOCH, ONE_DAY, DAY_MS = date(1970, 1, 1), timedelta(days=1), 86_400_000


@dataclass(frozen=True)
class Change:
    """A day that waits. `number`: of the last commit that touched it; None: of none, it was aggregated too early."""

    day: str
    number: int | None
    since_ms: int


@dataclass(frozen=True)
class LastRun:
    """When the last run that ended well ended, and of one that failed since when and why."""

    ran_ms: int | None = None
    failed_ms: int | None = None
    problem: str | None = None


class ChangedDays:
    """`table` is the progress table."""

    def __init__(self, dynamodb: Any, table: str, *, now_ms: Callable[[], int]) -> None:
        self._dynamodb, self._table, self._now_ms = dynamodb, table, now_ms

    def mark(self, days: Iterable[str], number: int) -> None:
        """Days (`YYYY-MM-DD`) of which commit `number` brought rows. Doing it twice does nothing more."""
        years: dict[str, list[str]] = defaultdict(list)
        for day in sorted(set(days)):
            years[day.split("-")[0]].append(day)
        if years:  # first: a year that is not listed is not looked at
            self._update(STATUS, "ADD years :years", values={":years": {"SS": sorted(years)}})
        for year, of_year in years.items():
            for start in range(0, len(of_year), MARKS_AN_UPDATE):
                self._mark(year, of_year[start : start + MARKS_AN_UPDATE], number)

    def _mark(self, year: str, days: list[str], number: int) -> None:
        names = {f"#d{n}": day for n, day in enumerate(days)} | {f"#s{n}": _since(day) for n, day in enumerate(days)}
        sets = ", ".join(f"#d{n} = :number, #s{n} = if_not_exists(#s{n}, :now)" for n in range(len(days)))
        values = {":number": {"N": str(number)}, ":now": {"N": str(self._now_ms())}}
        self._update(_of_year(year), f"SET {sets}", names=names, values=values)

    def waiting(self) -> list[Change]:
        """The days that have to be aggregated, the latest first."""
        status = self._item(STATUS)
        changes: dict[str, Change] = {}
        today = day_of(self._now_ms())
        for day in status.get("unfinished", {}).get("SS", []):
            if day < today:
                changes[day] = Change(day, None, end_ms(day))
        for item in self._items(map(_of_year, status.get("years", {}).get("SS", []))):
            marked = [name for name in item if name[0].isdigit()]
            for day in marked:
                changes[day] = Change(day, int(item[day]["N"]), int(item[_since(day)]["N"]))
        return sorted(changes.values(), key=lambda change: change.day, reverse=True)

    def done(self, change: Change, *, started_ms: int) -> bool:
        """The day is aggregated, by what the tables held at `started_ms`; False: it changed since, and waits again."""
        unfinished = {":day": {"SS": [change.day]}}
        if change.day >= day_of(started_ms):
            self._update(STATUS, "ADD unfinished :day", values=unfinished)
        else:
            self._update(STATUS, "DELETE unfinished :day", values=unfinished)
        return change.number is None or self._clear(change, change.number, started_ms)

    def _clear(self, change: Change, number: int, started_ms: int) -> bool:
        key = _of_year(change.day.split("-")[0])
        names = {"#day": change.day, "#since": _since(change.day)}
        cleared = self._update(
            key, "REMOVE #day, #since", only="#day = :number", names=names, values={":number": {"N": str(number)}}
        )
        if not cleared:
            values = {":started": {"N": str(started_ms)}}
            self._update(key, "SET #since = :started", only="attribute_exists(#day)", names=names, values=values)
        return cleared

    # --- How it goes

    def succeeded(self) -> None:
        ran = {":now": {"N": str(self._now_ms())}}
        self._update(STATUS, "SET ran_ms = :now REMOVE failed_ms, problem", values=ran)

    def failed(self, problem: str) -> None:
        values = {":now": {"N": str(self._now_ms())}, ":problem": {"S": problem}}
        self._update(STATUS, "SET failed_ms = :now, problem = :problem", values=values)

    def last_run(self) -> LastRun:
        item = self._item(STATUS)
        times = {name: int(item[name]["N"]) for name in ("ran_ms", "failed_ms") if name in item}
        return LastRun(**times, problem=item["problem"]["S"] if "problem" in item else None)

    def alone(self, owner: str) -> Lease:
        """With it nobody else aggregates meanwhile; entering it raises Busy if somebody does."""
        return Lease(self._dynamodb, table=self._table, name=LEASE, owner=owner, lasts_ms=LEASE_MS, now_ms=self._now_ms)

    # --- The table

    def _update(
        self,
        key: str,
        expression: str,
        *,
        values: Mapping[str, Any],
        names: Mapping[str, str] | None = None,
        only: str | None = None,
    ) -> bool:
        """Change an item, if the condition `only` holds; whether it did."""
        more: dict[str, Any] = {"ConditionExpression": only} if only else {}
        if names:
            text = f"{expression} {only or ''}"
            more["ExpressionAttributeNames"] = {name: of for name, of in names.items() if name in text}
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key={"pk": {"S": key}},
                UpdateExpression=expression,
                ExpressionAttributeValues=dict(values),
                **more,
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _item(self, key: str) -> Mapping[str, Any]:
        answer = self._dynamodb.get_item(TableName=self._table, Key={"pk": {"S": key}}, ConsistentRead=True)
        return dict(answer.get("Item", {}))

    def _items(self, keys: Iterable[str]) -> Iterator[Mapping[str, Any]]:
        wanted = [{"pk": {"S": key}} for key in keys]
        while wanted:
            batch, wanted = wanted[:KEYS_A_BATCH], wanted[KEYS_A_BATCH:]
            answer = self._dynamodb.batch_get_item(RequestItems={self._table: {"Keys": batch, "ConsistentRead": True}})
            yield from answer["Responses"].get(self._table, [])
            wanted += answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])


def oldest_ms(changes: Collection[Change]) -> int | None:
    """Since when the day that waits longest waits; None where none does."""
    return min((change.since_ms for change in changes), default=None)


def day_of(t_ms: int) -> str:
    """The day of an instant, `YYYY-MM-DD`."""
    return (EPOCH + (t_ms // DAY_MS) * ONE_DAY).isoformat()


def end_ms(day: str) -> int:
    """When a day is over."""
    return ((date.fromisoformat(day) - EPOCH).days + 1) * DAY_MS


def _of_year(year: str) -> str:
    return f"{STATUS}#{year}"


def _since(day: str) -> str:
    return f"since {day}"
