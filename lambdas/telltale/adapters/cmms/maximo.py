"""IBM Maximo Manage: a case is a work order, by the REST API of Maximo (JSON, object structure MXAPIWODETAIL).

Traps (docs/cmms/maximo.md says where each comes from):

* Without `lean=1` names without a prefix are dropped silently, in what is written too.
* Without `properties` an answer has no body. Whatever the answer, the order is read back: some versions answer 204 to a
  status that they do not set.
* Without `patchtype: MERGE` the rows of a list that are not sent are deleted (worklog, failure report).
* A where clause knows AND, but no parentheses, and OR not reliably.
* A cookie of before wins over the API key and is then refused, so none is kept.
* Statuses have synonyms, which each site makes for itself; `internalvalues=1` shows the internal value beside them.
* COMP and CAN cannot be left, and only an order that waits for approval can be cancelled.
* The long description is HTML.
"""

import html
import json
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

from telltale.adapters.cmms import pushed
from telltale.adapters.cmms.adapter import Adapter, Given, Setting
from telltale.adapters.cmms.http import Answer, Http, shown
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
from telltale.core.closure import Closure
from telltale.core.errors import CmmsRefused, RetryLater

ORDERS, ASSETS, INVENTORY = "mxapiwodetail", "mxapiasset", "mxapiinventory"
STATUSES = {
    "WAPPR": "OPEN", "APPR": "OPEN", "WSCH": "OPEN", "WMATL": "ON_HOLD", "WPCOND": "ON_HOLD", "INPRG": "IN_PROGRESS",
    "COMP": "DONE", "CLOSE": "DONE", "HISTEDIT": "DONE", "CAN": "CANCELLED",
}  # fmt: skip  # the internal values of the domain WOSTATUS, and WPCOND, which IBM delivers as a synonym of APPR
MOVES = {"IN_PROGRESS": "INPRG", "ON_HOLD": "WMATL", "DONE": "COMP", "CANCELLED": "CAN"}
WAITS = "WAPPR"  # from here alone an order can be cancelled
PRIORITIES = {"WARNING": "3", "ALARM": "1"}  # wopriority; 1 is the most urgent where nobody turned it round
TITLE_LENGTH = 100  # description of orders and of worklog entries, as delivered
LOCATION = "loc:"  # how an asset's key says that it is a location
CODES = ("problem_codes", "cause_codes", "remedy_codes")
CAUSE, REMEDY = "CAUSE", "REMEDY"  # types of the rows of a failure report; the problem stands in the order itself
SELECTED = (
    "wonum,siteid,status,statusdate,changeby,description,description_longdescription,wopriority,"
    "problemcode,failurereport{type,failurecode}"
)
XML = {name: re.compile(rf"<{name}(?:\s[^>]*)?>([^<]+)</{name}>") for name in ("WONUM", "SITEID")}

Row = Mapping[str, Any]


class Maximo(Plain):
    """One site of a Maximo."""

    name = "maximo"

    def __init__(self, http: Http, settings: Mapping[str, Any], *, hint_password: str = "") -> None:
        self._http = http
        self._api = settings["api"].rstrip("/")
        self._site = settings["siteid"]
        self._key = settings["key_field"]
        self._worktype, self._logtype = settings["worktype"], settings["logtype"]
        self._priorities = {**PRIORITIES, **(settings["priorities"] or {})}
        self._statuses = {**STATUSES, **_texts(settings["statuses"])}
        self._moves = {**MOVES, **_texts(settings["moves"])}
        self._completion = settings["completion"] or {}
        self._failure_class = str(settings["failure_class"])
        self._problems, self._causes, self._remedies = (_texts(settings[name]) for name in CODES)
        self._hint_password = hint_password
        self.capabilities = Capabilities(
            upsert=False,
            pushes=bool(settings["pushes"]),
            codes=all((self._failure_class, self._problems, self._causes, self._remedies)),
            attaches=True,
            assets=True,
            stock=True,
        )

    def find(self, key: str) -> Order | None:
        found = self._orders(self._key, key)
        return self._order(min(found, key=lambda row: str(row.get("wonum")))) if found else None

    def create(self, request: OrderRequest) -> Order:
        row = {
            "siteid": self._site,
            self._key: request.key,
            "description": _cut(request.title),
            "description_longdescription": _html(request.description),
            "wopriority": int(self._priorities[request.severity]),
            "worktype": self._worktype,
            **({"failurecode": self._failure_class} if self._failure_class else {}),
            **(_where(request.asset) if request.asset else {}),
            **request.fields,
        }
        try:
            answer = self._ask("POST", f"/os/{ORDERS}", body=row, headers={"properties": "*"})
        except CmmsRefused as refusal:
            if request.asset and self._certainly_unknown(request.asset):
                raise UnknownAsset(request.asset, str(refusal)) from refusal
            raise
        wonum = _wonum(answer)
        made = self.get(wonum) if wonum else self.find(request.key)
        if made is None:
            raise RetryLater(f"Maximo does not show an order with {self._key} {request.key}")
        return made

    def get(self, ref: str) -> Order | None:
        found = self._orders("wonum", ref)
        return self._order(found[0]) if found else None

    def update(self, ref: str, request: OrderRequest, fields: Collection[str] = FIELDS) -> Order:
        row = self._there(ref)
        order = self._order(row)
        if order.status.final:
            return order
        wanted = {
            TITLE: ("description", _cut(request.title)),
            DESCRIPTION: ("description_longdescription", _html(request.description)),
            SEVERITY: ("wopriority", int(self._priorities[request.severity])),
        }
        changes = {name: value for field, (name, value) in wanted.items() if field in fields and row.get(name) != value}
        if not changes:
            return order
        self._patch(row, changes)
        return self._known(ref)

    def comment(self, ref: str, text: str, *, key: str) -> None:
        self._log(self._there(ref), text, f"[tt:{key}]")

    def set_status(self, ref: str, status: Status, *, by: str, closure: Closure | None = None) -> Order:
        row = self._there(ref)
        order = self._order(row)
        if order.status is status:
            return order
        if order.status.final or status is Status.OPEN:
            raise Stays(order, status)
        if status is Status.DONE:
            if closure is not None and self.capabilities.codes:
                self._report(row, by, closure)
            if self._completion:
                self._patch(row, self._completion)
        if status is Status.CANCELLED and row.get("status_maxvalue", row.get("status")) != WAITS:
            self._move(row, WAITS, by)
        self._move(row, self._moves[status], by)
        return moved(self._known(ref), status)

    def attach(self, ref: str, picture: Picture) -> None:
        path = f"{self._path(self._there(ref))}/doclinks"
        if any(_names(one, picture.name) for one in self._members(self._ask("GET", path))):
            return
        headers = {
            "Content-Type": picture.media_type,
            "slug": picture.name,
            "x-document-meta": "FILE/Attachments",
            "x-document-description": picture.name,
        }
        self._ask("POST", path, raw=picture.data, headers=headers, good=(200, 201))

    def asset(self, key: str) -> str | None:
        where = _where(key)
        structure, name = ("mxapioperloc", "location") if "location" in where else (ASSETS, "assetnum")
        found = self._select(structure, name, where[name], f"{name},description")
        return str(found[0].get("description") or found[0].get(name)) if found else None

    def stock(self, part: str) -> Stock | None:
        rows = self._select(INVENTORY, "itemnum", part, "itemnum,location,curbal,invbalances{curbal}")
        if not rows:
            return None
        return Stock(part, sum(map(_balance, rows)), ", ".join(str(row["location"]) for row in rows if _balance(row)))

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Hint]:
        """What a publish channel of work orders sends by an endpoint of handler HTTP: Maximo's XML, or JSON."""
        pushed.trusted(headers, self._hint_password)
        rows = _orders_in_xml(body) if body.lstrip().startswith(b"<") else _orders_in(pushed.document(body))
        if not rows:
            raise Forged("the message names no wonum")
        return [Hint(wonum) for wonum, site in rows if site in ("", self._site)]

    # What Maximo has

    def _orders(self, name: str, value: str) -> list[Row]:
        return self._select(ORDERS, name, value, f"{SELECTED},{self._key}")

    def _known(self, ref: str) -> Order:
        return self._order(self._there(ref))

    def _there(self, ref: str) -> Row:
        found = self._orders("wonum", ref)
        if not found:
            raise RetryLater(f"Maximo does not show work order {ref}")
        return found[0]

    def _select(self, structure: str, name: str, value: str, columns: str) -> list[Row]:
        if '"' in value:  # a where clause cannot say it, so no key of Maximo is meant
            return []
        query = {
            "oslc.where": f'{name}="{value}" and siteid="{self._site}"',
            "oslc.select": columns,
            "oslc.pageSize": "100",
            "internalvalues": "1",
        }
        return self._members(self._ask("GET", f"/os/{structure}", query=query))

    def _members(self, answer: Answer) -> list[Row]:
        said = answer.json()
        members = said.get("member") if isinstance(said, dict) else None
        if not isinstance(members, list):
            raise RetryLater(f"Maximo's list cannot be read: {shown(answer.body)}")
        return members

    def _order(self, row: Row) -> Order:
        ref = row.get("wonum")
        if not isinstance(ref, str) or not ref:
            raise RetryLater(f"Maximo's answer is no work order: {str(row)[:300]}")
        raw, internal = str(row.get("status") or ""), str(row.get("status_maxvalue") or "")
        word = self._statuses.get(raw) or self._statuses.get(internal)
        if word is None:
            raise RetryLater(f"work order {ref}: status {raw!r} ({internal}) is not in the setting `statuses`")
        status = Status(word)
        written = {
            TITLE: row.get("description"),
            DESCRIPTION: row.get("description_longdescription"),
            SEVERITY: row.get("wopriority"),
        }
        return Order(
            ref=ref,
            key=str(row.get(self._key) or ""),
            status=status,
            raw_status=raw,
            changed_ms=_ms(row.get("statusdate")),
            by=str(row["changeby"]) if row.get("changeby") else None,
            closure=self._closure(row) if status.final and self.capabilities.codes else None,
            shows={name: str(value) for name, value in written.items() if value is not None},
        )

    def _closure(self, row: Row) -> dict[str, str] | None:
        report = {str(one.get("type")): str(one.get("failurecode") or "") for one in row.get("failurereport") or ()}
        problem = str(row.get("problemcode") or "")
        if not problem:
            return None
        return {
            "failure_mode": _code(self._problems, problem),
            "failure_cause": _code(self._causes, report.get(CAUSE, "")),
            "action_taken": _code(self._remedies, report.get(REMEDY, "")),
        }

    # What is written

    def _report(self, row: Row, by: str, closure: Closure) -> None:
        """The codes that Maximo knows, and what was written beside them."""
        codes = {CAUSE: self._causes.get(closure.failure_cause), REMEDY: self._remedies.get(closure.action_taken)}
        problem = self._problems.get(closure.failure_mode)
        there = {str(one.get("type")) for one in row.get("failurereport") or ()}
        rows = [{"type": kind, "failurecode": code} for kind, code in codes.items() if code and kind not in there]
        self._patch(
            row,
            {
                "failurecode": self._failure_class,
                **({"problemcode": problem} if problem else {}),
                **({"failurereport": rows} if rows else {}),
            },
        )
        if closure.note:
            self._log(row, f"{by}: {closure.note}", "[tt:closed]")

    def _log(self, row: Row, text: str, mark: str) -> None:
        query = {"oslc.select": "wonum,worklog{description,description_longdescription}"}
        said = self._ask("GET", self._path(row), query=query).json()
        if not isinstance(said, dict) or said.get("wonum") != row.get("wonum"):
            raise RetryLater(f"Maximo's answer is not work order {row.get('wonum')}: {str(said)[:300]}")
        if any(mark in str(one.get("description_longdescription") or "") for one in said.get("worklog") or ()):
            return
        entry = {"description": _cut(text), "description_longdescription": _html(f"{text}\n{mark}")}
        self._patch(row, {"worklog": [{**entry, "logtype": self._logtype}]})

    def _move(self, row: Row, to: str, by: str) -> None:
        """Not by the action wsmethod:changeStatus: a status that is set goes through the same checks."""
        self._patch(row, {"status": to, "np_statusmemo": f"by {by} through Telltale"[:50]})

    def _patch(self, row: Row, changes: Mapping[str, Any]) -> None:
        headers = {"x-method-override": "PATCH", "patchtype": "MERGE"}
        self._ask("POST", self._path(row), body=changes, headers=headers)

    def _path(self, row: Row) -> str:
        """Where the order lies. Of its href only the end is used: the host may be one that only Maximo knows."""
        rest = urlsplit(str(row.get("href") or "")).path.rsplit("/", 1)[-1]
        if not rest:
            raise RetryLater(f"work order {row.get('wonum')} has no href")
        return f"/os/{ORDERS}/{quote(rest)}"

    def _ask(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        raw: bytes | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        good: Collection[int] = (200, 201, 204),
    ) -> Answer:
        # Not by urlencode: a space is "+" there, which a sort order or a key may hold as well.
        text = "".join(f"&{name}={quote(value, safe='')}" for name, value in (query or {}).items())
        address = f"{self._api}{path}?lean=1{text}"
        answer = self._http.ask(method, address, body=body, raw=raw, headers=headers, good=(*good, 400))
        if answer.status == 400:
            raise CmmsRefused(f"Maximo refuses {method} {path}: {_refusal(answer)}")
        return answer

    def _certainly_unknown(self, key: str) -> bool:
        try:
            return self.asset(key) is None
        except (RetryLater, CmmsRefused):  # Maximo's reason for the refusal says more than this
            return False


def _wonum(answer: Answer) -> str:
    """Of the order that was made; "" where the answer has no body."""
    try:
        said = json.loads(answer.body)
    except ValueError:
        return ""
    return str(said.get("wonum") or "") if isinstance(said, dict) else ""


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1].rstrip() + "…"


def _html(text: str) -> str:
    return html.escape(text, quote=False).replace("\n", "<br />")


def _texts(given: Mapping[str, Any] | None) -> dict[str, str]:
    """A number in the plant file means its digits."""
    return {name: str(value) for name, value in (given or {}).items()}


def _where(key: str) -> dict[str, str]:
    return {"location": key[len(LOCATION) :]} if key.lower().startswith(LOCATION) else {"assetnum": key}


def _code(table: Mapping[str, str], written: str) -> str:
    """Telltale's code for Maximo's, else Maximo's own."""
    return next((code for code, its in table.items() if its == written), written)


def _balance(row: Row) -> float:
    if isinstance(row.get("curbal"), int | float):
        return float(row["curbal"])
    return float(sum(one.get("curbal") or 0 for one in row.get("invbalances") or ()))


def _names(document: Row, name: str) -> bool:
    """Whether an attachment is the picture of that name. Maximo may change a file's name, not its description."""
    about = document.get("describedBy")
    return isinstance(about, dict) and name in (about.get("description"), about.get("title"), about.get("fileName"))


def _orders_in(document: Any) -> Sequence[tuple[str, str]]:
    """wonum and siteid of each work order in a message, however the channel wraps them; "" for a site not named."""
    if isinstance(document, list):
        return [found for one in document for found in _orders_in(one)]
    if not isinstance(document, dict):
        return []
    low = {str(name).lower().rpartition(":")[2]: value for name, value in document.items()}
    if isinstance(low.get("wonum"), str) and low["wonum"]:
        return [(low["wonum"], str(low.get("siteid") or ""))]
    return [found for value in document.values() for found in _orders_in(value)]


def _orders_in_xml(body: bytes) -> Sequence[tuple[str, str]]:
    """Likewise of Maximo's XML. Not by a parser: these two names are all that is believed, and each is looked up."""
    text = body.decode(errors="replace")
    site = XML["SITEID"].search(text)
    return [(html.unescape(one[1]), html.unescape(site[1]) if site else "") for one in XML["WONUM"].finditer(text)]


def _ms(value: Any) -> int:
    try:
        return int(datetime.fromisoformat(value).timestamp() * 1000)
    except (TypeError, ValueError):
        return 0


def _refusal(answer: Answer) -> str:
    """Of {"Error": {"reasonCode", "message", "statusCode"}}; the names have a prefix where Maximo is not lean."""
    try:
        error = {name.rpartition(":")[2]: value for name, value in json.loads(answer.body).items()}["Error"]
        return str({name.rpartition(":")[2]: value for name, value in error.items()}["message"])
    except (ValueError, KeyError, AttributeError):
        return shown(answer.body)


def _made(given: Given) -> Maximo:
    who = {"apikey": given.secret("apikey")}
    http = Http(given.settings["url"], now_ms=given.now_ms, headers=who, budget=given.budget)
    return Maximo(http, given.settings, hint_password=given.secrets.get("hint_password", ""))


ADAPTER = Adapter(
    title="IBM Maximo Manage",
    make=_made,
    settings={
        "url": Setting("Maximo's address, as https://main.manage.acme.com/maximo", "url", required=True),
        "api": Setting("where its REST API lies: /oslc before Maximo Application Suite 8", default="/api"),
        "siteid": Setting("the site in Maximo", required=True),
        "key_field": Setting("the attribute of work orders that takes Telltale's key", default="externalrefid"),
        "worktype": Setting("the type of the work orders", default="CM"),
        "priorities": Setting("WARNING and ALARM as wopriority", dict, default=PRIORITIES),
        "statuses": Setting("statuses, synonyms too, as Telltale's", dict, default=STATUSES),
        "moves": Setting("Telltale's statuses as the synonym to set", dict, default=MOVES),
        "completion": Setting("attributes that the site wants before COMP, and their values", dict, default={}),
        "logtype": Setting("the type of worklog entries", default="CLIENTNOTE"),
        "failure_class": Setting("the failure class that the codes belong to", default=""),
        "problem_codes": Setting("failure modes as problem codes", dict, default={}),
        "cause_codes": Setting("failure causes as cause codes", dict, default={}),
        "remedy_codes": Setting("actions taken as remedy codes", dict, default={}),
        "pushes": Setting("whether a publish channel tells of changes", bool, default=False),
    },
    secrets={
        "apikey": "an API key of the integration's user",
        "hint_password": "that the publish channel's endpoint sends, as user telltale",
    },
)
