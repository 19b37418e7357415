"""MaintainX, by its REST API v1, written from the OpenAPI document that it publishes (docs/cmms/maintainx.md).

It makes an order for each request: there is no idempotency key, and `externalData` cannot be searched for. So the key
stands in the title too, and `find` asks for titles with it, then lists what was created of late: what the filter
`title` takes for equal is not said.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from telltale.adapters.cmms.adapter import Adapter, Given, Setting
from telltale.adapters.cmms.http import MAX_ANSWER_BYTES, Answer, Http, shown
from telltale.adapters.cmms.port import (
    DESCRIPTION,
    FIELDS,
    SEVERITY,
    TITLE,
    Capabilities,
    Forged,
    Hint,
    Order,
    OrderRequest,
    Picture,
    Plain,
    Status,
    Stays,
    Stock,
    UnknownAsset,
    moved,
)
from telltale.core.closure import LISTS, Closure
from telltale.core.errors import CmmsRefused, RetryLater

API = "https://api.getmaintainx.com/v1"
STATUSES = {
    "OPEN": Status.OPEN,
    "IN_PROGRESS": Status.IN_PROGRESS,
    "ON_HOLD": Status.ON_HOLD,
    "DONE": Status.DONE,
    "CANCELED": Status.CANCELLED,
    "SKIPPED": Status.CANCELLED,  # shown, never set: an order of a series that was passed over
}
PRIORITIES = {"WARNING": "MEDIUM", "ALARM": "HIGH"}  # NONE, LOW, MEDIUM, HIGH are all there are
CALLS_PER_MINUTE = 100  # for one user; 500 for all users of an organization
PAGE = 200  # the most that a list gives at once
ENTRIES = 4000  # guess: so many orders within `search_days`; more of them are said, for they could hide a double
SEARCH_DAYS = 7  # guess: the longest that an order may have been made without the ledger knowing
TAG = re.compile(r"\[tt:([A-Z2-7]{20})\]")
SIGNATURE = "x-maintainx-webhook-body-signature"
REPLAY_WINDOW_S = 300  # what MaintainX advises
MILLISECONDS = 10**12  # a time above it is no count of seconds; the unit of `t` is not documented
RESERVED = {"cursor", "limit", "sort", "expand", "locationId"}  # a custom field called so is asked for as `<name>__c`


class MaintainX(Plain):
    """One organization. code_fields : which custom fields of work orders hold the closure codes, by Telltale's names.

    asset_field, part_field : the custom field of assets and parts that holds Telltale's keys; "" where the keys are
    MaintainX's own numbers (and, for parts, part numbers of vendors).   secrets : of the webhooks, each has its own.
    """

    name = "maintainx"

    def __init__(
        self,
        http: Http,
        now_ms: Callable[[], int],
        *,
        priorities: Mapping[str, str],
        statuses: Mapping[str, Status],
        code_fields: Mapping[str, str],
        asset_field: str = "",
        part_field: str = "",
        search_days: int = SEARCH_DAYS,
        secrets: Sequence[bytes] = (),
        pushes: bool = False,
    ) -> None:
        self.capabilities = Capabilities(
            upsert=False,
            pushes=pushes,
            reopens=True,
            codes=set(LISTS) <= set(code_fields),
            attaches=True,
            assets=True,
            stock=True,
        )
        self._http, self._now_ms = http, now_ms
        self._priorities, self._statuses, self._code_fields = priorities, statuses, code_fields
        self._asset_field, self._part_field, self._search_days = asset_field, part_field, search_days
        self._secrets = secrets
        self._people: dict[int, str] = {}

    def find(self, key: str) -> Order | None:
        since = datetime.fromtimestamp(self._now_ms() / 1000, UTC) - timedelta(days=self._search_days)
        titled = {"title": key, "show_upcoming": "true"}
        lately = {"createdAt[gte]": _iso(since), "sort": "-createdAt", "show_upcoming": "true"}
        for asked in (titled, lately):
            for listed in self._listed("/workorders", "workOrders", asked):
                if _key(listed) == key and (order := self.get(str(listed["id"]))) is not None:
                    return order
        return None

    def create(self, request: OrderRequest) -> Order:
        body = {
            "title": request.title,
            "description": request.description,
            "priority": self._priorities[request.severity],
            **({"assetId": self._asset_id(request.asset)} if request.asset else {}),
            **request.fields,
            "externalData": {"telltale": request.key},
        }
        body["title"] = _tagged(str(body["title"]), request.key)
        answer = self._http.ask("POST", "/workorders", body=body, good=(200, 201, 400, 404))
        if answer.status >= 400:
            if request.asset and (_blames(answer, "assetId") or self.asset(request.asset) is None):
                raise UnknownAsset(request.asset, shown(answer.body))
            raise CmmsRefused(f"MaintainX took no order {request.key}: {answer.status} {shown(answer.body)}")
        made = self.get(str(_number(_object(answer), "id")))
        if made is None:
            raise RetryLater(f"MaintainX made order {request.key} and does not show it")
        return made

    def get(self, ref: str) -> Order | None:
        record = self._record(ref)
        return self._order(record) if record is not None else None

    def update(self, ref: str, request: OrderRequest, fields: Collection[str] = FIELDS) -> Order:
        order = self._there(ref)
        if order.status.final:
            return order
        new = {
            TITLE: ("title", _tagged(request.title, request.key)),
            DESCRIPTION: ("description", request.description),
            SEVERITY: ("priority", self._priorities[request.severity]),
        }
        body = dict(new[name] for name in FIELDS if name in fields)
        if body:
            self._http.ask("PATCH", f"/workorders/{ref}", body=body)
        return self._there(ref)

    def comment(self, ref: str, text: str, *, key: str) -> None:
        path, mark = f"/workorders/{ref}/comments", f"[tt:{key}]"
        if not any(mark in str(said.get("content")) for said in self._listed(path, "comments", {})):
            self._http.ask("POST", path, body={"content": f"{text}\n{mark}"})

    def set_status(self, ref: str, status: Status, *, by: str, closure: Closure | None = None) -> Order:
        order = self._there(ref)
        if order.status is status:
            return order
        if order.status.final and status is not Status.OPEN:
            raise Stays(order, status)
        if closure is not None and self._code_fields:
            said = closure.as_dict()
            codes = {label: said[name] for name, label in self._code_fields.items() if said.get(name)}
            self._http.ask("PATCH", f"/workorders/{ref}", body={"extraFields": codes})
        self._http.ask("PATCH", f"/workorders/{ref}/status", body={"status": self._word(status)})
        return moved(self._there(ref), status)

    def attach(self, ref: str, picture: Picture) -> None:
        record = self._record(ref)
        if record is None:
            raise _gone(ref)
        if any(one.get("fileName") == picture.name for one in record.get("attachments") or ()):
            return
        headers = {"Content-Type": "application/octet-stream"}  # of the kinds it lists SVG is none
        path = f"/workorders/{ref}/attachments/{quote(picture.name, safe='')}"
        self._http.ask("PUT", path, raw=picture.data, headers=headers)

    def asset(self, key: str) -> str | None:
        found = self._found("assets", "asset", key, self._asset_field)
        return str(found["name"]) if found is not None else None

    def stock(self, part: str) -> Stock | None:
        found = self._found("parts", "part", part, self._part_field) or self._part_of_vendor(part)
        if found is None:
            return None
        quantity = found.get("inStockQuantity", found.get("availableQuantity"))
        if not isinstance(quantity, int | float):
            return None
        places = [str(place["area"]) for place in found.get("locations") or () if place.get("area")]
        return Stock(str(found["name"]), float(quantity), ", ".join(places) or str(found.get("area") or ""))

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Hint]:
        given = {name.lower(): value for name, value in headers.items()}.get(SIGNATURE, "")
        parts = [part.strip().partition("=") for part in given.split(",")]
        times, marks = ([value for name, _, value in parts if name == one] for one in ("t", "v1"))
        if len(times) != 1 or not any(self._signed(times[0], body, mark) for mark in marks):
            raise Forged(f"{SIGNATURE} does not match time and body")
        age_s = self._now_ms() / 1000 - _seconds(times[0]) if times[0].isdecimal() else None
        if age_s is None or abs(age_s) > REPLAY_WINDOW_S:
            raise Forged(f"{SIGNATURE}: {times[0]!r} is not within {REPLAY_WINDOW_S} s of now")
        try:
            return [Hint(str(_number(json.loads(body), "workOrderId")), times[0])]
        except (ValueError, RetryLater) as error:
            raise Forged(f"the body names no work order: {shown(body)}") from error

    def _signed(self, time: str, body: bytes, mark: str) -> bool:
        signed = time.encode() + b"." + body
        wanted = (hmac.new(secret, signed, hashlib.sha256).hexdigest() for secret in self._secrets)
        return any(hmac.compare_digest(one.encode(), mark.encode()) for one in wanted)

    def _record(self, ref: str) -> Mapping[str, Any] | None:
        """The work order as MaintainX shows it; None when there is none, or it was deleted."""
        if not (ref.isascii() and ref.isdecimal()):
            return None
        answer = self._http.ask("GET", f"/workorders/{ref}", params={"expand": "extra_fields"}, good=(200, 404))
        record = _one(answer, "workOrder")
        return None if record is None or record.get("deletedAt") else record

    def _there(self, ref: str) -> Order:
        order = self.get(ref)
        if order is None:
            raise _gone(ref)
        return order

    def _order(self, record: Mapping[str, Any]) -> Order:
        raw = str(record.get("status"))
        if raw not in self._statuses:
            raise RetryLater(f"order {record.get('id')} has the status {raw!r}: say in `statuses` what it means")
        status = self._statuses[raw]
        done = record.get("completedAt") if status is Status.DONE else None
        try:
            return Order(
                ref=str(_number(record, "id")),
                key=_key(record),
                status=status,
                raw_status=raw,
                changed_ms=round(datetime.fromisoformat(done or record["updatedAt"]).timestamp() * 1000),
                by=self._person(record.get("completerId")) if status is Status.DONE else None,
                closure=self._closure(record) if status.final else None,
                shows={
                    TITLE: str(record["title"]),
                    DESCRIPTION: str(record.get("description") or ""),
                    SEVERITY: str(record.get("priority") or "NONE"),
                },
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RetryLater(f"MaintainX answered with a work order that cannot be read: {error!r}") from error

    def _closure(self, record: Mapping[str, Any]) -> Mapping[str, str] | None:
        """The codes in the custom fields, and as a note what was written on completion."""
        held = record.get("extraFields") or {}
        codes = {name: str(held[label]) for name, label in self._code_fields.items() if held.get(label)}
        note = str((record.get("workOrderSummary") or {}).get("content") or "")
        return {**({"note": note} if note else {}), **codes} or None

    def _person(self, number: Any) -> str | None:
        if not isinstance(number, int):
            return None
        if number not in self._people:
            user = _one(self._http.ask("GET", f"/users/{number}", good=(200, 403, 404)), "user") or {}
            name = f"{user.get('firstName') or ''} {user.get('lastName') or ''}".strip()
            self._people[number] = name or f"user {number}"
        return self._people[number]

    def _word(self, status: Status) -> str:
        """What MaintainX calls a status: the first of `statuses` that means it, the plant file's before the usual."""
        word = next((raw for raw, means in self._statuses.items() if means is status), None)
        if word is None:
            raise CmmsRefused(f"MaintainX has no status for {status}: name one in `statuses`")
        return word

    def _asset_id(self, key: str) -> int:
        if not self._asset_field and key.isascii() and key.isdecimal():
            return int(key)  # whether there is one the order itself will say
        found = self._found("assets", "asset", key, self._asset_field)
        if found is None:
            raise UnknownAsset(key, "neither a number of an asset nor, with `asset_field`, in that custom field")
        return _number(found, "id")

    def _found(self, plural: str, single: str, key: str, field: str) -> Mapping[str, Any] | None:
        """The asset or part with this number or, where a custom field holds the keys, with this key in it."""
        if not field:
            if not (key.isascii() and key.isdecimal()):
                return None
            return _one(self._http.ask("GET", f"/{plural}/{key}", good=(200, 404)), single)
        asked = {f"{field}__c" if field in RESERVED else field: key, "expand": "extra_fields"}
        listed = self._listed(f"/{plural}", plural, asked)
        # A filter by a field that does not exist may filter nothing.
        return next((one for one in listed if (one.get("extraFields") or {}).get(field) == key), None)

    def _part_of_vendor(self, number: str) -> Mapping[str, Any] | None:
        if self._part_field:
            return None
        for part in self._listed("/parts", "parts", {"partNumber": number, "expand": "vendors"}):
            if any(vendor.get("partNumber") == number for vendor in part.get("vendors") or ()):
                return part
        return None

    def _listed(self, path: str, name: str, asked: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        cursor: Mapping[str, str] = {}
        limit, seen = PAGE, 0
        while seen < ENTRIES:
            answer = self._http.ask("GET", path, params={**asked, "limit": limit, **cursor})
            if len(answer.body) >= MAX_ANSWER_BYTES and limit > 1:  # cut there: long descriptions
                limit //= 2
                continue
            page = _object(answer)
            listed = page.get(name)
            if not isinstance(listed, list):
                raise RetryLater(f"MaintainX answered {path} without {name}")
            yield from (one for one in listed if not one.get("deletedAt"))
            if not page.get("nextCursor"):
                return
            cursor = {"cursor": str(page["nextCursor"])}
            seen += max(len(listed), 1)
        raise RetryLater(f"{path} has more than {ENTRIES} entries; a smaller `search_days` asks for fewer")


def _gone(ref: str) -> CmmsRefused:
    return CmmsRefused(f"order {ref} is not in MaintainX any more")


def _tagged(title: str, key: str) -> str:
    return title if key in TAG.findall(title) else f"{title} [tt:{key}]"


def _key(record: Mapping[str, Any]) -> str:
    """Telltale's key of a work order; "" for other people's. A technician may have written over the title."""
    external = record.get("externalData")
    kept = external.get("telltale") if isinstance(external, dict) else None
    tags = TAG.findall(str(record.get("title")))
    return str(kept or (tags[-1] if tags else ""))


def _object(answer: Answer) -> Mapping[str, Any]:
    said = answer.json()
    if not isinstance(said, dict):
        raise RetryLater(f"MaintainX answered with what is no object: {shown(answer.body)}")
    return said


def _one(answer: Answer, name: str) -> Mapping[str, Any] | None:
    """The object of that name; None for MaintainX's own "not found", which a proxy's is not."""
    said = _object(answer)
    if answer.status >= 400:
        if "error" not in said and "errors" not in said:
            raise RetryLater(f"{answer.status} without an error is not MaintainX's: {shown(answer.body)}")
        return None
    if not isinstance(said.get(name), dict):
        raise RetryLater(f"MaintainX answered without {name}: {shown(answer.body)}")
    found: Mapping[str, Any] = said[name]
    return found


def _number(said: Any, name: str) -> int:
    number = said.get(name) if isinstance(said, dict) else None
    if isinstance(number, bool) or not isinstance(number, int | float) or number != int(number):
        raise RetryLater(f"MaintainX answered without the number {name!r}")
    return int(number)


def _blames(answer: Answer, field: str) -> bool:
    """Whether a 400 names this field: `{"errors": [{"error", "fieldPath", "fieldValue"}]}`."""
    errors = _object(answer).get("errors")
    return isinstance(errors, list) and any(isinstance(one, dict) and one.get("fieldPath") == field for one in errors)


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _seconds(time: str) -> float:
    return int(time) / 1000 if int(time) > MILLISECONDS else int(time)


def _statuses(given: Mapping[str, str]) -> Mapping[str, Status]:
    try:
        own = {raw: Status(means) for raw, means in given.items()}
    except ValueError as error:
        raise CmmsRefused(f"statuses: {error}; there are {', '.join(Status)}") from error
    return {**own, **{raw: means for raw, means in STATUSES.items() if raw not in own}}


def _made(given: Given) -> MaintainX:
    settings = given.settings
    for name, known in (("priorities", PRIORITIES), ("code_fields", (*LISTS, "note"))):
        if odd := sorted(set(settings[name]) - set(known)):
            raise CmmsRefused(f"{name}: {', '.join(odd)} is none of {', '.join(known)}")
    organization = settings["organization"]
    http = Http(
        str(settings["url"]),
        now_ms=given.now_ms,
        headers={
            "Authorization": f"Bearer {given.secret('api_key')}",
            **({"x-organization-id": str(organization)} if organization is not None else {}),
        },
        budget=given.budget,
    )
    return MaintainX(
        http,
        given.now_ms,
        priorities={**PRIORITIES, **settings["priorities"]},
        statuses=_statuses(settings["statuses"]),
        code_fields=settings["code_fields"],
        asset_field=settings["asset_field"],
        part_field=settings["part_field"],
        search_days=settings["search_days"],
        secrets=[secret.encode() for secret in given.secrets.get("webhook_secrets", "").split()],
        pushes=settings["pushes"],
    )


ADAPTER = Adapter(
    title="MaintainX",
    make=_made,
    settings={
        "url": Setting("the address of the API", "url", default=API),
        "organization": Setting("the organization's number, for a key that is good for several", int),
        "priorities": Setting("what WARNING and ALARM are: NONE, LOW, MEDIUM or HIGH", dict, default={}),
        "statuses": Setting("what statuses mean that Telltale does not know", dict, default={}),
        "code_fields": Setting("labels of the work orders' custom fields for the closure codes", dict, default={}),
        "asset_field": Setting("label of the assets' custom field with Telltale's keys", default=""),
        "part_field": Setting("label of the parts' custom field with Telltale's keys", default=""),
        "search_days": Setting("how many days back an order without a trace is looked for", int, default=SEARCH_DAYS),
        "pushes": Setting("whether webhooks tell of changes", bool, default=False),
    },
    secrets={
        "api_key": "the API key of Telltale's user (Settings, Integrations, API Keys)",
        "webhook_secrets": "the secrets of the webhooks, with spaces between them",
    },
    calls_per_minute=CALLS_PER_MINUTE,
)
