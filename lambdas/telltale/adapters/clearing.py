"""Rows taken out of a table for good: whole files where all rows go, files written anew where some stay.

Which rows go is said twice: of a file by the bounds that Iceberg keeps of it, which often settle it unread, and of rows
by the few columns that tell. Each step is one transaction, beside the committer and compaction; what was not done in
time, or was rewritten by somebody else meanwhile, is found again by the next run.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from itertools import groupby

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.conversions import from_bytes
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.manifest import ManifestContent
from pyiceberg.table import FileScanTask
from pyiceberg.table import Table as IcebergTable
from pyiceberg.types import PrimitiveType

from telltale.adapters.lake import Lake
from telltale.adapters.rewrite import (
    LiveFile,
    has_deletes,
    live_file,
    live_files,
    replace_files,
    rewrite_rows,
)
from telltale.core.schema import Table

AT_ONCE = 8  # files whose telling columns are read side by side: one request or two each, nearly all waiting
FILES_A_COMMIT = 1000  # as many as a commit of the committer


class Fate(Enum):
    """What the bounds of a file say of its rows."""

    STAYS = "no row goes"
    GOES = "all rows go"
    PERHAPS = "its rows must be asked"


@dataclass(frozen=True)
class Doomed:
    """Which rows go. `of_file` by bounds alone; `of_rows` of rows with `columns`, of one day: a boolean array."""

    columns: tuple[str, ...]
    of_file: Callable[["Bounded"], Fate]
    of_rows: Callable[[str, pa.Table], pa.Array]


@dataclass(frozen=True)
class Bounded:
    """A live file, and the smallest and largest value of its columns, as far as Iceberg keeps them."""

    file: LiveFile
    bounds: dict[str, tuple[str, str]]

    @property
    def day(self) -> str:
        return self.file.day


@dataclass(frozen=True)
class Cleared:
    """What was taken out of one table, or would be. `complete` : nothing that goes is left in it."""

    table: str
    rows: int = 0
    files: int = 0  # that went, whole or because their rest was written anew
    bytes: int = 0  # of those files
    rewritten: int = 0  # files of which a rest stays
    first_day: str | None = None
    last_day: str | None = None
    complete: bool = True

    def __bool__(self) -> bool:
        return self.rows > 0


@dataclass(frozen=True)
class _Found:
    """A file with rows that go, and how many."""

    file: LiveFile
    rows: int

    @property
    def whole(self) -> bool:
        return self.rows == self.file.rows


def clear(
    lake: Lake, table: Table, iceberg: IcebergTable, doomed: Doomed, *, why: str, enough_time: Callable[[], bool]
) -> Cleared:
    """Takes the rows out; `why` is in the summary of each snapshot that does."""
    found = _found(iceberg, doomed)
    done: list[_Found] = []
    whole = [one for one in found if one.whole]
    for start in range(0, len(whole), FILES_A_COMMIT):
        part = whole[start : start + FILES_A_COMMIT]
        uris, cleared = [one.file.uri for one in part], sum(one.rows for one in part)
        if enough_time() and replace_files(lake, table, uris, [], why=why, cleared=cleared):
            done += part
    if len(whole) < len(found):
        _refuse_foreign(table, iceberg)
    rest = sorted((one for one in found if not one.whole), key=lambda one: one.file.day)
    for day, group in groupby(rest, key=lambda one: one.file.day):
        if not enough_time():
            break
        some = list(group)
        files = [one.file for one in some]
        rewritten = rewrite_rows(lake, table, files, keep=partial(_staying, doomed, day))
        wanted = sum(file.rows for file in files) - sum(one.rows for one in some)
        if rewritten.rows != wanted and not has_deletes(iceberg):
            raise RuntimeError(
                f"{table.name}, {day}: {wanted} rows should stay, {rewritten.rows} were written: left as it is"
            )
        uris, cleared = [file.uri for file in files], sum(one.rows for one in some)
        if replace_files(lake, table, uris, rewritten.uris, why=why, cleared=cleared):
            done += some
    return replace(_summed(table, done), complete=len(done) == len(found))


def _refuse_foreign(table: Table, iceberg: IcebergTable) -> None:
    """RuntimeError if a rewrite would lose columns that another version or another engine has added."""
    foreign = [field.name for field in iceberg.schema().fields if field.name not in table.names]
    if foreign:
        raise RuntimeError(f"{table.name} has columns {foreign} that this version does not know: left as it is")


def plan(table: Table, iceberg: IcebergTable, doomed: Doomed) -> Cleared:
    """What `clear` would take out; changes nothing."""
    return _summed(table, _found(iceberg, doomed))


def was_shown(iceberg: IcebergTable, doomed: Doomed) -> bool:
    """Whether an earlier snapshot that is still kept shows rows that go, in files that are no longer live."""
    live = {file.uri for file in live_files(iceberg)}
    dead = {file.uri: file for file in _ever(iceberg) if file.uri not in live}
    fates = [(file, doomed.of_file(_bounded(iceberg, file))) for file in dead.values()]
    if any(fate is Fate.GOES for _, fate in fates):
        return True
    return any(_count(iceberg, file, doomed) for file, fate in fates if fate is Fate.PERHAPS)


def _ever(iceberg: IcebergTable) -> Iterator[LiveFile]:
    """The data files of all snapshots; a manifest that many of them share is read once."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        lists = threads.map(lambda snapshot: snapshot.manifests(iceberg.io), iceberg.snapshots())
        manifests = {
            one.manifest_path: one for of_one in lists for one in of_one if one.content == ManifestContent.DATA
        }
        for entries in threads.map(lambda one: one.fetch_manifest_entry(iceberg.io), manifests.values()):
            yield from (live_file(entry.data_file) for entry in entries)


def _found(iceberg: IcebergTable, doomed: Doomed) -> list[_Found]:
    by_fate: dict[Fate, list[LiveFile]] = {fate: [] for fate in Fate}
    for file in live_files(iceberg):
        by_fate[doomed.of_file(_bounded(iceberg, file))].append(file)
    unread = by_fate[Fate.PERHAPS]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        counts = list(threads.map(lambda file: _count(iceberg, file, doomed), unread))
    asked = [_Found(file, rows) for file, rows in zip(unread, counts, strict=True) if rows]
    return [*(_Found(file, file.rows) for file in by_fate[Fate.GOES]), *asked]


def _bounded(iceberg: IcebergTable, file: LiveFile) -> Bounded:
    lower, upper = file.file.lower_bounds or {}, file.file.upper_bounds or {}
    bounds = {}
    for field in iceberg.schema().fields:
        if field.field_id in lower and field.field_id in upper and isinstance(field.field_type, PrimitiveType):
            ends = (from_bytes(field.field_type, side[field.field_id]) for side in (lower, upper))
            low, high = map(str, ends)
            bounds[field.name] = (low, high)
    return Bounded(file, bounds)


def _count(iceberg: IcebergTable, file: LiveFile, doomed: Doomed) -> int:
    scan = ArrowScan(iceberg.metadata, iceberg.io, iceberg.schema().select(*doomed.columns), AlwaysTrue())
    batches = scan.to_record_batches([FileScanTask(file.file)])
    return sum(pc.sum(doomed.of_rows(file.day, pa.Table.from_batches([one]))).as_py() or 0 for one in batches)


def _staying(doomed: Doomed, day: str, rows: pa.Table) -> pa.Table:
    return rows.filter(pc.invert(doomed.of_rows(day, rows)))


def _summed(table: Table, found: Sequence[_Found]) -> Cleared:
    days = sorted(one.file.day for one in found)
    return Cleared(
        table.name,
        rows=sum(one.rows for one in found),
        files=len(found),
        bytes=sum(one.file.bytes for one in found),
        rewritten=sum(not one.whole for one in found),
        first_day=days[0] if days else None,
        last_day=days[-1] if days else None,
    )


# --- Bounds of paths


def may_begin(bounds: tuple[str, str], prefix: str) -> bool:
    """Whether some text between the two, both of them included, may begin so."""
    low, high = bounds
    return high >= prefix and low[: len(prefix)] <= prefix


def all_begin(bounds: tuple[str, str], prefix: str) -> bool:
    """Whether every text between the two begins so: the texts that do are neighbours in any order of texts."""
    return bounds[0].startswith(prefix) and bounds[1].startswith(prefix)
