"""The evidence page's function, with a real picture in S3: what it shows, to whom, and what becomes of an answer."""

import base64
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from telltale.core.closure import LISTS
from telltale.core.replies import Reply

from tests.aws_line import START_MS
from tests.contracts.evidence import FALSE_CODES, KEY, Evidence, evidence

FORM = "application/x-www-form-urlencoded"
DONE = {
    "answer": "done", "form": "f1", "by": "Mia", "failure_mode": "LUBRICATION", "failure_cause": "MAINTENANCE",
    "action_taken": "LUBRICATE", "note": "was dry",
}  # fmt: skip


@pytest.fixture(scope="module")
def shared() -> Iterator[Evidence]:
    with evidence() as made:
        yield made


@pytest.fixture
def at(shared: Evidence) -> Evidence:
    """With nothing left in the queues of an earlier test."""
    shared.replies(), shared.told_notices()
    return shared


def posts(at: Evidence, link: str = "", **fields: str) -> dict[str, Any]:
    return at.asks("POST", link or at.link(), body=urlencode(fields).encode(), content_type=FORM)


# ---- who sees it ----------------------------------------------------------------------------------


def test_who_has_the_link_sees_the_case_with_its_picture(at: Evidence) -> None:
    picture = at.made.s3.get_object(Bucket="lake", Key=f"evidence/{at.case_id}/1.svg")["Body"].read()

    answer = at.asks("GET", at.link())

    assert answer["statusCode"] == 200
    assert answer["headers"]["Content-Type"] == "text/html; charset=utf-8"
    assert base64.b64encode(picture).decode() in answer["body"]
    for words in ("Pump 7 – motor DE", "9 mm/s", "Bearing, outer race", "6205-2RS C3", "Riverside water works"):
        assert words in answer["body"]


def test_every_answer_forbids_scripts_strangers_caches_and_frames(at: Evidence) -> None:
    answers = [at.asks("GET", link) for link in (at.link(), at.link(key="x"), "https://p/")]

    for answer in answers:
        policy = answer["headers"]["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; ")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer["headers"]["Cache-Control"] == "private, no-store"
        assert answer["headers"]["Referrer-Policy"] == "no-referrer"
        assert answer["headers"]["X-Content-Type-Options"] == "nosniff"


@given(st.data())
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_link_with_a_changed_letter_shows_nothing_of_the_plant(at: Evidence, data: st.DataObject) -> None:
    token = at.link().removeprefix("https://p/")
    place = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.sampled_from([c for c in "abcXYZ019-_.%" if c != token[place]]))

    answer = at.asks("GET", f"https://p/{token[:place]}{letter}{token[place + 1 :]}")

    assert answer["statusCode"] in (403, 404)
    assert "plant" not in answer["body"].lower()
    assert at.case_id not in answer["body"]


def test_a_link_of_another_key_is_refused_and_takes_no_answer(at: Evidence) -> None:
    forged = at.link(key="x" * 64)

    assert at.asks("GET", forged)["statusCode"] == 403
    assert posts(at, forged, **DONE)["statusCode"] == 403
    assert at.replies() == []


def test_an_old_link_says_that_it_is_over_and_nothing_else(at: Evidence) -> None:
    old = at.link(age_days=91)
    answer = at.asks("GET", old)

    assert answer["statusCode"] == 410
    assert "no longer good" in answer["body"]
    assert "pump" not in answer["body"].lower()
    assert posts(at, old, **DONE)["statusCode"] == 410
    assert at.replies() == []


@pytest.mark.parametrize("path", ["", "favicon.ico", "robots.txt", "../cases", "1.a/b.c", "." * 3000])
def test_anything_else_is_not_there(at: Evidence, path: str) -> None:
    assert at.asks("GET", f"https://p/{path}")["statusCode"] in (403, 404)


def test_who_only_asks_whether_it_is_there_gets_no_body_and_other_methods_nothing(at: Evidence) -> None:
    head = at.asks("HEAD", at.link())

    assert (head["statusCode"], head["body"]) == (200, "")
    assert at.asks("PUT", at.link())["statusCode"] == 405
    assert at.asks("DELETE", at.link())["statusCode"] == 405


def test_a_link_to_a_case_that_is_no_longer_kept_says_so(at: Evidence) -> None:
    assert at.asks("GET", at.link("case-erased"))["statusCode"] == 404


# ---- what people answer ---------------------------------------------------------------------------


def test_i_have_it_tells_the_worker_of_orders_who(at: Evidence) -> None:
    answer = posts(at, answer="take", form="f1", by=" Mia ")

    assert (answer["statusCode"], answer["headers"]["Location"]) == (303, "?noted=take")
    [message] = at.replies()
    assert message["detail"] == {"case_id": at.case_id}
    assert {**message["reply"], "id": ""} == {
        "kind": "acknowledged", "by": "Mia", "at_ms": at.line.clock.now_ms, "closure": None, "id": "",
    }  # fmt: skip
    assert "It is noted that you have it." in at.asks("GET", at.link() + answer["headers"]["Location"])["body"]


def test_done_carries_the_three_codes_and_the_note(at: Evidence) -> None:
    assert posts(at, **DONE)["statusCode"] == 303

    [message] = at.replies()
    assert (message["reply"]["kind"], message["reply"]["by"]) == ("closed", "Mia")
    assert message["reply"]["closure"] == {name: DONE[name] for name in (*LISTS, "note")}


def test_a_false_alarm_is_closed_as_no_issue(at: Evidence) -> None:
    posts(at, answer="false-alarm", form="f1", by="Mia")

    [message] = at.replies()
    assert (message["reply"]["kind"], message["reply"]["closure"]) == ("closed", FALSE_CODES)


@pytest.mark.parametrize("answer", ["take", "done", "false-alarm"])
def test_the_worker_of_orders_reads_every_answer_as_it_was_given(at: Evidence, answer: str) -> None:
    posts(at, **{**DONE, "answer": answer})

    [message] = at.replies()
    read = Reply.of(message["reply"])
    assert (read.kind, read.by, read.at_ms, read.id, read.closure) == tuple(
        message["reply"][name] for name in ("kind", "by", "at_ms", "id", "closure")
    )


def test_a_form_sent_twice_is_one_answer_and_another_one_is_another(at: Evidence) -> None:
    for fields in (DONE, DONE, {**DONE, "form": "f2"}, {**DONE, "note": "was very dry"}):
        posts(at, **fields)

    ids = [message["reply"]["id"] for message in at.replies()]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert all(len(one) == 32 and int(one, 16) >= 0 for one in ids)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"failure_mode": "GREMLINS"}, "“GREMLINS” is not on the list"),
        ({"failure_cause": ""}, "Please answer “Why did it happen?”"),
        ({"by": "  "}, "Please say who you are."),
        ({"by": "x" * 81}, "at most 80 letters"),
        ({"note": "x" * 1001}, "and a note 1000"),
        ({"answer": "explode"}, "not one of this page"),
    ],
)
def test_a_form_that_cannot_be_taken_comes_back_with_the_reason_and_what_was_typed(
    at: Evidence, changed: dict[str, str], says: str
) -> None:
    answer = posts(at, **{**DONE, **changed})

    assert answer["statusCode"] == 422
    assert says in answer["body"]
    assert 'value="LUBRICATE" selected' in answer["body"]
    assert at.replies() == []


def test_a_form_that_is_too_large_is_not_read(at: Evidence) -> None:
    assert posts(at, **{**DONE, "note": "x" * 20_001})["statusCode"] == 413
    assert at.replies() == []


def test_the_longest_note_of_any_script_fits(at: Evidence) -> None:
    posts(at, **{**DONE, "note": "🛠" * 1000})

    assert at.replies()[0]["reply"]["closure"]["note"] == "🛠" * 1000


@given(st.binary(max_size=300))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_posted_is_answered_and_nothing_but_a_whole_form_is_taken(at: Evidence, body: bytes) -> None:
    answer = at.asks("POST", at.link(), body=body, content_type=FORM)

    assert answer["statusCode"] == 422
    assert at.replies() == []


# ---- unsubscribing --------------------------------------------------------------------------------


def test_looking_at_the_link_to_unsubscribe_changes_nothing(at: Evidence) -> None:
    answer = at.asks("GET", at.unsubscribe("mia@example.com"))

    assert answer["statusCode"] == 200
    assert "mia@example.com gets notices of plant" in answer["body"]
    assert at.told_notices() == []


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", FORM),  # the button
        (b"List-Unsubscribe=One-Click", FORM),  # RFC 8058, and its other form
        (
            b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
        ),
    ],
)
def test_unsubscribing_takes_one_click_by_hand_and_by_a_mail_program(
    at: Evidence, body: bytes, content_type: str
) -> None:
    answer = at.asks("POST", at.unsubscribe("mia@example.com"), body=body, content_type=content_type)

    assert answer["statusCode"] == 200  # a mail program follows no redirect
    assert at.told_notices() == [
        {"unsubscribe": {"site": "plant", "to": "mia@example.com", "at_ms": at.line.clock.now_ms}}
    ]
    assert at.replies() == []


def test_a_link_of_a_notice_knows_who_it_was_sent_to(at: Evidence) -> None:
    assert 'value="mia@example.com"' in at.asks("GET", at.link(to="mia@example.com"))["body"]


def test_the_page_knows_its_key_and_tests_do_not_run_on_a_day_when_all_links_are_old(at: Evidence) -> None:
    assert at.made.secrets.get_secret_value(SecretId=at.key_arn)["SecretString"] == KEY
    assert at.line.clock.now_ms == START_MS
