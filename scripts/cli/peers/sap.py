"""SAP's own definitions of its maintenance services, served on this computer by SAP's open framework CAP.

The definitions (properties, lengths, keys) are those that SAP publishes with its Cloud SDK. They are left as they are
but for what CAP needs: a path, tables to keep entities in, and no associations that name no condition. CAP gives
filters, expands and the errors of OData V2. It knows nothing of what SAP does with a notification.

The packages come from npm under SAP's own licences when a test or a measurement wants them; none is part of Telltale.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cli import peers
from cli.toolchain import NODE, NPM, environment

HOME = peers.HOME / "sap"
PINS = {
    "@sap/cds": "10.1.1",
    "@cap-js/sqlite": "3.1.1",
    "@cap-js-community/odata-v2-adapter": "1.15.10",
    "express": "4.22.3",
}
SERVICES = {  # OData service: the package that holds its definition, the namespace there
    "API_MAINTNOTIFICATION": ("maintenance-notification-service", "cds_api_maintnotification"),
    "API_EQUIPMENT": ("equipment-service", "cds_api_equipment"),
    "API_FUNCTIONALLOCATION": ("functional-location-service", "cds_api_functionallocation"),
    "API_MATERIAL_STOCK_SRV": ("material-stock-service", "API_MATERIAL_STOCK_SRV"),
}
DEFINITIONS = "2.1.0"  # of SAP's Cloud SDK
ROOT = "/sap/opu/odata/sap"
CDS = {
    "requires": {"db": {"kind": "sqlite", "credentials": {"url": ":memory:"}}, "auth": {"kind": "dummy"}},
    "cov2ap": {"plugin": True, "path": ROOT},
}
LOOPBACK_ONLY = """const cds = require('@sap/cds')
cds.on('bootstrap', app => {
  const listen = app.listen
  app.listen = (port, ...rest) => listen.call(app, { port, host: '127.0.0.1' }, ...rest)
})
module.exports = cds.server
"""
INSTALLED_WITHIN_S, READY_WITHIN_S = 300, 60


def install() -> Path:
    """Where the services are ready to run. Raises Gone when npm cannot get them."""
    stamp = hashlib.sha256(json.dumps([PINS, SERVICES, DEFINITIONS, CDS, LOOPBACK_ONLY]).encode()).hexdigest()[:16]
    ready = HOME / stamp
    if ready.exists():
        return ready
    HOME.mkdir(parents=True, exist_ok=True)
    print(f"installing SAP's service definitions and CAP below {HOME}", flush=True)
    with tempfile.TemporaryDirectory(dir=HOME) as temporary:
        made = Path(temporary) / "services"
        made.mkdir()
        _packages(made)
        for service, (package, namespace) in SERVICES.items():
            _definition(made, service, package, namespace)
        (made / "server.js").write_text(LOOPBACK_ONLY)
        if not ready.exists():  # another process may have been quicker
            shutil.move(made, ready)
    return ready


@contextmanager
def serving() -> Iterator[str]:
    """Address of the folder of services, empty and running until the block ends."""
    home = install()
    log = home / f"serve-{os.getpid()}.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [str(NODE), str(home / "node_modules" / "@sap" / "cds" / "bin" / "serve.js")],
            cwd=home,
            env=environment({"PORT": "0", "NODE_ENV": "production", "CDS_LOG_LEVELS_CDS": "info"}),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield f"http://127.0.0.1:{_port(process, log)}{ROOT}"
    finally:
        process.terminate()
        process.wait(30)
        log.unlink(missing_ok=True)


def _packages(home: Path) -> None:
    document = {"name": "services", "private": True, "dependencies": PINS, "cds": CDS}
    (home / "package.json").write_text(json.dumps(document))
    # No scripts: Node's own SQLite is used, so that nothing has to be compiled.
    _npm(home, "install", "--omit=dev", "--ignore-scripts", "--legacy-peer-deps", "--no-package-lock")


def _definition(home: Path, service: str, package: str, namespace: str) -> None:
    _npm(home, "pack", f"@sap/cloud-sdk-vdm-{package}@{DEFINITIONS}", "--silent")
    [packed] = home.glob(f"*{package}-{DEFINITIONS}.tgz")
    with tarfile.open(packed) as archive:
        member = archive.extractfile(f"package/{package}-csn.json")
        if member is None:
            raise peers.Gone(f"SAP's package {package} holds no definition any more")
        definition: dict[str, Any] = json.load(member)
    packed.unlink()
    for entity in definition["definitions"].values():
        entity.pop("@cds.persistence.skip", None)
        elements = entity.get("elements", {})
        for name in [name for name, element in elements.items() if _names_no_condition(element)]:
            del elements[name]
    definition["definitions"][namespace]["@path"] = f"/{service}"
    (home / "srv").mkdir(exist_ok=True)
    (home / "srv" / f"{service}.csn").write_text(json.dumps(definition))


def _names_no_condition(element: Mapping[str, Any]) -> bool:
    many = element.get("cardinality", {}).get("max") == "*"
    return many and element.get("type") == "cds.Association" and "on" not in element


def _npm(home: Path, *arguments: str) -> None:
    command = [str(NODE), str(NPM), *arguments, "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        done = subprocess.run(
            command, cwd=home, env=environment(), capture_output=True, text=True, timeout=INSTALLED_WITHIN_S
        )
    except subprocess.TimeoutExpired as error:
        raise peers.Gone(f"npm was not done with {arguments[0]} within {INSTALLED_WITHIN_S} s") from error
    if done.returncode != 0:
        raise peers.Gone(f"npm could not {arguments[0]} SAP's packages:\n{done.stderr.strip()[:1000]}")


def _port(process: "subprocess.Popen[bytes]", log: Path) -> int:
    until = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < until and process.poll() is None:
        if found := re.search(r"server listening on .*?:(\d+)'", log.read_text()):
            return int(found[1])
        time.sleep(0.05)
    raise peers.Gone(f"CAP did not start:\n{log.read_text()[-1000:]}")
