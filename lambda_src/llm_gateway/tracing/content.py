"""Prompts and answers as attributes of spans, without the personal data that the PII filter finds.

An answer is what its caller got: what a guardrail has masked in it is masked here, too.
https://github.com/open-telemetry/semantic-conventions/blob/v1.41.1/docs/gen-ai/gen-ai-spans.md#recording-content-on-attributes
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
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

# The most characters of an attribute, all that its JSON takes: X-Ray refuses a span of more than 200 KB.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-OTLPEndpoint.html
MOST_CHARACTERS: Final = 16_000
# Of these, what a list, a message and a part take at most beside their texts.
_LIST = 2
_MESSAGE = 80
_PART = 60
# What is longer is cut before it is looked through, which takes time, and once more after that: of what the first cut has left
# of a number or an address, the filter may know nothing.
_MARGIN = 1_000
_PII = TextFilter(Filter("pii", "mask", kinds=tuple(PII)))
# An escape in JSON. Its letter, as the "n" of a line's end, would hide what stands after it from the filter.
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_encode = msgspec.json.Encoder().encode


def with_content(spans: Sequence[Span], trace: Trace, record: Record) -> list[Span]:
    """Return the spans, those of calls with what was asked and answered. An answer that a policy has blocked is left out."""
    blocked = "safety.blocked" in record.fields
    found = {call.span_id: attempt for call, attempt in zip(trace.calls, record.attempts, strict=False)}

    def described(span: Span) -> Span:
        attempt = found.get(span.span_id)
        if attempt is None or not isinstance(attempt.call, ModelCall):
            return span
        attributes = {**span.attributes, **_asked(attempt.call)}
        if trace.answer and attempt.error is None and attempt is record.attempts[-1] and not blocked:
            attributes["gen_ai.output.messages"] = _answered(trace.answer, span)
        return msgspec.structs.replace(span, attributes=attributes)

    return [described(span) for span in spans]


class _Room:
    """What is left of the characters of an attribute."""

    def __init__(self) -> None:
        self._left = MOST_CHARACTERS - _LIST

    def takes(self, characters: int) -> bool:
        """Take so many characters if they are left. If not, there is no room for anything any more."""
        has_room = self._left >= characters
        self._left = self._left - characters if has_room else 0
        return has_room

    def text(self, text: str) -> str:
        """Return a text without personal data that fits in.

        It takes the room of what was looked through, so that the time is bounded, too.
        """
        if not text:
            return text
        cut = text[: self._left + _MARGIN] if self._left else ""
        masked, _ = _PII.found(cut)
        if len(cut) < len(text):
            masked = masked[: max(0, len(masked) - _MARGIN)]
        shown = _fitting(masked, self._left)
        is_all = shown == masked and len(cut) == len(text)
        self._left -= min(self._left, max(len(cut), _length(shown)))
        return shown if is_all else f"{shown}…"

    def arguments(self, text: str) -> str:
        """Return the arguments of a tool, which are JSON: what stands in their texts is looked through, too."""
        return self.text(_ESCAPE.sub(_unescaped, text[: 6 * (self._left + _MARGIN)]) if self._left else text)


def _unescaped(escape: re.Match[str]) -> str:
    if escape[1] is None:
        return " " if escape[2] in "bfnrt" else escape[0]
    character = chr(int(escape[1], 16))
    if character.isspace():
        return " "
    return character if character.isprintable() and character not in '"\\' else escape[0]


def _fitting(text: str, most: int) -> str:
    """Return as much of a text as takes at most so many characters in JSON."""
    text = text[:most]
    while (length := _length(text)) > most:
        text = text[: len(text) * most // length]
    return text


def _length(text: str) -> int:
    """Return the characters that a text takes in JSON, between its quotation marks."""
    return len(_json(text)) - 2


def _asked(call: ModelCall) -> dict[str, str]:
    attributes: dict[str, str] = {}
    if call.system is not None:
        room = _Room()
        room.takes(_PART)
        attributes["gen_ai.system_instructions"] = _json([{"type": "text", "content": room.text(call.system)}])
    # The newest messages say most where there is no room for all.
    room, newest = _Room(), list[dict[str, Any]]()
    for message in reversed(call.messages):
        if not room.takes(_MESSAGE):
            break
        newest.append({"role": message.role, "parts": list(_parts(message, room))})
    return attributes | {"gen_ai.input.messages": _json(newest[::-1])}


def _parts(message: Message, room: _Room) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        if room.takes(_PART):
            yield {"type": "tool_call_response", "id": room.text(message.tool_call_id), "response": room.text(message.text)}
        return
    if message.reasoning and room.takes(_PART):
        yield {"type": "reasoning", "content": room.text(message.reasoning)}
    for part in message.parts or ([message.text] if message.text else []):
        if not room.takes(_PART):
            return
        yield {"type": "text", "content": room.text(part)} if isinstance(part, str) else {"type": part.kind}
    for call in message.tool_calls:
        if not room.takes(_PART):
            return
        yield _tool_call(call.id, call.name, _json(call.arguments), room)


def _answered(events: Sequence[Event], span: Span) -> str:
    room = _Room()
    room.takes(_MESSAGE)
    reasons = span.attributes.get("gen_ai.response.finish_reasons")
    reason = reasons[0] if isinstance(reasons, list | tuple) and reasons else "error"
    return _json([{"role": "assistant", "parts": list(_answer_parts(events, room)), "finish_reason": reason}])


def _answer_parts(events: Sequence[Event], room: _Room) -> Iterator[dict[str, Any]]:
    text = "".join(event.text for event in events if isinstance(event, Delta))
    reasoning = "".join(event.text for event in events if isinstance(event, Reasoning))
    arguments = defaultdict[int, list[str]](list)
    for event in events:
        if isinstance(event, ToolCallDelta):
            arguments[event.index].append(event.arguments)
    if reasoning and room.takes(_PART):
        yield {"type": "reasoning", "content": room.text(reasoning)}
    if text and room.takes(_PART):
        yield {"type": "text", "content": room.text(text)}
    for call in (event for event in events if isinstance(event, ToolCall)):
        if not room.takes(_PART):
            return
        yield _tool_call(call.id, call.name, "".join(arguments[call.index]), room)


def _tool_call(call_id: str, name: str, arguments: str, room: _Room) -> dict[str, Any]:
    return {"type": "tool_call", "id": room.text(call_id), "name": room.text(name), "arguments": room.arguments(arguments)}


def _json(value: Any) -> str:
    return _encode(value).decode()
