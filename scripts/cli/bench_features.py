"""Measure the signal core: time of the routine and the diagnostic set, as ratios to an FFT in the same run."""

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
