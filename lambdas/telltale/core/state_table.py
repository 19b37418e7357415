"""The states of many positions side by side: two matrices, one column for each position.

What core.state packs for one position stands in one column, so that `read` and `packed` go from bytes to matrices and
back without a value of Python for each number. float64 holds float32's digits, as everywhere in detection.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from telltale.core.baseline import INDICATORS, REFERENCES
from telltale.core.judgement import AXES, OF_CAPTURES, RULES
from telltale.core.persistence import LEVELS
from telltale.core.sensor import KINDS
from telltale.core.settings import MOST_SCORES
from telltale.core.state import LAYOUT, MONITORS, NEVER, MonitorId

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# The monitors here: the axes' zones, then their baselines, then the temperature; a rule's monitors are neighbours.
ORDER = (
    *(MonitorId(axis, "zone") for axis in AXES),
    *(MonitorId(axis, "baseline") for axis in AXES),
    MonitorId("temperature", "temperature"),
)
BITS = np.array([1 << MONITORS.index(one) for one in ORDER])[:, None]  # of a case's monitors, as they are packed
_KINDS = tuple(KINDS)


class Fields:
    """Names for the rows of a matrix."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        ends = list(accumulate(prod(shape) for shape in shapes.values()))
        self.size = ends[-1]
        self._places = {
            name: (slice(end - prod(shape), end), shape)
            for (name, shape), end in zip(shapes.items(), ends, strict=True)
        }

    def of(self, matrix: NDArray[Any], name: str) -> NDArray[Any]:
        """That part of a matrix of shape (size, n), as a view of shape (*shape, n)."""
        rows, shape = self._places[name]
        return matrix[rows].reshape(*shape, matrix.shape[1])


_TIMES = ("last_ms", "last_opened_ms", "quiet_since_ms", "relearned_ms", "closed_ms", "reopened_ms")
_OF_A_CASE = ("opened_ms", "revision", "severity", "joined", "quiet_since_ms", "shelved_until_s", "parent")
_OF_THE_PAST = ("opened_ms", "revision", "severity", "joined", "closed_ms", "closure")
_AXES, _MONITORS, _NORMALS, _USUALS = len(AXES), len(ORDER), len(INDICATORS), len(REFERENCES)
FLOATS = Fields(
    {
        "location": (_AXES, _NORMALS),
        "spread": (_AXES, _NORMALS),
        "anchor": (_AXES, _NORMALS),
        "usual": (_AXES, _USUALS),
        "band": (_AXES, 2),  # Hz; 0, 0: not known
        "mode": (_AXES, 2),  # speed in r/min and load; NaN: not known
        "quiet_below": (_MONITORS,),
        "scores": (_MONITORS, MOST_SCORES),  # the newest last, and those held last
    }
)
INTS = Fields(
    {
        "last_ms": (len(OF_CAPTURES),),
        "level": (_MONITORS,),
        "held": (_MONITORS,),
        "since_s": (_MONITORS,),
        "rows": (_AXES, _NORMALS),
        "usual_rows": (_AXES, _USUALS),
        "sensor_held": (_AXES,),
        "sensor_bits": (_AXES,),
        "sensor_kind": (_AXES,),  # 0: none
        "mode_name": (_AXES,),
        "heard_by": (_AXES,),  # the sensor; 0: not known
        "compared": (_AXES,),
        "unlike": (_AXES,),
        "settling": (_AXES,),
        "known": (len(OF_CAPTURES),),
        "judged": (),
        "case": (),
        "acknowledged": (),
        "last_opened_ms": (),
        "relearned_ms": (),
        "past": (),
        "repaired": (),
        "again": (),
        "reopened_ms": (),
        **dict.fromkeys((*_OF_A_CASE, *_OF_THE_PAST), ()),  # one case, open or past
    }
)


class StateTable:
    """The states of n positions. floats, ints : matrices of shape (…, n).   ids : of their cases, shape (n,)."""

    def __init__(self, n: int) -> None:
        self.floats: Floats = np.zeros((FLOATS.size, n))
        self.ints: Ints = np.zeros((INTS.size, n), np.int64)
        self.ids = np.zeros(n, "S20")
        FLOATS.of(self.floats, "mode")[...] = np.nan
        for name in _TIMES:
            INTS.of(self.ints, name)[...] = NEVER

    @staticmethod
    def takes(state: bytes) -> bool:
        """Whether that packed state can be put here."""
        return _kind(state) is not None

    def read(self, places: Sequence[int], states: Sequence[bytes]) -> None:
        """Puts packed states at these places. ValueError for one that `takes` refuses."""
        kinds: dict[_Kind, list[int]] = {}
        for at, state in enumerate(states):
            kind = _kind(state)
            if kind is None:
                wanted = f"wanted layout {LAYOUT}, one mode and no repair on trial"
                raise ValueError(f"a state of layout {state[0]}, with several modes or a repair on trial: {wanted}")
            kinds.setdefault(kind, []).append(at)
        for kind, members in kinds.items():
            records = np.frombuffer(b"".join(states[at] for at in members), _record(kind))
            self._take(np.array([places[at] for at in members]), records, kind)

    def packed(self, places: Sequence[int]) -> list[bytes]:
        """The states at these places, as core.state packs them."""
        kinds: dict[_Kind, list[int]] = {}
        for at, kind in enumerate(map(_Kind._make, zip(*self._kinds(places), strict=True))):
            kinds.setdefault(kind, []).append(at)
        found = [b""] * len(places)
        for kind, members in kinds.items():
            record = _record(kind)
            data = self._records(np.array([places[at] for at in members]), record, kind).tobytes()
            size = record.itemsize
            for number, at in enumerate(members):
                found[at] = data[number * size : (number + 1) * size]
        return found

    def _kinds(self, places: Sequence[int]) -> Iterator[list[Any]]:
        floats, ints = self.floats[:, places], self.ints[:, places]
        modes = ~np.isnan(FLOATS.of(floats, "mode")).all(axis=1) | (INTS.of(ints, "mode_name") != 0)
        yield _bits(INTS.of(ints, "known"))
        yield (INTS.of(ints, "case") != 0).tolist()
        yield _bits(modes)
        yield (INTS.of(ints, "relearned_ms") != NEVER).tolist()
        yield (INTS.of(ints, "past") != 0).tolist()
        yield (INTS.of(ints, "again") != 0).tolist()

    def word(self, place: int) -> str:
        """What State.state says."""
        ints = self.ints[:, place : place + 1]
        if INTS.of(ints, "case")[0]:
            return "NEEDS_MAINTENANCE" if INTS.of(ints, "acknowledged")[0] else LEVELS[INTS.of(ints, "severity")[0]]
        return "HEALTHY" if INTS.of(ints, "judged")[0] else "UNKNOWN"

    def sensor_faults(self, place: int) -> dict[str, str]:
        """What State.sensor_faults says."""
        kinds = INTS.of(self.ints[:, place : place + 1], "sensor_kind")[:, 0].tolist()
        return {axis: _KINDS[kind - 1] for axis, kind in zip(AXES, kinds, strict=True) if kind}

    def _take(self, places: Ints, records: NDArray[Any], kind: "_Kind") -> None:
        new = StateTable(len(places))
        floats, ints = new.floats, new.ints
        INTS.of(ints, "judged")[...] = records["flags"] & 1
        INTS.of(ints, "acknowledged")[...] = records["flags"] >> 2 & 1
        INTS.of(ints, "last_opened_ms")[...] = records["last_opened_ms"]
        self.ids[places] = b""
        if kind.case:
            INTS.of(ints, "case")[...] = 1
            self.ids[places] = records["case"]["id"]
            for name in (*_OF_A_CASE, *(("closed_ms", "reopened_ms") if kind.again else ())):
                INTS.of(ints, name)[...] = records["case"][name]
        if kind.past:
            INTS.of(ints, "past")[...] = 1
            INTS.of(ints, "repaired")[...] = records["flags"] >> 5 & 1
            self.ids[places] = records["past"]["id"]
            for name in (*_OF_THE_PAST, *(("reopened_ms",) if kind.again else ())):
                INTS.of(ints, name)[...] = records["past"][name]
        INTS.of(ints, "again")[...] = kind.again
        for channel, name in kind.channels():
            INTS.of(ints, "known")[channel] = 1
            INTS.of(ints, "last_ms")[channel] = records[name]["last_ms"]
            for rule in RULES[name]:
                _take_monitor(floats, ints, ORDER.index(MonitorId(name, rule)), records[name][rule])
            if name in AXES:
                _take_axis(floats, ints, channel, records[name])
                _take_operation(floats, ints, channel, records[f"{name} operation"])
        if kind.relearned:
            INTS.of(ints, "relearned_ms")[...] = records["relearned_ms"]
        self.floats[:, places], self.ints[:, places] = floats, ints

    def _records(self, places: Ints, layout: np.dtype[Any], kind: "_Kind") -> NDArray[Any]:
        floats, ints = self.floats[:, places], self.ints[:, places]
        records = np.zeros(len(places), layout)
        records["layout"], records["known"] = LAYOUT, kind.known
        flags = [INTS.of(ints, name) << place for place, name in enumerate(("judged", "case", "acknowledged"))]
        flags += [INTS.of(ints, "past") << 4, INTS.of(ints, "repaired") << 5]
        records["flags"] = sum(flags) | kind.relearned << 3 | kind.again << 7
        records["last_opened_ms"] = INTS.of(ints, "last_opened_ms")
        if kind.case:
            records["case"]["id"] = self.ids[places]
            for name in (*_OF_A_CASE, *(("closed_ms", "reopened_ms") if kind.again else ())):
                records["case"][name] = INTS.of(ints, name)
        if kind.past:
            records["past"]["id"] = self.ids[places]
            for name in (*_OF_THE_PAST, *(("reopened_ms",) if kind.again else ())):
                records["past"][name] = INTS.of(ints, name)
        for channel, name in kind.channels():
            records[name]["last_ms"] = INTS.of(ints, "last_ms")[channel]
            for rule in RULES[name]:
                _give_monitor(floats, ints, ORDER.index(MonitorId(name, rule)), records[name][rule])
            if name in AXES:
                _give_axis(floats, ints, channel, records[name])
                _give_operation(floats, ints, channel, records[f"{name} operation"])
        if kind.relearned:
            records["relearned_ms"] = INTS.of(ints, "relearned_ms")
        return records


def _bits(flags: NDArray[Any]) -> list[int]:
    """flags : of shape (bits, n), the lowest bit first."""
    return list((flags.astype(np.int64) << np.arange(len(flags))[:, None]).sum(axis=0).tolist())


# ---- the packed layout ---------------------------------------------------------------------------

_LAYOUT = 4  # that is described here; states of another one are left to State.unpack
_CASE = [("id", "S20"), ("opened_ms", "<i8"), ("revision", "<u4"), ("severity", "u1"), ("joined", "u1")]
_CASE += [("quiet_since_ms", "<i8"), ("shelved_until_s", "<u4"), ("parent", "<u4")]
_PAST = [("id", "S20"), ("opened_ms", "<i8"), ("revision", "<u4"), ("severity", "u1"), ("joined", "u1")]
_PAST += [("closed_ms", "<i8"), ("closure", "<u4")]
_CLOSED, _REOPENED = ("closed_ms", "<i8"), ("reopened_ms", "<i8")
_MONITOR = [
    ("level", "u1"),
    ("held", "u1"),
    ("quiet_below", "<f4"),
    ("scores", "<f4", (MOST_SCORES,)),
    ("since_s", "<u4"),
]
_NORMAL = [("location", "<f4"), ("spread", "<f4"), ("anchor", "<f4"), ("rows", "<u2")]
_USUAL = [("usual", "<f4"), ("usual_rows", "u1")]
_SENSOR = [("sensor_held", "u1"), ("sensor_bits", "u1"), ("sensor_kind", "u1"), ("band", "<f4", (2,))]


_OPERATION = [("bits", "u1"), ("heard_by", "<u2"), ("compared", "u1")]
_MODE = [("mode", "<f4", (2,)), ("mode_name", "<u2")]


class _Kind(NamedTuple):
    """What decides the layout of a packed state. known : channels, as bits.   modes : axes whose mode is known.
    past : a case is over, and none open.   again : it was opened again before.

    States with further modes are of no kind: they are as long as their modes are many. Nor are those with a repair on
    trial, which `detect.step` judges.
    """

    known: int
    case: bool
    modes: int
    relearned: bool
    past: bool = False
    again: bool = False

    def channels(self) -> list[tuple[int, str]]:
        return [(place, name) for place, name in enumerate(OF_CAPTURES) if self.known >> place & 1]


def _kind(state: bytes) -> _Kind | None:
    if state[0] != LAYOUT or LAYOUT != _LAYOUT or state[1] >= 1 << len(OF_CAPTURES):
        return None  # of a position at which the model of an asset is heard, among others
    if state[2] & _ON_TRIAL:
        return None
    known, case, modes = state[1], bool(state[2] & 2), 0
    past, again = bool(state[2] & 16), bool(state[2] & 128)
    at = _record(_Kind(known & ~_ALL_AXES, case, 0, False, past, again)).itemsize
    at += (known & _ALL_AXES).bit_count() * _AXIS_BYTES
    for place in range(len(AXES)):
        if known >> place & 1:
            if state[at] & 7:
                return None
            modes |= (state[at] >> 3 & 1) << place
            at += _OPERATION_BYTES + (state[at] >> 3 & 1) * _MODE_BYTES
    return _Kind(known, case, modes, bool(state[2] & 8), past, again)


@lru_cache(maxsize=256)
def _record(kind: _Kind) -> np.dtype[Any]:
    """One packed state, as core.state packs it; a test compares."""
    parts: list[Any] = [("layout", "u1"), ("known", "u1"), ("flags", "u1"), ("last_opened_ms", "<i8")]
    parts += [("case", _CASE + ([_CLOSED, _REOPENED] if kind.again else []))] if kind.case else []
    parts += [("past", _PAST + ([_REOPENED] if kind.again else []))] if kind.past else []
    parts += [(name, _channel(name)) for _, name in kind.channels()]
    for place, name in kind.channels():
        if name in AXES:
            parts.append((f"{name} operation", _OPERATION + (_MODE if kind.modes >> place & 1 else [])))
    return np.dtype(parts + ([("relearned_ms", "<i8")] if kind.relearned else []))


def _channel(name: str) -> list[Any]:
    found: list[Any] = [("last_ms", "<i8"), *((rule, _MONITOR) for rule in RULES[name])]
    if name in AXES:
        found += [("normals", _NORMAL, (_NORMALS,)), *_SENSOR, ("usuals", _USUAL, (_USUALS,))]
    return found


_ON_TRIAL = 64  # flag
_ALL_AXES = (1 << len(AXES)) - 1
_AXIS_BYTES = np.dtype(_channel(AXES[0])).itemsize
_OPERATION_BYTES, _MODE_BYTES = np.dtype(_OPERATION).itemsize, np.dtype(_MODE).itemsize


def _take_monitor(floats: Floats, ints: Ints, at: int, record: NDArray[Any]) -> None:
    held = record["held"].astype(np.int64)
    INTS.of(ints, "level")[at], INTS.of(ints, "held")[at] = record["level"], held
    INTS.of(ints, "since_s")[at] = record["since_s"]
    FLOATS.of(floats, "quiet_below")[at] = record["quiet_below"]
    padded = np.concatenate([np.zeros((MOST_SCORES, len(held))), record["scores"].T])
    FLOATS.of(floats, "scores")[at] = np.take_along_axis(padded, np.arange(MOST_SCORES)[:, None] + held, axis=0)


def _give_monitor(floats: Floats, ints: Ints, at: int, record: NDArray[Any]) -> None:
    held = INTS.of(ints, "held")[at]
    record["level"], record["held"] = INTS.of(ints, "level")[at], held
    record["since_s"] = INTS.of(ints, "since_s")[at]
    record["quiet_below"] = FLOATS.of(floats, "quiet_below")[at]
    padded = np.concatenate([FLOATS.of(floats, "scores")[at], np.zeros((MOST_SCORES, len(held)))])
    places = np.arange(MOST_SCORES)[:, None] + MOST_SCORES - held
    record["scores"] = np.take_along_axis(padded, places, axis=0).T


def _take_axis(floats: Floats, ints: Ints, at: int, record: NDArray[Any]) -> None:
    for name in ("location", "spread", "anchor"):
        FLOATS.of(floats, name)[at] = record["normals"][name].T
    INTS.of(ints, "rows")[at] = record["normals"]["rows"].T
    FLOATS.of(floats, "usual")[at] = record["usuals"]["usual"].T
    INTS.of(ints, "usual_rows")[at] = record["usuals"]["usual_rows"].T
    FLOATS.of(floats, "band")[at] = record["band"].T
    for name in ("sensor_held", "sensor_bits", "sensor_kind"):
        INTS.of(ints, name)[at] = record[name]


def _give_axis(floats: Floats, ints: Ints, at: int, record: NDArray[Any]) -> None:
    for name in ("location", "spread", "anchor"):
        record["normals"][name] = FLOATS.of(floats, name)[at].T
    record["normals"]["rows"] = INTS.of(ints, "rows")[at].T
    record["usuals"]["usual"] = FLOATS.of(floats, "usual")[at].T
    record["usuals"]["usual_rows"] = INTS.of(ints, "usual_rows")[at].T
    record["band"] = FLOATS.of(floats, "band")[at].T
    for name in ("sensor_held", "sensor_bits", "sensor_kind"):
        record[name] = INTS.of(ints, name)[at]


def _take_operation(floats: Floats, ints: Ints, at: int, record: NDArray[Any]) -> None:
    INTS.of(ints, "settling")[at], INTS.of(ints, "heard_by")[at] = record["bits"] >> 4, record["heard_by"]
    INTS.of(ints, "compared")[at], INTS.of(ints, "unlike")[at] = record["compared"] & 15, record["compared"] >> 4
    if "mode" in (record.dtype.names or ()):
        FLOATS.of(floats, "mode")[at], INTS.of(ints, "mode_name")[at] = record["mode"].T, record["mode_name"]


def _give_operation(floats: Floats, ints: Ints, at: int, record: NDArray[Any]) -> None:
    known = "mode" in (record.dtype.names or ())
    record["bits"] = INTS.of(ints, "settling")[at] << 4 | known << 3
    record["heard_by"] = INTS.of(ints, "heard_by")[at]
    record["compared"] = INTS.of(ints, "compared")[at] | INTS.of(ints, "unlike")[at] << 4
    if known:
        record["mode"], record["mode_name"] = FLOATS.of(floats, "mode")[at].T, INTS.of(ints, "mode_name")[at]
