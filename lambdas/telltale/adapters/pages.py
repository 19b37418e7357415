"""The evidence page's requests: a link is read, what it names is looked up, and what people answer goes to a queue.

Nothing is looked up before the signature is good, and nothing is changed here: an answer is a message to the worker of
orders, whose id is the same for the same answer however often a form is sent.
"""

import hashlib
import json
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from botocore.exceptions import ClientError

from telltale.adapters.cases import Case, Cases
from telltale.adapters.links import LinkKeys
from telltale.adapters.prefixes import picture_of
from telltale.adapters.registry import Registry
from telltale.core.closure import Closure, UnknownCode, closure
from telltale.core.links import UNSUBSCRIBE, BadLink, Claims, Expired, sign
from telltale.core.page import (
    ASKED,
    DONE,
    FALSE_ALARM,
    LONGEST_NAME,
    LONGEST_NOTE,
    MEASURED,
    NOTED,
    TAKE,
    CasePage,
    OrderShown,
    case_page,
    message_page,
    style_hash,
    unsubscribe_form,
)
from telltale.core.plant import Position, Site

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LONGEST_BODY = 20_000  # bytes of a form; a note of 1000 letters takes 12,000 where each is an emoji
LARGEST_PICTURE = 1_000_000  # bytes; they are 30 kB. Lambda answers with 6 MB at most
NOT_THERE = ("NoSuchKey", "AccessDenied")  # who may not list a bucket is denied what is not in it
FALSE = Closure("NO_ISSUE", "UNDETERMINED", "NO_ACTION")

HEADERS: Mapping[str, str] = {
    "Cache-Control": "private, no-store",
    "Content-Security-Policy": f"default-src 'none'; style-src '{style_hash()}'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}

log = logging.getLogger(__name__)


class Wrong(ValueError):
    """A form that cannot be taken as it is; the message says why to whoever filled it in."""


@dataclass(frozen=True)
class Request:
    """What a browser asks for. `path` : with the token.   noted : of the query, the answer that was just taken."""

    method: str
    path: str
    noted: str = ""
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    status: int
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class Pages:
    """Answers requests.

    reply : takes a message about a case for the worker of orders.   unsubscribe : takes one for the notices; None where
    nobody takes any.   now_ms : the time.
    """

    def __init__(
        self,
        *,
        keys: LinkKeys,
        cases: Cases,
        registry: Registry,
        s3: "S3Client",
        bucket: str,
        reply: Callable[[Mapping[str, Any]], None],
        unsubscribe: Callable[[Mapping[str, Any]], None] | None,
        now_ms: Callable[[], int],
    ) -> None:
        self._keys, self._cases, self._registry = keys, cases, registry
        self._s3, self._bucket = s3, bucket
        self._reply, self._unsubscribe = reply, unsubscribe
        self._now_ms = now_ms

    def answer(self, request: Request) -> Answer:
        """What to send back. Who has no good link learns nothing but that."""
        if request.method not in ("GET", "HEAD", "POST"):
            return Answer(405, headers={"Allow": "GET, HEAD, POST"})
        token = request.path.strip("/")
        if "." not in token or "/" in token:
            return _page(404, "There is nothing here", "Open the link in your work order or notice.")
        try:
            claims = self._keys.claims(token, now_s=self._now_ms() / 1000)
        except Expired:
            again = "The work order has a newer one while its case is open. Or ask whoever runs Telltale at your plant."
            return _page(410, "This link is no longer good", again)
        except BadLink:
            whole = "It may have been cut off or changed on its way. Open it again from the work order or the notice."
            return _page(403, "This link is not valid", whole)
        if claims.purpose == UNSUBSCRIBE:
            return self._unsubscribed(claims) if request.method == "POST" else _may_unsubscribe(claims)
        case = self._cases.get(claims.subject)
        if case is None:
            return _page(404, "This case is no longer kept", f"There is nothing more about {claims.subject}.")
        if request.method == "POST":
            return self._answered(request, token, claims, case)
        noted = request.noted if request.noted in NOTED else ""
        return _html(200, self._shown(token, claims, case, noted=noted))

    # ---- what people say --------------------------------------------------------------------------

    def _answered(self, request: Request, token: str, claims: Claims, case: Case) -> Answer:
        """A form of the page of a case: taken and shown so, or shown again with what is wrong with it."""
        if len(request.body) > LONGEST_BODY:
            return _page(413, "That is too much", f"Found {len(request.body)} bytes, wanted at most {LONGEST_BODY}.")
        typed = _fields(request.body)
        try:
            message = _message(typed, case.change.case_id, self._now_ms())
        except Wrong as wrong:
            return _html(422, self._shown(token, claims, case, error=str(wrong), typed=typed))
        self._reply(message)
        return Answer(303, headers={"Location": f"?noted={typed['answer']}"})

    def _unsubscribed(self, claims: Claims) -> Answer:
        """Also with RFC 8058's one click: the address alone is the wish, whatever the body says."""
        if self._unsubscribe is None:
            return _page(501, "Nobody sends notices here", "This stage of Telltale has none.")
        self._unsubscribe({"unsubscribe": {"site": claims.subject, "to": claims.to, "at_ms": self._now_ms()}})
        again = "If you want them again, ask whoever runs Telltale at your plant."
        return _page(200, "No more notices", f"{claims.to} gets no more notices of {claims.subject}.", again)

    # ---- what is shown ----------------------------------------------------------------------------

    def _shown(
        self,
        token: str,
        claims: Claims,
        case: Case,
        *,
        noted: str = "",
        error: str = "",
        typed: Mapping[str, str] | None = None,
    ) -> str:
        position = self._registry.positions([case.position]).get(case.position, Position(case.position))
        site = self._registry.sites([case.site]).get(case.site, Site(case.site))
        picture, no_picture = self._picture(case)
        order = case.order
        parent = case.change.parent
        return case_page(
            CasePage(
                change=case.change,
                history=case.history,
                position=position,
                site=site,
                zone=_zone(site.time_zone),
                good_until_s=claims.expires_s,
                form=secrets.token_hex(8),
                order=OrderShown(order.state, order.ref or "", order.problem or "") if order else None,
                picture=picture,
                no_picture=no_picture,
                parent=self._beside(claims, parent) if parent else "",
                name=claims.to,
                noted=noted,
                error=error,
                typed=typed or {},
            )
        )

    def _beside(self, claims: Claims, case_id: str) -> str:
        """A link to another case, for the same person and as long: who sees one child sees its order."""
        return sign(self._keys.current(), Claims(claims.purpose, case_id, claims.expires_s, claims.to))

    def _picture(self, case: Case) -> tuple[bytes | None, str]:
        """The picture of the case as SVG; else why there is none."""
        evidence = case.change.evidence
        key = evidence.get("picture") or _earlier_picture(case)
        if not key:
            why = (evidence.get("diagnosis") or {}).get("reason")
            return None, f"There is no picture: {why}" if why else "There is no picture of this case."
        try:
            body = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read(LARGEST_PICTURE + 1)
        except ClientError as error:
            if error.response["Error"]["Code"] not in NOT_THERE:
                raise
            return None, "The picture is not there. It is drawn a moment after the case opens, and kept as long as it."
        if len(body) > LARGEST_PICTURE:
            log.error("picture %s has more than %d bytes", key, LARGEST_PICTURE)
            return None, "The picture is too large to be shown."
        return body, ""


def _earlier_picture(case: Case) -> str | None:
    """Where the picture of the last capture that changed the case would be, if what came after has none of its own."""
    if case.change.change in MEASURED:
        return None
    drawn = next((one for one in reversed(case.history) if one["change"] in MEASURED), None)
    return picture_of(case.change.case_id, drawn["revision"]) if drawn else None


def failed() -> Answer:
    """What is said when something of ours broke."""
    return _page(500, "That did not work", "The fault is ours, and it is in the log. Please try again in a minute.")


def _may_unsubscribe(claims: Claims) -> Answer:
    says = f"{claims.to} gets notices of {claims.subject} from Telltale."
    return _html(200, message_page("Stop notices?", says, form=unsubscribe_form()))


def _message(typed: Mapping[str, str], case_id: str, now_ms: int) -> dict[str, Any]:
    """The answer for the worker of orders; raises Wrong. The same form with the same words has the same id."""
    said = typed.get("answer", "")
    if said not in NOTED:
        raise Wrong("This form is not one of this page. Please use one of those below.")
    by = typed.get("by", "")
    if not by:
        raise Wrong("Please say who you are.")
    if len(by) > LONGEST_NAME or len(typed.get("note", "")) > LONGEST_NOTE:
        raise Wrong(f"A name has at most {LONGEST_NAME} letters, and a note {LONGEST_NOTE}.")
    codes = {DONE: _codes, FALSE_ALARM: _false_alarm}.get(said)
    reply: dict[str, Any] = {
        "kind": "acknowledged" if said == TAKE else "closed",
        "by": by,
        "closure": codes(typed).as_dict() if codes else None,
    }
    same = json.dumps([case_id, typed.get("form", ""), reply], sort_keys=True)
    reply |= {"at_ms": now_ms, "id": hashlib.sha256(same.encode()).hexdigest()[:32]}
    return {"detail": {"case_id": case_id}, "reply": reply}


def _codes(typed: Mapping[str, str]) -> Closure:
    for name, (asked, what) in ASKED.items():
        if not typed.get(name):
            raise Wrong(f"Please answer “{asked}” (the {what}).")
    try:
        return closure(**{name: typed[name] for name in ASKED}, note=typed.get("note", ""))
    except UnknownCode as unknown:
        raise Wrong(f"“{unknown.given}” is not on the list. Please choose again.") from unknown


def _false_alarm(typed: Mapping[str, str]) -> Closure:
    return Closure(FALSE.failure_mode, FALSE.failure_cause, FALSE.action_taken, typed.get("note", ""))


def _fields(body: bytes) -> dict[str, str]:
    """The first value of each field of a form, without what nobody types."""
    text = body.decode("utf-8", errors="replace")
    try:
        found = parse_qs(text, max_num_fields=20)
    except ValueError:
        return {}
    return {
        name: "".join(c for c in values[0] if c == "\n" or c.isprintable()).strip() for name, values in found.items()
    }


def _zone(name: str) -> tzinfo:
    """The time zone of that name; UTC where this computer does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        log.error("time zone %r is not known here, so times are shown in UTC", name)
        return UTC


def _page(status: int, title: str, *paragraphs: str) -> Answer:
    return _html(status, message_page(title, *paragraphs))


def _html(status: int, body: str) -> Answer:
    return Answer(status, body, {"Content-Type": "text/html; charset=utf-8"})
