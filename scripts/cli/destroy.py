"""Remove Telltale from the AWS account of the current credentials.

The line goes; the data (lake, tables, streams) stays unless --data is given. A stage that keeps its data
(production) protects that stack from termination, and what its policy keeps even then is listed.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import boto3

from cli import deploy, gateways, toolchain
from cli.problem import Problem

DATA, LINE = deploy.STACKS


@dataclass(frozen=True)
class Resource:
    """A resource of the data stack. `stays`: its policy keeps it when the stack goes."""

    type: str
    name: str
    stays: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stage", default="production", help="a stage of cdk.json: production (default) or demo")
    parser.add_argument("--data", action="store_true", help="remove the data stack as well")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(arguments: argparse.Namespace) -> int:
    account, cloudformation = deploy.where(), client("cloudformation")
    stacks = _stacks(cloudformation)
    _check_stage(stacks, arguments.stage)
    asked_for = (LINE, DATA) if arguments.data else (LINE,)
    going = [name for name in asked_for if name in stacks]
    if not going:
        print(f"no stack {' or '.join(asked_for)} in {account}")
        return 0
    print(f"{' and '.join(going)}, stage {arguments.stage}, will be removed from {account}")
    resources = _resources(cloudformation) if DATA in going else []
    if DATA in going:
        _check_protection(stacks[DATA], resources)
        _tell(resources)
    else:
        print("the data stays; --data removes its stack too")
    if not arguments.yes and not deploy.agreed("Remove?"):
        return 1
    for name in going:
        if name == LINE:
            _release_gateways(stacks[LINE])
        if name == DATA:  # only now: the line, which writes into it, is gone
            _empty_buckets(resources)
        done = toolchain.cdk(["destroy", name, "--exclusively", "--force", *_context(arguments.stage)])
        if done.returncode != 0:
            raise Problem(f"{name} could not be removed (see above)", "run the command again: it goes on from here")
    return 0


def _release_gateways(line: dict[str, Any]) -> None:
    policy = next((o["OutputValue"] for o in line.get("Outputs", ()) if o["OutputKey"] == "GatewayPolicy"), None)
    if policy is not None and (count := gateways.release(client("iot"), policy)):
        print(f"the gateway policy was taken off {count} certificates; they stay, and may publish nothing")


def empty(s3: Any, bucket: str) -> int:
    """Deletes every version and every delete marker in the bucket; how many."""
    deleted = 0
    while objects := _first_versions(s3, bucket):
        errors = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True}).get("Errors", [])
        if errors:
            first = errors[0]
            raise Problem(
                f"{len(errors)} objects of {bucket} could not be deleted: {first['Key']}: {first['Message']}",
                "see that you may delete object versions there, then run the command again",
            )
        deleted += len(objects)
    return deleted


def _first_versions(s3: Any, bucket: str) -> list[dict[str, str]]:
    """Up to 1000, which is as many as one call deletes."""
    page = s3.list_object_versions(Bucket=bucket)
    found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
    return [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]


def client(service: str) -> Any:
    return boto3.client(service)  # type: ignore[call-overload]  # the stubs know literal names only


def _context(stage: str) -> list[str]:
    return [*deploy.context(stage), "-c", "layers=unbuilt"]  # nothing is built to be torn down


def _stacks(cloudformation: Any) -> dict[str, dict[str, Any]]:
    """Telltale's stacks that are there, by name."""
    pages = cloudformation.get_paginator("describe_stacks").paginate()
    return {s["StackName"]: s for page in pages for s in page["Stacks"] if s["StackName"] in deploy.STACKS}


def _check_stage(stacks: dict[str, dict[str, Any]], stage: str) -> None:
    """What is there must be what is meant: the stage decides what is kept."""
    for name, stack in stacks.items():
        deployed = {tag["Key"]: tag["Value"] for tag in stack["Tags"]}.get("stage", stage)
        if deployed != stage:
            raise Problem(f"{name} is of stage {deployed} there, not of stage {stage}", f"give --stage {deployed}")


def _check_protection(stack: dict[str, Any], resources: Sequence[Resource]) -> None:
    if not stack.get("EnableTerminationProtection", False):
        return
    stays = "".join(f"\n    {line}" for line in _staying(resources))
    raise Problem(
        f"{DATA} is protected from termination, for its stage keeps its data; nothing was removed",
        "without --data the line alone goes. If you mean it, take the protection off with\n"
        f"    aws cloudformation update-termination-protection --no-enable-termination-protection --stack-name {DATA}\n"
        f"  and run the command again. Even then these stay, for you to delete one by one:{stays}",
    )


def _resources(cloudformation: Any) -> list[Resource]:
    template = cloudformation.get_template(StackName=DATA, TemplateStage="Processed")["TemplateBody"]
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=DATA)
    return [
        Resource(
            type=item["ResourceType"],
            name=item.get("PhysicalResourceId", ""),
            stays=template["Resources"].get(item["LogicalResourceId"], {}).get("DeletionPolicy") == "Retain",
        )
        for page in pages
        for item in page["StackResourceSummaries"]
        if item["ResourceStatus"] != "DELETE_COMPLETE"  # by a run that was cut short
    ]


def _tell(resources: Sequence[Resource]) -> None:
    for bucket in _going_buckets(resources):
        print(f"bucket {bucket} will be emptied: every version of every object is deleted for good")
    if staying := _staying(resources):
        print("these stay, and cost money until you delete them:", *staying, sep="\n  ")


def _empty_buckets(resources: Sequence[Resource]) -> None:
    for bucket in _going_buckets(resources):
        print(f"emptying {bucket}")
        print(f"{empty(client('s3'), bucket)} versions and markers deleted")


def _going_buckets(resources: Sequence[Resource]) -> list[str]:
    return [r.name for r in resources if r.type == "AWS::S3::Bucket" and not r.stays and r.name]


def _staying(resources: Sequence[Resource]) -> list[str]:
    return sorted(f"{r.type} {r.name}" for r in resources if r.stays)
