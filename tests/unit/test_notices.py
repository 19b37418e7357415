"""Who is told what of a case, and when: laws for any course of events, and the cases that people ask about."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telltale.core.notices import (
    GRACE_MS,
    LEASE_MS,
    MINUTE_MS,
    SENT,
    URGENT,
    WAITING,
    Decision,
    Mark,
    Muted,
    Notice,
    Step,
    Story,
    decide,
    digest_due,
    digest_from_ms,
    is_free,
    next_free_ms,
)
from telltale.core.recipients import USUAL, Digest, Hours, Recipient

BERLIN = ZoneInfo("Europe/Berlin")
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
EVERY_DAY = tuple(range(7))
NIGHT = Hours(EVERY_DAY, 22 * 60, 6 * 60)
POSITION = "plant/hall/pump-7/motor-de"


def ms(text: str, zone: tzinfo = UTC) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


START = ms("2026-03-02T12:00:00")  # a Monday
NOT_MUTED = Muted()


def recipient(name: str = "mia", **fields: Any) -> Recipient:
    return Recipient(name, "email", "mia@example.com", **fields)


def story(*changes: str | tuple[str, str], **fields: Any) -> Story:
    """Changes of a case, each with its severity where it is not the one before."""
    steps, severity = [], "WARNING"
    for revision, one in enumerate(changes, 1):
        change, severity = (one, severity) if isinstance(one, str) else one
        steps.append(Step(revision, change, START, severity, "tom"))
    return Story("case-a", POSITION, tuple(steps), START, **fields)


def told(n: int = 1, at_ms: int = START, **fields: Any) -> dict[str, Mark]:
    return {"opened": Mark(**{"n": n, "state": SENT, "at_ms": at_ms, "episode": n, "revision": n, **fields})}


def now(
    case: Story,
    whom: Recipient,
    marks: Mapping[str, Mark] | None = None,
    *,
    at: int = START,
    seen: Mapping[int, int] | None = None,
    zone: tzinfo = UTC,
    muted: Muted = NOT_MUTED,
) -> Decision:
    return decide(case, whom, marks or {}, now_ms=at, seen_ms=seen or {}, zone=zone, muted=muted)


def kind(decision: Decision) -> str | None:
    return decision.notice.kind if decision.notice else None


# ---- laws ----------------------------------------------------------------------------------------

ACTS = ("updated", "raised", "acknowledged", "shelved", "unshelved", "grouped", "alone", "resolved", "reopened")


@dataclass
class Course:
    """What becomes of a case: changes at minutes, as detection and people could make them."""

    acts: list[tuple[int, str]]  # minute, act

    def at(self, minute: int) -> Story:
        steps = [Step(1, "opened", START, "WARNING")]
        severity, until_ms, parent, heard = "WARNING", None, "", 0
        for when, act in self.acts:
            over = steps[-1].change == "resolved"
            if when > minute or (act == "reopened") != over:
                continue
            severity = "ALARM" if act == "raised" else "WARNING" if act == "reopened" else severity
            until_ms = START + (when + 600) * MINUTE_MS if act == "shelved" else until_ms
            until_ms = None if act in ("unshelved", "resolved", "raised") else until_ms
            parent = "case-b" if act == "grouped" else "" if act in ("alone", "resolved") else parent
            change = {"raised": "updated", "alone": "grouped"}.get(act, act)
            steps.append(Step(len(steps) + 1, change, START, severity, "tom", parent if change == "grouped" else None))
            heard = when
        return Story("case-a", POSITION, tuple(steps), START + heard * MINUTE_MS, True, False, until_ms, parent)


@dataclass
class Sender:
    """Sends what is due, as the function does; keeps what was sent and when."""

    whom: Recipient
    marks: dict[str, Mark] = field(default_factory=dict)
    seen: dict[int, int] = field(default_factory=dict)
    sent: list[tuple[int, Notice]] = field(default_factory=list)

    def look(self, case: Story, now_ms: int) -> int | None:
        """Sends what is due, and answers when to look again."""
        self.seen.setdefault(case.since(self.whom.severity), now_ms)
        while True:
            decision = decide(case, self.whom, self.marks, now_ms=now_ms, seen_ms=self.seen, zone=BERLIN)
            notice = decision.notice
            if notice is None:
                return decision.again_ms
            self.sent.append((now_ms, notice))
            self.marks[notice.key] = Mark(notice.n, SENT, now_ms, notice.episode, notice.revision, notice.kind)


MINUTES = 3 * 1440
hours = st.builds(
    Hours,
    st.lists(st.integers(0, 6), min_size=1, max_size=7, unique=True).map(lambda days: tuple(sorted(days))),
    st.integers(0, 23).map(lambda hour: hour * 60),
    st.integers(1, 24).map(lambda hour: hour * 60),
)
recipients = st.builds(
    recipient,
    severity=st.sampled_from(["WARNING", "ALARM"]),
    tell=st.sampled_from([USUAL, (*USUAL, "updated", "acknowledged"), ("opened",), ("raised",)]),
    hours=st.lists(hours, max_size=2).map(tuple),
    quiet=st.lists(hours, max_size=1).map(tuple),
    alarm_breaks_quiet=st.booleans(),
    after_min=st.sampled_from([None, 0, 30, 240]),
    remind_min=st.sampled_from([None, 60, 700]),
)
courses = st.builds(
    Course,
    st.lists(st.tuples(st.integers(1, MINUTES), st.sampled_from(ACTS)), max_size=8, unique_by=lambda one: one[0]).map(
        sorted
    ),
)


def looked_at(whom: Recipient, course: Course, minutes: Iterable[int], *, when_told: bool = False) -> Sender:
    """when_told : also whenever the sender itself asked for it."""
    sender, wanted = Sender(whom), sorted(set(minutes))
    while wanted:
        minute = wanted.pop(0)
        again_ms = sender.look(course.at(minute), START + minute * MINUTE_MS)
        if when_told and again_ms is not None:
            again = -(-(again_ms - START) // MINUTE_MS)
            if again <= MINUTES and again > minute:
                wanted = sorted({*wanted, again})
    return sender


@settings(max_examples=25, deadline=None)
@given(recipients, courses, st.lists(st.integers(0, MINUTES), max_size=40))
def test_each_notice_is_sent_once_however_often_and_late_messages_come(
    whom: Recipient, course: Course, minutes: list[int]
) -> None:
    sender = looked_at(whom, course, [*minutes, *minutes])

    keys = [(notice.key, notice.n) for _, notice in sender.sent]
    assert len(keys) == len(set(keys))


@settings(max_examples=12, deadline=None)
@given(recipients, courses)
def test_looking_when_it_says_finds_what_looking_every_ten_minutes_finds(whom: Recipient, course: Course) -> None:
    """All times of this test are whole, so nothing can be due between."""
    course = Course([(minute // 10 * 10, act) for minute, act in course.acts])
    events = [0, *(minute for minute, _ in course.acts)]

    told_only = looked_at(whom, course, events, when_told=True)

    assert told_only.sent == looked_at(whom, course, {*events, *range(0, MINUTES + 1, 10)}).sent


@settings(max_examples=25, deadline=None)
@given(recipients, courses, st.lists(st.integers(0, MINUTES), max_size=40))
def test_nobody_is_told_in_quiet_hours_or_off_duty_but_of_an_alarm_that_may(
    whom: Recipient, course: Course, minutes: list[int]
) -> None:
    for t_ms, notice in looked_at(whom, course, minutes).sent:
        at = datetime.fromtimestamp(t_ms / 1000, BERLIN)
        minute = at.hour * 60 + at.minute
        quiet = any(one.holds(at.weekday(), minute) for one in whom.quiet)

        assert not whom.hours or any(one.holds(at.weekday(), minute) for one in whom.hours)
        assert not quiet or (whom.alarm_breaks_quiet and notice.severity == "ALARM" and notice.kind in URGENT)


@settings(max_examples=25, deadline=None)
@given(recipients, courses, st.lists(st.integers(0, MINUTES), max_size=40))
def test_escalation_and_reminders_stop_when_somebody_acknowledges(
    whom: Recipient, course: Course, minutes: list[int]
) -> None:
    for t_ms, notice in looked_at(whom, course, minutes).sent:
        case = course.at((t_ms - START) // MINUTE_MS)

        assert notice.kind not in ("escalated", "reminder") or case.acknowledged is None


@settings(max_examples=25, deadline=None)
@given(recipients, courses, st.lists(st.integers(0, MINUTES), max_size=40))
def test_nothing_is_told_of_a_case_that_is_shelved_or_that_another_order_names(
    whom: Recipient, course: Course, minutes: list[int]
) -> None:
    for t_ms, notice in looked_at(whom, course, minutes).sent:
        case = course.at((t_ms - START) // MINUTE_MS)

        assert case.parent == ""
        assert notice.kind == "resolved" or case.until_ms is None or case.until_ms <= t_ms


# ---- examples ------------------------------------------------------------------------------------


def test_a_case_that_opens_is_told_at_once() -> None:
    assert kind(now(story("opened"), recipient())) == "opened"


def test_it_is_told_again_when_it_gets_worse_and_when_it_is_over() -> None:
    worse, over = story("opened", ("updated", "ALARM")), story("opened", "resolved")

    assert kind(now(worse, recipient(), told())) == "raised"
    assert kind(now(over, recipient(), told())) == "resolved"


def test_of_what_happened_while_nobody_could_be_told_only_the_last_is() -> None:
    worse, over = story("opened", ("updated", "ALARM")), story("opened", ("updated", "ALARM"), "resolved")

    assert kind(now(worse, recipient())) == "opened"
    assert now(over, recipient()) == Decision(None, "over before it could be told")


def test_who_was_told_of_a_case_before_hears_when_it_is_open_again() -> None:
    again = story("opened", "resolved", "reopened")

    assert kind(now(again, recipient(), told())) == "reopened"
    assert kind(now(again, recipient(), told(n=3))) is None


def test_a_new_case_waits_for_its_work_order_which_may_be_that_of_another() -> None:
    waiting = story("opened", settled=False)

    assert now(waiting, recipient()).again_ms == START + GRACE_MS
    assert kind(now(waiting, recipient(), at=START + GRACE_MS)) == "opened"
    assert kind(now(story("opened", waits=True), recipient(), at=START + DAY_MS)) is None


@pytest.mark.parametrize(
    ("places", "is_told"),
    [((), True), (("hall",), True), (("hall/pump-7",), True), (("hall/pump",), False), (("yard", "hall"), True)],
)
def test_places_are_whole_parts_of_a_path(places: tuple[str, ...], is_told: bool) -> None:
    assert (kind(now(story("opened"), recipient(places=places))) == "opened") is is_told


def test_escalation_counts_from_when_the_case_was_bad_enough_and_free_to_be_told() -> None:
    chief = recipient(after_min=30, severity="ALARM")
    case, seen = story("opened", ("updated", "ALARM")), {1: START - DAY_MS, 2: START}

    assert now(case, chief, seen=seen, at=START + 29 * MINUTE_MS).again_ms == START + 30 * MINUTE_MS
    assert kind(now(case, chief, seen=seen, at=START + 30 * MINUTE_MS)) == "escalated"


def test_once_somebody_has_acknowledged_nobody_else_is_told_and_nobody_is_reminded() -> None:
    taken, late = story("opened", "acknowledged"), START + DAY_MS

    assert now(taken, recipient(after_min=30), seen={1: START}, at=late) == Decision(None, "acknowledged by tom")
    assert now(taken, recipient(remind_min=60), told(), at=late) == Decision(None, "told")


def test_who_is_told_before_the_next_hears_of_a_case_that_was_acknowledged_meanwhile() -> None:
    assert kind(now(story("opened", "acknowledged"), recipient())) == "opened"


def test_a_case_that_is_shelved_is_told_when_that_is_over() -> None:
    shelved = story("opened", "shelved", until_ms=START + HOUR_MS)

    assert (kind(now(shelved, recipient())), now(shelved, recipient()).again_ms) == (None, START + HOUR_MS)
    assert kind(now(shelved, recipient(), at=START + HOUR_MS)) == "opened"


def test_a_case_that_is_not_bad_enough_is_told_once_it_is() -> None:
    alarms = recipient(severity="ALARM")

    assert now(story("opened"), alarms) == Decision(None, "WARNING is below ALARM")
    assert kind(now(story("opened", ("updated", "ALARM")), alarms)) == "opened"


def test_an_alarm_that_is_over_does_not_break_the_quiet() -> None:
    night = recipient(quiet=(Hours(EVERY_DAY, 0, 1430),), alarm_breaks_quiet=True)
    opened, over = story(("opened", "ALARM")), story(("opened", "ALARM"), "resolved")

    assert kind(now(opened, night)) == "opened"
    assert kind(now(over, night, told())) is None
    assert kind(now(over, night, told(), at=ms("2026-03-02T23:50:00"))) == "resolved"


def test_a_reminder_that_could_not_be_sent_is_made_up_for_by_one() -> None:
    whom, marks = recipient(remind_min=60), told()

    late = now(story("opened"), whom, marks, at=START + 5 * HOUR_MS + MINUTE_MS).notice

    assert late is not None
    assert (late.kind, late.count, late.n) == ("reminder", 5, START + 5 * HOUR_MS)
    marks["reminder"] = Mark(late.n, SENT, late.n, 1, 1)
    assert now(story("opened"), whom, marks, at=START + 5 * HOUR_MS + MINUTE_MS).again_ms == START + 6 * HOUR_MS


def test_an_order_that_was_refused_is_told_to_those_who_care_for_the_system() -> None:
    refused = story("opened", refused="no such asset")

    assert kind(now(refused, recipient(system=True, tell=()))) == "refused"
    assert kind(now(refused, recipient(), told())) is None
    assert kind(now(refused, recipient(system=True, tell=()), {"refused": Mark(1, SENT, START, 1, 1)})) is None


def test_a_channel_that_failed_is_asked_again_when_it_said_and_what_is_over_by_then_is_not_told() -> None:
    waiting = {"opened": Mark(1, WAITING, START, 1, 1, not_before_ms=START + HOUR_MS, problem="429")}

    assert now(story("opened"), recipient(), waiting) == Decision(None, "429", START + HOUR_MS)
    assert kind(now(story("opened"), recipient(), waiting, at=START + HOUR_MS)) == "opened"
    assert kind(now(story("opened", "resolved"), recipient(), waiting, at=START + HOUR_MS)) is None


def test_what_a_function_began_to_send_and_did_not_finish_is_sent_again() -> None:
    begun = {"opened": Mark(1, "claimed", START, 1, 1)}

    assert kind(now(story("opened"), recipient(), begun, at=START + LEASE_MS - 1)) is None
    assert kind(now(story("opened"), recipient(), begun, at=START + LEASE_MS)) == "opened"


def test_muted_waits_and_unsubscribed_ends() -> None:
    muted = now(story("opened"), recipient(), muted=Muted(until_ms=START + HOUR_MS))

    assert (kind(muted), muted.again_ms) == (None, START + HOUR_MS)
    assert now(story("opened"), recipient(), muted=Muted(off_by="mia")) == Decision(None, "unsubscribed by mia")


# ---- hours ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "free"),
    [
        ("2026-03-02T05:59:59", "2026-03-02T06:00:00"),
        ("2026-03-02T06:00:00", "2026-03-02T06:00:00"),
        ("2026-03-02T22:00:00", "2026-03-03T06:00:00"),
        ("2026-03-29T01:30:00", "2026-03-29T06:00:00"),  # the night in which an hour is left out
        ("2026-10-25T01:30:00", "2026-10-25T06:00:00"),  # and that in which one comes twice
    ],
)
def test_a_quiet_night_ends_when_the_clock_on_the_wall_says_so(at: str, free: str) -> None:
    whom = recipient(quiet=(NIGHT,))

    assert next_free_ms(whom, ms(at, BERLIN), urgent=False, zone=BERLIN) == ms(free, BERLIN)


def test_hours_that_begin_in_the_hour_that_comes_twice_begin_in_its_second_half_too() -> None:
    whom = recipient(hours=(Hours(EVERY_DAY, 150, 160), Hours(EVERY_DAY, 600, 660)))
    second = ms("2026-10-25T01:10:00")  # 02:10 on the wall, for the second time

    assert next_free_ms(whom, second, urgent=False, zone=BERLIN) == ms("2026-10-25T01:30:00")


def test_an_alarm_breaks_the_quiet_where_it_may_and_never_the_hours_of_duty() -> None:
    midnight = ms("2026-03-03T00:30:00", BERLIN)
    loud = recipient(quiet=(NIGHT,), alarm_breaks_quiet=True)

    assert is_free(loud, midnight, urgent=True, zone=BERLIN)
    assert not is_free(replace(loud, alarm_breaks_quiet=False), midnight, urgent=True, zone=BERLIN)
    assert not is_free(replace(loud, hours=(Hours(EVERY_DAY, 360, 840),)), midnight, urgent=True, zone=BERLIN)


def test_a_night_shift_of_friday_ends_on_saturday() -> None:
    shift = Hours((4,), 22 * 60, 6 * 60)

    assert shift.holds(4, 23 * 60)
    assert shift.holds(5, 5 * 60)
    assert not shift.holds(4, 5 * 60)
    assert not shift.holds(5, 23 * 60)


def test_who_never_may_be_told_is_looked_at_again_and_again_without_end() -> None:
    never = recipient(hours=(Hours((0,), 360, 420),), quiet=(Hours((0,), 360, 420),))

    assert next_free_ms(never, START, urgent=False, zone=UTC) > START + 7 * DAY_MS


# ---- digests -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("digest", "at", "due"),
    [
        (Digest(7 * 60), "2026-03-02T06:59:00", None),
        (Digest(7 * 60), "2026-03-02T07:00:00", "2026-03-02T07:00:00"),
        (Digest(7 * 60), "2026-03-02T12:59:00", "2026-03-02T07:00:00"),
        (Digest(7 * 60), "2026-03-02T13:01:00", None),
        (Digest(7 * 60, weekday=0), "2026-03-03T07:00:00", None),
        (Digest(7 * 60, weekday=1), "2026-03-03T07:00:00", "2026-03-03T07:00:00"),
        (Digest(150), "2026-03-29T03:30:00", "2026-03-29T03:30:00"),  # 02:30 is left out: an hour later
        (Digest(150), "2026-10-25T02:30:00", "2026-10-25T02:30:00"),
    ],
)
def test_a_digest_is_due_at_its_minute_on_the_wall_and_for_some_hours(digest: Digest, at: str, due: str | None) -> None:
    found = digest_due(recipient(digest=digest), 0, now_ms=ms(at, BERLIN), zone=BERLIN)

    assert found == (None if due is None else ms(due, BERLIN))


def test_a_minute_that_comes_twice_in_autumn_has_one_digest() -> None:
    whom, first = recipient(digest=Digest(150)), ms("2026-10-25T00:30:00")

    assert digest_due(whom, 0, now_ms=first, zone=BERLIN) == first
    assert digest_due(whom, first, now_ms=first + HOUR_MS, zone=BERLIN) is None


@pytest.mark.parametrize(("digest", "days"), [(Digest(420), 1), (Digest(420, weekday=0), 7)])
def test_a_digest_tells_of_what_was_since_the_one_before(digest: Digest, days: int) -> None:
    due = ms("2026-03-02T07:00:00")

    assert digest_from_ms(digest, due, UTC) == due - days * DAY_MS


def test_a_digest_is_sent_once_and_not_to_who_wants_none() -> None:
    due = ms("2026-03-02T07:00:00")
    whom = recipient(digest=Digest(420))

    assert digest_due(whom, due, now_ms=due, zone=UTC) is None
    assert digest_due(whom, 0, now_ms=due, zone=UTC, muted=Muted(off_by="mia")) is None
    assert digest_due(recipient(), 0, now_ms=due, zone=UTC) is None
