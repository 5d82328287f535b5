"""A chat API over WebSockets, with a key whose value is known and a small throttle of one route."""

import pulumi

from pulumi_llm.websocket_chat import WebSocketChat

KEY = "sk-websocket-test-0123456789"

default = {"throttling_rate_limit": 1, "throttling_burst_limit": 3}
chat = WebSocketChat(
    "chat",
    {
        "models": [{"name": "fast", "model": "gpt-oss-20b"}],
        "keys": [{"name": "ci", "tenant": "acme", "value": KEY}],
        "stage_throttle": {"rate_limit": 1000, "burst_limit": 1000},
        "customize": {"stage": {"route_settings": [{"route_key": "ping", **default}]}},
        "deletion_protection": False,
    },
)
pulumi.export("websocket_url", chat.websocket_url)
pulumi.export("api_key_value", KEY)
