"""What a work order says, in Telltale's words or in those of a site's templates."""

import pytest
from telltale.core.order_text import NAMES, TITLE, About, BadTemplate, Place, check, filled, text, trend_sentence
from telltale.core.plant import Position

from tests.aws_line import POSITION, change

PUMP = Position(POSITION, name="motor DE", asset_name="Pump 7", action="Grease it", spare_part="6205", manual="M-7")
SAID = {"severity": "ALARM", "fault": "BEARING_OUTER_RACE", "reason": "x: 7.4 mm/s is above 7.1"}


def about(**fields: object) -> About:
    return About(**{"change": change(**SAID), "position": PUMP, "key": "A" * 20, **fields})  # type: ignore[arg-type]


def test_the_title_says_how_bad_where_and_what_in_a_hundred_characters() -> None:
    title = text(about(children=[Place("plant/hall/pump-7/de", change())]), {}).title

    assert title.startswith("ALARM: Pump 7 motor DE and 1 more place: bearing, outer race: x: 7.4 mm/s")
    assert len(text(about(change=change(reason="y" * 300)), {}).title) == TITLE


def test_the_description_says_what_to_do_with_what_where_it_is_and_how_to_answer() -> None:
    said = text(
        about(link="https://p.example/1", asks=True, stock="3 in stock at B2", no_asset="P-7", follows="WO-1"), {}
    )

    lines = said.description.splitlines()
    assert "Suggested: Grease it" in lines
    assert "Spare part: 6205 (3 in stock at B2)" in lines
    assert "Manual: M-7" in lines
    assert "Asset: P-7 is not known here, so the order names none" in lines
    assert "Follows: WO-1" in lines
    assert "Evidence: https://p.example/1" in lines
    assert "When done: say what it was and what was done at https://p.example/1" in lines


def test_nobody_is_asked_for_codes_where_there_is_no_page_or_where_the_order_has_fields_for_them() -> None:
    assert "When done" not in text(about(asks=True), {}).description
    assert "When done" not in text(about(link="https://p.example/1"), {}).description


def test_the_trend_is_told_from_what_was_scored_of_the_rule_that_says_most() -> None:
    scores = {"x zone": [0.2, 0.4, None, 0.61, 0.8, 0.9, 1.0, 1.07], "y zone": [0.3, 0.3], "z zone": [None, 9.0]}

    assert trend_sentence({"last_scores": scores}) == "x zone rising, 0.40 to 1.07 of its limit in the last 6 rows"
    assert trend_sentence({"last_scores": {"x zone": [None, 0.4]}}) is None


def test_a_site_has_its_own_words_and_fields() -> None:
    templates = {
        "title": "[{site}] {fault} at {asset_name}",
        "description": "{reason}\n{{see}} {link}",
        "fields": {"u_key": "{key}", "x_priority": 2, "tags": ["vibration"]},
    }

    said = text(about(link="L"), templates)

    assert said.title == "[plant] bearing, outer race at Pump 7"
    assert said.description == "x: 7.4 mm/s is above 7.1\n{see} L"
    assert said.fields == {"u_key": "A" * 20, "x_priority": 2, "tags": ["vibration"]}


@pytest.mark.parametrize("name", NAMES)
def test_every_name_there_is_can_be_filled(name: str) -> None:
    assert check("{" + name + "}") == []
    assert "{" not in text(about(), {"title": "{" + name + "}"}).title


@pytest.mark.parametrize(
    ("template", "wrong"),
    [("{severty}", "{severty}"), ("{severity!r}", "{severity!r}"), ("{severity:>9}", "{severity:>9}"), ("{}", "{}")],
)
def test_a_name_that_there_is_none_of_is_shown_as_it_stands_there(template: str, wrong: str) -> None:
    assert check(template) == [wrong]
    with pytest.raises(BadTemplate, match="wanted one of severity"):
        filled(template, dict.fromkeys(NAMES, ""))


@pytest.mark.parametrize("template", ["{severity", "severity}", "{severity.__class__}", "{severity[0]}"])
def test_nothing_else_of_pythons_formatting_is_taken(template: str) -> None:
    assert check(template)
