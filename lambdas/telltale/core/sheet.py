"""Indicators of many captures as one matrix, each line of which is a mapping like any other axis of a Row.

For histories that are read as columns: a dictionary for each axis costs more than judging it.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Sheet:
    """table : shape (lines, names); NaN is "not known"."""

    def __init__(self, names: Sequence[str], table: Floats) -> None:
        self.names = tuple(names)
        self.table = table
        self.places = {name: place for place, name in enumerate(self.names)}
        self._columns: tuple[tuple[str, ...], Floats] = ((), table)

    def lines(self) -> list["Line"]:
        """Each line as a mapping."""
        return [Line(self, at) for at in range(len(self.table))]

    def columns(self, names: tuple[str, ...]) -> Floats:
        """These names' values, of shape (lines, names)."""
        if self._columns[0] != names:
            found = np.full((len(self.table), len(names)), np.nan)
            known = [place for place, name in enumerate(names) if name in self.places]
            found[:, known] = self.table[:, [self.places[names[place]] for place in known]]
            self._columns = names, found
        return self._columns[1]


class Line(Mapping[str, float]):
    """One line: its names and values, without what is not known."""

    __slots__ = ("at", "sheet")

    def __init__(self, sheet: Sheet, at: int) -> None:
        self.sheet = sheet
        self.at = at

    def __getitem__(self, name: str) -> float:
        value: float = self.sheet.table.item(self.at, self.sheet.places[name])
        if value != value:
            raise KeyError(name)
        return value

    def get(self, name: str, default: Any = None) -> Any:
        """Mapping's, without an exception for each that is missing."""
        place = self.sheet.places.get(name)
        value = nan if place is None else self.sheet.table.item(self.at, place)
        return default if value != value else value

    def __iter__(self) -> Iterator[str]:
        values = self.sheet.table[self.at].tolist()
        return (name for name, value in zip(self.sheet.names, values, strict=True) if value == value)

    def __len__(self) -> int:
        return int((~np.isnan(self.sheet.table[self.at])).sum())
