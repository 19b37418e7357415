"""Real maintenance systems on this computer, for tests and measurements: installed below `.telltale/peers`, never on
the system, and reachable from this computer only.
"""

from cli.deployment import ROOT
from cli.problem import Problem

HOME = ROOT / ".telltale" / "peers"


class Gone(Problem):
    """A package that the system is made of cannot be had here, or not any more: who needs it goes without, loudly."""
