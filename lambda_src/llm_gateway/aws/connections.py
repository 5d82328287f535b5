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

# Seconds for which a call is tried again, the pause before the second attempt, and the longest one.
_PATIENCE = 5.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 1.0
_TIMEOUT = 5.0


class Gone(Exception):
    """The client is no longer connected."""


class ConnectionsError(Exception):
    """API Gateway did not take the call: it throttles or fails, or this service cannot reach it or may not call it.

    It throttles (429) for two reasons: the account makes too many calls in this Region, or the client reads too slowly.
    """


class Connections:
    """The connections of one WebSocket API. A call that fails for a reason that may pass is made again for `patience` seconds.

    ``AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI`` replaces the host of `stage_url`, as in every AWS SDK.
    """

    def __init__(self, aws: Aws, stage_url: str, environ: Mapping[str, str] = os.environ) -> None:
        self._aws = aws
        override = environ.get("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI")
        self._base = override.rstrip("/") + urlsplit(stage_url).path if override else stage_url
        self._base = self._base.rstrip("/")
        self._answered = False

    async def may_send(self, connection: str) -> bool:
        """Return whether a client is connected, or API Gateway cannot say it now. It is asked once, if it has ever answered.

        Raises `ConnectionsError` if API Gateway cannot be called from here at all: the function's network may lead nowhere, or
        to an endpoint for private APIs, which answers 403. https://repost.aws/knowledge-center/api-gateway-vpc-connections
        """
        try:
            return await self.is_open(connection, patience=0.0 if self._answered else None)
        except ConnectionsError:
            if not self._answered:
                raise
            return True

    async def post(self, connection: str, message: bytes, *, patience: float | None = None) -> None:
        """Send a message to a client. A client may get it twice, if API Gateway's answer was lost.

        Raises `Gone` or `ConnectionsError`.
        """
        await self._call("POST", connection, message, patience)

    async def is_open(self, connection: str, *, patience: float | None = None) -> bool:
        """Return whether a client is connected, as far as API Gateway knows. Raises `ConnectionsError`."""
        try:
            await self._call("GET", connection, b"", patience)
        except Gone:
            return False
        return True

    async def close(self, connection: str, *, patience: float | None = None) -> None:
        """Close a connection. One that is closed already is no error. Raises `ConnectionsError`."""
        with contextlib.suppress(Gone):
            await self._call("DELETE", connection, b"", patience)

    async def _call(self, method: str, connection: str, body: bytes, patience: float | None) -> None:
        path = f"/@connections/{quote(connection, safe='')}"
        end = asyncio.get_running_loop().time() + (_PATIENCE if patience is None else patience)
        pause = _FIRST_PAUSE
        while True:
            try:
                response = await self._aws.send(
                    "execute-api", method, self._base, path, body, response_timeout=_TIMEOUT, read_timeout=_TIMEOUT
                )
                async with response:
                    answer = await response.read()
                self._answered = self._answered or response.status != 403
                if response.status < 300:
                    return
                if response.status == 410:
                    raise Gone(connection)
                failure = f"status {response.status}: {self._aws.redact(_message(answer))}"
                temporary = response.status == 429 or response.status >= 500
            except HttpError as error:
                failure, temporary = str(error), True
            if not temporary or asyncio.get_running_loop().time() + pause > end:
                raise ConnectionsError(f"{method} @connections: {failure}")
            # Full jitter would often ask again at once; half of the pause is fixed.
            await asyncio.sleep(pause * (0.5 + random.random() / 2))  # noqa: S311
            pause = min(2 * pause, _LONGEST_PAUSE)


def _message(answer: bytes) -> str:
    try:
        return str(msgspec.json.decode(answer)["message"])[:200]
    except (msgspec.DecodeError, LookupError, TypeError):
        return ""
