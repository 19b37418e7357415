"""What deploying to the AWS account of the current credentials would change."""

import argparse

from cli import deploy, toolchain


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stage", default="production", help="a stage of cdk.json: production (default) or demo")


def run(arguments: argparse.Namespace) -> int:
    print(f"Telltale, stage {arguments.stage}, against {deploy.where()}")
    deploy.build_layers()
    return toolchain.cdk(["diff", "--all", *deploy.context(arguments.stage)]).returncode
