"""Many rows at once: the same states, verdicts and cases as one by one, bit for bit."""

from collections.abc import Sequence
from dataclasses import replace
from math import exp, inf, nan
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from telltale.core import batch
from telltale.core.detect import CaseChange, Row, State, Verdict, step
from telltale.core.plant import Alike, Limits, Position
from telltale.core.sheet import Sheet
from telltale.core.state_table import StateTable

from tests.unit.test_detect_laws import POSITION as LOADED
from tests.unit.test_detect_laws import Item, control, histories

POSITION = replace(LOADED, load_tag=None)
POSITIONS = [
    POSITION,
    Position(
        "plant/hall/pump-2/de",
        machine_class="iso20816-3/1-rigid",
        running_above_g=0.1,
        settings={"warmup": 3, "warning_n": 1, "warning_m": 2, "alarm_n": 2, "alarm_m": 3, "clear": 0.5},
    ),
    Position(
        "plant/hall/pump-3/de",
        limits=Limits(velocity_warning_mm_s=3, temperature_alarm_c=70),
        settings={"warmup": 6, "sensor_normal": 0},
    ),
    Position(
        "plant/hall/pump-4/de",
        limits=Limits(velocity_alarm_mm_s=3),
        speed_rpm=1480,
        directions={"x": "vertical", "y": "horizontal", "z": "axial"},
        settings={"warmup": 5},
    ),
    LOADED,
    replace(POSITION, id="plant/hall/pump-5/de", fleet={"rms_g": Alike(0.0, 1.0, 9), "env_rms_g": Alike(0.0, 0.7, 5)}),
]
SLOW = Position("plant/hall/mill/de", speed_rpm=300, machine_class="iso20816-3/1-rigid")
UNKNOWN_CLASS = Position("plant/hall/pump-9/de", machine_class="ISO 9000")
PATIENT = replace(POSITION, id="plant/hall/pump-8/de", settings={"warmup": 4, "warning_for_s": 5})

Heard = Sequence[tuple[int, Item]]
Said = tuple[list[Verdict], list[CaseChange]] | str


def by_words(state: State, item: Item, position: Position) -> tuple[State, list[Verdict], list[CaseChange]]:
    return step(state, control(state, item) if isinstance(item, str) else item, position)


def one_by_one(heard: Heard, positions: Sequence[Position]) -> tuple[list[bytes], list[Said]]:
    states = [State.new()] * len(positions)
    said: list[Said] = []
    for place, item in heard:
        try:
            states[place], verdicts, changes = by_words(states[place], item, positions[place])
            said.append((verdicts, changes))
        except ValueError as error:
            said.append(str(error))
    return [state.pack() for state in states], said


def at_once(heard: Heard, positions: Sequence[Position], sizes: Sequence[int]) -> tuple[list[bytes], list[Said], int]:
    """In batches of these sizes; how many went by hand at last."""
    states = [State.new().pack()] * len(positions)
    said: list[Said] = []
    by_hand = low = 0
    for size in [*sizes, len(heard)]:
        part = heard[low : low + size]
        low += size
        judged = batch.judge(states, part, positions, step=by_words, keep=lambda one: (one.verdicts, one.changes))
        states = judged.states
        by_hand += len(judged.by_hand)
        for place in range(len(part)):
            kept = judged.by_hand.get(place, None)
            said.append(str(kept) if isinstance(kept, ValueError) else kept or (judged.verdicts(place), []))
    return states, said, by_hand


def interleaved(chance: Random, histories: Sequence[Sequence[Any]]) -> Heard:
    """Each position's items in their order, positions mixed."""
    left = [list(reversed(one)) for one in histories]
    heard = []
    while any(left):
        place = chance.choice([place for place, items in enumerate(left) if items])
        heard.append((place, left[place].pop()))
    return heard


def compared(heard: Heard, positions: Sequence[Position], sizes: Sequence[int]) -> int:
    """Fails unless all is equal; how many went by hand."""
    states, said = one_by_one(heard, positions)
    states_2, said_2, by_hand = at_once(heard, positions, sizes)
    for one, two, item in zip(said, said_2, heard, strict=True):
        assert one == two, item
    assert states == states_2
    return by_hand


@given(st.lists(histories(), min_size=2, max_size=6), st.randoms(use_true_random=False), st.lists(st.integers(1, 20)))
@settings(max_examples=12)
def test_a_batch_says_what_detection_says_row_by_row(items: list[list[Item]], chance: Random, sizes: list[int]) -> None:
    again = [[*one, *chance.choices(one, k=2)] for one in items]  # late and twice

    compared(interleaved(chance, again), POSITIONS, sizes)


SOUND = {"repeated_share": 0.001, "clipped_share": 0.0005, "crest": 4.0, "count_g": 0.0005, "drift_g": 0.001}
LEVELS = ("rms_g", "peak_g", "velocity_rms_mm_s", "env_rms_g", "env_bpfo_g", "order_1_mm_s", "band_5000_10000_g")


def machine(chance: Random, rows: int, *, trouble: float) -> list[Item]:
    """A machine that wanders, with a share of rows on which something is the matter."""
    found: list[Item] = []
    level = 1.0
    for number in range(1, rows + 1):
        if chance.random() < trouble:
            level = chance.choice([0.01, 1.0, 1.05, 1.5, 3.0, 8.0])
        axes = {name: _axis(chance, level, trouble) for name in "xyz" if chance.random() > trouble}
        speed = chance.choice([None, 0.0, 500.0]) if chance.random() < trouble else 1480.0
        celsius = chance.choice([None, 90.0]) if chance.random() < trouble else 60.0
        found.append(Row(f"c{number}", "xyzs", 1000 * number, 1000 * number, "s-1", speed, celsius, axes))
        if chance.random() < trouble:
            found.append(chance.choice([*found, "acknowledged", "resolved", "resolved without repair"]))
    return found


def _axis(chance: Random, level: float, trouble: float) -> dict[str, float | None]:
    axis: dict[str, float | None] = {name: level * exp(chance.gauss(0, 0.1)) for name in LEVELS}
    axis["velocity_2_rms_mm_s"] = 1.05 * (axis["velocity_rms_mm_s"] or 0.0)
    axis |= {**SOUND, "mean_g": chance.gauss(0, 0.05), "env_low_hz": 2000.1, "env_high_hz": 10_000.0}
    if chance.random() < trouble:
        axis |= {chance.choice(LEVELS): chance.choice([None, 0.0, -1.0, nan, inf, 1e-3, 1e33])}
    if chance.random() < trouble:
        odd = {"clipped_share": 0.3, "repeated_share": 0.3, "mean_g": 1.0, "drift_g": 9.0, "env_low_hz": 500.1}
        name = chance.choice([*odd, "velocity_2_rms_mm_s", "crest"])
        axis |= {name: odd.get(name, 90.0 if chance.random() < 0.5 else None)}
    return axis


@pytest.mark.parametrize("seed", range(2))
def test_troubled_machines_are_judged_alike(seed: int) -> None:
    chance = Random(seed)
    positions = [*POSITIONS, SLOW, UNKNOWN_CLASS, PATIENT]
    heard = interleaved(chance, [machine(chance, 60, trouble=0.05) for _ in positions])

    compared(heard, positions, [50, 3, 170])


def test_machines_whose_repairs_are_on_trial_are_judged_alike() -> None:
    chance = Random(110)
    acts = ["resolved", "reopened", "labelled", "acknowledged"]
    histories: list[list[Item]] = []
    for _ in POSITIONS:
        items: list[Item] = []
        for item in machine(chance, 60, trouble=0.04):
            items.append(replace(item, t_ms=600 * item.t_ms) if isinstance(item, Row) else item)
            items += [chance.choice(acts)] if chance.random() < 0.08 else []
        histories.append(items)
    heard = interleaved(chance, histories)

    compared(heard, POSITIONS, [50, 3, 170])

    told = [one.change for said in one_by_one(heard, POSITIONS)[1] if not isinstance(said, str) for one in said[1]]
    assert {"resolved", "reopened", "confirmed"} <= set(told)


def test_rows_of_healthy_machines_are_plain() -> None:
    chance = Random(7)
    positions = [replace(one, settings={"warmup": 20}) for one in POSITIONS[:-1]]
    heard = interleaved(chance, [machine(chance, 100, trouble=0.0) for _ in positions])

    assert compared(heard, positions, [100]) == 0


def test_rows_that_are_lines_of_a_sheet_are_judged_like_others() -> None:
    rows = [row for row in machine(Random(5), 60, trouble=0.05) if isinstance(row, Row)]
    names = sorted({name for row in rows for axis in row.axes.values() for name in axis})
    known = [axis for row in rows for axis in row.axes.values()]
    table = [[nan if (value := axis.get(name)) is None else value for name in names] for axis in known]
    lines = iter(Sheet(names, np.array(table)).lines())
    of_sheet = [replace(row, axes={name: next(lines) for name in row.axes}) for row in rows]
    as_read = [replace(row, axes={name: dict(axis) for name, axis in row.axes.items()}) for row in of_sheet]

    states, said, _ = at_once([(place, row) for row in of_sheet for place in (0, 1)], POSITIONS[:2], [])

    assert (states, said) == one_by_one([(place, row) for row in as_read for place in (0, 1)], POSITIONS[:2])
    assert of_sheet == as_read


def test_what_detection_refuses_is_refused_and_the_state_stays() -> None:
    heard = [(0, row) for row in machine(Random(1), 3, trouble=0)] + [
        (1, row) for row in machine(Random(2), 2, trouble=0)
    ]

    judged = batch.judge([State.new().pack()] * 2, heard, [POSITION, UNKNOWN_CLASS], keep=lambda one: one)

    assert [place for place, kept in judged.by_hand.items() if isinstance(kept, ValueError)] == [3, 4]
    assert judged.states[1] == State.new().pack()
    assert judged.states[0] != State.new().pack()


def test_items_that_are_wanted_by_hand_go_by_hand_with_the_states_before_and_after() -> None:
    rows = machine(Random(3), 4, trouble=0)
    heard = [(place, row) for row in rows for place in (0, 1)]

    judged = batch.judge([State.new().pack()] * 2, heard, POSITIONS[:2], keep=lambda one: one, by_hand={4})

    [(place, kept)] = judged.by_hand.items()
    assert place == 4
    assert isinstance(kept, batch.Stepped)
    before = one_by_one(heard[:4], POSITIONS[:2])[0][0]
    assert (kept.before.pack(), kept.after.pack()) == (before, one_by_one(heard[:5], POSITIONS[:2])[0][0])


@given(histories(), histories())
@settings(max_examples=10)
def test_states_come_out_of_a_table_as_they_went_in(items: list[Item], others: list[Item]) -> None:
    states = one_by_one([*((0, one) for one in items), *((1, one) for one in others)], POSITIONS[:2])[0]
    assume(all(map(StateTable.takes, states)))
    table = StateTable(5)

    table.read([3, 1], states)

    assert table.packed([1, 3]) == states[::-1]
    for place, state in zip([3, 1], map(State.unpack, states), strict=True):
        assert (table.word(place), table.sensor_faults(place)) == (state.state, state.sensor_faults)


def test_states_of_an_older_layout_are_taken_up() -> None:
    heard = [(place, row) for place in (0, 1) for row in machine(Random(4), 3, trouble=0)]
    bare = bytes([2, 0, 0]) + (-(2**63)).to_bytes(8, "little", signed=True)

    judged = batch.judge([bare] * 2, heard, POSITIONS[:2], keep=lambda one: one)

    assert State.unpack(bare) == State.new()
    assert judged.states == one_by_one(heard, POSITIONS[:2])[0]


def test_no_rows_and_no_positions_are_no_error() -> None:
    assert batch.judge([], [], [], keep=lambda one: one).states == []
    assert batch.judge([State.new().pack()], [], [POSITION], keep=lambda one: one).states == [State.new().pack()]
