"""A monthly budget for the whole account, which notifies an address of your own."""

import pulumi

import pulumi_llm

watch = pulumi_llm.Observability(
    "observability",
    {
        "budget": {"monthly_usd": 500, "emails": [pulumi.Config().require("email")]},
        "tags": {"Project": pulumi.get_project(), "Environment": pulumi.get_stack()},
    },
)

pulumi.export("budget_name", watch.budget_name)
