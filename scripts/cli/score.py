"""Anomaly scores of any table over time: one CSV (or Parquet) per file, one row per row.

  telltale score skab/valve1 --out scores --train-rows 400 --drop anomaly,changepoint
  telltale score new.parquet --out scores --train healthy.parquet --off "speed<100"
  telltale score new.csv --out scores --model pump.json --plot pictures

Columns of the result: timestamp, score (0 to 1, 0.5 on the limit), is_anomaly, is_changepoint, prediction_reason,
and contributions: the tags that say most, "tag=share", which sum to 1 over all tags. Every column of numbers is a tag:
leave labels out with --drop. Results keep the relative paths of folders. Nothing is looked ahead for;
docs/asset-model.md has the formula. A file that cannot be judged is named on stderr, and the others go on.

A file with one tag is judged as a stream of its own. It learns from its first rows: with --probation, from 32 to 750.
Its prediction_reason names the statistic that is beyond its record (HIGH, STEP, DRIFT: docs/streams.md), alarm or not.
"""

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from telltale.core import asset_model, streams, svg, tags
from telltale.core.asset_model import NO_ANOMALY, OFF, Scores

from cli import asset_options, model_files, score_picture, tag_files
from cli.arguments import at_least_one
from cli.asset_options import Trained
from cli.problem import Problem
from cli.progress import shown
from cli.tag_files import TagFile

TOP = 5  # tags whose contributions are written
COLUMNS = ("timestamp", "score", "is_anomaly", "is_changepoint", "prediction_reason", "contributions")
KINDS = (pa.string(), pa.float64(), pa.bool_(), pa.bool_(), pa.string(), pa.string())  # in Parquet


@dataclass(frozen=True)
class Scored:
    """What is told of a file in the end."""

    file: str
    rows: int
    alarms: int
    alert_rate: float
    quality: list[dict[str, Any]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "inputs", nargs="+", type=Path, metavar="INPUT", help=".csv or .parquet files, or folders of them"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the results go")
    learned = parser.add_mutually_exclusive_group(required=True)
    learned.add_argument(
        "--train-rows", type=at_least_one, metavar="N", help="the first N rows of each file are healthy"
    )
    learned.add_argument("--train", nargs="+", type=Path, metavar="FILE", help="files with healthy rows")
    learned.add_argument("--probation", type=share, metavar="F", help="the first share of each file is healthy: 0.15")
    learned.add_argument("--model", type=Path, metavar="MODEL.json", help="what `telltale train` wrote")
    asset_options.add_arguments(parser)
    parser.add_argument("--parquet", action="store_true", help="write Parquet instead of CSV")
    parser.add_argument("--plot", type=Path, metavar="DIR", help="also draw score, limit and alarms there, as SVG")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was scored there, with data quality")


def share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f'found "{text}", wanted a share between 0 and 1')
    return value


def run(args: argparse.Namespace) -> int:
    files = list(tag_files.inputs(args.inputs))
    twice = {place for _, place in files if [other for _, other in files].count(place) > 1}
    if twice:
        raise Problem(f"several inputs would be written as {sorted(map(str, twice))[0]}", "Score them one by one.")
    trained = _beforehand(args)
    told, missed = [], 0
    with shown("files", total=len(files)) as advance:
        for path, place in files:
            try:
                told.append(_one(path, place, args, trained))
            except Problem as problem:
                if path in args.inputs and len(files) == 1:
                    raise
                missed += path in args.inputs
                print(f"telltale: left out: {problem}", file=sys.stderr)
            advance(1)
    if not told:
        raise Problem("no file could be scored")
    if args.json is not None:
        args.json.write_text(json.dumps({"files": [vars(one) for one in told]}, ensure_ascii=False) + "\n")
    alarms = sum(one.alarms for one in told)
    print(f"{sum(one.rows for one in told)} rows of {len(told)} files, {alarms} alarms; results in {args.out}")
    return 1 if missed else 0


def _beforehand(args: argparse.Namespace) -> Trained | None:
    if args.model is not None:
        return model_files.read(args.model)
    if args.train is None:
        return None
    files = [asset_options.read(path, args, every_s=args.every) for path in args.train]
    return None if len(files[0].tags) == 1 else asset_options.trained(files, args)


def _one(path: Path, place: Path, args: argparse.Namespace, trained: Trained | None) -> Scored:
    every_s = args.every if trained is None else trained.every_s
    found = asset_options.read(path, args, drop=() if trained is None else trained.drop, every_s=every_s)
    off = asset_options.is_off(found, args.off if trained is None else trained.off)
    learning = _training_rows(args, len(found.rows))
    if trained is None and len(found.tags) == 1:
        return _stream(found, place, args)
    if trained is None:
        part = TagFile(
            path, found.timestamps[:learning], found.times_s[:learning], found.tags, found.rows[:learning], True
        )
        own = asset_options.trained([part], args)
        scores, names = _scores(own, found, off, learning), own.model.tags
    else:
        scores, names = _scores(trained, found, off, 0), trained.model.tags
    _write(place, found, scores, names, learning, args)
    return _told(found, scores, learning)


def _training_rows(args: argparse.Namespace, rows: int) -> int:
    """Rows at the start of the file that are learned from, and so not judged."""
    if args.probation is not None:
        return max(1, int(rows * args.probation))
    return min(args.train_rows, rows) if args.train_rows is not None else 0


def _scores(trained: Trained, found: TagFile, off: NDArray[np.bool_], learning: int) -> Scores:
    model = trained.model
    state = asset_model.start(model, after_training=learning > 0)
    return asset_model.score(model, state, found.of(model.tags)[learning:], off=off[learning:])[1]


def _stream(found: TagFile, place: Path, args: argparse.Namespace) -> Scored:
    """A file with one tag is a stream of its own."""
    count = len(found.rows)
    learning = _training_rows(args, count)
    if args.probation is not None:
        learning = min(max(learning, streams.LEAST_PROBATION), streams.MOST_PROBATION)
    if not learning:
        raise Problem(
            f"{found.path.name}: found one tag, wanted --probation or --train-rows: it learns from its own rows"
        )
    learning = min(learning, count)
    try:
        watched = streams.watch(found.rows[:, 0], found.times_s, probation_rows=learning)
    except ValueError as error:
        raise Problem(f"{found.path.name}: {error}") from error
    judged = slice(learning, None)
    rows = count - learning
    scores = Scores(
        watched.score[judged],
        watched.is_anomaly[judged],
        np.zeros(rows, bool),
        np.ones((rows, 1)),
        watched.is_changepoint[judged],
    )
    reasons = [_stream_reason(reason) for reason in watched.reason[judged].tolist()]
    _write(place, found, scores, found.tags, learning, args, reasons=reasons)
    return _told(found, scores, learning)


def _stream_reason(reason: int) -> str:
    """The statistic that is beyond its record, or why nothing was judged."""
    return NO_ANOMALY if reason == streams.Reason.NONE else streams.Reason(reason).name


def _told(found: TagFile, scores: Scores, learning: int) -> Scored:
    on = scores.is_anomaly
    graded = tags.quality(found.times_s[:learning], found.rows[:learning], tags=found.tags) if learning else []
    return Scored(
        str(found.path),
        len(found.rows),
        int(np.sum(np.diff(on.astype(np.int8), prepend=0) == 1)),
        float(on.mean()) if len(on) else 0.0,
        [model_files.plain_quality(one) for one in graded],
    )


def _write(
    place: Path,
    found: TagFile,
    scores: Scores,
    names: tuple[str, ...],
    learning: int,
    args: argparse.Namespace,
    *,
    reasons: Sequence[str] | None = None,
) -> None:
    """The results, and their picture if one is wanted, under the same relative path."""
    lines = _lines(found, scores, names, learning, scores.reasons if reasons is None else reasons)
    to = args.out / place
    to.parent.mkdir(parents=True, exist_ok=True)
    if args.parquet:
        columns = list(zip(*lines, strict=True)) or [()] * len(COLUMNS)
        arrays = [pa.array(column, kind) for column, kind in zip(columns, KINDS, strict=True)]
        pq.write_table(pa.table(arrays, names=list(COLUMNS)), to.with_suffix(".parquet"))
    else:
        with to.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(
                [text, _score(score), int(on), int(change), *rest] for text, score, on, change, *rest in lines
            )
    if args.plot is not None:
        picture = args.plot / place.with_suffix(".svg")
        picture.parent.mkdir(parents=True, exist_ok=True)
        title = place.with_suffix("").as_posix()
        picture.write_text(svg.render(score_picture.drawn(title, found.timestamps, scores, learned=learning)))


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def _lines(
    found: TagFile, scores: Scores, names: tuple[str, ...], learning: int, reasons: Sequence[str]
) -> list[tuple[str, float | None, bool, bool, str, str]]:
    """One for each row: those learned from have score 0 and no verdict, those with the machine off no score."""
    order = np.argsort(-np.nan_to_num(scores.contributions), axis=1, kind="stable")[:, :TOP]
    lines: list[tuple[str, float | None, bool, bool, str, str]] = [
        (text, 0.0, False, False, "LEARNING", "") for text in found.timestamps[:learning]
    ]
    verdicts = zip(scores.score.tolist(), scores.is_anomaly.tolist(), scores.is_changepoint.tolist(), strict=True)
    told = zip(found.timestamps[learning:], verdicts, reasons, strict=True)
    for row, (text, (score, on, change), reason) in enumerate(told):
        if reason == OFF:
            lines.append((text, None, False, change, reason, ""))
            continue
        most = " ".join(f"{names[tag]}={scores.contributions[row, tag]:.3f}" for tag in order[row])
        lines.append((text, score, on, change, reason, most))
    return lines
