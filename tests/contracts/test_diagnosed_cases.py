"""A case with its diagnosis and picture is made once, whatever dies on the way."""

from typing import Any

from telltale.adapters.cases import Cases
from telltale.adapters.detection import Detection
from telltale.adapters.events import Events
from telltale.adapters.examiner import Examiner
from telltale.adapters.kinesis import by_shard
from telltale.adapters.pictures import Pictures
from telltale.adapters.receipts import BatchLog
from telltale.adapters.registry import Registry
from telltale.adapters.states import States
from telltale.adapters.waveforms import Waveforms

from tests.aws_line import POSITION, START_MS, Aws, aws, records
from tests.contracts.killing import CALLS, Interrupted, Killed, killed_at
from tests.unit.test_cases_are_diagnosed import PUMP, bad, objects
from tests.unit.test_detection import Line

STEPS = 20  # at least: the calls of a run, before and after


def feed(made: Aws, rows: list[bytes], wrap: Any = lambda real: real) -> None:
    """One invocation of a function that knows nothing yet; `wrap` may make its clients fail."""
    s3, dynamodb = wrap(made.s3), wrap(made.dynamodb)
    log = BatchLog(
        s3,
        dynamodb,
        bucket="lake",
        table="progress",
        stream="features",
        function="detect_anomalies",
        now_ms=lambda: START_MS,
    )
    waveforms = Waveforms(s3, "lake")
    detection = Detection(
        states=States(dynamodb, "states"),
        cases=Cases(dynamodb, "cases"),
        events=Events(wrap(made.events), "bus"),
        registry=Registry(made.dynamodb, "registry"),
        examiner=Examiner(waveforms),
        pictures=Pictures(s3, "lake", waveforms),
        now_ms=lambda: START_MS,
    )
    for shard, batch in by_shard({"Records": records(rows)}).items():
        log.run(shard, batch, detection.decide, detection.carry_out)


def outcome(line: Line) -> dict[str, Any]:
    """All that is to be the same, however it came about."""
    events = {event["id"]: event for event in line.aws.heard()}
    held = line.states.get([POSITION])[POSITION]
    return {
        "cases": [case.change for case in line.cases.all()],
        "events": events,
        "state": (held.rev, held.core),
        "pictures": objects(line, "evidence/"),
        "receipts": objects(line, "receipts/pending/"),
    }


def undisturbed() -> dict[str, Any]:
    with aws() as made:
        line = Line(made)
        line.registry.put(PUMP)
        feed(made, bad(line))
        return outcome(line)


def test_killed_at_any_step_and_delivered_again_it_ends_as_if_undisturbed() -> None:
    clean = undisturbed()
    moment, killed = 0, True
    while killed:
        with aws() as made:
            line, interrupt = Line(made), killed_at(moment)
            line.registry.put(PUMP)
            rows = bad(line)
            try:
                feed(made, rows, wrap=lambda real: Interrupted(real, interrupt, CALLS))  # noqa: B023 - used at once
                killed = False
            except Killed:
                pass
            feed(made, rows)

            assert outcome(line) == clean, f"killed at {moment}"
        moment += 1

    assert len(clean["pictures"]) == 2
    assert moment > STEPS
