"""What notices say: in as many characters, and in the alphabet, that each channel takes."""

from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telltale.adapters.links import Links
from telltale.core.notice_text import (
    BASIC,
    EXTENSION,
    LEAST_WORDS,
    SMS,
    SMS_PART,
    SUBJECT,
    Told,
    Words,
    age,
    digest_words,
    gsm,
    mail,
    name_of,
    septets,
    sms,
    subject,
    words_of,
)
from telltale.core.notices import Notice, Step, Story
from telltale.core.plant import Position
from telltale.core.recipients import Digest, Recipient

CASE = "case-ut4munfinmzteh2n4chw"
POSITION = Position(
    "riverside/pump-hall/pump-1/pump-inboard", name="Pump, inboard bearing", asset_name="Raw water pump 1"
)
MIA = Recipient("mia", "email", "mia@example.com", after_min=30)
OPENED_MS = 1_790_000_000_000


def words(kind: str = "opened", **fields: Any) -> Words:
    story = Story(CASE, POSITION.id, (Step(1, "opened", OPENED_MS, "ALARM"),), OPENED_MS)
    told = Told(reason="y: env_rms_g 0.065 g is 5.5 × its normal", opened_ms=OPENED_MS, position=POSITION, **fields)
    notice = Notice(kind, 1, 1, 1, "ALARM")
    now_ms = OPENED_MS + 4 * 3_600_000
    return words_of(
        notice, story, told, MIA, zone=UTC, now_ms=now_ms, link="https://e.example/1", stop="https://e.example/2"
    )


@given(st.text(max_size=400), st.integers(0, 260))
def test_a_text_message_is_in_gsms_alphabet_within_its_parts_and_has_its_link_whole(brief: str, length: int) -> None:
    link = f"https://{'a' * length}.example" if length else ""

    text = sms(Words("ALARM", "", brief, link=link))

    assert set(text) <= BASIC | EXTENSION
    assert text.endswith(link)
    assert septets(text) <= (SMS if SMS - septets(link) > LEAST_WORDS else 2 * SMS_PART)


def test_the_link_of_a_page_in_aws_leaves_room_for_what_it_is_about_in_one_part() -> None:
    page = f"https://{'a' * 32}.lambda-url.eu-central-1.on.aws/"
    link = Links(page, lambda: b"key", lambda: OPENED_MS).evidence(CASE, opened_ms=OPENED_MS)

    text = sms(Words("ALARM", "", "ALARM Raw water pump 1 Pump, inboard bearing: bearing, outer race", link=link))

    assert text.startswith("ALARM Raw water pump 1")
    assert text.endswith(link)
    assert septets(text) <= SMS


@given(st.text(max_size=300))
def test_a_subject_is_one_line_of_ascii(title: str) -> None:
    found = subject(Words("ALARM", f"ALARM: {title}", ""))

    assert found.isascii()
    assert found.isprintable()
    assert len(found) <= SUBJECT


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("5.5 × its normal …", "5.5 x its normal ..."),
        ("80 °C", "80 deg C"),
        ("Mühle, naïve", "Mühle, naive"),
        ("漢", "?"),
        ("m²", "m2"),
    ],
)
def test_what_gsms_alphabet_lacks_is_spelled_otherwise(text: str, spelled: str) -> None:
    assert gsm(text) == spelled


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        ("opened", "ALARM: Raw water pump 1 Pump, inboard bearing: y: env_rms_g"),
        ("raised", "Now ALARM: Raw water pump 1"),
        ("reopened", "Open again: ALARM: Raw"),
        ("escalated", "ALARM, not acknowledged for 30 min: Raw"),
        ("reminder", "Still ALARM, open for 4 h, nobody has acknowledged it: Raw"),
        ("resolved", "Resolved by somebody: Raw"),
        ("refused", "Work order refused: Raw"),
    ],
)
def test_a_notice_begins_with_what_happened(kind: str, title: str) -> None:
    assert words(kind).title.startswith(title)


def test_a_notice_names_the_fault_and_what_to_do_where_they_are_known() -> None:
    diagnosis = {
        "verdict": "BEARING_OUTER_RACE", "confidence": 0.8, "reason": "lines at 104.6 Hz", "capture_id": "c", "t_ms": 1,
        "findings": [{"fault": "BEARING_OUTER_RACE", "axis": "y", "supports": ["lines at 104.6 Hz"]}],
    }  # fmt: skip

    text = mail(words(fault="BEARING_OUTER_RACE", evidence={"diagnosis": diagnosis}, order="WO-17 (OPEN)"))

    assert "inboard bearing: bearing, outer race" in text.splitlines()[0].lower()
    assert "on y, 80%: lines at 104.6 Hz" in text
    assert "Check next: lubrication and load of the bearing" in text
    assert "Evidence: https://e.example/1" in text
    assert "Stop these notices: https://e.example/2" in text


def test_a_case_that_is_over_says_what_was_found_and_no_more_what_to_do() -> None:
    codes = {"failure_mode": "LUBRICATION", "failure_cause": "WEAR", "action_taken": "LUBRICATE", "note": "dry"}

    facts = dict(words("resolved", closure=codes, by="tom").facts)

    assert facts["Found and done"] == "LUBRICATION, WEAR, LUBRICATE: dry"
    assert "Check next" not in facts


def test_a_long_digest_names_the_first_and_counts_the_rest() -> None:
    whom = Recipient("mia", "email", "mia@example.com", digest=Digest(420))
    many = [f"ALARM pump {number}" for number in range(25)]

    found = digest_words(
        whom, "riverside", still_open=many, closed=[], false_alarms=0, from_ms=0, due_ms=1, zone=UTC, stop=""
    )

    assert found.title == "riverside: 25 open, 0 closed, 0 false alarms"
    assert dict(found.facts)["Open 21"] == "and 5 more"


@pytest.mark.parametrize(("minutes", "said"), [(30, "30 min"), (240, "4 h"), (3 * 1440, "3 days")])
def test_times_are_said_as_people_say_them(minutes: float, said: str) -> None:
    assert age(minutes) == said


def test_a_position_without_a_name_is_called_by_its_path() -> None:
    assert name_of(Position("s/a/m/p")) == "s/a/m/p"
