"""The entry point `recovery`: a client that has lost its connection, or a generation that has lost its function.

API Gateway hands `resume` to it asynchronously, so that it never waits behind generations, and a long answer may be sent again.
Lambda calls it as the destination of the invocations of `generations` that failed.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
"""

import asyncio
from typing import Any

from llm_functions.websocket import wiring
from llm_functions.websocket.chats import client_event
from llm_gateway import errors
from llm_gateway.errors import ErrorKind
from llm_gateway.http.client import HttpClient


def handler(event: dict[str, Any], _context: object) -> None:
    """Serve a `resume`, or the record of a failed invocation."""
    if "requestPayload" in event:
        _loop.run_until_complete(_chats.died(client_event(event["requestPayload"]), _kind(event)))
    else:
        _loop.run_until_complete(_chats.resume(client_event(event)))


def _kind(record: dict[str, Any]) -> ErrorKind:
    if record["requestContext"]["condition"] == "EventAgeExceeded":  # no execution was free in time
        return errors.overloaded
    response: dict[str, Any] = record.get("responsePayload") or {}
    return errors.function_timeout if "timed out" in str(response.get("errorMessage", "")) else errors.function_failed


_loop = asyncio.new_event_loop()
_chats = wiring.chats(HttpClient())
