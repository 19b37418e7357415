"""Measure all of detection: runs to failure, sets with labels, healthy machines simulated, rows a second, backtests.

DIR is a folder with ims_features/, femto/, skab/, tep/, batadal/ or nab/ in it, or one of the last four; --train-data
is another such folder, whose healthy recordings are learned from where DIR has none. What is absent is left out.
What is measured is what `telltale watch` and `telltale score` say, with one set of constants:

  IMS, FEMTO  each bearing's first rows are learned from, as its truth.csv says (details: `telltale bench rtf`)
  SKAB        the first 400 rows of each file are learned from, the rest is judged
  TEP         model and limits from tep_d00 only
  BATADAL     model and limits from batadal_dataset03 only
  NAB         the first 15 % of each stream, at most 750 rows, are learned from

Measures are those of the scorers of the sets, computed here; --scorers checks them against the scorers themselves,
which need a Python with pandas. Beside the figures stand what was wanted, the best that is published, and an ordinary
rule; what is published is of other halves of the sets, or with other protocols, as the notes say. Rows a second are of
one core; HalfSpaceTrees are river's, by --river-python, with 100 tags. All takes some minutes; --only names parts.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan, pi, tanh
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from telltale.core import asset_model
from telltale.core.asset_model import Model, Scores

from cli import bench_backtest, bench_rtf, nab, tag_files
from cli.arguments import at_least_one
from cli.problem import Problem
from cli.progress import shown

Flags = NDArray[np.bool_]

SKAB_ROWS = 400  # that the protocol lets one learn from
SKAB_LABELS = ("anomaly", "changepoint")
SKAB_GROUPS = ("other", "valve1", "valve2")
WINDOW_S = 60.0  # after a change point, in which an alarm earns credit
FALSE_COST = 0.11  # of a change that is told outside of all windows (NAB's standard profile)
LONGEST_STEP_S = 5.0  # between rows that counts as running
INVISIBLE = ("IDV3", "IDV9", "IDV15")  # faults of TEP that are left out of the mean as a rule
ORDINARY_SIGMAS = 4  # the rule beside ours on NAB; 3, 5 and 6 are worse
SPEED_TAGS, SPEED_ROWS = 100, 50_000
RIVER_ROWS = 2_000
# Set → script, what shows that its folder is there, and where in it the script looks.
SCORERS: Mapping[str, tuple[str, str, str]] = {
    bench_rtf.IMS: ("rtf_score.py", "truth.csv", ""),
    bench_rtf.FEMTO: ("rtf_score.py", "truth.csv", ""),
    "skab": ("skab_score.py", "data/*/*.csv", "data"),
    "tep": ("process_score.py", "intervals.csv", ""),
    "batadal": ("process_score.py", "intervals.csv", ""),
}
RIVER = """
import time, numpy, river.anomaly
rows = numpy.random.default_rng(0).random((%d, %d)).tolist()
rows = [{str(tag): value for tag, value in enumerate(row)} for row in rows]
trees = river.anomaly.HalfSpaceTrees(seed=1)
start = time.process_time()
for row in rows:
    trees.score_one(row)
    trees.learn_one(row)
print(len(rows) / (time.process_time() - start))
"""


PARTS = ("rtf", "skab", "tep", "batadal", "nab", "quiet", "speed", "backtest")


@dataclass(frozen=True)
class Beside:
    """What stands beside a figure: what was wanted, the best that is published, what an ordinary rule reaches."""

    wanted: str
    published: str = "-"
    ordinary: str = "-"


# Ordinary figures without another word are of the same recordings, by others or by `telltale bench rtf`. IMS and FEMTO:
# RMS 1.5 times its median; SKAB, TEP: principal components; NAB: beyond sigmas. Published ones may look ahead (SKAB's
# FAR), or take thresholds that were chosen on the labels (NAB: ARTime; AWS's random cut forest: 51.7, 38.4, 59.7).
BESIDE: Mapping[str, Beside] = {
    "ims_lead_h T1_B3": Beside(">= 79", "79.5", "41"),
    "ims_lead_h T1_B4": Beside(">= 150", "-", "124"),
    "ims_lead_h T2_B1": Beside(">= 70", "53.7", "46"),
    "ims_false_alarms": Beside("0", "-", "0"),
    "ims_lead_h_no_envelope T2_B1": Beside(">= 65", "53.7", "46"),
    "ims_false_alarms_no_envelope": Beside("0", "-", "0"),
    "ims_lead_h_leave_one_out T1_B3": Beside("within 5 %"),
    "ims_lead_h_leave_one_out T1_B4": Beside("within 5 %"),
    "ims_lead_h_leave_one_out T2_B1": Beside("within 5 %"),
    "femto_rtf": Beside(">= 88", "-", "84"),
    "femto_false_alarms": Beside("0", "-", "0"),
    "femto_warned": Beside("all"),
    "femto_rtf_leave_one_out": Beside(">= 85"),
    "femto_false_alarms_leave_one_out": Beside("0"),
    "skab_f1": Beside(">= 0.82", "0.78", "0.80"),
    "skab_far": Beside("<= 10", "13.6", "31"),
    "skab_false_alarms_per_h": Beside("<= 2", "1.9", "18"),
    "skab_nab": Beside(">= 40", "32.4", "31"),
    "nab_standard": Beside(">= 72", "74.9", "46"),
    "nab_low_fp": Beside(">= 66", "65.1"),
    "nab_low_fn": Beside(">= 76", "80.4"),
    "tep_detection_rate": Beside(">= 88", "-", "80.6 at 2 %"),
    "tep_far": Beside("<= 1", "-", "2"),
    "batadal_s": Beside(">= 0.93", "0.97", "0.89"),
    "quiet_cases_per_machine_year": Beside("<= 0.1"),
    "rows_per_s": Beside(">= 20000"),
    "multivariate_rows_per_s": Beside(">= 50000", "-", "half_space_trees"),
    "backtest_one_s": Beside("<= 2"),
    "backtest_s": Beside("<= 300"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="holds ims_features, femto, skab, tep, batadal or nab"
    )
    parser.add_argument(
        "--train-data", type=Path, metavar="DIR", help="where tep_d00 and batadal_dataset03 are, if not there"
    )
    parser.add_argument("--scorers", type=Path, metavar="DIR", help="check against rtf_, skab_ and process_score.py")
    parser.add_argument("--scorer-python", default=sys.executable, metavar="PYTHON", help="a Python with pandas")
    parser.add_argument("--river-python", default=sys.executable, metavar="PYTHON", help="a Python with river")
    parser.add_argument("--results", type=Path, metavar="DIR", help="keep the results as the scorers read them")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--positions", type=at_least_one, default=1000, metavar="N", help="of the backtest (1000)")
    parser.add_argument("--jobs", type=at_least_one, default=2, metavar="N", help="processes of the backtest (2)")


def figures(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was measured, by name; figures of sets that are not there are left out."""
    sets: Mapping[str, Callable[[argparse.Namespace, Path], dict[str, Any]]] = {
        "rtf": _runs_to_failure,
        "skab": _skab,
        "tep": _tep,
        "batadal": _batadal,
        "nab": lambda arguments, _: _streams(arguments),
    }
    others: Mapping[str, Callable[[argparse.Namespace], Mapping[str, Any]]] = {
        "quiet": lambda _: bench_rtf.of_quiet_machines(),
        "speed": _speed,
        "backtest": bench_backtest.figures,
    }
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        results = arguments.results or Path(folder)
        for part in [one for one in sets if one in arguments.only]:
            found |= sets[part](arguments, results)
        if not found and set(arguments.only) & set(sets):
            listed = f"{bench_rtf.IMS}, {bench_rtf.FEMTO}, skab, tep, batadal or nab"
            raise Problem(f"there is no {listed} in {arguments.data}", "Give the folder that holds them.")
        if arguments.scorers is not None:
            _compare(arguments, results, found)
    for part in [one for one in others if one in arguments.only]:
        found |= others[part](arguments)
    return {name: value for name, value in found.items() if value is not None}


def show(found: Mapping[str, Any]) -> None:
    """The figures, with what stands beside them."""
    table = Table(box=None, pad_edge=False)
    for name in ("figure", "measured", "wanted", "published", "ordinary"):
        table.add_column(name, no_wrap=True)
    for name, value in _flat(found):
        beside = BESIDE.get(name, Beside("-"))
        table.add_row(name, str(value), beside.wanted, beside.published, beside.ordinary)
    Console(width=max(Console().width, 110)).print(table, highlight=False)


def _flat(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each figure; one that is of several runs by run."""
    for name, value in found.items():
        if isinstance(value, Mapping):
            yield from ((f"{name} {run}", one) for run, one in value.items())
        else:
            yield name, value


def failed(found: Mapping[str, Any]) -> bool:
    """The figures are figures; none is a failure."""
    return False


# ---- runs to failure -------------------------------------------------------------------------------------------------


def _runs_to_failure(arguments: argparse.Namespace, results: Path) -> dict[str, Any]:
    if not any((arguments.data / name / "truth.csv").exists() for name in (bench_rtf.IMS, bench_rtf.FEMTO)):
        return {}
    with shown("runs to failure", total=None) as advance:
        return bench_rtf.of_recordings(arguments.data, advance, results=results)


# ---- SKAB ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Run:
    """One file of SKAB after the rows that were learned from."""

    name: str
    times_s: NDArray[np.float64]
    anomaly: Flags
    changepoint: Flags
    alarm: Flags
    told: Flags  # changes that were told


def _skab(arguments: argparse.Namespace, results: Path) -> dict[str, Any]:
    folder = _folder(arguments.data, "skab", "data/*/*.csv")
    if folder is None:
        return {}
    paths = [path for group in SKAB_GROUPS for path in sorted((folder / "data" / group).glob("*.csv"))]
    with shown("files of SKAB", total=len(paths)) as advance:
        runs = []
        for path in paths:
            runs.append(_run(path, results / "skab" / path.relative_to(folder / "data")))
            advance(1)
    print(f"SKAB, {len(runs)} files      {_skab_line(runs)}")
    for name, rule in BLIND.items():
        print(f"  {name:18} {_skab_line([_blind(run, rule) for run in runs])}")
    f1, far, per_h, nab = skab_measures(runs)
    return {
        "skab_f1": round(f1, 4),
        "skab_far": round(far, 2),
        "skab_false_alarms_per_h": round(per_h, 2),
        "skab_nab": round(nab, 2),
    }


BLIND: Mapping[str, Callable[[NDArray[np.int64]], Flags]] = {
    "always on": lambda row: row >= 0,
    "rows 550 to 950": lambda row: (row >= 550) & (row < 950),
}


def _blind(run: Run, rule: Callable[[NDArray[np.int64]], Flags]) -> Run:
    alarm = rule(np.arange(len(run.times_s)) + SKAB_ROWS)
    return Run(run.name, run.times_s, run.anomaly, run.changepoint, alarm, _changes(alarm))


def _changes(alarm: Flags) -> Flags:
    return np.asarray(np.diff(alarm.astype(np.int8), prepend=0) != 0)


def _skab_line(runs: Sequence[Run]) -> str:
    f1, far, per_h, nab = skab_measures(runs)
    return f"F1 {f1:.3f}  FAR {far:.1f} %  false alarms {per_h:.1f}/h  NAB {nab:.1f}"


def _run(path: Path, to: Path) -> Run:
    found = tag_files.read(path, drop=SKAB_LABELS)
    labels = tag_files.read(path).of(SKAB_LABELS)[SKAB_ROWS:] == 1
    model = asset_model.train(found.rows[:SKAB_ROWS], tags=found.tags)
    state = asset_model.start(model, after_training=True)
    scores = asset_model.score(model, state, found.of(model.tags)[SKAB_ROWS:])[1]
    _write(to, scores, found.timestamps[SKAB_ROWS:])
    return Run(
        path.name, found.times_s[SKAB_ROWS:], labels[:, 0], labels[:, 1], scores.is_anomaly, scores.is_changepoint
    )


def skab_measures(runs: Sequence[Run]) -> tuple[float, float, float, float]:
    """F1 and false alarm rate (%) of rows, false alarms an hour of normal running, NAB's standard score of changes."""
    on, truth = np.concatenate([run.alarm for run in runs]), np.concatenate([run.anomaly for run in runs])
    hits, false, missed = int(np.sum(on & truth)), int(np.sum(on & ~truth)), int(np.sum(~on & truth))
    normal_s = sum(float(_steps(run)[~run.anomaly].sum()) for run in runs)
    events = sum(int(np.sum(_rises(run.alarm) & ~run.anomaly)) for run in runs)
    f1 = 2 * hits / max(2 * hits + false + missed, 1)
    return f1, 100 * false / max(int(np.sum(~truth)), 1), events / (normal_s / 3600) if normal_s else nan, _nab(runs)


def _rises(alarm: Flags) -> Flags:
    return np.asarray(np.diff(alarm.astype(np.int8), prepend=0) == 1)


def _steps(run: Run) -> NDArray[np.float64]:
    steps = np.minimum(np.diff(run.times_s, prepend=run.times_s[0] - 1), LONGEST_STEP_S)
    return np.concatenate([[1.0], steps[1:]])


def _nab(runs: Sequence[Run]) -> float:
    """0 for silence, 100 for every change told at once and nothing else."""
    worth, windows = 0.0, 0
    for run in runs:
        told = run.times_s[run.told]
        outside = np.ones(len(told), bool)
        for left, right in _windows(run.times_s[run.changepoint]):
            inside = (told >= left) & (told <= right)
            outside &= ~inside
            windows += 1
            worth += _credit(left, float(told[inside][0]), right) if inside.any() else -1.0
        worth -= FALSE_COST * int(outside.sum())
    return 100 * (worth + windows) / (2 * windows) if windows else nan


def _windows(changes: NDArray[np.float64]) -> Iterator[tuple[float, float]]:
    """The minute after each change, less what the one before covers."""
    last = -np.inf
    for change in changes.tolist():
        yield max(change, last), change + WINDOW_S
        last = change + WINDOW_S


def _credit(left: float, at: float, right: float) -> float:
    """From 1 at the left to -FALSE_COST at the right of a window, in a thousand steps, as tanh falls."""
    step = min(int((at - left) / (right - left) * 1000), 999) if right > left else 0
    half = (1 + FALSE_COST) / 2
    return half - FALSE_COST - half * tanh(-pi / 2 + pi * step / 999) / tanh(pi / 2)


# ---- TEP and BATADAL -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Interval:
    """Rows from `start` to `end` (half open) of a file are of the fault `tag`."""

    file: str
    start: int
    end: int
    tag: str


def _tep(arguments: argparse.Namespace, results: Path) -> dict[str, Any]:
    folder = _folder(arguments.data, "tep", "intervals.csv")
    if folder is None:
        return {}
    model = _model(_beside(arguments, folder, "tep_d00.parquet"))
    alarms, intervals = _judged(folder, model, results / "tep")
    rates = {one.tag: 100 * float(alarms[one.file][one.start : one.end].mean()) for one in intervals}
    normal = np.concatenate([alarms[file][~_within(intervals, file, len(alarms[file]))] for file in alarms])
    seen = [rate for tag, rate in rates.items() if tag not in INVISIBLE]
    rate, far = float(np.mean(seen)), 100 * float(normal.mean())
    print(
        f"TEP, {len(rates)} faults: rate {rate:.1f} % without 3, 9, 15 ({np.mean(list(rates.values())):.1f} % of all)"
    )
    print(f"  false {far:.2f} %; " + ", ".join(f"{tag} {rate:.0f}" for tag, rate in rates.items()))
    return {"tep_detection_rate": round(rate, 2), "tep_far": round(far, 3)}


def _batadal(arguments: argparse.Namespace, results: Path) -> dict[str, Any]:
    folder = _folder(arguments.data, "batadal", "intervals.csv")
    if folder is None:
        return {}
    trained_on = _beside(arguments, folder, "batadal_dataset03.parquet")
    alarms, intervals = _judged(folder, _model(trained_on), results / "batadal", but=trained_on.stem)
    found = batadal_score(alarms, intervals)
    print(f"BATADAL, {len(intervals)} attacks: S {found:.3f}")
    for name, on in (("always on", True), ("never on", False)):
        blind = {file: np.full(len(alarm), on) for file, alarm in alarms.items()}
        print(f"  {name:18} S {batadal_score(blind, intervals):.3f}")
    return {"batadal_s": round(found, 4)}


def batadal_score(alarms: Mapping[str, Flags], intervals: Sequence[Interval]) -> float:
    """S = (S_TTD + S_CM) / 2: how soon attacks are found, and the mean of the rates of hits and of correct silence."""
    delays = []
    for one in intervals:
        part = alarms[one.file][one.start : one.end]
        delays.append(float(np.argmax(part)) / len(part) if part.any() else 1.0)
    on = np.concatenate(list(alarms.values()))
    truth = np.concatenate([_within(intervals, file, len(alarm)) for file, alarm in alarms.items()])
    return (1 - float(np.mean(delays)) + (float(on[truth].mean()) + float((~on[~truth]).mean())) / 2) / 2


def _within(intervals: Sequence[Interval], file: str, rows: int) -> Flags:
    inside = np.zeros(rows, bool)
    for one in intervals:
        if one.file == file:
            inside[one.start : one.end] = True
    return inside


def _judged(folder: Path, model: Model, results: Path, *, but: str = "") -> tuple[dict[str, Flags], list[Interval]]:
    """Alarms of each file that is there and in intervals.csv, and its faults; `but` : a file to leave out."""
    with (folder / "intervals.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["file"] != but]
    names = [name for name in dict.fromkeys(row["file"] for row in rows) if (folder / f"{name}.parquet").exists()]
    alarms = {}
    with shown(f"files of {folder.name}", total=len(names)) as advance:
        for name in names:
            found = tag_files.read(folder / f"{name}.parquet")
            scores = asset_model.score(model, asset_model.start(model), found.of(model.tags))[1]
            _write(results / f"{name}.csv", scores, found.timestamps)
            alarms[name] = scores.is_anomaly
            advance(1)
    faults = [row for row in rows if row["file"] in alarms and int(row["start"]) >= 0]
    return alarms, [Interval(row["file"], int(row["start"]), int(row["end"]), row["tag"]) for row in faults]


def _model(path: Path) -> Model:
    found = tag_files.read(path, drop=("ATT_FLAG",))
    return asset_model.train(found.rows, tags=found.tags)


# ---- NAB -------------------------------------------------------------------------------------------------------------


def _streams(arguments: argparse.Namespace) -> dict[str, Any]:
    folder = _folder(arguments.data, "nab", "labels/combined_windows.json")
    if folder is None:
        return {}
    with shown("streams of NAB", total=len(nab.names(folder))) as advance:
        found = dict(nab.figures(folder, advance=advance))
    print(f"NAB, {len(nab.names(folder))} streams    {_nab_line(found)}")
    ordinary = [(one, nab.beyond_sigmas(one, sigmas=ORDINARY_SIGMAS)) for one in nab.all_labelled(folder)]
    print(f"  {f'beyond {ORDINARY_SIGMAS} sigmas':18} {_nab_line(nab.scores(ordinary))}")
    return found


def _nab_line(scores: Mapping[str, float]) -> str:
    return "  ".join(f"{name.removeprefix('nab_').replace('_', ' ')} {score:.1f}" for name, score in scores.items())


# ---- files, scorers, speed -------------------------------------------------------------------------------------------


def _folder(data: Path, name: str, marks: str) -> Path | None:
    """The folder of a set: below the data, or the data themselves."""
    candidates = (data / name, data) if data.name != name else (data,)
    named = [path for path in candidates if path.name == name and any(path.glob(marks))]
    return named[0] if named else None


def _beside(arguments: argparse.Namespace, folder: Path, name: str) -> Path:
    """The file in the set's folder, or in the folder of that name among the data to train on."""
    elsewhere = [] if arguments.train_data is None else [arguments.train_data / folder.name, arguments.train_data]
    for place in (*elsewhere, folder):
        if (place / name).exists():
            return Path(place / name)
    raise Problem(f"there is no {name} in {folder}", "Name the folder that has it with --train-data.")


def _write(to: Path, scores: Scores, timestamps: Sequence[str]) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    with to.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["timestamp", "score", "is_anomaly", "is_changepoint"])
        flags = zip(scores.is_anomaly.astype(int), scores.is_changepoint.astype(int), strict=True)
        for text, score, both in zip(timestamps, scores.score, flags, strict=True):
            writer.writerow([text, f"{score:.6f}", *both])


def _compare(arguments: argparse.Namespace, results: Path, found: Mapping[str, Any]) -> None:
    """Runs the scorers on the results; Problem if one says something else."""
    if not (arguments.scorers / "rtf_score.py").exists():
        raise Problem(f"found no scorers in {arguments.scorers}", "Name the folder of rtf_score.py with --scorers.")
    probe = subprocess.run([arguments.scorer_python, "-c", "import pandas"], capture_output=True, check=False)
    if probe.returncode:
        print(f"NOT CHECKED by the scorers: {arguments.scorer_python} has no pandas (--scorer-python)")
        return
    for name, (script, marks, below) in SCORERS.items():
        folder = _folder(arguments.data, name, marks)
        if folder is None or not (results / name).exists():
            continue
        to = results / f"{name}.json"
        command = [arguments.scorer_python, arguments.scorers / script, results / name, folder / below, "--json", to]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
        if done.returncode:
            said = done.stderr.strip().splitlines()
            raise Problem(f"{script} on {name}: {said[-1] if said else 'failed'}")
        _agree(name, json.loads(to.read_text()), found)


def _agree(name: str, said: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    summary = said["summary"]
    if name == bench_rtf.IMS:
        pairs = {"ims_false_alarms": summary["ALL"]["false_alarms"]}
    elif name == bench_rtf.FEMTO:
        pairs = {"femto_rtf": summary["ALL"]["rtf_score"], "femto_false_alarms": summary["ALL"]["false_alarms"]}
    elif name == "skab":
        pairs = {"skab_f1": summary["F1"], "skab_far": summary["FAR"], "skab_nab": summary["NAB_Standard"]}
        pairs["skab_false_alarms_per_h"] = summary["false_alarm_events_per_h"]
    elif name == "tep":
        rates = [event["coverage"] for event in said["events"] if event["tag"] not in INVISIBLE]
        pairs = {"tep_detection_rate": 100 * float(np.mean(rates))}
    else:
        [one] = [group for key, group in summary.items() if key != "ALL" and group["events"]]
        pairs = {"batadal_s": one["S"]}
    for key, value in pairs.items():
        if abs(found[key] - value) > 0.01 * max(abs(value), 1):
            raise Problem(f"{key}: the scorer says {value:.4f}, here it is {found[key]}")
    print(f"{name}: the scorer says the same")


def _speed(arguments: argparse.Namespace) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    tags = [f"tag-{place}" for place in range(SPEED_TAGS)]
    model = asset_model.train(rng.normal(size=(5_000, SPEED_TAGS)), tags=tags)
    rows = rng.normal(size=(SPEED_ROWS, SPEED_TAGS))
    start = time.process_time()
    asset_model.score(model, asset_model.start(model), rows)
    ours = SPEED_ROWS / (time.process_time() - start)
    return {"multivariate_rows_per_s": round(ours), "half_space_trees_rows_per_s": _river(arguments.river_python)}


def _river(python: str) -> int | None:
    """Rows a second of river's HalfSpaceTrees with as many tags; None, with a note, where it is not installed."""
    code = RIVER % (RIVER_ROWS, SPEED_TAGS)
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        print("HalfSpaceTrees were not measured: river is not installed (--river-python)")
        return None
    return round(float(done.stdout))
