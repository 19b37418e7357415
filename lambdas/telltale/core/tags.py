"""Tables of tags over time: even intervals, when the machine is off, and what the data are worth.

The checks and their grades are those that Lookout for Equipment reported for each sensor, with what is done about it
and what somebody should do.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

DAY_S = 86_400.0
SHORTEST_S = 14 * DAY_S  # Lookout for Equipment: two weeks of history at least
FEWEST_ROWS = 1_000  # guess: so many rows replace two weeks where a machine is sampled every second
FEW_VALUES = 10  # Lookout for Equipment: so many distinct values or fewer are categories
MISSING_SHARE = 0.10  # Lookout for Equipment
LONGEST_GAP_S = 30 * DAY_S  # Lookout for Equipment
STUCK_SHARE = 0.05  # of the rows in one run of equal values, of a tag that is no category. A guess
MODES_COEFFICIENT = 0.75  # Sarle's bimodality: 5/9 is even, 1 two points; a guess between
TREND = 0.95  # rank correlation with time from which a tag counts as monotonic. A guess

HIGH, MEDIUM, LOW = "High", "Medium", "Low"


@dataclass(frozen=True)
class Finding:
    """One thing about one tag: what was found, what is done about it here, and what somebody should do."""

    check: str
    found: str
    done: str
    advice: str


@dataclass(frozen=True)
class Quality:
    """What the data of one tag are worth."""

    tag: str
    grade: str
    findings: tuple[Finding, ...]


LOW_CHECKS = ("no data", "constant", "missing")
_DONE = {
    "no data": ("the tag is left out", "check that the sensor is connected and the column is named right"),
    "short": ("the rows are used as they are", "train again when more history is there: limits are wide until then"),
    "constant": ("the tag is left out", "leave it out, or train over a range in which it moves"),
    "monotonic": ("a reference follows it", "use its rate of change: a counter or a clock says nothing as a level"),
    "categorical": (
        "it is used as a number",
        "check that the states are ordered; a setting is better an off-time rule",
    ),
    "operating modes": ("all modes are one normal", "train on one mode, or exclude the others by an off-time rule"),
    "missing": ("the last known value stands in; left out if most are missing", "mend the connection"),
    "not numbers": ("each counts as missing", "mend what the historian writes in place of a value it does not have"),
    "duplicate times": ("all rows are used, in their order", "remove the copies: they count twice"),
    "long gap": ("the last known value stands in", "train on a range without the gap"),
    "stuck": ("the rows are used as they are", "check the sensor; leave the stuck range out of training"),
}


def quality(times_s: Array, rows: Array, *, tags: Sequence[str]) -> list[Quality]:
    """The report, a tag each. times_s : (rows,) seconds, rising.

    rows : (rows, tags), NaN where missing, infinite where something stood that is no number.
    """
    table = np.asarray(rows, np.float64)
    return [_quality(name, np.asarray(times_s, np.float64), table[:, place]) for place, name in enumerate(tags)]


def _quality(tag: str, times_s: Array, column: Array) -> Quality:
    known = np.isfinite(column)
    values, at_s = column[known], times_s[known]
    found = _checks(values, at_s, times_s, len(column)) | _as_written(column, at_s)
    grade = LOW if set(found) & set(LOW_CHECKS) else MEDIUM if found else HIGH
    return Quality(tag, grade, tuple(Finding(check, text, *_DONE[check]) for check, text in found.items()))


def _checks(values: Array, at_s: Array, times_s: Array, count: int) -> dict[str, str]:
    if not values.size:
        return {"no data": "no row has a number"}
    found = {}
    span_s, distinct = float(at_s[-1] - at_s[0]), len(np.unique(values))
    if span_s < SHORTEST_S and values.size < FEWEST_ROWS:
        found["short"] = f"{values.size} rows over {span_s / DAY_S:.3g} days"
    if count - values.size > MISSING_SHARE * count:
        found["missing"] = f"{1 - values.size / count:.0%} of the rows have no value"
    gap_s = float(np.max(np.diff(np.concatenate([times_s[:1], at_s, times_s[-1:]]))))
    if gap_s > LONGEST_GAP_S:
        found["long gap"] = f"{gap_s / DAY_S:.0f} days without a value"
    if distinct == 1:
        return found | {"constant": f"always {values[0]:g}"}
    if distinct <= FEW_VALUES:
        return found | {"categorical": f"{distinct} distinct values"}
    run = longest_run(values)
    if run > max(STUCK_SHARE * values.size, 2):
        found["stuck"] = f"{run} rows with the same value"
    if abs(_rank_correlation(values)) > TREND:
        found["monotonic"] = "it goes one way over the whole range"
    elif (modes := bimodality(values)) > MODES_COEFFICIENT:
        found["operating modes"] = f"two levels or more (bimodality {modes:.2f})"
    return found


def _as_written(column: Array, at_s: Array) -> dict[str, str]:
    found = {}
    if (infinite := int(np.sum(np.isinf(column)))) > 0:
        found["not numbers"] = f"{infinite} values are no numbers"
    if (twice := int(np.sum(np.diff(at_s) == 0))) > 0:
        found["duplicate times"] = f"{twice} values have the time of the one before"
    return found


def longest_run(values: Array) -> int:
    """The most equal values in a row; 0 of none."""
    edges = np.flatnonzero(np.diff(values) != 0)
    return int(np.max(np.diff(np.concatenate([[-1], edges, [len(values) - 1]])))) if len(values) else 0


def bimodality(values: Array) -> float:
    """Sarle's coefficient (skewness² + 1) / kurtosis: 1/3 if normal, 5/9 if even, 1 of two points.

    0 for values that are all equal.
    """
    z = values - values.mean()
    variance = float(np.mean(z**2))
    if variance <= 0:
        return 0.0
    return float((np.mean(z**3) ** 2 / variance**3 + 1) / (np.mean(z**4) / variance**2))


def _rank_correlation(values: Array) -> float:
    """Spearman's with the order of rows; ties take their order, which makes equal values look rising."""
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(np.float64)
    return float(np.corrcoef(ranks, np.arange(len(values)))[0, 1]) if len(values) > 2 else 0.0


# ---- when the machine is off -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OffRule:
    """The machine is off while a tag is below, or above, a value."""

    tag: str
    below: bool
    value: float


def off_rule(text: str) -> OffRule:
    """From "speed<100" or "valve>0.5"; ValueError for anything else."""
    found = re.fullmatch(r"\s*(.+?)\s*([<>])\s*([+-]?[\d.]+(?:[eE][+-]?\d+)?)\s*", text)
    if found is None:
        raise ValueError(f'found "{text}", wanted a tag, < or >, and a number, such as "speed<100"')
    return OffRule(found[1], found[2] == "<", float(found[3]))


def is_off(values: Array, *, rule: OffRule) -> Array:
    """(rows,) bool, from the values of the rule's tag. A missing value says nothing new: the last known one counts."""
    column = np.asarray(values, np.float64)
    known = np.isfinite(column)
    places = np.maximum.accumulate(np.where(known, np.arange(len(column)), -1))
    last = np.where(places >= 0, column[places], np.nan)
    return last < rule.value if rule.below else last > rule.value


# ---- even intervals --------------------------------------------------------------------------------------------------


def resampled(times_s: Array, rows: Array, *, every_s: float) -> tuple[Array, Array]:
    """Means over intervals of `every_s`: when each ends, (n,), and the means, (n, tags).

    times_s : (rows,), rising.   An interval without a row is left out; a tag without a value in one is NaN there. A
    mean stands at the end of its interval, so that nothing is told before it is known. ValueError unless every_s > 0.
    """
    if every_s <= 0:
        raise ValueError(f"found an interval of {every_s} s, wanted one above 0")
    table, slots = np.asarray(rows, np.float64), np.floor(np.asarray(times_s, np.float64) / every_s).astype(np.int64)
    places, starts = np.unique(slots, return_index=True)
    if not len(places):
        return np.empty(0), np.empty((0, table.shape[1]))
    known = np.isfinite(table)
    counts = np.add.reduceat(known, starts, axis=0, dtype=np.int64)
    sums = np.add.reduceat(np.where(known, table, 0.0), starts, axis=0)
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return (places + 1) * every_s, means
