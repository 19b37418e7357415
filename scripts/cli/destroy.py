"""Remove Telltale from the AWS account of the current credentials.

The line goes; the data (lake, tables, streams) stays unless --data is given. In the production stage
the data outlives even that: its buckets and tables are kept by their own policy and listed here.
"""

import argparse

from cli import deploy, toolchain


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stage", default="production", help="a stage of cdk.json: production (default) or demo")
    parser.add_argument("--data", action="store_true", help="remove the data stack as well")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(arguments: argparse.Namespace) -> int:
    stacks = ["TelltaleLine", "TelltaleData"] if arguments.data else ["TelltaleLine"]
    print(f"{' and '.join(stacks)}, stage {arguments.stage}, will be removed from {deploy.where()}")
    if not arguments.data:
        print("the data stays; --data removes its stack too")
    if not arguments.yes and not deploy.agreed("Remove?"):
        return 1
    context = [*deploy.context(arguments.stage), "-c", "layers=unbuilt"]  # nothing is built to be torn down
    return toolchain.cdk(["destroy", *stacks, "--exclusively", "--force", *context]).returncode
