"""AWS Budgets and Cost Explorer."""

from collections.abc import Mapping
from typing import Any, Final

from pulumi_llm_local.aws_types.aws_type import AWS_DOCS, AwsType, ValueRule

_BUDGET: Final = AWS_DOCS + "aws-cost-management/latest/APIReference/API_budgets_CreateBudget.html"

_SUBSCRIPTION: Final = AWS_DOCS + "aws-cost-management/latest/APIReference/API_AnomalySubscription.html"


def _subscribers(inputs: Mapping[str, Any]) -> Mapping[str, ValueRule]:
    """ "Notifications are sent either over email (for DAILY and WEEKLY frequencies) or SNS (for IMMEDIATE frequency)"."""
    kind = "SNS" if inputs.get("frequency") == "IMMEDIATE" else "EMAIL"
    return {"subscribers.type": ValueRule(_SUBSCRIPTION, values=(kind,))}


TYPES: Final[Mapping[str, AwsType]] = {
    "aws:budgets/budget:Budget": AwsType(
        outputs={
            "id": "{account}:{name}",
            "arn": "arn:{partition}:budgets::{account}:budget/{name}",
            "accountId": "{account}",
        },
        # Read in the provider's source, internal/service/budgets/budget.go.
        replaced_by="accountId name namePrefix",
        api="budgets CreateBudget.Budget",
        rules={
            "name": ValueRule(_BUDGET, member="BudgetName"),
            # "A budget can have up to five notifications, and each notification can have one SNS subscriber and up to 10
            # email subscribers."
            "notifications": ValueRule(_BUDGET, high=5),
            "notifications.subscriberEmailAddresses": ValueRule(_BUDGET, high=10),
            "notifications.subscriberSnsTopicArns": ValueRule(_BUDGET, high=1),
        },
        unique=("name",),
    ),
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": AwsType(
        outputs={"id": "{arn}", "arn": "arn:{partition}:ce::{account}:anomalymonitor/{uuid}"},
        replaced_by="monitorDimension monitorSpecification monitorType",
        api="ce CreateAnomalyMonitor.AnomalyMonitor",
        # One of a dimension in an account, and AWS makes one of SERVICE itself: "Limit exceeded on dimensional spend monitor
        # creation". https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/2515
        unique=("monitorDimension",),
    ),
    "aws:costexplorer/anomalySubscription:AnomalySubscription": AwsType(
        outputs={"id": "{arn}", "arn": "arn:{partition}:ce::{account}:anomalysubscription/{uuid}", "accountId": "{account}"},
        replaced_by="accountId",
        api="ce CreateAnomalySubscription.AnomalySubscription",
        rules_by_inputs=_subscribers,
    ),
}
