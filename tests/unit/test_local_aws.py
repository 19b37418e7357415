"""Starting and finding the local AWS, as far as it goes without starting one."""

import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from cli import down, local_aws, local_deploy
from cli.deployment import Deployment, NotDeployed, adopt, current, save
from cli.process import is_running


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (local_aws, down):
        monkeypatch.setattr(module, "HOME", tmp_path)
    return tmp_path


def test_the_certificate_is_made_once_and_is_good_for_localhost(home: Path) -> None:
    certificate, key = local_aws.tls_certificate()
    made = certificate.read_bytes()

    again, _ = local_aws.tls_certificate()

    assert again.read_bytes() == made
    assert key.stat().st_mode & 0o077 == 0
    ssl.create_default_context(cafile=str(certificate)).load_cert_chain(certificate, key)


def test_nothing_runs_where_nothing_was_started(home: Path) -> None:
    assert local_aws.running() is None
    assert local_aws.stop() is False


def test_a_damaged_process_file_means_that_nothing_runs(home: Path) -> None:
    (home / "aws").mkdir()
    (home / "aws" / "process.json").write_text('{"pid": 1')

    assert local_aws.running() is None


def test_a_stranger_with_our_number_is_not_ended(home: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"]) as stranger:
        (home / "plant.pid").write_text(str(stranger.pid))

        down.stop_plant()

        assert stranger.poll() is None
        assert not (home / "plant.pid").exists()
        stranger.kill()


def test_a_process_is_known_by_number_and_command_line() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)", "marker"]) as process:
        assert is_running(process.pid, "marker")
        assert not is_running(process.pid, "something else")
        process.kill()
        process.wait()
        assert not is_running(process.pid, "marker")


def test_a_process_is_known_however_narrow_the_terminal_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    long_path = "/a/deep/folder" * 20

    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)", long_path, "marker"]) as process:
        known = is_running(process.pid, "marker")
        process.kill()

    assert known


def test_buckets_of_a_local_aws_that_was_killed_before_it_saved_anything_are_forgotten(home: Path) -> None:
    bucket = home / "aws" / "s3" / "bucket"
    bucket.mkdir(parents=True)

    local_aws._forget_what_was_never_saved()

    assert not bucket.exists()


def test_buckets_of_a_local_aws_that_was_saved_once_stay(home: Path) -> None:
    bucket = home / "aws" / "s3" / "bucket"
    bucket.mkdir(parents=True)
    (home / "aws" / "state").mkdir()
    (home / "aws" / "state" / "cloudformation.json").write_text("{}")

    local_aws._forget_what_was_never_saved()

    assert bucket.exists()


def test_the_ports_of_the_last_start_are_taken_again(home: Path) -> None:
    (home / "aws").mkdir()
    (home / "aws" / "ports.json").write_text("[4711, 4712, 4713]")

    assert local_aws.ports_before() == (4711, 4712, 4713)


def test_a_start_that_knew_of_no_pages_lets_them_have_any_port(home: Path) -> None:
    (home / "aws").mkdir()
    (home / "aws" / "ports.json").write_text("[4711, 4712]")

    assert local_aws.ports_before() == (4711, 4712, 0)


def test_a_changed_source_changes_the_fingerprint_and_a_cache_does_not(tmp_path: Path) -> None:
    for name in local_deploy.SOURCES:
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if "." in place.name:
            place.write_text("x")
        else:
            place.mkdir()
    before = local_deploy.fingerprint(tmp_path)

    (tmp_path / "lambdas" / "__pycache__").mkdir()
    (tmp_path / "lambdas" / "__pycache__" / "a.pyc").write_bytes(b"x")
    assert local_deploy.fingerprint(tmp_path) == before

    (tmp_path / "lambdas" / "a.py").write_text("x = 1")
    assert local_deploy.fingerprint(tmp_path) != before


def test_a_deployment_is_remembered_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "deployment.json"

    save(Deployment(outputs={"LakeBucket": "b"}, environment={"AWS_REGION": "eu-west-1"}), file)

    assert current(file) == Deployment(outputs={"LakeBucket": "b"}, environment={"AWS_REGION": "eu-west-1"})
    assert file.stat().st_mode & 0o077 == 0


def test_without_a_deployment_the_commands_say_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(NotDeployed) as refused:
        current(tmp_path / "deployment.json")

    assert "telltale up" in str(refused.value)


def test_the_persons_own_aws_settings_do_not_reach_a_deployment_with_keys_of_its_own() -> None:
    persons = {"AWS_PROFILE": "work", "AWS_SESSION_TOKEN": "t", "AWS_ENDPOINT_URL_S3": "x", "PATH": "/bin"}

    adopted = adopt(persons, {"AWS_ACCESS_KEY_ID": "test", "AWS_REGION": "us-east-1"})

    assert adopted == {"PATH": "/bin", "AWS_ACCESS_KEY_ID": "test", "AWS_REGION": "us-east-1"}


def test_a_deployment_in_an_account_is_reached_as_the_person() -> None:
    assert adopt({"AWS_PROFILE": "work"}, {"AWS_REGION": "eu-west-1"}) == {
        "AWS_PROFILE": "work",
        "AWS_REGION": "eu-west-1",
    }
