"""The picture of an overview in the terminal, for `up` and `status`."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text
from telltale.core.cases import OVER

from cli.listing import entry, moment, state
from cli.overview import Aggregates, Item, Overview, percentile

CASES_SHOWN = 8
TAGS_SHOWN = 8
RECENT_MS = 86_400_000  # before the last capture of the position: how long an alarm of a tag is shown
LINE_EVERY_S = 5.0


@contextmanager
def view(console: Console, *, transient: bool) -> Iterator[Callable[[Overview], None]]:
    """Yields the function to call with each new overview: a picture on a terminal, a line now and then elsewhere."""
    before: Overview | None = None
    said_at = 0.0
    screen = Live(console=console, auto_refresh=False, transient=transient) if console.is_terminal else nullcontext()
    with screen as live:

        def show(now: Overview) -> None:
            nonlocal before, said_at
            if live is not None:
                live.update(picture(now, before=before), refresh=True)
            elif time.monotonic() - said_at >= LINE_EVERY_S:
                console.print(in_a_line(now), soft_wrap=True)
                said_at = time.monotonic()
            before = now

        yield show


def in_a_line(now: Overview) -> str:
    """What matters most of an overview."""
    open_cases = sum(case["change"] not in OVER for case in now.cases)
    lag = percentile(now.lags_s, 50)
    return (
        f"captures {now.captures.records}, judged {now.features.stored}, rejected {now.captures.quarantined}, "
        f"open cases {open_cases}" + ("" if lag is None else f", lag {lag:.1f} s")
    )


def picture(now: Overview, *, before: Overview | None = None) -> RenderableType:
    """Counts, positions and cases; with an earlier overview, the rate since then."""
    parts: list[RenderableType] = [_counts(now, before), _positions(now)]
    if now.silent:
        parts.append(Text("silent: " + ", ".join(now.silent), style="yellow"))
    faulty = [f"{item['pk']}: {item['sensor_fault']}" for item in now.positions if "sensor_fault" in item]
    if faulty:
        parts.append(Text("sensor fault: " + "; ".join(faulty), style="yellow"))
    parts += [Text(line, style="yellow" if told else "dim") for line, told in tag_lines(now)]
    if now.aggregates:
        parts.append(Text(aggregates_line(now.aggregates), style="yellow" if now.aggregates.problem else "dim"))
    open_cases = [case for case in now.cases if case["change"] not in OVER]
    parts += [_case(case, now) for case in open_cases[-CASES_SHOWN:]]
    return Group(*parts)


def tag_lines(now: Overview) -> list[tuple[str, bool]]:
    """How many tags are watched, and the alarms of each position's last day; with whether it is an alarm."""
    tags = [tag for of_position in now.tags.values() for tag in of_position.values()]
    if not tags:
        return []
    learning = sum(tag["rows"] < tag["probation_rows"] for tag in tags)
    lines = [(f"tags watched: {len(tags)}, of which learning: {learning}", False)]
    heard_ms = {position: max(tag["t_ms"] for tag in of.values()) for position, of in now.tags.items() if of}
    recent = [
        (tag["alarm"]["t_ms"], f"tag: {position} {moment(tag['alarm']['t_ms'])} {tag['alarm']['words']}")
        for position, of_position in now.tags.items()
        for tag in of_position.values()
        if "alarm" in tag and heard_ms[position] - tag["alarm"]["t_ms"] <= RECENT_MS
    ]
    return lines + [(line, True) for _, line in sorted(recent)[-TAGS_SHOWN:]]


def aggregates_line(found: Aggregates) -> str:
    """Whether the daily aggregates show what the lake has, and if not, since when."""
    if found.since_ms is None:
        days = "every day is up to date" if found.ran_ms else "nothing yet"
    else:
        days = "1 day waits" if found.waiting == 1 else f"{found.waiting} days wait, the first"
        days += f" since {moment(found.since_ms)}"
    facts = [days, *([f"last run {moment(found.ran_ms)}"] if found.ran_ms else [])]
    return "daily aggregates: " + ", ".join(facts) + (f"; failed since: {found.problem}" if found.problem else "")


def _counts(now: Overview, before: Overview | None) -> Table:
    table = Table.grid(padding=(0, 2))
    captures, features = now.captures, now.features
    rate = ""
    if before is not None and now.t_ms > before.t_ms:
        rate = f"  ({(captures.records - before.captures.records) * 1000 / (now.t_ms - before.t_ms):.0f}/s)"
    lag = percentile(now.lags_s, 50)
    table.add_row("captures in", f"{captures.records}{rate}", "stored", str(captures.stored))
    table.add_row("feature rows judged", str(features.stored), "duplicate", str(captures.duplicate))
    table.add_row("lag", "–" if lag is None else f"{lag:.1f} s", "rejected", str(captures.quarantined))
    p50, p95 = percentile(now.case_lags_s, 50), percentile(now.case_lags_s, 95)
    if p50 is not None and p95 is not None:
        table.add_row("publish → case visible", f"p50 {p50:.1f} s, p95 {p95:.1f} s", "cases", str(len(now.cases)))
    return table


def _positions(now: Overview) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for heading in ("position", "state", "last capture"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "position")
    for item in now.positions:
        table.add_row(str(item["pk"]), state(str(item["state"])), moment(item["last_t_ms"]))
    return table


def _case(case: Item, now: Overview) -> RenderableType:
    facts = [str(case["pk"]), order_of(case), f"since {moment(case['opened_ms'])}"]
    facts += [f"shelved until {moment(case['until_ms'])}"] if case.get("until_ms") else []
    heard_ms = now.stale.get(str(case["position"]))
    facts += [] if heard_ms is None else [f"stale, last heard {moment(heard_ms)}"]
    return entry(str(case["severity"]), str(case["position"]), facts, case.get("reason"))


def order_of(case: Item) -> str:
    """The case's work order and how it stands, or whose order names it."""
    if case.get("parent"):
        return f"in the work order of {case['parent']}"
    return f"work order {case['order_ref']} {case['order_state']}" if case.get("order_ref") else "no work order yet"
