"""Whether the rate of false cases that a user asks for is the rate that comes: on simulated healthy plants of several
kinds, tuned on some machines, as `telltale tune` does, and counted on others.
"""

import argparse
from collections.abc import Mapping
from typing import Any

from telltale.core import tuning
from telltale.core.settings import DEFAULTS, Settings

from cli import progress, quiet_plant
from cli.arguments import at_least_one
from cli.bench_rtf import QUIET_MACHINES
from cli.quiet_plant import PLANTS, YEAR, Plant

ASKED = (0.03, 0.1, 0.3, 1.0, 3.0)  # cases a machine-year
# What is tuned on: machines, and hours of each. A plant after a year, and after a quarter.
PASTS: Mapping[str, tuple[int, int]] = {"100_years": (100, YEAR), "25_years": (100, YEAR // 4)}
SEED, OTHER_SEED = 21, 22


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--machines", type=at_least_one, default=QUIET_MACHINES, metavar="N", help="counted on, for a year each"
    )
    parser.add_argument("--plants", nargs="+", choices=PLANTS, default=list(PLANTS), metavar="KIND", help="some kinds")


def figures(args: argparse.Namespace) -> dict[str, Any]:
    """By kind of plant, past and rate asked for: the rate that came, or None where nothing was found."""
    found: dict[str, Any] = {}
    with progress.shown("rates", total=len(args.plants) * len(PASTS) * len(ASKED)) as advance:
        for name in args.plants:
            came: dict[Settings, float] = {}  # the same settings are counted once
            for past, (machines, rows) in PASTS.items():
                traces = quiet_plant.traces(machines=machines, rows=rows, seed=SEED, plant=PLANTS[name])
                best = tuning.tuned(traces, ASKED, clear=DEFAULTS.clear)
                for asked, one in zip(ASKED, best, strict=True):
                    key = f"{name}_{past}_{asked:g}"
                    found[key] = None
                    if one is not None:
                        settings = Settings.of(one.settings(DEFAULTS))
                        if settings not in came:
                            came[settings] = _came(PLANTS[name], settings, args.machines)
                        found[key] = round(came[settings], 4)
                    advance(1)
    known = [(float(key.rsplit("_", 1)[1]), rate) for key, rate in found.items() if rate is not None]
    return found | {"within_a_factor_of_two": sum(asked / 2 <= rate <= 2 * asked for asked, rate in known)}


def failed(_: Mapping[str, Any]) -> bool:
    """The figures are figures; none is a failure."""
    return False


def _came(plant: Plant, settings: Settings, machines: int) -> float:
    counted = quiet_plant.quiet_cases(
        machines=machines, rows=YEAR, seed=OTHER_SEED, plant=plant, settings=settings, repaired=False
    )
    return counted.per_machine_year
