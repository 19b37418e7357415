"""Measure work orders, in a real Odoo 19 and in the logbook: is there exactly one for each case, and how soon?

Each is put through four scenarios, on a local AWS of its own: a storm of alarms, each told twenty times more, while the
two functions that work on them race, are killed at any of their steps, and one answer in twenty of the maintenance
system is an error although it has done what it was asked for; a day without the maintenance system; alarms one by one;
and messages that were forged or replayed, for each adapter that takes any. Orders are counted in the maintenance
system itself. In the storm a minute of waiting passes in ten seconds.
"""

import argparse
import logging
from collections.abc import Mapping
from typing import Any

from cli import bench_place, orders_outage, orders_storm
from cli.arguments import at_least_one
from cli.orders_forgery import tried
from cli.orders_place import System, folder, logbook, real_odoo
from cli.peers import odoo

MOST_OUTAGE = 1000  # cases of the day without the system
CALLS = 1500  # a minute that Odoo is said to allow in that scenario; it has no limit of its own

# What is promised. doubled, lost and forged_accepted are of each system.
LIMITS: Mapping[str, float] = {
    "doubled": 0,
    "lost": 0,
    "outage_doubled": 0,
    "outage_lost": 0,
    "outage_recovery_s": 300.0,
    "calls_in_a_minute": CALLS,
    "alarm_to_order_p95_s": 3.0,
    "forged_accepted": 0,
    "forged_accepted_by_others": 0,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cases", type=at_least_one, default=10_000, metavar="N", help="in the storm (10000)")
    parser.add_argument("--repeats", type=at_least_one, default=20, metavar="N", help="of each alarm (20)")
    parser.add_argument("--forged", type=at_least_one, default=10_000, metavar="N", help="messages tried (10000)")
    parser.add_argument("--only", choices=("odoo", "logbook"), help="one of the two maintenance systems")


def figures(arguments: argparse.Namespace) -> dict[str, Any]:
    logging.getLogger("botocore").setLevel(logging.ERROR)
    found: dict[str, Any] = {}
    if arguments.only != "logbook":
        with odoo.running(workers=2) as server:
            found |= _of(real_odoo(server), arguments)
        with odoo.running(workers=2) as server:
            found |= _outage(real_odoo(server, calls_per_minute=CALLS), arguments)
    if arguments.only != "odoo":
        found |= _of(logbook(), arguments)
        found |= _outage(logbook(), arguments)
    print(f"  {arguments.forged} forged or replayed messages to Odoo, to the logbook, and to all others", flush=True)
    with bench_place.aws() as url, folder() as here:
        forged = tried(url, here, arguments.forged)
    for name in ("odoo", "logbook"):
        found[f"{name}_forged_accepted"] = forged.pop(name)
    return found | {"forged_tried_each": arguments.forged, "forged_accepted_by_others": sum(forged.values())}


def _of(system: System, arguments: argparse.Namespace) -> dict[str, Any]:
    print(f"  {system.name}: {arguments.cases} cases, each told {1 + arguments.repeats} times", flush=True)
    with bench_place.aws() as url, folder() as here:
        found = orders_storm.storm(url, system, here, cases=arguments.cases, repeats=arguments.repeats)
    with bench_place.aws() as url, folder() as here:
        found |= orders_storm.one_by_one(url, system, here, cases=min(200, arguments.cases))
    return {f"{system.name}_{name}": value for name, value in found.items()}


def _outage(system: System, arguments: argparse.Namespace) -> dict[str, Any]:
    cases = min(MOST_OUTAGE, arguments.cases)
    print(f"  {system.name}: a day without it, {cases} cases", flush=True)
    with bench_place.aws() as url, folder() as here:
        found = orders_outage.day_without(url, system, here, cases=cases)
    return {f"{system.name}_{name}": value for name, value in found.items()}


def failed(found: Mapping[str, Any]) -> bool:
    return any(_beyond(name, value) for name, value in found.items())


def _beyond(name: str, value: Any) -> bool:
    limit = LIMITS.get(name, LIMITS.get(name.partition("_")[2]))
    return limit is not None and value > limit


def show(found: Mapping[str, Any]) -> None:
    for name, value in found.items():
        print(f"{name:32} {value}{'   more than was promised' if _beyond(name, value) else ''}")
