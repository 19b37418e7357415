"""A fault that nobody was warned of: told by a person, kept as a label of a case that was never opened.

It is what detection's misses are known by, since detection itself cannot know them.
"""

import hashlib
from collections.abc import Mapping

KIND = "missed"  # of the act that tells of one, or takes it back
PREFIX = "missed-"


def missed_id(position: str, at_ms: int) -> str:
    """The same for the same fault, however often it is told."""
    return PREFIX + hashlib.sha256(f"{position}|{at_ms}".encode()).hexdigest()[:20]


def is_missed(case_id: str, closure: Mapping[str, object]) -> bool:
    """The label is of a fault that was missed, and was not taken back, which is what NO_ISSUE says of one."""
    return case_id.startswith(PREFIX) and closure.get("failure_mode") != "NO_ISSUE"
