"""Links to the evidence page: make one, give their key a new value, or have all that are out refused.

  telltale links show CASE     the address of the case's page, good for at least 60 days
  telltale links rotate        a new key; links that are out stay good until the next rotation
  telltale links revoke --yes  two rotations: no link that is out is good any more

Orders and notices get links of the new key with their next change, at the latest after a month. Functions notice a new
key within five minutes.
"""

import argparse
import time

from botocore.exceptions import ClientError
from telltale.adapters.cases import Cases
from telltale.adapters.links import KEEP_S, LinkKeys, Links

from cli.deployment import Deployment, current
from cli.problem import Problem

DENIED = ("AccessDeniedException", "AccessDenied")
LENGTH = 64  # letters and digits of a key, as infra.data has AWS make the first one


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser("show", help="the address of a case's page")
    show.add_argument("case", metavar="CASE", help="its id")
    actions.add_parser("rotate", help="a new key; links that are out stay good until the next one")
    revoke = actions.add_parser("revoke", help="refuse every link that is out")
    revoke.add_argument("--yes", action="store_true", help="also those in open orders: they lead nowhere until updated")


def run(args: argparse.Namespace) -> int:
    deployment = current()
    if not deployment.outputs.get("PagesUrl"):
        raise Problem("this stage has no evidence page", '"pages": true in its stage in cdk.json makes one')
    if args.action == "show":
        print(_link(deployment, args.case))
    elif args.action == "rotate":
        rotate(deployment)
        print("the key is new; links made with the one before stay good until the next rotation")
    elif not args.yes:
        raise Problem("every link in orders and notices would be refused", "if that is meant: --yes")
    else:
        rotate(deployment)
        rotate(deployment)
        print(f"no link that is out is good any more, within {KEEP_S / 60:.0f} minutes")
    return 0


def evidence_link(deployment: Deployment, case_id: str, *, opened_ms: int) -> str | None:
    """The address of the case's page; None where the stage has no page, or its key may not be read."""
    address, arn = (deployment.outputs.get(name, "") for name in ("PagesUrl", "LinkKeyArn"))
    if not address:
        return None
    keys = LinkKeys(deployment.client("secretsmanager"), arn)
    try:
        return Links(address, keys.current, _now_ms).evidence(case_id, opened_ms=opened_ms)
    except ClientError as error:
        if error.response["Error"]["Code"] not in DENIED:
            raise
        return None


def rotate(deployment: Deployment) -> None:
    """Gives the key a new value; what the one before last signed is no longer good."""
    client = deployment.client("secretsmanager")
    fresh = client.get_random_password(PasswordLength=LENGTH, ExcludePunctuation=True)["RandomPassword"]
    client.put_secret_value(SecretId=deployment.outputs["LinkKeyArn"], SecretString=fresh)


def _link(deployment: Deployment, case_id: str) -> str:
    case = Cases(deployment.client("dynamodb"), deployment.outputs["CasesTable"]).get(case_id)
    if case is None:
        raise Problem(f"there is no case {case_id!r}", "`telltale cases list --all` shows them.")
    link = evidence_link(deployment, case_id, opened_ms=case.change.opened_ms)
    if link is None:
        raise Problem("the key of the links may not be read with these credentials")
    return link


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
