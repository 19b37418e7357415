"""Signed links: what a page may show to whoever has its address, and until when.

A token is `1.<claims>.<signature>`: base64url of a JSON list, and the first half of the HMAC-SHA256 over everything
before the last dot. 128 bits are more than anybody can try (NIST SP 800-107, 5.3.3: at least 32), and short enough for
a text message. The signature is compared as text, so that no second spelling of the same bytes is good.
"""

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass

VERSION = "1"  # another one refuses every link there is
SIGNATURE_BYTES = 16
LONGEST = 2000  # characters of a token; longer ones are refused unread

EVIDENCE, UNSUBSCRIBE = "evidence", "unsubscribe"


class BadLink(ValueError):
    """Not one of our links, or altered. The message says why, for the log: whoever sent it need not know."""


class Expired(BadLink):
    """One of our links, whose time is over."""


@dataclass(frozen=True)
class Claims:
    """What a link is good for.

    purpose : EVIDENCE or UNSUBSCRIBE.   subject : the case, or the site.   expires_s : seconds since 1970.
    to : whom it was sent to; "" for whoever has it.
    """

    purpose: str
    subject: str
    expires_s: int
    to: str = ""


def sign(key: bytes, claims: Claims) -> str:
    """The token, of characters that need no quoting in an address; the same for the same key and claims."""
    values = [claims.purpose, claims.subject, claims.expires_s, *([claims.to] if claims.to else [])]
    said = _text(json.dumps(values, separators=(",", ":")).encode())
    return f"{VERSION}.{said}.{_signature(key, said)}"


def read(keys: Sequence[bytes], token: str, *, now_s: float) -> Claims:
    """What a token says, if one of the keys signed it. Raises BadLink, or Expired once its time is over.

    keys : the present one, and the one before it while it was rotated a short time ago.
    """
    parts = token.split(".") if len(token) <= LONGEST and token.isascii() else []
    if len(parts) != 3 or parts[0] != VERSION:
        raise BadLink(f"found {len(token)} characters that are no token of version {VERSION}")
    _, said, signature = parts
    # Each key is tried, so that the time taken does not tell which one was nearer.
    good = [hmac.compare_digest(_signature(key, said), signature) for key in keys]
    if not any(good):
        raise BadLink("the signature is not ours")
    purpose, subject, expires_s, *to = json.loads(urlsafe_b64decode(said + "=" * (-len(said) % 4)))
    if now_s >= expires_s:
        raise Expired(f"a link of {purpose} {subject} was good until {expires_s}")
    return Claims(purpose, subject, expires_s, *to)


def _signature(key: bytes, said: str) -> str:
    return _text(hmac.new(key, f"telltale link {VERSION}.{said}".encode(), hashlib.sha256).digest()[:SIGNATURE_BYTES])


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")
