"""Brings history into the lake: what every source has in common.

A *source* reads its inputs and yields chunks, each the same whenever it is read again. This module stores a chunk as
the functions store a batch: data files, then one pending receipt that names them, which the committer adds to the
tables exactly once.

  chunk ─ drop items that are known ─ data/<table>/<day>/import-…parquet ─ receipts/pending/import/<digest>/<number>

Whatever stops an import, the chunks with a receipt are stored and the others are not, so that the same command goes on
where it was. An item is known by a key that its source makes: what the lake holds, or waits to be committed, or came
earlier in the same import is a duplicate. in = stored + duplicate + quarantined, in items of the source.
"""

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from botocore.exceptions import ClientError
from pyiceberg.exceptions import NoSuchTableError
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from telltale import VERSION
from telltale.adapters import parquet
from telltale.adapters.lake import file_access, glue_catalog
from telltale.adapters.receipts import COMMITTED, PENDING, DataFile, NewFile, Receipt
from telltale.core import schema
from telltale.core.errors import Reason

from cli.deployment import Deployment, NotDeployed, current
from cli.import_files import Input
from cli.import_seen import Keys, Seen
from cli.problem import Problem
from cli.tables import objects_below, read_all

FUNCTION = "import"  # in receipts and in the table `batches`
PREFIX = f"{FUNCTION}/"  # of batch ids, of record ids in `captures` and of ids in `quarantine`
AT_ONCE = 16  # calls to S3, each nearly all waiting
COUNTS = ("records", "stored", "duplicate", "quarantined")
SHOWN = 20  # lines of a list for the eye; --report has all
POSITIONS_COUNTED = 100_000
BAD_KEPT = 10_000  # refused items that a report names; the table `quarantine` has all
KEPT_BYTES = 64 * 1024  # of an item that could not be stored
SHOWN_BYTES = 200  # of these, in the summary
MOST_NAMED = 100_000  # items in the report that were refused; the table `quarantine` has all. A guess


# ---- What a source gives --------------------------------------------------------------------------


@dataclass(frozen=True)
class Bad:
    """An item that cannot be stored: where it stands, why, and its bytes. It goes into the table `quarantine`."""

    file: str
    line: int | None
    reason: Reason
    detail: str
    payload: bytes = b""
    sensor: str | None = None

    @property
    def where(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Part:
    """Rows of one table. `item` says which good item of the chunk each row is of; None: row i is of item i."""

    table: schema.Table
    rows: pa.Table
    item: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Chunk:
    """A stretch of an input. `keys` has one key for each good item, which tells it from every other of the source.

    `lost` counts what of the good items is carried into no table: (what, why) → how often.
    `done` is how many bytes of the input were read by its end; `first` and `last` are where it begins and ends.
    """

    number: int
    keys: Keys
    parts: Sequence[Part]
    bad: Sequence[Bad] = ()
    lost: Mapping[tuple[str, str], int] = field(default_factory=dict)
    first: str = ""
    last: str = ""
    done: int = 0

    @property
    def records(self) -> int:
        return len(self.keys) + len(self.bad)


@dataclass(frozen=True)
class Known:
    """How items are known again in the lake: the keys of rows of a table, from these columns."""

    table: schema.Table
    columns: Sequence[str]
    keys: Callable[[pa.Table], Keys]


class Source(Protocol):
    """Something that history is imported from."""

    kind: str  # of what: monitron, lookout, historian; the `stream` of its receipts
    noun: str  # what its items are called, in the plural

    @property
    def known(self) -> Sequence[Known]: ...

    def inputs(self) -> Sequence[Input]:
        """What there is to read, in the order to read it."""

    def chunks(self, given: Input, done: Collection[int]) -> Iterator[Chunk]:
        """The chunks of an input, numbered from 0. Those in `done` are stored: they may be left out."""

    def finish(self, lake: "Stored") -> Iterator[tuple[str, Chunk]]:
        """Chunks made of all that was read, each with a digest of what it was made of; none for most sources.

        What is in them was counted where it came from: they bring rows and no records.
        """

    def notes(self) -> Iterable[str]:
        """What else the user should know at the end, a line each."""


# ---- What the lake has ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Before:
    """A chunk that an earlier run stored."""

    counts: Mapping[str, int]
    lost: Mapping[tuple[str, str], int]


class Stored(Protocol):
    """Where chunks go, and what it holds already."""

    def done(self, digests: Collection[str]) -> Mapping[str, Before]:
        """The batches of these inputs that are stored, by batch id."""

    def days(self, table: schema.Table) -> Collection[date]:
        """The days of which it has rows of a table."""

    def read(self, table: schema.Table, columns: Sequence[str], days: Collection[date]) -> Iterator[pa.Table]:
        """Rows of these days (perhaps of others too), a part at a time."""

    def put(self, key: str, body: bytes) -> None: ...

    def publish(self, receipt: Receipt) -> None:
        """Have the receipt's files committed, unless its batch was published before."""


class Deployed:
    """The lake of a deployment: its tables, and the receipts that wait to be committed."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._s3, self._bucket = deployment.client("s3"), deployment.outputs["LakeBucket"]
        self._catalog = glue_catalog(deployment.client("glue"), file_access(deployment.environment))
        waiting = read_all(deployment, objects_below(deployment, PENDING)).values()  # before the tables are read
        self._pending = [Receipt.from_json(body) for body in waiting]

    def done(self, digests: Collection[str]) -> Mapping[str, Before]:
        found: dict[str, Before] = {}
        for name in digests:
            prefix = f"{PREFIX}{name}/"
            for row in self._batches(prefix):
                found[row["batch_id"]] = Before({count: row[count] for count in COUNTS}, {})
            for state in (COMMITTED, PENDING):
                keys = objects_below(self._deployment, f"{state}{prefix}")
                for body in read_all(self._deployment, keys).values():
                    receipt = Receipt.from_json(body)
                    found[receipt.batch_id] = _before(receipt)
        return found

    def _batches(self, prefix: str) -> list[dict[str, Any]]:
        table = self._load(schema.BATCHES)
        if table is None:
            return []
        where = f"function = '{FUNCTION}' and batch_id like '{prefix}%'"
        rows: list[dict[str, Any]] = table.scan(where, selected_fields=("batch_id", *COUNTS)).to_arrow().to_pylist()
        return rows

    def days(self, table: schema.Table) -> Collection[date]:
        waiting = {date.fromisoformat(file.day) for file in self._waiting(table)}
        return waiting | set(self._partitions(table))

    def _partitions(self, table: schema.Table) -> Iterator[date]:
        iceberg = self._load(table)
        for task in iceberg.scan().plan_files() if iceberg is not None else ():
            day = task.file.partition[0]
            yield date(1970, 1, 1) + timedelta(days=day) if isinstance(day, int) else day

    def read(self, table: schema.Table, columns: Sequence[str], days: Collection[date]) -> Iterator[pa.Table]:
        for file in self._waiting(table):
            if date.fromisoformat(file.day) in days:
                with suppress(self._s3.exceptions.NoSuchKey):
                    body = self._s3.get_object(Bucket=self._bucket, Key=file.key)["Body"].read()
                    yield pq.read_table(pa.BufferReader(body), columns=list(columns))
        iceberg = self._load(table)
        if iceberg is None or not days:
            return
        for first, last in _stretches(days):
            where = f"{table.day} >= '{first}T00:00:00+00:00' and {table.day} < '{last + timedelta(1)}T00:00:00+00:00'"
            for batch in iceberg.scan(where, selected_fields=tuple(columns)).to_arrow_batch_reader():
                yield pa.Table.from_batches([batch])

    def _waiting(self, table: schema.Table) -> list[DataFile]:
        return [file for receipt in self._pending for file in receipt.files if file.table == table.name]

    def _load(self, table: schema.Table) -> Any:
        try:
            return self._catalog.load_table((self._deployment.outputs["GlueDatabase"], table.name))
        except NoSuchTableError:
            return None

    def put(self, key: str, body: bytes) -> None:
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=body)

    def publish(self, receipt: Receipt) -> None:
        key = f"{PENDING}{receipt.batch_id}.json"
        try:
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=receipt.to_json(), IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] not in {"PreconditionFailed", "ConditionalRequestConflict"}:
                raise  # else another import of the same input was faster: what it published is the same


class Folder:
    """A folder in place of a lake: for dry runs (None: nothing is written), measurements and tests."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path

    def done(self, digests: Collection[str]) -> Mapping[str, Before]:
        return {receipt.batch_id: _before(receipt) for receipt in self.receipts()}

    def days(self, table: schema.Table) -> Collection[date]:
        return {date.fromisoformat(file.day) for file in self._files(table)}

    def read(self, table: schema.Table, columns: Sequence[str], days: Collection[date]) -> Iterator[pa.Table]:
        for file in self._files(table):
            if self._path and date.fromisoformat(file.day) in days:
                yield pq.read_table(self._path / file.key, columns=list(columns))

    def _files(self, table: schema.Table) -> list[DataFile]:
        return [file for receipt in self.receipts() for file in receipt.files if file.table == table.name]

    def receipts(self) -> list[Receipt]:
        below = sorted(self._path.glob(f"{PENDING}**/*.json")) if self._path else []
        return [Receipt.from_json(path.read_bytes()) for path in below]

    def rows(self, table: schema.Table) -> pa.Table:
        """All rows of a table."""
        parts = [*self.read(table, table.names, self.days(table)), parquet.arrow_schema(table).empty_table()]
        return pa.concat_tables(parts)

    def put(self, key: str, body: bytes) -> None:
        if self._path:
            path = self._path / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)

    def publish(self, receipt: Receipt) -> None:
        self.put(f"{PENDING}{receipt.batch_id}.json", receipt.to_json())


class Unwritten:
    """A lake that is read and not written: what a dry run compares with."""

    def __init__(self, lake: Stored) -> None:
        self.done, self.days, self.read = lake.done, lake.days, lake.read

    def put(self, key: str, body: bytes) -> None:
        """Nothing."""

    def publish(self, receipt: Receipt) -> None:
        """Nothing."""


def _before(receipt: Receipt) -> Before:
    lost = {(what, why): count for what, why, count in receipt.effects.get("lost", ())}
    return Before({name: getattr(receipt, name) for name in COUNTS}, lost)


def _stretches(days: Collection[date]) -> Iterator[tuple[date, date]]:
    """Days that follow each other, as first and last."""
    ordered = sorted(days)
    first = last = ordered[0]
    for day in ordered[1:]:
        if day - last > timedelta(days=1):
            yield first, last
            first = day
        last = day
    yield first, last


# ---- The import -------------------------------------------------------------------------------------


@dataclass
class Summary:
    """What became of an import, or would."""

    records: int = 0
    stored: int = 0
    duplicate: int = 0
    quarantined: int = 0
    earlier: int = 0  # of the records: stored by an earlier run of the same import
    inputs: int = 0
    chunks: int = 0
    files: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    seconds: float = 0.0
    rows: Counter[str] = field(default_factory=Counter)
    lost: Counter[tuple[str, str]] = field(default_factory=Counter)
    bad: list[Bad] = field(default_factory=list)  # the first of them, without their bytes
    reasons: Counter[str] = field(default_factory=Counter)
    positions: set[str] = field(default_factory=set)
    first_ms: int | None = None
    last_ms: int | None = None

    @property
    def adds_up(self) -> bool:
        return self.records == self.stored + self.duplicate + self.quarantined


@dataclass(frozen=True)
class _Written:
    """A chunk on its way: what it stores, and what of it was known before."""

    counts: Mapping[str, int]
    parts: Sequence[Part]
    files: Sequence[NewFile]


class Importer:
    """Stores the chunks of one source in one lake. `advance` is told of bytes that were read."""

    def __init__(
        self,
        source: Source,
        lake: Stored,
        *,
        seen: Seen,
        now_ms: Callable[[], int],
        advance: Callable[[int], None] = lambda count: None,
        writes: bool = True,
    ) -> None:
        self._source, self._lake, self._seen = source, lake, seen
        self._now_ms, self._advance, self._writes = now_ms, advance, writes
        self._loaded: dict[str, set[date]] = {known.table.name: set() for known in source.known}
        self._has = {known.table.name: set(lake.days(known.table)) for known in source.known}
        self.summary = Summary()

    def run(self, inputs: Sequence[Input]) -> Summary:
        """Read all of it. Chunks that are stored already count as they were counted then."""
        began = time.monotonic()
        done = self._lake.done({one.digest for one in inputs})
        for number, given in enumerate(inputs):
            if given.digest in {one.digest for one in inputs[:number]}:
                continue  # the same bytes under two names
            self._input(given, done)
        for digest, chunk in self._source.finish(self._lake):
            batch_id = _batch_id(digest, chunk.number)
            if batch_id not in self._lake.done({digest}):
                self._store(digest, f"made of all {self._source.noun}", chunk, counted=False)
        self.summary.seconds = time.monotonic() - began
        return self.summary

    def _input(self, given: Input, done: Mapping[str, Before]) -> None:
        prefix = f"{PREFIX}{given.digest}/"
        before = {int(name.removeprefix(prefix)): was for name, was in done.items() if name.startswith(prefix)}
        for was in before.values():
            self._count(was.counts, was.lost)
            self.summary.earlier += was.counts["records"]
        read = 0
        for chunk in self._source.chunks(given, before.keys()):
            if chunk.number not in before and (chunk.records or chunk.lost):  # else it only says how far it is
                self._store(given.digest, given.name, chunk)
            self._advance(max(0, chunk.done - read))
            read = max(read, chunk.done)
        self._advance(given.size - read)
        self.summary.inputs += 1
        self.summary.bytes_read += given.size

    def _store(self, digest: str, name: str, chunk: Chunk, *, counted: bool = True) -> None:
        made = self._written(digest, chunk)
        if not counted:
            made = replace(made, counts=dict.fromkeys(COUNTS, 0))
        self._count(made.counts, chunk.lost)
        self._look_at(made, chunk)
        if self._writes:
            self._publish(digest, name, chunk, made)

    def _written(self, digest: str, chunk: Chunk) -> _Written:
        self._learn(chunk.parts)
        new = self._seen.add(chunk.keys)
        parts = _together([_only(part, new) for part in chunk.parts])
        received_ms = self._now_ms()
        bad = [_quarantined(digest, chunk.number, place, one, received_ms) for place, one in enumerate(chunk.bad)]
        files = [] if not self._writes else [f for p in parts if len(p.rows) for f in _files(p)]
        files += parquet.files(schema.QUARANTINE, bad)
        stored = int(new.sum())
        counts = dict(
            zip(COUNTS, (chunk.records, stored, len(chunk.keys) - stored, len(chunk.bad)), strict=True),
        )
        return _Written(counts, parts, files)

    def _learn(self, parts: Sequence[Part]) -> None:
        """Take note of what the lake has of the days that these rows are of."""
        for known in self._source.known:
            name = known.table.name
            mine = [part.rows[known.table.day] for part in parts if part.table.name == name and len(part.rows)]
            wanted = set().union(*map(_days, mine)) & self._has[name] - self._loaded[name]
            if wanted:
                for rows in self._lake.read(known.table, known.columns, wanted):
                    self._seen.add(known.keys(rows))
                self._loaded[name] |= wanted

    def _publish(self, digest: str, name: str, chunk: Chunk, made: _Written) -> None:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            files = tuple(threads.map(lambda file: self._upload(digest, chunk.number, file), made.files))
        self._lake.publish(
            Receipt(
                batch_id=_batch_id(digest, chunk.number),
                function=FUNCTION,
                stream=self._source.kind,
                shard=name,
                first=chunk.first,
                last=chunk.last,
                t_ms=self._now_ms(),
                code_version=VERSION,
                files=files,
                effects={"lost": [[what, why, count] for (what, why), count in chunk.lost.items()]},
                **made.counts,
            )
        )

    def _upload(self, digest: str, number: int, file: NewFile) -> DataFile:
        """Named by its content: the same chunk read again writes the same object."""
        content = hashlib.sha256(file.body).hexdigest()[:16]
        key = f"data/{file.table}/{file.day}/import-{digest}-{number}-{content}.parquet"
        self._lake.put(key, file.body)
        return DataFile(file.table, key, file.rows, len(file.body))

    def _count(self, counts: Mapping[str, int], lost: Mapping[tuple[str, str], int]) -> None:
        for name in COUNTS:
            setattr(self.summary, name, getattr(self.summary, name) + counts[name])
        self.summary.lost.update(lost)
        self.summary.chunks += 1

    def _look_at(self, made: _Written, chunk: Chunk) -> None:
        summary = self.summary
        named = chunk.bad[: max(0, MOST_NAMED - len(summary.bad))]
        summary.bad += [replace(one, payload=one.payload[:SHOWN_BYTES]) for one in named]
        summary.reasons.update(str(one.reason) for one in chunk.bad)
        summary.rows.update({part.table.name: len(part.rows) for part in made.parts if len(part.rows)})
        summary.files += len(made.files)
        summary.bytes_written += sum(len(file.body) for file in made.files)
        for part in made.parts:
            if len(part.rows):
                times = part.rows[part.table.day].cast(pa.timestamp("ms", "UTC"), safe=False)
                ends = pc.min_max(times.cast(pa.int64()))
                low, high = ends["min"].as_py(), ends["max"].as_py()
                summary.first_ms = low if summary.first_ms is None else min(summary.first_ms, low)
                summary.last_ms = high if summary.last_ms is None else max(summary.last_ms, high)
                if "position" in part.rows.column_names and len(summary.positions) < POSITIONS_COUNTED:
                    summary.positions.update(pc.unique(part.rows["position"]).drop_null().to_pylist())


def _batch_id(digest: str, number: int) -> str:
    return f"{PREFIX}{digest}/{number:06d}"


def _files(part: Part) -> list[NewFile]:
    return parquet.columnar_files(part.table, part.rows)


def _only(part: Part, new: npt.NDArray[np.bool_]) -> Part:
    """The rows of new items."""
    if new.all():
        return part
    mask = new if part.item is None else new[part.item]
    return Part(part.table, part.rows.filter(pa.array(mask)))


def _together(parts: Sequence[Part]) -> list[Part]:
    """One for each table."""
    tables = {part.table.name: part.table for part in parts}
    rows: dict[str, list[pa.Table]] = {name: [] for name in tables}
    for part in parts:
        rows[part.table.name].append(part.rows)
    return [Part(tables[name], pa.concat_tables(of_table)) for name, of_table in rows.items()]


def _days(times: pa.ChunkedArray) -> set[date]:
    numbers = pc.unique(pc.floor_temporal(times.cast(pa.timestamp("us", "UTC")), unit="day"))
    return {instant.date() for instant in numbers.to_pylist()}


def _quarantined(digest: str, number: int, place: int, bad: Bad, received_ms: int) -> parquet.Row:
    return {
        "quarantine_id": f"{_batch_id(digest, number)}/{place}",
        "received_at": received_ms,
        "reason": str(bad.reason),
        "detail": f"{bad.where}: {bad.detail}",
        "sensor": bad.sensor,
        "payload": bad.payload[:KEPT_BYTES],
    }


# ---- The command ------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What every kind of import takes, beside what it is imported from."""
    parser.add_argument(
        "--dry-run", action="store_true", help="read all of it, say what would be stored, store nothing"
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="write what was lost and refused there, as JSON")
    parser.add_argument("--json", action="store_true", help="the summary as JSON, for programs")


def run(source: Source, args: argparse.Namespace, lake: Stored | None = None) -> int:
    """Import, show what became of it, and write the report. 1 when the counts do not add up."""
    lake = lake or _lake(alone=args.dry_run)
    summary = carried_out(source, lake, dry_run=args.dry_run)
    notes = list(source.notes())
    if args.dry_run and isinstance(lake, Folder):
        notes.append("nothing is deployed here that it could be compared with: what a lake has already counts as new")
    if args.report:
        args.report.write_text(json.dumps(report(summary, notes), indent=2, ensure_ascii=False) + "\n")
    if args.json:
        print(json.dumps(report(summary, notes), ensure_ascii=False))
    else:
        show(summary, source, notes, dry_run=args.dry_run)
    return 0 if summary.adds_up else 1


def _lake(*, alone: bool) -> Stored:
    """The deployment's. `alone`: it can do without one."""
    try:
        return Deployed(current())
    except NotDeployed:
        if not alone:
            raise
        return Folder()


def carried_out(source: Source, lake: Stored, *, dry_run: bool = False) -> Summary:
    """The import of a source into a lake, with a bar on a terminal."""
    inputs = source.inputs()
    if not inputs:
        raise Problem("nothing to import")
    with tempfile.TemporaryDirectory(prefix="telltale-import-") as folder, _bar(inputs) as advance:
        importer = Importer(
            source,
            Unwritten(lake) if dry_run else lake,
            seen=Seen(Path(folder)),
            now_ms=lambda: time.time_ns() // 1_000_000,
            advance=advance,
            writes=not dry_run,
        )
        return importer.run(inputs)


@contextmanager
def _bar(inputs: Sequence[Input]) -> Iterator[Callable[[int], None]]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda count: None
        return
    columns = (TextColumn("import"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("import", total=sum(one.size for one in inputs))
        yield lambda count: bar.advance(task, count)


def report(summary: Summary, notes: Sequence[str]) -> dict[str, Any]:
    """All that is known of an import, for a file."""
    numbers = {name: getattr(summary, name) for name in (*COUNTS, "earlier", "inputs", "chunks", "files")}
    return {
        **numbers,
        "adds_up": summary.adds_up,
        "bytes_read": summary.bytes_read,
        "bytes_written": summary.bytes_written,
        "seconds": round(summary.seconds, 3),
        "rows": dict(sorted(summary.rows.items())),
        "positions": sorted(summary.positions),
        "first": _text(summary.first_ms),
        "last": _text(summary.last_ms),
        "lost": [{"what": what, "why": why, "count": n} for (what, why), n in summary.lost.most_common()],
        "reasons": dict(summary.reasons.most_common()),
        "refused": [
            {"file": one.file, "line": one.line, "reason": str(one.reason), "detail": one.detail} for one in summary.bad
        ],
        "notes": list(notes),
    }


def show(summary: Summary, source: Source, notes: Sequence[str], *, dry_run: bool) -> None:
    """The same for the eye."""
    console = Console()
    balance = Table(source.noun, Column("", justify="right"))
    for name in ("records", "stored", "duplicate", "quarantined"):
        balance.add_row(
            {"records": "in", "stored": "to store" if dry_run else "stored"}.get(name, name),
            f"{getattr(summary, name)}",
        )
    console.print(balance)
    if summary.earlier:
        console.print(f"of them {summary.earlier} by an earlier run, which this one went on from")
    if summary.rows:
        rows = Table("table", Column("rows", justify="right"))
        for name, count in sorted(summary.rows.items()):
            rows.add_row(name, str(count))
        console.print(rows)
    span = f"{_text(summary.first_ms)} to {_text(summary.last_ms)}" if summary.first_ms is not None else "no time"
    positions = "1 position" if len(summary.positions) == 1 else f"{len(summary.positions)} positions"
    console.print(f"{positions}, {span}", markup=False, highlight=False)
    _list(console, "not carried", [f"{n} × {what}: {why}" for (what, why), n in summary.lost.most_common()])
    refused = [f"{one.where}: {one.reason}: {one.detail}" for one in summary.bad]
    _list(console, "refused", refused, total=summary.reasons.total())
    for note in notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    rate = summary.records / summary.seconds if summary.seconds else 0
    done = "nothing was written" if dry_run else f"{summary.files} files, {summary.bytes_written} bytes"
    console.print(f"{summary.seconds:.1f} s, {rate:.0f} {source.noun}/s; {done}", highlight=False)
    if not dry_run and summary.files:
        console.print("in the tables when the committer next runs, within minutes", highlight=False)
    if not summary.adds_up:
        print("does not add up: in is not stored + duplicate + quarantined", file=sys.stderr)


def _list(console: Console, title: str, lines: Sequence[str], *, total: int = 0) -> None:
    if lines:
        console.print(f"{title}:", highlight=False)
        for line in lines[:SHOWN]:
            console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
        more = max(total, len(lines)) - SHOWN
        if more > 0:
            console.print(
                f"  and {more} more: --report FILE has {'all' if total <= MOST_NAMED else 'most'}", highlight=False
            )


def _text(t_ms: int | None) -> str | None:
    return None if t_ms is None else datetime.fromtimestamp(t_ms / 1000, UTC).isoformat(timespec="milliseconds")
