"""SQL on the lake, in Athena's dialect: a query, the name of a kept one, or - to read it from the input.

telltale query --list
telltale query worst_positions --at 2026-11-01
telltale query trend position=riverside/pump-hall/pump-1/motor-drive-end days=90
telltale query "SELECT position, max(t) FROM captures GROUP BY position" --format csv
"""

import argparse
import base64
import csv
import difflib
import json
import math
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text
from telltale.adapters.answer import Answer
from telltale.adapters.receipts import PENDING
from telltale.adapters.trino import as_of

from cli import sql
from cli.choices import choices, choose, pairs
from cli.deployment import current
from cli.lake_models import registry_of
from cli.problem import Problem
from cli.queries import named_queries
from cli.tables import objects_below

FORMATS = ("table", "csv", "json", "parquet")
WIDEST = 10_000  # characters of a line in a file
# aws.amazon.com/athena/pricing, us-east-1, read on 2026-11-21 in a copy without a date; other regions differ. That a TB
# is 1e12 bytes is a guess: with 2^40 it would be 9 % less.
USD_PER_TB = 5.0
LEAST_MB = 10
AGE = re.compile(r"(\d{1,4})([mhd])")
UNITS = {"m": "minutes", "h": "hours", "d": "days"}
NEAREST = 3  # names worth suggesting
SHOWN = 100  # rows of a table for the eye; files and pipes get all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("query", nargs="?", metavar="SQL|NAME|-", help="what to run")
    parser.add_argument("choices", nargs="*", metavar="NAME=VALUE", help="what to choose in it; --list tells")
    parser.add_argument("--at", metavar="TIME", help="as the lake was then: 2026-11-01, 2026-11-01T14:30Z, or 6h (ago)")
    parser.add_argument("--show", action="store_true", help="print the SQL that would run, for Athena or a dashboard")
    parser.add_argument("--list", action="store_true", help="show the named queries")
    parser.add_argument("--format", choices=FORMATS, help="default: what --out ends in, else table")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write there instead of to the terminal")
    parser.add_argument("--limit", type=int, metavar="ROWS", help=f"at most so many rows (a table: {SHOWN})")


def run(args: argparse.Namespace) -> int:
    if args.list:
        list_queries(Console())
        return 0
    form = _format(args)
    limit = SHOWN if args.limit is None and form == "table" and args.out is None else args.limit
    given = pairs(args.choices)
    text = choose(text_of(args.query, sys.stdin), given)
    at = None if args.at is None else moment_of(args.at, datetime.now(UTC))
    if args.show:
        print(text.strip() if at is None else as_of(text, at).strip())
        return 0
    deployment = current()
    answer = sql.run(deployment, text, limit=limit, at=at)
    _deliver(answer, form, args.out)
    print(summary(answer), file=sys.stderr)
    if not answer.table.num_rows and (waiting := len(objects_below(deployment, PENDING))):
        print(f"not in the tables yet: {waiting} batches, which the committer's next run adds", file=sys.stderr)
    if not answer.table.num_rows and "position" in given:
        print(
            *unknown_position(given["position"], registry_of(deployment).plant().positions), file=sys.stderr, sep="\n"
        )
    return 0


def unknown_position(chosen: str, known: Collection[str]) -> list[str]:
    """Nothing for a position of the plant; else that there is none, and those that may be meant."""
    if chosen in known:
        return []
    meant = [path for path in sorted(known) if path.endswith(f"/{chosen}") or path.startswith(f"{chosen}/")]
    near = meant[:NEAREST] or difflib.get_close_matches(chosen, known, n=NEAREST)
    return [f"there is no position {chosen} in the plant" + (f": did you mean {', '.join(near)}" if near else "")]


def list_queries(console: Console) -> None:
    """Every named query: its name, title and description."""
    for query in named_queries().values():
        console.print(f"[bold]{query.name}[/bold]  {query.title}")
        if query.description:
            console.print(query.description, style="dim", markup=False)
        named = [name if default is None else f"{name}={default}" for name, default in choices(query.sql).items()]
        if named:
            console.print(f"choose: {', '.join(named)}", markup=False, highlight=False)
        console.print()


def moment_of(text: str, now: datetime) -> datetime:
    """A time before now, UTC unless it says otherwise; Problem for anything else."""
    age = AGE.fullmatch(text)
    try:
        at = now - timedelta(**{UNITS[age[2]]: int(age[1])}) if age else datetime.fromisoformat(text)
    except ValueError as error:
        raise Problem(f"found --at {text}, wanted a time such as 2026-11-01T14:30Z, or an age such as 6h") from error
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    if at > now:
        raise Problem(f"--at {text} is in the future")
    return at.astimezone(UTC)


def _format(args: argparse.Namespace) -> str:
    if args.limit is not None and args.limit < 1:
        raise Problem(f"--limit {args.limit}: wanted 1 or more")
    suffix = args.out.suffix.removeprefix(".") if args.out else ""
    form = args.format or (suffix if suffix in FORMATS else "table")
    if form == "parquet" and args.out is None:
        raise Problem("Parquet is not for a terminal", "say where it goes: --out FILE")
    return str(form)


def text_of(query: str | None, stdin: IO[str]) -> str:
    """The SQL meant by the argument: itself, a named query's, or what the input holds."""
    if query is None:
        raise Problem("no query", 'give SQL, a name from `telltale query --list`, or "-"')
    if query == "-":
        return stdin.read()
    named = named_queries()
    if query in named:
        return named[query].sql
    if len(query.split()) > 1:
        return query
    near = difflib.get_close_matches(query, named, n=1)
    raise Problem(f"no query named {query}", f"did you mean {near[0]}?" if near else f"there are {', '.join(named)}")


def _deliver(answer: Answer, form: str, out: Path | None) -> None:
    if form == "parquet" and out is not None:
        pq.write_table(answer.table, out)
    elif out is not None:
        with out.open("w", newline="") as stream:
            write(answer, form, stream)
    else:
        write(answer, form, sys.stdout)


def write(answer: Answer, form: str, stream: IO[str]) -> None:
    """The rows as a table for the eye, as CSV with a header, or as a JSON array with one row a line."""
    {"table": _write_table, "csv": _write_csv, "json": _write_json}[form](answer.table, stream)


def _write_table(table: pa.Table, stream: IO[str]) -> None:
    """A row a line; on a terminal too narrow for that, a column a line."""
    rows = [[_cell(value) for value in row] for row in _rows(table)]
    grid = _grid(table.schema, rows)
    terminal = Console(file=stream)
    wide = Console(width=WIDEST)
    wanted = Measurement.get(wide, wide.options, grid).maximum
    if stream.isatty() and wanted > terminal.width:
        _print_blocks(terminal, table.schema.names, rows)
    else:
        Console(file=stream, width=wanted).print(grid)


def _grid(columns: pa.Schema, rows: Sequence[Sequence[str]]) -> Table:
    grid = Table(header_style="bold", row_styles=("", "dim"))
    for column in columns:
        grid.add_column(column.name, justify="right" if _is_number(column.type) else "left")
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    return grid


def _print_blocks(console: Console, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for number, row in enumerate(rows, start=1):
        console.rule(Text(f"{number} of {len(rows)}"), align="left", style="dim")
        block = Table.grid(padding=(0, 2))
        for name, cell in zip(names, row, strict=True):
            block.add_row(Text(name, style="bold"), Text(cell, overflow="fold"))
        console.print(block)


def _is_number(arrow: pa.DataType) -> bool:
    return pa.types.is_integer(arrow) or pa.types.is_floating(arrow) or pa.types.is_decimal(arrow)


def _cell(value: Any) -> str:
    """Short enough for the eye: seconds without a zero fraction, six significant digits."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return f"{value:.6g}" if isinstance(value, float) else _text(value)


def _write_csv(table: pa.Table, stream: IO[str]) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(table.schema.names)
    writer.writerows([_text(value) for value in row] for row in _rows(table))


def _text(value: Any) -> str:
    """Nothing for null; lists as JSON; all else as JSON has it, without quotation marks."""
    plain = _plain(value)
    if plain is None:
        return ""
    return plain if isinstance(plain, str) else json.dumps(plain)


def _write_json(table: pa.Table, stream: IO[str]) -> None:
    names = table.schema.names
    lines = (json.dumps(dict(zip(names, map(_plain, row), strict=True)), ensure_ascii=False) for row in _rows(table))
    stream.write("[" + ",\n ".join(lines) + "]\n")


def _rows(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    for batch in table.to_batches():
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _plain(value: Any) -> Any:
    """A value that JSON can hold: RFC 3339 times, bytes as base64, null for NaN and infinity."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return [_plain(item) for item in value] if isinstance(value, list) else value


def summary(answer: Answer) -> str:
    """Rows, seconds, scanned bytes and what they cost in one line."""
    rows = f"{answer.table.num_rows:,} rows" if answer.table.num_rows != 1 else "1 row"
    rows = f"the first {rows}, there are more (--limit)" if answer.more else rows
    return f"{rows} from {answer.engine} in {answer.seconds:.1f} s{_scanned(answer)}"


def _scanned(answer: Answer) -> str:
    if answer.scanned_bytes is None:
        return ""
    size = f"{answer.scanned_bytes / 1e6:,.1f} MB"
    cost = f"{price_usd(answer.scanned_bytes):.5f} USD"
    return f", {size} scanned, {cost}" if answer.engine == "athena" else f", plan of {size}; Athena would bill {cost}"


def price_usd(scanned_bytes: int) -> float:
    """What Athena bills for a query: whole megabytes, ten at least."""
    return max(math.ceil(scanned_bytes / 1e6), LEAST_MB) * USD_PER_TB / 1e6
