"""A chat API with a cache of answers: at temperature 0, and for requests that say how old an answer may be."""

import pulumi

import pulumi_llm

tags = {"Project": pulumi.get_project(), "Environment": pulumi.get_stack()}

api = pulumi_llm.ServerlessBedrockApi(
    "chat",
    {
        "models": [{"name": "fast", "model": "gpt-oss-20b"}],
        # Each tenant has answers of its own, which its keys share.
        "keys": [{"name": "web", "tenant": "shop"}, {"name": "batch", "tenant": "shop"}, {"name": "lab", "tenant": "research"}],
        "cache": {"ttl_seconds": 86_400, "when": "asked"},
        "access_logs": False,
        "tags": tags,
    },
)

pulumi.export("api_gateway_url", api.url)
pulumi.export("api_keys", api.api_keys)
