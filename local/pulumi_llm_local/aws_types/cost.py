"""AWS Budgets and Cost Explorer."""

from collections.abc import Mapping
from typing import Final

from pulumi_llm_local.aws_types.aws_type import AWS_DOCS, AwsType, ValueRule

_BUDGET: Final = AWS_DOCS + "aws-cost-management/latest/APIReference/API_budgets_CreateBudget.html"

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
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": AwsType(api="ce CreateAnomalyMonitor.AnomalyMonitor"),
    "aws:costexplorer/anomalySubscription:AnomalySubscription": AwsType(api="ce CreateAnomalySubscription.AnomalySubscription"),
}
