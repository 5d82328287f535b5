"""Who gets AWS's notifications about cost: e-mail addresses and an SNS topic."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from pulumi_llm.base.settings import Input, Problem, Settings, form

EmailAddress = Annotated[
    str, form(r"[A-Za-z0-9.!#$%&'*+=?^_‘{|}~-]+@[\w-]+(\.[\w-]+)+", "an e-mail address, such as ops@your-company.com")
]
TopicArn = Annotated[
    str,
    form(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w-]{1,256}", "a topic's ARN, such as arn:aws:sns:us-east-1:ACCOUNT:NAME"),
]


class SubscriberSettings(Settings):
    """At least one subscriber is needed."""

    # AWS Budgets takes ten addresses and one topic for a notification.
    # https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_CreateBudget.html
    emails: Annotated[tuple[Input[EmailAddress], ...], Field(max_length=10)] = ()
    """The e-mail addresses that are notified, at most ten. Default: none; then `topic_arn` is required."""
    topic_arn: Input[TopicArn] | None = None
    """The SNS topic that is notified. Default: none; then `emails` is required."""

    def problems(self) -> Iterator[Problem]:
        if not self.given("emails") and not self.given("topic_arn"):
            yield Problem("emails", "is required, unless there is a topic_arn: without a subscriber nobody is notified")
        elif self.emails == () and not self.given("topic_arn"):
            yield Problem("emails", "must hold at least one, unless there is a topic_arn")
