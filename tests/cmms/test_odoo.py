"""What only Odoo has, on the real Odoo 19: its import that never says no aloud, its board, its unsigned messages."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cli.peers import Gone, apt
from cli.peers.odoo import _of_postgres
from telltale.adapters.cmms.odoo import ORDER, Odoo
from telltale.adapters.cmms.port import CmmsDenied, Forged, Picture, Status, UnknownAsset
from telltale.core.closure import closure
from telltale.core.errors import CmmsRefused, RetryLater

from tests.cmms.peer import Peer
from tests.cmms.peer_odoo import CODES, OdooPeer, now_ms
from tests.cmms.test_contract import FOUND, PIXEL, request

pytestmark = pytest.mark.xdist_group("odoo")


@pytest.fixture
def peer(started: Callable[[str], Peer]) -> OdooPeer:
    found = started("odoo")
    assert isinstance(found, OdooPeer)
    return found


@pytest.fixture
def cmms(peer: OdooPeer) -> Odoo:
    return peer.cmms()


@pytest.fixture
def older(peer: OdooPeer) -> Odoo:
    """By the interface that Odoo 14 to 18 have."""
    return peer.cmms(settings={"api": "jsonrpc"})


def read(peer: OdooPeer, ref: str, *fields: str) -> dict[str, Any]:
    [found] = peer.mia(ORDER, "read", ids=[int(ref)], fields=list(fields))
    return dict(found)


# ---- the interface of Odoo 14 to 18 ---------------------------------------------------------------


def test_the_older_interface_makes_and_reads_the_same_order(peer: OdooPeer, cmms: Odoo, older: Odoo) -> None:
    wanted = request(peer)

    made = older.create(wanted)

    assert made == older.find(wanted.key) == older.get(made.ref) == cmms.get(made.ref) == cmms.create(wanted)
    assert peer.count(wanted.key) == 1


def test_the_older_interface_updates_comments_attaches_and_closes(peer: OdooPeer, older: Odoo) -> None:
    wanted = request(peer)
    ref = older.create(wanted).ref

    older.update(ref, replace(wanted, severity="ALARM", title="ALARM: Pump 7"))
    for _ in range(2):
        older.comment(ref, "now at 7.4 mm/s & <rising>", key="case-a-2")
        older.attach(ref, Picture("case-a-1.png", "image/png", PIXEL))
    done = older.set_status(ref, Status.DONE, by="mia", closure=FOUND)

    assert (done.status, done.shows["title"], done.closure) == (Status.DONE, "ALARM: Pump 7", FOUND.as_dict())
    assert sum("7.4 mm/s &amp; &lt;rising&gt;" in one for one in peer.comments(ref)) == peer.pictures(ref) == 1


def test_the_older_interface_says_what_is_wrong_in_the_same_words(peer: OdooPeer, older: Odoo) -> None:
    wanted = request(peer)

    assert older.find(wanted.key) is None
    assert older.get("2000000000") is None
    with pytest.raises(CmmsDenied):
        peer.cmms(settings={"api": "jsonrpc"}, secrets={"api_key": "wrong"}).find(wanted.key)
    with pytest.raises(CmmsRefused, match="x_nothing"):
        older.create(replace(wanted, fields={"x_nothing": "1"}))
    with pytest.raises(UnknownAsset):
        older.create(replace(wanted, asset="no-such-asset-77"))


# ---- creating is an import ------------------------------------------------------------------------


def test_a_refusal_that_comes_with_status_200_is_a_refusal(peer: OdooPeer) -> None:
    wanted = request(peer)

    with pytest.raises(CmmsRefused, match="No such team"):
        peer.cmms(settings={"team": "No such team"}).create(wanted)

    assert peer.count(wanted.key) == 0


def test_a_field_that_odoo_does_not_have_is_a_refusal(peer: OdooPeer, cmms: Odoo) -> None:
    with pytest.raises(CmmsRefused, match="x_nothing"):
        cmms.create(request(peer, fields={"x_nothing": "1"}))


def test_eight_workers_at_once_make_one_order(peer: OdooPeer) -> None:
    wanted, refs = request(peer), []

    def create() -> None:
        while True:
            try:
                refs.append(peer.cmms().create(wanted).ref)
                return
            except RetryLater:
                time.sleep(0.05)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(refs), len(set(refs)), peer.count(wanted.key)) == (8, 1, 1)


def test_creating_again_leaves_a_technicians_words_alone(peer: OdooPeer, cmms: Odoo) -> None:
    wanted = request(peer)
    ref = cmms.create(wanted).ref
    peer.edit(ref, title="Mia's own words")

    again = cmms.create(replace(wanted, title="ALARM: Pump 7", severity="ALARM"))

    assert (again.ref, again.shows["title"], again.shows["severity"]) == (ref, "Mia's own words", "2")


def test_looking_for_an_order_writes_nothing(peer: OdooPeer, cmms: Odoo) -> None:
    wanted = request(peer)
    ref = cmms.create(wanted).ref
    peer.edit(ref, title="Mia's own words")
    before = read(peer, ref, "write_date", "write_uid", "name")

    found = cmms.find(wanted.key)

    assert found is not None
    assert read(peer, ref, "write_date", "write_uid", "name") == before


def test_an_order_that_was_deleted_can_be_made_anew(peer: OdooPeer, cmms: Odoo) -> None:
    wanted = request(peer)
    first = cmms.create(wanted).ref
    peer.delete(first)

    second = cmms.create(wanted).ref

    assert cmms.get(first) is None
    assert second != first
    assert peer.count(wanted.key) == 1


def test_fields_of_the_plant_file_come_with_the_order(peer: OdooPeer, cmms: Odoo) -> None:
    fields = {"maintenance_type": "preventive", "duration": 1.5, "user_id": "Mia", "recurring_maintenance": False}

    ref = cmms.create(request(peer, fields=fields)).ref

    found = read(peer, ref, "maintenance_type", "user_id", "equipment_id", "maintenance_team_id")
    assert (found["maintenance_type"], found["user_id"][1]) == ("preventive", "Mia")
    assert (found["equipment_id"][1], found["maintenance_team_id"][1]) == ("Pump 7/pump-7", "Internal Maintenance")


def test_a_description_is_text_whatever_stands_in_it_and_its_links_can_be_followed(peer: OdooPeer, cmms: Odoo) -> None:
    text = "Why: 4.8 > 4.5 & <b>rising</b>\nSee: https://example.com/e?case=1&sig=a-b_c"

    ref = cmms.create(request(peer, description=text)).ref

    html = read(peer, ref, "description")["description"]
    assert "4.8 &gt; 4.5 &amp; &lt;b&gt;rising&lt;/b&gt;<br>See: " in html
    assert 'href="https://example.com/e?case=1&amp;sig=a-b_c"' in html


# ---- the board ------------------------------------------------------------------------------------


def test_stages_count_by_what_they_do_whatever_they_are_called(peer: OdooPeer, cmms: Odoo) -> None:
    ref, stage = cmms.create(request(peer)).ref, peer.stage("Repaired")
    try:
        peer.mia("maintenance.stage", "write", ids=[stage], vals={"name": "Repariert"})

        done = peer.cmms(now_ms=lambda: now_ms() + 600_000).set_status(ref, Status.DONE, by="mia")
    finally:
        peer.mia("maintenance.stage", "write", ids=[stage], vals={"name": "Repaired"})

    assert (done.status, done.raw_status) == (Status.DONE, "Repariert")


def test_the_plant_file_says_what_other_stages_mean(peer: OdooPeer) -> None:
    waiting = {"name": "Waiting for parts", "sequence": 9, "done": False}
    [stage] = peer.mia("maintenance.stage", "create", vals_list=[waiting])
    statuses = {"Scrap": "CANCELLED", str(stage): "ON_HOLD"}
    cmms, ref = peer.cmms(settings={"statuses": statuses}), ""
    try:
        ref = cmms.create(request(peer)).ref
        on_hold = cmms.set_status(ref, Status.ON_HOLD, by="mia")
        cancelled = cmms.set_status(ref, Status.CANCELLED, by="mia")
    finally:
        peer.delete(ref)
        peer.mia("maintenance.stage", "unlink", ids=[stage])

    assert (on_hold.status, on_hold.raw_status) == (Status.ON_HOLD, "Waiting for parts")
    assert (cancelled.status, cancelled.raw_status) == (Status.CANCELLED, "Scrap")


def test_an_order_says_who_moved_it_though_somebody_else_wrote_later(peer: OdooPeer, cmms: Odoo) -> None:
    wanted = request(peer)
    ref = cmms.create(wanted).ref
    before_ms = now_ms()
    peer.take_up(ref, "mia")
    taken_up = cmms.get(ref)

    cmms.update(ref, replace(wanted, severity="ALARM"))

    later = cmms.get(ref)
    assert taken_up is not None
    assert later is not None
    assert taken_up.by == later.by == "Mia"
    assert abs(taken_up.changed_ms - before_ms) < 60_000
    assert later.changed_ms == taken_up.changed_ms


def test_codes_of_the_last_closure_are_gone_when_an_order_is_opened_again(peer: OdooPeer, cmms: Odoo) -> None:
    ref = cmms.create(request(peer)).ref
    cmms.set_status(ref, Status.DONE, by="mia", closure=FOUND)

    opened = cmms.set_status(ref, Status.OPEN, by="telltale")

    assert opened.closure is None


def test_without_fields_for_codes_the_closure_is_said_in_a_note(peer: OdooPeer) -> None:
    cmms = peer.cmms(settings={"codes": {}})
    ref = cmms.create(request(peer)).ref

    done = cmms.set_status(ref, Status.DONE, by="mia", closure=closure(
        failure_mode="IMBALANCE", failure_cause="DESIGN", action_taken="ADJUST", note="<heavy>"
    ))  # fmt: skip

    assert (done.closure, cmms.capabilities.codes) == (None, False)
    assert any("DONE by mia: IMBALANCE, DESIGN, ADJUST, &lt;heavy&gt;" in one for one in peer.comments(ref))


def test_an_order_that_people_made_themselves_is_none_of_telltales(peer: OdooPeer, cmms: Odoo) -> None:
    [theirs] = peer.mia(ORDER, "create", vals_list=[{"name": "Paint the door"}])

    assert cmms.get(str(theirs)) is None


# ---- rights ---------------------------------------------------------------------------------------


def test_a_key_that_does_not_hold_is_no_refusal(peer: OdooPeer) -> None:
    with pytest.raises(CmmsDenied):
        peer.cmms(secrets={"api_key": "0" * 40}).create(request(peer))


def test_an_order_that_may_not_be_seen_any_more_is_not_taken_for_deleted(peer: OdooPeer, cmms: Odoo) -> None:
    ref = cmms.create(request(peer)).ref
    asked = {"domain": [["login", "=", "telltale"]], "fields": ["group_ids", "partner_id"]}
    [bot] = peer.server.ask("admin", "res.users", "search_read", **asked)
    [employee] = peer.server.ask("admin", "res.groups", "search_read", domain=[["name", "=", "Role / User"]], fields=[])
    peer.mia(ORDER, "write", ids=[int(ref)], vals={"owner_user_id": False})
    peer.mia(ORDER, "message_unsubscribe", ids=[int(ref)], partner_ids=[bot["partner_id"][0]])
    groups = {"group_ids": [[6, 0, [employee["id"]]]]}
    try:
        peer.server.ask("admin", "res.users", "write", ids=[bot["id"]], vals=groups)

        with pytest.raises(CmmsDenied):
            cmms.get(ref)
    finally:
        back = {"group_ids": [[6, 0, bot["group_ids"]]]}
        peer.server.ask("admin", "res.users", "write", ids=[bot["id"]], vals=back)
    assert cmms.get(ref) is not None


# ---- machines and parts ---------------------------------------------------------------------------


def test_a_machine_is_known_by_serial_number_external_id_or_name(peer: OdooPeer, cmms: Odoo) -> None:
    row = {"fields": ["id", "name", "serial_no"], "data": [["plant.fan_3", "Fan 3", "F-0003"]]}
    peer.mia("maintenance.equipment", "load", **row)

    assert {cmms.asset(key) for key in ("F-0003", "plant.fan_3", "Fan 3")} == {"Fan 3"}


def test_a_name_that_two_machines_have_names_neither(peer: OdooPeer, cmms: Odoo) -> None:
    peer.mia("maintenance.equipment", "create", vals_list=[{"name": "Compressor"}, {"name": "Compressor"}])

    with pytest.raises(UnknownAsset, match="2 pieces"):
        cmms.create(request(peer, asset="Compressor"))


def test_a_part_of_which_none_is_left_is_known(peer: OdooPeer, cmms: Odoo) -> None:
    peer.server.ask("admin", "product.product", "create", vals_list=[{"name": "Seal", "default_code": "SEAL-1"}])

    none, some = cmms.stock("SEAL-1"), cmms.stock(peer.spare_part)

    assert (none and none.quantity, some and some.quantity, some and some.where) == (0, 4, "WH/Stock")


# ---- what Odoo tells ------------------------------------------------------------------------------


def test_a_message_is_believed_by_its_password_for_five_minutes(peer: OdooPeer, cmms: Odoo) -> None:
    ref = cmms.create(request(peer)).ref
    headers, body = peer.hint(ref)

    assert [hint.ref for hint in cmms.verify_webhook(headers, body)] == [ref]
    with pytest.raises(Forged, match="within"):
        peer.cmms(now_ms=lambda: now_ms() + 301_000).verify_webhook(headers, body)
    for password in ("another", ""):
        with pytest.raises(Forged, match="password"):
            peer.cmms(secrets={"hint_password": password}).verify_webhook(headers, body)


@pytest.mark.parametrize(
    "change",
    [{"_id": "7"}, {"_id": True}, {"_id": 0}, {"_model": "res.users"}, {"write_date": None}, {"write_date": "soon"}],
)
def test_a_message_about_anything_else_is_refused(peer: OdooPeer, cmms: Odoo, change: dict[str, Any]) -> None:
    headers, body = peer.hint(cmms.create(request(peer)).ref)

    with pytest.raises(Forged):
        cmms.verify_webhook(headers, json.dumps({**json.loads(body), **change}).encode())


# ---- where Odoo comes from ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("sources.list.d/debian.sources", "Types: deb\nURIs: http://a/debian\nSuites: bookworm\nComponents: main\n\n"
         "Types: deb\nURIs: http://a/security\nSuites: bookworm-security\nComponents: main\n",
         ("sources", "Types: deb\nURIs: http://a/debian\nSuites: sid\nComponents: main\n")),
        ("sources.list", "# mine\ndeb [signed-by=/k] http://a/debian trixie main contrib\n",
         ("list", "deb [signed-by=/k] http://a/debian sid main\n")),
    ],
)  # fmt: skip
def test_debians_other_suite_is_asked_for_where_the_machine_gets_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, found: tuple[str, str]
) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / name).write_text(text)
    monkeypatch.setattr(apt, "SOURCES", tmp_path)

    assert (apt.of_suite("sid")[0], apt.of_suite("sid")[1].strip()) == (found[0], found[1].strip())


def test_a_machine_without_debians_packages_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sources.list").write_text("deb http://a/ubuntu noble main\n")
    monkeypatch.setattr(apt, "SOURCES", tmp_path)

    with pytest.raises(Gone, match="no source of Debian packages"):
        apt.of_suite("sid")


def test_of_postgresql_only_what_a_server_needs_is_fetched() -> None:
    offered = [
        "libc6",
        "libpq5",
        "libllvm14",
        "postgresql-15",
        "postgresql-client-15",
        "postgresql-common",
        "libjson-perl",
    ]

    assert [one for one in offered if _of_postgres(one)] == ["libpq5", "postgresql-15", "postgresql-client-15"]


def test_every_code_has_its_field() -> None:
    assert set(CODES) == set(FOUND.as_dict())
