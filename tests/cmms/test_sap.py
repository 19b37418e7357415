"""What is SAP's own, beside what every maintenance system keeps to (test_contract.py)."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from telltale.adapters.cmms.port import TITLE, CmmsBusy, CmmsDenied, Forged, OrderRequest, Picture, Status
from telltale.adapters.cmms.sap import shortened
from telltale.core.closure import closure
from telltale.core.errors import CmmsRefused, RetryLater

from tests.cmms.peer import Peer
from tests.cmms.peer_sap import ACTIVITY, CAUSE, DAMAGE, LOCATION, MATERIAL, SapPeer
from tests.cmms.sap_gateway import CLIENT_ID, CLIENT_SECRET
from tests.cmms.test_contract import request
from tests.cmms.weather import before

pytestmark = pytest.mark.xdist_group("sap")
FOUND = closure(failure_mode="LUBRICATION", failure_cause="WEAR", action_taken="LUBRICATE", note="dry, 40 g added")
REPLACES = {"long_text": "replaces"}


@pytest.fixture
def sap(started: Callable[[str], Peer]) -> Iterator[SapPeer]:
    peer = started("sap")
    assert isinstance(peer, SapPeer)
    yield peer
    peer.gateway.replaces = False
    peer.gateway.locked.clear()
    peer.gateway.meanwhile.clear()


def stored(sap: SapPeer, ref: str) -> dict[str, Any]:
    return sap.gateway.read(ref)


def wanted(sap: SapPeer, **changes: Any) -> OrderRequest:
    return request(sap, **changes)


def test_one_csrf_token_serves_many_writes(sap: SapPeer) -> None:
    cmms, before_it = sap.cmms(), sap.gateway.fetched

    for _ in range(3):
        cmms.create(wanted(sap))

    assert sap.gateway.fetched == before_it + 1


def test_making_an_order_takes_four_requests(sap: SapPeer) -> None:
    asked = wanted(sap)
    with before(sap.url) as weather:
        cmms = sap.cmms(weather.url)
        assert cmms.find(asked.key) is None
        cmms.create(asked)

    assert [method for method, _ in weather.seen] == ["GET", "GET", "POST", "GET"]


def test_a_csrf_token_that_expired_is_fetched_again_and_the_order_made_once(sap: SapPeer) -> None:
    cmms, asked = sap.cmms(), wanted(sap)
    cmms.create(wanted(sap))
    sap.gateway.tokens.clear()

    cmms.create(asked)

    assert sap.gateway.count(asked.key) == 1


def test_a_right_that_is_missing_is_not_taken_for_a_token_that_expired(sap: SapPeer) -> None:
    with before(sap.url) as weather:
        cmms = sap.cmms(weather.url)
        cmms.create(wanted(sap))
        weather.fail(1, status=403, body=b'{"error":{"code":"CM/1","message":{"value":"No authorization"}}}')

        with pytest.raises(CmmsDenied, match="No authorization"):
            cmms.create(wanted(sap))


def test_a_title_is_cut_between_words_and_stands_whole_above_the_description(sap: SapPeer) -> None:
    title = "ALARM: Cooling water circulation pump 7, motor drive end: 7.4 mm/s is above 7.1"

    made = sap.cmms().create(wanted(sap, title=title, description="Why: above zone D"))

    assert made.shows[TITLE] == "ALARM: Cooling water circulation pump…"
    assert stored(sap, made.ref)["MaintNotificationLongText"] == f"{title}\n\nWhy: above zone D"


@pytest.mark.parametrize("title", ["x" * 40, "x" * 41, "a " * 30, "ALARM: " + "y" * 60, ""])
def test_no_title_is_longer_than_sap_takes(title: str) -> None:
    short = shortened(title, 40)

    assert len(short) <= 40
    assert short == title or short.endswith("…")
    assert title.startswith(short.removesuffix("…"))


def test_the_link_is_in_a_description_that_had_to_be_cut(sap: SapPeer) -> None:
    link = "https://pages.example.com/e/abcdefghijklmnop"
    text = "\n".join([*(f"- line {number}: {'y' * 60}" for number in range(60)), link])

    made = sap.cmms().create(wanted(sap, description=text, link=link))

    kept = stored(sap, made.ref)["MaintNotificationLongText"]
    assert len(kept) <= 1333
    assert kept.endswith(link)


def test_no_dates_are_sent_since_the_priority_makes_them(sap: SapPeer) -> None:
    due = {
        severity: stored(sap, sap.cmms().create(wanted(sap, severity=severity)).ref)["RequiredEndDate"]
        for severity in ("WARNING", "ALARM")
    }

    assert due["ALARM"] < due["WARNING"]


def test_the_plants_own_fields_are_created_and_a_wrong_one_is_refused_in_saps_words(sap: SapPeer) -> None:
    made = sap.cmms().create(wanted(sap, fields={"MainWorkCenter": "MECH", "NotificationType": "M1"}))

    assert (stored(sap, made.ref)["MainWorkCenter"], stored(sap, made.ref)["NotificationType"]) == ("MECH", "M1")
    with pytest.raises(CmmsRefused, match="Notification type XX does not exist"):
        sap.cmms().create(wanted(sap, fields={"NotificationType": "XX"}))
    with pytest.raises(CmmsRefused, match="NotifProcessingPhase"):
        sap.cmms().create(wanted(sap, fields={"NotifProcessingPhase": "4"}))


def test_a_priority_may_be_written_as_a_number(sap: SapPeer) -> None:
    made = sap.cmms(settings={"priorities": {"WARNING": 4}}).create(wanted(sap))

    assert stored(sap, made.ref)["MaintPriority"] == "4"


def test_an_asset_can_be_a_functional_location(sap: SapPeer) -> None:
    made = sap.cmms().create(wanted(sap, asset=f"fl:{LOCATION}"))

    assert stored(sap, made.ref)["TechObjIsEquipOrFuncnlLoc"] == "EAMS_FL"
    assert sap.cmms().asset(f"fl:{LOCATION}") == "Cooling water circulation"
    assert sap.cmms().asset(LOCATION) is None


def test_a_quote_in_a_key_ends_no_filter(sap: SapPeer) -> None:
    assert sap.cmms().asset("x' or Equipment ne '") is None


def test_of_orders_made_twice_the_first_counts(sap: SapPeer) -> None:
    cmms, asked = sap.cmms(), wanted(sap)
    first = cmms.create(asked)
    cmms.create(asked)

    assert cmms.find(asked.key) == first


def test_a_change_between_reading_and_writing_is_never_overwritten(sap: SapPeer) -> None:
    cmms, asked = sap.cmms(), wanted(sap)
    ref = cmms.create(asked).ref
    sap.gateway.meanwhile.append(lambda: sap.edit(ref, title="Mia's own words"))

    with pytest.raises(CmmsBusy):
        cmms.update(ref, replace(asked, title="ALARM: Pump 7"), (TITLE,))

    assert stored(sap, ref)["NotificationText"] == "Mia's own words"


def test_a_comment_and_a_status_come_through_though_people_work_on_the_order(sap: SapPeer) -> None:
    cmms = sap.cmms()
    ref = cmms.create(wanted(sap)).ref
    sap.gateway.meanwhile += [lambda: sap.edit(ref, title="Mia's own words")]
    cmms.comment(ref, "now at 7.4 mm/s", key="case-a-2")
    sap.gateway.meanwhile += [lambda: sap.edit(ref, title="Mia's better words")]

    moved = cmms.set_status(ref, Status.IN_PROGRESS, by="mia")

    assert (moved.status, moved.shows[TITLE]) == (Status.IN_PROGRESS, "Mia's better words")
    assert "now at 7.4 mm/s" in stored(sap, ref)["MaintNotificationLongText"]


def test_a_notification_that_somebody_has_open_is_for_later(sap: SapPeer) -> None:
    cmms = sap.cmms()
    ref = cmms.create(wanted(sap)).ref
    sap.gateway.locked[ref] = "MIA"

    with pytest.raises(CmmsBusy, match="locked by user MIA"):
        cmms.comment(ref, "now at 7.4 mm/s", key="case-a-2")
    with pytest.raises(CmmsBusy):
        cmms.set_status(ref, Status.IN_PROGRESS, by="mia")


def test_a_phase_that_nobody_named_is_asked_for_and_not_guessed(sap: SapPeer) -> None:
    ref = sap.cmms().create(wanted(sap)).ref
    sap.gateway.store(ref, **{"ConcatenatedActiveSystStsName": "NEW"})
    sap.gateway.ask("PATCH", f"API_MAINTNOTIFICATION/MaintenanceNotification('{ref}')", {"NotifProcessingPhase": "7"})

    with pytest.raises(RetryLater, match="phase '7' is not in the setting `statuses`"):
        sap.cmms().get(ref)
    order = sap.cmms(settings={"statuses": {"7": "ON_HOLD"}}).get(ref)
    assert order is not None
    assert order.status is Status.ON_HOLD


def test_what_was_cancelled_reads_so_though_sap_knows_only_completed(sap: SapPeer) -> None:
    cmms = sap.cmms()
    ref = cmms.create(wanted(sap)).ref

    cmms.set_status(ref, Status.CANCELLED, by="mia")

    assert stored(sap, ref)["NotifProcessingPhase"] == "4"
    order = cmms.get(ref)
    assert order is not None
    assert order.status is Status.CANCELLED


@pytest.mark.parametrize("status", [Status.ON_HOLD, Status.OPEN])
def test_what_saps_service_has_no_function_for_is_refused(sap: SapPeer, status: Status) -> None:
    cmms = sap.cmms()
    ref = cmms.create(wanted(sap)).ref
    cmms.set_status(ref, Status.IN_PROGRESS, by="mia")

    with pytest.raises(CmmsRefused, match="no function"):
        cmms.set_status(ref, status, by="mia")


def test_a_yes_that_changed_nothing_is_no_success(sap: SapPeer) -> None:
    with before(sap.url) as weather:
        cmms = sap.cmms(weather.url)
        ref = cmms.create(wanted(sap)).ref
        weather.fail(1, status=200, body=b'{"d":{}}', methods=("POST",))

        with pytest.raises(CmmsRefused, match="though SAP said it did it"):
            cmms.set_status(ref, Status.IN_PROGRESS, by="mia")


def test_codes_that_were_half_written_are_completed_and_not_doubled(sap: SapPeer) -> None:
    with before(sap.url) as weather:
        cmms = sap.cmms(weather.url)
        ref = cmms.create(wanted(sap)).ref
        sap.gateway.meanwhile += [lambda: None, lambda: weather.fail(1, status=500, when="before", methods=("POST",))]
        with pytest.raises(RetryLater):
            cmms.set_status(ref, Status.DONE, by="mia", closure=FOUND)

        done = cmms.set_status(ref, Status.DONE, by="mia", closure=FOUND)

    written = f"filter=MaintenanceNotification%20eq%20'{ref}'"
    for entities in ("MaintenanceNotificationItem", "MaintNotificationItemCause", "MaintNotificationItemActivity"):
        found = sap.gateway.ask("GET", f"API_MAINTNOTIFICATION/{entities}?${written}", None)
        assert len(found["d"]["results"]) == 1
    assert done.closure == {**FOUND.as_dict()}


@pytest.mark.parametrize("settings", [{}, {"damage_codes": {}}])
def test_who_closed_it_and_how_stands_in_the_long_text(sap: SapPeer, settings: dict[str, Any]) -> None:
    cmms = sap.cmms(settings=settings)
    ref = cmms.create(wanted(sap)).ref
    note = "dry, 40 g added, shield torn, fitting replaced, next round in March"

    cmms.set_status(ref, Status.DONE, by="mia", closure=replace(FOUND, note=note))

    said = stored(sap, ref)["MaintNotificationLongText"]
    assert f"DONE by mia: LUBRICATION, WEAR, LUBRICATE ({note})" in said


def test_the_stock_is_what_anybody_may_take_in_the_sites_plant(sap: SapPeer) -> None:
    stock = sap.cmms().stock(MATERIAL)

    assert stock is not None
    assert (stock.quantity, stock.where) == (4.5, "101A")
    assert not sap.cmms(settings={"stock_plant": ""}).capabilities.stock


def test_pictures_are_attached_only_where_the_service_for_them_is_set_up(sap: SapPeer) -> None:
    assert not sap.cmms(settings={"attachments": ""}).capabilities.attaches


def test_a_picture_of_a_notification_that_is_gone_is_refused(sap: SapPeer) -> None:
    cmms = sap.cmms()
    ref = cmms.create(wanted(sap)).ref
    sap.delete(ref)

    with pytest.raises(CmmsRefused):
        cmms.attach(ref, Picture("case-a-1.png", "image/png", b"..."))


def test_an_item_that_a_technician_deleted_says_nothing(sap: SapPeer) -> None:
    cmms = sap.cmms()
    ref = cmms.create(wanted(sap)).ref
    sap.close(ref, "mia", FOUND)

    item = f"MaintenanceNotificationItem(MaintenanceNotification='{ref}',MaintenanceNotificationItem='0001')"
    sap.gateway.ask("PATCH", f"API_MAINTNOTIFICATION/{item}", {"IsDeleted": True})

    order = cmms.get(ref)
    assert order is not None
    assert order.closure is None


def test_codes_that_are_in_no_catalog_make_no_empty_item(sap: SapPeer) -> None:
    cmms = sap.cmms()
    ref = cmms.create(wanted(sap)).ref

    done = cmms.set_status(
        ref, Status.DONE, by="mia", closure=closure(failure_mode="OTHER", failure_cause="OTHER", action_taken="OTHER")
    )

    assert done.closure is None
    items = sap.gateway.ask("GET", f"API_MAINTNOTIFICATION/MaintenanceNotification('{ref}')/to_Item", None)
    assert items["d"]["results"] == []


def test_a_code_of_the_plants_own_is_told_as_it_stands(sap: SapPeer) -> None:
    cmms = sap.cmms(settings={"damage_codes": {"IMBALANCE": "ROT/0010"}})
    ref = cmms.create(wanted(sap)).ref

    sap.close(ref, "mia", FOUND)

    order = cmms.get(ref)
    assert order is not None
    assert order.closure is not None
    assert order.closure["failure_mode"] == DAMAGE["LUBRICATION"]
    assert order.closure["failure_cause"] == "WEAR"


def test_without_all_three_catalogs_the_technician_is_asked_by_a_link(sap: SapPeer) -> None:
    assert sap.cmms().capabilities.codes
    for name, table in (("damage_codes", DAMAGE), ("cause_codes", CAUSE), ("activity_codes", ACTIVITY)):
        assert table
        assert not sap.cmms(settings={name: {}}).capabilities.codes


def test_where_sap_replaces_long_texts_comments_keep_what_stands_there(sap: SapPeer) -> None:
    sap.gateway.replaces = True
    cmms, asked = sap.cmms(settings=REPLACES), wanted(sap)
    ref = cmms.create(asked).ref
    sap.edit(ref, description=f"{stored(sap, ref)['MaintNotificationLongText']}\n\nMia: bearing runs dry")

    for number in range(30):
        cmms.comment(ref, f"now at {number} mm/s, still rising, next limit in 3 days", key=f"case-a-{number}")
    cmms.update(ref, replace(asked, severity="ALARM"), ("severity",))

    text = stored(sap, ref)["MaintNotificationLongText"]
    assert len(text) <= 1333
    assert "Mia: bearing runs dry" in text
    assert "now at 29 mm/s" in text
    assert "now at 0 mm/s" not in text


def test_where_sap_replaces_long_texts_and_a_persons_fills_it_no_comment_is_written(sap: SapPeer) -> None:
    sap.gateway.replaces = True
    cmms = sap.cmms(settings=REPLACES)
    ref = cmms.create(wanted(sap)).ref
    words = "Mia: " + "x" * 1500
    sap.edit(ref, description=words)

    cmms.comment(ref, "now at 7.4 mm/s", key="case-a-2")

    assert stored(sap, ref)["MaintNotificationLongText"] == words


def test_a_wrong_word_on_long_texts_is_found_and_mended_at_once(sap: SapPeer) -> None:
    sap.gateway.replaces = True
    cmms = sap.cmms()
    ref = cmms.create(wanted(sap, description="Why: above zone C")).ref

    with pytest.raises(CmmsRefused, match="long_text: replaces"):
        cmms.comment(ref, "now at 7.4 mm/s", key="case-a-2")

    text = stored(sap, ref)["MaintNotificationLongText"]
    assert "Why: above zone C" in text
    assert "now at 7.4 mm/s" in text


def test_a_description_that_stands_there_already_is_not_added_again(sap: SapPeer) -> None:
    cmms, asked = sap.cmms(), wanted(sap)
    ref = cmms.create(asked).ref
    text = stored(sap, ref)["MaintNotificationLongText"]

    cmms.update(ref, asked)

    assert stored(sap, ref)["MaintNotificationLongText"] == text


def test_a_completed_notification_takes_no_comment(sap: SapPeer) -> None:
    cmms = sap.cmms()
    ref = cmms.create(wanted(sap)).ref
    cmms.set_status(ref, Status.DONE, by="mia")

    with pytest.raises(CmmsRefused):
        cmms.comment(ref, "still 2.1 × baseline", key="case-a-9")


def test_oauth_tokens_are_fetched_kept_and_renewed_when_they_are_revoked(sap: SapPeer) -> None:
    settings = {"user": "", "token_url": f"{sap.url}/oauth/token", "client_id": CLIENT_ID}
    cmms = sap.cmms(settings=settings, secrets={"client_secret": CLIENT_SECRET})
    first = cmms.create(wanted(sap))
    sap.gateway.access.clear()

    assert cmms.get(first.ref) == first
    assert len(sap.gateway.access) == 1
    with pytest.raises(CmmsDenied, match="grants no token"):
        sap.cmms(settings=settings, secrets={"client_secret": "old"}).find("A" * 20)


def test_a_wrong_password_is_tried_once_before_sap_locks_the_user(sap: SapPeer) -> None:
    with before(sap.url) as weather:
        with pytest.raises(CmmsDenied):
            sap.cmms(weather.url, secrets={"password": "old"}).find("A" * 20)

        assert len(weather.seen) == 1


def test_times_are_told_in_milliseconds_since_1970(sap: SapPeer) -> None:
    made = sap.cmms().create(wanted(sap))

    assert abs(made.changed_ms - time.time() * 1000) < 60_000


def test_an_event_with_another_password_or_of_another_thing_is_refused(sap: SapPeer) -> None:
    headers, body = sap.hint("10000001")

    assert [hint.ref for hint in sap.cmms().verify_webhook(headers, body)] == ["10000001"]
    for forged, said in (
        ({"authorization": "Basic dGVsbHRhbGU6"}, body),
        (headers, b'{"type":"x","data":{"MaintenanceOrder":"1"}}'),
        (headers, b"[]"),
        (headers, b'{"data":{"MaintenanceNotification":7}}'),
    ):
        with pytest.raises(Forged):
            sap.cmms().verify_webhook(forged, said)
    with pytest.raises(Forged):
        sap.cmms(secrets={"password": "x"}).verify_webhook({"Authorization": "Basic dGVsbHRhbGU6"}, body)
