"""How orders end, and begin again: closed with codes or without, answered by link, deleted, merged, reopened."""

import json
from collections.abc import Callable
from dataclasses import replace

from telltale.adapters.cases import Case
from telltale.adapters.cmms.port import Cmms, Order, Status
from telltale.adapters.ledger import Ledger, Stage
from telltale.adapters.order_job import Job
from telltale.adapters.order_request import key_of
from telltale.core.cases import is_over
from telltale.core.closure import LISTS, Closure, closure_from
from telltale.core.detect import Control
from telltale.core.errors import CmmsRefused
from telltale.core.repair import CONFIRMED, NOTED
from telltale.core.replies import ACKNOWLEDGED, CLOSED, Reply

TELLTALE = "telltale"  # who closes an order when the maintenance system does not say
DELETED = "deleted"  # raw status of an order that is gone
TAKEN_UP = (Status.IN_PROGRESS, Status.ON_HOLD)
CODES_MS = 24 * 3_600_000  # how long a closed order waits for its codes (guess: until the next shift that was there)
WATCHED_MS = (
    14 * 86_400_000
)  # how long a closed order may be opened again (guess: until the next plant meeting but one)
FIRST_LOOK_MS, LAST_LOOK_MS = 15 * 60_000, 86_400_000  # at a closed order: later and later
SAID_AFTERWARDS = ("labelled", CONFIRMED, NOTED)  # changes of a case that is over
MERGES = 5  # orders that are followed from one to the next


class Endings:
    """What technicians did, told to detection, and what detection says of it, told to them.

    control : puts what was done to a case on the features stream.   link : the evidence page of a case, "" where there
    is none.   refused : tells of a refusal.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        control: Callable[[str, Control], None],
        link: Callable[[Case], str],
        refused: Callable[[Case, CmmsRefused], None],
    ) -> None:
        self._ledger, self._control, self._link, self._refused = ledger, control, link, refused

    # ---- the case is open

    def answer(self, job: Job, system: Cmms | None, order: Order | None) -> Order | None:
        """Acts on what came from the evidence page. The order as it is then."""
        for reply in job.entry.replies:
            if reply.kind == ACKNOWLEDGED:
                order = self._take_up(job, system, order, reply)
            elif is_over(job.case.change):
                self._tell(job, "labelled", reply.at_ms, reply.by, closure_from(reply.closure))
            else:
                order = self._done(job, system, order, reply)
            job.answered.append(reply)
        return order

    def tell_detection(self, job: Job, system: Cmms, order: Order) -> None:
        """What the technician did goes on the stream that detection reads; it drops what it knows already."""
        by = order.by or TELLTALE
        answered = {reply.kind for reply in job.answered}
        if CLOSED in answered or (ACKNOWLEDGED in answered and not order.status.final):
            return  # they were told
        if order.status.final:
            codes = self._codes(job, system, order)
            if codes is not None:
                self._tell(job, "resolved", order.changed_ms, by, codes)
            return
        job.set(asked_ms=0)
        if order.status in TAKEN_UP and job.case.change.state != "NEEDS_MAINTENANCE":
            self._tell(job, "acknowledged", order.changed_ms, by)

    def _codes(self, job: Job, system: Cmms, order: Order) -> Closure | None:
        """The closure codes; None while they are waited for. Where there are no fields for them they are asked for."""
        if job.entry.codes:
            return closure_from(json.loads(job.entry.codes))
        said = closure_from(order.closure, cancelled=order.status is Status.CANCELLED)
        link = self._link(job.case)
        has_some = any((order.closure or {}).get(name) for name in LISTS)
        if has_some or system.capabilities.codes or order.raw_status == DELETED or not link:
            return said
        if not job.entry.asked_ms:
            text = f"Telltale asks what it was and what was done: {link}"
            self._comment(system, order.ref, text, key=f"{job.case_id}-{job.entry.opening}-codes")
            job.set(asked_ms=job.now_ms)
        until_ms = job.entry.asked_ms + CODES_MS
        if job.now_ms >= until_ms:
            return said
        job.look_at(until_ms)
        return None

    def _take_up(self, job: Job, system: Cmms | None, order: Order | None, reply: Reply) -> Order | None:
        if is_over(job.case.change):
            return order
        if system is not None and order is not None and order.status is Status.OPEN:
            try:
                order = system.set_status(order.ref, Status.IN_PROGRESS, by=reply.by)
            except CmmsRefused:
                self._comment(system, order.ref, f"{reply.by} has it.", key=f"reply-{reply.id}")
        if job.case.change.state != "NEEDS_MAINTENANCE":
            self._tell(job, "acknowledged", reply.at_ms, reply.by)
        return order

    def _done(self, job: Job, system: Cmms | None, order: Order | None, reply: Reply) -> Order | None:
        codes = closure_from(reply.closure)
        job.set(codes=json.dumps(codes.as_dict()))
        done_ms = order.changed_ms if order is not None and order.status.final else reply.at_ms
        if system is not None and order is not None and order.raw_status != DELETED:
            if not order.status.final and not job.entry.merged:
                try:
                    order = system.set_status(order.ref, Status.DONE, by=reply.by, closure=codes)
                except CmmsRefused as refusal:
                    job.set(problem=str(refusal))
            if not system.capabilities.codes or not order.closure:
                self._comment(system, order.ref, _in_words(codes, reply.by), key=f"reply-{reply.id}")
        self._tell(job, "resolved", done_ms, reply.by, codes)
        return order

    # ---- the case is over

    def close(self, job: Job, system: Cmms, order: Order) -> None:
        """The case is over: so is its order, unless a person has opened it again since."""
        told = job.told
        if not order.status.final and told is not None and _was_final(told.seen.status):
            self._opened_again(job, system, order)
        elif not order.status.final and job.entry.merged:
            text = f"Telltale's case {job.case_id}, which was merged into this order, is over: {_said(job.case)}"
            self._comment(system, order.ref, text, key=f"{job.case_id}-over")
        elif not order.status.final:
            order = self._closed(job, system, order)
        job.note(order)

    def after(self, job: Job, system: Cmms, order: Order) -> None:
        """What detection says after the closure becomes a comment; an order that is open again opens the case again."""
        for line in job.case.history:
            if line["revision"] > job.entry.revision and line["change"] in SAID_AFTERWARDS:
                key = f"{job.case_id}-{line['revision']}"
                self._comment(system, order.ref, f"{line['change']}: {line['reason']}", key=key)
        if not order.status.final and job.told is not None and _was_final(job.told.seen.status):
            self._opened_again(job, system, order)
        job.note(order)

    def watch(self, job: Job, order: Order) -> None:
        """When to look at a closed order: later and later, as long as it may be opened again."""
        since_ms = job.now_ms - job.entry.closed_ms
        if order.raw_status != DELETED and since_ms < WATCHED_MS:
            job.look_at(job.now_ms + min(max(since_ms, FIRST_LOOK_MS), LAST_LOOK_MS))

    def reopen(self, job: Job, system: Cmms, order: Order | None) -> Order | None:
        """The case is open again: so is its order; None where another one has to follow it."""
        if order is not None and order.status.final and system.capabilities.reopens and order.raw_status != DELETED:
            try:
                order = system.set_status(order.ref, Status.OPEN, by=TELLTALE)
            except CmmsRefused as refusal:
                job.set(problem=str(refusal))
        if order is not None and not order.status.final:
            text = f"Open again: {_said(job.case)}"
            self._comment(system, order.ref, text, key=f"{job.case_id}-{job.case.change.revision}-open")
            job.set(stage=Stage.OPEN, codes="", asked_ms=0, closed_ms=0, pictured="")
            return order
        anew = replace(
            job.entry, stage=Stage.PENDING, ref="", parent="", shown="", wrote="", held="", pictured="", codes="",
            asked_ms=0, closed_ms=0, updated_ms=0, named=0, merged=0, writing=0,
        )  # fmt: skip
        if job.entry.ref:
            anew = replace(anew, opening=anew.opening + 1, earlier=job.entry.ref)
        job.set(**{name: getattr(anew, name) for name in vars(anew)})
        return None

    def continued(self, job: Job, system: Cmms, order: Order) -> None:
        """Tells at the order before which one follows it."""
        if job.entry.earlier and order.ref != job.entry.earlier:
            text = f"Telltale goes on in order {order.ref}: {_said(job.case)}"
            self._comment(system, job.entry.earlier, text, key=f"{job.case_id}-{job.entry.opening}-goes-on")

    def _opened_again(self, job: Job, system: Cmms, order: Order) -> None:
        why = f"order {order.ref} is open again in {system.name}"
        self._tell(job, "reopened", order.changed_ms, order.by or TELLTALE, why=why)

    def _closed(self, job: Job, system: Cmms, order: Order) -> Order:
        """The case is over though nobody closed the order: closed with the case's own closure codes."""
        change = job.case.change
        codes, by = closure_from(change.closure), change.by or TELLTALE
        try:
            order = system.set_status(order.ref, Status.DONE, by=by, closure=codes)
        except CmmsRefused as refusal:
            self._refused(job.case, refusal)
            job.set(problem=str(refusal))
            return order
        if not system.capabilities.codes:
            self._comment(system, order.ref, _in_words(codes, by), key=f"{job.case_id}-{change.revision}-codes")
        return order

    # ---- orders that moved

    def followed(self, job: Job, system: Cmms, order: Order) -> Order:
        """The order that this one was merged into, if it was."""
        for _ in range(MERGES):
            into = system.get(order.merged_into) if order.merged_into else None
            if into is None or into.ref == job.entry.ref:
                return order
            order = into
            job.set(ref=order.ref, merged=1)
            self._ledger.belongs(job.case.site, order.ref, job.case_id)
        return order

    def gone(self, job: Job, system: Cmms) -> Order:
        """An order that cannot be read any more: another one under its key, or deleted."""
        key = key_of(job.case_id, job.entry.opening)
        found = system.find(key)
        if found is not None:
            job.set(ref=found.ref)
            return found
        return Order(job.entry.ref, key, Status.CANCELLED, DELETED, changed_ms=job.now_ms)

    def _comment(self, system: Cmms, ref: str, text: str, *, key: str) -> None:
        """A comment that is good to have; a closed order may take none."""
        try:
            system.comment(ref, text, key=key)
        except CmmsRefused:
            return

    def _tell(
        self, job: Job, kind: str, t_ms: int, by: str, closure: Closure | None = None, why: str | None = None
    ) -> None:
        codes = closure.as_dict() if closure else None
        self._control(job.case.position, Control(kind, job.case_id, t_ms, by, codes, why=why))


def _said(case: Case) -> str:
    """Why the case changed last. What was done to a case leaves its reason as it was, and stands in its history."""
    return str(case.history[-1]["reason"]) if case.history else case.change.reason


def _was_final(status: str) -> bool:
    return status in (Status.DONE, Status.CANCELLED)


def _in_words(codes: Closure, by: str) -> str:
    said = f"{codes.failure_mode}, {codes.failure_cause}, {codes.action_taken}"
    return f"{by} says: {said}" + (f" ({codes.note})" if codes.note else "")
