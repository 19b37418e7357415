"""Many rows of many positions judged at once: what `detect.step` says, bit for bit, in numpy.

The k-th row of every position makes one turn, and a turn is judged with arrays. That covers plain rows: the machine is
off or runs in the one mode that is known of it, the sensor is sound, and no case opens or changes. Everything else
(what people did, a sensor fault, another sensor or envelope band, a slow shaft, a case, whatever `detect.step` learns
to do next) is handed to `detect.step`, for that position alone. So this module may know less than `detect`, and never
something else: tests/unit/test_batch.py.

Logarithms and exponentials are Python's: numpy's differ from them in the last bit.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, inf, log, nan
from typing import Any, Generic, TypeVar

import numpy as np

from telltale.core import baseline, batch_words, detect, limits, modes, sensor
from telltale.core.baseline import INDICATORS, LARGEST_LN, OFFSETS, REFERENCES
from telltale.core.batch_rows import CONSTANTS, NEAR, Bools, Facts, Floats, Ints, Rows, constants, facts, rows_of
from telltale.core.judgement import AXES, CaseChange, Row, Verdict
from telltale.core.limits import VELOCITY
from telltale.core.persistence import HIGHEST_SCORE, LEVELS
from telltale.core.plant import Position
from telltale.core.settings import MOST_ROWS, MOST_SCORES
from telltale.core.state import LAYOUT, NEVER, State
from telltale.core.state_table import BITS, FLOATS, INTS, ORDER, StateTable

T = TypeVar("T")
ByHand = Callable[[State, Any, Position], tuple[State, list[Verdict], list[CaseChange]]]

FEWEST = 2  # positions from which turns of arrays cost less than rows one by one
_BLOCK = 16  # rows whose numbers become Python's at once

_VELOCITY, _ENVELOPE = (list(INDICATORS).index(name) for name in (VELOCITY, "env_rms_g"))
_HIGH_BAND, _OFFSET = (list(REFERENCES).index(name) for name in ("band_5000_10000_g", "mean_g"))
_REFERENCES = slice(len(INDICATORS), len(INDICATORS) + len(REFERENCES))
_LOGARITHMIC = np.array([[name not in OFFSETS] for name in REFERENCES])
_STEPS = np.where(_LOGARITHMIC, baseline.REFERENCE_STEP, baseline.OFFSET_STEP_G)
_LOST_LN = log(sensor.LOST_BANDS) + NEAR
_ROCKING_LN = log(sensor.LOST_BANDS_ROCKING) + NEAR
_STAYS_LN = log(sensor.VELOCITY_STAYS) - NEAR
_FAULTY = np.array([bits.bit_count() for bits in range(256)])
_AGE = np.arange(MOST_SCORES)[::-1, None]  # of the scores held, the newest last
_ZONES, _BASELINES = slice(0, 3), slice(3, 6)  # of ORDER
_IN_TURN = [*(ORDER.index((axis, rule)) for axis in AXES for rule in ("zone", "baseline")), len(ORDER) - 1]
_HEALTHY, _WARNING, _ALARM = (LEVELS.index(level) for level in ("HEALTHY", "WARNING", "ALARM"))


@dataclass(frozen=True)
class Stepped:
    """What `detect.step` made of one item; `before` and `after` are the position's states."""

    before: State
    after: State
    verdicts: list[Verdict]
    changes: list[CaseChange]


class Judged(Generic[T]):
    """What came of a batch. Items are named by their places in it.

    states : packed, of each position after its last item.
    by_hand : item → what was kept of what `step` made of it, or the ValueError that it raised. The others are plain
    rows, of which the methods tell.
    """

    def __init__(self, heard: Sequence[tuple[int, Any]], positions: Sequence[Position]) -> None:
        self.states: list[bytes] = []
        self.by_hand: dict[int, T | ValueError] = {}
        self._heard = heard
        self._positions = positions
        self._rows: dict[int, int] = {}
        self._said = _Said(0)
        self._blocks: dict[int, dict[str, list[Any]]] = {}

    def news(self, place: int) -> bool:
        """Some channel of this row was not known yet: it was judged."""
        return bool(self._said.live[:, self._rows[place]].any())

    def first(self, place: int) -> bool:
        """With this row some rule has judged for the first time, and the position is no longer UNKNOWN."""
        return bool(self._said.first[self._rows[place]])

    def moved(self, place: int) -> bool:
        """A rule that judged this row tells another level than before, or alerts."""
        return bool(self._said.moved[self._rows[place]])

    def scores(self, place: int) -> list[tuple[str, str, float]]:
        """Channel, rule and score of the rules that judged this row, in the order of its verdicts."""
        said = self._said.score[:, self._rows[place]].tolist()
        return [(*ORDER[at], said[at]) for at in _IN_TURN if said[at] == said[at]]

    def verdicts(self, place: int) -> list[Verdict]:
        """The verdicts of this row."""
        number, within = divmod(self._rows[place], _BLOCK)
        if number not in self._blocks:
            self._blocks[number] = self._said.block(slice(number * _BLOCK, (number + 1) * _BLOCK))
        lane, row = self._heard[place]
        told = {name: of[within] for name, of in self._blocks[number].items()}
        return batch_words.verdicts(row, self._positions[lane], told)


def judge(
    states: Sequence[bytes],
    heard: Sequence[tuple[int, Any]],
    positions: Sequence[Position],
    *,
    keep: Callable[[Stepped], T],
    step: ByHand = detect.step,
    by_hand: Collection[int] = (),
) -> Judged[T]:
    """What becomes of items that were heard in this order.

    states : packed, of each position.   heard : position (its place among them) and item: a Row, or whatever `step`
    takes.   step : takes what is not a plain row.   keep : what to keep of that.   by_hand : items (their places) that
    go to `step` whatever they are.
    """
    judged: Judged[T] = Judged(heard, positions)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        _Batch(states, heard, positions, judged, keep, step, frozenset(by_hand)).run()
    return judged


class _Batch(Generic[T]):
    """A batch being judged. Each position's state is in the table, or else aside: packed, or as it left `step`."""

    def __init__(
        self,
        states: Sequence[bytes],
        heard: Sequence[tuple[int, Any]],
        positions: Sequence[Position],
        judged: Judged[T],
        keep: Callable[[Stepped], T],
        step: ByHand,
        by_hand: frozenset[int],
    ) -> None:
        self._heard, self._positions, self._judged = heard, positions, judged
        self._keep, self._step = keep, step
        self._aside: dict[int, bytes | State] = dict(enumerate(states))
        self._table = StateTable(len(states))
        lanes = [lane for lane, _ in heard]
        self._turns = _turns(lanes)
        known = {lane: constants(positions[lane]) for lane in set(lanes)} if len(set(lanes)) >= FEWEST else {}
        order = np.lexsort((lanes, self._turns)).tolist()
        plain = [
            place
            for place in order
            if isinstance(heard[place][1], Row) and known.get(lanes[place]) is not None and place not in by_hand
        ]
        rest = frozenset(order).difference(plain)
        self._plain, self._others = plain, [place for place in order if place in rest]
        self._lanes = np.array([lanes[place] for place in plain], np.int64)
        self._constants = np.full((len(CONSTANTS), len(states)), nan)
        for lane, one in known.items():
            self._constants[:, lane] = one or nan
        given = [heard[place][1] for place in plain]
        self._rows = rows_of(given)
        own = dict(zip(CONSTANTS, self._constants[:, self._lanes], strict=True))
        self._facts = facts(self._rows, own, given, [positions[lanes[place]] for place in plain])
        judged._rows = {place: at for at, place in enumerate(plain)}
        judged._said = self._said = _Said(len(plain))

    def run(self) -> None:
        turns = max(self._turns, default=-1) + 1
        edges = np.searchsorted([self._turns[place] for place in self._plain], np.arange(turns + 1)).tolist()
        others: dict[int, list[int]] = {}
        for place in self._others:
            others.setdefault(self._turns[place], []).append(place)
        for turn, (low, high) in enumerate(pairwise(edges)):
            for place in [*others.get(turn, ()), *self._judge(low, high)]:
                self._go_by_hand(place)
        self._judged.states = self._packed()

    def _judge(self, low: int, high: int) -> list[int]:
        """One turn of plain rows. The items of it that are left to `step`."""
        if low == high:
            return []
        left = self._facts.by_hand[low:high] | ~self._load(self._lanes[low:high])
        at: slice | Ints = slice(low, high)
        if left.any():
            at = low + np.flatnonzero(~left)
        left[~left] = _judge(self._table, self._lanes[at], self._constants, self._rows, self._facts, self._said, at)
        return [self._plain[low + place] for place in np.flatnonzero(left).tolist()]

    def _load(self, lanes: Ints) -> Bools:
        """Puts states that are aside into the table. Whether each position's is there."""
        there = np.ones(len(lanes), np.bool_)
        places, states = [], []
        for at, lane in enumerate(lanes.tolist() if self._aside else ()):
            if lane in self._aside:
                state = _of_today(self._aside[lane])
                there[at] = StateTable.takes(state)
                if there[at]:
                    places.append(lane)
                    states.append(state)
                    del self._aside[lane]
        self._table.read(places, states)
        return there

    def _go_by_hand(self, place: int) -> None:
        lane, item = self._heard[place]
        before = self._aside.get(lane)
        if not isinstance(before, State):
            before = State.unpack(self._table.packed([lane])[0] if before is None else before)
        self._judged._rows.pop(place, None)
        try:
            after, verdicts, changes = self._step(before, item, self._positions[lane])
        except ValueError as error:
            self._aside[lane] = before
            self._judged.by_hand[place] = error
        else:
            self._aside[lane] = after
            self._judged.by_hand[place] = self._keep(Stepped(before, after, verdicts, changes))

    def _packed(self) -> list[bytes]:
        lanes = [lane for lane in range(len(self._positions)) if lane not in self._aside]
        found = dict(zip(lanes, self._table.packed(lanes), strict=True))
        for lane, state in self._aside.items():
            found[lane] = _of_today(state)
        return [found[lane] for lane in range(len(self._positions))]


def _of_today(state: bytes | State) -> bytes:
    """Packed in today's layout."""
    if isinstance(state, State):
        return state.pack()
    return state if state[0] == LAYOUT else State.unpack(state).pack()


def _turns(lanes: Sequence[int]) -> list[int]:
    """For each item how many of its position come before it."""
    seen: dict[int, int] = {}
    turns = []
    for lane in lanes:
        turns.append(seen.get(lane, 0))
        seen[lane] = turns[-1] + 1
    return turns


class _Said:
    """What turns said of plain rows, for words that are made when somebody reads them; the row is the last axis."""

    def __init__(self, rows: int) -> None:
        self.live = np.zeros((4, rows), np.bool_)
        self.off = np.zeros(rows, np.bool_)
        self.first = np.zeros(rows, np.bool_)
        self.moved = np.zeros(rows, np.bool_)
        # by monitor, in their ORDER
        self.score = np.full((7, rows), nan)  # NaN: not judged
        self.level = np.zeros((7, rows), np.int8)
        self.held = np.zeros((7, rows), np.int8)
        self.quiet_below = np.zeros((7, rows))
        # by axis
        self.usual_ln = np.full((3, rows), nan)  # of the velocity, and how far it goes by itself; NaN: not known
        self.reach_ln = np.full((3, rows), nan)
        self.learned = np.zeros((3, rows), np.int32)  # rows; -1: no indicator of the baseline
        self.best = np.zeros((3, rows), np.int8)  # the indicator that decides, and its normal
        self.location = np.full((3, rows), nan)
        self.distance = np.full((3, rows), nan)
        self.rows = np.zeros((3, rows), np.int32)
        self.settling = np.zeros((3, rows), np.int8)
        self.sensor_held = np.zeros((3, rows), np.int8)
        self.sensor_kind = np.zeros((3, rows), np.int8)

    def block(self, rows: slice) -> dict[str, list[Any]]:
        """All of these rows as Python's values: name → row → number, or a list of them."""
        return {name: values[..., rows].T.tolist() for name, values in vars(self).items()}


# ---- one turn ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Turn:
    """One row of each of n positions, and their states, which functions below change in place. The position is the
    last axis. own : constants, by name.   x : logarithms of the baseline's indicators.
    """

    floats: Floats
    ints: Ints
    own: Mapping[str, Floats]
    t_ms: Ints
    x: Floats
    velocity: Floats
    live: Bools  # (4, n): channels that hear something new
    runs: Bools  # (3, n): axes that do, of machines that run

    def float(self, name: str) -> Floats:
        return FLOATS.of(self.floats, name)

    def int(self, name: str) -> Ints:
        return INTS.of(self.ints, name)


def _judge(
    table: StateTable, lanes: Ints, all_constants: Floats, rows: Rows, known: Facts, said: _Said, at: slice | Ints
) -> Bools:
    """Judges one row of each lane (a place in the table). Which of them are left to `detect.step`, their states as
    they were.
    """
    floats, ints = table.floats[:, lanes], table.ints[:, lanes]
    off, celsius = known.off[at], rows.temperature_c[at]
    live = rows.heard[:, at] & (rows.t_ms[at] > INTS.of(ints, "last_ms"))
    own = dict(zip(CONSTANTS, all_constants[:, lanes], strict=True))
    velocity = rows.value(VELOCITY)[:, at]
    turn = _Turn(floats, ints, own, rows.t_ms[at], rows.logarithms[:, :, at], velocity, live, live[:3] & ~off)
    said.live[:, at], said.off[at] = live, off

    left = _band(turn, known.band[:, :, at])
    left |= _operate(turn, rows.heard_by[at], rows.speed_rpm[at], known.load[at])
    left |= _is_doubtful(turn, known.high[:, :, at], known.rocks[:, at], rows.value("mean_g")[:, at])
    left |= _watch_sensors(turn, known.assessable[:, at])
    warning, alarm = _limits(turn, said, at)
    zoned = turn.runs & (warning < inf) & ~np.isnan(velocity)
    left |= (zoned & (velocity < warning) & (warning <= known.slow_mm_s[:, at])).any(axis=0)
    highest = _deviations(turn, said, at)
    by_baseline = turn.runs & (highest > -inf)
    left |= (own["fleet"] == 1) & (turn.runs & ~by_baseline & ~np.isnan(turn.x).all(axis=1)).any(axis=0)
    hot = live[3] & ~off & (own["hot_warning"] > 0)

    judged = np.concatenate([zoned, by_baseline, hot[None]])
    scores = np.concatenate([velocity / warning, highest, (celsius / own["hot_warning"])[None]])
    of_baselines, of_heat = np.broadcast_to(own["alarm_score"], zoned.shape), own["hot_alarm"] / own["hot_warning"]
    before = turn.int("level").copy()
    _watch(turn, judged, scores, np.concatenate([alarm / warning, of_baselines, of_heat[None]]))
    alerts = turn.int("level") >= _WARNING
    left |= _follow(turn, judged & alerts, alerts)

    warned = (zoned & (velocity >= warning)) | (by_baseline & (highest >= 1))
    others = (turn.int("case") != 0) & (turn.int("opened_ms") < turn.t_ms)
    calm = turn.runs & ~warned & ~others & (turn.int("sensor_kind") == 0) & ~alerts[_ZONES] & ~alerts[_BASELINES]
    settling = turn.int("settling")
    said.settling[:, at] = settling
    calm &= (settling == 0) | (turn.int("rows").max(axis=1) < own["warmup"])
    np.copyto(settling, settling - 1, where=turn.runs & (settling > 0))
    np.copyto(settling, own["warning_n"].astype(np.int64) - 1, where=live[:3] & off)
    _refer(turn, calm, rows.values[_REFERENCES, :, at])
    _learn(turn, calm)
    first = (turn.int("judged") == 0) & judged.any(axis=0)
    np.copyto(turn.int("judged"), 1, where=first)
    np.copyto(turn.int("last_ms"), turn.t_ms, where=live)
    np.copyto(turn.int("known"), 1, where=live)

    stay = ~left if left.any() else slice(None)
    table.floats[:, lanes[stay]], table.ints[:, lanes[stay]] = floats[:, stay], ints[:, stay]
    said.first[at] = first & (turn.int("case") == 0)
    said.moved[at] = (judged & (alerts | (turn.int("level") != before))).any(axis=0)
    said.score[:, at] = np.where(judged, scores, nan)
    said.quiet_below[:, at] = turn.float("quiet_below")
    said.level[:, at], said.held[:, at] = turn.int("level"), turn.int("held")
    said.sensor_held[:, at], said.sensor_kind[:, at] = turn.int("sensor_held"), turn.int("sensor_kind")
    return left


def _band(turn: _Turn, row: Floats) -> Bools:
    """Takes up the envelope's band where none was known. Positions of which it is another one."""
    band = turn.float("band")
    other = turn.live[:3, None] & ~np.isnan(row) & (row != band)
    np.copyto(band, row, where=other & (band[:, 1:] == 0))
    return np.asarray((other & (band != row)).any(axis=(0, 1)))


def _operate(turn: _Turn, heard_by: Ints, speed_rpm: Floats, load: Floats) -> Bools:
    """Takes up sensor, speed and load where none was known. Positions of which it is another one, or a new mode."""
    known, axes, runs, own = turn.int("heard_by"), turn.live[:3], turn.runs, turn.own
    other = axes & ((turn.int("compared") > 0) | ((heard_by != 0) & (known != 0) & (heard_by != known)))
    other |= runs & (turn.int("mode_name") != 0)  # by the plant file, or all else
    np.copyto(known, heard_by, where=axes & (known == 0))
    mode, row = turn.float("mode"), _stored(np.stack([speed_rpm, load]))
    speeds, loads = np.maximum(mode[:, 0], modes.SLOWEST_RPM), mode[:, 1]
    other |= runs & (np.abs(np.log(np.maximum(row[0], modes.SLOWEST_RPM) / speeds)) > own["reach_ln"])
    reach = np.maximum(own["reach"] * np.maximum(np.abs(row[1]), np.abs(loads)), modes.SMALLEST_REACH)
    other |= runs & (np.abs(row[1] - loads) > reach)
    np.copyto(mode, row, where=runs[:, None] & np.isnan(mode))
    return np.asarray(other.any(axis=0))


def _is_doubtful(turn: _Turn, high: Floats, rocks: Bools, mean_g: Floats) -> Bools:
    """Positions whose sensor, compared with what is usual of it here, may be loose or have turned."""
    location, usual = turn.float("location"), turn.float("usual")
    ready = turn.int("rows") >= turn.own["warmup"]
    known = turn.int("usual_rows") >= turn.own["wanted"]
    by_envelope = np.where(ready[:, _ENVELOPE], high[:, 0] - location[:, _ENVELOPE], nan)
    by_band = np.where(known[:, _HIGH_BAND], high[:, 1] - usual[:, _HIGH_BAND], nan)
    share_ln = np.fmax(by_envelope, by_band)
    lost = (share_ln <= _LOST_LN) | ((share_ln <= _ROCKING_LN) & rocks)
    stays = ready[:, _VELOCITY] & (turn.x[:, _VELOCITY] - location[:, _VELOCITY] >= _STAYS_LN)
    turned = known[:, _OFFSET] & (np.abs(mean_g - usual[:, _OFFSET]) >= sensor.OFFSET_G)
    return np.asarray((turn.runs & ((lost & stays) | turned) & (turn.own["sensor_normal"] != 0)).any(axis=0))


def _watch_sensors(turn: _Turn, assessable: Bools) -> Bools:
    """sensor.watched, of sensors that are sound. Positions where one has recovered by it."""
    held, bits, wanted = turn.int("sensor_held"), turn.int("sensor_bits"), turn.own["sensor_n"]
    most = turn.own["sensor_m"].astype(np.int64)
    sound = turn.runs & assessable
    np.copyto(bits, (bits << 1) & ((1 << most) - 1), where=sound)
    np.copyto(held, np.minimum(held + 1, most), where=sound)
    faulty = _FAULTY[bits]
    recovered = (turn.int("sensor_kind") > 0) & (faulty < wanted) & (held - faulty >= wanted)
    return np.asarray((sound & recovered).any(axis=0))


def _limits(turn: _Turn, said: _Said, at: slice | Ints) -> tuple[Floats, Floats]:
    """Warning and alarm of each axis's velocity in mm/s, as in limits.judge_velocity; infinite where there is none."""
    own, shape = turn.own, turn.velocity.shape
    location, spread = turn.float("location")[:, _VELOCITY], turn.float("spread")[:, _VELOCITY]
    steady = turn.runs & (turn.int("rows")[:, _VELOCITY] >= own["warmup"])
    reach_ln = location + own["sigmas"] * np.maximum(spread, baseline.SMALLEST_SPREAD)
    usual_ln, reach_ln = np.minimum(location, LARGEST_LN), np.minimum(reach_ln, LARGEST_LN)
    said.usual_ln[:, at], said.reach_ln[:, at] = np.where(steady, usual_ln, nan), np.where(steady, reach_ln, nan)
    b_c = np.broadcast_to(own["b_c"], shape)
    warning = np.where(np.isnan(b_c), inf, b_c)
    by_class = steady & ~np.isnan(b_c)
    if by_class.any():
        both = np.concatenate([usual_ln[by_class], reach_ln[by_class]]).tolist()
        usual, reach = np.array(list(map(exp, both))).reshape(2, -1)
        b_c = b_c[by_class]
        rule = np.minimum(usual + limits.SIGNIFICANT * b_c, limits.HIGHEST_WARNING * b_c)
        warning[by_class] = np.maximum(rule, np.minimum(reach, b_c))
    warning = np.where(np.isnan(own["own_warning"]), warning, own["own_warning"])
    warning = np.fmin(warning, own["own_alarm"])
    alarm = np.where(np.isnan(own["c_d"]), inf, own["c_d"])
    alarm = np.where(np.isnan(own["own_alarm"]), alarm, own["own_alarm"])
    return warning, np.maximum(alarm, warning)


def _deviations(turn: _Turn, said: _Said, at: slice | Ints) -> Floats:
    """The score of each axis by its baseline, as in baseline.judge; -infinite where it is not judged."""
    location, rows = turn.float("location"), turn.int("rows")
    seen = ~np.isnan(turn.x)
    distance = turn.own["sigmas"] * np.maximum(turn.float("spread"), baseline.SMALLEST_SPREAD)
    distance = np.maximum(distance, turn.own["growth_ln"])
    scores = np.where(seen & (rows >= turn.own["warmup"]), (turn.x - location) / distance, -inf)
    best = scores.argmax(axis=1)[:, None]

    def of_best(values: Any) -> Any:
        return np.take_along_axis(values, best, axis=1)[:, 0]

    said.learned[:, at] = np.where(seen, rows, -1).max(axis=1)
    said.best[:, at], said.rows[:, at] = best[:, 0], of_best(rows)
    said.location[:, at], said.distance[:, at] = of_best(location), of_best(distance)
    return np.asarray(of_best(scores))


def _watch(turn: _Turn, judged: Bools, raw: Floats, alarm_score: Floats) -> None:
    """persistence.watch: n of the last m rows reach a level where the n-th largest of their scores does."""
    scores, held, level, quiet = turn.float("scores"), turn.int("held"), turn.int("level"), turn.float("quiet_below")
    own, clear = turn.own, turn.own["clear"]
    score = _stored(np.minimum(np.maximum(raw, -HIGHEST_SCORE), HIGHEST_SCORE))
    np.copyto(scores, np.concatenate([scores[:, 1:], score[:, None]], axis=1), where=judged[:, None])
    np.copyto(held, np.minimum(held + 1, MOST_SCORES), where=judged)
    np.copyto(turn.int("since_s"), 0, where=judged)
    if not (judged & (scores.max(axis=1) >= clear)).any():  # nothing reaches even the lowest of the levels below
        np.copyto(level, _HEALTHY, where=judged)
        np.copyto(quiet, 0.0, where=judged)
        return

    def reached(threshold: Floats, rule: str) -> Bools:
        among = np.minimum(own[f"{rule}_m"], held)[:, None] > _AGE
        return np.asarray((among & (scores >= threshold[:, None])).sum(axis=1) >= own[f"{rule}_n"])

    still = np.where(reached(np.broadcast_to(clear, held.shape), "warning"), quiet, 0.0)
    on_warning = np.maximum(1.0, still) * np.where(level >= _WARNING, clear, 1.0)
    on_alarm = np.maximum(_stored(alarm_score), still) * np.where(level == _ALARM, clear, 1.0)
    warns, alarms = reached(on_warning, "warning"), reached(on_alarm, "alarm")
    np.copyto(level, np.where(alarms, _ALARM, np.where(warns, _WARNING, _HEALTHY)), where=judged)
    np.copyto(quiet, still, where=judged)


def _follow(turn: _Turn, loud: Bools, alerts: Bools) -> Bools:
    """cases.follow, where no case opens or changes. Positions where one does."""
    joined, case, quiet_ms = turn.int("joined"), turn.int("case") != 0, turn.int("quiet_since_ms")
    joins = (loud * BITS).sum(axis=0) & ~joined != 0
    worse = (loud * turn.int("level")).max(axis=0) > turn.int("severity")
    still = case & ((alerts * BITS).sum(axis=0) & joined == 0)
    since = np.where((quiet_ms == NEVER) | (quiet_ms == 0), turn.t_ms, quiet_ms)
    np.copyto(quiet_ms, np.where(still, since, NEVER), where=case)
    return np.where(case, joins | worse, loud.any(axis=0))


def _learn(turn: _Turn, calm: Bools) -> None:
    """baseline.learn, of axes whose row is healthy."""
    where, x, own = calm[:, None] & ~np.isnan(turn.x), turn.x, turn.own
    if not where.any():
        return
    location, spread, anchor, rows = (*map(turn.float, ("location", "spread", "anchor")), turn.int("rows"))
    unit, off = np.maximum(spread, baseline.SMALLEST_SPREAD), x - location
    reach = baseline.HUBER * unit
    pull = np.minimum(np.maximum(off, -reach), reach)
    drifts = location + pull / own["memory"]
    after = np.minimum(np.maximum(drifts, anchor - own["drift_ln"]), anchor + own["drift_ln"])
    warming = rows < own["warmup"]
    if (where & warming).any():
        deviation = baseline.MEAN_DEVIATION_TO_SIGMA * np.minimum(np.abs(off), baseline.WINSOR * unit)
        wider = spread + (deviation - spread) / (rows + 1)
        after = np.where(warming, location + pull / (rows + 1), after)
        if (where & (rows < 3)).any():  # the first rows wait in the slots for the third
            three = np.stack([location, spread, x])
            middle = np.sort(three, axis=0)[1]
            scale = baseline.MAD_TO_SIGMA * np.sort(np.abs(three - middle), axis=0)[1]
            after = np.select([rows == 0, rows == 1, rows == 2], [x, location, middle], after)
            wider = np.select([rows == 0, rows == 1, rows == 2], [0.0, x, scale], wider)
        np.copyto(anchor, np.where(rows < 2, 0.0, _stored(after)), where=where & warming)
        np.copyto(spread, _stored(wider), where=where & warming)
    np.copyto(location, _stored(after), where=where)
    np.copyto(rows, np.minimum(rows + 1, MOST_ROWS), where=where)


def _refer(turn: _Turn, calm: Bools, values: Floats) -> None:
    """baseline.refer, of axes whose row is healthy. values : of shape (14, 3, n)."""
    usual, rows = turn.float("usual"), turn.int("usual_rows")
    young = calm[:, None] & (rows < turn.own["wanted"])
    if not young.any():
        return
    value = values.transpose(1, 0, 2)
    usable = young & np.where(_LOGARITHMIC, value > 0, ~np.isnan(value))
    by_factors = usable & _LOGARITHMIC
    x = np.where(_LOGARITHMIC, nan, value)
    x[by_factors] = list(map(log, value[by_factors].tolist()))
    off = x - usual
    pull = np.where(rows == 0, off, np.minimum(np.maximum(off, -_STEPS), _STEPS) * 2 / (rows + 1))
    np.copyto(usual, _stored(usual + pull), where=usable)
    np.copyto(rows, rows + 1, where=usable)


def _stored(values: Floats) -> Floats:
    """persistence.stored."""
    return values.astype(np.float32).astype(np.float64)
