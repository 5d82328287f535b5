"""A chat API over WebSockets, and no REST API beside it; a key has few connections, and each few messages a minute."""

import pulumi

from pulumi_llm import WebSocketChat

chat = WebSocketChat(
    "chat",
    {
        "models": [{"name": "fast", "model": "gpt-oss-20b"}],
        "connections_per_key": 5,
        "messages_per_minute": 40,
        "deletion_protection": False,
    },
)
pulumi.export("api_key_value", chat.api_keys["default"])
pulumi.export("websocket_url", chat.websocket_url)
