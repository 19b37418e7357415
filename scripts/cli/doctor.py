"""Check this computer, the running local Telltale, and with --aws an account, for what the commands need."""

import argparse
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from cli import deploy, local_aws, toolchain
from cli.deployment import HOME, ROOT
from cli.problem import Problem

DISK_WANTED_GB = 3.0  # virtual environment 1.3 GB, CDK and Node 0.3 GB, and room for recordings
MEMORY_WANTED_GB = 2.0  # emulator and functions take about 1.2 GB under load


@dataclass(frozen=True)
class Finding:
    """One check: what was found, and what to do when it is not well."""

    well: bool
    what: str
    then: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--aws", action="store_true", help="also check the account of the current AWS credentials")


def run(arguments: argparse.Namespace) -> int:
    checks: list[Callable[[], Iterator[Finding]]] = [_python, _node, _ports, _room, _processes]
    if arguments.aws:
        checks.append(_account)
    findings = [finding for check in checks for finding in check()]
    for finding in findings:
        print(f"{'ok  ' if finding.well else 'BAD '} {finding.what}")
        if not finding.well and finding.then:
            print(f"     {finding.then}")
    return 0 if all(finding.well for finding in findings) else 1


def _python() -> Iterator[Finding]:
    yield Finding(sys.version_info >= (3, 11), f"Python {sys.version.split()[0]}", "install Python 3.11 or later")
    pins = dict(
        line.split("==")[:2] for line in (ROOT / "requirements" / "app.txt").read_text().splitlines() if "==" in line
    )
    wrong = []
    for name in ("ministack", "aws-cdk-lib", "boto3", "pyarrow", "pyiceberg", "numpy", "duckdb"):
        wanted = pins[name].split()[0].rstrip(" \\;")
        if metadata.version(name) != wanted:
            wrong.append(f"{name} {metadata.version(name)} instead of {wanted}")
    yield Finding(not wrong, f"packages as pinned{': ' + ', '.join(wrong) if wrong else ''}", "remove .venv, run again")


def _node() -> Iterator[Finding]:
    asked = subprocess.run([toolchain.NODE, "--version"], capture_output=True, text=True) if _has_node() else None
    well = asked is not None and asked.returncode == 0
    yield Finding(well, f"Node {asked.stdout.strip() if asked else 'missing'}", "remove .venv, run again")
    installed = toolchain.CDK.exists()
    yield Finding(True, f"the CDK command line{'' if installed else ': the first `up` or `deploy` installs it'}")


def _has_node() -> bool:
    return Path(toolchain.NODE).exists()


def _ports() -> Iterator[Finding]:
    if local_aws.running():
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield Finding(True, f"the loopback interface gives out ports ({probe.getsockname()[1]} just now)")
    for port in filter(None, local_aws.ports_before()):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken = probe.connect_ex(("127.0.0.1", port)) == 0
            how = "taken by another program: `up` takes another one by itself" if taken else "free"
            yield Finding(True, f"port {port} of the last `up` is {how}")


def _room() -> Iterator[Finding]:
    free = shutil.disk_usage(ROOT).free / 1e9
    yield Finding(free > DISK_WANTED_GB, f"{free:.0f} GB free on disk", f"wanted are {DISK_WANTED_GB:.0f} GB")
    if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
        yield Finding(memory > MEMORY_WANTED_GB, f"{memory:.0f} GB of memory free", f"wanted: {MEMORY_WANTED_GB:.0f}")


def _processes() -> Iterator[Finding]:
    local = local_aws.running()
    if local is not None:
        yield Finding(True, f"the local AWS runs at {local.endpoint} (process {local.pid})")
    elif (local_aws.folder() / "process.json").exists():
        yield Finding(False, "the local AWS has died", "`scripts/telltale up` goes on from its last good stop")
    elif (HOME / "deployment.json").exists():
        yield Finding(True, "no local AWS runs")


def _account() -> Iterator[Finding]:
    try:
        yield Finding(True, f"AWS: {deploy.where()}")
    except Problem as problem:
        yield Finding(False, "AWS credentials", str(problem))
