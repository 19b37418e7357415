"""How a model of an asset is made from history, and when it may take the place of the one that is live.

Tables are (rows, tags) with times in seconds since 1970, rising. Ranges are (start, end) in the same seconds, both
included. Everything here is a pure function; where the rows come from is not its matter.
docs/models.md has the rules in words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import exp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from telltale.core import asset_model, tags
from telltale.core.asset_model import FEWEST_ROWS, Held, Model
from telltale.core.tags import OffRule

Array = NDArray[Any]
Range = tuple[float, float]

MOST_ALERTS = 0.01  # share of healthy rows kept out of training that may alarm. A guess
# Rows that an alarm of noise may last: two memories of the slower average, after one of which it may end. A guess
NOISE_LASTS = round(2 / asset_model.SLOWEST)
SURPRISE = 0.01  # probability below which alarms are no chance any more: the usual level
HALVINGS = 3  # how often the oldest half is given up to find a range without a change in it. A guess
REPLAYED = 0.25  # newest share of the history that a candidate is not trained on, and is replayed over. A guess
FEWEST_REPLAYED = FEWEST_ROWS  # healthy rows that a replay must have to say anything: as many as training must

# What training takes, measured on random tables of 10 to 300 tags (105 to 137 bytes, 0.9 to 1.7 µs a value; the
# halvings double the time), with a third to spare. One core of 2 to 3 GHz.
BASE_BYTES = 300_000_000  # the interpreter, Arrow and a day of the lake
BYTES_A_VALUE = 180
SECONDS_A_VALUE = 4.5e-6

GOOD, POOR, UNKNOWN = "QUALITY_THRESHOLD_MET", "POOR_QUALITY_DETECTED", "CANNOT_DETERMINE_QUALITY"


@dataclass(frozen=True, eq=False)
class History:
    """Rows of an asset: times_s (rows,) ends of intervals, rising.   values : (rows, tags), NaN where missing."""

    tags: tuple[str, ...]
    times_s: Array
    values: Array

    def of(self, names: Sequence[str]) -> Array:
        """(rows, names), NaN for a tag that is not there."""
        columns = {tag: self.values[:, place] for place, tag in enumerate(self.tags)}
        nothing = np.full(len(self.times_s), np.nan)
        return np.column_stack([columns.get(name, nothing) for name in names]) if names else self.values[:, :0]

    def off(self, rule: OffRule | None) -> Array:
        """(rows,) bool: the machine is off."""
        if rule is None:
            return np.zeros(len(self.times_s), bool)
        return np.asarray(tags.is_off(self.of([rule.tag])[:, 0], rule=rule), bool)

    def within(self, ranges: Sequence[Range]) -> Array:
        """(rows,) bool: in one of the ranges."""
        inside = np.zeros(len(self.times_s), bool)
        for start, end in ranges:
            inside |= (self.times_s >= start) & (self.times_s <= end)
        return inside


@dataclass(frozen=True)
class Quality:
    """Model quality without labels, with Lookout for Equipment's words. `alert_rate` : mean over the blocks."""

    verdict: str
    alert_rate: float | None = None
    held: Held | None = None

    def as_dict(self) -> dict[str, Any]:
        held = None if self.held is None else {**asdict(self.held), "mean_alert_rate": self.alert_rate}
        return {"model_quality": self.verdict, "held_out": held}


def quality(rows: Array, *, names: Sequence[str], false_alarm_rows: float) -> Quality:
    """How often rows alarm that were kept out of training; UNKNOWN with too few rows for that, or no fit tag."""
    try:
        held = asset_model.held_out(rows, tags=names, false_alarm_rows=false_alarm_rows)
    except ValueError:
        return Quality(UNKNOWN)
    rate = float(np.mean(held.alert_rate))
    return Quality(GOOD if rate <= most_alerts(len(rows), false_alarm_rows=false_alarm_rows) else POOR, rate, held)


def most_alerts(rows: int, *, false_alarm_rows: float) -> float:
    """The share of so many healthy rows that may alarm: MOST_ALERTS, or what noise gives among few rows."""
    noise = by_chance(rows, false_alarm_rows=false_alarm_rows) * NOISE_LASTS
    return max(MOST_ALERTS, noise / rows) if rows else MOST_ALERTS


def by_chance(rows: int, *, false_alarm_rows: float) -> int:
    """The most alarms that noise gives in so many rows, but for one time in a hundred (SURPRISE): Poisson's."""
    expected = rows / false_alarm_rows
    term = beyond = exp(-expected)
    count = 0
    while 1 - beyond > SURPRISE and term > 0:
        count += 1
        term *= expected / count
        beyond += term
    return count


# ---- the range to learn from -----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Learned:
    """The rows to learn from, (rows,) bool of the history, their quality, and in words why these."""

    rows: Array
    quality: Quality
    reason: str


def found_range(history: History, healthy: Array, *, false_alarm_rows: float) -> Learned:
    """The longest newest range of healthy rows in which nothing changed: all, or the newest half, quarter, eighth.

    A range will do if models of four fifths of it find the other fifth normal (`quality`). If none
    will, the one with the fewest alarms. healthy : (rows,) bool.   ValueError with fewer than FEWEST_ROWS healthy rows.
    """
    places = np.flatnonzero(healthy)
    if len(places) < FEWEST_ROWS:
        raise ValueError(f"found {len(places)} healthy rows, wanted {FEWEST_ROWS} or more to learn from")
    tried: list[Learned] = []
    for halving in range(HALVINGS + 1):
        part = places[len(places) - len(places) // 2**halving :]
        if tried and len(part) < 2 * FEWEST_ROWS:
            break
        found = quality(history.values[part], names=history.tags, false_alarm_rows=false_alarm_rows)
        rows = np.zeros(len(history.times_s), bool)
        rows[part] = True
        rate = "too few to tell how good they are" if found.alert_rate is None else f"{found.alert_rate:.2%} alarm"
        what = "all healthy rows" if not halving else f"the newest {len(part)} of {len(places)} healthy rows"
        tried.append(Learned(rows, found, f"{what}: of those kept out of training {rate}"))
        if found.verdict != POOR:
            return tried[-1]
    best = min(tried, key=lambda one: one.quality.alert_rate or 0.0)
    return Learned(best.rows, best.quality, f"{best.reason}; no range was without a change")


# ---- the gate --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Replay:
    """What a model would have said of recent history. `found` : labelled ranges in which it alarms, of `ranges`."""

    healthy_rows: int
    rows_in_alarm: int
    alarms: int
    found: int
    ranges: int

    @property
    def alert_rate(self) -> float:
        return self.rows_in_alarm / self.healthy_rows if self.healthy_rows else 0.0


def replay(model: Model, history: History, *, off: OffRule | None, judged: Array, labelled: Sequence[Range]) -> Replay:
    """Scores the whole history, and counts what is said of healthy rows among the `judged`, and of labelled ranges.

    judged : (rows,) bool, rows to count.   The rows before them bring the averages and the reference to where they
    would stand. A labelled range without a row in which the machine runs is not counted.
    """
    still = history.off(off)
    on = asset_model.score(model, asset_model.start(model), history.of(model.tags), off=still)[1].is_anomaly
    healthy = judged & ~still & ~history.within(labelled)
    begun = np.diff(on.astype(np.int8), prepend=0) == 1
    inside = [history.within([one]) & ~still for one in labelled]
    seen = [rows for rows in inside if rows.any()]
    return Replay(
        healthy_rows=int(healthy.sum()),
        rows_in_alarm=int((on & healthy).sum()),
        alarms=int((begun & healthy).sum()),
        found=sum(bool((on & rows).any()) for rows in seen),
        ranges=len(seen),
    )


@dataclass(frozen=True)
class Gate:
    """Whether a candidate may go live by itself, and why, in words."""

    passed: bool
    reason: str
    candidate: Replay | None = None
    live: Replay | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def gate(found: Quality, candidate: Replay, live: Replay | None, *, false_alarm_rows: float) -> Gate:
    """A candidate goes live if it is good by itself, alarms on healthy rows no more than the live model or
    `most_alerts`, and finds as many labelled ranges as the live one.

    found : of its training rows.   live : None where no model is live: then a person decides.
    """

    def no(reason: str) -> Gate:
        return Gate(False, reason, candidate, live)

    if live is None:
        return no("no model is live: the first one of an asset is promoted by a person")
    if found.verdict != GOOD:
        rate = "" if found.alert_rate is None else f": {found.alert_rate:.2%} of the rows kept out of training alarm"
        return no(f"{found.verdict}{rate}")
    if candidate.healthy_rows < FEWEST_REPLAYED:
        return no(f"{candidate.healthy_rows} healthy rows to replay, wanted {FEWEST_REPLAYED} or more")
    most = max(live.alert_rate, most_alerts(candidate.healthy_rows, false_alarm_rows=false_alarm_rows))
    if candidate.alert_rate > most:
        return no(
            f"it alarms on {candidate.alert_rate:.2%} of {candidate.healthy_rows} healthy rows, the live model on "
            f"{live.alert_rate:.2%}; wanted at most {most:.2%}"
        )
    if candidate.found < live.found:
        return no(f"it finds {candidate.found} of {candidate.ranges} labelled ranges, the live model {live.found}")
    return Gate(
        True,
        f"it alarms on {candidate.alert_rate:.2%} of {candidate.healthy_rows} healthy rows (live "
        f"{live.alert_rate:.2%}) and finds {candidate.found} of {candidate.ranges} labelled ranges (live {live.found})",
        candidate,
        live,
    )


# ---- the whole of it -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wish:
    """What a model is to be made of. tags : to learn; none: all of the history.   off : such as "process/flow<1".

    labelled : abnormal ranges, kept out of training and looked for in the replay.   left_out : kept out, and counted
    neither way, such as a case that is still open.   learn_s : the range to learn from; None: it is found.
    """

    tags: tuple[str, ...] = ()
    every_s: float = 3600.0
    off: str | None = None
    false_alarm_rows: float = float(asset_model.FALSE_ALARM_ROWS)
    labelled: tuple[Range, ...] = ()
    left_out: tuple[Range, ...] = ()
    learn_s: Range | None = None


@dataclass(frozen=True, eq=False)
class Made:
    """A candidate, what is known of it, and whether it may go live by itself."""

    model: Model
    learned_s: Range  # first and last row that was learned from
    known_s: float  # last row that there was: of what comes after it nobody knows anything yet
    report: Mapping[str, Any] = field(default_factory=dict)
    gate: Gate = field(default_factory=lambda: Gate(False, "not replayed"))


def make(
    history: History, wish: Wish, *, live: Model | None, live_off: str | None = None, silent: bool = False
) -> Made:
    """A candidate from the older part of the history, replayed beside the live model over the newest REPLAYED of it.

    Of a range that was given all is learned, and what comes after it replayed. silent : a model is live that this code
    cannot read any more, and so says nothing.

    ValueError where nothing can be learned. The same rows and wish give the same model, to the last bit.
    """
    rule = None if wish.off is None else tags.off_rule(wish.off)
    learnable = wish.tags or history.tags
    of = History(learnable, history.times_s, history.of(learnable))
    running = ~history.off(rule)
    healthy = running & ~history.within([*wish.labelled, *wish.left_out])
    if wish.learn_s is None:
        last_s = _replayed_from(history, np.flatnonzero(healthy))
        learned = found_range(of, healthy & (history.times_s <= last_s), false_alarm_rows=wish.false_alarm_rows)
    else:
        last_s = wish.learn_s[1]
        given = healthy & history.within([wish.learn_s])
        one = quality(of.values[given], names=learnable, false_alarm_rows=wish.false_alarm_rows)
        learned = Learned(given, one, "the range that was given")
    judged = (history.times_s > last_s) & ~history.within(wish.left_out)
    rows = of.values[learned.rows]
    model = asset_model.train(rows, tags=learnable, false_alarm_rows=wish.false_alarm_rows)
    times_s = of.times_s[learned.rows]
    replayed = replay(model, history, off=rule, judged=judged, labelled=wish.labelled)
    live_rule = None if live_off is None else tags.off_rule(live_off)
    rival = None if live is None else replay(live, history, off=live_rule, judged=judged, labelled=wish.labelled)
    if silent:
        rival = Replay(replayed.healthy_rows, 0, 0, 0, replayed.ranges)
    steps = zip(model.tags, asset_model.smallest_steps(model).tolist(), strict=True)
    report = {
        "rows": model.rows,
        "tags": len(model.tags),
        "left_out": dict(model.left_out),
        "range": learned.reason,
        "off_rows": int((~running).sum()),
        "abnormal_rows": int((running & ~healthy).sum()),
        "data_quality": [asdict(one) for one in tags.quality(times_s, rows, tags=learnable)],
        "smallest_steps": {tag: float(f"{step:.6g}") for tag, step in steps},
        **learned.quality.as_dict(),
    }
    decided = gate(learned.quality, replayed, rival, false_alarm_rows=wish.false_alarm_rows)
    learned_s, known_s = (float(times_s[0]), float(times_s[-1])), float(history.times_s[-1])
    return Made(model, learned_s, known_s, {**report, "gate": decided.as_dict()}, decided)


def _replayed_from(history: History, places: Array) -> float:
    """The last time to learn from: REPLAYED of the healthy rows come after it, if enough are left to learn from."""
    count = len(places)
    cut = count - int(count * REPLAYED)
    if cut < FEWEST_ROWS or not count:
        return float(history.times_s[-1]) if len(history.times_s) else 0.0
    return float(history.times_s[places[cut - 1]])


# ---- what it costs ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """What training takes, at most: estimated, in bytes and seconds of one core."""

    memory: int
    seconds: float


def cost(rows: int, count: int) -> Cost:
    """Of so many rows and tags."""
    values = rows * count
    return Cost(BASE_BYTES + values * BYTES_A_VALUE, values * SECONDS_A_VALUE)
