"""Debian packages fetched with the machine's own apt and unpacked into a folder: nothing is installed, nobody is root.

apt keeps lists and cache in that folder too, so that the machine's own are neither needed nor touched.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from cli.peers import Gone

SOURCES = Path("/etc/apt")
WITHIN_S = 600  # a guess: the largest package is 120 MB


class Apt:
    """apt with lists and cache below `home`. suite : another one of Debian's than the machine's own."""

    def __init__(self, home: Path, *, suite: str = "") -> None:
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            raise Gone("apt-get is not on this machine, and the package is Debian's")
        self._home = home
        for folder in ("lists/partial", "cache/archives/partial", "parts"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        self._options = ["-o", f"Dir::State::lists={home}/lists", "-o", f"Dir::Cache={home}/cache"]
        self._options += ["-o", "APT::Sandbox::User=root"]
        if suite:
            kind, text = of_suite(suite)
            (home / "parts" / f"{suite}.{kind}").write_text(text)
            self._options += ["-o", "Dir::Etc::sourcelist=/dev/null", "-o", f"Dir::Etc::sourceparts={home}/parts"]

    def update(self) -> None:
        self._run("update")

    def needed(self, package: str) -> list[str]:
        """The package and all that it depends on, be it on this machine or not."""
        only = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
        said = self._run("depends", "--recurse", *(f"--no-{one}" for one in only), package, program="apt-cache")
        return sorted(set(re.findall(r"^([a-z0-9][a-z0-9+.-]*)$", said, re.M)))

    def download(self, packages: Sequence[str], into: Path) -> list[Path]:
        into.mkdir(parents=True, exist_ok=True)
        self._run("download", *packages, cwd=into)
        return sorted(into.glob("*.deb"))

    def _run(self, *arguments: str, program: str = "apt-get", cwd: Path | None = None) -> str:
        command = [program, *self._options, "-o", "quiet=2", *arguments]
        try:
            done = subprocess.run(command, cwd=cwd or self._home, capture_output=True, text=True, timeout=WITHIN_S)
        except subprocess.TimeoutExpired:
            raise Gone(f"`{program} {arguments[0]}` took more than {WITHIN_S} s") from None
        if done.returncode != 0:
            raise Gone(f"`{program} {' '.join(arguments)}` failed: {done.stderr.strip()[-500:]}")
        return done.stdout


def of_suite(suite: str) -> tuple[str, str]:
    """The machine's Debian source with another suite: "sources" or "list", and the file's text."""
    for path in sorted(SOURCES.glob("sources.list.d/*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text()):
            suites = re.search(r"^Suites:(.*)$", stanza, re.M)
            if suites and _debian(suites[1]) and not re.search(r"^Enabled:\s*no", stanza, re.M | re.I):
                return "sources", re.sub(r"^Suites:.*$", f"Suites: {suite}", stanza, flags=re.M) + "\n"
    for path in [SOURCES / "sources.list", *sorted(SOURCES.glob("sources.list.d/*.list"))]:
        for line in path.read_text().splitlines() if path.exists() else ():
            parts = re.match(r"deb\s+(\[.*?\]\s+)?(\S+)\s+(\S+)\s+main\b", line)
            if parts and _debian(parts[3]):
                return "list", f"deb {parts[1] or ''}{parts[2]} {suite} main\n"
    raise Gone("this machine has no source of Debian packages")


def _debian(suites: str) -> bool:
    """Whether these are suites of Debian itself: not of its security updates, nor of another distribution."""
    debian = ("bullseye", "bookworm", "trixie", "forky", "sid", "stable", "testing", "unstable", "oldstable")
    return any(suite in debian for suite in suites.split())


def unpack(package: Path, into: Path, *, leave_out: Sequence[str] = ()) -> None:
    """The package's files below `into`. leave_out : patterns of tar."""
    into.mkdir(parents=True, exist_ok=True)
    opened = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE)
    command = ["tar", "--extract", "--no-same-owner", "-C", str(into), *(f"--exclude={one}" for one in leave_out)]
    done = subprocess.run(command, stdin=opened.stdout)
    if opened.stdout:
        opened.stdout.close()
    if opened.wait() != 0 or done.returncode != 0:
        raise Gone(f"{package.name} could not be unpacked into {into}")
