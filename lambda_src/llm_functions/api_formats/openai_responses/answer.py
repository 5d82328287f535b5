"""Writes answers in the format of OpenAI's Responses API, whole and streamed.

https://platform.openai.com/docs/api-reference/responses-streaming
"""

import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

from llm_functions.api_formats.answer_ids import RESPONSE
from llm_functions.api_formats.complete import collect, retrieval_fields
from llm_functions.api_formats.openai_responses.reasoning import sealed
from llm_functions.api_formats.openai_responses.tools import Declared, call_item, declared, input_text
from llm_gateway.errors import GatewayError
from llm_gateway.events import (
    Delta,
    Done,
    Embeddings,
    Event,
    Logprobs,
    Reasoning,
    ReasoningSignature,
    Start,
    StopReason,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from llm_gateway.request import ReasoningBlock

# Why an answer is not complete, by the reason for which the model stopped; the others complete it.
INCOMPLETE: dict[StopReason, str] = {
    "max_tokens": "max_output_tokens",
    "context_window_exceeded": "max_output_tokens",
    "content_filtered": "content_filter",
    "cancelled": "max_output_tokens",  # of the reasons that clients know, the one of an answer that is cut
}
# The fields of a request that its answer repeats, with what stands for one that is not given.
REPEATED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": None,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
}

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


async def render_complete(body: Mapping[str, Any], batches: AsyncIterator[list[Event]]) -> tuple[Start, bytes]:
    """Return the event that begins the answer, and the complete answer to the request `body` as a response object."""
    answer = await collect(batches)
    identifier = answer.start.request_id
    output: list[dict[str, Any]] = []
    if answer.reasoning_blocks:
        output.append(_reasoning(f"rs_{identifier}_0", answer.reasoning, answer.reasoning_blocks))
    if answer.text or not answer.calls:
        parts = [_text(answer.content, answer.start)] if answer.content or not answer.refusal else []
        parts += [_refusal(answer.refusal)] if answer.refusal else []
        output.append(_message(f"msg_{identifier}_{len(output)}", parts, _status(answer.stop_reason)))
    tools = declared(body)
    for call in answer.calls:
        tool = tools.get(call.name) or Declared(call.name)
        output.append(call_item(f"fc_{identifier}_{len(output)}", call.id, tool, call.arguments))
    response = _response(body, answer.start, output, answer.stop_reason, answer.usage)
    return answer.start, _encode(response)


def _response(
    body: Mapping[str, Any],
    start: Start,
    output: list[dict[str, Any]],
    stop_reason: StopReason | None = None,
    usage: Usage | None = None,
) -> dict[str, Any]:
    """Return a response object: of an answer that is coming, or of one that has ended for `stop_reason`."""
    incomplete = None if stop_reason is None else INCOMPLETE.get(stop_reason)
    return {
        "id": RESPONSE + start.request_id,
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress" if stop_reason is None else _status(stop_reason),
        "error": None,
        "incomplete_details": None if incomplete is None else {"reason": incomplete},
        "model": start.model,
        "output": output,
        **_given(body),
        "previous_response_id": None,
        "store": False,
        "truncation": "disabled",
        "usage": None if usage is None else _usage(usage),
        **retrieval_fields(start),
    }


def _given(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an answer repeats of its request."""
    given = {name: otherwise if body.get(name) is None else body[name] for name, otherwise in REPEATED.items()}
    said = {name: value for name, value in given["text"].items() if value is not None}
    given["text"] = {**REPEATED["text"], **said}  # it may be given without its format
    return given


class Kept:
    """How a complete answer is kept for repetitions of its request: without what it repeats of that, which they have."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body = body

    def shortened(self, answer: bytes) -> bytes:
        return _encode({name: None if name in REPEATED else value for name, value in _decode(answer).items()})

    def restored(self, kept: bytes) -> bytes:
        return _encode({**_decode(kept), **_given(self._body)})


def _status(stop_reason: StopReason) -> str:
    return "incomplete" if stop_reason in INCOMPLETE else "completed"


def _usage(usage: Usage) -> dict[str, Any]:
    """OpenAI's fields; `cache_write_tokens` and `estimated` are ours, the latter only where it says something."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": usage.cache_write_tokens},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
        **({"estimated": True} if usage.estimated else {}),
    }


def _reasoning(identifier: str, text: str, blocks: list[ReasoningBlock]) -> dict[str, Any]:
    item: dict[str, Any] = {"type": "reasoning", "id": identifier, "summary": [], "status": "completed"}
    item["content"] = [{"type": "reasoning_text", "text": text}] if text else []
    if (opaque := sealed(blocks)) is not None:
        item["encrypted_content"] = opaque
    return item


def _message(identifier: str, content: list[dict[str, Any]], status: str) -> dict[str, Any]:
    return {"type": "message", "id": identifier, "status": status, "role": "assistant", "content": content}


def _text(text: str, start: Start) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    if start.citations:
        from llm_functions.api_formats.citations import url_citations  # only where answers have passages

        annotations = [{"type": "url_citation", **each} for each in url_citations(text, start.citations)]
    return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": []}


def _refusal(text: str) -> dict[str, Any]:
    return {"type": "refusal", "refusal": text}


# It is nowhere else in an event.
_MARK = "\x00"


class StreamRenderer:
    """Renders the answer as the named events that OpenAI's SDKs and Codex read, numbered from 0."""

    def __init__(self, request_id: str, body: Mapping[str, Any]) -> None:
        self._request_id = request_id
        self._body = body
        self._start = Start(request_id, str(body.get("model")), "", 0, 0.0, 0.0)
        self._number = -1
        self._output: list[dict[str, Any]] = []  # the items in their order, each as far as it is known
        self._kind = ""  # of the item that is open, empty for none
        self._texts: list[str] = []  # of that item
        self._blocks: list[ReasoningBlock] = []
        self._tools = declared(body)
        self._calls: dict[int, int] = {}  # a call's place in the output; all are open until something else begins
        self._inputs: dict[int, str] = {}  # the arguments so far of the calls of custom tools among them
        self._usage: Usage | None = None
        self._before = self._after = b""  # a delta's bytes after its number, before and after its text

    def opening(self) -> bytes:
        return b""

    def closing(self) -> bytes:
        return b""

    def error(self, error: GatewayError, *, debug: bool) -> bytes:
        found = error.body(self._request_id, debug=debug)["error"]
        response = {**_response(self._body, self._start, self._output), "status": "failed"}
        response["error"] = {"code": error.code, "message": error.message}
        told = {"code": error.code, "message": error.message, "param": error.param, "request_id": found["request_id"]}
        return self._event("error", **told) + self._event("response.failed", response=response)

    def events(self, batch: list[Event]) -> bytes:
        return b"".join([self._rendered(event) for event in batch])

    def _rendered(self, event: Event) -> bytes:
        match event:
            case Delta(text=part):  # first, and with a fast path: most events are deltas
                if event.refusal:
                    return self._refused(part)
                opened = b"" if self._kind == "message" else self._open_message()
                self._texts.append(part)
                self._number += 1
                return opened + b"%s%d%s%s%s" % (_DELTA, self._number, self._before, _encode(part), self._after)
            case Start():
                self._start = event
                response = _response(self._body, event, [])
                return self._event("response.created", response=response) + self._event(
                    "response.in_progress", response=response
                )
            case Reasoning(text=part):
                opened = b"" if self._kind == "reasoning" else self._open_reasoning()
                self._texts.append(part)
                return opened + self._event("response.reasoning_text.delta", **self._place(), content_index=0, delta=part)
            case ReasoningSignature(signature=signature, data=data):
                opened = b"" if self._kind == "reasoning" else self._open_reasoning()
                told = sum(len(block.text) for block in self._blocks)
                text = "" if data else "".join(self._texts)[told:]
                self._blocks.append(ReasoningBlock(text, signature, data))
                return opened
            case ToolCall(index=index, id=identifier, name=name):
                closed = b"" if self._kind == "function_call" else self._close()
                self._kind = "function_call"
                self._calls[index] = len(self._output)
                tool = self._tools.get(name) or Declared(name)
                if tool.custom:
                    self._inputs[index] = ""
                return closed + self._add(call_item(self._identifier("fc"), identifier, tool, "", "in_progress"))
            case ToolCallDelta(index=index, arguments=part) if index in self._inputs:
                self._inputs[index] += part  # its text is in the JSON, and is told when it is whole
                return b""
            case ToolCallDelta(index=index, arguments=part):
                item = self._output[self._calls[index]]
                item["arguments"] += part
                place = {"item_id": item["id"], "output_index": self._calls[index]}
                return self._event("response.function_call_arguments.delta", **place, delta=part)
            case Embeddings() | Logprobs():
                return b""
            case Usage():
                self._usage = event
                return b""
            case Done(stop_reason=reason):
                last = b"" if self._output else self._open_message()
                last += self._close(_status(reason))
                response = _response(self._body, self._start, self._output, reason, self._usage)
                return last + self._event(f"response.{_status(reason)}", response=response)

    def _refused(self, part: str) -> bytes:
        opened = b""
        if self._kind != "refusal":
            opened = self._close() + self._add(_message(self._identifier("msg"), [], "in_progress"))
            opened += self._event("response.content_part.added", **self._place(), content_index=0, part=_refusal(""))
            self._kind = "refusal"
        self._texts.append(part)
        return opened + self._event("response.refusal.delta", **self._place(), content_index=0, delta=part)

    def _open_message(self) -> bytes:
        closed = self._close()
        self._kind = "message"
        opened = self._add(_message(self._identifier("msg"), [], "in_progress"))
        opened += self._event("response.content_part.added", **self._place(), content_index=0, part=_text("", self._start))
        delta: dict[str, Any] = {**self._place(), "content_index": 0, "logprobs": [], "delta": _MARK}
        self._before, self._after = (b"," + _encode(delta)[1:] + b"\n\n").split(_encode(_MARK))
        return closed + opened

    def _open_reasoning(self) -> bytes:
        closed = self._close()
        self._kind = "reasoning"
        return closed + self._add({**_reasoning(self._identifier("rs"), "", []), "status": "in_progress"})

    def _close(self, status: str = "completed") -> bytes:
        """End the item that is open, or all calls."""
        kind, self._kind = self._kind, ""
        text, self._texts = "".join(self._texts), []
        blocks, self._blocks = self._blocks, []
        place = self._place() if self._output else {}
        match kind:
            case "message":
                part = _text(text, self._start)
                done = b"".join(
                    self._event(
                        "response.output_text.annotation.added",
                        **place,
                        content_index=0,
                        annotation_index=number,
                        annotation=annotation,
                    )
                    for number, annotation in enumerate(part["annotations"])
                )
                done += self._event("response.output_text.done", **place, content_index=0, logprobs=[], text=text)
                done += self._event("response.content_part.done", **place, content_index=0, part=part)
                return done + self._done(place["output_index"], _message(place["item_id"], [part], status))
            case "refusal":
                done = self._event("response.refusal.done", **place, content_index=0, refusal=text)
                done += self._event("response.content_part.done", **place, content_index=0, part=_refusal(text))
                return done + self._done(place["output_index"], _message(place["item_id"], [_refusal(text)], status))
            case "reasoning":
                done = self._event("response.reasoning_text.done", **place, content_index=0, text=text) if text else b""
                return done + self._done(place["output_index"], _reasoning(place["item_id"], text, blocks))
            case "function_call":
                done = b""
                for call, index in self._calls.items():
                    item = self._output[index]
                    told = {"item_id": item["id"], "output_index": index}
                    if call in self._inputs:
                        item["input"] = text = input_text(self._inputs[call])
                        done += self._event("response.custom_tool_call_input.delta", **told, delta=text)
                        done += self._event("response.custom_tool_call_input.done", **told, input=text)
                    else:
                        done += self._event(
                            "response.function_call_arguments.done", **told, name=item["name"], arguments=item["arguments"]
                        )
                    done += self._done(index, {**item, "status": status})
                self._calls, self._inputs = {}, {}
                return done
            case _:
                return b""

    def _identifier(self, prefix: str) -> str:
        return f"{prefix}_{self._request_id}_{len(self._output)}"

    def _place(self) -> dict[str, Any]:
        """Where the last item is."""
        return {"item_id": self._output[-1]["id"], "output_index": len(self._output) - 1}

    def _add(self, item: dict[str, Any]) -> bytes:
        self._output.append(item)
        return self._event("response.output_item.added", output_index=len(self._output) - 1, item=item)

    def _done(self, index: int, item: dict[str, Any]) -> bytes:
        self._output[index] = item
        return self._event("response.output_item.done", output_index=index, item=item)

    def _event(self, event: str, /, **fields: Any) -> bytes:
        self._number += 1
        data = {"type": event, "sequence_number": self._number, **fields}
        return b"event: %s\ndata: %s\n\n" % (event.encode(), _encode(data))


_DELTA = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":'
