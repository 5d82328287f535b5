"""Amazon Bedrock Runtime as the local run plays it, on the real wire protocol.

Converse and ConverseStream for every model; InvokeModel and InvokeModelWithResponseStream for imported models alone, in the
format of OpenAI's chat completions (`bedrock_invoke`).

boto3 works against it unmodified: signatures are verified, requests are held against botocore's own model of Converse and
against what the model accepts, answers are JSON or an AWS event stream, errors are AWS's. Who answers is a `Model`
(`stand_in_model`, `model_url`); what goes wrong on purpose is a `Fault`.

Not played, and refused by name: images and other media, citations, guardrails, prompt management, prompt caching,
structured output. `additionalModelRequestFields`, `requestMetadata`, `performanceConfig` and `serviceTier` are checked for
their form and change nothing.
"""

import json
import logging
import re
import time
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from pulumi_llm_local.services.signature import Credentials, SignatureError, verify_signature
from pulumi_llm_local.upstreams.bedrock.converse_request import converse_input, read_call
from pulumi_llm_local.upstreams.bedrock.invoke import MALFORMED_CHUNK, invoke_frames, invoke_whole, read_invoke
from pulumi_llm_local.upstreams.bedrock.wire import (
    EVENT_STREAM,
    event_message,
    exception_message,
    outside_a_stream,
    raw_message,
)
from pulumi_llm_local.upstreams.fault import Fault, FaultKind, FaultSchedule, parse_fault
from pulumi_llm_local.upstreams.faulty import generate, refusal, too_long
from pulumi_llm_local.upstreams.model import (
    BedrockError,
    Block,
    ConverseCall,
    Finish,
    Json,
    Message,
    Model,
    ModelTraits,
    Piece,
    ReasoningBlock,
    ReasoningDelta,
    SignatureDelta,
    StopReason,
    TextBlock,
    TextDelta,
    Tool,
    ToolResultBlock,
    ToolUseBlock,
    ToolUseDelta,
    ToolUseStart,
    internal_error,
    validation_error,
)
from pulumi_llm_local.upstreams.server import (
    Connections,
    exceeds_context,
    html_page,
    send_stream,
    send_whole,
    within_generation,
)

__all__ = [
    "BedrockError",
    "Block",
    "ConverseCall",
    "Credentials",
    "Fault",
    "FaultKind",
    "Finish",
    "Json",
    "Message",
    "Model",
    "ModelTraits",
    "Piece",
    "ReasoningBlock",
    "ReasoningDelta",
    "SignatureDelta",
    "StopReason",
    "TextBlock",
    "TextDelta",
    "Tool",
    "ToolResultBlock",
    "ToolUseBlock",
    "ToolUseDelta",
    "ToolUseStart",
    "create_app",
    "event_message",
    "parse_fault",
    "validation_error",
]

_log = logging.getLogger(__name__)


def create_app(
    *,
    region: str,
    credentials: Credentials,
    models: Mapping[str, ModelTraits],
    model: Model,
    faults: Sequence[Fault] = (),
) -> web.Application:
    """Bedrock Runtime of one region for one pair of keys.

    `models` maps all that may stand in the path (a model id, an inference profile's id, an ARN) to what that model accepts.
    The upstream that a fault may name is "bedrock".
    """
    converse_input()  # read now rather than while the first request waits
    runtime = _Runtime(region, credentials, models, model, FaultSchedule(faults, "bedrock"))
    app = web.Application(client_max_size=_MAX_BODY_BYTES)
    app.router.add_route("*", "/{path:.*}", runtime.handle)
    app.on_shutdown.append(runtime.connections.stop)
    return app


_MAX_BODY_BYTES = 25 * 1024 * 1024
_OPERATION = re.compile(r"/model/(?P<model>.+)/(?P<operation>converse|converse-stream|invoke|invoke-with-response-stream)")


class _Runtime:
    def __init__(
        self,
        region: str,
        credentials: Credentials,
        models: Mapping[str, ModelTraits],
        model: Model,
        faults: FaultSchedule,
    ) -> None:
        self._region = region
        self._credentials = credentials
        self._models = models
        self._model = model
        self._faults = faults
        self.connections = Connections()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {"x-amzn-RequestId": str(uuid.uuid4())}
        try:
            return await self._handle(request, headers)
        except BedrockError as error:
            failure = error
        except web.HTTPRequestEntityTooLarge:
            failure = BedrockError(
                413, "RequestEntityTooLargeException", f"The request body is larger than {_MAX_BODY_BYTES:,} bytes."
            )
        except Exception:
            _log.exception("the local Bedrock failed")
            failure = internal_error()
        headers["x-amzn-ErrorType"] = failure.code
        return web.json_response({"message": failure.message}, status=failure.status, headers=headers)

    async def _handle(self, request: web.Request, headers: dict[str, str]) -> web.StreamResponse:
        started = time.monotonic()
        body = await request.read()
        try:
            verify_signature(request, body, self._region, self._credentials)
        except SignatureError as error:
            raise BedrockError(403, error.code, error.message) from error
        path = _OPERATION.fullmatch(request.raw_path.partition("?")[0])
        if request.method != "POST" or path is None:
            raise BedrockError(
                404,
                "UnknownOperationException",
                f"{request.method} {request.raw_path}: only Converse and InvokeModel, whole and streamed, are played here",
            )
        model_id, operation = unquote(path["model"]), path["operation"]
        invoked = operation.startswith("invoke")
        call = read_invoke(model_id, body, self._models) if invoked else read_call(model_id, body, self._models)
        fault = self._faults.next()
        if fault == "html":
            return html_page()
        refused = refusal(fault) or (too_long() if exceeds_context(call) else None)
        if refused is not None:
            raise refused
        send = self._send_stream if operation.endswith("stream") else self._send_whole
        try:
            return await self.connections.while_connected(request, send(request, call, fault, invoked, started, headers))
        except BedrockError as error:
            raise outside_a_stream(error) from error

    async def _send_stream(
        self,
        request: web.Request,
        call: ConverseCall,
        fault: FaultKind | None,
        invoked: bool,
        started: float,
        headers: Mapping[str, str],
    ) -> web.StreamResponse:
        pieces = generate(self._model, call, fault)
        headers = {**headers, "Content-Type": EVENT_STREAM}
        if invoked:
            headers["X-Amzn-Bedrock-Content-Type"] = "application/json"
        frames = invoke_frames(pieces, call, started) if invoked else _frames(_events(pieces, started))
        malformed = MALFORMED_CHUNK if invoked else _MALFORMED_EVENT
        return await send_stream(request, frames, headers, failed=exception_message, malformed=malformed)

    async def _send_whole(
        self,
        request: web.Request,
        call: ConverseCall,
        fault: FaultKind | None,
        invoked: bool,
        started: float,
        headers: Mapping[str, str],
    ) -> web.StreamResponse:
        pieces = generate(self._model, call, within_generation(fault))
        if invoked:
            answer, measured = await invoke_whole(pieces, call, started)
            headers = {**headers, **measured}
        else:
            answer = await _whole(_events(pieces, started))
        return await send_whole(request, json.dumps(answer).encode(), headers, fault)


_MALFORMED_EVENT = raw_message("event", "contentBlockDelta", b'{"contentBlockIndex": 0, "delta": {"te')


# The answer on the wire.

_Event = tuple[str, Json]


async def _events(pieces: AsyncGenerator[Piece, None], started: float) -> AsyncGenerator[_Event, None]:
    """The events of ConverseStream, each named; as with Bedrock only a tool call has a contentBlockStart."""
    index, block = -1, ""
    async with aclosing(pieces):
        async for piece in pieces:
            if not block:
                yield "messageStart", {"role": "assistant"}
            name, delta = _delta(piece)
            if name != block or isinstance(piece, ToolUseStart):
                if index >= 0:
                    yield "contentBlockStop", {"contentBlockIndex": index}
                index, block = index + 1, name
            match piece:
                case ToolUseStart():
                    start = {"toolUse": {"toolUseId": piece.id, "name": piece.name}}
                    yield "contentBlockStart", {"contentBlockIndex": index, "start": start}
                case Finish():
                    yield "messageStop", {"stopReason": piece.stop_reason}
                    tokens = {"inputTokens": piece.input_tokens, "outputTokens": piece.output_tokens}
                    tokens["totalTokens"] = piece.input_tokens + piece.output_tokens
                    latency_ms = round((time.monotonic() - started) * 1000)
                    yield "metadata", {"usage": tokens, "metrics": {"latencyMs": latency_ms}}
                case _:
                    yield "contentBlockDelta", {"contentBlockIndex": index, "delta": delta}


def _delta(piece: Piece) -> tuple[str, Json]:
    """The kind of block that the piece belongs to, and what it adds to it."""
    match piece:
        case TextDelta():
            return "text", {"text": piece.text}
        case ReasoningDelta():
            return "reasoningContent", {"reasoningContent": {"text": piece.text}}
        case SignatureDelta():
            return "reasoningContent", {"reasoningContent": {"signature": piece.signature}}
        case ToolUseStart():
            return "toolUse", {}
        case Finish():
            return "none", {}
        case ToolUseDelta():
            return "toolUse", {"toolUse": {"input": piece.input}}


async def _frames(events: AsyncGenerator[_Event, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        async for name, payload in events:
            yield event_message("event", name, payload)


async def _whole(events: AsyncGenerator[_Event, None]) -> Json:
    """The answer of Converse, put together from the events of ConverseStream."""
    answer: Json = {}
    blocks: dict[int, Json] = {}
    async for name, payload in events:
        if name == "contentBlockStart":
            blocks[payload["contentBlockIndex"]] = {"toolUse": {**payload["start"]["toolUse"], "input": ""}}
        elif name == "contentBlockDelta":
            _extend(blocks.setdefault(payload["contentBlockIndex"], {}), payload["delta"])
        elif name in ("messageStop", "metadata"):
            answer.update(payload)
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = _tool_input(block["toolUse"]["input"])
    return {"output": {"message": {"role": "assistant", "content": list(blocks.values())}}, **answer}


def _extend(block: Json, delta: Json) -> None:
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    elif "toolUse" in delta:
        block["toolUse"]["input"] += delta["toolUse"]["input"]
    else:
        reasoning = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})["reasoningText"]
        for key, text in delta["reasoningContent"].items():
            reasoning[key] = reasoning.get(key, "") + text


def _tool_input(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # maxTokens cut the input short
        return {}
