"""Which cases share a work order, and when they part: several places of one machine, and floods.

A fault is often felt at several places of its machine, and a power cut at all machines of a site. An order for each
would bury the one that matters. The first case keeps its order and becomes the parent; the others join it as children,
are listed in its order, and have none of their own while it stands. Nothing is lost: a child whose parent is over, and
that still alerts, stands alone and gets its order.
"""

from collections.abc import Mapping

# Cases of one machine that open within this time of each other are taken for one fault. A guess: 4 of 6 hourly rows
# take four hours at each place, and a day is what people plan in.
TOGETHER_MS = 24 * 3_600_000
# More alarms than ten in ten minutes are more than one operator can take in (ISA-18.2 and EEMUA 191 call it a flood).
FLOOD, FLOOD_MS = 10, 10 * 60_000
REMEMBERED_MS = 3_600_000  # how long an opening is remembered; long enough to decide again and find the same
# Rows that a child has, after its parent is over, to show whether it was the same fault: what persistence looks at.
ROWS_TO_CLEAR = 6
LEAST_TO_CLEAR_MS = 15 * 60_000  # and at least this, however short the interval


def together(opened_ms: int, other_ms: int) -> bool:
    """Cases that opened at these times may be one fault."""
    return abs(opened_ms - other_ms) <= TOGETHER_MS


def with_opening(openings: Mapping[str, int], case_id: str, now_ms: int) -> dict[str, int]:
    """When each case of a site first wanted an order, with this one; what is long ago is forgotten. Again: the same."""
    known = {one: t_ms for one, t_ms in openings.items() if t_ms > now_ms - REMEMBERED_MS}
    return {case_id: now_ms} | known


def in_flood(openings: Mapping[str, int], case_id: str) -> bool:
    """More than FLOOD cases wanted an order within FLOOD_MS, this one being the last of them.

    It looks back only, so that it says the same however often and late it is asked.
    """
    mine = openings[case_id], case_id
    before = sum((t_ms, one) <= mine and t_ms > mine[0] - FLOOD_MS for one, t_ms in openings.items())
    return before > FLOOD


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
