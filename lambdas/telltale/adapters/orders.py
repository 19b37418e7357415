"""From cases to work orders: makes the maintenance system agree with the case, however often it is asked.

Level-triggered: a message only names a case. The worker takes the case's lease in the ledger, reads case and
order as they are now, does what is missing, and writes down each step once it is done:

    no order known → look for it → wait while the case is shelved, or another case's order names it (adapters/groups.py)
    → else create it → let it show the case's severity and reason, and its children (adapters/order_writing.py) → have
    the lake keep what changed of it → tell detection what the technician did → once the case is over, see the order
    closed (adapters/order_endings.py) → look at it now and then, for it may be opened again

A worker may die between any two steps; the next one starts from the top and finds the order that was made. A change of
the order is written down before it is told, so that it is told again as it was, under its number, and kept once.

A message about a case that is settled already costs two reads. While a maintenance system does not answer
(adapters/outages.py) nobody asks it but the sweep.
"""

import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from telltale.adapters.cases import PENDING, WATCHING, Case, Cases, OrderNote
from telltale.adapters.cmms.port import Cmms, CmmsBusy, CmmsDenied, Forged, Order
from telltale.adapters.groups import Groups
from telltale.adapters.ledger import Entry, Ledger, NotYet, Stage
from telltale.adapters.order_endings import TELLTALE, Endings
from telltale.adapters.order_job import Job
from telltale.adapters.order_request import key_of, order_request
from telltale.adapters.order_writing import Writing
from telltale.adapters.outages import LONGEST_WAIT_MS, NoCallsLeft, Outage
from telltale.adapters.registry import Registry
from telltale.core.cases import is_over
from telltale.core.detect import Control
from telltale.core.errors import CmmsRefused, RetryLater, TelltaleError
from telltale.core.grouping import closure_of_child, time_to_clear_ms, why_together
from telltale.core.order_text import Place, child_line
from telltale.core.orders import OrderChange
from telltale.core.plant import Position, Site
from telltale.core.replies import Reply

__all__ = ["Held", "NoSuchCase", "Swept", "Worker", "order_request"]

FIRST_RETRY_MS = 30_000  # longer than a call may take, so that what a failed call made can be found
LAST_RETRY_MS = 3_600_000  # of one case on its own; a system that does not answer is tried in every sweep
POLL_MS = 15 * 60_000  # how often a system that does not push is asked how an order stands (guess)
PUSHED_POLL_MS = 60 * 60_000  # likewise one that pushes, for messages get lost
GRACE_MS = 60_000  # how long a change may wait for its own message before the sweep takes it
REPLAYED_MS = 10 * 60_000  # a message is believed for five minutes either way of its time (adapters/cmms/webhook.py)
SHOWN_AFTER = 3  # failures after which a case shows why its order waits
TOLD_AGAIN_MS = 86_400_000  # until a person is told again of an order that cannot be read


class NoSuchCase(TelltaleError):
    """A message names a case that the table does not hold."""


class Held(CmmsBusy):
    """The maintenance system does not answer, or asked to be left alone: the sweep tries, and then lets all go."""


@dataclass(frozen=True)
class Swept:
    """What a sweep did: cases whose order agrees now, cases that have to wait, and cases sent to the queue."""

    settled: int
    waiting: int
    sent: int = 0


class Worker:
    """Brings orders into agreement with cases.

    system : the maintenance system of a site; raises CmmsRefused when its settings name none.
    quiet : whether none of the rules behind a position's open case alerts any more.
    control : puts what was done to a case on the features stream.   keep : puts what became of an order there, for the
    lake.   notify : tells a person (subject, text).   link : the evidence page of a case, "" where there is none.
    picture : a PNG of the lake's bucket.   send : puts messages that name a case on the queue (whether they hurry, that
    is, do not mind what the case waits for); without it the sweep settles them itself, and a hint what it is about.
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
        link: Callable[[Case], str] = lambda case: "",
        picture: Callable[[str], bytes | None] = lambda key: None,
        send: Callable[[Sequence[str], Mapping[str, bool]], None] | None = None,
    ) -> None:
        self._cases = cases
        self._ledger = ledger
        self._outages = ledger.outages
        self._registry = registry
        self._system = system
        self._quiet = quiet
        self._control = control
        self._keep = keep
        self._notify = notify
        self._now_ms = now_ms
        self._send = send
        self._groups = Groups(cases, ledger, now_ms)
        self._writing = Writing(ledger, link=link, picture=picture, notify=notify, refused=self._told)
        self._endings = Endings(ledger, control=control, link=link, refused=self._told)

    def settle(self, case_id: str, *, look: bool = False, hurry: bool = False, reply: Reply | None = None) -> None:
        """Makes the order agree with the case. Raises CmmsBusy, saying when to come again, or NoSuchCase.

        look : at the order, though the case is settled; somebody says that it has changed.   hurry : whatever the case
        waits for.   reply : what somebody answered on the evidence page; kept before anything else.
        """
        case = self._case(case_id)
        if reply is not None and self._ledger.replied(case_id, reply):
            self._cases.ask_again(case_id)
        look = look or reply is not None
        if not look and not self._due(case, self._ledger.get(case_id)):
            return
        try:
            self._settle(case, hurry=look or hurry)
        except Held:
            if look:
                self._cases.ask_again(case_id)  # for the sweep, which would not find a case that is settled
            raise

    def sweep(self, *, enough_time: Callable[[], bool]) -> Swept:
        """Sees to the cases whose messages got lost or gave up, and asks about orders that nobody tells of."""
        now = self._now_ms()
        late = set(self._cases.waiting(PENDING, before_ms=now - GRACE_MS))
        found = [*late, *self._cases.waiting(WATCHING, before_ms=now)]
        entries = self._ledger.entries(found)
        by_site: dict[str, list[str]] = defaultdict(list)
        for case_id, site in self._cases.sites(found).items():
            by_site[site].append(case_id)
        swept = [self._sweep_site(site, case_ids, late, entries, enough_time) for site, case_ids in by_site.items()]
        return Swept(*(sum(getattr(one, name) for one in swept) for name in ("settled", "waiting", "sent")))

    def hinted(self, site_id: str, headers: Mapping[str, str], body: bytes) -> None:
        """Looks at the orders that a site's maintenance system says have changed. Raises Forged if it is not it.

        The same message is taken once. What it says is not believed: the order is read back.
        """
        site = self._registry.sites([site_id]).get(site_id)
        if site is None:
            raise Forged(f"there is no site {site_id!r}")
        try:
            hints = self._system(site).verify_webhook(headers, body)
        except CmmsRefused as refused:
            raise Forged(f"site {site_id} takes no messages: {refused}") from refused
        once = _digest(body, *(hint.signed_at for hint in hints))
        if not self._ledger.first(f"hint#{site_id}#{once}", within_ms=REPLAYED_MS):
            raise Forged("the same message came before")
        owners = [case_id for hint in hints for case_id in self._ledger.owners(site_id, hint.ref)]
        case_ids = list(dict.fromkeys(owners))
        if self._send is not None:
            self._send(case_ids, {"look": True})
            return
        for case_id in case_ids:
            self.settle(case_id, look=True)

    def _sweep_site(
        self,
        site: str,
        case_ids: Sequence[str],
        late: Collection[str],
        entries: Mapping[str, Entry],
        enough_time: Callable[[], bool],
    ) -> Swept:
        """The cases of a site. While its system does not answer one of them asks for all, each time another one."""
        outage, now = self._outages.of(site), self._now_ms()
        due = [one for one in case_ids if _is_due(entries.get(one), outage, now, late=one in late)]
        resting = sum(one in late for one in case_ids if one not in due)
        if now < outage.until_ms:
            return Swept(0, len(due) + resting)
        probing, settled = outage.lasts, 0
        if probing:
            random.shuffle(due)
        for number, case_id in enumerate(due):
            if not enough_time():
                break
            if self._send is not None and not probing:
                self._send(due[number:], {"hurry": True})
                return Swept(settled, resting, len(due) - number)
            try:
                heard = self._settle(self._case(case_id), hurry=True, probe=probing)
            except NotYet:
                continue
            except CmmsBusy as busy:
                if probing or isinstance(busy.__cause__, CmmsBusy | CmmsDenied):
                    break
                continue
            settled, probing = settled + 1, probing and not heard
        return Swept(settled, len(due) - settled + resting)

    def _settle(self, case: Case, *, hurry: bool = False, probe: bool = False) -> bool:
        """Whether the maintenance system was heard; nobody needed to ask it where the order of the case is another's.

        probe : though it did not answer lately.
        """
        now, case_id = self._now_ms(), case.change.case_id
        outage = self._outages.of(case.site)
        if outage.holds(now) and not probe:
            raise Held(f"case {case_id}: site {case.site} waits for its system: {outage.why}", outage.wait_s(now))
        job = Job(self._ledger, case, self._ledger.take(case_id, hurry=hurry), self._keep, now)
        if job.entry.revision > case.change.revision:
            job.case = self._case(case_id)
        if job.entry.attempts >= SHOWN_AFTER:
            job.set(problem="")  # why it waited
        try:
            self._agree(job)
        except CmmsRefused as refusal:
            self._refused(job, refusal)
        except NotYet:
            raise
        except RetryLater as later:
            raise self._put_off(job, later) from later
        if job.heard:
            self._outages.got_through(case.site, outage)
        revision, look_ms = job.case.change.revision, job.look_again_ms or 0
        done = job.release(revision=revision, attempts=0, not_before_ms=0, failing_ms=0, look_again_ms=look_ms)
        note = OrderNote(done.stage, done.ref or None, done.problem or None)
        self._cases.settle(case_id, revision, note, watch=look_ms > 0)
        return job.heard

    def _due(self, case: Case, entry: Entry | None) -> bool:
        """Whether there is anything to do for a case that nobody says has changed."""
        if entry is None or entry.replies or entry.untold:
            return True
        if case.outbox == PENDING or entry.revision < case.change.revision:
            return True
        return 0 < entry.look_again_ms <= self._now_ms()

    def _case(self, case_id: str) -> Case:
        case = self._cases.get(case_id)
        if case is None:
            raise NoSuchCase(f"case {case_id} is not in the table of cases")
        return case

    def _agree(self, job: Job) -> None:
        """Does what is missing."""
        job.tell_lake()
        change, entry = job.case.change, job.entry
        over = is_over(change)
        if over and not (entry.ref or entry.begun):  # nobody has ever set out to make an order
            self._endings.answer(job, None, None)
            job.set(stage=Stage.CLOSED)
            return
        if entry.stage is Stage.REFUSED and entry.revision >= change.revision:
            self._endings.answer(job, None, None)
            return
        job.site = self._registry.sites([job.case.site]).get(job.case.site)
        if job.site is None:
            raise CmmsRefused(f"site {job.case.site} is not in the registry, so no maintenance system is known")
        system = self._system(job.site)
        job.cmms = system.name
        if over:
            self._over(job, system)
        else:
            self._open(job, system)

    def _open(self, job: Job, system: Cmms) -> None:
        """The case is open: it has an order that shows it, waits, or another case's order names it."""
        case, was_closed = job.case, job.entry.stage is Stage.CLOSED
        order = None if job.entry.parent else self._known(job, system)
        if was_closed:
            order = self._endings.reopen(job, system, order) or self._known(job, system)
        order = self._endings.answer(job, system, order)
        position = self._position(case)
        shelved_ms = self._shelved_until(case)
        if order is None and shelved_ms is not None:
            job.set(stage=Stage.SHELVED)
            job.look_at(shelved_ms)
            return
        if order is None and self._joins(job, position):
            return
        job.look_at(job.now_ms + (PUSHED_POLL_MS if system.capabilities.pushes else POLL_MS))
        if shelved_ms is None:
            order = self._made(job, system, position, order)
        else:
            job.look_at(shelved_ms)
        if order is not None:
            job.note(order)
            self._endings.tell_detection(job, system, order)

    def _over(self, job: Job, system: Cmms) -> None:
        """The case is over: so is its order, which is looked at now and then, for it may be opened again."""
        watched = job.entry.stage is Stage.CLOSED
        order = self._known(job, system)
        if not watched:
            job.set(closed_ms=job.now_ms)
        job.set(stage=Stage.CLOSED)
        if order is None:
            return
        self._endings.answer(job, system, order)
        if watched:
            self._endings.after(job, system, order)
        else:
            self._endings.close(job, system, order)
        self._endings.watch(job, order)

    def _position(self, case: Case) -> Position:
        return self._registry.positions([case.position]).get(case.position, Position(case.position))

    def _known(self, job: Job, system: Cmms) -> Order | None:
        """The case's order, if one was made."""
        if job.entry.ref:
            order = system.get(job.entry.ref)
            job.heard = True
            job.set(stage=Stage.OPEN)
            if order is None:
                return self._endings.gone(job, system)
            return self._endings.followed(job, system, order)
        order = system.find(key_of(job.case_id, job.entry.opening))
        job.heard = True
        if order is not None:
            self._writing.known(job, order)
            self._endings.continued(job, system, order)
        return order

    def _made(self, job: Job, system: Cmms, position: Position, order: Order | None) -> Order:
        """The case's order, showing what the case says now; made if there is none."""
        children = self._groups.children(job.case)
        if order is not None:
            return self._writing.show(job, system, position, children, order)
        order = self._writing.make(job, system, position, children)
        self._endings.continued(job, system, order)
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

    def _joins(self, job: Job, position: Position) -> bool:
        """Whether another case's order names this one, or may still; then there is nothing else to do."""
        parent = self._cases.get(job.entry.parent) if job.entry.parent else None
        if parent is not None and is_over(parent.change) and self._went_along(job, parent, position):
            return True
        if parent is None or not self._groups.leads(parent, job.case):
            if job.entry.parent:
                job.set(stage=Stage.PENDING, parent="", shown="")
            parent = self._groups.parent_of(job.case)
        parent_id = "" if parent is None else parent.change.case_id
        if parent_id != (job.case.change.parent or ""):
            self._group(job.case, parent)
        if parent is None:
            return False
        line = child_line(Place(job.case.position, job.case.change))
        self._ledger.adopt(parent_id, job.case.change.case_id)
        if (job.entry.parent, job.entry.shown) != (parent_id, line):
            self._cases.ask_again(parent_id)
        job.set(stage=Stage.CHILD, parent=parent_id, shown=line)
        job.look_at(job.now_ms + POLL_MS)
        return True

    def _went_along(self, job: Job, parent: Case, position: Position) -> bool:
        """Whether the child of a case that is over ends with it, or has not yet had the time to show that it does."""
        case, now = job.case, self._now_ms()
        clear_ms = parent.changed_at + time_to_clear_ms(position.interval_s)
        if now >= clear_ms:
            if not self._quiet(case.position):
                return False
            codes = closure_of_child(parent.change.case_id, parent.change.closure or {})
            by = parent.change.by or TELLTALE
            self._control(case.position, Control("resolved", case.change.case_id, now, by, codes))
        job.set(stage=Stage.CHILD)
        job.look_at(max(clear_ms, now + POLL_MS))
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

    def _refused(self, job: Job, refusal: CmmsRefused) -> None:
        """The system said no for good. An order that is there is watched all the same."""
        if job.entry.ref:
            if job.entry.problem != str(refusal):
                self._told(job.case, refusal)
            job.look_at(job.now_ms + POLL_MS)
        else:
            self._told(job.case, refusal)
            job.set(stage=Stage.REFUSED)
        job.set(problem=str(refusal))
        job.note(None)

    def _told(self, case: Case, refusal: CmmsRefused) -> None:
        self._notify(
            f"Work order refused: {case.position}",
            f"The maintenance system of site {case.site} refused the work order of case {case.change.case_id} "
            f"at {case.position} ({case.change.severity}: {case.change.reason}).\n\nIt said: {refusal}\n\n"
            "Put it right there or in the plant file, then run `telltale redrive --refused`.",
        )

    def _put_off(self, job: Job, later: RetryLater) -> CmmsBusy:
        """Gives the case back until it may be tried again; says when that is."""
        case, entry = job.case, job.entry
        tries = entry.attempts + (not isinstance(later, NoCallsLeft))
        failing_ms = entry.failing_ms or job.now_ms
        outage = self._outages.failed(case.site, job.case_id, later, tries=tries, failing_ms=failing_ms)
        if outage.denied and not outage.told:
            self._tell_of_denial(case.site, outage)
        if tries >= SHOWN_AFTER and entry.problem != str(later):
            job.set(problem=str(later))
            self._cases.trouble(job.case_id, OrderNote(job.entry.stage, job.entry.ref or None, str(later)))
            if not isinstance(later, CmmsBusy | CmmsDenied):
                self._tell_of_one(case, later)
        wait_ms = _wait_ms(tries, later)
        job.release(attempts=tries, failing_ms=failing_ms, failed_ms=job.now_ms, not_before_ms=job.now_ms + wait_ms)
        return CmmsBusy(f"case {job.case_id}: {later}", wait_ms / 1000)

    def _tell_of_denial(self, site: str, outage: Outage) -> None:
        self._notify(
            f"Maintenance system refuses Telltale: site {site}",
            f"The maintenance system of site {site} does not let Telltale in. No work order of the site gets through "
            f"until that is mended; then all do, within minutes and without being asked.\n\nIt said: {outage.why}\n\n"
            f"`telltale cmms check {site}` tries it, `telltale cmms secret {site}` sets new credentials.",
        )
        self._outages.told(site)

    def _tell_of_one(self, case: Case, later: RetryLater) -> None:
        """Of an order that cannot be read, say of a status that nobody knows: once a day for the same words."""
        what = f"unread#{case.site}#{_digest(str(later).encode())}"
        if self._ledger.first(what, within_ms=TOLD_AGAIN_MS):
            self._notify(
                f"Work order cannot be read: {case.position}",
                f"The work order of case {case.change.case_id} at {case.position} cannot be brought up to date; it is "
                f"tried again at least once an hour.\n\n{later}",
            )


def _is_due(entry: Entry | None, outage: Outage, now: int, *, late: bool) -> bool:
    """Whether a case that was found in the outbox is to be looked at now.

    late : its order has not caught up. What failed before the system's last outage ended need not wait any longer.
    """
    if entry is None:
        return True
    may = entry.not_before_ms <= now or 0 < entry.failed_ms <= outage.back_ms
    return may and (late or entry.look_again_ms <= now)


def _digest(body: bytes, *signed_at: str) -> str:
    """Of a message: what its sender said and when he signed it, not how it was carried, which anybody can change."""
    return hashlib.sha256(json.dumps(sorted(set(signed_at))).encode() + body).hexdigest()[:32]


def _wait_ms(attempt: int, later: RetryLater) -> int:
    """Until the next attempt: doubled each time, or as long as the system asked for."""
    own = min(FIRST_RETRY_MS * 2 ** max(0, min(attempt - 1, 10)), LAST_RETRY_MS)
    asked_s = later.after_s if isinstance(later, CmmsBusy) else None
    return max(own, min(round((asked_s or 0) * 1000), LONGEST_WAIT_MS))
