"""What REST, Server-Sent Events and jobs share: the requests, and what can go wrong with them."""

import errno
import hashlib
from abc import ABC
from collections.abc import Sequence

import msgspec

from llm_gateway import errors
from llm_gateway.http import client as http_client
from llm_gateway.http.client import HttpClient, HttpError, Response
from llm_gateway.operations import PATHS
from pulumi_llm.cli.transports.transport import CONNECT_SECONDS, ChatError, Service, Transport

# Give up after this many seconds without any byte. A service that waits for its model sends comments in the meantime.
SILENCE_SECONDS = 30.0
NOT_THE_SERVICE = "is it the service's URL (the output api_gateway_url)?"


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model]


class HttpService(Service):
    """A service that is called by HTTP requests."""

    def __init__(self, endpoint: str, api_key: str) -> None:
        super().__init__(endpoint, api_key)
        self._client = HttpClient(connect_timeout=CONNECT_SECONDS)

    async def close(self) -> None:
        await self._client.close()

    async def _send(
        self, method: str, path: str, body: bytes, response_timeout: float, more_headers: Sequence[tuple[str, str]] = ()
    ) -> Response:
        """Send a request, and return the response if its status says success."""
        headers = [("accept", "text/event-stream, application/json"), ("user-agent", "pulumi-llm"), *self._headers()]
        headers += more_headers
        # A CDN may ask the function's URL. It signs with the body's hash, which it does not compute, and its signature replaces
        # the header Authorization.
        # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-restricting-access-to-lambda.html
        if self._key:
            headers.append(("x-api-key", self._key))
        if body:
            headers += [("content-type", "application/json"), ("x-amz-content-sha256", hashlib.sha256(body).hexdigest())]
        response = await self._client.send(
            method, self.base + path, headers, body, response_timeout=response_timeout, read_timeout=SILENCE_SECONDS
        )
        if 200 <= response.status < 300:
            return response
        async with response:
            raise self._refused(response.status, response.headers, await response.read())

    def _broken(self, error: HttpError) -> ChatError:
        """The error to show for a failure of the connection."""
        match error:
            case http_client.ConnectError() if f"[Errno {errno.ECONNREFUSED}]" in str(error):
                return self._error("connection_refused", f"nothing listens at {self.base}; is the service running?")
            case http_client.ConnectError() | http_client.TlsError():
                return self._error("connection_failed", f"cannot connect to {self.base}: {error}")
            case http_client.ConnectTimeout() | http_client.ResponseTimeout() | http_client.ReadTimeout():
                return self._error("timeout", str(error))
            case http_client.ConnectionCut():
                return self._error(errors.stream_interrupted.code, f"the answer broke off: {error}")
            case _:
                return self._error("malformed_response", str(error))


class HttpTransport(HttpService, Transport, ABC):
    """A transport over HTTP requests."""

    wrong_scheme = (
        "this transport needs the URL of the REST API (the output api_gateway_url); for a WebSocket add --transport ws"
    )

    async def models(self) -> list[str]:
        try:
            async with await self._send("GET", PATHS["models"], b"", SILENCE_SECONDS) as response:
                return [model.id for model in msgspec.json.decode(await response.read(), type=_Models).data]
        except HttpError as error:
            raise self._broken(error) from error
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._error("malformed_response", f"{self.base}{PATHS['models']} is no list of models") from None
