"""All that detection remembers of one position, and how it is packed into at most 1,024 bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isnan, nan
from struct import Struct
from typing import Any, NamedTuple, Self

from telltale.core.baseline import EMPTY, NO_REFERENCES, Baseline, Normal, References, Usual
from telltale.core.judgement import AXES, CHANNELS, RULES
from telltale.core.persistence import LEVELS, Monitor
from telltale.core.sensor import KINDS, SOUND, Watch
from telltale.core.settings import MOST_SCORES

LAYOUT = 4
# That can be read; 1 knew neither sensor health nor references nor envelope bands, 2 no times of monitors, no shelf,
# no modes, 3 nothing of a case that is over.
LAYOUTS = (1, 2, 3, LAYOUT)
NEVER = -(2**63)  # a time that is not known, packed

_HEAD = Struct("<BBBq")  # layout; channels known, as bits; flags, see `pack`; last opening
_CASE = Struct("<20sqIBBq")  # id without its prefix, opened, revision, severity, monitors joined as bits, quiet since
_SHELF = Struct("<II")  # shelved until, in seconds; the parent that was told
_PAST = Struct("<20sqIBBqI")  # id without its prefix, opened, revision, severity, monitors joined, closed; its closure
_AGAIN = Struct("<q")  # a time: when it was closed before, or when somebody last opened it again
_TRIAL = Struct("<qB")  # since when rows count; whether it cools down
_HEIGHT = Struct("<f")
_CHANNEL = Struct("<q")
_MONITOR = Struct(f"<BBf{MOST_SCORES}f")  # level, scores held, quiet below, the scores
_SINCE = Struct("<I")  # seconds
_NORMAL = Struct("<3fH")
_SENSOR = Struct("<BBB")  # captures held; whether each was faulty, as bits, the newest lowest; kind that stands, from 1
_BAND = Struct("<2f")  # Hz; 0, 0 where none is known
_USUAL = Struct("<fB")
# Further modes, whether this one is known, and captures that settle, as bits; the sensor; captures to compare with the
# sensor before, and those unlike it
_OPERATION = Struct("<BHB")
_MODE = Struct("<2fH")  # NaN where it is not known
_STRANGERS = Struct("<B")  # where there are further modes
_RELEARNED = Struct("<q")
MODE_BYTES = (
    sum(one.size for one in (_MODE, _MONITOR, _SINCE)) + _NORMAL.size * len(EMPTY) + _USUAL.size * len(NO_REFERENCES)
)
_SENSOR_KINDS = tuple(KINDS)

ID_PREFIX = "case-"


class MonitorId(NamedTuple):
    """One rule on one channel."""

    channel: str
    rule: str


MONITORS = tuple(MonitorId(channel, rule) for channel in CHANNELS for rule in RULES[channel])
# What a repair on trial, or a case that was opened again, takes beyond a kilobyte.
MOST_OF_A_REPAIR = _TRIAL.size + _MODE.size + len(MONITORS) * _HEIGHT.size + _AGAIN.size


class Mode(NamedTuple):
    """One way in which the machine is driven: by the first row of it, with float32's digits; None: not known.

    name : of a mode of the plant file, as `modes.checksum`; 0: it was learned.
    """

    speed_rpm: float | None = None
    load: float | None = None
    name: int = 0


UNKNOWN_MODE = Mode()


class Known(NamedTuple):
    """What an axis knows of a mode that the machine is not in: its normal, and the rule that goes by it."""

    mode: Mode
    monitor: Monitor
    baseline: Baseline
    references: References


class Operation(NamedTuple):
    """How the machine is driven, and what is known of it driven otherwise. What the channel itself knows is of `mode`.

    others : the mode that it left last at the end.   sensor : that was heard last, as `modes.checksum`; 0: not known.
    compared : captures still to be compared with the sensor before.   unlike : how many of those that were are unlike.
    settling : captures from which a settled normal does not learn, for the machine was off.
    strangers : captures that were of no mode since one was last given up.
    """

    mode: Mode = UNKNOWN_MODE
    others: tuple[Known, ...] = ()
    sensor: int = 0
    compared: int = 0
    unlike: int = 0
    settling: int = 0
    strangers: int = 0


STEADY = Operation()


@dataclass(frozen=True)
class Channel:
    """One axis, or the temperature: when it was last heard, and its rules. The rest is of an axis only.

    envelope_hz : the band whose envelope its baseline knows, with float32's digits; None: not known yet.
    """

    last_ms: int | None = None
    monitors: Mapping[str, Monitor] = field(default_factory=dict)
    baseline: Baseline = ()
    references: References = ()
    envelope_hz: tuple[float, float] | None = None
    sensor: Watch = SOUND
    operation: Operation = STEADY

    @classmethod
    def new(cls, name: str) -> Self:
        monitors = dict.fromkeys(RULES[name], Monitor())
        return cls(None, monitors, EMPTY, NO_REFERENCES) if name in AXES else cls(None, monitors)


@dataclass(frozen=True)
class OpenCase:
    """The one case that is open at a position. `joined` are the monitors that took part, in the order of MONITORS.

    `quiet_since_ms` : none of them has alerted since then; None while one does.   `shelved_until_s` : its work order
    waits until then, in seconds since 1970; 0: it is not shelved.   `parent` : the case whose work order names it, as
    `cases.named`; 0: it stands alone.   `closed_ms` : when it was closed before it was opened again; None: it never
    was.   `reopened_ms` : when a person last opened it again.
    """

    case_id: str
    opened_ms: int
    revision: int
    severity: str
    joined: tuple[MonitorId, ...]
    acknowledged: bool = False
    quiet_since_ms: int | None = None
    shelved_until_s: int = 0
    parent: int = 0
    closed_ms: int | None = None
    reopened_ms: int | None = None


@dataclass(frozen=True)
class Trial:
    """A repair that the position's rows have yet to confirm: see core.repair.

    `heights` : of each monitor that had joined, the score at which the fault stood, with float32's digits.
    `mode` : in which it stood.   `since_ms` : rows sampled later tell of it.   `cools` : no case opens meanwhile.
    """

    heights: tuple[float, ...]
    mode: Mode
    since_ms: int
    cools: bool = True


@dataclass(frozen=True)
class Past:
    """The last case of a position where none is open. `closure` : its codes, as `cases.named` of them.

    `repaired` : it was closed as repaired.   `trial` : while that has yet to be confirmed.   `reopened_ms` : when a
    person last opened it again.
    """

    case_id: str
    opened_ms: int
    revision: int
    severity: str
    joined: tuple[MonitorId, ...]
    closed_ms: int
    closure: int = 0
    repaired: bool = False
    trial: Trial | None = None
    reopened_ms: int | None = None


@dataclass(frozen=True)
class State:
    """All that is remembered of one position. Frozen; `step` gives the next one."""

    channels: Mapping[str, Channel] = field(default_factory=dict)
    judged: bool = False  # some rule has given a verdict since the position is known
    open_case: OpenCase | None = None
    last_opened_ms: int | None = None
    relearned_ms: int | None = None  # when a person last asked that what is normal be learned anew
    past: Past | None = None  # None while a case is open

    @classmethod
    def new(cls) -> Self:
        return cls()

    @property
    def state(self) -> str:
        """UNKNOWN, HEALTHY, WARNING, ALARM or NEEDS_MAINTENANCE. An open case keeps its worst severity."""
        if self.open_case is not None:
            return "NEEDS_MAINTENANCE" if self.open_case.acknowledged else self.open_case.severity
        return "HEALTHY" if self.judged else "UNKNOWN"

    @property
    def sensor_faults(self) -> dict[str, str]:
        """Axis → the kind of fault that stands on its sensor. Beside the state: a machine may be in alarm too."""
        return {name: kind for name, channel in self.channels.items() if (kind := channel.sensor.fault) is not None}

    def pack(self) -> bytes:
        """At most 1,024 bytes, MOST_OF_A_REPAIR while a repair is on trial or a case is open again, and MODE_BYTES for
        each further mode of an axis; little endian.
        """
        case, past = self.open_case, self.past
        again = case.closed_ms is not None if case else past is not None and past.reopened_ms is not None
        flags = self.judged | (case is not None) << 1 | (case is not None and case.acknowledged) << 2
        flags |= (self.relearned_ms is not None) << 3 | (past is not None) << 4
        flags |= (past is not None and past.repaired) << 5 | (past is not None and past.trial is not None) << 6
        flags |= again << 7
        known = sum(1 << place for place, name in enumerate(CHANNELS) if name in self.channels)
        parts = [_HEAD.pack(LAYOUT, known, flags, _packed(self.last_opened_ms))]
        parts += [_pack_case(case)] if case else []
        parts += [_pack_past(past)] if past else []
        parts += [_pack_channel(name, self.channels[name]) for name in CHANNELS if name in self.channels]
        parts += [_pack_operation(self.channels[name].operation) for name in AXES if name in self.channels]
        parts += [] if self.relearned_ms is None else [_RELEARNED.pack(self.relearned_ms)]
        parts += [_pack_trial(past.trial)] if past and past.trial else []
        return b"".join(parts)

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """The state that was packed. ValueError if these are not the bytes of one, or of another layout."""
        if not packed or packed[0] not in LAYOUTS:
            raise ValueError(f"a state that begins with {packed[:1]!r}, wanted layout {' or '.join(map(str, LAYOUTS))}")
        reader = _Reader(packed)
        layout, known, flags, last_opened_ms = reader.take(_HEAD)
        case = _take_case(reader, layout, flags) if flags & 2 else None
        past = _take_past(reader, flags) if flags & 16 else None
        names = [name for place, name in enumerate(CHANNELS) if known >> place & 1]
        channels = {name: _take_channel(reader, name, layout) for name in names}
        if layout > 2:
            axes = {name: channel for name, channel in channels.items() if name in AXES}
            channels |= {name: replace(axis, operation=_take_operation(reader)) for name, axis in axes.items()}
        [relearned_ms] = reader.take(_RELEARNED) if flags & 8 else [None]
        past = replace(past, trial=_take_trial(reader, past)) if past and flags & 64 else past
        if reader.at != len(packed):
            raise ValueError(f"a state of {len(packed)} bytes, wanted {reader.at}")
        return cls(channels, bool(flags & 1), case, _unpacked(last_opened_ms), relearned_ms, past)


class _Reader:
    def __init__(self, packed: bytes) -> None:
        self.packed = packed
        self.at = 0

    def take(self, layout: Struct) -> tuple[Any, ...]:
        if self.at + layout.size > len(self.packed):
            raise ValueError(f"a state of {len(self.packed)} bytes, wanted more than {self.at + layout.size}")
        values = layout.unpack_from(self.packed, self.at)
        self.at += layout.size
        return values


def _pack_case(case: OpenCase) -> bytes:
    name = case.case_id.removeprefix(ID_PREFIX).encode()
    severity, joined = LEVELS.index(case.severity), _bits(case.joined)
    packed = _CASE.pack(name, case.opened_ms, case.revision, severity, joined, _packed(case.quiet_since_ms))
    packed += _SHELF.pack(case.shelved_until_s, case.parent)
    if case.closed_ms is None:
        return packed
    return packed + _AGAIN.pack(case.closed_ms) + _AGAIN.pack(_packed(case.reopened_ms))


def _take_case(reader: _Reader, layout: int, flags: int) -> OpenCase:
    name, opened_ms, revision, severity, joined, quiet_ms = reader.take(_CASE)
    shelved_until_s, parent = reader.take(_SHELF) if layout > 2 else (0, 0)
    again = (*reader.take(_AGAIN), *reader.take(_AGAIN)) if flags & 128 else (NEVER, NEVER)
    return OpenCase(
        case_id=ID_PREFIX + name.decode(),
        opened_ms=opened_ms,
        revision=revision,
        severity=LEVELS[severity],
        joined=_monitors(joined),
        acknowledged=bool(flags & 4),
        quiet_since_ms=_unpacked(quiet_ms),
        shelved_until_s=shelved_until_s,
        parent=parent,
        closed_ms=_unpacked(again[0]),
        reopened_ms=_unpacked(again[1]),
    )


def _pack_past(past: Past) -> bytes:
    name, severity = past.case_id.removeprefix(ID_PREFIX).encode(), LEVELS.index(past.severity)
    joined = _bits(past.joined)
    packed = _PAST.pack(name, past.opened_ms, past.revision, severity, joined, past.closed_ms, past.closure)
    return packed if past.reopened_ms is None else packed + _AGAIN.pack(past.reopened_ms)


def _take_past(reader: _Reader, flags: int) -> Past:
    name, opened_ms, revision, severity, joined, closed_ms, closure = reader.take(_PAST)
    [reopened_ms] = reader.take(_AGAIN) if flags & 128 else [None]
    return Past(
        case_id=ID_PREFIX + name.decode(),
        opened_ms=opened_ms,
        revision=revision,
        severity=LEVELS[severity],
        joined=_monitors(joined),
        closed_ms=closed_ms,
        closure=closure,
        repaired=bool(flags & 32),
        reopened_ms=reopened_ms,
    )


def _pack_trial(trial: Trial) -> bytes:
    heights = b"".join(_HEIGHT.pack(one) for one in trial.heights)
    return _TRIAL.pack(trial.since_ms, trial.cools) + _pack_mode(trial.mode) + heights


def _take_trial(reader: _Reader, past: Past) -> Trial:
    since_ms, cools = reader.take(_TRIAL)
    mode = _take_mode(reader)
    return Trial(tuple(reader.take(_HEIGHT)[0] for _ in past.joined), mode, since_ms, bool(cools))


def _bits(joined: tuple[MonitorId, ...]) -> int:
    return sum(1 << place for place, monitor in enumerate(MONITORS) if monitor in joined)


def _monitors(bits: int) -> tuple[MonitorId, ...]:
    return tuple(monitor for place, monitor in enumerate(MONITORS) if bits >> place & 1)


def _pack_channel(name: str, channel: Channel) -> bytes:
    parts = [_CHANNEL.pack(_packed(channel.last_ms)), *map(_pack_monitor, channel.monitors.values())]
    parts += [_NORMAL.pack(*normal) for normal in channel.baseline]
    return b"".join(parts + _packed_sensor(channel) if name in AXES else parts)


def _pack_monitor(monitor: Monitor) -> bytes:
    held = len(monitor.scores)
    padded = monitor.scores + (0.0,) * (MOST_SCORES - held)
    packed = _MONITOR.pack(LEVELS.index(monitor.level), held, monitor.quiet_below, *padded)
    return packed + _SINCE.pack(monitor.since_s)


def _packed_sensor(channel: Channel) -> list[bytes]:
    watch = channel.sensor
    bits = sum(1 << place for place, faulty in enumerate(reversed(watch.faulty)) if faulty)
    kind = 0 if watch.fault is None else _SENSOR_KINDS.index(watch.fault) + 1
    band = _BAND.pack(*(channel.envelope_hz or (0.0, 0.0)))
    return [_SENSOR.pack(len(watch.faulty), bits, kind), band, *(_USUAL.pack(*usual) for usual in channel.references)]


def _take_channel(reader: _Reader, name: str, layout: int) -> Channel:
    [last_ms] = reader.take(_CHANNEL)
    monitors = {rule: _take_monitor(reader, layout) for rule in RULES[name]}
    if name not in AXES:
        return Channel(_unpacked(last_ms), monitors)
    normals = tuple(Normal(*reader.take(_NORMAL)) for _ in EMPTY)
    if layout == 1:
        return Channel(_unpacked(last_ms), monitors, normals, NO_REFERENCES)
    watch = _take_sensor(reader)
    low_hz, high_hz = reader.take(_BAND)
    references = tuple(Usual(*reader.take(_USUAL)) for _ in NO_REFERENCES)
    band = (low_hz, high_hz) if high_hz else None
    return Channel(_unpacked(last_ms), monitors, normals, references, band, watch)


def _take_monitor(reader: _Reader, layout: int) -> Monitor:
    level, held, quiet_below, *scores = reader.take(_MONITOR)
    [since_s] = reader.take(_SINCE) if layout > 2 else (0,)
    return Monitor(tuple(scores[:held]), LEVELS[level], quiet_below, since_s)


def _take_sensor(reader: _Reader) -> Watch:
    held, bits, kind = reader.take(_SENSOR)
    faulty = tuple(bool(bits >> place & 1) for place in reversed(range(held)))
    return Watch(faulty, _SENSOR_KINDS[kind - 1] if kind else None)


def _pack_operation(operation: Operation) -> bytes:
    mode, others = operation.mode, operation.others
    bits = len(others) | (mode != UNKNOWN_MODE) << 3 | operation.settling << 4
    parts = [_OPERATION.pack(bits, operation.sensor, operation.compared | operation.unlike << 4)]
    parts += [_pack_mode(mode)] if mode != UNKNOWN_MODE else []
    parts += [_STRANGERS.pack(operation.strangers)] if others else []
    for known in others:
        parts += [_pack_mode(known.mode), _pack_monitor(known.monitor)]
        parts += [_NORMAL.pack(*normal) for normal in known.baseline]
        parts += [_USUAL.pack(*usual) for usual in known.references]
    return b"".join(parts)


def _pack_mode(mode: Mode) -> bytes:
    speed_rpm, load = (nan if value is None else value for value in mode[:2])
    return _MODE.pack(speed_rpm, load, mode.name)


def _take_operation(reader: _Reader) -> Operation:
    bits, sensor, compared = reader.take(_OPERATION)
    mode = _take_mode(reader) if bits & 8 else UNKNOWN_MODE
    [strangers] = reader.take(_STRANGERS) if bits & 7 else [0]
    others = tuple(_take_known(reader) for _ in range(bits & 7))
    return Operation(mode, others, sensor, compared & 15, compared >> 4, bits >> 4, strangers)


def _take_known(reader: _Reader) -> Known:
    mode, monitor = _take_mode(reader), _take_monitor(reader, LAYOUT)
    normals = tuple(Normal(*reader.take(_NORMAL)) for _ in EMPTY)
    return Known(mode, monitor, normals, tuple(Usual(*reader.take(_USUAL)) for _ in NO_REFERENCES))


def _take_mode(reader: _Reader) -> Mode:
    speed_rpm, load, name = reader.take(_MODE)
    return Mode(None if isnan(speed_rpm) else speed_rpm, None if isnan(load) else load, name)


def _packed(t_ms: int | None) -> int:
    return NEVER if t_ms is None else t_ms


def _unpacked(t_ms: int) -> int | None:
    return None if t_ms == NEVER else t_ms
