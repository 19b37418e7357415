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
    """(rows,) scores, anomalies and changepoints, (rows, tags) contributions of rows (rows, tags)."""
    mean, scale, weights, gains, limits, quantiles, most, swing_scale, swing_mean, swing_limits = (
        np.frombuffer(base64.b64decode(model[name]["float64"]), "<f8").reshape(model[name]["shape"])
        for name in (
            *("mean", "scale", "weights", "gains", "limits", "quantiles", "decimals"),
            *("swing_scale", "swing_mean", "swing_limits"),
        )
    )
    tags, hold = len(mean), round(1 / gains[1])
    a, r, w, last, seen = np.zeros((2, 2 * tags)), np.zeros(2 * tags), np.zeros(tags), mean, np.zeros(tags)
    peak, fallen, settle, moving, steady, said = 0.0, 0, 0, False, 0, []
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
        levels = np.where(np.tile(known, 2), np.max(np.abs(a) / limit[:2], axis=0), 0)
        q = np.sqrt(np.minimum(np.abs(u - a[0])[tags:] / np.sqrt(swing_scale**2 + v @ weights**2), 20))
        w = np.where(known, w + 0.2 * (q - swing_mean - w), w)
        swings = np.where(known, np.maximum(w / swing_limits, 0), 0)
        move = np.where(np.tile(known, 2), np.abs(a[0] - a[1]) / limit[2], 0).max()
        before = moving, peak > 0
        steady = steady + 1 if moving and move < 0.7 else 0
        moving = steady < hold if moving else move > 1
        top, out, anomaly = max(levels.max(), swings.max()), levels > 1, False
        if settle:
            settle, w = settle - 1, np.where(swings > 0.9, 0.8 * w, w)
            r, a = np.where(out, r + 0.2 * u, r + model["follow"] * a[0]), np.where(out, 0.8 * a, a)
        elif not peak:
            anomaly, peak = top > 1, top if top > 1 else 0.0
            r = r if anomaly else r + model["follow"] * a[0]
        else:
            peak = max(peak, top)
            fallen = fallen + 1 if top < max(0.4 * peak, 0.9) else 0
            anomaly = fallen < hold
            if not anomaly:
                r, a, w = np.where(out, r + a[0], r), np.where(out, 0, a), np.where(swings > 1, 0, w)
                peak, fallen, settle = 0.0, 0, 4 * hold if top >= 0.9 else 0
        share = np.vstack([levels.reshape(2, tags), swings]).max(axis=0) ** 2
        shares = share / share.sum() if share.any() else np.full(tags, 1 / tags)
        said.append((top / (1 + top), anomaly, before != (moving, peak > 0), shares))
    return tuple(np.array(column) for column in zip(*said, strict=True))


if __name__ == "__main__":
    MODEL = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    LINES = csv.DictReader(Path(sys.argv[2]).read_text(encoding="utf-8").splitlines())
    ROWS = [[float(row[tag] or "nan") for tag in MODEL["tags"]] for row in LINES]
    print("score,is_anomaly,is_changepoint," + ",".join(f'"{tag}"' for tag in MODEL["tags"]))
    for told, alarm, change, shares in zip(*score(MODEL, ROWS), strict=True):
        print(f"{told:.12g},{int(alarm)},{int(change)}," + ",".join(f"{one:.6g}" for one in shares))
