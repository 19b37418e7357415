"""How the commands read their arguments: help that fits the terminal, errors of two lines, numbers within bounds."""

import argparse
import math
import sys
import textwrap
from typing import Any, NoReturn


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Wraps paragraphs to the terminal; lines that are indented are examples and stay as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = textwrap.dedent(text.strip("\n")).split("\n\n")
        return "\n\n".join(_wrapped(paragraph, width) for paragraph in paragraphs)


def _wrapped(paragraph: str, width: int) -> str:
    if any(line.startswith(" ") or line.startswith("telltale ") for line in paragraph.splitlines()):
        return paragraph
    return textwrap.fill(" ".join(paragraph.split()), width)


class Parser(argparse.ArgumentParser):
    """Says what is wrong and where help is, without the whole usage; its subparsers are of the same kind."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**{"formatter_class": HelpFormatter, **given})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Words for the last argument may stand behind options as well, where it takes any number of them."""
        found, rest = super().parse_known_args(args, namespace)
        last = self._get_positional_actions()[-1:]
        if rest and last and last[0].nargs == "*" and not any(word.startswith("-") for word in rest):
            kind = last[0].type or str
            setattr(found, last[0].dest, [*getattr(found, last[0].dest), *map(kind, rest)])  # type: ignore[arg-type]
            rest = []
        return found, rest

    def error(self, message: str) -> NoReturn:
        print(f"telltale: {message}\n  `scripts/{self.prog} --help` shows what it takes", file=sys.stderr)
        sys.exit(2)


def positive(text: str) -> float:
    """A number above zero."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f'found "{text}", wanted a number above 0')
    return number


def at_least_one(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'found "{text}", wanted a whole number from 1')
    return int(text)
