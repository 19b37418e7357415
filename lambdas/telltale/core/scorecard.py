"""How good detection is, and how fast people are, by what technicians found: docs/scorecard.md has the definitions.

From rows of the lake's tables as plain values, times in milliseconds. All is counted by the month, the asset and the
rule of a case's opening; of a fault that was missed, of the time when it was found.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from itertools import groupby
from math import inf
from operator import itemgetter
from statistics import median
from typing import Any

from telltale.core.backtest import truth_of
from telltale.core.cases import OVER, REPAIRS
from telltale.core.missed import is_missed
from telltale.core.state import ID_PREFIX

HOUR_MS = 3_600_000
BY = ("asset", "rule", "month", "site")
NO_RULE = "none"  # of a fault that no rule saw
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Story:
    """One case, from its opening to what was found. Times in ms; None: it did not come to that.

    truth : true, false, undetermined, or open while nobody said.   repaired : it was closed as repaired.
    confirmed : the rows after the repair say so too.   reopened : how often it was opened again.
    """

    case_id: str
    position: str
    rule: str
    opened_ms: int
    acknowledged_ms: int | None = None
    closed_ms: int | None = None
    truth: str = "open"
    repaired: bool = False
    confirmed: bool = False
    reopened: int = 0


@dataclass(frozen=True)
class Missed:
    """A fault without a case, and when it was found."""

    position: str
    at_ms: int


@dataclass(frozen=True)
class Figures:
    """What some cases come to. false_percent : of those of which is known whether they were true.   found_percent :
    of the faults that are known.   Times are medians, in hours, None where there is none.
    """

    cases: int
    open: int
    true: int
    false: int
    undetermined: int
    missed: int
    false_percent: float | None
    found_percent: float | None
    confirmed: int
    reopened: int
    lead_h: float | None
    acknowledge_h: float | None
    repair_h: float | None


COLUMNS = tuple(field.name for field in fields(Figures))


def stories(changes: Iterable[Row], orders: Iterable[Row] = ()) -> list[Story]:
    """The cases that Telltale opened, by opening. changes : of `cases`.   orders : of `work_orders`."""
    of_case = _by_case(row for row in changes if row["case_id"].startswith(ID_PREFIX))
    order_of = _by_case(orders)
    found = [_story(case_id, rows, order_of.get(case_id, [])) for case_id, rows in of_case.items()]
    return sorted(found, key=lambda one: (one.opened_ms, one.case_id))


def missed(labels: Iterable[Row], found: Sequence[Story], watched: Mapping[str, tuple[int, int]]) -> list[Missed]:
    """Faults without a case: those that people told of, and those of imported labels from a time when Telltale watched.

    labels : of `labels`.   watched : position → first and last time at which it was judged.   A fault counts as found
    where a case of its asset was open at any time from its beginning to its end.
    """
    latest = {rows[-1]["case_id"]: rows[-1] for rows in _by_case(labels, "t").values()}
    told = [row for row in latest.values() if is_missed(row["case_id"], row)]
    imported = [row for row in latest.values() if _is_imported(row) and _was_watched(row, watched)]
    unseen = [row for row in [*told, *imported] if not any(_is_of(story, row) for story in found)]
    return sorted((Missed(row["position"], row["opened_at"]) for row in unseen), key=lambda one: one.at_ms)


def figures(found: Sequence[Story], unseen: Sequence[Missed] = ()) -> Figures:
    """All of them together."""
    truths = [one.truth for one in found]
    true, false = truths.count("true"), truths.count("false")
    return Figures(
        cases=len(found),
        open=truths.count("open"),
        true=true,
        false=false,
        undetermined=truths.count("undetermined"),
        missed=len(unseen),
        false_percent=_percent(false, true + false),
        found_percent=_percent(true, true + len(unseen)),
        confirmed=sum(one.confirmed for one in found),
        reopened=sum(one.reopened > 0 for one in found),
        lead_h=_hours([(one.opened_ms, one.closed_ms) for one in found if one.truth == "true"]),
        acknowledge_h=_hours([(one.opened_ms, one.acknowledged_ms) for one in found]),
        repair_h=_hours([(one.acknowledged_ms, one.closed_ms) for one in found if one.repaired]),
    )


def scorecard(
    found: Sequence[Story],
    unseen: Sequence[Missed] = (),
    *,
    by: str = "site",
    from_ms: float = -inf,
    to_ms: float = inf,
) -> dict[str, Figures]:
    """Figures by key, in the keys' order. by : one of BY."""
    key = KEYS[by]
    cases = [one for one in found if from_ms <= one.opened_ms < to_ms]
    faults = [one for one in unseen if from_ms <= one.at_ms < to_ms]
    names = sorted({*map(key, cases), *map(key, faults)})
    return {
        name: figures([one for one in cases if key(one) == name], [one for one in faults if key(one) == name])
        for name in names
    }


def month(t_ms: int) -> str:
    """Such as 2026-11, in UTC."""
    return f"{datetime.fromtimestamp(t_ms / 1000, UTC):%Y-%m}"


KEYS: Mapping[str, Callable[[Story | Missed], str]] = {
    "asset": lambda one: one.position.rsplit("/", 1)[0],
    "rule": lambda one: one.rule if isinstance(one, Story) else NO_RULE,
    "month": lambda one: month(one.opened_ms if isinstance(one, Story) else one.at_ms),
    "site": lambda one: one.position.split("/")[0],
}


def _by_case(rows: Iterable[Row], order: str = "revision") -> dict[str, list[Row]]:
    """The rows of each case, each change once, in this order."""
    once = {(row["case_id"], row[order]): row for row in rows}
    ordered = sorted(once.items(), key=itemgetter(0))
    return {case_id: [row for _, row in some] for case_id, some in groupby(ordered, key=lambda item: item[0][0])}


def _story(case_id: str, rows: Sequence[Row], orders: Sequence[Row]) -> Story:
    first = rows[0]
    over = rows[-1]["change"] in OVER
    closings = [row for row in rows if row["change"] in ("resolved", "labelled")]
    closure = closings[-1] if over and closings else None
    taken_up = [row["t"] for row in rows if row["change"] == "acknowledged"]
    taken_up += [_changed(row) for row in orders if row.get("status") == "IN_PROGRESS"]
    return Story(
        case_id=case_id,
        position=first["position"],
        rule=first.get("rule") or NO_RULE,
        opened_ms=first["opened_at"],
        acknowledged_ms=min(taken_up, default=None),
        closed_ms=max((row["t"] for row in rows if row["change"] == "resolved"), default=None) if over else None,
        truth="open" if closure is None else _truth(closure, orders),
        repaired=closure is not None and _is_repair(closure),
        confirmed=any(row["change"] == "confirmed" for row in rows) and over,
        reopened=sum(row["change"] == "reopened" for row in rows),
    )


def _truth(closure: Row, orders: Sequence[Row]) -> str:
    """By the codes; a cancelled order of which nobody could tell was called off, and is a false alarm."""
    truth = truth_of({name: code for name in ("failure_mode",) if (code := closure.get(name))})
    cancelled = bool(orders) and orders[-1].get("status") == "CANCELLED"
    return "false" if truth == "undetermined" and cancelled else truth


def _is_repair(closure: Row) -> bool:
    return closure.get("action_taken") in REPAIRS and closure.get("failure_mode") != "NO_ISSUE"


def _changed(order: Row) -> int:
    """When the order changed, by the maintenance system's word where it gives one."""
    changed: int | None = order.get("changed_at")
    return int(order["t"]) if changed is None else changed


def _is_imported(label: Row) -> bool:
    return label["case_id"].startswith(("lookout-", "monitron-")) and label.get("failure_mode") != "NO_ISSUE"


def _was_watched(label: Row, watched: Mapping[str, tuple[int, int]]) -> bool:
    asset = _asset(label["position"])
    spans = [span for position, span in watched.items() if _asset(position) == asset]
    return any(first <= label["opened_at"] and label["t"] <= last for first, last in spans)


def _is_of(story: Story, label: Row) -> bool:
    """The case was open while the fault was there, or when it was found."""
    begin, end = label["opened_at"], label["t"] if _is_imported(label) else label["opened_at"]
    closed = inf if story.closed_ms is None else story.closed_ms
    return _asset(story.position) == _asset(label["position"]) and story.opened_ms <= end and begin <= closed


def _asset(position: str) -> str:
    return position.rsplit("/", 1)[0]


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 1) if whole else None


def _hours(spans: Iterable[tuple[int | None, int | None]]) -> float | None:
    known = [(end - begin) / HOUR_MS for begin, end in spans if begin is not None and end is not None]
    return round(median(known), 1) if known else None
