"""What the tags of an asset are called, and where in the lake they come from.

  process/flow                 a reading: the tag `flow` that came with captures of the position `process`
  motor-de/temperature_c       a scalar of its captures: temperature_c or speed_rpm
  motor-de/x/rms_g             a condition indicator of one axis of them

The first part is the position's own name, without the path of the asset.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from telltale.core.capture import AXES
from telltale.core.schema import FEATURES

SCALARS = ("temperature_c", "speed_rpm")  # columns of the lake's captures; a reading of such a name is not seen
INDICATORS = frozenset(column.name for column in FEATURES)
# What is used where nobody chose: all readings, the temperature, and of each axis what practice trends first (ISO's
# velocity, and the envelope that bearings show in). A choice: more indicators of one axis say mostly the same.
BY_DEFAULT = ("temperature_c", "velocity_rms_mm_s", "env_rms_g")


@dataclass(frozen=True)
class Source:
    """Where a tag comes from. `position` : full path.   `axis` : of an indicator, else None."""

    position: str
    name: str
    axis: str | None = None

    @property
    def tag(self) -> str:
        """Its name among the tags of its asset."""
        own = self.position.rsplit("/", 1)[1]
        return f"{own}/{self.name}" if self.axis is None else f"{own}/{self.axis}/{self.name}"

    @property
    def table(self) -> str:
        """The table of the lake that has it."""
        if self.axis is not None:
            return "features"
        return "captures" if self.name in SCALARS else "readings"


def source(asset: str, tag: str) -> Source:
    """Where the tag of this asset comes from. ValueError for what is no name of a tag."""
    parts = tag.split("/")
    if len(parts) == 3 and parts[1] in AXES and parts[2] in INDICATORS and parts[0]:
        return Source(f"{asset}/{parts[0]}", parts[2], parts[1])
    if len(parts) == 2 and all(parts):
        return Source(f"{asset}/{parts[0]}", parts[1])
    raise ValueError(
        f'found the tag "{tag}", wanted position/tag, position/temperature_c or position/axis/indicator of {asset}'
    )


def chosen(found: Iterable[Source], patterns: Sequence[str]) -> tuple[str, ...]:
    """The tags that one of the patterns fits (`*` for anything, `?` for one character), sorted.

    Without patterns: all readings, and BY_DEFAULT.
    """
    if not patterns:
        return tuple(sorted({one.tag for one in found if one.table == "readings" or one.name in BY_DEFAULT}))
    return tuple(sorted({one.tag for one in found if any(fnmatchcase(one.tag, pattern) for pattern in patterns)}))


def of_positions(tags: Iterable[str], asset: str) -> Collection[str]:
    """The positions that these tags are of."""
    return {source(asset, tag).position for tag in tags}
