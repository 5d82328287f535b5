"""The entry point `failures`: the destination of the invocations of `generations` that failed.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
"""

import asyncio
from typing import Any

from llm_functions.websocket import wiring
from llm_functions.websocket.chats import client_event
from llm_gateway.http.client import HttpClient


def handler(event: dict[str, Any], _context: object) -> None:
    """Tell the client of a generation that its function has failed. A resume that failed is served here instead."""
    payload = event["requestPayload"]
    message = client_event(payload)
    if payload["action"] == "resume":
        _loop.run_until_complete(_chats.resume(message))
        return
    response: dict[str, Any] = event.get("responsePayload") or {}
    timed_out = "timed out" in str(response.get("errorMessage", ""))
    _loop.run_until_complete(_chats.died(message, timed_out=timed_out))


_loop = asyncio.new_event_loop()
_chats = wiring.chats(HttpClient())
