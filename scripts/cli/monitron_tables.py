"""Flat events of Monitron as rows of the lake's tables, whole blocks at a time.

A measurement is a row of `captures` with what the device computed, three of `features` (one an axis), and one of
`verdicts` for each of Monitron's models that said something. Every event is a row of `monitron_events`.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from telltale.core import schema
from telltale.core.errors import Reason
from telltale.core.monitron_format import CONNECTIONS, MEASUREMENT, STANDARD_GRAVITY, TRANSITION
from telltale.core.monitron_rows import CONTEXT, CRESTS, NUMBERS, RMS

from cli.import_seen import Keys, hashed
from cli.importing import Bad, Part
from cli.monitron_flat import FLAT, Read
from cli.monitron_names import Paths

AXES = ("x", "y", "z")
HIGHEST_CREST = 50.0  # a guess: impacts of bad bearings have 10 to 20, and 2189 was seen of a sensor that was not loose
COLDEST_C = -273.15
DAY_MS = 86_400_000
AHEAD_MS = DAY_MS  # a time that is later than now by more was no clock's
UNKNOWN = "unknown"  # where Monitron named no sensor or gateway, which a capture must have
MODELS = {"iso": "monitron_iso", "ml": "monitron_ml", "temperature": "monitron_temperature"}  # → rule of verdicts
CHANNELS = {"iso": "total", "ml": "total", "temperature": "temperature"}
CALLED = {"iso": "vibrationISO", "ml": "vibrationML", "temperature": "temperatureML"}
VERDICTS = {"INITIALIZING": "UNKNOWN", "MUTED_WARNING": "WARNING", "MUTED_ALARM": "ALARM"}
LEVELS = frozenset({"UNKNOWN", "HEALTHY", "WARNING", "ALARM"})
EVENT_TYPES = frozenset({MEASUREMENT, TRANSITION, *CONNECTIONS.values()})
GATEWAY_EVENTS = ("gatewayConnected", "gatewayDisconnected")
DEEPEST = 6  # names within names that are listed
SEPARATOR = "\x1f"
MIXER = np.uint64(0x9E3779B97F4A7C15)  # of Fibonacci hashing: spreads times over all bits

Lost = Counter[tuple[str, str]]


@dataclass(frozen=True)
class Converted:
    """What a chunk brings. `events` are the good ones' rows of `monitron_events`."""

    parts: Sequence[Part]
    keys: Keys
    bad: Sequence[Bad]
    lost: Lost
    events: pa.Table


def key_of(rows: pa.Table) -> Keys:
    """What an event is known by: its id and time. From rows with `event_id` and `t`."""
    t_ms = rows["t"].cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64()).to_numpy()
    return hashed(rows["event_id"]) ^ (t_ms.astype(np.uint64) * MIXER)


def converted(read: Read, paths: Paths, *, record_id: str, now_ms: int) -> Converted:
    """Rows of all that can be stored of what was read."""
    given = read.rows
    t_ms, sampled_ms = _times(given)
    kinds = _kinds(given)
    wrong = _wrong(given, kinds, t_ms, now_ms)
    bad = [*read.bad]
    for row, (reason, detail) in sorted(wrong.items()):
        file, line, raw = read.origin(row)
        bad.append(Bad(file, line, reason, detail, raw))
    good = np.ones(given.num_rows, bool)
    good[list(wrong)] = False
    lost: Lost = Counter()
    where = _where(given, kinds, paths)
    order = _order(where, t_ms, good)
    flat = given.take(order)
    events = _events(flat, kinds.take(order), where.take(order), t_ms[order], lost)
    parts = [Part(schema.MONITRON_EVENTS, events)]
    parts += _measurements(events, sampled_ms[order], record_id, lost)
    return Converted(parts, key_of(events), bad, lost, events)


# ---- What can be stored -----------------------------------------------------------------------------


def _times(given: pa.Table) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """When Monitron received each event, and when it was sampled where that is known; -1 for what is no time."""
    received = _milliseconds(given["timestamp"])
    sampled = received.copy()
    for row, text in enumerate(given["extra"].to_pylist()) if given["extra"].null_count < given.num_rows else ():
        if text and '"sampledAt"' in text:
            at = _instant(json.loads(text).get("eventPayload", {}).get("x", {}).get("sampledAt"))
            sampled[row] = received[row] if at < 0 else at
    return received, sampled


def _milliseconds(texts: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    try:
        return np.asarray(texts.cast(pa.timestamp("ms")).cast(pa.int64()).fill_null(-1).to_numpy())
    except pa.ArrowInvalid:  # another spelling somewhere: one by one
        return np.fromiter(map(_instant, texts.to_pylist()), np.int64, len(texts))


def _instant(text: Any) -> int:
    """Milliseconds since 1970; UTC unless it says otherwise. Seconds or milliseconds as a number will do."""
    try:
        if str(text).replace(".", "", 1).isdecimal():
            number = float(text)
            return round(number if number > 1e11 else number * 1000)
        at = datetime.fromisoformat(str(text).strip())
        return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return -1


def _kinds(given: pa.Table) -> pa.ChunkedArray:
    """Event types. Version 1 has none: what has a state and nothing measured is a transition."""
    if not given["event_type"].null_count:
        return given["event_type"]
    measured = pc.is_valid(given["velocity_x_mm_s"])
    for name in (*RMS, "temperature_c", "sequence_no"):
        measured = pc.or_(measured, pc.is_valid(given[name]))
    only_state = pc.and_(pc.is_valid(given["new_state"]), pc.invert(measured))
    made = pc.if_else(only_state, TRANSITION, pc.if_else(measured, MEASUREMENT, pa.scalar(None, pa.string())))
    return pc.coalesce(given["event_type"], made)


def _wrong(
    given: pa.Table, kinds: pa.ChunkedArray, t_ms: npt.NDArray[np.int64], now_ms: int
) -> dict[int, tuple[Reason, str]]:
    """The rows that cannot be stored, and why; the first reason of each."""
    wrong: dict[int, tuple[Reason, str]] = {}

    def rule(mask: Any, reason: Reason, say: Any) -> None:
        for row in np.flatnonzero(np.asarray(mask)).tolist():
            wrong.setdefault(row, (reason, say(row)))

    gateway = np.asarray(pc.is_in(kinds, pa.array(GATEWAY_EVENTS)).to_numpy())
    known = np.asarray(pc.is_in(kinds, pa.array(sorted(EVENT_TYPES))).to_numpy())
    rule(~known, Reason.BAD_FIELD, lambda row: _unknown_event(kinds[row].as_py()))
    said = given["timestamp"]
    rule(t_ms < 0, Reason.BAD_FIELD, lambda row: f"timestamp: found {said[row].as_py()!r}, wanted a time since 1970")
    rule(t_ms > now_ms + AHEAD_MS, Reason.CLOCK_AHEAD, lambda row: f"timestamp: {said[row].as_py()} is yet to come")
    for name in ("siteName", "assetName", "positionName"):
        absent = np.asarray(pc.fill_null(pc.equal(given[name], ""), True).to_numpy())
        needed = absent if name == "siteName" else absent & ~gateway
        rule(needed, Reason.BAD_FIELD, lambda row, name=name: f"{name}: found none, wanted one")
    for name in RMS:
        below = np.asarray(pc.fill_null(pc.less(given[name], 0), False).to_numpy())
        rule(below, Reason.BAD_RANGE, lambda row, name=name: f"{name}: found {given[name][row]}, wanted none below 0")
    for name in NUMBERS:
        endless = np.asarray(pc.fill_null(pc.invert(pc.is_finite(given[name])), False).to_numpy())
        rule(endless, Reason.BAD_RANGE, lambda row, name=name: f"{name}: found {given[name][row]}, wanted a number")
    cold = np.asarray(pc.fill_null(pc.less(given["temperature_c"], COLDEST_C), False).to_numpy())
    rule(cold, Reason.BAD_RANGE, lambda row: f"temperature: found {given['temperature_c'][row]} °C")
    return wrong


def _unknown_event(kind: str | None) -> str:
    if kind is None:
        return "found neither an eventType nor a measurement nor a state, wanted an event of Monitron"
    return f'eventType: found "{kind}", wanted {", ".join(sorted(EVENT_TYPES))}'


# ---- Where it belongs -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Where:
    """Of each event its position and site, by number into what there is few of."""

    codes: npt.NDArray[np.int64]
    positions: pa.Array
    sites: pa.Array

    def take(self, rows: npt.NDArray[np.int64]) -> "_Where":
        return _Where(self.codes[rows], self.positions, self.sites)


def _where(given: pa.Table, kinds: pa.ChunkedArray, paths: Paths) -> _Where:
    gateway = pc.if_else(pc.is_in(kinds, pa.array(GATEWAY_EVENTS)), "g", "")
    names = [pc.fill_null(given[name], "") for name in ("siteName", "assetName", "positionName", "assetPositionId")]
    coded = pc.binary_join_element_wise(gateway, *names, SEPARATOR).combine_chunks().dictionary_encode()
    positions, sites = [], []
    for text in coded.dictionary.to_pylist():
        of_gateway, site, *others = text.split(SEPARATOR)
        place = paths.site(site) if of_gateway or not all((site, *others[:2])) else paths.path(site, *others)
        positions.append(place)
        sites.append(place.split("/")[0])
    codes = np.asarray(coded.indices.to_numpy(zero_copy_only=False)).astype(np.int64)
    return _Where(codes, pa.array(positions, pa.string()), pa.array(sites, pa.string()))


def _order(where: _Where, t_ms: npt.NDArray[np.int64], good: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """The good rows by day, position and time, as the tables are partitioned and sorted: once for all of them."""
    ranks = np.argsort(np.argsort(np.asarray(where.positions.to_pylist(), dtype=object), kind="stable"))
    ranked = ranks[where.codes] if len(ranks) else where.codes
    order = np.lexsort((t_ms, ranked, t_ms // DAY_MS))
    return np.asarray(order[good[order]], np.int64)


# ---- Rows -------------------------------------------------------------------------------------------


def _events(flat: pa.Table, kinds: pa.ChunkedArray, where: _Where, t_ms: npt.NDArray[np.int64], lost: Lost) -> pa.Table:
    columns = {name: flat[name] for name in FLAT.names if name not in CONTEXT and name != "timestamp"}
    for name in CRESTS:
        beyond = pc.fill_null(pc.greater(columns[name], HIGHEST_CREST), False)
        if count := pc.sum(beyond).as_py():
            lost[name, f"above {HIGHEST_CREST:g}, which no signal has: null, the row is kept"] += count
            columns[name] = pc.if_else(beyond, pa.scalar(None, pa.float64()), columns[name])
    columns["event_type"] = kinds
    columns["position"] = where.positions.take(pa.array(where.codes))
    columns["site"] = where.sites.take(pa.array(where.codes))
    columns["t"] = pa.array(t_ms, pa.timestamp("ms", "UTC"))
    columns["sequence_no"] = columns["sequence_no"].cast(pa.int64(), safe=False)
    columns["context"] = _context(flat)
    if columns["event_id"].null_count:
        made = _made_ids(columns)
        lost["eventId", "missing: made of sensor or gateway and time"] += columns["event_id"].null_count
        columns["event_id"] = pc.coalesce(columns["event_id"], made)
    kept = len(flat) - flat["extra"].null_count
    if kept:
        for text in flat["extra"].drop_null().to_pylist():
            for name in _names(json.loads(text)):
                lost[name, "not in Monitron's documents: kept in monitron_events.extra alone"] += 1
    muted = len(flat) - flat["iso_muted"].null_count
    if muted:
        lost["models.vibrationISO.mutedThreshold", "muting is not taken over: kept in monitron_events alone"] += muted
    return pa.table({name: columns[name] for name in schema.MONITRON_EVENTS.names})


def _made_ids(columns: dict[str, Any]) -> pa.ChunkedArray:
    device = pc.coalesce(columns["sensor"], columns["gateway"], columns["position"])
    return pc.binary_join_element_wise(device, columns["t"].cast(pa.int64()).cast(pa.string()), "@")


def _names(extra: dict[str, Any], before: str = "") -> list[str]:
    """Dotted names of fields, without those of our own exports, and not deeper than events of Monitron are."""
    found = []
    for name, value in extra.items():
        here = f"{before}{name}"
        if here == "eventPayload.x":
            continue
        deeper = isinstance(value, dict) and value and here.count(".") < DEEPEST
        found += _names(value, f"{here}.") if deeper else [here]
    return found


def _context(flat: pa.Table) -> pa.Array:
    """JSON of the names around an event. Sorted by position, most rows have those of the row before."""
    count = flat.num_rows
    if not count:
        return pa.array([], pa.string())
    columns = {name: flat[name] for name in CONTEXT if flat[name].null_count < count}
    begins = np.zeros(count, bool)
    begins[0] = True
    for column in columns.values():
        other = pc.not_equal(column.slice(1), column.slice(0, count - 1))
        if column.null_count:
            known = pc.is_valid(column)
            other = pc.or_(pc.fill_null(other, False), pc.xor(known.slice(1), known.slice(0, count - 1)))
        begins[1:] |= np.asarray(other.to_numpy())
    firsts = np.flatnonzero(begins)
    few = pa.table(columns).take(pa.array(firsts)).to_pylist()
    made = [_json({name: value for name, value in row.items() if value not in (None, "")}) for row in few]
    return pa.array(made, pa.string()).take(pa.array(np.cumsum(begins) - 1))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _measurements(events: pa.Table, sampled_ms: npt.NDArray[np.int64], record_id: str, lost: Lost) -> list[Part]:
    """Rows of `captures`, `features` and `verdicts`."""
    items = np.flatnonzero(np.asarray(pc.equal(events["event_type"], MEASUREMENT).to_numpy()))
    count = len(items)
    if not count:
        return []
    every = count == events.num_rows
    measured = events if every else events.take(pa.array(items))
    ids = {
        "capture_id": measured["event_id"],
        "position": measured["position"],
        "site": measured["site"],
        "sensor": pc.fill_null(measured["sensor"], UNKNOWN),
        "t": pa.array(sampled_ms if every else sampled_ms[items], pa.timestamp("ms", "UTC")),
    }
    captures = ids | {
        "part": _constant("s", count),
        "gateway": pc.fill_null(measured["gateway"], UNKNOWN),
        "received_at": measured["t"],
        "temperature_c": measured["temperature_c"],
        **{f"velocity_rms_{axis}_mm_s": measured[f"velocity_{axis}_mm_s"] for axis in AXES},
        "rssi_dbm": measured["rssi_dbm"],
        "record_id": _constant(record_id, count),
    }
    thrice = pa.array(np.repeat(np.arange(count), 3))  # there are as many axes as models
    tripled = {name: column.take(thrice) for name, column in ids.items()}
    item = np.repeat(items, 3)
    return [
        Part(schema.CAPTURES, pa.table(captures), items),
        _known(_features(measured, tripled), item, schema.FEATURES_TABLE, ("velocity_rms_mm_s", "rms_g")),
        _known(_verdicts(measured, tripled, lost), item, schema.VERDICTS, ("verdict",)),
    ]


def _known(rows: pa.Table, item: npt.NDArray[np.int64], table: schema.Table, names: Sequence[str]) -> Part:
    """The rows in which one of these columns says something."""
    if any(not rows[name].null_count for name in names):
        return Part(table, rows, item)
    said = np.any([np.asarray(rows[name].is_valid().to_numpy()) for name in names], axis=0)
    return Part(table, rows.filter(pa.array(said)), item[said])


def _constant(text: str, count: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), pa.array([text])).dictionary_decode()


def _tiled(words: Sequence[str], count: int) -> pa.Array:
    codes = np.tile(np.arange(len(words), dtype=np.int32), count)
    return pa.DictionaryArray.from_arrays(codes, pa.array(words)).dictionary_decode()


def _features(measured: pa.Table, tripled: dict[str, Any]) -> pa.Table:
    """One row an axis, the axes of a capture behind each other."""
    wide = _interleaved([measured[f"acceleration_wide_{axis}_m_s2"] for axis in AXES])
    return pa.table(
        {
            **tripled,
            "axis": _tiled(AXES, measured.num_rows),
            "velocity_rms_mm_s": _interleaved([measured[f"velocity_{axis}_mm_s"] for axis in AXES]),
            "rms_g": pc.divide(wide, STANDARD_GRAVITY),
        }
    )


def _interleaved(columns: Sequence[pa.ChunkedArray]) -> pa.Array:
    values = np.column_stack([column.to_numpy() for column in columns]).ravel()  # NaN where null
    return pa.array(values, mask=np.isnan(values))


def _verdicts(measured: pa.Table, tripled: dict[str, Any], lost: Lost) -> pa.Table:
    """One row for each model; `verdict` is null where it said nothing."""
    pointwise = [measured[f"{model}_pointwise"] for model in MODELS]
    persistent = [measured[f"{model}_persistent"] for model in MODELS]
    verdicts = [pc.coalesce(*both) for both in zip(pointwise, persistent, strict=True)]
    debounced = [pc.coalesce(*both) for both in zip(persistent, pointwise, strict=True)]
    sources = [measured["iso_class"], *[pa.nulls(measured.num_rows, pa.string())] * 2]
    return pa.table(
        {
            **{name: tripled[name] for name in ("capture_id", "position", "site", "t")},
            "channel": _tiled([CHANNELS[model] for model in MODELS], measured.num_rows),
            "rule": _tiled(list(MODELS.values()), measured.num_rows),
            "verdict": _worded(verdicts, lambda _, word: _level(word, lost)),
            "persistent": _worded(debounced, lambda _, word: _level(word, lost)),
            "limit_source": _worded(sources, lambda _, word: f"Monitron, {word}, ISO 10816-1"),
            "reason": _worded(pointwise, lambda model, word: f"Monitron's {CALLED[model]} said {word}"),
            "code_version": _constant("monitron", len(tripled["t"])),
        }
    )


def _level(word: str, lost: Lost) -> str:
    """Monitron's word for ours; what is none of them is UNKNOWN."""
    our = VERDICTS.get(word, word)
    if our in LEVELS:
        return our
    lost[f'verdict "{word}"', "not one of Monitron's: UNKNOWN"] += 1
    return "UNKNOWN"


def _worded(columns: Sequence[Any], say: Callable[[str, str], str]) -> pa.Array:
    """The words of the models behind each other, row by row, as `say(model, word)` has them; null stays null."""
    words: list[str] = []
    codes = []
    for model, column in zip(MODELS, columns, strict=True):
        coded = _encoded(column)
        found = np.asarray(coded.indices.fill_null(-1).to_numpy(zero_copy_only=False))
        codes.append(np.where(found < 0, -1, found + len(words)))
        words += [say(model, word) for word in coded.dictionary.to_pylist()]
    flat = np.column_stack(codes).ravel().astype(np.int32)
    indices = pa.array(flat, mask=flat < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(words, pa.string())).dictionary_decode()


def _encoded(column: Any) -> pa.DictionaryArray:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return array.dictionary_encode()
