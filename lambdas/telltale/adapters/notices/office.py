"""Sends what is due: looks at a case as it is, asks the core what each recipient is to be told, and tells it once.

Level-triggered, like work orders: a message only names a case. A channel that is down is asked again, later and later,
while the others go on; what is over by then is not told any more.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from telltale.adapters.cases import PENDING, WATCHING, Case, Cases
from telltale.adapters.cmms.port import CmmsBusy
from telltale.adapters.ledger import Stage
from telltale.adapters.notices.port import Channel, Refused
from telltale.adapters.notices.sns import NotSubscribed
from telltale.adapters.notices.table import CaseNotices, NoticesTable
from telltale.adapters.registry import Registry
from telltale.core.errors import RetryLater, TelltaleError
from telltale.core.notice_text import Told, Words, case_line, digest_words, trial_words, words_of
from telltale.core.notices import (
    CLAIMED,
    GIVEN_UP,
    MINUTE_MS,
    SENT,
    WAITING,
    Decision,
    Mark,
    Notice,
    Step,
    Story,
    decide,
    digest_due,
    digest_from_ms,
)
from telltale.core.persistence import LEVELS
from telltale.core.plant import Position, Site
from telltale.core.recipients import Recipient

LAST_WAIT_MS = 10 * MINUTE_MS  # a channel that is down for long; less than a period of its alarm (infra/alarms.py)
ATTEMPTS = 148  # 1, 2, 4 and 8 minutes apart and then ten: a day, after which nobody needs to hear of it (guess)
LONGEST_ASKED_MS = 360 * MINUTE_MS  # what a channel may ask for with Retry-After
MISSED_MS = 60 * MINUTE_MS  # how far back cases are looked for whose events never came
MOST = 8  # notices to one recipient at one look; there are as many kinds
FALSE_ALARM = "NO_ISSUE"


class NoSuchCase(TelltaleError):
    """A message names a case that the table does not hold."""


class Linking(Protocol):
    """Makes links (adapters/links.py)."""

    def evidence(self, case_id: str, *, opened_ms: int) -> str: ...

    def unsubscribe(self, site: str, recipient: str) -> str: ...


@dataclass(frozen=True)
class Outcome:
    """How one notice went. state : SENT, WAITING or GIVEN_UP."""

    site: str
    recipient: str
    once: str
    state: str
    problem: str = ""


class Office:
    """Sends notices.

    channel : of a site and a recipient; raises RetryLater.   told : hears how each notice went.
    """

    def __init__(
        self,
        *,
        cases: Cases,
        table: NoticesTable,
        registry: Registry,
        channel: Callable[[Site, Recipient], Channel],
        links: Linking,
        told: Callable[[Outcome], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._cases, self._table, self._registry = cases, table, registry
        self._channel, self._links, self._told, self._now_ms = channel, links, told, now_ms
        self._down_ms: dict[
            tuple[str, str], int
        ] = {}  # until when a recipient's channel is not asked for another notice

    # ---- cases

    def look(self, case_id: str) -> None:
        """Sends what recipients are due of a case, and notes when to look again. Raises NoSuchCase."""
        case = self._cases.get(case_id)
        if case is None:
            raise NoSuchCase(f"case {case_id} is not in the table of cases")
        site = self._registry.sites([case.site]).get(case.site)
        recipients = [] if site is None else [one for one in site.notices if one.is_told_of(case.position)]
        story = story_of(case)
        if site is None or not recipients:
            if self._table.case(case_id) is not None:
                self._table.look_again(case_id, story.revision, None)
            return
        starts = {story.since(one.severity) for one in recipients}
        known = self._table.opened(case_id, starts, self._now_ms())
        told = told_of(case, self._registry.positions([case.position]).get(case.position, Position(case.position)))
        again = [self._tell(site, one, story, told, known) for one in recipients]
        self._table.look_again(case_id, story.revision, min((t_ms for t_ms in again if t_ms is not None), default=None))

    def due(self) -> list[str]:
        """The cases that are to be looked at by now."""
        return list(self._table.due(self._now_ms()))

    def missed(self) -> Iterator[str]:
        """Cases that changed lately and that nobody has looked at: their events never came."""
        now = self._now_ms()
        for outbox in (PENDING, WATCHING):
            for case_id in self._cases.waiting(outbox, before_ms=now - MINUTE_MS, since_ms=now - MISSED_MS):
                if self._table.case(case_id) is None:
                    yield case_id

    def _tell(self, site: Site, recipient: Recipient, story: Story, told: Told, known: CaseNotices) -> int | None:
        """Tells one recipient all it is due; answers when it may be due something else."""
        marks = known.of(recipient.name)
        muted = self._table.person(site.id, recipient.name).muted
        zone = ZoneInfo(site.time_zone)
        for _ in range(MOST):
            now = self._now_ms()
            decision = decide(story, recipient, marks, now_ms=now, seen_ms=known.seen_ms, zone=zone, muted=muted)
            notice = decision.notice
            if notice is None:
                return decision.again_ms
            mark = self._mark(notice, marks.get(notice.key), now)
            token = self._table.claim(story.case_id, recipient.name, notice.key, mark)
            if token is None:  # somebody else is at it, or has sent it: look again when that must have ended
                return now + MINUTE_MS
            words = words_of(
                notice,
                story,
                told,
                recipient,
                zone=zone,
                now_ms=now,
                link=self._links.evidence(story.case_id, opened_ms=told.opened_ms),
                stop=self._links.unsubscribe(site.id, recipient.name),
            )
            marks[notice.key] = self._sent_unless_down(site, recipient, words, mark)
            self._table.settle(story.case_id, recipient.name, notice.key, marks[notice.key], token)
        return self._now_ms() + MINUTE_MS

    def _mark(self, notice: Notice, before: Mark | None, now: int) -> Mark:
        again = before is not None and before.n == notice.n
        attempts = before.attempts if before is not None and again else 0
        return Mark(notice.n, CLAIMED, now, notice.episode, notice.revision, notice.kind, attempts)

    def _sent_unless_down(self, site: Site, recipient: Recipient, words: Words, mark: Mark) -> Mark:
        """As `_sent`; but a channel that has just failed, and may have taken all its time for it, is left alone."""
        down_ms = self._down_ms.get((site.id, recipient.name), 0)
        if down_ms <= self._now_ms():
            return self._sent(site, recipient, words, mark)
        after = replace(mark, state=WAITING, not_before_ms=down_ms, problem="its channel failed a moment ago")
        self._told(Outcome(site.id, recipient.name, words.once, after.state, after.problem))
        return after

    def _sent(self, site: Site, recipient: Recipient, words: Words, mark: Mark) -> Mark:
        """The mark as it is after sending. Whatever goes wrong is in it, so that the others go on."""
        try:
            self._channel(site, recipient).send(recipient, words)
        except Refused as refused:
            after = replace(mark, state=GIVEN_UP, problem=str(refused))
        except RetryLater as later:
            after = self._later(site, recipient, mark, later)
        else:
            after = replace(mark, state=SENT, at_ms=self._now_ms(), attempts=mark.attempts + 1)
            if recipient.channel == "email":
                self._table.confirmed(site.id, recipient.name, at_ms=after.at_ms)
        self._told(Outcome(site.id, recipient.name, words.once, after.state, after.problem))
        return after

    def _later(self, site: Site, recipient: Recipient, mark: Mark, later: RetryLater) -> Mark:
        person = self._table.person(site.id, recipient.name)
        if isinstance(later, NotSubscribed) and not later.pending and person.confirmed_ms:
            self._table.unsubscribe(site.id, recipient.name, by="the link in SNS's mail", at_ms=self._now_ms())
            return replace(mark, state=GIVEN_UP, problem="unsubscribed by the link in SNS's mail")
        attempts = mark.attempts + 1
        if attempts >= ATTEMPTS:
            return replace(mark, state=GIVEN_UP, attempts=attempts, problem=f"given up after a day: {later}")
        now, asked_s = self._now_ms(), later.after_s if isinstance(later, CmmsBusy) else None
        asked_ms = min(round((asked_s or 0) * 1000), LONGEST_ASKED_MS)
        self._down_ms[site.id, recipient.name] = now + max(asked_ms, MINUTE_MS)
        wait_ms = max(min(MINUTE_MS * 2 ** min(attempts - 1, 10), LAST_WAIT_MS), asked_ms)
        return replace(mark, state=WAITING, attempts=attempts, not_before_ms=now + wait_ms, problem=str(later))

    # ---- digests

    def digests(self, sites: Iterable[Site]) -> None:
        """Sends the digests that are due."""
        every = cache(lambda: list(self._cases.all()))  # read once, if anybody is due one
        for site in sites:
            for recipient in site.notices:
                if recipient.digest is None:
                    continue
                due_ms = self._digest_due(site, recipient)
                if due_ms is not None:
                    self._digest(site, recipient, due_ms, every)

    def _digest_due(self, site: Site, recipient: Recipient) -> int | None:
        now, zone = self._now_ms(), ZoneInfo(site.time_zone)
        if digest_due(recipient, 0, now_ms=now, zone=zone) is None:  # as it is at most minutes; asks nobody
            return None
        person = self._table.person(site.id, recipient.name)
        before = person.digest
        sent_ms = before.n if before is not None and before.told else 0
        return digest_due(recipient, sent_ms, now_ms=now, zone=zone, muted=person.muted)

    def _digest(self, site: Site, recipient: Recipient, due_ms: int, cases: Callable[[], Sequence[Case]]) -> None:
        before = self._table.person(site.id, recipient.name).digest
        attempts = before.attempts if before is not None and before.n == due_ms else 0
        mark = Mark(due_ms, CLAIMED, self._now_ms(), 0, 0, "digest", attempts)
        token = self._table.claim_digest(site.id, recipient.name, mark)
        if token is None:
            return
        words = self._digest_words(site, recipient, due_ms, [case for case in cases() if case.site == site.id])
        after = self._sent_unless_down(site, recipient, words, mark)
        self._table.settle_digest(site.id, recipient.name, after, token)

    def _digest_words(self, site: Site, recipient: Recipient, due_ms: int, cases: Iterable[Case]) -> Words:
        zone = ZoneInfo(site.time_zone)
        assert recipient.digest is not None  # only those who want one are asked
        from_ms = digest_from_ms(recipient.digest, due_ms, zone)
        mine = [case for case in cases if recipient.is_told_of(case.position) and recipient.minds(case.change.severity)]
        mine.sort(key=lambda case: (-LEVELS.index(case.change.severity), case.change.opened_ms))
        closed = [case for case in mine if (t_ms := closed_ms(case)) is not None and from_ms <= t_ms < due_ms]
        still_open = [case for case in mine if not case.is_over]
        positions = self._registry.positions([case.position for case in (*still_open, *closed)])
        lines = [
            [
                case_line(story_of(case), told_of(case, positions.get(case.position, Position(case.position))))
                for case in some
            ]
            for some in (still_open, closed)
        ]
        return digest_words(
            recipient,
            site.id,
            still_open=lines[0],
            closed=lines[1],
            false_alarms=sum((case.change.closure or {}).get("failure_mode") == FALSE_ALARM for case in closed),
            from_ms=from_ms,
            due_ms=due_ms,
            zone=zone,
            stop=self._links.unsubscribe(site.id, recipient.name),
        )

    # ---- people

    def unsubscribed(self, site: str, recipient: str, at_ms: int) -> None:
        """Somebody used the link in a notice."""
        self._table.unsubscribe(site, recipient, by="the link in a notice", at_ms=at_ms)

    def tried(self, site_id: str, name: str, *, by: str, id_: str) -> None:
        """Sends a test to a recipient, at any hour, and keeps how it went."""
        if self._table.trial(id_) is not None:
            return
        site = self._registry.sites([site_id]).get(site_id)
        recipient = next((one for one in site.notices if one.name == name), None) if site is not None else None
        if site is None or recipient is None:
            self._table.tried(id_, f"{site_id} has no recipient {name}")
            return
        if (off_by := self._table.person(site_id, name).off_by) != "":
            self._table.tried(id_, f"{name} has unsubscribed, by {off_by}")
            return
        stop = self._links.unsubscribe(site_id, name)
        mark = Mark(0, CLAIMED, self._now_ms(), 0, 0, "test")
        self._table.tried(
            id_, self._sent(site, recipient, trial_words(recipient, site_id, by=by, once=id_, stop=stop), mark).problem
        )


def explained(
    case: Case, recipient: Recipient, known: CaseNotices | None, *, site: Site, now_ms: int, table: NoticesTable
) -> Decision:
    """What the recipient is due of a case now, or why nothing; for people who ask."""
    return decide(
        story_of(case),
        recipient,
        known.of(recipient.name) if known is not None else {},
        now_ms=now_ms,
        seen_ms=known.seen_ms if known is not None else {},
        zone=ZoneInfo(site.time_zone),
        muted=table.person(site.id, recipient.name).muted,
    )


def story_of(case: Case) -> Story:
    """The case as the core wants it."""
    change, order = case.change, case.order
    steps = [_step(line) for line in case.history]
    if not steps or steps[-1].revision < change.revision:
        steps.append(_step(vars(change)))
    return Story(
        case_id=change.case_id,
        position=case.position,
        steps=tuple(sorted(steps, key=lambda one: one.revision)),
        heard_ms=case.changed_at,
        settled=case.outbox != PENDING and order is not None,
        waits=order is not None and order.state in (Stage.CHILD, Stage.SHELVED),
        until_ms=change.until_ms,
        parent=change.parent or "",
        refused=order.problem or "refused" if order is not None and order.state == Stage.REFUSED else "",
    )


def told_of(case: Case, position: Position) -> Told:
    """What a notice says of a case beside its story."""
    change, order = case.change, case.order
    return Told(
        reason=change.reason,
        opened_ms=change.opened_ms,
        position=position,
        fault=change.fault,
        evidence=change.evidence,
        order=f"{order.ref} ({order.state})" if order is not None and order.ref else "",
        closure=change.closure,
        by=change.by,
    )


def closed_ms(case: Case) -> int | None:
    """When the line heard that the case was over; None while it is not."""
    if not case.is_over:
        return None
    lines = [line for line in case.history if line["change"] == "resolved"]
    return int(lines[-1].get("heard_ms") or lines[-1]["t_ms"]) if lines else case.changed_at


def _step(line: Mapping[str, Any]) -> Step:
    return Step(
        int(line["revision"]), line["change"], int(line["t_ms"]), line["severity"], line.get("by"), line.get("parent")
    )
