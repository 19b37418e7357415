"""Measure the line, on a local AWS of its own that is removed afterwards.

`bench line` publishes captures over mTLS MQTT through the whole local line while the functions' processes
are killed at random, with duplicates, disorder and garbage among them; then it compares what is in the
lake with what was sent. A second, quiet part publishes at 20 captures a second and measures the time
from publishing to a case that can be seen.
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from cli import gateways, line_load, local_aws, local_deploy, plant, progress, toolchain
from cli.deployment import HOME, ROOT, Deployment
from cli.overview import look, percentile
from cli.problem import Problem
from cli.publish import Connection, Endpoint, Message

BENCH_HOME = ROOT / ".telltale" / "bench"
SENSORS = 50
ALARMING = 20  # positions that go bad in the second part
RATE = 20.0  # captures a second in the second part
SETTLE_S = 300.0
KILL_EVERY_S = (0.3, 1.5)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--captures", type=int, default=5000, help="valid messages to send (5000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-kill", action="store_true", help="let the functions live")


def figures(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was measured, by name. Runs on a home of its own: the process is replaced by one that has it."""
    if HOME != BENCH_HOME:
        shutil.rmtree(BENCH_HOME, ignore_errors=True)
        environment = {**os.environ, "TELLTALE_HOME": str(BENCH_HOME)}
        os.execve(sys.executable, [sys.executable, "-m", "cli", *sys.argv[1:]], environment)
    try:
        found = _line(arguments)
    finally:
        local_aws.stop()
    shutil.rmtree(HOME, ignore_errors=True)
    return found


def failed(found: Mapping[str, Any]) -> bool:
    """Something was lost or doubled."""
    return bool(found["lost"] or found["doubled"])


def _line(arguments: argparse.Namespace) -> dict[str, Any]:
    deployment = bring_up(SENSORS + ALARMING)
    names = [f"b-{i:04d}" for i in range(SENSORS + ALARMING)]
    load = line_load.bad_day(
        arguments.captures, sensors=names[:SENSORS], now_ms=int(time.time() * 1000), seed=arguments.seed
    )
    started = time.monotonic()
    with _killer(arguments.seed) if not arguments.no_kill else contextlib.nullcontext([0]) as killed:
        publish(deployment, load.messages, noun="published")
        settle(deployment, records=len(load.messages))
    seconds = time.monotonic() - started
    commit(deployment)
    now = look(deployment)
    counts = now.captures
    rows = stored_rows(deployment)
    lags = publish_to_case(deployment, names[SENSORS:])
    return {
        "captures": len(load.expected),
        "published": len(load.messages),
        "stored": counts.stored,
        "judged": now.features.stored,
        "duplicate": counts.duplicate,
        "quarantined": counts.quarantined,
        "lost": len(load.expected - set(rows)),
        "doubled": len(rows) - len(set(rows)) + doubled_features(deployment),
        "wrongly_stored": len(set(rows) - load.expected),
        "functions_killed": killed[0],
        "captures_per_s": round(len(load.messages) / seconds, 1),
        "cases": len(lags),
        "publish_to_case_p50_s": percentile(lags, 50),
        "publish_to_case_p95_s": percentile(lags, 95),
    }


def bring_up(sensors: int) -> Deployment:
    """A fresh local Telltale with the load's plant and its gateways."""
    HOME.mkdir(parents=True, exist_ok=True)
    toolchain.install_cdk()
    deployment = local_deploy.deploy(local_aws.start(), print)
    registry = plant.open_registry()
    plant.write(registry, plant.agreed(plant.diff(registry.plant(), line_load.plant(sensors)), yes=True, prune=False))
    return deployment


def publish(deployment: Deployment, messages: Sequence[Message], *, noun: str, rate: float | None = None) -> None:
    """Sends the messages in order, each through its own gateway; every one is acknowledged at the return."""
    host, port = gateways.endpoint(deployment)
    with ExitStack() as stack, progress.shown(noun, total=len(messages)) as advance:
        connections = {}
        for name in line_load.GATEWAYS:
            files = gateways.provision(deployment, name)
            endpoint = Endpoint(host, port, files.certificate, files.key, files.ca)
            connections[name] = stack.enter_context(Connection(endpoint, name))
        started = time.monotonic()
        for i, message in enumerate(messages):
            if rate is not None:
                time.sleep(max(0.0, started + i / rate - time.monotonic()))
            connections[message.topic.split("/")[2]].publish(message)
            advance(1)
        for connection in connections.values():
            connection.settle()


def settle(deployment: Deployment, *, records: int) -> None:
    """Waits until every record that was published is finished, and what became of it on the features stream too."""
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        if look(deployment).captures.records >= records and drained(deployment, deployment.outputs["FeaturesStream"]):
            return
        time.sleep(1.0)
    now = look(deployment)
    raise Problem(
        f"after {SETTLE_S:g} s {now.captures.records} of {records} records are finished, "
        f"and {now.features.stored} of {now.captures.stored} feature rows judged",
        "see `scripts/telltale logs --errors`",
    )


def drained(deployment: Deployment, stream: str) -> bool:
    """Nothing is on the stream after what its reader has finished."""
    kinesis, dynamodb = deployment.client("kinesis"), deployment.client("dynamodb")
    for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
        key = {"pk": {"S": f"batch#{stream}#{shard['ShardId']}"}}
        item = dynamodb.get_item(TableName=deployment.outputs["ProgressTable"], Key=key).get("Item", {})
        place: dict[str, str] = {"ShardIteratorType": "TRIM_HORIZON"}
        if "done" in item:
            place = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": item["done"]["S"]}
        iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard["ShardId"], **place)["ShardIterator"]
        if kinesis.get_records(ShardIterator=iterator, Limit=1)["Records"]:
            return False
    return True


def commit(deployment: Deployment) -> None:
    """Runs the committer until nothing is pending."""
    client = deployment.client("lambda")
    deadline = time.monotonic() + SETTLE_S
    while _pending(deployment):
        answer = client.invoke(FunctionName=deployment.outputs["CommitFunction"], Payload=b"{}")
        if time.monotonic() > deadline:
            raise Problem(f"receipts are still pending; the committer last said {answer['Payload'].read()[:500]!r}")
        time.sleep(1.0)  # one that was killed a moment ago holds the lease for a while


def _pending(deployment: Deployment) -> int:
    bucket = deployment.outputs["LakeBucket"]
    return int(deployment.client("s3").list_objects_v2(Bucket=bucket, Prefix="receipts/pending/")["KeyCount"])


def stored_rows(deployment: Deployment) -> list[tuple[str, str, str]]:
    """(sensor, capture_id, part) of every row of the table captures."""
    names = ("sensor", "capture_id", "part")
    table = _answer(deployment, f"select {', '.join(names)} from captures")
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))


def doubled_features(deployment: Deployment) -> int:
    """Rows too many in features, waveforms and verdicts, which all have a key of their own."""
    keys = {"features": "capture_id, axis", "waveforms": "capture_id, axis", "verdicts": "capture_id, channel, rule"}
    extra = 0
    for table, key in keys.items():
        text = f"select coalesce(sum(n - 1), 0) as extra from (select count(*) as n from {table} group by {key})"
        extra += int(_answer(deployment, text)["extra"][0].as_py())
    return extra


def _answer(deployment: Deployment, text: str) -> Any:
    from cli import sql  # not earlier: Arrow looks for certificates once, when it is imported

    return sql.run(deployment, text).table


def publish_to_case(deployment: Deployment, sensors: Sequence[str]) -> list[float]:
    """Seconds from the receipt of the capture that opened a case until the case could be seen, case by case."""
    known = {case["pk"] for case in look(deployment).cases}
    messages = line_load.alarming(sensors, captures=10, now_ms=int(time.time() * 1000))
    before = look(deployment).captures.records
    publish(deployment, messages, noun=f"published at {RATE:g}/s", rate=RATE)
    settle(deployment, records=before + len(messages))
    now = look(deployment)
    missing = len(sensors) - len({c["position"] for c in now.cases if c["pk"] not in known})
    if missing:
        raise Problem(f"{missing} of {len(sensors)} positions that went bad have no case")
    return [case["lag_ms"] / 1000 for case in now.cases if case["pk"] not in known]


@contextlib.contextmanager
def _killer(seed: int) -> Iterator[list[int]]:
    """Kills a process of a function now and then; yields a list whose only item counts them."""
    rng, stop, count = np.random.default_rng(seed), threading.Event(), [0]
    local = local_aws.running()
    if local is None:
        raise Problem("the local AWS is not running")

    def kill() -> None:
        while not stop.wait(float(rng.uniform(*KILL_EVERY_S))):
            workers = _children(local.pid)
            if workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(workers[int(rng.integers(0, len(workers)))], signal.SIGKILL)
                    count[0] += 1

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield count
    finally:
        stop.set()
        thread.join()


def _children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    return [int(word) for word in listed.split()]
