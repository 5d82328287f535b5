"""A chat API over WebSockets, and no REST API beside it."""

import pulumi

from pulumi_llm import WebSocketChat

chat = WebSocketChat("chat", {"models": [{"name": "fast", "model": "gpt-oss-20b"}], "deletion_protection": False})
pulumi.export("websocket_url", chat.websocket_url)
