"""Finds the subcommand, imports only its module, runs it."""

import argparse
import importlib
import sys

from cli.deployment import trust
from cli.problem import Problem

COMMANDS = {
    "up": "run the whole system on this computer and watch it",
    "down": "stop it; --purge removes its data",
    "status": "what runs, what came in, states, cases, lag",
    "logs": "the functions' log lines",
    "doctor": "check this computer (and an AWS account) for what the commands need",
    "plant": "apply, check or show the plant file",
    "simulate": "publish captures of a simulated plant",
    "replay": "publish recordings as a sensor would",
    "query": "SQL on the lake",
    "cases": "list and explain cases",
    "orders": "work orders of the built-in logbook: list, acknowledge, close",
    "redrive": "send dead letters and pending orders round again",
    "quarantine": "list, show and replay records that could not be stored",
    "reconcile": "records in = stored + duplicate + quarantined",
    "deploy": "deploy to an AWS account",
    "destroy": "remove the deployment from an AWS account; the data stays unless asked",
    "diff": "what deploying would change",
    "bench": "measure the line",
    "test": "run the tests",
    "dictionary": "write docs/data-dictionary.md anew from the schema",
    "lock": "renew the pins from pyproject.toml",
}


READS_THE_LAKE = {"query", "quarantine", "reconcile"}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="telltale", description="Telltale opens a work order before the machine fails."
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    modules = {}
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary, description=summary)
        if name == chosen:
            if name in READS_THE_LAKE:
                trust()
            modules[name] = importlib.import_module(f"cli.{name}")
            subparser.description = modules[name].__doc__
            subparser.formatter_class = argparse.RawDescriptionHelpFormatter
            modules[name].add_arguments(subparser)
    arguments = parser.parse_args()
    try:
        return int(modules[arguments.command].run(arguments))
    except Problem as problem:
        print(f"telltale: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
