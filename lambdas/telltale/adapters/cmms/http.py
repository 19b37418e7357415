"""HTTP as maintenance systems speak it: JSON over TLS, answers that may pass told from answers that will not.

could not be reached, cut off, too slow            CmmsBusy
408, 409, 412, 425, 429, any 5xx                   CmmsBusy, after what Retry-After or a rate limit's reset says
401, 403                                           CmmsDenied, after credentials that can be renewed were, once
any other status that the caller did not expect    CmmsRefused, with what the system said
"""

import ipaddress
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3

from telltale.adapters.cmms.port import CmmsBusy, CmmsDenied
from telltale.core.errors import CmmsRefused, RetryLater

CONNECT_S, READ_S = 3.0, 10.0  # guesses: a healthy system answers in well under a second
MAX_ANSWER_BYTES = 1_000_000
COME_AGAIN = (408, 409, 412, 425, 429)  # may pass, as may every 5xx
DENIED = (401, 403)
GOOD = (200, 201, 202, 204)
SHOWN = 300  # characters of an unexpected answer that go into an error
RESETS = ("X-RateLimit-Reset", "X-Rate-Limit-Reset", "RateLimit-Reset")  # seconds since 1970, or from now
LONGEST_RESET_S = 10_000_000  # above it a reset is a time, below it a duration


@dataclass(frozen=True)
class Answer:
    """An answer that was expected."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON. Raises RetryLater: a page of a proxy proves nothing."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise RetryLater(f"the answer is no JSON: {shown(self.body)}") from error


class Http:
    """Requests to one maintenance system. Raises CmmsRefused for an address that is neither https nor on this computer.

    headers : sent with every request.   credentials : makes the headers that say who asks, called with True after a 401
    so that it may fetch a new token.   budget : called before each request (adapter.Given.budget).
    """

    def __init__(
        self,
        base: str,
        *,
        now_ms: Callable[[], int],
        headers: Mapping[str, str] | None = None,
        credentials: Callable[[bool], Mapping[str, str]] | None = None,
        budget: Callable[[], None] | None = None,
    ) -> None:
        if not allowed(base):
            raise CmmsRefused(f"address {base!r} is not https; http is for this computer only")
        self.base = base.rstrip("/")
        self._now_ms, self._headers, self._credentials, self._budget = now_ms, headers or {}, credentials, budget
        timeout = urllib3.Timeout(connect=CONNECT_S, read=READ_S)
        self._http = urllib3.PoolManager(timeout=timeout, retries=False, maxsize=1)

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        raw: bytes | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        good: Collection[int] = GOOD,
    ) -> Answer:
        """The answer, if its status is among `good`. `body` is sent as JSON, `raw` as it is."""
        if body is not None:
            raw = json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
            headers = {"Content-Type": "application/json", **(headers or {})}
        answer = self._once(method, path, raw, params, headers, fresh=False)
        if answer.status == 401 and 401 not in good and self._credentials is not None:
            answer = self._once(method, path, raw, params, headers, fresh=True)
        if answer.status in good:
            return answer
        said = f"{self.base}{path} answered {answer.status} to {method}: {shown(answer.body)}"
        if answer.status in COME_AGAIN or answer.status >= 500:
            raise CmmsBusy(said, self._after_s(answer.headers))
        raise CmmsDenied(said) if answer.status in DENIED else CmmsRefused(said)

    def _once(
        self,
        method: str,
        path: str,
        raw: bytes | None,
        params: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
        *,
        fresh: bool,
    ) -> Answer:
        who = self._credentials(fresh) if self._credentials is not None else {}
        if self._budget is not None:
            self._budget()
        address = f"{self.base}{path}" + (f"?{urlencode(params)}" if params else "")
        try:
            response = self._http.request(
                method,
                address,
                body=raw,
                headers={"Accept": "application/json", **self._headers, **who, **(headers or {})},
                redirect=False,
                preload_content=False,
            )
            try:
                return Answer(response.status, response.headers, response.read(MAX_ANSWER_BYTES))
            finally:
                response.release_conn()
        except urllib3.exceptions.HTTPError as error:
            raise CmmsBusy(f"{self.base} could not be reached: {error}") from error

    def _after_s(self, headers: Mapping[str, str]) -> float | None:
        """How long the system asks to wait: Retry-After in seconds or as a date (RFC 9110, 10.2.3), or a reset."""
        now_s = self._now_ms() / 1000
        retry_after = headers.get("Retry-After") or ""
        if retry_after.isdecimal():
            return float(retry_after)
        if retry_after:
            try:
                return max(0.0, parsedate_to_datetime(retry_after).timestamp() - now_s)
            except ValueError:
                return None
        reset = next((headers[name] for name in RESETS if headers.get(name)), "")
        if not reset.isdecimal():
            return None
        return max(0.0, float(reset) - now_s) if float(reset) > LONGEST_RESET_S else float(reset)


def shown(body: bytes) -> str:
    """The beginning of an answer, for an error."""
    return body[:SHOWN].decode(errors="replace")


def allowed(url: str) -> bool:
    """https, or http to this computer."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and _loopback(parts.hostname or ""))


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
