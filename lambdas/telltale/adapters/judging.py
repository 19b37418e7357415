"""A stretch of the stream judged at once, before its records are taken one after the other.

core.batch judges rows of many positions together for a tenth of what they cost alone, and keeps no state between two
rows of a position. So of plain rows only a `Glance` is told; rows of which more is asked go through `detect.step`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from telltale.adapters.feature_stream import Message
from telltale.core import batch, tag_streams
from telltale.core.batch import Stepped
from telltale.core.judgement import CaseChange, Verdict
from telltale.core.plant import Position
from telltale.core.state import State
from telltale.core.state_table import StateTable


@dataclass(frozen=True)
class Glance:
    """What a position shows. `sensor_faults` : axis → the kind of fault that stands."""

    state: str = "UNKNOWN"
    sensor_faults: Mapping[str, str] = field(default_factory=dict)


Shown = State | Glance


@dataclass(frozen=True)
class Outcome:
    """What detection said of one message. Where it changed a case or was to go by hand, the states are whole."""

    before: Shown
    after: Shown
    verdicts: Sequence[Verdict]
    changes: Sequence[CaseChange] = ()


class Judging:
    """What detection says of a stretch of messages.

    messages : in their order; None for what is no message.   cores : the packed states of the positions.
    by_hand : of a message: it is wanted with whole states.
    """

    def __init__(
        self,
        messages: Sequence[Message | None],
        positions: Mapping[str, Position],
        cores: Mapping[str, bytes],
        *,
        by_hand: Callable[[Message, Position], bool],
    ) -> None:
        self._positions = positions
        self._lanes = {name: lane for lane, name in enumerate(positions)}
        self._cores = [cores[name] for name in positions]
        self._bad = {name: error for name, one in positions.items() if (error := _bad_streams(one)) is not None}
        known = {place: one for place, one in enumerate(messages) if one is not None and one.position in positions}
        heard = {place: one for place, one in known.items() if one.position not in self._bad}
        self._heard = [(self._lanes[one.position], one.item) for one in heard.values()]
        self._number = {place: number for number, place in enumerate(heard)}
        self._by_hand = [self._number[place] for place, one in heard.items() if by_hand(one, positions[one.position])]
        self._judged = self._judge(len(self._heard))

    def of(self, place: int, position: str, shown: Shown) -> Outcome:
        """What became of the message at this place. shown : what its position showed before.

        ValueError where the position's settings make no sense.
        """
        if position in self._bad:
            raise self._bad[position]
        number = self._number[place]
        made = self._judged.by_hand.get(number)
        if isinstance(made, ValueError):
            raise made
        if made is not None:
            return Outcome(made.before, made.after, made.verdicts, made.changes)
        after = Glance("HEALTHY", shown.sensor_faults) if self._judged.first(number) else shown
        return Outcome(shown, after, self._judged.verdicts(number))

    def cores_after(self, places: int) -> dict[str, bytes]:
        """The packed states after the messages at the first places."""
        count = sum(place < places for place in self._number)
        judged = self._judged if count == len(self._heard) else self._judge(count)
        return dict(zip(self._positions, judged.states, strict=True))

    def _judge(self, count: int) -> batch.Judged[Stepped]:
        by_hand = [number for number in self._by_hand if number < count]
        positions = list(self._positions.values())
        return batch.judge(self._cores, self._heard[:count], positions, keep=lambda one: one, by_hand=by_hand)


def glances(cores: Mapping[str, bytes]) -> dict[str, Shown]:
    """What positions show, by their packed states."""
    plain = [name for name, core in cores.items() if StateTable.takes(core)]
    table = StateTable(len(plain))
    table.read(range(len(plain)), [cores[name] for name in plain])
    found: dict[str, Shown] = {name: State.unpack(core) for name, core in cores.items() if not StateTable.takes(core)}
    return found | {name: Glance(table.word(at), table.sensor_faults(at)) for at, name in enumerate(plain)}


def _bad_streams(position: Position) -> ValueError | None:
    try:
        tag_streams.check(position.streams)
    except ValueError as error:
        return error
    return None
