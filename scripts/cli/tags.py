"""Tags that are watched as streams: what each has learned, what it told last, and what its history would have told.

  telltale tags                                     every tag of every position
  telltale tags POSITION                            those of one
  telltale tags POSITION --replay                   the lake's captures through the same streams, beside what was told
  telltale tags POSITION --replay --probation 300   all of history, with another probation

The plant file says which tags are watched (`streams`, docs/plant.md); docs/streams.md what an alarm is worth.
"""

import argparse
import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Any

from rich.console import RenderableType
from telltale.adapters.registry import Registry
from telltale.adapters.states import States
from telltale.core import tag_streams
from telltale.core.backtest import READ
from telltale.core.judgement import Row
from telltale.core.plant import Position
from telltale.core.streams import LEAST_PROBATION
from telltale.core.tag_streams import EVERY_TAG, INDICATORS, PROBATION_ROWS, Alarm, Tag

from cli import history, listing
from cli.deployment import Deployment, current
from cli.listing import moment
from cli.problem import Problem
from cli.tables import committed, pending, rows_of

FAR = 0.55  # a score beyond which alarms are rare (docs/streams.md)
WRITTEN = ("position", "t", "tag", "is_anomaly", "is_changepoint")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("position", nargs="?", metavar="POSITION", help="its path: site/area/asset/position")
    parser.add_argument("--replay", action="store_true", help="take the lake's history through the streams")
    parser.add_argument("--probation", type=_probation, metavar="ROWS", help="with --replay: rows to learn from")
    parser.add_argument("--json", action="store_true", help="all of it, for programs")


def _probation(text: str) -> int:
    if not text.isdecimal() or int(text) < LEAST_PROBATION:
        raise argparse.ArgumentTypeError(f'found "{text}", wanted a number of rows from {LEAST_PROBATION}')
    return int(text)


def run(args: argparse.Namespace) -> int:
    if args.probation and not args.replay:
        raise Problem("--probation is for --replay", "Live, the plant file says how many rows a tag learns from.")
    if args.replay and args.position is None:
        raise Problem("--replay wants a POSITION")
    deployment = current()
    dynamodb = deployment.client("dynamodb")
    positions = Registry(dynamodb, deployment.outputs["RegistryTable"]).plant().positions
    watched = [name for name, position in sorted(positions.items()) if position.streams]
    if args.position is not None:
        watched = [_known(args.position, positions)]
    held = {
        name: found.tags for name, found in States(dynamodb, deployment.outputs["StatesTable"]).tags(watched).items()
    }
    if args.replay:
        return _replay(deployment, positions[watched[0]], held.get(watched[0], {}), args)
    if args.json:
        print(json.dumps({name: _plain(tags) for name, tags in held.items()}))
    elif not watched:
        print("no tag is watched: name some in the plant file (streams)")
    else:
        listing.show(entry for name in watched for entry in _entries(positions[name], held.get(name, {})))
    return 0


def _known(name: str, positions: Mapping[str, Position]) -> str:
    if name not in positions:
        near = difflib.get_close_matches(name, positions, n=1, cutoff=0.3)
        raise Problem(
            f"no position {name}", f"Did you mean {near[0]}?" if near else "`telltale plant show` lists them."
        )
    if not positions[name].streams:
        raise Problem(f"no tag of {name} is watched", "Name some in the plant file: streams, docs/plant.md.")
    return name


def _plain(tags: Mapping[str, Tag]) -> dict[str, Any]:
    return {name: {"state": tag.state, **tag.summary()} for name, tag in tags.items()}


def _entries(position: Position, tags: Mapping[str, Tag]) -> list[RenderableType]:
    silent = sorted(position.streams.keys() - tags.keys() - {EVERY_TAG})
    entries = [_entry(f"{position.id} {name}", tag) for name, tag in sorted(tags.items())]
    return entries + [listing.entry("silent", f"{position.id} {name}", ["no value yet"], None) for name in silent]


def _entry(title: str, tag: Tag) -> RenderableType:
    facts = [
        f"{tag.value:.4g} at {moment(tag.t_ms)}",
        tag.state,
        f"{tag.stream.rows} rows since {moment(tag.since_ms)}",
    ]
    facts += [f"level changed {moment(tag.change.t_ms)}"] if tag.change else []
    said = f"last alarm {moment(tag.alarm.t_ms)}, score {tag.alarm.score:.2f}: {tag.alarm.words}" if tag.alarm else None
    return listing.entry(tag.state.split()[0][:7], title, facts, said)


# ---- on history ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Replay:
    """One tag on history. only_written, only_replayed : times (ms) of what one of both told; None: not compared."""

    tag: str
    rows: int
    alarms: Sequence[Alarm]
    only_written: Sequence[int] | None = None
    only_replayed: Sequence[int] | None = None


def replayed(rows: Sequence[Row], held: Mapping[str, Tag], *, written: Sequence[Mapping[str, Any]]) -> list[Replay]:
    """Each tag that is watched live, from its first row on, beside what the line wrote of it."""
    found = []
    for name, tag in sorted(held.items()):
        since = [row for row in rows if row.t_ms >= tag.since_ms]
        one = _alone(name, since, tag.stream.probation)
        last_ms = max((row.t_ms for row in since if tag_streams.values(row, {name: PROBATION_ROWS})), default=-1)
        lived = {_key(row["t"], row) for row in written if row["tag"] == name and tag.since_ms <= row["t"] <= last_ms}
        again = {(alarm.told.t_ms, alarm.is_anomaly, alarm.is_changepoint) for alarm in one.alarms}
        found.append(Replay(name, one.rows, one.alarms, _times(lived - again), _times(again - lived)))
    return found


def tried(rows: Sequence[Row], streams: Mapping[str, int], *, probation: int) -> list[Replay]:
    """Each tag that a position's `streams` ask for, on all of history."""
    wanted = dict.fromkeys(streams, probation)
    names = sorted({name for row in rows for name in tag_streams.values(row, wanted)})
    return [_alone(name, rows, probation) for name in names]


def _alone(name: str, rows: Sequence[Row], probation: int) -> Replay:
    tags, alarms = tag_streams.watch({}, rows, wanted={name: probation})
    return Replay(name, tags[name].stream.rows if name in tags else 0, alarms)


def _key(t_ms: int, row: Mapping[str, Any]) -> tuple[int, bool, bool]:
    return t_ms, row["is_anomaly"], row["is_changepoint"]


def _times(told: set[tuple[int, bool, bool]]) -> list[int]:
    return sorted({t_ms for t_ms, _, _ in told})


def _replay(deployment: Deployment, position: Position, held: Mapping[str, Tag], args: argparse.Namespace) -> int:
    unread = sorted(name for name in position.streams if name in INDICATORS and name.split("/")[1] not in READ)
    if unread:
        raise Problem(f"history is not read for {', '.join(unread)}", "Query the table `features`, and score the file.")
    [kept] = history.kept(history.Lake(deployment, to_ms=inf), [position.id], ("captures", "features", "readings"))
    rows = kept.rows()
    if not rows:
        raise Problem(f"the lake has no captures of {position.id}", "Rows appear there within minutes.")
    if args.probation:
        told = tried(rows, position.streams, probation=args.probation)
    else:
        told = replayed(rows, held, written=_written(deployment, position.id))
    if args.json:
        print(json.dumps([_replay_plain(one) for one in told]))
    else:
        print("\n".join(line for one in told for line in lines(one)) or "no row of a tag that is watched")
    return 0


def _written(deployment: Deployment, position: str) -> list[dict[str, Any]]:
    """What the line wrote in `tag_alarms`, what is on its way there too; times in ms."""
    on_the_way = rows_of(deployment, pending(deployment), "tag_alarms", WRITTEN)
    rows = [*committed(deployment, "tag_alarms", WRITTEN, f"position = '{position}'"), *on_the_way]
    return [{**row, "t": round(row["t"].timestamp() * 1000)} for row in rows if row["position"] == position]


def lines(one: Replay) -> list[str]:
    alarms = [alarm for alarm in one.alarms if alarm.is_anomaly]
    far = sum(alarm.told.score > FAR for alarm in alarms)
    changes = len(one.alarms) - len(alarms) + sum(alarm.is_changepoint for alarm in alarms)
    counts = f"alarms: {len(alarms)}, of which {far} with a score above {FAR}; changes of level: {changes}"
    lines = [f"{one.tag}: {one.rows} rows; {counts}"]
    lines += [
        f"  {moment(alarm.told.t_ms)}  {alarm.told.score:.2f}  {_kind(alarm)}{alarm.told.words}" for alarm in one.alarms
    ]
    if one.only_written is None or one.only_replayed is None:
        return lines
    if not one.only_written and not one.only_replayed:
        return [*lines, "  the line told the same"]
    lines += [f"  {moment(t_ms)}: the line told it, the replay does not" for t_ms in one.only_written]
    return lines + [f"  {moment(t_ms)}: the replay tells it, the line did not" for t_ms in one.only_replayed]


def _kind(alarm: Alarm) -> str:
    return "" if alarm.is_anomaly else "level changed: "


def _replay_plain(one: Replay) -> dict[str, Any]:
    told = [
        {**asdict(alarm.told), "is_anomaly": alarm.is_anomaly, "is_changepoint": alarm.is_changepoint}
        for alarm in one.alarms
    ]
    return {
        "tag": one.tag,
        "rows": one.rows,
        "alarms": told,
        "only_written_ms": one.only_written,
        "only_replayed_ms": one.only_replayed,
    }
