"""What stands between Telltale's signed webhook and a maintenance system: checks, asks the system, answers.

As a Lambda function behind a function URL (`recipes.receiver.handler`), or behind something that ends TLS:
`python -m recipes.receiver atlas --port 8080`. The settings are environment variables; on AWS, SECRETS_ARN names a
secret in Secrets Manager whose JSON object holds the secret ones.

    POST /             from Telltale: find, create, get, update, comment, set_status
    POST /vendor/...   from the maintenance system: something happened; passed on to Telltale as a signed hint
"""

import argparse
import base64
import hashlib
import hmac
import importlib
import json
import os
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import urlencode

WINDOW_S = 300  # what is older or newer is refused
QUIET_S = 3600  # a vendor's message is passed on once in this time: anybody who saw it could send it again
LARGEST_S = 100_000_000_000  # a time above it is in milliseconds
MOST_KEPT = 10_000  # signatures and messages that are remembered
ANSWER_S = 9  # less than Telltale waits
MOST_BYTES = 1_000_000
FINAL = ("DONE", "CANCELLED")
STATUSES = ("OPEN", "IN_PROGRESS", "ON_HOLD", *FINAL)
CODES = ("failure_mode", "failure_cause", "action_taken")
CANCELLED = "[tt:cancelled]"  # in an order of a system that has no such status
UPDATES = "== Updates =="

Order = dict[str, Any]
Settings = Mapping[str, str]


class Refused(Exception):
    """An answer other than 200. status : for Telltale, which tries again after 409, 429 and 5xx, waits for a person
    after 401 and 403, and takes any other for a refusal.
    """

    def __init__(self, status: int, said: str, retry_after: str = "") -> None:
        super().__init__(said)
        self.status, self.retry_after = status, retry_after


class Recipe(Protocol):
    """One maintenance system. Orders are as docs/webhook.md has them; each answer is what the system shows."""

    def find(self, key: str) -> Order | None: ...
    def create(self, order: Order) -> Order: ...
    def get(self, ref: str) -> Order | None: ...
    def update(self, ref: str, order: Order) -> Order:
        """Takes over those of title, description and severity that are there."""

    def comment(self, ref: str, text: str, key: str) -> None:
        """Adds the text; the same key adds it once."""

    def move(self, ref: str, status: str, by: str, closure: Mapping[str, str] | None) -> None: ...
    def heard(self, path: str, headers: Mapping[str, str], body: bytes) -> str:
        """The order that a message of the system is about. Raises Refused(401) unless the message is the system's.

        path : what comes after `/vendor/`.   headers : names in small letters.
        """


# Speaking to the maintenance system


@dataclass
class Api:
    """JSON over HTTP to a maintenance system. `headers` makes those that say who asks, anew for each request."""

    base: str
    headers: Callable[[], Mapping[str, str]] = dict

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        missing: bool = False,
        media: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The answer's JSON. missing : a 404 is answered as None. Raises Refused for what Telltale has to hear."""
        url = self.base.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        sent = {"Accept": "application/json", "Content-Type": media, **self.headers(), **(headers or {})}
        try:
            return json.loads(self._sent(urllib.request.Request(url, data, sent, method=method)) or b"null")
        except urllib.error.HTTPError as error:
            if error.code == 404 and missing:
                error.close()
                return None
            raise _refusal(f"{method} {path}", error) from error
        except (OSError, ValueError) as error:
            raise Refused(503, f"{method} {path}: {error}") from error

    def send(self, body: bytes, headers: Mapping[str, str]) -> None:
        """A body as it is, to the base address."""
        request = urllib.request.Request(self.base, body, {"Content-Type": "application/json", **headers})
        try:
            self._sent(request)
        except OSError as error:
            raise Refused(503, f"{self.base}: {error}") from error

    def _sent(self, request: urllib.request.Request) -> bytes:
        with OPENER.open(request, timeout=ANSWER_S) as answer:
            return bytes(answer.read(MOST_BYTES))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Credentials go where the settings say, and nowhere else."""


OPENER = urllib.request.build_opener(_NoRedirect)


def _refusal(what: str, error: urllib.error.HTTPError) -> Refused:
    with error:
        said = f"{what}: {error.code} {error.read(MOST_BYTES)[:300].decode(errors='replace')}"
    retry_after = error.headers.get("Retry-After") or ""
    if error.code == 429:
        return Refused(429, said, retry_after)
    if error.code in (408, 409, 412, 425) or error.code >= 500:
        return Refused(503, said, retry_after)
    return Refused(403 if error.code in (401, 403) else 422, said)


# What stands in an order


@dataclass(frozen=True)
class Text:
    """A description: Telltale's report, what was added since, and the marks by which it is found and known again."""

    report: str
    key: str = ""
    updates: tuple[str, ...] = ()
    cancelled: bool = False

    def write(self) -> str:
        parts = [self.report, *([UPDATES, *self.updates] if self.updates else [])]
        return "\n".join([*parts, f"[tt:{self.key}]", *([CANCELLED] if self.cancelled else [])])

    def add(self, text: str, key: str) -> "Text":
        """With one more line; the same key adds it once."""
        mark = f"[tt:{hashlib.sha256(key.encode()).hexdigest()[:8]}]"
        if any(line.endswith(mark) for line in self.updates):
            return self
        return Text(self.report, self.key, (*self.updates, f"- {' '.join(text.split())} {mark}"), self.cancelled)


def read(description: str) -> Text:
    """What Text.write wrote, whatever people wrote around it."""
    cancelled = CANCELLED in description
    found = re.search(r"\[tt:([A-Z2-7]{20})\]", description)
    plain = description.replace(CANCELLED, "").replace(found[0] if found else "\0", "")
    report, _, updates = plain.partition(UPDATES)
    lines = tuple(line for line in updates.strip().splitlines() if line)
    return Text(report.strip(), found[1] if found else "", lines, cancelled)


def codes(text: str) -> dict[str, str] | None:
    """Closure codes as technicians write them into a field that has no lists: `LUBRICATION / WEAR / LUBRICATE: dry`."""
    found = re.search(r"\b([A-Z_]{4,}) */ *([A-Z_]{4,}) */ *([A-Z_]{4,})(?:: *(.*))?", text)
    if not found:
        return None
    return dict(zip((*CODES, "note"), (part or "" for part in found.groups()), strict=True))


def in_words(closure: Mapping[str, str]) -> str:
    """The same, to be read by `codes`."""
    note = closure.get("note") or ""
    return " / ".join(closure[name] for name in CODES) + (f": {note}" if note else "")


def statuses(settings: Settings, default: Mapping[str, str]) -> dict[str, str]:
    """What each status of the system means: setting STATUSES, a JSON object, where the system's users own the list."""
    meant = json.loads(settings["STATUSES"]) if settings.get("STATUSES") else dict(default)
    wrong = set(meant.values()) - set(STATUSES)
    if wrong:
        raise ValueError(f"STATUSES: {', '.join(sorted(wrong))} is none of {', '.join(STATUSES)}")
    return {str(raw): str(status) for raw, status in meant.items()}


def meaning(raw: str, meant: Mapping[str, str]) -> str:
    """Raises Refused, for later, where a status is not known: it is never guessed."""
    if raw not in meant:
        raise Refused(503, f"status {raw!r} is none of {', '.join(meant)}: set STATUSES")
    return meant[raw]


def word(status: str, meant: Mapping[str, str]) -> str:
    """The system's first word for a status. Raises Refused where it has none."""
    for raw, meaning_ in meant.items():
        if meaning_ == status:
            return raw
    raise Refused(422, f"no status of the system means {status}: set STATUSES")


def ms(time_: str | float) -> int:
    """Milliseconds since 1970: from ISO 8601, or from a number of seconds or milliseconds."""
    if isinstance(time_, str) and not time_.isdecimal():
        moment = datetime.fromisoformat(time_)
        return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    return int(time_) if float(time_) > LARGEST_S else round(float(time_) * 1000)


def same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


# Between the two


@dataclass
class Receiver:
    """Answers Telltale's messages by a recipe.

    hints_url : where Telltale takes hints about this site; "" where it takes none.
    """

    secret: bytes
    recipe: Recipe
    hints_url: str = ""
    now_s: Callable[[], float] = time.time
    _done: dict[str, float] = field(default_factory=dict)  # signatures of messages that changed something
    _told: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for a request."""
        given = {name.lower(): value for name, value in headers.items()}
        try:
            _, vendor, rest = path.partition("/vendor")
            if vendor:
                self._pass_on(self.recipe.heard(rest.strip("/"), given, body), given, body)
                return 202, {}, b""
            self._check(given, body)
            with self._lock:  # one message at a time: a system that cannot make an order once for a key needs it
                order = self._do(given, json.loads(body))
        except Refused as refused:
            headers = {"Retry-After": refused.retry_after} if refused.retry_after else {}
            return refused.status, headers, json.dumps({"message": str(refused)}).encode()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return 400, {}, json.dumps({"message": f"not understood: {error!r}"}).encode()
        return 200, {"Content-Type": "application/json"}, json.dumps({"order": order}).encode()

    def _check(self, headers: Mapping[str, str], body: bytes) -> None:
        timestamp = headers.get("telltale-timestamp", "")
        if not same(headers.get("telltale-signature", ""), self._signature(timestamp, body)):
            raise Refused(401, "Telltale-Signature does not match timestamp and body")
        if not timestamp.isdecimal() or abs(self.now_s() - int(timestamp)) > WINDOW_S:
            raise Refused(401, "Telltale-Timestamp is not within five minutes of now")

    def _signature(self, timestamp: str, body: bytes) -> str:
        return "sha256=" + hmac.new(self.secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()

    def _do(self, headers: Mapping[str, str], message: dict[str, Any]) -> Order | None:
        action = message["action"]
        if action == "find":
            return self.recipe.find(str(message["key"]))
        if action == "create":
            found = self.recipe.find(str(message["key"]))
            return found or self.recipe.create(dict(message["order"]))
        ref = str(message["ref"])
        order = self.recipe.get(ref)
        if action == "get":
            return order
        if action not in ("update", "comment", "set_status"):
            raise Refused(400, f"action {action!r} is not known")
        if order is None:
            raise Refused(422, f"there is no order {ref}")
        if self._was_done(headers["telltale-signature"]):
            return order
        if action == "comment":
            self.recipe.comment(ref, str(message["text"]), headers["idempotency-key"])
        elif order["status"] in FINAL:
            return order
        elif action == "update":
            return self.recipe.update(ref, dict(message["order"]))
        elif order["status"] != message["status"]:
            self.recipe.move(ref, str(message["status"]), str(message["by"]), message.get("closure"))
        return self.recipe.get(ref)

    def _was_done(self, signature: str) -> bool:
        """Whether this very message came before: it may be a replay, and is answered without doing it again."""
        return _came_before(self._done, signature, self.now_s(), 2 * WINDOW_S)

    def _pass_on(self, ref: str, headers: Mapping[str, str], body: bytes) -> None:
        now = self.now_s()
        signed = "".join(value for name, value in sorted(headers.items()) if "signature" in name)
        with self._lock:
            seen = _came_before(self._told, hashlib.sha256(signed.encode() + body).hexdigest(), now, QUIET_S)
        if seen or not self.hints_url:
            return
        hint, timestamp = json.dumps({"version": "1", "ref": ref}).encode(), str(int(now))
        Api(self.hints_url, lambda: {}).send(
            hint, {"Telltale-Timestamp": timestamp, "Telltale-Signature": self._signature(timestamp, hint)}
        )


def _came_before(seen: dict[str, float], one: str, now: float, keep_s: float) -> bool:
    for old in [name for name, at in seen.items() if now - at > keep_s][:MOST_KEPT]:
        del seen[old]
    known = one in seen
    if len(seen) >= MOST_KEPT:
        seen.clear()
    seen[one] = now
    return known


def receiver(name: str, settings: Settings) -> Receiver:
    """The receiver of a recipe, by its module's name. Raises KeyError where a setting is missing."""
    recipe = importlib.import_module(f"recipes.{name}").recipe(settings)
    return Receiver(settings["TELLTALE_SECRET"].encode(), recipe, settings.get("TELLTALE_HINTS_URL", ""))


@cache
def _made() -> Receiver:
    settings = dict(os.environ)
    if settings.get("SECRETS_ARN"):
        import boto3  # type: ignore[import-untyped,unused-ignore]  # a part of Lambda's runtime

        secret = boto3.client("secretsmanager").get_secret_value(SecretId=settings["SECRETS_ARN"])
        settings |= json.loads(secret["SecretString"])
    return receiver(settings["RECIPE"], settings)


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """A Lambda function URL's request (payload format 2.0)."""
    body = event.get("body") or ""
    raw = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
    status, headers, answer = _made().answer(event["rawPath"], event["headers"], raw)
    return {"statusCode": status, "headers": headers, "body": answer.decode()}


def server(one: Receiver, port: int) -> ThreadingHTTPServer:
    """The receiver on this computer; whoever calls it serves and closes it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = min(int(self.headers.get("Content-Length") or 0), MOST_BYTES)
            status, headers, answer = one.answer(self.path, dict(self.headers.items()), self.rfile.read(length))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(answer))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Telltale's webhook, answered by a maintenance system")
    parser.add_argument("recipe", help="upkeep, fiix, limble, emaint, atlas or erpnext")
    parser.add_argument("--port", type=int, default=8080)
    given = parser.parse_args()
    server(receiver(given.recipe, os.environ), given.port).serve_forever()
