"""Backtest: what other settings, limits or another machine class would have made of a position's own history.

The history is what the line heard: rows, and what people did to the cases that the live settings opened. Both the live
position and the candidate are replayed through `detect.step`, the function that judges live, from the first row known,
so that the candidate learns its own normals. With the live position as candidate the result is the live log.

What people did belongs to the live run, and a candidate opens other cases, or the same at another time. What happened
to the machine is a fact all the same; what somebody said of a case holds for the case that was then open:

* A resolution closes the candidate's open case, whenever that was opened, with the same closure codes.
* A repair makes another machine, and what is normal is learned anew, though the candidate had no case open.
* A closure without repair does nothing where the candidate has no case open: nobody would have been asked.
* An acknowledgement is of the candidate's open case; without one it is of nothing.
* What was done to a case that was over, a person who opened it again or corrected its closure codes, is done to the
  candidate's case that the same resolution closed. Rows that contradict a repair do it in each run by themselves.
* A fault that nobody was warned of (`missed_ms`) makes a case that was open then a true one.
* A case that nobody was ever asked about stays open, and its truth is not known. One that has gone quiet by the time
  that the live line opens a case is set aside there, so that what is found later is not credited to it. One that still
  alerts then is the same fault, seen earlier.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import inf
from operator import itemgetter
from statistics import median
from typing import Any, Literal

from telltale.core import baseline, batch, cases, detect, limits, relearn, repair
from telltale.core.closure import closure_from
from telltale.core.judgement import MODEL, SENSOR, CaseChange, Control, Row, Verdict
from telltale.core.plant import Position
from telltale.core.state import State

# The indicators that `detect.step` looks at; a test compares. Replaying reads no others from the lake.
READ = tuple(
    dict.fromkeys(
        (
            *baseline.KNOWN,
            *(limits.SLOW_VELOCITY, "band_10_50_g", "band_500_1000_g"),
            *("env_low_hz", "env_high_hz", "crest", "clipped_share", "drift_g", "count_g"),
        )
    )
)

HOUR_MS = 3_600_000
YEAR_MS = 365.25 * 24 * HOUR_MS
ALERTS = ("WARNING", "ALARM")
TURNS = 256  # items of each position that are judged at once: their numbers fit into a few MB

Scored = tuple[str, str, float]  # channel, rule, score
Truth = Literal["true", "false", "undetermined", "unknown"]


@dataclass(frozen=True)
class Opening:
    """Here the live line opened a case: with the row that follows."""

    case_id: str
    t_ms: int


@dataclass(frozen=True)
class Later:
    """What was done to a case of the live line that was over. closed_ms : when it had been closed."""

    act: Control
    closed_ms: int

    @property
    def t_ms(self) -> int:
        return self.act.t_ms


Item = Row | Control | Opening | Later


@dataclass(frozen=True)
class History:
    """What happened at a position, in the order the line heard it.

    position : as it is live.   items : rows, openings of live cases, and the acts that the line took up, each once:
    `recorded` makes them from what was sent, `placed` from what the lake keeps.
    failed_ms : when the machine failed, where that is known: what a case that is then open has warned of.
    missed_ms : when faults were found that the live line had opened no case for.
    """

    position: Position
    items: tuple[Item, ...]
    failed_ms: int | None = None
    missed_ms: tuple[int, ...] = ()


@dataclass(frozen=True)
class Case:
    """One case of a run. `capture_ids` : of the captures that opened and updated it, the first one first.

    live : the live case that was open at the same time.   set_aside_ms : when it was set aside, see the module.
    """

    case_id: str
    opened_ms: int
    severity: str
    rule: str
    channel: str
    reason: str
    capture_ids: tuple[str, ...]
    live: str | None = None
    closed_ms: int | None = None
    closure: Mapping[str, str] | None = None
    set_aside_ms: int | None = None
    failed_ms: int | None = None

    @property
    def truth(self) -> Truth:
        """Whether there was something, by the closure codes: NO_ISSUE is false, UNDETERMINED neither, all else true."""
        if self.closure is not None:
            return truth_of(self.closure)
        return "true" if self.failed_ms is not None else "unknown"

    @property
    def lead_ms(self) -> int | None:
        """From its opening to the closure, or else to the failure; None where it was not true."""
        end_ms = self.closed_ms if self.closed_ms is not None else self.failed_ms
        return end_ms - self.opened_ms if self.truth == "true" and end_ms is not None else None


@dataclass(frozen=True)
class Alarm:
    """A monitor began to alert, or went from warning to alarm, with this capture."""

    t_ms: int
    capture_id: str
    channel: str
    rule: str
    level: str
    score: float | None
    reason: str | None


@dataclass(frozen=True)
class Fact:
    """A case of the live line: what people found is the truth that runs are measured by."""

    case_id: str
    opened_ms: int
    closed_ms: int | None = None
    closure: Mapping[str, str] | None = None

    @property
    def truth(self) -> Truth:
        return "unknown" if self.closure is None else truth_of(self.closure)


@dataclass(frozen=True)
class Meanwhile:
    """What a run made of the rows of a live case's time: `reached` of `judged` were on a limit, the highest `score`."""

    judged: int = 0
    reached: int = 0
    score: float = -inf
    monitor: str = ""
    unjudged: str = ""

    def after(self, scores: Sequence[Scored], verdicts: Callable[[], Sequence[Verdict]]) -> "Meanwhile":
        """With one more row; `verdicts` are asked for where nothing was judged."""
        if scores:
            channel, rule, score = max(scores, key=itemgetter(2))
            seen = replace(self, judged=self.judged + 1, reached=self.reached + (score >= 1))
            return replace(seen, score=score, monitor=f"{channel} {rule}") if score > self.score else seen
        if self.judged:
            return self
        why = next((one.reason or "" for one in verdicts() if one.rule != SENSOR), self.unjudged)
        return replace(self, unjudged=why)

    def __str__(self) -> str:
        if not self.judged:
            return self.unjudged or "no row was judged meanwhile"
        return (
            f"{self.reached} of {self.judged} rows reached a limit meanwhile, at most {self.score:.2f} ({self.monitor})"
        )


@dataclass(frozen=True)
class Run:
    """A history as one position's settings judge it. `cases` and `alarms` are those of the window alone; a case that
    was open during a live case is counted when that one is, so that a window does not tear them apart.

    trace : (time in ms, highest score) of each judged row; empty unless asked for.
    """

    cases: tuple[Case, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    meanwhile: Mapping[str, Meanwhile] = field(default_factory=dict)  # by live case
    trace: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Window:
    """The time that is counted, in ms; `to_ms` is not within. Rows before it are replayed all the same."""

    from_ms: float = -inf
    to_ms: float = inf

    def __contains__(self, t_ms: float) -> bool:
        return self.from_ms <= t_ms < self.to_ms


ALWAYS = Window()


@dataclass(frozen=True)
class Change:
    """A case that is not the same before and after, and why. `what` : gone, new, earlier, later or severity."""

    what: str
    before: Case | None
    after: Case | None
    why: str

    @property
    def t_ms(self) -> int:
        return min(case.opened_ms for case in (self.before, self.after) if case is not None)


@dataclass(frozen=True)
class Comparison:
    """The live settings and a candidate on one position's history.

    rows, first_ms, last_ms : of the window.   facts : the live cases opened in it.
    """

    position: str
    rows: int
    first_ms: int | None
    last_ms: int | None
    facts: tuple[Fact, ...]
    before: Run
    after: Run
    changes: tuple[Change, ...]
    failed_ms: int | None = None
    missed_ms: tuple[int, ...] = ()


# ---- one history -------------------------------------------------------------------------------------


def backtest(history: History, candidate: Position, *, window: Window = ALWAYS, trace: bool = False) -> Comparison:
    """What the live settings made of the history, what the candidate makes of it, and which cases differ.

    ValueError for settings that make no sense, or a machine class that is not on the list.
    """
    before = run(history, history.position, window=window, trace=trace)
    return _compared(history, before, candidate, window, trace)


def backtest_sent(
    sent: Iterable[Row | Control],
    position: Position,
    candidate: Position,
    *,
    failed_ms: int | None = None,
    window: Window = ALWAYS,
    trace: bool = False,
) -> Comparison:
    """The same where no log of cases is kept: what the live position makes of what was sent is the live log."""
    items: list[Item] = []

    def kept() -> Iterator[Outcome]:
        for outcome in _recording(sent, position):
            items.append(outcome[0])
            yield outcome

    before = _run(kept(), failed_ms, (), window, trace)
    return _compared(History(position, tuple(items), failed_ms), before, candidate, window, trace)


def backtests(
    histories: Sequence[History],
    candidates: Sequence[Position],
    *,
    logged: bool = True,
    window: Window = ALWAYS,
    trace: bool = False,
) -> list[Comparison]:
    """`backtest` of each history with its candidate, many rows at once.

    logged : the histories hold what was logged of cases. Without, their items are rows alone, and what the live
    positions make of them is the log, as in `backtest_sent`. ValueError as for `backtest`, naming the position.
    """
    befores, items = _runs(histories, [one.position for one in histories], window, trace, logged=logged)
    heard = [replace(one, items=tuple(found)) for one, found in zip(histories, items, strict=True)]
    other = [at for at, one in enumerate(histories) if candidates[at] != one.position]
    tried, _ = _runs([heard[at] for at in other], [candidates[at] for at in other], window, trace, logged=True)
    afters = {**dict(enumerate(befores)), **dict(zip(other, tried, strict=True))}
    return [_comparison(one, befores[at], afters[at], window) for at, one in enumerate(heard)]


def _compared(history: History, before: Run, candidate: Position, window: Window, trace: bool) -> Comparison:
    after = before if candidate == history.position else run(history, candidate, window=window, trace=trace)
    return _comparison(history, before, after, window)


def _comparison(history: History, before: Run, after: Run, window: Window) -> Comparison:
    times = [item.t_ms for item in history.items if isinstance(item, Row) and item.t_ms in window]
    return Comparison(
        position=history.position.id,
        rows=len(times),
        first_ms=min(times, default=None),
        last_ms=max(times, default=None),
        facts=tuple(fact for fact in facts(history.items) if fact.opened_ms in window),
        before=before,
        after=after,
        changes=tuple(_changes(before, after)),
        failed_ms=history.failed_ms,
        missed_ms=tuple(one for one in history.missed_ms if one in window),
    )


Outcome = tuple[Item, State, list[Verdict], list[CaseChange]]


def replay(items: Iterable[Item], position: Position) -> Iterator[Outcome]:
    """Each item with the state after it, the verdicts and what changed in the position's case: see the module."""
    state = State.new()
    for item in items:
        state, verdicts, changes = _step(state, item, position)
        yield item, state, verdicts, changes


def _step(state: State, item: Item, position: Position) -> tuple[State, list[Verdict], list[CaseChange]]:
    if isinstance(item, Row):
        return detect.step(state, item, position)
    if isinstance(item, Opening):
        return _set_aside(state), [], []
    if isinstance(item, Later):
        if state.past is None or state.past.closed_ms != item.closed_ms:
            return state, [], []
        return detect.step(state, replace(item.act, case_id=state.past.case_id), position)
    if item.kind == relearn.KIND:
        return detect.step(state, item, position)
    if state.open_case is not None:
        return detect.step(state, replace(item, case_id=state.open_case.case_id), position)
    if item.kind == "resolved" and cases.is_repair(item.closure or {}):
        return cases.repaired(state), [], []
    return state, [], []


def _set_aside(state: State) -> State:
    """Without the case that is open, if that is quiet."""
    if state.open_case is None or state.open_case.quiet_since_ms is None:
        return state
    return replace(state, open_case=None)


def run(history: History, position: Position, *, window: Window = ALWAYS, trace: bool = False) -> Run:
    """The history as these settings judge it. ValueError as for `backtest`."""
    return _run(replay(history.items, position), history.failed_ms, history.missed_ms, window, trace)


def _run(
    outcomes: Iterable[Outcome], failed_ms: int | None, missed_ms: Sequence[int], window: Window, trace: bool
) -> Run:
    tally = _Tally(failed_ms, missed_ms, window, trace)
    for item, state, verdicts, changes in outcomes:
        tally.take(item, state.open_case is not None, verdicts, changes)
    return tally.run()


@dataclass(frozen=True)
class _Made:
    """What an item made that went by hand: the verdicts and changes, and whether a case was open before and after."""

    was_open: bool
    is_open: bool
    verdicts: Sequence[Verdict]
    changes: Sequence[CaseChange]

    @classmethod
    def of(cls, one: batch.Stepped) -> "_Made":
        return cls(one.before.open_case is not None, one.after.open_case is not None, one.verdicts, one.changes)


def _runs(
    histories: Sequence[History], positions: Sequence[Position], window: Window, trace: bool, *, logged: bool
) -> tuple[list[Run], list[list[Item]]]:
    """`run` of each history by these positions, and its items: with the openings that were made, if none are logged."""
    tallies = [_Tally(one.failed_ms, one.missed_ms, window, trace) for one in histories]
    heard: list[list[Item]] = [[] for _ in histories]
    states = [State.new().pack()] * len(histories)
    for low in range(0, max((len(one.items) for one in histories), default=0), TURNS):
        turns = [(at, item) for at, one in enumerate(histories) for item in one.items[low : low + TURNS]]
        judged = batch.judge(states, turns, positions, keep=_Made.of, step=_step)
        states = judged.states
        for place, (at, item) in enumerate(turns):
            made = judged.by_hand.get(place)
            if isinstance(made, ValueError):
                raise ValueError(f"{positions[at].id}: {made}") from made  # noqa: TRY004 (it is a value)
            if made is None:
                tallies[at].take_plain(item, judged, place)
            else:
                for opening in () if logged else _openings(made.changes):
                    tallies[at].take(opening, made.was_open, [], [])
                    heard[at].append(opening)
                tallies[at].take(item, made.is_open, made.verdicts, made.changes)
            heard[at].append(item)
    return [tally.run() for tally in tallies], heard


def _openings(changes: Iterable[CaseChange]) -> list[Opening]:
    return [Opening(one.case_id, one.opened_ms) for one in changes if one.change == "opened"]


class _Tally:
    """Gathers a run. Cases are kept by id in the order they were opened."""

    def __init__(self, failed_ms: int | None, missed_ms: Sequence[int], window: Window, trace: bool) -> None:
        self._missed_ms = missed_ms
        self._window = window
        self._trace: list[tuple[int, float]] | None = [] if trace else None
        self._failed_ms = failed_ms
        self._cases: dict[str, Case] = {}
        self._alarms: list[Alarm] = []
        self._levels: dict[tuple[str, str], str] = {}
        self._meanwhile: dict[str, Meanwhile] = {}
        self._live: str | None = None  # the live case that is open
        self._opened: dict[str, int] = {}  # live case → when

    def take(self, item: Item, is_open: bool, verdicts: Sequence[Verdict], changes: Sequence[CaseChange]) -> None:
        """is_open : a case of the run is, after the item."""
        if isinstance(item, Opening):
            self._opening(item, is_open)
            return
        for change in changes:
            self._changed(change)
        if isinstance(item, Later):
            self._live = item.act.case_id if item.act.kind == "reopened" else self._live
            return
        if isinstance(item, Control):
            self._live = None if item.kind == "resolved" else self._live
            self._levels = {} if item.kind == "resolved" else self._levels
            return
        if isinstance(item, Row):
            self._rung(item, verdicts)
            self._scored(
                item,
                [(one.channel, one.rule, one.score) for one in verdicts if one.score is not None],
                lambda: verdicts,
            )

    def take_plain(self, row: Item, judged: batch.Judged[Any], place: int) -> None:
        """A row that changed no case. Where no level moved there is nothing to ring."""
        if not isinstance(row, Row):
            raise TypeError(f"a plain {type(row).__name__}, wanted a Row")
        if judged.moved(place):
            self._rung(row, judged.verdicts(place))
        if self._live is not None or self._trace is not None:
            self._scored(row, judged.scores(place), lambda: judged.verdicts(place))

    def _scored(self, row: Row, scores: Sequence[Scored], verdicts: Callable[[], Sequence[Verdict]]) -> None:
        if self._live is not None:
            self._meanwhile[self._live] = self._meanwhile[self._live].after(scores, verdicts)
        if self._trace is not None and scores and row.t_ms in self._window:
            self._trace.append((row.t_ms, max(score for _, _, score in scores)))

    def _opening(self, opening: Opening, is_open: bool) -> None:
        self._live = opening.case_id
        self._opened[opening.case_id] = opening.t_ms
        self._meanwhile[opening.case_id] = Meanwhile()
        last = next(reversed(self._cases.values()), None)
        if last is None or last.closed_ms is not None or last.set_aside_ms is not None:
            return
        if is_open:
            self._cases[last.case_id] = replace(last, live=opening.case_id)
        else:
            self._cases[last.case_id] = replace(last, set_aside_ms=opening.t_ms)

    def _changed(self, change: CaseChange) -> None:
        captures = tuple(change.evidence.get("capture_ids", ()))
        if change.change == "opened":
            case = Case(
                change.case_id,
                change.opened_ms,
                change.severity,
                change.rule,
                change.channel,
                change.reason,
                captures,
                self._live,
            )
        else:
            case = self._cases[change.case_id]
            case = replace(case, severity=change.severity, capture_ids=(*case.capture_ids, *captures))
        if change.change == "resolved":
            case = replace(case, closed_ms=change.t_ms, closure=change.closure or {})
        elif change.change == "labelled":
            case = replace(case, closure=change.closure or {})
        elif change.change == repair.REOPENED:
            case = replace(case, closed_ms=None, closure=None)
        self._cases[case.case_id] = case

    def _rung(self, row: Row, verdicts: Sequence[Verdict]) -> None:
        for one in verdicts:
            if one.score is None:
                continue
            monitor = one.channel, one.rule
            before = self._levels.get(monitor)
            if one.persistent == before:
                continue
            self._levels[monitor] = one.persistent
            rises = one.persistent == "ALARM" or (one.persistent == "WARNING" and before != "ALARM")
            if rises and row.t_ms in self._window:
                self._alarms.append(
                    Alarm(row.t_ms, row.capture_id, one.channel, one.rule, one.persistent, one.score, one.reason)
                )

    def run(self) -> Run:
        found = [self._ended(case) for case in self._cases.values() if self._counted_ms(case) in self._window]
        return Run(tuple(found), tuple(self._alarms), self._meanwhile, tuple(sorted(self._trace or ())))

    def _counted_ms(self, case: Case) -> int:
        return self._opened.get(case.live or "", case.opened_ms)

    def _ended(self, case: Case) -> Case:
        failed = self._failed_ms is not None and case.opened_ms <= self._failed_ms
        still_open = case.closed_ms is None and case.set_aside_ms is None
        if failed and still_open:
            return replace(case, failed_ms=self._failed_ms)
        seen_ms = [t_ms for t_ms in self._missed_ms if was_open(case, t_ms)]
        return replace(case, failed_ms=min(seen_ms)) if seen_ms else case


def was_open(case: Case, t_ms: int) -> bool:
    """It was open then."""
    return case.opened_ms <= t_ms < _end_ms(case)


def truth_of(closure: Mapping[str, str]) -> Truth:
    """What closure codes say of the case: NO_ISSUE is false, UNDETERMINED neither, all else true."""
    mode = closure_from(closure).failure_mode
    return "false" if mode == "NO_ISSUE" else "undetermined" if mode == "UNDETERMINED" else "true"


def facts(items: Iterable[Item]) -> list[Fact]:
    """The live cases of a history, in the order they were opened."""
    found: dict[str, Fact] = {}
    for item in items:
        if isinstance(item, Opening):
            found[item.case_id] = Fact(item.case_id, item.t_ms)
        elif isinstance(item, Control) and item.kind == "resolved" and item.case_id in found:
            found[item.case_id] = replace(found[item.case_id], closed_ms=item.t_ms, closure=item.closure or {})
        elif isinstance(item, Later) and item.act.case_id in found:
            fact = found[item.act.case_id]
            again = item.act.kind == "reopened"
            closure = None if again else item.act.closure or {}
            found[fact.case_id] = replace(fact, closed_ms=None if again else fact.closed_ms, closure=closure)
    return list(found.values())


# ---- where histories come from -----------------------------------------------------------------------


def recorded(sent: Iterable[Row | Control], position: Position) -> tuple[Item, ...]:
    """The items of a history from what was sent to the line, in this order: the line itself is replayed for it.

    Acts that it did not take up, such as those delivered twice, are left out.
    """
    return tuple(item for item, *_ in _recording(sent, position))


def _recording(sent: Iterable[Row | Control], position: Position) -> Iterator[Outcome]:
    state = State.new()
    for item in sent:
        before = state
        state, verdicts, changes = detect.step(state, item, position)
        for opening in _openings(changes):
            yield opening, before, [], []
        if isinstance(item, Row) or changes or state != before:
            yield _as_item(item, before), state, verdicts, changes


def _as_item(item: Row | Control, before: State) -> Item:
    later = isinstance(item, Control) and item.kind in AFTERWARDS
    return Later(item, before.past.closed_ms) if isinstance(item, Control) and later and before.past else item


AFTERWARDS = ("reopened", "labelled")  # acts on a case that is over
TAKEN_UP = ("acknowledged", "resolved", *AFTERWARDS)  # acts that change what is judged, or the truth
Asked = tuple[Control, int]  # an act on a position, and the receipt of the last row that was judged before it, in ms


def placed(rows: Sequence[Row], log: Iterable[CaseChange], asked: Iterable[Asked] = ()) -> tuple[Item, ...]:
    """The items of a history from the rows, in the order they were heard, and from what the line wrote of its cases and
    was asked of the position itself.

    An act stands after the last row that the line had judged when it heard of it, and between the rows that made the
    changes before and after it. Where the log does not say which that was, it stands where the time of
    the act falls among the rows' arrivals, though the line heard of it seconds to an hour later.
    """
    changes = sorted(log, key=lambda one: (one.opened_ms, one.revision))
    made = _rows_that_made(changes, rows)
    arrivals = [row.received_ms for row in rows]
    before: dict[int, list[Item]] = {}
    acted = 0
    closed_ms: dict[str, int] = {}
    for number, change in enumerate(changes):
        if change.change == "opened":
            before.setdefault(made[number], []).append(Opening(change.case_id, change.opened_ms))
        elif change.change in TAKEN_UP and not cases.is_by_row(change):
            earliest = max((made[one] + 1 for one in range(number) if one in made), default=0)
            latest = next((made[one] for one in range(number, len(changes)) if one in made), len(rows))
            earliest = max(earliest, acted)
            heard_ms = change.t_ms if change.after_ms is None else change.after_ms
            acted = min(max(bisect_right(arrivals, heard_ms), earliest), max(latest, earliest))
            act = Control(change.change, change.case_id, change.t_ms, change.by or "", change.closure)
            if change.change == "resolved":
                closed_ms[change.case_id] = change.t_ms
            later = change.change in AFTERWARDS
            item = Later(act, closed_ms.get(change.case_id, change.opened_ms)) if later else act
            before.setdefault(acted, []).append(item)
    for act, after_ms in asked:
        there = before.setdefault(bisect_right(arrivals, after_ms), [])
        there.insert(next((at for at, one in enumerate(there) if _follows(one, act)), len(there)), act)
    # At one place a case is closed before the next one opens: the order of the log.
    items: list[Item] = []
    for place in range(len(rows) + 1):
        items += before.get(place, ())
        items += rows[place : place + 1]
    return tuple(items)


def _follows(item: Item, act: Control) -> bool:
    """It comes after that act, which was heard between the same two rows."""
    return isinstance(item, Opening) or item.t_ms > act.t_ms


def _rows_that_made(changes: Sequence[CaseChange], rows: Sequence[Row]) -> dict[int, int]:
    """Change (by its place in the log) → the place of the row that made it; of a row that is lost, where it was."""
    places: dict[int, int] = {}
    at: dict[tuple[int, str], list[int]] = {}
    for place, row in enumerate(rows):
        others = {"temperature": row.temperature_c, MODEL: row.model}
        for channel in (*row.axes, *(name for name, said in others.items() if said is not None)):
            at.setdefault((row.t_ms, channel), []).append(place)
    low = 0
    for number, change in enumerate(changes):
        if not cases.is_by_row(change):
            continue
        there = [place for place in at.get((change.t_ms, change.channel), ()) if place >= low]
        lost = next((place for place in range(low, len(rows)) if rows[place].t_ms >= change.t_ms), len(rows))
        low = places[number] = there[0] if there else lost
    return places


@dataclass(frozen=True)
class Difference:
    """Something that the line wrote, and a replay of its settings does not, or the other way round."""

    t_ms: int
    capture_id: str
    what: str
    written: str | None
    replayed: str | None


VerdictKey = tuple[str, str, str]  # capture, channel, rule
JUDGED = ("verdict", "persistent", "feature", "value", "limit", "score", "reason", "samples")  # columns compared


def differences(history: History, written: Mapping[VerdictKey, Mapping[str, Any]]) -> list[Difference]:
    """Verdicts that the live settings give for this history and that the line did not write so, or at all.

    written : what the line wrote of the same rows, by capture, channel and rule; columns of JUDGED, others are ignored.
    Zero, unless settings or code changed since, the history has a gap, or a row came in while somebody acted.
    """
    left = dict(written)
    found = []
    for item, _, verdicts, _ in replay(history.items, history.position):
        if not isinstance(item, Row):
            continue
        for one in verdicts:
            row = left.pop((item.capture_id, one.channel, one.rule), None)
            was, now = _judged(row), _judged(asdict(one))
            if was != now:
                found.append(Difference(item.t_ms, item.capture_id, f"{one.channel} {one.rule}", was, now))
    times = {item.capture_id: item.t_ms for item in history.items if isinstance(item, Row)}
    for (capture_id, channel, rule), row in left.items():
        if capture_id in times:
            found.append(Difference(times[capture_id], capture_id, f"{channel} {rule}", _judged(row), None))
    return sorted(found, key=lambda one: one.t_ms)


def _judged(row: Mapping[str, Any] | None) -> str | None:
    if row is None:
        return None
    return ", ".join(f"{name} {row[name]!r}" for name in JUDGED if name in row and row[name] is not None)


# ---- what differs ------------------------------------------------------------------------------------


def _changes(before: Run, after: Run) -> list[Change]:
    """The cases that differ, by time. Cases are the same that were open during the same live case, or, where there was
    none, at the same time.
    """
    old = {case.live or case.case_id: case for case in before.cases}
    new = {case.live or case.case_id: case for case in after.cases}
    pairs: list[tuple[Case | None, Case | None]] = [(old.pop(key), new.pop(key)) for key in [*old] if key in new]
    for key, case in list(old.items()):
        beside = next((other for other in new if _at_once(case, new[other])), None)
        pairs.append((old.pop(key), new.pop(beside) if beside is not None else None))
    pairs += [(None, case) for case in new.values()]
    found = [change for pair in pairs if (change := _change(*pair, after)) is not None]
    return sorted(found, key=lambda one: one.t_ms)


def _at_once(one: Case, other: Case) -> bool:
    return one.opened_ms < _end_ms(other) and other.opened_ms < _end_ms(one)


def _end_ms(case: Case) -> float:
    return next((end for end in (case.closed_ms, case.set_aside_ms) if end is not None), inf)


def _change(old: Case | None, new: Case | None, after: Run) -> Change | None:
    if new is None and old is not None:
        return Change("gone", old, None, str(after.meanwhile.get(old.live or "", "no case was open meanwhile")))
    if old is None and new is not None:
        return Change("new", None, new, new.reason)
    if old is None or new is None or (old.opened_ms, old.severity) == (new.opened_ms, new.severity):
        return None
    if old.opened_ms == new.opened_ms:
        return Change("severity", old, new, f"{new.severity} instead of {old.severity}: {new.reason}")
    what = "earlier" if new.opened_ms < old.opened_ms else "later"
    return Change(what, old, new, new.reason)


@dataclass(frozen=True)
class Figures:
    """What a run, or several together, comes to.

    orders : work orders that would have been opened, one for each case.   missed : live cases that were true, faults
    that the live line missed, and failures, without a case of the run.   leads_h : of the true cases, from opening to
    closure or failure.
    """

    cases: int
    true: int
    false: int
    undetermined: int
    unknown: int
    missed: int
    alarms: int
    leads_h: tuple[float, ...]
    machine_years: float

    @property
    def orders(self) -> int:
        return self.cases

    @property
    def lead_h(self) -> float | None:
        """The median lead time."""
        return median(self.leads_h) if self.leads_h else None

    @property
    def orders_per_machine_year(self) -> float | None:
        return self.orders / self.machine_years if self.machine_years else None

    def as_dict(self) -> dict[str, Any]:
        return {
            "cases": self.cases,
            "true": self.true,
            "false": self.false,
            "undetermined": self.undetermined,
            "unknown": self.unknown,
            "missed": self.missed,
            "alarms": self.alarms,
            "lead_h": self.lead_h,
            "orders": self.orders,
            "orders_per_machine_year": self.orders_per_machine_year,
        }


def figures(comparisons: Sequence[Comparison]) -> tuple[Figures, Figures]:
    """Before and after, of these positions together. A machine-year is one of an asset, however many positions."""
    years = _machine_years(comparisons)
    before = _figures([(one, one.before) for one in comparisons], years)
    return before, _figures([(one, one.after) for one in comparisons], years)


def _figures(runs: Sequence[tuple[Comparison, Run]], machine_years: float) -> Figures:
    found = [case for _, run in runs for case in run.cases]
    truths = [case.truth for case in found]
    leads = [case.lead_ms / HOUR_MS for case in found if case.lead_ms is not None]
    return Figures(
        cases=len(found),
        true=truths.count("true"),
        false=truths.count("false"),
        undetermined=truths.count("undetermined"),
        unknown=truths.count("unknown"),
        missed=sum(_missed(comparison, run) for comparison, run in runs),
        alarms=sum(len(run.alarms) for _, run in runs),
        leads_h=tuple(leads),
        machine_years=machine_years,
    )


def _missed(comparison: Comparison, run: Run) -> int:
    seen = {case.live for case in run.cases}
    live = sum(fact.truth == "true" and fact.case_id not in seen for fact in comparison.facts)
    failed = comparison.failed_ms is not None and all(case.failed_ms is None for case in run.cases)
    unseen = sum(not any(was_open(case, t_ms) for case in run.cases) for t_ms in comparison.missed_ms)
    return live + failed + unseen


def _machine_years(comparisons: Sequence[Comparison]) -> float:
    spans: dict[str, tuple[int, int]] = {}
    for one in comparisons:
        if one.first_ms is not None and one.last_ms is not None:
            asset = one.position.rsplit("/", 1)[0] if "/" in one.position else one.position
            low, high = spans.get(asset, (one.first_ms, one.last_ms))
            spans[asset] = min(low, one.first_ms), max(high, one.last_ms)
    return sum(high - low for low, high in spans.values()) / YEAR_MS
