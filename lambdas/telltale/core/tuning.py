"""Settings for a rate of cases that somebody asks for, found in the plant's own healthy history.

The history is replayed once, with the settings that are live. Scores are distances in units of the limit, so that what
a limit `factor` times as far away would have opened is read from them: a case where n of the last m rows reach that
factor. `growth` and `sigmas` move together, with n of m beside them. What such a limit would have learned otherwise is
left out of account; in simulation it changes rates by a twentieth.

A case is false until somebody says otherwise. Time in which a case was open that was found true is not healthy, and
what alerted when that case opened is not false: it was seen earlier. A false case ends a day later, for it would stay
open otherwise, and nothing would be counted after it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf, nan, sqrt

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from telltale.core import backtest, cases, detect
from telltale.core.backtest import ALWAYS, History, Item, Later, Window
from telltale.core.judgement import AXES, Control, Row, Verdict
from telltale.core.plant import Position
from telltale.core.settings import Settings
from telltale.core.state import State

DAY_MS = 86_400_000
LOOKED_AT_MS = DAY_MS  # after which somebody has looked at a case and closed it, and another may open. A guess
# Before a fault that was missed the machine is not known to have been healthy for so long. A guess.
BEFORE_MISSED_MS = 30 * DAY_MS
LONGEST_GAP_MS = DAY_MS  # between rows that counts as time that was watched
# Limits that are tried: from a third to three times as far from normal as the live one, by a twenty-fourth of that
# (with a limit at twice normal: 1.26 to 8 times normal, by 0.25 dB).
FACTORS: NDArray[np.float64] = np.arange(8, 73) / 24
ROWS = ((4, 6), (5, 6), (6, 8))  # n of m that are tried: each bears one more row of a spike than the one before
# A fault that doubles in so many rows reaches a factor so much later, and n of m by so many rows: of settings with the
# same rate the one that sees it first is taken. A guess: four days of hourly rows.
DOUBLING_ROWS = 100
FEW = 20  # cases from which the tail of rare ones is judged: its scale is then known to about a fifth
SEEN = 10  # expected cases from which the rate is counted instead: a count of ten is known to a factor of two
Z95 = 1.96  # of a normal distribution, two-sided

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trace:
    """What the baseline made of one machine. All arrays have one entry a row, in the order of time.

    scores : (rows, axes), NaN where an axis was not judged.   healthy : not while a case was open that was found true.
    """

    position: str
    t_ms: NDArray[np.int64]
    scores: Floats
    healthy: NDArray[np.bool_]

    @property
    def years(self) -> float:
        """Healthy time that was watched."""
        gaps = np.minimum(np.diff(self.t_ms, prepend=self.t_ms[:1]), LONGEST_GAP_MS)
        judged = self.healthy & np.isfinite(self.scores).any(axis=1)
        return float(gaps[judged].sum()) / backtest.YEAR_MS


@dataclass(frozen=True)
class Replayed:
    """One position's history. `others` : cases that zones and temperature opened in healthy time: no factor moves them.

    unclosed : live cases of which nobody has said yet what they were.
    """

    traces: tuple[Trace, ...]
    others: int = 0
    unclosed: int = 0


@dataclass(frozen=True)
class Tuned:
    """What was found for a rate that was asked for, in cases a year of one position.

    factor : of the distance of the live limits from normal.   n, m : rows that must reach it.   cases : counted in the
    history with them.   rate : expected.   low, high : 95 % interval of the rate by the count, positions being unlike.
    how : "counted", "extrapolated" from the twenty highest, or "too short": not even one case was to be expected.
    """

    asked: float
    factor: float
    n: int
    m: int
    cases: int
    rate: float
    low: float
    high: float
    how: str

    def settings(self, live: Settings) -> dict[str, float]:
        """As they are written for a position whose settings are `live`."""
        rows = {"warning_n": self.n, "warning_m": self.m, "alarm_n": self.n, "alarm_m": self.m}
        return {"growth": round(live.growth**self.factor, 3), "sigmas": round(live.sigmas * self.factor, 2), **rows}


# ---- the history ---------------------------------------------------------------------------------


def replayed(history: History, *, window: Window = ALWAYS) -> Replayed:
    """What the live settings make of a history; only rows in the window count.

    ValueError for settings that make no sense, or a machine class that is not on the list.
    """
    known = backtest.facts(history.items)
    ill = [(one.opened_ms, one.closed_ms or inf) for one in known if one.truth in ("true", "undetermined")]
    ill += [(t_ms - BEFORE_MISSED_MS, t_ms) for t_ms in history.missed_ms]
    state, looked_at_ms, others = State.new(), inf, 0
    machines: list[list[tuple[int, list[float]]]] = [[]]
    for item in history.items:
        if isinstance(item, Row):
            if state.open_case is not None and item.t_ms >= looked_at_ms:
                state, _, _ = detect.step(state, _no_issue(state, item.t_ms), history.position)
            state, verdicts, changes = detect.step(state, item, history.position)
            opened = [change for change in changes if change.change == "opened"]
            looked_at_ms = item.t_ms + LOOKED_AT_MS if opened else looked_at_ms
            if item.t_ms in window:
                machines[-1].append((item.t_ms, _scores(verdicts)))
                others += sum(one.rule != "baseline" and not _within(one.t_ms, ill) for one in opened)
        elif _is_repaired(item):
            state = cases.repaired(state)
            machines.append([])
    traces = tuple(_trace(history.position, rows, ill) for rows in machines if rows)
    return Replayed(traces, others, sum(one.truth == "unknown" and one.opened_ms in window for one in known))


def _is_repaired(item: Item) -> bool:
    """With this item the machine is another one."""
    act = item.act if isinstance(item, Later) else item
    told = isinstance(act, Control) and act.kind in ("resolved", "labelled")
    return told and isinstance(act, Control) and cases.is_repair(act.closure or {})


def _no_issue(state: State, t_ms: int) -> Control:
    case = state.open_case
    return Control("resolved", case.case_id if case else "", t_ms, "tuning", {"failure_mode": "NO_ISSUE"})


def _scores(verdicts: Iterable[Verdict]) -> list[float]:
    found = {one.channel: one.score for one in verdicts if one.rule == "baseline" and one.score is not None}
    return [found.get(axis, nan) for axis in AXES]


def _within(t_ms: int, times: Sequence[tuple[int, float]]) -> bool:
    return any(begin <= t_ms < end for begin, end in times)


def _trace(position: Position, rows: Sequence[tuple[int, list[float]]], ill: Sequence[tuple[int, float]]) -> Trace:
    ordered = sorted(rows, key=lambda row: row[0])
    times = np.array([t_ms for t_ms, _ in ordered], np.int64)
    healthy = np.array([not _within(t_ms, ill) for t_ms, _ in ordered])
    return Trace(position.id, times, np.array([scores for _, scores in ordered], np.float64), healthy)


# ---- how many cases ------------------------------------------------------------------------------


def debounced(scores: Floats, *, n: int, m: int) -> Floats:
    """The score that n of the last m judged rows reach, the highest of the axes. scores : (rows, axes) → (rows,).

    Minus infinity before n rows were judged. A row that is not judged leaves its axis as it was.
    """
    highest = np.full(len(scores), -inf)
    for axis in scores.T:
        places = np.flatnonzero(np.isfinite(axis))
        if len(places):
            padded = np.concatenate([np.full(m - 1, -inf), axis[places]])
            reached = np.sort(sliding_window_view(padded, m), axis=1)[:, m - n]
            last = np.searchsorted(places, np.arange(len(scores)), side="right") - 1
            highest = np.maximum(highest, np.where(last >= 0, reached[np.maximum(last, 0)], -inf))
    return highest


def false_cases(trace: Trace, reached: Floats, *, factor: float, clear: float) -> int:
    """How many cases a limit so many times as far away opens in healthy time. reached : `debounced` scores.

    A case begins where they reach the factor, having been below its `clear` share, a day or more after the last.
    """
    at = np.arange(len(reached))
    low = reached < clear * factor
    before = np.maximum.accumulate(np.where(low, at, -1))
    over = np.flatnonzero(reached >= factor)
    rises = over[before[over] >= np.concatenate([[-1], over[:-1]])] if len(over) else over
    after = np.minimum.accumulate(np.where(low, at, len(at))[::-1])[::-1]
    ill = np.concatenate([[0], np.cumsum(~trace.healthy)])
    last_ms, found = -inf, 0
    for rise in rises.tolist():
        if trace.t_ms[rise] - last_ms >= LOOKED_AT_MS:
            last_ms = float(trace.t_ms[rise])
            found += int(ill[min(after[rise] + 1, len(at))] == ill[rise])
    return found


def counts(traces: Sequence[Trace], *, n: int, m: int, clear: float, most: float) -> NDArray[np.int64]:
    """Cases by factor and trace, (FACTORS, traces), from the highest factor down to where they are more than `most`.

    What lies below is not counted and is -1.
    """
    found = np.full((len(FACTORS), len(traces)), -1, np.int64)
    reached = [debounced(trace.scores, n=n, m=m) for trace in traces]
    for place in range(len(FACTORS) - 1, -1, -1):
        factor = float(FACTORS[place])
        pairs = zip(traces, reached, strict=True)
        found[place] = [false_cases(trace, one, factor=factor, clear=clear) for trace, one in pairs]
        if found[place].sum() > most:
            break
    return found


# ---- the settings --------------------------------------------------------------------------------


def tuned(traces: Sequence[Trace], asked: Sequence[float], *, clear: float, surely: bool = False) -> list[Tuned | None]:
    """For each rate the setting that warns soonest of those that keep it; None where none does.

    surely : the upper end of the interval is to keep the rate, not only what is expected.
    """
    years = np.array([trace.years for trace in traces])
    most = max(FEW, max(asked) * float(years.sum()))
    found = {rows: counts(traces, n=rows[0], m=rows[1], clear=clear, most=most) for rows in ROWS}
    return [_soonest(found, years, rate, surely) for rate in asked]


def _soonest(
    found: dict[tuple[int, int], NDArray[np.int64]], years: Floats, asked: float, surely: bool
) -> Tuned | None:
    kept: list[Tuned] = []
    for (n, m), by_trace in found.items():
        known = np.flatnonzero(by_trace[:, 0] >= 0)
        expected, how = rates(by_trace[known].sum(axis=1), float(years.sum()), asked=asked)
        for place, rate in zip(known.tolist(), expected.tolist(), strict=True):
            low, high = interval(by_trace[place], years)
            if (max(rate, high) if surely else rate) <= asked:
                cases = int(by_trace[place].sum())
                kept.append(Tuned(asked, float(FACTORS[place]), n, m, cases, rate, low, high, how))
                break
    return min(kept, key=lambda one: DOUBLING_ROWS * one.factor + one.n, default=None)


def rates(cases: NDArray[np.int64], years: float, *, asked: float) -> tuple[Floats, str]:
    """Cases a year that are to be expected, by factor, and how they were found. cases : of the highest factors, rising.

    Counted, where SEEN are to be expected at the rate asked for. Otherwise what goes beyond the FEW highest falls as an
    exponential (the tail that block maxima of nearly all distributions end in: Gumbel's domain), by its predictive
    distribution (1 + x / (n b))^-n, which takes into account that its scale b was learned from n cases. Infinite where
    there were none.
    """
    falling = np.maximum.accumulate(cases[::-1])[::-1].astype(np.float64)
    expected = asked * years
    if expected >= SEEN:
        return falling / years, "counted"
    factors = FACTORS[-len(falling) :]
    start = int(np.argmax(falling <= FEW)) if (falling <= FEW).any() else len(falling) - 1
    n, step = falling[start], FACTORS[1] - FACTORS[0]
    if n == 0:
        return np.full(len(falling), inf), "too short"
    scale = max((falling[start:].sum() - n / 2) * step / n, step)
    beyond = n / years * (1 + np.maximum(factors - factors[start], 0) / (n * scale)) ** -n
    how = "extrapolated" if expected >= 1 else "too short"
    return np.where(np.arange(len(falling)) < start, falling / years, beyond), how


def interval(cases: NDArray[np.int64], years: Floats) -> tuple[float, float]:
    """95 % interval of cases a year, (traces,) each: Poisson (Byar's approximation of the exact limits: N. E. Breslow,
    N. E. Day, Statistical Methods in Cancer Research II, IARC 1987), wider as the traces are less alike than chance.
    """
    total, watched = int(cases.sum()), float(years.sum())
    if watched <= 0:
        return 0.0, inf
    expected = total / watched * years
    some = expected > 0
    freedom = int(some.sum()) - 1
    spread = float(((cases - expected)[some] ** 2 / expected[some]).sum() / freedom) if freedom > 0 else 1.0
    unlike = max(spread, 1.0)
    n = total / unlike
    low = n * (1 - 1 / (9 * n) - Z95 / (3 * sqrt(n))) ** 3 if n > 0 else 0.0
    high = (n + 1) * (1 - 1 / (9 * (n + 1)) + Z95 / (3 * sqrt(n + 1))) ** 3
    return max(low, 0.0) * unlike / watched, high * unlike / watched


def counted(traces: Sequence[Trace], *, n: int, m: int, clear: float, factor: float = 1.0) -> tuple[int, float, float]:
    """Cases of the limits themselves (or so many times as far), and the interval of their rate."""
    reached = (debounced(trace.scores, n=n, m=m) for trace in traces)
    pairs = zip(traces, reached, strict=True)
    found = np.array([false_cases(trace, one, factor=factor, clear=clear) for trace, one in pairs], np.int64)
    return int(found.sum()), *interval(found, np.array([trace.years for trace in traces]))
