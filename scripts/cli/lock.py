"""Renew requirements/*.txt, layers/*.txt and package-lock.json: exact pins with hashes and no addresses."""

import argparse
import subprocess
import sys
from pathlib import Path

from cli.deployment import ROOT
from cli.problem import Problem
from cli.toolchain import NODE, NPM, environment

UV = ROOT / ".venv" / "bin" / "uv"
SETS = {"app": ["app"], "dev": ["app", "dev"], "tsfel": ["bench"]}
COMPILE = [
    "pip", "compile", "pyproject.toml", "--universal", "--generate-hashes", "--python-version", "3.11",
    "--no-annotate", "--no-header", "--no-emit-index-url", "--quiet",
]  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that pyproject.toml allows")


def run(arguments: argparse.Namespace) -> int:
    upgrade = ["--upgrade"] if arguments.upgrade else []
    for name, extras in SETS.items():
        chosen = [word for extra in extras for word in ("--extra", extra)]
        _run(UV, *COMPILE, *upgrade, *chosen, "-o", _file(name))
    _file("uv").write_text(_block(_file("app").read_text(), "uv"))
    # After the requirements: a layer takes the versions that the tests run against.
    _run(sys.executable, "-m", "infra.layers", "lock")
    _run(NODE, NPM, "install", "--package-lock-only")
    return 0


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    if done.returncode != 0:
        shown = " ".join(map(str, command[:3]))
        raise Problem(
            f"`{shown} …` failed:\n{done.stderr.strip()}", "is the index reachable? uv takes UV_DEFAULT_INDEX"
        )


def _file(name: str) -> Path:
    return ROOT / "requirements" / f"{name}.txt"


def _block(requirements: str, package: str) -> str:
    """The lines of one package: its pin and its hashes, which are indented."""
    lines = requirements.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"{package}=="))
    end = next((i for i in range(start + 1, len(lines)) if not lines[i].startswith(" ")), len(lines))
    return "\n".join(lines[start:end]) + "\n"
