"""REST, Server-Sent Events and WebSockets for the same keys, with limits that no test meets."""

import pulumi

from pulumi_llm import ServerlessBedrockApi
from pulumi_llm.websocket_chat import WebSocketChat

models = [{"name": "fast", "model": "gpt-oss-20b"}]
plenty = {"rate_limit": 10_000, "burst_limit": 5_000}
rest = ServerlessBedrockApi(
    "rest",
    {
        "models": models,
        "throttle": plenty,
        "stage_throttle": plenty,
        "daily_quota": 1_000_000,
        "deletion_protection": False,
    },
)
chat = WebSocketChat(
    "chat",
    {
        "models": models,
        "keys_table": {"name": rest.keys_table_name, "arn": rest.keys_table_arn},
        "stage_throttle": plenty,
        "connections_per_key": 10_000,
        "messages_per_minute": 6_000,
        "generations_per_connection": 100,
        "generations_per_key": 200,
        "deletion_protection": False,
    },
)
pulumi.export("api_gateway_url", rest.url)
pulumi.export("websocket_url", chat.websocket_url)
pulumi.export("api_key_value", rest.default_api_key)
