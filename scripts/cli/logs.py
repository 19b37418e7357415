"""The functions' log lines, newest last; of one function by a part of its name, or of all."""

import argparse
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from cli.deployment import current
from cli.problem import Problem

FOLLOW_EVERY_S = 2.0
MADE_BY_CDK = re.compile(r"Log[0-9A-F]{8}$")  # what stands after the function's own name in its log group's


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("function", nargs="?", default="", help="e.g. extract, commit, detect, orders, stale")
    parser.add_argument("--minutes", type=float, default=15.0, help="how far back (default: %(default)g)")
    parser.add_argument("--follow", "-f", action="store_true", help="go on until Ctrl-C")
    parser.add_argument("--errors", action="store_true", help="only lines with ERROR or a traceback")


def run(arguments: argparse.Namespace) -> int:
    logs = current().client("logs")
    groups = _groups(logs, arguments.function)
    since = int((time.time() - arguments.minutes * 60) * 1000)
    while True:
        lines = sorted((line for g in groups.values() for line in _lines(logs, g, since)), key=lambda line: line[0])
        for t_ms, group, text in lines:
            if not arguments.errors or "ERROR" in text or "Traceback" in text:
                print(f"{datetime.fromtimestamp(t_ms / 1000, UTC):%H:%M:%S} {group}  {text.rstrip()}")
        if not arguments.follow:
            return 0
        since = max([since, *(t_ms + 1 for t_ms, _, _ in lines)])
        time.sleep(FOLLOW_EVERY_S)


def _groups(logs: Any, part: str) -> dict[str, str]:
    """Log groups of Telltale's functions whose name contains `part`: short name → group."""
    pages = logs.get_paginator("describe_log_groups").paginate()
    known = {_short(g["logGroupName"]): g["logGroupName"] for page in pages for g in page["logGroups"]}
    known = {short: name for short, name in known.items() if "TelltaleLine" in name}
    wanted = part.replace("_", "").lower()
    found = {short: name for short, name in known.items() if wanted in short.lower()}
    if not found:
        raise Problem(f"no function is called {part!r}", f"there are: {', '.join(sorted(known)) or 'none yet'}")
    return found


def _short(group: str) -> str:
    name = group.rsplit("/", 1)[-1].removeprefix("TelltaleLine-").split("-")[0]
    return MADE_BY_CDK.sub("", name)


def _lines(logs: Any, group: str, since: int) -> Iterator[tuple[int, str, str]]:
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since)
    for page in pages:
        for event in page["events"]:
            yield event["timestamp"], _short(group), event["message"]
