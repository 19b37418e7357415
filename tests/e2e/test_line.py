"""The whole line on one computer, IAM enforced: a sensor's message in, a work order out, and what must not happen."""

import base64
import json
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import numpy as np
import pytest
from cli.publish import Message, Refused, messages
from telltale.adapters import wire
from telltale.core.capture import Capture, Waveform
from telltale.core.errors import Reason

from tests.e2e.conftest import FirstRun, Telltale, wait_until

pytestmark = pytest.mark.line
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "femto"
FAILING = "riverside/pump-hall/pump-1/pump-inboard"
GATEWAY, SENSOR = "gw-hall-1", "s-101"
NEW_POSITION = """\
              motor-non-drive-end:
                name: Motor, non-drive end
                type: Motor
                sensor: s-777
"""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def capture(t_ms: int, *, sensor: str = SENSOR, axes: str = "", **scalars: Any) -> Capture:
    waves = tuple(Waveform(axis, np.arange(2048, dtype=np.int16) % 64, 26_667.0, 0.0005, "g") for axis in axes)
    part = axes + ("s" if scalars else "")
    return Capture(f"{sensor}@{t_ms}", part, sensor, t_ms, waveforms=waves, **scalars)


def send(line: Telltale, *sent: Message) -> None:
    """Publishes and waits until the extractor has finished as many records more."""
    before = line.status()["captures"]["records"]
    with line.connection(GATEWAY) as connection:
        for message in sent:
            connection.publish(message)
        connection.settle()
    wait_until(lambda: line.status()["captures"]["records"] >= before + len(sent))


def topic(kind: str = "capture", *, sensor: str = SENSOR, gateway: str = GATEWAY) -> str:
    return f"dt/telltale/{gateway}/{sensor}/{kind}"


def test_one_command_leads_to_the_first_work_order_with_its_reason(first_run: FirstRun) -> None:
    assert first_run.figures["work_order"]
    assert first_run.figures["seconds"] <= 180
    assert FAILING in first_run.done.stderr.replace("\n", "")


def test_only_the_failing_machine_has_a_case(line: Telltale) -> None:
    status = line.status()

    assert {case["position"] for case in status["cases"]} == {FAILING}
    assert {p["state"] for p in status["positions"] if p["pk"] != FAILING} <= {"HEALTHY", "UNKNOWN"}


def test_the_case_shows_limit_margin_and_samples_behind_it(line: Telltale) -> None:
    [case] = line.status()["cases"]

    shown = line.say("cases", "show", case["pk"])

    assert "normal" in shown
    assert "limit" in shown
    assert "margin" in shown
    assert f"{case['order_ref']}" in shown


def test_the_case_names_the_failing_part_and_says_why(line: Telltale) -> None:
    [case] = line.status()["cases"]

    shown = json.loads(line.say("cases", "show", case["pk"], "--json"))

    assert shown["fault"] == "BEARING_OUTER_RACE"
    diagnosis = shown["evidence"]["diagnosis"]
    [found] = [finding for finding in diagnosis["findings"] if finding["fault"] == shown["fault"]]
    assert diagnosis["confidence"] >= 0.5
    assert found["supports"]
    assert "Diagnosis: bearing, outer race" in line.say("orders", "show", case["order_ref"])


@pytest.mark.parametrize("form", ["svg", "png"])
def test_the_case_has_a_picture_of_what_was_seen(line: Telltale, tmp_path: Path, form: str) -> None:
    [case] = line.status()["cases"]
    file = tmp_path / f"seen.{form}"

    line.say("cases", "show", case["pk"], "--picture", str(file))

    body = file.read_bytes()
    assert body.startswith(b"\x89PNG" if form == "png" else b"<svg")
    assert form == "png" or b"BPFO" in body


def test_healthy_machines_are_diagnosed_on_the_rota_and_found_so(line: Telltale) -> None:
    line.commit()

    rows = line.query("select position, trigger, fault from diagnoses")

    assert {row["fault"] for row in rows if row["trigger"] == "case"} == {"BEARING_OUTER_RACE"}
    assert len({row["position"] for row in rows if row["trigger"] == "rota"}) > 1
    assert {row["fault"] for row in rows if row["position"] != FAILING} == {None}


def test_the_daily_aggregates_count_the_captures_that_the_lake_has_and_show_the_alarm(line: Telltale) -> None:
    """The plant goes on, so a commit, of captures or of verdicts, may come between the aggregation and the question."""

    def every_capture_and_verdict_is_in_its_day() -> bool:
        line.commit()
        function = line.deployment.outputs["AggregateFunction"]
        answer = line.deployment.client("lambda").invoke(FunctionName=function, Payload=b"{}")
        assert "FunctionError" not in answer
        [found] = line.query(
            "select (select sum(captures) from position_daily) as aggregated, count(*) as stored "
            "from (select distinct position, capture_id from captures)"
        )
        alarmed = line.query("select distinct position from position_daily where worst = 'ALARM'")
        assert alarmed in ([], [{"position": FAILING}])
        return bool(found["aggregated"] == found["stored"] and alarmed)

    wait_until(every_capture_and_verdict_is_in_its_day)
    assert line.status()["aggregates"]["problem"] is None


def test_a_capture_in_three_messages_is_stored_axis_by_axis_as_it_comes(line: Telltale) -> None:
    t_ms = now_ms()
    samples = np.arange(26_667, dtype=np.int16)
    waves = tuple(Waveform(axis, samples, 26_667.0, 0.0005, "g") for axis in "xyz")
    one_second = Capture(f"{SENSOR}@{t_ms}", "xyzs", SENSOR, t_ms, waveforms=waves, temperature_c=41.0)
    parts = messages(one_second, gateway=GATEWAY, form="cbor")
    assert len(parts) == 3

    send(line, parts[2], parts[0])  # and y never comes
    line.commit()

    rows = line.query(
        f"select axis, fs_hz, cardinality(samples) as n from waveforms where capture_id = '{SENSOR}@{t_ms}'"
    )
    assert sorted((row["axis"], row["n"]) for row in rows) == [("x", 26_667), ("z", 26_667)]


def test_a_capture_can_be_asked_for_within_the_commit_interval_and_a_minute(line: Telltale) -> None:
    taken = capture(now_ms(), temperature_c=40.0)

    send(line, Message(topic(), wire.encode_json(taken)))

    asked = f"select count(*) as n from captures where capture_id = '{taken.capture_id}'"
    wait_until(lambda: line.query(asked) == [{"n": 1}], seconds=60 + 60)  # the schedule alone commits: every minute


def test_what_is_sent_twice_is_stored_once(line: Telltale) -> None:
    t_ms = now_ms()
    message = Message(topic(), wire.encode_json(capture(t_ms, temperature_c=40.0)))
    before = line.status()["captures"]

    send(line, message, message, message)
    line.commit()

    after = line.status()["captures"]
    assert (after["stored"] - before["stored"], after["duplicate"] - before["duplicate"]) == (1, 2)
    assert len(line.query(f"select * from captures where capture_id = '{SENSOR}@{t_ms}'")) == 1


def test_basic_ingest_takes_the_same_way_without_the_broker(line: Telltale) -> None:
    t_ms = now_ms()
    rule = line.deployment.outputs["CaptureRule"]
    before = line.status()["captures"]

    send(line, Message(f"$aws/rules/{rule}/{topic()}", wire.encode_json(capture(t_ms, temperature_c=39.0))))

    after = line.status()["captures"]
    assert (after["stored"] - before["stored"], after["quarantined"] - before["quarantined"]) == (1, 0)


def bad_inputs(t_ms: int) -> dict[Reason, list[Message]]:
    """Messages that can never be stored, by the reason they must be given."""

    def with_(**fields: Any) -> Message:
        return Message(topic(), json.dumps({"v": 1, "sensor": SENSOR, "t": t_ms, **fields}).encode())

    wave = {"fs_hz": 26667, "unit": "g", "scale": 0.001, "samples": base64.b64encode(bytes(200)).decode()}
    whole = wire.encode_cbor(capture(t_ms, axes="xyz", temperature_c=20.0))
    stranger = json.dumps({"v": 1, "sensor": "s-999", "t": t_ms, "rssi_dbm": -60}).encode()
    foreign = json.dumps({"v": 1, "sensor": "s-201", "t": t_ms, "temperature_c": 20}).encode()
    return {
        Reason.BAD_PAYLOAD: [Message(topic("wave"), whole[: len(whole) // 2]), Message(topic(), b"\xff\xfe{")],
        Reason.BAD_FIELD: [
            with_(temperature_c="warm"),
            Message(topic(), b'{"v":1,"sensor":"s-101","t":%d,"temperature_c":NaN}' % t_ms),
        ],
        Reason.BAD_UNIT: [with_(waveforms={"x": {**wave, "unit": "furlong"}})],
        Reason.BAD_RATE: [with_(waveforms={"x": {**wave, "fs_hz": 0}})],
        Reason.BAD_RANGE: [with_(temperature_c=4000)],
        Reason.CLOCK_AHEAD: [with_(t=t_ms + 3_600_000, temperature_c=20)],
        Reason.TOO_OLD: [with_(t=86_400_000, temperature_c=20)],
        Reason.UNKNOWN_SENSOR: [Message(topic(sensor="s-999"), stranger)],
        Reason.FOREIGN_GATEWAY: [Message(topic(sensor="s-201"), foreign)],
    }


def test_bad_input_is_set_aside_with_its_reason_and_bytes_and_the_line_goes_on(line: Telltale) -> None:
    t_ms = now_ms()
    bad = bad_inputs(t_ms)
    good = Message(topic(), wire.encode_json(capture(t_ms, temperature_c=41.5)))
    before = line.status()["captures"]

    send(line, *(message for group in bad.values() for message in group), good)
    line.commit()

    after = line.status()["captures"]
    expected = sum(len(group) for group in bad.values())
    assert after["quarantined"] - before["quarantined"] == expected
    assert after["stored"] - before["stored"] == 1
    rows = line.query("select reason, topic, payload from quarantine")
    for reason, group in bad.items():
        kept = {base64.b64decode(row["payload"]) for row in rows if row["reason"] == reason}
        assert {message.payload for message in group} <= kept, reason
    assert line.run("reconcile").returncode == 0


def test_a_quarantined_capture_is_stored_by_a_replay_once_its_cause_is_gone(line: Telltale, tmp_path: Path) -> None:
    t_ms = now_ms()
    send(line, Message(topic(sensor="s-777"), wire.encode_json(capture(t_ms, sensor="s-777", temperature_c=42.0))))
    line.commit()
    plant = tmp_path / "plant.yaml"
    known = "                sensor: s-101\n"
    plant.write_text(Path("plant.yaml").read_text().replace(known, known + NEW_POSITION))
    line.say("plant", "apply", str(plant), "--yes")
    time.sleep(61)  # how long a warm extractor may remember the plant
    before = line.status()["captures"]["records"]

    line.say("quarantine", "replay", "--reason", "unknown_sensor")

    wait_until(lambda: line.status()["captures"]["records"] > before)
    line.commit()
    assert len(line.query(f"select * from captures where capture_id = 's-777@{t_ms}'")) == 1


def test_a_gateway_cannot_publish_for_another_nor_be_another(line: Telltale) -> None:
    with line.connection(GATEWAY) as connection:
        connection.publish(Message(topic(gateway="gw-hall-2", sensor="s-201"), b"{}"))
        with pytest.raises(Refused) as refused:
            connection.settle()
    assert refused.value.code == 135

    with pytest.raises(Refused), line.connection(GATEWAY, as_client="gw-hall-2"):
        pass


def test_a_function_without_its_grant_fails_and_catches_up_when_it_has_it_again(line: Telltale) -> None:
    iam, lambda_ = line.deployment.client("iam"), line.deployment.client("lambda")
    name = next(
        f["FunctionName"] for f in lambda_.list_functions()["Functions"] if "ExtractFeatures" in f["FunctionName"]
    )
    role = lambda_.get_function_configuration(FunctionName=name)["Role"].rsplit("/", 1)[-1]
    [policy] = iam.list_role_policies(RoleName=role)["PolicyNames"]
    granted = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    without = {**granted, "Statement": [s for s in granted["Statement"] if "s3:PutObject" not in s["Action"]]}
    assert len(without["Statement"]) < len(granted["Statement"])
    before = line.status()["captures"]["records"]
    t_ms = now_ms()

    iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(without))
    with line.connection(GATEWAY) as connection:
        connection.publish(Message(topic(), wire.encode_json(capture(t_ms, temperature_c=43.0))))
        connection.settle()
    time.sleep(5)
    waiting = line.status()["captures"]["records"]
    iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(granted))

    assert waiting == before
    wait_until(lambda: line.status()["captures"]["records"] == before + 1)
    assert "AccessDenied" in line.say("logs", "extract", "--minutes", "2")


def test_a_case_is_shelved_with_a_reason_and_taken_down_again(line: Telltale) -> None:
    [case] = line.status()["cases"]

    line.say("cases", "shelve", case["pk"], "--for", "8h", "--why", "the part comes at noon", "--by", "mia")
    wait_until(lambda: bool(line.status()["cases"][0].get("until_ms")))
    line.say("cases", "unshelve", case["pk"], "--by", "bob")
    wait_until(lambda: not line.status()["cases"][0].get("until_ms"))

    shown = line.say("cases", "show", case["pk"])
    assert "by mia: the part comes at noon" in shown
    assert "unshelved by bob" in shown


def test_the_link_in_the_order_opens_the_page_of_its_case_and_takes_an_answer(line: Telltale) -> None:
    [case] = line.status()["cases"]
    link = line.say("links", "show", case["pk"]).strip()

    with urlopen(link, timeout=30) as answer:
        page, headers = answer.read().decode(), answer.headers
    with pytest.raises(HTTPError) as forged:
        urlopen(link[:-1] + ("A" if link[-1] != "A" else "B"), timeout=30)
    assert link in line.say("orders", "show", case["order_ref"])
    assert "data:image/svg+xml;base64," in page
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert (forged.value.code, FAILING in forged.value.read().decode()) == (403, False)

    urlopen(link, data=urlencode({"answer": "take", "form": "f1", "by": "Mia"}).encode(), timeout=30).close()

    wait_until(lambda: line.status()["cases"][0]["state"] == "NEEDS_MAINTENANCE")
    with urlopen(link, timeout=30) as answer:
        assert "Mia has it." in answer.read().decode()
    assert "IN_PROGRESS by Mia" in line.say("orders", "show", case["order_ref"])


def test_closing_the_order_resolves_the_case_and_stores_the_label(line: Telltale) -> None:
    [case] = line.status()["cases"]

    typo = line.run(
        "orders", "close", case["order_ref"], "--mode", "LUBRICATON", "--cause", "WEAR", "--action", "REPLACE"
    )
    assert typo.returncode == 1
    assert "LUBRICATION" in typo.stderr
    line.say("orders", "close", case["order_ref"], "--mode", "LUBRICATION", "--cause", "WEAR", "--action", "REPLACE")

    wait_until(lambda: line.status()["cases"][0]["change"] == "resolved")
    line.commit()
    [label] = line.query("select case_id, failure_mode, failure_cause, action_taken from labels")
    assert label == {
        "case_id": case["pk"],
        "failure_mode": "LUBRICATION",
        "failure_cause": "WEAR",
        "action_taken": "REPLACE",
    }


def test_maintenance_leaves_one_file_a_day_and_every_row(line: Telltale) -> None:
    line.commit()
    before = {table["table"]: table for table in json.loads(line.say("lake", "--json"))}
    stored = line.query("select capture_id, axis, fs_hz, cardinality(samples) as n from waveforms order by 1, 2")
    days = line.query("select count(distinct date(t)) as days from waveforms")[0]["days"]

    said = line.say("lake", "maintain", "--table", "waveforms")

    [after] = [table for table in json.loads(line.say("lake", "--json")) if table["table"] == "waveforms"]
    assert "files rewritten" in said
    assert after["files"] <= days + 1 < before["waveforms"]["files"]  # the plant goes on: a commit may come between
    assert after["problem"] == ""
    kept = line.query("select capture_id, axis, fs_hz, cardinality(samples) as n from waveforms order by 1, 2")
    assert [row for row in kept if row in stored] == stored
    assert line.query("select count(*) as n from captures")[0]["n"] >= before["captures"]["rows"]


def test_what_monitron_told_is_imported_once_and_comes_back_as_it_was(line: Telltale, tmp_path: Path) -> None:
    told = [_monitron_event(n) for n in range(3)]
    file = tmp_path / "firehose"
    file.write_text("".join(json.dumps(event) for event in told) + '{"eventId": "cut of')

    dry = line.say("import", "monitron", str(file), "--dry-run")
    first = json.loads(line.say("import", "monitron", str(file), "--json"))
    again = json.loads(line.say("import", "monitron", str(file), "--json"))
    line.commit()

    assert "nothing was written" in dry
    assert (first["records"], first["stored"], first["duplicate"], first["quarantined"]) == (4, 3, 0, 1)
    assert again["earlier"] == 4
    told_again = line.say("export", "monitron", "--position", "old-site").splitlines()
    assert [json.loads(one) for one in told_again] == told
    assert line.run("reconcile").returncode == 0


def _monitron_event(n: int) -> dict[str, Any]:
    rms = {f"{axis}Axis": {"rms": 0.5 + n} for axis in "xyz"}
    healthy = dict.fromkeys(
        (f"{kind}ClassificationOutput" for kind in ("previousPersistent", "persistent", "pointwise")), "HEALTHY"
    )
    return {
        "timestamp": f"2026-05-04 0{n}:00:12.345",
        "eventId": f"event-{n}",
        "version": "2.0",
        "accountId": "111122223333",
        "projectName": "plant-a",
        "projectId": "p-0001",
        "eventType": "measurement",
        "eventPayload": {
            "siteName": "old-site",
            "assetName": "pump-07",
            "positionName": "motor-de",
            "sensor": {"physicalId": "aabbccddeeff", "rssi": -61},
            "gateway": {"physicalId": "112233445566"},
            "sequenceNo": n,
            "features": {
                "acceleration": {"band0To6000Hz": rms, "band10To1000Hz": rms},
                "velocity": {"band10To1000Hz": rms},
                "temperature": 41.5,
            },
            "models": {"temperatureML": healthy, "vibrationML": healthy},
            "assetPositionId": "ap-1",
        },
    }


def test_everything_comes_out_in_one_command_and_proves_whole(line: Telltale, tmp_path: Path) -> None:
    line.say("export", "all", "--out", str(tmp_path / "all"))

    assert "whole" in line.say("export", "verify", str(tmp_path / "all"))
    (some := next((tmp_path / "all").rglob("*.parquet"))).write_bytes(some.read_bytes()[:-1])
    assert line.run("export", "verify", str(tmp_path / "all")).returncode == 1


def test_every_named_query_runs_on_the_deployed_lake(line: Telltale) -> None:
    line.commit()

    for file in sorted(Path("queries").glob("*.sql")):
        json.loads(line.say("query", file.stem, "--format", "json"))


@pytest.mark.data
@pytest.mark.skipif(not SHARED.exists(), reason="the FEMTO recordings are not beside the project")
@pytest.mark.parametrize(("bearing", "healthy_until", "failure"), [("Bearing1_4", 388, 1427), ("Bearing3_1", 431, 514)])
def test_a_real_bearing_gets_one_order_before_it_fails_and_none_while_healthy(
    line: Telltale, bearing: str, healthy_until: int, failure: int
) -> None:
    before = {case["pk"] for case in line.status()["cases"]}
    records = line.status()["features"]["records"]

    line.say("replay", str(SHARED / f"{bearing}.npz"), "--rate", "60")

    wait_until(lambda: line.status()["features"]["records"] >= records + failure + 1)
    [case] = [c for c in line.status()["cases"] if c["pk"] not in before]
    [position] = [p for p in line.status()["positions"] if p["pk"] == case["position"]]
    snapshot = failure - (position["last_t_ms"] - case["opened_ms"]) / 10_000  # one every ten seconds
    assert bearing in case["position"]
    assert healthy_until < snapshot < failure
    wait_until(lambda: any(c["pk"] == case["pk"] and c.get("order_ref") for c in line.status()["cases"]))


def test_it_goes_on_where_it_was_after_down_and_up(line: Telltale) -> None:
    line.commit()
    before = line.status()
    rows = line.query("select count(*) as n from captures")

    line.say("down")
    assert line.run("status").returncode == 1
    line.say("up", "--no-simulation", "--once")

    after = line.status()
    assert after["captures"] == before["captures"]
    assert {c["pk"] for c in after["cases"]} == {c["pk"] for c in before["cases"]}
    assert line.query("select count(*) as n from captures") == rows
    send(line, Message(topic(), wire.encode_json(capture(now_ms(), temperature_c=44.0))))


def test_nothing_is_lost_or_doubled_while_functions_are_killed(tmp_path: Path, telltale: Telltale) -> None:
    file = tmp_path / "bench.json"

    done = telltale.run("bench", "line", "--captures", "400", "--json", str(file), timeout=600)

    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads(file.read_text())
    assert (figures["captures"], figures["stored"], figures["lost"], figures["doubled"]) == (400, 400, 0, 0)
    assert (figures["judged"], figures["duplicate"], figures["quarantined"]) == (400, 20, 20)
    assert figures["functions_killed"] > 0
    assert figures["publish_to_case_p95_s"] <= 5
