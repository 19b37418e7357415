"""The tags of one position, each watched as a stream of its own: one pure step from (states, rows) to (states, alarms).

core.streams judges numbers; here is which numbers of a row they are, what is kept of each tag, and what is told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from math import isfinite
from typing import Any, Self

import numpy as np

from telltale.core import streams
from telltale.core.judgement import AXES, Row
from telltale.core.schema import FEATURES
from telltale.core.streams import Reason, Stream

PROBATION_ROWS = 600  # where nobody says. A guess; the false alarms in docs/streams.md were measured with 604
EVERY_TAG = "*"  # in Position.streams: all tags that are not named; no tag can be called so
SCALARS = ("temperature_c", "speed_rpm", "battery_pct", "rssi_dbm")  # of a row, watched where named
INDICATORS = frozenset(f"{axis}/{column.name}" for axis in AXES for column in FEATURES)  # likewise

MOST_TAGS = 64  # watched at a position: as many as a message may carry
MOST_BYTES = 300_000  # of the states of a position together: DynamoDB stores 400 KB as one item

WORDS = {
    Reason.HIGH: "higher than ever before",
    Reason.LOW: "lower than ever before",
    Reason.DRIFT: "drifts further than ever before",
    Reason.STEP: "the level of {short} rows moved further than ever before",
    Reason.LEVEL: "the level of {long} rows moved further than ever before",
    Reason.SPREAD: "varies more within {short} rows than ever before",
    Reason.HOUR: "further than ever before from what is usual at this hour, over {short} rows",
    Reason.DAY: "further than ever before from what is usual at these hours, over {long} rows",
    Reason.STUCK: "has not changed for longer than ever before",
}


@dataclass(frozen=True)
class Told:
    """An alarm or a changepoint, as it is remembered. reason : name of a streams.Reason."""

    t_ms: int
    value: float
    score: float
    reason: str
    words: str


@dataclass(frozen=True)
class Tag:
    """What is kept of one tag: its stream, when it began, its last row, and what was told last."""

    stream: Stream
    since_ms: int = 0
    t_ms: int = 0
    value: float = 0.0
    alarm: Told | None = None
    change: Told | None = None

    @property
    def state(self) -> str:
        """`learning 41 of 600` or `watched`."""
        learns = self.stream.rows < self.stream.probation
        return f"learning {self.stream.rows} of {self.stream.probation}" if learns else "watched"

    def summary(self) -> dict[str, Any]:
        """All but the stream itself, JSON-able."""
        told = {name: asdict(one) for name in ("alarm", "change") if (one := getattr(self, name)) is not None}
        return {
            "rows": self.stream.rows,
            "probation_rows": self.stream.probation,
            "since_ms": self.since_ms,
            "t_ms": self.t_ms,
            "value": self.value,
            **told,
        }

    @classmethod
    def of(cls, packed: bytes, summary: Mapping[str, Any]) -> Self:
        """The tag of a packed stream and a `summary`. ValueError if those bytes are no stream's."""
        told = {name: Told(**summary[name]) for name in ("alarm", "change") if name in summary}
        return cls(Stream.unpack(packed), summary["since_ms"], summary["t_ms"], summary["value"], **told)


@dataclass(frozen=True)
class Alarm:
    """A row of a tag that is told. is_anomaly, is_changepoint : at least one; as core.streams says."""

    tag: str
    row: Row
    told: Told
    is_anomaly: bool
    is_changepoint: bool
    rows_before: int  # that were taken in


def watch(
    held: Mapping[str, Tag], rows: Sequence[Row], *, wanted: Mapping[str, int]
) -> tuple[dict[str, Tag], list[Alarm]]:
    """What is kept after these rows, in the order they came, and what they tell, by time, then tag.

    wanted : Position.streams. A tag that is not wanted any more is forgotten; one whose probation was changed begins
    anew; beyond 64 tags, new ones that are not named are left out. Rows that are not later than the tag's last one
    change nothing.
    """
    room = MOST_TAGS - len(wanted.keys() - {EVERY_TAG})
    kept = {name: tag for name, tag in held.items() if _probation(name, wanted) == tag.stream.probation}
    for name in [name for name in kept if name not in wanted][room:]:  # tags that were named since take their places
        del kept[name]
    alarms: list[Alarm] = []
    for name, heard in _by_tag(rows, wanted).items():
        if name not in kept and name not in wanted and len(kept.keys() - wanted.keys()) >= room:
            continue
        tag = kept.get(name) or Tag(Stream.new(probation_rows=_probation(name, wanted) or PROBATION_ROWS))
        kept[name], told = _watch(name, tag, heard)
        alarms += told
    return kept, sorted(alarms, key=lambda one: (one.row.t_ms, one.tag))


def values(row: Row, wanted: Mapping[str, int]) -> dict[str, float]:
    """The values of a row that are watched, by tag: those named, and with `*` all its tags. Not known: left out.

    Temperature, speed, battery and signal strength by their column; an indicator as `x/rms_g`. A tag that is called
    like a column is not seen.
    """
    tags = {name: value for name, value in row.tags.items() if _probation(name, wanted) and not _is_own(name)}
    own = {name: _own(row, name) for name in wanted if _is_own(name)}
    return tags | {name: value for name, value in own.items() if value is not None and isfinite(value)}


def check(wanted: Mapping[str, int]) -> None:
    """ValueError for more tags than can be watched at a position, or too short a probation."""
    _check(tuple(wanted.items()))


@lru_cache(maxsize=1024)
def _check(wanted: tuple[tuple[str, int], ...]) -> None:
    """Once, not with each row."""
    named = [probation for name, probation in wanted if name != EVERY_TAG]
    further = MOST_TAGS - len(named) if len(named) < len(wanted) else 0
    if len(named) > MOST_TAGS:
        raise ValueError(f"{len(named)} tags to watch, wanted at most {MOST_TAGS}")
    size = sum(map(_packed_bytes, named)) + further * _packed_bytes(dict(wanted).get(EVERY_TAG, PROBATION_ROWS))
    if size > MOST_BYTES:
        raise ValueError(
            f"the streams of a position would take {size / 1000:.0f} kB, wanted at most {MOST_BYTES / 1000:.0f} kB: "
            "name fewer tags, or take fewer rows of probation"
        )


def _packed_bytes(probation: int) -> int:
    stream = Stream.new(probation_rows=probation)
    full = replace(stream, recent=(0.0,) * (2 * stream.long - 1), residuals=(0.0,) * (stream.long - 1))
    return len(full.pack())


def _probation(name: str, wanted: Mapping[str, int]) -> int | None:
    """None: it is not watched."""
    return wanted.get(name, None if _is_own(name) else wanted.get(EVERY_TAG))


def _is_own(name: str) -> bool:
    """A column of the row, and no tag that came with it."""
    return name in SCALARS or name in INDICATORS


def _own(row: Row, name: str) -> float | None:
    if name in SCALARS:
        value: float | None = getattr(row, name)
        return value
    axis, indicator = name.split("/")
    return row.axes.get(axis, {}).get(indicator)


def _by_tag(rows: Sequence[Row], wanted: Mapping[str, int]) -> dict[str, list[tuple[Row, float]]]:
    heard: dict[str, list[tuple[Row, float]]] = {}
    for row in rows:
        for name, value in values(row, wanted).items():
            heard.setdefault(name, []).append((row, value))
    return heard


def _watch(name: str, tag: Tag, heard: Sequence[tuple[Row, float]]) -> tuple[Tag, list[Alarm]]:
    """One tag, its rows at once: core.streams takes a batch a hundred times as fast as row after row."""
    stream, verdicts = streams.advance(tag.stream, [value for _, value in heard], [row.t_ms / 1000 for row, _ in heard])
    taken = np.flatnonzero(~np.isin(verdicts.reason, (Reason.LATE, Reason.MISSING)))
    if not len(taken):
        return tag, []
    row, value = heard[taken[-1]]
    since_ms = tag.since_ms if tag.stream.rows else heard[taken[0]][0].t_ms
    tag, alarms = replace(tag, stream=stream, since_ms=since_ms, t_ms=row.t_ms, value=value), []
    for place in np.flatnonzero(verdicts.is_anomaly | verdicts.is_changepoint).tolist():
        row, value = heard[place]
        reason = Reason(int(verdicts.reason[place]))
        words = WORDS[reason].format(short=stream.short, long=stream.long)
        told = Told(row.t_ms, value, float(verdicts.score[place]), reason.name, f"{name} {value:.4g}: {words}")
        anomaly, change = bool(verdicts.is_anomaly[place]), bool(verdicts.is_changepoint[place])
        tag = replace(tag, alarm=told if anomaly else tag.alarm, change=told if change else tag.change)
        before = tag.stream.rows - int(np.sum(taken >= place))
        alarms.append(Alarm(name, row, told, anomaly, change, before))
    return tag, alarms
