"""Measure the diagnosis on recordings with labels."""

import argparse
from collections.abc import Mapping
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """To come."""


def figures(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was measured, by name."""
    raise NotImplementedError


def failed(found: Mapping[str, Any]) -> bool:
    """The figures are figures; none is a failure."""
    return False
