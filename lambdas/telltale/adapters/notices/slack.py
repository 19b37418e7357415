"""Slack: an incoming webhook, a message of Block Kit with the same in plain text for notifications and screen readers.

A link and not a button leads to the evidence: a button in a webhook's message sends an interaction to the app too, and
shows a warning where the app answers none. Links are not unfurled, so that nobody's crawler opens them.
"""

from typing import Any

from telltale.adapters.cmms.http import Http
from telltale.adapters.notices.hook import post
from telltale.core.errors import RetryLater
from telltale.core.notice_text import Words
from telltale.core.recipients import Recipient

HEADER, SECTION = 150, 3000  # characters (Slack's reference of blocks: header, section)
BLOCKS = 50  # of a message
# Characters of `text`, of which Slack asks for 4000 at most, and of one fact: before they are escaped, which makes five
# of an ampersand. What is longer is on the page.
FALLBACK, FACT = 500, 500


class Slack:
    """One channel."""

    def __init__(self, http: Http, name: str) -> None:
        self._http, self._name = http, name

    def send(self, recipient: Recipient, words: Words) -> None:
        answer = post(self._http, self._name, payload(words))
        if answer.body.strip() != b"ok":
            raise RetryLater(f"{self._name} answered {answer.status}, and not ok")


def payload(words: Words) -> dict[str, Any]:
    """The message as Slack wants it."""
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": _cut(words.title, HEADER), "emoji": False}}
    ]
    blocks += [_section(text) for text in _sections(words)]
    if words.link:
        blocks.append(_section(f"<{words.link}|Open the evidence>"))
    about = [escaped(words.why)] if words.why else []
    about += [f"<{words.stop}|Stop these notices>"] if words.stop else []
    if about:
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": " · ".join(about)}]})
    fallback = escaped(_cut(words.title, FALLBACK))
    return {
        "text": f"{fallback}\n{words.link}" if words.link else fallback,
        "blocks": blocks[:BLOCKS],
        "unfurl_links": False,
        "unfurl_media": False,
    }


def escaped(text: str) -> str:
    """As Slack's markup wants it: three characters are its own."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _sections(words: Words) -> list[str]:
    """The facts, a line each, as few texts as there may be."""
    texts: list[str] = []
    for label, fact in words.facts:
        line = f"*{escaped(label)}:* {escaped(_cut(fact, FACT))}"
        if texts and len(texts[-1]) + 1 + len(line) <= SECTION:
            texts[-1] += f"\n{line}"
        else:
            texts.append(line)
    return texts


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"
