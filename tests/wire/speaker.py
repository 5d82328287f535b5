"""What the providers have in common on the wire: an answer in pieces, and how a request is read back and checked.

The bytes come from the stand-ins' own `wire` modules. Who judges them here is not ours: the gateway's requests are checked by
botocore's model and by the openai package's types, and its decoders are checked against what a caller gets.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from pulumi_llm_local.upstreams.model import (
    Finish,
    Piece,
    ReasoningDelta,
    SignatureDelta,
    TextDelta,
    ToolUseDelta,
    ToolUseStart,
)
from wire import http

KEY = "sk-test-0123456789"

Frames = list[bytes]


# A conversation, in no provider's words.


@dataclass(frozen=True)
class FunctionCall:
    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    text: str = ""
    reasoning: str = ""
    calls: tuple[FunctionCall, ...] = ()
    stop: Any = "end_turn"
    usage: tuple[int, int] = (11, 7)


@dataclass(frozen=True)
class Asked:
    """What a provider was asked. `turns` are (role, text), ("call", id, name, arguments) and ("result", id, text)."""

    turns: tuple[tuple[Any, ...], ...] = (("user", "Hi"),)
    system: str | None = None
    tools: dict[str, tuple[str | None, Any]] = field(default_factory=dict)
    choice: Any = None
    max_tokens: int = 4096
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()


def dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _cut(text: str, size: int) -> list[str]:
    return [text[i : i + size] for i in range(0, len(text), size)]


def with_unknown_members(value: Any) -> Any:
    """The same JSON with members that nobody knows yet, but for a tool's input, which is the model's own."""
    if isinstance(value, list):
        return [with_unknown_members(item) for item in value]
    if not isinstance(value, dict):
        return value
    known = {name: item if name == "input" else with_unknown_members(item) for name, item in value.items()}
    return {"of_tomorrow": {"a": [1, None]}, **known}


class Speaker:
    """A provider's side of the wire. `target` and `takes_effort` are what its model takes beside the sampling parameters."""

    endpoint: Literal["openai_compatible", "anthropic"] | None = None
    media_type = "text/event-stream; charset=utf-8"
    key = True
    target: ClassVar[dict[str, Any]] = {}
    tells_stop_sequence = True
    tells_reasoning = True
    ends_with_the_body = False  # nothing in the stream says that it was the last event
    takes_effort = False
    piece = 3  # characters of the text in one event

    def pieces(self, answer: Answer) -> Iterator[Piece]:
        """The answer as a model gives it. The arguments of a call without any are one empty piece."""
        yield from map(ReasoningDelta, _cut(answer.reasoning, 5))
        if answer.reasoning:
            yield SignatureDelta("c2ln")
        yield from map(TextDelta, _cut(answer.text, self.piece))
        for call in answer.calls:
            yield ToolUseStart(call.id, call.name)
            yield ToolUseDelta("")
            if call.arguments:
                yield from map(ToolUseDelta, _cut(json.dumps(call.arguments, ensure_ascii=False), 4))
        yield Finish(answer.stop, *answer.usage, "END" if answer.stop == "stop_sequence" else None)

    def events(self, answer: Answer) -> Iterator[Any]:
        """The events of a stream, before they are framed."""
        raise NotImplementedError

    def complete(self, answer: Answer) -> Any:
        """The document of an answer that is not streamed."""
        raise NotImplementedError

    def frame(self, event: Any) -> bytes:
        raise NotImplementedError

    def noise(self) -> Frames:
        """Frames that mean nothing wherever they stand."""
        raise NotImplementedError

    def padding(self) -> bytes:
        """What may stand before the JSON of a complete answer."""
        return b""

    def asked(self, body: Any) -> Asked:
        raise NotImplementedError

    def check(self, path: str, headers: dict[str, str], body: Any, *, stream: bool) -> None:
        """Check that a request is as the provider documents it."""
        raise NotImplementedError

    def expected(self, answer: Answer) -> Answer:
        """What a caller can learn of an answer."""
        if answer.stop == "stop_sequence" and not self.tells_stop_sequence:
            answer = replace(answer, stop="end_turn")
        return answer if self.tells_reasoning else replace(answer, reasoning="")

    def frames(self, answer: Answer) -> Frames:
        return [self.frame(event) for event in self.events(answer)]

    def response(self, answer: Answer, *, stream: bool) -> bytes:
        return self.streamed(*self.frames(answer)) if stream else http.response(200, dumped(self.complete(answer)))

    def head(self, framing: str = "transfer-encoding: chunked") -> bytes:
        return http.stream_head(self.media_type, framing)

    def streamed(self, *frames: bytes) -> bytes:
        return self.head() + b"".join(map(http.chunk, frames)) + http.STREAM_END
