"""Records that could not be stored: list them, look at one, send them round again.

  telltale quarantine list [--reason R] [--all]   those not replayed yet, newest first; --all: also replayed ones
  telltale quarantine show ID [--out FILE]        why, from whom, and the bytes
  telltale quarantine replay ID…                  put them on their stream again, once the cause is gone
  telltale quarantine replay --reason R           all that were set aside for this reason

ID may be shortened to its last characters.
"""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from telltale.core.errors import Reason

from cli.deployment import Deployment, current
from cli.importing import PREFIX
from cli.problem import Problem
from cli.set_aside import Entry, entries, put_again, with_bytes

SHOWN = 50  # entries of a list
SHOWN_BYTES = 2000  # of a payload


def add_arguments(parser: argparse.ArgumentParser) -> None:
    reasons = [str(reason) for reason in Reason]
    parser.set_defaults(action="list", reason=None, all=False)
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    listing = actions.add_parser("list", help="which there are")
    listing.add_argument("--reason", choices=reasons, metavar="R", help=", ".join(reasons))
    listing.add_argument("--all", action="store_true", help="also those that were replayed")
    show = actions.add_parser("show", help="one of them, with its bytes")
    show.add_argument("id", metavar="ID", help="its last characters are enough")
    show.add_argument("--out", type=Path, metavar="FILE", help="write the bytes there")
    replay = actions.add_parser("replay", help="send them round again")
    replay.add_argument("id", nargs="*", metavar="ID", help="their last characters are enough")
    replay.add_argument("--reason", choices=reasons, metavar="R", help="all of this reason")


def run(args: argparse.Namespace) -> int:
    deployment = current()
    found = entries(deployment)
    if args.action == "show":
        _show(with_bytes(deployment, [find(found, args.id)])[0], args.out)
    elif args.action == "replay":
        _replay(deployment, chosen(found, args.id, args.reason))
    else:
        _list([entry for entry in _of_reason(found, args.reason) if args.all or entry.outcome is None])
    return 0


def find(found: Sequence[Entry], ending: str) -> Entry:
    """The one entry whose id is, or ends like, this; Problem if there is none or more than one."""
    exact = [entry for entry in found if entry.id == ending]
    close = exact or [entry for entry in found if entry.id.endswith(ending)]
    if not close:
        raise Problem(f"no quarantined record ends with {ending!r}", "`telltale quarantine list --all` shows them.")
    if len(close) > 1:
        raise Problem(f"{len(close)} quarantined records end with {ending!r}", "Give more of the ID.")
    return close[0]


def chosen(found: Sequence[Entry], ids: Sequence[str], reason: str | None) -> list[Entry]:
    """What to replay: the entries named, or those of a reason that were not replayed yet."""
    if bool(ids) == bool(reason):
        raise Problem("say what to replay", "Give IDs, or --reason R for all of a reason.")
    if reason:
        return [entry for entry in _of_reason(found, reason) if entry.outcome is None]
    return [find(found, ending) for ending in ids]


def _of_reason(found: Sequence[Entry], reason: str | None) -> list[Entry]:
    return [entry for entry in found if reason in (None, entry.reason)]


def _list(found: list[Entry]) -> None:
    if not found:
        print("nothing in quarantine")
        return
    table = Table(Column("id", overflow="fold"), "received", "reason", "from", "what", "replayed")
    newest = sorted(found, key=lambda entry: entry.received_ms, reverse=True)
    for entry in newest[:SHOWN]:
        sender = "/".join(filter(None, (entry.gateway, entry.sensor)))
        cells = (entry.id, _time(entry.received_ms), entry.reason, sender, entry.detail, entry.outcome or "")
        table.add_row(*map(escape, cells))
    Console().print(table)
    if len(found) > SHOWN:
        print(f"and {len(found) - SHOWN} older ones")


def _show(entry: Entry, out: Path | None) -> None:
    payload = entry.payload or b""
    facts = {
        "received": f"{_time(entry.received_ms)} UTC",
        "reason": entry.reason,
        "detail": entry.detail,
        "topic": entry.topic,
        "gateway": entry.gateway,
        "sensor": entry.sensor,
        "replayed": entry.outcome,
        "bytes": str(len(payload)),
    }
    print("\n".join([entry.id, *(f"  {name:9} {fact}" for name, fact in facts.items() if fact)]))
    if out is not None:
        out.write_bytes(payload)
        print(f"  written to {out}")
    else:
        print(_readable(payload))


def _readable(payload: bytes) -> str:
    """The beginning: text as text, anything else as hexadecimal."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return payload[:SHOWN_BYTES].hex(" ")
    shows = all(letter.isprintable() or letter in "\r\n\t" for letter in text)
    return text[:SHOWN_BYTES] if shows else payload[:SHOWN_BYTES].hex(" ")


def _replay(deployment: Deployment, found: list[Entry]) -> None:
    puttable = [entry for entry in found if entry.outcome is None and entry.replayable]
    records = put_again(deployment, with_bytes(deployment, puttable))
    print(f"{records} records of {len(puttable)} entries put on their streams again")
    for entry in found:
        if entry not in puttable:
            why = f"it was replayed before and is {entry.outcome}" if entry.outcome else entry.detail
            if entry.id.startswith(PREFIX):
                why += " (it was imported: mend the file, and import it again)"
            print(f"left out {entry.id}: {why}")


def _time(t_ms: int) -> str:
    return f"{datetime.fromtimestamp(t_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"
