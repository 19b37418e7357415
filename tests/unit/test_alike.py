"""What `plant apply` gives a new position of what machines alike have learned."""

from collections.abc import Collection, Mapping
from dataclasses import replace

import pytest
from cli.alike import with_fleet
from cli.plant import diff
from telltale.adapters.states import Held
from telltale.core.baseline import EMPTY, NO_REFERENCES, Normal
from telltale.core.plant import Plant, Position, Site
from telltale.core.state import Channel, State


def plant(*positions: Position) -> Plant:
    return Plant({"s": Site("s")}, {position.id: position for position in positions}, {}, {})


def pump(number: int) -> Position:
    return Position(f"s/a/pump-{number}/drive", type="Pump", machine_class="iso10816-1/II")


def held(location: float, rows: int = 100) -> Held:
    baseline = (Normal(location, 0.1, location, rows), *EMPTY[1:])
    state = State(channels={"x": replace(Channel.new("x"), baseline=baseline, references=NO_REFERENCES)})
    return Held(state.pack(), 1, "HEALTHY", 1, 1, None, None)


STATES = {pump(number).id: held(-2.0 + number / 10) for number in range(6)}
REGISTERED = plant(*(pump(number) for number in range(6)))


def states(names: Collection[str]) -> Mapping[str, Held]:
    return {name: STATES[name] for name in names if name in STATES}


def test_a_new_position_is_told_of_machines_alike() -> None:
    seen = with_fleet(plant(pump(7)), REGISTERED, states)

    known = seen.positions[pump(7).id].fleet
    assert known.keys() == {"rms_g"}
    assert known["rms_g"].location == pytest.approx(-1.75)
    assert known["rms_g"].machines == 6


@pytest.mark.parametrize("other", [{"type": "Fan"}, {"machine_class": "iso10816-1/IV"}])
def test_machines_of_another_kind_tell_nothing(other: dict[str, str]) -> None:
    stranger = replace(pump(7), **other)  # type: ignore[arg-type]

    assert with_fleet(plant(stranger), REGISTERED, states).positions[stranger.id].fleet == {}


def test_what_is_still_learned_tells_nothing() -> None:
    learning = {name: held(-2.0, rows=99) for name in STATES}

    seen = with_fleet(plant(pump(7)), REGISTERED, lambda names: {name: learning[name] for name in names})

    assert seen.positions[pump(7).id].fleet == {}


def test_a_registered_position_keeps_what_it_was_registered_with() -> None:
    first = with_fleet(plant(pump(7)), REGISTERED, states).positions[pump(7).id]
    registered = plant(*REGISTERED.positions.values(), first)

    again = with_fleet(plant(pump(7)), registered, states)

    assert diff(plant(first), again) == []


def test_no_state_is_read_where_nothing_is_new() -> None:
    def never(names: Collection[str]) -> Mapping[str, Held]:
        raise AssertionError(f"read {names}")

    with_fleet(plant(pump(1)), REGISTERED, never)
