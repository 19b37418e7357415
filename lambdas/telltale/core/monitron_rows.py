"""Rows of the table `monitron_events`, and the events of Amazon Monitron that they were made from.

An import keeps each event whole in one row: its numbers, states and codes in columns (COLUMNS), its names in the JSON
of `context`, and what Monitron's documents do not have in that of `extra`. `events` gives them back as version 2.0.

What does not come back as it was: fields that were null; the spelling of versions, times and names of version 1; a
crest factor above 50; keys in another order; and the second of two events with one `eventId`.
"""

import json
from collections.abc import Mapping
from typing import Any

from telltale.core.monitron_format import MEASUREMENT, TRANSITION, VERSION, moment, ordered

Path = tuple[str, ...]

_WIDE, _BAND = "band0To6000Hz", "band10To1000Hz"
_TOTALS = ("totalVibration", "resultantVector")  # of version 2.0, and of version 1 and the list of parameters
_OUTPUTS = {"previous": "previousPersistent", "persistent": "persistent", "pointwise": "pointwise"}
_MODELS = {"iso": "vibrationISO", "ml": "vibrationML", "temperature": "temperatureML"}


def _axes(kind: str, band: str, column: str, unit: str) -> dict[str, Path]:
    return {
        f"{column}_{axis}_{unit}": ("eventPayload", "features", kind, band, f"{axis}Axis", "rms")
        for axis in ("x", "y", "z")
    }


def _total(kind: str, unit: str) -> dict[str, Path]:
    at = ("eventPayload", "features", kind, _BAND, _TOTALS[0])
    return {
        f"{kind}_total_abs_max_{unit}": (*at, "absMax"),
        f"{kind}_total_abs_min_{unit}": (*at, "absMin"),
        f"{kind}_total_crest": (*at, "crestFactor"),
        f"{kind}_total_rms_{unit}": (*at, "rms"),
    }


# Column → path in an event of version 2.0. Numbers:
NUMBERS: Mapping[str, Path] = {
    "rssi_dbm": ("eventPayload", "sensor", "rssi"),
    "sequence_no": ("eventPayload", "sequenceNo"),
    "temperature_c": ("eventPayload", "features", "temperature"),
    **_axes("acceleration", _WIDE, "acceleration_wide", "m_s2"),
    **_axes("acceleration", _BAND, "acceleration", "m_s2"),
    **_total("acceleration", "m_s2"),
    **_axes("velocity", _BAND, "velocity", "mm_s"),
    **_total("velocity", "mm_s"),
}
RMS = tuple(name for name in NUMBERS if name.startswith(("acceleration", "velocity")) and "abs_m" not in name)
CRESTS = ("acceleration_total_crest", "velocity_total_crest")
WORDS: Mapping[str, Path] = {
    "sensor": ("eventPayload", "sensor", "physicalId"),
    "gateway": ("eventPayload", "gateway", "physicalId"),
    "iso_class": ("eventPayload", "models", "vibrationISO", "isoClass"),
    "iso_muted": ("eventPayload", "models", "vibrationISO", "mutedThreshold"),
    **{
        f"{model}_{output}": ("eventPayload", "models", name, f"{prefix}ClassificationOutput")
        for model, name in _MODELS.items()
        for output, prefix in _OUTPUTS.items()
    },
    "transition": ("eventPayload", "assetTransitionType"),
    "new_state": ("eventPayload", "assetState", "newState"),
    "previous_state": ("eventPayload", "assetState", "previousState"),
    "failure_mode": ("eventPayload", "closureCode", "failureMode"),
    "failure_cause": ("eventPayload", "closureCode", "failureCause"),
    "action_taken": ("eventPayload", "closureCode", "actionTaken"),
}
COLUMNS: Mapping[str, Path] = {**WORDS, **NUMBERS}
RESOLVED: Path = ("eventPayload", "closureCode", "resolvedModels")

# What `context` keeps, by the last name of its path in an event of version 2.0.
CONTEXT: Mapping[str, Path] = {
    **{name: (name,) for name in ("accountId", "projectName", "projectId")},
    **{
        name: ("eventPayload", name)
        for name in (
            *("siteName", "assetName", "positionName", "gatewayName", "gatewayListURL", "companyName", "address"),
            *("serialNumber", "make", "model", "assetPositionURL", "assetPositionId"),
        )
    },
    "latitude": ("eventPayload", "geoLocation", "latitude"),
    "longitude": ("eventPayload", "geoLocation", "longitude"),
}

# Paths of version 1, and of spellings that Monitron's documents also have, → the path of version 2.0.
_DISPLAYED = {
    "projectDisplayName": ("projectName",),
    "siteDisplayName": ("eventPayload", "siteName"),
    "assetDisplayName": ("eventPayload", "assetName"),
    "sensorPositionDisplayName": ("eventPayload", "positionName"),
}


def version_1_paths() -> dict[Path, Path]:
    """Where version 1 has what version 2.0 has: path there → path here."""
    found: dict[Path, Path] = {(name,): path for name, path in _DISPLAYED.items()}
    for path in COLUMNS.values():
        inner = path[1:]
        if inner[0] in ("sensor", "gateway", "models", "assetState"):
            found[inner] = path
        elif inner[0] in ("features", "sequenceNo"):
            found["measurement", *inner] = path
    return found


def spellings(path: Path) -> list[Path]:
    """The path, and how else it is written."""
    found = [path]
    for names in (_TOTALS, ("physicalId", "physicalID")):
        found += [tuple(names[1] if name == names[0] else name for name in one) for one in found if names[0] in one]
    return found


def events(row: Mapping[str, Any], received_ms: int) -> list[dict[str, Any]]:
    """The event of a row, and after it the change of state that a measurement of version 1 had in it."""
    event: dict[str, Any] = {
        "timestamp": moment(received_ms),
        "eventId": row["event_id"],
        "version": VERSION,
        "eventType": row["event_type"],
    }
    context = json.loads(row["context"] or "{}")
    for name, value in context.items():
        _put(event, CONTEXT[name], value)
    change: dict[str, Any] = {}
    split = row["event_type"] == MEASUREMENT
    for name, path in COLUMNS.items():
        if split and name in ("new_state", "previous_state"):
            _put(change, path, row[name])
        else:
            _put(event, path, _whole(row[name]) if name in ("rssi_dbm", "sequence_no") else row[name])
    if row["resolved_models"] is not None:
        _put(event, RESOLVED, json.loads(row["resolved_models"]))
    found = [ordered(_joined(event, json.loads(row["extra"] or "{}")))]
    if split and row["new_state"] is not None and row["new_state"] != row["previous_state"]:
        found.append(_transition(event, row, change))
    return found


def _transition(event: Mapping[str, Any], row: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """What version 2.0 has as an event of its own."""
    names = {name: value for name, value in event["eventPayload"].items() if name not in _OF_MEASUREMENTS}
    payload = names | {"assetTransitionType": "measurement"} | change["eventPayload"]
    if row["sensor"] is not None:
        payload["sensor"] = {"physicalId": row["sensor"]}
    envelope = {**event, "eventId": f"{row['event_id']}-state", "eventType": TRANSITION}
    return ordered({**envelope, "eventPayload": payload})


_OF_MEASUREMENTS = ("sensor", "gateway", "sequenceNo", "features", "models")


def _put(into: dict[str, Any], path: Path, value: Any) -> None:
    """Nothing, where there is no value."""
    if value is None:
        return
    for name in path[:-1]:
        into = into.setdefault(name, {})
    into[path[-1]] = value


def _joined(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(below)
    for name, value in above.items():
        both = isinstance(value, Mapping) and isinstance(found.get(name), Mapping)
        found[name] = _joined(found[name], value) if both else value
    return found


def _whole(value: float | None) -> int | float | None:
    return int(value) if value is not None and float(value).is_integer() else value
