"""What the pages tell a reader to type, the command takes; what they link to is there."""

import argparse
import re
import shlex
import tomllib
from pathlib import Path

import pytest
from cli.__main__ import COMMANDS, parser_for
from cli.deployment import ROOT
from cli.test import PARTS

PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```\w*\n(.*?)^```|^(?: {4}\S.*\n)+", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`(?:scripts/)?telltale ([a-z][^`]*)`")
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#]+)")
COMMAND = re.compile(r"^\s*scripts/telltale (.+)$", re.MULTILINE)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def commands_in(page: Path) -> list[str]:
    blocks = [block.group(0) for block in BLOCK.finditer(page.read_text())]
    return [command for block in blocks for command in COMMAND.findall(block)]


SHOWN = [(name(page), command) for page in PAGES for command in commands_in(page)]
MENTIONED = sorted({(name(page), words) for page in PAGES for words in INLINE.findall(page.read_text())})


def parsed(command: str) -> argparse.Namespace:
    words = shlex.split(command, comments=True)
    if "<" in words:
        words = words[: words.index("<")]  # the shell's business
    return parser_for(words[0]).parse_args(words)


def test_the_pages_show_commands() -> None:
    assert len(SHOWN) > 20


@pytest.mark.parametrize(("page", "command"), SHOWN)
def test_a_command_in_a_code_block_is_one_that_the_parser_takes(page: str, command: str) -> None:
    assert parsed(command).command in COMMANDS


@pytest.mark.parametrize(("page", "words"), MENTIONED)
def test_a_command_in_the_text_exists(page: str, words: str) -> None:
    assert words.split()[0] in COMMANDS


def test_an_unknown_command_or_option_would_be_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in ("statsu", "status --jsn", "cases shwo x"):
        with pytest.raises(SystemExit):
            parsed(wrong)
    capsys.readouterr()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_link_leads_to_a_file(page: Path) -> None:
    missing = [target for target in LINK.findall(page.read_text()) if not (page.parent / target).exists()]

    assert missing == []


def test_the_paths_that_the_readme_names_exist() -> None:
    named = re.findall(r"`((?:app\.py|infra|lambdas|cdk\.json)[\w/.]*)`", (ROOT / "README.md").read_text())

    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_readme_wants_the_python_that_the_project_does() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")

    assert f"Python {wanted} or later" in (ROOT / "README.md").read_text()


def test_the_parts_of_the_tests_that_are_named_exist() -> None:
    [named] = re.findall(r"`scripts/telltale test ([\w ]+)`", (ROOT / "CONTRIBUTING.md").read_text())

    assert set(named.split()) <= set(PARTS)


def test_the_readme_names_the_recordings_that_can_be_replayed() -> None:
    [line] = [command for page, command in SHOWN if page == "README.md" and command.startswith("replay")]

    assert set(re.findall(r"\.\w+", line)) == {".npz", ".wav", ".csv", ".parquet"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parser_for(command).parse_args([command, "--help"])

    assert left.value.code == 0
    assert f"usage: telltale {command}" in capsys.readouterr().out
