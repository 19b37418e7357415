"""All that detection remembers of one position, and how it is packed into at most 1,024 bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from struct import Struct
from typing import Any, NamedTuple, Self

from telltale.core import baseline
from telltale.core.baseline import Baseline, Normal
from telltale.core.judgement import AXES, CHANNELS, RULES
from telltale.core.persistence import LEVELS, Monitor
from telltale.core.settings import MOST_SCORES

LAYOUT = 1
NEVER = -(2**63)  # a time that is not known, packed

_HEAD = Struct("<BBBq")  # layout; channels known, as bits; judged, case open, acknowledged; last opening
_CASE = Struct("<20sqIBBq")  # id without its prefix, opened, revision, severity, monitors joined as bits, quiet since
_CHANNEL = Struct("<q")
_MONITOR = Struct(f"<BBf{MOST_SCORES}f")  # level, scores held, quiet below, the scores
_NORMAL = Struct("<3fH")

ID_PREFIX = "case-"


class MonitorId(NamedTuple):
    """One rule on one channel."""

    channel: str
    rule: str


MONITORS = tuple(MonitorId(channel, rule) for channel in CHANNELS for rule in RULES[channel])


@dataclass(frozen=True)
class Channel:
    """One axis, or the temperature: when it was last heard, its rules, and an axis's baseline."""

    last_ms: int | None = None
    monitors: Mapping[str, Monitor] = field(default_factory=dict)
    baseline: Baseline = ()

    @classmethod
    def new(cls, name: str) -> Self:
        return cls(None, dict.fromkeys(RULES[name], Monitor()), baseline.EMPTY if name in AXES else ())


@dataclass(frozen=True)
class OpenCase:
    """The one case that is open at a position. `joined` are the monitors that took part, in the order of MONITORS.

    `quiet_since_ms` : none of them has alerted since then; None while one does.
    """

    case_id: str
    opened_ms: int
    revision: int
    severity: str
    joined: tuple[MonitorId, ...]
    acknowledged: bool = False
    quiet_since_ms: int | None = None


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

    def pack(self) -> bytes:
        """At most 1,024 bytes, little endian."""
        case = self.open_case
        flags = self.judged | (case is not None) << 1 | (case is not None and case.acknowledged) << 2
        known = sum(1 << place for place, name in enumerate(CHANNELS) if name in self.channels)
        parts = [_HEAD.pack(LAYOUT, known, flags, _packed(self.last_opened_ms))]
        parts += [_pack_case(case)] if case else []
        parts += [_pack_channel(self.channels[name]) for name in CHANNELS if name in self.channels]
        return b"".join(parts)

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """The state that was packed. ValueError if these are not the bytes of one, or of another layout."""
        if not packed or packed[0] != LAYOUT:
            raise ValueError(f"a state that begins with {packed[:1]!r}, wanted layout {LAYOUT}")
        reader = _Reader(packed)
        _, known, flags, last_opened_ms = reader.take(_HEAD)
        case = _take_case(reader, acknowledged=bool(flags & 4)) if flags & 2 else None
        names = [name for place, name in enumerate(CHANNELS) if known >> place & 1]
        channels = {name: _take_channel(reader, name) for name in names}
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
    return _CASE.pack(name, case.opened_ms, case.revision, severity, joined, _packed(case.quiet_since_ms))


def _take_case(reader: _Reader, *, acknowledged: bool) -> OpenCase:
    name, opened_ms, revision, severity, joined, quiet_ms = reader.take(_CASE)
    monitors = tuple(monitor for place, monitor in enumerate(MONITORS) if joined >> place & 1)
    case_id = ID_PREFIX + name.decode()
    return OpenCase(case_id, opened_ms, revision, LEVELS[severity], monitors, acknowledged, _unpacked(quiet_ms))


def _pack_channel(channel: Channel) -> bytes:
    parts = [_CHANNEL.pack(_packed(channel.last_ms))]
    for monitor in channel.monitors.values():
        held = len(monitor.scores)
        padded = monitor.scores + (0.0,) * (MOST_SCORES - held)
        parts.append(_MONITOR.pack(LEVELS.index(monitor.level), held, monitor.quiet_below, *padded))
    return b"".join(parts + [_NORMAL.pack(*normal) for normal in channel.baseline])


def _take_channel(reader: _Reader, name: str) -> Channel:
    [last_ms] = reader.take(_CHANNEL)
    monitors = {}
    for rule in RULES[name]:
        level, held, quiet_below, *scores = reader.take(_MONITOR)
        monitors[rule] = Monitor(tuple(scores[:held]), LEVELS[level], quiet_below)
    normals = tuple(Normal(*reader.take(_NORMAL)) for _ in (baseline.EMPTY if name in AXES else ()))
    return Channel(_unpacked(last_ms), monitors, normals)


def _packed(t_ms: int | None) -> int:
    return NEVER if t_ms is None else t_ms


def _unpacked(t_ms: int) -> int | None:
    return None if t_ms == NEVER else t_ms
