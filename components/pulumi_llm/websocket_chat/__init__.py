"""WebSocketChat: a WebSocket API whose generations outlive their connections."""

from typing import TYPE_CHECKING

from pulumi_llm.base.lazy_modules import lazy_exports

if TYPE_CHECKING:
    from pulumi_llm.websocket_chat.args_types import WebSocketChatArgs
    from pulumi_llm.websocket_chat.component import WebSocketChat
else:
    __getattr__, __dir__ = lazy_exports(__name__, {"WebSocketChat": "component", "WebSocketChatArgs": "args_types"})

__all__ = ["WebSocketChat", "WebSocketChatArgs"]
