"""What is Maximo's own, beside what every maintenance system keeps to (test_contract.py)."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from telltale.adapters.cmms.oauth import basic
from telltale.adapters.cmms.port import DESCRIPTION, SEVERITY, CmmsDenied, Forged, Status, UnknownAsset
from telltale.core.closure import closure
from telltale.core.errors import CmmsRefused, RetryLater

from tests.cmms import maximo_server
from tests.cmms.peer import Peer
from tests.cmms.peer_maximo import CAUSES, HINT_PASSWORD, MaximoPeer, serving
from tests.cmms.test_contract import request
from tests.cmms.weather import before

pytestmark = pytest.mark.xdist_group("maximo")
FOUND = closure(failure_mode="LUBRICATION", failure_cause="WEAR", action_taken="LUBRICATE", note="dry, 40 g added")
FROM_TELLTALE = basic("telltale", HINT_PASSWORD)


@pytest.fixture
def maximo(started: Callable[[str], Peer]) -> MaximoPeer:
    peer = started("maximo")
    assert isinstance(peer, MaximoPeer)
    return peer


def test_a_move_that_maximo_answers_with_204_and_does_not_make_is_no_success() -> None:
    with serving(silent=True) as maximo:
        cmms = maximo.cmms(settings={"moves": {"ON_HOLD": "WSCH"}})
        ref = cmms.create(request(maximo)).ref
        cmms.set_status(ref, Status.IN_PROGRESS, by="mia")

        with pytest.raises(CmmsRefused, match="INPRG and stays so"):
            cmms.set_status(ref, Status.ON_HOLD, by="mia")


def test_a_move_that_maximo_refuses_is_refused_in_its_words(maximo: MaximoPeer) -> None:
    cmms = maximo.cmms(settings={"moves": {"ON_HOLD": "WSCH"}})
    ref = cmms.create(request(maximo)).ref
    cmms.set_status(ref, Status.IN_PROGRESS, by="mia")

    with pytest.raises(CmmsRefused, match="BMXAA4638E"):
        cmms.set_status(ref, Status.ON_HOLD, by="mia")


def test_what_a_site_wants_before_comp_is_named_and_can_be_set_in_the_plant_file() -> None:
    with serving(mandatory=("lead",)) as maximo:
        ref = maximo.cmms().create(request(maximo)).ref

        with pytest.raises(CmmsRefused, match="A value is required for the lead field"):
            maximo.cmms().set_status(ref, Status.DONE, by="mia", closure=FOUND)
        done = maximo.cmms(settings={"completion": {"lead": "MIA"}}).set_status(ref, Status.DONE, by="mia")

        assert done.raw_status == "COMP"
        assert maximo.server.orders[ref]["lead"] == "MIA"


def test_an_order_in_progress_is_cancelled_by_way_of_waiting_for_approval(maximo: MaximoPeer) -> None:
    cmms = maximo.cmms()
    ref = cmms.create(request(maximo)).ref
    maximo.take_up(ref, "mia")

    assert cmms.set_status(ref, Status.CANCELLED, by="telltale").raw_status == "CAN"


def test_a_synonym_reads_as_its_internal_value_unless_the_plant_file_says_otherwise(maximo: MaximoPeer) -> None:
    ref = maximo.cmms().create(request(maximo)).ref
    maximo.server.move(ref, "WIP", "mia")

    read = maximo.cmms().get(ref)
    told = maximo.cmms(settings={"statuses": {"WIP": "ON_HOLD"}}).get(ref)

    assert read is not None
    assert told is not None
    assert (read.status, read.raw_status, read.by) == (Status.IN_PROGRESS, "WIP", "mia")
    assert told.status is Status.ON_HOLD


def test_a_status_that_nobody_named_is_asked_for_and_not_guessed(
    maximo: MaximoPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(maximo_server.SYNONYMS, "FLDCOMP", "FLDCOMP")
    ref = maximo.cmms().create(request(maximo)).ref
    maximo.server.move_anyway(ref, "FLDCOMP")

    with pytest.raises(RetryLater, match=r"'FLDCOMP' .* is not in the setting `statuses`"):
        maximo.cmms().get(ref)
    order = maximo.cmms(settings={"statuses": {"FLDCOMP": "DONE"}}).get(ref)
    assert order is not None
    assert order.status is Status.DONE


def test_a_comment_leaves_a_technicians_worklog_alone(maximo: MaximoPeer) -> None:
    cmms = maximo.cmms()
    ref = cmms.create(request(maximo)).ref
    maximo.server.orders[ref]["worklog"].append({"description": "Mia: bearing runs dry", "logtype": "UPDATE"})

    cmms.comment(ref, "now at 7.4 mm/s, " + "still rising, " * 20, key="case-a-2")

    first, second = maximo.server.orders[ref]["worklog"]
    assert first["description"] == "Mia: bearing runs dry"
    assert len(second["description"]) <= 100
    assert second["description_longdescription"].count("still rising") == 20


def test_codes_of_the_failure_report_that_a_technician_filled_in_are_kept(maximo: MaximoPeer) -> None:
    cmms = maximo.cmms()
    ref = cmms.create(request(maximo)).ref
    maximo.server.orders[ref]["failurereport"] = [{"type": "CAUSE", "failurecode": CAUSES["OPERATION"]}]

    done = cmms.set_status(ref, Status.DONE, by="mia", closure=FOUND)

    assert done.closure == {
        "failure_mode": "LUBRICATION",
        "failure_cause": "OPERATION",
        "action_taken": "LUBRICATE",
    }
    assert any("dry, 40 g added" in one for one in maximo.comments(ref))


def test_a_code_of_the_plants_own_is_told_as_it_stands(maximo: MaximoPeer) -> None:
    cmms = maximo.cmms(settings={"problem_codes": {"IMBALANCE": "UNBAL"}})
    ref = cmms.create(request(maximo)).ref

    maximo.close(ref, "mia", FOUND)

    order = cmms.get(ref)
    assert order is not None
    assert order.closure is not None
    assert order.closure["failure_mode"] == "DRY"


@pytest.mark.parametrize("missing", ["failure_class", "problem_codes", "cause_codes", "remedy_codes"])
def test_without_class_and_codes_the_technician_is_asked_by_a_link(maximo: MaximoPeer, missing: str) -> None:
    cmms = maximo.cmms(settings={missing: "" if missing == "failure_class" else {}})
    ref = cmms.create(request(maximo)).ref

    done = cmms.set_status(ref, Status.DONE, by="mia", closure=FOUND)

    assert not cmms.capabilities.codes
    assert done.closure is None


def test_an_asset_of_another_site_is_not_known(maximo: MaximoPeer) -> None:
    assert maximo.cmms().asset("77") is None
    with pytest.raises(UnknownAsset, match="BMXAA0090E"):
        maximo.cmms().create(request(maximo, asset="77"))
    assert maximo.cmms(settings={"siteid": "NASHUA"}).asset("77") == "Another site's pump"


def test_codes_and_priorities_may_be_written_as_numbers(maximo: MaximoPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(maximo_server.FAILURES["PUMPS"], "PROBLEM", {"1000"})
    cmms = maximo.cmms(settings={"problem_codes": {"LUBRICATION": 1000}, "priorities": {"WARNING": 5}})
    made = cmms.create(request(maximo))

    done = cmms.set_status(made.ref, Status.DONE, by="mia", closure=FOUND)

    assert made.shows[SEVERITY] == "5"
    assert done.closure is not None
    assert done.closure["failure_mode"] == "LUBRICATION"


def test_an_asset_can_be_a_location(maximo: MaximoPeer) -> None:
    made = maximo.cmms().create(request(maximo, asset="loc:BR300"))

    assert maximo.server.orders[made.ref]["location"] == "BR300"
    assert maximo.cmms().asset("loc:BR300") == "Boiler room reciprocating compressor"


def test_a_key_with_a_quote_ends_no_where_clause(maximo: MaximoPeer) -> None:
    assert maximo.cmms().asset('x" and siteid="BEDFORD') is None


def test_a_field_that_is_too_short_for_the_key_is_refused_and_another_can_be_named(
    maximo: MaximoPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(maximo_server.LENGTHS, "externalrefid", 10)
    monkeypatch.setattr(maximo_server, "ATTRIBUTES", maximo_server.ATTRIBUTES | {"ttkey"})
    monkeypatch.setattr(maximo_server, "WRITABLE", maximo_server.WRITABLE | {"ttkey"})
    asked, cmms = request(maximo), maximo.cmms(settings={"key_field": "ttkey"})

    with pytest.raises(CmmsRefused, match="BMXAA4049E"):
        maximo.cmms().create(asked)
    assert cmms.find(asked.key) is None
    assert cmms.create(asked) == cmms.find(asked.key)


def test_the_plants_own_fields_are_created_and_a_wrong_one_is_refused_in_maximos_words(maximo: MaximoPeer) -> None:
    made = maximo.cmms().create(request(maximo, fields={"worktype": "EM", "reportedby": "TELLTALE"}))

    assert maximo.server.orders[made.ref]["worktype"] == "EM"
    with pytest.raises(CmmsRefused, match="Work type XX is not in the value list"):
        maximo.cmms().create(request(maximo, fields={"worktype": "XX"}))


def test_signs_of_html_in_a_description_stay_signs_and_lines_stay_lines(maximo: MaximoPeer) -> None:
    made = maximo.cmms().create(request(maximo, description="Where: <pump> & motor\nWhy: 4.8 > 4.5"))

    assert made.shows[DESCRIPTION].startswith("Where: &lt;pump&gt; &amp; motor<br />Why: 4.8 &gt; 4.5")


def test_an_update_that_changes_nothing_asks_nothing_of_maximo(maximo: MaximoPeer) -> None:
    asked = request(maximo)
    with before(maximo.url) as weather:
        cmms = maximo.cmms(weather.url)
        ref = cmms.create(asked).ref
        weather.seen.clear()

        cmms.update(ref, asked, (SEVERITY,))

    assert [method for method, _ in weather.seen] == ["GET"]


def test_making_an_order_takes_three_requests(maximo: MaximoPeer) -> None:
    asked = request(maximo)
    with before(maximo.url) as weather:
        cmms = maximo.cmms(weather.url)
        assert cmms.find(asked.key) is None
        cmms.create(asked)

    assert [method for method, _ in weather.seen] == ["GET", "POST", "GET"]


def test_an_order_is_made_once_though_the_answer_had_no_body(maximo: MaximoPeer) -> None:
    asked = request(maximo)
    with before(maximo.url) as weather:
        weather.fail(1, when="after", status=201, methods=("POST",))

        made = maximo.cmms(weather.url).create(asked)

    assert made.key == asked.key
    assert maximo.count(asked.key) == 1


def test_an_order_in_history_takes_no_comment(maximo: MaximoPeer) -> None:
    cmms = maximo.cmms()
    ref = cmms.create(request(maximo)).ref
    maximo.close(ref, "mia", FOUND)
    maximo.server.move(ref, "CLOSE", "planner")

    assert cmms.get(ref) is not None
    with pytest.raises(CmmsRefused, match="history"):
        cmms.comment(ref, "still 2.1 × baseline", key="case-a-9")


def test_a_key_that_does_not_hold_is_no_refusal(maximo: MaximoPeer) -> None:
    with pytest.raises(CmmsDenied):
        maximo.cmms(secrets={"apikey": "expired"}).find("A" * 20)


def test_the_stock_of_all_storerooms_is_added_up(maximo: MaximoPeer) -> None:
    stock = maximo.cmms().stock("0-0514")

    assert stock is not None
    assert (stock.quantity, stock.where) == (5.0, "CENTRAL, SHIPS")


@pytest.mark.parametrize(
    ("said", "refs"),
    [
        ({"wonum": "1201", "siteid": "BEDFORD"}, ["1201"]),
        ({"WORKORDER": [{"WONUM": "1201", "SITEID": "BEDFORD"}]}, ["1201"]),
        ({"spi:wonum": "1201"}, ["1201"]),
        ([{"wonum": "1201"}, {"wonum": "1202", "siteid": "NASHUA"}], ["1201"]),
        ({"PublishMXWO": {"MXWOSet": {"WORKORDER": {"wonum": "1201"}}}}, ["1201"]),
    ],
)
def test_a_message_is_understood_however_the_channel_wraps_it(maximo: MaximoPeer, said: Any, refs: list[str]) -> None:
    hints = maximo.cmms().verify_webhook(FROM_TELLTALE, json.dumps(said).encode())

    assert [hint.ref for hint in hints] == refs


@pytest.mark.parametrize(("site", "refs"), [("BEDFORD", ["1201", "A&B"]), ("NASHUA", [])])
def test_a_message_may_be_maximos_own_xml(maximo: MaximoPeer, site: str, refs: list[str]) -> None:
    said = f"""<?xml version="1.0" encoding="UTF-8"?>
<PublishMXWODETAIL xmlns="http://www.ibm.com/maximo" transLanguage="EN"><MXWODETAILSet>
<WORKORDER action="Update"><SITEID>{site}</SITEID><STATUS changed="1" maxvalue="COMP">COMP</STATUS>
<WONUM changed="0">1201</WONUM></WORKORDER><WORKORDER action="Update"><WONUM>A&amp;B</WONUM></WORKORDER>
</MXWODETAILSet></PublishMXWODETAIL>"""

    assert [hint.ref for hint in maximo.cmms().verify_webhook(FROM_TELLTALE, said.encode())] == refs


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b'{"wonum":"1201"}'),
        (basic("telltale", "guessed"), b'{"wonum":"1201"}'),
        (basic("maxadmin", HINT_PASSWORD), b'{"wonum":"1201"}'),
        (basic("telltale", "guessed"), b"<WORKORDER><WONUM>1201</WONUM></WORKORDER>"),
        (FROM_TELLTALE, b"<ASSET><ASSETNUM>11430</ASSETNUM></ASSET>"),
        (FROM_TELLTALE, b"wonum=1201"),
        (FROM_TELLTALE, b'{"assetnum":"11430"}'),
        (FROM_TELLTALE, b'{"wonum":1201}'),
    ],
)
def test_a_message_without_the_password_or_an_order_is_refused(
    maximo: MaximoPeer, headers: dict[str, str], body: bytes
) -> None:
    with pytest.raises(Forged):
        maximo.cmms().verify_webhook(headers, body)


def test_nobody_is_believed_where_no_password_is_set(maximo: MaximoPeer) -> None:
    with pytest.raises(Forged):
        maximo.cmms(secrets={"apikey": "x"}).verify_webhook(basic("telltale", ""), b'{"wonum":"1201"}')


def test_a_rise_in_severity_alone_leaves_the_words_alone(maximo: MaximoPeer) -> None:
    asked = request(maximo)
    cmms = maximo.cmms()
    ref = cmms.create(asked).ref
    maximo.edit(ref, title="Mia's own words")

    updated = cmms.update(ref, replace(asked, severity="ALARM", title="ALARM"), (SEVERITY,))

    assert (updated.shows[SEVERITY], updated.shows["title"]) == ("1", "Mia's own words")
