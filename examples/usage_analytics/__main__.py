"""A chat API that tells its callers what they have used, and what counts that from its log."""

import pulumi

import pulumi_llm

tags = {"Project": pulumi.get_project(), "Environment": pulumi.get_stack()}

api = pulumi_llm.ServerlessBedrockApi(
    "chat",
    {
        "models": [{"name": "fast", "model": "gpt-oss-20b"}],
        "keys": [{"name": "web", "tenant": "shop"}, {"name": "billing", "tenant": "shop"}],
        # "billing" may also ask for GET /usage?scope=tenant: all that the tenant "shop" has used.
        "usage": {"tenant_readers": ["billing"]},
        "access_logs": False,
        "tags": tags,
    },
)
usage = pulumi_llm.UsageAnalytics(
    "usage",
    {
        "table": {"name": api.usage_table_name, "arn": api.usage_table_arn},
        # With a WebSocketChat or an AsyncInference, their log groups, too.
        "log_groups": {"chat": api.log_group_arn},
        "tags": tags,
    },
)

pulumi.export("api_gateway_url", api.url)
pulumi.export("api_keys", api.api_keys)
pulumi.export("usage_dead_letter_queue_url", usage.dead_letter_queue_url)
