"""What historian left."""

import argparse

from cli.problem import Problem


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("place", nargs="+", metavar="FILE|FOLDER|s3://…", help="what to import")


def run(args: argparse.Namespace) -> int:
    raise Problem("telltale import historian is being built")
