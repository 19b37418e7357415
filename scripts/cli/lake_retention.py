"""How long data is kept at each site, and what the next look will take: `telltale lake retention`."""

import argparse
import json
import time
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from telltale.adapters.cases import Cases
from telltale.adapters.clearing import Cleared
from telltale.adapters.lake import Lake, file_access, glue_catalog
from telltale.adapters.registry import Registry
from telltale.adapters.retention import Facts, Retention
from telltale.core import schema
from telltale.core.retention import CLASSES, FOREVER

from cli.deployment import Deployment, current


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the same as JSON")


def run(args: argparse.Namespace) -> None:
    deployment = current()
    retention = Retention(
        deployment.client("dynamodb"),
        Registry(deployment.client("dynamodb"), deployment.outputs["RegistryTable"]),
        Cases(deployment.client("dynamodb"), deployment.outputs["CasesTable"]),
        table=deployment.outputs["ProgressTable"],
        now_ms=lambda: time.time_ns() // 1_000_000,
    )
    lake = lake_of(deployment)
    due = [one for table in schema.TABLES if (one := retention.plan(lake, table))]
    if args.json:
        print(json.dumps({"rules": rules(retention.facts), "due": [asdict(one) for one in due]}))
        return
    said = [name for name in CLASSES if any(name in kept for kept in retention.facts.rules.values())]
    if said:
        Console().print(_rules(retention.facts, said))
    rest = [name for name in CLASSES if name not in said]
    print(f"kept for good: {', '.join(rest)}" if rest else "every class of data ages somewhere")
    held = retention.facts.positions | retention.facts.assets
    if held:
        print(f"held by open cases: {', '.join(sorted(held))}")
    if due:
        Console().print(planned(due))
        print("the next maintenance takes these; `telltale lake maintain` starts it")
    else:
        print("nothing has had its time")


def lake_of(deployment: Deployment) -> Lake:
    """The tables, to be read and changed with the person's own rights."""
    return Lake(
        glue_catalog(deployment.client("glue"), file_access(deployment.environment)),
        database=deployment.outputs["GlueDatabase"],
        location=f"s3://{deployment.outputs['LakeBucket']}/lake",
    )


def rules(facts: Facts) -> dict[str, dict[str, int]]:
    """Site → class → days; what is kept for good is not there."""
    return {site: dict(said) for site, said in sorted(facts.rules.items())}


def _rules(facts: Facts, said: list[str]) -> Table:
    table = Table("site", *(Column(name, justify="right") for name in said), box=None, pad_edge=False)
    for site, kept in sorted(facts.rules.items()):
        table.add_row(site, *(f"{kept[name]} d" if name in kept else FOREVER for name in said))
    return table


def planned(found: list[Cleared], **more: list[Any]) -> Table:
    """What goes, table by table. more : a further column each, by name."""
    right = [Column(name, justify="right") for name in ("rows", "files", "of them rewritten", *more)]
    table = Table("table", *right, "days", box=None, pad_edge=False)
    for place, one in enumerate(found):
        days = one.first_day if one.first_day == one.last_day else f"{one.first_day} … {one.last_day}"
        further = [str(values[place]) for values in more.values()]
        table.add_row(one.table, f"{one.rows:,}", f"{one.files:,}", f"{one.rewritten:,}", *further, days or "")
    return table
