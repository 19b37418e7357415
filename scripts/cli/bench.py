"""Measure: the line, the signal core, the diagnosis. Each prints its figures and can write them as one flat object."""

import argparse
import importlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BENCHES = {
    "line": "loss and doubles under failures; publish to case",
    "lake": "writing, compaction, queries and commits of a lake; loss and doubles under deaths; imports",
    "work-orders": "one order a case in a real Odoo and the logbook, under deaths, races, outages and forgeries",
    "features": "time of the routine and the diagnostic set, as ratios to an FFT in the same run",
    "diagnosis": "faults named in recordings with labels",
    "confusion": "faults named on simulated machines, and what a confidence is worth",
    "detection": "all of detection beside what is published: IMS, FEMTO, SKAB, TEP, BATADAL, NAB, simulated, speed",
    "rtf": "run to failure: leads, false alarms, left-out bearings; cases on healthy machines, simulated",
    "repairs": "whether the rows after a repair tell if it was one, on simulated machines",
    "rates": "whether the rate of false cases that is asked for is the rate that comes, on simulated plants",
    "streams": "streams of one tag: scores on labelled ones, false alarms on simulated ones",
    "backtest": "time to replay 90 days of one position, and of a thousand",
    "prognosis": "how often the interval of a forecast holds the truth, on simulated trends and on recorded lives",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    benches = parser.add_subparsers(dest="bench", required=True, metavar="BENCH")
    chosen = [name for name in BENCHES if name in sys.argv] or list(BENCHES)
    for name, summary in BENCHES.items():
        bench = benches.add_parser(name, help=summary)
        if name in chosen:  # the others stay unimported: Arrow may only come once the local AWS has its certificate
            bench.description = _module(name).__doc__
            _module(name).add_arguments(bench)
            bench.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, one flat object")


def run(arguments: argparse.Namespace) -> int:
    module = _module(arguments.bench)
    figures = module.figures(arguments)
    show = getattr(module, "show", shown)
    show(figures)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures) + "\n")
    return 1 if module.failed(figures) else 0


def shown(figures: Mapping[str, Any]) -> None:
    """The figures of a bench that does not show them itself."""
    for name, value in figures.items():
        print(f"{name:24} {value}")


def _module(bench: str) -> Any:
    return importlib.import_module(f"cli.bench_{bench.replace('-', '_')}")
