"""Carries what the twin rules put on their queues to the Kinesis streams, as AWS IoT Core does by itself.

The emulator's IoT rules skip the kinesis action (see local_differences), so beside each rule with one
stands a twin with the same SQL and an sqs action. This process moves the messages on: one thread a
queue, in order, deleted only after the stream has them. Run as `python -m cli.bridge`.
"""

import json
import signal
import sys
import threading
from dataclasses import dataclass
from typing import Any

import botocore.exceptions

from cli.deployment import current

WAIT_S = 2  # of one long poll; also how long a stop may take


@dataclass(frozen=True)
class Route:
    """From one queue to one stream; `key_level` is the topic level that becomes the partition key."""

    queue_url: str
    stream: str
    key_level: int


def carry(route: Route, *, sqs: Any, kinesis: Any, stop: threading.Event) -> None:
    """Moves messages until `stop`; an error of the emulator is retried, and what was not deleted comes again."""
    while not stop.is_set():
        try:
            messages = sqs.receive_message(
                QueueUrl=route.queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=WAIT_S
            ).get("Messages", [])
            if messages:
                _move(messages, route, sqs=sqs, kinesis=kinesis)
        except (botocore.exceptions.ClientError, botocore.exceptions.HTTPClientError) as error:
            print(f"bridge: {error}; trying again", file=sys.stderr, flush=True)
            stop.wait(1.0)


def _move(messages: list[dict[str, Any]], route: Route, *, sqs: Any, kinesis: Any) -> None:
    records = [
        {"Data": message["Body"].encode(), "PartitionKey": _partition_key(message["Body"], route.key_level)}
        for message in messages
    ]
    answer = kinesis.put_records(StreamName=route.stream, Records=records)
    taken = [m for m, result in zip(messages, answer["Records"], strict=True) if "ErrorCode" not in result]
    if taken:
        sqs.delete_message_batch(
            QueueUrl=route.queue_url,
            Entries=[{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(taken)],
        )


def _partition_key(body: str, level: int) -> str:
    """`${topic(n)}` of the rule: the n-th level of the topic, counted from one."""
    return str(json.loads(body)["topic"].split("/")[level - 1])


def main() -> None:
    routes = [Route(**route) for route in json.loads(sys.argv[1])]
    deployment = current()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    threads = [
        threading.Thread(
            target=carry,
            args=(route,),
            kwargs={"sqs": deployment.client("sqs"), "kinesis": deployment.client("kinesis"), "stop": stop},
        )
        for route in routes
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
