"""From values of tags to rows of the lake: readings, and captures for what is a column of those. Keys of both.

A value is known again by position, tag and time. What a capture holds at one instant of a position (its temperature,
its speed) is one item, however many columns it fills.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from telltale.adapters.asset_history import IMPORTED
from telltale.core import schema
from telltale.core.capture import AXES

from cli.day_shuffle import Together
from cli.historian_mapping import SCALARS
from cli.historian_values import Series
from cli.import_seen import Keys
from cli.importing import PREFIX, Known, Part
from cli.problem import Problem

Array = NDArray[Any]

GATEWAY = "import"  # in place of the gateway that live captures came through
SERIES_BITS = 23  # of a key; the others are the millisecond, until 2109
AT_AN_INSTANT = ""  # for a tag: what a capture holds
UTC = pa.timestamp("us", tz="UTC")


class ItemKeys:
    """One key for each item: exact, and those of one time lie together, so that what is known of other days is not
    searched. Only of this process.
    """

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str, int], int] = {}

    def of(self, places: Sequence[tuple[str, str]], which: Array, t_us: Array) -> Keys:
        """places : position and tag.   which : (n,) index of these.   t_us : (n,)"""
        within = t_us % 1000
        if within.any():
            pairs, inverse = np.unique(which.astype(np.int64) * 1000 + within, return_inverse=True)
            codes = [self._code(places[pair // 1000], pair % 1000) for pair in pairs.tolist()]
            of_each = np.array(codes, np.uint64)[inverse] if len(codes) else np.empty(0, np.uint64)
        else:
            codes = [self._code(place, 0) for place in places]
            of_each = np.array(codes, np.uint64)[which] if len(which) else np.empty(0, np.uint64)
        return (t_us // 1000).astype(np.uint64) << np.uint64(SERIES_BITS) | of_each

    def _code(self, place: tuple[str, str], within: int) -> int:
        code = self._codes.setdefault((*place, within), len(self._codes))
        if code >> SERIES_BITS:
            raise Problem("more tags than can be told apart in one import", "Import the files a part at a time.")
        return code

    def known(self) -> Sequence[Known]:
        """What the lake may know of these items."""
        return (
            Known(schema.READINGS, ("position", "tag", "t"), self._of_readings),
            Known(schema.CAPTURES, ("position", "part", "t"), self._of_captures),
        )

    def _of_readings(self, rows: pa.Table) -> Keys:
        if not len(rows):
            return np.empty(0, np.uint64)
        positions, tags = (pc.dictionary_encode(rows[name].combine_chunks()) for name in ("position", "tag"))
        names = tags.dictionary.to_pylist()
        pair = np.asarray(positions.indices, np.int64) * len(names) + np.asarray(tags.indices)
        pairs, which = np.unique(pair, return_inverse=True)
        paths = positions.dictionary.to_pylist()
        places = [(paths[one // len(names)], names[one % len(names)]) for one in pairs.tolist()]
        return self.of(places, which, _microseconds(rows))

    def _of_captures(self, rows: pa.Table) -> Keys:
        scalars = rows.filter(pc.match_substring(rows["part"], "s"))
        if not len(scalars):
            return np.empty(0, np.uint64)
        positions = pc.dictionary_encode(scalars["position"].combine_chunks())
        places = [(path, AT_AN_INSTANT) for path in positions.dictionary.to_pylist()]
        return self.of(places, np.asarray(positions.indices), _microseconds(scalars))


def _microseconds(rows: pa.Table) -> Array:
    return np.asarray(pc.cast(rows["t"].combine_chunks().cast(UTC), pa.int64()))


def made(found: Together, series: Series, keys: ItemKeys, *, record: str) -> tuple[Keys, list[Part]]:
    """Keys of the items and rows of the lake, sorted as its tables are. record : id of the chunk."""
    places = series.places
    ranked = np.empty(len(places), np.int32)
    ranked[sorted(range(len(places)), key=places.__getitem__)] = np.arange(len(places), dtype=np.int32)
    scalar = np.array([tag in SCALARS for _, tag in places], bool)[found.series]
    order = np.lexsort((found.t_us, ranked[found.series]))
    readings = order[~scalar[order]]
    t_us, which, value = found.t_us[readings], found.series[readings], found.value[readings]
    item_keys, parts = [keys.of(places, which, t_us)], []
    if len(readings):
        columns = _ids(series, which, t_us) | {"tag": _of([tag for _, tag in places], which), "value": pa.array(value)}
        parts.append(Part(schema.READINGS, pa.table(columns), np.arange(len(readings))))
    if scalar.any():
        of_scalars, captures = _captures(found, series, keys, np.flatnonzero(scalar), len(readings), record)
        item_keys.append(of_scalars)
        parts += captures
    return np.concatenate(item_keys), parts


def _ids(series: Series, which: Array, t_us: Array) -> dict[str, pa.Array]:
    """The columns that every row of a capture starts with."""
    positions = [position for position, _ in series.places]
    return {
        "capture_id": capture_ids(_of(positions, which), t_us),
        "position": _of(positions, which),
        "site": _of([position.split("/")[0] for position in positions], which),
        "sensor": _of(series.sensors, which),
        "t": pa.array(t_us).cast(UTC),
    }


def capture_ids(positions: pa.Array, t_us: Array) -> pa.Array:
    """`import/position@ms`, with the microseconds where there are any: by it scoring knows what no sensor sent."""
    milliseconds = pc.cast(pa.array(t_us // 1000), pa.string())
    if (within := t_us % 1000).any():
        digits = pc.utf8_lpad(pc.cast(pa.array(within), pa.string()), width=3, padding="0")
        after = pc.if_else(pa.array(within != 0), pc.binary_join_element_wise(".", digits, ""), "")
        milliseconds = pc.binary_join_element_wise(milliseconds, after, "")
    named = pc.binary_join_element_wise(IMPORTED, positions.cast(pa.string()), "")
    return pc.binary_join_element_wise(named, milliseconds, "@")


def _of(names: Sequence[str], which: Array) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(which, pa.int32()), pa.array(names, pa.string())).cast(pa.string())


def _captures(
    found: Together, series: Series, keys: ItemKeys, rows: Array, first_item: int, record: str
) -> tuple[Keys, list[Part]]:
    """One row for each position and instant; a second value of one column there is an item that is known already."""
    paths = sorted({position for position, _ in series.places})
    place = np.array([paths.index(position) for position, _ in series.places])
    t_us, which, value = found.t_us[rows], found.series[rows], found.value[rows]
    order = np.lexsort((t_us, place[which]))
    t_us, which, value = t_us[order], which[order], value[order]
    at = place[which]
    begins = np.ones(len(t_us), bool)
    begins[1:] = (t_us[1:] != t_us[:-1]) | (at[1:] != at[:-1])
    group = np.cumsum(begins) - 1
    starts = np.flatnonzero(begins)
    instants, here = t_us[starts], at[starts]
    columns: dict[str, Array] = {}
    again = 0
    for name in SCALARS:
        mine = np.flatnonzero(np.array([tag == name for _, tag in series.places])[which])
        if len(mine):
            groups, first = np.unique(group[mine], return_index=True)
            column = np.full(len(starts), np.nan)
            column[groups] = value[mine[first]]
            columns[name] = column
            again += len(mine) - len(groups)
    item_keys = keys.of([(path, AT_AN_INSTANT) for path in paths], here, instants)
    sensor_of = dict(zip((position for position, _ in series.places), series.sensors, strict=True))
    positions = _of(paths, here)
    ids = {
        "capture_id": capture_ids(positions, instants),
        "position": positions,
        "site": _of([path.split("/")[0] for path in paths], here),
        "sensor": _of([sensor_of[path] for path in paths], here),
        "t": pa.array(instants).cast(UTC),
    }
    count = len(starts)
    scalars = {name: pa.array(column, from_pandas=True) for name, column in columns.items()}
    item = np.arange(first_item, first_item + count)
    capture = {
        **ids,
        **scalars,
        "part": pa.array(["s"] * count),
        "gateway": pa.array([GATEWAY] * count),
        "received_at": ids["t"],
        "record_id": pa.array([f"{PREFIX}{record}"] * count),
    }
    parts = [Part(schema.CAPTURES, pa.table(capture), item), *_features(ids, columns, item)]
    repeated = np.repeat(item_keys[:1], again)
    return np.concatenate([item_keys, repeated]), parts


def _features(ids: Mapping[str, pa.Array], columns: Mapping[str, Array], item: Array) -> list[Part]:
    """An axis whose velocity is known is a row of features, as where a device computes it."""
    speed = columns.get("speed_rpm")
    found = []
    for axis in AXES:
        velocity = columns.get(f"velocity_rms_{axis}_mm_s")
        if velocity is None:
            continue
        rows = np.flatnonzero(np.isfinite(velocity))
        of_axis = {name: column.take(pa.array(rows)) for name, column in ids.items()}
        of_axis |= {"axis": pa.array([axis] * len(rows)), "velocity_rms_mm_s": pa.array(velocity[rows])}
        if speed is not None:
            of_axis["speed_rpm"] = pa.array(speed[rows], from_pandas=True)
        found.append(Part(schema.FEATURES_TABLE, pa.table(of_axis), item[rows]))
    return found
