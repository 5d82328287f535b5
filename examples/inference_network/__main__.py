"""A network for the servers of models, and a chat API whose function calls from there."""

import pulumi

import pulumi_llm

tags = {"Project": pulumi.get_project(), "Environment": pulumi.get_stack()}

network = pulumi_llm.InferenceNetwork(
    "network",
    {
        "zone_count": 2,
        # "per_zone" costs a gateway in each zone, and stays up when a zone does not.
        "nat": "one",
        "parameter_prefix": f"/pulumi-llm/{pulumi.get_stack()}/network",
        "tags": tags,
    },
)

api = pulumi_llm.ServerlessBedrockApi(
    "chat",
    {
        "models": [{"name": "fast", "model": "gpt-oss-20b"}],
        "vpc": {
            "subnet_ids": network.private_subnet_ids,
            "security_group_ids": [network.function_security_group_id],
        },
        "access_logs": False,
        "tags": tags,
    },
)

pulumi.export("vpc_id", network.vpc_id)
pulumi.export("nat_public_ips", network.nat_public_ips)
pulumi.export("url", api.url)
