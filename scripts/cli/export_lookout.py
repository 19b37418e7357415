"""What models of assets said, as the JSON Lines that Amazon Lookout for Equipment's inference wrote."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from telltale.core import schema

from cli.lake_rows import DAY_MS, LakeRows, Row, start_ms

COLUMNS = ("asset", "t", "score", "prediction", "prediction_reason", "contributions")
OFF = "MACHINE_OFF"  # such rows carry neither score nor diagnostics


def results(
    rows: LakeRows, wanted: Callable[[str], bool], *, from_ms: float, to_ms: float
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Asset and line, by time."""
    for day in rows.days([schema.SCORES], from_ms=from_ms, to_ms=to_ms):
        first, last = max(from_ms, start_ms(day)), min(to_ms, start_ms(day) + DAY_MS)
        found = rows.read(schema.SCORES, COLUMNS, from_ms=first, to_ms=last)
        for row in sorted(found, key=lambda row: (row["t"], row["asset"])):
            if wanted(row["asset"]):
                yield row["asset"], line(row)


def line(row: Row) -> dict[str, Any]:
    """One row of `scores` as Lookout wrote it."""
    at = datetime.fromtimestamp(row["t"] / 1000, UTC)
    said = {
        "timestamp": f"{at:%Y-%m-%dT%H:%M:%S.%f}",
        "prediction": row["prediction"],
        "prediction_reason": row["prediction_reason"],
    }
    if row["prediction_reason"] == OFF:
        return said
    if row["score"] is not None:
        said["anomaly_score"] = row["score"]
    if row["contributions"] is not None:
        shares: list[Mapping[str, Any]] = json.loads(row["contributions"])
        component = row["asset"].rsplit("/", 1)[-1]
        said["diagnostics"] = [{"name": sensor(component, one["name"]), "value": one["value"]} for one in shares]
    return said


def sensor(component: str, tag: str) -> str:
    """A tag as `component\\sensor`, in the letters that Lookout allowed; one that is written so already stays."""
    return tag if "\\" in tag else f"{component}\\{tag.replace('/', '.')}"
