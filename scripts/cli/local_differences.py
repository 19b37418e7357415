"""All that differs when Telltale runs on one computer, and why. Nothing else knows where it runs.

The templates and functions are the ones that go to AWS. Two kinds of difference remain: lines of the
synthesised assembly that would do harm here (`change_assembly`), and features of AWS that the
emulator, MiniStack 1.5.33, lacks and that are added to its process (`mend_emulator`). A mend reaches
into the emulator's own functions; its version is pinned exactly, and the tests of the whole line fail
when a mend no longer holds.

* Functions have no layers: those hold arm64 wheels. The emulator runs functions in this virtual
  environment, which has the same pins.
* The template rule that refuses unbuilt layers is taken out: there are none to build.
* Functions ask DuckDB where they would ask Athena: the emulator's own Athena cannot read Iceberg tables.
* Resources of types that the emulator's CloudFormation does not know are left out: the Athena named
  queries (`telltale query --list` reads the same files) and the log level of AWS IoT.
* References to secrets ask for the ARN: the emulator's are their names, which no role's policy would match.
* IoT rules get their kinesis and s3 actions: the emulator skips both without a word, and the message
  with them.
* A partial failure of a Kinesis batch counts as a failure of the batch: the emulator ignores
  `batchItemFailures` there and would move on past what failed.
* When Kinesis records expire, the readers move back by as many: the emulator counts a reader's place
  from the first record kept, so expiry would make it skip as many new ones.
* IAM takes the name in `glue:GetDatabase` for a database's: the emulator looks for a permission on a table
  of that name.
* The address of a function is one that leads here (`http://localhost:<port>/…`, see `local_pages`), not one of on.aws.
* MQTT listens on the loopback interface, and port 443 is left alone: the emulator binds the one to
  every interface and takes the other as well.
* A stop waits a second for TLS connections to be closed in good order, not thirty each: the functions'
  connections stay open, and the state is only written after them.
* Not mended: the IAM roles of IoT rules are not looked at (the tests of the templates do that), and
  MQTT lets clients without a certificate in (on AWS they are refused).
"""

import asyncio
import base64
import hashlib
import json
import os
import re
import time
import uuid
from asyncio import constants
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ENGINE = "duckdb"
PAGES_PORT = "TELLTALE_PAGES_PORT"  # of the emulator's environment
UNKNOWN = {"AWS::Athena::NamedQuery", "AWS::IoT::Logging"}

# --- the assembly ---------------------------------------------------------------------------------


def change_assembly(assembly: Path) -> None:
    """Applies the differences to every template of a synthesised assembly, in place."""
    for path in sorted(assembly.glob("*.template.json")):
        template = json.loads(path.read_text())
        template["Resources"] = {k: v for k, v in template["Resources"].items() if v["Type"] not in UNKNOWN}
        for resource in template["Resources"].values():
            if resource["Type"] == "AWS::Lambda::Function":
                resource["Properties"].pop("Layers", None)
                variables = resource["Properties"].get("Environment", {}).get("Variables", {})
                variables.update({name: ENGINE for name in variables if name == "QUERY_ENGINE"})
        template.get("Rules", {}).pop("LayersAreBuilt", None)
        secrets = {k for k, v in template["Resources"].items() if v["Type"] == "AWS::SecretsManager::Secret"}
        _replace(assembly, path, json.dumps(_by_arn(template, secrets), indent=1))


def _by_arn(value: Any, secrets: set[str]) -> Any:
    """The template, with references to these resources replaced by their ARNs."""
    match value:
        case {"Ref": str(name)} if name in secrets:
            return {"Fn::GetAtt": [name, "Id"]}  # what CloudFormation calls a secret's ARN
        case dict():
            return {key: _by_arn(one, secrets) for key, one in value.items()}
        case list():
            return [_by_arn(one, secrets) for one in value]
    return value


def _replace(assembly: Path, path: Path, text: str) -> None:
    """Writes a changed template under a new asset hash: the CLI uploads nothing that it believes is there."""
    path.write_text(text)
    stack = path.name.removesuffix(".template.json")
    manifest = assembly / f"{stack}.assets.json"
    files = json.loads(manifest.read_text())["files"]
    before = next(key for key, file in files.items() if file["source"]["path"] == path.name)
    after = hashlib.sha256(text.encode()).hexdigest()
    for name in (manifest, assembly / "manifest.json"):
        name.write_text(name.read_text().replace(before, after))


# --- the emulator ---------------------------------------------------------------------------------


def mend_emulator() -> None:
    """Applies the differences to the emulator; called in its process before it starts to serve."""
    import ministack.app
    from ministack.core import iam_actions
    from ministack.services import iot, kinesis, lambda_svc
    from ministack.services.cloudformation import provisioners

    _listen_on_loopback_only()
    constants.SSL_SHUTDOWN_TIMEOUT = 1.0
    ministack.app._port_is_bindable = lambda host, port: False  # only ever asked about 443

    dispatch = iot._dispatch_rule_action

    async def with_kinesis_and_s3(account: str, region: str, rule: str, action: dict[str, Any], event: Any) -> None:
        if "kinesis" in action:
            _put_record(account, region, action["kinesis"], event)
        elif "s3" in action:
            _put_object(account, region, action["s3"], event)
        else:
            await dispatch(account, region, rule, action, event)

    iot._dispatch_rule_action = with_kinesis_and_s3

    execute = lambda_svc._execute_function

    def with_partial_failures(function: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = execute(function, event)
        failures = _partial_failures(event, result)
        if failures:
            body = {"errorType": "PartialFailure", "errorMessage": f"batch stopped at {failures[0]}"}
            return {**result, "error": True, "body": body}
        return result

    lambda_svc._execute_function = with_partial_failures
    kinesis._expire_records = _expire_records

    resource = iam_actions.extract_resource_arn

    def with_databases(service: str, *request: Any, **more: Any) -> str:
        arn = str(resource(service, *request, **more))
        return arn.replace(":table/", ":database/") if service == "glue" else arn  # calls on tables name the database

    iam_actions.extract_resource_arn = with_databases
    provisioners._lambda_url_attributes = _address_here


def _address_here(config: dict[str, Any]) -> dict[str, str]:
    """What CloudFormation is told of a function's address: the one of `local_pages`."""
    name = config["FunctionUrl"].removeprefix("https://").split(".", 1)[0]
    return {"FunctionArn": config["FunctionArn"], "FunctionUrl": f"http://localhost:{os.environ[PAGES_PORT]}/{name}/"}


def _listen_on_loopback_only() -> None:
    create_server = asyncio.base_events.BaseEventLoop.create_server

    async def on_loopback(self: Any, factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        return await create_server(self, factory, "127.0.0.1" if host == "0.0.0.0" else host, port, **options)

    asyncio.base_events.BaseEventLoop.create_server = on_loopback  # type: ignore[method-assign, assignment]  # a patch


def _put_record(account: str, region: str, action: dict[str, Any], event: Any) -> None:
    """What AWS does for a kinesis action: one record, keyed by the filled-in template of the partition key."""
    from ministack.core.responses import request_scope
    from ministack.services import kinesis

    data = event if isinstance(event, str) else json.dumps(event)
    with request_scope(account, region):
        answer = kinesis._put_record(
            {
                "StreamName": action["streamName"],
                "PartitionKey": _fill(action["partitionKey"], event),
                "Data": base64.b64encode(data.encode()).decode(),
            }
        )
    _raise_for(answer, f"PutRecord to {action['streamName']}")


def _put_object(account: str, region: str, action: dict[str, Any], event: Any) -> None:
    from ministack.core.responses import request_scope
    from ministack.services import s3

    body = (event if isinstance(event, str) else json.dumps(event)).encode()
    with request_scope(account, region):
        answer = s3._put_object(action["bucketName"], _fill(action["key"], event), body, {})
    _raise_for(answer, f"PutObject to {action['bucketName']}")


def _fill(template: str, event: Any) -> str:
    """The substitutions that our rules use: `${topic(n)}`, `${timestamp()}`, and ids that only must differ."""
    topic = event.get("topic", "") if isinstance(event, dict) else ""

    def value(match: re.Match[str]) -> str:
        word = match.group(1)
        level = re.fullmatch(r"topic\((\d+)\)", word)
        if level:
            levels = topic.split("/")
            return str(levels[int(level.group(1)) - 1]) if int(level.group(1)) <= len(levels) else ""
        known = {"topic()": topic, "timestamp()": str(int(time.time() * 1000))}
        return known.get(word) or str(uuid.uuid4())

    return re.sub(r"\$\{([^}]*)\}", value, template)


def _raise_for(answer: Any, what: str) -> None:
    """The emulator's services answer (status, headers, body); a rule's error action wants an exception."""
    if answer[0] >= 300:
        raise RuntimeError(f"{what} answered {answer[0]}: {answer[2][:200]!r}")


def _partial_failures(event: dict[str, Any], result: dict[str, Any]) -> list[str]:
    records = event.get("Records") or [{}]
    if records[0].get("eventSource") != "aws:kinesis" or result.get("error"):
        return []
    body = result.get("body")
    answer = json.loads(body) if isinstance(body, str) and body else body
    failures: Iterable[dict[str, str]] = (answer or {}).get("batchItemFailures") or []
    return [failure["itemIdentifier"] for failure in failures]


def _expire_records(stream: dict[str, Any]) -> None:
    """Drops what is older than the retention, and moves every reader back by as much."""
    from ministack.services import lambda_svc

    cutoff = time.time() - float(stream["RetentionPeriodHours"]) * 3600
    for shard_id, shard in stream["shards"].items():
        records = shard["records"]
        expired = next((i for i, r in enumerate(records) if r["ApproximateArrivalTimestamp"] >= cutoff), len(records))
        if not expired:
            continue
        del records[:expired]
        for _, _, mapping in lambda_svc._iter_all_esms():
            positions = lambda_svc._kinesis_positions.get(mapping["UUID"], {})
            if mapping.get("EventSourceArn") == stream["StreamARN"] and shard_id in positions:
                positions[shard_id] = max(0, positions[shard_id] - expired)
