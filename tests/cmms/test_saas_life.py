"""A case's whole life with the worker, against the stand-ins for MaintainX and ServiceNow, in bad weather too."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest
from telltale.adapters.cases import OrderNote
from telltale.adapters.cmms.port import Forged, order_key
from telltale.adapters.ledger import LEASE_MS
from telltale.core.closure import closure
from telltale.core.detect import CaseChange
from telltale.core.plant import Position

from tests.aws_line import POSITION, Clock, Office, change, office, tables
from tests.cmms import maintainx_server, servicenow_server
from tests.cmms.peer_maintainx import MaintainXPeer
from tests.cmms.peer_servicenow import ServiceNowPeer
from tests.cmms.weather import Weather, before

FOUND = closure(failure_mode="LUBRICATION", failure_cause="WEAR", action_taken="LUBRICATE", note="dry")
CASE = change().case_id
WRITES = ("POST", "PUT", "PATCH")
Made = MaintainXPeer | ServiceNowPeer


@dataclass
class Plant:
    """The worker's office, the maintenance system, and the weather between them."""

    at: Office
    peer: Made
    weather: Weather
    clock: Clock

    def settle(self, *changes: CaseChange) -> None:
        for one in changes:
            self.at.open(one)
        self.at.worker().settle(CASE, look=True)

    def sweep(self, tries: int = 40, step_s: float = 600) -> None:
        """Sweeps until nothing waits."""
        for _ in range(tries):
            self.clock.go(s=step_s)
            if self.at.worker().sweep(enough_time=lambda: True).waiting == 0:
                return
        raise AssertionError("cases still wait")

    @property
    def note(self) -> OrderNote:
        case = self.at.cases.get(CASE)
        assert case is not None
        assert case.order is not None
        return case.order

    @property
    def ref(self) -> str:
        assert self.note.ref
        return self.note.ref


def maintainx(until: ExitStack, clock: Clock) -> Made:
    server = until.enter_context(maintainx_server.serving(maintainx_server.MaintainX(now_s=clock.s)))
    return MaintainXPeer(server)


def servicenow(until: ExitStack, clock: Clock, table: str = "wm_order") -> Made:
    server = until.enter_context(servicenow_server.serving(servicenow_server.Instance(now_s=clock.s)))
    return ServiceNowPeer(server, table)


def incident(until: ExitStack, clock: Clock) -> Made:
    return servicenow(until, clock, "incident")


EVERY = pytest.mark.parametrize(
    "plant", [maintainx, servicenow, incident], ids=lambda make: make.__name__, indirect=True
)


@pytest.fixture(params=[maintainx, servicenow], ids=lambda make: make.__name__)
def plant(request: pytest.FixtureRequest) -> Iterator[Plant]:
    make: Callable[[ExitStack, Clock], Made] = request.param
    clock = Clock()
    with ExitStack() as until:
        peer = make(until, clock)
        weather = until.enter_context(before(peer.url))
        cmms = peer.cmms(weather.url, now_ms=clock)
        yield Plant(office(until.enter_context(tables()), clock, cmms), peer, weather, clock)


class Crash(Exception):
    """The function dies here."""


def dying(part: Any, at: int, *, after: bool) -> Any:
    """Passes calls on; the call numbered `at` kills the function, before or after it took effect."""
    calls = iter(range(1, 1000))

    class Part:
        def __getattr__(self, name: str) -> Any:
            whole = getattr(part, name)
            if not callable(whole):
                return whole

            def called(*args: Any, **named: Any) -> Any:
                dies = next(calls) == at
                if dies and not after:
                    raise Crash
                result = whole(*args, **named)
                if dies:
                    raise Crash
                return result

            return called

    return Part()


def killed_at_every_call(plant: Plant) -> int:
    """Settles in the end, killed before at each call to the system, before and after that took effect. How often."""
    for number in range(1, 100):
        for after in (False, True):
            plant.clock.go(s=LEASE_MS / 1000 + 1)
            try:
                plant.at.worker(cmms=dying(plant.at.cmms, number, after=after)).settle(CASE, look=True)
            except Crash:
                continue
            return 2 * number - 2 + after
    raise AssertionError("it never settles")


@EVERY
def test_a_worker_killed_at_any_call_to_the_system_leaves_one_order_that_shows_all(plant: Plant) -> None:
    plant.at.open(change())
    making = killed_at_every_call(plant)
    plant.at.open(change(2, "updated", severity="ALARM", state="ALARM", reason="x: 7.4 mm/s is above 7.1"))
    updating = killed_at_every_call(plant)

    assert (making >= 3, updating >= 4) == (True, True)
    assert plant.peer.count(order_key(CASE)) == 1
    shown = plant.at.cmms.get(plant.ref)
    assert shown is not None
    assert "7.4 mm/s" in shown.shows["title"]
    assert sum("7.4" in said for said in plant.peer.comments(plant.ref)) == 1


def test_errors_after_success_make_no_order_twice(plant: Plant) -> None:
    """Every call that writes is answered 500 after it was done, once: making, updating, commenting."""
    for now in (change(), change(2, "updated", severity="ALARM", reason="x: 7.4 mm/s is above 7.1")):
        plant.weather.fail(2, when="after", status=500, methods=WRITES)
        plant.at.open(now)
        plant.sweep()

    assert plant.peer.count(order_key(CASE)) == 1
    assert len(plant.peer.comments(plant.ref)) == 1


def test_a_day_without_the_system_loses_no_order_and_doubles_none(plant: Plant) -> None:
    cases = []
    for number in range(6):  # one machine each, and two hours apart: no flood
        where = f"plant/hall/pump-{number}/motor-de"
        plant.at.worker()._registry.put(Position(where, name="motor DE", asset_name=f"Pump {number}"))
        cases.append(change(case_id="case-" + "abcdef"[number] * 20))
        plant.weather.fail(200, status=503)
        plant.at.open(cases[-1], where)
        plant.clock.go(s=7200)
        plant.at.worker().sweep(enough_time=lambda: True)
    assert [plant.peer.count(order_key(one.case_id)) for one in cases] == [0] * 6

    plant.weather.clear()
    plant.sweep()

    assert [plant.peer.count(order_key(one.case_id)) for one in cases] == [1] * 6


def test_an_asset_that_is_not_known_is_told_once_and_the_order_made_without_it(plant: Plant) -> None:
    for _ in range(3):
        plant.settle(change())

    assert plant.peer.count(order_key(CASE)) == 1
    assert plant.at.notices == ["Asset not known to the maintenance system: plant/hall/pump-7"]


def test_what_a_technician_wrote_stays_when_the_case_gets_worse(plant: Plant) -> None:
    plant.settle(change())
    plant.peer.edit(plant.ref, title="Mia's own words")
    plant.clock.go(s=60)

    plant.settle(change(2, "updated", severity="ALARM", state="ALARM", reason="x: 7.4 mm/s is above 7.1"))

    shown = plant.at.cmms.get(plant.ref)
    assert shown is not None
    assert shown.shows["title"] == "Mia's own words"
    assert "7.4 mm/s" in shown.shows["description"]
    assert sum("7.4" in said for said in plant.peer.comments(plant.ref)) == 1


@EVERY
def test_what_technicians_do_comes_back_with_its_codes(plant: Plant) -> None:
    plant.settle(change())
    plant.peer.take_up(plant.ref, "mia")
    plant.settle()
    plant.clock.go(s=3600)
    plant.peer.close(plant.ref, "mia", FOUND)
    plant.settle()

    assert [(what.kind, what.closure) for _, what in plant.at.controls] == [
        ("acknowledged", None),
        ("resolved", FOUND.as_dict()),
    ]


def test_a_cancelled_order_is_a_label_that_nothing_was_done(plant: Plant) -> None:
    plant.settle(change())
    plant.peer.cancel(plant.ref, "mia")

    plant.settle()

    [(_, what)] = plant.at.controls
    assert what.kind == "resolved"
    assert what.closure is not None
    assert (what.closure["failure_mode"], what.closure["action_taken"]) == ("UNDETERMINED", "NO_ACTION")


def test_a_deleted_order_ends_the_case_and_is_not_made_again(plant: Plant) -> None:
    plant.settle(change())
    plant.peer.delete(plant.ref)

    for _ in range(3):
        plant.settle()

    assert plant.peer.count(order_key(CASE)) == 0
    assert {what.kind for _, what in plant.at.controls} == {"resolved"}


def test_a_case_that_is_over_closes_its_order_with_its_codes(plant: Plant) -> None:
    plant.settle(change())

    plant.settle(change(2, "resolved", state="HEALTHY", closure=FOUND.as_dict(), by="mia"))

    done = plant.at.cmms.get(plant.ref)
    assert done is not None
    assert done.status == "DONE"
    assert done.closure is not None
    assert done.closure["failure_mode"] == "LUBRICATION"


@EVERY
def test_a_case_that_comes_back_opens_its_order_again_or_gets_one_that_names_it(plant: Plant) -> None:
    plant.settle(change())
    first = plant.ref
    plant.settle(change(2, "resolved", state="HEALTHY", closure=FOUND.as_dict(), by="mia"))
    plant.clock.go(s=86_400)

    plant.settle(change(3, "reopened", state="ALARM", severity="ALARM", reason="still 2.1 × baseline after closing"))

    order = plant.at.cmms.get(plant.ref)
    assert order is not None
    assert not order.status.final
    if plant.at.cmms.capabilities.reopens:
        assert plant.ref == first
    else:
        assert plant.ref != first
        assert first in order.shows["description"]
    assert any("2.1 × baseline" in said for said in plant.peer.comments(first))


def test_a_message_makes_the_worker_look_once_and_a_replayed_one_never(plant: Plant) -> None:
    plant.settle(change())
    plant.peer.take_up(plant.ref, "mia")
    headers, body = plant.peer.hint(plant.ref)

    plant.at.worker().hinted("plant", headers, body)
    with pytest.raises(Forged):
        plant.at.worker().hinted("plant", headers, body)

    assert [what.kind for _, what in plant.at.controls] == ["acknowledged"]


def test_two_changes_within_one_second_are_two_messages(plant: Plant) -> None:
    plant.settle(change())
    for act in (plant.peer.take_up, plant.peer.close):
        act(plant.ref, "mia")
        plant.at.worker().hinted("plant", *plant.peer.hint(plant.ref))
        plant.clock.go(s=0.01)

    assert [what.kind for _, what in plant.at.controls] == ["acknowledged", "resolved"]


def test_messages_out_of_order_tell_what_is_so_and_not_what_they_say(plant: Plant) -> None:
    plant.settle(change())
    messages = []
    for act in (plant.peer.take_up, plant.peer.close):
        act(plant.ref, "mia")
        messages.append(plant.peer.hint(plant.ref))
        plant.clock.go(s=1)

    for headers, body in reversed(messages):
        plant.at.worker().hinted("plant", headers, body)

    assert {what.kind for _, what in plant.at.controls} == {"resolved"}


def test_a_right_that_is_withdrawn_holds_the_orders_until_it_is_given_again(plant: Plant) -> None:
    plant.weather.fail(60, status=403, body=b"Forbidden")
    plant.at.open(change())
    for _ in range(4):
        plant.clock.go(s=3600)
        plant.at.worker().sweep(enough_time=lambda: True)
    assert plant.peer.count(order_key(CASE)) == 0

    plant.weather.clear()
    plant.sweep()

    assert plant.peer.count(order_key(CASE)) == 1


def test_the_title_of_an_order_says_where_and_why(plant: Plant) -> None:
    plant.settle(replace(change(), reason="x: 4.8 mm/s is above 4.5"))

    order = plant.at.cmms.get(plant.ref)
    assert order is not None
    assert order.shows["title"].startswith("WARNING: Pump 7 motor DE: x: 4.8 mm/s is above 4.5")
    assert POSITION in order.shows["description"]
