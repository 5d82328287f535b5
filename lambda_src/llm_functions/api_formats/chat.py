"""The API format of /chat and /chat/stream: one message in, one answer out."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

from llm_functions.api_formats.complete import collect, retrieval_fields
from llm_functions.api_formats.fields import MOST_MESSAGES, Fields
from llm_gateway.errors import GatewayError, clipped
from llm_gateway.events import Delta, Event, Logprobs, ReasoningSignature, Start
from llm_gateway.request import DEFAULT_MAX_TOKENS, MAX_TOKENS, NUMERIC_PARAMETERS, ChatRequest, Message, Sampling

SYSTEM_PROMPT = "You are a helpful AI assistant."
STOP_LIMIT = 16
DEFAULTS = Sampling(max_tokens=DEFAULT_MAX_TOKENS, temperature=0.7, top_p=0.9)

_encode = msgspec.json.Encoder().encode


def parse(body: Mapping[str, Any], *, stream: bool) -> ChatRequest:
    """Parse a request's body. Raises the error 400, which names every field that is wrong."""
    fields = Fields(body)
    message = _message(fields)
    model = fields.string("model")
    system = fields.string("system_prompt")
    sampling = Sampling(
        max_tokens=fields.integer("max_tokens", 1, MAX_TOKENS),
        **fields.numbers(NUMERIC_PARAMETERS),
        stop=fields.strings("stop", STOP_LIMIT),
    )
    history = [_turn(turn) for turn in fields.objects("history", MOST_MESSAGES)]
    fields.no_others()
    fields.finish()
    return ChatRequest(
        messages=(*history, Message(role="user", text=message, place="message")),
        model=model or "",
        system=system,
        default_system=SYSTEM_PROMPT,
        sampling=sampling,
        defaults=DEFAULTS,
        stream=stream,
        exact=True,
        names={"system": "system_prompt"},
    )


def _message(fields: Fields) -> str:
    if fields.has("message") and fields.has("prompt"):
        fields.wrong("message", "give either message or prompt, its synonym, not both")
    name = "prompt" if fields.has("prompt") else "message"
    text = fields.string(name, required=True)
    fields.any("message")
    fields.any("prompt")
    return text or ""


def _turn(turn: Fields) -> Message:
    role = turn.string("role", required=True)
    if role is not None and role not in ("user", "assistant"):
        turn.wrong("role", f"must be 'user' or 'assistant', not {clipped(role)!r}")
    content = turn.string("content", required=True)
    turn.no_others()
    return Message(role="assistant" if role == "assistant" else "user", text=content or "", place=turn.place)


async def render_complete(batches: AsyncIterator[list[Event]]) -> tuple[Start, bytes]:
    """Return the event that begins the answer, and the complete answer as JSON."""
    answer = await collect(batches)
    usage = answer.usage
    body = {
        "message": answer.text,
        "model": answer.start.model,
        "request_id": answer.start.request_id,
        "usage": {name: value for name, value in msgspec.to_builtins(usage).items() if name != "type"},
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "stop_reason": answer.stop_reason,
        **({"reasoning": answer.reasoning} if answer.reasoning else {}),
        **retrieval_fields(answer.start),
    }
    return answer.start, _encode(body)


class StreamRenderer:
    """Renders the answer as Server-Sent Events, with ids from 1. The client has those up to number `since`."""

    def __init__(self, request_id: str, since: int = 0) -> None:
        self._request_id = request_id
        self._since = since
        self._id = 0

    @property
    def last(self) -> int:
        """The number of the last event so far."""
        return self._id

    @property
    def is_beyond(self) -> bool:
        """Whether the client has an event after all those so far."""
        return self._since > self._id

    def opening(self) -> bytes:
        """The first line: the milliseconds that a client waits before it reconnects."""
        return b"retry: 3000\n\n"

    def events(self, batch: list[Event]) -> bytes:
        if self._id < self._since:
            first = 0
            while self._id < self._since and first < len(batch):
                self._event(batch[first])
                first += 1
            batch = batch[first:]
        # The data of an event holds its type too: {"type":"delta","text":"…"}. Most events are deltas: they have a fast path.
        return b"".join([self._delta(event.text) if type(event) is Delta else self._event(event) for event in batch])

    def error(self, error: GatewayError, *, debug: bool) -> bytes:
        """The error that ends the answer; nothing if the client has it."""
        frame = self._frame("error", _encode(error.body(self._request_id, debug=debug)))
        return frame if self._id > self._since else b""

    def interruption(self, error: GatewayError, *, debug: bool) -> bytes:
        """An error that is no part of the answer, so it has no number: the client goes on after the last event that it has."""
        return b"event: error\ndata: %s\n\n" % _encode(error.body(self._request_id, debug=debug))

    def closing(self) -> bytes:
        return b""

    def _event(self, event: Event) -> bytes:
        if isinstance(event, ReasoningSignature | Logprobs):  # a client of this format does not send reasoning back
            return b""
        return self._frame(event.__struct_config__.tag, _encode(event))  # pyright: ignore[reportArgumentType]

    def _delta(self, text: str) -> bytes:
        self._id += 1
        return b'id: %d\nevent: delta\ndata: {"type":"delta","text":%s}\n\n' % (self._id, _encode(text))

    def _frame(self, name: str, data: bytes) -> bytes:
        self._id += 1
        return b"id: %d\nevent: %s\ndata: %s\n\n" % (self._id, name.encode(), data)
