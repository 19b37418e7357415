"""What other settings, limits or another machine class would have done, on the lake's own history.

  telltale backtest riverside/pump-hall/pump-1 --set growth=2
  telltale backtest --all --machine-class iso10816-1/II --json compared.json
  telltale backtest --all --plant candidate.yaml --from 2026-06-01
  telltale backtest --files features.parquet cases.parquet --limit velocity_warning_mm_s=3.5

Replays what the line heard with the settings that are live and with a candidate, and shows which cases differ, what
people found them to be, and how many work orders there would be. Nothing is written anywhere: docs/backtest.md. A
POSITION may be the beginning of a path: an asset, an area or a site.
"""

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import inf, isfinite
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from telltale.adapters.registry import Registry
from telltale.core import backtest, backtest_picture, limits, svg
from telltale.core.backtest import (
    HOUR_MS,
    Case,
    Change,
    Comparison,
    Difference,
    Figures,
    History,
    Run,
    Window,
    figures,
)
from telltale.core.plant import Limits, Position
from telltale.core.settings import Settings, settings_of

from cli import history, progress
from cli.arguments import at_least_one
from cli.deployment import current
from cli.history import Kept, Source, instant, instant_ms
from cli.plant import counted, read_or_explain
from cli.plant_file import did_you_mean
from cli.problem import Problem

AT_ONCE = 64  # positions that are read in one go: some 100 MB for 90 days of hourly rows
TOGETHER = 32  # of them that one process replays at once: fewer take longer each, more do not fit its memory
ALONE = 3  # positions up to which other processes cost more than they save
SHOWN = 40  # changes, and positions, in the table for the eye
TABLES = (".parquet", ".csv")
NO_CAPTURES = "the history is empty: no captures of"
NONE = "none"  # takes away a limit or a machine class


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("positions", nargs="*", metavar="POSITION", help="paths, or what they begin with")
    parser.add_argument("--all", action="store_true", help="every position that there is history of")
    candidate = parser.add_argument_group("the candidate")
    candidate.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a detection setting")
    candidate.add_argument("--limit", action="append", default=[], metavar="NAME=VALUE", help="a limit, or none")
    candidate.add_argument("--machine-class", metavar="CLASS", help="an ISO profile, or none")
    candidate.add_argument("--plant", type=Path, metavar="FILE", help="all that this plant file says of the positions")
    past = add_history(parser)
    past.add_argument("--failed", metavar="T|end", help="when the machine failed; end: with the last row")
    past.add_argument("--check", action="store_true", help="also compare with each verdict that the line wrote")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw scores and cases of one position")
    parser.add_argument("--jobs", type=at_least_one, metavar="N", help="processes (default: one for each core)")


def add_history(parser: argparse.ArgumentParser) -> Any:
    """The options that say which history is replayed, in a group that takes further ones."""
    past = parser.add_argument_group("the history")
    past.add_argument("--from", dest="from_ms", type=instant, default=-inf, metavar="T", help="count from here")
    past.add_argument("--to", dest="to_ms", type=instant, default=inf, metavar="T", help="read and count up to here")
    past.add_argument("--files", type=Path, nargs="+", metavar="FILE", help="of the lake's tables, instead of the lake")
    past.add_argument("--live", type=Path, metavar="FILE", help="the plant file that is live (default: the registry)")
    return past


def history_of(args: argparse.Namespace, files: Sequence[Path]) -> Source:
    """What `add_history` asked for: the files, where some are given, or the lake of the deployment."""
    return history.Files(files) if args.files else history.Lake(current(), to_ms=args.to_ms)


def run(args: argparse.Namespace) -> int:
    if args.from_ms >= args.to_ms:
        raise Problem("--from is not before --to")
    overrides = Overrides.of(args)
    files, places = _told_apart(args.files or [], args.positions)
    source = history_of(args, files)
    names = chosen(source.positions(), places, everything=args.all or bool(args.files))
    if args.plot and len(names) != 1:
        raise Problem(f"--plot draws one position, found {len(names)}")
    if args.check and not source.has("verdicts"):
        raise Problem("--check compares with the table verdicts, which is not among the files")
    live = live_positions(args, names)
    candidates = overrides.candidates(live)
    how = How(Window(args.from_ms, args.to_ms), _failed(args.failed), args.check, args.plot is not None)
    pairs = {name: (live[name], candidates[name]) for name in names}
    found = replayed(source, pairs, how, jobs=args.jobs or os.cpu_count() or 1)
    if not any(one.comparison.rows for one in found):
        raise Problem(f"the history is empty: no captures of {_few(names)}{_within(args)}")
    show(found, overrides, Console())
    if args.json:
        args.json.write_text(json.dumps(document(found, overrides), indent=1, ensure_ascii=False) + "\n")
    if args.plot:
        args.plot.write_text(svg.render(backtest_picture.compared(found[0].comparison)))
        print(f"drawn in {args.plot}", file=sys.stderr)
    return 0


# ---- what is compared ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Overrides:
    """What the candidate has that the live position has not. `plant` : positions of a file; None: the live ones."""

    settings: Mapping[str, float]
    limits: Mapping[str, float | None]
    machine_class: str | None
    plant: Mapping[str, Position] | None

    @classmethod
    def of(cls, args: argparse.Namespace) -> "Overrides":
        known = {field.name for field in dataclasses.fields(Settings)}
        own = {name: value for name, value in (_pair(text, "--set", known) for text in args.set) if value is not None}
        _checked(own)
        levels = dict(
            _pair(text, "--limit", {field.name for field in dataclasses.fields(Limits)}) for text in args.limit
        )
        iso = args.machine_class
        if iso is not None and iso != NONE and iso not in limits.PROFILES:
            listed = ", ".join(limits.PROFILES)
            raise Problem(
                f'found the machine class "{iso}"{did_you_mean(iso, limits.PROFILES)}, wanted one of {listed}'
            )
        return cls(own, levels, iso, read_or_explain(args.plant).positions if args.plant else None)

    def candidates(self, live: Mapping[str, Position]) -> dict[str, Position]:
        """The candidate of each live position."""
        base = live if self.plant is None else self.plant
        missing = sorted(set(live) - set(base))
        if missing:
            raise Problem(f"the candidate's plant file has no {_few(missing)}")
        return {name: self._candidate(replace(base[name], fleet=live[name].fleet)) for name in live}

    def _candidate(self, position: Position) -> Position:
        iso = position.machine_class if self.machine_class is None else self.machine_class
        candidate = replace(
            position,
            settings={**position.settings, **self.settings},
            limits=replace(position.limits, **self.limits),
            machine_class=None if iso == NONE else iso,
        )
        _checked(candidate.settings)
        return candidate

    def as_dict(self) -> dict[str, Any]:
        given = {"settings": dict(self.settings), "limits": dict(self.limits), "machine_class": self.machine_class}
        return {**given, "plant": None if self.plant is None else sorted(self.plant)}

    def __str__(self) -> str:
        parts = [f"{name} {value:g}" for name, value in self.settings.items()]
        parts += [f"{name} {NONE if value is None else f'{value:g}'}" for name, value in self.limits.items()]
        parts += [f"machine class {self.machine_class}"] if self.machine_class else []
        parts += ["the plant file's positions"] if self.plant is not None else []
        return ", ".join(parts) or "the live settings themselves"


def _pair(text: str, option: str, known: set[str]) -> tuple[str, float | None]:
    name, equals, given = text.partition("=")
    if name not in known:
        raise Problem(f'{option}: found "{name}"{did_you_mean(name, known)}, wanted one of {", ".join(sorted(known))}')
    if option == "--limit" and given == NONE:
        return name, None
    try:
        value = float(given)
    except ValueError:
        value = inf
    if not equals or not isfinite(value):
        raise Problem(f'{option} {name}: found "{given}", wanted {name}=NUMBER')
    return name, value


def _checked(settings: Mapping[str, float]) -> None:
    try:
        settings_of(settings)
    except ValueError as error:
        raise Problem(f"--set: found {error}") from error


def live_positions(args: argparse.Namespace, names: Sequence[str]) -> dict[str, Position]:
    """The positions as they are live; one that nobody registered has no settings of its own."""
    if args.live:
        known = read_or_explain(args.live).positions
    elif args.files:
        known = {}
    else:
        deployment = current()
        known = Registry(deployment.client("dynamodb"), deployment.outputs["RegistryTable"]).positions(names)
    return {name: known.get(name, Position(name)) for name in names}


def chosen(known: Sequence[str], wanted: Sequence[str], *, everything: bool, missing: str = NO_CAPTURES) -> list[str]:
    """The positions meant, by path or what a path begins with. missing : what is said of a name that none has."""
    if not known:
        raise Problem("the history is empty: there are no captures of any position")
    if everything and not wanted:
        return list(known)
    if not wanted:
        raise Problem("no position", "name some, or give --all")
    found: dict[str, None] = {}
    for name in wanted:
        below = [one for one in known if one == name or one.startswith(name.rstrip("/") + "/")]
        if not below:
            raise Problem(f"{missing} {name}{did_you_mean(name, known)}")
        found |= dict.fromkeys(below)
    return list(found)


def _told_apart(files: Sequence[Path], positions: Sequence[str]) -> tuple[list[Path], list[str]]:
    """The files and the positions, which may also stand behind the files."""
    tables = [path for path in files if path.suffix.lower() in TABLES]
    others = [str(path) for path in files if path not in tables]
    if files and not tables:
        raise Problem(f"--files: found {_few(others)}, wanted tables: {' or '.join(TABLES)}")
    return tables, [*positions, *others]


def _failed(text: str | None) -> int | str | None:
    return text if text in (None, "end") else instant_ms(str(text))


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _within(args: argparse.Namespace) -> str:
    parts = [f"from {_time(args.from_ms)}"] if args.from_ms != -inf else []
    parts += [f"to {_time(args.to_ms)}"] if args.to_ms != inf else []
    return "".join(f" {part}" for part in parts)


# ---- replaying -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Replayed:
    """One position's comparison. `otherwise` : how the replay of the live settings differs from what the line wrote.

    checked : verdicts were compared, not only cases.
    """

    comparison: Comparison
    otherwise: tuple[str, ...] = ()
    checked: bool = False


@dataclass(frozen=True)
class How:
    """What is the same for all positions. failed : ms, or "end": with the last row."""

    window: Window = backtest.ALWAYS
    failed: int | str | None = None
    check: bool = False
    trace: bool = False

    @property
    def tables(self) -> tuple[str, ...]:
        tables = ("captures", "features", "readings", "scores", "cases", "acts", "labels")
        return (*tables, *(("verdicts",) if self.check else ()))


@dataclass(frozen=True)
class Task:
    """Positions to be compared; of each what is kept, and the live one and the candidate."""

    kept: Sequence[Kept]
    pairs: Sequence[tuple[Position, Position]]
    how: How

    def done(self) -> list[Replayed]:
        """The comparisons. Problem for what is not to be replayed."""
        histories = [self._history(one, live) for one, (live, _) in zip(self.kept, self.pairs, strict=True)]
        candidates = [candidate for _, candidate in self.pairs]
        logged, how = all("cases" in one.tables for one in self.kept), self.how
        try:
            found = backtest.backtests(histories, candidates, logged=logged, window=how.window, trace=how.trace)
        except ValueError as error:  # of settings or a class that the registry or a plant file has
            raise Problem(str(error)) from error
        if not logged:
            return [Replayed(one) for one in found]
        return [self._checked(*one) for one in zip(found, histories, self.kept, strict=True)]

    def _history(self, kept: Kept, live: Position) -> History:
        to_ms, failed = self.how.window.to_ms, self.how.failed
        rows = [row for row in kept.rows() if row.t_ms < to_ms]
        failed_ms = failed if not isinstance(failed, str) else max((row.t_ms for row in rows), default=None)
        log = [change for change in kept.log() if change.t_ms < to_ms]
        asked = [act for act in kept.asked() if act[0].t_ms < to_ms]
        logged = "cases" in kept.tables
        items = backtest.placed(rows, log, asked) if logged or asked else tuple(rows)
        return History(live, items, failed_ms, tuple(one for one in kept.missed_ms() if one < to_ms))

    def _checked(self, comparison: Comparison, past: History, kept: Kept) -> Replayed:
        otherwise = tuple(_otherwise(comparison))
        if self.how.check:
            otherwise += tuple(map(_in_words, backtest.differences(past, kept.written())))
        return Replayed(comparison, otherwise, self.how.check)


def _otherwise(comparison: Comparison) -> Iterator[str]:
    """Cases that the line opened and its settings of today do not, and the other way round."""
    lived = {(fact.opened_ms, fact.case_id) for fact in comparison.facts}
    now = {(case.opened_ms, case.case_id) for case in comparison.before.cases}
    for opened_ms, case_id in sorted(lived ^ now):
        who = "the line opened it, the settings that are live now do not"
        who = who if (opened_ms, case_id) in lived else "the settings that are live now open it, the line did not"
        yield f"{case_id}, {_time(opened_ms)}: {who}"


def _in_words(one: Difference) -> str:
    wrote, replayed = one.written or "nothing", one.replayed or "nothing"
    return f"{one.capture_id}, {_time(one.t_ms)}, {one.what}: the line wrote {wrote}; replayed: {replayed}"


def replayed(source: Source, pairs: Mapping[str, tuple[Position, Position]], how: How, *, jobs: int) -> list[Replayed]:
    """Each position compared, in order; by position the live one and the candidate."""
    names = list(pairs)
    found: list[Replayed] = []

    def tasks(some: Sequence[str]) -> list[Task]:
        kept = history.kept(source, some, how.tables) if some else []
        parts = [kept[at : at + TOGETHER] for at in range(0, len(kept), TOGETHER)]
        return [Task(part, [pairs[one.position] for one in part], how) for part in parts]

    with progress.shown("positions", total=len(names)) as advance:
        if jobs == 1 or len(names) <= ALONE:
            for at in range(0, len(names), TOGETHER):
                for task in tasks(names[at : at + TOGETHER]):
                    found += task.done()
                    advance(len(task.kept))
            return found
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            running: list[Future[list[Replayed]]] = []
            for at in range(0, len(names) + AT_ONCE, AT_ONCE):  # the next ones are read while these are replayed
                begun = [pool.submit(Task.done, task) for task in tasks(names[at : at + AT_ONCE])]
                for one in running:
                    found += one.result()
                    advance(len(one.result()))
                running = begun
    return found


# ---- for the eye ---------------------------------------------------------------------------------

SIGNS = {"gone": ("−", "yellow"), "new": ("+", "cyan"), "earlier": ("←", "green"), "later": ("→", "yellow")}
ROWS = {
    "cases": "cases",
    "true": "  true",
    "false": "  false",
    "undetermined": "  undetermined",
    "unknown": "  nobody knows",
    "missed": "true ones missed",
    "lead_h": "median lead",
    "alarms": "alarms",
    "orders": "work orders",
    "orders_per_machine_year": "  a machine-year",
}


def show(found: Sequence[Replayed], overrides: Overrides, console: Console) -> None:
    """Totals, then the positions that differ, then each case that does."""
    comparisons = [one.comparison for one in found]
    before, after = figures(comparisons)
    rows = sum(one.rows for one in comparisons)
    spans = [(one.first_ms, one.last_ms) for one in comparisons if one.first_ms is not None and one.last_ms is not None]
    first, last = min(low for low, _ in spans), max(high for _, high in spans)
    days = (last - first) / (24 * HOUR_MS)
    console.print(Text.assemble(("candidate: ", "dim"), (str(overrides), "bold")))
    console.print(f"{counted(len(found), 'position')}, {rows:,} captures in {days:,.1f} days from {_time(first)}")
    console.print(_totals(before, after))
    changed = [(one.position, change) for one in comparisons for change in one.changes]
    if len(found) > 1 and changed:
        console.print(_positions([one for one in comparisons if one.changes]))
    if changed:
        for position, change in changed[:SHOWN]:
            console.print(_told(change, position if len(found) > 1 else ""))
        if len(changed) > SHOWN:
            console.print(f"and {len(changed) - SHOWN} more: --json FILE has all", style="dim")
    else:
        console.print("no case differs")
    _show_otherwise(found, console)


def _show_otherwise(found: Sequence[Replayed], console: Console) -> None:
    otherwise = [f"{one.comparison.position}: {text}" for one in found for text in one.otherwise]
    if otherwise:
        console.print(
            f"\nThe settings that are live now do not give what the line wrote, in {len(otherwise)} places: settings "
            "or code changed since, the history has a gap, or somebody acted while a row came in.",
            style="yellow",
        )
        for text in otherwise[:5]:
            console.print(f"  {text}", style="dim", markup=False)
    elif any(one.checked for one in found):
        console.print("the settings that are live now give each verdict and each case that the line wrote")


def _totals(before: Figures, after: Figures) -> Table:
    table = Table("", "before", "after", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    old, new = before.as_dict(), after.as_dict()
    for name, words in ROWS.items():
        table.add_row(words, _figure(name, old[name]), _figure(name, new[name]))
    return table


def _figure(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    if name == "lead_h":
        return _duration(value)
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _positions(comparisons: Sequence[Comparison]) -> Table:
    table = Table("position", "cases", "false", "missed", "orders a machine-year", title="before → after")
    for one in comparisons[:SHOWN]:
        old, new = (part.as_dict() for part in figures([one]))
        names = ("cases", "false", "missed", "orders_per_machine_year")
        table.add_row(one.position, *(f"{_figure(name, old[name])} → {_figure(name, new[name])}" for name in names))
    return table


def _told(change: Change, position: str) -> Text:
    """A changed case: what, when, what people found it to be, why, and the captures that show it."""
    sign, colour = SIGNS.get(change.what, ("~", "cyan"))
    shown = change.after or change.before
    if shown is None:
        raise ValueError("a change of no case")
    head = f"{sign} {change.what}" + (f"  {position}" if position else "")
    times = " → ".join(_time(case.opened_ms) for case in (change.before, change.after) if case is not None)
    by = _shift(change.before, change.after)
    facts = [times + by, shown.severity, _truth(change.before if change.after is None else change.after)]
    captures = "captures " + ", ".join(shown.capture_ids[:3])
    text = Text.assemble(("\n" + head, f"bold {colour}"), "  ", ", ".join(facts))
    return text.append(f"\n    {change.why}\n    {captures}", style="dim")


def _shift(before: Case | None, after: Case | None) -> str:
    if before is None or after is None or before.opened_ms == after.opened_ms:
        return ""
    return f" ({_duration(abs(before.opened_ms - after.opened_ms) / HOUR_MS)})"


def _truth(case: Case | None) -> str:
    if case is None:
        return ""
    if case.closure:
        lead = "" if case.lead_ms is None else f" {_duration(case.lead_ms / HOUR_MS)} later"
        return f"closed{lead} as {case.closure.get('failure_mode', 'UNDETERMINED')}: {case.truth}"
    if case.failed_ms is not None and case.lead_ms is not None:
        return f"failed {_duration(case.lead_ms / HOUR_MS)} later"
    return "set aside: quiet, and nobody was asked" if case.set_aside_ms is not None else "nobody was asked"


def _duration(hours: float) -> str:
    return f"{hours / 24:.1f} d" if hours >= 48 else f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.0f} min"


def _time(t_ms: float) -> str:
    return f"{datetime.fromtimestamp(t_ms / 1000, UTC):%Y-%m-%d %H:%M}"


# ---- for programs --------------------------------------------------------------------------------


def document(found: Sequence[Replayed], overrides: Overrides) -> dict[str, Any]:
    """Plain values: the candidate, totals, and each position with its cases; times in ms since 1970."""
    before, after = figures([one.comparison for one in found])
    return {
        "candidate": overrides.as_dict(),
        "machine_years": before.machine_years,
        "before": before.as_dict(),
        "after": after.as_dict(),
        "positions": [_of_position(one) for one in found],
    }


def _of_position(one: Replayed) -> dict[str, Any]:
    comparison = one.comparison
    before, after = figures([comparison])
    return {
        "position": comparison.position,
        "rows": comparison.rows,
        "first_ms": comparison.first_ms,
        "last_ms": comparison.last_ms,
        "before": before.as_dict() | _run(comparison.before),
        "after": after.as_dict() | _run(comparison.after),
        "changes": [
            {
                "what": change.what,
                "why": change.why,
                "before": change.before.case_id if change.before else None,
                "after": change.after.case_id if change.after else None,
            }
            for change in comparison.changes
        ],
        "otherwise": list(one.otherwise),
    }


def _run(run: Run) -> dict[str, Any]:
    listed = [{**dataclasses.asdict(case), "truth": case.truth, "lead_ms": case.lead_ms} for case in run.cases]
    return {"listed": listed, "raised": [dataclasses.asdict(alarm) for alarm in run.alarms]}
