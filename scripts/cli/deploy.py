"""Deploy Telltale to the AWS account of the current credentials.

Shows account, region and stage first and asks. Builds the layers, bootstraps the CDK where that was
never done, deploys, and remembers the outputs so that the other commands talk to this deployment.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.exceptions
from botocore.config import Config

from cli import toolchain
from cli.deployment import ROOT, Deployment, save
from cli.problem import Problem

STACKS = ("TelltaleData", "TelltaleLine")


@dataclass(frozen=True)
class Account:
    """Where the current credentials lead."""

    account: str
    region: str
    who: str

    def __str__(self) -> str:
        return f"account {self.account}, region {self.region}, as {self.who}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stage", default="production", help="a stage of cdk.json: production (default) or demo")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(arguments: argparse.Namespace) -> int:
    account = where()
    print(f"Telltale, stage {arguments.stage}, goes to {account}")
    if not arguments.yes and not agreed("Deploy?"):
        return 1
    build_layers()
    if not _has_bootstrap():
        _check(toolchain.cdk(["bootstrap", f"aws://{account.account}/{account.region}"]), "bootstrap")
    _check(toolchain.cdk(["deploy", "--all", *context(arguments.stage), "--require-approval", "never"]), "deploy")
    save(Deployment(outputs=_outputs(), environment=_environment(account)))
    print("deployed; now `scripts/telltale plant apply plant.yaml`, then provision your gateways (docs/wire.md)")
    return 0


def context(stage: str) -> list[str]:
    return ["-c", f"stage={stage}"]


def where() -> Account:
    """The account of the current credentials; Problem when there are none, or they have expired."""
    try:
        session = boto3.Session()
        if session.region_name is None:
            raise Problem("no AWS region is set", "set AWS_REGION, or a region in the profile")
        asking = Config(retries={"max_attempts": 2}, connect_timeout=5, read_timeout=10)
        identity = session.client("sts", config=asking).get_caller_identity()
    except botocore.exceptions.HTTPClientError as error:
        raise Problem(f"AWS cannot be reached: {error}", "see to the network, the proxy and the region") from error
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise Problem(
            f"no usable AWS credentials: {error}",
            "sign in (`aws sso login`) or set AWS_PROFILE",
        ) from error
    return Account(identity["Account"], session.region_name, identity["Arn"])


def agreed(question: str) -> bool:
    """Asks on the terminal; without one the answer is no."""
    if not sys.stdin.isatty():
        print(f"{question} Not asked, since this is no terminal: give --yes.", file=sys.stderr)
        return False
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def build_layers() -> None:
    done = subprocess.run([sys.executable, "-m", "infra.layers"], cwd=ROOT, env=toolchain.environment())
    _check(done, "building the layers")


def _has_bootstrap() -> bool:
    try:
        boto3.client("cloudformation").describe_stacks(StackName="CDKToolkit")
    except botocore.exceptions.ClientError:
        return False
    return True


def _outputs() -> dict[str, str]:
    client = boto3.client("cloudformation")
    stacks = [client.describe_stacks(StackName=name)["Stacks"][0] for name in STACKS]
    return {o["OutputKey"]: o["OutputValue"] for stack in stacks for o in stack.get("Outputs", [])}


def _environment(account: Account) -> Mapping[str, str]:
    """What leads back to this account; never the keys themselves."""
    profile = os.environ.get("AWS_PROFILE")
    return {"AWS_REGION": account.region} | ({"AWS_PROFILE": profile} if profile else {})


def _check(done: "subprocess.CompletedProcess[Any]", what: str) -> None:
    if done.returncode != 0:
        raise Problem(f"{what} failed (see above)", "nothing was half done by Telltale itself: run the command again")
