"""Amazon Monitron's history: Kinesis exports v1 and v2, Firehose archives, the dump of a support ticket.

telltale import monitron exports/ --dry-run
telltale import monitron s3://my-bucket/monitron/ --plant plant-monitron.yaml --report lost.json
telltale import monitron dump.csv --propose dump.yaml
telltale import monitron dump.csv --mapping dump.yaml

Lines, events one behind the other, arrays, gzip, and what Kinesis and Firehose wrap events in are all read. What is no
event is quarantined by file and line, and the rest goes on. docs/import-monitron.md says what becomes of each field.
"""

import argparse
import hashlib
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from telltale.adapters import parquet
from telltale.core import schema
from telltale.core.monitron_format import moment

from cli import importing, monitron_cases
from cli.deployment import current
from cli.import_files import File, Input, LocalFile, find, grouped
from cli.import_seen import Keys, hashed
from cli.importing import PREFIX, Chunk, Folder, Known, Part, Stored
from cli.monitron_flat import Read
from cli.monitron_mapping import Layout, chunks_of, described, propose, read_mapping
from cli.monitron_names import AREA, Paths, id_of
from cli.monitron_plant import LIMITS, Heard, fragment
from cli.monitron_tables import converted, key_of
from cli.monitron_text import blocks
from cli.problem import Problem

SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".txt", ".log")  # Firehose's own files have none
CHUNK = 64 << 20  # bytes of events in one chunk: a few files of each day, and some 300 MB of memory
CHANGES = monitron_cases.COLUMNS
NAMES = ("siteName", "assetName", "positionName")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("place", nargs="+", metavar="FILE|FOLDER|s3://…", help="what to import")
    importing.add_arguments(parser)
    parser.add_argument("--area", default=AREA, metavar="ID", help=f"area of the plant they are put in ({AREA})")
    parser.add_argument("--mapping", type=Path, metavar="FILE", help="which column is which field; where positions lie")
    parser.add_argument("--propose", type=Path, metavar="FILE", help="write a mapping there, from what a table shows")
    parser.add_argument("--plant", type=Path, metavar="FILE", help="write a plant file of what is named there")


def run(args: argparse.Namespace) -> int:
    if args.propose:
        [file, *_] = find(args.place, SUFFIXES, s3=_s3)
        args.propose.write_text(propose(file))
        print(f"{args.propose}: look it over, then import with --mapping {args.propose}")
        return 0
    if id_of(args.area) != args.area:
        raise Problem(f"--area {args.area}: wanted 1 to 64 letters, digits or _ . : -")
    layout = read_mapping(args.mapping) if args.mapping else Layout()
    source = Monitron(find(args.place, SUFFIXES, s3=_s3), area=args.area, layout=layout, wants_plant=bool(args.plant))
    status = 0
    if layout.rows == "positions":
        if not args.plant:
            raise Problem("a list of positions goes into a plant file alone", "say where it goes: --plant FILE")
        source.describe()
    else:
        status = importing.run(source, args)
    if args.plant:
        args.plant.write_text(fragment(source.heard))
        print(f"{args.plant}: {len(source.heard.positions)} positions; `telltale plant check {args.plant}`")
    return status


def _s3() -> Any:
    return current().client("s3")


class Monitron:
    """Monitron's events in files, as importing.Source."""

    kind = "monitron"
    noun = "events"

    def __init__(
        self,
        files: Sequence[File],
        *,
        area: str = AREA,
        layout: Layout | None = None,
        wants_plant: bool = False,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        chunk_bytes: int = CHUNK,
    ) -> None:
        self._files, self._layout, self._area = files, layout or Layout(), area
        self._wants_plant, self._now_ms, self._chunk_bytes = wants_plant, now_ms, chunk_bytes
        self._paths = Paths(area, self._layout.positions)
        self._changes: list[pa.Table] = []
        self._strange: Counter[str] = Counter()
        self._unlabelled = 0
        self._resumes = False
        self.heard = Heard()
        self.known = (
            Known(schema.MONITRON_EVENTS, ("event_id", "t"), key_of),
            Known(schema.CASES, ("case_id", "revision"), _case_keys),
        )

    def inputs(self) -> Sequence[Input]:
        """Small files together, as Firehose leaves thousands of them; tables one by one."""
        options = json.dumps(["monitron", 1, self._area, self._layout.text, self._chunk_bytes])
        return list(grouped(self._files, options=options, bytes_each=0 if self._layout.columns else self._chunk_bytes))

    def chunks(self, given: Input, done: Collection[int]) -> Iterator[Chunk]:
        self._resumes |= bool(done)
        reads = self._tables(given) if self._layout.columns else self._events(given, done)
        for number, stretch in enumerate(reads):
            if number not in done or self._wants_plant:
                yield self._chunk(given, number, stretch)

    def _events(self, given: Input, done: Collection[int]) -> Iterator["_Stretch"]:
        number, size, before = 0, 0, 0
        stretch = _Stretch()
        for file in given.files:
            for block in blocks(file):
                if number not in done or self._wants_plant:
                    stretch.read.add(block)
                stretch.reaches(block.file, block.line, before + block.end)
                size += len(block.body)
                if size >= self._chunk_bytes:
                    yield stretch
                    number, size, stretch = number + 1, 0, _Stretch()
            before += file.size
        if stretch.first:
            yield stretch

    def _tables(self, given: Input) -> Iterator["_Stretch"]:
        for file in given.files:
            lost: Counter[tuple[str, str]] = Counter()
            for read, first, last in chunks_of(file, self._layout, lost):
                yield _Stretch(read, f"{file.name}:{first}", f"{file.name}:{last}", 0, Counter(lost))
                lost.clear()

    def _chunk(self, given: Input, number: int, stretch: "_Stretch") -> Chunk:
        found = converted(
            stretch.read, self._paths, record_id=f"{PREFIX}{given.digest}/{number:06d}", now_ms=self._now_ms()
        )
        self._note(found.events)
        lost = found.lost + stretch.lost
        return Chunk(number, found.keys, found.parts, found.bad, lost, stretch.first, stretch.last, stretch.done)

    def _note(self, events: pa.Table) -> None:
        changed = _changed(events)
        if changed.num_rows:
            self._changes.append(changed)
        if self._wants_plant:
            self.heard.add(events)

    def finish(self, lake: Stored) -> Iterator[tuple[str, Chunk]]:
        """Cases and labels, of all changes of state that the lake has and that were read now."""
        if not self._changes and not self._resumes:  # an earlier run may have been stopped just before this
            return
        days = lake.days(schema.MONITRON_EVENTS)
        before = [_changed(rows) for rows in lake.read(schema.MONITRON_EVENTS, CHANGES, days)]
        rows = [row for table in (*before, *self._changes) for row in _plain(table)]
        found = monitron_cases.made(rows)
        self._strange.update(found.strange)
        resolved = sum(row["change"] == "resolved" for row in found.cases)
        self._unlabelled = resolved - len(found.labels)
        if found.cases:
            yield _digest(rows), _case_chunk(found)

    def notes(self) -> Iterable[str]:
        yield from self._paths.notes()
        for state, count in sorted(self._strange.items()):
            yield f'{count} changes to or from a state "{state}", which is none of Monitron\'s: they changed no case'
        if self._unlabelled:
            yield f"{self._unlabelled} cases were resolved without closure codes, and left no label"

    def describe(self) -> None:
        """Take note of a list of positions."""
        for file in self._files:
            for row in described(file, self._layout):
                site, asset, position = (row.get(name) or "" for name in NAMES)
                if not (site and asset and position):
                    raise Problem(f"{file.name}: a position without {', '.join(NAMES)}: {json.dumps(row)}")
                path = self._paths.path(site, asset, position, row.get("assetPositionId") or "")
                names = dict(zip(NAMES, (site, asset, position), strict=True))
                more = {name: row.get(name) for name in ("machine_class", "type", "sensor", *LIMITS)}
                self.heard.describe(path, names, {name: value for name, value in more.items() if value is not None})


@dataclass
class _Stretch:
    """What a chunk is made of, and from where to where it was read."""

    read: Read = field(default_factory=Read)
    first: str = ""
    last: str = ""
    done: int = 0
    lost: Counter[tuple[str, str]] = field(default_factory=Counter)

    def reaches(self, file: str, line: int, done: int) -> None:
        self.last, self.done = f"{file}:{line}", done
        self.first = self.first or self.last


def _changed(events: pa.Table) -> pa.Table:
    """The rows that tell of a change of state."""
    differs = pc.fill_null(pc.not_equal(events["new_state"], events["previous_state"]), True)
    return events.filter(pc.and_(pc.is_valid(events["new_state"]), differs)).select(list(CHANGES))


def _plain(table: pa.Table) -> list[dict[str, Any]]:
    t_ms = table["t"].cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64())
    return table.set_column(table.schema.get_field_index("t"), "t", t_ms).to_pylist()


def _digest(rows: Iterable[dict[str, Any]]) -> str:
    ids = sorted({f"{row['position']} {row['t']} {row['event_id']}" for row in rows})
    return hashlib.blake2b("\n".join(ids).encode(), digest_size=16).hexdigest()


def _case_keys(rows: pa.Table) -> Keys:
    return hashed(rows["case_id"], rows["revision"])


def _case_chunk(found: monitron_cases.Made) -> Chunk:
    cases = _arrow(schema.CASES, found.cases)
    labels = _arrow(schema.LABELS, [row for _, row in found.labels])
    of_case = np.array([number for number, _ in found.labels], np.int64)
    return Chunk(0, _case_keys(cases), [Part(schema.CASES, cases), Part(schema.LABELS, labels, of_case)])


def _arrow(table: schema.Table, rows: Sequence[dict[str, Any]]) -> pa.Table:
    kinds = {field.name: field.type for field in parquet.arrow_schema(table)}
    names = [name for name in table.names if any(name in row for row in rows)]
    milliseconds = pa.timestamp("ms", "UTC")
    columns = {
        name: pa.array(
            [row.get(name) for row in rows], milliseconds if pa.types.is_timestamp(kinds[name]) else kinds[name]
        )
        for name in names
    }
    return pa.table(columns) if rows else parquet.arrow_schema(table).empty_table()


# ---- Measured ---------------------------------------------------------------------------------------


ROUNDS = 3  # the best counts: others may share the core, which only ever makes it slower


def measure_monitron(count: int) -> float:
    """Events a second of one core, on one thread: from JSON lines in a file to Parquet files in the lake's layout.

    The events are those of a thousand positions, hour after hour, with values that are random like a sensor's.
    """
    threads = pa.cpu_count(), pa.io_thread_count()
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    try:
        with tempfile.TemporaryDirectory(prefix="telltale-measure-") as folder:
            path = Path(folder) / "events.json"
            with path.open("w") as stream:
                stream.writelines(json.dumps(event) + "\n" for event in _made_up(count))
            return count / min(_seconds(path, Path(folder) / f"lake-{n}", count) for n in range(ROUNDS))
    finally:
        pa.set_cpu_count(threads[0])
        pa.set_io_thread_count(threads[1])


def _seconds(path: Path, folder: Path, count: int) -> float:
    """Of a processor, for the whole import."""
    began = time.process_time()
    summary = importing.carried_out(Monitron([LocalFile(path)]), Folder(folder))
    seconds = time.process_time() - began
    if summary.stored != count:
        raise RuntimeError(f"{summary.stored} of {count} events were stored: {summary.bad[:1]}")
    return seconds


def _made_up(count: int) -> Iterator[dict[str, Any]]:
    """Measurements of version 2.0."""
    dice = random.Random(5)
    for number in range(count):
        hour, place = divmod(number, 1000)
        yield made_up_measurement(dice, hour, place)


def made_up_measurement(dice: random.Random, hour: int, place: int) -> dict[str, Any]:
    """One measurement, of the hour after 2026-01-01 and one of a thousand places."""
    start = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    level = [round(abs(dice.gauss(1, 0.2)), 6) for _ in range(19)]

    def axes(values: Sequence[float]) -> dict[str, Any]:
        return {f"{axis}Axis": {"rms": value} for axis, value in zip("xyz", values, strict=True)}

    def total(values: Sequence[float]) -> dict[str, float]:
        return dict(zip(("absMax", "absMin", "crestFactor", "rms"), values, strict=True))

    said = {
        "previousPersistentClassificationOutput": "HEALTHY",
        "persistentClassificationOutput": "HEALTHY",
        "pointwiseClassificationOutput": "HEALTHY",
    }
    return {
        "timestamp": moment(int((start + hour * 3600) * 1000) + place * 3),
        "eventId": f"{dice.getrandbits(128):032x}",
        "version": "2.0",
        "accountId": "111122223333",
        "projectName": "works",
        "projectId": "p-1",
        "eventType": "measurement",
        "eventPayload": {
            "siteName": f"site-{place % 5}",
            "assetName": f"pump-{place // 4}",
            "positionName": f"bearing-{place % 4}",
            "companyName": "Example Co",
            "geoLocation": {"latitude": 50.1, "longitude": 8.6},
            "address": "1 Example Street",
            "serialNumber": f"sn-{place}",
            "make": "Example",
            "model": "E-1",
            "assetPositionURL": f"https://app.example.com/positions/{place}",
            "sensor": {"physicalId": f"{place:012x}", "rssi": -60 - place % 20},
            "gateway": {"physicalId": f"{place % 50:012x}"},
            "sequenceNo": hour,
            "features": {
                "acceleration": {
                    "band0To6000Hz": axes(level[0:3]),
                    "band10To1000Hz": {"totalVibration": total(level[3:7]), **axes(level[7:10])},
                },
                "velocity": {"band10To1000Hz": {"totalVibration": total(level[10:14]), **axes(level[14:17])}},
                "temperature": round(40 * level[17], 3),
            },
            "models": {
                "temperatureML": said,
                "vibrationISO": {"isoClass": f"CLASS{1 + place % 4}", **said},
                "vibrationML": said,
            },
            "assetPositionId": f"ap-{place}",
        },
    }
