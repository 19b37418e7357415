"""Run to failure: how early detection warns, how often it cries wolf, and how often on machines that are healthy.

The score: each bearing's first rows may be learned, alarms with fewer than six quiet rows between them are one event,
only the healthy ranges count false alarms, and the first event that starts after them is the warning. A bearing
that failed earns the share of the time between the earliest sign in hindsight and the failure that was left, halved by
each false alarm.

Left out, a bearing is scored with the setting that does best on the others, of those in GRID.
"""

import argparse
import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from telltale.core.baseline import ENVELOPE_INDICATORS

from cli import progress, quiet_plant, run_to_failure, waveforms
from cli.problem import Problem
from cli.run_to_failure import Axes, Options, Run
from cli.watch import watched, write

FEMTO, IMS = "femto", "ims_features"
MERGE = 6  # rows: alarms that begin no later than so many after the last are one event
QUIET_MACHINES, QUIET_ROWS, QUIET_SEED = 834, quiet_plant.YEAR, 11  # 10,000 machine-months
# What one could have chosen instead of the defaults, within what practice gives for them.
GRID: tuple[Mapping[str, float], ...] = (
    {},
    *({"growth": growth} for growth in (2.0, 2.5, 3.0)),
    *({"sigmas": sigmas} for sigmas in (5.0, 8.0)),
)

Flags = NDArray[np.bool_]
Advance = Callable[[int], None]
Event = tuple[int, int]  # first row, and the one after the last


@dataclass(frozen=True)
class Truth:
    """What is known of a run, in rows: truth.csv. `onset` : the earliest sign in hindsight, of one that failed."""

    run: str
    rows: int
    train: int
    healthy: tuple[range, ...]
    onset: int
    failure: int
    fails: bool
    interval_s: float


@dataclass(frozen=True)
class Outcome:
    """What a run came to. `warned` : the row of the first warning.   credit : 0 to 1, of one that failed."""

    false_alarms: int
    warned: int | None = None
    lead_h: float = 0.0
    credit: float = 0.0


@dataclass(frozen=True)
class Bearing:
    """A run with its truth, and its rows in memory."""

    truth: Truth
    run: Run


def truths(folder: Path) -> list[Truth]:
    """The runs that truth.csv lists."""
    with (folder / "truth.csv").open() as file:
        return [_truth(row) for row in csv.DictReader(file)]


def _truth(row: Mapping[str, str]) -> Truth:
    return Truth(
        run=row["run"],
        rows=int(row["n"]),
        train=int(row["train_n"]),
        healthy=tuple(range(*map(int, part.split("-"))) for part in row["healthy"].split(";") if part),
        onset=int(row["onset_early"]),
        failure=int(row["failure"]),
        fails=row["fails"] == "1",
        interval_s=float(row["interval_s"]),
    )


def bearings(folder: Path) -> list[Bearing]:
    """The runs of a folder that its truth.csv lists, each read once."""
    listed = {truth.run: truth for truth in truths(folder)}
    files = [file for file in sorted(folder.iterdir()) if file.stem in listed and file.suffix in waveforms.ENDINGS]
    runs = run_to_failure.found(files, Options(waveforms.Options(snapshot=None)), note=lambda _: None)
    return [Bearing(listed[run.path.name], _kept(run)) for run in runs]


def _kept(run: Run) -> Run:
    rows = list(run.rows())
    return replace(run, rows=lambda: iter(rows))


# ---- the score -----------------------------------------------------------------------------------


def events(flags: Flags) -> list[Event]:
    """The alarm events, gaps of up to MERGE rows joined."""
    on = np.flatnonzero(flags)
    if not len(on):
        return []
    cuts = np.flatnonzero(np.diff(on) > MERGE)
    first, last = np.append(on[0], on[cuts + 1]), np.append(on[cuts], on[-1])
    return list(zip(first.tolist(), (last + 1).tolist(), strict=True))


def scored(truth: Truth, flags: Flags, times: Sequence[float] = ()) -> Outcome:
    """What the flags of a run are worth. times : of the rows, in seconds; their nominal ones where not given."""
    judged = flags.copy()
    judged[: truth.train] = False
    found = events(judged)
    false = sum(any(start in healthy for healthy in truth.healthy) for start, _ in found)
    if not truth.fails:
        return Outcome(false)
    begin = max((healthy.stop for healthy in truth.healthy), default=truth.train)
    warnings = [start for start, _ in found if begin <= start < truth.failure and start > truth.train]
    if not warnings:
        return Outcome(false)
    first = warnings[0]
    left_s = times[truth.failure] - times[first] if times else (truth.failure - first) * truth.interval_s
    share = min(1.0, (truth.failure - first) / max(truth.failure - truth.onset, 1))
    return Outcome(false, first, left_s / 3600, share * 0.5**false)


def rtf_score(outcomes: Sequence[Outcome]) -> float:
    """100 times the mean credit of runs that failed; 0 where none did."""
    return 100 * float(np.mean([outcome.credit for outcome in outcomes])) if outcomes else 0.0


# ---- the figures ---------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help=f"holds {FEMTO} and {IMS}")


def figures(args: argparse.Namespace) -> dict[str, Any]:
    with progress.shown("runs", total=None) as advance:
        return {**of_recordings(args.data, advance), **of_quiet_machines()}


def failed(_: Mapping[str, Any]) -> bool:
    return False


def of_recordings(data: Path, advance: Advance = lambda _: None, *, results: Path | None = None) -> dict[str, Any]:
    """The figures of the sets that are there, as one flat object. advance : told each time a run is done.

    results : where the rows are written as the scorer reads them, by set.   Problem where there is no set.
    """
    found: dict[str, Any] = {}
    if (data / IMS / "truth.csv").exists():
        found |= _of_ims(bearings(data / IMS), advance, None if results is None else results / IMS)
    if (data / FEMTO / "truth.csv").exists():
        found |= _of_femto(bearings(data / FEMTO), advance, None if results is None else results / FEMTO)
    if not found:
        raise Problem(f"found neither {IMS} nor {FEMTO} in {data}", "Give the folder that holds them.")
    return found


def of_quiet_machines() -> dict[str, float]:
    """Cases on healthy machines, by simulation; and where they have upsets of three hours, 26 a year each."""
    quiet = partial(quiet_plant.quiet_cases, machines=QUIET_MACHINES, rows=QUIET_ROWS, seed=QUIET_SEED)
    upset = quiet(plant=quiet_plant.PLANTS["upset_26"])
    return {
        "quiet_cases_per_machine_year": round(quiet().per_machine_year, 4),
        "quiet_cases_per_machine_year_with_upsets": round(upset.per_machine_year, 4),
    }


def outcome(
    bearing: Bearing, settings: Mapping[str, float], advance: Advance = lambda _: None, results: Path | None = None
) -> Outcome:
    """What detection makes of a run, having learned its first rows. results : a folder where its rows are written."""
    rows = watched(bearing.run, {"warmup": bearing.truth.train, **settings})
    advance(1)
    if results is not None:
        write(rows, results / f"{bearing.truth.run}.csv")
    flags = np.zeros(max(bearing.truth.rows, len(rows)), bool)
    flags[: len(rows)] = [row.is_anomaly for row in rows]
    times = bearing.run.times if bearing.run.begin != run_to_failure.NO_DATE else ()
    return scored(bearing.truth, flags, times)


def without_envelope(bearing: Bearing) -> Bearing:
    """As recorded by a system that knows no envelope."""

    def rows() -> Iterator[Axes]:
        for axes in bearing.run.rows():
            yield {
                axis: {name: value for name, value in found.items() if name not in ENVELOPE_INDICATORS}
                for axis, found in axes.items()
            }

    return replace(bearing, run=replace(bearing.run, rows=rows))


def left_out(found: Sequence[Bearing], advance: Advance) -> list[Outcome]:
    """The outcome of each run with the setting that does best on the others: credit of those that fail, and false
    alarms halve it. The defaults win where they are as good as the best.
    """
    tried = [[outcome(bearing, settings, advance) for bearing in found] for settings in GRID]

    def worth(outcomes: Sequence[Outcome], without: int) -> float:
        others = [place for place in range(len(found)) if place != without]
        credit = sum(outcomes[place].credit for place in others)
        return credit * 0.5 ** sum(outcomes[place].false_alarms for place in others if not found[place].truth.fails)

    return [max(tried, key=lambda outcomes: worth(outcomes, place))[place] for place in range(len(found))]


def _of_ims(found: Sequence[Bearing], advance: Advance, results: Path | None) -> dict[str, Any]:
    outcomes = [outcome(bearing, {}, advance, results) for bearing in found]
    plain = [outcome(without_envelope(bearing), {}, advance) for bearing in found]
    return {
        "ims_lead_h": _leads(found, outcomes),
        "ims_false_alarms": _false_alarms(outcomes),
        "ims_lead_h_no_envelope": _leads(found, plain),
        "ims_false_alarms_no_envelope": _false_alarms(plain),
        "ims_lead_h_leave_one_out": _leads(found, left_out(found, advance)),
    }


def _of_femto(found: Sequence[Bearing], advance: Advance, results: Path | None) -> dict[str, Any]:
    outcomes = [outcome(bearing, {}, advance, results) for bearing in found]
    held_out = left_out(found, advance)
    return {
        "femto_rtf": round(rtf_score(_failing(found, outcomes)), 1),
        "femto_false_alarms": _false_alarms(outcomes),
        "femto_warned": sum(one.warned is not None for one in _failing(found, outcomes)),
        "femto_rtf_leave_one_out": round(rtf_score(_failing(found, held_out)), 1),
        "femto_false_alarms_leave_one_out": _false_alarms(held_out),
    }


def _failing(found: Sequence[Bearing], outcomes: Sequence[Outcome]) -> list[Outcome]:
    return [one for bearing, one in zip(found, outcomes, strict=True) if bearing.truth.fails]


def _leads(found: Sequence[Bearing], outcomes: Sequence[Outcome]) -> dict[str, float]:
    pairs = zip(found, outcomes, strict=True)
    return {bearing.truth.run: round(one.lead_h, 1) for bearing, one in pairs if bearing.truth.fails}


def _false_alarms(outcomes: Sequence[Outcome]) -> int:
    return sum(one.false_alarms for one in outcomes)
