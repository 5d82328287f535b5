"""A chat API with feature flags: a kill switch, a canary's share, filters and limits are changed without a deployment."""

import pulumi

import pulumi_llm

tags = {"Project": pulumi.get_project(), "Environment": pulumi.get_stack()}

api = pulumi_llm.ServerlessBedrockApi(
    "chat",
    {
        "models": [
            {"name": "fast", "model": "gpt-oss-20b"},
            # A canary: the second target has a twentieth of the calls, until a document says otherwise.
            {
                "name": "canary",
                "strategy": "weight",
                "targets": [{"model": "gpt-oss-20b", "weight": 95}, {"model": "claude-haiku-5-5", "weight": 5}],
            },
        ],
        # What a document may change is what is deployed: filters, at first in shadow mode, and limits.
        "safety": {"injection": {"mode": "shadow"}, "pii": {"email": "mask"}},
        "limits": {"requests": {"minute": 60}},
        "flags": True,
        "access_logs": False,
        "tags": tags,
    },
)

pulumi.export("api_gateway_url", api.url)
pulumi.export("api_keys", api.api_keys)
pulumi.export("flags_configuration", api.flags_configuration)
pulumi.export("flags_strategy_id", api.flags_strategy_id)
