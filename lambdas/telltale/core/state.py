"""All that detection remembers of one position, and how it is packed into at most 1,024 bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from struct import Struct
from typing import Any, NamedTuple, Self

from telltale.core.baseline import EMPTY, NO_REFERENCES, Baseline, Normal, References, Usual
from telltale.core.judgement import AXES, CHANNELS, RULES
from telltale.core.persistence import LEVELS, Monitor
from telltale.core.sensor import KINDS, SOUND, Watch
from telltale.core.settings import MOST_SCORES

LAYOUT = 3
# That can be read; 1 knew neither sensor health nor references nor envelope bands, 2 no times of monitors and no shelf.
LAYOUTS = (1, 2, LAYOUT)
NEVER = -(2**63)  # a time that is not known, packed

_HEAD = Struct("<BBBq")  # layout; channels known, as bits; judged, case open, acknowledged; last opening
_CASE = Struct("<20sqIBBq")  # id without its prefix, opened, revision, severity, monitors joined as bits, quiet since
_SHELF = Struct("<II")  # shelved until, in seconds; the parent that was told
_CHANNEL = Struct("<q")
_MONITOR = Struct(f"<BBf{MOST_SCORES}f")  # level, scores held, quiet below, the scores
_SINCE = Struct("<I")  # seconds
_NORMAL = Struct("<3fH")
_SENSOR = Struct("<BBB")  # captures held; whether each was faulty, as bits, the newest lowest; kind that stands, from 1
_BAND = Struct("<2f")  # Hz; 0, 0 where none is known
_USUAL = Struct("<fB")
_SENSOR_KINDS = tuple(KINDS)

ID_PREFIX = "case-"


class MonitorId(NamedTuple):
    """One rule on one channel."""

    channel: str
    rule: str


MONITORS = tuple(MonitorId(channel, rule) for channel in CHANNELS for rule in RULES[channel])


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

    @classmethod
    def new(cls, name: str) -> Self:
        monitors = dict.fromkeys(RULES[name], Monitor())
        return cls(None, monitors, EMPTY, NO_REFERENCES) if name in AXES else cls(None, monitors)


@dataclass(frozen=True)
class OpenCase:
    """The one case that is open at a position. `joined` are the monitors that took part, in the order of MONITORS.

    `quiet_since_ms` : none of them has alerted since then; None while one does.   `shelved_until_s` : its work order
    waits until then, in seconds since 1970; 0: it is not shelved.   `parent` : the case whose work order names it, as
    `cases.named`; 0: it stands alone.
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


@dataclass(frozen=True)
class State:
    """All that is remembered of one position. Frozen; `step` gives the next one."""

    channels: Mapping[str, Channel] = field(default_factory=dict)
    judged: bool = False  # some rule has given a verdict since the position is known
    open_case: OpenCase | None = None
    last_opened_ms: int | None = None

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
        """At most 1,024 bytes, little endian."""
        case = self.open_case
        flags = self.judged | (case is not None) << 1 | (case is not None and case.acknowledged) << 2
        known = sum(1 << place for place, name in enumerate(CHANNELS) if name in self.channels)
        parts = [_HEAD.pack(LAYOUT, known, flags, _packed(self.last_opened_ms))]
        parts += [_pack_case(case)] if case else []
        parts += [_pack_channel(name, self.channels[name]) for name in CHANNELS if name in self.channels]
        return b"".join(parts)

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """The state that was packed. ValueError if these are not the bytes of one, or of another layout."""
        if not packed or packed[0] not in LAYOUTS:
            raise ValueError(f"a state that begins with {packed[:1]!r}, wanted layout {' or '.join(map(str, LAYOUTS))}")
        reader = _Reader(packed)
        layout, known, flags, last_opened_ms = reader.take(_HEAD)
        case = _take_case(reader, layout, acknowledged=bool(flags & 4)) if flags & 2 else None
        names = [name for place, name in enumerate(CHANNELS) if known >> place & 1]
        channels = {name: _take_channel(reader, name, layout) for name in names}
        if reader.at != len(packed):
            raise ValueError(f"a state of {len(packed)} bytes, wanted {reader.at}")
        return cls(channels, bool(flags & 1), case, _unpacked(last_opened_ms))


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
    joined = sum(1 << place for place, monitor in enumerate(MONITORS) if monitor in case.joined)
    name = case.case_id.removeprefix(ID_PREFIX).encode()
    severity = LEVELS.index(case.severity)
    packed = _CASE.pack(name, case.opened_ms, case.revision, severity, joined, _packed(case.quiet_since_ms))
    return packed + _SHELF.pack(case.shelved_until_s, case.parent)


def _take_case(reader: _Reader, layout: int, *, acknowledged: bool) -> OpenCase:
    name, opened_ms, revision, severity, joined, quiet_ms = reader.take(_CASE)
    monitors = tuple(monitor for place, monitor in enumerate(MONITORS) if joined >> place & 1)
    shelved_until_s, parent = reader.take(_SHELF) if layout > 2 else (0, 0)
    return OpenCase(
        case_id=ID_PREFIX + name.decode(),
        opened_ms=opened_ms,
        revision=revision,
        severity=LEVELS[severity],
        joined=monitors,
        acknowledged=acknowledged,
        quiet_since_ms=_unpacked(quiet_ms),
        shelved_until_s=shelved_until_s,
        parent=parent,
    )


def _pack_channel(name: str, channel: Channel) -> bytes:
    parts = [_CHANNEL.pack(_packed(channel.last_ms))]
    for monitor in channel.monitors.values():
        held = len(monitor.scores)
        padded = monitor.scores + (0.0,) * (MOST_SCORES - held)
        parts.append(_MONITOR.pack(LEVELS.index(monitor.level), held, monitor.quiet_below, *padded))
        parts.append(_SINCE.pack(monitor.since_s))
    parts += [_NORMAL.pack(*normal) for normal in channel.baseline]
    return b"".join(parts + _packed_sensor(channel) if name in AXES else parts)


def _packed_sensor(channel: Channel) -> list[bytes]:
    watch = channel.sensor
    bits = sum(1 << place for place, faulty in enumerate(reversed(watch.faulty)) if faulty)
    kind = 0 if watch.fault is None else _SENSOR_KINDS.index(watch.fault) + 1
    band = _BAND.pack(*(channel.envelope_hz or (0.0, 0.0)))
    return [_SENSOR.pack(len(watch.faulty), bits, kind), band, *(_USUAL.pack(*usual) for usual in channel.references)]


def _take_channel(reader: _Reader, name: str, layout: int) -> Channel:
    [last_ms] = reader.take(_CHANNEL)
    monitors = {}
    for rule in RULES[name]:
        level, held, quiet_below, *scores = reader.take(_MONITOR)
        [since_s] = reader.take(_SINCE) if layout > 2 else (0,)
        monitors[rule] = Monitor(tuple(scores[:held]), LEVELS[level], quiet_below, since_s)
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


def _take_sensor(reader: _Reader) -> Watch:
    held, bits, kind = reader.take(_SENSOR)
    faulty = tuple(bool(bits >> place & 1) for place in reversed(range(held)))
    return Watch(faulty, _SENSOR_KINDS[kind - 1] if kind else None)


def _packed(t_ms: int | None) -> int:
    return NEVER if t_ms is None else t_ms


def _unpacked(t_ms: int) -> int | None:
    return None if t_ms == NEVER else t_ms
