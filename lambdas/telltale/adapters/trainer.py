"""Trains the model of an asset from the lake: the same for the function, for `telltale train` and for any machine.

What happened at its positions decides what is healthy: a case that a person resolved as true is abnormal from its
opening to its end, one that is still open is left out, and one without an issue was healthy.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf

from telltale.adapters.asset_history import AssetHistory
from telltale.adapters.cases import Cases
from telltale.adapters.models import Models, Outdated, Stored
from telltale.adapters.registry import Registry
from telltale.core import asset_model, tag_sources, tags, training
from telltale.core.plant import Asset, Plant
from telltale.core.training import Cost, Made, Range, Wish

DAY_S = 86_400.0
FALSE_ALARM = "NO_ISSUE"  # the closure code of a case that was none


class TooBig(Exception):
    """More than this machine is given: the message has the numbers, and what to do instead."""


class Nothing(ValueError):
    """There is nothing to train from; the message says what was looked for."""


@dataclass(frozen=True)
class Room:
    """What training may take here: bytes of memory, seconds until it is ended."""

    memory: float = inf
    seconds: float = inf


@dataclass(frozen=True)
class Span:
    """Rows to learn from, as two times; None: found in the last `Asset.days`."""

    from_s: float | None = None
    to_s: float | None = None


EVERYTHING = Span()


@dataclass(frozen=True, eq=False)
class Candidate:
    """A new version, which is not live yet."""

    stored: Stored
    made: Made


class Trainer:
    """Trains models of assets from one lake."""

    def __init__(
        self,
        *,
        models: Models,
        history: AssetHistory,
        registry: Registry,
        cases: Cases,
        now_ms: Callable[[], int],
    ) -> None:
        self._models, self._history = models, history
        self._registry, self._cases, self._now_ms = registry, cases, now_ms

    def train(
        self,
        asset: Asset,
        *,
        by: str,
        span: Span = EVERYTHING,
        labelled: Sequence[Range] = (),
        room: Room | None = None,
    ) -> Candidate:
        """A candidate of this asset, stored and judged by the gate; nothing is promoted.

        labelled : abnormal ranges beside those of the cases.   Raises Nothing, or TooBig where it does not fit `room`.
        """
        positions, longest_s = _positions(self._registry.plant(), asset)
        now_s = self._now_ms() / 1000
        every_s = asset.every_s or longest_s
        from_s = now_s - asset.days * DAY_S if span.from_s is None else span.from_s
        names = self._names(asset, positions, from_s, now_s)
        _check_fits(cost_of(asset, len(names), (now_s - from_s) / every_s), room or Room(), asset)
        reads = _with_off(names, asset.off)
        history = self._history.read(asset.id, reads, every_s=every_s, from_s=from_s, to_s=now_s).history
        true, still_open = self._cases_of(positions, now_s)
        wish = Wish(
            tags=names,
            every_s=every_s,
            off=asset.off,
            false_alarm_rows=asset.false_alarm_rows or asset_model.FALSE_ALARM_ROWS,
            labelled=(*labelled, *true),
            left_out=still_open,
            learn_s=None if span == EVERYTHING else (from_s, now_s if span.to_s is None else span.to_s),
        )
        rival, silent = self._rival(asset)
        history = _beside(history, rival, self._history, asset.id, every_s, from_s, now_s)
        try:
            made = training.make(
                history,
                wish,
                live=rival.model if rival else None,
                live_off=rival.off if rival else None,
                silent=silent,
            )
        except ValueError as error:
            raise Nothing(f"{asset.id}: {error}") from error
        return Candidate(self._models.add(asset.id, made, wish, by=by), made)

    def _rival(self, asset: Asset) -> tuple[Stored | None, bool]:
        """The live model, and whether there is one that cannot be read any more."""
        live = self._models.live(asset.id)
        try:
            return None if live is None else self._models.get(asset.id, live.version), False
        except Outdated:
            return None, True

    def _names(self, asset: Asset, positions: Sequence[str], from_s: float, to_s: float) -> tuple[str, ...]:
        """The tags to learn: those of the patterns that were ever sent."""
        found = self._history.sources(positions, from_s=from_s, to_s=to_s)
        names = tag_sources.chosen(found, asset.tags)
        if len(names) < 2:
            raise Nothing(
                f"{asset.id}: found {len(names)} tags in the lake that fit {', '.join(asset.tags) or 'the default'}, "
                "wanted two or more; a tag alone is judged as a stream"
            )
        return names

    def _cases_of(self, positions: Sequence[str], now_s: float) -> tuple[tuple[Range, ...], tuple[Range, ...]]:
        """Ranges of cases that were true, and of those that are still open."""
        true: list[Range] = []
        still_open: list[Range] = []
        for case in self._cases.all():
            change = case.change
            if case.position not in positions:
                continue
            if case.closed_ms is None:
                still_open.append((change.opened_ms / 1000, now_s))
            elif (change.closure or {}).get("failure_mode") != FALSE_ALARM:
                true.append((change.opened_ms / 1000, case.closed_ms / 1000))
        return tuple(sorted(true)), tuple(sorted(still_open))


def _positions(plant: Plant, asset: Asset) -> tuple[list[str], float]:
    """The positions of an asset, and the longest interval at which one of them sends."""
    here = [position for position in plant.positions.values() if position.asset == asset.id]
    if not here:
        raise Nothing(f"{asset.id}: found no position of this asset in the registry")
    return sorted(position.id for position in here), max(position.interval_s for position in here)


def cost_of(asset: Asset, count: int, rows: float) -> Cost:
    """What training takes, if the asset sent all the time."""
    return training.cost(round(rows), count)


def _check_fits(cost: Cost, room: Room, asset: Asset) -> None:
    if cost.memory > room.memory or cost.seconds > room.seconds:
        raise TooBig(
            f"{asset.id}: training takes about {cost.memory / 1e9:.1f} GB and {cost.seconds:.0f} s, this function has "
            f"{room.memory / 1e9:.1f} GB and {room.seconds:.0f} s: run `telltale train --asset {asset.id}` on a "
            "machine, or take fewer tags, longer intervals or less history"
        )


def _with_off(names: Iterable[str], off: str | None) -> tuple[str, ...]:
    """The tags, and the one that says whether the machine is off."""
    rule = None if off is None else tags.off_rule(off)
    return tuple(dict.fromkeys((*names, *((rule.tag,) if rule else ()))))


def _beside(
    history: training.History,
    rival: Stored | None,
    source: AssetHistory,
    asset: str,
    every_s: float,
    from_s: float,
    to_s: float,
) -> training.History:
    """The history with the tags that only the live model knows."""
    missing = () if rival is None else tuple(tag for tag in rival.tags if tag not in history.tags)
    if not missing:
        return history
    reads = (*history.tags, *missing)
    return source.read(asset, reads, every_s=every_s, from_s=from_s, to_s=to_s).history
