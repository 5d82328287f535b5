"""ASGI middleware of the model servers: the cookie by which the load balancer keeps a conversation on one server.

vLLM loads it by --middleware. It runs in vLLM's image, so it imports nothing but the standard library.
"""

import os
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

COOKIE = os.environ.get("STICKINESS_COOKIE", "LlmServiceStickiness")
SECONDS = os.environ.get("STICKINESS_SECONDS", "900")


Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class StickinessCookie:
    """Sets the cookie in each HTTP response; one that the client sent is kept, and counts from now on."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        value = _sent(scope["headers"]) or secrets.token_hex(16)
        cookie = f"{COOKIE}={value}; Max-Age={SECONDS}; Path=/; Secure; HttpOnly; SameSite=Lax"

        async def send_with_cookie(message: Mapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"set-cookie", cookie.encode())]
                message = {**message, "headers": headers}
            await send(message)

        await self.app(scope, receive, send_with_cookie)


def _sent(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The cookie's value in a request, where it is one of ours: 32 hexadecimal digits."""
    for name, value in headers:
        if name == b"cookie":
            for part in value.decode("latin-1").split(";"):
                key, _, given = part.strip().partition("=")
                if key == COOKIE and len(given) == 32 and not set(given) - set("0123456789abcdef"):
                    return given
    return ""
