"""A service that keeps its answers, in front of a model that answers part by part."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from llm_gateway.call import ModelCall
from llm_gateway.embeddings import EmbeddingCall
from llm_gateway.errors import GatewayError
from llm_gateway.events import Delta, Done, Embeddings, Event, Reasoning, Usage
from llm_gateway.routes import Alias, Routes, Target
from support.gateway_service import Service

_VALUES: dict[str, Any] = {
    "provider": "bedrock",
    "max_output_tokens": 4096,
    "context_tokens": 100_000,
    "accepts": ("max_tokens",),
}
ROUTES = Routes(
    (
        Alias("chat", (Target(name="bedrock/chat", model="chat", **_VALUES),), retries=0),
        Alias("vectors", (Target(name="bedrock/vectors", model="vectors", kind="embedding", **_VALUES),), retries=0),
    )
)
KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}


class Model:
    """A provider that answers with these texts, each when it may. `failures` come first."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts) or ["Hello", " world"]
        self.failures: list[GatewayError] = []
        self.calls = 0
        self.may = asyncio.Semaphore(0)
        self.asked = asyncio.Event()
        self.ended = asyncio.Event()
        self.free(1000)

    def free(self, parts: int) -> None:
        for _ in range(parts):
            self.may.release()

    def hold(self) -> None:
        self.may = asyncio.Semaphore(0)

    async def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
        self.calls += 1
        self.asked.set()
        try:
            await self.may.acquire()
            if self.failures:
                raise self.failures.pop(0)
            yield [Reasoning("Well."), Delta(self.texts[0])]
            for text in self.texts[1:]:
                await self.may.acquire()
                if self.failures:
                    raise self.failures.pop(0)
                yield [Delta(text)]
            yield [Usage(3, 2), Done("end_turn")]
        finally:
            self.ended.set()

    async def embed(self, call: EmbeddingCall) -> AsyncGenerator[list[Event], None]:
        self.calls += 1
        yield [Embeddings(tuple([0.5, float(len(text))] for text in call.texts)), Usage(3, 0), Done("end_turn")]


# Starts a service.
Start = Callable[..., Awaitable[Service]]

MESSAGES = [{"role": "user", "content": "Hi"}]
# Each operation that calls a model, with a body for it.
BODIES: dict[str, dict[str, Any]] = {
    "/chat": {"message": "Hi"},
    "/v1/chat/completions": {"model": "chat", "messages": MESSAGES},
    "/v1/completions": {"model": "chat", "prompt": "Hi"},
    "/v1/responses": {"model": "chat", "input": "Hi"},
    "/v1/messages": {"model": "chat", "messages": MESSAGES, "max_tokens": 9},
    "/v1/embeddings": {"model": "vectors", "input": ["Hi", "there"]},
}
STREAMS = {"/chat/stream": BODIES["/chat"]} | {
    path: {**body, "stream": True} for path, body in BODIES.items() if path not in ("/chat", "/v1/embeddings")
}
