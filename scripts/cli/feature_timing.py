"""Times of the signal core and of the extract function, measured side by side on one core, as one flat JSON object.

Run as a process of its own (`python -m cli.feature_timing ROUNDS`), which `telltale bench features` starts with one
thread for every library. Two things that are compared take turns, round after round; each ratio is the median of the
rounds' ratios. Times are those of the processor: what other processes do on the computer hardly shows.
"""

import base64
import contextlib
import gc
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from telltale.adapters import extraction, kinesis, parquet, wire
from telltale.adapters.events import Events
from telltale.adapters.extraction import Extraction
from telltale.adapters.kinesis import by_shard
from telltale.adapters.marks import Marks
from telltale.adapters.registry import Cached, Registry, encode, kind_of
from telltale.core import fft
from telltale.core.bearings import fault_orders, find
from telltale.core.capture import AXES, Capture, Waveform
from telltale.core.diagnosis import diagnose
from telltale.core.features import features
from telltale.core.plant import Assignment, Gateway, Machine, Position, Sensor

from cli import plain_features

Array = NDArray[Any]

CAPTURES = 100
SHORT, LONG = 4096, 26_700  # samples an axis
FS_HZ = {SHORT: 25_600.0, LONG: 26_700.0}
SPEED_HZ = 29.7
SCALE_G = 1e-3
BEARING = find("6205")
MACHINE = Machine(type="Motor", bearing=BEARING, blades=7, teeth=23, line_hz=50.0, poles=4)
NOW_MS = 1_790_000_000_000
PLAIN_WAVEFORMS = 30  # the plain version takes a hundred times as long
FEW = 3  # rounds of what takes long are this many times fewer


def main(rounds: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    gc.freeze()  # what was imported, as the function does
    found = routine(SHORT, rounds) | routine(LONG, max(3, rounds // FEW)) | against_scipy(max(3, rounds // FEW))
    print(json.dumps(found | diagnosis(rounds) | handler(rounds, found["rfft_ms"])))


# --- The signal core


def routine(n: int, rounds: int) -> dict[str, Any]:
    """The routine set of 100 captures of three axes, beside numpy's FFT of the same array and the fastest here."""
    counts = records(CAPTURES * len(AXES), n).reshape(CAPTURES, len(AXES), n)
    single = counts.astype(np.float32)
    base, ours, fastest = alternate(
        rounds, lambda: np.fft.rfft(single), lambda: routine_set(counts), lambda: fft.rfft(single)
    )
    suffix = "" if n == SHORT else f"_{n}"
    found = {
        f"rfft_ratio{suffix}": ratio(ours, base),
        f"best_fft_ratio{suffix}": ratio(ours, np.minimum(base, fastest)),
        f"rfft_ms{suffix}": milliseconds(base),
        f"fft_ms{suffix}": milliseconds(fastest),
        f"routine_ms{suffix}": milliseconds(ours),
    }
    return found | ({"waveform_ms": float(np.median(ours)) * 1e3 / counts[..., 0].size} if n == SHORT else {})


def routine_set(counts: Array) -> dict[str, Array]:
    return features(
        counts,
        fs_hz=FS_HZ[counts.shape[-1]],
        scale_g=SCALE_G,
        speed_hz=SPEED_HZ,
        bearing_orders=fault_orders(BEARING),
        blades=MACHINE.blades,
        teeth=MACHINE.teeth,
        line_hz=MACHINE.line_hz,
    )


def against_scipy(rounds: int) -> dict[str, Any]:
    counts = records(CAPTURES * len(AXES), SHORT)
    known: dict[str, Any] = {
        "speed_hz": SPEED_HZ, "bearing_orders": fault_orders(BEARING), "blades": MACHINE.blades,
        "teeth": MACHINE.teeth, "line_hz": MACHINE.line_hz,
    }  # fmt: skip

    def plainly() -> None:
        for row in counts[:PLAIN_WAVEFORMS]:
            plain_features.features(row * SCALE_G, fs_hz=FS_HZ[SHORT], **known)

    plain, ours = alternate(rounds, plainly, lambda: routine_set(counts))
    return {"scipy_speedup": ratio(plain, ours) * len(counts) / PLAIN_WAVEFORMS}


def diagnosis(rounds: int) -> dict[str, Any]:
    """One capture of three axes, with what its function has at hand: the routine indicators."""
    found = {}
    for n in (SHORT, LONG):
        waves = [Waveform(axis, row, FS_HZ[n], SCALE_G, "g") for axis, row in zip(AXES, records(3, n), strict=True)]
        rows = {wave.axis: _row(wave) for wave in waves}

        def run(waves: Sequence[Waveform] = waves, rows: Mapping[str, Any] = rows) -> None:
            diagnose(waves, machine=MACHINE, speed_hz=SPEED_HZ, speed_source="measured", rows=rows)

        [taken] = alternate(max(5, rounds), run)
        found["diagnostic_ms" if n == SHORT else f"diagnostic_ms_{n}"] = milliseconds(taken)
    return found


def _row(wave: Waveform) -> dict[str, float | None]:
    found = routine_set(wave.samples[None])
    return {name: None if np.isnan(value[0]) else float(value[0]) for name, value in found.items()}


# --- The extract function


def handler(rounds: int, rfft_ms: float) -> dict[str, Any]:
    """From a Kinesis event to features and Parquet files; the clients of AWS answer from memory.

    Its ratio is to the rfft that `rfft_ratio` is to. An rfft between two runs of the function finds memory that those
    left and saves its page faults, a third of its time: `handler_rfft_ratio_warm` is the ratio to that one.
    """
    counts = records(CAPTURES * len(AXES), SHORT)
    single = counts.reshape(CAPTURES, len(AXES), SHORT).astype(np.float32)
    event, extract = kinesis_event(counts), extracting()

    def run() -> None:
        for shard, batch in by_shard(event).items():
            decision = extract.decide(shard, batch)
            if decision.stored != CAPTURES:
                raise RuntimeError(f"{decision.stored} captures of {CAPTURES} were stored")

    base, ours = alternate(rounds, lambda: np.fft.rfft(single), run)
    parts = split(run)
    for name, part in sorted(parts.items(), key=lambda item: -item[1]):
        print(f"  {name:28} {1e3 * part:7.2f} ms  {1e3 * part / rfft_ms:5.2f} × rfft", file=sys.stderr)
    return {
        "handler_rfft_ratio": milliseconds(ours) / rfft_ms,
        "handler_rfft_ratio_warm": ratio(ours, base),
        "handler_ms": milliseconds(ours),
    }


def kinesis_event(counts: Array) -> dict[str, Any]:
    """What Lambda hands over: 100 CBOR messages of three axes."""
    return {"Records": [_item(number, axes) for number, axes in enumerate(counts.reshape(-1, len(AXES), SHORT))]}


def _item(number: int, axes: Array) -> dict[str, Any]:
    waves = tuple(Waveform(axis, row, FS_HZ[SHORT], SCALE_G, "g") for axis, row in zip(AXES, axes, strict=True))
    sensor, t_ms = f"s-{number}", NOW_MS + number
    capture = Capture(f"{sensor}@{t_ms}", "xyzs", sensor, t_ms, waves, temperature_c=41.5, speed_rpm=60 * SPEED_HZ)
    topic = f"dt/telltale/gw-1/{sensor}/wave"
    data = wire.encode_envelope(wire.encode_cbor(capture), topic=topic, client="gw-1", received_ms=t_ms + 1000)
    return {
        "eventID": f"shardId-000000000000:{number}",
        "eventSourceARN": "arn:aws:kinesis:eu-central-1:000000000000:stream/captures",
        "kinesis": {
            "sequenceNumber": str(number),
            "partitionKey": sensor,
            "data": base64.b64encode(data).decode(),
            "approximateArrivalTimestamp": t_ms / 1000,
        },
    }


def extracting() -> Extraction:
    items: list[Any] = [Gateway("gw-1", "hall")]
    for number in range(CAPTURES):
        position = Position(
            f"hall/line/pump/p-{number}", type="Motor", speed_rpm=60 * SPEED_HZ, bearing=BEARING,
            blades=MACHINE.blades, teeth=MACHINE.teeth, line_hz=MACHINE.line_hz,
        )  # fmt: skip
        items += [position, Sensor(f"s-{number}", (Assignment(position.id),))]
    nowhere: Any = None  # nothing is sent
    table = Table({f"{kind_of(item)}#{item.id}": encode(item) for item in items})
    return Extraction(
        registry=Cached(Registry(table, "registry"), 3600.0),
        marks=Marks(Table({}), "progress"),
        events=Events(nowhere, "bus"),
        kinesis_client=nowhere,
        features_stream="features",
    )


class Table:
    """A DynamoDB table in memory, as far as it is read in batches."""

    def __init__(self, documents: Mapping[str, str]) -> None:
        self._items = {key: {"pk": {"S": key}, "doc": {"S": doc}} for key, doc in documents.items()}

    def batch_get_item(self, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        [(table, request)] = RequestItems.items()
        keys = [key["pk"]["S"] for key in request["Keys"]]
        return {"Responses": {table: [self._items[key] for key in keys if key in self._items]}, "UnprocessedKeys": {}}


def split(run: Callable[[], None], rounds: int = 9) -> dict[str, float]:
    """Where the time goes: seconds in each of the function's steps, medians; what is in none of them is the rest."""
    steps = [
        ("outer base64 (Kinesis)", kinesis, "_record"),
        ("envelope: JSON, base64", wire, "decode_envelope"),
        ("capture: CBOR, checks", wire, "decode_capture"),
        ("routine set", extraction, "axes_features"),
    ]
    taken: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        spent: dict[str, float] = defaultdict(float)
        with contextlib.ExitStack() as patches:
            for name, module, function in steps:
                patches.enter_context(_timed(module, function, lambda *_, name=name: name, spent))
            patches.enter_context(_timed(parquet, "write", lambda table, *_: f"Parquet of {table.name}", spent))
            started = time.process_time()
            run()
            whole = time.process_time() - started
        spent["the rest"] = whole - sum(spent.values())
        for name, seconds in spent.items():
            taken[name].append(seconds)
    return {name: float(np.median(seconds)) for name, seconds in taken.items()}


@contextlib.contextmanager
def _timed(module: Any, function: str, name: Callable[..., str], spent: dict[str, float]) -> Iterator[None]:
    original = getattr(module, function)

    def timed(*arguments: Any, **options: Any) -> Any:
        started = time.process_time()
        try:
            return original(*arguments, **options)
        finally:
            spent[name(*arguments)] += time.process_time() - started

    setattr(module, function, timed)
    try:
        yield
    finally:
        setattr(module, function, original)


# --- Measuring


def records(rows: int, n: int) -> Array:
    """Records of a machine in counts: its shaft, a mesh, noise. Shape (rows, n), int16."""
    t = np.arange(n) / FS_HZ[n]
    tones = sum(300 / order * np.sin(2 * np.pi * SPEED_HZ * order * t) for order in (1, 2, 3, 23))
    return (300 * np.random.default_rng(7).normal(size=(rows, n)) + tones).astype(np.int16)


def alternate(rounds: int, *things: Callable[[], Any]) -> list[Array]:
    """Seconds of processor time of each thing in each round, shape (rounds,) each."""
    for thing in things:
        thing()
    taken = np.empty((len(things), rounds))
    for turn in range(rounds):
        for place, thing in enumerate(things):
            started = time.process_time()
            thing()
            taken[place, turn] = time.process_time() - started
    return list(taken)


def ratio(ours: Array, base: Array) -> float:
    return float(np.median(ours / base))


def milliseconds(taken: Array) -> float:
    return 1e3 * float(np.median(taken))


if __name__ == "__main__":
    main(int(sys.argv[1]))
