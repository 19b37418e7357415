"""When detection would have warned in run-to-failure recordings, row by row, by the same code as in the line.

  telltale watch bearing.npz --out results
  telltale watch recordings/ --out results --train 200 --plot pictures
  telltale watch runs/bearing1/ --fs 25600 --unit g --rpm 2100 --out results

An input is a table with a row of indicators for each capture (.parquet, .csv: `x_rms_g`, `ch1_std`, …), an archive of
snapshots (.npz), a folder whose files are one capture each, or a folder of all these, whose paths are kept. For each
a table is written: idx, timestamp, score (1 is on the warning limit), is_anomaly (a warning or alarm that lasts),
state of the position, reason. A recording that does not say when it began begins in 1970. A table with a column
speed_rpm is judged by operating mode.
"""

import argparse
import csv
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from telltale.core import drawing, plot, svg
from telltale.core.detect import State, Verdict, step
from telltale.core.drawing import Drawing, Polyline, Text
from telltale.core.judgement import SENSOR
from telltale.core.plot import Axes, Mark, Panel
from telltale.core.settings import settings_of

from cli import machine, progress, run_to_failure, waveforms
from cli.arguments import at_least_one, positive
from cli.problem import Problem
from cli.run_to_failure import Options, Run

COLUMNS = ("idx", "timestamp", "score", "is_anomaly", "state", "reason")
ALERTS = ("WARNING", "ALARM")
SHOWN_SCORE = 5.0  # the highest that a plot shows: what lies above is an alarm anyway
PLOT_HEIGHT = 420


@dataclass(frozen=True)
class Watched:
    """One row and what detection said. score : the highest of all rules, None where nothing was judged."""

    idx: int
    timestamp: str
    score: float | None
    is_anomaly: bool
    state: str
    reason: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("inputs", type=Path, nargs="+", metavar="INPUT", help="recordings, or folders of them")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the results")
    parser.add_argument(
        "--train", type=at_least_one, metavar="N", help="rows to learn from before judging (default: 100)"
    )
    parser.add_argument("--plot", type=Path, metavar="DIR", help="also draw score, limits and alarms there, as SVG")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write a summary of each recording there")
    files = parser.add_argument_group("what is in the files")
    files.add_argument("--time", metavar="COLUMN", help="table: the column of times")
    files.add_argument("--fs", type=positive, metavar="HZ", help="sampling rate, where the file does not say")
    files.add_argument("--unit", choices=waveforms.UNIT_WORDS, help="unit of the samples, where the file does not say")
    files.add_argument("--scale-g", type=positive, metavar="G", help="g at full scale of integers and of sound")
    files.add_argument("--rpm", type=positive, metavar="R/MIN", help="speed of the shaft, where the file does not say")
    files.add_argument("--bearing", type=machine.bearing, metavar="NAME", help="its bearing, such as 6205")


def run(args: argparse.Namespace) -> int:
    settings = training(args.train)
    samples = waveforms.Options(fs_hz=args.fs, unit=args.unit, scale_g=args.scale_g, snapshot=None, time=args.time)
    said = Options(samples, args.rpm, args.bearing)
    runs = run_to_failure.found(args.inputs, said, note=lambda text: print(f"telltale: {text}", file=sys.stderr))
    summary = {}
    with progress.shown("rows", total=sum(one.count for one in runs)) as advance:
        for one in runs:
            rows = watched(one, settings, advance)
            path = one.path.with_name(one.path.name + ".csv")
            write(rows, args.out / path)
            if args.plot is not None:
                picture = args.plot / path.with_suffix(".svg")
                picture.parent.mkdir(parents=True, exist_ok=True)
                alarm_score = settings_of(settings).alarm_score
                picture.write_text(svg.render(drawn(one.path.as_posix(), rows, alarm_score=alarm_score)))
            summary[one.path.as_posix()] = summed_up(rows)
    if args.json is not None:
        args.json.write_text(json.dumps(summary, indent=1) + "\n")
    for name, figures in summary.items():
        print(f"{name:24} {_sentence(figures)}")
    return 0


def training(rows: int | None) -> dict[str, float]:
    """The settings of a run in which so many rows may be learned. Problem where that is too few or too many."""
    settings: dict[str, float] = {} if rows is None else {"warmup": rows}
    try:
        settings_of(settings)
    except ValueError as error:
        raise Problem(f"--train: {error}") from error
    return settings


def watched(run: Run, settings: dict[str, float], advance: Callable[[int], None] = lambda _: None) -> list[Watched]:
    """Each row of the run after the ones before it."""
    state, rows = State.new(), []
    where = run_to_failure.position(run, settings=settings)
    for place, row in enumerate(run.observed()):
        state, verdicts, _ = step(state, row, where)
        rows.append(_watched(place, run.timestamp(place), verdicts, state))
        advance(1)
    return rows


def _watched(place: int, timestamp: str, verdicts: Sequence[Verdict], state: State) -> Watched:
    machine = [verdict for verdict in verdicts if verdict.rule != SENSOR]
    alerting = [verdict for verdict in machine if verdict.persistent in ALERTS]
    judged = [verdict for verdict in machine if verdict.score is not None]
    learning = [verdict for verdict in machine if verdict.verdict == "UNKNOWN"]
    telling = max(alerting or judged or learning or machine, key=lambda verdict: verdict.score or 0.0, default=None)
    score = max((verdict.score for verdict in judged if verdict.score is not None), default=None)
    reason = "" if telling is None else f"{telling.channel}: {telling.reason}"
    return Watched(place, timestamp, score, bool(alerting), state.state, reason)


def write(rows: Sequence[Watched], path: Path) -> None:
    """The rows as CSV, the folder made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            score = "" if row.score is None else f"{row.score:.4f}"
            writer.writerow([row.idx, row.timestamp, score, int(row.is_anomaly), row.state, row.reason])


def starts(rows: Sequence[Watched]) -> list[Watched]:
    """The rows at which an alarm begins."""
    before = False
    found = []
    for row in rows:
        found += [row] if row.is_anomaly and not before else []
        before = row.is_anomaly
    return found


def summed_up(rows: Sequence[Watched]) -> dict[str, Any]:
    """What became of a run, in plain values."""
    begun = starts(rows)
    return {
        "rows": len(rows),
        "judged": sum(row.score is not None for row in rows),
        "anomalous": sum(row.is_anomaly for row in rows),
        "alarms": len(begun),
        "first_idx": begun[0].idx if begun else None,
        "first_timestamp": (begun[0].timestamp or None) if begun else None,
        "first_reason": begun[0].reason if begun else None,
        "state": rows[-1].state if rows else "UNKNOWN",
    }


def _sentence(figures: dict[str, Any]) -> str:
    if not figures["judged"]:
        return f"nothing could be judged in {figures['rows']} rows"
    if not figures["alarms"]:
        return f"quiet for {figures['rows']} rows"
    at = f", {figures['first_timestamp']}" if figures["first_timestamp"] else ""
    return f"warned at row {figures['first_idx']} of {figures['rows']}{at}: {figures['first_reason']}"


def drawn(title: str, rows: Sequence[Watched], *, alarm_score: float) -> Drawing:
    """The score over the rows with both limits, and a mark where each alarm begins."""
    judged = [row for row in rows if row.score is not None]
    begun = starts(rows)
    panel = Panel(
        heading=f"Score, {len(rows)} rows",
        note=f"1: warning, {alarm_score:g}: alarm",
        x=np.array([row.idx for row in judged], dtype=np.float64),
        y=np.array([min(max(row.score or 0.0, 0.0), SHOWN_SCORE) for row in judged]),
        span=(0.0, float(max(len(rows), 2))),
        unit="rows",
        reach=alarm_score,
        marks=tuple(Mark(float(row.idx), f"row {row.idx}", rank) for rank, row in enumerate(begun)),
        more=lambda axes: [_limit(axes, 1.0, "#e69f00"), _limit(axes, alarm_score, plot.STRONG)],
        missing="" if judged else "nothing was judged",
    )
    heading = drawing.shortened(title, size=plot.NORMAL, width=plot.RIGHT - plot.MARGIN, bold=True)
    shapes, end = plot.drawn([panel], top=64.0, bottom=float(PLOT_HEIGHT), gap=0.0)
    top = Text(plot.MARGIN, 36.0, heading, plot.NORMAL, bold=True)
    return Drawing(plot.WIDTH, round(end) + 16, (top, *shapes), title, _sentence(summed_up(rows)))


def _limit(axes: Axes, score: float, color: str) -> Polyline:
    left, _, right, _ = axes.box
    return Polyline(((left, axes.at_y(score)), (right, axes.at_y(score))), color, 2.0, (8, 5))
