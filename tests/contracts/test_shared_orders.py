"""Cases that share an order, and cases whose order waits: whatever is repeated, crashes or races."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telltale.adapters.cmms.logbook import Entry, Logbook
from telltale.adapters.cmms.port import Status, order_key
from telltale.adapters.ledger import LEASE_MS, Ledger, NotYet, Shelf
from telltale.adapters.registry import Registry
from telltale.core.closure import closure
from telltale.core.detect import CaseChange, Control
from telltale.core.errors import CmmsRefused
from telltale.core.plant import Position

from tests.aws_line import START_MS, Clock, Office, change, office, tables
from tests.unit.test_orders import Crash, Fragile

ALWAYS = {"enough_time": lambda: True}
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
FOUND = closure(failure_mode="MISALIGNMENT", failure_cause="WEAR", action_taken="ADJUST")
DE, NDE, PUMP = (f"plant/hall/pump-7/{name}" for name in ("motor-de", "motor-nde", "pump-de"))


@pytest.fixture
def at() -> Iterator[Office]:
    with tables() as made:
        yield office(made, Clock())


class Life:
    """Cases and their orders, as detection and technicians move them."""

    def __init__(self, at: Office) -> None:
        self.at = at
        self.names = count()
        self.changes: dict[str, CaseChange] = {}
        self.positions: dict[str, str] = {}
        self.heard = 0

    def opens(self, position: str, *, hours: float = 0, severity: str = "WARNING") -> str:
        case_id = "case-" + f"{next(self.names):a>20}".translate(str.maketrans("0123456789", "bcdefghijk"))
        opened = START_MS + round(hours * HOUR_MS)
        self.positions[case_id] = position
        self.put(change(case_id=case_id, opened_ms=opened, severity=severity, reason=f"x is high at {position}"))
        return case_id

    def put(self, one: CaseChange) -> None:
        self.changes[one.case_id] = one
        self.at.open(one, self.positions[one.case_id])

    def changes_to(self, case_id: str, what: str, **fields: Any) -> None:
        now = self.changes[case_id]
        self.put(replace(now, revision=now.revision + 1, change=what, **fields))

    def settles(self, *case_ids: str) -> None:
        for case_id in case_ids:
            self.at.worker().settle(case_id, look=True)
        self.detection_hears()

    def detection_hears(self) -> None:
        """What the workers told detection becomes changes of the cases."""
        for _, act in self.at.controls[self.heard :]:
            now = self.changes[act.case_id]
            if now.change == "resolved":
                continue
            fields: dict[str, Any] = {"by": act.by, "reason": act.why or act.kind}
            if act.kind == "shelved":
                fields["until_ms"] = act.until_ms
            if act.kind == "unshelved":
                fields["until_ms"] = None
            if act.kind == "grouped":
                fields["parent"] = act.parent
            if act.kind == "resolved":
                fields["closure"] = act.closure
            self.changes_to(act.case_id, act.kind, **fields)
        self.heard = len(self.at.controls)

    def goes(self, hours: float, *, every_s: int = 900) -> None:
        """Time passes, with sweeps."""
        for _ in range(round(hours * 3600 / every_s)):
            self.at.clock.go(s=every_s)
            self.at.worker().sweep(**ALWAYS)
            self.detection_hears()

    def closes(self, case_id: str) -> None:
        """A technician closes the order of a case."""
        self.at.cmms.set_status(order_key(case_id), Status.DONE, by="mia", closure=FOUND)
        self.settles(case_id, case_id)

    def orders(self) -> dict[str, Entry]:
        """The orders, by case."""
        assert isinstance(self.at.cmms, Logbook)
        return {entry.request.case_id: entry for entry in self.at.cmms.entries()}

    def open_orders(self) -> set[str]:
        return {case_id for case_id, entry in self.orders().items() if not entry.order.status.final}

    def note(self, case_id: str) -> str:
        case = self.at.cases.get(case_id)
        assert case is not None
        assert case.order is not None
        return case.order.state


@pytest.fixture
def life(at: Office) -> Life:
    return Life(at)


# ---- several places of one machine ---------------------------------------------------------------


def test_a_fault_that_is_felt_at_three_places_of_a_machine_is_one_order_that_names_them(life: Life) -> None:
    first, second, third = life.opens(DE), life.opens(NDE, hours=2), life.opens(PUMP, hours=3, severity="ALARM")

    life.settles(first, second, third)
    life.goes(0.5)

    assert set(life.orders()) == {first}
    request = life.orders()[first].request
    assert request.severity == "ALARM"
    assert request.title.startswith("ALARM: Pump 7 motor DE and 2 more places: ")
    assert f"- WARNING {NDE}, since" in request.description
    assert f"- ALARM {PUMP}, since" in request.description
    assert [life.note(one) for one in (first, second, third)] == ["OPEN", "CHILD", "CHILD"]


def test_a_child_says_whose_it_is_and_why_and_says_it_once(life: Life) -> None:
    first, second = life.opens(DE), life.opens(NDE, hours=2)
    life.settles(first, second)

    for _ in range(5):
        life.settles(second)
    life.goes(2)

    told = [act for _, act in life.at.controls]
    assert [(act.kind, act.case_id, act.parent) for act in told] == [("grouped", second, first)]
    assert told[0].why == "the same machine warned at motor-de, 2.0 h before it"
    case = life.at.cases.get(second)
    assert case is not None
    assert case.change.parent == first
    assert [line["change"] for line in case.history] == ["opened", "grouped"]


@pytest.mark.parametrize("position", ["plant/hall/pump-8/motor-de", DE])
def test_another_machine_or_the_same_place_again_stands_alone(life: Life, position: str) -> None:
    first, second = life.opens(DE), life.opens(position, hours=1)

    life.settles(first, second)

    assert set(life.orders()) == {first, second}


def test_a_case_of_another_day_stands_alone(life: Life) -> None:
    first, second = life.opens(DE), life.opens(NDE, hours=25)

    life.settles(first, second)

    assert set(life.orders()) == {first, second}


def test_when_the_parent_is_repaired_a_child_that_went_quiet_ends_with_it(life: Life) -> None:
    first, second = life.opens(DE), life.opens(NDE)
    life.settles(first, second)

    life.closes(first)
    life.at.quiet.add(NDE)
    life.goes(5)
    waiting = life.changes[second].change
    life.goes(2)

    assert waiting == "grouped"  # six rows, an hour apart, to show it
    assert (life.changes[second].change, life.changes[second].by) == ("resolved", "mia")
    assert life.changes[second].closure == {
        "failure_mode": "TRANSMITTED_FAULT",
        "failure_cause": "WEAR",
        "action_taken": "NO_ACTION",
        "note": f"went quiet with {first}, MISALIGNMENT",
    }
    assert set(life.orders()) == {first}
    assert life.note(second) == "CLOSED"


def test_a_child_that_still_alerts_after_the_repair_gets_its_order_and_the_others_join_it(life: Life) -> None:
    first, second, third = (life.opens(position) for position in (DE, NDE, PUMP))
    life.settles(first, second, third)

    life.closes(first)
    life.goes(5)
    early = life.open_orders()
    life.goes(2)

    assert early == set()
    [parent] = life.open_orders()
    assert parent in (second, third)
    assert "1 more place" in life.orders()[parent].request.title
    assert len(life.orders()) == 2


def test_a_worse_child_makes_the_parents_order_worse_and_a_resolved_one_leaves_it(life: Life) -> None:
    first, second = life.opens(DE), life.opens(NDE)
    life.settles(first, second)
    life.goes(0.5)

    life.changes_to(second, "updated", severity="ALARM")
    life.settles(second)
    life.goes(0.5)
    worse = life.orders()[first].request
    life.changes_to(second, "resolved", closure=FOUND.as_dict(), by="mia")
    life.settles(second)
    life.goes(0.5)

    assert worse.severity == "ALARM"
    assert life.orders()[first].request.severity == "WARNING"
    assert "more place" not in life.orders()[first].request.title


@pytest.mark.parametrize("how", ["shelved", "refused"])
def test_a_child_does_not_wait_behind_a_parent_that_has_no_order(life: Life, how: str) -> None:
    first = life.opens(DE)
    if how == "shelved":
        life.changes_to(first, "shelved", until_ms=START_MS + DAY_MS)
        life.settles(first)
    else:

        def refuses(_: object) -> Logbook:
            raise CmmsRefused("no such asset")

        worker = life.at.worker()
        worker._system = refuses
        worker.settle(first)
    second = life.opens(NDE)

    life.settles(second)

    assert set(life.orders()) == {second}


def test_a_child_whose_parent_is_shelved_later_stands_alone(life: Life) -> None:
    first, second = life.opens(DE), life.opens(NDE)
    life.settles(first, second)

    life.changes_to(first, "shelved", until_ms=life.at.clock.now_ms + DAY_MS)
    life.settles(first)
    life.goes(0.5)

    assert life.open_orders() == {first, second}
    assert life.changes[second].parent == ""


# ---- races and crashes -----------------------------------------------------------------------------


class Between:
    """Passes calls on to DynamoDB; before a leader is written for the first time, something else happens."""

    def __init__(self, client: Any, happens: Callable[[], None]) -> None:
        self.client, self.happens = client, [happens]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def update_item(self, **request: Any) -> Any:
        if request["UpdateExpression"] == "SET parent = :me" and self.happens:
            self.happens.pop()()
        return self.client.update_item(**request)


def test_two_cases_that_are_looked_at_at_once_make_one_order(life: Life) -> None:
    first, second = life.opens(DE), life.opens(NDE)

    life.at.worker(dynamodb=Between(life.at.aws.dynamodb, lambda: life.settles(second))).settle(first)
    life.goes(0.5)

    assert set(life.orders()) == {second}
    assert life.note(first) == "CHILD"
    assert DE in life.orders()[second].request.description


def test_a_crash_at_any_step_leaves_one_order_that_names_both(life: Life) -> None:
    first, second = life.opens(DE), life.opens(NDE)

    def settle(case_id: str) -> None:
        for number in range(1, 60):
            for after in (False, True):
                fragile = Fragile(number, after=after)
                control = fragile.over(lambda position, what: life.at.controls.append((position, what)))
                dynamodb, cmms = fragile.over(life.at.aws.dynamodb), fragile.over(life.at.cmms)
                try:
                    life.at.worker(dynamodb=dynamodb, cmms=cmms, control=control).settle(case_id)
                except Crash:
                    life.at.clock.go(s=LEASE_MS / 1000 + 1)
                else:
                    return

    settle(first)
    settle(second)
    life.detection_hears()
    settle(first)

    assert set(life.orders()) == {first}
    assert NDE in life.orders()[first].request.description


def test_a_worker_that_lost_its_lease_while_it_chose_a_parent_makes_no_order(life: Life) -> None:
    first = life.opens(DE)

    def asleep() -> None:
        life.at.clock.go(s=LEASE_MS / 1000 + 1)
        life.settles(first)

    with pytest.raises(NotYet):
        life.at.worker(dynamodb=Between(life.at.aws.dynamodb, asleep)).settle(first)

    assert set(life.orders()) == {first}


# ---- floods ----------------------------------------------------------------------------------------


def test_in_a_flood_ten_cases_have_an_order_each_and_all_others_share_one(life: Life) -> None:
    cases = [life.opens(f"plant/hall/fan-{number}/de") for number in range(20)]

    life.settles(*cases)
    life.goes(0.5)

    orders = life.orders()
    assert set(orders) == set(cases[:11])
    bulk = orders[cases[10]].request
    assert "and 9 more places" in bulk.title
    assert all(f"plant/hall/fan-{number}/de" in bulk.description for number in range(10, 20))
    grouped = [act for _, act in life.at.controls if act.kind == "grouped"]
    assert {act.why for act in grouped} == {"more than 10 cases of plant within 10 minutes share one order"}


def test_ten_cases_in_ten_minutes_or_thirty_in_an_hour_are_no_flood(life: Life) -> None:
    ten = [life.opens(f"plant/hall/fan-{number}/de") for number in range(10)]
    slow = [life.opens(f"plant/hall/blower-{number}/de", hours=0.2 + number * 0.05) for number in range(20)]

    life.settles(*ten, *slow)

    assert set(life.orders()) == {*ten, *slow}


def test_a_flood_at_one_site_is_none_at_another(life: Life) -> None:
    life.settles(*(life.opens(f"plant/hall/fan-{number}/de") for number in range(11)))
    Registry(life.at.aws.dynamodb, "registry").put(replace(_site(life), id="mill"))
    other = life.opens("mill/hall/fan-1/de")

    life.settles(other)

    assert other in life.orders()


def _site(life: Life) -> Any:
    return Registry(life.at.aws.dynamodb, "registry").sites(["plant"])["plant"]


def test_a_flood_that_is_over_leaves_orders_for_what_still_alerts_and_loses_nothing(life: Life) -> None:
    cases = [life.opens(f"plant/hall/fan-{number}/de") for number in range(15)]
    life.settles(*cases)
    life.at.quiet |= {f"plant/hall/fan-{number}/de" for number in (11, 12, 13)}

    life.closes(cases[10])
    life.goes(8, every_s=7200)

    ended = {case_id for case_id in cases if life.changes[case_id].change == "resolved"}
    assert ended == set(cases[10:14])
    assert life.open_orders() == {*cases[:10], *cases[14:]}


# ---- shelved ---------------------------------------------------------------------------------------


def test_a_shelved_case_has_no_order_until_its_time_is_over_and_then_gets_one_by_itself(life: Life) -> None:
    case_id = life.opens(DE)
    life.changes_to(case_id, "shelved", until_ms=START_MS + 12 * HOUR_MS, by="mia", reason="the part comes at noon")

    life.settles(case_id, case_id)
    life.goes(11.5, every_s=1800)
    before, noted = set(life.orders()), life.note(case_id)
    life.goes(1)

    assert (before, noted) == (set(), "SHELVED")
    assert set(life.orders()) == {case_id}
    assert [(act.kind, act.by, act.until_ms) for _, act in life.at.controls] == [
        ("unshelved", "telltale", START_MS + 12 * HOUR_MS)
    ]
    case = life.at.cases.get(case_id)
    assert case is not None
    assert [line["change"] for line in case.history] == ["opened", "shelved", "unshelved"]
    assert case.history[1]["reason"] == "the part comes at noon"


def test_the_order_of_a_shelved_case_stays_as_it_is_and_what_a_technician_does_counts(life: Life) -> None:
    case_id = life.opens(DE)
    life.settles(case_id)
    life.changes_to(case_id, "shelved", until_ms=START_MS + 12 * HOUR_MS)
    life.changes_to(case_id, "updated", reason="y too", until_ms=START_MS + 12 * HOUR_MS)

    life.settles(case_id)
    shown = life.orders()[case_id].request.description
    life.closes(case_id)

    assert "y too" not in shown
    assert life.changes[case_id].change == "resolved"


def test_a_rise_to_alarm_is_shown_though_the_case_was_shelved(life: Life) -> None:
    case_id = life.opens(DE)
    life.changes_to(case_id, "shelved", until_ms=START_MS + 12 * HOUR_MS)
    life.settles(case_id)

    life.changes_to(case_id, "updated", severity="ALARM", until_ms=None)  # as core.cases has it
    life.settles(case_id)

    assert life.orders()[case_id].request.severity == "ALARM"


def test_a_position_can_be_shelved_before_there_is_a_case(life: Life) -> None:
    ledger = Ledger(life.at.aws.dynamodb, "ledger", owner="cli", now_ms=life.at.clock)
    ledger.shelve(DE, Shelf(START_MS + 12 * HOUR_MS, "mia", "overhaul", START_MS))
    case_id, other = life.opens(DE, severity="ALARM"), life.opens("plant/hall/pump-8/de")

    life.settles(case_id, case_id, other)
    life.goes(11.5, every_s=1800)
    before, told = set(life.orders()), list(life.at.controls)
    life.goes(1)

    assert before == {other}
    assert {(act.kind, act.by, act.why) for _, act in told} == {("shelved", "mia", "overhaul")}
    assert set(life.orders()) == {case_id, other}


def test_a_position_may_be_taken_down_from_its_shelf_early_and_its_shelves_are_remembered(life: Life) -> None:
    ledger = Ledger(life.at.aws.dynamodb, "ledger", owner="cli", now_ms=life.at.clock)
    ledger.shelve(DE, Shelf(START_MS + DAY_MS, "mia", "overhaul", START_MS))
    ledger.shelve(DE, Shelf(START_MS + HOUR_MS, "bob", "it runs again", START_MS + HOUR_MS))
    life.at.clock.go(s=3700)
    case_id = life.opens(DE)

    life.settles(case_id)

    assert set(life.orders()) == {case_id}
    assert [(position, [one.by for one in shelves]) for position, shelves in ledger.shelves()] == [(DE, ["mia", "bob"])]
    assert Position(DE).asset == "plant/hall/pump-7"
    assert all(not isinstance(act, Control) or act.kind != "shelved" for _, act in life.at.controls)


# ---- whatever happens ------------------------------------------------------------------------------

PLACES = [f"plant/hall/{machine}/{place}" for machine in ("pump-7", "fan-1") for place in ("de", "nde", "mid")]
steps = st.lists(
    st.tuples(
        st.sampled_from(["opens", "settles", "dies", "closes", "shelves", "worsens", "waits", "falls quiet"]),
        st.integers(0, 5),
    ),
    min_size=4,
    max_size=16,
)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(steps)
def test_every_open_case_has_an_order_or_stands_in_one_or_is_shelved(done: list[tuple[str, int]]) -> None:
    with tables() as made:
        life = Life(office(made, Clock()))
        for what, number in done:
            _does(life, what, number)
        life.goes(1)  # the workers that died have lost their leases, and the sweep has been there

        named = "\n".join(life.orders()[case_id].request.description for case_id in life.open_orders())
        for case_id, case in life.changes.items():
            if case.change == "resolved" or (case.until_ms or 0) > life.at.clock.now_ms:
                continue
            child = life.note(case_id) == "CHILD"
            waits = child and life.changes[str(case.parent)].change == "resolved"
            assert waits or (case_id in named if child else case_id in life.open_orders())


def _does(life: Life, what: str, number: int) -> None:
    """One thing that happens, to the number-th place, or the number-th case that is open."""
    open_cases = [case_id for case_id, case in life.changes.items() if case.change != "resolved"]
    case_id = open_cases[number % len(open_cases)] if open_cases else None
    now = life.at.clock.now_ms
    if what == "opens" and PLACES[number] not in {life.positions[one] for one in open_cases}:
        life.opens(PLACES[number], hours=(now - START_MS) / HOUR_MS)
    elif what == "waits":
        life.goes(number, every_s=3600)
    elif what == "falls quiet":
        life.at.quiet ^= {PLACES[number]}
    elif case_id is None:
        return
    elif what == "settles":
        with suppress(NotYet):
            life.settles(case_id)
    elif what == "dies":
        with suppress(Crash, NotYet):
            life.at.worker(dynamodb=Fragile(3 + 2 * number, after=number % 2 == 0).over(life.at.aws.dynamodb)).settle(
                case_id
            )
    elif what == "closes" and case_id in life.open_orders():
        with suppress(NotYet):
            life.closes(case_id)
    elif what == "shelves":
        life.changes_to(case_id, "shelved", until_ms=now + number * HOUR_MS + 1000)
    elif what == "worsens":
        life.changes_to(case_id, "updated", severity="ALARM", until_ms=None)
