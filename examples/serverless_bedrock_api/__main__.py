"""Two chat APIs in one stack: a cheap one for the web shop, a stronger one for the analysts."""

import pulumi

import pulumi_llm

tags = {"Project": pulumi.get_project(), "Environment": pulumi.get_stack()}

# The role with which API Gateway logs, once a Region: an API with access logs is refused before it is there. If another stack
# or a person has set it, leave this and `depends_on` out.
baseline = pulumi_llm.AccountBaseline("account", {"api_gateway_logs": True, "tags": tags})
logged = pulumi.ResourceOptions(depends_on=[baseline])

shop = pulumi_llm.ServerlessBedrockApi(
    "shop",
    {
        "models": [{"name": "fast", "model": "gpt-oss-20b"}],
        "keys": [{"name": "web", "tenant": "shop"}, {"name": "app", "tenant": "shop"}],
        "throttle": {"rate_limit": 20, "burst_limit": 40},
        "daily_quota": 50_000,
        # The app sends a request again when it was cut off, and gets the answer that there is: docs/idempotency.md.
        "idempotency": True,
        "cors_allow_origin": "https://shop.example.com",
        "tags": {**tags, "Team": "shop"},
    },
    logged,
)

analysts = pulumi_llm.ServerlessBedrockApi(
    "analysts",
    {
        "models": [
            {"name": "best", "model": "claude-haiku-5-5"},
            {"name": "fast", "model": "gpt-oss-120b"},
        ],
        "keys": [{"name": "notebook", "tenant": "analysts"}, {"name": "nightly", "tenant": "analysts"}],
        # What they may ask for, and where their data may go. Each rule that is for a caller holds, for fallbacks too.
        "rules": [
            {"name": "private", "keys": ["notebook"], "retention": "none"},
            {"name": "in-the-us", "regions": ["us-east-1", "us-east-2", "us-west-2"]},
            {
                "name": "at-night",
                "keys": ["nightly"],
                "models": ["fast"],
                "tools": [],
                "hours": [{"start": "20:00", "end": "06:00", "time_zone": "America/New_York"}],
            },
        ],
        "timeout_seconds": 600,
        "tags": {**tags, "Team": "analysts"},
        # A child's own arguments win over the component's.
        "customize": {"function": {"memory_size": 1024}},
    },
    logged,
)

pulumi.export("api_gateway_url", shop.url)
pulumi.export("shop_keys", shop.api_keys)
pulumi.export("analysts_url", analysts.url)
pulumi.export("analysts_keys", analysts.api_keys)
