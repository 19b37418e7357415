"""From cases to work orders: makes the maintenance system agree with the case, however often it is asked.

Level-triggered: a message only names a case. The worker takes the case's lease in the ledger, reads case and
order as they are now, does what is missing, and writes down each step once it is done:

    no order known → look for it → wait while the case is shelved, or another case's order names it (adapters/groups.py)
    → else create it → let it show the case's severity and reason, and its children → have the lake keep what changed of
    it → tell detection what the technician did → once the case is over, see the order closed and close the entry

A worker may die between any two steps; the next one starts from the top and finds the order that was made. A change of
the order is written down before it is told, so that it is told again as it was, under its number, and kept once.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from telltale.adapters.cases import PENDING, WATCHING, Case, Cases, OrderNote
from telltale.adapters.cmms.port import Cmms, CmmsBusy, Forged, Order, OrderRequest, Status, case_of, order_key
from telltale.adapters.groups import Groups
from telltale.adapters.ledger import Entry, Ledger, NotYet, Stage
from telltale.adapters.registry import Registry
from telltale.core.closure import closure_from
from telltale.core.detect import Control
from telltale.core.errors import CmmsRefused, RetryLater, TelltaleError
from telltale.core.explain import check_next, diagnosis_sentence, evidence_lines, fault_words, forecast_sentence
from telltale.core.grouping import closure_of_child, time_to_clear_ms, why_together
from telltale.core.orders import OrderChange, OrderSeen, as_document, from_document, next_change
from telltale.core.persistence import LEVELS
from telltale.core.plant import Position, Site

TELLTALE = "telltale"  # who closes an order when the maintenance system does not say
TAKEN_UP = (Status.IN_PROGRESS, Status.ON_HOLD)
FIRST_RETRY_MS = 30_000  # longer than a call may take, so that what a failed call made can be found
LAST_RETRY_MS = 3_600_000  # a system that is down for a day is asked once an hour
LONGEST_WAIT_MS = 6 * LAST_RETRY_MS  # what a system may ask for with Retry-After
POLL_MS = 15 * 60_000  # how often a system that does not push is asked how an order stands (guess)
PUSHED_POLL_MS = 60 * 60_000  # likewise one that pushes, for messages get lost
GRACE_MS = 60_000  # how long a change may wait for its own message before the sweep takes it
TITLE = 100  # characters; enough for a name and a reason on a phone
MOST_NAMED = 50  # children that an order lists one by one
UNKNOWN = "unknown"  # the maintenance system of a site that is not in the registry
CLOSURE = ("failure_mode", "failure_cause", "action_taken", "note")  # what the lake keeps of one
WATCHED = (Stage.OPEN, Stage.SHELVED, Stage.CHILD)  # where something may change that the case does not tell


class NoSuchCase(TelltaleError):
    """A message names a case that the table does not hold."""


@dataclass(frozen=True)
class Swept:
    """What a sweep did: cases whose order agrees now, and cases that have to wait."""

    settled: int
    waiting: int


class Worker:
    """Brings orders into agreement with cases.

    system : the maintenance system of a site; raises CmmsRefused when its settings name none.
    quiet : whether none of the rules behind a position's open case alerts any more.
    control : puts what was done to a case on the features stream.   keep : puts what became of an order there, for the
    lake.   notify : tells a person (subject, text).
    """

    def __init__(
        self,
        *,
        cases: Cases,
        ledger: Ledger,
        registry: Registry,
        system: Callable[[Site], Cmms],
        quiet: Callable[[str], bool],
        control: Callable[[str, Control], None],
        keep: Callable[[str, OrderChange], None],
        notify: Callable[[str, str], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._cases = cases
        self._ledger = ledger
        self._registry = registry
        self._system = system
        self._quiet = quiet
        self._control = control
        self._keep = keep
        self._groups = Groups(cases, ledger, now_ms)
        self._notify = notify
        self._now_ms = now_ms

    def settle(self, case_id: str) -> None:
        """Makes the order agree with the case. Raises CmmsBusy, saying when to come again, or NoSuchCase."""
        self._case(case_id)
        entry = self._ledger.take(case_id)
        job = _Job(self._ledger, self._case(case_id), entry)
        try:
            self._agree(job)
        except CmmsRefused as refusal:
            self._refused(job, refusal)
        except NotYet:
            raise
        except RetryLater as later:
            wait_ms = _wait_ms(entry.attempts + 1, later)
            job.write(attempts=entry.attempts + 1, not_before_ms=self._now_ms() + wait_ms, release=True)
            raise CmmsBusy(f"case {case_id}: {later}", wait_ms / 1000) from later
        revision = job.case.change.revision
        done = job.write(revision=revision, attempts=0, not_before_ms=0, release=True)
        note = OrderNote(done.stage, done.ref or None, done.problem or None)
        self._cases.settle(case_id, revision, note, watch=done.stage in WATCHED)

    def sweep(self, *, enough_time: Callable[[], bool]) -> Swept:
        """Settles the cases whose messages got lost or gave up, and asks about orders that nobody tells of.

        A site whose system does not answer is left until the next sweep, so that it cannot hold up the others.
        """
        now = self._now_ms()
        late = self._cases.waiting(PENDING, before_ms=now - GRACE_MS)
        watched = self._cases.waiting(WATCHING, before_ms=now)
        settled = waiting = 0
        silent: set[str] = set()
        for case_id in [*late, *(case_id for case_id in watched if self._due(case_id, now))]:
            site = self._case(case_id).site
            if site not in silent and enough_time() and self._settled(case_id, site, silent):
                settled += 1
            else:
                waiting += 1
        return Swept(settled, waiting)

    def _due(self, case_id: str, now: int) -> bool:
        entry = self._ledger.get(case_id)
        return entry is None or entry.look_again_ms <= now

    def hinted(self, site_id: str, headers: Mapping[str, str], body: bytes) -> None:
        """Looks at the orders that a site's maintenance system says have changed. Raises Forged if it is not it."""
        site = self._registry.sites([site_id]).get(site_id)
        if site is None:
            raise Forged(f"there is no site {site_id!r}")
        system = self._system(site)
        for hint in system.verify_webhook(headers, body):
            order = system.get(hint.ref)
            if order is not None:
                self.settle(case_of(order.key))

    def _settled(self, case_id: str, site: str, silent: set[str]) -> bool:
        try:
            self.settle(case_id)
        except NotYet:
            return False
        except RetryLater:
            silent.add(site)
            return False
        return True

    def _case(self, case_id: str) -> Case:
        case = self._cases.get(case_id)
        if case is None:
            raise NoSuchCase(f"case {case_id} is not in the table of cases")
        return case

    def _agree(self, job: "_Job") -> None:
        """Does what is missing."""
        case = job.case
        self._tell_lake(job)
        refused_before = job.entry.stage is Stage.REFUSED and job.entry.revision >= case.change.revision
        if job.entry.stage is Stage.CLOSED or refused_before:
            return
        site = self._registry.sites([case.site]).get(case.site)
        if site is None:
            raise CmmsRefused(f"site {case.site} is not in the registry, so no maintenance system is known")
        system = job.system = self._system(site)
        order = None if job.entry.parent else self._known(job, system)
        if case.change.change == "resolved":
            if order is not None:
                self._note(job, order if order.status.final else self._close(job, system, order))
            job.write(stage=Stage.CLOSED)
            return
        position = self._position(case)
        shelved_ms = self._shelved_until(case)
        if order is None and shelved_ms is not None:
            job.write(stage=Stage.SHELVED, look_again_ms=shelved_ms)
            return
        if order is None and self._joins(job, position):
            return
        look_again_ms = self._now_ms() + (PUSHED_POLL_MS if system.capabilities.pushes else POLL_MS)
        if shelved_ms is None:
            order = self._made(job, system, position, order)
        if order is not None:
            self._note(job, order)
            self._tell_detection(case, order)
        job.write(look_again_ms=min(look_again_ms, shelved_ms or look_again_ms))

    def _position(self, case: Case) -> Position:
        return self._registry.positions([case.position]).get(case.position, Position(case.position))

    def _known(self, job: "_Job", system: Cmms) -> Order | None:
        """The case's order, if one was made."""
        if job.entry.ref:
            job.write(stage=Stage.OPEN)
            return system.get(job.entry.ref) or self._deleted(job)
        order = system.find(order_key(job.case.change.case_id))
        if order is not None:
            job.write(stage=Stage.OPEN, ref=order.ref, problem="")
        return order

    def _made(self, job: "_Job", system: Cmms, position: Position, order: Order | None) -> Order:
        """The case's order, showing what the case says now; made if there is none."""
        children = self._groups.children(job.case)
        request = order_request(job.case, position, children)
        if order is not None:
            told = f"{job.case.change.case_id}-{job.case.change.revision}" + (f"-{len(children)}" if children else "")
            return self._shown(job, system, request, order, comment=told)
        job.write(stage=Stage.PENDING)  # raises if the lease was lost, since then another may have made it
        order = system.create(request)
        job.write(stage=Stage.OPEN, ref=order.ref, problem="", shown=fingerprint(request))
        job.shows = request
        return order

    def _shelved_until(self, case: Case) -> int | None:
        """When the order of the case need no longer wait; None: it need not. Detection is told what it does not know:
        that the position was shelved before the case was there, or that its time is over.
        """
        now, until_ms, case_id = self._now_ms(), case.change.until_ms or 0, case.change.case_id
        shelf = self._ledger.shelf(case.position)
        if shelf is not None and shelf.until_ms > max(now, until_ms):
            ahead = Control("shelved", case_id, shelf.at_ms, shelf.by, until_ms=shelf.until_ms, why=shelf.why)
            self._control(case.position, ahead)
            return shelf.until_ms
        if until_ms > now:
            return until_ms
        if until_ms:
            over = Control("unshelved", case_id, until_ms, TELLTALE, until_ms=until_ms, why="its time is over")
            self._control(case.position, over)
        return None

    def _joins(self, job: "_Job", position: Position) -> bool:
        """Whether another case's order names this one, or may still; then there is nothing else to do."""
        parent = self._cases.get(job.entry.parent) if job.entry.parent else None
        if parent is not None and parent.change.change == "resolved" and self._went_along(job, parent, position):
            return True
        if parent is None or not self._groups.leads(parent, job.case):
            if job.entry.parent:
                job.write(stage=Stage.PENDING, parent="", shown="")
            parent = self._groups.parent_of(job.case)
        parent_id = "" if parent is None else parent.change.case_id
        if parent_id != (job.case.change.parent or ""):
            self._group(job.case, parent)
        if parent is None:
            return False
        line = _line(job.case)
        self._ledger.adopt(parent_id, job.case.change.case_id)
        if (job.entry.parent, job.entry.shown) != (parent_id, line):
            self._cases.ask_again(parent_id)
        job.write(stage=Stage.CHILD, parent=parent_id, shown=line, look_again_ms=self._now_ms() + POLL_MS)
        return True

    def _went_along(self, job: "_Job", parent: Case, position: Position) -> bool:
        """Whether the child of a case that is over ends with it, or has not yet had the time to show that it does."""
        case, now = job.case, self._now_ms()
        clear_ms = parent.changed_at + time_to_clear_ms(position.interval_s)
        if now >= clear_ms:
            if not self._quiet(case.position):
                return False
            codes = closure_of_child(parent.change.case_id, parent.change.closure or {})
            by = parent.change.by or TELLTALE
            self._control(case.position, Control("resolved", case.change.case_id, now, by, codes))
        job.write(stage=Stage.CHILD, look_again_ms=max(clear_ms, now + POLL_MS))
        return True

    def _group(self, case: Case, parent: Case | None) -> None:
        """Tells detection which order names the case."""
        why = (
            "its parent is over, or waits, and it still alerts"
            if parent is None
            else why_together(case.position, case.change.opened_ms, parent.position, parent.change.opened_ms)
        )
        parent_id = "" if parent is None else parent.change.case_id
        act = Control("grouped", case.change.case_id, self._now_ms(), TELLTALE, parent=parent_id, why=why)
        self._control(case.position, act)

    def _deleted(self, job: "_Job") -> Order:
        key = order_key(job.case.change.case_id)
        return Order(job.entry.ref, key, Status.CANCELLED, "deleted", changed_ms=self._now_ms())

    def _shown(self, job: "_Job", system: Cmms, request: OrderRequest, order: Order, *, comment: str) -> Order:
        """The order, showing what the request says. A refusal is told once, and does not stop the rest.

        comment : the key under which a change is told beside it, once.
        """
        wanted = fingerprint(request)
        if order.status.final or job.entry.shown == wanted:
            job.shows = request if job.entry.shown == wanted and not job.entry.problem else None
            return order
        try:
            order = system.update(order.ref, request)
            if job.entry.shown:
                system.comment(order.ref, request.title, key=comment)
        except CmmsRefused as refusal:
            self._told(job.case, refusal)
            job.write(shown=wanted, problem=str(refusal))
            return order
        job.write(shown=wanted, problem="")
        job.shows = request
        return order

    def _note(self, job: "_Job", order: Order | None) -> None:
        """Has the lake keep how the order is now, if that is another than it was told. None: there is none."""
        before = job.told
        now = OrderSeen(job.case.change.case_id, job.system.name if job.system else UNKNOWN)
        if before is not None:
            now = replace(before.seen, cmms=now.cmms)
        if job.shows is not None:
            now = replace(now, title=job.shows.title, severity=job.shows.severity, asset=job.shows.asset)
        if order is not None:
            said = order.closure or {}
            closure = {name: str(said[name]) for name in CLOSURE if said.get(name)}
            now = replace(now, ref=order.ref, status=str(order.status), raw_status=order.raw_status)
            now = replace(now, changed_ms=order.changed_ms, by=order.by, closure=closure)
        change = next_change(before, replace(now, problem=job.entry.problem), t_ms=self._now_ms())
        if change is not None:
            job.write(told=json.dumps(as_document(change)), untold=1)
            self._tell_lake(job)

    def _tell_lake(self, job: "_Job") -> None:
        """Puts the change that was written down last on the stream, unless it is known to be there."""
        if job.told is not None and job.entry.untold:
            self._keep(job.case.position, job.told)
            job.write(untold=0)

    def _tell_detection(self, case: Case, order: Order) -> None:
        """What the technician did goes on the stream that detection reads; it drops what it knows already."""
        by = order.by or TELLTALE
        if order.status.final:
            closure = closure_from(order.closure, cancelled=order.status is Status.CANCELLED).as_dict()
            control = Control("resolved", case.change.case_id, order.changed_ms, by, closure)
        elif order.status in TAKEN_UP and case.change.state != "NEEDS_MAINTENANCE":
            control = Control("acknowledged", case.change.case_id, order.changed_ms, by)
        else:
            return
        self._control(case.position, control)

    def _close(self, job: "_Job", system: Cmms, order: Order) -> Order:
        """The case is over though nobody closed the order: closed with the case's own closure codes."""
        change = job.case.change
        try:
            return system.set_status(
                job.entry.ref, Status.DONE, by=change.by or TELLTALE, closure=closure_from(change.closure)
            )
        except CmmsRefused as refusal:
            self._told(job.case, refusal)
            job.write(problem=str(refusal))
            return order

    def _refused(self, job: "_Job", refusal: CmmsRefused) -> None:
        self._told(job.case, refusal)
        job.write(stage=Stage.REFUSED, problem=str(refusal))
        self._note(job, None)

    def _told(self, case: Case, refusal: CmmsRefused) -> None:
        self._notify(
            f"Work order refused: {case.position}",
            f"The maintenance system of site {case.site} refused the work order of case {case.change.case_id} "
            f"at {case.position} ({case.change.severity}: {case.change.reason}).\n\nIt said: {refusal}\n\n"
            "Put it right there or in the plant file, then run `telltale redrive --refused`.",
        )


class _Job:
    """One case in hand: the case as read under the lease, and its entry as last written.

    system : the maintenance system, once it is known.   shows : what the order is known to show.
    """

    system: Cmms | None = None
    shows: OrderRequest | None = None

    def __init__(self, ledger: Ledger, case: Case, entry: Entry) -> None:
        self._ledger = ledger
        self.case = case
        self.entry = entry

    @property
    def told(self) -> OrderChange | None:
        """The last change of the order that the lake was told, or is about to be."""
        return from_document(json.loads(self.entry.told)) if self.entry.told else None

    def write(self, *, release: bool = False, **changes: str | int) -> Entry:
        changed = replace(self.entry, **changes)  # type: ignore[arg-type]  # Entry's own fields, by name
        if changed != self.entry or release or changed.stage is Stage.PENDING:
            self.entry = self._ledger.keep(self.case.change.case_id, changed, release=release)
        return self.entry


def order_request(case: Case, position: Position, children: Sequence[Case] = ()) -> OrderRequest:
    """What the technician reads: where, why, what it is, on what evidence, what to do about it, and where else."""
    change = case.change
    severity = max((change.severity, *(child.change.severity for child in children)), key=LEVELS.index)
    name = " ".join(filter(None, (position.asset_name, position.name))) or position.id
    facts = {
        "Where": f"{name} ({position.id})",
        "Severity": change.severity,
        "Since": f"{datetime.fromtimestamp(change.opened_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC",
        "Why": change.reason,
        "Diagnosis": diagnosis_sentence(change.evidence),
        "Forecast": forecast_sentence(change.evidence),
        "Check next": check_next(change.evidence),
        "Suggested": position.action,
        "Spare part": position.spare_part,
        "Manual": position.manual,
        "Case": change.case_id,
    }
    lines = [f"{label}: {fact}" for label, fact in facts.items() if fact]
    why = f"{fault_words(change.fault)}: {change.reason}" if change.fault else change.reason
    more = f" and {len(children)} more place{'s' * (len(children) > 1)}" if children else ""
    lines += [f"- {line}" for line in evidence_lines(change.evidence)]
    lines += ["", f"Also, in {len(children)} more cases that have no order of their own:"] if children else []
    lines += [f"- {_line(child)}" for child in children[:MOST_NAMED]]
    lines += [f"- and {len(children) - MOST_NAMED} more"] if len(children) > MOST_NAMED else []
    return OrderRequest(
        key=order_key(change.case_id),
        case_id=change.case_id,
        title=_shortened(f"{severity}: {name}{more}: {why}"),
        description="\n".join(lines),
        severity=severity,
        position=position.id,
        asset=position.cmms_asset or position.asset,
        opened_ms=change.opened_ms,
    )


def _line(case: Case) -> str:
    """A child, as its parent's order lists it."""
    change = case.change
    since = f"{datetime.fromtimestamp(change.opened_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"
    return f"{change.severity} {case.position}, since {since}: {change.reason} ({change.case_id})"


def fingerprint(request: OrderRequest) -> str:
    """Equal for requests that read the same."""
    shown = json.dumps([request.title, request.description, request.severity])
    return hashlib.sha256(shown.encode()).hexdigest()[:16]


def _shortened(text: str) -> str:
    return text if len(text) <= TITLE else text[: TITLE - 1] + "…"


def _wait_ms(attempt: int, later: RetryLater) -> int:
    """Until the next attempt: doubled each time, or as long as the system asked for."""
    own = min(FIRST_RETRY_MS * 2 ** min(attempt - 1, 10), LAST_RETRY_MS)
    asked_s = later.after_s if isinstance(later, CmmsBusy) else None
    return max(own, min(round((asked_s or 0) * 1000), LONGEST_WAIT_MS))
