"""Amazon Monitron's exports: Kinesis v1 and v2, Firehose archives, the dump of a support ticket."""

import argparse

from cli.problem import Problem


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("place", nargs="+", metavar="FILE|FOLDER|s3://…", help="what to import")


def run(args: argparse.Namespace) -> int:
    raise Problem("telltale import monitron is being built")
