"""The trends of the positions while one batch is decided: read where they are wanted, grown, and written once."""

from collections.abc import Iterable

from telltale.adapters.states import HeldTrend, States, TrendWrite
from telltale.core.judgement import Row
from telltale.core.trend import Trend


class Trends:
    """Reads the table STATES, and writes nothing."""

    def __init__(self, states: States) -> None:
        self._states = states
        self._held: dict[str, HeldTrend] = {}
        self._after: dict[str, Trend] = {}

    def read(self, positions: Iterable[str]) -> None:
        """Those of these positions, in few calls, before they are asked for one by one."""
        wanted = [name for name in positions if name not in self._held]
        self._held |= dict.fromkeys(wanted, HeldTrend()) | self._states.trends(wanted)

    def of(self, position: str) -> Trend:
        """As it is by now."""
        if position not in self._after:
            self.read([position])
            self._after[position] = Trend.unpack(self._held[position].core)
        return self._after[position]

    def grow(self, position: str, row: Row) -> None:
        """With one more row."""
        self._after[position] = self.of(position).with_row(row)

    def begin_anew(self, position: str) -> None:
        """After a repair it is another machine."""
        self.read([position])
        self._after[position] = Trend.new()

    def writes(self, batch_id: str) -> list[TrendWrite]:
        """Of those that are not as they were."""
        packed = {name: trend.pack() for name, trend in self._after.items()}
        return [
            TrendWrite(name, self._held[name].rev + 1, core, batch_id)
            for name, core in packed.items()
            if core != self._held[name].core
        ]
