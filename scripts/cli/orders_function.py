"""The function work_orders in a process of its own, as AWS runs it: told of events, and killed at any of its steps.

A step is a call that changes something (DynamoDB, the stream, a topic) or a request to a maintenance system; a process
may die before it and after it, by os._exit, so that nothing is tidied up. What it sent to its queue is passed on; the
queue itself is played by whoever runs the process.
"""

import importlib
import multiprocessing
import os
import random
import re
import sys
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError
from telltale.adapters.aws import client
from telltale.adapters.cmms import http

CHANGES = re.compile("put_|delete_|update_|publish|transact_")
EACH = 45  # a new order takes some thirty steps
TIMEOUT_MS = 120_000  # of the function (infra/messages.py)
HANDLER = "work_orders"
FORK = multiprocessing.get_context("fork")  # a process starts with all that is imported
DEAD = 9  # what a process that was killed answers
NOBODY = "http://127.0.0.1:9"  # where a maintenance system that is down is looked for: nothing listens there
CONTEXT = SimpleNamespace(
    function_name="work_orders",
    memory_limit_in_mb=256,
    invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:work_orders",
    aws_request_id="bench",
    get_remaining_time_in_millis=lambda: TIMEOUT_MS,
)


@dataclass(frozen=True)
class Clock:
    """Milliseconds since 1970, the same in all processes: `speed` times as fast as the wall's since `began_s`, and
    `ahead_s` ahead of that.
    """

    began_s: float = field(default_factory=time.time)
    speed: float = 1.0
    ahead_s: Any = field(default_factory=lambda: FORK.Value("d", 0.0))

    def __call__(self) -> int:
        passed_s = (time.time() - self.began_s) * self.speed
        return round((self.began_s + passed_s + self.ahead_s.value) * 1000)

    def go(self, *, s: float) -> None:
        self.ahead_s.value += s


@dataclass
class Faults:
    """What goes wrong in a process. steps : how many it lives on average; 0: it is not killed. The first EACH ones live
    one step, two, three and so on, so that each step that a new order takes is somebody's last.

    errors : the share of a maintenance system's answers that are 500 although what was asked for was done.
    down : whether the maintenance system can be reached at all; for all processes.   folder : where they write what
    killed them, and when they asked.
    """

    folder: Path
    steps: int = 0
    errors: float = 0.0
    down: Any = field(default_factory=lambda: FORK.Value("b", 0))
    started: Any = field(default_factory=lambda: FORK.Value("i", 0))  # processes, so far

    def life(self) -> int:
        """Steps that the next process lives; 0: as long as it likes."""
        with self.started.get_lock():
            self.started.value += 1
            number = int(self.started.value)
        if not self.steps:
            return 0
        return number if number <= EACH else random.randint(1, 2 * self.steps)

    def killed(self) -> list[str]:
        """The step of each death."""
        return self._lines("killed")

    def steps_seen(self) -> set[str]:
        """The steps that there are, each by what is done and whether before or after it."""
        return set(self._lines("steps"))

    def _lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def asked_s(self) -> list[float]:
        """When each request reached the maintenance system, in seconds since 1970."""
        return sorted(float(line) for path in self.folder.glob("asked-*") for line in path.read_text().split())


class Function:
    """One process. A message to it is an event of the function's, an answer from it a Reply."""

    def __init__(self, environment: Mapping[str, str], clock: Clock, faults: Faults) -> None:
        self._environment, self._clock, self._faults = environment, clock, faults
        self.deaths = 0
        self._start()

    def _start(self) -> None:
        self.pipe, theirs = FORK.Pipe()
        seed = random.random()
        self._process = FORK.Process(
            target=_serve, args=(theirs, dict(self._environment), self._clock, self._faults, seed), daemon=True
        )
        self._process.start()
        theirs.close()

    def tell(self, event: Mapping[str, Any]) -> None:
        self.pipe.send(event)

    def answer(self) -> "Reply | None":
        """What became of the last event; None if the process died over it, and there is another one now."""
        try:
            reply: Reply = self.pipe.recv()
        except EOFError:
            self._process.join()
            if self._process.exitcode != DEAD:
                raise AssertionError(f"the function ended by itself: {self._process.exitcode}") from None
            self.deaths += 1
            self.pipe.close()
            self._start()
            return None
        return reply

    def ask(self, event: Mapping[str, Any]) -> "Reply | None":
        self.tell(event)
        return self.answer()

    def close(self) -> None:
        with suppress(OSError):
            self.pipe.send(None)
        self._process.join(10)
        self.pipe.close()
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()


@dataclass(frozen=True)
class Reply:
    """What the function answered, and what it told its queue: seconds until a message comes again, by its receipt; and
    the bodies of new messages. seconds : that it took.
    """

    result: Any
    again_s: Mapping[str, int]
    sent: tuple[str, ...]
    seconds: float


class _Queue:
    """SQS as the function sees it."""

    def __init__(self) -> None:
        self.again_s: dict[str, int] = {}
        self.sent: list[str] = []

    def get_queue_url(self, **_: Any) -> dict[str, str]:
        return {"QueueUrl": "queue"}

    def change_message_visibility(self, *, ReceiptHandle: str, VisibilityTimeout: int, **_: Any) -> None:  # noqa: N803 - SQS's names
        self.again_s[ReceiptHandle] = VisibilityTimeout

    def send_message(self, *, MessageBody: str, **_: Any) -> dict[str, str]:  # noqa: N803
        self.sent.append(MessageBody)
        return {"MessageId": str(len(self.sent))}

    def send_message_batch(self, *, Entries: Any, **_: Any) -> dict[str, Any]:  # noqa: N803
        self.sent += [entry["MessageBody"] for entry in Entries]
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries], "Failed": []}


class _Fate:
    """Decides at each step whether the process dies there."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._left = faults.life()
        self._seen: set[str] = set()

    def step(self, name: str) -> None:
        if name not in self._seen:
            self._seen.add(name)
            with (self._faults.folder / "steps").open("a") as file:
                file.write(f"{name}\n")
        self._left -= 1
        if self._left == 0:
            with (self._faults.folder / "killed").open("a") as file:
                file.write(f"{name}\n")
            os._exit(DEAD)

    def error(self) -> bool:
        return random.random() < self._faults.errors

    def down(self) -> bool:
        return bool(self._faults.down.value)


class _Client:
    """A client of AWS that may be the last thing that its process does; the logbook's table may be out of order."""

    def __init__(self, client: Any, fate: _Fate, logbook: str) -> None:
        self._client, self._fate, self._logbook = client, fate, logbook

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._client, name)
        if not callable(real):
            return real

        def call(*args: Any, **arguments: Any) -> Any:
            own, changes = arguments.get("TableName") == self._logbook, CHANGES.match(name)
            table = str(arguments.get("TableName", "")).rpartition("-")[2]
            if own and self._fate.down():
                raise EndpointConnectionError(endpoint_url=NOBODY)
            if changes:
                self._fate.step(f"before {name} {table}".rstrip())
            answer = real(*args, **arguments)
            if changes:
                self._fate.step(f"after {name} {table}".rstrip())
                if own and self._fate.error():
                    raise ClientError({"Error": {"Code": "InternalServerError", "Message": "played"}}, name)
            return answer

        return call


def _serve(pipe: Connection, environment: dict[str, str], clock: Clock, faults: Faults, seed: float) -> None:
    """The process."""
    random.seed(seed)
    os.environ.update(environment)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(os.open(faults.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    work_orders = importlib.import_module(HANDLER)  # by its name, as Lambda starts it
    warnings.simplefilter("ignore")  # as in Lambda: that there is nothing to count is no error
    fate, queue = _Fate(faults), _Queue()

    @cache
    def kept(service: str) -> Any:
        return queue if service == "sqs" else _Client(client(service), fate, environment["LOGBOOK_TABLE"])

    vars(work_orders).update(kept=kept, now_ms=clock)
    _haunt(fate, faults.folder)
    while True:
        event = pipe.recv()
        if event is None:
            os._exit(0)
        began = time.monotonic()
        queue.again_s, queue.sent = {}, []
        try:
            result = work_orders.handler(event, CONTEXT)
        except Exception as error:  # noqa: BLE001 - whatever it is: the event comes again, as Lambda has it
            print(f"{error!r}", file=sys.stderr, flush=True)
            result = error.__class__.__name__
        pipe.send(Reply(result, queue.again_s, tuple(queue.sent), time.monotonic() - began))


def _haunt(fate: _Fate, folder: Path) -> None:
    """Requests to a maintenance system may be the last thing done, be answered with 500 once they are done, or find
    nobody there."""
    once, asked = http.Http._once, (folder / f"asked-{os.getpid()}").open("a", buffering=1)

    def haunted(self: http.Http, method: str, path: str, *args: Any, **named: Any) -> http.Answer:
        base = self.base
        try:
            if fate.down():
                self.base = NOBODY
            else:
                fate.step(f"before {method} {path.rpartition('/')[2]}")
                asked.write(f"{time.time()}\n")
            answer = once(self, method, path, *args, **named)
        finally:
            self.base = base
        fate.step(f"after {method} {path.rpartition('/')[2]}")
        return http.Answer(500, {}, b"played") if fate.error() else answer

    http.Http._once = haunted  # type: ignore[method-assign]
