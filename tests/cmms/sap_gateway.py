"""A stand-in for what SAP does and CAP does not, as a strict layer before SAP's service definitions served by CAP.

Not SAP: written from the service's metadata (what may be created and updated), SAP's documentation of CSRF tokens,
ETags, function imports and dates by priority, and the fixed values of phases. It shares no code with the adapter.

* credentials: Basic, or a token from its own OAuth 2 server
* a CSRF token with its cookies for each write, else 403 and `x-csrf-token: Required`
* `If-Match` for each change: 428 without, 412 where it does not hold
* numbers from a number range; fields that cannot be created or updated are refused
* types, priorities, technical objects and codes are checked; dates follow from the priority
* phases 1 to 5 move by the two function imports only, and a completed notification is not changed any more
* a notification that a person has open is locked
* attachments of notifications, which CAP serves nothing of, are a stand-in as a whole
"""

import base64
import json
import re
import secrets
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from tests.loopback import listening

ROOT = "/sap/opu/odata/sap"
USER, PASSWORD = "TELLTALE", "Passw0rd:with:colons"
CLIENT_ID, CLIENT_SECRET = "sb-telltale", "s3cret/+="
TYPES = ("M1", "M2", "M3", "Y1")
PRIORITIES = {"1": 1, "2": 2, "3": 7, "4": 30}  # days until the required end: SAP leaves them to each tenant
SYSTEM_STATUS = {"1": "OSNO", "2": "NOPO", "3": "NOPR", "4": "NOCO", "5": "DLFL"}
CATALOG = {
    ("MaintNotifDamageCodeGroup", "MaintNotificationDamageCode"): {"ROT/0010", "ROT/0020", "GEN/0099"},
    ("MaintNotifCauseCodeGroup", "MaintNotificationCauseCode"): {"CAU/0001", "CAU/0002"},
    ("MaintNotifActivityCodeGroup", "MaintNotificationActivityCode"): {"ACT/0001", "ACT/0007"},
}
CREATABLE = {  # of those the adapter and plants are likely to send; the metadata allows a few dozen more
    "NotificationText", "NotificationType", "MaintPriority", "MaintNotifExtReferenceNumber",
    "MaintNotifLongTextForEdit", "TechnicalObject", "TechObjIsEquipOrFuncnlLoc", "MaintenancePlanningPlant",
    "MaintenancePlannerGroup",
    "MainWorkCenter", "MainWorkCenterPlant", "ReportedByUser", "MalfunctionStartDate", "MalfunctionStartTime",
    "RequiredStartDate", "RequiredEndDate", "MaintenanceObjectIsDown", "MalfunctionEffect",
}  # fmt: skip
UPDATABLE = CREATABLE - {"NotificationType"}
BELOW = {
    "to_Item": "MaintenanceNotificationItem",
    "to_ItemCause": "MaintenanceNotificationCause",
    "to_ItemActivity": "MaintNotificationActivity",
}
FINAL = ("4", "5")
ONE = re.compile(rf"{ROOT}/API_MAINTNOTIFICATION/MaintenanceNotification\('([^']*)'\)$")
ITEMS = re.compile(rf"{ROOT}/API_MAINTNOTIFICATION/MaintenanceNotification\('([^']*)'\)/(to_Item)$")
UNDER = re.compile(
    rf"{ROOT}/API_MAINTNOTIFICATION/MaintenanceNotificationItem"
    r"\(MaintenanceNotification='([^']*)',MaintenanceNotificationItem='([^']*)'\)/(to_ItemCause|to_ItemActivity)$"
)


class Refused(Exception):
    def __init__(self, status: int, code: str, text: str, **headers: str) -> None:
        super().__init__(text)
        self.status, self.code, self.text, self.headers = status, code, text, headers


class Gateway:
    """The layer before CAP at `cap`. replaces : what writing a long text does to what stands there."""

    def __init__(self, cap: str, *, replaces: bool = False) -> None:
        self.cap, self.replaces = cap, replaces
        self.url = ""
        self.locked: dict[str, str] = {}  # number → who has it open
        self.tokens: dict[str, str] = {}  # CSRF token → the session it belongs to
        self.access: set[str] = set()  # OAuth access tokens that hold
        self.fetched = 0  # how often a CSRF token was fetched
        self.files: dict[str, list[str]] = {}  # number → names of its attachments
        self.meanwhile: list[Callable[[], None]] = []  # what people do before the next writes, one each
        self._number = 10_000_000
        self._changes: dict[str, int] = {}  # number → how often it was changed: its ETag
        self._lock = threading.RLock()

    # What people and SAP do

    def read(self, number: str) -> dict[str, Any]:
        entity: dict[str, Any] = self.ask("GET", f"API_MAINTNOTIFICATION/{_one(number)}", None)["d"]
        return entity

    def store(self, number: str, **values: Any) -> None:
        """Values as SAP itself sets them, whether or not the service lets others do so."""
        with self._lock:
            now = {"LastChangeDateTime": f"/Date({time.time_ns() // 10**9 * 1000}+0000)/"}
            if "NotifProcessingPhase" in values:
                now["ConcatenatedActiveSystStsName"] = SYSTEM_STATUS[values["NotifProcessingPhase"]]
            self.ask("PATCH", f"API_MAINTNOTIFICATION/{_one(number)}", {**now, **values})
            self._changes[number] = self._changes.get(number, 0) + 1

    def add(self, path: str, values: Mapping[str, Any]) -> None:
        self.ask("POST", path, values)

    def remove(self, number: str) -> None:
        """As when a notification is archived."""
        self.ask("DELETE", f"API_MAINTNOTIFICATION/{_one(number)}", None)

    def count(self, key: str) -> int:
        query = quote(f"MaintNotifExtReferenceNumber eq '{key}'")
        found = self.ask("GET", f"API_MAINTNOTIFICATION/MaintenanceNotification?$filter={query}", None)
        return len(found["d"]["results"])

    def ask(self, method: str, path: str, values: Mapping[str, Any] | None) -> Any:
        """Of CAP itself, past all rules."""
        body = json.dumps(values).encode() if values is not None else b""
        status, _, data = self._forward(method, f"{ROOT}/{path}", body)
        if status >= 400:
            error = json.loads(data)["error"]
            raise Refused(status, error["code"], error["message"]["value"])
        return json.loads(data) if data else {}

    # What the service does

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        parts = urlsplit(target)
        path, query = unquote(parts.path), dict(parse_qsl(parts.query))
        try:
            if path == "/oauth/token":
                return self._token(headers, body)
            self._authenticated(headers)
            if query.get("sap-client", "100") != "100":
                raise Refused(404, "404", "client is not known")
            with self._lock:
                return self._served(method, path, query, target, headers, body)
        except Refused as refused:
            said = {"code": refused.code, "message": {"lang": "en", "value": refused.text}, "innererror": {}}
            return refused.status, refused.headers, json.dumps({"error": said}).encode()

    def _served(
        self, method: str, path: str, query: Mapping[str, str], target: str, headers: Any, body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        if path.startswith(f"{ROOT}/API_CV_ATTACHMENT_SRV/"):
            return self._attached(method, path.rsplit("/", 1)[1], query, headers, body)
        if method == "GET":
            status, kind, data = self._forward("GET", target, b"")
            extra = self._fetched() if headers.get("x-csrf-token", "").lower() == "fetch" else {}
            return status, {"Content-Type": kind, **extra}, self._tagged(data) if status == 200 else data
        self._csrf(headers)
        if self.meanwhile:
            self.meanwhile.pop(0)()
        if method == "POST" and path == f"{ROOT}/API_MAINTNOTIFICATION/MaintenanceNotification":
            return self._created(json.loads(body))
        if method == "PATCH" and (one := ONE.match(path)):
            return self._updated(one[1], headers, json.loads(body))
        if method == "POST" and (below := ITEMS.match(path)):
            return self._added(below[1], below[2], path, json.loads(body))
        if method == "POST" and (below := UNDER.match(path)):
            return self._added(below[1], below[3], path, json.loads(body))
        if method == "POST" and path.startswith(f"{ROOT}/API_MAINTNOTIFICATION/"):
            return self._function(path.rsplit("/", 1)[1], query, headers, body)
        raise Refused(405, "005056A509B11EE1B9A8FEC11C21578E", f"Method {method} is not allowed for {path}")

    def _created(self, values: dict[str, Any]) -> tuple[int, Mapping[str, str], bytes]:
        self._writable(values, CREATABLE)
        if values.get("NotificationType") not in TYPES:
            raise Refused(400, "IM/033", f"Notification type {values.get('NotificationType')} does not exist")
        if not values.get("NotificationText"):
            raise Refused(400, "IM/109", "Enter a short text")
        self._valid(values)
        self._number += 1
        number = str(self._number)
        text = values.pop("MaintNotifLongTextForEdit", "")
        days = PRIORITIES.get(values.get("MaintPriority", ""), 0)
        own = {
            "MaintenanceNotification": number,
            "NotifProcessingPhase": "1",
            "ConcatenatedActiveSystStsName": SYSTEM_STATUS["1"],
            "MaintNotificationLongText": text,
            "LastChangeDateTime": f"/Date({time.time_ns() // 10**9 * 1000}+0000)/",
        }
        if days:
            own["RequiredEndDate"] = f"/Date({(int(time.time()) // 86400 + days) * 86400_000})/"
        made = self.ask("POST", "API_MAINTNOTIFICATION/MaintenanceNotification", {**values, **own})
        return 201, {}, self._tagged(json.dumps(made).encode())

    def _updated(self, number: str, headers: Any, values: dict[str, Any]) -> tuple[int, Mapping[str, str], bytes]:
        entity = self._changing(number, headers)
        self._writable(values, UPDATABLE)
        self._valid({**entity, **values})
        if "MaintNotifLongTextForEdit" in values:
            before, text = entity.get("MaintNotificationLongText") or "", values.pop("MaintNotifLongTextForEdit")
            if len(text) > 1333:
                raise Refused(400, "400", "Value is not a valid String(1333)")
            values["MaintNotificationLongText"] = text if self.replaces or not before else f"{before}\n\n{text}"
        self.store(number, **values)
        return 204, {}, b""

    def _added(
        self, number: str, navigation: str, path: str, values: dict[str, Any]
    ) -> tuple[int, Mapping[str, str], bytes]:
        self._open(number)
        for (group, code), known in CATALOG.items():
            given = f"{values.get(group) or ''}/{values.get(code) or ''}"
            if given != "/" and given not in known:
                raise Refused(400, "QS/014", f"Code {given} does not exist in the catalog")
        if any(name.endswith(("Name", "GroupText", "CodeText")) or name == "IsDeleted" for name in values):
            raise Refused(400, "400", "a property that cannot be created")
        there = self.ask("GET", path.removeprefix(f"{ROOT}/"), None)["d"]["results"]
        key = BELOW[navigation]
        values.setdefault(key, f"{1 + max((int(one[key]) for one in there), default=0):04d}")
        made = self.ask("POST", path.removeprefix(f"{ROOT}/"), values)
        self.store(number)
        return 201, {}, json.dumps(made).encode()

    def _function(
        self, name: str, query: Mapping[str, str], headers: Any, body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        to = {"SetMaintNotifToInProcess": "3", "CompleteMaintNotification": "4"}.get(name)
        given = re.fullmatch("'([^']+)'", query.get("MaintenanceNotification", ""))
        if to is None or given is None or body:
            raise Refused(400, "005056A509B11EE1B9A8FEC11C21D78E", f"Invalid function import {name}")
        number = given[1]
        entity = self._changing(number, headers)
        if entity["NotifProcessingPhase"] == to:
            raise Refused(400, "IM/530", f"Notification {number} has that status already")
        self.store(number, NotifProcessingPhase=to)
        return 200, {}, self._tagged(json.dumps({"d": self.read(number)}).encode())

    def _attached(
        self, method: str, name: str, query: Mapping[str, str], headers: Any, body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        if method == "GET" and not name:
            return 200, self._fetched() if headers.get("x-csrf-token", "").lower() == "fetch" else {}, b"{}"
        given = query if method == "GET" else headers
        quote = "'" if method == "GET" else ""
        found = re.fullmatch(rf"{quote}(\d{{12}}){quote}", given.get("LinkedSAPObjectKey", ""))
        if found is None or given.get("BusinessObjectTypeName", "").strip(quote) not in ("BUS2038", "PMQMEL"):
            raise Refused(400, "CV_ATTACHMENT/001", "Business object type or key is not valid")
        files = self.files.setdefault(found[1].lstrip("0"), [])
        if method == "GET" and name == "GetAllOriginals":
            said = {"d": {"results": [{"FileName": one} for one in files]}}
            return 200, {}, json.dumps(said).encode()
        self._csrf(headers)
        if method != "POST" or name != "AttachmentContentSet" or not headers.get("Slug") or not body:
            raise Refused(400, "CV_ATTACHMENT/002", "Slug or the file is missing")
        self.read(found[1].lstrip("0"))
        files.append(headers["Slug"])
        return 201, {}, json.dumps({"d": {"FileName": headers["Slug"]}}).encode()

    # What is checked

    def _changing(self, number: str, headers: Any) -> dict[str, Any]:
        entity = self._open(number)
        if not headers.get("If-Match"):
            raise Refused(428, "/IWFND/MED/172", "Header If-Match is required")
        if headers["If-Match"] not in ("*", self._etag(number)):
            raise Refused(412, "/IWFND/CM_MGW/194", "Precondition failed")
        return entity

    def _open(self, number: str) -> dict[str, Any]:
        entity = self.read(number)
        if number in self.locked:
            raise Refused(400, "MC/601", f"Object requested is currently locked by user {self.locked[number]}")
        if entity["NotifProcessingPhase"] in FINAL:
            raise Refused(400, "IM/100", f"Notification {number} is completed or to be deleted; it cannot be changed")
        return entity

    def _writable(self, values: Mapping[str, Any], allowed: set[str]) -> None:
        for name in values:
            if name not in allowed:
                raise Refused(400, "005056A509B11EE1B9A8FEC11C21178E", f"Property {name} cannot be written")

    def _valid(self, values: Mapping[str, Any]) -> None:
        for name, length in (("NotificationText", 40), ("MaintNotifExtReferenceNumber", 20), ("MaintPriority", 1)):
            if len(values.get(name) or "") > length:
                raise Refused(400, "400", f"Value {values[name]} is not a valid String({length}) of {name}")
        if (values.get("MaintPriority") or "1") not in PRIORITIES:
            raise Refused(400, "IM/061", f"Priority {values['MaintPriority']} does not exist")
        named = values.get("TechnicalObject")
        if not named:
            return
        service = {
            "EAMS_EQUI": "API_EQUIPMENT/Equipment?$filter=Equipment",
            "EAMS_FL": "API_FUNCTIONALLOCATION/FunctionalLocation?$filter=FunctionalLocation",
        }.get(values.get("TechObjIsEquipOrFuncnlLoc") or "")
        if service is None:
            raise Refused(400, "EAM_NTF/007", "Enter the type of the technical object")
        if not self.ask("GET", service + quote(f" eq '{named}'"), None)["d"]["results"]:
            raise Refused(400, "IE/010", f"Technical object {named} is not defined")

    def _authenticated(self, headers: Any) -> None:
        given = headers.get("Authorization", "")
        basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if given != basic and given.removeprefix("Bearer ") not in self.access:
            raise Refused(401, "401", "Logon failed", **{"WWW-Authenticate": 'Basic realm="SAP NetWeaver"'})

    def _token(self, headers: Any, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        wanted = base64.b64encode(f"{quote(CLIENT_ID)}:{quote(CLIENT_SECRET, safe='')}".encode()).decode()
        form = dict(parse_qsl(body.decode()))
        if headers.get("Authorization") != f"Basic {wanted}" or form.get("grant_type") != "client_credentials":
            return 401, {}, json.dumps({"error": "invalid_client"}).encode()
        access = secrets.token_urlsafe(16)
        self.access.add(access)
        return 200, {}, json.dumps({"access_token": access, "token_type": "bearer", "expires_in": 3600}).encode()

    def _fetched(self) -> dict[str, str]:
        self.fetched += 1
        token, session = secrets.token_urlsafe(16), secrets.token_hex(16)
        self.tokens[token] = session
        cookies = (
            f"sap-usercontext=sap-client=100; path=/, SAP_SESSIONID_S4H_100={session}%3d; path=/; secure; HttpOnly;"
            " Expires=Wed, 21 Oct 2099 07:28:00 GMT"
        )
        return {"x-csrf-token": token, "Set-Cookie": cookies}

    def _csrf(self, headers: Any) -> None:
        session = self.tokens.get(headers.get("x-csrf-token", ""))
        if session is None or f"SAP_SESSIONID_S4H_100={session}%3d" not in headers.get("Cookie", ""):
            raise Refused(403, "403", "CSRF token validation failed", **{"x-csrf-token": "Required"})

    # What CAP does

    def _tagged(self, data: bytes) -> bytes:
        """With the ETags of the notifications in it."""
        if not data.startswith(b"{"):
            return data
        document = json.loads(data)
        for entity in document["d"].get("results", [document["d"]]):
            if entity.get("__metadata", {}).get("type", "").endswith(".MaintenanceNotification"):
                entity["__metadata"]["etag"] = self._etag(entity["MaintenanceNotification"])
        return json.dumps(document).encode()

    def _etag(self, number: str) -> str:
        return f"W/\"'{number}-{self._changes.get(number, 0)}'\""

    def _forward(self, method: str, target: str, body: bytes) -> tuple[int, str, bytes]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        address = self.cap.removesuffix(ROOT) + quote(target, safe="/?&=$(),'%")
        request = urllib.request.Request(address, data=body or None, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers.get("Content-Type", ""), answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers.get("Content-Type", ""), error.read()


def _one(number: str) -> str:
    return f"MaintenanceNotification('{number}')"


@contextmanager
def serving(gateway: Gateway) -> Iterator[Gateway]:
    """On a free port of this computer, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, data = gateway.answer(self.command, self.path, self.headers, body)
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.handle_any)
    with listening(Handler) as url:
        gateway.url = url
        yield gateway
