"""Measure the backtest: the whole command on files of 90 days, hourly, three axes and temperature, of one position and
of many, with every indicator; and the rows a second that detection judges on one core.

A row is one of the table features, an axis of a capture; a message of three axes and a temperature has three, and ten
verdicts. rows_per_s : one message of each of a thousand positions at a time, as the stream brings them; states come and
go packed, and every verdict is put into words, as the lake keeps them. rows_per_s_without_words : the same where nobody
reads the verdicts, as in a backtest. rows_per_s_one_by_one : by detect.step. The clock is the processor's, one core's.

The history is generated: levels that wander, and on every tenth position a fault that grows at the end.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from telltale.core import batch, detect
from telltale.core.backtest import READ
from telltale.core.judgement import AXES, Row, Verdict
from telltale.core.plant import Limits, Position
from telltale.core.state import State

from cli import history
from cli.arguments import at_least_one
from cli.deployment import ROOT

DAYS = 90
A_FILE = 50  # positions
START_MS = 1_780_000_000_000
HOUR_MS = 3_600_000
WARM_UP = 150  # messages of each position before the clock runs: what is normal is known then
MEASURED = 20  # messages of each position
A_STRETCH = 1000  # positions that are heard together
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
        rows = _as_messages(history.kept(history.Files([one]), names[:1], ("features",))[0].rows())
        alone, all_of_them = timed([one], 1), timed(files, arguments.jobs)
        return {
            **rows_per_s(rows),
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


def rows_per_s(rows: Sequence[Row]) -> dict[str, int]:
    """What one core judges, by name; see the module."""
    states, _ = _judged([State.new().pack()] * A_STRETCH, rows[:WARM_UP], in_words=False)
    heard = rows[WARM_UP : WARM_UP + MEASURED]
    in_words, without, alone = (
        _seconds(lambda: _judged(states, heard, in_words=True)),
        _seconds(lambda: _judged(states, heard, in_words=False)),
        _seconds(lambda: _one_by_one(states[:10], heard)),
    )
    messages = A_STRETCH * MEASURED
    return {
        "rows_per_s": round(messages * len(AXES) / in_words),
        "messages_per_s": round(messages / in_words),
        "rows_per_s_without_words": round(messages * len(AXES) / without),
        "rows_per_s_one_by_one": round(10 * MEASURED * len(AXES) / alone),
    }


def _judged(states: Sequence[bytes], rows: Sequence[Row], *, in_words: bool) -> tuple[Sequence[bytes], int]:
    """The states after these rows of each position, and how many verdicts were read."""
    positions, read = [POSITION] * len(states), 0
    for row in rows:
        judged = batch.judge(states, [(place, row) for place in range(len(states))], positions, keep=_verdicts)
        states = judged.states
        if in_words:
            read += sum(len(_read(judged, place)) for place in range(len(states)))
    return states, read


def _verdicts(made: batch.Stepped) -> list[Verdict]:
    return made.verdicts


def _read(judged: batch.Judged[list[Verdict]], place: int) -> Sequence[Verdict]:
    made = judged.by_hand.get(place)
    if isinstance(made, ValueError):
        raise made
    return judged.verdicts(place) if made is None else made


def _one_by_one(states: Sequence[bytes], rows: Sequence[Row]) -> None:
    for row in rows:
        states = [detect.step(State.unpack(state), row, POSITION)[0].pack() for state in states]


def _as_messages(rows: Sequence[Row]) -> list[Row]:
    """With plain dictionaries, as they are decoded from the stream."""
    return [replace(row, axes={name: dict(axis) for name, axis in row.axes.items()}) for row in rows]


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started
