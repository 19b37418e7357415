"""Live data files of a table, and putting others in their place: all of them at once, or none.

Who rewrites names the files that go (`gone`) and those that come instead (`new`), both by URI. One Iceberg transaction
swaps them, beside the committer, which only ever adds: a reader sees the files before or the files after. The number of
the last commit (`telltale.commit`) belongs to the committer and is left as it is.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from uuid import uuid4

import pyarrow as pa
from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan, parquet_file_to_data_file
from pyiceberg.manifest import DataFile, DataFileContent, ManifestContent, ManifestFile
from pyiceberg.table import FileScanTask, TableProperties
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.update.snapshot import _ManifestMergeManager, _OverwriteFiles
from pyiceberg.typedef import EMPTY_DICT

from telltale.adapters import parquet
from telltale.adapters.lake import Lake
from telltale.adapters.sorting import sorted_rows
from telltale.core.schema import Table

WHY = "telltale.why"  # in a snapshot's summary: what replaced files in it
MARK = "telltale.replacement"  # likewise: which replacement, so that one whose answer was lost is known again
CLEARED = "telltale.cleared"  # on a table: rows that were taken out for good
SAME_ROWS = frozenset({"compaction", "manifests"})  # reasons after which the table has the rows that it had
ATTEMPTS = 20  # of one replacement, when the committer gets in between; it commits once a minute at most
WAIT_S = 0.2  # after a lost race, times the attempt: the other's commit is through by then
AT_ONCE = 16  # footers and manifests, each nearly all waiting
MANIFESTS = 10  # more small ones than this are merged: a query opens each of them
MANIFEST_BYTES = 8 << 20  # of a merged one: Iceberg's own default (commit.manifest.target-size-bytes)
MEMORY = 256 << 20  # of rows in Arrow; reading, sorting and packing them takes six times as much, as measured
FILE_BYTES = 256 << 20  # of a new data file
PART_BYTES = 16 << 20  # of rows in Arrow that are packed at a time
EPOCH = date(1970, 1, 1)

Keep = Callable[[pa.Table], pa.Table]  # the rows that stay, of some


@dataclass(frozen=True)
class LiveFile:
    """A data file of the current snapshot. `day` is `YYYY-MM-DD`, `file` what Iceberg knows of it."""

    uri: str
    day: str
    rows: int
    bytes: int
    file: DataFile = field(repr=False, compare=False)


@dataclass(frozen=True)
class Rewritten:
    """Files written anew and not yet in any table, and how many rows there were and are."""

    uris: tuple[str, ...]
    rows_before: int
    rows: int


def live_files(iceberg: IcebergTable) -> list[LiveFile]:
    """The data files of the table as it was loaded, by day and URI."""
    snapshot = iceberg.current_snapshot()
    if snapshot is None:
        return []
    found = [live_file(file) for file in data_files(iceberg, snapshot)]
    return sorted(found, key=lambda file: (file.day, file.uri))


def data_files(iceberg: IcebergTable, snapshot: Snapshot) -> list[DataFile]:
    """Files with rows that a reader of the snapshot reads."""
    manifests = [file for file in snapshot.manifests(iceberg.io) if file.content == ManifestContent.DATA]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        read = partial(_entries, iceberg)
        return [file for files in threads.map(read, manifests) for file in files]


def _entries(iceberg: IcebergTable, manifest: ManifestFile) -> list[DataFile]:
    entries = manifest.fetch_manifest_entry(iceberg.io, discard_deleted=True)
    return [entry.data_file for entry in entries if entry.data_file.content == DataFileContent.DATA]


def live_file(file: DataFile) -> LiveFile:
    """A file of some snapshot, as one that is live."""
    day = file.partition[0] if len(file.partition) else None
    name = (EPOCH + timedelta(days=day)).isoformat() if isinstance(day, int) else str(day)
    return LiveFile(file.file_path, name, file.record_count, file.file_size_in_bytes, file)


def has_deletes(iceberg: IcebergTable) -> bool:
    """Whether another engine has deleted rows by listing them beside the files that hold them."""
    snapshot = iceberg.current_snapshot()
    return bool(snapshot and any(m.content == ManifestContent.DELETES for m in snapshot.manifests(iceberg.io)))


# --- Replacing


def replace_files(
    lake: Lake,
    table: Table,
    gone: Collection[str],
    new: Sequence[str],
    *,
    why: str,
    summary: Mapping[str, str] = EMPTY_DICT,
    cleared: int = 0,
) -> bool:
    """Take the live data files `gone` (URIs) out of the table and the Parquet files `new` in, in one transaction.

    False, and nothing is changed, if any of `gone` is no longer live. Other writers may commit meanwhile: it is tried
    again on what they left. Nothing is deleted: earlier snapshots still read the files that went.

    cleared : rows that are taken out for good, which the table counts, so that they are not taken for lost.
    """
    marks = {**summary, WHY: why, MARK: uuid4().hex}
    for attempt in range(1, ATTEMPTS + 1):
        iceberg = lake.ensure(table)
        if _has_mark(iceberg, marks[MARK]):
            return True  # it was committed, though the answer said otherwise
        by_uri = {file.uri: file.file for file in live_files(iceberg)}
        if not by_uri.keys() >= set(gone):
            return False
        with ThreadPoolExecutor(AT_ONCE) as threads:
            added = list(threads.map(partial(parquet_file_to_data_file, iceberg.io, iceberg.metadata), new))
        try:
            _replace(iceberg, [by_uri[uri] for uri in gone], added, marks, cleared)
        except (CommitFailedException, ValidationException):
            if attempt == ATTEMPTS:
                raise
            time.sleep(WAIT_S * attempt)
        else:
            return True
    raise AssertionError("unreachable: the last attempt raises")


def merge_manifests(lake: Lake, table: Table) -> bool:
    """Make few manifests of many small ones; the files and rows stay as they are. False if there are not many."""
    iceberg = lake.ensure(table)
    snapshot = iceberg.current_snapshot()
    if snapshot is None:
        return False
    small = [file for file in snapshot.manifests(iceberg.io) if file.manifest_length < MANIFEST_BYTES]
    return len(small) > MANIFESTS and replace_files(lake, table, [], [], why="manifests")


def _replace(
    iceberg: IcebergTable, gone: Iterable[DataFile], new: Iterable[DataFile], marks: Mapping[str, str], cleared: int = 0
) -> None:
    with iceberg.transaction() as transaction:
        if cleared:
            transaction.set_properties({CLEARED: str(rows_cleared(iceberg) + cleared)})
        if iceberg.name_mapping() is None:  # files without Iceberg's column numbers are read by it
            mapping = iceberg.schema().name_mapping.model_dump_json()
            transaction.set_properties({TableProperties.DEFAULT_NAME_MAPPING: mapping})
        operation = Operation.OVERWRITE if iceberg.current_snapshot() else Operation.APPEND
        replacement = _Replacement(operation, transaction, iceberg.io, snapshot_properties=dict(marks))
        for file in gone:
            replacement.delete_data_file(file)
        for file in new:
            replacement.append_data_file(file)
        replacement.commit()


def rows_cleared(iceberg: IcebergTable) -> int:
    """Rows that retention and erases have taken out of the table so far."""
    return int(iceberg.properties.get(CLEARED, "0"))


def _has_mark(iceberg: IcebergTable, mark: str) -> bool:
    return any(snapshot.summary and snapshot.summary.get(MARK) == mark for snapshot in iceberg.snapshots())


class _Replacement(_OverwriteFiles):
    """PyIceberg's overwrite by file, which also merges small manifests and never deletes what it wrote."""

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        ours = self.snapshot_id
        alive = [m for m in manifests if m.has_added_files() or m.has_existing_files() or m.added_snapshot_id == ours]
        merging = _ManifestMergeManager(
            target_size_bytes=MANIFEST_BYTES,
            min_count_to_merge=MANIFESTS,
            merge_enabled=True,
            snapshot_producer=self,
        )
        deletes = [manifest for manifest in alive if manifest.content != ManifestContent.DATA]
        data = [manifest for manifest in alive if manifest.content == ManifestContent.DATA]
        merged = deletes
        for spec, manifests_of in merging._group_by_spec(data).items():
            small = _to_merge(manifests_of)
            merged += [manifest for manifest in manifests_of if manifest not in small]
            merged += [merging._create_manifest(spec, small)] if small else []
        return merged

    def _summary(self, snapshot_properties: dict[str, str] = EMPTY_DICT) -> Summary:
        """Of a rewrite that keeps the rows: "replace", which followers of a table's changes pass over."""
        summary = super()._summary(snapshot_properties)
        if snapshot_properties.get(WHY) in SAME_ROWS:
            return Summary(Operation.REPLACE, **summary.additional_properties)
        return summary

    def _clean_all_uncommitted(self) -> None:
        """Nothing. PyIceberg takes a refused commit for one that did not happen, and deletes its manifests; but Glue
        refuses the second sending of a commit whose first answer was lost. They are orphans, or they are the table.
        """


def _to_merge(manifests: Sequence[ManifestFile]) -> list[ManifestFile]:
    """The smallest ones, if there are many; larger ones only while they are like those together, and so stay for long:
    the snapshots that are kept share them, and a run that looks for files reads each once.
    """
    if len(manifests) <= MANIFESTS:
        return []
    found: list[ManifestFile] = []
    size = 0
    for manifest in sorted(manifests, key=lambda one: one.manifest_length):
        if size + manifest.manifest_length > MANIFEST_BYTES:
            break
        if len(found) >= MANIFESTS and manifest.manifest_length > 2 * size:
            break
        found.append(manifest)
        size += manifest.manifest_length
    return found if len(found) > 1 else []


# --- Rewriting


def rewrite_rows(
    lake: Lake,
    table: Table,
    files: Sequence[LiveFile],
    *,
    keep: Keep = lambda rows: rows,
    memory: int = MEMORY,
    file_bytes: int = FILE_BYTES,
) -> Rewritten:
    """Write the rows of `files`, all of one day, anew: sorted, in few files, without those that `keep` leaves out.

    The new files belong to no table until `replace_files`. About `memory` bytes of rows are held, as they are in Arrow;
    of more, parts wait on disk, as sorting.py says.
    """
    [day] = {file.day for file in files}
    iceberg = lake.ensure(table)
    kept = _Kept(keep)
    runs = [partial(kept.of, iceberg, some) for some in _fitting(files, memory)]
    wanted = max(1, round(sum(file.bytes for file in files) / file_bytes))
    rows_each = -(-sum(file.rows for file in files) // wanted)
    uris = _write(iceberg, table, day, sorted_rows(runs, table.sort, memory=memory), rows_each)
    return Rewritten(tuple(uris), kept.before, kept.after)


class _Kept:
    """Rows that stay, counted with those that do not."""

    def __init__(self, keep: Keep) -> None:
        self._keep, self.before, self.after = keep, 0, 0

    def of(self, iceberg: IcebergTable, files: Sequence[LiveFile]) -> pa.Table:
        rows = _read(iceberg, files)
        kept = self._keep(rows)
        self.before += len(rows)
        self.after += len(kept)
        return kept


def _fitting(files: Sequence[LiveFile], memory: int) -> list[list[LiveFile]]:
    """As many files at a time as fit."""
    found: list[list[LiveFile]] = []
    room = 0
    for file in files:
        needed = arrow_bytes(file)
        if not found or needed > room:
            found.append([])
            room = memory
        found[-1].append(file)
        room -= needed
    return found


def _read(iceberg: IcebergTable, files: Sequence[LiveFile]) -> pa.Table:
    """Their rows with the columns that the table has today, whatever it had when they were written."""
    tasks = [FileScanTask(file.file) for file in files]
    if has_deletes(iceberg):
        wanted = {file.uri for file in files}
        tasks = [task for task in iceberg.scan().plan_files() if task.file.file_path in wanted]
    return ArrowScan(iceberg.metadata, iceberg.io, iceberg.schema(), AlwaysTrue()).to_table(tasks)


def _write(iceberg: IcebergTable, table: Table, day: str, ordered: Iterable[pa.Table], rows_each: int) -> list[str]:
    """URIs of files with the rows, `rows_each` in each but the last."""
    uris: list[str] = []
    left = _parts(ordered)
    part = next(left, None)
    while part is not None:
        uris.append(f"{iceberg.location()}/data/{day}/{uuid4().hex}.parquet")
        with iceberg.io.new_output(uris[-1]).create(overwrite=True) as sink:
            writer, room = parquet.Writer(table, sink), rows_each
            while part is not None and room > 0:
                writer.write(part.slice(0, room))
                rest, room = part.slice(room), room - len(part)
                part = rest if len(rest) else next(left, None)
            writer.close()
    return uris


def _parts(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The rows, some megabytes at a time."""
    for rows in tables:
        size = max(1, len(rows) * PART_BYTES // max(1, rows.nbytes))
        yield from (rows.slice(start, size) for start in range(0, len(rows), size))


def arrow_bytes(file: LiveFile) -> int:
    """About how large the rows are in memory: 8 bytes a value, four of them a string, and samples as they are."""
    values = file.rows * len(file.file.column_sizes or {})  # values are counted for few columns: lake.metrics
    return max(values * 8, file.bytes * 4)
