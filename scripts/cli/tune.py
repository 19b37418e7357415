"""Settings for the rate of false cases that you ask for, from the plant's own healthy history.

  telltale tune --all --cases-per-year 0.1
  telltale tune riverside/pump-hall --cases-per-year 0.03 0.1 0.3 1
  telltale tune --cases-per-year 0.1 --files features.parquet cases.parquet

Replays what the line heard with the settings that are live, and finds how far limits must lie from normal, and how many
rows must reach them, so that as many cases a year open on a healthy position; of those the setting that warns soonest.
Cases that were closed as true are left out; all others count as false. It says so when the history is too short to
know. Nothing is written anywhere. A POSITION may be the beginning of a path: an asset, an area or a site.
"""

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from telltale.core import backtest, tuning
from telltale.core.backtest import History, Window
from telltale.core.plant import Position
from telltale.core.settings import Settings, settings_of
from telltale.core.tuning import Replayed, Trace, Tuned

from cli import history, progress
from cli.arguments import at_least_one, positive
from cli.backtest import ALONE, AT_ONCE, add_history, chosen, history_of, live_positions
from cli.history import Kept, Source
from cli.problem import Problem

TABLES = ("captures", "features", "cases", "acts", "labels")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("positions", nargs="*", metavar="POSITION", help="paths, or what they begin with")
    parser.add_argument("--all", action="store_true", help="every position that there is history of")
    parser.add_argument(
        "--cases-per-year",
        type=positive,
        nargs="+",
        required=True,
        metavar="RATE",
        help="false cases a year of one position that you can live with; several are compared",
    )
    parser.add_argument(
        "--surely",
        action="store_true",
        help="the upper end of the 95 %% interval keeps the rate, not the best estimate",
    )
    add_history(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found there")
    parser.add_argument("--jobs", type=at_least_one, metavar="N", help="processes (default: one for each core)")


def run(args: argparse.Namespace) -> int:
    if args.from_ms >= args.to_ms:
        raise Problem("--from is not before --to")
    source = history_of(args, args.files or [])
    names = chosen(source.positions(), args.positions, everything=args.all or bool(args.files))
    live = live_positions(args, names)
    found = replayed(source, live, Window(args.from_ms, args.to_ms), jobs=args.jobs or os.cpu_count() or 1)
    heard = Heard.of(found, {settings_of(position.settings) for position in live.values()})
    if not heard.years:
        raise Problem("the history is empty: nothing was judged in it", "The baseline judges after its warm-up.")
    best = tuning.tuned(heard.traces, args.cases_per_year, clear=heard.clear, surely=args.surely)
    show(heard, dict(zip(args.cases_per_year, best, strict=True)), args)
    if args.json:
        args.json.write_text(json.dumps(document(heard, best), indent=1) + "\n")
    return 0


@dataclass(frozen=True)
class Heard:
    """The history of some positions. live : their settings; more than one where they differ."""

    traces: tuple[Trace, ...]
    positions: int
    others: int
    unclosed: int
    live: tuple[Settings, ...]

    @classmethod
    def of(cls, found: Sequence[Replayed], live: set[Settings]) -> "Heard":
        traces = tuple(trace for one in found for trace in one.traces)
        others, unclosed = sum(one.others for one in found), sum(one.unclosed for one in found)
        return cls(traces, len(found), others, unclosed, tuple(live))

    @property
    def years(self) -> float:
        return sum(trace.years for trace in self.traces)

    @property
    def clear(self) -> float:
        return min(one.clear for one in self.live)


# ---- replaying -----------------------------------------------------------------------------------


def replayed(source: Source, live: Mapping[str, Position], window: Window, *, jobs: int) -> list[Replayed]:
    """Each position's history, in order. Problem for what is not to be replayed."""
    one = partial(_replayed, window=window)
    with progress.shown("positions", total=len(live)) as advance:
        if jobs == 1 or len(live) <= ALONE:
            return [_counted(one(pair), advance) for pair in _read(source, live)]
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            return [_counted(found, advance) for found in pool.map(one, _read(source, live))]


def _counted(found: Replayed, advance: progress.Advance) -> Replayed:
    advance(1)
    return found


def _read(source: Source, live: Mapping[str, Position]) -> Iterator[tuple[Kept, Position]]:
    names = list(live)
    tables = [name for name in TABLES if source.has(name)]
    for at in range(0, len(names), AT_ONCE):
        for kept in history.kept(source, names[at : at + AT_ONCE], tables):
            yield kept, live[kept.position]


def _replayed(pair: tuple[Kept, Position], window: Window) -> Replayed:
    kept, position = pair
    rows = [row for row in kept.rows() if row.t_ms < window.to_ms]
    log = [change for change in kept.log() if change.t_ms < window.to_ms] if "cases" in kept.tables else []
    try:
        items = backtest.placed(rows, log, kept.asked())
        return tuning.replayed(History(position, items, missed_ms=kept.missed_ms()), window=window)
    except ValueError as error:  # of settings or a class that the registry or a plant file has
        raise Problem(f"{position.id}: {error}") from error


# ---- for the eye ---------------------------------------------------------------------------------


def show(heard: Heard, best: Mapping[float, Tuned | None], args: argparse.Namespace) -> None:
    """What is live, what was found for each rate, and what to do with it."""
    console = Console()
    positions = f"{heard.positions} position{'' if heard.positions == 1 else 's'}"
    console.print(f"{positions}, {heard.years:.1f} healthy years together", highlight=False)
    if heard.unclosed:
        console.print(f"{heard.unclosed} of the live cases are not closed and count as false", highlight=False)
    if heard.others:
        console.print(f"{heard.others} cases of zones or temperature, which have limits of their own", highlight=False)
    table = Table(box=None, pad_edge=False)
    for name in ("asked for", "growth", "sigmas", "rows", "cases", "a year", "95 %", ""):
        table.add_column(name, no_wrap=True)
    for one in heard.live:
        cases, low, high = tuning.counted(heard.traces, n=one.warning_n, m=one.warning_m, clear=heard.clear)
        span = f"{low:.2g} to {high:.2g}"
        table.add_row("live", *_in_words(one), str(cases), f"{cases / heard.years:.2g}", span, "counted")
    for asked, found in best.items():
        if found is None:
            table.add_row(f"{asked:g}", *["-"] * 6, "not found")
            continue
        for one in heard.live:
            words = _in_words(settings_of({**asdict(one), **found.settings(one)}))
            span = f"{found.low:.2g} to {found.high:.2g}"
            table.add_row(f"{asked:g}", *words, str(found.cases), f"{found.rate:.2g}", span, found.how)
    console.print(table, highlight=False)
    for note in _notes(best, heard.years):
        console.print(note, highlight=False, soft_wrap=True)
    found = next((one for one in best.values() if one is not None), None)
    if found is not None and len(heard.live) == 1:
        settings = found.settings(heard.live[0])
        places = " ".join(args.positions) or "--all"
        tried = " ".join(f"--set {name}={value:g}" for name, value in settings.items())
        console.print(f"\ntry it: telltale backtest {places} {tried}", highlight=False, soft_wrap=True)
        written = ", ".join(f"{name}: {value:g}" for name, value in settings.items())
        console.print(f"then, in the plant file: settings: {{{written}}}", highlight=False, soft_wrap=True)


def _in_words(one: Settings) -> tuple[str, str, str]:
    return f"{one.growth:.3g}", f"{one.sigmas:.3g}", f"{one.warning_n} of {one.warning_m}"


def _notes(best: Mapping[float, Tuned | None], years: float) -> Iterator[str]:
    """What must be known of how these were found."""
    how = {asked: "not found" if found is None else found.how for asked, found in best.items()}
    rarest = {word: min((asked for asked in best if how[asked] == word), default=None) for word in {*how.values()}}
    if rate := rarest.get("extrapolated"):
        yield f"extrapolated: from less rare cases; to count {rate:g} a year takes {tuning.SEEN / rate:.3g} years"
    if rate := rarest.get("too short"):
        yield f"too short: a guess; {years:.3g} years cannot tell {rate:g} a year, {tuning.SEEN / rate:.3g} would"
    if "not found" in rarest:
        yield "not found: no setting keeps that rate, or the history is too short to know anything of it"


def document(heard: Heard, best: Sequence[Tuned | None]) -> dict[str, Any]:
    """All that was found, in plain values."""
    found = [None if one is None else {**asdict(one), "settings": one.settings(heard.live[0])} for one in best]
    facts = {"positions": heard.positions, "healthy_years": heard.years, "unclosed": heard.unclosed}
    return {**facts, "cases_of_other_rules": heard.others, "found": found}
