"""Whether a maintenance system will do what Telltale asks of it: tried, step by step, as the function does it."""

import base64
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from telltale.adapters.cmms.port import Cmms, Order, OrderRequest, Picture, Status, case_of
from telltale.core.closure import closure
from telltale.core.errors import CmmsRefused, RetryLater
from telltale.core.judgement import CaseChange
from telltale.core.order_text import About, BadTemplate, text
from telltale.core.plant import Position

TITLE = "Telltale check, please ignore"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/VscvDQAAAABJRU5ErkJggg=="
)
DONE = closure(failure_mode="NO_ISSUE", failure_cause="OTHER", action_taken="NO_ACTION", note="a check by Telltale")


@dataclass(frozen=True)
class Finding:
    """One thing that was tried. `good` is None where the system cannot tell."""

    what: str
    good: bool | None
    said: str


def credentials(cmms: Cmms) -> Finding:
    """Whether the system lets Telltale in and look for orders."""
    return _tried("credentials", lambda: "signed in, may look for orders" if cmms.find(_key()) is None else "odd")


def mapping(cmms: Cmms, assets: Collection[str]) -> Iterator[Finding]:
    """Whether the system knows each asset by the key that orders will name."""
    if not cmms.capabilities.assets:
        yield Finding("assets", None, f"{cmms.name} cannot be asked which assets it knows")
        return
    for key in assets:

        def known(key: str = key) -> str:
            name = cmms.asset(key)
            if name is None:
                raise CmmsRefused("not known there; set cmms_asset in the plant file, or the key in the system")
            return name

        yield _tried(f"asset {key}", known)


def dry_order(
    cmms: Cmms, position: Position, templates: Mapping[str, Any], *, asset: str, now_ms: int
) -> Iterator[Finding]:
    """Makes an order and does to it all that may come, up to cancelling it. Ends with the first step that fails.

    templates : the site's settings, whose `fields` the order gets.
    """
    key = _key()
    case = CaseChange(case_of(key), 1, "opened", now_ms, now_ms, "WARNING", "WARNING", "check", "", "a check")
    try:
        said = text(About(change=case, position=position, key=key), templates)
    except BadTemplate as wrong:
        yield Finding("templates", False, str(wrong))
        return
    request = OrderRequest(
        key=key,
        case_id=case_of(key),
        title=f"{TITLE} ({key})",
        description="Made by `telltale cmms check` to try credentials and rights. It is cancelled at once.",
        severity="WARNING",
        position=position.id,
        asset=asset,
        opened_ms=now_ms,
        fields=said.fields,
    )
    made: list[Order] = []

    def create() -> str:
        made.append(cmms.create(request))
        return f"order {made[0].ref}, {made[0].status} ({made[0].raw_status})"

    def read_back() -> str:
        if cmms.find(key) != made[0] or cmms.get(made[0].ref) != made[0]:
            raise CmmsRefused("it is not found again by its key, or reads otherwise than it was made")
        return "found by its key, reads as it was made"

    def update() -> str:
        order = cmms.update(made[0].ref, replace(request, severity="ALARM", title=f"{TITLE}: worse ({key})"))
        return f"shows {order.shows.get('title', 'what was written')!r}"

    def comment() -> str:
        cmms.comment(made[0].ref, "a comment of the check", key=f"check-{key}")
        return "commented"

    def attach() -> str:
        cmms.attach(made[0].ref, Picture("check.png", "image/png", PIXEL))
        return "a picture attached"

    def take_up() -> str:
        return _moved(cmms.set_status(made[0].ref, Status.IN_PROGRESS, by="telltale"))

    def cancel() -> str:
        return _moved(cmms.set_status(made[0].ref, Status.CANCELLED, by="telltale", closure=DONE))

    steps: list[tuple[str, Callable[[], str]]] = [("create", create), ("read back", read_back), ("update", update)]
    steps += [("comment", comment)] + ([("picture", attach)] if cmms.capabilities.attaches else [])
    for what, step in [*steps, ("take up", take_up)]:
        finding = _tried(what, step)
        yield finding
        if not finding.good:
            break
    if made:
        yield _tried("cancel", cancel)


def _moved(order: Order) -> str:
    return f"is {order.status} ({order.raw_status})"


def _tried(what: str, step: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, step())
    except (CmmsRefused, RetryLater) as error:
        return Finding(what, False, str(error))


def _key() -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(20))
