"""The CDK app: what keeps data, and the line that works on it.

`cdk.json` runs this with `python3`, so with the virtual environment that is first on the PATH; that is how
`scripts/telltale` calls the CDK CLI. It needs no account, no network and no Docker.
"""

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from infra import reasons
from infra.data import Data
from infra.line import Line
from infra.settings import Settings

app = cdk.App()
settings = Settings.from_context(app.node)

data = Data(app, "TelltaleData", settings=settings, termination_protection=settings.keep_data)
line = Line(app, "TelltaleLine", settings=settings, data=data)

cdk.Tags.of(app).add("application", "telltale")
cdk.Tags.of(app).add("stage", settings.stage)

reasons.give(data, reasons.DATA)
reasons.give(line, reasons.LINE)
cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))

app.synth()
