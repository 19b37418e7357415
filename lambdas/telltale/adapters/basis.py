"""What a verdict was made with, as a case keeps it: code, limits, the position as it was set, what was known before.

With it, the verdict is made again from the stored row alone, however much history has aged away.
"""

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from telltale import VERSION
from telltale.adapters import registry
from telltale.adapters.feature_stream import Message
from telltale.core import limits
from telltale.core.plant import Position
from telltale.core.state import State

CORE = Path(limits.__file__).parent
DIGITS = 12  # of an id that people read; git shows as few


@dataclass(frozen=True)
class Basis:
    """A basis as it is read back. core, limits : ids of what judged. digests : of the message; None: not kept then."""

    version: str
    core: str
    limits: str
    position: Position
    state: State
    digests: dict[str, str] | None


def basis(message: Message, state: State, position: Position) -> dict[str, Any]:
    """What a row is judged with, as plain values. state : what was known before it."""
    return {
        "version": VERSION,
        "core": core_id(),
        "limits": limits_id(),
        "position": registry.encode(position),
        "state": base64.b64encode(state.pack()).decode(),
        "digests": dict(message.digests) if message.digests is not None else None,
    }


def read(kept: dict[str, Any]) -> Basis:
    """What `basis` made. ValueError, KeyError or TypeError where this version cannot read it."""
    position = registry.decode("position", kept["position"])
    if not isinstance(position, Position):
        raise TypeError(f"found {position}, wanted a position")
    state = State.unpack(base64.b64decode(kept["state"]))
    return Basis(kept["version"], kept["core"], kept["limits"], position, state, kept["digests"])


def code_version() -> str:
    """Telltale's version, and which source of the core it is: `0.1.0+3f2a…`."""
    return f"{VERSION}+{core_id()}"


@cache
def core_id() -> str:
    """The first digits of the id that git gives the folder of the core: it finds the commit that judged."""
    return tree_id(CORE)[:DIGITS]


@cache
def limits_id() -> str:
    """An id of the table of ISO profiles: boundaries, sources, all."""
    return hashlib.sha256(repr(sorted(limits.PROFILES.items())).encode()).hexdigest()[:DIGITS]


def tree_id(folder: Path) -> str:
    """What `git rev-parse HEAD:FOLDER` says of a folder of plain files, from the files alone.

    A tree is a list of mode, name and SHA-1, ordered by name with a slash behind those of folders (git's Internals,
    "Git Objects"). What is compiled is left out.
    """
    entries = []
    for path in folder.iterdir():
        if path.is_dir() and path.name != "__pycache__":
            entries.append((f"{path.name}/", b"40000", bytes.fromhex(tree_id(path))))
        elif path.is_file() and path.suffix != ".pyc":
            entries.append((path.name, b"100644", _sha1(b"blob", path.read_bytes())))
    body = b"".join(
        mode + b" " + name.removesuffix("/").encode() + b"\0" + digest for name, mode, digest in sorted(entries)
    )
    return _sha1(b"tree", body).hex()


def _sha1(kind: bytes, body: bytes) -> bytes:
    return hashlib.sha1(kind + b" " + str(len(body)).encode() + b"\0" + body, usedforsecurity=False).digest()
