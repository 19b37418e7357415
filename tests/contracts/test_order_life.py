"""The life of an order in any weather: edits, outages, answers, closures, and what comes after them."""

import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import work_orders
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws
from telltale.adapters.cmms import http
from telltale.adapters.cmms.logbook import Entry, Logbook
from telltale.adapters.cmms.port import (
    Capabilities,
    CmmsBusy,
    CmmsDenied,
    Order,
    OrderRequest,
    Picture,
    Status,
    Stock,
    UnknownAsset,
    order_key,
)
from telltale.adapters.cmms.webhook import Webhook
from telltale.adapters.order_request import key_of
from telltale.adapters.orders import LAST_RETRY_MS, Held, Swept
from telltale.adapters.outages import Calls, NoCallsLeft
from telltale.adapters.registry import Registry
from telltale.core.closure import Closure, closure
from telltale.core.errors import CmmsRefused
from telltale.core.plant import Position, Site
from telltale.core.replies import BadReply, Reply

from tests.aws_line import POSITION, START_MS, Aws, Clock, Office, change, client, make_table, office, plant, tables
from tests.contracts.cmms_server import Cmms as Server
from tests.contracts.cmms_server import serving
from tests.unit.test_orders import Crash, Fragile

SECRET = b"shared"
FOUND = closure(failure_mode="LUBRICATION", failure_cause="WEAR", action_taken="LUBRICATE", note="dry")
CASE = change().case_id
HOUR_S, DAY_S = 3600, 86_400
LINK = "https://page.example/case"


class Workshop(Logbook):
    """The logbook, as other systems are: without fields for codes, with pictures, stock and a list of assets, and out
    of order when it is told so.
    """

    def __init__(self, made: Aws, clock: Clock, **can: bool) -> None:
        super().__init__(made.dynamodb, "logbook", clock)
        self.capabilities = Capabilities(**{"upsert": False, "pushes": True, "reopens": True, **can})
        self.pictures: list[tuple[str, str]] = []
        self.trouble: Exception | None = None
        self.merged: dict[str, str] = {}
        self.calls = 0

    def find(self, key: str) -> Order | None:
        self.calls += 1
        if self.trouble:
            raise self.trouble
        return super().find(key)

    def create(self, request: OrderRequest) -> Order:
        if request.asset == "P-7":
            raise UnknownAsset("P-7", "no record found")
        return super().create(request)

    def get(self, ref: str) -> Order | None:
        self.calls += 1
        if self.trouble:
            raise self.trouble
        order = super().get(ref)
        codes = order.closure if order and self.capabilities.codes else None
        return replace(order, closure=codes, merged_into=self.merged.get(ref, "")) if order else None

    def set_status(self, ref: str, status: Status, *, by: str, closure: Closure | None = None) -> Order:
        before = self.get(ref)
        if before is not None and before.status.final and status is Status.OPEN and not self.capabilities.reopens:
            raise CmmsRefused(f"order {ref} is closed for good")
        return super().set_status(ref, status, by=by, closure=closure)

    def attach(self, ref: str, picture: Picture) -> None:
        self.pictures.append((ref, picture.name))

    def stock(self, part: str) -> Stock | None:
        return Stock(part, 3, "B2")

    def edit(self, ref: str, **fields: str) -> None:
        """What a technician types over."""
        for name, value in fields.items():
            self._change(ref, "SET #name = :value", "attribute_exists(pk)", {"#name": name}, {":value": {"S": value}})

    def delete(self, ref: str) -> None:
        self._client.delete_item(TableName=self._table, Key={"pk": {"S": ref}})


class Life:
    """One case, its order, and what people and detection do about it."""

    def __init__(self, at: Office, shop: Workshop) -> None:
        self.at, self.shop, self.heard, self.sent = at, shop, 0, list[tuple[str, dict[str, bool]]]()
        self.now = change()
        self.pictures: dict[str, bytes] = {}

    def is_now(self, what: str, **fields: Any) -> None:
        revision = self.now.revision + (what != "opened")
        self.now = replace(self.now, revision=revision, change=what, **fields)
        self.at.open(self.now)
        self.looks()

    def looks(self, **asks: Any) -> None:
        worker = self.at.worker(cmms=self.shop)
        for part in (worker._writing, worker._endings):
            part._link = lambda case: LINK
        worker._writing._picture = self.pictures.get
        worker.settle(CASE, **asks)

    def detection_hears(self) -> list[str]:
        """What was told since; the case is what it makes of it."""
        acts = [act for _, act in self.at.controls[self.heard :]]
        self.heard = len(self.at.controls)
        for act in acts:
            state = {"acknowledged": "NEEDS_MAINTENANCE", "resolved": "HEALTHY"}.get(act.kind, "WARNING")
            self.is_now(act.kind, state=state, closure=act.closure, by=act.by, reason=act.why or act.kind)
        return [act.kind for act in acts]

    def sweeps(self) -> Swept:
        return self.at.worker(cmms=self.shop).sweep(enough_time=lambda: True)

    def order(self, opening: int = 0) -> Entry:
        found = self.shop.entry(key_of(CASE, opening))
        assert found is not None
        return found

    def says(self, opening: int = 0) -> list[str]:
        return [line.text for line in self.order(opening).history]

    def state(self) -> str:
        case = self.at.cases.get(CASE)
        assert case is not None
        assert case.order is not None
        return case.order.state

    def goes(self, s: float) -> None:
        self.at.clock.go(s=s)


@pytest.fixture
def made() -> Iterator[Aws]:
    with tables() as made:
        yield made


def living(made: Aws, **can: bool) -> Life:
    clock = Clock()
    at = office(made, clock)
    life = Life(at, Workshop(made, clock, **can))
    life.is_now("opened")
    return life


@pytest.fixture
def life(made: Aws) -> Life:
    return living(made)


REF = order_key(CASE)

# ---- what is written, and what is left alone ----------------------------------------------------------


def test_a_title_that_a_technician_wrote_stays_and_what_is_new_is_a_comment(life: Life) -> None:
    life.shop.edit(REF, title="Motor of pump 7, ask Mia first")

    life.is_now("updated", severity="ALARM", reason="x: 7.4 mm/s is above 7.1")
    life.goes(2 * HOUR_S)
    life.is_now("updated", reason="x: 8.8 mm/s is above 7.1")

    request = life.order().request
    assert (request.title, request.severity) == ("Motor of pump 7, ask Mia first", "ALARM")
    assert "8.8 mm/s" in request.description
    assert [said for said in life.says() if "mm/s is above 7.1" in said] == [
        "ALARM: Pump 7 motor DE: x: 7.4 mm/s is above 7.1",
        "ALARM: Pump 7 motor DE: x: 8.8 mm/s is above 7.1",
    ]


def test_a_field_that_was_a_technicians_once_is_never_written_again(life: Life) -> None:
    life.shop.edit(REF, description="Mine", title="Mine too", severity="WARNING ")

    life.is_now("updated", severity="ALARM", reason="worse")
    life.shop.edit(REF, title="WARNING: Pump 7 motor DE: x: 4.8 mm/s is above 4.5")
    life.goes(2 * HOUR_S)
    life.is_now("updated", reason="worse still")

    request = life.order().request
    assert (request.description, request.severity) == ("Mine", "WARNING ")
    assert request.title == "WARNING: Pump 7 motor DE: x: 4.8 mm/s is above 4.5"
    assert any("Why: worse still" in said for said in life.says())  # the description's news are in the comment


def test_an_update_whose_answer_got_lost_is_not_taken_for_a_technicians_edit(life: Life) -> None:
    update, lost = life.shop.update, [CmmsBusy("made, but the answer got lost")]

    def loses(ref: str, request: OrderRequest, fields: Collection[str] = ()) -> Order:
        order = update(ref, request, fields)
        if lost:
            raise lost.pop()
        return order

    life.shop.update = loses  # type: ignore[method-assign]  # the network between us
    with pytest.raises(CmmsBusy):
        life.is_now("updated", severity="ALARM", reason="worse")
    life.goes(60)
    life.looks()
    life.goes(2 * HOUR_S)
    life.is_now("updated", reason="worse still")

    assert life.order().request.title.endswith("worse still")


def test_an_order_is_written_anew_once_an_hour_and_at_once_when_it_gets_worse(life: Life) -> None:
    for number in range(3):
        life.goes(60)
        life.is_now("updated", reason=f"reason {number}")
    soon = life.order().request.title
    life.is_now("updated", reason="a rise", severity="ALARM")
    at_once = life.order().request.title
    life.goes(60)
    life.is_now("updated", reason="after the rise")
    kept = life.order().request.title
    life.goes(HOUR_S)
    life.sweeps()

    assert soon.endswith("reason 0")
    assert at_once.endswith("a rise")
    assert kept.endswith("a rise")
    assert life.order().request.title.endswith("after the rise")


def test_the_picture_is_there_once_and_another_when_it_gets_worse_and_its_lack_holds_up_nothing(made: Aws) -> None:
    life = living(made, attaches=True)
    life.is_now("updated", evidence={"picture": f"evidence/{CASE}/2.svg"})
    without = list(life.shop.pictures)
    life.pictures[f"evidence/{CASE}/2.png"] = b"\x89PNG"
    life.goes(150)
    life.looks()
    life.looks(look=True)
    life.pictures[f"evidence/{CASE}/3.png"] = b"\x89PNG"
    life.is_now("updated", evidence={"picture": f"evidence/{CASE}/3.svg"}, severity="ALARM")
    life.looks(look=True)

    assert without == []
    assert life.shop.pictures == [(REF, f"{CASE}-2.png"), (REF, f"{CASE}-3.png")]


def test_the_order_tells_the_stock_of_the_part_which_is_no_reason_to_write_it_anew(made: Aws) -> None:
    [position] = [item for item in plant() if isinstance(item, Position)]
    life = living(made, stock=True)
    Registry(made.dynamodb, "registry").put(replace(position, spare_part="6205"))
    life.goes(2 * HOUR_S)
    life.is_now("updated", reason="worse")
    history = life.says()

    for _ in range(3):
        life.goes(2 * HOUR_S)
        life.looks(look=True)

    assert "Spare part: 6205 (3 in stock at B2)" in life.order().request.description
    assert life.says() == history


def test_an_asset_that_is_not_known_leaves_the_order_without_it_and_is_told_once(made: Aws) -> None:
    clock = Clock()
    at = office(made, clock)
    for item in plant():
        known = replace(item, cmms_asset="P-7") if isinstance(item, Position) else item
        Registry(made.dynamodb, "registry").put(known)
    shop = Workshop(made, clock)
    others = ["case-" + letter * 20 for letter in "bcd"]
    for hours, case_id in enumerate(others):
        at.open(replace(change(), case_id=case_id, opened_ms=START_MS + hours * 30 * 3_600_000))
        at.worker(cmms=shop).settle(case_id)

    entries = list(shop.entries())
    assert len(entries) == 3
    assert {entry.request.asset for entry in entries} == {""}
    assert all("P-7 is not known here" in entry.request.description for entry in entries)
    assert at.notices == ["Asset not known to the maintenance system: P-7"]


# ---- repeats and backlogs ------------------------------------------------------------------------------


def test_a_repeated_message_costs_two_reads_and_no_call_to_the_system(life: Life) -> None:
    calls, fragile = life.shop.calls, Fragile()
    worker = life.at.worker(dynamodb=fragile.over(life.at.aws.dynamodb), cmms=life.shop)

    for _ in range(20):
        worker.settle(CASE)

    assert fragile.calls == 40
    assert life.shop.calls == calls


def test_a_years_backlog_of_cases_that_are_over_makes_no_order_and_no_call(made: Aws) -> None:
    at = office(made, Clock())
    shop = Workshop(made, at.clock)
    codes = FOUND.as_dict()
    cases = [f"case-{number:020}".translate(str.maketrans("0189", "abcd")) for number in range(30)]
    for case_id in cases:
        at.open(change(2, "resolved", case_id=case_id, closure=codes, by="mia"))

    for _ in range(2):
        for case_id in cases:
            at.worker(cmms=shop).settle(case_id)

    assert shop.calls == 0
    assert list(shop.entries()) == []
    assert {case.outbox for case in at.cases.all()} == {None}


# ---- a system that does not answer ---------------------------------------------------------------------


def fleet(at: Office, count: int) -> list[str]:
    """Cases of a day, none of which has anything to do with another."""
    cases = [f"case-{number:020}".translate(str.maketrans("0189", "abcd")) for number in range(count)]
    for number, case_id in enumerate(cases):
        opened_ms = START_MS + number * 86_400_000 // count
        one = change(case_id=case_id, opened_ms=opened_ms)
        at.open(one, f"plant/hall/pump-{number}/de")
    return cases


@pytest.mark.parametrize("trouble", [CmmsBusy("503"), CmmsDenied("401: token expired")])
def test_a_day_without_the_system_is_one_try_a_sweep_and_then_all_orders_at_once(made: Aws, trouble: Exception) -> None:
    at = office(made, Clock())
    shop, sent = Workshop(made, at.clock), list[str]()
    shop.trouble = trouble
    cases = fleet(at, 24)
    for case_id in cases:
        with pytest.raises(CmmsBusy):
            at.worker(cmms=shop).settle(case_id)
    at_first = shop.calls

    def sweeps() -> Swept:
        worker = at.worker(cmms=shop)
        worker._send = lambda case_ids, asks: sent.extend(case_ids)
        return worker.sweep(enough_time=lambda: True)

    for _ in range(24):
        at.clock.go(s=HOUR_S)
        assert sweeps() == Swept(0, 24)
    during = shop.calls - at_first
    at.clock.go(s=60 * 5)
    shop.trouble = None
    back = sweeps()
    for case_id in sent:
        at.worker(cmms=shop).settle(case_id, hurry=True)

    assert at_first <= 5
    assert during == 24
    assert (back.settled, back.sent) == (1, 23)
    assert sorted(entry.request.case_id for entry in shop.entries()) == sorted(cases)
    denied = ["Maintenance system refuses Telltale: site plant"]
    assert at.notices == (denied if isinstance(trouble, CmmsDenied) else [])


def test_a_power_cut_that_takes_the_system_down_too_is_one_flood_when_it_is_back(made: Aws) -> None:
    at = office(made, Clock())
    shop = Workshop(made, at.clock)
    shop.trouble = CmmsBusy("503")
    cases = [f"case-{number:020}".translate(str.maketrans("0189", "abcd")) for number in range(50)]
    for number, case_id in enumerate(cases):
        at.open(change(case_id=case_id, opened_ms=START_MS + number * 12_000), f"plant/hall/fan-{number}/de")
    for case_id in cases[:6]:
        with pytest.raises(CmmsBusy):
            at.worker(cmms=shop).settle(case_id)
    at.clock.go(s=6 * HOUR_S)
    shop.trouble = None
    find = shop.find

    def takes_a_moment(key: str) -> Order | None:
        at.clock.go(s=0.02)
        return find(key)

    shop.find = takes_a_moment  # type: ignore[method-assign]  # as every system does
    at.worker(cmms=shop).sweep(enough_time=lambda: True)  # in any order, as queues have it
    at.clock.go(s=11 * 60)
    at.worker(cmms=shop).sweep(enough_time=lambda: True)

    entries = list(shop.entries())
    named = "\n".join(entry.request.description for entry in entries)
    assert len(entries) <= 21  # ten of each ten minutes that the clock has, and the one for all others
    assert all(case_id in named for case_id in cases)


def test_a_new_outage_is_told_again(made: Aws) -> None:
    at = office(made, Clock())
    shop = Workshop(made, at.clock)
    for count in (1, 2):
        shop.trouble = CmmsDenied("401")
        for case_id in fleet(at, count)[-1:]:
            with pytest.raises(CmmsBusy):
                at.worker(cmms=shop).settle(case_id)
        at.clock.go(s=HOUR_S)
        at.worker(cmms=shop).sweep(enough_time=lambda: True)
        shop.trouble = None
        at.clock.go(s=HOUR_S)
        at.worker(cmms=shop).sweep(enough_time=lambda: True)

    assert len(at.notices) == 2
    assert len(list(shop.entries())) == 2


def test_one_order_that_always_fails_holds_up_no_other(made: Aws) -> None:
    at = office(made, Clock())
    shop = Workshop(made, at.clock)
    find, (poisoned, *cases) = shop.find, fleet(at, 12)

    def fails(key: str) -> Order | None:
        if key == order_key(poisoned):
            raise CmmsBusy("500: NullPointerException")
        return find(key)

    shop.find = fails  # type: ignore[method-assign]  # a record that the system chokes on
    for case_id in cases:
        for _ in range(3):
            at.clock.go(s=HOUR_S)
            with suppress(CmmsBusy):
                at.worker(cmms=shop).settle(poisoned)
        if case_id == cases[0]:  # nobody has got through yet, so that one more sweep has to find out who can
            at.clock.go(s=120)
            while not list(shop.entries()):
                at.worker(cmms=shop).sweep(enough_time=lambda: True)
        at.worker(cmms=shop).settle(case_id)

    assert sorted(entry.request.case_id for entry in shop.entries()) == sorted(cases)


def test_a_site_is_left_alone_as_long_as_it_asks_for_and_another_is_not(made: Aws) -> None:
    at = office(made, Clock())
    shop, other = Workshop(made, at.clock), Workshop(made, at.clock)
    Registry(made.dynamodb, "registry").put(Site("mill"))
    first, second, third = fleet(at, 3)
    at.open(replace(change(), case_id=third, revision=2), "mill/hall/fan/de")
    shop.trouble = CmmsBusy("429", 900)

    with pytest.raises(CmmsBusy):
        at.worker(cmms=shop).settle(first)
    calls = shop.calls
    for _ in range(5):
        with pytest.raises(Held):
            at.worker(cmms=shop).settle(second)
    at.worker(cmms=other).settle(third)
    shop.trouble = None
    at.clock.go(s=901)
    at.worker(cmms=shop).settle(second)

    assert calls == 1
    assert {entry.request.case_id for entry in shop.entries()} == {second, third}


def test_a_slow_system_that_made_the_order_after_all_is_not_asked_for_another(
    made: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "READ_S", 0.2)  # of a system that takes 30 s and is given 10
    clock = Clock()
    with serving(Server(SECRET, clock.s)) as server:
        do = server.do

        def slow(message: dict[str, Any], headers: Any) -> Any:
            done = do(message, headers)
            if server.seen == ["find", "create"]:
                time.sleep(0.5)
            return done

        server.do = slow  # type: ignore[method-assign]  # a full disk, a long list, a backup
        at = office(made, clock, Webhook(server.url, SECRET, clock))
        with pytest.raises(CmmsBusy):
            at.worker().settle(at.open(change()))
        clock.go(s=60)
        at.worker().settle(CASE)

        assert len(server.orders) == 1
        assert server.seen.count("create") == 1


@settings(max_examples=8, deadline=None, derandomize=True)
@given(per_minute=st.integers(1, 12), pauses=st.lists(st.integers(0, 40), min_size=1, max_size=8))
def test_in_no_minute_are_there_more_calls_than_allowed(per_minute: int, pauses: list[int]) -> None:
    with mock_aws():
        dynamodb = client("dynamodb")
        make_table(dynamodb, "ledger")
        clock, spent = Clock(), list[int]()
        for pause_s in pauses:
            clock.go(s=pause_s)
            calls = Calls(dynamodb, "ledger", clock, lambda s: clock.go(s=s))
            with suppress(NoCallsLeft):
                for _ in range(per_minute):
                    calls.spend("plant", per_minute)
                    spent.append(clock.now_ms)

        assert all(sum(t <= one < t + 60_000 for one in spent) <= per_minute for t in spent)
        assert len(spent) >= min(per_minute, max(1, per_minute // 5))


# ---- any order of mishaps ------------------------------------------------------------------------------


class Flaky(Webhook):
    """Answers as the script says: down, refused, done although it failed, or well."""

    def __init__(self, script: list[str], *args: Any) -> None:
        super().__init__(*args)
        self.script = script

    def _ask(self, message: Mapping[str, Any], once: str | None = None) -> Order | None:
        word = self.script.pop(0) if self.script else "well"
        if word == "down":
            raise CmmsBusy("down")
        answer = super()._ask(message, once)
        if word == "lost":
            raise CmmsBusy("made, but the answer got lost")
        if word == "dies":
            raise Crash
        return answer


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    script=st.lists(st.sampled_from(["down", "lost", "dies", "well"]), max_size=8),
    acts=st.lists(st.sampled_from(["message", "worse", "hours", "sweep"]), max_size=8),
)
def test_no_order_of_mishaps_makes_two_orders_or_none(script: list[str], acts: list[str]) -> None:
    clock = Clock()
    with serving(Server(SECRET, clock.s)) as server, tables() as made:
        at = office(made, clock, Flaky(script, server.url, SECRET, clock))
        at.open(change())
        revision = 1
        for act in acts:
            clock.go(s=4000 if act == "hours" else 1)
            if act == "worse":
                revision += 1
                at.open(change(revision, "updated", reason=f"x: {revision} mm/s"))
            with suppress(CmmsBusy, Crash):
                at.worker().sweep(enough_time=lambda: True) if act == "sweep" else at.worker().settle(CASE)
        for _ in range(len(script) + 3):
            clock.go(s=LAST_RETRY_MS / 1000 + 1)
            with suppress(Crash):
                at.worker().sweep(enough_time=lambda: True)

        [order] = server.orders.values()
        assert order["title"].endswith("4.8 mm/s is above 4.5" if revision == 1 else f"x: {revision} mm/s")
        assert at.notices == []


# ---- what people answer on the page ----------------------------------------------------------------------


def reply(kind: str, id_: str = "1", **fields: Any) -> Reply:
    codes = FOUND.as_dict() if kind == "closed" else None
    document = {"kind": kind, "by": "mia", "at_ms": START_MS + 1000, "id": id_, "closure": codes}
    return Reply.of(document | fields)


def test_who_has_it_is_shown_in_the_order_and_told_to_detection(life: Life) -> None:
    life.looks(reply=reply("acknowledged"))

    assert life.order().order.status is Status.IN_PROGRESS
    assert life.detection_hears() == ["acknowledged"]


def test_an_answer_with_codes_closes_the_order_and_the_case_and_counts_once(life: Life) -> None:
    for _ in range(3):
        life.looks(reply=reply("closed"))

    assert life.order().order.status is Status.DONE
    assert [said for said in life.says() if "mia says: LUBRICATION, WEAR, LUBRICATE (dry)" in said]
    assert all(act.closure == FOUND.as_dict() for _, act in life.at.controls if act.kind == "resolved")
    life.detection_hears()
    assert life.state() == "CLOSED"


def test_what_a_case_waited_for_is_shown_while_it_waits_and_no_longer(life: Life) -> None:
    life.shop.trouble = CmmsBusy("503: closed for stocktaking")
    for _ in range(3):
        life.goes(HOUR_S)
        with pytest.raises(CmmsBusy):
            life.looks(look=True)
    case = life.at.cases.get(CASE)
    life.shop.trouble = None
    life.goes(120)
    life.sweeps()
    after = life.at.cases.get(CASE)

    assert case is not None
    assert case.order is not None
    assert "stocktaking" in str(case.order.problem)
    assert after is not None
    assert after.order is not None
    assert after.order.problem is None


def test_a_hint_that_comes_during_an_outage_is_not_lost(life: Life) -> None:
    life.shop.trouble = CmmsDenied("401")
    for _ in range(2):
        with pytest.raises(CmmsBusy):
            life.looks(look=True)
    life.shop.trouble = None
    life.shop.set_status(REF, Status.IN_PROGRESS, by="mia")
    life.goes(360)

    life.sweeps()

    assert life.detection_hears() == ["acknowledged"]


def test_an_answer_is_kept_while_the_system_is_down_and_acted_on_when_it_is_back(life: Life) -> None:
    life.shop.trouble = CmmsBusy("503")
    with pytest.raises(CmmsBusy):
        life.looks(reply=reply("closed"))
    during = list(life.at.controls)
    life.shop.trouble = None
    life.goes(120)

    life.sweeps()

    assert during == []
    assert life.order().order.status is Status.DONE
    assert life.detection_hears() == ["resolved"]


def test_a_false_alarm_is_an_answer_like_another(life: Life) -> None:
    codes = {"failure_mode": "NO_ISSUE", "failure_cause": "UNDETERMINED", "action_taken": "NO_ACTION", "note": ""}

    life.looks(reply=reply("closed", closure=codes))

    assert [act.closure for _, act in life.at.controls] == [codes]


@pytest.mark.parametrize(
    "document",
    [None, {}, {"kind": "deleted"}, {"kind": "closed", "by": "m", "at_ms": 1, "id": "1"}, {"kind": "acknowledged"}],
)
def test_what_is_no_answer_is_refused(document: Any) -> None:
    with pytest.raises(BadReply):
        Reply.of(document)


# ---- closed, and after it ----------------------------------------------------------------------------------


def test_an_order_closed_without_codes_is_asked_for_them_once_and_waits_a_day(life: Life) -> None:
    life.shop.set_status(REF, Status.DONE, by="mia")
    for _ in range(23):
        life.goes(HOUR_S)
        life.looks(look=True)
    waiting = life.detection_hears()
    life.goes(2 * HOUR_S)
    life.sweeps()

    assert waiting == []
    assert [said for said in life.says() if LINK in said] == [f"Telltale asks what it was and what was done: {LINK}"]
    [(_, act)] = life.at.controls
    assert act.closure is not None
    assert (act.kind, act.closure["failure_mode"]) == ("resolved", "UNDETERMINED")


def test_codes_that_come_in_that_day_are_the_label_and_later_ones_correct_it(life: Life) -> None:
    life.shop.set_status(REF, Status.DONE, by="mia")
    life.looks(look=True)
    life.goes(2 * HOUR_S)
    life.looks(reply=reply("closed", at_ms=life.at.clock.now_ms))
    in_time = [(act.kind, act.closure, act.t_ms) for _, act in life.at.controls]
    life.detection_hears()
    other = {**FOUND.as_dict(), "failure_mode": "IMBALANCE"}
    life.looks(reply=reply("closed", "2", closure=other))

    assert in_time == [("resolved", FOUND.as_dict(), START_MS)]
    kind, codes = life.at.controls[-1][1].kind, life.at.controls[-1][1].closure
    assert (kind, codes) == ("labelled", other)


def closed(life: Life) -> None:
    """A technician closes the order, with codes."""
    life.looks(reply=reply("closed"))
    life.detection_hears()


def test_an_order_that_is_opened_again_opens_its_case_again(life: Life) -> None:
    closed(life)
    life.goes(20 * 60)
    life.shop.set_status(REF, Status.OPEN, by="mia")

    life.sweeps()
    opened = life.detection_hears()
    life.looks(look=True)

    assert opened == ["reopened"]
    assert life.state() == "OPEN"
    assert life.order().order.status is Status.OPEN
    assert [one.change for _, one in life.at.told][-1] == "reopened"


def test_a_closed_order_is_looked_at_later_and_later_and_after_two_weeks_no_more(life: Life) -> None:
    closed(life)
    looks = []
    for hour in range(0, 16 * 24, 3):
        life.goes(3 * HOUR_S)
        before = life.shop.calls
        life.sweeps()
        if life.shop.calls > before:
            looks.append(hour)

    gaps = [later - earlier for earlier, later in pairwise(looks)]
    assert gaps == sorted(gaps)
    assert 12 <= len(looks) <= 24
    assert looks[-1] <= 15 * 24
    case = life.at.cases.get(CASE)
    assert case is not None
    assert case.outbox is None


def test_a_repair_that_the_machine_contradicts_opens_the_order_again_with_a_note(life: Life) -> None:
    closed(life)

    life.is_now("reopened", reason="still 2.1 × baseline after closing", state="WARNING", by=None, closure=None)

    assert life.order().order.status is Status.OPEN
    assert "Open again: still 2.1 × baseline after closing" in life.says()
    assert life.state() == "OPEN"


def test_where_a_closed_order_stays_closed_another_follows_it_and_both_say_so(made: Aws) -> None:
    life = living(made, reopens=False)
    closed(life)

    for _ in range(3):
        life.is_now("reopened", reason="still 2.1 × baseline after closing", state="WARNING", by=None, closure=None)

    follower = life.order(1)
    assert life.order().order.status is Status.DONE
    assert follower.order.status is Status.OPEN
    assert f"Follows: order {REF}, which cannot be opened again" in follower.request.description
    assert [said for said in life.says() if follower.order.ref in said]
    assert len(list(life.shop.entries())) == 2


def test_what_the_machine_says_of_a_repair_is_a_comment_on_its_order(life: Life) -> None:
    closed(life)

    life.is_now("confirmed", reason="0.9 × baseline in six captures", closure=None, by=None)
    life.looks(look=True)

    assert [said for said in life.says() if "0.9 × baseline" in said] == ["confirmed: 0.9 × baseline in six captures"]
    assert life.order().order.status is Status.DONE


def test_an_order_that_was_merged_is_followed_and_not_written_to(life: Life) -> None:
    big = OrderRequest("B" * 20, "", "Overhaul of pump 7", "All of it", "WARNING", POSITION, "", START_MS)
    life.shop.create(big)
    life.shop.merged[REF] = big.key
    life.looks(look=True)

    life.is_now("updated", severity="ALARM", reason="worse")
    life.shop.set_status(big.key, Status.DONE, by="bob", closure=FOUND)
    life.goes(25 * HOUR_S)
    life.looks(look=True)
    life.goes(25 * HOUR_S)
    life.looks(look=True)

    into = life.shop.entry(big.key)
    assert into is not None
    assert (into.request.title, into.request.severity) == ("Overhaul of pump 7", "WARNING")
    assert any("worse" in line.text for line in into.history)
    assert [act.kind for _, act in life.at.controls] == ["resolved"]


def test_an_order_that_somebody_deleted_ends_its_case_and_is_not_made_again(life: Life) -> None:
    life.shop.delete(REF)

    life.looks(look=True)
    heard = life.detection_hears()
    life.looks(look=True)

    assert heard == ["resolved"]
    assert list(life.shop.entries()) == []


def test_a_system_that_says_yes_and_leaves_the_order_open_is_told_once(made: Aws) -> None:
    clock = Clock()
    with serving(Server(SECRET, clock.s)) as server:
        at = office(made, clock, Webhook(server.url, SECRET, clock))
        at.worker().settle(at.open(change()))
        server.set_status = lambda *_: None  # type: ignore[method-assign]  # 200, and nothing moved
        at.worker().settle(at.open(change(2, "resolved", closure=FOUND.as_dict(), by="mia")))
        for _ in range(3):
            clock.go(s=HOUR_S)
            at.worker().sweep(enough_time=lambda: True)

    case = at.cases.get(CASE)
    assert case is not None
    assert case.order is not None
    assert "stays so" in str(case.order.problem)
    assert len(at.notices) == 1


# ---- messages ----------------------------------------------------------------------------------------------


class Counting:
    """A worker that only counts."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.hints: list[tuple[str, dict[str, str], bytes]] = []

    def settle(self, case_id: str, **asks: Any) -> None:
        self.asked.append((case_id, asks))

    def hinted(self, site: str, headers: dict[str, str], body: bytes) -> None:
        self.hints.append((site, headers, body))


class Context:
    function_name, memory_limit_in_mb, invoked_function_arn, aws_request_id = "work_orders", 512, "arn", "1"

    def get_remaining_time_in_millis(self) -> int:
        return 100_000


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    counting = Counting()
    monkeypatch.setattr(work_orders, "worker", lambda: counting)
    monkeypatch.setattr(work_orders, "_again", lambda record, after_s: None)
    return counting


def batch(bodies: Sequence[str]) -> dict[str, Any]:
    attributes = {"ApproximateReceiveCount": "1"}
    return {"Records": [{"messageId": str(n), "body": one, "attributes": attributes} for n, one in enumerate(bodies)]}


def about(case_id: str, **asks: Any) -> str:
    return json.dumps({"id": str(time.perf_counter_ns()), "detail": {"case_id": case_id}, **asks})


def test_what_is_asked_for_twice_in_a_batch_is_done_once(counting: Counting) -> None:
    said = {"kind": "acknowledged", "by": "mia", "at_ms": 1, "id": "x"}
    bodies = [about("a"), about("a"), about("b"), about("a", look=True), about("a", reply=said), about("a", reply=said)]

    answer = work_orders.handler(batch(bodies), Context())

    assert answer == {"batchItemFailures": []}
    assert [(case_id, asks["look"]) for case_id, asks in counting.asked] == [
        ("a", False),
        ("b", False),
        ("a", True),
        ("a", False),
    ]


@pytest.mark.parametrize(
    "poison",
    [
        "",
        "no JSON",
        "[]",
        "7",
        "{}",
        '{"detail": 7}',
        '{"detail": {"case_id": 7}}',
        '{"detail": {"case_id": "a"}, "reply": 7}',
    ],
)
def test_poison_comes_again_until_it_is_a_dead_letter_and_holds_up_nobody(
    counting: Counting, poison: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = work_orders.handler(batch([poison, about("a")]), Context())

    assert answer == {"batchItemFailures": [{"itemIdentifier": "0"}]}
    assert [case_id for case_id, _ in counting.asked] == ["a"]
    assert "OrdersPoisoned" in capsys.readouterr().out


def test_a_token_in_the_address_reaches_the_adapter_as_a_header_and_nobody_else_can_set_that(
    counting: Counting,
) -> None:
    http_event = {"requestContext": {"http": {}}, "headers": {"Telltale-Url-Token": "guess", "a": "b"}, "body": "{}"}

    for more in ({"rawPath": "/plant/t0k"}, {"rawPath": "/plant", "queryStringParameters": {"token": "t0k"}}):
        work_orders.handler({**http_event, **more}, Context())
    work_orders.handler({**http_event, "rawPath": "/plant"}, Context())

    assert [(site, headers.get("telltale-url-token")) for site, headers, _ in counting.hints] == [
        ("plant", "t0k"),
        ("plant", "t0k"),
        ("plant", None),
    ]


def test_a_body_that_is_not_what_it_says_is_refused(counting: Counting) -> None:
    event = {"requestContext": {"http": {}}, "headers": {}, "body": "%%%", "isBase64Encoded": True, "rawPath": "/plant"}

    assert work_orders.handler(event, Context())["statusCode"] == 401
    assert counting.hints == []
