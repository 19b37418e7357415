"""OAuth 2 (RFC 6749) for systems that want it: access tokens as `Http(credentials=…)` asks for them.

A token is kept until just before it expires, across the adapters of a warm function, and fetched anew when a system has
refused it with 401. Not an adapter itself.

tokens cannot be had for now (unreachable, 429, 5xx)       RetryLater, CmmsBusy
the server does not grant one (wrong or expired secret)    CmmsDenied: a person has to mend that
"""

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlencode

from telltale.adapters.cmms.http import Answer, Http, shown
from telltale.adapters.cmms.port import CmmsDenied
from telltale.core.errors import RetryLater

EARLY_MS = 30_000  # guess: a token this near its end may be over before the request that carries it has arrived
ANSWERED = (200, 400, 401, 403)  # what a token endpoint says of a grant: RFC 6749, 5.1 and 5.2


@dataclass(frozen=True)
class Client:
    """Who asks for tokens, and where.

    in_body : id and secret go into the form rather than into `Authorization: Basic` (RFC 6749, 2.3.1: servers have to
    take Basic; some take only the form, or decode the one or the other wrongly).   extra : further fields of the form.
    """

    url: str
    id: str
    secret: str = field(repr=False)
    scope: str = ""
    in_body: bool = False
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Token:
    """An access token; `until_ms` is None where the server did not say how long it lives."""

    access: str = field(repr=False)
    until_ms: int | None
    refresh: str = field(default="", repr=False)


Store = MutableMapping[str, Token]
_KEPT: Store = {}  # for as long as the function is warm; by what was asked for, so that a changed secret holds at once
_ONE_AT_A_TIME = threading.Lock()


class Tokens:
    """The header with an access token, got by a grant (the form's fields, `grant_type` among them).

    Where the server gives a refresh token, that is used first, and the grant when it is refused. A refresh token that
    the server replaces is kept as long as the function is warm, no longer.
    """

    def __init__(
        self, client: Client, grant: Mapping[str, str], now_ms: Callable[[], int], kept: Store | None = None
    ) -> None:
        self._client, self._grant, self._now_ms = client, grant, now_ms
        self._http = Http(client.url, now_ms=now_ms)
        self._kept = _KEPT if kept is None else kept
        asked = [client.url, client.id, client.secret, client.scope, dict(client.extra), dict(grant)]
        self._name = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

    def __call__(self, fresh: bool) -> Mapping[str, str]:
        """`Authorization: Bearer …`; fresh: the token of before was refused."""
        with _ONE_AT_A_TIME:
            token = self._kept.get(self._name)
            if token is None or fresh or self._over(token):
                token = self._kept[self._name] = self._renewed(token)
        return {"Authorization": f"Bearer {token.access}"}

    def _over(self, token: Token) -> bool:
        return token.until_ms is not None and self._now_ms() >= token.until_ms - EARLY_MS

    def _renewed(self, token: Token | None) -> Token:
        if token is not None and token.refresh:
            answer = self._ask({"grant_type": "refresh_token", "refresh_token": token.refresh})
            if answer.status == 200:
                return self._read(answer, token.refresh)
        answer = self._ask(self._grant)
        if answer.status != 200:
            raise CmmsDenied(f"{self._client.url} grants no token: {answer.status} {shown(answer.body)}")
        return self._read(answer, self._grant.get("refresh_token", ""))

    def _ask(self, grant: Mapping[str, str]) -> Answer:
        client = self._client
        form = {**grant, **client.extra, **({"scope": client.scope} if client.scope else {})}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if client.in_body:
            form |= {"client_id": client.id, "client_secret": client.secret}
        else:
            headers |= basic(quote_plus(client.id), quote_plus(client.secret))
        return self._http.ask("POST", "", raw=urlencode(form).encode(), headers=headers, good=ANSWERED)

    def _read(self, answer: Answer, refresh: str) -> Token:
        said = answer.json()
        if not isinstance(said, dict) or not isinstance(said.get("access_token"), str) or not said["access_token"]:
            raise RetryLater(f"{self._client.url} answered without an access token")
        if str(said.get("token_type", "bearer")).lower() != "bearer":
            raise CmmsDenied(f"{self._client.url} gives tokens of type {said['token_type']!r}; only bearer is known")
        return Token(said["access_token"], self._until_ms(said.get("expires_in")), said.get("refresh_token") or refresh)

    def _until_ms(self, expires_in: Any) -> int | None:
        """`expires_in` is seconds from now, and some servers write it as a text."""
        try:
            return self._now_ms() + int(float(expires_in) * 1000)
        except (TypeError, ValueError, OverflowError):
            return None


def client_credentials(client: Client, now_ms: Callable[[], int], kept: Store | None = None) -> Tokens:
    """The client's own token (RFC 6749, 4.4)."""
    return Tokens(client, {"grant_type": "client_credentials"}, now_ms, kept)


def password(client: Client, now_ms: Callable[[], int], *, user: str, word: str, kept: Store | None = None) -> Tokens:
    """A technical user's token (RFC 6749, 4.3), where a system ties rights to users."""
    return Tokens(client, {"grant_type": "password", "username": user, "password": word}, now_ms, kept)


def refreshed(client: Client, now_ms: Callable[[], int], *, token: str, kept: Store | None = None) -> Tokens:
    """Tokens for a refresh token that a person got by signing in (RFC 6749, 6)."""
    return Tokens(client, {"grant_type": "refresh_token", "refresh_token": token}, now_ms, kept)


def basic(user: str, word: str) -> dict[str, str]:
    """`Authorization: Basic …` (RFC 7617)."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{word}".encode()).decode()}
