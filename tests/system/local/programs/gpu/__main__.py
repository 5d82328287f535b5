"""A cluster with four models, scaled to zero, each alone and with Bedrock behind it, over REST and WebSockets."""

import pulumi

from pulumi_llm import InferenceNetwork, ServerlessBedrockApi
from pulumi_llm.gpu_inference_cluster.component import GpuInferenceCluster
from pulumi_llm.websocket_chat import WebSocketChat

NAMES = ("steady", "busy", "dying", "leaving")
served = {
    "model": "deepseek-r1-distill-qwen-7b",
    "pool": "gpu",
    "image": f"docker.io/vllm/vllm-openai:v0.33.0@sha256:{'a' * 64}",
    "revision": "a" * 40,
    "context": 8_192,
    "replicas": {"min": 0, "max": 1},
}
network = InferenceNetwork("network", {"zone_count": 2, "nat": "one", "flow_logs": "off"})
cluster = GpuInferenceCluster(
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
        "admins": ["arn:aws:iam::123456789012:role/deploy"],
        "domain": {"name": "models.example.com", "zone_id": "Z0123456789ABCDEFGHIJ"},
        "models": dict.fromkeys(NAMES, served),
        "deletion_protection": False,
    },
)
bounds = {"context_tokens": 8_192, "max_output_tokens": 4_096}
plenty = {"rate_limit": 10_000, "burst_limit": 5_000}
shared = {
    "providers": cluster.providers,
    "models": [
        {"name": alias, "targets": [{"provider": name, "model": name, **bounds}, *behind]}
        for name in NAMES
        for alias, behind in ((name, [{"model": "gpt-oss-20b"}]), (f"{name}-alone", []))
    ],
    "vpc": {"subnet_ids": network.private_subnet_ids, "security_group_ids": [network.function_security_group_id]},
    "stage_throttle": plenty,
    "deletion_protection": False,
}
rest = ServerlessBedrockApi("rest", {**shared, "throttle": plenty, "daily_quota": 1_000_000})
chat = WebSocketChat("chat", {**shared, "keys_table": {"name": rest.keys_table_name, "arn": rest.keys_table_arn}})
pulumi.export("api_gateway_url", rest.url)
pulumi.export("websocket_url", chat.websocket_url)
pulumi.export("api_key_value", rest.default_api_key)
