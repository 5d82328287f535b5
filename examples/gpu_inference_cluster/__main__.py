"""An open model on GPUs of your own, and a chat API that asks it first and Bedrock behind it."""

import pulumi

import pulumi_llm

tags = {"Project": pulumi.get_project(), "Environment": pulumi.get_stack()}

network = pulumi_llm.InferenceNetwork("network", {"tags": tags})

cluster = pulumi_llm.GpuInferenceCluster(
    "gpu",
    {
        "network": {
            "vpc_id": network.vpc_id,
            "private_subnet_ids": network.private_subnet_ids,
            "balancer_subnet_ids": network.balancer_subnet_ids,
            "balancer_subnet_cidrs": network.balancer_subnet_cidrs,
            "balancer_security_group_id": network.balancer_security_group_id,
            "service_security_group_id": network.service_security_group_id,
        },
        # The role that runs `pulumi up` must be one of them.
        "admins": ["arn:aws:iam::123456789012:role/deploy"],
        "domain": {"name": "models.example.com", "zone_id": "Z0123456789ABCDEFGHIJ"},
        # The base on demand, and spot instances on top.
        "node_pools": {"a10g": {"instance_type": "g5.2xlarge", "on_demand": {"max": 1}, "spot": {"max": 3}}},
        "models": {
            "r1": {
                "model": "deepseek-r1-distill-qwen-7b",
                "pool": "a10g",
                "image": f"docker.io/vllm/vllm-openai:v0.33.0@sha256:{'0' * 64}",
                "weights_uri": "s3://weights-of-ours/r1-distill-qwen-7b",
                # From none: the first request wakes it, and Bedrock answers meanwhile.
                "replicas": {"min": 0, "max": 4},
            },
        },
        "tags": tags,
    },
)

api = pulumi_llm.ServerlessBedrockApi(
    "chat",
    {
        "models": [
            {
                "name": "reasoning",
                "targets": [
                    {"provider": "r1", "model": "r1", "context_tokens": 32_768, "max_output_tokens": 8_192},
                    {"model": "gpt-oss-20b"},
                ],
            },
        ],
        "providers": cluster.providers,  # pyright: ignore[reportArgumentType]
        "vpc": {
            "subnet_ids": network.private_subnet_ids,
            "security_group_ids": [network.function_security_group_id],
        },
        "access_logs": False,
        "tags": tags,
    },
)

pulumi.export("url", api.url)
pulumi.export("cluster_name", cluster.cluster_name)
pulumi.export("models", cluster.base_urls)
