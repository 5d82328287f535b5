"""WebSocketChat: a WebSocket API whose generations outlive their connections."""

from pulumi_llm.websocket_chat.args_types import WebSocketChatArgs
from pulumi_llm.websocket_chat.component import WebSocketChat

__all__ = ["WebSocketChat", "WebSocketChatArgs"]
