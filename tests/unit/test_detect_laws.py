"""Detection's laws, for any history: twice is normal, order of siblings is not, and nothing lives outside the state."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from telltale.core import modes
from telltale.core.cases import is_over
from telltale.core.detect import CaseChange, Control, Row, State, Verdict, step
from telltale.core.plant import Limits, Position
from telltale.core.state import MODE_BYTES, MOST_OF_A_REPAIR, Channel

POSITION = Position(
    "plant/hall/pump-1/motor-de",
    machine_class="iso10816-1/II",
    limits=Limits(temperature_warning_c=70, temperature_alarm_c=85),
    running_above_rpm=300,
    load_tag="load_pct",
    settings={"warmup": 4, "memory": 10},  # so that short histories reach every state
)
CLOSURES = [
    {"failure_mode": "NO_ISSUE", "failure_cause": "UNDETERMINED", "action_taken": "NO_ACTION"},
    {"failure_mode": "IMBALANCE", "failure_cause": "WEAR", "action_taken": "ADJUST"},
]

ACTS = ["acknowledged", "resolved", "resolved", "resolved without repair", "relearn", "reopened", "labelled"]

values = st.none() | st.sampled_from([0.5, 1.0, 1.1, 3.0, 8.0, 20.0])
# Sensors that are sound, cut off, flat, or turned; and captures that say nothing of their sensor.
sound = {"crest": 4.0, "clipped_share": 0.001, "repeated_share": 0.001, "mean_g": 1.0}
sensors: st.SearchStrategy[dict[str, float]] = st.sampled_from(
    [{}, sound, {**sound, "clipped_share": 0.3}, {**sound, "rms_g": 0.0}, {**sound, "mean_g": 0.2}]
)
bands = st.sampled_from(
    [{}, {"env_low_hz": 2000.0, "env_high_hz": 10_000.0}, {"env_low_hz": 500.1, "env_high_hz": 1e4}]
)
levels = st.fixed_dictionaries(
    {},
    optional={
        "rms_g": values,
        "velocity_rms_mm_s": values,
        "env_bpfo_g": values,
        "order_1_mm_s": values,
        "band_5000_10000_g": values,
    },
)
axes = st.dictionaries(
    st.sampled_from(["x", "y", "z"]),
    st.tuples(levels, bands, sensors).map(lambda parts: parts[0] | parts[1] | parts[2]),
    max_size=3,
)
Item = Row | str
Outcome = tuple[State, list[Verdict], list[CaseChange]]


@st.composite
def histories(draw: st.DrawFn) -> list[Item]:
    """Runs of rows at one level, as machines have them, and what people do in between."""
    items: list[Item] = []
    pace_ms = draw(st.sampled_from([1000, 600_000]))  # the slow one takes a repair through its trial
    for _ in range(draw(st.integers(1, 6))):
        level = draw(axes)
        speed = draw(st.sampled_from([None, 0.0, 740.0, 1480.0]))
        tags = draw(st.sampled_from([{}, {}, {"load_pct": 50.0}, {"load_pct": 100.0}]))
        sensor = draw(st.sampled_from(["s-1", "s-1", "s-2"]))
        temperature = draw(st.sampled_from([None, 60.0, 90.0]))
        for _ in range(draw(st.integers(1, 6))):
            t_ms = pace_ms * (1 + sum(isinstance(item, Row) for item in items))
            items.append(Row(f"c{t_ms}", "xyzs", t_ms, t_ms, sensor, speed, temperature, level, tags))
        items += draw(st.lists(st.sampled_from(ACTS), max_size=2))
    return items


def control(state: State, kind: str) -> Control:
    case = state.open_case or state.past
    case_id = case.case_id if case else "case-" + "a" * 20
    t_ms = 1 + max((channel.last_ms or 0 for channel in state.channels.values()), default=0)
    if kind in ("acknowledged", "relearn", "reopened"):
        return Control(kind, case_id, t_ms, "mia")
    if kind == "labelled":
        return Control(kind, case_id, t_ms, "kim", CLOSURES[not (state.past and state.past.repaired)])
    return Control("resolved", case_id, t_ms, "mia", CLOSURES[kind == "resolved"])


def replay(items: Sequence[Item], state: State | None = None, *, packing: bool = False) -> Outcome:
    state = state or State.new()
    verdicts: list[Verdict] = []
    changes: list[CaseChange] = []
    for item in items:
        state, said, changed = step(state, control(state, item) if isinstance(item, str) else item, POSITION)
        state = State.unpack(state.pack()) if packing else state
        verdicts += said
        changes += changed
    return state, verdicts, changes


def apart(row: Row, order: Sequence[str]) -> list[Row]:
    """The same capture, each channel in a message of its own."""

    def part(name: str, temperature_c: float | None, axes: dict[str, Mapping[str, float | None]]) -> Row:
        return Row(row.capture_id, name, row.t_ms, row.t_ms, row.sensor, row.speed_rpm, temperature_c, axes, row.tags)

    parts = {name: part(name, None, {name: axis}) for name, axis in row.axes.items()}
    parts["s"] = part("s", row.temperature_c, {})
    return [parts[name] for name in order if name in parts]


@given(histories())
def test_packing_between_rows_changes_nothing(items: list[Item]) -> None:
    assert replay(items, packing=True) == replay(items)


@given(histories())
def test_a_state_is_never_larger_than_a_kilobyte_and_what_further_modes_take(items: list[Item]) -> None:
    state, _, _ = replay(items)

    further = sum(len(channel.operation.others) for channel in state.channels.values())

    watched = state.past is not None and state.past.trial is not None
    again = state.open_case is not None and state.open_case.closed_ms is not None
    assert len(state.pack()) <= 1024 + (watched or again) * MOST_OF_A_REPAIR + MODE_BYTES * further


@given(histories(), st.data())
def test_rows_delivered_again_change_nothing(items: list[Item], data: st.DataObject) -> None:
    again: list[Item] = []
    for place, item in enumerate(items):
        again.append(item)
        rows = [earlier for earlier in items[: place + 1] if isinstance(earlier, Row)]
        again += data.draw(st.lists(st.sampled_from(rows), max_size=3)) if rows else []

    assert replay(again) == replay(items)


@given(histories(), st.data())
def test_a_batch_delivered_again_from_its_middle_changes_nothing(items: list[Item], data: st.DataObject) -> None:
    rows = [item for item in items if isinstance(item, Row)]
    crash = data.draw(st.integers(0, len(rows)))

    done, verdicts, changes = replay(rows[:crash])
    state, more_verdicts, more_changes = replay(rows, done)

    assert (state, verdicts + more_verdicts, changes + more_changes) == replay(rows)


@given(histories(), st.data())
def test_a_late_row_changes_nothing(items: list[Item], data: st.DataObject) -> None:
    rows = [item for item in items if isinstance(item, Row)]
    state, _, _ = replay(rows)
    heard = {name: channel.last_ms for name, channel in state.channels.items()}
    late = Row("late", "x", data.draw(st.integers(0, heard.get("x") or 0)), 0, "s-1", axes={"x": {"rms_g": 99.0}})

    if "x" in heard:
        assert replay([late], state) == (state, [], [])


@given(histories(), st.data())
def test_the_order_of_sibling_axes_does_not_matter(items: list[Item], data: st.DataObject) -> None:
    def delivered(order: list[list[str]]) -> list[Item]:
        parts = zip(items, order, strict=True)
        siblings = [apart(item, names) if isinstance(item, Row) else [item] for item, names in parts]
        return [one for together in siblings for one in together]

    orders = st.permutations(["x", "y", "z", "s"])
    one, other = ([data.draw(orders) for _ in items] for _ in range(2))

    (state, verdicts, changes), (state_2, verdicts_2, changes_2) = replay(delivered(one)), replay(delivered(other))

    assert state == state_2
    assert sorted(map(repr, verdicts)) == sorted(map(repr, verdicts_2))
    assert [(change.case_id, change.revision, change.change) for change in changes] == [
        (change.case_id, change.revision, change.change) for change in changes_2
    ]


@given(histories())
def test_verdicts_and_states_are_the_same_whether_axes_come_together_or_apart(items: list[Item]) -> None:
    alone = [part for item in items for part in (apart(item, "xyzs") if isinstance(item, Row) else [item])]

    together, separate = replay(items), replay(alone)

    assert together[1] == separate[1]
    assert together[0].state == separate[0].state
    assert {change.case_id for change in together[2]} == {change.case_id for change in separate[2]}


@given(histories())
def test_every_verdict_names_its_limit_or_the_reason_for_none(items: list[Item]) -> None:
    for verdict in replay(items)[1]:
        assert verdict.reason
        if verdict.rule == "sensor":
            assert verdict.score is None
            assert verdict.verdict in ("HEALTHY", "SENSOR_FAULT", "NOT_ASSESSABLE", "MACHINE_OFF")
        elif verdict.verdict in ("HEALTHY", "WARNING", "ALARM"):
            assert None not in (verdict.feature, verdict.value, verdict.limit, verdict.unit, verdict.limit_source)
            assert verdict.margin is not None
            assert (verdict.margin <= 1e-9) == (verdict.verdict != "HEALTHY")
            assert verdict.samples
        else:
            assert verdict.score is None


@given(histories())
@settings(max_examples=200)
def test_a_case_is_opened_once_and_its_revisions_count_up(items: list[Item]) -> None:
    _, _, changes = replay(items)

    by_case: dict[str, list[CaseChange]] = {}
    for change in changes:
        by_case.setdefault(change.case_id, []).append(change)
    for one in by_case.values():
        assert [change.revision for change in one] == list(range(1, len(one) + 1))
        assert [change.change for change in one].count("opened") == 1
        assert one[0].change == "opened"
        for before, after in pairwise(one):
            assert is_over(before) == (after.change in ("reopened", "labelled", "confirmed", "noted"))
        ranks = [("WARNING", "ALARM").index(change.severity) for change in one]
        assert ranks == sorted(ranks)


@given(histories())
def test_a_row_with_a_sensor_fault_judges_teaches_and_opens_nothing(items: list[Item]) -> None:
    state = State.new()
    for item in items:
        before = state
        state, verdicts, changes = step(state, control(state, item) if isinstance(item, str) else item, POSITION)
        for axis in [one.channel for one in verdicts if one.verdict == "SENSOR_FAULT"]:
            assert {one.score for one in verdicts if one.channel == axis} == {None}
            assert not any(change.channel == axis for change in changes if change.change in ("opened", "updated"))
            if axis in before.channels:
                rows = [learned(one.channels[axis]) for one in (before, state)]
                # fewer: another envelope band, or another sensor before anything had settled
                assert all(now <= rows[0][place] for place, now in rows[1].items())


def learned(channel: Channel) -> dict[int, int]:
    """Place of an indicator → rows it was learned from, in all modes."""
    each = [one.baseline for one in modes.each(channel)]
    return {place: sum(normals[place].rows for normals in each) for place in range(len(each[0]))}


@given(histories())
def test_an_update_says_something_new(items: list[Item]) -> None:
    _, _, changes = replay(items)

    told = [change for change in changes if change.change in ("opened", "updated")]
    said = [(change.case_id, change.severity, tuple(change.evidence["joined"])) for change in told]

    assert len(said) == len(set(said))


@given(histories())
def test_inputs_are_never_modified(items: list[Item]) -> None:
    before = [asdict(item) if isinstance(item, Row) else item for item in items]
    state = State.new()
    packed = state.pack()

    replay(items, state)

    assert [asdict(item) if isinstance(item, Row) else item for item in items] == before
    assert state.pack() == packed
