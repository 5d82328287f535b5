"""A chat API over WebSockets, with a key whose value is known and a small throttle of one route; a REST API issues tickets."""

import pulumi

from pulumi_llm.serverless_bedrock_api import ServerlessBedrockApi
from pulumi_llm.websocket_chat import WebSocketChat

KEY = "sk-websocket-test-0123456789"

models = [{"name": "fast", "model": "gpt-oss-20b"}]
rest = ServerlessBedrockApi(
    "rest",
    {
        "models": models,
        "keys": [{"name": "ci", "tenant": "acme", "value": KEY}],
        "websocket_tickets": True,
        "deletion_protection": False,
    },
)
default = {"throttling_rate_limit": 1, "throttling_burst_limit": 3}
chat = WebSocketChat(
    "chat",
    {
        "models": models,
        "keys_table": {"name": rest.keys_table_name, "arn": rest.keys_table_arn},
        "tickets_table": {"name": rest.tickets_table_name, "arn": rest.tickets_table_arn},
        "stage_throttle": {"rate_limit": 1000, "burst_limit": 1000},
        "customize": {"stage": {"route_settings": [{"route_key": "ping", **default}]}},
        "deletion_protection": False,
    },
)
pulumi.export("api_gateway_url", rest.url)
pulumi.export("websocket_url", chat.websocket_url)
pulumi.export("api_key_value", KEY)
