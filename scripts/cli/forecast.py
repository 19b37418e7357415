"""When an indicator will reach a limit: an interval that holds it with 80 %, or that it cannot be said.

  telltale forecast history.csv --column velocity_rms_mm_s --limit 4.5
  telltale forecast pressure.parquet --column inlet_bar --limit 2 --falling --plot pressure.svg
  telltale forecast runs/ --column ch1_std --limit 0.2 --json forecasts.json

Histories are .csv or .parquet, a row a time, or folders of them. All rows count, the newest most; it is never looked
farther ahead than the rows go back. docs/prognosis.md says how, what it is worth, and when nothing is said.

  telltale forecast --position SITE/AREA/MACHINE/POSITION --axis y     out of the lake, to the next ISO boundary
  telltale forecast --case CASE                                        of the position and axis that the case is about
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.padding import Padding
from rich.text import Text
from telltale.adapters.cases import Cases
from telltale.adapters.registry import Registry
from telltale.core import limits, outlook, prognosis, svg
from telltale.core.plant import Position
from telltale.core.prognosis import NO_TREND, NOT_WITHIN, REACHED, REACHES, Forecast
from telltale.core.schema import FEATURES
from telltale.core.validate import ID

from cli.cases import find
from cli.deployment import Deployment, current
from cli.diagnose import finite
from cli.problem import Problem
from cli.progress import shown
from cli.readers import numbers, seconds, table

Array = NDArray[np.float64]

ENDINGS = (".csv", ".parquet")
TIMES = ("timestamp", "t", "time", "t_ms", "time_s", "t_s", "datetime", "date")
AXES = ("x", "y", "z")
DAY_S = 86_400.0
COLOURS = {REACHED: "bold red", REACHES: "bold yellow", NOT_WITHIN: "bold green", NO_TREND: "bold"}
INDICATORS = {column.name: column.unit or "" for column in FEATURES}


@dataclass(frozen=True, eq=False)
class History:
    """An indicator of one machine. Times in seconds; `clock` : they are times, and not mere row numbers."""

    name: str
    indicator: str
    t_s: Array
    values: Array
    limit: float
    limit_name: str = ""
    clock: bool = True

    @property
    def unit(self) -> str:
        return INDICATORS.get(self.indicator, "")

    @property
    def units(self) -> prognosis.Units:
        """Of time."""
        return prognosis.CLOCK if self.clock else prognosis.ROW_NUMBERS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("inputs", nargs="*", type=Path, metavar="INPUT", help=".csv or .parquet, or a folder of them")
    parser.add_argument("--column", metavar="C", help="of the table; may be left out where only one has numbers")
    parser.add_argument("--limit", type=float, metavar="L", help="in the column's unit")
    parser.add_argument("--falling", action="store_true", help="the limit is reached from above")
    parser.add_argument("--time", metavar="COLUMN", help=f"of the times; else one of {', '.join(TIMES)}")
    parser.add_argument("--within", type=float, metavar="DAYS", help="look only so far ahead")
    parser.add_argument("--last", type=float, metavar="DAYS", help="use only the rows of the last days")
    parser.add_argument("--position", metavar="P", help="take the history of a position out of the lake")
    parser.add_argument("--case", metavar="CASE", help="take the history of a case's position and axis out of the lake")
    parser.add_argument("--axis", choices=AXES, help="of the position's sensor")
    parser.add_argument("--indicator", default="velocity_rms_mm_s", metavar="NAME", help="default: velocity_rms_mm_s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the forecasts there, an array of objects")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw it; a folder for several histories")


def run(args: argparse.Namespace) -> int:
    _check(args)
    if args.position or args.case:
        history, failures = of_lake(current(), args), 0
        found = [(history, forecast(history, args))]
    else:
        found, failures = _of_files(args)
    _print(found)
    if args.json:
        args.json.write_text(json.dumps([as_json(*one) for one in found], indent=1) + "\n")
    if args.plot:
        _draw(found, args.plot)
    return 1 if failures else 0


def _check(args: argparse.Namespace) -> None:
    if sum(map(bool, (args.inputs, args.position, args.case))) != 1:
        raise Problem(
            "wanted histories, --position or --case, one of them", "`telltale forecast --help` shows all three"
        )
    if args.inputs and args.limit is None:
        raise Problem("no limit", "say what is to be reached: --limit L, in the column's unit")
    if args.position and not args.axis:
        raise Problem("--position: no axis", f"add --axis, one of {', '.join(AXES)}")
    for name in ("within", "last"):
        days = getattr(args, name)
        if days is not None and not 0 < days < np.inf:
            raise Problem(f"--{name} {days:g}: wanted days above 0")
    if args.limit is not None and not np.isfinite(args.limit):
        raise Problem(f"--limit {args.limit}: wanted a number")
    if args.plot and args.plot.suffix.lower() not in (".svg", ""):
        raise Problem(f"--plot {args.plot}: found {args.plot.suffix}, wanted a file that ends in .svg, or a folder")


def forecast(history: History, args: argparse.Namespace) -> Forecast:
    horizon_s = None if args.within is None else args.within * DAY_S
    t, values = history.t_s, history.values
    if args.last is not None and len(t):
        kept = t >= np.nanmax(t) - args.last * DAY_S
        t, values = t[kept], values[kept]
    return prognosis.forecast(t, values, limit=history.limit, falling=args.falling, horizon_s=horizon_s)


# ---- files ---------------------------------------------------------------------------------------


def _of_files(args: argparse.Namespace) -> tuple[list[tuple[History, Forecast]], int]:
    """The forecasts, and how many files could not be read."""
    files = list(_files(args.inputs))
    found, failures = [], 0
    with shown("histories", total=len(files)) as advance:
        for path in files:
            try:
                history = of_file(path, args)
            except Problem as problem:
                if len(files) == 1:
                    raise
                print(f"telltale: {problem}", file=sys.stderr)
                failures += 1
            else:
                found.append((history, forecast(history, args)))
            advance(1)
    return found, failures


def _files(inputs: list[Path]) -> Iterator[Path]:
    for path in inputs:
        if not path.exists():
            raise Problem(f"{path}: there is no such file or folder")
        if path.is_file() and path.suffix.lower() not in ENDINGS:
            raise Problem(f"{path}: found {path.suffix or 'no ending'}, wanted {' or '.join(ENDINGS)}")
        if path.is_file():
            yield path
            continue
        inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in ENDINGS)
        if not inside:
            raise Problem(f"{path}: the folder has no {' or '.join(ENDINGS)}")
        yield from inside


def of_file(path: Path, args: argparse.Namespace) -> History:
    """The column of one table. Without a column of times, rows are told by their number, a second apart."""
    columns = table(path)
    candidates = TIMES if args.time is None else (args.time,)
    lower = {name.lower(): name for name in reversed(columns.column_names)}
    time = next((lower[name.lower()] for name in candidates if name.lower() in lower), None)
    if time is None and args.time is not None:
        raise Problem(f"{path.name}: there is no column {args.time}", f"It has {', '.join(columns.column_names)}.")
    t_s = np.arange(float(columns.num_rows)) if time is None else seconds(columns[time], path, time)
    name = _column(path, columns, args.column, time)
    values = numbers(columns[name])
    if values is None:
        raise Problem(f"{path.name}: found {columns[name].type} in {name}, wanted numbers")
    return History(path.name, name, t_s, values, args.limit, clock=time is not None)


def _column(path: Path, columns: Any, wanted: str | None, time: str | None) -> str:
    numeric = [name for name in columns.column_names if name != time and numbers(columns[name]) is not None]
    if wanted is not None:
        if wanted not in columns.column_names:
            raise Problem(f"{path.name}: there is no column {wanted}", f"It has {', '.join(columns.column_names)}.")
        return wanted
    if len(numeric) != 1:
        raise Problem(f"{path.name}: which column? Found {', '.join(numeric) or 'none with numbers'}", "--column C")
    return numeric[0]


# ---- the lake ------------------------------------------------------------------------------------


def of_lake(deployment: Deployment, args: argparse.Namespace) -> History:
    """An indicator of one axis of a position, and its limit: that which is given, else the next ISO boundary."""
    from cli import sql  # two query engines, which a file does without

    place, axis = _of_case(deployment, args) if args.case else (args.position, args.axis)
    indicator = args.indicator
    if not all(ID.fullmatch(part) for part in place.split("/")):
        raise Problem(f'found "{place}" as a position, wanted SITE/AREA/MACHINE/POSITION')
    if indicator not in INDICATORS:
        raise Problem(f"there is no indicator {indicator}", "docs/data-dictionary.md lists them: the table features")
    since = "" if args.last is None else f" AND t >= current_timestamp - interval '{max(1, round(args.last))}' day"
    rows = sql.run(deployment, query(place, axis, indicator, since)).table
    if not rows.num_rows:
        raise Problem(f"the lake has no {indicator} of {place}, axis {axis}")
    t_s = np.array([moment.timestamp() for moment in rows["t"].to_pylist()])
    values = numbers(rows[indicator])
    if values is None:
        raise Problem(f"found {rows[indicator].type} in {indicator}, wanted numbers")
    known = Registry(deployment.client("dynamodb"), deployment.outputs["RegistryTable"]).positions([place])
    limit, named = (args.limit, "") if args.limit is not None else next_limit(known.get(place), indicator, values)
    return History(place, indicator, t_s, values, limit, named)


def query(place: str, axis: str, indicator: str, since: str) -> str:
    return f"SELECT t, {indicator} FROM features WHERE position = '{place}' AND axis = '{axis}'{since} ORDER BY t"


def _of_case(deployment: Deployment, args: argparse.Namespace) -> tuple[str, str]:
    """The position of the case, and the axis that opened it, unless another is asked for."""
    case = find(list(Cases(deployment.client("dynamodb"), deployment.outputs["CasesTable"]).all()), args.case)
    axis = args.axis or case.change.channel
    if axis not in AXES:
        raise Problem(
            f"{case.change.case_id} is about {axis}, which is no axis", f"add --axis, one of {', '.join(AXES)}"
        )
    return case.position, axis


def next_limit(position: Position | None, indicator: str, values: Array) -> tuple[float, str]:
    """The next boundary of the position's machine class above its level, or the last where none is ahead."""
    if position is None or position.machine_class is None or indicator != limits.VELOCITY:
        raise Problem("no limit", "say what is to be reached: --limit L; a machine class has limits of velocity only")
    iso = limits.profile(position.machine_class)
    level = float(np.nanmedian(values[-prognosis.ROWS_IN_GROUP :]))
    name, boundary = iso.next_boundary(level) or (limits.BOUNDARIES[-1], iso.c_d)
    return boundary, f"{iso.standard}, zone {name[-1]}"


# ---- what comes out ------------------------------------------------------------------------------


def words(history: History, found: Forecast) -> str:
    """The forecast as a sentence."""
    return prognosis.sentence(
        found,
        name=history.indicator,
        unit=history.unit,
        limit_name=history.limit_name,
        units=history.units,
    )


def as_json(history: History, found: Forecast) -> dict[str, Any]:
    """Plain values; what is beyond the horizon, or not said, is null."""
    interval = found.interval_s or (None, None)
    return {
        "history": history.name,
        "indicator": history.indicator,
        "unit": history.unit or None,
        "says": words(history, found),
        "low_s": finite(interval[0]),
        "median_s": finite(found.quantile(0.5)),
        "high_s": finite(interval[1]),
        "within_horizon": found.probability_within(found.horizon_s),
        **finite(asdict(found)),
    }


def _print(found: list[tuple[History, Forecast]]) -> None:
    console = Console()
    for history, said in found:
        console.print(Text(history.name, style="bold"))
        console.print(Padding(Text(words(history, said), style=COLOURS.get(said.verdict, "bold")), (0, 0, 0, 2)))
        for fact in _facts(history, said):
            console.print(Padding(Text(fact, style="dim"), (0, 0, 0, 2)))


def _facts(history: History, said: Forecast) -> Iterator[str]:
    if said.level is None or said.change_per_s is None:
        yield f"{said.rows} rows"
        return
    per, name = (DAY_S, "a day") if history.clock else (1.0, "a row")
    yield (
        f"{said.rows} rows; level {said.level:.4g} {history.unit}".rstrip()
        + f", of late {said.change_per_s * per:+.3g} {name}; a trend towards the limit: {said.trend or 0.0:.0%}"
    )
    chance = said.probability_within(said.horizon_s)
    if chance is not None:
        ahead = prognosis.duration(said.horizon_s, units=history.units)
        yield f"reached within {ahead}, as far as it is looked: {chance:.0%}"


def _draw(found: list[tuple[History, Forecast]], where: Path) -> None:
    if where.suffix and len(found) > 1:
        raise Problem(f"--plot {where}: found {len(found)} histories, wanted a folder for several")
    for history, said in found:
        file = where if where.suffix else where / (history.name.replace("/", "-") + ".svg")
        file.parent.mkdir(parents=True, exist_ok=True)
        label = f"{history.indicator}, {history.unit}" if history.unit else history.indicator
        drawing = outlook.picture(
            history.t_s, history.values, found=said, title=history.name, said=words(history, said), label=label
        )
        file.write_text(svg.render(drawing))
        print(f"{history.name}: drawn in {file}", file=sys.stderr)
