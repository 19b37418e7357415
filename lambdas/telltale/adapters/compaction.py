"""Which data files of a table to write anew as fewer, larger ones.

Every batch of a shard leaves a file for each table and day. A query opens each of them, whatever is in it, so a day
with a thousand files of 20 kB takes a thousand requests. A day that is over becomes one file, or files of 64 to 512 MB;
of a day that goes on, files are put together while they are small, so that its bytes are not written again every hour.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import ceil

from telltale.adapters.rewrite import LiveFile

SMALL = 64 << 20  # a file of a day that is over should be larger, if the day has more
LARGEST = 512 << 20
SMALL_TODAY = 8 << 20  # of a day that goes on, larger files wait for its end
FEW_TODAY = 16  # so many small files of a day that goes on are not worth a rewrite
LATE = 8  # files that came to a day with large ones before those are written again for them …
LATE_SHARE = 8  # … unless the late ones are an eighth of them together
GROUP_BYTES = 512 << 20  # that are written anew at once: what a function's disk holds, sorted in runs


def groups(files: Iterable[LiveFile], *, today: str) -> list[list[LiveFile]]:
    """Files to be written anew together, each group of one day; the groups that make many files few come first."""
    days: dict[str, list[LiveFile]] = defaultdict(list)
    for file in files:
        days[file.day].append(file)
    found = [group for day, of_day in days.items() for group in _of_day(of_day, over=day < today)]
    return sorted(found, key=len, reverse=True)


def _of_day(files: Sequence[LiveFile], *, over: bool) -> list[list[LiveFile]]:
    small = [file for file in files if file.bytes < (SMALL if over else SMALL_TODAY)]
    if not over:
        return _packed(small) if len(small) > FEW_TODAY else []
    large = sorted((file for file in files if file.bytes >= SMALL), key=lambda file: file.bytes)
    if not large or _bytes(small) >= SMALL:
        return _packed(small) if len(small) > 1 else []
    if len(small) < LATE and _bytes(small) * LATE_SHARE < large[0].bytes:
        return []
    if large[0].bytes + _bytes(small) <= LARGEST:
        return [[*small, large[0]]]
    return _packed(small) if len(small) > 1 else []


def _packed(files: Sequence[LiveFile]) -> list[list[LiveFile]]:
    """Groups of neighbours, about as large as one another. Names of files begin as they were written."""
    ordered = sorted(files, key=lambda file: file.uri)
    wanted = ceil(_bytes(ordered) / GROUP_BYTES)
    each, found, room = _bytes(ordered) / max(1, wanted), list[list[LiveFile]](), 0.0
    for file in ordered:
        if not found or room <= 0:
            found.append([])
            room = each
        found[-1].append(file)
        room -= file.bytes
    return [group for group in found if len(group) > 1]


def _bytes(files: Iterable[LiveFile]) -> int:
    return sum(file.bytes for file in files)
