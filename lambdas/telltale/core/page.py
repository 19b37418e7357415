"""The evidence page: what a technician is shown who opens a link, as HTML. A pure function of values.

No script, nothing loaded from anywhere, legible from 360 px on, light and dark, on paper, and by ear. What is done on
it are forms, each to the page's own address.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any

from telltale.core.cases import is_over
from telltale.core.closure import LISTS
from telltale.core.explain import VERDICTS, check_next, evidence_lines, fault_words, forecast_sentence
from telltale.core.findings import FAULTS
from telltale.core.judgement import CaseChange
from telltale.core.markup import Markup, element, joined
from telltale.core.page_style import STYLE
from telltale.core.persistence import LEVELS
from telltale.core.plant import Position, Site
from telltale.core.schema import FEATURES
from telltale.core.trend_line import trend_line

FIRST_NUMBERS = 3  # that are shown at once; the others on demand
LONGEST_NAME, LONGEST_NOTE = 80, 1000  # characters of what people write (guess)
TAKE, DONE, FALSE_ALARM = "take", "done", "false-alarm"  # what people can say; the values of the field `answer`
NOTED = {
    TAKE: "Thank you. It is noted that you have it.",
    DONE: "Thank you. The work is noted as done, with its codes.",
    FALSE_ALARM: "Thank you. It is noted as a false alarm.",
}
MEASURED = ("opened", "updated")  # changes that a capture made

ASKED = {
    "failure_mode": ("What was found?", "failure mode"),
    "failure_cause": ("Why did it happen?", "failure cause"),
    "action_taken": ("What was done?", "action taken"),
}
CODES = {"NO_ISSUE": "No issue (false alarm)", "NO_ACTION": "No action"}
CHANGES = {
    "opened": "Opened",
    "updated": "Changed",
    "acknowledged": "Taken up",
    "resolved": "Closed",
    "shelved": "Shelved",
    "unshelved": "No longer shelved",
    "grouped": "Grouped",
    "reopened": "Opened again",
    "confirmed": "Repair confirmed",
    "noted": "After the repair",
    "labelled": "Codes corrected",
}
ORDERS = {
    "OPEN": "is open",
    "PENDING": "is being made",
    "CLOSED": "is closed",
    "REFUSED": "was refused by the maintenance system",
    "SHELVED": "waits: the case is shelved",
    "CHILD": "is that of another case",
}
SOURCES = {"user": "set by a person", "baseline": "learned from this machine", "fleet": "of machines alike"}
RULES = {"zone": "vibration", "baseline": "against its own normal", "temperature": "temperature", "model": "all tags"}
# Indicators whose meaning in the schema explains more than it names, and those that are no columns there.
INDICATORS = {
    "temperature_c": "surface temperature",
    "crest": "crest factor",
    "kurtosis": "kurtosis",
    "env_rms_g": "envelope RMS",
    "env_kurtosis": "kurtosis of the envelope's band",
    "env_bpfo_g": "envelope at BPFO (outer race)",
    "env_bpfi_g": "envelope at BPFI (inner race)",
    "env_bsf_g": "envelope at BSF (rolling element)",
    "env_ftf_g": "envelope at FTF (cage)",
}
NAMES = {column.name: INDICATORS.get(column.name) or column.meaning.split(";")[0] for column in FEATURES} | INDICATORS
BANDS = {column.name: column.band for column in FEATURES if column.band and column.band[0].isdigit()}


@dataclass(frozen=True)
class OrderShown:
    """The case's work order: how far it is, its number in the maintenance system, why that refused it."""

    state: str
    ref: str = ""
    problem: str = ""


@dataclass(frozen=True)
class CasePage:
    """What the page of a case shows.

    zone : the site's, for times.   picture : SVG; None where there is none, and `no_picture` says why.
    parent : link to the case whose order names this one.   form : makes an answer sent twice the same one.
    name : who it is, as far as the link knows.   noted : an answer that was just taken.   error : why one was not.
    typed : what was in it, to be shown again.
    """

    change: CaseChange
    history: Sequence[Mapping[str, Any]]
    position: Position
    site: Site
    zone: tzinfo
    good_until_s: int
    form: str
    order: OrderShown | None = None
    picture: bytes | None = None
    no_picture: str = ""
    parent: str = ""
    name: str = ""
    noted: str = ""
    error: str = ""
    typed: Mapping[str, str] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """Nothing is left to be done, as far as the case knows."""
        return is_over(self.change)

    @property
    def title(self) -> str:
        return " – ".join(filter(None, (self.position.asset_name, self.position.name))) or self.position.id


def style_hash() -> str:
    """What a Content-Security-Policy allows the page's one style sheet by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}"


def case_page(page: CasePage) -> str:
    """The whole page of a case."""
    severity = page.change.severity
    body = (
        _head(page),
        _notices(page),
        _how_it_ended(page) if page.over else _jumps(),
        _what_is_wrong(page),
        _what_to_do(page.position, page.change),
        _numbers(page),
        _trend(page),
        _picture(page),
        _answers(page),
        _history(page),
        _foot(page),
    )
    return document(f"{'Closed' if page.over else severity.capitalize()}: {page.title}", *body)


def message_page(title: str, *paragraphs: str, form: Markup | None = None) -> str:
    """A page that says one thing."""
    said = element("section", element("h1", title), *(element("p", one) for one in paragraphs), form, class_="alone")
    return document(title, said)


def unsubscribe_form() -> Markup:
    """The button that stops notices."""
    return element("form", element("button", "Stop these notices", type="submit"), method="post")


def document(title: str, *body: str | None) -> str:
    """An HTML document with the page's style."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="robots", content="noindex"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("link", rel="icon", href="data:,"),  # else each browser asks for one
        element("style", Markup(STYLE)),
    )
    return "<!doctype html>\n" + element("html", head, element("body", element("main", *body)), lang="en") + "\n"


# ---- its parts ----------------------------------------------------------------------------------


def _head(page: CasePage) -> Markup:
    change, position = page.change, page.position
    badge = element("p", "Closed" if page.over else change.severity.capitalize(), class_="badge")
    place = " · ".join(filter(None, (page.site.name or page.site.id, position.id)))
    lines = [element("p", place, class_="place"), element("p", _state(page), class_="state")]
    kind = "over" if page.over else change.severity.lower()
    return element("header", badge, element("h1", page.title), *lines, class_=kind)


def _state(page: CasePage) -> str:
    change = page.change
    since = f"Since {_time(change.opened_ms, page.zone)}."
    if page.over:
        return since
    taken = next((one for one in reversed(page.history) if one["change"] in ("acknowledged", "reopened")), None)
    if taken is not None and taken["change"] == "acknowledged":
        return f"{since} {taken.get('by') or 'Somebody'} has it."
    if change.until_ms:
        return f"{since} Shelved until {_time(change.until_ms, page.zone)}."
    return f"{since} Nobody has it yet."


def _notices(page: CasePage) -> Markup:
    noted = NOTED.get(page.noted)
    return joined(
        element("p", noted, " Case and work order follow within a minute.", class_="noted", role="status")
        if noted
        else None,
        element("p", page.error, class_="error", role="alert") if page.error else None,
    )


def _jumps() -> Markup:
    links = ((TAKE, "I have it"), (DONE, "Done"), (FALSE_ALARM, "False alarm"))
    return element("nav", *(element("a", text, href=f"#{id_}") for id_, text in links), aria_label="Answer")


def _how_it_ended(page: CasePage) -> Markup:
    change = page.change
    closure = change.closure or {}
    ended = next((one for one in reversed(page.history) if one["change"] == "resolved"), None)
    when = f"Closed {_time(ended['t_ms'], page.zone)} by {ended.get('by') or 'nobody named'}." if ended else "Closed."
    rows = [(asked, _code(closure.get(name, ""))) for name, (asked, _) in ASKED.items()]
    rows.append(("Note", closure.get("note", "")))
    after = change.reason if change.change in ("confirmed", "noted") else None
    return _section("How it ended", element("p", when), _facts(rows), element("p", after) if after else None)


def _what_is_wrong(page: CasePage) -> Markup:
    change = page.change
    diagnosis = change.evidence.get("diagnosis") or {}
    wrong = (one["reason"] for one in reversed(page.history) if one["change"] in (*MEASURED, "reopened"))
    return _section(
        "What was wrong" if page.over else "What is wrong",
        element("p", in_words(next(wrong, change.reason)), class_="lead"),
        _diagnosis(diagnosis),
        element("p", f"Forecast: {forecast}") if (forecast := forecast_sentence(change.evidence)) else None,
    )


def _diagnosis(diagnosis: Mapping[str, Any]) -> Markup | None:
    if not diagnosis:
        return None
    verdict = diagnosis.get("verdict")
    if verdict is None:
        return element("p", f"No diagnosis: {diagnosis.get('reason', '')}")
    if verdict not in FAULTS:
        return element("p", f"Diagnosis: {VERDICTS.get(verdict, verdict)}. {diagnosis.get('reason', '')}")
    best: Mapping[str, Any] = next((one for one in diagnosis.get("findings", ()) if one["fault"] == verdict), {})
    reasons = [*best.get("supports", (diagnosis.get("reason", ""),))]
    against = [f"Speaks against it: {text}" for text in best.get("contradicts", ())]
    words = fault_words(verdict)
    return joined(
        element("p", element("strong", words[0].upper() + words[1:]), f", {diagnosis['confidence']:.0%} sure:"),
        element("ul", *(element("li", text) for text in (*reasons, *against))),
    )


def _what_to_do(position: Position, change: CaseChange) -> Markup | None:
    manual = position.manual or ""
    # Only the web: an address such as javascript: would be run by whoever taps it.
    is_web = manual.lower().startswith(("https://", "http://"))
    rows = [
        ("Suggested", position.action or ""),
        ("Check next", check_next(change.evidence) or ""),
        ("Spare part", position.spare_part or ""),
        ("Manual", element("a", manual, href=manual, rel="noopener noreferrer") if is_web else manual),
    ]
    return _section("What to do", _facts(rows)) if any(value for _, value in rows) else None


def _numbers(page: CasePage) -> Markup | None:
    change = page.change
    judged = change.evidence.get("verdicts") or change.evidence.get("repair", {}).get("monitors", ())
    verdicts = sorted(
        judged,
        key=lambda one: (
            (one["channel"], one["rule"]) != (change.channel, change.rule),  # what decided comes first
            -LEVELS.index(one["verdict"]) if one.get("verdict") in LEVELS else 0,
        ),
    )
    if not verdicts:
        return None
    numbers = [_number(one, page.position) for one in verdicts]
    first, rest = numbers[:FIRST_NUMBERS], numbers[FIRST_NUMBERS:]
    more = element("details", element("summary", f"{len(rest)} more"), *rest) if rest else None
    return _section("Numbers", *first, more)


def _number(verdict: Mapping[str, Any], position: Position) -> Markup:
    """One value with its limit and margin."""
    unit = f" {verdict['unit']}" if verdict.get("unit") else ""
    value, limit = verdict.get("value"), verdict.get("limit")
    source = verdict.get("limit_source")
    rows = [
        (
            "Limit",
            "" if limit is None else f"{limit:.3g}{unit}" + (f", {SOURCES.get(source, source)}" if source else ""),
        ),
        ("Margin", _margin(value, limit, unit)),
        ("Zone", verdict.get("zone") or ""),
        ("Captures judged", str(verdict["samples"]) if verdict.get("samples") else ""),
    ]
    level = verdict.get("verdict") or ""
    return element(
        "div",
        element("h3", _measured(verdict, position)),
        element("p", f"{value:.3g}{unit}" if value is not None else level, class_=f"value {level.lower()}"),
        _facts(rows),
        class_="number",
    )


def _measured(verdict: Mapping[str, Any], position: Position) -> str:
    """What the number is of: "velocity RMS, 10-1000 Hz, axis y (vertical)"."""
    name, channel = verdict.get("feature") or "", verdict["channel"]
    words = NAMES.get(name) or name or RULES.get(verdict["rule"], verdict["rule"])
    words = ", ".join(filter(None, (words, BANDS.get(name))))
    if channel not in ("x", "y", "z"):
        return words
    direction = position.directions.get(channel)
    return f"{words}, axis {channel}" + (f" ({direction})" if direction else "")


def _margin(value: float | None, limit: float | None, unit: str) -> str:
    if value is None or limit is None:
        return ""
    share = f" ({abs(value - limit) / abs(limit):.0%})" if limit else ""
    side = "over" if value >= limit else "below"
    return f"{abs(value - limit):.3g}{unit}{share} {side} the limit"


def _trend(page: CasePage) -> Markup | None:
    """The last judgements of the deciding rule, as a line over time; None where there are no two."""
    change = page.change
    scores = change.evidence.get("last_scores", {}).get(f"{change.channel} {change.rule}", ())
    at_ms = next((one["t_ms"] for one in reversed(page.history) if one["change"] in MEASURED), change.opened_ms)
    drawn = trend_line(scores, step_s=page.position.interval_s)
    if drawn is None:
        return None
    what = f"The last {len(scores)} captures until {_time(at_ms, page.zone)}, as a multiple of the warning limit."
    return _section("Trend", element("p", what), drawn)


def _picture(page: CasePage) -> Markup | None:
    if page.picture is None:
        return _section("Picture", element("p", page.no_picture)) if page.no_picture else None
    source = f"data:image/svg+xml;base64,{base64.b64encode(page.picture).decode()}"
    says = "Waveform, spectrum, envelope spectrum and trend, with the lines of the diagnosis marked."
    image = element("img", src=source, alt=says, width="720")
    return _section("Picture", element("p", says), element("figure", image))


def _answers(page: CasePage) -> Markup:
    if page.over:
        text = "If the codes are not right, or were not known when the order was closed, say so here."
        return element("div", _form(page, DONE, "Correct the codes", text, *_code_fields(page)), class_="answers")
    forms = (
        _form(page, TAKE, "I have it", "Somebody looks after it from now on, and nobody else is reminded."),
        _form(page, DONE, "Done", "The work is done. The three codes teach Telltale.", *_code_fields(page)),
        _form(page, FALSE_ALARM, "False alarm", "You looked, and there is nothing.", _note_field(page, FALSE_ALARM)),
    )
    return element("div", *forms, class_="answers")


def _form(page: CasePage, answer: str, title: str, text: str, *fields: Markup) -> Markup:
    hidden = (("answer", answer), ("form", page.form))
    who = f"by-{answer}"
    return element(
        "section",
        element("h2", title),
        element("p", text),
        element(
            "form",
            *(element("input", type="hidden", name=name, value=value) for name, value in hidden),
            *fields,
            element("label", "Your name", for_=who),
            element(
                "input",
                id=who,
                name="by",
                required=True,
                maxlength=LONGEST_NAME,
                autocomplete="name",
                value=page.typed.get("by") or page.name,
            ),
            element("button", title, type="submit"),
            method="post",
        ),
        id=answer,
        class_="answer",
    )


def _code_fields(page: CasePage) -> tuple[Markup, ...]:
    return (*(_choice(name, page.typed.get(name, "")) for name in LISTS), _note_field(page, DONE))


def _choice(name: str, chosen: str) -> Markup:
    asked, _ = ASKED[name]
    first = element("option", "Choose…", value="", selected=chosen not in LISTS[name])
    codes = (element("option", _code(code), value=code, selected=code == chosen) for code in LISTS[name])
    field_ = element("select", first, *codes, id=name, name=name, required=True)
    return joined(element("label", asked, for_=name), field_)


def _note_field(page: CasePage, answer: str) -> Markup:
    id_ = f"note-{answer}"
    typed = page.typed.get("note", "") if page.typed.get("answer") == answer else ""
    area = element("textarea", typed, id=id_, name="note", rows=3, maxlength=LONGEST_NOTE)
    return joined(element("label", "Note", element("span", " (may be empty)", class_="faint"), for_=id_), area)


def _history(page: CasePage) -> Markup:
    order = page.order
    if order is None:
        words = "There is no work order yet."
    else:
        words = f"Work order {order.ref}".strip() + f" {ORDERS.get(order.state, order.state)}."
        words += f" It said: {order.problem}" if order.problem else ""
    parent = (
        element("p", "It is named in the order of ", element("a", page.change.parent, href=page.parent), ".")
        if page.parent
        else None
    )
    lines = (
        element(
            "li",
            element("time", _time(one["t_ms"], page.zone)),
            " ",
            element("strong", _told(one)),
            f" {in_words(one['reason'])}",
        )
        for one in reversed(page.history)
    )
    grounds = evidence_lines(page.change.evidence)
    return _section(
        "Order and history",
        element("p", words),
        parent,
        element("ol", *lines, class_="history"),
        element(
            "details", element("summary", "All evidence"), element("ul", *(element("li", line) for line in grounds))
        )
        if grounds
        else None,
    )


def _told(one: Mapping[str, Any]) -> str:
    what = CHANGES.get(one["change"], one["change"])
    return f"{what}, {str(one['severity']).lower()}:" if one["change"] in MEASURED else f"{what}:"


def _foot(page: CasePage) -> Markup:
    until = _time(page.good_until_s * 1000, page.zone)
    return element(
        "footer",
        element("p", f"{page.change.case_id} · Times are of {page.zone}."),
        element("p", f"Whoever has this link sees this page, until {until}."),
    )


def in_words(reason: str) -> str:
    """A reason as it is read aloud: axes and indicators by name."""
    spelled = re.sub(r"\b[a-z][a-z0-9]*_[a-z0-9_]+\b", lambda found: NAMES.get(found[0], found[0]), reason)
    return re.sub(r"^([xyz]): ", r"Axis \1: ", spelled)


def _section(title: str, *content: Markup | None) -> Markup:
    return element("section", element("h2", title), *content)


def _facts(rows: Sequence[tuple[str, str]]) -> Markup:
    """Names with their values; those without one are left out."""
    shown = (joined(element("dt", name), element("dd", value)) for name, value in rows if value)
    return element("dl", *shown)


def _code(code: str) -> str:
    return CODES.get(code) or code.replace("_", " ").capitalize()


def _time(t_ms: int, zone: tzinfo) -> str:
    at = datetime.fromtimestamp(t_ms / 1000, UTC).astimezone(zone)
    return f"{at.day} {at:%b %Y, %H:%M}"
