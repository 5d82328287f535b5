"""The gateway as a service under uvicorn, and how tests call it."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import anthropic
import httpx
import httpx2
import openai
from uvicorn.server import Server

from llm_functions.http import server as http_server

PATIENCE = 120.0  # no test waits this long: it is what keeps a broken one from hanging
ORIGIN = "https://chat.example.com"


@dataclass
class Sse:
    """One event of a stream, or a comment (its `name` is ":")."""

    name: str
    data: Any
    id: int | None = None
    retry: int | None = None


async def sse_events(response: Any) -> AsyncIterator[Sse]:
    """The events as they come."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line.startswith(":"):
            yield Sse(":", line[1:].strip())
        elif line:
            name, _, value = line.partition(": ")
            assert name in ("id", "event", "data", "retry") and name not in fields, line
            fields[name] = value
        elif fields:
            if fields.get("data") == "[DONE]":
                yield Sse("[DONE]", None)
            else:
                data = json.loads(fields["data"]) if "data" in fields else None
                retry = int(fields["retry"]) if "retry" in fields else None
                yield Sse(fields.get("event", ""), data, int(fields["id"]) if "id" in fields else None, retry)
            fields = {}
    assert not fields, "the last event is not ended"


@dataclass
class Service:
    """A running gateway and its callers."""

    url: str
    http: httpx.AsyncClient
    clients: contextlib.AsyncExitStack = field(repr=False)

    async def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return await self.http.post(path, json=body, headers=headers)

    @contextlib.asynccontextmanager
    async def streaming(
        self, path: str, body: Any, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[tuple[httpx.Response, AsyncIterator[Sse]]]:
        async with self.http.stream("POST", path, json=body, headers=headers) as response:
            assert response.status_code == 200, await response.aread()
            assert response.headers["content-type"].startswith("text/event-stream")
            yield response, sse_events(response)

    async def sse(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> list[Sse]:
        """All events of a stream, comments left out."""
        async with self.streaming(path, body, headers) as (_, events):
            return [event async for event in events if event.name != ":"]

    def openai(self, **options: Any) -> openai.AsyncOpenAI:
        # As the SDK's own client, it follows redirects.
        http = httpx2.AsyncClient(verify=False, trust_env=False, timeout=PATIENCE, follow_redirects=True)
        self.clients.push_async_callback(http.aclose)
        options = {"api_key": "test-key", "max_retries": 0, "base_url": f"{self.url}/v1", **options}
        return openai.AsyncOpenAI(http_client=http, **options)

    def anthropic(self, **options: Any) -> anthropic.AsyncAnthropic:
        http = httpx2.AsyncClient(verify=False, trust_env=False, timeout=PATIENCE)
        self.clients.push_async_callback(http.aclose)
        options = {"api_key": "test-key", "max_retries": 0, "base_url": self.url, **options}
        return anthropic.AsyncAnthropic(http_client=http, **options)

    @staticmethod
    def error_of(response: httpx.Response) -> dict[str, Any]:
        """The error in a response, which must be in OpenAI's shape or Anthropic's, with what every answer carries."""
        assert response.headers["content-type"] == "application/json"
        assert response.headers["access-control-allow-origin"] == ORIGIN
        document = response.json()
        error = document.pop("error")
        assert document in ({}, {"type": "error", "request_id": error["request_id"]})
        assert (
            {"type", "code", "message", "request_id"}
            <= set(error)
            <= {
                "type",
                "code",
                "message",
                "request_id",
                "param",
                "detail",
            }
        )
        assert all(isinstance(value, str) and value for value in error.values())
        assert error["request_id"] == response.headers["x-request-id"]
        return error

    @staticmethod
    def context(caller: Mapping[str, str] | None = None, request_id: str = "request-1") -> dict[str, str]:
        """The header with what API Gateway and its authorizer know."""
        context: dict[str, Any] = {"requestId": request_id}
        if caller is not None:
            context["authorizer"] = dict(caller)
        return {"x-amzn-request-context": json.dumps(context)}

    @staticmethod
    def url_context(request_id: str = "request-1") -> dict[str, str]:
        """The header with what Lambda knows of a call of the function's URL, which CloudFront signed."""
        return {"x-amzn-request-context": json.dumps(function_url_context("POST", "/api/chat/stream", request_id))}


def function_url_context(method: str, path: str, request_id: str) -> dict[str, Any]:
    """The request context of a function URL with AWS_IAM.

    https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads
    """
    return {
        "accountId": "123456789012",
        "apiId": "a1b2c3d4e5f6",
        "authentication": None,
        "authorizer": {
            "iam": {
                "accessKey": "ASIAEXAMPLE",
                "accountId": "123456789012",
                "callerId": "AROAEXAMPLE:CloudFront",
                "cognitoIdentity": None,
                "principalOrgId": None,
                "userArn": "arn:aws:sts::123456789012:assumed-role/cloudfront/session",
                "userId": "AROAEXAMPLE:CloudFront",
            }
        },
        "domainName": "a1b2c3d4e5f6.lambda-url.us-east-1.on.aws",
        "domainPrefix": "a1b2c3d4e5f6",
        "http": {
            "method": method,
            "path": path,
            "protocol": "HTTP/1.1",
            "sourceIp": "192.0.2.1",
            "userAgent": "Amazon CloudFront",
        },
        "requestId": request_id,
        "routeKey": "$default",
        "stage": "$default",
        "time": "31/Jan/2026:12:00:00 +0000",
        "timeEpoch": 1769860800000,
    }


@contextlib.asynccontextmanager
async def serve(application: Any) -> AsyncIterator[str]:
    """The application as `llm_functions.http.main` serves it, but on any free port and without signals."""
    # With the protocol named, for asyncio sets TCP_NODELAY only then, as it does for the address that `main` gives.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    config = http_server.config(application, log_config=None)
    config.load()
    server = Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:  # Server.shutdown does this too, with a pause of 0.1 s in it
        for each in server.servers:
            each.close()
        for connection in list(server.server_state.connections):
            connection.shutdown()
        if server.server_state.tasks:
            await asyncio.wait(set(server.server_state.tasks), timeout=PATIENCE)
        for connection in list(server.server_state.connections):
            connection.transport.abort()
