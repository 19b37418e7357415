"""Access tokens, against an authorisation server that takes RFC 6749 at its word (a stand-in)."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import pytest
from telltale.adapters.cmms import oauth
from telltale.adapters.cmms.http import Http
from telltale.adapters.cmms.port import CmmsBusy, CmmsDenied
from telltale.core.errors import CmmsRefused, RetryLater

ID, SECRET = "telltale app", "s+e:cret/%"
NOW_MS = 1_790_000_000_000


class Authority:
    """A token endpoint and, below `/api`, what the tokens are for."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS
        self.secret, self.word = SECRET, "pass word"
        self.refresh = False  # whether it gives refresh tokens
        self.lives: Any = 1800  # expires_in
        self.answers: list[tuple[int, dict[str, str], bytes]] = []  # what it says instead, first come
        self.granted: list[str] = []  # grant types, in order
        self.good: set[str] = set()  # access tokens that hold
        self.refreshes: set[str] = set()
        self.url = ""

    def token(self, headers: Any, form: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        if self.answers:
            return self.answers.pop(0)
        assert headers["Content-Type"] == "application/x-www-form-urlencoded"
        who = headers.get("Authorization", "")
        if who and "client_secret" in form:
            return self.error(400, "invalid_request")  # RFC 6749, 2.3: no more than one way in a request
        given = base64.b64decode(who.removeprefix("Basic ")).decode().split(":") if who else []
        name, secret = [unquote_plus(one) for one in given] or [form.pop("client_id"), form.pop("client_secret")]
        if (name, secret) != (ID, self.secret):
            return self.error(401, "invalid_client")
        grant = form["grant_type"]
        if grant == "password" and (form["username"], form["password"]) != ("bot", self.word):
            return self.error(400, "invalid_grant")
        if grant == "refresh_token":
            if form["refresh_token"] not in self.refreshes:
                return self.error(400, "invalid_grant")
            self.refreshes.remove(form["refresh_token"])  # one use: replaced by the answer
        if grant not in ("client_credentials", "password", "refresh_token"):
            return self.error(400, "unsupported_grant_type")
        self.granted.append(grant)
        access = f"access-{len(self.granted)}"
        self.good.add(access)
        said = {"access_token": access, "token_type": "Bearer", "expires_in": self.lives, "scope": form.get("scope")}
        if self.refresh or grant == "refresh_token":
            said["refresh_token"] = f"refresh-{len(self.granted)}"
            self.refreshes.add(said["refresh_token"])
        return 200, {}, json.dumps({name: value for name, value in said.items() if value is not None}).encode()

    def error(self, status: int, code: str) -> tuple[int, dict[str, str], bytes]:
        return status, {}, json.dumps({"error": code}).encode()

    def api(self, headers: Any) -> tuple[int, dict[str, str], bytes]:
        good = headers.get("Authorization", "").removeprefix("Bearer ") in self.good
        return (200, {}, b'{"who": "bot"}') if good else (401, {}, b'{"error": "invalid_token"}')


@contextmanager
def serving(authority: Authority) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body, strict_parsing=True).items()}
            self.say(*authority.token(self.headers, form))

        def do_GET(self) -> None:
            self.say(*authority.api(self.headers))

        def say(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    authority.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def authority() -> Iterator[Authority]:
    authority = Authority()
    with serving(authority):
        yield authority


def client(authority: Authority, **changes: Any) -> oauth.Client:
    return oauth.Client(**({"url": f"{authority.url}/token", "id": ID, "secret": SECRET} | changes))


def credentials(authority: Authority, kept: oauth.Store | None = None, **changes: Any) -> oauth.Tokens:
    store = {} if kept is None else kept
    return oauth.client_credentials(client(authority, **changes), lambda: authority.now_ms, store)


def of_user(authority: Authority, word: str = "pass word") -> oauth.Tokens:
    return oauth.password(client(authority), lambda: authority.now_ms, user="bot", word=word, kept={})


def api(authority: Authority, tokens: oauth.Tokens) -> Http:
    return Http(f"{authority.url}/api", now_ms=lambda: authority.now_ms, credentials=tokens)


@pytest.mark.parametrize("in_body", [False, True])
def test_a_client_gets_a_token_with_its_secret_in_the_header_or_in_the_form(
    authority: Authority, in_body: bool
) -> None:
    tokens = credentials(authority, in_body=in_body)

    assert api(authority, tokens).ask("GET", "/who").json() == {"who": "bot"}


def test_a_token_is_used_until_just_before_it_expires(authority: Authority) -> None:
    tokens = credentials(authority)

    first = tokens(False)
    authority.now_ms += 1_769_000
    again = tokens(False)
    authority.now_ms += 2_000
    late = tokens(False)

    assert first == again == {"Authorization": "Bearer access-1"}
    assert late == {"Authorization": "Bearer access-2"}


def test_adapters_made_one_after_the_other_share_a_token(authority: Authority) -> None:
    kept: oauth.Store = {}

    assert credentials(authority, kept)(False) == credentials(authority, kept)(False)
    assert authority.granted == ["client_credentials"]


def test_a_changed_secret_holds_at_once(authority: Authority) -> None:
    kept: oauth.Store = {}
    credentials(authority, kept)(False)
    authority.secret = "rotated"

    credentials(authority, kept, secret="rotated")(False)

    assert len(authority.granted) == 2


def test_a_token_that_was_withdrawn_is_fetched_anew_once(authority: Authority) -> None:
    http = api(authority, credentials(authority))
    http.ask("GET", "/who")
    authority.good.clear()

    assert http.ask("GET", "/who").json() == {"who": "bot"}
    assert len(authority.granted) == 2


def test_a_system_that_refuses_every_token_is_asked_twice_and_no_more(authority: Authority) -> None:
    http = api(authority, credentials(authority))
    authority.api = lambda headers: (401, {}, b"no")  # type: ignore[method-assign]  # a right was withdrawn

    with pytest.raises(CmmsDenied):
        http.ask("GET", "/who")

    assert len(authority.granted) == 2


@pytest.mark.parametrize("lives", [None, "soon", ""])
def test_a_token_of_unknown_life_is_used_until_it_is_refused(authority: Authority, lives: Any) -> None:
    authority.lives = lives
    tokens = credentials(authority)
    tokens(False)
    authority.now_ms += 10**10

    assert tokens(False) == {"Authorization": "Bearer access-1"}


def test_seconds_written_as_a_text_are_seconds(authority: Authority) -> None:
    authority.lives = "60"
    tokens = credentials(authority)
    tokens(False)
    authority.now_ms += 31_000

    assert tokens(False) == {"Authorization": "Bearer access-2"}


def test_a_wrong_secret_is_for_a_person_to_mend(authority: Authority) -> None:
    with pytest.raises(CmmsDenied, match="invalid_client"):
        credentials(authority, secret="old")(False)


def test_a_wrong_password_is_for_a_person_to_mend(authority: Authority) -> None:
    with pytest.raises(CmmsDenied, match="invalid_grant"):
        of_user(authority, "guessed")(False)


def test_a_user_signs_in_once_and_refreshes_from_then_on(authority: Authority) -> None:
    authority.refresh = True
    tokens = of_user(authority)

    for _ in range(3):
        tokens(False)
        authority.now_ms += 1_800_000

    assert authority.granted == ["password", "refresh_token", "refresh_token"]


def test_a_user_whose_refresh_token_ended_signs_in_again(authority: Authority) -> None:
    authority.refresh = True
    tokens = of_user(authority)
    tokens(False)
    authority.refreshes.clear()
    authority.now_ms += 1_800_000

    assert tokens(False) == {"Authorization": "Bearer access-2"}
    assert authority.granted == ["password", "password"]


def test_a_refresh_token_that_is_replaced_is_followed(authority: Authority) -> None:
    authority.refreshes.add("from a person")
    tokens = oauth.refreshed(client(authority), lambda: authority.now_ms, token="from a person", kept={})

    tokens(False)
    authority.now_ms += 1_800_000
    later = tokens(False)

    assert later == {"Authorization": "Bearer access-2"}


def test_a_refresh_token_that_ended_is_for_a_person_to_mend(authority: Authority) -> None:
    with pytest.raises(CmmsDenied):
        oauth.refreshed(client(authority), lambda: authority.now_ms, token="ended", kept={})(False)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_authority_is_for_later_and_says_when(authority: Authority, status: int) -> None:
    authority.answers.append((status, {"Retry-After": "7"}, b""))

    with pytest.raises(CmmsBusy) as busy:
        credentials(authority)(False)

    assert busy.value.after_s == 7


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"access_token": ""}', b'{"access_token": 7}'])
def test_an_answer_without_a_token_is_for_later(authority: Authority, body: bytes) -> None:
    authority.answers.append((200, {}, body))

    with pytest.raises(RetryLater):
        credentials(authority)(False)


def test_a_token_of_another_kind_is_not_used(authority: Authority) -> None:
    authority.answers.append((200, {}, b'{"access_token": "a", "token_type": "mac"}'))

    with pytest.raises(CmmsDenied, match="mac"):
        credentials(authority)(False)


def test_secrets_are_sent_to_no_address_in_the_clear() -> None:
    with pytest.raises(CmmsRefused):
        oauth.client_credentials(oauth.Client("http://sso.example.com/token", ID, SECRET), lambda: NOW_MS)


def test_secrets_do_not_show_in_a_log(authority: Authority) -> None:
    kept: oauth.Store = {}
    credentials(authority, kept)(False)

    shown = repr(client(authority)) + repr(kept)

    assert SECRET not in shown
    assert "access-1" not in shown
