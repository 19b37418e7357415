"""Each recipe, asked by Telltale's own webhook adapter, against a strict stand-in for the vendor's system."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from cli import cmms_check
from telltale.adapters.cmms.port import DESCRIPTION, SEVERITY, TITLE, CmmsBusy, CmmsDenied, Hint, OrderRequest, Status
from telltale.adapters.cmms.webhook import Webhook
from telltale.core.closure import closure
from telltale.core.errors import CmmsRefused, RetryLater
from telltale.core.plant import Position

from recipes import receiver as receiving
from recipes.receiver import Receiver, receiver, server
from tests.cmms.recipes.atlas_server import Atlas
from tests.cmms.recipes.emaint_server import Emaint
from tests.cmms.recipes.erpnext_server import ErpNext
from tests.cmms.recipes.fiix_server import Fiix
from tests.cmms.recipes.limble_server import Limble
from tests.cmms.recipes.standin import StandIn
from tests.cmms.recipes.standin import serving as serving_vendor
from tests.cmms.recipes.upkeep_server import UpKeep
from tests.cmms.weather import Weather, before

SECRET = "shared by Telltale and the recipe"
KEY = "ABCDEFGHIJKLMNOPQR27"
FOUND = closure(failure_mode="LUBRICATION", failure_cause="WEAR", action_taken="LUBRICATE", note="dry, 40 g added")
REQUEST = OrderRequest(
    key=KEY,
    case_id="case-abcdefghijklmnopqr27",
    title="WARNING: Pump 7 motor DE: 4.8 mm/s > 4.5",
    description="Where: Pump 7 & motor\nWhy: 4.8 mm/s is above 4.5 — ≥ zone C <b>",
    severity="WARNING",
    position="plant/hall/pump-7/motor-de",
    asset="7",
    opened_ms=1_790_000_000_000,
)
VENDORS: Mapping[str, Callable[[], StandIn]] = {
    "upkeep": UpKeep,
    "fiix": Fiix,
    "limble": Limble,
    "emaint": Emaint,
    "atlas": Atlas,
    "erpnext": ErpNext,
    "erpnext as issue": lambda: ErpNext("Issue"),
}
PUSHING = ("upkeep", "limble", "atlas", "erpnext", "erpnext as issue")
EXPIRING = ("upkeep", "emaint")

pytestmark = pytest.mark.xdist_group("recipes")


@dataclass(frozen=True)
class Plant:
    """A vendor's stand-in, the recipe before it, bad weather between them, and Telltale's adapter."""

    vendor: Any
    weather: Weather
    receiver: Receiver
    url: str
    cmms: Webhook
    request: OrderRequest
    hints: list[tuple[dict[str, str], bytes]]

    def at(self, seconds: int) -> Webhook:
        """The adapter, its clock so much ahead."""
        return Webhook(self.url, SECRET.encode(), lambda: now_ms() + 1000 * seconds)

    def order(self, ref: str) -> Any:
        found = self.cmms.get(ref)
        assert found is not None
        return found


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@contextmanager
def plant_of(name: str, **more: str) -> Iterator[Plant]:
    with ExitStack() as until:
        vendor = until.enter_context(serving_vendor(VENDORS[name]()))
        weather = until.enter_context(before(vendor.url))
        vendor.host = weather.url.partition("://")[2]  # type: ignore[attr-defined]  # Fiix signs it
        told, hints_url = until.enter_context(_listening())
        settings = {"TELLTALE_SECRET": SECRET, "TELLTALE_HINTS_URL": hints_url, **vendor.settings(weather.url), **more}
        one = receiver(name.split()[0], settings)
        url = until.enter_context(_served(one))
        fields = {"wo_type": "CM"} if name == "emaint" else {}
        yield Plant(
            vendor, weather, one, url, Webhook(url, SECRET.encode(), now_ms), replace(REQUEST, fields=fields), told
        )


@pytest.fixture(params=VENDORS)
def plant(request: pytest.FixtureRequest) -> Iterator[Plant]:
    with plant_of(request.param) as plant:
        yield plant


@pytest.fixture(params=PUSHING)
def pushing(request: pytest.FixtureRequest) -> Iterator[Plant]:
    with plant_of(request.param) as plant:
        yield plant


def test_an_order_is_found_by_its_key_read_by_its_reference_and_made_once(plant: Plant) -> None:
    before = plant.cmms.find(KEY)

    made = plant.cmms.create(plant.request)
    again = plant.cmms.create(plant.request)

    assert before is None
    assert (made.status, made.key) == (Status.OPEN, KEY)
    assert plant.cmms.find(KEY) == plant.cmms.get(made.ref) == made == again
    assert len(plant.vendor.rows) == 1


def test_an_order_shows_what_telltale_wrote(plant: Plant) -> None:
    made = plant.cmms.create(plant.request)

    assert (made.shows[TITLE], made.shows[DESCRIPTION]) == (REQUEST.title, REQUEST.description)


def test_another_order_is_not_taken_for_this_one(plant: Plant) -> None:
    plant.cmms.create(replace(plant.request, key="BBCDEFGHIJKLMNOPQR27"))

    assert plant.cmms.find(KEY) is None


def test_a_technician_takes_an_order_up_and_closes_it_with_codes(plant: Plant) -> None:
    ref = plant.cmms.create(plant.request).ref

    plant.vendor.move(ref, plant.vendor.started)
    taken_up = plant.order(ref)
    plant.vendor.move(ref, plant.vendor.done, "Done. LUBRICATION / WEAR / LUBRICATE: dry, 40 g added")
    done = plant.order(ref)

    assert (taken_up.status, taken_up.closure) == (Status.IN_PROGRESS, None)
    assert (done.status, done.closure) == (Status.DONE, FOUND.as_dict())
    assert done.changed_ms > taken_up.changed_ms


def test_an_order_closed_without_codes_has_none(plant: Plant) -> None:
    ref = plant.cmms.create(plant.request).ref

    plant.vendor.move(ref, plant.vendor.done, "greased it")

    assert plant.order(ref).closure is None


def test_telltale_takes_an_order_up_and_closes_it_with_codes(plant: Plant) -> None:
    ref = plant.cmms.create(plant.request).ref

    taken_up = plant.cmms.set_status(ref, Status.IN_PROGRESS, by="mia")
    held = plant.cmms.set_status(ref, Status.ON_HOLD, by="mia")
    done = plant.cmms.set_status(ref, Status.DONE, by="mia", closure=FOUND)

    assert (taken_up.status, held.status, done.status) == (Status.IN_PROGRESS, Status.ON_HOLD, Status.DONE)
    assert done.closure == FOUND.as_dict()


@pytest.mark.parametrize("final", [Status.DONE, Status.CANCELLED])
def test_a_final_order_stays_final(plant: Plant, final: Status) -> None:
    ref = plant.cmms.create(plant.request).ref

    closed = plant.cmms.set_status(ref, final, by="mia")
    with pytest.raises(CmmsRefused):
        plant.cmms.set_status(ref, Status.IN_PROGRESS, by="bot")
    updated = plant.cmms.update(ref, replace(plant.request, title="ALARM: worse"))

    assert closed.status is final
    assert closed == updated == plant.order(ref)


def test_a_comment_with_the_same_key_is_there_once(plant: Plant) -> None:
    ref = plant.cmms.create(plant.request).ref

    for seconds in (0, 1, 2):  # each signed at another time, so that it is no replay
        plant.at(seconds).comment(ref, "now at 7.4 mm/s", key="case-a-2")
    plant.cmms.comment(ref, "now at 9.9 mm/s", key="case-a-3")

    said = plant.vendor.said(ref)
    assert (said.count("7.4"), said.count("9.9")) == (1, 1)


def test_an_update_touches_only_what_it_names(plant: Plant) -> None:
    ref = plant.cmms.create(plant.request).ref
    severity = plant.vendor.severity(ref)
    plant.cmms.comment(ref, "heard it at night", key="case-a-2")
    plant.vendor.retitle(ref, "Mia's own words")

    order = plant.cmms.update(ref, replace(plant.request, description="Why: 7.4 mm/s"), (DESCRIPTION,))

    assert (order.shows[TITLE], order.shows[DESCRIPTION]) == ("Mia's own words", "Why: 7.4 mm/s")
    assert plant.vendor.severity(ref) == severity
    assert "heard it at night" in plant.vendor.said(ref)
    assert plant.cmms.find(KEY) == order


def test_a_rise_in_severity_is_shown(plant: Plant) -> None:
    made = plant.cmms.create(plant.request)

    order = plant.cmms.update(made.ref, replace(plant.request, title="ALARM: worse", severity="ALARM"))

    assert order.shows[TITLE] == "ALARM: worse"
    assert order.shows[SEVERITY] != made.shows[SEVERITY]


def test_an_order_that_is_gone_or_never_was_reads_as_none(plant: Plant) -> None:
    ref = plant.cmms.create(plant.request).ref
    plant.vendor.delete(ref)

    assert plant.cmms.get(ref) is plant.cmms.get("../../etc") is plant.cmms.find(KEY) is None


def test_a_status_that_nobody_explained_is_never_guessed(plant: Plant) -> None:
    ref = plant.cmms.create(plant.request).ref
    odd = {"fiix": "Requested", "limble": "Waiting for parts", "emaint": "Z"}.get(plant.receiver.recipe.__module__[8:])
    plant.vendor.move(ref, odd) if odd else plant.vendor.rows[ref].update(status="Odd")

    with pytest.raises(RetryLater, match="STATUSES"):
        plant.cmms.get(ref)


def test_an_order_made_although_the_answer_got_lost_is_not_made_again(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, lost = plant.weather.forward, []

    def lose(*given: Any) -> Any:
        before, answer = len(plant.vendor.rows), forward(*given)
        if len(plant.vendor.rows) == before:
            return answer
        lost.append(answer)
        return 502, [], b"<html>Bad Gateway</html>"

    monkeypatch.setattr(plant.weather, "forward", lose)
    with pytest.raises(RetryLater):
        plant.cmms.create(plant.request)
    again = plant.cmms.create(plant.request)

    assert (len(lost), len(plant.vendor.rows), again.key) == (1, 1, KEY)


def test_a_vendor_that_has_enough_is_left_alone_for_as_long_as_it_says(plant: Plant) -> None:
    plant.weather.fail(3, status=429, headers={"Retry-After": "17"})

    with pytest.raises(CmmsBusy) as busy:
        plant.cmms.find(KEY)

    assert busy.value.after_s == 17


@pytest.mark.parametrize(
    ("status", "error"), [(500, RetryLater), (0, RetryLater), (401, CmmsDenied), (403, CmmsDenied)]
)
def test_what_the_vendor_answers_reaches_telltale_as_what_it_means(
    plant: Plant, status: int, error: type[Exception]
) -> None:
    plant.weather.fail(6, status=status)

    with pytest.raises(error):
        plant.cmms.create(plant.request)


def test_telltales_own_check_of_a_site_passes(plant: Plant) -> None:
    position, templates = Position("plant/hall/pump-7/motor-de"), {"fields": plant.request.fields}

    findings = [
        cmms_check.credentials(plant.cmms),
        *cmms_check.dry_order(plant.cmms, position, templates, asset="7", now_ms=1),
    ]

    assert [finding for finding in findings if not finding.good] == []
    assert findings[-1].what == "cancel"


def test_a_field_that_the_vendor_does_not_know_is_a_refusal_that_says_why(plant: Plant) -> None:
    if isinstance(plant.vendor, ErpNext):
        pytest.skip("Frappe drops fields that it does not know")

    with pytest.raises(CmmsRefused, match=r"nonsense|unknown column"):
        plant.cmms.create(replace(plant.request, fields={**plant.request.fields, "nonsense": 1}))

    assert plant.vendor.rows == {}


@pytest.mark.parametrize("name", EXPIRING)
def test_a_session_that_expired_is_renewed_once(name: str) -> None:
    with plant_of(name) as plant:
        ref = plant.cmms.create(plant.request).ref
        plant.vendor.expire()

        assert plant.cmms.get(ref) is not None


# Messages


def test_a_vendors_message_becomes_a_signed_hint_that_telltale_believes(pushing: Plant) -> None:
    ref = pushing.cmms.create(pushing.request).ref

    status = _vendor_says(pushing, *pushing.vendor.message(ref))

    [(headers, body)] = pushing.hints
    assert status == 202
    assert pushing.cmms.verify_webhook(headers, body) == [Hint(ref)]


def test_a_vendors_message_sent_again_is_passed_on_once_and_a_new_one_again(pushing: Plant) -> None:
    ref = pushing.cmms.create(pushing.request).ref
    message = pushing.vendor.message(ref)

    for _ in range(3):
        _vendor_says(pushing, *message)
    _vendor_says(pushing, *pushing.vendor.message(ref))

    assert len(pushing.hints) == 2


def test_a_forged_message_goes_no_further(pushing: Plant) -> None:
    path, headers, body = pushing.vendor.message("1")
    forged = {name: value[:-1] + ("0" if value[-1] != "0" else "1") for name, value in headers.items()}

    statuses = {_vendor_says(pushing, path + "x", forged, body), _vendor_says(pushing, "", {}, body)}

    assert (statuses, pushing.hints) == ({401}, [])


@pytest.mark.parametrize("name", ["fiix", "emaint"])
def test_a_vendor_that_sends_no_messages_is_not_believed_to(name: str) -> None:
    with plant_of(name) as plant:
        assert _vendor_says(plant, "", {}, b"{}") == 401


def test_an_old_message_of_limble_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with plant_of("limble") as plant:
        message = plant.vendor.message("4201")
        monkeypatch.setattr("recipes.limble.time.time", lambda: time.time_ns() / 1e9 + 301)

        assert _vendor_says(plant, *message) == 401


# What the receiver itself has to stand, whichever recipe


class Idle:
    """A recipe with one order, that counts what is done to it."""

    def __init__(self) -> None:
        self.order = {"ref": "1", "key": KEY, "status": "OPEN"}
        self.moved = 0

    def get(self, ref: str) -> Any:
        return self.order

    def move(self, ref: str, status: str, by: str, closure: Any) -> None:
        self.moved += 1

    def update(self, ref: str, order: Any) -> Any:
        raise receiving.Refused(503, "not now", "9")


def test_a_message_that_is_not_signed_changes_nothing() -> None:
    idle = Idle()
    one = Receiver(SECRET.encode(), idle)  # type: ignore[arg-type]  # only what is used
    body = b'{"version":"1","action":"set_status","ref":"1","status":"DONE","by":"x"}'
    now = str(int(time.time()))

    answers = [
        one.answer("/", {}, body),
        one.answer("/", _signed(one, now, body + b" "), body),
        one.answer("/", {**_signed(one, now, body), "Telltale-Timestamp": "0" + now}, body),
        one.answer("/", _signed(one, str(int(now) - 301), body), body),
        one.answer("/", _signed(one, str(int(now) + 302), body), body),
    ]

    assert ([status for status, _, _ in answers], idle.moved) == ([401] * 5, 0)


def test_a_message_that_comes_again_is_answered_and_not_done_again() -> None:
    idle = Idle()
    one = Receiver(SECRET.encode(), idle, now_s=lambda: 1_790_000_000.0)  # type: ignore[arg-type]
    body = b'{"version":"1","action":"set_status","ref":"1","status":"DONE","by":"x"}'

    answers = [one.answer("/", _signed(one, "1790000000", body), body) for _ in range(3)]

    assert ({status for status, _, _ in answers}, idle.moved) == ({200}, 1)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"action":"erase","ref":"1"}', b'{"action":"get"}', b"\xff"])
def test_a_signed_message_that_makes_no_sense_is_told_so(body: bytes) -> None:
    one = Receiver(SECRET.encode(), Idle())  # type: ignore[arg-type]

    status, _, answer = one.answer("/", _signed(one, str(int(time.time())), body), body)

    assert status == 400
    assert b"not" in answer


def test_a_lambda_function_url_is_answered_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Receiver(SECRET.encode(), Idle())  # type: ignore[arg-type]
    monkeypatch.setattr(receiving, "_made", lambda: one)
    body = b'{"version":"1","action":"update","ref":"1","order":{}}'
    headers = {name.lower(): value for name, value in _signed(one, str(int(time.time())), body).items()}

    answer = receiving.handler({"rawPath": "/", "headers": headers, "body": body.decode()}, None)

    assert (answer["statusCode"], answer["headers"]) == (503, {"Retry-After": "9"})


@pytest.mark.parametrize("doctype", ["Asset Repair", "ToDo"])
def test_erpnext_is_never_given_an_asset_repair(doctype: str) -> None:
    settings = {"ERPNEXT_URL": "http://127.0.0.1:9", "ERPNEXT_KEY": "k", "ERPNEXT_SECRET": "s", "TELLTALE_SECRET": "t"}

    with pytest.raises(ValueError, match="never Asset Repair"):
        receiver("erpnext", {**settings, "ERPNEXT_DOCTYPE": doctype})


def test_a_setting_that_means_nothing_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="FINISHED"):
        receiving.statuses({"STATUSES": '{"closed": "FINISHED"}'}, {})


def _signed(one: Receiver, timestamp: str, body: bytes) -> dict[str, str]:
    return {"Telltale-Timestamp": timestamp, "Telltale-Signature": one._signature(timestamp, body)}


def _vendor_says(plant: Plant, path: str, headers: Mapping[str, str], body: bytes) -> int:
    return plant.receiver.answer(f"/vendor{path}", headers, body)[0]


@contextmanager
def _served(one: Receiver) -> Iterator[str]:
    with _running(server(one, 0)) as port:
        yield f"http://127.0.0.1:{port}/"


@contextmanager
def _listening() -> Iterator[tuple[list[tuple[dict[str, str], bytes]], str]]:
    """What stands for Telltale's address for hints: what it was told, and where."""
    told: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append((dict(self.headers.items()), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with _running(HTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield told, f"http://127.0.0.1:{port}/plant"


@contextmanager
def _running(one: HTTPServer) -> Iterator[int]:
    thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield one.server_port
    finally:
        one.shutdown()
        one.server_close()
        thread.join()
