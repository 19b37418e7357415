"""What becomes of a work order, change by change: the rows of the table `work_orders`.

Whoever looks at an order sees it as it is now. A change is what differs from what was told last, under a number that
counts up, so that it is stored once however often it is told.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

KIND = "order"  # what the records on the stream are called
CREATED, STATUS, REOPENED, UPDATED, REFUSED = "created", "status", "reopened", "updated", "refused"
CHANGES = (CREATED, STATUS, REOPENED, UPDATED, REFUSED)
FINAL = ("DONE", "CANCELLED")  # statuses after which an order that is open has been opened again


@dataclass(frozen=True)
class OrderSeen:
    """An order as somebody found it. `status` is one of five (adapters/cmms/port.py), `raw_status` the system's own.

    ref : the system's name for it; "" where it refused to make one.   changed_ms : when its status last changed, as the
    system says.   problem : why the system refused what it was asked for last; "" if it did not.
    """

    case_id: str
    cmms: str
    ref: str = ""
    status: str = ""
    raw_status: str = ""
    changed_ms: int | None = None
    title: str = ""
    severity: str = ""
    asset: str = ""
    by: str | None = None
    closure: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True)
class OrderChange:
    """A change of an order: what it is since, what changed, and when that was seen. `revision` counts them, from 1."""

    revision: int
    change: str
    t_ms: int
    seen: OrderSeen


def next_change(before: OrderChange | None, seen: OrderSeen, *, t_ms: int) -> OrderChange | None:
    """The change that has to be told; None: nothing differs from what was told last."""
    last = before.seen if before else OrderSeen(seen.case_id, seen.cmms)
    change = _what(last, seen)
    if change is None:
        return None
    return OrderChange(before.revision + 1 if before else 1, change, t_ms, seen)


def _what(last: OrderSeen, seen: OrderSeen) -> str | None:
    """Of several differences, the one that people ask for first. `changed_ms` alone is none."""
    if seen.ref != last.ref and seen.ref:
        return CREATED
    if last.status in FINAL and seen.status not in FINAL:
        return REOPENED
    if (seen.status, seen.raw_status, seen.by, dict(seen.closure)) != (
        last.status,
        last.raw_status,
        last.by,
        dict(last.closure),
    ):
        return STATUS
    if seen.problem and seen.problem != last.problem:
        return REFUSED
    return UPDATED if replace(seen, changed_ms=last.changed_ms) != last else None


def as_document(change: OrderChange) -> dict[str, Any]:
    """The change as flat JSON values, without what is not known."""
    plain = {"revision": change.revision, "change": change.change, "t_ms": change.t_ms, **vars(change.seen)}
    return {name: value for name, value in plain.items() if value not in (None, "", {})}


def from_document(document: Mapping[str, Any]) -> OrderChange:
    """What `as_document` made."""
    known = dict(document)
    revision, change, t_ms = (known.pop(name) for name in ("revision", "change", "t_ms"))
    return OrderChange(revision, change, t_ms, OrderSeen(**known))
