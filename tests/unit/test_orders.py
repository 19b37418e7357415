"""One case, one work order: whatever is repeated, crashes, races, or is down for a day."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from telltale.adapters.cases import Case, OrderNote
from telltale.adapters.cmms.logbook import Logbook
from telltale.adapters.cmms.port import CmmsBusy, Forged, Order, OrderRequest, Status, order_key
from telltale.adapters.cmms.webhook import Webhook
from telltale.adapters.ledger import LEASE_MS, NotYet
from telltale.adapters.orders import LAST_RETRY_MS, POLL_MS, NoSuchCase, Swept, order_request
from telltale.core.closure import closure
from telltale.core.orders import OrderChange
from telltale.core.plant import Position

from tests.aws_line import POSITION, START_MS, Clock, Office, change, office, tables
from tests.contracts.cmms_server import Cmms as Server
from tests.contracts.cmms_server import serving

SECRET = b"shared"
FOUND = closure(failure_mode="LUBRICATION", failure_cause="WEAR", action_taken="LUBRICATE", note="dry")
CASE = change().case_id
KEY = order_key(CASE)
ALWAYS = {"enough_time": lambda: True}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Iterator[Server]:
    with serving(Server(SECRET, clock.s)) as server:
        yield server


@pytest.fixture
def logbook_office(clock: Clock) -> Iterator[Office]:
    with tables() as made:
        yield office(made, clock)


@pytest.fixture
def webhook_office(clock: Clock, server: Server) -> Iterator[Office]:
    with tables() as made:
        yield office(made, clock, Webhook(server.url, SECRET, clock))


@pytest.fixture(params=["logbook", "webhook"])
def plant_office(request: pytest.FixtureRequest) -> Office:
    return request.getfixturevalue(f"{request.param}_office")


def orders(at: Office, server: Server) -> list[dict[str, Any]]:
    """All orders in the maintenance system: status, title, severity."""
    if isinstance(at.cmms, Logbook):
        entries = at.cmms.entries()
        return [{"status": e.order.status, "title": e.request.title, "severity": e.request.severity} for e in entries]
    return [{name: order[name] for name in ("status", "title", "severity")} for order in server.orders.values()]


def note(at: Office) -> OrderNote | None:
    case = at.cases.get(CASE)
    assert case is not None
    return case.order


def outbox(at: Office) -> str | None:
    case = at.cases.get(CASE)
    assert case is not None
    return case.outbox


def persist(at: Office, tries: int = 60, step_s: float = 3600) -> None:
    """Sweeps by the hour until nothing waits."""
    for _ in range(tries):
        at.clock.go(s=step_s)
        if at.worker().sweep(**ALWAYS).waiting == 0:
            return
    raise AssertionError("cases still wait")


def test_a_case_becomes_an_order_that_says_where_why_and_what_to_do(plant_office: Office, server: Server) -> None:
    plant_office.worker().settle(plant_office.open(change()))

    [order] = orders(plant_office, server)
    assert order == {
        "status": "OPEN",
        "title": "WARNING: Pump 7 motor DE: x: 4.8 mm/s is above 4.5",
        "severity": "WARNING",
    }
    assert note(plant_office) == OrderNote("OPEN", ref=note(plant_office).ref)  # type: ignore[union-attr]  # it is there
    assert outbox(plant_office) == "watching"


def test_twenty_repeats_of_an_alarm_are_one_order(plant_office: Office, server: Server) -> None:
    for _ in range(20):
        plant_office.worker().settle(plant_office.open(change()))

    assert len(orders(plant_office, server)) == 1


def test_a_rise_in_severity_updates_the_one_order(plant_office: Office, server: Server) -> None:
    plant_office.worker().settle(plant_office.open(change()))
    worse = change(2, "updated", severity="ALARM", state="ALARM", reason="x: 7.4 mm/s is above 7.1")

    for _ in range(3):
        plant_office.worker().settle(plant_office.open(worse))

    [order] = orders(plant_office, server)
    assert (order["severity"], order["title"]) == ("ALARM", "ALARM: Pump 7 motor DE: x: 7.4 mm/s is above 7.1")


def test_a_rise_in_severity_is_commented_once(webhook_office: Office, server: Server) -> None:
    webhook_office.worker().settle(webhook_office.open(change()))

    for _ in range(3):
        webhook_office.worker().settle(webhook_office.open(change(2, "updated", severity="ALARM")))

    assert list(server.orders["WO-1"]["comments"]) == [f"{CASE}-2"]


def test_changes_that_arrive_together_are_one_order_that_shows_the_last(plant_office: Office, server: Server) -> None:
    for revision, severity in ((1, "WARNING"), (2, "ALARM")):
        plant_office.open(change(revision, "updated" if revision > 1 else "opened", severity=severity))

    plant_office.worker().settle(CASE)
    plant_office.worker().settle(CASE)

    [order] = orders(plant_office, server)
    assert order["severity"] == "ALARM"


def test_an_acknowledgement_does_not_rewrite_the_order(plant_office: Office, server: Server) -> None:
    plant_office.worker().settle(plant_office.open(change()))
    before = orders(plant_office, server)
    acted = change(2, "acknowledged", state="NEEDS_MAINTENANCE", reason="acknowledged by mia", evidence={}, by="mia")

    plant_office.worker().settle(plant_office.open(acted))

    assert orders(plant_office, server) == before


class Crash(Exception):
    """The function dies here."""


class Fragile:
    """Passes calls on; the call numbered `at` kills the function, before or after it took effect."""

    def __init__(self, at: int = 0, *, after: bool = False) -> None:
        self.at, self.after, self.calls = at, after, 0

    def over(self, part: Any) -> Any:
        fragile = self

        class Part:
            def __getattr__(self, name: str) -> Any:
                whole = getattr(part, name)
                return fragile.call(whole) if callable(whole) else whole

            def __call__(self, *args: Any) -> Any:
                return fragile.call(part)(*args)

        return Part()

    def call(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **named: Any) -> Any:
            self.calls += 1
            number = self.calls
            if number == self.at and not self.after:
                raise Crash
            result = function(*args, **named)
            if number == self.at:
                raise Crash
            return result

        return called


def settle_through(at: Office, fragile: Fragile) -> None:
    control = fragile.over(lambda position, what: at.controls.append((position, what)))
    keep = fragile.over(lambda position, change: at.told.append((position, change)))
    dynamodb, cmms = fragile.over(at.aws.dynamodb), fragile.over(at.cmms)
    at.worker(dynamodb=dynamodb, cmms=cmms, control=control, keep=keep).settle(CASE, look=True)


def calls_of(at: Office) -> int:
    """How many calls to the world one settling makes, so that none is left untried."""
    fragile = Fragile()
    settle_through(at, fragile)
    return fragile.calls


def life(at: Office, server: Server, settle: Callable[[], None]) -> None:
    """A case from its opening to its end: a warning, an alarm, taken up, closed."""
    at.open(change())
    settle()
    at.open(change(2, "updated", severity="ALARM", state="ALARM"))
    settle()
    [ref] = [note(at).ref]  # type: ignore[union-attr]  # settled, so it is there
    assert ref is not None
    at.cmms.set_status(ref, Status.IN_PROGRESS, by="mia")
    settle()
    at.cmms.set_status(ref, Status.DONE, by="mia", closure=FOUND)
    settle()
    at.open(change(3, "resolved", state="HEALTHY", closure=FOUND.as_dict(), by="mia"))
    settle()


def killed_at_every_call(at: Office) -> None:
    """Settles in the end, killed before at each call it makes, before and after that took effect."""
    number = 0
    while True:
        number += 1
        for after in (False, True):
            try:
                settle_through(at, fragile := Fragile(number, after=after))
            except Crash:
                at.clock.go(s=LEASE_MS / 1000 + 1)
            else:
                assert fragile.calls < number
                return


def test_a_crash_at_any_step_leaves_one_order_in_the_end(plant_office: Office, server: Server) -> None:
    """Each settling of a life is killed at every call it makes, before and after it took effect, then repeated."""

    def settle() -> None:
        killed_at_every_call(plant_office)

    life(plant_office, server, settle)

    [order] = orders(plant_office, server)
    assert (order["status"], order["severity"]) == ("DONE", "ALARM")
    assert note(plant_office).state == "CLOSED"  # type: ignore[union-attr]  # it is there
    assert outbox(plant_office) == "watching"  # for it may be opened again
    assert {(what.kind, what.case_id) for _, what in plant_office.controls} == {
        ("acknowledged", CASE),
        ("resolved", CASE),
    }


def kept(at: Office) -> list[OrderChange]:
    """What detection makes of what it was told: each change once, by its number."""
    found: list[OrderChange] = []
    for _, told in at.told:
        if told.revision > len(found):
            found.append(told)
    return found


def test_every_change_of_an_order_is_told_to_the_lake(plant_office: Office, server: Server) -> None:
    life(plant_office, server, lambda: plant_office.worker().settle(CASE, look=True))

    told = [one for _, one in plant_office.told]
    assert [(one.revision, one.change, one.seen.status, one.seen.severity) for one in told] == [
        (1, "created", "OPEN", "WARNING"),
        (2, "updated", "OPEN", "ALARM"),
        (3, "status", "IN_PROGRESS", "ALARM"),
        (4, "status", "DONE", "ALARM"),
    ]
    assert told[-1].seen.closure["failure_mode"] == "LUBRICATION"
    assert {one.seen.ref for one in told} == {note(plant_office).ref}  # type: ignore[union-attr]  # it is there


def test_a_crash_at_any_step_tells_every_change_and_none_in_two_versions(plant_office: Office, server: Server) -> None:
    """As below: each settling is killed at every call it makes. What is told twice is the same under its number."""

    def settle() -> None:
        killed_at_every_call(plant_office)

    life(plant_office, server, settle)

    assert [one.change for one in kept(plant_office)] == ["created", "updated", "status", "status"]
    by_revision = {one.revision: one for _, one in plant_office.told}
    assert all(by_revision[one.revision] == one for _, one in plant_office.told)


def test_an_order_that_is_refused_and_then_made_is_two_changes(webhook_office: Office, server: Server) -> None:
    server.fail(status=422, body=b"no such asset")
    webhook_office.worker().settle(webhook_office.open(change()))
    webhook_office.worker().settle(webhook_office.open(change(2, "updated", severity="ALARM")))

    changes = [one for _, one in webhook_office.told]
    assert [(one.change, one.seen.ref) for one in changes] == [("refused", ""), ("created", "WO-1")]
    assert "no such asset" in changes[0].seen.problem
    assert changes[1].seen.problem == ""


def test_the_crashes_above_reach_into_every_part(plant_office: Office) -> None:
    plant_office.open(change())

    assert calls_of(plant_office) >= 8  # read twice, lease, two ledger steps, find, create, settle


def test_a_second_worker_keeps_out_while_the_first_is_at_it(webhook_office: Office, server: Server) -> None:
    office_, refused = webhook_office, []

    class Slow(Webhook):
        def create(self, request: OrderRequest) -> Order:
            with pytest.raises(NotYet) as busy:
                office_.worker().settle(CASE)
            refused.append(busy.value.after_s)
            return super().create(request)

    office_.worker(cmms=Slow(server.url, SECRET, office_.clock)).settle(office_.open(change()))

    assert refused == [LEASE_MS / 1000]
    assert len(server.orders) == 1


def test_a_worker_that_lost_its_lease_creates_nothing(webhook_office: Office, server: Server) -> None:
    office_ = webhook_office

    class Asleep(Webhook):
        def find(self, key: str) -> Order | None:
            office_.clock.go(s=LEASE_MS / 1000 + 1)
            office_.worker().settle(CASE)
            return None  # what it had read before it fell asleep

    with pytest.raises(NotYet):
        office_.worker(cmms=Asleep(server.url, SECRET, office_.clock)).settle(office_.open(change()))

    assert len(server.orders) == 1


def test_an_order_that_was_made_although_the_call_failed_is_found_again(webhook_office: Office, server: Server) -> None:
    webhook_office.open(change())
    server.trouble = [("", 200, {}, b""), ("after", 500, {}, b"")]  # the find is answered, the create fails afterwards
    server.trouble[0] = ("after", 200, {}, b'{"order": null}')

    with pytest.raises(CmmsBusy):
        webhook_office.worker().settle(CASE)
    persist(webhook_office)

    assert len(server.orders) == 1
    assert server.seen.count("create") == 1
    assert note(webhook_office) == OrderNote("OPEN", "WO-1")


def test_a_system_that_is_down_for_a_day_loses_no_order_and_gets_no_double(
    webhook_office: Office, server: Server
) -> None:
    down = {"until": START_MS + 24 * 3_600_000}
    answer = server.answer
    server.answer = lambda headers, body: (  # type: ignore[method-assign]  # the machine room is dark
        answer(headers, body) if webhook_office.clock() > down["until"] else (503, {}, b"")
    )
    cases = ["case-" + letter * 20 for letter in "abc"]
    for case_id in cases:
        webhook_office.open(replace(change(), case_id=case_id))
        with pytest.raises(CmmsBusy):
            webhook_office.worker().settle(case_id)

    persist(webhook_office, tries=40)

    assert sorted(order["key"] for order in server.orders.values()) == sorted(order_key(case) for case in cases)
    assert webhook_office.notices == []


def test_an_order_that_cannot_be_read_is_asked_for_less_and_less_often_and_told_once(
    webhook_office: Office, server: Server
) -> None:
    server.fail(
        times=100, when="after", status=200, body=b'{"order": {"ref": "WO-1", "key": "K", "status": "Laid by"}}'
    )
    webhook_office.open(change())
    waits = []

    for _ in range(9):
        with pytest.raises(CmmsBusy) as busy:
            webhook_office.worker().settle(CASE)
        assert busy.value.after_s is not None
        waits.append(busy.value.after_s)
        webhook_office.clock.go(s=busy.value.after_s)

    assert waits == [30, 60, 120, 240, 480, 960, 1920, LAST_RETRY_MS / 1000, LAST_RETRY_MS / 1000]
    assert webhook_office.notices == [f"Work order cannot be read: {POSITION}"]
    assert "Laid by" in str(note(webhook_office))


def test_nobody_asks_before_the_wait_is_over(webhook_office: Office, server: Server) -> None:
    server.fail(status=429, Retry_After="900")
    webhook_office.open(change())

    for _ in range(5):
        with pytest.raises(CmmsBusy) as busy:
            webhook_office.worker().settle(CASE)

    assert busy.value.after_s == 900
    assert server.seen == ["find"]


def test_a_refusal_is_shown_told_once_and_not_repeated(webhook_office: Office, server: Server) -> None:
    server.fail(status=422, body=b"asset unknown")
    webhook_office.open(change())

    for _ in range(5):
        webhook_office.worker().settle(CASE)
        webhook_office.clock.go(s=3600)
        webhook_office.worker().sweep(**ALWAYS)

    shown = note(webhook_office)
    assert shown is not None
    assert (shown.state, "asset unknown" in str(shown.problem)) == ("REFUSED", True)
    assert webhook_office.notices == [f"Work order refused: {POSITION}"]
    assert server.seen == ["find"]
    assert outbox(webhook_office) is None


def test_a_refused_order_is_tried_again_when_the_case_changes(webhook_office: Office, server: Server) -> None:
    server.fail(status=422)
    webhook_office.worker().settle(webhook_office.open(change()))

    webhook_office.worker().settle(webhook_office.open(change(2, "updated", severity="ALARM")))

    assert note(webhook_office) == OrderNote("OPEN", "WO-1")


def test_a_refused_update_does_not_hide_that_the_order_was_closed(webhook_office: Office, server: Server) -> None:
    webhook_office.worker().settle(webhook_office.open(change()))
    server.trouble = [("after", 200, {}, b'{"order": {"ref": "WO-1", "key": "K", "status": "OPEN"}}')]
    server.fail(status=422, body=b"read only")

    webhook_office.worker().settle(webhook_office.open(change(2, "updated", severity="ALARM")))
    webhook_office.cmms.set_status("WO-1", Status.DONE, by="mia", closure=FOUND)
    webhook_office.clock.go(s=POLL_MS / 1000 + 1)
    webhook_office.worker().sweep(**ALWAYS)

    assert [what.kind for _, what in webhook_office.controls] == ["resolved"]
    assert len(webhook_office.notices) == 1
    assert "read only" in str(note(webhook_office))


def test_closing_an_order_resolves_the_case_with_its_codes(plant_office: Office) -> None:
    plant_office.worker().settle(plant_office.open(change()))
    ref = note(plant_office).ref  # type: ignore[union-attr]  # it is there
    assert ref is not None
    plant_office.clock.go(s=600)
    plant_office.cmms.set_status(ref, Status.DONE, by="mia", closure=FOUND)

    plant_office.worker().settle(CASE, look=True)

    [(position, control)] = plant_office.controls
    assert position == POSITION
    assert (control.kind, control.case_id, control.by) == ("resolved", CASE, "mia")
    assert control.closure == FOUND.as_dict()
    assert control.t_ms == START_MS + 600_000


def test_an_order_closed_with_codes_nobody_knows_is_an_undetermined_label_that_keeps_the_words(
    webhook_office: Office, server: Server
) -> None:
    webhook_office.worker().settle(webhook_office.open(change()))
    server.orders["WO-1"] |= {"status": "DONE", "closure": {"failure_mode": "Greased it", "note": "was dry"}}

    webhook_office.worker().settle(CASE, look=True)

    [(_, control)] = webhook_office.controls
    assert control.closure == {
        "failure_mode": "UNDETERMINED",
        "failure_cause": "UNDETERMINED",
        "action_taken": "OTHER",
        "note": "was dry; failure_mode given as 'Greased it'",
    }


def test_a_deleted_order_counts_as_cancelled(webhook_office: Office, server: Server) -> None:
    webhook_office.worker().settle(webhook_office.open(change()))
    del server.orders["WO-1"]

    webhook_office.worker().settle(CASE, look=True)

    [(_, control)] = webhook_office.controls
    assert control.closure is not None
    assert (control.kind, control.closure["action_taken"]) == ("resolved", "NO_ACTION")
    assert server.orders == {}


def test_a_case_that_is_over_closes_its_order(plant_office: Office, server: Server) -> None:
    plant_office.worker().settle(plant_office.open(change()))

    plant_office.worker().settle(plant_office.open(change(2, "resolved", closure=FOUND.as_dict(), by="mia")))

    assert [order["status"] for order in orders(plant_office, server)] == ["DONE"]
    assert note(plant_office).state == "CLOSED"  # type: ignore[union-attr]  # it is there
    assert outbox(plant_office) == "watching"  # for it may be opened again


def test_a_case_that_was_over_before_anybody_looked_needs_no_order(plant_office: Office, server: Server) -> None:
    plant_office.open(change())

    plant_office.worker().settle(plant_office.open(change(2, "resolved", closure=FOUND.as_dict(), by="mia")))

    assert orders(plant_office, server) == []
    assert note(plant_office) == OrderNote("CLOSED")


def test_an_order_that_nobody_tells_of_is_asked_for(plant_office: Office) -> None:
    plant_office.worker().settle(plant_office.open(change()))
    ref = note(plant_office).ref  # type: ignore[union-attr]  # it is there
    assert ref is not None
    plant_office.cmms.set_status(ref, Status.IN_PROGRESS, by="mia")

    before = plant_office.worker().sweep(**ALWAYS)
    plant_office.clock.go(s=POLL_MS / 1000 + 1)
    after = plant_office.worker().sweep(**ALWAYS)

    assert (before, after) == (Swept(0, 0), Swept(1, 0))
    assert [what.kind for _, what in plant_office.controls] == ["acknowledged"]


def test_a_case_whose_event_got_lost_is_found_by_the_sweep(plant_office: Office, server: Server) -> None:
    plant_office.open(change())

    plant_office.clock.go(s=120)
    plant_office.worker().sweep(**ALWAYS)

    assert len(orders(plant_office, server)) == 1


def test_a_silent_system_does_not_hold_up_the_sweep(webhook_office: Office, server: Server) -> None:
    for letter in "abcdefgh":
        webhook_office.open(replace(change(), case_id="case-" + letter * 20))
    server.fail(times=99)
    webhook_office.clock.go(s=120)

    swept = webhook_office.worker().sweep(**ALWAYS)

    assert swept == Swept(settled=0, waiting=8)
    assert server.seen == ["find"]


def test_a_sweep_without_time_leaves_the_rest_to_the_next(plant_office: Office, server: Server) -> None:
    for letter in "abc":
        plant_office.open(replace(change(), case_id="case-" + letter * 20))
    plant_office.clock.go(s=120)
    left = iter([True, False, False])

    swept = plant_office.worker().sweep(enough_time=lambda: next(left))

    assert swept == Swept(settled=1, waiting=2)
    assert len(orders(plant_office, server)) == 1


def test_a_hint_makes_the_worker_look_and_believe_only_what_it_reads(webhook_office: Office, server: Server) -> None:
    webhook_office.worker().settle(webhook_office.open(change()))

    webhook_office.worker().hinted("plant", *server.hint("WO-1"))
    unchanged = list(webhook_office.controls)
    webhook_office.clock.go(s=1)
    server.orders["WO-1"] |= {"status": "IN_PROGRESS", "by": "mia"}
    webhook_office.worker().hinted("plant", *server.hint("WO-1"))

    assert unchanged == []
    assert [(what.kind, what.by) for _, what in webhook_office.controls] == [("acknowledged", "mia")]


def test_a_forged_hint_makes_nobody_look(webhook_office: Office, server: Server) -> None:
    webhook_office.worker().settle(webhook_office.open(change()))
    seen = list(server.seen)

    for forged in (server.hint("WO-1", secret=b"guess"), server.hint("WO-1", at_s=webhook_office.clock.s() - 301)):
        with pytest.raises(Forged):
            webhook_office.worker().hinted("plant", *forged)
    with pytest.raises(Forged):
        webhook_office.worker().hinted("elsewhere", *server.hint("WO-1"))

    assert server.seen == seen


def test_a_message_sent_again_is_refused_whatever_is_sent_beside_it(webhook_office: Office, server: Server) -> None:
    webhook_office.worker().settle(webhook_office.open(change()))
    headers, body = server.hint("WO-1")
    webhook_office.worker().hinted("plant", headers, body)

    for beside in ({}, {"x-signature": "another", "timestamp": "1"}, {"telltale-timestamp-2": "1"}):
        with pytest.raises(Forged, match="before"):
            webhook_office.worker().hinted("plant", {**headers, **beside}, body)


def test_a_message_about_a_case_that_is_not_there_says_so(plant_office: Office) -> None:
    with pytest.raises(NoSuchCase):
        plant_office.worker().settle("case-nowhere")


def test_a_position_that_left_the_registry_still_gets_its_order(plant_office: Office, server: Server) -> None:
    plant_office.cases.put("plant/hall/old/pump", change(), changed_at=START_MS)

    plant_office.worker().settle(CASE)

    assert orders(plant_office, server)[0]["title"] == "WARNING: plant/hall/old/pump: x: 4.8 mm/s is above 4.5"


def test_a_long_reason_keeps_the_title_short_and_the_description_whole() -> None:
    request = order_request(Case(POSITION, change(reason="y" * 300), 0, None, None), Position(POSITION, "DE"))

    assert len(request.title) == 100
    assert "y" * 300 in request.description
