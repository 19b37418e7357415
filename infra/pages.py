"""The page that work orders and notices link to. It is open to the internet: the signature in the link is the guard."""

from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.data import Data
from infra.function import Function


class Pages(Construct):
    """Serves `function` at an address of its own, and lets it look up what a link names, and nothing else.

    It can list neither cases nor pictures, and writes nothing: what people answer goes to the queue of orders.
    """

    def __init__(self, scope: Construct, id_: str, *, function: Function, data: Data) -> None:
        super().__init__(scope, id_)
        self._function, self._data = function, data
        for table, action in ((data.tables.cases, "dynamodb:GetItem"), (data.tables.registry, "dynamodb:BatchGetItem")):
            # Not Table.grant, which would add the indexes.
            iam.Grant.add_to_principal(grantee=function, actions=[action], resource_arns=[table.table_arn])
        data.lake.grant_pictures(function)
        data.messages.orders.grant_send_messages(function)
        data.link_key.grant_read(function)
        # A technician's phone has no AWS credentials to sign with, so AWS asks nobody who they are.
        self.url = function.add_function_url(auth_type=lambda_.FunctionUrlAuthType.NONE).url

    def link_from(self, *functions: Function) -> None:
        """Tell these functions where the page is, and let them sign links to it."""
        for function in functions:
            function.add_environment("PAGES_URL", self.url)
            self._data.link_key.grant_read(function)

    def unsubscribe_by(self, queue: sqs.IQueue) -> None:
        """Have the page put into `queue` who wants no more notices (Links.unsubscribe says how)."""
        self._function.add_environment("NOTICES_QUEUE_URL", queue.queue_url)
        queue.grant_send_messages(self._function)
