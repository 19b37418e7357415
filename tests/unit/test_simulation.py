"""The simulated plant as it is published: its time, its order, what goes wrong on the way, and the demo's one fault."""

import argparse
import json
import time
from collections import Counter
from collections.abc import Sequence
from itertools import islice, pairwise, takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli import demo, plant_file, plant_model, simulate, simulation
from cli.plant_model import Fault, FaultKind, Machine
from cli.problem import Problem
from cli.publish import Message
from cli.simulation import Counts, Disturbance, Injection, Plan, Station, Timeline
from hypothesis import given
from hypothesis import strategies as st
from telltale.adapters import wire
from telltale.core.bearings import fault_orders
from telltale.core.detect import CaseChange, Row, State, step
from telltale.core.errors import Rejected
from telltale.core.features import features
from telltale.core.plant import Plant, Position

ROOT = Path(__file__).resolve().parents[2]
NOW_MS = 1_790_000_000_000
HOUR_MS = 3_600_000


def station(sensor: str = "s-1", *, interval_s: float = 60.0, gateway: str = "g") -> Station:
    return Station(f"s/a/m/{sensor}", sensor, gateway, Machine("m", plant_model.Kind.PUMP, 1480.0), (), interval_s)


class Recorder:
    """A connection that keeps the promise of one: what it is given is acknowledged, in order."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    @property
    def acknowledged(self) -> int:
        return len(self.sent)

    def publish(self, message: Message) -> None:
        self.sent.append(message)

    def poll(self) -> None: ...

    def settle(self) -> None: ...


# ---- time ----------------------------------------------------------------------------------------


@given(behind_ms=st.integers(0, 10**9), ahead_ms=st.integers(0, 10**9), speed=st.floats(0.1, 1e6))
def test_nothing_is_due_before_its_own_time(behind_ms: int, ahead_ms: int, speed: float) -> None:
    timeline = Timeline(NOW_MS - behind_ms, NOW_MS, speed)

    t_ms = timeline.start_ms + ahead_ms

    assert timeline.due_ms(t_ms) >= t_ms


def test_time_runs_at_its_speed_until_it_meets_the_clock() -> None:
    timeline = Timeline(NOW_MS - 10 * HOUR_MS, NOW_MS, speed=11.0)

    assert timeline.due_ms(NOW_MS - 10 * HOUR_MS) == NOW_MS
    assert timeline.due_ms(NOW_MS - 10 * HOUR_MS + 11_000) == NOW_MS + 1000
    assert timeline.due_ms(NOW_MS + HOUR_MS) == NOW_MS + HOUR_MS  # met after one hour
    assert timeline.due_ms(NOW_MS + 2 * HOUR_MS) == NOW_MS + 2 * HOUR_MS


def test_every_sensor_measures_at_its_interval_and_all_in_time_order() -> None:
    both = [station("a", interval_s=60), station("b", interval_s=90)]

    taken = list(islice(simulation.schedule(both, origin_ms=NOW_MS, after_ms=NOW_MS - 1), 50))

    assert [t for t, _ in taken] == sorted(t for t, _ in taken)
    for sensor, interval_ms in (("a", 60_000), ("b", 90_000)):
        times = [t for t, s in taken if s.sensor == sensor]
        assert {later - earlier for earlier, later in pairwise(times)} == {interval_ms}


def test_a_simulation_that_goes_on_measures_at_the_same_times_as_one_that_never_stopped() -> None:
    both = [station("a", interval_s=60), station("b", interval_s=90)]
    whole = list(islice(simulation.schedule(both, origin_ms=NOW_MS, after_ms=NOW_MS), 40))
    stopped_at = whole[19][0]

    rest = simulation.schedule(both, origin_ms=NOW_MS, after_ms=stopped_at)

    assert list(islice(rest, 20)) == whole[20:]


def test_no_sample_is_published_before_it_is_taken_and_the_run_ends_after_its_captures() -> None:
    seen: list[tuple[int, int]] = []
    now_ms = time.time_ns() // 1_000_000
    recorder: Any = Recorder()
    plan = Plan(
        timeline=Timeline(now_ms - 200, now_ms, 2.0),
        origin_ms=now_ms - 200,
        measure=simulation.measure_each(1, fs_hz=12_800.0, n_samples=256),
        fs_hz=12_800.0,
        captures=20,
    )

    counts = simulation.run(
        [station(interval_s=0.02)], {"g": recorder}, plan, lambda c: seen.append((c.t_ms, time.time_ns() // 1_000_000))
    )

    assert all(t_ms <= clock_ms for t_ms, clock_ms in seen)
    assert (counts.captures, counts.acknowledged, len(recorder.sent)) == (20, 20, 20)


# ---- what goes wrong on the way ------------------------------------------------------------------


def disturbed(injection: Injection, n: int) -> tuple[list[Message], list[Message], Counts]:
    """`n` messages, what became of them, and the counts."""
    counts = Counts()
    disturbance = Disturbance(injection, 7, counts)
    messages = [Message(f"dt/telltale/g/s-{i}/wave", b'{"v":1,"n":%d}' % i) for i in range(n)]
    out = [passed for message in messages for passed in disturbance.pass_on(message)]
    return messages, out + list(disturbance.rest()), counts


def test_without_injection_messages_pass_as_they_are() -> None:
    messages, out, _ = disturbed(Injection(), 50)

    assert out == messages


def test_repeated_messages_come_twice_and_late_ones_once() -> None:
    messages, out, counts = disturbed(Injection(duplicates=0.2, reorder=0.3), 500)

    assert set(out) == set(messages)
    assert counts.duplicates == len(out) - len(messages) == pytest.approx(100, abs=30)
    assert counts.reordered == pytest.approx(150, abs=40)
    assert out != sorted(out, key=messages.index)


def test_a_late_message_follows_within_twenty_others() -> None:
    messages, out, _ = disturbed(Injection(reorder=0.1), 500)

    assert max(out.index(message) - i for i, message in enumerate(messages)) <= simulation.LATER_BY


@given(seed=st.integers(0, 10**6), form=st.sampled_from(["json", "cbor"]))
def test_a_message_cut_short_can_never_be_read(seed: int, form: str) -> None:
    sample = plant_model.capture(station().machine, [], t_s=0.0, sensor="s-1", seed=1, fs_hz=12_800.0, n_samples=32)
    assert sample is not None
    capture = simulation.capture_of(sample, sensor="s-1", t_ms=NOW_MS, fs_hz=12_800.0)
    whole = wire.encode_json(capture) if form == "json" else wire.encode_cbor(capture)
    disturbance = Disturbance(Injection(corrupt=1.0), seed, Counts())

    [cut] = disturbance.pass_on(Message("dt/telltale/g/s-1/wave", whole))

    decode = wire.decode_json if form == "json" else wire.decode_cbor
    with pytest.raises(Rejected):
        decode(cut.payload, received_ms=NOW_MS)


def test_every_message_has_one_fate_so_that_the_books_balance() -> None:
    _, out, counts = disturbed(Injection(duplicates=0.1, reorder=0.1, corrupt=0.1, dropouts=0.1), 1000)
    counts.messages = len(out)

    whole = {message for message in out if message.payload.endswith(b"}")}
    assert counts.stored == len(whole) == 1000 - counts.corrupted - counts.dropouts


# ---- what the command understands ----------------------------------------------------------------

POSITIONS = [f"s/a/m/p{i}" for i in range(20)]


def test_a_fault_is_named_with_where_when_and_how_fast() -> None:
    chosen = simulate.faults(["s/a/m/p3=inner_race@18h+2d"], POSITIONS, seed=1)

    assert chosen == {"s/a/m/p3": [Fault(FaultKind.INNER_RACE, 18 * 3600, 2 * 86_400)]}


def test_a_share_of_the_positions_can_fail() -> None:
    chosen = simulate.faults(["10%=ball", "5%=looseness@1h"], POSITIONS, seed=1)

    kinds = Counter(fault.kind for faults in chosen.values() for fault in faults)
    assert kinds == {FaultKind.BALL: 2, FaultKind.LOOSENESS: 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("s/a/m/p3", "wanted WHERE=KIND"),
        ("s/a/m/p3=iner_race", 'did you mean "inner_race"?'),
        ("s/a/m/q3=ball", 'no position "s/a/m/q3" (did you mean "s/a/m/p3"?)'),
        ("s/a/m/p3=ball@soon", 'found "soon"'),
        ("150%=ball", "from 0% to 100%"),
        ("x%=ball", "from 0% to 100%"),
    ],
)
def test_a_fault_that_is_not_understood_says_what_was_wanted(text: str, said: str) -> None:
    with pytest.raises(Problem) as caught:
        simulate.faults([text], POSITIONS, seed=1)

    assert said in str(caught.value)


def test_injection_is_given_by_name() -> None:
    assert simulate.injection("duplicates=0.01,corrupt=0.002") == Injection(duplicates=0.01, corrupt=0.002)
    assert simulate.injection("") == Injection()


@pytest.mark.parametrize("text", ["duplicate=0.1", "corrupt=x", "corrupt=-1", "corrupt=0.6,reorder=0.6"])
def test_an_injection_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(Problem):
        simulate.injection(text)


def test_generated_sensors_share_machines_and_have_positions_of_their_own() -> None:
    plant = simulate.generated(100, gateway="simulator", interval_s=600)

    found = simulation.stations(plant, faults={}, duty={}, now_ms=NOW_MS)

    assert len({one.position for one in found}) == len({one.sensor for one in found}) == 100
    assert len({one.machine for one in found}) == simulate.GENERATED_MACHINES
    assert simulate.speed_for(found, rate=10.0) == pytest.approx(60.0)


def test_a_simulated_machine_has_the_blades_and_teeth_of_its_position() -> None:
    given = simulation.machine_at(Position("s/a/m/p", blades=7, teeth=31), {})
    unsaid = simulation.machine_at(Position("s/a/m/p"), {})

    assert (given.blades, given.teeth) == (7, 31)
    assert (unsaid.blades, unsaid.teeth) == (Machine.blades, Machine.teeth)


def test_a_stopped_simulation_goes_on_with_its_own_past(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulate, "HOME", tmp_path)
    args = argparse.Namespace(endpoint=None)

    first = simulate.Memory.of([station()], start_ms=1000, args=args)
    first.save(5000)
    second = simulate.Memory.of([station()], start_ms=9999, args=args)

    assert (second.origin_ms, second.reached_ms) == (1000, 5000)
    assert json.loads((tmp_path / "simulation-s.json").read_text()) == {"origin_ms": 1000, "reached_ms": 5000}


# ---- the demo ------------------------------------------------------------------------------------


def cases_of(plant: Plant, *, hours: float) -> tuple[dict[str, list[CaseChange]], dict[str, str]]:
    """What the demo plant's first hours lead to: changes of cases and the last state, by position."""
    found = simulation.stations(plant, faults=demo.FAULTS, duty=demo.DUTY, now_ms=NOW_MS)
    measure = simulation.measure_each(demo.SEED, fs_hz=simulation.FS_HZ, n_samples=simulation.SAMPLES)
    states: dict[str, State] = {}
    changes: dict[str, list[CaseChange]] = {}
    taken = simulation.schedule(found, origin_ms=0, after_ms=0)
    for t_ms, one in takewhile(lambda taken: taken[0] < hours * HOUR_MS, taken):
        sample = measure(one, t_ms / 1000)
        assert sample is not None
        row = row_of(sample, one.sensor, t_ms, plant.positions[one.position])
        state, _, new = step(states.get(one.position, State.new()), row, plant.positions[one.position])
        states[one.position] = state
        changes.setdefault(one.position, []).extend(new)
    return changes, {position: state.state for position, state in states.items()}


def row_of(sample: plant_model.Sample, sensor: str, t_ms: int, position: Position) -> Row:
    assert position.bearing is not None
    values = features(
        sample.waveforms,
        fs_hz=simulation.FS_HZ,
        scale_g=sample.scale,
        speed_hz=sample.speed_rpm / 60 if sample.running else np.nan,
        bearing_orders=np.array(fault_orders(position.bearing)),
    )
    axes = {
        axis: {name: float(column[i]) if np.isfinite(column[i]) else None for name, column in values.items()}
        for i, axis in enumerate("xyz")
    }
    return Row(f"{sensor}@{t_ms}", "xyzs", t_ms, t_ms, sensor, sample.speed_rpm, sample.temperature_c, axes)


def opened(changes: Sequence[CaseChange]) -> list[CaseChange]:
    return [change for change in changes if change.change == "opened"]


def test_in_the_demo_plant_exactly_the_failing_machine_gets_a_case_that_names_its_defect() -> None:
    plant = plant_file.read(ROOT / "plant.yaml")
    [failing] = demo.FAULTS

    changes, states = cases_of(plant, hours=23)

    assert {position: len(opened(new)) for position, new in changes.items() if new} == {failing: 1}
    assert "env_bpfo" in opened(changes[failing])[0].reason
    assert Counter(states.values()) == {"HEALTHY": 7, states[failing]: 1}


def test_the_demos_faults_and_duties_name_what_the_plant_file_has() -> None:
    plant = plant_file.read(ROOT / "plant.yaml")

    assert set(demo.FAULTS) <= set(plant.positions)
    assert set(demo.DUTY) <= {position.asset for position in plant.positions.values()}
