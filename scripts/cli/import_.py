"""Bring history into the lake: from Amazon Monitron, Lookout for Equipment, or a historian.

telltale import monitron FILE|FOLDER|s3://… --dry-run
telltale import lookout FOLDER
telltale import historian FILE --mapping FILE

It reads everything as a stream, refuses what it cannot store by file and line, and goes on where it was when it is run
again. in = stored + duplicate + quarantined, and what could not be carried is counted. Nothing that is imported alerts.
"""

import argparse
import importlib

KINDS = {
    "monitron": "Amazon Monitron: Kinesis exports v1 and v2, Firehose archives, the dump of a support ticket",
    "lookout": "Amazon Lookout for Equipment: data, labels, off-times, inference results, model metrics",
    "historian": "a historian's CSV or Parquet, long or wide, by a mapping file",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    for kind, summary in KINDS.items():
        module = importlib.import_module(f"cli.import_{kind}")
        module.add_arguments(kinds.add_parser(kind, help=summary, description=module.__doc__))


def run(args: argparse.Namespace) -> int:
    return int(importlib.import_module(f"cli.import_{args.kind}").run(args))
