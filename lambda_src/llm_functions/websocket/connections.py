"""The entry point `connections`: connections that begin and end, and the messages that are answered at once.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-route-keys-connect-disconnect.html
"""

import asyncio
import base64
import os
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from llm_functions.request_context import caller_from_context, credential_from_context
from llm_functions.websocket import messages, wiring
from llm_functions.websocket.chats import as_failure
from llm_gateway import environment, errors
from llm_gateway.http.client import HttpClient
from llm_gateway.identity.caller import ANONYMOUS, SUBPROTOCOL, Caller
from llm_gateway.telemetry import record_refusal

# How many pings of a connection in a minute this process answers without counting them in the connection's item. A client needs
# twelve at most, while it waits for an answer; so its pings write nothing, and a flood of them is counted with all messages.
UNCOUNTED_PINGS = 20

_DEBUG = os.environ.get(environment.DEBUG) == "true"


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Serve one event of a WebSocket API's proxy integration. What `body` holds is sent to the client."""
    context: dict[str, Any] = event["requestContext"]
    # A client may write the name of any route as its action. Only API Gateway says what kind of event it is.
    match context["eventType"]:
        case "CONNECT":
            answer = _handshake(event.get("headers") or {})
            return answer if answer["statusCode"] != 200 else _loop.run_until_complete(_connect(context, answer))
        case "DISCONNECT":
            _loop.run_until_complete(_table.remove(context["connectionId"]))
            return {"statusCode": 200}
        case _:
            return _loop.run_until_complete(_answer(context["routeKey"], context, _body(event)))


async def _connect(context: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Record a connection, and return the answer that takes it up; a status alone if its caller may have no more."""
    credential = credential_from_context(context.get("authorizer"))
    try:
        await _table.add(context["connectionId"], _caller(context), credential, _CONNECTIONS_PER_KEY)
    except Exception as error:
        refused = as_failure(error, context["requestId"])
        record_refusal(context["requestId"], "WS", context["routeKey"], refused)
        return {"statusCode": refused.status}
    return answer


async def _answer(route: str, context: dict[str, Any], body: bytes) -> dict[str, Any]:
    try:
        if route == "ping":
            if _pings.count(context["connectionId"]) > UNCOUNTED_PINGS:
                await _chats.count_message(context["connectionId"])
            return {"statusCode": 200, "body": '{"type":"pong"}'}
        if route != "cancel":
            messages.decode(body)  # raises what is wrong with a text that is no JSON
            raise errors.unknown_action()
        ended = await _chats.cancel(_caller(context), context["connectionId"], body)
        return {"statusCode": 200, **({"body": ended.decode()} if ended else {})}
    except Exception as error:
        failure = as_failure(error, context["requestId"])
        record_refusal(context["requestId"], "WS", route, failure)
        await _chats.count_refusal(context["connectionId"], failure)
        text = messages.refusal(messages.id_of(body), failure, context["requestId"], debug=_DEBUG)
        return {"statusCode": 200, "body": text.decode()}


def _handshake(headers: dict[str, str]) -> dict[str, Any]:
    """Answer an offer of subprotocols: with ours, and never with a credential, which stands among them."""
    offered = next((value for name, value in headers.items() if name.lower() == "sec-websocket-protocol"), "")
    if SUBPROTOCOL in [name.strip() for name in offered.split(",")]:
        return {"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": SUBPROTOCOL}}
    return {"statusCode": 400 if offered else 200}


def _caller(context: dict[str, Any]) -> Caller:
    return ANONYMOUS if os.environ[environment.AUTHORIZATION] == "none" else caller_from_context(context.get("authorizer"))


def _body(event: dict[str, Any]) -> bytes:
    body = str(event.get("body") or "").encode()
    return base64.b64decode(body) if event.get("isBase64Encoded") else body


class Pings:
    """The pings of this minute that this process has answered, by their connections. `clock` gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._minute = 0
        self._counts: Counter[str] = Counter()

    def count(self, connection: str) -> int:
        """Count a ping, and return how many those of the connection are."""
        minute = int(self._clock()) // 60
        if minute != self._minute:
            self._minute, self._counts = minute, Counter()
        self._counts[connection] += 1
        return self._counts[connection]


_CONNECTIONS_PER_KEY = int(os.environ[environment.CONNECTIONS_PER_KEY])
_pings = Pings()
_loop = asyncio.new_event_loop()
_client = HttpClient()
_chats = wiring.chats(_client)
_table = wiring.connection_table(_client)
