"""How long data is kept: by class of data, and by site.

Nothing ages unless the plant file says so, and then in whole days (UTC), counted from the day of each row. What an open
case may still need does not age at all: `held` positions are left as they are until their case is over.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

# A class of data → the tables whose rows it is. Pictures are no table: those of a case, counted from its end.
CLASSES: Mapping[str, tuple[str, ...]] = {
    "waveforms": ("waveforms",),
    "measurements": ("captures", "features", "readings"),
    "judgements": ("verdicts", "tag_alarms", "scores", "diagnoses"),
    "cases": ("cases", "work_orders", "labels"),
    "daily": ("position_daily", "site_daily"),
    "imports": ("monitron_events", "lookout_findings"),
    "quarantine": ("quarantine",),
    "pictures": (),
}
PICTURES = "pictures"
# The books: that each record was counted once, what was erased and what people did. They are small, and never age.
BOOKS = ("batches", "acts")
FOREVER = "forever"
LEAST_DAYS = 7  # guess: a slip of the keyboard costs no more than what a week can show
DAY_MS = 86_400_000
EPOCH = date(1970, 1, 1)

Rules = Mapping[str, Mapping[str, int]]  # site → class → days


def class_of(table: str) -> str | None:
    """The class of a table's rows; None for the books."""
    return next((name for name, tables in CLASSES.items() if table in tables), None)


@dataclass(frozen=True)
class Cutoffs:
    """The first day that is kept of one table, by site, as days since 1970. A site that is not named keeps all.

    `others` : of rows whose site is not known, if they age at all: by the longest rule of all sites.
    """

    by_site: Mapping[str, int]
    others: int | None = None

    def ageing(self, day: int) -> frozenset[str]:
        """The sites whose rows of that day have had their time."""
        return frozenset(site for site, first in self.by_site.items() if day < first)

    def others_age(self, day: int) -> bool:
        return self.others is not None and day < self.others

    @property
    def last(self) -> int | None:
        """No row of this day or later ages; None: none at all does."""
        return max((*self.by_site.values(), *(() if self.others is None else (self.others,))), default=None)


def cutoffs(table: str, rules: Rules, *, now_ms: int) -> Cutoffs:
    """The first days that are kept of a table. A row is kept for as many whole days after its own."""
    return first_days(class_of(table), rules, now_ms=now_ms)


def first_days(kind: str | None, rules: Rules, *, now_ms: int) -> Cutoffs:
    """Likewise of a class of data; None for the books."""
    today = now_ms // DAY_MS
    days = {site: said[kind] for site, said in rules.items() if kind is not None and kind in said}
    all_say_so = bool(rules) and len(days) == len(rules)
    return Cutoffs(
        {site: today - kept for site, kept in days.items()}, today - max(days.values()) if all_say_so else None
    )


def held(positions: Collection[str], assets: Collection[str], position: str) -> bool:
    """Whether a row of this position may be evidence of an open case: of the position, or of its asset's model."""
    return position in positions or asset_of(position) in assets


def day_number(day: str) -> int:
    """A day, `YYYY-MM-DD`, as days since 1970."""
    return (date.fromisoformat(day) - EPOCH).days


def asset_of(position: str) -> str:
    """Path of the position's asset."""
    return position.rsplit("/", 1)[0]
