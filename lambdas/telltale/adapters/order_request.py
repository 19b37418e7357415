"""What a maintenance system is asked to make: a case and its place, in the words of core.order_text."""

import hashlib
import json
from base64 import b32encode
from collections.abc import Mapping, Sequence
from typing import Any

from telltale.adapters.cases import Case
from telltale.adapters.cmms.port import OrderRequest, order_key
from telltale.core.errors import CmmsRefused
from telltale.core.order_text import About, BadTemplate, Place, text
from telltale.core.plant import Position


def order_request(
    case: Case,
    position: Position,
    children: Sequence[Case] = (),
    templates: Mapping[str, Any] | None = None,
    **about: Any,
) -> OrderRequest:
    """What the technician reads: where, why, what it is, on what evidence, what to do about it, and where else.

    templates : the site's settings.   about : further fields of core.order_text.About. Raises CmmsRefused for a
    template that cannot be filled.
    """
    change, key = case.change, about.pop("key", None) or order_key(case.change.case_id)
    places = [Place(child.position, child.change) for child in children]
    it = About(change=change, position=position, key=key, children=places, **about)
    try:
        said = text(it, templates or {})
    except BadTemplate as wrong:
        raise CmmsRefused(f"site {case.site}: {wrong}") from wrong
    return OrderRequest(
        key=key,
        case_id=change.case_id,
        title=said.title,
        description=said.description,
        severity=it.severity,
        position=position.id,
        asset="" if it.no_asset else position.cmms_asset or position.asset,
        opened_ms=change.opened_ms,
        link=it.link,
        fields=said.fields,
    )


def key_of(case_id: str, opening: int) -> str:
    """The key of the case's order; of the one that follows it, where that cannot be opened again; and so on."""
    if not opening:
        return order_key(case_id)
    return b32encode(hashlib.sha256(f"{case_id}#{opening}".encode()).digest())[:20].decode()


def fingerprint(request: OrderRequest) -> str:
    """Equal for requests that read the same."""
    shown = json.dumps([request.title, request.description, request.severity])
    return hashlib.sha256(shown.encode()).hexdigest()[:16]
