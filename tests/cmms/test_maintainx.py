"""What MaintainX's own ways ask of its adapter, against the stand-in."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from telltale.adapters.cmms.maintainx import ADAPTER
from telltale.adapters.cmms.port import (
    Cmms,
    CmmsBusy,
    CmmsDenied,
    Forged,
    Hint,
    OrderRequest,
    Picture,
    Status,
    UnknownAsset,
)
from telltale.core.closure import closure
from telltale.core.errors import CmmsRefused, RetryLater

from tests.cmms.maintainx_server import MaintainX, serving
from tests.cmms.peer_maintainx import MaintainXPeer
from tests.cmms.weather import before

KEY = "ABCDEFGHIJKLMNOPQR27"
REQUEST = OrderRequest(
    key=KEY,
    case_id="case-abcdefghijklmnopqr27",
    title="WARNING: Pump 7 motor DE: 4.8 mm/s is above 4.5",
    description="Where: Pump 7 motor DE",
    severity="WARNING",
    position="plant/hall/pump-7/motor-de",
    asset="964",
    opened_ms=1_790_000_000_000,
)
FOUND = closure(failure_mode="LUBRICATION", failure_cause="WEAR", action_taken="LUBRICATE", note="dry")
HOOK = "WORK_ORDER_STATUS_CHANGE"


@pytest.fixture
def server() -> Iterator[MaintainX]:
    with serving(MaintainX()) as server:
        yield server


@pytest.fixture
def peer(server: MaintainX) -> MaintainXPeer:
    return MaintainXPeer(server)


@pytest.fixture
def cmms(peer: MaintainXPeer) -> Cmms:
    return peer.cmms()


# Finding


def test_an_order_is_found_whatever_the_filter_for_titles_takes_for_equal(server: MaintainX, cmms: Cmms) -> None:
    made = cmms.create(REQUEST)
    server.title_is = True

    assert cmms.find(KEY) == made


def test_an_order_on_a_later_page_is_found(server: MaintainX, cmms: Cmms) -> None:
    made = cmms.create(REQUEST)
    for number in range(450):
        server._create({"title": f"Other people's {number}"})
    server.title_is = True

    assert cmms.find(KEY) == made


def test_orders_whose_descriptions_are_long_are_asked_for_in_smaller_pages(server: MaintainX, cmms: Cmms) -> None:
    made = cmms.create(REQUEST)
    for number in range(250):
        server._create({"title": f"Other people's {number}", "description": "y" * 15_000})
    server.title_is = True

    assert cmms.find(KEY) == made


@pytest.mark.parametrize(("title_is", "years"), [(True, 0), (False, 1)])
def test_an_order_that_starts_in_the_future_is_found_by_its_title_and_by_its_day(
    server: MaintainX, peer: MaintainXPeer, title_is: bool, years: int
) -> None:
    later = {"startDate": "2099-01-01T00:00:00.000Z", "dueDate": "2099-01-02T00:00:00.000Z"}
    made = peer.cmms().create(replace(REQUEST, fields=later))
    server.title_is = title_is
    now = time.time_ns() // 1_000_000 + years * 365 * 86_400_000

    assert peer.cmms(now_ms=lambda: now).find(KEY) == made


def test_more_orders_than_can_be_looked_through_are_said_and_not_taken_for_none(server: MaintainX, cmms: Cmms) -> None:
    for number in range(4001):
        server._create({"title": f"Other people's {number}"})

    with pytest.raises(RetryLater, match="search_days"):
        cmms.find(KEY)


def test_an_order_of_before_the_days_looked_through_is_still_found_by_its_title(
    server: MaintainX, peer: MaintainXPeer
) -> None:
    made = peer.cmms().create(REQUEST)
    in_a_year = time.time_ns() // 1_000_000 + 365 * 86_400_000

    assert peer.cmms(now_ms=lambda: in_a_year).find(KEY) == made


def test_an_order_whose_title_a_technician_wrote_anew_keeps_its_key(peer: MaintainXPeer, cmms: Cmms) -> None:
    ref = cmms.create(REQUEST).ref

    peer.edit(ref, title="Mia's own words")

    found = cmms.get(ref)
    assert found is not None
    assert found.key == KEY


def test_another_persons_order_has_no_key(server: MaintainX, cmms: Cmms) -> None:
    number = server._create({"title": "Paint the door", "externalData": "ERP-7"})["id"]

    found = cmms.get(str(number))

    assert found is not None
    assert found.key == ""


# What is sent


def test_fields_of_the_plant_file_come_last_but_the_key_stays(server: MaintainX, cmms: Cmms) -> None:
    fields = {"type": "REACTIVE", "priority": "LOW", "title": "Vibration", "externalData": {"mine": 1}}

    ref = cmms.create(replace(REQUEST, fields=fields)).ref

    order = server.orders[int(ref)]
    assert (order["type"], order["priority"]) == ("REACTIVE", "LOW")
    assert order["title"] == f"Vibration [tt:{KEY}]"
    assert order["externalData"] == {"telltale": KEY}


def test_severities_are_what_the_plant_file_says(server: MaintainX, peer: MaintainXPeer) -> None:
    cmms = peer.cmms(settings={"priorities": {"ALARM": "MEDIUM"}})

    refs = [cmms.create(replace(REQUEST, severity=severity)).ref for severity in ("WARNING", "ALARM")]

    assert [server.orders[int(ref)]["priority"] for ref in refs] == ["MEDIUM", "MEDIUM"]


def test_what_maintainx_will_never_take_is_refused_with_what_it_said(peer: MaintainXPeer) -> None:
    with pytest.raises(CmmsRefused, match="allowed values: NONE, LOW"):
        peer.cmms(settings={"priorities": {"WARNING": "URGENT"}}).create(REQUEST)


def test_a_key_for_several_organizations_says_which(server: MaintainX, peer: MaintainXPeer) -> None:
    server.several = True

    with pytest.raises(CmmsRefused, match="Missing x-organization-id"):
        peer.cmms().create(REQUEST)
    assert peer.cmms(settings={"organization": 321}).create(REQUEST).status is Status.OPEN


def test_an_api_key_that_was_revoked_is_for_a_person_to_mend(server: MaintainX, cmms: Cmms) -> None:
    server.key = "another"

    with pytest.raises(CmmsDenied):
        cmms.find(KEY)


def test_requests_beyond_the_limit_wait_until_the_next_minute(server: MaintainX, cmms: Cmms) -> None:
    now = time.time()
    server.now_s = lambda: now
    server.limit = 100
    for _ in range(100):
        cmms.get("1")
    server.now_s = lambda: now + 18

    with pytest.raises(CmmsBusy) as busy:
        cmms.get("1")
    server.now_s = lambda: now + 61

    assert busy.value.after_s == 42
    assert cmms.get("1") is None


def test_making_an_order_takes_four_requests(server: MaintainX, cmms: Cmms) -> None:
    cmms.find(KEY)
    cmms.create(REQUEST)

    assert len(server.seen) == 4


# Assets and parts


def test_a_number_that_is_no_asset_is_said_by_the_order_itself(server: MaintainX, cmms: Cmms) -> None:
    with pytest.raises(UnknownAsset):
        cmms.create(replace(REQUEST, asset="77777"))

    assert server.orders == {}


def test_a_refusal_that_does_not_name_the_asset_is_looked_into(server: MaintainX, cmms: Cmms) -> None:
    server.names_the_field = False

    with pytest.raises(UnknownAsset):
        cmms.create(replace(REQUEST, asset="77777"))
    with pytest.raises(CmmsRefused) as refused:
        cmms.create(replace(REQUEST, fields={"type": "SUDDEN"}))

    assert not isinstance(refused.value, UnknownAsset)


def test_an_asset_that_is_shown_and_takes_no_orders_is_as_good_as_unknown(server: MaintainX, cmms: Cmms) -> None:
    server.assets[964]["archived"] = True

    with pytest.raises(UnknownAsset):
        cmms.create(REQUEST)


def test_a_part_of_another_number_is_not_the_one_asked_for(server: MaintainX, cmms: Cmms) -> None:
    server.filters = False

    assert cmms.stock("FAG 6205") is None


def test_assets_may_be_known_by_a_custom_field(server: MaintainX, peer: MaintainXPeer) -> None:
    server.assets[964]["extraFields"] = {"Telltale": "plant/hall/pump-7"}
    cmms = peer.cmms(settings={"asset_field": "Telltale"})

    ref = cmms.create(replace(REQUEST, asset="plant/hall/pump-7")).ref

    assert server.orders[int(ref)]["assetId"] == 964
    assert cmms.asset("plant/hall/pump-7") == "Pump 7"
    assert cmms.asset("plant/hall/pump-8") is None


def test_a_custom_field_that_does_not_exist_makes_no_asset_the_right_one(peer: MaintainXPeer) -> None:
    cmms = peer.cmms(settings={"asset_field": "No such field"})

    assert cmms.asset("plant/hall/pump-7") is None
    with pytest.raises(UnknownAsset):
        cmms.create(REQUEST)


def test_the_stock_is_told_by_the_parts_number_the_vendors_number_or_a_custom_field(peer: MaintainXPeer) -> None:
    peer.server.asset_fields.add("Item")
    peer.server.parts[77]["extraFields"]["Item"] = "4711"

    stocks = [
        peer.cmms().stock("77"),
        peer.cmms().stock("SKF 6205"),
        peer.cmms(settings={"part_field": "Item"}).stock("4711"),
    ]

    assert {(one.part, one.quantity, one.where) for one in stocks if one} == {("Bearing 6205", 3.0, "tool room")}
    assert None not in stocks


# Statuses and closing


def test_a_status_that_maintainx_adds_one_day_waits_until_somebody_says_what_it_means(
    server: MaintainX, peer: MaintainXPeer
) -> None:
    ref = peer.cmms().create(REQUEST).ref
    server.orders[int(ref)]["status"] = "AWAITING_PARTS"
    server.new_statuses.append("AWAITING_PARTS")

    with pytest.raises(RetryLater, match="'AWAITING_PARTS': say in `statuses`"):
        peer.cmms().get(ref)
    waiting = peer.cmms(settings={"statuses": {"AWAITING_PARTS": "ON_HOLD"}}).get(ref)

    assert waiting is not None
    assert (waiting.status, waiting.raw_status) == (Status.ON_HOLD, "AWAITING_PARTS")


def test_an_order_of_a_series_that_was_passed_over_is_cancelled(server: MaintainX, cmms: Cmms) -> None:
    ref = cmms.create(REQUEST).ref
    server.orders[int(ref)]["status"] = "SKIPPED"

    found = cmms.get(ref)

    assert found is not None
    assert found.status is Status.CANCELLED


def test_a_status_that_no_word_is_left_for_cannot_be_set(peer: MaintainXPeer) -> None:
    cmms = peer.cmms(settings={"statuses": {"IN_PROGRESS": "ON_HOLD"}})
    ref = cmms.create(REQUEST).ref

    with pytest.raises(CmmsRefused, match="no status for IN_PROGRESS"):
        cmms.set_status(ref, Status.IN_PROGRESS, by="mia")


@pytest.mark.parametrize("settings", [{"priorities": {"Alarm": "HIGH"}}, {"code_fields": {"mode": "Failure mode"}}])
def test_a_misspelt_name_in_a_setting_is_said(peer: MaintainXPeer, settings: dict[str, Any]) -> None:
    with pytest.raises(CmmsRefused, match="is none of"):
        peer.cmms(settings=settings)


def test_statuses_of_the_plant_file_have_to_be_among_the_five(peer: MaintainXPeer) -> None:
    with pytest.raises(CmmsRefused, match="IN_PROGRESS"):
        peer.cmms(settings={"statuses": {"DONE": "FINISHED"}})


def test_a_200_for_a_status_that_stays_as_it_was_is_a_refusal(server: MaintainX, cmms: Cmms) -> None:
    ref = cmms.create(REQUEST).ref
    server.refusing_status = True

    with pytest.raises(CmmsRefused, match="is OPEN and stays so"):
        cmms.set_status(ref, Status.DONE, by="mia", closure=FOUND)


def test_who_completed_an_order_and_what_was_written_then_is_read(peer: MaintainXPeer, cmms: Cmms) -> None:
    ref = cmms.create(REQUEST).ref
    peer.close(ref, "mia", FOUND)

    done = cmms.get(ref)

    assert done is not None
    assert done.by == "Mia Maier"
    assert done.closure == FOUND.as_dict()


def test_an_order_opened_again_shows_nobodys_work(peer: MaintainXPeer, cmms: Cmms) -> None:
    ref = cmms.create(REQUEST).ref
    peer.close(ref, "mia", FOUND)

    peer.reopen(ref, "mia")

    found = cmms.get(ref)
    assert found is not None
    assert (found.by, found.closure) == (None, None)


def test_when_an_order_was_done_stays_though_somebody_edits_it(peer: MaintainXPeer, cmms: Cmms) -> None:
    ref = cmms.create(REQUEST).ref
    peer.close(ref, "mia")
    done = cmms.get(ref)
    peer.server.now_s = lambda: time.time() + 60

    peer.edit(ref, description="and swept the floor")

    edited = cmms.get(ref)
    assert done is not None
    assert edited is not None
    assert edited.changed_ms == done.changed_ms


def test_somebody_who_left_is_named_by_number(server: MaintainX, peer: MaintainXPeer, cmms: Cmms) -> None:
    ref = cmms.create(REQUEST).ref
    peer.close(ref, "mia")
    del server.users[2]

    done = cmms.get(ref)

    assert done is not None
    assert done.by == "user 2"


def test_without_fields_for_them_there_are_no_codes(server: MaintainX, peer: MaintainXPeer) -> None:
    server.custom_fields.clear()
    cmms = peer.cmms(settings={"code_fields": {}})
    ref = cmms.create(REQUEST).ref

    done = cmms.set_status(ref, Status.DONE, by="mia", closure=FOUND)

    assert not cmms.capabilities.codes
    assert done.closure is None


def test_a_code_that_the_custom_field_has_no_option_for_is_refused_and_the_order_stays_open(
    server: MaintainX, cmms: Cmms
) -> None:
    ref = cmms.create(REQUEST).ref
    server.custom_fields["Failure mode"] = ["Worn out"]

    with pytest.raises(CmmsRefused, match="Invalid option"):
        cmms.set_status(ref, Status.DONE, by="mia", closure=FOUND)

    assert server.orders[int(ref)]["status"] == "OPEN"


def test_a_deleted_order_that_is_still_shown_is_gone(server: MaintainX, peer: MaintainXPeer, cmms: Cmms) -> None:
    server.tombstones = True
    ref = cmms.create(REQUEST).ref

    peer.delete(ref)

    assert cmms.get(ref) is None
    assert cmms.find(KEY) is None


def test_a_page_of_a_proxy_that_is_not_found_does_not_delete_the_orders(peer: MaintainXPeer) -> None:
    with before(peer.url) as weather:
        ref = peer.cmms(weather.url).create(REQUEST).ref
        for body in (b"<h1>404</h1>", b"{}", b"[]"):
            weather.fail(status=404, body=body)

            with pytest.raises(RetryLater):
                peer.cmms(weather.url).get(ref)


@pytest.mark.parametrize("ref", ["", "12x", "WO-17", "-5", "²", "../users/1"])
def test_a_reference_that_is_no_number_is_not_asked_for(server: MaintainX, cmms: Cmms, ref: str) -> None:
    assert cmms.get(ref) is None
    assert server.seen == []


def test_an_order_that_is_gone_cannot_be_written_to(cmms: Cmms) -> None:
    for act in (
        lambda: cmms.update("5", REQUEST),
        lambda: cmms.set_status("5", Status.DONE, by="mia"),
        lambda: cmms.attach("5", Picture("a.png", "image/png", b"x")),
    ):
        with pytest.raises(CmmsRefused):
            act()


# Comments and pictures


def test_a_comment_on_a_later_page_is_not_made_again(server: MaintainX, cmms: Cmms) -> None:
    ref = cmms.create(REQUEST).ref
    chat = {"id": 1, "authorId": 2, "content": "chat", "createdAt": server.now()}
    server.comments[int(ref)] = [chat] * 249
    cmms.comment(ref, "look 249", key="case-a-249")

    cmms.comment(ref, "look 249", key="case-a-249")

    assert len(server.comments[int(ref)]) == 250


def test_a_picture_has_its_name_and_its_bytes(server: MaintainX, cmms: Cmms) -> None:
    ref = cmms.create(REQUEST).ref

    cmms.attach(ref, Picture("case a/1 ü.svg", "image/svg+xml", b"<svg/>"))

    assert [one["fileName"] for one in server.orders[int(ref)]["attachments"]] == ["case a/1 ü.svg"]


def test_a_picture_that_is_too_large_is_refused(cmms: Cmms) -> None:
    ref = cmms.create(REQUEST).ref

    with pytest.raises(CmmsRefused, match="must not exceed 1mB"):
        cmms.attach(ref, Picture("a.png", "image/png", b"x" * 1_000_001))


# Webhooks


@contextmanager
def receiver(taken: list[tuple[dict[str, str], bytes]]) -> Iterator[str]:
    """An address that keeps what it is told."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/plant"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_what_a_subscription_sends_when_a_technician_acts_is_believed(peer: MaintainXPeer) -> None:
    taken: list[tuple[dict[str, str], bytes]] = []
    with receiver(taken) as url:
        hook = peer.server.subscribe(HOOK, url)
        cmms = peer.cmms(secrets={"webhook_secrets": peer.server.subscriptions[hook]["secret"]})
        ref = cmms.create(REQUEST).ref

        peer.take_up(ref, "mia")
        peer.cancel(ref, "mia")

        assert [cmms.verify_webhook(*one) for one in taken] == [[Hint(ref)], [Hint(ref)]]


def test_a_message_of_another_webhook_is_believed_by_its_own_secret(peer: MaintainXPeer) -> None:
    hooks = [peer.server.subscribe(kind, "https://x") for kind in (HOOK, "WORK_ORDER_CHANGE", "WORK_ORDER_DELETE")]
    cmms = peer.cmms(secrets={"webhook_secrets": "\n".join(peer.server.subscriptions[one]["secret"] for one in hooks)})

    assert [cmms.verify_webhook(*peer.server.signed(one, {"workOrderId": 9})) for one in hooks] == [[Hint("9")]] * 3


@pytest.mark.parametrize("milliseconds", [False, True])
@pytest.mark.parametrize(("age_s", "believed"), [(0, True), (290, True), (310, False), (-310, False), (10**9, False)])
def test_an_old_message_is_refused_in_whatever_unit_it_gives_the_time(
    peer: MaintainXPeer, milliseconds: bool, age_s: int, believed: bool
) -> None:
    peer.server.milliseconds = milliseconds
    headers, body = peer.hint("9")
    cmms = peer.cmms(now_ms=lambda: time.time_ns() // 1_000_000 + age_s * 1000)

    if believed:
        assert cmms.verify_webhook(headers, body) == [Hint("9")]
    else:
        with pytest.raises(Forged):
            cmms.verify_webhook(headers, body)


def test_an_old_signature_cannot_be_given_a_new_time(peer: MaintainXPeer, cmms: Cmms) -> None:
    peer.server.now_s = lambda: time.time() - 3600
    headers, body = peer.hint("9")
    mark = headers["X-MaintainX-Webhook-Body-Signature"].partition(",")[2]

    for forged in (f"t={int(time.time())},{mark}", f"{mark},t={int(time.time())}", f"t={int(time.time())}", mark, ""):
        with pytest.raises(Forged):
            cmms.verify_webhook({"X-MaintainX-Webhook-Body-Signature": forged}, body)


def test_a_message_with_two_times_is_refused(peer: MaintainXPeer, cmms: Cmms) -> None:
    headers, body = peer.hint("9")
    name = "X-MaintainX-Webhook-Body-Signature"

    with pytest.raises(Forged):
        cmms.verify_webhook({name: f"{headers[name]},t={int(time.time())}"}, body)


def test_the_signature_of_the_address_is_none_of_the_body(peer: MaintainXPeer, cmms: Cmms) -> None:
    headers, body = peer.hint("9")
    swapped = {"X-MaintainX-Webhook-Body-Signature": headers["X-MaintainX-Webhook-Uri-Signature"]}

    with pytest.raises(Forged):
        cmms.verify_webhook(swapped, body)


def test_without_a_secret_nothing_is_believed(peer: MaintainXPeer) -> None:
    for secrets in ("", "  ", "guessed"):
        with pytest.raises(Forged):
            peer.cmms(secrets={"webhook_secrets": secrets}).verify_webhook(*peer.hint("9"))


@pytest.mark.parametrize(
    "event", [None, [], 7, {}, {"workOrderId": None}, {"workOrderId": "9"}, {"workOrderId": True}, {"requestId": 9}]
)
def test_a_signed_message_that_names_no_order_is_refused(peer: MaintainXPeer, cmms: Cmms, event: Any) -> None:
    with pytest.raises(Forged):
        cmms.verify_webhook(*peer.server.signed(peer._hook, event))


def test_no_changed_byte_of_a_message_passes(peer: MaintainXPeer, cmms: Cmms) -> None:
    headers, body = peer.hint("9")
    changed = [body[:n] + bytes([body[n] ^ bit]) + body[n + 1 :] for n in range(len(body)) for bit in (1, 32, 128)]

    for forged in changed:
        with pytest.raises(Forged):
            cmms.verify_webhook(headers, forged)


# The stand-in


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("POST", "/workorders", {}, "should have required property 'title'"),
        ("POST", "/workorders", {"title": "x", "priority": "URGENT"}, "allowed values"),
        ("POST", "/workorders", {"title": "x", "assetId": "964"}, "should be integer or null"),
        ("POST", "/workorders", {"title": "x", "statuz": "OPEN"}, "is not known"),
        ("POST", "/workorders", {"title": "x", "externalData": ["a"]}, "exactly one schema"),
        ("POST", "/workorders", {"title": "x", "dueDate": "tomorrow"}, "date-time"),
        ("POST", "/workorders", {"title": "x", "startDate": "2099-01-01T00:00:00Z"}, "only valid when dueDate"),
        ("POST", "/workorders", {"title": "x", "assetId": 1}, "Asset not found"),
        ("PATCH", "/workorders/1001/status", {"status": "COMPLETED"}, "allowed values"),
        ("PATCH", "/workorders/1001/status", {"status": "SKIPPED"}, "allowed values"),
        ("POST", "/workorders/1001/comments", {"text": "hi"}, "should have required property 'content'"),
        ("GET", "/workorders?limit=201", None, "between 1 and 200"),
        ("GET", "/workorders?externalData=x", None, "unknown query parameters"),
        ("GET", "/workorders/abc", None, "should be integer"),
        ("POST", "/subscriptions", {"type": "workorder.status_changed", "url": "https://x"}, "allowed values"),
    ],
)
def test_the_stand_in_refuses_what_the_document_does_not_allow(method: str, path: str, body: Any, said: str) -> None:
    maintainx = MaintainX()
    maintainx._create({"title": "there"})
    raw = b"" if body is None else json.dumps(body).encode()

    status, _, answer = maintainx.answer(method, f"/v1{path}", {"Authorization": "Bearer a JWT"}, raw)

    assert status == 400
    assert said in json.dumps(answer)


def test_the_adapter_says_what_it_needs() -> None:
    assert ADAPTER.calls_per_minute == 100
    assert [name for name, one in ADAPTER.settings.items() if one.required] == []
    assert set(ADAPTER.secrets) == {"api_key", "webhook_secrets"}
