"""Measure the diagnosis of rolling bearings on recordings with labels: DIR with a meta.csv, or folders that have one.

Each record is judged by telltale.core.rolling alone, with the constants it ships, from samples, sampling rate, speed,
bearing geometry and a healthy record of the same machine; no label takes part. Of a rig with sensors at both ends of
the shaft, the one at the bearing's own end is judged.

The healthy reference of a record is the other healthy record of its data set nearest in speed, on the same channel; a
healthy record without another is judged on its last two thirds, against its first. So no record is its own reference.
HIT-SM has none: its files are not in one unit.
"""

import argparse
import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from telltale.core import rolling
from telltale.core.bearings import FaultOrders, fault_orders, find
from telltale.core.plant import Bearing

from cli.problem import Problem

CLASSES = rolling.CALLS
RACES = ("IR", "OR")
LEVELS_DIFFER = ("HITSM",)  # data sets whose files are not in one unit: no healthy reference there
REFERENCE_PART = 1 / 3  # of a healthy record that has no other to be compared with
TIMES = ("t", "time", "t_s", "time_s")  # arrays that are no channel
COLUMNS = ("record", "pred", *(f"score_{name}" for name in CLASSES), "is_anomaly")


@dataclass(frozen=True, eq=False)
class Record:
    """A recording with its label. `channels` : name → samples, in g or the file's own unit.

    channel : which is judged.   own_end : it sits at the bearing that is judged.
    """

    name: str
    dataset: str
    folder: str
    label: str
    channels: Mapping[str, NDArray[np.float32]]
    channel: str
    own_end: bool
    fs_hz: float
    speed_hz: float | None
    orders: FaultOrders | None

    @property
    def x(self) -> NDArray[np.float32]:
        return self.channels[self.channel]


@dataclass(frozen=True)
class Judged:
    """A record and what was said of it. `against` : its healthy reference, in words."""

    record: Record
    found: rolling.RollingEvidence
    against: str

    @property
    def call(self) -> str:
        """The class for the scorer, which has none for "cannot be told": no fault was called."""
        return self.found.call or "N"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="a data set, or a folder of data sets")
    parser.add_argument("--results", type=Path, metavar="FILE.csv", help="write the calls and scores of every record")
    parser.add_argument("--verbose", action="store_true", help="list every record with its reason")


def figures(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was measured, by name; figures of data sets that are not there are left out."""
    judged = judge(list(records(arguments.data)))
    if arguments.results is not None:
        write_results(arguments.results, judged)
    print("\n".join(table(judged, verbose=arguments.verbose)), end="\n\n")
    return measured(judged)


def failed(found: Mapping[str, Any]) -> bool:
    """The figures are figures; none is a failure."""
    return False


# Recordings


def folders(data: Path) -> list[Path]:
    """The folder itself if it has a meta.csv, else those in it that have one and a record; Problem if there is none."""
    found = [data] if (data / "meta.csv").exists() else sorted(meta.parent for meta in data.glob("*/meta.csv"))
    if not found:
        raise Problem(f"there is no meta.csv in {data} or in a folder of it", "See the help for what is wanted.")
    return found


def records(data: Path) -> Iterator[Record]:
    """Every record of a meta.csv whose file is there; a note is printed for what is left out."""
    for folder in folders(data):
        with (folder / "meta.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        rows = [row for row in rows if row.get("label") in CLASSES and row.get("record")]
        for row in rows:
            path = folder / f"{row['record']}.npz"
            if path.exists():
                yield _record(path, row)
            else:
                print(f"left out: {path} is not there")


def _record(path: Path, row: Mapping[str, str]) -> Record:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    channels = _channels(arrays)
    if not channels:
        raise Problem(f"{path}: found {', '.join(arrays) or 'nothing'}, wanted an array of samples")
    channel, own_end = _channel(channels, row)
    fs_hz, rpm = _number(row, "fs", arrays), _number(row, "rpm", arrays)
    if not fs_hz > 0:
        raise Problem(f"{path}: no sampling rate, neither in meta.csv nor in the file")
    bearing = bearing_of(row.get("bearing") or "")
    return Record(
        name=row["record"],
        dataset=row.get("dataset") or path.parent.name,
        folder=path.parent.name,
        label=row["label"],
        channels=channels,
        channel=channel,
        own_end=own_end,
        fs_hz=fs_hz,
        speed_hz=rpm / 60 if rpm > 0 else None,
        orders=None if bearing is None else fault_orders(bearing),
    )


def _channels(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """Every array of samples, times its scale: X_scale is the scale of X."""
    return {
        name: array.astype(np.float32) * np.float32(arrays.get(f"{name}_scale", 1.0))
        for name, array in arrays.items()
        if array.ndim == 1 and array.size >= rolling.SHORTEST and name.lower() not in TIMES
    }


def _channel(channels: Mapping[str, NDArray[Any]], row: Mapping[str, str]) -> tuple[str, bool]:
    """The channel to judge, and whether it sits where the bearing is: the sensor of that name, or the only one."""
    location = row.get("location") or ""
    at_location = (name for name in channels if location and location in re.split(r"[\W_]+", name))
    named = [*at_location, *(name.strip() for name in (row.get("channels") or "").split(","))]
    channel = next((name for name in named if name in channels), next(iter(channels)))
    return channel, len(channels) == 1 or location in ("", *re.split(r"[\W_]+", channel))


def _number(row: Mapping[str, str], name: str, arrays: Mapping[str, NDArray[Any]]) -> float:
    """From the table, or else from the file; NaN if neither has it."""
    try:
        value = float(row.get(name) or "nan")
    except ValueError:
        value = nan
    return value if isfinite(value) else float(arrays.get(name, np.array(nan)))


GEOMETRY = re.compile(r"(\d+)\s*(?:rollers|balls|elements),?\s*d\s*([\d.]+\d),?\s*D\s*([\d.]+\d)")


def bearing_of(text: str) -> Bearing | None:
    """The bearing that a meta.csv names: with its geometry in words, or by a designation of the catalogue."""
    geometry = GEOMETRY.search(text)
    if geometry is not None:
        return Bearing(int(geometry[1]), float(geometry[2]), float(geometry[3]))  # only ratios count: any unit will do
    for designation in (text, text.partition(" ")[0]):
        try:
            return find(designation)
        except LookupError:
            pass
    return None


# Judging


def judge(found: Sequence[Record]) -> list[Judged]:
    return [_judged(record, found) for record in found]


def _judged(record: Record, among: Sequence[Record]) -> Judged:
    x, against, reference = record.x, "no reference", None
    healthy = _healthy(record, among)
    if healthy is not None:
        against, reference = healthy.name, _reference(healthy, healthy.channels[record.channel])
    elif record.label == "N" and not record.dataset.startswith(LEVELS_DIFFER):
        first = int(len(x) * REFERENCE_PART)
        against, reference, x = "its own first third", _reference(record, x[:first]), x[first:]
    evidence = rolling.evidence(
        x, fs_hz=record.fs_hz, speed_hz=record.speed_hz, orders=record.orders, reference=reference, axis=record.channel
    )
    return Judged(record, evidence, against)


def _healthy(record: Record, among: Sequence[Record]) -> Record | None:
    """The healthy record of the same machine that is nearest in speed, with the same sensor, and not this one."""
    if record.dataset.startswith(LEVELS_DIFFER):
        return None
    others = [
        other
        for other in among
        if other.label == "N"
        and other is not record
        and other.dataset == record.dataset
        and record.channel in other.channels
    ]
    return min(others, key=lambda other: abs((other.speed_hz or 0) - (record.speed_hz or 0)), default=None)


def _reference(record: Record, x: NDArray[Any]) -> rolling.Reference:
    return rolling.reference(x, fs_hz=record.fs_hz, speed_hz=record.speed_hz)


# Measures, as ../shared/bench/fault_diag_score.py defines them: one prediction a record


def measured(judged: Sequence[Judged]) -> dict[str, Any]:
    """The figures, rounded; those without a record are left out."""
    cwru, mfpt = _of(judged, "CWRU"), _of(judged, "MFPT")
    hitsm = [one for one in _of(judged, "HITSM") if one.record.label in RACES]
    healthy = [one for one in (*cwru, *_of(judged, "UESTC")) if one.record.label == "N"]
    calls = [one for one in cwru if one.call in RACES]
    found: dict[str, Any] = {}
    if cwru:
        found["cwru_macro_f1"] = round(macro_f1(*_pairs(cwru)), 4)
        found["cwru_auroc"] = round(macro_auroc(_labels(cwru), [one.found.scores for one in cwru]), 4)
    if calls:
        found["cwru_race_precision"] = round(accuracy(*_pairs(calls)), 4)
    if mfpt:
        found["mfpt_accuracy"] = round(accuracy(*_pairs(mfpt)), 4)
    if hitsm:
        found["hitsm_accuracy"] = round(accuracy(*_pairs(hitsm)), 4)
    if healthy:
        found["healthy_false_alarms"] = sum(one.call != "N" for one in healthy)
    return found


def accuracy(labels: Sequence[str], calls: Sequence[str]) -> float:
    return sum(label == call for label, call in zip(labels, calls, strict=True)) / len(labels)


def macro_f1(labels: Sequence[str], calls: Sequence[str]) -> float:
    """Mean over the classes that occur as labels of 2 TP / (2 TP + FP + FN)."""
    return float(np.mean([_f1(labels, calls, name) for name in CLASSES if name in labels]))


def _f1(labels: Sequence[str], calls: Sequence[str], name: str) -> float:
    pairs = Counter((label == name, call == name) for label, call in zip(labels, calls, strict=True))
    hits, misses = pairs[True, True], pairs[True, False] + pairs[False, True]
    return 2 * hits / max(2 * hits + misses, 1)


def macro_auroc(labels: Sequence[str], scores: Sequence[Mapping[str, float]]) -> float:
    """Mean over classes that split the records of the chance that one of the class scores higher; ties count half."""
    found = [auroc([label == name for label in labels], [one.get(name, 0.0) for one in scores]) for name in CLASSES]
    known = [value for value in found if isfinite(value)]
    return float(np.mean(known)) if known else nan


def auroc(member: Sequence[bool], score: Sequence[float]) -> float:
    """Chance that a member scores higher than one that is none, ties half; NaN if either is missing."""
    values, inside = np.array(score, np.float64), np.array(member, bool)
    if inside.all() or not inside.any():
        return nan
    ahead = np.sign(values[inside][:, None] - values[~inside])
    return float(np.mean((ahead + 1) / 2))


def _of(judged: Sequence[Judged], prefix: str) -> list[Judged]:
    return [one for one in judged if one.record.dataset.startswith(prefix)]


def _labels(judged: Sequence[Judged]) -> list[str]:
    return [one.record.label for one in judged]


def _pairs(judged: Sequence[Judged]) -> tuple[list[str], list[str]]:
    return _labels(judged), [one.call for one in judged]


# What is shown and written


def write_results(path: Path, judged: Sequence[Judged]) -> None:
    """A row a record, as the scorer reads it; of several folders also one file each, NAME-FOLDER.csv."""
    _write(path, judged)
    found = sorted({one.record.folder for one in judged})
    for folder in found if len(found) > 1 else ():
        _write(path.with_stem(f"{path.stem}-{folder}"), [one for one in judged if one.record.folder == folder])


def _write(path: Path, judged: Sequence[Judged]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for one in judged:
            scores = [f"{one.found.scores.get(name, 0.0):.9g}" for name in CLASSES]
            writer.writerow([one.record.name, one.call, *scores, int(one.call != "N")])


def table(judged: Sequence[Judged], *, verbose: bool) -> Iterator[str]:
    """What was found, data set by data set."""
    for dataset in sorted({one.record.dataset for one in judged}):
        yield from _table_of(dataset, [one for one in judged if one.record.dataset == dataset], verbose)


def _table_of(dataset: str, judged: Sequence[Judged], verbose: bool) -> Iterator[str]:
    labels, calls = _pairs(judged)
    yield f"\n{dataset}: {len(judged)} records, called right {accuracy(labels, calls):.3f}, F1 " + ", ".join(
        f"{name} {_f1(labels, calls, name):.3f}" for name in CLASSES if name in labels
    )
    yield f"  judged on {_sensors(judged)}; healthy reference: {_references(judged)}"
    yield "  label " + "".join(f"{'→ ' + name:>6}" for name in CLASSES) + "   not told"
    for name in CLASSES:
        row = [one for one in judged if one.record.label == name]
        if row:
            counts = Counter(one.call for one in row)
            untold = sum(one.found.call is None for one in row)
            yield f"  {name:5} " + "".join(f"{counts[call]:6}" for call in CLASSES) + f"{untold:11}"
    for words, positive in (("by lines of the rolling element", True), ("by exclusion (or not localised)", False)):
        called = [one for one in judged if one.call == "B" and one.found.positive is positive]
        if called:
            right = sum(one.record.label == "B" for one in called)
            yield f"  called B {words}: {len(called)}, right {right}"
    for one in judged if verbose else ():
        mark = " " if one.call == one.record.label else "✗"
        yield f"  {mark} {one.record.name:30} {one.record.label:2} → {one.found.call or '?':2} {one.found.reason}"


def _sensors(judged: Sequence[Judged]) -> str:
    counts = Counter((one.record.channel, one.record.own_end) for one in judged)
    return ", ".join(
        f"{channel} ({count}{'' if own else ', not at the bearing that is judged'})"
        for (channel, own), count in sorted(counts.items())
    )


def _references(judged: Sequence[Judged]) -> str:
    return ", ".join(f"{against} ({count})" for against, count in sorted(Counter(o.against for o in judged).items()))
