"""How good the warnings are, and how fast people are, by what technicians found.

  telltale scorecard                                   by site
  telltale scorecard --by asset --from 2026-09-01      by asset, rule, month or site
  telltale scorecard --by month --json                 for programs; --csv for a sheet
  telltale scorecard missed add POSITION --at 2026-11-03T06:00Z --mode BLOCKAGE --note "tripped, nobody was warned"
  telltale scorecard missed list
  telltale scorecard missed remove ID --note "that was planned"

Read from the lake's tables cases, work_orders and labels, so a few minutes old. docs/scorecard.md defines each figure.
A fault that nobody was warned of is known only when somebody tells: `missed add` keeps it as a label, which backtest
and tune count too.
"""

import argparse
import csv
import getpass
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import inf
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.table import Table
from telltale.adapters.feature_stream import encode_control
from telltale.adapters.kinesis import put_all
from telltale.adapters.registry import Registry
from telltale.core import missed, scorecard
from telltale.core.detect import Control
from telltale.core.scorecard import COLUMNS, Figures, Missed, Story

from cli import sql
from cli.codes import add_codes, codes_of
from cli.deployment import Deployment, current
from cli.history import instant, milliseconds
from cli.listing import moment
from cli.modes import find
from cli.problem import Problem

CASES = 'SELECT case_id, revision, change, position, t, opened_at, rule, failure_mode, action_taken, "by" FROM cases'
ORDERS = "SELECT case_id, revision, t, changed_at, status FROM work_orders"
LABELS = "SELECT case_id, position, t, opened_at, failure_mode, failure_cause, action_taken, note FROM labels"
WATCHED = "SELECT position, min(t) AS first, max(t) AS last FROM position_daily WHERE judged > 0 GROUP BY position"
ALL = "all"
DAY_MS = 86_400_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(action="show")
    parser.add_argument("--by", choices=scorecard.BY, default="site", help="what to tell apart (default: %(default)s)")
    parser.add_argument(
        "--from", dest="from_ms", type=instant, default=-inf, metavar="T", help="cases opened since then"
    )
    parser.add_argument("--to", dest="to_ms", type=instant, default=inf, metavar="T", help="and before that")
    parser.add_argument("--position", default="", metavar="PATH", help="a position, or what paths begin with")
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="for programs")
    forms.add_argument("--csv", action="store_true", help="for a sheet")
    words = parser.add_subparsers(metavar="missed")
    faults = words.add_parser("missed", help="faults that nobody was warned of")
    actions = faults.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="those that are known")
    add = actions.add_parser("add", help="one more")
    add.add_argument("where", metavar="POSITION", help="its path, or the end of it")
    add.add_argument(
        "--at", required=True, type=instant, metavar="T", help="when it was found; UTC unless it says otherwise"
    )
    add_codes(add, cause="UNDETERMINED", action="OTHER")
    remove = actions.add_parser("remove", help="it was none")
    remove.add_argument("id", metavar="ID", help="as `missed list` shows it")
    remove.add_argument("--note", default="", help="in your words")
    for action in (add, remove):
        action.add_argument("--who", default=getpass.getuser(), help="who says so (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    deployment = current()
    if args.action == "add":
        _add(deployment, args)
    elif args.action == "remove":
        _remove(deployment, args)
    elif args.action == "list":
        _list(deployment)
    else:
        _show(deployment, args)
    return 0


def _show(deployment: Deployment, args: argparse.Namespace) -> None:
    found, unseen = read(deployment, args.position.rstrip("/"))
    lines = scorecard.scorecard(found, unseen, by=args.by, from_ms=args.from_ms, to_ms=args.to_ms)
    whole = scorecard.scorecard(found, unseen, by="site", from_ms=args.from_ms, to_ms=args.to_ms)
    kept = [one for one in found if args.from_ms <= one.opened_ms < args.to_ms]
    total = scorecard.figures(kept, [one for one in unseen if args.from_ms <= one.at_ms < args.to_ms])
    if args.json:
        print(json.dumps({"by": args.by, "lines": _plain(lines), "total": asdict(total)}, indent=2))
    elif args.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow([args.by, *COLUMNS])
        writer.writerows([name, *asdict(one).values()] for name, one in lines.items())
    elif not whole:
        print("no cases, and no fault that was missed")
    else:
        _table(args.by, {**lines, ALL: total})
        print(
            "with other settings: `telltale backtest --all --set NAME=VALUE`; for a rate of false ones: `telltale tune`"
        )


def read(deployment: Deployment, path: str = "") -> tuple[list[Story], list[Missed]]:
    """The cases and the faults without one, at the positions that begin so."""
    labels = [row for row in rows_of(deployment, LABELS) if _is_below(row, path)]
    changes = [row for row in rows_of(deployment, CASES) if _is_below(row, path)]
    found = scorecard.stories(changes, rows_of(deployment, ORDERS))
    imported = any(not row["case_id"].startswith(("case-", missed.PREFIX)) for row in labels)
    days = rows_of(deployment, WATCHED) if imported else []
    watched = {row["position"]: (row["first"], row["last"] + DAY_MS) for row in days}
    return found, scorecard.missed(labels, found, watched)


def rows_of(deployment: Deployment, text: str) -> list[dict[str, Any]]:
    """What the lake answers, times in milliseconds; nothing from a table that there is not yet."""
    name = text.rpartition(" FROM ")[2].split()[0]
    if not _is_there(deployment, name):
        return []
    table = sql.run(deployment, text).table
    columns = {field.name: _plain_column(table[field.name]) for field in table.schema}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _is_there(deployment: Deployment, name: str) -> bool:
    glue = deployment.client("glue")
    try:
        glue.get_table(DatabaseName=deployment.outputs["GlueDatabase"], Name=name)
    except glue.exceptions.EntityNotFoundException:
        return False
    return True


def _plain_column(column: pa.ChunkedArray) -> list[Any]:
    if not pa.types.is_timestamp(column.type):
        return list(column.to_pylist())
    known = iter(milliseconds(column.drop_null()))
    return [next(known) if valid else None for valid in column.is_valid().to_pylist()]


def _is_below(row: Mapping[str, Any], path: str) -> bool:
    return not path or row["position"] == path or row["position"].startswith(f"{path}/")


def _plain(lines: Mapping[str, Figures]) -> dict[str, dict[str, Any]]:
    return {name: asdict(one) for name, one in lines.items()}


def _table(by: str, lines: Mapping[str, Figures]) -> None:
    table = Table(box=None, pad_edge=False)
    for name in (by, *COLUMNS):
        table.add_column(name.replace("_percent", " %").replace("_h", " h"), justify="left" if name == by else "right")
    for name, one in lines.items():
        table.add_row(name, *("–" if value is None else f"{value:g}" for value in asdict(one).values()))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


# ---- faults that were missed -------------------------------------------------------------------------


def _add(deployment: Deployment, args: argparse.Namespace) -> None:
    positions = Registry(deployment.client("dynamodb"), deployment.outputs["RegistryTable"]).plant().positions
    position = find(positions, args.where)
    codes = codes_of(args)
    if codes.failure_mode == "NO_ISSUE":
        raise Problem("--mode NO_ISSUE: a fault that was missed is one", "What was it? UNDETERMINED, if nobody knows.")
    if args.at > _now_ms():
        raise Problem(f"--at {moment(args.at)} UTC is still to come", "Say when it was found.")
    case_id = missed.missed_id(position.id, args.at)
    _tell(deployment, position.id, case_id, args.at, codes.as_dict(), args.who)
    print(f"{case_id}: {codes.failure_mode} at {position.id}, found {moment(args.at)} UTC; in the lake in some minutes")


def _remove(deployment: Deployment, args: argparse.Namespace) -> None:
    known = [row for row in _told(deployment) if row["case_id"].startswith(args.id)]
    if len({row["case_id"] for row in known}) != 1:
        raise Problem(f"{args.id!r} begins {len(known)} of those that are known", "`telltale scorecard missed list`")
    [row] = known
    codes = {"failure_mode": "NO_ISSUE", "failure_cause": "UNDETERMINED", "action_taken": "NO_ACTION"}
    _tell(deployment, row["position"], row["case_id"], row["opened_at"], {**codes, "note": args.note}, args.who)
    print(f"{row['case_id']} counts no longer; in the lake in some minutes")


def _list(deployment: Deployment) -> None:
    told = _told(deployment)
    for row in told:
        when, note = moment(row["opened_at"]), row["note"] or ""
        print(f"{row['case_id']}  {when}  {row['position']}  {row['failure_mode']}  {note}".rstrip())
    if not told:
        print("nobody told of one")


def _told(deployment: Deployment) -> Sequence[dict[str, Any]]:
    rows = sorted(rows_of(deployment, LABELS), key=lambda row: int(row["t"]))
    latest = {row["case_id"]: row for row in rows}
    found = [row for row in latest.values() if missed.is_missed(row["case_id"], row)]
    return sorted(found, key=lambda row: int(row["opened_at"]))


def _tell(deployment: Deployment, position: str, case_id: str, at_ms: int, codes: dict[str, str], who: str) -> None:
    """Over the stream that detection reads, which keeps the labels."""
    control = Control(missed.KIND, case_id, _now_ms(), who, codes, until_ms=at_ms)
    record = position, encode_control(position, control)
    put_all(deployment.client("kinesis"), deployment.outputs["FeaturesStream"], [record])


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
