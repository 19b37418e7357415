"""A plant file of what Monitron's events name: to be looked over, joined with yours and applied."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import yaml

from cli.monitron_names import id_of

CLASSES = {f"CLASS{n}": f"iso10816-1/{roman}" for n, roman in enumerate(("I", "II", "III", "IV"), start=1)}
TYPES = ("Bearing", "Compressor", "Fan", "Gearbox", "Motor", "Pump", "Other")
LIMITS = ("velocity_warning_mm_s", "velocity_alarm_mm_s", "temperature_warning_c", "temperature_alarm_c")
HEAD = """\
# Made by `telltale import monitron` of what Amazon Monitron's history names. Look it over before you apply it:
# speeds, bearings and what else decides where a fault must show, Monitron did not know. An asset that moved between
# sites, or a position that was renamed, stands here under each name that it had.
"""


@dataclass
class _Position:
    """What is known of a position; the latest wins."""

    names: Mapping[str, Any] = field(default_factory=dict)
    iso_class: str | None = None
    at_ms: int = -1
    sensors: dict[str, tuple[int, int]] = field(default_factory=dict)  # first and last heard there
    more: dict[str, Any] = field(default_factory=dict)


@dataclass
class Heard:
    """Positions and gateways that were heard of."""

    positions: dict[str, _Position] = field(default_factory=dict)
    gateways: dict[str, dict[str, str]] = field(default_factory=dict)  # by site: id → name
    sites: dict[str, str] = field(default_factory=dict)

    def add(self, events: pa.Table) -> None:
        """Take note of rows of `monitron_events`."""
        rows = events.select(["position", "site", "sensor", "gateway", "iso_class", "context", "t"])
        rows = rows.set_column(6, "t", rows["t"].cast(pa.timestamp("ms", "UTC")).cast(pa.int64()))
        keys = ["position", "site", "sensor", "gateway", "iso_class", "context"]
        for row in rows.group_by(keys).aggregate([("t", "min"), ("t", "max")]).to_pylist():
            context = json.loads(row["context"])
            self.sites.setdefault(row["site"], context.get("siteName", row["site"]))
            if row["gateway"]:
                names = self.gateways.setdefault(row["site"], {})
                names[row["gateway"]] = context.get("gatewayName") or names.get(row["gateway"], "")
            if "/" in row["position"]:
                self._place(row, context)

    def _place(self, row: Mapping[str, Any], context: Mapping[str, Any]) -> None:
        place = self.positions.setdefault(row["position"], _Position())
        if row["t_max"] >= place.at_ms:
            place.names, place.at_ms = context, row["t_max"]
            place.iso_class = row["iso_class"] or place.iso_class
        place.iso_class = place.iso_class or row["iso_class"]
        if row["sensor"]:
            first, last = place.sensors.get(row["sensor"], (row["t_min"], row["t_max"]))
            place.sensors[row["sensor"]] = (min(first, row["t_min"]), max(last, row["t_max"]))

    def describe(self, path: str, names: Mapping[str, Any], more: Mapping[str, Any]) -> None:
        """What a list of positions says of one: class, type, own limits, sensor."""
        place = self.positions.setdefault(path, _Position())
        place.names = names or place.names
        place.more.update(more)
        self.sites.setdefault(path.split("/")[0], names.get("siteName", path.split("/")[0]))


def fragment(heard: Heard) -> str:
    """The plant file."""
    sites: dict[str, Any] = {}
    for path in sorted(heard.positions):
        site, area, asset, position = path.split("/")
        place = heard.positions[path]
        of_site = sites.setdefault(site, {"name": heard.sites.get(site, site)})
        of_area = of_site.setdefault("areas", {}).setdefault(area, {"assets": {}})
        of_asset = of_area["assets"].setdefault(
            asset, {"name": place.names.get("assetName", asset), "interval": "1h", "positions": {}}
        )
        of_asset["positions"][position] = _position(place, position)
    for site, gateways in sorted(heard.gateways.items()):
        named = {id_of(one).replace(".", "-"): {"name": name} if name else {} for one, name in sorted(gateways.items())}
        of_site = sites.setdefault(site, {"name": heard.sites.get(site, site)})
        sites[site] = {"name": of_site["name"], "gateways": named, **{k: v for k, v in of_site.items() if k != "name"}}
    return HEAD + yaml.safe_dump({"sites": sites}, sort_keys=False, allow_unicode=True, width=120)


def _position(place: _Position, own: str) -> dict[str, Any]:
    found: dict[str, Any] = {"name": place.names.get("positionName", own)}
    kind = place.more.get("type")
    if kind in TYPES:
        found["type"] = kind
    profile = CLASSES.get(place.more.get("machine_class") or place.iso_class or "")
    if profile:
        found["machine_class"] = profile
    limits = {name: place.more[name] for name in LIMITS if place.more.get(name) is not None}
    if limits:
        found["limits"] = limits
    sensors = _sensors(place)
    if sensors:
        found["sensor"] = sensors[0]["id"] if len(sensors) == 1 else sensors
    return found


def _sensors(place: _Position) -> list[dict[str, str]]:
    """In the order they were first heard there; each until the next one was."""
    ordered = sorted(place.sensors.items(), key=lambda item: item[1])
    if place.more.get("sensor") and not ordered:
        return [{"id": id_of(place.more["sensor"])}]
    found = []
    for number, (sensor, (first, _)) in enumerate(ordered):
        one = {"id": id_of(sensor)} | ({"from": _time(first)} if number else {})
        if number + 1 < len(ordered):
            one["to"] = _time(ordered[number + 1][1][0])
        found.append(one)
    return found


def _time(t_ms: int) -> str:
    return datetime.fromtimestamp(t_ms // 1000, UTC).isoformat()
