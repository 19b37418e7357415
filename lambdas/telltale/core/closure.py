"""Closure codes: what was found, why it happened, what was done. Amazon Monitron's three lists, kept to the
letter, so that its users' habits, labels and exports carry over (Monitron user guide, "data export schema v2").
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

FAILURE_MODES = (
    "NO_ISSUE", "BLOCKAGE", "CAVITATION", "CORROSION", "DEPOSIT", "IMBALANCE", "LUBRICATION", "MISALIGNMENT", "OTHER",
    "RESONANCE", "ROTATING_LOOSENESS", "STRUCTURAL_LOOSENESS", "TRANSMITTED_FAULT", "UNDETERMINED",
)  # fmt: skip
FAILURE_CAUSES = (
    "ADMINISTRATION", "DESIGN", "FABRICATION", "MAINTENANCE", "OPERATION", "OTHER", "QUALITY", "UNDETERMINED", "WEAR",
)  # fmt: skip
ACTIONS_TAKEN = ("ADJUST", "CLEAN", "LUBRICATE", "MODIFY", "NO_ACTION", "OTHER", "OVERHAUL", "REPLACE")

LISTS: Mapping[str, Sequence[str]] = {
    "failure_mode": FAILURE_MODES,
    "failure_cause": FAILURE_CAUSES,
    "action_taken": ACTIONS_TAKEN,
}


class UnknownCode(ValueError):
    """A closure code that is not on its list; the message names the valid ones."""

    def __init__(self, name: str, given: str) -> None:
        self.given, self.valid = given, LISTS[name]
        super().__init__(f"{name} {given!r} is not one of {', '.join(self.valid)}")


@dataclass(frozen=True)
class Closure:
    """How a case ended. The label that detection is measured by."""

    failure_mode: str
    failure_cause: str
    action_taken: str
    note: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def closure(*, failure_mode: str, failure_cause: str, action_taken: str, note: str = "") -> Closure:
    """A checked Closure; codes may be written in any case, with `-` or spaces. Raises UnknownCode."""
    return Closure(
        _code("failure_mode", failure_mode),
        _code("failure_cause", failure_cause),
        _code("action_taken", action_taken),
        note.strip(),
    )


def closure_from(raw: Mapping[str, object] | None, *, cancelled: bool = False) -> Closure:
    """The closure a maintenance system reported, as far as it can be used.

    A code that is missing or not on its list becomes UNDETERMINED (action: OTHER, or NO_ACTION when the order
    was cancelled), and what was written instead is kept in the note: a label is never guessed, and never lost.
    """
    raw = raw or {}
    unknown = {"failure_mode": "UNDETERMINED", "failure_cause": "UNDETERMINED"}
    unknown["action_taken"] = "NO_ACTION" if cancelled else "OTHER"
    codes, kept = {}, [str(raw.get("note") or "").strip()]
    for name in LISTS:
        given = str(raw.get(name) or "").strip()
        try:
            codes[name] = _code(name, given)
        except UnknownCode:
            codes[name] = unknown[name]
            kept.append(f"{name} given as {given!r}" if given else "")
    return Closure(**codes, note="; ".join(filter(None, kept)))


def _code(name: str, given: str) -> str:
    code = given.strip().upper().replace("-", "_").replace(" ", "_")
    if code not in LISTS[name]:
        raise UnknownCode(name, given)
    return code
