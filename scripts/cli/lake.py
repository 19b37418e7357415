"""The tables of the lake: how large, how tidy, how far back they can be read; and maintenance at once.

telltale lake [--json]              files, rows, bytes, snapshots, and when each table was last maintained
telltale lake maintain [--table T]  do now what the schedule does every hour: compact, merge, thin, delete
telltale lake retention [--json]    how long data is kept at each site, and what the next look will take
telltale lake erase …               take all of a site, a position or a sensor out for good
"""

import argparse
import json
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from telltale.core import schema

from cli import lake_erase, lake_retention
from cli.deployment import Deployment, current
from cli.lake_status import Standing, standings
from cli.listing import moment
from cli.problem import Problem

PATIENCE_S = 900  # the function's own limit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the same as JSON")
    parser.set_defaults(act=_show)
    actions = parser.add_subparsers(metavar="ACTION")
    maintain = actions.add_parser("maintain", help="maintain the tables now")
    names = [table.name for table in schema.TABLES]
    maintain.add_argument("--table", choices=names, metavar="T", help=", ".join(names))
    maintain.set_defaults(act=_maintain)
    for name, module, summary in (
        ("retention", lake_retention, "how long data is kept, and what has had its time"),
        ("erase", lake_erase, "take all of a site, a position or a sensor out for good"),
    ):
        more = actions.add_parser(name, help=summary, description=module.__doc__)
        module.add_arguments(more)
        more.set_defaults(act=module.run)


def run(args: argparse.Namespace) -> int:
    args.act(args)
    return 0


def _show(args: argparse.Namespace) -> None:
    found = standings(current())
    if args.json:
        print(json.dumps([asdict(one) for one in found]))
    elif not found:
        print("no table yet: the first commit makes them")
    else:
        Console().print(_picture(found))
        for one in found:
            if one.problem:
                Console().print(f"{one.table}: {one.problem}", style="red", markup=False)


def _picture(found: list[Standing]) -> Table:
    right = [Column(name, justify="right") for name in ("files", "rows", "size", "stored", "snapshots")]
    table = Table("table", *right, "readable since", "maintained", box=None, pad_edge=False)
    for one in found:
        table.add_row(
            one.table,
            f"{one.files:,}",
            f"{one.rows:,}",
            _size(one.bytes),
            _size(one.stored_bytes),
            str(one.snapshots),
            moment(one.oldest_ms) if one.oldest_ms else "",
            moment(one.maintained_ms) if one.maintained_ms else "never",
        )
    return table


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _maintain(args: argparse.Namespace) -> None:
    deployment = current()
    chosen = [one for one in standings(deployment) if args.table in (None, one.table)]
    if not chosen:
        raise Problem(f"there is no table {args.table or 'at all'} yet", "the first commit makes them all")
    for one in chosen:
        done = _invoke(deployment, {"table": one.table})
        if done["tables"]:
            print(f"{one.table}: {done['rewritten']} files rewritten, {done['deleted']} deleted")
        else:
            print(f"{one.table}: " + ("nothing done, a maintenance is under way" if one.files else "empty"))


def _invoke(deployment: Deployment, event: dict[str, str]) -> dict[str, int]:
    function = deployment.outputs.get("MaintainFunction")
    if function is None:
        raise Problem(
            "this deployment has no function that maintains the lake", "bring it up to date: `up` or `deploy`"
        )
    client = deployment.client("lambda", patience_s=PATIENCE_S)
    answer: dict[str, Any] = client.invoke(FunctionName=function, Payload=json.dumps(event).encode())
    said = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise Problem(f"maintenance failed: {said.get('errorMessage', said)}", "the log says more: `telltale logs`")
    return {name: int(value) for name, value in said.items()}
