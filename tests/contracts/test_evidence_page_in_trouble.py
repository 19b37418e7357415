"""The evidence page when something it needs is gone, late or new: it says what it can, and never what it should not."""

import re
from dataclasses import replace

from telltale.core.plant import Site

from tests.aws_line import POSITION, START_MS, change
from tests.contracts.evidence import evidence


def test_links_made_before_the_key_was_rotated_stay_good() -> None:
    with evidence() as at:
        before = at.link()
        at.asks("GET", before)

        at.made.secrets.put_secret_value(SecretId=at.key_arn, SecretString="n" * 64)

        assert at.asks("GET", before)["statusCode"] == 200


def test_a_picture_that_is_not_drawn_yet_is_said_to_be_missing_and_all_else_is_shown() -> None:
    with evidence() as at:
        at.made.s3.delete_object(Bucket="lake", Key=f"evidence/{at.case_id}/1.svg")

        answer = at.asks("GET", at.link())

        assert answer["statusCode"] == 200
        assert "The picture is not there." in answer["body"]
        assert "9 mm/s" in answer["body"]


def test_a_case_at_a_position_that_left_the_plant_is_shown_by_its_path() -> None:
    with evidence() as at:
        at.line.registry.delete("position", POSITION)
        at.line.registry.delete("site", "plant")

        answer = at.asks("GET", at.link())

        assert answer["statusCode"] == 200
        assert POSITION in answer["body"]
        assert "Times are of UTC." in answer["body"]


def test_a_failure_of_ours_is_told_as_one_without_what_failed() -> None:
    with evidence() as at:
        link = at.link()
        at.made.dynamodb.delete_table(TableName="cases")

        answer = at.asks("GET", link)

        assert answer["statusCode"] == 500
        assert "ResourceNotFound" not in answer["body"]
        assert "try again" in answer["body"]


def test_where_nobody_sends_notices_nobody_can_be_unsubscribed() -> None:
    with evidence(notices=False) as at:
        assert at.asks("POST", at.unsubscribe("mia@example.com"))["statusCode"] == 501


def test_a_time_zone_that_this_computer_does_not_know_is_told_as_utc() -> None:
    with evidence() as at:
        at.line.registry.put(Site("plant", time_zone="Mars/Olympus"))

        page = at.asks("GET", at.link())["body"]

        assert "Times are of UTC." in page
        assert "Since 21 Sep 2026, 17:13." in page


def test_the_page_of_a_case_without_an_order_of_its_own_leads_to_the_case_that_has_it() -> None:
    with evidence() as at:
        [case] = at.line.cases.all()
        parent, link = "case-" + "b" * 20, at.link(to="mia@example.com")
        joined = replace(case.change, revision=2, change="grouped", parent=parent, by="telltale", reason="joins")
        at.line.cases.put(POSITION, joined, changed_at=START_MS)
        at.line.cases.put(POSITION, change(case_id=parent, reason="x: 6 mm/s"), changed_at=START_MS)

        page = at.asks("GET", link)["body"]
        [token] = re.findall(rf'<a href="([^"]+)">{parent}</a>', page)
        of_the_parent = at.asks("GET", f"https://p/{token}")

        assert of_the_parent["statusCode"] == 200
        assert parent in of_the_parent["body"]
        assert 'value="mia@example.com"' in of_the_parent["body"]


def test_a_case_that_was_closed_shows_the_picture_of_what_opened_it_and_how_it_ended() -> None:
    with evidence() as at:
        [case] = at.line.cases.all()
        codes = {"failure_mode": "OTHER", "failure_cause": "WEAR", "action_taken": "REPLACE", "note": "race pitted"}
        link = at.link()
        closed = replace(case.change, revision=2, change="resolved", closure=codes, by="Mia", reason="by Mia")
        confirmed = replace(closed, revision=3, change="confirmed", evidence={"verdicts": []}, reason="as usual again")
        for one in (closed, confirmed):
            at.line.cases.put(POSITION, one, changed_at=START_MS)

        page = at.asks("GET", link)["body"]

        for words in ("How it ended", "race pitted", "as usual again", "data:image/svg+xml;base64,", "9 mm/s"):
            assert words in page
