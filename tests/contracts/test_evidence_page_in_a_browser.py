"""The evidence page in a real browser, at the size of a phone: it opens, fits, and its forms do what they say.

Needs Chromium or Chrome on this computer (Debian: apt install chromium); without one the tests skip and say so.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import evidence_page
import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from telltale.core.closure import LISTS

from tests.contracts.evidence import FALSE_CODES, Evidence, evidence
from tests.contracts.function_url import serving

PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
SHOTS = os.environ.get("TELLTALE_SCREENSHOTS")  # a folder, to look at the pages oneself
BIG_ENOUGH_PX = 44.0  # what a thumb hits (WCAG 2.2, 2.5.5)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("NOT TESTED in a browser: there is no chromium here (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        # No sandbox: in a container there is none to be had, and what is opened is our own.
        made = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Evidence]:
    with evidence() as made:
        yield made


@pytest.fixture
def at(shared: Evidence) -> Evidence:
    """With nothing left in the queue of an earlier test."""
    shared.replies()
    return shared


@pytest.fixture
def base(at: Evidence) -> Iterator[str]:
    with serving(evidence_page.handler) as url:
        yield url


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(**PHONE, java_script_enabled=False)
    yield context.new_page()
    context.close()


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


def test_it_opens_without_a_login_a_script_or_a_request_to_anywhere_else(at: Evidence, base: str, phone: Page) -> None:
    asked: list[str] = []
    said: list[str] = []
    phone.on("request", lambda request: asked.append(request.url))
    phone.on("console", lambda message: said.append(message.text))

    answer = phone.goto(at.link(base=base))

    assert answer is not None
    assert answer.status == 200
    assert {url for url in asked if not url.startswith("data:")} == {at.link(base=base)}
    assert said == []  # such as what the Content-Security-Policy would refuse
    assert phone.title() == "Alarm: Pump 7 – motor DE"
    shot(phone, "open")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 412, 1280])
def test_it_fits_the_screen_and_its_style_and_picture_are_there(
    at: Evidence, base: str, browser: Browser, width: int, scheme: Any
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 740}, color_scheme=scheme)
    page = context.new_page()
    page.goto(at.link(base=base))

    sheet, screen = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    picture = page.locator("figure img").evaluate("image => [image.complete, image.naturalWidth, image.clientWidth]")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    shot(page, f"open-{width}-{scheme}")
    context.close()
    assert sheet == screen
    assert picture[:2] == [True, 720]
    assert picture[2] <= width
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(16, 19, 22)"}[scheme]


def test_whatever_is_tapped_is_as_large_as_a_thumb(at: Evidence, base: str, phone: Page) -> None:
    phone.goto(at.link(base=base))

    for one in phone.locator("button, nav a, select, summary, input:not([type=hidden])").all():
        box = one.bounding_box()
        assert box is not None
        assert box["height"] >= BIG_ENOUGH_PX


def test_a_technician_takes_it(at: Evidence, base: str, phone: Page) -> None:
    phone.goto(at.link(base=base))

    phone.get_by_role("link", name="I have it").tap()
    phone.locator("#take").get_by_label("Your name").fill("Mia")
    phone.get_by_role("button", name="I have it").tap()

    assert phone.get_by_role("status").inner_text().startswith("Thank you. It is noted that you have it.")
    shot(phone, "taken")
    [message] = at.replies()
    assert (message["reply"]["kind"], message["reply"]["by"]) == ("acknowledged", "Mia")
    phone.reload()
    assert at.replies() == []  # for the answer to the form was another page


def test_a_technician_closes_it_with_the_three_codes(at: Evidence, base: str, phone: Page) -> None:
    phone.goto(at.link(base=base))
    done = phone.locator("#done")

    done.get_by_label("What was found?").select_option("LUBRICATION")
    done.get_by_label("Why did it happen?").select_option(label="Maintenance")
    done.get_by_label("What was done?").select_option("LUBRICATE")
    done.get_by_label("Note").fill("Grease nipple\nwas blocked")
    done.get_by_label("Your name").fill("Mia")
    phone.get_by_role("button", name="Done").tap()

    assert "noted as done" in phone.get_by_role("status").inner_text()
    [message] = at.replies()
    assert message["reply"]["closure"] == {
        "failure_mode": "LUBRICATION",
        "failure_cause": "MAINTENANCE",
        "action_taken": "LUBRICATE",
        "note": "Grease nipple\nwas blocked",
    }


def test_the_browser_asks_for_codes_that_are_missing_and_nothing_is_sent(at: Evidence, base: str, phone: Page) -> None:
    phone.goto(at.link(base=base))

    phone.locator("#done").get_by_label("Your name").fill("Mia")
    phone.get_by_role("button", name="Done").tap()

    assert phone.locator("#done select:invalid").count() == len(LISTS)
    assert at.replies() == []


def test_a_form_that_is_refused_comes_back_with_the_reason_first(at: Evidence, base: str, browser: Browser) -> None:
    context = browser.new_context(**PHONE)
    page = context.new_page()
    page.goto(at.link(base=base))
    page.evaluate("document.querySelector('#done form').noValidate = true")
    page.locator("#done").get_by_label("Why did it happen?").select_option("WEAR")
    page.locator("#done").get_by_label("Your name").fill("Mia")
    page.get_by_role("button", name="Done").tap()

    error = page.get_by_role("alert")
    shot(page, "refused")
    says, place = error.inner_text(), error.bounding_box()
    kept = page.locator("#done").get_by_label("Why did it happen?").input_value()
    context.close()
    assert says == "Please answer “What was found?” (the failure mode)."
    assert place is not None
    assert place["y"] < PHONE["viewport"]["height"]
    assert kept == "WEAR"
    assert at.replies() == []


def test_a_false_alarm_is_one_form_away(at: Evidence, base: str, phone: Page) -> None:
    phone.goto(at.link(base=base, to="mia@example.com"))

    phone.get_by_role("link", name="False alarm").tap()
    phone.get_by_role("button", name="False alarm").tap()

    assert "noted as a false alarm" in phone.get_by_role("status").inner_text()
    [message] = at.replies()
    assert (message["reply"]["by"], message["reply"]["closure"]) == ("mia@example.com", FALSE_CODES)


@pytest.mark.parametrize(("age_days", "says"), [(0, "This link is not valid"), (91, "This link is no longer good")])
def test_a_link_that_is_not_good_says_so_plainly(
    at: Evidence, base: str, phone: Page, age_days: int, says: str
) -> None:
    key = "k" * 64 if age_days else "x" * 64
    phone.goto(at.link(base=base, key=key, age_days=age_days))

    assert phone.get_by_role("heading").inner_text() == says
    shot(phone, f"refused-{age_days}")


def test_it_prints_without_its_forms(at: Evidence, base: str, phone: Page) -> None:
    phone.goto(at.link(base=base))
    phone.emulate_media(media="print")

    assert phone.locator("button:visible, nav:visible").count() == 0
    assert phone.get_by_text("Pump 7 – motor DE").is_visible()
    shot(phone, "print")
