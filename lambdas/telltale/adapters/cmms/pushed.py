"""Messages of systems that cannot sign what they send: known by a password, good for nothing but a hint.

SAP Event Mesh and Maximo's HTTP handler send a user and a password with each message (RFC 7617) and no signature. What
such a message says is never believed: the order it names is read back. Not an adapter itself.
"""

import hmac
import json
from collections.abc import Mapping
from typing import Any

from telltale.adapters.cmms.oauth import basic
from telltale.adapters.cmms.port import Forged

USER = "telltale"  # whom the other system says it is


def trusted(headers: Mapping[str, str], password: str) -> None:
    """Raises Forged for a message that does not carry the password, and for any where none is set."""
    given = {name.lower(): value for name, value in headers.items()}.get("authorization", "")
    if not password or not hmac.compare_digest(given.encode(), basic(USER, password)["Authorization"].encode()):
        raise Forged(f"the message does not carry the password of user {USER!r}")


def document(body: bytes) -> Any:
    """The JSON of a message. Raises Forged where it is none."""
    try:
        return json.loads(body)
    except ValueError as error:
        raise Forged("the message is no JSON") from error
