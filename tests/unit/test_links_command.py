"""`telltale links`, and the link that `cases show` and `orders show` print: they open, until they are revoked."""

import time
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType

import pytest
from cli import cases as cases_command
from cli import links as links_command
from cli import orders as orders_command
from cli.problem import Problem
from telltale.adapters.links import LinkKeys
from telltale.core.links import EVIDENCE, BadLink

from tests.aws_line import Clock, Office, aws, change, office
from tests.unit.test_order_commands import CASE, KEY, deployment, types
from tests.unit.test_order_commands import EVIDENCE as OF_THE_CASE

PAGES = "https://pages.example/"


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """A plant with one open case and its order, found as the current deployment, which has the page."""
    with aws() as made:
        at = office(made, Clock())
        at.worker().settle(at.open(change(evidence=OF_THE_CASE)))
        arn = made.secrets.create_secret(Name="link-key", SecretString="k" * 64)["ARN"]
        plain = deployment(made)
        here = replace(plain, outputs={**plain.outputs, "PagesUrl": PAGES, "LinkKeyArn": arn})
        for command in (cases_command, orders_command, links_command):
            monkeypatch.setattr(command, "current", lambda: here)
        yield at


def case_of(token: str) -> str:
    """The case that the page shows for this link; raises BadLink."""
    here = vars(links_command)["current"]()
    keys = LinkKeys(here.client("secretsmanager"), here.outputs["LinkKeyArn"])
    claims = keys.claims(token, now_s=time.time())
    assert claims.purpose == EVIDENCE
    return claims.subject


def printed(text: str) -> str:
    """The token of the one link in the text."""
    [link] = [word for word in text.split() if word.startswith(PAGES)]
    return link.removeprefix(PAGES)


@pytest.mark.parametrize(
    ("command", "what"),
    [(cases_command, CASE), (orders_command, KEY), (links_command, CASE)],
    ids=["case", "order", "link"],
)
def test_what_is_shown_of_a_case_has_the_link_to_its_page(
    at: Office, capsys: pytest.CaptureFixture[str], command: ModuleType, what: str
) -> None:
    types(command, "show", what)

    assert case_of(printed(capsys.readouterr().out)) == CASE


def test_a_stage_without_pages_shows_no_link(
    at: Office, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cases_command, "current", lambda: deployment(at.aws))
    monkeypatch.setattr(links_command, "current", lambda: deployment(at.aws))

    types(cases_command, "show", CASE)

    assert "https://" not in capsys.readouterr().out
    with pytest.raises(Problem, match="no evidence page"):
        types(links_command, "show", CASE)


def test_a_link_outlives_one_rotation_and_revoking_ends_it(at: Office, capsys: pytest.CaptureFixture[str]) -> None:
    types(links_command, "show", CASE)
    token = printed(capsys.readouterr().out)

    types(links_command, "rotate")
    assert case_of(token) == CASE

    with pytest.raises(Problem, match="--yes"):
        types(links_command, "revoke")
    assert case_of(token) == CASE

    types(links_command, "revoke", "--yes")
    with pytest.raises(BadLink):
        case_of(token)


def test_a_case_that_is_not_there_has_no_link(at: Office) -> None:
    with pytest.raises(Problem, match="there is no case"):
        types(links_command, "show", "case-nowhere")
