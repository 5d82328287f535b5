"""The dialect of servers that are compatible with OpenAI's chat completions: OpenAI, DeepSeek, vLLM."""

from collections.abc import Mapping
from typing import Any

from llm_gateway.call import ModelCall
from llm_gateway.errors import GatewayError
from llm_gateway.events import Event
from llm_gateway.http.sse import SseDecoder
from llm_gateway.providers.exchange import IDENTITY
from llm_gateway.providers.openai import chat_completions


class OpenAICompatible:
    """The usage in a stream is asked for by ``stream_options.include_usage``. It is estimated where it does not come."""

    media_type = "text/event-stream"
    path = "/chat/completions"
    call_id = chat_completions.CALL_ID

    def headers(self, key: str, call: object) -> list[tuple[str, str]]:
        headers = [("content-type", "application/json"), IDENTITY]
        return [*headers, ("authorization", f"Bearer {key}")] if key else headers

    def body(self, call: ModelCall) -> dict[str, Any]:
        body = chat_completions.body(call)
        if call.stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        return body

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        return chat_completions.refusal(status, headers, body)

    def read_complete(self, body: bytes) -> list[Event]:
        return chat_completions.read_complete(body)

    def decoder(self) -> "_Stream":
        return _Stream()


class _Stream:
    """Decodes ``data:`` lines of chunks, with ``[DONE]`` at the end."""

    def __init__(self) -> None:
        self.done = False
        self._sse = SseDecoder()
        self._chunks = chat_completions.ChunkReader()

    def feed(self, data: bytes, events: list[Event]) -> None:
        self._read_chunks(self._sse.feed(data), events)

    def end(self, events: list[Event]) -> None:
        self._read_chunks(self._sse.end(), events)
        if not self.done:
            self._chunks.end(events)

    def _read_chunks(self, found: list[bytes], events: list[Event]) -> None:
        for data in found:
            if data == b"[DONE]":
                self._chunks.end(events, marked=True)
                self.done = True
                break
            self._chunks.read(data, events)
