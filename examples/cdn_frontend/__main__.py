"""A chat API with the web client in front of it, at one address."""

import pulumi

import pulumi_llm

tags = {"Project": pulumi.get_project(), "Environment": pulumi.get_stack()}

api = pulumi_llm.ServerlessBedrockApi(
    "chat",
    {"models": [{"name": "fast", "model": "gpt-oss-20b"}], "access_logs": False, "tags": tags},
)

frontend = pulumi_llm.CdnFrontend(
    "frontend",
    {
        "api_url": api.url,
        "api_stage_arn": api.stage_arn,
        # With a domain of your own:
        # "domain": {"name": "chat.example.com", "certificate_arn": CERTIFICATE_IN_US_EAST_1, "zone_id": ZONE},
        "waf": {"rate_limit": 1000, "managed_rules": "count"},
        "tags": tags,
    },
)

pulumi.export("frontend_url", frontend.url)
pulumi.export("api_key_value", api.default_api_key)
