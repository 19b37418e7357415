"""Scores rows of tags by model.json, as FORMULA.md says. Needs numpy, and nothing of Telltale.

  python score.py model.json rows.csv > scores.csv

rows.csv: a header with the tags, a row a line, oldest first, empty where a value is missing; other columns are not
read. Leave out rows with the machine off (conditions.off in model.json) and take means over conditions.every_s first.
"""

import base64
import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def score(model: dict[str, Any], rows: Any) -> Any:
    """(rows,) scores, (rows,) anomalies, (rows, tags) contributions of rows (rows, tags), in the order of the tags."""
    mean, scale, weights, gains, limits, quantiles, most = (
        np.frombuffer(base64.b64decode(model[name]["float64"]), "<f8").reshape(model[name]["shape"])
        for name in ("mean", "scale", "weights", "gains", "limits", "quantiles", "decimals")
    )
    tags, hold = len(mean), round(1 / gains[1])
    a, r, last, seen = np.zeros((2, 2 * tags)), np.zeros(2 * tags), mean, np.zeros(tags)
    peak, fallen, settle, said = 0.0, 0, 0, []
    for x in np.asarray(rows, float):
        known = np.isfinite(x)
        last = np.where(known, x, last)
        shifted = np.where(known, x, 0)[:, None] * 10.0 ** np.arange(6)
        exact = np.abs(shifted - np.rint(shifted)) <= 1e-9 * np.maximum(np.abs(shifted), 1)
        seen = np.minimum(np.maximum(seen, np.where(exact.any(axis=1), exact.argmax(axis=1), 6)), most)
        v = np.where(seen < most, (10.0**-seen / scale) ** 2 / 12, 0)
        z = (last - mean) / scale
        u = np.where(np.tile(known, 2), np.clip(np.hstack([z, z @ weights]) - r, -20, 20), 0)
        a = a + gains[:, None] * (u - a)
        limit = np.sqrt(limits**2 + quantiles**2 * np.hstack([v, v @ weights**2]))
        deviation = np.where(np.tile(known, 2), np.max(np.abs(a) / limit, axis=0), 0)
        top, out, anomaly = deviation.max(), deviation > 1, False
        if settle:
            settle -= 1
            r, a = np.where(out, r + 0.2 * u, r + model["follow"] * a[0]), np.where(out, 0.8 * a, a)
        elif not peak:
            anomaly, peak = top > 1, top if top > 1 else 0.0
            r = r if anomaly else r + model["follow"] * a[0]
        else:
            peak = max(peak, top)
            fallen = fallen + 1 if top < max(0.4 * peak, 0.9) else 0
            anomaly = fallen < hold
            if not anomaly:
                r, a = np.where(out, r + a[0], r), np.where(out, 0, a)
                peak, fallen, settle = 0.0, 0, 4 * hold if top >= 0.9 else 0
        share = deviation.reshape(2, tags).max(axis=0) ** 2
        said.append((top / (1 + top), anomaly, share / share.sum() if share.any() else np.full(tags, 1 / tags)))
    return tuple(np.array(column) for column in zip(*said, strict=True))


if __name__ == "__main__":
    MODEL = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    LINES = csv.DictReader(Path(sys.argv[2]).read_text(encoding="utf-8").splitlines())
    ROWS = [[float(row[tag] or "nan") for tag in MODEL["tags"]] for row in LINES]
    print("score,is_anomaly," + ",".join(f'"{tag}"' for tag in MODEL["tags"]))
    for told, alarms, shares in zip(*score(MODEL, ROWS), strict=True):
        print(f"{told:.12g},{int(alarms)}," + ",".join(f"{one:.6g}" for one in shares))
