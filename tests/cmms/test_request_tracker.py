"""What only Request Tracker does, against the real one."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from telltale.adapters.cmms.port import DESCRIPTION, SEVERITY, TITLE, CmmsBusy, CmmsDenied, Forged, Status
from telltale.adapters.cmms.request_tracker import STATUSES, RequestTracker
from telltale.core.errors import CmmsRefused, RetryLater

from tests.cmms.peer import Peer
from tests.cmms.peer_request_tracker import RequestTrackerPeer
from tests.cmms.test_contract import FOUND, request
from tests.cmms.weather import Weather, before

pytestmark = pytest.mark.xdist_group("request_tracker")


@pytest.fixture
def rt(started: Callable[[str], Peer]) -> RequestTrackerPeer:
    peer = started("request_tracker")
    assert isinstance(peer, RequestTrackerPeer)
    return peer


@pytest.fixture
def cmms(rt: RequestTrackerPeer) -> RequestTracker:
    return rt.cmms()


@pytest.fixture
def weather(rt: RequestTrackerPeer) -> Iterator[Weather]:
    with before(rt.url) as weather:
        yield weather


def test_a_ticket_refers_to_its_asset_in_the_catalog(rt: RequestTrackerPeer, cmms: RequestTracker) -> None:
    ref = cmms.create(request(rt)).ref

    assert rt.links(ref) == ["asset:1"]


def test_a_plant_without_a_catalog_of_assets_gets_its_orders_all_the_same(rt: RequestTrackerPeer) -> None:
    cmms = rt.cmms(settings={"catalog": ""})

    ref = cmms.create(request(rt, asset="no-such-asset-77")).ref

    assert not cmms.capabilities.assets
    assert rt.links(ref) == []


def test_fields_of_the_plant_file_are_written_once_and_never_again(
    rt: RequestTrackerPeer, cmms: RequestTracker
) -> None:
    wanted = request(rt, fields={"CF.Shift": "night", "Cc": ["workshop@plant.example"]})

    ref = cmms.create(wanted).ref
    rt.write(ref, "mia", "Shift", "day")
    cmms.update(ref, replace(wanted, severity="ALARM"))

    assert rt.custom(ref, "Shift") == ["day"]


@pytest.mark.parametrize("missing", ["key_field", "report_field"])
def test_a_field_that_rt_would_leave_out_without_a_word_is_missed_before_a_ticket_is_made(
    rt: RequestTrackerPeer, missing: str
) -> None:
    wanted = request(rt)

    with pytest.raises(CmmsDenied, match="No such field"):
        rt.cmms(settings={missing: "No such field"}).create(wanted)

    assert rt.count(wanted.key) == 0


def test_a_queue_that_is_not_there_stops_orders_until_it_is(rt: RequestTrackerPeer) -> None:
    with pytest.raises(CmmsDenied, match="Nonsense"):
        rt.cmms(settings={"queue": "Nonsense"}).create(request(rt))


def test_name_and_password_do_where_there_is_no_token(rt: RequestTrackerPeer) -> None:
    cmms = rt.cmms(secrets={"user": "telltale", "password": rt.password})

    assert cmms.find(request(rt).key) is None


@pytest.mark.parametrize("secrets", [{"token": "1-14-nonsense"}, {"user": "telltale", "password": "wrong"}])
def test_wrong_credentials_are_no_refusal_of_the_order(rt: RequestTrackerPeer, secrets: dict[str, str]) -> None:
    with pytest.raises(CmmsDenied, match="401"):
        rt.cmms(secrets=secrets).find(request(rt).key)


def test_a_change_that_rt_says_yes_to_and_does_not_make_is_no_success(
    rt: RequestTrackerPeer, cmms: RequestTracker
) -> None:
    wanted = request(rt)
    ref = cmms.create(wanted).ref
    reader = rt.cmms(secrets={"user": "reader", "password": rt.password})

    with pytest.raises(CmmsDenied):
        reader.create(request(rt, asset=""))
    with pytest.raises(CmmsDenied, match="ModifyTicket"):
        reader.update(ref, replace(wanted, title="ALARM: worse"))
    with pytest.raises(CmmsDenied):
        reader.set_status(ref, Status.DONE, by="mia")


def test_a_status_that_the_plant_file_does_not_tell_of_waits_for_a_person(
    rt: RequestTrackerPeer, cmms: RequestTracker
) -> None:
    ref = cmms.create(request(rt)).ref
    rt.hold(ref, "mia")
    known = {raw: meant for raw, meant in STATUSES.items() if raw != "stalled"}

    with pytest.raises(RetryLater, match=r"'stalled'.*`statuses`"):
        rt.cmms(settings={"statuses": known}).get(ref)


def test_a_word_that_the_lifecycle_does_not_know_is_refused(rt: RequestTrackerPeer) -> None:
    cmms = rt.cmms(settings={"statuses": {"new": "OPEN", "finished": "DONE"}})
    ref = cmms.create(request(rt)).ref

    with pytest.raises(CmmsRefused, match="finished"):
        cmms.set_status(ref, Status.DONE, by="mia")
    with pytest.raises(CmmsRefused, match="IN_PROGRESS"):
        cmms.set_status(ref, Status.IN_PROGRESS, by="mia")


def test_what_others_change_meanwhile_is_read_again_before_anything_is_written(
    rt: RequestTrackerPeer, cmms: RequestTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = request(rt)
    ref = cmms.create(wanted).ref
    put, times = cmms._put, []

    def late(*given: Any, **named: Any) -> Any:
        times.append(1)
        if len(times) == 1:
            rt.close(ref, "mia", FOUND)
        return put(*given, **named)

    monkeypatch.setattr(cmms, "_put", late)
    order = cmms.update(ref, replace(wanted, title="ALARM: worse"))

    assert order.status is Status.DONE
    assert order.shows[TITLE] == wanted.title


def test_a_ticket_that_others_change_all_the_time_is_for_later(
    rt: RequestTrackerPeer, cmms: RequestTracker, weather: Weather
) -> None:
    wanted = request(rt)
    ref = cmms.create(wanted).ref
    weather.fail(3, status=412, methods=("PUT",))

    with pytest.raises(CmmsBusy):
        rt.cmms(weather.url).update(ref, replace(wanted, title="ALARM: worse"))


def test_the_report_is_kept_up_to_date_and_the_first_one_stays_in_the_history(
    rt: RequestTrackerPeer, cmms: RequestTracker
) -> None:
    wanted = request(rt)
    ref = cmms.create(wanted).ref

    order = cmms.update(ref, replace(wanted, description="Why: 7.4 mm/s\n- rising"), (DESCRIPTION, SEVERITY))

    assert order.shows[DESCRIPTION] == "Why: 7.4 mm/s\n- rising"
    assert rt.comments(ref) == [wanted.description]


def test_a_merged_ticket_reads_as_the_one_it_became(rt: RequestTrackerPeer, cmms: RequestTracker) -> None:
    first, second = request(rt), request(rt)
    into, ref = cmms.create(first).ref, cmms.create(second).ref
    rt.merge(ref, into)

    shown = cmms.update(ref, replace(second, title="ALARM: worse"))
    rt.close(into, "mia", FOUND)
    order = cmms.get(ref)

    assert shown.shows[TITLE] == first.title
    assert order is not None
    assert (order.ref, order.merged_into, order.key, order.status) == (ref, into, first.key, Status.DONE)


def test_a_deleted_ticket_is_cancelled_and_says_so(rt: RequestTrackerPeer, cmms: RequestTracker) -> None:
    ref = cmms.create(request(rt)).ref

    rt.delete(ref)

    order = cmms.get(ref)
    assert order is not None
    assert (order.status, order.raw_status) == (Status.CANCELLED, "deleted")


def test_who_closed_it_and_when_is_told_whatever_was_said_after(rt: RequestTrackerPeer, cmms: RequestTracker) -> None:
    ref = cmms.create(request(rt)).ref
    rt.take_up(ref, "jo")
    rt.close(ref, "mia", FOUND)
    closed = cmms.get(ref)

    rt.say(ref, "jo", "well done")
    cmms.comment(ref, "the vibration is back to normal", key="case-a-confirmed")

    assert cmms.get(ref) == closed
    assert closed is not None
    assert (closed.by, closed.closure) == ("mia", FOUND.as_dict())


def test_codes_count_once_the_ticket_is_resolved(rt: RequestTrackerPeer, cmms: RequestTracker) -> None:
    ref = cmms.create(request(rt)).ref

    rt.write(ref, "mia", "Failure mode", "LUBRICATION")

    order = cmms.get(ref)
    assert order is not None
    assert order.closure is None


def test_an_order_opened_again_no_longer_shows_what_was_found(rt: RequestTrackerPeer, cmms: RequestTracker) -> None:
    ref = cmms.create(request(rt)).ref
    cmms.set_status(ref, Status.DONE, by="mia", closure=FOUND)

    cmms.set_status(ref, Status.OPEN, by="telltale")
    rt.close(ref, "mia")

    order = cmms.get(ref)
    assert order is not None
    assert order.closure is None


def test_a_code_that_rt_has_no_value_for_stands_in_a_comment(rt: RequestTrackerPeer, cmms: RequestTracker) -> None:
    ref = cmms.create(request(rt)).ref

    cmms.set_status(ref, Status.DONE, by="mia", closure=replace(FOUND, failure_mode="GREMLINS"))

    order = cmms.get(ref)
    assert order is not None
    assert "failure_mode" not in (order.closure or {})
    assert any("GREMLINS" in one and "by mia" in one for one in rt.comments(ref))


def test_a_ticket_copied_from_an_order_is_not_the_order(rt: RequestTrackerPeer, cmms: RequestTracker) -> None:
    wanted = request(rt)
    made = cmms.create(wanted)
    cmms.create(wanted)  # as RT's `create linked ticket` does, with the custom fields

    assert cmms.find(wanted.key) == made


@pytest.mark.parametrize("age_s", [301, -301, 86_400])
def test_a_message_of_the_scrip_is_refused_when_it_comes_again(
    rt: RequestTrackerPeer, cmms: RequestTracker, age_s: int
) -> None:
    headers, body = rt.hint(cmms.create(request(rt)).ref)
    later = rt.cmms(now_ms=lambda: (int(time.time()) + age_s) * 1000)

    with pytest.raises(Forged):
        later.verify_webhook(headers, body)


def test_a_site_without_the_scrips_secret_believes_nothing(rt: RequestTrackerPeer, cmms: RequestTracker) -> None:
    headers, body = rt.hint(cmms.create(request(rt)).ref)

    with pytest.raises(Forged):
        rt.cmms(secrets={"user": "telltale", "password": rt.password}).verify_webhook(headers, body)


def test_a_site_without_any_secret_says_which_it_needs(rt: RequestTrackerPeer) -> None:
    with pytest.raises(CmmsRefused, match="'token'"):
        rt.cmms(secrets={"hints": "x"})


def test_names_with_quotes_are_names(rt: RequestTrackerPeer) -> None:
    cmms = rt.cmms(settings={"queue": "Mia's \\ queue"})

    assert cmms.find("A' OR id > 0 OR Subject = 'A") is None
    assert rt.cmms().asset("pump' OR Name = 'pump-7") is None
