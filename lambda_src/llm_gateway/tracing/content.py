"""Prompts and answers as attributes of spans, without the personal data that the PII filter finds.

https://github.com/open-telemetry/semantic-conventions/blob/v1.41.1/docs/gen-ai/gen-ai-spans.md#recording-content-on-attributes
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from llm_gateway.call import ModelCall
from llm_gateway.events import Delta, Event, Reasoning, ToolCall, ToolCallDelta
from llm_gateway.request import Message
from llm_gateway.safety import Filter
from llm_gateway.stages.prompt_filters import PII, TextFilter
from llm_gateway.telemetry import Record
from llm_gateway.trace import Trace
from llm_gateway.tracing.spans import Span

# The most characters of a prompt and of an answer: X-Ray refuses a span of more than 200 KB.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-OTLPEndpoint.html
MOST_CHARACTERS: Final = 16_000
# What is longer is cut before it is looked through, which takes time, and once more after that: of what the first cut has left
# of a number or an address, the filter may know nothing.
_MARGIN = 1_000
_PII = TextFilter(Filter("pii", "mask", kinds=tuple(PII)))
_encode = msgspec.json.Encoder().encode


def with_content(spans: Sequence[Span], trace: Trace, record: Record) -> list[Span]:
    """Return the spans, those of calls with what was asked and answered. An answer that a policy has blocked is left out."""
    blocked = "safety.blocked" in record.fields
    found = {call.span_id: (call, attempt) for call, attempt in zip(trace.calls, record.attempts, strict=False)}

    def described(span: Span) -> Span:
        if span.span_id not in found:
            return span
        call, attempt = found[span.span_id]
        attributes = dict(span.attributes)
        if isinstance(attempt.call, ModelCall):
            attributes |= _asked(attempt.call)
        if call.answer and not blocked:
            attributes["gen_ai.output.messages"] = _answered(call.answer, span)
        return msgspec.structs.replace(span, attributes=attributes)

    return [described(span) for span in spans]


class _Room:
    """What is left of the characters of an attribute."""

    def __init__(self) -> None:
        self._left = MOST_CHARACTERS

    def text(self, text: str) -> str:
        """Return a text without personal data, and not longer than what is left."""
        cut = text[: self._left + _MARGIN]
        masked, _ = _PII.found(cut)
        if len(cut) < len(text):
            masked = masked[: max(0, len(masked) - _MARGIN)]
        shown = masked[: self._left]
        self._left -= len(shown)
        return shown if len(shown) == len(masked) and len(cut) == len(text) else f"{shown}…"

    def value(self, value: Any) -> Any:
        """Return the arguments of a tool as text: what stands in them is looked through, too."""
        return self.text(_encode(value).decode())


def _asked(call: ModelCall) -> dict[str, str]:
    room = _Room()
    attributes: dict[str, str] = {}
    if call.system is not None:
        attributes["gen_ai.system_instructions"] = _json([{"type": "text", "content": room.text(call.system)}])
    # The newest messages say most where there is no room for all.
    newest = [{"role": message.role, "parts": _parts(message, room)} for message in reversed(call.messages)]
    return attributes | {"gen_ai.input.messages": _json(newest[::-1])}


def _parts(message: Message, room: _Room) -> list[dict[str, Any]]:
    if message.role == "tool":
        return [{"type": "tool_call_response", "id": message.tool_call_id, "response": room.text(message.text)}]
    parts: list[dict[str, Any]] = []
    if message.reasoning:
        parts.append({"type": "reasoning", "content": room.text(message.reasoning)})
    if message.parts:
        for part in message.parts:
            text = isinstance(part, str)
            parts.append({"type": "text", "content": room.text(part)} if text else {"type": part.kind})
    elif message.text:
        parts.append({"type": "text", "content": room.text(message.text)})
    for call in message.tool_calls:
        parts.append({"type": "tool_call", "id": call.id, "name": call.name, "arguments": room.value(call.arguments)})
    return parts


def _answered(events: Sequence[Event], span: Span) -> str:
    room = _Room()
    text = "".join(event.text for event in events if isinstance(event, Delta))
    reasoning = "".join(event.text for event in events if isinstance(event, Reasoning))
    parts: list[dict[str, Any]] = []
    if reasoning:
        parts.append({"type": "reasoning", "content": room.text(reasoning)})
    if text:
        parts.append({"type": "text", "content": room.text(text)})
    for call in (event for event in events if isinstance(event, ToolCall)):
        deltas = (event.arguments for event in events if isinstance(event, ToolCallDelta) and event.index == call.index)
        arguments = room.text("".join(deltas))
        parts.append({"type": "tool_call", "id": call.id, "name": call.name, "arguments": arguments})
    reasons = span.attributes.get("gen_ai.response.finish_reasons")
    reason = reasons[0] if isinstance(reasons, list | tuple) and reasons else "error"
    return _json([{"role": "assistant", "parts": parts, "finish_reason": reason}])


def _json(value: Any) -> str:
    return _encode(value).decode()
