"""A stand-in for a ServiceNow instance, written from its documentation (Table API, Attachment API, inbound rate limits,
OAuth) alone; no code is shared with the adapter.

It does what is documented and surprises: conditions on unknown fields are left out of a query, fields that may not be
written are left out of a change that is answered 200, long texts are cut, references to nothing are taken, a limit
takes hold half a minute late. Where `strict` it refuses what ServiceNow would pass over in silence: unknown parameters,
unknown fields, states that are no choice. What the business rule sends is made here as docs/cmms/servicenow.md says.
"""

import base64
import hashlib
import hmac
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.loopback import listening

Answer = tuple[int, dict[str, str], Any]

INCIDENT_STATES = {"1": "New", "2": "In Progress", "3": "On Hold", "6": "Resolved", "7": "Closed", "8": "Canceled"}
WORK_STATES = {
    "1": "Draft", "10": "Awaiting Qualification", "11": "Qualified", "15": "Ready for Dispatch", "16": "Assigned",
    "17": "Accepted", "18": "Work in Progress", "3": "Closed Complete", "4": "Closed Incomplete", "7": "Canceled",
}  # fmt: skip
TASK_FIELDS = {
    "sys_id", "number", "state", "short_description", "description", "correlation_id", "correlation_display",
    "cmdb_ci", "priority", "impact", "urgency", "assigned_to", "assignment_group", "closed_at", "closed_by",
    "close_notes", "work_notes", "comments", "parent", "location", "active", "sys_created_on", "sys_created_by",
    "sys_updated_on", "sys_updated_by", "sys_mod_count",
}  # fmt: skip
INCIDENT_FIELDS = TASK_FIELDS | {
    "close_code", "resolved_at", "resolved_by", "parent_incident", "problem_id", "reopen_count", "caller_id",
    "category", "hold_reason",
}  # fmt: skip
JOURNALS = {"work_notes", "comments"}
CLOSE_CODES = {
    "Duplicate", "Known error", "No resolution provided", "Resolved by caller", "Resolved by change",
    "Resolved by problem", "Resolved by request", "Solution provided", "Workaround provided", "User error",
}  # fmt: skip
LENGTHS = {"short_description": 160, "description": 4000, "close_notes": 4000, "correlation_id": 100}
TABLE_PARAMETERS = {
    "sysparm_query", "sysparm_display_value", "sysparm_exclude_reference_link", "sysparm_fields", "sysparm_limit",
    "sysparm_offset", "sysparm_no_count", "sysparm_view", "sysparm_input_display_value",
}  # fmt: skip
ATTACHMENT_PARAMETERS = {"sysparm_query", "sysparm_limit", "sysparm_offset"}
COMMIT_S = 30  # "Every 30 seconds, the count is committed to the database"
PRIORITIES = {2: "1", 3: "2", 4: "3", 5: "4", 6: "5"}  # impact + urgency → priority, as the data lookup has it


class Failed(Exception):
    def __init__(self, status: int, message: str, detail: str = "") -> None:
        self.status = status
        self.body = {"error": {"message": message, "detail": detail}, "status": "failure"}


def missing() -> Failed:
    return Failed(404, "No Record found", "Record doesn't exist or ACL restricts the record retrieval")


class Instance:
    """An instance with its integration user `telltale` and the technician Mia Maier."""

    def __init__(self, *, now_s: Callable[[], float] = time.time) -> None:
        self.now_s = now_s
        self.strict = True
        self.user, self.word = "telltale", "a pass word"
        self.client, self.client_secret = "c1ient", "c1ient secret"
        self.grants = {"client_credentials", "password", "refresh_token"}
        self.lives_s = 1800
        self.tokens: dict[str, float] = {}  # access token → until
        self.refreshes: set[str] = set()
        self.granted: list[str] = []  # grant types, in order
        self.limit: int | None = None  # requests an hour; None: no rule
        self.unreadable: set[str] = set()  # fields the user may not read
        self.unwritable: set[str] = set()  # fields the user may not write
        self.aborts: set[str] = set()  # states that a business rule allows no record to take
        self.no_rows_on_invalid_query = False  # glide.invalid_query.returns_no_rows
        self.tasks_keep_the_state = False  # whether a work order's state follows from its tasks alone
        self.states = {"incident": dict(INCIDENT_STATES), "wm_order": dict(WORK_STATES)}
        self.fields = {
            "incident": set(INCIDENT_FIELDS),
            "wm_order": set(TASK_FIELDS),
            "cmdb_ci": {"sys_id", "name", "asset_tag", "serial_number", "correlation_id"},
        }
        self.tables: dict[str, dict[str, dict[str, str]]] = {"incident": {}, "wm_order": {}, "cmdb_ci": {}}
        self.journal: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
        self.attachments: list[dict[str, str]] = []
        self.people = {"telltale": "Tell Tale", "mia": "Mia Maier"}
        self.hints_secret = b"what the business rule signs with"
        self.seen: list[tuple[str, str]] = []
        self.url = ""
        self._asked: list[float] = []
        self._numbers = 10_000
        self._lock = threading.RLock()

    # What people do

    def own(self, table: str, **fields: str) -> str:
        """A record that is simply there; answers its sys_id."""
        sys_id = uuid.uuid4().hex
        self.tables[table][sys_id] = {"sys_id": sys_id, **fields}
        return sys_id

    def write(self, table: str, sys_id: str, by: str = "mia", **fields: str) -> None:
        """As somebody at the form, who may do anything that the data policies allow."""
        self._changed(table, self.tables[table][sys_id], fields, by)

    def hint(self, sys_id: str) -> tuple[dict[str, str], bytes]:
        """Headers and body of what the business rule sends of a record."""
        time_sent = str(int(self.now_s()))
        held = next(
            (table[sys_id] for table in self.tables.values() if isinstance(sys_id, str) and sys_id in table), {}
        )
        said = {"version": "1", "ref": sys_id, "change": held.get("sys_mod_count", "0")}
        body = json.dumps(said, separators=(",", ":")).encode()
        mac = hmac.new(self.hints_secret, f"{time_sent}.".encode() + body, hashlib.sha256).digest()
        mark = f"v1={base64.b64encode(mac).decode()}"
        return {"Telltale-Timestamp": time_sent, "Telltale-Signature": mark, "Content-Type": "application/json"}, body

    # The API

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> Answer:
        with self._lock:
            parts = urlsplit(target)
            query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            self.seen.append((method, target))
            if parts.path == "/oauth_token.do":
                return self._token(method, headers, body)
            extra: dict[str, str] = {}
            try:
                self._authenticated(headers)
                extra = self._limited()
                status, said = self._route(method, parts.path, query, headers, body)
            except Failed as failed:
                return failed.status, {**extra, **getattr(failed, "headers", {})}, failed.body
            return status, extra, said

    def _authenticated(self, headers: Any) -> None:
        kind, _, given = headers.get("Authorization", "").partition(" ")
        basic = base64.b64encode(f"{self.user}:{self.word}".encode()).decode()
        if not (kind == "Basic" and given == basic) and not (
            kind == "Bearer" and self.tokens.get(given, 0) > self.now_s()
        ):
            raise Failed(401, "User Not Authenticated", "Required to provide Auth information")

    def _token(self, method: str, headers: Any, body: bytes) -> Answer:
        denied: Answer = 401, {}, {"error_description": "access_denied", "error": "server_error"}
        if method != "POST" or headers.get("Content-Type") != "application/x-www-form-urlencoded":
            return 400, {}, {"error": "invalid_request"}
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if (form.get("client_id"), form.get("client_secret")) != (self.client, self.client_secret):
            return denied
        grant = form.get("grant_type")
        if grant not in self.grants:
            return 400, {}, {"error": "unsupported_grant_type"}
        if grant == "password" and (form.get("username"), form.get("password")) != (self.user, self.word):
            return denied
        if grant == "refresh_token" and form.get("refresh_token") not in self.refreshes:
            return denied
        self.granted.append(grant)
        access, refresh = uuid.uuid4().hex, uuid.uuid4().hex
        self.tokens[access] = self.now_s() + self.lives_s
        said = {"access_token": access, "scope": "useraccount", "token_type": "Bearer", "expires_in": self.lives_s - 1}
        if grant == "password":
            self.refreshes.add(refresh)
            said["refresh_token"] = refresh
        return 200, {}, said

    def _limited(self) -> dict[str, str]:
        """Headers of the rule; the count is committed every half minute, so that more than the limit may pass."""
        if self.limit is None:
            return {}
        now = self.now_s()
        hour = now - now % 3600
        self._asked = [one for one in self._asked if one >= hour]
        committed = sum(one < now - now % COMMIT_S for one in self._asked)
        headers = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Reset": str(round(hour + 3600)),
            "X-RateLimit-Rule": "b" * 32,
        }
        if committed >= self.limit:
            detail = f"Rate limit of {self.limit} requests per hour for Table API exceeded"
            failed = Failed(429, "Rate limit exceeded", detail)
            failed.headers = {**headers, "Retry-After": str(round(hour + 3600 - now))}  # type: ignore[attr-defined]
            raise failed
        self._asked.append(now)
        return headers

    def _route(self, method: str, path: str, query: dict[str, str], headers: Any, body: bytes) -> tuple[int, Any]:
        if (method, path) == ("POST", "/api/now/attachment/file"):
            return 201, {"result": self._attach(query, headers, body)}
        if (method, path) == ("GET", "/api/now/attachment"):
            self._only(query, ATTACHMENT_PARAMETERS)
            fields = {"table_name", "table_sys_id", "file_name", "sys_id"}
            return 200, {"result": self._matching(self.attachments, fields, query.get("sysparm_query", ""))}
        match = re.fullmatch(r"/api/now/(?:v2/)?table/(\w+)(?:/([^/]+))?", path)
        if not match:
            raise Failed(400, "Requested URI does not represent any resource", path)
        table, sys_id = match.groups()
        if table not in self.tables:
            raise Failed(400, f"Invalid table {table}")
        self._only(query, TABLE_PARAMETERS)
        held = self.tables[table]
        if sys_id is None and method == "GET":
            return 200, {"result": self._listed(table, query)}
        if sys_id is None and method == "POST":
            made = self._create(table, self._body(headers, body))
            return 201, {"result": self._shown(table, made, query)}
        if sys_id not in held:
            raise missing()
        if method == "PATCH":
            self._patched(table, held[sys_id], self._body(headers, body))
        elif method != "GET":
            raise Failed(405, "Method not supported", method)
        return 200, {"result": self._shown(table, held[sys_id], query)}

    def _listed(self, table: str, query: dict[str, str]) -> list[dict[str, Any]]:
        known = self.fields[table] - self.unreadable
        found = self._matching(list(self.tables[table].values()), known, query.get("sysparm_query", ""))
        start = int(query.get("sysparm_offset", "0"))
        found = found[start : start + int(query.get("sysparm_limit", "10000"))]
        return [self._shown(table, one, query) for one in found]

    def _matching(self, records: list[dict[str, str]], known: set[str], query: str) -> list[dict[str, str]]:
        found = records
        for condition in re.split(r"(?<!\^)\^(?!\^)", query):
            condition = condition.replace("^^", "^")
            if order := re.fullmatch(r"ORDERBY(DESC)?(\w+)", condition):
                found = sorted(found, key=lambda one: one.get(str(order[2]), ""), reverse=bool(order[1]))
            elif match := re.fullmatch(r"(\w+?)(=|!=|LIKE|STARTSWITH)(.*)", condition, re.S):
                name, operator, value = match.groups()
                if name not in known:
                    if self.no_rows_on_invalid_query:
                        return []
                    continue  # "the instance ignores the invalid part"
                means: dict[str, Callable[[str], bool]] = {
                    "=": lambda held, value=value: held == value,  # type: ignore[misc]  # bound now, not in the end
                    "!=": lambda held, value=value: held != value,  # type: ignore[misc]
                    "LIKE": lambda held, value=value: value.lower() in held.lower(),  # type: ignore[misc]
                    "STARTSWITH": lambda held, value=value: held.startswith(value),  # type: ignore[misc]
                }
                found = [one for one in found if means[operator](one.get(name, ""))]
        return found

    def _create(self, table: str, body: dict[str, str]) -> dict[str, str]:
        if table not in self.states:
            raise Failed(403, "Operation Failed", "ACL Exception Insert Failed due to security constraints")
        if not body.get("short_description"):
            detail = "Data Policy Exception: The following fields are mandatory: Short description"
            raise Failed(403, "Operation Failed", detail)
        self._numbers += 1
        record = {
            "sys_id": uuid.uuid4().hex,
            "number": f"{'INC' if table == 'incident' else 'WO'}{self._numbers:07d}",
            "state": "1",
            "active": "true",
            "sys_created_on": self.now(),
            "sys_created_by": self.user,
            "sys_mod_count": "-1",
            **({"impact": "2", "urgency": "3"} if table == "incident" else {"priority": "4"}),
        }
        self._patched(table, record, body)
        self.tables[table][record["sys_id"]] = record
        return record

    def _patched(self, table: str, record: dict[str, str], body: dict[str, str]) -> None:
        """A change by the API's user: what it may not write is passed over in silence."""
        unknown = sorted(set(body) - self.fields[table])
        if unknown and self.strict:
            raise Failed(400, "Unknown fields", f"{unknown}; ServiceNow itself would pass over them")
        if table == "incident" and record["state"] == "7":
            return  # closed incidents are read only for all but administrators
        if table == "wm_order" and self.tasks_keep_the_state:
            body = {name: value for name, value in body.items() if name != "state"}
        allowed = self.fields[table] - self.unwritable
        self._changed(table, record, {n: v for n, v in body.items() if n in allowed}, self.user)

    def _changed(self, table: str, record: dict[str, str], fields: Mapping[str, Any], by: str) -> None:
        for name, value in fields.items():
            if not isinstance(value, str | int):
                raise Failed(400, "Invalid value", f"{name}: {value!r} is neither a text nor a number")
        fields = {name: value if isinstance(value, str) else str(value).lower() for name, value in fields.items()}
        new = {**record, **{name: value for name, value in fields.items() if name not in JOURNALS}}
        if new["state"] not in self.states[table] and self.strict:
            raise Failed(400, "Invalid choice", f"state {new['state']!r}; ServiceNow itself would take it")
        self._policies(table, new)
        for name in JOURNALS & set(fields):
            entry = (self.now(), self.people.get(by, by), fields[name])
            self.journal.setdefault((record["sys_id"], name), []).insert(0, entry)
        old = record["state"]
        record |= {name: value[: LENGTHS.get(name, 8000)] for name, value in new.items()}
        record |= {"sys_updated_on": self.now(), "sys_updated_by": by}
        record["sys_mod_count"] = str(int(record.get("sys_mod_count", "0")) + 1)
        if table == "incident":
            record["priority"] = PRIORITIES.get(int(record["impact"]) + int(record["urgency"]), "5")
        self._times(table, record, old, by)

    def _policies(self, table: str, record: dict[str, str]) -> None:
        if record["state"] in self.aborts:
            detail = f"Operation against file '{table}' was aborted by Business Rule 'Open tasks^{'b' * 32}'"
            raise Failed(403, "Operation Failed", detail)
        if table != "incident":
            return
        lacking = [name for name in ("close_code", "close_notes") if not record.get(name)]
        if record["state"] in ("6", "7") and lacking:
            names = ", ".join(
                {"close_code": "Resolution code", "close_notes": "Resolution notes"}[one] for one in lacking
            )
            detail = f"Data Policy Exception: The following fields are mandatory: {names}"
            raise Failed(403, "Operation Failed", detail)
        if record.get("close_code") and record["close_code"] not in CLOSE_CODES and self.strict:
            raise Failed(400, "Invalid choice", f"close_code {record['close_code']!r}; ServiceNow itself would take it")

    def _times(self, table: str, record: dict[str, str], old: str, by: str) -> None:
        new = record["state"]
        if new == old:
            return
        if table == "incident" and new == "6":
            record |= {"resolved_at": self.now(), "resolved_by": by}
        if new in (("7", "8") if table == "incident" else ("3", "4", "7")):
            record |= {"closed_at": self.now(), "closed_by": by, "active": "false"}
        if table == "incident" and old == "6" and new in ("1", "2"):
            record["reopen_count"] = str(int(record.get("reopen_count") or "0") + 1)
            record |= {"resolved_at": "", "resolved_by": "", "close_code": "", "close_notes": ""}

    def _shown(self, table: str, record: dict[str, str], query: dict[str, str]) -> dict[str, Any]:
        how = query.get("sysparm_display_value", "false")
        asked = query.get("sysparm_fields")
        names = asked.split(",") if asked else sorted(self.fields[table])
        shown: dict[str, Any] = {}
        for name in names:
            if name not in self.fields[table] or name in self.unreadable:
                continue  # "Invalid fields are ignored"
            value = record.get(name, "")
            display = self._display(table, record, name, value)
            shown[name] = (
                {"display_value": display, "value": value} if how == "all" else display if how == "true" else value
            )
        return shown

    def _display(self, table: str, record: dict[str, str], name: str, value: str) -> str:
        if name in JOURNALS:
            label = {"work_notes": "Work notes", "comments": "Additional comments"}[name]
            entries = self.journal.get((record["sys_id"], name), [])
            return "".join(f"{when} - {who} ({label})\n{text}\n\n" for when, who, text in entries)
        if name == "state" and table in self.states:
            return self.states[table].get(value, value)
        if name in ("assigned_to", "closed_by", "resolved_by"):
            return self.people.get(value, value)
        if name == "cmdb_ci":
            return self.tables["cmdb_ci"].get(value, {}).get("name", "")
        return value

    def _attach(self, query: dict[str, str], headers: Any, body: bytes) -> dict[str, str]:
        self._only(query, {"table_name", "table_sys_id", "file_name"})
        if not all(query.get(name) for name in ("table_name", "table_sys_id", "file_name")) or not body:
            raise Failed(400, "Missing mandatory parameters")
        if not re.fullmatch(r"[\w.+-]+/[\w.+-]+", headers.get("Content-Type") or ""):
            raise Failed(400, "Content-Type is mandatory")
        if query["table_sys_id"] not in self.tables.get(query["table_name"], {}):
            raise missing()
        made = {
            **query,
            "sys_id": uuid.uuid4().hex,
            "content_type": headers["Content-Type"],
            "size_bytes": str(len(body)),
        }
        self.attachments.append(made)
        return made

    def _body(self, headers: Any, body: bytes) -> dict[str, str]:
        if headers.get("Content-Type") != "application/json" or headers.get("Accept") != "application/json":
            raise Failed(415, "Unsupported media type", str(headers.get("Content-Type")))
        try:
            said = json.loads(body)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise Failed(400, "Exception while reading request", "The payload is not valid JSON.")
        return said

    def _only(self, query: dict[str, str], known: set[str]) -> None:
        if self.strict and (unknown := sorted(set(query) - known)):
            raise Failed(400, "Unknown parameters", f"{unknown}; ServiceNow itself would take them for conditions")

    def now(self) -> str:
        return datetime.fromtimestamp(self.now_s(), UTC).strftime("%Y-%m-%d %H:%M:%S")


@contextmanager
def serving(instance: Instance) -> Iterator[Instance]:
    """The instance, reachable at `instance.url` until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet, or each answer takes the 40 ms of a delayed acknowledgement

        def do_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, said = instance.answer(self.command, self.path, self.headers, body)
            data = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json;charset=UTF-8")
            self.send_header("Content-Length", str(len(data)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_any  # noqa: N815  # the names that http.server looks for

        def log_message(self, *_: Any) -> None:
            pass

    with listening(Handler) as url:
        instance.url = url
        yield instance
