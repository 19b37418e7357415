"""What the lake keeps of positions, or files of its tables, as core.backtest takes it.

A message is a row of `captures` with the rows of `features` that were made from it; the line judged them in the order
they arrived. Readings of no capture, as imports bring them, are messages of their own. Files without captures are read
as one message for each capture, in the order of sampling.
"""

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from telltale.core import model_scores, relearn
from telltale.core.backtest import JUDGED, READ, Asked, VerdictKey
from telltale.core.closure import LISTS
from telltale.core.judgement import AXES, CaseChange, Control, ModelScore, Row
from telltale.core.missed import is_missed
from telltale.core.sheet import Line, Sheet

from cli import readers
from cli.deployment import Deployment
from cli.problem import Problem

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "features": ("position", "capture_id", "sensor", "axis", "t", "fs_hz", "speed_rpm", "temperature_c", *READ),
    "captures": (
        *("position", "capture_id", "sensor", "part", "t", "received_at"),
        *("record_id", "temperature_c", "speed_rpm", "battery_pct", "rssi_dbm"),
    ),
    "cases": (
        *("position", "case_id", "revision", "change", "t", "opened_at", "severity", "state", "rule", "channel"),
        *("reason", "evidence", "by", "after", *LISTS),
    ),
    "verdicts": ("position", "capture_id", "t", "channel", "rule", *JUDGED),
    "readings": ("position", "capture_id", "sensor", "t", "tag", "value"),
    "acts": ("position", "t", "kind", "by", "why", "after"),
    "scores": ("position", "asset", "t", "scored_at", "model", "deviation", "prediction", "contributions"),
    "labels": ("position", "case_id", "t", "opened_at", "failure_mode"),
}
SELDOM = frozenset({"acts", "scores", "labels"})  # tables that a lake has only when there was something to keep
# What shows which table a file is of; the first that fits.
TOLD_BY: Mapping[str, frozenset[str]] = {
    "verdicts": frozenset({"capture_id", "channel", "rule", "verdict"}),
    "cases": frozenset({"case_id", "revision", "change"}),
    "labels": frozenset({"case_id", "opened_at", "failure_mode"}),
    "captures": frozenset({"capture_id", "part", "received_at"}),
    "readings": frozenset({"capture_id", "tag", "value"}),
    "acts": frozenset({"kind", "after"}),
    "scores": frozenset({"model", "deviation", "prediction"}),
    "features": frozenset({"t"}),
}
TIMES = ("t", "received_at", "opened_at", "scored_at")
EMPTY = pa.table({"position": pa.array([], pa.string())})


@dataclass(frozen=True, eq=False)
class Kept:
    """The rows of one position, by table."""

    position: str
    tables: Mapping[str, pa.Table] = field(default_factory=dict)

    def __reduce__(self) -> tuple[Any, ...]:
        """For other processes: a slice of a table would take all of the table along."""
        return _kept, (self.position, {name: _streamed(table) for name, table in self.tables.items()})

    def rows(self) -> list[Row]:
        """The messages, in the order they arrived."""
        features = self.tables.get("features", EMPTY)
        captures = self.tables.get("captures", EMPTY)
        readings = self.tables.get("readings", EMPTY)
        tags = _tags(readings)
        rows = _messages(captures, features, tags) if captures.num_rows else _sampled(features, tags)
        rows = _with_alone(rows, readings, tags)
        scored = [_scored(row) for row in _plain(self.tables.get("scores", EMPTY)) if row["deviation"] is not None]
        return sorted([*rows, *scored], key=lambda row: row.received_ms) if scored else rows

    def log(self) -> list[CaseChange]:
        """What the line wrote of cases, in order; each change once."""
        changes = {(row["case_id"], row["revision"]): _change(row) for row in _plain(self.tables.get("cases", EMPTY))}
        return sorted(changes.values(), key=lambda change: (change.t_ms, change.case_id, change.revision))

    def asked(self) -> list[Asked]:
        """What was asked of the position itself, in order; each act once. Erases say nothing to detection."""
        found = [row for row in _plain(self.tables.get("acts", EMPTY)) if row["kind"] == relearn.KIND]
        acts = {(row["t"], row["kind"]): _asked(row) for row in found}
        return [acts[key] for key in sorted(acts)]

    def missed_ms(self) -> tuple[int, ...]:
        """When faults were found that nobody was warned of, as far as people told; by the last word on each."""
        told = sorted(_plain(self.tables.get("labels", EMPTY)), key=lambda row: int(row["t"]))
        last = {row["case_id"]: row for row in told}
        return tuple(sorted(row["opened_at"] for row in last.values() if is_missed(row["case_id"], row)))

    def written(self) -> dict[VerdictKey, Mapping[str, Any]]:
        """What the line wrote of each row."""
        rows = _plain(self.tables.get("verdicts", EMPTY))
        return {(row["capture_id"], row["channel"], row["rule"]): row for row in rows}


def _kept(position: str, tables: Mapping[str, pa.Buffer]) -> Kept:
    return Kept(position, {name: pa.ipc.open_stream(table).read_all() for name, table in tables.items()})


def _streamed(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


class Source(Protocol):
    """Where tables are read from."""

    def positions(self) -> list[str]:
        """All that anything is known of."""

    def has(self, name: str) -> bool:
        """The table is there, if perhaps empty."""

    def read(self, name: str, positions: Sequence[str]) -> pa.Table:
        """The rows of a table that are of these positions; those of COLUMNS that it has."""


def kept(source: Source, positions: Sequence[str], tables: Iterable[str]) -> list[Kept]:
    """What is kept of these positions, in their order."""
    parts = {name: _by_position(source.read(name, positions)) for name in tables if source.has(name)}
    return [
        Kept(position, {name: found.get(position, EMPTY) for name, found in parts.items()}) for position in positions
    ]


def _by_position(table: pa.Table) -> dict[str, pa.Table]:
    if not table.num_rows:
        return {}
    coded = pc.dictionary_encode(table["position"].combine_chunks())
    codes = np.asarray(coded.indices.to_numpy(zero_copy_only=False))
    order = np.argsort(codes, kind="stable")
    grouped = table.take(pa.array(order))
    edges = [0, *(np.flatnonzero(np.diff(codes[order])) + 1).tolist(), len(order)]
    names = coded.dictionary.to_pylist()
    return {names[codes[order[low]]]: grouped.slice(low, high - low) for low, high in pairwise(edges)}


# ---- the lake ------------------------------------------------------------------------------------


class Lake:
    """The tables of the deployment, through its own query engine. What no commit has taken up yet is not seen."""

    def __init__(self, deployment: Deployment, *, to_ms: float) -> None:
        self._deployment = deployment
        self._until = None if to_ms == float("inf") else _literal(to_ms)

    def positions(self) -> list[str]:
        answer = self._answer("SELECT position FROM captures UNION SELECT position FROM readings ORDER BY position")
        return [str(name) for name in answer["position"].to_pylist()]

    def has(self, name: str) -> bool:
        if name not in SELDOM:
            return True
        glue = self._deployment.client("glue")
        try:
            glue.get_table(DatabaseName=self._deployment.outputs["GlueDatabase"], Name=name)
        except glue.exceptions.EntityNotFoundException:
            return False
        return True

    def read(self, name: str, positions: Sequence[str]) -> pa.Table:
        places = ", ".join("'" + position.replace("'", "''") + "'" for position in positions)
        columns = [column for column in COLUMNS[name] if not (name == "features" and column == "temperature_c")]
        until = "" if self._until is None else f" AND t < {self._until}"
        listed = ", ".join(f'"{column}"' for column in columns)
        return self._answer(f"SELECT {listed} FROM {name} WHERE position IN ({places}){until}")

    def _answer(self, text: str) -> pa.Table:
        from cli import sql  # brings the lake's libraries, which files do without

        return sql.run(self._deployment, text).table


def _literal(t_ms: float) -> str:
    at = datetime.fromtimestamp(t_ms / 1000, UTC)
    return f"TIMESTAMP '{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d} UTC'"


# ---- files ---------------------------------------------------------------------------------------


class Files:
    """Files of the lake's tables, Parquet or CSV, told apart by their columns. Without a column `position` a file is
    of one position, called like the file.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._parts: dict[str, list[ds.Dataset | pa.Table]] = {}
        for path in paths:
            part = _opened(path)
            names = set(part.schema.names)
            table = next((name for name, wanted in TOLD_BY.items() if wanted <= names), None)
            if table is None or (table == "features" and not names & {*READ, "temperature_c"}):
                found = ", ".join(sorted(names)[:8])
                raise Problem(
                    f"{path}: found the columns {found}; wanted those of the lake's features (t and indicators), "
                    "captures, cases or verdicts"
                )
            self._parts.setdefault(table, []).append(part)

    def positions(self) -> list[str]:
        found: set[str] = set()
        for part in (*self._parts.get("features", ()), *self._parts.get("captures", ())):
            column = part.to_table(columns=["position"]) if isinstance(part, ds.Dataset) else part
            found |= set(pc.unique(column["position"]).to_pylist())
        return sorted(found)

    def has(self, name: str) -> bool:
        return name in self._parts

    def read(self, name: str, positions: Sequence[str]) -> pa.Table:
        place = pc.field("position")  # the range lets Parquet skip row groups of sorted files, which a list does not
        wanted = (place >= min(positions)) & (place <= max(positions)) & place.isin(list(positions))
        tables = []
        for part in self._parts[name]:
            columns = [column for column in COLUMNS[name] if column in part.schema.names]
            if isinstance(part, ds.Dataset):
                tables.append(part.to_table(columns=columns, filter=wanted))
            else:
                tables.append(part.select(columns).filter(wanted))
        return pa.concat_tables(tables, promote_options="permissive")


def _opened(path: Path) -> ds.Dataset | pa.Table:
    if not path.exists():
        raise Problem(f"{path}: no such file")
    try:
        names = [] if path.suffix.lower() == ".csv" else pq.read_schema(path).names
    except (pa.ArrowException, OSError) as error:
        raise Problem(f"{path}: found no table in it: {' '.join(str(error).split())[:120]}") from error
    if "position" in names:
        return ds.dataset(path, format="parquet")
    table = readers.table(path)
    if "position" in table.schema.names:
        return table
    return table.append_column("position", pa.array([path.stem] * table.num_rows, pa.string()))


# ---- from columns to values ----------------------------------------------------------------------


TagKey = tuple[str | None, str]  # sensor, capture


def _tags(readings: pa.Table) -> dict[TagKey, dict[str, float]]:
    """By capture, its tags and their values."""
    found: dict[TagKey, dict[str, float]] = {}
    if readings.num_rows:
        columns = readings["capture_id"], readings["tag"], readings["value"]
        sensors = _column(readings, "sensor", None)
        for sensor, capture, tag, value in zip(sensors, *(one.to_pylist() for one in columns), strict=True):
            found.setdefault((sensor, capture), {})[tag] = value
    return found


def _with_alone(rows: list[Row], readings: pa.Table, tags: Mapping[TagKey, Mapping[str, float]]) -> list[Row]:
    """The messages, and one for each instant of readings that came with none of them, in the order they arrived."""
    known = {(row.sensor or None, row.capture_id) for row in rows}
    if "t" not in readings.schema.names or tags.keys() <= known:
        return rows
    t_ms, sensors = milliseconds(readings["t"]), _column(readings, "sensor", None)
    names = readings["capture_id"].to_pylist()
    times = {(sensor, name): at for sensor, name, at in zip(sensors, names, t_ms, strict=True)}
    alone = [
        Row(name, "s", times[sensor, name], times[sensor, name], sensor or "", tags=tags[sensor, name])
        for sensor, name in tags
        if (sensor or None, name) not in known
    ]
    return sorted([*rows, *alone], key=lambda row: row.received_ms)


def _messages(captures: pa.Table, features: pa.Table, tags: Mapping[TagKey, Mapping[str, float]]) -> list[Row]:
    """Rows of `captures` with their axes. An axis is of the message with its waveform, or else, where the device
    computed it, of the one with the scalars, and so are tags.
    """
    by_axis = _axes(features)
    order = [(name, "ascending") for name in ("received_at", "record_id", "part") if name in captures.schema.names]
    ordered = captures.sort_by(order)
    columns = {name: ordered[name].to_pylist() for name in ordered.schema.names if name not in TIMES}
    t_ms, received_ms = milliseconds(ordered["t"]), milliseconds(ordered["received_at"])
    nothing: list[Any] = [None] * ordered.num_rows
    return [
        Row(
            capture_id,
            part,
            t,
            received,
            sensor,
            speed,
            celsius,
            _of_part(by_axis, sensor, capture_id, part),
            tags.get((sensor, capture_id), {}) if "s" in part else {},
            battery,
            rssi,
        )
        for capture_id, part, t, received, sensor, speed, celsius, battery, rssi in zip(
            columns["capture_id"],
            columns["part"],
            t_ms,
            received_ms,
            columns.get("sensor", nothing),
            columns.get("speed_rpm", nothing),
            columns.get("temperature_c", nothing),
            columns.get("battery_pct", nothing),
            columns.get("rssi_dbm", nothing),
            strict=True,
        )
    ]


def _scored(row: Mapping[str, Any]) -> Row:
    """What the model of the asset said of an interval: a message of its own."""
    anomaly, listed = row["prediction"] == 1, json.loads(row["contributions"] or "[]")
    shares = {one["name"]: float(one["value"]) for one in listed}
    said = ModelScore(
        score=model_scores.score(row["deviation"], anomaly=anomaly),
        reason=model_scores.words(row["deviation"], anomaly=anomaly, model=row["model"], contributions=shares),
        version=row["model"],
        contributions=shares,
    )
    return model_scores.row(row["asset"], row["t"], row["scored_at"], said)


AxisKey = tuple[str | None, str, str, bool]  # sensor, capture, axis, made from a waveform


def _of_part(
    axes: Mapping[AxisKey, Mapping[str, float | None]], sensor: str | None, capture_id: str, part: str
) -> dict[str, Mapping[str, float | None]]:
    found = {}
    for axis in AXES:
        made = axes.get((sensor, capture_id, axis, True)) if axis in part else None
        if made is None and "s" in part:
            made = axes.get((sensor, capture_id, axis, False))
        if made is not None:
            found[axis] = made
    return found


def _axes(features: pa.Table) -> dict[AxisKey, Mapping[str, float | None]]:
    if not features.num_rows:
        return {}
    sensors = _column(features, "sensor", None)
    captures, axes = _column(features, "capture_id", ""), _column(features, "axis", "x")
    sampled = [rate is not None for rate in _column(features, "fs_hz", None)]
    return dict(zip(zip(sensors, captures, axes, sampled, strict=True), _indicators(features), strict=True))


def _indicators(features: pa.Table) -> list[Line]:
    """For each row the indicators that it has."""
    columns = {name: features[name] for name in READ if name in features.schema.names}
    known = {name: readers.numbers(column) for name, column in columns.items() if column.null_count < len(column)}
    texts = sorted(name for name, values in known.items() if values is None)
    if texts:
        raise Problem(f"found no numbers in the columns {', '.join(texts)}")
    numbers = [values for values in known.values() if values is not None]
    return Sheet(list(known), np.column_stack(numbers) if numbers else np.empty((features.num_rows, 0))).lines()


def _sampled(features: pa.Table, tags: Mapping[TagKey, Mapping[str, float]]) -> list[Row]:
    """One message for each capture, or each time and sensor where captures have no name, in the order of sampling."""
    if not features.num_rows:
        return []
    t_ms, indicators = milliseconds(features["t"]), _indicators(features)
    sensors, axes = _column(features, "sensor", ""), _column(features, "axis", "x")
    names = _column(features, "capture_id", None)
    speeds, celsius = _column(features, "speed_rpm", None), _column(features, "temperature_c", None)
    found: dict[tuple[int, str, str], list[int]] = {}
    for place, (at, sensor, name) in enumerate(zip(t_ms, sensors, names, strict=True)):
        found.setdefault((at, sensor, name or f"{sensor}@{at}"), []).append(place)
    return [
        Row(
            capture_id=name,
            part="".join(axes[place] for place in places),
            t_ms=at,
            received_ms=at,
            sensor=sensor,
            speed_rpm=speeds[places[0]],
            temperature_c=celsius[places[0]],
            axes={axes[place]: indicators[place] for place in places},
            tags=tags.get((sensor or None, name), {}),
        )
        for (at, sensor, name), places in sorted(found.items(), key=lambda item: item[0])
    ]


def _column(table: pa.Table, name: str, default: Any) -> list[Any]:
    return table[name].to_pylist() if name in table.schema.names else [default] * table.num_rows


def _asked(row: Mapping[str, Any]) -> Asked:
    return Control(row["kind"], "", row["t"], row.get("by") or "", why=row.get("why")), row.get("after") or 0


def _change(row: Mapping[str, Any]) -> CaseChange:
    """A row of the table `cases`; of its evidence the ids of captures alone."""
    codes = {name: row[name] for name in LISTS if row.get(name) is not None}
    evidence = json.loads(row["evidence"]) if row.get("evidence") else {}
    return CaseChange(
        case_id=row["case_id"],
        revision=row["revision"],
        change=row["change"],
        t_ms=row["t"],
        opened_ms=row["opened_at"],
        severity=row["severity"],
        state=row.get("state") or "",
        rule=row.get("rule") or "",
        channel=row.get("channel") or "",
        reason=row.get("reason") or "",
        evidence={"capture_ids": evidence.get("capture_ids", [])},
        closure=codes if row["change"] in ("resolved", "labelled") else None,
        by=row.get("by"),
        after_ms=row.get("after"),
    )


def _plain(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Rows with times in milliseconds."""
    if not table.num_rows:
        return
    columns = {name: table[name].to_pylist() for name in table.schema.names if name not in TIMES}
    columns |= {name: milliseconds(table[name]) for name in TIMES if name in table.schema.names}
    columns |= {name: _where_known(table[name]) for name in ("after",) if name in table.schema.names}
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _where_known(column: pa.ChunkedArray) -> list[int | None]:
    known = iter(milliseconds(column.drop_null()))
    return [next(known) if valid else None for valid in column.is_valid().to_pylist()]


def milliseconds(column: pa.ChunkedArray) -> list[int]:
    """Times as milliseconds since 1970: from timestamps, RFC 3339 text, or numbers of milliseconds or seconds."""
    if column.null_count:
        raise Problem(f"{column.null_count} rows have no time")
    if pa.types.is_timestamp(column.type):
        return list(pc.cast(column, pa.timestamp("ms", column.type.tz), safe=False).cast(pa.int64()).to_pylist())
    if pa.types.is_string(column.type):
        return [instant_ms(text) for text in column.to_pylist()]
    values = readers.numbers(column)
    if values is None or not np.isfinite(values).all():
        raise Problem(f"found {column.type} as times, wanted timestamps, text such as 2026-03-01T14:30:00Z, or ms")
    scale = 1 if len(values) and np.abs(values).max() > readers.LATE_S else 1000
    return [round(value * scale) for value in values.tolist()]


def instant(text: str) -> int:
    """`instant_ms` of an argument."""
    try:
        return instant_ms(text)
    except Problem as problem:
        raise argparse.ArgumentTypeError(str(problem)) from problem


def instant_ms(text: str) -> int:
    """Milliseconds since 1970 of a date or time; UTC unless it says otherwise."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise Problem(f'found "{text}", wanted a time such as 2026-03-01 or 2026-03-01T14:30:00Z') from error
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
