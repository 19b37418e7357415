"""Rows of an asset from the lake, as committed: its tags over even intervals.

What trains reads and what scores reads is the same, so a score can be made again from the lake.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil, floor
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError

from telltale.core import tags
from telltale.core.capture import AXES
from telltale.core.tag_sources import INDICATORS, SCALARS, Source, source
from telltale.core.training import History

Array = NDArray[Any]

IMPORTED = "import/"  # what ids of captures begin with that a historian or Lookout brought in, and no sensor's do
CHUNK_VALUES = 1_000_000  # that are asked for at once: with ten values to an interval, a few hundred MB. A guess


@dataclass(frozen=True, eq=False)
class Heard:
    """The rows, and until when each position has been heard: seconds since 1970, of those that were heard at all."""

    history: History
    until_s: Mapping[str, float]


class AssetHistory:
    """The lake's readings, captures and features of assets."""

    def __init__(self, catalog: Catalog, *, database: str) -> None:
        self._catalog, self._database = catalog, database

    def sources(self, positions: Sequence[str], *, from_s: float, to_s: float) -> list[Source]:
        """All that these positions have sent between two times, though not whether it ever had a value."""
        found = {(at, name) for at, name in self._distinct("readings", "tag", positions, from_s, to_s)}
        sources = [Source(at, name) for at, name in found if name not in SCALARS]
        here = {at for at, _ in self._distinct("captures", "part", positions, from_s, to_s)}
        sources += [Source(at, name) for at in here for name in SCALARS]
        axes = self._distinct("features", "axis", positions, from_s, to_s)
        sources += [Source(at, name, axis) for at, axis in axes if axis in AXES for name in INDICATORS]
        return sorted(sources, key=lambda one: one.tag)

    def read(
        self,
        asset: str,
        names: Sequence[str],
        *,
        every_s: float,
        from_s: float,
        to_s: float,
        imported: bool = True,
    ) -> Heard:
        """The intervals of `every_s` that lie wholly between two times; ValueError for what is no name of a tag.

        An interval holds its beginning and not its end, by which it is called. One without any value is left out.
        imported : with values that no sensor sent, but that were brought in.
        """
        sources = [source(asset, name) for name in names]
        chunk_s = every_s * max(1, CHUNK_VALUES // max(1, len(names)))
        start_s, end_s = every_s * ceil(from_s / every_s), every_s * floor(to_s / every_s)
        times, values, until = [np.empty(0)], [np.empty((0, len(names)))], dict[str, float]()
        while start_s < end_s:
            next_s = min(start_s + chunk_s, end_s)
            at_s, wide, heard = self._values(sources, start_s, next_s, imported)
            ends, means = tags.resampled(at_s, wide, every_s=every_s)
            times.append(ends)
            values.append(means)
            until |= heard
            start_s = next_s
        until |= self._values(sources, end_s, to_s, imported)[2] if end_s < to_s else {}
        return Heard(History(tuple(names), np.concatenate(times), np.concatenate(values)), until)

    def _values(
        self, sources: Sequence[Source], from_s: float, to_s: float, imported: bool
    ) -> tuple[Array, Array, dict[str, float]]:
        """Times (rows,), values (rows, sources) with NaN where one has none, and until when positions were heard."""
        long = [
            (place, at_s, values)
            for table in sorted({one.table for one in sources})
            for place, at_s, values in self._of_table(table, sources, from_s, to_s, imported)
        ]
        if not long:
            return np.empty(0), np.empty((0, len(sources))), {}
        at_s, rows = np.unique(np.concatenate([times for _, times, _ in long]), return_inverse=True)
        wide = np.full((len(at_s), len(sources)), np.nan)
        heard: dict[str, float] = {}
        start = 0
        for place, times, values in long:
            wide[rows[start : start + len(times)], place] = values
            start += len(times)
            position = sources[place].position
            heard[position] = max(heard.get(position, 0.0), float(times.max()))
        return at_s, wide, heard

    def _of_table(
        self, table: str, sources: Sequence[Source], from_s: float, to_s: float, imported: bool
    ) -> Iterator[tuple[int, Array, Array]]:
        """For each source that has values there: its place, times and values."""
        here = [(place, one) for place, one in enumerate(sources) if one.table == table]
        named = sorted({one.name for _, one in here})
        columns = {"readings": ["tag", "value"], "captures": named, "features": ["axis", *named]}[table]
        found = self._scan(table, columns, {one.position for _, one in here}, from_s, to_s, imported=imported)
        if found is None:
            return
        at_s = np.asarray(pc.cast(found["t"], pa.int64())) / 1e6
        for place, one in here:
            of = pc.equal(found["position"], one.position)
            if table != "captures":
                key, wanted = ("tag", one.name) if one.axis is None else ("axis", one.axis)
                of = pc.and_(of, pc.equal(found[key], wanted))
            rows = np.flatnonzero(np.asarray(of))
            values = np.asarray(found["value" if table == "readings" else one.name], np.float64)[rows]
            known = np.isfinite(values)
            if known.any():
                yield place, at_s[rows][known], values[known]

    def _distinct(
        self, table: str, column: str, positions: Sequence[str], from_s: float, to_s: float
    ) -> set[tuple[str, str]]:
        found = self._scan(table, [column], positions, from_s, to_s)
        if found is None:
            return set()
        pairs = found.group_by(["position", column]).aggregate([])
        return set(zip(pairs["position"].to_pylist(), pairs[column].to_pylist(), strict=True))

    def _scan(
        self,
        table: str,
        columns: Sequence[str],
        positions: Iterable[str],
        from_s: float,
        to_s: float,
        *,
        imported: bool = True,
    ) -> pa.Table | None:
        """Rows of the positions between two times; None where there is no such table yet."""
        try:
            iceberg = self._catalog.load_table((self._database, table))
        except NoSuchTableError:
            return None
        fields = ("position", "t", *columns)
        heard = "" if imported else f" and capture_id not like '{IMPORTED}%'"
        return iceberg.scan(_between(positions, from_s, to_s) + heard, selected_fields=fields).to_arrow()


def _between(positions: Iterable[str], from_s: float, to_s: float) -> str:
    """The filter, in PyIceberg's words; paths of positions have no quotation marks."""
    listed = ", ".join(f"'{position}'" for position in sorted(positions))
    return f"position in ({listed}) and t >= '{_instant(from_s)}' and t < '{_instant(to_s)}'"


def _instant(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="microseconds")
