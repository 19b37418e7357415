"""Request Tracker 5 by its REST 2 interface: an order is a ticket, its key a custom field of it.

Traps that only a real one showed: a change that was not made (no right, no such status, no such value) is answered 200
with a sentence; a custom field that is not there, or not to be seen, is left out of a new ticket without a word, and a
search for it finds nothing. So all of it is read back, and the fields are looked for before anything is made.
"""

import base64
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any

from telltale.adapters.cmms.adapter import Adapter, Given, Setting
from telltale.adapters.cmms.http import Answer, Http, shown
from telltale.adapters.cmms.port import (
    DESCRIPTION,
    FIELDS,
    SEVERITY,
    TITLE,
    Capabilities,
    CmmsBusy,
    CmmsDenied,
    Forged,
    Hint,
    Order,
    OrderRequest,
    Picture,
    Plain,
    Status,
    Stays,
    UnknownAsset,
)
from telltale.adapters.cmms.webhook import Webhook
from telltale.core.closure import Closure
from telltale.core.errors import CmmsRefused, RetryLater

STATUSES = {  # RT's default lifecycle (RT_Config, %Lifecycles)
    "new": "OPEN",
    "open": "IN_PROGRESS",
    "stalled": "ON_HOLD",
    "resolved": "DONE",
    "rejected": "CANCELLED",
    "deleted": "CANCELLED",
}
PRIORITIES = {"WARNING": "50", "ALARM": "100"}  # Medium and High, as RT_Config's %PriorityAsString names them
CODES = ("failure_mode", "failure_cause", "action_taken", "note")
CUSTOM = "CF."  # before the name of a custom field among the plant file's `fields`
PAGE = 100  # the most that REST 2 gives at once
TRIES = 3  # of a change that somebody else's came before (If-Match answers 412)
DELETED = "deleted"


@dataclass(frozen=True)
class Ticket:
    """A ticket as it was read, and the tag that says that nothing has changed since."""

    document: Mapping[str, Any]
    etag: str

    @property
    def id(self) -> str:
        return str(self.document["id"])

    def custom(self, name: str) -> str:
        """The value of a single-valued custom field; "" for none."""
        values = (one["values"] for one in self.document["CustomFields"] if one["name"] == name)
        return next((str(value) for given in values for value in given), "")


class RequestTracker(Plain):
    """One queue of one Request Tracker; an order's reference is its ticket's number."""

    name = "request_tracker"

    def __init__(self, given: Given) -> None:
        settings = given.settings
        base = f"{str(settings['url']).rstrip('/')}/REST/2.0"
        self._queue, self._catalog = str(settings["queue"]), str(settings["catalog"] or "")
        self._key, self._report = str(settings["key_field"]), str(settings["report_field"])
        self._codes = dict(zip(CODES, (str(settings[f"{name}_field"]) for name in CODES), strict=True))
        self._statuses = {raw: Status(status) for raw, status in (settings["statuses"] or STATUSES).items()}
        self._priorities: Mapping[str, str] = settings["priorities"] or PRIORITIES
        self._site, self._now_ms = given.site, given.now_ms
        self._hints = given.secrets.get("hints", "")
        self.capabilities = Capabilities(
            upsert=False,
            pushes=bool(settings["pushes"]),
            reopens=True,
            codes=True,
            attaches=True,
            assets=bool(self._catalog),
        )
        self._http = Http(base, now_ms=given.now_ms, headers=_credentials(given), budget=given.budget)

    def find(self, key: str) -> Order | None:
        query = f"Queue={_quoted(self._queue)} AND {_quoted(f'CF.{{{self._key}}}')}={_quoted(key)}"
        found = self._search("/tickets", query=query, orderby="id")
        # The first one: RT copies custom fields into a ticket that is made from another.
        return self.get(str(found[0]["id"])) if found else None

    def create(self, request: OrderRequest) -> Order:
        self._ready()
        asset = {"RefersTo": [f"asset:{self._asset_id(request.asset)}"]} if self._catalog and request.asset else {}
        own = {name: value for name, value in request.fields.items() if not name.startswith(CUSTOM)}
        custom = {name.removeprefix(CUSTOM): str(v) for name, v in request.fields.items() if name.startswith(CUSTOM)}
        document = {
            "Queue": self._queue,
            "Subject": request.title,
            "Priority": self._priority(request),
            "Content": request.description,
            "ContentType": "text/plain",
            **asset,
            **own,
            "CustomFields": {self._key: request.key, self._report: request.description, **custom},
        }
        number = str(_document(self._http.ask("POST", "/ticket", body=document, good=(201,)), "id")["id"])
        order = self.get(number)
        if order is None:
            raise RetryLater(f"ticket {number} was made, and is not there")
        return order

    def get(self, ref: str) -> Order | None:
        ticket = self._ticket(ref)
        return self._order(ref, ticket) if ticket else None

    def update(self, ref: str, request: OrderRequest, fields: Collection[str] = FIELDS) -> Order:
        wanted: dict[str, Any] = {"Subject": request.title} if TITLE in fields else {}
        wanted |= {"Priority": self._priority(request)} if SEVERITY in fields else {}
        wanted |= {"CustomFields": {self._report: request.description}} if DESCRIPTION in fields else {}
        for _ in range(TRIES):
            ticket = self._known(ref)
            order = self._order(ref, ticket)
            if order.status.final or order.merged_into or not wanted:
                return order
            answer = self._put(ticket, wanted, good=(200, 412))
            if answer.status != 412:
                return self._changed(ref, answer, {name: order.shows[name] for name in fields}, request)
        raise CmmsBusy(f"ticket {ref} is being changed by somebody else")

    def comment(self, ref: str, text: str, *, key: str) -> None:
        subject = f"[tt:{key}]"
        if not any(one.get("Subject") == subject for one in self._attachments(ref)):
            self._say(ref, {"Subject": subject, "Content": text, "ContentType": "text/plain"})

    def set_status(self, ref: str, status: Status, *, by: str, closure: Closure | None = None) -> Order:
        ticket = self._known(ref)
        order = self._order(ref, ticket)
        if order.status is status:
            return order
        if order.status.final and status is not Status.OPEN:
            raise Stays(order, status)
        raw = self._raw(status)
        codes: Mapping[str, str | None] = closure.as_dict() if closure else {}
        if order.status.final:
            codes = dict.fromkeys(CODES)  # what was found last time is not what will be found
        custom = {self._codes[name]: code or None for name, code in codes.items() if self._codes[name]}
        found = "; ".join(filter(None, closure.as_dict().values())) if closure else ""
        self.comment(ref, f"{raw} by {by}{found and ': '}{found}", key=f"{raw}-{order.changed_ms}")
        said = self._put(self._known(ref), {"Status": raw, "CustomFields": custom}, good=(200,)).body.decode()
        ticket = self._known(ref)
        now = self._order(ref, ticket)
        if now.status is not status:
            raise self._unchanged(ticket, f"is {now.raw_status} and stays so; {raw} was wanted: {said}")
        return now

    def attach(self, ref: str, picture: Picture) -> None:
        if any(one.get("Filename") == picture.name for one in self._attachments(ref)):
            return
        data = base64.b64encode(picture.data).decode()
        file = {"FileName": picture.name, "FileType": picture.media_type, "FileContent": data}
        self._say(ref, {"Content": picture.name, "ContentType": "text/plain", "Attachments": [file]})

    def asset(self, key: str) -> str | None:
        found = self._assets(key)
        return str(found[0]["Description"] or found[0]["Name"]) if found else None

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Hint]:
        if not self._hints:
            raise Forged(f"site {self._site} has no secret `hints`, so that no message can be believed")
        return Webhook(self._http.base, self._hints.encode(), self._now_ms).verify_webhook(headers, body)

    def _ticket(self, ref: str) -> Ticket | None:
        if not ref.isdecimal():
            return None
        answer = self._http.ask("GET", f"/ticket/{ref}", good=(200, 404))
        if answer.status == 404:
            return None
        return Ticket(_document(answer, "id", "Status", "CustomFields", "_hyperlinks"), answer.headers.get("ETag", ""))

    def _known(self, ref: str) -> Ticket:
        ticket = self._ticket(ref)
        if ticket is None:
            raise CmmsRefused(f"there is no ticket {ref}")
        return ticket

    def _order(self, ref: str, ticket: Ticket) -> Order:
        """What a ticket says. One that was merged reads as the ticket that it was merged into (RT loads that)."""
        raw, changed_ms = str(ticket.document["Status"]), _ms(ticket.document["Created"])
        if raw not in self._statuses:
            known = ", ".join(self._statuses)
            raise RetryLater(f"ticket {ref} is {raw!r}, which is none of {known}; `statuses` in the plant file says")
        by = None
        for change in self._status_changes(ticket.id):
            by, changed_ms = str(change["Creator"]["id"]), _ms(change["Created"])
        status = self._statuses[raw]
        codes = {name: ticket.custom(field) for name, field in self._codes.items()}
        return Order(
            ref=ref,
            key=ticket.custom(self._key),
            status=status,
            raw_status=raw,
            changed_ms=changed_ms,
            by=by,
            closure={name: code for name, code in codes.items() if code} or None if status.final else None,
            shows={
                TITLE: str(ticket.document["Subject"]),
                DESCRIPTION: ticket.custom(self._report),
                SEVERITY: str(ticket.document["Priority"]),
            },
            merged_into=ticket.id if ticket.id != ref else "",
        )

    def _status_changes(self, number: str) -> Sequence[Mapping[str, Any]]:
        """The last change of status, or none."""
        query = f"TicketId={number} AND Type='Status'"
        fields = "Creator,Created"
        return self._search("/transactions", query=query, fields=fields, orderby="id", order="DESC", per_page=1)

    def _changed(self, ref: str, answer: Answer, before: Mapping[str, str], request: OrderRequest) -> Order:
        """The order after a change of the fields that are in `before`; raises where one stayed as it was."""
        ticket = self._known(ref)
        order = self._order(ref, ticket)
        wanted = {TITLE: request.title, DESCRIPTION: request.description, SEVERITY: self._priority(request)}
        for name, old in before.items():
            if order.shows[name] == old != wanted[name]:
                raise self._unchanged(ticket, f"kept its {name}: {answer.body.decode()}")
        return order

    def _unchanged(self, ticket: Ticket, why: str, offer: str = "lifecycle") -> Exception:
        """RT says with each ticket what its reader may do next: what is not on offer there wants a right."""
        said = f"ticket {ticket.id} {why}"
        offered = any(link["ref"] == offer for link in ticket.document["_hyperlinks"])
        return CmmsRefused(said) if offered else CmmsDenied(f"{said} (ModifyTicket, CommentOnTicket?)")

    def _put(self, ticket: Ticket, document: Mapping[str, Any], good: Collection[int]) -> Answer:
        return self._http.ask(
            "PUT", f"/ticket/{ticket.id}", body=document, headers={"If-Match": ticket.etag}, good=good
        )

    def _say(self, ref: str, document: Mapping[str, Any]) -> None:
        answer = self._http.ask("POST", f"/ticket/{ref}/comment", body=document, good=(201, 400))
        if answer.status == 400:
            raise self._unchanged(self._known(ref), f"took no comment: {shown(answer.body)}", "comment")

    def _attachments(self, ref: str) -> Iterator[Mapping[str, Any]]:
        """What was said on a ticket, and the files on it."""
        for page in count(1):  # RT tells the number of pages only to those who may see everything
            items = self._search(f"/ticket/{ref}/attachments", fields="Subject,Filename", per_page=PAGE, page=page)
            yield from items
            if len(items) < PAGE:
                return

    def _ready(self) -> None:
        """Raises CmmsDenied where the queue lacks a field that RT would leave out without a word."""
        answer = self._http.ask("GET", f"/queue/{self._queue}", good=(200, 404))
        if answer.status == 404:
            raise CmmsDenied(f"there is no queue {self._queue!r} that this user may see")
        there = {one["name"] for one in _document(answer, "TicketCustomFields")["TicketCustomFields"]}
        missing = {self._key, self._report} - there
        if missing:
            raise CmmsDenied(
                f"queue {self._queue!r} has no custom field {', '.join(sorted(missing))} that this user may see"
            )

    def _asset_id(self, key: str) -> str:
        found = self._assets(key)
        if not found:
            raise UnknownAsset(key, f"catalog {self._catalog!r} holds no asset of that name that this user may see")
        return str(found[0]["id"])

    def _assets(self, key: str) -> Sequence[Mapping[str, Any]]:
        query = f"Catalog={_quoted(self._catalog)} AND Name={_quoted(key)}"
        return self._search("/assets", query=query, fields="Name,Description")

    def _search(self, path: str, **params: str | int) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = _document(
            self._http.ask("GET", path, params=params, good=(200,)), "items"
        )["items"]
        return found

    def _priority(self, request: OrderRequest) -> str:
        return str(self._priorities[request.severity])

    def _raw(self, status: Status) -> str:
        """RT's word: its own default if the plant file keeps it, else the first of those that mean this."""
        words = [raw for raw, meant in self._statuses.items() if meant is status and raw != DELETED]
        own = [raw for raw in words if STATUSES.get(raw) == status]
        if not words:
            raise CmmsRefused(f"no status of queue {self._queue} means {status}; `statuses` in the plant file says")
        return (own or words)[0]


def _document(answer: Answer, *names: str) -> Mapping[str, Any]:
    """An answer that has all of these. Raises RetryLater: what has not is a proxy's page."""
    document = answer.json()
    if not isinstance(document, dict) or not document.keys() >= set(names):
        raise RetryLater(f"the answer is not Request Tracker's: {shown(answer.body)}")
    return document


def _quoted(text: str) -> str:
    """A text in TicketSQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _ms(time: str) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1000)


def _credentials(given: Given) -> dict[str, str]:
    if given.secrets.get("token"):
        return {"Authorization": f"token {given.secrets['token']}"}
    if not given.secrets.get("user"):
        raise CmmsRefused(f"site {given.site}: neither the secret 'token' nor 'user' and 'password' are set")
    both = f"{given.secrets['user']}:{given.secret('password')}"
    return {"Authorization": f"Basic {base64.b64encode(both.encode()).decode()}"}


ADAPTER = Adapter(
    title="Request Tracker 5",
    make=RequestTracker,
    settings={
        "url": Setting("the address of Request Tracker, without /REST/2.0", "url", required=True),
        "queue": Setting("the queue that the orders go to", required=True),
        "catalog": Setting("the catalog of assets whose names are the assets' keys; without it no asset is linked"),
        "key_field": Setting("the custom field for the order's key", default="Telltale key"),
        "report_field": Setting("the custom field for the report, which is kept up to date", default="Telltale report"),
        "failure_mode_field": Setting("the custom field for what was found", default="Failure mode"),
        "failure_cause_field": Setting("the custom field for why", default="Failure cause"),
        "action_taken_field": Setting("the custom field for what was done", default="Action taken"),
        "note_field": Setting("the custom field for a note on closing", default="Closure note"),
        "priorities": Setting("RT's priority for WARNING and for ALARM", dict, default=PRIORITIES),
        "statuses": Setting("what each status of the queue's lifecycle means", dict, default=STATUSES),
        "pushes": Setting("whether RT's scrip tells of changes", bool, default=False),
    },
    secrets={
        "token": "an authentication token of the bot",
        "user": "the bot's name, where there is no token",
        "password": "the bot's password, where there is no token",
        "hints": "shared with RT's scrip, which signs with it",
    },
)
