"""The lake's history as events of Amazon Monitron's export: what the live stream told, and what was imported."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from telltale.core import monitron_format, monitron_rows, schema
from telltale.core.cases import is_by_row
from telltale.core.closure import LISTS
from telltale.core.judgement import AXES, CaseChange, Verdict
from telltale.core.judgement import Row as Message
from telltale.core.monitron_format import Account, Judged, Levels, Place
from telltale.core.plant import Plant, Position

from cli.lake_rows import DAY_MS, LakeRows, Row, start_ms

IMPORTED = "import/"  # what record ids of imported captures begin with
FROM_MONITRON = "monitron-"  # what ids of cases begin with that were imported from Monitron
TABLES = (schema.CAPTURES, schema.CASES, schema.MONITRON_EVENTS)  # whose days have events
INDICATORS = ("velocity_rms_mm_s", "rms_g", *(name for name in schema.FEATURES_TABLE.names if name.startswith("band_")))
CAPTURES = (
    *("capture_id", "part", "position", "sensor", "gateway", "t", "received_at", "record_id"),
    *("temperature_c", "speed_rpm", "rssi_dbm"),
)
VERDICTS = ("position", "capture_id", "t", "channel", "rule", "verdict", "persistent", "reason")
CASES = (
    *("case_id", "revision", "change", "position", "t", "opened_at", "severity", "state", "rule", "channel"),
    *("reason", "fault", "evidence", "by", "heard_at", "after", *LISTS),
)

Axes = Mapping[tuple[str, str, str, bool], Mapping[str, float | None]]  # sensor, capture, axis, made from a waveform
Event = dict[str, Any]


class MonitronExport:
    """Events by time. `wanted` says of which positions; `left_out` counts what has no place among them."""

    def __init__(self, rows: LakeRows, plant: Plant, account: Account, wanted: Callable[[str], bool]) -> None:
        self.left_out: Counter[str] = Counter()
        self._rows, self._plant, self._account, self._wanted = rows, plant, account, wanted
        self._standing: dict[str, Levels] = {}  # at each position
        self._closings: dict[str, list[Row]] = {}  # of its cases, those to come
        self._places: dict[str, Place] = {}

    def events(self, *, from_ms: float, to_ms: float) -> Iterator[Event]:
        """All that was sampled, or done to a case, in that time: day by day, of each day in the order of receipt."""
        changes = self._changes(to_ms)
        self._stand(from_ms, [row for row, _ in changes if row["change"] in monitron_format.SETTLES])
        for day in self._rows.days(TABLES, from_ms=from_ms, to_ms=to_ms):
            first, last = max(from_ms, start_ms(day)), min(to_ms, start_ms(day) + DAY_MS)
            heard = self._captures(first, last)
            found = [
                *self._measurements(heard, first, last),
                *self._transitions([one for one in changes if first <= one[0]["t"] < last], heard),
                *self._imported(first, last),
            ]
            yield from sorted(found, key=lambda event: event["timestamp"])

    # --- What is read

    def _captures(self, from_ms: float, to_ms: float) -> list[Row]:
        """The messages that sensors sent, in the order they came."""
        read = self._rows.read(schema.CAPTURES, CAPTURES, from_ms=from_ms, to_ms=to_ms)
        live = [row for row in read if self._wanted(row["position"]) and not row["record_id"].startswith(IMPORTED)]
        return sorted(live, key=lambda row: (row["received_at"], row["record_id"]))

    def _changes(self, to_ms: float) -> list[tuple[Row, str]]:
        """Changes of cases that were opened here, each once, with the state before it."""
        read = self._rows.read(schema.CASES, CASES, from_ms=0, to_ms=to_ms)
        once = {
            (row["case_id"], row["revision"]): row
            for row in read
            if self._wanted(row["position"]) and not row["case_id"].startswith(FROM_MONITRON)
        }
        ordered = [once[key] for key in sorted(once)]
        states = monitron_format.previous_states(_change(row) for row in ordered)
        return [(row, before) for row, (_, before) in zip(ordered, states, strict=True)]

    def _stand(self, from_ms: float, closings: Sequence[Row]) -> None:
        """What stood at each position before, as far as the day before tells; and what is closed from then on."""
        self._standing, self._closings = {}, defaultdict(list)
        for row in sorted(closings, key=by_time):
            self._closings[row["position"]].append(row)
        columns = [name for name in VERDICTS if name != "reason"]
        before = self._rows.read(schema.VERDICTS, columns, from_ms=max(0, from_ms - DAY_MS), to_ms=from_ms)
        for row in sorted(before, key=by_time):
            standing = self._since(row, "t", row["t"])
            self._standing[row["position"]] = Judged([_verdict(row)], standing).after

    def _stood(self, row: Row) -> Levels:
        """What stood at the position of a message when it came."""
        return self._since(row, "after", row["received_at"])

    def _since(self, row: Row, time: str, at_ms: int) -> Levels:
        """What stands when this row is judged, the closings having been whose `time` lies before, or that it made."""
        standing, closings = self._standing.get(row["position"], {}), self._closings[row["position"]]
        while closings and _has_been(closings[0], row, time, at_ms):
            standing = monitron_format.settled(standing, _change(closings.pop(0)))
        return standing

    # --- What is made of it

    def _measurements(self, heard: Sequence[Row], from_ms: float, to_ms: float) -> Iterator[Event]:
        columns = ("capture_id", "sensor", "axis", "fs_hz", *INDICATORS)
        axes = {
            (row["sensor"], row["capture_id"], row["axis"], row["fs_hz"] is not None): row
            for row in self._rows.read(schema.FEATURES_TABLE, columns, from_ms=from_ms, to_ms=to_ms)
        }
        said: dict[tuple[str, str], list[Verdict]] = defaultdict(list)
        for row in self._rows.read(schema.VERDICTS, VERDICTS, from_ms=from_ms, to_ms=to_ms):
            said[row["position"], row["capture_id"]].append(_verdict(row))
        for row in heard:
            message = _message(row, axes)
            if not message.axes and message.temperature_c is None:
                self.left_out["messages without vibration or temperature"] += 1
                continue
            channels = {*message.axes, *(["temperature"] if message.temperature_c is not None else [])}
            verdicts = [one for one in said[row["position"], row["capture_id"]] if one.channel in channels]
            judged, place = Judged(verdicts, self._stood(row)), self._place(row["position"])
            gateway = row["gateway"] or None
            yield monitron_format.measurement(self._account, place, message, gateway=gateway, judged=judged)
            self._standing[row["position"]] = judged.after

    def _transitions(self, changes: Iterable[tuple[Row, str]], heard: Sequence[Row]) -> Iterator[Event]:
        received: dict[tuple[str, int], list[Row]] = defaultdict(list)
        for row in heard:
            received[row["position"], row["t"]].append(row)
        for row, previous in changes:
            caused = sorted(received[row["position"], row["t"]], key=lambda one: row["channel"] not in one["part"])
            by_row = is_by_row(_change(row))
            told_ms = row["heard_at"] if not by_row else next((one["received_at"] for one in caused), None)
            event = monitron_format.transition(
                self._account,
                self._place(row["position"]),
                _change(row),
                previous=previous,
                received_ms=row["t"] if told_ms is None else told_ms,
                sensor=next((one["sensor"] for one in caused), self._sensor_at(row["position"], row["t"])),
            )
            if event is not None:
                yield event

    def _imported(self, from_ms: float, to_ms: float) -> Iterator[Event]:
        """What was imported from Monitron, as it was."""
        table = schema.MONITRON_EVENTS
        for row in self._rows.read(table, table.names, from_ms=from_ms, to_ms=to_ms):
            if self._wanted(row["position"]):
                yield from monitron_rows.events(row, row["t"])

    def _place(self, path: str) -> Place:
        """With the names that the plant has today."""
        if path not in self._places:
            position = self._plant.positions.get(path) or Position(path)
            site = self._plant.sites.get(position.site)
            self._places[path] = Place.of(position, site.name if site else "")
        return self._places[path]

    def _sensor_at(self, position: str, t_ms: int) -> str | None:
        return next((one.id for one in self._plant.sensors.values() if one.position_at(t_ms) == position), None)


def _has_been(closing: Row, row: Row, time: str, at_ms: int) -> bool:
    if is_by_row(_change(closing)):
        return bool(closing["t"] <= row["t"])
    return bool((closing[time] or 0) < at_ms)


def by_time(row: Row) -> int:
    return int(row["t"])


def _message(row: Row, axes: Axes) -> Message:
    found = {}
    for axis in AXES:
        made = axes.get((row["sensor"], row["capture_id"], axis, True)) if axis in row["part"] else None
        if made is None and "s" in row["part"]:
            made = axes.get((row["sensor"], row["capture_id"], axis, False))  # computed by the device
        if made is not None:
            found[axis] = made
    return Message(
        capture_id=row["capture_id"],
        part=row["part"],
        t_ms=row["t"],
        received_ms=row["received_at"],
        sensor=row["sensor"],
        speed_rpm=row["speed_rpm"],
        temperature_c=row["temperature_c"],
        axes=found,
        rssi_dbm=row["rssi_dbm"],
    )


def _verdict(row: Row) -> Verdict:
    return Verdict(row["channel"], row["rule"], row["verdict"], row["persistent"], reason=row.get("reason"))


def _change(row: Row) -> CaseChange:
    codes = {name: row[name] for name in LISTS if row[name] is not None}
    return CaseChange(
        case_id=row["case_id"],
        revision=row["revision"],
        change=row["change"],
        t_ms=row["t"],
        opened_ms=row["opened_at"],
        severity=row["severity"],
        state=row["state"],
        rule=row["rule"] or "",
        channel=row["channel"] or "",
        reason=row["reason"] or "",
        fault=row["fault"],
        evidence=json.loads(row["evidence"] or "{}") if row["change"] in monitron_format.SETTLES else {},
        closure=codes or None,
        by=row["by"],
    )
