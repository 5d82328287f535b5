"""The ways to ask a service: REST, Server-Sent Events, WebSocket."""

from pulumi_llm.cli.transports.transport import Answer as Answer
from pulumi_llm.cli.transports.transport import ChatError as ChatError
from pulumi_llm.cli.transports.transport import Display as Display
from pulumi_llm.cli.transports.transport import Transport as Transport
from pulumi_llm.cli.transports.transport import TransportName as TransportName
from pulumi_llm.cli.transports.transport import UsageError as UsageError


def open_transport(name: TransportName, endpoint: str, api_key: str) -> Transport:
    """Return the transport `name`; it connects with the first call. Raises `UsageError` for a wrong endpoint or key.

    `endpoint` is the URL of the REST API, or of the WebSocket API.
    """
    match name:
        case TransportName.REST:
            from pulumi_llm.cli.transports.rest import RestTransport

            return RestTransport(endpoint, api_key)
        case TransportName.SSE:
            from pulumi_llm.cli.transports.sse import SseTransport

            return SseTransport(endpoint, api_key)
        case TransportName.WS:
            from pulumi_llm.cli.transports.websocket import WebSocketTransport

            return WebSocketTransport(endpoint, api_key)
