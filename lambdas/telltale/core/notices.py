"""Which notice of a case each recipient is due now, if any, and when to look again.

Nothing here depends on messages: what is due follows from the case as it is, the clock, and what was sent. So events
that come twice, late, out of order or never lead to the same notices, and of what changed while a recipient could not
be told only the last thing is.

A case is told once for each of its episodes, which begin when it opens and whenever it is opened again; then what
changes in the episode. A case that is shelved, or that another case's work order names, is not told.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from telltale.core.persistence import LEVELS
from telltale.core.recipients import DAY_MIN, Digest, Hours, Recipient

MINUTE_MS = 60_000
# How long a notice waits for the case's work order, by which it is known whether another one names it. Longer than a
# slow maintenance system takes (three calls of 13 s), shorter than anybody minds (guess).
GRACE_MS = 2 * MINUTE_MS
LATE_MS = 6 * 60 * MINUTE_MS  # a digest that could not be sent for so long is left out: the next one has it all (guess)
AHEAD_DAYS = 8  # any time of the week begins again within them
LOOK_MS = 15 * MINUTE_MS  # how often a case is looked at whose order waits, beside its events (guess)
LEASE_MS = 3 * MINUTE_MS  # longer than the function may run, so that what it began is sent again only if it died

BEGINS = ("opened", "reopened")
SENT, CLAIMED, WAITING, GIVEN_UP = "sent", "claimed", "waiting", "given up"
OPENED, RAISED, UPDATED, ESCALATED, REMINDER = "opened", "raised", "updated", "escalated", "reminder"
REOPENED, ACKNOWLEDGED, RESOLVED, CONFIRMED, REFUSED = "reopened", "acknowledged", "resolved", "confirmed", "refused"
FIRST = (OPENED, REOPENED, ESCALATED)  # by which a recipient hears of an episode
URGENT = (*FIRST, RAISED, REMINDER)  # what an ALARM breaks the quiet with


@dataclass(frozen=True)
class Step:
    """One change of a case, as its history has it."""

    revision: int
    change: str
    t_ms: int
    severity: str
    by: str | None = None
    parent: str | None = None


@dataclass(frozen=True)
class Story:
    """A case: its changes in order, and what only its last state tells.

    heard_ms : when the last change was stored.   settled : its work order has caught up with it.   waits : the order
    was not made, for the case is shelved or another one's names it.   until_ms : it is shelved until then.   parent :
    the case whose order names it.   refused : why the maintenance system refused the order; "" if it did not.
    """

    case_id: str
    position: str
    steps: tuple[Step, ...]
    heard_ms: int
    settled: bool = True
    waits: bool = False
    until_ms: int | None = None
    parent: str = ""
    refused: str = ""

    @property
    def revision(self) -> int:
        return self.steps[-1].revision

    @property
    def severity(self) -> str:
        return self.steps[-1].severity

    @property
    def episode(self) -> int:
        """The revision with which the case was opened last."""
        return next((one.revision for one in reversed(self.steps) if one.change in BEGINS), self.steps[0].revision)

    @property
    def over(self) -> Step | None:
        """Where it was resolved, if it is."""
        last = next((one for one in reversed(self.steps) if one.change in (*BEGINS, RESOLVED)), None)
        return last if last is not None and last.change == RESOLVED else None

    @property
    def acknowledged(self) -> Step | None:
        """Where somebody took it up in this episode."""
        return next((one for one in self.here if one.change == ACKNOWLEDGED), None)

    @property
    def here(self) -> tuple[Step, ...]:
        """The steps of this episode."""
        return tuple(one for one in self.steps if one.revision >= self.episode)

    def last(self, change: str) -> int:
        """The last revision of this episode that is such a change; 0 for none."""
        return max((one.revision for one in self.here if one.change == change), default=0)

    def risen(self, severity: str) -> int:
        """The revision with which it reached this severity in this episode; 0 if it did not."""
        bad = (one.revision for one in self.here if LEVELS.index(one.severity) >= LEVELS.index(severity))
        return min(bad, default=0)

    def since(self, severity: str) -> int:
        """The revision since which it is as bad as this and neither shelved nor named by another's order."""
        free = (
            one.revision
            for one in self.here
            if one.change == "unshelved" or (one.change == "grouped" and not one.parent)
        )
        return max(self.episode, self.risen(severity), max(free, default=0))


@dataclass(frozen=True)
class Notice:
    """What a recipient is to be told. n : which one of its kind; it only grows.   count : of a reminder, from 1."""

    kind: str
    n: int
    episode: int
    revision: int
    severity: str
    count: int = 0

    @property
    def key(self) -> str:
        """The kind under which it is remembered: an episode is told once, in whichever words."""
        return OPENED if self.kind in FIRST else self.kind


@dataclass(frozen=True)
class Mark:
    """What is remembered of the last notice of a kind to a recipient.

    at_ms : when it was sent, or when somebody began to.   not_before_ms : of one that waits for its channel.
    """

    n: int
    state: str
    at_ms: int
    episode: int
    revision: int
    kind: str = ""
    attempts: int = 0
    not_before_ms: int = 0
    problem: str = ""

    @property
    def told(self) -> bool:
        return self.state in (SENT, GIVEN_UP)


@dataclass(frozen=True)
class Decision:
    """What is due now; or why nothing is, and when something may be (None: when the case changes)."""

    notice: Notice | None
    why: str = ""
    again_ms: int | None = None


@dataclass(frozen=True)
class Muted:
    """What a recipient has said about being told. off_by : who stopped it for good; "" for nobody."""

    off_by: str = ""
    until_ms: int = 0


def decide(
    story: Story,
    recipient: Recipient,
    marks: Mapping[str, Mark],
    *,
    now_ms: int,
    seen_ms: Mapping[int, int],
    zone: tzinfo,
    muted: Muted = Muted(),
) -> Decision:
    """The one notice that this recipient is due.

    marks : by Notice.key, of this recipient.   seen_ms : revision → when it was first seen with that one being the last
    since which the case can be told (Story.since).
    """
    if not recipient.is_told_of(story.position):
        return Decision(None, "not one of its places")
    if muted.off_by:
        return Decision(None, f"unsubscribed by {muted.off_by}")
    wanted = _wanted(story, recipient, marks, now_ms=now_ms, seen_ms=seen_ms)
    if wanted.notice is None:
        return wanted
    mark = marks.get(wanted.notice.key)
    if mark is not None and mark.n == wanted.notice.n:
        busy_ms = mark.not_before_ms if mark.state == WAITING else mark.at_ms + LEASE_MS
        if now_ms < busy_ms:
            return Decision(None, mark.problem or "being sent", busy_ms)
    urgent = wanted.notice.severity == "ALARM" and wanted.notice.kind in URGENT
    free_ms = next_free_ms(recipient, now_ms, urgent=urgent, zone=zone, muted_until_ms=muted.until_ms)
    if free_ms > now_ms:
        return Decision(None, f"not its hours, or muted, until {_local(free_ms, zone):%a %H:%M}", free_ms)
    return wanted


def _wanted(
    story: Story, recipient: Recipient, marks: Mapping[str, Mark], *, now_ms: int, seen_ms: Mapping[int, int]
) -> Decision:
    """As `decide`, at any hour."""
    refused = Notice(REFUSED, story.revision, story.episode, story.revision, story.severity)
    if recipient.system and story.refused and _is_new(refused, marks):
        return Decision(refused)
    told = marks.get(OPENED)
    heard = told is not None and told.told and told.episode == story.episode
    if story.over is not None:
        return _after(story, recipient, marks, heard)
    if not recipient.minds(story.severity):
        return Decision(None, f"{story.severity} is below {recipient.severity}")
    if story.parent:
        return Decision(None, f"the work order of {story.parent} names it")
    if story.until_ms is not None and story.until_ms > now_ms:
        return Decision(
            None,
            f"shelved until {datetime.fromtimestamp(story.until_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC",
            story.until_ms,
        )
    if not story.settled and now_ms < story.heard_ms + GRACE_MS:
        return Decision(None, "waits for its work order", story.heard_ms + GRACE_MS)
    if story.settled and story.waits:
        return Decision(None, "its work order waits, or another one names it", now_ms + LOOK_MS)
    if not heard:
        return _first(story, recipient, now_ms, seen_ms)
    return _change(story, recipient, marks) or _reminder(story, recipient, marks, now_ms)


def _first(story: Story, recipient: Recipient, now_ms: int, seen_ms: Mapping[int, int]) -> Decision:
    """A recipient that has not heard of this episode."""
    first = story.episode == story.steps[0].revision
    kind = OPENED if first else REOPENED
    if kind not in recipient.tell and not (RAISED in recipient.tell and story.risen(story.severity) > story.episode):
        return Decision(None, f"not told that cases are {kind}")
    if recipient.after_min is not None:
        if story.acknowledged is not None:
            return Decision(None, f"acknowledged by {story.acknowledged.by or 'somebody'}")
        due_ms = seen_ms.get(story.since(recipient.severity), now_ms) + round(recipient.after_min * MINUTE_MS)
        if now_ms < due_ms:
            return Decision(None, f"only if nobody acknowledges for {recipient.after_min:g} min", due_ms)
        kind = ESCALATED
    return Decision(Notice(kind, story.episode, story.episode, story.revision, story.severity))


def _change(story: Story, recipient: Recipient, marks: Mapping[str, Mark]) -> Decision | None:
    """What has changed since the recipient was told last, the most important first."""
    known = max(mark.revision for mark in marks.values() if mark.told and mark.episode == story.episode)
    changes = {
        RAISED: story.risen(story.severity),
        UPDATED: story.last(UPDATED),
        ACKNOWLEDGED: story.last(ACKNOWLEDGED),
    }
    for kind, revision in changes.items():
        if kind in recipient.tell and revision > known:
            return Decision(Notice(kind, revision, story.episode, story.revision, story.severity))
    return None


def _reminder(story: Story, recipient: Recipient, marks: Mapping[str, Mark], now_ms: int) -> Decision:
    if recipient.remind_min is None or story.acknowledged is not None:
        return Decision(None, "told")
    told_ms, every_ms = marks[OPENED].at_ms, round(recipient.remind_min * MINUTE_MS)
    count = (now_ms - told_ms) // every_ms
    due_ms = told_ms + count * every_ms
    notice = Notice(REMINDER, due_ms, story.episode, story.revision, story.severity, count)
    if count >= 1 and _is_new(notice, marks):
        return Decision(notice, again_ms=due_ms + every_ms)
    return Decision(None, "told", due_ms + every_ms)


def _after(story: Story, recipient: Recipient, marks: Mapping[str, Mark], heard: bool) -> Decision:
    """Of a case that is over those are told who had heard of it."""
    for kind in (RESOLVED, CONFIRMED):
        revision = story.last(kind)
        notice = Notice(kind, revision, story.episode, story.revision, story.severity)
        if heard and revision and kind in recipient.tell and _is_new(notice, marks):
            return Decision(notice)
    return Decision(None, "told" if heard else "over before it could be told")


def _is_new(notice: Notice, marks: Mapping[str, Mark]) -> bool:
    mark = marks.get(notice.key)
    return mark is None or mark.n < notice.n or (mark.n == notice.n and not mark.told)


# ---- hours ---------------------------------------------------------------------------------------


def is_free(recipient: Recipient, t_ms: int, *, urgent: bool, zone: tzinfo) -> bool:
    """The recipient may be told at this time, muted or not. urgent : of an ALARM, and of a kind that breaks quiet."""
    at = _local(t_ms, zone)
    minute = at.hour * 60 + at.minute
    if recipient.hours and not any(one.holds(at.weekday(), minute) for one in recipient.hours):
        return False
    return (urgent and recipient.alarm_breaks_quiet) or not is_quiet(recipient.quiet, at.weekday(), minute)


def is_quiet(quiet: Sequence[Hours], weekday: int, minute: int) -> bool:
    return any(one.holds(weekday, minute) for one in quiet)


def next_free_ms(recipient: Recipient, now_ms: int, *, urgent: bool, zone: tzinfo, muted_until_ms: int = 0) -> int:
    """The first time from now on at which the recipient may be told; a day and a week ahead where there is none."""
    first_ms = max(now_ms, muted_until_ms)
    if is_free(recipient, first_ms, urgent=urgent, zone=zone):
        return first_ms
    edges = {edge for one in (*recipient.hours, *recipient.quiet) for edge in (one.from_min, one.to_min % DAY_MIN)} | {
        0
    }
    later = sorted(t_ms for t_ms in _times(_local(first_ms, zone), sorted(edges), zone) if t_ms > first_ms)
    return next(
        (t_ms for t_ms in later if is_free(recipient, t_ms, urgent=urgent, zone=zone)),
        first_ms + AHEAD_DAYS * DAY_MIN * MINUTE_MS,
    )


def _times(start: datetime, minutes: Sequence[int], zone: tzinfo) -> Iterator[int]:
    """These minutes of the days from `start` on; where the clock is put back, both of them."""
    for day in range(-1, AHEAD_DAYS + 1):
        date = start.date() + timedelta(days=day)
        for minute in minutes:
            for fold in (0, 1):
                yield _ms(datetime(date.year, date.month, date.day, minute // 60, minute % 60, tzinfo=zone, fold=fold))


def _local(t_ms: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(t_ms / 1000, zone)


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


# ---- digests -------------------------------------------------------------------------------------


def digest_due(
    recipient: Recipient,
    sent_ms: int,
    *,
    now_ms: int,
    zone: tzinfo,
    muted: Muted = Muted(),
) -> int | None:
    """The time of the digest that is to be sent now; None for none. sent_ms : that of the last one.

    A minute that the clock leaves out in spring comes an hour later, one that it repeats in autumn counts once.
    """
    if recipient.digest is None or muted.off_by or now_ms < muted.until_ms:
        return None
    due_ms = last_digest_ms(recipient.digest, now_ms, zone)
    at = _local(now_ms, zone)
    if (
        now_ms - due_ms > LATE_MS
        or due_ms <= sent_ms
        or is_quiet(recipient.quiet, at.weekday(), at.hour * 60 + at.minute)
    ):
        return None
    return due_ms


def last_digest_ms(digest: Digest, now_ms: int, zone: tzinfo) -> int:
    """When the last digest was due."""
    for back in range(AHEAD_DAYS):
        date = _local(now_ms, zone).date() - timedelta(days=back)
        at = datetime(date.year, date.month, date.day, digest.at_min // 60, digest.at_min % 60, tzinfo=zone)
        if _ms(at) <= now_ms and digest.weekday in (None, date.weekday()):
            return _ms(at)
    raise ValueError(f"no {digest} in {AHEAD_DAYS} days")


def digest_from_ms(digest: Digest, due_ms: int, zone: tzinfo) -> int:
    """The beginning of what the digest of this time is about: when the one before was due."""
    return last_digest_ms(digest, due_ms - 1, zone)
