"""Has what is normal at a position learned anew: after run-in, a change of the process, or a sensor that was moved.

  telltale relearn POSITION --why "new impeller, bigger one"

Baselines, operating modes and what diagnosis compares with start over with the next capture, and judge again once they
are learned; limits and zones go on judging. An open case stays open, and nothing is learned before it is closed: a
fault that is there now would be learned as normal. A repair that is reported by its closure codes needs no such
request, nor does a sensor that was replaced. Who asked, when and why is kept in the lake's table `acts`.
"""

import argparse
import getpass
import time

from telltale.adapters.feature_stream import encode_control
from telltale.adapters.kinesis import put_all
from telltale.adapters.registry import Registry
from telltale.core import relearn
from telltale.core.detect import Control

from cli.deployment import current
from cli.modes import find, states
from cli.problem import Problem


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("position", metavar="POSITION", help="its path, or the end of it")
    parser.add_argument("--why", required=True, metavar="TEXT", help="in your words; it is kept")
    parser.add_argument("--by", default=getpass.getuser(), help="who (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    if not args.why.strip():
        raise Problem("--why is empty", "say why what is normal is no longer normal")
    deployment = current()
    positions = Registry(deployment.client("dynamodb"), deployment.outputs["RegistryTable"]).plant().positions
    position = find(positions, args.position)
    control = Control(relearn.KIND, "", time.time_ns() // 1_000_000, args.by, why=args.why)
    record = encode_control(position.id, control)
    put_all(deployment.client("kinesis"), deployment.outputs["FeaturesStream"], [(position.id, record)])
    state = states(deployment, {position.id: position}).get(position.id)
    case = state.open_case if state is not None else None
    when = f"once {case.case_id} is closed, which is open" if case is not None else "from the next capture on"
    print(f"{position.id} learns anew what is normal, {when}")
    return 0
