"""Who leads: which case's order names which others, as core.grouping decides it, agreed on in the ledger.

Two cases may open at once, and two workers look at them at once. So a case leads at its asset, or of its site's flood,
only by one conditional write, and whoever comes second finds the first. The rest is read anew at each look: a case that
is over, shelved, refused or itself a child no longer leads, and the next one to look takes its place.
"""

from collections.abc import Callable

from telltale.adapters.cases import Case, Cases
from telltale.adapters.ledger import Ledger, Stage
from telltale.core.cases import is_over
from telltale.core.grouping import in_flood, together, window


class Groups:
    """Cases and the ledger, as one worker sees them."""

    def __init__(self, cases: Cases, ledger: Ledger, now_ms: Callable[[], int]) -> None:
        self._cases = cases
        self._ledger = ledger
        self._now_ms = now_ms

    def parent_of(self, case: Case) -> Case | None:
        """The case that this one joins, which has no order yet; None: it leads, and gets its own."""
        leader = self._leader(f"asset#{case.asset}", case)
        if leader is not None:
            return leader
        return self._leader(f"site#{case.site}", case) if self._in_flood(case) else None

    def leads(self, one: Case, case: Case) -> bool:
        """Whether `one` has an order, or will, that may name `case`: not of the same position, for there it is over."""
        change = one.change
        if is_over(change) or one.position == case.position or self._shelved(one):
            return False
        entry = self._ledger.get(change.case_id)
        out = entry is not None and (entry.parent != "" or entry.stage is Stage.REFUSED)
        return not out and together(change.opened_ms, case.change.opened_ms)

    def children(self, case: Case) -> list[Case]:
        """The open cases that have joined this one and are not shelved, the first one first."""
        entries = self._ledger.entries(self._ledger.children(case.change.case_id))
        found = [
            child
            for case_id, entry in entries.items()
            if entry.parent == case.change.case_id
            if (child := self._cases.get(case_id)) is not None and not is_over(child.change)
            if not self._shelved(child)
        ]
        return sorted(found, key=lambda child: (child.change.opened_ms, child.change.case_id))

    def _in_flood(self, case: Case) -> bool:
        change = case.change
        number = window(change.opened_ms)
        here = self._ledger.wanted(case.site, number, change.case_id, change.opened_ms)
        return in_flood(change.case_id, here, self._ledger.openings(case.site, number - 1))

    def _leader(self, scope: str, case: Case) -> Case | None:
        """Who leads in the scope, if it is another one; from now on it is this case otherwise."""
        while True:
            leader = self._ledger.leader(scope)
            if leader == case.change.case_id:
                return None
            found = self._cases.get(leader) if leader else None
            if found is not None and self.leads(found, case):
                return found
            if self._ledger.lead(scope, case.change.case_id, instead_of=leader):
                return None

    def _shelved(self, case: Case) -> bool:
        shelf = self._ledger.shelf(case.position)
        ends_ms = max(case.change.until_ms or 0, shelf.until_ms if shelf else 0)
        return ends_ms > self._now_ms()
