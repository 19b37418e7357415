"""What a new position is judged by until it has learned its own normal: machines alike in the same deployment."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from telltale.adapters.states import Held
from telltale.core import detect, fleet
from telltale.core.plant import Plant, Position
from telltale.core.settings import settings_of
from telltale.core.state import State

Kind = tuple[str, str | None]


def with_fleet(new: Plant, registered: Plant, states: Callable[[Collection[str]], Mapping[str, Held]]) -> Plant:
    """The plant of a file, each position that is not registered yet with what machines alike have learned by now.

    `states` : reads what registered ones have learned.
    """
    strangers = [position for name, position in new.positions.items() if name not in registered.positions]
    kinds = {kind_of(position) for position in strangers}
    teachers = [position for position in registered.positions.values() if kind_of(position) in kinds]
    held = states([position.id for position in teachers]) if teachers else {}
    machines: dict[Kind, dict[str, dict[str, Mapping[str, float]]]] = defaultdict(lambda: defaultdict(dict))
    for position in teachers:
        if position.id in held:
            state = State.unpack(held[position.id].core)
            learned = detect.normals(state, settings=settings_of(position.settings))
            of_asset = machines[kind_of(position)][position.asset]
            of_asset |= {f"{position.id} {axis}": levels for axis, levels in learned.items()}
    known = {kind: fleet.alike(assets.values()) for kind, assets in machines.items()}

    seen = {position.id: replace(position, fleet=known.get(kind_of(position), {})) for position in strangers}
    return replace(new, positions={**new.positions, **seen})


def kind_of(position: Position) -> Kind:
    """Positions of one type and machine class are alike."""
    return position.type, position.machine_class
