"""Which cases share a work order, and when they part: several places of one machine, and floods.

A fault is often felt at several places of its machine, and a power cut at all machines of a site. An order for each
would bury the one that matters. The first case keeps its order and becomes the parent; the others join it as children,
are listed in its order, and have none of their own while it stands. Nothing is lost: a child whose parent is over, and
that still alerts, stands alone and gets its order.
"""

from collections.abc import Mapping
from dataclasses import dataclass

# Cases of one machine that open within this time of each other are taken for one fault. A guess: 4 of 6 hourly rows
# take four hours at each place, and a day is what people plan in.
TOGETHER_MS = 24 * 3_600_000
# More alarms than ten in ten minutes are more than one operator can take in (ISA-18.2 and EEMUA 191 call it a flood).
FLOOD, FLOOD_MS = 10, 10 * 60_000
REMEMBERED_MS = 30 * 86_400_000  # how long an opening is remembered, to decide again and find the same (guess)
# Rows that a child has, after its parent is over, to show whether it was the same fault: what persistence looks at.
ROWS_TO_CLEAR = 6
LEAST_TO_CLEAR_MS = 15 * 60_000  # and at least this, however short the interval


def together(opened_ms: int, other_ms: int) -> bool:
    """Cases that opened at these times may be one fault."""
    return abs(opened_ms - other_ms) <= TOGETHER_MS


@dataclass(frozen=True)
class Opening:
    """A case of a site: when it opened, and when somebody first looked at it to make its order."""

    opened_ms: int
    wanted_ms: int


def window(opened_ms: int) -> int:
    """Number of the FLOOD_MS that a time is in."""
    return opened_ms // FLOOD_MS


def in_flood(case_id: str, here: Mapping[str, Opening], before: Mapping[str, Opening]) -> bool:
    """FLOOD cases or more that were looked at before this one opened with it: in its window, whatever the order of the
    looks, or within FLOOD_MS before it.

    here, before : the openings known in its window, itself among them, and in the window before. It says the same
    however often it is asked, for those that are looked at later do not count. When a case opened decides, and not when
    it is looked at: after a day without the maintenance system all are looked at at once, and are no flood for that.
    """
    mine = here[case_id]
    turn = mine.wanted_ms, case_id
    sooner = {one: it for one, it in [*here.items(), *before.items()] if (it.wanted_ms, one) < turn}
    together_here = sum(one in here for one in sooner)
    just_before = sum(mine.opened_ms - FLOOD_MS < it.opened_ms <= mine.opened_ms for it in sooner.values())
    return max(together_here, just_before) >= FLOOD


def time_to_clear_ms(interval_s: float) -> int:
    """How long a child is watched after its parent is over, before it is asked whether it still alerts."""
    return max(round(ROWS_TO_CLEAR * interval_s * 1000), LEAST_TO_CLEAR_MS)


def closure_of_child(parent_id: str, closure: Mapping[str, str]) -> dict[str, str]:
    """How a child ends that went quiet with its parent. Nothing was done at its place, so what is normal stays learned.

    What was no issue at the parent was none here, what nobody could tell nobody can; all else was felt here from there.
    """
    mode = closure.get("failure_mode", "UNDETERMINED")
    return {
        "failure_mode": mode if mode in ("NO_ISSUE", "UNDETERMINED") else "TRANSMITTED_FAULT",
        "failure_cause": closure.get("failure_cause", "UNDETERMINED"),
        "action_taken": "NO_ACTION",
        "note": f"went quiet with {parent_id}, {mode}",
    }


def why_together(position: str, opened_ms: int, parent_position: str, parent_opened_ms: int) -> str:
    """Why a case joins another, in words."""
    if position.rsplit("/", 1)[0] != parent_position.rsplit("/", 1)[0]:
        site = position.split("/")[0]
        return f"more than {FLOOD} cases of {site} within {FLOOD_MS // 60_000} minutes share one order"
    hours = (opened_ms - parent_opened_ms) / 3_600_000
    when = f"{abs(hours):.1f} h {'before' if hours >= 0 else 'after'} it"
    return f"the same machine warned at {parent_position.rsplit('/', 1)[1]}, {when}"
