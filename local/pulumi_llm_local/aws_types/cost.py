"""AWS Budgets and Cost Explorer."""

from collections.abc import Mapping
from typing import Final

from pulumi_llm_local.aws_types.aws_type import AwsType

TYPES: Final[Mapping[str, AwsType]] = {
    "aws:budgets/budget:Budget": AwsType(api="budgets CreateBudget.Budget"),
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": AwsType(api="ce CreateAnomalyMonitor.AnomalyMonitor"),
    "aws:costexplorer/anomalySubscription:AnomalySubscription": AwsType(api="ce CreateAnomalySubscription.AnomalySubscription"),
}
