"""Odoo's Maintenance app: an order is a maintenance.request (docs/cmms/odoo.md).

Odoo 19 speaks JSON-2, `POST /json/2/<model>/<method>`; 14 to 18 speak JSON-RPC. Both call the same methods.

The order's key is the record's external id. Creating is Odoo's own import, `load`, in the mode in which modules are
updated: what has the external id already is answered and left as it is, and two at once make one. `load` answers 200
whatever becomes of it; `ids: false` is its refusal.
"""

import base64
import json
import random
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any, Protocol

from telltale.adapters.cmms import pushed
from telltale.adapters.cmms.adapter import Adapter, Given, Setting
from telltale.adapters.cmms.http import Http, shown
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
    moved,
)
from telltale.core.closure import Closure
from telltale.core.errors import CmmsRefused, RetryLater, TelltaleError

ORDER, EQUIPMENT, STAGE = "maintenance.request", "maintenance.equipment", "maintenance.stage"
PREFIX = "telltale.order_"  # of external ids; no module is called so, or its upgrade would take them away
CREATE_ONLY = {"mode": "update", "noupdate": True}  # of `load`: BaseModel._load_records skips what is there
READ = (
    "name", "description", "priority", "stage_id", "archive", "kanban_state", "create_date", "write_date", "write_uid",
)  # fmt: skip
PRIORITIES = {"WARNING": "2", "ALARM": "3"}  # Odoo's are "0" to "3": very low, low, normal, high
CODES = ("failure_mode", "failure_cause", "action_taken", "note")
LARGEST_ID = 2**31 - 1  # of PostgreSQL's integer
REPLAY_WINDOW_S = 300  # a message whose record was written longer ago, or later than now, is refused
STAGES_FOR_MS = 300_000  # how long the list of stages is believed (guess: people change it once a year)
LINK = re.compile(r"https?://[^\s<>\"]+")
NOT_FOUND = "odoo.exceptions.MissingError"
DENIED = ("odoo.exceptions.AccessDenied", "odoo.exceptions.AccessError", "odoo.http.SessionExpiredException")
REFUSED = (  # what Odoo says no to for good, or what it takes for nonsense; all else may pass
    "odoo.exceptions.UserError", "odoo.exceptions.ValidationError", "odoo.exceptions.RedirectWarning",
    "builtins.ValueError", "builtins.KeyError", "builtins.TypeError", "builtins.AttributeError",
    "werkzeug.exceptions.NotFound", "werkzeug.exceptions.UnprocessableEntity", "werkzeug.exceptions.BadRequest",
)  # fmt: skip


class Missing(CmmsRefused):
    """The record is not there (any more)."""


class Rpc(Protocol):
    """One way to call a method of a model. ids : of the records that it is called on. Raises as Http does; Missing."""

    def __call__(self, model: str, method: str, *given: Any, ids: Sequence[int] = (), **named: Any) -> Any: ...

    def html_flag(self) -> Mapping[str, bool]:
        """What message_post has to be told besides, so that its body is HTML."""


class Json2:
    """Odoo 19 and later; the API key is a bearer token."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def __call__(self, model: str, method: str, *given: Any, ids: Sequence[int] = (), **named: Any) -> Any:
        if given:
            named = {"vals_list": given[0], **named}  # `create`, the one method that is called by position
        body = {**({"ids": list(ids)} if ids else {}), **named}
        answer = self._http.ask("POST", f"/json/2/{model}/{method}", body=body, good=(200, 404, 422, 500))
        if answer.status == 200:
            return answer.json()
        said = f"{model}.{method} answered {answer.status}: {shown(answer.body)}"
        try:
            error = json.loads(answer.body)
        except ValueError:
            error = None
        if not isinstance(error, dict) or "name" not in error:  # not Odoo's own words: a proxy's, say
            raise CmmsRefused(said) if answer.status in (404, 422) else CmmsBusy(said)
        raise _error(str(error["name"]), f"{model}.{method}: {error.get('message')}")

    def html_flag(self) -> Mapping[str, bool]:
        return {"body_is_html": True}


class JsonRpc:
    """Odoo 14 to 18 (19 still has it); the API key stands in for the password."""

    def __init__(self, http: Http, database: str, login: str, key: str) -> None:
        self._http, self._database, self._login, self._key = http, database, login, key
        self._uid: int | None = None

    def __call__(self, model: str, method: str, *given: Any, ids: Sequence[int] = (), **named: Any) -> Any:
        if self._uid is None:
            uid = self._call("common", "authenticate", self._database, self._login, self._key, {})
            if not isinstance(uid, int) or not uid:
                raise CmmsDenied(f"Odoo does not know {self._login!r} with this API key in {self._database!r}")
            self._uid = uid
        positional = [*([list(ids)] if ids else []), *given]
        account = (self._database, self._uid, self._key)
        return self._call("object", "execute_kw", *account, model, method, positional, named)

    def html_flag(self) -> Mapping[str, bool]:
        version = self._call("common", "version")
        return {"body_is_html": True} if version["server_version_info"][0] >= 17 else {}

    def _call(self, service: str, method: str, *args: Any) -> Any:
        params = {"service": service, "method": method, "args": args}
        body = {"jsonrpc": "2.0", "method": "call", "id": 1, "params": params}
        answer = self._http.ask("POST", "/jsonrpc", body=body, good=(200,)).json()
        if isinstance(answer, dict) and "error" in answer:
            said = answer["error"].get("data") or {}
            raise _error(str(said.get("name")), f"{method}: {said.get('message') or answer['error'].get('message')}")
        if not isinstance(answer, dict) or "result" not in answer:
            raise RetryLater(f"{method} was answered without a result: {answer!r:.300}")
        return answer["result"]


def _error(name: str, said: str) -> TelltaleError:
    """What an exception of Odoo's, by its name, means to the worker."""
    if name == NOT_FOUND:
        return Missing(said)
    if name in DENIED:
        return CmmsDenied(said)
    return CmmsRefused(f"{name}: {said}") if name in REFUSED else RetryLater(f"{name}: {said}")


@dataclass(frozen=True)
class Stage:
    """A column of the plant's board; `done` ones end an order."""

    id: int
    name: str
    done: bool


_stages: dict[str, tuple[int, tuple[Stage, ...]]] = {}  # by address and database: until when it is believed, in order


class Odoo(Plain):
    """One database of one Odoo.

    statuses : what a stage, by its name or number, or "archived", means here; the others go by whether they are done,
    blocked or the first.   codes : field of maintenance.request by closure code.
    """

    name = "odoo"

    def __init__(
        self,
        rpc: Rpc,
        *,
        place: str,
        now_ms: Callable[[], int],
        team: str = "",
        priorities: Mapping[str, str] = PRIORITIES,
        statuses: Mapping[str, str] | None = None,
        codes: Mapping[str, str] | None = None,
        stock: bool = False,
        pushes: bool = False,
        hint_password: str = "",
    ) -> None:
        self._rpc, self._now_ms = rpc, now_ms
        self._team, self._priorities, self._statuses, self._codes = team, priorities, statuses or {}, codes or {}
        self._hint_password = hint_password
        self._place = f"{place} {sorted(self._statuses.items())}"  # a stage that a setting names may be a new one
        self.capabilities = Capabilities(
            upsert=True, pushes=pushes, reopens=True, codes=bool(codes), attaches=True, assets=True, stock=stock
        )

    def find(self, key: str) -> Order | None:
        # A name of nothing, for it must not make what it does not find; what it finds it does not write.
        ids, _ = self._load({"id": PREFIX + key, "name": ""})
        return self._order(ids[0], key) if ids else None

    def create(self, request: OrderRequest) -> Order:
        row = {
            "id": PREFIX + request.key,
            "name": request.title,
            "description": _html(request.description),
            "priority": self._priority(request.severity),
            **({"maintenance_team_id": self._team} if self._team else {}),
            **({"equipment_id/.id": str(self._equipment(request.asset)[0])} if request.asset else {}),
            **{name: _cell(value) for name, value in request.fields.items()},
        }
        ids, messages = self._load(row)
        if not ids:  # another was at it at the same moment, or it is refused: look, and try once more
            time.sleep(random.uniform(0.05, 0.25))
            ids, messages = self._load(row)
        if ids:
            order = self._order(ids[0], request.key)
            if order is None:
                raise RetryLater(f"order {request.key} was made, and is not there")
            return order
        said = "; ".join(str(message.get("message")) for message in messages)
        if "serialize" in said or "concurrent" in said or not said:  # PostgreSQL's words: it was our turn to wait
            raise RetryLater(f"Odoo did not make order {request.key} now: {said}")
        raise CmmsRefused(f"Odoo did not make order {request.key}: {said}")

    def get(self, ref: str) -> Order | None:
        number = _number(ref)
        if number is None:
            return None
        names = self._rpc(ORDER, "get_external_id", ids=[number])
        name = str(_mapping(names).get(ref) or "")
        return self._order(number, name.removeprefix(PREFIX)) if name.startswith(PREFIX) else None

    def update(self, ref: str, request: OrderRequest, fields: Collection[str] = FIELDS) -> Order:
        order = self._there(ref)
        if order.status.final:
            return order
        wanted = {
            TITLE: ("name", request.title),
            DESCRIPTION: ("description", _html(request.description)),
            SEVERITY: ("priority", self._priority(request.severity)),
        }
        self._write(ref, dict(wanted[name] for name in FIELDS if name in fields))
        return self._there(ref)

    def comment(self, ref: str, text: str, *, key: str) -> None:
        mark = f"[tt:{key}]"
        asked = [["model", "=", ORDER], ["res_id", "=", int(ref)], ["body", "ilike", mark]]
        if not self._rpc("mail.message", "search_read", domain=asked, fields=["id"], limit=1):
            self._say(ref, f"{text}\n{mark}")

    def set_status(self, ref: str, status: Status, *, by: str, closure: Closure | None = None) -> Order:
        order = self._there(ref)
        if order.status is status:
            return order
        if order.status.final and status is not Status.OPEN:
            raise Stays(order, status)
        codes = closure.as_dict() if closure else dict.fromkeys(CODES, False) if status is Status.OPEN else {}
        kept = {self._codes[name]: code for name, code in codes.items() if self._codes.get(name)}
        self._write(ref, {**self._move(status), **kept})
        words = ", ".join(str(codes[name]) for name in CODES if codes.get(name))
        self._say(ref, f"{status} by {by}" + (f": {words}" if words else ""))
        return moved(self._there(ref), status)

    def attach(self, ref: str, picture: Picture) -> None:
        same = {"res_model": ORDER, "res_id": int(ref), "name": picture.name}
        asked = [[name, "=", value] for name, value in same.items()]
        if not self._rpc("ir.attachment", "search_read", domain=asked, fields=["id"], limit=1):
            data = base64.b64encode(picture.data).decode()
            self._rpc("ir.attachment", "create", [{**same, "mimetype": picture.media_type, "datas": data}])

    def asset(self, key: str) -> str | None:
        try:
            return self._equipment(key)[1]
        except UnknownAsset:
            return None

    def stock(self, part: str) -> Stock | None:
        if not self._rpc(
            "product.product", "search_read", domain=[["default_code", "=", part]], fields=["id"], limit=1
        ):
            return None
        inside = [["product_id.default_code", "=", part], ["location_id.usage", "=", "internal"]]
        found = self._rpc("stock.quant", "search_read", domain=inside, fields=["quantity", "location_id"])
        places = sorted({str(one["location_id"][1]) for one in found if one["quantity"] > 0})
        return Stock(part, sum(float(one["quantity"]) for one in found), ", ".join(places))

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Hint]:
        """Odoo signs nothing, but sends the password that stands in the address it was given. A message says when its
        record was written; one that is overheard is worth nothing five minutes later."""
        pushed.trusted(headers, self._hint_password)
        document = pushed.document(body)
        try:
            number, model, written = document["_id"], document["_model"], _ms(document["write_date"])
        except (ValueError, KeyError, TypeError) as error:
            raise Forged(f"the body is no message of Odoo's with _id, _model and write_date: {error!r}") from error
        if type(number) is not int or number < 1 or model != ORDER:
            raise Forged(f"the message is about {model!r} {number!r}, not about an order")
        if abs(self._now_ms() - written) > REPLAY_WINDOW_S * 1000:
            raise Forged(f"write_date {document['write_date']!r} is not within {REPLAY_WINDOW_S} s of now")
        return [Hint(str(number))]

    # ---- what Odoo is asked ------------------------------------------------------------------------

    def _load(self, row: Mapping[str, str]) -> tuple[list[int], list[dict[str, Any]]]:
        """Ids and messages; no ids: it made nothing and there was nothing."""
        fields, data = list(row), [list(row.values())]
        answer = _mapping(self._rpc(ORDER, "load", fields=fields, data=data, context=CREATE_ONLY))
        if "ids" not in answer:
            raise RetryLater(f"Odoo answered `load` without ids: {answer!r:.300}")
        return answer["ids"] or [], answer.get("messages") or []

    def _order(self, number: int, key: str) -> Order | None:
        try:
            found = self._rpc(ORDER, "read", ids=[number], fields=[*READ, *self._codes.values()])
        except Missing:
            return None
        if not isinstance(found, list) or (found and "stage_id" not in _mapping(found[0])):
            raise RetryLater(f"Odoo answered without an order: {found!r:.300}")
        if not found:
            return None
        one = found[0]
        status, raw = self._status(one)
        by, changed_ms = self._moved(one, status)
        closure = {code: _text(one.get(name)) for code, name in self._codes.items() if one.get(name)}
        return Order(
            ref=str(number),
            key=key,
            status=status,
            raw_status=raw,
            changed_ms=changed_ms,
            by=by,
            closure=closure or None,
            shows={
                TITLE: str(one["name"]),
                DESCRIPTION: str(one["description"] or ""),
                SEVERITY: str(one["priority"] or ""),
            },
        )

    def _status(self, one: Mapping[str, Any]) -> tuple[Status, str]:
        """The status, and Odoo's own words for it."""
        number, name = one["stage_id"] or (0, "")
        stages = self._stages(having=number)
        stage = next((stage for stage in stages if stage.id == number), Stage(number, name, False))
        if one["archive"]:
            return Status(self._statuses.get("archived", Status.CANCELLED)), "archived"
        if meant := self._meant(stage):
            return meant, name
        if stage.done:
            return Status.DONE, name
        if one["kanban_state"] == "blocked":
            return Status.ON_HOLD, f"{name}, blocked"
        return (Status.OPEN if stage.id == stages[0].id else Status.IN_PROGRESS), name

    def _meant(self, stage: Stage) -> Status | None:
        """What the plant file says that the stage means."""
        said = self._statuses.get(str(stage.id)) or self._statuses.get(stage.name)
        return Status(said) if said else None

    def _move(self, status: Status) -> dict[str, Any]:
        """What to write so that an order gets there."""
        if status is Status.ON_HOLD:
            stage = self._stage_of(status)
            return {"stage_id": stage.id, "archive": False} if stage else {"kanban_state": "blocked", "archive": False}
        stage = self._stage_of(status)
        if stage is not None:
            return {"stage_id": stage.id, "archive": False, "kanban_state": "normal"}
        if status is Status.CANCELLED:
            return {"archive": True}
        raise CmmsRefused(f"Odoo has no stage that means {status}; name one in the setting `statuses`")

    def _stage_of(self, status: Status) -> Stage | None:
        """The first stage that the plant file says means it; else the first that does so by what Odoo knows of it."""
        stages = self._stages()
        named = next((stage for stage in stages if self._meant(stage) is status), None)
        if named is not None:
            return named
        free = [stage for stage in stages if self._meant(stage) is None]
        going = [stage for stage in free if not stage.done]
        plain = {
            Status.OPEN: [stage for stage in going if stage is stages[0]],
            Status.IN_PROGRESS: [stage for stage in going if stage is not stages[0]],
            Status.DONE: [stage for stage in free if stage.done],
        }
        return next(iter(plain.get(status, [])), None)

    def _stages(self, *, having: int = 0) -> tuple[Stage, ...]:
        """In the order of the board. having : the number of a stage that must be among them."""
        until_ms, known = _stages.get(self._place, (0, ()))
        if self._now_ms() < until_ms and (not having or having in (stage.id for stage in known)):
            return known
        found = self._rpc(STAGE, "search_read", domain=[], fields=["name", "done"], order="sequence, id")
        stages = tuple(Stage(one["id"], one["name"], bool(one["done"])) for one in found)
        if not stages:
            raise CmmsDenied("Odoo shows no stages of maintenance")
        _stages[self._place] = self._now_ms() + STAGES_FOR_MS, stages
        return stages

    def _moved(self, one: Mapping[str, Any], status: Status) -> tuple[str | None, int]:
        """Who brought the order where it is, and when: by the log of its stages, else by who wrote it last."""
        if status is Status.OPEN:
            return None, _ms(one["create_date"])
        if not one["archive"]:
            logged = [["model", "=", ORDER], ["res_id", "=", one["id"]], ["message_type", "=", "notification"]]
            if status is not Status.ON_HOLD:
                logged.append(["subtype_id.internal", "=", False])  # a move to another stage: it is told to followers
            asked: dict[str, Any] = {"domain": logged, "fields": ["date", "author_id"], "order": "id desc", "limit": 1}
            for message in self._rpc("mail.message", "search_read", **asked):
                return _text(message["author_id"]) or None, _ms(message["date"])
        return _text(one["write_uid"]) or None, _ms(one["write_date"])

    def _there(self, ref: str) -> Order:
        order = self.get(ref)
        if order is None:
            raise CmmsRefused(f"order {ref} is not in Odoo any more")
        return order

    def _write(self, ref: str, values: Mapping[str, Any]) -> None:
        self._rpc(ORDER, "write", ids=[int(ref)], vals=dict(values))

    def _say(self, ref: str, text: str) -> None:
        how = {"message_type": "comment", "subtype_xmlid": "mail.mt_note", **self._rpc.html_flag()}
        self._rpc(ORDER, "message_post", ids=[int(ref)], body=_html(text), **how)

    def _equipment(self, key: str) -> tuple[int, str]:
        """Number and name of the equipment with this serial number, else external id, else name."""
        domain = ["|", ["serial_no", "=", key], ["name", "=", key]]
        found = self._rpc(EQUIPMENT, "search_read", domain=domain, fields=["name", "serial_no"])
        by_serial = [one for one in found if one["serial_no"] == key]
        candidates = by_serial or found or self._by_external_id(key)
        if len(candidates) != 1:
            raise UnknownAsset(
                key, f"{len(candidates)} pieces of equipment have it for serial number, external id or name"
            )
        return int(candidates[0]["id"]), str(candidates[0]["name"])

    def _by_external_id(self, key: str) -> list[dict[str, Any]]:
        if not re.fullmatch(r"\w+\.[\w.-]+", key):
            return []
        every = self._rpc(EQUIPMENT, "search_read", domain=[], fields=["name"])
        names = _mapping(self._rpc(EQUIPMENT, "get_external_id", ids=[one["id"] for one in every])) if every else {}
        return [one for one in every if names.get(str(one["id"])) == key]

    def _priority(self, severity: str) -> str:
        return str(self._priorities.get(severity, PRIORITIES[severity]))


def _number(ref: str) -> int | None:
    return int(ref) if ref.isascii() and ref.isdecimal() and 0 < int(ref) <= LARGEST_ID else None


def _mapping(answer: Any) -> Mapping[str, Any]:
    if not isinstance(answer, dict):
        raise RetryLater(f"Odoo's answer is no object: {answer!r:.300}")
    return answer


def _html(text: str) -> str:
    """The text as one paragraph of HTML, its addresses as links."""

    def line(words: str) -> str:
        parts, at = [], 0
        for link in LINK.finditer(words):
            address = escape(link[0])
            parts += [escape(words[at : link.start()], quote=False), f'<a href="{address}">{address}</a>']
            at = link.end()
        return "".join([*parts, escape(words[at:], quote=False)])

    return "<p>" + "<br>".join(line(words) for words in text.split("\n")) + "</p>"


def _cell(value: Any) -> str:
    """A value as `load` reads it."""
    if isinstance(value, bool):
        return "1" if value else "0"
    return "" if value is None else str(value)


def _text(value: Any) -> str:
    """A field's value, or the name of the record that it points to."""
    return str(value[1] if isinstance(value, list | tuple) else value or "")


def _ms(text: str) -> int:
    """Odoo's date and time, which are UTC, as milliseconds."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def _made(given: Given) -> Odoo:
    settings, key = given.settings, given.secret("api_key")
    url, database, how = str(settings["url"]), str(settings["database"]), str(settings["api"])
    if how == "json2":
        headers = {"Authorization": f"bearer {key}", "X-Odoo-Database": database}
        rpc: Rpc = Json2(Http(url, now_ms=given.now_ms, headers=headers, budget=given.budget))
    else:
        if not settings["login"]:
            raise CmmsRefused(f"site {given.site}: odoo needs login where api is jsonrpc")
        http = Http(url, now_ms=given.now_ms, budget=given.budget)
        rpc = JsonRpc(http, database, str(settings["login"]), key)
    return Odoo(
        rpc,
        place=f"{url} {database}",
        now_ms=given.now_ms,
        team=str(settings["team"] or ""),
        priorities=settings["priorities"],
        statuses=settings["statuses"],
        codes=settings["codes"],
        stock=bool(settings["stock"]),
        pushes=bool(settings["pushes"]),
        hint_password=given.secrets.get("hint_password", ""),
    )


ADAPTER = Adapter(
    title="Odoo Maintenance",
    make=_made,
    settings={
        "url": Setting("the address of Odoo, such as https://acme.odoo.com", "url", required=True),
        "database": Setting("the name of its database", required=True),
        "api": Setting("json2 from Odoo 19 on, jsonrpc for 14 to 18", default="json2", choices=("json2", "jsonrpc")),
        "login": Setting("whose API key it is; for jsonrpc"),
        "team": Setting("name of the maintenance team; Odoo chooses where it is not given"),
        "priorities": Setting("Odoo's priority, 0 to 3, for WARNING and ALARM", dict, default=PRIORITIES),
        "statuses": Setting("what a stage, by name or number, or `archived`, means", dict, default={}),
        "codes": Setting("the fields for closure codes, by code", dict, default={}),
        "stock": Setting("whether Odoo keeps stock of spare parts", bool, default=False),
        "pushes": Setting("whether Odoo tells of changes itself", bool, default=False),
    },
    secrets={
        "api_key": "the API key of Telltale's user in Odoo",
        "hint_password": "stands in the address that Odoo tells changes to; with pushes",
    },
)
