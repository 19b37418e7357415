"""What states, cases, the ledger and the logbook promise, on every AWS the project runs on."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from telltale.adapters.cases import PENDING, WATCHING, Cases, OrderNote
from telltale.adapters.cmms.logbook import Logbook
from telltale.adapters.cmms.port import OrderRequest, Status
from telltale.adapters.ledger import LEASE_MS, Entry, Ledger, NotYet, Stage
from telltale.adapters.presence import PresenceTable
from telltale.adapters.states import Held, States, StateWrite
from telltale.core.closure import closure_from
from telltale.core.presence import Presence

from tests.aws_line import POSITION, START_MS, Clock, change, make_table
from tests.contracts.conftest import client

CASE = change().case_id


@pytest.fixture
def dynamodb(endpoint: str | None) -> Any:
    return client("dynamodb", endpoint)


@pytest.fixture
def table(dynamodb: Any) -> str:
    """A new table that can hold any of them."""
    name = f"table-{uuid4().hex}"
    make_table(dynamodb, name, "cases")
    return name


def write(rev: int, position: str = POSITION, core: bytes = b"\x00\xff core", **fields: Any) -> StateWrite:
    values: dict[str, Any] = {"state": "ALARM", "sensor": "s-1", "gateway": None, "batch": "b", **fields}
    return StateWrite(position, rev, core, last_t_ms=rev, last_received_ms=rev, **values)


def test_a_state_comes_back_as_it_was_written(dynamodb: Any, table: str) -> None:
    states = States(dynamodb, table)

    states.put([write(1)], judged_at=START_MS)

    assert states.get([POSITION, "plant/hall/unknown/de"]) == {
        POSITION: Held(b"\x00\xff core", 1, "ALARM", 1, 1, "s-1", None)
    }


def test_more_states_than_a_call_holds_are_all_read_and_written(dynamodb: Any, table: str) -> None:
    states, names = States(dynamodb, table), [f"plant/hall/pump-{n}/de" for n in range(130)]

    states.put([write(1, name) for name in names], judged_at=START_MS)

    assert set(states.get(names)) == set(names)


def test_a_state_moves_only_forward(dynamodb: Any, table: str) -> None:
    states = States(dynamodb, table)

    for rev in (1, 3, 2, 1):
        states.put([write(rev, core=f"{rev}".encode())], judged_at=START_MS)

    assert states.get([POSITION])[POSITION].core == b"3"


def test_a_state_survives_the_redo_log(dynamodb: Any, table: str) -> None:
    assert StateWrite.from_dict(write(1).as_dict()) == write(1)


def test_presence_lives_beside_the_states_and_is_no_position(dynamodb: Any, table: str) -> None:
    States(dynamodb, table).put([write(7)], judged_at=START_MS)
    presence = PresenceTable(dynamodb, table)

    presence.remember(Presence(), Presence({"s-1": 5}, {"g-1": 6}, {"g-2": 7}))
    positions, told = presence.read()

    assert list(positions) == [POSITION]
    assert told == Presence({"s-1": 5}, {"g-1": 6}, {"g-2": 7})


def test_a_case_moves_only_forward_and_asks_for_its_order_each_time(dynamodb: Any, table: str) -> None:
    cases = Cases(dynamodb, table)
    second = change(2, "updated", severity="ALARM", fault="outer race")

    put = [
        cases.put(POSITION, one, changed_at=START_MS + n) for n, one in enumerate([change(), second, change(), second])
    ]

    assert put == [True, True, False, False]
    case = cases.get(CASE)
    assert case is not None
    assert (case.change, case.changed_at, case.outbox, case.order) == (second, START_MS + 1, PENDING, None)
    assert list(cases.all()) == [case]


def test_what_a_person_did_leaves_in_place_why_the_case_was_opened(dynamodb: Any, table: str) -> None:
    cases, opened = Cases(dynamodb, table), change(fault="outer race")
    acted = change(2, "acknowledged", state="NEEDS_MAINTENANCE", reason="acknowledged by mia", evidence={}, by="mia")

    cases.put(POSITION, opened, changed_at=START_MS, received_ms=START_MS)
    cases.put(POSITION, acted, changed_at=START_MS)

    case = cases.get(CASE)
    assert case is not None
    assert case.change == replace(acted, reason=opened.reason, evidence=opened.evidence, fault="outer race")


def test_a_case_leaves_the_outbox_only_with_the_revision_that_was_dealt_with(dynamodb: Any, table: str) -> None:
    cases = Cases(dynamodb, table)
    cases.put(POSITION, change(), changed_at=START_MS)
    cases.put(POSITION, change(2, "updated"), changed_at=START_MS)

    stale = cases.settle(CASE, 1, OrderNote("OPEN", "WO-1"), watch=False)
    before = list(cases.waiting(PENDING, before_ms=START_MS + 1))
    fresh = cases.settle(CASE, 2, OrderNote("OPEN", "WO-1"), watch=True)

    assert (stale, before, fresh) == (False, [CASE], True)
    assert list(cases.waiting(PENDING, before_ms=START_MS + 1)) == []
    assert list(cases.waiting(WATCHING, before_ms=START_MS + 1)) == [CASE]


def test_the_outbox_shows_the_oldest_change_first_and_nothing_younger(dynamodb: Any, table: str) -> None:
    cases = Cases(dynamodb, table)
    ids = ["case-" + letter * 20 for letter in "cab"]
    for n, case_id in enumerate(ids):
        cases.put(POSITION, replace(change(), case_id=case_id), changed_at=START_MS + n)

    assert list(cases.waiting(PENDING, before_ms=START_MS + 2)) == ids[:2]


def test_a_case_keeps_what_is_known_of_its_order_when_it_changes(dynamodb: Any, table: str) -> None:
    cases = Cases(dynamodb, table)
    cases.put(POSITION, change(), changed_at=START_MS)
    cases.settle(CASE, 1, OrderNote("OPEN", "WO-1", "read only"), watch=False)

    cases.put(POSITION, change(2, "updated"), changed_at=START_MS)

    case = cases.get(CASE)
    assert case is not None
    assert case.order == OrderNote("OPEN", "WO-1", "read only")
    assert case.outbox == PENDING


def test_a_lease_keeps_others_out_until_it_is_given_back_or_runs_out(dynamodb: Any, table: str) -> None:
    clock = Clock()
    one, other = (Ledger(dynamodb, table, owner=name, now_ms=clock) for name in ("one", "other"))

    assert one.take(CASE) == Entry()
    with pytest.raises(NotYet):
        other.take(CASE)
    kept = one.keep(CASE, Entry(Stage.OPEN, "WO-1", problem="slow"), release=True)
    assert other.take(CASE) == kept
    clock.go(s=LEASE_MS / 1000 + 1)
    assert one.take(CASE) == kept
    with pytest.raises(NotYet):
        other.keep(CASE, Entry())
    assert one.get(CASE) == kept


def test_each_step_that_is_written_renews_the_lease(dynamodb: Any, table: str) -> None:
    clock = Clock()
    one, other = (Ledger(dynamodb, table, owner=name, now_ms=clock) for name in ("one", "other"))
    one.take(CASE)

    clock.go(s=LEASE_MS / 1000 - 1)
    one.keep(CASE, Entry())
    clock.go(s=2)

    with pytest.raises(NotYet):
        other.take(CASE)


def test_a_case_that_has_to_wait_says_how_long(dynamodb: Any, table: str) -> None:
    clock = Clock()
    ledger = Ledger(dynamodb, table, owner="one", now_ms=clock)
    ledger.take(CASE)
    ledger.keep(CASE, Entry(not_before_ms=START_MS + 45_000), release=True)

    with pytest.raises(NotYet) as not_yet:
        ledger.take(CASE)
    ledger.hurry(CASE)

    assert not_yet.value.after_s == 45
    assert ledger.take(CASE).not_before_ms == 0


def test_a_refused_order_is_listed_and_reopened_once(dynamodb: Any, table: str) -> None:
    ledger = Ledger(dynamodb, table, owner="one", now_ms=Clock())
    ledger.take(CASE)
    ledger.keep(CASE, Entry(Stage.REFUSED, problem="no such asset"), release=True)

    assert list(ledger.refused()) == [CASE]
    assert [ledger.reopen(CASE), ledger.reopen(CASE)] == [True, False]
    assert list(ledger.refused()) == []


def test_an_order_in_the_logbook_lives_its_whole_life(dynamodb: Any, table: str) -> None:
    logbook, request = Logbook(dynamodb, table, Clock()), OrderRequest("K" * 20, CASE, "t", "d", "ALARM", "p", "a", 1)
    ref = logbook.create(request).ref
    logbook.create(replace(request, title="another"))
    logbook.update(ref, replace(request, title="worse"))
    for _ in range(2):
        logbook.comment(ref, "now worse", key=f"{CASE}-2")
    logbook.set_status(ref, Status.IN_PROGRESS, by="mia")
    logbook.set_status(ref, Status.DONE, by="mia", closure=closure_from(None))

    [entry] = logbook.entries()

    assert entry.request == replace(request, title="worse")
    assert (entry.order.status, entry.order.by, entry.order.closure) == ("DONE", "mia", closure_from(None).as_dict())
    assert len(entry.history) == 4
