"""Observability: who is notified of what a service costs."""

from types import MappingProxyType

import pulumi
from pulumi_aws import budgets

from pulumi_llm.base.component import Component
from pulumi_llm.base.settings import number_text, read_arguments
from pulumi_llm.observability.args import BudgetSettings, ObservabilitySettings
from pulumi_llm.observability.args_types import ObservabilityArgs

# Of the month's amount, in percent: what was spent, and what AWS forecasts for the whole month.
_ACTUAL = (50, 80, 100)
_FORECAST = (100,)


class Observability(Component):
    """Watches what a service costs: for now, a monthly budget that notifies its subscribers.

    Raises `pulumi.InputPropertiesError` that lists every argument that is wrong.
    """

    CHILDREN = MappingProxyType({"budget": budgets.Budget})

    budget_name: pulumi.Output[str]
    """The name of the budget. Empty where none is made."""

    def __init__(self, name: str, args: ObservabilityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings, _ = read_arguments(type(self).__name__, name, ObservabilitySettings, args, self.CHILDREN, opts)
        super().__init__(name, opts, settings.tags, settings.customize)
        self.budget_name = self._budget(settings.budget).name if settings.budget else pulumi.Output.from_input("")
        self.finish()

    def _budget(self, settings: BudgetSettings) -> budgets.Budget:
        tag = settings.cost_tag
        # The form of a tag's filter is that of https://docs.aws.amazon.com/cli/latest/reference/budgets/create-budget.html
        values = [pulumi.Output.concat("user:", tag.key, "$", tag.value)] if tag else []
        return budgets.Budget(
            self.child_name("budget"),
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=pulumi.Output.from_input(settings.monthly_usd).apply(number_text),
            limit_unit="USD",
            cost_filters=[{"name": "TagKeyValue", "values": values}] if tag else None,
            notifications=[
                *(_notification(settings, "ACTUAL", percent) for percent in _ACTUAL),
                *(_notification(settings, "FORECASTED", percent) for percent in _FORECAST),
            ],
            tags=self.tags,
            opts=self.child("budget"),
        )


def _notification(settings: BudgetSettings, kind: str, percent: int) -> budgets.BudgetNotificationArgsDict:
    return {
        "notification_type": kind,
        "comparison_operator": "GREATER_THAN",
        "threshold": percent,
        "threshold_type": "PERCENTAGE",
        "subscriber_email_addresses": list(settings.emails),
        "subscriber_sns_topic_arns": [settings.topic_arn] if settings.topic_arn else [],
    }
