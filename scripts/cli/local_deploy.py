"""Brings the project's own app to the local AWS with the CDK CLI, and remembers what it did."""

import hashlib
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from cli import local_aws, toolchain
from cli.deployment import HOME, ROOT, Deployment, save
from cli.local_aws import LocalAws
from cli.local_differences import change_assembly
from cli.problem import Problem

ASSEMBLY = HOME / "assembly"
SOURCES = ("app.py", "cdk.json", "infra", "lambdas", "layers", "queries", "scripts/cli/local_differences.py")
CONTEXT = ("-c", "layers=unbuilt")

Say = Callable[[str], Any]


def deploy(local: LocalAws, say: Say) -> Deployment:
    """Synthesises, bootstraps and deploys, unless exactly this was deployed to this state before."""
    wanted = fingerprint(ROOT)
    stamp = local_aws.folder() / "deployed"
    stacks = _stacks(local)
    if not (stamp.exists() and stamp.read_text() == wanted and len(stacks) > 1):
        stamp.unlink(missing_ok=True)
        say("synthesising the CDK app")
        shutil.rmtree(ASSEMBLY, ignore_errors=True)
        _cdk(["synth", "--quiet", "--output", str(ASSEMBLY), *CONTEXT], local)
        change_assembly(ASSEMBLY)
        if "CDKToolkit" not in stacks:
            say("cdk bootstrap")
            _cdk(["bootstrap", f"aws://{local_aws.ACCOUNT}/{local_aws.REGION}", "--app", str(ASSEMBLY)], local)
        say("cdk deploy")
        _cdk(["deploy", "--all", "--app", str(ASSEMBLY), "--require-approval", "never", "--method", "direct"], local)
        stamp.write_text(wanted)
    return _remember(local)


def fingerprint(root: Path) -> str:
    """Digest of all that the assembly is made from."""
    digest = hashlib.sha256()
    for path in _files(root / name for name in SOURCES):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _files(places: Iterable[Path]) -> Iterable[Path]:
    for place in places:
        if place.is_file():
            yield place
        else:
            yield from (p for p in sorted(place.rglob("*")) if p.is_file() and "__pycache__" not in p.parts)


def _cdk(arguments: list[str], local: LocalAws) -> None:
    log = local_aws.folder() / f"cdk-{arguments[0]}.log"
    done = toolchain.cdk(arguments, extra=local.environment, log=log)
    if done.returncode != 0:
        last = "\n    ".join(log.read_text(errors="replace").strip().splitlines()[-15:])
        raise Problem(
            f"`cdk {arguments[0]}` failed against the local AWS; its last words:\n    {last}",
            f"the whole log is {log}; `scripts/telltale down --purge` starts afresh",
        )


def _stacks(local: LocalAws) -> dict[str, dict[str, Any]]:
    """The stacks that exist, by name, with their outputs."""
    client = Deployment({}, local.environment).client("cloudformation")
    found = client.describe_stacks()["Stacks"]
    return {stack["StackName"]: stack for stack in found if stack["StackStatus"] in _WELL}


_WELL = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"}


def _remember(local: LocalAws) -> Deployment:
    outputs = {
        output["OutputKey"]: output["OutputValue"]
        for name, stack in _stacks(local).items()
        if name != "CDKToolkit"
        for output in stack.get("Outputs", [])
    }
    authority = local_aws.folder() / "mqtt-ca.pem"
    authority.write_bytes(local.get("/_ministack/iot/ca.pem"))
    environment = {
        **local.environment,
        "TELLTALE_MQTT_HOST": "localhost",
        "TELLTALE_MQTT_PORT": str(local.mqtt_port),
        "TELLTALE_MQTT_CA": str(authority),
        "TELLTALE_QUERY_ENGINE": "duckdb",
    }
    deployment = Deployment(outputs=outputs, environment=environment)
    save(deployment)
    return deployment
