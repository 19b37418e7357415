"""Whether the rate of false cases that a user asks for is the rate that comes: on simulated healthy plants of several
kinds, tuned on a year or a quarter as `telltale tune` does, and counted in the year that follows: on the same machines,
which is what a plant asks, and on those of another plant of the same kind.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from telltale.core import tuning
from telltale.core.settings import DEFAULTS
from telltale.core.tuning import FACTORS, ROWS, Trace, Tuned

from cli import progress, quiet_plant
from cli.arguments import at_least_one
from cli.quiet_plant import PLANTS, YEAR

ASKED = (0.03, 0.1, 0.3, 1.0, 3.0)  # cases a machine-year
PASTS: Mapping[str, int] = {"year": YEAR, "quarter": YEAR // 4}  # rows that are tuned on
SEED = 21
MOST_CASES = 100  # a year and machine, to which rates are looked up

Rates = Mapping[tuple[int, int], NDArray[np.float64]]  # n of m → by factor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plants", type=at_least_one, default=9, metavar="N", help="of each kind (9)")
    parser.add_argument("--machines", type=at_least_one, default=100, metavar="N", help="of each plant (100)")
    parser.add_argument("--kinds", nargs="+", choices=PLANTS, default=list(PLANTS), metavar="KIND", help="only these")


def figures(args: argparse.Namespace) -> dict[str, Any]:
    """By kind of plant, past and rate asked for: the mean rate that came, on the same machines and on others."""
    found: dict[str, Any] = {}
    near: list[bool] = []
    with progress.shown("plants", total=len(args.kinds) * args.plants) as advance:
        for kind in args.kinds:
            tuned, came = [], []
            for plant in range(args.plants):
                best, rates = _plant(kind, SEED + plant, args.machines)
                tuned.append(best)
                came.append(rates)
                advance(1)
            others = [*came[1:], came[0]]
            for past in PASTS:
                for place, asked in enumerate(ASKED):
                    settings = [one[past][place] for one in tuned]
                    same, other = _mean(settings, came), _mean(settings, others)
                    found[f"{kind}_{past}_{asked:g}"] = same
                    found[f"{kind}_{past}_{asked:g}_other_machines"] = other
                    near += [same is not None and asked / 2 <= same <= 2 * asked]
    return found | {"within_a_factor_of_two": sum(near), "of": len(near)}


def failed(_: Mapping[str, Any]) -> bool:
    """The figures are figures; none is a failure."""
    return False


def _plant(kind: str, seed: int, machines: int) -> tuple[dict[str, list[Tuned | None]], Rates]:
    """What is found in the first year of a plant, by past, and the rates of its second year."""
    traces = quiet_plant.traces(machines=machines, rows=2 * YEAR, seed=seed, plant=PLANTS[kind])
    best = {
        past: tuning.tuned([_part(one, YEAR - rows, YEAR) for one in traces], ASKED, clear=DEFAULTS.clear)
        for past, rows in PASTS.items()
    }
    after = [_part(one, YEAR, 2 * YEAR) for one in traces]
    return best, {
        rows: tuning.counts(after, n=rows[0], m=rows[1], clear=DEFAULTS.clear, most=MOST_CASES * machines).sum(axis=1)
        / machines
        for rows in ROWS
    }


def _part(trace: Trace, begin: int, end: int) -> Trace:
    rows = slice(begin, end)
    return replace(trace, t_ms=trace.t_ms[rows], scores=trace.scores[rows], healthy=trace.healthy[rows])


def _mean(settings: Sequence[Tuned | None], came: Sequence[Rates]) -> float | None:
    """None where no plant's past said anything."""
    pairs = zip(settings, came, strict=True)
    found = [rates[one.n, one.m][int(np.abs(FACTORS - one.factor).argmin())] for one, rates in pairs if one is not None]
    return round(float(np.mean(found)), 4) if found else None
