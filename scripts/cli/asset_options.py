"""Options that `score` and `train` share, and the training itself."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from telltale.core import asset_model, tags
from telltale.core.asset_model import Model
from telltale.core.tags import OffRule

from cli import tag_files
from cli.arguments import positive
from cli.problem import Problem
from cli.tag_files import TagFile

EARLIEST_DATE_S = 86_400.0 * 365  # times before 1971 count from the first row


@dataclass(frozen=True)
class Trained:
    """A model with the conditions it was trained under, which scoring takes over."""

    model: Model
    off: OffRule | None = None
    every_s: float | None = None
    drop: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--drop", action="append", default=[], metavar="COLS", help="columns to leave out: a,b,c")
    parser.add_argument("--time", metavar="COLUMN", help="the time column (default: found by its name or content)")
    parser.add_argument("--off", type=off, metavar="RULE", help='the machine is off while, such as "speed<100"')
    parser.add_argument("--every", type=positive, metavar="S", help="resample to means over so many seconds")
    parser.add_argument(
        "--false-alarm-rows",
        type=positive,
        default=asset_model.FALSE_ALARM_ROWS,
        metavar="N",
        help="mean rows between false alarms of noise that is like the training rows (default: %(default)s)",
    )


def off(text: str) -> OffRule:
    try:
        return tags.off_rule(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def dropped(args: argparse.Namespace) -> tuple[str, ...]:
    return tuple(name.strip() for text in args.drop for name in text.split(",") if name.strip())


def read(path: Path, args: argparse.Namespace, *, drop: Sequence[str] = (), every_s: float | None = None) -> TagFile:
    """The file's tags, resampled where asked."""
    found = tag_files.read(path, drop=[*dropped(args), *drop], time=args.time)
    if every_s is None:
        return found
    if not found.timed:
        raise Problem(f"{path.name}: found no time column, wanted one to resample by (--time)")
    if np.any(np.diff(found.times_s) < 0):
        raise Problem(f"{path.name}: times go back, wanted rows in the order of time to resample")
    times_s, rows = tags.resampled(found.times_s, found.rows, every_s=every_s)
    return TagFile(path, [_stamp(at) for at in times_s.tolist()], times_s, found.tags, rows, True)


def _stamp(at_s: float) -> str:
    """As a date if it is one, else as the number."""
    if at_s < EARLIEST_DATE_S:
        return f"{at_s:.10g}"
    return datetime.fromtimestamp(at_s, UTC).replace(tzinfo=None).isoformat(sep=" ")


def is_off(found: TagFile, rule: OffRule | None) -> NDArray[np.bool_]:
    if rule is None:
        return np.zeros(len(found.rows), bool)
    return np.asarray(tags.is_off(found.of([rule.tag])[:, 0], rule=rule), bool)


def trained(files: Sequence[TagFile], args: argparse.Namespace, *, abnormal: Sequence[tuple[str, str]] = ()) -> Trained:
    """The model of all their rows, but for those when the machine is off and those in an abnormal range."""
    rows, names = healthy_rows(files, args, abnormal=abnormal)
    try:
        model = asset_model.train(rows, tags=names, false_alarm_rows=args.false_alarm_rows)
    except ValueError as error:
        raise Problem(f"{files[0].path.name}: {error}") from error
    return Trained(model, args.off, args.every, dropped(args))


def healthy_rows(
    files: Sequence[TagFile], args: argparse.Namespace, *, abnormal: Sequence[tuple[str, str]] = ()
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    names = files[0].tags
    kept = []
    for found in files:
        running = ~is_off(found, args.off)
        for start, end in abnormal:
            running &= ~within(found, start, end)
        kept.append(found.of(names)[running])
    return np.concatenate(kept), names


def within(found: TagFile, start: str, end: str) -> NDArray[np.bool_]:
    """(rows,) bool: rows from start to end, both included."""
    first, last = _instant(start), _instant(end)
    try:
        return np.array([first <= _instant(text) <= last for text in found.timestamps])
    except ValueError as error:
        raise Problem(f"{found.path.name}: labels are times, found {error}") from error


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text.strip()).replace(tzinfo=None)


def labels(path: Path) -> list[tuple[str, str]]:
    """Abnormal ranges: two columns without a header, start and end."""
    ranges = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip():
            continue
        parts = line.split(",")
        try:
            start, end = parts
            backwards = _instant(end) < _instant(start)
        except ValueError:
            backwards = True
        if backwards:
            raise Problem(f'{path.name}, line {number}: found "{line[:60]}", wanted start,end as two times')
        ranges.append((parts[0], parts[1]))
    return ranges
