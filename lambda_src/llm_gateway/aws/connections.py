"""API Gateway's ``@connections``: sends messages to the clients of a WebSocket API.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html
"""

import asyncio
import contextlib
import os
import random
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

import msgspec

from llm_gateway.aws.client import Aws
from llm_gateway.http.client import HttpError

# A message may have 128 KB; one of more than 32 KB is sent in several frames.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
FRAME_BYTES = 32 * 1024

# Attempts in all, and the seconds before the second one; each pause is up to twice as long as the one before.
_ATTEMPTS = 5
_FIRST_PAUSE = 0.1
_TIMEOUT = 5.0


class Gone(Exception):
    """The client is no longer connected."""


class ConnectionsError(Exception):
    """API Gateway did not take the call: it throttles or fails, or this service may not call it."""


class Connections:
    """The connections of one WebSocket API.

    ``AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI`` replaces the host of `stage_url`, as in every AWS SDK.
    """

    def __init__(self, aws: Aws, stage_url: str, environ: Mapping[str, str] = os.environ) -> None:
        self._aws = aws
        override = environ.get("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI")
        self._base = override.rstrip("/") + urlsplit(stage_url).path if override else stage_url
        self._base = self._base.rstrip("/")

    async def post(self, connection: str, message: bytes) -> None:
        """Send a message to a client. A client may get it twice, if API Gateway's answer was lost.

        Raises `Gone`, or `ConnectionsError` after several attempts.
        """
        await self._call("POST", connection, message)

    async def is_open(self, connection: str) -> bool:
        """Return whether a client is connected, as far as API Gateway knows. Raises `ConnectionsError`."""
        try:
            await self._call("GET", connection, b"")
        except Gone:
            return False
        return True

    async def close(self, connection: str) -> None:
        """Close a connection. One that is closed already is no error. Raises `ConnectionsError`."""
        with contextlib.suppress(Gone):
            await self._call("DELETE", connection, b"")

    async def _call(self, method: str, connection: str, body: bytes) -> None:
        path = f"/@connections/{quote(connection, safe='')}"
        pause = _FIRST_PAUSE
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                response = await self._aws.send(
                    "execute-api", method, self._base, path, body, response_timeout=_TIMEOUT, read_timeout=_TIMEOUT
                )
                async with response:
                    answer = await response.read()
                if response.status < 300:
                    return
                if response.status == 410:
                    raise Gone(connection)
                failure = f"status {response.status}: {_message(answer)}"
                temporary = response.status == 429 or response.status >= 500
            except HttpError as error:
                failure, temporary = str(error), True
            if not temporary or attempt == _ATTEMPTS:
                raise ConnectionsError(f"{method} @connections: {failure}")
            # Full jitter would often ask again at once; half of the pause is fixed.
            await asyncio.sleep(pause * (0.5 + random.random() / 2))  # noqa: S311
            pause *= 2


def _message(answer: bytes) -> str:
    try:
        return str(msgspec.json.decode(answer)["message"])[:200]
    except (msgspec.DecodeError, LookupError, TypeError):
        return ""
