"""SAP Plant Maintenance: a case is a maintenance notification, by the OData V2 service API_MAINTNOTIFICATION.

Traps (docs/cmms/sap.md says where each comes from):

* Each write needs a CSRF token and the cookies that came with it; both expire.
* Each change needs the ETag of what was read (If-Match), so a technician's change in between is never overwritten.
* The title has 40 characters, the external reference 20: Telltale's key. Nothing in SAP keeps that unique.
* The number comes from SAP's number range; what the dates should be follows from the priority, so none are sent.
* The status is read from the processing phase: the names of system statuses depend on the language.
* There are functions to put a notification in process and to complete it, and no others.
* A notification that somebody has open is locked, which SAP says with 400.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from telltale.adapters.cmms import oauth, pushed
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
    Stock,
    UnknownAsset,
)
from telltale.core.closure import Closure
from telltale.core.errors import CmmsRefused, RetryLater

NOTIFICATIONS, EQUIPMENT, LOCATIONS = "API_MAINTNOTIFICATION", "API_EQUIPMENT", "API_FUNCTIONALLOCATION"
ATTACHMENTS, STOCKS = "API_CV_ATTACHMENT_SRV", "API_MATERIAL_STOCK_SRV"
QUANTITY = "MatlWrhsStkQtyInMatlBaseUnit"
UNRESTRICTED = "01"  # InventoryStockType: what anybody may take
NUMBER_LENGTH = 12  # of a notification, with the zeros in front that other services want
TITLE_LENGTH = 40  # NotificationText, item and cause texts; this and the next from SAP's service definition
TEXT_LENGTH = 1333  # MaintNotifLongTextForEdit: what one request can write
PHASES = {"1": "OPEN", "2": "ON_HOLD", "3": "IN_PROGRESS", "4": "DONE", "5": "CANCELLED"}  # 2: postponed, 5: to delete
PRIORITIES = {"WARNING": "3", "ALARM": "1"}  # of SAP's own priority type PM: 1 very high … 4 low
FUNCTIONAL_LOCATION = "fl:"  # how an asset's key says that it is one; else it is an equipment
LOCKED = "MC/601"  # SAP's message for an object that another user has open
AGAIN = 3  # times that a change is tried when somebody else's came in between
CODES = ("damage_codes", "cause_codes", "activity_codes")
CANCELLED_MARK = "[tt:cancelled]"  # in the long text of a notification that was completed because nothing was to do
MARK = re.compile(r"\[tt:[^\]\s]+\]")
TICKS = re.compile(
    r"/Date\((-?\d+)(?:[+-]\d+)?\)/"
)  # OData V2: milliseconds since 1970; the offset is for showing only
COOKIE = re.compile(r"(?:^|,\s*)([^=;,\s]+)=([^;,]*)")  # of several Set-Cookie in one line; dates in them have no "="
LOCATED = {"EAMS_EQUI": (EQUIPMENT, "Equipment", "EquipmentName")} | {
    "EAMS_FL": (LOCATIONS, "FunctionalLocation", "FunctionalLocationName")
}

Entity = Mapping[str, Any]


@dataclass(frozen=True)
class Catalog:
    """Telltale's codes of one kind as SAP's code groups and codes, and back."""

    group: str  # SAP's names of the two properties
    code: str
    pairs: Mapping[str, str]  # Telltale's code → "GROUP/CODE"

    def write(self, code: str) -> dict[str, str]:
        group, _, number = self.pairs.get(code, "").partition("/")
        return {self.group: group, self.code: number} if number else {}

    def read(self, entity: Entity) -> str:
        """Telltale's code, else SAP's own words, else ""."""
        if not entity.get(self.code):
            return ""
        said = f"{entity.get(self.group) or ''}/{entity[self.code]}"
        return next((code for code, pair in self.pairs.items() if pair == said), said)


class _Changed(Exception):
    """Somebody changed the notification since it was read."""


class Sap(Plain):
    """One SAP system (and client)."""

    name = "sap"

    def __init__(self, http: Http, settings: Mapping[str, Any], *, hint_password: str = "") -> None:
        self._http = http
        self._root = settings["root"].rstrip("/")
        self._client = settings["client"]
        self._type = settings["notification_type"]
        self._priorities = {**PRIORITIES, **_texts(settings["priorities"])}
        self._statuses = {**PHASES, **_texts(settings["statuses"])}
        self._appends = settings["long_text"] == "appends"
        self._locked = {one.strip() for one in settings["locked"].split(",")}
        damage, cause, activity = (_texts(settings[name]) for name in CODES)
        self._damage = Catalog("MaintNotifDamageCodeGroup", "MaintNotificationDamageCode", damage)
        self._cause = Catalog("MaintNotifCauseCodeGroup", "MaintNotificationCauseCode", cause)
        self._activity = Catalog("MaintNotifActivityCodeGroup", "MaintNotificationActivityCode", activity)
        self._attachments, self._plant = settings["attachments"], str(settings["stock_plant"])
        self._hint_password = hint_password
        self._session: dict[str, str] = {}  # the CSRF token and the cookies it goes with
        self.capabilities = Capabilities(
            upsert=False,
            pushes=bool(settings["pushes"]),
            codes=all((damage, cause, activity)),
            attaches=bool(self._attachments),
            assets=True,
            stock=bool(self._plant),
        )

    def find(self, key: str) -> Order | None:
        found = self._list(NOTIFICATIONS, "MaintenanceNotification", "MaintNotifExtReferenceNumber", key, self._whole())
        return self._order(min(found, key=lambda one: str(one["MaintenanceNotification"]))) if found else None

    def create(self, request: OrderRequest) -> Order:
        body = {
            "NotificationType": self._type,
            "NotificationText": shortened(request.title, TITLE_LENGTH),
            "MaintPriority": self._priorities[request.severity],
            "MaintNotifExtReferenceNumber": request.key,
            "MaintNotifLongTextForEdit": _long_text(request),
            **(_technical_object(request.asset) if request.asset else {}),
            **request.fields,
        }
        try:
            made = _entity(self._write("POST", f"/{NOTIFICATIONS}/MaintenanceNotification", body))
        except CmmsRefused as refusal:
            if request.asset and self._certainly_unknown(request.asset):
                raise UnknownAsset(request.asset, str(refusal)) from refusal
            raise
        return self._known(str(made.get("MaintenanceNotification") or ""))

    def get(self, ref: str) -> Order | None:
        entity = self._read(ref)
        return self._order(entity) if entity is not None else None

    def update(self, ref: str, request: OrderRequest, fields: Collection[str] = FIELDS) -> Order:
        entity = self._there(ref)
        order = self._order(entity)
        if order.status.final:
            return order
        wanted = {
            TITLE: ("NotificationText", shortened(request.title, TITLE_LENGTH)),
            SEVERITY: ("MaintPriority", self._priorities[request.severity]),
        }
        body = {name: value for field, (name, value) in wanted.items() if field in fields and entity.get(name) != value}
        text = _long_text(request)
        if DESCRIPTION in fields and _plain(text) not in _plain(_text(entity)):
            body["MaintNotifLongTextForEdit"] = text if self._appends else _put(text, *_comments(_text(entity))[1:])
        if not body:
            return order
        try:
            self._write("PATCH", _path(ref), body, match=_etag(entity))
        except _Changed as changed:  # by a person perhaps, whose words this would overwrite: look again first
            raise CmmsBusy(f"notification {ref} was changed in between") from changed
        return self._known(ref)

    def comment(self, ref: str, text: str, *, key: str) -> None:
        self._add(ref, text, f"[tt:{key}]")

    def set_status(self, ref: str, status: Status, *, by: str, closure: Closure | None = None) -> Order:
        order = self._known(ref)
        if order.status is status:
            return order
        if order.status.final:
            raise Stays(order, status)
        if status is Status.IN_PROGRESS:
            self._function(ref, "SetMaintNotifToInProcess")
        elif status.final:
            # In words too, and before the end: afterwards nothing can be added any more.
            words = f"{status} by {by}" + (f": {_in_words(closure)}" if closure is not None else "")
            if closure is not None and self.capabilities.codes:
                self._add_codes(ref, closure)
            self._add(ref, words, CANCELLED_MARK if status is Status.CANCELLED else "[tt:done]")
            self._function(ref, "CompleteMaintNotification")
        else:
            raise CmmsRefused(f"notification {ref}: SAP's service has no function that makes one {status}")
        order = self._known(ref)
        if order.status is not status:
            raise CmmsRefused(
                f"notification {ref} is {order.raw_status} though SAP said it did it; {status} was wanted"
            )
        return order

    def attach(self, ref: str, picture: Picture) -> None:
        """Not by the service of notifications: by the one for attachments of any business object."""
        to = {"BusinessObjectTypeName": self._attachments, "LinkedSAPObjectKey": ref.zfill(NUMBER_LENGTH)}
        query = {name: _literal(value) for name, value in to.items()}
        there = _results(self._ask("GET", f"/{ATTACHMENTS}/GetAllOriginals", query=query, good=(200,)))
        if any(one.get("FileName") == picture.name for one in there):
            return
        headers = {"Content-Type": picture.media_type, "Slug": picture.name, **to}
        self._write("POST", f"/{ATTACHMENTS}/AttachmentContentSet", raw=picture.data, headers=headers)

    def asset(self, key: str) -> str | None:
        technical = _technical_object(key)
        service, name, text = LOCATED[technical["TechObjIsEquipOrFuncnlLoc"]]
        found = self._list(service, name, name, technical["TechnicalObject"], {"$select": f"{name},{text}"})
        return str(found[0].get(text) or found[0].get(name)) if found else None

    def stock(self, part: str) -> Stock | None:
        """What anybody may take of a material, over the storage locations of the plant; None where there is none."""
        where = {"Plant": self._plant, "InventoryStockType": UNRESTRICTED}
        rows = self._list(STOCKS, "A_MatlStkInAcctMod", "Material", part, {"$top": "1000"}, **where)
        held = [(str(row.get("StorageLocation") or ""), float(row.get(QUANTITY) or 0)) for row in rows]
        where_it_lies = sorted({location for location, quantity in held if location and quantity})
        return Stock(part, sum(quantity for _, quantity in held), ", ".join(where_it_lies)) if rows else None

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Hint]:
        """An event sap.s4.beh.maintenancenotification.v1.MaintenanceNotification.* that SAP Event Mesh passes on."""
        pushed.trusted(headers, self._hint_password)
        event = pushed.document(body)
        data = event.get("data") if isinstance(event, dict) else None
        ref = data.get("MaintenanceNotification") if isinstance(data, dict) else None
        if not isinstance(ref, str) or not ref:
            raise Forged("the event names no MaintenanceNotification")
        return [Hint(ref.lstrip("0"))]

    # What SAP has

    def _whole(self) -> dict[str, str]:
        return {"$expand": "to_Item/to_ItemCause,to_Item/to_ItemActivity"} if self.capabilities.codes else {}

    def _known(self, ref: str) -> Order:
        return self._order(self._there(ref))

    def _there(self, ref: str) -> Entity:
        entity = self._read(ref) if ref else None
        if entity is None:
            raise RetryLater(f"SAP does not show notification {ref!r}")
        return entity

    def _read(self, ref: str) -> Entity | None:
        answer = self._ask("GET", _path(ref), query=self._whole(), good=(200, 404))
        return _entity(answer) if answer.status == 200 else None

    def _list(
        self, service: str, entities: str, name: str, value: str, more: Mapping[str, str], **and_: str
    ) -> list[Entity]:
        wanted = " and ".join(f"{one} eq {_literal(text)}" for one, text in {name: value, **and_}.items())
        query = {"$filter": wanted, "$top": "10", **more}
        return _results(self._ask("GET", f"/{service}/{entities}", query=query, good=(200,)))

    def _order(self, entity: Entity) -> Order:
        ref, phase = entity.get("MaintenanceNotification"), str(entity.get("NotifProcessingPhase") or "")
        if not isinstance(ref, str) or not ref:
            raise RetryLater(f"SAP's answer is no notification: {str(entity)[:300]}")
        if phase not in self._statuses:
            raise RetryLater(f"notification {ref}: phase {phase!r} is not in the setting `statuses`")
        status, text = Status(self._statuses[phase]), _text(entity)
        if status is Status.DONE and CANCELLED_MARK in text:
            status = Status.CANCELLED
        written = {TITLE: entity.get("NotificationText"), SEVERITY: entity.get("MaintPriority")}
        if not self._appends:  # else a description cannot be overwritten, so nobody's edit can be lost
            written[DESCRIPTION] = _comments(text)[0]
        return Order(
            ref=ref,
            key=str(entity.get("MaintNotifExtReferenceNumber") or ""),
            status=status,
            raw_status=f"{phase} {entity.get('ConcatenatedActiveSystStsName') or ''}".strip(),
            changed_ms=_ms(entity.get("LastChangeDateTime")),
            closure=self._closure(entity) if status.final else None,
            shows={name: str(value) for name, value in written.items() if value},
        )

    # Codes: the damage is an item's, its cause and what was done lie below the item

    def _closure(self, entity: Entity) -> dict[str, str] | None:
        """Of the last item with a damage code, as far as it is filled in."""
        for item in sorted(_below(entity, "to_Item"), key=_number, reverse=True):
            if mode := self._damage.read(item):
                return {
                    "failure_mode": mode,
                    "failure_cause": next((self._cause.read(one) for one in _below(item, "to_ItemCause")), ""),
                    "action_taken": next((self._activity.read(one) for one in _below(item, "to_ItemActivity")), ""),
                    "note": str(item.get("MaintNotifItemText") or ""),
                }
        return None

    def _add_codes(self, ref: str, closure: Closure) -> None:
        """What is missing of them, so that it may be done again."""
        damage = self._damage.write(closure.failure_mode)
        below = (
            (self._cause.write(closure.failure_cause), "to_ItemCause"),
            (self._activity.write(closure.action_taken), "to_ItemActivity"),
        )
        if not damage and not any(pair for pair, _ in below):
            return  # none of them is in the catalogs
        wanted = {"MaintNotifItemText": shortened(closure.note or _in_words(closure), TITLE_LENGTH), **damage}
        items = [one for one in _below(self._there(ref), "to_Item") if wanted.items() <= one.items()]
        item = items[0] if items else _entity(self._write("POST", f"{_path(ref)}/to_Item", wanted))
        under = f"/{NOTIFICATIONS}/MaintenanceNotificationItem(MaintenanceNotification={_literal(ref)}"
        under += f",MaintenanceNotificationItem={_literal(_number(item))})"
        for pair, navigation in below:
            if pair and not any(pair.items() <= one.items() for one in _below(item, navigation)):
                self._write("POST", f"{under}/{navigation}", pair)

    # The long text, which takes comments too

    def _add(self, ref: str, text: str, mark: str) -> None:
        """Adds a paragraph that ends with the mark, if the mark is not there yet."""
        for _ in range(AGAIN):
            entity = self._there(ref)
            before = _text(entity)
            if mark in before:
                return
            added = f"{shortened(text, TEXT_LENGTH - len(mark) - 1)}\n{mark}"
            if not self._appends and len(_comments(before)[0]) + len(added) + 2 > TEXT_LENGTH:
                return  # no room, and what stands there is worth more
            body = added if self._appends else _put(*_comments(before), added)
            try:
                self._write("PATCH", _path(ref), {"MaintNotifLongTextForEdit": body}, match=_etag(entity))
            except _Changed:
                continue
            self._unless_lost(ref, before)
            return
        raise CmmsBusy(f"notification {ref} is being changed all the time")

    def _unless_lost(self, ref: str, before: str) -> None:
        """Puts back what stood there if SAP replaced it although the settings say that it appends."""
        entity = self._there(ref)
        if not self._appends or _plain(before) in _plain(_text(entity)):
            return
        both = _put(*_comments(f"{before}\n\n{_text(entity)}"))
        self._write("PATCH", _path(ref), {"MaintNotifLongTextForEdit": both}, match=_etag(entity))
        raise CmmsRefused(f"notification {ref}: this SAP replaces long texts; set `long_text: replaces`")

    # Requests

    def _function(self, ref: str, name: str) -> None:
        for _ in range(AGAIN):
            try:
                etag = _etag(self._there(ref))
                query = {"MaintenanceNotification": _literal(ref)}
                self._write("POST", f"/{NOTIFICATIONS}/{name}", match=etag, query=query)
            except _Changed:
                continue
            return
        raise CmmsBusy(f"notification {ref} is being changed all the time")

    def _write(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        match: str = "",
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """Raises _Changed where the ETag `match` no longer holds."""
        good = (200, 201, 204, 400, 403, 404, 412)
        for fresh in (False, True):
            sent = {**(headers or {}), **self._signed_in(path, fresh), **({"If-Match": match} if match else {})}
            answer = self._ask(method, path, body=body, raw=raw, headers=sent, good=good, query=query)
            if answer.status != 403 or answer.headers.get("x-csrf-token", "").lower() != "required":
                break
        if answer.status < 300:
            return answer
        if answer.status == 412:
            raise _Changed
        code, said = _refusal(answer)
        if answer.status == 403:
            raise CmmsDenied(f"SAP denies {method} {path}: {said}")
        if code in self._locked:
            raise CmmsBusy(f"SAP says of {method} {path}: {said} ({code})")
        raise CmmsRefused(f"SAP refuses {method} {path}: {said} ({code})")

    def _signed_in(self, path: str, fresh: bool) -> dict[str, str]:
        """The CSRF token and its cookies, fetched where there are none yet or these no longer hold."""
        if fresh or not self._session:
            service = "/" + path.split("/")[1]
            answer = self._ask("GET", f"{service}/", headers={"x-csrf-token": "Fetch"}, good=(200,))
            token = answer.headers.get("x-csrf-token", "")
            if not token:
                raise RetryLater(f"SAP gives no CSRF token for {service}: {shown(answer.body)}")
            cookies = "; ".join("=".join(pair) for pair in COOKIE.findall(answer.headers.get("Set-Cookie", "")))
            self._session = {"x-csrf-token": token, **({"Cookie": cookies} if cookies else {})}
        return self._session

    def _ask(
        self,
        method: str,
        path: str,
        *,
        good: Collection[int],
        body: Mapping[str, Any] | None = None,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        asked = {**(query or {}), **({"sap-client": self._client} if self._client else {})}
        # Not by urlencode: a space is "+" there, which a literal may hold as well.
        text = "&".join(f"{name}={quote(value, safe='')}" for name, value in asked.items())
        return self._http.ask(
            method, f"{self._root}{path}{'?' if text else ''}{text}", body=body, raw=raw, headers=headers, good=good
        )

    def _certainly_unknown(self, key: str) -> bool:
        try:
            return self.asset(key) is None
        except (RetryLater, CmmsRefused):  # SAP's reason for the refusal says more than this
            return False


def shortened(text: str, length: int) -> str:
    """At most so many characters, cut between words."""
    if len(text) <= length:
        return text
    cut = text[: length - 1]
    word = cut.rfind(" ")
    return (cut[:word] if word > length * 2 // 3 and text[length - 1] != " " else cut).rstrip(" ,;:-") + "…"


def _texts(given: Mapping[str, Any] | None) -> dict[str, str]:
    """A number in the plant file means its digits."""
    return {name: str(value) for name, value in (given or {}).items()}


def _technical_object(key: str) -> dict[str, str]:
    if key.lower().startswith(FUNCTIONAL_LOCATION):
        name = key[len(FUNCTIONAL_LOCATION) :]
        return {"TechnicalObject": name, "TechObjIsEquipOrFuncnlLoc": "EAMS_FL"}
    return {"TechnicalObject": key, "TechObjIsEquipOrFuncnlLoc": "EAMS_EQUI"}


def _long_text(request: OrderRequest) -> str:
    """What fits of the description, under the whole title where that was shortened; the link is always in it."""
    whole = request.description
    if len(request.title) > TITLE_LENGTH and request.title not in whole:
        whole = f"{request.title}\n\n{whole}"
    if len(whole) <= TEXT_LENGTH:
        return whole
    end = f"\n…\n{request.link}" if request.link else "\n…"
    lines = list(_fitting(whole.split("\n"), TEXT_LENGTH - len(end)))
    return "\n".join(lines) + (end if request.link and request.link not in lines else "\n…")


def _in_words(closure: Closure) -> str:
    codes = f"{closure.failure_mode}, {closure.failure_cause}, {closure.action_taken}"
    return f"{codes} ({closure.note})" if closure.note else codes


def _fitting(lines: Sequence[str], length: int) -> Iterator[str]:
    for line in lines:
        length -= len(line) + 1
        if length < 0:
            return
        yield line


def _comments(text: str) -> tuple[str, ...]:
    """The long text without Telltale's comments, then each of these with its mark."""
    parts = text.split("\n\n")
    return "\n\n".join(part for part in parts if not MARK.search(part)), *(part for part in parts if MARK.search(part))


def _put(text: str, *comments: str) -> str:
    """A long text as it is written where SAP replaces it: the oldest comments give way where there is no room."""
    for first in range(len(comments) + 1):
        whole = "\n\n".join((text, *comments[first:]))
        if len(whole) <= TEXT_LENGTH:
            return whole
    return text[:TEXT_LENGTH]


def _plain(text: str) -> str:
    """Without the breaks that SAP puts into long texts."""
    return "".join(text.split())


def _text(entity: Entity) -> str:
    return str(entity.get("MaintNotificationLongText") or "").replace("\r\n", "\n")


def _path(ref: str) -> str:
    return f"/{NOTIFICATIONS}/MaintenanceNotification({quote(_literal(ref), safe='')})"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _entity(answer: Answer) -> Entity:
    said = answer.json()
    entity = said.get("d") if isinstance(said, dict) else None
    if not isinstance(entity, dict):
        raise RetryLater(f"SAP's answer cannot be read: {shown(answer.body)}")
    return entity


def _results(answer: Answer) -> list[Entity]:
    results = _entity(answer).get("results")
    if not isinstance(results, list):
        raise RetryLater(f"SAP's list cannot be read: {shown(answer.body)}")
    return results


def _below(entity: Entity, name: str) -> list[Entity]:
    """What an expanded navigation property holds, without what is deleted."""
    held = entity.get(name)
    results = held.get("results") if isinstance(held, dict) else None
    return [one for one in results or () if not one.get("IsDeleted")]


def _number(item: Entity) -> str:
    return str(item.get("MaintenanceNotificationItem") or "")


def _etag(entity: Entity) -> str:
    metadata = entity.get("__metadata")
    return str(metadata.get("etag") or "*") if isinstance(metadata, dict) else "*"


def _ms(value: Any) -> int:
    found = TICKS.fullmatch(value) if isinstance(value, str) else None
    return int(found[1]) if found else 0


def _refusal(answer: Answer) -> tuple[str, str]:
    """Code and text of an error as OData V2 shapes it."""
    try:
        error = answer.json()["error"]
        message = error["message"]
        return str(error["code"]), str(message["value"] if isinstance(message, dict) else message)
    except (RetryLater, KeyError, TypeError):
        return str(answer.status), shown(answer.body)


def _http(given: Given) -> Http:
    """With OAuth 2 where the settings say where tokens come from, else Basic.

    A password that SAP refuses is not tried again at once: SAP locks a user after a few tries.
    """
    settings, now_ms, budget = given.settings, given.now_ms, given.budget
    if not settings["token_url"]:
        who = oauth.basic(settings["user"], given.secret("password"))
        return Http(settings["url"], now_ms=now_ms, headers=who, budget=budget)
    secret = given.secret("client_secret")
    client = oauth.Client(settings["token_url"], settings["client_id"], secret, settings["scope"])
    tokens = oauth.client_credentials(client, now_ms)
    return Http(settings["url"], now_ms=now_ms, credentials=tokens, budget=budget)


def _made(given: Given) -> Sap:
    return Sap(_http(given), given.settings, hint_password=given.secrets.get("hint_password", ""))


ADAPTER = Adapter(
    title="SAP Plant Maintenance",
    make=_made,
    settings={
        "url": Setting("the system's address, as https://my300000-api.s4hana.cloud.sap", "url", required=True),
        "root": Setting("where its OData V2 services lie", default="/sap/opu/odata/sap"),
        "client": Setting("the client (sap-client), where the address does not imply it", default=""),
        "user": Setting("the communication user, for Basic", default=""),
        "token_url": Setting("where OAuth 2 tokens come from; then no user is needed", default=""),
        "client_id": Setting("who asks for tokens", default=""),
        "scope": Setting("what the tokens are for", default=""),
        "notification_type": Setting("the type of the notifications", default="M2"),
        "priorities": Setting("WARNING and ALARM as MaintPriority", dict, default=PRIORITIES),
        "statuses": Setting("phases (NotifProcessingPhase) as Telltale's statuses", dict, default=PHASES),
        "long_text": Setting(
            "what writing a long text does to what stands there", default="appends", choices=("appends", "replaces")
        ),
        "locked": Setting("codes of errors that pass, as class/number, with commas", default=LOCKED),
        "damage_codes": Setting("failure modes as GROUP/CODE of the catalog of damages", dict, default={}),
        "cause_codes": Setting("failure causes as GROUP/CODE of the catalog of causes", dict, default={}),
        "activity_codes": Setting("actions taken as GROUP/CODE of the catalog of activities", dict, default={}),
        "attachments": Setting(
            "how pictures are attached: by generic object services (BUS2038) or as documents (PMQMEL)",
            default="",
            choices=("BUS2038", "PMQMEL"),
        ),
        "stock_plant": Setting("the plant whose stock of spare parts is told; none if left out", default=""),
        "pushes": Setting("whether SAP Event Mesh tells of changes", bool, default=False),
    },
    secrets={
        "password": "of the communication user",
        "client_secret": "of the OAuth 2 client, where `token_url` is set",
        "hint_password": "that SAP Event Mesh sends with its events, as user telltale",
    },
)
