"""Rows sorted without having all of them in memory: in runs on disk, merged as they are read back."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

Key = tuple[pa.Scalar, ...]
ROW_GROUP_BYTES = 4 << 20  # of a run on disk: what is read of it at a time, at least


def sorted_rows(runs: Sequence[Callable[[], pa.Table]], by: Sequence[str], *, memory: int) -> Iterator[pa.Table]:
    """All rows of the runs, ascending by columns that have no nulls, in tables one after the other.

    One run is held at a time, read by calling it, and then parts of all of them that are `memory` bytes together.
    """
    order = [(name, "ascending") for name in by]
    if len(runs) <= 1:  # as a rule: then no disk is needed
        yield from (run().sort_by(order) for run in runs)
        return
    with TemporaryDirectory(prefix="telltale-") as folder:
        paths = [_spill(run, order, Path(folder, str(n))) for n, run in enumerate(runs)]
        yield from _merged([_Run(path, by, memory // len(paths)) for path in paths], order)


def _spill(run: Callable[[], pa.Table], order: list[tuple[str, str]], path: Path) -> Path:
    ordered = run().sort_by(order)
    rows = max(1, len(ordered) * ROW_GROUP_BYTES // max(1, ordered.nbytes))
    pq.write_table(ordered, path, compression="lz4", row_group_size=rows)
    return path


def _merged(runs: "list[_Run]", order: list[tuple[str, str]]) -> Iterator[pa.Table]:
    """Again and again all rows up to the first end of what is held of a run: what comes later is greater."""
    while runs := [run for run in runs if run.fill()]:
        ends = [run.end for run in runs if run.more]
        bound = min(ends, key=lambda key: [value.as_py() for value in key]) if ends else None
        yield pa.concat_tables([run.take(bound) for run in runs]).sort_by(order)


class _Run:
    """A sorted run on disk, of which about `memory` bytes are held."""

    def __init__(self, path: Path, by: Sequence[str], memory: int) -> None:
        file = pq.ParquetFile(path)
        self._groups = iter(range(file.num_row_groups))
        self._file, self._by, self._memory = file, by, memory
        self._held = file.schema_arrow.empty_table()
        self.more = True

    def fill(self) -> bool:
        """Read on if little is held; False at the end."""
        while self.more and (not len(self._held) or self._held.nbytes < self._memory // 2):
            group = next(self._groups, None)
            self.more = group is not None
            if group is not None:
                self._held = pa.concat_tables([self._held, self._file.read_row_group(group)])
        return len(self._held) > 0

    @property
    def end(self) -> Key:
        """Key of the last row that is held."""
        last = self._held.slice(len(self._held) - 1)
        return tuple(last[name][0] for name in self._by)

    def take(self, bound: Key | None) -> pa.Table:
        """The rows up to the bound, the same included, which are no longer held."""
        count = len(self._held) if bound is None else self._up_to(bound)
        taken, self._held = self._held.slice(0, count), self._held.slice(count)
        return taken

    def _up_to(self, bound: Key) -> int:
        low, high = 0, len(self._held)
        wanted = [value.as_py() for value in bound]
        while low < high:  # as sorted as the run
            middle = (low + high) // 2
            if [self._held[name][middle].as_py() for name in self._by] <= wanted:
                low = middle + 1
            else:
                high = middle
        return low
