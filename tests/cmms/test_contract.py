"""What every maintenance system must keep to, whichever adapter reaches it."""

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from cli import cmms_check
from telltale.adapters.cmms.port import (
    DESCRIPTION,
    FIELDS,
    SEVERITY,
    TITLE,
    Cmms,
    CmmsBusy,
    CmmsDenied,
    Forged,
    OrderRequest,
    Picture,
    Status,
    UnknownAsset,
)
from telltale.core.closure import closure
from telltale.core.errors import CmmsRefused, RetryLater
from telltale.core.plant import Position

from tests.cmms.peer import CannotDo, Peer
from tests.cmms.weather import Weather, before

FOUND = closure(failure_mode="LUBRICATION", failure_cause="WEAR", action_taken="LUBRICATE", note="dry, 40 g added — ok")
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c63f8cfc0f01f00050001ff56c7"
    "2f0d0000000049454e44ae426082"
)


def request(peer: Peer, **changes: Any) -> OrderRequest:
    """An order of a case that no test had before."""
    key = "".join(random.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=20))
    made = OrderRequest(
        key=key,
        case_id=f"case-{key.lower()}",
        title="WARNING: Pump 7 motor DE: 4.8 mm/s is above 4.5",
        description="Where: Pump 7 motor DE\nWhy: 4.8 mm/s is above 4.5 — ≥ zone C",
        severity="WARNING",
        position="plant/hall/pump-7/motor-de",
        asset=peer.asset,
        opened_ms=time.time_ns() // 1_000_000,
    )
    return replace(made, **changes)


@pytest.fixture
def cmms(peer: Peer) -> Cmms:
    return peer.cmms()


@pytest.fixture
def weather(peer: Peer) -> Iterator[Weather]:
    if not peer.url:
        pytest.skip(f"{type(peer).__name__} is not reached by HTTP")
    with before(peer.url) as weather:
        yield weather


def test_an_order_that_was_never_made_is_not_found(peer: Peer, cmms: Cmms) -> None:
    assert cmms.find(request(peer).key) is None


def test_an_order_is_found_by_its_key_and_read_by_its_reference(peer: Peer, cmms: Cmms) -> None:
    wanted = request(peer)

    made = cmms.create(wanted)

    assert (made.status, made.key, peer.count(wanted.key)) == (Status.OPEN, wanted.key, 1)
    assert cmms.find(wanted.key) == cmms.get(made.ref) == made


def test_an_order_shows_what_was_written(peer: Peer, cmms: Cmms) -> None:
    wanted = request(peer, title='ALARM: "Pump" <7> & Lüfter: 4.8 ≥ 4.5', severity="ALARM")

    made = cmms.create(wanted)

    assert set(made.shows) <= set(FIELDS)
    assert made.shows[TITLE][:20] == wanted.title[:20] or wanted.title[:15] in made.shows[TITLE]
    assert made.shows.get(SEVERITY) != cmms.create(request(peer)).shows.get(SEVERITY) or SEVERITY not in made.shows


def test_a_long_description_with_any_sign_is_taken(peer: Peer, cmms: Cmms) -> None:
    lines = [f"- line {number}: 4.8 mm/s > 4.5 & rising, “DE” <b>\t{'y' * 60}" for number in range(60)]

    made = cmms.create(request(peer, description="\n".join(lines)))

    assert cmms.get(made.ref) == made


def test_a_system_that_says_it_makes_an_order_once_for_a_key_does(peer: Peer, cmms: Cmms) -> None:
    wanted = request(peer)

    first, second = cmms.create(wanted), cmms.create(wanted)

    assert (first.ref == second.ref) == cmms.capabilities.upsert


def test_workers_that_race_for_one_key_make_one_order_where_the_system_can_tell(peer: Peer, cmms: Cmms) -> None:
    if not cmms.capabilities.upsert:
        pytest.skip(f"{cmms.name} makes an order for each request; the ledger's lease keeps workers apart")
    wanted, refs = request(peer), set()

    def create() -> None:
        for _ in range(20):
            try:
                refs.add(peer.cmms().create(wanted).ref)
                return
            except RetryLater:
                time.sleep(random.random() / 10)

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(refs), peer.count(wanted.key)) == (1, 1)


def test_an_order_that_nobody_made_reads_as_none(cmms: Cmms) -> None:
    assert cmms.get("NOSUCHORDER") is None


def test_an_order_that_was_deleted_is_gone_or_cancelled(peer: Peer, cmms: Cmms) -> None:
    ref = cmms.create(request(peer)).ref

    _or_skip(lambda: peer.delete(ref))

    found = cmms.get(ref)
    assert found is None or found.status is Status.CANCELLED


def test_a_technician_takes_an_order_up_and_closes_it(peer: Peer, cmms: Cmms) -> None:
    ref = cmms.create(request(peer)).ref

    _or_skip(lambda: peer.take_up(ref, "mia"))
    taken_up = cmms.get(ref)
    peer.close(ref, "mia", FOUND)
    done = cmms.get(ref)

    assert taken_up is not None
    assert taken_up.status is Status.IN_PROGRESS
    assert done is not None
    assert done.status is Status.DONE
    assert done.changed_ms >= taken_up.changed_ms
    if cmms.capabilities.codes:
        assert _codes(done.closure) == _codes(FOUND.as_dict())


def test_an_order_can_be_put_on_hold(peer: Peer, cmms: Cmms) -> None:
    ref = cmms.create(request(peer)).ref

    _or_skip(lambda: peer.hold(ref, "mia"))

    assert _status(cmms, ref) is Status.ON_HOLD


def test_an_order_that_people_cancel_is_cancelled(peer: Peer, cmms: Cmms) -> None:
    ref = cmms.create(request(peer)).ref

    _or_skip(lambda: peer.cancel(ref, "mia"))

    assert _status(cmms, ref) is Status.CANCELLED


def test_an_order_that_people_open_again_is_open(peer: Peer, cmms: Cmms) -> None:
    ref = cmms.create(request(peer)).ref
    cmms.set_status(ref, Status.DONE, by="mia", closure=FOUND)

    _or_skip(lambda: peer.reopen(ref, "mia"))

    found = cmms.get(ref)
    assert found is not None
    assert not found.status.final


def test_an_order_merged_into_another_says_which(peer: Peer, cmms: Cmms) -> None:
    ref, into = cmms.create(request(peer)).ref, cmms.create(request(peer)).ref

    _or_skip(lambda: peer.merge(ref, into))

    found = cmms.get(ref)
    assert found is not None
    assert found.merged_into == into


def test_telltale_takes_an_order_up_and_closes_it(peer: Peer, cmms: Cmms) -> None:
    ref = cmms.create(request(peer)).ref

    taken_up = cmms.set_status(ref, Status.IN_PROGRESS, by="mia")
    done = cmms.set_status(ref, Status.DONE, by="mia", closure=FOUND)

    assert taken_up.status is Status.IN_PROGRESS
    assert done.status is Status.DONE
    assert done == cmms.get(ref)
    if cmms.capabilities.codes:
        assert _codes(done.closure) == _codes(FOUND.as_dict())


@pytest.mark.parametrize("final", [Status.DONE, Status.CANCELLED])
def test_a_final_order_stays_final_whatever_comes_after(peer: Peer, cmms: Cmms, final: Status) -> None:
    wanted = request(peer)
    ref = cmms.create(wanted).ref
    closed = cmms.set_status(ref, final, by="mia", closure=FOUND)

    with pytest.raises(CmmsRefused):
        cmms.set_status(ref, Status.IN_PROGRESS, by="bot")
    cmms.update(ref, replace(wanted, severity="ALARM"))
    again = cmms.set_status(ref, final, by="bot", closure=FOUND)

    assert again == cmms.get(ref) == closed


def test_telltale_opens_a_final_order_again_where_the_system_can(peer: Peer, cmms: Cmms) -> None:
    ref = cmms.create(request(peer)).ref
    cmms.set_status(ref, Status.DONE, by="mia", closure=FOUND)

    if cmms.capabilities.reopens:
        assert cmms.set_status(ref, Status.OPEN, by="telltale").status is Status.OPEN
        assert _status(cmms, ref) is Status.OPEN
    else:
        with pytest.raises(CmmsRefused):
            cmms.set_status(ref, Status.OPEN, by="telltale")


def test_a_rise_in_severity_leaves_the_technicians_work_alone(peer: Peer, cmms: Cmms) -> None:
    wanted = request(peer)
    made = cmms.create(wanted)
    _or_skip(lambda: peer.take_up(made.ref, "mia"))

    updated = cmms.update(made.ref, replace(wanted, severity="ALARM", title="ALARM: Pump 7"))

    assert updated == cmms.get(made.ref)
    assert updated.status is Status.IN_PROGRESS
    assert "ALARM: Pump 7" in updated.shows[TITLE]
    assert updated.shows.get(SEVERITY) != made.shows.get(SEVERITY) or SEVERITY not in made.shows


def test_an_update_touches_only_the_fields_it_names(peer: Peer, cmms: Cmms) -> None:
    wanted = request(peer)
    made = cmms.create(wanted)
    _or_skip(lambda: peer.edit(made.ref, title="Mia's own words"))

    changed = cmms.update(made.ref, replace(wanted, description="Where: there\nNow: worse"), (DESCRIPTION,))

    assert "Mia's own words" in changed.shows[TITLE]
    assert changed.shows.get(SEVERITY) == made.shows.get(SEVERITY)
    if DESCRIPTION in made.shows:
        assert changed.shows[DESCRIPTION] != made.shows[DESCRIPTION]


def test_a_technicians_edit_shows_beside_what_telltale_wrote(peer: Peer, cmms: Cmms) -> None:
    made = cmms.create(request(peer))
    unchanged = cmms.get(made.ref)

    _or_skip(lambda: peer.edit(made.ref, title="Mia's own words"))

    edited = cmms.get(made.ref)
    assert unchanged is not None
    assert edited is not None
    assert unchanged.shows == made.shows
    assert edited.shows[TITLE] != made.shows[TITLE]


def test_a_comment_with_the_same_key_is_there_once(peer: Peer, cmms: Cmms) -> None:
    ref = cmms.create(request(peer)).ref

    for _ in range(3):
        cmms.comment(ref, "now at 7.4 mm/s & <rising>", key="case-a-2")
    cmms.comment(ref, "now at 9.9 mm/s", key="case-a-3")

    comments = _or_skip(lambda: peer.comments(ref))
    assert sum("7.4" in one for one in comments) == sum("9.9" in one for one in comments) == 1


def test_a_picture_is_attached_once(peer: Peer, cmms: Cmms) -> None:
    ref = cmms.create(request(peer)).ref
    picture = Picture("case-a-1.png", "image/png", PIXEL)
    if not cmms.capabilities.attaches:
        pytest.skip(f"{cmms.name} takes no pictures")

    for _ in range(2):
        cmms.attach(ref, picture)

    assert _or_skip(lambda: peer.pictures(ref)) == 1


def test_an_asset_is_known_or_it_is_not(peer: Peer, cmms: Cmms) -> None:
    if not cmms.capabilities.assets:
        pytest.skip(f"{cmms.name} tells nothing of assets")

    assert cmms.asset(peer.asset)
    assert cmms.asset("no-such-asset-77") is None


def test_an_order_for_an_unknown_asset_is_refused_as_that_and_made_without_it(peer: Peer, cmms: Cmms) -> None:
    if not cmms.capabilities.assets:
        pytest.skip(f"{cmms.name} tells nothing of assets")
    wanted = request(peer, asset="no-such-asset-77")

    with pytest.raises(UnknownAsset, match="no-such-asset-77"):
        cmms.create(wanted)

    assert peer.count(wanted.key) == 0
    assert cmms.create(replace(wanted, asset="")).status is Status.OPEN


def test_the_stock_of_a_part_is_told(peer: Peer, cmms: Cmms) -> None:
    if not cmms.capabilities.stock or not peer.spare_part:
        pytest.skip(f"{cmms.name} tells nothing of spare parts")

    stock = cmms.stock(peer.spare_part)

    assert stock is not None
    assert stock.quantity > 0
    assert cmms.stock("no-such-part-77") is None


def test_a_genuine_message_names_the_order_and_a_forged_one_is_refused(peer: Peer, cmms: Cmms) -> None:
    ref = cmms.create(request(peer)).ref
    headers, body = _or_skip(lambda: peer.hint(ref))

    assert [hint.ref for hint in cmms.verify_webhook(headers, body)] == [ref]
    for forged, said in (
        ({}, body),
        (headers, b""),
        ({name: value[:-1] + "0" for name, value in headers.items()}, b"{"),
    ):
        with pytest.raises(Forged):
            cmms.verify_webhook(forged, said)


def test_a_check_of_a_system_that_is_well_says_so(peer: Peer, cmms: Cmms) -> None:
    assets = [peer.asset] if peer.asset else []
    now_ms = time.time_ns() // 1_000_000

    findings = [
        cmms_check.credentials(cmms),
        *cmms_check.mapping(cmms, assets),
        *cmms_check.dry_order(cmms, Position("plant/hall/pump-7/motor-de"), {}, asset=peer.asset, now_ms=now_ms),
    ]

    assert [finding for finding in findings if finding.good is False] == []
    assert findings[-1].what == "cancel"


def test_a_check_names_what_is_wrong(peer: Peer, weather: Weather) -> None:
    cmms = peer.cmms(weather.url)
    weather.fail(12, status=403, body=b"the bot may not read orders")

    finding = cmms_check.credentials(cmms)

    assert finding.good is False
    assert "the bot may not read orders" in finding.said


# Weather


def test_an_order_made_although_the_answer_got_lost_is_found(peer: Peer, weather: Weather) -> None:
    wanted, cmms = request(peer), peer.cmms(weather.url)
    cmms.find(wanted.key)  # signed in, tokens fetched
    weather.fail(6, when="after", status=500, methods=("POST", "PUT", "PATCH"))

    with pytest.raises(RetryLater):
        cmms.create(wanted)
    weather.clear()

    if cmms.find(wanted.key) is None:  # what failed was a question before the order
        cmms.create(wanted)
    assert peer.count(wanted.key) == 1


@pytest.mark.parametrize(("headers", "after_s"), [({"Retry-After": "17"}, 17.0), ({}, None)])
def test_a_system_that_has_enough_is_left_alone_for_as_long_as_it_says(
    peer: Peer, weather: Weather, headers: dict[str, str], after_s: float | None
) -> None:
    wanted, cmms = request(peer), peer.cmms(weather.url)
    cmms.find(wanted.key)
    weather.fail(6, status=429, headers=headers)

    with pytest.raises(CmmsBusy) as busy:
        cmms.create(wanted)

    assert busy.value.after_s == after_s


@pytest.mark.parametrize("status", [401, 403])
def test_credentials_that_no_longer_hold_are_no_refusal_of_the_order(peer: Peer, weather: Weather, status: int) -> None:
    cmms = peer.cmms(weather.url)
    cmms.find(request(peer).key)
    weather.fail(12, status=status, body=b'{"message": "the token has expired"}')

    with pytest.raises(CmmsDenied):
        cmms.create(request(peer))


@pytest.mark.parametrize("body", [b"", b"<html>Welcome</html>", b"[]", b"{}"])
def test_a_good_status_without_an_order_is_no_success(peer: Peer, weather: Weather, body: bytes) -> None:
    cmms = peer.cmms(weather.url)
    cmms.find(request(peer).key)
    weather.fail(12, status=200, body=body)

    with pytest.raises((RetryLater, CmmsRefused)):
        cmms.create(request(peer))


def test_a_connection_that_breaks_is_for_later(peer: Peer, weather: Weather) -> None:
    cmms = peer.cmms(weather.url)
    cmms.find(request(peer).key)
    weather.fail(12, status=0)

    with pytest.raises(RetryLater):
        cmms.create(request(peer))


def _status(cmms: Cmms, ref: str) -> Status:
    found = cmms.get(ref)
    assert found is not None
    return found.status


def _codes(closure: Any) -> dict[str, str]:
    return {name: closure[name] for name in ("failure_mode", "failure_cause", "action_taken")}


def _or_skip(act: Any) -> Any:
    try:
        return act()
    except CannotDo as cannot:
        pytest.skip(str(cannot))
