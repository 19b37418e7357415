"""What may be chosen in a query, by its text alone.

A query names its choices in two ways: `(SELECT position FROM chosen)` is a value that the query finds itself unless it
is given, and a word behind a literal, as in `interval '30' /* days */ day`, makes that literal the value unless
another is given. A given value stands in the text as a literal, so that every engine plans with it.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlglot import tokenize
from sqlglot.tokenizer_core import TokenType
from telltale.adapters.answer import literal
from telltale.adapters.trino import spliced

from cli.problem import Problem

WORD = re.compile(r"[a-z][a-z0-9_]*")
NUMBER = re.compile(r"\d+(\.\d+)?")
CHOSEN = ("(", "select", None, "from", "chosen", ")")  # None: the name of the choice


def choices(sql: str) -> dict[str, str | None]:
    """Each choice with the value that it has unless another is given; None: the query finds one."""
    return {name: default for name, default, *_ in _places(sql)}


def choose(sql: str, given: Mapping[str, str]) -> str:
    """The text with these values; Problem if there is no such choice, or no number where one is wanted."""
    places = _places(sql)
    known = {name: default for name, default, *_ in places}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            there = f"there are {', '.join(known)}" if known else "this query has none"
            raise Problem(f"there is nothing to choose named {name}", f"did you mean {near[0]}?" if near else there)
    changes = {}
    for name, default, place, quoted in places:
        if name in given:
            changes[place] = _value(name, given[name], default, quoted)
    return spliced(sql, changes)


def pairs(words: Sequence[str]) -> dict[str, str]:
    """`name=value` words as a mapping."""
    wrong = [word for word in words if "=" not in word]
    if wrong:
        raise Problem(f'found "{wrong[0]}" after the query, wanted name=value', "as in: query trend position=P days=90")
    return dict(word.split("=", 1) for word in words)


def _value(name: str, given: str, default: str | None, quoted: bool) -> str:
    if default is None or not NUMBER.fullmatch(default):
        return literal(given)
    if not NUMBER.fullmatch(given) or ("." in given and quoted):
        raise Problem(f"found {name}={given}, wanted a {'whole ' if quoted else ''}number such as {default}")
    return f"'{given}'" if quoted else given


def _places(sql: str) -> list[tuple[str, str | None, tuple[int, int], bool]]:
    """Of each choice the name, the default, where it stands, and whether its literal is in quotation marks."""
    tokens: list[Any] = tokenize(sql, read="trino")
    found: list[tuple[str, str | None, tuple[int, int], bool]] = []
    for number, token in enumerate(tokens):
        run = tokens[number : number + len(CHOSEN)]
        if [word and each.text.lower() for word, each in zip(CHOSEN, run, strict=False)] == list(CHOSEN):
            found.append((run[2].text, None, (token.start, run[-1].end + 1), False))
        word = token.comments[0].strip() if len(token.comments) == 1 else ""
        if token.token_type in (TokenType.STRING, TokenType.NUMBER) and WORD.fullmatch(word):
            place = (token.start, token.end + 1)
            found.append((word, token.text, place, token.token_type == TokenType.STRING))
    return found
