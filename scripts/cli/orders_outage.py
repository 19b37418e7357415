"""A day without the maintenance system, and how long after its return every order is there."""

import bisect
import time
from pathlib import Path
from typing import Any

from cli import progress
from cli.orders_function import Clock, Faults
from cli.orders_place import SWEEP_S, Line, Place, System

DAY_S = 86_400
SWEEPS_S = 900  # between sweeps while it is away: they find the same, and a day has 1440 minutes
LOOK_S = 1.0  # how often the orders are counted once it is back
GIVEN_UP_S = 1800


def day_without(url: str, system: System, folder: Path, *, cases: int) -> dict[str, Any]:
    """The clock jumps through the day. When the system is back it runs as the wall's, and the next sweep is as far off
    as it can be.
    """
    clock, faults = Clock(), Faults(folder)
    place = Place(url, system, clock, folder)
    before = sum(system.orders(place).values())
    faults.down.value = 1
    case_ids: list[str] = []
    with place.functions(faults) as functions:
        line = Line(place, functions, sweep_s=SWEEPS_S)
        with progress.shown("cases while it is away", total=cases) as advance:
            for number in range(cases):
                clock.go(s=DAY_S / cases)
                fresh = place.open([number], of=number + 1)
                line.send(fresh)
                while line.ready:
                    line.work()
                line.rest()
                case_ids += fresh
                advance(1)
        refused = sum(system.orders(place).values()) - before
        line.every(SWEEP_S)
        faults.down.value = 0
        back = time.monotonic()
        recovered_s = _until_there(place, line, before + cases, back)
    found = place.count(case_ids)
    return {
        "outage_cases": cases,
        "outage_orders_while_away": refused,
        "outage_recovery_s": round(recovered_s, 1),
        "outage_doubled": found["doubled"],
        "outage_lost": found["lost"],
        "calls_in_a_minute": most_in_a_minute(faults.asked_s()),
    }


def _until_there(place: Place, line: Line, wanted: int, back: float) -> float:
    """Seconds from its return until all orders are there."""
    looked = back
    with progress.shown("orders since it is back", total=wanted) as advance:
        seen = 0
        while time.monotonic() - back < GIVEN_UP_S:
            line.work()
            if time.monotonic() - looked < LOOK_S:
                continue
            looked = time.monotonic()
            there = sum(place.system.orders(place).values())
            advance(there - seen)
            seen = there
            if there >= wanted:
                return looked - back
    return time.monotonic() - back


def most_in_a_minute(times_s: list[float]) -> int:
    """The most that lie within any 60 seconds; sorted times."""
    return max((bisect.bisect_left(times_s, one + 60) - place for place, one in enumerate(times_s)), default=0)
