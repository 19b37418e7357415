"""The evidence page as HTML: it says what a technician needs, runs no script, and cannot be made to say more."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telltale.core import page as pages
from telltale.core.closure import LISTS
from telltale.core.judgement import CaseChange
from telltale.core.markup import EMPTY, Markup, element, joined
from telltale.core.page import CasePage, OrderShown, case_page, message_page, unsubscribe_form
from telltale.core.page_style import STYLE
from telltale.core.plant import Position, Site
from telltale.core.trend_line import trend_line

T_MS = 1_790_010_800_000  # 2026-09-21 17:13:20 UTC
VERDICT = {
    "channel": "x", "rule": "zone", "verdict": "ALARM", "persistent": "ALARM", "feature": "velocity_rms_mm_s",
    "value": 9.0, "limit": 7.1, "unit": "mm/s", "margin": -1.9, "score": 2.0, "limit_source": "user", "zone": "D",
    "reason": "9 mm/s, at or above the alarm limit 7.1 (user)", "samples": 4,
}  # fmt: skip
DIAGNOSIS = {
    "verdict": "BEARING_OUTER_RACE", "confidence": 0.84, "reason": "lines at 88.4 Hz (BPFO)",
    "findings": [{"fault": "BEARING_OUTER_RACE", "axis": "x", "confidence": 0.84,
                  "supports": ["lines at 88.4 Hz (BPFO)"], "contradicts": ["2× is missing"], "lines": []}],
    "untested": {},
}  # fmt: skip
REASON = "x: 9 mm/s, at or above the alarm limit 7.1 (user)"
OPENED = {"revision": 1, "change": "opened", "t_ms": T_MS, "severity": "ALARM", "reason": REASON}
CHANGE = CaseChange(
    case_id="case-ut4munfinmzteh2n4chw",
    revision=1,
    change="opened",
    t_ms=T_MS,
    opened_ms=T_MS,
    severity="ALARM",
    state="ALARM",
    rule="zone",
    channel="x",
    reason=REASON,
    fault="BEARING_OUTER_RACE",
    evidence={
        "verdicts": [VERDICT],
        "diagnosis": DIAGNOSIS,
        "last_scores": {"x zone": [0.4, 0.6, 1.1, 2.0]},
        "prognosis": {"says": "reaches 11 mm/s in 12 to 30 days"},
    },
)
POSITION = Position(
    "riverside/hall/pump-1/motor-de",
    name="Motor, drive end",
    asset_name="Raw water pump 1",
    action="Change the bearing.",
    spare_part="6205-2RS C3",
    manual="https://example.com/manuals/pump",
    directions={"x": "horizontal"},
)
OPEN = CasePage(
    change=CHANGE,
    history=(OPENED,),
    position=POSITION,
    site=Site("riverside", "Riverside water works", "Europe/Vienna"),
    zone=ZoneInfo("Europe/Vienna"),
    good_until_s=T_MS // 1000 + 90 * 86_400,
    form="f0",
    order=OrderShown("OPEN", "WO-17"),
    picture=b"<svg xmlns='http://www.w3.org/2000/svg'/>",
)
CLOSURE = {"failure_mode": "OTHER", "failure_cause": "WEAR", "action_taken": "REPLACE", "note": "race pitted"}
RESOLVED = {**OPENED, "revision": 2, "change": "resolved", "t_ms": T_MS + 3_600_000, "by": "Mia", "reason": "by Mia"}
OVER = replace(OPEN, change=replace(CHANGE, change="resolved", closure=CLOSURE, by="Mia"), history=(OPENED, RESOLVED))


class Read(HTMLParser):
    """A page as a reader of it sees it: elements with their attributes, words, and whether all that opens closes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in EMPTY
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def all(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attributes for one, attributes in self.elements if one == tag)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read(page: CasePage = OPEN) -> Read:
    return Read(case_page(page))


# ---- what it says ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "Alarm",
        "Raw water pump 1 – Motor, drive end",
        "Riverside water works · riverside/hall/pump-1/motor-de",
        "Axis x: 9 mm/s, at or above the alarm limit 7.1 (user)",
        "Bearing, outer race , 84% sure:",
        "lines at 88.4 Hz (BPFO)",
        "Speaks against it: 2× is missing",
        "Forecast: reaches 11 mm/s in 12 to 30 days",
        "velocity RMS, 10-1000 Hz, axis x (horizontal)",
        "Limit 7.1 mm/s, set by a person",
        "Margin 1.9 mm/s (27%) over the limit",
        "Zone D",
        "Suggested Change the bearing.",
        "Check next lubrication and load of the bearing",
        "Spare part 6205-2RS C3",
        "Manual https://example.com/manuals/pump",
        "Work order WO-17 is open.",
        "Nobody has it yet.",
        "case-ut4munfinmzteh2n4chw",
    ],
)
def test_an_open_case_says(words: str) -> None:
    assert words in read().text


def test_a_reason_names_axes_and_indicators_as_people_do() -> None:
    reason = "y: env_rms_g 0.368 g is 31 times its normal 0.0119 g"

    assert pages.in_words(reason) == "Axis y: envelope RMS 0.368 g is 31 times its normal 0.0119 g"
    assert pages.in_words("resolved by ben_smith_2") == "resolved by ben_smith_2"


def test_what_decided_is_the_first_number_and_alarms_come_before_warnings() -> None:
    numbers = [
        {**VERDICT, "channel": "z", "verdict": "WARNING", "value": 3.0},
        {**VERDICT, "channel": "y", "value": 4.0},
        {**VERDICT, "rule": "baseline", "verdict": "HEALTHY", "value": 5.0},
        VERDICT,
    ]
    page = read(replace(OPEN, change=replace(CHANGE, evidence={"verdicts": numbers})))

    shown = [words for words in page.words if re.fullmatch(r"\d mm/s|\d more", words)]
    assert shown == ["9 mm/s", "4 mm/s", "3 mm/s", "1 more", "5 mm/s"]


def test_times_are_those_of_the_site() -> None:
    assert "Since 21 Sep 2026, 19:13." in read().text
    assert "Times are of Europe/Vienna." in read().text
    assert "Since 21 Sep 2026, 17:13." in read(replace(OPEN, zone=UTC)).text
    assert "until 20 Dec 2026, 18:13." in read().text  # winter time by then


def test_who_has_it_is_said_until_it_is_opened_again() -> None:
    taken = {**OPENED, "change": "acknowledged", "by": "Mia", "reason": "acknowledged by Mia"}
    again = {**OPENED, "change": "reopened", "by": "Ben", "reason": "still 2.1 × baseline after closing"}

    assert "Mia has it." in read(replace(OPEN, history=(OPENED, taken))).text
    assert "Nobody has it yet." in read(replace(OPEN, history=(OPENED, taken, again))).text


def test_a_shelved_case_says_until_when() -> None:
    shelved = replace(OPEN, change=replace(CHANGE, until_ms=T_MS + 86_400_000))

    assert "Shelved until 22 Sep 2026, 19:13." in read(shelved).text


def test_a_closed_case_says_how_it_ended_and_asks_only_whether_the_codes_are_right() -> None:
    page = read(OVER)

    assert "Closed 21 Sep 2026, 20:13 by Mia." in page.text
    assert "What was found? Other Why did it happen? Wear What was done? Replace Note race pitted" in page.text
    assert [one["value"] for one in page.all("input") if one["name"] == "answer"] == ["done"]
    assert "Correct the codes" in page.text


@pytest.mark.parametrize("change", ["resolved", "confirmed", "labelled", "noted"])
def test_a_case_that_is_over_is_closed_whatever_came_after(change: str) -> None:
    assert replace(OVER, change=replace(OVER.change, change=change)).over
    assert "Closed 21 Sep" in read(replace(OVER, change=replace(OVER.change, change=change))).text


def test_after_a_repair_the_numbers_of_its_trial_are_shown_and_what_was_wrong_stays() -> None:
    monitor = {
        "channel": "x",
        "rule": "baseline",
        "samples": 6,
        "score": 0.3,
        "score_limit": 1.0,
        "score_of_fault": 4.0,
    }
    seen = {**monitor, "feature": "env_rms_g", "value": 0.0121, "unit": "g", "usual": 0.0119, "limit": 0.0237}
    confirmed = replace(
        OVER.change,
        change="confirmed",
        reason="x env_rms_g 1.02 × what was usual before the fault",
        evidence={"verdicts": [], "repair": {"outcome": "confirmed", "monitors": [seen]}},
    )
    text = read(replace(OVER, change=confirmed)).text

    assert "What was wrong Axis x: 9 mm/s" in text
    assert "envelope RMS, axis x (horizontal) 0.0121 g Limit 0.0237 g Margin 0.0116 g (49%) below the limit" in text


def test_a_case_without_evidence_order_or_plant_data_is_shown_all_the_same() -> None:
    bare = replace(
        OPEN, change=replace(CHANGE, evidence={}, fault=None), position=Position("a/b/c/d"), site=Site("a"), order=None,
        picture=None, no_picture="There is no picture of this case.", history=(),
    )  # fmt: skip
    text = read(bare).text

    assert "a/b/c/d" in text
    assert "There is no work order yet." in text
    assert "There is no picture of this case." in text
    assert "What to do" not in text


@pytest.mark.parametrize(
    ("diagnosis", "words"),
    [
        ({"reason": "there was no waveform"}, "No diagnosis: there was no waveform"),
        ({"verdict": "CANNOT_TELL", "confidence": 0.3, "reason": "no line is clear"}, "cannot tell. no line is clear"),
        ({"verdict": "SENSOR_FAULT", "confidence": 0.9, "reason": "a flat line"}, "the sensor, not the machine."),
    ],
)  # fmt: skip
def test_what_is_not_known_of_the_fault_is_said(diagnosis: dict[str, Any], words: str) -> None:
    assert words in read(replace(OPEN, change=replace(CHANGE, evidence={"diagnosis": diagnosis}))).text


def test_an_order_that_was_refused_says_why() -> None:
    refused = replace(OPEN, order=OrderShown("REFUSED", "", "asset RW-P1 is not known"))

    assert "Work order was refused by the maintenance system. It said: asset RW-P1 is not known" in read(refused).text


def test_the_page_of_a_child_leads_to_the_case_whose_order_names_it() -> None:
    child = replace(OPEN, change=replace(CHANGE, parent="case-parent"), parent="1.abc.def")

    assert "1.abc.def" in [one["href"] for one in read(child).all("a")]


# ---- what can be done on it -----------------------------------------------------------------------


def test_an_open_case_takes_three_answers_each_by_a_form_of_its_own() -> None:
    page = read()

    assert [one["value"] for one in page.all("input") if one["name"] == "answer"] == ["take", "done", "false-alarm"]
    assert {one["value"] for one in page.all("input") if one["name"] == "form"} == {"f0"}
    assert [one["method"] for one in page.all("form")] == ["post"] * 3
    assert all("action" not in one for one in page.all("form"))  # to its own address, with the token


def test_every_closure_code_can_be_chosen_and_none_is_chosen_for_the_technician() -> None:
    page = read()
    offered = [one["value"] for one in page.all("option")]
    chosen = [one["value"] for one in page.all("option") if "selected" in one]

    assert [code for code in offered if code] == [code for codes in LISTS.values() for code in codes]
    assert chosen == ["", "", ""]
    assert all("required" in one for one in page.all("select"))


def test_a_form_with_an_error_comes_back_with_what_was_typed() -> None:
    typed = {"answer": "done", "by": "Mia", "failure_cause": "WEAR", "note": "it was dry"}
    page = read(replace(OPEN, error="Please answer “What was found?”.", typed=typed))

    assert "Please answer “What was found?”." in page.text
    assert [one["value"] for one in page.all("option") if "selected" in one] == ["", "WEAR", ""]
    assert {one["value"] for one in page.all("input") if one["name"] == "by"} == {"Mia"}
    assert page.words.count("it was dry") == 1  # and not in the other form's note


def test_whoever_was_sent_the_link_need_not_type_a_name() -> None:
    assert {one["value"] for one in read(replace(OPEN, name="mia@x.at")).all("input") if one["name"] == "by"} == {
        "mia@x.at"
    }


def test_an_answer_that_was_taken_is_confirmed_and_one_that_is_none_is_not() -> None:
    assert "It is noted that you have it." in read(replace(OPEN, noted="take")).text
    assert "noted" not in read(replace(OPEN, noted="<b>paid</b>")).text


# ---- for whom it is -------------------------------------------------------------------------------

EVERY: dict[str, Callable[[], str]] = {
    "open": lambda: case_page(OPEN),
    "over": lambda: case_page(OVER),
    "error": lambda: case_page(replace(OPEN, error="Please say who you are.")),
    "unsubscribe": lambda: message_page("Stop notices?", "mia@x.at", form=unsubscribe_form()),
}


@pytest.mark.parametrize("made", EVERY.values(), ids=EVERY)
def test_a_page_is_whole_in_english_and_made_for_phones(made: Callable[[], str]) -> None:
    page = Read(made())

    assert page.open == []
    assert next(page.all("html"))["lang"] == "en"
    assert next(one for one in page.all("meta") if one.get("name") == "viewport")["content"] == (
        "width=device-width, initial-scale=1"
    )
    assert sum(1 for _ in page.all("h1")) == 1
    assert sum(1 for _ in page.all("title")) >= 1


@pytest.mark.parametrize("made", EVERY.values(), ids=EVERY)
def test_a_page_runs_nothing_and_loads_nothing(made: Callable[[], str]) -> None:
    page = Read(made())
    addresses = [one.get("src") or one.get("href") or "" for tag, one in page.elements if tag != "a"]

    assert {tag for tag, _ in page.elements} & {"script", "iframe", "object", "embed", "base"} == set()
    assert [name for _, one in page.elements for name in one if name.startswith("on") or name == "style"] == []
    assert [address for address in addresses if address and not address.startswith("data:")] == []
    assert re.search(r"url\(|@import", STYLE) is None


@pytest.mark.parametrize("made", EVERY.values(), ids=EVERY)
def test_whoever_hears_a_page_hears_what_each_field_and_picture_is(made: Callable[[], str]) -> None:
    page = Read(made())
    labelled = {one["for"] for one in page.all("label")}
    fields = [one for tag in ("input", "select", "textarea") for one in page.all(tag) if one.get("type") != "hidden"]
    ids = [one["id"] for _, one in page.elements if "id" in one]

    assert {one["id"] for one in fields} == labelled
    assert len(ids) == len(set(ids))
    assert all(one["alt"] for one in page.all("img"))
    assert all(one["aria-label"] for one in page.all("svg"))


def colours(scheme: str) -> dict[str, tuple[float, float, float]]:
    """The style's named colours, by scheme: light is the first :root, dark the second."""
    roots = re.findall(r":root\{([^}]*)\}", STYLE.replace("\n", ""))
    found = dict(re.findall(r"--([a-z-]+):(#[0-9a-f]{3,6})", roots[("light", "dark").index(scheme)]))
    long = {name: one if len(one) == 7 else "#" + "".join(2 * c for c in one[1:]) for name, one in found.items()}
    return {name: (int(one[1:3], 16), int(one[3:5], 16), int(one[5:7], 16)) for name, one in long.items()}


def luminance(colour: tuple[float, float, float]) -> float:
    """Relative luminance (WCAG 2.2)."""
    red, green, blue = (c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("ink", "paper"), ("ink", "card"), ("faint", "paper"), ("faint", "card"), ("deed", "paper"), ("alarm", "card"),
        ("on-alarm", "alarm"), ("on-warning", "warning"), ("on-over", "over"), ("on-deed", "deed"),
    ],
)  # fmt: skip
def test_text_stands_out_from_its_ground(scheme: str, text: str, ground: str) -> None:
    light, dark = sorted((luminance(colours(scheme)[name]) for name in (text, ground)), reverse=True)

    assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2.2, 1.4.3


# ---- what it cannot be made to say ----------------------------------------------------------------

EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&amp;"


def test_nothing_that_comes_from_elsewhere_becomes_markup() -> None:
    evil = json.loads(json.dumps(CHANGE.evidence).replace("lines at 88.4 Hz (BPFO)", json.dumps(EVIL)[1:-1]))
    position = replace(POSITION, name=EVIL, asset_name=EVIL, action=EVIL, spare_part=EVIL, manual="https://x/" + EVIL)
    page = replace(
        OPEN,
        change=replace(CHANGE, reason=EVIL, evidence=evil),
        history=({**OPENED, "reason": EVIL, "by": EVIL, "change": EVIL, "severity": EVIL},),
        position=position,
        site=replace(OPEN.site, name=EVIL),
        order=OrderShown(EVIL, EVIL, EVIL),
        no_picture=EVIL,
        name=EVIL,
        error=EVIL,
        typed={"answer": "done", "note": EVIL, "by": EVIL, "failure_mode": EVIL},
    )
    seen, calm = read(page), read(replace(OPEN, error="x"))

    assert seen.open == []
    assert {tag for tag, _ in seen.elements} <= {tag for tag, _ in calm.elements}
    assert [one for _, one in seen.elements if "onerror" in one] == []
    assert EVIL in "".join(seen.words)


@pytest.mark.parametrize("manual", ["javascript:alert(1)", " JAVASCRIPT:alert(1)", "data:text/html,x", "shelf 4, blue"])
def test_a_manual_that_is_no_web_address_is_words_and_no_link(manual: str) -> None:
    page = read(replace(OPEN, position=replace(POSITION, manual=manual)))

    assert [one["href"] for one in page.all("a")] == ["#take", "#done", "#false-alarm"]
    assert manual.strip() in page.text


@given(st.text(), st.text())
def test_text_in_an_element_is_that_text_whatever_it_is(text: str, value: str) -> None:
    readable = text.translate({0: None, 13: None})
    html = element("p", readable, title=value)

    assert html.startswith("<p title=")
    assert html.count("<") == html.count(">") == 2


def test_what_is_not_given_is_left_out_and_zero_is_given() -> None:
    assert element("input", value=None, required=True, hidden=False, maxlength=0) == '<input required maxlength="0"/>'
    assert joined("a", None, Markup("<b>")) == "a<b>"


# ---- the trend ------------------------------------------------------------------------------------


def test_a_trend_goes_from_the_oldest_score_on_the_left_to_the_latest_on_the_right() -> None:
    drawn = Read(trend_line([0.5, 1.0, 2.0], step_s=3600.0) or "")
    dots = [(float(one["cx"] or 0), float(one["cy"] or 0)) for one in drawn.all("circle")]
    limit = next(one for one in drawn.all("line") if one["class"] == "limit")

    assert [x for x, _ in dots] == [34.0, 192.0, 350.0]
    assert [y for _, y in dots] == sorted((y for _, y in dots), reverse=True)
    assert float(limit["y1"] or 0) == dots[1][1]
    assert "2 h before" in drawn.text
    assert "3 values, the last one 2 times the warning limit; 2 at or above it." in drawn.text


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=8))
def test_a_trend_of_any_scores_is_drawn_within_its_frame_or_not_at_all(scores: list[float]) -> None:
    drawn = trend_line(scores, step_s=600.0)

    for x, y in re.findall(r'cx="([-\d.e+]+)" cy="([-\d.e+]+)"', drawn or ""):
        assert 34 <= float(x) <= 350
        assert 12 <= float(y) <= 150


def test_one_score_is_no_trend() -> None:
    assert trend_line([1.0], step_s=60.0) is None
    assert trend_line([float("nan"), 1.0], step_s=60.0) is None


def test_every_field_that_a_form_asks_for_is_one_of_the_closure_codes() -> None:
    assert set(pages.ASKED) == set(LISTS)
