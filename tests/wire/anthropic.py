"""Anthropic on the wire."""

from collections.abc import Iterator
from typing import Any

from pulumi_llm_local.upstreams.anthropic import wire
from pulumi_llm_local.upstreams.anthropic.request import read_messages
from pulumi_llm_local.upstreams.model import ModelTraits
from support.local_bedrock import ALL
from wire.speaker import KEY, Answer, Asked, Frames, Speaker, dumped


class Anthropic(Speaker):
    endpoint = "anthropic"

    def events(self, answer: Answer) -> Iterator[Any]:
        read, written = answer.usage
        events = wire.MessageEvents("a-model", read, tool_use_prefix="")
        for event in (event for piece in self.pieces(answer) for event in events.of(piece)):
            if event["type"] == "message_start":  # what was read from the cache or written to it is counted beside the rest
                counted = {"input_tokens": read - 5, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2}
                event["message"]["usage"] = {**counted, "output_tokens": 1}
            elif event["type"] == "message_delta":
                event["usage"] = {"input_tokens": None, "output_tokens": written}
            yield event

    def complete(self, answer: Answer) -> Any:
        return wire.render_complete(self.events(answer))

    def frame(self, event: Any) -> bytes:
        return wire.frame(event)

    def noise(self) -> Frames:
        unknown = {"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": {}}}
        return [b": comment\n\n", *map(self.frame, ({"type": "ping"}, {"type": "of_tomorrow", "index": 0}, unknown))]

    def asked(self, body: Any) -> Asked:
        turns: list[tuple[Any, ...]] = []
        for message in body["messages"]:
            for block in message["content"]:
                match block["type"]:
                    case "text":
                        turns.append((message["role"], block["text"]))
                    case "tool_use":
                        turns.append(("call", block["id"], block["name"], block["input"]))
                    case "tool_result":
                        turns.append(("result", block["tool_use_id"], block["content"]))
        choice = body.get("tool_choice")
        return Asked(
            turns=tuple(turns),
            system=body.get("system"),
            tools={tool["name"]: (tool.get("description"), tool["input_schema"]) for tool in body.get("tools", [])},
            choice=choice and {"auto": "auto", "any": "required", "none": "none", "tool": choice.get("name")}[choice["type"]],
            max_tokens=body["max_tokens"],
            temperature=body.get("temperature"),
            top_p=body.get("top_p"),
            stop=tuple(body.get("stop_sequences", ())),
        )

    def check(self, path: str, headers: dict[str, str], body: Any, *, stream: bool) -> None:
        assert path == "/v1/messages"
        assert (headers["x-api-key"], headers["anthropic-version"]) == (KEY, "2023-06-01")
        assert headers["content-type"] == "application/json" and "authorization" not in headers
        assert read_messages(dumped(body), {"test.model-v1:0": ModelTraits(ALL)}).stream == stream
        assert "system" not in body or body["system"]
        blocks = [block["type"] for message in body["messages"] for block in message["content"]]
        assert body.get("tools") or not {"tool_use", "tool_result"} & set(blocks)
        roles = [message["role"] for message in body["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
