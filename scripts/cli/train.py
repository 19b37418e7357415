"""Learn what is normal for an asset with many tags: from files, as one JSON file, or from the lake, as a new version.

  telltale train healthy.csv --out pump.json --off "speed<100"
  telltale train 2025/ --out pump.json --every 300 --labels abnormal.csv --json report.json
  telltale train --asset riverside/pump-hall/pump-1
  telltale train --asset riverside/pump-hall/pump-1 --from 2026-03-01 --to 2026-05-01 --tags "process/*,motor-de/*"

All rows are taken as healthy, but for those when the machine is off and those in a range of --labels: lines of
"start,end" without a header. The report tells what each tag is worth, what was left out, the smallest lasting step of
each tag that alarms, and how often rows alarm that were kept out of training. `telltale score --model` scores with the
file, and docs/asset-model.md has the formula for anything else that is to.

Of the lake, tags are those that came with captures and condition indicators of the asset's positions, as the plant
file says or --tags. Rows of true cases are abnormal, those of open cases are left out, and the range to learn from is
found: the longest newest one in which nothing changed, but for its newest quarter, over which the new version and the
live one are replayed. --from and --to choose the range instead. Nothing goes live: `telltale model promote` does that.
"""

import argparse
import getpass
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Column, Table
from telltale.core import asset_model, tags, training

from cli import asset_options, model_files, tag_files
from cli.asset_options import Trained
from cli.history import instant_ms
from cli.problem import Problem
from cli.progress import shown
from cli.tag_files import TagFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "inputs", nargs="*", type=Path, metavar="INPUT", help=".csv or .parquet files, or folders of them"
    )
    parser.add_argument("--out", type=Path, metavar="MODEL.json", help="where the model of files goes")
    parser.add_argument("--asset", metavar="PATH", help="site/area/asset: from the lake, into the store of models")
    parser.add_argument("--from", dest="from_s", type=_seconds, metavar="TIME", help="of the lake: learn from then on")
    parser.add_argument("--to", dest="to_s", type=_seconds, metavar="TIME", help="of the lake: learn until then")
    parser.add_argument("--tags", type=_patterns, metavar="NAMES", help="of the lake: tags or patterns, a,b,c")
    parser.add_argument("--by", default=getpass.getuser(), help="of the lake: who trains (default: %(default)s)")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="abnormal ranges: left out, and reported")
    asset_options.add_arguments(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there")


def _seconds(text: str) -> float:
    try:
        return instant_ms(text) / 1000
    except Problem as problem:
        raise argparse.ArgumentTypeError(str(problem)) from problem


def _patterns(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def run(args: argparse.Namespace) -> int:
    if args.asset is not None:
        if args.inputs or args.out is not None:
            raise Problem("found --asset together with files, wanted one of them")
        return _from_the_lake(args)
    if not args.inputs or args.out is None:
        raise Problem("found no files and --out, and no --asset: wanted one of them", "`telltale train --help`")
    if args.from_s is not None or args.to_s is not None or args.tags is not None:
        raise Problem("--from, --to and --tags are of the lake: they go with --asset")
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


def _from_the_lake(args: argparse.Namespace) -> int:
    from cli import train_lake  # the lake's libraries, which files do without

    labelled = () if args.labels is None else asset_options.labels(args.labels)
    candidate = train_lake.train(
        args.asset,
        span=(args.from_s, args.to_s),
        labelled=[(instant_ms(start.strip()) / 1000, instant_ms(end.strip()) / 1000) for start, end in labelled],
        by=args.by,
        tags=args.tags,
        every_s=args.every,
        off=None if args.off is None else f"{args.off.tag}{'<' if args.off.below else '>'}{args.off.value!r}",
        false_alarm_rows=None if args.false_alarm_rows == asset_model.FALSE_ALARM_ROWS else args.false_alarm_rows,
    )
    stored, made = candidate.stored, candidate.made
    if args.json is not None:
        args.json.write_text(json.dumps({"version": stored.version, **made.report}, ensure_ascii=False) + "\n")
    _show(made.report, f"version {stored.version}")
    print(f"{made.report['range']}")
    print(f"the gate {'would let it pass' if made.gate.passed else 'holds it back'}: {made.gate.reason}")
    print(f"to let it be live: scripts/telltale model promote {stored.asset} {stored.version} --why TEXT")
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
        **training.quality(rows, names=names, false_alarm_rows=args.false_alarm_rows).as_dict(),
    }
    if ranges:
        report["labelled_ranges"] = [_labelled(files, trained, start, end) for start, end in ranges]
    return report


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


def _show(report: Mapping[str, Any], out: Path | str) -> None:
    console = Console()
    table = Table(Column("tag", overflow="fold"), "grade", "smallest step", "found", box=None)
    for quality in report["data_quality"]:
        step = report["smallest_steps"].get(quality["tag"])
        found = "; ".join(f"{one['check']}: {one['found']}" for one in quality["findings"])
        table.add_row(quality["tag"], quality["grade"], "left out" if step is None else f"{step:.4g}", found)
    console.print(table)
    held = report["held_out"]
    rate = "too few rows to tell" if held is None else f"{held['mean_alert_rate']:.2%} of rows kept out alarm"
    print(f"{report['rows']} rows, {report['tags']} tags; {report['model_quality']}: {rate}; model in {out}")
