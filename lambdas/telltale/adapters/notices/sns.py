"""Mail and text messages by Amazon SNS: one topic for people, one subscription for each address.

A subscription takes the messages whose attribute `to` is that of its address (its filter policy). It is a digest of the
channel and the address, so that people who are told of several sites have one subscription, and confirm once. Mail has
to be confirmed by whoever gets it (SNS sends them a link); a number does not.

SNS takes a message for an address that nobody has confirmed, and drops it. So the subscriptions are looked up first.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from telltale.adapters.notices.port import Refused
from telltale.core.errors import RetryLater
from telltale.core.notice_text import Words, mail, sms, subject
from telltale.core.recipients import Recipient

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

CHANNELS = ("email", "sms")
ATTRIBUTE = "to"
PENDING = "PendingConfirmation"  # what SNS lists instead of the ARN (ListSubscriptionsByTopic, API reference)
BELIEVED_S = 60.0  # how long a listing of the topic is believed
# These say that the message is wrong; whatever else SNS answers may pass (Publish, API reference).
WRONG = ("InvalidParameter", "InvalidParameterValue", "ParameterValueInvalid", "ValidationError")


class NotSubscribed(RetryLater):
    """The topic has no subscription of this address, or one that is not confirmed."""

    def __init__(self, what: str, *, pending: bool) -> None:
        self.pending = pending
        super().__init__(what)


class People:
    """The topic for people."""

    def __init__(self, client: "SNSClient", topic_arn: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._topic_arn, self._clock = client, topic_arn, clock
        self._listed: dict[tuple[str, str], str] = {}
        self._listed_s: float | None = None

    def send(self, recipient: Recipient, words: Words) -> None:
        """Raises NotSubscribed, Refused or RetryLater."""
        self._check(recipient)
        attributes: dict[str, Any] = {
            ATTRIBUTE: {"DataType": "String", "StringValue": attribute_of(recipient.channel, recipient.address)}
        }
        if recipient.channel == "sms":
            attributes["AWS.SNS.SMS.SMSType"] = {"DataType": "String", "StringValue": "Transactional"}
            message: dict[str, Any] = {"Message": sms(words)}
        else:
            message = {"Message": mail(words), "Subject": subject(words)}
        try:
            self._client.publish(TopicArn=self._topic_arn, MessageAttributes=attributes, **message)
        except ClientError as error:
            if error.response["Error"]["Code"] in WRONG:
                raise Refused(f"SNS: {error.response['Error']['Message']}") from error
            raise RetryLater(f"SNS: {error.response['Error']['Code']}") from error
        except BotoCoreError as error:
            raise RetryLater(f"SNS could not be reached: {type(error).__name__}") from error

    def subscriptions(self) -> Mapping[tuple[str, str], str]:
        """(channel, address) → ARN of the subscription, or PENDING. Mail's addresses are in small letters."""
        pages = self._client.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=self._topic_arn)
        self._listed = {
            (one["Protocol"], _folded(one["Endpoint"])): one["SubscriptionArn"]
            for page in pages
            for one in page["Subscriptions"]
        }
        self._listed_s = self._clock()
        return self._listed

    def subscribe(self, channel: str, address: str) -> None:
        """Subscribes the address; SNS asks a mail's owner to confirm. Nothing, if it is subscribed already."""
        policy = json.dumps({ATTRIBUTE: [attribute_of(channel, address)]})
        self._client.subscribe(
            TopicArn=self._topic_arn, Protocol=channel, Endpoint=address, Attributes={"FilterPolicy": policy}
        )
        self._listed_s = None

    def unsubscribe(self, arn: str) -> None:
        """Ends a confirmed subscription."""
        self._client.unsubscribe(SubscriptionArn=arn)
        self._listed_s = None

    def _check(self, recipient: Recipient) -> None:
        key = recipient.channel, _folded(recipient.address)
        old = self._listed_s is None or self._clock() - self._listed_s > BELIEVED_S
        if old or self._listed.get(key, PENDING) == PENDING:
            self.subscriptions()
        found = self._listed.get(key)
        if found is None:
            raise NotSubscribed(f"{recipient.address} is not subscribed: `telltale notices apply`", pending=False)
        if found == PENDING:
            raise NotSubscribed(f"{recipient.address} has not confirmed SNS's mail yet", pending=True)


def attribute_of(channel: str, address: str) -> str:
    """The attribute `to` of messages for an address."""
    return hashlib.sha256(f"{channel}:{_folded(address)}".encode()).hexdigest()[:32]


def _folded(address: str) -> str:
    return address.lower()
