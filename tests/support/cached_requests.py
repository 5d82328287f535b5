"""Requests whose answers are cached, in each API format."""

from typing import Any

import httpx

from llm_gateway.answer_cache import AnswerCache
from llm_gateway.routes import Alias, Routes, Target

_VALUES: dict[str, Any] = {"provider": "bedrock", "max_output_tokens": 4096, "context_tokens": 100_000}


def alias(name: str, *accepts: Any, **more: Any) -> Alias:
    target = Target(name=f"bedrock/{name}", model=name, accepts=accepts, **{**_VALUES, **more})
    return Alias(name, (target,), retries=0)


ROUTES = Routes(
    (
        alias("chat", "max_tokens", "temperature", "tools", "stream_tools"),
        alias("other", "max_tokens", "temperature"),
        alias("plain", "max_tokens"),
        alias("vectors", kind="embedding"),
    ),
    cache=AnswerCache(ttl_seconds=600),
)
MESSAGES = [{"role": "user", "content": "Hi"}]
# Each operation that chats, with a body for it at temperature 0.
BODIES: dict[str, dict[str, Any]] = {
    "/chat": {"message": "Hi", "temperature": 0},
    "/v1/chat/completions": {"model": "chat", "messages": MESSAGES, "temperature": 0},
    "/v1/completions": {"model": "chat", "prompt": "Hi", "temperature": 0},
    "/v1/responses": {"model": "chat", "input": "Hi", "temperature": 0},
    "/v1/messages": {"model": "chat", "messages": MESSAGES, "max_tokens": 9, "temperature": 0},
}
STREAMS = {"/chat/stream": BODIES["/chat"]} | {
    path: {**body, "stream": True} for path, body in BODIES.items() if path != "/chat"
}


def status(response: httpx.Response) -> str | None:
    """What the cache has done, by the answer's header."""
    return response.headers.get("x-llm-cache")
