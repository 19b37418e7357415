"""Finds the subcommand, imports only its module, runs it."""

import difflib
import errno
import importlib
import keyword
import os
import sys
from types import ModuleType

import botocore.exceptions

from cli.arguments import Parser
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
    "features": "condition indicators of recordings: .npz, .wav, .csv, .parquet",
    "score": "anomaly scores of any table over time: one tag or many",
    "train": "learn what is normal for an asset with many tags, from files or from the lake",
    "model": "models of assets: list, show, promote, roll back, export",
    "diagnose": "what recordings say of a machine, with the evidence for and against",
    "watch": "when run-to-failure recordings would have been warned of",
    "backtest": "try settings, limits or a machine class on history before they are saved",
    "tune": "settings for the rate of false cases that you ask for, from the plant's own history",
    "shadow": "a candidate beside the live settings, with a scorecard; then promote or stop it",
    "forecast": "when an indicator reaches a limit, as an interval, or that it cannot be said",
    "query": "SQL on the lake",
    "lake": "the lake's tables: how they stand; maintain them now",
    "import": "bring history in: from Amazon Monitron, Lookout for Equipment, or a historian",
    "export": "take data out: as Monitron's or Lookout's consumers read it, or all of it with a manifest",
    "explain": "why a case was opened, made again from stored bytes; finds any that was changed",
    "tags": "tags watched as streams: what each has learned and told, and history replayed",
    "cases": "list and explain cases; shelve them, or positions, for a time",
    "scorecard": "false alarms, missed faults, lead and repair times, by asset, rule, month or site",
    "orders": "work orders of the built-in logbook: list, acknowledge, close",
    "cmms": "maintenance systems: which there are, whether a site's takes orders, its secrets",
    "links": "links to the evidence page: make one, renew their key, revoke them",
    "notices": "who is told of cases: addresses, tests, quiet, and what was sent",
    "modes": "operating modes of a position: what is normal in each",
    "relearn": "have what is normal at a position learned anew",
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


READS_THE_LAKE = {
    "backtest",
    "diagnose",
    "explain",
    "export",
    "forecast",
    "import",
    "lake",
    "query",
    "quarantine",
    "reconcile",
    "scorecard",
    "tags",
    "shadow",
    "tune",
    "train",
}
NO_WRITING = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}


def main() -> int:
    chosen = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    if len(sys.argv) == 1:
        parser_for(None).print_help(sys.stderr)
        return 2
    if chosen in READS_THE_LAKE:
        trust()  # before anything imports Arrow
    try:
        arguments = parser_for(chosen).parse_args()
        return int(module_of(arguments.command).run(arguments))
    except Problem as problem:
        print(f"telltale: {problem}", file=sys.stderr)
        return 1
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        advice = "check the network, the region and the credentials: `scripts/telltale doctor --aws` tells"
        print(f"telltale: {Problem(f'AWS: {error}', advice)}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read the output, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as after SIGPIPE
    except OSError as error:
        if error.errno not in NO_WRITING:
            raise
        what = Problem(f"{error.strerror}: {error.filename or 'while writing'}", "make room, or the place writable")
        print(f"telltale: {what}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130


def parser_for(chosen: str | None) -> Parser:
    """The parser of the whole command line; only the chosen subcommand's module is imported."""
    parser = Parser(prog="telltale", description="Telltale opens a work order before the machine fails.")
    if chosen is not None and chosen not in COMMANDS:
        near = difflib.get_close_matches(chosen, COMMANDS, n=1)
        parser.error(f'there is no command "{chosen}"' + (f' (did you mean "{near[0]}"?)' if near else ""))
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary, description=summary)
        if name == chosen:
            module = module_of(name)
            subparser.description = module.__doc__
            module.add_arguments(subparser)
    return parser


def module_of(command: str) -> ModuleType:
    """The module of a subcommand; that of a word of Python's own has an underscore after it."""
    return importlib.import_module(f"cli.{command}_" if keyword.iskeyword(command) else f"cli.{command}")


if __name__ == "__main__":
    sys.exit(main())
