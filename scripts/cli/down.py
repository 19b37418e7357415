"""Stop the local Telltale. Its data stays in `.telltale/aws` unless --purge is given."""

import argparse
import json
import os
import shutil
import signal

from cli import local_aws
from cli.deployment import HOME
from cli.process import is_running


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--purge", action="store_true", help="remove its data, certificates and logs as well")


def run(arguments: argparse.Namespace) -> int:
    stop_plant()
    stopped = local_aws.stop()
    if arguments.purge:
        purge()
        print("stopped and removed" if stopped else "nothing ran; removed what was left")
    else:
        print("stopped; `up` goes on from here" if stopped else "nothing was running")
    return 0


def purge() -> None:
    """Removes everything of the local deployment; an AWS deployment's file is left alone."""
    for name in ("aws", "gateways", "assembly"):
        shutil.rmtree(HOME / name, ignore_errors=True)
    for pattern in ("replay-*.json", "simulation-*.json", "plant.log"):
        for path in HOME.glob(pattern):
            path.unlink()
    deployment = HOME / "deployment.json"
    if deployment.exists() and "AWS_ENDPOINT_URL" in json.loads(deployment.read_text())["environment"]:
        deployment.unlink()


def stop_plant() -> None:
    """Ends the simulated plant that an earlier `up` left running, if any."""
    pid = _plant_pid()
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
    (HOME / "plant.pid").unlink(missing_ok=True)


def plant_runs() -> bool:
    return _plant_pid() is not None


def _plant_pid() -> int | None:
    file = HOME / "plant.pid"
    text = file.read_text().strip() if file.exists() else ""
    return int(text) if text.isdigit() and is_running(int(text), "simulate") else None
