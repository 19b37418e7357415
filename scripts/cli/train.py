"""Learn what is normal for an asset with many tags, and write it as one JSON file.

  telltale train healthy.csv --out pump.json --off "speed<100"
  telltale train 2025/ --out pump.json --every 300 --labels abnormal.csv --json report.json

All rows are taken as healthy, but for those when the machine is off and those in a range of --labels: lines of
"start,end" without a header. The report tells what each tag is worth, what was left out, the smallest lasting step of
each tag that alarms, and how often rows alarm that were kept out of training. `telltale score --model` scores with the
file, and docs/asset-model.md has the formula for anything else that is to.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from telltale.core import asset_model, tags

from cli import asset_options, model_files, tag_files
from cli.asset_options import Trained
from cli.problem import Problem
from cli.progress import shown
from cli.tag_files import TagFile

MOST_ALERTS = 0.01  # share of rows kept out of training that may alarm. A guess


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "inputs", nargs="+", type=Path, metavar="INPUT", help=".csv or .parquet files, or folders of them"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="MODEL.json", help="where the model goes")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="abnormal ranges: left out, and reported")
    asset_options.add_arguments(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there")


def run(args: argparse.Namespace) -> int:
    paths = [path for path, _ in tag_files.inputs(args.inputs)]
    ranges = [] if args.labels is None else asset_options.labels(args.labels)
    files = []
    with shown("files read", total=len(paths)) as advance:
        for path in paths:
            files.append(asset_options.read(path, args, every_s=args.every))
            advance(1)
    if len(files[0].tags) == 1:
        raise Problem(
            f"{paths[0].name}: found one tag, wanted two or more", "`telltale score` judges a stream of one tag."
        )
    trained = asset_options.trained(files, args, abnormal=ranges)
    report = _report(files, trained, args, ranges)
    model_files.write(args.out, trained, report)
    if args.json is not None:
        args.json.write_text(json.dumps(report, ensure_ascii=False) + "\n")
    _show(report, args.out)
    return 0


def _report(
    files: Sequence[TagFile], trained: Trained, args: argparse.Namespace, ranges: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    model = trained.model
    rows, names = asset_options.healthy_rows(files, args, abnormal=ranges)
    starts = np.cumsum([0.0, *(found.times_s[-1] - found.times_s[0] for found in files[:-1])])
    times_s = np.concatenate(
        [found.times_s - found.times_s[0] + start for found, start in zip(files, starts, strict=True)]
    )
    whole = np.concatenate([found.of(names) for found in files])
    steps = dict(zip(model.tags, asset_model.smallest_steps(model).tolist(), strict=True))
    report: dict[str, Any] = {
        "rows": model.rows,
        "tags": len(model.tags),
        "left_out": dict(model.left_out),
        "data_quality": [model_files.plain_quality(one) for one in tags.quality(times_s, whole, tags=names)],
        "smallest_steps": {tag: float(f"{step:.6g}") for tag, step in steps.items()},
        **_held_out(rows, names, args.false_alarm_rows),
    }
    if ranges:
        report["labelled_ranges"] = [_labelled(files, trained, start, end) for start, end in ranges]
    return report


def _held_out(rows: Any, names: Sequence[str], false_alarm_rows: float) -> dict[str, Any]:
    """Model quality without labels, with Lookout for Equipment's names."""
    try:
        held = asset_model.held_out(rows, tags=names, false_alarm_rows=false_alarm_rows)
    except ValueError:
        return {"model_quality": "CANNOT_DETERMINE_QUALITY", "held_out": None}
    mean = float(np.mean(held.alert_rate))
    good = "QUALITY_THRESHOLD_MET" if mean <= MOST_ALERTS else "POOR_QUALITY_DETECTED"
    return {"model_quality": good, "held_out": {**asdict(held), "mean_alert_rate": mean}}


def _labelled(files: Sequence[TagFile], trained: Trained, start: str, end: str) -> dict[str, Any]:
    """How much of a labelled range is found, by a model that did not learn from it."""
    alarmed, rows = 0, 0
    for found in files:
        inside = asset_options.within(found, start, end)
        off = asset_options.is_off(found, trained.off)
        values = found.of(trained.model.tags)
        on = asset_model.score(trained.model, asset_model.start(trained.model), values, off=off)[1].is_anomaly
        alarmed, rows = alarmed + int(np.sum(on & inside)), rows + int(np.sum(inside))
    return {"start": start.strip(), "end": end.strip(), "rows": rows, "rows_in_alarm": alarmed}


def _show(report: dict[str, Any], out: Path) -> None:
    console = Console()
    table = Table("tag", "grade", "smallest step", "found", box=None)
    for quality in report["data_quality"]:
        step = report["smallest_steps"].get(quality["tag"])
        found = "; ".join(f"{one['check']}: {one['found']}" for one in quality["findings"])
        table.add_row(quality["tag"], quality["grade"], "left out" if step is None else f"{step:.4g}", found)
    console.print(table)
    held = report["held_out"]
    rate = "too few rows to tell" if held is None else f"{held['mean_alert_rate']:.2%} of rows kept out alarm"
    print(f"{report['rows']} rows, {report['tags']} tags; {report['model_quality']}: {rate}; model in {out}")
