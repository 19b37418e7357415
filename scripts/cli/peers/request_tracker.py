"""A real Request Tracker 5 out of Debian's packages, set up as docs/cmms/request-tracker.md tells a plant to.

The packages are unpacked below `.telltale/peers/request_tracker` with the paths in them rewritten, and not installed:
it takes no rights, and an RT that the computer has already is not touched. Each run has its own copy of the database
(SQLite), its own port on the loopback interface, and sends no mail.
"""

import fcntl
import http.client
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.deployment import ROOT
from cli.peers import HOME, Gone

PACKAGES = ("request-tracker5", "rt5-db-sqlite", "rt5-standalone")
UNWANTED = ("./usr/share/doc", "./usr/share/man", "./usr/share/locale", "./usr/share/fonts", "./usr/share/icons")
PATHS = r"/(usr/share|usr/local/share|etc|var/lib|var/cache)/request-tracker5"  # as Debian builds them in
PROGRAMS = ("usr/sbin", "usr/bin", "usr/share/request-tracker5/lib", "usr/share/request-tracker5/libexec")
PASSWORD = "of-nobody-outside-this-computer"
START_S = 60
DATA, PAGE = Path(__file__).with_suffix(".pl"), ROOT / "docs" / "cmms" / "request-tracker.md"


@dataclass(frozen=True)
class Running:
    """An RT that runs, with queue `Maintenance`, catalog `Machines`, asset `pump-7`; people: mia, jo, root."""

    url: str
    token: str
    hints: str  # the secret that its scrip signs with
    password: str = PASSWORD


def install(say: Callable[[str], None] = print, home: Path = HOME / "request_tracker") -> Path:
    """The folder that RT is in, with a database that is set up. Raises Gone where Debian's packages cannot be had."""
    for program in ("apt-get", "dpkg-deb", "perl", "sed"):
        if shutil.which(program) is None:
            raise Gone(f"Request Tracker comes from Debian's packages, and there is no {program} here")
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made_of = _made_of(home)
        stamp = home / "stamp"
        if not stamp.exists() or stamp.read_text() != made_of:
            stamp.unlink(missing_ok=True)
            _unpack(home, say)
            _set_up(home, say)
            stamp.write_text(made_of)
    return home


@contextmanager
def serving(
    port: int, hints_url: str = "", say: Callable[[str], None] = print, home: Path = HOME / "request_tracker"
) -> Iterator[Running]:
    """RT on this port of 127.0.0.1 until the block ends. hints_url : where its scrip sends its messages."""
    install(say, home)
    run = Path(tempfile.mkdtemp(prefix="run-", dir=home))
    try:
        shutil.copy(home / "rt.sqlite", run / "rt.sqlite")
        hints = "of RT and Telltale alone"
        environment = _environment(home, _configured(run, port, hints_url, hints))
        command = [
            "perl", str(home / "root/usr/share/request-tracker5/libexec/rt-server"),
            "--server", "Standalone", "--host", "127.0.0.1", "--port", str(port),
        ]  # fmt: skip
        with (run / "log").open("w") as log:
            server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=run)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(server, port, run / "log")
            yield Running(url, json.loads((home / "bot.json").read_text())["token"], hints)
        finally:
            server.terminate()
            server.wait()
    finally:
        shutil.rmtree(run, ignore_errors=True)


def _made_of(home: Path) -> str:
    """What the installation depends on: another of these and it is made anew."""
    perl = subprocess.run(["perl", "-e", "print $^V"], capture_output=True, text=True, check=True).stdout
    return "\n".join([str(home), perl, Path(__file__).read_text(), DATA.read_text(), _scrip()])


def _scrip() -> str:
    """The scrip as the page gives it to plants."""
    return PAGE.read_text().split("```perl\n")[1].split("```")[0]


def _unpack(home: Path, say: Callable[[str], None]) -> None:
    say("Request Tracker 5: fetching Debian's packages (65 MB)")
    root, apt = home / "root", home / "apt"
    shutil.rmtree(root, ignore_errors=True)
    for folder in (root, apt / "lists" / "partial", apt / "cache" / "archives" / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    own = ["Debug::NoLocking=1", f"Dir::State::lists={apt}/lists", f"Dir::Cache={apt}/cache"]
    own += [] if os.geteuid() else ["APT::Sandbox::User=root"]
    options = [part for one in own for part in ("-o", one)]
    _run(["apt-get", *options, "-qq", "update"], "the lists of Debian's packages")
    fetch = ["apt-get", *options, "-qq", "-y", "--no-install-recommends", "--download-only", "install", *PACKAGES]
    _run(fetch, "Debian's packages of Request Tracker 5")
    say("Request Tracker 5: unpacking")
    excluded = [f"--exclude={path}" for path in UNWANTED]
    for package in sorted((apt / "cache" / "archives").glob("*.deb")):
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as files:
            subprocess.run(["tar", "x", "-C", str(root), *excluded], stdin=files.stdout, check=True)
        if files.returncode:
            raise Gone(f"{package.name} cannot be unpacked")
    shutil.rmtree(apt)
    named = subprocess.run(["grep", "-rlE", PATHS, *PROGRAMS], cwd=root, capture_output=True, text=True, check=True)
    subprocess.run(["sed", "-i", "-E", f"s#{PATHS}#{root}&#g", *named.stdout.split()], cwd=root, check=True)


def _set_up(home: Path, say: Callable[[str], None]) -> None:
    say("Request Tracker 5: setting up queue, custom fields, users and rights")
    for left in home.glob("rt.sqlite*"):
        left.unlink()
    environment = _environment(home, _configured(home, 1, "", ""))
    setup = home / "root/usr/sbin/rt-setup-database-5"
    _run(["perl", str(setup), "--action", "init", "--skip-create"], "RT's database", environment)
    data = _run(["perl", str(DATA), _scrip(), PASSWORD], "RT's queue", environment)
    (home / "bot.json").write_text(data)


def _configured(folder: Path, port: int, hints_url: str, hints: str) -> Path:
    settings = {
        "rtname": "peer",
        "Organization": "peer.example",
        "WebDomain": "127.0.0.1",
        "WebPort": str(port),
        "DatabaseType": "SQLite",
        "DatabaseName": str(folder / "rt.sqlite"),
        "BcryptCost": "4",  # the least; RT's 12 takes 0.2 s of each request
        "MailCommand": "sendmailpipe",
        "SendmailPath": "/bin/true",
        "LogToSTDERR": "warning",
        "TelltaleUrl": hints_url,
        "TelltaleSecret": hints,
    }
    lines = [f"Set(${name}, '{value}');" for name, value in settings.items()]
    file = folder / "RT_SiteConfig.pm"
    file.write_text("\n".join([*lines, "Set($LogToSyslog, undef);", "1;"]) + "\n")
    return file


def _environment(home: Path, config: Path) -> Mapping[str, str]:
    root = home / "root"
    # Perl's folders carry its version and the machine's architecture in their names.
    modules = [root / "usr/share/request-tracker5/lib", root / "usr/share/perl5"]
    modules += sorted(root.glob("usr/share/perl/5.*")) + sorted(root.glob("usr/lib/*/perl*/5.*"))
    modules += sorted(root.glob("usr/lib/*/perl-base"))
    libraries = [*root.glob("usr/lib/*-linux-*"), *root.glob("lib/*-linux-*")]
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(config.parent),
        "PERL5LIB": ":".join(map(str, modules)),
        "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
        "RT_SITE_CONFIG": str(config),
        "RT_SITE_CONFIG_DIR": str(config.parent / "none"),
    }


def _run(command: list[str], what: str, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise Gone(f"{what} cannot be had: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


def _wait(server: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and server.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_S)
        try:
            connection.request("GET", "/REST/2.0/rt")
            connection.getresponse()
        except OSError:
            time.sleep(0.1)
        else:
            return
        finally:
            connection.close()
    raise Gone(f"Request Tracker does not start: {log.read_text()[-300:]}")
