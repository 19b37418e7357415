"""What an order shows: made, kept up to date, and never over what a person wrote.

After each write the ledger keeps a digest of what the system then showed in each field. A field that shows something
else at the next look was changed by a person; it is theirs for good, and what is new goes into a comment.
"""

import hashlib
import html
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence

from telltale.adapters.cases import Case
from telltale.adapters.cmms.port import (
    DESCRIPTION,
    FIELDS,
    Cmms,
    CmmsDenied,
    Order,
    OrderRequest,
    Picture,
    UnknownAsset,
)
from telltale.adapters.ledger import Ledger, Stage
from telltale.adapters.order_job import Job
from telltale.adapters.order_request import fingerprint, key_of, order_request
from telltale.core.errors import CmmsRefused, RetryLater
from telltale.core.persistence import LEVELS
from telltale.core.plant import Position

# How often an order is written anew; a rise in severity is, at once. Guesses: once an hour is what a person can still
# follow, and a bulk outage gathers its machines within minutes.
UPDATE_MS, GATHER_MS = 3_600_000, 10 * 60_000
PICTURE_LATE_MS, PICTURE_AGAIN_MS = 15 * 60_000, 2 * 60_000  # a picture is drawn after its case is known (guess)
ASSET_AGAIN_MS = 30 * 86_400_000  # until a person is told again of an asset that is not known (guess)


class Writing:
    """Writes orders.

    link : the evidence page of a case, "" where there is none.   picture : the PNG at a key of the lake's bucket, None
    while there is none.   notify : tells a person (subject, text).   refused : tells of a refusal.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        link: Callable[[Case], str],
        picture: Callable[[str], bytes | None],
        notify: Callable[[str, str], None],
        refused: Callable[[Case, CmmsRefused], None],
    ) -> None:
        self._ledger, self._link, self._picture = ledger, link, picture
        self._notify, self._refused = notify, refused

    def make(self, job: Job, system: Cmms, position: Position, children: Sequence[Case]) -> Order:
        """Makes the order; without its asset, where that is all that stands in the way."""
        try:
            order, request = self._created(job, system, position, children)
        except UnknownAsset as unknown:
            job.set(no_asset=unknown.asset)
            self._tell_of(job.case, unknown)
            order, request = self._created(job, system, position, children)
        self.known(job, order)
        job.set(named=len(children))
        job.shows = request
        self._add_picture(job, system, order)
        return order

    def known(self, job: Job, order: Order) -> None:
        """The case's order was made, or found: from now on what it shows is what Telltale wrote."""
        job.set(stage=Stage.OPEN, ref=order.ref, problem="", wrote=_digests(order.shows))
        self._ledger.belongs(job.case.site, order.ref, job.case_id)

    def show(self, job: Job, system: Cmms, position: Position, children: Sequence[Case], order: Order) -> Order:
        """The order, showing what the case says now, as far as it is Telltale's to write and as often as it may."""
        request = self._request(job, system, position, children)
        wanted, entry = fingerprint(request), job.entry
        if order.status.final:
            return order
        held = self._held(job, order, request)
        if entry.shown in (wanted, ""):  # "": the ledger was lost, so that nobody knows who wrote what
            job.set(shown=wanted)
            job.shows = None if entry.problem else request
            self._add_picture(job, system, order)
            return order
        seen = job.told.seen if job.told else None
        rises = seen is not None and seen.severity in LEVELS and _level(request.severity) > _level(seen.severity)
        may_ms = entry.updated_ms + (GATHER_MS if len(children) != entry.named else UPDATE_MS)
        if not rises and job.now_ms < may_ms:
            job.look_at(may_ms)
            return order
        is_news = seen is None or (seen.title, seen.severity) != (request.title, request.severity)
        key = f"{job.case_id}-{job.case.change.revision}" + (f"-{len(children)}" if children else "")
        job.write(writing=1)
        try:
            fields = [name for name in FIELDS if name not in held]
            if fields:
                order = system.update(order.ref, self._with_stock(job, system, position, children), fields)
                job.set(wrote=_digests(order.shows, fields, entry.wrote))
            if is_news:
                system.comment(order.ref, _news(request, held), key=key)
        except CmmsRefused as refusal:
            self._refused(job.case, refusal)
            job.set(shown=wanted, problem=str(refusal), writing=0, updated_ms=job.now_ms)
            return order
        job.set(shown=wanted, problem="", writing=0, updated_ms=job.now_ms, named=len(children))
        job.shows = request
        self._add_picture(job, system, order)
        return order

    def _created(
        self, job: Job, system: Cmms, position: Position, children: Sequence[Case]
    ) -> tuple[Order, OrderRequest]:
        request = self._request(job, system, position, children)
        # Raises if the lease was lost, since then another may have made it. What is asked for is written down first, so
        # that an order that is found later is known to show it.
        job.claim(stage=Stage.PENDING, begun=1, shown=fingerprint(request))
        return system.create(self._with_stock(job, system, position, children)), request

    def _request(
        self, job: Job, system: Cmms, position: Position, children: Sequence[Case], stock: str = ""
    ) -> OrderRequest:
        entry, case = job.entry, job.case
        return order_request(
            case,
            position,
            children,
            job.site.cmms_settings if job.site else {},
            key=key_of(job.case_id, entry.opening),
            link=self._link(case),
            asks=not system.capabilities.codes,
            stock=stock,
            no_asset=entry.no_asset,
            follows=f"order {entry.earlier}, which cannot be opened again" if entry.earlier else "",
        )

    def _with_stock(self, job: Job, system: Cmms, position: Position, children: Sequence[Case]) -> OrderRequest:
        """The request with how many of the part there are: told where an order is written, and no reason to write."""
        return self._request(job, system, position, children, stock=_stock(system, position.spare_part))

    def _held(self, job: Job, order: Order, request: OrderRequest) -> Collection[str]:
        """The fields that are a person's."""
        if job.entry.merged:
            return FIELDS
        wrote: Mapping[str, str] = json.loads(job.entry.wrote or "{}")
        changed = {name for name, digest in wrote.items() if _digest(order.shows.get(name, "")) != digest}
        if changed and job.entry.writing and _reads_like(order, request):
            # A write whose answer got lost: what it shows is what was to be written.
            job.set(wrote=_digests(order.shows), writing=0)
            changed = set()
        held = sorted(changed.union(job.entry.held.split()))
        job.set(held=" ".join(held))
        return held

    def _add_picture(self, job: Job, system: Cmms, order: Order) -> None:
        """Adds the picture of what was seen, and another when the severity has risen. Its lack holds up nothing."""
        change, pictured = job.case.change, job.entry.pictured
        key = change.evidence.get("picture")
        if not key or not system.capabilities.attaches or order.status.final:
            return
        if pictured and _level(change.severity) <= _level(pictured):
            return
        data = self._picture(str(key).removesuffix(".svg") + ".png")
        if data is None:
            if job.now_ms - job.case.changed_at < PICTURE_LATE_MS:
                job.look_at(job.now_ms + PICTURE_AGAIN_MS)
            return
        name = "-".join(str(key).removesuffix(".svg").split("/")[1:]) + ".png"
        try:
            system.attach(order.ref, Picture(name, "image/png", data))
        except (CmmsRefused, CmmsDenied):
            pass  # the order has the link
        except RetryLater:
            return
        job.set(pictured=change.severity)

    def _tell_of(self, case: Case, unknown: UnknownAsset) -> None:
        if self._ledger.first(f"asset#{case.site}#{unknown.asset}", within_ms=ASSET_AGAIN_MS):
            self._notify(
                f"Asset not known to the maintenance system: {unknown.asset}",
                f"The maintenance system of site {case.site} does not know the asset {unknown.asset!r} of "
                f"{case.position}. Its orders are made without it, and say so.\n\nIt said: {unknown}\n\n"
                "Make the asset there, or set `cmms_asset` of the position in the plant file.",
            )


def _news(request: OrderRequest, held: Collection[str]) -> str:
    return f"{request.title}\n\n{request.description}" if DESCRIPTION in held else request.title


def _stock(system: Cmms, part: str | None) -> str:
    """How many of the part there are, in words; "" where nobody can tell. It holds up nothing."""
    if not part or not system.capabilities.stock:
        return ""
    try:
        found = system.stock(part)
    except (CmmsRefused, RetryLater):
        return ""
    return f"{found.quantity:g} in stock{found.where and f' at {found.where}'}" if found else "not in stock lists"


def _level(severity: str) -> int:
    return LEVELS.index(severity)


def _digest(shown: str) -> str:
    return hashlib.sha256(shown.encode()).hexdigest()[:16]


def _digests(shows: Mapping[str, str], fields: Collection[str] = FIELDS, before: str = "") -> str:
    """Of what these fields show, over what was kept before, as JSON."""
    kept = json.loads(before or "{}")
    return json.dumps({**kept, **{name: _digest(shows[name]) for name in fields if name in shows}})


def _reads_like(order: Order, request: OrderRequest) -> bool:
    """The order shows the texts of the request, whatever the system made of their form and length."""
    wanted = {"title": request.title, "description": request.description}
    pairs = [(_words(order.shows[name]), _words(text)) for name, text in wanted.items() if order.shows.get(name)]
    return bool(pairs) and all(one.startswith(two) or two.startswith(one) for one, two in pairs)


def _words(shown: str) -> str:
    return re.sub(r"\W+", "", html.unescape(re.sub(r"<[^>]*>|\[tt:[^\]]*\]", " ", shown))).lower()
