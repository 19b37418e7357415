"""One case in the hands of a worker: what is known of its order, and what the lake was told of it."""

import json
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from telltale.adapters.cases import Case
from telltale.adapters.cmms.port import Order, OrderRequest
from telltale.adapters.ledger import Entry, Ledger
from telltale.core.orders import OrderChange, OrderSeen, as_document, from_document, next_change
from telltale.core.plant import Site
from telltale.core.replies import Reply

UNKNOWN = "unknown"  # the maintenance system of a site that is not in the registry
CLOSURE = ("failure_mode", "failure_cause", "action_taken", "note")  # what the lake keeps of one


class Job:
    """The case as read, and its entry: as last written, and as it is to be.

    site, cmms : the case's site and the name of its maintenance system, once they are known.   heard : the system has
    answered.   shows : what the order is known to show.   look_again_ms : when to look again; the soonest that anybody
    asked for, None when nobody did.
    """

    site: Site | None = None
    cmms: str = UNKNOWN
    heard: bool = False
    shows: OrderRequest | None = None
    look_again_ms: int | None = None

    def __init__(
        self, ledger: Ledger, case: Case, entry: Entry, keep: Callable[[str, OrderChange], None], now_ms: int
    ) -> None:
        self._ledger, self._keep = ledger, keep
        self.case, self.entry, self.now_ms = case, entry, now_ms
        self._written = entry
        self.answered: list[Reply] = []

    @property
    def case_id(self) -> str:
        return self.case.change.case_id

    @property
    def told(self) -> OrderChange | None:
        """The last change of the order that the lake was told, or is about to be."""
        return from_document(json.loads(self.entry.told)) if self.entry.told else None

    def set(self, **changes: Any) -> None:
        """Changes the entry; it is written with the next `write`."""
        self.entry = replace(self.entry, **changes)

    def write(self, **changes: Any) -> None:
        """Writes the entry, if it differs from what was written. Raises NotYet when the lease was lost."""
        self.set(**changes)
        if self.entry != self._written:
            self.claim()

    def claim(self, **changes: Any) -> None:
        """Writes the entry in any case: NotYet is raised when the lease was lost, and so what follows is not done."""
        self.set(**changes)
        self.entry = self._written = self._ledger.keep(self.case_id, self.entry)

    def release(self, **changes: Any) -> Entry:
        """Writes the entry and gives the lease back; replies that were acted on are taken off."""
        self.set(**changes)
        answered: Collection[Reply] = tuple(self.answered)
        self.entry = self._written = self._ledger.keep(self.case_id, self.entry, release=True, answered=answered)
        return self.entry

    def look_at(self, t_ms: int) -> None:
        """Asks for a look at the order then, at the latest."""
        self.look_again_ms = t_ms if self.look_again_ms is None else min(self.look_again_ms, t_ms)

    def note(self, order: Order | None) -> None:
        """Has the lake keep how the order is now, if that is another than it was told. None: there is none."""
        before = self.told
        now = replace(before.seen, cmms=self.cmms) if before is not None else OrderSeen(self.case_id, self.cmms)
        if self.shows is not None:
            now = replace(now, title=self.shows.title, severity=self.shows.severity, asset=self.shows.asset)
        if order is not None:
            said = order.closure or {}
            closure = {name: str(said[name]) for name in CLOSURE if said.get(name)}
            now = replace(now, ref=order.ref, status=str(order.status), raw_status=order.raw_status)
            now = replace(now, changed_ms=order.changed_ms, by=order.by, closure=closure)
        change = next_change(before, replace(now, problem=self.entry.problem), t_ms=self.now_ms)
        if change is not None:
            self.write(told=json.dumps(as_document(change)), untold=1)
            self.tell_lake()

    def tell_lake(self) -> None:
        """Puts the change that was written down last on the stream, unless it is known to be there."""
        if self.told is not None and self.entry.untold:
            self._keep(self.case.position, self.told)
            self.set(untold=0)
