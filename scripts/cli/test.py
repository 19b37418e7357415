"""Run the tests: style, types, pytest for units (under two minutes), handlers on moto and what is long,
recordings, contracts, maintenance systems, templates, the line."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence

from cli.deployment import ROOT
from cli.problem import Problem
from cli.toolchain import environment

EVERY_CORE = ("-n", "auto", "--dist", "worksteal")
PARTS: dict[str, Sequence[Sequence[str]]] = {
    "style": (["ruff", "check", "."], ["ruff", "format", "--check", "."]),
    "types": (["mypy"],),
    "unit": (
        ["pytest", "tests/unit", "tests/rules", "-q", "-m", "not (synth or line or data or aws or long)", *EVERY_CORE],
    ),
    "handlers": (["pytest", "tests/unit", "-q", "-m", "(aws or long) and not data", *EVERY_CORE],),
    "recordings": (["pytest", "tests/unit", "-q", "-m", "data", *EVERY_CORE],),
    "contracts": (["pytest", "tests/contracts", "-q", *EVERY_CORE],),
    "cmms": (["pytest", "tests/cmms", "-q", "-rs", "-n", "2", "--dist", "loadgroup"],),
    "templates": (["pytest", "tests/infra", "tests/rules", "-q", "-m", "synth"],),
    "line": (["pytest", "tests/e2e", "-q", "-s"],),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"only these parts: {', '.join(PARTS)}")
    parser.add_argument("--pytest", metavar="OPTIONS", default="", help='handed to pytest, e.g. --pytest="-x -k wire"')


def run(arguments: argparse.Namespace) -> int:
    unknown = sorted(set(arguments.parts) - set(PARTS))
    if unknown:
        raise Problem(f"no part of the tests is called {', '.join(unknown)}", f"there are {', '.join(PARTS)}")
    failed = []
    for part in arguments.parts or PARTS:
        started = time.monotonic()
        more = arguments.pytest.split()
        results = [_passes([*command, *(more if command[0] == "pytest" else ())]) for command in PARTS[part]]
        if not all(results):
            failed.append(part)
        outcome = "failed" if part in failed else "passed"
        print(f"--- {part}: {outcome} in {time.monotonic() - started:.0f} s", flush=True)
    if failed:
        print(f"telltale test: {', '.join(failed)} failed", file=sys.stderr)
    return 1 if failed else 0


def _passes(command: Sequence[str]) -> bool:
    clean = {k: v for k, v in environment().items() if not k.startswith("AWS_")}  # no test can reach an account
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, env={**clean, "PYTHONPATH": _path()})
    return done.returncode == 0


def _path() -> str:
    return os.pathsep.join(str(ROOT / name) for name in ("scripts", "lambdas", "."))
