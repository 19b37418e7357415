"""How the command meets its user's mistakes: two lines, no traceback, an exit status that is not zero."""

import errno
import socket
import sys
from pathlib import Path

import botocore.exceptions
import pytest
from cli import __main__ as command
from cli import doctor, down, test
from cli.arguments import HelpFormatter, at_least_one, positive
from cli.deployment import Deployment, NotDeployed, current, save
from cli.logs import _short
from cli.problem import Problem
from cli.readers import NoRecording
from cli.recordings import Options, open_recording


def said(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit status and what stands on stderr."""
    monkeypatch.setattr(sys, "argv", ["telltale", *arguments])
    try:
        status = command.main()
    except SystemExit as left:
        status = int(left.code or 0)
    return status, capsys.readouterr().err


def test_without_a_command_the_commands_are_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, told = said([], monkeypatch, capsys)

    assert status == 2
    assert all(name in told for name in command.COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["statsu"], 'did you mean "status"?'),
        (["nosuchthing"], 'there is no command "nosuchthing"'),
        (["simulate", "--rate", "0"], "wanted a number above 0"),
        (["simulate", "--speed", "-3"], "wanted a number above 0"),
        (["simulate", "--captures", "-1"], "wanted a whole number from 1"),
        (["simulate", "--samples", "0"], "wanted a whole number from 1"),
        (["replay", "x.csv", "--rate", "nan"], "wanted a number above 0"),
    ],
)
def test_a_mistake_on_the_command_line_is_told_in_two_lines(
    arguments: list[str], wanted: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, told = said(arguments, monkeypatch, capsys)

    assert status == 2
    assert wanted in told
    assert len(told.splitlines()) == 2


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "x.json"), "Permission denied: x.json"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (botocore.exceptions.EndpointConnectionError(endpoint_url="https://localhost:1"), "localhost:1"),
        (botocore.exceptions.ClientError({"Error": {"Code": "ExpiredToken"}}, "Scan"), "ExpiredToken"),
    ],
)
def test_what_the_computer_refuses_is_told_without_a_traceback(
    error: Exception, wanted: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(arguments: object) -> int:
        raise error

    monkeypatch.setattr(doctor, "run", refuse)
    status, told = said(["doctor"], monkeypatch, capsys)

    assert status == 1
    assert wanted in told
    assert len(told.splitlines()) == 2


def test_a_local_telltale_that_does_not_run_is_told_at_once(tmp_path: Path) -> None:
    with socket.socket() as probe:  # bound, but nobody listens
        probe.bind(("127.0.0.1", 0))
        file = tmp_path / "deployment.json"
        save(Deployment({}, {"AWS_ENDPOINT_URL": f"https://localhost:{probe.getsockname()[1]}"}), file)

        with pytest.raises(NotDeployed, match="scripts/telltale up"):
            current(file)


def test_help_wraps_its_prose_and_leaves_examples_alone() -> None:
    example = "  telltale something --with a-very-long-option  what it does, in rather many words, beyond the width"
    text = f"{'prose ' * 30}\n\n{example}"

    lines = HelpFormatter("telltale", width=60)._fill_text(text, 60, "").splitlines()

    assert lines[-1] == example
    assert max(map(len, lines[:-1])) <= 60


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "many", ""])
def test_only_a_finite_number_above_zero_is_positive(text: str) -> None:
    with pytest.raises(Exception, match="wanted a number above 0"):
        positive(text)


def test_whole_numbers_count_from_one() -> None:
    assert at_least_one("1") == 1
    with pytest.raises(Exception, match="wanted a whole number"):
        at_least_one("1.5")


def test_a_function_is_called_by_its_name_alone() -> None:
    assert _short("/aws/lambda/TelltaleLine-ExtractFeaturesLog13FBFEC1-x") == "ExtractFeatures"


def test_a_part_of_the_tests_that_is_unknown_is_refused_with_those_that_exist(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, told = said(["test", "units"], monkeypatch, capsys)

    assert status == 1
    assert all(part in told for part in test.PARTS)


def test_a_damaged_archive_is_no_recording(tmp_path: Path) -> None:
    file = tmp_path / "damaged.npz"
    file.write_bytes(b"PK\x03\x04garbage")

    with pytest.raises(NoRecording, match=r"damaged\.npz: damaged"):
        open_recording(file, Options())


def test_a_column_to_map_that_is_not_there_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("t_ms,temp\n1,2\n2,3\n")

    with pytest.raises(Problem, match=r"wanted also tmp"):
        open_recording(file, Options(columns={"tmp": "temperature_c"}))


def test_purging_leaves_no_log_and_no_memory_of_a_simulation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(down, "HOME", tmp_path)
    for name in ("plant.log", "simulation-riverside.json", "replay-abc.json"):
        (tmp_path / name).write_text("{}")

    down.purge()

    assert list(tmp_path.iterdir()) == []
