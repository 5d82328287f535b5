"""Bedrock on the wire: Converse, InvokeModel of an imported model, and streams that a test writes event by event."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from botocore import validate
from botocore.loaders import Loader
from botocore.model import ServiceModel

from pulumi_llm_local.upstreams.bedrock import wire
from pulumi_llm_local.upstreams.openai.wire import IMPORTED_MODEL
from support.local_bedrock import REGION
from wire import http
from wire.openai import OpenAI, check_chat_completion
from wire.speaker import Answer, Asked, Frames, Speaker, dumped


class Converse(Speaker):
    media_type = wire.EVENT_STREAM
    _model = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"), "bedrock-runtime")

    def events(self, answer: Answer) -> Iterator[Any]:
        events = wire.ConverseEvents()
        for piece in self.pieces(answer):
            yield from events.of(piece, latency_ms=12)

    def complete(self, answer: Answer) -> Any:
        document = wire.render_complete(self.events(answer))
        content = document["output"]["message"]["content"]
        if not content:
            content.append({"text": ""})
        return document

    def frame(self, event: Any) -> bytes:
        return wire.event_message(*event)

    def noise(self) -> Frames:
        citation = {"citation": {"title": "A source"}}
        return [
            self.frame(("ofTomorrow", {"delta": {"text": "not the answer's"}})),
            self.frame(("contentBlockDelta", {"contentBlockIndex": 0, "delta": citation})),
            self.frame(("contentBlockStart", {"contentBlockIndex": 0, "start": {"ofTomorrow": {}}})),
        ]

    def asked(self, body: Any) -> Asked:
        turns: list[tuple[Any, ...]] = []
        for message in body["messages"]:
            for block in message["content"]:
                match block:
                    case {"text": text}:
                        turns.append((message["role"], text))
                    case {"toolUse": use}:
                        turns.append(("call", use["toolUseId"], use["name"], use["input"]))
                    case {"toolResult": {"toolUseId": id_, "content": [{"text": text}]}}:
                        assert message["role"] == "user"
                        turns.append(("result", id_, text.replace("(no output)", "")))  # Bedrock takes no blank one
        config, tools = body["inferenceConfig"], body.get("toolConfig", {})
        specs = [tool["toolSpec"] for tool in tools.get("tools", [])]
        choice = tools.get("toolChoice", {"auto": {}}) if tools else {}
        names = {"auto": "auto", "any": "required", "tool": choice.get("tool", {}).get("name")}
        return Asked(
            turns=tuple(turns),
            system="".join(block["text"] for block in body["system"]) if "system" in body else None,
            tools={spec["name"]: (spec.get("description"), spec["inputSchema"]["json"]) for spec in specs},
            choice=names[next(iter(choice))] if choice else None,
            max_tokens=config["maxTokens"],
            temperature=config.get("temperature"),
            top_p=config.get("topP"),
            stop=tuple(config.get("stopSequences", ())),
        )

    def check(self, path: str, headers: dict[str, str], body: Any, *, stream: bool) -> None:
        assert path == f"/model/test.model-v1%3A0/converse{'-stream' if stream else ''}"
        _check_signature(headers)
        operation = self._model.operation_model("ConverseStream" if stream else "Converse")
        assert set(body) <= set(operation.input_shape.members)
        validate.validate_parameters({"modelId": "a-model", **body}, operation.input_shape)
        roles = [message["role"] for message in body["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]


def _check_signature(headers: dict[str, str]) -> None:
    assert headers["content-type"] == "application/json"
    assert f"/{REGION}/bedrock/aws4_request" in headers["authorization"]


class Imported(OpenAI):
    """A model that was imported to Bedrock: OpenAI's format in Bedrock's frames, without [DONE]."""

    endpoint = None
    media_type = wire.EVENT_STREAM
    target: ClassVar[dict[str, Any]] = {"api": "invoke_model"}
    limit = "max_tokens"
    style = IMPORTED_MODEL
    tells_stop_sequence = True
    tells_reasoning = True
    ends_with_the_body = True

    def events(self, answer: Answer) -> Iterator[Any]:
        return map(_measured, self.chunks(answer))

    def ending(self, answer: Answer) -> Iterator[Any]:
        return map(_measured, super().ending(answer))

    def frame(self, event: Any) -> bytes:
        return wire.chunk_message(dumped(event))

    def noise(self) -> Frames:
        return [wire.event_message("ofTomorrow", {"bytes": "!"}), self.frame(self.chunk({}))]

    def check(self, path: str, headers: dict[str, str], body: Any, *, stream: bool) -> None:
        assert path == f"/model/test.model-v1%3A0/invoke{'-with-response-stream' if stream else ''}"
        _check_signature(headers)
        assert not {"model", "stream", "stream_options"} & set(body)
        check_chat_completion({"model": "", **body}, stream=False)


def _measured(chunk: dict[str, Any]) -> dict[str, Any]:
    """The last chunk with what Bedrock measured in place of the model's own count."""
    usage = chunk.pop("usage", None)
    if usage is None:
        return chunk
    metrics = wire.invocation_metrics(usage["prompt_tokens"], usage["completion_tokens"], latency_ms=12, first_byte_ms=3)
    return {**chunk, "usage": None, "amazon-bedrock-invocationMetrics": metrics}


class Wire:
    """What Bedrock sends, for a test that writes an answer event by event."""

    STREAM_HEAD = http.stream_head(wire.EVENT_STREAM)
    STREAM_END = http.STREAM_END
    USAGE: Mapping[str, int] = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}
    response = staticmethod(http.response)
    chunk = staticmethod(http.chunk)
    plays = staticmethod(http.plays)

    @staticmethod
    def frame(kind: Any, name: str, payload: Any) -> bytes:
        """One message of application/vnd.amazon.eventstream; `payload` is bytes or what becomes JSON."""
        return wire.raw_message(kind, name, payload if isinstance(payload, bytes) else dumped(payload))

    @classmethod
    def event(cls, name: str, payload: Any) -> bytes:
        return cls.chunk(cls.frame("event", name, payload))

    @classmethod
    def exception(cls, name: str, message: str) -> bytes:
        return cls.chunk(cls.frame("exception", name, {"message": message}))

    @classmethod
    def text(cls, text: str) -> bytes:
        return cls.event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": text}})

    @classmethod
    def ending(cls, reason: str = "end_turn") -> bytes:
        return cls.event("messageStop", {"stopReason": reason}) + cls.event("metadata", {"usage": dict(cls.USAGE)})

    @classmethod
    def stream(cls, *events: bytes) -> bytes:
        """A whole streamed response."""
        return cls.STREAM_HEAD + b"".join(events) + cls.STREAM_END

    @classmethod
    def converse(cls, *content: Any, reason: str = "end_turn", **more: Any) -> dict[str, Any]:
        """The body of a complete answer."""
        message = {"role": "assistant", "content": list(content)}
        return {"output": {"message": message}, "stopReason": reason, "usage": dict(cls.USAGE), **more}
