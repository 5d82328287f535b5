"""The entry point `generations`: API Gateway hands `chat` to it asynchronously.

An integration of type AWS with the header ``X-Amz-Invocation-Type: 'Event'``, so no generation meets the integration's limit of
29 s. https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-integration-async.html
"""

import asyncio
import os
from typing import Any, Protocol

from llm_functions import compose
from llm_functions.websocket import wiring
from llm_functions.websocket.chats import client_event
from llm_gateway import environment
from llm_gateway.http.client import HttpClient
from llm_gateway.identity.connections import Limits


class LambdaContext(Protocol):
    def get_remaining_time_in_millis(self) -> int: ...


def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Serve one message, which `ClientEvent` describes."""
    left = context.get_remaining_time_in_millis() / 1000
    if _gateway.tracer is None:
        _loop.run_until_complete(_chats.chat(_gateway, _limits, client_event(event), left))
        return
    _gateway.tracer.begin_event(os.environ.get("_X_AMZN_TRACE_ID", ""))
    try:
        _loop.run_until_complete(_chats.chat(_gateway, _limits, client_event(event), left))
    finally:  # the client has its answer, and after this nothing is sent any more
        _loop.run_until_complete(_gateway.tracer.sent())


# Made when the environment starts, so that a wrong configuration fails there. One loop serves all events and keeps connections.
_loop = asyncio.new_event_loop()
_client = HttpClient()
_gateway = compose.gateway(_client)
_chats = wiring.chats(_client)
_limits = Limits(
    per_connection=int(os.environ[environment.GENERATIONS_PER_CONNECTION]),
    per_key=int(os.environ[environment.GENERATIONS_PER_KEY]),
)
