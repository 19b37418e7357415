"""Who gets notices, of what, and when: the `notices` of a site in the plant file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from telltale.core.persistence import LEVELS

CHANNELS = ("email", "sms", "slack", "teams")
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY_MIN = 1440
# What can be told of a case. "opened" also stands for a case that is told by escalation.
KINDS = ("opened", "raised", "updated", "acknowledged", "reopened", "resolved", "confirmed")
USUAL = ("opened", "raised", "reopened", "resolved")


@dataclass(frozen=True)
class Hours:
    """Minutes of these days (0: Monday) on the wall clock of the site, from `from_min` until before `to_min`.

    One that ends no later than it begins ends on the next day, and belongs to the day on which it begins.
    """

    days: tuple[int, ...]
    from_min: int
    to_min: int

    def holds(self, weekday: int, minute: int) -> bool:
        if self.from_min < self.to_min:
            return weekday in self.days and self.from_min <= minute < self.to_min
        before = (weekday - 1) % 7
        return (weekday in self.days and minute >= self.from_min) or (before in self.days and minute < self.to_min)

    def __str__(self) -> str:
        days = "" if len(self.days) == len(DAYS) else f"{','.join(DAYS[day] for day in self.days)} "
        return f"{days}{clock(self.from_min)}-{clock(self.to_min)}"


@dataclass(frozen=True)
class Digest:
    """When a digest is sent: a minute of the site's wall clock. weekday : 0 Monday … 6 Sunday; None: every day."""

    at_min: int
    weekday: int | None = None

    def __str__(self) -> str:
        return f"{'daily' if self.weekday is None else f'weekly {DAYS[self.weekday]}'} {clock(self.at_min)}"


@dataclass(frozen=True)
class Recipient:
    """One that is told, by one channel.

    address : of email and sms; of slack and teams the name of the secret that has the webhook's address.
    severity : the least that is told.   places : beginnings of paths below the site; (): all of it.   tell : of KINDS.
    hours, quiet : when it may be told, and when not; (): any time, never.   alarm_breaks_quiet : an ALARM may be told
    in quiet hours.   after_min : only if nobody acknowledged for so long.   remind_min : again and again while nobody
    acknowledges.   system : told too when a maintenance system refuses an order.
    """

    name: str
    channel: str
    address: str
    severity: str = "WARNING"
    places: tuple[str, ...] = ()
    tell: tuple[str, ...] = USUAL
    hours: tuple[Hours, ...] = ()
    quiet: tuple[Hours, ...] = ()
    alarm_breaks_quiet: bool = False
    after_min: float | None = None
    remind_min: float | None = None
    digest: Digest | None = None
    system: bool = False

    def is_told_of(self, position: str) -> bool:
        """The position `site/area/asset/position` is one of its places."""
        below = position.split("/", 1)[1]
        return not self.places or any(below == place or below.startswith(f"{place}/") for place in self.places)

    def minds(self, severity: str) -> bool:
        """A case of this severity is bad enough."""
        return LEVELS.index(severity) >= LEVELS.index(self.severity)

    def __str__(self) -> str:
        parts = [
            f"{self.channel} {self.address}",
            f"from {self.severity}",
            f"of {', '.join(self.places)}" if self.places else "",
            f"tell {', '.join(self.tell) or 'nothing'}" if self.tell != USUAL else "",
            f"hours {'; '.join(map(str, self.hours))}" if self.hours else "",
            f"quiet {'; '.join(map(str, self.quiet))}" if self.quiet else "",
            "alarms break through" if self.alarm_breaks_quiet else "",
            f"after {self.after_min:g} min unacknowledged" if self.after_min is not None else "",
            f"reminded every {self.remind_min:g} min" if self.remind_min is not None else "",
            f"digest {self.digest}" if self.digest else "",
            "of the system too" if self.system else "",
        ]
        return ", ".join(filter(None, parts))


def clock(minute: int) -> str:
    """A minute of the day as `06:30`; the end of a day is `24:00`."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def decoded(values: Mapping[str, Any]) -> Recipient:
    """The recipient whose `dataclasses.asdict` went through JSON."""
    known: dict[str, Any] = dict(values)
    for name in ("places", "tell"):
        known[name] = tuple(known[name])
    for name in ("hours", "quiet"):
        known[name] = _hours(known[name])
    known["digest"] = Digest(**known["digest"]) if known["digest"] else None
    return Recipient(**known)


def _hours(given: Sequence[Mapping[str, Any]]) -> tuple[Hours, ...]:
    return tuple(Hours(tuple(one["days"]), one["from_min"], one["to_min"]) for one in given)
