"""OpenAI, DeepSeek and vLLM on the wire."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, ClassVar, get_type_hints

from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming, CompletionCreateParamsStreaming
from pydantic import TypeAdapter

from pulumi_llm_local.upstreams.model import Finish, Piece
from pulumi_llm_local.upstreams.openai import wire
from wire.speaker import KEY, Answer, Asked, Frames, Speaker


class OpenAI(Speaker):
    """OpenAI itself: the reasoning is hidden, and a stop sequence looks like the answer's end."""

    endpoint = "openai_compatible"
    target: ClassVar[dict[str, Any]] = {"max_tokens_name": "max_completion_tokens"}
    tells_stop_sequence = False
    tells_reasoning = False
    takes_effort = True
    limit = "max_completion_tokens"
    style = wire.STYLES["openai"]

    def _chunks(self) -> wire.ChatChunks:
        return wire.ChatChunks("a-model", replace(self.style, tool_call_prefix=""), include_usage=True)

    def chunk(self, delta: dict[str, Any]) -> dict[str, Any]:
        """One chunk of a stream."""
        return self._chunks().chunk(delta)

    def chunks(self, answer: Answer) -> Iterator[Any]:
        chunks = self._chunks()
        for piece in self.pieces(answer):
            yield from chunks.of(piece)

    def ending(self, answer: Answer) -> Iterator[Any]:
        """The last chunks of a stream."""
        *_, finish = self.pieces(answer)
        assert isinstance(finish, Finish)
        return self._chunks().ending(finish)

    def events(self, answer: Answer) -> Iterator[Any]:
        yield from self.chunks(answer)
        yield b"[DONE]"

    def complete(self, answer: Answer) -> Any:
        return wire.render_complete(self.chunks(answer))

    def frame(self, event: Any) -> bytes:
        return wire.data_frame(event) if isinstance(event, bytes) else wire.frame(event)

    def noise(self) -> Frames:
        first = {**self.chunk({}), "choices": [], "prompt_filter_results": []}  # Azure's
        return [
            wire.KEEP_ALIVE,
            b"retry: 10\n\n",
            b"id: 7\n\n",
            b"data: \n\n",
            self.frame(first),
            self.frame(self.chunk({})),
        ]

    def asked(self, body: Any) -> Asked:
        turns: list[tuple[Any, ...]] = []
        system: str | None = None
        for message in body["messages"]:
            match message["role"]:
                case "system":
                    assert system is None and not turns
                    system = message["content"]
                case "tool":
                    turns.append(("result", message["tool_call_id"], message["content"]))
                case role:
                    if message["content"] is not None:
                        turns.append((role, message["content"]))
                    for use in message.get("tool_calls", []):
                        arguments = json.loads(use["function"]["arguments"])
                        turns.append(("call", use["id"], use["function"]["name"], arguments))
        functions = [tool["function"] for tool in body.get("tools", [])]
        choice = body.get("tool_choice")
        return Asked(
            turns=tuple(turns),
            system=system,
            tools={function["name"]: (function.get("description"), function["parameters"]) for function in functions},
            choice=choice["function"]["name"] if isinstance(choice, dict) else choice,
            max_tokens=body[self.limit],
            temperature=body.get("temperature"),
            top_p=body.get("top_p"),
            stop=tuple(body.get("stop", ())),
        )

    def check(self, path: str, headers: dict[str, str], body: Any, *, stream: bool) -> None:
        assert path == "/v1/chat/completions" and headers["content-type"] == "application/json"
        assert headers.get("authorization") == (f"Bearer {KEY}" if self.key else None)
        assert body["model"] == "test.model-v1:0"
        assert body.get("stream", False) == stream
        assert body.get("stream_options") == ({"include_usage": True} if stream else None)
        check_chat_completion(body, stream=stream)


def check_chat_completion(body: Any, *, stream: bool) -> None:
    """Hold a body against the types of OpenAI's own client."""
    kind: Any = CompletionCreateParamsStreaming if stream else CompletionCreateParamsNonStreaming
    assert set(body) <= set(get_type_hints(kind))
    _take_all(TypeAdapter(kind).validate_python(body))


def _take_all(value: Any) -> None:
    """pydantic checks an Iterable's items when they are taken."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for item in value:
            _take_all(item)


class DeepSeek(OpenAI):
    target: ClassVar[dict[str, Any]] = {}
    limit = "max_tokens"
    style = wire.STYLES["deepseek"]
    tells_reasoning = True

    def padding(self) -> bytes:
        return b"\n\n\n"


class VLLM(OpenAI):
    target: ClassVar[dict[str, Any]] = {}
    limit = "max_tokens"
    key = False
    style = wire.STYLES["vllm"]
    tells_reasoning = True
    tells_stop_sequence = True

    def pieces(self, answer: Answer) -> Iterator[Piece]:
        """vLLM's stop_reason is also the number of the token that ended the answer."""
        for piece in super().pieces(answer):
            at_a_token = isinstance(piece, Finish) and piece.stop_reason == "end_turn"
            yield replace(piece, stop_sequence=151645) if at_a_token else piece
