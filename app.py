"""The CDK app: what keeps data, and the line that works on it.

`cdk.json` runs this with `python3`, so with the virtual environment that is first on the PATH; that is how
`scripts/telltale` calls the CDK CLI. It needs no account, no network and no Docker.
"""

import aws_cdk as cdk

from infra.data import Data
from infra.line import Line
from infra.settings import Settings

app = cdk.App()
settings = Settings.from_context(app.node)

data = Data(app, "TelltaleData", settings=settings, termination_protection=settings.keep_data)
Line(app, "TelltaleLine", settings=settings, data=data)

cdk.Tags.of(app).add("application", "telltale")
cdk.Tags.of(app).add("stage", settings.stage)

app.synth()
