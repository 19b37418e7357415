"""Where Monitron's names lie in the plant: site, asset and position become the path of a position.

A name becomes an id of the plant file: what an id cannot have becomes a hyphen. Where more than spaces is lost that
way, four digits made of the name go behind it, so that two names do not become one id.
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

AREA = "main"  # Monitron has none between site and asset
LONGEST = 64  # characters of an id
FOREIGN = re.compile(r"[^A-Za-z0-9_.:-]+")


@lru_cache(maxsize=100_000)
def id_of(name: str) -> str:
    """The same for the same name, always."""
    spaced = "-".join(name.split())
    plain = unicodedata.normalize("NFKD", spaced).encode("ascii", "ignore").decode()
    found = FOREIGN.sub("-", plain).strip("-")
    if found == spaced and len(found) <= LONGEST and found:
        return found
    digits = hashlib.blake2b(name.encode(), digest_size=2).hexdigest()
    return f"{found[: LONGEST - 5]}-{digits}".lstrip("-")


@dataclass
class Paths:
    """Paths by names. `given` says where else something lies: by Monitron's assetPositionId, or by its names with a
    slash between site, asset and position.
    """

    area: str = AREA
    given: Mapping[str, str] = field(default_factory=dict)
    renamed: dict[str, set[str]] = field(default_factory=dict)  # assetPositionId → the paths it got
    sharing: dict[str, set[tuple[str, ...]]] = field(default_factory=dict)  # path → the names that became it

    def path(self, site: str, asset: str, position: str, position_id: str) -> str:
        names = (site, asset, position)
        known = self.given.get(position_id) or self.given.get("/".join(names))
        found = known or f"{id_of(site)}/{self.area}/{id_of(asset)}/{id_of(position)}"
        if position_id:
            self.renamed.setdefault(position_id, set()).add(found)
        self.sharing.setdefault(found, set()).add(names if known is None else (known,))
        return found

    def site(self, name: str) -> str:
        """The site's id: where its positions were put, if they were."""
        found = next((path for key, path in self.given.items() if key.startswith(f"{name}/")), None)
        return found.split("/")[0] if found else id_of(name)

    def notes(self) -> Sequence[str]:
        """What a person should look at."""
        moved = [
            f"position {number} had more than one name, and lies at {' and '.join(sorted(paths))}: give it one path"
            for number, paths in sorted(self.renamed.items())
            if len(paths) > 1
        ]
        shared = [
            f"{' and '.join('/'.join(one) for one in sorted(names))} became one position, {path}: give each its path"
            for path, names in sorted(self.sharing.items())
            if len(names) > 1
        ]
        return [f"{note} (`positions` in a --mapping file)" for note in moved + shared]
