"""Whether the rows after a repair tell if it was one: simulated machines that are closed as repaired, and were, or not.

Each machine has noise and a slow load of its own, as in `bench rates`. A fault raises envelope and peak of one axis by
a factor until its case is open; six hours later it is closed as repaired. Then the machine runs as before the fault,
somewhat louder on all it shows (it is another machine now), with what is left of the fault, or with all of it.
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import exp, sqrt
from random import Random
from typing import Any

from telltale.core.baseline import INDICATORS
from telltale.core.detect import Control, Row, State, step
from telltale.core.judgement import AXES
from telltale.core.plant import Position

from cli import progress
from cli.arguments import at_least_one

POSITION = Position("bench/hall/machine/bearing")
FAULTY = ("peak_g", "env_rms_g", "env_bpfo_g")
FAULTS = (2.5, 4.0, 8.0)  # times what is usual
LOUDER = (1.0, 1.1, 1.25, 1.4)  # times what was usual, of a repaired machine
HOUR_MS = 3_600_000
WARM_UP, MOST_ROWS, LATER = 130, 40, 6
REPLACED = {"failure_mode": "LUBRICATION", "failure_cause": "WEAR", "action_taken": "REPLACE"}
SEED = 31


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--machines", type=at_least_one, default=200, metavar="N", help="of each kind (200)")


def figures(args: argparse.Namespace) -> dict[str, Any]:
    """Shares of machines, in percent, by what was done: reopened where it was repaired, and where it was not."""
    found: dict[str, Counter[str]] = {}
    with progress.shown("machines", total=args.machines) as advance:
        for number in range(args.machines):
            machine = _Machine(Random(SEED + number))
            warm = machine.runs(State.new(), {}, rows=WARM_UP)
            for fault in FAULTS:
                state = machine.fails(warm, fault)
                if state is None:
                    found.setdefault(f"fault_{fault:g}", Counter())["no case"] += 1
                    continue
                for name, levels in _after(fault).items():
                    told = machine.is_judged(state, levels)
                    found.setdefault(name, Counter())[told] += 1
            advance(1)
    return {f"{name}_{told}": count for name, tally in found.items() for told, count in sorted(tally.items())}


def failed(_: Mapping[str, Any]) -> bool:
    """The figures are figures; none is a failure."""
    return False


def _after(fault: float) -> dict[str, Mapping[str, float]]:
    """How the machine runs after the closing: indicator → times what was usual; "" : all the others too."""
    repaired = {f"repaired_{louder:g}_times": {"": louder} for louder in LOUDER}
    left = {name: sqrt(fault) for name in FAULTY}
    return {**repaired, f"half_of_{fault:g}": left, f"all_of_{fault:g}": dict.fromkeys(FAULTY, fault)}


class _Machine:
    """One machine, hour by hour."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._noise, self._wander = chance.uniform(0.03, 0.2), chance.uniform(0.02, 0.15)
        self._memory = 1 - 1 / chance.uniform(6, 240)
        self._hour, self._load = 0, 0.0

    def runs(self, state: State, levels: Mapping[str, float], *, rows: int) -> State:
        for row in self._rows(levels, rows):
            state, _, _ = step(state, row, POSITION)
        return state

    def fails(self, state: State, fault: float) -> State | None:
        """The state six rows after the case was opened, closed as repaired; None where none was."""
        levels = dict.fromkeys(FAULTY, fault)
        for row in self._rows(levels, MOST_ROWS):
            state, _, _ = step(state, row, POSITION)
            if (case := state.open_case) is not None:
                state = self.runs(state, levels, rows=LATER)
                closing = Control("resolved", case.case_id, self._hour * HOUR_MS, "bench", REPLACED)
                return step(state, closing, POSITION)[0]
        return None

    def is_judged(self, state: State, levels: Mapping[str, float]) -> str:
        """What came of the repair."""
        for row in self._rows(levels, MOST_ROWS):
            state, _, changes = step(state, row, POSITION)
            if changes:
                return changes[0].change
        return "waits"

    def _rows(self, levels: Mapping[str, float], count: int) -> Iterator[Row]:
        for _ in range(count):
            self._hour += 1
            fresh = self._wander * sqrt(1 - self._memory**2)
            self._load = self._memory * self._load + fresh * self._chance.gauss(0, 1)
            axes = {axis: self._axis(levels if axis == "x" else {"": levels.get("", 1.0)}) for axis in AXES}
            at_ms = self._hour * HOUR_MS
            yield Row(f"c{self._hour}", "xyz", at_ms, at_ms, "s", axes=axes)

    def _axis(self, levels: Mapping[str, float]) -> dict[str, float | None]:
        return {name: levels.get(name, levels.get("", 1.0)) * self._value() for name in INDICATORS}

    def _value(self) -> float:
        return exp(self._load + self._noise * self._chance.gauss(0, 1))


def show(found: Mapping[str, Any]) -> None:
    """By what was done, how many were confirmed and how many reopened."""
    names: Sequence[str] = list(dict.fromkeys(name.rsplit("_", 1)[0] for name in found))
    for name in names:
        told = {key.rsplit("_", 1)[1]: count for key, count in found.items() if key.rsplit("_", 1)[0] == name}
        total = sum(told.values())
        shares = ", ".join(f"{what} {100 * count / total:.1f} %" for what, count in told.items())
        print(f"{name:22} {total:6d}  {shares}")
