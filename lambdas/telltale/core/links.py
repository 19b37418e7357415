"""Signed links: what a page may show to whoever has its address, and until when.

A token is `1.<claims>.<signature>`: base64url of the packed claims, and the first half of the HMAC-SHA256 over
everything before the last dot. 128 bits are more than anybody can try (NIST SP 800-107, 5.3.3: at least 32). The
signature is compared as text, so that no second spelling of the same bytes is good. The link of a case has 52
characters behind the page's address, so that it goes into one text message with a few words.
"""

import hashlib
import hmac
import re
from base64 import b32decode, b32encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass

VERSION = "1"  # another one refuses every link there is
SIGNATURE_BYTES = 16
LONGEST = 2000  # characters of a token; longer ones are refused unread

EVIDENCE, UNSUBSCRIBE = "evidence", "unsubscribe"

EXPIRES_BYTES = 6
CASE = re.compile(r"case-[a-z2-7]{20}")  # core.cases.case_id
CASE_LETTERS, CASE_BYTES = 20, 13  # of base32, and of the 100 bits that they spell
BETWEEN = b"\xff"  # in no UTF-8


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
    said = _text(_packed(claims))
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
    claims = _unpacked(urlsafe_b64decode(said + "=" * (-len(said) % 4)))
    if now_s >= claims.expires_s:
        raise Expired(f"a link of {claims.purpose} {claims.subject} was good until {claims.expires_s}")
    return claims


def _packed(claims: Claims) -> bytes:
    """The purpose's first letter, when it ends, the subject and whom it was sent to, as UTF-8 with a byte between them
    that it has not. A case is the 13 bytes that its id spells, after a capital letter.
    """
    letter, ends = claims.purpose[0], claims.expires_s.to_bytes(EXPIRES_BYTES, "big")
    if CASE.fullmatch(claims.subject):
        case = b32decode(claims.subject.removeprefix("case-").upper() + "AAAA")[:CASE_BYTES]
        return letter.upper().encode() + ends + case + claims.to.encode()
    return letter.encode() + ends + claims.subject.encode() + BETWEEN + claims.to.encode()


def _unpacked(packed: bytes) -> Claims:
    """What `_packed` packed."""
    letter, rest = packed[:1].decode(), packed[1 + EXPIRES_BYTES :]
    purpose = next(one for one in (EVIDENCE, UNSUBSCRIBE) if one[0] == letter.lower())
    expires_s = int.from_bytes(packed[1 : 1 + EXPIRES_BYTES], "big")
    if letter.isupper():
        spelled = b32encode(rest[:CASE_BYTES]).decode()[:CASE_LETTERS].lower()
        return Claims(purpose, f"case-{spelled}", expires_s, rest[CASE_BYTES:].decode())
    subject, _, to = rest.partition(BETWEEN)
    return Claims(purpose, subject.decode(), expires_s, to.decode())


def _signature(key: bytes, said: str) -> str:
    return _text(hmac.new(key, f"telltale link {VERSION}.{said}".encode(), hashlib.sha256).digest()[:SIGNATURE_BYTES])


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")
