"""A stand-in for IBM Maximo Manage: the part of its REST API that work orders need, strict.

Not Maximo: written from IBM's REST API guide, IBM's list of allowable status changes, and what people who probed real
systems wrote down. It shares no code with the adapter.

* an API key for each request, and no session cookie beside it (BMXAA0021E)
* without `lean=1`, names without the prefix `spi:` are dropped silently
* a where clause of comparisons joined by `and`; parentheses and `or` are refused (BMXAA8744E)
* only what `oslc.select` names is shown; internal values with `internalvalues=1`
* required, too long, foreign and unknown values are refused (BMXAA4195E, 4049E, 4191E, 4190E, 0090E)
* changes are POST with `x-method-override: PATCH`; without `patchtype: MERGE` lists are replaced
* statuses move as IBM lists; an illegal move is refused, or, where `silent`, answered 204 and not made
* attributes in `mandatory` are wanted before COMP; history (CAN, CLOSE) is not changed any more
* hrefs name a host that only Maximo knows
"""

import base64
import json
import re
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.loopback import listening

KEY, USER = "3p8kq0n5c7v1fakeapikey", "TELLTALE"
INSIDE = "http://manage.maximo.svc:9080"
SITES = ("BEDFORD", "NASHUA")
SYNONYMS = {
    "WAPPR": "WAPPR", "APPR": "APPR", "WPCOND": "APPR", "WSCH": "WSCH", "WMATL": "WMATL", "INPRG": "INPRG",
    "WIP": "INPRG", "COMP": "COMP", "CLOSE": "CLOSE", "CAN": "CAN", "HISTEDIT": "HISTEDIT",
}  # fmt: skip  # WIP is a synonym of this site's own
WAITING = {"APPR", "WSCH", "WMATL", "INPRG", "COMP", "CLOSE"}
MOVES = {
    "WAPPR": WAITING | {"CAN"},
    "APPR": WAITING | {"WAPPR"},
    "WSCH": WAITING | {"WAPPR"},
    "WMATL": WAITING | {"WAPPR"},
    "INPRG": {"WAPPR", "WMATL", "COMP", "CLOSE"},
    "COMP": {"CLOSE"},
    "CLOSE": set(),
    "CAN": set(),
}  # ibm.com/support, "Allowable Status Changes for Work Orders"
HISTORY = ("CAN", "CLOSE")
LENGTHS = {"description": 100, "wonum": 10, "externalrefid": 20, "worktype": 5, "logtype": 16}
ATTRIBUTES = {
    "wonum", "siteid", "status", "statusdate", "changedate", "changeby", "description", "description_longdescription",
    "wopriority", "worktype", "assetnum", "location", "externalrefid", "failurecode", "problemcode", "reportedby",
    "failurereport", "worklog", "lead", "itemnum", "curbal", "invbalances", "binnum",
}  # fmt: skip
WRITABLE = ATTRIBUTES - {"wonum", "status", "statusdate", "changedate", "changeby"}
WORKTYPES = ("CM", "EM", "PM")
LOGTYPES = ("CLIENTNOTE", "UPDATE")
FAILURES = {"PUMPS": {"PROBLEM": {"DRY", "UNBAL"}, "CAUSE": {"WORN", "OPERATOR"}, "REMEDY": {"GREASED", "REPLACED"}}}


class Refused(Exception):
    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code, self.text = status, code, text


class Server:
    """The orders and what else there is. silent : whether illegal moves are answered 204, as some versions do."""

    def __init__(self, *, silent: bool = False, mandatory: tuple[str, ...] = ()) -> None:
        self.silent, self.mandatory = silent, mandatory
        self.url = ""
        self.orders: dict[str, dict[str, Any]] = {}
        self.assets = {("11430", "BEDFORD"): "Centrifugal pump 100GPM/60FTHD", ("77", "NASHUA"): "Another site's pump"}
        self.locations = {("BR300", "BEDFORD"): "Boiler room reciprocating compressor"}
        self.inventory: list[dict[str, Any]] = [
            {"itemnum": "0-0514", "siteid": "BEDFORD", "location": "CENTRAL", "curbal": 4.0},
            {"itemnum": "0-0514", "siteid": "BEDFORD", "location": "SHIPS", "invbalances": [{"curbal": 1.0}]},
        ]
        self.pictures: dict[str, list[dict[str, Any]]] = {}
        self._number = 1200
        self._lock = threading.RLock()

    def move(self, wonum: str, status: str, by: str) -> None:
        """As a person does it in Maximo."""
        if SYNONYMS[status] not in MOVES[SYNONYMS[self.orders[wonum]["status"]]]:
            raise Refused(400, "BMXAA4638E", f"status {status} cannot be initiated")
        self.move_anyway(wonum, status, by)

    def move_anyway(self, wonum: str, status: str, by: str = "MAXADMIN") -> None:
        """As by a script of the site's own."""
        self.orders[wonum] |= {"status": status, "statusdate": _now(), "changedate": _now(), "changeby": by}

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query))
        cookie = {"Set-Cookie": f"JSESSIONID={secrets.token_hex(12)}; Path=/maximo; HttpOnly"}
        try:
            if headers.get("apikey") != KEY or "JSESSIONID" in headers.get("Cookie", ""):
                raise Refused(401, "BMXAA0021E", "User name and password combination are not valid. Try again.")
            with self._lock:
                status, extra, said = self._served(method, parts.path, query, headers, body)
        except Refused as refused:
            error = {"reasonCode": refused.code, "message": f"{refused.code} - {refused.text}"}
            error["statusCode"] = str(refused.status)
            return refused.status, cookie, json.dumps({"Error": error}).encode()
        return status, {**cookie, **extra}, b"" if said is None else json.dumps(said).encode()

    def _served(
        self, method: str, path: str, query: Mapping[str, str], headers: Any, body: bytes
    ) -> tuple[int, Mapping[str, str], Any]:
        found = re.fullmatch(r"/maximo/api/os/([a-z]+)(?:/([^/]+))?(/doclinks)?", path)
        if found is None:
            raise Refused(404, "BMXAA7901E", f"{path} is not an object structure")
        structure, rest, doclinks = found[1], found[2], found[3]
        if method == "GET" and rest is None:
            return 200, {}, self._queried(structure, query)
        if structure != "mxapiwodetail":
            raise Refused(400, "BMXAA9301E", f"not authorized to {method} {structure}")
        if rest is not None and doclinks:
            return self._documents(method, self._by_rest(rest), headers, body)
        if method == "GET" and rest is not None:
            return 200, {}, self._shown(self._by_rest(rest), structure, query)
        if method == "POST" and rest is None:
            return self._created(_values(body, query), headers)
        if method == "POST" and rest is not None:
            if headers.get("x-method-override") != "PATCH":
                raise Refused(400, "BMXAA7901E", "oslc#create_on_updateuri")
            self._changed(self._by_rest(rest), _values(body, query), merge=headers.get("patchtype") == "MERGE")
            return 204, {}, None
        raise Refused(405, "BMXAA7901E", f"{method} {path}")

    def _queried(self, structure: str, query: Mapping[str, str]) -> dict[str, Any]:
        known: dict[str, list[dict[str, Any]]] = {
            "mxapiwodetail": list(self.orders.values()),
            "mxapiasset": [{"assetnum": k, "siteid": s, "description": d} for (k, s), d in self.assets.items()],
            "mxapioperloc": [{"location": k, "siteid": s, "description": d} for (k, s), d in self.locations.items()],
            "mxapiinventory": self.inventory,
        }
        if structure not in known:
            raise Refused(404, "BMXAA1404E", f"object structure {structure} does not exist")
        where = _where(query.get("oslc.where", ""))
        members = [
            self._shown(row, structure, query) for row in known[structure] if all(row.get(k) == v for k, v in where)
        ]
        return {"member": members, "href": f"{INSIDE}/maximo/api/os/{structure}", "responseInfo": {"pagenum": 1}}

    def _shown(self, row: Mapping[str, Any], structure: str, query: Mapping[str, str]) -> dict[str, Any]:
        names = re.findall(r"(\w+)(?:\{([^}]*)\})?", query.get("oslc.select", ""))
        for name, children in names:
            for one in (name, *(children.split(",") if children else ())):
                if one not in ATTRIBUTES | {"type", "failurecode"}:
                    raise Refused(400, "BMXAA8745E", f"attribute {one} is not valid")
        shown = {name: row[name] for name, _ in names if row.get(name) is not None}
        if "status" in shown and query.get("internalvalues") == "1":
            shown["status_maxvalue"] = SYNONYMS[row["status"]]
        shown["href"] = f"{INSIDE}/maximo/api/os/{structure}/{_rest(row)}"
        shown["_rowstamp"] = "1"
        if query.get("lean") != "1":
            return {name if name == "href" else f"spi:{name}": value for name, value in shown.items()}
        return shown

    def _created(self, values: dict[str, Any], headers: Any) -> tuple[int, Mapping[str, str], Any]:
        if values.get("siteid") not in SITES:
            raise Refused(400, "BMXAA4191E", f"The value {values.get('siteid')} is not valid for Site")
        if not values.get("description"):
            raise Refused(400, "BMXAA4195E", "A value is required for the Description field on the WORKORDER object")
        self._number += 1
        row = {"wonum": str(self._number), "siteid": values["siteid"], "status": "WAPPR", "worklog": []}
        self._write({**row}, values, merge=True)  # refused as a whole, or not at all
        self._write(row, values, merge=True)
        self.orders[row["wonum"]] = row | {"statusdate": _now(), "changedate": _now(), "changeby": USER}
        shown = None
        if wanted := headers.get("properties"):
            query = {"lean": "1", "oslc.select": ",".join(ATTRIBUTES) if wanted == "*" else wanted}
            shown = self._shown(self.orders[row["wonum"]], "mxapiwodetail", query)
        return 201, {"Location": f"{INSIDE}/maximo/api/os/mxapiwodetail/{_rest(row)}"}, shown

    def _changed(self, row: dict[str, Any], values: dict[str, Any], *, merge: bool) -> None:
        internal, to = SYNONYMS[row["status"]], values.pop("status", None)
        values.pop("np_statusmemo", None)
        if internal in HISTORY:
            raise Refused(400, "BMXAA4659E", f"Work order {row['wonum']} is in history; it cannot be changed")
        self._write({**row}, values, merge=merge)
        self._write(row, values, merge=merge)
        row["changedate"] = _now()
        if to is None:
            return
        if to not in SYNONYMS:
            raise Refused(400, "BMXAA4190E", f"Status {to} is not in the value list")
        if SYNONYMS[to] not in MOVES[internal] and SYNONYMS[to] != internal:
            if self.silent:
                return
            raise Refused(400, "BMXAA4638E", f"Status {to} cannot be initiated from {row['status']}")
        missing = [name for name in self.mandatory if not row.get(name)]
        if SYNONYMS[to] == "COMP" and missing:
            raise Refused(400, "BMXAA4195E", f"A value is required for the {', '.join(missing)} field")
        row |= {"status": to, "statusdate": _now(), "changeby": USER}

    def _write(self, row: dict[str, Any], values: Mapping[str, Any], *, merge: bool) -> None:
        for name, value in values.items():
            if name in ("failurereport", "worklog"):
                rows = [self._child(name, row | dict(values), dict(one)) for one in value]
                row[name] = [*(row.get(name) or () if merge else ()), *rows]
            elif name in WRITABLE:  # others are dropped silently
                self._valid(row["siteid"], name, value, row | dict(values))
                long = name == "description_longdescription"
                row[name] = f"{value}<!-- RICH TEXT -->" if long and "RICH TEXT" not in value else value

    def _child(self, name: str, row: Mapping[str, Any], child: dict[str, Any]) -> dict[str, Any]:
        if name == "worklog":
            self._length("description", child.get("description", ""))
            child["logtype"] = child["logtype"] if child.get("logtype") in LOGTYPES else "CLIENTNOTE"
            return child
        known = FAILURES.get(row.get("failurecode", ""), {}).get(child.get("type", ""), set())
        if child.get("failurecode") not in known:
            raise Refused(400, "BMXAA4191E", f"The value {child.get('failurecode')} is not valid for Failure Code")
        return child

    def _valid(self, site: str, name: str, value: Any, row: Mapping[str, Any]) -> None:
        self._length(name, value)
        if name == "assetnum" and (value, site) not in self.assets:
            raise Refused(400, "BMXAA0090E", f"Asset {value} is not a valid asset, or its status is not operating")
        if name == "location" and (value, site) not in self.locations:
            raise Refused(400, "BMXAA4191E", f"The value {value} is not valid for Location")
        if name == "wopriority" and (not isinstance(value, int) or not 0 <= value <= 999):
            raise Refused(400, "BMXAA4151E", f"Priority {value!r} is not between 0 and 999")
        if name == "worktype" and value not in WORKTYPES:
            raise Refused(400, "BMXAA4190E", f"Work type {value} is not in the value list")
        if name == "failurecode" and value not in FAILURES:
            raise Refused(400, "BMXAA4191E", f"The value {value} is not valid for Failure Class")
        if name == "problemcode" and value not in FAILURES.get(row.get("failurecode", ""), {}).get("PROBLEM", set()):
            raise Refused(400, "BMXAA4191E", f"The value {value} is not valid for Problem Code")

    def _length(self, name: str, value: Any) -> None:
        if isinstance(value, str) and len(value) > LENGTHS.get(name, 32000):
            raise Refused(400, "BMXAA4049E", f"The value for {name} is longer than {LENGTHS[name]}")

    def _documents(
        self, method: str, row: Mapping[str, Any], headers: Any, body: bytes
    ) -> tuple[int, Mapping[str, str], Any]:
        held = self.pictures.setdefault(row["wonum"], [])
        if method == "POST":
            if headers.get("x-document-meta") != "FILE/Attachments" or not headers.get("slug") or not body:
                raise Refused(400, "BMXAA8731E", "slug, x-document-meta or the file is missing")
            stem, _, ending = headers["slug"].rpartition(".")
            name = f"{stem}1732219200000.{ending}"  # Maximo keeps names of files apart by the time
            held.append({"fileName": name, "description": headers.get("x-document-description", ""), "data": body})
            return 201, {"Location": f"{INSIDE}/maximo/api/os/mxapiwodetail/{_rest(row)}/doclinks/{len(held)}"}, None
        members = [{"describedBy": {k: v for k, v in one.items() if k != "data"}} for one in held]
        return 200, {}, {"member": members, "href": "doclinks"}

    def _by_rest(self, rest: str) -> dict[str, Any]:
        found = [row for row in self.orders.values() if _rest(row) == rest]
        if not found:
            raise Refused(404, "BMXAA1404E", f"{rest} does not exist")
        return found[0]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _rest(row: Mapping[str, Any]) -> str:
    """Maximo's id of a resource: its key in base 64, so that nobody makes one by hand."""
    named = "/".join(str(row.get(name, "")) for name in ("siteid", "wonum", "assetnum", "location", "itemnum"))
    return "_" + base64.urlsafe_b64encode(named.encode()).decode().rstrip("=") + "--"


def _values(body: bytes, query: Mapping[str, str]) -> dict[str, Any]:
    given: dict[str, Any] = json.loads(body)
    if query.get("lean") == "1":
        return given
    return {name[4:]: value for name, value in given.items() if name.startswith("spi:")}


def _where(clause: str) -> list[tuple[str, str]]:
    compared = re.compile(r'(\w+)="([^"]*)"')
    for part in clause.split(" and ") if clause else ():
        if not compared.fullmatch(part.strip()):
            raise Refused(400, "BMXAA8744E", f"Encountered {part!r} in the where clause")
    return [(name, value) for name, value in compared.findall(clause)]


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """On a free port of this computer, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, data = server.answer(self.command, self.path, self.headers, body)
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.handle_any)
    with listening(Handler) as url:
        server.url = f"{url}/maximo"
        yield server
