"""What people answer on the evidence page: that they have it, or how it ended."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from telltale.core.closure import LISTS, closure_from

ACKNOWLEDGED, CLOSED = "acknowledged", "closed"
KINDS = (ACKNOWLEDGED, CLOSED)
MOST_NOTE, MOST_NAME = 2000, 100  # characters that are kept; a person types less


class BadReply(ValueError):
    """Not a reply; the message says what was found and what was wanted."""


@dataclass(frozen=True)
class Reply:
    """One answer. `closure` : of CLOSED, the codes.   id : made where the answer was given, so that it counts once."""

    kind: str
    by: str
    at_ms: int
    id: str
    closure: Mapping[str, str] | None = None

    @classmethod
    def of(cls, document: Any) -> Self:
        """The reply in a message. Raises BadReply."""
        if not isinstance(document, dict) or document.get("kind") not in KINDS:
            raise BadReply(f"reply is {document!r}, wanted an object whose kind is one of {', '.join(KINDS)}")
        by, at_ms, id_, codes = (document.get(name) for name in ("by", "at_ms", "id", "closure"))
        if not isinstance(at_ms, int) or not isinstance(id_, str) or not id_:
            raise BadReply(f"reply at {at_ms!r} with id {id_!r}, wanted milliseconds and a text")
        if document["kind"] == CLOSED and not isinstance(codes, dict):
            raise BadReply(f"closure is {codes!r}, wanted an object with {', '.join(LISTS)}")
        who = " ".join(str(by or "").split())[:MOST_NAME]
        codes = closure_from(codes).as_dict() if document["kind"] == CLOSED else None
        if codes is not None:
            codes = {**codes, "note": codes["note"][:MOST_NOTE]}
        return cls(document["kind"], who or "somebody with the link", at_ms, id_, codes)

    def as_text(self) -> str:
        """The same for the same reply."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """What `as_text` made."""
        return cls(**json.loads(text))
