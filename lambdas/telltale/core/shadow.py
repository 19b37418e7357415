"""A candidate beside the live settings: what it is, of which positions, since when, by whom and why.

It is no second line. A replay of what was heard gives what the candidate would have judged, exactly, because it gives
what the live settings did judge (core.backtest); so a shadow is only written down, and costs the line nothing.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from typing import Literal

from telltale.core.plant import Position

Kind = Literal["started", "promoted", "stopped"]
DIGITS = 12  # hexadecimal, of a position's fingerprint: 48 bits tell two settings of one position apart


@dataclass(frozen=True)
class Act:
    """What somebody did with a shadow, when and why."""

    kind: Kind
    t_ms: int
    by: str
    why: str


@dataclass(frozen=True)
class Shadow:
    """A candidate: what it has that the live positions have not.

    settings, limits : by name; of limits None takes one away.   machine_class : "none" takes it away, None leaves it.
    base : position → fingerprint of it as it was live when the shadow began.   acts : what was done, the first first.
    """

    name: str
    base: Mapping[str, str]
    acts: tuple[Act, ...]
    settings: Mapping[str, float] = field(default_factory=dict)
    limits: Mapping[str, float | None] = field(default_factory=dict)
    machine_class: str | None = None

    @property
    def since_ms(self) -> int:
        return self.acts[0].t_ms

    @property
    def state(self) -> str:
        """running, promoted or stopped."""
        kind = self.acts[-1].kind
        return "running" if kind == "started" else kind

    @property
    def positions(self) -> list[str]:
        return sorted(self.base)

    def after(self, act: Act) -> "Shadow":
        """With one more act. ValueError if it has ended."""
        if self.state != "running":
            raise ValueError(f"{self.name} was {self.state}, and cannot be {act.kind}")
        return replace(self, acts=(*self.acts, act))

    def changed(self, live: Mapping[str, Position]) -> list[str]:
        """Positions that are gone, or set otherwise than when the shadow began."""
        return [name for name in self.positions if name not in live or fingerprint(live[name]) != self.base[name]]


def fingerprint(position: Position) -> str:
    """Of all that is set on a position; what has its default does not count, so that a new field changes none."""
    values = {one.name: getattr(position, one.name) for one in fields(position)}
    defaults = {
        one.name: one.default if one.default_factory is MISSING else one.default_factory() for one in fields(position)
    }
    own = {name: value for name, value in asdict(position).items() if values[name] != defaults[name]}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:DIGITS]
