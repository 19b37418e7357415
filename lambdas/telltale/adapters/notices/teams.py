"""Microsoft Teams: an Adaptive Card to a workflow ("When a Teams webhook request is received", Power Automate).

Office 365 connectors and their MessageCards are retired; a workflow takes Adaptive Cards alone. It answers 202 when it
has taken the card, before it posts it: what happens after that stands in the workflow's own history.
"""

import json
from typing import Any

from telltale.adapters.cmms.http import Http
from telltale.adapters.notices.hook import post
from telltale.core.notice_text import Words
from telltale.core.recipients import Recipient

VERSION = "1.4"  # of Adaptive Cards; Teams shows up to 1.5, and older phones less
MOST_BYTES = 27_000  # a message may have about 28 KB (Teams connector, "message size limit"); the rest is a margin
FACT = 1000  # characters of one fact (guess): what is longer is on the page
COLOUR = {"ALARM": "attention", "WARNING": "warning"}


class Teams:
    """One channel or chat."""

    def __init__(self, http: Http, name: str) -> None:
        self._http, self._name = http, name

    def send(self, recipient: Recipient, words: Words) -> None:
        post(self._http, self._name, payload(words))


def payload(words: Words) -> dict[str, Any]:
    """The message; facts are left out from the end where it would be too long."""
    facts = list(words.facts)
    message = _message(words, facts)
    while facts and len(json.dumps(message, ensure_ascii=False).encode()) > MOST_BYTES:
        facts.pop()
        message = _message(words, facts)
    return message


def _message(words: Words, facts: list[tuple[str, str]]) -> dict[str, Any]:
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": VERSION,
        "fallbackText": _cut(words.title),
        "msteams": {"width": "Full"},
        "body": [
            _line(_run(words.title, weight="bolder", size="medium", color=COLOUR.get(words.severity, "default"))),
            *(_line(_run(f"{label}: ", weight="bolder"), _run(fact)) for label, fact in facts),
            *([_line(_run(words.why, size="small", isSubtle=True))] if words.why else []),
        ],
    }
    links = [("Open the evidence", words.link), ("Stop these notices", words.stop)]
    if any(url for _, url in links):
        card["actions"] = [{"type": "Action.OpenUrl", "title": title, "url": url} for title, url in links if url]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _line(*runs: dict[str, Any]) -> dict[str, Any]:
    """Text runs and not text blocks, whose markdown would make `env_rms_g` slanted."""
    return {"type": "RichTextBlock", "inlines": list(runs)}


def _run(text: str, **style: Any) -> dict[str, Any]:
    return {"type": "TextRun", "text": _cut(text), **style}


def _cut(text: str) -> str:
    return text if len(text) <= FACT else f"{text[: FACT - 1].rstrip()}…"
