"""A storm of alarms over functions that are killed, and alarms one by one in fair weather."""

import random
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles
from typing import Any

from cli import progress
from cli.orders_function import Clock, Faults
from cli.orders_place import Line, Place, System

SPEED = 6.0  # of the clock: a lease of 150 s is over after 25, and no step takes that long
CHUNK = 50  # cases whose messages are mixed
STEPS = 800  # that a process lives on average; a new order takes some thirty of them
FEWEST_STEPS = 60  # of a small storm, so that some die in it
ERRORS = 0.05
PATIENCE_S = 900  # of nothing becoming better, then it is given up


def storm(url: str, system: System, folder: Path, *, cases: int, repeats: int) -> dict[str, Any]:
    """Cases told again and again, to two functions that race for them and die, by way of answers that get lost."""
    random.seed(7)
    began = time.monotonic()
    place = Place(url, system, Clock(speed=SPEED), folder)
    faults = Faults(folder, steps=max(FEWEST_STEPS, min(STEPS, 3 * cases)), errors=ERRORS)
    case_ids: list[str] = []
    with place.functions(faults) as functions, progress.shown("cases", total=cases) as advance:
        line = Line(place, functions)
        while len(case_ids) < cases:
            numbers = range(len(case_ids), min(cases, len(case_ids) + CHUNK))
            fresh = place.open(numbers, of=cases)
            told = fresh * (1 + repeats)
            random.shuffle(told)
            line.send(told)
            while line.ready > CHUNK:
                line.work()
            case_ids += fresh
            advance(len(fresh))
        until_quiet(place, line)
        deaths = sum(one.deaths for one in functions)
    found = place.count(case_ids)
    killed = faults.killed()
    return found | {
        "deaths": deaths,
        "steps_died_at": len(set(killed)),
        "steps_there_are": len(faults.steps_seen()),
        "dead_letters": line.dead_letters,
        "storm_s": round(time.monotonic() - began, 1),
    }


def until_quiet(place: Place, line: Line) -> None:
    """Until every message is done with, and no order is behind its case."""
    best, since = None, time.monotonic()
    while True:
        line.work()
        if line.ready:
            continue
        left = (line.waiting, place.behind())
        if left[1] == 0:
            line.rest()
            return
        if best is None or left < best:
            best, since = left, time.monotonic()
        if time.monotonic() - since > PATIENCE_S:
            return  # what is missing is counted
        time.sleep(0.2)


def one_by_one(url: str, system: System, folder: Path, *, cases: int) -> dict[str, Any]:
    """From the moment a case is stored until its order was made and read back, nothing being wrong."""
    place = Place(url, system, Clock(), folder)
    seconds: list[float] = []
    with place.functions(Faults(folder), number=1) as functions:
        line = Line(place, functions, sweep_s=3600)
        for number in range(cases + 1):
            began = time.monotonic()
            line.send(place.open([number], of=cases + 1))
            while line.waiting:
                line.work()
            seconds.append(time.monotonic() - began)
    return {
        f"alarm_to_order_{name}_s": value for name, value in _spread(seconds[1:]).items()
    }  # the first one starts it


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    cuts = quantiles(seconds, n=20) if len(seconds) > 1 else [seconds[0]] * 19
    return {"p50": round(cuts[9], 3), "p95": round(cuts[18], 3)}
