"""`telltale deploy`, `diff` and `destroy`: what a person sees before anything happens, and what goes and stays."""

import argparse
import io
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from types import ModuleType
from typing import Any

import boto3
import pytest
from cli import deploy, destroy, diff, toolchain
from cli.problem import Problem
from moto import mock_aws

COMMANDS = (deploy, diff, destroy)
BUCKET = "telltaledata-lake"
TABLE = "TelltaleData-Cases"


class CloudFormation:
    """Telltale's two stacks as AWS tells of them, kept to the one promise: a bucket that is not empty stays."""

    def __init__(self, s3: Any, *, stage: str, keeps: bool) -> None:
        self._s3, self._keeps = s3, keeps
        self.stacks = {
            name: {
                "StackName": name,
                "Tags": [{"Key": "stage", "Value": stage}],
                "EnableTerminationProtection": keeps and name == "TelltaleData",
            }
            for name in ("TelltaleData", "TelltaleLine")
        }
        self.commands: list[Sequence[str]] = []

    def get_paginator(self, name: str) -> "Pages":
        resources = [
            ("Bucket", "AWS::S3::Bucket", BUCKET, "UPDATE_COMPLETE"),
            ("Cases", "AWS::DynamoDB::Table", TABLE, "CREATE_COMPLETE"),
            ("Policy", "AWS::S3::BucketPolicy", BUCKET, "CREATE_COMPLETE"),
            ("Gone", "AWS::S3::Bucket", "gone", "DELETE_COMPLETE"),
        ]
        fields = ("LogicalResourceId", "ResourceType", "PhysicalResourceId", "ResourceStatus")
        return {
            "describe_stacks": Pages("Stacks", [{"StackName": "CDKToolkit", "Tags": []}, *self.stacks.values()]),
            "list_stack_resources": Pages(
                "StackResourceSummaries", [dict(zip(fields, resource, strict=True)) for resource in resources]
            ),
        }[name]

    def get_template(self, *, StackName: str, TemplateStage: str) -> dict[str, Any]:  # noqa: N803 - AWS's words
        policy = {"DeletionPolicy": "Retain" if self._keeps else "Delete"}
        return {"TemplateBody": {"Resources": {"Bucket": policy, "Cases": policy, "Policy": {}}}}

    def cdk(self, arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        """What `cdk destroy STACK` comes to."""
        self.commands.append(arguments)
        _, name, *_ = arguments
        held = name == "TelltaleData" and not self._keeps and versions(self._s3)
        if not held:
            del self.stacks[name]
        return subprocess.CompletedProcess(list(arguments), 1 if held else 0)


class Pages:
    def __init__(self, name: str, items: list[dict[str, Any]]) -> None:
        self._name, self._items = name, items

    def paginate(self, **_: str) -> Iterator[dict[str, Any]]:
        return iter([{self._name: self._items[:1]}, {self._name: self._items[1:]}])


Account = Callable[..., CloudFormation]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """An account with Telltale in it, of a stage that keeps its data or does not."""
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        for body in (b"1", b"2"):
            s3.put_object(Bucket=BUCKET, Key="data/a", Body=body)
        s3.delete_object(Bucket=BUCKET, Key="data/a")

        def made(*, stage: str = "demo", keeps: bool = False) -> CloudFormation:
            there = CloudFormation(s3, stage=stage, keeps=keeps)
            monkeypatch.setattr(destroy, "client", {"cloudformation": there, "s3": s3}.__getitem__)
            monkeypatch.setattr(toolchain, "cdk", there.cdk)
            return there

        yield made


def versions(s3: Any) -> int:
    """Versions and markers in the bucket."""
    listed = s3.list_object_versions(Bucket=BUCKET)
    return len(listed.get("Versions", [])) + len(listed.get("DeleteMarkers", []))


def types(command: ModuleType, *words: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return int(command.run(parser.parse_args(words)))


# --- Where to


@pytest.fixture
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CDK and the building of layers may not even begin."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("began before it was clear where to")

    monkeypatch.setattr(toolchain, "cdk", refuse)
    monkeypatch.setattr(deploy, "build_layers", refuse)


@pytest.fixture
def expired(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An STS that answers as AWS does to credentials of yesterday."""

    class Sts(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = (
                b'<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
                b"<Code>ExpiredToken</Code><Message>The security token included in the request is expired</Message>"
                b"</Error></ErrorResponse>"
            )
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Sts) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("nothing_runs", "expired")
@pytest.mark.parametrize("command", COMMANDS)
def test_with_expired_credentials_nothing_begins_and_a_sentence_says_so(command: ModuleType) -> None:
    with pytest.raises(Problem, match=r"(?s)token included in the request is expired.*sign in"):
        types(command)


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("unset", "given", "said"),
    [
        ("AWS_DEFAULT_REGION", {}, "no AWS region is set"),
        ("AWS_ACCESS_KEY_ID", {}, "no usable AWS credentials"),
        ("AWS_ACCESS_KEY_ID", {"AWS_PROFILE": "nobody"}, r"profile \(nobody\) could not be found"),
    ],
)
def test_without_region_credentials_or_profile_nothing_begins(
    command: ModuleType, unset: str, given: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (unset, *(["AWS_SECRET_ACCESS_KEY"] if unset == "AWS_ACCESS_KEY_ID" else [])):
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(Problem, match=said):
        types(command)


def test_a_person_is_shown_where_it_goes_and_without_a_terminal_nothing_is_deployed(
    account: Account, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = account()
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))  # not a terminal, whatever it says

    code = types(deploy, "--stage", "demo")

    shown = capsys.readouterr()
    assert code == 1
    assert "stage demo, goes to account 123456789012, region us-east-1, as arn:aws:" in shown.out
    assert "no terminal: give --yes" in shown.err
    assert there.commands == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("typed", "agreed"), [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("of course\n", False)]
)
def test_only_yes_is_yes(typed: str, agreed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(typed))

    assert deploy.agreed("Deploy?") is agreed


def test_diff_says_against_what(
    account: Account, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    account()
    asked: list[Sequence[str]] = []

    def cdk(words: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        asked.append(words)
        return subprocess.CompletedProcess(list(words), 0)

    monkeypatch.setattr(deploy, "build_layers", lambda: None)
    monkeypatch.setattr(toolchain, "cdk", cdk)

    code = types(diff, "--stage", "demo")

    assert code == 0
    assert "account 123456789012" in capsys.readouterr().out
    assert asked == [["diff", "--all", "-c", "stage=demo"]]


# --- What goes


def test_the_line_goes_and_the_data_stays(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    there = account(stage="production", keeps=True)

    code = types(destroy, "--yes")

    assert code == 0
    assert set(there.stacks) == {"TelltaleData"}
    assert "the data stays" in capsys.readouterr().out


def test_without_a_terminal_nothing_is_removed(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    there = account()
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))

    code = types(destroy, "--stage", "demo", "--data")

    assert code == 1
    assert set(there.stacks) == {"TelltaleData", "TelltaleLine"}
    assert versions(boto3.client("s3")) == 3


def test_the_data_of_a_demo_goes_with_every_version_once_the_line_is_gone(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    there = account()

    code = types(destroy, "--stage", "demo", "--data", "--yes")

    shown = capsys.readouterr().out
    assert code == 0
    assert there.stacks == {}
    assert [command[1] for command in there.commands] == ["TelltaleLine", "TelltaleData"]
    assert versions(boto3.client("s3")) == 0
    assert f"bucket {BUCKET} will be emptied" in shown
    assert shown.index("will be emptied") < shown.index(f"emptying {BUCKET}")
    assert "these stay" not in shown


def test_a_bucket_of_more_than_a_page_is_emptied_whole(account: Account) -> None:
    account()
    s3 = boto3.client("s3")
    for n in range(1005):
        s3.put_object(Bucket=BUCKET, Key=f"data/{n}", Body=b"")

    deleted = destroy.empty(s3, BUCKET)

    assert (deleted, versions(s3)) == (1008, 0)


def test_data_that_is_protected_stays_and_the_way_round_and_what_is_kept_are_told(account: Account) -> None:
    there = account(stage="production", keeps=True)

    with pytest.raises(Problem) as problem:
        types(destroy, "--data", "--yes")

    assert "protected from termination" in str(problem.value)
    assert "update-termination-protection --no-enable-termination-protection" in str(problem.value)
    assert f"AWS::S3::Bucket {BUCKET}" in str(problem.value)
    assert f"AWS::DynamoDB::Table {TABLE}" in str(problem.value)
    assert set(there.stacks) == {"TelltaleData", "TelltaleLine"}  # nothing half done


def test_what_outlives_its_stack_is_listed_and_left_as_it_is(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    there = account(stage="production", keeps=True)
    there.stacks["TelltaleData"]["EnableTerminationProtection"] = False

    code = types(destroy, "--data", "--yes")

    shown = capsys.readouterr().out
    assert code == 0
    assert there.stacks == {}
    assert f"these stay, and cost money until you delete them:\n  AWS::DynamoDB::Table {TABLE}" in shown
    assert f"AWS::S3::Bucket {BUCKET}" in shown
    assert versions(boto3.client("s3")) == 3


def test_a_deployment_of_another_stage_than_the_one_meant_is_left_alone(account: Account) -> None:
    there = account(stage="demo")

    with pytest.raises(Problem, match=r"(?s)of stage demo there, not of stage production.*--stage demo"):
        types(destroy, "--data", "--yes")

    assert there.commands == []


def test_where_nothing_is_deployed_there_is_nothing_to_remove(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    there = account()
    there.stacks.clear()

    code = types(destroy, "--stage", "demo", "--data", "--yes")

    assert code == 0
    assert "no stack TelltaleLine or TelltaleData in account" in capsys.readouterr().out
