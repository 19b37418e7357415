"""Measure the backtest: the whole command on files of 90 days, hourly, three axes and temperature, of one position and
of many, with every indicator; and the rows a second that detection judges by itself.

The history is generated: levels that wander, and on every tenth position a fault that grows at the end.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from telltale.core import detect
from telltale.core.backtest import READ
from telltale.core.judgement import AXES
from telltale.core.plant import Limits, Position

from cli import history
from cli.arguments import at_least_one
from cli.deployment import ROOT

DAYS = 90
A_FILE = 50  # positions
START_MS = 1_780_000_000_000
HOUR_MS = 3_600_000
STATE_ROWS = 100  # rows of a position that are judged between its state's coming and going
POSITION = Position(
    "plant/hall-00/pump-0000/de",
    machine_class="iso10816-1/II",
    limits=Limits(temperature_warning_c=80, temperature_alarm_c=95),
)
# Shares and offsets have other sizes than levels; the rest is about 1.
LEVELS = {"repeated_share": 0.001, "clipped_share": 0.0005, "drift_g": 0.001, "count_g": 0.0005, "crest": 4.0}
FIXED = {"env_low_hz": 2000.0, "env_high_hz": 10_000.0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--positions", type=at_least_one, default=1000, metavar="N", help="of the plant (1000)")
    parser.add_argument("--jobs", type=at_least_one, default=2, metavar="N", help="processes (2)")


def figures(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was measured, by name."""
    with tempfile.TemporaryDirectory() as folder:
        names = [f"plant/hall-{n // 100:02d}/pump-{n:04d}/de" for n in range(arguments.positions)]
        files = [
            written(Path(folder) / f"features-{at:05d}.parquet", names[at : at + A_FILE])
            for at in range(0, len(names), A_FILE)
        ]
        one = written(Path(folder) / "one.parquet", names[:1])
        rows = history.kept(history.Files([one]), names[:1], ("features",))[0].rows()
        alone, all_of_them = timed([one], 1), timed(files, arguments.jobs)
        return {
            "rows_per_s": round(rows_per_s(rows)),
            "backtest_one_s": round(alone.wall_s, 2),
            "backtest_one_cpu_s": round(alone.cpu_s, 2),
            "backtest_s": round(all_of_them.wall_s, 1),
            "backtest_cpu_s": round(all_of_them.cpu_s, 1),
            "backtest_positions": len(names),
            "backtest_rows": len(names) * DAYS * 24,
        }


def failed(found: Mapping[str, Any]) -> bool:
    """The figures are figures; none is a failure."""
    return False


def written(file: Path, names: Sequence[str]) -> Path:
    """The rows of `features` of these positions, as a query would export them, sorted by position."""
    with pq.ParquetWriter(file, _table(names[0], 0).schema, compression="zstd", compression_level=1) as writer:
        for seed, name in enumerate(names):
            writer.write_table(_table(name, seed))
    return file


def _table(name: str, seed: int) -> pa.Table:
    chance = np.random.default_rng([seed, *name.encode()])
    hours = DAYS * 24
    load = np.exp(0.1 * np.sin(np.arange(hours) * 2 * np.pi / 24) + chance.normal(0, 0.05, hours))
    fault = np.ones(hours)
    if seed % 10 == 9:
        fault[-400:] = np.geomspace(1, 5, 400)
    count = hours * len(AXES)
    level = np.repeat(load * fault, len(AXES))
    noise = chance.normal(0, 0.03, (len(READ), count))
    columns = {
        one: np.full(count, FIXED[one]) if one in FIXED else LEVELS.get(one, 1.0) * level * np.exp(noise[place])
        for place, one in enumerate(READ)
    }
    columns["velocity_2_rms_mm_s"] = columns["velocity_rms_mm_s"] * 1.05
    columns["mean_g"] = noise[0] / 10
    t_ms = np.repeat(START_MS + HOUR_MS * np.arange(hours), len(AXES))
    return pa.table(
        {
            "position": pa.array([name] * count),
            "capture_id": pa.array([f"s@{t}" for t in t_ms.tolist()]),
            "sensor": pa.array(["s"] * count),
            "axis": pa.array(list(AXES) * hours),
            "t": pa.array(t_ms, pa.timestamp("ms", "UTC")),
            "fs_hz": np.full(count, 25_600.0),
            "speed_rpm": np.full(count, 1480.0),
            "temperature_c": np.repeat(40 + 5 * load, len(AXES)),
            **columns,
        }
    )


@dataclass(frozen=True)
class Timed:
    """Seconds on the clock, and of the processor: the latter does not grow where others use it too."""

    wall_s: float
    cpu_s: float


def timed(files: Sequence[Path], jobs: int) -> Timed:
    """The whole command, as a person would start it."""
    command = [sys.executable, "-m", "cli", "backtest", "--set", "growth=2", "--jobs", str(jobs), "--files"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("lambdas", "scripts"))}
    started, used = time.perf_counter(), _children_cpu_s()
    subprocess.run([*command, *map(str, files)], check=True, stdout=subprocess.DEVNULL, env=environment)
    return Timed(time.perf_counter() - started, _children_cpu_s() - used)


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def rows_per_s(rows: Sequence[detect.Row]) -> float:
    """Rows a second on one core, with the state unpacked before and packed after each STATE_ROWS of them."""
    state = detect.State.new().pack()
    started = time.perf_counter()
    for at in range(0, len(rows), STATE_ROWS):
        known = detect.State.unpack(state)
        for row in rows[at : at + STATE_ROWS]:
            known, _, _ = detect.step(known, row, POSITION)
        state = known.pack()
    return len(rows) / (time.perf_counter() - started)
