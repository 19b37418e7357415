"""`telltale orders`, `cases` and `redrive`: what a technician and an operator type."""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from cli import cases as cases_command
from cli import orders as orders_command
from cli import redrive as redrive_command
from cli.deployment import Deployment
from cli.problem import Problem
from telltale.adapters.cmms.logbook import Logbook
from telltale.adapters.feature_stream import decode
from telltale.adapters.ledger import Ledger
from telltale.adapters.orders import order_request
from telltale.adapters.states import States, StateWrite
from telltale.core.detect import Control
from telltale.core.errors import CmmsRefused
from telltale.core.plant import Position, Site
from telltale.core.state import Channel, Mode, MonitorId, Past, State, Trial

from tests.aws_line import POSITION, START_MS, Aws, Clock, Office, aws, change, office

CASE = change().case_id
KEY = "A" * 20
COMMANDS = (orders_command, cases_command, redrive_command)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """A plant with one open case and its order, found as the current deployment."""
    with aws() as made:
        for command in COMMANDS:
            monkeypatch.setattr(command, "current", lambda: deployment(made))
        at = office(made, Clock())
        at.worker().settle(at.open(change(evidence=EVIDENCE)))
        yield at


EVIDENCE = {
    "capture_ids": ["s-1@1"],
    "verdicts": [
        {
            "channel": "x",
            "rule": "zone",
            "verdict": "WARNING",
            "feature": "velocity_rms_mm_s",
            "value": 4.8,
            "limit": 4.5,
            "unit": "mm/s",
            "limit_source": "set for this position",
            "margin": -0.3,
        }
    ],
}


def deployment(made: Aws) -> Deployment:
    outputs = {
        "LakeBucket": "lake",
        "LogbookTable": "logbook",
        "CasesTable": "cases",
        "LedgerTable": "ledger",
        "StatesTable": "states",
        "RegistryTable": "registry",
        "FeaturesStream": "features",
        "OrdersQueueUrl": made.queue,
        "OrdersDeadLettersUrl": made.dead_letters,
    }
    return Deployment(outputs=outputs, environment={})


def types(command: ModuleType, *words: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return int(command.run(parser.parse_args(words)))


def queued(at: Office) -> list[str]:
    """Cases that the worker has been told to look at."""
    return [json.loads(body)["detail"]["case_id"] for body in at.aws.received(at.aws.queue)]


def logbook(at: Office) -> Logbook:
    return Logbook(at.aws.dynamodb, "logbook", at.clock)


CLOSE = ("--mode", "imbalance", "--cause", "wear", "--action", "adjust", "--by", "mia", "--note", "fan blade")


def test_closing_an_order_resolves_its_case(at: Office, capsys: pytest.CaptureFixture[str]) -> None:
    code = types(orders_command, "close", "aaa", *CLOSE)

    [entry] = logbook(at).entries()
    assert code == 0
    assert (entry.order.status, entry.order.by) == ("DONE", "mia")
    assert entry.order.closure == {
        "failure_mode": "IMBALANCE",
        "failure_cause": "WEAR",
        "action_taken": "ADJUST",
        "note": "fan blade",
    }
    assert queued(at) == [CASE]
    assert f"{KEY} is DONE" in capsys.readouterr().out


def test_acknowledging_an_order_says_who_owns_it(at: Office) -> None:
    types(orders_command, "ack", KEY, "--by", "mia")

    [entry] = logbook(at).entries()
    assert (entry.order.status, entry.order.by) == ("IN_PROGRESS", "mia")
    assert queued(at) == [CASE]


def test_a_misspelt_code_names_the_valid_ones_and_changes_nothing(at: Office) -> None:
    words = ["close", KEY, "--mode", "inbalance", "--cause", "wear", "--action", "adjust"]

    with pytest.raises(Problem, match=r"CAVITATION[\s\S]*Did you mean IMBALANCE\?"):
        types(orders_command, *words)

    assert [entry.order.status for entry in logbook(at).entries()] == ["OPEN"]
    assert queued(at) == []


def test_a_closed_order_cannot_be_closed_otherwise(at: Office) -> None:
    types(orders_command, "close", KEY, *CLOSE)

    with pytest.raises(Problem, match="DONE and stays so"):
        types(orders_command, "ack", KEY)


def test_an_order_that_is_not_there_or_not_clear_is_explained(at: Office) -> None:
    other = order_request(next(case for case in at.cases.all()), at.worker()._registry.positions([POSITION])[POSITION])
    logbook(at).create(type(other)(**{**other.__dict__, "key": "AB" + "C" * 18}))

    with pytest.raises(Problem, match="no order begins with 'zz'"):
        types(orders_command, "show", "zz")
    with pytest.raises(Problem, match="begins 2 orders"):
        types(orders_command, "show", "a")


def test_orders_are_listed_and_shown_with_their_history(at: Office, capsys: pytest.CaptureFixture[str]) -> None:
    types(orders_command, "list")
    types(orders_command, "show", KEY)

    out = capsys.readouterr().out
    assert KEY in out
    assert "Suggested: Grease the bearing" in out
    assert "opened: WARNING: Pump 7 motor DE" in out


def test_closed_orders_are_listed_only_when_asked_for(at: Office, capsys: pytest.CaptureFixture[str]) -> None:
    types(orders_command, "close", KEY, *CLOSE)
    capsys.readouterr()

    types(orders_command, "list")
    without = capsys.readouterr().out
    types(orders_command, "list", "--all")

    assert "no open orders" in without
    assert KEY in capsys.readouterr().out


def test_a_case_shows_why_with_limit_margin_and_evidence(at: Office, capsys: pytest.CaptureFixture[str]) -> None:
    types(cases_command)
    listed = capsys.readouterr().out
    types(cases_command, "show", "aaaa")
    shown = capsys.readouterr().out

    assert "OPEN" in listed
    for fact in ("4.8 mm/s", "limit 4.5 mm/s (set for this position)", "margin -0.3 mm/s", "s-1@1", f"OPEN {KEY}"):
        assert fact in shown


def test_a_case_can_be_read_by_programs(at: Office, capsys: pytest.CaptureFixture[str]) -> None:
    types(cases_command, "show", CASE, "--json")

    shown = json.loads(capsys.readouterr().out)
    assert (shown["case_id"], shown["evidence"], shown["order"]["ref"]) == (CASE, EVIDENCE, KEY)


def pictured(at: Office) -> None:
    """The case worsens, with a diagnosis and its picture."""
    finding = {"fault": "IMBALANCE", "confidence": 0.8, "supports": ["1× is high"], "contradicts": ["no axial known"]}
    diagnosis = {"verdict": "IMBALANCE", "confidence": 0.8, "reason": "1× is high", "findings": [finding]}
    evidence = {**EVIDENCE, "diagnosis": diagnosis, "picture": f"evidence/{CASE}/2.svg"}
    at.open(change(2, "updated", fault="IMBALANCE", evidence=evidence))
    for kind in ("svg", "png"):
        at.aws.s3.put_object(Bucket="lake", Key=f"evidence/{CASE}/2.{kind}", Body=kind.encode())


def test_a_case_shows_its_diagnosis_and_what_to_look_at_next(at: Office, capsys: pytest.CaptureFixture[str]) -> None:
    pictured(at)

    types(cases_command, "show", CASE)

    shown = capsys.readouterr().out
    assert "imbalance, 80%: 1× is high" in shown
    assert "deposits" in shown
    assert "speaks against it: no axial known" in shown
    assert "--picture" in shown


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_the_picture_of_a_case_is_fetched_in_the_form_that_is_asked_for(at: Office, tmp_path: Path, kind: str) -> None:
    pictured(at)

    types(cases_command, "show", CASE, "--picture", str(tmp_path / f"seen.{kind}"))

    assert (tmp_path / f"seen.{kind}").read_text() == kind


def test_a_picture_that_cannot_be_had_is_explained(at: Office, tmp_path: Path) -> None:
    with pytest.raises(Problem, match="has no picture"):
        types(cases_command, "show", CASE, "--picture", str(tmp_path / "seen.png"))
    pictured(at)
    with pytest.raises(Problem, match=r"wanted a file that ends in \.svg or \.png"):
        types(cases_command, "show", CASE, "--picture", str(tmp_path / "seen.jpg"))
    at.aws.s3.delete_object(Bucket="lake", Key=f"evidence/{CASE}/2.png")
    with pytest.raises(Problem, match="is not there"):
        types(cases_command, "show", CASE, "--picture", str(tmp_path / "seen.png"))


def test_the_order_reads_what_the_fault_is_why_and_what_to_do(at: Office) -> None:
    pictured(at)
    case = at.cases.get(CASE)
    assert case is not None

    request = order_request(case, Position(POSITION))

    assert request.title.startswith(f"WARNING: {POSITION}: imbalance: ")
    assert "Diagnosis: imbalance, 80%: 1× is high" in request.description
    assert "Check next: deposits" in request.description
    assert "- speaks against it: no axial known" in request.description


def acts(at: Office) -> list[Control]:
    """What detection has been told."""
    shard = at.aws.kinesis.get_shard_iterator(
        StreamName="features", ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    messages = [decode(record["Data"]) for record in at.aws.kinesis.get_records(ShardIterator=shard)["Records"]]
    return [message.item for message in messages if isinstance(message.item, Control)]


def test_a_case_is_shelved_by_somebody_until_then_and_why(at: Office, capsys: pytest.CaptureFixture[str]) -> None:
    types(cases_command, "shelve", "aaa", "--for", "7d", "--why", "waits for the part", "--by", "mia")
    types(cases_command, "unshelve", "aaa", "--by", "bob")

    shelved, back = acts(at)
    assert (shelved.kind, shelved.case_id, shelved.by, shelved.why) == ("shelved", CASE, "mia", "waits for the part")
    assert shelved.until_ms is not None
    assert shelved.until_ms == pytest.approx(time.time() * 1000 + 7 * 86_400_000, abs=60_000)
    assert (back.kind, back.by) == ("unshelved", "bob")
    assert f"{CASE} is shelved until" in capsys.readouterr().out


def test_a_position_and_what_paths_begin_with_is_shelved_ahead(at: Office, capsys: pytest.CaptureFixture[str]) -> None:
    at.cases.put(POSITION, change(2, "shelved", until_ms=START_MS), changed_at=START_MS)
    types(cases_command, "shelve", "plant/hall", "--for", "2d", "--why", "overhaul", "--by", "mia")
    looked = queued(at)
    with pytest.raises(Problem, match=f"{POSITION} is shelved until .* by mia"):
        types(cases_command, "unshelve", "aaa")
    types(cases_command)
    listed = capsys.readouterr().out
    types(cases_command, "unshelve", POSITION, "--by", "bob")

    assert looked == [CASE]
    assert f"shelved {POSITION} until " in listed
    assert " UTC by mia: overhaul" in listed
    assert [(act.kind, act.by) for act in acts(at)] == [("unshelved", "bob")]
    [(position, shelves)] = Ledger(at.aws.dynamodb, "ledger", owner="me", now_ms=at.clock).shelves()
    assert (position, [one.by for one in shelves]) == (POSITION, ["mia", "bob"])


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("zzz", "--for", "1d"), "no case begins"),
        (("aaa", "--for", "1 week"), "wanted a time with its unit"),
        (("aaa", "--for", "31d"), "at most 30 days"),
        (("aaa", "--until", "2020-01-01"), "wanted one in the future"),
        (("aaa", "--until", "noon"), 'found "noon", wanted a time'),
        (("plant/yard", "--for", "1d"), "no position is or begins with 'plant/yard'"),
    ],
)
def test_what_cannot_be_shelved_is_explained(at: Office, words: tuple[str, ...], problem: str) -> None:
    with pytest.raises(Problem, match=problem):
        types(cases_command, "shelve", *words, "--why", "because")

    assert acts(at) == []


def test_a_case_shows_that_it_is_old_whose_order_names_it_and_what_was_done(
    at: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    child = "case-" + "b" * 20
    grouped = {"case_id": child, "parent": CASE, "until_ms": START_MS + 60_000, "heard_ms": START_MS + 600_000}
    at.cases.put(POSITION, change(case_id=child), changed_at=START_MS)
    at.cases.put(POSITION, change(2, "grouped", reason=f"joins {CASE}", **grouped), changed_at=START_MS)
    heard = {"last_t_ms": START_MS, "last_received_ms": 1_700_000_000_000, "sensor": "s-1", "gateway": None}
    at_that_time = StateWrite(POSITION, 1, b"core", state="WARNING", batch="b", **heard)  # type: ignore[arg-type]
    States(at.aws.dynamodb, "states").put([at_that_time], judged_at=START_MS)

    types(cases_command, "show", "b")
    types(cases_command, "list")

    shown, _, listed = capsys.readouterr().out.partition("WARNING plant")
    assert "stale         last heard 2023-11-14 22:13 UTC" in shown
    assert f"order         in order {KEY} of {CASE}" in shown
    assert "shelved       until 2026-09-21 14:14 UTC" in shown
    assert f"2026-09-21 14:13 grouped, WARNING: joins {CASE} (heard 2026-09-21 14:23)" in shown
    assert "last heard 2023-11-14 22:13" in " ".join(listed.split())


def test_a_case_that_is_over_is_opened_again_or_labelled_anew(at: Office, capsys: pytest.CaptureFixture[str]) -> None:
    at.cases.put(POSITION, change(2, "resolved", state="HEALTHY", by="mia"), changed_at=START_MS)

    types(cases_command, "reopen", "aaa", "--why", "it squeals again", "--by", "kim")
    types(cases_command, "label", "aaa", "--mode", "imbalance", "--cause", "WEAR", "--action", "adjust", "--by", "kim")

    again, label = acts(at)
    assert (again.kind, again.case_id, again.by, again.why) == ("reopened", CASE, "kim", "it squeals again")
    assert (label.kind, label.case_id) == ("labelled", CASE)
    assert label.closure == {"failure_mode": "IMBALANCE", "failure_cause": "WEAR", "action_taken": "ADJUST", "note": ""}
    assert f"{CASE} is reopened" in capsys.readouterr().out


def test_a_case_that_is_open_or_was_followed_by_another_is_not_opened_again(at: Office) -> None:
    with pytest.raises(Problem, match="is open: there is nothing to reopen"):
        types(cases_command, "reopen", "aaa", "--why", "because")
    at.cases.put(POSITION, change(2, "resolved", by="mia"), changed_at=START_MS)
    later = "case-" + "b" * 20
    at.cases.put(POSITION, change(case_id=later, opened_ms=START_MS + 10**9), changed_at=START_MS)

    with pytest.raises(Problem, match=f"is not the last case of .*: {later} is"):
        types(cases_command, "reopen", "aaa", "--why", "because")

    assert acts(at) == []


def test_a_case_shows_how_far_the_trial_of_its_repair_is(at: Office, capsys: pytest.CaptureFixture[str]) -> None:
    at.cases.put(POSITION, change(2, "resolved", state="HEALTHY", by="mia"), changed_at=START_MS)
    joined = (MonitorId("x", "zone"),)
    past = Past(CASE, START_MS, 2, "WARNING", joined, START_MS, repaired=True, trial=Trial((1.0,), Mode(), START_MS))
    core = State({"x": Channel.new("x")}, past=past).pack()
    heard = {"last_t_ms": START_MS, "last_received_ms": START_MS, "sensor": "s-1", "gateway": None}
    write = StateWrite(POSITION, 1, core, state="HEALTHY", batch="b", **heard)  # type: ignore[arg-type]
    States(at.aws.dynamodb, "states").put([write], judged_at=START_MS)

    types(cases_command, "show", "aaa")

    assert "repair        on trial since 2026-09-21 14:13 UTC: 0 of 6 running captures" in capsys.readouterr().out


def test_a_case_that_is_not_there_is_explained(at: Office) -> None:
    with pytest.raises(Problem, match="no case begins with 'case-zz'"):
        types(cases_command, "show", "zz")


def test_dead_letters_go_round_again_and_are_counted(at: Office, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(12):
        body = json.dumps({"detail": {"case_id": CASE}})
        at.aws.sqs.send_message(QueueUrl=at.aws.dead_letters, MessageBody=body)

    types(redrive_command)

    assert queued(at) == [CASE] * 12
    assert at.aws.received(at.aws.dead_letters) == []
    assert "12 dead letters, 0 waiting cases, 0 refused orders" in capsys.readouterr().out


def test_a_case_that_waits_is_tried_at_once(at: Office, capsys: pytest.CaptureFixture[str]) -> None:
    at.open(change(2, "updated", severity="ALARM"))
    ledger = Ledger(at.aws.dynamodb, "ledger", owner="me", now_ms=at.clock)
    entry = ledger.take(CASE)
    ledger.keep(CASE, type(entry)(**{**entry.__dict__, "not_before_ms": START_MS * 2}), release=True)

    types(redrive_command)
    at.worker().settle(CASE)

    assert queued(at) == [CASE]
    assert "0 dead letters, 1 waiting cases" in capsys.readouterr().out
    assert [entry.request.severity for entry in logbook(at).entries()] == ["ALARM"]


def test_refused_orders_are_tried_again_only_when_asked_for(at: Office, capsys: pytest.CaptureFixture[str]) -> None:
    def refuses(_: Site) -> Logbook:
        raise CmmsRefused("no such asset")

    other = "case-" + "b" * 20
    worker = at.worker()
    worker._system = refuses
    worker.settle(at.open(change(case_id=other), "plant/hall/fan-1/de"))

    types(redrive_command)
    without = queued(at)
    types(redrive_command, "--refused")
    at.worker().settle(other)

    assert without == []
    assert queued(at) == [other]
    case = at.cases.get(other)
    assert case is not None
    assert case.order is not None
    assert case.order.state == "OPEN"
