"""Streams of one tag: the three scores of the Numenta Anomaly Benchmark for our own decisions, false alarms on streams
without an event, simulated, and rows a second.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from telltale.core.streams import watch

from cli import nab, progress
from cli.problem import Problem

NAB = "nab"
QUIET_STREAMS, QUIET_ROWS, QUIET_SEED = 50, 4032, 12  # 14 days at 5 minutes, the most usual length in the benchmark
INTERVAL_S = 300.0
# Streams without an event, by generator and rows.
QUIET: Mapping[str, Callable[[np.random.Generator, int], NDArray[np.float64]]] = {
    "uniform": lambda rng, rows: rng.random(rows),
    "normal": lambda rng, rows: rng.standard_normal(rows),
    "heavy_tails": lambda rng, rows: rng.standard_t(3, rows),
    "mostly_zero": lambda rng, rows: rng.poisson(0.05, rows).astype(np.float64),
    "daily": lambda rng, rows: 3 * np.sin(2 * np.pi * times_s(rows) / 86_400) + rng.standard_normal(rows),
    "random_walk": lambda rng, rows: np.cumsum(rng.standard_normal(rows)),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help=f"holds {NAB}")


def figures(args: argparse.Namespace) -> dict[str, Any]:
    """What was measured, by name."""
    folder = args.data / NAB
    if not folder.is_dir():
        raise Problem(f"found no {NAB} in {args.data}", "Give the folder that holds it.")
    with progress.shown("streams", total=len(nab.names(folder)) + len(QUIET) * QUIET_STREAMS) as advance:
        scores = nab.figures(folder, advance=advance)
        quiet = {f"quiet_alarms_{name}": quiet_alarms(name, advance=advance) for name in QUIET}
    return {**scores, **quiet, "stream_rows_per_s": round(rows_per_s())}


def failed(_: Mapping[str, Any]) -> bool:
    return False


def quiet_alarms(name: str, *, streams: int = QUIET_STREAMS, advance: Callable[[int], None] = lambda _: None) -> float:
    """Alarms a stream, of this kind in QUIET; all of them are false."""
    rng = np.random.default_rng(QUIET_SEED)
    found = 0
    for _ in range(streams):
        found += int(watch(QUIET[name](rng, QUIET_ROWS), times_s(QUIET_ROWS)).is_anomaly.sum())
        advance(1)
    return round(found / streams, 2)


def rows_per_s(rows: int = 200_000) -> float:
    """Of one stream in one batch."""
    values, times = np.random.default_rng(QUIET_SEED).standard_normal(rows), times_s(rows)
    begin = time.perf_counter()
    watch(values, times)
    return rows / (time.perf_counter() - begin)


def times_s(rows: int) -> NDArray[np.float64]:
    return np.asarray(np.arange(rows) * INTERVAL_S)
