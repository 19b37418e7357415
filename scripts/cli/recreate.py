"""A verdict made again from what the lake keeps, and compared with what the line wrote.

Five steps, each with what differs: whether the bytes are those that were received; the indicators anew from the
samples; the verdicts anew from the row and what was known before it; the history that led there; the diagnosis anew.
"""

import dataclasses
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import isclose
from typing import Any

import numpy as np
import pyarrow as pa
from telltale.adapters import basis, scoring
from telltale.adapters.basis import Basis
from telltale.adapters.examiner import Examiner
from telltale.adapters.feature_stream import Message, decode
from telltale.adapters.parquet import ARROW
from telltale.core import backtest, detect, evidence, schema
from telltale.core.capture import AXES, Waveform
from telltale.core.detect import CaseChange, Row, State, Verdict
from telltale.core.features import MEASURED_SPEED_TOLERANCE, NOMINAL_SPEED_TOLERANCE, axes_features
from telltale.core.judgement import MODEL
from telltale.core.plant import Position

from cli import history
from cli.problem import Problem
from cli.shelf import Shelf, at, plain

# Indicators are computed in single precision, and another processor adds in another order: a guess, 1,600 of its steps.
TOLERANCE = 1e-4
# What damaged values make of code that is right about sound ones.
UNEXPECTED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
VERDICT = tuple(one.name for one in dataclasses.fields(Verdict) if one.name not in ("channel", "rule"))
CHANGE = ("case_id", "revision", "change", "t_ms", "opened_ms", "severity", "state", "rule", "channel", "reason")
DIAGNOSED = ("verdict", "confidence", "fault", "reason", "speed_rpm", "speed_source", "speed_confidence")
IDS = ("position", "site", "sensor", "t", "capture_id")
NUMBERS = tuple(column.name for column in schema.FEATURES)

Stored = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """What is to be made again: what a capture led to, and the change of a case that it made, if it did.

    copies : how what the lake has of that change differs from what the case itself has.
    """

    position: str
    capture_id: str
    t_ms: int
    change: CaseChange | None = None
    copies: tuple[str, ...] = ()

    @property
    def of_model(self) -> bool:
        """It is no capture, but what the model of an asset said of one interval: SITE/AREA/ASSET@T."""
        return "/" in self.capture_id


@dataclass(frozen=True)
class Difference:
    """Something that is not as it was written. step : bytes, indicators, verdict, case or diagnosis."""

    step: str
    what: str

    def __str__(self) -> str:
        return f"{self.step}: {self.what}"


@dataclass
class Answer:
    """What came of it. notes : what could not be looked at, and what else there is to know, in words."""

    question: Question
    captures: Sequence[Stored] = ()
    verdicts: Sequence[Stored] = ()
    files: Sequence[str] = ()
    differences: list[Difference] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    then: Basis | None = None
    live: Position | None = None

    @property
    def is_identical(self) -> bool:
        return not self.differences

    def differs(self, step: str, what: str) -> None:
        self.differences.append(Difference(step, what))


@dataclass(frozen=True)
class Kept:
    """The rows of one capture at one position, by table; each part of it is a row of `captures`."""

    captures: Sequence[Stored]
    waveforms: Sequence[Stored]
    features: Sequence[Stored]
    readings: Sequence[Stored]
    verdicts: Sequence[Stored]
    diagnoses: Sequence[Stored]

    @classmethod
    def of(cls, shelf: Shelf, question: Question) -> "Kept":
        where, day = at(question.position, question.t_ms), f"{_when(question.t_ms):%Y-%m-%d}"
        wanted = {"capture_id": question.capture_id, "position": question.position}

        def rows(table: schema.Table) -> list[Stored]:
            return shelf.rows(table, where, wanted, day=day)

        tables = schema.CAPTURES, schema.WAVEFORMS, schema.FEATURES_TABLE, schema.READINGS
        captures, waveforms, features, readings = map(rows, tables)
        return cls(captures, waveforms, features, readings, rows(schema.VERDICTS), rows(schema.DIAGNOSES))

    def parts(self) -> Iterator["Part"]:
        """Each message with its rows."""
        for capture in self.captures:
            axes, device = set(capture["part"]) & set(AXES), "s" in capture["part"]
            mine = [row for row in self.features if row["sensor"] == capture["sensor"]]
            features = [row for row in mine if (row["axis"] in axes if row["fs_hz"] is not None else device)]
            waveforms = [row for row in self.waveforms if row["axis"] in axes and row["sensor"] == capture["sensor"]]
            readings = [row for row in self.readings if device and row["sensor"] == capture["sensor"]]
            yield Part(capture, waveforms, features, readings)


@dataclass(frozen=True)
class Part:
    """One message: its row of `captures`, and the rows that it brought."""

    capture: Stored
    waveforms: Sequence[Stored]
    features: Sequence[Stored]
    readings: Sequence[Stored]

    @property
    def waves(self) -> list[Waveform]:
        rows = sorted(self.waveforms, key=lambda row: str(row["axis"]))
        return [
            Waveform(row["axis"], row["samples"].astype(np.int16), row["fs_hz"], row["scale"], row["unit"])
            for row in rows
        ]

    @property
    def channels(self) -> set[str]:
        heard = {row["axis"] for row in self.features}
        return heard | ({"temperature"} if self.capture["temperature_c"] is not None else set())

    def row(self) -> Row:
        """As detection was told it: the indicators that are known, and what came with them."""
        tables = {"captures": [self.capture], "features": self.features, "readings": self.readings}
        kept = history.Kept(self.capture["position"], {name: _arrow(name, rows) for name, rows in tables.items()})
        [row] = kept.rows()
        axes = {
            axis: {name: one[name] for name in NUMBERS if one.get(name) is not None}
            for axis in row.axes
            for one in self.features
            if one["axis"] == axis
        }
        return replace(row, axes=axes)


def _arrow(name: str, rows: Sequence[Stored]) -> pa.Table:
    [table] = (one for one in schema.TABLES if one.name == name)
    kinds = {column.name: ARROW[column.type] for column in table.columns}
    columns = {}
    for column, kind in kinds.items():
        values = [row.get(column) for row in rows]
        if pa.types.is_timestamp(kind):
            columns[column] = pa.array([round(1000 * row[column]) for row in rows], pa.int64()).cast(kind)
        else:
            columns[column] = pa.array(values, kind)
    return pa.table(columns)


def answer(shelf: Shelf, question: Question, live: Position, *, with_history: bool = True) -> Answer:
    """Makes it again, step by step. live : the position as it is set now."""
    found = Answer(question, live=live, then=_basis(question))
    try:
        _make_again(found, shelf, with_history=with_history)
    except UNEXPECTED as error:
        if not any(file.is_changed for file in shelf.files.values()):
            raise
        _told_once(found, shelf)
        found.differs("bytes", f"what is left cannot be made again: {type(error).__name__}: {error}")
    return found


def _make_again(found: Answer, shelf: Shelf, *, with_history: bool) -> None:
    question = found.question
    if question.of_model:
        _of_model(found, shelf)
        return
    kept = Kept.of(shelf, question)
    found.captures, found.verdicts = kept.captures, kept.verdicts
    found.files = sorted(shelf.files)
    parts = list(kept.parts())
    _bytes(found, shelf, parts)
    if not parts:
        found.differs("bytes", f"there is no row of {question.capture_id} in captures")
        return
    asked = _meant(parts, question)
    position = found.then.position if found.then else found.live or Position(question.position)
    _indicators(found, parts, position)
    if any(" is gone; " in one.what for one in found.differences):
        found.notes.append("the verdicts are not made again: a row that they were made from is gone")
        return
    past = Past(shelf, question) if with_history else None
    for part in [asked] if question.change else parts:
        state = _verdicts(found, part, kept, past)
        _diagnosis(found, part, kept, position, state)


def _told_once(found: Answer, shelf: Shelf) -> None:
    """The files that were changed, where nobody has come to tell them yet."""
    if not found.differences:
        _files(found, shelf)


def _basis(question: Question) -> Basis | None:
    kept = question.change.evidence.get("judged") if question.change else None
    try:
        return basis.read(kept) if kept else None
    except (ValueError, KeyError, TypeError):
        return None


def _meant(parts: Sequence[Part], question: Question) -> Part:
    """The message that made the change: the one with the channel that decided."""
    channel = question.change.channel if question.change else None
    return next((part for part in parts if channel in part.channels), parts[0])


# ---- whether the bytes are those that were received -----------------------------------------------


def _bytes(found: Answer, shelf: Shelf, parts: Sequence[Part]) -> None:
    for told in found.question.copies:
        found.differs("bytes", told)
    _files(found, shelf)
    sealed = checked = 0
    for part in parts:
        digests = _recorded(found, part)
        for name, digest in digests.items():
            sealed += 1
            table, _, axis = name.partition(" ")
            row = _row_of(part, table, axis)
            if row is None:
                _missing(found, part, name, digests)
                continue
            readings = {one["tag"]: one["value"] for one in part.readings} if table == evidence.CAPTURE else {}
            changed = evidence.changed(table, row, digest, readings, like=_like(found, part, row, table))
            checked += changed is None
            if changed is not None:
                found.differs("bytes", f"capture {part.capture['capture_id']}: {changed}")
    if sealed:
        found.done.append(f"{checked} of {sealed} digests that were recorded on receipt hold")


def _files(found: Answer, shelf: Shelf) -> None:
    for file in shelf.files.values():
        if file.is_changed:
            found.differs("bytes", str(file))
    whole = sum(not file.is_changed and file.recorded is not None for file in shelf.files.values())
    found.done.append(f"{whole} of {len(shelf.files)} files have the SHA-256 that they were written with")


def _recorded(found: Answer, part: Part) -> dict[str, str]:
    """The digests by part: those of the row, which have to be those that the case recorded."""
    text = part.capture.get(evidence.DIGESTS)
    digests = evidence.read(text)
    if digests is None and text is not None:
        found.differs("bytes", f"captures, column digests: {text[:60]!r} is not what was written")
    told = found.then.digests if found.then and part is not None else None
    if told is not None and digests is not None and set(told) & set(digests) and _is_of(told, part):
        for name in sorted(set(told) | set(digests)):
            if told.get(name) != digests.get(name):
                has = f"the row of captures has the digest {digests.get(name)}, the case recorded {told.get(name)}"
                found.differs("bytes", f"{name}: {has}")
        return {**digests, **told}
    if digests is None:
        found.notes.append("no digest was recorded when it was received: a version before digests stored it")
        return told or {}
    return digests


def _is_of(told: Mapping[str, str], part: Part) -> bool:
    """Whether these digests are of this message, of the several that a capture may have come in."""
    return {name.partition(" ")[2] for name in told} - {""} == {row["axis"] for row in part.features}


def _row_of(part: Part, table: str, axis: str) -> Stored | None:
    if table == evidence.CAPTURE:
        return part.capture
    rows = part.waveforms if table == evidence.WAVEFORM else part.features
    return next((row for row in rows if row["axis"] == axis), None)


def _missing(found: Answer, part: Part, name: str, digests: Mapping[str, str]) -> None:
    """A row that is not there: of samples that are gone altogether, history has aged away; else somebody took it."""
    if name.startswith(evidence.WAVEFORM) and not part.waveforms:
        note = "its samples are no longer in the lake: indicators and diagnosis cannot be made again"
        if note not in found.notes:
            found.notes.append(note)
    else:
        found.differs("bytes", f"{name}: the row is gone; its digest is {digests[name]}")


def _like(found: Answer, part: Part, row: Stored, table: str) -> Iterator[Mapping[str, Any]]:
    """What the row may have had: of samples what the other axes have, of indicators what the samples say."""
    if table == evidence.WAVEFORM:
        shared = ("fs_hz", "unit", "scale", *IDS)
        yield from ({name: other[name] for name in shared} for other in part.waveforms)
        yield {name: part.capture[name] for name in IDS}
    elif table == evidence.FEATURES:
        yield {name: part.capture[name] for name in IDS}
        if part.waveforms:
            position = found.then.position if found.then else found.live or Position(found.question.position)
            with suppress(ValueError):  # a rate that a changed byte made senseless
                yield _again(part, position).get(row["axis"], {})


# ---- the indicators anew ---------------------------------------------------------------------------


def _again(part: Part, position: Position) -> dict[str, dict[str, float | None]]:
    """What the extractor would make of the samples."""
    waves = part.waves
    speeds = {row["axis"]: row["speed_rpm"] for row in part.features}
    measured = part.capture["speed_rpm"] is not None
    tolerance = MEASURED_SPEED_TOLERANCE if measured else NOMINAL_SPEED_TOLERANCE
    items = [
        (wave, None if speeds.get(wave.axis) is None else speeds[wave.axis] / 60, position.machine) for wave in waves
    ]
    made = {
        wave.axis: dict(of_axis)
        for wave, of_axis in zip(waves, axes_features(items, speed_tolerance=tolerance), strict=True)
    }
    for axis in AXES:
        own = part.capture[f"velocity_rms_{axis}_mm_s"]
        if own is not None and made.setdefault(axis, {}).get("velocity_rms_mm_s") is None:
            made[axis]["velocity_rms_mm_s"] = own
    return made


def _indicators(found: Answer, parts: Sequence[Part], position: Position) -> None:
    same = near = 0
    for part in parts:
        if not part.waveforms and any(row["fs_hz"] is not None for row in part.features):
            continue
        try:
            again = _again(part, position)
        except ValueError as error:  # a rate or a unit that a changed byte made senseless
            found.differs("indicators", f"cannot be computed: {error}")
            continue
        for row in part.features:
            made = again.get(row["axis"])
            if made is None:
                continue
            for name in NUMBERS:
                stored, now = row.get(name), made.get(name)
                if _identical(stored, now):
                    same += stored is not None
                elif _close(stored, now):
                    near += 1
                else:
                    found.differs("indicators", f"{row['axis']} {name}: stored {stored!r}, from the samples {now!r}")
    if same + near:
        told = f"{same} of {same + near} indicators made again from the samples are equal bit for bit"
        rest = f", the others within {TOLERANCE:g}: another processor adds in another order" if near else ""
        found.done.append(told + rest)


def _identical(stored: Any, now: Any) -> bool:
    return stored == now or (stored is None and now is None) or (stored != stored and now != now)


def _close(stored: Any, now: Any) -> bool:
    if stored is None or now is None:
        return stored is now
    return _identical(stored, now) or isclose(stored, now, rel_tol=TOLERANCE)


# ---- the verdicts anew -----------------------------------------------------------------------------


class Past:
    """The position's history up to the capture, replayed when it is first asked for."""

    def __init__(self, shelf: Shelf, question: Question) -> None:
        self._question = question
        self._shelf = shelf
        self._items: tuple[backtest.Item, ...] | None = None
        self.problem: str | None = None

    def before(self, row: Row, position: Position) -> State | None:
        """What was known before the row, as these settings make it of the history; None where there is no such row."""
        state = State.new()
        for item, after, _, _ in backtest.replay(self.items(), position):
            if isinstance(item, Row) and (item.capture_id, item.part) == (row.capture_id, row.part):
                return state
            state = after
        return None

    def items(self) -> tuple[backtest.Item, ...]:
        if self._items is None:
            self._items = self._read()
        return self._items

    def _read(self) -> tuple[backtest.Item, ...]:
        question = self._question
        source = Recent(self._shelf, to_ms=question.t_ms + 1)
        try:
            [kept] = history.kept(source, [question.position], ("captures", "features", "readings", "cases", "acts"))
            return backtest.placed(kept.rows(), kept.log(), kept.asked())
        except (Problem, pa.ArrowException, OSError, ValueError) as error:  # an engine that meets damaged bytes
            self.problem = f"the history cannot be read: {' '.join(str(error).split())[:200]}"
            return ()

    def changed(self) -> Iterator[str]:
        """Rows of the history that are not as they were received; those without a digest are passed over."""
        source = Recent(self._shelf, to_ms=self._question.t_ms + 1)
        names = schema.CAPTURES, schema.FEATURES_TABLE, schema.READINGS
        rows = {table.name: plain(source.whole(table, self._question.position)) for table in names}
        features: dict[tuple[str, str], list[Stored]] = {}
        readings: dict[tuple[str, str], dict[str, float]] = {}
        for row in rows[schema.FEATURES_TABLE.name]:
            features.setdefault((row["sensor"], row["capture_id"]), []).append(row)
        for row in rows[schema.READINGS.name]:
            readings.setdefault((row["sensor"], row["capture_id"]), {})[row["tag"]] = row["value"]
        for capture in rows[schema.CAPTURES.name]:
            key, digests = (capture["sensor"], capture["capture_id"]), evidence.read(capture[evidence.DIGESTS]) or {}
            tags = readings.get(key, {}) if "s" in capture["part"] else {}
            parts = [(schema.CAPTURES.name, capture, tags)]
            parts += [(schema.FEATURES_TABLE.name, row, {}) for row in features.get(key, ())]
            for table, row, beside in parts:
                recorded = digests.get(evidence.part_of(table, row))
                changed = None if recorded is None else evidence.changed(table, row, recorded, beside)
                if changed is not None:
                    yield f"capture {capture['capture_id']}: {changed}"


class Recent(history.Lake):
    """The lake with what is still on its way to it."""

    def __init__(self, shelf: Shelf, *, to_ms: float) -> None:
        super().__init__(shelf.deployment, to_ms=to_ms)
        self._shelf = shelf

    def has(self, name: str) -> bool:
        return True  # what has no table yet may be on its way to one

    def read(self, name: str, positions: Sequence[str]) -> pa.Table:
        waiting = self._shelf.waiting_rows(name, positions, history.COLUMNS[name])
        return _joined(waiting, super().read(name, positions) if super().has(name) else history.EMPTY)

    def whole(self, table: schema.Table, position: str) -> pa.Table:
        """All columns of a position's rows."""
        waiting = self._shelf.waiting_rows(table.name, [position], table.names)
        place = position.replace("'", "''")
        return _joined(waiting, self._answer(f"SELECT * FROM {table.name} WHERE position = '{place}'"))


def _joined(waiting: pa.Table | None, stored: pa.Table) -> pa.Table:
    if waiting is None or not waiting.num_rows:
        return stored
    if not stored.num_rows:
        return waiting
    shared = [name for name in stored.schema.names if name in waiting.schema.names]
    return pa.concat_tables([stored, waiting.select(shared)], promote_options="permissive")


def _verdicts(found: Answer, part: Part, kept: Kept, past: Past | None) -> State | None:
    """Compares, and gives what was known before the row; None where nothing says so."""
    row, then, live = part.row(), found.then, found.live or Position(found.question.position)
    state = None
    if then is not None:
        state = then.state
        _compare(found, part.channels, kept.verdicts, *_judged(state, row, then.position))
        found.done.append("the verdicts were made again from the row and what the case recorded as known before it")
    if past is None:
        return state
    before = past.before(row, then.position if then else live)
    if past.problem or before is None:
        why = past.problem or f"the history does not have {row.capture_id}"
        if then is None:
            found.differs("verdict", why)
        else:
            found.notes.append(why)
        return state
    if then is None:
        _compare(found, part.channels, kept.verdicts, *_judged(before, row, live))
        found.done.append(f"the verdicts were made again from the history: {_rows(past, row)} rows before it")
        return before
    if before.pack() == then.state.pack():
        found.done.append(f"the history leads to what the case recorded: {_rows(past, row)} rows before it")
    else:
        found.notes.append(
            f"the history ({_rows(past, row)} rows before it) leads to another state than the case recorded: settings "
            "or code changed since, it begins later than what was learned, or somebody acted while a row came in"
        )
        for told in past.changed():
            found.differs("bytes", f"history: {told}")
    if live != then.position:
        _outcome(found, row, past, live)
    return state


def _rows(past: Past, row: Row) -> int:
    count = 0
    for item in past.items():
        if isinstance(item, Row):
            if (item.capture_id, item.part) == (row.capture_id, row.part):
                break
            count += 1
    return count


def _outcome(found: Answer, row: Row, past: Past, live: Position) -> None:
    """What the position as it is set now would have said."""
    try:
        before = past.before(row, live)
        now, _ = _judged(before or State.new(), row, live)
    except ValueError as error:
        found.notes.append(f"as the position is set now it cannot be judged: {error}")
        return
    written = {(one["channel"], one["rule"]): one for one in found.verdicts}
    others = [
        f"{one.channel} {one.rule} {one.persistent} instead of {was['persistent']}"
        for one in now
        if (was := written.get((one.channel, one.rule))) is not None and was["persistent"] != one.persistent
    ]
    told = "; ".join(others) or "the same"
    found.notes.append(f"the position is set otherwise now: with that, the history gives {told}")


def _judged(state: State, row: Row, position: Position) -> tuple[list[Verdict], list[CaseChange]]:
    _, verdicts, changes = detect.step(state, row, position)
    return verdicts, changes


def _compare(
    found: Answer,
    channels: Collection[str],
    rows: Iterable[Stored],
    verdicts: Iterable[Verdict],
    changes: Sequence[CaseChange],
) -> None:
    written = {(one["channel"], one["rule"]): one for one in rows if one["channel"] in channels}
    count = 0
    for one in verdicts:
        row = written.pop((one.channel, one.rule), None)
        if row is None:
            found.differs("verdict", f"{one.channel} {one.rule}: made again {one.verdict}, no row of it was written")
            continue
        count += 1
        for name in VERDICT:
            if not _identical(row.get(name), getattr(one, name)):
                told = f"written {row.get(name)!r}, made again {getattr(one, name)!r}"
                found.differs("verdict", f"{one.channel} {one.rule} {name}: {told}")
    for channel, rule in written:
        found.differs("verdict", f"{channel} {rule}: written {written[channel, rule]['verdict']}, not made again")
    if count:
        found.done.append(f"{count} verdicts compared, column by column")
    _compare_case(found, changes)


def _compare_case(found: Answer, changes: Sequence[CaseChange]) -> None:
    was = found.question.change
    if was is None:
        return
    now = next((one for one in changes if one.change == was.change), None)
    if now is None:
        found.differs("case", f"{was.change}, revision {was.revision}: made again, the row changes nothing of the case")
        return
    for name in CHANGE:
        if getattr(was, name) != getattr(now, name):
            found.differs("case", f"{name}: written {getattr(was, name)!r}, made again {getattr(now, name)!r}")
    for name in now.evidence:
        if name in was.evidence and _json(was.evidence[name]) != _json(now.evidence[name]):
            found.differs("case", f"evidence, {name}: is not what the row gives")


def _json(value: Any) -> Any:
    return json.loads(json.dumps(value))


# ---- what the model of an asset said -----------------------------------------------------------------


def _of_model(found: Answer, shelf: Shelf) -> None:
    """Verdicts of an asset's score: made again from its row of `scores`, and from what the case recorded."""
    question = found.question
    asset, day = question.capture_id.rpartition("@")[0], f"{_when(question.t_ms):%Y-%m-%d}"
    where = at(question.position, question.t_ms)
    wanted = {"asset": asset, "t": _when(question.t_ms), "position": question.position}
    scores = shelf.rows(schema.SCORES, where, wanted, day=day)
    verdicts = {"capture_id": question.capture_id, "position": question.position}
    found.verdicts = shelf.rows(schema.VERDICTS, where, verdicts, day=day)
    found.files = sorted(shelf.files)
    _files(found, shelf)
    if not scores:
        found.differs("bytes", f"there is no row of {asset} at that time in scores")
        return
    [score, *_] = scores
    found.notes.append(f"it is no capture: version {score['model']} of the asset's model judged its tags together")
    listed = json.loads(score["contributions"] or "[]")
    said = {**score, "contributions": {one["name"]: one["value"] for one in listed}}
    row = decode(json.dumps(scoring._feature_record(said)).encode()).item
    if found.then is None or not isinstance(row, Row):
        found.notes.append("its verdicts are not made again: only a case keeps what was known before")
        return
    verdicts_now, changes = _judged(found.then.state, row, found.then.position)
    _compare(found, {MODEL}, found.verdicts, verdicts_now, changes)
    found.done.append("the verdicts were made again from the score and what the case recorded as known before it")


# ---- the diagnosis anew ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Held:
    """The waveforms of a part, where the examiner looks for a file."""

    waves: Sequence[Waveform]

    def of(self, key: str, **_: str) -> tuple[Waveform, ...]:
        return tuple(self.waves)


def _diagnosis(found: Answer, part: Part, kept: Kept, position: Position, state: State | None) -> None:
    for written in kept.diagnoses:
        waves = [wave for wave in part.waves if wave.axis in written["axes"]]
        if "".join(wave.axis for wave in waves) != written["axes"]:
            found.notes.append(f"the diagnosis of axes {written['axes']} cannot be made again: samples are missing")
            continue
        if state is None:
            found.notes.append("the diagnosis cannot be made again: what was usual before it is not known")
            continue
        row = part.row()
        held: Any = _Held(waves)
        normal = detect.usual(state, row, position)
        made = Examiner(held).examine(Message(position.id, row, waveforms="stored"), row, position, normal=normal)
        _compare_diagnosis(found, written, made.diagnosis, made.evidence)


def _compare_diagnosis(found: Answer, written: Stored, made: Any, told: Mapping[str, Any]) -> None:
    if made is None:
        found.differs("diagnosis", f"written {written['verdict']}, made again none: {told.get('reason')}")
        return
    rpm = None if made.speed_hz is None else made.speed_hz * 60
    now = {name: rpm if name == "speed_rpm" else getattr(made, name) for name in DIAGNOSED}
    differing = [name for name in DIAGNOSED if not _near(written.get(name), now[name])]
    differing += [name for name in ("findings", "untested") if not _near(json.loads(written[name]), told[name])]
    for name in differing:
        again = now.get(name, told.get(name))
        found.differs("diagnosis", f"{name}: written {written.get(name)!r}, made again {again!r}")
    found.done.append(f"the diagnosis was made again: {made.verdict}, {made.confidence:.0%}")


def _near(stored: Any, now: Any) -> bool:
    """Equal, numbers within TOLERANCE."""
    if isinstance(stored, Mapping) and isinstance(now, Mapping):
        return stored.keys() == now.keys() and all(_near(stored[name], now[name]) for name in stored)
    if isinstance(stored, list | tuple) and isinstance(now, list | tuple):
        return len(stored) == len(now) and all(map(_near, stored, now))
    if isinstance(stored, int | float) and isinstance(now, int | float):
        return _close(float(stored), float(now))
    return bool(stored == now)


def _when(t_ms: float) -> datetime:
    return datetime.fromtimestamp(t_ms / 1000, UTC)
