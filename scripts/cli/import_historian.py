"""Bring in what a historian exports: CSV or Parquet of any size, long or wide, by a mapping file.

telltale import historian FILE --propose mapping.yaml      what the file shows, as a mapping to be filled in
telltale import historian FILE --mapping mapping.yaml --dry-run
telltale import historian FOLDER --mapping mapping.yaml --report lost.json

A long table has a row for each value (time, tag, value), a wide one a column for each tag. The mapping says where each
tag goes, in which zone the times are, and which units become which: docs/import-historian.md.
"""

import argparse
import hashlib
import io
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from telltale.core.errors import Reason

from cli import historian_mapping, historian_values, importing, text_blocks
from cli.day_shuffle import DayShuffle
from cli.historian_mapping import HistorianMapping, Sample, Target
from cli.historian_values import Series
from cli.history_rows import ItemKeys, made
from cli.import_files import File, Input, LocalFile, find, grouped, unpacked
from cli.import_seen import Keys, Seen
from cli.importing import Bad, Chunk, Folder, Importer, Known, Stored
from cli.problem import Problem
from cli.text_blocks import cells_of
from cli.time_columns import TimeFormat

SUFFIXES = (".csv", ".txt", ".tsv", ".parquet")
# Files are read together up to so many bytes, so that many small ones of the same days do not make a file each of them.
TOGETHER = 256 << 20
FIRST_DAY = 1_000_000  # number of the first chunk of values; those before it are of what was refused
AHEAD_US = 86_400_000_000  # a clock may be wrong about its zone, not more: a day
PROPOSED_ROWS = 2000
PROPOSED_BYTES = 1 << 18
TAGS_BYTES = 32 << 20  # of a long table: as far as other tags than those of the first rows are looked for
_NO_KEYS: Keys = np.empty(0, np.uint64)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("place", nargs="+", metavar="FILE|FOLDER|s3://…", help="what to import")
    parser.add_argument("--mapping", type=Path, metavar="FILE", help="what the columns and tags are (YAML)")
    parser.add_argument("--propose", type=Path, metavar="FILE", help="write a mapping there, from what the file shows")
    importing.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    if (args.mapping is None) == (args.propose is None):
        raise Problem("found neither --mapping nor --propose, or both: wanted one", "--propose FILE writes a mapping.")
    files = find(args.place, SUFFIXES, s3=_s3)
    if args.propose is not None:
        return _propose(files[0], args.propose)
    if not args.mapping.exists():
        raise Problem(f"{args.mapping}: no such file", f"--propose {args.mapping} writes one.")
    return importing.run(Historian(files, historian_mapping.read(args.mapping)), args)


def _s3() -> Any:
    from cli.deployment import current

    return current().client("s3")


class Historian:
    """Values of tags, from tables. `mapping_of` says what the columns of a file are; a Problem refuses the file."""

    kind = "historian"
    noun = "values"

    def __init__(
        self,
        files: Sequence[File],
        mapping: HistorianMapping | Callable[[File], HistorianMapping],
        *,
        latest_us: int | None = None,
    ) -> None:
        self._files, self._mapping = files, mapping
        self._latest_us = time.time_ns() // 1000 + AHEAD_US if latest_us is None else latest_us
        self.keys = ItemKeys()
        self.known: Sequence[Known] = self.keys.known()

    def mapping_of(self, file: File) -> HistorianMapping:
        return self._mapping if isinstance(self._mapping, HistorianMapping) else self._mapping(file)

    def inputs(self) -> Sequence[Input]:
        options = hashlib.sha256()
        for file in self._files:
            try:
                options.update(self.mapping_of(file).digest.encode())
            except Problem as problem:
                options.update(str(problem).encode())
        return list(grouped(self._files, options=options.hexdigest(), bytes_each=TOGETHER))

    def chunks(self, given: Input, done: Collection[int]) -> Iterator[Chunk]:
        """First what is refused, as it is read; then the values, day by day.

        What is read counts for half of the way, what is written for the other half.
        """
        folder = Path(tempfile.mkdtemp(prefix="telltale-values-"))
        shuffle, series, lost = DayShuffle(folder), Series(), Counter[tuple[str, str]]()
        try:
            yield from self._read(given, shuffle, series, lost)
            stretches = shuffle.stretches()
            last = FIRST_DAY + max(0, len(stretches) - 1)
            for number, stretch in enumerate(stretches, start=FIRST_DAY):
                way = given.size // 2 + (given.size - given.size // 2) * (number - FIRST_DAY + 1) // len(stretches)
                if number in done:
                    continue
                keys, parts = made(shuffle.read(stretch), series, self.keys, record=f"{given.digest}/{number}")
                dropped = dict(lost) if number == last else {}
                yield Chunk(number, keys, parts, (), dropped, str(stretch.low_us), str(stretch.high_us - 1), way)
            if not stretches and lost and last not in done:
                yield self._nothing(last, lost)
        finally:
            shuffle.close()
            shutil.rmtree(folder, ignore_errors=True)

    def _read(
        self, given: Input, shuffle: DayShuffle, series: Series, lost: Counter[tuple[str, str]]
    ) -> Iterator[Chunk]:
        number, before = 0, 0
        for file in given.files:
            for found in self._values(file, series):
                shuffle.add(found.t_us, found.series, found.value)
                lost.update(found.lost)
                way = (before + min(found.read, file.size)) // 2
                # Also without anything bad: it tells how far it is. The importer stores only what has records.
                yield Chunk(number, _NO_KEYS, (), found.bad, {}, file.name, file.name, way)
                number += 1
            before += file.size

    def _values(self, file: File, series: Series) -> Iterator[historian_values.Values]:
        try:
            mapping = self.mapping_of(file)
        except Problem as problem:
            yield historian_values.refused(Bad(file.name, None, Reason.BAD_PAYLOAD, str(problem)))
            return
        with file.open() as packed:
            stream: IO[bytes] = unpacked(packed)
            yield from historian_values.values(stream, file.name, mapping, series, latest_us=self._latest_us)

    def _nothing(self, number: int, lost: Counter[tuple[str, str]]) -> Chunk:
        return Chunk(number, _NO_KEYS, (), (), dict(lost))

    def finish(self, lake: Stored) -> Iterator[tuple[str, Chunk]]:
        yield from ()

    def notes(self) -> Iterable[str]:
        return ()


# ---- a proposal ------------------------------------------------------------------------------------


def _propose(file: File, to: Path) -> int:
    """Write the mapping that a file shows, and say what it leaves open."""
    if to.exists():
        raise Problem(f"{to}: is there already, and is not replaced")
    proposal = historian_mapping.propose(sample(file), latest_us=time.time_ns() // 1000 + AHEAD_US, name=file.name)
    to.write_text(proposal.text)
    print(f"{to} written; to be filled in ({historian_mapping.TODO}):")
    for what in proposal.open:
        print(f"  {what}")
    return 0


def sample(file: File) -> Sample:
    """The first rows of a file, and of a long table the tags that come later."""
    with file.open() as packed:
        stream = unpacked(packed)
        if historian_values.is_parquet(stream):
            return _parquet_sample(stream, file.name)
        raw = stream.read(PROPOSED_BYTES)
    encoding, mark = text_blocks.encoding_of(raw)
    text = raw[mark:].decode(encoding, errors="replace")
    whole = text if len(raw) < PROPOSED_BYTES else text[: text.rfind("\n") + 1]
    found = historian_mapping.sample_of(whole, encoding=encoding)
    tag = historian_mapping.tag_column(found)
    if tag is None or len(raw) < PROPOSED_BYTES:
        return found
    return replace(found, known_tags=_later_tags(file, found, tag, encoding))


def _later_tags(file: File, found: Sample, tag: str, encoding: str) -> list[str]:
    place, tags = list(found.columns).index(tag), dict[str, None]()
    with file.open() as packed:
        for block in text_blocks.blocks(io.BytesIO(unpacked(packed).read(TAGS_BYTES)), encoding=encoding):
            lines = block.body.decode(errors="replace").split("\n")
            rows = (cells_of(line, found.delimiter or ",") for line in lines)
            tags.update((row[place].strip(), None) for row in rows if len(row) == len(found.columns))
    return [name for name in tags if name and name != tag]


def _parquet_sample(stream: IO[bytes], name: str) -> Sample:
    try:
        file = pq.ParquetFile(stream)
        columns = historian_mapping.named(file.schema_arrow.names)
        first = next(file.iter_batches(PROPOSED_ROWS, use_threads=False), None)
    except (pa.ArrowException, OSError) as error:
        raise Problem(f"{name}: damaged, or no Parquet: {' '.join(str(error).split())[:200]}") from error
    texts = [[] if first is None else ["" if v is None else str(v) for v in c.to_pylist()] for c in first or ()]
    kinds = {column: str(field.type) for column, field in zip(columns, file.schema_arrow, strict=True)}
    return Sample(columns, list(zip(*texts, strict=True)), kinds=kinds)


# ---- the measure -----------------------------------------------------------------------------------


def measure_csv(readings: int) -> float:
    """Readings a second, on one core: a long table of 200 tags once a minute, to data files in the lake's layout."""
    with tempfile.TemporaryDirectory(prefix="telltale-measure-") as place:
        folder = Path(place)
        path, mapping = _generated(folder, readings)
        (folder / "seen").mkdir()
        source = Historian([LocalFile(path)], mapping)
        began = time.process_time()
        one = Importer(source, Folder(folder / "lake"), seen=Seen(folder / "seen"), now_ms=lambda: 0)
        stored = one.run(source.inputs()).stored
        return stored / (time.process_time() - began)


def _generated(folder: Path, readings: int) -> tuple[Path, HistorianMapping]:
    """Rows as a historian exports them, in the order of time."""
    tags = [f"PI:P{number // 8:03d}.TAG{number % 8}" for number in range(200)]
    path, values = folder / "export.csv", np.random.default_rng(1).normal(50.0, 5.0, 997)
    start = np.datetime64("2026-01-01T00:00:00", "ms")
    with path.open("w") as out:
        out.write("TagName;Timestamp;Value;Status\n")
        for minute in range(-(-readings // len(tags))):
            at = str(start + np.timedelta64(minute, "m"))
            count = min(len(tags), readings - minute * len(tags))
            out.writelines(
                f"{tag};{at};{values[(minute * 7 + place) % 997]:.3f};Good\n" for place, tag in enumerate(tags[:count])
            )
    targets = {
        tag: Target(f"riverside/hall/pump-{place // 8}/process", f"tag{place % 8}") for place, tag in enumerate(tags)
    }
    times = TimeFormat("iso", "Europe/Berlin")
    return path, HistorianMapping(
        "long", "Timestamp", targets, times, tag="TagName", value="Value", quality="Status", delimiter=";"
    )
