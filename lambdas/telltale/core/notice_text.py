"""What a notice says: the same words in a mail, a text message, Slack and Teams."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from telltale.core.explain import check_next, diagnosis_sentence, fault_words, forecast_sentence
from telltale.core.notices import (
    ACKNOWLEDGED,
    CONFIRMED,
    ESCALATED,
    MINUTE_MS,
    RAISED,
    REFUSED,
    REMINDER,
    REOPENED,
    RESOLVED,
    Notice,
    Story,
)
from telltale.core.plant import Position
from telltale.core.recipients import Recipient

SUBJECT = 99  # characters of a mail's subject, ASCII (SNS Publish, API reference)
# Characters of one text message in GSM's alphabet, and of each of several (3GPP TS 23.040: 140 bytes less a header).
SMS, SMS_PART = 160, 153
LEAST_WORDS = 24  # of a text message beside its link: a severity and a name. Fewer, and it takes a second part (guess)
CUT = ".."  # after a text message that was cut
NAMED = 20  # cases that a digest lists one by one
BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)  # 3GPP TS 23.038, 6.2.1
EXTENSION = frozenset("^{}\\[~]|€")  # two septets each (6.2.1.1)
IN_GSM = BASIC | EXTENSION
SPELLED: Mapping[str, str] = {
    "…": "...",
    "–": "-",
    "—": "-",
    "×": "x",
    "·": "-",
    "°": "deg ",
    "µ": "u",
    "→": "->",
    "’": "'",
}


@dataclass(frozen=True)
class Words:
    """A notice in words. facts : label → what, in order.   brief : the title in fewer words.   link : to the evidence,
    stop : to unsubscribe; "" where there is none.   why : whom it is for.   once : the same for the same notice.
    """

    severity: str
    title: str
    brief: str
    facts: tuple[tuple[str, str], ...] = ()
    link: str = ""
    stop: str = ""
    why: str = ""
    once: str = ""


@dataclass(frozen=True)
class Told:
    """What a notice needs to know of a case beside its story.

    evidence : of the case.   order : how its work order stands; "" for none.   closure : how it ended.
    """

    reason: str
    opened_ms: int
    position: Position
    fault: str | None = None
    evidence: Mapping[str, Any] | None = None
    order: str = ""
    closure: Mapping[str, str] | None = None
    by: str | None = None


def words_of(
    notice: Notice, story: Story, told: Told, recipient: Recipient, *, zone: tzinfo, now_ms: int, link: str, stop: str
) -> Words:
    """The notice of a case."""
    name = name_of(told.position)
    what = fault_words(told.fault) if told.fault else told.reason
    lead, brief = _lead(notice, story, told, recipient, now_ms)
    evidence = told.evidence or {}
    over = notice.kind in (RESOLVED, CONFIRMED)
    facts = {
        "Where": f"{name} ({story.position})",
        "Severity": story.severity,
        "Since": f"{datetime.fromtimestamp(told.opened_ms / 1000, zone):%Y-%m-%d %H:%M}",
        "Why": told.reason,
        "Diagnosis": diagnosis_sentence(evidence),
        "Forecast": None if over else forecast_sentence(evidence),
        "Check next": None if over else check_next(evidence),
        "Suggested": None if over else told.position.action,
        "Refused": story.refused if notice.kind == REFUSED else None,
        "Acknowledged": _by(story) if story.acknowledged is not None else None,
        "Found and done": _closure(told.closure),
        "Work order": told.order,
        "Case": story.case_id,
    }
    return Words(
        severity=story.severity,
        title=f"{lead}: {name}: {what}",
        brief=f"{brief} {name}: {what}",
        facts=tuple((label, fact) for label, fact in facts.items() if fact),
        link=link,
        stop=stop,
        why=_why(recipient, story.position.split("/")[0]),
        once=f"{story.case_id}/{recipient.name}/{notice.key}/{notice.n}",
    )


def _lead(notice: Notice, story: Story, told: Told, recipient: Recipient, now_ms: int) -> tuple[str, str]:
    """How the notice begins, and in one or two words."""
    open_for = age((now_ms - told.opened_ms) / MINUTE_MS)
    by = told.by or "somebody"
    leads = {
        RAISED: (f"Now {story.severity}", f"Now {story.severity}"),
        REOPENED: (f"Open again: {story.severity}", f"Again {story.severity}"),
        ESCALATED: (
            f"{story.severity}, not acknowledged for {age(recipient.after_min or 0)}",
            f"Unacknowledged {story.severity}",
        ),
        REMINDER: (
            f"Still {story.severity}, open for {open_for}, nobody has acknowledged it",
            f"Still {story.severity}",
        ),
        ACKNOWLEDGED: (f"Acknowledged by {_by(story)}", "Acknowledged"),
        RESOLVED: (f"Resolved by {by}", "Resolved"),
        CONFIRMED: ("Repair confirmed", "Confirmed"),
        REFUSED: ("Work order refused", "Order refused"),
    }
    return leads.get(notice.kind, (story.severity, story.severity))


def digest_words(
    recipient: Recipient,
    site: str,
    *,
    still_open: Sequence[str],
    closed: Sequence[str],
    false_alarms: int,
    from_ms: int,
    due_ms: int,
    zone: tzinfo,
    stop: str,
) -> Words:
    """What is open, and what was closed since the digest before. A case is one line, the worst first."""
    counts = f"{len(still_open)} open, {len(closed)} closed, {_count(false_alarms, 'false alarm')}"
    since = f"{datetime.fromtimestamp(from_ms / 1000, zone):%Y-%m-%d %H:%M}"
    facts = [
        *((f"Open {number}", line) for number, line in enumerate(_named(still_open), 1)),
        *((f"Closed {number}", line) for number, line in enumerate(_named(closed), 1)),
        ("Since", since),
    ]
    return Words(
        severity="",
        title=f"{site}: {counts}",
        brief=f"{site}: {counts}",
        facts=tuple(facts),
        stop=stop,
        why=f"Digest, {recipient.digest}, for {recipient.name}.",
        once=f"digest/{site}/{recipient.name}/{due_ms}",
    )


def trial_words(recipient: Recipient, site: str, *, by: str, once: str, stop: str) -> Words:
    """So that somebody sees whether notices arrive."""
    title = f"Test: notices of {site} reach {recipient.name}"
    return Words("", title, title, (("Asked for by", by),), stop=stop, why=_why(recipient, site), once=once)


def case_line(story: Story, told: Told) -> str:
    """A case in a digest."""
    what = fault_words(told.fault) if told.fault else told.reason
    end = f" ({_closure(told.closure)})" if told.closure else ""
    return f"{story.severity} {name_of(told.position)}: {what}{end}"


def name_of(position: Position) -> str:
    """As people call it; its id where it has no name."""
    return " ".join(filter(None, (position.asset_name, position.name))) or position.id


def age(minutes: float) -> str:
    """`30 min`, `4 h`, `3 days`."""
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.0f} h" if minutes < 2 * 1440 else f"{minutes / 1440:.0f} days"


# ---- for each channel ----------------------------------------------------------------------------


def subject(words: Words) -> str:
    """A mail's subject: ASCII, one line, begins with a letter or a sign."""
    ascii_ = _spelled(words.title).encode("ascii", "replace").decode()
    plain = "".join(letter if letter.isprintable() else " " for letter in ascii_)
    plain = " ".join(plain.split())
    return plain if len(plain) <= SUBJECT else f"{plain[: SUBJECT - 3].rstrip()}..."


def mail(words: Words) -> str:
    """A mail's text."""
    lines = [words.title, ""]
    lines += [f"{label}: {fact}" for label, fact in words.facts]
    lines += ["", f"Evidence: {words.link}"] if words.link else []
    lines += ["", words.why] if words.why else []
    lines += [f"Stop these notices: {words.stop}"] if words.stop else []
    return "\n".join(lines)


def sms(words: Words) -> str:
    """A text message in GSM's alphabet with the link whole: one part of 160, or two where the link leaves no words."""
    link = f" {words.link}" if words.link else ""
    room = (SMS if SMS - septets(link) >= LEAST_WORDS else 2 * SMS_PART) - septets(link)
    return (cut(gsm(words.brief), room) if room > 0 else "") + link


def gsm(text: str) -> str:
    """The text in GSM's alphabet; what has no place in it is spelled otherwise, or a question mark."""
    return "".join(letter if letter in IN_GSM else _in_gsm(letter) for letter in _spelled(text))


def septets(text: str) -> int:
    """The length of a text in GSM's alphabet."""
    return sum(2 if letter in EXTENSION else 1 for letter in text)


def cut(text: str, room: int) -> str:
    """The beginning of the text, in no more septets than `room`."""
    if septets(text) <= room:
        return text
    kept = ""
    for letter in text:
        if septets(kept + letter) > room - len(CUT):
            break
        kept += letter
    return f"{kept.rstrip()}{CUT}"


def _in_gsm(letter: str) -> str:
    plain = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return plain if plain and set(plain) <= IN_GSM else "?"


def _spelled(text: str) -> str:
    return "".join(SPELLED.get(letter, letter) for letter in text)


def _by(story: Story) -> str:
    return (story.acknowledged.by if story.acknowledged else None) or "somebody"


def _closure(closure: Mapping[str, str] | None) -> str | None:
    if not closure:
        return None
    codes = [closure.get(name, "") for name in ("failure_mode", "failure_cause", "action_taken")]
    note = closure.get("note", "")
    return ", ".join(filter(None, codes)) + (f": {note}" if note else "")


def _why(recipient: Recipient, site: str) -> str:
    return f"To {recipient.name} of {site}: {', '.join(recipient.tell) or 'system'} from {recipient.severity}."


def _named(lines: Sequence[str]) -> list[str]:
    left = len(lines) - NAMED
    return [*lines[:NAMED], *([f"and {left} more"] if left > 0 else [])]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
