"""Samples as a column chunk of Parquet that zstd can shrink to what their values are worth, in plain encodings.

Parquet's writers pack samples by difference, which suits slow signals; of vibration, which is nearly white, the
difference of neighbours is larger than they are. Here a chunk has a dictionary, as any column may, but one in an order
that makes the 16-bit places of frequent values out of two bytes that are both small. Then zstd, which counts single
bytes, codes a sample in little more than the entropy of its values. Any reader of Parquet reads it: see ADR 24.

    dictionary page    values, by place          PLAIN, zstd
    data pages         levels, then the places   RLE_DICTIONARY with 16 bits a place, zstd
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from telltale.adapters import thrift
from telltale.adapters.thrift import I32, I64, LIST, STRUCT

PLACES = 1 << 16
WIDEST = 1 << 20  # from the lowest to the highest value: counting them takes an array as long
SHELLS = 3  # exponent: 2 suits values of exponential, 4 of normal distribution; recordings lie between
ZSTD_LEVEL = 3
PAGE = 1 << 19  # samples; a megabyte of places
BLOCK = 32  # values that share a width where differences are packed
HEADERS = 0.6  # bits a value that packing differences spends on widths and on the least of each four blocks

# Parquet's numbers: PageType, Encoding
DATA_PAGE, DICTIONARY_PAGE = 0, 2
PLAIN, RLE, RLE_DICTIONARY = 0, 3, 8
ENCODINGS = (PLAIN, RLE, RLE_DICTIONARY)


@dataclass(frozen=True)
class Chunk:
    """A column chunk: its bytes, where in them the first data page is, and what the footer says of it."""

    body: bytes
    data_at: int
    values: int
    unpacked: int  # bytes, headers included


def pack(lists: pa.ListArray) -> Chunk | None:
    """Lists without nulls; None where packing by difference is reckoned to be as small, or values are too many."""
    lengths = np.diff(lists.offsets.to_numpy())
    samples = lists.flatten().to_numpy()
    if not len(samples):
        return None
    low, high = int(samples.min()), int(samples.max())
    if high - low >= WIDEST:
        return None
    counts = np.bincount(samples.astype(np.int64) - low, minlength=high - low + 1)
    found = np.flatnonzero(counts)
    if len(found) > PLACES:
        return None
    # Most frequent first; of the equally frequent the one nearer to the middle, for a dictionary that packs well.
    middle = np.searchsorted(np.cumsum(counts), len(samples) // 2)
    ranked = found[np.lexsort((found, np.abs(found - middle), -counts[found]))]
    places = _order()[: len(ranked)]
    dictionary = np.zeros(int(places.max()) + 1, np.int32)
    dictionary[places] = ranked + low
    place_of = np.zeros(high - low + 1, np.uint16)
    place_of[ranked] = places
    chunk = _chunk(dictionary, place_of[samples.astype(np.int64) - low], lengths)
    return chunk if len(chunk.body) < _by_difference(samples) else None


@cache
def _order() -> NDArray[np.int64]:
    """Places by rank: those of two small bytes first."""
    high, low = np.divmod(np.arange(PLACES), 256)
    return np.lexsort((low, high, high**SHELLS + low**SHELLS))


def _by_difference(samples: NDArray[np.int32]) -> float:
    """About how many bytes the samples take by Parquet's DELTA_BINARY_PACKED, which zstd does not shrink further."""
    steps = np.diff(samples.astype(np.int64))
    blocks = steps[: len(steps) // BLOCK * BLOCK].reshape(-1, BLOCK)
    if not len(blocks):
        return 0.0
    widths = np.ceil(np.log2(np.ptp(blocks, axis=1) + 1.0))
    return float((widths.mean() + HEADERS) * len(samples) / 8)


def _chunk(dictionary: NDArray[np.int32], places: NDArray[np.uint16], lengths: NDArray[np.int32]) -> Chunk:
    parts = [_page(DICTIONARY_PAGE, dictionary.tobytes(), [(1, I32, len(dictionary)), (2, I32, PLAIN)])]
    levels = 0
    for rows, taken in _pages(lengths):
        entries = int(np.maximum(lengths[rows], 1).sum())  # an empty list has a level too
        body = _levels(lengths[rows].tolist()) + _hybrid(places[taken])
        header = [(1, I32, entries), (2, I32, RLE_DICTIONARY), (3, I32, RLE), (4, I32, RLE)]
        parts.append(_page(DATA_PAGE, body, header))
        levels += entries
    return Chunk(
        body=b"".join(body for body, _ in parts),
        data_at=len(parts[0][0]),
        values=levels,
        unpacked=sum(size for _, size in parts),
    )


def _pages(lengths: NDArray[np.int32]) -> Iterator[tuple[slice, slice]]:
    """Rows and samples of each page: whole rows, and more than one page's samples only where one row has more."""
    ends = np.cumsum(lengths, dtype=np.int64)
    row = start = 0
    while row < len(lengths):
        stop = max(row + 1, int(np.searchsorted(ends, start + PAGE, side="right")))
        yield slice(row, stop), slice(start, int(ends[stop - 1]))
        row, start = stop, int(ends[stop - 1])


def _page(kind: int, body: bytes, header: list[tuple[int, int, int]]) -> tuple[bytes, int]:
    """The page with its header, and how large it is unpacked."""
    packed = pa.Codec("zstd", compression_level=ZSTD_LEVEL).compress(body, asbytes=True)
    own = {number: (what, value) for number, what, value in header}
    head = thrift.struct(
        {
            1: (I32, kind),
            2: (I32, len(body)),
            3: (I32, len(packed)),
            (7 if kind == DICTIONARY_PAGE else 5): (STRUCT, own),
        }
    )
    return head + packed, len(head) + len(body)


def _hybrid(places: NDArray[np.uint16]) -> bytes:
    """Places as one run of 16 bits each; a run is of whole groups of eight."""
    groups = -(-len(places) // 8)
    padding = bytes(2 * (8 * groups - len(places)))
    return b"\x10" + thrift.varint(groups << 1 | 1) + places.astype("<u2").tobytes() + padding


def _levels(lengths: list[int]) -> bytes:
    """Where lists begin (0) and go on (1), then where there is a sample (1) and where a list is empty (0)."""
    repetition = b"".join(map(_begins, lengths))
    if all(lengths):
        definition = _run(sum(lengths), 1)
    else:
        definition = b"".join(_run(max(length, 1), int(length > 0)) for length in lengths)
    return b"".join(len(levels).to_bytes(4, "little") + levels for levels in (repetition, definition))


@lru_cache(maxsize=256)
def _begins(length: int) -> bytes:
    return _run(1, 0) + (_run(length - 1, 1) if length > 1 else b"")


def _run(count: int, level: int) -> bytes:
    return thrift.varint(count << 1) + bytes([level])


def patched(footer: bytes, column: int, chunks: Mapping[int, Chunk]) -> bytes:
    """The footer of a file in which these chunks, by row group, stand for what was written of the column.

    Each follows its row group, of which the footer's writer knew nothing: what it says is further on by their lengths.
    """
    metadata = thrift.parse(footer)
    _, (_, groups) = metadata[4]
    further = 0
    for number, group in enumerate(groups):
        _, (_, columns) = group[1]
        _shift(group, (5,), further)
        for one in columns:
            _shift(one, (2,), further)
            _shift(one[3][1], (9, 10, 11), further)
        if number in chunks:
            chunk, (_, known) = chunks[number], columns[column][3]
            at = _end(columns)
            _shift(group, (2,), chunk.unpacked - known[6][1])
            _shift(group, (6,), len(chunk.body) - known[7][1])
            columns[column] = {2: columns[column][2], 3: (STRUCT, _replaced(known, chunk, at))}
            further += len(chunk.body)
    return thrift.struct(metadata)


def _end(columns: Sequence[thrift.Struct]) -> int:
    """Where the last of a row group's column chunks ends."""
    _, known = columns[-1][3]
    start = min(known[field][1] for field in (9, 11) if field in known)
    return int(start + known[7][1])


def _replaced(known: thrift.Struct, chunk: Chunk, at: int) -> thrift.Struct:
    """What a footer says of a column chunk: of this one, at an offset. Fields above 11 were counted of the other."""
    values = {5: chunk.values, 6: chunk.unpacked, 7: len(chunk.body), 9: at + chunk.data_at, 11: at}
    kept = {field: known[field] for field in (1, 3, 4)}
    return {**kept, 2: (LIST, (I32, list(ENCODINGS))), **{field: (I64, value) for field, value in values.items()}}


def _shift(fields: thrift.Struct, numbers: Iterable[int], by: int) -> None:
    for number in numbers:
        if number in fields:
            kind, value = fields[number]
            fields[number] = kind, value + by
