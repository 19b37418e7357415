"""ServiceNow, by its Table API: a work order (`wm_order`), an incident, or any other table that extends `task`.

Three things it does that an adapter has to know (docs/cmms/servicenow.md): a condition on a field that it does not
know, or that the user may not read, is left out of a query, which then answers with other people's records; a field
that the user may not write is left out of a change that is answered 200; a reference to nothing is taken. So whatever
was asked for is looked at in the answer, and whatever was written is read back.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from telltale.adapters.cmms import oauth
from telltale.adapters.cmms.adapter import Adapter, Given, Setting
from telltale.adapters.cmms.http import Answer, Http, shown
from telltale.adapters.cmms.port import (
    DESCRIPTION,
    FIELDS,
    SEVERITY,
    TITLE,
    Capabilities,
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
    moved,
)
from telltale.core.closure import FAILURE_MODES, LISTS, Closure
from telltale.core.errors import CmmsRefused, RetryLater

API = "/api/now"
KEY = "correlation_id"
SHORT, LONG = 160, 4000  # characters of short_description and description; what is longer is cut without a word
SYS_ID = re.compile(r"[0-9a-f]{32}")
CODE_LINE = re.compile(r"^[ \t]*(failure|action)[ _](mode|cause|taken)[ \t]*:[ \t]*(\S.*?)[ \t]*$", re.I | re.M)
SIGNATURE, TIMESTAMP = "telltale-signature", "telltale-timestamp"
REPLAY_WINDOW_S = 300  # as docs/webhook.md

LABELS = {
    "new": Status.OPEN,
    "open": Status.OPEN,
    "draft": Status.OPEN,
    "awaiting qualification": Status.OPEN,
    "qualified": Status.OPEN,
    "ready for dispatch": Status.OPEN,
    "approved": Status.OPEN,
    "assigned": Status.OPEN,
    "accepted": Status.IN_PROGRESS,
    "in progress": Status.IN_PROGRESS,
    "work in progress": Status.IN_PROGRESS,
    "on hold": Status.ON_HOLD,
    "pending": Status.ON_HOLD,
    "resolved": Status.DONE,
    "closed": Status.DONE,
    "closed complete": Status.DONE,
    "closed incomplete": Status.CANCELLED,  # "could not be completed as specified": over, and nothing was repaired
    "closed skipped": Status.CANCELLED,
    "canceled": Status.CANCELLED,
    "cancelled": Status.CANCELLED,
}  # labels of the states as ServiceNow documents them, for users who read English


@dataclass(frozen=True)
class Kind:
    """What a table is like before anybody changes it.

    states : what the numbers mean, for users who read another language.   sets : the number that Telltale sets.
    severity : the field that Telltale writes it into.   merged : the field that names the record it was merged into.
    """

    states: Mapping[str, Status]
    sets: Mapping[Status, str]
    severity: str
    priorities: Mapping[str, str]
    close_code: str = ""
    merged: str = ""
    reopens: bool = False


INCIDENT = Kind(
    states={
        "1": Status.OPEN,
        "2": Status.IN_PROGRESS,
        "3": Status.ON_HOLD,
        "6": Status.DONE,
        "7": Status.DONE,
        "8": Status.CANCELLED,
    },
    sets={
        Status.OPEN: "1",
        Status.IN_PROGRESS: "2",
        Status.ON_HOLD: "3",
        Status.DONE: "6",
        Status.CANCELLED: "8",
    },
    severity="urgency",  # its priority follows from impact and urgency, and what is written there is overwritten
    priorities={"WARNING": "2", "ALARM": "1"},
    close_code="Solution provided",
    merged="parent_incident",
    reopens=True,
)
TASK = Kind(
    states={
        "-5": Status.ON_HOLD,
        "1": Status.OPEN,
        "2": Status.IN_PROGRESS,
        "3": Status.DONE,
        "4": Status.CANCELLED,
        "7": Status.CANCELLED,
    },
    sets={Status.OPEN: "1", Status.IN_PROGRESS: "2", Status.DONE: "3", Status.CANCELLED: "7"},
    severity="priority",
    priorities={"WARNING": "3", "ALARM": "2"},
)
WORK_ORDER = Kind(
    # Field Service documents the labels alone. These numbers are a guess, from what people who use it write.
    states={
        "1": Status.OPEN,
        "16": Status.OPEN,
        "17": Status.IN_PROGRESS,
        "18": Status.IN_PROGRESS,
        "3": Status.DONE,
        "4": Status.CANCELLED,
        "7": Status.CANCELLED,
    },
    sets={Status.OPEN: "1", Status.IN_PROGRESS: "18", Status.DONE: "3", Status.CANCELLED: "7"},
    severity=TASK.severity,
    priorities=TASK.priorities,
)
KINDS = {"incident": INCIDENT, "wm_order": WORK_ORDER}
READ = (
    "sys_id", "number", "state", "short_description", "description", KEY, "sys_updated_on", "sys_updated_by",
    "assigned_to", "closed_at", "closed_by", "resolved_at", "resolved_by", "close_code", "close_notes",
)  # fmt: skip


@dataclass(frozen=True)
class Ways:
    """How one instance is set up, by the plant file: the settings of ADAPTER, of the same names."""

    table: str = "wm_order"
    priorities: Mapping[str, str] = field(default_factory=dict)
    priority_field: str = ""
    statuses: Mapping[str, Status] = field(default_factory=dict)
    code_fields: Mapping[str, str] = field(default_factory=dict)
    close_codes: Mapping[str, str] = field(default_factory=dict)
    close_code: str = ""
    comment_field: str = "work_notes"
    asset_table: str = "cmdb_ci"
    asset_field: str = "asset_tag"
    reopens: bool | None = None
    pushes: bool = False


class ServiceNow(Plain):
    """One table of one instance. secret : what the instance signs its hints with, b"" where it sends none."""

    name = "servicenow"

    def __init__(self, http: Http, now_ms: Callable[[], int], ways: Ways, secret: bytes = b"") -> None:
        kind = KINDS.get(ways.table, TASK)
        self._http, self._now_ms, self._ways, self._kind, self._secret = http, now_ms, ways, kind, secret
        self._severity = ways.priority_field or kind.severity
        self._priorities = {**kind.priorities, **ways.priorities}
        self._path = f"{API}/table/{ways.table}"
        read = (*READ, self._severity, *ways.code_fields.values(), *([kind.merged] if kind.merged else []))
        self._shape = _shape(*dict.fromkeys(read))
        self.capabilities = Capabilities(
            upsert=False,
            pushes=ways.pushes,
            reopens=kind.reopens if ways.reopens is None else ways.reopens,
            codes=set(LISTS) <= set(ways.code_fields),
            attaches=True,
            assets=True,
        )

    def find(self, key: str) -> Order | None:
        asked = {**self._shape, "sysparm_query": f"{KEY}={_escaped(key)}^ORDERBYsys_created_on", "sysparm_limit": 10}
        found = _records(self._http.ask("GET", self._path, params=asked))
        if any(KEY not in record for record in found):
            raise CmmsDenied(f"{self._ways.table}: the user may not read {KEY}, without which no order is found again")
        same = [record for record in found if _value(record, KEY) == key]
        if found and not same:
            raise CmmsDenied(f"{self._ways.table} cannot be asked for {KEY}: the instance answers with other records")
        return self._order(same[0]) if same else None

    def create(self, request: OrderRequest) -> Order:
        body = {
            "short_description": request.title[:SHORT],
            "description": _fitted(request),
            self._severity: self._priorities[request.severity],
            **({"cmdb_ci": self._asset_id(request.asset)} if request.asset else {}),
            **request.fields,
            KEY: request.key,
            "correlation_display": "Telltale",
        }
        made = _record(self._http.ask("POST", self._path, body=body, params=_shape("sys_id")))
        ref = _value(made, "sys_id")
        order = self.get(ref)
        if order is None:
            raise CmmsDenied(f"{self._ways.table} {ref} was made and does not show: the user may not read it")
        if order.key != request.key:  # asked again, one more would be made, and one more
            raise CmmsRefused(f"{self._ways.table} {ref} was made without {KEY}: the user may not write it")
        return order

    def get(self, ref: str) -> Order | None:
        record = self._read(ref, self._shape)
        return self._order(record) if record is not None else None

    def update(self, ref: str, request: OrderRequest, fields: Collection[str] = FIELDS) -> Order:
        order = self._there(ref)
        if order.status.final:
            return order
        new = {
            TITLE: ("short_description", request.title[:SHORT]),
            DESCRIPTION: ("description", _fitted(request)),
            SEVERITY: (self._severity, self._priorities[request.severity]),
        }
        self._change(ref, dict(new[name] for name in FIELDS if name in fields))
        return self._there(ref)

    def comment(self, ref: str, text: str, *, key: str) -> None:
        mark, journal = f"[tt:{key}]", self._ways.comment_field
        if mark in self._said(ref, journal):
            return
        self._change(ref, {journal: f"{text}\n{mark}"})
        if mark not in self._said(ref, journal):
            raise CmmsRefused(f"{self._ways.table} {ref} takes no {journal} any more, or not from this user")

    def set_status(self, ref: str, status: Status, *, by: str, closure: Closure | None = None) -> Order:
        order = self._there(ref)
        if order.status is status:
            return order
        if order.status.final and (status is not Status.OPEN or not self.capabilities.reopens):
            raise Stays(order, status)
        self._change(
            ref, {"state": self._number(status), **(self._closing(status, by, closure) if status.final else {})}
        )
        return moved(self._there(ref), status)

    def attach(self, ref: str, picture: Picture) -> None:
        whose = f"table_name={self._ways.table}^table_sys_id={ref}^file_name={_escaped(picture.name)}"
        there = _records(
            self._http.ask("GET", f"{API}/attachment", params={"sysparm_query": whose, "sysparm_limit": 10})
        )
        if any((one.get("file_name"), one.get("table_sys_id")) == (picture.name, ref) for one in there):
            return
        where = {"table_name": self._ways.table, "table_sys_id": ref, "file_name": picture.name}
        headers = {"Content-Type": picture.media_type}
        self._http.ask("POST", f"{API}/attachment/file", raw=picture.data, params=where, headers=headers)

    def asset(self, key: str) -> str | None:
        found = self._found(key)
        return _shows(found, "name") or key if found is not None else None

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Hint]:
        given = {name.lower(): value for name, value in headers.items()}
        time = given.get(TIMESTAMP, "")
        mac = hmac.new(self._secret, time.encode() + b"." + body, hashlib.sha256).digest()
        wanted = b"v1=" + base64.b64encode(mac)
        if not self._secret or not hmac.compare_digest(wanted, given.get(SIGNATURE, "").encode()):
            raise Forged(f"{SIGNATURE} does not match time and body")
        age_s = self._now_ms() / 1000 - int(time) if time.isascii() and time.isdecimal() else None
        if age_s is None or abs(age_s) > REPLAY_WINDOW_S:
            raise Forged(f"{TIMESTAMP} {time!r} is not within {REPLAY_WINDOW_S} s of now")
        try:
            ref = json.loads(body)["ref"]
        except (ValueError, KeyError, TypeError):
            ref = None
        if not isinstance(ref, str) or not SYS_ID.fullmatch(ref):
            raise Forged(f"the body names no record: {shown(body)}")
        return [Hint(ref, time)]

    def _read(self, ref: str, shape: Mapping[str, Any]) -> Mapping[str, Any] | None:
        if not SYS_ID.fullmatch(ref):
            return None
        return _record_or_none(self._http.ask("GET", f"{self._path}/{ref}", params=shape, good=(200, 404)))

    def _there(self, ref: str) -> Order:
        order = self.get(ref)
        if order is None:
            raise CmmsRefused(f"order {ref} is not in {self._ways.table} any more")
        return order

    def _change(self, ref: str, body: Mapping[str, Any]) -> None:
        """Raises CmmsRefused where a data policy or a business rule forbids this very change."""
        if not body:
            return
        answer = self._http.ask("PATCH", f"{self._path}/{ref}", body=body, params=_shape("sys_id"), good=(200, 403))
        if answer.status == 403:
            said = f"{self._ways.table} {ref} was not changed: {shown(answer.body)}"
            raise CmmsRefused(said) if _is_its_own(answer) else CmmsDenied(said)

    def _said(self, ref: str, journal: str) -> str:
        """All that was written into a journal field; its value is empty, and what it shows is all entries."""
        record = self._read(ref, _shape(journal))
        if record is None:
            raise CmmsRefused(f"order {ref} is not in {self._ways.table} any more")
        return _shows(record, journal)

    def _order(self, record: Mapping[str, Any]) -> Order:
        status, raw = self._status(record)
        over = _value(record, "resolved_at") or _value(record, "closed_at") if status.final else ""
        merged = _value(record, self._kind.merged) if status.final and self._kind.merged else ""
        return Order(
            ref=_value(record, "sys_id"),
            key=_value(record, KEY),
            status=status,
            raw_status=raw,
            changed_ms=_ms(over or _value(record, "sys_updated_on")),
            by=_who(record, status),
            closure=self._closure(record) if status.final else None,
            shows={
                TITLE: _value(record, "short_description"),
                DESCRIPTION: _value(record, "description").replace("\r\n", "\n"),
                SEVERITY: _value(record, self._severity),
            },
            merged_into=merged,
        )

    def _status(self, record: Mapping[str, Any]) -> tuple[Status, str]:
        """The status, and what the instance calls it: by number or label in `statuses`, then by what is documented."""
        number, label = _value(record, "state"), _shows(record, "state")
        own = {raw.lower(): means for raw, means in self._ways.statuses.items()}
        for known, raw in ((own, number), (own, label), (LABELS, label), (self._kind.states, number)):
            if raw.lower() in known:
                return known[raw.lower()], label or number
        where = f"{self._ways.table} {_value(record, 'sys_id')}"
        raise RetryLater(f"{where} is in state {number!r} ({label}): say in `statuses` what it means")

    def _number(self, status: Status) -> str:
        own = (raw for raw, means in self._ways.statuses.items() if means is status and raw.lstrip("-").isdecimal())
        number = next(own, self._kind.sets.get(status))
        if number is None:
            raise CmmsRefused(f"{self._ways.table} has no state for {status}: name its number in `statuses`")
        return number

    def _closing(self, status: Status, by: str, closure: Closure | None) -> Mapping[str, str]:
        """What has to be said on closing: `close_notes` in words and, where the table wants one, `close_code`."""
        if closure is None:
            said, notes = {}, f"{status} by {by}"
        else:
            said = closure.as_dict()
            notes = "\n".join([*(f"{name}: {said[name]}" for name in LISTS), *filter(None, [closure.note])])
        fields = {one: said[name] for name, one in self._ways.code_fields.items() if said.get(name)}
        usual = self._ways.close_code or self._kind.close_code
        chosen = next(
            (code for code, mode in self._ways.close_codes.items() if mode == said.get("failure_mode")), usual
        )
        return {"close_notes": notes, **({"close_code": chosen} if chosen else {}), **fields}

    def _closure(self, record: Mapping[str, Any]) -> Mapping[str, str] | None:
        """The codes: of the custom fields, else of lines `failure_mode: …` in the notes, else the close code."""
        notes = _value(record, "close_notes").replace("\r\n", "\n")
        lines = {f"{one}_{two}".lower(): said for one, two, said in CODE_LINE.findall(notes)}
        codes = {name: said for name, said in lines.items() if name in LISTS}
        codes |= {name: _value(record, one) for name, one in self._ways.code_fields.items() if _value(record, one)}
        closed = _value(record, "close_code")
        mode = self._ways.close_codes.get(closed, closed if closed.upper() in FAILURE_MODES else "")
        if mode:
            codes.setdefault("failure_mode", mode)
        note = CODE_LINE.sub("", notes).strip()
        return {**codes, **({"note": note} if note else {})} or None

    def _asset_id(self, key: str) -> str:
        found = self._found(key)
        if found is None:
            raise UnknownAsset(key, f"{self._ways.asset_table} has none with this {self._ways.asset_field}, or several")
        return _value(found, "sys_id")

    def _found(self, key: str) -> Mapping[str, Any] | None:
        """The one configuration item with this key; None when there are none or several."""
        path, field = f"{API}/table/{self._ways.asset_table}", self._ways.asset_field
        shape = _shape("sys_id", "name", field)
        if SYS_ID.fullmatch(key):
            return _record_or_none(self._http.ask("GET", f"{path}/{key}", params=shape, good=(200, 404)))
        asked = {**shape, "sysparm_query": f"{field}={_escaped(key)}", "sysparm_limit": 10}
        same = [one for one in _records(self._http.ask("GET", path, params=asked)) if _value(one, field) == key]
        return same[0] if len(same) == 1 else None


def _shape(*fields: str) -> dict[str, Any]:
    """How records are answered: each field as `{"value", "display_value"}`, references without their links."""
    return {
        "sysparm_display_value": "all",
        "sysparm_exclude_reference_link": "true",
        "sysparm_fields": ",".join(fields),
    }


def _escaped(value: str) -> str:
    """A value within an encoded query, where `^` would begin another condition."""
    return value.replace("^", "^^")


def _result(answer: Answer) -> Any:
    said = answer.json()
    if not isinstance(said, dict) or "result" not in said:
        raise RetryLater(f"ServiceNow answered without a result: {shown(answer.body)}")
    return said["result"]


def _records(answer: Answer) -> list[Mapping[str, Any]]:
    result = _result(answer)
    if not isinstance(result, list) or not all(isinstance(one, dict) for one in result):
        raise RetryLater(f"ServiceNow answered with no list of records: {shown(answer.body)}")
    return result


def _record(answer: Answer) -> Mapping[str, Any]:
    result = _result(answer)
    if not isinstance(result, dict) or not result:
        raise RetryLater(f"ServiceNow answered without a record: {shown(answer.body)}")
    found: Mapping[str, Any] = result
    return found


def _record_or_none(answer: Answer) -> Mapping[str, Any] | None:
    """None for ServiceNow's own "No Record found", which a proxy's 404 is not."""
    if answer.status != 404:
        return _record(answer)
    if not _is_its_own(answer):
        raise RetryLater(f"404 without an error is not ServiceNow's: {shown(answer.body)}")
    return None


def _is_its_own(answer: Answer) -> bool:
    """Whether an error has ServiceNow's form: `{"error": {"message", "detail"}, "status": "failure"}`."""
    try:
        said = json.loads(answer.body)
    except ValueError:
        return False
    return isinstance(said, dict) and "error" in said


def _value(record: Mapping[str, Any], name: str) -> str:
    held = record.get(name)
    return str(held.get("value") or "") if isinstance(held, dict) else ""


def _shows(record: Mapping[str, Any], name: str) -> str:
    held = record.get(name)
    return str(held.get("display_value") or "") if isinstance(held, dict) else ""


def _who(record: Mapping[str, Any], status: Status) -> str | None:
    """Who closed it, or has it; None for one that nobody has."""
    if status.final:
        names = [_shows(record, "resolved_by"), _shows(record, "closed_by"), _value(record, "sys_updated_by")]
    else:
        names = [_shows(record, "assigned_to")] if status is not Status.OPEN else []
    return next(filter(None, names), None)


def _ms(time: str) -> int:
    """`2026-11-21 20:12:05` of the database is UTC."""
    try:
        return round(datetime.strptime(time, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError as error:
        raise RetryLater(f"ServiceNow answered with a time that cannot be read: {time!r}") from error


def _fitted(request: OrderRequest) -> str:
    """The description; of one that is too long whole lines, and the link to the rest."""
    if len(request.description) <= LONG:
        return request.description
    end = f"\n… {request.link}" if request.link else "\n…"
    kept = request.description[: LONG - len(end)]
    return kept[: max(kept.rfind("\n"), 0) or None] + end


def _statuses(given: Mapping[str, Any]) -> Mapping[str, Status]:
    try:
        return {str(raw): Status(means) for raw, means in given.items()}
    except ValueError as error:
        raise CmmsRefused(f"statuses: {error}; there are {', '.join(Status)}") from error


def _credentials(given: Given, url: str) -> Callable[[bool], Mapping[str, str]]:
    """By what secrets there are: OAuth with a refresh token, as a user, as the client itself; else Basic."""
    secrets, now_ms = given.secrets, given.now_ms
    if not secrets.get("client_id"):
        header = oauth.basic(given.secret("user"), given.secret("password"))
        return lambda fresh: header
    client = oauth.Client(f"{url}/oauth_token.do", secrets["client_id"], given.secret("client_secret"), in_body=True)
    if secrets.get("refresh_token"):
        return oauth.refreshed(client, now_ms, token=secrets["refresh_token"])
    if secrets.get("user"):
        return oauth.password(client, now_ms, user=secrets["user"], word=given.secret("password"))
    return oauth.client_credentials(client, now_ms)


def _made(given: Given) -> ServiceNow:
    settings, url = given.settings, str(given.settings["url"]).rstrip("/")
    for name, known in (("priorities", INCIDENT.priorities), ("code_fields", (*LISTS, "note"))):
        if odd := sorted(set(settings[name]) - set(known)):
            raise CmmsRefused(f"{name}: {', '.join(odd)} is none of {', '.join(known)}")
    http = Http(url, now_ms=given.now_ms, credentials=_credentials(given, url), budget=given.budget)
    own = {name: settings[name] for name in Ways.__dataclass_fields__ if name not in ("statuses", "priorities")}
    priorities = {severity: str(number) for severity, number in settings["priorities"].items()}
    ways = Ways(**own, priorities=priorities, statuses=_statuses(settings["statuses"]))
    return ServiceNow(http, given.now_ms, ways, given.secrets.get("hints_secret", "").encode())


ADAPTER = Adapter(
    title="ServiceNow",
    make=_made,
    settings={
        "url": Setting("the instance: https://<name>.service-now.com", "url", required=True),
        "table": Setting(
            "the table of the orders: wm_order, incident, or another that extends task", default="wm_order"
        ),
        "priorities": Setting("what WARNING and ALARM are in the field of the severity", dict, default={}),
        "priority_field": Setting(
            "the field of the severity: usually urgency of an incident, else priority", default=""
        ),
        "statuses": Setting("what states mean, by number or label, that Telltale does not know", dict, default={}),
        "code_fields": Setting("the table's own fields for the closure codes", dict, default={}),
        "close_codes": Setting("which failure mode each close code means", dict, default={}),
        "close_code": Setting("the close code where no other is chosen; incidents need one", default=""),
        "comment_field": Setting("where comments go", default="work_notes", choices=("work_notes", "comments")),
        "asset_table": Setting("the table of the assets", default="cmdb_ci"),
        "asset_field": Setting("the field of the assets that holds Telltale's keys", default="asset_tag"),
        "reopens": Setting("whether a closed order can be opened again; usually only incidents", bool),
        "pushes": Setting("whether a business rule tells of changes", bool, default=False),
    },
    secrets={
        "user": "the integration user, for Basic or OAuth's password grant",
        "password": "its password",
        "client_id": "of the OAuth application registry; without it Basic is used",
        "client_secret": "of the OAuth application registry",
        "refresh_token": "instead of user and password, where a person signed in for it",
        "hints_secret": "what the business rule signs with",
    },
)
