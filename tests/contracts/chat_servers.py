"""Stand-ins for Slack's incoming webhooks and for a workflow of Microsoft Teams, as their vendors document them.

They share no code with the adapters, and are stricter than the real ones: what those would show badly is refused here.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SLACK_PATH = "/services/T0000/B0000/verysecret"
TEAMS_PATH = "/workflows/1f/triggers/manual/paths/invoke?api-version=1&sig=verysecret"
LINK = re.compile(r"<https?://[^|>\s]+\|[^>]+>")


class Wrong(Exception):
    """What the server says of a message it does not take."""


@dataclass
class Chat:
    """A running stand-in: what it took, and what it answers next instead of taking it."""

    url: str
    taken: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0
    weather: list[tuple[int, dict[str, str], str]] = field(default_factory=list)


@contextmanager
def slack() -> Iterator[Chat]:
    """https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks"""
    with _serving(SLACK_PATH, _slack_checked, gone=(404, "no_service"), wrong=400, good=(200, "ok")) as chat:
        yield chat


@contextmanager
def teams() -> Iterator[Chat]:
    """A workflow "When a Teams webhook request is received", whose address has its right in `sig`."""
    with _serving(
        TEAMS_PATH, _teams_checked, gone=(401, "DirectApiAuthorizationRequired"), wrong=400, good=(202, "")
    ) as chat:
        yield chat


def _slack_checked(body: bytes) -> dict[str, Any]:
    message = _object(body, "invalid_payload")
    if not isinstance(message.get("text"), str) or not message["text"]:
        raise Wrong("no_text")
    if len(message["text"]) > 4000 or set(message) - {"text", "blocks", "unfurl_links", "unfurl_media"}:
        raise Wrong("invalid_payload")
    blocks = message.get("blocks", [])
    if not 0 < len(blocks) <= 50:
        raise Wrong("invalid_blocks")
    for block in blocks:
        _block(block)
    return message


def _block(block: dict[str, Any]) -> None:
    kind = block.get("type")
    if kind == "header":
        text = _text(block, {"type", "text"}, kinds=("plain_text",))
        _within(text, 150)
    elif kind == "section":
        _within(_marked(_text(block, {"type", "text"}, kinds=("mrkdwn",))), 3000)
    elif kind == "context":
        if set(block) != {"type", "elements"} or not 0 < len(block["elements"]) <= 10:
            raise Wrong("invalid_blocks")
        for element in block["elements"]:
            if element.get("type") != "mrkdwn":
                raise Wrong("invalid_blocks")
            _within(_marked(element["text"]), 3000)
    else:
        raise Wrong("invalid_blocks")


def _text(block: dict[str, Any], keys: set[str], *, kinds: tuple[str, ...]) -> str:
    text = block.get("text", {})
    if set(block) != keys or text.get("type") not in kinds or not isinstance(text.get("text"), str):
        raise Wrong("invalid_blocks")
    return str(text["text"])


def _marked(text: str) -> str:
    """Slack reads `<…>` as a link and `&` as an escape; whatever else has them was not escaped."""
    rest = LINK.sub("", text)
    if "<" in rest or ">" in rest or re.search(r"&(?!amp;|lt;|gt;)", rest):
        raise Wrong("invalid_blocks: not escaped")
    return text


def _teams_checked(body: bytes) -> dict[str, Any]:
    if len(body) > 28 * 1024:
        raise Wrong("RequestEntityTooLarge")
    message = _object(body, "InvalidRequestContent")
    attachments = message.get("attachments")
    if message.get("type") != "message" or not isinstance(attachments, list) or len(attachments) != 1:
        raise Wrong("TriggerInputSchemaMismatch")
    [attachment] = attachments
    if attachment.get("contentType") != "application/vnd.microsoft.card.adaptive" or attachment.get("contentUrl"):
        raise Wrong("TriggerInputSchemaMismatch")
    card = attachment["content"]
    if card.get("type") != "AdaptiveCard" or card.get("version") not in ("1.2", "1.3", "1.4", "1.5"):
        raise Wrong("BadRequest: not an Adaptive Card that Teams shows")
    if card.get("$schema") != "http://adaptivecards.io/schemas/adaptive-card.json" or not card.get("body"):
        raise Wrong("BadRequest: schema or body is missing")
    for element in card["body"]:
        _element(element)
    for action in card.get("actions", []):
        if action.get("type") != "Action.OpenUrl" or not action["url"].startswith("https://") or not action["title"]:
            raise Wrong("BadRequest: action")
    return message


def _element(element: dict[str, Any]) -> None:
    """RichTextBlock with TextRuns, of the schema's 1.4: any other value of an enum is refused by it."""
    if element.get("type") != "RichTextBlock" or not element.get("inlines"):
        raise Wrong("BadRequest: element")
    for run in element["inlines"]:
        styles = {
            "weight": ("default", "lighter", "bolder"),
            "size": ("default", "small", "medium", "large", "extraLarge"),
            "color": ("default", "dark", "light", "accent", "good", "warning", "attention"),
            "isSubtle": (True, False),
        }
        if run.get("type") != "TextRun" or not run.get("text") or set(run) - {"type", "text", *styles}:
            raise Wrong("BadRequest: run")
        if any(value not in styles[name] for name, value in run.items() if name in styles):
            raise Wrong("BadRequest: style")


def _within(text: str, most: int) -> None:
    if not 0 < len(text) <= most:
        raise Wrong("invalid_blocks")


def _object(body: bytes, error: str) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        raise Wrong(error) from None
    if not isinstance(found, dict):
        raise Wrong(error)
    return found


@contextmanager
def _serving(path: str, checked: Any, *, gone: tuple[int, str], wrong: int, good: tuple[int, str]) -> Iterator[Chat]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            chat.asked += 1
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if chat.weather:
                status, headers, text = chat.weather.pop(0)
                self._answer(status, text, headers)
            elif self.path != path:
                self._answer(*gone)
            elif self.headers.get("Content-Type") != "application/json":
                self._answer(wrong, "invalid_payload")
            else:
                try:
                    chat.taken.append(checked(body))
                except Wrong as error:
                    self._answer(wrong, str(error))
                else:
                    self._answer(*good)

        def _answer(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    chat = Chat(f"http://127.0.0.1:{server.server_address[1]}{path}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield chat
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
