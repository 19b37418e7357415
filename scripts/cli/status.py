"""What runs and how it goes: captures, states, cases, orders, lag, rejected records."""

import argparse
import dataclasses
import json

from rich.console import Console

from cli import live
from cli.deployment import current
from cli.overview import look, percentile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the same as JSON")


def run(arguments: argparse.Namespace) -> int:
    now = look(current())
    if arguments.json:
        figures = {
            "publish_to_case_p50_s": percentile(now.case_lags_s, 50),
            "publish_to_case_p95_s": percentile(now.case_lags_s, 95),
        }
        print(json.dumps({**dataclasses.asdict(now), **figures}, default=list))
    else:
        Console().print(live.picture(now))
    return 0
