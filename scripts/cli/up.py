"""Run the whole of Telltale on this computer: AWS emulated, the demo plant simulated, one machine failing.

The same templates and functions as in an AWS account, deployed with the CDK CLI onto a local AWS
with IAM enforced. Leaving the view (Ctrl-C) leaves it running; `telltale down` stops it.
"""

import argparse
import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from telltale.core.plant import Plant

from cli import demo, down, gateways, live, local_aws, local_deploy, plant, toolchain
from cli.arguments import positive
from cli.deployment import HOME, ROOT, Deployment
from cli.overview import Item, Overview, look, percentile
from cli.problem import Problem

FIRST_RUN = HOME / "first-run.json"
LOOK_EVERY_S = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plant", type=Path, default=ROOT / "plant.yaml", help="the plant file (plant.yaml)")
    parser.add_argument("--speed", type=positive, default=demo.SPEED, help="simulated seconds a second (%(default)g)")
    parser.add_argument("--no-simulation", action="store_true", help="deploy and apply the plant, publish nothing")
    parser.add_argument("--once", action="store_true", help="leave when the first work order is open")
    parser.add_argument("--timeout", type=positive, default=240.0, help="seconds that --once waits for it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="with --once: write the measured times there")


def run(arguments: argparse.Namespace) -> int:
    started = float(os.environ.get("TELLTALE_STARTED", time.time()))
    console = Console(stderr=True)

    def say(what: str) -> None:
        console.print(f"[dim]{time.time() - started:6.1f} s[/dim]  {what}")

    wanted = plant.read_or_explain(arguments.plant)
    toolchain.check_node()
    with _alone(say):
        deployment = bring_up(wanted, say)
    if not arguments.no_simulation:
        say(f"the plant starts to run, {arguments.speed:g} times as fast as time, until it reaches now")
        start_plant(arguments.plant, arguments.speed)
    if not arguments.once:
        return _watch(deployment, console)
    try:
        case, overview = _first_order(deployment, time.monotonic() + arguments.timeout, console)
    finally:
        down.stop_plant()
    seconds = time.time() - started
    new = bool(case.get("received_ms", 0) >= started * 1000)
    since = "" if new else " (since an earlier run)"
    say(f"work order {case['order_ref']} is open{since}: {case['position']}: {case['reason']}")
    _report(arguments.json, seconds, case, overview, new=new)
    return 0


@contextlib.contextmanager
def _alone(say: local_deploy.Say) -> Iterator[None]:
    """Two that bring it up at once would be in each other's way: the second waits."""
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another `up` is at work in this folder; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def bring_up(wanted: Plant, say: local_deploy.Say) -> Deployment:
    """A running, deployed local Telltale with the plant applied and its gateways provisioned; safe to repeat."""
    down.stop_plant()
    local = local_aws.running()
    if local is None:
        local_aws.stop()  # what is left of one that died
        say("starting the local AWS (MiniStack, IAM enforced, loopback only)")
        local = local_aws.start()
    say(f"local AWS at {local.endpoint}, MQTT at localhost:{local.mqtt_port}")
    if not toolchain.CDK.exists():
        say("installing the CDK command line")
    toolchain.install_cdk()
    deployment = local_deploy.deploy(local, say)
    registry = plant.open_registry()
    changes = plant.diff(registry.plant(), wanted)
    plant.write(registry, plant.agreed(changes, yes=True, prune=False))
    say(f"plant applied: {plant.in_words(wanted)}, {len(changes)} changed")
    for gateway in wanted.gateways:
        gateways.provision(deployment, gateway)
    return deployment


def start_plant(plant_file: Path, speed: float) -> None:
    """The simulated plant as a process of its own, so that it goes on when the view is left."""
    command = [sys.executable, "-m", "cli", "simulate", "--plant", str(plant_file), "--speed", str(speed), "--quiet"]
    with (HOME / "plant.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    (HOME / "plant.pid").write_text(str(process.pid))


def _watch(deployment: Deployment, console: Console) -> int:
    with live.view(console, transient=False) as show, contextlib.suppress(KeyboardInterrupt):
        while True:
            show(look(deployment))
            time.sleep(LOOK_EVERY_S)
    console.print("\nstill running: `scripts/telltale status` looks again, `scripts/telltale down` stops it")
    return 0


def _first_order(deployment: Deployment, deadline: float, console: Console) -> tuple[Item, Overview]:
    """The first case with a work order, and the overview it was seen in; Problem when there is none in time."""
    with live.view(console, transient=True) as show:
        while True:
            now = look(deployment)
            show(now)
            case = next((case for case in now.cases if case.get("order_ref")), None)
            if case is not None:
                return case, now
            if time.monotonic() > deadline or (not now.captures.records and not down.plant_runs()):
                raise Problem(f"no work order was open in time: {_why(now)}", "see `scripts/telltale logs --errors`")
            time.sleep(LOOK_EVERY_S)


def _why(now: Overview) -> str:
    """The first stage of the line that has nothing to show."""
    if not now.captures.records:
        log = (HOME / "plant.log").read_text().strip().splitlines()[-3:] if (HOME / "plant.log").exists() else []
        return "no capture came in; the plant's last words: " + (" / ".join(log) or "none")
    if not now.features.records:
        return f"{now.captures.records} captures came in, but no features were judged"
    if not now.cases:
        return f"{now.features.records} feature rows were judged, but no case was opened"
    return f"{len(now.cases)} cases are open, but the maintenance system has no order"


def _report(file: Path | None, seconds: float, case: Item, overview: Overview, *, new: bool) -> None:
    """The measured times: `seconds` is the first run in this folder, `seconds_second_run` the latest after it."""
    times = {"seconds": round(seconds, 1)}
    if FIRST_RUN.exists():
        times = {**json.loads(FIRST_RUN.read_text()), "seconds_second_run": times["seconds"]}
    elif new:
        FIRST_RUN.write_text(json.dumps(times))
    if file is not None:
        p95 = percentile(overview.case_lags_s, 95)
        file.write_text(json.dumps({**times, "work_order": case["order_ref"], "publish_to_case_p95_s": p95}) + "\n")
