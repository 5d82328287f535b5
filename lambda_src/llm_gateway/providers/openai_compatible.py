"""Any server that speaks OpenAI's chat completions: vLLM, DeepSeek, OpenAI."""

from collections.abc import AsyncGenerator, Mapping

import msgspec

from llm_gateway.call import ModelCall
from llm_gateway.errors import GatewayError
from llm_gateway.events import Event
from llm_gateway.http_client import HttpClient, Response
from llm_gateway.providers import openai_chat, upstream
from llm_gateway.routes import Endpoint
from llm_gateway.secrets import Secrets
from llm_gateway.sse import SseDecoder

_encode = msgspec.json.Encoder().encode


class OpenAICompatible:
    """One endpoint. Its streams must carry the usage where ``stream_options.include_usage`` asks for it, as all three do."""

    media_type = "text/event-stream"

    def __init__(self, client: HttpClient, endpoint: Endpoint, secrets: Secrets) -> None:
        self._client = client
        self._url = f"{endpoint.base_url}/chat/completions"
        self._secret_arn = endpoint.secret_arn
        self._secrets = secrets

    def answer(self, call: ModelCall) -> AsyncGenerator[list[Event], None]:
        return upstream.exchange(self._send(call), call, self, self._without_key)

    async def _send(self, call: ModelCall) -> Response:
        request = openai_chat.body(call)
        if call.stream:
            request["stream"] = True
            request["stream_options"] = {"include_usage": True}
        headers = [("content-type", "application/json")]
        if self._secret_arn:
            headers.append(("authorization", f"Bearer {await self._secrets.get(self._secret_arn, call.deadline)}"))
        return await self._client.send(
            "POST", self._url, headers, _encode(request), read_timeout=call.stall_seconds, deadline=call.deadline
        )

    def _without_key(self, body: bytes) -> bytes:
        return self._secrets.without(self._secret_arn, body)

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        if status == 401:
            self._secrets.forget(self._secret_arn)  # it may have been replaced
        return openai_chat.refusal(status, headers, body)

    def whole(self, body: bytes) -> list[Event]:
        return openai_chat.whole(body)

    def decoder(self) -> "_Stream":
        return _Stream()


class _Stream:
    """``data:`` lines of chunks, ``[DONE]`` at the end."""

    def __init__(self) -> None:
        self.done = False
        self._sse = SseDecoder()
        self._chunks = openai_chat.Chunks()

    def feed(self, data: bytes, events: list[Event]) -> None:
        self._read(self._sse.feed(data), events)

    def end(self, events: list[Event]) -> None:
        self._read(self._sse.end(), events)
        if not self.done:
            self._chunks.end(events)

    def _read(self, found: list[bytes], events: list[Event]) -> None:
        for data in found:
            if data == b"[DONE]":
                self._chunks.end(events)
                self.done = True
                break
            self._chunks.read(data, events)
