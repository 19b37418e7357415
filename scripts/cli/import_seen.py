"""Which items were met before: a set of 64-bit keys that does not grow out of memory."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Keys = npt.NDArray[np.uint64]

IN_MEMORY = 8_000_000  # keys of one run, 64 MB; longer runs lie in a file
ONES = np.uint64(0xFFFFFFFFFFFFFFFF)


class Seen:
    """Sorted runs of keys, merged as they grow like those of a log-structured tree. `folder` takes the long ones."""

    def __init__(self, folder: Path, *, in_memory: int = IN_MEMORY) -> None:
        self._folder, self._in_memory = folder, in_memory
        self._runs: list[Keys] = []  # longest first
        self._files: list[Keys] = []  # of runs that lie in files

    def __len__(self) -> int:
        return sum(map(len, (*self._runs, *self._files)))

    def add(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Remembers the keys; of each whether it is new: not met before, nor earlier in `keys`."""
        unique, first = np.unique(keys, return_index=True)
        fresh = np.ones(len(unique), bool)
        for run in (*self._runs, *self._files):
            fresh &= ~_within(run, unique)
        self._append(unique[fresh])
        new = np.zeros(len(keys), bool)
        new[first[fresh]] = True
        return new

    def _append(self, run: Keys) -> None:
        if not len(run):
            return
        while self._runs and len(self._runs[-1]) <= 2 * len(run):
            run = np.sort(np.concatenate([self._runs.pop(), run]), kind="stable")
        if len(run) < self._in_memory:
            self._runs.append(run)
            return
        path = self._folder / f"seen-{len(self._files)}.npy"
        np.save(path, run)
        self._files.append(np.load(path, mmap_mode="r"))


def _within(run: Keys, keys: Keys) -> npt.NDArray[np.bool_]:
    """Of each key whether the sorted run has it."""
    low, high = np.searchsorted(keys, [run[0], run[-1]], side="left")
    found = np.zeros(len(keys), bool)
    high = min(int(high) + 1, len(keys))
    if low < high:
        part = keys[low:high]
        places = np.minimum(np.searchsorted(run, part), len(run) - 1)
        found[low:high] = run[places] == part
    return found


def hashed(*columns: pa.ChunkedArray | pa.Array) -> Keys:
    """One key for each row, of its values in these columns: 64 bits of SipHash, of this process only.

    Of ten million rows two have the same key with a probability of 3 in a million.
    """
    values = [column.to_pylist() for column in columns]
    rows = values[0] if len(values) == 1 else zip(*values, strict=True)
    keys: npt.NDArray[np.int64] = np.fromiter(map(hash, rows), np.int64, len(values[0]))
    return keys.view(np.uint64)
