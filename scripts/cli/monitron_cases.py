"""Monitron's changes of state as cases of ours, and its closure codes as labels.

A case begins where a position leaves HEALTHY for WARNING or ALARM, and ends where it is HEALTHY again. What history
begins in the middle of becomes a case that opens with its first known change, and says so.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from telltale.core.closure import LISTS, closure_from

ID_PREFIX = "monitron-"  # of cases: those of the line have another
COLUMNS = (
    *("event_id", "position", "site", "t", "transition", "new_state", "previous_state"),
    *("failure_mode", "failure_cause", "action_taken", "resolved_models"),
)
ALERTS = ("WARNING", "ALARM")
SAME = {"WORKING": "HEALTHY"}  # as a sample of SAP's has it
STATES = frozenset({"UNKNOWN", "HEALTHY", "NEEDS_MAINTENANCE", *ALERTS})

Row = dict[str, Any]


@dataclass(frozen=True)
class Made:
    """Rows of `cases` and `labels`, times in milliseconds; of each label the number of the row that resolved it."""

    cases: Sequence[Row] = ()
    labels: Sequence[tuple[int, Row]] = ()
    strange: Mapping[str, int] = field(default_factory=dict)  # states that are none of Monitron's → how often


@dataclass
class _Case:
    id: str
    opened_ms: int
    severity: str
    revision: int = 0


def made(changes: Iterable[Mapping[str, Any]]) -> Made:
    """Cases and labels of all changes of state that are known, in any order, each once or more."""
    once = {(row["position"], row["t"], row["event_id"]): row for row in changes}
    ordered = [once[key] for key in sorted(once)]
    cases: list[Row] = []
    labels: list[tuple[int, Row]] = []
    strange: dict[str, int] = {}
    for _, of_position in groupby(ordered, key=lambda row: row["position"]):
        for case, label in _followed(of_position, strange):
            cases.append(case)
            if label is not None:
                labels.append((len(cases) - 1, label))
    return Made(cases, labels, strange)


def _followed(changes: Iterable[Mapping[str, Any]], strange: dict[str, int]) -> Iterator[tuple[Row, Row | None]]:
    """Of one position, in order: each change of a case, with the label that it left."""
    case: _Case | None = None
    for change in changes:
        state, before = _state(change["new_state"], strange), _state(change["previous_state"], strange)
        begins_here = before in (*ALERTS, "NEEDS_MAINTENANCE") or any(change[name] for name in LISTS)
        if case is None and (state in ALERTS or state == "NEEDS_MAINTENANCE" or (state == "HEALTHY" and begins_here)):
            known = [one for one in (state, before) if one in ALERTS]
            case = _Case(_id(change), change["t"], known[0] if known else "WARNING")
            late = before in (*ALERTS, "NEEDS_MAINTENANCE") or state not in ALERTS
        else:
            late = False
        if case is None or state == "UNKNOWN":
            continue
        case.revision += 1
        if state == "ALARM":
            case.severity = "ALARM"
        row = _row(case, change, state, late=late)
        yield row, _label(case, change) if row["change"] == "resolved" else None
        if state == "HEALTHY":
            case = None


def _state(said: str | None, strange: dict[str, int]) -> str:
    state = SAME.get(said or "UNKNOWN", said or "UNKNOWN")
    if state in STATES:
        return state
    strange[state] = strange.get(state, 0) + 1
    return "UNKNOWN"


def _id(change: Mapping[str, Any]) -> str:
    named = f"{change['position']}|{change['event_id']}"
    return ID_PREFIX + hashlib.blake2b(named.encode(), digest_size=10).hexdigest()


def _row(case: _Case, change: Mapping[str, Any], state: str, *, late: bool) -> Row:
    kinds = {"HEALTHY": "resolved", "NEEDS_MAINTENANCE": "acknowledged"}
    kind = kinds.get(state, "opened" if case.revision == 1 else "updated")
    by_person = change["transition"] == "userInput"
    said = f"Monitron said {change['new_state']} after {change['previous_state'] or 'nothing'}"
    begun = "; opened before what was imported begins" if late else ""
    closing = kind == "resolved" and any(change[name] for name in LISTS)
    codes = closure_from({name: change[name] for name in LISTS}).as_dict() if closing else {}
    return {
        "case_id": case.id,
        "revision": case.revision,
        "change": kind,
        "position": change["position"],
        "site": change["site"],
        "t": change["t"],
        "opened_at": case.opened_ms,
        "severity": case.severity,
        "state": state,
        "rule": "monitron",
        "reason": f"{said}{begun}",
        "evidence": json.dumps(_evidence(change), separators=(",", ":")),
        **{name: codes.get(name) for name in LISTS},
        "by": "somebody, in Monitron" if by_person else "monitron",
    }


def _evidence(change: Mapping[str, Any]) -> Row:
    resolved = change["resolved_models"]
    return {"event_id": change["event_id"], **({"resolved_models": json.loads(resolved)} if resolved else {})}


def _label(case: _Case, change: Mapping[str, Any]) -> Row | None:
    """What was found; None where Monitron had no closure codes: a label is never guessed."""
    if not any(change[name] for name in LISTS):
        return None
    codes = closure_from({name: change[name] for name in LISTS})
    return {
        "case_id": case.id,
        "position": change["position"],
        "site": change["site"],
        "t": change["t"],
        "opened_at": case.opened_ms,
        "failure_mode": codes.failure_mode,
        "failure_cause": codes.failure_cause,
        "action_taken": codes.action_taken,
        "by": "somebody, in Monitron",
        "note": codes.note,
    }
