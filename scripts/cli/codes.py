"""Closure codes as arguments: what was found, why, and what was done."""

import argparse
import difflib

from telltale.core.closure import ACTIONS_TAKEN, FAILURE_CAUSES, FAILURE_MODES, Closure, UnknownCode, closure

from cli.problem import Problem


def add_codes(parser: argparse.ArgumentParser, *, cause: str | None = None, action: str | None = None) -> None:
    """`--mode`, `--cause`, `--action` and `--note`. cause, action : where nobody says; None: somebody has to."""
    parser.add_argument("--mode", required=True, metavar="CODE", help=f"what was found: {', '.join(FAILURE_MODES)}")
    causes, actions = f"why: {', '.join(FAILURE_CAUSES)}", ", ".join(ACTIONS_TAKEN)
    parser.add_argument("--cause", required=cause is None, default=cause, metavar="CODE", help=causes)
    parser.add_argument("--action", dest="taken", required=action is None, default=action, metavar="CODE", help=actions)
    parser.add_argument("--note", default="", help="in your words")


def codes_of(args: argparse.Namespace) -> Closure:
    """The closure that they say; Problem for a code that is on no list."""
    try:
        return closure(failure_mode=args.mode, failure_cause=args.cause, action_taken=args.taken, note=args.note)
    except UnknownCode as unknown:
        near = difflib.get_close_matches(unknown.given.upper(), unknown.valid, n=1)
        raise Problem(str(unknown), f"Did you mean {near[0]}?" if near else None) from unknown
