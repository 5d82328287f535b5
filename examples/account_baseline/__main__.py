"""What the account and Region have only once, in a stack of its own that other stacks stand on."""

import pulumi

import pulumi_llm

tags = {"Project": pulumi.get_project(), "Environment": pulumi.get_stack()}

baseline = pulumi_llm.AccountBaseline(
    "account",
    {
        # Stages with access logs need this role to be set, once a Region.
        "api_gateway_logs": True,
        # Deploy roles of GitHub workflows name this provider, once an account.
        "github_oidc": True,
        # One monitor an account; a summary once a day to these addresses.
        "cost_anomalies": {"emails": [pulumi.Config().require("email")], "minimum_usd": 50},
        "tags": tags,
    },
)

pulumi.export("github_oidc_provider_arn", baseline.github_oidc_provider_arn)
pulumi.export("api_gateway_role_arn", baseline.api_gateway_role_arn)
