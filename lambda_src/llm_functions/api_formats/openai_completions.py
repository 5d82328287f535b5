"""The API format of OpenAI's older completions: a prompt in, text out. The prompt is sent as the user's message.

https://platform.openai.com/docs/api-reference/completions
"""

import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import msgspec

from llm_functions.api_formats.answer_ids import COMPLETION
from llm_functions.api_formats.complete import collect, retrieval_fields
from llm_functions.api_formats.fields import Fields, kind
from llm_functions.api_formats.openai_chat import FINISH_REASONS, STOP_LIMIT, usage_fields, usage_is_included
from llm_functions.api_formats.openai_parameters import other_parameters
from llm_gateway.errors import GatewayError
from llm_gateway.events import Delta, Done, Event, Start, Usage
from llm_gateway.request import NUMERIC_PARAMETERS, ChatRequest, Message, Sampling

# What chat models do not do, with the values that ask for nothing.
UNAVAILABLE: dict[str, Any] = {"best_of": 1, "echo": False, "suffix": ""}

_encode = msgspec.json.Encoder().encode


def parse(body: Mapping[str, Any]) -> tuple[ChatRequest, bool]:
    """Parse a request's body. Returns the request, and whether its stream ends with the usage.

    Raises the error 400, which names every field that is wrong.
    """
    fields = Fields({name: value for name, value in body.items() if name != "logprobs"})  # a number here, and no rare parameter
    if body.get("logprobs") is not None:
        fields.wrong("logprobs", "is not possible in this format; use /v1/chat/completions, or leave it out")
    for name, usual in UNAVAILABLE.items():
        if fields.has(name) and fields.any(name) != usual:
            fields.wrong(name, f"only {_encode(usual).decode()} is possible with chat models; leave it out")
        fields.any(name)
    model = fields.string("model", required=True)
    text = _prompt(fields)
    stream = fields.boolean("stream")
    include_usage = usage_is_included(fields, stream)
    rare, hints = other_parameters(fields)
    request = ChatRequest(
        messages=(Message("user", text=text, place="prompt"),),
        model=model or "",
        sampling=Sampling(
            max_tokens=fields.integer("max_tokens", 1),
            **fields.numbers(NUMERIC_PARAMETERS),
            stop=fields.strings("stop", STOP_LIMIT),
        ),
        stream=stream,
        rare=rare,
        hints=hints,
    )
    fields.no_others()
    fields.finish()
    return request, include_usage


def _prompt(fields: Fields) -> str:
    """Return the prompt: a text, or a list of one."""
    prompt = fields.any("prompt")
    if isinstance(prompt, list) and len(cast("list[Any]", prompt)) == 1:
        prompt = cast("list[Any]", prompt)[0]
    if isinstance(prompt, str) and prompt:
        return prompt
    if isinstance(prompt, list):
        fields.wrong("prompt", "must be one text; send a request for each, and texts in place of tokens")
    else:
        fields.wrong("prompt", f"is required, a text that is not empty, not {kind(prompt)}")
    return ""


async def render_complete(batches: AsyncIterator[list[Event]]) -> tuple[Start, bytes]:
    """Return the event that begins the answer, and the complete answer as a text_completion object."""
    answer = await collect(batches)
    choices = [_choice(answer.text, FINISH_REASONS[answer.stop_reason])]
    usage = usage_fields(answer.usage)
    return answer.start, _encode({**_head(answer.start), **retrieval_fields(answer.start), "choices": choices, "usage": usage})


class StreamRenderer:
    """Renders the answer as the stream that OpenAI's SDKs read: completions as data lines, ``[DONE]`` at the end."""

    def __init__(self, request_id: str, include_usage: bool) -> None:
        self._request_id = request_id
        self._include_usage = include_usage
        self._head: dict[str, Any] = {}
        self._usage: Usage | None = None

    def opening(self) -> bytes:
        return b""

    def events(self, batch: list[Event]) -> bytes:
        return b"".join([self._event(event) for event in batch])

    def _event(self, event: Event) -> bytes:
        match event:
            case Delta(text=part):
                return self._data(_choice(part, None))
            case Start():
                self._head = _head(event)
                return self._data(_choice("", None), **retrieval_fields(event))
            case Usage():
                self._usage = event
            case Done(stop_reason=reason):
                last = self._data(_choice("", FINISH_REASONS[reason]))
                if self._include_usage and self._usage is not None:
                    last += _line({**self._head, "choices": [], "usage": usage_fields(self._usage)})
                return last
            case _:
                pass
        return b""

    def error(self, error: GatewayError, *, debug: bool) -> bytes:
        return _line(error.body(self._request_id, debug=debug))

    def closing(self) -> bytes:
        return b"data: [DONE]\n\n"

    def _data(self, choice: dict[str, Any], **told: Any) -> bytes:
        return _line({**self._head, **told, "choices": [choice]})


def _line(value: Any) -> bytes:
    return b"data: %s\n\n" % _encode(value)


def _head(start: Start) -> dict[str, Any]:
    return {"id": COMPLETION + start.request_id, "object": "text_completion", "created": int(time.time()), "model": start.model}


def _choice(text: str, finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}
